/* tools/mcp_stdio.c - MCP servers that are programs of this machine: one message a line on their
 * standard input and output.
 *
 * Source: modelcontextprotocol.io, "Transports", stdio. */
#include "tools/mcp_int.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>
#include <sys/wait.h>

#define RESTART_MS 1000 // a program is not started more often

static void on_out(str bytes, void *arg)
{
    struct mcp *m = arg;
    while (bytes.n && m->state != MCP_DOWN) {
        ptrdiff_t at = str_chr(bytes, '\n');
        str piece = at >= 0 ? str_sub(bytes, 0, (size_t)at) : bytes;
        bytes = str_from(bytes, piece.n + (at >= 0));
        if (!buf_str(&m->line, piece)) {
            struct err e;
            err_set(&e, ERR_LIMIT, "it sends a message of more than %zu bytes",
                    m->conf.max_message);
            mcp_lose(m, &e);
            return;
        }
        if (at < 0)
            return;
        struct buf line = m->line; // taking it may end all this
        buf_init(&m->line, m->conf.max_message);
        if (str_trim(buf_as_str(&line)).n)
            mcp_take(m, buf_as_str(&line));
        buf_free(&line);
    }
}

static void on_err(str bytes, void *arg)
{
    struct mcp *m = arg;
    char text[600];
    if (log_enabled(LOG_DEBUG, "tools.mcp_says"))
        log_debug("tools.mcp_says", "server=%s text=%s", m->name,
                  log_quote(text, sizeof text, str_sub(str_trim(bytes), 0, 300)));
}

static void on_exit_(int status, void *arg)
{
    struct mcp *m = arg;
    struct err e;
    m->child = NULL; // frees itself
    if (WIFSIGNALED(status))
        err_set(&e, ERR_IO, "it died of signal %d", WTERMSIG(status));
    else
        err_set(&e, ERR_IO, "it ended with status %d", WEXITSTATUS(status));
    mcp_lose(m, &e);
}

static bool start_child(struct mcp *m, struct err *e)
{
    static const char *const kept[] = {"PATH", "HOME", "LANG", "LC_ALL", "USER", "TMPDIR"};
    char text[COUNT(kept)][1024];
    const char *env[COUNT(kept) + 1];
    size_t n = 0;
    uint64_t now = clock_mono_ms();
    if (m->started_ms && now - m->started_ms < RESTART_MS)
        return err_set(e, ERR_IO, "it has just ended; it is started again in a second");
    m->started_ms = now ? now : 1;
    for (size_t i = 0; i < COUNT(kept); i++) {
        const char *v = getenv(kept[i]);
        if (v && snprintf(text[n], sizeof text[n], "%s=%s", kept[i], v) < (int)sizeof text[n]) {
            env[n] = text[n];
            n++;
        }
    }
    env[n] = NULL;
    return tools_child_start(&m->child, m->conf.base,
                             &(struct tools_child_conf){
                                 .argv = (const char *const *)m->argv,
                                 .env = env,
                                 .extra_fd = -1,
                                 .max_unsent = m->conf.max_message * 2,
                                 .on_out = on_out,
                                 .on_err = on_err,
                                 .on_exit = on_exit_,
                                 .arg = m,
                             },
                             e);
}

static bool open_program(struct mcp *m, struct err *e)
{
    if (!start_child(m, e))
        return false;
    mcp_greet(m);
    return true;
}

static void down(struct mcp *m)
{
    tools_child_stop(m->child);
    m->child = NULL;
    buf_clear(&m->line);
}

static bool write_line(struct mcp *m, struct mcp_request *r, const char *method, str message,
                       struct err *e)
{
    struct buf line = BUF_INIT(m->conf.max_message + 1);
    (void)r;
    (void)method;
    buf_str(&line, message);
    buf_char(&line, '\n');
    bool ok = (m->child && tools_child_write(m->child, buf_as_str(&line))) ||
              err_set(e, ERR_IO, "it reads no more");
    buf_free(&line);
    return ok;
}

static void drop(struct mcp_request *r)
{
    (void)r;
}

const struct mcp_transport mcp_stdio = {
    .open = open_program, .down = down, .send = write_line, .drop = drop, .leave = down};
