/* gguf/mix.c - see mix.h. */
#include "gguf/mix.h"

#include "gguf/gguf_int.h"

#include <stdio.h>

enum mix {
    MIX_F32,
    MIX_F16,
    MIX_BF16,
    MIX_Q8_0,
    MIX_Q4_0,
    MIX_Q4_1,
    MIX_Q5_0,
    MIX_Q5_1,
    MIX_Q2_K,
    MIX_Q2_K_S,
    MIX_Q3_K_S,
    MIX_Q3_K_M,
    MIX_Q3_K_L,
    MIX_Q4_K_S,
    MIX_Q4_K_M,
    MIX_Q5_K_S,
    MIX_Q5_K_M,
    MIX_Q6_K,
    MIX_IQ4_NL,
    MIX_IQ4_XS,
    MIX_MXFP4,
    MIXES
};

static const struct {
    const char *name, *alias;
    int base;
    uint32_t file_type;
} mixes[MIXES] = {
    [MIX_F32] = {"F32", NULL, GGUF_TYPE_F32, 0},
    [MIX_F16] = {"F16", NULL, GGUF_TYPE_F16, 1},
    [MIX_BF16] = {"BF16", NULL, GGUF_TYPE_BF16, 32},
    [MIX_Q8_0] = {"Q8_0", NULL, GGUF_TYPE_Q8_0, 7},
    [MIX_Q4_0] = {"Q4_0", NULL, GGUF_TYPE_Q4_0, 2},
    [MIX_Q4_1] = {"Q4_1", NULL, GGUF_TYPE_Q4_1, 3},
    [MIX_Q5_0] = {"Q5_0", NULL, GGUF_TYPE_Q5_0, 8},
    [MIX_Q5_1] = {"Q5_1", NULL, GGUF_TYPE_Q5_1, 9},
    [MIX_Q2_K] = {"Q2_K", NULL, GGUF_TYPE_Q2_K, 10},
    [MIX_Q2_K_S] = {"Q2_K_S", NULL, GGUF_TYPE_Q2_K, 21},
    [MIX_Q3_K_S] = {"Q3_K_S", NULL, GGUF_TYPE_Q3_K, 11},
    [MIX_Q3_K_M] = {"Q3_K_M", "Q3_K", GGUF_TYPE_Q3_K, 12},
    [MIX_Q3_K_L] = {"Q3_K_L", NULL, GGUF_TYPE_Q3_K, 13},
    [MIX_Q4_K_S] = {"Q4_K_S", NULL, GGUF_TYPE_Q4_K, 14},
    [MIX_Q4_K_M] = {"Q4_K_M", "Q4_K", GGUF_TYPE_Q4_K, 15},
    [MIX_Q5_K_S] = {"Q5_K_S", NULL, GGUF_TYPE_Q5_K, 16},
    [MIX_Q5_K_M] = {"Q5_K_M", "Q5_K", GGUF_TYPE_Q5_K, 17},
    [MIX_Q6_K] = {"Q6_K", NULL, GGUF_TYPE_Q6_K, 18},
    [MIX_IQ4_NL] = {"IQ4_NL", NULL, GGUF_TYPE_IQ4_NL, 25},
    [MIX_IQ4_XS] = {"IQ4_XS", NULL, GGUF_TYPE_IQ4_XS, 30},
    // Elsewhere MXFP4 names a mix for experts only; here it is all matrices, for tests.
    [MIX_MXFP4] = {"MXFP4", NULL, GGUF_TYPE_MXFP4, 38},
};

int gguf_mix_named(str name)
{
    for (int i = 0; i < MIXES; i++) {
        if (str_eq_nocase(name, str_c(mixes[i].name)) ||
            (mixes[i].alias && str_eq_nocase(name, str_c(mixes[i].alias))))
            return i;
    }
    return -1;
}

const char *gguf_mix_name(int mix)
{
    return mix >= 0 && mix < MIXES ? mixes[mix].name : NULL;
}

int gguf_mix_base(int mix)
{
    return mixes[mix].base;
}

uint32_t gguf_mix_file_type(int mix)
{
    return mixes[mix].file_type;
}

static int arch_int(const struct gguf *g, str arch, const char *what, int fallback)
{
    char key[128];
    uint64_t v;
    struct gguf_array a;
    snprintf(key, sizeof key, "%.*s.%s", STR_ARG(str_sub(arch, 0, 64)), what);
    if (gguf_u64(g, key, &v) && v <= INT32_MAX)
        return (int)v;
    if (gguf_array(g, key, &a) && a.n > 0 && gguf_array_i64(&a, 0) > 0 &&
        gguf_array_i64(&a, 0) <= INT32_MAX)
        return (int)gguf_array_i64(&a, 0); // one number a layer: the first speaks for all
    return fallback;
}

struct gguf_mix_model gguf_mix_model_of(const struct gguf *g)
{
    struct gguf_mix_model m = {.tied = !gguf_find_tensor(g, STR("output.weight"))};
    (void)gguf_str(g, "general.architecture", &m.arch);
    m.n_layer = arch_int(g, m.arch, "block_count", 0);
    m.n_expert = arch_int(g, m.arch, "expert_count", 0);
    int heads = arch_int(g, m.arch, "attention.head_count", 1);
    int kv = arch_int(g, m.arch, "attention.head_count_kv", heads);
    m.n_gqa = kv > 0 ? heads / kv : 1;
    return m;
}

/* What is not rounded though it looks like a matrix. */
static const char *const kept[] = {
    "_norm.weight",     "ffn_gate_inp",         "ffn_gate_tid2eid", "altup",
    "laurel",           "position_embd",        "token_types",      "ssm_conv1d",
    "shortconv.conv",   "per_layer_model_proj", "attn_rel_b",       "time_mix_first",
    "time_mix_w",       "time_mix_v",           "time_mix_a",       "time_mix_g",
    "time_mix_decay_w", "time_mix_lerp_fused",
};

static bool holds(str name, const char *part)
{
    return str_find(name, str_c(part)) >= 0;
}

bool gguf_mix_rounds(str name, int n_dims)
{
    if (n_dims < 2 || !str_ends(name, STR("weight")))
        return false;
    for (size_t i = 0; i < COUNT(kept); i++) {
        if (holds(name, kept[i]))
            return false;
    }
    return true;
}

/* Part of the tensor's name says what it does. */
enum role {
    ROLE_OTHER,
    ROLE_OUTPUT,
    ROLE_EMBD,
    ROLE_QKV,
    ROLE_V,
    ROLE_K,
    ROLE_ATTN_OUT,
    ROLE_DOWN
};

static enum role role_of(str name)
{
    static const struct {
        const char *part;
        enum role role;
    } parts[] = {
        {"attn_qkv.weight", ROLE_QKV},
        {"attn_kv_b.weight", ROLE_V},
        {"attn_v.weight", ROLE_V},
        {"attn_k.weight", ROLE_K},
        {"attn_output.weight", ROLE_ATTN_OUT},
        {"ffn_down", ROLE_DOWN},
    };
    if (str_eqc(name, "output.weight"))
        return ROLE_OUTPUT;
    if (str_eqc(name, "token_embd.weight") || str_eqc(name, "per_layer_token_embd.weight"))
        return ROLE_EMBD;
    for (size_t i = 0; i < COUNT(parts); i++) {
        if (holds(name, parts[i].part))
            return parts[i].role;
    }
    return ROLE_OTHER;
}

static int layer_of(str name)
{
    uint64_t n;
    str digits;
    if (!str_starts(name, STR("blk.")))
        return 0;
    name = str_from(name, 4);
    return str_cut(&name, '.', &digits) && str_to_u64(digits, &n) && n < 100000 ? (int)n : 0;
}

/* The first and last eighth of the layers, and every third between. */
static bool more_bits(int layer, int n)
{
    return layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
}

static int type_of_v(enum mix mix, const struct gguf_mix_model *m, int layer, int type)
{
    bool shared = m->n_gqa >= 4; // few KV heads: small tensors that matter much
    switch (mix) {
    case MIX_Q2_K: type = shared ? GGUF_TYPE_Q4_K : GGUF_TYPE_Q3_K; break;
    case MIX_Q2_K_S: type = shared ? GGUF_TYPE_Q4_K : type; break;
    case MIX_Q3_K_M: type = layer < 2 ? GGUF_TYPE_Q5_K : GGUF_TYPE_Q4_K; break;
    case MIX_Q3_K_L: type = GGUF_TYPE_Q5_K; break;
    case MIX_Q4_K_S: type = layer < 4 ? GGUF_TYPE_Q5_K : type; break;
    case MIX_Q4_K_M:
    case MIX_Q5_K_M: type = more_bits(layer, m->n_layer) ? GGUF_TYPE_Q6_K : type; break;
    case MIX_IQ4_NL:
    case MIX_IQ4_XS: type = shared ? GGUF_TYPE_Q5_K : type; break;
    default: break;
    }
    bool is_70b = m->n_layer == 80 && m->n_gqa > 1 &&
                  (str_eqc(m->arch, "llama") || str_eqc(m->arch, "qwen2"));
    if (is_70b && (type == GGUF_TYPE_Q3_K || type == GGUF_TYPE_Q4_K))
        type = GGUF_TYPE_Q5_K;
    return m->n_expert == 8 ? GGUF_TYPE_Q8_0 : type;
}

static int type_of_down(enum mix mix, int layer, int n, int type)
{
    switch (mix) {
    case MIX_Q2_K: return GGUF_TYPE_Q3_K;
    case MIX_Q2_K_S: return layer < n / 8 ? GGUF_TYPE_Q4_K : type;
    case MIX_Q3_K_M: return layer < n / 16 ? GGUF_TYPE_Q5_K : GGUF_TYPE_Q4_K;
    case MIX_Q3_K_L: return GGUF_TYPE_Q5_K;
    case MIX_Q4_K_S:
    case MIX_IQ4_NL:
    case MIX_IQ4_XS: return layer < n / 8 ? GGUF_TYPE_Q5_K : type;
    case MIX_Q4_K_M:
    case MIX_Q5_K_M: return more_bits(layer, n) ? GGUF_TYPE_Q6_K : type;
    default: return type;
    }
}

static int type_of_attn_out(enum mix mix, const struct gguf_mix_model *m, int type)
{
    if (m->n_expert == 8) {
        bool low = mix == MIX_Q2_K || mix == MIX_Q3_K_S || mix == MIX_Q3_K_M || mix == MIX_IQ4_NL ||
                   mix == MIX_Q4_K_S || mix == MIX_Q4_K_M || mix == MIX_IQ4_XS;
        return low ? GGUF_TYPE_Q5_K : type;
    }
    switch (mix) {
    case MIX_Q2_K: return GGUF_TYPE_Q3_K;
    case MIX_Q3_K_M: return GGUF_TYPE_Q4_K;
    case MIX_Q3_K_L: return GGUF_TYPE_Q5_K;
    default: return type;
    }
}

static int type_by_role(enum mix mix, const struct gguf_mix_model *m, str name, uint64_t cols)
{
    int type = mixes[mix].base, layer = layer_of(name);
    enum role role = role_of(name);

    if (role == ROLE_OUTPUT || (role == ROLE_EMBD && m->tied)) {
        if (cols % (uint64_t)gguf_type_info(type)->block != 0 || type == GGUF_TYPE_Q8_0)
            return GGUF_TYPE_Q8_0;
        return GGUF_TYPE_Q6_K;
    }
    switch (role) {
    case ROLE_QKV:
    case ROLE_V: return type_of_v(mix, m, layer, type);
    case ROLE_K: return m->n_expert == 8 ? GGUF_TYPE_Q8_0 : type;
    case ROLE_DOWN: return type_of_down(mix, layer, m->n_layer, type);
    case ROLE_ATTN_OUT: return type_of_attn_out(mix, m, type);
    default: return type;
    }
}

/* A type whose blocks divide the row. */
static int fitting(int type, uint64_t cols)
{
    static const struct {
        int type, smaller;
    } ladder[] = {
        {GGUF_TYPE_Q2_K, GGUF_TYPE_Q4_0}, {GGUF_TYPE_Q3_K, GGUF_TYPE_Q4_0},
        {GGUF_TYPE_Q4_K, GGUF_TYPE_Q5_0}, {GGUF_TYPE_Q5_K, GGUF_TYPE_Q5_1},
        {GGUF_TYPE_Q6_K, GGUF_TYPE_Q8_0}, {GGUF_TYPE_IQ4_XS, GGUF_TYPE_IQ4_NL},
    };
    if (cols % (uint64_t)gguf_type_info(type)->block == 0)
        return type;
    for (size_t i = 0; i < COUNT(ladder); i++) {
        if (ladder[i].type == type && cols % 32 == 0)
            return ladder[i].smaller;
    }
    return GGUF_TYPE_F16;
}

int gguf_mix_type(int mix, const struct gguf_mix_model *m, str name, int n_dims, uint64_t cols)
{
    if (!gguf_mix_rounds(name, n_dims))
        return -1;
    int type = mixes[mix].base;
    bool rules = !m->pure && gguf_type_info(type)->block > 1 && mix != MIX_MXFP4;
    if (rules)
        type = type_by_role((enum mix)mix, m, name, cols);
    return fitting(type, cols);
}
