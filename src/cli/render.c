/* cli/render.c - `confab render`: a chat template and the JSON of its variables to text.
 *
 * The template is a file of its own or the one inside a GGUF file.  Names that end in "_token"
 * count as the template's own text; everything else in the input is marked as coming from outside,
 * which --spans shows. */
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "gguf/gguf.h"
#include "jinja/jinja.h"
#include "json/json.h"

#include <getopt.h>
#include <stdio.h>

#define FILE_MAX   ((size_t)64 << 20)
#define OUTPUT_MAX ((size_t)256 << 20)

static const char help[] =
    "usage: confab render [options] TEMPLATE INPUT.json\n"
    "Renders a chat template (a .jinja file, or a .gguf file that holds one) with the variables "
    "of\n"
    "the JSON object INPUT.json: messages, tools, add_generation_prompt ...  '-' is standard "
    "input.\n"
    "      --now UNIX   the time that the template sees, in seconds since 1970\n"
    "      --spans      print runs of one origin, a line each: trusted or user, then the text in "
    "JSON\n"
    "      --lines      the input is many objects, one a line; each gives a line of JSON with its\n"
    "                   text, or with error and where\n";

static const struct option options[] = {
    {"now", required_argument, NULL, 'n'},
    {"spans", no_argument, NULL, 's'},
    {"lines", no_argument, NULL, 'l'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* The line of `text` that e->where names, with a caret below the column. */
static void show_place(str text, const struct err *e)
{
    str where = str_c(e->where), part, line;
    uint64_t row, col;
    if (!str_cut(&where, ':', &part) || !str_to_u64(part, &row) || !str_to_u64(where, &col))
        return;
    while (row > 0 && str_cut(&text, '\n', &line))
        row--;
    if (row > 0 || line.n > 2000)
        return;
    fprintf(stderr, "  %.*s\n  ", STR_ARG(line));
    for (size_t i = 0; i < line.n && col > 1; i++) {
        if (((unsigned char)line.p[i] & 0xc0) == 0x80)
            continue;
        fputc(line.p[i] == '\t' ? '\t' : ' ', stderr);
        col--;
    }
    fputs("^\n", stderr);
}

static int fail(const char *file, str text, const struct err *e)
{
    fprintf(stderr, "confab render: %s%s%s: %s\n", file, e->where[0] ? ":" : "", e->where, e->msg);
    show_place(text, e);
    return 1;
}

/* Appends the template to *out. */
static bool read_template(const char *path, struct buf *out, struct err *e)
{
    if (!str_ends(str_c(path), STR(".gguf")))
        return file_read(path, out, e);
    struct gguf *g;
    str text;
    if (!gguf_open(&g, path, e))
        return false;
    bool ok = gguf_str(g, "tokenizer.chat_template", &text);
    if (!ok)
        err_set(e, ERR_NOT_FOUND, "the file holds no chat template");
    else if (!buf_str(out, text))
        ok = err_set(e, ERR_LIMIT, "the template is larger than %zu bytes", out->max);
    gguf_close(g);
    return ok;
}

static size_t read_vars(json_t *input, struct jinja_var *vars)
{
    size_t n = 0;
    for (void *it = json_object_iter(input); it; it = json_object_iter_next(input, it)) {
        const char *name = json_object_iter_key(it);
        vars[n++] = (struct jinja_var){.name = name,
                                       .value = json_object_iter_value(it),
                                       .trusted = str_ends(str_c(name), STR("_token"))};
    }
    return n;
}

static void put_spans(const struct jinja_out *out, struct buf *text)
{
    for (size_t i = 0; i < out->n_runs; i++) {
        buf_c(text, out->runs[i].trusted ? "trusted " : "user    ");
        json_write_str(text, str_sub(buf_as_str(&out->text), out->runs[i].from, out->runs[i].n),
                       JSON_PLAIN);
        buf_char(text, '\n');
    }
}

static bool flush(struct buf *out, struct err *e)
{
    bool ok = !out->full && fwrite(out->p ? out->p : "", 1, out->n, stdout) == out->n &&
              fflush(stdout) == 0;
    buf_clear(out);
    return ok || err_errno(e, ERR_IO, "writing to standard output");
}

static bool render(const struct jinja *t, json_t *input, int64_t now, struct jinja_out *out,
                   struct err *e)
{
    if (!json_is_object(input))
        return err_set(e, ERR_INPUT, "the input is not a JSON object");
    struct jinja_var *vars = mem_calloc(json_object_size(input) + 1, sizeof *vars);
    size_t n = read_vars(input, vars);
    bool ok = jinja_render(t, vars, n, now, jinja_limits_default(), out, e);
    mem_free(vars);
    return ok;
}

static int render_one(const char *path, str source, const struct jinja *t, json_t *input,
                      int64_t now, bool spans)
{
    struct err e = {0};
    struct jinja_out out;
    struct buf text = BUF_INIT(OUTPUT_MAX * 8);
    jinja_out_init(&out, OUTPUT_MAX);
    int code = 0;
    if (!render(t, input, now, &out, &e)) {
        code = fail(path, source, &e);
    } else {
        if (spans)
            put_spans(&out, &text);
        else
            buf_str(&text, buf_as_str(&out.text));
        if (!flush(&text, &e))
            code = fail("-", STR(""), &e);
    }
    buf_free(&text);
    jinja_out_free(&out);
    return code;
}

/* One line of input to one line of output. */
static void render_line(const struct jinja *t, str line, int64_t now, struct buf *text)
{
    struct err e = {0};
    struct jinja_out out;
    jinja_out_init(&out, OUTPUT_MAX);
    json_t *input = json_parse(line, &e);
    if (input && render(t, input, now, &out, &e)) {
        buf_c(text, "{\"text\":");
        json_write_str(text, buf_as_str(&out.text), JSON_PLAIN);
    } else {
        buf_c(text, "{\"error\":");
        json_write_str(text, str_c(e.msg), JSON_PLAIN);
        buf_c(text, ",\"where\":");
        json_write_str(text, str_c(e.where), JSON_PLAIN);
        buf_c(text, ",\"code\":");
        json_write_str(text, str_c(err_code_name(e.code)), JSON_PLAIN);
    }
    buf_c(text, "}\n");
    json_decref(input);
    jinja_out_free(&out);
}

static int render_lines(const struct jinja *t, str input, int64_t now)
{
    struct err e = {0};
    struct buf text = BUF_INIT(OUTPUT_MAX * 8);
    bool ok = true;
    for (str line; ok && input.n && str_cut(&input, '\n', &line);) {
        render_line(t, line, now, &text);
        ok = flush(&text, &e);
    }
    buf_free(&text);
    return ok ? 0 : fail("-", STR(""), &e);
}

struct task {
    const char *template, *input;
    int64_t now;
    bool spans, lines;
};

static int run(const struct task *k)
{
    struct err e = {0};
    struct buf source = BUF_INIT(FILE_MAX), text = BUF_INIT(FILE_MAX);
    struct jinja *t = NULL;
    json_t *input = NULL;
    int code = 1;
    if (!read_template(k->template, &source, &e))
        fail(k->template, STR(""), &e);
    else if (!(t = jinja_compile(buf_as_str(&source), &e)))
        fail(k->template, buf_as_str(&source), &e);
    else if (!file_read(k->input, &text, &e))
        fail(k->input, STR(""), &e);
    else if (k->lines)
        code = render_lines(t, buf_as_str(&text), k->now);
    else if (!(input = json_parse(buf_as_str(&text), &e)))
        fail(k->input, buf_as_str(&text), &e);
    else
        code = render_one(k->template, buf_as_str(&source), t, input, k->now, k->spans);
    json_decref(input);
    jinja_free(t);
    buf_free(&source);
    buf_free(&text);
    return code;
}

int cli_render(int argc, char **argv)
{
    struct task k = {.now = clock_unix_ms() / 1000};
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (c) {
        case 'n':
            if (!str_to_i64(str_c(optarg), &k.now)) {
                fprintf(stderr, "confab render: --now takes seconds since 1970, not '%s'\n",
                        optarg);
                return 2;
            }
            break;
        case 's': k.spans = true; break;
        case 'l': k.lines = true; break;
        case 'h': fputs(help, stdout); return 0;
        default: fputs(help, stderr); return 2;
        }
    }
    if (argc - optind != 2 || (k.spans && k.lines)) {
        fputs(help, stderr);
        return 2;
    }
    k.template = argv[optind];
    k.input = argv[optind + 1];
    return run(&k);
}
