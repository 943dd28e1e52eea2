/* tools/tools.c - see tools.h: opening, the catalogue, calls. */
#include "tools/tools_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "json/json.h"
#include "tools/mcp_message.h"

#include <assert.h>
#include <event2/event.h>

#define CONTENT_MAX ((size_t)4 << 20)

struct tools_conf tools_conf_default(void)
{
    return (struct tools_conf){.enabled = STR("math:*,file:text"),
                               .mcp_requests = true,
                               .mcp_changed = TOOLS_REFUSE,
                               .call_timeout_ms = 60000,
                               .approval_timeout_ms = 120000,
                               .max_rounds = 16,
                               .max_result = (size_t)64 << 10,
                               .max_file = (size_t)16 << 20,
                               .max_team_files = (size_t)256 << 20,
                               .python_cpu_s = 10,
                               .python_wall_ms = 20000};
}

static bool may_connect(const struct sockaddr *address, void *arg)
{
    const struct tools *t = arg;
    return address_allowed(&t->allowed, address);
}

static bool check_enabled(str enabled, struct err *e)
{
    str item;
    while (str_cut(&enabled, ',', &item)) {
        item = str_trim(item);
        bool any = item.n == 0 || str_eqc(item, "none");
        for (size_t i = 0; i < tools_n_builtins && !any; i++)
            any = tools_matches(item, str_c(tools_builtins[i].name));
        if (!any)
            return err_set(e, ERR_INPUT, "there is no built-in tool '%.*s'",
                           STR_ARG(str_sub(item, 0, 60)));
    }
    return true;
}

static void deliver(evutil_socket_t fd, short what, void *arg);

bool tools_open(struct tools **out, const struct tools_conf *conf, struct err *e)
{
    struct tools *t = mem_calloc(1, sizeof *t);
    t->conf = *conf;
    t->enabled = mem_strdup(conf->enabled);
    t->policies = mem_strdup(conf->policies);
    t->search_url = conf->search_url.n ? mem_strdup(conf->search_url) : NULL;
    t->data = conf->data && conf->data[0] ? mem_strdup(str_c(conf->data)) : NULL;
    t->deliver = event_new(conf->base, -1, 0, deliver, t);
    tools_pins_load(t);
    struct http_fetcher_conf web = {may_connect, t}, inside = {NULL, NULL};
    bool ok = check_enabled(conf->enabled, e) && tools_policies_check(conf->policies, e) &&
              address_list_read(&t->allowed, conf->allow_net, e) &&
              (!t->search_url || address_check_url(conf->search_url, e)) &&
              http_fetcher_open(&t->web, conf->base, &web, e) &&
              http_fetcher_open(&t->inside, conf->base, &inside, e) &&
              tools_servers_open(t, conf, e);
    if (ok)
        *out = t;
    else
        tools_close(t);
    return ok;
}

void tools_close(struct tools *t)
{
    if (!t)
        return;
    assert(!t->sessions);
    for (int i = 0; i < t->n_servers; i++) {
        mcp_close(t->servers[i].mcp);
        mem_free(t->servers[i].command);
    }
    http_fetcher_close(t->web);
    http_fetcher_close(t->inside);
    event_free(t->deliver);
    json_decref(t->pins);
    mem_free(t->tallies);
    mem_free(t->enabled);
    mem_free(t->policies);
    mem_free(t->search_url);
    mem_free(t->data);
    mem_free(t);
}

int tools_max_rounds(const struct tools *t)
{
    return t->conf.max_rounds;
}

int tools_live(const struct tools *t)
{
    return t->live;
}

/* The catalogue. */

size_t tools_n(const struct tools *t)
{
    (void)t;
    return tools_n_builtins;
}

struct tools_info tools_info(const struct tools *t, size_t i)
{
    const struct tools_builtin *b = &tools_builtins[i];
    const char *missing = !tools_matches(str_c(t->enabled), str_c(b->name))
                              ? "it is not switched on (--tools)"
                          : b->missing ? b->missing(t)
                                       : NULL;
    return (struct tools_info){.name = b->name,
                               .function = b->function,
                               .description = b->description,
                               .schema = b->schema,
                               .repeatable = b->repeatable,
                               .reaches_out = b->reaches_out,
                               .available = !missing,
                               .missing = missing,
                               .policy = tools_policy_of(t, str_c(b->name))};
}

bool tools_find(const struct tools *t, str name, struct tools_info *out)
{
    for (size_t i = 0; i < tools_n_builtins; i++)
        if (str_eqc(name, tools_builtins[i].name)) {
            *out = tools_info(t, i);
            return true;
        }
    return false;
}

const struct chat_server_tool *tools_of_request(const struct chat_request *r, str function)
{
    for (size_t i = 0; i < r->n_server_tools; i++)
        if (str_eq(r->server_tools[i].function, function))
            return &r->server_tools[i];
    return NULL;
}

bool tools_may_repeat(const struct tools *t, const struct chat_server_tool *tool)
{
    struct tools_info info;
    return tool->server.n == 0 && tools_find(t, tool->name, &info) && info.repeatable;
}

/* Calls. */

size_t tools_job_max(const struct tools_job *job)
{
    return job->session->tools->conf.max_result;
}

void tools_job_end(struct tools_job *job, enum chat_fault fault)
{
    struct tools *t = job->session->tools;
    if (job->ended)
        return;
    job->ended = true;
    job->fault = fault;
    job->next_ended = t->ended;
    t->ended = job;
    event_active(t->deliver, 0, 0);
}

void tools_job_fail(struct tools_job *job, const struct err *e)
{
    enum chat_fault fault = e->code == ERR_INPUT ? CHAT_FAULT_ARGUMENTS
                            : e->code == ERR_TIMEOUT || e->code == ERR_CANCELED ? CHAT_FAULT_TIMEOUT
                            : e->code == ERR_DENIED                             ? CHAT_FAULT_DENIED
                                                                                : CHAT_FAULT_TOOL;
    buf_clear(&job->text);
    buf_c(&job->text, e->msg);
    tools_job_end(job, fault);
}

static void job_free(struct tools_job *job)
{
    struct tools *t = job->session->tools;
    if (job->call)
        mcp_cancel(job->call);
    if (job->builtin && job->builtin->stop && job->own)
        job->builtin->stop(job);
    if (job->ended) {
        struct tools_job **at = &t->ended;
        while (*at != job)
            at = &(*at)->next_ended;
        *at = job->next_ended;
    }
    if (job->timer)
        event_free(job->timer);
    *job->link = job->next;
    if (job->next)
        job->next->link = job->link;
    json_decref(job->args);
    buf_free(&job->text);
    buf_free(&job->content);
    t->live--;
    mem_free(job);
}

static const char *fault_name(enum chat_fault f)
{
    static const char *const names[] = {
        [CHAT_FAULT_NONE] = "ok",       [CHAT_FAULT_ARGUMENTS] = "arguments",
        [CHAT_FAULT_TOOL] = "failed",   [CHAT_FAULT_TIMEOUT] = "timeout",
        [CHAT_FAULT_DENIED] = "denied", [CHAT_FAULT_LOST] = "lost"};
    return names[f];
}

/* Who called what, how it ended, how long and how much. */
static void account(struct tools_job *job, uint64_t ms)
{
    struct tools *t = job->session->tools;
    char name[80], args[300];
    struct buf text = BUF_INIT(220);
    snprintf(name, sizeof name, "%s%.70s", job->bound ? "mcp:" : "",
             job->bound ? job->session->peers[job->bound->server].label : job->tool);
    size_t i = 0;
    while (i < t->n_tallies && strcmp(t->tallies[i].name, name) != 0)
        i++;
    // Servers named by requests share one row: their labels are anybody's.
    if (job->bound && job->session->peers[job->bound->server].own)
        snprintf(name, sizeof name, "mcp:");
    for (i = 0; i < t->n_tallies && strcmp(t->tallies[i].name, name) != 0;)
        i++;
    if (i == t->n_tallies) {
        t->tallies = mem_realloc(t->tallies, ++t->n_tallies * sizeof *t->tallies);
        t->tallies[i] = (struct tools_tally){0};
        snprintf(t->tallies[i].name, sizeof t->tallies[i].name, "%s", name);
    }
    t->tallies[i].calls++;
    t->tallies[i].faults += job->fault != CHAT_FAULT_NONE;
    t->tallies[i].bytes += job->text.n + job->content.n;
    t->tallies[i].us += ms * 1000;
    if (job->args && log_enabled(LOG_INFO, "tools.call")) {
        struct buf whole = BUF_INIT(1 << 20);
        json_write(&whole, job->args, JSON_PLAIN, -1);
        buf_str(&text, str_sub(buf_as_str(&whole), 0, 200));
        buf_free(&whole);
    }
    log_info("tools.call",
             "run=%s team=%.*s tool=%s end=%s ms=%llu args_bytes=%zu bytes=%zu reports=%d args=%s",
             job->session->who, STR_ARG(job->session->request->team), job->tool,
             fault_name(job->fault), (unsigned long long)ms, job->n_args,
             job->text.n + job->content.n, job->n_news,
             log_quote(args, sizeof args, buf_as_str(&text)));
    buf_free(&text);
}

static void deliver(evutil_socket_t fd, short what, void *arg)
{
    struct tools *t = arg;
    (void)fd;
    (void)what;
    while (t->ended) {
        struct tools_job *job = t->ended;
        uint64_t ms = clock_mono_ms() - job->began_ms;
        account(job, ms);
        tools_done done = job->done;
        void *done_arg = job->arg;
        struct buf text = job->text, content = job->content;
        struct tools_result result = {.fault = job->fault,
                                      .text = buf_as_str(&text),
                                      .content = buf_as_str(&content),
                                      .ms = ms};
        buf_init(&job->text, 1);
        buf_init(&job->content, 1);
        job_free(job); // before: whoever is told may end the session
        done(job, &result, done_arg);
        buf_free(&text);
        buf_free(&content);
    }
}

static void on_called(const json_t *result, const struct err *error, void *arg)
{
    struct tools_job *job = arg;
    struct err e;
    bool failed = false;
    job->call = NULL;
    if (error) {
        tools_job_fail(job, error);
        return;
    }
    if (!mcp_result_read(result, tools_job_max(job), &job->text, &job->content, &failed, &e))
        tools_job_fail(job, &e);
    else
        tools_job_end(job, failed ? CHAT_FAULT_TOOL : CHAT_FAULT_NONE);
}

static void on_progress(double progress, double total, str message, void *arg)
{
    struct tools_job *job = arg;
    job->n_news++;
    if (job->news && !job->ended)
        job->news(progress, total, message, job->arg); // may end the session
}

static void set_timer(struct tools_job *job, int ms)
{
    struct timeval tv = {ms / 1000, ms % 1000 * 1000};
    event_add(job->timer, &tv);
}

static void run(struct tools_job *job)
{
    struct err e;
    job->asks = false;
    event_del(job->timer);
    if (job->bound) {
        const struct tools_peer *p = &job->session->peers[job->bound->server];
        mcp_coerce(job->args, job->bound->schema);
        job->call = mcp_call(p->mcp, job->bound->tool, job->args, on_called, job);
        mcp_follow(job->call, on_progress);
    } else if (job->builtin->now) {
        if (job->builtin->now(job->args, &job->text, &e) && !job->text.full)
            tools_job_end(job, CHAT_FAULT_NONE);
        else {
            if (job->text.full)
                err_set(&e, ERR_INPUT, "the result is too long");
            tools_job_fail(job, &e);
        }
    } else {
        set_timer(job, job->session->tools->conf.call_timeout_ms);
        job->builtin->start(job);
    }
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
    struct tools_job *job = arg;
    struct err e;
    (void)fd;
    (void)what;
    if (job->ended)
        return;
    if (job->asks)
        err_set(&e, ERR_DENIED, "nobody approved of the call in time");
    else
        err_set(&e, ERR_TIMEOUT, "the tool did not answer in time");
    job->asks = false;
    tools_job_fail(job, &e);
}

static const struct tools_bound *bound_of(const struct tools_session *s, str function)
{
    for (size_t i = 0; i < s->n_bound; i++)
        if (str_eqc(function, s->bound[i].function))
            return &s->bound[i];
    return NULL;
}

static enum tools_policy begin(struct tools_job *job, str function, str arguments, struct err *e)
{
    struct tools_session *s = job->session;
    struct tools_info info = {.available = true};
    enum tools_policy policy;
    job->entry = tools_of_request(s->request, function);
    job->bound = bound_of(s, function);
    if (!job->entry) {
        err_set(e, ERR_INPUT, "Tool '%.*s' not found.", STR_ARG(str_sub(function, 0, 100)));
        return TOOLS_REFUSE;
    }
    if (job->bound) {
        snprintf(job->tool, sizeof job->tool, "%s/%.60s", s->peers[job->bound->server].label,
                 job->bound->function); // plain, unlike the server's own name for it
        policy = job->bound->policy;
    } else {
        snprintf(job->tool, sizeof job->tool, "%.*s", STR_ARG(job->entry->name));
        for (size_t i = 0; i < tools_n_builtins; i++)
            if (str_eqc(job->entry->name, tools_builtins[i].name)) {
                job->builtin = &tools_builtins[i];
                info = tools_info(s->tools, i);
            }
        policy = info.policy;
        if (!job->builtin || !info.available) {
            err_set(e, ERR_INPUT, "the tool is not available: %s",
                    info.missing ? info.missing : "its server does not offer it");
            return TOOLS_REFUSE;
        }
    }
    job->args = str_trim(arguments).n ? json_parse(arguments, e) : json_object();
    if (!json_is_object(job->args)) {
        err_set(e, ERR_INPUT, "the arguments are no JSON object");
        return TOOLS_REFUSE;
    }
    if (policy == TOOLS_REFUSE)
        err_set(e, ERR_DENIED, "the operator does not allow this tool to be called");
    return policy;
}

struct tools_job *tools_call(struct tools_session *s, str function, str arguments, tools_done done,
                             void *arg)
{
    struct tools_job *job = mem_calloc(1, sizeof *job);
    struct err e;
    job->session = s;
    job->done = done;
    job->arg = arg;
    job->began_ms = clock_mono_ms();
    job->n_args = arguments.n;
    char name[64];
    snprintf(job->tool, sizeof job->tool, "%s",
             log_quote(name, sizeof name, str_sub(function, 0, 50)));
    buf_init(&job->text, size_max(s->tools->conf.max_result, 4096));
    buf_init(&job->content, CONTENT_MAX);
    job->timer = evtimer_new(s->tools->conf.base, on_time, job);
    job->next = s->jobs;
    job->link = &s->jobs;
    if (job->next)
        job->next->link = &job->next;
    s->jobs = job;
    s->tools->live++;
    switch (begin(job, function, arguments, &e)) {
    case TOOLS_RUN: run(job); break;
    case TOOLS_ASK:
        job->asks = true;
        job->asks_until_ms = job->began_ms + (uint64_t)s->tools->conf.approval_timeout_ms;
        set_timer(job, s->tools->conf.approval_timeout_ms);
        break;
    case TOOLS_REFUSE: tools_job_fail(job, &e); break;
    }
    return job;
}

void tools_follow(struct tools_job *job, tools_news told)
{
    job->news = told;
}

void tools_cancel(struct tools_job *job)
{
    log_info("tools.call", "run=%s team=%.*s tool=%s end=cancelled ms=%llu", job->session->who,
             STR_ARG(job->session->request->team), job->tool,
             (unsigned long long)(clock_mono_ms() - job->began_ms));
    job_free(job);
}

int tools_asks_ms(const struct tools_job *job)
{
    uint64_t now = clock_mono_ms();
    if (!job->asks)
        return 0;
    return job->asks_until_ms > now ? (int)(job->asks_until_ms - now) : 1;
}

void tools_approve(struct tools_job *job, bool yes)
{
    struct err e;
    if (!job->asks || job->ended)
        return;
    if (yes) {
        run(job);
        return;
    }
    job->asks = false;
    err_set(&e, ERR_DENIED, "the call was not approved");
    tools_job_fail(job, &e);
}

bool tools_counts(const struct tools *t, size_t i, struct tools_counts *out)
{
    if (i >= t->n_tallies)
        return false;
    const struct tools_tally *y = &t->tallies[i];
    *out = (struct tools_counts){.tool = y->name,
                                 .calls = y->calls,
                                 .faults = y->faults,
                                 .bytes = y->bytes,
                                 .seconds = (double)y->us / 1e6};
    return true;
}
