/* chat/parse_channels.c - families whose whole answer is addressed: GPT-OSS (harmony), whose parts
 * name a channel and maybe a recipient, and Functionary 3.2, whose parts begin with a recipient.
 *
 * Source: openai/harmony: docs/format.md; MeetKai/functionary: the v3.llama3 prompt. */
#include "chat/chat_int.h"

#include "json/json.h"

#define HEAD_BYTES ((size_t)1024)

enum { HEAD, TEXT, THINKING, ARGUMENTS };

static void begin(struct chat_parser *p, int step)
{
    p->step = step;
    p->channel = step == TEXT ? CHAT_TEXT : step == THINKING ? CHAT_REASONING : CHAT_WAITING;
}

/* What is in hand as part of the body that it belongs to. */
static void tell(struct chat_parser *p, str text)
{
    if (p->step == ARGUMENTS)
        chat_argue(p, text);
    else
        chat_say(p, p->step == THINKING ? CHAT_REASONING : CHAT_TEXT, text);
    chat_take(p, text.n);
}

static void end_body(struct chat_parser *p)
{
    if (p->step == ARGUMENTS)
        chat_end_call(p);
    begin(p, HEAD);
}

/* Harmony. */

/* The word behind `mark` in a head; empty if it is not there. */
static str word_behind(str head, const char *mark)
{
    ptrdiff_t at = str_find(head, str_c(mark));
    if (at < 0)
        return STR("");
    str word = str_from(head, (size_t)at + strlen(mark));
    size_t n = 0;
    while (n < word.n && !strchr(" <\n", word.p[n]))
        n++;
    return str_sub(word, 0, n);
}

static void address(struct chat_parser *p, str head)
{
    str channel = word_behind(head, "<|channel|>"), to = word_behind(head, "to=");
    if (str_starts(to, STR("functions.")))
        to = str_from(to, 10);
    if (to.n && json_array_size(p->tools) > 0) {
        buf_clear(&p->name);
        buf_str(&p->name, to);
        chat_announce(p, buf_as_str(&p->name));
        begin(p, ARGUMENTS);
    } else {
        begin(p, str_eqc(channel, "analysis") && p->thinking ? THINKING : TEXT);
    }
}

/* Does a head begin here?  A model that does not keep to the form just writes. */
static enum verdict begins_head(struct chat_parser *p)
{
    static const char *const fronts[] = {"<|start|>",   "<|channel|>",    "<|constrain|>",
                                         "<|message|>", " to=functions.", "to=functions."};
    str rest = chat_rest(p);
    bool may = false;
    for (size_t i = 0; i < COUNT(fronts); i++) {
        str front = str_c(fronts[i]);
        if (str_starts(rest, front))
            return DONE;
        may |= !p->last && rest.n < front.n && str_starts(front, rest);
    }
    return may ? MORE : BROKEN;
}

static enum verdict read_head(struct chat_parser *p)
{
    static const char *const ends[] = {"<|message|>", NULL};
    size_t which, sure;
    if (chat_rest(p).n == 0)
        return MORE;
    enum verdict v = begins_head(p);
    if (v == MORE)
        return MORE;
    if (v == BROKEN) {
        begin(p, TEXT);
        return DONE;
    }
    ptrdiff_t at = chat_search(p, ends, 1, &which, &sure);
    if (at < 0 && sure <= HEAD_BYTES)
        return MORE; // cut short, a head says nothing
    if (at < 0) {
        begin(p, TEXT);
        return DONE;
    }
    str head = str_sub(chat_rest(p), 0, (size_t)at);
    bool thinks = str_eqc(word_behind(head, "<|channel|>"), "analysis");
    p->channel = thinks ? CHAT_REASONING : CHAT_WAITING; // its tokens are of the thinking
    size_t n = (size_t)at + strlen(ends[0]);
    char copy[HEAD_BYTES + 1];
    snprintf(copy, sizeof copy, "%.*s", STR_ARG(head));
    chat_take(p, n);
    address(p, str_c(copy));
    return DONE;
}

static enum verdict read_body(struct chat_parser *p)
{
    static const char *const ends[] = {"<|end|>",   "<|return|>",  "<|call|>",
                                       "<|start|>", "<|channel|>", NULL};
    size_t which, sure;
    ptrdiff_t at = chat_search(p, ends, COUNT(ends), &which, &sure);
    tell(p, str_sub(chat_rest(p), 0, at < 0 ? sure : (size_t)at));
    if (at < 0)
        return MORE;
    p->channel = p->step == THINKING ? CHAT_REASONING : CHAT_WAITING;
    if (which < 3)
        chat_take(p, strlen(ends[which]));
    end_body(p);
    return DONE;
}

enum verdict chat_read_harmony(struct chat_parser *p)
{
    enum verdict v;
    do
        v = p->step == HEAD ? read_head(p) : read_body(p);
    while (v == DONE);
    return v;
}

/* Functionary 3.2. */

static enum verdict read_recipient(struct chat_parser *p)
{
    str rest = chat_rest(p);
    ptrdiff_t end = str_chr(rest, '\n');
    str name = str_trim(str_sub(rest, 0, end < 0 ? rest.n : (size_t)end));
    if (end < 0 && rest.n <= HEAD_BYTES && !p->last)
        return MORE;
    if (end >= 0 && str_eqc(name, "all")) {
        chat_take(p, (size_t)end + 1);
        begin(p, TEXT);
    } else if (end >= 0 && chat_knows_tool(p, name)) {
        buf_clear(&p->name);
        buf_str(&p->name, name);
        chat_take(p, (size_t)end + 1);
        chat_announce(p, buf_as_str(&p->name));
        begin(p, ARGUMENTS);
    } else {
        begin(p, TEXT);
    }
    return DONE;
}

enum verdict chat_read_recipients(struct chat_parser *p)
{
    static const char *const ends[] = {">>>", NULL};
    size_t which, sure;
    for (;;) {
        if (p->step == HEAD) {
            if (chat_rest(p).n == 0 || read_recipient(p) == MORE)
                return MORE;
            continue;
        }
        ptrdiff_t at = chat_search(p, ends, 1, &which, &sure);
        str text = str_sub(chat_rest(p), 0, at < 0 ? sure : (size_t)at);
        tell(p, text);
        if (at < 0)
            return MORE;
        chat_take(p, strlen(ends[0]));
        end_body(p);
    }
}
