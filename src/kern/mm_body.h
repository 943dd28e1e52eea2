/* kern/mm_body.h - the walk over a packed matrix: panel by panel, segment by segment, tile by tile;
 * included once at the end of a level's matrix file, which has defined
 *   MATMUL                  the level's kern.matmul
 *   FLOAT_TOKENS            the most tokens of a float tile
 *   paths[type]             struct path, of kern/mm_path.h
 *   tile_f32, -f16, -bf16   up to FLOAT_TOKENS tokens over all columns of a panel
 * The order of operations on one row and token is that of scalar_mm.c, whatever `n` is. */

#define CHUNK 64 // tokens whose sums lie on the stack

static void matmul_panel(const struct kern_mat *m, int panel, const uint8_t *x, size_t x_stride,
                         int n, float *y, size_t y_stride)
{
    const struct kern_type_info *info = kern_type_info(m->type);
    const struct path *path = &paths[m->type];
    struct feed src = {
        .lines = m->lines + (size_t)panel * m->panel_lines,
        .scales = m->scales + (size_t)panel * m->panel_scales,
        .values = info->table,
        .n = n,
    };
    size_t x_seg = m->act == KERN_ACT_Q32 ? 8 * sizeof(struct kern_x32) : sizeof(struct kern_x256);
    size_t scales_seg = (size_t)info->scale_bytes * (m->act == KERN_ACT_Q32 ? 8 : 1);
    struct kern_seg seg;
    _Alignas(64) float acc[CHUNK][16];
    memset(acc, 0, (size_t)n * sizeof acc[0]);
    for (int k = 0; k < m->cols; k += 256) {
        seg.n_blocks = int_min(8, (m->cols - k) / 32);
        for (int t = 0; t < n && k + 256 >= m->cols; t++)
            __builtin_prefetch(y + (size_t)t * y_stride, 1);
        path->unpack(&src, &seg);
        for (int t = 0; t < n; t += 4) {
            src.first = t == 0;
            path->tile(&src, &seg, x + (size_t)t * x_stride, x_stride, int_min(4, n - t), acc[t]);
        }
        src.lines += 8 * 64 * (info->low_bits + info->high_bits);
        src.scales += scales_seg;
        x += x_seg;
    }
    int rows = int_min(16, m->rows - 16 * panel);
    for (int t = 0; t < n; t++)
        if (rows == 16) // without a call
            memcpy(y + (size_t)t * y_stride, acc[t], sizeof acc[t]);
        else
            memcpy(y + (size_t)t * y_stride, acc[t], (size_t)rows * sizeof *y);
}

static void matmul_float(const struct kern_mat *m, int panel, const uint8_t *x, size_t x_stride,
                         int n, float *y, size_t y_stride)
{
    const uint8_t *lines = m->lines + (size_t)panel * m->panel_lines;
    int rows = int_min(16, m->rows - 16 * panel), cols = m->cols + m->cols % 2;
    for (int t = 0; t < n; t += FLOAT_TOKENS) {
        _Alignas(64) float acc[FLOAT_TOKENS][16] = {{0}};
        const uint8_t *xt = x + (size_t)t * x_stride;
        int nt = int_min(FLOAT_TOKENS, n - t);
        if (m->type == KERN_TYPE_F32)
            tile_f32(lines, cols, xt, x_stride, nt, acc[0]);
        else if (m->type == KERN_TYPE_F16)
            tile_f16(lines, cols, xt, x_stride, nt, acc[0]);
        else
            tile_bf16(lines, cols, xt, x_stride, nt, acc[0]);
        for (int i = 0; i < nt; i++)
            memcpy(y + (size_t)(t + i) * y_stride, acc[i], (size_t)rows * sizeof *y);
    }
}

void MATMUL(const struct kern_mat *m, int from, int to, const void *x, size_t x_stride, int n,
            float *y, size_t y_stride)
{
    for (int p = from; p < to; p++)
        for (int t = 0; t < n; t += CHUNK) {
            const uint8_t *rows = (const uint8_t *)x + (size_t)t * x_stride;
            float *out = y + (size_t)t * y_stride + (size_t)p * KERN_PANEL;
            int count = int_min(CHUNK, n - t);
            if (m->act == KERN_ACT_F32)
                matmul_float(m, p, rows, x_stride, count, out, y_stride);
            else
                matmul_panel(m, p, rows, x_stride, count, out, y_stride);
        }
}
