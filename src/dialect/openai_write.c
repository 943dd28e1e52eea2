/* dialect/openai_write.c - events as OpenAI's chunks, runs as its answers, errors as its errors.
 * Pure: what is written depends on the arguments alone. */
#include "dialect/logprobs.h"

#include "base/mem.h"

#include "http/sse.h"

void openai_error_body(struct buf *out, const char *type, const char *message, const char *param,
                       const char *code)
{
    buf_c(out, "{\"error\":{\"message\":");
    json_write_str(out, str_c(message), JSON_PLAIN);
    buf_c(out, ",\"type\":");
    json_write_str(out, str_c(type), JSON_PLAIN);
    buf_c(out, ",\"param\":");
    if (param && param[0])
        json_write_str(out, str_c(param), JSON_PLAIN);
    else
        buf_c(out, "null");
    buf_c(out, ",\"code\":");
    if (code && code[0])
        json_write_str(out, str_c(code), JSON_PLAIN);
    else
        buf_c(out, "null");
    buf_c(out, "}}");
}

static const struct {
    int status;
    const char *type, *code;
} by_code[] = {
    [ERR_NONE] = {500, "server_error", NULL},
    [ERR_INPUT] = {400, "invalid_request_error", NULL},
    [ERR_NOT_FOUND] = {404, "invalid_request_error", NULL},
    [ERR_DENIED] = {403, "permission_error", NULL},
    [ERR_LIMIT] = {400, "invalid_request_error", "limit_exceeded"},
    [ERR_BUSY] = {429, "rate_limit_error", "rate_limit_exceeded"},
    [ERR_TIMEOUT] = {504, "server_error", "timeout"},
    [ERR_CANCELED] = {503, "server_error", "cancelled"},
    [ERR_FORMAT] = {500, "server_error", NULL},
    [ERR_IO] = {500, "server_error", NULL},
    [ERR_INTERNAL] = {500, "server_error", NULL},
};

int openai_error(const struct err *e, struct buf *out)
{
    if (strcmp(e->kind, "store_unavailable") == 0) {
        openai_error_body(out, "server_error", e->msg, e->where, e->kind);
        return 503;
    }
    const char *code = e->kind[0] ? e->kind : by_code[e->code].code;
    openai_error_body(out, by_code[e->code].type, e->msg, e->where, code);
    return by_code[e->code].status;
}

static const char *finish_name(const struct talk_facts *f, enum chat_finish finish)
{
    if (finish == CHAT_FINISH_CALLS)
        return f->functions ? "function_call" : "tool_calls";
    return finish == CHAT_FINISH_LENGTH ? "length" : "stop";
}

static void write_usage(struct buf *out, const struct chat_usage *u)
{
    buf_printf(out,
               "{\"prompt_tokens\":%zu,\"completion_tokens\":%zu,\"total_tokens\":%zu,"
               "\"prompt_tokens_details\":{\"cached_tokens\":%zu},"
               "\"completion_tokens_details\":{\"reasoning_tokens\":%zu}}",
               u->n_prompt, u->n_output, u->n_prompt + u->n_output, u->n_cached, u->n_reasoning);
}

static void write_head(const struct talk_facts *f, const char *object, struct buf *out)
{
    buf_c(out, "{\"id\":");
    json_write_str(out, str_c(f->id), JSON_PLAIN);
    buf_printf(out, ",\"object\":\"%s\",\"created\":%lld,\"model\":", object,
               (long long)f->created_unix);
    json_write_str(out, str_c(f->model), JSON_PLAIN);
    buf_c(out, ",\"system_fingerprint\":");
    json_write_str(out, str_c(f->fingerprint), JSON_PLAIN);
}

static void write_text(const struct run *run, int choice, str before, struct buf *out)
{
    struct buf text = BUF_INIT(ANSWER_MAX);
    buf_str(&text, before);
    answer_text(run, CHAT_TEXT, choice, &text);
    json_write_str(out, buf_as_str(&text), JSON_PLAIN);
    buf_free(&text);
}

static const struct chat_event *finish_of(const struct run *run, int choice)
{
    const struct chat_event *ev, *found = NULL;
    for (size_t i = 0; (ev = run_event(run, i)); i++)
        if (ev->what == CHAT_FINISHED && ev->choice == choice)
            found = ev;
    return found;
}

static const struct chat_usage *usage_of(const struct run *run)
{
    static const struct chat_usage none;
    const struct chat_event *ev, *found = NULL;
    for (size_t i = 0; (ev = run_event(run, i)); i++)
        if (ev->what == CHAT_COMPLETED)
            found = ev;
    return found ? &found->usage : &none;
}

static void event_failed(const struct chat_event *ev, struct buf *out)
{
    struct buf body = BUF_INIT(4096);
    openai_error(ev->error, &body);
    http_sse_frame(out, NULL, buf_as_str(&body));
    buf_free(&body);
}

static void end_chunk(const struct talk_facts *f, struct buf *chunk, struct buf *out)
{
    buf_c(chunk, f->include_usage ? ",\"usage\":null}" : "}");
    http_sse_frame(out, NULL, buf_as_str(chunk));
    buf_clear(chunk);
}

static void usage_chunk(const struct talk_facts *f, const char *object,
                        const struct chat_usage *usage, struct buf *chunk, struct buf *out)
{
    if (!f->include_usage)
        return;
    write_head(f, object, chunk);
    buf_c(chunk, ",\"choices\":[],\"usage\":");
    write_usage(chunk, usage);
    buf_c(chunk, "}");
    http_sse_frame(out, NULL, buf_as_str(chunk));
    buf_clear(chunk);
}

/* How far the prompt is, in the way of llama-server's return_progress. */
static void progress_chunk(const struct talk_facts *f, const char *object,
                           const struct chat_event *ev, struct buf *chunk, struct buf *out)
{
    if (!f->progress)
        return;
    write_head(f, object, chunk);
    buf_printf(chunk,
               ",\"choices\":[],\"prompt_progress\":{\"total\":%zu,\"cache\":0,\"processed\":%zu,"
               "\"time_ms\":%lld}",
               ev->usage.n_prompt, ev->position, (long long)(ev->unix_ms - f->created_ms));
    end_chunk(f, chunk, out);
}

/* Chat. */

#define CHAT_CHUNK "chat.completion.chunk"

/* ev carries the text, or is NULL. */
static void chat_delta(const struct talk_facts *f, int choice, const char *key,
                       const struct chat_event *ev, struct buf *chunk, struct buf *out)
{
    write_head(f, CHAT_CHUNK, chunk);
    buf_printf(chunk, ",\"service_tier\":\"default\",\"choices\":[{\"index\":%d,\"delta\":{%s",
               choice, key);
    if (ev)
        json_write_str(chunk, ev->text, JSON_PLAIN);
    buf_c(chunk, "},");
    if (ev)
        logprobs_chat_event(f, ev, true, chunk);
    else
        buf_c(chunk, "\"logprobs\":null");
    buf_c(chunk, ",\"finish_reason\":null}]");
    end_chunk(f, chunk, out);
}

/* One piece of a call: what is in `function` and in the older `function_call` alike. */
static void call_piece(const struct chat_event *ev, struct buf *chunk)
{
    bool begins = ev->what == CHAT_CALL;
    buf_c(chunk, begins ? "{\"name\":" : "{\"arguments\":");
    json_write_str(chunk, begins ? ev->name : ev->text, JSON_PLAIN);
    buf_c(chunk, begins ? ",\"arguments\":\"\"}" : "}");
}

static void call_delta(const struct talk_facts *f, const struct chat_event *ev, struct buf *chunk,
                       struct buf *out)
{
    write_head(f, CHAT_CHUNK, chunk);
    buf_printf(chunk, ",\"service_tier\":\"default\",\"choices\":[{\"index\":%d,\"delta\":{",
               ev->choice);
    if (f->functions) {
        buf_c(chunk, "\"function_call\":");
        call_piece(ev, chunk);
    } else {
        buf_printf(chunk, "\"tool_calls\":[{\"index\":%d,", ev->call);
        if (ev->what == CHAT_CALL) {
            buf_c(chunk, "\"id\":");
            json_write_str(chunk, ev->text, JSON_PLAIN);
            buf_c(chunk, ",\"type\":\"function\",");
        }
        buf_c(chunk, "\"function\":");
        call_piece(ev, chunk);
        buf_c(chunk, "}]");
    }
    buf_c(chunk, "},\"logprobs\":null,\"finish_reason\":null}]");
    end_chunk(f, chunk, out);
}

static void chat_event(const struct talk_facts *f, void *state, const struct chat_event *ev,
                       struct buf *out)
{
    struct buf chunk = BUF_INIT(ANSWER_MAX);
    (void)state;
    switch (ev->what) {
    case CHAT_PROGRESS: progress_chunk(f, CHAT_CHUNK, ev, &chunk, out); break;
    case CHAT_WAITING:
    case CHAT_SERVER_CALL:
    case CHAT_SERVER_ASK:
    case CHAT_SERVER_PROGRESS:
    case CHAT_SERVER_RESULT: break;
    case CHAT_STARTED:
        for (int i = 0; i < f->n_choices; i++)
            chat_delta(f, i, "\"role\":\"assistant\",\"content\":\"\"", NULL, &chunk, out);
        break;
    case CHAT_TEXT: chat_delta(f, ev->choice, "\"content\":", ev, &chunk, out); break;
    case CHAT_REASONING:
        if (!f->hide_reasoning)
            chat_delta(f, ev->choice, "\"reasoning_content\":", ev, &chunk, out);
        break;
    case CHAT_CALL:
    case CHAT_ARGUMENTS: call_delta(f, ev, &chunk, out); break;
    case CHAT_FINISHED:
        write_head(f, CHAT_CHUNK, &chunk);
        buf_printf(&chunk,
                   ",\"service_tier\":\"default\",\"choices\":[{\"index\":%d,\"delta\":{},"
                   "\"logprobs\":null,\"finish_reason\":\"%s\"}]",
                   ev->choice, finish_name(f, ev->finish));
        end_chunk(f, &chunk, out);
        break;
    case CHAT_COMPLETED:
        usage_chunk(f, CHAT_CHUNK, &ev->usage, &chunk, out);
        buf_c(out, "data: [DONE]\n\n");
        break;
    case CHAT_FAILED: event_failed(ev, out); break;
    }
    buf_free(&chunk);
}

/* Content is null where there are calls alone. */
static void write_message(const struct talk_facts *f, const struct run *run,
                          const struct calls *calls, int choice, struct buf *out)
{
    struct buf text = BUF_INIT(ANSWER_MAX), thinking = BUF_INIT(ANSWER_MAX);
    answer_text(run, CHAT_TEXT, choice, &text);
    answer_text(run, CHAT_REASONING, choice, &thinking);
    bool called = calls_has(calls, choice);
    buf_c(out, "{\"role\":\"assistant\",\"content\":");
    if (text.n == 0 && called)
        buf_c(out, "null");
    else
        json_write_str(out, buf_as_str(&text), JSON_PLAIN);
    buf_c(out, ",\"refusal\":null,\"annotations\":[]");
    if (thinking.n && !f->hide_reasoning) {
        buf_c(out, ",\"reasoning_content\":");
        json_write_str(out, buf_as_str(&thinking), JSON_PLAIN);
    }
    if (called) {
        buf_c(out, f->functions ? ",\"function_call\":" : ",\"tool_calls\":");
        if (f->functions)
            calls_write_function(calls, choice, out);
        else
            calls_write(calls, choice, out);
    }
    buf_char(out, '}');
    buf_free(&text);
    buf_free(&thinking);
}

static void chat_whole(const struct talk_facts *f, const struct run *run, struct buf *out)
{
    struct calls calls = {0};
    calls_add_run(&calls, run);
    write_head(f, "chat.completion", out);
    buf_c(out, ",\"choices\":[");
    for (int i = 0; i < f->n_choices; i++) {
        buf_printf(out, "%s{\"index\":%d,\"message\":", i ? "," : "", i);
        write_message(f, run, &calls, i, out);
        const struct chat_event *end = finish_of(run, i);
        buf_char(out, ',');
        logprobs_chat_whole(f, run, i, true, out);
        buf_printf(out, ",\"finish_reason\":\"%s\"}",
                   finish_name(f, end ? end->finish : CHAT_FINISH_STOP));
    }
    calls_fini(&calls);
    buf_c(out, "],\"usage\":");
    write_usage(out, usage_of(run));
    buf_c(out, ",\"service_tier\":\"default\"}");
}

const struct wire openai_chat_wire = {
    .id_prefix = "chatcmpl-",
    .stream_type = "text/event-stream",
    .sse = true,
    .event = chat_event,
    .whole = chat_whole,
    .error = openai_error,
    .keep_alive = ":\n\n",
};

/* Completions. */

static str echoed(const struct talk_facts *f, int choice)
{
    const struct chat_request *r = f->request;
    return f->echo ? r->prompts[choice / r->n_choices].text : STR("");
}

/* How many characters of each choice are on the wire. */
struct text_state {
    size_t *at; // [n_choices], or NULL
};

static void text_state_fini(void *state)
{
    struct text_state *s = state;
    mem_free(s->at);
}

/* ev: what carries the text, or NULL. */
static void text_chunk(const struct talk_facts *f, struct text_state *s, int choice, str text,
                       const struct chat_event *ev, const char *finish, struct buf *chunk,
                       struct buf *out)
{
    if (!s->at)
        s->at = mem_calloc((size_t)f->n_choices, sizeof *s->at);
    write_head(f, "text_completion", chunk);
    buf_printf(chunk, ",\"choices\":[{\"index\":%d,\"text\":", choice);
    json_write_str(chunk, text, JSON_PLAIN);
    buf_char(chunk, ',');
    if (ev) {
        logprobs_text_event(f, ev, &s->at[choice], chunk);
    } else {
        s->at[choice] += logprobs_characters(text);
        buf_c(chunk, "\"logprobs\":null");
    }
    buf_printf(chunk, ",\"finish_reason\":%s%s%s}]", finish ? "\"" : "", finish ? finish : "null",
               finish ? "\"" : "");
    end_chunk(f, chunk, out);
}

static void completion_event(const struct talk_facts *f, void *state, const struct chat_event *ev,
                             struct buf *out)
{
    struct buf chunk = BUF_INIT(ANSWER_MAX);
    switch (ev->what) {
    case CHAT_PROGRESS: progress_chunk(f, "text_completion", ev, &chunk, out); break;
    case CHAT_WAITING:
    case CHAT_SERVER_CALL:
    case CHAT_SERVER_ASK:
    case CHAT_SERVER_PROGRESS:
    case CHAT_SERVER_RESULT: break;
    case CHAT_STARTED:
        for (int i = 0; f->echo && i < f->n_choices; i++)
            text_chunk(f, state, i, echoed(f, i), NULL, NULL, &chunk, out);
        break;
    case CHAT_TEXT: text_chunk(f, state, ev->choice, ev->text, ev, NULL, &chunk, out); break;
    case CHAT_REASONING: // a completion's text is raw: no such events
    case CHAT_CALL:
    case CHAT_ARGUMENTS: break;
    case CHAT_FINISHED:
        text_chunk(f, state, ev->choice, STR(""), NULL, finish_name(f, ev->finish), &chunk, out);
        break;
    case CHAT_COMPLETED:
        usage_chunk(f, "text_completion", &ev->usage, &chunk, out);
        buf_c(out, "data: [DONE]\n\n");
        break;
    case CHAT_FAILED: event_failed(ev, out); break;
    }
    buf_free(&chunk);
}

static void completion_whole(const struct talk_facts *f, const struct run *run, struct buf *out)
{
    write_head(f, "text_completion", out);
    buf_c(out, ",\"choices\":[");
    for (int i = 0; i < f->n_choices; i++) {
        buf_printf(out, "%s{\"index\":%d,\"text\":", i ? "," : "", i);
        write_text(run, i, echoed(f, i), out);
        const struct chat_event *end = finish_of(run, i);
        buf_char(out, ',');
        logprobs_text_whole(f, run, i, logprobs_characters(echoed(f, i)), out);
        buf_printf(out, ",\"finish_reason\":\"%s\"}",
                   finish_name(f, end ? end->finish : CHAT_FINISH_STOP));
    }
    buf_c(out, "],\"usage\":");
    write_usage(out, usage_of(run));
    buf_c(out, "}");
}

const struct wire openai_completion_wire = {
    .id_prefix = "cmpl-",
    .stream_type = "text/event-stream",
    .state_size = sizeof(struct text_state),
    .sse = true,
    .event = completion_event,
    .whole = completion_whole,
    .error = openai_error,
    .state_fini = text_state_fini,
    .keep_alive = ":\n\n",
};
