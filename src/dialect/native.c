/* dialect/native.c - /tokenize, /detokenize and /apply-template, with llama-server's bodies.
 *
 * They run on the loop: bodies are bounded, and so is the work for each. */
#include "dialect/dialect_int.h"
#include "dialect/fields.h"

#include "base/mem.h"
#include "base/utf8.h"

#define TEXT_MAX ((size_t)1 << 20)

struct native {
    str model, content;
    const json_t *content_any, *tokens, *messages;
    bool add_special, with_pieces, parse_special;
};

#define AT(member) offsetof(struct native, member)

static const struct field tokenize_fields[] = {
    {"model", FIELD_STR, AT(model)},
    {"content", FIELD_STR, AT(content), .required = true},
    {"add_special", FIELD_BOOL, AT(add_special)},
    {"parse_special", FIELD_BOOL, AT(parse_special)},
    {"with_pieces", FIELD_BOOL, AT(with_pieces)},
};

static const struct field detokenize_fields[] = {
    {"model", FIELD_STR, AT(model)},
    {"tokens", FIELD_ARRAY, AT(tokens), .required = true},
};

static const struct field template_fields[] = {
    {"model", FIELD_STR, AT(model)},
    {"messages", FIELD_ARRAY, AT(messages), .required = true},
    {"chat_template_kwargs", FIELD_OBJECT, AT(content_any)},
    {"add_generation_prompt", FIELD_ANY, AT(content_any)},
    {"continue_final_message", FIELD_ANY, AT(content_any)},
    {"reasoning_effort", FIELD_ANY, AT(content_any)},
    {"tools", FIELD_ARRAY, AT(content_any)},
};

/* Body, fields and model; *body is the caller's to release when true. */
static bool read_native(struct dialect *d, const struct http_req *r, const struct field *fields,
                        size_t n, json_t **body, struct native *out, const struct run_model **m,
                        struct err *e)
{
    *body = json_parse(http_body(r), e);
    if (!*body)
        return err_ctx(e, "the body is not valid JSON (at %s)", e->where);
    bool ok = json_is_object(*body) || err_set(e, ERR_INPUT, "the body must be a JSON object");
    ok = ok && fields_read(fields, n, *body, out, "", NULL, e);
    *m = ok ? runs_find_model(d->conf.runs, out->model) : NULL;
    if (ok && !*m)
        ok = err_set_at(e, ERR_NOT_FOUND, "model", "No model named '%.*s' is loaded here.",
                        STR_ARG(str_sub(out->model, 0, 100)));
    if (!ok)
        json_decref(*body);
    return ok;
}

static void reply(struct http_req *r, bool ok, const struct err *e, struct buf *out)
{
    int status = 200;
    if (ok && out->full)
        ok = false;
    if (!ok) {
        buf_clear(out);
        status = openai_error(e, out);
    }
    http_reply(r, status, "application/json", buf_as_str(out));
    buf_free(out);
}

/* Pieces that are not UTF-8 are given as arrays of bytes. */
static void write_piece(const struct tok *tok, int32_t id, struct buf *out)
{
    str piece = tok_piece(tok, id, true);
    buf_printf(out, "{\"id\":%d,\"piece\":", id);
    if (utf8_valid(piece)) {
        json_write_str(out, piece, JSON_PLAIN);
    } else {
        for (size_t i = 0; i < piece.n; i++)
            buf_printf(out, "%c%d", i ? ',' : '[', (unsigned char)piece.p[i]);
        buf_char(out, ']');
    }
    buf_char(out, '}');
}

static void serve_tokenize(struct dialect *d, struct http_req *r, str segment)
{
    (void)segment;
    struct native in = {.parse_special = true};
    const struct run_model *m;
    json_t *body;
    struct err e;
    struct buf out = BUF_INIT(ANSWER_MAX);
    err_set(&e, ERR_LIMIT, "the answer is too large");
    bool ok = read_native(d, r, tokenize_fields, COUNT(tokenize_fields), &body, &in, &m, &e);
    if (ok && in.content.n > TEXT_MAX)
        ok = err_set_at(&e, ERR_LIMIT, "content", "'content' is longer than %zu bytes", TEXT_MAX);
    else if (ok) {
        struct tok_ids ids;
        struct tok_span span = {in.content, in.parse_special};
        tok_ids_init(&ids, 2 * TEXT_MAX);
        ok = tok_encode(m->tok, &span, 1, in.add_special, &ids, &e);
        buf_c(&out, "{\"tokens\":[");
        for (size_t i = 0; ok && i < ids.n; i++) {
            if (i)
                buf_char(&out, ',');
            if (in.with_pieces)
                write_piece(m->tok, ids.id[i], &out);
            else
                buf_printf(&out, "%d", ids.id[i]);
        }
        buf_c(&out, "]}");
        tok_ids_free(&ids);
        json_decref(body);
    }
    reply(r, ok, &e, &out);
}

static void serve_detokenize(struct dialect *d, struct http_req *r, str segment)
{
    (void)segment;
    struct native in = {0};
    const struct run_model *m;
    json_t *body, *v;
    struct err e;
    struct buf out = BUF_INIT(ANSWER_MAX), text = BUF_INIT(ANSWER_MAX / 8);
    int32_t *ids = NULL;
    bool ok = read_native(d, r, detokenize_fields, COUNT(detokenize_fields), &body, &in, &m, &e);
    if (ok) {
        size_t i, n = json_array_size(in.tokens);
        ids = mem_calloc(n, sizeof *ids);
        json_array_foreach(in.tokens, i, v)
        {
            json_int_t id = json_is_integer(v) ? json_integer_value(v) : -1;
            if (id < 0 || id >= tok_n_vocab(m->tok)) {
                ok = err_set_at(&e, ERR_INPUT, "tokens", "'tokens[%zu]' is no token of this model",
                                i);
                break;
            }
            ids[i] = (int32_t)id;
        }
        if (ok && !tok_decode(m->tok, ids, n, true, false, &text))
            ok = err_set(&e, ERR_LIMIT, "the text is too long");
        buf_c(&out, "{\"content\":");
        json_write_str(&out, buf_as_str(&text), JSON_PLAIN);
        buf_c(&out, "}");
        json_decref(body);
    }
    if (ok)
        err_set(&e, ERR_LIMIT, "the answer is too large");
    mem_free(ids);
    buf_free(&text);
    reply(r, ok, &e, &out);
}

static void serve_apply_template(struct dialect *d, struct http_req *r, str segment)
{
    (void)segment;
    struct native in = {0};
    const struct run_model *m;
    json_t *body;
    struct err e;
    struct buf out = BUF_INIT(ANSWER_MAX);
    bool ok = read_native(d, r, template_fields, COUNT(template_fields), &body, &in, &m, &e);
    if (ok) {
        struct chat_request *cr = chat_request_new(d->conf.max_request);
        struct jinja_out text;
        jinja_out_init(&text, ANSWER_MAX / 8);
        cr->messages = openai_messages(in.messages, &e);
        ok = cr->messages && tools_read_list(json_object_get(body, "tools"), cr, &e) &&
             openai_chat_shape(body, cr, &e) && chat_render(m->tmpl, cr, &text, &e);
        buf_c(&out, "{\"prompt\":");
        json_write_str(&out, buf_as_str(&text.text), JSON_PLAIN);
        buf_c(&out, "}");
        jinja_out_free(&text);
        chat_request_free(cr);
        json_decref(body);
    }
    if (ok)
        err_set(&e, ERR_LIMIT, "the answer is too large");
    reply(r, ok, &e, &out);
}

static const struct route routes[] = {
    {"POST", "/tokenize", "native.tokenize", .plain = serve_tokenize},
    {"POST", "/detokenize", "native.detokenize", .plain = serve_detokenize},
    {"POST", "/apply-template", "native.apply_template", .plain = serve_apply_template},
};

const struct brand native_brand = {"native", routes, COUNT(routes), openai_error};
