/* gguf/types.c - the tables of value kinds and tensor types.
 * Source: ggml-org/ggml: docs/gguf.md, src/ggml-common.h (block sizes). */
#include "gguf/gguf_int.h"

static const struct gguf_type_info types[GGUF_TYPES] = {
    [GGUF_TYPE_F32] = {"F32", 1, 4},
    [GGUF_TYPE_F16] = {"F16", 1, 2},
    [GGUF_TYPE_Q4_0] = {"Q4_0", 32, 18},
    [GGUF_TYPE_Q4_1] = {"Q4_1", 32, 20},
    [GGUF_TYPE_Q5_0] = {"Q5_0", 32, 22},
    [GGUF_TYPE_Q5_1] = {"Q5_1", 32, 24},
    [GGUF_TYPE_Q8_0] = {"Q8_0", 32, 34},
    [GGUF_TYPE_Q8_1] = {"Q8_1", 32, 36},
    [GGUF_TYPE_Q2_K] = {"Q2_K", 256, 84},
    [GGUF_TYPE_Q3_K] = {"Q3_K", 256, 110},
    [GGUF_TYPE_Q4_K] = {"Q4_K", 256, 144},
    [GGUF_TYPE_Q5_K] = {"Q5_K", 256, 176},
    [GGUF_TYPE_Q6_K] = {"Q6_K", 256, 210},
    [GGUF_TYPE_Q8_K] = {"Q8_K", 256, 292},
    [GGUF_TYPE_IQ2_XXS] = {"IQ2_XXS", 256, 66},
    [GGUF_TYPE_IQ2_XS] = {"IQ2_XS", 256, 74},
    [GGUF_TYPE_IQ3_XXS] = {"IQ3_XXS", 256, 98},
    [GGUF_TYPE_IQ1_S] = {"IQ1_S", 256, 50},
    [GGUF_TYPE_IQ4_NL] = {"IQ4_NL", 32, 18},
    [GGUF_TYPE_IQ3_S] = {"IQ3_S", 256, 110},
    [GGUF_TYPE_IQ2_S] = {"IQ2_S", 256, 82},
    [GGUF_TYPE_IQ4_XS] = {"IQ4_XS", 256, 136},
    [GGUF_TYPE_I8] = {"I8", 1, 1},
    [GGUF_TYPE_I16] = {"I16", 1, 2},
    [GGUF_TYPE_I32] = {"I32", 1, 4},
    [GGUF_TYPE_I64] = {"I64", 1, 8},
    [GGUF_TYPE_F64] = {"F64", 1, 8},
    [GGUF_TYPE_IQ1_M] = {"IQ1_M", 256, 56},
    [GGUF_TYPE_BF16] = {"BF16", 1, 2},
    [GGUF_TYPE_TQ1_0] = {"TQ1_0", 256, 54},
    [GGUF_TYPE_TQ2_0] = {"TQ2_0", 256, 66},
    [GGUF_TYPE_MXFP4] = {"MXFP4", 32, 17},
    [GGUF_TYPE_NVFP4] = {"NVFP4", 64, 36},
    [GGUF_TYPE_Q1_0] = {"Q1_0", 128, 18},
    [GGUF_TYPE_Q2_0] = {"Q2_0", 64, 18},
};

const struct gguf_type_info *gguf_type_info(int type)
{
    return type >= 0 && type < GGUF_TYPES && types[type].name ? &types[type] : NULL;
}

int gguf_type_named(str name)
{
    for (int i = 0; i < GGUF_TYPES; i++) {
        if (types[i].name && str_eq_nocase(name, str_c(types[i].name)))
            return i;
    }
    return -1;
}

const char *gguf_kind_name(enum gguf_kind kind)
{
    static const char *const names[GGUF_KINDS] = {
        [GGUF_U8] = "u8",   [GGUF_I8] = "i8",       [GGUF_U16] = "u16", [GGUF_I16] = "i16",
        [GGUF_U32] = "u32", [GGUF_I32] = "i32",     [GGUF_F32] = "f32", [GGUF_BOOL] = "bool",
        [GGUF_STR] = "str", [GGUF_ARRAY] = "array", [GGUF_U64] = "u64", [GGUF_I64] = "i64",
        [GGUF_F64] = "f64",
    };
    return (unsigned)kind < GGUF_KINDS ? names[kind] : "unknown";
}

size_t gguf_kind_size(unsigned kind)
{
    static const unsigned char sizes[GGUF_KINDS] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,  [GGUF_BOOL] = 1, [GGUF_U16] = 2,
        [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,  [GGUF_F32] = 4,
        [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
    };
    return kind < GGUF_KINDS ? sizes[kind] : 0;
}

bool gguf_tensor_bytes(int type, const uint64_t ne[4], uint64_t *out)
{
    const struct gguf_type_info *t = gguf_type_info(type);
    if (!t || ne[0] % (uint64_t)t->block != 0)
        return false;
    uint64_t n = ne[0] / (uint64_t)t->block;
    if (__builtin_mul_overflow(n, (uint64_t)t->bytes, &n))
        return false;
    for (int i = 1; i < 4; i++) {
        if (__builtin_mul_overflow(n, ne[i], &n))
            return false;
    }
    if (n > INT64_MAX)
        return false;
    *out = n;
    return true;
}
