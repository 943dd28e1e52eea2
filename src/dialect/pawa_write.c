/* dialect/pawa_write.c - events as Pawa AI's chunks, runs as its answers, errors as its errors.
 * Pure.
 *
 * Each object stands on one line with an empty line behind it, as its clients read line by line;
 * they would trip over comments and other fields of server-sent events. */
#include "dialect/dialect_int.h"

struct state {
    bool sse, finished;
    enum chat_finish finish;
    int32_t token;
    str stop;
    size_t n_prompt, n_output;
    struct calls calls;
};

static const struct {
    int status;
    const char *code;
} by_code[] = {
    [ERR_NONE] = {500, "internal"},       [ERR_INPUT] = {400, "invalid_request"},
    [ERR_NOT_FOUND] = {404, "not_found"}, [ERR_DENIED] = {401, "unauthorized"},
    [ERR_LIMIT] = {413, "too_large"},     [ERR_BUSY] = {503, "unavailable"},
    [ERR_TIMEOUT] = {503, "unavailable"}, [ERR_CANCELED] = {503, "unavailable"},
    [ERR_FORMAT] = {500, "internal"},     [ERR_IO] = {500, "internal"},
    [ERR_INTERNAL] = {500, "internal"},
};

static const struct {
    const char *kind, *code;
} by_kind[] = {
    {"role_order", "role_order"},
    {"context_length_exceeded", "prompt_too_long"},
    {"unsupported_value", "unsupported"},
    {"unsupported_content", "unsupported"},
};

int pawa_error(const struct err *e, struct buf *out)
{
    const char *code = by_code[e->code].code;
    for (size_t i = 0; i < COUNT(by_kind); i++)
        if (strcmp(e->kind, by_kind[i].kind) == 0)
            code = by_kind[i].code;
    buf_c(out, "{\"success\":false,\"message\":");
    json_write_str(out, str_c(e->msg), JSON_PLAIN);
    buf_printf(out, ",\"code\":\"%s\",\"data\":null}", code);
    return by_code[e->code].status;
}

static void put_line(const struct state *s, const struct buf *line, struct buf *out)
{
    buf_c(out, s->sse ? "data: " : "");
    buf_str(out, buf_as_str(line));
    buf_c(out, "\n\n");
}

/* {"role":"assistant","content":...}; content first, what belongs beside it by key. */
static void write_message(str content, const char *key, str more, struct buf *out)
{
    buf_c(out, "{\"role\":\"assistant\",\"content\":");
    json_write_str(out, content, JSON_PLAIN);
    if (key) {
        buf_c(out, key);
        json_write_str(out, more, JSON_PLAIN);
    }
    buf_char(out, '}');
}

static void write_chunk_head(struct buf *b)
{
    buf_c(b, "{\"success\":true,\"message\":\"Chunk completions generated successfully\",\"data\":{"
             "\"id\":null,\"conversationId\":null,\"feedback\":null,\"message\":");
}

static void write_chunk_middle(struct buf *b)
{
    buf_c(b, ",\"status\":null,\"createdAt\":null,\"updatedAt\":null,\"request\":[");
}

static void delta(const struct state *s, str content, const char *key, str more, struct buf *out)
{
    struct buf b = BUF_INIT(ANSWER_MAX);
    write_chunk_head(&b);
    write_message(content, key, more, &b);
    write_chunk_middle(&b);
    buf_c(&b, "{\"finish_reason\":null,\"message\":");
    write_message(content, key, more, &b);
    buf_c(&b, ",\"matched_stop\":null}]}}");
    put_line(s, &b, out);
    buf_free(&b);
}

/* What ended the text: the ending token's id, the stop text, or neither. */
static void write_end(bool finished, enum chat_finish finish, int32_t token, str stop,
                      struct buf *out)
{
    buf_c(out, ",\"matched_stop\":");
    if (finished && finish == CHAT_FINISH_END)
        buf_printf(out, "%d", token);
    else if (finished && finish == CHAT_FINISH_STOP)
        json_write_str(out, stop, JSON_PLAIN);
    else
        buf_c(out, "null");
    if (finished && finish == CHAT_FINISH_LENGTH)
        buf_c(out, ",\"finish_detail\":\"length\"");
    buf_char(out, '}');
}

static const char *finish_name(bool finished, enum chat_finish finish)
{
    return !finished ? "cancelled" : finish == CHAT_FINISH_CALLS ? "tool" : "stop";
}

static void write_usage(size_t n_prompt, size_t n_output, struct buf *out)
{
    buf_printf(out, "\"usage\":{\"tokens_in\":%zu,\"tokens_out\":%zu}}}", n_prompt, n_output);
}

static void last_chunk(const struct talk_facts *f, const struct state *s, size_t n_prompt,
                       size_t n_output, struct buf *out)
{
    struct buf b = BUF_INIT(ANSWER_MAX), message = BUF_INIT(ANSWER_MAX);
    buf_c(&message, "{\"role\":\"assistant\",\"content\":\"\"");
    if (s->calls.n) {
        buf_c(&message, ",\"tool_calls\":");
        calls_write(&s->calls, 0, &message);
    }
    buf_char(&message, '}');
    write_chunk_head(&b);
    buf_str(&b, buf_as_str(&message));
    write_chunk_middle(&b);
    buf_printf(&b, "{\"finish_reason\":\"%s\",\"message\":", finish_name(s->finished, s->finish));
    buf_str(&b, buf_as_str(&message));
    write_end(s->finished, s->finish, s->token, s->stop, &b);
    buf_c(&b, "],\"model\":");
    json_write_str(&b, str_c(f->model), JSON_PLAIN);
    buf_printf(&b, ",\"object\":\"chat.request\",\"created\":%lld,", (long long)f->created_unix);
    write_usage(n_prompt, n_output, &b);
    put_line(s, &b, out);
    if (s->sse)
        buf_c(out, "data: [DONE]\n\n");
    buf_free(&message);
    buf_free(&b);
}

static void failed(const struct talk_facts *f, const struct state *s, const struct chat_event *ev,
                   struct buf *out)
{
    struct buf b = BUF_INIT(8192);
    if (ev->error->code == ERR_CANCELED || ev->error->code == ERR_TIMEOUT) {
        last_chunk(f, s, s->n_prompt, s->n_output, out);
    } else {
        pawa_error(ev->error, &b);
        put_line(s, &b, out);
    }
    buf_free(&b);
}

static void event(const struct talk_facts *f, struct state *s, const struct chat_event *ev,
                  struct buf *out)
{
    if (ev->what != CHAT_COMPLETED && ev->what != CHAT_FAILED && ev->choice > 0)
        return; // this dialect has one answer
    if (ev->what != CHAT_FINISHED)
        s->n_output += (size_t)ev->n_tokens;
    calls_add(&s->calls, ev);
    switch (ev->what) {
    case CHAT_WAITING:
    case CHAT_PROGRESS:
    case CHAT_SERVER_CALL:
    case CHAT_SERVER_ASK:
    case CHAT_SERVER_PROGRESS:
    case CHAT_SERVER_RESULT: break;
    case CHAT_TEXT: delta(s, ev->text, NULL, STR(""), out); break;
    case CHAT_REASONING:
        if (!f->hide_reasoning)
            delta(s, STR(""), ",\"reasoning_content\":", ev->text, out);
        break;
    case CHAT_FINISHED:
        s->finished = true;
        s->finish = ev->finish;
        s->token = ev->token;
        s->stop = ev->text;
        break;
    case CHAT_COMPLETED: last_chunk(f, s, ev->usage.n_prompt, ev->usage.n_output, out); break;
    case CHAT_FAILED: failed(f, s, ev, out); break;
    case CHAT_STARTED: s->n_prompt = ev->usage.n_prompt; break;
    case CHAT_CALL:
    case CHAT_ARGUMENTS: break;
    }
}

static void line_event(const struct talk_facts *f, void *state, const struct chat_event *ev,
                       struct buf *out)
{
    event(f, state, ev, out);
}

static void sse_event(const struct talk_facts *f, void *state, const struct chat_event *ev,
                      struct buf *out)
{
    ((struct state *)state)->sse = true;
    event(f, state, ev, out);
}

static void state_fini(void *state)
{
    calls_fini(&((struct state *)state)->calls);
}

/* A string; with thinking to show, a list of a thinking chunk and a text chunk. */
static void write_content(const struct talk_facts *f, const struct run *run, struct buf *out)
{
    struct buf text = BUF_INIT(ANSWER_MAX), thinking = BUF_INIT(ANSWER_MAX);
    answer_text(run, CHAT_TEXT, 0, &text);
    if (!f->hide_reasoning)
        answer_text(run, CHAT_REASONING, 0, &thinking);
    if (thinking.n) {
        buf_c(out, "[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":");
        json_write_str(out, buf_as_str(&thinking), JSON_PLAIN);
        buf_c(out, "}]},{\"type\":\"text\",\"text\":");
        json_write_str(out, buf_as_str(&text), JSON_PLAIN);
        buf_c(out, "}]");
    } else {
        json_write_str(out, buf_as_str(&text), JSON_PLAIN);
    }
    buf_free(&text);
    buf_free(&thinking);
}

static void whole(const struct talk_facts *f, const struct run *run, struct buf *out)
{
    const struct chat_event *end = answer_finish(run, 0);
    struct chat_usage usage = answer_usage(run);
    struct calls calls = {0};
    calls_add_run(&calls, run);
    buf_c(out, "{\"success\":true,\"message\":\"Chat request processed successfully\",\"data\":{"
               "\"id\":");
    json_write_str(out, str_c(f->id), JSON_PLAIN);
    buf_printf(out,
               ",\"request\":[{\"finish_reason\":\"%s\",\"message\":{\"role\":\"assistant\","
               "\"content\":",
               finish_name(end, end ? end->finish : CHAT_FINISH_NONE));
    write_content(f, run, out);
    if (calls.n) {
        buf_c(out, ",\"tool_calls\":");
        calls_write(&calls, 0, out);
    }
    buf_char(out, '}');
    write_end(end, end ? end->finish : CHAT_FINISH_NONE, end ? end->token : -1,
              end ? end->text : STR(""), out);
    buf_printf(out, "],\"created\":%lld,\"model\":", (long long)f->created_unix);
    json_write_str(out, str_c(f->model), JSON_PLAIN);
    buf_c(out, ",\"object\":\"chat.request\",");
    write_usage(usage.n_prompt, usage.n_output, out);
    calls_fini(&calls);
}

#define PAWA(type, on_event)                                                                       \
    {                                                                                              \
        .id_prefix = "chat_", .stream_type = type, .state_size = sizeof(struct state),             \
        .tells_cancel = true, .event = on_event, .whole = whole, .error = pawa_error,              \
        .too_long = nugen_too_long, .state_fini = state_fini, .keep_alive = "\n"                   \
    }

const struct wire pawa_wire = PAWA("application/x-ndjson", line_event);
const struct wire pawa_sse_wire = PAWA("text/event-stream", sse_event);
