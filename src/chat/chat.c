/* chat/chat.c - see chat.h. */
#include "chat/chat.h"

#include "base/mem.h"

struct chat_request *chat_request_new(size_t max_memory)
{
    struct chat_request *r = mem_calloc(1, sizeof *r);
    arena_init(&r->arena, max_memory);
    r->add_generation_prompt = true;
    r->n_choices = 1;
    r->max_failures = -1;
    r->temperature = 1;
    r->top_p = 1;
    r->repetition_penalty = 1;
    return r;
}

void chat_request_free(struct chat_request *r)
{
    if (!r)
        return;
    json_decref(r->messages);
    json_decref(r->tools);
    json_decref(r->template_args);
    json_decref(r->format_schema);
    json_decref(r->bad_words);
    json_decref(r->bad_tokens);
    json_decref(r->stop_tokens);
    json_decref(r->forced);
    json_decref(r->aside);
    for (size_t i = 0; i < r->n_server_tools; i++)
        json_decref(r->server_tools[i].files);
    arena_fini(&r->arena);
    mem_free(r);
}
