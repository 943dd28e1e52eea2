/* gguf/writer.h - writes a GGUF file, version 3: keys, then tensors, each once, in one pass.
 *
 * In:      keys, then descriptions of all tensors, then their bytes in the same order.
 * Out:     a file that appears under its name only when it is whole (written aside, fsync, rename),
 *          or bytes in a buf.
 * The first failure sticks: later calls do nothing, and gguf_writer_finish reports it.
 * Threads: a writer belongs to one thread. */
#ifndef GGUF_WRITER_H
#define GGUF_WRITER_H

#include "base/buf.h"
#include "gguf/gguf.h"

struct gguf_writer;

/* Begins a file next to `path`.  ERR_IO, ERR_INPUT (the path is too long). */
MUST_CHECK bool gguf_writer_open(struct gguf_writer **out, const char *path, struct err *e);

/* Begins a file in memory, appended to *out (borrowed until close). */
struct gguf_writer *gguf_writer_to(struct buf *out);

/* Keys; all before the first tensor.  A key put twice makes a file that gguf_open refuses. */
void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v);
void gguf_put_i32(struct gguf_writer *w, const char *key, int32_t v);
void gguf_put_u64(struct gguf_writer *w, const char *key, uint64_t v);
void gguf_put_f32(struct gguf_writer *w, const char *key, float v);
void gguf_put_bool(struct gguf_writer *w, const char *key, bool v);
void gguf_put_str(struct gguf_writer *w, const char *key, str v);
void gguf_put_strs(struct gguf_writer *w, const char *key, const str *v, size_t n);

/* data [n] numbers of `kind` (neither a string nor an array). */
void gguf_put_array(struct gguf_writer *w, const char *key, enum gguf_kind kind, const void *data,
                    size_t n);

/* Key i of another file as it is there.  "general.alignment" is not taken over: this writer aligns
 * to 32. */
void gguf_put_key(struct gguf_writer *w, const struct gguf *from, size_t i);

/* Describes the next tensor; ne [n_dims], ne[0] the row length.  Fails (sticky, ERR_INPUT) on a
 * name of more than 63 bytes, or a shape that the type cannot have. */
void gguf_put_tensor(struct gguf_writer *w, str name, int type, int n_dims, const uint64_t *ne);

/* Appends bytes of the tensors described, in order, in pieces of any size (also across their
 * borders).  False with the sticky error. */
MUST_CHECK bool gguf_put_data(struct gguf_writer *w, const void *p, size_t n, struct err *e);

/* Ends the file and gives it its name.  ERR_IO, the sticky error, or ERR_INPUT when bytes are
 * missing; the old file is untouched then. */
MUST_CHECK bool gguf_writer_finish(struct gguf_writer *w, struct err *e);

void gguf_writer_close(struct gguf_writer *w); // without finish: nothing is left.  NULL is fine

#endif
