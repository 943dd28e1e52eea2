/* dialect/paddler_test.c - golden lines of both shapes. */
#include "dialect/golden.h"

#define OLD(x) "{\"Response\":{\"request_id\":\"id1\",\"response\":{\"GeneratedToken\":" x "}}}\n"
#define NEW(x)                                                                                     \
    "{\"Response\":{\"generated_by\":null,\"request_id\":\"id1\",\"response\":"                    \
    "{\"GeneratedToken\":" x "}}}\n"
#define ERROR(code, text)                                                                          \
    "{\"Error\":{\"request_id\":\"id1\",\"error\":{\"code\":" code ",\"description\":\"" text      \
    "\"}}}\n"
#define USAGE(in, cached, content, reasoning, calls)                                               \
    "{\"Done\":{\"usage\":{\"prompt_tokens\":" in ",\"cached_prompt_tokens\":" cached              \
    ",\"input_image_tokens\":0,\"input_audio_tokens\":0,\"content_tokens\":" content               \
    ",\"reasoning_tokens\":" reasoning ",\"tool_call_tokens\":" calls                              \
    ",\"undeterminable_tokens\":0}}}"

static const struct err cancelled = {ERR_CANCELED, "", "the request was cancelled", ""},
                        late = {ERR_TIMEOUT, "", "too late", ""},
                        schema = {ERR_INPUT, "tools[0].function.parameters", "no such type",
                                  "unsupported_schema"},
                        full = {ERR_BUSY, "", "the queue is full", ""},
                        broken = {ERR_INTERNAL, "", "it broke", ""},
                        template = {ERR_INPUT, "messages", "line 1: no", "template_failed"},
                        too_long = {ERR_INPUT, "messages", "long", "context_length_exceeded"},
                        other = {ERR_INPUT, "messages", "empty", ""};

static void paddler_lines_are_golden(void **state)
{
    static const struct golden rows[] = {
        {"plain, older",
         &paddler_wire,
         {GOLDEN_STARTED, GOLDEN_TEXT("The"), GOLDEN_TEXT(" \"Baltic\"\n"), GOLDEN_TEXT(""),
          GOLDEN_FINISHED(CHAT_FINISH_LENGTH), GOLDEN_COMPLETED(9, 0, 3)},
         OLD("{\"Token\":\"The\"}") OLD("{\"Token\":\" \\\"Baltic\\\"\\n\"}") OLD("\"Done\"")},
        {"thinking is text, older",
         &paddler_wire,
         {GOLDEN_STARTED, GOLDEN_TEXT("<think>"), GOLDEN_REASONING("Easy"), GOLDEN_TEXT("</think>"),
          GOLDEN_TEXT("4"), GOLDEN_FINISHED(CHAT_FINISH_END), GOLDEN_COMPLETED(9, 0, 5)},
         OLD("{\"Token\":\"<think>\"}") OLD("{\"Token\":\"Easy\"}") OLD("{\"Token\":\"</think>\"}")
             OLD("{\"Token\":\"4\"}") OLD("\"Done\"")},
        {"a parsed call is raw text again, older",
         &paddler_wire,
         {GOLDEN_STARTED, GOLDEN_CALL(0, "c0", "tide"), GOLDEN_ARGUMENTS(0, "{\"h\":"),
          GOLDEN_ARGUMENTS(0, "1}"), GOLDEN_FINISHED(CHAT_FINISH_CALLS), GOLDEN_COMPLETED(9, 0, 5)},
         OLD("{\"Token\":\"<tool_call>\\n{\\\"name\\\": \\\"tide\\\", \\\"arguments\\\": \"}")
             OLD("{\"Token\":\"{\\\"h\\\":\"}") OLD("{\"Token\":\"1}\"}")
                 OLD("{\"Token\":\"}\\n</tool_call>\"}") OLD("\"Done\"")},
        {"nothing generated, older",
         &paddler_wire,
         {GOLDEN_STARTED, GOLDEN_FINISHED(CHAT_FINISH_LENGTH), GOLDEN_COMPLETED(9, 0, 0)},
         OLD("\"Done\"")},
        {"plain, current",
         &paddler_current_wire,
         {GOLDEN_STARTED, GOLDEN_TEXT("The"), GOLDEN_FINISHED(CHAT_FINISH_END),
          GOLDEN_COMPLETED(17, 16, 2)},
         NEW("{\"ContentToken\":\"The\"}") NEW(USAGE("17", "16", "2", "0", "0"))},
        {"thinking, current",
         &paddler_current_wire,
         {GOLDEN_STARTED, GOLDEN_REASONING("\n"), GOLDEN_REASONING("Easy"), GOLDEN_TEXT("4"),
          GOLDEN_FINISHED(CHAT_FINISH_END), GOLDEN_COMPLETED(17, 0, 3)},
         NEW("{\"ReasoningToken\":\"\\n\"}") NEW("{\"ReasoningToken\":\"Easy\"}")
             NEW("{\"ContentToken\":\"4\"}") NEW(USAGE("17", "0", "1", "2", "0"))},
        {"a call, current, not parsed",
         &paddler_current_wire,
         {GOLDEN_STARTED, GOLDEN_CALL(0, "c0", "tide"), GOLDEN_ARGUMENTS(0, "{\"h\":1}"),
          GOLDEN_FINISHED(CHAT_FINISH_CALLS), GOLDEN_COMPLETED(9, 0, 4)},
         NEW("{\"ToolCallToken\":\"{\\\"name\\\": \\\"tide\\\", \\\"arguments\\\": \"}")
             NEW("{\"ToolCallToken\":\"{\\\"h\\\":1}\"}") NEW("{\"ToolCallToken\":\"}\"}")
                 NEW(USAGE("9", "0", "1", "0", "3"))},
        {"calls, parsed",
         &paddler_parsed_wire,
         {GOLDEN_STARTED, GOLDEN_CALL(0, "c0", "tide"), GOLDEN_ARGUMENTS(0, "{\"h\":1}"),
          GOLDEN_CALL(1, "c1", "wind"), GOLDEN_ARGUMENTS(1, "{x"),
          GOLDEN_FINISHED(CHAT_FINISH_CALLS), GOLDEN_COMPLETED(9, 0, 6)},
         NEW("{\"ToolCallToken\":\"{\\\"name\\\": \\\"tide\\\", \\\"arguments\\\": \"}")
             NEW("{\"ToolCallToken\":\"{\\\"h\\\":1}\"}") NEW("{\"ToolCallToken\":\"}\"}")
                 NEW("{\"ToolCallToken\":\"{\\\"name\\\": \\\"wind\\\", \\\"arguments\\\": \"}")
                     NEW("{\"ToolCallToken\":\"{x\"}") NEW("{\"ToolCallToken\":\"}\"}")
                         NEW("{\"ToolCallParsed\":[{\"id\":\"c0\",\"name\":\"tide\",\"arguments\":{"
                             "\"ValidJson\":{\"h\":1}}},{\"id\":\"c1\",\"name\":\"wind\","
                             "\"arguments\":{\"InvalidJson\":\"{x\"}}]}")
                             NEW(USAGE("9", "0", "0", "0", "6"))},
        {"cancelled",
         &paddler_wire,
         {GOLDEN_STARTED, GOLDEN_TEXT("The"), GOLDEN_FAILED(&cancelled)},
         OLD("{\"Token\":\"The\"}") ERROR("503", "the request was cancelled")},
        {"no slot in time", &paddler_wire, {GOLDEN_FAILED(&late)}, ERROR("504", "too late")},
        {"buffer full",
         &paddler_current_wire,
         {GOLDEN_FAILED(&full)},
         ERROR("503", "the queue is full")},
        {"our fault", &paddler_wire, {GOLDEN_FAILED(&broken)}, ERROR("500", "it broke")},
        {"template",
         &paddler_wire,
         {GOLDEN_FAILED(&template)},
         OLD("{\"ChatTemplateError\":\"line 1: no\"}")},
        {"too long",
         &paddler_current_wire,
         {GOLDEN_FAILED(&too_long)},
         NEW("{\"SamplerError\":\"long\"}")},
        {"other", &paddler_wire, {GOLDEN_FAILED(&other)}, OLD("{\"SamplerError\":\"empty\"}")},
        {"a tool's schema",
         &paddler_parsed_wire,
         {GOLDEN_FAILED(&schema)},
         NEW("{\"ToolSchemaInvalid\":\"no such type\"}")},
        {"a tool's schema, older",
         &paddler_wire,
         {GOLDEN_FAILED(&schema)},
         ERROR("400", "no such type")},
    };
    (void)state;
    golden_check(rows, COUNT(rows));
}

/* A call that breaks its tool's schema is told so in the place of all calls. */
static void paddler_checks_parsed_calls(void **state)
{
    struct chat_request *r = chat_request_new(65536);
    static const struct chat_event events[] = {
        GOLDEN_CALL(0, "call_0", "tide"), GOLDEN_ARGUMENTS(0, "{\"h\":7}"),
        GOLDEN_CALL(1, "call_1", "wind"), GOLDEN_ARGUMENTS(1, "{}"),
        GOLDEN_FINISHED(CHAT_FINISH_CALLS)};
    struct talk_facts f = {.id = "id1", .n_choices = 1, .request = r};
    struct buf out = BUF_INIT(10000);
    void *s = calloc(1, paddler_parsed_wire.state_size);
    (void)state;
    r->tools = json_pack("[{s:s s:{s:s s:{s:{s:{s:s}}}}}]", "type", "function", "function", "name",
                         "tide", "parameters", "properties", "h", "type", "string");
    for (size_t i = 0; i < COUNT(events); i++) {
        buf_clear(&out);
        paddler_parsed_wire.event(&f, s, &events[i], &out);
    }
    ptrdiff_t at = str_find(buf_as_str(&out), STR("{\"ToolCallV"));
    assert_true(at > 0);
    check_str(str_from(buf_as_str(&out), (size_t)at),
              STR("{\"ToolCallValidationFailed\":[\"tide: h is not a string\",\"wind: there is no "
                  "tool of this name\"]}}}}\n"),
              "failed");
    paddler_parsed_wire.state_fini(s);
    free(s);
    buf_free(&out);
    chat_request_free(r);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(paddler_lines_are_golden),
    cmocka_unit_test(paddler_checks_parsed_calls),
};
TEST_FILE(tests)
