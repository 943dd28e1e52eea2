/* tools/address_test.c - which addresses are public, in all the forms they can be given in. */
#include "tools/address.h"

#include "test.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* What the resolver makes of a text, without asking anybody. */
static bool resolve(const char *text, struct sockaddr_storage *out)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM}, *list;
    if (getaddrinfo(text, "80", &hints, &list) != 0)
        return false;
    memcpy(out, list->ai_addr, list->ai_addrlen);
    freeaddrinfo(list);
    return true;
}

static void addresses_are_judged(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } rows[] = {
        {"8.8.8.8", true},
        {"1.1.1.1", true},
        {"172.15.255.255", true},
        {"172.32.0.0", true},
        {"100.63.255.255", true},
        {"100.128.0.0", true},
        {"223.255.255.255", true},
        {"2606:4700:4700::1111", true},
        {"2a00:1450:4001:81b::200e", true},
        {"::ffff:8.8.8.8", true},
        {"64:ff9b::8.8.8.8", true},
        {"127.0.0.1", false},
        {"127.255.255.254", false},
        {"127.1", false},
        {"2130706433", false}, // 127.0.0.1 as one number
        {"0x7f000001", false},
        {"0x7f.1", false},
        {"0177.0.0.1", false},
        {"0", false},
        {"0.0.0.0", false},
        {"10.0.0.1", false},
        {"10.255.255.255", false},
        {"172.16.0.1", false},
        {"172.31.255.255", false},
        {"192.168.1.1", false},
        {"0xc0a80101", false},
        {"169.254.169.254", false}, // metadata of clouds
        {"2852039166", false},      // the same
        {"100.100.100.200", false}, // of another
        {"192.0.0.192", false},
        {"198.18.0.1", false},
        {"224.0.0.1", false},
        {"255.255.255.255", false},
        {"240.0.0.1", false},
        {"::", false},
        {"::1", false},
        {"::127.0.0.1", false},
        {"::ffff:127.0.0.1", false},
        {"::ffff:7f00:1", false},
        {"::ffff:169.254.169.254", false},
        {"::ffff:0:127.0.0.1", false},
        {"64:ff9b::127.0.0.1", false},
        {"64:ff9b::a9fe:a9fe", false},
        {"64:ff9b:1::7f00:1", false},
        {"2002:7f00:1::", false},
        {"2001:0:7f00:1::", false},
        {"2001:db8::1", false},
        {"fe80::1", false},
        {"fec0::1", false},
        {"fc00::1", false},
        {"fd00:ec2::254", false}, // metadata by IPv6
        {"ff02::1", false},
        {"100::1", false},
        {"4000::1", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct sockaddr_storage a;
        if (!resolve(rows[i].text, &a))
            fail_msg("%s is not read", rows[i].text);
        if (address_is_public((struct sockaddr *)&a) != rows[i].ok)
            fail_msg("%s", rows[i].text);
    }
    struct sockaddr other = {.sa_family = AF_UNIX};
    assert_false(address_is_public(&other));
}

static void address_lists_allow_more(void **state)
{
    struct address_list l;
    struct sockaddr_storage a;
    struct err e;
    (void)state;
    assert_true(address_list_read(&l, STR("127.0.0.1, 10.1.0.0/16,fd00::/8,"), &e));
    assert_int_equal(l.n, 3);
    static const struct {
        const char *text;
        bool ok;
    } rows[] = {{"127.0.0.1", true}, {"127.0.0.2", false}, {"10.1.255.1", true},
                {"10.2.0.1", false}, {"fd12::1", true},    {"fe80::1", false},
                {"8.8.8.8", true},   {"::1", false},       {"::ffff:10.1.0.1", true}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_true(resolve(rows[i].text, &a));
        if (address_allowed(&l, (struct sockaddr *)&a) != rows[i].ok)
            fail_msg("%s", rows[i].text);
    }
    static const char *const bad[] = {"localhost",  "10.0.0.0/33", "::/129",
                                      "10.0.0.0/x", "1.2.3",       "10.0.0.0/8/8"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(address_list_read(&l, str_c(bad[i]), &e));
}

static void urls_are_checked(void **state)
{
    static const struct {
        const char *url;
        bool ok;
    } rows[] = {
        {"http://a.example/x?y#z", true},
        {"HTTPS://a.example", true},
        {"http://[::1]:80/", true}, // its address is judged when it is connected to
        {"ftp://a.example", false},
        {"file:///etc/passwd", false},
        {"gopher://a", false},
        {"http:/a", false},
        {"http://", false},
        {"http:///x", false},
        {"http://user@a.example/", false},
        {"http://8.8.8.8@127.0.0.1/", false},
        {"http://a.example\\@b/", false},
        {"http://a.example/\r\nX: y", false},
        {"http://a b/", false},
        {" http://a.example", false},
        {"", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e;
        if (address_check_url(str_c(rows[i].url), &e) != rows[i].ok)
            fail_msg("%s", rows[i].url);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(addresses_are_judged),
    cmocka_unit_test(address_lists_allow_more),
    cmocka_unit_test(urls_are_checked),
};
TEST_FILE(tests)
