/* jinja/parse_expr.c - expressions: tokens to tree, with exactly Jinja2's precedence.
 *
 *     if-else < or < and < not < comparisons, in < + - < ~ < * / // % < ** < unary < . [] () | is
 *
 * Unary minus binds tighter than ** (unlike Python), and both operands of ** may carry filters. */
#include "jinja/jinja_int.h"

static struct node *parse_or(struct parser *p);
static struct node *parse_unary(struct parser *p, bool with_filter);

static struct node *sealed(struct parser *p, struct node *n)
{
    return n && jinja_parse_seal(p, n) ? n : NULL;
}

static struct node *binary(struct parser *p, enum node_kind kind, int op, uint32_t at,
                           struct node *a, struct node *b)
{
    struct node *n = a && b ? jinja_parse_new(p, kind, at) : NULL;
    if (!n)
        return NULL;
    n->op = (uint8_t)op;
    n->a = a;
    n->b = b;
    return sealed(p, n);
}

struct node *jinja_parse_expr(struct parser *p)
{
    if (!jinja_parse_enter(p))
        return NULL;
    uint32_t at = p->tok->at;
    int soft = p->soft;
    struct node *n = parse_or(p);
    while (n && jinja_parse_skip_name(p, "if")) {
        struct node *cond = jinja_parse_new(p, NODE_COND, at);
        if (!cond)
            return NULL;
        cond->b = n;
        p->soft++;
        if (!(cond->a = parse_or(p)))
            return NULL;
        if (jinja_parse_skip_name(p, "else") && !(cond->c = jinja_parse_expr(p)))
            return NULL;
        at = p->tok->at;
        n = sealed(p, cond);
    }
    p->soft = soft;
    jinja_parse_leave(p);
    return n;
}

static struct node *parse_compare(struct parser *p);

static struct node *parse_not(struct parser *p)
{
    uint32_t at = p->tok->at;
    if (!jinja_parse_skip_name(p, "not"))
        return parse_compare(p);
    if (!jinja_parse_enter(p))
        return NULL;
    struct node *n = jinja_parse_new(p, NODE_NOT, at);
    if (!n || !(n->a = parse_not(p)))
        return NULL;
    jinja_parse_leave(p);
    return sealed(p, n);
}

static struct node *parse_and(struct parser *p)
{
    uint32_t at = p->tok->at;
    struct node *n = parse_not(p);
    while (n && jinja_parse_skip_name(p, "and")) {
        n = binary(p, NODE_AND, 0, at, n, parse_not(p));
        at = p->tok->at;
    }
    return n;
}

static struct node *parse_or(struct parser *p)
{
    uint32_t at = p->tok->at;
    struct node *n = parse_and(p);
    while (n && jinja_parse_skip_name(p, "or")) {
        n = binary(p, NODE_OR, 0, at, n, parse_and(p));
        at = p->tok->at;
    }
    return n;
}

/* One row an operator of a level. */
struct level_op {
    int token;
    enum op op;
};

static int level_find(struct parser *p, const struct level_op *ops, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (jinja_parse_skip(p, ops[i].token))
            return (int)ops[i].op;
    return -1;
}

static struct node *parse_pow(struct parser *p)
{
    uint32_t at = p->tok->at;
    struct node *n = parse_unary(p, true);
    while (n && jinja_parse_skip(p, OP2('*', '*'))) {
        n = binary(p, NODE_BINARY, OP_POW, at, n, parse_unary(p, true));
        at = p->tok->at;
    }
    return n;
}

static struct node *parse_product(struct parser *p)
{
    static const struct level_op ops[] = {
        {'*', OP_MUL}, {'/', OP_DIV}, {OP2('/', '/'), OP_FLOORDIV}, {'%', OP_MOD}};
    uint32_t at = p->tok->at;
    struct node *n = parse_pow(p);
    int op;
    while (n && (op = level_find(p, ops, COUNT(ops))) >= 0) {
        n = binary(p, NODE_BINARY, op, at, n, parse_pow(p));
        at = p->tok->at;
    }
    return n;
}

static struct node *parse_concat(struct parser *p)
{
    struct node *first = parse_product(p);
    if (!first || !jinja_parse_is(p, '~'))
        return first;
    struct node *n = jinja_parse_new(p, NODE_CONCAT, first->at);
    if (!n || !jinja_parse_push(p, n, first))
        return NULL;
    while (jinja_parse_skip(p, '~'))
        if (!jinja_parse_push(p, n, parse_product(p)))
            return NULL;
    return sealed(p, n);
}

static struct node *parse_sum(struct parser *p)
{
    static const struct level_op ops[] = {{'+', OP_ADD}, {'-', OP_SUB}};
    uint32_t at = p->tok->at;
    struct node *n = parse_concat(p);
    int op;
    while (n && (op = level_find(p, ops, COUNT(ops))) >= 0) {
        n = binary(p, NODE_BINARY, op, at, n, parse_concat(p));
        at = p->tok->at;
    }
    return n;
}

static int take_compare(struct parser *p)
{
    static const struct level_op ops[] = {{OP2('=', '='), OP_EQ}, {OP2('!', '='), OP_NE},
                                          {'<', OP_LT},           {OP2('<', '='), OP_LE},
                                          {'>', OP_GT},           {OP2('>', '='), OP_GE}};
    int op = level_find(p, ops, COUNT(ops));
    if (op >= 0)
        return op;
    if (jinja_parse_skip_name(p, "in"))
        return OP_IN;
    if (jinja_parse_is_name(p, "not") && p->tok[1].type == TOK_NAME &&
        str_eqc(p->tok[1].text, "in")) {
        p->tok += 2;
        return OP_NOT_IN;
    }
    return -1;
}

static struct node *parse_compare(struct parser *p)
{
    uint32_t at = p->tok->at;
    struct node *first = parse_sum(p);
    int op = first ? take_compare(p) : -1;
    if (op < 0)
        return first;
    struct node *n = jinja_parse_new(p, NODE_COMPARE, at);
    if (!n || !jinja_parse_push(p, n, first))
        return NULL;
    struct buf ops = BUF_INIT(JINJA_SOURCE_MAX);
    bool ok = true;
    for (; op >= 0 && ok; op = ok ? take_compare(p) : -1) {
        buf_char(&ops, (char)op);
        ok = jinja_parse_push(p, n, parse_sum(p));
    }
    n->ops = (uint8_t *)(uintptr_t)arena_str(&p->t->arena, buf_as_str(&ops)).p;
    buf_free(&ops);
    if (ok && !n->ops)
        ok = jinja_lex_fail(p->t, at, p->e, ERR_LIMIT, "template needs too much memory");
    return ok ? sealed(p, n) : NULL;
}

/* ---- Primaries ---- */

static struct node *constant(struct parser *p, uint32_t at, struct value v)
{
    struct node *n = jinja_parse_new(p, NODE_CONST, at);
    if (!n)
        return NULL;
    n->val = v;
    return sealed(p, n);
}

static bool remember_string(struct parser *p, struct value v)
{
    struct jinja *t = p->t;
    if (t->n_strings == t->cap_strings) {
        size_t cap = t->cap_strings ? t->cap_strings * 2 : 64;
        struct value *all = arena_calloc(&t->arena, cap, sizeof *all);
        if (!all)
            return jinja_lex_fail(t, p->tok->at, p->e, ERR_LIMIT, "template needs too much memory");
        if (t->n_strings)
            memcpy(all, t->strings, t->n_strings * sizeof *all);
        t->strings = all;
        t->cap_strings = cap;
    }
    t->strings[t->n_strings++] = v;
    return true;
}

/* Adjacent literals are one string. */
static struct node *parse_string(struct parser *p)
{
    uint32_t at = p->tok->at;
    struct buf all = BUF_INIT(JINJA_SOURCE_MAX * 2);
    while (p->tok->type == TOK_STRING)
        buf_str(&all, (p->tok++)->text);
    str s = arena_str(&p->t->arena, buf_as_str(&all));
    buf_free(&all);
    struct text *text = s.p ? arena_calloc(&p->t->arena, 1, sizeof *text) : NULL;
    if (!text) {
        jinja_lex_fail(p->t, at, p->e, ERR_LIMIT, "template needs too much memory");
        return NULL;
    }
    *text = (struct text){.p = s.p, .n = (uint32_t)s.n, .trusted = true};
    text->n_chars = jinja_text_count(s);
    return remember_string(p, jinja_str(text)) ? constant(p, at, jinja_str(text)) : NULL;
}

static struct node *parse_name(struct parser *p)
{
    static const struct {
        const char *name;
        struct value v;
    } words[] = {
        {"true", {.kind = KIND_BOOL, .b = true}},
        {"True", {.kind = KIND_BOOL, .b = true}},
        {"false", {.kind = KIND_BOOL, .b = false}},
        {"False", {.kind = KIND_BOOL, .b = false}},
        {"none", {.kind = KIND_NONE}},
        {"None", {.kind = KIND_NONE}},
    };
    const struct token *k = p->tok++;
    for (size_t i = 0; i < COUNT(words); i++)
        if (str_eqc(k->text, words[i].name))
            return constant(p, k->at, words[i].v);
    struct node *n = jinja_parse_new(p, NODE_NAME, k->at);
    if (!n || (n->sym = jinja_parse_sym(p, k->text)) < 0)
        return NULL;
    for (int i = 0; i < p->n_macros; i++) {
        p->macros[i]->wants_caller |= n->sym == SYM_CALLER;
        p->macros[i]->wants_kwargs |= n->sym == SYM_KWARGS;
        p->macros[i]->wants_varargs |= n->sym == SYM_VARARGS;
    }
    return sealed(p, n);
}

static struct node *parse_list(struct parser *p)
{
    struct node *n = jinja_parse_new(p, NODE_LIST, p->tok->at);
    p->tok++;
    while (n && !jinja_parse_is(p, ']')) {
        if (n->n && !jinja_parse_expect(p, ','))
            return NULL;
        if (jinja_parse_is(p, ']'))
            break;
        if (!jinja_parse_push(p, n, jinja_parse_expr(p)))
            return NULL;
    }
    p->tok++;
    return sealed(p, n);
}

static struct node *parse_dict(struct parser *p)
{
    struct node *n = jinja_parse_new(p, NODE_DICT, p->tok->at);
    p->tok++;
    while (n && !jinja_parse_is(p, '}')) {
        if (n->n && !jinja_parse_expect(p, ','))
            return NULL;
        if (jinja_parse_is(p, '}'))
            break;
        if (!jinja_parse_push(p, n, jinja_parse_expr(p)) || !jinja_parse_expect(p, ':') ||
            !jinja_parse_push(p, n, jinja_parse_expr(p)))
            return NULL;
    }
    p->tok++;
    return sealed(p, n);
}

static struct node *parse_primary(struct parser *p)
{
    const struct token *k = p->tok;
    struct node *n;
    switch (k->type) {
    case TOK_NAME: return parse_name(p);
    case TOK_STRING: return parse_string(p);
    case TOK_INT: p->tok++; return constant(p, k->at, jinja_int(k->i));
    case TOK_FLOAT: p->tok++; return constant(p, k->at, jinja_float(k->f));
    default: break;
    }
    if (jinja_parse_is(p, '[') || jinja_parse_is(p, '{') || jinja_parse_is(p, '(')) {
        if (!jinja_parse_enter(p))
            return NULL;
        if (k->op == '(') {
            p->tok++;
            n = jinja_parse_tuple(p, TUPLE_PARENS, NULL);
            if (n && !jinja_parse_expect(p, ')'))
                return NULL;
        } else {
            n = k->op == '[' ? parse_list(p) : parse_dict(p);
        }
        jinja_parse_leave(p);
        return n;
    }
    jinja_parse_fail(p, "expected an expression");
    return NULL;
}

static bool tuple_ends(const struct parser *p, const char *end_name)
{
    if (p->tok->type == TOK_VAR_END || p->tok->type == TOK_BLOCK_END || jinja_parse_is(p, ')'))
        return true;
    return end_name && jinja_parse_is_name(p, end_name);
}

struct node *jinja_parse_tuple(struct parser *p, int flags, const char *end_name)
{
    struct node *tuple = NULL, *only = NULL;
    uint32_t at = p->tok->at;
    for (;;) {
        if (tuple_ends(p, end_name))
            break;
        struct node *item = flags & TUPLE_SIMPLE    ? parse_primary(p)
                            : flags & TUPLE_NO_COND ? parse_or(p)
                                                    : jinja_parse_expr(p);
        if (!item)
            return NULL;
        if (!tuple && !jinja_parse_is(p, ',')) {
            only = item;
            break;
        }
        if (!tuple && !(tuple = jinja_parse_new(p, NODE_TUPLE, at)))
            return NULL;
        if (!jinja_parse_push(p, tuple, item))
            return NULL;
        if (!jinja_parse_skip(p, ','))
            break;
    }
    if (only)
        return only;
    if (!tuple) {
        if (!(flags & TUPLE_PARENS)) {
            jinja_parse_fail(p, "expected an expression");
            return NULL;
        }
        tuple = jinja_parse_new(p, NODE_TUPLE, at);
    }
    return sealed(p, tuple);
}

/* ---- What follows a primary ---- */

static bool args_push(struct parser *p, struct node ***list, int *n, struct node *item)
{
    // Borrow the growth of a node's kids.
    struct node holder = {.kids = *list, .n = *n};
    if (!jinja_parse_push(p, &holder, item))
        return false;
    *list = holder.kids;
    *n = holder.n;
    return true;
}

static bool parse_keyword(struct parser *p, struct call_args *args)
{
    int sym = jinja_parse_sym(p, p->tok->text);
    p->tok += 2;
    if (sym < 0)
        return false;
    for (int i = 0; i < args->n_kw; i++)
        if (args->kw_sym[i] == sym)
            return jinja_parse_fail(p, "keyword argument given twice");
    int *syms = arena_calloc(&p->t->arena, (size_t)args->n_kw + 1, sizeof *syms);
    if (!syms)
        return jinja_parse_fail(p, "template needs too much memory");
    if (args->n_kw)
        memcpy(syms, args->kw_sym, (size_t)args->n_kw * sizeof *syms);
    syms[args->n_kw] = sym;
    args->kw_sym = syms;
    return args_push(p, &args->kw, &args->n_kw, jinja_parse_expr(p));
}

static bool parse_arg(struct parser *p, struct call_args *args)
{
    bool ok;
    if (jinja_parse_skip(p, '*')) {
        ok = !args->star && !args->star2;
        if (ok)
            return (args->star = jinja_parse_expr(p)) != NULL;
    } else if (jinja_parse_skip(p, OP2('*', '*'))) {
        ok = !args->star2;
        if (ok)
            return (args->star2 = jinja_parse_expr(p)) != NULL;
    } else if (p->tok->type == TOK_NAME && p->tok[1].type == TOK_OP && p->tok[1].op == '=') {
        ok = !args->star2;
        if (ok)
            return parse_keyword(p, args);
    } else {
        ok = !args->star && !args->star2 && !args->n_kw;
        if (ok)
            return args_push(p, &args->pos, &args->n_pos, jinja_parse_expr(p));
    }
    return jinja_parse_fail(p, "arguments of a call are in the wrong order");
}

static struct call_args *parse_args(struct parser *p)
{
    struct call_args *args = arena_calloc(&p->t->arena, 1, sizeof *args);
    if (!args) {
        jinja_parse_fail(p, "template needs too much memory");
        return NULL;
    }
    if (!jinja_parse_expect(p, '('))
        return NULL;
    for (bool first = true; !jinja_parse_is(p, ')'); first = false) {
        if (!first && !jinja_parse_expect(p, ','))
            return NULL;
        if (!first && jinja_parse_is(p, ')'))
            break;
        if (!parse_arg(p, args))
            return NULL;
    }
    p->tok++;
    return args;
}

static struct node *parse_call(struct parser *p, struct node *of)
{
    struct node *n = jinja_parse_new(p, NODE_CALL, p->tok->at);
    if (!n)
        return NULL;
    n->a = of;
    n->args = parse_args(p);
    return n->args ? sealed(p, n) : NULL;
}

static bool slice_ends(const struct parser *p)
{
    return jinja_parse_is(p, ']') || jinja_parse_is(p, ',');
}

/* One subscript: an expression or a slice. */
static struct node *parse_subscript(struct parser *p)
{
    uint32_t at = p->tok->at;
    struct node *first = NULL;
    if (!jinja_parse_is(p, ':')) {
        first = jinja_parse_expr(p);
        if (!first || !jinja_parse_is(p, ':'))
            return first;
    }
    p->tok++;
    struct node *n = jinja_parse_new(p, NODE_SLICE, at);
    if (!n)
        return NULL;
    n->a = first;
    if (!jinja_parse_is(p, ':') && !slice_ends(p) && !(n->b = jinja_parse_expr(p)))
        return NULL;
    if (jinja_parse_skip(p, ':') && !slice_ends(p) && !(n->c = jinja_parse_expr(p)))
        return NULL;
    return sealed(p, n);
}

static struct node *parse_item(struct parser *p, struct node *of)
{
    uint32_t at = p->tok->at;
    p->tok++;
    struct node *keys = jinja_parse_new(p, NODE_TUPLE, at);
    while (keys && !jinja_parse_is(p, ']')) {
        if (keys->n && !jinja_parse_expect(p, ','))
            return NULL;
        if (!jinja_parse_push(p, keys, parse_subscript(p)))
            return NULL;
    }
    p->tok++;
    if (!sealed(p, keys))
        return NULL;
    return binary(p, NODE_ITEM, 0, at, of, keys->n == 1 ? keys->kids[0] : keys);
}

static struct node *parse_dot(struct parser *p, struct node *of)
{
    uint32_t at = p->tok->at;
    const struct token *k = ++p->tok;
    if (k->type == TOK_INT) {
        p->tok++;
        return binary(p, NODE_ITEM, 0, at, of, constant(p, k->at, jinja_int(k->i)));
    }
    if (k->type != TOK_NAME) {
        jinja_parse_fail(p, "expected a name or number behind '.'");
        return NULL;
    }
    p->tok++;
    struct node *n = jinja_parse_new(p, NODE_ATTR, at);
    if (!n || (n->sym = jinja_parse_sym(p, k->text)) < 0)
        return NULL;
    n->a = of;
    return sealed(p, n);
}

static struct node *parse_postfix(struct parser *p, struct node *n)
{
    for (;;) {
        if (!n)
            return NULL;
        if (jinja_parse_is(p, '.'))
            n = parse_dot(p, n);
        else if (jinja_parse_is(p, '['))
            n = parse_item(p, n);
        else if (jinja_parse_is(p, '('))
            n = parse_call(p, n);
        else
            return n;
    }
}

/* The name of a filter or test, which may have dots (none of ours does). */
static bool parse_dotted(struct parser *p, struct buf *name)
{
    for (;;) {
        if (p->tok->type != TOK_NAME)
            return jinja_parse_fail(p, "expected a name");
        buf_str(name, (p->tok++)->text);
        if (!jinja_parse_skip(p, '.'))
            return true;
        buf_char(name, '.');
    }
}

/* The built-in of that name.  Where a branch may never be taken, one that is unknown is an error
 * only when it is reached (n->fn stays NULL, n->sym names it). */
static bool resolve(struct parser *p, struct node *n, bool filter)
{
    struct buf name = BUF_INIT(4096);
    bool ok = parse_dotted(p, &name);
    if (ok) {
        n->fn = filter ? jinja_filter_find(buf_as_str(&name)) : jinja_test_find(buf_as_str(&name));
        str kept = arena_str(&p->t->arena, buf_as_str(&name));
        n->sym = kept.p ? jinja_parse_sym(p, kept) : -1;
        if (n->sym < 0)
            ok = jinja_parse_fail(p, "template needs too much memory");
        else if (!n->fn && p->soft == 0)
            ok = jinja_lex_fail(p->t, n->at, p->e, ERR_INPUT, "no %s named '%.*s'",
                                filter ? "filter" : "test", STR_ARG(kept));
    }
    buf_free(&name);
    return ok;
}

struct node *jinja_parse_filters(struct parser *p, struct node *of, bool first_inline)
{
    while (first_inline || jinja_parse_is(p, '|')) {
        if (!first_inline)
            p->tok++;
        first_inline = false;
        struct node *n = jinja_parse_new(p, NODE_FILTER, p->tok->at);
        if (!n || !resolve(p, n, true))
            return NULL;
        n->a = of;
        if (jinja_parse_is(p, '(') && !(n->args = parse_args(p)))
            return NULL;
        of = sealed(p, n);
        if (!of)
            return NULL;
    }
    return of;
}

static bool starts_test_argument(const struct parser *p)
{
    switch (p->tok->type) {
    case TOK_NAME:
        return !jinja_parse_is_name(p, "else") && !jinja_parse_is_name(p, "or") &&
               !jinja_parse_is_name(p, "and");
    case TOK_STRING:
    case TOK_INT:
    case TOK_FLOAT: return true;
    default: return jinja_parse_is(p, '[') || jinja_parse_is(p, '{');
    }
}

static struct node *parse_test(struct parser *p, struct node *of)
{
    struct node *n = jinja_parse_new(p, NODE_TEST, p->tok->at);
    p->tok++;
    bool negated = jinja_parse_skip_name(p, "not");
    if (!n || !resolve(p, n, false))
        return NULL;
    n->a = of;
    if (jinja_parse_is(p, '(')) {
        if (!(n->args = parse_args(p)))
            return NULL;
    } else if (starts_test_argument(p)) {
        if (jinja_parse_is_name(p, "is")) {
            jinja_parse_fail(p, "tests can't be chained with 'is'");
            return NULL;
        }
        n->args = arena_calloc(&p->t->arena, 1, sizeof *n->args);
        if (!n->args ||
            !args_push(p, &n->args->pos, &n->args->n_pos, parse_postfix(p, parse_primary(p))))
            return NULL;
    }
    if (!sealed(p, n))
        return NULL;
    if (!negated)
        return n;
    struct node *not_n = jinja_parse_new(p, NODE_NOT, n->at);
    if (!not_n)
        return NULL;
    not_n->a = n;
    return sealed(p, not_n);
}

static struct node *parse_unary(struct parser *p, bool with_filter)
{
    uint32_t at = p->tok->at;
    struct node *n;
    bool minus = jinja_parse_is(p, '-');
    if (minus || jinja_parse_is(p, '+')) {
        p->tok++;
        if (!jinja_parse_enter(p))
            return NULL;
        n = jinja_parse_new(p, minus ? NODE_NEG : NODE_POS, at);
        if (!n || !(n->a = parse_unary(p, false)))
            return NULL;
        jinja_parse_leave(p);
        n = sealed(p, n);
    } else {
        n = parse_primary(p);
    }
    n = parse_postfix(p, n);
    while (n && with_filter) {
        if (jinja_parse_is(p, '|'))
            n = jinja_parse_filters(p, n, false);
        else if (jinja_parse_is_name(p, "is"))
            n = parse_test(p, n);
        else if (jinja_parse_is(p, '('))
            n = parse_call(p, n);
        else
            break;
    }
    return n;
}
