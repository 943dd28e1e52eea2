#!/usr/bin/python3
"""Trains the starter model on the CPU, against the clock.

The schedule follows wall-clock time, not steps: the rate is constant and falls to zero over the last
third, so that a finished model exists at the end whatever the speed was.  Each worker process makes
its own data, takes pieces of a step from a common ticket, and updates its half of the weights.
`DIR/mix.json` may change numbers while it runs; `DIR/last.pt` resumes.

    train.py DIR --tokenizer TOK.json --minutes 100 [--workers 2] [--resume]
"""
import argparse
import json
import os
import sys
import time

os.environ.setdefault("OPENBLAS_CORETYPE", "SapphireRapids" if "avx512_bf16" in open("/proc/cpuinfo").read() else "Haswell")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import torch
import torch.nn.functional as F

import generate
import model
from data import Batches, examine

NS = (3.4445, -4.7750, 2.0315)


def orthogonal(g):
    """The nearest orthogonal matrix, roughly, by five Newton-Schulz steps (the Muon update)."""
    x = g / (g.norm() + 1e-7)
    if model.HALF:
        x = x.bfloat16()
    flip = x.shape[0] > x.shape[1]
    if flip:
        x = x.T
    for _ in range(5):
        a = x @ x.T
        x = NS[0] * x + (NS[1] * a + NS[2] * a @ a) @ x
    return (x.T if flip else x).float()


def blocks(name, w, c):
    """Fused weights are orthogonalised part by part."""
    if name.endswith("qkv"):
        hd = c["d"] // c["heads"]
        return w.split([c["d"], c["kv"] * hd, c["kv"] * hd])
    return w.chunk(2) if name.endswith("up") else (w,)


class Optimizer:
    """Muon for the matrices, Adam for the embedding; this worker's share of the weights only."""

    def __init__(self, c, rank, workers):
        self.c = c
        names = list(model.shapes(c))
        self.mine = [n for i, n in enumerate(names) if i % workers == rank]
        self.state = {n: [torch.zeros(model.shapes(c)[n]) for _ in range(2 if n == "embed" else 1)] for n in self.mine}
        self.t = 0

    @torch.no_grad()
    def step(self, w, grads, scale, lr, h):
        self.t += 1
        for n in self.mine:
            g = sum(x[n] for x in grads).mul_(scale)
            st = self.state[n]
            if n == "embed":
                st[0].lerp_(g, .1)
                st[1].lerp_(g * g, .01)
                d = (st[0] / (1 - .9 ** self.t)) / ((st[1] / (1 - .99 ** self.t)).sqrt() + 1e-9)
                w[n].add_(d, alpha=-lr * h["adam"])
                continue
            st[0].lerp_(g, 1 - h["momentum"])
            g.lerp_(st[0], h["momentum"])
            w[n].mul_(1 - lr * h["muon"] * h["decay"])
            for wp, gp in zip(blocks(n, w[n], self.c), blocks(n, g, self.c)):
                wp.add_(orthogonal(gp), alpha=-lr * h["muon"] * max(1, wp.shape[0] / wp.shape[1]) ** .5)


DEFAULTS = dict(muon=.015, adam=.0022, momentum=.95, decay=.1, tokens=5000, micro=2400, rest=.15, flat=.35, eval_s=900,
                save_s=180,
                tools=.8, drill=.7, choose=.4, none=.22, several=.4, known=.3, own=.08, dressed=.12, strange=.8,
                noise=.5, plain=.45)


def knobs(path):
    """The numbers of this moment; those of the mix of tasks go to the generator."""
    try:
        h = {**DEFAULTS, **json.load(open(os.path.join(path, "mix.json")))}
    except (OSError, ValueError):
        h = dict(DEFAULTS)
    generate.MIX.update({k: h[k] for k in generate.MIX if k in h})
    return h


def rate(p, h):
    return 1.0 if p < h["flat"] else max(0.0, (1 - p) / (1 - h["flat"])) * .98 + .02


def worker(rank, a, c, sh):
    torch.set_num_threads(1)
    torch.manual_seed(a.seed * 100 + rank)
    os.nice(0)
    m = model.Model(sh["flat"], c, half=model.HALF)
    grads = [model.views(sh["grad"][i], c) for i in range(a.workers)]
    for n, p in m.w.items():
        p.grad = grads[rank][n]
    opt = Optimizer(c, rank, a.workers)
    if a.resume:
        st = torch.load(os.path.join(a.dir, f"opt{rank}.pt"))
        opt.state, opt.t = st["state"], st["t"]
    data = Batches(a.tokenizer, a.seed * 1000 + rank + 10 * int(sh["clock"][2].item()))
    w = {n: p.data for n, p in m.w.items()}
    start, done = time.time(), sh["clock"][0].item()
    h, step, log_t, log_n = knobs(a.dir), int(sh["clock"][1].item()), time.time(), 0.0
    next_save, next_eval = time.time() + h["save_s"], time.time() + h["eval_s"]
    run = np.zeros(3)
    while True:
        if rank == 0:
            now = time.time()
            sh["clock"][0] = min(1.0, done + (now - start) / 60 / a.minutes)
            sh["clock"][1] = step
            sh["flags"][0] = int(now > next_save or sh["clock"][0] >= 1)
            sh["flags"][1] = int(now > next_eval or sh["clock"][0] >= 1)
            sh["ticket"].value = 0
        sh["stat"][rank].zero_()
        sh["grad"][rank].zero_()
        sh["barrier"].wait()
        p = sh["clock"][0].item()
        if step % 20 == 0:
            h = knobs(a.dir)
        save, ev = sh["flags"][0].item(), sh["flags"][1].item()
        if save:
            torch.save({"state": opt.state, "t": opt.t}, os.path.join(a.dir, f"opt{rank}.pt"))
            if rank == 0:
                next_save = time.time() + h["save_s"]
                out = {"config": c, "flat": sh["flat"].clone(), "clock": sh["clock"].clone()}
                torch.save(out, os.path.join(a.dir, "last.tmp"))
                os.replace(os.path.join(a.dir, "last.tmp"), os.path.join(a.dir, "last.pt"))
        if ev:
            res = examine(m, data.tok, 9000 + rank, a.eval_count)
            with sh["lock"]:
                with open(os.path.join(a.dir, "eval.jsonl"), "a") as f:
                    f.write(json.dumps({"p": round(p, 4), "step": step, "rank": rank, **res}) + "\n")
            next_eval = time.time() + h["eval_s"]
        if p >= 1:
            break
        lr = rate(p, h) * min(1, (step + 1) / 60)
        rest = h["rest"] if p < .5 else 0              # what the user says teaches the language; later only answers count
        goal = h["tokens"] if p > .03 else h["tokens"] // 2
        while True:                                   # pieces of a step go to whoever is free
            with sh["ticket"].get_lock():
                if sh["ticket"].value >= goal:
                    break
                ids, weight, n_tok = data.next(p, h["micro"])
                sh["ticket"].value += n_tok
            weight = weight[:, 1:].reshape(-1)
            keep = (weight >= 1) | (torch.rand(weight.shape) < (0 if rest == 0 else 1 if p < .1 else .2)) & (weight > 0)
            idx = keep.nonzero().squeeze(1)
            b, t = ids.shape
            hid = m.hidden(ids[:, :-1])
            tgt = ids[:, 1:].reshape(-1)[idx]
            ww = torch.where(weight[idx] >= 1, weight[idx], rest)
            lg = m.logits(hid[idx])
            ce = F.cross_entropy(lg, tgt, reduction="none")
            (ce * ww).sum().backward()
            with torch.no_grad():
                own = weight[idx] >= 1
                sh["stat"][rank] += torch.tensor([ww.sum(), (ce * own).sum(), own.sum(),
                                                  (lg.argmax(1) == tgt)[own].sum(), n_tok])
        sh["barrier"].wait()
        tot = sh["stat"].sum(0)
        opt.step(w, grads, 1 / max(1.0, tot[0].item()), lr, h)
        sh["barrier"].wait()
        step += 1
        if rank == 0:
            run += tot[1:4].numpy()
            log_n += tot[4].item()
            sh["clock"][3] += tot[4]
            if step % a.log_steps == 0:
                now = time.time()
                print(f"{time.strftime('%H:%M:%S')} step {step} p {p:.3f} lr {lr:.3f} loss {run[0] / run[1]:.4f} "
                      f"acc {run[2] / run[1]:.4f} tok/s {log_n / (now - log_t):.0f} "
                      f"total {sh['clock'][3].item() / 1e6:.2f}M", flush=True)
                run[:], log_n, log_t = 0, 0.0, now
        if not sh["alive"].value:
            break


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("dir")
    ap.add_argument("--tokenizer", required=True)
    ap.add_argument("--minutes", type=float, default=100, help="wall-clock time of the whole run")
    ap.add_argument("--workers", type=int, default=2)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--eval-count", type=int, default=120)
    ap.add_argument("--log-steps", type=int, default=50)
    ap.add_argument("--resume", action="store_true", help="go on from DIR/last.pt")
    ap.add_argument("--start", help="begin with the weights of this GGUF file (and its tokenizer)")
    ap.add_argument("--at", type=float, help="set the progress, 0 to 1 (for --resume and --start)")
    a = ap.parse_args()
    os.makedirs(a.dir, exist_ok=True)
    mp = torch.multiprocessing.get_context("fork")
    torch.set_num_threads(1)
    c = model.CONFIG
    n = model.count(c)
    sh = {"flat": torch.zeros(n).share_memory_(), "grad": torch.zeros(a.workers, n).share_memory_(),
          "stat": torch.zeros(a.workers, 5).share_memory_(), "clock": torch.zeros(4, dtype=torch.float64).share_memory_(),
          "flags": torch.zeros(2, dtype=torch.int64).share_memory_(), "barrier": mp.Barrier(a.workers),
          "ticket": mp.Value("q", 0), "alive": mp.Value("i", 1), "lock": mp.Lock()}
    if a.resume:
        last = torch.load(os.path.join(a.dir, "last.pt"))
        sh["flat"].copy_(last["flat"])
        sh["clock"].copy_(last["clock"])
        sh["clock"][2] += 1
    elif a.start:
        import export
        sh["flat"].copy_(export.flat(a.start, c))
    else:
        model.init(sh["flat"], c, a.seed)
    if a.at is not None:
        sh["clock"][0] = a.at
    print(f"{n} parameters, {a.workers} workers", flush=True)
    ps = [mp.Process(target=worker, args=(i, a, c, sh)) for i in range(a.workers)]
    for p in ps:
        p.start()
    for p in ps:
        p.join()
    sys.exit(max(p.exitcode for p in ps))


if __name__ == "__main__":
    main()
