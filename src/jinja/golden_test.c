/* jinja/golden_test.c - runs tests/jinja/golden/: one tiny template a behaviour. */
#include "jinja/jinja.h"

#include "base/file.h"
#include "test.h"

#include <stdlib.h>
#include <time.h>

#define NOW 1753705845 // 2025-07-28 12:30:45 UTC

struct golden {
    str title, source, want; // want: the text, or "line:column message"
    bool fails;
};

/* Cuts *in before the next line that starts with `mark`; the line's rest goes to *line. */
static bool cut_mark(str *in, const char *mark, str *before, str *line)
{
    str rest = *in;
    size_t n = strlen(mark);
    for (size_t i = 0; i + n <= rest.n; i++) {
        if ((i && rest.p[i - 1] != '\n') || memcmp(rest.p + i, mark, n) != 0)
            continue;
        *before = str_sub(rest, 0, i ? i - 1 : 0);
        rest = str_from(rest, i + n);
        str_cut(&rest, '\n', line);
        *in = rest;
        return true;
    }
    *before = str_sub(rest, 0, rest.n ? rest.n - 1 : 0);
    *in = str_from(rest, rest.n);
    return false;
}

static void run_case(const struct golden *g)
{
    char row[200];
    snprintf(row, sizeof row, "%.*s", STR_ARG(g->title));
    struct err e = {0};
    struct jinja_out out;
    struct buf got = BUF_INIT(100000);
    jinja_out_init(&out, 100000);
    struct jinja *t = jinja_compile(g->source, &e);
    bool ok = t && jinja_render(t, NULL, 0, NOW, jinja_limits_default(), &out, &e);
    if (ok)
        buf_str(&got, buf_as_str(&out.text));
    else
        buf_printf(&got, "%s %s", e.where, e.msg);
    check_str(buf_as_str(&got), g->want, row);
    assert_int_equal(ok, !g->fails);
    buf_free(&got);
    jinja_out_free(&out);
    jinja_free(t);
}

static int run_file(const char *name)
{
    char path[200];
    struct err e;
    struct buf text = BUF_INIT(1000000);
    snprintf(path, sizeof path, "tests/jinja/golden/%s.txt", name);
    assert_true(file_read(path, &text, &e));
    str in = buf_as_str(&text), before, kind;
    struct golden g;
    int n = 0;
    for (bool more = cut_mark(&in, "=== ", &before, &g.title); more; n++) {
        assert_true(cut_mark(&in, "--- ", &g.source, &kind));
        g.fails = str_starts(kind, STR("error "));
        str title;
        more = cut_mark(&in, "=== ", &before, &title);
        g.want = g.fails ? str_from(kind, 6) : before;
        run_case(&g);
        g.title = title;
    }
    buf_free(&text);
    return n;
}

static void jinja_matches_the_golden_templates(void **state)
{
    static const char *const files[] = {"whitespace", "statements", "expressions", "strings",
                                        "containers", "filters",    "tests",       "functions"};
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    int n = 0;
    for (size_t i = 0; i < COUNT(files); i++)
        n += run_file(files[i]);
    assert_true(n >= 202);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(jinja_matches_the_golden_templates),
};
TEST_FILE(tests)
