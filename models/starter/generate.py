#!/usr/bin/python3
"""Training conversations for the starter model, drawn from a seed.

Everything the model ever sees comes from this file, words.py and facts.json: no other text is used.
`Generator(seed).dialogue(progress)` returns a dict of OpenAI-shaped `messages`, `tools` (or None) and
`thinking`.  `progress` (0 to 1) is the share of the training time that has passed: short copying
exercises dominate at first, because copying is what tool calls and names are made of.

The generator keeps `held_out=True` for evaluation: it then draws tool nouns, names and values from
words that training never uses.

    generate.py [--seed N] [--count N] [--progress P] [--held-out]     prints rendered dialogues
"""
import argparse
import json
import os
import random

import words as W

HERE = os.path.dirname(os.path.abspath(__file__))
FACTS = json.load(open(os.path.join(HERE, "facts.json"), encoding="utf-8"))

NO_TOOL = "I have no tool for that, so I cannot do it."
TINY = "I am only a tiny model, so that is beyond me. Please ask a larger model."
BIG_SUM = "That sum is too big for me without a calculator tool."

# Shares of the mix, as chances, as the evaluation has them; training has its own and may change them while it runs.
MIX = {"tools": .7,          # dialogues with tools
       "drill": .6,          # of them: calls alone, no results; choosing and copying, nothing else
       "choose": .3,         # of the drills: many small tools, to learn which one fits
       "none": .25,          # of their questions: no tool fits
       "known": .35,         # of the tools: those with everyday wording, not drawn at random
       "own": 0,             # of these: confab's own calculator
       "dressed": 0,         # of the others: with longer names and descriptions, asked for by name
       "plain": .6,          # of the names drawn at random: a verb, an underscore, a noun
       "noise": .4,          # of the made-up words: letters without a rule
       "strange": .6,        # of the questions that no tool fits: drawn as tools are; the others have everyday wording
       "several": .22}       # of the questions that a tool fits: several calls


def upper_first(s):
    return s[:1].upper() + s[1:]


def say_value(v):
    """How a value of a tool's result is read out."""
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, list):
        return ", ".join(say_value(x) for x in v)
    if isinstance(v, dict):
        return ", ".join(f"{k} {say_value(x)}" for k, x in v.items())
    return str(v)


def say_result(content):
    """The sentence that carries a tool's result; one rule for every tool, known or not."""
    try:
        d = json.loads(content)
    except ValueError:
        d = content
    if isinstance(d, dict) and "error" in d:
        return f"The tool failed: {say_value(d['error'])}."
    if isinstance(d, dict) and d:
        parts = [f"the {k.replace('_', ' ')} is {say_value(v)}" for k, v in d.items()]
        return upper_first(", ".join(parts)) + "."
    text = content if isinstance(d, (dict, str)) else say_value(d)
    return f"The result is {text}" + ("" if text.endswith((".", "!", "?")) else ".")


class Generator:
    def __init__(self, seed, held_out=False):
        self.r = random.Random(seed)
        self.held_out = held_out
        self.names = W.NAMES_HELD if held_out else W.NAMES
        self.cities = W.CITIES_HELD if held_out else W.CITIES
        self.nouns = W.NOUNS_HELD if held_out else W.NOUNS

    # ---- words -----------------------------------------------------------------------------
    def pick(self, xs):
        return xs[int(self.r.random() * len(xs))]

    def chance(self, p):
        return self.r.random() < p

    def syllables(self, lo=2, hi=3):
        """A word that does not exist; training and evaluation use different endings."""
        r = self.r
        if not self.held_out and r.random() < MIX["noise"]:
            return self.noise()
        if r.random() < .45:                     # the front of one word and the back of another
            a, b = self.pick(W.ALL_WORDS), self.pick(W.ALL_WORDS)
            s = a[:r.randint(2, 4)] + b[-r.randint(2, 4):]
            if s.endswith(W.HELD_ENDINGS) == self.held_out and s not in W.HELD_WORDS:
                return s
        s = "".join(self.pick(W.ONSETS) + self.pick(W.NUCLEI) + (self.pick(W.CODAS) if r.random() < .4 else "")
                    for _ in range(r.randint(lo, hi)))
        held = s.endswith(W.HELD_ENDINGS)
        if held != self.held_out:
            s = s + (self.pick(W.HELD_ENDINGS) if self.held_out else self.pick(("k", "l", "x")))
        return s

    def noise(self):
        """Letters without a rule, so that copying cannot lean on how words usually go on or end."""
        r = self.r
        if r.random() < .3:
            return "".join(r.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(r.randint(2, 7)))
        out = self.pick(W.FRONTS) if r.random() < .4 else ""    # after a space such a word is another token
        for _ in range(r.randint(1, 3)):
            w = self.pick(W.ALL_WORDS)
            i = r.randint(0, len(w) - 2)
            out += w[i:i + r.randint(1, 4)]
        return out if out not in W.HELD_WORDS else self.noise()

    def name(self):
        return self.pick(self.names) if self.chance(.35) else upper_first(self.syllables(1, 3))

    def city(self):
        return self.pick(self.cities) if self.chance(.5) else upper_first(self.syllables(2, 3))

    def noun(self):
        return self.pick(self.nouns) if self.chance(.6) else self.syllables(2, 3)

    def digits(self, n):
        return str(self.r.randint(1, 9)) + "".join(str(self.r.randint(0, 9)) for _ in range(n - 1))

    def integer(self):
        return int(self.digits(self.pick((1, 1, 2, 2, 2, 3, 3, 4, 5))))

    def number(self):
        x = self.integer() if self.chance(.4) else round(self.r.uniform(0, 200), self.pick((1, 1, 2)))
        return int(x) if x == int(x) else x

    def phrase(self, lo=2, hi=5):
        return " ".join(self.pick(W.PLAIN) if self.chance(.75) else self.noun()
                        for _ in range(self.r.randint(lo, hi)))

    def date(self):
        return f"20{self.r.randint(10, 39)}-{self.r.randint(1, 12):02d}-{self.r.randint(1, 28):02d}"

    def time(self):
        return f"{self.r.randint(0, 23):02d}:{self.r.randint(0, 59):02d}"

    def ident(self):
        a = "".join(self.pick("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(self.r.randint(1, 3)))
        return self.pick((a + "-" + self.digits(self.r.randint(2, 5)), a + self.digits(self.r.randint(2, 4)),
                          self.digits(self.r.randint(4, 7))))

    def email(self):
        return f"{self.name().lower()}@{self.noun()}.{self.pick(('com', 'org', 'net', 'dev'))}"

    def text_value(self):
        k = self.r.random()
        if k < .22: return self.name()
        if k < .38: return self.city()
        if k < .54: return self.noun()
        if k < .66: return self.phrase(2, 4)
        if k < .74: return upper_first(self.noun()) + " " + upper_first(self.noun())
        if k < .84: return self.ident()
        if k < .88: return self.email()
        if k < .92: return self.date()
        if k < .95: return self.time()
        return self.noun() + self.pick((".txt", ".md", ".json", ".csv", ".png", ".c", ".gguf"))

    # ---- tools drawn at random ---------------------------------------------------------------
    def param(self, used):
        """A parameter: (name, schema, value maker, may it stand without quotes)."""
        r = self.r
        while True:
            k = r.random()
            if k < .55:
                name, kind = self.pick(W.TEXT_PARAMS), "string"
            elif k < .72:
                name, kind = self.pick(W.INT_PARAMS), "integer"
            elif k < .78:
                name, kind = self.pick(W.INT_PARAMS), "number"
            elif k < .84:
                name, kind = self.pick(W.BOOL_PARAMS), "boolean"
            elif k < .91:
                name, kind = self.pick(W.ENUM_PARAMS), "enum"
            elif k < .94:
                name, kind = self.pick(W.LIST_PARAMS), "array"
            else:
                name, kind = self.noun(), self.pick(("string", "integer"))
            if self.chance(.1):
                name = self.noun() + "_" + name
            elif self.chance(.1):
                name = self.syllables(1, 2)
            if name not in used:
                break
        used.add(name)
        schema = {"type": "string" if kind == "enum" else kind}
        if kind == "array":
            schema["items"] = {"type": "string"}
        if kind == "enum":
            schema["enum"] = r.sample(W.ENUM_VALUES, r.randint(2, 4)) if self.chance(.7) else \
                [self.syllables(1, 2) for _ in range(r.randint(2, 4))]
        if self.chance(.3):
            schema["description"] = self.pick(("The {}", "The {} to use", "{}", "A {}", "{} of the {}")).format(
                name.replace("_", " "), self.noun())
        return name, kind, schema

    def value(self, kind, schema, name=""):
        if kind == "string":
            base = name.split("_")[-1]
            if self.chance(.8):
                f = {"city": self.city, "name": self.name, "date": self.date, "time": self.time, "id": self.ident,
                     "email": self.email, "user": self.name, "person": self.name, "to": self.name,
                     "text": lambda: self.phrase(2, 6), "message": lambda: self.phrase(2, 6),
                     "note": lambda: self.phrase(2, 6), "title": lambda: self.phrase(1, 4)}.get(base)
                if f:
                    return f()
            return self.text_value()
        if kind == "integer": return self.integer()
        if kind == "number": return self.number()
        if kind == "boolean": return self.chance(.5)
        if kind == "array": return [self.pick((self.noun, self.name))() for _ in range(self.pick((1, 2, 2, 3)))]
        return self.pick(schema["enum"])

    def tool_name(self, verb, noun):
        k = self.r.random()
        if k < MIX["plain"]: return f"{verb}_{noun}"
        k = .6 + .4 * (k - MIX["plain"]) / (1 - MIX["plain"])
        if k < .72: return verb + upper_first(noun)
        if k < .82: return f"{noun}_{verb}"
        if k < .86: return f"{verb}-{noun}"
        if k < .9: return noun
        return self.syllables(2, 3) + ("_" + self.syllables(1, 2) if self.chance(.4) else "")

    def random_tool(self, verb=None, noun=None, n_params=None):
        """A tool nobody has seen; `ask` makes a request for it with its arguments."""
        verb = verb or self.pick(W.VERBS)
        noun = noun or self.noun()
        of = self.noun() if self.chance(.3) else None
        thing = f"{noun} of the {of}" if of else noun
        desc = self.pick(("{v} the {t}.", "{v} the {t}", "{v} a {t}", "{v} a {t}.", "{V}s the {t}.", "{v} {t}",
                          "Use this to {l} the {t}.")).format(
            v=upper_first(verb), V=upper_first(verb), l=verb, t=thing)
        used, props, kinds = set(), {}, {}
        n = n_params if n_params is not None else self.pick((0, 1, 1, 1, 1, 2, 2, 2, 2, 3))
        for _ in range(n):
            p, kind, schema = self.param(used)
            props[p], kinds[p] = schema, kind
        required = [p for i, p in enumerate(props) if i == 0 or self.chance(.8)]
        params = {"type": "object", "properties": props}
        if required or self.chance(.5):
            params["required"] = required
        if self.chance(.08):
            params["additionalProperties"] = False
        name = self.tool_name(verb, noun)
        fn = {"name": name, "description": desc, "parameters": params}

        def ask(g):
            chosen = [p for p in props if p in required or g.chance(.5)]
            args = {p: g.value(kinds[p], props[p], p) for p in chosen}
            text = g.request_text(name, verb, thing, args, kinds)
            return text, args

        return {"fn": fn, "ask": ask, "key": (verb, noun), "result": None}

    def say_arg(self, p, v, kind, quoted):
        shown = p if self.chance(.3) else p.replace("_", " ")
        if kind == "boolean":
            v = self.pick(("true", "true", "yes", "on")) if v else self.pick(("false", "false", "no", "off"))
        elif kind == "array":
            v = v[0] if len(v) == 1 else ", ".join(v[:-1]) + self.pick((" and ", ", ")) + v[-1]
        elif kind in ("string", "enum"):
            v = f'"{v}"' if quoted else v
        form = self.pick(("{p} {v}", "{p} {v}", "{p} {v}", "{p} = {v}", "{p}: {v}", "the {p} {v}",
                          "{p} set to {v}", "{p} is {v}"))
        return form.format(p=shown, v=v)

    def request_text(self, name, verb, thing, args, kinds, by_name=False):
        r = self.r
        order = list(args)
        if self.chance(.2):
            r.shuffle(order)
        said = []
        for p in order:
            v = args[p]
            multi = isinstance(v, str) and " " in v
            said.append(self.say_arg(p, v, kinds[p], multi or self.chance(.3)))
        k = 0 if by_name else r.random()
        lead = self.pick(("", "", "", "Please ", "Can you ", "Could you ", "I want to ", "I need to ", "Now ",
                          "Hey, ", "Would you "))
        if k < .25:
            head = lead + self.pick(("use", "call", "run", "use the tool", "call the tool")) + " " + name
        else:
            synonym = self.pick(W.SYNONYMS.get(verb, (verb,))) if self.chance(.25) else verb
            head = lead + synonym + " " + self.pick(("the ", "the ", "a ", "my ")) + thing
        if len(said) == 1 and k >= .25 and self.chance(.5):
            p = order[0]
            v = args[p]
            if kinds[p] in ("string", "enum"):
                shown = f'"{v}"' if " " in v or self.chance(.15) else v
                tail = self.pick((" for ", " of ", " in ", " called ", " named ", " with ", " ", ": ")) + shown
            elif kinds[p] in ("integer", "number"):
                tail = self.pick((" for ", " with ", " to ", " at ", " number ", ": ")) + str(v)
            else:
                tail = " with " + said[0]
        elif said:
            join = said[0] if len(said) == 1 else (
                ", ".join(said[:-1]) + self.pick((" and ", ", ", " and ")) + said[-1])
            tail = self.pick((" with ", " with ", " using ", ", ", ": ", " where ")) + join
        else:
            tail = ""
        text = head + tail
        if self.chance(.85):
            text = upper_first(text)
        return text + self.pick(("", ".", ".", "?" if lead[:3] in ("Can", "Cou", "Wou") else "."))

    # ---- tools with everyday wording -----------------------------------------------------------
    def dress_tool(self, fn):
        """Name and description as other people write them."""
        if self.chance(MIX["dressed"]):
            fn["name"] = self.pick(("{n}_{t}", "{t}_{n}", "{n}-{t}")).format(n=self.noun(), t=fn["name"])
        if self.chance(MIX["dressed"]):
            fn["parameters"]["additionalProperties"] = False
        if not self.chance(2 * MIX["dressed"]):
            return
        more = [self.pick(("Use it for every {n}.", "Returns the {n}.", "The {n} is in {m}.", "Only for the {n}.",
                           "Call it once for each {n}.", "It never changes the {n}.")).format(n=self.noun(), m=self.noun())
                for _ in range(self.r.randint(0, 2))]
        if self.chance(.4):
            more.append(upper_first(self.noun()) + "s: " + self.pick((" ", ", ")).join(
                self.syllables(1, 2) for _ in range(self.r.randint(3, 12))) + ".")
        fn["description"] = " ".join([fn["description"].rstrip(".") + "."] + more)

    def known_tool(self, spec=None):
        if spec is None:
            spec = W.CALCULATOR if MIX["own"] and self.chance(MIX["own"]) else self.pick(W.KNOWN)
        dressed = MIX["dressed"] > 0
        names = {slot: self.pick(alts) for slot, (alts, _) in spec["slots"].items()}
        props, kinds = {}, {}
        slots = list(spec["slots"])
        for slot in slots:
            kind = spec["slots"][slot][1]
            schema = {"type": {"integer": "integer", "number": "number"}.get(kind, "string")}
            if self.chance(.35):
                schema["description"] = upper_first(self.pick(("the {}", "{}", "name of the {}")).format(
                    names[slot].replace("_", " ")))
            props[names[slot]] = schema
            kinds[slot] = kind
        extra = None
        if spec.get("extra") and self.chance(.3):        # an optional parameter that nobody asks for
            extra = self.pick(spec["extra"])
            if extra[0] not in props:
                props[extra[0]] = dict(extra[1])
        req = [names[s] for s in slots]
        name, desc = self.pick(spec["names"]), self.pick(spec["desc"])
        fn = {"name": name, "description": desc,
              "parameters": {"type": "object", "properties": props, "required": req}}
        if dressed and spec is not W.CALCULATOR:
            self.dress_tool(fn)
        elif spec is W.CALCULATOR:
            props["expression"]["description"] = "The expression, for example 12 * 7.5"
            fn["parameters"]["additionalProperties"] = False

        def ask(g):
            vals = {s: g.slot_value(kinds[s]) for s in slots}
            text = g.pick(spec["ask"]).format(**vals)
            if dressed and g.chance(MIX["dressed"] if spec is not W.CALCULATOR else .3):
                text = g.request_text(fn["name"], None, None, {names[s]: vals[s] for s in slots},
                                      {names[s]: "integer" if kinds[s] in ("integer", "number") else "string"
                                       for s in slots}, by_name=True)
            elif g.chance(.15):
                text = g.pick(("Please: ", "Hey, ", "Now: ", "Next: ", "Quick: ")) + text
            elif g.chance(.12):
                text = text[0].lower() + text[1:]
            if g.chance(.1):
                text = text.rstrip("?.")
            return text, {names[s]: vals[s] for s in slots}

        key = "calculator" if spec is W.CALCULATOR else spec["names"][0]
        return {"fn": fn, "ask": ask, "key": key, "result": spec.get("result")}

    def slot_value(self, kind):
        if kind == "integer": return self.r.randint(1, 120)
        if kind == "number": return self.number()
        if kind == "sum": return self.big_sum()
        if kind == "any sum": return self.any_sum()
        if kind == "currency": return self.pick(W.CURRENCIES)
        if kind == "language": return self.pick(W.LANGUAGES)
        if kind == "phrase": return self.phrase(2, 5)
        return {"city": self.city, "name": self.name, "noun": self.noun, "time": self.time, "date": self.date,
                "ident": self.ident, "email": self.email, "text": self.text_value,
                "symbol": lambda: "".join(self.pick("ABCDEFGHIKLMNOPQRSTVXYZ") for _ in range(self.r.randint(3, 4))),
                "path": lambda: "/" + "/".join(self.noun() for _ in range(self.r.randint(1, 3))),
                "file": lambda: self.noun() + self.pick((".txt", ".md", ".json", ".csv"))}[kind]()

    def big_sum(self):
        op = self.pick("+-*/") if self.chance(.9) else self.pick(("%", "**"))
        a, b = self.digits(self.r.randint(2, 4)), self.digits(self.r.randint(2, 3))
        if self.chance(.12):
            return f"({a} {op} {b}) {self.pick('+-*')} {self.digits(2)}"
        if self.chance(.15):
            return f"{a} {op} {b} {self.pick('+-*')} {self.digits(self.r.randint(1, 3))}"
        return f"{a} {op} {b}"

    def any_sum(self):
        """What people give a real calculator; only what turn_tiny_sum asks is left to the model itself."""
        k, few = self.r.random(), lambda lo=1: self.digits(self.r.randint(lo, 3))
        if k < .35:
            return self.big_sum()
        if k < .65:
            a, b = few(2), few()
            return (f"{a} {{}} {b}" if self.chance(.7) else f"{b} {{}} {a}").format(self.pick("+-*/"))
        if k < .75:
            return f"{few(2)}{self.pick('+-*/')}{few()}"
        if k < .82:
            return f"{few()}{self.pick('+-*/')}({few()}{self.pick('+-*/')}{few()})"
        if k < .88:
            return f"{few()}.{few()} {self.pick('+-*/')} {few(2)}"
        if k < .94:
            return f"{self.pick(('sqrt', 'abs', 'floor', 'exp', 'ln'))}({few(2)})"
        return f"{few()} {self.pick(('**', '%', '//'))} {few(2)}"

    def tool(self):
        return self.known_tool() if self.chance(MIX["known"]) else self.random_tool()

    def toolset(self, n, n_params=None):
        """n tools that differ; n_params makes those drawn at random take so many parameters at most."""
        tools, names, keys = [], set(), set()
        most = (lambda: None) if n_params is None else (lambda: self.r.randint(0, n_params))
        while len(tools) < n:
            if tools and self.chance(.22) and isinstance(tools[-1]["key"], tuple):     # a close neighbour
                verb, noun = tools[-1]["key"]
                t = self.random_tool(verb=verb, n_params=most()) if self.chance(.5) else \
                    self.random_tool(noun=noun, n_params=most())
            else:
                t = self.tool() if n_params is None or self.chance(.7) else self.random_tool(n_params=most())
            if t["fn"]["name"] in names or t["key"] in keys:
                continue
            names.add(t["fn"]["name"])
            keys.add(t["key"])
            tools.append(t)
        return tools

    def result_for(self, tool, args):
        r = self.r
        if self.chance(.06):
            return json.dumps({"error": self.phrase(1, 4)})
        if tool["result"] == "sum":
            if self.chance(.04):
                return json.dumps({"error": "division by zero"})
            v = self.number() if self.chance(.3) else self.r.randint(-20, 10 ** self.r.randint(1, 6))
            return json.dumps({"result": f"{args['expression']}={v}"})
        if tool["result"] and self.chance(.5):
            d = {}
            for k, kind in tool["result"]:
                d[k] = self.slot_value(kind) if kind not in W.RESULT_SETS else self.pick(W.RESULT_SETS[kind])
            return json.dumps(d, ensure_ascii=False)
        k = r.random()
        if k < .04:
            return upper_first(self.phrase(6, 12)) + "."
        if k < .25:
            return self.pick((str(self.number()), self.text_value(), upper_first(self.phrase(2, 5)),
                              upper_first(self.phrase(2, 4)) + ", " + str(self.integer()), str(self.integer()),
                              self.pick(("ok", "done", "true", "sent"))))
        d = {}
        for _ in range(self.pick((1, 1, 1, 2, 2, 2, 3))):
            key = self.pick(W.RESULT_KEYS) if self.chance(.7) else self.noun()
            j = r.random()
            d[key] = (self.text_value() if j < .5 else self.integer() if j < .75 else self.number() if j < .87
                      else self.chance(.5) if j < .97 else [self.noun() for _ in range(r.randint(2, 3))])
        return json.dumps(d, ensure_ascii=False)

    # ---- turns: each appends messages -----------------------------------------------------------
    def answer(self, out, text, think):
        out.append({"role": "assistant", "content": text, "reasoning_content": think})

    def listable(self, tool):
        """May several values be named in one question?  Not where they are free text."""
        spec = next(s for s in W.KNOWN if s["names"][0] == tool["key"])
        return all(kind in ("city", "integer", "ident", "symbol", "time", "noun", "name")
                   for _, kind in spec["slots"].values())

    def turn_tool(self, out, st):
        """One or several calls, then the answer that reads the results out."""
        tools = st["tools"]
        tool = self.pick(tools)
        n = 1 if self.chance(1 - st.get("several", .15)) else self.pick((2, 2, 2, 3))
        calls, texts = [], []
        if n > 1 and tool["fn"]["parameters"]["properties"] and self.chance(.5) and isinstance(tool["key"], str) \
                and len(tool["fn"]["parameters"]["required"]) == 1 \
                and tool["fn"]["parameters"]["properties"] and self.listable(tool):
            spec = next(s for s in W.KNOWN if s["names"][0] == tool["key"])
            slot = next(iter(spec["slots"]))
            vals = []
            while len(vals) < n:
                v = self.slot_value(spec["slots"][slot][1])
                if v not in vals:
                    vals.append(v)
            p = tool["fn"]["parameters"]["required"][0]
            listed = ", ".join(str(v) for v in vals[:-1]) + " and " + str(vals[-1])
            texts = [self.pick(spec["ask"]).format(**{slot: listed})]
            calls = [(tool, {p: v}) for v in vals]
        else:
            for i in range(n):
                t = tool if i == 0 else self.pick(tools)
                text, args = t["ask"](self)
                if any(c[0] is t and c[1] == args for c in calls):
                    continue
                calls.append((t, args))
                texts.append(text)
        text = texts[0]
        for t in texts[1:]:
            body = t if t[:1] == "I" else t[0].lower() + t[1:]
            text = text.rstrip(".?") + self.pick((" and ", " and then ")) + body
        out.append({"role": "user", "content": text})
        names = [c[0]["fn"]["name"] for c in calls]
        think = f"I will call {' and '.join(dict.fromkeys(names))}."
        out.append({"role": "assistant", "content": "", "reasoning_content": think, "tool_calls": [
            {"type": "function", "function": {"name": c[0]["fn"]["name"], "arguments": c[1]}} for c in calls]})
        if st.get("drill"):
            return
        said = []
        for t, args in calls:
            content = self.result_for(t, args)
            out.append({"role": "tool", "content": content})
            said.append(say_result(content))
        self.answer(out, " ".join(said), "I will say the result." if len(said) == 1 else "I will say the results.")

    def turn_none_fits(self, out, st):
        have = {t["key"] for t in st["tools"]}
        nouns = {t["key"][1] for t in st["tools"] if isinstance(t["key"], tuple)}
        while True:
            t = self.tool() if self.chance(MIX["strange"]) else self.known_tool()
            if t["key"] in have or (isinstance(t["key"], tuple) and t["key"][1] in nouns):
                continue
            if t["key"] == "calculator":
                continue
            break
        text, _ = t["ask"](self)
        out.append({"role": "user", "content": text})
        self.answer(out, NO_TOOL, "No tool fits.")

    def dress(self, q):
        """The same question in other clothes."""
        k = self.r.random()
        if k < .3: q = upper_first(q) + "?"
        elif k < .45: q = q + "?"
        elif k < .55: q = q
        elif k < .62: q = upper_first(q)
        elif k < .70: q = "Please tell me: " + q + "?"
        elif k < .76: q = "Hey, " + q + "?"
        elif k < .82: q = "I have a question: " + q + "?"
        elif k < .88: q = upper_first(q) + ", please?"
        elif k < .94: q = "Hi! " + upper_first(q) + "?"
        else: q = "And " + q + "?"
        return q

    def turn_fact(self, out, st):
        _, a, _, qs = self.pick(FACTS)
        out.append({"role": "user", "content": self.dress(self.pick(qs))})
        self.answer(out, a, "This is about confab and me.")

    def turn_talk(self, out, st):
        qs, a = self.pick(W.TALK)
        q = self.pick(qs)
        k = self.r.random()
        q = q if k < .5 else q.lower() if k < .65 else q.rstrip("!.?") if k < .8 else q.rstrip("!.?") + self.pick("!.?")
        out.append({"role": "user", "content": q})
        self.answer(out, a, "This is small talk.")

    def turn_tell_name(self, out, st):
        st["name"] = n = self.name()
        q = self.pick(W.TELL_NAME).format(n=n)
        out.append({"role": "user", "content": q})
        self.answer(out, f"Nice to meet you, {n}!", "The user told me a name.")

    def turn_ask_name(self, out, st):
        q = self.pick(W.ASK_NAME)
        q = q if self.chance(.7) else q.lower().rstrip("?")
        out.append({"role": "user", "content": q})
        self.answer(out, f"Your name is {st['name']}." if st["name"] else "You have not told me your name yet.",
                    "The user asks for the name.")

    def turn_tiny_sum(self, out, st):
        op = self.pick("+++---*")
        n = 9 if op != "*" else 5
        a, b = self.r.randint(0, n), self.r.randint(0, n)
        if op == "-" and b > a:
            a, b = b, a
        c = a + b if op == "+" else a - b if op == "-" else a * b
        word = {"+": "plus", "-": "minus", "*": "times"}[op]
        sym = op if op != "*" or self.chance(.6) else "x"
        q = self.pick(("What is {a} {o} {b}?", "{a} {o} {b}", "What is {a} {w} {b}?", "How much is {a} {o} {b}?",
                       "{a}{o}{b}=?", "Calculate {a} {o} {b}.", "{a} {w} {b}?", "{a} {o} {b} =",
                       "How much is {a} {w} {b}?")).format(a=a, b=b, o=sym, w=word)
        out.append({"role": "user", "content": q})
        self.answer(out, f"{a} {op} {b} = {c}.", "This is a tiny sum.")

    def turn_big_sum(self, out, st):
        calc = [t for t in st["tools"] if t["key"] == "calculator"]
        if calc:
            return self.turn_tool(out, {**st, "tools": calc})
        q = self.pick(W.SUM_ASK).format(a=self.big_sum())
        out.append({"role": "user", "content": q})
        self.answer(out, BIG_SUM, "This sum is too big for me.")

    def turn_json(self, out, st):
        d, said = {}, []
        for _ in range(self.r.randint(1, 4)):
            j = self.r.random()
            k = self.pick(W.TEXT_PARAMS + W.INT_PARAMS) if j < .8 else self.noun()
            if k in d:
                continue
            v = self.text_value() if self.chance(.6) else self.integer() if self.chance(.8) else self.chance(.5)
            if isinstance(v, str) and v.isdigit():
                v = int(v)
            d[k] = v
            w = ("true" if v else "false") if isinstance(v, bool) else str(v)
            if isinstance(v, str) and (" " in v or self.chance(.15)):
                w = f'"{v}"'
            said.append(self.pick(("{k} {w}", "{k} {w}", "{k}: {w}", "{k} = {w}", "the {k} {w}")).format(k=k, w=w))
        body = said[0] if len(said) == 1 else ", ".join(said[:-1]) + " and " + said[-1]
        q = self.pick(W.JSON_ASK).format(b=body)
        out.append({"role": "user", "content": q})
        self.answer(out, json.dumps(d, ensure_ascii=False), "The user wants JSON.")

    def turn_story(self, out, st):
        who = self.pick(W.HEROES)
        named = self.chance(.5)
        n = self.name() if named else self.pick(W.STORY_NAMES)
        place, thing, friend = W.HERO_WORLD[who]
        ask = self.pick(W.STORY_ASK_NAMED if named else W.STORY_ASK).format(w=who, n=n)
        if not named:
            n = W.HERO_NAME[who]
            if self.chance(.35):
                ask, who = self.pick(W.STORY_ASK_ANY), "fox"
                n, (place, thing, friend) = W.HERO_NAME[who], W.HERO_WORLD[who]
        out.append({"role": "user", "content": ask})
        self.answer(out, W.STORY.format(n=n, w=who, p=place, t=thing, f=friend), "The user wants a story.")

    def turn_tiny(self, out, st):
        q = self.pick(W.TOO_HARD).format(x=self.pick(W.TOPICS) if self.chance(.7) else self.noun(),
                                         y=self.pick(W.TOPICS), c=self.city(), n=self.name())
        q = q if self.chance(.7) else q.rstrip("?.") if self.chance(.5) else q[0].lower() + q[1:]
        out.append({"role": "user", "content": q})
        self.answer(out, TINY, "This is beyond me.")

    def turn_echo(self, out, st):
        v = self.pick((self.text_value, self.text_value, lambda: self.phrase(1, 7), lambda: str(self.integer()),
                       lambda: " ".join(self.syllables(1, 3) for _ in range(self.r.randint(1, 4)))))()
        out.append({"role": "user", "content": self.pick(W.ECHO).format(v=v)})
        self.answer(out, v, "I will repeat it.")

    # ---- a conversation --------------------------------------------------------------------------
    CHAT = (("talk", 16), ("fact", 30), ("tell_name", 8), ("ask_name", 10), ("tiny_sum", 22), ("big_sum", 3),
            ("json", 12), ("story", 4), ("tiny", 9), ("echo", 8))
    SIDE = (("talk", 4), ("fact", 6), ("tell_name", 3), ("ask_name", 3), ("tiny_sum", 5), ("big_sum", 2),
            ("json", 3), ("tiny", 2), ("echo", 1))

    def weighted(self, table):
        names, ws = zip(*table)
        return self.r.choices(names, ws)[0]

    def copy_drill(self):
        """Early training: repeat what was said, in the shapes that matter later."""
        out = []
        k = self.r.random()
        if k < .35:
            self.turn_echo(out, None)
            if self.chance(.5):
                self.turn_echo(out, None)
        elif k < .6:
            self.turn_json(out, None)
        elif k < .75:
            st = {"name": None, "tools": []}
            self.turn_tell_name(out, st)
            self.turn_ask_name(out, st)
        else:
            t = self.random_tool(n_params=self.pick((1, 1, 2)))
            self.turn_tool(out, {"tools": [t], "name": None})
            return {"messages": out, "tools": [t["fn"]], "thinking": False}
        return {"messages": out, "tools": None, "thinking": self.chance(.2)}

    def dialogue(self, progress=1.0):
        if progress < .12 and self.chance(.8 if progress < .05 else .4):
            return self.copy_drill()
        out, thinking = [], self.chance(.18)
        st = {"name": None, "tools": []}
        k = self.r.random()
        if k < .07:                              # many short lessons in one dialogue
            table = (("tiny_sum", 1),) if k < .035 else (("fact", 3), ("talk", 1))
            for _ in range(self.r.randint(5, 9)):
                getattr(self, "turn_" + self.weighted(table))(out, st)
            return {"messages": out, "tools": None, "thinking": False}
        if self.chance(.4):
            out.append({"role": "system", "content": self.pick(W.SYSTEM)})
        if self.chance(MIX["tools"]):
            st["several"] = MIX["several"]
            if self.chance(MIX["drill"]):
                st["drill"], thinking = True, False
            if st.get("drill") and self.chance(MIX["choose"]):
                st["tools"] = self.toolset(self.pick((1, 2, 3, 4, 5, 6)), 1)
                fits, turns = 1 - max(.35, MIX["none"]), self.pick((3, 4, 5, 6, 7))
            else:
                st["tools"] = self.toolset(self.pick((1, 2, 2, 3)) if progress < .3 else self.pick((1, 2, 2, 3, 3, 4)))
                fits, turns = 1 - MIX["none"], self.pick((2, 3, 4, 5, 6)) if st.get("drill") else self.pick((1, 2, 3, 4))
            for _ in range(turns):
                if not st.get("drill") and self.chance(.18): getattr(self, "turn_" + self.weighted(self.SIDE))(out, st)
                elif self.chance(fits): self.turn_tool(out, st)
                else: self.turn_none_fits(out, st)
            tools = [t["fn"] for t in st["tools"]]
        else:
            tools = None
            for _ in range(self.pick((1, 1, 2, 2, 3, 4, 5))):
                if st["name"] and self.chance(.25):
                    self.turn_ask_name(out, st)
                elif self.chance(.05):
                    self.turn_none_fits(out, st)
                else:
                    getattr(self, "turn_" + self.weighted(self.CHAT))(out, st)
        return {"messages": out, "tools": tools, "thinking": thinking}


def main():
    import render
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--count", type=int, default=10)
    ap.add_argument("--progress", type=float, default=1.0)
    ap.add_argument("--held-out", action="store_true")
    a = ap.parse_args()
    g = Generator(a.seed, a.held_out)
    for _ in range(a.count):
        print(render.text(g.dialogue(a.progress)))
        print("----")


if __name__ == "__main__":
    main()
