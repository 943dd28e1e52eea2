/* chat/chat_int.h - what the files of this room share: formats of calls, and the reader's inside.
 */
#ifndef CHAT_CHAT_INT_H
#define CHAT_CHAT_INT_H

#include "chat/output.h"

#define FORMAT_STRINGS 4

/* What a step of reading came to. */
enum verdict {
    MORE,   // not decidable yet
    DONE,   // the markup is over; text follows
    BROKEN, // it is none after all
};

/* A grammar that is being put together. */
struct chat_grammar {
    struct gram_build *b;
    const struct chat_template *t;
    const struct chat_request *r;
    struct err e; // of what is found before compiling; code ERR_NONE: fine so far
};

/* How calls look in a model's output.  One row a format; strings are NULL where there is none. */
struct chat_notation {
    const char *name;
    const char *needles[FORMAT_STRINGS]; // a template that holds all of them is of this format
    const char *without;                 // ... unless it holds this

    /* Reading.  The answer's text is searched for `openers`; behind one, `read` takes over until it
     * is DONE or BROKEN. */
    const char *openers[FORMAT_STRINGS];
    const char *bare; // letters that may begin a call in front of all text, without any opener
    bool channels;    // all of the answer is markup: read() sees it from its first byte
    bool short_ids;   // ids are 9 letters and digits, as this family's templates demand
    enum verdict (*read)(struct chat_parser *p);

    /* Of JSON objects: the keys of a call's parts. */
    const char *name_keys[FORMAT_STRINGS], *argument_keys[FORMAT_STRINGS];
    /* Of names before JSON: what may stand before a name, what ends it, what may stand before the
     * arguments and behind them. */
    const char *before_name[FORMAT_STRINGS], *name_ends[FORMAT_STRINGS];
    const char *before_arguments[FORMAT_STRINGS], *after_arguments[FORMAT_STRINGS];
    const char *again;                               // begins one more call in the same section
    const char *separator, *closers[FORMAT_STRINGS]; // between calls, behind the last one

    /* Writing, for the automaton: a call is opener, before, NAME, middle, ARGUMENTS, after; one
     * more begins with `next`; `last` stands behind them all. */
    struct {
        const char *opener, *before, *middle, *after, *next, *last;
        const char *answer; // stands before text; NULL: nothing does
    } form;
    /* How arguments look; NULL: JSON by the schema. */
    const struct gram_node *(*arguments)(struct chat_grammar *g, const json_t *schema);
    const struct chat_thinking *thinking; // instead of a pair from the template's text
};

/* The first that claims a template is its own. */
extern const struct chat_notation *const chat_notations[];
extern const size_t chat_n_notations;
const struct chat_notation *chat_notation_of(str source); // NULL: none is known for this template

/* A pair of marks around a model's thinking. */
struct chat_thinking {
    const char *open, *close;
};
const struct chat_thinking *chat_thinking_of(str source);

/* template.c */
const struct chat_notation *chat_template_notation(const struct chat_template *t);
const struct chat_thinking *chat_template_thinking(const struct chat_template *t);
const struct tok *chat_template_tok(const struct chat_template *t);
/* Does the model open its thinking itself?  Not so where the prompt does that when it is to think.
 */
bool chat_template_thinks_unasked(const struct chat_template *t);

/* history.c: the same messages with calls in the form that a template wants; a new array. */
json_t *chat_adapt_history(const json_t *messages, bool text_arguments, bool short_ids);

/* plain_tools.c: the conversation for a template without tools; a new array. */
json_t *chat_plain_tools(const json_t *messages, const json_t *tools);

/* Where a JSON value ends that comes in pieces; strict enough to count brackets. */
struct json_scan {
    int depth;
    bool begun, in_string, escaped;
};

struct chat_parser {
    const struct chat_notation *format; // NULL: no calls are looked for
    const struct chat_thinking *thinking;
    const json_t *tools;
    chat_emit *emit;
    void *arg;
    uint64_t id_seed;

    enum { PARSE_START, PARSE_THINKING, PARSE_TEXT, PARSE_CALLS } state;
    struct buf in;  // not consumed before `at`; text falls back to `mark`
    size_t at;      // consumed
    size_t mark;    // where markup began whose call is not announced; == at: nowhere
    bool last;      // no more will come
    bool cut;       // ... and the model was not done
    bool demanded;  // behind the thinking there is nothing but calls
    bool skip;      // white space in front is dropped
    bool fresh;     // no text and no call so far: a bare call may begin
    size_t n_calls; // announced

    /* Tokens of what is not consumed, by where their text begins. */
    struct token_group {
        uint64_t at;
        int n;
        const struct chat_token *token; // NULL: they are only counted
    } * groups;
    size_t n_groups, cap_groups, first_group;
    uint64_t base; // of in.p[0] in the whole answer
    size_t n_reasoning;
    int n_pending; // tokens of markup: the next event counts them
    struct chat_token *tokens;
    size_t n_tokens, cap_tokens;
    bool with_tokens;

    enum chat_what what; // of the text gathered in `out`
    struct buf out;
    size_t n_said; // of the text said since the last bytes were consumed

    /* Of the markup that is being read. */
    int step;                   // 0 behind the opener
    bool bare;                  // there was none
    struct buf name, arguments; // arguments that came before their name
    bool announced, listed, has_arguments;
    bool wrapped;           // Python: in print()
    size_t opener;          // which of them began the markup
    size_t position;        // Python: of the argument
    size_t n_before;        // calls announced before this markup
    enum chat_what channel; // channels: CHAT_TEXT, CHAT_REASONING, or anything else
    struct json_scan scan;
    void *more; // of read()'s own; released with mem_free
};

/* parse.c */
/* chat_parser_new without a template; notation and thinking may be NULL. */
struct chat_parser *chat_parser_open(const struct chat_notation *notation,
                                     const struct chat_thinking *thinking, const json_t *tools,
                                     const struct chat_start *start, const char *name,
                                     chat_emit *emit, void *arg);

/* parse.c: what the files of formats read with.  All of them look at what is not consumed. */
static inline str chat_rest(const struct chat_parser *p)
{
    return p->in.p ? (str){p->in.p + p->at, p->in.n - p->at} : STR("");
}
void chat_take(struct chat_parser *p, size_t n); // consumes
void chat_skip_space(struct chat_parser *p);
/* DONE: it stood there and is consumed.  BROKEN: something else does. */
enum verdict chat_take_literal(struct chat_parser *p, const char *literal);
/* The first of a NULL-ended list that stands there.  BROKEN: none does. */
enum verdict chat_take_any(struct chat_parser *p, const char *const *list, size_t n);
/* Where the first of the list begins, and which it is; or -1 and how many bytes certainly belong to
 * none. */
ptrdiff_t chat_search(const struct chat_parser *p, const char *const *list, size_t n, size_t *which,
                      size_t *sure);
void chat_say(struct chat_parser *p, enum chat_what what, str text); // gathers
void chat_announce(struct chat_parser *p, str name);
void chat_argue(struct chat_parser *p, str text); // more of the announced call's arguments
void chat_end_call(struct chat_parser *p);        // the next announce begins another
bool chat_knows_tool(const struct chat_parser *p, str name);
/* The schema of a tool's arguments, or NULL. */
const json_t *chat_tool_schema(const json_t *tools, str name);
str chat_tool_name(const json_t *tool);

/* How much of the text belongs to the JSON value, begun or gone on with; *end: it is complete. */
size_t chat_scan_json(struct json_scan *s, str text, bool *end);

/* constrain.c */
/* Marks as the model writes them: text, and control tokens. */
const struct gram_node *chat_gram_mark(struct chat_grammar *g, const char *text);
/* May arguments of this schema be written one by one: is it an object of plain properties, with
 * names that can be written (fits)?  False with g->e set. */
bool chat_gram_check_object(struct chat_grammar *g, const json_t *schema, bool (*fits)(str name));
bool chat_schema_requires(const json_t *schema, const char *key);

/* One file a family of notations: its reader, and its arguments for the automaton. */
enum verdict chat_read_xml(struct chat_parser *p);
const struct gram_node *chat_gram_xml(struct chat_grammar *g, const json_t *schema);
enum verdict chat_read_python(struct chat_parser *p);
const struct gram_node *chat_gram_python(struct chat_grammar *g, const json_t *schema);
enum verdict chat_read_harmony(struct chat_parser *p);
enum verdict chat_read_recipients(struct chat_parser *p);

/* parse_json.c */
/* A JSON string that stands there: decoded into *out.  At most STRING_MAX bytes. */
enum verdict chat_take_string(struct chat_parser *p, struct buf *out);
enum verdict chat_read_objects(struct chat_parser *p);
enum verdict chat_read_named(struct chat_parser *p);

#endif
