/* dialect/format_read.h - what a client wants the answer to look like, as chat_request says it.
 * Threads: pure. */
#ifndef DIALECT_FORMAT_READ_H
#define DIALECT_FORMAT_READ_H

#include "chat/chat.h"

/* What a dialect's `response_format` may be. */
enum {
    FORMAT_OBJECT = 1, // {"type":"json_object"}
    FORMAT_REGEX = 2,  // {"type":"regex","schema":"..."}
    FORMAT_LEGACY = 4, // {"type":"json_object","schema":"JSON text"} is a schema
    FORMAT_NAMED = 8,  // json_schema.name is required
};

/* Reads {"type":...} as OpenAI has it: text, json_object, json_schema {name, schema, strict},
 * regex. NULL, null and text leave the request as it is. place  the field's name in errors
 * ("response_format"); lives as long as the program ERR_INPUT  kinds: unsupported_value,
 * missing_required_parameter, invalid_type, invalid_value */
MUST_CHECK bool format_read(const json_t *format, unsigned kinds, const char *place,
                            struct chat_request *r, struct err *e);

/* The answer is JSON that this schema accepts.  The schema is held, not copied. */
MUST_CHECK bool format_set_schema(const json_t *schema, const char *place, struct chat_request *r,
                                  struct err *e);
/* The same from JSON text. */
MUST_CHECK bool format_set_schema_text(str schema, const char *place, struct chat_request *r,
                                       struct err *e);
/* A regular expression (CHAT_FORMAT_REGEX) or a grammar (CHAT_FORMAT_GRAMMAR); copied. */
MUST_CHECK bool format_set_source(enum chat_format kind, str source, const char *place,
                                  struct chat_request *r, struct err *e);

/* Does it ask for more than text? */
bool format_is_asked(const json_t *format);

#endif
