/* gguf/gguf_test.c - what is written is read back; what is wrong is refused with its place. */
#include "gguf/gguf_int.h"
#include "gguf/writer.h"
#include "test.h"

#include "base/mem.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAMPLE_MAX ((size_t)1 << 20)

/* Every kind of key, two tensors, the last without padding behind it. */
static void write_sample(struct buf *out)
{
    static const str words[] = {STR_INIT("<s>"), STR_INIT(""), STR_INIT("hello")};
    static const int16_t shorts[] = {-3, 0, 300};
    static const float weights[64] = {1, 2, 3};
    static const unsigned char blocks[2 * 34] = {7};
    struct err e = {0};

    struct gguf_writer *w = gguf_writer_to(out);
    gguf_put_str(w, "general.architecture", STR("llama"));
    gguf_put_u32(w, "llama.block_count", 4000000000u);
    gguf_put_i32(w, "a.i32", -5);
    gguf_put_u64(w, "a.u64", UINT64_MAX);
    gguf_put_f32(w, "a.f32", 0.5f);
    gguf_put_bool(w, "a.yes", true);
    gguf_put_strs(w, "a.words", words, COUNT(words));
    gguf_put_array(w, "a.shorts", GGUF_I16, shorts, COUNT(shorts));
    gguf_put_array(w, "a.none", GGUF_U8, NULL, 0);
    gguf_put_tensor(w, STR("token_embd.weight"), GGUF_TYPE_F32, 2, (uint64_t[]){16, 4});
    gguf_put_tensor(w, STR("b.weight"), GGUF_TYPE_Q8_0, 1, (uint64_t[]){64});
    assert_true(gguf_put_data(w, weights, 100, &e)); // in pieces, across the border
    assert_true(gguf_put_data(w, (const char *)weights + 100, sizeof weights - 100, &e));
    assert_true(gguf_put_data(w, blocks, sizeof blocks, &e));
    assert_true(gguf_writer_finish(w, &e));
    gguf_writer_close(w);
    out->n -= 28; // 68 bytes of the last tensor were padded to 96
}

static void gguf_reads_what_was_written(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(SAMPLE_MAX);
    struct gguf *g = NULL;
    struct err e = {0};

    write_sample(&b);
    assert_true(gguf_open_bytes(&g, buf_as_str(&b), &e));
    assert_int_equal(gguf_version(g), 3);
    assert_int_equal(gguf_alignment(g), 32);
    assert_int_equal(gguf_n_keys(g), 9);
    assert_int_equal(gguf_file_size(g), b.n);
    check_str(gguf_key(g, 1), STR("llama.block_count"), "file order");

    str s = {0};
    uint32_t u32 = 7;
    uint64_t u64 = 0;
    int64_t i64 = 0;
    float f = 0;
    bool yes = false;
    assert_true(gguf_str(g, "general.architecture", &s));
    check_str(s, STR("llama"), "str");
    assert_true(gguf_u32(g, "llama.block_count", &u32));
    assert_int_equal(u32, 4000000000u);
    assert_true(gguf_u64(g, "llama.block_count", &u64)); // any width that fits
    assert_false(gguf_u64(g, "a.i32", &u64));            // negative
    assert_true(gguf_i64(g, "a.i32", &i64));
    assert_int_equal(i64, -5);
    assert_false(gguf_i64(g, "a.u64", &i64)); // too large
    assert_false(gguf_u32(g, "a.u64", &u32));
    assert_int_equal(u32, 4000000000u); // untouched
    assert_true(gguf_f32(g, "a.f32", &f));
    assert_true(f == 0.5f);
    assert_false(gguf_f32(g, "a.i32", &f));
    assert_true(gguf_bool(g, "a.yes", &yes) && yes);
    assert_false(gguf_u32(g, "a.yes", &u32)); // truth is no number
    assert_false(gguf_has(g, "a"));

    struct gguf_array a = {0};
    assert_true(gguf_array(g, "a.words", &a));
    assert_int_equal(a.n, 3);
    check_str(a.strs[2], STR("hello"), "third word");
    assert_null(a.data);
    assert_true(gguf_array(g, "a.shorts", &a));
    assert_int_equal(gguf_array_i64(&a, 0), -3);
    assert_true(gguf_array_f64(&a, 2) == 300);
    assert_true(gguf_array(g, "a.none", &a));
    assert_int_equal(a.n, 0);

    const struct gguf_tensor *t = gguf_find_tensor(g, STR("b.weight"));
    assert_non_null(t);
    assert_ptr_equal(t, gguf_tensor(g, 1));
    assert_int_equal(t->size, 68);
    assert_int_equal(t->ne[1], 1);
    assert_int_equal(*(const unsigned char *)t->data, 7);
    assert_null(gguf_find_tensor(g, STR("c.weight")));
    gguf_drop_pages(g, t); // borrowed bytes must survive it
    assert_int_equal(*(const unsigned char *)t->data, 7);
    gguf_close(g);
    buf_free(&b);
}

static void gguf_refuses_every_prefix(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(SAMPLE_MAX);
    struct gguf *g = NULL;
    write_sample(&b);
    for (size_t n = 0; n < b.n; n++) {
        struct err e = {0};
        char *exact = mem_alloc(n); // so that the sanitizer sees one byte too far
        memcpy(exact, b.p, n);
        assert_false(gguf_open_bytes(&g, str_n(exact, n), &e));
        assert_true(e.code == ERR_FORMAT && e.msg[0]);
        mem_free(exact);
    }
    assert_null(g);
    buf_free(&b);
}

static void gguf_reads_version_2(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(SAMPLE_MAX);
    struct gguf *g = NULL;
    struct err e = {0};
    write_sample(&b);
    b.p[4] = 2;
    assert_true(gguf_open_bytes(&g, buf_as_str(&b), &e));
    assert_int_equal(gguf_version(g), 2);
    assert_int_equal(gguf_n_tensors(g), 2);
    gguf_close(g);
    buf_free(&b);
}

static void gguf_survives_changed_bytes(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(SAMPLE_MAX);
    uint64_t seed = 20240229;
    int opened = 0, refused = 0;

    write_sample(&b);
    char *copy = mem_alloc(b.n);
    for (int round = 0; round < 20000; round++) {
        struct gguf *g = NULL;
        struct err e = {0};
        memcpy(copy, b.p, b.n);
        for (uint64_t k = test_random(&seed) % 4 + 1; k; k--) {
            size_t at = (size_t)(test_random(&seed) % (b.n - 68)); // not in the last tensor
            static const unsigned char odd[] = {0, 1, 0x7f, 0x80, 0xff, 8, 9, 24};
            uint64_t r = test_random(&seed);
            copy[at] = (char)(r & 1 ? odd[r >> 8 & 7] : (unsigned char)(r >> 16));
        }
        if (!gguf_open_bytes(&g, str_n(copy, b.n), &e)) {
            assert_true(e.code == ERR_FORMAT || e.code == ERR_LIMIT);
            refused++;
            continue;
        }
        opened++;
        for (size_t i = 0; i < gguf_n_tensors(g); i++) {
            const struct gguf_tensor *t = gguf_tensor(g, i);
            assert_true((const char *)t->data >= copy &&
                        (const char *)t->data + t->size <= copy + b.n);
        }
        gguf_close(g);
    }
    mem_free(copy);
    buf_free(&b);
    assert_true(opened > 1000 && refused > 1000); // both ways were taken
}

static void gguf_reaches_its_memory_cap_cleanly(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(SAMPLE_MAX);
    struct gguf *g = NULL;
    int refused = 0;
    write_sample(&b);
    for (size_t cap = 0;; cap += 8) {
        struct err e = {0};
        if (gguf_open_capped(&g, buf_as_str(&b), cap, &e))
            break;
        assert_int_equal(e.code, ERR_LIMIT);
        refused++;
        assert_true(cap < 100000);
    }
    assert_true(refused > 50);
    gguf_close(g);
    buf_free(&b);
}

/* One refusal a row: the bytes behind "GGUF", little-endian, as a list of pieces. */
enum piece_kind { END, U8, U32, U64, TEXT, FILL };
struct piece {
    enum piece_kind kind;
    uint64_t v;
    const char *text;
};
#define B(x)                                                                                       \
    {                                                                                              \
        .kind = U8, .v = (x)                                                                       \
    }
#define W(x)                                                                                       \
    {                                                                                              \
        .kind = U32, .v = (x)                                                                      \
    }
#define Q(x)                                                                                       \
    {                                                                                              \
        .kind = U64, .v = (x)                                                                      \
    }
#define T(x)                                                                                       \
    {                                                                                              \
        .kind = TEXT, .text = (x)                                                                  \
    } // with its length before it
#define F(n)                                                                                       \
    {                                                                                              \
        .kind = FILL, .v = (n)                                                                     \
    } // zeros
#define HEAD(t, k) W(3), Q(t), Q(k)

static void lay(struct buf *b, const struct piece *p)
{
    static const char zeros[256];
    buf_c(b, "GGUF");
    for (; p->kind != END; p++) {
        uint64_t n;
        switch (p->kind) {
        case U8: buf_put(b, &p->v, 1); break;
        case U32: buf_put(b, &p->v, 4); break;
        case U64: buf_put(b, &p->v, 8); break;
        case TEXT:
            n = strlen(p->text);
            buf_put(b, &n, 8);
            buf_c(b, p->text);
            break;
        default: buf_put(b, zeros, (size_t)p->v); break;
        }
    }
}

#define LONG_64 "0123456789012345678901234567890123456789012345678901234567890123"

static void gguf_names_what_is_wrong(void **state)
{
    static const struct {
        const char *where, *msg; // the message holds this
        struct piece p[28];
    } rows[] = {
        {"", "big-endian", {W(0x03000000), Q(0), Q(0)}},
        {"", "version 1", {W(1), Q(0), Q(0)}},
        {"", "version 4", {W(4), Q(0), Q(0)}},
        {"", "version 0", {W(0), Q(0), Q(0)}},
        {"the header", "ends inside the header", {W(3), Q(0)}},
        {"the header", "keys do not fit", {HEAD(0, 1u << 30), F(200)}},
        {"the header", "keys do not fit", {HEAD(0, UINT64_MAX), F(200)}},
        {"the header", "tensors do not fit", {HEAD(100, 0), F(200)}},
        {"the header", "tensors do not fit", {HEAD(UINT64_MAX, 0), F(200)}},
        {"key 0", "a string of 999 bytes", {HEAD(0, 1), Q(999), F(20)}},
        {"key 0", "a string of 18446744073709551615", {HEAD(0, 1), Q(UINT64_MAX), F(20)}},
        {"key 0", "name of 0 bytes", {HEAD(0, 1), T(""), F(20)}},
        {"a", "unknown value kind 13", {HEAD(0, 1), T("a"), W(13), F(20)}},
        {"a", "no truth value", {HEAD(0, 1), T("a"), W(GGUF_BOOL), B(2)}},
        {"a\?b",
         "twice",
         {HEAD(0, 2),
          T("a\x1b"
            "b"),
          W(GGUF_U8), B(0),
          T("a\x1b"
            "b"),
          W(GGUF_U8), B(0), F(9)}},
        {"a", "the file ends inside", {HEAD(0, 1), T("a"), W(GGUF_U64), F(7)}},
        {"a", "array of arrays", {HEAD(0, 1), T("a"), W(GGUF_ARRAY), W(GGUF_ARRAY), Q(0)}},
        {"a", "unknown element kind 99", {HEAD(0, 1), T("a"), W(GGUF_ARRAY), W(99), Q(0)}},
        {"a",
         "an array of 3 elements",
         {HEAD(0, 1), T("a"), W(GGUF_ARRAY), W(GGUF_U64), Q(3), F(23)}},
        {"a",
         "an array of 4611686018427387905",
         {HEAD(0, 1), T("a"), W(GGUF_ARRAY), W(GGUF_U32), Q(0x4000000000000001), F(23)}},
        {"a",
         "an array of 3 elements",
         {HEAD(0, 1), T("a"), W(GGUF_ARRAY), W(GGUF_STR), Q(3), F(23)}},
        {"a",
         "a string of 5 bytes",
         {HEAD(0, 1), T("a"), W(GGUF_ARRAY), W(GGUF_STR), Q(2), Q(0), Q(5), F(4)}},
        {"a",
         "no truth value",
         {HEAD(0, 1), T("a"), W(GGUF_ARRAY), W(GGUF_BOOL), Q(2), B(1), B(2)}},
        {"general.alignment",
         "power of two",
         {HEAD(0, 1), T("general.alignment"), W(GGUF_U32), W(24)}},
        {"general.alignment", "is 0", {HEAD(0, 1), T("general.alignment"), W(GGUF_U32), W(0)}},
        {"general.alignment",
         "is 1048576",
         {HEAD(0, 1), T("general.alignment"), W(GGUF_U32), W(1 << 20)}},
        {"general.alignment",
         "no number",
         {HEAD(0, 1), T("general.alignment"), W(GGUF_STR), T("32")}},
        {"tensor 0", "name of 0 bytes", {HEAD(1, 0), T(""), F(100)}},
        {"tensor 0", "name of 65 bytes", {HEAD(1, 0), T(LONG_64 "x"), F(100)}},
        {"t", "0 dimensions", {HEAD(1, 0), T("t"), W(0), F(100)}},
        {"t", "5 dimensions", {HEAD(1, 0), T("t"), W(5), F(100)}},
        {"t", "dimension 0 is 0", {HEAD(1, 0), T("t"), W(1), Q(0), F(100)}},
        {"t", "dimension 1 is 2147483648", {HEAD(1, 0), T("t"), W(2), Q(1), Q(1u << 31), F(100)}},
        {"t", "unknown tensor type 4", {HEAD(1, 0), T("t"), W(1), Q(32), W(4), Q(0), F(100)}},
        {"t",
         "unknown tensor type 4294967295",
         {HEAD(1, 0), T("t"), W(1), Q(32), W(UINT32_MAX), Q(0), F(100)}},
        {"t",
         "no multiple of Q8_0's block of 32",
         {HEAD(1, 0), T("t"), W(1), Q(33), W(8), Q(0), F(100)}},
        {"t",
         "larger than any file",
         {HEAD(1, 0), T("t"), W(4), Q(0x7fffffff), Q(0x7fffffff), Q(0x7fffffff), Q(0x7fffffff),
          W(0), Q(0), F(100)}},
        {"t",
         "larger than any file",
         {HEAD(1, 0), T("t"), W(3), Q(0x40000000), Q(0x40000000), Q(2), W(0), Q(0), F(100)}},
        {"t",
         "offset 1 is no multiple of 32",
         {HEAD(1, 0), T("t"), W(1), Q(1), W(0), Q(1), F(100)}},
        {"t",
         "beyond the end",
         {HEAD(1, 0), T("t"), W(1), Q(1), W(0), Q(0xffffffffffffffe0), F(100)}},
        {"t", "beyond the end", {HEAD(1, 0), T("t"), W(1), Q(1000), W(0), Q(0), F(100)}},
        {"tt", "the file ends inside tt", {HEAD(1, 0), T("tt"), W(1), Q(1), W(0), F(7)}},
        {"t",
         "twice",
         {HEAD(2, 0), T("t"), W(1), Q(1), W(0), Q(0), T("t"), W(1), Q(1), W(0), Q(32), F(100)}},
        {"u",
         "shares bytes",
         {HEAD(2, 0), T("t"), W(1), Q(9), W(0), Q(0), T("u"), W(1), Q(1), W(0), Q(32), F(100)}},
        {"split.count", "one of several", {HEAD(0, 1), T("split.count"), W(GGUF_U16), B(2), B(0)}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf b = BUF_INIT(4096);
        struct gguf *g = NULL;
        struct err e = {0};
        lay(&b, rows[i].p);
        assert_false(gguf_open_bytes(&g, buf_as_str(&b), &e));
        if (!strstr(e.msg, rows[i].msg) || strcmp(e.where, rows[i].where) != 0)
            fail_msg("row %zu (%s): \"%s\" at \"%s\"", i, rows[i].msg, e.msg, e.where);
        buf_free(&b);
    }
}

static void gguf_bounds_counts(void **state)
{
    (void)state;
    struct buf b = BUF_INIT((size_t)64 << 20);
    struct gguf *g = NULL;
    struct err e = {0};

    // 70,000 keys that the file could hold.
    lay(&b, (const struct piece[]){HEAD(0, 70000), {.kind = END}});
    for (uint32_t i = 0; i < 70000; i++) {
        uint64_t n = 4;
        uint32_t kind = GGUF_U8;
        buf_put(&b, &n, 8);
        buf_put(&b, &i, 4);
        buf_put(&b, &kind, 4);
        buf_char(&b, 0);
    }
    assert_false(gguf_open_bytes(&g, buf_as_str(&b), &e));
    assert_int_equal(e.code, ERR_LIMIT);
    buf_clear(&b);

    // Five million empty strings: 40 MB of file may not cost 80 MB of memory.
    lay(&b, (const struct piece[]){
                HEAD(0, 1), T("a"), W(GGUF_ARRAY), W(GGUF_STR), Q(5000000), {.kind = END}});
    char *p = buf_reserve(&b, 40000000);
    assert_non_null(p);
    memset(p, 0, 40000000);
    b.n += 40000000;
    assert_false(gguf_open_bytes(&g, buf_as_str(&b), &e));
    assert_int_equal(e.code, ERR_LIMIT);
    buf_free(&b);
}

/* Files */

struct scratch {
    char dir[64];
};

static int scratch_make(void **state)
{
    static struct scratch s;
    snprintf(s.dir, sizeof s.dir, "/tmp/confab-gguf-XXXXXX");
    *state = &s;
    return mkdtemp(s.dir) ? 0 : -1;
}

static int scratch_drop(void **state)
{
    char cmd[128];
    struct scratch *s = *state;
    snprintf(cmd, sizeof cmd, "rm -r '%s'", s->dir);
    return system(cmd);
}

static const char *in(struct scratch *s, char out[PATH_MAX], const char *name)
{
    snprintf(out, PATH_MAX, "%s/%s", s->dir, name);
    return out;
}

/* Part no (from 0) of count, one tensor "t<no>" filled with its number. */
static void write_part(const char *path, int no, int count, int total)
{
    struct gguf_writer *w = NULL;
    struct err e = {0};
    char name[16];
    float data[8];

    assert_true(gguf_writer_open(&w, path, &e));
    gguf_put_u32(w, "split.no", (uint32_t)no);
    gguf_put_u32(w, "split.count", (uint32_t)count);
    gguf_put_i32(w, "split.tensors.count", total);
    snprintf(name, sizeof name, "t%d", no);
    gguf_put_tensor(w, str_c(name), GGUF_TYPE_F32, 1, (uint64_t[]){8});
    for (int i = 0; i < 8; i++)
        data[i] = (float)no;
    assert_true(gguf_put_data(w, data, sizeof data, &e));
    assert_true(gguf_writer_finish(w, &e));
    gguf_writer_close(w);
}

static void gguf_merges_parts(void **state)
{
    struct scratch *s = *state;
    char path[PATH_MAX], first[PATH_MAX];
    struct gguf *g = NULL;
    struct err e = {0};

    in(s, first, "m-00001-of-00003.gguf");
    for (int i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "m-%05d-of-00003.gguf", i + 1);
        write_part(in(s, path, name), i, 3, 3);
    }
    assert_true(gguf_open(&g, first, &e));
    assert_int_equal(gguf_n_parts(g), 3);
    assert_int_equal(gguf_n_tensors(g), 3);
    const struct gguf_tensor *t = gguf_find_tensor(g, STR("t2"));
    assert_true(t && *(const float *)t->data == 2.0f);
    gguf_drop_pages(g, t);
    assert_true(*(const float *)t->data == 2.0f); // read again from the file
    assert_true(gguf_is_part(g, first) && gguf_is_part(g, path));
    assert_false(gguf_is_part(g, s->dir));
    assert_false(gguf_is_part(g, in(s, path, "none.gguf")));
    gguf_close(g);
    g = NULL;

    // Another than the first.
    assert_false(gguf_open(&g, in(s, path, "m-00002-of-00003.gguf"), &e));
    assert_non_null(strstr(e.msg, "name the first"));
    assert_non_null(strstr(e.msg, "m-00001-of-00003.gguf"));

    // The number announced is not there.
    write_part(first, 0, 3, 4);
    assert_false(gguf_open(&g, first, &e));
    assert_string_equal(e.where, "split.tensors.count");

    // A part that says it is another.
    write_part(first, 0, 3, 3);
    write_part(in(s, path, "m-00003-of-00003.gguf"), 1, 3, 3);
    assert_false(gguf_open(&g, first, &e));
    assert_string_equal(e.where, "split.no");

    // A tensor twice.
    write_part(path, 2, 3, 3);
    write_part(in(s, path, "m-00002-of-00003.gguf"), 1, 3, 3);
    assert_true(gguf_open(&g, first, &e));
    gguf_close(g);
    g = NULL;

    // A part is missing: it is named.
    unlink(in(s, path, "m-00003-of-00003.gguf"));
    assert_false(gguf_open(&g, first, &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_non_null(strstr(e.msg, "part 3 of 3"));
    assert_non_null(strstr(e.msg, path));

    // A name that does not say where the others are, and one that says something else.
    write_part(in(s, path, "alone.gguf"), 0, 3, 3);
    assert_false(gguf_open(&g, path, &e));
    assert_non_null(strstr(e.msg, "not named like one"));
    write_part(in(s, path, "x-00001-of-00002.gguf"), 0, 3, 3);
    assert_false(gguf_open(&g, path, &e));
    assert_non_null(strstr(e.msg, "its keys say part 1 of 3"));
    write_part(in(s, path, "x-00001-of-60000.gguf"), 0, 60000, 3);
    assert_false(gguf_open(&g, path, &e));
    assert_int_equal(e.code, ERR_LIMIT);
}

static void gguf_refuses_a_tensor_in_two_parts(void **state)
{
    struct scratch *s = *state;
    char path[PATH_MAX];
    struct gguf *g = NULL;
    struct err e = {0};
    for (int i = 0; i < 2; i++) {
        struct gguf_writer *w = NULL;
        char name[64];
        snprintf(name, sizeof name, "m-%05d-of-00002.gguf", i + 1);
        assert_true(gguf_writer_open(&w, in(s, path, name), &e));
        gguf_put_u32(w, "split.no", (uint32_t)i);
        gguf_put_u32(w, "split.count", 2);
        gguf_put_tensor(w, STR("same"), GGUF_TYPE_I8, 1, (uint64_t[]){1});
        assert_true(gguf_put_data(w, "x", 1, &e));
        assert_true(gguf_writer_finish(w, &e));
        gguf_writer_close(w);
    }
    assert_false(gguf_open(&g, in(s, path, "m-00001-of-00002.gguf"), &e));
    assert_string_equal(e.where, "same");
}

static void gguf_refuses_what_is_no_file(void **state)
{
    struct scratch *s = *state;
    char path[PATH_MAX];
    struct gguf *g = NULL;
    struct err e = {0};

    assert_false(gguf_open(&g, in(s, path, "none"), &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_false(gguf_open(&g, s->dir, &e));
    assert_int_equal(e.code, ERR_FORMAT);
    assert_int_equal(mkfifo(in(s, path, "pipe"), 0600), 0);
    assert_false(gguf_open(&g, path, &e)); // and does not wait for a writer
    assert_int_equal(e.code, ERR_FORMAT);
    int fd = open(in(s, path, "empty"), O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_false(gguf_open(&g, path, &e));
    assert_int_equal(e.code, ERR_FORMAT);
}

static void writer_leaves_nothing_behind_on_failure(void **state)
{
    struct scratch *s = *state;
    char path[PATH_MAX], cmd[PATH_MAX + 64];
    struct gguf_writer *w = NULL;
    struct gguf *g = NULL;
    struct err e = {0};

    write_part(in(s, path, "m.gguf"), 0, 1, 1);
    assert_true(gguf_writer_open(&w, path, &e));
    gguf_put_tensor(w, STR("t"), GGUF_TYPE_F32, 1, (uint64_t[]){8});
    assert_true(gguf_put_data(w, "1234", 4, &e));
    assert_false(gguf_writer_finish(w, &e)); // 28 bytes are missing
    assert_int_equal(e.code, ERR_INPUT);
    gguf_writer_close(w);

    assert_true(gguf_open(&g, path, &e)); // the old one
    assert_non_null(gguf_find_tensor(g, STR("t0")));
    gguf_close(g);
    snprintf(cmd, sizeof cmd, "test $(ls '%s' | wc -l) -eq 1", s->dir);
    assert_int_equal(system(cmd), 0);

    assert_false(gguf_writer_open(&w, "/nowhere/at/all.gguf", &e));
    assert_int_equal(e.code, ERR_IO);
}

static void writer_refuses_impossible_tensors(void **state)
{
    static const struct {
        const char *name;
        int type;
        uint64_t cols;
    } rows[] = {
        {"t", GGUF_TYPE_Q8_0, 33},   {"t", 4, 32}, {"t", GGUF_TYPE_F32, 0}, {"", GGUF_TYPE_F32, 1},
        {LONG_64, GGUF_TYPE_F32, 1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf b = BUF_INIT(4096);
        struct err e = {0};
        struct gguf_writer *w = gguf_writer_to(&b);
        gguf_put_tensor(w, str_c(rows[i].name), rows[i].type, 1, &rows[i].cols);
        assert_false(gguf_put_data(w, "", 0, &e));
        assert_int_equal(e.code, ERR_INPUT);
        assert_false(gguf_writer_finish(w, &e));
        gguf_writer_close(w);
        buf_free(&b);
    }
}

static void writer_copies_keys(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(SAMPLE_MAX), c = BUF_INIT(SAMPLE_MAX);
    struct gguf *g = NULL, *h = NULL;
    struct err e = {0};
    write_sample(&b);
    assert_true(gguf_open_bytes(&g, buf_as_str(&b), &e));
    struct gguf_writer *w = gguf_writer_to(&c);
    for (size_t i = 0; i < gguf_n_keys(g); i++)
        gguf_put_key(w, g, i);
    assert_true(gguf_writer_finish(w, &e));
    gguf_writer_close(w);
    assert_true(gguf_open_bytes(&h, buf_as_str(&c), &e));
    assert_int_equal(gguf_n_keys(h), gguf_n_keys(g));
    for (size_t i = 0; i < gguf_n_keys(g); i++) {
        struct gguf_value x = gguf_value(g, i), y = gguf_value(h, i);
        check_str(gguf_key(h, i), gguf_key(g, i), "key");
        assert_int_equal(x.kind, y.kind);
        assert_true(x.i == y.i && x.f == y.f && x.array.n == y.array.n);
        check_str(y.s, x.s, "value");
    }
    gguf_close(g);
    gguf_close(h);
    buf_free(&b);
    buf_free(&c);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(gguf_reads_what_was_written),
    cmocka_unit_test(gguf_refuses_every_prefix),
    cmocka_unit_test(gguf_reads_version_2),
    cmocka_unit_test(gguf_survives_changed_bytes),
    cmocka_unit_test(gguf_reaches_its_memory_cap_cleanly),
    cmocka_unit_test(gguf_names_what_is_wrong),
    cmocka_unit_test(gguf_bounds_counts),
    cmocka_unit_test_setup_teardown(gguf_merges_parts, scratch_make, scratch_drop),
    cmocka_unit_test_setup_teardown(gguf_refuses_a_tensor_in_two_parts, scratch_make, scratch_drop),
    cmocka_unit_test_setup_teardown(gguf_refuses_what_is_no_file, scratch_make, scratch_drop),
    cmocka_unit_test_setup_teardown(writer_leaves_nothing_behind_on_failure, scratch_make,
                                    scratch_drop),
    cmocka_unit_test(writer_refuses_impossible_tensors),
    cmocka_unit_test(writer_copies_keys),
};
TEST_FILE(tests)
