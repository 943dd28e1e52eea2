/* http/parse.c - see parse.h.  A state machine over bytes; the head is gathered first and read as a
 * whole, since fields may point into it only once it no longer moves. */
#include "http/parse.h"

enum stage {
    STAGE_HEAD,
    STAGE_BODY,       // Content-Length
    STAGE_SIZE,       // hex digits of a chunk size
    STAGE_EXTENSION,  // ";name=value" behind it
    STAGE_SIZE_LF,    // the LF of that line
    STAGE_CHUNK,      // its bytes
    STAGE_CHUNK_CR,   // CRLF behind them
    STAGE_CHUNK_LF,   //
    STAGE_TRAILER,    // start of a line behind the last chunk
    STAGE_TRAILER_AT, // inside a trailer's name
    STAGE_TRAILER_IN, // inside a trailer's value
    STAGE_TRAILER_LF,
    STAGE_END_LF, // the LF of the empty line that ends the message
    STAGE_DONE,
    STAGE_BAD
};

void http_parse_init(struct http_parse *p, size_t max_head, size_t max_body)
{
    *p = (struct http_parse){0};
    buf_init(&p->head, max_head);
    buf_init(&p->decoded, max_head);
    buf_init(&p->body, max_body);
}

void http_parse_fini(struct http_parse *p)
{
    buf_free(&p->head);
    buf_free(&p->decoded);
    buf_free(&p->body);
}

static enum http_parsed bad(struct http_parse *p, int status, const char *why)
{
    p->stage = STAGE_BAD;
    p->status = status;
    p->why = why;
    return HTTP_PARSED_BAD;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_token_char(char c)
{
    return is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* What a field's value may hold: visible, blank, tab, and bytes past ASCII. */
static bool is_value_char(char c)
{
    unsigned char u = (unsigned char)c;
    return u == '\t' || (u >= ' ' && u != 0x7f);
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool http_is_token(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_token_char(s.p[i]))
            return false;
    return s.n > 0;
}

bool http_unescape(struct buf *out, str s, bool plus)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            int hi = -1, lo = -1;
            if (s.n - i > 2) {
                hi = hex_value(s.p[i + 1]);
                lo = hex_value(s.p[i + 2]);
            }
            if (hi < 0 || lo < 0 || (hi == 0 && lo == 0))
                return false;
            c = (char)(hi * 16 + lo);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (!buf_char(out, c))
            return false;
    }
    return true;
}

/* "http://host/path" as a proxy would get it: the path is what counts here. */
static bool cut_absolute(str *target)
{
    static const str schemes[] = {STR_INIT("http://"), STR_INIT("https://")};
    for (size_t i = 0; i < COUNT(schemes); i++) {
        if (!str_eq_nocase(str_sub(*target, 0, schemes[i].n), schemes[i]))
            continue;
        size_t n = schemes[i].n;
        while (n < target->n && target->p[n] != '/' && target->p[n] != '?')
            n++;
        if (n == schemes[i].n)
            return false; // no host
        *target = str_from(*target, n);
        return true;
    }
    return false;
}

static enum http_parsed read_target(struct http_parse *p, str target)
{
    for (size_t i = 0; i < target.n; i++)
        if (target.p[i] <= ' ' || target.p[i] >= 0x7f || target.p[i] == '#')
            return bad(p, 400, "The request target holds a character that must be escaped.");
    if (str_eq(target, STR("*")) && str_eq(p->method, STR("OPTIONS")))
        target = STR("/");
    else if (target.n == 0 || (target.p[0] != '/' && !cut_absolute(&target)))
        return bad(p, 400, "The request target must begin with '/' or be an http URL.");

    ptrdiff_t at = str_chr(target, '?');
    str path = at < 0 ? target : str_sub(target, 0, (size_t)at);
    p->query = at < 0 ? STR("") : str_from(target, (size_t)at + 1);
    if (path.n == 0)
        path = STR("/");

    // Once for the query's escapes, which are decoded only when somebody asks.
    buf_clear(&p->decoded);
    bool ok = http_unescape(&p->decoded, p->query, true);
    buf_clear(&p->decoded);
    if (!ok || !http_unescape(&p->decoded, path, false))
        return bad(p, 400, "The request target holds a broken or forbidden percent escape.");
    p->path = buf_as_str(&p->decoded);
    return HTTP_PARSED_MORE;
}

static enum http_parsed read_request_line(struct http_parse *p, str line)
{
    str rest = line, method, target;
    if (!str_cut(&rest, ' ', &method) || !http_is_token(method) || !rest.p)
        return bad(p, 400, "The request line does not begin with a method.");
    if (!str_cut(&rest, ' ', &target) || !rest.p)
        return bad(p, 400, "The request line has no protocol version.");
    if (rest.n != 8 || !str_starts(rest, STR("HTTP/")) || !is_digit(rest.p[5]) ||
        rest.p[6] != '.' || !is_digit(rest.p[7]))
        return bad(p, 400, "The request line does not end with a protocol version.");
    if (rest.p[5] != '1')
        return bad(p, 505, "Only HTTP/1.0 and HTTP/1.1 are spoken here.");
    p->minor = rest.p[7] == '0' ? 0 : 1;
    p->method = method;
    if (str_eq(method, STR("CONNECT")))
        return bad(p, 501, "This is not a proxy.");
    return read_target(p, target);
}

static enum http_parsed read_field(struct http_parse *p, str line)
{
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return bad(p, 400, "A header field is folded over several lines.");
    ptrdiff_t colon = str_chr(line, ':');
    if (colon < 0 || !http_is_token(str_sub(line, 0, (size_t)colon)))
        return bad(p, 400, "A header field has no valid name.");
    str value = str_from(line, (size_t)colon + 1);
    for (size_t i = 0; i < value.n; i++)
        if (!is_value_char(value.p[i]))
            return bad(p, 400, "A header field holds a control character.");
    if (p->n_fields == HTTP_FIELDS_MAX)
        return bad(p, 431, "Too many header fields.");
    p->fields[p->n_fields++] =
        (struct http_field){.name = str_sub(line, 0, (size_t)colon), .value = str_trim(value)};
    return HTTP_PARSED_MORE;
}

/* How often a field occurs; *value is the last one's. */
static int count_field(const struct http_parse *p, str name, str *value)
{
    int n = 0;
    for (int i = 0; i < p->n_fields; i++)
        if (str_eq_nocase(p->fields[i].name, name)) {
            *value = p->fields[i].value;
            n++;
        }
    return n;
}

bool http_parse_field(const struct http_parse *p, str name, str *value)
{
    for (int i = 0; i < p->n_fields; i++)
        if (str_eq_nocase(p->fields[i].name, name)) {
            *value = p->fields[i].value;
            return true;
        }
    return false;
}

static void read_connection(struct http_parse *p)
{
    bool close = false, keep = false;
    for (int i = 0; i < p->n_fields; i++) {
        if (!str_eq_nocase(p->fields[i].name, STR("Connection")))
            continue;
        str rest = p->fields[i].value, option;
        while (str_cut(&rest, ',', &option)) {
            close |= str_eq_nocase(str_trim(option), STR("close"));
            keep |= str_eq_nocase(str_trim(option), STR("keep-alive"));
        }
    }
    p->keep_alive = !close && (p->minor == 1 || keep);
}

static enum http_parsed read_host(struct http_parse *p)
{
    str host = STR("");
    int n = count_field(p, STR("Host"), &host);
    if (n > 1 || (n == 0 && p->minor == 1))
        return bad(p, 400, "An HTTP/1.1 request has exactly one Host field.");
    for (size_t i = 0; i < host.n; i++)
        if (!is_alnum(host.p[i]) && !strchr("-._~!$&'()*+,;=:[]%", host.p[i]))
            return bad(p, 400, "The Host field holds a forbidden character.");
    return HTTP_PARSED_MORE;
}

/* Where does the body end?  Exactly one answer, or the request is refused. */
static enum http_parsed read_framing(struct http_parse *p)
{
    str length, coding, text;
    int n_length = count_field(p, STR("Content-Length"), &length);
    int n_coding = count_field(p, STR("Transfer-Encoding"), &coding);
    if (n_length > 0 && n_coding > 0)
        return bad(p, 400, "Content-Length and Transfer-Encoding exclude each other.");
    if (n_length > 1 || n_coding > 1)
        return bad(p, 400, "The length of the body is given more than once.");
    if (n_coding) {
        if (p->minor == 0)
            return bad(p, 400, "HTTP/1.0 has no Transfer-Encoding.");
        if (!str_eq_nocase(coding, STR("chunked")))
            return bad(p, 501, "The only transfer coding spoken here is chunked.");
        p->chunked = true;
    }
    if (n_length) {
        if (length.n == 0 || !is_digit(length.p[0]) || !str_to_u64(length, &p->left))
            return bad(p, 400, "Content-Length is not a number.");
        if (p->left > p->body.max)
            return bad(p, 413, "The request body is larger than this server accepts.");
    }
    if (count_field(p, STR("Content-Encoding"), &text) && !str_eq_nocase(text, STR("identity")))
        return bad(p, 415, "Compressed request bodies are not accepted.");
    if (count_field(p, STR("Expect"), &text)) {
        if (!str_eq_nocase(text, STR("100-continue")))
            return bad(p, 417, "The only expectation understood is 100-continue.");
        p->expect = p->minor == 1 && (p->chunked || p->left > 0);
    }
    return HTTP_PARSED_MORE;
}

/* The empty line has come: p->head holds everything and will not move again. */
static enum http_parsed read_head(struct http_parse *p)
{
    str rest = buf_as_str(&p->head);
    for (bool first = true;; first = false) {
        ptrdiff_t end = str_find(rest, STR("\r\n"));
        str line = str_sub(rest, 0, (size_t)end);
        if (line.n == 0)
            break;
        rest = str_from(rest, (size_t)end + 2);
        if ((first ? read_request_line(p, line) : read_field(p, line)) == HTTP_PARSED_BAD)
            return HTTP_PARSED_BAD;
    }
    read_connection(p);
    if (read_host(p) == HTTP_PARSED_BAD || read_framing(p) == HTTP_PARSED_BAD)
        return HTTP_PARSED_BAD;
    p->stage = p->chunked ? STAGE_SIZE : p->left > 0 ? STAGE_BODY : STAGE_DONE;
    if (p->stage == STAGE_DONE)
        return HTTP_PARSED_DONE;
    return p->expect ? HTTP_PARSED_EXPECT : HTTP_PARSED_MORE;
}

/* One byte in front of the request line, where a few empty lines are forgiven (RFC 9112, 2.2). */
static enum http_parsed skip_blank(struct http_parse *p, char c)
{
    if (p->prev == '\r') {
        p->prev = '\0';
        return c == '\n' ? HTTP_PARSED_MORE : bad(p, 400, "A line does not end with CR LF.");
    }
    if (c == '\r' && ++p->blank_lines <= 2) {
        p->prev = '\r';
        return HTTP_PARSED_MORE;
    }
    return bad(p, 400, "The request does not begin with a method.");
}

static enum http_parsed head_byte(struct http_parse *p, char c)
{
    if (p->head.n == 0 && (p->prev == '\r' || !is_token_char(c)))
        return skip_blank(p, c);
    if (c == '\0')
        return bad(p, 400, "The request head holds a NUL byte.");
    if ((c == '\n') != (p->prev == '\r'))
        return bad(p, 400, "A line does not end with CR LF.");
    if (!p->have_line && p->head.n >= HTTP_LINE_MAX)
        return bad(p, 414, "The request line is too long.");
    if (!buf_char(&p->head, c))
        return p->have_line ? bad(p, 431, "The header fields are larger than this server accepts.")
                            : bad(p, 414, "The request line is too long.");
    p->prev = c;
    if (c != '\n')
        return HTTP_PARSED_MORE;
    size_t start = p->line_start;
    p->line_start = p->head.n;
    if (p->head.n - start == 2) {
        p->prev = '\0';
        return read_head(p);
    }
    if (!p->have_line) { // refuse a hopeless request before its fields have come
        p->have_line = true;
        return read_request_line(p, str_sub(buf_as_str(&p->head), 0, p->head.n - 2));
    }
    return HTTP_PARSED_MORE;
}

static enum http_parsed size_byte(struct http_parse *p, char c)
{
    int digit = hex_value(c);
    if (digit >= 0) {
        if (++p->digits > 15)
            return bad(p, 400, "A chunk size is too long.");
        p->left = p->left * 16 + (uint64_t)digit;
        if (p->left > p->body.max - p->body.n)
            return bad(p, 413, "The request body is larger than this server accepts.");
        return HTTP_PARSED_MORE;
    }
    if (p->digits == 0)
        return bad(p, 400, "A chunk does not begin with its size.");
    if (c == '\r')
        p->stage = STAGE_SIZE_LF;
    else if (c == ';' || c == ' ' || c == '\t')
        p->stage = STAGE_EXTENSION;
    else
        return bad(p, 400, "A chunk size is not a hexadecimal number.");
    return HTTP_PARSED_MORE;
}

/* Bytes that carry nothing for us, but that somebody may send without end. */
static enum http_parsed overhead_byte(struct http_parse *p, char c, int after_cr)
{
    if (++p->overhead > p->head.max)
        return bad(p, 431, "Chunk extensions and trailers are larger than this server accepts.");
    if (c == '\r')
        p->stage = after_cr;
    else if (!is_value_char(c))
        return bad(p, 400, "A chunk extension or trailer holds a control character.");
    return HTTP_PARSED_MORE;
}

static enum http_parsed trailer_byte(struct http_parse *p, char c)
{
    if (p->stage == STAGE_TRAILER && c == '\r') {
        p->stage = STAGE_END_LF;
        return HTTP_PARSED_MORE;
    }
    if (p->stage == STAGE_TRAILER_AT && c == ':')
        p->stage = STAGE_TRAILER_IN;
    else if (is_token_char(c))
        p->stage = STAGE_TRAILER_AT;
    else
        return bad(p, 400, "A trailer field has no valid name.");
    return overhead_byte(p, c, p->stage);
}

/* A byte that must be `want`, and the stage behind it. */
static enum http_parsed exactly(struct http_parse *p, char c, char want, int next)
{
    if (c != want)
        return bad(p, 400, "A chunk does not end where its size says.");
    p->stage = next;
    return HTTP_PARSED_MORE;
}

static enum http_parsed framing_byte(struct http_parse *p, char c)
{
    switch (p->stage) {
    case STAGE_SIZE: return size_byte(p, c);
    case STAGE_EXTENSION: return overhead_byte(p, c, STAGE_SIZE_LF);
    case STAGE_SIZE_LF: return exactly(p, c, '\n', p->left ? STAGE_CHUNK : STAGE_TRAILER);
    case STAGE_CHUNK_CR: return exactly(p, c, '\r', STAGE_CHUNK_LF);
    case STAGE_CHUNK_LF: p->digits = 0; return exactly(p, c, '\n', STAGE_SIZE);
    case STAGE_TRAILER:
    case STAGE_TRAILER_AT: return trailer_byte(p, c);
    case STAGE_TRAILER_IN: return overhead_byte(p, c, STAGE_TRAILER_LF);
    case STAGE_TRAILER_LF: return exactly(p, c, '\n', STAGE_TRAILER);
    default: break; // STAGE_END_LF
    }
    if (c != '\n')
        return bad(p, 400, "A line does not end with CR LF.");
    p->stage = STAGE_DONE;
    return HTTP_PARSED_DONE;
}

enum http_parsed http_parse_feed(struct http_parse *p, str *in)
{
    enum http_parsed got = p->stage == STAGE_BAD    ? HTTP_PARSED_BAD
                           : p->stage == STAGE_DONE ? HTTP_PARSED_DONE
                                                    : HTTP_PARSED_MORE;
    while (in->n > 0 && got == HTTP_PARSED_MORE) {
        if (p->stage == STAGE_BODY || p->stage == STAGE_CHUNK) {
            size_t n = p->left < in->n ? (size_t)p->left : in->n;
            buf_put(&p->body, in->p, n); // fits: the size was checked against the maximum
            *in = str_from(*in, n);
            p->left -= n;
            if (p->left > 0)
                continue;
            if (p->stage == STAGE_BODY)
                got = HTTP_PARSED_DONE;
            p->stage = p->stage == STAGE_BODY ? STAGE_DONE : STAGE_CHUNK_CR;
            continue;
        }
        char c = in->p[0];
        *in = str_from(*in, 1);
        got = p->stage == STAGE_HEAD ? head_byte(p, c) : framing_byte(p, c);
    }
    return got;
}
