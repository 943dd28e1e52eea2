/* run/bounds.c - what a request says about the tokens of its answer, in this model's tokens. */
#include "run/run_int.h"

#define PHRASE_MAX 256 // tokens of a banned or stopping phrase

static bool bad_id(struct err *e, const char *where, size_t i)
{
    err_set_at(e, ERR_INPUT, where, "'%s[%zu]' holds an id that is no token of this model", where,
               i);
    return err_kind(e, "out_of_range");
}

/* Biases and further ends name tokens that there are. */
static bool check_ids(const struct run *run, struct err *e)
{
    const struct chat_request *r = run->request;
    int n_vocab = run->model->info->n_vocab;
    for (size_t i = 0; i < r->n_bias; i++)
        if (r->bias[i].id >= n_vocab) {
            err_set_at(e, ERR_INPUT, "logit_bias", "'%d' is no token of this model (0 to %d)",
                       r->bias[i].id, n_vocab - 1);
            return err_kind(e, "out_of_range");
        }
    for (size_t i = 0; i < r->n_ends; i++)
        if (r->ends[i] < 0 || r->ends[i] >= n_vocab)
            return bad_id(e, "eos_token", i);
    return true;
}

static bool ids_of(const struct run *run, const json_t *list, struct arena *a, int32_t **out)
{
    size_t n = json_array_size(list);
    *out = arena_calloc(a, n, sizeof **out);
    for (size_t i = 0; *out && i < n; i++) {
        json_int_t id = json_integer_value(json_array_get(list, i));
        if (!json_is_integer(json_array_get(list, i)) || id < 0 || id >= run->model->info->n_vocab)
            return false;
        (*out)[i] = (int32_t)id;
    }
    return true;
}

/* Phrases given as arrays of ids, from place *n of out on. */
static bool add_lists(const struct run *run, const json_t *lists, const char *where,
                      struct arena *a, struct sample_phrase *out, int *n, struct err *e)
{
    for (size_t i = 0; i < json_array_size(lists); i++) {
        const json_t *list = json_array_get(lists, i);
        int32_t *ids;
        size_t count = json_array_size(list);
        if (count == 0 || count > PHRASE_MAX)
            return err_set_at(e, ERR_INPUT, where, "'%s[%zu]' must hold 1 to %d tokens", where, i,
                              PHRASE_MAX);
        if (!ids_of(run, list, a, &ids))
            return bad_id(e, where, i);
        out[(*n)++] = (struct sample_phrase){ids, (int)count};
    }
    return true;
}

static bool add_words(const struct run *run, const json_t *words, struct arena *a,
                      struct sample_phrase *out, int *n, struct err *e)
{
    for (size_t i = 0; i < json_array_size(words); i++) {
        const json_t *word = json_array_get(words, i);
        struct tok_span span = {.text = {json_string_value(word), json_string_length(word)}};
        struct tok_ids ids;
        tok_ids_init(&ids, PHRASE_MAX);
        bool ok = tok_encode(run->model->tok, &span, 1, false, &ids, e);
        int32_t *copy = ok ? arena_alloc(a, ids.n * sizeof *copy) : NULL;
        if (copy && ids.n) {
            memcpy(copy, ids.id, ids.n * sizeof *copy);
            out[(*n)++] = (struct sample_phrase){copy, (int)ids.n};
        }
        tok_ids_free(&ids);
        if (!ok)
            return err_set_at(e, ERR_INPUT, "bad_words", "'bad_words[%zu]' is too long", i);
    }
    return true;
}

static bool add_phrases(const struct run *run, struct sched_request *sr, struct arena *a,
                        struct err *e)
{
    const struct chat_request *r = run->request;
    size_t n_bad = json_array_size(r->bad_words) + json_array_size(r->bad_tokens);
    size_t n_stop = json_array_size(r->stop_tokens);
    struct sample_phrase *bad = arena_calloc(a, n_bad, sizeof *bad);
    struct sample_phrase *stop = arena_calloc(a, n_stop, sizeof *stop);
    int stops = 0;
    if (!bad || !stop)
        return true; // the arena is full: told at the end
    sr->sample.bad = bad;
    if (!add_words(run, r->bad_words, a, bad, &sr->sample.n_bad, e) ||
        !add_lists(run, r->bad_tokens, "bad_word_tokens", a, bad, &sr->sample.n_bad, e) ||
        !add_lists(run, r->stop_tokens, "stop_tokens", a, stop, &stops, e))
        return false;
    sr->stop_tokens = stop;
    sr->n_stop_tokens = (size_t)stops;
    return true;
}

static bool add_forced(const struct run *run, struct sched_request *sr, struct arena *a,
                       struct err *e)
{
    const json_t *forced = run->request->forced;
    int32_t *ids;
    if (json_array_size(forced) == 0)
        return true;
    if (!ids_of(run, forced, a, &ids))
        return bad_id(e, "forced_output_tokens", 0);
    sr->forced = ids;
    sr->n_forced = json_array_size(forced);
    sr->ignore_eos = true;
    return true;
}

static bool add_totals(const struct run *run, const struct run_part *p, struct sched_request *sr,
                       struct err *e)
{
    const struct chat_request *r = run->request;
    size_t n = p->ids.n;
    if (r->max_total > 0 && (size_t)r->max_total <= n) {
        err_set_at(e, ERR_INPUT, "max_total_tokens",
                   "the prompt has %zu tokens; 'max_total_tokens' is %d", n, r->max_total);
        return err_kind(e, "out_of_range");
    }
    if (r->max_total > 0)
        sr->max_tokens = r->max_total - (int)n;
    if (r->min_total > 0 && (size_t)r->min_total > n)
        sr->min_tokens = r->min_total - (int)n;
    return true;
}

static bool add_thinking(const struct run *run, const struct run_part *p, struct sched_request *sr,
                         struct arena *a, struct err *e)
{
    const struct chat_request *r = run->request;
    str open, close;
    if (r->reasoning_budget <= 0 || !r->messages ||
        !chat_thinking_marks(run->model->tmpl, &p->start, &open, &close))
        return true;
    struct tok_span span = {.text = close, .trusted = true};
    struct tok_ids ids;
    tok_ids_init(&ids, PHRASE_MAX);
    bool ok = tok_encode(run->model->tok, &span, 1, false, &ids, e);
    int32_t *copy = ok ? arena_alloc(a, ids.n * sizeof *copy) : NULL;
    if (copy) {
        memcpy(copy, ids.id, ids.n * sizeof *copy);
        sr->thinking = (struct sched_thinking){.begin = open,
                                               .end = close,
                                               .budget = r->reasoning_budget,
                                               .close = copy,
                                               .n_close = ids.n};
    }
    tok_ids_free(&ids);
    return ok;
}

bool run_bounds(const struct run *run, const struct run_part *p, struct sched_request *sr,
                struct arena *a, struct err *e)
{
    sr->sample.no_repeat_ngram = run->request->no_repeat_ngram;
    if (!check_ids(run, e) || !add_phrases(run, sr, a, e) || !add_forced(run, sr, a, e) ||
        !add_totals(run, p, sr, e) || !add_thinking(run, p, sr, a, e))
        return false;
    return !a->full || err_set(e, ERR_LIMIT, "the request's lists of tokens are too long");
}
