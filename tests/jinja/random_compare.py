#!/usr/bin/python3
"""Renders random small templates with confab and with Python's Jinja2 and compares the bytes.

    tests/jinja/random_compare.py --confab build/confab [--count N] [--seed S]

The same bytes, or an error on both sides, is right.  Left out are templates whose output holds an
address of Python's memory, and those that confab refuses on purpose (integers past 64 bits, what
it says is not available).  Needs Debian's python3-jinja2.
"""
import argparse
import concurrent.futures
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import warnings

import oracle

CONTEXT = {
    "s": "Hello, World", "e": "", "u": "naïve ßtraße İ ΑΣ 日本 🎉 ǆ", "w": "  pad\tded \n",
    "m": "one\ntwo\r\nthree\n\nfour", "h": "<a href='x'>\"&amp;\"</a>", "n": 7, "z": 0, "neg": -13,
    "big": 9007199254740993, "f": 2.5, "g": -0.125, "t": True, "b": False, "none": None,
    "l": [3, 1, 2, 1], "ls": ["b", "A", "c", "a", "B"], "mix": [1, "a", None, True, 2.5, [1], {}],
    "el": [], "ed": {}, "d": {"b": 1, "a": "x", "C": None, "items": 5},
    "nest": {"x": {"y": [{"z": 1}, {"z": 2, "q": "é"}]}},
    "lo": [{"a": 2, "b": "x", "k": "g1"}, {"a": 1, "b": "Y", "k": "G1"}, {"a": 2, "b": "z"},
           {"a": None, "k": "g2"}],
    "msgs": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": None,
                                                 "tool_calls": [{"f": 1}]}],
}
NAMES = list(CONTEXT) + ["undef", "loop", "x"]
STRINGS = ["''", "'a'", "\"b\\n\"", "'%s'", "'l'", "', '", "'%d %5.2f|%-4s|%04d'", "'{} {0}'",
           "'{:>8}|{:<5}'", "'é日'", "'a.b'", "'\\u00e9\\x41\\101'", "'a' 'b'", "'0x1F'", "' 12 '",
           "'1e3'", "'-1_000'", "'abc def ghi jkl mno'", "'A-B_c d'", "'\\'\"'", "'\\\\d'"]
METHODS = {
    "upper": 0, "lower": 0, "title": 0, "capitalize": 0, "strip": 1, "lstrip": 1, "rstrip": 1,
    "split": 2, "rsplit": 2, "splitlines": 1, "replace": 3, "startswith": 1, "endswith": 1,
    "find": 3, "rfind": 3, "index": 1, "count": 1, "join": 1, "isdigit": 0, "isalpha": 0,
    "isalnum": 0, "isspace": 0, "isupper": 0, "islower": 0, "istitle": 0, "isnumeric": 0,
    "swapcase": 0, "zfill": 1, "center": 2, "ljust": 2, "rjust": 1, "partition": 1,
    "rpartition": 1, "removeprefix": 1, "removesuffix": 1, "format": 2, "expandtabs": 1,
    "casefold": 0, "isidentifier": 0, "isprintable": 0, "isascii": 0, "isdecimal": 0,
    "items": 0, "keys": 0, "values": 0, "get": 2, "append": 1, "update": 1, "pop": 1, "copy": 0,
    "clear": 0, "nosuch": 0,
}
FILTERS = {
    "abs": "", "batch": "ip", "capitalize": "", "center": "i", "count": "", "d": "ab",
    "default": "ab", "dictsort": "bkb", "e": "", "escape": "", "first": "", "float": "a",
    "forceescape": "", "format": "aa", "groupby": "A", "indent": "ibb", "int": "ai", "join": "sA",
    "last": "", "length": "", "list": "", "lower": "", "items": "", "map": "M", "min": "bA",
    "max": "bA", "reject": "T", "rejectattr": "AT", "replace": "ssi", "reverse": "",
    "round": "ir", "safe": "", "select": "T", "selectattr": "AT", "slice": "ia", "sort": "bbA",
    "string": "", "sum": "A", "title": "", "trim": "s", "truncate": "ibs", "unique": "bA",
    "upper": "", "urlencode": "", "wordcount": "", "wordwrap": "i", "xmlattr": "", "tojson": "bi",
    "attr": "A", "filesizeformat": "b",
}
TESTS = ["odd", "even", "divisibleby 3", "defined", "undefined", "none", "boolean", "false", "true",
         "integer", "float", "lower", "upper", "string", "mapping", "number", "sequence",
         "iterable", "callable", "sameas none", "escaped", "in l", "eq 1", "ne 2", "gt 1", "ge 1",
         "lt 2", "le 3", "filter", "test", "equalto('a')", "divisibleby(2)", "in(ls)"]
SIMPLE_TESTS = ["odd", "even", "defined", "undefined", "none", "string", "number", "mapping",
                "true", "false", "iterable", "sequence", "integer", "boolean", "lower", "upper"]


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def pick(self, options):
        return self.r.choice(list(options))

    def leaf(self):
        k = self.r.random()
        if k < 0.55:
            return self.pick(NAMES)
        if k < 0.75:
            return self.pick(STRINGS)
        if k < 0.9:
            return self.pick(["0", "1", "2", "-1", "3", "10", "1_000", "0x1f", "0b11", "0o17",
                              "1.5", "2e3", "1.25e-2", "100000", "9223372036854775807"])
        return self.pick(["true", "false", "none", "True", "None", "[]", "{}", "()"])

    def args(self, kinds):
        made = []
        for kind in kinds[:self.r.randint(0, len(kinds))]:
            if kind == "i":
                made.append(self.pick(["0", "1", "2", "3", "5", "20", "-1", self.leaf()]))
            elif kind == "b":
                made.append(self.pick(["true", "false", "1", "none"]))
            elif kind == "s":
                made.append(self.pick(STRINGS))
            elif kind == "k":
                made.append(self.pick(["'key'", "'value'", "'x'"]))
            elif kind == "r":
                made.append(self.pick(["'common'", "'ceil'", "'floor'"]))
            elif kind == "p":
                made.append(self.pick(["'-'", "none", "0"]))
            elif kind == "A":
                made.append(self.pick(["attribute='a'", "'a'", "'b'", "'k'", "0", "'x.y.0.z'",
                                       "attribute='k'", "'role'"]))
            elif kind == "T":
                made.append("'" + self.pick(SIMPLE_TESTS) + "'" if self.r.random() < 0.7 else
                            self.pick(["'equalto', 2", "'in', [1, 2]", "'gt', 1", "'ne', 'a'"]))
            elif kind == "M":
                made.append(self.pick(["'upper'", "'int'", "attribute='a'", "'length'", "'string'",
                                       "attribute='zz', default='q'", "'default', 3", "'nosuch'",
                                       "attribute='x.y'", "'tojson'", "'replace', 'a', 'b'"]))
            else:
                made.append(self.leaf())
        return ", ".join(made)

    def fill(self, depth, options):
        """One of the options, its <T>, <N>, <L>, <A> replaced by expressions of that kind."""
        kinds = {"<T>": self.text_expr, "<N>": self.number_expr, "<L>": self.list_expr,
                 "<A>": self.any_expr}
        text = re.sub("<N0>", lambda _: self.number_expr(0), self.pick(options))
        return re.sub("<[TNLA]>", lambda m: kinds[m.group()](depth - 1), text)

    def text_expr(self, depth):
        """Most likely a string."""
        if depth <= 0:
            return self.pick(["s", "e", "u", "w", "m", "h"] + STRINGS)
        return self.fill(depth, [
            "<T> ~ <N>", "<T> + <T>", "(<T>) * 2", "(<T>)|upper", "(<T>)|title",
            "(<T>)|capitalize", "(<T>)|trim(<T>)", "(<T>)|replace(<T>, <T>)",
            "(<T>)|indent(<N>)", f"(<T>)|truncate(9, {self.pick(['true', 'false'])}, '..', 0)",
            f"(<T>)|wordwrap({self.pick('23579')})", "(<T>)|center(17)", "(<T>)|urlencode",
            "(<T>)|e", "(<A>)|tojson", "(<T>)[<N>:<N>]",
            f"(<T>)[::{self.pick(['-1', '2', '-2', '3'])}]", "(<T>)|reverse", "(<T>).lower()",
            "(<T>).strip(<T>)", "(<T>).rstrip()", "(<T>).swapcase()", "(<T>).title()",
            "(<T>).capitalize()", "(<T>).zfill(<N>)",
            "(<T>).replace(<T>, <T>, <N>)", "(<T>).center(<N>, '*')",
            "(<T>).ljust(12, 'é')", "(<T>).join(<L>)",
            "(<L>)|join(<T>)", "(<A>)|string",
            "(<T>).expandtabs(<N>)", "(<T>) if <N> else <T>", "'%s|%r' % (<T>, <T>)",
            "'%5d|%-7.2f|%x|%e|%g|%05d|%+d' % (<N>|int, <N>, <N>|int|abs, <N>, <N>, 42, 7)",
            f"'{{!r:>12}}|{{:^9}}|{{:,}}|{{:08.3f}}|{{:+.2e}}|{{:#x}}|{{:.1%}}'.format(<T>, <T>, "
            "<N>|int, <N>|float, <N>|float, <N>|int, <N>|float)",
            "<T> or <T>", "<T> and <T>",
            "(<T>)|default(<T>, true)", "(<T>)|first", "(<T>)|last",
        ])

    def number_expr(self, depth):
        if depth <= 0:
            return self.pick(["n", "z", "neg", "", "g", "t", "big", "0", "1", "2", "3", "-4", "1.5",
                              "0.1", "100", "1e3"])
        return self.fill(depth, [
            "<N> + <N>", "<N> - <N>", "<N> * <N>", "(<N>) / (<N>)",
            "(<N>) // (<N>)", "(<N>) % (<N>)", "(<N0>) ** 2", "-<N>", "(<N>)|abs",
            "(<N>)|round", f"(<N>)|round({self.pick(['0', '1', '2', '-1'])})",
            f"(<N>)|round(1, '{self.pick(['ceil', 'floor', 'common'])}')", "(<N>)|int",
            "(<N>)|float", "(<T>)|int", "(<T>)|float(-1)", "(<T>)|length",
            "(<L>)|length", "(<L>)|sum", "(<L>)|min", "(<L>)|max", "(<T>)|wordcount",
            "(<T>).find(<T>)", "(<T>).rfind(<T>, <N>)", "(<T>).count(<T>)",
            "(<L>).count(<N>)", "<N> < <N>", "<N> == <N>", "<T> in <T>",
            "<N> in <L>", "<N> <= <N> < <N>", "<N> is odd", "<N> is divisibleby 3",
            "<T> is lower", "(<T>).startswith((<T>, <T>))", "(<T>).isalpha()",
            "(<T>).istitle()", "not <N>", "<N> and <N>", "<T> < <T>",
        ])

    def list_expr(self, depth):
        if depth <= 0:
            return self.pick(["l", "ls", "mix", "el", "lo", "[1, 2, 3]", "range(4)", "(1, 'b')", "msgs",
                              "range(9, 0, -2)"])
        a = self.pick(["a", "b", "k", "role", "x.y"])
        return self.fill(depth, [
            "(<L>)|list + (<L>)|list", "(<L>)|sort|list", "(<L>)|unique|list",
            "(<L>)|reverse|list", "(<L>)|map('string')|list", "(<L>)|select|list",
            "(<L>)|reject('none')|list", f"lo|selectattr('{a}')|list",
            f"lo|map(attribute='{a}')|list", f"lo|rejectattr('{a}', 'defined')|list",
            f"lo|map(attribute='{a}', default=<N>)|list", f"lo|groupby('{a}', default='')|list",
            f"lo|sort(attribute='{self.pick(['b', 'k', 'b,k'])}')", "(<L>)|batch(2, <N>)|list",
            "(<L>)|slice(3)|list", f"(<L>)[<N>:<N>:{self.pick(['', '1', '-1', '2'])}]",
            "(<T>).split(<T>)", "(<T>).split()", "(<T>).split(none, 1)",
            "(<T>).rsplit(<T>, 1)", "(<T>).rsplit(none, 2)", "(<T>).splitlines(true)",
            "(<T>).partition(<T>)", "(<T>).rpartition(<T>)", "(<T>)|list", "d|dictsort",
            "d|items|list", "d.items()|list", "d.keys()|list", "d.values()|list",
            "[<T>, <N>, <A>]", "(<T>, <N>)", "(<L>) * 2",
        ])

    def any_expr(self, depth):
        make = self.pick([self.text_expr, self.number_expr, self.list_expr])
        if self.r.random() < 0.1:
            return self.pick(["none", "d", "nest", "ed", "undef", "nest.x.y", "msgs[0].role",
                              f"{{'a': {self.text_expr(depth - 1)}, 1: {self.number_expr(0)}}}",
                              "lo[1].b", "lo[-1].k", "d.a", "d['b']", "d.get('q', 1)"])
        return make(depth)

    def expr(self, depth):
        if self.r.random() < 0.85:
            return self.any_expr(depth)
        if depth <= 0:
            return self.leaf()
        x = lambda: self.expr(depth - 1)
        k = self.r.randrange(26)
        if k < 3:
            return f"{x()} {self.pick(['+', '-', '*', '/', '//', '%', '** 2 +', '~'])} {x()}"
        if k < 5:
            return f"({x()}) {self.pick(['+', '-', '*', '/', '//', '%', '~'])} ({x()})"
        if k < 7:
            op = self.pick(["==", "!=", "<", "<=", ">", ">=", "in", "not in"])
            return f"{x()} {op} {x()}" + (f" < {x()}" if self.r.random() < 0.1 else "")
        if k < 9:
            return f"{x()} {self.pick(['and', 'or'])} {x()}"
        if k == 9:
            return f"{self.pick(['not ', '-', '+'])}{x()}"
        if k < 14:
            name = self.pick(FILTERS)
            args = self.args(FILTERS[name])
            left = x() if self.r.random() < 0.5 else f"({x()})"
            tail = self.pick(["", "", "|list", "|string", "|length", "|join(',')", "|first"])
            return f"{left}|{name}" + (f"({args})" if args or self.r.random() < 0.2 else "") + tail
        if k < 16:
            return f"{x()} is {self.pick(['', '', 'not '])}{self.pick(TESTS)}"
        if k < 19:
            name = self.pick(METHODS)
            given = ", ".join(self.leaf() for _ in range(self.r.randint(0, METHODS[name])))
            return f"{self.pick([self.leaf(), f'({x()})'])}.{name}({given})"
        if k < 21:
            part = lambda: self.pick(["", "", "0", "1", "-1", "2", "-3", "10", self.leaf()])
            key = self.pick([f"{part()}:{part()}", f"{part()}:{part()}:{part()}", self.leaf()])
            return f"{self.pick([self.leaf(), f'({x()})'])}[{key}]"
        if k == 21:
            return f"{self.leaf()}.{self.pick(['a', 'b', 'x', 'items', 'role', 'x.y', 'nosuch'])}"
        if k == 22:
            return f"{x()} if {x()}" + self.pick(["", f" else {x()}"])
        if k == 23:
            return "[" + ", ".join(x() for _ in range(self.r.randint(0, 3))) + "]"
        if k == 24:
            return "{" + ", ".join(f"{self.leaf()}: {x()}" for _ in range(self.r.randint(0, 2))) + "}"
        return self.pick([f"range({self.leaf()})", f"range({self.leaf()}, 5)", f"dict(a={x()})",
                          f"'%s' % ({x()})", f"'%5s|%r' % ({x()}, {x()})",
                          f"namespace(a={x()}).a", f"({x()}, {x()})", f"({x()},)",
                          f"'{{:>6}}|{{!r}}'.format({x()}, {x()})", "loop.index", "loop.last"])

    def open(self):
        return self.pick(["{%", "{%", "{%", "{%-", "{%+"])

    def close(self):
        return self.pick(["%}", "%}", "%}", "-%}", "+%}"])

    def tag(self, text):
        return f"{self.open()} {text} {self.close()}"

    def text(self):
        return self.pick(["", " ", "\n", "  \n", "\n  ", "x", " y ", "\n\n", "\t", "a\n b", "{", "é",
                          "}}", "{# c #}", "\n  {# c #}\n", "{#- c -#}", "\r\n",
                          "{% raw %}{{ x }}{% endraw %}", " {%- raw %} {% x {%- endraw -%} \n"])

    def statement(self, depth):
        x = lambda: self.expr(self.r.randint(0, 2))
        b = lambda: self.body(depth - 1)
        k = self.r.randrange(16)
        if depth <= 0 or k < 5:
            return self.pick(["{{", "{{", "{{-"]) + f" {x()} " + self.pick(["}}", "}}", "-}}"])
        if k < 7:
            middle = self.pick(["", self.tag("else") + b(), self.tag(f"elif {x()}") + b()])
            return self.tag(f"if {x()}") + b() + middle + self.tag("endif")
        if k < 10:
            target = self.pick(["x", "x", "x", "x, y"])
            over = self.pick([self.leaf(), x(), "d.items()", "range(4)", "lo", "ls|sort", "l"])
            test = self.pick(["", "", f" if {x()}"])
            inner = self.pick(["", "{{ loop.index }}{{ loop.first }}{{ loop.revindex0 }}",
                               "{{ loop.previtem }}|{{ loop.nextitem }}", "{{ loop.length }}",
                               "{{ loop.cycle('a', 'b') }}{{ loop.changed(x) }}", "{{ x }}",
                               self.tag(f"if {x()}") + self.tag(self.pick(["break", "continue"]))
                               + self.tag("endif")])
            middle = self.pick(["", "", self.tag("else") + b()])
            return self.tag(f"for {target} in {over}{test}") + inner + b() + middle + \
                self.tag("endfor")
        if k == 10:
            return self.tag(f"set {self.pick(['x', 's', 'q', 'x, q', 'n', 'l'])} = {x()}")
        if k == 11:
            return self.tag("set x" + self.pick(["", " | upper", " | trim | length"])) + b() + \
                self.tag("endset")
        if k == 12:
            name = self.pick(["m1", "m2"])
            params = self.pick(["", "x", "x, y=1", "x='a', y=x"])
            called = self.pick(["", "1", "1, 2", "y=3", "x=2", "1, 2, 3", "zz=1"])
            extra = self.pick(["", "{{ varargs }}", "{{ kwargs }}", "{{ caller() }}"])
            use = self.pick([f"{{{{ {name}({called}) }}}}",
                             self.tag(f"call {name}({called})") + b() + self.tag("endcall")])
            return self.tag(f"macro {name}({params})") + extra + b() + self.tag("endmacro") + use
        if k == 13:
            return self.tag(f"with x = {x()}, q = x") + b() + self.tag("endwith")
        if k == 14:
            return self.tag("filter " + self.pick(["upper", "trim", "replace('a', 'b')", "indent",
                                                   "title", "length"])) + b() + self.tag("endfilter")
        return self.pick([
            self.tag(f"set ns = namespace(c={x()})") + self.tag("for x in [1, 2]") +
            self.tag("set ns.c = ns.c ~ x") + self.tag("endfor") + "{{ ns.c }}",
            self.tag("generation") + b() + self.tag("endgeneration"),
            self.tag("for x in [[1, [2]], [3]] recursive") +
            "{{ loop.depth }}{{ x if x is number else loop(x) }}" + self.tag("endfor")])

    def body(self, depth):
        return "".join(self.text() + self.statement(depth) + self.text()
                       for _ in range(self.r.randint(1, 2)))

    def template(self):
        if self.r.random() < 0.6:
            return "{{ " + self.expr(3) + " }}"
        return self.body(3)


# "sliced", "slice indices": while it folds constants Jinja2 makes `none[1:]` undefined; confab
# refuses it as Jinja2 does where nothing is constant.
LEFT_OUT = re.compile(r"past 64 bits|(is|are) not available|limit of|nested deeper|sliced|"
                      r"slice indices|'LoopContext' object is not iterable")
ADDRESS = re.compile(r"[ ,]*".join(r"at0x") + r"|<built-in|<bound method|<generator|<function|"
                     r"object>", re.IGNORECASE)


# What prints a generator, and so its address, on the way to something else.
PRINTED = re.compile(r"\|(unique|batch|slice|map|select|reject|selectattr|rejectattr|items|reverse)"
                     r"\b(\([^|]*\))?\)*\|(string|e|escape|forceescape|safe|trim|lower|upper|title|"
                     r"capitalize|center|replace|wordcount|urlencode|format)\b")


def check(program, seed):
    """"text" (the same), "error" (on both sides), "left out", or what differs."""
    warnings.simplefilter("ignore")  # Python's, on literals that can't be subscripted
    template = Maker(seed).template()
    if PRINTED.search(template):
        return "left out"
    want, want_error = oracle.render(oracle.compile(template), json.loads(json.dumps(CONTEXT)))
    if want is not None and (ADDRESS.search(want) or len(want) > 1000000):
        return "left out"
    with tempfile.NamedTemporaryFile(suffix=".jinja") as file:
        file.write(template.encode("utf-8", "surrogatepass"))
        file.flush()
        done = subprocess.run(
            [program, "render", "--now", str(oracle.NOW), file.name, "-"],
            input=json.dumps(CONTEXT).encode(), capture_output=True, timeout=60,
            env=dict(os.environ, TZ="UTC"))
    got = done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
    if done.returncode not in (0, 1):
        return f"seed {seed}: {template!r}\n  EXIT {done.returncode}\n  {done.stderr.decode()}"
    if got == want:
        return "text" if want is not None else "error"
    if got is None and LEFT_OUT.search(done.stderr.decode()):
        return "left out"
    if got is not None and ADDRESS.search(got):
        return "left out"
    return f"seed {seed}: {template!r}\n  want {want if want is not None else want_error!r}\n" \
           f"  got  {got if got is not None else done.stderr.decode()!r}"


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--confab", default="build/confab")
    args.add_argument("--count", type=int, default=5000)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--jobs", type=int, default=2)
    args = args.parse_args()
    seen = {"text": 0, "error": 0, "left out": 0}
    wrong = []
    with concurrent.futures.ProcessPoolExecutor(args.jobs) as pool:
        seeds = range(args.seed, args.seed + args.count)
        for result in pool.map(check, [args.confab] * args.count, seeds, chunksize=50):
            if result in seen:
                seen[result] += 1
            else:
                wrong.append(result)
    print("\n".join(wrong[:60]))
    print(f"{args.count} templates: {seen['text']} with the same text, {seen['error']} refused by "
          f"both, {seen['left out']} left out, {len(wrong)} mismatches")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
