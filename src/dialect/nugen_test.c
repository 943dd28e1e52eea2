/* dialect/nugen_test.c - golden chunks and error bodies. */
#include "dialect/golden.h"

#define CHUNK(choice) "data: " HEAD("chat.completion.chunk") choice "]}\n\n"
#define LAST(choice, usage)                                                                        \
    "data: " HEAD("chat.completion.chunk") choice "],\"usage\":{" usage "}}\n\n"
#define TEXT_CHUNK(choice) "data: " HEAD("text_completion") choice "]}\n\n"
#define HEAD(object)                                                                               \
    "{\"id\":\"id1\",\"object\":\"" object "\",\"created\":1767225600,\"model\":\"m\","            \
    "\"choices\":["
#define DELTA(i, d) "{\"index\":" i ",\"delta\":{" d "},\"finish_reason\":null}"
#define FIRST(i)    DELTA(i, "\"role\":\"assistant\",\"content\":\"\"")
#define END(i, why) "{\"index\":" i ",\"delta\":{},\"finish_reason\":\"" why "\"}"
#define DONE        "data: [DONE]\n\n"

static const struct err cancelled = {ERR_CANCELED, "", "the request was cancelled", ""};

static void nugen_chunks_are_golden(void **state)
{
    static const struct golden rows[] = {
        {"plain",
         &nugen_chat_wire,
         {GOLDEN_STARTED, GOLDEN_TEXT("One, "), GOLDEN_TEXT("two."),
          GOLDEN_FINISHED(CHAT_FINISH_END), GOLDEN_COMPLETED(13, 0, 7)},
         CHUNK(FIRST("0")) CHUNK(DELTA("0", "\"content\":\"One, \""))
             CHUNK(DELTA("0", "\"content\":\"two.\""))
                 LAST(END("0", "stop"),
                      "\"prompt_tokens\":13,\"completion_tokens\":7,\"total_tokens\":20") DONE},
        {"thinking",
         &nugen_chat_wire,
         {GOLDEN_STARTED, GOLDEN_REASONING("Hm"), GOLDEN_TEXT("4"),
          GOLDEN_FINISHED(CHAT_FINISH_LENGTH), GOLDEN_COMPLETED(13, 0, 2)},
         CHUNK(FIRST("0")) CHUNK(DELTA("0", "\"reasoning_content\":\"Hm\""))
             CHUNK(DELTA("0", "\"content\":\"4\""))
                 LAST(END("0", "length"),
                      "\"prompt_tokens\":13,\"completion_tokens\":2,\"total_tokens\":15") DONE},
        {"thinking left out",
         &nugen_chat_wire,
         {GOLDEN_STARTED, GOLDEN_REASONING("Hm"), GOLDEN_FINISHED(CHAT_FINISH_LENGTH),
          GOLDEN_COMPLETED(13, 0, 1)},
         CHUNK(FIRST("0")) LAST(END("0", "length"),
                                "\"prompt_tokens\":13,\"completion_tokens\":1,\"total_tokens\":14")
             DONE,
         .hide_reasoning = true},
        {"a call",
         &nugen_chat_wire,
         {GOLDEN_STARTED, GOLDEN_CALL(0, "c0", "tide"), GOLDEN_ARGUMENTS(0, "{\"h\":1}"),
          GOLDEN_FINISHED(CHAT_FINISH_CALLS), GOLDEN_COMPLETED(13, 0, 4)},
         CHUNK(FIRST("0"))
             CHUNK(DELTA("0", "\"tool_calls\":[{\"index\":0,\"id\":\"c0\",\"type\":\"function\","
                              "\"function\":{\"name\":\"tide\",\"arguments\":\"\"}}]"))
                 CHUNK(DELTA("0", "\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":"
                                  "\"{\\\"h\\\":1}\"}}]"))
                     LAST(END("0", "tool_calls"),
                          "\"prompt_tokens\":13,\"completion_tokens\":4,\"total_tokens\":17") DONE},
        {"usage is in the very last of two",
         &nugen_chat_wire,
         {GOLDEN_STARTED,
          GOLDEN_FINISHED(CHAT_FINISH_END),
          {.what = CHAT_FINISHED, .choice = 1, .finish = CHAT_FINISH_LENGTH},
          GOLDEN_COMPLETED(13, 0, 2)},
         CHUNK(FIRST("0")) CHUNK(FIRST("1")) CHUNK(END("0", "stop"))
             LAST(END("1", "length"),
                  "\"prompt_tokens\":13,\"completion_tokens\":2,\"total_tokens\":15") DONE,
         .n_choices = 2},
        {"cancelled",
         &nugen_chat_wire,
         {GOLDEN_STARTED, GOLDEN_FAILED(&cancelled)},
         CHUNK(FIRST("0")) "data: {\"detail\":\"the request was cancelled\",\"error\":{"
                           "\"message\":\"the request was cancelled\",\"type\":\"server_error\","
                           "\"param\":null,\"code\":\"unavailable\"}}\n\n"},
        {"completion",
         &nugen_completion_wire,
         {GOLDEN_STARTED, GOLDEN_TEXT(" blue."), GOLDEN_FINISHED(CHAT_FINISH_END),
          GOLDEN_COMPLETED(3, 0, 2)},
         TEXT_CHUNK("{\"index\":0,\"text\":\" blue.\",\"finish_reason\":null}") "data: " HEAD(
             "text_completion") "{\"index\":0,\"text\":\"\",\"finish_reason\":\"stop\"}],\"usage\":"
                                "{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}"
                                "\n\n" DONE},
    };
    (void)state;
    golden_check(rows, COUNT(rows));
}

static void nugen_errors_are_golden(void **state)
{
#define BOTH(msg, type, param, code)                                                               \
    "{\"detail\":\"" msg "\",\"error\":{\"message\":\"" msg "\",\"type\":\"" type                  \
    "\",\"param\":" param ",\"code\":\"" code "\"}}"
    static const struct {
        const char *name;
        struct err e;
        int status;
        const char *want;
    } rows[] = {
        {"no JSON",
         {ERR_INPUT, "", "no JSON", ""},
         400,
         BOTH("no JSON", "invalid_request_error", "null", "invalid_json")},
        {"a field",
         {ERR_INPUT, "messages[0].role", "odd", "unsupported_value"},
         422,
         "{\"detail\":[{\"loc\":[\"body\",\"messages\",0,\"role\"],\"msg\":\"odd\",\"type\":"
         "\"value_error\"}],\"error\":{\"message\":\"body.messages[0].role: odd\",\"type\":"
         "\"invalid_request_error\",\"param\":\"messages[0].role\",\"code\":\"validation_error\"}"
         "}"},
        {"an image",
         {ERR_INPUT, "messages[0].content[0]", "text only", "unsupported_content"},
         400,
         BOTH("text only", "invalid_request_error", "\"messages[0].content[0]\"",
              "unsupported_content")},
        {"no model",
         {ERR_NOT_FOUND, "model", "none", "model_not_found"},
         404,
         BOTH("none", "invalid_request_error", "\"model\"", "model_not_found")},
        {"type",
         {ERR_INPUT, "", "JSON only", "unsupported_media_type"},
         415,
         BOTH("JSON only", "invalid_request_error", "null", "unsupported_media_type")},
        {"no key",
         {ERR_DENIED, "", "no key", "invalid_api_key"},
         401,
         BOTH("no key", "invalid_request_error", "null", "invalid_api_key")},
        {"busy",
         {ERR_BUSY, "", "full", ""},
         429,
         BOTH("full", "rate_limit_error", "null", "rate_limited")},
        {"ours",
         {ERR_INTERNAL, "", "oh", ""},
         500,
         BOTH("oh", "server_error", "null", "server_error")},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out = BUF_INIT(4096);
        assert_int_equal(nugen_error(&rows[i].e, &out), rows[i].status);
        check_bytes(&out, rows[i].want, rows[i].name);
        buf_free(&out);
    }
    struct err e = {ERR_INPUT, "messages", "", "context_length_exceeded"};
    struct buf out = BUF_INIT(4096);
    nugen_too_long(&e, 822, 511);
    assert_int_equal(nugen_error(&e, &out), 400);
    check_bytes(&out,
                BOTH("prompt too long: 822 tokens, model maximum context length: 511",
                     "invalid_request_error", "\"messages\"", "prompt_too_long"),
                "too long");
    buf_free(&out);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(nugen_chunks_are_golden),
    cmocka_unit_test(nugen_errors_are_golden),
};
TEST_FILE(tests)
