/* dialect/fields.c - see fields.h. */
#include "dialect/fields.h"

#include <math.h>

static const struct {
    const char *article;
} kind_names[] = {
    [FIELD_BOOL] = {"a boolean"}, [FIELD_INT] = {"an integer"}, [FIELD_NUM] = {"a number"},
    [FIELD_STR] = {"a string"},   [FIELD_ARRAY] = {"an array"}, [FIELD_OBJECT] = {"an object"},
};

bool fields_is_neutral(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_NULL:
    case JSON_FALSE: return true;
    case JSON_INTEGER: return json_integer_value(v) == 0;
    case JSON_REAL: return json_real_value(v) == 0;
    case JSON_STRING: return json_string_length(v) == 0;
    case JSON_ARRAY: return json_array_size(v) == 0;
    case JSON_OBJECT: return json_object_size(v) == 0;
    case JSON_TRUE: return false;
    }
    return false;
}

static bool is_whole(const json_t *v)
{
    if (json_is_integer(v))
        return true;
    double d = json_is_real(v) ? json_real_value(v) : NAN;
    return d == floor(d) && fabs(d) < 9e15;
}

static bool has_kind(enum field_kind kind, const json_t *v)
{
    switch (kind) {
    case FIELD_BOOL: return json_is_boolean(v);
    case FIELD_INT: return is_whole(v);
    case FIELD_NUM: return json_is_number(v);
    case FIELD_STR: return json_is_string(v);
    case FIELD_ARRAY: return json_is_array(v);
    case FIELD_OBJECT: return json_is_object(v);
    default: return true;
    }
}

static void store(const struct field *f, const json_t *v, char *out)
{
    char *at = out + f->at;
    switch (f->kind) {
    case FIELD_BOOL: *(bool *)at = json_is_true(v); break;
    case FIELD_INT:
        *(int64_t *)at =
            json_is_integer(v) ? (int64_t)json_integer_value(v) : (int64_t)json_real_value(v);
        break;
    case FIELD_NUM: *(double *)at = json_number_value(v); break;
    case FIELD_STR: *(str *)at = json_as_str(v); break;
    case FIELD_ARRAY:
    case FIELD_OBJECT:
    case FIELD_ANY: *(const json_t **)at = v; break;
    default: break;
    }
}

static bool read_one(const struct field *f, const json_t *v, void *out, const char *place,
                     struct err *e)
{
    if (f->kind == FIELD_REFUSE) {
        if (fields_is_neutral(v))
            return true;
        err_set_at(e, ERR_INPUT, place, "'%s' is not supported here: %s", place, f->note);
        return err_kind(e, "unsupported_value");
    }
    if (!has_kind(f->kind, v)) {
        err_set_at(e, ERR_INPUT, place, "'%s' must be %s", place, kind_names[f->kind].article);
        return err_kind(e, "invalid_type");
    }
    bool bounded = (f->kind == FIELD_INT || f->kind == FIELD_NUM) && (f->min != 0 || f->max != 0);
    if (bounded && !(json_number_value(v) >= f->min && json_number_value(v) <= f->max)) {
        if (f->max >= 1e15)
            err_set_at(e, ERR_INPUT, place, "'%s' must be at least %g, not %g", place, f->min,
                       json_number_value(v));
        else
            err_set_at(e, ERR_INPUT, place, "'%s' must be between %g and %g, not %g", place, f->min,
                       f->max, json_number_value(v));
        return err_kind(e, "out_of_range");
    }
    store(f, v, out);
    return true;
}

static const struct field *find(const struct field *fields, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    return NULL;
}

void fields_note_ignored(struct buf *ignored, const char *where, const char *name)
{
    if (!ignored)
        return;
    if (ignored->n)
        buf_c(ignored, ", ");
    for (const char *p = where; *p; p++)
        buf_char(ignored, *p);
    for (const char *p = name; *p; p++) // a header: nothing but printable ASCII
        buf_char(ignored, *p > ' ' && *p < 0x7f && *p != ',' ? *p : '?');
}

bool fields_read(const struct field *fields, size_t n, const json_t *body, void *out,
                 const char *where, struct buf *ignored, struct err *e)
{
    char place[sizeof e->where];
    const char *name;
    json_t *v;

    json_object_foreach((json_t *)body, name, v)
    {
        const struct field *f = find(fields, n, name);
        if (!f || (f->kind == FIELD_TAKE && !fields_is_neutral(v)))
            fields_note_ignored(ignored, where, name);
        if (!f || f->kind == FIELD_TAKE || json_is_null(v))
            continue;
        snprintf(place, sizeof place, "%s%s", where, name);
        if (!read_one(f, v, out, place, e))
            return false;
    }
    for (size_t i = 0; i < n; i++) {
        v = json_object_get(body, fields[i].name);
        if (fields[i].required && (!v || json_is_null(v))) {
            snprintf(place, sizeof place, "%s%s", where, fields[i].name);
            err_set_at(e, ERR_INPUT, place, "'%s' is required", place);
            return err_kind(e, "missing_required_parameter");
        }
    }
    return true;
}

bool fields_read_strict(const struct field *fields, size_t n, const json_t *body, void *out,
                        const char *where, struct err *e)
{
    char place[sizeof e->where];
    const char *name;
    json_t *v;

    json_object_foreach((json_t *)body, name, v)
    {
        const struct field *f = find(fields, n, name);
        snprintf(place, sizeof place, "%s%s", where, name);
        if (!f) {
            err_set_at(e, ERR_INPUT, place, "'%s' is not known here", place);
            return err_kind(e, "unknown_parameter");
        }
        bool wrong = (json_is_null(v) && f->kind != FIELD_ANY) ||
                     (f->kind == FIELD_INT && !json_is_integer(v));
        if (wrong && f->kind < COUNT(kind_names)) {
            err_set_at(e, ERR_INPUT, place, "'%s' must be %s", place, kind_names[f->kind].article);
            return err_kind(e, "invalid_type");
        }
    }
    return fields_read(fields, n, body, out, where, NULL, e);
}
