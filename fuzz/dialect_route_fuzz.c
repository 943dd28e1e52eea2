/* fuzz/dialect_route_fuzz.c - every route that begins a run: the first byte chooses it, the second
 * the manner of the header, the rest is the body.  What is read is what the rest of the program may
 * rely on; what is refused is told in a body that parses; and events become the same bytes twice.
 */
#include "dialect/paddler.h"
#include "gguf/synth.h"
#include "http/http_int.h"

#include "base/mem.h"
#include "base/queue.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct brand *const brands[] = {
    &openai_brand, &anthropic_brand, &zylon_brand,    &paddler_brand,
    &nugen_brand,  &pawa_brand,      &friendli_brand, &ollama_brand,
};

static struct dialect d = {.conf = {.max_request = (size_t)1 << 20, .fingerprint = "fp"}};
static const struct route *routes[64];
static size_t n_routes;

static void need(bool ok)
{
    if (!ok)
        abort();
}

/* What lives to the end is no leak; where there is no sanitizer, there is nobody to tell so. */
extern void __lsan_disable(void) __attribute__((weak));
extern void __lsan_enable(void) __attribute__((weak));

/* A model of random weights, so that readers find one. */
static void make_world(void)
{
    static struct buf file;
    static struct run_model model = {.name = "m", .created_unix = 1767225600};
    struct gguf_synth s;
    static struct gguf *g; // static: to the end of the process, and no leak
    static struct tok *tok;
    static struct chat_template *tmpl;
    static struct engine *engine;
    static struct sched *sched;
    struct sched_conf sc = sched_conf_default();
    struct engine_conf ec = engine_conf_default();
    struct runs_conf rc = runs_conf_default();
    struct err e;
    if (__lsan_disable)
        __lsan_disable();
    sc.n_ctx = 256;
    sc.max_seqs = 1;
    sc.max_rows = 32;
    ec.n_threads = 1;
    ec.kv_tokens = 256;
    ec.max_rows = sc.max_rows;
    ec.max_logits = 1;
    rc.n_workers = 1;
    buf_init(&file, (size_t)64 << 20);
    need(gguf_synth_preset("tiny-llama", &s));
    struct gguf_writer *writer = gguf_writer_to(&file);
    need(gguf_synth_write(writer, &s, &e) && gguf_writer_finish(writer, &e));
    gguf_writer_close(writer);
    need(gguf_open_bytes(&g, buf_as_str(&file), &e) && tok_open(&tok, g, &e));
    need(chat_template_open(&tmpl, g, tok, NULL, &e) && engine_open(&engine, g, &ec, &e));
    struct queue *out = queue_new(sched_out_capacity(&sc), true);
    need(sched_open(&sched, engine, tok, &sc, out, &e));
    model.gguf = g;
    model.tok = tok;
    model.tmpl = tmpl;
    model.sched = sched;
    model.sched_out = out;
    model.info = engine_info(engine);
    need(runs_open(&d.conf.runs, &model, 1, &rc, &e));
    for (size_t b = 0; b < COUNT(brands); b++)
        for (size_t i = 0; i < brands[b]->n_routes; i++)
            if (brands[b]->routes[i].read && n_routes < COUNT(routes))
                routes[n_routes++] = &brands[b]->routes[i];
    if (__lsan_enable)
        __lsan_enable();
}

static struct http_req *request(const struct route *route, uint8_t manner, str body)
{
    static const char *const headers[] = {"", "X-Paddler-Wire: 4\r\n",
                                          "Accept: text/event-stream\r\n",
                                          "anthropic-version: 2023-06-01\r\n"};
    struct http_req *r = mem_calloc(1, sizeof *r);
    struct buf bytes = BUF_INIT((size_t)1 << 20);
    http_parse_init(&r->parse, 16384, (size_t)1 << 20);
    arena_init(&r->arena, 65536);
    buf_init(&r->headers, HTTP_HEADERS_MAX);
    buf_printf(&bytes, "POST %s HTTP/1.1\r\nHost: a\r\n%sContent-Length: %zu\r\n\r\n", route->path,
               headers[manner % COUNT(headers)], body.n);
    buf_str(&bytes, body);
    str in = buf_as_str(&bytes);
    need(http_parse_feed(&r->parse, &in) == HTTP_PARSED_DONE);
    buf_free(&bytes);
    return r;
}

static void check(const struct chat_request *r)
{
    json_t *m;
    size_t i;
    need(r->n_choices >= 1 && (r->messages || r->n_prompts >= 1));
    for (i = 0; i < r->n_stops; i++)
        need(r->stops[i].n > 0);
    json_array_foreach(r->messages, i, m)
    {
        need(json_is_string(json_object_get(m, "role")));
        need(json_is_string(json_object_get(m, "content")));
    }
}

/* A short answer to it, twice: the encoders see the request too. */
static void check_wire(const struct wire *w, const struct talk_order *order)
{
    static const struct err broken = {ERR_INTERNAL, "", "it broke", ""};
    static const struct chat_event events[] = {
        {.number = 1, .what = CHAT_STARTED, .usage = {.n_prompt = 9}},
        {.number = 2, .what = CHAT_REASONING, .n_tokens = 1, .text = STR_INIT("hm\xc3\xa4")},
        {.number = 3, .what = CHAT_TEXT, .n_tokens = 1, .text = STR_INIT("a\"\n")},
        {.number = 4, .what = CHAT_CALL, .text = STR_INIT("c0"), .name = STR_INIT("f")},
        {.number = 5, .what = CHAT_ARGUMENTS, .text = STR_INIT("{}")},
        {.number = 6, .what = CHAT_FINISHED, .finish = CHAT_FINISH_CALLS},
        {.number = 7, .what = CHAT_FAILED, .error = &broken}};
    const struct chat_request *r = order->request;
    struct talk_facts f = {.id = "id",
                           .model = "m",
                           .fingerprint = "fp",
                           .n_choices = (int)(r->messages ? 1 : r->n_prompts) * r->n_choices,
                           .include_usage = order->include_usage,
                           .echo = order->echo,
                           .hide_reasoning = order->hide_reasoning,
                           .request = r};
    struct buf out[2];
    for (int k = 0; k < 2; k++) {
        void *state = mem_calloc(1, w->state_size + 1);
        buf_init(&out[k], (size_t)8 << 20);
        for (size_t i = 0; i < COUNT(events); i++)
            w->event(&f, state, &events[i], &out[k]);
        if (w->state_fini)
            w->state_fini(state);
        mem_free(state);
    }
    need(str_eq(buf_as_str(&out[0]), buf_as_str(&out[1])));
    buf_free(&out[0]);
    buf_free(&out[1]);
}

static void check_refusal(const struct wire *w, struct talk_order *order, const struct err *e)
{
    struct buf out = BUF_INIT(ERROR_MAX);
    struct err why;
    if (order->fault_status) {
        need(order->fault_status >= 400 || order->fault_status == 200); // Ollama's "load"
        buf_free(&order->fault);
        return;
    }
    need(e->code != ERR_NONE && e->msg[0] && !order->request);
    int status = wire_error(w, e, "req", &out);
    need(status >= 400 || status == 200); // 200: Paddler tells some as results
    json_t *v = json_parse(str_trim(buf_as_str(&out)), &why);
    need(v != NULL);
    json_decref(v);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct talk_order order = {0};
    struct err e = {0};
    if (!d.conf.runs)
        make_world();
    if (size < 2)
        return 0;
    const struct route *route = routes[data[0] % n_routes];
    struct http_req *r = request(route, data[1], str_n((const char *)data + 2, size - 2));
    bool ok = route->read(&d, r, &order, &e);
    const struct wire *w = order.wire ? order.wire : route->wire;
    if (ok) {
        struct talk_order plain = {.request = order.request};
        check(order.request);
        check_wire(w, &order);
        check_wire(routes[data[1] % n_routes]->wire, &plain); // an observer in another dialect
        chat_request_free(order.request);
        buf_free(&order.ignored);
    } else {
        check_refusal(w, &order, &e);
    }
    http_req_free(r);
    return 0;
}
