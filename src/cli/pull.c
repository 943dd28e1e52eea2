/* cli/pull.c - `confab pull`: a model from Hugging Face, resumed, verified, with a progress bar. */
#include "cli/cli.h"

#include "base/clock.h"
#include "base/file.h"
#include "cli/hub.h"
#include "cli/models.h"
#include "http/client.h"
#include "http/download.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define BAR_WIDTH   28
#define DISK_SPARE  (64u << 20) // left free on the disk
#define UNKNOWN_MAX (1ull << 40)

static const char usage[] =
    "usage: confab pull [OPTION ...] OWNER/NAME[:TAG]\n"
    "       confab pull [OPTION ...] OWNER/NAME/FILE.gguf\n"
    "       confab pull [OPTION ...] https://HOST/PATH/FILE.gguf\n\n"
    "Fetches a GGUF model from Hugging Face, verifies its SHA-256, and prints where it is.\n"
    "TAG is a quantization such as Q8_0 or q4_k_m; without one, Q4_K_M is preferred, then Q8_0.\n"
    "What was fetched before an interruption is kept, and the same command goes on from there.\n\n"
    "  -l, --list       only list what is there\n"
    "  -d, --dir DIR    put it there, not into $CONFAB_MODELS or ~/.local/share/confab/models\n"
    "  -f, --force      replace another file of the same name\n"
    "      --retries N  tries in a row without progress before giving up (default 5)\n"
    "  -h, --help       this text\n\n"
    "environment: HF_TOKEN (for private and gated models), HF_ENDPOINT (default\n"
    "https://huggingface.co), CONFAB_MODELS, https_proxy\n";

struct pull {
    const char *what;
    bool list, force;
    int retries;
    char dir[PATH_MAX];
    const char *endpoint, *token;
    struct arena arena;

    /* The progress line. */
    bool tty;
    const char *name;
    uint64_t begun_at; // bytes there at start_ms, so that the rate counts new ones alone
    uint64_t start_ms, shown_ms;
    double rate; // bytes a second, smoothed
    uint64_t rate_have, rate_ms;
    int shown_percent;
};

static int complain(const struct err *e)
{
    fprintf(stderr, "confab pull: %s\n", e->msg);
    return 1;
}

static void time_text(char out[24], double seconds)
{
    int s = seconds < 360000 ? (int)(seconds + 0.5) : 360000;
    if (s >= 3600)
        snprintf(out, 24, "%dh%02dm", s / 3600, s / 60 % 60);
    else if (s >= 60)
        snprintf(out, 24, "%dm%02ds", s / 60, s % 60);
    else
        snprintf(out, 24, "%ds", s);
}

/* Rate over the last seconds, not since the start: it follows the line. */
static void measure(struct pull *p, uint64_t have, uint64_t now)
{
    uint64_t ms = now - p->rate_ms;
    if (ms < 500)
        return;
    double current = have < p->rate_have ? 0 : (double)(have - p->rate_have) * 1000 / (double)ms;
    double weight = p->rate > 0 ? 0.25 : 1;
    p->rate += weight * (current - p->rate);
    p->rate_have = have;
    p->rate_ms = now;
}

static void show_bar(const struct pull *p, uint64_t have, uint64_t total)
{
    char a[24], b[24], r[24], left[24] = "";
    char bar[BAR_WIDTH + 1];
    int full = total ? (int)((double)have / (double)total * BAR_WIDTH) : 0;
    for (int i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < full ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    if (total > have && p->rate > 1)
        time_text(left, (double)(total - have) / p->rate);
    fprintf(stderr, "\r\033[K[%s] %3d%%  %s of %s", bar,
            total ? (int)((double)have * 100 / (double)total) : 0, cli_size_text(a, (double)have),
            total ? cli_size_text(b, (double)total) : "?");
    if (p->rate > 1)
        fprintf(stderr, "  %s/s  %s", cli_size_text(r, p->rate), left);
}

static bool on_progress(uint64_t have, uint64_t total, void *arg)
{
    struct pull *p = arg;
    uint64_t now = clock_mono_ms();
    int percent = total ? (int)((double)have * 100 / (double)total) : 0;
    char a[24], b[24];
    measure(p, have, now);
    if (p->tty) {
        if (now - p->shown_ms >= 100 || (total && have == total)) {
            p->shown_ms = now;
            show_bar(p, have, total);
        }
    } else if (percent >= p->shown_percent + 10 || now - p->shown_ms >= 30000) {
        p->shown_ms = now;
        p->shown_percent = percent - percent % 10;
        fprintf(stderr, "%3d%%  %s at %s/s\n", percent, cli_size_text(a, (double)have),
                cli_size_text(b, p->rate));
    }
    return true;
}

static void on_retry(const char *why, int wait_ms, void *arg)
{
    struct pull *p = arg;
    fprintf(stderr, "%s%s; again in %.1f s\n", p->tty ? "\r\033[K" : "", why, wait_ms / 1000.0);
}

static bool check_space(const struct pull *p, uint64_t need, struct err *e)
{
    struct statvfs fs;
    char a[24], b[24];
    if (statvfs(p->dir, &fs) < 0)
        return err_errno(e, ERR_IO, "look at %s", p->dir);
    double room = (double)fs.f_bavail * (double)fs.f_frsize;
    if ((double)need + DISK_SPARE <= room)
        return true;
    return err_set(e, ERR_IO, "the disk of %s has %s left, and %s are needed", p->dir,
                   cli_size_text(a, room), cli_size_text(b, (double)need + DISK_SPARE));
}

/* Is the very file there?  False with e->code == ERR_NONE when it is not there, or may be replaced.
 */
static bool already_there(const struct pull *p, const char *path, uint64_t size, const char *sha,
                          struct err *e)
{
    struct stat st;
    char hex[65];
    e->code = ERR_NONE;
    if (stat(path, &st) < 0)
        return false;
    if (sha && (uint64_t)st.st_size == size) {
        fprintf(stderr, "checking the file that is there\n");
        if (!http_file_sha256(path, hex, e))
            return false;
        if (str_eq_nocase(str_c(hex), str_c(sha)))
            return true;
    }
    e->code = ERR_NONE;
    if (p->force)
        return false;
    return err_set(e, ERR_INPUT,
                   "%s is there already, and is another file (or cannot be compared); --force "
                   "replaces it",
                   path);
}

/* One file to its place.  `where` receives the path. */
static bool fetch(struct pull *p, const char *url, str name, uint64_t size, const char *sha,
                  char where[PATH_MAX], struct err *e)
{
    struct buf auth = BUF_INIT(1024);
    const char *headers[] = {NULL, NULL};
    char text[24];
    struct stat st;
    if (snprintf(where, PATH_MAX, "%s/%.*s", p->dir, STR_ARG(name)) >= PATH_MAX - 8)
        return err_set(e, ERR_INPUT, "the path is too long: %s", p->dir);
    if (already_there(p, where, size, sha, e)) {
        fprintf(stderr, "%.*s is there already, and is the right one\n", STR_ARG(name));
        return true;
    }
    if (e->code != ERR_NONE)
        return false;
    char part[PATH_MAX + 8];
    snprintf(part, sizeof part, "%s.part", where);
    uint64_t begun = sha && stat(part, &st) == 0 ? (uint64_t)st.st_size : 0;
    if (!check_space(p, size > begun ? size - begun : 0, e))
        return false;
    fprintf(stderr, "%.*s%s%s%s\n", STR_ARG(name), size ? ", " : "",
            size ? cli_size_text(text, (double)size) : "",
            begun ? ", going on where it stopped" : "");
    size_t n = strlen(p->endpoint);
    if (p->token && strncmp(url, p->endpoint, n) == 0 && url[n] == '/') { // for the hub alone
        buf_printf(&auth, "Authorization: Bearer %s", p->token);
        headers[0] = buf_cstr(&auth);
    }
    p->rate = 0;
    p->rate_have = begun;
    p->start_ms = p->rate_ms = p->shown_ms = clock_mono_ms();
    p->shown_percent = 0;
    struct http_download d = {.url = url,
                              .headers = headers,
                              .path = where,
                              .size = size,
                              .sha256 = sha,
                              .max_size = UNKNOWN_MAX,
                              .retries = p->retries,
                              .on_progress = on_progress,
                              .on_retry = on_retry,
                              .arg = p};
    int status;
    bool ok = http_download(&d, &status, e);
    if (p->tty)
        fputc('\n', stderr);
    if (ok && !sha)
        fprintf(stderr, "no digest is known for it: its size was checked, its content was not\n");
    if (!ok && status == 401)
        err_ctx(e, "%.*s is private or gated (set HF_TOKEN)", STR_ARG(name));
    else if (!ok)
        err_ctx(e, "%.*s", STR_ARG(name));
    if (!ok && access(part, F_OK) == 0)
        fprintf(stderr, "what was fetched is kept; the same command goes on from there\n");
    buf_free(&auth);
    return ok;
}

static void show_list(FILE *to, const struct hub_list *l, const struct hub_ref *ref)
{
    char size[24];
    fprintf(to, "%.*s holds:\n", STR_ARG(ref->repo));
    for (int i = 0; i < l->n_models; i++) {
        const struct hub_model *m = &l->models[i];
        fprintf(to, "  %-14.*s %10s  %.*s", STR_ARG(m->label), cli_size_text(size, (double)m->size),
                STR_ARG(m->stem));
        if (m->n_files != m->n_parts)
            fprintf(to, " (incomplete: %d of %d parts)\n", m->n_files, m->n_parts);
        else if (m->n_parts > 1)
            fprintf(to, " (%d parts)\n", m->n_parts);
        else
            fputs(".gguf\n", to);
    }
    if (l->n_models == 0)
        fputs("  no GGUF files; look for a repository whose name ends with -GGUF\n", to);
    if (l->n_unsafe)
        fprintf(to, "  (%d files with names that lead elsewhere are left out)\n", l->n_unsafe);
}

static str base_name(str path)
{
    return str_from(path, (size_t)(str_rchr(path, '/') + 1));
}

static int pull_model(struct pull *p, const struct hub_ref *ref)
{
    struct hub_list l = {0};
    struct err e;
    char where[PATH_MAX], first[PATH_MAX] = "";
    if (!hub_fetch(&l, p->endpoint, p->token, ref, &p->arena, &e))
        return complain(&e);
    if (p->list) {
        show_list(stdout, &l, ref);
        return 0;
    }
    const struct hub_model *m = hub_choose(&l, ref, &e);
    if (!m) {
        complain(&e);
        show_list(stderr, &l, ref);
        return 1;
    }
    if (m->n_files > 1 && !check_space(p, m->size, &e))
        return complain(&e);
    for (int i = 0; i < m->n_files; i++) {
        const struct hub_file *f = m->files[i];
        const char *url = hub_file_url(&p->arena, p->endpoint, ref, f->path);
        if (!url) {
            err_set(&e, ERR_LIMIT, "the path is too long");
            return complain(&e);
        }
        if (!fetch(p, url, base_name(f->path), f->size, f->sha, where, &e))
            return complain(&e);
        if (i == 0)
            memcpy(first, where, sizeof first);
    }
    printf("%s\n", first);
    return 0;
}

/* A file by its address alone: size and digest are asked of its server, where hubs name them. */
static int pull_url(struct pull *p)
{
    struct err e;
    struct http_result res;
    char where[PATH_MAX], sha[65] = "";
    str url = str_c(p->what), path = url, head, v;
    uint64_t size = 0;
    str_cut(&path, '?', &head);
    str name = base_name(head);
    if (!str_ends(name, STR(".gguf")) || name.n < 6 || name.p[0] == '.' ||
        str_chr(name, '%') >= 0) {
        err_set(&e, ERR_INPUT, "%s does not end with the name of a .gguf file", p->what);
        return complain(&e);
    }
    // A hub tells both in its redirect to where the bytes lie; others in the final answer.
    bool ok = true;
    for (int redirects = -1; ok && redirects <= 5 && !size; redirects += 6) {
        struct http_call call = {
            .url = p->what, .method = "HEAD", .max_redirects = redirects, .timeout_ms = 60000};
        ok = http_call(&call, &res, &e);
        if (http_result_header(&res, "X-Linked-ETag", &v) && v.n == 66 &&
            strspn(v.p + 1, "0123456789abcdef") == 64)
            snprintf(sha, sizeof sha, "%.*s", 64, v.p + 1);
        if (ok &&
            (http_result_header(&res, "X-Linked-Size", &v) ||
             (res.status == 200 && http_result_header(&res, "Content-Length", &v))) &&
            !str_to_u64(v, &size))
            size = 0;
        http_result_fini(&res);
    }
    if (!ok || !fetch(p, p->what, name, size, sha[0] ? sha : NULL, where, &e))
        return complain(&e);
    printf("%s\n", where);
    return 0;
}

static const char *env(const char *name, const char *otherwise)
{
    const char *v = getenv(name);
    return v && v[0] ? v : otherwise;
}

/* -1: go on; else the exit code. */
static int read_options(struct pull *p, int argc, char **argv)
{
    static const struct option options[] = {
        {"list", no_argument, NULL, 'l'},  {"dir", required_argument, NULL, 'd'},
        {"force", no_argument, NULL, 'f'}, {"retries", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},  {NULL, 0, NULL, 0}};
    uint64_t n;
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "ld:fh", options, NULL)) != -1;) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (c == 'l') {
            p->list = true;
        } else if (c == 'f') {
            p->force = true;
        } else if (c == 'd') {
            snprintf(p->dir, sizeof p->dir, "%s", optarg);
        } else if (c == 'r' && str_to_u64(str_c(optarg), &n) && n <= 1000) {
            p->retries = (int)n;
        } else {
            if (c == 'r')
                fprintf(stderr, "confab pull: --retries: '%s' is no number up to 1000\n", optarg);
            return 2;
        }
    }
    if (argc - optind != 1) {
        fputs(usage, stderr);
        return 2;
    }
    p->what = argv[optind];
    return -1;
}

static bool find_dir(struct pull *p, struct err *e)
{
    struct buf dir = BUF_INIT(sizeof p->dir - 1);
    bool ok = p->dir[0] ? true : cli_models_dir(&dir, e);
    if (ok && !p->dir[0])
        snprintf(p->dir, sizeof p->dir, "%s", buf_cstr(&dir));
    buf_free(&dir);
    return ok && file_make_dirs(p->dir, e);
}

int cli_pull(int argc, char **argv)
{
    struct pull p = {.retries = 5, .tty = isatty(STDERR_FILENO)};
    struct hub_ref ref;
    struct err e;
    int code = read_options(&p, argc, argv);
    if (code >= 0)
        return code;
    char endpoint[512];
    snprintf(endpoint, sizeof endpoint, "%s", env("HF_ENDPOINT", "https://huggingface.co"));
    for (size_t n = strlen(endpoint); n > 0 && endpoint[n - 1] == '/'; n--)
        endpoint[n - 1] = '\0';
    p.endpoint = endpoint;
    p.token = env("HF_TOKEN", NULL);
    if (p.token && strpbrk(p.token, "\r\n \t")) {
        fprintf(stderr, "confab pull: HF_TOKEN holds blanks or line breaks\n");
        return 1;
    }
    arena_init(&p.arena, 16u << 20);
    str what = str_c(p.what);
    bool plain_url = str_find(what, STR("://")) >= 0 &&
                     !str_starts(what, STR("https://huggingface.co/")) &&
                     !str_starts(what, STR("https://hf.co/"));
    if (!plain_url && !hub_read_ref(&ref, what, &p.arena, &e)) {
        complain(&e);
        code = 2;
    } else if (!p.list && !find_dir(&p, &e)) {
        code = complain(&e);
    } else {
        code = plain_url ? pull_url(&p) : pull_model(&p, &ref);
    }
    arena_fini(&p.arena);
    return code;
}
