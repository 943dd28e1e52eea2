/* chat/parse_json.c - calls whose arguments are JSON: objects that hold the name too, or a name in
 * front of them.  Arguments go out as they are written. */
#include "chat/chat_int.h"

#include "json/json.h"

#define NAME_MAX_BYTES  ((size_t)4096)
#define VALUE_MAX_BYTES ((size_t)1 << 20) // of what is held until it is known what for

/* Behind the arguments of the call at hand. */
static void end_call(struct chat_parser *p, str arguments)
{
    if (!p->announced)
        chat_announce(p, buf_as_str(&p->name));
    chat_argue(p, arguments);
    chat_end_call(p);
}

enum verdict chat_take_string(struct chat_parser *p, struct buf *out)
{
    str rest = chat_rest(p);
    struct json_scan s = {0};
    struct err e;
    bool end;
    if (rest.n == 0)
        return p->last ? BROKEN : MORE;
    if (rest.p[0] != '"')
        return BROKEN;
    size_t n = chat_scan_json(&s, str_sub(rest, 0, VALUE_MAX_BYTES), &end);
    if (!end)
        return p->last || n == VALUE_MAX_BYTES ? BROKEN : MORE;
    json_t *text = json_parse(str_sub(rest, 0, n), &e);
    if (!text)
        return BROKEN;
    buf_clear(out);
    buf_str(out, json_as_str(text));
    json_decref(text);
    chat_take(p, n);
    return DONE;
}

/* A value that nobody wants, or that has to wait for its name (*out). */
static enum verdict take_value(struct chat_parser *p, struct buf *out)
{
    str rest = chat_rest(p);
    struct json_scan s = {0};
    bool end;
    size_t n = chat_scan_json(&s, str_sub(rest, 0, VALUE_MAX_BYTES), &end);
    if (!end)
        return p->last || n == VALUE_MAX_BYTES ? BROKEN : MORE;
    if (n == 0)
        return BROKEN;
    if (out) {
        buf_clear(out);
        buf_str(out, str_sub(rest, 0, n));
    }
    chat_take(p, n);
    return DONE;
}

/* The arguments of an announced call, as they come.  Text that holds JSON is unwrapped. */
static enum verdict stream_arguments(struct chat_parser *p)
{
    str rest = chat_rest(p);
    bool end;
    if (rest.n == 0)
        return MORE;
    if (!p->scan.begun && rest.p[0] == '"') {
        struct buf text = BUF_INIT(VALUE_MAX_BYTES);
        enum verdict v = chat_take_string(p, &text);
        if (v == DONE)
            chat_argue(p, buf_as_str(&text));
        buf_free(&text);
        return v;
    }
    size_t n = chat_scan_json(&p->scan, rest, &end);
    chat_argue(p, str_sub(rest, 0, n));
    chat_take(p, n);
    return end ? DONE : MORE;
}

static bool is_one_of(str key, const char *const *list)
{
    for (size_t i = 0; i < FORMAT_STRINGS && list[i]; i++)
        if (str_eqc(key, list[i]))
            return true;
    return false;
}

/* May a call of this name begin?  Without an opener only a tool's name tells a call from data. */
static bool is_name(const struct chat_parser *p, str name)
{
    return name.n > 0 && name.n <= NAME_MAX_BYTES && (!p->bare || chat_knows_tool(p, name));
}

enum { OBJECT, KEY, KEY_AGAIN, COLON_NAME, COLON_ARGUMENTS, COLON_OTHER, ARGUMENTS, BEHIND, NEXT };

static enum verdict read_key(struct chat_parser *p)
{
    struct buf key = BUF_INIT(VALUE_MAX_BYTES);
    enum verdict v = chat_take_string(p, &key);
    if (v == DONE)
        p->step = is_one_of(buf_as_str(&key), p->format->name_keys)       ? COLON_NAME
                  : is_one_of(buf_as_str(&key), p->format->argument_keys) ? COLON_ARGUMENTS
                                                                          : COLON_OTHER;
    buf_free(&key);
    return v;
}

/* Takes the colon and, by the key, what is behind it. */
static enum verdict read_value(struct chat_parser *p)
{
    str rest = chat_rest(p);
    size_t at = 0;
    while (at < rest.n && strchr(" \n\t\r", rest.p[at]))
        at++;
    if (at < rest.n && rest.p[at] != ':')
        return BROKEN;
    at++;
    while (at < rest.n && strchr(" \n\t\r", rest.p[at]))
        at++;
    if (at >= rest.n)
        return MORE;
    size_t before = p->at;
    enum verdict v;
    p->at += at; // undone if the value is not all there
    if (p->step == COLON_ARGUMENTS && p->name.n > 0 && !p->announced) {
        p->at = before;
        chat_take(p, at);
        chat_announce(p, buf_as_str(&p->name));
        p->step = ARGUMENTS;
        return DONE;
    }
    if (p->step == COLON_NAME)
        v = chat_take_string(p, &p->name);
    else
        v = take_value(p, p->step == COLON_ARGUMENTS && !p->announced ? &p->arguments : NULL);
    if (v != DONE) {
        p->at = before;
        return v;
    }
    if (p->step == COLON_NAME && !is_name(p, buf_as_str(&p->name)))
        return BROKEN;
    p->step = BEHIND;
    return DONE;
}

/* The object is complete: what came before its name goes out now. */
static enum verdict end_object(struct chat_parser *p)
{
    if (!p->announced && p->name.n == 0)
        return BROKEN;
    str held = buf_as_str(&p->arguments);
    bool none = p->announced || held.n == 0 || str_eqc(held, "null");
    end_call(p, p->announced ? STR("") : none ? STR("{}") : held);
    p->step = NEXT;
    return DONE;
}

/* Behind an object: one more, or the end of the section. */
static enum verdict read_next(struct chat_parser *p)
{
    const struct chat_notation *f = p->format;
    enum verdict v;
    chat_skip_space(p);
    str rest = chat_rest(p);
    if (rest.n == 0 && !p->last)
        return f->closers[0] || p->listed || f->separator ? MORE : DONE;
    if (p->listed && rest.n && rest.p[0] == ',') {
        chat_take(p, 1);
        p->step = OBJECT;
        return MORE;
    }
    if (p->listed && rest.n && rest.p[0] == ']') {
        chat_take(p, 1);
        p->listed = false;
        return read_next(p);
    }
    if (f->separator && !p->listed && (v = chat_take_literal(p, f->separator)) != BROKEN) {
        if (v == DONE)
            p->step = OBJECT;
        return MORE;
    }
    if (rest.n && rest.p[0] == '{' && f->closers[0]) { // one object behind the other
        p->step = OBJECT;
        return MORE;
    }
    v = chat_take_any(p, f->closers, FORMAT_STRINGS);
    return v == MORE ? MORE : DONE;
}

static enum verdict read_step(struct chat_parser *p)
{
    if (p->step != ARGUMENTS && p->step != NEXT)
        chat_skip_space(p);
    str rest = chat_rest(p);
    if (rest.n == 0 && p->step != NEXT)
        return MORE;
    char c = rest.n ? rest.p[0] : '\0';
    switch (p->step) {
    case OBJECT:
        if (c == '[' && !p->listed)
            p->listed = true;
        else if (c == '{')
            p->step = KEY;
        else
            return BROKEN;
        chat_take(p, 1);
        return DONE;
    case KEY:
        if (c == '}') {
            chat_take(p, 1);
            return end_object(p);
        }
        return read_key(p);
    case KEY_AGAIN: return read_key(p);
    case COLON_NAME:
    case COLON_ARGUMENTS:
    case COLON_OTHER: return read_value(p);
    case ARGUMENTS: {
        enum verdict v = stream_arguments(p);
        if (v == DONE)
            p->step = BEHIND;
        return v;
    }
    case BEHIND:
        if (c != ',' && c != '}')
            return BROKEN;
        chat_take(p, 1);
        p->step = KEY_AGAIN;
        return c == ',' ? DONE : end_object(p);
    default: return BROKEN;
    }
}

enum verdict chat_read_objects(struct chat_parser *p)
{
    for (;;) {
        int step = p->step;
        enum verdict v = step == NEXT ? read_next(p) : read_step(p);
        if (v == DONE && step == NEXT)
            return DONE;
        if (v == BROKEN || (v == MORE && p->step == step))
            return v;
    }
}

/* A name, then arguments. */

enum { NAME = 0, BEFORE = 100, ID, OPENED, NAMED_ARGUMENTS, AFTER, AGAIN, CLOSE };

/* All of the list that stand here, in any order. */
static enum verdict take_all(struct chat_parser *p, const char *const *list)
{
    enum verdict v;
    while ((v = chat_take_any(p, list, FORMAT_STRINGS)) == DONE)
        chat_skip_space(p);
    return v == BROKEN ? DONE : MORE;
}

static enum verdict read_name(struct chat_parser *p)
{
    size_t which, sure;
    chat_skip_space(p);
    if (take_all(p, p->format->before_name) == MORE)
        return MORE;
    ptrdiff_t at = chat_search(p, p->format->name_ends, FORMAT_STRINGS, &which, &sure);
    str rest = chat_rest(p);
    if (at < 0 && (sure > NAME_MAX_BYTES || p->last))
        return BROKEN;
    if (at < 0)
        return MORE;
    str name = str_trim(str_sub(rest, 0, (size_t)at));
    if (str_starts(name, STR("functions.")))
        name = str_from(name, 10);
    if (!is_name(p, name) || memchr(name.p, '\n', name.n))
        return BROKEN;
    buf_clear(&p->name);
    buf_str(&p->name, name);
    bool brace = p->format->name_ends[which][0] == '{'; // is the arguments' own
    chat_take(p, (size_t)at + (brace ? 0 : strlen(p->format->name_ends[which])));
    bool id = strcmp(p->format->name_ends[which], "[CALL_ID]") == 0;
    p->step = id ? ID : BEFORE;
    return DONE;
}

/* An id between name and arguments; ours is told instead. */
static enum verdict skip_id(struct chat_parser *p)
{
    size_t which, sure;
    ptrdiff_t at = chat_search(p, p->format->before_arguments, FORMAT_STRINGS, &which, &sure);
    if (at < 0)
        return sure > NAME_MAX_BYTES ? BROKEN : MORE;
    chat_take(p, (size_t)at);
    p->step = BEFORE;
    return DONE;
}

static enum verdict named_step(struct chat_parser *p)
{
    const struct chat_notation *f = p->format;
    enum verdict v;
    switch (p->step) {
    case NAME: return read_name(p);
    case ID: return skip_id(p);
    case BEFORE:
        chat_skip_space(p);
        if (take_all(p, f->before_arguments) == MORE)
            return MORE;
        p->step = OPENED;
        return DONE;
    case OPENED:
        chat_skip_space(p);
        if (chat_rest(p).n == 0)
            return MORE;
        if (chat_rest(p).p[0] != '{')
            return BROKEN;
        chat_announce(p, buf_as_str(&p->name));
        p->step = NAMED_ARGUMENTS;
        return DONE;
    case NAMED_ARGUMENTS:
        v = stream_arguments(p);
        if (v == DONE)
            p->step = AFTER;
        return v;
    case AFTER:
        chat_skip_space(p);
        if (chat_rest(p).n == 0 && f->after_arguments[0])
            return MORE;
        if (take_all(p, f->after_arguments) == MORE)
            return MORE;
        chat_end_call(p);
        p->step = AGAIN;
        return DONE;
    case AGAIN:
        if (!f->again)
            return DONE;
        chat_skip_space(p);
        if (chat_rest(p).n == 0)
            return MORE;
        v = chat_take_literal(p, f->again);
        if (v != MORE)
            p->step = v == DONE ? NAME : CLOSE;
        return v == MORE ? MORE : DONE;
    default: // CLOSE
        if (chat_rest(p).n == 0 && f->closers[0])
            return MORE;
        v = chat_take_any(p, f->closers, FORMAT_STRINGS);
        return v == MORE ? MORE : DONE;
    }
}

/* The older writing of the same family: objects in a list. */
static bool is_objects(struct chat_parser *p)
{
    if (p->step != NAME || p->listed || !p->format->name_keys[0])
        return p->step < BEFORE && p->step + p->listed != NAME;
    chat_skip_space(p);
    str rest = chat_rest(p);
    return rest.n && (rest.p[0] == '[' || rest.p[0] == '{');
}

enum verdict chat_read_named(struct chat_parser *p)
{
    for (;;) {
        if (is_objects(p))
            return chat_read_objects(p);
        int step = p->step;
        enum verdict v = named_step(p);
        bool over = step == CLOSE || (step == AGAIN && !p->format->again);
        if (v != DONE || over)
            return v;
    }
}
