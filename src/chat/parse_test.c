/* chat/parse_test.c - answers of each notation, whole and cut at every byte: the same calls, the
 * same text, and no markup. */
#include "chat/chat_int.h"

#include "json/json.h"
#include "test.h"

#define OUT_MAX 65536

/* What was heard: "R:" thinking, "T:" text, "C:" a call's name, "A:" its arguments; one line each,
 * neighbours of one kind joined. */
struct heard {
    struct buf text;
    enum chat_what last;
    int call;
    int n_tokens;
};

static void hear(void *arg, const struct chat_event *ev)
{
    static const char *const heads[] = {[CHAT_TEXT] = "\nT:",
                                        [CHAT_REASONING] = "\nR:",
                                        [CHAT_CALL] = "\nC:",
                                        [CHAT_ARGUMENTS] = "\nA:"};
    struct heard *h = arg;
    assert_true(ev->what == CHAT_CALL || ev->text.n > 0);
    if (ev->what == CHAT_CALL || ev->what != h->last)
        buf_c(&h->text, heads[ev->what]);
    buf_str(&h->text, ev->what == CHAT_CALL ? ev->name : ev->text);
    if (ev->what == CHAT_CALL) {
        assert_int_equal(ev->call, h->call);
        h->call++;
    }
    if (ev->what == CHAT_ARGUMENTS)
        assert_int_equal(ev->call, h->call - 1);
    h->last = ev->what;
    h->n_tokens += ev->n_tokens;
}

static const char tools_text[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":{\"type\":"
    "\"object\",\"properties\":{\"city\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\"},"
    "\"units\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},\"deep\":{\"type\":\"object\"}}"
    "}}},{\"type\":\"function\",\"function\":{\"name\":\"now\",\"parameters\":{\"type\":\"object\","
    "\"properties\":{}}}}]";

struct row {
    const char *name, *notation;
    str text;
    const char *want;
    const char *thinking;
    struct chat_start start;
};

static const struct chat_notation *find(const char *name)
{
    for (size_t i = 0; name && i < chat_n_notations; i++)
        if (strcmp(chat_notations[i]->name, name) == 0)
            return chat_notations[i];
    if (name)
        fail_msg("no notation %s", name);
    return NULL;
}

/* Feeds the text in pieces of `step` bytes, the first one of `first`. */
static void feed(const struct row *row, const json_t *tools, size_t first, size_t step,
                 struct buf *out)
{
    struct heard h = {.last = CHAT_STARTED};
    buf_init(&h.text, OUT_MAX);
    struct chat_parser *p = chat_parser_open(
        find(row->notation), row->thinking ? chat_thinking_of(str_c(row->thinking)) : NULL, tools,
        &row->start, "run 0", hear, &h);
    for (size_t at = 0, n = first; at < row->text.n; at += n, n = step)
        chat_parser_feed(p, str_sub(row->text, at, n), 1, NULL);
    enum chat_finish why = chat_parser_end(p, CHAT_FINISH_END);
    assert_int_equal(why, h.call ? CHAT_FINISH_CALLS : CHAT_FINISH_END);
    chat_parser_free(p);
    buf_str(out, str_from(buf_as_str(&h.text), h.text.n > 0));
    buf_free(&h.text);
}

static void check_rows(const struct row *rows, size_t n)
{
    struct err e;
    json_t *tools = json_parse(str_c(tools_text), &e);
    for (size_t i = 0; i < n; i++) {
        const struct row *row = &rows[i];
        struct buf out = BUF_INIT(OUT_MAX);
        feed(row, tools, row->text.n, 1, &out);
        check_bytes(&out, row->want, row->name);
        buf_clear(&out);
        feed(row, tools, 1, 1, &out);
        check_bytes(&out, row->want, row->name);
        for (size_t at = 1; at < row->text.n; at++) {
            buf_clear(&out);
            feed(row, tools, at, row->text.n, &out);
            check_bytes(&out, row->want, row->name);
        }
        buf_free(&out);
    }
    json_decref(tools);
}

#define OSLO "\nC:get_weather\nA:{\"city\": \"Oslo\"}"

static void chat_reads_objects(void **state)
{
    static const struct row rows[] = {
        {"plain text", "hermes", STR_INIT("Hello <b>there</b>.\n"), "T:Hello <b>there</b>.\n"},
        {"one call", "hermes",
         STR_INIT("<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n"
                  "</tool_call>"),
         "C:get_weather\nA:{\"city\": \"Oslo\"}"},
        {"text, two calls, no arguments", "hermes",
         STR_INIT("Let me see.\n\n<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\": "
                  "\"Oslo\"}}</tool_call>\n<tool_call>\n{\"name\": \"now\"}\n</tool_call>\n"),
         "T:Let me see." OSLO "\nC:now\nA:{}"},
        {"arguments before the name; a key more", "hermes",
         STR_INIT("<tool_call>{\"id\": [1, \"}\"], \"arguments\": {\"city\": \"Oslo\"}, \"name\": "
                  "\"get_weather\"}</tool_call>"),
         "C:get_weather\nA:{\"city\": \"Oslo\"}"},
        {"arguments as text", "hermes",
         STR_INIT("<tool_call>{\"name\": \"now\", \"arguments\": \"{\\\"a\\\": "
                  "\\\"\\u00e9\\\"}\"}</tool_call>"),
         "C:now\nA:{\"a\": \"\xc3\xa9\"}"},
        {"brackets and quotes in text", "hermes",
         STR_INIT("<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": \"}\\\"]{\", \"b\": [{}, "
                  "[]]}}</tool_call> Done."),
         "C:now\nA:{\"a\": \"}\\\"]{\", \"b\": [{}, []]}\nT:Done."},
        {"no end mark, but a line break", "hermes",
         STR_INIT("<tool_call>{\"name\": \"now\", \"arguments\": {}}\n"), "C:now\nA:{}"},
        {"no end mark", "hermes", STR_INIT("<tool_call>{\"name\": \"now\", \"arguments\": {}}"),
         "C:now\nA:{}"},
        {"half an end mark", "hermes",
         STR_INIT("<tool_call>{\"name\": \"now\", \"arguments\": {}}\n</tool_c"), "C:now\nA:{}"},
        {"arguments cut short", "hermes",
         STR_INIT("<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": \"b"),
         "C:now\nA:{\"a\": \"b"},
        {"no JSON", "hermes", STR_INIT("<tool_call>now()</tool_call> x"),
         "T:<tool_call>now()</tool_call> x"},
        {"no name", "hermes", STR_INIT("a <tool_call> {\"x\": 1}</tool_call>"),
         "T:a <tool_call> {\"x\": 1}</tool_call>"},
        {"unfinished", "hermes", STR_INIT("<tool_call>\n{\"name\": \"no"),
         "T:<tool_call>\n{\"name\": \"no"},
        {"half a mark", "hermes", STR_INIT("a <tool_ca"), "T:a <tool_ca"},
        {"blanks before what is no call", "hermes", STR_INIT("a\n\n  <tool_call>x  <tool_call>y"),
         "T:a\n\n  <tool_call>x  <tool_call>y"},
        {"a mark in a mark", "hermes",
         STR_INIT("<tool_call><tool_call>{\"name\": \"now\"}</tool_call>"),
         "T:<tool_call>\nC:now\nA:{}"},
        {"two objects in one mark", "hermes",
         STR_INIT("<tool_call>{\"name\": \"now\"}\n{\"name\": \"now\"}</tool_call>"),
         "C:now\nA:{}\nC:now\nA:{}"},
        {"a list", "granite",
         STR_INIT("<|tool_call|>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}, "
                  "{\"name\": \"now\", \"arguments\": {}}]"),
         "C:get_weather\nA:{\"city\": \"Oslo\"}\nC:now\nA:{}"},
        {"an empty list", "granite", STR_INIT("<|tool_call|>[]"), "T:<|tool_call|>[]"},
        {"phi", "phi",
         STR_INIT("Sure.<|tool_call|>[{\"name\": \"get_weather\", \"arguments\": {\"city\": "
                  "\"Oslo\"}}]<|/tool_call|>"),
         "T:Sure." OSLO},
        {"bare", "llama",
         STR_INIT("{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Oslo\"}}"),
         "C:get_weather\nA:{\"city\": \"Oslo\"}"},
        {"two bare ones", "llama",
         STR_INIT("\n{\"type\": \"function\", \"name\": \"get_weather\", \"parameters\": "
                  "{\"city\": \"Oslo\"}}; {\"name\": \"now\", \"parameters\": {}}"),
         "C:get_weather\nA:{\"city\": \"Oslo\"}\nC:now\nA:{}"},
        {"bare, but no tool of ours", "llama", STR_INIT("{\"name\": \"Ada\", \"age\": 36}"),
         "T:{\"name\": \"Ada\", \"age\": 36}"},
        {"bare, behind blanks, no tool of ours", "llama", STR_INIT("\n  {\"name\": \"Ada\"}"),
         "T:\n  {\"name\": \"Ada\"}"},
        {"bare, but not in front", "llama", STR_INIT("See: {\"name\": \"now\"}"),
         "T:See: {\"name\": \"now\"}"},
        {"python tag", "llama", STR_INIT("<|python_tag|>{\"name\": \"now\", \"parameters\": {}}"),
         "C:now\nA:{}"},
        {"command", "command-r",
         STR_INIT("<|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"get_weather\","
                  " \"parameters\": {\"city\": \"Oslo\"}}\n]<|END_ACTION|>"),
         "C:get_weather\nA:{\"city\": \"Oslo\"}"},
        {"command of 2024", "command-r-2024",
         STR_INIT("Action:\n```json\n[\n    {\n        \"tool_name\": \"get_weather\",\n        "
                  "\"parameters\": {\"city\": \"Oslo\"}\n    }\n]\n```"),
         "C:get_weather\nA:{\"city\": \"Oslo\"}"},
        {"gemma", "gemma",
         STR_INIT(
             "```json\n{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Oslo\"}}\n```"),
         "C:get_weather\nA:{\"city\": \"Oslo\"}"},
        {"gemma, other JSON", "gemma", STR_INIT("```json\n{\"x\": 1}\n```"),
         "T:```json\n{\"x\": 1}\n```"},
        {"mistral", "mistral",
         STR_INIT(
             "[TOOL_CALLS] [{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}]"),
         "C:get_weather\nA:{\"city\": \"Oslo\"}"},
    };
    (void)state;
    check_rows(rows, COUNT(rows));
}

static void chat_reads_names(void **state)
{
    static const struct row rows[] = {
        {"mistral", "mistral-args",
         STR_INIT("Wait.[TOOL_CALLS]get_weather[ARGS]{\"city\": \"Oslo\"}[TOOL_CALLS]now[ARGS]{}"),
         "T:Wait." OSLO "\nC:now\nA:{}"},
        {"mistral, with an id", "mistral-args",
         STR_INIT("[TOOL_CALLS]get_weather[CALL_ID]123456789[ARGS]{\"city\": \"Oslo\"}"),
         "C:get_weather\nA:{\"city\": \"Oslo\"}"},
        {"mistral, no mark", "mistral-args",
         STR_INIT("[TOOL_CALLS]get_weather{\"city\": \"Oslo\"}"),
         "C:get_weather\nA:{\"city\": \"Oslo\"}"},
        {"mistral, the older way", "mistral-args",
         STR_INIT("[TOOL_CALLS][{\"name\": \"now\", \"arguments\": {}}]"), "C:now\nA:{}"},
        {"mistral, broken", "mistral-args", STR_INIT("[TOOL_CALLS]now\nor never[ARGS]{}"),
         "T:[TOOL_CALLS]now\nor never[ARGS]{}"},
        {"functionary", "functionary",
         STR_INIT("<function=get_weather>{\"city\": \"Oslo\"}</function>\n<function=now>{}"
                  "</function> Bye"),
         "C:get_weather\nA:{\"city\": \"Oslo\"}\nC:now\nA:{}\nT:Bye"},
        {"deepseek", "deepseek",
         STR_INIT(
             "Hm.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n"
             "```json\n{\"city\": \"Oslo\"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>"
             "function<｜tool▁sep｜>now\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
         "T:Hm." OSLO "\nC:now\nA:{}"},
        {"deepseek 3.1", "deepseek-3.1",
         STR_INIT("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": "
                  "\"Oslo\"}<｜tool▁call▁end｜><｜tool▁call▁begin｜>now<｜tool▁sep｜>{}"
                  "<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
         "C:get_weather\nA:{\"city\": \"Oslo\"}\nC:now\nA:{}"},
        {"deepseek, broken", "deepseek-3.1", STR_INIT("<｜tool▁calls▁begin｜>well"),
         "T:<｜tool▁calls▁begin｜>well"},
    };
    (void)state;
    check_rows(rows, COUNT(rows));
}

static void chat_reads_tags(void **state)
{
    static const struct row rows[] = {
        {"one", "qwen3-coder",
         STR_INIT("Ok.\n<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n"
                  "<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>"),
         "T:Ok.\nC:get_weather\nA:{\"city\": \"Oslo\", \"days\": 3}"},
        {"lines, quotes and umlauts in a text", "qwen3-coder",
         STR_INIT(
             "<tool_call>\n<function=get_weather>\n<parameter=city>\na \"b\"\n\n\xc3\xa9 <x>\n\n"
             "</parameter>\n</function>\n</tool_call>"),
         "C:get_weather\nA:{\"city\": \"a \\\"b\\\"\\n\\n\xc3\xa9 <x>\\n\"}"},
        {"a list, an object, a word", "qwen3-coder",
         STR_INIT("<tool_call><function=get_weather><parameter=units>[\"C\", \"F\"]</parameter>"
                  "<parameter=deep>{\"a\": null}</parameter><parameter=odd>hello</parameter>"
                  "</function></tool_call>"),
         "C:get_weather\nA:{\"units\": [\"C\", \"F\"], \"deep\": {\"a\": null}, \"odd\": "
         "\"hello\"}"},
        {"none, twice; the outer tag is missing", "qwen3-coder",
         STR_INIT("<function=now>\n</function>\n<function=now></function>"),
         "C:now\nA:{}\nC:now\nA:{}"},
        {"two in two tags", "qwen3-coder",
         STR_INIT("<tool_call>\n<function=now>\n</function>\n</tool_call>\n<tool_call>\n"
                  "<function=now>\n</function>\n</tool_call>\nBye"),
         "C:now\nA:{}\nC:now\nA:{}\nT:Bye"},
        {"broken", "qwen3-coder", STR_INIT("<tool_call>\nnow()\n</tool_call>"),
         "T:<tool_call>\nnow()\n</tool_call>"},
        {"cut short", "qwen3-coder",
         STR_INIT("<tool_call>\n<function=get_weather>\n<parameter=city>\nOs"),
         "C:get_weather\nA:{\"city\": \"Os"},
    };
    (void)state;
    check_rows(rows, COUNT(rows));
}

static void chat_reads_python(void **state)
{
    static const struct row rows[] = {
        {"tags", "lfm2",
         STR_INIT("Ok.<|tool_call_start|>[get_weather(city=\"Oslo\", days=3), now()]"
                  "<|tool_call_end|>Done."),
         "T:Ok.\nC:get_weather\nA:{\"city\": \"Oslo\", \"days\": 3}\nC:now\nA:{}\nT:Done."},
        {"literals", "lfm2",
         STR_INIT("<|tool_call_start|>[get_weather(city='it\\'s \\u00e9\\x21', days = -1.5e3, "
                  "units=['C', \"F\",], deep={'a': True, \"b\": (None, 1), 'c': {}})]"
                  "<|tool_call_end|>"),
         "C:get_weather\nA:{\"city\": \"it's \xc3\xa9!\", \"days\": -1.5e3, \"units\": [\"C\", "
         "\"F\"], \"deep\": {\"a\": true, \"b\": [null, 1], \"c\": {}}}"},
        {"three quotes; by place", "lfm2",
         STR_INIT("<|tool_call_start|>[get_weather(\"\"\"a\"b)\"\"\", 2)]<|tool_call_end|>"),
         "C:get_weather\nA:{\"city\": \"a\\\"b)\", \"days\": 2}"},
        {"no literal", "lfm2",
         STR_INIT("<|tool_call_start|>[get_weather(city=Oslo)]<|tool_call_end|>"),
         "C:get_weather\nA:{\"city\": \"Oslo\"}"},
        {"broken", "lfm2", STR_INIT("<|tool_call_start|>[hello]<|tool_call_end|>"),
         "T:<|tool_call_start|>[hello]<|tool_call_end|>"},
        {"cut short", "lfm2", STR_INIT("<|tool_call_start|>[get_weather(city=\"Oslo\", days="),
         "C:get_weather\nA:{\"city\": \"Oslo\""},
        {"bare", "llama-pythonic", STR_INIT("[get_weather(city=\"Oslo\"), now()]"),
         "C:get_weather\nA:{\"city\": \"Oslo\"}\nC:now\nA:{}"},
        {"bare, no tool of ours", "llama-pythonic", STR_INIT("[print(1)] and [now()]"),
         "T:[print(1)] and [now()]"},
        {"bare, a list", "llama-pythonic", STR_INIT("[1, 2]"), "T:[1, 2]"},
        {"fenced", "gemma-tool-code",
         STR_INIT("Sure:\n```tool_code\nprint(default_api.get_weather(city=\"Oslo\"))\nnow()\n```"),
         "T:Sure:\nC:get_weather\nA:{\"city\": \"Oslo\"}\nC:now\nA:{}"},
    };
    (void)state;
    check_rows(rows, COUNT(rows));
}

static void chat_reads_channels(void **state)
{
    static const struct row rows[] = {
        {"harmony", "harmony",
         STR_INIT(
             "<|channel|>analysis<|message|>Need the weather.<|end|><|start|>assistant<|channel|>"
             "commentary to=functions.get_weather <|constrain|>json<|message|>{\"city\": "
             "\"Oslo\"}<|call|>"),
         "R:Need the weather." OSLO, "<think>"},
        {"harmony, an answer", "harmony",
         STR_INIT("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final"
                  "<|message|>It is 4.<|return|>"),
         "R:Hm.\nT:It is 4.", "<think>"},
        {"harmony, a preamble; the recipient first", "harmony",
         STR_INIT(
             "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant to=functions.now"
             "<|channel|>commentary json<|message|>{}"),
         "T:I look.\nC:now\nA:{}", "<think>"},
        {"harmony, without form", "harmony", STR_INIT("Just text <x>"), "T:Just text <x>",
         "<think>"},
        {"harmony, a head cut short", "harmony", STR_INIT("<|channel|>analysis<|mess"), "",
         "<think>"},
        {"functionary, text", "functionary-3.2", STR_INIT("all\nHello\n"), "T:Hello\n"},
        {"functionary, calls", "functionary-3.2",
         STR_INIT("all\nI look.>>>get_weather\n{\"city\": \"Oslo\"}>>>now\n{}"),
         "T:I look." OSLO "\nC:now\nA:{}"},
        {"functionary, neither", "functionary-3.2", STR_INIT("Hello there"), "T:Hello there"},
    };
    (void)state;
    check_rows(rows, COUNT(rows));
}

/* A template of each family is known by what it holds. */
static void chat_knows_notations_by_their_templates(void **state)
{
    static const struct {
        const char *part, *notation;
    } rows[] = {
        {"{{ '<tool_call>\\n{\"name\": \"' + tool_call.name }}", "hermes"},
        {"<tool_call>\\n<function=' + x + '>\\n<parameter=", "qwen3-coder"},
        {"<|start_header_id|>ipython ... {\"name\": f, \"parameters\": d} \"parameters\"", "llama"},
        {"<|start_header_id|> [func_name1(params_name1=params_value1)]", "llama-pythonic"},
        {"'[TOOL_CALLS][' + x", "mistral"},
        {"'[TOOL_CALLS]' + name + '[ARGS]'", "mistral-args"},
        {"<function=example_function_name>{{ x }}</function>", "functionary"},
        {"'>>>all\n' + message.content", "functionary-3.2"},
        {"<｜tool▁calls▁begin｜> ... '```json'", "deepseek"},
        {"<｜tool▁calls▁begin｜>", "deepseek-3.1"},
        {"<start_of_turn>user ```json", "gemma"},
        {"<start_of_turn>user ```tool_code", "gemma-tool-code"},
        {"<|tool|>x<|/tool|>", "phi"},
        {"<|channel|>analysis<|message|>", "harmony"},
        {"<|tool_call|>", "granite"},
        {"<|START_ACTION|>", "command-r"},
        {"Action: ```json tool_name", "command-r-2024"},
        {"<|tool_list_start|>", "lfm2"},
        {"{{ messages }}", ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct chat_notation *f = chat_notation_of(str_c(rows[i].part));
        check_str(str_c(f ? f->name : ""), str_c(rows[i].notation), rows[i].part);
    }
}

static void chat_reads_thinking(void **state)
{
    static const struct row rows[] = {
        {"opened by the model", NULL, STR_INIT("<think>\nHm.\n\nYes.\n</think>\n\n4"),
         "R:Hm.\n\nYes.\nT:4", "<think>"},
        {"opened by the prompt",
         NULL,
         STR_INIT("\nHm.</think>4 <think>"),
         "R:Hm.\nT:4 <think>",
         "<think>",
         {.thinking = true}},
        {"closed by the prompt",
         NULL,
         STR_INIT("<think>4"),
         "T:<think>4",
         "<think>",
         {.settled = true}},
        {"none", NULL, STR_INIT(" \n4"), "T: \n4", "<think>"},
        {"never closed", NULL, STR_INIT("<think>a\n"), "R:a\n", "<think>"},
        {"empty", NULL, STR_INIT("<think>\n\n</think>\n\nx"), "T:x", "<think>"},
        {"not in front", NULL, STR_INIT("x <think>y</think>"), "T:x <think>y</think>", "<think>"},
        {"other marks", NULL, STR_INIT("[THINK]a[/THINK]b"), "R:a\nT:b", "[THINK]"},
        {"a call in it is thinking", "hermes",
         STR_INIT("<think>maybe <tool_call> {\"name\": \"now\"}</think>\n<tool_call>\n{\"name\": "
                  "\"now\", \"arguments\": {}}\n</tool_call>"),
         "R:maybe <tool_call> {\"name\": \"now\"}\nC:now\nA:{}", "<think>"},
        {"a bare call behind it", "llama", STR_INIT("<think>x</think>\n\n{\"name\": \"now\"}"),
         "R:x\nC:now\nA:{}", "<think>"},
    };
    (void)state;
    check_rows(rows, COUNT(rows));
}

/* Tokens are counted where their text goes: thinking with its marks, and the rest. */
static void chat_counts_tokens(void **state)
{
    static const char *const pieces[] = {"<think>", "\n",   "Hm", ".",    "</think>",
                                         "\n\n",    "Four", ".",  "\n\n", "<tool_call>"};
    struct heard h = {.last = CHAT_STARTED};
    struct chat_start start = {0};
    (void)state;
    buf_init(&h.text, OUT_MAX);
    struct chat_parser *p = chat_parser_open(find("hermes"), chat_thinking_of(STR("<think>")), NULL,
                                             &start, "x", hear, &h);
    for (size_t i = 0; i < COUNT(pieces); i++)
        chat_parser_feed(p, str_c(pieces[i]), 1, NULL);
    chat_parser_end(p, CHAT_FINISH_LENGTH);
    assert_int_equal(chat_parser_n_reasoning(p), 5);
    assert_int_equal(h.n_tokens, COUNT(pieces) - 2);
    check_bytes(&h.text, "\nR:Hm.\nT:Four.", "text"); // a call that was cut short is nothing
    chat_parser_free(p);
    buf_free(&h.text);
}

/* What max_tokens or a stop text leaves of a call is no text. */
static void chat_drops_a_call_cut_short(void **state)
{
    static const struct {
        const char *name, *notation, *said, *want;
        enum chat_finish why;
        bool demanded;
    } rows[] = {
        {"inside the markup", "hermes", "So. <tool_call>\n{\"na", "\nT:So.", CHAT_FINISH_LENGTH},
        {"by a stop text", "hermes", "<tool_call>\n{\"na", "", CHAT_FINISH_STOP},
        {"ended by the model: text", "hermes", "<tool_call>\n{\"na", "\nT:<tool_call>\n{\"na",
         CHAT_FINISH_END},
        {"in its arguments", "hermes", "<tool_call>\n{\"name\": \"now\", \"arguments\": {\"a",
         "\nC:now\nA:{\"a", CHAT_FINISH_LENGTH},
        {"no call yet", "hermes", "So <tool_", "\nT:So <tool_", CHAT_FINISH_LENGTH},
        {"no call yet, but one is demanded", "hermes", "<tool_", "", CHAT_FINISH_LENGTH, true},
        {"bare JSON", "llama", "{\"na", "", CHAT_FINISH_LENGTH},
        {"a tag", "qwen3-coder", "<tool_call>\n<func", "", CHAT_FINISH_LENGTH},
        {"a name", "mistral-args", "[TOOL_CALLS]no", "", CHAT_FINISH_LENGTH},
        {"Python", "llama-pythonic", "[no", "", CHAT_FINISH_LENGTH},
        {"a channel", "harmony", "<|channel|>commentary to=functions.now <|constrain|>json<|mess",
         "", CHAT_FINISH_LENGTH},
        {"behind a whole call", "hermes",
         "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>\n<tool_call>\n{",
         "\nC:now\nA:{}", CHAT_FINISH_LENGTH},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t piece = 1; piece < 3; piece++) {
            struct heard h = {.last = CHAT_STARTED};
            struct chat_start start = {0};
            buf_init(&h.text, OUT_MAX);
            struct chat_parser *p =
                chat_parser_open(find(rows[i].notation), NULL, NULL, &start, "x", hear, &h);
            p->demanded = rows[i].demanded;
            str said = str_c(rows[i].said);
            for (size_t at = 0; at < said.n; at += piece)
                chat_parser_feed(p, str_sub(said, at, piece), 1, NULL);
            assert_int_equal(chat_parser_end(p, rows[i].why), rows[i].why);
            check_bytes(&h.text, rows[i].want, rows[i].name);
            chat_parser_free(p);
            buf_free(&h.text);
        }
}

/* With their probabilities, tokens stay with the text they are behind. */
struct listed {
    struct buf out;
};

static void list_tokens(void *arg, const struct chat_event *ev)
{
    struct listed *l = arg;
    buf_printf(&l->out, "%.*s[", STR_ARG(ev->text));
    for (int i = 0; ev->tokens && i < ev->n_tokens; i++)
        buf_printf(&l->out, "%d@%zu ", ev->tokens[i].id, ev->tokens[i].at);
    buf_c(&l->out, "]");
}

static void chat_keeps_tokens_with_their_text(void **state)
{
    static const struct {
        const char *text;
        size_t at;
    } pieces[] = {{"<think>a</think>b ", 0}, {"<tool", 0}, {" c", 0}};
    static struct chat_token tokens[COUNT(pieces) + 1];
    struct listed l = {BUF_INIT(1000)};
    struct chat_start start = {0};
    (void)state;
    struct chat_parser *p = chat_parser_open(find("hermes"), chat_thinking_of(STR("<think>")), NULL,
                                             &start, "x", list_tokens, &l);
    tokens[0] = (struct chat_token){.id = 1};
    tokens[1] = (struct chat_token){.id = 2, .at = 16};
    chat_parser_feed(p, str_c(pieces[0].text), 2, tokens);
    tokens[2] = (struct chat_token){.id = 3};
    chat_parser_feed(p, str_c(pieces[1].text), 1, tokens + 2);
    tokens[3] = (struct chat_token){.id = 4};
    chat_parser_feed(p, str_c(pieces[2].text), 1, tokens + 3);
    chat_parser_end(p, CHAT_FINISH_END);
    check_bytes(&l.out, "a[]b[2@0 ] <tool c[3@1 4@6 ]", "tokens");
    chat_parser_free(p);
    buf_free(&l.out);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(chat_reads_objects),
    cmocka_unit_test(chat_reads_names),
    cmocka_unit_test(chat_reads_tags),
    cmocka_unit_test(chat_reads_python),
    cmocka_unit_test(chat_reads_channels),
    cmocka_unit_test(chat_knows_notations_by_their_templates),
    cmocka_unit_test(chat_reads_thinking),
    cmocka_unit_test(chat_counts_tokens),
    cmocka_unit_test(chat_drops_a_call_cut_short),
    cmocka_unit_test(chat_keeps_tokens_with_their_text),
};
TEST_FILE(tests)
