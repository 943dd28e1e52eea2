"""Renders conversations with chat_template.jinja, set up as transformers does, and finds what to learn."""
import json
import os

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = open(os.path.join(HERE, "chat_template.jinja"), encoding="utf-8").read()
HEAD, END, THINK = "<|im_start|>assistant\n", "<|im_end|>\n", "<think>\n"

_env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                     extensions=["jinja2.ext.loopcontrols"])
_env.filters["tojson"] = lambda x, ensure_ascii=False, indent=None, separators=None, sort_keys=False: \
    json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
_template = _env.from_string(SOURCE)


def prompt(messages, tools=None, thinking=False):
    """The text that the model is asked to continue."""
    return _template.render(messages=messages, tools=tools, add_generation_prompt=True, enable_thinking=thinking)


def text(d):
    """A whole dialogue.  Reasoning shows after the last question only, as it does when serving."""
    messages = d["messages"]
    if not d["thinking"]:
        messages = [{k: v for k, v in m.items() if k != "reasoning_content"} for m in messages]
    return _template.render(messages=messages, tools=d["tools"], add_generation_prompt=False)


def pieces(rendered):
    """Splits a rendered dialogue into (text, is the assistant's own) pieces, in order."""
    out, at = [], 0
    while True:
        i = rendered.find(HEAD, at)
        if i < 0:
            break
        i += len(HEAD)
        if rendered.startswith(THINK, i):       # the prompt of a thinking turn ends here
            i += len(THINK)
        j = rendered.index(END, i) + len(END) - 1
        out.append((rendered[at:i], False))
        out.append((rendered[i:j], True))
        at = j
    out.append((rendered[at:], False))
    return out
