/* dialect/messages_test.c - the messages wire: golden streams in both manners, errors, and what is
 * read of bodies. */
#include "dialect/golden.h"
#include "dialect/messages.h"

#define FRAME(type, data) "event: " type "\ndata: {\"type\":\"" type "\"" data "}\n\n"

/* Anthropic's. */
#define A_USAGE(in, cached, outs, thought)                                                         \
    "\"usage\":{\"input_tokens\":" in ",\"output_tokens\":" outs                                   \
    ",\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":" cached
#define A_START                                                                                    \
    FRAME("message_start",                                                                         \
          ",\"message\":{\"id\":\"id1\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[" \
          "],\"model\":\"m\",\"stop_reason\":null,\"stop_sequence\":null,\"stop_details\":null,"   \
          "\"container\":null,\"diagnostics\":null," A_USAGE(                                      \
              "9", "0", "0",                                                                       \
              "null") ",\"cache_creation\":null,\"output_tokens_details\":null,\"server_tool_"     \
                      "use\":null,"                                                                \
                      "\"service_tier\":\"standard\",\"inference_geo\":null,\"speed\":null}}")
#define A_OPEN(i, block)                                                                           \
    FRAME("content_block_start", ",\"index\":" i ",\"content_block\":{" block "}")
#define A_TEXT(i)     A_OPEN(i, "\"type\":\"text\",\"text\":\"\",\"citations\":null")
#define A_DELTA(i, d) FRAME("content_block_delta", ",\"index\":" i ",\"delta\":{" d "}")
#define A_CLOSE(i)    FRAME("content_block_stop", ",\"index\":" i)
#define A_END(reason, stop, in, cached, outs, details)                                             \
    FRAME("message_delta", ",\"delta\":{\"stop_reason\":\"" reason "\",\"stop_sequence\":" stop    \
                           ",\"stop_details\":null,\"container\":null}," A_USAGE(                  \
                               in, cached, outs, details) ",\"output_tokens_details\":" details    \
                                                          ",\"server_tool_use\":null}")            \
    FRAME("message_stop", "")

/* Zylon's: ids are made of the message's, times are the events'. */
#define WHEN "1970-01-01T00:00:00.000000Z"
#define Z_START(in)                                                                                \
    FRAME("message_start",                                                                         \
          ",\"message\":{\"id\":\"id1\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[" \
          "],\"model\":\"m\",\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{"              \
          "\"input_tokens\":" in ",\"output_tokens\":0}}")
#define Z_OPEN(i, id, block)                                                                       \
    FRAME("content_block_start",                                                                   \
          ",\"index\":" i ",\"block_id\":\"" id "\",\"content_block\":{" block "}")
#define Z_TEXT(i, id)                                                                              \
    Z_OPEN(i, id, "\"type\":\"text\",\"start_timestamp\":\"" WHEN "\",\"text\":\"\"")
#define Z_DELTA(i, id, d)                                                                          \
    FRAME("content_block_delta", ",\"index\":" i ",\"block_id\":\"" id "\",\"delta\":{" d "}")
#define Z_CLOSE(i, id)                                                                             \
    FRAME("content_block_stop",                                                                    \
          ",\"stop_timestamp\":\"" WHEN "\",\"index\":" i ",\"block_id\":\"" id "\"")
#define Z_END(reason, in, outs)                                                                    \
    FRAME("message_delta",                                                                         \
          ",\"delta\":{\"stop_reason\":" reason ",\"stop_sequence\":null},\"usage\":{"             \
          "\"input_tokens\":" in ",\"output_tokens\":" outs "}")                                   \
    FRAME("message_stop", "")

#define STARTED                                                                                    \
    {                                                                                              \
        .what = CHAT_STARTED, .usage = {.n_prompt = 9 }                                            \
    }

static const struct err cancelled = {ERR_CANCELED, "", "the request was cancelled", ""},
                        broken = {ERR_INTERNAL, "", "it broke", ""},
                        unknown = {ERR_INPUT, "", "Model 'x' not found", ""};

#define PARIS "\"{\\\"city\\\":\\\"Paris\\\"}\""

static void messages_streams_are_golden(void **state)
{
    static const struct golden rows[] = {
        {"Anthropic: text",
         &anthropic_wire,
         {STARTED, GOLDEN_TEXT("Hi"), GOLDEN_TEXT(""), GOLDEN_TEXT(" \"you\"\n"),
          GOLDEN_FINISHED(CHAT_FINISH_END), GOLDEN_COMPLETED(9, 4, 3)},
         A_START A_TEXT("0") A_DELTA("0", "\"type\":\"text_delta\",\"text\":\"Hi\"")
             A_DELTA("0", "\"type\":\"text_delta\",\"text\":\" \\\"you\\\"\\n\"") A_CLOSE("0")
                 A_END("end_turn", "null", "5", "4", "3", "null")},
        {"Anthropic: nothing but a stop text",
         &anthropic_wire,
         {STARTED,
          {.what = CHAT_FINISHED, .finish = CHAT_FINISH_STOP, .text = STR_INIT("END")},
          GOLDEN_COMPLETED(9, 0, 1)},
         A_START A_END("stop_sequence", "\"END\"", "9", "0", "1", "null")},
        {"Anthropic: the context ended",
         &anthropic_wire,
         {STARTED, GOLDEN_FINISHED(CHAT_FINISH_LENGTH), GOLDEN_COMPLETED(9, 0, 1)},
         A_START A_END("model_context_window_exceeded", "null", "9", "0", "1", "null")},
        {"Anthropic: thinking, text, two calls",
         &anthropic_wire,
         {STARTED,
          GOLDEN_REASONING("Hm"),
          GOLDEN_TEXT("So"),
          GOLDEN_CALL(0, "c0", "w"),
          GOLDEN_ARGUMENTS(0, "{\"city\":"),
          GOLDEN_ARGUMENTS(0, "\"Paris\"}"),
          GOLDEN_CALL(1, "c1", "t"),
          GOLDEN_FINISHED(CHAT_FINISH_CALLS),
          {.what = CHAT_COMPLETED, .usage = {.n_prompt = 9, .n_output = 8, .n_reasoning = 1}}},
         A_START A_OPEN("0", "\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"")
             A_DELTA("0", "\"type\":\"thinking_delta\",\"thinking\":\"Hm\"") A_DELTA(
                 "0", "\"type\":\"signature_delta\",\"signature\":\"\"") A_CLOSE("0") A_TEXT("1")
                 A_DELTA("1", "\"type\":\"text_delta\",\"text\":\"So\"") A_CLOSE("1")
                     A_OPEN("2", "\"type\":\"tool_use\",\"id\":\"toolu_@C0\",\"name\":\"w\","
                                 "\"input\":{},\"caller\":{\"type\":\"direct\"}")
                         A_DELTA("2", "\"type\":\"input_json_delta\",\"partial_json\":"
                                      "\"{\\\"city\\\":\"")
                             A_DELTA("2", "\"type\":\"input_json_delta\",\"partial_json\":"
                                          "\"\\\"Paris\\\"}\"") A_CLOSE("2")
                                 A_OPEN("3", "\"type\":\"tool_use\",\"id\":\"toolu_@C1\",\"name\":"
                                             "\"t\",\"input\":{},\"caller\":{\"type\":\"direct\"}")
                                     A_CLOSE("3") A_END("tool_use", "null", "9", "0", "8",
                                                        "{\"thinking_tokens\":1}")},
        {"Anthropic: a fault",
         &anthropic_wire,
         {STARTED, GOLDEN_TEXT("Hi"), GOLDEN_FAILED(&broken)},
         A_START A_TEXT("0") A_DELTA("0", "\"type\":\"text_delta\",\"text\":\"Hi\"") A_CLOSE("0")
             FRAME("error", ",\"error\":{\"type\":\"api_error\",\"message\":\"it broke\",\"detail\""
                            ":{\"code\":\"API_ERROR\",\"explanation\":\"it broke\"}},"
                            "\"request_id\":null,\"detail\":\"it broke\"")},
        {"Zylon: text",
         &zylon_wire,
         {STARTED, GOLDEN_TEXT("Hi"), GOLDEN_FINISHED(CHAT_FINISH_END), GOLDEN_COMPLETED(9, 4, 2)},
         Z_START("9") Z_TEXT("0", "block_@B0")
             Z_DELTA("0", "block_@B0", "\"type\":\"text_delta\",\"text\":\"Hi\"")
                 Z_CLOSE("0", "block_@B0") Z_END("\"end_turn\"", "9", "2")},
        {"Zylon: thinking and a call, whose input comes at once",
         &zylon_wire,
         {STARTED, GOLDEN_REASONING("Hm"), GOLDEN_CALL(0, "c0", "w"),
          GOLDEN_ARGUMENTS(0, "{\"city\":"), GOLDEN_ARGUMENTS(0, "\"Paris\"}"),
          GOLDEN_FINISHED(CHAT_FINISH_CALLS), GOLDEN_COMPLETED(9, 0, 8)},
         Z_START("9") Z_OPEN("0", "block_@B0",
                             "\"type\":\"thinking\",\"start_timestamp\":\"" WHEN
                             "\",\"thinking\":\"\",\"signature\":\"sig_@S0\",\"citations\":[]")
             Z_DELTA("0", "block_@B0", "\"type\":\"thinking_delta\",\"thinking\":\"Hm\"") Z_CLOSE(
                 "0", "block_@B0") Z_OPEN("1", "block_@B1",
                                          "\"type\":\"tool_use\",\"start_timestamp\":\"" WHEN
                                          "\",\"id\":\"tool_@C0\",\"name\":\"w\",\"input\":{}")
                 Z_DELTA("1", "block_@B1",
                         "\"type\":\"input_json_delta\",\"partial_json\":" PARIS
                         ",\"partial_json_obj\":{\"city\":\"Paris\"}") Z_CLOSE("1", "block_@B1")
                     Z_END("\"tool_use\"", "9", "8")},
        {"Zylon: cancelled inside a call",
         &zylon_wire,
         {STARTED, GOLDEN_CALL(0, "c0", "w"), GOLDEN_ARGUMENTS(0, "{\"ci"),
          GOLDEN_FAILED(&cancelled)},
         Z_START("9") Z_OPEN("0", "block_@B0",
                             "\"type\":\"tool_use\",\"start_timestamp\":\"" WHEN
                             "\",\"id\":\"tool_@C0\",\"name\":\"w\",\"input\":{}")
             Z_CLOSE("0", "block_@B0") Z_END("null", "9", "0")},
        {"Zylon: cancelled in the queue",
         &zylon_wire,
         {GOLDEN_FAILED(&cancelled)},
         Z_START("0") Z_END("null", "0", "0")},
        {"Zylon: refused before it began",
         &zylon_wire,
         {GOLDEN_FAILED(&unknown)},
         Z_START("0") FRAME(
             "error", ",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"Model 'x' not "
                      "found\",\"detail\":{\"code\":\"INVALID_REQUEST_ERROR\",\"explanation\":"
                      "\"Model 'x' not found\"}},\"request_id\":\"id1\",\"detail\":\"Model 'x' not "
                      "found\"")},
    };
    static const struct {
        const char *mark, *kind;
        int number;
    } marks[] = {{"@B0", "block", 0},
                 {"@B1", "block", 1},
                 {"@C0", "call", 0},
                 {"@C1", "call", 1},
                 {"@S0", "signature", 0}};
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        // Made-up ids stand in the rows as marks.
        struct buf want = BUF_INIT(100000);
        for (const char *p = rows[i].want; *p;) {
            size_t k = 0;
            char hex[MESSAGES_HEX];
            while (k < COUNT(marks) && strncmp(p, marks[k].mark, 3) != 0)
                k++;
            if (k == COUNT(marks)) {
                buf_char(&want, *p++);
                continue;
            }
            messages_hex(hex, "id1", marks[k].kind, marks[k].number);
            buf_c(&want, hex);
            p += 3;
        }
        struct golden row = rows[i];
        row.want = buf_cstr(&want);
        golden_check(&row, 1);
        buf_free(&want);
    }
}

static void messages_hex_is_always_the_same(void **state)
{
    char a[MESSAGES_HEX], b[MESSAGES_HEX];
    (void)state;
    messages_hex(a, "id1", "block", 0);
    messages_hex(b, "id1", "block", 1);
    check_str(str_c(a), STR("1860b002568858066cc5b384aa5e1399"),
              "a known value: observers of two releases agree");
    assert_int_equal(strlen(b), 32);
    assert_string_not_equal(a, b);
}

static void messages_errors_have_both_shapes(void **state)
{
    static const struct {
        const char *name;
        struct err e;
        int zylon, anthropic;
        const char *zylon_has;
    } rows[] = {
        {"body",
         {ERR_INPUT, "messages[2].content[0]", "no", "invalid_type"},
         400,
         400,
         "\"detail\":[{\"type\":\"type_error\",\"loc\":[\"body\",\"messages\",2,\"content\",0],"
         "\"msg\":\"no\"}]}"},
        {"no place",
         {ERR_INPUT, "", "no", "json_invalid"},
         400,
         400,
         "[{\"type\":\"json_invalid\",\"loc\":[\"body\"],\"msg\":\"no\"}]"},
        {"chosen code",
         {ERR_INPUT, "x", "no", "INVALID_REQUEST_IMAGE_SUPPORT_ERROR"},
         400,
         400,
         "{\"code\":\"INVALID_REQUEST_IMAGE_SUPPORT_ERROR\",\"explanation\":\"no\"}"},
        {"too long",
         {ERR_INPUT, "messages", "no", "context_length_exceeded"},
         413,
         400,
         "\"type\":\"request_too_large\",\"message\":\"no\",\"detail\":{\"code\":"
         "\"REQUEST_TOO_LARGE_ERROR\""},
        {"not found", {ERR_NOT_FOUND, "", "no", ""}, 404, 404, "\"code\":\"NOT_FOUND_ERROR\""},
        {"full", {ERR_BUSY, "", "no", ""}, 529, 529, "\"type\":\"overloaded_error\""},
        {"rate",
         {ERR_BUSY, "", "no", "rate_limit_exceeded"},
         429,
         429,
         "\"type\":\"rate_limit_error\""},
        {"key",
         {ERR_DENIED, "", "no", "authentication_error"},
         401,
         401,
         "\"code\":\"AUTHENTICATION_ERROR\""},
        {"fault", {ERR_INTERNAL, "", "a \"b\"", ""}, 500, 500, "\"detail\":\"a \\\"b\\\"\"}"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out = BUF_INIT(10000);
        struct err e;
        assert_int_equal(anthropic_error(&rows[i].e, "req_1", &out), rows[i].anthropic);
        assert_non_null(strstr(buf_cstr(&out), "\"request_id\":\"req_1\""));
        buf_clear(&out);
        assert_int_equal(zylon_error(&rows[i].e, NULL, &out), rows[i].zylon);
        if (!strstr(buf_cstr(&out), rows[i].zylon_has))
            check_bytes(&out, rows[i].zylon_has, rows[i].name);
        json_t *v = json_parse(buf_as_str(&out), &e);
        assert_non_null(v);
        json_decref(v);
        buf_free(&out);
    }
}

#define USER(text)      "{\"role\":\"user\",\"content\":\"" text "\"}"
#define ASSISTANT(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"
#define CALL(id)        "{\"type\":\"tool_use\",\"id\":\"" id "\",\"name\":\"w\",\"input\":{\"a\":1}}"
#define RESULT(id, c)   "{\"type\":\"tool_result\",\"tool_use_id\":\"" id "\",\"content\":" c "}"
#define CALLED(id)                                                                                 \
    "{\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"w\",\"arguments\":{\"a\":1" \
    "}}}"
#define TOOL(id, text)                                                                             \
    "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"name\":\"w\",\"content\":\"" text "\"}"

static void messages_become_turns(void **state)
{
    static const struct {
        const char *name, *body, *want; // want: messages, or the error's place
        const char *late;               // kind, or NULL
    } rows[] = {
        {"string", "{\"messages\":[" USER("Hi") "]}", "[" USER("Hi") "]", NULL},
        {"blocks",
         "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
         "\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}]}",
         "[" USER("a\\nb") "]", NULL},
        {"one role's neighbours are one turn",
         "{\"messages\":[" USER("a") "," USER("b") "," ASSISTANT("c") "," ASSISTANT("d") "]}",
         "[" USER("a\\nb") "," ASSISTANT("c\\nd") "]", NULL},
        {"system, all shapes",
         "{\"system\":[\"a\",{\"text\":\"b\"},{\"type\":\"text\",\"text\":\"c\"},{}],\"messages\":["
         "{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"d\"}]}," USER("Hi") "]}",
         "[{\"role\":\"system\",\"content\":\"a\\nb\\nc\\nd\"}," USER("Hi") "]", NULL},
        {"results in the user's message",
         "{\"messages\":[" USER("q") ",{\"role\":\"assistant\",\"content\":[" CALL("x") "," CALL(
             "y") "]},{\"role\":\"user\",\"content\":[" RESULT("y",
                                                               "\"2\"") "," RESULT("x",
                                                                                   "[]") ",{"
                                                                                         "\"type\":"
                                                                                         "\"text\","
                                                                                         "\"text\":"
                                                                                         "\"so?\"}]"
                                                                                         "}]}",
         "[" USER("q") ",{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[" CALLED(
             "x") "," CALLED("y") "]}," TOOL("x", "(no output)") "," TOOL("y",
                                                                          "2") "," USER("so?") "]",
         NULL},
        {"results beside their calls, and text behind",
         "{\"messages\":[" USER(
             "q") ",{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\","
                  "\"thinking\":\"hm\",\"signature\":\"s\"}," CALL("x") "," RESULT(
                      "x", "\"1\"") ",{\"type\":\"text\",\"text\":\"one\"}]}]}",
         "[" USER("q") ",{\"role\":\"assistant\",\"content\":\"\",\"reasoning_content\":\"hm\","
                       "\"tool_calls\":[" CALLED("x") "]}," TOOL("x", "1") "," ASSISTANT("one") "]",
         NULL},
        {"an error is marked",
         "{\"messages\":[" USER("q") ",{\"role\":\"assistant\",\"content\":[" CALL(
             "x") "]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
                  "\"x\","
                  "\"is_error\":true,\"content\":[{\"type\":\"text\",\"text\":\"no\"},{\"type\":"
                  "\"odd\"}]}]"
                  "}]}",
         "[" USER("q") ",{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[" CALLED(
             "x") "]}," TOOL("x", "Error: no\\n{\\\"type\\\": \\\"odd\\\"}") "]",
         NULL},
        {"a document is its text",
         "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"title\":\"T\","
         "\"source\":{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":\"body\"}},{"
         "\"type\":\"text\",\"text\":\"q\"}]}]}",
         "[" USER("T\\nbody\\nq") "]", NULL},
        {"no user", "{\"messages\":[" ASSISTANT("a") "]}", "[" ASSISTANT("a") "]",
         "INVALID_REQUEST_EMPTY_MESSAGE_ERROR"},
        {"blank", "{\"messages\":[" USER("  ") "]}", "[" USER("  ") "]",
         "INVALID_REQUEST_EMPTY_MESSAGE_ERROR"},
        {"image",
         "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\"},{\"type\":"
         "\"text\",\"text\":\"q\"}]}]}",
         "[" USER("q") "]", "INVALID_REQUEST_IMAGE_SUPPORT_ERROR"},
        {"no messages", "{\"messages\":[]}", "messages", NULL},
        {"only system", "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"}]}", "messages",
         NULL},
        {"no message", "{\"messages\":[7]}", "messages[0]", NULL},
        {"role", "{\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]}", "messages[0].role",
         NULL},
        {"empty text", "{\"messages\":[" USER("") "]}", "messages[0].content", NULL},
        {"empty list", "{\"messages\":[{\"role\":\"user\",\"content\":[]}]}", "messages[0].content",
         NULL},
        {"unknown block", "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"odd\"}]}]}",
         "messages[0].content[0]", NULL},
        {"no block", "{\"messages\":[{\"role\":\"user\",\"content\":[null]}]}",
         "messages[0].content[0]", NULL},
        {"a call by the user", "{\"messages\":[{\"role\":\"user\",\"content\":[" CALL("x") "]}]}",
         "messages[0].content[0]", NULL},
        {"no such call",
         "{\"messages\":[{\"role\":\"user\",\"content\":[" RESULT("x", "\"\"") "]}]}",
         "messages[0].content[0]", NULL},
        {"call twice",
         "{\"messages\":[" USER("q") ",{\"role\":\"assistant\",\"content\":[" CALL("x") "," CALL(
             "x") "]}]}",
         "messages[1].content[1]", NULL},
        {"result twice",
         "{\"messages\":[" USER("q") ",{\"role\":\"assistant\",\"content\":[" CALL("x") "," RESULT(
             "x", "\"\"") "," RESULT("x", "\"\"") "]}]}",
         "messages[1].content[2]", NULL},
        {"no result",
         "{\"messages\":[" USER("q") ",{\"role\":\"assistant\",\"content\":[" CALL("x") "]}]}",
         "messages", NULL},
        {"summary",
         "{\"messages\":[" USER("q") ",{\"role\":\"assistant\",\"content\":[{\"type\":"
                                     "\"tldr\"}]}]}",
         "messages[1].content[0]", NULL},
        {"system is a number", "{\"system\":1,\"messages\":[" USER("q") "]}", "system", NULL},
        {"extension", "{\"system\":{\"extensions\":[\"x\"]},\"messages\":[" USER("q") "]}",
         "system.extensions", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = {0};
        struct talk_order order;
        struct messages_more more;
        struct buf got = BUF_INIT(100000);
        bool ok = messages_read(&zylon_manner, NULL, 1 << 20, str_c(rows[i].body), false, &order,
                                &more, &e);
        if (!ok) {
            check_str(str_c(e.where), str_c(rows[i].want), rows[i].name);
            continue;
        }
        json_write(&got, order.request->messages, JSON_PLAIN, -1);
        check_bytes(&got, rows[i].want, rows[i].name);
        check_str(str_c(more.late.kind), str_c(rows[i].late ? rows[i].late : ""), rows[i].name);
        chat_request_free(order.request);
        buf_free(&order.ignored);
        buf_free(&got);
    }
}

#define BODY(more) "{\"messages\":[" USER("q") "]," more "}"

/* Each field takes effect, is refused by name, or is listed as ignored. */
static void messages_fields_are_done_refused_or_listed(void **state)
{
    static const struct {
        const char *name, *body;
        bool strict;
        const char *where, *ignored; // where: refused
    } rows[] = {
        {"model", BODY("\"max_tokens\":1"), true, "model", ""},
        {"max_tokens", BODY("\"model\":\"m\""), true, "max_tokens", ""},
        {"negative max_tokens", BODY("\"model\":\"m\",\"max_tokens\":-1"), true, "max_tokens", ""},
        {"max_tokens 0", BODY("\"model\":\"m\",\"max_tokens\":0"), true, NULL, ""},
        {"max_tokens 0 means none", BODY("\"max_tokens\":0"), false, NULL, "max_tokens"},
        {"hot", BODY("\"temperature\":1.5"), false, "temperature", ""},
        {"top_p", BODY("\"top_p\":2"), false, "top_p", ""},
        {"top_k", BODY("\"top_k\":-1"), false, "top_k", ""},
        {"negative numbers mean none",
         BODY("\"seed\":-1,\"min_p\":-1,\"repetition_penalty\":-1,\"presence_penalty\":-1,"
              "\"frequency_penalty\":-1"),
         false, NULL, "min_p, repetition_penalty, presence_penalty, frequency_penalty, seed"},
        {"nulls",
         BODY("\"model\":null,\"stream\":null,\"tools\":null,\"tool_choice\":null,"
              "\"tool_context\":null,\"mcp_servers\":null,\"response_format\":null,\"system\":null,"
              "\"thinking\":null,\"priority\":null,\"seed\":null,\"min_p\":null,\"top_p\":null,"
              "\"temperature\":null,\"top_k\":null,\"repetition_penalty\":null,"
              "\"presence_penalty\":null,\"frequency_penalty\":null,\"max_tokens\":null,"
              "\"correlation_id\":null,\"output_config\":null,\"stop_sequences\":null"),
         false, NULL, ""},
        {"stream", BODY("\"stream\":1"), false, "stream", ""},
        {"tools", BODY("\"tools\":[{\"name\":\"a\"}]"), false, NULL, ""},
        {"a name that calls cannot hold", BODY("\"tools\":[{\"name\":\"a b\"}]"), false, "tools[0]",
         ""},
        {"two tools of one name", BODY("\"tools\":[{\"name\":\"a\"},{\"name\":\"a\"}]"), false,
         "tools[1]", ""},
        {"a tool of the server", BODY("\"tools\":[\"web_search_v1\"]"), false, "tools[0]", ""},
        {"a dated tool", BODY("\"tools\":[{\"type\":\"web_search_20250305\"}]"), false, NULL,
         "tools[0]"},
        {"no tool is offered",
         BODY("\"tools\":[{\"name\":\"a\"}],\"tool_choice\":{\"type\":\"none\"}"), false, NULL, ""},
        {"forced tool", BODY("\"tool_choice\":{\"type\":\"tool\",\"name\":\"b\"}"), false,
         "tool_choice", ""},
        {"tool_choice", BODY("\"tool_choice\":{\"type\":\"x\"}"), false, "tool_choice.type", ""},
        {"tool_context", BODY("\"tool_context\":[{\"type\":\"text\",\"value\":\"x\"}]"), false,
         "tool_context", ""},
        {"mcp_servers", BODY("\"mcp_servers\":[{\"url\":\"http://x\"}]"), false, "mcp_servers[0]",
         ""},
        {"text format", BODY("\"response_format\":{\"type\":\"text\"}"), false, NULL, ""},
        {"schema", BODY("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{}}"), false,
         NULL, ""},
        {"no schema", BODY("\"response_format\":{\"type\":\"json_schema\"}"), false,
         "response_format.json_schema", ""},
        {"schema and tools",
         BODY("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{}},\"tools\":[{"
              "\"name\":"
              "\"x\"}]"),
         false, "response_format.json_schema", ""},
        {"newer schema",
         BODY("\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{}}}"), false,
         NULL, ""},
        {"a call as format", BODY("\"response_format\":{\"type\":\"tool_call\"}"), false,
         "response_format", ""},
        {"effort", BODY("\"output_config\":{\"effort\":\"x\"}"), false, "output_config.effort", ""},
        {"thinking", BODY("\"thinking\":{\"type\":\"x\"}"), false, "thinking.type", ""},
        {"budget",
         BODY("\"model\":\"m\",\"max_tokens\":2000,\"thinking\":{\"type\":\"enabled\","
              "\"budget_tokens\":1000}"),
         true, "thinking.budget_tokens", ""},
        {"priority", BODY("\"priority\":4294967296"), false, "priority", ""},
        {"correlation_id", BODY("\"correlation_id\":1"), false, "correlation_id", ""},
        {"blank stop", BODY("\"stop_sequences\":[\"\"]"), false, "stop_sequences", ""},
        {"no effect",
         BODY("\"service_tier\":\"auto\",\"cache_control\":{\"type\":\"ephemeral\"},\"new\":1,"
              "\"metadata\":{\"user_id\":\"u\"},\"system\":{\"citations\":{\"enabled\":true}}"),
         false, NULL, "service_tier, cache_control, new, metadata, system.citations"},
        {"no JSON", "{", false, "", ""},
        {"no object", "[]", false, "", ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = {0};
        struct talk_order order;
        struct messages_more more;
        bool ok = messages_read(rows[i].strict ? &anthropic_manner : &zylon_manner, NULL, 1 << 20,
                                str_c(rows[i].body), false, &order, &more, &e);
        if (ok != (rows[i].where == NULL))
            check_str(ok ? STR("(taken)") : str_c(e.msg), STR("?"), rows[i].name);
        if (!ok) {
            check_str(str_c(e.where), str_c(rows[i].where), rows[i].name);
            assert_null(order.request);
            continue;
        }
        check_str(buf_as_str(&order.ignored), str_c(rows[i].ignored), rows[i].name);
        chat_request_free(order.request);
        buf_free(&order.ignored);
    }
}

static void messages_settings_arrive(void **state)
{
    static const char body[] = BODY(
        "\"model\":\"m\",\"max_tokens\":40.0,\"stream\":true,\"stop_sequences\":[\"a\",\"b\"],"
        "\"temperature\":0.5,\"top_p\":0.25,\"top_k\":7,\"min_p\":0.125,\"seed\":9,\"priority\":2,"
        "\"repetition_penalty\":1.5,\"presence_penalty\":0.5,\"frequency_penalty\":0.25,"
        "\"correlation_id\":\"c\",\"thinking\":{\"enabled\":true,\"effort\":\"low\"},"
        "\"output_config\":{\"effort\":\"high\"},\"system\":{\"use_default_prompt\":true}");
    struct err e;
    struct talk_order order;
    struct messages_more more;
    (void)state;
    assert_true(messages_read(&zylon_manner, NULL, 1 << 20, str_c(body), false, &order, &more, &e));
    const struct chat_request *r = order.request;
    assert_true(order.stream && more.default_prompt && more.think == THINK_ON);
    assert_string_equal(more.effort, "high");
    check_str(order.correlation_id, STR("c"), "correlation_id");
    check_str(r->model, STR("m"), "model");
    assert_int_equal(r->max_tokens, 40);
    assert_int_equal(r->n_stops, 2);
    check_str(r->stops[1], STR("b"), "stops");
    assert_true(r->temperature == 0.5F && r->top_p == 0.25F && r->min_p == 0.125F);
    assert_true(r->top_k == 7 && r->has_seed && r->seed == 9 && r->priority == 1);
    assert_true(r->repetition_penalty == 1.5F && r->presence_penalty == 0.5F);
    assert_true(r->frequency_penalty == 0.25F);
    chat_request_free(order.request);
    buf_free(&order.ignored);
}

/* From no memory to enough: an error each time, never worse. */
static void messages_read_within_its_cap(void **state)
{
    static const char body[] =
        BODY("\"model\":\"some-model\",\"stop_sequences\":[\"aaaa\",\"bbbb\"],"
             "\"correlation_id\":\"cc\"");
    bool ok = false;
    (void)state;
    for (size_t cap = 0; !ok && cap < 100000; cap += 16) {
        struct err e = {0};
        struct talk_order order;
        struct messages_more more;
        ok = messages_read(&zylon_manner, NULL, cap, str_c(body), false, &order, &more, &e);
        if (!ok) {
            assert_int_equal(e.code, ERR_LIMIT);
            continue;
        }
        chat_request_free(order.request);
        buf_free(&order.ignored);
    }
    assert_true(ok);
}

/* Every beginning of a body is an error, not a crash. */
static void messages_cut_bodies_are_errors(void **state)
{
    static const char body[] =
        BODY("\"system\":[{\"text\":\"a\"}],\"tools\":[],\"thinking\":{\"type\":\"disabled\"}");
    (void)state;
    for (size_t n = 0; n < sizeof body - 1; n++) {
        struct err e = {0};
        struct talk_order order;
        struct messages_more more;
        assert_false(
            messages_read(&zylon_manner, NULL, 1 << 20, str_n(body, n), false, &order, &more, &e));
        assert_int_equal(e.code, ERR_INPUT);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(messages_streams_are_golden),
    cmocka_unit_test(messages_hex_is_always_the_same),
    cmocka_unit_test(messages_errors_have_both_shapes),
    cmocka_unit_test(messages_become_turns),
    cmocka_unit_test(messages_fields_are_done_refused_or_listed),
    cmocka_unit_test(messages_settings_arrive),
    cmocka_unit_test(messages_read_within_its_cap),
    cmocka_unit_test(messages_cut_bodies_are_errors),
};
TEST_FILE(tests)
