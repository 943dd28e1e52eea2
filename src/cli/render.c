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
    "JSON\n";

static const struct option options[] = {
    {"now", required_argument, NULL, 'n'},
    {"spans", no_argument, NULL, 's'},
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

static int render(const char *path, str template, json_t *input, int64_t now, bool spans)
{
    struct err e = {0};
    struct jinja *t = jinja_compile(template, &e);
    if (!t)
        return fail(path, template, &e);
    struct jinja_out out;
    struct buf text = BUF_INIT(OUTPUT_MAX * 4);
    struct jinja_var *vars = mem_calloc(json_object_size(input) + 1, sizeof *vars);
    size_t n = read_vars(input, vars);
    jinja_out_init(&out, OUTPUT_MAX);
    int code = 0;
    if (!jinja_render(t, vars, n, now, jinja_limits_default(), &out, &e)) {
        code = fail(path, template, &e);
    } else {
        if (spans)
            put_spans(&out, &text);
        str shown = spans ? buf_as_str(&text) : buf_as_str(&out.text);
        if (fwrite(shown.p ? shown.p : "", 1, shown.n, stdout) != shown.n || fflush(stdout) != 0) {
            err_errno(&e, ERR_IO, "writing to standard output");
            code = fail("-", STR(""), &e);
        }
    }
    buf_free(&text);
    jinja_out_free(&out);
    mem_free(vars);
    jinja_free(t);
    return code;
}

int cli_render(int argc, char **argv)
{
    int64_t now = clock_unix_ms() / 1000;
    bool spans = false;
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (c) {
        case 'n':
            if (!str_to_i64(str_c(optarg), &now)) {
                fprintf(stderr, "confab render: --now takes seconds since 1970, not '%s'\n",
                        optarg);
                return 2;
            }
            break;
        case 's': spans = true; break;
        case 'h': fputs(help, stdout); return 0;
        default: fputs(help, stderr); return 2;
        }
    }
    if (argc - optind != 2) {
        fputs(help, stderr);
        return 2;
    }

    struct err e = {0};
    struct buf template = BUF_INIT(FILE_MAX), json = BUF_INIT(FILE_MAX);
    json_t *input = NULL;
    int code = 1;
    if (!read_template(argv[optind], &template, &e))
        fail(argv[optind], STR(""), &e);
    else if (!file_read(argv[optind + 1], &json, &e))
        fail(argv[optind + 1], STR(""), &e);
    else if (!(input = json_parse(buf_as_str(&json), &e)))
        fail(argv[optind + 1], buf_as_str(&json), &e);
    else if (!json_is_object(input))
        fprintf(stderr, "confab render: %s: not a JSON object\n", argv[optind + 1]);
    else
        code = render(argv[optind], buf_as_str(&template), input, now, spans);
    json_decref(input);
    buf_free(&template);
    buf_free(&json);
    return code;
}
