/* app/model.c - see model.h. */
#include "app/model.h"

#include "app/blob.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "kern/cpu.h"

#include <sched.h>
#include <sys/stat.h>

#define CTX_USUAL 8192

static int n_cpus(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return int_max(n, 1);
}

bool app_has_starter(void)
{
    return app_blob_starter().n > 0;
}

/* "dir/Qwen3-0.6B-Q8_0.gguf" is served as "Qwen3-0.6B-Q8_0". */
static str name_from_path(str path)
{
    ptrdiff_t slash = str_rchr(path, '/');
    str name = str_from(path, (size_t)(slash + 1));
    if (str_ends(name, STR(".gguf")))
        name.n -= strlen(".gguf");
    ptrdiff_t part = str_find(name, STR("-00001-of-"));
    return part > 0 ? str_sub(name, 0, (size_t)part) : name;
}

static bool open_file(struct app_model *m, const struct config *c, int i, struct err *e)
{
    if (c->n_models == 0) {
        if (!app_has_starter())
            return err_set(e, ERR_INPUT,
                           "no model was given: use -m FILE.gguf (or get one with "
                           "`confab pull Qwen/Qwen3-0.6B-GGUF:Q8_0`)");
        m->name = mem_strdup(STR("confab-starter"));
        m->path = mem_strdup(STR("(built in)"));
        m->created_unix = clock_unix_ms() / 1000;
        return gguf_open_bytes(&m->gguf, app_blob_starter(), e);
    }
    const struct config_model *cm = &c->models[i];
    struct stat st;
    m->name = mem_strdup(cm->name.n ? cm->name : name_from_path(cm->path));
    m->path = mem_strdup(cm->path);
    m->created_unix = stat(m->path, &st) == 0 ? st.st_mtime : clock_unix_ms() / 1000;
    return gguf_open(&m->gguf, m->path, e);
}

static bool open_template(struct app_model *m, const struct config *c, struct err *e)
{
    if (c->chat_template.n == 0)
        return chat_template_open_as(&m->tmpl, m->gguf, m->tok, NULL, c->call_format, e);
    struct buf text = BUF_INIT((size_t)4 << 20);
    bool ok = file_read(c->chat_template.p, &text, e);
    str source = buf_as_str(&text);
    ok = ok && chat_template_open_as(&m->tmpl, m->gguf, m->tok, &source, c->call_format, e);
    buf_free(&text);
    return ok;
}

/* The context of the model, or what was asked for. */
static int context_of(const struct gguf *g, const struct config *c)
{
    str arch = STR("");
    char key[128];
    uint64_t trained = 0;
    gguf_str(g, "general.architecture", &arch);
    snprintf(key, sizeof key, "%.*s.context_length", STR_ARG(str_sub(arch, 0, 64)));
    gguf_u64(g, key, &trained);
    if (trained == 0)
        trained = 2048;
    if (c->ctx == 0)
        return (int)(trained < CTX_USUAL ? trained : CTX_USUAL);
    return (int)((uint64_t)c->ctx < trained ? (uint64_t)c->ctx : trained);
}

/* Bytes that the keys and values of one token take, from the file's own numbers. */
static uint64_t kv_bytes_a_token(const struct gguf *g, enum engine_kv_kind kind)
{
    str arch = STR("");
    char key[128];
    uint64_t layers = 0, heads = 1, kv_heads = 0, embd = 0, dim = 0;
    gguf_str(g, "general.architecture", &arch);
    arch = str_sub(arch, 0, 64);
    const struct {
        const char *suffix;
        uint64_t *out;
    } keys[] = {{"block_count", &layers},
                {"attention.head_count", &heads},
                {"attention.head_count_kv", &kv_heads},
                {"embedding_length", &embd},
                {"attention.key_length", &dim}};
    for (size_t i = 0; i < COUNT(keys); i++) {
        snprintf(key, sizeof key, "%.*s.%s", STR_ARG(arch), keys[i].suffix);
        gguf_u64(g, key, keys[i].out);
    }
    if (kv_heads == 0)
        kv_heads = heads;
    if (dim == 0 && heads)
        dim = embd / heads;
    // q8: a byte a number and two scales
    return layers * kv_heads * (kind == ENGINE_KV_Q8 ? dim * 2 + 8 : dim * 4);
}

/* Room for several conversations of full length, within half of what the weights leave. */
static size_t kv_tokens_of(const struct gguf *g, const struct config *c, int ctx,
                           enum engine_kv_kind kind, const struct budget *b)
{
    if (c->kv_tokens)
        return size_max((size_t)c->kv_tokens, (size_t)ctx);
    uint64_t per_token = kv_bytes_a_token(g, kind);
    uint64_t free_now = budget_left(b);
    uint64_t left = free_now > gguf_file_size(g) ? free_now - gguf_file_size(g) : 0;
    uint64_t fits = per_token ? left / 2 / per_token : 0;
    uint64_t want = (uint64_t)ctx * (uint64_t)(c->max_seqs < 4 ? c->max_seqs : 4);
    return (size_t)size_max((size_t)(want < fits ? want : fits), (size_t)ctx);
}

static bool open_engine(struct app_model *m, const struct config *c, struct budget *budget,
                        struct err *e)
{
    struct engine_conf ec = engine_conf_default();
    struct sched_conf sc = sched_conf_default();
    if (c->cpu_mask.n && !cpu_parse_mask(c->cpu_mask, &ec.cpu_mask, e))
        return err_ctx(e, "--cpu-mask");
    if (!engine_kv_kind_named(c->kv_type, &ec.kv_kind, e))
        return err_ctx(e, "--kv-type");
    sc.n_ctx = context_of(m->gguf, c);
    sc.max_seqs = (int)c->max_seqs;
    sc.max_waiting = (int)c->queue;
    sc.gap_ms = (int)c->gap_ms;
    sc.max_draft = (int)c->drafts;
    sc.free_rows = (int)c->draft_rows;
    sc.max_rows = int_max((int)c->max_rows, sc.max_seqs);
    ec.n_threads = c->threads ? (int)c->threads : n_cpus();
    ec.kv_tokens = kv_tokens_of(m->gguf, c, sc.n_ctx, ec.kv_kind, budget);
    ec.max_rows = sc.max_rows;
    ec.max_logits = sc.max_seqs + sc.free_rows;
    ec.n_ctx = sc.n_ctx;
    ec.budget = sc.budget = budget;
    if (!engine_open(&m->engine, m->gguf, &ec, e))
        return false;
    m->out = queue_new(sched_out_capacity(&sc), true);
    return sched_open(&m->sched, m->engine, m->tok, &sc, m->out, e);
}

/* What constraints need of the tokenizer. */
static void make_gram_vocab(struct app_model *m)
{
    int n = tok_n_vocab(m->tok);
    bool *control = mem_calloc((size_t)n, sizeof *control),
         *eog = mem_calloc((size_t)n, sizeof *eog);
    for (int i = 0; i < n; i++) {
        control[i] = tok_is_control(m->tok, i);
        eog[i] = tok_is_eog(m->tok, i);
    }
    m->gram_vocab = gram_vocab_new(tok_pieces(m->tok), control, eog, n);
    mem_free(control);
    mem_free(eog);
}

bool app_model_open(struct app_model *m, const struct config *c, int i, struct budget *budget,
                    struct err *e)
{
    *m = (struct app_model){0};
    if (open_file(m, c, i, e) && tok_open(&m->tok, m->gguf, e) && open_template(m, c, e) &&
        open_engine(m, c, budget, e)) {
        make_gram_vocab(m);
        return true;
    }
    if (m->path && !strstr(e->msg, m->path))
        err_ctx(e, "%s", m->path);
    app_model_close(m);
    return false;
}

void app_model_stop(struct app_model *m)
{
    if (m->sched)
        sched_close(m->sched);
}

void app_model_close(struct app_model *m)
{
    sched_free(m->sched);
    if (m->out)
        queue_free(m->out);
    engine_close(m->engine);
    gram_vocab_drop(m->gram_vocab);
    chat_template_close(m->tmpl);
    tok_close(m->tok);
    gguf_close(m->gguf);
    mem_free(m->name);
    mem_free(m->path);
    *m = (struct app_model){0};
}

struct run_model app_model_for_runs(const struct app_model *m)
{
    return (struct run_model){.name = m->name,
                              .gguf = m->gguf,
                              .tok = m->tok,
                              .tmpl = m->tmpl,
                              .gram_vocab = m->gram_vocab,
                              .sched = m->sched,
                              .sched_out = m->out,
                              .info = engine_info(m->engine),
                              .created_unix = m->created_unix};
}
