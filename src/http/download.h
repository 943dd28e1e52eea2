/* http/download.h - a file from a URL: resumed, verified, and there only when it is whole.
 *
 * Threads: any; blocks the calling one. */
#ifndef HTTP_DOWNLOAD_H
#define HTTP_DOWNLOAD_H

#include "base/buf.h"
#include "base/err.h"

struct http_download {
    const char *url;
    const char *const *headers; // as in struct http_call
    const char *path;           // where the file will be; grows as path.part until it is whole
    uint64_t size;              // what it must have; 0: unknown
    const char *sha256;         // 64 hex digits, or NULL: then nothing is resumed between runs
    uint64_t max_size;          // 0: none
    int retries;                // in a row without a new byte
    int retry_ms;               // the first wait; doubles up to a minute.  0: 500

    /* Several times a second, also while waiting; false stops (the part stays).  May be NULL.
     * total is 0 while unknown. */
    bool (*on_progress)(uint64_t have, uint64_t total, void *arg);
    /* Something failed and is tried again.  May be NULL. */
    void (*on_retry)(const char *why, int wait_ms, void *arg);
    void *arg;
};

/* Fetches it.  On success the file stands under its name, and is on the disk.
 *   status  the HTTP status of the last answer, or 0; set on failure too
 *   ERR_BUSY (another process is at it), ERR_FORMAT (digest or size are wrong; the part is
 * removed), ERR_NOT_FOUND, ERR_DENIED, ERR_LIMIT, ERR_IO, ERR_TIMEOUT, ERR_CANCELED */
MUST_CHECK bool http_download(const struct http_download *d, int *status, struct err *e);

/* The SHA-256 of a file as 64 hex digits and a NUL.  ERR_IO. */
MUST_CHECK bool http_file_sha256(const char *path, char out[65], struct err *e);

#endif
