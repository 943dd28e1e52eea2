#!/usr/bin/python3
"""The starter model's byte-level BPE: training, encoding, decoding.

The pre-tokenizer is the one that GGUF files call "smollm": every digit stands alone, then GPT-2's
expression.  Merges are learned in two passes.  The first joins letters without their leading space, so
that a word is cut in the same way after a space, a quote or an underscore: copying a name then means
repeating the same tokens.  The second lets a space join whole common words only.

    tokenizer.py train OUT.json [--seed N] [--dialogues N]
"""
import argparse
import collections
import json
import re
import sys
import unicodedata

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]                       # control tokens
TAGS = ["<think>", "</think>", "<tools>", "</tools>", "<tool_call>", "</tool_call>", "<tool_response>",
        "</tool_response>"]                                                      # user-defined tokens
VOCAB = 1536
SPACED = 330        # merges of the second pass


def _byte_chars():
    """GPT-2's printable stand-in for each byte."""
    keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    table, n = {b: chr(b) for b in keep}, 0
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + n)
            n += 1
    return table


BYTE_CHAR = _byte_chars()
CHAR_BYTE = {c: b for b, c in BYTE_CHAR.items()}


def _ranges(letter):
    """The characters of one general category (L or N), as the inside of a character class."""
    out, start, prev = [], None, None
    for c in range(sys.maxunicode + 1):
        if unicodedata.category(chr(c))[0] == letter:
            if start is None:
                start = c
            prev = c
        elif start is not None:
            out.append((start, prev))
            start = None
    return "".join(re.escape(chr(a)) if a == b else re.escape(chr(a)) + "-" + re.escape(chr(b)) for a, b in out)


_L, _N = _ranges("L"), _ranges("N")
_WORDS = re.compile(
    f"'s|'t|'re|'ve|'m|'ll|'d| ?[{_L}]+| ?[{_N}]+| ?[^\\s{_L}{_N}]+|\\s+(?!\\S)|\\s+")
_DIGIT = re.compile(f"([{_N}])")
_MARKS = re.compile("(" + "|".join(re.escape(t) for t in SPECIALS + TAGS) + ")")


def pretokens(text):
    for part in _DIGIT.split(text):
        if part:
            yield from _WORDS.findall(part)


def to_chars(word):
    return "".join(BYTE_CHAR[b] for b in word.encode("utf-8"))


class Tokenizer:
    def __init__(self, path):
        d = json.load(open(path, encoding="utf-8"))
        self.tokens, self.merges = d["tokens"], [tuple(m) for m in d["merges"]]
        self.id = {t: i for i, t in enumerate(self.tokens)}
        self.rank = {m: i for i, m in enumerate(self.merges)}
        self.eos = self.id["<|im_end|>"]
        self.cache = {}

    def _word(self, word):
        parts = list(to_chars(word))
        while len(parts) > 1:
            best, at = None, -1
            for i in range(len(parts) - 1):
                r = self.rank.get((parts[i], parts[i + 1]))
                if r is not None and (best is None or r < best):
                    best, at = r, i
            if best is None:
                break
            parts[at:at + 2] = [parts[at] + parts[at + 1]]
        return [self.id[p] for p in parts]

    def encode(self, text):
        out = []
        for part in _MARKS.split(text):
            if part in self.id and _MARKS.fullmatch(part):
                out.append(self.id[part])
                continue
            for w in pretokens(part):
                ids = self.cache.get(w)
                if ids is None:
                    ids = self._word(w)
                    if len(self.cache) < 200000:
                        self.cache[w] = ids
                out.extend(ids)
        return out

    def decode(self, ids):
        out = bytearray()
        for i in ids:
            t = self.tokens[i]
            out += t.encode("utf-8") if _MARKS.fullmatch(t) else bytes(CHAR_BYTE[c] for c in t)
        return out.decode("utf-8", errors="replace")


def _learn(words, n, allowed):
    """Classic BPE: n times, join the most frequent neighbours.  words: {tuple of parts: count}."""
    words = [[list(w), c] for w, c in words.items()]
    pairs, where = collections.Counter(), collections.defaultdict(set)
    for i, (w, c) in enumerate(words):
        for p in zip(w, w[1:]):
            pairs[p] += c
            where[p].add(i)
    merges = []
    while len(merges) < n:
        best = max(((c, p) for p, c in pairs.items() if c > 1 and allowed(p)), default=None)
        if best is None:
            break
        p = best[1]
        merges.append(p)
        for i in list(where[p]):
            w, c = words[i]
            for q in zip(w, w[1:]):
                pairs[q] -= c
                where[q].discard(i)
            j = 0
            while j < len(w) - 1:
                if (w[j], w[j + 1]) == p:
                    w[j:j + 2] = [p[0] + p[1]]
                j += 1
            for q in zip(w, w[1:]):
                pairs[q] += c
                where[q].add(i)
        pairs.pop(p, None)
    return merges, {tuple(w): 0 for w, _ in words}, words


def train(path, seed, dialogues):
    import generate
    import render
    g = generate.Generator(seed)
    counts = collections.Counter()
    for i in range(dialogues):
        for part in _MARKS.split(render.text(g.dialogue(i / dialogues))):
            if not _MARKS.fullmatch(part):
                counts.update(to_chars(w) for w in pretokens(part))
    space = BYTE_CHAR[32]
    letters = {}
    for w, c in counts.items():        # the space before letters waits for the second pass
        c = min(c, 3000)               # the frame of every dialogue must not crowd out plain words
        body = w[1:] if w[0] == space and len(w) > 1 and w[1].isalpha() and w[1].isascii() else w
        letters[tuple(body)] = letters.get(tuple(body), 0) + c
    n = VOCAB - len(SPECIALS) - len(TAGS) - 256
    first, _, _ = _learn(letters, n - SPACED, lambda p: True)
    rank = {m: i for i, m in enumerate(first)}

    def apply(chars):
        parts = list(chars)
        while len(parts) > 1:
            r, i = min((rank.get(q, 1 << 30), i) for i, q in enumerate(zip(parts, parts[1:])))
            if r == 1 << 30:
                break
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
        return parts

    spaced = collections.Counter()
    for w, c in counts.items():
        if w[0] == space and len(w) > 1 and w[1].isalpha():
            parts = apply(w[1:])
            if len(parts) == 1:
                spaced[parts[0]] += c
    second = [(space, p) for p, _ in spaced.most_common(SPACED)]
    merges = first + second
    tokens = [BYTE_CHAR[b] for b in range(256)] + [a + b for a, b in merges] + TAGS + SPECIALS
    assert len(tokens) == VOCAB and len(set(tokens)) == VOCAB, (len(tokens), len(set(tokens)))
    json.dump({"tokens": tokens, "merges": merges}, open(path, "w", encoding="utf-8"), ensure_ascii=False)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("command", choices=["train"])
    ap.add_argument("path")
    ap.add_argument("--seed", type=int, default=17)
    ap.add_argument("--dialogues", type=int, default=12000)
    a = ap.parse_args()
    train(a.path, a.seed, a.dialogues)


if __name__ == "__main__":
    main()
