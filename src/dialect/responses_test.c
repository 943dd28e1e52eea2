/* dialect/responses_test.c - golden events, items as messages, and frames from a cursor. */
#include "dialect/golden.h"
#include "dialect/responses.h"

#define SHOWN                                                                                      \
    ",\"instructions\":null,\"metadata\":{},\"parallel_tool_calls\":true,\"temperature\":null,"    \
    "\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":null"
#define RESPONSE(status, ended, error, why, output, usage)                                         \
    "\"response\":{\"id\":\"id1\",\"object\":\"response\",\"created_at\":1767225600,\"status\":"   \
    "\"" status "\",\"completed_at\":" ended ",\"error\":" error ",\"incomplete_details\":" why    \
    ",\"model\":\"m\",\"output\":[" output "]" SHOWN ",\"usage\":" usage "}"
#define FRAME(n, type, rest)                                                                       \
    "event: " type "\ndata: {\"type\":\"" type "\",\"sequence_number\":" #n "," rest "}\n\n"
#define BEGUN                                                                                      \
    FRAME(0, "response.created", RESPONSE("in_progress", "null", "null", "null", "", "null"))      \
    FRAME(1, "response.in_progress", RESPONSE("in_progress", "null", "null", "null", "", "null"))
#define INNER(id) "\"item_id\":\"" id "\",\"output_index\":"
#define TEXT_PART(text)                                                                            \
    "{\"type\":\"output_text\",\"text\":\"" text "\",\"annotations\":[],\"logprobs\":[]}"
#define MESSAGE(i, status, parts)                                                                  \
    "{\"id\":\"msg_id1_" #i "\",\"type\":\"message\",\"status\":\"" status                         \
    "\",\"role\":\"assistant\",\"content\":[" parts "]}"
#define THINKING(i, status, parts)                                                                 \
    "{\"id\":\"rs_id1_" #i "\",\"type\":\"reasoning\",\"status\":\"" status                        \
    "\",\"summary\":[],\"content\":[" parts "]}"
#define CALL(i, status, arguments)                                                                 \
    "{\"id\":\"fc_id1_" #i "\",\"type\":\"function_call\",\"status\":\"" status                    \
    "\",\"call_id\":\"c0\",\"name\":\"tide\",\"arguments\":\"" arguments "\"}"
#define USAGE(in, cached, outs, all)                                                               \
    "{\"input_tokens\":" in ",\"input_tokens_details\":{\"cached_tokens\":" cached                 \
    ",\"cache_write_tokens\":0},\"output_tokens\":" outs                                           \
    ",\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":" all "}"

/* Calls of tools that run here. */
#define MADE_CALL(i, s, n, arguments)                                                              \
    {                                                                                              \
        .what = CHAT_SERVER_CALL, .id = STR_INIT(i), .server = STR_INIT(s), .name = STR_INIT(n),   \
        .text = STR_INIT(arguments)                                                                \
    }
#define MADE_RESULT(i, s, f)                                                                       \
    {                                                                                              \
        .what = CHAT_SERVER_RESULT, .id = STR_INIT(i), .text = STR_INIT(s), .fault = f             \
    }
#define MADE(i, status, server, name, arguments, output, error)                                    \
    "{\"id\":\"mcp_id1_" #i "\",\"type\":\"mcp_call\",\"status\":\"" status                        \
    "\",\"server_label\":\"" server "\",\"name\":\"" name "\",\"arguments\":\"" arguments          \
    "\",\"approval_request_id\":null,\"output\":" output ",\"error\":" error "}"
#define MADE_BEGUN(n, i, server, name, arguments, n1, n2, n3)                                      \
    FRAME(n, "response.output_item.added",                                                         \
          "\"output_index\":" #i                                                                   \
          ",\"item\":" MADE(i, "in_progress", server, name, "", "null", "null"))                   \
    FRAME(n1, "response.mcp_call.in_progress", INNER("mcp_id1_" #i) #i)                            \
    FRAME(n2, "response.mcp_call_arguments.delta",                                                 \
          INNER("mcp_id1_" #i) #i ",\"delta\":\"" arguments "\"")                                  \
    FRAME(n3, "response.mcp_call_arguments.done",                                                  \
          INNER("mcp_id1_" #i) #i ",\"arguments\":\"" arguments "\"")
#define MADE_HIGH MADE(0, "completed", "shop", "tide", "{}", "\"high\"", "null")
#define MADE_NO   MADE(1, "failed", "confab", "math:x", "{1}", "null", "\"no\"")
#define MADE_CUT  MADE(0, "incomplete", "shop", "tide", "{}", "null", "null")

static const struct err broken = {ERR_INTERNAL, "", "it broke", ""};
static const struct err stopped = {ERR_CANCELED, "", "the request was cancelled", ""};

static const struct golden rows[] = {
    {"plain",
     &responses_wire,
     {GOLDEN_STARTED, GOLDEN_TEXT(""), GOLDEN_TEXT("Hi"), GOLDEN_TEXT("."),
      GOLDEN_FINISHED(CHAT_FINISH_END), GOLDEN_COMPLETED(9, 2, 3)},
     BEGUN FRAME(2, "response.output_item.added",
                 "\"output_index\":0,\"item\":" MESSAGE(0, "in_progress", ""))
         FRAME(3, "response.content_part.added",
               INNER("msg_id1_0") "0,\"content_index\":0,\"part\":" TEXT_PART(""))
             FRAME(4, "response.output_text.delta",
                   INNER("msg_id1_0") "0,\"content_index\":0,\"delta\":\"Hi\",\"logprobs\":[]")
                 FRAME(5, "response.output_text.delta",
                       INNER("msg_id1_0") "0,\"content_index\":0,\"delta\":\".\",\"logprobs\":[]")
                     FRAME(6, "response.output_text.done",
                           INNER("msg_id1_0") "0,\"content_index\":0,\"text\":\"Hi.\",\"logprobs\":"
                                              "[]")
                         FRAME(7, "response.content_part.done",
                               INNER("msg_id1_0") "0,\"content_index\":0,\"part\":" TEXT_PART(
                                   "Hi.")) FRAME(8, "response.output_item.done",
                                                 "\"output_index\":0,\"item\":" MESSAGE(
                                                     0, "completed", TEXT_PART("Hi.")))
                             FRAME(9, "response.completed",
                                   RESPONSE("completed", "0", "null", "null",
                                            MESSAGE(0, "completed", TEXT_PART("Hi.")),
                                            USAGE("9", "2", "3", "12")))},
    {"thinking, then a call",
     &responses_wire,
     {GOLDEN_STARTED, GOLDEN_REASONING("hm"), GOLDEN_CALL(0, "c0", "tide"),
      GOLDEN_ARGUMENTS(0, "{"), GOLDEN_ARGUMENTS(0, "}"), GOLDEN_FINISHED(CHAT_FINISH_CALLS),
      GOLDEN_COMPLETED(9, 0, 5)},
     BEGUN FRAME(2, "response.output_item.added",
                 "\"output_index\":0,\"item\":" THINKING(0, "in_progress", ""))
         FRAME(3, "response.content_part.added",
               INNER("rs_id1_0") "0,\"content_index\":0,\"part\":{\"type\":\"reasoning_text\","
                                 "\"text\":\"\"}")
             FRAME(4, "response.reasoning_text.delta",
                   INNER("rs_id1_0") "0,\"content_index\":0,\"delta\":\"hm\"")
                 FRAME(5, "response.reasoning_text.done",
                       INNER("rs_id1_0") "0,\"content_index\":0,\"text\":\"hm\"")
                     FRAME(6, "response.content_part.done",
                           INNER("rs_id1_0") "0,\"content_index\":0,\"part\":{\"type\":\"reasoning_"
                                             "text\",\"text\":\"hm\"}")
                         FRAME(7, "response.output_item.done",
                               "\"output_index\":0,\"item\":" THINKING(
                                   0, "completed", "{\"type\":\"reasoning_text\",\"text\":\"hm\"}"))
                             FRAME(8, "response.output_item.added",
                                   "\"output_index\":1,\"item\":" CALL(
                                       1, "in_progress",
                                       "")) FRAME(9, "response.function_call_arguments.delta",
                                                  INNER("fc_id1_1") "1,\"delta\":\"{\"")
                                 FRAME(10, "response.function_call_arguments.delta",
                                       INNER("fc_id1_1") "1,\"delta\":\"}\"")
                                     FRAME(11, "response.function_call_arguments.done",
                                           INNER("fc_id1_1") "1,\"name\":\"tide\",\"arguments\""
                                                             ":\"{}\"")
                                         FRAME(12, "response.output_item.done",
                                               "\"output_index\":1,\"item\":" CALL(1, "completed",
                                                                                   "{}"))
                                             FRAME(
                                                 13,
                                                 "response.completed",
                                                 RESPONSE(
                                                     "completed", "0", "null", "null",
                                                     THINKING(
                                                         0, "completed",
                                                         "{\"type\":\"reasoning_"
                                                         "text\",\"text\":\"hm\"}") "," CALL(1,
                                                                                             "compl"
                                                                                             "eted",
                                                                                             "{}"),
                                                     USAGE("9", "0", "5", "14")))},
    {"waiting, and an empty answer",
     &responses_wire,
     {{.what = CHAT_WAITING, .position = 2},
      {.what = CHAT_WAITING, .position = 1},
      GOLDEN_STARTED,
      GOLDEN_FINISHED(CHAT_FINISH_LENGTH),
      GOLDEN_COMPLETED(9, 0, 1)},
     FRAME(0, "response.created", RESPONSE("queued", "null", "null", "null", "", "null"))
         FRAME(1, "response.queued", RESPONSE("queued", "null", "null", "null", "", "null")) FRAME(
             2, "response.in_progress", RESPONSE("in_progress", "null", "null", "null", "", "null"))
             FRAME(3, "response.incomplete",
                   RESPONSE("incomplete", "null", "null", "{\"reason\":\"max_output_tokens\"}", "",
                            USAGE("9", "0", "1", "10")))},
    {"calls that run here: one done, one failed, then text",
     &responses_wire,
     {GOLDEN_STARTED, MADE_CALL("t0", "shop", "tide", "{}"), MADE_CALL("t1", "", "math:x", "{1}"),
      MADE_RESULT("t0", "high", CHAT_FAULT_NONE), MADE_RESULT("t1", "no", CHAT_FAULT_TOOL),
      GOLDEN_TEXT("Hi"), GOLDEN_FINISHED(CHAT_FINISH_END), GOLDEN_COMPLETED(9, 0, 5)},
     BEGUN MADE_BEGUN(2, 0, "shop", "tide", "{}", 3, 4, 5) MADE_BEGUN(
         6, 1, "confab", "math:x", "{1}", 7, 8, 9) FRAME(10, "response.mcp_call.completed",
                                                         INNER("mcp_id1_0") "0")
         FRAME(11, "response.output_item.done", "\"output_index\":0,\"item\":" MADE_HIGH) FRAME(
             12, "response.mcp_call.failed", INNER("mcp_id1_1") "1")
             FRAME(13, "response.output_item.done", "\"output_index\":1,\"item\":" MADE_NO) FRAME(
                 14, "response.output_item.added",
                 "\"output_index\":2,\"item\":" MESSAGE(2, "in_progress", ""))
                 FRAME(15, "response.content_part.added",
                       INNER("msg_id1_2") "2,\"content_index\":0,\"part\":" TEXT_PART(
                           "")) FRAME(16, "response.output_text.delta",
                                      INNER("msg_id1_2") "2,\"content_index\":0,\"delta\":\"Hi\","
                                                         "\"logprobs\":[]")
                     FRAME(17, "response.output_text.done",
                           INNER("msg_id1_2") "2,\"content_index\":0,\"text\":\"Hi\","
                                              "\"logprobs\":[]")
                         FRAME(18, "response.content_part.done",
                               INNER("msg_id1_2") "2,\"content_index\":0,\"part\":" TEXT_PART("Hi"))
                             FRAME(19, "response.output_item.done",
                                   "\"output_index\":2,\"item\":" MESSAGE(2, "completed",
                                                                          TEXT_PART("Hi")))
                                 FRAME(20, "response.completed",
                                       RESPONSE("completed", "0", "null", "null",
                                                MADE_HIGH "," MADE_NO "," MESSAGE(2, "completed",
                                                                                  TEXT_PART("Hi")),
                                                USAGE("9", "0", "5", "14")))},
    {"cancelled while a call runs here",
     &responses_wire,
     {GOLDEN_STARTED,
      MADE_CALL("t0", "shop", "tide", "{}"),
      {.what = CHAT_SERVER_ASK, .id = STR_INIT("t0"), .position = 9},
      GOLDEN_FAILED(&stopped)},
     BEGUN MADE_BEGUN(2, 0, "shop", "tide", "{}", 3, 4, 5) ": a call waits for approval\n\n" FRAME(
         6, "response.output_item.done", "\"output_index\":0,\"item\":" MADE_CUT)
         FRAME(7, "response.failed",
               RESPONSE("cancelled", "null", "null", "null", MADE_CUT, "null"))},
    {"failed before any of it",
     &responses_wire,
     {GOLDEN_FAILED(&broken)},
     BEGUN FRAME(2, "response.failed",
                 RESPONSE("failed", "null", "{\"code\":\"server_error\",\"message\":\"it broke\"}",
                          "null", "", "null"))},
    {"cancelled within its text",
     &responses_wire,
     {GOLDEN_STARTED, GOLDEN_TEXT("Hi"), GOLDEN_FAILED(&stopped)},
     BEGUN FRAME(2, "response.output_item.added",
                 "\"output_index\":0,\"item\":" MESSAGE(0, "in_progress", ""))
         FRAME(3, "response.content_part.added",
               INNER("msg_id1_0") "0,\"content_index\":0,\"part\":" TEXT_PART(""))
             FRAME(4, "response.output_text.delta",
                   INNER("msg_id1_0") "0,\"content_index\":0,\"delta\":\"Hi\",\"logprobs\":[]")
                 FRAME(5, "response.output_text.done",
                       INNER("msg_id1_0") "0,\"content_index\":0,\"text\":\"Hi\",\"logprobs\":[]")
                     FRAME(6, "response.content_part.done",
                           INNER("msg_id1_0") "0,\"content_index\":0,\"part\":" TEXT_PART("Hi"))
                         FRAME(7, "response.output_item.done",
                               "\"output_index\":0,\"item\":" MESSAGE(0, "incomplete",
                                                                      TEXT_PART("Hi")))
                             FRAME(8, "response.failed",
                                   RESPONSE("cancelled", "null", "null", "null",
                                            MESSAGE(0, "incomplete", TEXT_PART("Hi")), "null"))},
};

static void responses_events_are_golden(void **state)
{
    (void)state;
    golden_check(rows, COUNT(rows));
}

/* From each frame on, the tail is that of the whole stream. */
static void responses_resume_at_every_frame(void **state)
{
    (void)state;
    const char *tail = rows[1].want;
    for (uint64_t skip = 0; tail; skip++) {
        struct talk_facts f = {
            .id = "id1", .created_unix = 1767225600, .model = "m", .n_choices = 1, .n_skip = skip};
        struct buf out = BUF_INIT(100000);
        void *s = calloc(1, responses_wire.state_size);
        for (size_t k = 0; k < 7; k++)
            responses_wire.event(&f, s, &rows[1].events[k], &out);
        check_bytes(&out, tail, "tail");
        responses_wire.state_fini(s);
        free(s);
        buf_free(&out);
        const char *end = strstr(tail, "\n\n");
        tail = end && end[2] ? end + 2 : NULL;
    }
}

static void responses_items_become_messages(void **state)
{
    static const struct {
        const char *name, *input, *want, *where; // want: messages, or where: the error's place
    } cases[] = {
        {"a string", "\"Hi\"", "[{\"role\":\"user\",\"content\":\"Hi\"}]", NULL},
        {"roles and parts",
         "[{\"role\":\"developer\",\"content\":\"Be "
         "brief.\"},{\"type\":\"message\",\"role\":\"user\","
         "\"content\":[{\"type\":\"input_text\",\"text\":\"a\"},{\"type\":\"input_text\",\"text\":"
         "\"b\"}]}]",
         "[{\"role\":\"system\",\"content\":\"Be "
         "brief.\"},{\"role\":\"user\",\"content\":\"a\\nb\"}]",
         NULL},
        {"thinking, text and two calls are one turn",
         "[{\"role\":\"user\",\"content\":\"?\"},{\"type\":\"reasoning\",\"summary\":[],"
         "\"content\":"
         "[{\"type\":\"reasoning_text\",\"text\":\"hm\"}]},{\"role\":\"assistant\",\"content\":"
         "\"so\"},{\"type\":\"function_call\",\"call_id\":\"c0\",\"name\":\"f\",\"arguments\":"
         "\"{\\\"x\\\":1}\"},{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"g\","
         "\"arguments\":\"\"},{\"type\":\"function_call_output\",\"call_id\":\"c1\",\"output\":"
         "\"7\"}]",
         "[{\"role\":\"user\",\"content\":\"?\"},{\"role\":\"assistant\",\"content\":\"so\","
         "\"reasoning_content\":\"hm\",\"tool_calls\":[{\"id\":\"c0\",\"type\":\"function\","
         "\"function\":{\"name\":\"f\",\"arguments\":{\"x\":1}}},{\"id\":\"c1\",\"type\":"
         "\"function\",\"function\":{\"name\":\"g\",\"arguments\":{}}}]},{\"role\":\"tool\","
         "\"tool_call_id\":\"c1\",\"content\":\"7\",\"name\":\"g\"}]",
         NULL},
        {"thinking before a call opens a turn",
         "[{\"role\":\"assistant\",\"content\":\"a\"},{\"type\":\"reasoning\",\"summary\":[{"
         "\"type\":"
         "\"summary_text\",\"text\":\"hm\"}]},{\"type\":\"function_call\",\"call_id\":\"c\","
         "\"name\":"
         "\"f\",\"arguments\":\"{}\"}]",
         "[{\"role\":\"assistant\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"\","
         "\"reasoning_content\":\"hm\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\","
         "\"function\":{\"name\":\"f\",\"arguments\":{}}}]}]",
         NULL},
        {"a call that ran here",
         "[{\"type\":\"mcp_call\",\"id\":\"mcp_1\",\"server_label\":\"s\",\"name\":\"f\","
         "\"arguments\":\"{}\",\"output\":\"7\"},{\"type\":\"mcp_call\",\"id\":\"mcp_2\",\"name\":"
         "\"f\",\"arguments\":\"{}\",\"output\":null,\"error\":\"no\"}]",
         "[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"mcp_1\",\"type\":"
         "\"function\",\"function\":{\"name\":\"f\",\"arguments\":{}}}]},{\"role\":\"tool\","
         "\"tool_call_id\":\"mcp_1\",\"content\":\"7\",\"name\":\"f\"},{\"role\":\"assistant\","
         "\"content\":\"\",\"tool_calls\":[{\"id\":\"mcp_2\",\"type\":\"function\",\"function\":{"
         "\"name\":\"f\",\"arguments\":{}}}]},{\"role\":\"tool\",\"tool_call_id\":\"mcp_2\","
         "\"content\":\"no\",\"name\":\"f\"}]",
         NULL},
        {"a call that ran here, without a name",
         "[{\"type\":\"mcp_call\",\"id\":\"mcp_1\",\"arguments\":\"{}\"}]", NULL, "input[0]"},
        {"an image", "[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\"}]}]", NULL,
         "input[0].content[0]"},
        {"a part of no kind", "[{\"role\":\"user\",\"content\":[{}]}]", NULL,
         "input[0].content[0]"},
        {"no content", "[{\"role\":\"user\"}]", NULL, "input[0].content"},
        {"a role of no kind", "[{\"role\":\"tool\",\"content\":\"x\"}]", NULL, "input[0].role"},
        {"a result without its call",
         "[{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"x\"}]", NULL,
         "input[0].call_id"},
        {"arguments that are none",
         "[{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"[1]\"}]",
         NULL, "input[0]"},
        {"a reference", "[{\"type\":\"item_reference\",\"id\":\"x\"}]", NULL, "input[0].type"},
        {"an item that is none", "[7]", NULL, "input[0]"},
        {"a number", "7", NULL, "input"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err e = {0};
        json_t *input = json_loads(cases[i].input, JSON_DECODE_ANY, NULL), *messages = json_array();
        struct buf out = BUF_INIT(10000);
        assert_non_null(input);
        bool ok = responses_turns(input, messages, &e);
        if (ok)
            json_write(&out, messages, JSON_PLAIN, -1);
        else
            buf_c(&out, e.where);
        check_bytes(&out, cases[i].want ? cases[i].want : cases[i].where, cases[i].name);
        assert_int_equal(ok, cases[i].want != NULL);
        json_decref(messages);
        json_decref(input);
        buf_free(&out);
    }
}

static void responses_items_are_listed_whole(void **state)
{
    json_t *input = json_loads("[{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\","
                               "\"content\":\"Yo\"},{\"type\":\"reasoning\",\"summary\":[]}]",
                               0, NULL);
    json_t *items = responses_items(input);
    struct buf out = BUF_INIT(4096);
    (void)state;
    json_write(&out, items, JSON_PLAIN, -1);
    check_bytes(
        &out,
        "[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"Hi\"}],"
        "\"type\":\"message\",\"status\":\"completed\"},{\"role\":\"assistant\",\"content\":"
        "[{\"type\":\"output_text\",\"text\":\"Yo\",\"annotations\":[]}],\"type\":"
        "\"message\",\"status\":\"completed\"},{\"type\":\"reasoning\",\"summary\":[]}]",
        "items");
    buf_free(&out);
    json_decref(items);
    json_decref(input);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(responses_events_are_golden),
    cmocka_unit_test(responses_resume_at_every_frame),
    cmocka_unit_test(responses_items_become_messages),
    cmocka_unit_test(responses_items_are_listed_whole),
};
TEST_FILE(tests)
