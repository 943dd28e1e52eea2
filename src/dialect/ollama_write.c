/* dialect/ollama_write.c - events as Ollama's lines, runs as its answers, errors as its errors.
 * Pure. */
#include "dialect/logprobs.h"
#include "dialect/ollama.h"

#include "base/clock.h"

#include <time.h>

struct state {
    int64_t started_ms; // the prompt was computed
    enum chat_finish finish;
    struct calls calls;
};

static void state_fini(void *state)
{
    struct state *s = state;
    calls_fini(&s->calls);
}

int ollama_error(const struct err *e, struct buf *out)
{
    static const int statuses[] = {
        [ERR_NONE] = 500,   [ERR_INPUT] = 400, [ERR_NOT_FOUND] = 404, [ERR_DENIED] = 403,
        [ERR_LIMIT] = 400,  [ERR_BUSY] = 429,  [ERR_TIMEOUT] = 500,   [ERR_CANCELED] = 500,
        [ERR_FORMAT] = 500, [ERR_IO] = 500,    [ERR_INTERNAL] = 500,
    };
    buf_c(out, "{\"error\":");
    json_write_str(out, str_c(e->msg), JSON_PLAIN);
    buf_char(out, '}');
    return statuses[e->code];
}

void ollama_write_time(int64_t unix_ms, struct buf *out)
{
    char when[40];
    struct tm tm;
    time_t t = (time_t)(unix_ms / 1000);
    gmtime_r(&t, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    buf_printf(out, "\"%s.%03d000Z\"", when, (int)(unix_ms % 1000));
}

static void write_head(const char *model, int64_t unix_ms, struct buf *out)
{
    buf_c(out, "{\"model\":");
    json_write_str(out, str_c(model), JSON_PLAIN);
    buf_c(out, ",\"created_at\":");
    ollama_write_time(unix_ms, out);
}

static int64_t when(const struct talk_facts *f, const struct chat_event *ev)
{
    return ev && ev->unix_ms ? ev->unix_ms : f->created_unix * 1000;
}

/* Arguments are an object here; text that is none stays text. */
static void write_calls(const struct calls *c, struct buf *out)
{
    buf_c(out, ",\"tool_calls\":[");
    for (size_t i = 0; i < c->n; i++) {
        str text = buf_as_str(&c->list[i].arguments);
        struct err e;
        json_t *v = json_parse(text, &e);
        buf_c(out, i ? ",{\"id\":" : "{\"id\":");
        json_write_str(out, c->list[i].id, JSON_PLAIN);
        buf_printf(out, ",\"function\":{\"index\":%zu,\"name\":", i);
        json_write_str(out, c->list[i].name, JSON_PLAIN);
        buf_c(out, ",\"arguments\":");
        if (json_is_object(v))
            buf_str(out, text);
        else
            json_write_str(out, text, JSON_PLAIN);
        buf_c(out, "}}");
        json_decref(v);
    }
    buf_char(out, ']');
}

/* The answer's part of a line: a message, or a response with its thinking beside it. */
static void write_answer(bool chat, str text, str thinking, const struct calls *calls,
                         struct buf *out)
{
    buf_c(out, chat ? ",\"message\":{\"role\":\"assistant\",\"content\":" : ",\"response\":");
    json_write_str(out, text, JSON_PLAIN);
    if (thinking.n) {
        buf_c(out, ",\"thinking\":");
        json_write_str(out, thinking, JSON_PLAIN);
    }
    if (chat && calls && calls->n)
        write_calls(calls, out);
    if (chat)
        buf_char(out, '}');
}

static long long ns(int64_t from_ms, int64_t to_ms)
{
    return to_ms > from_ms ? (long long)(to_ms - from_ms) * 1000000 : 0;
}

static void write_end(const struct talk_facts *f, const struct state *s,
                      const struct chat_event *last, struct buf *out)
{
    buf_printf(out,
               ",\"done\":true,\"done_reason\":\"%s\",\"total_duration\":%lld,\"load_duration\":0,"
               "\"prompt_eval_count\":%zu,\"prompt_eval_duration\":%lld,\"eval_count\":%zu,"
               "\"eval_duration\":%lld}",
               s->finish == CHAT_FINISH_LENGTH ? "length" : "stop",
               ns(f->created_ms, last->unix_ms), last->usage.n_prompt,
               ns(f->created_ms, s->started_ms), last->usage.n_output,
               ns(s->started_ms, last->unix_ms));
}

void ollama_write_loaded(const char *model, bool chat, const char *why, struct buf *out)
{
    write_head(model, clock_unix_ms(), out);
    write_answer(chat, STR(""), STR(""), NULL, out);
    buf_printf(out, ",\"done\":true,\"done_reason\":\"%s\"}\n", why);
}

static void note(struct state *s, const struct chat_event *ev)
{
    if (ev->what == CHAT_STARTED)
        s->started_ms = ev->unix_ms;
    if (ev->what == CHAT_FINISHED)
        s->finish = ev->finish;
    calls_add(&s->calls, ev);
}

static void line(const struct talk_facts *f, struct state *s, const struct chat_event *ev,
                 bool chat, struct buf *out)
{
    str none = STR("");
    note(s, ev);
    if (ev->what == CHAT_FAILED) {
        ollama_error(ev->error, out);
        buf_char(out, '\n');
        return;
    }
    bool text = ev->what == CHAT_TEXT && ev->text.n;
    bool thinking = ev->what == CHAT_REASONING && ev->text.n;
    bool called = ev->what == CHAT_FINISHED && s->calls.n;
    if (!text && !thinking && !called && ev->what != CHAT_COMPLETED)
        return;
    write_head(f->model, when(f, ev), out);
    write_answer(chat, text ? ev->text : none, thinking ? ev->text : none,
                 called ? &s->calls : NULL, out);
    if (text && f->request && f->request->want_logprobs) {
        buf_c(out, ",\"logprobs\":");
        logprobs_entries(ev, out);
    }
    if (ev->what == CHAT_COMPLETED)
        write_end(f, s, ev, out);
    else
        buf_c(out, ",\"done\":false}");
    buf_char(out, '\n');
}

static void chat_line(const struct talk_facts *f, void *state, const struct chat_event *ev,
                      struct buf *out)
{
    line(f, state, ev, true, out);
}

static void generate_line(const struct talk_facts *f, void *state, const struct chat_event *ev,
                          struct buf *out)
{
    line(f, state, ev, false, out);
}

static void whole(const struct talk_facts *f, const struct run *run, bool chat, struct buf *out)
{
    struct state s = {0};
    struct buf text = BUF_INIT(ANSWER_MAX), thinking = BUF_INIT(ANSWER_MAX);
    const struct chat_event *ev, *last = NULL;
    for (size_t i = 0; (ev = run_event(run, i)); i++) {
        note(&s, ev);
        last = ev;
    }
    answer_text(run, CHAT_TEXT, 0, &text);
    answer_text(run, CHAT_REASONING, 0, &thinking);
    write_head(f->model, when(f, last), out);
    write_answer(chat, buf_as_str(&text), buf_as_str(&thinking), &s.calls, out);
    if (f->request && f->request->want_logprobs) {
        buf_c(out, ",\"logprobs\":");
        logprobs_whole_entries(run, 0, out);
    }
    write_end(f, &s, last, out);
    buf_free(&text);
    buf_free(&thinking);
    calls_fini(&s.calls);
}

static void chat_whole(const struct talk_facts *f, const struct run *run, struct buf *out)
{
    whole(f, run, true, out);
}

static void generate_whole(const struct talk_facts *f, const struct run *run, struct buf *out)
{
    whole(f, run, false, out);
}

/* A line with a piece of text that is empty: clients add it up like any other. */
static void alive(const struct talk_facts *f, bool chat, struct buf *out)
{
    write_head(f->model, clock_unix_ms(), out);
    write_answer(chat, STR(""), STR(""), NULL, out);
    buf_c(out, ",\"done\":false}\n");
}

static void chat_alive(const struct talk_facts *f, struct buf *out)
{
    alive(f, true, out);
}

static void generate_alive(const struct talk_facts *f, struct buf *out)
{
    alive(f, false, out);
}

const struct wire ollama_chat_wire = {
    .id_prefix = "",
    .stream_type = "application/x-ndjson",
    .state_size = sizeof(struct state),
    .event = chat_line,
    .whole = chat_whole,
    .error = ollama_error,
    .state_fini = state_fini,
    .alive = chat_alive,
};

const struct wire ollama_generate_wire = {
    .id_prefix = "",
    .stream_type = "application/x-ndjson",
    .state_size = sizeof(struct state),
    .event = generate_line,
    .whole = generate_whole,
    .error = ollama_error,
    .state_fini = state_fini,
    .alive = generate_alive,
};
