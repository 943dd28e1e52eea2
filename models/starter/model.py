"""The network: a small llama, written for speed on a CPU.  RMSNorm gains stay at one."""
import math

import torch
import torch.nn.functional as F

# Products in bfloat16 where the CPU multiplies it (sums stay float32): twice as fast, and as good to learn with.
HALF = "avx512_bf16" in open("/proc/cpuinfo", encoding="ascii").read()
ROWS = 128          # queries of a block; what a block cannot see is not computed

CONFIG = dict(vocab=1536, d=256, layers=6, heads=4, kv=2, ffn=512, ctx=2048, theta=10000.0, eps=1e-5)


def shapes(c):
    """Every weight, in the order of the flat parameter vector: name -> (rows, columns)."""
    d, hd = c["d"], c["d"] // c["heads"]
    out = {"embed": (c["vocab"], d)}
    for i in range(c["layers"]):
        out[f"{i}.qkv"] = (d + 2 * c["kv"] * hd, d)
        out[f"{i}.o"] = (d, d)
        out[f"{i}.up"] = (2 * c["ffn"], d)           # gate rows, then up rows
        out[f"{i}.down"] = (d, c["ffn"])
    return out


def views(flat, c):
    out, at = {}, 0
    for name, (r, k) in shapes(c).items():
        out[name] = flat[at:at + r * k].view(r, k)
        at += r * k
    return out


def count(c):
    return sum(r * k for r, k in shapes(c).values())


def init(flat, c, seed=0):
    g = torch.Generator().manual_seed(seed)
    for name, w in views(flat, c).items():
        if name == "embed":
            w.normal_(0, .02, generator=g)
        elif name.endswith((".o", ".down")):
            w.zero_()
        else:
            w.uniform_(-math.sqrt(3) * .7 / math.sqrt(w.shape[1]), math.sqrt(3) * .7 / math.sqrt(w.shape[1]), generator=g)


class Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, eps):
        r = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        y = x * r
        ctx.save_for_backward(y, r)
        return y

    @staticmethod
    def backward(ctx, dy):
        y, r = ctx.saved_tensors
        dot = (dy * y).mean(-1, keepdim=True)
        return torch.addcmul(dy, y, dot, value=-1).mul_(r), None


class SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        g, u = x.chunk(2, -1)
        ctx.save_for_backward(x)
        return F.silu(g).mul_(u)

    @staticmethod
    def backward(ctx, dh):
        (x,) = ctx.saved_tensors
        g, u = x.chunk(2, -1)
        out = torch.empty_like(x)
        dg, du = out.chunk(2, -1)
        torch.mul(dh, F.silu(g), out=du)
        dg.copy_(torch.ops.aten.silu_backward(dh * u, g))
        return out


def _short(x, half):
    return x.bfloat16() if half else x


class Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, half):
        x, w = _short(x, half), _short(w, half)
        ctx.save_for_backward(x, w)
        return torch.mm(x, w.t()).float()

    @staticmethod
    def backward(ctx, dy):
        x, w = ctx.saved_tensors
        dy = dy.to(x.dtype)
        return torch.mm(dy, w).float(), torch.mm(dy.t(), x).float(), None


class Attention(torch.autograd.Function):
    """Causal attention.  q [n][g][t][hd] (g heads share their keys), k and v [n][t][hd] -> [n][g][t][hd]"""

    @staticmethod
    def forward(ctx, q, k, v, half):
        n, g, t, hd = q.shape
        q, k, v = _short(q * hd ** -.5, half), _short(k, half), _short(v, half)
        out, kept = torch.empty(q.shape), []
        for a in range(0, t, ROWS):
            e = min(t, a + ROWS)
            s = torch.bmm(q[:, :, a:e].reshape(n, g * (e - a), hd), k[:, :e].transpose(1, 2)).float()
            s.view(n, g, e - a, e)[..., a:].add_(torch.full((e - a, e - a), -1e30).triu_(1))
            p = _short(F.softmax(s, -1), half)
            out[:, :, a:e] = torch.bmm(p, v[:, :e]).view(n, g, e - a, hd)
            kept.append(p)
        ctx.save_for_backward(q, k, v, out, *kept)
        return out

    @staticmethod
    def backward(ctx, do):
        q, k, v, out, *kept = ctx.saved_tensors
        n, g, t, hd = q.shape
        dot = (do * out).sum(-1, keepdim=True)               # what the softmax subtracts, row by row
        do = do.to(q.dtype)
        dq, dk, dv = torch.empty(q.shape), torch.zeros(k.shape), torch.zeros(v.shape)
        for p, a in zip(kept, range(0, t, ROWS)):
            e = min(t, a + ROWS)
            rows = g * (e - a)
            d = do[:, :, a:e].reshape(n, rows, hd)
            dv[:, :e] += torch.bmm(p.transpose(1, 2), d)
            ds = torch.bmm(d, v[:, :e].transpose(1, 2)).float()
            ds.sub_(dot[:, :, a:e].reshape(n, rows, 1)).mul_(p)
            ds = ds.to(q.dtype)
            dq[:, :, a:e] = torch.bmm(ds, k[:, :e]).view(n, g, e - a, hd)
            dk[:, :e] += torch.bmm(ds.transpose(1, 2), q[:, :, a:e].reshape(n, rows, hd))
        return dq.mul_(hd ** -.5), dk, dv, None


class Model:
    def __init__(self, flat, c, grad=True, half=False):
        self.c, self.half = c, half
        self.w = {k: v.detach().requires_grad_(grad) for k, v in views(flat, c).items()}
        hd = c["d"] // c["heads"]
        f = torch.outer(torch.arange(c["ctx"]).float(), c["theta"] ** (-torch.arange(0, hd, 2).float() / hd))
        self.rope = torch.polar(torch.ones_like(f), f)              # [ctx][hd/2], neighbours are pairs

    def attention(self, qkv, b, t):
        c = self.c
        h, kv, hd = c["heads"], c["kv"], c["d"] // c["heads"]
        g = h // kv
        rope = self.rope[:t].view(1, t, 1, hd // 2)
        qk, v = qkv.split([(h + kv) * hd, kv * hd], -1)
        qk = torch.view_as_complex(qk.reshape(b, t, h + kv, hd // 2, 2)) * rope
        q, k = torch.view_as_real(qk).view(b, t, h + kv, hd).transpose(1, 2).split([h, kv], 1)
        q = q.reshape(b * kv, g, t, hd)
        k = k.reshape(b * kv, t, hd)
        v = v.reshape(b, t, kv, hd).transpose(1, 2).reshape(b * kv, t, hd)
        o = Attention.apply(q, k, v, self.half)
        return o.view(b, h, t, hd).transpose(1, 2).reshape(b * t, c["d"])

    def hidden(self, ids):
        """ids [B][T] -> normed last states [B*T][d]"""
        b, t = ids.shape
        w, eps = self.w, self.c["eps"]
        x = F.embedding(ids.reshape(-1), w["embed"])
        for i in range(self.c["layers"]):
            a = self.attention(Linear.apply(Norm.apply(x, eps), w[f"{i}.qkv"], self.half), b, t)
            x = x + Linear.apply(a, w[f"{i}.o"], self.half)
            h = SwiGLU.apply(Linear.apply(Norm.apply(x, eps), w[f"{i}.up"], self.half))
            x = x + Linear.apply(h, w[f"{i}.down"], self.half)
        return Norm.apply(x, eps)

    def logits(self, h):
        return F.linear(h, self.w["embed"])
