#!/usr/bin/env python3
"""Works out the sampler's vectors in plain double precision, from the definitions alone:
    python3 tests/vectors/sample/make.py > tests/vectors/sample/chain.txt
A line is a case: its group, then settings, inputs and what must come out, as src/sample/vectors_test.c
reads them.  Cases that hang on the last digits of a number are not taken."""
import math
import random

GROUPS = ["mask", "bias", "ban", "repetition", "frequency", "presence", "temperature", "top_k", "top_p", "min_p",
          "xtc", "bad", "ngram", "greedy", "chain"]
CASES = 210
NEAR = 1e-4
M64 = (1 << 64) - 1


def mix(x):  # SplitMix64's finaliser
    x = (x + 0x9e3779b97f4a7c15) & M64
    x = ((x ^ (x >> 30)) * 0xbf58476d1ce4e5b9) & M64
    x = ((x ^ (x >> 27)) * 0x94d049bb133111eb) & M64
    return x ^ (x >> 31)


def unit(seed, pos):
    return (mix(mix(seed) ^ mix(pos ^ 0x5851f42d4c957f2d)) >> 11) * 2.0 ** -53


class Near(Exception):
    pass


def reaches(value, bound):
    if abs(value - bound) < NEAR:
        raise Near
    return value >= bound


def softmax(z, alive):
    top = max(z[i] for i in alive)
    e = {i: math.exp(z[i] - top) for i in alive}
    total = sum(e.values())
    return {i: e[i] / total for i in alive}


def adjusted(c):
    z = list(c["z"])
    text = c["prompt"] + c["output"]
    if c["mask"]:
        z = [v if i in c["mask"] else -math.inf for i, v in enumerate(z)]
    for phrase in c["bad"]:
        front = phrase[:-1]
        if text[len(text) - len(front):] == front:
            z[phrase[-1]] = -math.inf
    if c["ngram"] > 1:
        front = c["ngram"] - 1
        for i in range(len(text) - front):
            if text[i:i + front] == text[len(text) - front:]:
                z[text[i + front]] = -math.inf
    for i, b in c["bias"].items():
        z[i] += b
    if c["ban"]:
        for i in c["ends"]:
            z[i] = -math.inf
    counts = {i: c["output"].count(i) for i in set(c["output"])}
    for i in range(len(z)):
        if i in c["prompt"] or i in counts:
            if abs(z[i]) < NEAR and c["repetition"] != 1:
                raise Near
            z[i] = z[i] / c["repetition"] if z[i] > 0 else z[i] * c["repetition"]
        if i in counts:
            z[i] -= c["frequency"] * counts[i] + c["presence"]
    for i in range(len(z)):
        for j in range(i):
            if z[i] != z[j] and abs(z[i] - z[j]) < NEAR:
                raise Near
            if z[i] == z[j] != -math.inf and (z[i] != c["z"][i] or z[j] != c["z"][j]):
                raise Near
    return z


def survivors(c, gate):
    z = adjusted(c)
    alive = sorted((i for i in range(len(z)) if z[i] > -math.inf), key=lambda i: (-z[i], i))
    if not alive:
        return {}
    if c["T"] == 0 or c["k"] == 1:
        return {alive[0]: 1.0}
    z = [v / c["T"] for v in z]
    if c["k"] > 0:
        alive = alive[:c["k"]]
    if c["top_p"] < 1:
        pi, total, kept = softmax(z, alive), 0.0, []
        for i in alive:
            kept.append(i)
            total += pi[i]
            if reaches(total, c["top_p"]):
                break
        alive = kept
    if c["min_p"] > 0:
        pi = softmax(z, alive)
        alive = [i for i in alive if i == alive[0] or reaches(pi[i], c["min_p"] * pi[alive[0]])]
    if gate and c["xtc_t"] > 0 and c["xtc_p"] > 0:
        pi = softmax(z, alive)
        over = [i for i in alive if reaches(pi[i], c["xtc_t"])]
        if len(over) >= 2 and not any(i in c["ends"] for i in over[:-1]):
            alive = [i for i in alive if i not in over[:-1]]
    return softmax(z, alive)


def draw(c):
    """The token, and whether the gate of XTC is open."""
    pos = len(c["output"])
    gate = c["xtc_t"] > 0 and c["xtc_p"] > 0 and unit(c["seed"], 2 * pos + 1) < c["xtc_p"]
    pi = survivors(c, gate)
    if not pi:
        return -1, gate
    u, total = unit(c["seed"], 2 * pos), 0.0
    for i, p in pi.items():
        total += p
        if len(pi) > 1 and abs(total - u) < NEAR:
            raise Near
        if total > u:
            return i, gate
    return i, gate


def case(group, r):
    n = r.randint(3, 14)
    ids = range(n)
    c = dict(z=[round(r.gauss(0, 2), 2) for _ in ids], prompt=[], output=[], mask=[], bad=[], bias={}, ends=[],
             ban=False, ngram=0, repetition=1.0, frequency=0.0, presence=0.0, T=1.0, k=0, top_p=1.0, min_p=0.0,
             xtc_t=0.0, xtc_p=0.0, seed=r.getrandbits(64) if r.random() < .5 else r.randint(0, 99))
    some = lambda most: [r.choice(ids) for _ in range(r.randint(0, most))]
    c["output"] = some(9)
    every = group == "chain"
    want = lambda name: group == name or (every and r.random() < .45)
    if r.random() < .2:
        c["z"][r.choice(ids)] = c["z"][r.choice(ids)]  # a tie
    if group in ("repetition", "frequency", "presence", "bad", "ngram") or every:
        c["prompt"] = some(9)
    if want("mask"):
        c["mask"] = [i for i in ids if r.random() < .6]
    if want("bias"):
        c["bias"] = {i: round(r.uniform(-4, 4), 1) for i in set(some(4))}
        if r.random() < .2:
            c["bias"][r.choice(ids)] = r.choice([-100.0, 100.0])
    if want("ban") or want("xtc"):
        c["ends"] = sorted(set(some(2)))
        c["ban"] = group == "ban" or (every and r.random() < .5)
    if want("repetition"):
        c["repetition"] = r.choice([0.8, 1.1, 1.2, 1.5])
    if want("frequency"):
        c["frequency"] = r.choice([-0.5, 0.3, 0.5, 1.0])
    if want("presence"):
        c["presence"] = r.choice([-0.5, 0.25, 0.5, 1.5])
    if want("temperature"):
        c["T"] = r.choice([0.25, 0.5, 0.7, 1.3, 2.0])
    if want("top_k"):
        c["k"] = r.randint(2, n + 2)
    if want("top_p"):
        c["top_p"] = r.choice([0.05, 0.3, 0.5, 0.8, 0.9, 0.95])
    if want("min_p"):
        c["min_p"] = r.choice([0.01, 0.05, 0.1, 0.3, 0.9])
    if want("xtc"):
        c["xtc_t"], c["xtc_p"] = r.choice([0.02, 0.05, 0.1, 0.2, 0.4, 0.6]), r.choice([0.3, 0.5, 1.0])
    if want("bad"):
        c["bad"] = [[r.choice(ids) for _ in range(r.randint(1, 3))] for _ in range(3)]
        if len(c["output"]) > 1:
            c["bad"].append(c["output"][-2:] + [r.choice(ids)])
    if want("ngram"):
        c["ngram"] = r.choice([1, 2, 2, 3])
    if group == "greedy" or (every and r.random() < .1):
        if r.random() < .5:
            c["T"] = 0.0
        else:
            c["k"] = 1
    return c


def listed(v):
    return " ".join([str(len(v))] + [f"{x:g}" if isinstance(x, float) else str(x) for x in v])


def main():
    print("# made by make.py: group; T k top_p min_p xtc_t xtc_p repetition frequency presence ngram seed ban; lists:")
    print("# logits, prompt, output, mask, bias ids, biases, ends, bad phrases; gate, drawn, probabilities by id")
    for group in GROUPS:
        r = random.Random("confab " + group)
        done = 0
        while done < CASES:
            c = case(group, r)
            try:
                token, gate = draw(c)
                pi = survivors(c, gate)
            except Near:
                continue
            done += 1
            head = [group, c["T"], c["k"], c["top_p"], c["min_p"], c["xtc_t"], c["xtc_p"], c["repetition"],
                    c["frequency"], c["presence"], c["ngram"], c["seed"], int(c["ban"])]
            lists = [c["z"], c["prompt"], c["output"], c["mask"], list(c["bias"]), list(c["bias"].values()), c["ends"]]
            bad = " ".join([str(len(c["bad"]))] + [listed(p) for p in c["bad"]])
            probs = " ".join(f"{pi.get(i, 0):.6g}" for i in range(len(c["z"])))
            print(" ".join(f"{x:g}" if isinstance(x, float) else str(x) for x in head), *map(listed, lists), bad,
                  int(gate), token, probs)


main()
