/* http/download.c - see download.h. */
#include "http/download.h"

#include "http/client.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MAX_MS 60000

struct work {
    const struct http_download *d;
    char part[PATH_MAX];
    int fd;
    EVP_MD_CTX *digest;
    uint64_t have, total;
    bool failed; // e below is set
    struct err e;
};

static bool fail(struct work *w)
{
    w->failed = true;
    return false;
}

static bool restart(struct work *w)
{
    w->have = 0;
    EVP_DigestInit_ex(w->digest, EVP_sha256(), NULL);
    if (ftruncate(w->fd, 0) == 0 && lseek(w->fd, 0, SEEK_SET) == 0)
        return true;
    err_errno(&w->e, ERR_IO, "empty %s", w->part);
    return fail(w);
}

static bool hash_fd(int fd, EVP_MD_CTX *digest, uint64_t *total)
{
    char block[65536];
    ssize_t n;
    while ((n = read(fd, block, sizeof block)) > 0) {
        EVP_DigestUpdate(digest, block, (size_t)n);
        *total += (uint64_t)n;
    }
    return n == 0;
}

static void hex_digest(EVP_MD_CTX *digest, char out[65])
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    EVP_DigestFinal_ex(digest, raw, NULL);
    for (int i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", raw[i]);
}

/* The answer begins: where does it start, how long will the file be? */
static bool on_head(const struct http_result *res, void *arg)
{
    struct work *w = arg;
    str v;
    uint64_t from = 0, total = 0;
    if (res->status / 100 != 2)
        return true;
    if (res->status == 206) {
        str range, unit, first;
        if (!http_result_header(res, "Content-Range", &range) || !str_cut(&range, ' ', &unit) ||
            !str_cut(&range, '-', &first) || !str_to_u64(first, &from) || from != w->have) {
            err_set(&w->e, ERR_IO, "the server answers with another part of the file than asked");
            return fail(w);
        }
        if (str_cut(&range, '/', &v) && str_to_u64(range, &total))
            w->total = total;
    } else {
        if (w->have > 0 && !restart(w)) // it does not do ranges
            return false;
        if (http_result_header(res, "Content-Length", &v) && str_to_u64(v, &total))
            w->total = total;
    }
    if (w->d->size && w->total && w->total != w->d->size) {
        err_set(&w->e, ERR_FORMAT, "the server has %" PRIu64 " bytes, not the %" PRIu64 " listed",
                w->total, w->d->size);
        return fail(w);
    }
    return true;
}

static bool on_bytes(str bytes, void *arg)
{
    struct work *w = arg;
    uint64_t max = w->d->size ? w->d->size : w->d->max_size;
    if (max && bytes.n > max - w->have) {
        err_set(&w->e, w->d->size ? ERR_FORMAT : ERR_LIMIT,
                "the server sends more than the expected %" PRIu64 " bytes", max);
        return fail(w);
    }
    EVP_DigestUpdate(w->digest, bytes.p, bytes.n);
    while (bytes.n > 0) {
        ssize_t n = write(w->fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            err_errno(&w->e, ERR_IO, "write %s", w->part);
            return fail(w);
        }
        bytes = str_from(bytes, (size_t)n);
        w->have += (uint64_t)n;
    }
    return true;
}

static bool on_tick(void *arg)
{
    struct work *w = arg;
    return !w->d->on_progress || w->d->on_progress(w->have, w->total, w->d->arg);
}

/* True when the wait was sat out. */
static bool wait_ms(struct work *w, int ms)
{
    for (int step; ms > 0; ms -= step) {
        step = int_min(ms, 100);
        nanosleep(&(struct timespec){0, step * 1000000L}, NULL);
        if (!on_tick(w))
            return err_set(&w->e, ERR_CANCELED, "stopped");
    }
    return true;
}

/* What an answer without the file means. */
static bool refused(const struct http_result *res, struct err *e)
{
    static const struct {
        int status;
        enum err_code code;
        const char *text;
    } rows[] = {
        {401, ERR_DENIED, "a token is needed"},        {403, ERR_DENIED, "access is denied"},
        {404, ERR_NOT_FOUND, "there is no such file"}, {410, ERR_NOT_FOUND, "the file is gone"},
        {408, ERR_BUSY, "the server gave up waiting"}, {429, ERR_BUSY, "too many requests"},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        if (rows[i].status == res->status)
            return err_set(e, rows[i].code, "HTTP %d: %s", res->status, rows[i].text);
    return err_set(e, res->status >= 500 ? ERR_BUSY : ERR_IO, "HTTP %d from the server",
                   res->status);
}

/* One request.  True when the file is whole.  *pause_ms: what the server asks us to wait. */
static bool attempt(struct work *w, int *status, int *pause_ms)
{
    struct http_call call = {.url = w->d->url,
                             .headers = w->d->headers,
                             .range_from = w->have,
                             .on_head = on_head,
                             .on_bytes = on_bytes,
                             .on_tick = on_tick,
                             .arg = w};
    struct http_result res;
    str v;
    uint64_t seconds;
    w->failed = false;
    struct err e;
    bool ok = http_call(&call, &res, &e);
    *status = res.status;
    *pause_ms = 0;
    if (!ok && !w->failed)
        w->e = e;
    if (ok && res.status / 100 != 2) {
        if (http_result_header(&res, "Retry-After", &v) && str_to_u64(v, &seconds))
            *pause_ms = seconds < 60 ? (int)seconds * 1000 : WAIT_MAX_MS;
        ok = refused(&res, &w->e);
        if (res.status == 416 && restart(w)) // what we have is no beginning of that file
            err_set(&w->e, ERR_BUSY, "the part did not fit, starting anew");
    } else if (ok && w->total && w->have < w->total) {
        ok = err_set(&w->e, ERR_IO, "the connection was cut");
    }
    http_result_fini(&res);
    return ok;
}

static bool can_retry(const struct err *e)
{
    return e->code == ERR_IO || e->code == ERR_TIMEOUT || e->code == ERR_BUSY;
}

static bool fetch(struct work *w, int *status)
{
    int left = w->d->retries, wait = w->d->retry_ms ? w->d->retry_ms : 500, pause = 0;
    if (w->d->size && w->have == w->d->size)
        return true;
    for (;;) {
        uint64_t before = w->have;
        if (attempt(w, status, &pause))
            return true;
        if (w->failed || !can_retry(&w->e))
            return false;
        if (w->have > before) { // it goes on, however slowly
            left = w->d->retries;
            wait = w->d->retry_ms ? w->d->retry_ms : 500;
        }
        if (left-- <= 0)
            return false;
        int ms = pause ? pause : wait;
        if (w->d->on_retry)
            w->d->on_retry(w->e.msg, ms, w->d->arg);
        if (!wait_ms(w, ms))
            return false;
        wait = int_min(wait * 2, WAIT_MAX_MS);
    }
}

/* Opens path.part for us alone, and takes what a run before left. */
static bool open_part(struct work *w)
{
    const struct http_download *d = w->d;
    w->fd = open(w->part, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (w->fd < 0)
        return err_errno(&w->e, ERR_IO, "create %s", w->part);
    if (flock(w->fd, LOCK_EX | LOCK_NB) < 0)
        return err_set(&w->e, ERR_BUSY, "another process is writing %s", w->part);
    EVP_DigestInit_ex(w->digest, EVP_sha256(), NULL);
    struct stat st;
    if (!d->sha256 || fstat(w->fd, &st) < 0 || (d->size && (uint64_t)st.st_size > d->size))
        return restart(w);
    if (!hash_fd(w->fd, w->digest, &w->have))
        return err_errno(&w->e, ERR_IO, "read %s", w->part);
    return true;
}

static bool verify(struct work *w)
{
    const struct http_download *d = w->d;
    char hex[65];
    hex_digest(w->digest, hex);
    bool ok = !d->sha256 || str_eq_nocase(str_c(hex), str_c(d->sha256));
    if (!ok)
        err_set(&w->e, ERR_FORMAT, "the file's SHA-256 is %.16s..., not %.16s... as listed", hex,
                d->sha256);
    else if (d->size && w->have != d->size)
        ok = err_set(&w->e, ERR_FORMAT, "the file has %" PRIu64 " bytes, not %" PRIu64, w->have,
                     d->size);
    if (!ok)
        unlink(w->part); // nothing in it can be trusted
    return ok;
}

static bool put_in_place(struct work *w)
{
    char dir[PATH_MAX];
    if (fsync(w->fd) < 0)
        return err_errno(&w->e, ERR_IO, "sync %s", w->part);
    if (rename(w->part, w->d->path) < 0)
        return err_errno(&w->e, ERR_IO, "rename %s", w->part);
    snprintf(dir, sizeof dir, "%s", w->d->path);
    int fd = open(dirname(dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    return true;
}

bool http_download(const struct http_download *d, int *status, struct err *e)
{
    struct work w = {.d = d, .fd = -1, .total = d->size};
    *status = 0;
    if (snprintf(w.part, sizeof w.part, "%s.part", d->path) >= (int)sizeof w.part)
        return err_set(e, ERR_INPUT, "the path is too long: %s", d->path);
    w.digest = EVP_MD_CTX_new();
    assert(w.digest);
    bool ok = open_part(&w) && fetch(&w, status) && verify(&w) && put_in_place(&w);
    if (w.fd >= 0) {
        if (!ok && w.have == 0 && w.e.code != ERR_BUSY)
            unlink(w.part); // an empty part is no use to anybody
        close(w.fd);
    }
    EVP_MD_CTX_free(w.digest);
    if (!ok)
        *e = w.e;
    return ok;
}

bool http_file_sha256(const char *path, char out[65], struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, ERR_IO, "open %s", path);
    uint64_t n = 0;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    assert(digest);
    EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
    bool ok = hash_fd(fd, digest, &n);
    if (ok)
        hex_digest(digest, out);
    else
        err_errno(e, ERR_IO, "read %s", path);
    EVP_MD_CTX_free(digest);
    close(fd);
    return ok;
}
