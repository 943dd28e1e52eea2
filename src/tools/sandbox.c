/* tools/sandbox.c - see sandbox.h. */
#include "tools/sandbox.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

const char *const sandbox_env[] = {"PATH=/usr/bin:/bin", NULL};

void sandbox_argv(const char *const *program, bool with_code, const char *argv[SANDBOX_ARGS])
{
    static const char *const fixed[] = {"bwrap",
                                        "--unshare-user",
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

bool sandbox_works(void)
{
    static int known; // 1: yes, -1: no.  Asked from the loop thread alone
    const char *argv[SANDBOX_ARGS];
    static const char *const probe[] = {"/usr/bin/true", NULL};
    char path[512];
    int status = -1;
    pid_t pid;
    if (known)
        return known > 0;
    known = -1;
    if (!tools_child_find("bwrap", path))
        return false;
    sandbox_argv(probe, false, argv);
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
    if (posix_spawn(&pid, path, &quiet, NULL, (char *const *)argv, (char *const *)sandbox_env) ==
            0 &&
        waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        known = 1;
    posix_spawn_file_actions_destroy(&quiet);
    return known > 0;
}
