#!/usr/bin/env python3
"""A Hugging Face tokenizer.json as a GGUF file that holds a vocabulary alone.

    hf_to_gguf.py tokenizer.json OUT.gguf --pre NAME [--model gpt2|llama|gemma4]

For comparisons: confab and a peer then read the same file.  With --model llama the scores are the
negated ids, which is the order of merging of vocabularies trained as byte-pair encodings."""
import argparse
import json
import struct

U32, F32, BOOL, STR, ARRAY, I32 = 4, 6, 7, 8, 9, 5
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6


def text(s):
    b = s.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(b)) + b


def key(name, kind, value):
    return text(name) + struct.pack("<I", kind) + value


def strings(values):
    return struct.pack("<IQ", STR, len(values)) + b"".join(map(text, values))


def numbers(kind, fmt, values):
    return struct.pack("<IQ", kind, len(values)) + struct.pack("<%d%s" % (len(values), fmt), *values)


def write(path, keys):
    with open(path, "wb") as f:
        f.write(b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys)))
        f.write(b"".join(keys))


def is_byte(name):
    return len(name) == 6 and name.startswith("<0x") and name.endswith(">")


def tokens_and_types(j, raw):
    model = j["model"]
    by_id = {i: (name, NORMAL) for name, i in model["vocab"].items()}
    if raw:
        by_id = {i: (n, BYTE if is_byte(n) else t) for i, (n, t) in by_id.items()}
    for a in j["added_tokens"]:
        name = a["content"]
        kind = CONTROL if a["special"] else USER
        if name == model.get("unk_token"):
            kind = UNKNOWN
        if raw and kind == USER:
            name = name.replace("\u2581", " ")
        by_id[a["id"]] = (name, kind)
    n = max(by_id) + 1
    return [by_id.get(i, ("[PAD%d]" % i, UNUSED)) for i in range(n)]


def find(tokens, names):
    for name in names:
        for i, (t, _) in enumerate(tokens):
            if t == name:
                return i
    return None


def main():
    p = argparse.ArgumentParser()
    p.add_argument("json")
    p.add_argument("out")
    p.add_argument("--pre", default="default")
    p.add_argument("--model", default="gpt2", choices=["gpt2", "llama", "gemma4"])
    a = p.parse_args()
    with open(a.json, encoding="utf-8") as f:
        j = json.load(f)
    tokens = tokens_and_types(j, a.model != "gpt2")
    merges = [m if isinstance(m, str) else " ".join(m) for m in j["model"].get("merges", [])]
    keys = [
        key("general.architecture", STR, text("llama")),
        key("tokenizer.ggml.model", STR, text(a.model)),
        key("tokenizer.ggml.pre", STR, text(a.pre)),
        key("tokenizer.ggml.tokens", ARRAY, strings([t for t, _ in tokens])),
        key("tokenizer.ggml.token_type", ARRAY, numbers(I32, "i", [t for _, t in tokens])),
    ]
    if a.model == "llama":
        scores = [-float(i) for i in range(len(tokens))]
        keys.append(key("tokenizer.ggml.scores", ARRAY, numbers(F32, "f", scores)))
        keys.append(key("tokenizer.ggml.add_space_prefix", BOOL, b"\0"))
    else:
        keys.append(key("tokenizer.ggml.merges", ARRAY, strings(merges)))
    bos = find(tokens, ["<|begin_of_text|>", "<bos>", "<s>", "<BOS_TOKEN>",
                        "<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<|endoftext|>"])
    eos = find(tokens, ["<|eot_id|>", "<eos>", "</s>", "<|im_end|>", "<|END_OF_TURN_TOKEN|>",
                        "<\uff5cend\u2581of\u2581sentence\uff5c>", "<|endoftext|>"])
    for name, i in (("bos", bos), ("eos", eos)):
        if i is not None:
            keys.append(key("tokenizer.ggml.%s_token_id" % name, U32, struct.pack("<I", i)))
    write(a.out, keys)


if __name__ == "__main__":
    main()
