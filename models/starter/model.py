"""The network: a small llama, written for speed on a CPU.  RMSNorm gains stay at one."""
import math

import torch
import torch.nn.functional as F

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


class Model:
    def __init__(self, flat, c, grad=True):
        self.c = c
        self.w = {k: v.detach().requires_grad_(grad) for k, v in views(flat, c).items()}
        hd = c["d"] // c["heads"]
        f = torch.outer(torch.arange(c["ctx"]).float(), c["theta"] ** (-torch.arange(0, hd, 2).float() / hd))
        self.rope = torch.polar(torch.ones_like(f), f)              # [ctx][hd/2], neighbours are pairs
        self.masks = {}

    def mask(self, t):
        if t not in self.masks:
            m = torch.full((t, t), -1e30).triu(1)
            self.masks[t] = m.repeat(self.c["heads"] // self.c["kv"], 1)
        return self.masks[t]

    def attention(self, qkv, b, t):
        c = self.c
        h, kv, hd = c["heads"], c["kv"], c["d"] // c["heads"]
        g = h // kv
        rope = self.rope[:t].view(1, t, 1, hd // 2)
        qk, v = qkv.split([(h + kv) * hd, kv * hd], -1)
        qk = torch.view_as_complex(qk.reshape(b, t, h + kv, hd // 2, 2)) * rope
        q, k = torch.view_as_real(qk).view(b, t, h + kv, hd).transpose(1, 2).split([h, kv], 1)
        q = q.reshape(b * kv, g * t, hd)
        k = k.reshape(b * kv, t, hd)
        v = v.reshape(b, t, kv, hd).transpose(1, 2).reshape(b * kv, t, hd)
        s = torch.baddbmm(self.mask(t), q, k.transpose(1, 2), alpha=1 / math.sqrt(hd))
        o = torch.bmm(F.softmax(s, -1), v)
        return o.view(b, h, t, hd).transpose(1, 2).reshape(b * t, c["d"])

    def hidden(self, ids):
        """ids [B][T] -> normed last states [B*T][d]"""
        b, t = ids.shape
        w, eps = self.w, self.c["eps"]
        x = F.embedding(ids.reshape(-1), w["embed"])
        for i in range(self.c["layers"]):
            a = self.attention(F.linear(Norm.apply(x, eps), w[f"{i}.qkv"]), b, t)
            x = x + F.linear(a, w[f"{i}.o"])
            h = SwiGLU.apply(F.linear(Norm.apply(x, eps), w[f"{i}.up"]))
            x = x + F.linear(h, w[f"{i}.down"])
        return Norm.apply(x, eps)

    def logits(self, h):
        return F.linear(h, self.w["embed"])
