/* dialect/messages_results.c - what tools of the server gave, as blocks of the messages wire: those
 * that search, fetch and compute have types of their own.  Pure. */
#include "dialect/messages.h"

#include <time.h>

static void key(struct buf *out, const char *name, str text)
{
    buf_printf(out, ",\"%s\":", name);
    json_write_str(out, text, JSON_PLAIN);
}

/* The catalogue's name of the tool that gave it; empty for a server's. */
static str tool_of(const struct talk_facts *f, const struct chat_event *ev)
{
    const struct chat_request *r = f->request;
    for (size_t i = 0; r && i < r->n_server_tools; i++)
        if (r->server_tools[i].server.n == 0 && str_eq(r->server_tools[i].shown, ev->name))
            return r->server_tools[i].name;
    return STR("");
}

/* The special ones' contents, of a result {"results":[...]} and so on.  False: it is not that. */

static bool write_found(const json_t *v, const struct chat_event *ev, struct buf *out)
{
    const json_t *results = json_object_get(v, "results"), *one;
    size_t i;
    (void)ev;
    if (!json_is_array(results))
        return false;
    buf_char(out, '[');
    json_array_foreach((json_t *)results, i, one)
    {
        buf_printf(out, "%s{\"type\":\"web_search_result\"", i ? "," : "");
        key(out, "url", json_as_str(json_object_get(one, "url")));
        key(out, "title", json_as_str(json_object_get(one, "title")));
        buf_c(out, ",\"encrypted_content\":\"\",\"page_age\":null");
        key(out, "description", json_as_str(json_object_get(one, "snippet")));
        buf_char(out, '}');
    }
    buf_char(out, ']');
    return true;
}

static bool write_page(const json_t *v, const struct chat_event *ev, struct buf *out)
{
    const json_t *url = json_object_get(v, "url"), *text = json_object_get(v, "text");
    str title = json_as_str(json_object_get(v, "title"));
    time_t t = (time_t)(ev->unix_ms / 1000);
    char when[32];
    struct tm tm;
    if (!json_is_string(url) || !json_is_string(text))
        return false;
    gmtime_r(&t, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    buf_c(out, "{\"type\":\"web_fetch_result\"");
    key(out, "url", json_as_str(url));
    buf_c(out, ",\"content\":{\"type\":\"document\",\"source\":{\"type\":\"text\","
               "\"media_type\":\"text/plain\"");
    key(out, "data", json_as_str(text));
    buf_c(out, "},\"title\":");
    if (title.n)
        json_write_str(out, title, JSON_PLAIN);
    else
        buf_c(out, "null");
    buf_printf(out, ",\"citations\":null},\"retrieved_at\":\"%s\"}", when);
    return true;
}

static bool write_output(const json_t *v, const struct chat_event *ev, struct buf *out)
{
    const json_t *code = json_object_get(v, "exit_code");
    (void)ev;
    if (!json_is_integer(code))
        return false;
    buf_c(out, "{\"type\":\"bash_code_execution_result\"");
    key(out, "stdout", json_as_str(json_object_get(v, "stdout")));
    key(out, "stderr", json_as_str(json_object_get(v, "stderr")));
    buf_printf(out, ",\"return_code\":%d,\"content\":[]}", (int)json_integer_value(code));
    return true;
}

static const struct special {
    const char *tool, *type;
    bool (*write)(const json_t *v, const struct chat_event *ev, struct buf *out);
    const char *late, *denied, *failed; // error codes; of arguments it is invalid_tool_input
} specials[] = {
    {"web:search", "web_search_tool_result", write_found, "unavailable", "unavailable",
     "unavailable"},
    {"web:url", "web_fetch_tool_result", write_page, "url_not_accessible", "url_not_allowed",
     "url_not_accessible"},
    {"code:python-interpreter", "bash_code_execution_tool_result", write_output,
     "execution_time_exceeded", "unavailable", "unavailable"},
};

static const char *code_of(const struct special *s, enum chat_fault fault)
{
    switch (fault) {
    case CHAT_FAULT_ARGUMENTS: return "invalid_tool_input";
    case CHAT_FAULT_TIMEOUT: return s->late;
    case CHAT_FAULT_DENIED: return s->denied;
    case CHAT_FAULT_NONE:
    case CHAT_FAULT_TOOL:
    case CHAT_FAULT_LOST: break;
    }
    return s->failed;
}

/* Appends the content of a special one.  NULL: it is none, and nothing is appended. */
static const struct special *write_special(const struct talk_facts *f, const struct chat_event *ev,
                                           struct buf *out)
{
    str tool = tool_of(f, ev);
    struct err e;
    size_t i = 0, before = out->n;
    while (i < COUNT(specials) && !str_eqc(tool, specials[i].tool))
        i++;
    if (i == COUNT(specials) || f->plain_tools)
        return NULL;
    if (ev->fault != CHAT_FAULT_NONE) {
        buf_printf(out, "{\"type\":\"%s_error\",\"error_code\":\"%s\"", specials[i].type,
                   code_of(&specials[i], ev->fault));
        key(out, "message", ev->text); // the brands' own have no words
        buf_char(out, '}');
        return &specials[i];
    }
    json_t *v = json_parse(ev->text, &e); // cut where it was too long: then it is just a text
    bool ok = v && specials[i].write(v, ev, out);
    json_decref(v);
    if (ok)
        return &specials[i];
    out->n = before;
    return NULL;
}

/* One block of MCP's kinds. */
static void write_block(const json_t *b, struct buf *out)
{
    str type = json_as_str(json_object_get(b, "type")),
        data = json_as_str(json_object_get(b, "data"));
    const json_t *r = json_object_get(b, "resource"), *of = r ? r : b;
    if ((str_eqc(type, "image") || str_eqc(type, "audio")) && data.n) {
        buf_printf(out, "{\"type\":\"%s\",\"source\":{\"type\":\"base64\"", type.p);
        key(out, "media_type", json_as_str(json_object_get(b, "mimeType")));
        key(out, "data", data);
        buf_c(out, "}}");
        return;
    }
    struct buf text = BUF_INIT(ANSWER_MAX);
    buf_str(&text, json_as_str(json_object_get(b, "text")));
    if (text.n == 0) {
        buf_str(&text, json_as_str(json_object_get(of, "uri")));
        buf_c(&text, "\n");
        buf_str(&text, json_as_str(json_object_get(of, "text")));
    }
    buf_c(out, "{\"type\":\"text\"");
    key(out, "text", str_trim(buf_as_str(&text)));
    buf_c(out, "}");
    buf_free(&text);
}

/* What it holds, as blocks; why it failed, as a text. */
static void write_plain(const struct chat_event *ev, struct buf *out)
{
    struct err e;
    json_t *blocks = ev->content.n ? json_parse(ev->content, &e) : NULL, *b;
    size_t i;
    if (ev->fault != CHAT_FAULT_NONE && !blocks) {
        json_write_str(out, ev->text, JSON_PLAIN);
    } else if (!blocks) {
        buf_c(out, "[{\"type\":\"text\",\"text\":");
        json_write_str(out, ev->text, JSON_PLAIN);
        buf_c(out, "}]");
    } else {
        buf_char(out, '[');
        json_array_foreach(blocks, i, b)
        {
            buf_c(out, i ? "," : "");
            write_block(b, out);
        }
        buf_char(out, ']');
    }
    json_decref(blocks);
}

void messages_write_server_id(const struct talk_facts *f, const char *field, str id,
                              struct buf *out)
{
    ptrdiff_t at = str_chr(id, '_');
    struct buf text = BUF_INIT(512);
    buf_printf(out, ",\"%s\":", field);
    buf_c(&text, f->plain_tools ? "tool_" : "srvtoolu_");
    buf_str(&text, str_from(id, (size_t)(at + 1)));
    json_write_str(out, buf_as_str(&text), JSON_PLAIN);
    buf_free(&text);
}

const char *messages_write_result(const struct talk_facts *f, const struct chat_event *ev,
                                  struct buf *out)
{
    messages_write_server_id(f, "tool_use_id", ev->id, out);
    buf_c(out, ",\"content\":");
    const struct special *s = write_special(f, ev, out);
    if (s)
        return s->type;
    write_plain(ev, out);
    buf_printf(out, ",\"is_error\":%s", ev->fault != CHAT_FAULT_NONE ? "true" : "false");
    return f->plain_tools ? "tool_result" : "server_tool_result";
}
