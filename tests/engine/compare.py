#!/usr/bin/env python3
"""Compares this engine's logits with those of builds of the reference, by KL divergence.

    compare.py --build BUILD --oracle NAME=PROGRAM:UBATCH ... [--exact NAME]
               [--quantize LLAMA_QUANTIZE --story stories260K.gguf] [--only TEXT] [--seeds N]
               [--work DIR]

BUILD is a build directory of confab (its room libraries are linked with logits.c).  PROGRAM is
tests/oracle/llama_logits.cpp built against one build of the reference; a small UBATCH keeps BLAS
out of a build that has it.  --exact names the oracle that multiplies with activations in f32
(BLAS): distances to it say how much rounding of activations costs each program.  --seeds takes
the mean over so many rows of random tokens.

For every model: mean KL(exact || ours), KL(exact || other oracles), KL(first || ours),
KL(first || other oracles), and the positions where the most likely token is the same.
--record DIR instead writes what src/engine/vectors_test.c reads: the first oracle's largest logits at
some positions of models that the test makes again from their seed, and a tolerance: twice the RMS
distance of ours when it was recorded, which must be no more than 1.5 times the reference's own.

A model fails when ours is more than 1.25 times as far from the exact oracle as the furthest of the
others, and also more than 1.25 times as far from the first as the furthest of the others."""
import argparse
import array
import math
import os
import random
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TYPES = ("F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K_S Q4_K_S Q5_K_S Q6_K IQ4_NL IQ4_XS "
         "MXFP4").split()
FAMILIES = "tiny-llama tiny-qwen2 tiny-qwen3 tiny-gemma3 tiny-phi3".split()
VARIANTS = "tiny-llama3 tiny-linear tiny-yarn tiny-phi3-long".split()
STORY = "F32 F16 BF16 Q2_K Q3_K_M Q4_K_M Q5_K_M Q6_K IQ4_XS".split()


def build_driver(build, work):
    out = os.path.join(work, "logits")
    libs = [f"{build}/libroom_{r}.a" for r in ("engine", "kern", "gguf", "base")]
    subprocess.run(["cc", "-O1", "-D_GNU_SOURCE", "-std=c17", f"-I{ROOT}/src",
                    f"{HERE}/logits.c", "-o", out, *libs, "-lpthread", "-lm"], check=True)
    return out


def run(command, tokens, out):
    with open(out, "wb") as f:
        r = subprocess.run(command, input=" ".join(map(str, tokens)).encode(), stdout=f,
                           stderr=subprocess.PIPE)
    if r.returncode:
        sys.exit(f"{' '.join(command)}: {r.stderr.decode().strip()}")
    return out


def models(args, driver):
    """(label, path, n_vocab, n_tokens, n_ctx)"""
    if args.story:
        for t in STORY:
            path = os.path.join(args.work, f"story-{t}.gguf")
            if t == "F32":
                path = args.story
            elif args.quantize:
                subprocess.run([args.quantize, "--allow-requantize", args.story, path, t],
                               check=True, capture_output=True)
            else:
                continue
            yield f"stories260K {t}", path, 512, 256, 256
    for preset, types in [(f, TYPES) for f in FAMILIES] + [(v, ["F32", "Q8_0", "Q4_K_S"])
                                                           for v in VARIANTS]:
        n = 640 if preset in VARIANTS else 320
        for t in types:
            path = os.path.join(args.work, "model.gguf")
            subprocess.run([driver, "make", preset, t, "pure", path], check=True)
            for n_ctx in (4096, 512) if preset == "tiny-phi3-long" else (1024,):
                label = f"{preset} {t}" + (f" ctx {n_ctx}" if n_ctx != 1024 else "")
                yield label, path, 512, min(n, n_ctx), n_ctx


def record(args, driver, oracles):
    """One file a preset; rows `model MIX N_CTX TOLERANCE`, then `POSITION ID LOGIT ID LOGIT ...`."""
    jobs = [(f, TYPES if f == "tiny-llama" else ["F32", "Q8_0", "Q4_K_S"]) for f in FAMILIES]
    jobs += [(v, ["F32"]) for v in VARIANTS]
    path = os.path.join(args.work, "model.gguf")
    for preset, types in jobs:
        n = 300 if preset == "tiny-gemma3" else 96
        rng = random.Random(preset)
        tokens = [1] + [rng.randrange(3, 512) for _ in range(n - 1)]
        lines = [f"preset {preset}", "tokens " + " ".join(map(str, tokens))]
        for t in types:
            subprocess.run([driver, "make", preset, t, "pure", path], check=True)
            for n_ctx in (4096, 512) if preset == "tiny-phi3-long" else (1024,):
                def logits(command):
                    a = array.array("f")
                    with open(run(command, tokens, os.path.join(args.work, "out")), "rb") as f:
                        a.frombytes(f.read())
                    return a
                refs = [logits([p, path, u, "1", str(n_ctx)]) for p, u in oracles.values()]
                ours = logits([driver, path, "96", "2", args.mask, str(n_ctx)])
                v = len(ours) // n
                picks = []
                for pos in sorted({0, 1, *range(13, n, 27), n - 1}):
                    row = refs[0][pos * v:(pos + 1) * v]
                    picks.append((pos, sorted(range(v), key=lambda i: -row[i])[:6]))
                at = [pos * v + i for pos, ids in picks for i in ids]

                def rms(x):
                    return math.sqrt(sum((x[i] - refs[0][i]) ** 2 for i in at) / len(at))
                mine, theirs = rms(ours), max(rms(r) for r in refs[1:])
                if mine > 1.5 * theirs:
                    sys.exit(f"{preset} {t}: {mine:.2e} from the reference, its builds {theirs:.2e}")
                print(f"{preset} {t} {n_ctx}: rms {mine:.2e}, reference's own {theirs:.2e}")
                lines.append(f"model {t} {n_ctx} {max(2 * mine, 1e-4):.2e}")
                for pos, ids in picks:
                    lines.append(f"{pos} " + " ".join(f"{i} {refs[0][pos * v + i]:.5f}"
                                                      for i in ids))
        with open(os.path.join(args.record, preset + ".txt"), "w") as f:
            f.write("\n".join(lines) + "\n")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--build", required=True)
    ap.add_argument("--oracle", action="append", required=True)
    ap.add_argument("--exact")
    ap.add_argument("--quantize")
    ap.add_argument("--story")
    ap.add_argument("--only", default="")
    ap.add_argument("--seeds", type=int, default=1)
    ap.add_argument("--mask", default="avx2")
    ap.add_argument("--record")
    ap.add_argument("--work")
    args = ap.parse_args()
    args.work = args.work or tempfile.mkdtemp()
    driver = build_driver(args.build, args.work)
    oracles = {}
    for spec in args.oracle:
        name, rest = spec.split("=", 1)
        oracles[name] = rest.rsplit(":", 1)
    names = list(oracles)
    first, exact = names[0], args.exact
    if args.record:
        return record(args, driver, oracles)

    others = [n for n in names if n != exact]
    head = ["model", "positions"]
    if exact:
        head += [f"{exact}‖ours"] + [f"{exact}‖{n}" for n in others]
    head += [f"{first}‖ours"] + [f"{first}‖{n}" for n in names if n != first] + ["same top token"]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    positions = bad = count = 0

    def kl(ps, qs, n):
        mean, same = 0, 0
        for p, q in zip(ps, qs):
            r = subprocess.run([driver, "kl", str(n // len(ps)), p, q], check=True,
                               capture_output=True)
            one, _, top = r.stdout.split()
            mean, same = mean + float(one) / len(ps), same + int(top)
        return mean, same

    for label, path, n_vocab, n, n_ctx in models(args, driver):
        if args.only not in label:
            continue
        ours, refs = [], {k: [] for k in names}
        for seed in range(args.seeds):
            rng = random.Random(label if seed == 0 else f"{label} {seed}")
            tokens = [1] + [rng.randrange(3, n_vocab) for _ in range(n - 1)]
            ours.append(run([driver, path, "96", "2", args.mask, str(n_ctx)], tokens,
                            os.path.join(args.work, f"{seed}.ours.logits")))
            for k, (p, u) in oracles.items():
                refs[k].append(run([p, path, u, "1", str(n_ctx)], tokens,
                                   os.path.join(args.work, f"{seed}.{k}.logits")))
        n *= args.seeds
        cells = [label, str(n)]
        ok = False
        if exact:
            mine = kl(refs[exact], ours, n)[0]
            theirs = [kl(refs[exact], refs[k], n)[0] for k in others]
            cells += [f"{x:.1e}" for x in (mine, *theirs)]
            ok = mine <= 1.25 * max(theirs)
        mine, same = kl(refs[first], ours, n)
        theirs = [kl(refs[first], refs[k], n)[0] for k in names if k != first]
        cells += [f"{x:.1e}" for x in (mine, *theirs)] + [f"{same}/{n}"]
        ok = ok or mine <= 1.25 * max(theirs, default=0)
        if not ok:
            bad += 1
            cells[0] += " **further**"
        positions += n
        count += 1
        print("| " + " | ".join(cells) + " |", flush=True)
    print(f"\n{count} models, {positions} positions, {bad} further from the reference than its own "
          "builds are from each other")
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
