/* dialect/ollama.h - what Ollama's files share. */
#ifndef DIALECT_OLLAMA_H
#define DIALECT_OLLAMA_H

#include "dialect/dialect_int.h"

/* ollama_read.c */
bool ollama_read_chat(struct dialect *d, struct http_req *r, struct talk_order *out, struct err *e);
bool ollama_read_generate(struct dialect *d, struct http_req *r, struct talk_order *out,
                          struct err *e);
/* A name with or without ":latest"; NULL and ERR_NOT_FOUND. */
const struct run_model *ollama_find_model(struct dialect *d, str name, struct err *e);

/* ollama_write.c */
extern const struct wire ollama_chat_wire, ollama_generate_wire;
int ollama_error(const struct err *e, struct buf *out);
/* RFC 3339 with microseconds, quoted. */
void ollama_write_time(int64_t unix_ms, struct buf *out);
/* The answer to a request without a prompt: nothing but "load" or "unload". */
void ollama_write_loaded(const char *model, bool chat, const char *why, struct buf *out);

#endif
