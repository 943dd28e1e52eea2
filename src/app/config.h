/* app/config.h - the server's options: one table gives flag, environment variable, file key, help
 * and docs/config.md. Threads: read at start, constant afterwards. */
#ifndef APP_CONFIG_H
#define APP_CONFIG_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

struct config_model {
    str name, path; // name may be empty: taken from the file
};

#define CONFIG_MODELS_MAX 16
#define CONFIG_LIST_MAX   64

struct config_list {
    str item[CONFIG_LIST_MAX];
    int n;
};

struct config {
    struct arena arena; // owns the texts below
    struct config_model models[CONFIG_MODELS_MAX];
    int n_models;
    str host, data, chat_template, call_format, cpu_mask, kv_type, log;
    int64_t port, ctx, threads, kv_tokens, memory_mib, max_seqs, queue, gap_ms, max_rows;
    int64_t drafts, draft_rows;
    int64_t timeout_s, keep_alive_s, drain_s, max_body_mib, max_connections, prep_threads;
    int64_t keep_for_s, keep_disk_mib, keep_memory_mib, keep_memory_for_s;
    bool cors, log_requests, unsafe_listen;
    str tools, tool_policy, allow_net, search_url, mcp_changed, zylon_results;
    int64_t tool_timeout_s, tool_approval_s, tool_rounds;
    bool mcp_requests;
    struct config_list mcp_stdio, mcp_http, mcp_header, mcp_oauth;
    bool help;
};

/* Defaults, then the file (--config or CONFAB_CONFIG), then the environment, then the arguments
 * (argv[0] is skipped).  ERR_INPUT names the option, the place and what is allowed. */
MUST_CHECK bool config_read(struct config *c, int argc, char **argv, struct err *e);
void config_free(struct config *c);

void config_help(struct buf *out);     // what --help prints
void config_markdown(struct buf *out); // docs/config.md

#endif
