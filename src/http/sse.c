/* http/sse.c - see sse.h. */
#include "http/sse.h"

static void put_field(struct buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    buf_c(out, name);
    for (const char *p = value; *p; p++)
        if (*p != '\r' && *p != '\n')
            buf_char(out, *p);
    buf_char(out, '\n');
}

/* Undoes a frame that did not fit as a whole. */
static bool whole(struct buf *out, size_t before)
{
    if (out->full)
        out->n = before;
    return !out->full;
}

bool http_sse_frame_id(struct buf *out, const char *id, const char *event, str data)
{
    size_t before = out->n;
    put_field(out, "id: ", id);
    put_field(out, "event: ", event);
    for (bool more = true; more;) {
        size_t n = 0;
        while (n < data.n && data.p[n] != '\n' && data.p[n] != '\r')
            n++;
        buf_c(out, "data: ");
        buf_put(out, data.p, n);
        buf_char(out, '\n');
        more = n < data.n;
        if (str_starts(str_from(data, n), STR("\r\n")))
            n++;
        data = str_from(data, n + 1);
    }
    buf_char(out, '\n');
    return whole(out, before);
}

bool http_sse_frame(struct buf *out, const char *event, str data)
{
    return http_sse_frame_id(out, NULL, event, data);
}

bool http_sse_comment(struct buf *out, const char *text)
{
    size_t before = out->n;
    put_field(out, ": ", text);
    buf_char(out, '\n');
    return whole(out, before);
}

bool http_json_line(struct buf *out, str json)
{
    char *to = buf_reserve(out, json.n + 1);
    if (!to)
        return false;
    for (size_t i = 0; i < json.n; i++)
        to[i] = json.p[i] == '\n' || json.p[i] == '\r' ? ' ' : json.p[i];
    to[json.n] = '\n';
    out->n += json.n + 1;
    return true;
}

void http_sse_reader_init(struct http_sse_reader *r, size_t max)
{
    *r = (struct http_sse_reader){.retry_ms = -1};
    buf_init(&r->line, max);
    buf_init(&r->data, max);
    buf_init(&r->event, max);
    buf_init(&r->id, max);
    buf_init(&r->last, max);
}

void http_sse_reader_fini(struct http_sse_reader *r)
{
    buf_free(&r->line);
    buf_free(&r->data);
    buf_free(&r->event);
    buf_free(&r->id);
    buf_free(&r->last);
}

void http_sse_reader_again(struct http_sse_reader *r)
{
    buf_clear(&r->line);
    buf_clear(&r->data);
    buf_clear(&r->event);
    buf_clear(&r->id);
    buf_str(&r->id, buf_as_str(&r->last));
    r->after_cr = r->has_data = r->began = false;
}

static void end_line(struct http_sse_reader *r, http_sse_event on_event, void *arg)
{
    str value = buf_as_str(&r->line), name;
    if (!r->began && str_starts(value, STR("\xef\xbb\xbf")))
        value = str_from(value, 3);
    r->began = true;
    if (value.n == 0) {
        buf_clear(&r->last);
        buf_str(&r->last, buf_as_str(&r->id));
        if (r->has_data)
            on_event(buf_as_str(&r->event), buf_as_str(&r->data), buf_as_str(&r->id), arg);
        r->has_data = false;
        buf_clear(&r->data);
        buf_clear(&r->event);
        return;
    }
    bool colon = str_chr(value, ':') >= 0;
    str_cut(&value, ':', &name);
    if (!colon)
        value = STR("");
    if (str_starts(value, STR(" ")))
        value = str_from(value, 1);
    if (str_eq(name, STR("data"))) {
        if (r->has_data)
            buf_char(&r->data, '\n');
        r->has_data = true;
        buf_str(&r->data, value);
    } else if (str_eq(name, STR("event"))) {
        buf_clear(&r->event);
        buf_str(&r->event, value);
    } else if (str_eq(name, STR("id")) && str_chr(value, '\0') < 0) {
        buf_clear(&r->id);
        buf_str(&r->id, value);
    } else if (str_eq(name, STR("retry"))) {
        uint64_t ms;
        if (str_to_u64(value, &ms))
            r->retry_ms = (int)size_min(ms, 86400000);
    }
}

bool http_sse_read(struct http_sse_reader *r, str bytes, http_sse_event on_event, void *arg,
                   struct err *e)
{
    for (size_t i = 0; i < bytes.n; i++) {
        char c = bytes.p[i];
        bool second = r->after_cr && c == '\n';
        r->after_cr = c == '\r';
        if (second)
            continue;
        if (c != '\n' && c != '\r') {
            buf_char(&r->line, c);
        } else {
            end_line(r, on_event, arg);
            buf_clear(&r->line);
        }
        if (r->line.full || r->data.full)
            return err_set(e, ERR_LIMIT, "an event of the stream is larger than %zu bytes",
                           r->line.max);
    }
    return true;
}
