/* tools/servers.c - the MCP servers of the operator, as the options name them. */
#include "tools/tools_int.h"

#include "base/mem.h"

#define MESSAGE_MAX ((size_t)4 << 20)

/* "NAME=REST" */
static bool split_name(str text, const char *option, char name[64], str *rest, struct err *e)
{
    str head;
    bool plain = true;
    *rest = text;
    str_cut(rest, '=', &head);
    for (size_t i = 0; i < head.n; i++)
        plain &= (head.p[i] >= 'a' && head.p[i] <= 'z') || (head.p[i] >= 'A' && head.p[i] <= 'Z') ||
                 (head.p[i] >= '0' && head.p[i] <= '9') || head.p[i] == '_' || head.p[i] == '-';
    if (!plain || head.n == 0 || head.n > 48 || rest->n == 0)
        return err_set(e, ERR_INPUT,
                       "--%s %.*s: write NAME=..., the name of letters, digits, _ and -", option,
                       STR_ARG(str_sub(text, 0, 60)));
    snprintf(name, 64, "%.*s", STR_ARG(head));
    return true;
}

/* Words as a shell has them: blanks part them, quotes and backslashes keep them. */
static bool split_words(str text, char **argv, size_t max, struct err *e)
{
    size_t n = 0;
    struct buf word = BUF_INIT(65536);
    bool in_word = false, ok = true;
    char quote = 0;
    for (size_t i = 0; i <= text.n && ok; i++) {
        char c = i < text.n ? text.p[i] : ' ';
        bool blank = c == ' ' || c == '\t' || c == '\n';
        if (blank && (!quote || i == text.n)) {
            if (in_word && n + 1 < max)
                argv[n++] = mem_strdup(buf_as_str(&word));
            else if (in_word)
                ok = err_set(e, ERR_INPUT, "a command of more than %zu words", max - 1);
            in_word = false;
            buf_clear(&word);
            continue;
        }
        in_word = true;
        if (quote && c == quote)
            quote = 0;
        else if (!quote && (c == '\'' || c == '"'))
            quote = c;
        else if (c == '\\' && quote != '\'' && i + 1 < text.n)
            buf_char(&word, text.p[++i]);
        else
            buf_char(&word, c);
    }
    argv[n] = NULL;
    buf_free(&word);
    if (ok && quote)
        ok = err_set(e, ERR_INPUT, "a quote is not closed: %.*s", STR_ARG(str_sub(text, 0, 100)));
    if (ok && n == 0)
        ok = err_set(e, ERR_INPUT, "there is no command");
    if (!ok)
        for (size_t i = 0; i < n; i++)
            mem_free(argv[i]);
    return ok;
}

static bool add_server(struct tools *t, const char *name, const char *url,
                       const char *const *headers, char **argv, str command, struct err *e)
{
    for (int i = 0; i < t->n_servers; i++)
        if (strcmp(t->servers[i].name, name) == 0)
            return err_set(e, ERR_INPUT, "two MCP servers are called %s", name);
    if (t->n_servers == TOOLS_SERVERS_MAX)
        return err_set(e, ERR_INPUT, "more than %d MCP servers", TOOLS_SERVERS_MAX);
    struct tools_server *s = &t->servers[t->n_servers++];
    snprintf(s->name, sizeof s->name, "%s", name);
    s->command = command.n ? mem_strdup(str_trim(command)) : NULL;
    s->mcp = mcp_open(&(struct mcp_conf){.name = name,
                                         .base = t->conf.base,
                                         .url = url,
                                         .fetcher = t->inside,
                                         .headers = headers,
                                         .argv = (const char *const *)argv,
                                         .list_timeout_ms = 30000,
                                         .call_timeout_ms = t->conf.call_timeout_ms,
                                         .max_message = MESSAGE_MAX});
    return true;
}

static bool open_programs(struct tools *t, const struct tools_conf *c, struct err *e)
{
    for (size_t i = 0; i < c->n_mcp_stdio; i++) {
        char name[64], *argv[64];
        str command;
        if (!split_name(c->mcp_stdio[i], "mcp-stdio", name, &command, e) ||
            !split_words(command, argv, COUNT(argv), e))
            return false;
        bool ok = add_server(t, name, NULL, NULL, argv, command, e);
        for (size_t k = 0; argv[k]; k++)
            mem_free(argv[k]);
        if (!ok)
            return false;
    }
    return true;
}

#define HEADERS_MAX 16

static bool open_urls(struct tools *t, const struct tools_conf *c, struct err *e)
{
    for (size_t i = 0; i < c->n_mcp_http; i++) {
        char name[64], other[64], *headers[HEADERS_MAX + 1] = {NULL};
        str url, header;
        size_t n = 0;
        if (!split_name(c->mcp_http[i], "mcp-http", name, &url, e) || !address_check_url(url, e))
            return false;
        for (size_t k = 0; k < c->n_mcp_headers && n < HEADERS_MAX; k++) {
            if (!split_name(c->mcp_headers[k], "mcp-header", other, &header, e))
                return false;
            if (strcmp(name, other) == 0)
                headers[n++] = mem_strdup(header);
        }
        char *copy = mem_strdup(url);
        bool ok = add_server(t, name, copy, (const char *const *)headers, NULL, STR(""), e);
        mem_free(copy);
        for (size_t k = 0; k < n; k++)
            mem_free(headers[k]);
        if (!ok)
            return false;
    }
    return true;
}

bool tools_servers_open(struct tools *t, const struct tools_conf *c, struct err *e)
{
    return open_programs(t, c, e) && open_urls(t, c, e);
}

bool tools_takes_servers(const struct tools *t)
{
    return t->conf.mcp_requests;
}

bool tools_has_server(const struct tools *t, str name)
{
    for (int i = 0; i < t->n_servers; i++)
        if (str_eqc(name, t->servers[i].name))
            return true;
    return false;
}

str tools_server_of_command(const struct tools *t, str command)
{
    for (int i = 0; i < t->n_servers; i++)
        if (t->servers[i].command && str_eqc(str_trim(command), t->servers[i].command))
            return str_c(t->servers[i].name);
    return STR("");
}
