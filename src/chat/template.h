/* chat/template.h - a model's chat template: conversations in, prompt tokens out.
 * Threads: immutable once opened; may be used by several prep workers at once. */
#ifndef CHAT_TEMPLATE_H
#define CHAT_TEMPLATE_H

#include "chat/chat.h"
#include "gguf/gguf.h"
#include "jinja/jinja.h"

struct chat_template;

/* Takes the template from `source` if not NULL, else from tokenizer.chat_template, else ChatML.
 *   tok  borrowed until close
 *   ERR_INPUT with where = "line:column" when the template does not compile */
MUST_CHECK bool chat_template_open(struct chat_template **out, const struct gguf *g,
                                   const struct tok *tok, const str *source, struct err *e);
/* The same with calls in the notation of this name (docs/calls.md), whatever the template tells;
 * empty: as above.
 *   ERR_INPUT also when there is no such notation, or the template knows no tools: it gets them in
 *   words that tell of another */
MUST_CHECK bool chat_template_open_as(struct chat_template **out, const struct gguf *g,
                                      const struct tok *tok, const str *source, str notation,
                                      struct err *e);
void chat_template_close(struct chat_template *t);

/* Is it the model's own (or the operator's), not the ChatML stand-in? */
bool chat_template_is_own(const struct chat_template *t);
str chat_template_source(const struct chat_template *t);
bool chat_template_mentions(const struct chat_template *t, const char *name);

/* Renders r->messages.  out->text.max is the caller's. */
MUST_CHECK bool chat_render(const struct chat_template *t, const struct chat_request *r,
                            struct jinja_out *out, struct err *e);

/* Renders and tokenizes a conversation, or tokenizes prompt i of a completion; text from users
 * never becomes a control token.  Appends to ids. */
MUST_CHECK bool chat_tokenize(const struct chat_template *t, const struct chat_request *r, size_t i,
                              struct tok_ids *ids, struct err *e);

/* How the answer to a rendered prompt begins, as far as the prompt decides it. */
struct chat_start {
    bool thinking; // the prompt has opened the model's thinking
    bool settled;  // ... or has closed it: it cannot begin
};

/* chat_tokenize, which also says how the answer begins. */
MUST_CHECK bool chat_prepare(const struct chat_template *t, const struct chat_request *r, size_t i,
                             struct tok_ids *ids, struct chat_start *start, struct err *e);

#endif
