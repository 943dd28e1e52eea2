/* http/ws_serve.c - the server's end of a WebSocket: a request whose connection carries frames in
 * both directions from its answer on. */
#include "http/http_int.h"
#include "http/ws.h"

#include "base/mem.h"

struct http_ws {
    struct http_req *req;
    struct http_ws_conf conf;
    struct ws_reader reader;
    bool reading; // on_bytes is running: it frees what dies in it
    bool dead;
};

static bool has_word(const struct http_req *r, const char *name, const char *word)
{
    str list, item;
    if (!http_header(r, name, &list))
        return false;
    while (str_cut(&list, ',', &item))
        if (str_eq_nocase(str_trim(item), str_c(word)))
            return true;
    return false;
}

/* A browser says which page asks: only one of this very server may. */
static bool is_own_page(const struct http_req *r)
{
    str origin, host;
    if (!http_header(r, "origin", &origin))
        return true;
    ptrdiff_t at = str_find(origin, STR("://"));
    return at >= 0 && http_header(r, "host", &host) &&
           str_eq_nocase(str_from(origin, (size_t)at + 3), host);
}

/* 24 letters of Base64: 16 bytes. */
static bool is_key(str key)
{
    for (size_t i = 0; i < key.n; i++) {
        char c = key.p[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                      c == '+' || c == '/';
        if (!letter && !(i >= 22 && c == '='))
            return false;
    }
    return key.n == 24 && key.p[22] == '=' && key.p[23] == '=';
}

static bool check(struct http_req *r, str *key, struct err *e)
{
    str version;
    if (r->parse.minor != 1 || !str_eqc(http_method(r), "GET") ||
        !has_word(r, "upgrade", "websocket") || !has_word(r, "connection", "upgrade")) {
        err_set(e, ERR_INPUT, "this path wants a WebSocket: Upgrade: websocket");
        return err_kind(e, "upgrade_required");
    }
    if (!http_header(r, "sec-websocket-version", &version) || !str_eqc(version, "13")) {
        err_set(e, ERR_INPUT, "the WebSocket's version must be 13");
        return err_kind(e, "upgrade_required");
    }
    if (!http_header(r, "sec-websocket-key", key) || !is_key(*key))
        return err_set(e, ERR_INPUT, "Sec-WebSocket-Key must be 16 bytes in Base64");
    if (!is_own_page(r))
        return err_set(e, ERR_DENIED, "a page of another origin may not open a WebSocket here");
    return true;
}

static void ws_free(struct http_ws *ws)
{
    ws->dead = true;
    if (ws->reading)
        return;
    ws_reader_fini(&ws->reader);
    mem_free(ws);
}

static void send_frame(struct http_ws *ws, int opcode, str data)
{
    struct buf frame = BUF_INIT(data.n + 16);
    ws_frame(&frame, opcode, data);
    http_write(ws->req, buf_as_str(&frame));
    buf_free(&frame);
}

static void send_close(struct http_ws *ws, int code)
{
    char data[2] = {(char)(code >> 8), (char)code};
    send_frame(ws, 8, str_n(data, code == WS_CLOSE_NO_CODE ? 0 : 2));
}

void http_ws_text(struct http_ws *ws, str text)
{
    send_frame(ws, 1, text);
}

void http_ws_ping(struct http_ws *ws)
{
    send_frame(ws, 9, STR(""));
}

bool http_ws_writable(const struct http_ws *ws)
{
    return http_writable(ws->req);
}

void http_ws_close(struct http_ws *ws, int code)
{
    send_close(ws, code);
    http_end(ws->req);
    ws_free(ws);
}

/* The client closed, or broke the rules: the owner hears of it, the client gets the code. */
static void end(struct http_ws *ws, int code)
{
    ws->conf.on_gone(ws, ws->conf.arg);
    send_close(ws, code);
    http_end(ws->req);
    ws->dead = true;
}

static void take(struct http_ws *ws, enum ws_got got)
{
    switch (got) {
    case WS_TEXT: ws->conf.on_text(ws, ws->reader.data, ws->conf.arg); break;
    case WS_PING:
        if (http_writable(ws->req)) // who does not read needs no answer
            send_frame(ws, 10, ws->reader.data);
        break;
    case WS_CLOSE:
    case WS_BAD: end(ws, ws->reader.code); break;
    case WS_MORE:
    case WS_BINARY:
    case WS_PONG: break;
    }
}

static size_t on_bytes(struct http_req *r, str bytes, void *arg)
{
    struct http_ws *ws = arg;
    (void)r;
    ws->reading = true;
    enum ws_got got;
    do {
        got = ws_read(&ws->reader, &bytes);
        take(ws, got);
    } while (!ws->dead && got != WS_MORE);
    ws->reading = false;
    if (ws->dead) {
        ws_free(ws);
        return 0;
    }
    return ws->reader.message.cap;
}

static void on_gone(struct http_req *r, void *arg)
{
    struct http_ws *ws = arg;
    (void)r;
    ws->conf.on_gone(ws, ws->conf.arg);
    ws_free(ws);
}

static void on_room(struct http_req *r, void *arg)
{
    struct http_ws *ws = arg;
    (void)r;
    if (ws->conf.on_room)
        ws->conf.on_room(ws, ws->conf.arg);
}

bool http_ws_open(struct http_ws **out, struct http_req *r, const struct http_ws_conf *conf,
                  struct err *e)
{
    char accept[WS_ACCEPT_MAX];
    str key;
    if (!check(r, &key, e))
        return false;
    struct http_ws *ws = mem_calloc(1, sizeof *ws);
    ws->req = r;
    ws->conf = *conf;
    ws_reader_init(&ws->reader, conf->max_message);
    ws_accept(accept, key);
    http_set_header(r, "Upgrade", "websocket");
    http_set_header(r, "Sec-WebSocket-Accept", accept);
    http_watch(r, on_gone, on_room, ws);
    http_upgrade(r, on_bytes);
    *out = ws;
    return true;
}
