/* dialect/messages_serve.c - what Anthropic's and Zylon's routes share: a body fitted to the model
 * it names, and token counts. */
#include "dialect/messages.h"

#include "base/clock.h"

#include <time.h>

#define COUNT_MAX ((size_t)4 << 20) // bytes of a body that is rendered on the loop

/* A model by its name; "default" and any claude-* that is not loaded are the first one. */
static const struct run_model *find_model(struct dialect *d, struct chat_request *r)
{
    const struct run_model *model = runs_find_model(d->conf.runs, r->model);
    if (model)
        return model;
    if (!str_eqc(r->model, "default") && !str_starts(r->model, STR("claude-")))
        return NULL;
    r->model = STR("");
    return runs_find_model(d->conf.runs, r->model);
}

/* The model's own sampling settings, where the body has none. */
static void use_model_defaults(const struct run_model *model, const struct messages_more *more,
                               struct chat_request *r)
{
    float v;
    int64_t k;
    if (!more->temperature && gguf_f32(model->gguf, "general.sampling.temp", &v) && v >= 0)
        r->temperature = v;
    if (!more->top_p && gguf_f32(model->gguf, "general.sampling.top_p", &v) && v > 0 && v <= 1)
        r->top_p = v;
    if (!more->min_p && gguf_f32(model->gguf, "general.sampling.min_p", &v) && v >= 0 && v <= 1)
        r->min_p = v;
    if (!more->top_k && gguf_i64(model->gguf, "general.sampling.top_k", &k) && k >= 0 &&
        k <= INT32_MAX)
        r->top_k = (int)k;
}

static void set_arg(struct chat_request *r, const char *name, json_t *value)
{
    if (!r->template_args)
        r->template_args = json_object();
    json_object_set_new(r->template_args, name, value);
}

/* Thinking is a variable of the template; its name differs. */
static void set_thinking(const struct run_model *model, struct messages_more *more,
                         struct chat_request *r)
{
    static const char *const switches[] = {"enable_thinking", "thinking"};
    bool able = chat_template_mentions(model->tmpl, "reasoning_content");
    bool on = more->think == THINK_ON || more->think == THINK_IF_ABLE;
    for (size_t i = 0; i < COUNT(switches); i++)
        if (chat_template_mentions(model->tmpl, switches[i])) {
            set_arg(r, switches[i], json_boolean(on));
            able = true;
        }
    if (chat_template_mentions(model->tmpl, "reasoning_effort")) {
        able = true;
        if (on)
            set_arg(r, "reasoning_effort", json_string(more->effort ? more->effort : "medium"));
    }
    if (more->think == THINK_ON && !able)
        messages_late(more, "thinking", "INVALID_REQUEST_REASONING_SUPPORTED_ERROR",
                      "'thinking' cannot be enabled: this model has no reasoning");
}

/* The server's own words, behind the caller's; the date alone, so that the prefix stays the same
 * for a day. */
static void add_default_prompt(struct chat_request *r)
{
    char day[16], text[160];
    struct tm tm;
    time_t now = (time_t)(clock_unix_ms() / 1000);
    gmtime_r(&now, &tm);
    strftime(day, sizeof day, "%Y-%m-%d", &tm);
    snprintf(text, sizeof text,
             "You are a helpful assistant served by confab. The current date is %s.", day);
    json_t *first = json_array_get(r->messages, 0);
    if (strcmp(json_string_value(json_object_get(first, "role")), "system") != 0) {
        json_array_insert_new(r->messages, 0,
                              json_pack("{s:s,s:s}", "role", "system", "content", text));
        return;
    }
    struct buf both = BUF_INIT(ANSWER_MAX);
    buf_str(&both, json_as_str(json_object_get(first, "content")));
    buf_printf(&both, "\n%s", text);
    json_object_set_new(first, "content", json_from_str(buf_as_str(&both)));
    buf_free(&both);
}

bool messages_order(struct dialect *d, struct http_req *r, const struct manner *m, bool counting,
                    struct talk_order *out, struct messages_more *more, struct err *e)
{
    if (!messages_read(m, d->conf.runs, d->conf.max_request, http_body(r), counting, out, more, e))
        return false;
    struct chat_request *cr = out->request;
    if (out->correlation_id.n) {
        char label[257];
        snprintf(label, sizeof label, "%.*s", STR_ARG(str_sub(out->correlation_id, 0, 256)));
        http_set_header(r, "x-correlation-id", label);
    }
    if (more->default_prompt)
        add_default_prompt(cr);
    const struct run_model *model = find_model(d, cr);
    if (!model && m->strict)
        return true; // the run says so
    if (!model) {
        char text[160];
        snprintf(text, sizeof text, "Model '%.*s' not found", STR_ARG(str_sub(cr->model, 0, 100)));
        messages_late(more, NULL, "", text);
        cr->model = STR("");
        return true;
    }
    use_model_defaults(model, more, cr);
    set_thinking(model, more, cr);
    return true;
}

static bool count(struct dialect *d, struct http_req *r, const struct manner *m, size_t *n,
                  struct err *e)
{
    struct talk_order order;
    struct messages_more more;
    struct tok_ids ids;
    if (http_body(r).n > COUNT_MAX)
        return err_set(e, ERR_LIMIT, "a body of more than %zu bytes is not counted", COUNT_MAX);
    if (!messages_order(d, r, m, true, &order, &more, e))
        return false;
    const struct run_model *model = runs_find_model(d->conf.runs, order.request->model);
    bool ok = model && more.late.code == ERR_NONE;
    if (!model)
        err_set(e, ERR_NOT_FOUND, "No model named '%.*s' is loaded here.",
                STR_ARG(str_sub(order.request->model, 0, 100)));
    else if (!ok)
        *e = more.late;
    tok_ids_init(&ids, COUNT_MAX * 2);
    ok = ok && chat_tokenize(model->tmpl, order.request, 0, &ids, e);
    if (ok)
        *n = ids.n;
    tok_ids_free(&ids);
    chat_request_free(order.request);
    buf_free(&order.ignored);
    return ok;
}

void messages_count(struct dialect *d, struct http_req *r, const struct manner *m)
{
    struct err e;
    size_t n = 0;
    struct buf body = BUF_INIT(16384);
    int status = 200;
    if (count(d, r, m, &n, &e))
        buf_printf(&body, "{\"input_tokens\":%zu}", n);
    else
        status = (m->strict ? anthropic_error : zylon_error)(&e, d->request_id, &body);
    http_reply(r, status, "application/json", buf_as_str(&body));
    buf_free(&body);
}
