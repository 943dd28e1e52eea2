/* kern/pack.c - rows of GGUF tensors into R16 panels: a permutation of bits.  Layouts: pack.h. */
#include "kern/kern_int.h"

#include "kern/f16.h"

#include <assert.h>

static enum kern_act act_of(enum kern_shape shape)
{
    if (shape == KERN_SHAPE_F)
        return KERN_ACT_F32;
    return shape == KERN_SHAPE_Q32 || shape == KERN_SHAPE_Q32M ? KERN_ACT_Q32 : KERN_ACT_Q256;
}

bool kern_supports(int type, int cols)
{
    const struct kern_type_info *info = kern_type_info(type);
    return info && cols > 0 && cols % info->block == 0;
}

static size_t lines_bytes(const struct kern_type_info *info, size_t cols)
{
    if (info->shape == KERN_SHAPE_F)
        return (cols + cols % 2) * KERN_PANEL * (size_t)info->bytes;
    return cols / 32 * 64 * (size_t)(info->low_bits + info->high_bits);
}

static size_t scales_bytes(const struct kern_type_info *info, size_t cols)
{
    switch (act_of(info->shape)) {
    case KERN_ACT_F32: return 0;
    case KERN_ACT_Q32: return cols / 32 * (size_t)info->scale_bytes;
    default: return cols / 256 * (size_t)info->scale_bytes;
    }
}

void kern_pack_layout(struct kern_mat *m, int type, int rows, int cols, void *mem)
{
    const struct kern_type_info *info = kern_type_info(type);
    assert(kern_supports(type, cols) && rows > 0);
    *m = (struct kern_mat){
        .type = type,
        .rows = rows,
        .cols = cols,
        .n_panels = (rows + KERN_PANEL - 1) / KERN_PANEL,
        .act = act_of(info->shape),
        .lines = mem,
        .panel_lines = lines_bytes(info, (size_t)cols),
        .panel_scales = scales_bytes(info, (size_t)cols),
    };
    // panel_lines is a multiple of 64, so the second stream begins on a line too
    if (mem && m->panel_scales)
        m->scales = m->lines + (size_t)m->n_panels * m->panel_lines;
}

size_t kern_pack_bytes(int type, int rows, int cols)
{
    struct kern_mat m;
    if (!kern_supports(type, cols) || rows <= 0)
        return 0;
    kern_pack_layout(&m, type, rows, cols, NULL);
    size_t bytes = (size_t)m.n_panels * (m.panel_lines + m.panel_scales);
    return (bytes + 63) / 64 * 64;
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

// Four codes at once: word g of a row's 32 codes is group g.  `at` is where a line's bytes of this
// row begin; lines are 64 bytes apart.
static void pack_lines(const struct kern_type_info *info, const uint8_t *u, uint8_t *at)
{
    const uint32_t low_mask = 0x01010101u * ((1u << info->low_bits) - 1);
    uint32_t lines[8] = {0}, *high = lines + info->low_bits;
    int per_line = 8 / info->low_bits;
    for (int g = 0; g < 8; g++) {
        uint32_t codes = get32(u + 4 * g), low = codes & low_mask;
        uint32_t rest = (codes & ~low_mask) >> info->low_bits;
        int line = per_line == 4 ? g / 4 : g % info->low_bits;
        int slot = per_line == 4 ? g % 4 : g / info->low_bits;
        lines[line] |= low << slot * info->low_bits;
        if (info->high_bits == 1)
            high[0] |= rest << g;
        else if (info->high_bits == 2)
            high[g / 4] |= rest << g % 4 * 2;
    }
    for (int i = 0; i < info->low_bits + info->high_bits; i++)
        memcpy(at + 64 * i, &lines[i], 4);
}

static void pack_scales(const struct kern_type_info *info, int type, const struct kern_block *b,
                        uint8_t *at, int row)
{
    if (type == KERN_TYPE_MXFP4) {
        at[row] = (uint8_t)b->d;
        return;
    }
    memcpy(at + 2 * row, &b->d, 2);
    at += 32;
    if (info->shape != KERN_SHAPE_Q32 && info->shape != KERN_SHAPE_K32 &&
        info->shape != KERN_SHAPE_K16) {
        memcpy(at + 2 * row, &b->m, 2);
        at += 32;
    }
    switch (info->shape) {
    case KERN_SHAPE_K32:
    case KERN_SHAPE_K32M:
        for (int j = 0; j < 8; j++)
            at[16 * j + row] = (uint8_t)b->scale[j];
        at += 128;
        for (int j = 0; j < 8 && info->shape == KERN_SHAPE_K32M; j++)
            at[j / 2 * 32 + 2 * row + j % 2] = b->min[j];
        break;
    case KERN_SHAPE_K16:
        for (int j = 0; j < 16; j++)
            at[16 * j + row] = (uint8_t)b->scale[j];
        break;
    case KERN_SHAPE_K16M:
        for (int j = 0; j < 16; j++)
            at[j / 2 * 32 + 2 * row + j % 2] = (uint8_t)(b->scale[j] | b->min[j] << 4);
        break;
    default: break;
    }
}

static void pack_row(const struct kern_mat *m, const uint8_t *src, int row, uint8_t *lines,
                     uint8_t *scales)
{
    const struct kern_type_info *info = kern_type_info(m->type);
    struct kern_block b;
    for (int k = 0; k < m->cols; k += info->block, src += info->bytes) {
        kern_block_split(m->type, src, &b);
        pack_scales(info, m->type, &b, scales, row);
        scales += info->scale_bytes;
        for (int i = 0; i < info->block; i += 32) {
            pack_lines(info, b.u + i, lines + 4 * row);
            lines += 64 * (info->low_bits + info->high_bits);
        }
    }
}

static void pack_float_row(const struct kern_mat *m, const uint8_t *src, int row, uint8_t *lines)
{
    size_t size = m->type == KERN_TYPE_F32 ? 4 : 2;
    for (int k = 0; k < m->cols; k++) {
        size_t at = (size_t)(16 * k + row);
        if (m->type == KERN_TYPE_BF16)
            at = (size_t)(k / 2 * 32 + 2 * row + k % 2);
        memcpy(lines + at * size, src + (size_t)k * size, size);
    }
}

void kern_pack(const struct kern_mat *m, const void *src, int from, int to)
{
    const struct kern_type_info *info = kern_type_info(m->type);
    size_t row_bytes = (size_t)(m->cols / info->block) * (size_t)info->bytes;
    for (int p = from; p < to; p++) {
        // the one place that writes through the descriptor's read-only view
        uint8_t *lines = (uint8_t *)m->lines + (size_t)p * m->panel_lines;
        uint8_t *scales = m->scales ? (uint8_t *)m->scales + (size_t)p * m->panel_scales : NULL;
        int n = int_min(KERN_PANEL, m->rows - p * KERN_PANEL);
        if (n < KERN_PANEL || (info->shape == KERN_SHAPE_F && m->cols % 2)) {
            memset(lines, 0, m->panel_lines);
            if (scales)
                memset(scales, 0, m->panel_scales);
        }
        for (int r = 0; r < n; r++) {
            const uint8_t *row = (const uint8_t *)src + (size_t)(p * KERN_PANEL + r) * row_bytes;
            if (info->shape == KERN_SHAPE_F)
                pack_float_row(m, row, r, lines);
            else
                pack_row(m, row, r, lines, scales);
        }
    }
}

size_t kern_act_bytes(enum kern_act act, int cols)
{
    size_t n = (size_t)cols, bytes;
    switch (act) {
    case KERN_ACT_Q32: bytes = n / 32 * sizeof(struct kern_x32); break;
    case KERN_ACT_Q256: bytes = n / 256 * sizeof(struct kern_x256); break;
    default: bytes = (n + n % 2) * sizeof(float);
    }
    bytes = (bytes + 63) / 64 * 64;
    // rows a large power of two apart would fight for the same few cache lines
    return bytes % 1024 ? bytes : bytes + 64;
}
