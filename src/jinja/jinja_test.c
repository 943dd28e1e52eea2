/* jinja/jinja_test.c - limits, hostile templates, provenance, and texts cut anywhere. */
#include "jinja/jinja.h"

#include "base/clock.h"
#include "base/mem.h"
#include "json/json.h"
#include "test.h"

/* Uses most of the language; renders with `messages` and `tools`. */
static const char everything[] =
    "{%- macro show(m, n=1) -%}<|{{ m.role }}|>{{ m['content'] | trim }}{{ varargs }}{{ caller(5) "
    "if caller }}{%- endmacro "
    "-%}\n"
    "{%- set ns = namespace(n=0, s='') -%}\n"
    "{%- for m in messages if m.role != 'none' -%}\n"
    "  {%- set ns.n = ns.n + 1 -%}{{ show(m, n=2) }}{{ loop.index ~ '/' ~ loop.length }}\n"
    "  {%- if m.content is string and 'x' in m.content %}[{{ m.content[1:].upper() }}]\n"
    "  {%- elif loop.last and not loop.first %}!{% else %}?{% endif %}\n"
    "{%- else -%}none{%- endfor -%}\n"
    "{% set b %}{{ {'a': [1, 2.5, none, true], 'b': 'q'} | tojson(indent=2) }}{% endset %}{{ b }}\n"
    "{# comment #}{% raw %}{{ raw }}{% endraw %}\n"
    "{{ tools | map(attribute='name') | sort | join(', ') }} {{ '%-5s|%d' % ('a', 3) }}\n"
    "{{ '{:>4}|{a}'.format('é', a=1) }} {{ 'a,b'.split(',')[::-1] }} {{ (1 if false) is defined "
    "}}\n"
    "{% call(x) show({'role': 'r', 'content': 'c'}) %}{{ x }}{% endcall %}\n"
    "{% filter upper %}f{% endfilter %}{% with a = 1 %}{{ a }}{% endwith %}\n";

static json_t *parse(const char *text)
{
    struct err e;
    json_t *v = json_parse(str_c(text), &e);
    assert_non_null(v);
    return v;
}

static const char messages_text[] =
    "[{\"role\": \"user\", \"content\": \" Hi x \"}, {\"role\": \"assistant\", \"content\": "
    "null}]";
static const char tools_text[] = "[{\"name\": \"b\"}, {\"name\": \"a\"}]";

static bool render(const char *source, size_t n, struct jinja_limits limits, size_t max_out,
                   struct jinja_out *out, struct err *e)
{
    json_t *messages = parse(messages_text), *tools = parse(tools_text);
    struct jinja_var vars[] = {{.name = "messages", .value = messages},
                               {.name = "tools", .value = tools}};
    jinja_out_init(out, max_out);
    struct jinja *t = jinja_compile(str_n(source, n), e);
    bool ok = t && jinja_render(t, vars, COUNT(vars), 0, limits, out, e);
    jinja_free(t);
    json_decref(messages);
    json_decref(tools);
    return ok;
}

static void jinja_renders_much_of_the_language(void **state)
{
    (void)state;
    struct err e = {0};
    struct jinja_out out;
    assert_true(render(everything, strlen(everything), jinja_limits_default(), 100000, &out, &e));
    check_bytes(&out.text,
                "<|user|>Hi x()1/2[HI X ]<|assistant|>None()2/2!{\n  \"a\": [\n    1,\n    2.5,\n"
                "    null,\n    true\n  ],\n  \"b\": \"q\"\n}\n{{ raw }}a, b a    |3\n"
                "   \xc3\xa9|1 ['b', 'a'] False\n<|r|>c()5F1",
                "everything");
    jinja_out_free(&out);
}

/* Every front of a template compiles or is refused with a place; nothing is read past its end. */
static void jinja_takes_every_front(void **state)
{
    (void)state;
    for (size_t n = 0; n < strlen(everything); n++) {
        char *exact = mem_alloc(n);
        memcpy(exact, everything, n);
        struct err e = {0};
        struct jinja *t = jinja_compile(str_n(exact, n), &e);
        if (!t) {
            assert_int_equal(e.code, ERR_INPUT);
            assert_true(e.where[0] && e.msg[0]);
        }
        jinja_free(t);
        mem_free(exact);
    }
}

/* With memory, steps, depth or output raised from nothing, it fails cleanly until it succeeds. */
static void jinja_reports_each_limit(void **state)
{
    (void)state;
    for (int what = 0; what < 4; what++) {
        bool ok = false;
        int failed = 0;
        for (size_t n = 0; !ok; n = n < 64 ? n + 1 : n + n / 16) {
            struct jinja_limits limits = jinja_limits_default();
            size_t max_out = what == 0 ? n : 100000;
            if (what == 1)
                limits.memory = n;
            else if (what == 2)
                limits.steps = n;
            else if (what == 3)
                limits.depth = (int)n;
            struct err e = {0};
            struct jinja_out out;
            ok = render(everything, strlen(everything), limits, max_out, &out, &e);
            if (!ok) {
                assert_int_equal(e.code, ERR_LIMIT);
                failed++;
            }
            jinja_out_free(&out);
            assert_true(n < (size_t)64 << 20);
        }
        assert_true(failed > 0);
    }
}

static void jinja_ends_hostile_templates(void **state)
{
    static const struct {
        const char *name, *source;
    } rows[] = {
        {"nested loops", "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in "
                         "range(99999) %}{% endfor %}{% endfor %}{% endfor %}"},
        {"nested loops with output", "{% for a in range(99999) %}{% for b in range(99999) %}xxxxxxx"
                                     "{% endfor %}{% endfor %}"},
        {"long string", "{{ 'a' * 1000000000 }}"},
        {"longer string", "{{ 'abc' * 9223372036854775807 }}"},
        {"long list", "{{ [1] * 1000000000 }}"},
        {"doubling", "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(99) %}{% set ns.s = "
                     "ns.s ~ ns.s %}{% endfor %}{{ ns.s }}"},
        {"doubling lists", "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = "
                           "ns.s + ns.s %}{% endfor %}{{ ns.s }}"},
        {"lists in lists", "{% set ns = namespace(s=[1]) %}{% for i in range(99999) %}{% set ns.s "
                           "= [ns.s] %}{% endfor %}{{ ns.s }}"},
        {"shared lists compared",
         "{% set a = namespace(s=[1], t=[1]) %}{% for i in range(99) %}{% set a.s = [a.s, a.s] %}"
         "{% set a.t = [a.t, a.t] %}{% endfor %}{{ a.s == a.t }}"},
        {"shared lists printed", "{% set a = namespace(s=[1]) %}{% for i in range(99) %}{% set a.s "
                                 "= [a.s, a.s] %}{% endfor %}{{ a.s|tojson }}"},
        {"a namespace in itself", "{% set n = namespace() %}{% set n.n = n %}{{ n }}"},
        {"power", "{{ 10 ** 10 ** 10 }}"},
        {"power of two", "{{ 2 ** 64 }}"},
        {"indent", "{{ 'a\nb'|indent(9999999999) }}"},
        {"center", "{{ 'a'|center(9999999999) }}"},
        {"center in a method", "{{ 'a'.center(9223372036854775807) }}"},
        {"zfill", "{{ 'a'.zfill(9223372036854775807) }}"},
        {"ljust", "{{ 'a'.ljust(9223372036854775807, 'é') }}"},
        {"expandtabs", "{{ ('\t' * 10000).expandtabs(2147483647) }}"},
        {"percent width", "{{ '%2000000000d' % 1 }}"},
        {"percent star", "{{ '%*d' % (2000000000, 1) }}"},
        {"percent precision", "{{ '%.2000000000f' % 1 }}"},
        {"format width", "{{ '{:2000000000}'.format(1) }}"},
        {"format precision", "{{ '{:.2000000000f}'.format(1.0) }}"},
        {"tojson indent", "{{ [1]|tojson(indent=2000000000) }}"},
        {"tojson indents", "{% set a = namespace(s=[1]) %}{% for i in range(500) %}{% set a.s = "
                           "[a.s] %}{% endfor %}{{ a.s|tojson(indent=99999999) }}"},
        {"macro", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"},
        {"two macros", "{% macro a() %}{{ b() }}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{{ "
                       "a() }}{% endmacro %}{{ a() }}"},
        {"tree of macros", "{% macro a(n) %}{% if n %}{{ a(n - 1) }}{{ a(n - 1) }}{% endif %}{% "
                           "endmacro %}{{ a(60) }}"},
        {"recursive loop", "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"},
        {"wide recursive loop",
         "{% for x in range(9) recursive %}{{ loop(range(9)) }}{% endfor %}"},
        {"replace that grows", "{% set ns = namespace(s='aaaa') %}{% for i in range(99) %}{% set "
                               "ns.s = ns.s.replace('a', 'aaaaaaaa') %}{% endfor %}"},
        {"join", "{% set s = 'x' * 100000 %}{{ range(99999)|join(s) }}"},
        {"find in long text", "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% if s.find("
                              "'b') > 0 %}{% endif %}{% endfor %}"},
        {"rfind", "{% set s = 'a' * 100000 %}{% set q = 'b' ~ 'a' * 50000 %}{% for i in "
                  "range(99999) %}{% if s.rfind(q) > 0 %}{% endif %}{% endfor %}"},
        {"find with a long needle",
         "{% set s = 'a' * 1000000 %}{% set q = 'a' * 500000 ~ 'b' %}{% for i in range(99999) %}"
         "{% if q in s %}{% endif %}{% endfor %}"},
        {"count of a long needle",
         "{% set s = 'a' * 1000000 %}{% set q = 'a' * 500000 ~ 'b' %}{% for i in range(99999) %}"
         "{% if s.count(q) %}{% endif %}{% endfor %}"},
        {"indexing non-ASCII text", "{% set s = 'é' * 1000000 %}{% for i in range(99999) %}{% if "
                                    "s[999999] == 'x' %}{% endif %}{% endfor %}"},
        {"slicing non-ASCII text", "{% set s = 'é' * 1000000 %}{% for i in range(99999) %}{% if "
                                   "s[500000:500001] == 'x' %}{% endif %}{% endfor %}"},
        {"strip with many characters",
         "{% set s = 'a' * 1000000 %}{% set c = 'b' * 100000 ~ 'a' %}{% for i in range(99999) %}{% "
         "if s.strip(c) %}{% endif %}{% endfor %}"},
        {"sigmas", "{{ ('Σ' * 1000000)|lower|length }}"},
        {"wordwrap", "{{ ('a-' * 1000000)|wordwrap(1)|length }}"},
        {"wordwrap of dashes", "{{ ('-' * 1000000)|wordwrap(9)|length }}"},
        {"sort", "{% for i in range(9999) %}{% set x = range(99999)|sort|length %}{% endfor %}"},
        {"unpack", "{% for i in range(9999) %}{% set x = range(99999)|list %}{% endfor %}"},
        {"kwargs", "{% set ns = namespace(d={}) %}{% for i in range(99999) %}{% set ns.d = "
                   "dict(ns.d, **{'k' ~ i: i}) %}{% endfor %}"},
        {"dict with equal hashes of numbers", "{% for i in range(99999) %}{% for j in range(999) "
                                              "%}{{ {i: 1}[i + 0.0] }}{% endfor %}{% endfor %}"},
        {"names", "{% macro m() %}{% for i in range(99999) %}{% for j in range(99999) %}{{ a ~ b "
                  "}}{% endfor %}{% endfor %}{% endmacro %}{{ m() }}"},
        {"batch with a fill", "{{ [1]|batch(1000000000, 0)|list }}"},
        {"slices", "{{ [1]|slice(1000000000)|list }}"},
        {"truncate", "{% for i in range(99999) %}{% if ('é ' * 9999)|truncate(9999) %}{% endif "
                     "%}{% endfor %}"},
        {"split", "{% set s = 'a ' * 500000 %}{% for i in range(999) %}{% set x = s.split() %}{% "
                  "endfor %}"},
        {"rsplit", "{% set s = 'ab' * 500000 %}{% for i in range(999) %}{% set x = s.rsplit('a') "
                   "%}{% endfor %}"},
        {"title", "{% set s = 'ab ' * 500000 %}{% for i in range(999) %}{% set x = s|title %}{% "
                  "endfor %}"},
        {"escape", "{% set s = '<' * 500000 %}{% for i in range(999) %}{% set x = s|e %}{% endfor "
                   "%}"},
        {"repr", "{% set s = '\\u200b' * 500000 %}{% for i in range(999) %}{% set x = [s]|string "
                 "%}{% endfor %}"},
        {"isalpha", "{% set s = 'é' * 500000 %}{% for i in range(99999) %}{% set x = s.isalpha() "
                    "%}{% endfor %}"},
        {"wordcount", "{% set s = 'é ' * 500000 %}{% for i in range(99999) %}{% set x = "
                      "s|wordcount %}{% endfor %}"},
        {"int of long text", "{% set s = '1_' * 500000 %}{% for i in range(99999) %}{% set x = "
                             "s|int %}{% endfor %}"},
        {"lines", "{% set s = 'é' * 500000 %}{% for i in range(99999) %}{% set x = s.splitlines() "
                  "%}{% endfor %}"},
        {"lists compared", "{% set a = range(99999)|list %}{% set b = range(99999)|list %}{% for i "
                           "in range(99999) %}{% set x = a == b %}{% endfor %}"},
        {"in a list", "{% set a = range(99999)|list %}{% for i in range(99999) %}{% set x = -1 in "
                      "a %}{% endfor %}"},
        {"equal strings", "{% set a = 'a' * 1000000 %}{% set b = 'a' * 1000000 %}{% for i in "
                          "range(99999) %}{% set x = a == b %}{% endfor %}"},
        {"urlencode", "{% set s = 'é' * 500000 %}{% for i in range(999) %}{% set x = s|urlencode "
                      "%}{% endfor %}"},
        {"items", "{% set d = dict(range(9998)|batch(2)) %}{% for i in range(99999) %}{% set x = "
                  "d.items()|list %}{% endfor %}"},
        {"pop", "{% set l = range(99999)|list %}{% for i in range(99999) %}{% set x = l.pop(0) "
                "%}{% for j in range(999) %}{% endfor %}{% endfor %}"},
    };
    (void)state;
    // A part of the default, to be quick; time goes with steps, whatever the template does.
    struct jinja_limits limits = jinja_limits_default();
    limits.steps /= 4;
    limits.memory /= 4;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = {0};
        struct jinja_out out;
        uint64_t from = clock_mono_ms();
        bool ok =
            render(rows[i].source, strlen(rows[i].source), limits, (size_t)64 << 20, &out, &e);
        uint64_t took = clock_mono_ms() - from;
        if (ok || e.code != ERR_LIMIT || took > 10000)
            fail_msg("%s: %s after %d ms: %s", rows[i].name, ok ? "ok" : err_code_name(e.code),
                     (int)took, e.msg);
        jinja_out_free(&out);
        if (getenv("JINJA_TIMES"))
            fprintf(stderr, "%6d ms  %s\n", (int)took, rows[i].name);
    }
}

/* prefix * n, then the middle, then suffix * n */
static void nest(struct buf *out, const char *prefix, const char *middle, const char *suffix, int n)
{
    buf_clear(out);
    for (int i = 0; i < n; i++)
        buf_c(out, prefix);
    buf_c(out, middle);
    for (int i = 0; i < n; i++)
        buf_c(out, suffix);
}

static void jinja_counts_nesting(void **state)
{
    static const struct {
        const char *open, *prefix, *middle, *suffix, *close;
    } rows[] = {
        {"{{ ", "(", "1", ")", " }}"},
        {"{{ ", "[", "1", "]", " }}"},
        {"{{ ", "{1:", "1", "}", " }}"},
        {"{{ ", "-", "1", "", " }}"},
        {"{{ ", "not ", "1", "", " }}"},
        {"{{ ", "1 if 1 else ", "1", "", " }}"},
        {"{{ ", "1+", "1", "", " }}"},
        {"{{ ", "1 or ", "1", "", " }}"},
        {"{{ ", "", "1", "|abs", " }}"},
        {"{{ a", "", "", "[0]", " }}"},
        {"{{ a", "[a", "", "]", " }}"},
        {"{{ a", "", "", ".b", " }}"},
        {"{{ a", "(a", "", ")", " }}"},
        {"", "{% if 1 %}", "", "{% endif %}", ""},
        {"", "{% for a in b %}", "", "{% endfor %}", ""},
        {"", "{% macro a() %}", "", "{% endmacro %}", ""},
        {"", "{% call a() %}", "", "{% endcall %}", ""},
        {"", "{% filter upper %}", "", "{% endfilter %}", ""},
        {"{% set ", "(a, ", "b", ")", " = 1 %}"},
    };
    (void)state;
    struct buf inner = BUF_INIT((size_t)4 << 20), source = BUF_INIT((size_t)4 << 20);
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (int n = 10; n <= 40000; n *= 20) {
            nest(&inner, rows[i].prefix, rows[i].middle, rows[i].suffix, n);
            buf_clear(&source);
            buf_printf(&source, "%s%s%s", rows[i].open, buf_cstr(&inner), rows[i].close);
            struct err e = {0};
            struct jinja *t = jinja_compile(buf_as_str(&source), &e);
            if (n == 10)
                assert_non_null(t);
            if (n == 4000)
                assert_null(t);
            if (!t)
                assert_int_equal(e.code, ERR_LIMIT);
            jinja_free(t);
        }
    }
    buf_free(&inner);
    buf_free(&source);
}

static void jinja_refuses_what_is_too_large(void **state)
{
    (void)state;
    struct buf source = BUF_INIT((size_t)4 << 20);
    for (int i = 0; i < (1 << 20) + 1; i++)
        buf_char(&source, 'a');
    struct err e = {0};
    assert_null(jinja_compile(buf_as_str(&source), &e));
    assert_int_equal(e.code, ERR_LIMIT);
    buf_free(&source);
    assert_null(jinja_compile(STR("a\n\xff"), &e));
    check_str(str_c(e.where), STR("2:1"), "not UTF-8");
}

/* ---- Provenance ---- */

/* Trusted runs as they are, others between « and ». */
static void show_runs(const struct jinja_out *out, struct buf *text)
{
    size_t at = 0;
    for (size_t i = 0; i < out->n_runs; i++) {
        const struct jinja_run *run = &out->runs[i];
        assert_int_equal(run->from, at);
        assert_true(run->n > 0);
        assert_true(i == 0 || run->trusted != out->runs[i - 1].trusted);
        at += run->n;
        buf_c(text, run->trusted ? "" : "«");
        buf_str(text, str_sub(buf_as_str(&out->text), run->from, run->n));
        buf_c(text, run->trusted ? "" : "»");
    }
    assert_int_equal(at, out->text.n);
}

static void jinja_keeps_provenance(void **state)
{
    static const struct {
        const char *source, *want;
    } rows[] = {
        {"<s>{{ u }}</s>", "<s>«a-B»</s>"},
        {"{{ t }}{{ u }}{{ 1 }}", "T«a-B»1"},
        {"{{ '<' + u + '>' }}", "<«a-B»>"},
        {"{{ '<' ~ u ~ '>' }}", "<«a-B»>"},
        {"{{ ('<' + u + '>')[1:3] }}", "«a-»"},
        {"{{ ('<' + u + '>')[0:2] }}", "<«a»"},
        {"{{ ('<' + u + '>')[::-1] }}", ">«B-a»<"},
        {"{{ ('<' + u + '>')|reverse }}", ">«B-a»<"},
        {"{{ (' ' + u + ' ')|trim }}", "«a-B»"},
        {"{{ (u + '<|x|>').upper() }}", "«A-B»<|X|>"},
        {"{{ (u + 'Ab')|lower }}", "«a-b»ab"},
        {"{{ u.replace('-', '+') }}", "«a»+«B»"},
        {"{{ 'x-y'.replace('-', u) }}", "x«a-B»y"},
        {"{{ u|replace('a', 'b') }}", "b«-B»"},
        {"{{ [u, 'x', u]|join(',') }}", "«a-B»,x,«a-B»"},
        {"{{ u.join(['x', 'y']) }}", "x«a-B»y"},
        {"{{ u.split('-')[1] ~ '|' }}", "«B»|"},
        {"{{ '<%s>' % u }}", "<«a-B»>"},
        {"{{ '%-5s|' % u }}", "«a-B»  |"},
        {"{{ u % 1 if false else '<{}>'.format(u) }}", "<«a-B»>"},
        {"{{ {'k': u}|tojson }}", "{\"k\": \"«a-B»\"}"},
        {"{{ d|tojson }}", "{\"«k»\": \"«v\\\"»\", \"«role»\": \"«user»\"}"},
        {"{{ [u] }}", "['«a-B»']"},
        {"{{ d }}", "{'«k»': '«v\"»', '«role»': '«user»'}"},
        {"{% set x %}<{{ u }}>{% endset %}{{ x }}", "<«a-B»>"},
        {"{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(u) }}", "<«a-B»>"},
        {"{% filter upper %}<{{ u }}>{% endfilter %}", "<«A-B»>"},
        {"{{ u|indent(2, true) }}", "  «a-B»"},
        {"{{ u|center(7) }}", "  «a-B»  "},
        {"{{ u * 2 }}", "«a-Ba-B»"},
        {"{{ u|e }}{{ '<'|e }}", "«a-B»&lt;"},
        {"{{ u|title }}{{ u|capitalize }}", "«A-BA-b»"},
        {"{{ u|urlencode }}|", "«a-B»|"},
        {"{{ u[0] }}|{{ u|first }}|{{ u|list }}", "«a»|«a»|['«a»', '«-»', '«B»']"},
        {"{{ u|length }}", "3"},
        {"{% for c in u %}{{ c }},{% endfor %}", "«a»,«-»,«B»,"},
        {"{{ (u ~ 'abcdef ghi')|truncate(8, true, '..', 0) }}", "«a-B»abc.."},
        {"{{ (u ~ ' c')|wordwrap(3) }}", "«a-B»\nc"},
        {"{{ u.partition('-') }}", "('«a»', '«-»', '«B»')"},
        {"{{ u|default('x') }}{{ ''|default(u, true) }}", "«a-Ba-B»"},
        {"{{ '<|' ~ r.role ~ '|>' ~ r.content }}", "<|user|>«x»"},
    };
    (void)state;
    static const char *const roles[] = {"role", NULL};
    json_t *u = parse("\"a-B\""), *t = parse("\"T\""),
           *d = parse("{\"k\": \"v\\\"\", \"role\": \"user\"}"),
           *r = parse("{\"role\": \"user\", \"content\": \"x\"}");
    struct jinja_var vars[] = {{.name = "u", .value = u},
                               {.name = "t", .value = t, .trusted = true},
                               {.name = "d", .value = d},
                               {.name = "r", .value = r, .trusted_keys = roles}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = {0};
        struct jinja_out out;
        struct buf text = BUF_INIT(10000);
        jinja_out_init(&out, 10000);
        struct jinja *tmpl = jinja_compile(str_c(rows[i].source), &e);
        if (!tmpl || !jinja_render(tmpl, vars, COUNT(vars), 0, jinja_limits_default(), &out, &e))
            fail_msg("%s: %s %s", rows[i].source, e.where, e.msg);
        show_runs(&out, &text);
        check_bytes(&text, rows[i].want, rows[i].source);
        buf_free(&text);
        jinja_out_free(&out);
        jinja_free(tmpl);
    }
    json_decref(u);
    json_decref(t);
    json_decref(d);
    json_decref(r);
}

static void jinja_mentions_names(void **state)
{
    (void)state;
    struct err e;
    struct jinja *t = jinja_compile(
        STR("{% if tools is defined %}{{ m.content }}{{ m['thing'] }}text{% endif %}"), &e);
    assert_non_null(t);
    assert_true(jinja_mentions(t, STR("tools")));
    assert_true(jinja_mentions(t, STR("content")));
    assert_true(jinja_mentions(t, STR("thing")));
    assert_false(jinja_mentions(t, STR("enable_thinking")));
    assert_false(jinja_mentions(t, STR("text")));
    jinja_free(t);
    jinja_free(NULL);
}

/* A render leaves nothing behind in the compiled template, and an out can be used again. */
static void jinja_renders_again(void **state)
{
    (void)state;
    struct err e = {0};
    struct jinja_out out;
    jinja_out_init(&out, 1000);
    struct jinja *t = jinja_compile(STR("{% set ns = namespace(n=n) %}{% set ns.n = ns.n + 1 %}{{ "
                                        "ns.n }}{{ 'lit' }}"),
                                    &e);
    assert_non_null(t);
    for (int i = 0; i < 3; i++) {
        json_t *n = json_integer(i);
        struct jinja_var var = {.name = "n", .value = n};
        assert_true(jinja_render(t, &var, 1, 0, jinja_limits_default(), &out, &e));
        char want[16];
        snprintf(want, sizeof want, "%dlit", i + 1);
        check_bytes(&out.text, want, "again");
        json_decref(n);
    }
    jinja_out_free(&out);
    jinja_free(t);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(jinja_renders_much_of_the_language),
    cmocka_unit_test(jinja_takes_every_front),
    cmocka_unit_test(jinja_reports_each_limit),
    cmocka_unit_test(jinja_ends_hostile_templates),
    cmocka_unit_test(jinja_counts_nesting),
    cmocka_unit_test(jinja_refuses_what_is_too_large),
    cmocka_unit_test(jinja_keeps_provenance),
    cmocka_unit_test(jinja_mentions_names),
    cmocka_unit_test(jinja_renders_again),
};
TEST_FILE(tests)
