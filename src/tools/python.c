/* tools/python.c - code:python-interpreter: a program in the sandbox, and what it wrote. */
#include "tools/args.h"
#include "tools/mcp_message.h"
#include "tools/sandbox.h"
#include "tools/tools_int.h"

#include "base/mem.h"

#include <event2/event.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CODE_MAX   ((size_t)256 << 10)
#define OUTPUT_MAX ((size_t)64 << 10) // of each of its two outputs; more is dropped
#define MEMORY     ((size_t)512 << 20)
#define FLOOD_MAX  ((size_t)64 << 20) // bytes it may write before it is stopped

/* Bounds that only the program itself can set take hold before its first line. */
static const char bootstrap[] = "import resource as r, runpy, sys\n"
                                "r.setrlimit(r.RLIMIT_NPROC, (4, 4))\n"
                                "r.setrlimit(r.RLIMIT_NOFILE, (64, 64))\n"
                                "sys.argv = ['main.py']\n"
                                "del r\n"
                                "runpy.run_path('/work/main.py', run_name='__main__')\n";

struct python {
    struct tools_job *job;
    struct tools_child *child;
    struct buf out, err;
    size_t n_written;
    struct event *timer;
};

const char *tools_python_missing(const struct tools *t)
{
    (void)t;
    if (!sandbox_works())
        return "bubblewrap is missing or may not work here";
    return sandbox_has("/usr/bin/python3") ? NULL : "there is no /usr/bin/python3";
}

void tools_python_stop(struct tools_job *job)
{
    struct python *p = job->own;
    tools_child_stop(p->child);
    event_free(p->timer);
    buf_free(&p->out);
    buf_free(&p->err);
    mem_free(p);
    job->own = NULL;
}

static void set_text(json_t *v, const char *name, const struct buf *b, bool cut)
{
    struct buf out = BUF_INIT(OUTPUT_MAX + 100);
    buf_str(&out, buf_as_str(b));
    if (cut)
        buf_c(&out, "\n[cut]");
    json_object_set_new(v, name, json_from_str(buf_as_str(&out)));
    buf_free(&out);
}

/* Lets what fits through; the rest is dropped. */
static void keep(struct python *p, struct buf *to, str bytes)
{
    struct err e;
    p->n_written += bytes.n;
    buf_str(to, str_sub(bytes, 0, to->max - to->n));
    if (p->n_written > FLOOD_MAX && !p->job->ended) {
        tools_child_stop(p->child);
        p->child = NULL;
        err_set(&e, ERR_LIMIT, "the program wrote more than %zu MiB and was stopped",
                FLOOD_MAX >> 20);
        tools_job_fail(p->job, &e);
    }
}

static void on_out(str bytes, void *arg)
{
    struct python *p = arg;
    keep(p, &p->out, bytes);
}

static void on_err(str bytes, void *arg)
{
    struct python *p = arg;
    keep(p, &p->err, bytes);
}

static void on_exit_(int status, void *arg)
{
    struct python *p = arg;
    struct tools_job *job = p->job;
    struct err e;
    p->child = NULL;
    if (job->ended)
        return;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (code == 128 + SIGXCPU)
        err_set(&e, ERR_TIMEOUT, "the program used more than %d seconds of computing time",
                job->session->tools->conf.python_cpu_s);
    else if (WIFSIGNALED(status) || code == 128 + SIGKILL)
        err_set(&e, ERR_LIMIT, "the program was killed, by itself or for what it used");
    if (WIFSIGNALED(status) || code == 128 + SIGXCPU || code == 128 + SIGKILL) {
        tools_job_fail(job, &e);
        return;
    }
    json_t *v = json_object();
    set_text(v, "stdout", &p->out, p->out.n == p->out.max);
    set_text(v, "stderr", &p->err, p->err.n == p->err.max);
    json_object_set_new(v, "exit_code", json_integer(code));
    struct buf text = BUF_INIT(OUTPUT_MAX * 8);
    json_write(&text, v, JSON_PYTHON, -1);
    mcp_append_cut(&job->text, buf_as_str(&text), tools_job_max(job));
    buf_free(&text);
    json_decref(v);
    tools_job_end(job, CHAT_FAULT_NONE);
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
    struct python *p = arg;
    struct err e;
    (void)fd;
    (void)what;
    if (p->job->ended)
        return;
    tools_child_stop(p->child);
    p->child = NULL;
    err_set(&e, ERR_TIMEOUT, "the program was stopped after %d seconds",
            p->job->session->tools->conf.python_wall_ms / 1000);
    tools_job_fail(p->job, &e);
}

/* The code in memory, to be read from its start. */
static int code_fd(str code, struct err *e)
{
    int fd = memfd_create("code", MFD_CLOEXEC);
    if (fd < 0 || write(fd, code.p, code.n) != (ssize_t)code.n || lseek(fd, 0, SEEK_SET) != 0) {
        err_errno(e, ERR_IO, "hold the program");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

void tools_python_start(struct tools_job *job)
{
    static const char *const program[] = {"/usr/bin/python3", "-I", "-B", "-X", "utf8", "-c",
                                          bootstrap,          NULL};
    const char *argv[SANDBOX_ARGS];
    const struct tools_conf *tc = &job->session->tools->conf;
    struct timeval wall = {tc->python_wall_ms / 1000, tc->python_wall_ms % 1000 * 1000};
    struct err e;
    str code;
    int fd = -1;
    if (args_str(job->args, "code", true, &code, &e)) {
        if (code.n > CODE_MAX)
            err_set(&e, ERR_INPUT, "the program is longer than %zu bytes", CODE_MAX);
        else if (code.n == 0)
            err_set(&e, ERR_INPUT, "the program is empty");
        else
            fd = code_fd(code, &e);
    }
    if (fd < 0) {
        tools_job_fail(job, &e);
        return;
    }
    struct python *p = mem_calloc(1, sizeof *p);
    p->job = job;
    job->own = p;
    buf_init(&p->out, OUTPUT_MAX);
    buf_init(&p->err, OUTPUT_MAX);
    p->timer = evtimer_new(job->session->tools->conf.base, on_time, p);
    event_add(p->timer, &wall);
    sandbox_argv(program, true, argv);
    struct tools_child_conf conf = {.argv = argv,
                                    .env = sandbox_env,
                                    .extra_fd = fd,
                                    .cpu_s = tc->python_cpu_s,
                                    .memory = MEMORY,
                                    .file_size = (size_t)64 << 20,
                                    .lower = true,
                                    .on_out = on_out,
                                    .on_err = on_err,
                                    .on_exit = on_exit_,
                                    .arg = p};
    bool ok = tools_child_start(&p->child, job->session->tools->conf.base, &conf, &e);
    close(fd);
    if (ok)
        tools_child_end_input(p->child);
    else
        tools_job_fail(job, &e);
}
