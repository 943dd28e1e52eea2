/* json/json.c - see json.h: reading with limits. */
#include "json/json.h"

#include "base/utf8.h"

#define DEPTH_MAX 128

/* "line:column" of byte `at`, both from 1, columns in bytes. */
static void place(char out[32], str text, size_t at)
{
    size_t line = 1, start = 0;
    for (size_t i = 0; i < at && i < text.n; i++) {
        if (text.p[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
    snprintf(out, 32, "%zu:%zu", line, at - start + 1);
}

/* jansson recurses up to 2048 levels; brackets outside strings are counted before it sees them. */
static bool depth_ok(str text, struct err *e)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > DEPTH_MAX) {
                char where[32];
                place(where, text, i);
                return err_set_at(e, ERR_INPUT, where, "JSON is nested deeper than %d levels",
                                  DEPTH_MAX);
            }
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return true;
}

json_t *json_parse(str text, struct err *e)
{
    if (!depth_ok(text, e))
        return NULL;
    json_error_t je;
    json_t *v = json_loadb(text.p ? text.p : "", text.n,
                           JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &je);
    if (!v) {
        char where[32];
        // The position is behind the token that jansson did not like.
        size_t at = je.position > 0 ? (size_t)je.position - 1 : 0;
        place(where, text, size_min(at, text.n));
        err_set_at(e, ERR_INPUT, where, "not JSON: %s", je.text);
    }
    return v;
}

str json_as_str(const json_t *v)
{
    if (!json_is_string(v))
        return (str){NULL, 0};
    return (str){json_string_value(v), json_string_length(v)};
}

json_t *json_from_str(str s)
{
    if (utf8_valid(s))
        return json_stringn_nocheck(s.p ? s.p : "", s.n);
    struct buf clean = BUF_INIT(SIZE_MAX / 2);
    while (s.n) {
        const char *from = s.p;
        if (utf8_next(&s) < 0)
            buf_c(&clean, "\xef\xbf\xbd");
        else
            buf_put(&clean, from, (size_t)(s.p - from));
    }
    json_t *v = json_stringn_nocheck(clean.p, clean.n);
    buf_free(&clean);
    return v;
}
