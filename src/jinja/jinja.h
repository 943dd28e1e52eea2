/* jinja/jinja.h - chat templates: Jinja2 as Hugging Face's `apply_chat_template` sets it up
 * (sandboxed, trim_blocks, lstrip_blocks, loop controls, `generation` blocks, tojson without HTML
 * escapes, raise_exception, strftime_now).
 *
 * In:      template text; variables as JSON.  Out: text, with the runs of bytes that came from
 *          untrusted variables marked.
 * Threads: a struct jinja is immutable once compiled and may be shared; a render has one thread.
 * Source:  the Jinja2 documentation; huggingface/transformers: utils/chat_template_utils.py. */
#ifndef JINJA_JINJA_H
#define JINJA_JINJA_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>

struct jinja;

/* Compiles.  The template is copied.
 *   ERR_INPUT (where = "line:column") for what does not parse; ERR_LIMIT for size or depth.
 *   Free with jinja_free. */
MUST_CHECK struct jinja *jinja_compile(str src, struct err *e);
void jinja_free(struct jinja *t);

struct jinja_limits {
    uint64_t steps; // evaluated nodes and produced items
    int depth;      // nested calls, macros, includes of blocks
    size_t memory;  // bytes of the render's arena
};
struct jinja_limits jinja_limits_default(void);

/* One variable of the template's context. */
struct jinja_var {
    const char *name;
    const json_t *value; // borrowed for the call
    bool trusted;        // its strings count as the template's own text (bos_token ...)

    /* NULL, or a NULL-ended list: strings right under one of these object keys count as the
     * template's own text too.  Templates that build "<|" + role + "|>" need it for "role", whose
     * value the caller must have checked against a fixed set of words. */
    const char *const *trusted_keys;
};

/* A run of output bytes with one provenance; runs are in order and cover the output. */
struct jinja_run {
    size_t from, n;
    bool trusted;
};

struct jinja_out {
    struct buf text;        // caller sets text.max before the call
    struct jinja_run *runs; // [n_runs], owned; free with jinja_out_free
    size_t n_runs;
};
void jinja_out_init(struct jinja_out *out, size_t max_text);
void jinja_out_free(struct jinja_out *out);

/* Renders.
 *   now_unix  the time for strftime_now (local time zone as the process has it)
 *   ERR_INPUT (where = "line:column"): raise_exception, undefined misuse, type errors;
 *   ERR_LIMIT: steps, depth, memory, output.  On failure *out holds nothing of use. */
MUST_CHECK bool jinja_render(const struct jinja *t, const struct jinja_var *vars, size_t n_vars,
                             int64_t now_unix, struct jinja_limits limits, struct jinja_out *out,
                             struct err *e);

/* Does the template mention this name anywhere (variable, attribute or string)?  What a template
 * supports ("tools", "enable_thinking") is found out with it. */
bool jinja_mentions(const struct jinja *t, str name);

#endif
