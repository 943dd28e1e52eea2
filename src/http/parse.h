/* http/parse.h - HTTP/1.1 requests from bytes, a few at a time.
 *
 * In:      bytes in any pieces.  Out: one complete request at a time, or the status that refuses
 * it. Strict where leniency has been used for smuggling: lines end with CRLF, no folding, no blank
 * before a colon, one Content-Length or one Transfer-Encoding, never both.
 * Threads: pure; a struct http_parse has one owner.
 * Source:  RFC 9110, RFC 9112. */
#ifndef HTTP_PARSE_H
#define HTTP_PARSE_H

#include "base/buf.h"

#define HTTP_FIELDS_MAX 100  // more are answered 431
#define HTTP_LINE_MAX   8192 // a longer request line is answered 414

enum http_parsed {
    HTTP_PARSED_MORE,   // all bytes taken, more are needed
    HTTP_PARSED_EXPECT, // the head is complete and its sender waits for "100 Continue"; feed on
    HTTP_PARSED_DONE,   // complete; bytes behind it are left in *in
    HTTP_PARSED_BAD     // see status and why; feed no more
};

struct http_field {
    str name, value; // value without blanks around it
};

struct http_parse {
    /* Valid after HTTP_PARSED_EXPECT or _DONE, until http_parse_fini. */
    str method;
    str path;  // percent-decoded once; begins with '/' ("OPTIONS *" gives "/")
    str query; // behind '?', not decoded, its escapes checked; may be empty
    int minor; // 0 or 1: HTTP/1.minor
    bool keep_alive;
    struct http_field fields[HTTP_FIELDS_MAX];
    int n_fields;
    struct buf body;

    /* Valid after HTTP_PARSED_BAD. */
    int status;      // 400, 413, 414, 415, 417, 431, 501, 505
    const char *why; // static text

    /* Private. */
    struct buf head, decoded;
    int stage;
    char prev;         // the byte before, for line ends
    int blank_lines;   // before the request line
    size_t line_start; // in head
    bool have_line;    // the request line is complete
    bool chunked, expect;
    uint64_t left;   // bytes of the body, or of the chunk
    int digits;      // of the chunk size
    size_t overhead; // bytes of chunk extensions and trailers
};

/* max_head bounds request line and fields together (and again chunk extensions and trailers),
 * max_body the decoded body. */
void http_parse_init(struct http_parse *p, size_t max_head, size_t max_body);
void http_parse_fini(struct http_parse *p);

/* Takes bytes off the front of *in, as far as they belong to this request. */
enum http_parsed http_parse_feed(struct http_parse *p, str *in);

/* The first field of that name (any case); false when there is none. */
bool http_parse_field(const struct http_parse *p, str name, str *value);

/* True for a token of RFC 9110: what names of fields and methods are made of. */
bool http_is_token(str s);

/* Appends s with %XX decoded and, for queries, '+' as a blank.  False on a broken escape, an
 * encoded NUL, or when out is full. */
bool http_unescape(struct buf *out, str s, bool plus);

#endif
