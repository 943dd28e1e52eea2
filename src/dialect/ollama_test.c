/* dialect/ollama_test.c - golden lines. */
#include "dialect/golden.h"
#include "dialect/ollama.h"

#define HEAD "{\"model\":\"m\",\"created_at\":\"2026-01-01T00:00:00.000000Z\""
#define LINE(more)                                                                                 \
    HEAD ",\"message\":{\"role\":\"assistant\",\"content\":" more "},\"done\":false}\n"
#define END(why, in, outs)                                                                         \
    ",\"done\":true,\"done_reason\":\"" why                                                        \
    "\",\"total_duration\":0,\"load_duration\":0,\"prompt_eval_count\":" in                        \
    ",\"prompt_eval_duration\":0,\"eval_count\":" outs ",\"eval_duration\":0}\n"
#define LAST(why, in, outs)                                                                        \
    HEAD ",\"message\":{\"role\":\"assistant\",\"content\":\"\"}" END(why, in, outs)

static const struct err broken = {ERR_INTERNAL, "", "it broke", ""};

static void ollama_lines_are_golden(void **state)
{
    static const struct golden rows[] = {
        {"plain",
         &ollama_chat_wire,
         {GOLDEN_STARTED, GOLDEN_TEXT(""), GOLDEN_TEXT("Red"), GOLDEN_FINISHED(CHAT_FINISH_END),
          GOLDEN_COMPLETED(9, 0, 2)},
         LINE("\"Red\"") LAST("stop", "9", "2")},
        {"cut by the bound",
         &ollama_chat_wire,
         {GOLDEN_STARTED, GOLDEN_FINISHED(CHAT_FINISH_LENGTH), GOLDEN_COMPLETED(9, 0, 0)},
         LAST("length", "9", "0")},
        {"thinking",
         &ollama_chat_wire,
         {GOLDEN_STARTED, GOLDEN_REASONING("hm"), GOLDEN_TEXT("4"),
          GOLDEN_FINISHED(CHAT_FINISH_STOP), GOLDEN_COMPLETED(9, 0, 2)},
         LINE("\"\",\"thinking\":\"hm\"") LINE("\"4\"") LAST("stop", "9", "2")},
        {"calls come whole, with objects",
         &ollama_chat_wire,
         {GOLDEN_STARTED, GOLDEN_CALL(0, "c0", "tide"), GOLDEN_ARGUMENTS(0, "{\"h\":"),
          GOLDEN_ARGUMENTS(0, "1}"), GOLDEN_CALL(1, "c1", "wind"), GOLDEN_ARGUMENTS(1, "{x"),
          GOLDEN_FINISHED(CHAT_FINISH_CALLS), GOLDEN_COMPLETED(9, 0, 5)},
         LINE("\"\",\"tool_calls\":[{\"id\":\"c0\",\"function\":{\"index\":0,\"name\":\"tide\","
              "\"arguments\":{\"h\":1}}},{\"id\":\"c1\",\"function\":{\"index\":1,\"name\":\"wind\""
              ",\"arguments\":\"{x\"}}]") LAST("stop", "9", "5")},
        {"generate",
         &ollama_generate_wire,
         {GOLDEN_STARTED, GOLDEN_REASONING("hm"), GOLDEN_TEXT("Red"),
          GOLDEN_FINISHED(CHAT_FINISH_LENGTH), GOLDEN_COMPLETED(9, 0, 2)},
         HEAD ",\"response\":\"\",\"thinking\":\"hm\",\"done\":false}\n" HEAD
              ",\"response\":\"Red\",\"done\":false}\n" HEAD
              ",\"response\":\"\"" END("length", "9", "2")},
        {"failed under way",
         &ollama_chat_wire,
         {GOLDEN_STARTED, GOLDEN_TEXT("Red"), GOLDEN_FAILED(&broken)},
         LINE("\"Red\"") "{\"error\":\"it broke\"}\n"},
    };
    (void)state;
    golden_check(rows, COUNT(rows));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(ollama_lines_are_golden),
};
TEST_FILE(tests)
