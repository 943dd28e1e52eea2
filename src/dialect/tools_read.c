/* dialect/tools_read.c - tools and the choice among them, in OpenAI's shape, as the brands whose
 * bodies follow it take them. */
#include "dialect/dialect_int.h"

#define TOOLS_MAX 512
#define NAME_MAX  64

static bool bad(struct err *e, const char *place, const char *kind, const char *what)
{
    err_set_at(e, ERR_INPUT, place, "'%s' %s", place, what);
    return err_kind(e, kind);
}

static bool is_name(str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '_' || c == '-';
        if (!fine)
            return false;
    }
    return name.n > 0 && name.n <= NAME_MAX;
}

static bool has_tool(const json_t *tools, str name)
{
    const json_t *tool;
    size_t i;
    json_array_foreach((json_t *)tools, i, tool)
    {
        const json_t *function = json_object_get(tool, "function");
        if (str_eq(json_as_str(json_object_get(function, "name")), name))
            return true;
    }
    return false;
}

static json_t *no_parameters(void)
{
    return json_pack("{s:s,s:{}}", "type", "object", "properties");
}

json_t *tools_read_function(const json_t *in, const json_t *before, const char *where,
                            struct err *e)
{
    char place[96];
    json_t *name = json_object_get(in, "name"), *parameters = json_object_get(in, "parameters");
    json_t *description = json_object_get(in, "description");
    snprintf(place, sizeof place, "%s.name", where);
    if (!json_is_object(in) || !is_name(json_as_str(name))) {
        bad(e, place, name ? "invalid_value" : "missing_required_parameter",
            "must be 1 to 64 letters, digits, '_' or '-'");
        return NULL;
    }
    if (has_tool(before, json_as_str(name))) {
        err_set_at(e, ERR_INPUT, place, "there are two tools named '%.64s'",
                   json_string_value(name));
        err_kind(e, "invalid_value");
        return NULL;
    }
    snprintf(place, sizeof place, "%s.parameters", where);
    if (parameters && !json_is_null(parameters) && !json_is_object(parameters)) {
        bad(e, place, "invalid_type", "must be a JSON Schema, an object");
        return NULL;
    }
    json_t *function = json_object();
    json_object_set(function, "name", name);
    if (json_is_string(description))
        json_object_set(function, "description", description);
    if (json_object_size(parameters))
        json_object_set(function, "parameters", parameters);
    else
        json_object_set_new(function, "parameters", no_parameters());
    return json_pack("{s:s,s:o}", "type", "function", "function", function);
}

bool tools_read_list(const json_t *tools, struct chat_request *r, struct err *e)
{
    const json_t *tool;
    char place[64];
    size_t i, n = json_array_size(tools), n_ours = r->n_server_tools + r->n_mcp;
    if (tools && !json_is_null(tools) && !json_is_array(tools))
        return bad(e, "tools", "invalid_type", "must be an array");
    if (n == 0)
        return true;
    if (n > TOOLS_MAX) {
        err_set_at(e, ERR_INPUT, "tools", "'tools' holds %zu tools; at most %d are allowed", n,
                   TOOLS_MAX);
        return err_kind(e, "out_of_range");
    }
    if (!r->tools)
        r->tools = json_array();
    json_array_foreach((json_t *)tools, i, tool)
    {
        if (n_ours && server_tools_skip(tool))
            continue;
        str type = json_as_str(json_object_get(tool, "type"));
        snprintf(place, sizeof place, "tools[%zu].type", i);
        if (!str_eqc(type, "function")) {
            err_set_at(e, ERR_INPUT, place,
                       "'%s' can only be \"function\" here: there is no tool of type '%.*s'", place,
                       STR_ARG(str_sub(type, 0, 64)));
            return err_kind(e, "unsupported_value");
        }
        snprintf(place, sizeof place, "tools[%zu].function", i);
        json_t *made = tools_read_function(json_object_get(tool, "function"), r->tools, place, e);
        if (!made)
            return false;
        json_array_append_new(r->tools, made);
    }
    return true;
}

bool tools_name_choice(str name, struct chat_request *r, struct err *e)
{
    for (size_t i = 0; i < r->n_server_tools; i++)
        if (str_eq(name, r->server_tools[i].shown))
            name = r->server_tools[i].function;
    if (!has_tool(r->tools, name) && r->n_mcp == 0) { // else it may be a server's: tools/session.c
        err_set_at(e, ERR_INPUT, "tool_choice", "'tool_choice' names '%.*s', which is no tool here",
                   STR_ARG(str_sub(name, 0, 64)));
        return err_kind(e, "invalid_value");
    }
    r->tool_choice = CHAT_TOOLS_NAMED;
    r->tool_name = arena_str(&r->arena, name);
    return true;
}

/* Only the tools of a list may be called; the others are taken out. */
static bool allow_tools(const json_t *allowed, struct chat_request *r, struct err *e)
{
    const json_t *tools = json_object_get(allowed, "tools"), *tool;
    size_t i;
    json_t *kept = json_array();
    json_array_foreach((json_t *)tools, i, tool)
    {
        const json_t *function = json_object_get(tool, "function");
        str name = json_as_str(json_object_get(function ? function : tool, "name"));
        size_t k;
        json_t *have;
        bool found = false;
        json_array_foreach(
            r->tools, k,
            have) if (str_eq(json_as_str(json_object_get(json_object_get(have, "function"),
                                                         "name")),
                             name))
        {
            json_array_append(kept, have);
            found = true;
        }
        if (!found) {
            json_decref(kept);
            err_set_at(e, ERR_INPUT, "tool_choice",
                       "'tool_choice' allows '%.*s', which is no tool here",
                       STR_ARG(str_sub(name, 0, 64)));
            return err_kind(e, "invalid_value");
        }
    }
    json_decref(r->tools);
    r->tools = kept;
    str mode = json_as_str(json_object_get(allowed, "mode"));
    r->tool_choice = str_eqc(mode, "required") ? CHAT_TOOLS_REQUIRED : CHAT_TOOLS_AUTO;
    return str_eqc(mode, "required") || str_eqc(mode, "auto") ||
           bad(e, "tool_choice", "invalid_value", "has a 'mode' that is neither auto nor required");
}

bool tools_read_choice(const json_t *choice, struct chat_request *r, struct err *e)
{
    static const struct {
        const char *word;
        enum chat_tool_choice choice;
    } words[] = {{"none", CHAT_TOOLS_NONE},
                 {"auto", CHAT_TOOLS_AUTO},
                 {"required", CHAT_TOOLS_REQUIRED},
                 {"any", CHAT_TOOLS_REQUIRED}};
    if (!choice || json_is_null(choice))
        return true;
    for (size_t i = 0; json_is_string(choice) && i < COUNT(words); i++) {
        if (!str_eqc(json_as_str(choice), words[i].word))
            continue;
        if (words[i].choice == CHAT_TOOLS_REQUIRED && json_array_size(r->tools) == 0 &&
            r->n_mcp == 0)
            return bad(e, "tool_choice", "invalid_value", "demands a call, but there are no tools");
        r->tool_choice = words[i].choice;
        return true;
    }
    str type = json_as_str(json_object_get(choice, "type"));
    if (str_eqc(type, "function")) {
        const json_t *function = json_object_get(choice, "function");
        return tools_name_choice(json_as_str(json_object_get(function ? function : choice, "name")),
                                 r, e);
    }
    if (str_eqc(type, "allowed_tools")) {
        const json_t *allowed = json_object_get(choice, "allowed_tools");
        return allow_tools(allowed ? allowed : choice, r, e);
    }
    return bad(e, "tool_choice", "unsupported_value",
               "must be none, auto, required or an object that names a function");
}

bool tools_read(const json_t *body, struct chat_request *r, struct err *e)
{
    const json_t *many = json_object_get(body, "parallel_tool_calls");
    if (many && !json_is_null(many) && !json_is_boolean(many))
        return bad(e, "parallel_tool_calls", "invalid_type", "must be a boolean");
    r->one_call |= json_is_false(many);
    return tools_read_list(json_object_get(body, "tools"), r, e) &&
           tools_read_choice(json_object_get(body, "tool_choice"), r, e);
}

/* Calls and results in a history. */

static json_t *read_call(const json_t *in, const char *place, struct err *e)
{
    const json_t *function = json_object_get(in, "function");
    json_t *name = json_object_get(function, "name"), *id = json_object_get(in, "id");
    const json_t *arguments = json_object_get(function, "arguments");
    json_t *parsed = NULL;
    if (json_string_length(name) == 0) {
        bad(e, place, "invalid_type", "must be an object with a 'function' that has a 'name'");
        return NULL;
    }
    if (json_is_string(arguments)) {
        struct err why;
        str text = str_trim(json_as_str(arguments));
        parsed = text.n ? json_parse(text, &why) : json_object();
    } else if (json_is_object(arguments)) {
        parsed = json_incref((json_t *)arguments);
    } else if (!arguments || json_is_null(arguments)) {
        parsed = json_object();
    }
    if (!json_is_object(parsed)) {
        json_decref(parsed);
        bad(e, place, "invalid_value", "has arguments that are not the text of a JSON object");
        return NULL;
    }
    json_t *out = json_pack("{s:s s:{s:O s:o}}", "type", "function", "function", "name", name,
                            "arguments", parsed);
    if (json_is_string(id))
        json_object_set(out, "id", id);
    return out;
}

bool tools_read_calls(const json_t *calls, const char *where, json_t *message, struct err *e)
{
    char place[112];
    const json_t *in;
    size_t k;
    if (!json_is_array(calls))
        return bad(e, where, "invalid_type", "must be an array");
    json_t *list = json_array();
    json_object_set_new(message, "tool_calls", list);
    json_array_foreach((json_t *)calls, k, in)
    {
        snprintf(place, sizeof place, "%s[%zu]", where, k);
        json_t *call = read_call(in, place, e);
        if (!call)
            return false;
        json_array_append_new(list, call);
    }
    return true;
}

void tools_name_results(json_t *messages)
{
    json_t *names = json_object(), *m, *call;
    size_t i, k;
    json_array_foreach(messages, i, m)
    {
        json_array_foreach(json_object_get(m, "tool_calls"), k, call)
        {
            const char *id = json_string_value(json_object_get(call, "id"));
            if (id)
                json_object_set(names, id,
                                json_object_get(json_object_get(call, "function"), "name"));
        }
        const char *id = json_string_value(json_object_get(m, "tool_call_id"));
        json_t *name = id ? json_object_get(names, id) : NULL;
        if (name && !json_object_get(m, "name"))
            json_object_set(m, "name", name);
    }
    json_decref(names);
}
