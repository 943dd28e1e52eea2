/* chat/parse.c - the reader of answers: thinking, then text, in which calls begin; formats read on
 * from there.  Only what may still become markup is held back.
 *
 * Every decision depends on the bytes in their order alone, and is put off while it is not
 * certain: so pieces may be cut anywhere. */
#include "chat/chat_int.h"

#include "base/id.h"
#include "base/mem.h"
#include "base/rng.h"
#include "json/json.h"

#define ANSWER_MAX ((size_t)256 << 20) // more than any run's log may hold
#define SPACE_MAX  64                  // blanks before markup that belong to it

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static size_t n_leading(str s)
{
    size_t n = 0;
    while (n < s.n && is_space(s.p[n]))
        n++;
    return n;
}

/* Blanks at the end that may belong to markup behind them. */
static size_t n_trailing(str s)
{
    size_t n = 0;
    while (n < s.n && n < SPACE_MAX && is_space(s.p[s.n - 1 - n]))
        n++;
    return n;
}

/* Out. */

static void send(struct chat_parser *p, struct chat_event ev)
{
    ev.n_tokens = p->n_pending;
    if (p->with_tokens && ev.what == CHAT_TEXT) {
        ev.n_tokens = (int)p->n_tokens;
        ev.tokens = p->n_tokens ? p->tokens : NULL;
        p->n_tokens = 0;
    } else {
        p->n_pending = 0;
    }
    p->emit(p->arg, &ev);
}

static void flush(struct chat_parser *p)
{
    if (p->out.n == 0)
        return;
    send(p, (struct chat_event){.what = p->what,
                                .call = p->what == CHAT_ARGUMENTS ? (int)p->n_calls - 1 : 0,
                                .text = buf_as_str(&p->out)});
    buf_clear(&p->out);
}

void chat_say(struct chat_parser *p, enum chat_what what, str text)
{
    if (text.n == 0)
        return;
    if (p->what != what)
        flush(p);
    p->what = what;
    buf_str(&p->out, text);
    p->n_said = text.n;
    if (what == CHAT_TEXT)
        p->fresh = false;
}

static void write_id(const struct chat_parser *p, char out[ID_MAX])
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    bool is_short = p->format && p->format->short_ids;
    int n = 0;
    if (!is_short)
        n = snprintf(out, ID_MAX, "call_");
    for (int i = 0; i < (is_short ? 9 : 24); i++)
        out[n++] = digits[rng_at(p->id_seed, p->n_calls * 32 + (size_t)i) % 62];
    out[n] = '\0';
}

void chat_announce(struct chat_parser *p, str name)
{
    char id[ID_MAX];
    flush(p);
    write_id(p, id);
    send(p, (struct chat_event){
                .what = CHAT_CALL, .call = (int)p->n_calls, .text = str_c(id), .name = name});
    p->n_calls++;
    p->announced = true;
    p->fresh = false;
    p->mark = p->at;
}

void chat_argue(struct chat_parser *p, str text)
{
    chat_say(p, CHAT_ARGUMENTS, text);
}

void chat_end_call(struct chat_parser *p)
{
    flush(p);
    p->announced = p->has_arguments = false;
    p->mark = p->at;
    p->scan = (struct json_scan){0};
    buf_clear(&p->name);
    buf_clear(&p->arguments);
}

/* In. */

/* A token whose text has been consumed: of thinking, of markup, or of the text said last. */
static void count_token(struct chat_parser *p, const struct token_group *g, uint64_t from)
{
    bool text =
        p->state == PARSE_TEXT || (p->format && p->format->channels && p->channel == CHAT_TEXT);
    if (p->state == PARSE_THINKING || p->channel == CHAT_REASONING)
        p->n_reasoning += (size_t)g->n;
    if (!g->token || !text) {
        p->n_pending += g->n;
        return;
    }
    if (p->n_tokens == p->cap_tokens) {
        p->cap_tokens = p->cap_tokens ? p->cap_tokens * 2 : 8;
        p->tokens = mem_realloc(p->tokens, p->cap_tokens * sizeof *p->tokens);
    }
    size_t behind = g->at > from ? (size_t)(g->at - from) : 0;
    p->tokens[p->n_tokens] = *g->token;
    p->tokens[p->n_tokens++].at = size_min(p->out.n - p->n_said + behind, p->out.n);
}

void chat_take(struct chat_parser *p, size_t n)
{
    uint64_t from = p->base + p->at;
    p->at += n;
    while (p->first_group < p->n_groups && p->groups[p->first_group].at < p->base + p->at)
        count_token(p, &p->groups[p->first_group++], from);
    p->n_said = 0;
    if (p->state != PARSE_CALLS || p->announced || p->format->channels)
        p->mark = p->at;
}

static void add_group(struct chat_parser *p, struct token_group g)
{
    if (p->first_group == p->n_groups)
        p->first_group = p->n_groups = 0;
    if (p->n_groups == p->cap_groups) {
        p->cap_groups = p->cap_groups ? p->cap_groups * 2 : 8;
        p->groups = mem_realloc(p->groups, p->cap_groups * sizeof *p->groups);
    }
    p->groups[p->n_groups++] = g;
}

void chat_skip_space(struct chat_parser *p)
{
    chat_take(p, n_leading(chat_rest(p)));
}

/* Does the literal stand here, may it, or does it not? */
static enum verdict match(const struct chat_parser *p, str here, const char *literal)
{
    size_t n = strlen(literal);
    if (here.n >= n)
        return memcmp(here.p, literal, n) == 0 ? DONE : BROKEN;
    bool may = !p->last && (here.n == 0 || memcmp(here.p, literal, here.n) == 0);
    return may ? MORE : BROKEN;
}

/* A call whose answer ends within the markup behind it: the front of that markup stands for all. */
static bool is_cut_short(const struct chat_parser *p, const char *literal)
{
    str rest = chat_rest(p);
    return p->last && p->n_calls > 0 && rest.n > 0 && rest.n < strlen(literal) &&
           memcmp(rest.p, literal, rest.n) == 0;
}

/* Consumes a mark.  Behind a call it is gone for good: only what follows can still be text. */
static void take_mark(struct chat_parser *p, size_t n)
{
    chat_take(p, n);
    if (p->n_calls > p->n_before)
        p->mark = p->at;
}

enum verdict chat_take_literal(struct chat_parser *p, const char *literal)
{
    enum verdict v = match(p, chat_rest(p), literal);
    bool cut = v == BROKEN && is_cut_short(p, literal);
    if (v == DONE || cut)
        take_mark(p, cut ? chat_rest(p).n : strlen(literal));
    return cut ? DONE : v;
}

enum verdict chat_take_any(struct chat_parser *p, const char *const *list, size_t n)
{
    bool may = false;
    for (size_t i = 0; i < n && list[i]; i++) {
        enum verdict v = match(p, chat_rest(p), list[i]);
        if (v == MORE)
            may = true;
        bool cut = v == BROKEN && is_cut_short(p, list[i]);
        if ((v == DONE || cut) && !may) { // else a longer one that stands before it may still come
            take_mark(p, cut ? chat_rest(p).n : strlen(list[i]));
            return DONE;
        }
    }
    return may ? MORE : BROKEN;
}

ptrdiff_t chat_search(const struct chat_parser *p, const char *const *list, size_t n, size_t *which,
                      size_t *sure)
{
    str rest = chat_rest(p);
    for (size_t at = 0; at < rest.n; at++)
        for (size_t i = 0; i < n && list[i]; i++) {
            if (rest.p[at] != list[i][0])
                continue;
            enum verdict v = match(p, str_from(rest, at), list[i]);
            *which = i;
            *sure = at;
            if (v == DONE)
                return (ptrdiff_t)at;
            if (v == MORE)
                return -1;
        }
    *sure = rest.n;
    return -1;
}

size_t chat_scan_json(struct json_scan *s, str text, bool *end)
{
    *end = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (s->in_string) {
            if (s->escaped)
                s->escaped = false;
            else if (c == '\\')
                s->escaped = true;
            else if (c == '"')
                s->in_string = false;
            *end = !s->in_string && s->depth == 0;
        } else if (c == '"') {
            s->in_string = s->begun = true;
        } else if (c == '{' || c == '[') {
            s->depth++;
            s->begun = true;
        } else if (c == '}' || c == ']' || (s->depth == 0 && (c == ',' || is_space(c)))) {
            if (s->depth == 0 && (s->begun || !is_space(c))) { // a number, true, false, null
                *end = true;
                return i;
            }
            if (c == '}' || c == ']')
                *end = --s->depth == 0;
        } else {
            s->begun = true;
        }
        if (*end)
            return i + 1;
    }
    return text.n;
}

/* Tools. */

str chat_tool_name(const json_t *tool)
{
    const json_t *function = json_object_get(tool, "function");
    return json_as_str(json_object_get(function ? function : tool, "name"));
}

const json_t *chat_tool_schema(const json_t *tools, str name)
{
    const json_t *tool;
    size_t i;
    json_array_foreach((json_t *)tools, i, tool)
    {
        const json_t *function = json_object_get(tool, "function");
        if (str_eq(chat_tool_name(tool), name))
            return json_object_get(function ? function : tool, "parameters");
    }
    return NULL;
}

bool chat_knows_tool(const struct chat_parser *p, str name)
{
    const json_t *tool;
    size_t i;
    json_array_foreach((json_t *)p->tools, i,
                       tool) if (str_eq(chat_tool_name(tool), name)) return true;
    return false;
}

/* The states.  Each returns false when it can do no more with what there is. */

static bool read_start(struct chat_parser *p)
{
    str rest = chat_rest(p);
    size_t blank = n_leading(rest);
    enum verdict v =
        blank > SPACE_MAX ? BROKEN : match(p, str_from(rest, blank), p->thinking->open);
    if (v == MORE)
        return false;
    p->state = v == DONE ? PARSE_THINKING : PARSE_TEXT;
    p->skip = v == DONE;
    if (v == DONE)
        chat_take(p, blank + strlen(p->thinking->open));
    return true;
}

/* Drops blanks in front, as far as that is wanted; false when nothing is left. */
static bool skip(struct chat_parser *p)
{
    if (p->skip)
        chat_skip_space(p);
    if (p->at == p->in.n)
        return false;
    p->skip = false;
    return true;
}

static bool read_thinking(struct chat_parser *p)
{
    size_t which, sure;
    if (!skip(p))
        return false;
    ptrdiff_t at = chat_search(p, &p->thinking->close, 1, &which, &sure);
    str rest = chat_rest(p), said = str_sub(rest, 0, at < 0 ? sure : (size_t)at);
    if (at >= 0 || !p->last)
        said.n -= n_trailing(said);
    chat_say(p, CHAT_REASONING, said);
    chat_take(p, at < 0 ? said.n : (size_t)at + strlen(p->thinking->close));
    if (at < 0)
        return false;
    p->state = PARSE_TEXT;
    p->skip = true;
    return true;
}

static void begin_calls(struct chat_parser *p, bool bare)
{
    p->state = PARSE_CALLS;
    p->step = 0;
    p->listed = false;
    p->bare = bare;
    p->n_before = p->n_calls;
    p->mark = p->at;
    chat_end_call(p);
}

static bool read_text(struct chat_parser *p)
{
    size_t which, sure;
    if (!skip(p))
        return false;
    str rest = chat_rest(p);
    if (!p->format) {
        chat_say(p, CHAT_TEXT, rest);
        chat_take(p, rest.n);
        return false;
    }
    if (p->fresh && p->format->bare) {
        size_t blank = n_leading(rest);
        if (blank == rest.n && blank <= SPACE_MAX && !p->last)
            return false;
        if (blank <= SPACE_MAX && blank < rest.n && strchr(p->format->bare, rest.p[blank])) {
            begin_calls(p, true);
            chat_take(p, blank);
            return true;
        }
        p->fresh = false;
    }
    ptrdiff_t at = chat_search(p, p->format->openers, FORMAT_STRINGS, &which, &sure);
    str said = str_sub(rest, 0, at < 0 ? sure : (size_t)at);
    if (at >= 0 || !p->last)
        said.n -= n_trailing(said);
    if (p->cut && p->demanded) // the beginning of a call
        said.n = 0;
    chat_say(p, CHAT_TEXT, said);
    chat_take(p, said.n);
    if (at < 0)
        return false;
    begin_calls(p, false); // the blanks too are text again if no call follows
    p->opener = which;
    chat_take(p, (size_t)at - said.n + strlen(p->format->openers[which]));
    return true;
}

static bool read_calls(struct chat_parser *p)
{
    bool last = p->last;
    p->last = last && (!p->cut || p->announced || p->format->channels);
    enum verdict v = p->format->read(p);
    p->last = last;
    if (v == MORE && !p->last)
        return false;
    if (p->format->channels)
        return false;
    p->state = PARSE_TEXT;
    str held = str_sub(buf_as_str(&p->in), p->mark, p->at - p->mark);
    bool called = p->announced || p->n_calls > p->n_before;
    bool half = v == MORE && p->cut; // of a call: nobody can use it
    bool none = p->announced || half || v == DONE || (called && str_trim(held).n == 0);
    p->skip = called;
    p->fresh = false;
    if (!none)
        chat_say(p, CHAT_TEXT, held);
    if (half)
        chat_take(p, chat_rest(p).n);
    chat_end_call(p);
    return p->at < p->in.n;
}

static void run(struct chat_parser *p)
{
    bool on = true;
    while (on) {
        switch (p->state) {
        case PARSE_START: on = read_start(p); break;
        case PARSE_THINKING: on = read_thinking(p); break;
        case PARSE_TEXT: on = read_text(p); break;
        case PARSE_CALLS: on = read_calls(p); break;
        }
    }
    flush(p);
    p->base += p->mark;
    p->at -= p->mark;
    buf_consume(&p->in, p->mark);
    p->mark = 0;
}

/* From outside. */

static uint64_t hash(const char *name)
{
    uint64_t h = 0xcbf29ce484222325U;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001b3U;
    return h;
}

struct chat_parser *chat_parser_open(const struct chat_notation *notation,
                                     const struct chat_thinking *thinking, const json_t *tools,
                                     const struct chat_start *start, const char *name,
                                     chat_emit *emit, void *arg)
{
    struct chat_parser *p = mem_calloc(1, sizeof *p);
    p->format = notation;
    p->thinking = thinking;
    p->tools = tools;
    p->emit = emit;
    p->arg = arg;
    p->id_seed = hash(name);
    p->fresh = true;
    buf_init(&p->in, ANSWER_MAX);
    buf_init(&p->out, ANSWER_MAX);
    buf_init(&p->name, ANSWER_MAX);
    buf_init(&p->arguments, ANSWER_MAX);
    if (notation && notation->channels)
        p->state = PARSE_CALLS;
    else if (!thinking || start->settled)
        p->state = PARSE_TEXT;
    else if (start->thinking)
        p->state = PARSE_THINKING;
    p->skip = p->state == PARSE_THINKING;
    return p;
}

struct chat_parser *chat_parser_new(const struct chat_template *t, const struct chat_request *r,
                                    const struct chat_start *start, const char *name,
                                    chat_emit *emit, void *arg)
{
    const struct chat_notation *notation = chat_template_notation(t);
    bool calls = json_array_size(r->tools) > 0 && r->tool_choice != CHAT_TOOLS_NONE;
    struct chat_parser *p = chat_parser_open(
        notation && (calls || notation->channels) ? notation : NULL,
        r->thinking_as_text ? NULL : chat_template_thinking(t), r->tools, start, name, emit, arg);
    p->demanded = notation && calls && r->tool_choice != CHAT_TOOLS_AUTO;
    return p;
}

bool chat_thinking_marks(const struct chat_template *t, const struct chat_start *start, str *open,
                         str *close)
{
    const struct chat_thinking *m = chat_template_thinking(t);
    if (!m || start->settled)
        return false;
    *open = str_c(start->thinking ? "" : m->open);
    *close = str_c(m->close);
    return true;
}

void chat_parser_free(struct chat_parser *p)
{
    if (!p)
        return;
    buf_free(&p->in);
    buf_free(&p->out);
    buf_free(&p->name);
    buf_free(&p->arguments);
    mem_free(p->groups);
    mem_free(p->tokens);
    mem_free(p->more);
    mem_free(p);
}

void chat_parser_feed(struct chat_parser *p, str text, int n_tokens,
                      const struct chat_token *tokens)
{
    uint64_t at = p->base + p->in.n;
    p->with_tokens |= tokens != NULL;
    for (int i = 0; tokens && i < n_tokens; i++)
        add_group(p, (struct token_group){at + tokens[i].at, 1, &tokens[i]});
    if (!tokens && n_tokens > 0)
        add_group(p, (struct token_group){at, n_tokens, NULL});
    buf_str(&p->in, text);
    run(p);
}

enum chat_finish chat_parser_end(struct chat_parser *p, enum chat_finish why)
{
    p->last = true;
    p->cut = why != CHAT_FINISH_END;
    run(p);
    return why == CHAT_FINISH_END && p->n_calls > 0 ? CHAT_FINISH_CALLS : why;
}

size_t chat_parser_n_reasoning(const struct chat_parser *p)
{
    return p->n_reasoning;
}

bool chat_needs_parser(const struct chat_request *r)
{
    return r->messages && !r->raw_text;
}
