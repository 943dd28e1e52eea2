/* dialect/dialect.c - which request goes where. */
#include "dialect/dialect_int.h"

#include "base/clock.h"
#include "base/mem.h"

struct dialect *dialect_new(const struct dialect_conf *conf)
{
    struct dialect *d = mem_calloc(1, sizeof *d);
    d->conf = *conf;
    return d;
}

void dialect_free(struct dialect *d)
{
    if (!d)
        return;
    while (d->talks) {
        http_abort(d->talks->req);
        if (d->talks)
            talk_drop(d->talks, false);
    }
    mem_free(d);
}

int dialect_n_live(const struct dialect *d)
{
    return d->n_live;
}

void dialect_tick(struct dialect *d)
{
    uint64_t now = clock_mono_ms();
    for (struct talk *t = d->talks; t; t = t->next) {
        if (!t->stream || !t->req || now - t->last_sent_ms < d->conf.keep_alive_ms)
            continue;
        if (!t->begun) { // the prompt takes long: from now on errors come in the stream
            t->begun = true;
            t->status = 200;
            http_set_header(t->req, "Cache-Control", "no-cache");
            http_begin(t->req, 200, t->wire->stream_type);
        }
        if (http_writable(t->req))
            http_write(t->req, str_c(t->wire->keep_alive));
        t->last_sent_ms = now;
    }
}

static void reply(struct http_req *r, int status, const struct buf *body)
{
    http_reply(r, status, "application/json", buf_as_str(body));
}

void dialect_error_body(int status, const char *message, struct buf *body)
{
    static const struct {
        int status;
        const char *type, *code;
    } rows[] = {
        {408, "server_error", "request_timeout"},
        {413, "invalid_request_error", "request_too_large"},
        {503, "server_error", "overloaded"},
    };
    const char *type = status < 500 ? "invalid_request_error" : "server_error", *code = NULL;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (rows[i].status == status) {
            type = rows[i].type;
            code = rows[i].code;
        }
    openai_error_body(body, type, message, NULL, code);
}

void dialect_reply_error(struct dialect *d, struct http_req *r, int status, const char *type,
                         const char *message)
{
    struct buf body = BUF_INIT(8192);
    (void)d;
    openai_error_body(&body, type, message, NULL, NULL);
    reply(r, status, &body);
    buf_free(&body);
}

static bool is_json_request(const struct http_req *r)
{
    str type;
    if (!http_header(r, "content-type", &type))
        return true; // no word about it: the parser decides
    ptrdiff_t semicolon = str_chr(type, ';');
    if (semicolon >= 0)
        type.n = (size_t)semicolon;
    return str_eq_nocase(str_trim(type), STR("application/json"));
}

/* POST routes whose answer is a run. */
struct talk_route {
    const char *name;
    const struct wire *wire;
    bool (*read)(struct dialect *d, str body, struct talk_order *out, struct err *e);
};

static const struct talk_route chat_route = {"openai.chat", &openai_chat_wire, openai_read_chat};
static const struct talk_route completion_route = {"openai.completions", &openai_completion_wire,
                                                   openai_read_completion};

static const struct {
    const char *path, *method;
    const struct talk_route *talk;
    void (*plain)(struct dialect *d, struct http_req *r);
} routes[] = {
    {"/v1/chat/completions", "POST", &chat_route},
    {"/chat/completions", "POST", &chat_route},
    {"/v1/completions", "POST", &completion_route},
    {"/completions", "POST", &completion_route},
    {"/v1/models", "GET", .plain = models_list},
    {"/models", "GET", .plain = models_list},
    {"/tokenize", "POST", .plain = native_tokenize},
    {"/detokenize", "POST", .plain = native_detokenize},
    {"/apply-template", "POST", .plain = native_apply_template},
};

static void reject(struct dialect *d, struct http_req *r, const struct talk_route *route,
                   const char *request_id, const struct err *e)
{
    struct buf body = BUF_INIT(8192);
    int status = route->wire->error(e, &body);
    struct dialect_record rec = {.request_id = request_id,
                                 .route = route->name,
                                 .model = "",
                                 .status = status,
                                 .error = e->msg};
    if (d->conf.on_record)
        d->conf.on_record(&rec, d->conf.arg);
    reply(r, status, &body);
    buf_free(&body);
}

static void start_talk(struct dialect *d, struct http_req *r, const struct talk_route *route,
                       const char *request_id)
{
    struct talk_order order;
    struct err e;
    if (!route->read(d, http_body(r), &order, &e))
        reject(d, r, route, request_id, &e);
    else
        talk_start(d, r, route->wire, route->name, request_id, &order);
}

static void show_model(struct dialect *d, struct http_req *r, str id)
{
    str method = http_method(r);
    if (str_eqc(method, "GET") || str_eqc(method, "HEAD"))
        models_show(d, r, id);
    else if (str_eqc(method, "DELETE"))
        dialect_reply_error(d, r, 403, "permission_error", "models cannot be deleted over HTTP");
    else {
        http_set_header(r, "Allow", "GET");
        dialect_reply_error(d, r, 405, "invalid_request_error", "use GET here");
    }
}

bool dialect_serve(struct dialect *d, struct http_req *r)
{
    str path = http_path(r), method = http_method(r);
    char request_id[ID_MAX];
    bool path_known = false;

    if (path.n > 1 && str_ends(path, STR("/")))
        path.n--;
    id_new(request_id, "req_");
    http_set_header(r, "x-request-id", request_id);
    http_set_header(r, "openai-version", "2020-10-01");
    for (size_t i = 0; i < COUNT(routes); i++) {
        if (!str_eqc(path, routes[i].path))
            continue;
        path_known = true;
        bool head = str_eqc(method, "HEAD") && strcmp(routes[i].method, "GET") == 0;
        if (!head && !str_eqc(method, routes[i].method)) {
            http_set_header(r, "Allow", routes[i].method);
            continue;
        }
        if (strcmp(routes[i].method, "POST") == 0 && !is_json_request(r)) {
            dialect_reply_error(d, r, 415, "invalid_request_error",
                                "the body must be sent as Content-Type: application/json");
            return true;
        }
        if (routes[i].talk)
            start_talk(d, r, routes[i].talk, request_id);
        else
            routes[i].plain(d, r);
        return true;
    }
    if (path_known) {
        dialect_reply_error(d, r, 405, "invalid_request_error",
                            "this method is not allowed here; see the Allow header");
        return true;
    }
    if (str_starts(path, STR("/v1/models/"))) {
        show_model(d, r, str_from(path, strlen("/v1/models/")));
        return true;
    }
    if (str_starts(path, STR("/v1/"))) {
        dialect_reply_error(d, r, 404, "invalid_request_error",
                            "there is no such route; the README lists those that are");
        return true;
    }
    return false;
}
