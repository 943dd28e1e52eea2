/* dialect/messages_read.c - bodies of the messages wire into neutral requests: fields, ranges, and
 * what is refused because it is not built. */
#include "dialect/fields.h"
#include "dialect/format_read.h"
#include "dialect/messages.h"

#include <math.h>

#define STOPS_MAX     64
#define ROUNDS_MAX    40 // turns of the model in one message
#define TOOL_NAME_MAX 256
#define MANY          1e15
#define UNSAID        INT64_MIN

const struct manner anthropic_manner = {.strict = true,
                                        .call = "toolu_",
                                        .no_context = "model_context_window_exceeded",
                                        .temperature = 1,
                                        .top_p = 1};
const struct manner zylon_manner = {.stamps = true,
                                    .whole_input = true,
                                    .call = "tool_",
                                    .no_context = "max_tokens",
                                    .temperature = 0.7F,
                                    .top_p = 0.95F,
                                    .top_k = 40,
                                    .min_p = 0.05F};

struct body {
    str model, correlation_id;
    bool stream;
    const json_t *messages, *system, *tools, *choice, *choice2, *context, *servers;
    const json_t *format, *config, *config2, *thinking, *stops, *metadata;
    int64_t max_tokens, top_k, priority, seed;
    double temperature, top_p, min_p, repetition, presence, frequency;
};

#define AT(member) offsetof(struct body, member)

static const struct field body_fields[] = {
    {"model", FIELD_STR, AT(model),
     .note =
         "required by Anthropic's clients; absent, `default` and `claude-*` are the first model"},
    {"messages", FIELD_ARRAY, AT(messages), .required = true,
     .note = "neighbours of one role are merged, a last answer is continued"},
    {"system", FIELD_ANY, AT(system),
     .note = "a string, an object, blocks, an array of these; `use_default_prompt`: a line with "
             "the date; `citations`, `prompt` have no effect"},
    {"max_tokens", FIELD_INT, AT(max_tokens),
     .note = "required by Anthropic's clients; negative: none, for Zylon's"},
    {"stream", FIELD_BOOL, AT(stream)},
    {"stop_sequences", FIELD_ARRAY, AT(stops), .note = "up to 64"},
    {"temperature", FIELD_NUM, AT(temperature), 0, 1},
    {"top_p", FIELD_NUM, AT(top_p), 0, 1},
    {"top_k", FIELD_INT, AT(top_k), 0, MANY},
    {"seed", FIELD_INT, AT(seed), .note = "negative: random, for Zylon's clients"},
    {"min_p", FIELD_NUM, AT(min_p), .note = "negative: none, for Zylon's clients"},
    {"repetition_penalty", FIELD_NUM, AT(repetition),
     .note = "negative: none, for Zylon's clients"},
    {"presence_penalty", FIELD_NUM, AT(presence), .note = "negative: none, for Zylon's clients"},
    {"frequency_penalty", FIELD_NUM, AT(frequency), .note = "negative: none, for Zylon's clients"},
    {"priority", FIELD_INT, AT(priority), INT32_MIN, INT32_MAX,
     .note = "0 and 1 are the class of chat, 2 runs behind it"},
    {"correlation_id", FIELD_STR, AT(correlation_id), .note = "comes back as `x-correlation-id`"},
    {"thinking", FIELD_OBJECT, AT(thinking),
     .note = "where the template has a switch, else refused; `display` has no effect"},
    {"tools", FIELD_ARRAY, AT(tools)},
    {"tool_choice", FIELD_OBJECT, AT(choice)},
    {"toolChoice", FIELD_OBJECT, AT(choice2)},
    {"tool_context", FIELD_ARRAY, AT(context), .note = "texts and files, for file:text"},
    {"mcp_servers", FIELD_ARRAY, AT(servers),
     .note = "Zylon's: by URL or by the operator's name or command (docs/tools.md); Anthropic's: "
             "refused"},
    {"response_format", FIELD_OBJECT, AT(format)},
    {"output_config", FIELD_OBJECT, AT(config)},
    {"outputConfig", FIELD_OBJECT, AT(config2)},
    {"metadata", FIELD_OBJECT, AT(metadata), .note = "has no effect"},
    {"service_tier", FIELD_TAKE},
    {"cache_control", FIELD_TAKE},
    {"cacheControl", FIELD_TAKE},
    {"container", FIELD_TAKE},
    {"inference_geo", FIELD_TAKE},
    {"maximum_loaded_skills", FIELD_TAKE},
    {"context_management", FIELD_TAKE},
    {"diagnostics", FIELD_TAKE},
    {"speed", FIELD_TAKE},
};

struct reader {
    const struct manner *m;
    const struct runs *rs;
    bool counting;
    bool demands_call; // response_format asks for one
    struct body b;
    struct talk_order *out;
    struct messages_more *more;
};

static bool bad(struct err *e, const char *place, const char *kind, const char *text)
{
    err_set_at(e, ERR_INPUT, place, "%s", text);
    return err_kind(e, kind);
}

static void ignore(struct reader *x, const char *name)
{
    struct buf *ignored = &x->out->ignored;
    if (ignored->n)
        buf_c(ignored, ", ");
    buf_c(ignored, name);
}

static const char *word_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* The constant of a list that is this word, or NULL. */
static const char *one_of(const char *word, const char *const *list, size_t n)
{
    for (size_t i = 0; word && i < n; i++)
        if (strcmp(word, list[i]) == 0)
            return list[i];
    return NULL;
}

static const char *const levels[] = {"low", "medium", "high", "xhigh", "max"};

/* A negative number is an error, or stands for none: by the brand. */
static bool settle_number(struct reader *x, double *v, double most, const char *name, struct err *e)
{
    if (isnan(*v))
        return true;
    if (*v < 0 && !x->m->strict) {
        *v = NAN;
        ignore(x, name);
        return true;
    }
    if (*v >= 0 && *v <= most)
        return true;
    err_set_at(e, ERR_INPUT, name, "'%s' must be between 0 and %g, not %g", name, most, *v);
    return err_kind(e, "out_of_range");
}

static bool read_max_tokens(struct reader *x, struct err *e)
{
    int64_t n = x->b.max_tokens;
    if (x->counting)
        return true;
    if (n == UNSAID && x->m->strict)
        return bad(e, "max_tokens", "missing_required_parameter", "'max_tokens' is required");
    if (n < 0 && n != UNSAID && x->m->strict)
        return bad(e, "max_tokens", "out_of_range", "'max_tokens' must be at least 0");
    if (n == 0 && x->m->strict) { // the prompt alone
        x->out->request->no_answer = true;
        return true;
    }
    if (n <= 0 && n != UNSAID)
        ignore(x, "max_tokens");
    x->out->request->max_tokens = n <= 0 ? 0 : n > INT32_MAX ? INT32_MAX : (int)n;
    return true;
}

static bool read_sampling(struct reader *x, struct err *e)
{
    struct chat_request *r = x->out->request;
    struct body *b = &x->b;
    if (!settle_number(x, &b->min_p, 1, "min_p", e) ||
        !settle_number(x, &b->repetition, 1e3, "repetition_penalty", e) ||
        !settle_number(x, &b->presence, 2, "presence_penalty", e) ||
        !settle_number(x, &b->frequency, 2, "frequency_penalty", e))
        return false;
    if (b->repetition == 0) { // would divide by nothing
        b->repetition = NAN;
        ignore(x, "repetition_penalty");
    }
    if (b->seed < 0 && b->seed != UNSAID)
        ignore(x, "seed");
    r->has_seed = b->seed >= 0;
    r->seed = r->has_seed ? (uint64_t)b->seed : 0;
    x->more->temperature = !isnan(b->temperature);
    x->more->top_p = !isnan(b->top_p);
    x->more->min_p = !isnan(b->min_p);
    x->more->top_k = b->top_k != UNSAID;
    r->temperature = x->more->temperature ? (float)b->temperature : x->m->temperature;
    r->top_p = x->more->top_p ? (float)b->top_p : x->m->top_p;
    r->min_p = x->more->min_p ? (float)b->min_p : x->m->min_p;
    r->top_k = !x->more->top_k ? x->m->top_k : b->top_k > INT32_MAX ? 0 : (int)b->top_k;
    if (b->top_p == 0) { // a nucleus of nothing but the best
        r->top_p = 1;
        r->temperature = 0;
        x->more->temperature = true;
    }
    r->repetition_penalty = isnan(b->repetition) ? 1 : (float)b->repetition;
    r->presence_penalty = isnan(b->presence) ? 0 : (float)b->presence;
    r->frequency_penalty = isnan(b->frequency) ? 0 : (float)b->frequency;
    // 1 is the class of chat, the usual one; 2 runs behind it.
    r->priority = b->priority > 0 ? (int)b->priority - 1 : (int)b->priority;
    return true;
}

static bool read_stops(struct reader *x, struct err *e)
{
    struct chat_request *r = x->out->request;
    size_t i, n = json_array_size(x->b.stops);
    json_t *s;
    if (n > STOPS_MAX)
        return bad(e, "stop_sequences", "invalid_value",
                   "'stop_sequences' holds more than 64 texts");
    r->stops = arena_calloc(&r->arena, n + 1, sizeof *r->stops);
    if (!r->stops)
        return true; // the caller sees that the arena is full
    json_array_foreach((json_t *)x->b.stops, i, s)
    {
        str text = json_as_str(s);
        if (!json_is_string(s))
            return bad(e, "stop_sequences", "invalid_type",
                       "'stop_sequences' must hold strings alone");
        if (text.n == 0 || (x->m->strict && str_trim(text).n == 0))
            return bad(e, "stop_sequences", "invalid_value", "a stop sequence must not be blank");
        if (text.n > 4096)
            return bad(e, "stop_sequences", "invalid_value",
                       "a stop sequence is longer than 4096 bytes");
        r->stops[i] = arena_str(&r->arena, text);
    }
    r->n_stops = n;
    return true;
}

static bool read_budget(struct reader *x, struct err *e)
{
    const json_t *v = json_object_get(x->b.thinking, "budget_tokens");
    if (!v || json_is_null(v)) {
        if (!x->m->strict)
            return true;
        return bad(e, "thinking.budget_tokens", "missing_required_parameter",
                   "'thinking.budget_tokens' is required when thinking is enabled");
    }
    json_int_t n = json_integer_value(v), least = x->m->strict ? 1024 : 1;
    if (!json_is_integer(v) || n < least)
        return bad(e, "thinking.budget_tokens", "out_of_range",
                   least > 1 ? "'thinking.budget_tokens' must be an integer of at least 1024"
                             : "'thinking.budget_tokens' must be an integer of at least 1");
    if (x->m->strict && !x->counting && n >= x->b.max_tokens)
        return bad(e, "thinking.budget_tokens", "out_of_range",
                   "'thinking.budget_tokens' must be less than 'max_tokens'");
    x->out->request->reasoning_budget = n > INT32_MAX ? INT32_MAX : (int)n;
    return true;
}

/* Both brands' ways to switch thinking; the level may come from three places. */
static bool read_thinking(struct reader *x, struct err *e)
{
    static const struct {
        const char *type;
        enum messages_think think;
    } types[] = {{"enabled", THINK_ON},
                 {"disabled", THINK_OFF},
                 {"adaptive", THINK_IF_ABLE},
                 {"between_tools", THINK_IF_ABLE}};
    struct messages_more *more = x->more;
    const json_t *t = x->b.thinking;
    const json_t *enabled = json_object_get(t, "enabled"), *effort = json_object_get(t, "effort");
    const char *type = word_of(t, "type");
    if (enabled && !json_is_null(enabled) && !json_is_boolean(enabled))
        return bad(e, "thinking.enabled", "invalid_type", "'thinking.enabled' must be a boolean");
    if (effort && !json_is_null(effort)) {
        more->effort = one_of(json_string_value(effort), levels, COUNT(levels));
        if (!more->effort)
            return bad(e, "thinking.effort", "unsupported_value",
                       "'thinking.effort' must be low, medium, high, xhigh or max");
        more->think = THINK_ON;
    }
    if (type && one_of(type, levels, COUNT(levels))) { // as one web client writes it
        more->effort = one_of(type, levels, COUNT(levels));
    } else if (type) {
        size_t i = 0;
        while (i < COUNT(types) && strcmp(type, types[i].type) != 0)
            i++;
        if (i == COUNT(types))
            return bad(e, "thinking.type", "unsupported_value",
                       "'thinking.type' must be enabled, disabled, adaptive or between_tools");
        more->think = types[i].think;
        if (i == 0 && !read_budget(x, e))
            return false;
    }
    if (json_is_boolean(enabled))
        more->think = json_is_true(enabled) ? THINK_ON : THINK_OFF;
    if (json_object_get(t, "display"))
        ignore(x, "thinking.display");
    return true;
}

/* A schema is asked for; tools and citations do not go with it. */
static bool take_schema(struct reader *x, const json_t *schema, const char *place, struct err *e)
{
    if (!json_is_object(schema))
        return bad(e, place, "missing_required_parameter", "a json_schema format needs its schema");
    if (json_array_size(x->b.tools) || json_array_size(x->b.servers))
        return bad(e, place, "invalid_value",
                   "Tools are not supported when response_format is set to json_schema");
    // OpenAI's wrapper: a name and a schema, and no keyword of a schema.
    const json_t *inner = json_object_get(schema, "schema");
    if (json_is_object(inner) && !json_object_get(schema, "type"))
        schema = inner;
    return format_set_schema(schema, place, x->out->request, e);
}

static bool read_format(struct reader *x, struct err *e)
{
    static const char *const call_words[] = {"tool_call", "tool_calls", "tool"};
    const json_t *config = x->b.config ? x->b.config : x->b.config2;
    const json_t *effort = json_object_get(config, "effort");
    const json_t *newer = json_object_get(config, "format");
    const char *type = word_of(newer, "type"), *older = word_of(x->b.format, "type");
    if (effort && !json_is_null(effort)) {
        const char *level = one_of(json_string_value(effort), levels, COUNT(levels));
        if (!level)
            return bad(e, "output_config.effort", "unsupported_value",
                       "'output_config.effort' must be low, medium, high, xhigh or max");
        x->more->effort = level;
        if (x->more->think == THINK_UNSAID && !x->m->strict)
            x->more->think = THINK_IF_ABLE;
    }
    if (newer && !json_is_null(newer) && json_object_size(newer)) {
        const json_t *schema = json_object_get(newer, "schema");
        if (!type || strcmp(type, "json_schema") != 0)
            return bad(e, "output_config.format.type", "unsupported_value",
                       "'output_config.format.type' must be json_schema");
        return take_schema(
            x, schema ? schema : json_object_get(newer, "json_schema"),
            schema ? "output_config.format.schema" : "output_config.format.json_schema", e);
    }
    if (!x->b.format || !older || strcmp(older, "text") == 0)
        return older || json_object_size(x->b.format) == 0 ||
               bad(e, "response_format.type", "missing_required_parameter",
                   "'response_format.type' is required");
    if (strcmp(older, "json_schema") == 0)
        return take_schema(x, json_object_get(x->b.format, "json_schema"),
                           "response_format.json_schema", e);
    if (!one_of(older, call_words, COUNT(call_words)))
        return bad(e, "response_format.type", "unsupported_value",
                   "'response_format.type' must be text, json_schema or tool_call");
    if (json_array_size(x->b.tools) == 0)
        return bad(e, "response_format", "invalid_value",
                   "'response_format' asks for a tool call, but there are no tools");
    x->demands_call = true;
    return true;
}

static json_t *first_of(const json_t *object, const char *name, const char *other)
{
    json_t *v = json_object_get(object, name);
    return v && !json_is_null(v) ? v : json_object_get(object, other);
}

static bool ends_in_date(str type)
{
    if (type.n < 10 || type.p[type.n - 9] != '_')
        return false;
    for (size_t i = type.n - 8; i < type.n; i++)
        if (type.p[i] < '0' || type.p[i] > '9')
            return false;
    return true;
}

static bool is_tool_name(str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-' || c == '.'))
            return false;
    }
    return name.n > 0 && name.n <= TOOL_NAME_MAX;
}

/* One tool as templates take them.  *out stays NULL for one that is dropped. */
static bool read_tool(struct reader *x, const json_t *tool, const char *place, json_t **out,
                      struct err *e)
{
    str type = json_as_str(json_object_get(tool, "type"));
    json_t *name = json_object_get(tool, "name"), *description;
    if (json_is_string(tool))
        type = json_as_str(tool);
    str builtin = x->m->strict ? STR("") : messages_builtin(type);
    if (builtin.n && x->counting)
        return true;
    if (builtin.n) {
        const json_t *own = json_object_get(tool, "context");
        if (messages_offer(x->rs, tool, type, builtin, json_is_array(own) ? own : x->b.context,
                           x->out->request, e))
            return true;
        if (ends_in_date(type) && strcmp(e->kind, "tool_unavailable") == 0) {
            ignore(x, place);
            return true;
        }
        snprintf(e->where, sizeof e->where, "%s", place);
        if (strcmp(e->kind, "tool_unavailable") == 0)
            err_kind(e, "INVALID_REQUEST_TOOL_SUPPORTED_ERROR");
        return false;
    }
    if (str_eqc(type, "mcp_toolset") && !x->m->strict)
        return true; // of a server: read_toolsets
    if (type.n && !str_eqc(type, "custom")) {
        if (ends_in_date(type) && !x->m->strict) { // so that coding clients keep working
            ignore(x, place);
            return true;
        }
        err_set_at(e, ERR_INPUT, place, "'%s' is of type '%.*s', which this server does not have",
                   place, STR_ARG(str_sub(type, 0, 60)));
        return err_kind(e, "INVALID_REQUEST_TOOL_SUPPORTED_ERROR");
    }
    if (!json_is_object(tool) || json_string_length(name) == 0)
        return bad(e, place, "invalid_type", "a tool must be an object with a 'name'");
    if (!is_tool_name(json_as_str(name))) {
        err_set_at(e, ERR_INPUT, place,
                   "'%s.name' must be 1 to %d letters, digits, '_', '-' or '.'", place,
                   TOOL_NAME_MAX);
        return err_kind(e, "invalid_value");
    }
    json_t *schema = first_of(tool, "input_schema", "inputSchema");
    if (schema && !json_is_null(schema) && !json_is_object(schema))
        return bad(e, place, "invalid_type", "a tool's 'input_schema' must be an object");
    json_t *function = json_object();
    json_object_set(function, "name", name);
    if (json_is_string(description = json_object_get(tool, "description")))
        json_object_set(function, "description", description);
    if (json_is_object(schema))
        json_object_set(function, "parameters", schema);
    else
        json_object_set_new(function, "parameters",
                            json_pack("{s:s,s:{}}", "type", "object", "properties"));
    *out = json_pack("{s:s,s:o}", "type", "function", "function", function);
    return true;
}

/* The functions of the server's tools stand before the caller's. */
static void join_offered(struct reader *x, json_t *tools, json_t *names)
{
    struct chat_request *r = x->out->request;
    json_t *tool;
    size_t i;
    json_array_foreach(r->tools, i, tool)
    {
        json_array_append(tools, tool);
        json_object_set_new(names, word_of(json_object_get(tool, "function"), "name"), json_true());
    }
    json_decref(r->tools);
    r->tools = NULL;
}

static bool read_tool_list(struct reader *x, json_t *tools, json_t *names, struct err *e)
{
    json_t *tool;
    size_t i;
    char place[32];
    json_array_foreach((json_t *)x->b.tools, i, tool)
    {
        json_t *made = NULL;
        snprintf(place, sizeof place, "tools[%zu]", i);
        if (!read_tool(x, tool, place, &made, e))
            return false;
        if (!made)
            continue;
        json_array_append_new(tools, made);
        const char *name = word_of(json_object_get(made, "function"), "name");
        if (json_object_get(names, name)) {
            err_set_at(e, ERR_INPUT, place, "there are two tools named '%.100s'", name);
            return err_kind(e, "invalid_value");
        }
        json_object_set_new(names, name, json_true());
    }
    join_offered(x, tools, names);
    return true;
}

static bool read_choice(struct reader *x, json_t *names, struct err *e)
{
    static const char *const types[] = {"auto", "any", "tool", "none"};
    const json_t *choice = x->b.choice ? x->b.choice : x->b.choice2;
    const char *name = word_of(choice, "name");
    const json_t *single = json_object_get(choice, "disable_parallel_tool_use");
    if (single && !json_is_null(single) && !json_is_boolean(single))
        return bad(e, "tool_choice.disable_parallel_tool_use", "invalid_type",
                   "'tool_choice.disable_parallel_tool_use' must be a boolean");
    x->out->request->one_call = json_is_true(single);
    x->more->choice = choice ? one_of(word_of(choice, "type"), types, COUNT(types)) : "auto";
    if (choice && !json_object_get(choice, "type"))
        x->more->choice = "auto";
    if (!x->more->choice)
        return bad(e, "tool_choice.type", "unsupported_value",
                   "'tool_choice.type' must be auto, any, tool or none");
    if (strcmp(x->more->choice, "tool") != 0)
        return true;
    if (!name)
        return bad(e, "tool_choice.name", "missing_required_parameter",
                   "'tool_choice.name' is required with type tool");
    if (!json_object_get(names, name) && json_object_size(names) == 0 &&
        json_array_size(x->b.servers) > 0) // one of a server's, which is not known yet
        return true;
    if (!json_object_get(names, name)) {
        err_set_at(e, ERR_INPUT, "tool_choice", "Tool choice '%.100s' is not in the provided tools",
                   name);
        return err_kind(e, "invalid_value");
    }
    return true;
}

/* The neutral choice.  A call is demanded once: not right behind a result. */
static bool choose(struct reader *x, struct err *e)
{
    struct chat_request *r = x->out->request;
    const json_t *last = json_array_get(r->messages, json_array_size(r->messages) - 1);
    bool result = strcmp(word_of(last, "role"), "tool") == 0 && !x->m->strict;
    const char *name = word_of(x->b.choice ? x->b.choice : x->b.choice2, "name");
    const char *named = x->demands_call ? word_of(x->b.format, "name") : NULL;
    if (strcmp(x->more->choice, "tool") == 0)
        return tools_name_choice(str_c(name), r, e);
    if (named)
        return tools_name_choice(str_c(named), r, e);
    if (x->demands_call || (strcmp(x->more->choice, "any") == 0 && !result))
        r->tool_choice = CHAT_TOOLS_REQUIRED;
    return true;
}

static bool read_toolsets(struct reader *x, struct err *e)
{
    json_t *tool;
    size_t i;
    char place[32];
    json_array_foreach((json_t *)x->b.tools, i, tool)
    {
        snprintf(place, sizeof place, "tools[%zu]", i);
        if (str_eqc(json_as_str(json_object_get(tool, "type")), "mcp_toolset") &&
            !messages_toolset(tool, place, x->out->request, e))
            return false;
    }
    return true;
}

static bool settle_tools(struct reader *x, json_t *tools, struct err *e)
{
    bool none = strcmp(x->more->choice, "none") == 0;
    if (json_array_size(x->b.context)) {
        if (json_array_size(x->b.tools) == 0)
            return bad(e, "tool_context", "invalid_value", "'tool_context' needs 'tools'");
        if (x->out->request->n_server_tools == 0)
            ignore(x, "tool_context");
    }
    struct chat_request *r = x->out->request;
    r->max_rounds = ROUNDS_MAX;
    r->end_at_max_rounds = true;
    if (json_array_size(x->b.servers) && !none && !x->counting) {
        if (x->m->strict) {
            bad(e, "mcp_servers", "unsupported_value",
                "'mcp_servers' is not supported here: use this server's path of Zylon");
            return err_kind(e, "INVALID_REQUEST_INVALID_MCP_ERROR");
        }
        if (!messages_servers(x->rs, x->b.servers, r, e))
            return false;
        if (messages_refreshes(x->b.servers))
            ignore(x, "mcp_servers.refresh_token");
    }
    if (!none && !x->counting && !x->m->strict && !read_toolsets(x, e))
        return false;
    if ((json_array_size(tools) == 0 && r->n_mcp == 0) || none)
        return true;
    x->more->tooled = true;
    if (strcmp(x->more->choice, "tool") == 0) { // only the chosen one is offered
        const json_t *choice = x->b.choice ? x->b.choice : x->b.choice2;
        const char *name = word_of(choice, "name");
        for (size_t i = json_array_size(tools); i-- > 0;)
            if (strcmp(word_of(json_object_get(json_array_get(tools, i), "function"), "name"),
                       name) != 0)
                json_array_remove(tools, i);
    }
    if (json_array_size(tools))
        r->tools = json_incref(tools);
    r->tools_place = "tools[].input_schema";
    return choose(x, e);
}

static bool read_tools(struct reader *x, struct err *e)
{
    json_t *tools = json_array(), *names = json_object();
    bool ok =
        read_tool_list(x, tools, names, e) && read_choice(x, names, e) && settle_tools(x, tools, e);
    json_decref(tools);
    json_decref(names);
    return ok;
}

static bool read_metadata(struct reader *x, struct err *e)
{
    const json_t *user = json_object_get(x->b.metadata, "user_id");
    if (user && !json_is_null(user) && !json_is_string(user))
        return bad(e, "metadata.user_id", "invalid_type", "'metadata.user_id' must be a string");
    if (json_string_length(user) > 512)
        return bad(e, "metadata.user_id", "out_of_range",
                   "'metadata.user_id' is longer than 512 bytes");
    if (json_object_size(x->b.metadata))
        ignore(x, "metadata");
    return true;
}

static bool read_rest(struct reader *x, struct err *e)
{
    struct chat_request *r = x->out->request;
    if (x->m->strict && x->b.model.n == 0)
        return bad(e, "model", "missing_required_parameter", "'model' is required");
    if (!read_max_tokens(x, e) || !read_sampling(x, e) || !read_metadata(x, e))
        return false;
    x->out->stream = x->b.stream;
    x->out->include_usage = true;
    r->model = arena_str(&r->arena, x->b.model);
    if (x->b.correlation_id.n)
        x->out->correlation_id = arena_str(&r->arena, x->b.correlation_id);
    r->messages = messages_turns(x->b.system, x->b.messages, x->more, &x->out->ignored, e);
    if (!r->messages)
        return false;
    const json_t *last = json_array_get(r->messages, json_array_size(r->messages) - 1);
    if (strcmp(word_of(last, "role"), "assistant") == 0) // its answer goes on from there
        r->continue_final = true;
    return read_stops(x, e) && read_thinking(x, e) && read_format(x, e) && read_tools(x, e);
}

bool messages_read(const struct manner *m, const struct runs *rs, size_t max_request, str text,
                   bool counting, struct talk_order *out, struct messages_more *more, struct err *e)
{
    struct reader x = {.m = m, .rs = rs, .counting = counting, .out = out, .more = more};
    x.b = (struct body){.max_tokens = UNSAID,
                        .top_k = UNSAID,
                        .seed = UNSAID,
                        .temperature = NAN,
                        .top_p = NAN,
                        .min_p = NAN,
                        .repetition = NAN,
                        .presence = NAN,
                        .frequency = NAN};
    *out = (struct talk_order){0};
    *more = (struct messages_more){0};
    buf_init(&out->ignored, 1024);
    json_t *body = json_parse(text, e);
    if (!body || !json_is_object(body)) {
        if (body)
            err_set(e, ERR_INPUT, "the body must be a JSON object");
        else
            err_ctx(e, "the body is not valid JSON (at %s)", e->where);
        e->where[0] = '\0';
        json_decref(body);
        return err_kind(e, "json_invalid");
    }
    out->request = chat_request_new(max_request);
    bool ok = fields_read(body_fields, COUNT(body_fields), body, &x.b, "", &out->ignored, e) &&
              read_rest(&x, e);
    if (ok && out->request->arena.full)
        ok = err_set(e, ERR_LIMIT, "the request needs more memory than one request may have");
    json_decref(body);
    if (!ok) {
        chat_request_free(out->request);
        out->request = NULL;
        buf_free(&out->ignored);
    }
    return ok;
}

const struct field_set messages_set = {"messages", body_fields, COUNT(body_fields),
                                       "ignored, named in `X-Confab-Ignored`"};
