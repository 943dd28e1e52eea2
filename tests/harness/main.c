/* harness/main.c - runs every test file of a room.  Arguments: only tests whose name holds one. */
#include "test.h"

#include <stdio.h>

#define FILES_MAX 64

static struct {
    const char *file;
    const struct CMUnitTest *tests;
    size_t n;
} files[FILES_MAX];
static size_t n_files;

void test_register(const char *file, const struct CMUnitTest *tests, size_t n)
{
    if (n_files == FILES_MAX)
        abort();
    files[n_files].file = file;
    files[n_files].tests = tests;
    files[n_files++].n = n;
}

static void print_escaped(const char *label, str s)
{
    fprintf(stderr, "  %s (%zu bytes): ", label, s.n);
    for (size_t i = 0; i < s.n && i < 2000; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '\n')
            fputs("\\n", stderr);
        else if (c < ' ' || c >= 0x7f)
            fprintf(stderr, "\\x%02x", c);
        else
            fputc(c, stderr);
    }
    fputc('\n', stderr);
}

void check_str(str got, str want, const char *row)
{
    if (str_eq(got, want))
        return;
    fprintf(stderr, "row \"%s\":\n", row);
    print_escaped("got ", got);
    print_escaped("want", want);
    fail();
}

void check_bytes(const struct buf *got, const char *want, const char *row)
{
    check_str(buf_as_str(got), str_c(want), row);
}

uint64_t test_random(uint64_t *state)
{
    uint64_t x = *state ? *state : 88172645463325252u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

int main(int argc, char **argv)
{
    int failed = 0;
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    for (size_t i = 0; i < n_files; i++)
        failed += _cmocka_run_group_tests(files[i].file, files[i].tests, files[i].n, NULL, NULL);
    return failed != 0;
}
