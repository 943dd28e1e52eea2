/* dialect/models.c - /v1/models: one answer for the clients of OpenAI, Pawa AI and Anthropic, whose
 * lists share the path. */
#include "dialect/dialect_int.h"

#include <time.h>

static void write_entry(const struct run_model *m, struct buf *out)
{
    char when[32];
    struct tm tm;
    time_t t = (time_t)m->created_unix;
    gmtime_r(&t, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    buf_c(out, "{\"id\":");
    json_write_str(out, str_c(m->name), JSON_PLAIN);
    buf_printf(out, ",\"object\":\"model\",\"created\":%lld,\"owned_by\":\"confab\",\"name\":",
               (long long)m->created_unix);
    json_write_str(out, str_c(m->name), JSON_PLAIN);
    buf_c(out, ",\"modelType\":\"chat\",\"type\":\"model\",\"display_name\":");
    json_write_str(out, str_c(m->name), JSON_PLAIN);
    buf_printf(out,
               ",\"created_at\":\"%s\",\"meta\":{\"n_ctx\":%d,\"n_ctx_train\":%d,\"n_params\":%llu,"
               "\"n_vocab\":%d,\"size\":%zu}}",
               when, sched_n_ctx(m->sched), m->info->n_ctx_train,
               (unsigned long long)m->info->n_params, m->info->n_vocab, m->info->weight_bytes);
}

void models_list(struct dialect *d, struct http_req *r, str segment)
{
    (void)segment;
    struct runs *runs = d->conf.runs;
    size_t n = runs_n_models(runs);
    struct buf out = BUF_INIT((size_t)1 << 20);
    buf_c(&out, "{\"object\":\"list\",\"success\":true,"
                "\"message\":\"Models fetched successfully\",\"data\":[");
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_char(&out, ',');
        write_entry(runs_model(runs, i), &out);
    }
    buf_c(&out, "],\"has_more\":false,\"first_id\":");
    json_write_str(&out, str_c(runs_model(runs, 0)->name), JSON_PLAIN);
    buf_c(&out, ",\"last_id\":");
    json_write_str(&out, str_c(runs_model(runs, n - 1)->name), JSON_PLAIN);
    buf_c(&out, "}");
    http_reply(r, 200, "application/json", buf_as_str(&out));
    buf_free(&out);
}

void models_show(struct dialect *d, struct http_req *r, str id)
{
    const struct run_model *m = id.n ? runs_find_model(d->conf.runs, id) : NULL;
    struct buf out = BUF_INIT(8192);
    int status = 200;
    if (m) {
        write_entry(m, &out);
    } else {
        struct err e;
        err_set_at(&e, ERR_NOT_FOUND, "model", "No model named '%.*s' is loaded here.",
                   STR_ARG(str_sub(id, 0, 100)));
        err_kind(&e, "model_not_found");
        status = openai_error(&e, &out);
    }
    http_reply(r, status, "application/json", buf_as_str(&out));
    buf_free(&out);
}
