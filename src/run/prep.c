/* run/prep.c - prep workers: render the template, tokenize. */
#include "chat/fit.h"
#include "run/run_int.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The tokens of part i; of a conversation, earlier turns leave first if the request says so. */
static bool tokenize(struct run *run, size_t i, struct err *e)
{
    struct chat_request *r = run->request;
    struct run_part *p = &run->parts[i];
    if (!r->messages || r->truncate_to == 0)
        return chat_prepare(run->model->tmpl, r, i, &p->ids, &p->start, e);
    size_t room = (size_t)sched_n_ctx(run->model->sched) - 1; // an answer has at least one token
    return chat_fit(run->model->tmpl, r, size_min(r->truncate_to, room), &p->ids, &run->n_evicted,
                    &p->start, e);
}

static bool prepare(struct run *run, struct err *e)
{
    for (size_t i = 0; i < run->n_parts; i++) {
        if (atomic_load_explicit(&run->dropped, memory_order_relaxed))
            return err_set(e, ERR_CANCELED, "the request was cancelled");
        struct run_part *p = &run->parts[i];
        if (tokenize(run, i, e)) {
            const struct run_model *m = run->model;
            if (!grams_compile(&run->grams, m->tmpl, m->gram_vocab, run->request, &p->start,
                               &p->gram, e))
                return false;
            continue;
        }
        if (e->code == ERR_LIMIT && !e->where[0]) {
            err_set_at(e, ERR_INPUT, run->request->messages ? "messages" : "prompt",
                       "the prompt has more than %zu tokens; this server's context length is %d "
                       "tokens",
                       p->ids.max, sched_n_ctx(run->model->sched));
            err_kind(e, "context_length_exceeded");
        }
        return false;
    }
    return true;
}

void *run_prep_thread(void *arg)
{
    struct runs *rs = arg;
    struct run *run;
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 5); // the engine comes first
    while ((run = queue_pop(rs->to_prepare, -1))) {
        if (!prepare(run, &run->prep_error) && run->prep_error.code == ERR_NONE)
            err_set(&run->prep_error, ERR_INTERNAL, "the prompt could not be prepared");
        bool ok = queue_push(rs->prepared, run); // as large as to_prepare and the workers together
        (void)ok;
    }
    return NULL;
}
