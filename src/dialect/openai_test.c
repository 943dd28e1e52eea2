/* dialect/openai_test.c - golden chunks. */
#include "dialect/golden.h"

#define HEAD(object)                                                                               \
    "data: {\"id\":\"id1\",\"object\":\"" object                                                   \
    "\",\"created\":1767225600,\"model\":\"m\",\"system_fingerprint\":\"fp\","
#define CHAT HEAD("chat.completion.chunk")
#define PIECE(delta, finish, more)                                                                 \
    CHAT "\"service_tier\":\"default\",\"choices\":[{\"index\":0,\"delta\":{" delta                \
         "},\"logprobs\":null,\"finish_reason\":" finish "}]" more "}\n\n"
#define ROLE PIECE("\"role\":\"assistant\",\"content\":\"\"", "null", "")
#define DONE "data: [DONE]\n\n"
#define USAGE                                                                                      \
    "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\"total_tokens\":12,"                  \
    "\"prompt_tokens_details\":{\"cached_tokens\":4},\"completion_tokens_details\":{"              \
    "\"reasoning_tokens\":0}}"
#define NO_USAGE ",\"usage\":null"

static const struct err late = {ERR_TIMEOUT, "", "too late", ""};
static const struct err stopped = {ERR_CANCELED, "", "the request was cancelled", ""};

static void openai_chunks_are_golden(void **state)
{
    static const struct golden rows[] = {
        {"plain",
         &openai_chat_wire,
         {{.what = CHAT_WAITING, .position = 1},
          GOLDEN_STARTED,
          GOLDEN_TEXT("Hi"),
          GOLDEN_FINISHED(CHAT_FINISH_END),
          GOLDEN_COMPLETED(9, 4, 3)},
         ROLE PIECE("\"content\":\"Hi\"", "null", "") PIECE("", "\"stop\"", "") DONE},
        {"with usage",
         &openai_chat_wire,
         {GOLDEN_STARTED, GOLDEN_TEXT("Hi"), GOLDEN_FINISHED(CHAT_FINISH_LENGTH),
          GOLDEN_COMPLETED(9, 4, 3)},
         PIECE("\"role\":\"assistant\",\"content\":\"\"", "null", NO_USAGE)
             PIECE("\"content\":\"Hi\"", "null", NO_USAGE) PIECE("", "\"length\"", NO_USAGE) CHAT
         "\"choices\":[]," USAGE "}\n\n" DONE,
         .include_usage = true},
        {"the prompt's progress",
         &openai_chat_wire,
         {{.what = CHAT_PROGRESS, .position = 5, .unix_ms = 40, .usage = {.n_prompt = 9}},
          GOLDEN_STARTED,
          GOLDEN_FINISHED(CHAT_FINISH_END),
          GOLDEN_COMPLETED(9, 0, 1)},
         CHAT "\"choices\":[],\"prompt_progress\":{\"total\":9,\"cache\":0,\"processed\":5,"
              "\"time_ms\":40}}\n\n" ROLE PIECE("", "\"stop\"", "") DONE,
         .progress = true},
        {"thinking and a call",
         &openai_chat_wire,
         {GOLDEN_STARTED, GOLDEN_REASONING("hm"), GOLDEN_CALL(0, "call_1", "tide"),
          GOLDEN_ARGUMENTS(0, "{}"), GOLDEN_FINISHED(CHAT_FINISH_CALLS), GOLDEN_COMPLETED(9, 0, 5)},
         ROLE PIECE("\"reasoning_content\":\"hm\"", "null", "") PIECE(
             "\"tool_calls\":[{\"index\":0,\"id\":\"call_1\",\"type\":\"function\",\"function\":{"
             "\"name\":\"tide\",\"arguments\":\"\"}}]",
             "null", "") PIECE("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]",
                               "null", "") PIECE("", "\"tool_calls\"", "") DONE},
        {"a call in the older way",
         &openai_chat_wire,
         {GOLDEN_STARTED, GOLDEN_CALL(0, "call_1", "tide"), GOLDEN_ARGUMENTS(0, "{}"),
          GOLDEN_FINISHED(CHAT_FINISH_CALLS), GOLDEN_COMPLETED(9, 0, 5)},
         ROLE PIECE("\"function_call\":{\"name\":\"tide\",\"arguments\":\"\"}", "null", "")
             PIECE("\"function_call\":{\"arguments\":\"{}\"}", "null", "")
                 PIECE("", "\"function_call\"", "") DONE,
         .functions = true},
        {"cancelled",
         &openai_chat_wire,
         {GOLDEN_STARTED, GOLDEN_TEXT("Hi"), GOLDEN_FAILED(&stopped)},
         ROLE PIECE("\"content\":\"Hi\"", "null",
                    "") "data: {\"error\":{\"message\":\"the request was cancelled\",\"type\":"
                        "\"server_error\",\"param\":null,\"code\":\"cancelled\"}}\n\n"},
        {"completion",
         &openai_completion_wire,
         {GOLDEN_STARTED, GOLDEN_TEXT("Hi"), GOLDEN_FINISHED(CHAT_FINISH_STOP),
          GOLDEN_COMPLETED(9, 4, 3)},
         HEAD("text_completion") "\"choices\":[{\"index\":0,\"text\":\"Hi\",\"logprobs\":null,"
                                 "\"finish_reason\":null}]}\n\n" HEAD(
                                     "text_completion") "\"choices\":[{\"index\":0,\"text\":\"\","
                                                        "\"logprobs\":null,"
                                                        "\"finish_reason\":\"stop\"}]}\n\n" DONE},
        {"a completion that fails",
         &openai_completion_wire,
         {GOLDEN_STARTED, GOLDEN_FAILED(&late)},
         "data: {\"error\":{\"message\":\"too late\",\"type\":\"server_error\",\"param\":null,"
         "\"code\":\"timeout\"}}\n\n"},
    };
    (void)state;
    golden_check(rows, COUNT(rows));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(openai_chunks_are_golden),
};
TEST_FILE(tests)
