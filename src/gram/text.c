/* gram/text.c - any text, up to or without certain texts.
 * Source: Aho and Corasick, "Efficient string matching", CACM 18:6, 1975. */
#include "gram/gram_int.h"

#define ENDS_MAX 4096 // bytes of all ends together

const struct gram_node *gram_text(struct gram_build *b)
{
    return gram_repeat(b, node_byte(b, 0, 255), 0, -1);
}

const struct gram_node *node_utf8_any(struct gram_build *b)
{
    if (!b->utf8_any) {
        struct cp_set all = {0};
        cp_add(b, &all, 0, 0x10FFFF);
        b->utf8_any = node_set(b, &all);
    }
    return b->utf8_any;
}

struct machine {
    int32_t (*next)[256]; // -1: not made
    int32_t *fail;
    bool *hit;
    int n;
};

static void add_end(struct machine *m, str end)
{
    int s = 0;
    for (size_t i = 0; i < end.n; i++) {
        uint8_t c = (uint8_t)end.p[i];
        if (m->next[s][c] < 0) {
            memset(m->next[m->n], 0xFF, sizeof m->next[0]);
            m->next[s][c] = m->n++;
        }
        s = m->next[s][c];
    }
    m->hit[s] = true;
}

/* Fills in the failures, in order of depth. */
static void link_machine(struct machine *m)
{
    int *queue = mem_alloc((size_t)m->n * sizeof *queue), n = 0;
    for (int c = 0; c < 256; c++) {
        if (m->next[0][c] < 0)
            m->next[0][c] = 0;
        else
            queue[n++] = m->next[0][c];
    }
    for (int i = 0; i < n; i++) {
        int s = queue[i];
        m->hit[s] = m->hit[s] || m->hit[m->fail[s]];
        for (int c = 0; c < 256; c++) {
            int32_t back = m->next[m->fail[s]][c];
            if (m->next[s][c] < 0) {
                m->next[s][c] = back;
            } else {
                m->fail[m->next[s][c]] = back;
                queue[n++] = m->next[s][c];
            }
        }
    }
    mem_free(queue);
}

/* Any text in which the first of the ends is at its end (until), or in which there is none. */
static const struct gram_node *search_node(struct gram_build *b, const str *ends, size_t n,
                                           bool until)
{
    size_t total = 1;
    for (size_t i = 0; i < n; i++) {
        total += ends[i].n;
        if (ends[i].n == 0 || total > ENDS_MAX)
            build_fail(b, ERR_INPUT, NULL, "a text to end with is empty or too long");
    }
    if (!build_work(b, total * 256))
        return node_fail(b);
    struct machine m = {.n = 1};
    m.next = mem_alloc(total * sizeof *m.next);
    m.fail = mem_calloc(total, sizeof *m.fail);
    m.hit = mem_calloc(total, sizeof *m.hit);
    memset(m.next[0], 0xFF, sizeof m.next[0]);
    for (size_t i = 0; i < n; i++)
        add_end(&m, ends[i]);
    link_machine(&m);
    struct dfa *d = arena_calloc(&b->arena, 1, sizeof *d);
    if (d) {
        d->next = arena_alloc(&b->arena, (size_t)m.n * 256 * sizeof *d->next);
        d->accept = arena_calloc(&b->arena, (size_t)m.n, sizeof *d->accept);
    }
    if (d && d->next && d->accept) {
        d->n = m.n;
        d->n_cls = 256;
        for (int c = 0; c < 256; c++)
            d->cls[c] = (uint8_t)c;
        for (int s = 0; s < m.n; s++) {
            d->accept[s] = m.hit[s] == until;
            for (int c = 0; c < 256; c++) {
                int32_t to = m.next[s][c];
                d->next[s * 256 + c] = m.hit[s] || (m.hit[to] && !until) ? -1 : to;
            }
        }
    } else {
        build_fail(b, ERR_LIMIT, NULL, "the constraint is too large");
        d = NULL;
    }
    mem_free(m.next);
    mem_free(m.fail);
    mem_free(m.hit);
    return node_dfa(b, d, false);
}

const struct gram_node *gram_until(struct gram_build *b, const str *ends, size_t n)
{
    return search_node(b, ends, n, true);
}

const struct gram_node *gram_without(struct gram_build *b, const str *ends, size_t n)
{
    return search_node(b, ends, n, false);
}
