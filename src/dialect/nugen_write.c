/* dialect/nugen_write.c - events as Nugen's chunks, runs as its answers, errors as its errors.
 * Pure. */
#include "dialect/dialect_int.h"

#include "http/sse.h"

/* "messages[0].role" as ["body","messages",0,"role"]. */
static void write_loc(str where, struct buf *out)
{
    str head;
    buf_c(out, "[\"body\"");
    while (str_cut(&where, '.', &head)) {
        ptrdiff_t open = str_chr(head, '[');
        str name = open < 0 ? head : str_sub(head, 0, (size_t)open);
        buf_char(out, ',');
        json_write_str(out, name, JSON_PLAIN);
        while (open >= 0) {
            str index = str_from(head, (size_t)open + 1);
            ptrdiff_t close = str_chr(index, ']');
            uint64_t i;
            if (close >= 0 && str_to_u64(str_sub(index, 0, (size_t)close), &i))
                buf_printf(out, ",%llu", (unsigned long long)i);
            head = index;
            open = str_chr(head, '[');
        }
    }
    buf_char(out, ']');
}

static void write_error(const char *type, const char *message, const char *param, const char *code,
                        struct buf *out)
{
    buf_c(out, "\"error\":{\"message\":");
    json_write_str(out, str_c(message), JSON_PLAIN);
    buf_printf(out, ",\"type\":\"%s\",\"param\":", type);
    if (param[0])
        json_write_str(out, str_c(param), JSON_PLAIN);
    else
        buf_c(out, "null");
    buf_printf(out, ",\"code\":\"%s\"}}", code);
}

void nugen_write_faults(const struct nugen_fault *faults, size_t n, struct buf *out)
{
    char message[sizeof faults->where + sizeof faults->msg + 16];
    buf_c(out, "{\"detail\":[");
    for (size_t i = 0; i < n; i++) {
        buf_c(out, i ? ",{\"loc\":" : "{\"loc\":");
        write_loc(str_c(faults[i].where), out);
        buf_c(out, ",\"msg\":");
        json_write_str(out, str_c(faults[i].msg), JSON_PLAIN);
        buf_printf(out, ",\"type\":\"%s\"}", faults[i].type);
    }
    buf_c(out, "],");
    snprintf(message, sizeof message, "body.%s: %s", faults[0].where, faults[0].msg);
    write_error("invalid_request_error", message, faults[0].where, "validation_error", out);
}

void nugen_too_long(struct err *e, size_t n_prompt, size_t most)
{
    err_set_at(e, ERR_INPUT, e->where,
               "prompt too long: %zu tokens, model maximum context length: %zu", n_prompt, most);
    err_kind(e, "context_length_exceeded");
}

static const struct {
    int status;
    const char *type, *code;
} by_code[] = {
    [ERR_NONE] = {500, "server_error", "server_error"},
    [ERR_INPUT] = {400, "invalid_request_error", "invalid_json"},
    [ERR_NOT_FOUND] = {404, "invalid_request_error", "not_found"},
    [ERR_DENIED] = {401, "invalid_request_error", "invalid_api_key"},
    [ERR_LIMIT] = {413, "invalid_request_error", "request_too_large"},
    [ERR_BUSY] = {429, "rate_limit_error", "rate_limited"},
    [ERR_TIMEOUT] = {504, "server_error", "timeout"},
    [ERR_CANCELED] = {503, "server_error", "unavailable"},
    [ERR_FORMAT] = {500, "server_error", "server_error"},
    [ERR_IO] = {500, "server_error", "server_error"},
    [ERR_INTERNAL] = {500, "server_error", "server_error"},
};

static const struct {
    const char *kind;
    int status;
    const char *code;
} by_kind[] = {
    {"unsupported_media_type", 415, "unsupported_media_type"},
    {"unsupported_content", 400, "unsupported_content"},
    {"context_length_exceeded", 400, "prompt_too_long"},
    {"model_not_found", 404, "model_not_found"},
};

int nugen_error(const struct err *e, struct buf *out)
{
    int status = by_code[e->code].status;
    const char *code = by_code[e->code].code;
    bool known = false;
    for (size_t i = 0; i < COUNT(by_kind); i++)
        if (strcmp(e->kind, by_kind[i].kind) == 0) {
            status = by_kind[i].status;
            code = by_kind[i].code;
            known = true;
        }
    if (e->code == ERR_INPUT && e->where[0] && !known) {
        struct nugen_fault fault = {.type = "value_error"};
        snprintf(fault.where, sizeof fault.where, "%s", e->where);
        snprintf(fault.msg, sizeof fault.msg, "%s", e->msg);
        nugen_write_faults(&fault, 1, out);
        return 422;
    }
    buf_c(out, "{\"detail\":");
    json_write_str(out, str_c(e->msg), JSON_PLAIN);
    buf_char(out, ',');
    write_error(by_code[e->code].type, e->msg, e->where, code, out);
    return status;
}

static const char *finish_name(enum chat_finish f)
{
    return f == CHAT_FINISH_LENGTH ? "length" : f == CHAT_FINISH_CALLS ? "tool_calls" : "stop";
}

static void write_head(const struct talk_facts *f, const char *object, struct buf *out)
{
    buf_c(out, "{\"id\":");
    json_write_str(out, str_c(f->id), JSON_PLAIN);
    buf_printf(out, ",\"object\":\"%s\",\"created\":%lld,\"model\":", object,
               (long long)f->created_unix);
    json_write_str(out, str_c(f->model), JSON_PLAIN);
    buf_c(out, ",\"choices\":[");
}

static void write_usage(const struct chat_usage *u, struct buf *out)
{
    buf_printf(out,
               ",\"usage\":{\"prompt_tokens\":%zu,\"completion_tokens\":%zu,\"total_tokens\":%zu}}",
               u->n_prompt, u->n_output, u->n_prompt + u->n_output);
}

/* Usage belongs into the chunk that ends the last choice, but is known only behind it: that chunk
 * waits. */
struct state {
    int n_finished, last_choice;
    enum chat_finish last;
};

/* One chunk with one choice; `text` NULL: its last, with the reason; usage NULL: not yet. */
static void chunk(const struct talk_facts *f, bool chat, int choice, const char *key,
                  const str *text, enum chat_finish finish, const struct chat_usage *usage,
                  struct buf *out)
{
    struct buf b = BUF_INIT(ANSWER_MAX);
    write_head(f, chat ? "chat.completion.chunk" : "text_completion", &b);
    buf_printf(&b, "{\"index\":%d,%s", choice, chat ? "\"delta\":{" : "");
    if (text) {
        buf_c(&b, key);
        json_write_str(&b, *text, JSON_PLAIN);
    } else if (!chat) {
        buf_c(&b, "\"text\":\"\"");
    }
    buf_c(&b, chat ? "},\"finish_reason\":" : ",\"finish_reason\":");
    if (text)
        buf_c(&b, "null}]");
    else
        buf_printf(&b, "\"%s\"}]", finish_name(finish));
    if (usage)
        write_usage(usage, &b);
    else
        buf_char(&b, '}');
    http_sse_frame(out, NULL, buf_as_str(&b));
    buf_free(&b);
}

static void call_chunk(const struct talk_facts *f, const struct chat_event *ev, struct buf *out)
{
    struct buf b = BUF_INIT(ANSWER_MAX);
    write_head(f, "chat.completion.chunk", &b);
    buf_printf(&b, "{\"index\":%d,\"delta\":{\"tool_calls\":[{\"index\":%d,", ev->choice, ev->call);
    if (ev->what == CHAT_CALL) {
        buf_c(&b, "\"id\":");
        json_write_str(&b, ev->text, JSON_PLAIN);
        buf_c(&b, ",\"type\":\"function\",\"function\":{\"name\":");
        json_write_str(&b, ev->name, JSON_PLAIN);
        buf_c(&b, ",\"arguments\":\"\"}");
    } else {
        buf_c(&b, "\"function\":{\"arguments\":");
        json_write_str(&b, ev->text, JSON_PLAIN);
        buf_char(&b, '}');
    }
    buf_c(&b, "}]},\"finish_reason\":null}]}");
    http_sse_frame(out, NULL, buf_as_str(&b));
    buf_free(&b);
}

static void event(const struct talk_facts *f, struct state *s, bool chat,
                  const struct chat_event *ev, struct buf *out)
{
    static const str empty = STR_INIT("");
    struct buf body = BUF_INIT(16384);
    switch (ev->what) {
    case CHAT_WAITING:
    case CHAT_PROGRESS:
    case CHAT_SERVER_CALL:
    case CHAT_SERVER_ASK:
    case CHAT_SERVER_PROGRESS:
    case CHAT_SERVER_RESULT: break;
    case CHAT_STARTED:
        for (int i = 0; chat && i < f->n_choices; i++)
            chunk(f, true, i, "\"role\":\"assistant\",\"content\":", &empty, 0, NULL, out);
        break;
    case CHAT_TEXT:
        chunk(f, chat, ev->choice, chat ? "\"content\":" : "\"text\":", &ev->text, 0, NULL, out);
        break;
    case CHAT_REASONING:
        if (chat && !f->hide_reasoning)
            chunk(f, true, ev->choice, "\"reasoning_content\":", &ev->text, 0, NULL, out);
        break;
    case CHAT_CALL:
    case CHAT_ARGUMENTS:
        if (chat)
            call_chunk(f, ev, out);
        break;
    case CHAT_FINISHED:
        if (++s->n_finished < f->n_choices) {
            chunk(f, chat, ev->choice, "", NULL, ev->finish, NULL, out);
        } else {
            s->last = ev->finish;
            s->last_choice = ev->choice;
        }
        break;
    case CHAT_COMPLETED:
        chunk(f, chat, s->last_choice, "", NULL, s->last, &ev->usage, out);
        buf_c(out, "data: [DONE]\n\n");
        break;
    case CHAT_FAILED:
        nugen_error(ev->error, &body);
        http_sse_frame(out, NULL, buf_as_str(&body));
        break;
    }
    buf_free(&body);
}

static void chat_event(const struct talk_facts *f, void *state, const struct chat_event *ev,
                       struct buf *out)
{
    event(f, state, true, ev, out);
}

static void completion_event(const struct talk_facts *f, void *state, const struct chat_event *ev,
                             struct buf *out)
{
    event(f, state, false, ev, out);
}

static void write_text(const struct run *run, enum chat_what what, int choice, struct buf *out)
{
    struct buf text = BUF_INIT(ANSWER_MAX);
    answer_text(run, what, choice, &text);
    json_write_str(out, buf_as_str(&text), JSON_PLAIN);
    buf_free(&text);
}

static bool has(const struct run *run, enum chat_what what, int choice)
{
    const struct chat_event *ev;
    for (size_t i = 0; (ev = run_event(run, i)); i++)
        if (ev->what == what && ev->choice == choice && ev->text.n)
            return true;
    return false;
}

static void write_message(const struct talk_facts *f, const struct run *run,
                          const struct calls *calls, int choice, struct buf *out)
{
    buf_c(out, "\"message\":{\"role\":\"assistant\",\"content\":");
    if (calls_has(calls, choice) && !has(run, CHAT_TEXT, choice))
        buf_c(out, "null"); // a text before the calls is told as its stream tells it
    else
        write_text(run, CHAT_TEXT, choice, out);
    if (!f->hide_reasoning && has(run, CHAT_REASONING, choice)) {
        buf_c(out, ",\"reasoning_content\":");
        write_text(run, CHAT_REASONING, choice, out);
    }
    if (calls_has(calls, choice)) {
        buf_c(out, ",\"tool_calls\":");
        calls_write(calls, choice, out);
    }
    buf_char(out, '}');
}

static void whole(const struct talk_facts *f, const struct run *run, bool chat, struct buf *out)
{
    struct calls calls = {0};
    struct chat_usage usage = answer_usage(run);
    calls_add_run(&calls, run);
    write_head(f, chat ? "chat.completion" : "text_completion", out);
    for (int i = 0; i < f->n_choices; i++) {
        const struct chat_event *end = answer_finish(run, i);
        buf_printf(out, "%s{\"index\":%d,", i ? "," : "", i);
        if (chat) {
            write_message(f, run, &calls, i, out);
        } else {
            buf_c(out, "\"text\":");
            write_text(run, CHAT_TEXT, i, out);
        }
        buf_printf(out, ",\"finish_reason\":\"%s\"}",
                   finish_name(end ? end->finish : CHAT_FINISH_END));
    }
    buf_char(out, ']');
    write_usage(&usage, out);
    calls_fini(&calls);
}

static void chat_whole(const struct talk_facts *f, const struct run *run, struct buf *out)
{
    whole(f, run, true, out);
}

static void completion_whole(const struct talk_facts *f, const struct run *run, struct buf *out)
{
    whole(f, run, false, out);
}

#define NUGEN(on_event, on_whole)                                                                  \
    {                                                                                              \
        .id_prefix = "nugen-", .stream_type = "text/event-stream; charset=utf-8",                  \
        .state_size = sizeof(struct state), .sse = true, .event = on_event, .whole = on_whole,     \
        .error = nugen_error, .too_long = nugen_too_long, .keep_alive = ":\n\n"                    \
    }

const struct wire nugen_chat_wire = NUGEN(chat_event, chat_whole);
const struct wire nugen_completion_wire = NUGEN(completion_event, completion_whole);
