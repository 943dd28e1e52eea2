/* dialect/friendli_files.c - FriendliAI's files, which file:text reads: announced, put, completed;
 * a team sees its own alone.  projectId and what uploads to Amazon need are taken and given back
 * without effect: uploadUrl leads back here. */
#include "dialect/fields.h"
#include "dialect/friendli.h"

#include <time.h>

#define FILE_READ_MAX ((size_t)64 << 20)

struct announced {
    str name, digest, project;
    int64_t size;
};

#define AT(member) offsetof(struct announced, member)

static const struct field fields[] = {
    {"name", FIELD_STR, AT(name), .required = true},
    {"size", FIELD_INT, AT(size), 0, 1e12, .required = true},
    {"digest", FIELD_STR, AT(digest)},
    {"projectId", FIELD_STR, AT(project)},
};

static void reply_error(struct http_req *r, const struct err *e)
{
    dialect_reply(r, friendli_error, e);
}

static struct tools *tools_of(struct dialect *d, struct http_req *r)
{
    struct tools *t = runs_tools(d->conf.runs);
    struct err e;
    if (!t) {
        err_set(&e, ERR_NOT_FOUND, "this server keeps no files");
        reply_error(r, &e);
    }
    return t;
}

static void put_time(const char *name, int64_t unix_ms, struct buf *out)
{
    char when[32];
    struct tm tm;
    time_t t = (time_t)(unix_ms / 1000);
    gmtime_r(&t, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    buf_printf(out, ",\"%s\":\"%s.%03dZ\"", name, when, (int)(unix_ms % 1000));
}

static void reply_file(struct http_req *r, const struct tools_file *f)
{
    struct buf out = BUF_INIT(8192);
    buf_printf(&out, "{\"id\":\"%s\",\"name\":", f->id);
    json_write_str(&out, str_c(f->name), JSON_PLAIN);
    buf_printf(&out, ",\"size\":%zu,\"digest\":", f->size);
    json_write_str(&out, str_c(f->digest), JSON_PLAIN);
    buf_c(&out, ",\"projectId\":null,\"creatorId\":null");
    put_time("createdAt", f->created_ms, &out);
    put_time("expiresAt", f->expires_ms, &out);
    buf_printf(&out, ",\"status\":\"%s\"}", f->uploaded ? "UPLOADED" : "UPLOADING");
    http_reply(r, 200, "application/json", buf_as_str(&out));
    buf_free(&out);
}

/* Where the file's bytes are put and got, at the address that the client has used. */
static void write_url(struct http_req *r, const char *id, struct buf *out)
{
    str host, proto;
    if (!http_header(r, "Host", &host))
        host = STR("localhost");
    bool tls = http_header(r, "X-Forwarded-Proto", &proto) && str_eqc(proto, "https");
    struct buf url = BUF_INIT(2048);
    buf_printf(&url, "%s://%.*s/beta/file/%s/content", tls ? "https" : "http", STR_ARG(host), id);
    json_write_str(out, buf_as_str(&url), JSON_PLAIN);
    buf_free(&url);
}

static void announce(struct dialect *d, struct http_req *r, str segment)
{
    struct tools *t = tools_of(d, r);
    struct announced a = {0};
    struct tools_file f;
    struct err e;
    (void)segment;
    if (!t)
        return;
    json_t *body = dialect_parse_body(r, &e);
    bool ok = body && fields_read(fields, COUNT(fields), body, &a, "", NULL, &e) &&
              tools_file_new(t, dialect_team(d), a.name, (size_t)a.size, a.digest, &f, &e);
    json_decref(body);
    if (!ok) {
        reply_error(r, &e);
        return;
    }
    struct buf out = BUF_INIT(8192);
    buf_printf(&out, "{\"fileId\":\"%s\",\"uploadUrl\":", f.id);
    write_url(r, f.id, &out);
    buf_c(&out, ",\"aws\":null}");
    http_reply(r, 202, "application/json", buf_as_str(&out));
    buf_free(&out);
}

static void show(struct dialect *d, struct http_req *r, str id)
{
    struct tools *t = tools_of(d, r);
    struct tools_file f;
    struct err e;
    if (!t)
        return;
    if (tools_file_find(t, dialect_team(d), id, &f, &e))
        reply_file(r, &f);
    else
        reply_error(r, &e);
}

static void complete(struct dialect *d, struct http_req *r, str id)
{
    struct tools *t = tools_of(d, r);
    struct tools_file f;
    struct err e;
    if (!t)
        return;
    bool ok = tools_file_find(t, dialect_team(d), id, &f, &e);
    if (ok && !f.uploaded)
        ok = err_set(&e, ERR_INPUT, "the file has not been uploaded yet");
    if (ok)
        reply_file(r, &f);
    else
        reply_error(r, &e);
}

static void put(struct dialect *d, struct http_req *r, str id)
{
    struct tools *t = tools_of(d, r);
    struct err e;
    if (!t)
        return;
    if (tools_file_put(t, dialect_team(d), id, http_body(r), &e))
        http_reply(r, 200, "application/json", STR("{}"));
    else
        reply_error(r, &e);
}

static void get(struct dialect *d, struct http_req *r, str id)
{
    struct tools *t = tools_of(d, r);
    struct buf bytes = BUF_INIT(FILE_READ_MAX);
    struct err e;
    if (!t)
        return;
    if (tools_file_read(t, dialect_team(d), id, &bytes, &e)) {
        http_set_header(r, "X-Content-Type-Options", "nosniff");
        http_set_header(r, "Content-Disposition", "attachment");
        http_reply(r, 200, "application/octet-stream", buf_as_str(&bytes));
    } else {
        reply_error(r, &e);
    }
    buf_free(&bytes);
}

static void download_url(struct dialect *d, struct http_req *r, str id)
{
    struct tools *t = tools_of(d, r);
    struct tools_file f;
    struct err e;
    if (!t)
        return;
    if (!tools_file_find(t, dialect_team(d), id, &f, &e)) {
        reply_error(r, &e);
        return;
    }
    struct buf out = BUF_INIT(4096);
    buf_c(&out, "{\"downloadUrl\":");
    write_url(r, f.id, &out);
    buf_c(&out, "}");
    http_reply(r, 200, "application/json", buf_as_str(&out));
    buf_free(&out);
}

static void delete (struct dialect *d, struct http_req *r, str id)
{
    struct tools *t = tools_of(d, r);
    struct err e;
    if (!t)
        return;
    if (tools_file_delete(t, dialect_team(d), id, &e))
        http_reply(r, 204, NULL, STR(""));
    else
        reply_error(r, &e);
}

static const struct route routes[] = {
    {"POST", "/beta/file", "friendli.files", .plain = announce},
    {"PUT", "/beta/file/{}/content", "friendli.file-put", .plain = put},
    {"GET", "/beta/file/{}/content", "friendli.file-get", .plain = get},
    {"GET", "/beta/file/{}/download_url", "friendli.file-url", .plain = download_url},
    {"PATCH", "/beta/file/{}", "friendli.file-complete", .plain = complete},
    {"GET", "/beta/file/{}", "friendli.file", .plain = show},
    {"DELETE", "/beta/file/{}", "friendli.file-delete", .plain = delete},
};

const struct brand friendli_files_brand = {"friendli-files", routes, COUNT(routes), friendli_error,
                                           .prefix = "/serverless"};
