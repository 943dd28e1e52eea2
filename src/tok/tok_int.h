/* tok/tok_int.h - what the files of this room share.
 *
 * Flow of tok_encode: the spans become one text with marks of trust (encode.c); special tokens cut
 * it into fragments (special.c); a BPE fragment is read as code points, normalised where the
 * vocabulary asks for it (text.c), split into words (split.c, tables in pre.c) and merged
 * (merge.c); an SPM fragment is merged as it stands. */
#ifndef TOK_TOK_INT_H
#define TOK_TOK_INT_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/arena.h"
#include "base/mem.h"
#include "tok/tok.h"

#define TOK_VOCAB_MAX  (1 << 21) // tokens that a file may have
#define TOK_MERGES_MAX (1 << 22)
#define TOK_TEXT_MAX   ((size_t)256 << 20) // bytes of one text

/* ---- map.c: pieces of text and pairs of them ------------------------------------------------- */

/* Bytes -> a small number, open addressing; the bytes are borrowed. */
struct tok_map {
    uint32_t *slot; // [size] index + 1, 0 = empty
    size_t size;    // a power of two
    str *key;       // [n]
    size_t n, cap;
};
void tok_map_init(struct tok_map *m, size_t expect);
void tok_map_fini(struct tok_map *m);
int32_t tok_map_find(const struct tok_map *m, str key); // or -1
int32_t tok_map_add(struct tok_map *m, str key);        // the old index if it was there

/* (left piece, right piece) -> (rank, merged piece). */
struct tok_pair {
    int32_t left, right; // left = -1: empty
    int32_t rank, merged;
};
struct tok_pairs {
    struct tok_pair *slot; // [size], a power of two
    size_t size, n;
};
void tok_pairs_init(struct tok_pairs *p, size_t expect);
void tok_pairs_fini(struct tok_pairs *p);
const struct tok_pair *tok_pairs_find(const struct tok_pairs *p, int32_t left, int32_t right);
void tok_pairs_add(struct tok_pairs *p, struct tok_pair pair); // the first one stays

/* ---- pre.c, split.c: words --------------------------------------------------------------------
 */

enum tok_op {
    TOK_OP_END,
    TOK_OP_RE,       // a regular expression over classes of characters
    TOK_OP_RUNS,     // runs of the characters of a set
    TOK_OP_TRAIL_WS, // white space at the end
    TOK_OP_DIGITS3,  // digits in threes, counted from the right
    TOK_OP_LINES     // runs of newlines and of anything else
};

struct tok_range {
    uint32_t first, last;
};
struct tok_set {
    const struct tok_range *range; // ascending
    size_t n;
    bool inverted;
};

enum tok_lead { TOK_LEAD_NONE, TOK_LEAD_WS, TOK_LEAD_BLANK };

/* One step of splitting: each piece is searched from its beginning, matches and the gaps between
 * them become pieces. */
struct tok_stage {
    enum tok_op op;
    const char *re;             // TOK_OP_RE; written with @L @N @P @M @S for classes (pre.c)
    const struct tok_set *sets; // TOK_OP_RUNS: [n_sets], no two overlap
    int n_sets;
    enum tok_lead lead; // TOK_OP_RUNS: one such character may stand before the run
};

#define TOK_STAGES_MAX 6

struct tok_pre {
    const char *name; // tokenizer.ggml.pre
    const struct tok_stage *stages;
    bool ignore_merges; // a word that is a token is taken whole
    bool add_bos;       // default of tokenizer.ggml.add_bos_token
    bool nfc;           // the vocabulary's own tokenizer normalises first
    bool raw;           // pieces are UTF-8 with U+2581 for blanks, not byte-coded
};

/* NULL if unknown. */
const struct tok_pre *tok_pre_find(str name);

struct tok_splitter {
    const struct tok_stage *stages; // up to TOK_OP_END
    pcre2_code *re[TOK_STAGES_MAX];
};
MUST_CHECK bool tok_splitter_init(struct tok_splitter *s, const struct tok_stage *stages,
                                  struct err *e);
void tok_splitter_fini(struct tok_splitter *s);

/* ---- text.c: code points ----------------------------------------------------------------------
 */

/* A fragment as the splitter sees it.  Owned; reused from fragment to fragment. */
struct tok_text {
    char *bytes; // [n_bytes] UTF-8, repaired
    size_t n_bytes;
    uint32_t *cp;  // [n] code points
    uint32_t *off; // [n + 1] where each begins in bytes
    char *cls;     // [n] what the expressions see: ASCII as it is, or a class
    size_t n, cap;
};
void tok_text_fini(struct tok_text *t);

/* Reads s as llama.cpp does: what is not UTF-8 becomes U+FFFD, byte by byte. */
void tok_text_set(struct tok_text *t, str s, bool nfc);

/* The class of a code point: 0..127 itself, 0x0b white space, 0xd0 + enum else. */
unsigned char tok_class(uint32_t cp);

/* Ends of words, in code points, ascending; the last is t->n.  Owned by the struct. */
struct tok_words {
    uint32_t *end, *spare;
    size_t n, cap;
    pcre2_match_data *md;
    pcre2_match_context *limits;
};
void tok_words_init(struct tok_words *w);
void tok_words_fini(struct tok_words *w);
MUST_CHECK bool tok_split(const struct tok_splitter *s, const struct tok_text *t,
                          struct tok_words *w, struct err *e);

/* ---- the vocabulary ---------------------------------------------------------------------------
 */

enum tok_attr {
    TOK_NORMAL = 1,
    TOK_UNKNOWN = 2,
    TOK_CONTROL = 4,
    TOK_USER = 8,
    TOK_UNUSED = 16,
    TOK_BYTE = 32,
    TOK_RSTRIP = 64, // white space behind it is swallowed
    TOK_EOG = 128
};

/* The tokens that are looked for in the text before anything else. */
struct tok_specials {
    struct tok_map by_name; // index -> id[]
    int32_t *id;
    int *length; // [n_lengths] different lengths, longest first
    int n_lengths;
    uint64_t (*row)[256]; // [..][second byte] -> bit min(63, index of length)
    uint16_t row_of[256]; // first byte -> row + 1, 0 = none begins so
};

struct tok {
    struct arena arena;
    bool spm;
    char model[80];
    int n;
    str *name;            // [n] as in the file
    str *piece;           // [n] bytes; controls empty
    str *full;            // [n] bytes; controls by name
    uint8_t *attr;        // [n]
    float *score;         // [n] SPM
    struct tok_map names; // name -> slot; ids in name_id
    int32_t *name_id;

    struct tok_map pieces;  // bytes that merging can meet
    int32_t *piece_id;      // [pieces.n] token, or -1
    int32_t *piece_rank;    // [pieces.n] SPM: order of merging, 0 = first
    int piece_max;          // longest, in bytes
    struct tok_pairs pairs; // BPE
    int32_t byte_piece[256];
    int32_t byte_id[256];
    bool blank_cuts; // SPM: no piece continues over "x▁"

    const struct tok_pre *pre;
    struct tok_splitter splitter;
    struct tok_specials specials;

    int32_t bos, eos, unk;
    bool add_bos, add_eos, add_space_prefix;
};

/* ---- open.c, attr.c ----------------------------------------------------------------------------
 */

/* Types that the names of tokens ask for, whatever the file says, and the end-of-generation set. */
void tok_fix_attrs(struct tok *t, const struct gguf *g);

/* ---- special.c ---------------------------------------------------------------------------------
 */

struct tok_cut {
    size_t at, len; // the token's text
    int32_t id;
};
struct tok_cuts {
    struct tok_cut *cut; // ascending
    size_t n, cap;
};
void tok_specials_init(struct tok *t);
void tok_specials_fini(struct tok_specials *s);

/* Finds the special tokens of text.  run_end [n_runs]: ends of stretches of equal trust, which
 * alternate; the first one is trusted if first_trusted. */
void tok_find_specials(const struct tok *t, str text, const size_t *run_end, size_t n_runs,
                       bool first_trusted, struct tok_cuts *out);

/* ---- merge.c -----------------------------------------------------------------------------------
 */

struct tok_symbol {
    uint32_t at, len;   // bytes
    int32_t next, prev; // or -1
    int32_t piece;      // or -1
    int32_t merged;     // what it gives with the next one, or -1
    int32_t rank;       // of that
};
struct tok_merger {
    struct tok_symbol *sym;
    size_t n_sym, cap_sym;
    uint64_t *heap; // rank << 32 | symbol
    size_t n_heap, cap_heap;
};
void tok_merger_fini(struct tok_merger *m);
MUST_CHECK bool tok_bpe_word(const struct tok *t, struct tok_merger *m, str word,
                             struct tok_ids *ids, struct err *e);
MUST_CHECK bool tok_spm_text(const struct tok *t, struct tok_merger *m, str text,
                             struct tok_ids *ids, struct err *e);

MUST_CHECK bool tok_ids_put(struct tok_ids *ids, int32_t id, struct err *e);

/* "\xe2\x96\x81", which stands for a blank. */
#define TOK_BLANK STR("\xe2\x96\x81")

#endif
