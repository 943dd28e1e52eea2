/* base/utf8.c - see utf8.h. */
#include "base/utf8.h"

/* Length of the sequence that byte b leads, 0 if it cannot lead one. */
static size_t lead_length(unsigned char b)
{
    if (b < 0x80)
        return 1;
    if (b < 0xc2)
        return 0;
    if (b < 0xe0)
        return 2;
    if (b < 0xf0)
        return 3;
    return b < 0xf5 ? 4 : 0;
}

/* May b stand second behind this lead?  Shuts out overlong forms, surrogates and > U+10FFFF. */
static bool second_ok(unsigned char lead, unsigned char b)
{
    unsigned char lo = 0x80, hi = 0xbf;
    if (lead == 0xe0)
        lo = 0xa0;
    else if (lead == 0xed)
        hi = 0x9f;
    else if (lead == 0xf0)
        lo = 0x90;
    else if (lead == 0xf4)
        hi = 0x8f;
    return b >= lo && b <= hi;
}

/* How many bytes at p form a correct beginning of the sequence (0 if the lead is bad). */
static size_t good_bytes(const unsigned char *p, size_t n, size_t *want)
{
    *want = lead_length(p[0]);
    if (*want == 0)
        return 0;
    size_t i = 1;
    while (i < *want && i < n) {
        if (i == 1 ? !second_ok(p[0], p[1]) : (p[i] & 0xc0) != 0x80)
            break;
        i++;
    }
    return i;
}

int32_t utf8_next(str *in)
{
    const unsigned char *p = (const unsigned char *)in->p;
    size_t want;
    size_t got = good_bytes(p, in->n, &want);
    if (got == 0 || got != want) {
        *in = str_from(*in, 1);
        return -1;
    }
    static const unsigned char mask[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    int32_t cp = p[0] & mask[want];
    for (size_t i = 1; i < want; i++)
        cp = cp << 6 | (p[i] & 0x3f);
    *in = str_from(*in, want);
    return cp;
}

size_t utf8_put(char out[4], uint32_t cp)
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xc0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        if (cp >= 0xd800 && cp < 0xe000)
            return 0;
        out[0] = (char)(0xe0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
        out[2] = (char)(0x80 | (cp & 0x3f));
        return 3;
    }
    if (cp > 0x10ffff)
        return 0;
    out[0] = (char)(0xf0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
    out[3] = (char)(0x80 | (cp & 0x3f));
    return 4;
}

bool utf8_valid(str s)
{
    while (s.n)
        if (utf8_next(&s) < 0)
            return false;
    return true;
}

size_t utf8_whole(str s)
{
    // Only a lead byte among the last three can be unfinished.
    for (size_t back = 1; back <= 3 && back <= s.n; back++) {
        const unsigned char *p = (const unsigned char *)s.p + s.n - back;
        if ((*p & 0xc0) == 0x80)
            continue;
        size_t want;
        size_t got = good_bytes(p, back, &want);
        return got == back && got < want ? s.n - back : s.n;
    }
    return s.n;
}
