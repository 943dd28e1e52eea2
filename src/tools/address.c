/* tools/address.c - see address.h. */
#include "tools/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define URL_MAX 2048

/* Not public, or not anybody's own.  Whatever is not under 2000::/3 is refused without a row. */
static const char *const special[] = {
    "0.0.0.0/8",         "10.0.0.0/8",     "100.64.0.0/10",   "127.0.0.0/8",     "169.254.0.0/16",
    "172.16.0.0/12",     "192.0.0.0/24",   "192.0.2.0/24",    "192.31.196.0/24", "192.52.193.0/24",
    "192.88.99.0/24",    "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15",   "198.51.100.0/24",
    "203.0.113.0/24",    "224.0.0.0/4",    "240.0.0.0/4",
    "2001::/23",                      // Teredo, ORCHID, benchmarking
    "2001:db8::/32",     "2002::/16", // 6to4: an IPv4 address in disguise
    "2620:4f:8000::/48", "3fff::/20",
};

static bool read_range(str text, struct address_range *r)
{
    char host[64];
    uint64_t bits;
    str rest = text, address;
    struct in_addr v4;
    struct in6_addr v6;
    bool given = str_chr(text, '/') >= 0;
    str_cut(&rest, '/', &address);
    if (address.n >= sizeof host || (given && !str_to_u64(rest, &bits)))
        return false;
    snprintf(host, sizeof host, "%.*s", STR_ARG(address));
    memset(r->bytes, 0, sizeof r->bytes);
    if (inet_pton(AF_INET, host, &v4) == 1) {
        r->bytes[10] = r->bytes[11] = 0xff;
        memcpy(r->bytes + 12, &v4, 4);
        r->bits = given ? (int)size_min(bits, 33) + 96 : 128;
    } else if (inet_pton(AF_INET6, host, &v6) == 1) {
        memcpy(r->bytes, &v6, 16);
        r->bits = given ? (int)size_min(bits, 129) : 128;
    } else {
        return false;
    }
    return r->bits <= 128;
}

static bool in_range(const unsigned char a[16], const struct address_range *r)
{
    int whole = r->bits / 8, part = r->bits % 8;
    if (memcmp(a, r->bytes, (size_t)whole) != 0)
        return false;
    return part == 0 || ((a[whole] ^ r->bytes[whole]) >> (8 - part)) == 0;
}

bool address_list_read(struct address_list *l, str text, struct err *e)
{
    str item;
    l->n = 0;
    while (str_cut(&text, ',', &item)) {
        item = str_trim(item);
        if (item.n == 0)
            continue;
        if (l->n == ADDRESS_RANGES)
            return err_set(e, ERR_INPUT, "more than %d ranges of addresses", ADDRESS_RANGES);
        if (!read_range(item, &l->range[l->n]))
            return err_set(e, ERR_INPUT, "'%.*s' is no address or range like 10.0.0.0/8",
                           STR_ARG(str_sub(item, 0, 64)));
        l->n++;
    }
    return true;
}

/* As 16 bytes, IPv4 as ::ffff:a.b.c.d.  False: no internet address. */
static bool bytes_of(const struct sockaddr *a, unsigned char out[16])
{
    memset(out, 0, 16);
    if (a->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, a, sizeof v4);
        out[10] = out[11] = 0xff;
        memcpy(out + 12, &v4.sin_addr, 4);
        return true;
    }
    if (a->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, a, sizeof v6);
        memcpy(out, &v6.sin6_addr, 16);
        return true;
    }
    return false;
}

static bool is_public(unsigned char a[16])
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const unsigned char nat64[12] = {0, 0x64, 0xff, 0x9b};
    if (memcmp(a, nat64, 12) == 0) // means the IPv4 address at its end
        memcpy(a, mapped, 12);
    if (memcmp(a, mapped, 12) != 0 && (a[0] & 0xe0) != 0x20)
        return false;
    for (size_t i = 0; i < COUNT(special); i++) {
        struct address_range r;
        if (!read_range(str_c(special[i]), &r) || in_range(a, &r))
            return false;
    }
    return true;
}

bool address_is_public(const struct sockaddr *a)
{
    unsigned char bytes[16];
    return bytes_of(a, bytes) && is_public(bytes);
}

bool address_allowed(const struct address_list *l, const struct sockaddr *a)
{
    unsigned char bytes[16];
    if (!bytes_of(a, bytes))
        return false;
    for (int i = 0; i < l->n; i++)
        if (in_range(bytes, &l->range[i]))
            return true;
    return is_public(bytes);
}

bool address_check_url(str url, struct err *e)
{
    size_t scheme = str_eq_nocase(str_sub(url, 0, 7), STR("http://"))    ? 7
                    : str_eq_nocase(str_sub(url, 0, 8), STR("https://")) ? 8
                                                                         : 0;
    if (!scheme)
        return err_set(e, ERR_INPUT, "the URL must begin with http:// or https://");
    if (url.n > URL_MAX)
        return err_set(e, ERR_INPUT, "the URL is longer than %d bytes", URL_MAX);
    for (size_t i = 0; i < url.n; i++)
        if ((unsigned char)url.p[i] <= ' ' || url.p[i] == 0x7f || url.p[i] == '\\')
            return err_set(e, ERR_INPUT, "the URL holds a blank, a control character or a '\\'");
    str host = str_from(url, scheme);
    size_t n = 0;
    while (n < host.n && !strchr("/?#", host.p[n]))
        n++;
    host = str_sub(host, 0, n);
    if (host.n == 0)
        return err_set(e, ERR_INPUT, "the URL names no host");
    if (str_chr(host, '@') >= 0)
        return err_set(e, ERR_INPUT, "a URL with a user or password in it is not taken");
    return true;
}
