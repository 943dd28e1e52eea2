/* engine/family.c - the table of model families.
 *
 * A new family is a row here when flags can tell the difference, and a file of its own (like
 * gemma3.c) when it has hyperparameters of its own. */
#include "engine/engine_int.h"

#include <stdio.h>

static const struct engine_family families[] = {
    {"llama", FAMILY_FREQS, NULL},
    {"qwen2", FAMILY_NEOX, NULL},
    {"qwen3", FAMILY_NEOX | FAMILY_QK_NORM, NULL},
    {"gemma3", FAMILY_NEOX | FAMILY_QK_NORM | FAMILY_POST_NORM | FAMILY_GELU, engine_gemma3_read},
    // A sliding window key of phi3 is not applied: files carry wrong values of it, and the
    // reference ignores it too (ggml-org/llama.cpp#13676).
    {"phi3", FAMILY_NEOX | FAMILY_FUSED_UP | FAMILY_PART_ROT | FAMILY_FREQS, NULL},
};

const struct engine_family *engine_family_of(const struct gguf *g, struct err *e)
{
    str arch;
    if (!gguf_str(g, "general.architecture", &arch)) {
        err_set_at(e, ERR_INPUT, "general.architecture",
                   "the file does not name a model architecture");
        return NULL;
    }
    for (size_t i = 0; i < COUNT(families); i++)
        if (str_eqc(arch, families[i].arch))
            return &families[i];

    char known[256];
    size_t n = 0;
    for (size_t i = 0; i < COUNT(families) && n < sizeof known; i++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", families[i].arch);
    err_set_at(e, ERR_INPUT, "general.architecture",
               "models of architecture \"%.*s\" cannot be run yet; these can: %s",
               (int)size_min(arch.n, 64), arch.p ? arch.p : "", known);
    return NULL;
}
