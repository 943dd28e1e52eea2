"""Python's Jinja2 set up as transformers' apply_chat_template does: the reference for src/jinja."""
import datetime
import json

import jinja2
import jinja2.ext
import jinja2.sandbox

NOW = 1753705845  # 2025-07-28 12:30:45 UTC; both sides get the same time


class Generation(jinja2.ext.Extension):
    """{% generation %} ... {% endgeneration %}: the body as it is."""

    tags = {"generation"}

    def parse(self, parser):
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_body")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(lineno)

    def _body(self, caller):
        return caller()


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    def strftime_now(format):
        return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).replace(
            tzinfo=None).strftime(format)

    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    return env


def compile(template):
    """A compiled template, or the error that it is."""
    try:
        return environment().from_string(template)
    except Exception as e:
        return e


def render(template, variables):
    """(text, None) or (None, the error); template as compile() returns it."""
    try:
        if isinstance(template, Exception):
            raise template
        return template.render(**variables), None
    except Exception as e:  # whatever it is: the other side must refuse as well
        return None, f"{type(e).__name__}: {e}"
