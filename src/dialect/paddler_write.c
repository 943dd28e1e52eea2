/* dialect/paddler_write.c - events as Paddler's lines of JSON: the older shape (2.0 to 3.1) and the
 * current one (4). Pure, but for the ids of errors without a run. */
#include "dialect/call_check.h"
#include "dialect/paddler.h"

struct state {
    struct calls calls;
    bool in_call; // a call's text has been opened
    size_t n_reasoning, n_calling;
    bool is_current;
};

/* The envelope of a result: head, what the caller writes, tail. */
static void head(const struct talk_facts *f, bool current, struct buf *out)
{
    buf_c(out, current ? "{\"Response\":{\"generated_by\":null,\"request_id\":"
                       : "{\"Response\":{\"request_id\":");
    json_write_str(out, str_c(f->id), JSON_PLAIN);
    buf_c(out, ",\"response\":{\"GeneratedToken\":");
}

static void tail(struct buf *out)
{
    buf_c(out, "}}}\n");
}

static void token(const struct talk_facts *f, bool current, const char *kind, str text,
                  struct buf *out)
{
    if (text.n == 0)
        return;
    head(f, current, out);
    buf_printf(out, "{\"%s\":", kind);
    json_write_str(out, text, JSON_PLAIN);
    buf_char(out, '}');
    tail(out);
}

static void error_line(const char *id, int code, const char *text, struct buf *out)
{
    buf_c(out, "{\"Error\":{\"request_id\":");
    json_write_str(out, str_c(id), JSON_PLAIN);
    buf_printf(out, ",\"error\":{\"code\":%d,\"description\":", code);
    json_write_str(out, str_c(text), JSON_PLAIN);
    buf_c(out, "}}}\n");
}

/* Errors that Paddler tells as results, with status 200: by their kind. */
static const struct {
    const char *kind, *result;
} results[] = {
    {"ImageDecodingFailed", "ImageDecodingFailed"},
    {"MultimodalNotSupported", "MultimodalNotSupported"},
    {"GrammarIncompatibleWithThinking", "GrammarIncompatibleWithThinking"},
    {"GrammarSyntaxError", "GrammarSyntaxError"},
    {"unsupported_schema", "GrammarSyntaxError"},
    {"invalid_grammar", "GrammarInitializationFailed"},
    {"template_failed", "ChatTemplateError"},
    {"context_length_exceeded", "SamplerError"},
};

static bool is_of_tools(const struct err *e)
{
    return strcmp(e->kind, "unsupported_schema") == 0 && str_starts(str_c(e->where), STR("tools"));
}

/* NULL: it is an error, no result. */
static const char *result_of(const struct err *e, bool current)
{
    if (is_of_tools(e))
        return current ? "ToolSchemaInvalid" : NULL; // the older shape has no such result
    for (size_t i = 0; i < COUNT(results); i++)
        if (strcmp(e->kind, results[i].kind) == 0)
            return results[i].result;
    return NULL;
}

static void result_line(const struct talk_facts *f, bool current, const char *result,
                        const struct err *e, struct buf *out)
{
    token(f, current, result, e->msg[0] ? str_c(e->msg) : STR("failed"), out);
}

/* What went wrong before there was a run. */
int paddler_refuse(const struct err *e, bool current, const char *id, struct buf *out)
{
    struct talk_facts f = {.model = ""};
    const char *result = result_of(e, current);
    snprintf(f.id, sizeof f.id, "%s", id);
    if (result) {
        result_line(&f, current, result, e, out);
        return 200;
    }
    int status = e->code == ERR_BUSY     ? 503
                 : e->code == ERR_LIMIT  ? 413
                 : e->code == ERR_DENIED ? 401
                                         : 400;
    error_line(f.id, status, e->msg, out);
    return status;
}

static int refuse(const struct err *e, bool current, struct buf *out)
{
    char id[ID_MAX];
    id_new(id, "");
    return paddler_refuse(e, current, id, out);
}

int paddler_error(const struct err *e, struct buf *out)
{
    return refuse(e, false, out);
}

static int current_error(const struct err *e, struct buf *out)
{
    return refuse(e, true, out);
}

static const int code_of[] = {
    [ERR_NONE] = 500,   [ERR_INPUT] = 400, [ERR_NOT_FOUND] = 404, [ERR_DENIED] = 403,
    [ERR_LIMIT] = 500,  [ERR_BUSY] = 503,  [ERR_TIMEOUT] = 504,   [ERR_CANCELED] = 503,
    [ERR_FORMAT] = 500, [ERR_IO] = 500,    [ERR_INTERNAL] = 500,
};

static void failed(const struct talk_facts *f, bool current, const struct err *e, struct buf *out)
{
    const char *result = e->code == ERR_INPUT ? result_of(e, current) : NULL;
    if (!result && e->code == ERR_INPUT && !is_of_tools(e))
        result = "SamplerError"; // whatever else an accepted request runs into
    if (result)
        result_line(f, current, result, e, out);
    else
        error_line(f->id, code_of[e->code], e->msg, out);
}

/* Tool calls come raw: as the text of the notation that most models use.  The current shape leaves
 * its tags out. */
static void call_text(const struct talk_facts *f, struct state *s, const struct chat_event *ev,
                      const char *kind, struct buf *out)
{
    bool begins = ev->what == CHAT_CALL, goes_on = ev->what == CHAT_ARGUMENTS;
    struct buf text = BUF_INIT(ANSWER_MAX);
    if (s->in_call && !goes_on) {
        token(f, s->is_current, kind, s->is_current ? STR("}") : STR("}\n</tool_call>"), out);
        s->in_call = false;
    }
    if (begins) {
        buf_c(&text, s->is_current ? "{\"name\": " : "<tool_call>\n{\"name\": ");
        json_write_str(&text, ev->name, JSON_PLAIN);
        buf_c(&text, ", \"arguments\": ");
        s->in_call = true;
    } else if (goes_on) {
        buf_str(&text, ev->text);
    }
    token(f, s->is_current, kind, buf_as_str(&text), out);
    buf_free(&text);
}

static void older_event(const struct talk_facts *f, void *state, const struct chat_event *ev,
                        struct buf *out)
{
    struct state *s = state;
    if (ev->choice > 0)
        return; // this dialect has one answer
    call_text(f, s, ev, "Token", out);
    switch (ev->what) {
    case CHAT_WAITING:
    case CHAT_PROGRESS:
    case CHAT_SERVER_CALL:
    case CHAT_SERVER_ASK:
    case CHAT_SERVER_PROGRESS:
    case CHAT_SERVER_RESULT: break;
    case CHAT_TEXT:
    case CHAT_REASONING: token(f, false, "Token", ev->text, out); break;
    case CHAT_COMPLETED:
        head(f, false, out);
        buf_c(out, "\"Done\"");
        tail(out);
        break;
    case CHAT_FAILED: failed(f, false, ev->error, out); break;
    case CHAT_STARTED:
    case CHAT_CALL:
    case CHAT_ARGUMENTS:
    case CHAT_FINISHED: break;
    }
}

/* What does not fit: one text a call.  False when all do. */
static bool failed_calls(const struct talk_facts *f, const struct state *s, struct buf *out)
{
    bool any = false;
    for (size_t i = 0; f->request && i < s->calls.n; i++) {
        const struct call *call = &s->calls.list[i];
        struct err e, why;
        json_t *arguments = json_parse(buf_as_str(&call->arguments), &e);
        if (!call_check(f->request->tools, call->name, arguments, &why)) {
            if (!any)
                head(f, true, out);
            buf_c(out, any ? "," : "{\"ToolCallValidationFailed\":[");
            json_write_str(out, str_c(why.msg), JSON_PLAIN);
            any = true;
        }
        json_decref(arguments);
    }
    if (any) {
        buf_c(out, "]}");
        tail(out);
    }
    return any;
}

static void parsed_calls(const struct talk_facts *f, const struct state *s, struct buf *out)
{
    if (s->calls.n == 0 || failed_calls(f, s, out))
        return;
    head(f, true, out);
    buf_c(out, "{\"ToolCallParsed\":[");
    for (size_t i = 0; i < s->calls.n; i++) {
        const struct call *call = &s->calls.list[i];
        struct err e;
        json_t *arguments = json_parse(buf_as_str(&call->arguments), &e);
        buf_c(out, i ? ",{\"id\":" : "{\"id\":");
        json_write_str(out, call->id, JSON_PLAIN);
        buf_c(out, ",\"name\":");
        json_write_str(out, call->name, JSON_PLAIN);
        buf_c(out,
              arguments ? ",\"arguments\":{\"ValidJson\":" : ",\"arguments\":{\"InvalidJson\":");
        if (arguments)
            json_write(out, arguments, JSON_PLAIN, -1);
        else
            json_write_str(out, buf_as_str(&call->arguments), JSON_PLAIN);
        buf_c(out, "}}");
        json_decref(arguments);
    }
    buf_c(out, "]}");
    tail(out);
}

static void done(const struct talk_facts *f, const struct state *s, const struct chat_usage *u,
                 struct buf *out)
{
    size_t thought = size_max(s->n_reasoning, u->n_reasoning); // the marks too, where known
    size_t rest = u->n_output - size_min(u->n_output, thought + s->n_calling);
    head(f, true, out);
    buf_printf(out,
               "{\"Done\":{\"usage\":{\"prompt_tokens\":%zu,\"cached_prompt_tokens\":%zu,"
               "\"input_image_tokens\":0,\"input_audio_tokens\":0,\"content_tokens\":%zu,"
               "\"reasoning_tokens\":%zu,\"tool_call_tokens\":%zu,\"undeterminable_tokens\":0}}}",
               u->n_prompt, u->n_cached, rest, thought, s->n_calling);
    tail(out);
}

static void newer_event(const struct talk_facts *f, struct state *s, const struct chat_event *ev,
                        bool parse, struct buf *out)
{
    if (ev->choice > 0)
        return;
    s->is_current = true;
    call_text(f, s, ev, "ToolCallToken", out);
    calls_add(&s->calls, ev);
    switch (ev->what) {
    case CHAT_WAITING:
    case CHAT_PROGRESS:
    case CHAT_SERVER_CALL:
    case CHAT_SERVER_ASK:
    case CHAT_SERVER_PROGRESS:
    case CHAT_SERVER_RESULT: break;
    case CHAT_TEXT: token(f, true, "ContentToken", ev->text, out); break;
    case CHAT_REASONING:
        s->n_reasoning += (size_t)ev->n_tokens;
        token(f, true, "ReasoningToken", ev->text, out);
        break;
    case CHAT_CALL:
    case CHAT_ARGUMENTS: s->n_calling += (size_t)ev->n_tokens; break;
    case CHAT_FINISHED:
        if (parse)
            parsed_calls(f, s, out);
        break;
    case CHAT_COMPLETED: done(f, s, &ev->usage, out); break;
    case CHAT_FAILED: failed(f, true, ev->error, out); break;
    case CHAT_STARTED: break;
    }
}

static void current_event(const struct talk_facts *f, void *state, const struct chat_event *ev,
                          struct buf *out)
{
    newer_event(f, state, ev, false, out);
}

static void parsed_event(const struct talk_facts *f, void *state, const struct chat_event *ev,
                         struct buf *out)
{
    newer_event(f, state, ev, true, out);
}

static void state_fini(void *state)
{
    calls_fini(&((struct state *)state)->calls);
}

#define PADDLER(on_event, on_error)                                                                \
    {                                                                                              \
        .id_prefix = "", .stream_type = "application/json", .state_size = sizeof(struct state),    \
        .at_once = true, .event = on_event, .error = on_error, .state_fini = state_fini,           \
        .keep_alive = ""                                                                           \
    }

const struct wire paddler_wire = PADDLER(older_event, paddler_error);
const struct wire paddler_current_wire = PADDLER(current_event, current_error);
const struct wire paddler_parsed_wire = PADDLER(parsed_event, current_error);
