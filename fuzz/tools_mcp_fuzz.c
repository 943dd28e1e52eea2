/* fuzz/tools_mcp_fuzz.c - what an MCP server sends: messages, and results of tools. */
#include "tools/mcp_message.h"

#include <assert.h>

static bool take(const struct mcp_message *m, void *arg)
{
    int *n = arg;
    bool failed = false;
    struct buf text = BUF_INIT(4096), content = BUF_INIT(4096);
    struct err e = {0};
    assert(m->kind != MCP_REQUEST || m->their_id);
    if (m->kind == MCP_RESULT) {
        bool ok = mcp_result_read(m->body, 100, &text, &content, &failed, &e);
        assert(ok ? text.n <= 100 : e.msg[0] != '\0');
        json_t *args = json_deep_copy(m->body);
        mcp_coerce(args, m->body);
        json_decref(args);
    }
    buf_free(&text);
    buf_free(&content);
    return ++*n < 100;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    int n = 0;
    bool ok = mcp_messages_read((str){(const char *)data, size}, take, &n, &e);
    assert(ok || e.msg[0] != '\0');
    return 0;
}
