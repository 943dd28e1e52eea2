/* tools/args.c - see args.h. */
#include "tools/args.h"

#include "base/mem.h"

#include <math.h>

/* False with *e set only if it is missing and must not be. */
static bool find(const json_t *args, const char *name, bool required, const json_t **v,
                 struct err *e)
{
    *v = json_object_get(args, name);
    if (json_is_null(*v))
        *v = NULL;
    return *v || !required || err_set(e, ERR_INPUT, "the argument '%s' is missing", name);
}

bool args_str(const json_t *args, const char *name, bool required, str *out, struct err *e)
{
    const json_t *v;
    if (!find(args, name, required, &v, e))
        return false;
    if (v && !json_is_string(v))
        return err_set(e, ERR_INPUT, "the argument '%s' must be a string", name);
    if (v)
        *out = json_as_str(v);
    return true;
}

/* Models write numbers as strings too. */
static bool number(const json_t *v, double *out)
{
    if (json_is_number(v)) {
        *out = json_number_value(v);
        return true;
    }
    return json_is_string(v) && str_to_double(str_trim(json_as_str(v)), out);
}

bool args_num(const json_t *args, const char *name, bool required, double *out, struct err *e)
{
    const json_t *v;
    double x;
    if (!find(args, name, required, &v, e))
        return false;
    if (!v)
        return true;
    if (!number(v, &x) || !isfinite(x))
        return err_set(e, ERR_INPUT, "the argument '%s' must be a number", name);
    *out = x;
    return true;
}

bool args_int(const json_t *args, const char *name, bool required, int64_t least, int64_t most,
              int64_t *out, struct err *e)
{
    const json_t *v;
    double x;
    if (!find(args, name, required, &v, e))
        return false;
    if (!v)
        return true;
    if (!number(v, &x) || x != floor(x) || x < (double)least || x > (double)most)
        return err_set(e, ERR_INPUT, "the argument '%s' must be a whole number from %lld to %lld",
                       name, (long long)least, (long long)most);
    *out = (int64_t)x;
    return true;
}

bool args_nums(const json_t *args, const char *name, bool required, size_t most, double **out,
               size_t *n, struct err *e)
{
    const json_t *v;
    if (!find(args, name, required, &v, e))
        return false;
    if (!v)
        return true;
    size_t count = json_array_size(v);
    if (count == 0 || count > most)
        return err_set(e, ERR_INPUT, "the argument '%s' must be a list of 1 to %zu numbers", name,
                       most);
    double *list = mem_alloc(count * sizeof *list);
    for (size_t i = 0; i < count; i++)
        if (!number(json_array_get(v, i), &list[i]) || !isfinite(list[i])) {
            mem_free(list);
            return err_set(e, ERR_INPUT, "'%s[%zu]' is no number", name, i);
        }
    *out = list;
    *n = count;
    return true;
}
