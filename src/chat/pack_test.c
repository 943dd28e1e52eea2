/* pack_test.c - requests and events come back as they were, and damage is an error. */
#include "base/mem.h"
#include "chat/pack.h"
#include "json/json.h"
#include "test.h"

static struct chat_request *full_request(void)
{
    struct chat_request *r = chat_request_new(1 << 20);
    struct arena *a = &r->arena;
    struct err e;
    r->model = STR("m");
    r->team = STR("red");
    r->messages = json_parse(STR("[{\"role\":\"user\",\"content\":\"h\\u0000i \\u00e4\"},"
                                 "{\"role\":\"assistant\",\"content\":null}]"),
                             &e);
    r->tools = json_parse(STR("[{\"name\":\"t\"}]"), &e);
    r->template_args = json_parse(STR("{\"x\":1.5}"), &e);
    r->add_generation_prompt = false;
    r->continue_final = true;
    r->truncate_to = (size_t)1 << 40;
    r->n_prompts = 3;
    r->prompts = arena_calloc(a, 3, sizeof *r->prompts);
    int32_t *ids = arena_calloc(a, 2, sizeof *ids);
    ids[1] = 31999;
    r->prompts[0] = (struct chat_prompt){.text = STR("one"), .special = true};
    r->prompts[1] = (struct chat_prompt){.tokens = ids, .n_tokens = 2};
    r->prompts[2] = (struct chat_prompt){.tokens = ids, .n_tokens = 0};
    r->n_choices = 2;
    r->max_tokens = -1;
    r->min_tokens = 3;
    r->n_stops = 2;
    r->stops = arena_calloc(a, 2, sizeof *r->stops);
    r->stops[0] = STR("\n");
    r->stops[1] = STR("STOP");
    r->n_ends = 1;
    r->ends = ids + 1;
    r->ignore_eos = r->no_answer = r->raw_text = r->thinking_as_text = true;
    r->thinking_as_text = true;
    r->bad_words = json_pack("[s]", "bad");
    r->bad_tokens = json_pack("[[i,i]]", 1, 2);
    r->stop_tokens = json_pack("[[i]]", 3);
    r->forced = json_pack("[i]", 4);
    r->no_repeat_ngram = 3;
    r->max_total = 100;
    r->min_total = 50;
    r->format_place = "response_format";
    r->tools_place = "tools[].input_schema";
    r->format_root = STR("start");
    r->format = CHAT_FORMAT_REGEX;
    r->format_schema = json_parse(STR("{\"type\":\"object\"}"), &e);
    r->format_source = STR("a+");
    r->tool_choice = CHAT_TOOLS_NAMED;
    r->tool_name = STR("t");
    r->one_call = true;
    r->reasoning_budget = 7;
    r->want_tokens = r->want_logprobs = r->want_progress = true;
    r->top_logprobs = 5;
    r->n_server_tools = 1;
    r->server_tools = arena_calloc(a, 1, sizeof *r->server_tools);
    r->server_tools[0] = (struct chat_server_tool){.name = STR("math"),
                                                   .function = STR("f"),
                                                   .shown = STR("s"),
                                                   .files = json_pack("[s]", "file_1")};
    r->n_mcp = 1;
    r->mcp = arena_calloc(a, 1, sizeof *r->mcp);
    r->mcp[0] = (struct chat_mcp_server){.name = STR("l"),
                                         .url = STR("http://x"),
                                         .events = true,
                                         .headers = r->stops,
                                         .n_headers = 2,
                                         .some = true,
                                         .allowed = r->stops,
                                         .n_allowed = 1,
                                         .denied = r->stops,
                                         .n_denied = 2};
    r->max_rounds = 4;
    r->end_at_max_rounds = r->max_tokens_in_all = true;
    r->max_failures = -1;
    r->temperature = 0.7f;
    r->top_p = 0.123456789f;
    r->min_p = 1e-30f;
    r->xtc_threshold = 0.1f;
    r->xtc_probability = 0.5f;
    r->repetition_penalty = 1.1f;
    r->frequency_penalty = -2;
    r->presence_penalty = 3.4e38f;
    r->top_k = 40;
    r->has_seed = true;
    r->seed = UINT64_MAX;
    r->seeds = arena_calloc(a, 2, sizeof *r->seeds);
    r->seeds[1] = (uint64_t)1 << 63;
    r->n_bias = 2;
    r->bias = arena_calloc(a, 2, sizeof *r->bias);
    r->bias[0] = (struct chat_bias){5, -100};
    r->bias[1] = (struct chat_bias){6, -1.0f / 0.0f};
    r->priority = -3;
    r->timeout_ms = UINT32_MAX;
    r->aside = json_parse(STR("{\"k\":[true,null]}"), &e);
    return r;
}

/* The text of a request that was read from `text`. */
static void repack(str text, struct buf *out)
{
    struct err e;
    struct chat_request *r = chat_request_unpack(text, 1 << 20, &e);
    if (!r)
        fail_msg("%s", e.msg);
    buf_clear(out);
    assert_true(chat_request_pack(r, out));
    chat_request_free(r);
}

static void chat_requests_come_back(void **state)
{
    struct buf one = BUF_INIT(1 << 20), two = BUF_INIT(1 << 20);
    struct err e;
    (void)state;
    for (int round = 0; round < 2; round++) {
        struct chat_request *r = full_request(), *back;
        if (round == 1) { // nothing said
            chat_request_free(r);
            r = chat_request_new(1 << 20);
            r->messages = json_array();
        }
        buf_clear(&one);
        assert_true(chat_request_pack(r, &one));
        repack(buf_as_str(&one), &two);
        check_str(buf_as_str(&two), buf_as_str(&one), "packed again");
        back = chat_request_unpack(buf_as_str(&one), 1 << 20, &e);
        assert_non_null(back);
        // Numbers bit for bit; what a dialect put aside; emptiness.
        assert_memory_equal(&back->temperature, &r->temperature, sizeof r->temperature);
        assert_memory_equal(&back->top_p, &r->top_p, sizeof r->top_p);
        assert_memory_equal(&back->min_p, &r->min_p, sizeof r->min_p);
        assert_memory_equal(&back->presence_penalty, &r->presence_penalty, sizeof r->min_p);
        assert_true(back->seed == r->seed && back->timeout_ms == r->timeout_ms);
        assert_true(json_equal(back->messages, r->messages));
        assert_true(back->aside == r->aside || json_equal(back->aside, r->aside));
        assert_int_equal(back->n_bias, r->n_bias);
        assert_int_equal(back->n_prompts, r->n_prompts);
        if (round == 0) {
            assert_true(back->thinking_as_text && back->max_total == 100);
            assert_string_equal(back->format_place, "response_format");
            assert_string_equal(back->tools_place, "tools[].input_schema");
            check_str(back->format_root, STR("start"), "format_root");
            assert_true(json_equal(back->stop_tokens, r->stop_tokens));
            assert_memory_equal(&back->bias[1].bias, &r->bias[1].bias, sizeof(float));
            assert_true(back->seeds[1] == r->seeds[1]);
            assert_null(back->prompts[0].tokens);
            assert_non_null(back->prompts[2].tokens);
            assert_int_equal(back->prompts[2].n_tokens, 0);
            assert_int_equal(back->prompts[1].tokens[1], 31999);
        }
        chat_request_free(r);
        chat_request_free(back);
    }
    buf_free(&one);
    buf_free(&two);
}

static void chat_requests_that_are_damaged(void **state)
{
    static const struct {
        const char *text, *where;
    } rows[] = {
        {"", ""},
        {"[]", ""},
        {"{", ""},
        {"{\"messages\":[],\"new_thing\":1}", "new_thing"},
        {"{}", "messages"},
        {"{\"messages\":{}}", "messages"},
        {"{\"messages\":[1]}", "messages"},
        {"{\"messages\":[{\"rolf\":\"user\"}]}", "messages"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[]}]}", "messages"},
        {"{\"messages\":[],\"tools\":{}}", "tools"},
        {"{\"messages\":[],\"template_args\":[]}", "template_args"},
        {"{\"messages\":[],\"n_choices\":0}", "n_choices"},
        {"{\"messages\":[],\"n_choices\":4294967297}", "n_choices"},
        {"{\"messages\":[],\"seeds\":[1,2]}", "seeds"},
        {"{\"messages\":[],\"stops\":[\"\"]}", "stops"},
        {"{\"messages\":[],\"stops\":\"a\"}", "stops"},
        {"{\"messages\":[],\"ends\":[-1]}", "ends"},
        {"{\"messages\":[],\"format\":\"poem\"}", "format"},
        {"{\"messages\":[],\"temperature\":\"hot\"}", "temperature"},
        {"{\"messages\":[],\"temperature\":1e300}", "temperature"},
        {"{\"messages\":[],\"timeout_ms\":-1}", "timeout_ms"},
        {"{\"messages\":[],\"bad_words\":[1]}", "bad_words"},
        {"{\"messages\":[],\"bad_tokens\":[1]}", "bad_tokens"},
        {"{\"messages\":[],\"stop_tokens\":[[-1]]}", "stop_tokens"},
        {"{\"messages\":[],\"forced\":{}}", "forced"},
        {"{\"messages\":[],\"bias\":[[1]]}", "bias"},
        {"{\"messages\":[],\"mcp\":[{}]}", "mcp"},
        {"{\"messages\":[],\"server_tools\":[{\"files\":3}]}", "server_tools"},
        {"{\"prompts\":[{\"tokens\":\"x\"}]}", "prompts"},
        {"{\"prompts\":[{}]}", "prompts"},
    };
    struct err e;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (chat_request_unpack(str_c(rows[i].text), 1 << 20, &e))
            fail_msg("taken: %s", rows[i].text);
        assert_int_equal(e.code, ERR_FORMAT);
        assert_string_equal(e.where, rows[i].where);
    }
}

/* With too little memory: an error each time, until it is enough. */
static void chat_unpacking_is_bounded(void **state)
{
    struct buf text = BUF_INIT(1 << 20), bytes = BUF_INIT(1 << 20);
    struct chat_request *r = full_request();
    struct chat_token token = {.id = 1, .bytes = STR("x")};
    struct chat_event ev = {
        .number = 1, .what = CHAT_TEXT, .text = STR("hi"), .tokens = &token, .n_tokens = 1};
    struct chat_event back;
    struct arena a;
    struct err e;
    str more;
    bool done = false;
    (void)state;
    assert_true(chat_request_pack(r, &text));
    assert_true(chat_event_pack(&ev, STR("m"), &bytes));
    chat_request_free(r);
    for (size_t max = 0; !done; max += 16) {
        r = chat_request_unpack(buf_as_str(&text), max, &e);
        done = r != NULL;
        if (!done)
            assert_int_equal(e.code, ERR_LIMIT);
        chat_request_free(r);
    }
    done = false;
    for (size_t max = 0; !done; max += 16) {
        arena_init(&a, max);
        done = chat_event_unpack(buf_as_str(&bytes), &a, &back, &more, &e);
        if (!done)
            assert_int_equal(e.code, ERR_LIMIT);
        arena_fini(&a);
    }
    for (size_t n = 0; n < text.n; n++)
        assert_null(chat_request_unpack(str_sub(buf_as_str(&text), 0, n), 1 << 20, &e));
    buf_free(&text);
    buf_free(&bytes);
}

static const struct err failure = {ERR_TIMEOUT, "here", "too late", "deadline"};
static const struct chat_alternative top[] = {{-1, -0.5f, STR_INIT("\xff")}, {7, 0, STR_INIT("")}};
static const struct chat_token tokens[] = {{5, 0, STR_INIT("a"), -1.25f, top, 2},
                                           {6, 3, STR_INIT(""), 0, NULL, 0}};
static const struct {
    const char *name;
    struct chat_event ev;
    str more;
} events[] = {
    {"waiting", {.number = 1, .what = CHAT_WAITING, .position = 3}, STR_INIT("")},
    {"started", {.number = 2, .what = CHAT_STARTED, .usage = {.n_prompt = 9}}, STR_INIT("more")},
    {"text",
     {.number = UINT64_MAX,
      .unix_ms = -5,
      .what = CHAT_TEXT,
      .choice = 3,
      .n_tokens = 2,
      .text = STR_INIT("h\0i\xff"),
      .tokens = tokens},
     STR_INIT("\0")},
    {"reasoning", {.number = 4, .what = CHAT_REASONING, .text = STR_INIT("hm")}, STR_INIT("")},
    {"call",
     {.number = 5, .what = CHAT_CALL, .call = 2, .name = STR_INIT("tool"), .text = STR_INIT("id")},
     STR_INIT("")},
    {"server result",
     {.number = 6,
      .what = CHAT_SERVER_RESULT,
      .name = STR_INIT("n"),
      .id = STR_INIT("i"),
      .text = STR_INIT("t"),
      .content = STR_INIT("[]"),
      .server = STR_INIT("shop"),
      .fault = CHAT_FAULT_LOST,
      .position = 8},
     STR_INIT("")},
    {"server progress",
     {.number = 6,
      .what = CHAT_SERVER_PROGRESS,
      .name = STR_INIT("n"),
      .id = STR_INIT("i"),
      .content = STR_INIT("{}")},
     STR_INIT("")},
    {"finished",
     {.number = 7,
      .unix_ms = 1700000000000,
      .what = CHAT_FINISHED,
      .finish = CHAT_FINISH_CALLS,
      .n_tokens = 2147483647,
      .token = -1},
     STR_INIT("")},
    {"completed", {.number = 8, .what = CHAT_COMPLETED, .usage = {1, 2, 3, 4, 5}}, STR_INIT("")},
    {"failed", {.number = 9, .what = CHAT_FAILED, .error = &failure}, STR_INIT("")},
};

static void chat_events_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(events); i++) {
        struct buf one = BUF_INIT(1 << 16), two = BUF_INIT(1 << 16);
        struct chat_event back;
        struct arena a;
        struct err e;
        str more;
        arena_init(&a, 1 << 16);
        assert_true(chat_event_pack(&events[i].ev, events[i].more, &one));
        if (!chat_event_unpack(buf_as_str(&one), &a, &back, &more, &e))
            fail_msg("%s: %s", events[i].name, e.msg);
        const struct chat_event *ev = &events[i].ev;
        check_str(more, events[i].more, events[i].name);
        check_str(back.text, ev->text, events[i].name);
        check_str(back.content, ev->content, events[i].name);
        check_str(back.server, ev->server, events[i].name);
        assert_true(back.number == ev->number && back.unix_ms == ev->unix_ms);
        assert_true(back.what == ev->what && back.finish == ev->finish && back.fault == ev->fault);
        assert_memory_equal(&back.usage, &ev->usage, sizeof ev->usage);
        if (ev->error)
            assert_memory_equal(back.error->msg, "too late", 9);
        if (ev->tokens) {
            assert_int_equal(back.tokens[0].n_top, 2);
            assert_int_equal(back.tokens[0].top[0].id, -1);
            assert_true(back.tokens[0].logprob == -1.25f && back.tokens[1].at == 3);
        }
        assert_true(chat_event_pack(&back, more, &two));
        check_str(buf_as_str(&two), buf_as_str(&one), events[i].name);
        for (size_t n = 0; n < one.n; n++) { // cut short: an error, or an event; never a crash
            struct chat_event cut;
            if (!chat_event_unpack(str_sub(buf_as_str(&one), 0, n), &a, &cut, &more, &e))
                assert_int_equal(e.code, ERR_FORMAT);
        }
        arena_fini(&a);
        buf_free(&one);
        buf_free(&two);
    }
}

/* The numbers in the file mean the same for ever: bytes as version 1 wrote them. */
static void chat_events_of_old_are_read(void **state)
{
    static const struct {
        const char *name, *bytes;
        size_t n;
        enum chat_what what;
    } rows[] = {
        {"text", "\x01\x06\x04\x02\x01\x13\x02hi", 9, CHAT_TEXT},
        {"server call", "\x01\x06\x0b\x02\x02\x15\x01t", 8, CHAT_SERVER_CALL},
        {"failed", "\x01\x06\x0a\x02\x01\x2b\x02\x02\x06", 9, CHAT_FAILED},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct chat_event ev;
        struct arena a;
        struct err e;
        str more;
        arena_init(&a, 1 << 16);
        if (!chat_event_unpack(str_n(rows[i].bytes, rows[i].n), &a, &ev, &more, &e))
            fail_msg("%s: %s", rows[i].name, e.msg);
        assert_int_equal(ev.what, rows[i].what);
        if (ev.error)
            assert_int_equal(ev.error->code, ERR_TIMEOUT);
        arena_fini(&a);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(chat_requests_come_back),     cmocka_unit_test(chat_requests_that_are_damaged),
    cmocka_unit_test(chat_unpacking_is_bounded),   cmocka_unit_test(chat_events_come_back),
    cmocka_unit_test(chat_events_of_old_are_read),
};
TEST_FILE(tests)
