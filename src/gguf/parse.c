/* gguf/parse.c - one part's header, keys and tensor descriptions, checked before they are believed.
 *
 * Nothing is allocated by a count until the file is known to be long enough to hold that many. */
#include "gguf/gguf_int.h"

#include "base/mem.h"

#include <stdio.h>

struct cur {
    const unsigned char *p, *end;
    char place[96]; // what is being read, for messages
};

static size_t left(const struct cur *c)
{
    return (size_t)(c->end - c->p);
}

/* Names of a hostile file go to terminals: only printable ASCII is shown. */
static void set_place(struct cur *c, str name)
{
    size_t n = size_min(name.n, sizeof c->place - 1);
    for (size_t i = 0; i < n; i++) {
        unsigned char b = (unsigned char)name.p[i];
        c->place[i] = (char)(b >= 0x20 && b < 0x7f ? b : '?');
    }
    c->place[n] = '\0';
}

static bool bad_end(const struct cur *c, struct err *e)
{
    return err_set_at(e, ERR_FORMAT, c->place, "the file ends inside %s; is the download complete?",
                      c->place);
}

static bool full(struct err *e)
{
    return err_set(e, ERR_LIMIT, "the metadata needs more memory than confab allows a model file");
}

static bool take(struct cur *c, void *out, size_t n, struct err *e)
{
    if (n > left(c))
        return bad_end(c, e);
    memcpy(out, c->p, n);
    c->p += n;
    return true;
}

static bool take_u32(struct cur *c, uint32_t *out, struct err *e)
{
    return take(c, out, sizeof *out, e);
}

static bool take_u64(struct cur *c, uint64_t *out, struct err *e)
{
    return take(c, out, sizeof *out, e);
}

static bool take_str(struct cur *c, str *out, struct err *e)
{
    uint64_t n = 0;
    if (!take_u64(c, &n, e))
        return false;
    if (n > left(c))
        return err_set_at(e, ERR_FORMAT, c->place,
                          "%s: a string of %llu bytes, but only %zu bytes of the file are left",
                          c->place, (unsigned long long)n, left(c));
    *out = str_n((const char *)c->p, (size_t)n);
    c->p += n;
    return true;
}

/* Header */

static bool check_version(uint32_t version, struct err *e)
{
    uint32_t swapped = __builtin_bswap32(version);
    if (version == 2 || version == 3)
        return true;
    if (swapped >= 1 && swapped <= 3)
        return err_set(e, ERR_FORMAT,
                       "a big-endian GGUF file; convert it to little-endian (gguf-py has "
                       "gguf_convert_endian.py) or download the little-endian one");
    if (version == 1)
        return err_set(e, ERR_FORMAT,
                       "GGUF version 1 is no longer in use; convert the model again");
    return err_set(e, ERR_FORMAT, "GGUF version %u; confab reads versions 2 and 3",
                   (unsigned)version);
}

static bool parse_header(struct gguf *g, struct cur *c, size_t *n_keys, size_t *n_tensors,
                         struct err *e)
{
    char magic[4];
    uint32_t version = 0;
    uint64_t keys = 0, tensors = 0;

    set_place(c, STR("the header"));
    if (left(c) < 4 || memcmp(c->p, GGUF_MAGIC, 4) != 0)
        return err_set(e, ERR_FORMAT, "not a GGUF file (it does not begin with \"GGUF\")");
    if (!take(c, magic, 4, e) || !take_u32(c, &version, e) || !check_version(version, e) ||
        !take_u64(c, &tensors, e) || !take_u64(c, &keys, e))
        return false;

    // The smallest key takes 8 + 1 + 4 + 1 bytes, the smallest tensor 8 + 1 + 4 + 8 + 4 + 8.
    if (keys > left(c) / 14)
        return err_set_at(e, ERR_FORMAT, c->place, "%llu keys do not fit into this file",
                          (unsigned long long)keys);
    if (tensors > left(c) / 33)
        return err_set_at(e, ERR_FORMAT, c->place, "%llu tensors do not fit into this file",
                          (unsigned long long)tensors);
    if (keys > GGUF_KEYS_MAX)
        return err_set_at(e, ERR_LIMIT, c->place, "%llu keys; at most %zu are accepted",
                          (unsigned long long)keys, GGUF_KEYS_MAX);
    if (tensors > GGUF_TENSORS_MAX - g->n_tensors)
        return err_set_at(e, ERR_LIMIT, c->place, "%llu tensors; at most %zu are accepted",
                          (unsigned long long)tensors, GGUF_TENSORS_MAX);
    if (!g->version)
        g->version = (int)version;
    *n_keys = (size_t)keys;
    *n_tensors = (size_t)tensors;
    return true;
}

/* Keys */

static bool check_bools(const struct cur *c, const unsigned char *p, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] > 1)
            return err_set_at(e, ERR_FORMAT, c->place, "%s: %u is no truth value", c->place, p[i]);
    }
    return true;
}

static bool parse_strs(struct gguf *g, struct cur *c, struct gguf_array *a, struct err *e)
{
    if (a->n > GGUF_STRS_MAX - g->n_strs)
        return err_set_at(e, ERR_LIMIT, c->place,
                          "%s: %zu strings; at most %zu are accepted in a file", c->place, a->n,
                          GGUF_STRS_MAX);
    g->n_strs += a->n;
    str *strs = arena_alloc(&g->a, a->n * sizeof *strs); // no overflow: a->n <= GGUF_STRS_MAX
    if (!strs)
        return full(e);
    for (size_t i = 0; i < a->n; i++) {
        if (!take_str(c, &strs[i], e))
            return false;
    }
    a->strs = strs;
    return true;
}

static bool parse_array(struct gguf *g, struct cur *c, struct gguf_array *a, struct err *e)
{
    uint32_t kind = 0;
    uint64_t n = 0;
    if (!take_u32(c, &kind, e) || !take_u64(c, &n, e))
        return false;
    if (kind == GGUF_ARRAY)
        return err_set_at(e, ERR_FORMAT, c->place, "%s: an array of arrays; no model needs one",
                          c->place);
    size_t size = kind == GGUF_STR ? 8 : gguf_kind_size(kind); // a string takes 8 bytes or more
    if (size == 0)
        return err_set_at(e, ERR_FORMAT, c->place, "%s: unknown element kind %u", c->place,
                          (unsigned)kind);
    if (n > left(c) / size)
        return err_set_at(e, ERR_FORMAT, c->place,
                          "%s: an array of %llu elements, but only %zu bytes of the file are left",
                          c->place, (unsigned long long)n, left(c));
    *a = (struct gguf_array){.kind = (enum gguf_kind)kind, .n = (size_t)n};
    if (kind == GGUF_STR)
        return parse_strs(g, c, a, e);
    a->data = c->p;
    c->p += a->n * size;
    return kind != GGUF_BOOL || check_bools(c, a->data, a->n, e);
}

static bool parse_key(struct gguf *g, struct cur *c, struct gguf_key *k, struct err *e)
{
    uint32_t kind = 0;
    if (!take_str(c, &k->name, e))
        return false;
    if (k->name.n == 0 || k->name.n > GGUF_KEY_LEN_MAX)
        return err_set_at(e, ERR_FORMAT, c->place, "%s has a name of %zu bytes; 1 to %zu are right",
                          c->place, k->name.n, GGUF_KEY_LEN_MAX);
    set_place(c, k->name);
    if (!take_u32(c, &kind, e))
        return false;
    if (kind >= GGUF_KINDS)
        return err_set_at(e, ERR_FORMAT, c->place, "%s: unknown value kind %u", c->place,
                          (unsigned)kind);
    k->kind = (enum gguf_kind)kind;
    if (kind == GGUF_ARRAY)
        return parse_array(g, c, &k->v.array, e);
    if (kind == GGUF_STR)
        return take_str(c, &k->v.s, e);
    k->v.bits = 0;
    if (!take(c, &k->v.bits, gguf_kind_size(kind), e))
        return false;
    return kind != GGUF_BOOL || check_bools(c, (const unsigned char *)&k->v.bits, 1, e);
}

static int by_key_name(const void *a, const void *b, void *keys)
{
    const struct gguf_key *k = keys;
    return str_cmp(k[*(const uint32_t *)a].name, k[*(const uint32_t *)b].name);
}

static bool parse_keys(struct gguf *g, struct cur *c, struct gguf_meta *meta, struct err *e)
{
    meta->keys = arena_calloc(&g->a, meta->n, sizeof *meta->keys);
    meta->order = arena_calloc(&g->a, meta->n, sizeof *meta->order);
    if (!meta->keys || !meta->order)
        return full(e);
    for (size_t i = 0; i < meta->n; i++) {
        snprintf(c->place, sizeof c->place, "key %zu", i);
        if (!parse_key(g, c, &meta->keys[i], e))
            return false;
        meta->order[i] = (uint32_t)i;
    }
    // Sorted, not hashed: no choice of names makes it slow.
    qsort_r(meta->order, meta->n, sizeof *meta->order, by_key_name, meta->keys);
    for (size_t i = 1; i < meta->n; i++) {
        str name = meta->keys[meta->order[i]].name;
        if (str_eq(name, meta->keys[meta->order[i - 1]].name)) {
            set_place(c, name);
            return err_set_at(e, ERR_FORMAT, c->place, "the key %s stands there twice", c->place);
        }
    }
    return true;
}

static bool parse_alignment(struct gguf_meta *meta, struct err *e)
{
    static const char key[] = "general.alignment";
    const struct gguf_key *k = gguf_meta_find(meta, STR("general.alignment"));
    uint64_t v = 0;

    meta->alignment = GGUF_ALIGN;
    if (!k)
        return true;
    if (!gguf_key_u64(k, &v))
        return err_set_at(e, ERR_FORMAT, key, "%s is no number", key);
    if (v < GGUF_ALIGN_MIN || v > GGUF_ALIGN_MAX || (v & (v - 1)) != 0)
        return err_set_at(e, ERR_FORMAT, key, "%s is %llu; it must be a power of two, %zu to %zu",
                          key, (unsigned long long)v, GGUF_ALIGN_MIN, GGUF_ALIGN_MAX);
    meta->alignment = (size_t)v;
    return true;
}

/* Tensors */

static bool parse_shape(struct cur *c, struct gguf_tensor *t, struct err *e)
{
    uint32_t n_dims = 0;
    if (!take_u32(c, &n_dims, e))
        return false;
    if (n_dims < 1 || n_dims > 4)
        return err_set_at(e, ERR_FORMAT, c->place, "%s: %u dimensions; 1 to 4 are right", c->place,
                          (unsigned)n_dims);
    t->n_dims = (int)n_dims;
    for (uint32_t i = 0; i < 4; i++) {
        t->ne[i] = 1;
        if (i < n_dims && !take_u64(c, &t->ne[i], e))
            return false;
        if (t->ne[i] < 1 || t->ne[i] > INT32_MAX)
            return err_set_at(e, ERR_FORMAT, c->place,
                              "%s: dimension %u is %llu; 1 to %d are right", c->place, (unsigned)i,
                              (unsigned long long)t->ne[i], INT32_MAX);
    }
    return true;
}

/* The type and the number of bytes; the offset goes to *offset, not yet judged. */
static bool parse_tensor(struct cur *c, struct gguf_tensor *t, uint64_t *offset, struct err *e)
{
    uint32_t type = 0;
    uint64_t size = 0;

    if (!take_str(c, &t->name, e))
        return false;
    if (t->name.n == 0 || t->name.n > GGUF_NAME_MAX)
        return err_set_at(e, ERR_FORMAT, c->place, "%s has a name of %zu bytes; 1 to %zu are right",
                          c->place, t->name.n, GGUF_NAME_MAX);
    set_place(c, t->name);
    if (!parse_shape(c, t, e) || !take_u32(c, &type, e) || !take_u64(c, offset, e))
        return false;
    const struct gguf_type_info *info = type < GGUF_TYPES ? gguf_type_info((int)type) : NULL;
    if (!info)
        return err_set_at(e, ERR_FORMAT, c->place, "%s: unknown tensor type %u", c->place,
                          (unsigned)type);
    t->type = (int)type;
    if (t->ne[0] % (uint64_t)info->block != 0)
        return err_set_at(e, ERR_FORMAT, c->place,
                          "%s: rows of %llu weights are no multiple of %s's block of %d", c->place,
                          (unsigned long long)t->ne[0], info->name, info->block);
    if (!gguf_tensor_bytes(t->type, t->ne, &size) || size > SIZE_MAX)
        return err_set_at(e, ERR_FORMAT, c->place, "%s: larger than any file", c->place);
    t->size = (size_t)size;
    return true;
}

/* t->data: its place in the part, once the place where tensor data begins is known. */
static bool place_tensor(const struct cur *c, const struct gguf_part *part, size_t data_at,
                         size_t alignment, uint64_t offset, struct gguf_tensor *t, struct err *e)
{
    uint64_t end;
    if (offset % alignment != 0)
        return err_set_at(e, ERR_FORMAT, c->place, "%s: offset %llu is no multiple of %zu",
                          c->place, (unsigned long long)offset, alignment);
    if (__builtin_add_overflow(offset, (uint64_t)data_at, &offset) ||
        __builtin_add_overflow(offset, (uint64_t)t->size, &end) || end > part->n)
        return err_set_at(
            e, ERR_FORMAT, c->place,
            "%s lies beyond the end of the file (%zu bytes); is the download complete?", c->place,
            part->n);
    t->data = part->p + offset;
    return true;
}

static bool grow_tensors(struct gguf *g, size_t n, struct err *e)
{
    size_t want = g->n_tensors + n;
    if (want > g->cap_tensors) {
        size_t cap = size_max(want, size_min(g->cap_tensors * 2, GGUF_TENSORS_MAX));
        if (cap * sizeof *g->tensors > g->a.max)
            return full(e);
        g->tensors = mem_realloc(g->tensors, cap * sizeof *g->tensors);
        g->cap_tensors = cap;
    }
    memset(g->tensors + g->n_tensors, 0, n * sizeof *g->tensors);
    return true;
}

static int by_data(const void *a, const void *b, void *tensors)
{
    const struct gguf_tensor *t = tensors;
    const struct gguf_tensor *x = &t[*(const uint32_t *)a], *y = &t[*(const uint32_t *)b];
    return (x->data > y->data) - (x->data < y->data);
}

/* Tensors that share bytes would make a small file look like a large model. */
static bool check_overlap(struct cur *c, struct gguf_tensor *t, size_t n, struct err *e)
{
    uint32_t *order = mem_alloc(n * sizeof *order);
    bool ok = true;

    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    qsort_r(order, n, sizeof *order, by_data, t);
    for (size_t i = 1; ok && i < n; i++) {
        const struct gguf_tensor *a = &t[order[i - 1]], *b = &t[order[i]];
        if ((const char *)b->data < (const char *)a->data + a->size) {
            set_place(c, b->name);
            ok = err_set_at(e, ERR_FORMAT, c->place, "%s shares bytes with another tensor",
                            c->place);
        }
    }
    mem_free(order);
    return ok;
}

static bool parse_tensors(struct gguf *g, struct cur *c, const struct gguf_part *part,
                          size_t alignment, size_t n, struct err *e)
{
    if (n == 0)
        return true;
    if (!grow_tensors(g, n, e))
        return false;
    struct gguf_tensor *t = g->tensors + g->n_tensors;
    uint64_t *offsets = mem_alloc(n * sizeof *offsets); // n was checked against the file's length
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        snprintf(c->place, sizeof c->place, "tensor %zu", i);
        ok = parse_tensor(c, &t[i], &offsets[i], e);
    }
    size_t at = (size_t)(c->p - part->p);
    size_t data_at = (at + alignment - 1) & ~(alignment - 1); // at <= part->n: no overflow
    for (size_t i = 0; ok && i < n; i++) {
        set_place(c, t[i].name);
        ok = place_tensor(c, part, data_at, alignment, offsets[i], &t[i], e);
    }
    mem_free(offsets);
    if (!ok || !check_overlap(c, t, n, e))
        return false;
    g->n_tensors += n;
    return true;
}

bool gguf_parse_part(struct gguf *g, const struct gguf_part *part, struct gguf_meta *meta,
                     struct err *e)
{
    struct cur c = {.p = part->p, .end = part->p + part->n};
    size_t n_tensors = 0;

    return parse_header(g, &c, &meta->n, &n_tensors, e) && parse_keys(g, &c, meta, e) &&
           parse_alignment(meta, e) && parse_tensors(g, &c, part, meta->alignment, n_tensors, e);
}

static int by_tensor_name(const void *a, const void *b, void *tensors)
{
    const struct gguf_tensor *t = tensors;
    return str_cmp(t[*(const uint32_t *)a].name, t[*(const uint32_t *)b].name);
}

bool gguf_parse_finish(struct gguf *g, struct err *e)
{
    g->order = arena_alloc(&g->a, g->n_tensors * sizeof *g->order);
    if (!g->order)
        return full(e);
    for (size_t i = 0; i < g->n_tensors; i++)
        g->order[i] = (uint32_t)i;
    if (g->n_tensors) // the array is NULL while empty
        qsort_r(g->order, g->n_tensors, sizeof *g->order, by_tensor_name, g->tensors);
    for (size_t i = 1; i < g->n_tensors; i++) {
        str name = g->tensors[g->order[i]].name;
        if (str_eq(name, g->tensors[g->order[i - 1]].name)) {
            struct cur c = {.p = NULL};
            set_place(&c, name);
            return err_set_at(e, ERR_FORMAT, c.place, "the tensor %s stands there twice", c.place);
        }
    }
    return true;
}
