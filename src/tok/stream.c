/* tok/stream.c - holds back the front of a character until the rest has come. */
#include "base/utf8.h"
#include "tok/tok.h"

#define REPLACEMENT STR("\xef\xbf\xbd")

void tok_stream_init(struct tok_stream *s)
{
    *s = (struct tok_stream){0};
}

/* What is held cannot be completed any more: one U+FFFD for it all, as the Unicode standard (3.9,
 * "maximal subparts") advises. */
static bool give_up(struct tok_stream *s, struct buf *out)
{
    bool any = s->n_held > 0;
    s->n_held = 0;
    return !any || buf_str(out, REPLACEMENT);
}

static bool put_byte(struct tok_stream *s, unsigned char b, struct buf *out)
{
    for (int tries = 0; tries < 2; tries++) {
        s->held[s->n_held++] = b;
        str held = str_n((const char *)s->held, (size_t)s->n_held);
        if (utf8_valid(held)) {
            s->n_held = 0;
            return buf_str(out, held);
        }
        if (utf8_whole(held) == 0)
            return true; // more must come
        if (s->n_held == 1)
            return give_up(s, out);
        s->n_held--; // b does not go on with what is held: it is judged anew
        if (!give_up(s, out))
            return false;
    }
    return true;
}

bool tok_stream_put(struct tok_stream *s, str piece, struct buf *out)
{
    for (size_t i = 0; i < piece.n; i++)
        if (!put_byte(s, (unsigned char)piece.p[i], out))
            return false;
    return true;
}

bool tok_stream_end(struct tok_stream *s, struct buf *out)
{
    return give_up(s, out);
}
