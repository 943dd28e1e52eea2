/* dialect/nugen.c - Nugen's routes: bodies into neutral requests, lists, health.
 *
 * All faults of a body are told at once, in the order of the tables below.  What does not fit is
 * made to: an absent prompt_truncate_len means 1500 tokens, null switches eviction off. */
#include "dialect/dialect_int.h"
#include "dialect/fields.h"

#define FAULTS_MAX   16
#define TRUNCATE_LEN 1500

struct body {
    str model, overflow;
    const json_t *messages, *prompt, *stop, *seed, *tools, *tool_choice, *reasoning;
    int64_t max_tokens, truncate_len, top_k, n;
    double temperature, top_p;
    bool stream, parallel;
};

#define AT(member) offsetof(struct body, member)
#define MANY       1e15

#define MODEL                                                                                      \
    {                                                                                              \
        "model", FIELD_STR, AT(model), .required = true                                            \
    }
static const struct field chat_fields[] = {
    MODEL,
    {"messages", FIELD_ARRAY, AT(messages), .required = true},
    {"max_tokens", FIELD_INT, AT(max_tokens), 0, MANY,
     .note = "lowered to what the context leaves; 0: an empty answer"},
    {"prompt_truncate_len", FIELD_INT, AT(truncate_len), 1, MANY,
     .note = "absent 1500, null off; earlier turns leave whole, oldest first, no more than must; "
             "system messages and all from the last user message on stay; "
             "`X-Confab-Evicted-Messages` counts them"},
    {"temperature", FIELD_NUM, AT(temperature), 0, 2},
    {"top_p", FIELD_NUM, AT(top_p), 1e-6, 1},
    {"top_k", FIELD_INT, AT(top_k), 0, MANY},
    {"n", FIELD_INT, AT(n), 1, 8},
    {"stream", FIELD_BOOL, AT(stream)},
    {"stop", FIELD_ANY, AT(stop)},
    {"seed", FIELD_ANY, AT(seed)},
    {"tools", FIELD_ARRAY, AT(tools)},
    {"tool_choice", FIELD_ANY, AT(tool_choice)},
    {"parallel_tool_calls", FIELD_BOOL, AT(parallel)},
    {"reasoning", FIELD_OBJECT, AT(reasoning),
     .note = "`effort` and `enabled` reach the template, `exclude` leaves thinking out; "
             "`max_tokens` bounds it"},
    {"context_length_exceeded_behavior", FIELD_STR, AT(overflow),
     .note = "`truncate`; `error` is refused"},
};

static const struct field completion_fields[] = {
    MODEL,
    {"prompt", FIELD_ANY, AT(prompt), .required = true},
    {"max_tokens", FIELD_INT, AT(max_tokens), 0, MANY,
     .note = "lowered to what the context leaves; 0: an empty answer"},
    {"temperature", FIELD_NUM, AT(temperature), 0, 2},
    {"top_p", FIELD_NUM, AT(top_p), 1e-6, 1},
    {"top_k", FIELD_INT, AT(top_k), 0, MANY},
    {"n", FIELD_INT, AT(n), 1, 8},
    {"stream", FIELD_BOOL, AT(stream)},
    {"stop", FIELD_ANY, AT(stop)},
    {"seed", FIELD_ANY, AT(seed)},
};

struct faults {
    struct nugen_fault list[FAULTS_MAX];
    size_t n;
};

static void add_fault(struct faults *f, const char *where, const char *type, const char *msg)
{
    if (f->n == FAULTS_MAX)
        return;
    struct nugen_fault *fault = &f->list[f->n++];
    snprintf(fault->where, sizeof fault->where, "%s", where);
    snprintf(fault->msg, sizeof fault->msg, "%s", msg);
    fault->type = type;
}

/* The table reader's error in the words of the framework this shape comes from. */
static void add_field_fault(struct faults *f, const struct field *field, const json_t *v,
                            const struct err *e)
{
    static const struct {
        const char *type, *msg;
    } kinds[] = {
        [FIELD_BOOL] = {"bool_type", "must be a boolean"},
        [FIELD_INT] = {"int_type", "must be an integer"},
        [FIELD_NUM] = {"float_type", "must be a number"},
        [FIELD_STR] = {"string_type", "must be a string"},
        [FIELD_ARRAY] = {"list_type", "must be an array"},
        [FIELD_OBJECT] = {"dict_type", "must be an object"},
    };
    char msg[64];
    bool above = json_number_value(v) > field->max;
    if (strcmp(e->kind, "missing_required_parameter") == 0) {
        add_fault(f, e->where, "missing", "field is required");
    } else if (strcmp(e->kind, "out_of_range") == 0) {
        snprintf(msg, sizeof msg, "must be at %s %g", above ? "most" : "least",
                 above ? field->max : field->min);
        add_fault(f, e->where, above ? "less_than_equal" : "greater_than_equal", msg);
    } else if (strcmp(e->kind, "invalid_type") == 0 && field->kind < COUNT(kinds)) {
        add_fault(f, e->where, kinds[field->kind].type, kinds[field->kind].msg);
    } else {
        add_fault(f, e->where, "value_error", e->msg);
    }
}

/* What a value means beyond its type: false with a fault added, or with *e set for what is no fault
 * of the body's form. */
static bool check_messages(struct body *b, struct chat_request *r, struct faults *f, struct err *e)
{
    if (json_array_size(b->messages) == 0) {
        add_fault(f, "messages", "too_short", "needs at least 1 item");
        return true;
    }
    r->messages = turns_read(b->messages, "messages", e);
    if (r->messages)
        return true;
    bool missing = strcmp(e->kind, "missing_required_parameter") == 0;
    if (strcmp(e->kind, "unsupported_content") == 0)
        return false;
    add_fault(f, e->where, missing ? "missing" : "value_error",
              missing ? "field is required" : e->msg);
    return true;
}

static void check_choice(const struct body *b, struct chat_request *r, struct faults *f)
{
    struct err e;
    r->one_call = !b->parallel;
    if (!tools_read_list(b->tools, r, &e) || !tools_read_choice(b->tool_choice, r, &e))
        add_fault(f, e.where, "value_error", e.msg);
    if (b->overflow.n && !str_eqc(b->overflow, "truncate"))
        add_fault(f, "context_length_exceeded_behavior", "literal_error",
                  "can only be 'truncate' here: max_tokens is lowered to what fits");
}

static void check_reasoning(const struct body *b, struct talk_order *out, struct faults *f)
{
    static const char *const words[] = {"xhigh", "high", "medium", "low", "minimal", "none"};
    struct chat_request *r = out->request;
    if (!b->reasoning)
        return;
    const json_t *effort = json_object_get(b->reasoning, "effort");
    const json_t *enabled = json_object_get(b->reasoning, "enabled");
    const char *word = json_string_value(effort);
    bool off = json_is_false(enabled);
    r->template_args = json_object();
    if (effort && !json_is_null(effort)) {
        size_t i = 0;
        while (i < COUNT(words) && !(word && strcmp(word, words[i]) == 0))
            i++;
        if (i == COUNT(words)) {
            add_fault(f, "reasoning.effort", "literal_error",
                      "must be one of xhigh, high, medium, low, minimal, none");
            return;
        }
        off = off || strcmp(word, "none") == 0;
        json_object_set_new(r->template_args, "reasoning_effort", json_string(word));
    }
    if (off || json_is_true(enabled))
        json_object_set_new(r->template_args, "enable_thinking", json_boolean(!off));
    const json_t *budget = json_object_get(b->reasoning, "max_tokens");
    if (budget && !json_is_null(budget)) {
        json_int_t n = json_integer_value(budget);
        if (!json_is_integer(budget) || n < 1)
            add_fault(f, "reasoning.max_tokens", "greater_than_equal",
                      "must be an integer of at least 1");
        r->reasoning_budget = n > INT32_MAX ? INT32_MAX : (int)n;
    }
    out->hide_reasoning = json_is_true(json_object_get(b->reasoning, "exclude"));
}

static void check_shared(struct body *b, struct chat_request *r, struct faults *f)
{
    struct err e;
    if (!openai_read_stops(b->stop, r, &e))
        add_fault(f, "stop", "value_error", e.msg);
    else if (r->n_stops > 4)
        add_fault(f, "stop", "too_long", "holds at most 4 texts");
    if (!openai_read_seed(b->seed, r, &e))
        add_fault(f, "seed", "int_type", "must be an integer");
    r->model = arena_str(&r->arena, b->model);
    r->temperature = (float)b->temperature;
    r->top_p = (float)b->top_p;
    r->top_k = b->top_k > INT32_MAX ? 0 : (int)b->top_k;
    r->n_choices = (int)b->n;
    r->max_tokens = b->max_tokens > INT32_MAX ? INT32_MAX : (int)b->max_tokens;
    r->no_answer = b->max_tokens == 0;
}

/* Each field for itself, so that all faults are told; the rest right behind its field. */
static bool read_fields(const struct field *fields, size_t n, const json_t *body, struct body *b,
                        struct talk_order *out, struct faults *f, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        struct err why;
        if (!fields_read(&fields[i], 1, body, b, "", NULL, &why)) {
            add_field_fault(f, &fields[i], json_object_get(body, fields[i].name), &why);
            continue;
        }
        if (strcmp(fields[i].name, "messages") == 0 && !check_messages(b, out->request, f, e))
            return false;
        if (strcmp(fields[i].name, "prompt") == 0 &&
            !openai_read_prompts(b->prompt, out->request, &why))
            add_fault(f, "prompt", "value_error", why.msg);
    }
    check_shared(b, out->request, f);
    check_choice(b, out->request, f);
    check_reasoning(b, out, f);
    return true;
}

static bool read_body(struct dialect *d, struct http_req *req, bool chat, int max_tokens,
                      struct talk_order *out, struct err *e)
{
    struct body b = {.max_tokens = max_tokens,
                     .truncate_len = TRUNCATE_LEN,
                     .n = 1,
                     .temperature = 1,
                     .top_p = 1,
                     .parallel = true};
    struct faults faults = {.n = 0};
    *out = (struct talk_order){0};
    json_t *body = dialect_parse_body(req, e);
    if (!body)
        return false;
    struct chat_request *r = out->request = chat_request_new(d->conf.max_request);
    bool ok =
        chat ? read_fields(chat_fields, COUNT(chat_fields), body, &b, out, &faults, e)
             : read_fields(completion_fields, COUNT(completion_fields), body, &b, out, &faults, e);
    const json_t *truncate = json_object_get(body, "prompt_truncate_len");
    r->truncate_to = chat && !json_is_null(truncate) ? (size_t)b.truncate_len : 0;
    out->stream = b.stream;
    if (ok && faults.n > 0) {
        buf_init(&out->fault, 16384);
        nugen_write_faults(faults.list, faults.n, &out->fault);
        out->fault_status = 422;
        ok = err_set_at(e, ERR_INPUT, faults.list[0].where, "%s: %s", faults.list[0].where,
                        faults.list[0].msg);
    }
    if (ok && r->arena.full)
        ok = err_set(e, ERR_LIMIT, "the request needs more memory than one request may have");
    json_decref(body);
    if (!ok) {
        chat_request_free(r);
        out->request = NULL;
    }
    return ok;
}

static bool read_chat(struct dialect *d, struct http_req *r, struct talk_order *out, struct err *e)
{
    return read_body(d, r, true, 200, out, e);
}

static bool read_chat_v3(struct dialect *d, struct http_req *r, struct talk_order *out,
                         struct err *e)
{
    return read_body(d, r, true, 2000, out, e);
}

static bool read_completion(struct dialect *d, struct http_req *r, struct talk_order *out,
                            struct err *e)
{
    return read_body(d, r, false, 16, out, e);
}

static void serve_health(struct dialect *d, struct http_req *r, str segment)
{
    (void)d;
    (void)segment;
    http_reply(r, 200, "application/json", STR("{\"status\":\"ok\"}"));
}

static void serve_aligned(struct dialect *d, struct http_req *r, str segment)
{
    (void)d;
    (void)segment;
    http_reply(r, 200, "application/json", STR("{\"domain_aligned_models\":[]}"));
}

static void serve_base(struct dialect *d, struct http_req *r, str segment)
{
    struct buf out = BUF_INIT((size_t)1 << 20);
    (void)segment;
    buf_c(&out, "{\"models\":[");
    for (size_t i = 0; i < runs_n_models(d->conf.runs); i++) {
        const struct run_model *m = runs_model(d->conf.runs, i);
        buf_c(&out, i ? ",{\"id\":" : "{\"id\":");
        json_write_str(&out, str_c(m->name), JSON_PLAIN);
        buf_c(&out, ",\"name\":");
        json_write_str(&out, str_c(m->name), JSON_PLAIN);
        buf_printf(&out, ",\"type\":\"llm\",\"context_length\":%d}", sched_n_ctx(m->sched));
    }
    buf_c(&out, "]}");
    http_reply(r, 200, "application/json", buf_as_str(&out));
    buf_free(&out);
}

static const struct route routes[] = {
    {"POST", "/inference/chat_text", "nugen.chat", &nugen_chat_wire, read_chat},
    {"POST", "/inference/chat_vision", "nugen.chat", &nugen_chat_wire, read_chat},
    {"POST", "/inference/completions", "nugen.completions", &nugen_completion_wire,
     read_completion},
    {"POST", "/api/v3/inference/chat/completions", "nugen.chat_v3", &nugen_chat_wire, read_chat_v3},
    {"POST", "/api/v3/inference/chat/vision", "nugen.chat_v3", &nugen_chat_wire, read_chat_v3},
    {"POST", "/api/v3/inference/completions", "nugen.completions", &nugen_completion_wire,
     read_completion},
    {"GET", "/inference/health", "nugen.health", .plain = serve_health},
    {"GET", "/api/v3/models/aligned", "nugen.aligned", .plain = serve_aligned},
    {"GET", "/api/v3/models/base", "nugen.base", .plain = serve_base},
};

const struct brand nugen_brand = {"nugen", routes, COUNT(routes), nugen_error};

const struct field_set nugen_chat_set = {"nugen.chat", chat_fields, COUNT(chat_fields), "ignored"};

const struct field_set nugen_completion_set = {"nugen.completions", completion_fields,
                                               COUNT(completion_fields), "ignored"};
