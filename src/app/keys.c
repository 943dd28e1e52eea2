/* app/keys.c - see keys.h. */
#include "app/keys.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "json/json.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <unistd.h>

#define SECRET_PREFIX "sk-confab-"
#define SECRET_MAX    256 // longer texts are no keys
#define VERSION       1

void keys_fini(struct keys *k)
{
    mem_free(k->list);
    *k = (struct keys){0};
}

static bool digest(const unsigned char salt[16], str secret, unsigned char out[32])
{
    unsigned int n = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
              EVP_DigestUpdate(ctx, salt, 16) == 1 &&
              EVP_DigestUpdate(ctx, secret.p, secret.n) == 1 &&
              EVP_DigestFinal_ex(ctx, out, &n) == 1 && n == 32;
    EVP_MD_CTX_free(ctx);
    return ok;
}

const struct key *keys_find(const struct keys *k, str secret)
{
    unsigned char d[32];
    const struct key *found = NULL;
    if (secret.n == 0 || secret.n > SECRET_MAX || !digest(k->salt, secret, d))
        return NULL;
    for (size_t i = 0; i < k->n; i++) // all of them, so that time does not tell which
        if (CRYPTO_memcmp(k->list[i].digest, d, sizeof d) == 0)
            found = &k->list[i];
    return found;
}

/* Reading. */

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(const json_t *v, unsigned char *out, size_t n)
{
    str s = json_as_str(v);
    if (s.n != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = hex_value(s.p[2 * i]), low = hex_value(s.p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static bool is_word(str s)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-@";
    for (size_t i = 0; i < s.n; i++)
        if (!s.p[i] || !strchr(set, s.p[i]))
            return false;
    return s.n > 0 && s.n <= KEYS_NAME_MAX;
}

static bool read_word(const json_t *v, char *out, size_t size)
{
    str s = json_as_str(v);
    if (!is_word(s) || s.n >= size)
        return false;
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return true;
}

/* An object with exactly these members, each with the type its reader wants. */
static bool read_key(const json_t *o, struct key *key, const char **bad)
{
    const json_t *created = json_object_get(o, "created");
    const struct {
        const char *name;
        bool ok;
    } rows[] = {
        {"id", read_word(json_object_get(o, "id"), key->id, sizeof key->id)},
        {"name", read_word(json_object_get(o, "name"), key->name, sizeof key->name)},
        {"team", read_word(json_object_get(o, "team"), key->team, sizeof key->team)},
        {"created", json_is_integer(created) && json_integer_value(created) >= 0},
        {"sha256", read_hex(json_object_get(o, "sha256"), key->digest, sizeof key->digest)},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        if (!rows[i].ok) {
            *bad = rows[i].name;
            return false;
        }
    *bad = "members";
    key->created_unix = json_integer_value(created);
    return json_object_size(o) == COUNT(rows);
}

static bool read_list(struct keys *k, const json_t *list, struct err *e)
{
    const char *bad;
    if (!json_is_array(list))
        return err_set_at(e, ERR_FORMAT, "keys", "'keys' is no list");
    size_t n = json_array_size(list);
    if (n > KEYS_MAX)
        return err_set_at(e, ERR_FORMAT, "keys", "there are %zu keys; %d are allowed", n, KEYS_MAX);
    k->list = mem_calloc(n, sizeof *k->list);
    for (; k->n < n; k->n++) {
        char where[64];
        if (read_key(json_array_get(list, k->n), &k->list[k->n], &bad))
            continue;
        snprintf(where, sizeof where, "keys[%zu].%s", k->n, bad);
        return err_set_at(e, ERR_FORMAT, where, "%s is missing, unknown or not as it should be",
                          where);
    }
    return true;
}

bool keys_parse(struct keys *k, str text, struct err *e)
{
    struct keys in = {0};
    json_t *top = json_parse(text, e);
    if (!top) {
        e->code = ERR_FORMAT;
        return err_ctx(e, "not valid JSON (at %s)", e->where);
    }
    const json_t *version = json_object_get(top, "version");
    bool ok = true;
    if (!json_is_integer(version) || json_integer_value(version) != VERSION)
        ok = err_set_at(e, ERR_FORMAT, "version", "'version' is not %d", VERSION);
    else if (json_object_size(top) != 3)
        ok = err_set(e, ERR_FORMAT, "there are members besides version, salt and keys");
    else if (!read_hex(json_object_get(top, "salt"), in.salt, sizeof in.salt))
        ok = err_set_at(e, ERR_FORMAT, "salt", "'salt' is not 32 hex digits");
    ok = ok && read_list(&in, json_object_get(top, "keys"), e);
    json_decref(top);
    if (!ok) {
        keys_fini(&in);
        return false;
    }
    keys_fini(k);
    *k = in;
    return true;
}

static bool path_of(char out[PATH_MAX], const char *dir, const char *name, struct err *e)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);
    return (n > 0 && n < PATH_MAX) || err_set(e, ERR_INPUT, "the path %.100s... is too long", dir);
}

bool keys_load(struct keys *k, const char *dir, struct err *e)
{
    char path[PATH_MAX];
    struct buf text = BUF_INIT(KEYS_FILE_MAX);
    bool ok = path_of(path, dir, "keys.json", e) && file_read(path, &text, e);
    if (ok && !keys_parse(k, buf_as_str(&text), e))
        ok = err_ctx(e, "%s", path);
    if (!ok && e->code == ERR_LIMIT)
        e->code = ERR_FORMAT;
    buf_free(&text);
    return ok;
}

/* Writing. */

static json_t *hex(const unsigned char *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    char text[65];
    assert(2 * n < sizeof text);
    for (size_t i = 0; i < n; i++) {
        text[2 * i] = digits[p[i] >> 4];
        text[2 * i + 1] = digits[p[i] & 15];
    }
    return json_stringn(text, 2 * n);
}

static bool save(const struct keys *k, const char *dir, struct err *e)
{
    char path[PATH_MAX];
    struct buf text = BUF_INIT(KEYS_FILE_MAX);
    json_t *top = json_object(), *list = json_array();
    json_object_set_new(top, "version", json_integer(VERSION));
    json_object_set_new(top, "salt", hex(k->salt, sizeof k->salt));
    json_object_set_new(top, "keys", list);
    for (size_t i = 0; i < k->n; i++) {
        const struct key *key = &k->list[i];
        json_t *o = json_object();
        json_object_set_new(o, "id", json_string(key->id));
        json_object_set_new(o, "name", json_string(key->name));
        json_object_set_new(o, "team", json_string(key->team));
        json_object_set_new(o, "created", json_integer(key->created_unix));
        json_object_set_new(o, "sha256", hex(key->digest, sizeof key->digest));
        json_array_append_new(list, o);
    }
    bool ok = json_write(&text, top, JSON_PLAIN, 2) && buf_char(&text, '\n');
    json_decref(top);
    if (!ok)
        err_set(e, ERR_LIMIT, "the keys do not fit their file");
    ok = ok && path_of(path, dir, "keys.json", e) &&
         file_replace_private(path, buf_as_str(&text), e);
    buf_free(&text);
    return ok;
}

/* One writer at a time, so that none undoes another's change; -1 with *e set. */
static int lock(const char *dir, struct err *e)
{
    char path[PATH_MAX];
    if (!path_of(path, dir, "keys.lock", e))
        return -1;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        err_errno(e, ERR_IO, "open %s", path);
        return -1;
    }
    if (flock(fd, LOCK_EX) < 0) {
        err_errno(e, ERR_IO, "lock %s", path);
        close(fd);
        return -1;
    }
    return fd;
}

static const struct key *by_name(const struct keys *k, str which)
{
    for (size_t i = 0; i < k->n; i++)
        if (str_eqc(which, k->list[i].name) || str_eqc(which, k->list[i].id))
            return &k->list[i];
    return NULL;
}

static bool check_words(str name, str team, struct err *e)
{
    static const char rule[] = "1 to 64 letters, digits and . _ - @";
    if (!is_word(name))
        return err_set_at(e, ERR_INPUT, "name", "a key's name is %s", rule);
    if (!is_word(team))
        return err_set_at(e, ERR_INPUT, "team", "a team's name is %s", rule);
    if (str_starts(name, STR("key_")))
        return err_set_at(e, ERR_INPUT, "name", "'key_' begins ids: choose another name");
    return true;
}

/* Adds to what was read. */
static bool append(struct keys *k, str name, str team, char secret[ID_MAX], struct err *e)
{
    struct key key = {.created_unix = clock_unix_ms() / 1000};
    if (by_name(k, name))
        return err_set_at(e, ERR_INPUT, "name", "there is a key of the name %.*s already",
                          STR_ARG(name));
    if (k->n == KEYS_MAX)
        return err_set(e, ERR_LIMIT, "there are %d keys already: revoke some", KEYS_MAX);
    id_new(secret, SECRET_PREFIX);
    id_new(key.id, "key_");
    memcpy(key.name, name.p, name.n);
    memcpy(key.team, team.p, team.n);
    if (!digest(k->salt, str_c(secret), key.digest))
        return err_set(e, ERR_INTERNAL, "SHA-256 is not available");
    k->list = mem_realloc(k->list, (k->n + 1) * sizeof *k->list);
    k->list[k->n++] = key;
    return true;
}

bool keys_add(const char *dir, str name, str team, struct key *added, char secret[ID_MAX],
              struct err *e)
{
    struct keys k = {0};
    char fresh[ID_MAX];
    int fd = -1;
    bool ok = check_words(name, team, e) && file_make_dirs(dir, e) && (fd = lock(dir, e)) >= 0;
    if (ok && !keys_load(&k, dir, e)) {
        ok = e->code == ERR_NOT_FOUND;
        rng_bytes(k.salt, sizeof k.salt);
    }
    ok = ok && append(&k, name, team, fresh, e) && save(&k, dir, e);
    if (ok) {
        *added = k.list[k.n - 1];
        memcpy(secret, fresh, sizeof fresh);
    }
    keys_fini(&k);
    if (fd >= 0)
        close(fd);
    return ok;
}

bool keys_revoke(const char *dir, str which, struct key *revoked, struct err *e)
{
    struct keys k = {0};
    struct stat st;
    if (stat(dir, &st) < 0)
        return err_errno(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "open %s", dir);
    int fd = lock(dir, e);
    if (fd < 0)
        return false;
    bool ok = keys_load(&k, dir, e);
    const struct key *found = ok ? by_name(&k, which) : NULL;
    if (ok && !found)
        ok = err_set(e, ERR_NOT_FOUND, "there is no key of the name or id %.*s", STR_ARG(which));
    if (ok) {
        struct key gone = *found;
        size_t at = (size_t)(found - k.list);
        memmove(&k.list[at], &k.list[at + 1], (k.n - at - 1) * sizeof *k.list);
        k.n--;
        ok = save(&k, dir, e);
        if (ok)
            *revoked = gone;
    }
    keys_fini(&k);
    close(fd);
    return ok;
}

/* The server's view. */

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Reads the file if it is another one than before. */
static bool look(struct keys_watch *w, struct err *e)
{
    char path[PATH_MAX];
    struct stat st;
    if (!path_of(path, w->dir, "keys.json", e))
        return false;
    if (stat(path, &st) < 0) {
        if (errno != ENOENT)
            return err_errno(e, ERR_IO, "stat %s", path);
        if (w->on && w->keys.n)
            log_warn("app.keys", "n=0 error=\"the file is gone: nobody gets in\"");
        keys_fini(&w->keys); // and `on` stays
        w->seen = (struct stat){0};
        return true;
    }
    if (same_file(&st, &w->seen))
        return true;
    // What is replaced between stat and read differs from `seen`, and is read again.
    bool ok = keys_load(&w->keys, w->dir, e);
    if (!ok && e->code != ERR_FORMAT)
        return false; // to be tried again
    w->seen = st;
    w->on = w->on || ok;
    if (ok)
        log_info("app.keys", "n=%zu", w->keys.n);
    return ok;
}

bool keys_watch_open(struct keys_watch *w, str dir, struct err *e)
{
    *w = (struct keys_watch){.dir = dir.n ? mem_strdup(dir) : NULL};
    return !w->dir || look(w, e);
}

void keys_watch_close(struct keys_watch *w)
{
    keys_fini(&w->keys);
    mem_free(w->dir);
    *w = (struct keys_watch){0};
}

void keys_watch_tick(struct keys_watch *w)
{
    struct err e;
    char why[300];
    uint64_t now = clock_mono_ms();
    if (!w->dir || now < w->next_ms)
        return;
    w->next_ms = now + 1000;
    if (!look(w, &e))
        log_error("app.keys", "unchanged=%zu error=%s", w->keys.n,
                  log_quote(why, sizeof why, str_c(e.msg)));
}
