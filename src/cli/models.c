/* cli/models.c - `confab models`: what was pulled, and removing it. */
#include "cli/models.h"

#include "base/arena.h"
#include "cli/cli.h"
#include "gguf/gguf.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODELS_MAX 1000

static const char usage[] =
    "usage: confab models [--json]\n"
    "       confab models rm NAME ...\n\n"
    "Lists the GGUF models in $CONFAB_MODELS or ~/.local/share/confab/models, or removes some.\n"
    "NAME is a file's name there, with or without .gguf; all parts of a split model go "
    "together.\n\n"
    "  --json      one JSON array\n"
    "  -h, --help  this text\n";

/* general.file_type, as llama.cpp numbers them.  Source: ggml-org/llama.cpp: include/llama.h. */
static const char *const file_types[] = {
    [0] = "F32",      [1] = "F16",      [2] = "Q4_0",    [3] = "Q4_1",    [7] = "Q8_0",
    [8] = "Q5_0",     [9] = "Q5_1",     [10] = "Q2_K",   [11] = "Q3_K_S", [12] = "Q3_K_M",
    [13] = "Q3_K_L",  [14] = "Q4_K_S",  [15] = "Q4_K_M", [16] = "Q5_K_S", [17] = "Q5_K_M",
    [18] = "Q6_K",    [19] = "IQ2_XXS", [20] = "IQ2_XS", [21] = "Q2_K_S", [22] = "IQ3_XS",
    [23] = "IQ3_XXS", [24] = "IQ1_S",   [25] = "IQ4_NL", [26] = "IQ3_S",  [27] = "IQ3_M",
    [28] = "IQ2_S",   [29] = "IQ2_M",   [30] = "IQ4_XS", [31] = "IQ1_M",  [32] = "BF16",
    [36] = "TQ1_0",   [37] = "TQ2_0",   [38] = "MXFP4"};

struct model {
    str name; // of the file, the first of its parts
    uint64_t size;
    str arch; // empty: see problem
    str quant;
    uint64_t ctx, params;
    str problem; // why it cannot be read; "unfinished" for what a pull left
};

bool cli_models_dir(struct buf *out, struct err *e)
{
    const char *dir = getenv("CONFAB_MODELS"), *home = getenv("HOME");
    if (dir && dir[0])
        return buf_c(out, dir) || err_set(e, ERR_INPUT, "CONFAB_MODELS is too long");
    if (!home || !home[0])
        return err_set(e, ERR_INPUT, "neither CONFAB_MODELS nor HOME is set");
    return buf_printf(out, "%s/.local/share/confab/models", home) ||
           err_set(e, ERR_INPUT, "HOME is too long");
}

const char *cli_size_text(char out[24], double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t i = 0;
    for (; bytes >= 999.5 && i + 1 < COUNT(units); i++)
        bytes /= 1000;
    snprintf(out, 24, i == 0 ? "%.0f %s" : "%.1f %s", bytes, units[i]);
    return out;
}

/* 2 in "x-00002-of-00003.gguf"; 0 when the name has no part number. */
static int part_of(str name)
{
    uint64_t n;
    if (!str_ends(name, STR(".gguf")) || name.n < 21)
        return 0;
    str tail = str_sub(name, name.n - 20, 15);
    if (tail.p[0] != '-' || !str_eq(str_sub(tail, 6, 4), STR("-of-")) ||
        !str_to_u64(str_sub(tail, 1, 5), &n))
        return 0;
    return (int)n;
}

/* The type that most bytes have. */
static const char *main_type(const struct gguf *g)
{
    uint64_t bytes[GGUF_TYPES] = {0};
    int best = 0;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor(g, i);
        bytes[t->type] += t->size;
        if (bytes[t->type] > bytes[best])
            best = t->type;
    }
    const struct gguf_type_info *info = gguf_type_info(best);
    return info ? info->name : "?";
}

static void describe(struct model *m, const struct gguf *g, struct arena *a)
{
    char key[160];
    uint32_t type;
    m->size = gguf_file_size(g);
    m->arch = STR("?");
    gguf_str(g, "general.architecture", &m->arch);
    m->arch = arena_str(a, m->arch);
    bool known =
        gguf_u32(g, "general.file_type", &type) && type < COUNT(file_types) && file_types[type];
    m->quant = str_c(known ? file_types[type] : main_type(g));
    snprintf(key, sizeof key, "%.*s.context_length", STR_ARG(m->arch));
    gguf_u64(g, key, &m->ctx);
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor(g, i);
        m->params += t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
    }
}

static void look_at(struct model *m, const char *dir, struct arena *a)
{
    char path[PATH_MAX];
    struct stat st;
    struct gguf *g;
    struct err e;
    snprintf(path, sizeof path, "%s/%.*s", dir, STR_ARG(m->name));
    if (stat(path, &st) == 0)
        m->size = (uint64_t)st.st_size;
    if (str_ends(m->name, STR(".part"))) {
        m->problem = STR("unfinished; pull it again to go on");
    } else if (gguf_open(&g, path, &e)) {
        describe(m, g, a);
        gguf_close(g);
    } else {
        m->problem = arena_str(a, str_c(e.msg));
    }
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct model *)a)->name, ((const struct model *)b)->name);
}

/* The models of a folder, sorted; 0 when it is not there.  -1 with *e set. */
static int read_models(const char *dir, struct model **out, struct arena *a, struct err *e)
{
    int n = 0;
    DIR *d = opendir(dir);
    if (!d && errno == ENOENT)
        return 0;
    if (!d) {
        err_errno(e, ERR_IO, "open %s", dir);
        return -1;
    }
    struct model *models = arena_calloc(a, MODELS_MAX, sizeof *models);
    for (struct dirent *entry; models && n < MODELS_MAX && (entry = readdir(d));) {
        str name = str_c(entry->d_name);
        bool model = str_ends(name, STR(".gguf")) || str_ends(name, STR(".gguf.part"));
        if (model && name.p[0] != '.' && part_of(name) <= 1)
            models[n++].name = arena_str(a, name);
    }
    closedir(d);
    if (!models || a->full) {
        err_set(e, ERR_LIMIT, "%s holds too many files", dir);
        return -1;
    }
    qsort(models, (size_t)n, sizeof *models, by_name);
    for (int i = 0; i < n; i++)
        look_at(&models[i], dir, a);
    *out = models;
    return n;
}

static json_t *text(str s)
{
    json_t *v = json_stringn(s.p ? s.p : "", s.n);
    return v ? v : json_string("?"); // not UTF-8
}

static void print_json(const struct model *models, int n, const char *dir)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        const struct model *m = &models[i];
        json_t *o = json_object();
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%.*s", dir, STR_ARG(m->name));
        json_object_set_new(o, "name", text(m->name));
        json_object_set_new(o, "path", text(str_c(path)));
        json_object_set_new(o, "size", json_integer((json_int_t)m->size));
        if (m->problem.n) {
            json_object_set_new(o, "problem", text(m->problem));
        } else {
            json_object_set_new(o, "architecture", text(m->arch));
            json_object_set_new(o, "quantization", text(m->quant));
            json_object_set_new(o, "context_length", json_integer((json_int_t)m->ctx));
            json_object_set_new(o, "parameters", json_integer((json_int_t)m->params));
        }
        json_array_append_new(list, o);
    }
    json_dumpf(list, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(list);
}

static void print_table(const struct model *models, int n, const char *dir)
{
    int width = 4;
    char size[24], ctx[24];
    for (int i = 0; i < n; i++)
        width = int_max(width, (int)models[i].name.n);
    if (n == 0) {
        printf("no models in %s; get one with: confab pull Qwen/Qwen3-0.6B-GGUF\n", dir);
        return;
    }
    printf("%-*s  %9s  %-8s %-8s %8s\n", width, "NAME", "SIZE", "ARCH", "QUANT", "CONTEXT");
    for (int i = 0; i < n; i++) {
        const struct model *m = &models[i];
        printf("%-*.*s  %9s  ", width, STR_ARG(m->name), cli_size_text(size, (double)m->size));
        snprintf(ctx, sizeof ctx, "%llu", (unsigned long long)m->ctx);
        if (m->problem.n)
            printf("%.*s\n", STR_ARG(m->problem));
        else
            printf("%-8.*s %-8.*s %8s\n", STR_ARG(m->arch), STR_ARG(m->quant), ctx);
    }
}

static int list(const char *dir, bool json)
{
    struct arena a;
    struct err e;
    struct model *models = NULL;
    arena_init(&a, 4u << 20);
    int n = read_models(dir, &models, &a, &e);
    if (n < 0)
        fprintf(stderr, "confab models: %s\n", e.msg);
    else if (json)
        print_json(models, n, dir);
    else
        print_table(models, n, dir);
    arena_fini(&a);
    return n < 0;
}

/* "x" from "x", "x.gguf", "x-00001-of-00003.gguf" and any of these with ".part". */
static str stem_of(str name)
{
    if (str_ends(name, STR(".part")))
        name = str_sub(name, 0, name.n - 5);
    if (part_of(name))
        return str_sub(name, 0, name.n - 20);
    return str_ends(name, STR(".gguf")) ? str_sub(name, 0, name.n - 5) : name;
}

static int remove_model(const char *dir, str wanted)
{
    int n = 0, failed = 0;
    char path[PATH_MAX];
    if (wanted.n == 0 || wanted.p[0] == '.' || str_chr(wanted, '/') >= 0) {
        fprintf(stderr, "confab models: '%.*s' is no name of a model there\n", STR_ARG(wanted));
        return 2;
    }
    DIR *d = opendir(dir);
    for (struct dirent *entry; d && (entry = readdir(d));) {
        str name = str_c(entry->d_name);
        bool ours = str_ends(name, STR(".gguf")) || str_ends(name, STR(".gguf.part"));
        if (!ours || !str_eq(stem_of(name), stem_of(wanted)))
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (unlink(path) == 0) {
            printf("removed %s\n", path);
            n++;
        } else {
            perror(path);
            failed++;
        }
    }
    if (d)
        closedir(d);
    if (n + failed == 0)
        fprintf(stderr, "confab models: there is no %.*s in %s\n", STR_ARG(wanted), dir);
    return n == 0 || failed > 0;
}

int cli_models(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    struct buf dir = BUF_INIT(PATH_MAX - 300);
    struct err e;
    bool json = false;
    int code = 0;
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (c != 'j')
            return 2;
        json = true;
    }
    bool rm = optind < argc && strcmp(argv[optind], "rm") == 0;
    bool plain = optind == argc || strcmp(argv[optind], "list") == 0;
    if ((rm && optind + 1 == argc) || (!rm && !plain)) {
        fputs(usage, stderr);
        return 2;
    }
    if (!cli_models_dir(&dir, &e)) {
        fprintf(stderr, "confab models: %s\n", e.msg);
        code = 1;
    } else if (rm) {
        for (int i = optind + 1; i < argc; i++)
            code = int_max(code, remove_model(buf_cstr(&dir), str_c(argv[i])));
    } else {
        code = list(buf_cstr(&dir), json);
    }
    buf_free(&dir);
    return code;
}
