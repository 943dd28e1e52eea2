/* cli/talk_test.c - what a model says cannot steer the terminal. */
#include "cli/talk.h"

#include "test.h"

static void talk_clean_drops_controls_split_anywhere(void **state)
{
    static const struct {
        const char *name, *text, *want;
    } rows[] = {
        {"plain", "a\n\tb", "a\n\tb"},
        {"escape sequence", "\x1b[31mred", "[31mred"},
        {"bell, return, delete", "a\a\rb\x7f", "ab"},
        {"C1 as UTF-8",
         "a\xc2\x9b"
         "b\xc2\x80\xc2\x9f",
         "ab"},
        {"others of that block stay", "\xc2\xa0\xc2\xbf", "\xc2\xa0\xc2\xbf"},
        {"long characters with such bytes stay", "\xe2\x80\x94\xf0\x9f\x98\x80",
         "\xe2\x80\x94\xf0\x9f\x98\x80"},
        {"lead byte twice", "\xc2\xc2\x9b!", "\xc2!"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        str text = str_c(rows[i].text);
        for (size_t cut = 0; cut <= text.n; cut++) {
            struct buf out = BUF_INIT(100);
            bool half = false;
            talk_clean(&out, str_sub(text, 0, cut), &half);
            talk_clean(&out, str_from(text, cut), &half);
            check_bytes(&out, rows[i].want, rows[i].name);
            buf_free(&out);
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(talk_clean_drops_controls_split_anywhere),
};
TEST_FILE(tests)
