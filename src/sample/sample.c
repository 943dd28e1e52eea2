/* sample/sample.c - the chain of sample.h.
 *
 * Sorting a whole vocabulary for each token costs more than a small model's forward pass.  So the
 * logits come with the maximum of each block of 64; the k-th largest maximum, of blocks or of
 * groups of them, is a valid lower bound for the k-th largest logit, and only blocks that reach it
 * are copied and looked at. Candidates are sorted in growing prefixes until the mass that top_p or
 * the draw asks for is reached, which is nearly always in the first; where it is not, the token is
 * found by its mass (bucket.c). */
#include "sample/sample_int.h"

#include "base/mem.h"
#include "base/rng.h"
#include "kern/math.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

#define BLOCK        SAMPLE_BLOCK
#define FIRST_SORTED 64

struct sample_params sample_params_default(void)
{
    return (struct sample_params){.temperature = 1, .top_p = 1, .repetition_penalty = 1};
}

static int blocks_of(int n)
{
    return sample_blocks(n);
}

struct sample_scratch *sample_scratch_new(int n_vocab, const struct kern *k)
{
    struct sample_scratch *s = mem_calloc(1, sizeof *s);
    size_t blocks = (size_t)blocks_of(n_vocab);
    if (k)
        s->kern = *k;
    else
        kern_init(&s->kern, 0);
    s->cap = n_vocab;
    s->z = mem_alloc(blocks * BLOCK * sizeof *s->z);
    s->here = mem_calloc(blocks, sizeof *s->here);
    s->max = mem_alloc(blocks * sizeof *s->max);
    s->pick = mem_alloc(blocks * sizeof *s->pick);
    s->c = mem_alloc((size_t)n_vocab * sizeof *s->c);
    s->c2 = mem_alloc((size_t)n_vocab * sizeof *s->c2);
    s->count = mem_calloc((size_t)n_vocab, sizeof *s->count);
    s->mark = mem_calloc((size_t)n_vocab, sizeof *s->mark);
    s->mass = mem_alloc((SAMPLE_BUCKETS + 1) * sizeof *s->mass);
    return s;
}

size_t sample_scratch_bytes(int n_vocab)
{
    const struct sample_scratch *s = NULL; // for the sizes alone
    size_t blocks = (size_t)blocks_of(n_vocab), n = (size_t)n_vocab;
    return sizeof *s +
           blocks * (BLOCK * sizeof *s->z + sizeof *s->here + sizeof *s->max + sizeof *s->pick) +
           n * (sizeof *s->c + sizeof *s->c2 + sizeof *s->count + sizeof *s->mark) +
           (SAMPLE_BUCKETS + 1) * sizeof *s->mass;
}

void sample_scratch_free(struct sample_scratch *s)
{
    if (!s)
        return;
    mem_free(s->z);
    mem_free(s->here);
    mem_free(s->max);
    mem_free(s->pick);
    mem_free(s->c);
    mem_free(s->c2);
    mem_free(s->count);
    mem_free(s->mark);
    mem_free(s->mass);
    mem_free(s);
}

/* What the draw's mask leaves of block b. */
static uint64_t word_of(const struct sample_scratch *s, int b)
{
    return s->mask ? s->mask[b] : UINT64_MAX;
}

/* Block b of the draw's logits; what stands behind zero bits of the mask may be anything. */
static void copy(struct sample_scratch *s, int b)
{
    float *z = s->z + (size_t)b * BLOCK;
    const float *from = s->logits + (size_t)b * BLOCK;
    const int n = int_min(BLOCK, s->n - b * BLOCK);
    const uint64_t word = word_of(s, b);
    if (n == BLOCK && word == UINT64_MAX) { // of a known length, for the compiler's vectors
        for (int i = 0; i < BLOCK; i++)
            z[i] = from[i] >= -INFINITY ? from[i] : -INFINITY;
    } else {
        for (int i = 0; i < BLOCK; i++)
            z[i] = i < n && word >> i & 1 && from[i] >= -INFINITY ? from[i] : -INFINITY;
    }
    s->here[b] = s->draw;
}

const float *sample_block(struct sample_scratch *s, int b)
{
    if (s->here[b] != s->draw)
        copy(s, b);
    return s->z + (size_t)b * BLOCK;
}

static float greatest_of(struct sample_scratch *s)
{
    const int n = blocks_of(s->n), whole = n / KERN_LOGITS;
    float top = -INFINITY;
    s->kern.block_max(s->max, whole, s->pick);
    for (int i = 0; i < whole; i++)
        top = s->pick[i] > top ? s->pick[i] : top;
    for (int b = whole * KERN_LOGITS; b < n; b++)
        top = s->max[b] > top ? s->max[b] : top;
    return top;
}

float sample_begin(struct sample_scratch *s, const struct sample_input *in)
{
    s->logits = in->logits;
    s->mask = in->mask;
    s->n = in->n_vocab;
    if (++s->draw == 0) { // wrapped: no stale block may look fresh
        memset(s->here, 0, (size_t)blocks_of(s->cap) * sizeof *s->here);
        s->draw = 1;
    }
    if (in->max && !in->mask) {
        memcpy(s->max, in->max, (size_t)blocks_of(s->n) * sizeof *s->max);
        return greatest_of(s);
    }
    for (int b = 0; b < blocks_of(s->n); b++) {
        const uint64_t word = word_of(s, b);
        if (word == 0)
            s->max[b] = -INFINITY;
        else if (word == UINT64_MAX && in->max)
            s->max[b] = in->max[b];
        else if (word == UINT64_MAX && (b + 1) * BLOCK <= s->n)
            s->kern.block_max(in->logits + (size_t)b * BLOCK, 1, &s->max[b]);
        else
            s->kern.block_max(sample_block(s, b), 1, &s->max[b]);
    }
    return greatest_of(s);
}

/* A working logit, and another one in its place. */
static float get(struct sample_scratch *s, int32_t id)
{
    return sample_block(s, id / BLOCK)[id % BLOCK];
}

static void put(struct sample_scratch *s, int32_t id, float z)
{
    const float *block = sample_block(s, id / BLOCK);
    s->z[id] = z;
    s->kern.block_max(block, 1, &s->max[id / BLOCK]);
}

static void touch(struct sample_scratch *s, int32_t id, int32_t add)
{
    if (s->mark[id] != s->epoch) {
        s->mark[id] = s->epoch;
        s->count[id] = 0;
    }
    s->count[id] += add;
}

/* Repetition once for each id seen at all, frequency and presence by its count in the output. */
static void penalise(struct sample_scratch *s, const struct sample_params *p, int32_t id)
{
    float z = get(s, id);
    z = z > 0 ? z / p->repetition_penalty : z * p->repetition_penalty;
    if (s->count[id] > 0)
        z -= p->frequency_penalty * (float)s->count[id] + p->presence_penalty;
    put(s, id, z);
    s->mark[id] = s->epoch - 1; // done: an id that stands twice is penalised once
}

static bool valid_id(const struct sample_input *in, int32_t id)
{
    return id >= 0 && id < in->n_vocab;
}

static void apply_penalties(struct sample_scratch *s, const struct sample_params *p,
                            const struct sample_input *in)
{
    bool repetition = p->repetition_penalty != 1;
    if (!repetition && p->frequency_penalty == 0 && p->presence_penalty == 0)
        return;
    s->epoch += 2;
    if (s->epoch < 2) { // wrapped: no stale mark may look valid
        memset(s->mark, 0, (size_t)s->cap * sizeof *s->mark);
        s->epoch = 2;
    }
    for (size_t i = 0; i < in->n_output; i++)
        if (valid_id(in, in->output[i]))
            touch(s, in->output[i], 1);
    for (size_t i = 0; repetition && i < in->n_prompt; i++)
        if (valid_id(in, in->prompt[i]))
            touch(s, in->prompt[i], 0);
    for (size_t i = 0; i < in->n_output; i++)
        if (valid_id(in, in->output[i]) && s->mark[in->output[i]] == s->epoch)
            penalise(s, p, in->output[i]);
    for (size_t i = 0; repetition && i < in->n_prompt; i++)
        if (valid_id(in, in->prompt[i]) && s->mark[in->prompt[i]] == s->epoch)
            penalise(s, p, in->prompt[i]);
}

/* The token at place i of prompt and output together. */
static int32_t token_at(const struct sample_input *in, size_t i)
{
    return i < in->n_prompt ? in->prompt[i] : in->output[i - in->n_prompt];
}

static void ban(struct sample_scratch *s, const struct sample_input *in, int32_t id)
{
    if (valid_id(in, id))
        put(s, id, -INFINITY);
}

static void ban_phrases(struct sample_scratch *s, const struct sample_params *p,
                        const struct sample_input *in)
{
    size_t all = in->n_prompt + in->n_output;
    for (int i = 0; i < p->n_bad; i++) {
        const struct sample_phrase *b = &p->bad[i];
        size_t front = (size_t)b->n - 1, k = 0;
        while (front <= all && k < front && token_at(in, all - front + k) == b->id[k])
            k++;
        if (k == front)
            ban(s, in, b->id[front]);
    }
}

static void ban_repeats(struct sample_scratch *s, const struct sample_params *p,
                        const struct sample_input *in)
{
    size_t all = in->n_prompt + in->n_output, front = (size_t)p->no_repeat_ngram - 1;
    for (size_t at = 0; p->no_repeat_ngram > 1 && at + front < all; at++) {
        size_t k = 0;
        while (k < front && token_at(in, at + k) == token_at(in, all - front + k))
            k++;
        if (k == front)
            ban(s, in, token_at(in, at + front));
    }
}

/* The working logits of a draw; returns the greatest. */
static float adjust(struct sample_scratch *s, const struct sample_params *p,
                    const struct sample_input *in)
{
    (void)sample_begin(s, in);
    ban_phrases(s, p, in);
    ban_repeats(s, p, in);
    for (int i = 0; i < p->n_bias; i++)
        if (valid_id(in, p->bias[i].id))
            put(s, p->bias[i].id, get(s, p->bias[i].id) + p->bias[i].bias);
    for (size_t i = 0; in->ban_ends && i < in->n_ends; i++)
        ban(s, in, in->ends[i]);
    apply_penalties(s, p, in);
    return greatest_of(s);
}

static int32_t highest(struct sample_scratch *s, int n, float top)
{
    if (top == -INFINITY)
        return -1;
    for (int b = 0; b < blocks_of(n); b++)
        if (s->max[b] == top)
            for (int i = b * BLOCK;; i++)
                if (get(s, i) == top)
                    return i;
    return -1;
}

/* Gathers all candidates with z >= low, sorted; returns their number. */
static int gather(struct sample_scratch *s, int n, float low)
{
    int k = 0, n_blocks = 0;
    low = low > -FLT_MAX ? low : -FLT_MAX; // those of -infinity are none
    for (int b = 0; b < blocks_of(n); b++) {
        if (s->max[b] < low)
            continue;
        s->c2[n_blocks++].id = b;
        for (int i = b * BLOCK; i < int_min(n, (b + 1) * BLOCK); i += 16)
            __builtin_prefetch(s->logits + i); // other threads have written most of them
    }
    for (int j = 0; j < n_blocks; j++) {
        const int b = s->c2[j].id;
        const float *z = sample_block(s, b);
        for (int i = 0; i < BLOCK; i++)
            if (z[i] >= low)
                s->c[k++] = (struct sample_cand){z[i], b * BLOCK + i};
    }
    sample_sort(s, k);
    return k;
}

/* A bound that at least k logits reach, if so many are alive: the k-th greatest of the maxima of
 * blocks.  Of groups of blocks, every so many-th, where k is small beside their number: the bound
 * is then a little lower and found in a fraction of the time. */
static float low_of(struct sample_scratch *s, int n, int k)
{
    enum { group = 8 };
    int blocks = blocks_of(n), n_groups = blocks / group;
    if (k > blocks)
        return -INFINITY;
    if (n_groups < 4 * k)
        n_groups = blocks;
    memcpy(s->pick, s->max, (size_t)n_groups * sizeof *s->pick);
    for (int from = n_groups; from < blocks; from += n_groups)
        for (int i = 0, end = int_min(n_groups, blocks - from); i < end; i++)
            s->pick[i] = s->max[from + i] > s->pick[i] ? s->max[from + i] : s->pick[i];
    return sample_kth(s->pick, n_groups, k);
}

/* The highest k (or all alive, if fewer), sorted.  Returns how many are sorted; may be more. */
static int gather_top(struct sample_scratch *s, int n, int k)
{
    return gather(s, n, low_of(s, n, k));
}

/* What truncation left: candidates [from, to) of the sorted ones.  `to` is -1 while all that are
 * alive count and only a prefix is sorted; `mass` is their sum of e^(z - top). */
struct survivors {
    int from, to;
    int sorted;
    double mass;
    float top;   // highest z
    float scale; // 1 / temperature
};

static double weight(const struct sample_scratch *s, const struct survivors *v, int i)
{
    return (double)kern_exp((s->c[i].z - v->top) * v->scale);
}

/* Makes sure that candidate i is sorted; false when fewer are alive. */
static bool reach(struct sample_scratch *s, int n, struct survivors *v, int i)
{
    while (i >= v->sorted) {
        int want = int_max(FIRST_SORTED, v->sorted * 16);
        int got = gather_top(s, n, int_min(want, n));
        bool grew = got > v->sorted;
        v->sorted = got;
        if (!grew)
            return false;
    }
    return true;
}

static void cut_top_p(struct sample_scratch *s, int n, struct survivors *v, float top_p)
{
    double goal = (double)top_p * v->mass, sum = 0;
    int i = 0;
    while ((v->to < 0 || i < v->to) && reach(s, n, v, i)) {
        sum += weight(s, v, i++);
        if (sum >= goal)
            break;
    }
    v->to = i;
    v->mass = sum;
}

static void cut_min_p(struct sample_scratch *s, struct survivors *v, float min_p)
{
    double sum = 0;
    int i = 0;
    while (i < v->to && weight(s, v, i) >= (double)min_p) { // the highest has weight 1
        sum += weight(s, v, i);
        i++;
    }
    v->to = int_max(i, 1);
    v->mass = i ? sum : weight(s, v, 0);
}

static bool is_end(const struct sample_input *in, int32_t id)
{
    for (size_t i = 0; i < in->n_ends; i++)
        if (in->ends[i] == id)
            return true;
    return false;
}

/* Exclude top choices: all that reach the threshold but the least of them. */
static void cut_xtc(struct sample_scratch *s, const struct sample_input *in, struct survivors *v,
                    float threshold)
{
    double goal = (double)threshold * v->mass, removed = 0;
    int k = 0;
    while ((v->to < 0 || k < v->to) && reach(s, in->n_vocab, v, k) && weight(s, v, k) >= goal)
        k++;
    if (k < 2)
        return;
    for (int i = 0; i < k - 1; i++) {
        if (is_end(in, s->c[i].id))
            return; // it would keep the answer from ending
        removed += weight(s, v, i);
    }
    v->from = k - 1;
    v->mass -= removed;
}

static struct survivors truncate_all(struct sample_scratch *s, const struct sample_params *p,
                                     const struct sample_input *in, float top, bool xtc)
{
    float scale = 1.0f / p->temperature;
    struct survivors v = {.to = -1, .top = top, .scale = scale};
    int n = in->n_vocab;
    if (p->top_k > 0 && p->top_k < n) {
        v.sorted = gather_top(s, n, p->top_k);
        v.to = int_min(v.sorted, p->top_k);
    } else if (p->min_p > 0 && p->top_p >= 1) {
        // Only what min_p keeps is ever needed; a hair more is gathered, cut_min_p decides.
        v.sorted = gather(s, n, top + p->temperature * (logf(p->min_p) - 1e-3f));
        v.to = v.sorted;
    } else {
        v.mass = sample_total(s, &(struct sample_mass){.n = n, .top = top, .scale = scale});
    }
    for (int i = 0; i < v.to; i++)
        v.mass += weight(s, &v, i);
    if (p->top_p < 1)
        cut_top_p(s, n, &v, p->top_p);
    if (p->min_p > 0)
        cut_min_p(s, &v, p->min_p);
    if (xtc)
        cut_xtc(s, in, &v, p->xtc_threshold);
    return v;
}

static bool is_greedy(const struct sample_params *p)
{
    return p->temperature <= 0 || p->top_k == 1;
}

/* The place in the sorted prefix where the sum of weights passes goal; -1: not in it. */
static int in_prefix(struct sample_scratch *s, const struct survivors *v, int end, double goal,
                     bool or_equal, double *sum)
{
    *sum = 0;
    for (int i = 0; i < end; i++) {
        *sum += weight(s, v, i);
        if (or_equal ? *sum >= goal : *sum > goal)
            return i;
    }
    return -1;
}

/* A draw that only top_p bounds: nearly always among the few most likely, else found by its mass.
 */
static int32_t draw_by_mass(struct sample_scratch *s, const struct sample_params *p,
                            const struct sample_input *in, float top, double u)
{
    struct sample_mass m = {.n = in->n_vocab, .top = top, .scale = 1.0f / p->temperature};
    struct survivors v = {.top = top, .scale = m.scale};
    int32_t cut = -1;
    double sum, mass = sample_total(s, &m);
    int end = gather_top(s, m.n, int_min(FIRST_SORTED, m.n));
    if (p->top_p < 1) {
        double goal = (double)p->top_p * mass;
        int at = in_prefix(s, &v, end, goal, true, &sum);
        if (at >= 0) {
            end = at + 1;
            cut = s->c[at].id;
        } else {
            cut = sample_at_mass(s, &m, goal, true, &sum);
            m.filled = true;
            end = gather_top(s, m.n, int_min(FIRST_SORTED, m.n));
        }
        mass = sum;
    }
    int at = in_prefix(s, &v, end, u * mass, false, &sum);
    if (at >= 0)
        return s->c[at].id;
    bool ends_here = end > 0 && s->c[end - 1].id == cut; // rounding put the goal out of reach
    int32_t id = ends_here ? cut : sample_at_mass(s, &m, u * mass, false, &sum);
    return id >= 0 ? id : cut;
}

int32_t sample_token(struct sample_scratch *s, const struct sample_params *p,
                     const struct sample_input *in)
{
    assert(in->n_vocab <= s->cap);
    float top = adjust(s, p, in);
    if (is_greedy(p) || top == -INFINITY || top == INFINITY)
        return highest(s, in->n_vocab, top);

    // Two random numbers a position: one for XTC's gate, one for the draw.
    uint64_t pos = (uint64_t)in->n_output * 2;
    bool xtc = p->xtc_threshold > 0 && p->xtc_probability > 0 &&
               rng_unit_at(p->seed, pos + 1) < (double)p->xtc_probability;
    double u = rng_unit_at(p->seed, pos);
    bool top_k = p->top_k > 0 && p->top_k < in->n_vocab;
    if (!top_k && p->min_p <= 0 && !xtc)
        return draw_by_mass(s, p, in, top, u);
    struct survivors v = truncate_all(s, p, in, top, xtc);

    double goal = u * v.mass, sum = 0;
    int last = v.from;
    for (int i = v.from; (v.to < 0 || i < v.to) && reach(s, in->n_vocab, &v, i); i++) {
        sum += weight(s, &v, i);
        last = i;
        if (sum > goal)
            break;
    }
    return s->c[last].id; // rounding may leave the goal just out of reach: the last one then
}

int sample_distribution(struct sample_scratch *s, const struct sample_params *p,
                        const struct sample_input *in, bool xtc, int32_t *ids, float *probs,
                        int cap)
{
    float top = adjust(s, p, in);
    if (top == -INFINITY)
        return 0;
    if (is_greedy(p)) {
        ids[0] = highest(s, in->n_vocab, top);
        probs[0] = 1;
        return 1;
    }
    struct survivors v = truncate_all(s, p, in, top, xtc);
    int k = 0;
    for (int i = v.from; k < cap && (v.to < 0 || i < v.to) && reach(s, in->n_vocab, &v, i); i++) {
        ids[k] = s->c[i].id;
        probs[k++] = (float)(weight(s, &v, i) / v.mass);
    }
    return k;
}
