/* dialect/call_check.h - does a tool call fit its tool?  For wires that tell so.  Pure.
 *
 * Of JSON Schema the words that bound a call are checked: type, enum, const, required, properties,
 * additionalProperties, items, minItems, maxItems, minimum, maximum, minLength, maxLength.  Others
 * bound nothing here.  Source: JSON Schema 2020-12, validation. */
#ifndef DIALECT_CALL_CHECK_H
#define DIALECT_CALL_CHECK_H

#include "base/err.h"
#include "json/json.h"

/*   tools      canonical: {"type":"function","function":{"name","parameters"}}
 *   arguments  NULL: they are no JSON, and only the name is checked
 *   ERR_INPUT  the first violation: "tide: harbour is not a string" */
MUST_CHECK bool call_check(const json_t *tools, str name, const json_t *arguments, struct err *e);

#endif
