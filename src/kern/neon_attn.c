/* kern/neon_attn.c - attention with NEON; over q8 blocks with its dot product of bytes. */
#include "kern/kern_int.h"

#if defined(__ARM_FEATURE_DOTPROD)

#include "kern/neon_math.h"

#define GROUP    4 // query rows in registers
#define TILES    1 // key tiles at once for three query rows and more
#define WIDE     4 // vectors of an output at once for 3 and 4 query rows
#define IVEC     int32x4_t
#define QKEY     int8x16_t
#define Q_OFFSET 0 // keys are taken as signed numbers
#define Q8_CODE  kern_neon_code

static inline IVEC ivec_set1(int32_t v)
{
    return vdupq_n_s32(v);
}

static inline VEC vec_from_int(IVEC v)
{
    return vcvtq_f32_s32(v);
}

static inline VEC vec_bytes(const void *p)
{
    int32_t four;
    memcpy(&four, p, 4);
    int16x8_t words = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(words)));
}

static inline QKEY qkey_load(const uint8_t *p)
{
    return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p), vdupq_n_u8(0x80)));
}

static inline IVEC qkey_dot(IVEC s, QKEY k, const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, 4);
    return vdotq_s32(s, k, vreinterpretq_s8_s32(vdupq_n_s32(four)));
}

#include "kern/attn_body.h"

void kern_fill_neon_attn(struct kern *k)
{
    k->kv_store[KERN_KV_F16] = kv_store_f16;
    k->kv_store[KERN_KV_Q8] = kv_store_q8;
    k->attn_span[KERN_KV_F16] = attn_span_f16;
    k->attn_span[KERN_KV_Q8] = attn_span_q8;
    k->attn_merge = attn_merge;
}

#endif
