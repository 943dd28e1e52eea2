/* app/status.c - /health, /metrics, the page, and the log line of each request. */
#include "app/app_int.h"

#include "app/blob.h"
#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <unistd.h>

void app_status_record(const struct dialect_record *rec, void *app)
{
    struct app *a = app;
    struct app_metrics *m = &a->metrics;
    m->requests[rec->client_left ? 0 : rec->status / 100 % 6]++;
    m->left += rec->client_left;
    m->errors += rec->error[0] != '\0';
    m->total_s_sum += (double)rec->total_ms / 1000;
    if (rec->first_ms || rec->n_output) {
        m->first_s_sum += (double)rec->first_ms / 1000;
        m->first_n++;
    }
    if (!a->config->log_requests)
        return;
    char error[300];
    log_info("app.request",
             "id=%s route=%s model=%s status=%d stream=%d prompt=%zu output=%zu first_ms=%llu "
             "total_ms=%llu%s%s%s",
             rec->request_id, rec->route, rec->model[0] ? rec->model : "-", rec->status,
             rec->stream, rec->n_prompt, rec->n_output, (unsigned long long)rec->first_ms,
             (unsigned long long)rec->total_ms, rec->client_left ? " left=1" : "",
             rec->error[0] ? " error=" : "",
             rec->error[0] ? log_quote(error, sizeof error, str_c(rec->error)) : "");
}

static void serve_health(struct app *a, struct http_req *r)
{
    if (a->n_signals) {
        http_set_header(r, "Retry-After", "1");
        http_reply(r, 503, "application/json", STR("{\"status\":\"stopping\"}"));
    } else if (!a->runs) {
        http_set_header(r, "Retry-After", "1");
        http_reply(r, 503, "application/json", STR("{\"status\":\"loading\"}"));
    } else {
        http_reply(r, 200, "application/json", STR("{\"status\":\"ok\"}"));
    }
}

static size_t resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long long size = 0, resident = 0;
    if (f) {
        if (fscanf(f, "%llu %llu", &size, &resident) != 2)
            resident = 0;
        fclose(f);
    }
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void metric(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP confab_%s %s\n# TYPE confab_%s %s\n", name, help, name, type);
}

static void write_runs(struct app *a, struct buf *out)
{
    struct runs_counts rc;
    runs_counts(a->runs, &rc);
    metric(out, "runs_live", "gauge", "runs that are not complete");
    buf_printf(out, "confab_runs_live %d\n", rc.live);
    metric(out, "runs_total", "counter", "runs by outcome");
    buf_printf(out, "confab_runs_total{outcome=\"completed\"} %llu\n",
               (unsigned long long)rc.completed);
    buf_printf(out, "confab_runs_total{outcome=\"failed\"} %llu\n", (unsigned long long)rc.failed);
    buf_printf(out, "confab_runs_total{outcome=\"cancelled\"} %llu\n",
               (unsigned long long)rc.cancelled);
    metric(out, "runs_kept", "gauge", "complete runs in memory");
    buf_printf(out, "confab_runs_kept %d\n", rc.kept);
    metric(out, "runs_kept_bytes", "gauge", "their bytes");
    buf_printf(out, "confab_runs_kept_bytes %zu\n", rc.kept_bytes);
    metric(out, "runs_waiting", "gauge", "acknowledged runs without a place in the queue");
    buf_printf(out, "confab_runs_waiting %d\n", rc.waiting);
    metric(out, "runs_resumed_total", "counter", "runs that went on after a restart");
    buf_printf(out, "confab_runs_resumed_total %llu\n", (unsigned long long)rc.resumed);
}

static void write_store(struct app *a, struct buf *out)
{
    struct store_counts c;
    store_counts(a->store, &c);
    const struct {
        const char *name, *type, *help;
        double value;
    } rows[] = {
        {"store_orders", "gauge", "orders that wait or are carried out", store_n_orders(a->store)},
        {"store_orders_total", "counter", "orders carried out", (double)c.orders},
        {"store_commits_total", "counter", "transactions on disk", (double)c.commits},
        {"store_commit_seconds_total", "counter", "time in them", (double)c.commit_us / 1e6},
        {"store_failures_total", "counter", "transactions that could not be written",
         (double)c.failures},
        {"store_failing", "gauge", "1: the last write did not succeed", c.failing},
        {"store_expired_total", "counter", "runs and objects that retention removed",
         (double)c.expired},
        {"store_bytes", "gauge", "bytes of what is stored", (double)c.bytes},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        metric(out, rows[i].name, rows[i].type, rows[i].help);
        buf_printf(out, "confab_%s %.15g\n", rows[i].name, rows[i].value);
    }
}

static void write_models(struct app *a, struct buf *out)
{
    static const struct {
        const char *name, *type, *help;
    } rows[] = {
        {"waiting", "gauge", "requests in the queue"},
        {"active", "gauge", "requests in the batch"},
        {"prompt_tokens_total", "counter", "prompt tokens computed"},
        {"output_tokens_total", "counter", "tokens drawn"},
        {"steps_total", "counter", "forward passes"},
        {"preempted_total", "counter", "sequences that gave their KV blocks back"},
        {"step_seconds_total", "counter", "time in forward passes"},
        {"kv_blocks_free", "gauge", "free blocks of KV memory"},
        {"kv_blocks_cached", "gauge", "blocks that hold earlier prefixes, given up at need"},
        {"cached_tokens_total", "counter", "prompt tokens taken from the prefix cache"},
        {"kv_blocks", "gauge", "blocks of KV memory"},
        {"drafted_total", "counter", "tokens guessed ahead"},
        {"drafts_true_total", "counter", "of those, the ones that were drawn"},
    };
    for (size_t k = 0; k < COUNT(rows); k++) {
        metric(out, rows[k].name, rows[k].type, rows[k].help);
        for (int i = 0; i < a->n_models; i++) {
            struct sched_counts c;
            sched_counts(a->models[i].sched, &c);
            const double values[] = {c.waiting,
                                     c.active,
                                     (double)c.prompt_tokens,
                                     (double)c.output_tokens,
                                     (double)c.steps,
                                     (double)c.preempted,
                                     (double)c.step_us / 1e6,
                                     (double)c.kv_blocks_free,
                                     (double)c.kv_blocks_cached,
                                     (double)c.cached_tokens,
                                     (double)engine_info(a->models[i].engine)->kv_blocks,
                                     (double)c.drafted,
                                     (double)c.drafts_true};
            buf_printf(out, "confab_%s{model=\"", rows[k].name);
            for (const char *p = a->models[i].name; *p; p++)
                if (*p == '"' || *p == '\\' || *p == '\n')
                    buf_printf(out, "\\%c", *p == '\n' ? 'n' : *p);
                else
                    buf_char(out, *p);
            buf_printf(out, "\"} %.15g\n", values[k]);
        }
    }
}

static void serve_metrics(struct app *a, struct http_req *r)
{
    static const char *const classes[] = {"left", "1xx", "2xx", "3xx", "4xx", "5xx"};
    struct buf out = BUF_INIT((size_t)1 << 20);
    str team;
    if (!app_authenticate(r, &team, a)) { // also from here: a proxy's requests come from here too
        dialect_refuse_key(r);
        return;
    }
    metric(&out, "requests_total", "counter", "answers by status class; left: the client did");
    for (size_t i = 0; i < COUNT(classes); i++)
        if (i != 1)
            buf_printf(&out, "confab_requests_total{status=\"%s\"} %llu\n", classes[i],
                       (unsigned long long)a->metrics.requests[i]);
    metric(&out, "first_token_seconds", "summary", "from request to first event");
    buf_printf(&out, "confab_first_token_seconds_sum %.6f\nconfab_first_token_seconds_count %llu\n",
               a->metrics.first_s_sum, (unsigned long long)a->metrics.first_n);
    metric(&out, "open_requests", "gauge", "HTTP requests without a complete answer");
    buf_printf(&out, "confab_open_requests %d\n", http_open_requests(a->server));
    metric(&out, "memory_budget_bytes", "gauge", "bytes reserved, by use");
    for (int k = 0; k < BUDGET_KINDS; k++)
        buf_printf(&out, "confab_memory_budget_bytes{use=\"%s\"} %zu\n", budget_kind_name(k),
                   budget_used(&a->budget, k));
    metric(&out, "memory_budget_max_bytes", "gauge", "the budget");
    buf_printf(&out, "confab_memory_budget_max_bytes %zu\n", a->budget.max);
    metric(&out, "resident_bytes", "gauge", "resident memory of the process");
    buf_printf(&out, "confab_resident_bytes %zu\n", resident_bytes());
    metric(&out, "uptime_seconds", "gauge", "since the process began");
    buf_printf(&out, "confab_uptime_seconds %.3f\n",
               (double)(clock_mono_ms() - a->began_ms) / 1000);
    if (a->runs) {
        write_runs(a, &out);
        write_models(a, &out);
        write_store(a, &out);
        app_tools_metrics(a, &out);
    }
    http_reply(r, 200, "text/plain; version=0.0.4", buf_as_str(&out));
    buf_free(&out);
}

static void serve_page(struct app *a, struct http_req *r)
{
    (void)a;
    http_set_header(r, "Content-Security-Policy",
                    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
                    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
                    "frame-ancestors 'none'");
    http_set_header(r, "X-Content-Type-Options", "nosniff");
    http_set_header(r, "Referrer-Policy", "no-referrer");
    http_set_header(r, "Cache-Control", "no-cache");
    http_reply(r, 200, "text/html; charset=utf-8", app_blob_page());
}

bool app_status_serve(struct app *a, struct http_req *r)
{
    static const struct {
        const char *path;
        void (*serve)(struct app *a, struct http_req *r);
    } routes[] = {
        {"/health", serve_health}, {"/v1/health", serve_health}, {"/metrics", serve_metrics},
        {"/", serve_page},         {"/index.html", serve_page},
    };
    for (size_t i = 0; i < COUNT(routes); i++) {
        if (!str_eqc(http_path(r), routes[i].path))
            continue;
        if (str_eqc(http_method(r), "GET") || str_eqc(http_method(r), "HEAD")) {
            routes[i].serve(a, r);
        } else {
            http_set_header(r, "Allow", "GET, HEAD");
            dialect_reply_error(a->dialect, r, 405, "invalid_request_error", "use GET here");
        }
        return true;
    }
    return false;
}
