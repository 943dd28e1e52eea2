/* dialect/paddler_socket.c - Paddler's inference socket: requests and answers, each with the
 * client's own id, side by side over one WebSocket.
 *
 * Where Paddler drops a frame it cannot read, or the whole connection for a bad tool, here comes an
 * Error envelope with code 400, and the socket stays. */
#include "dialect/paddler.h"
#include "http/ws.h"

#include "base/clock.h"
#include "base/mem.h"

#define TURNS_MAX 64 // requests of a socket at the same time
#define PING_MS   3000

/* One request. */
struct turn {
    struct paddler_socket *socket;
    struct run *run; // held
    struct run_follower *follower;
    const struct wire *wire;
    struct talk_facts facts; // id: the client's
    void *state;
    size_t n_sent;
    bool paused;
    uint64_t began_ms, first_ms;
    struct turn *next, **link;
};

struct paddler_socket {
    struct dialect *d;
    struct http_ws *ws;
    struct http_req *req; // as long as ws
    char wish[2];
    struct turn *turns;
    int n_turns;
    uint64_t pinged_ms;
    struct paddler_socket *next, **link;
};

static void record(const struct turn *t, const struct err *error, bool client_left)
{
    const struct dialect_conf *c = &t->socket->d->conf;
    struct dialect_record rec = {
        .request_id = t->facts.id,
        .route = "paddler.socket",
        .model = run_model(t->run)->name,
        .status = client_left ? 499 : 200,
        .stream = true,
        .client_left = client_left,
        .error = error ? error->msg : "",
        .n_prompt = run_n_prompt(t->run),
        .n_output = answer_usage(t->run).n_output,
        .first_ms = t->first_ms ? t->first_ms - t->began_ms : 0,
        .total_ms = clock_mono_ms() - t->began_ms,
    };
    if (c->on_record)
        c->on_record(&rec, c->arg);
}

static void turn_free(struct turn *t)
{
    run_unfollow(t->follower);
    run_drop(t->run);
    if (t->wire->state_fini)
        t->wire->state_fini(t->state);
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    t->socket->n_turns--;
    mem_free(t->state);
    mem_free(t);
}

static void turn_stop(struct turn *t)
{
    record(t, NULL, true);
    run_cancel(t->run);
    turn_free(t);
}

static void socket_free(struct paddler_socket *s)
{
    while (s->turns)
        turn_stop(s->turns);
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    mem_free(s);
}

static void socket_close(struct paddler_socket *s, int code)
{
    struct http_ws *ws = s->ws;
    socket_free(s);
    http_ws_close(ws, code);
}

/* Each line is a message of its own. */
static void send_lines(struct paddler_socket *s, str text)
{
    str line;
    while (str_cut(&text, '\n', &line))
        if (line.n)
            http_ws_text(s->ws, line);
}

/* Sends what the log has and the client can take.  False when the turn is over, and gone. */
static bool turn_send(struct turn *t)
{
    struct buf out = BUF_INIT(ANSWER_MAX);
    const struct chat_event *ev, *last = NULL;
    while (http_ws_writable(t->socket->ws) && (ev = run_event(t->run, t->n_sent))) {
        if (!t->first_ms)
            t->first_ms = clock_mono_ms();
        t->wire->event(&t->facts, t->state, ev, &out);
        send_lines(t->socket, buf_as_str(&out));
        buf_clear(&out);
        t->n_sent++;
        last = ev;
    }
    buf_free(&out);
    bool all = run_event(t->run, t->n_sent) == NULL;
    if (all && run_is_over(t->run)) {
        record(t, last && last->what == CHAT_FAILED ? last->error : NULL, false);
        turn_free(t);
        return false;
    }
    if (all == t->paused) { // a slow reader holds its own runs back
        t->paused = !all;
        run_pause(t->run, t->paused);
    }
    return true;
}

static void close_if_done(struct paddler_socket *s)
{
    if (s->d->draining && s->n_turns == 0)
        socket_close(s, WS_CLOSE_GOING);
}

static void on_event(struct run *run, void *arg)
{
    struct turn *t = arg;
    struct paddler_socket *s = t->socket;
    (void)run;
    if (!turn_send(t))
        close_if_done(s);
}

static void on_room(struct http_ws *ws, void *arg)
{
    struct paddler_socket *s = arg;
    struct turn *t, *next;
    (void)ws;
    for (t = s->turns; t; t = next) {
        next = t->next;
        turn_send(t);
    }
    close_if_done(s);
}

static void on_gone(struct http_ws *ws, void *arg)
{
    (void)ws;
    socket_free(arg);
}

static void refuse(struct paddler_socket *s, const struct err *e, bool current, const char *id)
{
    struct buf out = BUF_INIT(ERROR_MAX);
    paddler_refuse(e, current, id, &out);
    send_lines(s, buf_as_str(&out));
    buf_free(&out);
}

static struct turn *find_turn(const struct paddler_socket *s, const char *id)
{
    for (struct turn *t = s->turns; t; t = t->next)
        if (strcmp(t->facts.id, id) == 0)
            return t;
    return NULL;
}

static void begin_turn(struct paddler_socket *s, struct run *run, const struct wire *wire,
                       const char *id)
{
    struct turn *t = mem_calloc(1, sizeof *t);
    t->socket = s;
    t->run = run;
    t->wire = wire;
    t->facts = talk_facts_of(s->d, wire, run);
    snprintf(t->facts.id, sizeof t->facts.id, "%s", id);
    t->state = mem_calloc(1, wire->state_size + 1);
    t->began_ms = clock_mono_ms();
    t->next = s->turns;
    t->link = &s->turns;
    if (t->next)
        t->next->link = &t->next;
    s->turns = t;
    s->n_turns++;
    t->follower = run_follow(run, on_event, t);
    turn_send(t); // a run may be over already
}

/* {"ContinueFrom...": body} */
static void take_request(struct paddler_socket *s, const char *id, const json_t *request)
{
    const json_t *chat = json_object_get(request, "ContinueFromConversationHistory");
    const json_t *raw = json_object_get(request, "ContinueFromRawPrompt");
    const json_t *body = chat ? chat : raw;
    bool current = str_eqc(str_n(s->wish, 1), "4");
    struct talk_order order = {0};
    struct err e;
    bool ok = false;
    if (find_turn(s, id)) {
        err_set(&e, ERR_INPUT, "a request with this id is running on this connection");
    } else if (s->d->draining) {
        err_set(&e, ERR_BUSY, "the server is stopping");
    } else if (s->n_turns >= TURNS_MAX) {
        err_set(&e, ERR_BUSY, "a connection may have %d requests at the same time", TURNS_MAX);
    } else if (json_object_size(request) != 1 || !json_is_object(body)) {
        err_set(&e, ERR_INPUT,
                "'request' must be an object with ContinueFromConversationHistory or "
                "ContinueFromRawPrompt");
    } else {
        ok = paddler_read(s->d, body, str_n(s->wish, s->wish[0] ? 1 : 0), chat != NULL, &order, &e);
    }
    const struct wire *wire = order.wire ? order.wire
                              : current  ? &paddler_current_wire
                                         : &paddler_wire;
    struct run *run =
        ok ? talk_run(s->d, NULL, &order, chat ? "paddler.chat" : "paddler.raw", &e) : NULL;
    if (run)
        begin_turn(s, run, wire, id);
    else
        refuse(s, &e, wire != &paddler_wire, id);
}

/* A string that can be an id here; else "" and the error is told. */
static const char *read_id(struct paddler_socket *s, const json_t *v)
{
    const char *id = json_string_value(v);
    struct err e;
    if (id && json_string_length(v) < ID_MAX && strlen(id) == json_string_length(v))
        return id;
    err_set(&e, ERR_INPUT, "'id' must be a string of at most %d bytes", ID_MAX - 1);
    refuse(s, &e, false, "");
    return NULL;
}

/* Whose requests are these?  A key that was revoked meanwhile opens nothing more. */
static bool admit(struct paddler_socket *s)
{
    const struct dialect_conf *c = &s->d->conf;
    s->d->team = STR("");
    return !c->authenticate || c->authenticate(s->req, &s->d->team, c->arg);
}

static void take_message(struct paddler_socket *s, const json_t *message)
{
    const json_t *request = json_object_get(message, "Request");
    const json_t *stop =
        json_object_get(json_object_get(message, "Notification"), "StopRespondingTo");
    const char *id;
    struct err e;
    if (json_object_size(message) == 1 && json_is_object(request)) {
        if ((id = read_id(s, json_object_get(request, "id"))))
            take_request(s, id, json_object_get(request, "request"));
    } else if (json_object_size(message) == 1 && json_is_string(stop)) {
        struct turn *t = find_turn(s, json_string_value(stop));
        if (t)
            turn_stop(t);
    } else if (!json_object_get(message, "Error")) { // which clients may send, and nobody answers
        err_set(&e, ERR_INPUT, "a message is {\"Request\":...} or {\"Notification\":...}");
        refuse(s, &e, false, "");
    }
}

static void on_text(struct http_ws *ws, str text, void *arg)
{
    struct paddler_socket *s = arg;
    struct err e;
    (void)ws;
    if (!admit(s)) {
        socket_close(s, WS_CLOSE_POLICY);
        return;
    }
    json_t *message = json_parse(text, &e);
    if (message) {
        take_message(s, message);
    } else {
        err_ctx(&e, "the message is not valid JSON (at %s)", e.where);
        refuse(s, &e, false, "");
    }
    json_decref(message);
    close_if_done(s);
}

static int refused_upgrade(const struct err *e, struct buf *out)
{
    paddler_refuse(e, false, "", out);
    return e->code == ERR_DENIED ? 403 : strcmp(e->kind, "upgrade_required") == 0 ? 426 : 400;
}

void paddler_socket_open(struct dialect *d, struct http_req *r, str segment)
{
    struct paddler_socket *s = mem_calloc(1, sizeof *s);
    const struct http_ws_conf conf = {.max_message = d->conf.max_request / 2,
                                      .on_text = on_text,
                                      .on_gone = on_gone,
                                      .on_room = on_room,
                                      .arg = s};
    struct err e = {0};
    str wish = paddler_wish(r);
    (void)segment;
    bool ok = wish.n == 0 || str_eqc(wish, "2") || str_eqc(wish, "4");
    if (!ok)
        err_set_at(&e, ERR_INPUT, "wire", "the wire is '2' (older) or '4' (current)");
    if (!ok || !http_ws_open(&s->ws, r, &conf, &e)) {
        if (strcmp(e.kind, "upgrade_required") == 0)
            http_set_header(r, "Upgrade", "websocket");
        dialect_reply(r, refused_upgrade, &e);
        mem_free(s);
        return;
    }
    s->d = d;
    s->req = r;
    s->wish[0] = wish.n ? wish.p[0] : '\0';
    s->pinged_ms = clock_mono_ms();
    s->next = d->sockets;
    s->link = &d->sockets;
    if (s->next)
        s->next->link = &s->next;
    d->sockets = s;
}

void paddler_sockets_tick(struct dialect *d, uint64_t now_ms)
{
    for (struct paddler_socket *s = d->sockets; s; s = s->next)
        if (now_ms - s->pinged_ms >= PING_MS && http_ws_writable(s->ws)) {
            http_ws_ping(s->ws);
            s->pinged_ms = now_ms;
        }
}

void paddler_sockets_drain(struct dialect *d, bool at_once)
{
    struct paddler_socket *s, *next;
    d->draining = true;
    for (s = d->sockets; s; s = next) {
        next = s->next;
        if (at_once || s->n_turns == 0)
            socket_close(s, WS_CLOSE_GOING);
    }
}
