/* run/rounds.c - turns of the model in one run: calls to tools of this server are run between them.
 *
 * While a turn is generated its calls are gathered; those of the server leave no CHAT_CALL in the
 * log. When the turn has ended with such calls, they are run, several at once, told in their order,
 * and written behind the conversation, which is prepared again.  A call to a function of the
 * caller's ends the run, once the server's calls of the same turn are done. */
#include "run/run_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "json/json.h"

#include <assert.h>

#define CALLS_MAX     16                 // of one turn
#define AT_ONCE       8                  // that run
#define ARGUMENTS_MAX ((size_t)1 << 20)  // of one call
#define APPENDED_MAX  ((size_t)32 << 20) // bytes behind the conversation, all turns
#define TURN_TEXT_MAX ((size_t)4 << 20)
#define CONTENT_TOLD  ((size_t)2 << 20) // of a result's blocks in the log
#define NEWS_GAP_MS   250               // between two reports of one call, at least,
#define NEWS_PART     50                // and so many parts of the time that it has run

struct round_call {
    struct run *run;
    char *id, *name; // name: the function
    struct buf arguments;
    bool ours;
    int shown; // of the caller's: its number in the log
    // of ours
    struct tools_job *job;
    uint64_t began_ms, news_ms; // news: of the last report that the log has; 0: none
    bool begun, done, told;
    size_t held_for; // > 0: is started once the log's event of that number is on disk
    bool known;      // done by the log of before a restart, or lost in it
    enum chat_fault fault;
    struct buf text, content;
};

struct rounds {
    struct run *run;
    struct tools_session *session;
    bool listing; // tools are being asked for; nothing is prepared yet
    int round;    // turns that are complete
    int n_failed, n_shown;
    bool waits;                    // the turn has ended and its calls run
    struct run_follower *follower; // while calls are held
    struct chat_event finish;
    struct round_call *calls; // [n] of this turn
    int n;
    struct buf text, thought;  // of this turn
    size_t n_appended, n_last; // bytes; tokens of the last prompt and its answer
};

static bool is_ours(const struct run *run, str name)
{
    const struct chat_request *r = run->request;
    const json_t *tool;
    size_t i;
    if (tools_of_request(r, name))
        return true;
    json_array_foreach(r->tools, i, tool)
    {
        if (str_eq(json_as_str(json_object_get(json_object_get(tool, "function"), "name")), name))
            return false;
    }
    return true; // nobody's: the model hears that there is no such tool
}

static void clear_turn(struct rounds *x)
{
    for (int i = 0; i < x->n; i++) {
        struct round_call *c = &x->calls[i];
        mem_free(c->id);
        mem_free(c->name);
        buf_free(&c->arguments);
        buf_free(&c->text);
        buf_free(&c->content);
    }
    mem_free(x->calls);
    x->calls = NULL;
    x->n = 0;
    buf_clear(&x->text);
    buf_clear(&x->thought);
}

void run_rounds_stop(struct run *run)
{
    struct rounds *x = run->rounds;
    if (!x)
        return;
    tools_end(x->session);
    x->session = NULL;
    run_unfollow(x->follower);
    x->follower = NULL;
    if (x->listing) {
        run->preparing = false;
        run->runs->n_preparing--;
    }
    x->listing = x->waits = false;
}

void run_rounds_free(struct run *run)
{
    struct rounds *x = run->rounds;
    if (!x)
        return;
    run_rounds_stop(run);
    clear_turn(x);
    buf_free(&x->text);
    buf_free(&x->thought);
    mem_free(x);
    run->rounds = NULL;
}

/* The request's tools are known. */
static void on_ready(const struct err *error, void *arg)
{
    struct run *run = arg;
    struct runs *rs = run->runs;
    run->rounds->listing = false;
    if (error) {
        run->preparing = false;
        rs->n_preparing--;
        run_end_early(run, error);
    } else if (!run_to_prepare(run)) {
        struct err e;
        run->preparing = false;
        rs->n_preparing--;
        err_set(&e, ERR_BUSY, "too many requests are being prepared; try again later");
        run_end_early(run, &e);
    }
    run_settle(run);
    runs_turn(rs);
}

bool run_rounds_begin(struct run *run)
{
    const struct chat_request *r = run->request;
    if (!run->runs->conf.tools || (r->n_server_tools == 0 && r->n_mcp == 0))
        return false;
    struct rounds *x = mem_calloc(1, sizeof *x);
    run->rounds = x;
    x->run = run;
    buf_init(&x->text, TURN_TEXT_MAX);
    buf_init(&x->thought, TURN_TEXT_MAX);
    x->listing = true;
    x->session = tools_begin(run->runs->conf.tools, run->id, run->request, on_ready, run);
    return true;
}

int run_round(const struct run *run)
{
    return run->rounds ? run->rounds->round : 0;
}

int run_tokens_left(const struct run *run)
{
    const struct chat_request *r = run->request;
    if (run_round(run) == 0 || !r->max_tokens_in_all || r->max_tokens <= 0)
        return r->max_tokens;
    return r->max_tokens - (int)size_min(run->usage.n_output, (size_t)r->max_tokens - 1);
}

/* A turn as it is generated. */

static struct round_call *call_of(struct rounds *x, int number)
{
    return number >= 0 && number < x->n ? &x->calls[number] : NULL;
}

static void begin_call(struct rounds *x, struct chat_event *ev)
{
    x->calls = mem_realloc(x->calls, (size_t)(x->n + 1) * sizeof *x->calls);
    struct round_call *c = &x->calls[x->n++];
    *c = (struct round_call){.run = x->run,
                             .id = mem_strdup(ev->text),
                             .name = mem_strdup(ev->name),
                             .ours = is_ours(x->run, ev->name)};
    buf_init(&c->arguments, ARGUMENTS_MAX);
    buf_init(&c->text, (size_t)4 << 20);
    buf_init(&c->content, (size_t)8 << 20);
    if (!c->ours)
        c->shown = x->n_shown++;
}

bool run_rounds_take(struct run *run, struct chat_event *ev)
{
    struct rounds *x = run->rounds;
    struct round_call *c;
    if (!x)
        return false;
    switch (ev->what) {
    case CHAT_TEXT: buf_str(&x->text, ev->text); return false;
    case CHAT_REASONING: buf_str(&x->thought, ev->text); return false;
    case CHAT_CALL:
        if (x->n == CALLS_MAX) {
            struct err e;
            err_set(&e, ERR_LIMIT, "the model made more than %d calls at once", CALLS_MAX);
            run_end_early(run, &e);
            return true;
        }
        begin_call(x, ev);
        c = &x->calls[x->n - 1];
        break;
    case CHAT_ARGUMENTS:
        c = call_of(x, ev->call);
        if (!c)
            return true;
        buf_str(&c->arguments, ev->text);
        break;
    default: return false;
    }
    ev->call = c->shown;
    return c->ours;
}

static bool has_calls(const struct rounds *x, bool ours)
{
    for (int i = 0; i < x->n; i++)
        if (x->calls[i].ours == ours)
            return true;
    return false;
}

bool run_rounds_finish(struct run *run, const struct chat_event *finish)
{
    struct rounds *x = run->rounds;
    if (!x || finish->finish != CHAT_FINISH_CALLS || !has_calls(x, true))
        return false;
    x->waits = true;
    x->finish = *finish;
    x->finish.text = STR(""); // is borrowed, and calls have none
    return true;
}

void run_rounds_count(struct run *run, size_t n_prompt, size_t n_output)
{
    struct rounds *x = run->rounds;
    size_t before = x ? x->n_last : 0;
    run->usage.n_once += n_prompt > before ? n_prompt - before : 0;
    if (x)
        x->n_last = n_prompt + n_output;
}

/* The end of the run behind a turn. */
static void finish(struct rounds *x, enum chat_finish how)
{
    struct chat_event ev = x->finish;
    ev.finish = how;
    ev.token = -1;
    x->waits = false;
    run_append(x->run, ev);
    run_complete(x->run);
}

/* Writing the turn behind the conversation. */

static json_t *arguments_of(const struct round_call *c)
{
    struct err e;
    str text = str_trim(buf_as_str(&c->arguments));
    json_t *v = text.n ? json_parse(text, &e) : json_object();
    return v ? v : json_from_str(text);
}

static void append_result(json_t *messages, const struct round_call *c)
{
    struct buf text = BUF_INIT((size_t)8 << 20);
    if (c->fault != CHAT_FAULT_NONE) {
        buf_c(&text, "{\"error\": ");
        json_write_str(&text, buf_as_str(&c->text), JSON_PLAIN);
        buf_c(&text, "}");
    } else {
        buf_str(&text, buf_as_str(&c->text));
    }
    json_t *m = json_object();
    json_object_set_new(m, "role", json_string("tool"));
    json_object_set_new(m, "tool_call_id", json_string(c->id));
    json_object_set_new(m, "name", json_from_str(str_c(c->name)));
    json_object_set_new(m, "content", json_from_str(buf_as_str(&text)));
    json_array_append_new(messages, m);
    buf_free(&text);
}

static void append_turn(struct rounds *x)
{
    struct chat_request *r = x->run->request;
    json_t *m = json_object(), *calls = json_array();
    json_object_set_new(m, "role", json_string("assistant"));
    json_object_set_new(m, "content", json_from_str(str_trim(buf_as_str(&x->text))));
    if (x->thought.n)
        json_object_set_new(m, "reasoning_content", json_from_str(buf_as_str(&x->thought)));
    x->n_appended += x->text.n + x->thought.n;
    for (int i = 0; i < x->n; i++) {
        const struct round_call *c = &x->calls[i];
        json_t *function = json_object(), *call = json_object();
        json_object_set_new(function, "name", json_from_str(str_c(c->name)));
        json_object_set_new(function, "arguments", arguments_of(c));
        json_object_set_new(call, "id", json_string(c->id));
        json_object_set_new(call, "type", json_string("function"));
        json_object_set_new(call, "function", function);
        json_array_append_new(calls, call);
        x->n_appended += c->arguments.n + c->text.n;
    }
    json_object_set_new(m, "tool_calls", calls);
    if (r->continue_final) { // what was to be continued is part of this answer
        size_t last = json_array_size(r->messages) - 1;
        str before = json_as_str(json_object_get(json_array_get(r->messages, last), "content"));
        struct buf whole = BUF_INIT((size_t)64 << 20);
        buf_str(&whole, before);
        buf_str(&whole, buf_as_str(&x->text));
        json_object_set_new(m, "content", json_from_str(buf_as_str(&whole)));
        json_array_remove(r->messages, last);
        buf_free(&whole);
        r->continue_final = false;
        r->add_generation_prompt = true;
    }
    json_array_append_new(r->messages, m);
    for (int i = 0; i < x->n; i++)
        append_result(r->messages, &x->calls[i]);
}

static int most_rounds(const struct run *run)
{
    int most = run->request->max_rounds;
    return most > 0 ? most : tools_max_rounds(run->runs->conf.tools);
}

static void next_turn(struct rounds *x)
{
    struct run *run = x->run;
    struct chat_request *r = run->request;
    struct err e;
    if (has_calls(x, false)) {
        finish(x, CHAT_FINISH_CALLS);
        return;
    }
    x->round++;
    bool none_left =
        r->max_tokens_in_all && r->max_tokens > 0 && run->usage.n_output >= (size_t)r->max_tokens;
    if (r->max_failures >= 0 && x->n_failed > r->max_failures) {
        finish(x, CHAT_FINISH_END);
        return;
    }
    if (none_left || x->n_appended > APPENDED_MAX ||
        (x->round >= most_rounds(run) && r->end_at_max_rounds)) {
        finish(x, CHAT_FINISH_LENGTH);
        return;
    }
    append_turn(x);
    clear_turn(x);
    // A demand for calls is for the first turn; behind the last one there are none.
    r->tool_choice = x->round >= most_rounds(run) ? CHAT_TOOLS_NONE : CHAT_TOOLS_AUTO;
    x->waits = false;
    run_output_close(run);
    run->parts[0].ids.n = 0;
    run->parts[0].submitted = run->prepared = false;
    run->preparing = true;
    run->runs->n_preparing++;
    if (run_to_prepare(run))
        return;
    run->preparing = false;
    run->runs->n_preparing--;
    err_set(&e, ERR_BUSY, "too many requests are being prepared; try again later");
    run_end_early(run, &e);
}

bool run_rounds_too_long(struct run *run, const struct err *e)
{
    struct rounds *x = run->rounds;
    if (!x || x->round == 0 || strcmp(e->kind, "context_length_exceeded") != 0)
        return false;
    finish(x, CHAT_FINISH_LENGTH);
    return true;
}

/* Running the calls of a turn. */

static void begin_some(struct rounds *x);

/* The name wires have for the tool. */
static str shown_name(const struct round_call *c)
{
    const struct chat_server_tool *t = tools_of_request(c->run->request, str_c(c->name));
    return t ? t->shown : str_c(c->name);
}

static str server_name(const struct round_call *c)
{
    const struct chat_server_tool *t = tools_of_request(c->run->request, str_c(c->name));
    return t ? t->server : STR("");
}

static void tell_results(struct rounds *x)
{
    struct run *run = x->run;
    for (int i = 0; i < x->n && !run->over; i++) {
        struct round_call *c = &x->calls[i];
        if (!c->ours || c->told)
            continue;
        if (!c->done)
            return; // results are told in the order of the calls
        c->told = true;
        x->n_failed += c->fault != CHAT_FAULT_NONE;
        run_append(run, (struct chat_event){.what = CHAT_SERVER_RESULT,
                                            .id = str_c(c->id),
                                            .name = shown_name(c),
                                            .text = buf_as_str(&c->text),
                                            .content = c->content.n <= CONTENT_TOLD
                                                           ? buf_as_str(&c->content)
                                                           : STR(""),
                                            .fault = c->fault});
    }
    if (!run->over)
        next_turn(x);
}

static void on_done(struct tools_job *job, const struct tools_result *result, void *arg)
{
    struct round_call *c = arg;
    struct run *run = c->run;
    struct runs *rs = run->runs;
    (void)job;
    c->job = NULL;
    c->done = true;
    c->fault = result->fault;
    buf_str(&c->text, result->text);
    buf_str(&c->content, result->content);
    begin_some(run->rounds);
    tell_results(run->rounds);
    run_settle(run);
    runs_turn(rs);
}

/* Was the call made before a restart?  Its result stands in the log; without one it cannot be known
 * what the tool did, and only one that may be repeated runs again. */
static bool know_from_log(struct rounds *x, struct round_call *c)
{
    const struct chat_event *had;
    if (!run_replay_call(x->run, str_c(c->id), &had))
        return false;
    if (had) {
        c->fault = had->fault;
        buf_str(&c->text, had->text);
        buf_str(&c->content, had->content);
    } else {
        const struct chat_server_tool *t = tools_of_request(x->run->request, str_c(c->name));
        if (t && tools_may_repeat(x->run->runs->conf.tools, t))
            return false;
        c->fault = CHAT_FAULT_LOST;
        buf_c(&c->text, "the server was restarted while the tool ran; it is not known what it did");
    }
    c->known = true;
    return true;
}

/* The tool says how far it is.  A log is no place for each of these: the longer the call runs, the
 * more seldom they come. */
static void on_news(double progress, double total, str message, void *arg)
{
    struct round_call *c = arg;
    struct run *run = c->run;
    struct runs *rs = run->runs;
    struct buf counts = BUF_INIT(128);
    uint64_t now = clock_mono_ms(), gap = (now - c->began_ms) / NEWS_PART;
    if (run->over || (c->news_ms && now - c->news_ms < (gap > NEWS_GAP_MS ? gap : NEWS_GAP_MS)))
        return;
    c->news_ms = now;
    buf_printf(&counts, "{\"progress\":%.15g", progress);
    if (total >= 0)
        buf_printf(&counts, ",\"total\":%.15g", total);
    buf_char(&counts, '}');
    run_append(run, (struct chat_event){.what = CHAT_SERVER_PROGRESS,
                                        .id = str_c(c->id),
                                        .name = shown_name(c),
                                        .text = message,
                                        .content = buf_as_str(&counts)});
    buf_free(&counts);
    run_settle(run);
    runs_turn(rs);
}

static void start_call(struct rounds *x, struct round_call *c)
{
    struct run *run = x->run;
    c->held_for = 0;
    c->began_ms = clock_mono_ms();
    c->job = tools_call(x->session, str_c(c->name), buf_as_str(&c->arguments), on_done, c);
    tools_follow(c->job, on_news);
    int ms = tools_asks_ms(c->job);
    if (ms > 0)
        run_append(run, (struct chat_event){.what = CHAT_SERVER_ASK,
                                            .id = str_c(c->id),
                                            .name = shown_name(c),
                                            .position = (size_t)ms});
}

/* What is on disk now may be acted upon. */
static void on_stored(struct run *run, void *arg)
{
    struct rounds *x = arg;
    bool more = false;
    for (int i = 0; i < x->n && !run->over; i++) {
        struct round_call *c = &x->calls[i];
        if (c->held_for && c->held_for <= run->n_visible)
            start_call(x, c);
        more |= c->held_for > 0;
    }
    if (!more) {
        run_unfollow(x->follower);
        x->follower = NULL;
    }
}

static void begin(struct rounds *x, struct round_call *c)
{
    struct run *run = x->run;
    c->begun = true;
    run_append(run, (struct chat_event){.what = CHAT_SERVER_CALL,
                                        .id = str_c(c->id),
                                        .name = shown_name(c),
                                        .server = server_name(c),
                                        .text = str_trim(buf_as_str(&c->arguments)).n
                                                    ? buf_as_str(&c->arguments)
                                                    : STR("{}")});
    if (run->over || know_from_log(x, c))
        return;
    if (!run->durable || run->n_visible == run->n_events) {
        start_call(x, c);
        return;
    }
    // Not before the log says so on disk: a restart must not make it twice.
    c->held_for = run->n_events;
    if (!x->follower)
        x->follower = run_follow(run, on_stored, x);
}

static void begin_some(struct rounds *x)
{
    int running = 0;
    for (int i = 0; i < x->n; i++)
        running += x->calls[i].job != NULL || x->calls[i].known || x->calls[i].held_for;
    for (int i = 0; i < x->n && running < AT_ONCE && !x->run->over; i++) {
        struct round_call *c = &x->calls[i];
        if (!c->ours || c->begun)
            continue;
        if (x->run->request->one_call && running > 0)
            break;
        begin(x, c);
        running++;
    }
}

/* Calls whose results are known are done one after the other, as if their tools had answered. */
static void take_known(struct rounds *x)
{
    for (int i = 0; i < x->n && !x->run->over; i++) {
        struct round_call *c = &x->calls[i];
        if (!c->known)
            continue;
        c->known = false;
        c->done = true;
        begin_some(x);
        tell_results(x); // the last one begins the next turn, which has no calls yet
        i = -1;
    }
}

bool run_rounds_continue(struct run *run)
{
    if (!run->rounds || !run->rounds->waits)
        return false;
    begin_some(run->rounds);
    take_known(run->rounds);
    return true;
}

/* The call that waits for approval, by its id or by what stands behind the first '_' of that. */
static struct round_call *asked_about(const struct run *run, str id)
{
    struct rounds *x = run->rounds;
    str bare = str_from(id, (size_t)(str_chr(id, '_') + 1));
    for (int i = 0; x && i < x->n; i++) {
        struct round_call *c = &x->calls[i];
        str own = str_c(c->id);
        if (c->job && tools_asks_ms(c->job) > 0 &&
            (str_eq(id, own) || str_eq(bare, str_from(own, (size_t)(str_chr(own, '_') + 1)))))
            return c;
    }
    return NULL;
}

bool run_waits_for(const struct run *run, str id)
{
    return asked_about(run, id) != NULL;
}

bool run_approve(struct run *run, str id, bool yes)
{
    struct round_call *c = asked_about(run, id);
    if (!c)
        return false;
    log_info("tools.approval", "run=%s call=%s tool=%s approved=%s", run->id, c->id, c->name,
             yes ? "yes" : "no");
    tools_approve(c->job, yes);
    return true;
}

/* Offers. */

bool run_offer_tool(const struct runs *rs, struct chat_request *r, str name, str shown,
                    str function, const json_t *files, struct err *e)
{
    struct tools_info info;
    const json_t *tool;
    size_t i;
    if (!rs || !rs->conf.tools || !tools_find(rs->conf.tools, name, &info)) {
        err_set(e, ERR_INPUT, "there is no tool '%.*s' on this server",
                STR_ARG(str_sub(name, 0, 64)));
        return err_kind(e, "tool_unavailable");
    }
    if (!info.available || info.policy == TOOLS_REFUSE) {
        err_set(e, ERR_INPUT, "the tool '%s' is not available on this server: %s", info.name,
                info.available ? "its operator refuses it" : info.missing);
        return err_kind(e, "tool_unavailable");
    }
    if (function.n == 0)
        function = str_c(info.function);
    json_array_foreach(r->tools, i, tool)
    {
        if (str_eq(json_as_str(json_object_get(json_object_get(tool, "function"), "name")),
                   function)) {
            err_set(e, ERR_INPUT, "there are two tools named '%.*s'",
                    STR_ARG(str_sub(function, 0, 64)));
            return err_kind(e, "invalid_value");
        }
    }
    struct chat_server_tool *list = arena_calloc(&r->arena, r->n_server_tools + 1, sizeof *list);
    str n = arena_str(&r->arena, name), s = arena_str(&r->arena, shown),
        f = arena_str(&r->arena, function);
    if (!list || r->arena.full)
        return err_set(e, ERR_LIMIT, "the request needs more memory than one request may have");
    json_t *schema = json_parse(str_c(info.schema), e);
    assert(schema);
    if (r->n_server_tools)
        memcpy(list, r->server_tools, r->n_server_tools * sizeof *list);
    list[r->n_server_tools++] = (struct chat_server_tool){
        .name = n, .shown = s, .function = f, .files = json_incref((json_t *)files)};
    r->server_tools = list;
    if (!r->tools)
        r->tools = json_array();
    json_t *fn = json_object();
    json_object_set_new(fn, "name", json_from_str(function));
    json_object_set_new(fn, "description", json_string(info.description));
    json_object_set_new(fn, "parameters", schema);
    json_array_append_new(r->tools, json_pack("{s:s,s:o}", "type", "function", "function", fn));
    return true;
}

bool run_offer_server(const struct runs *rs, struct chat_request *r,
                      const struct chat_mcp_server *server, struct err *e)
{
    struct tools *t = rs ? rs->conf.tools : NULL;
    if (!t || (server->url.n == 0 && !tools_has_server(t, server->name))) {
        err_set(e, ERR_INPUT, "there is no MCP server '%.*s' on this server",
                STR_ARG(str_sub(server->name, 0, 64)));
        return err_kind(e, "mcp_unknown");
    }
    if (server->url.n && !tools_takes_servers(t)) {
        err_set(e, ERR_INPUT, "this server's operator does not let requests name MCP servers");
        return err_kind(e, "mcp_unknown");
    }
    struct chat_mcp_server *list = arena_calloc(&r->arena, r->n_mcp + 1, sizeof *list);
    if (!list)
        return err_set(e, ERR_LIMIT, "the request needs more memory than one request may have");
    if (r->n_mcp)
        memcpy(list, r->mcp, r->n_mcp * sizeof *list);
    list[r->n_mcp++] = *server;
    r->mcp = list;
    return true;
}

struct tools *runs_tools(const struct runs *rs)
{
    return rs ? rs->conf.tools : NULL;
}
