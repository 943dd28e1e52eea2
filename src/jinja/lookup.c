/* jinja/lookup.c - a.b and a[b], in Jinja2's order: for a.b methods come before items, for a[b]
 * items before methods; what is missing is undefined, not an error. */
#include "jinja/jinja_int.h"

static bool bind(struct render *r, const struct builtin *fn, struct value self, struct value *out)
{
    struct bound *b = jinja_alloc(r, 1, sizeof *b);
    if (!b)
        return false;
    *b = (struct bound){fn, self};
    *out = (struct value){.kind = KIND_BUILTIN, .fn = b};
    return true;
}

static bool number_attr(struct value of, str name, struct value *out)
{
    int64_t i = 0;
    bool whole = jinja_as_int(of, &i);
    if (str_eqc(name, "real") || (whole && str_eqc(name, "numerator")))
        *out = whole ? jinja_int(i) : of;
    else if (str_eqc(name, "imag"))
        *out = whole ? jinja_int(0) : jinja_float(0);
    else if (whole && str_eqc(name, "denominator"))
        *out = jinja_int(1);
    else
        return false;
    return true;
}

static bool macro_attr(struct render *r, struct value of, str name, struct value *out, bool *found)
{
    const struct signature *sig = of.m->sig;
    *found = true;
    if (str_eqc(name, "name")) {
        *out = of.m->name;
    } else if (str_eqc(name, "catch_kwargs")) {
        *out = jinja_bool(sig->wants_kwargs);
    } else if (str_eqc(name, "catch_varargs")) {
        *out = jinja_bool(sig->wants_varargs);
    } else if (str_eqc(name, "caller")) {
        *out = jinja_bool(sig->wants_caller);
    } else if (str_eqc(name, "arguments")) {
        if (!jinja_list_new(r, KIND_TUPLE, (size_t)sig->n, out))
            return false;
        for (int i = 0; i < sig->n; i++)
            if (!jinja_list_push(r, out->l, r->t->sym_text[sig->sym[i]]))
                return false;
    } else {
        *found = false;
    }
    return true;
}

/* What Python's getattr would find. */
static bool find_attr(struct render *r, struct value of, struct value name, struct value *out,
                      bool *found)
{
    str s = jinja_text_str(name.s);
    *found = false;
    switch (of.kind) {
    case KIND_UNDEFINED: return jinja_fail_undef(r, of);
    case KIND_NAMESPACE: {
        struct value *v = jinja_dict_find(of.d, s);
        *found = v != NULL;
        if (v)
            *out = *v;
        return true;
    }
    case KIND_BOOL:
    case KIND_INT:
    case KIND_FLOAT: *found = number_attr(of, s, out); break;
    case KIND_LOOP:
        if (!jinja_loop_attr(r, of.loop, s, out, found))
            return false;
        break;
    case KIND_MACRO:
        if (!macro_attr(r, of, s, out, found))
            return false;
        break;
    case KIND_CYCLER:
        *found = str_eqc(s, "current");
        if (*found)
            *out = of.l->v[of.l->pos % of.l->n];
        break;
    case KIND_TUPLE:
        if (of.l->group && (str_eqc(s, "grouper") || str_eqc(s, "list"))) {
            *found = true;
            *out = of.l->v[s.p[0] == 'l'];
        }
        break;
    case KIND_RANGE:
        *found = true;
        if (str_eqc(s, "start"))
            *out = jinja_int(of.r->from);
        else if (str_eqc(s, "stop"))
            *out = jinja_int(of.r->to);
        else if (str_eqc(s, "step"))
            *out = jinja_int(of.r->step);
        else
            *found = false;
        break;
    default: break;
    }
    if (*found)
        return true;
    if (jinja_method_unsafe(of.kind, s)) {
        *found = true;
        *out = jinja_undef_hint(r, "changing a list or dict in place is refused");
        return true;
    }
    const struct builtin *fn = jinja_method_find(of.kind, s);
    if (!fn)
        return true;
    *found = true;
    return bind(r, fn, of, out);
}

/* a[i] with a number. */
static bool find_index(struct render *r, struct value of, int64_t i, struct value *out, bool *found)
{
    int64_t n = 0;
    *found = false;
    if (of.kind != KIND_STR && of.kind != KIND_LIST && of.kind != KIND_TUPLE &&
        of.kind != KIND_RANGE)
        return true;
    jinja_has_len(of, &n);
    if (i < 0)
        i += n;
    if (i < 0 || i >= n)
        return true;
    *found = true;
    if (of.kind == KIND_RANGE) {
        *out = jinja_int(of.r->from + i * of.r->step);
    } else if (of.kind == KIND_STR) {
        size_t from = jinja_text_offset(of.s, (size_t)i);
        size_t to = jinja_text_offset(of.s, (size_t)i + 1);
        return jinja_step(r, from / 32) && jinja_text_sub(r, of.s, from, to - from, out) &&
               jinja_mark_like(r, of, out);
    } else {
        *out = of.l->v[i];
    }
    return true;
}

/* What Python's a[key] would find; TypeError and LookupError count as not found. */
static bool find_item(struct render *r, struct value of, struct value key, struct value *out,
                      bool *found)
{
    int64_t i;
    *found = false;
    if (of.kind == KIND_UNDEFINED)
        return jinja_fail_undef(r, of);
    if (of.kind == KIND_DICT) {
        struct value *v = NULL;
        if (jinja_hashable(key) && !jinja_dict_get(r, of.d, key, &v))
            return false;
        *found = v != NULL;
        if (v)
            *out = *v;
        return true;
    }
    if (jinja_as_int(key, &i))
        return find_index(r, of, i, out, found);
    return true;
}

bool jinja_attr(struct render *r, struct value of, struct value name, struct value *out)
{
    bool found;
    if (!find_attr(r, of, name, out, &found))
        return false;
    if (!found && !find_item(r, of, name, out, &found))
        return false;
    return found || jinja_undef_attr(r, of, name, out);
}

/* ---- Slices ---- */

static bool slice_part(struct render *r, struct value v, int64_t *out)
{
    if (v.kind == KIND_NONE || jinja_as_int(v, out))
        return true;
    return jinja_fail(r, "slice indices must be integers or none");
}

/* Makes *at an index that walking from there by `step` may use, as Python does. */
static void clamp(struct value part, int64_t *at, int64_t n, int64_t step, int64_t none)
{
    if (part.kind == KIND_NONE) {
        *at = none;
        return;
    }
    if (*at < 0)
        *at = *at < -n ? -1 : *at + n;
    int64_t lowest = step < 0 ? -1 : 0, highest = step < 0 ? n - 1 : n;
    if (*at < lowest)
        *at = lowest;
    if (*at > highest)
        *at = highest;
}

static bool slice_text(struct render *r, const struct text *t, int64_t from, int64_t count,
                       int64_t step, struct value *out)
{
    if (step == 1 || count == 0) {
        size_t a = jinja_text_offset(t, (size_t)(count ? from : 0));
        size_t b = jinja_text_offset(t, (size_t)(count ? from + count : 0));
        return jinja_step(r, b / 32) && jinja_text_sub(r, t, a, b - a, out);
    }
    struct sink s;
    jinja_sink_init(&s, r);
    size_t *at = NULL;
    if (t->n_chars != t->n) { // where each character starts
        at = jinja_alloc(r, (size_t)t->n_chars + 1, sizeof *at);
        if (!at || !jinja_step(r, t->n))
            return false;
        size_t k = 0;
        for (size_t i = 0; i < t->n; i++)
            if (((unsigned char)t->p[i] & 0xc0) != 0x80)
                at[k++] = i;
        at[k] = t->n;
    }
    for (int64_t i = 0; i < count && !s.failed; i++) {
        size_t c = (size_t)(from + i * step);
        size_t start = at ? at[c] : c, end = at ? at[c + 1] : c + 1;
        if (!jinja_step(r, 1))
            return false;
        jinja_sink_text(&s, t, start, end - start);
    }
    return jinja_sink_end(&s, out);
}

static bool slice_range(struct render *r, const struct range *of, int64_t from, int64_t to,
                        int64_t count, int64_t step, struct value *out)
{
    struct range *part = jinja_alloc(r, 1, sizeof *part);
    if (!part)
        return false;
    *part = (struct range){
        .from = of->from + from * of->step, .to = of->from + to * of->step, .n = (size_t)count};
    if (__builtin_mul_overflow(of->step, step, &part->step))
        part->step = of->step;
    *out = (struct value){.kind = KIND_RANGE, .r = part};
    return true;
}

static bool slice(struct render *r, struct value of, const struct value part[3], struct value *out)
{
    int64_t n, from = 0, to = 0, step = 1;
    if (of.kind == KIND_UNDEFINED)
        return jinja_fail_undef(r, of);
    if (of.kind != KIND_STR && of.kind != KIND_LIST && of.kind != KIND_TUPLE &&
        of.kind != KIND_RANGE)
        return jinja_fail(r, "'%s' object can't be sliced", jinja_type_name(of));
    if (!slice_part(r, part[0], &from) || !slice_part(r, part[1], &to) ||
        !slice_part(r, part[2], &step))
        return false;
    if (step == 0)
        return jinja_fail(r, "slice step cannot be zero");
    if (step == INT64_MIN)
        step = -INT64_MAX;
    jinja_has_len(of, &n);
    clamp(part[0], &from, n, step, step < 0 ? n - 1 : 0);
    clamp(part[1], &to, n, step, step < 0 ? -1 : n);
    int64_t count = 0;
    if (step > 0 && from < to)
        count = (to - from - 1) / step + 1;
    else if (step < 0 && from > to)
        count = (from - to - 1) / -step + 1;

    if (of.kind == KIND_STR)
        return slice_text(r, of.s, from, count, step, out) && jinja_mark_like(r, of, out);
    if (of.kind == KIND_RANGE)
        return slice_range(r, of.r, from, to, count, step, out);
    if (!jinja_list_new(r, of.kind, (size_t)count, out))
        return false;
    for (int64_t i = 0; i < count; i++)
        if (!jinja_list_push(r, out->l, of.l->v[from + i * step]))
            return false;
    return true;
}

bool jinja_item(struct render *r, struct value of, struct value key, struct value *out)
{
    bool found;
    if (key.kind == KIND_SLICE)
        return slice(r, of, key.l->v, out);
    if (!find_item(r, of, key, out, &found))
        return false;
    if (!found && key.kind == KIND_STR && !find_attr(r, of, key, out, &found))
        return false;
    return found || jinja_undef_attr(r, of, key, out);
}
