/* app/model.h - one loaded model with all its parts, opened and closed in order. */
#ifndef APP_MODEL_H
#define APP_MODEL_H

#include "app/config.h"
#include "run/run.h"

struct app_model {
    char *name, *path;
    struct gguf *gguf;
    struct tok *tok;
    struct chat_template *tmpl;
    struct gram_vocab *gram_vocab;
    struct engine *engine;
    struct queue *out;
    struct sched *sched;
    int64_t created_unix;
};

/* Opens model i of the configuration (i == 0 with none configured: the starter model).
 *   budget  borrowed until close
 *   may take seconds; any one thread */
MUST_CHECK bool app_model_open(struct app_model *m, const struct config *c, int i,
                               struct budget *budget, struct err *e);
/* Stops the engine thread; what it has left lies in m->out. */
void app_model_stop(struct app_model *m);
void app_model_close(struct app_model *m);
struct run_model app_model_for_runs(const struct app_model *m);

/* Is a starter model built into this binary? */
bool app_has_starter(void);

#endif
