/* cli/tokenize.c - `confab tokenize` and `confab detokenize`: text to ids and back, on standard
 * input and output.
 *
 * tokenize prints the ids of a text on one line, with blanks between them.  With -0 the input is
 * many texts, each ended by a NUL byte (the last one may lack it), and each gives a line.  --json
 * prints arrays, --pieces a line for each token: the id, a tab, its bytes in quotes.
 * detokenize reads ids between blanks, commas, brackets or newlines and prints their text; with -0
 * each line of ids gives a text that is ended by a NUL byte. */
#include "base/file.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "tok/tok.h"

#include <getopt.h>
#include <unistd.h>

#define INPUT_MAX ((size_t)1 << 30)
#define IDS_MAX   ((size_t)1 << 28)

static const char tokenize_help[] =
    "usage: confab tokenize -m FILE [options] <TEXT\n"
    "Prints the token ids of a text.\n"
    "  -m, --model FILE   GGUF file (a vocabulary is enough)\n"
    "      --no-special   names of control tokens in the text are text\n"
    "      --no-bos       nothing is put before or behind the text\n"
    "  -0                 the input is many texts, each ended by a NUL byte\n"
    "      --json         print [1, 2, 3]\n"
    "      --pieces       print a line for each token: id, tab, bytes\n";

static const char detokenize_help[] =
    "usage: confab detokenize -m FILE [options] <IDS\n"
    "Prints the text of token ids.\n"
    "  -m, --model FILE   GGUF file (a vocabulary is enough)\n"
    "      --special      show control tokens by name\n"
    "  -0                 each line of ids is a text; end it with a NUL byte\n";

struct options {
    const char *model;
    bool special, bos, many, json, pieces;
};

enum { OPT_NO_SPECIAL = 256, OPT_NO_BOS, OPT_JSON, OPT_PIECES, OPT_SPECIAL };

static const struct option tokenize_options[] = {
    {"model", required_argument, NULL, 'm'},
    {"no-special", no_argument, NULL, OPT_NO_SPECIAL},
    {"no-bos", no_argument, NULL, OPT_NO_BOS},
    {"json", no_argument, NULL, OPT_JSON},
    {"pieces", no_argument, NULL, OPT_PIECES},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const struct option detokenize_options[] = {
    {"model", required_argument, NULL, 'm'},
    {"special", no_argument, NULL, OPT_SPECIAL},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* -1: go on; else the exit code. */
static int read_options(int argc, char **argv, const struct option *table, const char *help,
                        struct options *o)
{
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "m:0h", table, NULL)) != -1;) {
        switch (c) {
        case 'm': o->model = optarg; break;
        case '0': o->many = true; break;
        case OPT_NO_SPECIAL: o->special = false; break;
        case OPT_SPECIAL: o->special = true; break;
        case OPT_NO_BOS: o->bos = false; break;
        case OPT_JSON: o->json = true; break;
        case OPT_PIECES: o->pieces = true; break;
        case 'h': fputs(help, stdout); return 0;
        default: fputs(help, stderr); return 2;
        }
    }
    if (!o->model || optind < argc || (o->json && o->pieces)) {
        fprintf(stderr, "confab %s: %s\n%s", argv[0],
                !o->model       ? "-m FILE is needed"
                : optind < argc ? "the input is read from standard input; there are too many words"
                                : "--json and --pieces exclude each other",
                help);
        return 2;
    }
    return -1;
}

static bool flush(struct buf *out, struct err *e)
{
    bool ok = !out->full && fwrite(out->p ? out->p : "", 1, out->n, stdout) == out->n &&
              fflush(stdout) == 0;
    buf_clear(out);
    return ok || err_errno(e, ERR_IO, "writing to standard output");
}

static void put_quoted(struct buf *out, str s)
{
    buf_char(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '\n')
            buf_c(out, "\\n");
        else if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c < ' ' || c == 0x7f)
            buf_printf(out, "\\x%02x", c);
        else
            buf_char(out, (char)c);
    }
    buf_char(out, '"');
}

static void put_ids(const struct tok *t, const struct tok_ids *ids, const struct options *o,
                    struct buf *out)
{
    if (o->json)
        buf_char(out, '[');
    for (size_t i = 0; i < ids->n; i++) {
        if (o->pieces) {
            buf_printf(out, "%d\t", ids->id[i]);
            put_quoted(out, tok_piece(t, ids->id[i], true));
            buf_char(out, '\n');
        } else {
            buf_printf(out, "%s%d", i == 0 ? "" : o->json ? ", " : " ", ids->id[i]);
        }
    }
    if (o->json)
        buf_char(out, ']');
    if (!o->pieces || o->many)
        buf_char(out, '\n'); // with --pieces -0, an empty line ends a text
}

static bool tokenize_all(const struct tok *t, str in, const struct options *o, struct err *e)
{
    struct buf out = BUF_INIT((size_t)4 << 30);
    struct tok_ids ids;
    bool ok = true, more = !o->many || in.n;
    tok_ids_init(&ids, IDS_MAX);
    while (ok && more) {
        struct tok_span span = {in, o->special};
        if (o->many) {
            str_cut(&in, '\0', &span.text);
            more = in.n > 0;
        } else {
            more = false;
        }
        ids.n = 0;
        ok = tok_encode(t, &span, 1, o->bos, &ids, e);
        if (ok)
            put_ids(t, &ids, o, &out);
        if (ok && out.n > 65536)
            ok = flush(&out, e);
    }
    if (ok)
        ok = flush(&out, e);
    tok_ids_free(&ids);
    buf_free(&out);
    return ok;
}

/* The ids of one text. */
static bool read_ids(const struct tok *t, str in, struct tok_ids *ids, struct err *e)
{
    static const char between[] = " \t\r\n,[]";
    ids->n = 0;
    while (in.n) {
        size_t n = 0;
        while (n < in.n && !memchr(between, in.p[n], sizeof between - 1))
            n++;
        uint64_t id;
        if (n && (!str_to_u64(str_sub(in, 0, n), &id) || id >= (uint64_t)tok_n_vocab(t)))
            return err_set(e, ERR_INPUT, "\"%.*s\" is not a token id; they go from 0 to %d",
                           STR_ARG(str_sub(in, 0, size_min(n, 40))), tok_n_vocab(t) - 1);
        if (n) {
            if (ids->n == ids->cap) {
                ids->cap = ids->cap ? ids->cap * 2 : 1024;
                ids->id = mem_realloc(ids->id, ids->cap * sizeof *ids->id);
            }
            ids->id[ids->n++] = (int32_t)id;
        }
        in = str_from(in, n + (n < in.n));
    }
    return true;
}

static bool detokenize_all(const struct tok *t, str in, const struct options *o, struct err *e)
{
    struct buf out = BUF_INIT((size_t)4 << 30);
    struct tok_ids ids;
    bool ok = true, more = !o->many || in.n;
    tok_ids_init(&ids, IDS_MAX);
    while (ok && more) {
        str line = in;
        if (o->many) {
            str_cut(&in, '\n', &line);
            more = in.n > 0;
        } else {
            more = false;
        }
        ok = read_ids(t, line, &ids, e);
        if (ok && !tok_decode(t, ids.id, ids.n, o->special, true, &out))
            ok = err_set(e, ERR_LIMIT, "the text is too long");
        if (ok && o->many)
            buf_char(&out, '\0');
        if (ok && out.n > 65536)
            ok = flush(&out, e);
    }
    if (ok)
        ok = flush(&out, e);
    tok_ids_free(&ids);
    buf_free(&out);
    return ok;
}

static int run(const char *name, const struct options *o,
               bool (*work)(const struct tok *, str, const struct options *, struct err *))
{
    struct err e = {0};
    struct gguf *g = NULL;
    struct tok *t = NULL;
    struct buf in = BUF_INIT(INPUT_MAX);
    bool ok = gguf_open(&g, o->model, &e) && (tok_open(&t, g, &e) || err_ctx(&e, "%s", o->model)) &&
              file_read("-", &in, &e) && work(t, buf_as_str(&in), o, &e);
    if (!ok)
        fprintf(stderr, "confab %s: %s%s%s\n", name, e.where, e.where[0] ? ": " : "", e.msg);
    buf_free(&in);
    tok_close(t);
    gguf_close(g);
    return ok ? 0 : 1;
}

int cli_tokenize(int argc, char **argv)
{
    struct options o = {.special = true, .bos = true};
    int code = read_options(argc, argv, tokenize_options, tokenize_help, &o);
    return code >= 0 ? code : run(argv[0], &o, tokenize_all);
}

int cli_detokenize(int argc, char **argv)
{
    struct options o = {0};
    int code = read_options(argc, argv, detokenize_options, detokenize_help, &o);
    return code >= 0 ? code : run(argv[0], &o, detokenize_all);
}
