/* fuzz/tools_address_fuzz.c - lists of addresses and URLs; zone files. */
#include "tools/address.h"
#include "tools/zone.h"

#include <assert.h>
#include <netinet/in.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct address_list l = {0};
    struct sockaddr_in6 a = {.sin6_family = AF_INET6};
    struct err e = {0};
    str text = {(const char *)data, size};
    int offset;
    assert(address_list_read(&l, text, &e) || e.msg[0]);
    if (address_check_url(text, &e))
        assert(!memchr(text.p, '\n', text.n) && !memchr(text.p, ' ', text.n));
    if (size >= 16) {
        memcpy(&a.sin6_addr, data, 16);
        bool open = address_is_public((struct sockaddr *)&a);
        l.n = 0;
        assert(open == address_allowed(&l, (struct sockaddr *)&a));
        // IPv4 in disguise is judged as IPv4.
        static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
        struct sockaddr_in v4 = {.sin_family = AF_INET};
        memcpy(&a.sin6_addr, mapped, 12);
        memcpy(&v4.sin_addr, data + 12, 4);
        assert(address_is_public((struct sockaddr *)&a) ==
               address_is_public((struct sockaddr *)&v4));
    }
    if (zone_read(text, (int64_t)size * 1000003, &offset))
        assert(true);
    return 0;
}
