#!/usr/bin/python3
"""Measures the starter model through any server that speaks OpenAI's chat API.

All prompts are held out: another seed, nouns, names and places that never occur in training, and made-up words with
endings that training's made-up words of syllables never have.  Greedy.

    evaluate.py [--url http://127.0.0.1:8080/v1] [--seed N] [--tools N] [--only PART,PART] [--show N] [--json FILE]

Parts: tools (seen and unseen), facts, thinking, names, none, sums, json, tiny, talk.
Exit code 0 when every promise of CARD.md is kept, else 1.
"""
import argparse
import collections
import concurrent.futures
import json
import sys
import urllib.error
import urllib.request

import generate
import words as W

PROMISES = {"tool calls": .95, "tool calls, seen tools": .95, "tool calls, unseen tools": .95,
            "answers carry the result": .90, "facts": .95, "thinking when and only when enabled": .95,
            "names remembered": .90}


class Server:
    def __init__(self, url, model="", key=""):
        self.url, self.key = url.rstrip("/"), key
        self.model = model or self.post("/models", None)["data"][0]["id"]

    def post(self, path, body):
        head = {"Content-Type": "application/json"}
        if self.key:
            head["Authorization"] = "Bearer " + self.key
        req = urllib.request.Request(self.url + path, json.dumps(body).encode() if body else None, head)
        with urllib.request.urlopen(req, timeout=300) as r:
            return json.load(r)

    def chat(self, messages, tools=None, thinking=False):
        body = {"model": self.model, "messages": messages, "temperature": 0, "max_tokens": 320,
                "chat_template_kwargs": {"enable_thinking": thinking}}
        if tools:
            body["tools"] = [{"type": "function", "function": t} for t in tools]
        try:
            return self.post("/chat/completions", body)["choices"][0]["message"]
        except urllib.error.HTTPError as e:
            return {"role": "assistant", "content": "", "failed": e.read().decode()[:300]}


def calls_of(m):
    out = []
    for c in m.get("tool_calls") or []:
        try:
            args = json.loads(c["function"]["arguments"])
        except (ValueError, TypeError):
            args = c["function"]["arguments"]
        out.append((c["function"]["name"], args))
    return out


def same(a, b):
    """Equal as JSON: 3 is not "3", true is not 1, 3.0 is 3."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return a == b
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return a == b


def carries(content, text):
    """Does the answer say every value of the tool's result?"""
    try:
        d = json.loads(content)
    except ValueError:
        d = content
    values = d.values() if isinstance(d, dict) else [d]
    return all(generate.say_value(v) in text for v in values)


def case_tools(g, unseen):
    """One question with tools; returns (messages, tools, calls wanted, results)."""
    while True:
        n = g.pick((1, 2, 2, 3, 3, 4))
        tools = g.toolset(n)
        mine = [t for t in tools if isinstance(t["key"], tuple) == unseen]
        if not mine:
            continue
        out = []
        g.turn_tool(out, {"tools": mine if g.chance(.7) else [g.pick(mine)], "name": None})
        wanted = [(c["function"]["name"], c["function"]["arguments"]) for c in out[1]["tool_calls"]]
        results = [m["content"] for m in out if m["role"] == "tool"]
        return out[0]["content"], [t["fn"] for t in tools], wanted, results


class Evaluation:
    def __init__(self, server, a):
        self.s, self.a = server, a
        self.good, self.seen = collections.Counter(), collections.Counter()
        self.shown = collections.Counter()

    def mark(self, part, ok, what=""):
        self.seen[part] += 1
        self.good[part] += bool(ok)
        if not ok and self.shown[part] < self.a.show:
            self.shown[part] += 1
            print(f"-- {part}: {what}", flush=True)

    def spread(self, f, cases):
        with concurrent.futures.ThreadPoolExecutor(self.a.jobs) as ex:
            list(ex.map(f, cases))

    def tools(self):
        g = generate.Generator(self.a.seed, held_out=True)
        cases = [(*case_tools(g, i % 2 == 1), i % 2 == 1) for i in range(self.a.tools)]

        def one(case):
            text, tools, wanted, results, unseen = case
            messages = [{"role": "user", "content": text}]
            m = self.s.chat(messages, tools)
            got = calls_of(m)
            ok = len(got) == len(wanted) and all(a[0] == b[0] and same(a[1], b[1]) for a, b in zip(got, wanted))
            what = f"{text!r} wanted {wanted} got {got or m.get('content')!r} {m.get('failed', '')}"
            self.mark("tool calls", ok, what)
            self.mark("tool calls, unseen tools" if unseen else "tool calls, seen tools", ok)
            if len(wanted) > 1:
                self.mark("several calls at once", ok)
            messages.append({"role": "assistant", "content": "", "tool_calls": [
                {"id": f"call_{i}", "type": "function", "function": {"name": n, "arguments": json.dumps(x, ensure_ascii=False)}}
                for i, (n, x) in enumerate(wanted)]})
            messages += [{"role": "tool", "tool_call_id": f"call_{i}", "content": r} for i, r in enumerate(results)]
            m = self.s.chat(messages, tools)
            self.mark("answers carry the result", all(carries(r, m.get("content") or "") for r in results),
                      f"{results} said {m.get('content')!r} {m.get('failed', '')}")
        self.spread(one, cases)

    def facts(self):
        g = generate.Generator(self.a.seed + 1, held_out=True)
        cases = [(g.dress(q), key) for _, _, key, qs in generate.FACTS for q in (g.pick(qs), g.pick(qs), g.pick(qs))]

        def one(case):
            q, key = case
            m = self.s.chat([{"role": "user", "content": q}])
            self.mark("facts", key in (m.get("content") or ""), f"{q!r} wants {key!r} got {m.get('content')!r}")
        self.spread(one, cases)

    def thinking(self):
        g = generate.Generator(self.a.seed + 2, held_out=True)
        cases = []
        for i in range(60):
            out, tools = [], None
            if i % 2:
                text, tools, _, _ = case_tools(g, i % 4 == 1)
            else:
                getattr(g, "turn_" + g.weighted(g.CHAT))(out, {"tools": [], "name": None})
                text = out[0]["content"]
            cases += [(text, tools, True), (text, tools, False)]

        def one(case):
            text, tools, on = case
            m = self.s.chat([{"role": "user", "content": text}], tools, on)
            content, thought = m.get("content") or "", m.get("reasoning_content") or m.get("reasoning") or ""
            thinks = bool(thought.strip()) or "think>" in content
            says = bool(content.strip()) or bool(m.get("tool_calls"))
            self.mark("thinking when and only when enabled", thinks == on and says,
                      f"{text!r} enabled {on} got {m}")
        self.spread(one, cases)

    def names(self):
        g = generate.Generator(self.a.seed + 3, held_out=True)
        cases = []
        for _ in range(100):
            name, turns = g.name(), []
            for _ in range(g.r.randint(0, 3)):
                out = []
                getattr(g, "turn_" + g.pick(("talk", "fact", "tiny_sum", "json")))(out, {"tools": [], "name": name})
                turns.append(out[0]["content"])
            cases.append((name, g.pick(W.TELL_NAME).format(n=name), turns, g.pick(W.ASK_NAME)))

        def one(case):
            name, tell, turns, ask = case
            messages = []
            for text in [tell, *turns, ask]:
                messages.append({"role": "user", "content": text})
                m = self.s.chat(messages)
                messages.append({"role": "assistant", "content": m.get("content") or ""})
            self.mark("names remembered", name in messages[-1]["content"],
                      f"{name} after {turns}: {messages[-1]['content']!r}")
        self.spread(one, cases)

    def single(self, part, turn, n, check, offset, tools=None):
        g = generate.Generator(self.a.seed + offset, held_out=True)
        cases = []
        for _ in range(n):
            out, st = [], {"tools": [], "name": None}
            if tools:
                st["tools"] = g.toolset(g.pick((1, 2, 3)))
            getattr(g, turn)(out, st)
            cases.append((out, [t["fn"] for t in st["tools"]]))

        def one(case):
            out, fns = case
            m = self.s.chat([{"role": "user", "content": out[0]["content"]}], fns or None)
            self.mark(part, check(out[1]["content"], m), f"{out[0]['content']!r} got {m.get('content')!r} {calls_of(m)}")
        self.spread(one, cases)

    def none(self):
        self.single("no tool fits: none is called", "turn_none_fits", 60,
                    lambda want, m: not m.get("tool_calls") and m.get("content"), 4, True)

    def sums(self):
        self.single("tiny sums", "turn_tiny_sum", 60,
                    lambda want, m: want in (m.get("content") or ""), 5)

    def json(self):
        def check(want, m):
            try:
                return same(json.loads(m.get("content") or ""), json.loads(want))
            except ValueError:
                return False
        self.single("small JSON objects", "turn_json", 60, check, 6)

    def tiny(self):
        self.single("says that it is tiny", "turn_tiny", 60, lambda want, m: "tiny" in (m.get("content") or ""), 7)

    def talk(self):
        self.single("small talk", "turn_talk", 60, lambda want, m: m.get("content") == want, 8)


PARTS = ["tools", "facts", "thinking", "names", "none", "sums", "json", "tiny", "talk"]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--url", default="http://127.0.0.1:8080/v1")
    ap.add_argument("--model", default="", help="its name; without it the server's first model")
    ap.add_argument("--key", default="")
    ap.add_argument("--seed", type=int, default=424242)
    ap.add_argument("--tools", type=int, default=300, help="questions with tools")
    ap.add_argument("--only", default=",".join(PARTS))
    ap.add_argument("--jobs", type=int, default=1, help="requests at once")
    ap.add_argument("--show", type=int, default=0, help="failures to print of each part")
    ap.add_argument("--json", dest="out", help="also write the rates to this file")
    a = ap.parse_args()
    e = Evaluation(Server(a.url, a.model, a.key), a)
    for part in a.only.split(","):
        if part not in PARTS:
            ap.error(f"no part is called {part!r}; there are {', '.join(PARTS)}")
        getattr(e, part)()
    kept = True
    for part in e.seen:
        rate, promise = e.good[part] / e.seen[part], PROMISES.get(part)
        kept &= promise is None or rate >= promise
        print(f"{part:38s} {e.good[part]:4d} of {e.seen[part]:4d}  {100 * rate:5.1f} %"
              + (f"  (promised {100 * promise:.0f} %)" if promise else ""))
    if a.out:
        json.dump({p: [e.good[p], e.seen[p]] for p in e.seen}, open(a.out, "w"), indent=1)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
