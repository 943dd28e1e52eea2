/* tools/files.c - files that teams have put here: DATA/files/ID.json says what it is, ID.data holds
 * it.
 *
 * An id is unguessable, and a file of another team's is as if it were not there. */
#include "tools/tools_int.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/id.h"
#include "json/json.h"

#include <dirent.h>
#include <openssl/evp.h>
#include <unistd.h>

#define KEPT_MS  ((int64_t)7 * 86400 * 1000)
#define META_MAX 8192
#define SCAN_MAX 20000

static bool usable(const struct tools *t, struct err *e)
{
    return t->data ||
           err_set(e, ERR_INPUT, "this server keeps no files: it was started without --data");
}

static bool is_id(str id)
{
    for (size_t i = 0; i < id.n; i++)
        if (!((id.p[i] >= '0' && id.p[i] <= '9') || (id.p[i] >= 'a' && id.p[i] <= 'z') ||
              (id.p[i] >= 'A' && id.p[i] <= 'Z') || id.p[i] == '_'))
            return false;
    return id.n > 5 && id.n < 40 && str_starts(id, STR("file_"));
}

static void path_of(const struct tools *t, const char *id, const char *end, char out[4096])
{
    snprintf(out, 4096, "%s/files/%s%s", t->data, id, end);
}

static bool gone(struct err *e)
{
    return err_set(e, ERR_NOT_FOUND, "there is no file of this id");
}

static void forget(const struct tools *t, const char *id)
{
    char path[4096];
    path_of(t, id, ".data", path);
    unlink(path);
    path_of(t, id, ".json", path);
    unlink(path);
}

/* Reads what is said of a file, whoever's it is; *team is the caller's to free (json_decref). */
static bool read_meta(const struct tools *t, const char *id, struct tools_file *f, json_t **team)
{
    struct buf text = BUF_INIT(META_MAX);
    char path[4096];
    struct err e;
    path_of(t, id, ".json", path);
    json_t *v = file_read(path, &text, &e) ? json_parse(buf_as_str(&text), &e) : NULL;
    bool ok = json_is_string(json_object_get(v, "team"));
    if (ok) {
        *f = (struct tools_file){.size = (size_t)json_integer_value(json_object_get(v, "size")),
                                 .created_ms = json_integer_value(json_object_get(v, "created")),
                                 .expires_ms = json_integer_value(json_object_get(v, "expires"))};
        snprintf(f->id, sizeof f->id, "%s", id);
        snprintf(f->name, sizeof f->name, "%.*s", STR_ARG(json_as_str(json_object_get(v, "name"))));
        snprintf(f->digest, sizeof f->digest, "%.*s",
                 STR_ARG(json_as_str(json_object_get(v, "digest"))));
        path_of(t, id, ".data", path);
        f->uploaded = access(path, R_OK) == 0;
        *team = json_incref(json_object_get(v, "team"));
    }
    json_decref(v);
    buf_free(&text);
    return ok;
}

/* What a team has here already; what is too old goes. */
static bool count_team(const struct tools *t, str team, size_t *bytes, struct err *e)
{
    char path[4096];
    int n = 0;
    struct dirent *entry;
    snprintf(path, sizeof path, "%s/files", t->data);
    DIR *d = opendir(path);
    *bytes = 0;
    while (d && (entry = readdir(d))) {
        str name = str_c(entry->d_name);
        char id[64];
        struct tools_file f;
        json_t *owner = NULL;
        if (!str_ends(name, STR(".json")) || name.n > 60)
            continue;
        snprintf(id, sizeof id, "%.*s", STR_ARG(str_sub(name, 0, name.n - 5)));
        if (++n > SCAN_MAX) {
            closedir(d);
            return err_set(e, ERR_BUSY, "this server holds too many files");
        }
        if (!is_id(str_c(id)) || !read_meta(t, id, &f, &owner))
            continue;
        if (f.expires_ms < clock_unix_ms())
            forget(t, id);
        else if (str_eq(json_as_str(owner), team))
            *bytes += f.size;
        json_decref(owner);
    }
    if (d)
        closedir(d);
    return true;
}

bool tools_file_new(struct tools *t, str team, str name, size_t size, str digest,
                    struct tools_file *out, struct err *e)
{
    char path[4096];
    size_t held;
    if (!usable(t, e))
        return false;
    if (name.n == 0 || name.n > 200)
        return err_set_at(e, ERR_INPUT, "name", "'name' must have 1 to 200 bytes");
    if (size > t->conf.max_file)
        return err_set_at(e, ERR_LIMIT, "size", "a file may have at most %zu bytes",
                          t->conf.max_file);
    if (digest.n > 79)
        return err_set_at(e, ERR_INPUT, "digest", "'digest' is too long");
    if (!count_team(t, team, &held, e))
        return false;
    if (held + size > t->conf.max_team_files)
        return err_set(e, ERR_LIMIT, "the files of a team may have at most %zu bytes together",
                       t->conf.max_team_files);
    struct tools_file f = {.size = size, .created_ms = clock_unix_ms()};
    f.expires_ms = f.created_ms + KEPT_MS;
    char id[ID_MAX];
    id_new(id, "file_");
    snprintf(f.id, sizeof f.id, "%.39s", id);
    snprintf(f.name, sizeof f.name, "%.*s", STR_ARG(name));
    snprintf(f.digest, sizeof f.digest, "%.*s", STR_ARG(digest));
    json_t *v = json_object();
    json_object_set_new(v, "team", json_from_str(team));
    json_object_set_new(v, "name", json_from_str(name));
    json_object_set_new(v, "size", json_integer((json_int_t)size));
    json_object_set_new(v, "digest", json_from_str(digest));
    json_object_set_new(v, "created", json_integer(f.created_ms));
    json_object_set_new(v, "expires", json_integer(f.expires_ms));
    struct buf text = BUF_INIT(META_MAX);
    json_write(&text, v, JSON_PLAIN, -1);
    snprintf(path, sizeof path, "%s/files", t->data);
    bool ok = file_make_dirs(path, e);
    path_of(t, f.id, ".json", path);
    ok = ok && file_replace_private(path, buf_as_str(&text), e);
    json_decref(v);
    buf_free(&text);
    if (ok)
        *out = f;
    return ok;
}

bool tools_file_find(struct tools *t, str team, str id, struct tools_file *out, struct err *e)
{
    char name[64];
    json_t *owner = NULL;
    struct tools_file f;
    if (!usable(t, e))
        return false;
    if (!is_id(id))
        return gone(e);
    snprintf(name, sizeof name, "%.*s", STR_ARG(id));
    bool ok = read_meta(t, name, &f, &owner) && str_eq(json_as_str(owner), team);
    json_decref(owner);
    if (ok && f.expires_ms < clock_unix_ms()) {
        forget(t, name);
        ok = false;
    }
    if (!ok)
        return gone(e);
    *out = f;
    return true;
}

/* Of other algorithms than SHA-256 it is only kept. */
static bool digest_fits(const struct tools_file *f, str bytes)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    char text[80] = "sha256:";
    unsigned n = 0;
    if (!str_eq_nocase(str_sub(str_c(f->digest), 0, 7), STR("sha256:")))
        return true;
    EVP_Digest(bytes.p ? bytes.p : "", bytes.n, sum, &n, EVP_sha256(), NULL);
    for (unsigned i = 0; i < n && i < 32; i++)
        snprintf(text + 7 + 2 * i, 3, "%02x", sum[i]);
    return str_eq_nocase(str_c(f->digest), str_c(text));
}

bool tools_file_put(struct tools *t, str team, str id, str bytes, struct err *e)
{
    struct tools_file f;
    char path[4096];
    if (!tools_file_find(t, team, id, &f, e))
        return false;
    if (f.uploaded)
        return err_set(e, ERR_INPUT, "the file has been uploaded already");
    if (bytes.n != f.size)
        return err_set(e, ERR_INPUT, "the file has %zu bytes, but %zu were announced", bytes.n,
                       f.size);
    if (!digest_fits(&f, bytes))
        return err_set(e, ERR_INPUT, "the file does not have the digest that was announced");
    path_of(t, f.id, ".data", path);
    return file_replace_private(path, bytes, e);
}

bool tools_file_read(struct tools *t, str team, str id, struct buf *out, struct err *e)
{
    struct tools_file f;
    char path[4096];
    if (!tools_file_find(t, team, id, &f, e))
        return false;
    if (!f.uploaded)
        return err_set(e, ERR_INPUT, "the file has not been uploaded yet");
    path_of(t, f.id, ".data", path);
    return file_read(path, out, e);
}

bool tools_file_delete(struct tools *t, str team, str id, struct err *e)
{
    struct tools_file f;
    if (!tools_file_find(t, team, id, &f, e))
        return false;
    forget(t, f.id);
    return true;
}
