/* tok/pre_tab.h - sets of characters that some pre-tokenizers name one by one (pre_tab.c). */
#ifndef TOK_PRE_TAB_H
#define TOK_PRE_TAB_H

#include "tok/tok_int.h"

extern const struct tok_set tok_set_cased_letters;
extern const struct tok_set tok_set_deepseek_marks;
extern const struct tok_set tok_set_deepseek_cjk;
extern const struct tok_set tok_set_kana_cjk;
extern const struct tok_set tok_set_afmoe_asian;
extern const struct tok_set tok_sets_youtu[4];
extern const struct tok_set tok_set_bloom_stops; // inverted

#endif
