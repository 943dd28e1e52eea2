/* tools/address.h - which addresses a tool may reach: those of the public internet, and what an
 * operator allows beside them.  Pure; any thread.
 *
 * Source: IANA's special-purpose address registries (RFC 6890 and its updates). */
#ifndef TOOLS_ADDRESS_H
#define TOOLS_ADDRESS_H

#include "base/err.h"
#include "base/str.h"

struct sockaddr;

#define ADDRESS_RANGES 32
struct address_range {
    unsigned char bytes[16]; // IPv4 as ::ffff:a.b.c.d
    int bits;                // of the 128
};
struct address_list {
    struct address_range range[ADDRESS_RANGES];
    int n;
};

/* "127.0.0.1", "10.0.0.0/8,fd00::/8": what is allowed although it is not public.  ERR_INPUT. */
MUST_CHECK bool address_list_read(struct address_list *l, str text, struct err *e);

bool address_is_public(const struct sockaddr *a);
bool address_allowed(const struct address_list *l, const struct sockaddr *a);

/* Is it an http or https URL with a host, without a user or blanks, of at most 2048 bytes?  What
 * its name leads to is asked at each connection.  ERR_INPUT. */
MUST_CHECK bool address_check_url(str url, struct err *e);

#endif
