/* base/file.c - see file.h. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_read(const char *path, struct buf *out, struct err *e)
{
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "open %s", path);

    bool ok = false;
    char block[16384];
    for (;;) {
        ssize_t n = read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err_errno(e, ERR_IO, "read %s", path);
            break;
        }
        if (n == 0) {
            ok = true;
            break;
        }
        if (!buf_put(out, block, (size_t)n)) {
            err_set(e, ERR_LIMIT, "%s is larger than the %zu bytes allowed here", path, out->max);
            break;
        }
    }
    if (!is_stdin)
        close(fd);
    return ok;
}

static bool write_all(int fd, str s)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        s = str_from(s, (size_t)n);
    }
    return true;
}

static bool replace(const char *path, str content, mode_t mode, struct err *e)
{
    char aside[PATH_MAX];
    int n = snprintf(aside, sizeof aside, "%s.tmp.%ld", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof aside)
        return err_set(e, ERR_INPUT, "the path %s is too long", path);

    int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0)
        return err_errno(e, ERR_IO, "create %s", aside);
    bool ok = write_all(fd, content) && fsync(fd) == 0;
    if (!ok)
        err_errno(e, ERR_IO, "write %s", aside);
    close(fd);
    if (ok && rename(aside, path) < 0)
        ok = err_errno(e, ERR_IO, "rename %s to %s", aside, path);
    if (!ok)
        unlink(aside);
    return ok;
}

bool file_replace(const char *path, str content, struct err *e)
{
    return replace(path, content, 0644, e);
}

bool file_replace_private(const char *path, str content, struct err *e)
{
    return replace(path, content, 0600, e);
}

bool file_make_dirs(const char *path, struct err *e)
{
    char part[PATH_MAX];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part)
        return err_set(e, ERR_INPUT, "the path '%s' is empty or too long", path);
    for (size_t i = 1; i <= n; i++) {
        if (i < n && path[i] != '/')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return err_errno(e, ERR_IO, "create the folder %s", part);
    }
    return true;
}
