/* gguf/synth_int.h - between synth.c and synth_vocab.c. */
#ifndef GGUF_SYNTH_INT_H
#define GGUF_SYNTH_INT_H

#include "gguf/synth.h"

#define GGUF_SYNTH_VOCAB_MIN 262 // the bytes and the control tokens

/* Puts a byte-level BPE vocabulary of n_vocab >= GGUF_SYNTH_VOCAB_MIN tokens: the 256 bytes, merges
 * that build some frequent words, control tokens of a ChatML template, and unused tokens. */
void gguf_synth_put_vocab(struct gguf_writer *w, int n_vocab);

#endif
