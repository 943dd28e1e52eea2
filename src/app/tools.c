/* app/tools.c - the tools that run on this server, by the options; their metrics. */
#include "app/app_int.h"

static bool policy_of(str word, enum tools_policy *out)
{
    static const char *const words[] = {
        [TOOLS_RUN] = "run", [TOOLS_ASK] = "ask", [TOOLS_REFUSE] = "refuse"};
    for (size_t i = 0; i < COUNT(words); i++)
        if (str_eqc(word, words[i])) {
            *out = (enum tools_policy)i;
            return true;
        }
    return false;
}

bool app_tools_open(struct app *a, struct err *e)
{
    const struct config *c = a->config;
    struct tools_conf tc = tools_conf_default();
    tc.base = a->base;
    tc.data = c->data.n ? c->data.p : NULL;
    tc.enabled = c->tools;
    tc.policies = c->tool_policy;
    tc.allow_net = c->allow_net;
    tc.search_url = c->search_url;
    tc.mcp_stdio = c->mcp_stdio.item;
    tc.n_mcp_stdio = (size_t)c->mcp_stdio.n;
    tc.mcp_http = c->mcp_http.item;
    tc.n_mcp_http = (size_t)c->mcp_http.n;
    tc.mcp_headers = c->mcp_header.item;
    tc.n_mcp_headers = (size_t)c->mcp_header.n;
    tc.mcp_oauth = c->mcp_oauth.item;
    tc.n_mcp_oauth = (size_t)c->mcp_oauth.n;
    tc.mcp_requests = c->mcp_requests;
    tc.call_timeout_ms = (int)c->tool_timeout_s * 1000;
    tc.approval_timeout_ms = (int)c->tool_approval_s * 1000;
    tc.max_rounds = (int)c->tool_rounds;
    if (!policy_of(c->mcp_changed, &tc.mcp_changed))
        return err_set(e, ERR_INPUT, "--mcp-changed must be run, ask or refuse, not '%.*s'",
                       STR_ARG(c->mcp_changed));
    if (!str_eqc(c->zylon_results, "full") && !str_eqc(c->zylon_results, "client"))
        return err_set(e, ERR_INPUT, "--zylon-results must be full or client, not '%.*s'",
                       STR_ARG(c->zylon_results));
    return tools_open(&a->tools, &tc, e);
}

void app_tools_metrics(const struct app *a, struct buf *out)
{
    static const struct {
        const char *name, *help;
    } rows[] = {{"calls", "calls of tools that run here"},
                {"faults", "... that failed, were refused or took too long"},
                {"result_bytes", "... bytes of their results"},
                {"seconds", "... time until their results"}};
    struct tools_counts c;
    for (size_t k = 0; k < COUNT(rows); k++) {
        buf_printf(out, "# HELP confab_tool_%s_total %s\n# TYPE confab_tool_%s_total counter\n",
                   rows[k].name, rows[k].help, rows[k].name);
        for (size_t i = 0; tools_counts(a->tools, i, &c); i++) {
            const double values[] = {(double)c.calls, (double)c.faults, (double)c.bytes, c.seconds};
            // Names are plain: of built-in tools, and of servers as the options allow them.
            buf_printf(out, "confab_tool_%s_total{tool=\"%s\"} %.15g\n", rows[k].name, c.tool,
                       values[k]);
        }
    }
    buf_printf(out,
               "# HELP confab_tools_live calls of tools that run now\n"
               "# TYPE confab_tools_live gauge\nconfab_tools_live %d\n",
               tools_live(a->tools));
}
