/* chat/constrain_test.c - what an automaton lets through, the reader of the same notation takes for
 * calls whose arguments their schemas accept: tokens drawn at random, nothing else. */
#include "chat/chat_int.h"

#include "base/rng.h"
#include "gguf/writer.h"
#include "json/json.h"
#include "test.h"

#define OUT_MAX ((size_t)1 << 20)
#define STEPS   20000

/* The 256 bytes, and the marks that are control tokens in some family. */
static const char *const controls[] = {
    "<|im_end|>",
    "[TOOL_CALLS]",
    "[ARGS]",
    "<|channel|>",
    "<|message|>",
    "<|start|>",
    "<|end|>",
    "<|constrain|>",
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁call▁begin｜>",
    "<｜tool▁sep｜>",
    "<｜tool▁call▁end｜>",
    "<｜tool▁calls▁end｜>",
    "<|START_ACTION|>",
    "<|END_ACTION|>",
    "[THINK]",
    "[/THINK]",
};

#define N_TOKENS (256 + (int)COUNT(controls))

struct world {
    struct buf file;
    struct gguf *gguf;
    struct tok *tok;
    struct chat_template *tmpl;
    struct gram_vocab *vocab;
    bool control[N_TOKENS], eog[N_TOKENS];
};

static void world_open(struct world *w, const char *source)
{
    static char names[256][4];
    str tokens[N_TOKENS], text = str_c(source);
    int32_t types[N_TOKENS];
    struct err e;
    int extra = 256;
    for (int b = 0; b < 256; b++) {
        bool printed = (b >= 33 && b <= 126) || (b >= 161 && b != 173);
        uint32_t cp = printed ? (uint32_t)b : (uint32_t)extra++;
        names[b][0] = cp < 0x80 ? (char)cp : (char)(0xc0 | cp >> 6);
        names[b][1] = (char)(0x80 | (cp & 0x3f));
        tokens[b] = str_n(names[b], cp < 0x80 ? 1 : 2);
        types[b] = 1;
    }
    for (size_t i = 0; i < COUNT(controls); i++) {
        tokens[256 + i] = str_c(controls[i]);
        types[256 + i] = 3;
    }
    buf_init(&w->file, (size_t)1 << 20);
    struct gguf_writer *g = gguf_writer_to(&w->file);
    gguf_put_str(g, "general.architecture", STR("llama"));
    gguf_put_str(g, "tokenizer.ggml.model", STR("gpt2"));
    gguf_put_str(g, "tokenizer.ggml.pre", STR("qwen2"));
    gguf_put_strs(g, "tokenizer.ggml.tokens", tokens, N_TOKENS);
    gguf_put_array(g, "tokenizer.ggml.token_type", GGUF_I32, types, N_TOKENS);
    gguf_put_strs(g, "tokenizer.ggml.merges", NULL, 0);
    gguf_put_u32(g, "tokenizer.ggml.eos_token_id", 256);
    assert_true(gguf_writer_finish(g, &e));
    gguf_writer_close(g);
    assert_true(gguf_open_bytes(&w->gguf, buf_as_str(&w->file), &e));
    assert_true(tok_open(&w->tok, w->gguf, &e));
    if (!chat_template_open(&w->tmpl, w->gguf, w->tok, &text, &e))
        fail_msg("%s: %s", source, e.msg);
    for (int i = 0; i < N_TOKENS; i++) {
        w->control[i] = tok_is_control(w->tok, i);
        w->eog[i] = i == 256;
    }
    w->vocab = gram_vocab_new(tok_pieces(w->tok), w->control, w->eog, N_TOKENS);
}

static void world_close(struct world *w)
{
    gram_vocab_drop(w->vocab);
    chat_template_close(w->tmpl);
    tok_close(w->tok);
    gguf_close(w->gguf);
    buf_free(&w->file);
}

static const char tools_text[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":{\"type\":"
    "\"object\",\"properties\":{\"city\":{\"type\":\"string\",\"maxLength\":9},\"unit\":{\"enum\":["
    "\"C\",\"F\",null]},\"days\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":14},\"deep\":{"
    "\"type\":\"object\",\"properties\":{\"on\":{\"type\":\"boolean\"},\"list\":{\"type\":"
    "\"array\","
    "\"items\":{\"$ref\":\"#/$defs/n\"},\"maxItems\":3}},\"required\":[\"on\"],"
    "\"additionalProperties\":false}},\"required\":[\"city\",\"days\"],\"$defs\":{\"n\":{\"type\":"
    "\"number\",\"minimum\":0,\"maximum\":5}}}}},{\"type\":\"function\",\"function\":{\"name\":"
    "\"now\",\"parameters\":{\"type\":\"object\",\"properties\":{}}}}]";

/* An answer drawn at random from what the automaton allows. */
static bool draw(const struct world *w, const struct gram *g, uint64_t *random, struct buf *out)
{
    struct gram_state *s = gram_state_new(g);
    uint64_t mask[(N_TOKENS + 63) / 64];
    struct err e;
    bool ended = false;
    for (int step = 0; step < STEPS && !ended; step++) {
        int n;
        if (!gram_mask(s, mask, &n, &e))
            fail_msg("%s", e.msg);
        assert_true(n > 0);
        int pick = (int)(test_random(random) % (uint64_t)n), id = -1;
        do
            id++;
        while (!(mask[id / 64] >> id % 64 & 1) || pick-- > 0);
        if (gram_may_end(s) && test_random(random) % 2 == 0)
            id = 256;
        ended = id == 256;
        if (!gram_accept(s, id, &e))
            fail_msg("token %d: %s", id, e.msg);
        if (!ended)
            buf_str(out, tok_piece(w->tok, id, true));
    }
    gram_state_free(s);
    return ended;
}

struct heard {
    const json_t *tools;
    int calls;
    bool text, thought;
    struct buf name, arguments;
};

static void check_call(struct heard *h)
{
    struct err e;
    if (h->name.n == 0)
        return;
    const json_t *schema = chat_tool_schema(h->tools, buf_as_str(&h->name));
    assert_non_null(schema);
    if (!gram_valid(schema, NULL, buf_as_str(&h->arguments), &e))
        fail_msg("%s(%s): %s %s", buf_cstr(&h->name), buf_cstr(&h->arguments), e.where, e.msg);
    buf_clear(&h->name);
    buf_clear(&h->arguments);
}

static void hear(void *arg, const struct chat_event *ev)
{
    struct heard *h = arg;
    if (ev->what == CHAT_ARGUMENTS) {
        buf_str(&h->arguments, ev->text);
        return;
    }
    check_call(h);
    h->text |= ev->what == CHAT_TEXT;
    h->thought |= ev->what == CHAT_REASONING;
    if (ev->what == CHAT_CALL) {
        h->calls++;
        buf_str(&h->name, ev->name);
    }
}

static void read_back(const struct world *w, const struct chat_request *r, str text,
                      struct heard *h)
{
    struct chat_start start = {0};
    *h = (struct heard){.tools = r->tools};
    buf_init(&h->name, OUT_MAX);
    buf_init(&h->arguments, OUT_MAX);
    struct chat_parser *p = chat_parser_new(w->tmpl, r, &start, "x", hear, h);
    chat_parser_feed(p, text, 1, NULL);
    enum chat_finish why = chat_parser_end(p, CHAT_FINISH_END);
    check_call(h);
    chat_parser_free(p);
    assert_int_equal(why, h->calls ? CHAT_FINISH_CALLS : CHAT_FINISH_END);
    buf_free(&h->name);
    buf_free(&h->arguments);
}

/* A template that is of this notation. */
static void write_template(const struct chat_notation *f, struct buf *out)
{
    buf_c(out, "{% if tools %}{{ tools | tojson }}{% endif %}{{ messages | tojson }}{% raw %}");
    for (size_t i = 0; i < FORMAT_STRINGS && f->needles[i]; i++)
        buf_printf(out, " %s", f->needles[i]);
    buf_c(out, "{% endraw %}");
}

static void check_notation(const struct chat_notation *f)
{
    static const struct {
        enum chat_tool_choice choice;
        bool one;
    } ways[] = {{CHAT_TOOLS_REQUIRED, false},
                {CHAT_TOOLS_REQUIRED, true},
                {CHAT_TOOLS_NAMED, true},
                {CHAT_TOOLS_AUTO, false},
                {CHAT_TOOLS_NONE, false}};
    struct buf template = BUF_INIT(1000);
    struct world w;
    struct err e;
    uint64_t random = 7;
    int called = 0, many = 0;
    write_template(f, &template);
    world_open(&w, buf_cstr(&template));
    check_str(str_c(chat_notation_name(w.tmpl)), str_c(f->name), "notation");
    struct chat_request *r = chat_request_new(10000);
    r->messages = json_pack("[{ssss}]", "role", "user", "content", "q");
    r->tools = json_parse(str_c(tools_text), &e);
    r->tool_name = STR("get_weather");
    for (size_t i = 0; i < COUNT(ways); i++) {
        struct gram *g;
        struct chat_start start = {.settled = true};
        bool demanded = ways[i].choice == CHAT_TOOLS_REQUIRED || ways[i].choice == CHAT_TOOLS_NAMED;
        r->tool_choice = ways[i].choice;
        r->one_call = ways[i].one;
        if (!chat_constraint(w.tmpl, w.vocab, r, &start, &g, &e))
            fail_msg("%s: %s %s", f->name, e.where, e.msg);
        for (int k = 0; k < 40; k++) {
            struct buf text = BUF_INIT(OUT_MAX);
            struct heard h;
            if (!draw(&w, g, &random, &text))
                fail_msg("%s: no end of %.200s", f->name, buf_cstr(&text));
            read_back(&w, r, buf_as_str(&text), &h);
            if (demanded && (h.calls == 0 || h.text))
                fail_msg("%s: no call alone: %s", f->name, buf_cstr(&text));
            if (ways[i].one && h.calls > 1)
                fail_msg("%s: more than one call: %s", f->name, buf_cstr(&text));
            if (ways[i].choice == CHAT_TOOLS_NONE)
                assert_int_equal(h.calls, 0);
            called += h.calls;
            many += h.calls > 1;
            buf_free(&text);
        }
        gram_drop(g);
    }
    if (called < 120 || (many == 0 && f->form.next))
        fail_msg("%s: %d calls, %d answers with several", f->name, called, many);
    chat_request_free(r);
    world_close(&w);
    buf_free(&template);
}

static void chat_lets_only_valid_calls_through(void **state)
{
    (void)state;
    for (size_t i = 0; i < chat_n_notations; i++)
        check_notation(chat_notations[i]);
}

/* Thinking in front: by the prompt, by the model, or not at all. */
static void chat_lets_thinking_come_first(void **state)
{
    static const struct {
        const char *name;
        bool prompt_opens;
        struct chat_start start;
        const char *yes, *no;
    } rows[] = {
        {"the model opens it", false, {0}, "<think>a</think>\n\n{}", "a{}"},
        {"the model need not", false, {0}, "{}", "</think>{}"},
        {"the prompt has opened it", true, {.thinking = true}, "a</think>{}", "{}"},
        {"the prompt could have, but has not", true, {0}, "{}", "<think>a</think>{}"},
        {"the prompt has closed it", false, {.settled = true}, "{}", "<think>a</think>{}"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct world w;
        struct gram *g;
        struct err e;
        world_open(&w, rows[i].prompt_opens
                           ? "{{ messages }}{% if enable_thinking %}{{ '<think>' }}{% endif %}"
                           : "{{ messages }}{% if false %}<think>{% endif %}");
        struct chat_request *r = chat_request_new(10000);
        r->messages = json_pack("[{ssss}]", "role", "user", "content", "q");
        r->format = CHAT_FORMAT_JSON;
        assert_true(chat_constraint(w.tmpl, w.vocab, r, &rows[i].start, &g, &e));
        for (int k = 0; k < 2; k++) {
            struct gram_state *s = gram_state_new(g);
            bool took =
                gram_accept_bytes(s, str_c(k ? rows[i].no : rows[i].yes), &e) && gram_may_end(s);
            if (took != (k == 0))
                fail_msg("%s: %s", rows[i].name, k ? rows[i].no : rows[i].yes);
            gram_state_free(s);
        }
        gram_drop(g);
        chat_request_free(r);
        world_close(&w);
    }
}

/* A schema that cannot be enforced is refused with its place. */
static void chat_refuses_what_it_cannot_enforce(void **state)
{
    static const struct {
        const char *notation, *parameters, *where;
    } rows[] = {
        {"<tool_call>", "{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#/nowhere\"}}}",
         "tools[1].function.parameters/properties/a/$ref"},
        {"<function= <parameter=", "{\"type\":\"object\",\"properties\":{},\"minProperties\":1}",
         "tools[1].function.parameters/minProperties"},
        {"<|tool_list_start|>", "{\"type\":\"array\"}", "tools[1].function.parameters/type"},
        {"<|tool_list_start|>", "{\"type\":\"object\",\"properties\":{},\"required\":[\"a\"]}",
         "tools[1].function.parameters/required"},
        {"<function= <parameter=", "{\"type\":\"object\",\"properties\":{\"a>b\":{}}}",
         "tools[1].function.parameters/properties"},
        {"<function= <parameter=", "{\"type\":\"object\",\"properties\":{\" a\":{}}}",
         "tools[1].function.parameters/properties"},
        {"<|tool_list_start|>", "{\"type\":\"object\",\"properties\":{\"a b\":{}}}",
         "tools[1].function.parameters/properties"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf template = BUF_INIT(1000);
        struct world w;
        struct gram *g;
        struct err e;
        struct chat_start start = {0};
        buf_printf(&template, "{{ tools }}{{ messages }}{%% raw %%}%s{%% endraw %%}",
                   rows[i].notation);
        world_open(&w, buf_cstr(&template));
        struct chat_request *r = chat_request_new(10000);
        r->messages = json_pack("[{ssss}]", "role", "user", "content", "q");
        r->tools = json_pack("[{s{s:s,s:{}}},{s{s:s,s:o}}]", "function", "name", "f", "parameters",
                             "function", "name", "g", "parameters",
                             json_parse(str_c(rows[i].parameters), &e));
        assert_false(chat_constraint(w.tmpl, w.vocab, r, &start, &g, &e));
        assert_int_equal(e.code, ERR_INPUT);
        check_str(str_c(e.where), str_c(rows[i].where), rows[i].notation);
        chat_request_free(r);
        world_close(&w);
        buf_free(&template);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(chat_lets_only_valid_calls_through),
    cmocka_unit_test(chat_lets_thinking_come_first),
    cmocka_unit_test(chat_refuses_what_it_cannot_enforce),
};
TEST_FILE(tests)
