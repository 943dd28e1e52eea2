/* dialect/logprobs.c - see logprobs.h. */
#include "dialect/logprobs.h"

#include <stdlib.h>

/* In the fewest digits that read back the same. */
static void write_number(float v, struct buf *out)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)v);
        if (strtof(text, NULL) == v)
            break;
    }
    buf_c(out, text);
}

static void write_entry(str bytes, float logprob, struct buf *out)
{
    buf_c(out, "{\"token\":");
    json_write_str(out, bytes, JSON_PLAIN);
    buf_c(out, ",\"logprob\":");
    write_number(logprob, out);
    buf_c(out, ",\"bytes\":");
    if (bytes.n == 0)
        buf_c(out, "null");
    for (size_t i = 0; i < bytes.n; i++)
        buf_printf(out, "%c%d", i ? ',' : '[', (unsigned char)bytes.p[i]);
    if (bytes.n)
        buf_char(out, ']');
}

static bool entries_of(const struct chat_event *ev, bool first, struct buf *out)
{
    for (int i = 0; ev->tokens && i < ev->n_tokens; i++) {
        const struct chat_token *t = &ev->tokens[i];
        if (t->bytes.n == 0)
            continue;
        if (!first)
            buf_char(out, ',');
        first = false;
        write_entry(t->bytes, t->logprob, out);
        buf_c(out, ",\"top_logprobs\":[");
        for (int k = 0; k < t->n_top; k++) {
            if (k)
                buf_char(out, ',');
            write_entry(t->top[k].bytes, t->top[k].logprob, out);
            buf_char(out, '}');
        }
        buf_c(out, "]}");
    }
    return first;
}

void logprobs_entries(const struct chat_event *ev, struct buf *out)
{
    buf_char(out, '[');
    entries_of(ev, true, out);
    buf_char(out, ']');
}

void logprobs_whole_entries(const struct run *run, int choice, struct buf *out)
{
    const struct chat_event *ev;
    bool first = true;
    buf_char(out, '[');
    for (size_t i = 0; (ev = run_event(run, i)); i++)
        if (ev->what == CHAT_TEXT && ev->choice == choice)
            first = entries_of(ev, first, out);
    buf_char(out, ']');
}

static bool wanted(const struct talk_facts *f)
{
    return f->request && f->request->want_logprobs;
}

void logprobs_chat_event(const struct talk_facts *f, const struct chat_event *ev, bool refusal,
                         struct buf *out)
{
    if (!wanted(f) || ev->what != CHAT_TEXT) {
        buf_c(out, "\"logprobs\":null");
        return;
    }
    buf_c(out, "\"logprobs\":{\"content\":");
    logprobs_entries(ev, out);
    buf_c(out, refusal ? ",\"refusal\":null}" : "}");
}

void logprobs_chat_whole(const struct talk_facts *f, const struct run *run, int choice,
                         bool refusal, struct buf *out)
{
    if (!wanted(f)) {
        buf_c(out, "\"logprobs\":null");
        return;
    }
    buf_c(out, "\"logprobs\":{\"content\":");
    logprobs_whole_entries(run, choice, out);
    buf_c(out, refusal ? ",\"refusal\":null}" : "}");
}

size_t logprobs_characters(str text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        n += ((unsigned char)text.p[i] & 0xc0) != 0x80;
    return n;
}

/* The four arrays of a completion while they grow. */
struct columns {
    struct buf token, value, top, offset;
    bool any;
};

static void write_top(const struct chat_token *t, struct buf *out)
{
    buf_char(out, '{');
    for (int k = 0; k < t->n_top; k++) {
        bool twice = false; // other tokens may have the same text: the likeliest counts
        for (int j = 0; j < k; j++)
            twice |= str_eq(t->top[j].bytes, t->top[k].bytes);
        if (twice)
            continue;
        if (k)
            buf_char(out, ',');
        json_write_str(out, t->top[k].bytes, JSON_PLAIN);
        buf_char(out, ':');
        write_number(t->top[k].logprob, out);
    }
    buf_char(out, '}');
}

static void add_columns(struct columns *c, const struct chat_event *ev, size_t at)
{
    for (int i = 0; ev->tokens && i < ev->n_tokens; i++) {
        const struct chat_token *t = &ev->tokens[i];
        if (t->bytes.n == 0)
            continue;
        struct buf *all[] = {&c->token, &c->value, &c->top, &c->offset};
        for (size_t k = 0; c->any && k < COUNT(all); k++)
            buf_char(all[k], ',');
        c->any = true;
        json_write_str(&c->token, t->bytes, JSON_PLAIN);
        write_number(t->logprob, &c->value);
        write_top(t, &c->top);
        buf_printf(&c->offset, "%zu", at + logprobs_characters(str_sub(ev->text, 0, t->at)));
    }
}

static void write_columns(struct columns *c, const struct talk_facts *f, struct buf *out)
{
    buf_c(out, "\"logprobs\":{\"tokens\":[");
    buf_str(out, buf_as_str(&c->token));
    buf_c(out, "],\"token_logprobs\":[");
    buf_str(out, buf_as_str(&c->value));
    buf_c(out, "],\"top_logprobs\":");
    if (f->request->top_logprobs > 0) {
        buf_char(out, '[');
        buf_str(out, buf_as_str(&c->top));
        buf_char(out, ']');
    } else {
        buf_c(out, "null");
    }
    buf_c(out, ",\"text_offset\":[");
    buf_str(out, buf_as_str(&c->offset));
    buf_c(out, "]}");
}

static struct columns columns_new(void)
{
    struct columns c = {.any = false};
    struct buf *all[] = {&c.token, &c.value, &c.top, &c.offset};
    for (size_t k = 0; k < COUNT(all); k++)
        buf_init(all[k], ANSWER_MAX);
    return c;
}

static void columns_free(struct columns *c)
{
    buf_free(&c->token);
    buf_free(&c->value);
    buf_free(&c->top);
    buf_free(&c->offset);
}

void logprobs_text_event(const struct talk_facts *f, const struct chat_event *ev, size_t *at,
                         struct buf *out)
{
    if (!wanted(f) || ev->what != CHAT_TEXT) {
        buf_c(out, "\"logprobs\":null");
        return;
    }
    struct columns c = columns_new();
    add_columns(&c, ev, *at);
    *at += logprobs_characters(ev->text);
    write_columns(&c, f, out);
    columns_free(&c);
}

void logprobs_text_whole(const struct talk_facts *f, const struct run *run, int choice, size_t at,
                         struct buf *out)
{
    const struct chat_event *ev;
    if (!wanted(f)) {
        buf_c(out, "\"logprobs\":null");
        return;
    }
    struct columns c = columns_new();
    for (size_t i = 0; (ev = run_event(run, i)); i++) {
        if (ev->what != CHAT_TEXT || ev->choice != choice)
            continue;
        add_columns(&c, ev, at);
        at += logprobs_characters(ev->text);
    }
    write_columns(&c, f, out);
    columns_free(&c);
}

void logprobs_ids(const struct run *run, int choice, struct buf *out)
{
    const struct chat_event *ev;
    bool first = true;
    buf_char(out, '[');
    for (size_t i = 0; (ev = run_event(run, i)); i++) {
        if (ev->what != CHAT_TEXT || ev->choice != choice || !ev->tokens)
            continue;
        for (int k = 0; k < ev->n_tokens; k++, first = false)
            buf_printf(out, "%s%d", first ? "" : ",", ev->tokens[k].id);
    }
    buf_char(out, ']');
}
