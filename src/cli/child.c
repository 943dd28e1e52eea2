/* cli/child.c - see child.h. */
#include "cli/child.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY      "confab is ready at "
#define STDOUT_MAX 65536

/* In the child, between fork and exec: system calls only.  fork and not posix_spawn, which cannot
 * ask for a signal when the parent dies. */
static void become_server(const char *model, int out, int log, pid_t parent)
{
    const char *argv[] = {"confab", "serve", "-m",    model,  "--host", "127.0.0.1",
                          "--port", "0",     "--log", "warn", NULL};
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent || null < 0)
        _exit(127);
    dup2(null, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execv("/proc/self/exe", (char *const *)argv);
    _exit(127);
}

/* The last line of what it wrote to its standard error. */
static void last_words(int log, struct err *e)
{
    char text[4096];
    off_t end = lseek(log, 0, SEEK_END);
    off_t from = end > (off_t)sizeof text ? end - (off_t)sizeof text : 0;
    ssize_t n = pread(log, text, sizeof text, from);
    str s = str_trim(str_n(text, n > 0 ? (size_t)n : 0));
    s = str_from(s, (size_t)(str_rchr(s, '\n') + 1));
    if (s.n)
        err_set(e, ERR_INPUT, "the server did not start: %.*s", STR_ARG(s));
    else
        err_set(e, ERR_IO, "the server did not start, and did not say why");
}

/* Takes the address out of the line that says it is ready. */
static bool find_url(struct child *c, str said)
{
    ptrdiff_t at = str_find(said, STR(READY));
    if (at < 0)
        return false;
    str rest = str_from(said, (size_t)at + strlen(READY)), line;
    if (str_chr(rest, '\n') < 0)
        return false;
    str_cut(&rest, '\n', &line);
    size_t n = 0;
    while (n < line.n && (unsigned char)line.p[n] > ' ')
        n++;
    while (n > 0 && line.p[n - 1] == '/')
        n--;
    snprintf(c->url, sizeof c->url, "%.*s", (int)n, line.p);
    return true;
}

static bool wait_ready(struct child *c, bool (*stop)(void), struct err *e)
{
    struct buf said = BUF_INIT(STDOUT_MAX);
    bool ready = false;
    e->code = ERR_NONE;
    while (!ready) {
        struct pollfd p = {.fd = c->out, .events = POLLIN};
        int rc = poll(&p, 1, 200);
        if (stop()) {
            err_set(e, ERR_CANCELED, "stopped");
            break;
        }
        if (rc <= 0)
            continue;
        char *to = buf_reserve(&said, 1024);
        ssize_t n = to ? read(c->out, to, 1024) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        said.n += (size_t)n;
        ready = find_url(c, buf_as_str(&said));
    }
    buf_free(&said);
    if (!ready) {
        bool canceled = e->code == ERR_CANCELED;
        child_stop(c);
        if (!canceled)
            last_words(c->log, e);
    }
    return ready;
}

bool child_start(struct child *c, const char *model, bool (*stop)(void), struct err *e)
{
    int ends[2];
    *c = (struct child){.out = -1, .log = memfd_create("confab-serve-log", MFD_CLOEXEC)};
    if (c->log < 0)
        return err_errno(e, ERR_IO, "make a file in memory");
    if (pipe2(ends, O_CLOEXEC) < 0) {
        err_errno(e, ERR_IO, "make a pipe");
        close(c->log);
        return false;
    }
    pid_t parent = getpid();
    c->out = ends[0];
    c->pid = fork();
    if (c->pid == 0)
        become_server(model, ends[1], c->log, parent);
    close(ends[1]);
    bool ok;
    if (c->pid < 0) {
        c->pid = 0;
        ok = err_errno(e, ERR_IO, "start the server");
        child_stop(c);
    } else {
        ok = wait_ready(c, stop, e);
    }
    if (!ok)
        close(c->log);
    return ok;
}

void child_stop(struct child *c)
{
    if (c->pid > 0) {
        int status;
        kill(c->pid, SIGTERM);
        for (int i = 0; waitpid(c->pid, &status, WNOHANG) == 0; i++) {
            poll(NULL, 0, 20);
            if (i == 100) // it drains; nobody is left to wait for
                kill(c->pid, SIGKILL);
        }
        c->pid = 0;
    }
    if (c->out >= 0)
        close(c->out);
    c->out = -1;
}
