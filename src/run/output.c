/* run/output.c - the pieces of an answer on their way into the log: as they are, or read for
 * thinking and tool calls. */
#include "run/run_int.h"

#include "base/mem.h"

static void emit(void *arg, const struct chat_event *ev)
{
    const struct run_choice *c = arg;
    struct chat_event own = *ev;
    own.choice = c->index;
    if (ev->tokens) { // the parser's own array; what it points to is the run's
        size_t bytes = (size_t)ev->n_tokens * sizeof *ev->tokens;
        struct chat_token *kept = arena_alloc(&c->run->text, bytes);
        if (kept)
            memcpy(kept, ev->tokens, bytes);
        own.tokens = kept; // a full log is told with its next text
    }
    if (!run_rounds_take(c->run, &own))
        run_append(c->run, own);
}

void run_output_open(struct run *run)
{
    const struct chat_request *r = run->request;
    char name[ID_MAX + 32];
    if (!chat_needs_parser(r))
        return;
    size_t n = run->n_parts * (size_t)r->n_choices;
    run->choices = mem_calloc(n, sizeof *run->choices);
    for (size_t i = 0; i < n; i++) {
        struct run_choice *c = &run->choices[i];
        *c = (struct run_choice){.run = run, .index = (int)i};
        // The same when the run is read again.
        snprintf(name, sizeof name, "%s %zu", run->id, i + n * (size_t)run_round(run));
        c->parser = chat_parser_new(run->model->tmpl, r,
                                    &run->parts[i / (size_t)r->n_choices].start, name, emit, c);
    }
}

void run_output_close(struct run *run)
{
    size_t n = run->choices ? run->n_parts * (size_t)run->request->n_choices : 0;
    for (size_t i = 0; i < n; i++)
        chat_parser_free(run->choices[i].parser);
    mem_free(run->choices);
    run->choices = NULL;
}

/* The tokens behind a text, as its event tells them; NULL if not wanted, or if the log is full. */
static const struct chat_token *tokens_of(struct run *run, const struct sched_piece *piece)
{
    const struct chat_request *r = run->request;
    const struct tok *tok = run->model->tok;
    if (!(r->want_tokens || r->want_logprobs) || piece->n_listed == 0)
        return NULL;
    struct chat_token *tokens = arena_calloc(&run->text, (size_t)piece->n_listed, sizeof *tokens);
    for (int i = 0; tokens && i < piece->n_listed; i++) {
        const struct sched_token *t = &piece->tokens[i];
        struct chat_alternative *top =
            t->n_top ? arena_calloc(&run->text, (size_t)t->n_top, sizeof *top) : NULL;
        for (int k = 0; top && k < t->n_top; k++)
            top[k] = (struct chat_alternative){.id = t->top[k].id,
                                               .logprob = t->top[k].logprob,
                                               .bytes = tok_piece(tok, t->top[k].id, true)};
        tokens[i] = (struct chat_token){.id = t->id,
                                        .at = (size_t)t->at,
                                        .bytes = tok_piece(tok, t->id, r->raw_text),
                                        .logprob = t->logprob,
                                        .top = top,
                                        .n_top = top ? t->n_top : 0};
    }
    return tokens;
}

void run_output_text(struct run *run, int choice, const struct sched_piece *piece)
{
    str text = buf_as_str(&piece->text);
    if (run->choices)
        chat_parser_feed(run->choices[choice].parser, text, piece->n_tokens, tokens_of(run, piece));
    else
        run_append(run, (struct chat_event){.what = CHAT_TEXT,
                                            .choice = choice,
                                            .n_tokens = piece->n_tokens,
                                            .tokens = tokens_of(run, piece),
                                            .text = text});
}

static enum chat_finish finish_of(enum sched_finish f)
{
    static const enum chat_finish names[] = {[SCHED_FINISH_NONE] = CHAT_FINISH_NONE,
                                             [SCHED_FINISH_END] = CHAT_FINISH_END,
                                             [SCHED_FINISH_STOP] = CHAT_FINISH_STOP,
                                             [SCHED_FINISH_LENGTH] = CHAT_FINISH_LENGTH};
    return names[f];
}

/* A complete answer is what was asked for: read once more, by a reader that knows nothing of
 * automatons.  ERR_INTERNAL if not. */
static bool check_format(const struct run *run, int choice, struct err *e)
{
    const struct chat_request *r = run->request;
    struct buf text = BUF_INIT(run->runs->conf.max_log);
    struct err why;
    bool ok = true;
    if (r->format != CHAT_FORMAT_SCHEMA && r->format != CHAT_FORMAT_JSON)
        return true;
    for (size_t i = 0; i < run->n_events; i++)
        if (run->events[i].what == CHAT_TEXT && run->events[i].choice == choice)
            buf_str(&text, run->events[i].text);
    json_t *any = r->format == CHAT_FORMAT_JSON ? json_pack("{s:s}", "type", "object") : NULL;
    if (!text.full && !gram_valid(any ? any : r->format_schema, NULL, buf_as_str(&text), &why) &&
        why.code != ERR_LIMIT)
        ok = err_set(e, ERR_INTERNAL, "the answer does not have the format that was asked for: %s",
                     why.msg);
    json_decref(any);
    buf_free(&text);
    return ok;
}

void run_output_finish(struct run *run, int choice, const struct sched_piece *piece)
{
    enum chat_finish finish = finish_of(piece->finish);
    if (run->choices) {
        finish = chat_parser_end(run->choices[choice].parser, finish);
        run->usage.n_reasoning += chat_parser_n_reasoning(run->choices[choice].parser);
    }
    struct chat_event ev = {.what = CHAT_FINISHED,
                            .choice = choice,
                            .n_tokens = piece->n_tokens,
                            .finish = finish,
                            .token = piece->token,
                            .text = piece->stop};
    struct err e;
    if (finish == CHAT_FINISH_END && !run->over && !check_format(run, choice, &e)) {
        run_end_early(run, &e);
        return;
    }
    if (!run_rounds_finish(run, &ev))
        run_append(run, ev);
}
