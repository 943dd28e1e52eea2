/* chat/output.h - what a model wrote, read back: thinking, text, tool calls.
 *
 * In:      an answer's text in pieces, cut anywhere.  Out: events CHAT_TEXT, CHAT_REASONING,
 * CHAT_CALL, CHAT_ARGUMENTS as early as they are certain: no markup is ever part of them, and how
 * the text was cut makes no difference to what they say.  Markup that is broken before its call has
 * been announced is text after all; nothing is lost.
 * Threads: one owner at a time. */
#ifndef CHAT_OUTPUT_H
#define CHAT_OUTPUT_H

#include "chat/template.h"
#include "gram/gram.h"

struct chat_parser;

/* Gets each event as it is certain; texts are borrowed for the call.  `choice` is not set. */
typedef void chat_emit(void *arg, const struct chat_event *ev);

/* A reader of one choice's answer.
 *   t, r   borrowed until chat_parser_free.  Without r->tools, or with CHAT_TOOLS_NONE, no calls
 *          are looked for.
 *   name   what the ids of calls are made from, with the calls' numbers: the run and the choice */
struct chat_parser *chat_parser_new(const struct chat_template *t, const struct chat_request *r,
                                    const struct chat_start *start, const char *name,
                                    chat_emit *emit, void *arg);
void chat_parser_free(struct chat_parser *p); // NULL is fine

/* More of the answer: n_tokens tokens stand behind it.
 *   tokens  [n_tokens], or NULL; they go with the text they are behind, whenever that comes, and so
 *           must live as long as the events */
void chat_parser_feed(struct chat_parser *p, str text, int n_tokens,
                      const struct chat_token *tokens);

/* The answer is complete: what was held back comes out.  Returns how it ended: CHAT_FINISH_CALLS
 * where the model ended its turn with calls in it, else `why`. */
enum chat_finish chat_parser_end(struct chat_parser *p, enum chat_finish why);

size_t chat_parser_n_reasoning(const struct chat_parser *p); // tokens of thinking so far

/* What the answer may be, as an automaton: thinking first where the model thinks, then text, the
 * calls that the request's tools and its choice among them allow, arguments that their schemas
 * accept, or the format that is asked for.
 *   v      the vocabulary of t's tokenizer
 *   *out   held for the caller; NULL: anything may come
 *   ERR_INPUT  where = "response_format", "tools[2].function.parameters/properties/a/pattern" ...:
 *              the keyword that cannot be enforced
 *   ERR_LIMIT  as gram_compile */
MUST_CHECK bool chat_constraint(const struct chat_template *t, const struct gram_vocab *v,
                                const struct chat_request *r, const struct chat_start *start,
                                struct gram **out, struct err *e);

/* Does the request's answer need reading at all?  A completion and raw text do not. */
bool chat_needs_parser(const struct chat_request *r);

/* The control tokens whose text must be part of the answer's text, for the parser to see them.
 *   ids  [n] borrowed from the template */
size_t chat_visible_tokens(const struct chat_template *t, const int32_t **ids);

/* Was the template made for tools?  Others get them in words of ours. */
bool chat_takes_tools(const struct chat_template *t);

/* The marks around the thinking of an answer that begins so; *open is empty where it is open
 * already.  False: the model does not think, or the prompt has settled that it will not. */
bool chat_thinking_marks(const struct chat_template *t, const struct chat_start *start, str *open,
                         str *close);

/* The name of the template's call format ("hermes"), and of its thinking ("<think>"); "" for none.
 */
const char *chat_notation_name(const struct chat_template *t);
const char *chat_thinking_name(const struct chat_template *t);

#endif
