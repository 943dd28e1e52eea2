/* cli/talk.h - a conversation with a server that speaks the chat completions API.
 *
 * In:      questions.  Out: the answer on standard output, as it comes.
 * Threads: one. */
#ifndef CLI_TALK_H
#define CLI_TALK_H

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>

struct talk {
    /* Set before talk_connect. */
    char model[256];    // empty: the server's first
    double temperature; // < 0: the server's default
    int64_t max_tokens; // < 0: likewise
    int64_t seed;       // < 0: likewise
    bool show_reasoning;

    /* Private, but for url. */
    char url[512];
    json_t *messages;
    bool (*stop)(void);
    bool tty_out; // colours, and no control characters of the model's
};

/* stop: looked at several times a second while waiting; true ends an answer. */
void talk_init(struct talk *t, bool (*stop)(void));
void talk_fini(struct talk *t);

/* Asks the server which models it has.  ERR_INPUT, ERR_IO, ERR_DENIED, ...: says what to do. */
MUST_CHECK bool talk_connect(struct talk *t, const char *url, struct err *e);

/* Sends the conversation with one more question, and writes the answer.  On failure the question is
 * not part of the conversation; a stopped answer (ERR_CANCELED) stays as far as it came. */
MUST_CHECK bool talk_ask(struct talk *t, str question, struct err *e);

void talk_set_system(struct talk *t, str text); // replaces the one before
str talk_system(const struct talk *t);          // empty when there is none
void talk_reset(struct talk *t);                // forgets all but the system text

/* JSON when the name ends with .json, else readable text. */
MUST_CHECK bool talk_save(const struct talk *t, const char *path, struct err *e);

/* Appends text without what would steer a terminal: control characters (C0 but line feed and tab,
 * delete, C1).  Keeps the state of a character that is cut between two calls in *half. */
void talk_clean(struct buf *out, str text, bool *half);

#endif
