/* tools/mcp_message.h - messages of the Model Context Protocol: JSON-RPC 2.0 in, out, and the
 * results of its calls as what a model reads.  Pure.
 *
 * Source: modelcontextprotocol.io, revisions 2024-11-05 to 2025-11-25. */
#ifndef TOOLS_MCP_MESSAGE_H
#define TOOLS_MCP_MESSAGE_H

#include "json/json.h"

enum mcp_kind { MCP_RESULT, MCP_ERROR, MCP_REQUEST, MCP_NOTIFICATION };

struct mcp_message { // all borrowed from the JSON
    enum mcp_kind kind;
    int64_t id;             // MCP_RESULT, MCP_ERROR: of our request; -1: none of ours
    const json_t *their_id; // MCP_REQUEST
    str method;
    const json_t *body; // result, error or params; may be NULL
    int64_t code;       // MCP_ERROR
    str text;           // MCP_ERROR: its message
};

/* One message.  ERR_INPUT: it is none. */
MUST_CHECK bool mcp_message_read(const json_t *v, struct mcp_message *out, struct err *e);

/* Parses a text that holds one message or an array of them and gives each to `take`, until that
 * says no.  ERR_INPUT (no JSON, no message, too deep), ERR_LIMIT (more than 1000). */
MUST_CHECK bool mcp_messages_read(str text, bool (*take)(const struct mcp_message *m, void *arg),
                                  void *arg, struct err *e);

/* The result of tools/call: `text` gets what a model reads, at most max bytes, cut with a word
 * about it; `content` the blocks as they came if there are others than texts, else nothing; *failed
 * the tool's own word.  ERR_INPUT: it is no such result. */
MUST_CHECK bool mcp_result_read(const json_t *result, size_t max, struct buf *text,
                                struct buf *content, bool *failed, struct err *e);

/* Appends s, cut to max bytes at a character's end with a word about it. */
void mcp_append_cut(struct buf *out, str s, size_t max);

/* Texts given where a schema wants numbers, booleans, lists or objects become these. */
void mcp_coerce(json_t *args, const json_t *schema);

#endif
