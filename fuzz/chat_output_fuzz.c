/* fuzz/chat_output_fuzz.c - any bytes as a model's answer in any call notation: read whole, and cut
 * in pieces, it says the same; nothing is lost of an answer without calls and thinking.
 *
 * The first byte chooses the notation (NOTATION=name fixes it), the second thinking, the pieces'
 * sizes, and whether the answer was cut short. */
#include "chat/chat_int.h"

#include "base/utf8.h"
#include "json/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
    struct buf all;
    enum chat_what last;
    int calls, n_tokens;
    bool thought;
};

static void hear(void *arg, const struct chat_event *ev)
{
    struct heard *h = arg;
    bool begins = ev->what == CHAT_CALL;
    if (ev->text.n == 0 || (begins && ev->call != h->calls) ||
        (ev->what == CHAT_ARGUMENTS && ev->call != h->calls - 1))
        __builtin_trap();
    if (begins || ev->what != h->last)
        buf_printf(&h->all, "\n%d:", ev->what);
    buf_str(&h->all, begins ? ev->name : ev->text);
    h->calls += begins;
    h->thought |= ev->what == CHAT_REASONING;
    h->last = ev->what;
    h->n_tokens += ev->n_tokens;
}

static void answer(struct heard *h, const struct chat_notation *f, unsigned mode,
                   const json_t *tools, str text, size_t piece)
{
    struct chat_start start = {.thinking = (mode & 3) == 1, .settled = (mode & 3) == 2};
    enum chat_finish end = mode & 32 ? CHAT_FINISH_LENGTH : CHAT_FINISH_END;
    *h = (struct heard){.last = CHAT_STARTED};
    buf_init(&h->all, (size_t)16 << 20);
    struct chat_parser *p = chat_parser_open(
        f, (mode & 3) == 3 ? NULL : chat_thinking_of(STR("<think>")), tools, &start, "x", hear, h);
    p->demanded = mode & 64;
    int n = 0;
    for (size_t at = 0; at < text.n; at += piece, n++)
        chat_parser_feed(p, str_sub(text, at, piece), 1, NULL);
    enum chat_finish why = chat_parser_end(p, end);
    if ((why == CHAT_FINISH_CALLS) != (end == CHAT_FINISH_END && h->calls > 0) || h->n_tokens > n ||
        chat_parser_n_reasoning(p) > (size_t)n)
        __builtin_trap();
    chat_parser_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static json_t *tools;
    static const struct chat_notation *fixed;
    struct err e;
    if (size < 2)
        return 0;
    if (!tools) {
        const char *name = getenv("NOTATION");
        tools = json_parse(STR("[{\"type\":\"function\",\"function\":{\"name\":\"f\","
                               "\"parameters\":{\"properties\":"
                               "{\"a\":{\"type\":\"string\"},\"b\":{}}}}}]"),
                           &e);
        for (size_t i = 0; name && i < chat_n_notations; i++)
            if (strcmp(name, chat_notations[i]->name) == 0)
                fixed = chat_notations[i];
    }
    const struct chat_notation *f = fixed ? fixed : chat_notations[data[0] % chat_n_notations];
    str text = str_n((const char *)data + 2, size - 2);
    if (!utf8_valid(text)) // the scheduler lets whole characters through alone
        return 0;
    struct heard whole, cut;
    answer(&whole, f, data[1], tools, text, text.n + 1);
    answer(&cut, f, data[1], tools, text, 1 + (data[1] >> 2) % 7);
    if (!str_eq(buf_as_str(&whole.all), buf_as_str(&cut.all)))
        __builtin_trap();
    // Without markup all of it is text, unless a call may have been cut short.
    bool plain =
        !(data[1] & 32) && whole.calls == 0 && !whole.thought && !f->channels && (data[1] & 3) == 3;
    str said = str_from(buf_as_str(&whole.all), whole.all.n ? 3 : 0);
    if (plain && text.n && !str_eq(said, text))
        __builtin_trap();
    buf_free(&whole.all);
    buf_free(&cut.all);
    return 0;
}
