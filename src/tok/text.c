/* tok/text.c - a fragment of text as code points, classes and repaired UTF-8.
 *
 * The expressions of the pre-tokenizers run over one byte a character, as llama.cpp runs them:
 * ASCII stands for itself, other white space for \v, letters, numbers, punctuation, marks and
 * symbols for one byte each.  That also makes them fast, and independent of the Unicode version of
 * the expression library.
 * Source: ggml-org/llama.cpp: src/unicode.cpp (behaviour). */
#include "base/utf8.h"
#include "tok/tok_int.h"

#include <utf8proc.h>

/* Assigned after the Unicode version of Debian 12's utf8proc (15.0); llama.cpp's tables have them.
 */
static unsigned char new_class(uint32_t cp)
{
    if (cp >= 0x2ebf0 && cp <= 0x2ee5d)
        return 0xd2; // CJK unified ideographs extension I
    if ((cp >= 0x2ffc && cp <= 0x2fff) || cp == 0x31ef)
        return 0xd5; // ideographic description characters
    return 0xd0;
}

unsigned char tok_class(uint32_t cp)
{
    if (cp < 0x80)
        return (unsigned char)cp;
    if (cp == 0x85)
        return 0x0b;
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return 0xd2;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return 0xd1;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO: return 0xd3;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME: return 0xd4;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO: return 0xd5;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return 0x0b;
    case UTF8PROC_CATEGORY_CN: return new_class(cp);
    default: return 0xd0;
    }
}

void tok_text_fini(struct tok_text *t)
{
    mem_free(t->bytes);
    mem_free(t->cp);
    mem_free(t->off);
    mem_free(t->cls);
    *t = (struct tok_text){0};
}

static void reserve(struct tok_text *t, size_t n)
{
    if (n <= t->cap && t->cap)
        return;
    t->cap = size_max(n + n / 4, 256);
    t->cp = mem_realloc(t->cp, t->cap * sizeof *t->cp);
}

/* One code point as llama.cpp reads it: overlong forms and surrogates pass, they are only bits. */
static uint32_t next_lenient(const unsigned char *p, size_t n, size_t *used)
{
    static const unsigned char mask[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    size_t want = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    *used = 1;
    if (want == 0 || p[0] >= 0xf8 || want > n)
        return 0xfffd;
    uint32_t cp = p[0] & mask[want];
    for (size_t i = 1; i < want; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0xfffd;
        cp = cp << 6 | (p[i] & 0x3f);
    }
    if (cp > 0x10ffff)
        return 0xfffd;
    *used = want;
    return cp;
}

/* Everything below U+0300 is composed and a starter. */
static bool may_change(const uint32_t *cp, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (cp[i] >= 0x300)
            return true;
    return false;
}

static int combining(uint32_t cp)
{
    return utf8proc_get_property((utf8proc_int32_t)cp)->combining_class;
}

/* Puts a run of marks into canonical order: stable, by counting, since runs may be hostile. */
static void order_marks(utf8proc_int32_t *cp, size_t n, utf8proc_int32_t *spare)
{
    size_t start[257] = {0};
    for (size_t i = 0; i < n; i++)
        start[combining((uint32_t)cp[i]) + 1]++;
    for (int c = 0; c < 256; c++)
        start[c + 1] += start[c];
    for (size_t i = 0; i < n; i++)
        spare[start[combining((uint32_t)cp[i])]++] = cp[i];
    memcpy(cp, spare, n * sizeof *cp);
}

static void order_all_marks(utf8proc_int32_t *cp, size_t n)
{
    utf8proc_int32_t *spare = mem_alloc(n * sizeof *spare);
    for (size_t i = 0; i < n;) {
        size_t end = i;
        while (end < n && combining((uint32_t)cp[end]) != 0)
            end++;
        if (end - i > 1)
            order_marks(cp + i, end - i, spare);
        i = end + 1;
    }
    mem_free(spare);
}

/* Normal form C of t->cp.  Surrogates (only lenient reading lets them in) make it give up. */
static void compose(struct tok_text *t)
{
    size_t cap = t->n * 4 + 16, n = 0;
    utf8proc_int32_t *out = mem_alloc(cap * sizeof *out);
    for (size_t i = 0; i < t->n; i++) {
        int last = 0;
        utf8proc_ssize_t k = utf8proc_decompose_char((utf8proc_int32_t)t->cp[i], out + n,
                                                     (utf8proc_ssize_t)(cap - n),
                                                     UTF8PROC_STABLE | UTF8PROC_COMPOSE, &last);
        if (k > (utf8proc_ssize_t)(cap - n)) { // it did not fit; the count is right
            cap = cap * 2 + (size_t)k;
            out = mem_realloc(out, cap * sizeof *out);
            i--;
            continue;
        }
        if (k <= 0) {
            mem_free(out);
            return;
        }
        n += (size_t)k;
    }
    order_all_marks(out, n);
    utf8proc_ssize_t m =
        utf8proc_normalize_utf32(out, (utf8proc_ssize_t)n, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (m >= 0) {
        reserve(t, (size_t)m);
        t->n = (size_t)m;
        for (size_t i = 0; i < t->n; i++)
            t->cp[i] = (uint32_t)out[i];
    }
    mem_free(out);
}

/* As utf8_put, but surrogates are written as they came. */
static size_t put_lenient(char out[4], uint32_t cp)
{
    if (cp < 0xd800 || cp > 0xdfff)
        return utf8_put(out, cp);
    out[0] = (char)(0xe0 | cp >> 12);
    out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
    out[2] = (char)(0x80 | (cp & 0x3f));
    return 3;
}

void tok_text_set(struct tok_text *t, str s, bool nfc)
{
    reserve(t, s.n);
    const unsigned char *p = (const unsigned char *)s.p;
    t->n = 0;
    for (size_t i = 0, used; i < s.n; i += used)
        t->cp[t->n++] = next_lenient(p + i, s.n - i, &used);
    if (nfc && may_change(t->cp, t->n))
        compose(t);

    t->off = mem_realloc(t->off, (t->n + 1) * sizeof *t->off);
    t->cls = mem_realloc(t->cls, t->n + 1);
    t->bytes = mem_realloc(t->bytes, t->n * 4 + 1);
    t->n_bytes = 0;
    for (size_t i = 0; i < t->n; i++) {
        t->off[i] = (uint32_t)t->n_bytes;
        t->cls[i] = (char)tok_class(t->cp[i]);
        t->n_bytes += put_lenient(t->bytes + t->n_bytes, t->cp[i]);
    }
    t->off[t->n] = (uint32_t)t->n_bytes;
}
