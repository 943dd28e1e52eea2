/* dialect/pawa_test.c - golden lines, with and without frames of server-sent events, and errors. */
#include "dialect/golden.h"

#define CHUNK(message, choice, more)                                                               \
    "{\"success\":true,\"message\":\"Chunk completions generated successfully\",\"data\":{\"id\":" \
    "null,\"conversationId\":null,\"feedback\":null,\"message\":" message ",\"status\":null,"      \
    "\"createdAt\":null,\"updatedAt\":null,\"request\":[{" choice "}]" more "}}\n\n"
#define MESSAGE(content) "{\"role\":\"assistant\",\"content\":" content "}"
#define DELTA(content)                                                                             \
    CHUNK(MESSAGE(content),                                                                        \
          "\"finish_reason\":null,\"message\":" MESSAGE(content) ",\"matched_stop\":null", "")
#define LAST(content, why, stop, in, outs)                                                         \
    CHUNK(MESSAGE(content),                                                                        \
          "\"finish_reason\":\"" why "\",\"message\":" MESSAGE(content) ",\"matched_stop\":" stop, \
          ",\"model\":\"m\",\"object\":\"chat.request\",\"created\":1767225600,\"usage\":{"        \
          "\"tokens_in\":" in ",\"tokens_out\":" outs "}")
#define EMPTY "\"\""

static const struct err cancelled = {ERR_CANCELED, "", "the request was cancelled", ""},
                        broken = {ERR_INTERNAL, "", "it broke", ""};

static void pawa_lines_are_golden(void **state)
{
    static const struct golden rows[] = {
        {"plain",
         &pawa_wire,
         {GOLDEN_STARTED, GOLDEN_TEXT("Ha"), GOLDEN_TEXT("bari\n"),
          GOLDEN_FINISHED(CHAT_FINISH_END), GOLDEN_COMPLETED(15, 0, 3)},
         DELTA("\"Ha\"") DELTA("\"bari\\n\"") LAST(EMPTY, "stop", "7", "15", "3")},
        {"as server-sent events",
         &pawa_sse_wire,
         {GOLDEN_STARTED, GOLDEN_TEXT("Ha"), GOLDEN_FINISHED(CHAT_FINISH_END),
          GOLDEN_COMPLETED(15, 0, 2)},
         "data: " DELTA("\"Ha\"") "data: " LAST(EMPTY, "stop", "7", "15", "2") "data: [DONE]\n\n"},
        {"cut by length",
         &pawa_wire,
         {GOLDEN_STARTED, GOLDEN_FINISHED(CHAT_FINISH_LENGTH), GOLDEN_COMPLETED(15, 0, 1)},
         LAST(EMPTY, "stop", "null,\"finish_detail\":\"length\"", "15", "1")},
        {"a stop text",
         &pawa_wire,
         {GOLDEN_STARTED,
          {.what = CHAT_FINISHED, .finish = CHAT_FINISH_STOP, .text = STR_INIT("END")},
          GOLDEN_COMPLETED(15, 0, 1)},
         LAST(EMPTY, "stop", "\"END\"", "15", "1")},
        {"thinking",
         &pawa_wire,
         {GOLDEN_STARTED, GOLDEN_REASONING("Hm"), GOLDEN_TEXT("4"),
          GOLDEN_FINISHED(CHAT_FINISH_END), GOLDEN_COMPLETED(15, 0, 3)},
         DELTA("\"\",\"reasoning_content\":\"Hm\"") DELTA("\"4\"")
             LAST(EMPTY, "stop", "7", "15", "3")},
        {"thinking nobody asked for",
         &pawa_wire,
         {GOLDEN_STARTED, GOLDEN_REASONING("Hm"), GOLDEN_TEXT("4"),
          GOLDEN_FINISHED(CHAT_FINISH_END), GOLDEN_COMPLETED(15, 0, 3)},
         DELTA("\"4\"") LAST(EMPTY, "stop", "7", "15", "3"),
         .hide_reasoning = true},
        {"a call, whole in the last chunk",
         &pawa_wire,
         {GOLDEN_STARTED, GOLDEN_CALL(0, "call_a1", "get_weather"),
          GOLDEN_ARGUMENTS(0, "{\"town\":"), GOLDEN_ARGUMENTS(0, "\"Dodoma\"}"),
          GOLDEN_FINISHED(CHAT_FINISH_CALLS), GOLDEN_COMPLETED(96, 0, 19)},
         LAST("\"\",\"tool_calls\":[{\"id\":\"call_a1\",\"type\":\"function\",\"function\":{"
              "\"name\":\"get_weather\",\"arguments\":\"{\\\"town\\\":\\\"Dodoma\\\"}\"}}]",
              "tool", "null", "96", "19")},
        {"cancelled",
         &pawa_wire,
         {{.what = CHAT_STARTED, .usage = {.n_prompt = 14}},
          GOLDEN_TEXT("Once"),
          GOLDEN_TEXT(" upon"),
          GOLDEN_FAILED(&cancelled)},
         DELTA("\"Once\"") DELTA("\" upon\"") LAST(EMPTY, "cancelled", "null", "14", "2")},
        {"failed",
         &pawa_wire,
         {GOLDEN_STARTED, GOLDEN_FAILED(&broken)},
         "{\"success\":false,\"message\":\"it broke\",\"code\":\"internal\",\"data\":null}\n\n"},
    };
    (void)state;
    golden_check(rows, COUNT(rows));
}

static void pawa_errors_are_golden(void **state)
{
    static const struct {
        struct err e;
        int status;
        const char *code;
    } rows[] = {
        {{ERR_INPUT, "", "x", ""}, 400, "invalid_request"},
        {{ERR_INPUT, "messages[2]", "x", "role_order"}, 400, "role_order"},
        {{ERR_INPUT, "messages", "x", "context_length_exceeded"}, 400, "prompt_too_long"},
        {{ERR_INPUT, "rag", "x", "unsupported_value"}, 400, "unsupported"},
        {{ERR_INPUT, "messages[0].content[0]", "x", "unsupported_content"}, 400, "unsupported"},
        {{ERR_NOT_FOUND, "model", "x", "model_not_found"}, 404, "not_found"},
        {{ERR_DENIED, "", "x", "invalid_api_key"}, 401, "unauthorized"},
        {{ERR_LIMIT, "", "x", ""}, 413, "too_large"},
        {{ERR_BUSY, "", "x", ""}, 503, "unavailable"},
        {{ERR_IO, "", "x", ""}, 500, "internal"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out = BUF_INIT(4096), want = BUF_INIT(4096);
        assert_int_equal(pawa_error(&rows[i].e, &out), rows[i].status);
        buf_printf(&want, "{\"success\":false,\"message\":\"x\",\"code\":\"%s\",\"data\":null}",
                   rows[i].code);
        check_str(buf_as_str(&out), buf_as_str(&want), rows[i].code);
        buf_free(&out);
        buf_free(&want);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(pawa_lines_are_golden),
    cmocka_unit_test(pawa_errors_are_golden),
};
TEST_FILE(tests)
