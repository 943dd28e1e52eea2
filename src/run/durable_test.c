/* durable_test.c - runs over a tiny model and a real store: stopped at some point and gone on with,
 * and what happens when the disk or the memory is full. */
#include "base/mem.h"
#include "gguf/synth.h"
#include "json/json.h"
#include "run/run_int.h"
#include "test.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

struct house {
    char dir[64];
    struct buf file;
    struct gguf *gguf;
    struct tok *tok;
    struct chat_template *tmpl;
    struct engine *engine;
    struct queue *out;
    struct sched *sched;
    struct store *store;
    struct runs *runs;
    int64_t max_pages;
    struct budget *budget;
};

static void open_model(struct house *h)
{
    struct gguf_synth s;
    struct err e;
    assert_true(gguf_synth_preset("tiny-llama", &s));
    buf_init(&h->file, (size_t)64 << 20);
    struct gguf_writer *writer = gguf_writer_to(&h->file);
    assert_true(gguf_synth_write(writer, &s, &e));
    assert_true(gguf_writer_finish(writer, &e));
    gguf_writer_close(writer);
    if (!gguf_open_bytes(&h->gguf, buf_as_str(&h->file), &e) || !tok_open(&h->tok, h->gguf, &e) ||
        !chat_template_open(&h->tmpl, h->gguf, h->tok, NULL, &e))
        fail_msg("%s", e.msg);
}

/* What a process has: an engine, a store, runs. */
static void open_process(struct house *h)
{
    struct sched_conf sc = sched_conf_default();
    struct engine_conf ec = engine_conf_default();
    struct runs_conf rc = runs_conf_default();
    struct store_conf c = store_conf_default();
    struct err e;
    sc.n_ctx = 1024;
    sc.max_seqs = 4;
    ec.n_threads = 1;
    ec.kv_tokens = 4096;
    ec.max_rows = sc.max_rows;
    ec.max_logits = sc.max_seqs + 8;
    c.dir = h->dir;
    c.max_pages = h->max_pages;
    h->out = queue_new(sched_out_capacity(&sc), true);
    if (!engine_open(&h->engine, h->gguf, &ec, &e) ||
        !sched_open(&h->sched, h->engine, h->tok, &sc, h->out, &e) ||
        !store_open(&h->store, &c, &e))
        fail_msg("%s", e.msg);
    struct run_model m = {.name = "tiny",
                          .gguf = h->gguf,
                          .tok = h->tok,
                          .tmpl = h->tmpl,
                          .sched = h->sched,
                          .sched_out = h->out,
                          .info = engine_info(h->engine)};
    rc.store = h->store;
    rc.budget = h->budget;
    if (!runs_open(&h->runs, &m, 1, &rc, &e))
        fail_msg("%s", e.msg);
}

static void close_process(struct house *h)
{
    runs_stop(h->runs);
    sched_close(h->sched);
    runs_close(h->runs);
    store_close(h->store);
    sched_free(h->sched);
    queue_free(h->out);
    engine_close(h->engine);
}

static void open_house(struct house *h, int64_t max_pages)
{
    *h = (struct house){.dir = "/tmp/confab-run-XXXXXX", .max_pages = max_pages};
    assert_non_null(mkdtemp(h->dir));
    open_model(h);
    open_process(h);
}

static void close_house(struct house *h)
{
    static const char *const files[] = {"confab.db", "confab.db-wal", "confab.db-shm"};
    char path[128];
    close_process(h);
    chat_template_close(h->tmpl);
    tok_close(h->tok);
    gguf_close(h->gguf);
    buf_free(&h->file);
    for (size_t i = 0; i < COUNT(files); i++) {
        snprintf(path, sizeof path, "%s/%s", h->dir, files[i]);
        unlink(path);
    }
    rmdir(h->dir);
}

/* The loop once around, when something has happened. */
static void turn(struct house *h)
{
    struct pollfd fds[8];
    size_t n = runs_n_fds(h->runs);
    for (size_t i = 0; i < n; i++)
        fds[i] = (struct pollfd){.fd = runs_fd(h->runs, i), .events = POLLIN};
    fds[n] = (struct pollfd){.fd = store_fd(h->store), .events = POLLIN};
    poll(fds, n + 1, 100);
    store_turn(h->store);
    runs_turn(h->runs);
}

struct kind {
    const char *name;
    int n_choices, n_prompts;
    bool logprobs, raw;
    const char *stop;
};

static struct chat_request *request_of(const struct kind *k, int max_tokens)
{
    struct chat_request *r = chat_request_new(1 << 20);
    r->n_prompts = (size_t)k->n_prompts;
    r->prompts = arena_calloc(&r->arena, r->n_prompts, sizeof *r->prompts);
    for (int i = 0; i < k->n_prompts; i++)
        r->prompts[i].text = i ? STR("There was a town") : STR("Once upon a time");
    r->n_choices = k->n_choices;
    r->max_tokens = max_tokens;
    r->ignore_eos = true;
    r->has_seed = true;
    r->seed = 11;
    r->raw_text = k->raw;
    r->want_logprobs = k->logprobs;
    r->top_logprobs = k->logprobs ? 2 : 0;
    if (k->stop) {
        r->stops = arena_calloc(&r->arena, 1, sizeof *r->stops);
        r->stops[0] = str_c(k->stop);
        r->n_stops = 1;
    }
    return r;
}

static struct run *start(struct house *h, struct chat_request *r, bool durable)
{
    struct err e;
    struct run *run = run_start(h->runs, r, &e);
    if (!run || (durable && !run_make_durable(run, &e)))
        fail_msg("%s", e.msg);
    run_detach(run);
    return run;
}

static struct {
    int n;
    struct err error;
} told;

static void on_sync(const struct err *e, void *arg)
{
    (void)arg;
    told.n++;
    told.error = e ? *e : (struct err){0};
}

/* All that the log says, a line an event, but for times and what the cache did. */
static void tell(const struct run *run, struct buf *out)
{
    const struct chat_event *ev;
    for (size_t i = 0; (ev = run_event(run, i)); i++) {
        assert_int_equal(ev->number, i + 1);
        buf_printf(out, "%d %d %d %d:", ev->what, ev->choice, ev->n_tokens, ev->finish);
        json_write_str(out, ev->text, JSON_PLAIN);
        for (int t = 0; ev->tokens && t < ev->n_tokens; t++)
            buf_printf(out, " %d@%zu=%.9g,%.9g", ev->tokens[t].id, ev->tokens[t].at,
                       (double)ev->tokens[t].logprob, (double)ev->tokens[t].top[0].logprob);
        if (ev->error)
            buf_printf(out, " %s", ev->error->msg);
        buf_printf(out, " %zu\n", ev->usage.n_output);
    }
}

/* The same, choice by choice: these may interleave otherwise. */
static void sort_by_choice(struct buf *b)
{
    struct buf sorted = BUF_INIT(b->max);
    for (int c = 0; c < 8; c++) {
        str rest = buf_as_str(b), line;
        while (str_cut(&rest, '\n', &line)) {
            str from = line, what, choice;
            uint64_t n;
            if (str_cut(&from, ' ', &what) && str_cut(&from, ' ', &choice) &&
                str_to_u64(choice, &n) && n == (uint64_t)c) {
                buf_str(&sorted, line);
                buf_char(&sorted, '\n');
            }
        }
    }
    buf_free(b);
    *b = sorted;
}

static void run_goes_on_where_it_was(void **state)
{
    static const struct kind kinds[] = {
        {"plain", 1, 1, false, false, NULL},         {"choices", 2, 1, false, false, NULL},
        {"prompts", 2, 2, false, false, NULL},       {"log-probabilities", 1, 1, true, false, NULL},
        {"control tokens", 1, 1, false, true, NULL}, {"a stop text", 2, 1, false, false, " the"},
    };
    static const size_t stops[] = {0, 1, 7, 60};
    struct house h;
    (void)state;
    open_house(&h, 0);
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct buf want = BUF_INIT(1 << 22);
        struct run *run = start(&h, request_of(&kinds[k], 50), false);
        while (!run_is_over(run))
            turn(&h);
        tell(run, &want);
        sort_by_choice(&want);
        run_drop(run);
        for (size_t s = 0; s < COUNT(stops); s++) {
            struct buf got = BUF_INIT(1 << 22);
            char id[ID_MAX];
            run = start(&h, request_of(&kinds[k], 50), true);
            snprintf(id, sizeof id, "%s", run_id(run));
            while (run_is_unsaved(run) && !run->stored)
                turn(&h);
            while (!run_event(run, stops[s]) && !run_is_over(run))
                turn(&h);
            for (int times = 0; times < 2; times++) { // stopped twice
                run_drop(run);
                close_process(&h);
                open_process(&h);
                struct run_load *load;
                struct err e;
                while (!(run = runs_find(h.runs, str_c(id), STR("")))) {
                    if (!runs_load(h.runs, str_c(id), STR(""), on_sync, NULL, &load, &e))
                        fail_msg("%s", e.msg);
                    turn(&h);
                }
            }
            while (!run_is_over(run))
                turn(&h);
            tell(run, &got);
            sort_by_choice(&got);
            check_str(buf_as_str(&got), buf_as_str(&want), kinds[k].name);
            run_drop(run);
            buf_free(&got);
        }
        buf_free(&want);
    }
    close_house(&h);
}

static void on_put(const struct store_reply *r, void *arg)
{
    *(bool *)arg = r->error == NULL;
}

static void run_waits_for_room_on_the_disk(void **state)
{
    static const struct kind plain = {"plain", 1, 1, false, false, NULL};
    struct house h;
    struct err e;
    struct buf want = BUF_INIT(1 << 22), got = BUF_INIT(1 << 22), big = BUF_INIT(1 << 20);
    char id[16];
    int n_objects = 0;
    (void)state;
    open_house(&h, 100);
    while (big.n < 30000)
        buf_c(&big, "words ");
    struct run *run = start(&h, request_of(&plain, 900), false);
    while (!run_is_over(run))
        turn(&h);
    tell(run, &want);
    run_drop(run);

    // Accepted while there is room ...
    told.n = 0;
    run = start(&h, request_of(&plain, 900), true);
    struct run_sync *sync = run_sync(run, on_sync, NULL);
    assert_non_null(sync);
    assert_int_equal(told.n, 0);
    assert_null(run_event(run, 0));
    while (told.n == 0)
        turn(&h);
    assert_int_equal(told.error.code, ERR_NONE);
    // ... and then the disk is full.
    for (size_t size = 20000; size > 0; size /= 2)
        for (bool ok = true; ok;) {
            snprintf(id, sizeof id, "o%d", n_objects);
            assert_true(store_put(h.store, STR("k"), STR(""), str_c(id),
                                  str_sub(buf_as_str(&big), 0, size), 0, on_put, &ok, &e));
            store_drain(h.store);
            n_objects += ok;
        }
    while (!run->over || !run->put_off)
        turn(&h);
    assert_false(run_is_over(run)); // computed, and not told
    assert_true(run->n_visible < run->n_events);
    told.n = 0;
    assert_non_null(run_sync(run, on_sync, NULL));
    while (told.n == 0)
        turn(&h);
    assert_string_equal(told.error.kind, "store_unavailable");

    // Another run is refused, and nobody hears of it.
    struct chat_request *r = request_of(&plain, 5);
    r->prompts[0].text = arena_str(&r->arena, buf_as_str(&big));
    struct run *other = start(&h, r, true);
    told.n = 0;
    assert_non_null(run_sync(other, on_sync, NULL));
    while (told.n == 0)
        turn(&h);
    assert_int_equal(told.error.code, ERR_BUSY);
    assert_string_equal(told.error.kind, "store_unavailable");
    assert_true(run_is_over(other));
    assert_int_equal(run_event(other, 0)->what, CHAT_FAILED);
    run_forget(other);
    run_drop(other);

    for (int i = 0; i < n_objects; i++) {
        snprintf(id, sizeof id, "o%d", i);
        assert_true(store_delete(h.store, STR("k"), STR(""), str_c(id), NULL, NULL, &e));
    }
    while (!run_is_over(run))
        turn(&h);
    tell(run, &got);
    check_str(buf_as_str(&got), buf_as_str(&want), "what was acknowledged");
    run_forget(run);
    told.n = 0;
    assert_non_null(run_sync(run, on_sync, NULL));
    while (told.n == 0)
        turn(&h);
    assert_int_equal(told.error.code, ERR_NONE);
    assert_null(run_sync(run, on_sync, NULL)); // gone: nothing to wait for
    run_drop(run);
    close_house(&h);
    buf_free(&want);
    buf_free(&got);
    buf_free(&big);
}

/* What comes again is held against the log by what it says. */

struct said {
    enum chat_what what;
    const char *text;
    int n_tokens;
};

static void replay(const char *name, const struct said *log, size_t n_log, const struct said *again,
                   size_t n_again, const char *want)
{
    struct engine_info info = {.n_vocab = 10};
    struct run_model model = {.name = "m", .info = &info};
    struct chat_request *r = chat_request_new(1 << 16);
    struct chat_event events[8] = {{0}};
    str behind[8] = {{0}};
    struct run run = {.model = &model, .request = r, .n_parts = 1, .started = true};
    struct buf got = BUF_INIT(1 << 12);
    struct err e;
    arena_init(&run.text, 1 << 16);
    for (size_t i = 0; i < n_log; i++)
        events[i] = (struct chat_event){
            .what = log[i].what, .text = str_c(log[i].text), .n_tokens = log[i].n_tokens};
    run.events = events;
    run.behind = behind;
    run.n_events = n_log;
    run_replay_open(&run);
    for (size_t i = 0; i < n_again; i++) {
        struct chat_event ev = {
            .what = again[i].what, .text = str_c(again[i].text), .n_tokens = again[i].n_tokens};
        bool rest;
        if (!run_replay_take(&run, &ev, &rest, &e)) {
            buf_c(&got, "differs");
            break;
        }
        if (rest)
            buf_printf(&got, "%s%.*s/%d ", ev.what == CHAT_COMPLETED ? "done" : "",
                       STR_ARG(ev.text), ev.n_tokens);
    }
    check_bytes(&got, want, name);
    buf_free(&got);
    run_replay_close(&run);
    arena_fini(&run.text);
    chat_request_free(r);
}

static void run_replays_by_what_is_said(void **state)
{
#define T CHAT_TEXT
#define R CHAT_REASONING
#define F CHAT_FINISHED
#define C CHAT_COMPLETED
    static const struct {
        const char *name;
        struct said log[4], again[5];
        const char *want;
    } rows[] = {
        {"the same, then more",
         {{T, "a", 1}, {T, "b", 1}},
         {{T, "a", 1}, {T, "b", 1}, {T, "c", 1}},
         "c/1 "},
        {"longer pieces", {{T, "a", 1}, {T, "bc", 2}}, {{T, "abcd", 4}, {T, "e", 1}}, "d/1 e/1 "},
        {"shorter pieces", {{T, "abc", 3}}, {{T, "a", 1}, {T, "b", 1}, {T, "cd", 2}}, "d/1 "},
        {"another text", {{T, "ab", 1}}, {{T, "a", 1}, {T, "x", 1}}, "differs"},
        {"another kind", {{R, "ab", 1}}, {{T, "ab", 1}}, "differs"},
        {"thinking, then text",
         {{R, "hm", 1}, {T, "a", 1}},
         {{R, "h", 1}, {R, "m", 0}, {T, "ab", 2}},
         "b/1 "},
        {"an end that was there",
         {{T, "a", 1}, {F, "", 1}},
         {{T, "a", 1}, {F, "", 1}, {C, "", 0}},
         "done/0 "},
        {"an end too early", {{T, "ab", 2}}, {{T, "a", 1}, {F, "", 1}}, "differs"},
        {"complete too early", {{T, "ab", 2}}, {{T, "a", 1}, {C, "", 0}}, "differs"},
        {"nothing was there", {{0}}, {{T, "a", 1}}, "a/1 "},
    };
#undef T
#undef R
#undef F
#undef C
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t n_log = 0, n_again = 0;
        while (n_log < COUNT(rows[i].log) && rows[i].log[n_log].text)
            n_log++;
        while (n_again < COUNT(rows[i].again) && rows[i].again[n_again].text)
            n_again++;
        replay(rows[i].name, rows[i].log, n_log, rows[i].again, n_again, rows[i].want);
    }
}

/* What a request and its log hold is counted; what does not fit is refused, complete runs go for
 * it, and in the end nothing is left. */
static void run_texts_keep_to_the_budget(void **state)
{
    static const struct kind plain = {"plain", 1, 1}, several = {"several", 4, 1};
    struct house h = {.dir = "/tmp/confab-run-XXXXXX"};
    struct budget b;
    struct err e;
    (void)state;
    budget_init(&b, 256 << 10);
    h.budget = &b;
    assert_non_null(mkdtemp(h.dir));
    open_model(&h);
    open_process(&h);

    struct chat_request *large = request_of(&plain, 4), *larger = request_of(&plain, 4);
    large->n_body = 100 << 10;
    larger->n_body = 180 << 10;
    struct run *run = run_start(h.runs, large, &e);
    assert_non_null(run);
    assert_in_range(budget_used(&b, BUDGET_TEXTS), 100 << 10, 140 << 10);
    assert_null(run_start(h.runs, larger, &e));
    assert_int_equal(e.code, ERR_BUSY);
    assert_non_null(strstr(e.msg, "more do not fit the memory budget"));
    while (!run->over)
        turn(&h);
    run_drop(run);
    for (int i = 0; i < 1000 && budget_used(&b, BUDGET_TEXTS) == 0; i++)
        turn(&h);
    larger = request_of(&plain, 4);
    larger->n_body = 180 << 10;
    run = run_start(h.runs, larger, &e); // the complete one goes for it
    assert_non_null(run);
    while (!run->over)
        turn(&h);
    assert_int_equal(run->failure.code, ERR_NONE);
    run_drop(run);

    struct run *long_one = run_start(h.runs, request_of(&several, 900), &e);
    assert_non_null(long_one); // its log comes to more than there is
    while (!long_one->over)
        turn(&h);
    assert_int_equal(long_one->failure.code, ERR_BUSY);
    assert_true(budget_used(&b, BUDGET_TEXTS) <= 256 << 10);
    run_drop(long_one);
    close_house(&h);
    assert_int_equal(budget_used(&b, BUDGET_TEXTS), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(run_texts_keep_to_the_budget),
    cmocka_unit_test(run_goes_on_where_it_was),
    cmocka_unit_test(run_waits_for_room_on_the_disk),
    cmocka_unit_test(run_replays_by_what_is_said),
};
TEST_FILE(tests)
