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

/* c: what is to be known of the server beside what all have. */
static bool add_server(struct tools *t, const struct mcp_conf *c, str command, struct err *e)
{
    struct mcp_conf conf = *c;
    const char *name = c->name;
    for (int i = 0; i < t->n_servers; i++)
        if (strcmp(t->servers[i].name, name) == 0)
            return err_set(e, ERR_INPUT, "two MCP servers are called %s", name);
    if (t->n_servers == TOOLS_SERVERS_MAX)
        return err_set(e, ERR_INPUT, "more than %d MCP servers", TOOLS_SERVERS_MAX);
    struct tools_server *s = &t->servers[t->n_servers++];
    snprintf(s->name, sizeof s->name, "%s", name);
    s->command = command.n ? mem_strdup(str_trim(command)) : NULL;
    conf.base = t->conf.base;
    conf.fetcher = t->inside;
    conf.list_timeout_ms = 30000;
    conf.call_timeout_ms = t->conf.call_timeout_ms;
    conf.max_message = MESSAGE_MAX;
    s->mcp = mcp_open(&conf);
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
        struct mcp_conf conf = {.name = name, .argv = (const char *const *)argv};
        bool ok = add_server(t, &conf, command, e);
        for (size_t k = 0; argv[k]; k++)
            mem_free(argv[k]);
        if (!ok)
            return false;
    }
    return true;
}

bool tools_url_is_events(str url)
{
    size_t n = 0;
    while (n < url.n && !strchr("?#", url.p[n]))
        n++;
    str path = str_sub(url, 0, n);
    return str_ends(path, STR("/sse")) || str_find(path, STR("/sse/")) >= 0;
}

#define HEADERS_MAX 16
#define WORDS_MAX   16

/* What the options say of one server over HTTP, beside its URL. */
struct about {
    char *headers[HEADERS_MAX + 1];
    size_t n_headers;
    char *words[WORDS_MAX]; // of --mcp-oauth, ended by NULL; or none
};

static void forget(struct about *a)
{
    for (size_t i = 0; i < a->n_headers; i++)
        mem_free(a->headers[i]);
    for (size_t i = 0; i < WORDS_MAX && a->words[i]; i++)
        mem_free(a->words[i]);
}

/* "TOKEN-URL client_id=..." as words. */
static bool read_oauth(char **words, struct mcp_oauth_conf *out, struct err *e)
{
    const struct {
        const char *key;
        const char **to;
    } keys[] = {{"client_id=", &out->client_id},
                {"client_secret=", &out->client_secret},
                {"refresh_token=", &out->refresh_token},
                {"scope=", &out->scope}};
    out->token_url = words[0];
    if (!address_check_url(str_c(words[0]), e))
        return err_ctx(e, "--mcp-oauth");
    for (size_t i = 1; words[i]; i++) {
        size_t k = 0;
        while (k < COUNT(keys) && !str_starts(str_c(words[i]), str_c(keys[k].key)))
            k++;
        if (k < COUNT(keys))
            *keys[k].to = words[i] + strlen(keys[k].key);
        else if (strcmp(words[i], "auth=post") == 0)
            out->secret_in_body = true;
        else // the word may be a secret
            return err_set(e, ERR_INPUT,
                           "--mcp-oauth: word %zu is none of client_id=, client_secret=, "
                           "refresh_token=, scope= and auth=post",
                           i + 1);
    }
    if (!out->client_id || (!out->client_secret && !out->refresh_token))
        return err_set(e, ERR_INPUT,
                       "--mcp-oauth: give client_id=, and client_secret= or refresh_token=");
    return true;
}

static bool add_url(struct tools *t, const char *name, str url, struct about *a, struct err *e)
{
    struct mcp_oauth_conf oauth = {0};
    if (a->words[0] && !read_oauth(a->words, &oauth, e))
        return false;
    char *copy = mem_strdup(url);
    struct mcp_conf conf = {.name = name,
                            .url = copy,
                            .events = tools_url_is_events(url),
                            .headers = (const char *const *)a->headers,
                            .oauth = a->words[0] ? &oauth : NULL};
    bool ok = add_server(t, &conf, STR(""), e);
    mem_free(copy);
    return ok;
}

static bool open_urls(struct tools *t, const struct tools_conf *c, struct err *e)
{
    for (size_t i = 0; i < c->n_mcp_http; i++) {
        char name[64], other[64];
        struct about a = {0};
        str url, rest;
        bool ok =
            split_name(c->mcp_http[i], "mcp-http", name, &url, e) && address_check_url(url, e);
        for (size_t k = 0; k < c->n_mcp_headers && ok; k++) {
            ok = split_name(c->mcp_headers[k], "mcp-header", other, &rest, e);
            if (ok && strcmp(name, other) == 0 && a.n_headers < HEADERS_MAX)
                a.headers[a.n_headers++] = mem_strdup(rest);
        }
        for (size_t k = 0; k < c->n_mcp_oauth && ok; k++) {
            ok = split_name(c->mcp_oauth[k], "mcp-oauth", other, &rest, e);
            if (ok && strcmp(name, other) == 0 && !a.words[0])
                ok = split_words(rest, a.words, COUNT(a.words), e);
        }
        ok = ok && add_url(t, name, url, &a, e);
        forget(&a);
        if (!ok)
            return false;
    }
    return true;
}

/* Every one of these options is about a server that there is. */
static bool check_names(const struct tools_conf *c, const str *items, size_t n, const char *option,
                        struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        char name[64], other[64];
        str rest;
        bool found = false;
        if (!split_name(items[i], option, name, &rest, e))
            return false;
        for (size_t k = 0; k < c->n_mcp_http && !found; k++)
            found =
                split_name(c->mcp_http[k], "mcp-http", other, &rest, e) && strcmp(name, other) == 0;
        if (!found)
            return err_set(e, ERR_INPUT, "--%s %s=...: there is no --mcp-http %s=URL", option, name,
                           name);
    }
    return true;
}

bool tools_servers_open(struct tools *t, const struct tools_conf *c, struct err *e)
{
    return open_programs(t, c, e) && open_urls(t, c, e) &&
           check_names(c, c->mcp_headers, c->n_mcp_headers, "mcp-header", e) &&
           check_names(c, c->mcp_oauth, c->n_mcp_oauth, "mcp-oauth", e);
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
