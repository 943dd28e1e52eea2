/* sched/world_test.c - see world_test.h. */
#include "sched/world_test.h"

#include "base/mem.h"
#include "gguf/synth.h"

static void make_model(struct world *w)
{
    struct gguf_synth s;
    struct err e;
    assert_true(gguf_synth_preset("tiny-llama", &s));
    buf_init(&w->file, (size_t)64 << 20);
    struct gguf_writer *writer = gguf_writer_to(&w->file);
    assert_true(gguf_synth_write(writer, &s, &e));
    assert_true(gguf_writer_finish(writer, &e));
    gguf_writer_close(writer);
    if (!gguf_open_bytes(&w->gguf, buf_as_str(&w->file), &e))
        fail_msg("%s", e.msg);
    if (!tok_open(&w->tok, w->gguf, &e))
        fail_msg("%s", e.msg);
}

void world_open(struct world *w, struct sched_conf sc, size_t kv_tokens)
{
    struct engine_conf ec = engine_conf_default();
    struct err e;
    *w = (struct world){.conf = sc};
    make_model(w);
    ec.n_threads = 2;
    ec.kv_tokens = kv_tokens;
    ec.max_rows = sc.max_rows;
    ec.max_logits = sc.max_seqs + 8;
    if (!engine_open(&w->engine, w->gguf, &ec, &e))
        fail_msg("%s", e.msg);
    w->out = queue_new(sched_out_capacity(&sc), true);
    if (!sched_open(&w->sched, w->engine, w->tok, &sc, w->out, &e))
        fail_msg("%s", e.msg);
}

void world_close(struct world *w)
{
    size_t all = engine_info(w->engine)->kv_blocks;
    struct sched_counts c;
    sched_close(w->sched);
    sched_counts(w->sched, &c);
    assert_int_equal(engine_kv_free(w->engine) + c.kv_blocks_cached, all);
    assert_int_equal(queue_count(w->out), 0);
    sched_free(w->sched);
    assert_int_equal(engine_kv_free(w->engine), all);
    queue_free(w->out);
    engine_close(w->engine);
    tok_close(w->tok);
    gguf_close(w->gguf);
    buf_free(&w->file);
}

struct sched_job *world_submit(struct world *w, struct sched_request *r, struct result *out)
{
    struct err e;
    *out = (struct result){0};
    buf_init(&out->positions, (size_t)1 << 20);
    for (size_t i = 0; i < COUNT(out->text); i++) {
        buf_init(&out->text[i], (size_t)1 << 20);
        buf_init(&out->pieces[i], (size_t)1 << 22);
    }
    struct sched_job *j = sched_submit(w->sched, r, out, &e);
    if (!j)
        fail_msg("%s", e.msg);
    return j;
}

void result_free(struct result *r)
{
    for (size_t i = 0; i < COUNT(r->text); i++) {
        buf_free(&r->text[i]);
        buf_free(&r->pieces[i]);
        mem_free(r->ids[i]);
    }
    buf_free(&r->positions);
}

/* Notes the tokens of a piece; those of a text must have a part in it, in order. */
static void file_tokens(struct result *r, const struct sched_piece *p)
{
    int c = p->choice, last = 0;
    struct buf *line = &r->pieces[c];
    size_t bytes = (size_t)(r->n_ids[c] + p->n_listed) * sizeof(int32_t);
    r->ids[c] = mem_realloc(r->ids[c], bytes);
    buf_printf(line, "%d:", (int)p->what);
    buf_str(line, buf_as_str(&p->text));
    for (int i = 0; i < p->n_listed; i++) {
        const struct sched_token *t = &p->tokens[i];
        r->ids[c][r->n_ids[c]++] = t->id;
        buf_printf(line, " %d@%d", t->id, t->at);
        if (t->logprob != 0)
            buf_printf(line, "=%.9g", (double)t->logprob);
        for (int k = 0; k < t->n_top; k++)
            buf_printf(line, ",%d=%.9g", t->top[k].id, (double)t->top[k].logprob);
        if (p->what == SCHED_TEXT)
            assert_true(t->at >= last && (size_t)t->at < p->text.n);
        last = t->at;
    }
    buf_c(line, "\n");
    if (p->what == SCHED_TEXT) {
        assert_int_equal(p->n_listed, p->n_tokens);
        r->n_with_text[c] += p->n_listed;
    }
}

void world_take(struct world *w)
{
    struct sched_piece *p = queue_pop(w->out, 60000);
    assert_non_null(p);
    struct result *r = sched_job_arg(p->job);
    assert_false(r->ended);
    switch (p->what) {
    case SCHED_WAITING: buf_printf(&r->positions, "w%zu ", p->position); break;
    case SCHED_PROGRESS: buf_printf(&r->positions, "p%zu ", p->position); break;
    case SCHED_STARTED:
        assert_false(r->started);
        r->started = true;
        break;
    case SCHED_TEXT:
        assert_true(r->started);
        buf_str(&r->text[p->choice], buf_as_str(&p->text));
        file_tokens(r, p);
        break;
    case SCHED_FINISHED:
        assert_true(r->started);
        r->finish[p->choice] = p->finish;
        r->n_tokens[p->choice] = p->n_tokens;
        file_tokens(r, p);
        break;
    case SCHED_ENDED:
        r->ended = true;
        r->error = p->error;
        sched_job_free(p->job);
        break;
    }
    sched_piece_free(p);
}

void world_finish(struct world *w, struct result *results, int n)
{
    for (int i = 0; i < n; i++)
        while (!results[i].ended)
            world_take(w);
}

struct sched_request world_request(const int32_t *prompt, size_t n, int max_tokens, uint64_t seed)
{
    struct sched_request r = {
        .prompt = prompt, .n_prompt = n, .n_choices = 1, .max_tokens = max_tokens};
    r.sample = sample_params_default();
    r.sample.seed = seed;
    r.ignore_eos = true;
    return r;
}

size_t world_prompt(const struct world *w, int i, int32_t *out)
{
    uint64_t rng = 77 + (uint64_t)i;
    size_t n = (size_t)(1 + i * 13 % 90);
    for (size_t k = 0; k < n; k++)
        out[k] = (int32_t)(test_random(&rng) % (uint64_t)tok_n_vocab(w->tok));
    return n;
}
