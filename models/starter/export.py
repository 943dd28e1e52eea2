#!/usr/bin/python3
"""Writes a checkpoint as a GGUF file (version 3, architecture "llama", Q8_0 or F32 weights).

    export.py CHECKPOINT.pt --tokenizer tokenizer.json -o confab-starter.gguf [--type q8_0|f32]
"""
import argparse
import json
import os
import struct

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ALIGN = 32
U32, F32, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5          # GGUF value types
TENSOR_F32, TENSOR_Q8_0 = 0, 8
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4                         # token types


def string(s):
    b = s.encode("utf-8")
    return struct.pack("<Q", len(b)) + b


def value(kind, v):
    if kind == STRING:
        return string(v)
    if isinstance(kind, tuple):
        return struct.pack("<IQ", kind[1], len(v)) + b"".join(value(kind[1], x) for x in v)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], v)


def q8_0(x):
    """Blocks of 32: an f16 scale, then 32 signed bytes."""
    b = x.reshape(-1, 32).astype(np.float32)
    d = np.abs(b).max(1) / 127
    inv = np.divide(1, d, out=np.zeros_like(d), where=d > 0)
    out = np.zeros(len(b), dtype=[("d", "<f2"), ("q", "i1", 32)])
    out["d"] = d
    out["q"] = np.rint(b * inv[:, None])
    return out.tobytes()


def write(path, meta, tensors):
    """meta: [(key, kind, value)]; tensors: [(name, array, type)], rows first as numpy has them."""
    head = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(meta))]
    for k, kind, v in meta:
        head.append(string(k) + struct.pack("<I", ARRAY if isinstance(kind, tuple) else kind) + value(kind, v))
    blobs, at = [], 0
    for name, x, kind in tensors:
        blob = q8_0(x) if kind == TENSOR_Q8_0 else x.astype("<f4").tobytes()
        dims = x.shape[::-1]
        head.append(string(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
                    + struct.pack("<IQ", kind, at))
        blob += b"\0" * (-len(blob) % ALIGN)
        blobs.append(blob)
        at += len(blob)
    head = b"".join(head)
    with open(path, "wb") as f:
        f.write(head + b"\0" * (-len(head) % ALIGN))
        f.writelines(blobs)


def read(path):
    """The weights of a file that this program wrote: name -> array.  Training can go on from them."""
    b, at = open(path, "rb").read(), 24
    if b[:8] != b"GGUF" + struct.pack("<I", 3):
        raise ValueError(f"{path}: not a GGUF file of version 3")
    n_tensors, n_meta = struct.unpack_from("<QQ", b, 8)

    def skip(kind, at):
        if kind == STRING:
            return at + 8 + struct.unpack_from("<Q", b, at)[0]
        if kind == ARRAY:
            kind, n = struct.unpack_from("<IQ", b, at)
            at += 12
            for _ in range(n):
                at = skip(kind, at)
            return at
        return at + {U32: 4, I32: 4, F32: 4, BOOL: 1}[kind]

    for _ in range(n_meta):
        at = skip(STRING, at)
        at = skip(struct.unpack_from("<I", b, at)[0], at + 4)
    infos = []
    for _ in range(n_tensors):
        end = skip(STRING, at)
        name, (nd,) = b[at + 8:end].decode(), struct.unpack_from("<I", b, end)
        dims = struct.unpack_from(f"<{nd}Q", b, end + 4)
        kind, offset = struct.unpack_from("<IQ", b, end + 4 + 8 * nd)
        at = end + 4 + 8 * nd + 12
        infos.append((name, dims[::-1], kind, offset))
    base, out = at + -at % ALIGN, {}
    for name, shape, kind, offset in infos:
        n = int(np.prod(shape))
        if kind == TENSOR_Q8_0:
            x = np.frombuffer(b, dtype=[("d", "<f2"), ("q", "i1", 32)], count=n // 32, offset=base + offset)
            x = x["q"].astype(np.float32) * x["d"].astype(np.float32)[:, None]
        else:
            x = np.frombuffer(b, "<f4", n, base + offset)
        out[name] = x.reshape(shape)
    return out


def flat(path, c):
    """The same weights as one vector in the trainer's order."""
    import torch
    t, out = read(path), [None]
    out[0] = t["token_embd.weight"]
    for i in range(c["layers"]):
        g = lambda *names: np.concatenate([t[f"blk.{i}.{n}.weight"] for n in names])
        out += [g("attn_q", "attn_k", "attn_v"), g("attn_output"), g("ffn_gate", "ffn_up"), g("ffn_down")]
    return torch.from_numpy(np.concatenate([x.reshape(-1) for x in out]))


def metadata(c, tok, kind):
    import tokenizer as T
    ids = {t: i for i, t in enumerate(tok["tokens"])}
    types = [CONTROL if t in T.SPECIALS else USER_DEFINED if t in T.TAGS else NORMAL for t in tok["tokens"]]
    hd = c["d"] // c["heads"]
    return [
        ("general.architecture", STRING, "llama"),
        ("general.type", STRING, "model"),
        ("general.name", STRING, "confab starter"),
        ("general.license", STRING, "mit"),
        ("general.file_type", U32, 7 if kind == TENSOR_Q8_0 else 0),
        ("general.quantization_version", U32, 2),
        ("llama.block_count", U32, c["layers"]),
        ("llama.context_length", U32, c["ctx"]),
        ("llama.embedding_length", U32, c["d"]),
        ("llama.feed_forward_length", U32, c["ffn"]),
        ("llama.attention.head_count", U32, c["heads"]),
        ("llama.attention.head_count_kv", U32, c["kv"]),
        ("llama.attention.layer_norm_rms_epsilon", F32, c["eps"]),
        ("llama.rope.freq_base", F32, c["theta"]),
        ("llama.rope.dimension_count", U32, hd),
        ("llama.vocab_size", U32, c["vocab"]),
        ("tokenizer.ggml.model", STRING, "gpt2"),
        ("tokenizer.ggml.pre", STRING, "smollm"),
        ("tokenizer.ggml.tokens", (ARRAY, STRING), tok["tokens"]),
        ("tokenizer.ggml.token_type", (ARRAY, I32), types),
        ("tokenizer.ggml.merges", (ARRAY, STRING), [a + " " + b for a, b in tok["merges"]]),
        ("tokenizer.ggml.bos_token_id", U32, ids["<|endoftext|>"]),
        ("tokenizer.ggml.eos_token_id", U32, ids["<|im_end|>"]),
        ("tokenizer.ggml.eot_token_id", U32, ids["<|im_end|>"]),
        ("tokenizer.ggml.padding_token_id", U32, ids["<|endoftext|>"]),
        ("tokenizer.ggml.add_bos_token", BOOL, False),
        ("tokenizer.ggml.add_eos_token", BOOL, False),
        ("tokenizer.chat_template", STRING, open(os.path.join(HERE, "chat_template.jinja"), encoding="utf-8").read()),
    ]


def tensors(flat, c, kind):
    import model
    w = {k: v.numpy() for k, v in model.views(flat, c).items()}
    d, hd, ones = c["d"], c["d"] // c["heads"], np.ones(c["d"], np.float32)
    out = [("token_embd.weight", w["embed"], kind), ("output_norm.weight", ones, TENSOR_F32)]
    for i in range(c["layers"]):
        q, k, v = np.split(w[f"{i}.qkv"], [d, d + c["kv"] * hd])
        gate, up = np.split(w[f"{i}.up"], 2)
        for name, x in (("attn_norm", ones), ("ffn_norm", ones), ("attn_q", q), ("attn_k", k), ("attn_v", v),
                        ("attn_output", w[f"{i}.o"]), ("ffn_gate", gate), ("ffn_up", up),
                        ("ffn_down", w[f"{i}.down"])):
            out.append((f"blk.{i}.{name}.weight", x, TENSOR_F32 if name.endswith("norm") else kind))
    return out


def main():
    import torch
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("checkpoint")
    ap.add_argument("--tokenizer", default=os.path.join(HERE, "tokenizer.json"))
    ap.add_argument("-o", "--output", required=True)
    ap.add_argument("--type", choices=["q8_0", "f32"], default="q8_0")
    ap.add_argument("--start", metavar="GGUF", help="the file with which training began: write weights between the two, "
                    "which can be better than either")
    ap.add_argument("--share", type=float, default=.8, help="with --start, how much of the way from it to the checkpoint")
    a = ap.parse_args()
    st = torch.load(a.checkpoint)
    if a.start:
        st["flat"] = torch.lerp(flat(a.start, st["config"]), st["flat"], a.share)
    kind = TENSOR_Q8_0 if a.type == "q8_0" else TENSOR_F32
    tok = json.load(open(a.tokenizer, encoding="utf-8"))
    write(a.output, metadata(st["config"], tok, kind), tensors(st["flat"], st["config"], kind))
    print(f"{a.output}: {os.path.getsize(a.output)} bytes")


if __name__ == "__main__":
    main()
