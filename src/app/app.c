/* app/app.c - see app.h.
 *
 * The listener comes first, so that /health answers while models load on a thread of their own. */
#include "app/app_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <event2/thread.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void stop_loop(struct app *a)
{
    event_base_loopbreak(a->base);
}

static size_t machine_bytes(void)
{
    return (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
}

/* Stays the same while build and models are the same. */
static void make_fingerprint(struct app *a)
{
    uint64_t h = 14695981039346656037u; // FNV-1a
    for (const char *p = CONFAB_VERSION; *p; p++)
        h = (h ^ (unsigned char)*p) * 1099511628211u;
    for (int i = 0; i < a->n_models; i++) {
        for (const char *p = a->models[i].name; *p; p++)
            h = (h ^ (unsigned char)*p) * 1099511628211u;
        h = (h ^ gguf_file_size(a->models[i].gguf)) * 1099511628211u;
    }
    snprintf(a->fingerprint, sizeof a->fingerprint, "fp_%010llx",
             (unsigned long long)(h & 0xffffffffffu));
}

static void *load_models(void *arg)
{
    struct app *a = arg;
    int n = int_max(a->config->n_models, 1);
    for (int i = 0; i < n; i++) {
        if (!app_model_open(&a->models[i], a->config, i, &a->budget, &a->load_error))
            break;
        a->n_models++;
        for (int k = 0; k < i; k++)
            if (strcmp(a->models[k].name, a->models[i].name) == 0)
                err_set(&a->load_error, ERR_INPUT,
                        "two models are called %s: give one of them another name with -m NAME=FILE",
                        a->models[i].name);
        if (a->load_error.code != ERR_NONE)
            break;
    }
    bool ok = queue_push(a->loaded, a);
    (void)ok; // it holds one item, and this is it
    return NULL;
}

static void on_store(evutil_socket_t fd, short what, void *arg)
{
    struct app *a = arg;
    (void)fd;
    (void)what;
    store_turn(a->store);
    if (a->runs)
        runs_turn(a->runs);
}

static void on_runs(evutil_socket_t fd, short what, void *arg)
{
    struct app *a = arg;
    (void)fd;
    (void)what;
    runs_turn(a->runs);
}

bool app_authenticate(struct http_req *r, str *team, void *app)
{
    const struct app *a = app;
    str secret;
    *team = STR("");
    if (!a->keys.on)
        return true;
    for (int i = 0; dialect_key(r, i, &secret); i++) {
        const struct key *key = keys_find(&a->keys.keys, secret);
        if (!key)
            continue;
        *team = str_c(key->team);
        return true;
    }
    return false;
}

static bool open_runs(struct app *a, struct err *e)
{
    struct run_model models[CONFIG_MODELS_MAX];
    struct runs_conf rc = runs_conf_default();
    for (int i = 0; i < a->n_models; i++)
        models[i] = app_model_for_runs(&a->models[i]);
    rc.n_workers = (int)a->config->prep_threads;
    rc.max_preparing = (int)a->config->queue;
    rc.max_choices = (int)a->config->max_seqs;
    rc.timeout_ms = (uint32_t)a->config->timeout_s * 1000;
    rc.tools = a->tools;
    rc.store = a->store;
    rc.keep_bytes = (size_t)a->config->keep_memory_mib << 20;
    rc.grams_bytes = size_min(rc.grams_bytes, a->budget.max / 16);
    rc.budget = &a->budget;
    if (!budget_take(&a->budget, BUDGET_TEXTS, rc.grams_bytes, e))
        return err_ctx(e, "compiled formats");
    rc.keep_ms = (uint32_t)(a->config->keep_memory_for_s * 1000);
    if (!runs_open(&a->runs, models, (size_t)a->n_models, &rc, e))
        return false;
    for (size_t i = 0; i < runs_n_fds(a->runs); i++) {
        a->run_events[i] =
            event_new(a->base, runs_fd(a->runs, i), EV_READ | EV_PERSIST, on_runs, a);
        event_add(a->run_events[i], NULL);
    }
    make_fingerprint(a);
    a->dialect = dialect_new(&(struct dialect_conf){
        .runs = a->runs,
        .store = a->store,
        .max_request = (size_t)a->config->max_body_mib << 21,
        .keep_alive_ms = (uint32_t)a->config->keep_alive_s * 1000,
        .fingerprint = a->fingerprint,
        .plain_tools = str_eqc(a->config->zylon_results, "client"),
        .authenticate = app_authenticate,
        .on_record = app_status_record,
        .arg = a,
    });
    return true;
}

static void announce(struct app *a)
{
    char host[80];
    bool v6 = str_chr(a->config->host, ':') >= 0;
    snprintf(host, sizeof host, v6 ? "[%.*s]" : "%.*s", STR_ARG(a->config->host));
    for (int i = 0; i < a->n_models; i++) {
        const struct engine_info *info = engine_info(a->models[i].engine);
        log_info("app.model", "name=%s arch=%s params=%llu weights_mib=%zu ctx=%d kv_tokens=%zu%s",
                 a->models[i].name, info->arch, (unsigned long long)info->n_params,
                 info->weight_bytes >> 20, sched_n_ctx(a->models[i].sched),
                 info->kv_blocks * ENGINE_BLOCK,
                 chat_template_is_own(a->models[i].tmpl) ? "" : " template=chatml");
        if (!chat_template_is_own(a->models[i].tmpl))
            log_warn("app.no_template",
                     "model=%s the file has no chat template; ChatML stands in for it",
                     a->models[i].name);
    }
    log_info(
        "app.memory", "weights_mib=%zu kv_mib=%zu buffers_mib=%zu texts_mib=%zu budget_mib=%zu",
        budget_used(&a->budget, BUDGET_WEIGHTS) >> 20, budget_used(&a->budget, BUDGET_KV) >> 20,
        budget_used(&a->budget, BUDGET_BUFFERS) >> 20, budget_used(&a->budget, BUDGET_TEXTS) >> 20,
        a->budget.max >> 20);
    printf("confab is ready at http://%s:%d\n", host, http_port(a->server));
    fflush(stdout);
}

static void on_loaded(evutil_socket_t fd, short what, void *arg)
{
    struct app *a = arg;
    struct err e = a->load_error;
    (void)fd;
    (void)what;
    if (!queue_pop(a->loaded, 0))
        return;
    pthread_join(a->loader, NULL);
    event_del(a->loaded_event);
    if (e.code != ERR_NONE || a->n_signals || !open_runs(a, &e)) {
        if (e.code != ERR_NONE) {
            fprintf(stderr, "confab: %s\n", e.msg);
            a->exit_code = 1;
        }
        stop_loop(a);
        return;
    }
    announce(a);
}

static void add_cors(struct app *a, struct http_req *r)
{
    if (!a->config->cors)
        return;
    http_set_header(r, "Access-Control-Allow-Origin", "*");
    http_set_header(r, "Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS");
    http_set_header(r, "Access-Control-Allow-Headers", "*");
    http_set_header(r, "Access-Control-Expose-Headers", "X-Request-ID");
}

static void on_request(struct http_req *r, void *arg)
{
    struct app *a = arg;
    add_cors(a, r);
    if (app_status_serve(a, r))
        return;
    if (a->config->cors && str_eqc(http_method(r), "OPTIONS")) {
        http_reply(r, 204, NULL, STR(""));
        return;
    }
    if (!a->dialect || a->n_signals) {
        struct buf body = BUF_INIT(1024);
        dialect_error_body(
            503, a->dialect ? "the server is stopping" : "the model is still loading", &body);
        http_set_header(r, "Retry-After", "1");
        http_reply(r, 503, "application/json", buf_as_str(&body));
        buf_free(&body);
        return;
    }
    if (!dialect_serve(a->dialect, r))
        dialect_reply_error(a->dialect, r, 404, "invalid_request_error",
                            "there is no such route; the README lists those that are");
    runs_turn(a->runs); // who began to follow a run that is over hears of it now
}

static void on_bad_message(int status, const char *message, struct buf *body, void *arg)
{
    (void)arg;
    dialect_error_body(status, message, body);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct app *a = arg;
    (void)what;
    if (a->n_signals++) {
        log_info("app.stop", "signal=%d", (int)number);
        stop_loop(a);
        return;
    }
    a->drain_until_ms = clock_mono_ms() + (uint64_t)a->config->drain_s * 1000;
    log_info("app.drain", "signal=%d open=%d", (int)number, http_open_requests(a->server));
    http_stop_accepting(a->server);
    if (a->dialect)
        dialect_drain(a->dialect);
    if (a->runs && http_open_requests(a->server) == 0)
        stop_loop(a);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct app *a = arg;
    (void)fd;
    (void)what;
    keys_watch_tick(&a->keys);
    if (a->dialect)
        dialect_tick(a->dialect);
    if (a->runs)
        runs_turn(a->runs); // what was put off for a while
    if (a->n_signals && a->runs &&
        (http_open_requests(a->server) == 0 || clock_mono_ms() >= a->drain_until_ms))
        stop_loop(a);
}

static bool is_loopback(str host)
{
    return str_starts(host, STR("127.")) || str_eqc(host, "::1") || str_eqc(host, "localhost");
}

static bool listen_on(struct app *a, struct err *e)
{
    const struct config *c = a->config;
    struct http_conf hc = http_conf_default();
    if (!is_loopback(c->host) && !a->keys.on && !c->unsafe_listen)
        return err_set(e, ERR_INPUT,
                       "%.*s can be reached by other machines, and there are no API keys: make "
                       "one with 'confab keys add --data DIR --team TEAM NAME' and serve with "
                       "--data DIR, or listen on 127.0.0.1, or add --unsafe-listen if something "
                       "in front protects it",
                       STR_ARG(c->host));
    hc.host = c->host.p;
    hc.port = (int)c->port;
    hc.max_body = (size_t)c->max_body_mib << 20;
    hc.max_held =
        size_max(size_min(hc.max_held, a->budget.max / 16), hc.max_body + hc.max_body / 2 + 4096);
    hc.max_connections = (int)c->max_connections;
    if (!budget_take(&a->budget, BUDGET_TEXTS, hc.max_held, e))
        return err_ctx(e, "request bodies (--max-body)");
    return http_listen(&a->server, a->base, &hc, on_request, on_bad_message, a, e);
}

/* In --data, or in memory. */
static bool open_store(struct app *a, struct err *e)
{
    const struct config *c = a->config;
    struct store_conf sc = store_conf_default();
    bool durable = c->data.n > 0;
    sc.dir = durable ? c->data.p : NULL;
    sc.keep_s = (uint32_t)(durable ? c->keep_for_s : c->keep_memory_for_s);
    size_t objects = (size_t)int_max((int)c->keep_memory_mib, 1) << 20;
    if (!durable && !budget_take(&a->budget, BUDGET_TEXTS, objects, e))
        return err_ctx(e, "objects in memory (--keep-memory)");
    sc.max_bytes = (uint64_t)(durable ? c->keep_disk_mib : int_max((int)c->keep_memory_mib, 1))
                   << 20;
    if (!store_open(&a->store, &sc, e))
        return false;
    a->store_event = event_new(a->base, store_fd(a->store), EV_READ | EV_PERSIST, on_store, a);
    event_add(a->store_event, NULL);
    return true;
}

static bool start(struct app *a, struct err *e)
{
    static const struct timeval half_second = {0, 500000};
    const int numbers[] = {SIGTERM, SIGINT};
    a->base = event_base_new();
    if (!a->base)
        return err_set(e, ERR_INTERNAL, "cannot create the event loop");
    if (!keys_watch_open(&a->keys, a->config->data, e) || !open_store(a, e) ||
        !app_tools_open(a, e) || !listen_on(a, e))
        return false;
    for (size_t i = 0; i < COUNT(numbers); i++) {
        a->signals[i] = evsignal_new(a->base, numbers[i], on_signal, a);
        event_add(a->signals[i], NULL);
    }
    a->tick = event_new(a->base, -1, EV_PERSIST, on_tick, a);
    event_add(a->tick, &half_second);
    a->loaded = queue_new(1, true);
    a->loaded_event = event_new(a->base, queue_fd(a->loaded), EV_READ | EV_PERSIST, on_loaded, a);
    event_add(a->loaded_event, NULL);
    if (pthread_create(&a->loader, NULL, load_models, a) != 0)
        return err_set(e, ERR_INTERNAL, "cannot start the loader thread");
    return true;
}

static void free_event(struct event *ev)
{
    if (ev)
        event_free(ev);
}

static void stop(struct app *a)
{
    if (a->runs)
        runs_stop(a->runs);   // durable runs stay as they are
    dialect_free(a->dialect); // cancels what is live
    http_close(a->server);
    for (int i = 0; i < a->n_models; i++)
        app_model_stop(&a->models[i]);
    runs_close(a->runs);
    tools_close(a->tools);
    store_close(a->store);
    for (int i = 0; i < a->n_models; i++)
        app_model_close(&a->models[i]);
    free_event(a->signals[0]);
    free_event(a->signals[1]);
    free_event(a->tick);
    free_event(a->loaded_event);
    free_event(a->store_event);
    for (size_t i = 0; i < COUNT(a->run_events); i++)
        free_event(a->run_events[i]);
    if (a->loaded) {
        queue_pop(a->loaded, 0);
        queue_free(a->loaded);
    }
    if (a->base)
        event_base_free(a->base);
    keys_watch_close(&a->keys);
    libevent_global_shutdown();
}

int app_serve(const struct config *c)
{
    struct app *a = mem_calloc(1, sizeof *a);
    struct err e;
    a->config = c;
    a->began_ms = clock_mono_ms();
    size_t max = c->memory_mib ? (size_t)c->memory_mib << 20 : machine_bytes() / 5 * 4;
    budget_init(&a->budget, max);
    signal(SIGPIPE, SIG_IGN);
    if (start(a, &e)) {
        event_base_dispatch(a->base);
        if (!a->runs && a->n_signals) // stopped while loading: the loader cannot be interrupted
            _exit(0);
    } else {
        fprintf(stderr, "confab: %s\n", e.msg);
        a->exit_code = 1;
    }
    int code = a->exit_code;
    stop(a);
    mem_free(a);
    return code;
}
