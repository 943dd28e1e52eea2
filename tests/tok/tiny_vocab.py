#!/usr/bin/env python3
"""Makes tests/vectors/tok: two small vocabularies trained on the sentences below, and what libllama
makes of random texts with them.

    tiny_vocab.py OUT_DIR [--oracle PATH/llama_tokenize]

Without --oracle only the vocabularies are written.  The vectors are lines of
    file TAB pre-tokenizer TAB how (s: control tokens are parsed, t: not) TAB text in hex TAB ids
For pre-tokenizers whose vocabularies normalise, the oracle is asked about the normalised text."""
import argparse
import collections
import os
import random
import subprocess
import tempfile

import compare
from hf_to_gguf import (ARRAY, BOOL, BYTE, CONTROL, F32, I32, NORMAL, STR, U32, UNKNOWN, USER, key,
                        numbers, strings, text, write)

CORPUS = """The little boat went down the river, and the river went down to the sea.
It's what they've said; we'll see that you're there and I'm here, don't you think?
She had 12 apples, 345 pears and 6789 plums: that is 7146 pieces of fruit in 2024.
for (int i = 0; i < n; i++) { sum += values[i]; }
    return sum / (double)n;   // the mean
Der Müller grüßt die Brüder, und der Fluss fließt über die Brücke.
Le garçon a déjà mangé; l'été, il reste à côté du château.
Река течёт вниз к морю, и маленькая лодка плывёт по реке.
小さな船が川を下って海へ行きました。小舟沿着河流驶向大海。
작은 배가 강을 따라 바다로 갔습니다.
छोटी नाव नदी में नीचे चली गई। القارب الصغير ذهب مع النهر
""" * 3
SPECIALS = [("<|endoftext|>", CONTROL), ("<|im_start|>", CONTROL), ("<|im_end|>", CONTROL),
            ("<think>", USER), ("</think>", USER), ("   ", USER), ("<|tool|>", USER)]
PRES = ["default", "gpt-2", "llama-bpe", "qwen2", "qwen35", "deepseek-llm", "deepseek-coder",
        "deepseek-v3", "youtu", "falcon", "starcoder", "command-r", "bloom", "viking", "tekken",
        "gpt-4o", "tiny_aya", "bailingmoe", "seed-coder", "afmoe", "laguna", "minicpm5", "mpt",
        "chatglm-bpe", "smollm"]


def train(words, n_merges):
    """Byte-pair encoding, ties by order: (tokens in order of making, merges)"""
    words = {tuple(w): c for w, c in words.items()}
    merges = []
    for _ in range(n_merges):
        pairs = collections.Counter()
        for w, c in words.items():
            for p in zip(w, w[1:]):
                pairs[p] += c
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(best)
        joined = {}
        for w, c in words.items():
            out, i = [], 0
            while i < len(w):
                if i + 1 < len(w) and (w[i], w[i + 1]) == best:
                    out.append(w[i] + w[i + 1])
                    i += 2
                else:
                    out.append(w[i])
                    i += 1
            joined[tuple(out)] = joined.get(tuple(out), 0) + c
        words = joined
    return merges


def byte_letters():
    plain = list(range(0x21, 0x7f)) + list(range(0xa1, 0xad)) + list(range(0xae, 0x100))
    others = [b for b in range(256) if b not in plain]
    return {b: chr(b) if b in plain else chr(256 + others.index(b)) for b in range(256)}


def bpe_keys():
    letter = byte_letters()
    words = collections.Counter("".join(letter[b] for b in (" " + w).encode())
                                for w in CORPUS.replace("\n", " \n ").split(" "))
    merges = train(words, 400)
    tokens = [(letter[b], NORMAL) for b in range(256)] + [(a + b, NORMAL) for a, b in merges]
    tokens += SPECIALS
    eos = [t for t, _ in tokens].index("<|im_end|>")
    return [
        key("general.architecture", STR, text("llama")),
        key("tokenizer.ggml.model", STR, text("gpt2")),
        key("tokenizer.ggml.tokens", ARRAY, strings([t for t, _ in tokens])),
        key("tokenizer.ggml.token_type", ARRAY, numbers(I32, "i", [k for _, k in tokens])),
        key("tokenizer.ggml.merges", ARRAY, strings(["%s %s" % m for m in merges])),
        key("tokenizer.ggml.bos_token_id", U32, (len(tokens) - 7).to_bytes(4, "little")),
        key("tokenizer.ggml.eos_token_id", U32, eos.to_bytes(4, "little")),
        key("tokenizer.ggml.add_bos_token", BOOL, b"\0"),
    ]


def spm_keys():
    words = collections.Counter("\u2581" + w for w in CORPUS.split())
    merges = train(words, 400)
    letters = sorted({c for w in words for c in w})
    tokens = [("<unk>", UNKNOWN, 0.0), ("<s>", CONTROL, 0.0), ("</s>", CONTROL, 0.0)]
    tokens += [("<0x%02X>" % b, BYTE, 0.0) for b in range(256)]
    pieces = [a + b for a, b in merges] + ["</", "s>", "/s", "<s"]
    pieces = list(dict.fromkeys(pieces))
    tokens += [(p, NORMAL, -float(i)) for i, p in enumerate(pieces)]
    tokens += [(c, NORMAL, -float(len(pieces) + i)) for i, c in enumerate(letters) if c not in pieces]
    tokens += [(n, k, 0.0) for n, k in SPECIALS[1:5]]
    return [
        key("general.architecture", STR, text("llama")),
        key("tokenizer.ggml.model", STR, text("llama")),
        key("tokenizer.ggml.pre", STR, text("default")),
        key("tokenizer.ggml.tokens", ARRAY, strings([t for t, _, _ in tokens])),
        key("tokenizer.ggml.scores", ARRAY, numbers(F32, "f", [s for _, _, s in tokens])),
        key("tokenizer.ggml.token_type", ARRAY, numbers(I32, "i", [k for _, k, _ in tokens])),
        key("tokenizer.ggml.bos_token_id", U32, b"\1\0\0\0"),
        key("tokenizer.ggml.eos_token_id", U32, b"\2\0\0\0"),
        key("tokenizer.ggml.unknown_token_id", U32, b"\0\0\0\0"),
    ]


def record(out, name, pre, keys, oracle, seed, lines):
    """Texts with ids that confab is to give too: none in which libllama takes text for control."""
    r = random.Random(seed)
    names = [n for n, _ in SPECIALS] + ["</s>", "<s>"]
    asked = []
    while len(asked) < 16:
        t = compare.make_text(r, names)
        how = r.choice("st")
        if how == "t" and any(n.encode() in t for n in ("<|tool|>", "<s>", "</s>")):
            continue
        if 0 < len(t) < 160:
            asked.append((how, t))
    with tempfile.NamedTemporaryFile(suffix=".gguf") as f:
        write(f.name, keys + ([key("tokenizer.ggml.pre", STR, text(pre))] if pre else []))
        form = compare.nfc if pre in compare.NORMALISING else lambda t: t
        data = b"".join(how.encode() + form(t) + b"\0" for how, t in asked)
        ids = subprocess.run([oracle, f.name, "ids"], input=data, capture_output=True, check=True)
    for (how, t), row in zip(asked, ids.stdout.decode().split("\n")):
        lines.append("%s\t%s\t%s\t%s\t%s\n" % (name, pre or "-", how, t.hex(), row))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("out")
    p.add_argument("--oracle")
    a = p.parse_args()
    bpe, spm = bpe_keys(), spm_keys()
    write(os.path.join(a.out, "tiny-bpe.gguf"), bpe)
    write(os.path.join(a.out, "tiny-spm.gguf"), spm)
    if not a.oracle:
        return
    lines = []
    for i, pre in enumerate(PRES):
        record(a.out, "tiny-bpe.gguf", pre, bpe, a.oracle, 100 + i, lines)
    for i in range(4):
        record(a.out, "tiny-spm.gguf", None, spm, a.oracle, 200 + i, lines)
    with open(os.path.join(a.out, "vectors.tsv"), "w") as f:
        f.writelines(lines)


if __name__ == "__main__":
    main()
