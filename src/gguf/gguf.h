/* gguf/gguf.h - reads GGUF files, versions 2 and 3, one part or several.
 *
 * In:      a path.  Out: metadata and tensors, borrowed from the mapped file.
 * Everything is checked before it is believed; after gguf_open succeeds every str, array and tensor
 * lies inside the mapping, tensors share no bytes, and names are unique.  What a file can make us
 * remember is bounded (192 MiB; a 256k vocabulary takes 12), so is the time: linear in its
 * metadata. The one thing that cannot be checked: a file that is cut short while it is mapped
 * raises SIGBUS when the missing pages are read.  Replace model files by rename, never in place.
 * Threads: immutable once opened and may be shared.
 * Source:  ggml-org/ggml: docs/gguf.md. */
#ifndef GGUF_GGUF_H
#define GGUF_GGUF_H

#include "base/err.h"
#include "base/str.h"

struct gguf;

/* Value types of metadata; the numbers are the file's. */
enum gguf_kind {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STR,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_KINDS
};

/* Tensor types; the numbers are the file's.  Types not named here are known by size only or are
 * refused at open. */
enum gguf_type {
    GGUF_TYPE_F32 = 0,
    GGUF_TYPE_F16 = 1,
    GGUF_TYPE_Q4_0 = 2,
    GGUF_TYPE_Q4_1 = 3,
    GGUF_TYPE_Q5_0 = 6,
    GGUF_TYPE_Q5_1 = 7,
    GGUF_TYPE_Q8_0 = 8,
    GGUF_TYPE_Q8_1 = 9,
    GGUF_TYPE_Q2_K = 10,
    GGUF_TYPE_Q3_K = 11,
    GGUF_TYPE_Q4_K = 12,
    GGUF_TYPE_Q5_K = 13,
    GGUF_TYPE_Q6_K = 14,
    GGUF_TYPE_Q8_K = 15,
    GGUF_TYPE_IQ2_XXS = 16,
    GGUF_TYPE_IQ2_XS = 17,
    GGUF_TYPE_IQ3_XXS = 18,
    GGUF_TYPE_IQ1_S = 19,
    GGUF_TYPE_IQ4_NL = 20,
    GGUF_TYPE_IQ3_S = 21,
    GGUF_TYPE_IQ2_S = 22,
    GGUF_TYPE_IQ4_XS = 23,
    GGUF_TYPE_I8 = 24,
    GGUF_TYPE_I16 = 25,
    GGUF_TYPE_I32 = 26,
    GGUF_TYPE_I64 = 27,
    GGUF_TYPE_F64 = 28,
    GGUF_TYPE_IQ1_M = 29,
    GGUF_TYPE_BF16 = 30,
    GGUF_TYPE_TQ1_0 = 34,
    GGUF_TYPE_TQ2_0 = 35,
    GGUF_TYPE_MXFP4 = 39,
    GGUF_TYPE_NVFP4 = 40,
    GGUF_TYPE_Q1_0 = 41,
    GGUF_TYPE_Q2_0 = 42,
    GGUF_TYPES = 48
};

/* Name ("Q4_K"), weights a block, bytes a block.  NULL for a number that is no type. */
struct gguf_type_info {
    const char *name;
    int block;
    int bytes;
};
const struct gguf_type_info *gguf_type_info(int type);

/* The type of this name (any case), or -1. */
int gguf_type_named(str name);

/* "u32", "str", "array" ...; never NULL. */
const char *gguf_kind_name(enum gguf_kind kind);

struct gguf_tensor {
    str name;
    int type;         // enum gguf_type
    int n_dims;       // 1..4
    uint64_t ne[4];   // ne[0] is the row length (contiguous); each 1..2^31-1, unused are 1
    const void *data; // in the mapping, aligned to general.alignment (at most to a page)
    size_t size;      // bytes
};

struct gguf_array {
    enum gguf_kind kind; // of the elements; never GGUF_ARRAY
    size_t n;
    const void *data; // numbers as in the file, unaligned; NULL for strings
    const str *strs;  // [n] for GGUF_STR, else NULL
};

/* Maps and checks `path`.  For "x-00001-of-0000N.gguf" all N parts are opened and seen as one: the
 * keys of the first, the tensors of all.
 *   ERR_NOT_FOUND (also for a missing part, named), ERR_IO; ERR_FORMAT (where = the key or tensor)
 *   for anything wrong inside; ERR_LIMIT for more keys, strings, tensors or parts than we take. */
MUST_CHECK bool gguf_open(struct gguf **out, const char *path, struct err *e);

/* The same on bytes in memory (borrowed until gguf_close); one part only, and tensors are aligned
 * only as well as the bytes are. */
MUST_CHECK bool gguf_open_bytes(struct gguf **out, str bytes, struct err *e);

void gguf_close(struct gguf *g); // NULL is fine

/* Is `path` one of the files that g reads?  (So that a tool does not write over its input.) */
bool gguf_is_part(const struct gguf *g, const char *path);

int gguf_version(const struct gguf *g);
int gguf_n_parts(const struct gguf *g);
uint64_t gguf_file_size(const struct gguf *g); // all parts
size_t gguf_alignment(const struct gguf *g);

size_t gguf_n_keys(const struct gguf *g);
str gguf_key(const struct gguf *g, size_t i);
enum gguf_kind gguf_key_kind(const struct gguf *g, size_t i);

size_t gguf_n_tensors(const struct gguf *g);
const struct gguf_tensor *gguf_tensor(const struct gguf *g, size_t i);
const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, str name); // or NULL; O(log n)

/* Typed look-ups.  False when the key is missing or of another kind (integers of any width are
 * taken when the value fits; floats of either width).  *out untouched then. */
bool gguf_has(const struct gguf *g, const char *key);
bool gguf_u64(const struct gguf *g, const char *key, uint64_t *out);
bool gguf_u32(const struct gguf *g, const char *key, uint32_t *out);
bool gguf_i64(const struct gguf *g, const char *key, int64_t *out);
bool gguf_f32(const struct gguf *g, const char *key, float *out);
bool gguf_bool(const struct gguf *g, const char *key, bool *out);
bool gguf_str(const struct gguf *g, const char *key, str *out);
bool gguf_array(const struct gguf *g, const char *key, struct gguf_array *out);

/* Any key's value by index: strings in s, arrays in array, floats in f, integers and truth values
 * in i (a u64 past 2^63 as its two's complement). */
struct gguf_value {
    enum gguf_kind kind;
    int64_t i;
    double f;
    str s;
    struct gguf_array array;
};
struct gguf_value gguf_value(const struct gguf *g, size_t i);

/* Element i (< a->n) of a numeric array, converted. */
int64_t gguf_array_i64(const struct gguf_array *a, size_t i);
double gguf_array_f64(const struct gguf_array *a, size_t i);

/* Tells the system that the pages under this tensor are no longer needed (after packing). */
void gguf_drop_pages(const struct gguf *g, const struct gguf_tensor *t);

#endif
