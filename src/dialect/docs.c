/* dialect/docs.c - docs/dialects.md's tables of fields, made of the tables that bodies are read
 * with. */
#include "dialect/dialect_int.h"
#include "dialect/fields.h"

extern const struct field_set openai_chat_set, openai_completion_set, responses_set, messages_set,
    paddler_chat_set, paddler_raw_set, nugen_chat_set, nugen_completion_set, pawa_set,
    friendli_chat_set, friendli_assisted_set, friendli_completion_set, ollama_chat_set,
    ollama_generate_set, ollama_options_set;

static const struct field_set *const sets[] = {
    &openai_chat_set,  &openai_completion_set, &responses_set,         &messages_set,
    &paddler_chat_set, &paddler_raw_set,       &nugen_chat_set,        &nugen_completion_set,
    &pawa_set,         &friendli_chat_set,     &friendli_assisted_set, &friendli_completion_set,
    &ollama_chat_set,  &ollama_generate_set,   &ollama_options_set,
};

/* What becomes of a field, without its name. */
static void describe(const struct field *f, struct buf *out)
{
    bool number = f->kind == FIELD_INT || f->kind == FIELD_NUM;
    switch (f->kind) {
    case FIELD_REFUSE: buf_printf(out, "refused: %s", f->note); return;
    case FIELD_TAKE:
        buf_printf(out, "taken without effect%s%s", f->note ? ": " : "", f->note ? f->note : "");
        return;
    default: break;
    }
    buf_c(out, f->required ? "done; required" : "done");
    if (number && f->max >= 1e15)
        buf_printf(out, f->min < 1e-5 && f->min > 0 ? "; more than 0" : "; at least %g", f->min);
    else if (number && f->min <= -2147483647)
        buf_c(out, "; 32 bits");
    else if (number && f->max > 0 && f->min > 0 && f->min < 1e-5)
        buf_printf(out, "; more than 0, at most %g", f->max);
    else if (number && (f->min != 0 || f->max != 0))
        buf_printf(out, "; %g to %g", f->min, f->max);
    if (f->note)
        buf_printf(out, "; %s", f->note);
}

/* Of an entry named twice the first counts. */
static bool is_first(const struct field_set *set, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(set->fields[k].name, set->fields[i].name) == 0)
            return false;
    return true;
}

/* One row for all fields with one fate, where the first of them stands. */
static void row(const struct field_set *set, size_t i, struct buf *out)
{
    struct buf own = BUF_INIT(4096), other = BUF_INIT(4096), names = BUF_INIT(16384);
    bool begun = false;
    describe(&set->fields[i], &own);
    for (size_t k = 0; k < set->n; k++) {
        buf_clear(&other);
        describe(&set->fields[k], &other);
        if (!is_first(set, k) || !str_eq(buf_as_str(&own), buf_as_str(&other)))
            continue;
        if (k < i) {
            begun = true; // the row is there
            break;
        }
        buf_printf(&names, "%s`%s`", names.n ? ", " : "", set->fields[k].name);
    }
    if (!begun)
        buf_printf(out, "| %s | %s |\n", buf_cstr(&names), buf_cstr(&own));
    buf_free(&own);
    buf_free(&other);
    buf_free(&names);
}

void fields_document(const struct field_set *set, struct buf *out)
{
    buf_c(out, "| field | |\n|---|---|\n");
    for (size_t i = 0; i < set->n; i++)
        if (is_first(set, i))
            row(set, i, out);
    if (set->others)
        buf_printf(out, "| any other | %s |\n", set->others);
}

void dialect_document(struct buf *out)
{
    for (size_t i = 0; i < COUNT(sets); i++) {
        buf_printf(out, "<!-- fields of %s -->\n", sets[i]->name);
        fields_document(sets[i], out);
        buf_c(out, "<!-- end -->\n");
    }
}
