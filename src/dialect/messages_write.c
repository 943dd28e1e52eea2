/* dialect/messages_write.c - events as the messages wire has them, in the manner of either brand.
 * Pure: what is written depends on the arguments alone, also ids and times. */
#include "dialect/messages.h"

#include "http/sse.h"

#include <time.h>

/* 128 bits of a text, for names that must come out the same at every reading of a log.
 * Source: FNV-1a, and the finalizer of splitmix64. */
static uint64_t mix(uint64_t h, const char *text, const char *kind, int number)
{
    for (const char *p = text; *p; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3U;
    for (const char *p = kind; *p; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3U;
    h += ((uint64_t)number + 1) * 0x9e3779b97f4a7c15U;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9U;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebU;
    return h ^ (h >> 31);
}

void messages_hex(char out[MESSAGES_HEX], const char *text, const char *kind, int number)
{
    snprintf(out, MESSAGES_HEX, "%016llx%016llx",
             (unsigned long long)mix(0xcbf29ce484222325U, text, kind, number),
             (unsigned long long)mix(0x6c62272e07bb0142U, text, kind, number));
}

/* Blocks: what an answer's content is made of. */

enum block { BLOCK_NONE, BLOCK_TEXT, BLOCK_THINKING, BLOCK_CALL, BLOCK_SERVER_CALL, BLOCK_RESULT };

static const char *block_type(const struct talk_facts *f, enum block kind)
{
    static const char *const types[] = {[BLOCK_TEXT] = "text",
                                        [BLOCK_THINKING] = "thinking",
                                        [BLOCK_CALL] = "tool_use",
                                        [BLOCK_SERVER_CALL] = "server_tool_use",
                                        [BLOCK_RESULT] = ""}; // by what it holds
    return kind == BLOCK_SERVER_CALL && f->plain_tools ? "tool_use" : types[kind];
}

struct state {
    bool started;
    enum block open;
    int index;        // of the block that is open, or of the next
    int n_calls;      // of the answer
    struct buf input; // of the open call
    enum chat_finish finish;
    str stop;
    int n_answer; // tokens of the choice, known at its end
    size_t n_prompt, n_output;
};

static void fini(void *state)
{
    struct state *s = state;
    buf_free(&s->input);
}

static void key(struct buf *out, const char *name, str text)
{
    buf_printf(out, ",\"%s\":", name);
    json_write_str(out, text, JSON_PLAIN);
}

static void stamp(struct buf *out, const char *name, int64_t unix_ms)
{
    char when[32];
    struct tm tm;
    time_t t = (time_t)(unix_ms / 1000);
    gmtime_r(&t, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    buf_printf(out, ",\"%s\":\"%s.%03d000Z\"", name, when, (int)(unix_ms % 1000));
}

static void name(struct buf *out, const char *field, const char *prefix, const struct talk_facts *f,
                 const char *kind, int number)
{
    char hex[MESSAGES_HEX];
    messages_hex(hex, f->id, kind, number);
    buf_printf(out, ",\"%s\":\"%s%s\"", field, prefix, hex);
}

static void write_signature(const struct manner *m, const struct talk_facts *f, int index,
                            struct buf *out)
{
    if (m->stamps)
        name(out, "signature", "sig_", f, "signature", index);
    else
        buf_c(out, ",\"signature\":\"\"");
}

static void write_id(const struct manner *m, const struct talk_facts *f, int call, struct buf *out)
{
    name(out, "id", m->call, f, "call", call);
}

static const char *stop_reason(const struct manner *m, const struct talk_facts *f,
                               const struct state *s)
{
    int most = f->request ? f->request->max_tokens : 0;
    bool none = f->request && f->request->no_answer;
    switch (s->finish) {
    case CHAT_FINISH_STOP: return "stop_sequence";
    case CHAT_FINISH_CALLS: return "tool_use";
    case CHAT_FINISH_LENGTH:
        return none || (most > 0 && s->n_answer >= most) ? "max_tokens" : m->no_context;
    case CHAT_FINISH_NONE:
    case CHAT_FINISH_END: break;
    }
    return s->n_calls ? "tool_use" : "end_turn";
}

static void write_stop(const struct manner *m, const struct talk_facts *f, const struct state *s,
                       bool cancelled, struct buf *out)
{
    if (cancelled)
        buf_c(out, "\"stop_reason\":null");
    else
        buf_printf(out, "\"stop_reason\":\"%s\"", stop_reason(m, f, s));
    buf_c(out, ",\"stop_sequence\":");
    if (!cancelled && s->finish == CHAT_FINISH_STOP)
        json_write_str(out, s->stop, JSON_PLAIN);
    else
        buf_c(out, "null");
}

static void write_counts(const struct manner *m, const struct chat_usage *u, struct buf *out)
{
    size_t cached = m->stamps ? 0 : u->n_cached;
    buf_printf(out, "\"input_tokens\":%zu,\"output_tokens\":%zu", u->n_prompt - cached,
               u->n_output);
    if (!m->stamps)
        buf_printf(out, ",\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":%zu",
                   cached);
}

static void write_details(const struct chat_usage *u, struct buf *out)
{
    if (u->n_reasoning)
        buf_printf(out, ",\"output_tokens_details\":{\"thinking_tokens\":%zu}", u->n_reasoning);
    else
        buf_c(out, ",\"output_tokens_details\":null");
    buf_c(out, ",\"server_tool_use\":null");
}

static void write_usage(const struct manner *m, const struct chat_usage *u, struct buf *out)
{
    buf_c(out, "\"usage\":{");
    write_counts(m, u, out);
    if (!m->stamps) {
        buf_c(out, ",\"cache_creation\":null");
        write_details(u, out);
        buf_c(out, ",\"service_tier\":\"standard\",\"inference_geo\":null,\"speed\":null");
    }
    buf_c(out, "}");
}

static void write_head(const struct talk_facts *f, struct buf *out)
{
    buf_c(out, "{\"id\":");
    json_write_str(out, str_c(f->id), JSON_PLAIN);
    buf_c(out, ",\"type\":\"message\",\"role\":\"assistant\"");
}

/* Streams. */

static void frame(const char *type, const struct buf *data, struct buf *out)
{
    http_sse_frame(out, type, buf_as_str(data));
}

static void start_message(const struct manner *m, const struct talk_facts *f, struct state *s,
                          size_t n_prompt, struct buf *out)
{
    struct buf b = BUF_INIT(8192);
    struct chat_usage usage = {.n_prompt = n_prompt};
    if (s->started)
        return;
    s->started = true;
    s->n_prompt = n_prompt;
    buf_init(&s->input, ANSWER_MAX);
    buf_c(&b, "{\"type\":\"message_start\",\"message\":");
    write_head(f, &b);
    buf_c(&b, ",\"content\":[]");
    key(&b, "model", str_c(f->model ? f->model : ""));
    buf_c(&b, ",\"stop_reason\":null,\"stop_sequence\":null,");
    if (!m->stamps)
        buf_c(&b, "\"stop_details\":null,\"container\":null,\"diagnostics\":null,");
    write_usage(m, &usage, &b);
    buf_c(&b, "}}");
    frame("message_start", &b, out);
    buf_free(&b);
}

/* The start of every frame about the open block. */
static void begin(const struct manner *m, const struct talk_facts *f, const struct state *s,
                  const char *type, struct buf *b)
{
    buf_printf(b, "{\"type\":\"%s\",\"index\":%d", type, s->index);
    if (m->stamps)
        name(b, "block_id", "block_", f, "block", s->index);
}

static void delta(const struct manner *m, const struct talk_facts *f, const struct state *s,
                  const char *type, const char *field, str text, const json_t *object,
                  struct buf *out)
{
    struct buf b = BUF_INIT(ANSWER_MAX);
    begin(m, f, s, "content_block_delta", &b);
    buf_printf(&b, ",\"delta\":{\"type\":\"%s\"", type);
    key(&b, field, text);
    if (object) {
        buf_c(&b, ",\"partial_json_obj\":");
        json_write(&b, object, JSON_PLAIN, -1);
    }
    buf_c(&b, "}}");
    frame("content_block_delta", &b, out);
    buf_free(&b);
}

/* The input of a call, all at once; one that was cut short stays {}. */
static void end_input(const struct manner *m, const struct talk_facts *f, const struct state *s,
                      struct buf *out)
{
    struct err e;
    str text = str_trim(buf_as_str(&s->input));
    json_t *input = text.n ? json_parse(text, &e) : json_object();
    if (json_is_object(input))
        delta(m, f, s, "input_json_delta", "partial_json", json_object_size(input) ? text : STR(""),
              input, out);
    json_decref(input);
}

static void close_block(const struct manner *m, const struct talk_facts *f, struct state *s,
                        int64_t unix_ms, bool cancelled, struct buf *out)
{
    struct buf b = BUF_INIT(1024);
    if (s->open == BLOCK_NONE)
        return;
    if ((s->open == BLOCK_SERVER_CALL || (s->open == BLOCK_CALL && m->whole_input)) && !cancelled)
        end_input(m, f, s, out);
    if (s->open == BLOCK_THINKING && !m->stamps)
        delta(m, f, s, "signature_delta", "signature", STR(""), NULL, out);
    buf_c(&b, "{\"type\":\"content_block_stop\"");
    if (m->stamps)
        stamp(&b, "stop_timestamp", unix_ms);
    buf_printf(&b, ",\"index\":%d", s->index);
    if (m->stamps)
        name(&b, "block_id", "block_", f, "block", s->index);
    buf_c(&b, "}");
    frame("content_block_stop", &b, out);
    buf_free(&b);
    buf_clear(&s->input);
    s->open = BLOCK_NONE;
    s->index++;
}

static void open_block(const struct manner *m, const struct talk_facts *f, struct state *s,
                       enum block kind, const struct chat_event *ev, struct buf *out)
{
    struct buf b = BUF_INIT(ANSWER_MAX), result = BUF_INIT(ANSWER_MAX);
    if (s->open == kind && (kind == BLOCK_TEXT || kind == BLOCK_THINKING))
        return;
    start_message(m, f, s, 0, out);
    close_block(m, f, s, ev->unix_ms, false, out);
    s->open = kind;
    begin(m, f, s, "content_block_start", &b);
    const char *type = block_type(f, kind);
    if (kind == BLOCK_RESULT)
        type = messages_write_result(f, ev, &result);
    buf_printf(&b, ",\"content_block\":{\"type\":\"%s\"", type);
    if (m->stamps)
        stamp(&b, "start_timestamp", ev->unix_ms);
    if (kind == BLOCK_TEXT) {
        buf_c(&b, m->stamps ? ",\"text\":\"\"" : ",\"text\":\"\",\"citations\":null");
    } else if (kind == BLOCK_THINKING) {
        buf_c(&b, ",\"thinking\":\"\"");
        write_signature(m, f, s->index, &b);
        buf_c(&b, m->stamps ? ",\"citations\":[]" : "");
    } else if (kind == BLOCK_SERVER_CALL) {
        messages_write_server_id(f, "id", ev->id, &b);
        key(&b, "name", ev->name);
        buf_c(&b, ",\"input\":{}");
    } else if (kind == BLOCK_RESULT) {
        buf_str(&b, buf_as_str(&result));
    } else {
        write_id(m, f, s->n_calls++, &b);
        key(&b, "name", ev->name);
        buf_c(&b, m->stamps ? ",\"input\":{}" : ",\"input\":{},\"caller\":{\"type\":\"direct\"}");
    }
    buf_c(&b, "}}");
    frame("content_block_start", &b, out);
    buf_free(&b);
    buf_free(&result);
}

static void end_message(const struct manner *m, const struct talk_facts *f, const struct state *s,
                        const struct chat_usage *usage, bool cancelled, struct buf *out)
{
    struct buf b = BUF_INIT(16384);
    buf_c(&b, "{\"type\":\"message_delta\",\"delta\":{");
    write_stop(m, f, s, cancelled, &b);
    buf_c(&b,
          m->stamps ? "},\"usage\":{" : ",\"stop_details\":null,\"container\":null},\"usage\":{");
    write_counts(m, usage, &b);
    if (!m->stamps)
        write_details(usage, &b);
    buf_c(&b, "}}");
    frame("message_delta", &b, out);
    http_sse_frame(out, "message_stop", STR("{\"type\":\"message_stop\"}"));
    buf_free(&b);
}

static void fail(const struct manner *m, const struct talk_facts *f, struct state *s,
                 const struct chat_event *ev, struct buf *out)
{
    struct buf b = BUF_INIT(16384);
    bool cancelled = m->stamps && ev->error->code == ERR_CANCELED;
    if (m->stamps)
        start_message(m, f, s, 0, out);
    close_block(m, f, s, ev->unix_ms, true, out);
    if (cancelled) {
        struct chat_usage usage = {.n_prompt = s->n_prompt, .n_output = s->n_output};
        end_message(m, f, s, &usage, true, out);
        return;
    }
    if (m->stamps)
        zylon_error(ev->error, f->id, &b);
    else
        anthropic_error(ev->error, NULL, &b);
    frame("error", &b, out);
    buf_free(&b);
}

static void event(const struct manner *m, const struct talk_facts *f, struct state *s,
                  const struct chat_event *ev, struct buf *out)
{
    bool ours = ev->choice == 0; // of a run that was begun elsewhere with more
    if ((ev->what == CHAT_TEXT || ev->what == CHAT_REASONING) && ours)
        s->n_output += (size_t)ev->n_tokens;
    switch (ev->what) {
    case CHAT_WAITING:
    case CHAT_PROGRESS: break;
    case CHAT_SERVER_CALL:
        open_block(m, f, s, BLOCK_SERVER_CALL, ev, out);
        buf_str(&s->input, ev->text);
        close_block(m, f, s, ev->unix_ms, false, out);
        break;
    case CHAT_SERVER_ASK:
    case CHAT_SERVER_PROGRESS: calls_report(ev, out); break;
    case CHAT_SERVER_RESULT:
        open_block(m, f, s, BLOCK_RESULT, ev, out);
        close_block(m, f, s, ev->unix_ms, false, out);
        break;
    case CHAT_STARTED: start_message(m, f, s, ev->usage.n_prompt, out); break;
    case CHAT_TEXT:
        if (!ours || ev->text.n == 0)
            break;
        open_block(m, f, s, BLOCK_TEXT, ev, out);
        delta(m, f, s, "text_delta", "text", ev->text, NULL, out);
        break;
    case CHAT_REASONING:
        if (!ours || ev->text.n == 0)
            break;
        open_block(m, f, s, BLOCK_THINKING, ev, out);
        delta(m, f, s, "thinking_delta", "thinking", ev->text, NULL, out);
        break;
    case CHAT_CALL:
        if (ours)
            open_block(m, f, s, BLOCK_CALL, ev, out);
        break;
    case CHAT_ARGUMENTS:
        if (!ours || s->open != BLOCK_CALL)
            break;
        if (m->whole_input)
            buf_str(&s->input, ev->text);
        else
            delta(m, f, s, "input_json_delta", "partial_json", ev->text, NULL, out);
        break;
    case CHAT_FINISHED:
        if (!ours)
            break;
        close_block(m, f, s, ev->unix_ms, false, out);
        s->finish = ev->finish;
        s->stop = ev->text;
        s->n_answer = ev->n_tokens;
        break;
    case CHAT_COMPLETED:
        start_message(m, f, s, ev->usage.n_prompt, out);
        end_message(m, f, s, &ev->usage, false, out);
        break;
    case CHAT_FAILED: fail(m, f, s, ev, out); break;
    }
}

/* Whole answers: the same blocks, folded. */

struct fold {
    const struct manner *m;
    const struct talk_facts *f;
    struct state s;
    struct buf text, name;
    const struct chat_event *ev; // of a server's call or result
    int64_t began_ms;
    struct buf *out;
};

static void fold_input(struct fold *x)
{
    struct err e;
    str text = str_trim(buf_as_str(&x->text));
    json_t *input = text.n ? json_parse(text, &e) : NULL;
    buf_c(x->out, ",\"input\":");
    if (!json_is_object(input) || !json_write(x->out, input, JSON_PLAIN, -1))
        buf_c(x->out, "{}");
    json_decref(input);
    if (!x->m->stamps)
        buf_c(x->out, ",\"caller\":{\"type\":\"direct\"}");
}

static void fold_end(struct fold *x, int64_t unix_ms)
{
    struct state *s = &x->s;
    struct buf result = BUF_INIT(ANSWER_MAX);
    if (s->open == BLOCK_NONE)
        return;
    const char *type = block_type(x->f, s->open);
    if (s->open == BLOCK_RESULT)
        type = messages_write_result(x->f, x->ev, &result);
    buf_printf(x->out, "%s{\"type\":\"%s\"", s->index ? "," : "", type);
    if (x->m->stamps) {
        stamp(x->out, "start_timestamp", x->began_ms);
        stamp(x->out, "stop_timestamp", unix_ms);
    }
    if (s->open == BLOCK_TEXT) {
        key(x->out, "text", buf_as_str(&x->text));
        buf_c(x->out, x->m->stamps ? "" : ",\"citations\":null");
    } else if (s->open == BLOCK_THINKING) {
        key(x->out, "thinking", buf_as_str(&x->text));
        write_signature(x->m, x->f, s->index, x->out);
        buf_c(x->out, x->m->stamps ? ",\"citations\":[]" : "");
    } else if (s->open == BLOCK_SERVER_CALL) {
        messages_write_server_id(x->f, "id", x->ev->id, x->out);
        key(x->out, "name", x->ev->name);
        fold_input(x);
    } else if (s->open == BLOCK_RESULT) {
        buf_str(x->out, buf_as_str(&result));
    } else {
        write_id(x->m, x->f, s->n_calls++, x->out);
        key(x->out, "name", buf_as_str(&x->name));
        fold_input(x);
    }
    buf_c(x->out, "}");
    buf_free(&result);
    buf_clear(&x->text);
    s->open = BLOCK_NONE;
    s->index++;
}

static void fold_begin(struct fold *x, enum block kind, const struct chat_event *ev)
{
    if (x->s.open == kind && (kind == BLOCK_TEXT || kind == BLOCK_THINKING))
        return;
    fold_end(x, ev->unix_ms);
    x->s.open = kind;
    x->ev = ev;
    x->began_ms = ev->unix_ms;
    buf_clear(&x->name);
    buf_str(&x->name, ev->name);
}

static void fold_event(struct fold *x, const struct chat_event *ev)
{
    if (ev->choice != 0)
        return;
    if (ev->what == CHAT_TEXT && ev->text.n)
        fold_begin(x, BLOCK_TEXT, ev);
    else if (ev->what == CHAT_REASONING && ev->text.n)
        fold_begin(x, BLOCK_THINKING, ev);
    else if (ev->what == CHAT_CALL)
        fold_begin(x, BLOCK_CALL, ev);
    else if (ev->what == CHAT_SERVER_CALL) {
        fold_begin(x, BLOCK_SERVER_CALL, ev);
        buf_str(&x->text, ev->text);
        fold_end(x, ev->unix_ms);
    } else if (ev->what == CHAT_SERVER_RESULT) {
        fold_begin(x, BLOCK_RESULT, ev);
        fold_end(x, ev->unix_ms);
    } else if (ev->what == CHAT_FINISHED) {
        fold_end(x, ev->unix_ms);
        x->s.finish = ev->finish;
        x->s.stop = ev->text;
        x->s.n_answer = ev->n_tokens;
    }
    bool text = ev->what == CHAT_TEXT || ev->what == CHAT_REASONING || ev->what == CHAT_ARGUMENTS;
    if (text && x->s.open != BLOCK_NONE)
        buf_str(&x->text, ev->text);
}

static void whole(const struct manner *m, const struct talk_facts *f, const struct run *run,
                  struct buf *out)
{
    struct fold x = {.m = m, .f = f, .out = out};
    struct chat_usage usage = {0};
    const struct chat_event *ev;
    buf_init(&x.text, ANSWER_MAX);
    buf_init(&x.name, ANSWER_MAX);
    write_head(f, out);
    if (!m->stamps)
        key(out, "model", str_c(f->model));
    buf_c(out, ",\"content\":[");
    for (size_t i = 0; (ev = run_event(run, i)); i++) {
        fold_event(&x, ev);
        if (ev->what == CHAT_COMPLETED)
            usage = ev->usage;
    }
    buf_c(out, "],");
    if (m->stamps) {
        buf_c(out, "\"model\":");
        json_write_str(out, str_c(f->model), JSON_PLAIN);
        buf_c(out, ",\"container\":null,\"stop_details\":null,");
        write_stop(m, f, &x.s, false, out);
        buf_c(out, ",");
    } else {
        write_stop(m, f, &x.s, false, out);
        buf_c(out, ",\"stop_details\":null,\"container\":null,\"diagnostics\":null,");
    }
    write_usage(m, &usage, out);
    buf_c(out, "}");
    buf_free(&x.text);
    buf_free(&x.name);
}

/* The two wires. */

/* The client's own id if it is one of a message; else one that is always the same for the run. */
static void message_name(char out[ID_MAX], const struct run *run)
{
    str alias = run_alias(run);
    char hex[MESSAGES_HEX];
    if (str_starts(alias, STR("msg_")) && alias.n < ID_MAX) {
        snprintf(out, ID_MAX, "%.*s", STR_ARG(alias));
        return;
    }
    messages_hex(hex, run_id(run), "message", 0);
    snprintf(out, ID_MAX, "msg_%s", hex);
}

#define PING "event: ping\ndata: {\"type\":\"ping\"}\n\n"

static void anthropic_event(const struct talk_facts *f, void *state, const struct chat_event *ev,
                            struct buf *out)
{
    event(&anthropic_manner, f, state, ev, out);
}

static void anthropic_whole(const struct talk_facts *f, const struct run *run, struct buf *out)
{
    whole(&anthropic_manner, f, run, out);
}

static int anthropic_plain_error(const struct err *e, struct buf *out)
{
    return anthropic_error(e, NULL, out);
}

/* Clients look for these words. */
static void anthropic_too_long(struct err *e, size_t n_prompt, size_t most)
{
    err_set_at(e, ERR_INPUT, "messages", "prompt is too long: %zu tokens > %zu maximum", n_prompt,
               most);
    err_kind(e, "context_length_exceeded");
}

const struct wire anthropic_wire = {
    .id_prefix = "msg_",
    .stream_type = "text/event-stream",
    .state_size = sizeof(struct state),
    .sse = true,
    .event = anthropic_event,
    .whole = anthropic_whole,
    .error = anthropic_plain_error,
    .error_for = anthropic_error,
    .name = message_name,
    .too_long = anthropic_too_long,
    .state_fini = fini,
    .keep_alive = PING,
};

static void zylon_event(const struct talk_facts *f, void *state, const struct chat_event *ev,
                        struct buf *out)
{
    event(&zylon_manner, f, state, ev, out);
}

static void zylon_whole(const struct talk_facts *f, const struct run *run, struct buf *out)
{
    whole(&zylon_manner, f, run, out);
}

static int zylon_plain_error(const struct err *e, struct buf *out)
{
    return zylon_error(e, NULL, out);
}

const struct wire zylon_wire = {
    .id_prefix = "msg_",
    .stream_type = "text/event-stream; charset=utf-8",
    .state_size = sizeof(struct state),
    .sse = true,
    .at_once = true,
    .event = zylon_event,
    .whole = zylon_whole,
    .error = zylon_plain_error,
    .error_for = zylon_error,
    .name = message_name,
    .state_fini = fini,
    .keep_alive = PING,
};
