/* gguf/gguf_int.h - what the files of this room share. */
#ifndef GGUF_GGUF_INT_H
#define GGUF_GGUF_INT_H

#include "base/arena.h"
#include "gguf/gguf.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "numbers are read as they lie in the file");

/* Bounds on what a file may make us remember.  The largest published vocabularies hold 262,144
 * tokens and 514,906 merges; the largest models some ten thousand tensors. */
#define GGUF_KEYS_MAX    ((size_t)65536)
#define GGUF_TENSORS_MAX ((size_t)131072)
#define GGUF_STRS_MAX    ((size_t)4 << 20) // strings in arrays, all keys and parts together
#define GGUF_PARTS_MAX   1000
#define GGUF_KEY_LEN_MAX ((size_t)65535) // the format's own
#define GGUF_NAME_MAX    ((size_t)64)    // the format's own
#define GGUF_ALIGN_MAX   ((size_t)65536)
#define GGUF_ALIGN_MIN   ((size_t)8)         // the format's own
#define GGUF_ALIGN       ((size_t)32)        // when the file names none
#define GGUF_MEMORY_MAX  ((size_t)192 << 20) // keys, strings, tensors and their order
#define GGUF_HEADER      ((size_t)24)

#define GGUF_MAGIC "GGUF"

struct gguf_key {
    str name;
    enum gguf_kind kind;
    union {
        uint64_t bits; // a number as it lies in the file, zero-extended
        str s;
        struct gguf_array array;
    } v;
};

/* The metadata of one part. */
struct gguf_meta {
    struct gguf_key *keys; // [n], in file order
    uint32_t *order;       // [n] indices by name
    size_t n;
    size_t alignment;
};

struct gguf_part {
    const unsigned char *p; // the whole file
    size_t n;
    bool mapped;       // ours to unmap
    uint64_t dev, ino; // of the file, if mapped
};

struct gguf {
    struct arena a;
    struct gguf_part *parts; // [n_parts]
    int n_parts;
    int version;
    uint64_t file_size;
    struct gguf_meta meta;       // of the first part
    struct gguf_tensor *tensors; // [n_tensors] of all parts, heap
    size_t n_tensors, cap_tensors;
    uint32_t *order; // [n_tensors] indices by name
    size_t n_strs;   // strings in arrays so far
};

/* Reads the header, keys and tensor descriptions of one part: fills *meta, appends to g->tensors.
 * ERR_FORMAT, ERR_LIMIT. */
MUST_CHECK bool gguf_parse_part(struct gguf *g, const struct gguf_part *part,
                                struct gguf_meta *meta, struct err *e);

/* Orders all tensors by name; ERR_FORMAT for a name used twice. */
MUST_CHECK bool gguf_parse_finish(struct gguf *g, struct err *e);

/* The key of this name, or NULL. */
const struct gguf_key *gguf_meta_find(const struct gguf_meta *meta, str name);

/* k as an integer if it is one that fits. */
bool gguf_key_u64(const struct gguf_key *k, uint64_t *out);

/* gguf_open_bytes with another bound on memory. */
MUST_CHECK bool gguf_open_capped(struct gguf **out, str bytes, size_t memory_max, struct err *e);

/* Bytes of a number of this kind; 0 for strings, arrays and what is no kind. */
size_t gguf_kind_size(unsigned kind);

/* Bytes of a tensor of this type and shape, checked: false for what is no type, a row that is no
 * multiple of the block, or a size past 2^63.  Nothing is set. */
bool gguf_tensor_bytes(int type, const uint64_t ne[4], uint64_t *out);

#endif
