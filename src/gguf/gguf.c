/* gguf/gguf.c - opening: mapping, parts; and looking things up. */
#include "gguf/gguf_int.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opening */

static bool map_part(struct gguf_part *part, const char *path, struct err *e)
{
    struct stat st;
    bool ok = false;

    // Not blocking: opening a named pipe must not wait for a writer.
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_errno(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "open %s", path);
    if (fstat(fd, &st) < 0) {
        err_errno(e, ERR_IO, "stat %s", path);
        goto done;
    }
    if (!S_ISREG(st.st_mode)) {
        err_set(e, ERR_FORMAT, "%s is not a regular file", path);
        goto done;
    }
    if ((uint64_t)st.st_size < GGUF_HEADER) {
        err_set(e, ERR_FORMAT, "%s: not a GGUF file (%lld bytes)", path, (long long)st.st_size);
        goto done;
    }
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
        err_errno(e, ERR_IO, "map %s", path);
        goto done;
    }
    *part = (struct gguf_part){.p = p,
                               .n = (size_t)st.st_size,
                               .mapped = true,
                               .dev = (uint64_t)st.st_dev,
                               .ino = (uint64_t)st.st_ino};
    ok = true;
done:
    close(fd);
    return ok;
}

static struct gguf *new_gguf(size_t memory_max)
{
    struct gguf *g = mem_calloc(1, sizeof *g);
    arena_init(&g->a, memory_max);
    g->n_parts = 1;
    g->parts = mem_calloc(1, sizeof *g->parts);
    return g;
}

void gguf_close(struct gguf *g)
{
    if (!g)
        return;
    for (int i = 0; i < g->n_parts; i++) {
        if (g->parts[i].mapped)
            munmap((void *)(uintptr_t)g->parts[i].p, g->parts[i].n);
    }
    mem_free(g->parts);
    mem_free(g->tensors);
    arena_fini(&g->a);
    mem_free(g);
}

static bool meta_u64(const struct gguf_meta *meta, str key, uint64_t *out)
{
    const struct gguf_key *k = gguf_meta_find(meta, key);
    return k && gguf_key_u64(k, out);
}

static uint64_t split_count(const struct gguf_meta *meta)
{
    uint64_t n = 1;
    (void)meta_u64(meta, STR("split.count"), &n);
    return n ? n : 1; // splitters write 0 for "not split"
}

/* "dir/x-00001-of-00003.gguf": the length of "dir/x", the two numbers.  False for other names. */
static bool part_name(str path, size_t *stem, uint64_t *no, uint64_t *count)
{
    static const size_t tail = sizeof "-00001-of-00003.gguf" - 1;
    if (path.n <= tail)
        return false;
    str s = str_from(path, path.n - tail);
    if (s.p[0] != '-' || !str_eq(str_sub(s, 6, 4), STR("-of-")) ||
        !str_eq(str_from(s, 15), STR(".gguf")) || !str_to_u64(str_sub(s, 1, 5), no) ||
        !str_to_u64(str_sub(s, 10, 5), count))
        return false;
    *stem = path.n - tail;
    return true;
}

static bool open_part(struct gguf *g, int i, const char *path, struct err *e)
{
    struct gguf_part *part = &g->parts[i];
    struct gguf_meta meta = {.n = 0};
    uint64_t no = 0, count = (uint64_t)g->n_parts;

    if (!map_part(part, path, e)) {
        return e->code != ERR_NOT_FOUND ? false
                                        : err_set(e, ERR_NOT_FOUND, "part %d of %d is missing: %s",
                                                  i + 1, g->n_parts, path);
    }
    g->file_size += part->n;
    if (!gguf_parse_part(g, part, &meta, e))
        return err_ctx(e, "%s", path);
    if (!meta_u64(&meta, STR("split.no"), &no) || no != (uint64_t)i || split_count(&meta) != count)
        return err_set_at(e, ERR_FORMAT, "split.no",
                          "%s: its name says part %d of %d, its keys say part %llu of %llu", path,
                          i + 1, g->n_parts, (unsigned long long)no + 1,
                          (unsigned long long)split_count(&meta));
    return true;
}

/* The first part is open; opens the others. */
static bool open_rest(struct gguf *g, const char *path, struct err *e)
{
    uint64_t count = split_count(&g->meta), no = 0, name_no = 1, name_count = 1, total;
    size_t stem = 0;
    bool named = part_name(str_c(path), &stem, &name_no, &name_count);

    if (count == 1 && (!named || name_count == 1))
        return true;
    (void)meta_u64(&g->meta, STR("split.no"), &no);
    if (!named)
        return err_set_at(e, ERR_FORMAT, "split.count",
                          "%s is part %llu of %llu, but is not named like one (...-00001-of-%05llu"
                          ".gguf), so the others cannot be found",
                          path, (unsigned long long)no + 1, (unsigned long long)count,
                          (unsigned long long)count);
    if (name_count != count || name_no != no + 1)
        return err_set_at(e, ERR_FORMAT, "split.count",
                          "%s: its name says part %llu of %llu, its keys say part %llu of %llu",
                          path, (unsigned long long)name_no, (unsigned long long)name_count,
                          (unsigned long long)no + 1, (unsigned long long)count);
    if (no != 0)
        return err_set_at(e, ERR_FORMAT, "split.no",
                          "%s is part %llu of %llu; name the first, %.*s-00001-of-%05llu.gguf",
                          path, (unsigned long long)no + 1, (unsigned long long)count, (int)stem,
                          path, (unsigned long long)count);
    if (count > GGUF_PARTS_MAX)
        return err_set_at(e, ERR_LIMIT, "split.count", "%s: %llu parts; at most %d are accepted",
                          path, (unsigned long long)count, GGUF_PARTS_MAX);

    g->n_parts = (int)count;
    g->parts = mem_realloc(g->parts, (size_t)count * sizeof *g->parts);
    memset(g->parts + 1, 0, (size_t)(count - 1) * sizeof *g->parts);
    size_t cap = strlen(path) + 1;
    char *name = mem_alloc(cap);
    bool ok = true;
    for (int i = 1; ok && i < g->n_parts; i++) {
        snprintf(name, cap, "%.*s-%05d-of-%05d.gguf", (int)stem, path, i + 1, g->n_parts);
        ok = open_part(g, i, name, e);
    }
    mem_free(name);
    if (ok && meta_u64(&g->meta, STR("split.tensors.count"), &total) && total != g->n_tensors)
        ok = err_set_at(e, ERR_FORMAT, "split.tensors.count",
                        "%s: the parts hold %zu tensors, not the %llu announced", path,
                        g->n_tensors, (unsigned long long)total);
    return ok;
}

bool gguf_open(struct gguf **out, const char *path, struct err *e)
{
    struct gguf *g = new_gguf(GGUF_MEMORY_MAX);

    if (!map_part(&g->parts[0], path, e))
        goto failed;
    g->file_size = g->parts[0].n;
    if (!gguf_parse_part(g, &g->parts[0], &g->meta, e)) {
        err_ctx(e, "%s", path);
        goto failed;
    }
    if (!open_rest(g, path, e))
        goto failed;
    if (!gguf_parse_finish(g, e)) {
        err_ctx(e, "%s", path);
        goto failed;
    }
    *out = g;
    return true;
failed:
    gguf_close(g);
    return false;
}

bool gguf_open_capped(struct gguf **out, str bytes, size_t memory_max, struct err *e)
{
    struct gguf *g = new_gguf(memory_max);

    g->parts[0] = (struct gguf_part){.p = (const unsigned char *)bytes.p, .n = bytes.n};
    g->file_size = bytes.n;
    bool ok = gguf_parse_part(g, &g->parts[0], &g->meta, e);
    if (ok && split_count(&g->meta) != 1)
        ok = err_set_at(e, ERR_FORMAT, "split.count", "one of several parts");
    if (!ok || !gguf_parse_finish(g, e)) {
        gguf_close(g);
        return false;
    }
    *out = g;
    return true;
}

bool gguf_open_bytes(struct gguf **out, str bytes, struct err *e)
{
    return gguf_open_capped(out, bytes, GGUF_MEMORY_MAX, e);
}

void gguf_drop_pages(const struct gguf *g, const struct gguf_tensor *t)
{
    long page = sysconf(_SC_PAGESIZE);
    for (int i = 0; i < g->n_parts; i++) {
        const struct gguf_part *part = &g->parts[i];
        uintptr_t at = (uintptr_t)t->data, from = (uintptr_t)part->p;
        // Only of a mapped file, where the bytes come back when they are read again.
        if (!part->mapped || page <= 0 || at < from || at >= from + part->n)
            continue;
        uintptr_t start = at & ~((uintptr_t)page - 1);
        (void)madvise((void *)start, at + t->size - start, MADV_DONTNEED); // a hint
    }
}

bool gguf_is_part(const struct gguf *g, const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return false;
    for (int i = 0; i < g->n_parts; i++) {
        const struct gguf_part *part = &g->parts[i];
        if (part->mapped && part->dev == (uint64_t)st.st_dev && part->ino == (uint64_t)st.st_ino)
            return true;
    }
    return false;
}

/* Facts */

int gguf_version(const struct gguf *g)
{
    return g->version;
}

int gguf_n_parts(const struct gguf *g)
{
    return g->n_parts;
}

uint64_t gguf_file_size(const struct gguf *g)
{
    return g->file_size;
}

size_t gguf_alignment(const struct gguf *g)
{
    return g->meta.alignment;
}

size_t gguf_n_keys(const struct gguf *g)
{
    return g->meta.n;
}

str gguf_key(const struct gguf *g, size_t i)
{
    return g->meta.keys[i].name;
}

enum gguf_kind gguf_key_kind(const struct gguf *g, size_t i)
{
    return g->meta.keys[i].kind;
}

size_t gguf_n_tensors(const struct gguf *g)
{
    return g->n_tensors;
}

const struct gguf_tensor *gguf_tensor(const struct gguf *g, size_t i)
{
    return &g->tensors[i];
}

/* Look-ups */

const struct gguf_key *gguf_meta_find(const struct gguf_meta *meta, str name)
{
    size_t lo = 0, hi = meta->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct gguf_key *k = &meta->keys[meta->order[mid]];
        int d = str_cmp(name, k->name);
        if (d == 0)
            return k;
        if (d < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, str name)
{
    size_t lo = 0, hi = g->n_tensors;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct gguf_tensor *t = &g->tensors[g->order[mid]];
        int d = str_cmp(name, t->name);
        if (d == 0)
            return t;
        if (d < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

static const struct gguf_key *find(const struct gguf *g, const char *key)
{
    return gguf_meta_find(&g->meta, str_c(key));
}

/* A number as it lies in the file: *i holds its bits as int64 (two's complement for u64). */
static bool read_int(enum gguf_kind kind, const void *p, int64_t *i)
{
    switch (kind) {
    case GGUF_U8:
    case GGUF_BOOL: *i = *(const uint8_t *)p; return true;
    case GGUF_I8: *i = *(const int8_t *)p; return true;
    case GGUF_U16: {
        uint16_t v;
        memcpy(&v, p, sizeof v);
        *i = v;
        return true;
    }
    case GGUF_I16: {
        int16_t v;
        memcpy(&v, p, sizeof v);
        *i = v;
        return true;
    }
    case GGUF_U32: {
        uint32_t v;
        memcpy(&v, p, sizeof v);
        *i = v;
        return true;
    }
    case GGUF_I32: {
        int32_t v;
        memcpy(&v, p, sizeof v);
        *i = v;
        return true;
    }
    case GGUF_U64:
    case GGUF_I64: memcpy(i, p, sizeof *i); return true;
    default: return false;
    }
}

static bool read_float(enum gguf_kind kind, const void *p, double *out)
{
    if (kind == GGUF_F32) {
        float v;
        memcpy(&v, p, sizeof v);
        *out = (double)v;
        return true;
    }
    if (kind == GGUF_F64) {
        memcpy(out, p, sizeof *out);
        return true;
    }
    return false;
}

bool gguf_key_u64(const struct gguf_key *k, uint64_t *out)
{
    int64_t i;
    if (k->kind == GGUF_BOOL || !read_int(k->kind, &k->v.bits, &i))
        return false;
    if (i < 0 && k->kind != GGUF_U64)
        return false;
    *out = (uint64_t)i;
    return true;
}

bool gguf_has(const struct gguf *g, const char *key)
{
    return find(g, key) != NULL;
}

bool gguf_u64(const struct gguf *g, const char *key, uint64_t *out)
{
    const struct gguf_key *k = find(g, key);
    return k && gguf_key_u64(k, out);
}

bool gguf_u32(const struct gguf *g, const char *key, uint32_t *out)
{
    uint64_t v;
    if (!gguf_u64(g, key, &v) || v > UINT32_MAX)
        return false;
    *out = (uint32_t)v;
    return true;
}

bool gguf_i64(const struct gguf *g, const char *key, int64_t *out)
{
    const struct gguf_key *k = find(g, key);
    int64_t i;
    if (!k || k->kind == GGUF_BOOL || !read_int(k->kind, &k->v.bits, &i) ||
        (k->kind == GGUF_U64 && i < 0))
        return false;
    *out = i;
    return true;
}

bool gguf_f32(const struct gguf *g, const char *key, float *out)
{
    const struct gguf_key *k = find(g, key);
    double v;
    if (!k || !read_float(k->kind, &k->v.bits, &v))
        return false;
    *out = (float)v;
    return true;
}

bool gguf_bool(const struct gguf *g, const char *key, bool *out)
{
    const struct gguf_key *k = find(g, key);
    if (!k || k->kind != GGUF_BOOL)
        return false;
    *out = (k->v.bits & 1) != 0;
    return true;
}

bool gguf_str(const struct gguf *g, const char *key, str *out)
{
    const struct gguf_key *k = find(g, key);
    if (!k || k->kind != GGUF_STR)
        return false;
    *out = k->v.s;
    return true;
}

bool gguf_array(const struct gguf *g, const char *key, struct gguf_array *out)
{
    const struct gguf_key *k = find(g, key);
    if (!k || k->kind != GGUF_ARRAY)
        return false;
    *out = k->v.array;
    return true;
}

struct gguf_value gguf_value(const struct gguf *g, size_t i)
{
    const struct gguf_key *k = &g->meta.keys[i];
    struct gguf_value v = {.kind = k->kind};
    if (k->kind == GGUF_STR)
        v.s = k->v.s;
    else if (k->kind == GGUF_ARRAY)
        v.array = k->v.array;
    else if (!read_float(k->kind, &k->v.bits, &v.f))
        (void)read_int(k->kind, &k->v.bits, &v.i);
    return v;
}

static const unsigned char *element(const struct gguf_array *a, size_t i)
{
    return (const unsigned char *)a->data + i * gguf_kind_size((unsigned)a->kind);
}

int64_t gguf_array_i64(const struct gguf_array *a, size_t i)
{
    int64_t v = 0;
    double f;
    if (a->data && !read_int(a->kind, element(a, i), &v) && read_float(a->kind, element(a, i), &f))
        v = f >= -9.2e18 && f <= 9.2e18 ? (int64_t)f : 0;
    return v;
}

double gguf_array_f64(const struct gguf_array *a, size_t i)
{
    double f = 0;
    int64_t v;
    if (a->data && !read_float(a->kind, element(a, i), &f) && read_int(a->kind, element(a, i), &v))
        f = a->kind == GGUF_U64 ? (double)(uint64_t)v : (double)v;
    return f;
}
