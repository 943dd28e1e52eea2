/* gram/json.c - JSON as nodes (RFC 8259), with little white space.
 *
 * A model that may put blanks anywhere puts them everywhere.  So between two tokens stand nothing,
 * one blank, or a line break with an indent; numbers have a bounded length, so that every reader
 * takes them as finite. */
#include "gram/gram_int.h"

#include "json/json.h"

#define INDENT_MAX 40

#define LIT(text) gram_lit(b, STR(text))

static const struct gram_node *seq(struct gram_build *b, size_t n,
                                   const struct gram_node *const *nodes)
{
    return gram_seq(b, nodes, n);
}
#define SEQ(...)                                                                                   \
    seq(b, sizeof((const struct gram_node *[]){__VA_ARGS__}) / sizeof(void *),                     \
        (const struct gram_node *[]){__VA_ARGS__})

static const struct gram_node *alt(struct gram_build *b, size_t n,
                                   const struct gram_node *const *nodes)
{
    return gram_alt(b, nodes, n);
}
#define ALT(...)                                                                                   \
    alt(b, sizeof((const struct gram_node *[]){__VA_ARGS__}) / sizeof(void *),                     \
        (const struct gram_node *[]){__VA_ARGS__})

const struct gram_node *json_ws(struct gram_build *b)
{
    if (!b->ws) {
        b->has_json = true;
        b->indent = gram_rule(b);
        gram_define(b, b->indent, gram_repeat(b, gram_alt2(b, LIT(" "), LIT("\t")), 0, INDENT_MAX));
        b->ws = gram_opt(b, gram_alt2(b, LIT(" "), gram_seq2(b, LIT("\n"), b->indent)));
    }
    return b->ws;
}

static const struct gram_node *bytes_of(struct gram_build *b, const char *ranges)
{
    struct node_list l = {0};
    for (; ranges[0] && ranges[1]; ranges += 2)
        node_add(b, &l, node_byte(b, (uint8_t)ranges[0], (uint8_t)ranges[1]));
    return node_alt(b, &l);
}

const struct gram_node *json_char(struct gram_build *b)
{
    if (b->json_char)
        return b->json_char;
    struct cp_set plain = {0};
    cp_add(b, &plain, 0x20, 0x21);
    cp_add(b, &plain, 0x23, 0x5B);
    cp_add(b, &plain, 0x5D, 0x10FFFF);
    const struct gram_node *hex = bytes_of(b, "09afAF"), *d = bytes_of(b, "ddDD");
    const struct gram_node *two = gram_seq2(b, hex, hex);
    // No half of a surrogate pair alone.
    const struct gram_node *one =
        ALT(SEQ(bytes_of(b, "09acACefEF"), hex, two), SEQ(d, bytes_of(b, "07"), two));
    const struct gram_node *pair =
        SEQ(d, bytes_of(b, "89abAB"), two, LIT("\\u"), d, bytes_of(b, "cfCF"), two);
    const struct gram_node *escape =
        gram_seq2(b, LIT("\\"),
                  gram_alt2(b, bytes_of(b, "\"\"\\\\//bbffnnrrtt"),
                            gram_seq2(b, LIT("u"), gram_alt2(b, one, pair))));
    b->json_char = gram_alt2(b, node_set(b, &plain), escape);
    return b->json_char;
}

const struct gram_node *json_chars(struct gram_build *b)
{
    return gram_repeat(b, json_char(b), 0, -1);
}

const struct gram_node *gram_json_string(struct gram_build *b)
{
    if (!b->json_string) {
        b->has_json = true;
        b->json_string = gram_rule(b);
        gram_define(b, b->json_string, SEQ(LIT("\""), json_chars(b), LIT("\"")));
    }
    return b->json_string;
}

const struct gram_node *json_any_number(struct gram_build *b)
{
    const struct gram_node *digit = node_byte(b, '0', '9');
    return SEQ(gram_opt(b, LIT("-")),
               ALT(LIT("0"), gram_seq2(b, node_byte(b, '1', '9'), gram_repeat(b, digit, 0, 17))),
               gram_opt(b, gram_seq2(b, LIT("."), gram_repeat(b, digit, 1, 17))),
               gram_opt(b, SEQ(bytes_of(b, "eeEE"), gram_opt(b, bytes_of(b, "++--")),
                               gram_repeat(b, digit, 1, 2))));
}

/* open [ item { , item } ] close */
static const struct gram_node *any_list(struct gram_build *b, str open, str close,
                                        const struct gram_node *item)
{
    const struct gram_node *ws = json_ws(b);
    const struct gram_node *more = SEQ(LIT(","), ws, item);
    return SEQ(gram_lit(b, open), ws, gram_opt(b, SEQ(item, gram_repeat(b, more, 0, -1), ws)),
               gram_lit(b, close));
}

static void make_any(struct gram_build *b, enum gram_style style)
{
    if (b->json_value[style])
        return;
    bool python = style == GRAM_PYTHON;
    const struct gram_node *value = b->json_value[style] = gram_rule(b);
    const struct gram_node *object = b->json_object[style] = gram_rule(b);
    const struct gram_node *array = b->json_array[style] = gram_rule(b);
    const struct gram_node *number = gram_rule(b);
    gram_define(b, number, json_any_number(b));
    gram_define(b, value,
                ALT(object, array, gram_json_string(b), number, python ? LIT("True") : LIT("true"),
                    python ? LIT("False") : LIT("false"), python ? LIT("None") : LIT("null")));
    gram_define(
        b, object,
        any_list(b, STR("{"), STR("}"), SEQ(gram_json_string(b), LIT(":"), json_ws(b), value)));
    gram_define(b, array, any_list(b, STR("["), STR("]"), value));
}

const struct gram_node *json_any_value(struct gram_build *b, enum gram_style style)
{
    make_any(b, style);
    return b->json_value[style];
}

const struct gram_node *json_any_object(struct gram_build *b, enum gram_style style)
{
    make_any(b, style);
    return b->json_object[style];
}

const struct gram_node *json_any_array(struct gram_build *b, enum gram_style style)
{
    make_any(b, style);
    return b->json_array[style];
}

const struct gram_node *gram_json_value(struct gram_build *b)
{
    return json_any_value(b, GRAM_JSON);
}

const struct gram_node *gram_json_object(struct gram_build *b)
{
    return json_any_object(b, GRAM_JSON);
}

static const struct gram_node *scalar(struct gram_build *b, const json_t *v, enum gram_style style)
{
    bool python = style == GRAM_PYTHON;
    if (json_is_true(v))
        return python ? LIT("True") : LIT("true");
    if (json_is_false(v))
        return python ? LIT("False") : LIT("false");
    if (json_is_null(v))
        return python ? LIT("None") : LIT("null");
    struct buf out = BUF_INIT(1 << 20);
    double real = json_is_real(v) ? json_real_value(v) : 0.5;
    if (real == (double)(long long)real && real > -1e15 && real < 1e15)
        buf_printf(&out, "%lld", (long long)real); // 1.0 is the integer 1
    else
        json_write(&out, v, JSON_PLAIN, -1);
    if (out.full)
        build_fail(b, ERR_LIMIT, NULL, "a value is too long");
    const struct gram_node *n = gram_lit(b, buf_as_str(&out));
    buf_free(&out);
    return n;
}

const struct gram_node *json_literal(struct gram_build *b, const json_t *v, enum gram_style style)
{
    b->has_json = true;
    if (!json_is_object(v) && !json_is_array(v))
        return scalar(b, v, style);
    struct node_list items = {0};
    const struct gram_node *ws = json_ws(b);
    const char *key;
    size_t i;
    json_t *x;
    bool object = json_is_object(v);
    if (object) {
        json_object_foreach((json_t *)(uintptr_t)v, key, x)
        {
            json_t *name = json_from_str(str_c(key));
            node_add(b, &items,
                     SEQ(items.n ? gram_seq2(b, LIT(","), ws) : LIT(""), scalar(b, name, style),
                         LIT(":"), ws, json_literal(b, x, style)));
            json_decref(name);
        }
    } else {
        json_array_foreach(v, i, x)
            node_add(b, &items,
                     gram_seq2(b, items.n ? gram_seq2(b, LIT(","), ws) : LIT(""),
                               json_literal(b, x, style)));
    }
    return SEQ(object ? LIT("{") : LIT("["), ws,
               items.n ? gram_seq2(b, node_seq(b, &items), ws) : LIT(""),
               object ? LIT("}") : LIT("]"));
}
