/* dialect/calls.c - the tool calls of an answer, gathered from its events. */
#include "dialect/dialect_int.h"

#include "base/mem.h"
#include "http/sse.h"

static struct call *find(const struct calls *c, const struct chat_event *ev)
{
    int at = 0;
    for (size_t i = 0; i < c->n; i++)
        if (c->list[i].choice == ev->choice && at++ == ev->call)
            return &c->list[i];
    return NULL;
}

void calls_add(struct calls *c, const struct chat_event *ev)
{
    if (ev->what == CHAT_CALL) {
        c->list = mem_realloc(c->list, (c->n + 1) * sizeof *c->list);
        c->list[c->n] = (struct call){.id = ev->text, .name = ev->name, .choice = ev->choice};
        buf_init(&c->list[c->n].arguments, ANSWER_MAX);
        c->n++;
    } else if (ev->what == CHAT_ARGUMENTS) {
        struct call *call = find(c, ev);
        if (call)
            buf_str(&call->arguments, ev->text);
    }
}

void calls_add_run(struct calls *c, const struct run *run)
{
    const struct chat_event *ev;
    for (size_t i = 0; (ev = run_event(run, i)); i++)
        calls_add(c, ev);
}

void calls_fini(struct calls *c)
{
    for (size_t i = 0; i < c->n; i++)
        buf_free(&c->list[i].arguments);
    mem_free(c->list);
    *c = (struct calls){0};
}

bool calls_has(const struct calls *c, int choice)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->list[i].choice == choice)
            return true;
    return false;
}

static void write_function(const struct call *call, struct buf *out)
{
    buf_c(out, "{\"name\":");
    json_write_str(out, call->name, JSON_PLAIN);
    buf_c(out, ",\"arguments\":");
    json_write_str(out, buf_as_str(&call->arguments), JSON_PLAIN);
    buf_char(out, '}');
}

void calls_write_function(const struct calls *c, int choice, struct buf *out)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->list[i].choice == choice) {
            write_function(&c->list[i], out);
            return;
        }
    buf_c(out, "null");
}

void calls_write(const struct calls *c, int choice, struct buf *out)
{
    bool first = true;
    buf_char(out, '[');
    for (size_t i = 0; i < c->n; i++) {
        const struct call *call = &c->list[i];
        if (call->choice != choice)
            continue;
        buf_c(out, first ? "{\"id\":" : ",{\"id\":");
        first = false;
        json_write_str(out, call->id, JSON_PLAIN);
        buf_c(out, ",\"type\":\"function\",\"function\":");
        write_function(call, out);
        buf_char(out, '}');
    }
    buf_char(out, ']');
}

void calls_report(const struct chat_event *ev, struct buf *out)
{
    if (ev->what == CHAT_SERVER_ASK) {
        http_sse_comment(out, "a call waits for approval");
        return;
    }
    struct buf b = BUF_INIT(2048);
    buf_printf(&b, "a call goes on: %.*s %.*s", STR_ARG(str_sub(ev->content, 0, 200)),
               STR_ARG(str_sub(ev->text, 0, 255)));
    http_sse_comment(out, buf_cstr(&b));
    buf_free(&b);
}
