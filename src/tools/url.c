/* tools/url.c - web:url: a page of the public internet as text. */
#include "tools/args.h"
#include "tools/html.h"
#include "tools/mcp_message.h"
#include "tools/tools_int.h"

#include "base/mem.h"

#define BODY_MAX  ((size_t)2 << 20)
#define TEXT_MAX  20000 // bytes of a page's text
#define TIME_MS   10000
#define REDIRECTS 5

const char *tools_url_missing(const struct tools *t)
{
    (void)t;
    return NULL;
}

static bool is_latin1(str type, str body)
{
    static const char *const names[] = {"iso-8859-1", "windows-1252", "latin1"};
    str head = str_sub(body, 0, 2048);
    for (size_t i = 0; i < COUNT(names); i++) {
        size_t n = strlen(names[i]);
        for (int where = 0; where < 2; where++) {
            str s = where ? head : type;
            ptrdiff_t at = -1;
            for (size_t k = 0; k + 8 + n <= s.n && at < 0; k++)
                if (str_eq_nocase(str_sub(s, k, 8), STR("charset=")))
                    at = (ptrdiff_t)k + 8;
            if (at < 0)
                continue;
            str value = str_from(s, (size_t)at);
            if (str_starts(value, STR("\"")))
                value = str_from(value, 1);
            if (str_eq_nocase(str_sub(value, 0, n), str_c(names[i])))
                return true;
        }
    }
    return false;
}

static bool type_is(str type, const char *prefix)
{
    return str_eq_nocase(str_sub(type, 0, strlen(prefix)), str_c(prefix));
}

static bool read_page(const struct http_fetched *res, struct buf *title, struct buf *text,
                      struct err *e)
{
    str type = STR("");
    struct buf page = BUF_INIT(BODY_MAX * 3);
    http_fetched_header(res, "content-type", &type);
    bool html = type.n == 0 || type_is(type, "text/html") || type_is(type, "application/xhtml");
    if (!html && !type_is(type, "text/") && !type_is(type, "application/json") &&
        !type_is(type, "application/xml"))
        return err_set(e, ERR_IO, "the page is of type %.*s, which is no text",
                       STR_ARG(str_sub(type, 0, 80)));
    if (is_latin1(type, res->body))
        html_from_latin1(res->body, &page);
    else
        buf_str(&page, res->body);
    if (html)
        html_text(buf_as_str(&page), title, text);
    else
        buf_str(text, buf_as_str(&page));
    buf_free(&page);
    return true;
}

static void on_done(const struct http_fetched *res, void *arg)
{
    struct tools_job *job = arg;
    struct buf title = BUF_INIT(1000), text = BUF_INIT(BODY_MAX * 3),
               cut = BUF_INIT(TEXT_MAX + 200);
    struct err e = res->error;
    job->own = NULL;
    if (e.code == ERR_NONE)
        read_page(res, &title, &text, &e);
    if (e.code != ERR_NONE) {
        tools_job_fail(job, &e);
    } else {
        mcp_append_cut(&cut, buf_as_str(&text), size_min(TEXT_MAX, tools_job_max(job) / 2));
        json_t *v = json_object();
        json_object_set_new(v, "url", json_from_str(str_c(res->url)));
        json_object_set_new(v, "status", json_integer(res->status));
        json_object_set_new(v, "title", json_from_str(buf_as_str(&title)));
        json_object_set_new(v, "text", json_from_str(buf_as_str(&cut)));
        json_write(&job->text, v, JSON_PYTHON, -1);
        json_decref(v);
        tools_job_end(job, CHAT_FAULT_NONE);
    }
    buf_free(&title);
    buf_free(&text);
    buf_free(&cut);
}

void tools_url_start(struct tools_job *job)
{
    static const char *const headers[] = {
        "Accept: text/html,application/xhtml+xml,text/plain;q=0.9,application/json;q=0.8", NULL};
    struct err e;
    str url;
    if (!args_str(job->args, "url", true, &url, &e) || !address_check_url(str_trim(url), &e)) {
        tools_job_fail(job, &e);
        return;
    }
    char *text = mem_strdup(str_trim(url));
    job->own = http_fetch_start(job->session->tools->web, &(struct http_fetch_conf){
                                                              .url = text,
                                                              .headers = headers,
                                                              .connect_timeout_ms = 5000,
                                                              .timeout_ms = TIME_MS,
                                                              .max_redirects = REDIRECTS,
                                                              .max_body = BODY_MAX,
                                                              .unpack = true,
                                                              .on_done = on_done,
                                                              .arg = job,
                                                          });
    mem_free(text);
}

void tools_url_stop(struct tools_job *job)
{
    http_fetch_cancel(job->own);
}

/* web:search, by an endpoint of the operator's. */

#define RESULTS_MAX 10
#define SNIPPET_MAX 500

const char *tools_search_missing(const struct tools *t)
{
    return t->search_url ? NULL : "there is no search endpoint (--search-url)";
}

static json_t *cut_text(const json_t *v, size_t max)
{
    struct buf out = BUF_INIT(max + 100);
    mcp_append_cut(&out, json_as_str(v), max);
    json_t *text = json_from_str(buf_as_str(&out));
    buf_free(&out);
    return text;
}

static void on_found(const struct http_fetched *res, void *arg)
{
    struct tools_job *job = arg;
    struct err e = res->error;
    size_t most = RESULTS_MAX, i;
    int64_t wanted = RESULTS_MAX;
    json_t *r;
    job->own = NULL;
    json_t *answer = NULL;
    if (e.code == ERR_NONE && res->status != 200)
        err_set(&e, ERR_IO, "the search endpoint answers with status %d", res->status);
    if (e.code == ERR_NONE)
        answer = json_parse(res->body, &e);
    const json_t *found = json_object_get(answer, "results");
    if (answer && !json_is_array(found))
        err_set(&e, ERR_IO, "the search endpoint's answer has no results");
    if (!json_is_array(found)) {
        if (e.code == ERR_INPUT)
            err_set(&e, ERR_IO, "the search endpoint's answer is no JSON");
        json_decref(answer);
        tools_job_fail(job, &e);
        return;
    }
    if (args_int(job->args, "max_results", false, 1, RESULTS_MAX, &wanted, &e))
        most = (size_t)wanted;
    json_t *v = json_object(), *list = json_array();
    json_array_foreach(found, i, r)
    {
        if (json_array_size(list) == most)
            break;
        json_t *one = json_object();
        json_object_set_new(one, "title", cut_text(json_object_get(r, "title"), 300));
        json_object_set_new(one, "url", cut_text(json_object_get(r, "url"), 1000));
        json_object_set_new(one, "snippet", cut_text(json_object_get(r, "content"), SNIPPET_MAX));
        json_array_append_new(list, one);
    }
    json_object_set_new(v, "results", list);
    json_write(&job->text, v, JSON_PYTHON, -1);
    json_decref(v);
    json_decref(answer);
    tools_job_end(job, CHAT_FAULT_NONE);
}

void tools_search_start(struct tools_job *job)
{
    struct tools *t = job->session->tools;
    struct buf url = BUF_INIT(16384);
    struct err e;
    str query;
    if (!args_str(job->args, "query", true, &query, &e) ||
        (str_trim(query).n == 0 && !err_set(&e, ERR_INPUT, "the query is empty")) ||
        (query.n > 1000 && !err_set(&e, ERR_INPUT, "the query is longer than 1000 bytes"))) {
        tools_job_fail(job, &e);
        return;
    }
    buf_printf(&url, "%s%sformat=json&q=", t->search_url, strchr(t->search_url, '?') ? "&" : "?");
    for (size_t i = 0; i < query.n; i++)
        buf_printf(&url, "%%%02X", (unsigned char)query.p[i]);
    job->own = http_fetch_start(t->inside, &(struct http_fetch_conf){
                                               .url = buf_cstr(&url),
                                               .connect_timeout_ms = 5000,
                                               .timeout_ms = TIME_MS,
                                               .max_body = BODY_MAX,
                                               .on_done = on_found,
                                               .arg = job,
                                           });
    buf_free(&url);
}
