/* dialect/friendli_test.c - golden frames and error bodies. */
#include "dialect/friendli.h"
#include "dialect/golden.h"

#define HEAD(object)                                                                               \
    "data: {\"id\":\"id1\",\"object\":\"" object                                                   \
    "\",\"created\":1767225600,\"model\":\"m\",\"choices\":["
#define CHUNK(i, delta)                                                                            \
    HEAD("chat.completion.chunk")                                                                  \
    "{\"index\":" i ",\"delta\":{" delta "},\"finish_reason\":null,\"logprobs\":null}]}\n\n"
#define END(i, delta, why, seed)                                                                   \
    HEAD("chat.completion.chunk")                                                                  \
    "{\"index\":" i ",\"delta\":{" delta "},\"finish_reason\":\"" why                              \
    "\",\"logprobs\":null,\"seed\":" seed "}]}\n\n"
#define ROLE "\"role\":\"assistant\""
#define DONE "data: [DONE]\n\n"

static const struct err late = {ERR_TIMEOUT, "", "too late", ""};

static void friendli_frames_are_golden(void **state)
{
    static const struct golden rows[] = {
        {"the role comes with the first text, empty texts not at all",
         &friendli_chat_wire,
         {GOLDEN_STARTED, GOLDEN_TEXT(""), GOLDEN_TEXT("Hi"), GOLDEN_TEXT(" \"you\""),
          GOLDEN_FINISHED(CHAT_FINISH_END), GOLDEN_COMPLETED(9, 0, 3)},
         CHUNK("0", ROLE ",\"content\":\"Hi\"") CHUNK("0", "\"content\":\" \\\"you\\\"\"")
             END("0", "", "stop", "0") DONE},
        {"nothing said",
         &friendli_chat_wire,
         {GOLDEN_STARTED, GOLDEN_FINISHED(CHAT_FINISH_LENGTH), GOLDEN_COMPLETED(9, 0, 0)},
         END("0", ROLE, "length", "0") DONE},
        {"thinking",
         &friendli_chat_wire,
         {GOLDEN_STARTED, GOLDEN_REASONING("hm"), GOLDEN_TEXT("4"),
          GOLDEN_FINISHED(CHAT_FINISH_END), GOLDEN_COMPLETED(9, 0, 2)},
         CHUNK("0", ROLE ",\"reasoning_content\":\"hm\"") CHUNK("0", "\"content\":\"4\"")
             END("0", "", "stop", "0") DONE},
        {"thinking, hidden",
         &friendli_chat_wire,
         {GOLDEN_STARTED, GOLDEN_REASONING("hm"), GOLDEN_TEXT("4"),
          GOLDEN_FINISHED(CHAT_FINISH_END), GOLDEN_COMPLETED(9, 0, 2)},
         CHUNK("0", ROLE ",\"content\":\"4\"") END("0", "", "stop", "0") DONE,
         .hide_reasoning = true},
        {"a call",
         &friendli_chat_wire,
         {GOLDEN_STARTED, GOLDEN_CALL(0, "call_1", "tide"), GOLDEN_ARGUMENTS(0, "{\"h\":1}"),
          GOLDEN_FINISHED(CHAT_FINISH_CALLS), GOLDEN_COMPLETED(9, 0, 5)},
         CHUNK("0", ROLE ",\"tool_calls\":[{\"index\":0,\"id\":\"call_1\",\"type\":\"function\","
                         "\"function\":{\"name\":\"tide\",\"arguments\":\"\"}}]")
             CHUNK("0", "\"tool_calls\":[{\"index\":0,\"type\":\"function\",\"function\":{"
                        "\"arguments\":\"{\\\"h\\\":1}\"}}]") END("0", "", "tool_calls", "0") DONE},
        {"two choices: a role and a seed for each",
         &friendli_chat_wire,
         {GOLDEN_STARTED,
          {.what = CHAT_TEXT, .choice = 1, .text = STR_INIT("b")},
          {.what = CHAT_TEXT, .choice = 0, .text = STR_INIT("a")},
          {.what = CHAT_FINISHED, .choice = 1, .finish = CHAT_FINISH_STOP},
          {.what = CHAT_FINISHED, .choice = 0, .finish = CHAT_FINISH_LENGTH},
          GOLDEN_COMPLETED(9, 0, 2)},
         CHUNK("1", ROLE ",\"content\":\"b\"") CHUNK("0", ROLE ",\"content\":\"a\"")
             END("1", "", "stop", "1") END("0", "", "length", "0") DONE,
         .n_choices = 2},
        {"failed under way: no choices in that frame",
         &friendli_chat_wire,
         {GOLDEN_STARTED, GOLDEN_TEXT("Hi"), GOLDEN_FAILED(&late)},
         CHUNK("0",
               ROLE ",\"content\":\"Hi\"") "data: {\"message\":\"too "
                                           "late\",\"error\":{\"message\":\"too late\",\"type\":"
                                           "\"timeout_error\",\"param\":null,\"code\":\"timeout\"}}"
                                           "\n\n" DONE},
        {"completion",
         &friendli_completion_wire,
         {GOLDEN_STARTED, GOLDEN_TEXT("Hi"), GOLDEN_FINISHED(CHAT_FINISH_LENGTH),
          GOLDEN_COMPLETED(9, 0, 1)},
         HEAD("text_completion") "{\"index\":0,\"text\":\"Hi\",\"finish_reason\":null,\"logprobs\":"
                                 "null}]}\n\n" HEAD(
                                     "text_completion") "{\"index\":0,\"text\":\"\",\"finish_"
                                                        "reason\":\"length\",\"logprobs\":null,"
                                                        "\"seed\":0}"
                                                        "]}\n\n" DONE},
    };
    (void)state;
    golden_check(rows, COUNT(rows));
}

static void friendli_errors_are_a_union_of_shapes(void **state)
{
    static const struct {
        struct err e;
        int status;
        const char *want;
    } rows[] = {
        {{ERR_INPUT, "messages[3].role", "no", "invalid_type"},
         422,
         "{\"message\":\"no\",\"error\":{\"message\":\"no\",\"type\":\"invalid_request_error\","
         "\"param\":\"messages[3].role\",\"code\":\"invalid_type\"},\"detail\":[{\"loc\":[\"body\","
         "\"messages\",3,\"role\"],\"msg\":\"no\",\"type\":\"value_error\"}]}"},
        {{ERR_INPUT, "", "no JSON", ""},
         400,
         "{\"message\":\"no JSON\",\"error\":{\"message\":\"no JSON\",\"type\":"
         "\"invalid_request_error\",\"param\":null,\"code\":null}}"},
        {{ERR_INPUT, "messages", "long", "context_length_exceeded"},
         400,
         "{\"message\":\"long\",\"error\":{\"message\":\"long\",\"type\":\"invalid_request_error\","
         "\"param\":\"messages\",\"code\":\"context_length_exceeded\"}}"},
        {{ERR_DENIED, "", "no key", "invalid_api_key"},
         401,
         "{\"message\":\"no key\",\"error\":{\"message\":\"no key\",\"type\":"
         "\"authentication_error\",\"param\":null,\"code\":\"invalid_api_key\"}}"},
        {{ERR_BUSY, "", "full", ""},
         429,
         "{\"message\":\"full\",\"error\":{\"message\":\"full\",\"type\":\"rate_limit_exceeded\","
         "\"param\":null,\"code\":\"queue_full\"}}"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out = BUF_INIT(4096);
        assert_int_equal(friendli_error(&rows[i].e, &out), rows[i].status);
        check_bytes(&out, rows[i].want, rows[i].e.msg);
        buf_free(&out);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(friendli_frames_are_golden),
    cmocka_unit_test(friendli_errors_are_a_union_of_shapes),
};
TEST_FILE(tests)
