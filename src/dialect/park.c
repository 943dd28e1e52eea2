/* dialect/park.c - requests that wait for the store: for a run that has to be read from it, or for
 * what they did to be on disk before it is told. */
#include "dialect/dialect_int.h"

#include "base/mem.h"

struct parked {
    struct dialect *d;
    struct http_req *req;
    char request_id[ID_MAX];
    char *team, *segment;
    const struct brand *brand;
    struct parked *next, **link;

    // Either a route, to be served once the run is there ...
    const struct route *route;
    struct run_load *load;
    // ... or an answer, to be given once the run is stored.
    struct run *run; // held
    struct run_sync *sync;
    parked_then then;
};

static void parked_free(struct parked *p)
{
    run_unload(p->load);
    run_unsync(p->sync);
    if (p->run)
        run_drop(p->run);
    *p->link = p->next;
    if (p->next)
        p->next->link = p->link;
    p->d->n_live--;
    mem_free(p->team);
    mem_free(p->segment);
    mem_free(p);
}

static void on_gone(struct http_req *r, void *arg)
{
    (void)r;
    parked_free(arg);
}

static struct parked *park(struct dialect *d, struct http_req *r, str segment)
{
    struct parked *p = mem_calloc(1, sizeof *p);
    p->d = d;
    p->req = r;
    p->team = mem_strdup(d->team);
    p->segment = mem_strdup(segment);
    snprintf(p->request_id, sizeof p->request_id, "%s", d->request_id);
    p->next = d->parked;
    p->link = &d->parked;
    if (p->next)
        p->next->link = &p->next;
    d->parked = p;
    d->n_live++;
    http_watch(r, on_gone, NULL, p);
    return p;
}

/* The dialect as it was when the request was parked. */
static void unpark(struct parked *p)
{
    struct dialect *d = p->d;
    http_watch(p->req, NULL, NULL, NULL);
    snprintf(d->request_id, sizeof d->request_id, "%s", p->request_id);
    d->team = str_c(p->team);
}

static void reply_error(const struct dialect *d, struct http_req *r, const struct brand *brand,
                        const struct err *e)
{
    if (e->code == ERR_BUSY)
        talk_retry_after(d, r, NULL);
    dialect_reply(r, brand->error, e);
}

static void on_loaded(const struct err *e, void *arg)
{
    struct parked *p = arg;
    p->load = NULL;
    unpark(p);
    if (e)
        reply_error(p->d, p->req, p->brand, e);
    else
        dialect_serve_route(p->d, p->req, p->route, p->request_id, str_c(p->segment));
    p->d->team = STR("");
    parked_free(p);
}

bool dialect_load(struct dialect *d, struct http_req *r, const struct brand *brand,
                  const struct route *route, str segment)
{
    char name[RUN_ALIAS_MAX + 1];
    struct run_load *load;
    struct err e;
    if (!route->wants || !route->wants(r, segment, name))
        return false;
    struct parked *p = park(d, r, segment);
    p->brand = brand;
    p->route = route;
    bool ok = runs_load(d->conf.runs, str_c(name), d->team, on_loaded, p, &load, &e);
    p->load = load;
    if (load)
        return true;
    http_watch(r, NULL, NULL, NULL);
    parked_free(p);
    if (!ok)
        reply_error(d, r, brand, &e);
    return !ok;
}

bool dialect_wants_segment(struct http_req *r, str segment, char name[RUN_ALIAS_MAX + 1])
{
    (void)r;
    if (segment.n > RUN_ALIAS_MAX)
        return false;
    snprintf(name, RUN_ALIAS_MAX + 1, "%.*s", STR_ARG(segment));
    return true;
}

static void on_stored(const struct err *e, void *arg)
{
    struct parked *p = arg;
    p->sync = NULL;
    unpark(p);
    p->then(p->d, p->req, p->run, str_c(p->segment), e);
    p->d->team = STR("");
    parked_free(p);
}

void dialect_when_stored(struct dialect *d, struct http_req *r, struct run *run, str segment,
                         parked_then then)
{
    struct parked *p = park(d, r, segment);
    p->run = run;
    p->then = then;
    p->sync = run_sync(run, on_stored, p);
    if (!p->sync)
        on_stored(NULL, p);
}

void dialect_drop_parked(struct dialect *d)
{
    while (d->parked) {
        struct http_req *r = d->parked->req;
        parked_free(d->parked);
        http_abort(r);
    }
}
