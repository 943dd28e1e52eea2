/* chat/pack_request.c - requests as JSON objects.  Every member is written, so that what a default
 * is may change; one that is not there when it is read has the default of a new request. */
#include "chat/pack.h"

#include "base/mem.h"
#include "json/json.h"

#include <limits.h>
#include <math.h>

enum kind {
    KIND_BOOL,
    KIND_INT,
    KIND_SIZE,
    KIND_U32,
    KIND_U64, // as the signed number of the same bits
    KIND_FLOAT,
    KIND_STR,
    KIND_TEXT, // NUL-terminated, or NULL
    KIND_JSON,
    KIND_WORD, // an enum, by the words of the row
    KIND_LIST  // by the functions of the row
};

static const char *const formats[] = {[CHAT_FORMAT_TEXT] = "text",
                                      [CHAT_FORMAT_JSON] = "json",
                                      [CHAT_FORMAT_SCHEMA] = "schema",
                                      [CHAT_FORMAT_REGEX] = "regex",
                                      [CHAT_FORMAT_GRAMMAR] = "grammar"};
static const char *const choices[] = {[CHAT_TOOLS_AUTO] = "auto",
                                      [CHAT_TOOLS_NONE] = "none",
                                      [CHAT_TOOLS_REQUIRED] = "required",
                                      [CHAT_TOOLS_NAMED] = "named"};

/* Lists: to a new array, or NULL for none; from one, into the arena (which may become full). */
static json_t *write_stops(const struct chat_request *r);
static bool read_stops(const json_t *v, struct chat_request *r);
static json_t *write_ends(const struct chat_request *r);
static bool read_ends(const json_t *v, struct chat_request *r);
static json_t *write_seeds(const struct chat_request *r);
static bool read_seeds(const json_t *v, struct chat_request *r);
static json_t *write_bias(const struct chat_request *r);
static bool read_bias(const json_t *v, struct chat_request *r);
static json_t *write_prompts(const struct chat_request *r);
static bool read_prompts(const json_t *v, struct chat_request *r);
static json_t *write_tools(const struct chat_request *r);
static bool read_tools(const json_t *v, struct chat_request *r);
static json_t *write_mcp(const struct chat_request *r);
static bool read_mcp(const json_t *v, struct chat_request *r);

static const struct field {
    const char *name;
    enum kind kind;
    size_t at;
    const char *const *words;
    size_t n_words;
    json_t *(*write)(const struct chat_request *r);
    bool (*read)(const json_t *v, struct chat_request *r);
} fields[] = {
#define F(member, what)                                                                            \
    {                                                                                              \
#member, what, offsetof(struct chat_request, member)                                       \
    }
#define WORD(member, list)                                                                         \
    {                                                                                              \
#member, KIND_WORD, offsetof(struct chat_request, member), list, COUNT(list)               \
    }
#define LIST(member, put, get)                                                                     \
    {                                                                                              \
#member, KIND_LIST, .write = put, .read = get                                              \
    }
    F(model, KIND_STR),
    F(team, KIND_STR),
    F(messages, KIND_JSON),
    F(tools, KIND_JSON),
    F(template_args, KIND_JSON),
    F(add_generation_prompt, KIND_BOOL),
    F(continue_final, KIND_BOOL),
    F(truncate_to, KIND_SIZE),
    LIST(prompts, write_prompts, read_prompts),
    F(n_choices, KIND_INT),
    LIST(seeds, write_seeds, read_seeds), // behind n_choices, which is their number
    F(max_tokens, KIND_INT),
    F(min_tokens, KIND_INT),
    LIST(stops, write_stops, read_stops),
    LIST(ends, write_ends, read_ends),
    F(ignore_eos, KIND_BOOL),
    F(no_answer, KIND_BOOL),
    F(raw_text, KIND_BOOL),
    F(thinking_as_text, KIND_BOOL),
    F(bad_words, KIND_JSON),
    F(bad_tokens, KIND_JSON),
    F(stop_tokens, KIND_JSON),
    F(forced, KIND_JSON),
    F(no_repeat_ngram, KIND_INT),
    F(max_total, KIND_INT),
    F(min_total, KIND_INT),
    WORD(format, formats),
    F(format_schema, KIND_JSON),
    F(format_place, KIND_TEXT),
    F(format_root, KIND_STR),
    F(format_source, KIND_STR),
    F(tools_place, KIND_TEXT),
    WORD(tool_choice, choices),
    F(tool_name, KIND_STR),
    F(one_call, KIND_BOOL),
    F(reasoning_budget, KIND_INT),
    F(want_tokens, KIND_BOOL),
    F(want_logprobs, KIND_BOOL),
    F(top_logprobs, KIND_INT),
    F(want_progress, KIND_BOOL),
    LIST(server_tools, write_tools, read_tools),
    LIST(mcp, write_mcp, read_mcp),
    F(max_rounds, KIND_INT),
    F(end_at_max_rounds, KIND_BOOL),
    F(max_failures, KIND_INT),
    F(max_tokens_in_all, KIND_BOOL),
    F(temperature, KIND_FLOAT),
    F(top_p, KIND_FLOAT),
    F(min_p, KIND_FLOAT),
    F(xtc_threshold, KIND_FLOAT),
    F(xtc_probability, KIND_FLOAT),
    F(repetition_penalty, KIND_FLOAT),
    F(frequency_penalty, KIND_FLOAT),
    F(presence_penalty, KIND_FLOAT),
    F(top_k, KIND_INT),
    F(has_seed, KIND_BOOL),
    F(seed, KIND_U64),
    LIST(bias, write_bias, read_bias),
    F(priority, KIND_INT),
    F(timeout_ms, KIND_U32),
    F(aside, KIND_JSON),
#undef F
#undef WORD
#undef LIST
};

/* Values. */

static json_t *from_float(float v)
{
    return isfinite(v) ? json_real((double)v)
                       : json_string(isnan(v) ? "nan"
                                     : v > 0  ? "inf"
                                              : "-inf");
}

static bool to_float(const json_t *v, float *out)
{
    if (json_is_number(v)) {
        double d = json_number_value(v);
        *out = (float)d;
        return fabs(d) <= 3.5e38;
    }
    str word = json_as_str(v);
    *out = str_eqc(word, "nan") ? NAN : str_eqc(word, "inf") ? INFINITY : -INFINITY;
    return str_eqc(word, "nan") || str_eqc(word, "inf") || str_eqc(word, "-inf");
}

static bool to_int(const json_t *v, int *out)
{
    json_int_t n = json_integer_value(v);
    *out = (int)n;
    return json_is_integer(v) && n >= INT_MIN && n <= INT_MAX;
}

static json_t *from_str(str s)
{
    return json_from_str(s);
}

static bool to_str(const json_t *v, struct arena *a, str *out)
{
    *out = arena_str(a, json_as_str(v));
    return json_is_string(v);
}

/* An array of n for a list; NULL when v is none. */
static void *room_for(const json_t *v, struct arena *a, size_t size, size_t *n)
{
    *n = json_array_size(v);
    return *n ? arena_calloc(a, *n, size) : NULL;
}

static json_t *from_strs(const str *list, size_t n)
{
    json_t *out = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(out, from_str(list[i]));
    return out;
}

static bool to_strs(const json_t *v, struct arena *a, str **list, size_t *n)
{
    str *out = room_for(v, a, sizeof *out, n);
    if (!json_is_array(v) || (*n && !out))
        return false;
    for (size_t i = 0; i < *n; i++)
        if (!to_str(json_array_get(v, i), a, &out[i]))
            return false;
    *list = out;
    return true;
}

static json_t *from_ids(const int32_t *list, size_t n)
{
    json_t *out = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(out, json_integer(list[i]));
    return out;
}

static bool to_ids(const json_t *v, struct arena *a, int32_t **list, size_t *n)
{
    int32_t *out = room_for(v, a, sizeof *out, n);
    if (!json_is_array(v) || (*n && !out))
        return false;
    for (size_t i = 0; i < *n; i++) {
        int id;
        if (!to_int(json_array_get(v, i), &id) || id < 0)
            return false;
        out[i] = id;
    }
    *list = out;
    return true;
}

/* Lists. */

static json_t *write_stops(const struct chat_request *r)
{
    return r->n_stops ? from_strs(r->stops, r->n_stops) : NULL;
}

static bool read_stops(const json_t *v, struct chat_request *r)
{
    if (!to_strs(v, &r->arena, &r->stops, &r->n_stops))
        return false;
    for (size_t i = 0; i < r->n_stops; i++)
        if (r->stops[i].n == 0)
            return false;
    return true;
}

static json_t *write_ends(const struct chat_request *r)
{
    return r->n_ends ? from_ids(r->ends, r->n_ends) : NULL;
}

static bool read_ends(const json_t *v, struct chat_request *r)
{
    return to_ids(v, &r->arena, &r->ends, &r->n_ends);
}

static json_t *write_seeds(const struct chat_request *r)
{
    if (!r->seeds)
        return NULL;
    json_t *out = json_array();
    for (int i = 0; i < r->n_choices; i++)
        json_array_append_new(out, json_integer((json_int_t)r->seeds[i]));
    return out;
}

static bool read_seeds(const json_t *v, struct chat_request *r)
{
    size_t n;
    uint64_t *seeds = room_for(v, &r->arena, sizeof *seeds, &n);
    if (!seeds || r->n_choices < 0 || n != (size_t)r->n_choices)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!json_is_integer(json_array_get(v, i)))
            return false;
        seeds[i] = (uint64_t)json_integer_value(json_array_get(v, i));
    }
    r->seeds = seeds;
    return true;
}

static json_t *write_bias(const struct chat_request *r)
{
    if (!r->n_bias)
        return NULL;
    json_t *out = json_array();
    for (size_t i = 0; i < r->n_bias; i++) {
        json_t *pair = json_array();
        json_array_append_new(pair, json_integer(r->bias[i].id));
        json_array_append_new(pair, from_float(r->bias[i].bias));
        json_array_append_new(out, pair);
    }
    return out;
}

static bool read_bias(const json_t *v, struct chat_request *r)
{
    struct chat_bias *bias = room_for(v, &r->arena, sizeof *bias, &r->n_bias);
    for (size_t i = 0; bias && i < r->n_bias; i++) {
        const json_t *pair = json_array_get(v, i);
        int id;
        if (!to_int(json_array_get(pair, 0), &id) || id < 0 ||
            !to_float(json_array_get(pair, 1), &bias[i].bias))
            return false;
        bias[i].id = id;
    }
    r->bias = bias;
    return bias != NULL;
}

static json_t *write_prompts(const struct chat_request *r)
{
    if (!r->n_prompts)
        return NULL;
    json_t *out = json_array();
    for (size_t i = 0; i < r->n_prompts; i++) {
        const struct chat_prompt *p = &r->prompts[i];
        json_t *one = json_object();
        if (p->tokens)
            json_object_set_new(one, "tokens", from_ids(p->tokens, p->n_tokens));
        else
            json_object_set_new(one, "text", from_str(p->text));
        json_object_set_new(one, "special", json_boolean(p->special));
        json_array_append_new(out, one);
    }
    return out;
}

static bool read_prompts(const json_t *v, struct chat_request *r)
{
    static const int32_t none[1];
    struct chat_prompt *prompts = room_for(v, &r->arena, sizeof *prompts, &r->n_prompts);
    for (size_t i = 0; prompts && i < r->n_prompts; i++) {
        const json_t *one = json_array_get(v, i), *tokens = json_object_get(one, "tokens");
        int32_t *ids = NULL;
        prompts[i].special = json_is_true(json_object_get(one, "special"));
        if (tokens ? !to_ids(tokens, &r->arena, &ids, &prompts[i].n_tokens)
                   : !to_str(json_object_get(one, "text"), &r->arena, &prompts[i].text))
            return false;
        prompts[i].tokens = tokens && !ids ? none : ids; // an empty list is one all the same
    }
    r->prompts = prompts;
    return prompts != NULL;
}

static json_t *write_tools(const struct chat_request *r)
{
    if (!r->n_server_tools)
        return NULL;
    json_t *out = json_array();
    for (size_t i = 0; i < r->n_server_tools; i++) {
        const struct chat_server_tool *t = &r->server_tools[i];
        json_t *one = json_object();
        json_object_set_new(one, "name", from_str(t->name));
        json_object_set_new(one, "server", from_str(t->server));
        json_object_set_new(one, "function", from_str(t->function));
        json_object_set_new(one, "shown", from_str(t->shown));
        if (t->files)
            json_object_set(one, "files", t->files);
        json_array_append_new(out, one);
    }
    return out;
}

static bool read_tools(const json_t *v, struct chat_request *r)
{
    size_t n;
    r->server_tools = room_for(v, &r->arena, sizeof *r->server_tools, &n);
    for (size_t i = 0; r->server_tools && i < n; i++) {
        struct chat_server_tool *t = &r->server_tools[i];
        const json_t *one = json_array_get(v, i);
        t->files = json_incref(json_object_get(one, "files"));
        r->n_server_tools++; // from here on its files are released with the request
        if (!to_str(json_object_get(one, "name"), &r->arena, &t->name) ||
            !to_str(json_object_get(one, "server"), &r->arena, &t->server) ||
            !to_str(json_object_get(one, "function"), &r->arena, &t->function) ||
            !to_str(json_object_get(one, "shown"), &r->arena, &t->shown) ||
            (t->files && !json_is_array(t->files)))
            return false;
    }
    return r->server_tools != NULL;
}

static json_t *write_mcp(const struct chat_request *r)
{
    if (!r->n_mcp)
        return NULL;
    json_t *out = json_array();
    for (size_t i = 0; i < r->n_mcp; i++) {
        const struct chat_mcp_server *m = &r->mcp[i];
        json_t *one = json_object();
        json_object_set_new(one, "name", from_str(m->name));
        json_object_set_new(one, "url", from_str(m->url));
        if (m->events)
            json_object_set_new(one, "events", json_true());
        json_object_set_new(one, "headers", from_strs(m->headers, m->n_headers));
        if (m->some)
            json_object_set_new(one, "allowed", from_strs(m->allowed, m->n_allowed));
        if (m->n_denied)
            json_object_set_new(one, "denied", from_strs(m->denied, m->n_denied));
        json_array_append_new(out, one);
    }
    return out;
}

static bool read_mcp(const json_t *v, struct chat_request *r)
{
    struct chat_mcp_server *mcp = room_for(v, &r->arena, sizeof *mcp, &r->n_mcp);
    for (size_t i = 0; mcp && i < r->n_mcp; i++) {
        const json_t *one = json_array_get(v, i), *allowed = json_object_get(one, "allowed");
        const json_t *denied = json_object_get(one, "denied");
        mcp[i].some = allowed != NULL;
        mcp[i].events = json_is_true(json_object_get(one, "events"));
        if (!to_str(json_object_get(one, "name"), &r->arena, &mcp[i].name) ||
            !to_str(json_object_get(one, "url"), &r->arena, &mcp[i].url) ||
            !to_strs(json_object_get(one, "headers"), &r->arena, &mcp[i].headers,
                     &mcp[i].n_headers) ||
            (allowed && !to_strs(allowed, &r->arena, &mcp[i].allowed, &mcp[i].n_allowed)) ||
            (denied && !to_strs(denied, &r->arena, &mcp[i].denied, &mcp[i].n_denied)))
            return false;
    }
    r->mcp = mcp;
    return mcp != NULL;
}

/* The whole. */

/* A new value, or NULL when there is nothing to be said. */
static json_t *write_field(const struct field *f, const struct chat_request *r)
{
    const void *at = (const char *)r + f->at;
    switch (f->kind) {
    case KIND_BOOL: return json_boolean(*(const bool *)at);
    case KIND_INT: return json_integer(*(const int *)at);
    case KIND_SIZE: return json_integer((json_int_t) * (const size_t *)at);
    case KIND_U32: return json_integer(*(const uint32_t *)at);
    case KIND_U64: return json_integer((json_int_t) * (const uint64_t *)at);
    case KIND_FLOAT: return from_float(*(const float *)at);
    case KIND_STR: return from_str(*(const str *)at);
    case KIND_TEXT: return *(const char *const *)at ? from_str(str_c(*(char *const *)at)) : NULL;
    case KIND_JSON: return json_incref(*(json_t *const *)at);
    case KIND_WORD: return json_string(f->words[*(const int *)at]);
    case KIND_LIST: return f->write(r);
    }
    return NULL;
}
_Static_assert(sizeof(enum chat_format) == sizeof(int), "KIND_WORD reads an int");
_Static_assert(sizeof(enum chat_tool_choice) == sizeof(int), "KIND_WORD reads an int");

bool chat_request_pack(const struct chat_request *r, struct buf *out)
{
    json_t *all = json_object();
    for (size_t i = 0; i < COUNT(fields); i++) {
        json_t *v = write_field(&fields[i], r);
        if (v)
            json_object_set_new(all, fields[i].name, v);
    }
    json_write(out, all, JSON_PLAIN, -1);
    json_decref(all);
    return !out->full;
}

static bool read_field(const struct field *f, json_t *v, struct chat_request *r)
{
    void *at = (char *)r + f->at;
    json_int_t n = json_integer_value(v);
    switch (f->kind) {
    case KIND_BOOL: *(bool *)at = json_is_true(v); return json_is_boolean(v);
    case KIND_INT: return to_int(v, at);
    case KIND_SIZE: *(size_t *)at = (size_t)n; return json_is_integer(v) && n >= 0;
    case KIND_U32:
        *(uint32_t *)at = (uint32_t)n;
        return json_is_integer(v) && n >= 0 && n <= UINT32_MAX;
    case KIND_U64: *(uint64_t *)at = (uint64_t)n; return json_is_integer(v);
    case KIND_FLOAT: return to_float(v, at);
    case KIND_STR: return to_str(v, &r->arena, at);
    case KIND_TEXT:
        *(const char **)at = arena_str(&r->arena, json_as_str(v)).p;
        return json_is_string(v);
    case KIND_JSON: *(json_t **)at = json_incref(v); return true;
    case KIND_WORD:
        for (size_t i = 0; i < f->n_words; i++)
            if (str_eqc(json_as_str(v), f->words[i])) {
                *(int *)at = (int)i;
                return true;
            }
        return false;
    case KIND_LIST: return f->read(v, r);
    }
    return false;
}

/* What everybody takes for granted of a request that a dialect has read. */
static bool are_messages(const json_t *list)
{
    const json_t *m;
    size_t i;
    if (!json_is_array(list))
        return false;
    json_array_foreach(list, i, m)
    {
        const json_t *content = json_object_get(m, "content");
        if (!json_is_string(json_object_get(m, "role")) ||
            !(content == NULL || json_is_string(content) || json_is_null(content)))
            return false;
    }
    return true;
}

/* Lists, or nothing. */
static bool are_texts(const json_t *list)
{
    const json_t *v;
    size_t i;
    json_array_foreach(list, i, v)
    {
        if (!json_is_string(v))
            return false;
    }
    return !list || json_is_array(list);
}

static bool are_ids(const json_t *list)
{
    const json_t *v;
    size_t i;
    json_array_foreach(list, i, v)
    {
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > INT_MAX)
            return false;
    }
    return !list || json_is_array(list);
}

static bool are_lists_of_ids(const json_t *list)
{
    const json_t *v;
    size_t i;
    json_array_foreach(list, i, v)
    {
        if (!json_is_array(v) || !are_ids(v))
            return false;
    }
    return !list || json_is_array(list);
}

/* The member that is not as it must be; NULL: none. */
static const char *unsound(const struct chat_request *r)
{
    if (r->messages ? !are_messages(r->messages) : r->n_prompts == 0)
        return "messages";
    if (r->tools && !json_is_array(r->tools))
        return "tools";
    if (r->template_args && !json_is_object(r->template_args))
        return "template_args";
    if (r->n_choices < 1)
        return "n_choices";
    if (!are_texts(r->bad_words))
        return "bad_words";
    if (!are_ids(r->forced))
        return "forced";
    if (!are_lists_of_ids(r->bad_tokens))
        return "bad_tokens";
    if (!are_lists_of_ids(r->stop_tokens))
        return "stop_tokens";
    if (r->top_logprobs < 0)
        return "top_logprobs";
    return NULL;
}

static const struct field *find(const char *name)
{
    for (size_t i = 0; i < COUNT(fields); i++)
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    return NULL;
}

/* *bad: the member at fault. */
static bool read_all(const json_t *all, struct chat_request *r, const char **bad)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)all, name, v)
    {
        *bad = name;
        if (!find(name))
            return false;
    }
    for (size_t i = 0; i < COUNT(fields); i++) { // in the order of the table
        v = json_object_get(all, fields[i].name);
        *bad = fields[i].name;
        if (v && !read_field(&fields[i], v, r))
            return false;
    }
    *bad = unsound(r);
    return *bad == NULL;
}

struct chat_request *chat_request_unpack(str text, size_t max_memory, struct err *e)
{
    const char *bad = "";
    json_t *all = json_parse(text, e);
    if (!json_is_object(all)) {
        json_decref(all);
        err_set(e, ERR_FORMAT, "the stored request is damaged");
        return NULL;
    }
    struct chat_request *r = chat_request_new(max_memory);
    bool ok = read_all(all, r, &bad);
    if (r->arena.full)
        ok = err_set(e, ERR_LIMIT, "the stored request is larger than %zu bytes", max_memory);
    else if (!ok)
        err_set_at(e, ERR_FORMAT, bad, "the stored request is damaged: %.100s", bad);
    json_decref(all);
    if (ok)
        return r;
    chat_request_free(r);
    return NULL;
}
