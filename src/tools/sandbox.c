/* tools/sandbox.c - see sandbox.h. */
#include "tools/sandbox.h"

#include <event2/event.h>
#include <sys/wait.h>
#include <unistd.h>

const char *const sandbox_env[] = {"PATH=/usr/bin:/bin", NULL};

void sandbox_argv(const char *const *program, bool with_code, const char *argv[SANDBOX_ARGS])
{
    static const char *const fixed[] = {"bwrap",
                                        "--unshare-user",
                                        "--disable-userns",
                                        "--unshare-pid",
                                        "--unshare-net",
                                        "--unshare-ipc",
                                        "--unshare-uts",
                                        "--unshare-cgroup-try",
                                        "--die-with-parent",
                                        "--new-session",
                                        "--cap-drop",
                                        "ALL",
                                        "--hostname",
                                        "sandbox",
                                        "--uid",
                                        "65534",
                                        "--gid",
                                        "65534",
                                        "--ro-bind",
                                        "/usr",
                                        "/usr",
                                        "--symlink",
                                        "usr/bin",
                                        "/bin",
                                        "--symlink",
                                        "usr/lib",
                                        "/lib",
                                        "--symlink",
                                        "usr/lib64",
                                        "/lib64",
                                        "--ro-bind-try",
                                        "/etc/alternatives",
                                        "/etc/alternatives",
                                        "--ro-bind-try",
                                        "/etc/fonts",
                                        "/etc/fonts",
                                        "--proc",
                                        "/proc",
                                        "--dev",
                                        "/dev",
                                        "--size",
                                        "33554432",
                                        "--tmpfs",
                                        "/tmp",
                                        "--size",
                                        "67108864",
                                        "--tmpfs",
                                        "/work",
                                        "--chdir",
                                        "/work",
                                        "--clearenv",
                                        "--setenv",
                                        "PATH",
                                        "/usr/bin:/bin",
                                        "--setenv",
                                        "HOME",
                                        "/work",
                                        "--setenv",
                                        "LANG",
                                        "C.UTF-8",
                                        "--setenv",
                                        "OPENBLAS_NUM_THREADS",
                                        "1"};
    size_t n = 0;
    for (size_t i = 0; i < COUNT(fixed); i++)
        argv[n++] = fixed[i];
    if (with_code) {
        argv[n++] = "--file";
        argv[n++] = "3";
        argv[n++] = "/work/main.py";
    }
    argv[n++] = "--remount-ro";
    argv[n++] = "/";
    argv[n++] = "--";
    while (*program && n < SANDBOX_ARGS - 1)
        argv[n++] = *program++;
    argv[n] = NULL;
}

bool sandbox_has(const char *path)
{
    return access(path, X_OK) == 0;
}

struct probe {
    struct event_base *base;
    bool worked;
};

static void on_exit_(int status, void *arg)
{
    struct probe *p = arg;
    p->worked = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    event_base_loopbreak(p->base);
}

/* Runs nothing in it, as what runs there later is run. */
static bool try_it(void)
{
    static const char *const nothing[] = {"/usr/bin/true", NULL};
    static const struct timeval long_enough = {10, 0};
    const char *argv[SANDBOX_ARGS];
    struct probe p = {.base = event_base_new()};
    struct tools_child_conf conf = {.argv = argv,
                                    .env = sandbox_env,
                                    .extra_fd = -1,
                                    .memory = (size_t)512 << 20,
                                    .lower = true,
                                    .on_exit = on_exit_,
                                    .arg = &p};
    struct tools_child *c = NULL;
    struct err e;
    sandbox_argv(nothing, false, argv);
    if (p.base && tools_child_start(&c, p.base, &conf, &e)) {
        event_base_loopexit(p.base, &long_enough);
        event_base_dispatch(p.base);
        if (event_base_got_exit(p.base))
            tools_child_stop(c);
    }
    if (p.base)
        event_base_free(p.base);
    return p.worked;
}

bool sandbox_works(void)
{
    static int known; // 1: yes, -1: no.  Asked from the loop thread alone
    char path[512];
    if (!known)
        known = tools_child_find("bwrap", path) && try_it() ? 1 : -1;
    return known > 0;
}
