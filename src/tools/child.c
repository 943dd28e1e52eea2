/* tools/child.c - see child.h. */
#include "tools/child.h"

#include "base/mem.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIECE      ((size_t)64 << 10)
#define FIRST_USER 61000 // numeric users without a name, one for each child that runs at a time
#define N_USERS    4000

struct tools_child {
    struct event_base *base;
    struct tools_child_conf conf;
    pid_t pid;
    int pidfd, in, out, err;
    struct event *on_in, *on_out, *on_err, *on_end;
    struct buf unsent;
    bool end_input, telling, stopped, exited;
    int status;
};

bool tools_child_find(const char *name, char out[512])
{
    const char *path = getenv("PATH");
    str list = str_c(path ? path : "/usr/local/bin:/usr/bin:/bin"), dir;
    if (strchr(name, '/')) {
        snprintf(out, 512, "%s", name);
        return access(name, X_OK) == 0;
    }
    while (str_cut(&list, ':', &dir)) {
        if (dir.n == 0)
            continue;
        int n = snprintf(out, 512, "%.*s/%s", STR_ARG(dir), name);
        if (n < 512 && access(out, X_OK) == 0)
            return true;
    }
    return false;
}

struct start {
    const struct tools_child_conf *conf;
    const char *path;
    int in, out, err;
    pid_t parent;
    unsigned user; // 0: stays who we are
};

static void bound(int what, size_t most)
{
    struct rlimit r = {most, most};
    if (most)
        setrlimit((__rlimit_resource_t)what, &r);
}

/* In the child, which shares our memory until it execs: system calls only. */
__attribute__((noreturn)) static void become(const struct start *s)
{
    const struct tools_child_conf *c = s->conf;
    sigset_t none;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != s->parent)
        _exit(127);
    // Past the low numbers first, so that none is overwritten before it is copied.
    int in = fcntl(s->in, F_DUPFD_CLOEXEC, 10), out = fcntl(s->out, F_DUPFD_CLOEXEC, 10),
        err = fcntl(s->err, F_DUPFD_CLOEXEC, 10),
        extra = c->extra_fd >= 0 ? fcntl(c->extra_fd, F_DUPFD_CLOEXEC, 10) : -1;
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0 ||
        (extra >= 0 && dup2(extra, 3) < 0))
        _exit(127);
    if (syscall(SYS_close_range, extra >= 0 ? 4U : 3U, ~0U, 0U) < 0)
        _exit(127);
    struct rlimit cpu = {(rlim_t)c->cpu_s,
                         (rlim_t)c->cpu_s + 1}; // a signal that tells, then the end
    if (c->cpu_s)
        setrlimit(RLIMIT_CPU, &cpu);
    bound(RLIMIT_AS, c->memory);
    bound(RLIMIT_FSIZE, c->file_size);
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    if (s->user) { // by the kernel's calls: the library's would change all threads
        if (syscall(SYS_setgroups, 0, NULL) < 0 ||
            syscall(SYS_setresgid, s->user, s->user, s->user) < 0 ||
            syscall(SYS_setresuid, s->user, s->user, s->user) < 0)
            _exit(127);
        prctl(PR_SET_PDEATHSIG, SIGKILL); // was cleared by that
    }
    for (int i = 1; i < 32; i++)
        if (i != SIGKILL && i != SIGSTOP)
            signal(i, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(s->path, (char *const *)c->argv, (char *const *)c->env);
    _exit(127);
}

/* vfork, since copying the page tables of a process that maps models takes long. */
__attribute__((noinline)) static pid_t spawn(const struct start *s)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); // no handler may run in the child
    pid_t pid = vfork();
    if (pid == 0)
        become(s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return pid;
}

static void drop_event(struct event **ev)
{
    if (*ev)
        event_free(*ev);
    *ev = NULL;
}

static void close_end(int *fd, struct event **ev)
{
    drop_event(ev);
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void child_free(struct tools_child *c)
{
    close_end(&c->in, &c->on_in);
    close_end(&c->out, &c->on_out);
    close_end(&c->err, &c->on_err);
    close_end(&c->pidfd, &c->on_end);
    buf_free(&c->unsent);
    mem_free(c);
}

/* All is told once both outputs are at their end and the process is gone. */
static void settle(struct tools_child *c)
{
    if (c->telling || c->stopped || !c->exited || c->out >= 0 || c->err >= 0)
        return;
    c->telling = true;
    c->conf.on_exit(c->status, c->conf.arg);
    c->telling = false;
    child_free(c);
}

static void read_some(struct tools_child *c, int *fd, struct event **ev,
                      void (*tell)(str bytes, void *arg))
{
    char piece[PIECE];
    ssize_t n = read(*fd, piece, sizeof piece);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        close_end(fd, ev);
        settle(c);
        return;
    }
    c->telling = true;
    if (tell)
        tell(str_n(piece, (size_t)n), c->conf.arg);
    c->telling = false;
    if (c->stopped)
        child_free(c);
}

static void on_out(evutil_socket_t fd, short what, void *arg)
{
    struct tools_child *c = arg;
    (void)fd;
    (void)what;
    read_some(c, &c->out, &c->on_out, c->conf.on_out);
}

static void on_err(evutil_socket_t fd, short what, void *arg)
{
    struct tools_child *c = arg;
    (void)fd;
    (void)what;
    read_some(c, &c->err, &c->on_err, c->conf.on_err);
}

static void on_in(evutil_socket_t fd, short what, void *arg)
{
    struct tools_child *c = arg;
    (void)what;
    ssize_t n = c->unsent.n ? send(fd, c->unsent.p, c->unsent.n, MSG_NOSIGNAL) : 0;
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n < 0) { // it reads no more
        close_end(&c->in, &c->on_in);
        return;
    }
    buf_consume(&c->unsent, (size_t)n);
    if (c->unsent.n)
        return;
    if (c->end_input)
        close_end(&c->in, &c->on_in);
    else
        event_del(c->on_in);
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
    struct tools_child *c = arg;
    (void)fd;
    (void)what;
    if (waitpid(c->pid, &c->status, WNOHANG) != c->pid)
        return;
    c->exited = true;
    close_end(&c->pidfd, &c->on_end);
    kill(-c->pid, SIGKILL); // what it left behind, so that the outputs end
    settle(c);
}

bool tools_child_start(struct tools_child **out, struct event_base *base,
                       const struct tools_child_conf *conf, struct err *e)
{
    static unsigned next_user;
    char path[512];
    int in[2] = {-1, -1}, outs[2] = {-1, -1}, errs[2] = {-1, -1};
    struct tools_child *c = NULL;
    if (!tools_child_find(conf->argv[0], path))
        return err_set(e, ERR_NOT_FOUND, "there is no program '%.200s'", conf->argv[0]);
    // Sockets for its input, so that writing to one that is gone raises no signal.
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) < 0 || pipe2(outs, O_CLOEXEC) < 0 ||
        pipe2(errs, O_CLOEXEC) < 0) {
        err_errno(e, ERR_IO, "make pipes for %s", conf->argv[0]);
        goto done;
    }
    fcntl(in[0], F_SETFL, O_NONBLOCK);
    fcntl(outs[0], F_SETFL, O_NONBLOCK);
    fcntl(errs[0], F_SETFL, O_NONBLOCK);
    struct start s = {.conf = conf,
                      .path = path,
                      .in = in[1],
                      .out = outs[1],
                      .err = errs[1],
                      .parent = getpid(),
                      .user =
                          conf->lower && geteuid() == 0 ? FIRST_USER + next_user++ % N_USERS : 0};
    pid_t pid = spawn(&s);
    if (pid < 0) {
        err_errno(e, ERR_IO, "start %s", conf->argv[0]);
        goto done;
    }
    c = mem_calloc(1, sizeof *c);
    *c = (struct tools_child){.base = base,
                              .conf = *conf,
                              .pid = pid,
                              .in = in[0],
                              .out = outs[0],
                              .err = errs[0],
                              .pidfd = (int)syscall(SYS_pidfd_open, pid, 0)};
    in[0] = outs[0] = errs[0] = -1;
    fcntl(c->pidfd, F_SETFD, FD_CLOEXEC);
    buf_init(&c->unsent, conf->max_unsent);
    c->on_in = event_new(base, c->in, EV_WRITE | EV_PERSIST, on_in, c);
    c->on_out = event_new(base, c->out, EV_READ | EV_PERSIST, on_out, c);
    c->on_err = event_new(base, c->err, EV_READ | EV_PERSIST, on_err, c);
    c->on_end = event_new(base, c->pidfd, EV_READ | EV_PERSIST, on_end, c);
    event_add(c->on_out, NULL);
    event_add(c->on_err, NULL);
    event_add(c->on_end, NULL);
    *out = c;
done:
    for (int i = 0; i < 2; i++) {
        if (in[i] >= 0)
            close(in[i]);
        if (outs[i] >= 0)
            close(outs[i]);
        if (errs[i] >= 0)
            close(errs[i]);
    }
    return c != NULL;
}

bool tools_child_write(struct tools_child *c, str bytes)
{
    if (c->in < 0 || c->end_input || !buf_str(&c->unsent, bytes))
        return false;
    event_add(c->on_in, NULL);
    return true;
}

void tools_child_end_input(struct tools_child *c)
{
    if (c->in < 0)
        return;
    c->end_input = true;
    event_add(c->on_in, NULL);
}

void tools_child_stop(struct tools_child *c)
{
    if (!c)
        return;
    if (!c->exited) {
        kill(-c->pid, SIGKILL);
        kill(c->pid, SIGKILL);          // if it has not come to its own group yet
        waitpid(c->pid, &c->status, 0); // nothing outlives that signal for long
        c->exited = true;
    }
    c->stopped = true;
    if (!c->telling)
        child_free(c);
}
