/* dialect/pawa.c - Pawa AI's chat route: bodies into neutral requests.
 *
 * Neighbours in a list of messages never share a role: more text for a turn goes into its content
 * list, whose texts are joined with nothing between. */
#include "dialect/dialect_int.h"
#include "dialect/format_read.h"
#include "dialect/fields.h"

struct body {
    str model;
    const json_t *messages, *memory, *seed, *tools, *tool_choice, *response_format, *reasoning;
    int64_t max_tokens;
    double temperature, top_p, frequency_penalty, presence_penalty;
    bool stream;
};

#define AT(member) offsetof(struct body, member)
#define MANY       1e15

static const struct field fields[] = {
    {"model", FIELD_STR, AT(model), .required = true},
    {"messages", FIELD_ARRAY, AT(messages), .required = true,
     .note = "neighbours may not share a role, also where the two lists meet"},
    {"memoryChat", FIELD_ARRAY, AT(memory), .note = "goes behind the opening system message"},
    {"temperature", FIELD_NUM, AT(temperature), 0, 2},
    {"top_p", FIELD_NUM, AT(top_p), 0, 1},
    {"max_tokens", FIELD_INT, AT(max_tokens), 1, MANY},
    {"frequency_penalty", FIELD_NUM, AT(frequency_penalty), -2, 2},
    {"presence_penalty", FIELD_NUM, AT(presence_penalty), -2, 2},
    {"seed", FIELD_ANY, AT(seed)},
    {"stream", FIELD_BOOL, AT(stream)},
    {"tools", FIELD_ARRAY, AT(tools)},
    {"tool_choice", FIELD_ANY, AT(tool_choice)},
    {"response_format", FIELD_OBJECT, AT(response_format)},
    {"reasoning", FIELD_OBJECT, AT(reasoning),
     .note = "`effort` reaches the template; thinking is shown only when this is given"},
    {"rag", FIELD_REFUSE, .note = "the vendor's knowledge store is not served"},
    {"knowledgeBase", FIELD_REFUSE, .note = "the vendor's knowledge store is not served"},
    {"agents", FIELD_REFUSE, .note = "the vendor's agents are not served"},
};

static const char *role_at(const json_t *messages, size_t i)
{
    return json_string_value(json_object_get(json_array_get(messages, i), "role"));
}

static bool check_neighbours(const json_t *messages, const char *where, struct err *e)
{
    char place[64];
    for (size_t i = 1; i < json_array_size(messages); i++) {
        const char *role = role_at(messages, i);
        if (strcmp(role, role_at(messages, i - 1)) != 0)
            continue;
        snprintf(place, sizeof place, "%s[%zu]", where, i);
        err_set_at(e, ERR_INPUT, place,
                   "%s: role \"%s\" follows another \"%s\"; put the extra text into the content "
                   "list of %s[%zu]",
                   place, role, role, where, i - 1);
        return err_kind(e, "role_order");
    }
    return true;
}

/* Where two lists meet: element i of one before element k of the other. */
static bool check_seam(const json_t *first, const char *first_name, size_t i, const json_t *second,
                       const char *second_name, size_t k, struct err *e)
{
    if (i >= json_array_size(first) || k >= json_array_size(second))
        return true;
    const char *role = role_at(first, i);
    if (strcmp(role, role_at(second, k)) != 0)
        return true;
    err_set_at(e, ERR_INPUT, first_name, "%s[%zu] and %s[%zu]: two \"%s\" messages meet",
               first_name, i, second_name, k, role);
    return err_kind(e, "role_order");
}

/* The system message that opens `messages`, then the memory, then the rest. */
static json_t *merge(const json_t *messages, const json_t *memory, struct err *e)
{
    size_t n = json_array_size(messages), n_memory = json_array_size(memory);
    size_t opening = n > 0 && strcmp(role_at(messages, 0), "system") == 0 ? 1 : 0;
    if (n_memory > 0 &&
        (!check_seam(messages, "messages", opening ? 0 : n, memory, "memoryChat", 0, e) ||
         !check_seam(memory, "memoryChat", n_memory - 1, messages, "messages", opening, e)))
        return NULL;
    json_t *all = json_array();
    for (size_t i = 0; i < opening; i++)
        json_array_append(all, json_array_get(messages, i));
    for (size_t i = 0; i < n_memory; i++)
        json_array_append(all, json_array_get(memory, i));
    for (size_t i = opening; i < n; i++)
        json_array_append(all, json_array_get(messages, i));
    return all;
}

static bool has_call(const json_t *messages, size_t before, const char *id)
{
    const json_t *call;
    size_t k;
    for (size_t i = 0; id && i < before; i++)
        json_array_foreach(json_object_get(json_array_get(messages, i), "tool_calls"), k, call)
        {
            const char *name = json_string_value(json_object_get(call, "id"));
            if (name && strcmp(name, id) == 0)
                return true;
        }
    return false;
}

/* Results have a call before them; the last word is not the model's. */
static bool check_whole(const json_t *all, struct err *e)
{
    size_t n = json_array_size(all);
    bool user = false;
    for (size_t i = 0; i < n; i++) {
        const json_t *m = json_array_get(all, i);
        user = user || strcmp(role_at(all, i), "user") == 0;
        if (strcmp(role_at(all, i), "tool") == 0 &&
            !has_call(all, i, json_string_value(json_object_get(m, "tool_call_id"))))
            return err_set_at(e, ERR_INPUT, "messages",
                              "a 'tool' message has a 'tool_call_id' that no earlier message's "
                              "'tool_calls' have");
    }
    const char *last = role_at(all, n - 1);
    if (strcmp(last, "assistant") == 0)
        return err_set_at(e, ERR_INPUT, "messages",
                          "the last message is the assistant's: there is nothing to answer");
    if (strcmp(last, "system") == 0 && !user)
        return err_set_at(e, ERR_INPUT, "messages",
                          "the last message is a system message and no user message stands before "
                          "it");
    return true;
}

static bool read_messages(const struct body *b, struct chat_request *r, struct err *e)
{
    if (json_array_size(b->messages) == 0)
        return err_set_at(e, ERR_INPUT, "messages", "'messages' must hold at least one message");
    json_t *messages = turns_read(b->messages, "messages", e), *memory = NULL;
    bool ok = messages != NULL;
    if (ok) {
        memory = b->memory ? turns_read(b->memory, "memoryChat", e) : json_array();
        ok = memory && check_neighbours(messages, "messages", e) &&
             check_neighbours(memory, "memoryChat", e);
    }
    r->messages = ok ? merge(messages, memory, e) : NULL;
    json_decref(messages);
    json_decref(memory);
    return r->messages && check_whole(r->messages, e);
}

static bool check_rest(const struct body *b, struct talk_order *out, struct err *e)
{
    static const char *const efforts[] = {"low", "medium", "high"};
    out->request->one_call = true; // two results could not follow each other
    if (!tools_read_list(b->tools, out->request, e) ||
        !tools_read_choice(b->tool_choice, out->request, e))
        return false;
    if (!format_read(b->response_format, FORMAT_OBJECT, "response_format", out->request, e))
        return false;
    out->hide_reasoning = !b->reasoning;
    if (!b->reasoning)
        return true;
    const char *effort = json_string_value(json_object_get(b->reasoning, "effort"));
    size_t i = 0;
    while (i < COUNT(efforts) && !(effort && strcmp(effort, efforts[i]) == 0))
        i++;
    if (i == COUNT(efforts))
        return err_set_at(e, ERR_INPUT, "reasoning.effort",
                          "'reasoning.effort' must be one of low, medium, high");
    out->request->template_args =
        json_pack("{s:s s:b}", "reasoning_effort", effort, "enable_thinking", 1);
    return true;
}

static void set_sampling(const struct body *b, struct chat_request *r)
{
    r->model = arena_str(&r->arena, b->model);
    r->temperature = b->top_p == 0 ? 0 : (float)b->temperature;
    r->top_p = b->top_p == 0 ? 1 : (float)b->top_p;
    r->frequency_penalty = (float)b->frequency_penalty;
    r->presence_penalty = (float)b->presence_penalty;
    r->max_tokens = b->max_tokens > INT32_MAX ? INT32_MAX : (int)b->max_tokens;
}

static bool read_chat(struct dialect *d, struct http_req *req, struct talk_order *out,
                      struct err *e)
{
    struct body b = {.max_tokens = 4096,
                     .temperature = 0.1,
                     .top_p = 0.95,
                     .frequency_penalty = 0.3,
                     .presence_penalty = 0.3};
    str accept;
    *out = (struct talk_order){0};
    if (http_header(req, "accept", &accept) && str_find(accept, STR("text/event-stream")) >= 0)
        out->wire = &pawa_sse_wire;
    json_t *body = dialect_parse_body(req, e);
    if (!body)
        return false;
    buf_init(&out->ignored, 1024);
    struct chat_request *r = out->request = chat_request_new(d->conf.max_request);
    bool ok = fields_read(fields, COUNT(fields), body, &b, "", &out->ignored, e) &&
              read_messages(&b, r, e) && check_rest(&b, out, e) && openai_read_seed(b.seed, r, e);
    set_sampling(&b, r);
    out->stream = b.stream;
    if (ok && r->arena.full)
        ok = err_set(e, ERR_LIMIT, "the request needs more memory than one request may have");
    json_decref(body);
    if (!ok) {
        chat_request_free(r);
        out->request = NULL;
        buf_free(&out->ignored);
    }
    return ok;
}

static const struct route routes[] = {
    {"POST", "/v1/chat/request", "pawa.chat", &pawa_wire, read_chat},
};

const struct brand pawa_brand = {"pawa", routes, COUNT(routes), pawa_error};

const struct field_set pawa_set = {"pawa.chat", fields, COUNT(fields),
                                   "ignored, named in `X-Confab-Ignored`"};
