/* dialect/friendli_write.c - events as FriendliAI's chunks, runs as its answers, its errors. Pure.
 *
 * The first delta carries the role with the first piece, never an empty text: its clients would
 * open a block for that. */
#include "dialect/friendli.h"
#include "dialect/logprobs.h"

#include "base/mem.h"
#include "http/sse.h"

static const struct {
    int status;
    const char *type, *code;
} by_code[] = {
    [ERR_NONE] = {500, "server_error", NULL},
    [ERR_INPUT] = {422, "invalid_request_error", NULL},
    [ERR_NOT_FOUND] = {404, "not_found_error", NULL},
    [ERR_DENIED] = {403, "permission_error", NULL},
    [ERR_LIMIT] = {413, "invalid_request_error", "limit_exceeded"},
    [ERR_BUSY] = {429, "rate_limit_exceeded", "queue_full"},
    [ERR_TIMEOUT] = {504, "timeout_error", "timeout"},
    [ERR_CANCELED] = {503, "overloaded_error", "cancelled"},
    [ERR_FORMAT] = {500, "server_error", NULL},
    [ERR_IO] = {500, "server_error", NULL},
    [ERR_INTERNAL] = {500, "server_error", NULL},
};

static int status_of(const struct err *e)
{
    static const struct {
        const char *kind;
        int status;
    } rows[] = {
        {"context_length_exceeded", 400},
        {"invalid_api_key", 401},
        {"method_not_allowed", 405},
        {"unsupported_media_type", 415},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        if (strcmp(e->kind, rows[i].kind) == 0)
            return rows[i].status;
    if (e->code == ERR_INPUT && !e->where[0] && !e->kind[0])
        return 400; // the body is no JSON object
    return by_code[e->code].status;
}

/* "messages[0].role" as ["body","messages",0,"role"]. */
static void write_loc(const char *where, struct buf *out)
{
    bool open = false; // an index follows
    buf_c(out, "[\"body\"");
    while (*where) {
        size_t n = strcspn(where, ".[]");
        if (n) {
            buf_char(out, ',');
            if (open)
                buf_str(out, (str){where, n});
            else
                json_write_str(out, (str){where, n}, JSON_PLAIN);
        }
        open = where[n] == '[';
        where += n + (where[n] != '\0');
    }
    buf_char(out, ']');
}

int friendli_error(const struct err *e, struct buf *out)
{
    const char *code = e->kind[0] ? e->kind : by_code[e->code].code;
    int status = status_of(e);
    struct buf body = BUF_INIT(ERROR_MAX);
    buf_c(out, "{\"message\":");
    json_write_str(out, str_c(e->msg), JSON_PLAIN);
    buf_char(out, ',');
    bool tool = strcmp(code ? code : "", "INVALID_PARAMETER") == 0 ||
                strcmp(code ? code : "", "UNKNOWN") == 0;
    openai_error_body(&body,
                      status == 401 ? "authentication_error"
                      : tool        ? "tool_execution_error"
                                    : by_code[e->code].type,
                      e->msg, e->where, code);
    buf_str(out, str_sub(buf_as_str(&body), 1, body.n - 2)); // without its braces
    buf_free(&body);
    if (status == 422) {
        buf_c(out, ",\"detail\":[{\"loc\":");
        write_loc(e->where, out);
        buf_c(out, ",\"msg\":");
        json_write_str(out, str_c(e->msg), JSON_PLAIN);
        buf_c(out, ",\"type\":\"value_error\"}]");
    }
    buf_char(out, '}');
    return status;
}

static const char *finish_name(enum chat_finish f)
{
    return f == CHAT_FINISH_LENGTH ? "length" : f == CHAT_FINISH_CALLS ? "tool_calls" : "stop";
}

/* The seed of a choice as the client gave it, or would have to. */
static long long seed_of(const struct talk_facts *f, int choice)
{
    const struct chat_request *r = f->request;
    uint64_t seed = r && r->seeds ? r->seeds[choice % r->n_choices] : f->seed + (uint64_t)choice;
    return (long long)seed;
}

/* What tools brought is counted once, whatever the turns behind it. */
static void write_usage(const struct chat_usage *u, struct buf *out)
{
    size_t n_prompt = u->n_once ? u->n_once : u->n_prompt;
    buf_printf(out,
               "{\"prompt_tokens\":%zu,\"completion_tokens\":%zu,\"total_tokens\":%zu,"
               "\"prompt_tokens_details\":{\"cached_tokens\":%zu}",
               n_prompt, u->n_output, n_prompt + u->n_output, size_min(u->n_cached, n_prompt));
    if (u->n_reasoning)
        buf_printf(out, ",\"completion_tokens_details\":{\"reasoning_tokens\":%zu}",
                   u->n_reasoning);
    buf_char(out, '}');
}

static void write_head(const struct talk_facts *f, const char *object, int64_t unix_ms,
                       struct buf *out)
{
    buf_c(out, "{\"id\":");
    json_write_str(out, str_c(f->id), JSON_PLAIN);
    buf_printf(out, ",\"object\":\"%s\",\"created\":%lld,\"model\":", object,
               (long long)(unix_ms ? unix_ms / 1000 : f->created_unix));
    json_write_str(out, str_c(f->model), JSON_PLAIN);
    buf_c(out, ",\"choices\":[");
}

/* A frame whose head and choice are written: what stands behind them. */
static void end_chunk(const struct talk_facts *f, struct buf *chunk, struct buf *out)
{
    buf_c(chunk, f->include_usage ? "],\"usage\":null}" : "]}");
    http_sse_frame(out, NULL, buf_as_str(chunk));
    buf_clear(chunk);
}

static void write_completed(const struct talk_facts *f, const char *object,
                            const struct chat_event *ev, struct buf *chunk, struct buf *out)
{
    if (f->include_usage) {
        write_head(f, object, ev->unix_ms, chunk);
        buf_c(chunk, "],\"usage\":");
        write_usage(&ev->usage, chunk);
        buf_c(chunk, "}");
        http_sse_frame(out, NULL, buf_as_str(chunk));
    }
    buf_c(out, "data: [DONE]\n\n");
}

static void write_failed(const struct chat_event *ev, struct buf *out)
{
    struct buf body = BUF_INIT(ERROR_MAX);
    friendli_error(ev->error, &body);
    http_sse_frame(out, NULL, buf_as_str(&body));
    buf_free(&body);
    buf_c(out, "data: [DONE]\n\n");
}

/* Chat. */

#define CHAT_CHUNK "chat.completion.chunk"

#define OPEN_MAX 16

struct chat_state {
    bool *told;                       // [n_choices]: the role is on the wire; NULL: of none
    struct chat_event open[OPEN_MAX]; // calls of the server's tools that have no result
    int n_open;
};

static void chat_state_fini(void *state)
{
    struct chat_state *s = state;
    mem_free(s->told);
}

static void write_call_delta(const struct chat_event *ev, struct buf *out)
{
    buf_printf(out, "\"tool_calls\":[{\"index\":%d,", ev->call);
    if (ev->what == CHAT_CALL) {
        buf_c(out, "\"id\":");
        json_write_str(out, ev->text, JSON_PLAIN);
        buf_c(out, ",\"type\":\"function\",\"function\":{\"name\":");
        json_write_str(out, ev->name, JSON_PLAIN);
        buf_c(out, ",\"arguments\":\"\"}");
    } else {
        buf_c(out, "\"type\":\"function\",\"function\":{\"arguments\":");
        json_write_str(out, ev->text, JSON_PLAIN);
        buf_c(out, "}");
    }
    buf_c(out, "}]");
}

static void chat_chunk(const struct talk_facts *f, struct chat_state *s,
                       const struct chat_event *ev, struct buf *chunk, struct buf *out)
{
    if (!s->told)
        s->told = mem_calloc((size_t)f->n_choices, sizeof *s->told);
    write_head(f, CHAT_CHUNK, ev->unix_ms, chunk);
    buf_printf(chunk, "{\"index\":%d,\"delta\":{", ev->choice);
    bool end = ev->what == CHAT_FINISHED;
    if (!s->told[ev->choice])
        buf_c(chunk, end ? "\"role\":\"assistant\"" : "\"role\":\"assistant\",");
    s->told[ev->choice] = true;
    if (ev->what == CHAT_TEXT || ev->what == CHAT_REASONING) {
        buf_c(chunk, ev->what == CHAT_TEXT ? "\"content\":" : "\"reasoning_content\":");
        json_write_str(chunk, ev->text, JSON_PLAIN);
    } else if (!end) {
        write_call_delta(ev, chunk);
    }
    if (end) {
        buf_printf(chunk, "},\"finish_reason\":\"%s\",\"logprobs\":null,\"seed\":%lld}",
                   finish_name(ev->finish), seed_of(f, ev->choice));
    } else {
        buf_c(chunk, "},\"finish_reason\":null,");
        logprobs_chat_event(f, ev, false, chunk);
        buf_char(chunk, '}');
    }
    end_chunk(f, chunk, out);
}

static void chat_event(const struct talk_facts *f, void *state, const struct chat_event *ev,
                       struct buf *out)
{
    struct buf chunk = BUF_INIT(ANSWER_MAX);
    switch (ev->what) {
    case CHAT_WAITING:
    case CHAT_PROGRESS:
    case CHAT_SERVER_CALL:
    case CHAT_SERVER_ASK:
    case CHAT_SERVER_PROGRESS:
    case CHAT_SERVER_RESULT: break;
    case CHAT_STARTED: break;
    case CHAT_TEXT:
        if (ev->text.n)
            chat_chunk(f, state, ev, &chunk, out);
        break;
    case CHAT_REASONING:
        if (ev->text.n && !f->hide_reasoning)
            chat_chunk(f, state, ev, &chunk, out);
        break;
    case CHAT_CALL:
    case CHAT_ARGUMENTS:
    case CHAT_FINISHED: chat_chunk(f, state, ev, &chunk, out); break;
    case CHAT_COMPLETED: write_completed(f, CHAT_CHUNK, ev, &chunk, out); break;
    case CHAT_FAILED: write_failed(ev, out); break;
    }
    buf_free(&chunk);
}

/* When the run's last event was. */
static int64_t ended_ms(const struct run *run)
{
    const struct chat_event *ev;
    int64_t ms = 0;
    for (size_t i = 0; (ev = run_event(run, i)); i++)
        ms = ev->unix_ms;
    return ms;
}

static void write_text(const struct run *run, enum chat_what what, int choice, const char *key,
                       bool needed, struct buf *out)
{
    struct buf text = BUF_INIT(ANSWER_MAX);
    answer_text(run, what, choice, &text);
    if (text.n || needed) {
        buf_c(out, key);
        json_write_str(out, buf_as_str(&text), JSON_PLAIN);
    }
    buf_free(&text);
}

static void write_message(const struct talk_facts *f, const struct run *run,
                          const struct calls *calls, int choice, struct buf *out)
{
    bool called = calls_has(calls, choice);
    buf_c(out, "{\"role\":\"assistant\"");
    if (!f->hide_reasoning)
        write_text(run, CHAT_REASONING, choice, ",\"reasoning_content\":", false, out);
    size_t before = out->n;
    write_text(run, CHAT_TEXT, choice, ",\"content\":", !called, out);
    if (out->n == before)
        buf_c(out, ",\"content\":null");
    if (called) {
        buf_c(out, ",\"tool_calls\":");
        calls_write(calls, choice, out);
    }
    buf_c(out, "}");
}

static void write_outcome(const struct talk_facts *f, const struct run *run, int choice, bool chat,
                          struct buf *out)
{
    const struct chat_event *end = answer_finish(run, choice);
    buf_printf(out, ",\"finish_reason\":\"%s\",",
               finish_name(end ? end->finish : CHAT_FINISH_STOP));
    if (chat)
        logprobs_chat_whole(f, run, choice, false, out);
    else
        logprobs_text_whole(f, run, choice, 0, out);
    buf_printf(out, ",\"seed\":%lld}", seed_of(f, choice));
}

static void end_whole(const struct run *run, struct buf *out)
{
    struct chat_usage usage = answer_usage(run);
    buf_c(out, "],\"usage\":");
    write_usage(&usage, out);
    buf_c(out, "}");
}

static void chat_whole(const struct talk_facts *f, const struct run *run, struct buf *out)
{
    struct calls calls = {0};
    calls_add_run(&calls, run);
    write_head(f, "chat.completion", ended_ms(run), out);
    for (int i = 0; i < f->n_choices; i++) {
        buf_printf(out, "%s{\"index\":%d,\"message\":", i ? "," : "", i);
        write_message(f, run, &calls, i, out);
        write_outcome(f, run, i, true, out);
    }
    end_whole(run, out);
    calls_fini(&calls);
}

/* Tools of the server. */

static void write_parameter(const char *name, const json_t *v, bool first, struct buf *out)
{
    struct buf text = BUF_INIT(ANSWER_MAX);
    if (json_is_string(v))
        buf_str(&text, json_as_str(v));
    else
        json_write(&text, v, JSON_PLAIN, -1);
    buf_c(out, first ? "{\"name\":" : ",{\"name\":");
    json_write_str(out, str_c(name), JSON_PLAIN);
    buf_c(out, ",\"value\":");
    json_write_str(out, buf_as_str(&text), JSON_PLAIN);
    buf_char(out, '}');
    buf_free(&text);
}

static void write_parameters(str arguments, struct buf *out)
{
    struct err e;
    json_t *args = json_parse(arguments, &e), *v;
    const char *name;
    bool first = true;
    buf_c(out, ",\"parameters\":[");
    json_object_foreach(args, name, v)
    {
        write_parameter(name, v, first, out);
        first = false;
    }
    buf_c(out, "],\"result\":");
    json_decref(args);
}

/* The result is a JSON text in a JSON string, as the vendor has it. */
static void write_result(str text, struct buf *out)
{
    struct buf inner = BUF_INIT(ANSWER_MAX);
    json_write_str(&inner, text, JSON_PLAIN);
    json_write_str(out, buf_as_str(&inner), JSON_PLAIN);
    buf_free(&inner);
}

/* Its clients check each of these keys. */
static void write_status(const struct chat_event *call, const struct chat_event *ev,
                         const char *status, struct buf *out)
{
    struct buf b = BUF_INIT(ANSWER_MAX);
    bool ended = ev->what == CHAT_SERVER_RESULT, failed = ended && ev->fault != CHAT_FAULT_NONE;
    buf_c(&b, "{\"tool_call_id\":");
    json_write_str(&b, call->id, JSON_PLAIN);
    buf_c(&b, ",\"name\":");
    json_write_str(&b, call->name, JSON_PLAIN);
    buf_printf(&b, ",\"status\":\"%s\"", status);
    write_parameters(call->text, &b);
    if (ended && !failed)
        write_result(ev->text, &b);
    else
        buf_c(&b, "null");
    buf_c(&b, ",\"files\":null,\"message\":null,\"error\":");
    if (failed) {
        buf_printf(&b, "{\"type\":\"%s\",\"msg\":",
                   ev->fault == CHAT_FAULT_ARGUMENTS ? "INVALID_PARAMETER" : "UNKNOWN");
        json_write_str(&b, ev->text, JSON_PLAIN);
        buf_char(&b, '}');
    } else {
        buf_c(&b, "null");
    }
    buf_printf(&b, ",\"usage\":null,\"timestamp\":%lld.%03d}", (long long)(ev->unix_ms / 1000),
               (int)(ev->unix_ms % 1000));
    http_sse_frame(out, "tool_status", buf_as_str(&b));
    buf_free(&b);
}

/* Frames of one call are not mixed with another's: the next is started when the one before it has
 * ended, which results do in the order of the calls. */
static void tools_event(const struct talk_facts *f, void *state, const struct chat_event *ev,
                        struct buf *out)
{
    struct chat_state *s = state;
    if (ev->what == CHAT_SERVER_CALL && s->n_open < OPEN_MAX) {
        s->open[s->n_open++] = *ev; // its texts live as long as the log
        if (s->n_open == 1)
            write_status(ev, ev, "STARTED", out);
    } else if ((ev->what == CHAT_SERVER_ASK || ev->what == CHAT_SERVER_PROGRESS) && s->n_open &&
               str_eq(ev->id, s->open[0].id)) {
        write_status(&s->open[0], ev, "UPDATING", out);
    } else if (ev->what == CHAT_SERVER_RESULT && s->n_open && str_eq(ev->id, s->open[0].id)) {
        write_status(&s->open[0], ev, ev->fault == CHAT_FAULT_NONE ? "ENDED" : "ERRORED", out);
        memmove(s->open, s->open + 1, (size_t)--s->n_open * sizeof *s->open);
        if (s->n_open)
            write_status(&s->open[0], &s->open[0], "STARTED", out);
    } else {
        chat_event(f, state, ev, out);
    }
}

/* An answer that a tool's failure ended before there was any text is an error. */
static bool tools_refuse(const struct run *run, struct err *e)
{
    const struct chat_event *ev, *failed = NULL;
    for (size_t i = 0; (ev = run_event(run, i)); i++) {
        if (ev->what == CHAT_SERVER_RESULT)
            failed = ev->fault != CHAT_FAULT_NONE ? ev : NULL;
        else if ((ev->what == CHAT_TEXT && ev->text.n) || ev->what == CHAT_CALL ||
                 (ev->what == CHAT_FINISHED && ev->finish != CHAT_FINISH_END))
            return false;
    }
    if (!failed)
        return false;
    char name[96];
    snprintf(name, sizeof name, "%.*s", STR_ARG(str_sub(failed->name, 0, 90)));
    err_set_at(e, ERR_INPUT, name, "%.*s", STR_ARG(str_sub(failed->text, 0, 400)));
    err_kind(e, failed->fault == CHAT_FAULT_ARGUMENTS ? "INVALID_PARAMETER" : "UNKNOWN");
    return true;
}

const struct wire friendli_chat_wire = {
    .id_prefix = "chatcmpl-",
    .stream_type = "text/event-stream",
    .state_size = sizeof(struct chat_state),
    .sse = true,
    .event = chat_event,
    .whole = chat_whole,
    .error = friendli_error,
    .state_fini = chat_state_fini,
    .keep_alive = ": keepalive\n\n",
};

const struct wire friendli_tools_wire = {
    .id_prefix = "chatcmpl-",
    .stream_type = "text/event-stream",
    .state_size = sizeof(struct chat_state),
    .sse = true,
    .event = tools_event,
    .whole = chat_whole,
    .refuse = tools_refuse,
    .error = friendli_error,
    .state_fini = chat_state_fini,
    .keep_alive = ": keepalive\n\n",
};

const struct wire friendli_quiet_wire = {
    .id_prefix = "chatcmpl-",
    .stream_type = "text/event-stream",
    .state_size = sizeof(struct chat_state),
    .sse = true,
    .event = chat_event,
    .whole = chat_whole,
    .refuse = tools_refuse,
    .error = friendli_error,
    .state_fini = chat_state_fini,
    .keep_alive = ": keepalive\n\n",
};

/* Completions. */

/* How many characters of each choice are on the wire. */
struct text_state {
    size_t *at; // [n_choices], or NULL
};

static void text_state_fini(void *state)
{
    struct text_state *s = state;
    mem_free(s->at);
}

/* `token` is one id: that of the last token behind the text; none or several are all in `tokens`.
 */
static void write_tokens(const struct chat_event *ev, struct buf *out)
{
    if (ev->what != CHAT_TEXT || !ev->tokens || ev->n_tokens == 0)
        return;
    buf_printf(out, ",\"token\":%d,\"tokens\":", ev->tokens[ev->n_tokens - 1].id);
    for (int i = 0; i < ev->n_tokens; i++)
        buf_printf(out, "%c%d", i ? ',' : '[', ev->tokens[i].id);
    buf_char(out, ']');
}

static void completion_event(const struct talk_facts *f, void *state, const struct chat_event *ev,
                             struct buf *out)
{
    struct buf chunk = BUF_INIT(ANSWER_MAX);
    struct text_state *s = state;
    if (!s->at)
        s->at = mem_calloc((size_t)f->n_choices, sizeof *s->at);
    if (ev->what == CHAT_TEXT || ev->what == CHAT_FINISHED) {
        write_head(f, "text_completion", ev->unix_ms, &chunk);
        buf_printf(&chunk, "{\"index\":%d,\"text\":", ev->choice);
        json_write_str(&chunk, ev->what == CHAT_TEXT ? ev->text : STR(""), JSON_PLAIN);
        write_tokens(ev, &chunk);
        if (ev->what == CHAT_FINISHED)
            buf_printf(&chunk, ",\"finish_reason\":\"%s\",", finish_name(ev->finish));
        else
            buf_c(&chunk, ",\"finish_reason\":null,");
        logprobs_text_event(f, ev, &s->at[ev->choice], &chunk);
        if (ev->what == CHAT_FINISHED)
            buf_printf(&chunk, ",\"seed\":%lld", seed_of(f, ev->choice));
        buf_char(&chunk, '}');
        end_chunk(f, &chunk, out);
    } else if (ev->what == CHAT_COMPLETED) {
        write_completed(f, "text_completion", ev, &chunk, out);
    } else if (ev->what == CHAT_FAILED) {
        write_failed(ev, out);
    }
    buf_free(&chunk);
}

static void completion_whole(const struct talk_facts *f, const struct run *run, struct buf *out)
{
    write_head(f, "text_completion", ended_ms(run), out);
    for (int i = 0; i < f->n_choices; i++) {
        buf_printf(out, "%s{\"index\":%d", i ? "," : "", i);
        write_text(run, CHAT_TEXT, i, ",\"text\":", true, out);
        buf_c(out, ",\"tokens\":");
        logprobs_ids(run, i, out);
        write_outcome(f, run, i, false, out);
    }
    end_whole(run, out);
}

const struct wire friendli_completion_wire = {
    .id_prefix = "cmpl-",
    .stream_type = "text/event-stream",
    .state_size = sizeof(struct text_state),
    .sse = true,
    .event = completion_event,
    .whole = completion_whole,
    .error = friendli_error,
    .state_fini = text_state_fini,
    .keep_alive = ": keepalive\n\n",
};
