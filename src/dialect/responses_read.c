/* dialect/responses_read.c - a Responses body into a neutral request, and a note of what the
 * response object repeats of it. */
#include "dialect/openai_body.h"
#include "dialect/responses.h"

#define AT   OPENAI_AT
#define MANY OPENAI_MANY

/* Most are read from the body itself below: here stand their kinds, and what is refused. */
static const struct field responses_fields[] = {
    {"input", FIELD_ANY, AT(spare), .required = true,
     .note = "a string, messages with text parts, `function_call`, `function_call_output`, "
             "`reasoning`, `mcp_call`; other items are refused"},
    {"instructions", FIELD_STR, AT(spare_text), .note = "a system message before all"},
    {"max_output_tokens", FIELD_INT, AT(max_tokens), 16, MANY},
    {"previous_response_id", FIELD_STR, AT(spare_text),
     .note = "its turns without its instructions, and its answer, come first; it must be complete"},
    {"store", FIELD_BOOL, AT(spare_flag), .note = "kept, unless false"},
    {"background", FIELD_BOOL, AT(spare_flag),
     .note = "answered at once, goes on without its client"},
    {"metadata", FIELD_OBJECT, AT(spare), .note = "comes back"},
    {"truncation", FIELD_STR, AT(spare_text), .note = "`auto`: the oldest turns leave"},
    {"text", FIELD_OBJECT, AT(spare), .note = "`format`; `verbosity` has no effect"},
    {"reasoning", FIELD_OBJECT, AT(spare),
     .note = "`effort` reaches the template; `summary` has no effect"},
    {"parallel_tool_calls", FIELD_BOOL, AT(spare_flag)},
    {"tool_choice", FIELD_ANY, AT(spare)},
    {"tools", FIELD_ARRAY, AT(spare),
     .note = "functions, `mcp`, and the built-in ones by name (`math:calculator`): they run here, "
             "each call is an `mcp_call`; others are refused"},
    {"top_logprobs", FIELD_INT, AT(top_logprobs), 0, 20,
     .note = "with `include` of `message.output_text.logprobs`, or alone"},
    {"include", FIELD_ARRAY, AT(spare),
     .note = "`message.output_text.logprobs`; the rest has no effect"},
    {"n", FIELD_INT, AT(n), 1, 1},
    {"chat_template_kwargs", FIELD_OBJECT, AT(template_args)},
    {"max_tool_calls", FIELD_TAKE},
    {"return_progress", FIELD_TAKE},
    {"conversation", FIELD_REFUSE, .note = "conversations are not kept; use previous_response_id"},
    {"prompt", FIELD_REFUSE, .note = "there are no stored prompts"},
    {"context_management", FIELD_REFUSE, .note = "use 'truncation'"},
    {"moderation", FIELD_REFUSE, .note = "there is no moderation here"},
    OPENAI_SHARED_FIELDS,
};

const json_t *responses_aside(const struct chat_request *r, const char *part)
{
    return r ? json_object_get(json_object_get(r->aside, "responses"), part) : NULL;
}

static const char *text_in(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static bool flag_in(const json_t *body, const char *key, bool otherwise)
{
    const json_t *v = json_object_get(body, key);
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

static bool bad(struct err *e, const char *where, const char *kind, const char *what)
{
    err_set_at(e, ERR_INPUT, where, "'%s' %s", where, what);
    return err_kind(e, kind);
}

/* What the earlier response came to, as the last turn. */
static json_t *answer_of(const struct run *run)
{
    struct buf text = BUF_INIT(ANSWER_MAX), thinking = BUF_INIT(ANSWER_MAX);
    struct calls calls = {0};
    answer_text(run, CHAT_TEXT, 0, &text);
    answer_text(run, CHAT_REASONING, 0, &thinking);
    calls_add_run(&calls, run);
    json_t *m =
        json_pack("{s:s s:o}", "role", "assistant", "content", json_from_str(buf_as_str(&text)));
    if (thinking.n)
        json_object_set_new(m, "reasoning_content", json_from_str(buf_as_str(&thinking)));
    for (size_t i = 0; i < calls.n; i++) {
        struct err e;
        json_t *list = json_object_get(m, "tool_calls");
        json_t *arguments = json_parse(buf_as_str(&calls.list[i].arguments), &e);
        if (!list)
            json_object_set_new(m, "tool_calls", list = json_array());
        json_array_append_new(list, json_pack("{s:o s:s s:{s:o s:o}}", "id",
                                              json_from_str(calls.list[i].id), "type", "function",
                                              "function", "name", json_from_str(calls.list[i].name),
                                              "arguments", arguments ? arguments : json_object()));
    }
    calls_fini(&calls);
    buf_free(&text);
    buf_free(&thinking);
    return m;
}

/* The conversation so far: the turns of the earlier response without its instructions, and its
 * answer. */
static bool add_earlier(struct dialect *d, const json_t *body, json_t *messages, struct err *e)
{
    const char *id = text_in(body, "previous_response_id");
    if (!id)
        return true;
    struct run *run = responses_find(d, str_c(id), e);
    if (!run) {
        err_set_at(e, ERR_NOT_FOUND, "previous_response_id",
                   "Previous response with id '%.80s' not found.", id);
        return err_kind(e, "previous_response_not_found");
    }
    const struct chat_request *r = run_request(run);
    const struct chat_event *last = NULL, *ev;
    for (size_t i = 0; (ev = run_event(run, i)); i++)
        last = ev;
    bool ok = last && last->what == CHAT_COMPLETED;
    if (!ok)
        err_set_at(e, ERR_INPUT, "previous_response_id",
                   "the response '%.80s' %s and cannot be continued", id,
                   run_is_over(run) ? "did not complete" : "is still being made");
    size_t i, skip = json_is_true(responses_aside(r, "instructed"));
    json_t *m;
    json_array_foreach(r->messages, i, m) if (ok && i >= skip)
        json_array_append_new(messages, json_deep_copy(m));
    if (ok)
        json_array_append_new(messages, answer_of(run));
    run_drop(run);
    return ok;
}

/* Tools as chat has them: what is a function's stands in a member of its own. */
static json_t *chat_tools(const json_t *tools)
{
    json_t *out = json_array(), *tool;
    size_t i;
    json_array_foreach(tools, i, tool)
    {
        if (server_tools_skip(tool)) { // the same in both
            json_array_append(out, tool);
            continue;
        }
        json_t *function = json_copy(tool), *made = json_object();
        json_object_set(made, "type", json_object_get(tool, "type"));
        json_object_set_new(made, "function", function);
        json_array_append_new(out, made);
    }
    return out;
}

/* The body's settings that chat has too, as chat's body has them: one reader for both. */
static json_t *chat_body(const json_t *body)
{
    static const char *const same[] = {"chat_template_kwargs", "parallel_tool_calls",
                                       "tool_choice"};
    json_t *chat = json_object(), *v;
    for (size_t i = 0; i < COUNT(same); i++)
        if ((v = json_object_get(body, same[i])))
            json_object_set(chat, same[i], v);
    if ((v = json_object_get(body, "tools")))
        json_object_set_new(chat, "tools", chat_tools(v));
    if ((v = json_object_get(json_object_get(body, "reasoning"), "effort")))
        json_object_set(chat, "reasoning_effort", v);
    return chat;
}

static bool read_text(const json_t *body, struct chat_request *r, struct err *e)
{
    const json_t *format = json_object_get(json_object_get(body, "text"), "format");
    const char *type = text_in(format, "type");
    if (!type || strcmp(type, "text") == 0)
        return true;
    if (strcmp(type, "json_object") == 0) {
        r->format = CHAT_FORMAT_JSON;
        r->format_place = "text.format";
        return true;
    }
    if (strcmp(type, "json_schema") != 0)
        return bad(e, "text.format.type", "unsupported_value",
                   "must be text, json_object or json_schema");
    if (!text_in(format, "name"))
        return bad(e, "text.format.name", "missing_required_parameter", "is required");
    if (!json_object_get(format, "schema"))
        return bad(e, "text.format.schema", "missing_required_parameter", "is required");
    return format_set_schema(json_object_get(format, "schema"), "text.format.schema", r, e);
}

static bool read_truncation(struct dialect *d, const json_t *body, str model,
                            struct chat_request *r, struct err *e)
{
    const char *word = text_in(body, "truncation");
    const struct run_model *m = runs_find_model(d->conf.runs, model);
    if (!word || strcmp(word, "disabled") == 0)
        return true;
    if (strcmp(word, "auto") != 0)
        return bad(e, "truncation", "unsupported_value", "must be 'auto' or 'disabled'");
    size_t n_ctx = m ? (size_t)sched_n_ctx(m->sched) : 0; // an unknown one is refused later
    size_t answer = (size_t)r->max_tokens;
    r->truncate_to = n_ctx > answer + 1 ? n_ctx - answer : SIZE_MAX;
    return true;
}

/* Of what stands in `include` log-probabilities are there to be added. */
static void read_include(const json_t *body, const struct openai_body *b, struct talk_order *out)
{
    struct chat_request *r = out->request;
    const json_t *what;
    size_t i;
    r->top_logprobs = b->top_logprobs > 0 ? (int)b->top_logprobs : 0;
    r->want_logprobs = b->top_logprobs > 0;
    json_array_foreach(json_object_get(body, "include"), i, what)
    {
        const char *name = json_string_value(what);
        if (name && strcmp(name, "message.output_text.logprobs") == 0) {
            r->want_logprobs = true;
            continue;
        }
        if (out->ignored.n)
            buf_c(&out->ignored, ", ");
        buf_c(&out->ignored, "include");
    }
}

static void show(json_t *out, const json_t *body, const char *key, json_t *otherwise)
{
    const json_t *v = json_object_get(body, key);
    if (v && !json_is_null(v)) {
        json_object_set_new(out, key, json_deep_copy(v));
        json_decref(otherwise);
    } else {
        json_object_set_new(out, key, otherwise);
    }
}

/* Tools as the object repeats them: what opens a server is nobody's to read again. */
static json_t *shown_tools(const json_t *tools)
{
    json_t *out = json_array(), *tool;
    size_t i;
    json_array_foreach((json_t *)tools, i, tool)
    {
        json_t *copy = json_deep_copy(tool);
        if (server_tools_skip(tool)) {
            json_object_del(copy, "authorization");
            json_object_del(copy, "headers");
        }
        json_array_append_new(out, copy);
    }
    return out;
}

/* What the response object repeats. */
static json_t *shown(const json_t *body, const struct openai_body *b)
{
    json_t *out = json_object(), *text, *reasoning;
    bool tools = json_array_size(json_object_get(body, "tools")) > 0;
    show(out, body, "background", json_false());
    show(out, body, "instructions", json_null());
    show(out, body, "max_output_tokens", json_null());
    show(out, body, "max_tool_calls", json_null());
    show(out, body, "metadata", json_object());
    show(out, body, "parallel_tool_calls", json_true());
    show(out, body, "previous_response_id", json_null());
    show(out, body, "prompt_cache_key", json_null());
    show(out, body, "reasoning", json_object());
    reasoning = json_object_get(out, "reasoning");
    if (!json_object_get(reasoning, "effort"))
        json_object_set_new(reasoning, "effort", json_null());
    if (!json_object_get(reasoning, "summary"))
        json_object_set_new(reasoning, "summary", json_null());
    show(out, body, "safety_identifier", json_null());
    json_object_set_new(out, "service_tier", json_string("default"));
    show(out, body, "store", json_true());
    json_object_set_new(out, "temperature", json_real(b->temperature));
    show(out, body, "text", json_object());
    text = json_object_get(out, "text");
    if (!json_object_get(text, "format"))
        json_object_set_new(text, "format", json_pack("{s:s}", "type", "text"));
    show(out, body, "tool_choice", json_string(tools ? "auto" : "none"));
    json_object_set_new(out, "tools", shown_tools(json_object_get(body, "tools")));
    show(out, body, "top_logprobs", json_integer(0));
    json_object_set_new(out, "top_p", json_real(b->top_p));
    show(out, body, "truncation", json_string("disabled"));
    show(out, body, "user", json_null());
    return out;
}

/* A place in chat's body as the place in this one. */
static void own_place(struct err *e)
{
    char *function = strstr(e->where, ".function");
    if (strcmp(e->where, "reasoning_effort") == 0)
        snprintf(e->where, sizeof e->where, "reasoning.effort");
    else if (function)
        memmove(function, function + 9, strlen(function + 9) + 1);
}

static bool rest(struct dialect *d, const json_t *body, struct openai_body *b,
                 struct talk_order *out, struct err *e)
{
    struct chat_request *r = out->request;
    const char *instructions = text_in(body, "instructions");
    bool store = flag_in(body, "store", true), background = flag_in(body, "background", false);
    if (background && !store)
        return bad(e, "background", "unsupported_value", "needs 'store' to be true");
    r->tools_place = "tools[].parameters";
    r->max_tokens = openai_clamp_count(b->max_tokens);
    r->messages = json_array();
    if (instructions)
        json_array_append_new(r->messages, json_pack("{s:s s:O}", "role", "system", "content",
                                                     json_object_get(body, "instructions")));
    if (!add_earlier(d, body, r->messages, e) ||
        !responses_turns(json_object_get(body, "input"), r->messages, e))
        return false;
    json_t *chat = chat_body(body);
    bool ok = read_text(body, r, e) && server_tools_read(d, chat, r, e) && tools_read(chat, r, e) &&
              openai_chat_shape(chat, r, e) && read_truncation(d, body, b->model, r, e);
    json_decref(chat);
    read_include(body, b, out);
    if (!ok) {
        own_place(e);
        return false;
    }
    r->aside = json_pack("{s:{s:o s:o s:b}}", "responses", "show", shown(body, b), "input",
                         responses_items(json_object_get(body, "input")), "instructed",
                         instructions != NULL);
    out->detach = out->acknowledge = background;
    out->store = store;
    return true;
}

bool responses_read(struct dialect *d, struct http_req *r, struct talk_order *out, struct err *e)
{
    return openai_read_body(d, http_body(r), responses_fields, COUNT(responses_fields), NULL, rest,
                            out, e);
}

const struct field_set responses_set = {"openai.responses", responses_fields,
                                        COUNT(responses_fields),
                                        "ignored, named in `X-Confab-Ignored`"};
