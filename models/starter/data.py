"""Batches of generated dialogues, and the quick examination that training runs on held-out ones."""
import collections
import random

import torch

import generate
import render
import tokenizer

LONGEST, SHORTER = 1024, 560     # the longest dialogue learned from; long ones come last, they are slow


FIRST, NAME = 4, 4       # how much more the tokens weigh that decide: what kind of answer, which tool, another call?


def encode(tok, d):
    """A dialogue as token ids, and the weight of each: 0 where the assistant does not write it."""
    ids, own = [], []
    call, end = tok.id["<tool_call>"], tok.id["</tool_call>"]
    for text, mine in render.pieces(render.text(d)):
        x = tok.encode(text)
        w = [int(mine)] * len(x)
        if mine and d["tools"]:
            w[0] = FIRST
            for i, t in enumerate(x):
                if t == call:
                    n = min(len(x), i + 14)
                    w[i + 1:n] = [NAME] * (n - i - 1)
                if t == end:
                    w[i + 1] = FIRST
        ids += x
        own += w
    return ids, own


class Batches:
    """Dialogues of like length side by side, padded on the right; no dialogue sees another."""

    def __init__(self, tok_path, seed):
        self.tok = tokenizer.Tokenizer(tok_path)
        self.gen = generate.Generator(seed)
        self.r = random.Random(seed + 1)
        self.ready = []
        self.pad = self.tok.id["<|endoftext|>"]

    def next(self, progress, size):
        """ids [B][T], weight [B][T] (1 and more the assistant's, 0.5 the rest, 0 padding), tokens without padding"""
        if not self.ready:
            pool, total = [], 0
            while total < 8 * size:
                ids, own = encode(self.tok, self.gen.dialogue(progress))
                if len(ids) <= (LONGEST if progress > .93 else SHORTER):
                    pool.append((ids, own))
                    total += len(ids)
            pool.sort(key=lambda x: len(x[0]))
            rows, batch = [], []
            for x in pool:
                if batch and (len(batch) + 1) * len(x[0]) > size:
                    rows.append(batch)
                    batch = []
                batch.append(x)
            rows.append(batch)
            self.r.shuffle(rows)
            self.ready = rows
        batch = self.ready.pop()
        t = max(len(x[0]) for x in batch)
        ids = torch.full((len(batch), t), self.pad)
        weight = torch.zeros(len(batch), t)
        for i, (x, own) in enumerate(batch):
            ids[i, :len(x)] = torch.tensor(x)
            weight[i, :len(x)] = torch.tensor(own).float().clamp_(min=.5)
        return ids, weight, sum(len(x[0]) for x in batch)


def examine(m, tok, seed, count):
    """Share of assistant messages that greedy decoding would write exactly, by kind, on held-out dialogues.

    One forward pass tells: greedy text is exact if and only if every token is the most likely one.
    """
    g = generate.Generator(seed, held_out=True)
    good, seen = collections.Counter(), collections.Counter()
    with torch.no_grad():
        for _ in range(count):
            d = g.dialogue(1.0)
            ids, own = encode(tok, d)
            if len(ids) > LONGEST:
                continue
            x = torch.tensor([ids])
            best = m.logits(m.hidden(x[:, :-1])).argmax(1)
            ok = (best == x[0, 1:]).tolist()
            kinds = [m_ for m_ in d["messages"] if m_["role"] == "assistant"]
            i, k = 0, -1
            while i < len(ids):
                if own[i]:
                    k += 1
                    j = i
                    while j < len(ids) and own[j]:
                        j += 1
                    kind = kinds[k]["reasoning_content"].split(" ")
                    kind = "call" + str(min(2, len(kinds[k]["tool_calls"]))) if kinds[k].get("tool_calls") else " ".join(kind[-2:])
                    seen[kind] += 1
                    good[kind] += all(ok[i - 1:j - 1])
                    i = j
                else:
                    i += 1
    return {k: [good[k], seen[k]] for k in sorted(seen)}
