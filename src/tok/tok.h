/* tok/tok.h - text to token ids and back.
 *
 * In:      a GGUF with a vocabulary (weights not needed).
 * Out:     ids; pieces; whole UTF-8 characters while streaming.
 * Text from users never becomes a control token: only spans marked trusted are searched for them.
 * Threads: struct tok is immutable once opened and may be shared; a struct tok_stream has one
 * owner. */
#ifndef TOK_TOK_H
#define TOK_TOK_H

#include "base/buf.h"
#include "base/err.h"
#include "gguf/gguf.h"

struct tok;

/* A run of text and where it came from. */
struct tok_span {
    str text;
    bool trusted; // from a template or the operator: special tokens in it are recognised
};

/* Token ids that grow up to max. */
struct tok_ids {
    int32_t *id; // [n]
    size_t n, cap;
    size_t max;
};
void tok_ids_init(struct tok_ids *ids, size_t max);
void tok_ids_free(struct tok_ids *ids);

/* ERR_FORMAT names what is missing or wrong, or the unknown tokenizer.ggml.model / .pre. */
MUST_CHECK bool tok_open(struct tok **out, const struct gguf *g, struct err *e);
void tok_close(struct tok *t);

/* Appends the ids of the spans, which are read as one text (a piece may cross a span border except
 * where a special token stands).
 *   add_special  put BOS (and EOS) where the file says so; not doubled when the text begins with it
 *   ERR_LIMIT    more than ids->max ids, or a text of more than 256 MB; *ids as it was
 *   Never fails for content: what is not UTF-8 becomes U+FFFD byte by byte (BPE) or byte tokens
 *   (SPM), as in llama.cpp.  No special token is put together from spans of different trust.
 *   Cost: n log n for any text; about 40 times the text in memory while it runs. */
MUST_CHECK bool tok_encode(const struct tok *t, const struct tok_span *spans, size_t n_spans,
                           bool add_special, struct tok_ids *ids, struct err *e);

int tok_n_vocab(const struct tok *t);

/* The bytes that this token adds to the text.  Control tokens give an empty str unless
 * with_special.  Borrowed from t.  Out-of-range ids give an empty str. */
str tok_piece(const struct tok *t, int32_t id, bool with_special);

/* The token's name as it stands in the file. */
str tok_name(const struct tok *t, int32_t id);

/* Bytes of all tokens, index = id ([tok_n_vocab]); control tokens empty.  For grammars. */
const str *tok_pieces(const struct tok *t);

/* The id of the special or ordinary token of exactly this name, or -1. */
int32_t tok_find(const struct tok *t, str name);

bool tok_is_control(const struct tok *t, int32_t id);
bool tok_is_eog(const struct tok *t, int32_t id); // ends a generation
int32_t tok_bos(const struct tok *t);             // or -1
int32_t tok_eos(const struct tok *t);             // or -1
bool tok_adds_bos(const struct tok *t);
const char *tok_model_name(const struct tok *t); // "bpe (qwen2)", "spm"

/* Whole texts at once: appends the text of the ids.  strip_leading removes the blank that SPM puts
 * before a text; control tokens before it, such as BOS, do not keep it (in llama.cpp they do).
 * Blanks before punctuation stay, also where llama.cpp would clean them up: what was put in comes
 * out, streamed or not.  False when out is full. */
bool tok_decode(const struct tok *t, const int32_t *ids, size_t n, bool with_special,
                bool strip_leading, struct buf *out);

/* Streaming: bytes come in token by token, whole characters go out; what cannot become a character
 * any more becomes U+FFFD, one for each maximal part of a character (Unicode 15, 3.9). */
struct tok_stream {
    unsigned char held[8]; // front of an unfinished character
    int n_held;
};
void tok_stream_init(struct tok_stream *s);

/* Appends to *out the characters completed by piece; invalid bytes become U+FFFD. */
bool tok_stream_put(struct tok_stream *s, str piece, struct buf *out);

/* Appends what is still held, as U+FFFD if anything. */
bool tok_stream_end(struct tok_stream *s, struct buf *out);

#endif
