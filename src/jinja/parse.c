/* jinja/parse.c - statements: tokens to tree.  Expressions are in parse_expr.c. */
#include "jinja/jinja_int.h"

#include "base/mem.h"

#include <stdio.h>

#define NESTING_MAX 150 // of the parser itself

static struct node *parse_body(struct parser *p, const char *const *ends);

/* ---- What both parser files use ---- */

bool jinja_parse_fail(struct parser *p, const char *fmt, ...)
{
    char msg[sizeof p->e->msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    return jinja_lex_fail(p->t, p->tok->at, p->e, ERR_INPUT, "%s", msg);
}

static bool fail_memory(struct parser *p)
{
    return jinja_lex_fail(p->t, p->tok->at, p->e, ERR_LIMIT, "template needs too much memory");
}

struct node *jinja_parse_new(struct parser *p, enum node_kind kind, uint32_t at)
{
    struct node *n = arena_calloc(&p->t->arena, 1, sizeof *n);
    if (!n) {
        fail_memory(p);
        return NULL;
    }
    n->kind = (uint8_t)kind;
    n->at = at;
    return n;
}

static int depth_of(const struct node *n)
{
    return n ? n->depth : 0;
}

bool jinja_parse_seal(struct parser *p, struct node *n)
{
    int depth = int_max(depth_of(n->a), int_max(depth_of(n->b), depth_of(n->c)));
    for (int i = 0; i < n->n; i++)
        depth = int_max(depth, depth_of(n->kids[i]));
    if (n->args) {
        for (int i = 0; i < n->args->n_pos; i++)
            depth = int_max(depth, depth_of(n->args->pos[i]));
        for (int i = 0; i < n->args->n_kw; i++)
            depth = int_max(depth, depth_of(n->args->kw[i]));
        depth = int_max(depth, depth_of(n->args->star));
        depth = int_max(depth, depth_of(n->args->star2));
    }
    if (depth >= JINJA_TREE_DEPTH)
        return jinja_lex_fail(p->t, n->at, p->e, ERR_LIMIT, "nested deeper than %d levels",
                              JINJA_TREE_DEPTH);
    n->depth = (uint16_t)(depth + 1);
    return true;
}

bool jinja_parse_enter(struct parser *p)
{
    if (p->depth >= NESTING_MAX)
        return jinja_lex_fail(p->t, p->tok->at, p->e, ERR_LIMIT, "nested deeper than %d levels",
                              NESTING_MAX);
    p->depth++;
    return true;
}

void jinja_parse_leave(struct parser *p)
{
    p->depth--;
}

/* Room for one more in an arena array of n items: grows at powers of two. */
static void *grow(struct parser *p, void *old, int n, size_t size)
{
    if (n && (n < 4 || (n & (n - 1))))
        return old;
    size_t cap = n ? (size_t)n * 2 : 4;
    void *mem = arena_alloc(&p->t->arena, cap * size);
    if (!mem) {
        fail_memory(p);
        return NULL;
    }
    if (n)
        memcpy(mem, old, (size_t)n * size);
    return mem;
}

bool jinja_parse_push(struct parser *p, struct node *n, struct node *kid)
{
    struct node **kids = kid ? grow(p, n->kids, n->n, sizeof *kids) : NULL;
    if (!kids)
        return false;
    n->kids = kids;
    n->kids[n->n++] = kid;
    return true;
}

bool jinja_parse_is(const struct parser *p, int op)
{
    return p->tok->type == TOK_OP && p->tok->op == op;
}

bool jinja_parse_is_name(const struct parser *p, const char *name)
{
    return p->tok->type == TOK_NAME && str_eqc(p->tok->text, name);
}

bool jinja_parse_skip(struct parser *p, int op)
{
    if (!jinja_parse_is(p, op))
        return false;
    p->tok++;
    return true;
}

bool jinja_parse_skip_name(struct parser *p, const char *name)
{
    if (!jinja_parse_is_name(p, name))
        return false;
    p->tok++;
    return true;
}

static const char *describe(const struct token *k, char out[64])
{
    switch (k->type) {
    case TOK_EOF: return "end of template";
    case TOK_DATA: return "text";
    case TOK_VAR_BEGIN: return "'{{'";
    case TOK_VAR_END: return "'}}'";
    case TOK_BLOCK_BEGIN: return "'{%'";
    case TOK_BLOCK_END: return "'%}'";
    case TOK_STRING: return "a string";
    case TOK_INT:
    case TOK_FLOAT: return "a number";
    case TOK_NAME: snprintf(out, 64, "'%.*s'", (int)size_min(k->text.n, 50), k->text.p); return out;
    case TOK_OP:
        if (k->op < 256)
            snprintf(out, 64, "'%c'", k->op);
        else
            snprintf(out, 64, "'%c%c'", k->op >> 8, k->op & 255);
        return out;
    }
    return "?";
}

bool jinja_parse_expect(struct parser *p, int op)
{
    if (jinja_parse_skip(p, op))
        return true;
    char text[64];
    return jinja_parse_fail(p, "expected '%c', got %s", op, describe(p->tok, text));
}

static bool expect_type(struct parser *p, enum token_type type, const char *what)
{
    char text[64];
    if (p->tok->type != type)
        return jinja_parse_fail(p, "expected %s, got %s", what, describe(p->tok, text));
    if (type != TOK_EOF)
        p->tok++;
    return true;
}

static bool expect_name(struct parser *p, const char *name)
{
    char text[64];
    if (!jinja_parse_skip_name(p, name))
        return jinja_parse_fail(p, "expected '%s', got %s", name, describe(p->tok, text));
    return true;
}

static int take_name(struct parser *p)
{
    const struct token *k = p->tok;
    if (!expect_type(p, TOK_NAME, "a name"))
        return -1;
    return jinja_parse_sym(p, k->text);
}

/* A name that can be assigned to. */
static int take_new_name(struct parser *p)
{
    static const char *const words[] = {"true", "false", "none", "True", "False", "None"};
    for (size_t i = 0; i < COUNT(words); i++)
        if (jinja_parse_is_name(p, words[i])) {
            jinja_parse_fail(p, "can't assign to '%s'", words[i]);
            return -1;
        }
    return take_name(p);
}

/* ---- Symbols ---- */

static uint64_t name_hash(str s)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 1099511628211u;
    return h ^ h >> 32;
}

int jinja_sym_find(const struct jinja *t, str name)
{
    if (!t->n_sym_index)
        return -1;
    for (size_t i = name_hash(name) & (t->n_sym_index - 1);; i = (i + 1) & (t->n_sym_index - 1)) {
        uint32_t at = t->sym_index[i];
        if (!at)
            return -1;
        if (str_eq(t->syms[at - 1], name))
            return (int)at - 1;
    }
}

static void sym_index_add(struct jinja *t, int sym)
{
    size_t i = name_hash(t->syms[sym]) & (t->n_sym_index - 1);
    while (t->sym_index[i])
        i = (i + 1) & (t->n_sym_index - 1);
    t->sym_index[i] = (uint32_t)sym + 1;
}

static bool syms_grow(struct parser *p)
{
    struct jinja *t = p->t;
    int cap = t->cap_syms ? t->cap_syms * 2 : 64;
    str *syms = arena_calloc(&t->arena, (size_t)cap, sizeof *syms);
    struct value *texts = arena_calloc(&t->arena, (size_t)cap, sizeof *texts);
    uint32_t *index = arena_calloc(&t->arena, (size_t)cap * 2, sizeof *index);
    if (!syms || !texts || !index)
        return fail_memory(p);
    if (t->n_syms) {
        memcpy(syms, t->syms, (size_t)t->n_syms * sizeof *syms);
        memcpy(texts, t->sym_text, (size_t)t->n_syms * sizeof *texts);
    }
    t->syms = syms;
    t->sym_text = texts;
    t->sym_index = index;
    t->n_sym_index = (size_t)cap * 2;
    t->cap_syms = cap;
    for (int i = 0; i < t->n_syms; i++)
        sym_index_add(t, i);
    return true;
}

/* A trusted string in the template's arena. */
static bool const_text(struct parser *p, str s, struct value *out)
{
    struct text *text = arena_calloc(&p->t->arena, 1, sizeof *text);
    if (!text)
        return fail_memory(p);
    *text = (struct text){.p = s.p, .n = (uint32_t)s.n, .trusted = true};
    text->n_chars = jinja_text_count(s);
    *out = jinja_str(text);
    return true;
}

int jinja_parse_sym(struct parser *p, str name)
{
    struct jinja *t = p->t;
    int sym = jinja_sym_find(t, name);
    if (sym >= 0)
        return sym;
    if (t->n_syms == t->cap_syms && !syms_grow(p))
        return -1;
    if (!const_text(p, name, &t->sym_text[t->n_syms]))
        return -1;
    t->syms[t->n_syms] = name;
    sym_index_add(t, t->n_syms);
    return t->n_syms++;
}

/* ---- Targets of assignments ---- */

static bool can_assign(struct parser *p, const struct node *n)
{
    static const char *const kinds[] = {
        [NODE_CONST] = "a constant", [NODE_LIST] = "a list", [NODE_DICT] = "a dict"};
    if (n->kind == NODE_NAME)
        return true;
    if (n->kind != NODE_TUPLE) {
        const char *what = n->kind < COUNT(kinds) ? kinds[n->kind] : NULL;
        return jinja_lex_fail(p->t, n->at, p->e, ERR_INPUT, "can't assign to %s",
                              what ? what : "this");
    }
    for (int i = 0; i < n->n; i++)
        if (!can_assign(p, n->kids[i]))
            return false;
    return true;
}

static struct node *parse_target(struct parser *p, bool with_ns, const char *end_name)
{
    struct node *n;
    if (with_ns && p->tok->type == TOK_NAME && p->tok[1].type == TOK_OP && p->tok[1].op == '.') {
        n = jinja_parse_new(p, NODE_NSREF, p->tok->at);
        if (!n || (n->sym = take_name(p)) < 0)
            return NULL;
        p->tok++;
        if ((n->sym2 = take_name(p)) < 0)
            return NULL;
        return jinja_parse_seal(p, n) ? n : NULL;
    }
    n = jinja_parse_tuple(p, TUPLE_SIMPLE, end_name);
    return n && can_assign(p, n) ? n : NULL;
}

/* ---- Statements ---- */

/* The tag's end, the body, and the tag that ends it (its name becomes the current token). */
static struct node *parse_inner(struct parser *p, const char *const *ends)
{
    jinja_parse_skip(p, ':');
    if (!expect_type(p, TOK_BLOCK_END, "'%}'"))
        return NULL;
    struct node *body = parse_body(p, ends);
    if (body && p->tok->type == TOK_EOF) {
        jinja_parse_fail(p, "end of template inside a block: '%s' is missing", ends[0]);
        return NULL;
    }
    return body;
}

static struct node *parse_until(struct parser *p, const char *end)
{
    const char *ends[] = {end, NULL};
    struct node *body = parse_inner(p, ends);
    if (body)
        p->tok++;
    return body;
}

static bool names_loop(const struct node *target)
{
    if (target->kind == NODE_NAME)
        return target->sym == SYM_LOOP;
    for (int i = 0; i < target->n; i++)
        if (names_loop(target->kids[i]))
            return true;
    return false;
}

static struct node *parse_for(struct parser *p, struct node *n)
{
    static const char *const ends[] = {"endfor", "else", NULL};
    n->a = parse_target(p, false, "in");
    if (!n->a || !expect_name(p, "in"))
        return NULL;
    if (names_loop(n->a)) {
        jinja_lex_fail(p->t, n->at, p->e, ERR_INPUT, "'loop' can't be a loop's own variable");
        return NULL;
    }
    n->b = jinja_parse_tuple(p, TUPLE_NO_COND, "recursive");
    if (!n->b)
        return NULL;
    if (jinja_parse_skip_name(p, "if") && !(n->c = jinja_parse_expr(p)))
        return NULL;
    n->recursive = jinja_parse_skip_name(p, "recursive");
    int soft = p->soft;
    p->soft = 0;
    p->loops++;
    struct node *body = parse_inner(p, ends);
    p->loops--;
    p->soft = soft;
    if (!jinja_parse_push(p, n, body))
        return NULL;
    bool with_else = jinja_parse_is_name(p, "else");
    p->tok++;
    if (with_else && !jinja_parse_push(p, n, parse_until(p, "endfor")))
        return NULL;
    return n;
}

static struct node *parse_if(struct parser *p, struct node *n)
{
    static const char *const ends[] = {"endif", "elif", "else", NULL};
    struct node *first = n;
    p->soft++;
    for (;;) {
        n->a = jinja_parse_tuple(p, TUPLE_NO_COND, NULL);
        if (!n->a || !(n->b = parse_inner(p, ends)))
            return NULL;
        if (jinja_parse_skip_name(p, "elif")) {
            // The branches of one if are siblings: kids of the first, each with its test and body.
            n = jinja_parse_new(p, NODE_IF, p->tok->at);
            if (!n || !jinja_parse_push(p, first, n))
                return NULL;
            continue;
        }
        if (jinja_parse_skip_name(p, "else")) {
            if (!(first->c = parse_until(p, "endif")))
                return NULL;
        } else {
            p->tok++;
        }
        break;
    }
    p->soft--;
    for (int i = 0; i < first->n; i++)
        if (!jinja_parse_seal(p, first->kids[i]))
            return NULL;
    return first;
}

static struct node *parse_set(struct parser *p, struct node *n)
{
    if (!(n->a = parse_target(p, true, NULL)))
        return NULL;
    if (jinja_parse_skip(p, '=')) {
        n->b = jinja_parse_tuple(p, 0, NULL);
        return n->b ? n : NULL;
    }
    n->kind = NODE_SET_BLOCK;
    if (jinja_parse_is(p, '|') && !(n->c = jinja_parse_filters(p, NULL, false)))
        return NULL;
    n->b = parse_until(p, "endset");
    return n->b ? n : NULL;
}

static bool parse_parameters(struct parser *p, struct signature *s)
{
    if (!jinja_parse_expect(p, '('))
        return false;
    while (!jinja_parse_is(p, ')')) {
        if (s->n && !jinja_parse_expect(p, ','))
            return false;
        int sym = take_new_name(p);
        int *syms = sym < 0 ? NULL : grow(p, s->sym, s->n, sizeof *syms);
        if (!syms)
            return false;
        s->sym = syms;
        s->sym[s->n++] = sym;
        s->takes_caller |= sym == SYM_CALLER;
        if (jinja_parse_skip(p, '=')) {
            struct node *value = jinja_parse_expr(p);
            struct node **d = value ? grow(p, s->defaults, s->n_defaults, sizeof *d) : NULL;
            if (!d)
                return false;
            s->defaults = d;
            s->defaults[s->n_defaults++] = value;
        } else if (s->n_defaults) {
            return jinja_parse_fail(p, "parameter without a default behind one with a default");
        }
    }
    p->tok++;
    return true;
}

/* Parameters with distinct names, as Python asks of a function. */
static bool check_parameters(struct parser *p, const struct signature *s)
{
    for (int i = 0; i < s->n; i++)
        for (int k = 0; k < i; k++)
            if (s->sym[i] == s->sym[k])
                return jinja_parse_fail(p, "two parameters have one name");
    return true;
}

/* The body of a macro or call block, where `caller`, `kwargs`, `varargs` mean something. */
static bool parse_macro_body(struct parser *p, struct signature *s, const char *end)
{
    if (p->n_macros == (int)COUNT(p->macros))
        return jinja_lex_fail(p->t, p->tok->at, p->e, ERR_LIMIT, "macros nested too deeply");
    int loops = p->loops, soft = p->soft;
    p->macros[p->n_macros++] = s;
    p->loops = p->soft = 0;
    s->body = parse_until(p, end);
    p->loops = loops;
    p->soft = soft;
    p->n_macros--;
    return s->body && check_parameters(p, s);
}

static bool seal_signature(struct node *n)
{
    int depth = n->macro->body->depth;
    for (int i = 0; i < n->macro->n_defaults; i++)
        depth = int_max(depth, n->macro->defaults[i]->depth);
    n->depth = (uint16_t)int_max(n->depth, depth + 1);
    return true;
}

static struct node *parse_macro(struct parser *p, struct node *n)
{
    n->macro = arena_calloc(&p->t->arena, 1, sizeof *n->macro);
    if (!n->macro) {
        fail_memory(p);
        return NULL;
    }
    if ((n->sym = take_new_name(p)) < 0 || !parse_parameters(p, n->macro) ||
        !parse_macro_body(p, n->macro, "endmacro"))
        return NULL;
    return seal_signature(n) ? n : NULL;
}

static struct node *parse_call_block(struct parser *p, struct node *n)
{
    n->macro = arena_calloc(&p->t->arena, 1, sizeof *n->macro);
    if (!n->macro) {
        fail_memory(p);
        return NULL;
    }
    if (jinja_parse_is(p, '(') && !parse_parameters(p, n->macro))
        return NULL;
    if (!(n->a = jinja_parse_expr(p)))
        return NULL;
    if (n->a->kind != NODE_CALL) {
        jinja_lex_fail(p->t, n->at, p->e, ERR_INPUT, "expected a call");
        return NULL;
    }
    if (!parse_macro_body(p, n->macro, "endcall"))
        return NULL;
    return seal_signature(n) ? n : NULL;
}

static struct node *parse_filter_block(struct parser *p, struct node *n)
{
    if (!(n->a = jinja_parse_filters(p, NULL, true)))
        return NULL;
    n->b = parse_until(p, "endfilter");
    return n->b ? n : NULL;
}

static struct node *parse_with(struct parser *p, struct node *n)
{
    while (p->tok->type != TOK_BLOCK_END) {
        if (n->n && !jinja_parse_expect(p, ','))
            return NULL;
        struct node *target = parse_target(p, false, NULL);
        if (!jinja_parse_push(p, n, target) || !jinja_parse_expect(p, '='))
            return NULL;
        if (!jinja_parse_push(p, n, jinja_parse_expr(p)))
            return NULL;
    }
    n->b = parse_until(p, "endwith");
    return n->b ? n : NULL;
}

/* `generation`: what the assistant said.  The mark itself is of use to training only. */
static struct node *parse_generation(struct parser *p, struct node *n)
{
    int loops = p->loops;
    p->loops = 0;
    n->a = parse_until(p, "endgeneration");
    p->loops = loops;
    return n->a ? n : NULL;
}

static struct node *parse_autoescape(struct parser *p, struct node *n)
{
    struct node *value = jinja_parse_expr(p);
    if (!value)
        return NULL;
    if (value->kind != NODE_CONST || jinja_is_true(value->val)) {
        jinja_lex_fail(p->t, n->at, p->e, ERR_INPUT, "autoescape can only be switched off");
        return NULL;
    }
    n->a = parse_until(p, "endautoescape");
    return n->a ? n : NULL;
}

static struct node *parse_block(struct parser *p, struct node *n)
{
    const struct token *name = p->tok;
    if (take_name(p) < 0)
        return NULL;
    jinja_parse_skip_name(p, "scoped");
    n->a = parse_until(p, "endblock");
    if (n->a && p->tok->type == TOK_NAME && str_eq(p->tok->text, name->text))
        p->tok++;
    return n->a ? n : NULL;
}

static struct node *parse_print(struct parser *p, struct node *n)
{
    while (p->tok->type != TOK_BLOCK_END) {
        if (n->n && !jinja_parse_expect(p, ','))
            return NULL;
        struct node *print = jinja_parse_new(p, NODE_PRINT, p->tok->at);
        if (!print || !(print->a = jinja_parse_expr(p)) || !jinja_parse_seal(p, print) ||
            !jinja_parse_push(p, n, print))
            return NULL;
    }
    return n;
}

static struct node *parse_leave_loop(struct parser *p, struct node *n)
{
    if (p->loops == 0) {
        jinja_lex_fail(p->t, n->at, p->e, ERR_INPUT, "'%s' outside of a loop",
                       n->kind == NODE_BREAK ? "break" : "continue");
        return NULL;
    }
    return n;
}

static struct node *parse_files(struct parser *p, struct node *n)
{
    jinja_lex_fail(p->t, n->at, p->e, ERR_INPUT,
                   "a chat template is one file: extends, include and import are not available");
    return NULL;
}

static const struct statement {
    const char *name;
    enum node_kind kind;
    struct node *(*parse)(struct parser *p, struct node *n);
} statements[] = {
    {"for", NODE_FOR, parse_for},
    {"if", NODE_IF, parse_if},
    {"set", NODE_SET, parse_set},
    {"macro", NODE_MACRO, parse_macro},
    {"call", NODE_CALL_BLOCK, parse_call_block},
    {"filter", NODE_FILTER_BLOCK, parse_filter_block},
    {"with", NODE_WITH, parse_with},
    {"generation", NODE_SCOPE, parse_generation},
    {"autoescape", NODE_SCOPE, parse_autoescape},
    {"block", NODE_SCOPE, parse_block},
    {"print", NODE_BODY, parse_print},
    {"break", NODE_BREAK, parse_leave_loop},
    {"continue", NODE_CONTINUE, parse_leave_loop},
    {"extends", NODE_BODY, parse_files},
    {"include", NODE_BODY, parse_files},
    {"import", NODE_BODY, parse_files},
    {"from", NODE_BODY, parse_files},
};

static struct node *parse_statement(struct parser *p)
{
    char text[64];
    if (p->tok->type != TOK_NAME) {
        jinja_parse_fail(p, "expected the name of a tag, got %s", describe(p->tok, text));
        return NULL;
    }
    for (size_t i = 0; i < COUNT(statements); i++) {
        if (!jinja_parse_is_name(p, statements[i].name))
            continue;
        struct node *n = jinja_parse_new(p, statements[i].kind, p->tok->at);
        p->tok++;
        if (!n || !jinja_parse_enter(p))
            return NULL;
        n = statements[i].parse(p, n);
        jinja_parse_leave(p);
        return n && jinja_parse_seal(p, n) ? n : NULL;
    }
    jinja_parse_fail(p, "unknown tag %s", describe(p->tok, text));
    return NULL;
}

static bool at_end_tag(const struct parser *p, const char *const *ends)
{
    for (; ends && *ends; ends++)
        if (jinja_parse_is_name(p, *ends))
            return true;
    return false;
}

static struct node *parse_part(struct parser *p)
{
    struct node *n;
    switch (p->tok->type) {
    case TOK_DATA:
        n = jinja_parse_new(p, NODE_DATA, p->tok->at);
        if (!n || !const_text(p, p->tok->text, &n->val))
            return NULL;
        p->tok++;
        break;
    case TOK_VAR_BEGIN:
        n = jinja_parse_new(p, NODE_PRINT, p->tok->at);
        p->tok++;
        if (!n || !(n->a = jinja_parse_tuple(p, 0, NULL)) || !expect_type(p, TOK_VAR_END, "'}}'"))
            return NULL;
        break;
    default: // a statement; its "{%" is taken
        n = parse_statement(p);
        return n && expect_type(p, TOK_BLOCK_END, "'%}'") ? n : NULL;
    }
    return jinja_parse_seal(p, n) ? n : NULL;
}

/* Up to the end of the template, or to a tag named in `ends` (NULL: none), which becomes the
 * current token. */
static struct node *parse_body(struct parser *p, const char *const *ends)
{
    struct node *body = jinja_parse_new(p, NODE_BODY, p->tok->at);
    while (body && p->tok->type != TOK_EOF) {
        if (p->tok->type == TOK_BLOCK_BEGIN) {
            p->tok++;
            if (at_end_tag(p, ends))
                break;
        }
        if (!jinja_parse_push(p, body, parse_part(p)))
            return NULL;
    }
    return body && jinja_parse_seal(p, body) ? body : NULL;
}

bool jinja_parse(struct jinja *t, struct err *e)
{
    static const char *const known[] = {"loop", "caller", "kwargs", "varargs", "self"};
    struct token *tokens;
    size_t n;
    if (!jinja_lex(t, &tokens, &n, e))
        return false;
    struct parser p = {.t = t, .e = e, .tok = tokens, .end = tokens + n - 1};
    bool ok = true;
    for (size_t i = 0; i < COUNT(known) && ok; i++)
        ok = jinja_parse_sym(&p, str_c(known[i])) >= 0;
    t->root = ok ? parse_body(&p, NULL) : NULL;
    mem_free(tokens);
    return t->root != NULL;
}
