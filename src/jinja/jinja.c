/* jinja/jinja.c - see jinja.h: compiling, the context made from JSON, rendering. */
#include "jinja/jinja_int.h"

#include "base/mem.h"
#include "base/utf8.h"

#define COMPILED_MAX ((size_t)256 << 20) // bytes of a compiled template

/* ---- Compiling ---- */

/* Newlines become \n and the last one goes, as Jinja2 has it. */
static bool take_source(struct jinja *t, str src, struct err *e)
{
    if (src.n > JINJA_SOURCE_MAX)
        return err_set(e, ERR_LIMIT, "template of %zu bytes: at most %zu are taken", src.n,
                       JINJA_SOURCE_MAX);
    str kept = arena_str(&t->arena, src);
    if (!kept.p)
        return err_set(e, ERR_LIMIT, "template needs too much memory");
    char *p = (char *)(uintptr_t)kept.p; // just made, still ours
    size_t n = 0;
    for (size_t i = 0; i < src.n; i++) {
        bool cr = src.p[i] == '\r';
        p[n++] = cr ? '\n' : src.p[i];
        if (cr && i + 1 < src.n && src.p[i + 1] == '\n')
            i++;
    }
    if (n && p[n - 1] == '\n')
        n--;
    t->src = str_n(p, n);
    for (str rest = t->src; rest.n;) {
        size_t at = (size_t)(rest.p - p);
        if (utf8_next(&rest) < 0)
            return jinja_lex_fail(t, at, e, ERR_INPUT, "template is not UTF-8");
    }
    return true;
}

struct jinja *jinja_compile(str src, struct err *e)
{
    struct jinja *t = mem_calloc(1, sizeof *t);
    arena_init(&t->arena, COMPILED_MAX);
    if (!take_source(t, src, e) || !jinja_parse(t, e) || !jinja_names(t, e)) {
        jinja_free(t);
        return NULL;
    }
    return t;
}

void jinja_free(struct jinja *t)
{
    if (!t)
        return;
    arena_fini(&t->arena);
    mem_free(t);
}

bool jinja_mentions(const struct jinja *t, str name)
{
    if (jinja_sym_find(t, name) >= 0)
        return true;
    for (size_t i = 0; i < t->n_strings; i++)
        if (str_eq(jinja_text_str(t->strings[i].s), name))
            return true;
    return false;
}

/* ---- Context ---- */

struct reader {
    struct render *r;
    const struct jinja_var *var;
    int depth;
};

static bool read_value(struct reader *x, const json_t *v, bool trusted, struct value *out);

static bool read_string(struct reader *x, str s, bool trusted, struct value *out)
{
    if (s.n > JINJA_TEXT_MAX)
        return jinja_fail_limit(x->r, "string size");
    if (!utf8_valid(s))
        return jinja_fail(x->r, "variable '%s' holds a string that is not UTF-8", x->var->name);
    return jinja_text_make(x->r, s, trusted || !s.n, out);
}

static bool key_trusted(const struct reader *x, str key)
{
    for (const char *const *k = x->var->trusted_keys; k && *k; k++)
        if (str_eqc(key, *k))
            return true;
    return false;
}

static bool read_object(struct reader *x, const json_t *v, struct value *out)
{
    if (!jinja_dict_new(x->r, out))
        return false;
    struct dict *d = out->d;
    json_t *o = (json_t *)(uintptr_t)v; // jansson's iterators take no const; nothing is changed
    for (void *it = json_object_iter(o); it; it = json_object_iter_next(o, it)) {
        str key = {json_object_iter_key(it), json_object_iter_key_len(it)};
        struct value k, item;
        if (!read_string(x, key, x->var->trusted, &k) ||
            !read_value(x, json_object_iter_value(it), x->var->trusted || key_trusted(x, key),
                        &item) ||
            !jinja_dict_set(x->r, d, k, item))
            return false;
    }
    return true;
}

static bool read_array(struct reader *x, const json_t *v, struct value *out)
{
    size_t n = json_array_size(v);
    if (!jinja_list_new(x->r, KIND_LIST, n, out))
        return false;
    struct list *l = out->l;
    for (size_t i = 0; i < n; i++) {
        struct value item;
        if (!read_value(x, json_array_get(v, i), x->var->trusted, &item) ||
            !jinja_list_push(x->r, l, item))
            return false;
    }
    return true;
}

static bool read_value(struct reader *x, const json_t *v, bool trusted, struct value *out)
{
    *out = jinja_none();
    if (!v)
        return true;
    if (x->depth > 200)
        return jinja_fail_limit(x->r, "depth");
    bool ok = true;
    x->depth++;
    switch (json_typeof(v)) {
    case JSON_OBJECT: ok = read_object(x, v, out); break;
    case JSON_ARRAY: ok = read_array(x, v, out); break;
    case JSON_STRING:
        ok = read_string(x, str_n(json_string_value(v), json_string_length(v)), trusted, out);
        break;
    case JSON_INTEGER: *out = jinja_int((int64_t)json_integer_value(v)); break;
    case JSON_REAL: *out = jinja_float(json_real_value(v)); break;
    case JSON_TRUE:
    case JSON_FALSE: *out = jinja_bool(json_is_true(v)); break;
    case JSON_NULL: break;
    }
    x->depth--;
    return ok;
}

static bool bind_globals(struct render *r)
{
    for (int i = 0; i < r->t->n_syms; i++) {
        const struct builtin *fn = jinja_global_find(r->t->syms[i]);
        if (!fn)
            continue;
        struct bound *b = jinja_alloc(r, 1, sizeof *b);
        if (!b)
            return false;
        b->fn = fn;
        struct value v = {.kind = KIND_BUILTIN, .fn = b};
        if (!jinja_scope_set(r, r->globals, i, v))
            return false;
    }
    return true;
}

static bool bind_vars(struct render *r, const struct jinja_var *vars, size_t n_vars)
{
    for (size_t i = 0; i < n_vars; i++) {
        int sym = jinja_sym_find(r->t, str_c(vars[i].name));
        if (sym < 0)
            continue; // the template does not know it
        struct reader x = {.r = r, .var = &vars[i]};
        struct value v;
        if (!read_value(&x, vars[i].value, vars[i].trusted, &v) ||
            !jinja_scope_set(r, r->globals, sym, v))
            return false;
    }
    return true;
}

/* ---- Rendering ---- */

struct jinja_limits jinja_limits_default(void)
{
    return (struct jinja_limits){.steps = 10000000, .depth = 100, .memory = (size_t)256 << 20};
}

void jinja_out_init(struct jinja_out *out, size_t max_text)
{
    *out = (struct jinja_out){.text = BUF_INIT(max_text)};
}

void jinja_out_free(struct jinja_out *out)
{
    buf_free(&out->text);
    mem_free(out->runs);
    out->runs = NULL;
    out->n_runs = 0;
}

/* Copies what the render made out of its arena. */
static bool deliver(struct render *r, const struct sink *s, struct jinja_out *out)
{
    if (!buf_put(&out->text, s->p, s->n))
        return jinja_fail_limit(r, "output size");
    mem_free(out->runs);
    out->runs = s->n_runs ? mem_alloc(s->n_runs * sizeof *out->runs) : NULL;
    out->n_runs = s->n_runs;
    size_t from = 0;
    for (size_t i = 0; i < s->n_runs; i++) {
        out->runs[i] = (struct jinja_run){from, s->runs[i].end - from, s->runs[i].trusted};
        from = s->runs[i].end;
    }
    return true;
}

bool jinja_render(const struct jinja *t, const struct jinja_var *vars, size_t n_vars,
                  int64_t now_unix, struct jinja_limits limits, struct jinja_out *out,
                  struct err *e)
{
    struct arena arena;
    struct sink sink;
    arena_init(&arena, limits.memory);
    struct render r = {
        .t = t, .a = &arena, .e = e, .limits = limits, .now = now_unix, .out = &sink};
    jinja_sink_init(&sink, &r);
    sink.max = size_min(JINJA_TEXT_MAX, out->text.max);
    buf_clear(&out->text);

    r.globals = jinja_scope_new(&r, NULL);
    struct scope *top = r.globals ? jinja_scope_in(&r, r.globals, t->hidden) : NULL;
    bool ok = top && bind_globals(&r) && bind_vars(&r, vars, n_vars) &&
              jinja_exec(&r, t->root, top) != FLOW_FAIL && deliver(&r, &sink, out);
    arena_fini(&arena);
    return ok;
}
