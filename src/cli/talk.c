/* cli/talk.c - see talk.h. */
#include "cli/talk.h"

#include "base/file.h"
#include "base/utf8.h"
#include "http/client.h"
#include "http/sse.h"

#include <unistd.h>

#define EVENT_MAX  (4u << 20)
#define ANSWER_MAX (64u << 20)
#define ERROR_MAX  (1u << 20)

struct answer {
    struct talk *t;
    struct http_sse_reader events;
    struct buf text; // of the answer, without reasoning
    bool half;       // see talk_clean
    bool reasoning;  // the last piece was some
    bool done;
    bool failed; // e is set
    char finish[32];
    char last; // byte written
    struct err e;
};

void talk_init(struct talk *t, bool (*stop)(void))
{
    *t = (struct talk){.temperature = -1,
                       .max_tokens = -1,
                       .seed = -1,
                       .show_reasoning = true,
                       .messages = json_array(),
                       .stop = stop,
                       .tty_out = isatty(STDOUT_FILENO)};
}

void talk_fini(struct talk *t)
{
    json_decref(t->messages);
}

/* The text as a JSON string; what is no UTF-8 becomes U+FFFD. */
static json_t *json_text(str s)
{
    json_t *v = json_stringn(s.p ? s.p : "", s.n);
    if (v)
        return v;
    struct buf b = BUF_INIT(4 * s.n + 4);
    while (s.n > 0) {
        str before = s;
        if (utf8_next(&s) < 0)
            buf_c(&b, "\xef\xbf\xbd");
        else
            buf_put(&b, before.p, before.n - s.n);
    }
    v = json_stringn(b.p ? b.p : "", b.n);
    buf_free(&b);
    return v;
}

static json_t *message(const char *role, str content)
{
    json_t *m = json_object();
    json_object_set_new(m, "role", json_string(role));
    json_object_set_new(m, "content", json_text(content));
    return m;
}

static bool is_role(const json_t *m, const char *role)
{
    const char *r = json_string_value(json_object_get(m, "role"));
    return r && strcmp(r, role) == 0;
}

static str content_of(const json_t *m)
{
    const json_t *c = json_object_get(m, "content");
    return (str){json_string_value(c), json_string_length(c)};
}

str talk_system(const struct talk *t)
{
    const json_t *first = json_array_get(t->messages, 0);
    return is_role(first, "system") ? content_of(first) : STR("");
}

void talk_set_system(struct talk *t, str text)
{
    if (is_role(json_array_get(t->messages, 0), "system"))
        json_array_remove(t->messages, 0);
    json_array_insert_new(t->messages, 0, message("system", text));
}

void talk_reset(struct talk *t)
{
    size_t keep = is_role(json_array_get(t->messages, 0), "system") ? 1 : 0;
    while (json_array_size(t->messages) > keep)
        json_array_remove(t->messages, keep);
}

void talk_clean(struct buf *out, str text, bool *half)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (*half && c >= 0x80 && c < 0xa0) { // C1: U+0080 to U+009F
            *half = false;
            continue;
        }
        if (*half)
            buf_char(out, '\xc2');
        *half = c == 0xc2;
        if (*half || (c < ' ' && c != '\n' && c != '\t') || c == 0x7f)
            continue;
        buf_char(out, (char)c);
    }
}

static void show(struct answer *a, str text)
{
    struct buf clean = BUF_INIT(2 * text.n + 2);
    str s = text;
    if (a->t->tty_out) {
        talk_clean(&clean, text, &a->half);
        s = buf_as_str(&clean);
    }
    fwrite(s.p, 1, s.n, stdout);
    fflush(stdout);
    if (s.n)
        a->last = s.p[s.n - 1];
    buf_free(&clean);
}

/* What the model thinks is shown dimmed, and only to people. */
static void set_reasoning(struct answer *a, bool on)
{
    if (a->reasoning == on)
        return;
    a->reasoning = on;
    fputs(on ? "\033[2m" : "\033[0m\n\n", stdout);
}

/* {"error": {"message": ...}}, as it stands in a body or in a stream. */
static bool read_error(const json_t *v, struct err *e)
{
    const json_t *error = json_object_get(v, "error");
    const char *m = json_string_value(json_object_get(error, "message"));
    if (!m)
        m = json_string_value(error);
    if (!error)
        return false;
    err_set(e, ERR_INPUT, "%s", m ? m : "the server reports an error without a message");
    return true;
}

static void on_event(str event, str data, str id, void *arg)
{
    struct answer *a = arg;
    (void)event;
    (void)id;
    if (a->done || a->failed)
        return;
    if (str_eq(data, STR("[DONE]"))) {
        a->done = true;
        return;
    }
    json_error_t where;
    json_t *v = json_loadb(data.p, data.n, JSON_ALLOW_NUL, &where);
    const json_t *choice = json_array_get(json_object_get(v, "choices"), 0);
    const json_t *delta = json_object_get(choice, "delta");
    const json_t *text = json_object_get(delta, "content");
    const json_t *thought = json_object_get(delta, "reasoning_content");
    const char *finish = json_string_value(json_object_get(choice, "finish_reason"));
    if (!v)
        a->failed = !err_set(&a->e, ERR_FORMAT, "the server's stream is no JSON: %s", where.text);
    else if (read_error(v, &a->e))
        a->failed = true;
    if (json_string_length(thought) && a->t->show_reasoning && a->t->tty_out) {
        set_reasoning(a, true);
        show(a, str_n(json_string_value(thought), json_string_length(thought)));
    }
    if (json_string_length(text)) {
        str s = {json_string_value(text), json_string_length(text)};
        set_reasoning(a, false);
        show(a, s);
        buf_str(&a->text, s);
    }
    if (finish)
        snprintf(a->finish, sizeof a->finish, "%s", finish);
    json_decref(v);
}

static bool on_bytes(str bytes, void *arg)
{
    struct answer *a = arg;
    if (!http_sse_read(&a->events, bytes, on_event, a, &a->e))
        a->failed = true;
    return !a->failed && !a->t->stop();
}

static bool on_tick(void *arg)
{
    struct answer *a = arg;
    return !a->t->stop();
}

static char *request_body(const struct talk *t)
{
    json_t *body = json_object();
    json_object_set_new(body, "model", json_string(t->model));
    json_object_set(body, "messages", t->messages);
    json_object_set_new(body, "stream", json_true());
    if (t->temperature >= 0)
        json_object_set_new(body, "temperature", json_real(t->temperature));
    if (t->max_tokens >= 0)
        json_object_set_new(body, "max_tokens", json_integer(t->max_tokens));
    if (t->seed >= 0)
        json_object_set_new(body, "seed", json_integer(t->seed));
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}

/* What a refusal says, in the server's own words where it has some. */
static bool explain(int status, str body, struct err *e)
{
    json_error_t where;
    json_t *v = json_loadb(body.p ? body.p : "", body.n, 0, &where);
    if (!read_error(v, e))
        err_set(e, ERR_IO, "the server answers HTTP %d", status);
    if (status == 401)
        err_ctx(e, "set CONFAB_API_KEY");
    json_decref(v);
    return false;
}

/* The headers of every request: JSON, and the key if there is one. */
static const char *const *request_headers(char auth[1024], const char *out[3])
{
    const char *key = getenv("CONFAB_API_KEY");
    out[0] = "Content-Type: application/json";
    out[1] = out[2] = NULL;
    if (key && key[0] && !strpbrk(key, "\r\n")) {
        snprintf(auth, 1024, "Authorization: Bearer %s", key);
        out[1] = auth;
    }
    return out;
}

static bool exchange(struct talk *t, struct answer *a, const char *body, struct err *e)
{
    char url[600], auth[1024];
    const char *headers[3];
    struct http_result res;
    struct buf refusal = BUF_INIT(ERROR_MAX);
    snprintf(url, sizeof url, "%s/v1/chat/completions", t->url);
    struct http_call call = {.url = url,
                             .headers = request_headers(auth, headers),
                             .body = str_c(body),
                             .stall_timeout_ms = 24 * 3600 * 1000, // a prompt may take its time
                             .out = &refusal,
                             .on_bytes = on_bytes,
                             .on_tick = on_tick,
                             .arg = a};
    bool ok = http_call(&call, &res, e);
    if (a->failed) {
        *e = a->e;
        ok = false;
    } else if (ok && res.status != 200) {
        ok = explain(res.status, buf_as_str(&refusal), e);
    } else if (ok && !a->done) {
        ok = err_set(e, ERR_IO, "the server cut its answer short");
    }
    http_result_fini(&res);
    buf_free(&refusal);
    return ok;
}

bool talk_ask(struct talk *t, str question, struct err *e)
{
    struct answer a = {.t = t};
    http_sse_reader_init(&a.events, EVENT_MAX);
    buf_init(&a.text, ANSWER_MAX);
    json_array_append_new(t->messages, message("user", question));
    char *body = request_body(t);
    bool ok = exchange(t, &a, body, e);
    free(body);
    set_reasoning(&a, false);
    if (a.last && a.last != '\n')
        putchar('\n');
    fflush(stdout);
    if (ok && strcmp(a.finish, "length") == 0)
        fputs("[the answer was cut at the limit of tokens]\n", stderr);
    if (ok || (e->code == ERR_CANCELED && a.text.n > 0))
        json_array_append_new(t->messages, message("assistant", buf_as_str(&a.text)));
    else
        json_array_remove(t->messages, json_array_size(t->messages) - 1);
    http_sse_reader_fini(&a.events);
    buf_free(&a.text);
    return ok;
}

bool talk_connect(struct talk *t, const char *url, struct err *e)
{
    char at[600], auth[1024];
    const char *headers[3];
    struct buf body = BUF_INIT(ERROR_MAX);
    struct http_result res;
    size_t n = strlen(url);
    while (n > 0 && url[n - 1] == '/')
        n--;
    if (n >= sizeof t->url)
        return err_set(e, ERR_INPUT, "the URL is too long");
    snprintf(t->url, sizeof t->url, "%.*s", (int)n, url);
    snprintf(at, sizeof at, "%s/v1/models", t->url);
    struct http_call call = {
        .url = at, .headers = request_headers(auth, headers), .out = &body, .timeout_ms = 30000};
    bool ok = http_call(&call, &res, e);
    if (!ok) {
        err_ctx(e, "no server (start one with `confab serve`, or give -m FILE.gguf)");
    } else if (res.status != 200) {
        ok = explain(res.status, buf_as_str(&body), e);
    } else if (!t->model[0]) {
        json_error_t where;
        json_t *v = json_loadb(body.p ? body.p : "", body.n, 0, &where);
        const json_t *first = json_array_get(json_object_get(v, "data"), 0);
        const char *id = json_string_value(json_object_get(first, "id"));
        if (id)
            snprintf(t->model, sizeof t->model, "%s", id);
        else
            ok = err_set(e, ERR_INPUT, "the server at %s lists no model", t->url);
        json_decref(v);
    }
    http_result_fini(&res);
    buf_free(&body);
    return ok;
}

bool talk_save(const struct talk *t, const char *path, struct err *e)
{
    struct buf out = BUF_INIT(1u << 30);
    bool json = str_ends(str_c(path), STR(".json"));
    char *text = json ? json_dumps(t->messages, JSON_INDENT(2)) : NULL;
    if (text)
        buf_printf(&out, "%s\n", text);
    free(text);
    for (size_t i = 0; !json && i < json_array_size(t->messages); i++) {
        const json_t *m = json_array_get(t->messages, i);
        buf_printf(&out, "## %s\n\n", json_string_value(json_object_get(m, "role")));
        buf_str(&out, content_of(m));
        buf_c(&out, "\n\n");
    }
    bool ok = file_replace(path, buf_as_str(&out), e);
    buf_free(&out);
    return ok;
}
