/* kern/logits_body.h - blocks of 64 logits, in the vectors of avx2_math.h or avx512_math.h. */

static void block_max(const float *x, int n_blocks, float *max)
{
    for (int b = 0; b < n_blocks; b++, x += 64) {
        VEC m = vec_set1(-INFINITY);
        float lane[LANES];
        for (int i = 0; i < 64; i += LANES)
            m = vec_max(vec_load(x + i), m);
        vec_store(lane, m);
        for (int step = LANES / 2; step; step /= 2)
            for (int i = 0; i < step; i++)
                lane[i] = lane[i + step] > lane[i] ? lane[i + step] : lane[i];
        max[b] = lane[0];
    }
}

static float exp64(const float *x, float top, float scale, float *e)
{
    VEC lanes[16 / LANES], t = vec_set1(top), s = vec_set1(scale);
    for (int l = 0; l < 16 / LANES; l++)
        lanes[l] = vec_zero();
    for (int i = 0; i < 64; i += 16)
        for (int l = 0; l < 16 / LANES; l++) {
            VEC v = vec_exp(vec_mul(vec_sub(vec_load(x + i + l * LANES), t), s));
            vec_store(e + i + l * LANES, v);
            lanes[l] = vec_add(lanes[l], v);
        }
    return vec_sum16(lanes);
}
