/* dialect/messages_results_test.c - results of tools of the server as blocks, special and plain. */
#include "dialect/messages.h"
#include "test.h"

static void results_become_blocks(void **state)
{
    static const struct {
        const char *shown, *text, *content;
        enum chat_fault fault;
        bool plain;
        const char *type, *want; // want: behind the id
    } rows[] = {
        {"web_search",
         "{\"results\": [{\"title\": \"T\", \"url\": \"http://u\", \"snippet\": \"s\"}]}", "",
         CHAT_FAULT_NONE, false, "web_search_tool_result",
         "[{\"type\":\"web_search_result\",\"url\":\"http://u\",\"title\":\"T\","
         "\"encrypted_content\":\"\",\"page_age\":null,\"description\":\"s\"}]"},
        {"web_search", "{\"results\": []}", "", CHAT_FAULT_NONE, false, "web_search_tool_result",
         "[]"},
        {"web_search", "no \"query\"", "", CHAT_FAULT_ARGUMENTS, false, "web_search_tool_result",
         "{\"type\":\"web_search_tool_result_error\",\"error_code\":\"invalid_tool_input\","
         "\"message\":\"no \\\"query\\\"\"}"},
        {"fetch", "{\"url\": \"http://u\", \"status\": 200, \"title\": \"\", \"text\": \"hi\"}", "",
         CHAT_FAULT_NONE, false, "web_fetch_tool_result",
         "{\"type\":\"web_fetch_result\",\"url\":\"http://u\",\"content\":{\"type\":\"document\","
         "\"source\":{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":\"hi\"},\"title\":"
         "null,\"citations\":null},\"retrieved_at\":\"2026-01-01T00:00:00Z\"}"},
        {"fetch", "no", "", CHAT_FAULT_DENIED, false, "web_fetch_tool_result",
         "{\"type\":\"web_fetch_tool_result_error\",\"error_code\":\"url_not_allowed\","
         "\"message\":\"no\"}"},
        {"py", "{\"stdout\": \"4\\n\", \"stderr\": \"\", \"exit_code\": 0}", "", CHAT_FAULT_NONE,
         false, "bash_code_execution_tool_result",
         "{\"type\":\"bash_code_execution_result\",\"stdout\":\"4\\n\",\"stderr\":\"\","
         "\"return_code\":0,\"content\":[]}"},
        {"py", "late", "", CHAT_FAULT_TIMEOUT, false, "bash_code_execution_tool_result",
         "{\"type\":\"bash_code_execution_tool_result_error\",\"error_code\":"
         "\"execution_time_exceeded\",\"message\":\"late\"}"},
        // Cut where it was too long: a text like another.
        {"py", "{\"stdout\": \"4 [cut", "", CHAT_FAULT_NONE, false, "server_tool_result",
         "[{\"type\":\"text\",\"text\":\"{\\\"stdout\\\": \\\"4 [cut\"}],\"is_error\":false"},
        {"py", "{}", "", CHAT_FAULT_NONE, false, "server_tool_result",
         "[{\"type\":\"text\",\"text\":\"{}\"}],\"is_error\":false"},
        {"calc", "84", "", CHAT_FAULT_NONE, false, "server_tool_result",
         "[{\"type\":\"text\",\"text\":\"84\"}],\"is_error\":false"},
        {"echo", "words", "[{\"type\":\"image\",\"data\":\"AA==\",\"mimeType\":\"image/png\"}]",
         CHAT_FAULT_NONE, false, "server_tool_result",
         "[{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\","
         "\"data\":\"AA==\"}}],\"is_error\":false"},
        {"echo", "broken", "", CHAT_FAULT_TOOL, false, "server_tool_result",
         "\"broken\",\"is_error\":true"},
        {"py", "{\"stdout\": \"\", \"stderr\": \"\", \"exit_code\": 0}", "", CHAT_FAULT_NONE, true,
         "tool_result",
         "[{\"type\":\"text\",\"text\":\"{\\\"stdout\\\": \\\"\\\", \\\"stderr\\\": \\\"\\\", "
         "\\\"exit_code\\\": 0}\"}],\"is_error\":false"},
    };
    static struct chat_server_tool tools[] = {
        {.name = STR_INIT("web:search"), .shown = STR_INIT("web_search")},
        {.name = STR_INIT("web:url"), .shown = STR_INIT("fetch")},
        {.name = STR_INIT("code:python-interpreter"), .shown = STR_INIT("py")},
        {.name = STR_INIT("math:calculator"), .shown = STR_INIT("calc")},
        // A server's tool is what it is, whatever its name.
        {.name = STR_INIT("web:url"), .server = STR_INIT("shop"), .shown = STR_INIT("echo")},
    };
    struct chat_request *r = chat_request_new(1 << 16);
    (void)state;
    r->server_tools = tools;
    r->n_server_tools = COUNT(tools);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct talk_facts f = {.request = r, .plain_tools = rows[i].plain};
        struct chat_event ev = {.what = CHAT_SERVER_RESULT,
                                .unix_ms = 1767225600000,
                                .id = STR("call_x1"),
                                .name = str_c(rows[i].shown),
                                .text = str_c(rows[i].text),
                                .content = str_c(rows[i].content),
                                .fault = rows[i].fault};
        struct buf out = BUF_INIT(10000), want = BUF_INIT(10000);
        const char *type = messages_write_result(&f, &ev, &out);
        check_str(str_c(type), str_c(rows[i].type), rows[i].text);
        buf_printf(&want, ",\"tool_use_id\":\"%sx1\",\"content\":%s",
                   rows[i].plain ? "tool_" : "srvtoolu_", rows[i].want);
        check_str(buf_as_str(&out), buf_as_str(&want), rows[i].text);
        buf_free(&out);
        buf_free(&want);
    }
    r->n_server_tools = 0;
    chat_request_free(r);
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(results_become_blocks)};
TEST_FILE(tests)
