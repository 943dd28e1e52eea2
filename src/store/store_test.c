/* store_test.c - runs, objects, versions, damage, full disks, I/O that fails. */
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "store/store_int.h"
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void make_dir(char dir[64])
{
    snprintf(dir, 64, "/tmp/confab-store-XXXXXX");
    assert_non_null(mkdtemp(dir));
}

static void remove_dir(const char *dir)
{
    static const char *const files[] = {"confab.db", "confab.db-wal", "confab.db-shm",
                                        "confab.db-journal"};
    char path[128];
    for (size_t i = 0; i < COUNT(files); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        unlink(path);
    }
    rmdir(dir);
}

static struct store *open_store(const struct store_conf *c)
{
    struct store *s;
    struct err e;
    if (!store_open(&s, c, &e))
        fail_msg("%s", e.msg);
    return s;
}

static struct store *open_dir(const char *dir)
{
    struct store_conf c = store_conf_default();
    c.dir = dir;
    return open_store(&c);
}

/* The last reply, as text: "ok", "ok id:team:alias:origin:model:request e1,e2", or the error. */
static struct {
    struct buf text;
    enum err_code code;
    char kind[48];
    enum store_state state;
    size_t n_prompt;
    uint64_t seed;
} got;

static void take(const struct store_reply *r, void *arg)
{
    (void)arg;
    buf_clear(&got.text);
    got.text.max = 1 << 20;
    got.code = r->error ? r->error->code : ERR_NONE;
    snprintf(got.kind, sizeof got.kind, "%s", r->error ? r->error->kind : "");
    if (r->error)
        return;
    if (r->run) {
        const struct store_run *run = r->run;
        buf_printf(&got.text, "%.*s:%.*s:%.*s:%.*s:%.*s:%.*s ", STR_ARG(run->id),
                   STR_ARG(run->team), STR_ARG(run->alias), STR_ARG(run->origin),
                   STR_ARG(run->model), STR_ARG(run->request));
        got.state = run->state;
        got.n_prompt = run->n_prompt;
        got.seed = run->seed;
    }
    for (size_t i = 0; i < r->n; i++) {
        if (r->ids)
            buf_printf(&got.text, "%.*s%s", STR_ARG(r->ids[i]), r->events ? "=" : ",");
        if (r->events)
            buf_printf(&got.text, "%.*s,", STR_ARG(r->events[i]));
    }
    buf_str(&got.text, r->body);
}

static void wait_for(struct store *s, bool given, const struct err *e)
{
    if (!given)
        fail_msg("%s", e->msg);
    store_drain(s);
}

static void new_run(struct store *s, const char *id, const char *team, const char *alias)
{
    struct err e;
    struct store_run r = {.id = str_c(id),
                          .team = str_c(team),
                          .alias = str_c(alias),
                          .origin = STR("openai.chat"),
                          .model = STR("m"),
                          .request = STR("{}"),
                          .seed = UINT64_MAX,
                          .created_ms = 5,
                          .deadline_ms = 7};
    wait_for(s, store_run_new(s, &r, take, NULL, &e), &e);
}

static void add(struct store *s, const char *id, uint64_t first, const char *a, const char *b,
                enum store_state state)
{
    const str events[] = {str_c(a), str_c(b)};
    struct store_more m = {.first = first,
                           .events = events,
                           .n = b ? 2 : 1,
                           .state = state,
                           .ended_ms = state ? clock_unix_ms() : 0,
                           .n_prompt = 9};
    struct err e;
    wait_for(s, store_run_add(s, str_c(id), &m, take, NULL, &e), &e);
}

static void load(struct store *s, const char *name, const char *team)
{
    struct err e;
    wait_for(s, store_run_load(s, str_c(name), str_c(team), take, NULL, &e), &e);
}

static void live(struct store *s)
{
    struct err e;
    wait_for(s, store_run_live(s, take, NULL, &e), &e);
}

static void delete_run(struct store *s, const char *id)
{
    struct err e;
    wait_for(s, store_run_delete(s, str_c(id), take, NULL, &e), &e);
}

static void expect(enum err_code code, const char *text)
{
    assert_int_equal(got.code, code);
    if (text)
        check_bytes(&got.text, text, text);
    buf_free(&got.text);
}

static void store_runs_come_back(void **state)
{
    char dir[64];
    (void)state;
    make_dir(dir);
    struct store *s = open_dir(dir);
    new_run(s, "r1", "red", "mine");
    expect(ERR_NONE, NULL);
    add(s, "r1", 1, "one", "two", STORE_LIVE);
    expect(ERR_NONE, NULL);
    add(s, "r1", 3, "three", NULL, STORE_LIVE);
    expect(ERR_NONE, NULL);
    new_run(s, "r2", "red", "");
    new_run(s, "r3", "red", "");
    add(s, "r3", 1, "x", NULL, STORE_FAILED);
    store_close(s);

    s = open_dir(dir);
    live(s);
    expect(ERR_NONE, "r1,r2,");
    load(s, "r1", "red");
    assert_int_equal(got.state, STORE_LIVE);
    assert_int_equal(got.n_prompt, 9);
    assert_true(got.seed == UINT64_MAX);
    expect(ERR_NONE, "r1:red:mine:openai.chat:m:{} one,two,three,");
    load(s, "mine", "red");
    expect(ERR_NONE, "r1:red:mine:openai.chat:m:{} one,two,three,");
    load(s, "r3", "red");
    assert_int_equal(got.state, STORE_FAILED);
    expect(ERR_NONE, "r3:red::openai.chat:m:{} x,");
    static const char *const none[][2] = {{"r1", "blue"}, {"mine", "blue"}, {"r1", ""},
                                          {"", "red"},    {"r", "red"},     {"r1'--", "red"}};
    for (size_t i = 0; i < COUNT(none); i++) {
        load(s, none[i][0], none[i][1]);
        expect(ERR_NOT_FOUND, NULL);
    }
    delete_run(s, "r1");
    expect(ERR_NONE, NULL);
    load(s, "r1", "red");
    expect(ERR_NOT_FOUND, NULL);
    delete_run(s, "r1");
    expect(ERR_NOT_FOUND, NULL);
    new_run(s, "r4", "red", "mine"); // the name is free again
    expect(ERR_NONE, NULL);
    store_close(s);
    remove_dir(dir);
}

static void store_names_are_unique_in_a_team(void **state)
{
    struct store_conf c = store_conf_default();
    (void)state;
    struct store *s = open_store(&c);
    assert_false(store_is_durable(s));
    static const struct {
        const char *id, *team, *alias;
        enum err_code code;
    } rows[] = {
        {"a", "red", "n", ERR_NONE}, {"b", "red", "n", ERR_INPUT}, {"b", "blue", "n", ERR_NONE},
        {"b", "x", "m", ERR_INPUT},  {"c", "red", "", ERR_NONE},   {"d", "red", "", ERR_NONE},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        new_run(s, rows[i].id, rows[i].team, rows[i].alias);
        if (rows[i].code)
            assert_string_equal(got.kind, "already_exists");
        expect(rows[i].code, NULL);
    }
    store_close(s);
}

static void store_logs_have_no_gaps(void **state)
{
    struct store_conf c = store_conf_default();
    (void)state;
    struct store *s = open_store(&c);
    new_run(s, "a", "", "");
    add(s, "a", 1, "1", NULL, STORE_LIVE);
    static const uint64_t wrong[] = {0, 1, 3, 1000};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        add(s, "a", wrong[i], "x", "y", STORE_LIVE);
        expect(ERR_INTERNAL, NULL);
    }
    add(s, "b", 1, "x", NULL, STORE_LIVE);
    expect(ERR_NOT_FOUND, NULL);
    add(s, "a", 2, "2", "3", STORE_COMPLETED);
    expect(ERR_NONE, NULL);
    add(s, "a", 4, "4", NULL, STORE_LIVE); // complete is complete
    expect(ERR_INTERNAL, NULL);
    load(s, "a", "");
    expect(ERR_NONE, "a:::openai.chat:m:{} 1,2,3,");
    store_close(s);
}

/* Orders that gather are one transaction; one that cannot be done does not harm the others. */
static void store_groups_and_isolates(void **state)
{
    struct store_conf c = store_conf_default();
    struct err e;
    char id[16];
    str event = STR("e");
    (void)state;
    struct store *s = open_store(&c);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 40; i++) {
            snprintf(id, sizeof id, "r%d.%d", round, i);
            struct store_run r = {.id = str_c(id), .origin = STR("o"), .model = STR("m")};
            assert_true(store_run_new(s, &r, NULL, NULL, &e));
            struct store_more m = {.first = i % 7 == 3 ? 2 : 1, .events = &event, .n = 1};
            assert_true(store_run_add(s, str_c(id), &m, NULL, NULL, &e));
        }
        store_drain(s);
        for (int i = 0; i < 40; i++) {
            snprintf(id, sizeof id, "r%d.%d", round, i);
            load(s, id, "");
            char want[64];
            snprintf(want, sizeof want, "%s:::o:m: %s", id, i % 7 == 3 ? "" : "e,");
            expect(ERR_NONE, want);
        }
    }
    store_close(s);
}

static void store_refuses_more_orders_than_it_holds(void **state)
{
    struct store_conf c = store_conf_default();
    struct err e;
    (void)state;
    c.max_orders = 3;
    struct store *s = open_store(&c);
    for (int i = 0; i < 3; i++)
        assert_true(store_get(s, STR("k"), STR(""), STR("x"), NULL, NULL, &e));
    assert_false(store_get(s, STR("k"), STR(""), STR("x"), NULL, NULL, &e));
    assert_int_equal(e.code, ERR_BUSY);
    assert_int_equal(store_n_orders(s), 3);
    store_drain(s);
    assert_int_equal(store_n_orders(s), 0);
    store_close(s);
}

static void put(struct store *s, const char *team, const char *id, const char *body,
                int64_t expires_ms)
{
    struct err e;
    wait_for(
        s, store_put(s, STR("k"), str_c(team), str_c(id), str_c(body), expires_ms, take, NULL, &e),
        &e);
}

static void get(struct store *s, const char *team, const char *id)
{
    struct err e;
    wait_for(s, store_get(s, STR("k"), str_c(team), str_c(id), take, NULL, &e), &e);
}

static void list(struct store *s, const char *prefix, const char *after, int limit, bool down)
{
    struct err e;
    struct store_page p = {
        .prefix = str_c(prefix), .after = str_c(after), .limit = limit, .newest_first = down};
    wait_for(s, store_list(s, STR("k"), STR("t"), &p, take, NULL, &e), &e);
}

static void store_keeps_objects(void **state)
{
    struct store_conf c = store_conf_default();
    struct err e;
    (void)state;
    struct store *s = open_store(&c);
    put(s, "t", "a", "1", 0);
    put(s, "t", "b", "2", 0);
    put(s, "t", "ac", "3", 0);
    put(s, "u", "a", "other", 0);
    put(s, "t", "a", "one", 0); // keeps its place
    get(s, "t", "a");
    expect(ERR_NONE, "one");
    get(s, "u", "a");
    expect(ERR_NONE, "other");
    get(s, "", "a");
    expect(ERR_NOT_FOUND, NULL);
    wait_for(s, store_add(s, STR("k"), STR("t"), STR("a"), STR("x"), 0, take, NULL, &e), &e);
    assert_string_equal(got.kind, "already_exists");
    expect(ERR_INPUT, NULL);
    static const struct {
        const char *prefix, *after;
        int limit;
        bool down;
        const char *want;
    } rows[] = {
        {"", "", 10, false, "a=one,b=2,ac=3,"},
        {"", "", 10, true, "ac=3,b=2,a=one,"},
        {"", "a", 10, false, "b=2,ac=3,"},
        {"", "ac", 1, true, "b=2,"},
        {"", "", 2, false, "a=one,b=2,"},
        {"a", "", 10, false, "a=one,ac=3,"},
        {"x", "", 10, false, ""},
        {"", "ac", 10, false, ""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        list(s, rows[i].prefix, rows[i].after, rows[i].limit, rows[i].down);
        expect(ERR_NONE, rows[i].want);
    }
    wait_for(s, store_delete(s, STR("k"), STR("t"), STR("b"), take, NULL, &e), &e);
    expect(ERR_NONE, NULL);
    wait_for(s, store_delete(s, STR("k"), STR("t"), STR("b"), take, NULL, &e), &e);
    expect(ERR_NOT_FOUND, NULL);
    put(s, "t", "z", "soon", clock_unix_ms() + 3600000);
    get(s, "t", "z");
    expect(ERR_NONE, "soon");
    put(s, "t", "z", "soon", 1000500); // long ago
    get(s, "t", "z");
    expect(ERR_NOT_FOUND, NULL);
    list(s, "z", "", 10, false);
    expect(ERR_NONE, "");
    store_close(s);
}

/* Retention, by hand on this thread: no store thread runs. */
static void with_sweep(const char *dir, uint32_t keep_s, uint64_t max_bytes, int n_runs,
                       size_t event_bytes, int *n_left, bool *live_left)
{
    struct store_conf c = store_conf_default();
    struct store s = {0};
    struct err e;
    char id[16];
    struct buf big = BUF_INIT(1 << 20);
    c.dir = dir;
    s.conf = c;
    s.conf.keep_s = keep_s;
    s.conf.max_bytes = max_bytes;
    if (!store_db_open(&s.db, &c, &e))
        fail_msg("%s", e.msg);
    for (size_t i = 0; i < event_bytes; i++)
        buf_char(&big, 'x');
    str events[] = {buf_as_str(&big)};
    for (int i = 0; i < n_runs; i++) {
        snprintf(id, sizeof id, "r%d", i);
        struct order o = {.run = {.id = str_c(id), .origin = STR("o"), .model = STR("m")},
                          .id = str_c(id),
                          .more = {.first = 1,
                                   .events = events,
                                   .n = 1,
                                   .state = i == 0 ? STORE_LIVE : STORE_COMPLETED,
                                   .ended_ms = i == 0 ? 0 : clock_unix_ms() - (n_runs - i) * 1000}};
        assert_true(store_row_new(&s.db, &o, &e));
        assert_true(store_row_add(&s.db, &o, &e));
    }
    while (store_sweep(&s))
        ;
    *n_left = 0;
    *live_left = false;
    for (int i = 0; i < n_runs; i++) {
        struct order o = {0};
        snprintf(id, sizeof id, "r%d", i);
        arena_init(&o.out, REPLY_MAX);
        o.id = str_c(id);
        if (store_row_resume(&s.db, &o, &e)) {
            (*n_left)++;
            *live_left |= i == 0;
        }
        store_order_clear(&o);
    }
    buf_free(&big);
    store_db_close(&s.db);
}

static void store_forgets_by_age_and_size(void **state)
{
    char dir[64];
    int n;
    bool live_left;
    (void)state;
    make_dir(dir);
    clock_freeze(1000, 1700000000000);
    with_sweep(dir, 10, 0, 40, 10, &n, &live_left);
    assert_int_equal(n, 11); // those of the last ten seconds, and the live one however old
    assert_true(live_left);
    remove_dir(dir);
    make_dir(dir);
    with_sweep(dir, 0, 2 << 20, 40, 100000, &n, &live_left);
    assert_true(n >= 15 && n <= 21); // what fits 2 MiB
    assert_true(live_left);
    remove_dir(dir);
    make_dir(dir);
    with_sweep(dir, 0, 0, 40, 100000, &n, &live_left);
    assert_int_equal(n, 40);
    clock_thaw();
    remove_dir(dir);
}

/* Files. */

static void script(const char *dir, const char *text)
{
    char path[128];
    sqlite3 *sql;
    snprintf(path, sizeof path, "%s/confab.db", dir);
    assert_int_equal(sqlite3_open(path, &sql), SQLITE_OK);
    if (sqlite3_exec(sql, text, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(sql));
    sqlite3_close(sql);
}

static void store_brings_an_older_file_up_to_date(void **state)
{
    char dir[64];
    (void)state;
    make_dir(dir);
    // As version 1 left it: runs, and no objects.
    script(dir, store_db_scripts[0]);
    script(dir, "PRAGMA user_version = 1;"
                "INSERT INTO runs (id, team, alias, origin, model, request, seed, created_ms,"
                " deadline_ms, n_events) VALUES ('old', 'red', 'n', 'o', 'm', "
                "x'7b7d251a90b5074bf408', -1, 1, 0, 1);"
                "INSERT INTO events VALUES (1, 1, x'653183b839b5077b8e08');");
    struct store *s = open_dir(dir);
    load(s, "n", "red");
    expect(ERR_NONE, "old:red:n:o:m:{} e1,");
    add(s, "old", 2, "e2", NULL, STORE_COMPLETED);
    expect(ERR_NONE, NULL);
    put(s, "t", "a", "1", 0);
    expect(ERR_NONE, NULL);
    store_close(s);
    s = open_dir(dir); // and nothing is to be done again
    load(s, "old", "red");
    expect(ERR_NONE, "old:red:n:o:m:{} e1,e2,");
    store_close(s);
    remove_dir(dir);
}

static void expect_no_open(const char *dir, enum err_code code, const char *text)
{
    struct store_conf c = store_conf_default();
    struct store *s;
    struct err e;
    c.dir = dir;
    if (store_open(&s, &c, &e)) {
        store_close(s);
        fail_msg("opened, but wanted: %s", text);
    }
    assert_int_equal(e.code, code);
    if (!strstr(e.msg, text))
        fail_msg("\"%s\" does not say \"%s\"", e.msg, text);
}

static void store_says_why_a_file_cannot_be_used(void **state)
{
    char dir[64], path[128];
    struct err e;
    (void)state;
    make_dir(dir);
    script(dir, "PRAGMA user_version = 99; CREATE TABLE x (y)");
    expect_no_open(dir, ERR_FORMAT, "newer confab");
    remove_dir(dir);

    make_dir(dir);
    snprintf(path, sizeof path, "%s/confab.db", dir);
    assert_true(
        file_replace(path, STR("this is a letter, and no database at all, is it? no no"), &e));
    expect_no_open(dir, ERR_FORMAT, "damaged or no database");
    remove_dir(dir);

    make_dir(dir);
    struct store *s = open_dir(dir);
    expect_no_open(dir, ERR_BUSY, "another process");
    store_close(s);
    remove_dir(dir);

    make_dir(dir);
    snprintf(path, sizeof path, "%s/file", dir);
    assert_true(file_replace(path, STR("x"), &e));
    expect_no_open(path, ERR_IO, "file");
    unlink(path);
    remove_dir(dir);
}

static void store_survives_damage(void **state)
{
    char dir[64], path[128], id[16];
    uint64_t random = 5;
    struct err e;
    (void)state;
    make_dir(dir);
    struct store *s = open_dir(dir);
    for (int i = 0; i < 60; i++) {
        snprintf(id, sizeof id, "r%d", i);
        new_run(s, id, "", "");
        add(s, id, 1, "some event or other that takes a few bytes", "and one more", STORE_LIVE);
    }
    store_close(s);
    snprintf(path, sizeof path, "%s/confab.db", dir);
    struct buf whole = BUF_INIT(1 << 24), bad = BUF_INIT(1 << 24);
    assert_true(file_read(path, &whole, &e));
    for (int round = 0; round < 60; round++) {
        struct store_conf c = store_conf_default();
        c.dir = dir;
        buf_clear(&bad);
        buf_str(&bad, buf_as_str(&whole));
        for (int k = 0; k < 40; k++)
            bad.p[test_random(&random) % bad.n] = (char)test_random(&random);
        if (round % 10 == 0)
            bad.n = test_random(&random) % bad.n;
        assert_true(file_replace(path, buf_as_str(&bad), &e));
        if (!store_open(&s, &c, &e)) {
            assert_int_equal(e.code, ERR_FORMAT);
            continue;
        }
        live(s);
        for (int i = 0; i < 60; i += 7) { // right, or an error; never a crash
            snprintf(id, sizeof id, "r%d", i);
            load(s, id, "");
            if (got.code == ERR_NONE)
                assert_non_null(
                    strstr(buf_cstr(&got.text),
                           "{} some event or other that takes a few bytes,and one more,"));
            add(s, id, 3, "x", NULL, STORE_COMPLETED);
            delete_run(s, id);
        }
        store_close(s);
    }
    buf_free(&whole);
    buf_free(&bad);
    buf_free(&got.text);
    remove_dir(dir);
}

static void store_refuses_on_a_full_disk_and_goes_on_later(void **state)
{
    char dir[64], id[16];
    struct store_conf c = store_conf_default();
    struct buf big = BUF_INIT(1 << 20);
    struct store_counts counts;
    int n;
    (void)state;
    make_dir(dir);
    c.dir = dir;
    c.max_pages = 60;
    struct store *s = open_store(&c);
    while (big.n < 20000)
        buf_c(&big, "text ");
    buf_char(&big, '\0');
    for (n = 0; n < 100; n++) {
        snprintf(id, sizeof id, "r%d", n);
        new_run(s, id, "", "");
        if (got.code == ERR_NONE)
            add(s, id, 1, big.p, NULL, STORE_COMPLETED);
        if (got.code != ERR_NONE)
            break;
    }
    assert_true(n > 3 && n < 20);
    assert_int_equal(got.code, ERR_BUSY);
    assert_string_equal(got.kind, "store_unavailable");
    store_counts(s, &counts);
    assert_true(counts.failing && counts.failures > 0);
    for (int i = 0; i < n; i++) { // nothing that was acknowledged is lost
        snprintf(id, sizeof id, "r%d", i);
        load(s, id, "");
        assert_int_equal(got.code, ERR_NONE);
        assert_true(got.text.n > 20000);
    }
    delete_run(s, "r0");
    delete_run(s, "r1");
    expect(ERR_NONE, NULL);
    new_run(s, "later", "", "");
    add(s, "later", 1, big.p, NULL, STORE_COMPLETED);
    expect(ERR_NONE, NULL);
    store_counts(s, &counts);
    assert_false(counts.failing);
    store_close(s);
    buf_free(&big);
    remove_dir(dir);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(store_runs_come_back),
    cmocka_unit_test(store_names_are_unique_in_a_team),
    cmocka_unit_test(store_logs_have_no_gaps),
    cmocka_unit_test(store_groups_and_isolates),
    cmocka_unit_test(store_refuses_more_orders_than_it_holds),
    cmocka_unit_test(store_keeps_objects),
    cmocka_unit_test(store_forgets_by_age_and_size),
    cmocka_unit_test(store_brings_an_older_file_up_to_date),
    cmocka_unit_test(store_says_why_a_file_cannot_be_used),
    cmocka_unit_test(store_survives_damage),
    cmocka_unit_test(store_refuses_on_a_full_disk_and_goes_on_later),
};
TEST_FILE(tests)
