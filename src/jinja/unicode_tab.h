/* jinja/unicode_tab.h - tables beside those of utf8proc; sorted by code point. */
#ifndef JINJA_UNICODE_TAB_H
#define JINJA_UNICODE_TAB_H

#include "base/defs.h"

/* Upper and title forms that are more than one code point; unused places are 0. */
struct unicode_special {
    int32_t c, upper[3], title[3];
};
extern const struct unicode_special jinja_unicode_special[];
extern const size_t jinja_unicode_n_special;

/* Case foldings that differ from the lower form. */
struct unicode_fold {
    int32_t c, to[3];
};
extern const struct unicode_fold jinja_unicode_fold[];
extern const size_t jinja_unicode_n_fold;

struct unicode_range {
    int32_t from, to;
};
/* Digits that are not decimal; numerals outside the number categories; cased letters outside of
 * Lu and Ll. */
extern const struct unicode_range jinja_unicode_digit[], jinja_unicode_numeric[];
extern const size_t jinja_unicode_n_digit, jinja_unicode_n_numeric;
extern const struct unicode_range jinja_unicode_upper[], jinja_unicode_lower[];
extern const size_t jinja_unicode_n_upper, jinja_unicode_n_lower;

#endif
