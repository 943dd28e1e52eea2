/* dialect/dialect.c - which request goes where. */
#include "dialect/paddler.h"

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
    paddler_sockets_drain(d, true);
    dialect_drop_parked(d);
    mem_free(d);
}

void dialect_drain(struct dialect *d)
{
    paddler_sockets_drain(d, false);
}

int dialect_n_live(const struct dialect *d)
{
    return d->n_live;
}

/* Something without a meaning, so that nobody between takes the connection for dead. */
static void send_alive(struct talk *t)
{
    struct buf out = BUF_INIT(4096);
    if (t->wire->alive && t->run)
        t->wire->alive(&t->facts, &out);
    else if (t->wire->keep_alive)
        buf_c(&out, t->wire->keep_alive);
    if (out.n)
        http_write(t->req, buf_as_str(&out));
    buf_free(&out);
}

void dialect_tick(struct dialect *d)
{
    uint64_t now = clock_mono_ms();
    for (struct talk *t = d->talks; t; t = t->next) {
        if (!t->stream || !t->req || t->sync || now - t->last_sent_ms < d->conf.keep_alive_ms)
            continue;
        if (!t->begun) { // the prompt takes long: from now on errors come in the stream
            t->begun = true;
            t->status = 200;
            http_set_header(t->req, "Cache-Control", "no-cache");
            http_begin(t->req, 200, t->wire->stream_type);
        }
        if (http_writable(t->req))
            send_alive(t);
        t->last_sent_ms = now;
    }
    paddler_sockets_tick(d, now);
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

static const struct brand *const brands[] = {
    &anthropic_brand, // before those whose paths it shares
    &openai_brand,
    &zylon_brand,
    &zylon_hosted_brand,
    &streams_brand,
    &native_brand,
    &paddler_brand,
    &nugen_brand,
    &pawa_brand,
    &friendli_files_brand,
    &friendli_brand,
    &friendli_dedicated_brand,
    &friendli_tools_brand,
    &friendli_container_brand,
    &ollama_brand,
};

str dialect_team(const struct dialect *d)
{
    return d->team;
}

const struct route *dialect_find_route(const char *name)
{
    for (size_t b = 0; b < COUNT(brands); b++)
        for (size_t i = 0; i < brands[b]->n_routes; i++)
            if (strcmp(brands[b]->routes[i].name, name) == 0)
                return &brands[b]->routes[i];
    return NULL;
}

void dialect_reply(struct http_req *r, int (*error)(const struct err *e, struct buf *out),
                   const struct err *e)
{
    struct buf body = BUF_INIT(ERROR_MAX);
    int status = error(e, &body);
    reply(r, status, &body);
    buf_free(&body);
}

json_t *dialect_parse_body(struct http_req *r, struct err *e)
{
    json_t *body = json_parse(http_body(r), e);
    if (!body) {
        err_ctx(e, "the body is not valid JSON (at %s)", e->where);
        e->where[0] = '\0';
        return NULL;
    }
    if (json_is_object(body))
        return body;
    json_decref(body);
    err_set(e, ERR_INPUT, "the body must be a JSON object");
    return NULL;
}

static void reject(struct dialect *d, struct http_req *r, const struct route *route,
                   const char *request_id, struct talk_order *order, const struct err *e)
{
    struct buf body = order->fault;
    int status = order->fault_status;
    if (status == 0) {
        const struct wire *wire = order->wire ? order->wire : route->wire;
        buf_init(&body, ERROR_MAX);
        status = wire_error(wire, e, request_id, &body);
    }
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

static void start_talk(struct dialect *d, struct http_req *r, const struct route *route,
                       const char *request_id)
{
    struct talk_order order = {0};
    struct err e;
    if (!route->read(d, r, &order, &e))
        reject(d, r, route, request_id, &order, &e);
    else
        talk_start(d, r, route, request_id, &order);
}

/* Does the path fit the pattern?  *segment gets what stood for "{}" or "{*}". */
static bool path_fits(const char *pattern, str path, str *segment)
{
    *segment = STR("");
    for (const char *p = pattern; *p;) {
        if (strcmp(p, "{*}") == 0) {
            *segment = path;
            return path.n > 0;
        }
        if (strncmp(p, "{}", 2) == 0) {
            ptrdiff_t slash = str_chr(path, '/');
            *segment = slash < 0 ? path : str_sub(path, 0, (size_t)slash);
            path = str_from(path, segment->n);
            p += 2;
            if (segment->n == 0)
                return false;
            continue;
        }
        if (path.n == 0 || path.p[0] != *p++)
            return false;
        path = str_from(path, 1);
    }
    return path.n == 0;
}

bool dialect_key(const struct http_req *r, int i, str *key)
{
    static const char *const headers[] = {"authorization", "x-api-key"};
    for (size_t h = 0; h < COUNT(headers); h++) {
        str value;
        if (!http_header(r, headers[h], &value))
            continue;
        if (h == 0 && str_eq_nocase(str_sub(value, 0, 7), STR("bearer ")))
            value = str_from(value, 7);
        value = str_trim(value);
        if (value.n == 0 || i-- > 0)
            continue;
        *key = value;
        return true;
    }
    return false;
}

static void wrong_key(struct http_req *r, struct err *e)
{
    str key;
    if (dialect_key(r, 0, &key))
        err_set(e, ERR_DENIED, "this API key is not known here, or it was revoked");
    else
        err_set(e, ERR_DENIED,
                "an API key is needed: send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'");
    err_kind(e, "invalid_api_key");
    http_set_header(r, "WWW-Authenticate", "Bearer");
}

void dialect_refuse_key(struct http_req *r)
{
    struct buf body = BUF_INIT(ERROR_MAX);
    struct err e;
    wrong_key(r, &e);
    openai_error_body(&body, "invalid_request_error", e.msg, NULL, e.kind);
    reply(r, 401, &body);
    buf_free(&body);
}

/* Whose request is it?  If no one's, answers 401 in the brand's shape. */
static bool admit(struct dialect *d, struct http_req *r, const struct brand *brand,
                  const struct route *route)
{
    struct buf body = BUF_INIT(ERROR_MAX);
    struct err e;
    d->team = STR("");
    if (!d->conf.authenticate || d->conf.authenticate(r, &d->team, d->conf.arg))
        return true;
    wrong_key(r, &e);
    if (brand->request_id)
        http_set_header(r, brand->request_id, d->request_id);
    if (brand->error == openai_error)
        openai_error_body(&body, "invalid_request_error", e.msg, NULL, e.kind);
    else if (route && route->wire)
        wire_error(route->wire, &e, d->request_id, &body);
    else
        brand->error(&e, &body);
    struct dialect_record rec = {.request_id = d->request_id,
                                 .route = route ? route->name : brand->name,
                                 .model = "",
                                 .status = 401,
                                 .error = e.msg};
    if (d->conf.on_record)
        d->conf.on_record(&rec, d->conf.arg);
    reply(r, 401, &body);
    buf_free(&body);
    return false;
}

static void refuse_type(struct dialect *d, struct http_req *r, const struct brand *brand)
{
    static const char message[] = "the body must be sent as Content-Type: application/json";
    struct err e;
    if (brand->error == openai_error) {
        dialect_reply_error(d, r, 415, "invalid_request_error", message);
        return;
    }
    err_set(&e, ERR_INPUT, "%s", message);
    err_kind(&e, "unsupported_media_type");
    dialect_reply(r, brand->error, &e);
}

void dialect_serve_route(struct dialect *d, struct http_req *r, const struct route *route,
                         const char *request_id, str segment)
{
    if (route->wire && route->read)
        start_talk(d, r, route, request_id);
    else
        route->plain(d, r, segment);
}

static void serve_route(struct dialect *d, struct http_req *r, const struct brand *brand,
                        const struct route *route, const char *request_id, str segment)
{
    if (!admit(d, r, brand, route))
        return;
    if (strcmp(route->method, "POST") == 0 && http_body(r).n && !brand->any_type &&
        !is_json_request(r))
        refuse_type(d, r, brand);
    else if (!dialect_load(d, r, brand, route, segment))
        dialect_serve_route(d, r, route, request_id, segment);
}

/* The path as the brand's routes have it; false if it cannot be one of them. */
static bool path_in(const struct brand *brand, const struct http_req *r, str *path)
{
    if (brand->is_ours && !brand->is_ours(r))
        return false;
    bool behind = brand->prefix && str_starts(*path, str_c(brand->prefix));
    if (behind)
        *path = str_from(*path, strlen(brand->prefix));
    return behind || !brand->prefix_only;
}

static void add_allowed(char allow[64], const char *method)
{
    size_t n = strlen(allow);
    if (!strstr(allow, method))
        snprintf(allow + n, 64 - n, "%s%s", n ? ", " : "", method);
}

/* Answers what no route takes, in the shape of the brand whose path it is; false if it is no one's:
 * the app answers 404 in the usual shape. */
static bool serve_none(struct dialect *d, struct http_req *r, const struct brand *near,
                       const struct brand *above, const char *allow)
{
    static const char message[] = "this method is not allowed here; see the Allow header";
    struct buf body = BUF_INIT(ERROR_MAX);
    struct err e;
    const struct brand *brand = near ? near : above;
    if (brand && !admit(d, r, brand, NULL))
        return true;
    if (near)
        http_set_header(r, "Allow", allow);
    if (near && near->error == openai_error) {
        dialect_reply_error(d, r, 405, "invalid_request_error", message);
        return true;
    }
    if (!brand)
        return false;
    if (brand->request_id)
        http_set_header(r, brand->request_id, d->request_id);
    if (near) {
        err_set(&e, ERR_INPUT, "%s", message);
        err_kind(&e, "method_not_allowed");
    } else {
        err_set(&e, ERR_NOT_FOUND, "there is nothing at this path");
    }
    int status = brand->error(&e, &body);
    reply(r, near ? 405 : status, &body);
    buf_free(&body);
    return true;
}

bool dialect_serve(struct dialect *d, struct http_req *r)
{
    str whole = http_path(r), method = http_method(r), segment;
    char allow[64] = "";
    const struct brand *near = NULL, *above = NULL; // knows the path; begins like it

    if (whole.n > 1 && str_ends(whole, STR("/")))
        whole.n--;
    id_new(d->request_id, "req_");
    http_set_header(r, "x-request-id", d->request_id);
    http_set_header(r, "openai-version", "2020-10-01");
    for (size_t b = 0; b < COUNT(brands); b++) {
        const struct brand *brand = brands[b];
        str path = whole;
        if (!path_in(brand, r, &path))
            continue;
        if (!above && brand->under && str_starts(path, str_c(brand->under)))
            above = brand;
        for (size_t i = 0; i < brand->n_routes; i++) {
            const struct route *route = &brand->routes[i];
            if (!path_fits(route->path, path, &segment))
                continue;
            bool head = str_eqc(method, "HEAD") && strcmp(route->method, "GET") == 0;
            if (head || str_eqc(method, route->method)) {
                if (brand->request_id)
                    http_set_header(r, brand->request_id, d->request_id);
                serve_route(d, r, brand, route, d->request_id, segment);
                return true;
            }
            near = near ? near : brand;
            add_allowed(allow, route->method);
        }
    }
    return serve_none(d, r, near, above, allow);
}
