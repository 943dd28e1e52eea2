/* dialect/functions.c - OpenAI's older way to call: `functions` and `function_call` of a body, and
 * the messages that go with them, in terms of tools.
 *
 * Source: the vendor's OpenAPI description 2.3.0, ChatCompletionFunctions and its kin. */
#include "dialect/dialect_int.h"
#include "dialect/fields.h"

#define FUNCTIONS_MAX 128

static bool bad(struct err *e, const char *place, const char *kind, const char *what)
{
    err_set_at(e, ERR_INPUT, place, "'%s' %s", place, what);
    return err_kind(e, kind);
}

static bool read_list(const json_t *functions, struct chat_request *r, struct err *e)
{
    char place[64];
    const json_t *function;
    size_t i;
    if (json_array_size(functions) > FUNCTIONS_MAX) {
        err_set_at(e, ERR_INPUT, "functions",
                   "'functions' holds %zu functions; at most %d are allowed",
                   json_array_size(functions), FUNCTIONS_MAX);
        return err_kind(e, "out_of_range");
    }
    r->tools = json_array();
    json_array_foreach((json_t *)functions, i, function)
    {
        snprintf(place, sizeof place, "functions[%zu]", i);
        json_t *made = tools_read_function(function, r->tools, place, e);
        if (!made)
            return false;
        json_array_append_new(r->tools, made);
    }
    r->tools_place = "functions[].parameters";
    r->one_call = true; // the answer has room for one
    return true;
}

static bool read_choice(const json_t *choice, struct chat_request *r, struct err *e)
{
    str word = json_as_str(choice);
    if (!choice || json_is_null(choice) || str_eqc(word, "auto"))
        return true;
    if (str_eqc(word, "none")) {
        r->tool_choice = CHAT_TOOLS_NONE;
        return true;
    }
    if (!json_is_object(choice) || !json_is_string(json_object_get(choice, "name")))
        return bad(e, "function_call", "unsupported_value",
                   "must be none, auto or an object with the 'name' of a function");
    if (tools_name_choice(json_as_str(json_object_get(choice, "name")), r, e))
        return true;
    return bad(e, "function_call", "invalid_value", "names a function that is not in 'functions'");
}

bool functions_read(const json_t *body, struct chat_request *r, bool *asked, struct err *e)
{
    static const char *const newer[] = {"tools", "tool_choice"};
    const json_t *functions = json_object_get(body, "functions");
    *asked = json_array_size(functions) > 0;
    for (size_t i = 0; *asked && i < COUNT(newer); i++) {
        const json_t *v = json_object_get(body, newer[i]);
        if (!v || fields_is_neutral(v))
            continue;
        err_set_at(e, ERR_INPUT, "functions", "'functions' and '%s' cannot be used together",
                   newer[i]);
        return err_kind(e, "unsupported_combination");
    }
    return (!*asked || read_list(functions, r, e)) &&
           read_choice(json_object_get(body, "function_call"), r, e);
}

/* The call of message number i, with an id of our own: the older way has none. */
static bool read_call(json_t *message, size_t i, json_t *ids, struct err *e)
{
    json_t *call = json_object_get(message, "function_call");
    char place[64], id[32];
    snprintf(place, sizeof place, "messages[%zu].function_call", i);
    snprintf(id, sizeof id, "call_%zu", i);
    if (json_array_size(json_object_get(message, "tool_calls")))
        return bad(e, place, "unsupported_combination", "and 'tool_calls' are in one message");
    if (json_string_length(json_object_get(call, "name")) == 0)
        return bad(e, place, "invalid_type", "must be an object with a 'name'");
    json_object_set_new(ids, json_string_value(json_object_get(call, "name")), json_string(id));
    json_t *calls = json_pack("[{s:s,s:s,s:O}]", "id", id, "type", "function", "function", call);
    bool ok = tools_read_calls(calls, place, message, e);
    json_decref(calls);
    json_object_del(message, "function_call");
    return ok;
}

static bool read_result(json_t *message, size_t i, const json_t *ids, struct err *e)
{
    const json_t *content = json_object_get(message, "content");
    const char *name = json_string_value(json_object_get(message, "name"));
    char place[64];
    snprintf(place, sizeof place, "messages[%zu].name", i);
    if (!name || !name[0])
        return bad(e, place, "missing_required_parameter",
                   "must be a string: the function whose result this is");
    json_object_set_new(message, "role", json_string("tool"));
    if (!content || json_is_null(content))
        json_object_set_new(message, "content", json_string(""));
    if (json_object_get(ids, name))
        json_object_set(message, "tool_call_id", json_object_get(ids, name));
    return true;
}

json_t *functions_read_history(const json_t *messages, struct err *e)
{
    json_t *ids = json_object(); // of the last call of each function
    json_t *out = json_array(), *in;
    size_t i;
    bool ok = true;
    json_array_foreach((json_t *)messages, i, in)
    {
        str role = json_as_str(json_object_get(in, "role"));
        const json_t *call = json_object_get(in, "function_call");
        json_t *m = json_copy(in);
        json_array_append_new(out, m);
        if (str_eqc(role, "function"))
            ok = read_result(m, i, ids, e);
        else if (str_eqc(role, "assistant") && call && !json_is_null(call))
            ok = read_call(m, i, ids, e);
        if (!ok)
            break;
    }
    json_decref(ids);
    if (ok)
        return out;
    json_decref(out);
    return NULL;
}
