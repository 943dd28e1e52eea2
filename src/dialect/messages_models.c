/* dialect/messages_models.c - Anthropic's page of models, for whoever names an anthropic-version,
 * and Zylon's. */
#include "dialect/messages.h"

#include "base/mem.h"

#include <stdlib.h>
#include <time.h>

static void write_able(struct buf *out, const char *name, bool able)
{
    buf_printf(out, ",\"%s\":{\"supported\":%s}", name, able ? "true" : "false");
}

static void write_page_entry(const struct run_model *m, struct buf *out)
{
    static const char *const levels[] = {"low", "medium", "high", "max", "xhigh"};
    bool effort = chat_template_mentions(m->tmpl, "reasoning_effort");
    bool think = effort || chat_template_mentions(m->tmpl, "enable_thinking") ||
                 chat_template_mentions(m->tmpl, "thinking") ||
                 chat_template_mentions(m->tmpl, "reasoning_content");
    char when[32];
    struct tm tm;
    time_t t = (time_t)m->created_unix;
    gmtime_r(&t, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    buf_c(out, "{\"type\":\"model\",\"id\":");
    json_write_str(out, str_c(m->name), JSON_PLAIN);
    buf_c(out, ",\"display_name\":");
    json_write_str(out, str_c(m->name), JSON_PLAIN);
    int n_ctx = sched_n_ctx(m->sched);
    buf_printf(out,
               ",\"created_at\":\"%s\",\"deprecated_at\":null,\"lifecycle\":\"active\",\"line\":"
               "null,\"max_input_tokens\":%d,\"max_tokens\":%d,\"retires_at\":null,"
               "\"capabilities\":{\"batch\":{\"supported\":false}",
               when, n_ctx - 1, n_ctx - 1);
    write_able(out, "citations", false);
    write_able(out, "code_execution", false);
    buf_c(out, ",\"context_management\":{\"clear_thinking_20251015\":null,"
               "\"clear_tool_uses_20250919\":null,\"compact_20260112\":null,\"supported\":false}");
    buf_printf(out, ",\"effort\":{\"supported\":%s", effort ? "true" : "false");
    for (size_t i = 0; i < COUNT(levels); i++)
        write_able(out, levels[i], effort);
    buf_c(out, "},\"image_input\":{\"supported\":false,\"maximum\":0},"
               "\"audio_input\":{\"supported\":false,\"maximum\":0}");
    write_able(out, "pdf_input", false);
    write_able(out, "structured_outputs", false);
    buf_printf(out, ",\"thinking\":{\"supported\":%s,\"types\":{\"adaptive\":{\"supported\":%s}",
               think ? "true" : "false", think ? "true" : "false");
    write_able(out, "enabled", think);
    buf_c(out, "}}}}");
}

static int by_name(const void *a, const void *b)
{
    const struct run_model *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Where the model of this id stands; n if there is none. */
static size_t place_of(const struct run_model *const *sorted, size_t n, str id)
{
    size_t i = 0;
    while (i < n && !str_eqc(id, sorted[i]->name))
        i++;
    return i;
}

static bool read_page(struct http_req *r, const struct run_model *const *sorted, size_t n,
                      size_t *from, size_t *to, struct err *e)
{
    uint64_t limit = 100;
    str text;
    bool after = http_query(r, "after_id", &text) && text.n;
    size_t at = after ? place_of(sorted, n, text) : 0;
    *from = after ? at + 1 : 0;
    *to = n;
    if (after && at == n)
        return err_set_at(e, ERR_INPUT, "after_id", "'after_id' names no model");
    if (http_query(r, "before_id", &text) && text.n) {
        *to = place_of(sorted, n, text);
        if (after || *to == n)
            return err_set_at(e, ERR_INPUT, "before_id",
                              after ? "'before_id' and 'after_id' exclude each other"
                                    : "'before_id' names no model");
    }
    if (http_query(r, "limit", &text) && (!str_to_u64(text, &limit) || limit < 1 || limit > 1000))
        return err_set_at(e, ERR_INPUT, "limit", "'limit' must be between 1 and 1000");
    if (after || *to == n)
        *to = size_min(*to, *from + (size_t)limit);
    else // the page that ends before an id
        *from = *to > limit ? *to - (size_t)limit : 0;
    return true;
}

static void page_error(struct dialect *d, struct http_req *r, const struct err *e)
{
    struct buf out = BUF_INIT(ERROR_MAX);
    int status = anthropic_error(e, d->request_id, &out);
    http_reply(r, status, "application/json", buf_as_str(&out));
    buf_free(&out);
}

void models_page(struct dialect *d, struct http_req *r, str segment)
{
    size_t n = runs_n_models(d->conf.runs), from, to;
    const struct run_model **sorted = mem_calloc(n, sizeof *sorted);
    struct buf out = BUF_INIT((size_t)1 << 20);
    struct err e;
    (void)segment;
    for (size_t i = 0; i < n; i++)
        sorted[i] = runs_model(d->conf.runs, i);
    qsort(sorted, n, sizeof *sorted, by_name);
    if (!read_page(r, sorted, n, &from, &to, &e)) {
        page_error(d, r, &e);
        goto done;
    }
    buf_c(&out, "{\"data\":[");
    for (size_t i = from; i < to; i++) {
        if (i > from)
            buf_char(&out, ',');
        write_page_entry(sorted[i], &out);
    }
    str text;
    bool backwards = http_query(r, "before_id", &text) && text.n;
    buf_printf(&out, "],\"has_more\":%s,\"first_id\":",
               (backwards ? from > 0 : to < n) ? "true" : "false");
    if (from < to)
        json_write_str(&out, str_c(sorted[from]->name), JSON_PLAIN);
    else
        buf_c(&out, "null");
    buf_c(&out, ",\"last_id\":");
    if (from < to)
        json_write_str(&out, str_c(sorted[to - 1]->name), JSON_PLAIN);
    else
        buf_c(&out, "null");
    buf_c(&out, "}");
    http_reply(r, 200, "application/json", buf_as_str(&out));
done:
    buf_free(&out);
    mem_free(sorted);
}

void models_page_entry(struct dialect *d, struct http_req *r, str id)
{
    const struct run_model *m = id.n ? runs_find_model(d->conf.runs, id) : NULL;
    struct buf out = BUF_INIT(8192);
    struct err e;
    if (m) {
        write_page_entry(m, &out);
        http_reply(r, 200, "application/json", buf_as_str(&out));
    } else {
        err_set(&e, ERR_NOT_FOUND, "No model named '%.*s' is loaded here.",
                STR_ARG(str_sub(id, 0, 100)));
        page_error(d, r, &e);
    }
    buf_free(&out);
}
