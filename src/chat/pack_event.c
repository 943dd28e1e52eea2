/* chat/pack_event.c - events as records: a version, then fields.
 *
 * A field is a varint key, number * 2 + kind, and a value: kind 0 a varint, kind 1 a length and
 * bytes.  Signed numbers are folded (0, -1, 1, -2 ... as 0, 1, 2, 3).  Fields that are zero or
 * empty are left out.  Source of the form: developers.google.com/protocol-buffers/docs/encoding. */
#include "chat/pack.h"

#define VERSION 1

enum kind { KIND_SIGNED, KIND_SIZE, KIND_INT, KIND_INT32, KIND_STR };

/* Members by their numbers. */
static const struct field {
    unsigned number;
    enum kind kind;
    size_t at;
} fields[] = {
#define AT(member) offsetof(struct chat_event, member)
    {1, KIND_SIZE, AT(number)},
    {2, KIND_SIGNED, AT(unix_ms)},
    {4, KIND_INT, AT(choice)},
    {5, KIND_INT, AT(call)},
    {7, KIND_INT, AT(n_tokens)},
    {8, KIND_INT32, AT(token)},
    {9, KIND_STR, AT(text)},
    {10, KIND_STR, AT(name)},
    {11, KIND_STR, AT(id)},
    {12, KIND_STR, AT(content)},
    {14, KIND_SIZE, AT(position)},
    {16, KIND_SIZE, AT(usage.n_prompt)},
    {17, KIND_SIZE, AT(usage.n_cached)},
    {18, KIND_SIZE, AT(usage.n_output)},
    {19, KIND_SIZE, AT(usage.n_reasoning)},
    {20, KIND_SIZE, AT(usage.n_once)},
    {23, KIND_STR, AT(server)},
#undef AT
};

enum {
    FIELD_WHAT = 3,
    FIELD_FINISH = 6,
    FIELD_FAULT = 13,
    FIELD_TOKEN = 15, // once for each
    FIELD_ERROR = 21,
    FIELD_MORE = 22,
};
enum { TOKEN_ID = 1, TOKEN_AT, TOKEN_BYTES, TOKEN_LOGPROB, TOKEN_TOP };
enum { TOP_ID = 1, TOP_LOGPROB, TOP_BYTES };
enum { ERROR_CODE = 1, ERROR_WHERE, ERROR_MSG, ERROR_KIND };

/* Enumerators as they are written: these numbers stay, whatever the enum's order becomes. */
static const unsigned char whats[] = {
    [CHAT_WAITING] = 1,        [CHAT_PROGRESS] = 2,         [CHAT_STARTED] = 3,
    [CHAT_TEXT] = 4,           [CHAT_REASONING] = 5,        [CHAT_CALL] = 6,
    [CHAT_ARGUMENTS] = 7,      [CHAT_FINISHED] = 8,         [CHAT_COMPLETED] = 9,
    [CHAT_FAILED] = 10,        [CHAT_SERVER_CALL] = 11,     [CHAT_SERVER_ASK] = 12,
    [CHAT_SERVER_RESULT] = 13, [CHAT_SERVER_PROGRESS] = 14,
};
static const unsigned char finishes[] = {
    [CHAT_FINISH_NONE] = 0,   [CHAT_FINISH_END] = 1,   [CHAT_FINISH_STOP] = 2,
    [CHAT_FINISH_LENGTH] = 3, [CHAT_FINISH_CALLS] = 4,
};
static const unsigned char faults[] = {
    [CHAT_FAULT_NONE] = 0,    [CHAT_FAULT_ARGUMENTS] = 1, [CHAT_FAULT_TOOL] = 2,
    [CHAT_FAULT_TIMEOUT] = 3, [CHAT_FAULT_DENIED] = 4,    [CHAT_FAULT_LOST] = 5,
};
static const unsigned char codes[] = {
    [ERR_NONE] = 0,   [ERR_INPUT] = 1, [ERR_NOT_FOUND] = 2, [ERR_DENIED] = 3,
    [ERR_LIMIT] = 4,  [ERR_BUSY] = 5,  [ERR_TIMEOUT] = 6,   [ERR_CANCELED] = 7,
    [ERR_FORMAT] = 8, [ERR_IO] = 9,    [ERR_INTERNAL] = 10,
};

/* The enumerator whose number this is, or -1. */
static int find(const unsigned char *table, size_t n, uint64_t number)
{
    for (size_t i = 0; i < n; i++)
        if (table[i] == number)
            return (int)i;
    return -1;
}

/* Writing. */

void chat_pack_number(struct buf *out, uint64_t v)
{
    unsigned char bytes[10];
    size_t n = 0;
    do {
        bytes[n] = (unsigned char)(v & 127);
        v >>= 7;
        if (v)
            bytes[n] |= 128;
        n++;
    } while (v);
    buf_put(out, bytes, n);
}

static void put_number(struct buf *out, unsigned number, uint64_t v)
{
    if (v == 0)
        return;
    chat_pack_number(out, number * 2);
    chat_pack_number(out, v);
}

static void put_bytes(struct buf *out, unsigned number, str s)
{
    chat_pack_number(out, number * 2 + 1);
    chat_pack_number(out, s.n);
    buf_str(out, s);
}

static void put_str(struct buf *out, unsigned number, str s)
{
    if (s.n)
        put_bytes(out, number, s);
}

static uint64_t fold(int64_t v)
{
    return ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0);
}

static uint64_t bits_of(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static void put_field(struct buf *out, const struct field *f, const void *at)
{
    switch (f->kind) {
    case KIND_SIGNED: put_number(out, f->number, fold(*(const int64_t *)at)); break;
    case KIND_SIZE: put_number(out, f->number, *(const uint64_t *)at); break;
    case KIND_INT: put_number(out, f->number, fold(*(const int *)at)); break;
    case KIND_INT32: put_number(out, f->number, fold(*(const int32_t *)at)); break;
    case KIND_STR: put_str(out, f->number, *(const str *)at); break;
    }
}
_Static_assert(sizeof(size_t) == sizeof(uint64_t), "KIND_SIZE reads both");

static void put_token(struct buf *out, const struct chat_token *t, struct buf *one)
{
    struct buf top = BUF_INIT(one->max);
    buf_clear(one);
    put_number(one, TOKEN_ID, fold(t->id));
    put_number(one, TOKEN_AT, t->at);
    put_str(one, TOKEN_BYTES, t->bytes);
    put_number(one, TOKEN_LOGPROB, bits_of(t->logprob));
    for (int i = 0; i < t->n_top; i++) {
        buf_clear(&top);
        put_number(&top, TOP_ID, fold(t->top[i].id));
        put_number(&top, TOP_LOGPROB, bits_of(t->top[i].logprob));
        put_str(&top, TOP_BYTES, t->top[i].bytes);
        put_bytes(one, TOKEN_TOP, buf_as_str(&top));
    }
    put_bytes(out, FIELD_TOKEN, buf_as_str(one));
    out->full |= one->full;
    buf_free(&top);
}

static void put_error(struct buf *out, const struct err *e)
{
    struct buf one = BUF_INIT(2 * sizeof *e);
    put_number(&one, ERROR_CODE, codes[e->code]);
    put_str(&one, ERROR_WHERE, str_c(e->where));
    put_str(&one, ERROR_MSG, str_c(e->msg));
    put_str(&one, ERROR_KIND, str_c(e->kind));
    put_bytes(out, FIELD_ERROR, buf_as_str(&one));
    buf_free(&one);
}

bool chat_event_pack(const struct chat_event *ev, str more, struct buf *out)
{
    buf_char(out, VERSION);
    put_number(out, FIELD_WHAT, whats[ev->what]);
    put_number(out, FIELD_FINISH, finishes[ev->finish]);
    put_number(out, FIELD_FAULT, faults[ev->fault]);
    for (size_t i = 0; i < COUNT(fields); i++)
        put_field(out, &fields[i], (const char *)ev + fields[i].at);
    struct buf one = BUF_INIT(out->max);
    for (int i = 0; ev->tokens && i < ev->n_tokens; i++)
        put_token(out, &ev->tokens[i], &one);
    buf_free(&one);
    if (ev->error)
        put_error(out, ev->error);
    put_str(out, FIELD_MORE, more);
    return !out->full;
}

/* Reading. */

bool chat_unpack_number(str *in, uint64_t *v)
{
    uint64_t x = 0;
    for (unsigned shift = 0; shift < 64 && in->n; shift += 7) {
        unsigned char c = (unsigned char)in->p[0];
        *in = str_from(*in, 1);
        if (shift == 63 && c > 1)
            return false;
        x |= (uint64_t)(c & 127) << shift;
        if (c < 128) {
            *v = x;
            return true;
        }
    }
    return false;
}

/* The next field: its number, and a number or bytes. */
struct value {
    uint64_t number, v;
    bool is_bytes;
    str bytes;
};

static bool take_field(str *in, struct value *out)
{
    uint64_t key, v;
    if (!chat_unpack_number(in, &key) || !chat_unpack_number(in, &v))
        return false;
    *out = (struct value){.number = key >> 1, .v = v, .is_bytes = key & 1};
    if (!out->is_bytes)
        return true;
    if (v > in->n)
        return false;
    out->bytes = str_sub(*in, 0, (size_t)v);
    *in = str_from(*in, (size_t)v);
    return true;
}

static int64_t unfold(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static bool to_int(uint64_t v, int *out)
{
    int64_t x = unfold(v);
    *out = (int)x;
    return x >= INT32_MIN && x <= INT32_MAX;
}

static bool to_int32(uint64_t v, int32_t *out)
{
    int64_t x = unfold(v);
    *out = (int32_t)x;
    return x >= INT32_MIN && x <= INT32_MAX;
}

static bool to_float(uint64_t v, float *out)
{
    uint32_t bits = (uint32_t)v;
    memcpy(out, &bits, sizeof *out);
    return v <= UINT32_MAX;
}

static bool read_member(const struct field *f, const struct value *v, void *at, struct arena *a)
{
    if (v->is_bytes != (f->kind == KIND_STR))
        return false;
    switch (f->kind) {
    case KIND_SIGNED: *(int64_t *)at = unfold(v->v); return true;
    case KIND_SIZE: *(uint64_t *)at = v->v; return true;
    case KIND_INT: return to_int(v->v, at);
    case KIND_INT32: return to_int32(v->v, at);
    case KIND_STR: *(str *)at = arena_str(a, v->bytes); return true;
    }
    return false;
}

static bool read_top(str in, struct arena *a, struct chat_alternative *out)
{
    struct value v;
    while (in.n) {
        if (!take_field(&in, &v) || v.is_bytes != (v.number == TOP_BYTES))
            return false;
        switch (v.number) {
        case TOP_ID:
            if (!to_int32(v.v, &out->id))
                return false;
            break;
        case TOP_LOGPROB:
            if (!to_float(v.v, &out->logprob))
                return false;
            break;
        case TOP_BYTES: out->bytes = arena_str(a, v.bytes); break;
        default: return false;
        }
    }
    return true;
}

/* How many fields of this number there are; of a record that is well-formed. */
static int count(str in, unsigned number)
{
    struct value v;
    int n = 0;
    while (in.n && take_field(&in, &v))
        n += v.number == number && v.is_bytes;
    return n;
}

static bool read_token(str in, struct arena *a, struct chat_token *out)
{
    int n_top = count(in, TOKEN_TOP);
    struct chat_alternative *top = n_top ? arena_calloc(a, (size_t)n_top, sizeof *top) : NULL;
    struct value v;
    if (n_top && !top)
        return true; // the arena is full, which the caller sees
    out->top = top;
    while (in.n) {
        if (!take_field(&in, &v) ||
            v.is_bytes != (v.number == TOKEN_BYTES || v.number == TOKEN_TOP))
            return false;
        switch (v.number) {
        case TOKEN_ID:
            if (!to_int32(v.v, &out->id))
                return false;
            break;
        case TOKEN_AT: out->at = (size_t)v.v; break;
        case TOKEN_BYTES: out->bytes = arena_str(a, v.bytes); break;
        case TOKEN_LOGPROB:
            if (!to_float(v.v, &out->logprob))
                return false;
            break;
        case TOKEN_TOP:
            if (!read_top(v.bytes, a, &top[out->n_top++]))
                return false;
            break;
        default: return false;
        }
    }
    return true;
}

static bool read_error(str in, struct arena *a, const struct err **out)
{
    struct err *e = arena_calloc(a, 1, sizeof *e);
    struct value v;
    if (!e)
        return true;
    while (in.n) {
        if (!take_field(&in, &v) || v.is_bytes != (v.number != ERROR_CODE))
            return false;
        int code = find(codes, COUNT(codes), v.v);
        switch (v.number) {
        case ERROR_CODE:
            if (code < 0)
                return false;
            e->code = (enum err_code)code;
            break;
        case ERROR_WHERE: snprintf(e->where, sizeof e->where, "%.*s", STR_ARG(v.bytes)); break;
        case ERROR_MSG: snprintf(e->msg, sizeof e->msg, "%.*s", STR_ARG(v.bytes)); break;
        case ERROR_KIND: snprintf(e->kind, sizeof e->kind, "%.*s", STR_ARG(v.bytes)); break;
        default: return false;
        }
    }
    *out = e;
    return e->code != ERR_NONE;
}

static bool read_enum(const struct value *v, struct chat_event *ev)
{
    int found = v->number == FIELD_WHAT     ? find(whats, COUNT(whats), v->v)
                : v->number == FIELD_FINISH ? find(finishes, COUNT(finishes), v->v)
                                            : find(faults, COUNT(faults), v->v);
    if (found < 0 || v->is_bytes)
        return false;
    if (v->number == FIELD_WHAT)
        ev->what = (enum chat_what)found;
    else if (v->number == FIELD_FINISH)
        ev->finish = (enum chat_finish)found;
    else
        ev->fault = (enum chat_fault)found;
    return true;
}

static bool read_any(const struct value *v, struct arena *a, struct chat_event *ev,
                     struct chat_token *tokens, int *n_tokens, str *more)
{
    switch (v->number) {
    case FIELD_WHAT:
    case FIELD_FINISH:
    case FIELD_FAULT: return read_enum(v, ev);
    case FIELD_TOKEN: return v->is_bytes && read_token(v->bytes, a, &tokens[(*n_tokens)++]);
    case FIELD_ERROR: return v->is_bytes && read_error(v->bytes, a, &ev->error);
    case FIELD_MORE: *more = arena_str(a, v->bytes); return v->is_bytes;
    }
    for (size_t i = 0; i < COUNT(fields); i++)
        if (fields[i].number == v->number)
            return read_member(&fields[i], v, (char *)ev + fields[i].at, a);
    return false;
}

/* What the rest of the house takes for granted. */
static bool is_sound(const struct chat_event *ev, bool what, int n_tokens)
{
    return what && ev->number > 0 && ev->choice >= 0 && ev->call >= 0 && ev->n_tokens >= 0 &&
           (n_tokens == 0 || n_tokens == ev->n_tokens) &&
           (ev->what == CHAT_FAILED) == (ev->error != NULL);
}

bool chat_event_unpack(str bytes, struct arena *a, struct chat_event *out, str *more, struct err *e)
{
    struct chat_event ev = {0};
    struct chat_token *tokens = NULL;
    struct value v;
    str extra = STR("");
    bool ok = bytes.n > 0 && bytes.p[0] == VERSION, what = false;
    int n_tokens = 0, n = ok ? count(str_from(bytes, 1), FIELD_TOKEN) : 0;
    if (n) {
        tokens = arena_calloc(a, (size_t)n, sizeof *tokens);
        ok = tokens != NULL;
    }
    for (str in = str_from(bytes, 1); ok && in.n;) {
        ok = take_field(&in, &v) && read_any(&v, a, &ev, tokens, &n_tokens, &extra);
        what |= ok && v.number == FIELD_WHAT;
    }
    if (a->full)
        return err_set(e, ERR_LIMIT, "the events are larger than the %zu bytes a run may hold",
                       a->max);
    ev.tokens = tokens;
    if (!ok || !is_sound(&ev, what, n_tokens))
        return err_set(e, ERR_FORMAT, "a stored event is damaged");
    *out = ev;
    *more = extra;
    return true;
}
