/* cli/chat.c - `confab chat`: a conversation in the terminal, with a running server or with one of
 * our own. */
#include "cli/cli.h"

#include "base/file.h"
#include "base/mem.h"
#include "cli/child.h"
#include "cli/talk.h"

#include <errno.h>
#include <getopt.h>
#include <histedit.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_MAX   (4u << 20)
#define HISTORY_MAX 1000

static const char usage[] =
    "usage: confab chat [OPTION ...] [QUESTION]\n\n"
    "Talks to a model in the terminal.  With a QUESTION, answers it and ends.  When standard "
    "input\n"
    "is no terminal, each line of it is a message; a line that ends with \\ goes on with the "
    "next.\n\n"
    "  -m, --model-file FILE  start a server for this GGUF file, and stop it at the end\n"
    "  -u, --url URL          talk to the server there (default: $CONFAB_URL, or\n"
    "                         http://127.0.0.1:8080)\n"
    "      --model NAME       which of its models (default: the first)\n"
    "  -s, --system TEXT      what the model is told first\n"
    "  -t, --temperature X    0 is steady, 1 lively (default: the server's)\n"
    "  -n, --max-tokens N     at most so long an answer\n"
    "      --seed N           the same answer again\n"
    "      --no-reasoning     do not show what the model thinks before it answers\n"
    "  -h, --help             this text\n\n"
    "environment: CONFAB_URL, CONFAB_API_KEY\n";

static const char commands[] = "/help          this list\n"
                               "/new           forget the conversation, start anew\n"
                               "/system TEXT   tell the model how to be; without TEXT: show it\n"
                               "/save FILE     write the conversation (as JSON for FILE.json)\n"
                               "/quit          end (also Ctrl-D)\n"
                               "A line that ends with \\ goes on with the next.  Ctrl-C stops an "
                               "answer.\n";

struct chat {
    struct talk talk;
    struct child child;
    const char *model_file, *url;
    str question;
    bool tty; // somebody types
    int failed;

    EditLine *el;
    History *history;
    char history_file[PATH_MAX];
};

static volatile sig_atomic_t interrupted, ended;

static void on_signal(int sig)
{
    if (sig == SIGINT)
        interrupted = 1;
    else
        ended = interrupted = 1;
}

static bool stop_asked(void)
{
    return interrupted;
}

static void complain(const struct err *e)
{
    fprintf(stderr, "confab chat: %s\n", e->msg);
}

static const char *prompt(EditLine *el)
{
    bool *more;
    el_get(el, EL_CLIENTDATA, &more);
    return *more ? "... " : "> ";
}

static void open_editor(struct chat *c, bool *more)
{
    HistEvent ev;
    const char *home = getenv("HOME");
    c->history = history_init();
    history(c->history, &ev, H_SETSIZE, HISTORY_MAX);
    history(c->history, &ev, H_SETUNIQUE, 1);
    c->el = el_init("confab", stdin, stdout, stderr);
    el_set(c->el, EL_CLIENTDATA, more);
    el_set(c->el, EL_PROMPT, prompt);
    el_set(c->el, EL_EDITOR, "emacs");
    el_set(c->el, EL_HIST, history, c->history);
    el_set(c->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    // What is typed during an answer waits for the next line as it was typed, Ctrl-D included: the
    // terminal's own line discipline would turn that into an end of file that nobody reads.
    el_set(c->el, EL_SETTY, "-x", "-icanon", "-echo", NULL);
    el_source(c->el, NULL); // ~/.editrc
    if (!home || !home[0])
        return;
    char dir[PATH_MAX - 16];
    struct err e;
    snprintf(dir, sizeof dir, "%s/.local/share/confab", home);
    if (!file_make_dirs(dir, &e))
        return; // a chat without history is still a chat
    snprintf(c->history_file, sizeof c->history_file, "%s/history", dir);
    history(c->history, &ev, H_LOAD, c->history_file);
}

static void close_editor(struct chat *c)
{
    HistEvent ev;
    if (!c->el)
        return;
    mode_t old = umask(077); // what was typed is nobody else's
    if (c->history_file[0])
        history(c->history, &ev, H_SAVE, c->history_file);
    umask(old);
    el_end(c->el);
    history_end(c->history);
}

/* One line as it was typed, without its end.  False at the end of the input; *cancelled when Ctrl-C
 * threw it away. */
static bool read_line(struct chat *c, char **heap, size_t *heap_cap, str *line, bool *cancelled)
{
    *cancelled = false;
    if (!c->tty) {
        ssize_t n = getline(heap, heap_cap, stdin);
        *line = str_n(*heap, n > 0 ? (size_t)n : 0);
    } else {
        int n = 0;
        interrupted = 0;
        const char *p = el_gets(c->el, &n);
        if (!p && interrupted && !ended) {
            putchar('\n');
            el_reset(c->el);
            *cancelled = true;
            return true;
        }
        *line = str_n(p, p && n > 0 ? (size_t)n : 0);
    }
    if (line->n == 0)
        return false;
    while (line->n > 0 && (line->p[line->n - 1] == '\n' || line->p[line->n - 1] == '\r'))
        line->n--;
    return true;
}

/* A whole message, of several lines when they end with a backslash.  False at the end of the input.
 */
static bool read_message(struct chat *c, bool *more, struct buf *out)
{
    char *heap = NULL;
    size_t heap_cap = 0;
    str line = {0};
    bool any = false, cancelled;
    buf_clear(out);
    *more = false;
    while (read_line(c, &heap, &heap_cap, &line, &cancelled)) {
        any = true;
        if (cancelled) {
            buf_clear(out);
            *more = false;
            break;
        }
        *more = line.n > 0 && line.p[line.n - 1] == '\\';
        buf_put(out, line.p, line.n - *more);
        if (!*more)
            break;
        buf_char(out, '\n');
    }
    *more = false;
    free(heap);
    return any;
}

static void remember(struct chat *c, str message)
{
    HistEvent ev;
    if (!c->el || message.n == 0)
        return;
    struct buf line = BUF_INIT(INPUT_MAX);
    for (size_t i = 0; i < message.n; i++) // one line each, so that it can be edited again
        buf_char(&line, message.p[i] == '\n' ? ' ' : message.p[i]);
    history(c->history, &ev, H_ENTER, buf_cstr(&line));
    buf_free(&line);
}

static void ask(struct chat *c, str question)
{
    struct err e;
    interrupted = 0;
    if (talk_ask(&c->talk, question, &e))
        return;
    if (e.code == ERR_CANCELED) {
        fputs(c->tty ? "[stopped]\n" : "", stderr);
        c->failed += !c->tty;
        return;
    }
    complain(&e);
    c->failed++;
}

static void do_system(struct chat *c, str text)
{
    if (text.n == 0) {
        str now = talk_system(&c->talk);
        printf("%.*s\n", STR_ARG(now.n ? now : STR("(nothing)")));
        return;
    }
    talk_set_system(&c->talk, text);
}

static void do_save(struct chat *c, str path)
{
    struct err e;
    if (path.n == 0) {
        fprintf(stderr, "confab chat: /save needs a file name\n");
        c->failed++;
        return;
    }
    char *p = mem_strdup(path);
    if (talk_save(&c->talk, p, &e)) {
        fprintf(stderr, "saved to %s\n", p);
    } else {
        complain(&e);
        c->failed++;
    }
    mem_free(p);
}

static void do_new(struct chat *c, str rest)
{
    (void)rest;
    talk_reset(&c->talk);
}

static void do_help(struct chat *c, str rest)
{
    (void)c;
    (void)rest;
    fputs(commands, stdout);
}

/* False when the conversation is to end. */
static bool take(struct chat *c, str message)
{
    static const struct {
        const char *name;
        void (*run)(struct chat *c, str rest); // NULL: end
    } rows[] = {{"/help", do_help}, {"/new", do_new}, {"/system", do_system},
                {"/save", do_save}, {"/quit", NULL},  {"/exit", NULL}};
    if (str_trim(message).n == 0)
        return true;
    remember(c, message);
    if (message.p[0] != '/') {
        ask(c, message);
        return true;
    }
    str rest = str_trim(message), name;
    size_t n = 0;
    while (n < rest.n && (unsigned char)rest.p[n] > ' ')
        n++;
    name = str_sub(rest, 0, n);
    rest = str_trim(str_from(rest, n));
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (!str_eqc(name, rows[i].name))
            continue;
        if (!rows[i].run)
            return false;
        rows[i].run(c, rest);
        return true;
    }
    fprintf(stderr, "there is no %.*s; /help lists what there is\n", STR_ARG(name));
    c->failed++;
    return true;
}

static void converse(struct chat *c)
{
    struct buf message = BUF_INIT(INPUT_MAX);
    bool more = false;
    if (c->tty) {
        open_editor(c, &more);
        printf("%s at %s; /help lists the commands, Ctrl-D ends\n", c->talk.model, c->talk.url);
    }
    while (!ended && read_message(c, &more, &message)) {
        if (message.full) {
            fprintf(stderr, "confab chat: the message is too long\n");
            c->failed++;
            continue;
        }
        if (!take(c, buf_as_str(&message)))
            break;
    }
    if (c->tty)
        putchar('\n');
    close_editor(c);
    buf_free(&message);
}

static bool read_number(const char *name, const char *text, double min, double max, double *out)
{
    if (str_to_double(str_c(text), out) && *out >= min && *out <= max)
        return true;
    fprintf(stderr, "confab chat: --%s: '%s' is no number from %g to %g\n", name, text, min, max);
    return false;
}

static bool read_count(const char *name, const char *text, int64_t *out)
{
    if (str_to_i64(str_c(text), out) && *out >= 0)
        return true;
    fprintf(stderr, "confab chat: --%s: '%s' is no whole number\n", name, text);
    return false;
}

/* -1: go on; else the exit code. */
static int read_options(struct chat *c, int argc, char **argv)
{
    static const struct option options[] = {{"model-file", required_argument, NULL, 'm'},
                                            {"url", required_argument, NULL, 'u'},
                                            {"model", required_argument, NULL, 'M'},
                                            {"system", required_argument, NULL, 's'},
                                            {"temperature", required_argument, NULL, 't'},
                                            {"max-tokens", required_argument, NULL, 'n'},
                                            {"seed", required_argument, NULL, 'S'},
                                            {"no-reasoning", no_argument, NULL, 'R'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct talk *t = &c->talk;
    bool ok = true;
    optind = 1;
    for (int o; ok && (o = getopt_long(argc, argv, "m:u:s:t:n:h", options, NULL)) != -1;) {
        switch (o) {
        case 'm': c->model_file = optarg; break;
        case 'u': c->url = optarg; break;
        case 'M': snprintf(t->model, sizeof t->model, "%s", optarg); break;
        case 's': talk_set_system(t, str_c(optarg)); break;
        case 't': ok = read_number("temperature", optarg, 0, 2, &t->temperature); break;
        case 'n': ok = read_count("max-tokens", optarg, &t->max_tokens); break;
        case 'S': ok = read_count("seed", optarg, &t->seed); break;
        case 'R': t->show_reasoning = false; break;
        case 'h': fputs(usage, stdout); return 0;
        default: ok = false; break;
        }
    }
    if (!ok)
        return 2;
    if (argc - optind > 1 || (c->model_file && c->url)) {
        fputs(usage, stderr);
        return 2;
    }
    if (optind < argc)
        c->question = str_c(argv[optind]);
    return -1;
}

static int run(struct chat *c)
{
    struct err e;
    const char *env = getenv("CONFAB_URL");
    const char *url = c->url ? c->url : env && env[0] ? env : "http://127.0.0.1:8080";
    if (c->model_file) {
        if (c->tty)
            fprintf(stderr, "loading %s ...\n", c->model_file);
        if (!child_start(&c->child, c->model_file, stop_asked, &e)) {
            complain(&e);
            return 1;
        }
        url = c->child.url;
    }
    if (!talk_connect(&c->talk, url, &e)) {
        complain(&e);
        c->failed++;
    } else if (c->question.p) {
        ask(c, c->question);
    } else {
        converse(c);
    }
    if (c->model_file) {
        child_stop(&c->child);
        close(c->child.log);
    }
    return c->failed > 0 && (!c->tty || c->question.p || !c->el);
}

int cli_chat(int argc, char **argv)
{
    struct chat c = {.tty = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)};
    struct sigaction on = {.sa_handler = on_signal}; // no SA_RESTART: reads are to be interrupted
    setvbuf(stdout, NULL, _IOLBF, 0);                // a pipe gets each line when it is there
    setlocale(LC_CTYPE, "");                         // for the line editor's UTF-8
    talk_init(&c.talk, stop_asked);
    int code = read_options(&c, argc, argv);
    if (code < 0) {
        sigaction(SIGINT, &on, NULL);
        sigaction(SIGTERM, &on, NULL);
        sigaction(SIGHUP, &on, NULL);
        signal(SIGPIPE, SIG_IGN);
        code = run(&c);
        if (ended)
            code = 1;
    }
    talk_fini(&c.talk);
    return code;
}
