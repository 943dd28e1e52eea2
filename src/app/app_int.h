/* app/app_int.h - what the files of this room share; all of it on the loop thread. */
#ifndef APP_APP_INT_H
#define APP_APP_INT_H

#include "app/app.h"
#include "app/keys.h"
#include "app/model.h"
#include "dialect/dialect.h"
#include "http/http.h"
#include "tools/tools.h"
#include "store/store.h"

#include <event2/event.h>
#include <pthread.h>

/* Requests by route and status class, and their times. */
struct app_metrics {
    uint64_t requests[6]; // by status / 100; 0: client left
    uint64_t errors, left;
    double first_s_sum, total_s_sum;
    uint64_t first_n;
};

#define APP_FDS_MAX (CONFIG_MODELS_MAX + 1)

struct app {
    const struct config *config;
    struct event_base *base;
    struct http_server *server;
    struct event *signals[2], *tick, *loaded_event, *run_events[APP_FDS_MAX], *store_event;
    struct budget budget;
    char fingerprint[32];
    uint64_t began_ms;
    struct keys_watch keys;
    struct store *store;

    pthread_t loader;
    struct queue *loaded; // one item when the loader thread is done
    struct err load_error;
    struct app_model models[CONFIG_MODELS_MAX];
    int n_models;
    struct tools *tools;
    struct runs *runs;       // NULL while loading
    struct dialect *dialect; // NULL while loading

    int n_signals;
    uint64_t drain_until_ms;
    int exit_code;
    struct app_metrics metrics;
};

/* app.c: whose request is it?  False: no one's.  *team lives until the keys change. */
bool app_authenticate(struct http_req *r, str *team, void *app);

/* tools.c */
bool app_tools_open(struct app *a, struct err *e);
void app_tools_metrics(const struct app *a, struct buf *out);

/* status.c: health, metrics, page; false if the path is none of these */
bool app_status_serve(struct app *a, struct http_req *r);
void app_status_record(const struct dialect_record *rec, void *app);

#endif
