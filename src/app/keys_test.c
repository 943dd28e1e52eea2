/* app/keys_test.c - keys: made, found, revoked, seen by a server; hostile files. */
#include "app/keys.h"

#include "base/clock.h"
#include "base/file.h"
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

#define HEX16 "000102030405060708090a0b0c0d0e0f"
#define HEX32 HEX16 HEX16
#define KEY(id, name)                                                                              \
    "{\"id\":\"" id "\",\"name\":\"" name "\",\"team\":\"red\",\"created\":1,\"sha256\":\"" HEX32  \
    "\"}"
#define FILE_OF(keys) "{\"version\":1,\"salt\":\"" HEX16 "\",\"keys\":[" keys "]}"

struct folder {
    char dir[64], file[96], lock[96];
};

static void folder_init(struct folder *f)
{
    snprintf(f->dir, sizeof f->dir, "/tmp/confab-keys-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->file, sizeof f->file, "%s/keys.json", f->dir);
    snprintf(f->lock, sizeof f->lock, "%s/keys.lock", f->dir);
}

static void folder_fini(struct folder *f)
{
    unlink(f->file);
    unlink(f->lock);
    assert_int_equal(rmdir(f->dir), 0); // nothing else was left there
}

static void add(const struct folder *f, const char *name, const char *team, char secret[ID_MAX])
{
    struct key key;
    struct err e;
    assert_true(keys_add(f->dir, str_c(name), str_c(team), &key, secret, &e));
    check_str(str_c(key.name), str_c(name), "name");
    check_str(str_c(key.team), str_c(team), "team");
}

static const char *team_of(const struct keys *k, const char *secret)
{
    const struct key *key = keys_find(k, str_c(secret));
    return key ? key->team : NULL;
}

static void app_keys_are_found_until_they_are_revoked(void **state)
{
    struct folder f;
    struct keys k = {0};
    struct key gone;
    struct stat st;
    struct err e;
    char one[ID_MAX], two[ID_MAX], cut[ID_MAX];
    (void)state;
    folder_init(&f);
    add(&f, "one", "red", one);
    add(&f, "two", "blue", two);
    assert_string_not_equal(one, two);
    assert_int_equal(stat(f.file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    assert_true(keys_load(&k, f.dir, &e));
    assert_int_equal(k.n, 2);
    assert_string_equal(team_of(&k, one), "red");
    assert_string_equal(team_of(&k, two), "blue");
    snprintf(cut, sizeof cut, "%.*s", (int)strlen(one) - 1, one);
    assert_null(team_of(&k, cut));
    assert_null(team_of(&k, ""));
    assert_null(team_of(&k, k.list[0].id));
    char *ones = malloc(100000);
    memset(ones, '1', 100000);
    assert_null(keys_find(&k, str_n(ones, 100000)));
    free(ones);

    assert_true(keys_revoke(f.dir, STR("one"), &gone, &e));
    assert_true(keys_load(&k, f.dir, &e));
    assert_null(team_of(&k, one));
    assert_string_equal(team_of(&k, two), "blue");
    assert_true(keys_revoke(f.dir, str_c(k.list[0].id), &gone, &e)); // by its id
    assert_string_equal(gone.name, "two");
    assert_false(keys_revoke(f.dir, STR("two"), &gone, &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_true(keys_load(&k, f.dir, &e));
    assert_int_equal(k.n, 0);
    keys_fini(&k);
    folder_fini(&f);
}

static void app_keys_do_not_stand_in_the_file(void **state)
{
    struct folder f;
    struct buf text = BUF_INIT(KEYS_FILE_MAX);
    struct err e;
    char secret[ID_MAX];
    (void)state;
    folder_init(&f);
    add(&f, "one", "red", secret);
    assert_true(file_read(f.file, &text, &e));
    assert_true(str_find(buf_as_str(&text), STR("\"red\"")) > 0);
    assert_true(str_find(buf_as_str(&text), str_from(str_c(secret), strlen(secret) - 8)) < 0);
    buf_free(&text);
    folder_fini(&f);
}

static void app_keys_refuse_names(void **state)
{
    static const struct {
        const char *name, *team, *where;
    } rows[] = {
        {"", "red", "name"},
        {"a b", "red", "name"},
        {"a/b", "red", "name"},
        {"key_1", "red", "name"},
        {"one", "red", "name"},
        {"a", "", "team"},
        {"a", "r\xc3\xb6", "team"},
        {"a", "12345678901234567890123456789012345678901234567890123456789012345", "team"},
    };
    struct folder f;
    struct key key;
    struct err e;
    char secret[ID_MAX] = "untouched", first[ID_MAX];
    (void)state;
    folder_init(&f);
    add(&f, "one", "red", first);
    for (size_t i = 0; i < COUNT(rows); i++) {
        e.where[0] = '\0';
        assert_false(keys_add(f.dir, str_c(rows[i].name), str_c(rows[i].team), &key, secret, &e));
        assert_int_equal(e.code, ERR_INPUT);
        check_str(str_c(e.where), str_c(rows[i].where), rows[i].name);
        assert_string_equal(secret, "untouched");
    }
    folder_fini(&f);
}

static void app_keys_refuse_broken_files(void **state)
{
    static const struct {
        const char *name, *text, *where;
    } rows[] = {
        {"empty", "", "1:0"},
        {"no object", "[]", "version"},
        {"no version", "{\"salt\":\"" HEX16 "\",\"keys\":[]}", "version"},
        {"a later version", "{\"version\":2,\"salt\":\"" HEX16 "\",\"keys\":[]}", "version"},
        {"one member more", "{\"version\":1,\"salt\":\"" HEX16 "\",\"keys\":[],\"a\":1}", ""},
        {"short salt", "{\"version\":1,\"salt\":\"00\",\"keys\":[]}", "salt"},
        {"salt not hex", "{\"version\":1,\"salt\":\"" HEX16 "g\",\"keys\":[]}", "salt"},
        {"keys no list", "{\"version\":1,\"salt\":\"" HEX16 "\",\"keys\":{}}", "keys"},
        {"key no object", FILE_OF("1"), "keys[0].id"},
        {"empty key", FILE_OF("{}"), "keys[0].id"},
        {"second is bad", FILE_OF(KEY("key_1", "a") "," KEY("key_2", "")), "keys[1].name"},
        {"bad digest",
         FILE_OF(
             "{\"id\":\"key_1\",\"name\":\"a\",\"team\":\"b\",\"created\":1,\"sha256\":\"00\"}"),
         "keys[0].sha256"},
        {"bad time",
         FILE_OF(
             "{\"id\":\"key_1\",\"name\":\"a\",\"team\":\"b\",\"created\":-1,\"sha256\":\"" HEX32
             "\"}"),
         "keys[0].created"},
        {"unknown member",
         FILE_OF("{\"id\":\"key_1\",\"name\":\"a\",\"team\":\"b\",\"created\":1,\"sha256\":\"" HEX32
                 "\",\"admin\":true}"),
         "keys[0].members"},
        {"long id", FILE_OF(KEY("key_3456789012345678901234567890123456789012345678", "a")),
         "keys[0].id"},
    };
    struct keys k = {0};
    struct err e;
    (void)state;
    assert_true(keys_parse(&k, str_c(FILE_OF(KEY("key_1", "a"))), &e));
    for (size_t i = 0; i < COUNT(rows); i++) {
        e.where[0] = '\0';
        assert_false(keys_parse(&k, str_c(rows[i].text), &e));
        assert_int_equal(e.code, ERR_FORMAT);
        if (i > 0) // the place of a JSON fault is the JSON parser's to test
            check_str(str_c(e.where), str_c(rows[i].where), rows[i].name);
        assert_int_equal(k.n, 1); // untouched
    }
    // Cut at each byte, no file is whole.
    str whole = str_c(FILE_OF(KEY("key_1", "a")));
    for (size_t n = 0; n < whole.n; n++)
        assert_false(keys_parse(&k, str_sub(whole, 0, n), &e));
    keys_fini(&k);
}

static void app_keys_are_limited(void **state)
{
    struct buf text = BUF_INIT(KEYS_FILE_MAX);
    struct keys k = {0};
    struct err e;
    (void)state;
    for (int extra = 0; extra < 2; extra++) {
        buf_clear(&text);
        buf_c(&text, "{\"version\":1,\"salt\":\"" HEX16 "\",\"keys\":[");
        for (int i = 0; i < KEYS_MAX + extra; i++)
            buf_printf(&text, "%s" KEY("key_%d", "n%d"), i ? "," : "", i, i);
        assert_true(buf_c(&text, "]}"));
        assert_int_equal(keys_parse(&k, buf_as_str(&text), &e), extra == 0);
    }
    assert_int_equal(e.code, ERR_FORMAT);
    assert_int_equal(k.n, KEYS_MAX);
    keys_fini(&k);
    buf_free(&text);
}

static void later(struct keys_watch *w, uint64_t *ms)
{
    clock_freeze(*ms += 1001, 0);
    keys_watch_tick(w);
}

static void app_keys_are_reread_when_they_change(void **state)
{
    struct folder f;
    struct keys_watch w;
    struct key gone;
    struct err e;
    uint64_t ms = 5000;
    char one[ID_MAX], two[ID_MAX];
    (void)state;
    folder_init(&f);
    clock_freeze(ms, 0);
    assert_true(keys_watch_open(&w, STR(""), &e));
    later(&w, &ms);
    assert_false(w.on);
    keys_watch_close(&w);

    assert_true(keys_watch_open(&w, str_c(f.dir), &e));
    keys_watch_tick(&w);
    assert_false(w.on); // no file
    add(&f, "one", "red", one);
    clock_freeze(ms += 999, 0);
    keys_watch_tick(&w);
    assert_false(w.on); // looked at a moment ago
    later(&w, &ms);
    assert_true(w.on);
    assert_string_equal(team_of(&w.keys, one), "red");

    add(&f, "two", "blue", two);
    assert_true(keys_revoke(f.dir, STR("one"), &gone, &e));
    later(&w, &ms);
    assert_null(team_of(&w.keys, one));
    assert_string_equal(team_of(&w.keys, two), "blue");

    assert_true(file_replace(f.file, STR("{"), &e)); // a broken file changes nothing
    later(&w, &ms);
    assert_string_equal(team_of(&w.keys, two), "blue");
    assert_false(keys_add(f.dir, STR("three"), STR("red"), &gone, one, &e));
    assert_int_equal(e.code, ERR_FORMAT);

    unlink(f.file); // one that is gone opens nothing
    later(&w, &ms);
    assert_true(w.on);
    assert_null(team_of(&w.keys, two));
    keys_watch_close(&w);

    assert_true(file_replace(f.file, STR("{"), &e));
    assert_false(keys_watch_open(&w, str_c(f.dir), &e)); // no server begins with it
    assert_int_equal(e.code, ERR_FORMAT);
    keys_watch_close(&w);
    clock_thaw();
    folder_fini(&f);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(app_keys_are_found_until_they_are_revoked),
    cmocka_unit_test(app_keys_do_not_stand_in_the_file),
    cmocka_unit_test(app_keys_refuse_names),
    cmocka_unit_test(app_keys_refuse_broken_files),
    cmocka_unit_test(app_keys_are_limited),
    cmocka_unit_test(app_keys_are_reread_when_they_change),
};
TEST_FILE(tests)
