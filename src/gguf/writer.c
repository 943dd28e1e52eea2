/* gguf/writer.c - see writer.h. */
#include "gguf/writer.h"

#include "base/mem.h"
#include "gguf/gguf_int.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_MAX ((size_t)256 << 20) // keys are held until the tensors are known

struct gguf_writer {
    FILE *file;        // or NULL:
    struct buf *bytes; // borrowed
    char *path, *aside;
    struct buf keys, tensors; // as they will stand in the file
    uint64_t n_keys, n_tensors;
    size_t *sizes, cap_sizes; // [n_tensors] bytes of each
    uint64_t offset;          // of the next tensor described, from where data begins
    uint64_t at;              // bytes written so far
    uint64_t current;         // the tensor being filled
    size_t filled;            // bytes of it
    bool began;               // the head is out
    bool failed;
    struct err e; // the first failure
};

static struct gguf_writer *new_writer(void)
{
    struct gguf_writer *w = mem_calloc(1, sizeof *w);
    buf_init(&w->keys, HEAD_MAX);
    buf_init(&w->tensors, HEAD_MAX);
    return w;
}

bool gguf_writer_open(struct gguf_writer **out, const char *path, struct err *e)
{
    char aside[PATH_MAX];
    int n = snprintf(aside, sizeof aside, "%s.tmp.%ld", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof aside)
        return err_set(e, ERR_INPUT, "the path %s is too long", path);
    int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_errno(e, ERR_IO, "create %s", aside);
    FILE *file = fdopen(fd, "wb");
    if (!file) {
        err_errno(e, ERR_IO, "open %s", aside);
        close(fd);
        unlink(aside);
        return false;
    }
    struct gguf_writer *w = new_writer();
    w->file = file;
    w->path = mem_strdup(str_c(path));
    w->aside = mem_strdup(str_c(aside));
    *out = w;
    return true;
}

struct gguf_writer *gguf_writer_to(struct buf *out)
{
    struct gguf_writer *w = new_writer();
    w->bytes = out;
    return w;
}

void gguf_writer_close(struct gguf_writer *w)
{
    if (!w)
        return;
    if (w->file)
        fclose(w->file);
    if (w->aside)
        unlink(w->aside); // gone already when the file was finished
    mem_free(w->path);
    mem_free(w->aside);
    mem_free(w->sizes);
    buf_free(&w->keys);
    buf_free(&w->tensors);
    mem_free(w);
}

/* Keys */

static void put_num(struct buf *b, const void *p, size_t n)
{
    buf_put(b, p, n);
}

static void put_text(struct buf *b, str s)
{
    uint64_t n = s.n;
    buf_put(b, &n, sizeof n);
    buf_str(b, s);
}

static void put_head(struct gguf_writer *w, str key, enum gguf_kind kind)
{
    uint32_t k = kind;
    assert(!w->began && w->n_tensors == 0);
    put_text(&w->keys, key);
    put_num(&w->keys, &k, sizeof k);
    w->n_keys++;
}

static void put_scalar(struct gguf_writer *w, str key, enum gguf_kind kind, const void *v)
{
    put_head(w, key, kind);
    put_num(&w->keys, v, gguf_kind_size((unsigned)kind));
}

void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v)
{
    put_scalar(w, str_c(key), GGUF_U32, &v);
}

void gguf_put_i32(struct gguf_writer *w, const char *key, int32_t v)
{
    put_scalar(w, str_c(key), GGUF_I32, &v);
}

void gguf_put_u64(struct gguf_writer *w, const char *key, uint64_t v)
{
    put_scalar(w, str_c(key), GGUF_U64, &v);
}

void gguf_put_f32(struct gguf_writer *w, const char *key, float v)
{
    put_scalar(w, str_c(key), GGUF_F32, &v);
}

void gguf_put_bool(struct gguf_writer *w, const char *key, bool v)
{
    unsigned char byte = v;
    put_scalar(w, str_c(key), GGUF_BOOL, &byte);
}

void gguf_put_str(struct gguf_writer *w, const char *key, str v)
{
    put_head(w, str_c(key), GGUF_STR);
    put_text(&w->keys, v);
}

static void put_array(struct gguf_writer *w, str key, const struct gguf_array *a)
{
    uint32_t kind = a->kind;
    uint64_t n = a->n;
    put_head(w, key, GGUF_ARRAY);
    put_num(&w->keys, &kind, sizeof kind);
    put_num(&w->keys, &n, sizeof n);
    if (a->kind != GGUF_STR)
        put_num(&w->keys, a->data, a->n * gguf_kind_size((unsigned)a->kind));
    for (size_t i = 0; a->kind == GGUF_STR && i < a->n; i++)
        put_text(&w->keys, a->strs[i]);
}

void gguf_put_strs(struct gguf_writer *w, const char *key, const str *v, size_t n)
{
    put_array(w, str_c(key), &(struct gguf_array){.kind = GGUF_STR, .n = n, .strs = v});
}

void gguf_put_array(struct gguf_writer *w, const char *key, enum gguf_kind kind, const void *data,
                    size_t n)
{
    assert(gguf_kind_size((unsigned)kind) != 0);
    put_array(w, str_c(key), &(struct gguf_array){.kind = kind, .n = n, .data = data});
}

void gguf_put_key(struct gguf_writer *w, const struct gguf *from, size_t i)
{
    const struct gguf_key *k = &from->meta.keys[i];
    if (str_eqc(k->name, "general.alignment"))
        return;
    if (k->kind == GGUF_ARRAY) {
        put_array(w, k->name, &k->v.array);
    } else if (k->kind == GGUF_STR) {
        put_head(w, k->name, GGUF_STR);
        put_text(&w->keys, k->v.s);
    } else {
        put_scalar(w, k->name, k->kind, &k->v.bits);
    }
}

/* Tensors */

static bool fail(struct gguf_writer *w, const struct err *e)
{
    if (!w->failed)
        w->e = *e;
    w->failed = true;
    return false;
}

static uint64_t padded(uint64_t n)
{
    return (n + GGUF_ALIGN - 1) & ~(uint64_t)(GGUF_ALIGN - 1);
}

void gguf_put_tensor(struct gguf_writer *w, str name, int type, int n_dims, const uint64_t *ne)
{
    struct err e;
    uint64_t all[4] = {1, 1, 1, 1}, size = 0;
    uint32_t dims = (uint32_t)n_dims, t = (uint32_t)type;

    assert(!w->began && n_dims >= 1 && n_dims <= 4);
    memcpy(all, ne, dims * sizeof *ne);
    if (name.n == 0 || name.n >= GGUF_NAME_MAX) {
        err_set(&e, ERR_INPUT, "a tensor name of %zu bytes; at most 63 are possible", name.n);
        fail(w, &e);
        return;
    }
    if (!gguf_tensor_bytes(type, all, &size) || size == 0 || size > ((uint64_t)1 << 48)) {
        const struct gguf_type_info *info = gguf_type_info(type);
        err_set(&e, ERR_INPUT, "%.*s: rows of %llu weights cannot be %s", STR_ARG(name),
                (unsigned long long)all[0], info ? info->name : "of this type");
        fail(w, &e);
        return;
    }
    put_text(&w->tensors, name);
    put_num(&w->tensors, &dims, sizeof dims);
    put_num(&w->tensors, ne, dims * sizeof *ne);
    put_num(&w->tensors, &t, sizeof t);
    put_num(&w->tensors, &w->offset, sizeof w->offset);
    if (w->n_tensors == w->cap_sizes) {
        w->cap_sizes = size_max(64, w->cap_sizes * 2);
        w->sizes = mem_realloc(w->sizes, w->cap_sizes * sizeof *w->sizes);
    }
    w->sizes[w->n_tensors++] = (size_t)size;
    w->offset += padded(size);
}

static bool sink(struct gguf_writer *w, const void *p, size_t n)
{
    struct err e;
    if (w->failed)
        return false;
    if (w->file && n && fwrite(p, 1, n, w->file) != n) {
        err_errno(&e, ERR_IO, "write %s", w->aside);
        return fail(w, &e);
    }
    if (!w->file && !buf_put(w->bytes, p, n)) {
        err_set(&e, ERR_LIMIT, "the file needs more than the %zu bytes allowed", w->bytes->max);
        return fail(w, &e);
    }
    w->at += n;
    return true;
}

static bool sink_padding(struct gguf_writer *w)
{
    static const char zeros[GGUF_ALIGN];
    return sink(w, zeros, (size_t)(padded(w->at) - w->at));
}

static bool begin(struct gguf_writer *w)
{
    uint32_t version = 3;
    struct err e;

    if (w->began)
        return !w->failed;
    w->began = true;
    if (w->keys.full || w->tensors.full) {
        err_set(&e, ERR_LIMIT, "the metadata needs more than %zu bytes", HEAD_MAX);
        return fail(w, &e);
    }
    sink(w, GGUF_MAGIC, 4);
    sink(w, &version, sizeof version);
    sink(w, &w->n_tensors, sizeof w->n_tensors);
    sink(w, &w->n_keys, sizeof w->n_keys);
    sink(w, w->keys.p, w->keys.n);
    sink(w, w->tensors.p, w->tensors.n);
    return sink_padding(w);
}

bool gguf_put_data(struct gguf_writer *w, const void *p, size_t n, struct err *e)
{
    const unsigned char *from = p;

    begin(w);
    while (n && !w->failed) {
        assert(w->current < w->n_tensors); // more bytes than described is our own fault
        size_t piece = size_min(n, w->sizes[w->current] - w->filled);
        sink(w, from, piece);
        from += piece;
        n -= piece;
        w->filled += piece;
        if (w->filled == w->sizes[w->current]) {
            sink_padding(w);
            w->filled = 0;
            w->current++;
        }
    }
    if (w->failed)
        *e = w->e;
    return !w->failed;
}

bool gguf_writer_finish(struct gguf_writer *w, struct err *e)
{
    if (!begin(w)) {
        *e = w->e;
        return false;
    }
    if (w->current != w->n_tensors) {
        err_set(e, ERR_INPUT, "tensor %llu of %llu was not written",
                (unsigned long long)w->current + 1, (unsigned long long)w->n_tensors);
        return fail(w, e);
    }
    if (!w->file)
        return true;
    bool ok = fflush(w->file) == 0 && fsync(fileno(w->file)) == 0;
    if (!ok)
        err_errno(e, ERR_IO, "write %s", w->aside);
    if (fclose(w->file) != 0 && ok)
        ok = err_errno(e, ERR_IO, "close %s", w->aside);
    w->file = NULL;
    if (ok && rename(w->aside, w->path) < 0)
        ok = err_errno(e, ERR_IO, "rename %s to %s", w->aside, w->path);
    if (!ok)
        return fail(w, e);
    mem_free(w->aside);
    w->aside = NULL;
    return true;
}
