/* dialect/responses_write.c - events as OpenAI's Responses events, a log as the response object.
 * Pure.
 *
 * An answer is a row of items (thinking, text, calls, and those that run here); each is opened by
 * its first event, grows, and is closed when another begins or the answer ends.  The same fold
 * makes the stream and the object: the object is what the fold has when the log is read to its end.
 */
#include "dialect/logprobs.h"
#include "dialect/responses.h"

#include "http/sse.h"

enum open { OPEN_NONE, OPEN_TEXT, OPEN_REASONING, OPEN_CALL };

#define MADE_MAX 16 // calls of one turn that run here

/* A call that runs here; its texts live as long as the log. */
struct made {
    struct chat_event call;
    int index; // of its item
};

struct state {
    bool begun;
    uint64_t n_frames; // the next sequence number
    enum open open;
    int n_items;                // begun; the open one is the last
    str call, name;             // of the open call; borrowed from the log
    struct buf text;            // of the open item
    struct buf logprobs;        // of its tokens, as JSON with commas between
    struct buf items;           // those that are closed, likewise
    struct made made[MADE_MAX]; // [n_made] whose results are to come, in this order
    int n_made;
    const char *status;
    enum chat_finish finish;
    const struct err *error; // borrowed from the log
    struct chat_usage usage;
    bool has_usage;
    int64_t ended_ms;
};

static const char *const item_prefix[] = {
    [OPEN_NONE] = "", [OPEN_TEXT] = "msg", [OPEN_REASONING] = "rs", [OPEN_CALL] = "fc"};

/* Items. */

static void write_item_id(const struct talk_facts *f, const struct state *s, struct buf *out)
{
    const char *own = strchr(f->id, '_');
    buf_printf(out, "\"%s_%s_%d\"", item_prefix[s->open], own ? own + 1 : f->id, s->n_items - 1);
}

static void write_logprobs(str entries, struct buf *out)
{
    buf_c(out, ",\"logprobs\":[");
    buf_str(out, entries);
    buf_char(out, ']');
}

static void write_part(const struct state *s, bool empty, struct buf *out)
{
    bool text = s->open == OPEN_TEXT;
    buf_printf(out, "{\"type\":\"%s\",\"text\":", text ? "output_text" : "reasoning_text");
    json_write_str(out, empty ? STR("") : buf_as_str(&s->text), JSON_PLAIN);
    buf_c(out, text ? ",\"annotations\":[]" : "");
    if (text)
        write_logprobs(empty ? STR("") : buf_as_str(&s->logprobs), out);
    buf_char(out, '}');
}

static void write_item(const struct talk_facts *f, const struct state *s, const char *status,
                       bool begins, struct buf *out)
{
    buf_c(out, "{\"id\":");
    write_item_id(f, s, out);
    switch (s->open) {
    case OPEN_TEXT:
        buf_printf(out, ",\"type\":\"message\",\"status\":\"%s\",\"role\":\"assistant\",", status);
        break;
    case OPEN_REASONING:
        buf_printf(out, ",\"type\":\"reasoning\",\"status\":\"%s\",\"summary\":[],", status);
        break;
    default:
        buf_printf(out, ",\"type\":\"function_call\",\"status\":\"%s\",\"call_id\":", status);
        json_write_str(out, s->call, JSON_PLAIN);
        buf_c(out, ",\"name\":");
        json_write_str(out, s->name, JSON_PLAIN);
        buf_c(out, ",\"arguments\":");
        json_write_str(out, begins ? STR("") : buf_as_str(&s->text), JSON_PLAIN);
        buf_char(out, '}');
        return;
    }
    buf_c(out, "\"content\":[");
    if (!begins)
        write_part(s, false, out);
    buf_c(out, "]}");
}

/* The response object. */

static void write_usage(const struct chat_usage *u, struct buf *out)
{
    buf_printf(out,
               "{\"input_tokens\":%zu,\"input_tokens_details\":{\"cached_tokens\":%zu,"
               "\"cache_write_tokens\":0},\"output_tokens\":%zu,\"output_tokens_details\":{"
               "\"reasoning_tokens\":%zu},\"total_tokens\":%zu}",
               u->n_prompt, u->n_cached, u->n_output, u->n_reasoning, u->n_prompt + u->n_output);
}

static void write_error(const struct err *e, struct buf *out)
{
    if (!e || e->code == ERR_CANCELED) {
        buf_c(out, "null");
        return;
    }
    const char *code = e->code == ERR_INPUT  ? "invalid_prompt"
                       : e->code == ERR_BUSY ? "rate_limit_exceeded"
                                             : "server_error";
    buf_printf(out, "{\"code\":\"%s\",\"message\":", code);
    json_write_str(out, str_c(e->msg), JSON_PLAIN);
    buf_char(out, '}');
}

/* What the body said; for a run that no such body began, what it would have meant. */
static void write_shown(const struct talk_facts *f, struct buf *out)
{
    const json_t *shown = responses_aside(f->request, "show");
    const char *key;
    json_t *v;
    if (!shown) {
        buf_c(out, ",\"instructions\":null,\"metadata\":{},\"parallel_tool_calls\":true,"
                   "\"temperature\":null,\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":null");
        return;
    }
    json_object_foreach((json_t *)shown, key, v)
    {
        buf_char(out, ',');
        json_write_str(out, str_c(key), JSON_PLAIN);
        buf_char(out, ':');
        json_write(out, v, JSON_PLAIN, -1);
    }
}

static void write_response(const struct talk_facts *f, const struct state *s, struct buf *out)
{
    bool complete = strcmp(s->status, "completed") == 0;
    buf_c(out, "{\"id\":");
    json_write_str(out, str_c(f->id), JSON_PLAIN);
    buf_printf(out, ",\"object\":\"response\",\"created_at\":%lld,\"status\":\"%s\"",
               (long long)f->created_unix, s->status);
    if (complete)
        buf_printf(out, ",\"completed_at\":%lld", (long long)(s->ended_ms / 1000));
    else
        buf_c(out, ",\"completed_at\":null");
    buf_c(out, ",\"error\":");
    write_error(s->error, out);
    buf_c(out, strcmp(s->status, "incomplete") == 0
                   ? ",\"incomplete_details\":{\"reason\":\"max_output_tokens\"}"
                   : ",\"incomplete_details\":null");
    buf_c(out, ",\"model\":");
    json_write_str(out, str_c(f->model), JSON_PLAIN);
    buf_c(out, ",\"output\":[");
    buf_str(out, buf_as_str(&s->items));
    buf_char(out, ']');
    write_shown(f, out);
    buf_c(out, ",\"usage\":");
    if (s->has_usage)
        write_usage(&s->usage, out);
    else
        buf_c(out, "null");
    buf_char(out, '}');
}

/* Frames: opened with the type and number, closed into out unless the client has it already. */

static void begin(const struct state *s, const char *type, struct buf *frame)
{
    buf_init(frame, ANSWER_MAX);
    buf_printf(frame, "{\"type\":\"%s\",\"sequence_number\":%llu", type,
               (unsigned long long)s->n_frames);
}

static void end(const struct talk_facts *f, struct state *s, const char *type, struct buf *frame,
                struct buf *out)
{
    buf_char(frame, '}');
    if (s->n_frames++ >= f->n_skip)
        http_sse_frame(out, type, buf_as_str(frame));
    out->full |= frame->full;
    buf_free(frame);
}

static void send_response(const struct talk_facts *f, struct state *s, const char *type,
                          struct buf *out)
{
    struct buf frame;
    begin(s, type, &frame);
    buf_c(&frame, ",\"response\":");
    write_response(f, s, &frame);
    end(f, s, type, &frame, out);
}

static void send_item(const struct talk_facts *f, struct state *s, const char *type,
                      const char *status, struct buf *out)
{
    struct buf frame;
    begin(s, type, &frame);
    buf_printf(&frame, ",\"output_index\":%d,\"item\":", s->n_items - 1);
    write_item(f, s, status, strcmp(status, "in_progress") == 0, &frame);
    end(f, s, type, &frame, out);
}

/* An event about the inside of the open item. */
static void begin_inner(const struct talk_facts *f, const struct state *s, const char *type,
                        struct buf *frame)
{
    begin(s, type, frame);
    buf_c(frame, ",\"item_id\":");
    write_item_id(f, s, frame);
    buf_printf(frame, ",\"output_index\":%d", s->n_items - 1);
    if (s->open != OPEN_CALL)
        buf_c(frame, ",\"content_index\":0");
}

static void send_part(const struct talk_facts *f, struct state *s, const char *type, bool empty,
                      struct buf *out)
{
    struct buf frame;
    begin_inner(f, s, type, &frame);
    buf_c(&frame, ",\"part\":");
    write_part(s, empty, &frame);
    end(f, s, type, &frame, out);
}

static const struct {
    const char *delta, *done, *key;
} inner[] = {
    [OPEN_TEXT] = {"response.output_text.delta", "response.output_text.done", "text"},
    [OPEN_REASONING] = {"response.reasoning_text.delta", "response.reasoning_text.done", "text"},
    [OPEN_CALL] = {"response.function_call_arguments.delta",
                   "response.function_call_arguments.done", "arguments"},
};

/* The entries of an event's tokens without their brackets. */
static void read_logprobs(const struct talk_facts *f, const struct chat_event *ev, struct buf *out)
{
    struct buf list = BUF_INIT(ANSWER_MAX);
    if (f->request && f->request->want_logprobs)
        logprobs_entries(ev, &list);
    if (list.n > 2)
        buf_str(out, str_sub(buf_as_str(&list), 1, list.n - 2));
    buf_free(&list);
}

static void send_delta(const struct talk_facts *f, struct state *s, const struct chat_event *ev,
                       struct buf *out)
{
    const char *type = inner[s->open].delta;
    struct buf frame, entries = BUF_INIT(ANSWER_MAX);
    str text = ev->text;
    if (text.n == 0)
        return;
    buf_str(&s->text, text);
    begin_inner(f, s, type, &frame);
    buf_c(&frame, ",\"delta\":");
    json_write_str(&frame, text, JSON_PLAIN);
    if (s->open == OPEN_TEXT) {
        read_logprobs(f, ev, &entries);
        write_logprobs(buf_as_str(&entries), &frame);
        if (s->logprobs.n && entries.n)
            buf_char(&s->logprobs, ',');
        buf_str(&s->logprobs, buf_as_str(&entries));
    }
    buf_free(&entries);
    end(f, s, type, &frame, out);
}

static void send_done(const struct talk_facts *f, struct state *s, struct buf *out)
{
    const char *type = inner[s->open].done;
    struct buf frame;
    begin_inner(f, s, type, &frame);
    if (s->open == OPEN_CALL) {
        buf_c(&frame, ",\"name\":");
        json_write_str(&frame, s->name, JSON_PLAIN);
    }
    buf_printf(&frame, ",\"%s\":", inner[s->open].key);
    json_write_str(&frame, buf_as_str(&s->text), JSON_PLAIN);
    if (s->open == OPEN_TEXT)
        write_logprobs(buf_as_str(&s->logprobs), &frame);
    end(f, s, type, &frame, out);
}

static void close_item(const struct talk_facts *f, struct state *s, const char *status,
                       struct buf *out)
{
    if (s->open == OPEN_NONE)
        return;
    send_done(f, s, out);
    if (s->open != OPEN_CALL)
        send_part(f, s, "response.content_part.done", false, out);
    send_item(f, s, "response.output_item.done", status, out);
    if (s->items.n)
        buf_char(&s->items, ',');
    write_item(f, s, status, false, &s->items);
    out->full |= s->items.full || s->text.full || s->logprobs.full;
    buf_clear(&s->text);
    buf_clear(&s->logprobs);
    s->open = OPEN_NONE;
}

/* Calls that run here.  They are whole when they are told; several may be open at once, and end in
 * their order. */

static void write_made_id(const struct talk_facts *f, const struct made *m, struct buf *out)
{
    const char *own = strchr(f->id, '_');
    buf_printf(out, "\"mcp_%s_%d\"", own ? own + 1 : f->id, m->index);
}

/* result: NULL while there is none. */
static void write_made(const struct talk_facts *f, const struct made *m, const char *status,
                       const struct chat_event *result, struct buf *out)
{
    bool failed = result && result->fault != CHAT_FAULT_NONE;
    buf_c(out, "{\"id\":");
    write_made_id(f, m, out);
    buf_printf(out, ",\"type\":\"mcp_call\",\"status\":\"%s\",\"server_label\":", status);
    json_write_str(out, m->call.server.n ? m->call.server : STR("confab"), JSON_PLAIN);
    buf_c(out, ",\"name\":");
    json_write_str(out, m->call.name, JSON_PLAIN);
    buf_c(out, ",\"arguments\":");
    json_write_str(out, m->call.text, JSON_PLAIN);
    buf_c(out, ",\"approval_request_id\":null,\"output\":");
    if (result && !failed)
        json_write_str(out, result->text, JSON_PLAIN);
    else
        buf_c(out, "null");
    buf_c(out, ",\"error\":");
    if (failed)
        json_write_str(out, result->text, JSON_PLAIN);
    else
        buf_c(out, "null");
    buf_char(out, '}');
}

static void send_made_item(const struct talk_facts *f, struct state *s, const struct made *m,
                           const char *type, const char *status, const struct chat_event *result,
                           struct buf *out)
{
    struct made shown = *m;
    struct buf frame;
    if (strcmp(type, "response.output_item.added") == 0)
        shown.call.text = STR("");
    begin(s, type, &frame);
    buf_printf(&frame, ",\"output_index\":%d,\"item\":", m->index);
    write_made(f, &shown, status, result, &frame);
    end(f, s, type, &frame, out);
}

/* An event about it; its arguments as the member `key`, unless that is NULL. */
static void send_made(const struct talk_facts *f, struct state *s, const struct made *m,
                      const char *type, const char *key, struct buf *out)
{
    struct buf frame;
    begin(s, type, &frame);
    buf_c(&frame, ",\"item_id\":");
    write_made_id(f, m, &frame);
    buf_printf(&frame, ",\"output_index\":%d", m->index);
    if (key) {
        buf_printf(&frame, ",\"%s\":", key);
        json_write_str(&frame, m->call.text, JSON_PLAIN);
    }
    end(f, s, type, &frame, out);
}

static void open_made(const struct talk_facts *f, struct state *s, const struct chat_event *ev,
                      struct buf *out)
{
    close_item(f, s, "completed", out);
    if (s->n_made == MADE_MAX)
        return;
    struct made *m = &s->made[s->n_made++];
    *m = (struct made){*ev, s->n_items++};
    send_made_item(f, s, m, "response.output_item.added", "in_progress", NULL, out);
    send_made(f, s, m, "response.mcp_call.in_progress", NULL, out);
    send_made(f, s, m, "response.mcp_call_arguments.delta", "delta", out);
    send_made(f, s, m, "response.mcp_call_arguments.done", "arguments", out);
}

static void add_made(const struct talk_facts *f, struct state *s, const struct made *m,
                     const char *status, const struct chat_event *result)
{
    if (s->items.n)
        buf_char(&s->items, ',');
    write_made(f, m, status, result, &s->items);
}

/* The first of them is done; result NULL: it never will be. */
static void close_made(const struct talk_facts *f, struct state *s, const struct chat_event *result,
                       struct buf *out)
{
    struct made m = s->made[0];
    const char *status = !result                            ? "incomplete"
                         : result->fault == CHAT_FAULT_NONE ? "completed"
                                                            : "failed";
    memmove(s->made, s->made + 1, (size_t)--s->n_made * sizeof *s->made);
    if (result)
        send_made(f, s, &m,
                  result->fault == CHAT_FAULT_NONE ? "response.mcp_call.completed"
                                                   : "response.mcp_call.failed",
                  NULL, out);
    send_made_item(f, s, &m, "response.output_item.done", status, result, out);
    add_made(f, s, &m, status, result);
    out->full |= s->items.full;
}

static void open_item(const struct talk_facts *f, struct state *s, enum open what, struct buf *out)
{
    if (s->open == what && what != OPEN_CALL)
        return;
    close_item(f, s, "completed", out);
    s->open = what;
    s->n_items++;
    send_item(f, s, "response.output_item.added", "in_progress", out);
    if (what != OPEN_CALL)
        send_part(f, s, "response.content_part.added", true, out);
}

/* The first event, whatever it is, tells of the response; the first that is no waiting, of its
 * being made. */
static void begin_response(const struct talk_facts *f, struct state *s, const struct chat_event *ev,
                           struct buf *out)
{
    bool waits = ev->what == CHAT_WAITING;
    if (!s->begun) {
        buf_init(&s->text, ANSWER_MAX);
        buf_init(&s->logprobs, ANSWER_MAX);
        buf_init(&s->items, ANSWER_MAX);
        s->status = waits ? "queued" : "in_progress";
        send_response(f, s, "response.created", out);
        send_response(f, s, waits ? "response.queued" : "response.in_progress", out);
    } else if (!waits && strcmp(s->status, "queued") == 0) {
        s->status = "in_progress";
        send_response(f, s, "response.in_progress", out);
    }
    s->begun = true;
}

static void complete(const struct talk_facts *f, struct state *s, const struct chat_event *ev,
                     struct buf *out)
{
    bool cut = s->finish == CHAT_FINISH_LENGTH;
    s->usage = ev->usage;
    s->has_usage = true;
    s->ended_ms = ev->unix_ms;
    s->status = cut ? "incomplete" : "completed";
    send_response(f, s, cut ? "response.incomplete" : "response.completed", out);
}

static void fail(const struct talk_facts *f, struct state *s, const struct chat_event *ev,
                 struct buf *out)
{
    close_item(f, s, "incomplete", out);
    while (s->n_made)
        close_made(f, s, NULL, out);
    s->error = ev->error;
    s->status = ev->error->code == ERR_CANCELED ? "cancelled" : "failed";
    send_response(f, s, "response.failed", out);
}

static void on_event(const struct talk_facts *f, void *state, const struct chat_event *ev,
                     struct buf *out)
{
    struct state *s = state;
    if (ev->choice > 0)
        return; // this dialect has one answer
    begin_response(f, s, ev, out);
    switch (ev->what) {
    case CHAT_WAITING:
    case CHAT_PROGRESS:
    case CHAT_STARTED: break;
    case CHAT_SERVER_CALL: open_made(f, s, ev, out); break;
    case CHAT_SERVER_ASK:
    case CHAT_SERVER_PROGRESS:
        if (s->n_frames >= f->n_skip)
            calls_report(ev, out);
        break;
    case CHAT_SERVER_RESULT:
        if (s->n_made && str_eq(ev->id, s->made[0].call.id))
            close_made(f, s, ev, out);
        break;
    case CHAT_TEXT:
    case CHAT_REASONING:
        if (ev->text.n == 0 || (ev->what == CHAT_REASONING && f->hide_reasoning))
            break;
        open_item(f, s, ev->what == CHAT_TEXT ? OPEN_TEXT : OPEN_REASONING, out);
        send_delta(f, s, ev, out);
        break;
    case CHAT_CALL:
        close_item(f, s, "completed", out);
        s->call = ev->text;
        s->name = ev->name;
        open_item(f, s, OPEN_CALL, out);
        break;
    case CHAT_ARGUMENTS:
        if (s->open == OPEN_CALL)
            send_delta(f, s, ev, out);
        break;
    case CHAT_FINISHED:
        s->finish = ev->finish;
        close_item(f, s, ev->finish == CHAT_FINISH_LENGTH ? "incomplete" : "completed", out);
        break;
    case CHAT_COMPLETED: complete(f, s, ev, out); break;
    case CHAT_FAILED: fail(f, s, ev, out); break;
    }
}

static void state_fini(void *state)
{
    struct state *s = state;
    buf_free(&s->text);
    buf_free(&s->logprobs);
    buf_free(&s->items);
}

/* The object as far as the log goes. */
static void whole(const struct talk_facts *f, const struct run *run, struct buf *out)
{
    struct state s = {.status = "queued"};
    struct buf frames = BUF_INIT(ANSWER_MAX);
    struct talk_facts all = *f;
    const struct chat_event *ev;
    all.n_skip = UINT64_MAX; // no frame is wanted
    for (size_t i = 0; (ev = run_event(run, i)); i++)
        on_event(&all, &s, ev, &frames);
    if (s.open != OPEN_NONE) { // still being made: shown as it stands
        if (s.items.n)
            buf_char(&s.items, ',');
        write_item(&all, &s, "in_progress", false, &s.items);
    }
    for (int i = 0; i < s.n_made; i++)
        add_made(&all, &s, &s.made[i], "in_progress", NULL);
    write_response(f, &s, out);
    out->full |= frames.full;
    buf_free(&frames);
    state_fini(&s);
}

const struct wire responses_wire = {
    .id_prefix = RESPONSES_PREFIX,
    .stream_type = "text/event-stream",
    .state_size = sizeof(struct state),
    .sse = true,
    .event = on_event,
    .whole = whole,
    .error = openai_error,
    .state_fini = state_fini,
    .keep_alive = ":\n\n",
};
