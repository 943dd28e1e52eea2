/* dialect/fields.h - reads a JSON object through a table, so that every field is done, taken
 * without effect, or refused by policy and never by accident. Threads: pure. */
#ifndef DIALECT_FIELDS_H
#define DIALECT_FIELDS_H

#include "base/err.h"
#include "json/json.h"

enum field_kind {
    FIELD_BOOL,  // bool
    FIELD_INT,   // int64_t; 40.0 is 40
    FIELD_NUM,   // double
    FIELD_STR,   // str, borrowed from the JSON
    FIELD_ARRAY, // const json_t *
    FIELD_OBJECT,
    FIELD_ANY,
    FIELD_TAKE,  // accepted, no effect on the answer
    FIELD_REFUSE // refused unless it asks for nothing: null, false, 0, "", [], {}
};

struct field {
    const char *name;
    enum field_kind kind;
    size_t at;       // where in the caller's struct; for FIELD_REFUSE and FIELD_TAKE unused
    double min, max; // of numbers; both 0: any
    bool required;
    const char *note; // for docs/dialects.md; FIELD_REFUSE: why, in the error too
};

/* A table with what becomes of fields that are not in it, for docs/dialects.md. */
struct field_set {
    const char *name; // "openai.chat"
    const struct field *fields;
    size_t n;
    const char *others;
};

/* Appends the table as Markdown: what is done, taken without effect, refused. */
void fields_document(const struct field_set *set, struct buf *out);

/* Reads `body` (an object) into the struct at `out`.  Absent and null fields leave it untouched.
 *   where    prefix of error places ("" or "stream_options.")
 *   ignored  the names of unknown and taken fields are appended, comma-separated; may be NULL
 *   ERR_INPUT, where = the field; kinds: missing_required_parameter, invalid_type,
 *   unsupported_value, out_of_range */
MUST_CHECK bool fields_read(const struct field *fields, size_t n, const json_t *body, void *out,
                            const char *where, struct buf *ignored, struct err *e);

/* The same for dialects that take nothing else: unknown fields, null (but for FIELD_ANY) and whole
 * reals for integers are errors; kinds also: unknown_parameter. */
MUST_CHECK bool fields_read_strict(const struct field *fields, size_t n, const json_t *body,
                                   void *out, const char *where, struct err *e);

/* Appends the name of a field (`where` before it) that takes no effect in this request; ignored may
 * be NULL. */
void fields_note_ignored(struct buf *ignored, const char *where, const char *name);

/* Does the value ask for nothing? */
bool fields_is_neutral(const json_t *v);

#endif
