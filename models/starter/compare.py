#!/usr/bin/python3
"""Compares two servers of the same file, or a server with the checkpoint: token ids, prompts, greedy text.

    compare.py --url http://127.0.0.1:8080 [--other http://127.0.0.1:8081 | --checkpoint last.pt] [--count N]

Uses /tokenize, /apply-template and /v1/chat/completions, as confab and llama-server have them.
"""
import argparse
import json
import os
import random
import sys
import urllib.error
import urllib.request

import evaluate
import generate
import render
import tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
ODD = "abcdefXYZ   \n\n\t0123456789'\"{}[]:,._-éüßñ漢字かな한국어Привет🙂👍🏽\u0301\u00a0\u2003٣४½²ⅷ\r/\\<>|'s'll'T"


def post(url, path, body):
    req = urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(req, timeout=300) as r:
            return json.load(r)
    except urllib.error.HTTPError as e:
        sys.exit(f"{url}{path}: {e.code} {e.read().decode()[:300]}")


def texts(count):
    g, r = generate.Generator(77), random.Random(5)
    for i in range(count):
        yield render.text(g.dialogue(1.0)) if i % 4 == 0 else "".join(r.choice(ODD) for _ in range(r.randint(1, 60)))


def conversations(count):
    """(messages as OpenAI has them, tools, thinking, the prompt they make)"""
    for seed in range(count):
        g = generate.Generator(seed + 5000, held_out=True)
        d = g.dialogue(1.0)
        ends = [i for i, m in enumerate(d["messages"]) if m["role"] == "assistant"]
        part = d["messages"][:g.pick(ends)]
        sent = [dict(m) for m in part]
        for m in sent:
            if m.get("tool_calls"):
                m["tool_calls"] = [{"id": f"call_{i}", "type": "function", "function": {
                    "name": c["function"]["name"],
                    "arguments": json.dumps(c["function"]["arguments"], ensure_ascii=False)}}
                    for i, c in enumerate(m["tool_calls"])]
            if m["role"] == "tool":
                m["tool_call_id"] = "call_0"
        yield sent, d["tools"], d["thinking"], render.prompt(part, d["tools"], d["thinking"])


def spoken(m):
    """Thought, answer and calls, whether or not the server splits the thought off."""
    content, thought = m.get("content") or "", m.get("reasoning_content") or ""
    if not thought and "</think>" in content:
        thought, content = content.split("</think>", 1)
    return thought.strip(), content.strip(), evaluate.calls_of(m)


def greedy(m, tok, prompt, n=320):
    import torch
    ids = tok.encode(prompt)
    start = len(ids)
    with torch.no_grad():
        while len(ids) < start + n:
            best = int(m.logits(m.hidden(torch.tensor([ids]))[-1:]).argmax())
            if best == tok.eos:
                break
            ids.append(best)
    return tok.decode(ids[start:])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--url", required=True)
    ap.add_argument("--other")
    ap.add_argument("--checkpoint")
    ap.add_argument("--tokenizer", default=os.path.join(HERE, "tokenizer.json"))
    ap.add_argument("--count", type=int, default=100)
    ap.add_argument("--no-tools", action="store_true", help="leave out the dialogues with tools")
    a = ap.parse_args()
    tok, bad = tokenizer.Tokenizer(a.tokenizer), 0

    def report(what, n, differ):
        nonlocal bad
        bad += differ > 0
        print(f"{what}: {n} compared, {differ} differ", flush=True)

    differ = 0
    for s in texts(a.count * 20):
        for u in filter(None, (a.url, a.other)):
            ids = post(u, "/tokenize", {"content": s, "parse_special": True, "add_special": False})["tokens"]
            differ += ids != tok.encode(s)
    report("texts tokenized", a.count * 20, differ)

    servers = [evaluate.Server(u + "/v1") for u in (a.url, a.other) if u]
    m, convs = None, [c for c in conversations(a.count) if not (a.no_tools and c[1])]
    if a.checkpoint:
        import torch

        import model
        st = torch.load(a.checkpoint)
        m = model.Model(st["flat"], st["config"], grad=False)
    d_prompt = d_text = 0
    for messages, tools, thinking, prompt in convs:
        body = {"messages": messages, "chat_template_kwargs": {"enable_thinking": thinking}}
        if tools:
            body["tools"] = [{"type": "function", "function": t} for t in tools]
        for u in filter(None, (a.url, a.other)):
            d_prompt += post(u, "/apply-template", body)["prompt"] != prompt
        if m:
            got = post(a.url, "/completion", {"prompt": prompt, "n_predict": 320, "temperature": 0, "special": True,
                                              "cache_prompt": False})["content"]
            want = greedy(m, tok, prompt)
            if got != want:
                print(f"  {got!r}\n  {want!r}")
            d_text += got != want
        elif a.other:
            x, y = (s.chat(messages, tools, thinking) for s in servers)
            same = spoken(x) == spoken(y)
            if not same:
                print(f"  {prompt!r}\n    {x}\n    {y}")
            d_text += not same
    report("prompts rendered", len(convs), d_prompt)
    if m or a.other:
        report("greedy answers", len(convs), d_text)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
