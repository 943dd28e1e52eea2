#!/usr/bin/env python3
"""Compares `confab tokenize` and `detokenize` with libllama on random texts.

    compare.py --confab build/confab --oracle PATH/llama_tokenize [--texts N] [--seed S] VOCAB.gguf ...

The oracle is tests/oracle/llama_tokenize.cpp, built against a libllama of your own.  For each
vocabulary: N texts with control tokens recognised, the same texts without, a tenth of them with
BOS, the text of every token, and the way back from ids to text.

A difference counts as explained, and is counted apart, only if
  nfc      the vocabulary normalises, and confab's ids of the text are the oracle's of its NFC
  control  the oracle made a control token of text that was not to be searched for them, and
           confab did not
  bos      confab did not double a BOS that the text begins with
SentencePiece with add_space_prefix puts a blank between a user-defined token and the text behind it:
such texts come back with it, and are counted.  Texts of a vocabulary without tokens for all bytes (Falcon's) may not come back whole: counted too.
Exit status 1 if any other difference is left."""
import argparse
import random
import resource
import subprocess
import sys
import unicodedata

NORMALISING = ("qwen2", "qwen35", "command-r", "mpt", "olmo")
UNKNOWN, CONTROL, USER = 1, 8, 16

SCRIPTS = [(0x41, 0x5a), (0x61, 0x7a), (0xc0, 0x24f), (0x370, 0x3ff), (0x400, 0x52f), (0x531, 0x58f),
           (0x5d0, 0x5ea), (0x600, 0x6ff), (0x710, 0x74a), (0x780, 0x7b1), (0x900, 0x97f),
           (0x980, 0x9ff), (0xb80, 0xbff), (0xe00, 0xe5b), (0xf00, 0xfff), (0x1000, 0x109f),
           (0x10a0, 0x10ff), (0x1100, 0x11ff), (0x1200, 0x137c), (0x1780, 0x17f9), (0x1e00, 0x1fff),
           (0x2c00, 0x2c7f), (0x3040, 0x30ff), (0x3100, 0x318e), (0x3400, 0x4dbf), (0x4e00, 0x9fff),
           (0xa000, 0xa48c), (0xac00, 0xd7a3), (0xf900, 0xfaff), (0xff00, 0xffef),
           (0x10330, 0x1034a), (0x10400, 0x1044f), (0x1d400, 0x1d7ff), (0x20000, 0x2a6df),
           (0x2ebf0, 0x2ee5d), (0x31350, 0x323af)]
MARKS = [(0x300, 0x36f), (0x483, 0x489), (0x591, 0x5bd), (0x64b, 0x65f), (0x93c, 0x94d),
         (0x1ab0, 0x1aff), (0x20d0, 0x20f0), (0x3099, 0x309a), (0xfe00, 0xfe0f), (0xfe20, 0xfe2f)]
SPACES = " \t\n\r\v\f\x1c\x1f\x85\xa0\u1680\u2000\u2003\u2007\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
ODD = "\u200b\u200c\u200d\u200e\u2060\ufeff\u00ad\u0000".replace("\0", "") + "\u2581\u0120\u010a\ufffd"
DIGITS = ["0123456789", "\u0660\u0661\u0669", "\u0966\u096f", "\uff10\uff19", "\u00bd\u00b2\u2460\u2167\u4e00"]
PUNCT = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\u00a1\u00bf\u2013\u2014\u2018\u2019\u201c\u201d\u2026\u3001\u3002\uff0c\uff01\u20ac\u00a3\u2211\u2192\u00a9"
EMOJI = ["\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f44d\U0001f3fd",
         "\u2764\ufe0f", "\U0001f1eb\U0001f1f7", "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
         "1\ufe0f\u20e3", "\U0001f9d1\u200d\U0001f4bb"]
WORDS = ("the of and a to in is you that it he was for on are with as I his they be at one have this "
         "from or had by hot word but what some we can out other were all there when up use your how "
         "said an each she which do their time if will way about many then them write would like so "
         "these her long make thing see him two has look more day could go come did number sound no "
         "most people my over know water than call first who may down side been now find tokenizer "
         "function return import struct const uint32_t std::vector self.__init__ lambda print").split()
TAILS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'LL", "'Re", "\u2019s", "'x", "'", "''", "'\u017f"]
CODE = ["for (int i = 0; i < n; i++) {\n\tx[i] += 1;\n}\n", "def f(x):\n    return x**2\n\n\n",
        "<div class=\"a\">\n  <p>text</p>\n</div>\n", "SELECT * FROM t WHERE a='b';\r\n",
        "https://example.org/a/b?c=d&e=%20f#g", "#include <stdio.h>\n\n", "x = {'a': [1, 2.5e-3, None]}\n",
        "\\frac{1}{2} $x_{i}^{2}$", "a/b/c\\d.txt", "{\"key\": \"value\", \"n\": 12345}", "-->", "=====", "////\n",
        "camelCaseWord HTTPServer XMLHttpRequest snake_case SCREAMING_CASE iPhone McDonald"]


def pick(r, ranges):
    lo, hi = r.choice(ranges)
    return chr(r.randint(lo, hi))


def word(r, specials):
    k = r.random()
    if k < 0.30:
        w = r.choice(WORDS)
        return w.upper() if r.random() < .1 else w.capitalize() if r.random() < .2 else w
    if k < 0.38:
        return r.choice(WORDS) + r.choice(TAILS)
    if k < 0.52:
        lo, hi = r.choice(SCRIPTS)
        return "".join(chr(r.randint(lo, hi)) for _ in range(r.randint(1, 8)))
    if k < 0.57:
        return "".join(r.choice(r.choice(DIGITS)) for _ in range(r.randint(1, 9)))
    if k < 0.61:
        return str(r.randint(0, 10 ** r.randint(1, 20)))
    if k < 0.67:
        return "".join(pick(r, SCRIPTS) + "".join(pick(r, MARKS) for _ in range(r.randint(0, 3)))
                       for _ in range(r.randint(1, 4)))
    if k < 0.72:
        return "".join(r.choice(EMOJI) for _ in range(r.randint(1, 3)))
    if k < 0.80:
        return "".join(r.choice(PUNCT) for _ in range(r.randint(1, 5)))
    if k < 0.84:
        return r.choice(CODE)
    if k < 0.87:
        return r.choice(ODD) + (pick(r, MARKS) if r.random() < .5 else "")
    if k < 0.91 and specials:
        s = r.choice(specials)
        cut = r.randint(0, len(s)) if r.random() < .3 else len(s)
        return s[:cut]
    if k < 0.94:
        return "".join(chr(r.choice([r.randint(1, 0x7f), r.randint(0x80, 0x7ff), r.randint(0x800, 0xd7ff),
                                     r.randint(0xe000, 0xffff), r.randint(0x10000, 0x10ffff)]))
                       for _ in range(r.randint(1, 4)))
    if k < 0.96:
        return r.choice(["a", "A", " ", "\n", "=", "\u4e00", "1", "e\u0301", "'", "\u0e01", "aA", "\t"]) * r.randint(2, 80)
    return "".join(r.choice(WORDS) for _ in range(r.randint(2, 5)))


def gap(r):
    k = r.random()
    if k < 0.6:
        return " "
    if k < 0.8:
        return ""
    return "".join(r.choice(SPACES[:6] if r.random() < .7 else SPACES) for _ in range(r.randint(1, 6)))


def make_text(r, specials):
    s = gap(r) if r.random() < .3 else ""
    for _ in range(r.choice([1, 2, 3, 5, 8, 13, 30])):
        s += word(r, specials) + gap(r)
    b = s.replace("\0", "").encode("utf-8", "replace")
    if r.random() < .12:  # what is not UTF-8
        b = bytearray("".join(r.choice(WORDS) + gap(r) for _ in range(6)).encode())
        for _ in range(r.randint(1, 6)):
            k = r.random()
            at = r.randint(0, len(b))
            if k < .5:
                b[at:at] = bytes([r.randint(0x80, 0xff)])
            elif k < .7:
                b[at:at] = r.choice([b"\xc0\xaf", b"\xe0\x81\x81", b"\xed\xa0\x80", b"\xed\xb0\x80", b"\xf0\x80\x81\x82",
                                     b"\xf8\x88\x80\x80\x80", b"\xfe", b"\xc1", b"\xe2\x82", b"\xf0\x9f\x98", b"\xe2\x96"])
            else:
                b[at:at] = "\U0001f600\u20ac".encode()[:r.randint(1, 6)]
    # Overlong forms of NUL would end the text where the normalised one is handed over.
    return make_text(r, specials) if 0 in lenient(b) else bytes(b)


def is_utf8(b):
    try:
        return b.decode() is not None
    except UnicodeDecodeError:
        return False


def assigned(b):
    """Without characters that Python's Unicode does not know: each tokenizer has its own version."""
    return "".join(c for c in b.decode() if unicodedata.category(c) != "Cn").encode()


def run(cmd, data):
    p = subprocess.run(cmd, input=data, capture_output=True)
    if p.returncode != 0:
        sys.exit("%s: exit %d: %s" % (" ".join(cmd), p.returncode, p.stderr.decode()[-300:]))
    return p.stdout


def lines(out):
    return out.decode().split("\n")[:-1]


def pre_of(path):
    with open(path, "rb") as f:
        head = f.read(1 << 16)
        i = head.find(b"tokenizer.ggml.pre")
        if i < 0:
            f.seek(0)
            head = f.read()
            i = head.find(b"tokenizer.ggml.pre")
    if i < 0:
        return ""
    at = i + len(b"tokenizer.ggml.pre") + 4
    n = int.from_bytes(head[at:at + 8], "little")
    return head[at + 8:at + 8 + n].decode()


class Vocabulary:
    def __init__(self, path, a):
        self.path, self.a = path, a
        rows = [l.split(" ") for l in lines(run([a.oracle, path, "pieces"], b""))]
        self.attr = [int(x[0]) for x in rows]
        self.eog = [int(x[1]) for x in rows]
        self.plain = [bytes.fromhex(x[2]) for x in rows]
        self.full = [bytes.fromhex(x[3]) for x in rows]
        self.nfc = pre_of(path) in NORMALISING
        self.specials = [self.full[i].decode("utf-8", "replace") for i, t in enumerate(self.attr)
                         if t & (CONTROL | USER | UNKNOWN)]

    def confab(self, command, *options, data):
        return run([self.a.confab, command, "-m", self.path, "-0", *options], data)

    def oracle(self, mode, data):
        return run([self.a.oracle, self.path, mode], data)


def show(mode, text, ours, theirs):
    print("  MISMATCH (%s) %r\n    confab %s\n    oracle %s" % (mode, text[:200], ours[:200], theirs[:200]))


def lenient(b):
    """Code points as llama.cpp reads them: what is not UTF-8 is U+FFFD byte by byte, overlong forms
    and surrogates pass."""
    out, i = [], 0
    while i < len(b):
        c = b[i]
        n = 1 if c < 0x80 else 0 if c < 0xc0 else 2 if c < 0xe0 else 3 if c < 0xf0 else 4 if c < 0xf8 else 0
        rest = b[i + 1:i + n]
        if n == 0 or len(rest) != n - 1 or any(x & 0xc0 != 0x80 for x in rest):
            out.append(0xfffd)
            i += 1
            continue
        cp = c & (0x7f, 0x1f, 0x0f, 0x07)[n - 1]
        for x in rest:
            cp = cp << 6 | x & 0x3f
        if cp > 0x10ffff:
            cp, n = 0xfffd, 1  # libllama throws
        out.append(cp)
        i += n
    return out


def nfc(b):
    try:
        return unicodedata.normalize("NFC", b.decode()).encode()
    except UnicodeDecodeError:
        pass
    s = "".join(map(chr, lenient(b)))
    t = unicodedata.normalize("NFC", s)
    return b if s == t else t.encode("utf-8", "surrogatepass")


OPTIONS = {"t": ["--no-bos", "--no-special"], "s": ["--no-bos"], "b": []}


def ask_all(v, texts):
    """(mode, text, confab's ids, the oracle's, the oracle's of the normalised text)"""
    asked = [("s", t) for t in texts] + [("t", t) for t in texts] + [("b", t) for t in texts[::10]]
    ours = []
    for mode in "stb":
        data = b"".join(t + b"\0" for m, t in asked if m == mode)
        ours += lines(v.confab("tokenize", *OPTIONS[mode], data=data))
    forms = [t for _, t in asked] + [nfc(t) for _, t in asked if v.nfc]
    modes = [m for m, _ in asked] * 2
    theirs = lines(v.oracle("ids", data=b"".join(m.encode() + t + b"\0" for m, t in zip(modes, forms))))
    n = len(asked)
    assert len(ours) == n and len(theirs) == len(forms), (len(ours), len(theirs), n)
    normal = theirs[n:] if v.nfc else theirs
    return [(m, t, x, y, z) for (m, t), x, y, z in zip(asked, ours, theirs, normal)]


def compare_ids(v, texts, count):
    def add(what):
        count[what] = count.get(what, 0) + 1

    for mode, t, x, y, z in ask_all(v, texts):
        if y == "error":
            add("refused by the oracle")
            continue
        add("texts")
        if x == y and (not v.nfc or nfc(t) == t or y == z):
            continue
        if v.nfc and nfc(t) != t:
            if x == z:
                add("nfc")
                continue
            y = z
        theirs, ours = [int(i) for i in y.split()], [int(i) for i in x.split()]
        if mode == "t" and v.any_control(theirs) and not v.any_control(ours):
            add("control")
        elif mode == "b" and theirs[1:] == ours and theirs[:1] == theirs[1:2]:
            add("bos")
        else:
            add("MISMATCHES")
            if count["MISMATCHES"] <= v.a.show:
                show(mode, t, x, y)


def looks_control(v, i):
    name = v.full[i]
    bar = "\uff5c".encode()
    return len(name) > 3 and name[:1] == b"<" and name[-1:] == b">" and (
        name[1:2] == b"|" or name[-2:-1] == b"|" or name[1:4] == bar or name[-4:-1] == bar)


def any_control(v, ids):
    return any(v.attr[i] & (CONTROL | UNKNOWN) or v.looks_control(i) for i in ids)


Vocabulary.any_control = any_control
Vocabulary.looks_control = looks_control


def lacking(v, text):
    """Does the text hold bytes that no token of the vocabulary stands for alone?"""
    single = {p for p in v.plain if len(p) == 1}
    return any(bytes([c]) not in single for c in text)


Vocabulary.lacking = lacking


def compare_pieces(v, count):
    """The text of every token, with and without specials, behind a token known to be plain."""
    front = next(i for i, p in enumerate(v.plain) if p.isalpha() and v.plain[i] == v.full[i])
    n = len(v.attr)
    data = "".join("%d %d\n" % (front, i) for i in range(n)).encode()
    for special in (False, True):
        out = v.confab("detokenize", *(["--special"] if special else []), data=data)
        if any(b"\0" in p for p in v.full):
            texts, at = [], 0
            for i in range(n):  # texts may hold the NUL that ends them
                want = v.plain[front] + (v.full if special else v.plain)[i]
                end = at + len(want) if out.startswith(want + b"\0", at) else out.index(b"\0", at)
                texts.append(out[at:end])
                at = end + 1
        else:
            texts = out.split(b"\0")[:-1]
        assert len(texts) == n
        for i, got in enumerate(texts):
            want = (v.full if special else v.plain)[i]
            count["pieces"] = count.get("pieces", 0) + 1
            if got != v.plain[front] + want:
                if v.looks_control(i) and not special:
                    count["control pieces"] = count.get("control pieces", 0) + 1
                    continue
                if b"[UNK_BYTE_0x" in want:
                    count["unreadable pieces"] = count.get("unreadable pieces", 0) + 1
                    continue
                count["MISMATCHES"] = count.get("MISMATCHES", 0) + 1
                if count["MISMATCHES"] <= v.a.show:
                    show("piece %d" % i, want, repr(got), repr(want))


def compare_round_trip(v, texts, count):
    good = []
    for t in texts:
        try:
            t.decode()
            good.append(t)
        except UnicodeDecodeError:
            pass
    ids = v.confab("tokenize", "--no-bos", "--no-special", data=b"".join(t + b"\0" for t in good))
    back = v.confab("detokenize", data=ids).split(b"\0")[:-1]
    for t, b in zip(good, back):
        want = nfc(t) if v.nfc else t
        if v.blanks:
            want, b = want.replace("\u2581".encode(), b" "), b.replace("\u2581".encode(), b" ")
        count["round trips"] = count.get("round trips", 0) + 1
        if b != want and v.lacking(want):
            count["bytes not in the vocabulary"] = count.get("bytes not in the vocabulary", 0) + 1
        elif b != want and any(t & USER and v.full[i] in want for i, t in enumerate(v.attr)) and (
                b.replace(b" ", b"") == want.replace(b" ", b"")):
            count["blank behind a token"] = count.get("blank behind a token", 0) + 1
        elif b != want:
            count["ROUND TRIPS LOST"] = count.get("ROUND TRIPS LOST", 0) + 1
            if count["ROUND TRIPS LOST"] <= v.a.show:
                print("  LOST %r\n    back %r" % (want[:200], b[:200]))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--confab", required=True)
    p.add_argument("--oracle", required=True)
    p.add_argument("--dump", help="write the texts that are UTF-8 to this file, for compare_hf.mjs, and stop")
    p.add_argument("--texts", type=int, default=5000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--show", type=int, default=5)
    p.add_argument("files", nargs="+")
    a = p.parse_args()
    resource.setrlimit(resource.RLIMIT_STACK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    bad = 0
    for path in a.files:
        v = Vocabulary(path, a)
        v.blanks = any("\u2581".encode() in x for x in v.full) or b" the" in v.plain and not v.nfc
        r = random.Random(a.seed)
        texts = [make_text(r, v.specials) for _ in range(a.texts)]
        if a.dump:
            with open(a.dump, "wb") as f:
                f.write(b"".join(assigned(t) + b"\0" for t in texts if is_utf8(t)))
            return
        count = {}
        compare_ids(v, texts, count)
        compare_pieces(v, count)
        compare_round_trip(v, texts, count)
        bad += count.get("MISMATCHES", 0) + count.get("ROUND TRIPS LOST", 0)
        print("%s: %s" % (path.split("/")[-1], ", ".join("%s %d" % x for x in count.items())), flush=True)
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
