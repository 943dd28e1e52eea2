/* harness/test.h - cmocka, and what makes a test file find its own way into the room's binary.
 *
 * A file x_test.c ends with
 *     static const struct CMUnitTest tests[] = {cmocka_unit_test(room_does_this), ...};
 *     TEST_FILE(tests)
 * and nothing else has to be edited. */
#ifndef HARNESS_TEST_H
#define HARNESS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"

void test_register(const char *file, const struct CMUnitTest *tests, size_t n);

#define TEST_FILE(array)                                                                           \
    __attribute__((constructor)) static void register_this_file(void)                              \
    {                                                                                              \
        test_register(__FILE__, array, COUNT(array));                                              \
    }

/* Fails, naming the row and showing both texts escaped, unless got == want. */
void check_str(str got, str want, const char *row);
void check_bytes(const struct buf *got, const char *want, const char *row);

/* Deterministic test randomness: xorshift from a seed the test names. */
uint64_t test_random(uint64_t *state);

#endif
