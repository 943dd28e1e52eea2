/* tools/mcp_oauth.c - a token for an MCP server of the operator's, from its authorization server:
 * by the client's own credentials, or by a refresh token.  Nobody is asked to log in.
 *
 * Source: RFC 6749, 4.4 and 6; RFC 8707 for `resource`; modelcontextprotocol.io, "Authorization".
 */
#include "tools/mcp_int.h"

#include "base/log.h"
#include "base/mem.h"

#include <openssl/evp.h>

#define TOKEN_MAX 4096

struct mcp_oauth {
    char *url, *id, *secret, *refresh, *scope, *token;
    bool in_body; // the secret is
    struct http_fetch *fetch;
    struct mcp *m; // while it is asked
    void (*then)(struct mcp *m, const struct err *error);
};

static char *copy(const char *s)
{
    return s && s[0] ? mem_strdup(str_c(s)) : NULL;
}

struct mcp_oauth *mcp_oauth_new(const struct mcp_oauth_conf *c)
{
    struct mcp_oauth *o = mem_calloc(1, sizeof *o);
    o->url = copy(c->token_url);
    o->id = copy(c->client_id);
    o->secret = copy(c->client_secret);
    o->refresh = copy(c->refresh_token);
    o->scope = copy(c->scope);
    o->in_body = c->secret_in_body;
    return o;
}

void mcp_oauth_free(struct mcp_oauth *o)
{
    if (!o)
        return;
    if (o->fetch)
        http_fetch_cancel(o->fetch);
    mem_free(o->url);
    mem_free(o->id);
    mem_free(o->secret);
    mem_free(o->refresh);
    mem_free(o->scope);
    mem_free(o->token);
    mem_free(o);
}

const char *mcp_oauth_token(const struct mcp_oauth *o)
{
    return o ? o->token : NULL;
}

void mcp_oauth_forget(struct mcp_oauth *o)
{
    mem_free(o->token);
    o->token = NULL;
}

static void put_escaped(struct buf *out, const char *s)
{
    for (; *s; s++) {
        bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
                     (*s >= '0' && *s <= '9') || strchr("-._~", *s);
        if (plain)
            buf_char(out, *s);
        else
            buf_printf(out, "%%%02X", (unsigned char)*s);
    }
}

static void put_pair(struct buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    buf_printf(out, "%s%s=", out->n ? "&" : "", name);
    put_escaped(out, value);
}

/* "Authorization: Basic ..." of id and secret. */
static void put_basic(struct buf *out, const char *id, const char *secret)
{
    struct buf pair = BUF_INIT(8192);
    put_escaped(&pair, id);
    buf_char(&pair, ':');
    put_escaped(&pair, secret);
    buf_c(out, "Authorization: Basic ");
    char *to = buf_reserve(out, (pair.n + 2) / 3 * 4 + 1);
    if (to)
        out->n += (size_t)EVP_EncodeBlock((unsigned char *)to, (const unsigned char *)pair.p,
                                          (int)pair.n);
    buf_free(&pair);
}

static bool is_token(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return s.n > 0 && s.n <= TOKEN_MAX;
}

/* Why there is no token; of what the server says its plain word alone. */
static void explain(const struct http_fetched *res, const json_t *answer, struct err *e)
{
    str word = json_as_str(json_object_get(answer, "error"));
    size_t n = 0;
    while (n < word.n && n < 60 && ((word.p[n] >= 'a' && word.p[n] <= 'z') || word.p[n] == '_'))
        n++;
    if (res->error.code != ERR_NONE) {
        *e = res->error;
        err_ctx(e, "its authorization server");
    } else {
        err_set(e, ERR_DENIED, "its authorization server gives no token (status %d%s%.*s)",
                res->status, n ? ", " : "", (int)n, word.p ? word.p : "");
    }
}

static void on_answer(const struct http_fetched *res, void *arg)
{
    struct mcp_oauth *o = arg;
    struct err e, ignored;
    bool ok = res->error.code == ERR_NONE && res->status == 200;
    json_t *answer =
        res->error.code == ERR_NONE && res->body.n ? json_parse(res->body, &ignored) : NULL;
    str token = json_as_str(json_object_get(answer, "access_token"));
    str refresh = json_as_str(json_object_get(answer, "refresh_token"));
    o->fetch = NULL;
    ok = ok && is_token(token);
    if (ok) {
        mcp_oauth_forget(o);
        o->token = mem_strdup(token);
        if (o->refresh && is_token(refresh)) { // the old one may be worth nothing now
            mem_free(o->refresh);
            o->refresh = mem_strdup(refresh);
        }
        log_info("tools.mcp_token", "server=%s", o->m->name);
    } else {
        explain(res, answer, &e);
    }
    json_decref(answer);
    o->then(o->m, ok ? NULL : &e);
}

void mcp_oauth_renew(struct mcp *m, void (*then)(struct mcp *m, const struct err *error))
{
    struct mcp_oauth *o = m->oauth;
    struct buf body = BUF_INIT(65536), basic = BUF_INIT(16384);
    const char *headers[4] = {"Content-Type: application/x-www-form-urlencoded",
                              "Accept: application/json"};
    if (o->fetch)
        return;
    put_pair(&body, "grant_type", o->refresh ? "refresh_token" : "client_credentials");
    put_pair(&body, "refresh_token", o->refresh);
    put_pair(&body, "scope", o->scope);
    put_pair(&body, "resource", m->url);
    if (o->secret && !o->in_body) {
        put_basic(&basic, o->id, o->secret);
        headers[2] = buf_cstr(&basic);
    } else {
        put_pair(&body, "client_id", o->id);
        put_pair(&body, "client_secret", o->secret);
    }
    o->m = m;
    o->then = then;
    o->fetch =
        http_fetch_start(m->conf.fetcher, &(struct http_fetch_conf){.url = o->url,
                                                                    .headers = headers,
                                                                    .body = buf_as_str(&body),
                                                                    .timeout_ms = 10000,
                                                                    .max_body = 65536,
                                                                    .on_done = on_answer,
                                                                    .arg = o});
    buf_free(&body);
    buf_free(&basic);
}
