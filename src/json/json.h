/* json/json.h - what jansson lacks: limits, errors that say where, Python-style dumps, and a
 * writer that streams into a buf.
 * Threads: pure; a json_t has one owner at a time. */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>

/* Parses one JSON text (any value at the top).  Depth is limited (128), duplicate object keys are
 * refused, NUL in strings is taken.
 *   ERR_INPUT, where = "line:column", for what is not JSON; the caller owns the result
 * (json_decref). */
MUST_CHECK json_t *json_parse(str text, struct err *e);

/* Style of json_write. */
enum {
    JSON_PLAIN = 0,  // {"a":1}, as wires carry it
    JSON_PYTHON = 1, // {"a": 1}: separators of Python's json.dumps
    JSON_ASCII = 2,  // \u escapes for everything past ASCII (json.dumps' ensure_ascii)
    JSON_SORT = 4    // keys in order
};

/* v as Python's repr has it, NUL-terminated: the fewest digits that read back the same, ".0" when
 * whole, an exponent below 1e-4 and from 1e16 on; NaN, Infinity, -Infinity.  Returns its length. */
#define JSON_REAL_MAX 32
size_t json_real_text(char out[JSON_REAL_MAX], double v);

/* Appends v.  indent < 0: one line; else that many blanks a level, as Python's indent.  Reals are
 * written shortest that reads back the same, with ".0" when whole.  False when out is full. */
bool json_write(struct buf *out, const json_t *v, int flags, int indent);

/* Appends s as a JSON string with quotes; invalid UTF-8 becomes U+FFFD. */
bool json_write_str(struct buf *out, str s, int flags);

/* Borrowed view of a JSON string; empty for others. */
str json_as_str(const json_t *v);

/* A JSON string of s; invalid UTF-8 becomes U+FFFD. */
json_t *json_from_str(str s);

#endif
