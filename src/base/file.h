/* base/file.h - whole files.  Any thread. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buf.h"
#include "base/err.h"

/* Appends the file (or standard input for "-") to *out; more than out->max is ERR_LIMIT.
 * ERR_NOT_FOUND, ERR_IO. */
MUST_CHECK bool file_read(const char *path, struct buf *out, struct err *e);

/* Replaces path in one step: writes aside, fsync, rename.  A reader sees the old or the new file,
 * never a part.  ERR_IO (nothing is left behind). */
MUST_CHECK bool file_replace(const char *path, str content, struct err *e);

/* The same, and only the owner may read it (mode 0600). */
MUST_CHECK bool file_replace_private(const char *path, str content, struct err *e);

/* mkdir -p with mode 0700 for what is missing. */
MUST_CHECK bool file_make_dirs(const char *path, struct err *e);

#endif
