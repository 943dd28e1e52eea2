/* dialect/responses.c - stored responses: shown, watched again, cancelled, deleted, and the input
 * they were made of; and how many tokens an input has. */
#include "dialect/responses.h"

#define COUNT_MAX ((size_t)4 << 20) // bytes of a body that is rendered on the loop
#define LIST_MAX  100               // items of a page

bool responses_is(const struct run *run)
{
    const json_t *show = responses_aside(run_request(run), "show");
    return show && json_is_true(json_object_get(show, "store"));
}

struct run *responses_find(struct dialect *d, str id, struct err *e)
{
    struct run *run = NULL;
    if (str_starts(id, STR(RESPONSES_PREFIX)))
        run = runs_find(d->conf.runs, str_from(id, strlen(RESPONSES_PREFIX)), dialect_team(d));
    if (run && responses_is(run))
        return run;
    if (run)
        run_drop(run);
    err_set_at(e, ERR_NOT_FOUND, "id", "Response with id '%.*s' not found.",
               STR_ARG(str_sub(id, 0, 80)));
    return NULL;
}

/* As above; answers 404 itself. */
static struct run *find(struct dialect *d, struct http_req *r, str id)
{
    struct err e;
    struct run *run = responses_find(d, id, &e);
    if (!run)
        dialect_reply(r, openai_error, &e);
    return run;
}

/* Answers with the object, as far as it is made. */
static void reply_object(struct dialect *d, struct http_req *r, const struct run *run)
{
    struct buf out = BUF_INIT(ANSWER_MAX);
    struct talk_facts f = talk_facts_of(d, &responses_wire, run);
    responses_wire.whole(&f, run, &out);
    http_reply(r, 200, "application/json", buf_as_str(&out));
    buf_free(&out);
}

/* ?starting_after=N: so many frames are known already. */
static bool read_skip(struct http_req *r, uint64_t *n_skip, struct err *e)
{
    str text;
    *n_skip = 0;
    if (!http_query(r, "starting_after", &text))
        return true;
    if (!str_to_u64(text, n_skip) || *n_skip == UINT64_MAX)
        return err_set_at(e, ERR_INPUT, "starting_after",
                          "'starting_after' must be a sequence number");
    ++*n_skip;
    return true;
}

bool responses_wants_previous(struct http_req *r, str segment, char name[RUN_ALIAS_MAX + 1])
{
    static const char member[] = "previous_response_id";
    struct err e;
    (void)segment;
    if (str_find(http_body(r), str_c(member)) < 0)
        return false;
    json_t *body = json_parse(http_body(r), &e);
    str id = json_as_str(json_object_get(body, member));
    bool ok = id.n > 0 && id.n <= RUN_ALIAS_MAX;
    if (ok)
        snprintf(name, RUN_ALIAS_MAX + 1, "%.*s", STR_ARG(id));
    json_decref(body);
    return ok;
}

void responses_show(struct dialect *d, struct http_req *r, str id)
{
    struct run *run = find(d, r, id);
    str stream;
    uint64_t n_skip;
    struct err e;
    if (!run)
        return;
    if (!http_query(r, "stream", &stream) || !str_eqc(stream, "true")) {
        reply_object(d, r, run);
        run_drop(run);
    } else if (read_skip(r, &n_skip, &e)) {
        talk_observe_frames(d, r, dialect_find_route(RESPONSES_ORIGIN), d->request_id, run, n_skip);
    } else {
        run_drop(run);
        dialect_reply(r, openai_error, &e);
    }
}

static void cancelled(struct dialect *d, struct http_req *r, struct run *run, str id,
                      const struct err *e)
{
    (void)id;
    if (e)
        dialect_reply(r, openai_error, e);
    else
        reply_object(d, r, run);
}

void responses_cancel(struct dialect *d, struct http_req *r, str id)
{
    struct run *run = find(d, r, id);
    if (!run)
        return;
    run_cancel(run); // without effect on one that is over
    dialect_when_stored(d, r, run, id, cancelled);
}

static void deleted(struct dialect *d, struct http_req *r, struct run *run, str id,
                    const struct err *e)
{
    struct buf out = BUF_INIT(1024);
    (void)d;
    (void)run;
    if (e) {
        dialect_reply(r, openai_error, e);
        return;
    }
    buf_c(&out, "{\"id\":");
    json_write_str(&out, id, JSON_PLAIN);
    buf_c(&out, ",\"object\":\"response\",\"deleted\":true}");
    http_reply(r, 200, "application/json", buf_as_str(&out));
    buf_free(&out);
}

void responses_delete(struct dialect *d, struct http_req *r, str id)
{
    struct run *run = find(d, r, id);
    if (!run)
        return;
    run_cancel(run); // who watches it sees its end
    run_forget(run);
    dialect_when_stored(d, r, run, id, deleted);
}

/* One page of the items: ?limit, ?order, ?after. */
struct page {
    uint64_t limit;
    bool rising;
    str after;
};

static bool read_page(struct http_req *r, struct page *p, struct err *e)
{
    str text;
    *p = (struct page){.limit = 20};
    if (http_query(r, "limit", &text) &&
        (!str_to_u64(text, &p->limit) || p->limit < 1 || p->limit > LIST_MAX))
        return err_set_at(e, ERR_INPUT, "limit", "'limit' must be from 1 to %d", LIST_MAX);
    if (http_query(r, "order", &text)) {
        p->rising = str_eqc(text, "asc");
        if (!p->rising && !str_eqc(text, "desc"))
            return err_set_at(e, ERR_INPUT, "order", "'order' must be asc or desc");
    }
    if (http_query(r, "after", &text))
        p->after = text;
    return true;
}

/* The item's own id, or one that its place gives. */
static void item_id(const json_t *item, const char *response, size_t i, struct buf *out)
{
    const json_t *own = json_object_get(item, "id");
    buf_clear(out);
    if (json_is_string(own) && json_string_length(own))
        buf_str(out, json_as_str(own));
    else
        buf_printf(out, "in_%s_%zu", response, i);
}

static void write_page(const json_t *items, const char *response, const struct page *p,
                       struct buf *out)
{
    struct buf id = BUF_INIT(4096), first = BUF_INIT(4096), last = BUF_INIT(4096);
    size_t n = json_array_size(items);
    uint64_t taken = 0;
    bool on = p->after.n == 0, more = false;
    buf_c(out, "{\"object\":\"list\",\"data\":[");
    for (size_t k = 0; k < n; k++) {
        size_t i = p->rising ? k : n - 1 - k;
        json_t *item = json_array_get(items, i);
        item_id(item, response, i, &id);
        if (on && taken == p->limit) {
            more = true;
            break;
        }
        if (on) {
            json_t *named = json_copy(item);
            json_object_set_new(named, "id", json_from_str(buf_as_str(&id)));
            if (taken++)
                buf_char(out, ',');
            json_write(out, named, JSON_PLAIN, -1);
            json_decref(named);
            if (taken == 1)
                buf_str(&first, buf_as_str(&id));
            buf_clear(&last);
            buf_str(&last, buf_as_str(&id));
        }
        on = on || str_eq(buf_as_str(&id), p->after);
    }
    buf_c(out, "],\"first_id\":");
    json_write_str(out, buf_as_str(&first), JSON_PLAIN);
    buf_c(out, ",\"last_id\":");
    json_write_str(out, buf_as_str(&last), JSON_PLAIN);
    buf_printf(out, ",\"has_more\":%s}", more ? "true" : "false");
    buf_free(&id);
    buf_free(&first);
    buf_free(&last);
}

void responses_list_input(struct dialect *d, struct http_req *r, str id)
{
    struct run *run = find(d, r, id);
    struct buf out = BUF_INIT(ANSWER_MAX);
    struct page page;
    struct err e;
    if (!run)
        return;
    if (read_page(r, &page, &e)) {
        write_page(responses_aside(run_request(run), "input"), run_id(run), &page, &out);
        http_reply(r, 200, "application/json", buf_as_str(&out));
    } else {
        dialect_reply(r, openai_error, &e);
    }
    run_drop(run);
    buf_free(&out);
}

static bool count(struct dialect *d, struct http_req *r, request_reader read, size_t *n,
                  struct err *e)
{
    struct talk_order order;
    struct tok_ids ids;
    if (http_body(r).n > COUNT_MAX)
        return err_set(e, ERR_LIMIT, "a body of more than %zu bytes is not counted", COUNT_MAX);
    if (!read(d, r, &order, e))
        return false;
    const struct run_model *model = runs_find_model(d->conf.runs, order.request->model);
    tok_ids_init(&ids, COUNT_MAX * 2);
    bool ok = model != NULL;
    if (!ok) {
        err_set_at(e, ERR_NOT_FOUND, "model", "No model named '%.*s' is loaded here.",
                   STR_ARG(str_sub(order.request->model, 0, 100)));
        err_kind(e, "model_not_found");
    }
    ok = ok && chat_tokenize(model->tmpl, order.request, 0, &ids, e);
    *n = ids.n;
    tok_ids_free(&ids);
    chat_request_free(order.request);
    buf_free(&order.ignored);
    return ok;
}

void openai_count(struct dialect *d, struct http_req *r, request_reader read)
{
    struct err e;
    size_t n = 0;
    char body[80];
    if (!count(d, r, read, &n, &e)) {
        dialect_reply(r, openai_error, &e);
        return;
    }
    snprintf(body, sizeof body, "{\"object\":\"response.input_tokens\",\"input_tokens\":%zu}", n);
    http_reply(r, 200, "application/json", str_c(body));
}

void responses_count(struct dialect *d, struct http_req *r, str segment)
{
    (void)segment;
    openai_count(d, r, responses_read);
}
