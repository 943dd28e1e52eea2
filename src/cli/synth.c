/* cli/synth.c - `confab synth OUT`: a model of random weights, for measuring and for tests. */
#include "cli/cli.h"

#include "gguf/mix.h"
#include "gguf/synth.h"
#include "kern/kern.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

static const char help[] =
    "usage: confab synth [options] OUT.gguf\n"
    "Writes a model of random weights: it talks nonsense at the speed of the real one.\n"
    "\n"
    "  --preset NAME   the shape (default tiny-llama)\n"
    "  --arch ARCH     with --preset tiny: the tiny model of that family\n"
    "  --type TYPE     F32 (default), F16, Q8_0, Q4_K_M ...\n"
    "  --pure          every matrix gets exactly TYPE\n"
    "  --seed N        another seed, other weights (default 1)\n"
    "  --vocab FILE    take the tokenizer from this GGUF\n"
    "  --layers N      another number of layers\n"
    "  --ctx N         another context length\n"
    "  -h, --help      this text\n"
    "\n"
    "presets:";

static int usage(FILE *to, int code)
{
    fputs(help, to);
    for (size_t i = 0; gguf_synth_preset_name(i); i++)
        fprintf(to, " %s", gguf_synth_preset_name(i));
    fputs("\ntypes:", to);
    for (int i = 0; gguf_mix_name(i); i++)
        fprintf(to, " %s", gguf_mix_name(i));
    fputc('\n', to);
    return code;
}

static void show_progress(void *arg, int done, int all, str name)
{
    (void)arg;
    fprintf(stderr, "\r\033[K%d/%d %.*s%s", done, all, STR_ARG(name),
            done == all ? "\r\033[K" : "");
}

struct request {
    const char *preset, *arch, *type, *vocab;
    bool pure;
    uint64_t seed, layers, ctx; // layers, ctx: 0 for the preset's
};

static bool number(const char *option, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t v;
    if (!str_to_u64(str_c(optarg), &v) || v < min || v > max) {
        fprintf(stderr, "confab synth: --%s takes %llu to %llu\n", option, (unsigned long long)min,
                (unsigned long long)max);
        return false;
    }
    *out = v;
    return true;
}

/* Exit code, or -1 to go on. */
static int read_options(struct request *r, int argc, char **argv)
{
    static const struct option options[] = {
        {"preset", required_argument, NULL, 'p'}, {"arch", required_argument, NULL, 'a'},
        {"type", required_argument, NULL, 't'},   {"seed", required_argument, NULL, 's'},
        {"vocab", required_argument, NULL, 'v'},  {"layers", required_argument, NULL, 'l'},
        {"ctx", required_argument, NULL, 'c'},    {"pure", no_argument, NULL, 'u'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    int c;
    bool ok = true;

    optind = 0;
    while (ok && (c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (c) {
        case 'p': r->preset = optarg; break;
        case 'a': r->arch = optarg; break;
        case 't': r->type = optarg; break;
        case 'v': r->vocab = optarg; break;
        case 'u': r->pure = true; break;
        case 's': ok = number("seed", 0, UINT64_MAX, &r->seed); break;
        case 'l': ok = number("layers", 1, 1000, &r->layers); break;
        case 'c': ok = number("ctx", 1, 1 << 20, &r->ctx); break;
        case 'h': return usage(stdout, 0);
        default: return usage(stderr, 2);
        }
    }
    if (!ok)
        return 2;
    return argc - optind == 1 ? -1 : usage(stderr, 2);
}

/* The preset, "tiny" meaning the tiny one of --arch. */
static bool find_preset(const struct request *r, struct gguf_synth *s)
{
    char name[64];
    bool tiny = str_eqc(str_c(r->preset), "tiny");
    if (tiny)
        snprintf(name, sizeof name, "tiny-%s", r->arch ? r->arch : "llama");
    else
        snprintf(name, sizeof name, "%s", r->preset);
    if (!gguf_synth_preset(name, s)) {
        fprintf(stderr, "confab synth: there is no preset %s\n", name);
        return false;
    }
    if (r->arch && !str_eqc(str_c(r->arch), s->arch)) {
        fprintf(stderr, "confab synth: %s is of the architecture %s, not %s\n", name, s->arch,
                r->arch);
        return false;
    }
    return true;
}

int cli_synth(int argc, char **argv)
{
    struct request r = {.preset = NULL, .type = "F32", .seed = 1};
    struct gguf_synth s;
    struct gguf *vocab = NULL;
    struct err e = {0};

    int code = read_options(&r, argc, argv);
    if (code >= 0)
        return code;
    if (!r.preset)
        r.preset = "tiny";
    if (!find_preset(&r, &s))
        return 2;
    s.mix = gguf_mix_named(str_c(r.type));
    if (s.mix < 0) {
        fprintf(stderr, "confab synth: there is no type %s\n", r.type);
        return 2;
    }
    s.seed = r.seed;
    s.pure = r.pure;
    s.quant = kern_quant_row;
    s.n_layer = r.layers ? (int)r.layers : s.n_layer;
    s.n_ctx = r.ctx ? (int)r.ctx : s.n_ctx;
    s.progress = isatty(STDERR_FILENO) ? show_progress : NULL;

    bool ok = !r.vocab || gguf_open(&vocab, r.vocab, &e);
    if (ok && vocab && gguf_is_part(vocab, argv[optind]))
        ok = err_set(&e, ERR_INPUT, "%s is the file given with --vocab", argv[optind]);
    s.vocab = vocab;
    ok = ok && gguf_synth_file(argv[optind], &s, &e);
    gguf_close(vocab);
    if (!ok)
        fprintf(stderr, "confab synth: %s\n", e.msg);
    return ok ? 0 : 1;
}
