/* dialect/logprobs_test.c - tokens and their log-probabilities on the wires that have them. */
#include "dialect/golden.h"
#include "dialect/logprobs.h"
#include "dialect/friendli.h"
#include "dialect/ollama.h"

static const struct chat_alternative hi[] = {{5, -0.25f, STR_INIT("Hi")},
                                             {6, -2, STR_INIT("\xc3")}};
static const struct chat_alternative two[] = {{7, -1, STR_INIT("\xc3")}, {8, -1.5f, STR_INIT("x")}};
/* "Hi" and e acute in two tokens, a hidden one before them. */
static const struct chat_token tokens[] = {
    {.id = 5, .at = 0, .bytes = STR_INIT("Hi"), .logprob = -0.25f, .top = hi, .n_top = 2},
    {.id = 3, .at = 0},
    {.id = 7, .at = 0, .bytes = STR_INIT("\xc3"), .logprob = -1, .top = two, .n_top = 2},
    {.id = 9, .at = 0, .bytes = STR_INIT("\xa9"), .logprob = -9999},
};
static const struct chat_event events[] = {
    {.what = CHAT_STARTED},
    {.what = CHAT_TEXT, .n_tokens = 1, .tokens = tokens, .text = STR_INIT("Hi")},
    {.what = CHAT_TEXT, .n_tokens = 3, .tokens = tokens + 1, .text = STR_INIT("\xc3\xa9")},
    {.what = CHAT_FINISHED, .n_tokens = 4, .finish = CHAT_FINISH_LENGTH},
};

static void encode(const struct wire *w, bool wanted, struct buf *out)
{
    struct chat_request r = {.want_logprobs = wanted, .top_logprobs = 2, .want_tokens = true};
    struct talk_facts f = {
        .id = "i", .model = "m", .fingerprint = "fp", .n_choices = 1, .request = &r};
    void *state = calloc(1, w->state_size + 1);
    buf_init(out, 100000);
    for (size_t i = 0; i < COUNT(events); i++)
        w->event(&f, state, &events[i], out);
    if (w->state_fini)
        w->state_fini(state);
    free(state);
}

#define HI_ENTRY                                                                                   \
    "{\"token\":\"Hi\",\"logprob\":-0.25,\"bytes\":[72,105],\"top_logprobs\":[{\"token\":\"Hi\","  \
    "\"logprob\":-0.25,\"bytes\":[72,105]},{\"token\":\"\xef\xbf\xbd\",\"logprob\":-2,\"bytes\":"  \
    "[195]}]}"
#define E_ENTRIES                                                                                  \
    "{\"token\":\"\xef\xbf\xbd\",\"logprob\":-1,\"bytes\":[195],\"top_logprobs\":[{\"token\":"     \
    "\"\xef\xbf\xbd\",\"logprob\":-1,\"bytes\":[195]},{\"token\":\"x\",\"logprob\":-1.5,"          \
    "\"bytes\":[120]}]},{\"token\":\"\xef\xbf\xbd\",\"logprob\":-9999,\"bytes\":[169],"            \
    "\"top_logprobs\":[]}"

static void dialect_logprobs_stand_with_their_text(void **state)
{
    static const struct {
        const char *name;
        const struct wire *wire;
        const char *want[4]; // each stands in the stream, in this order
    } rows[] = {
        {"openai chat",
         &openai_chat_wire,
         {"\"content\":\"\"},\"logprobs\":null,",
          "{\"content\":\"Hi\"},\"logprobs\":{\"content\":[" HI_ENTRY "],\"refusal\":null},",
          "\"logprobs\":{\"content\":[" E_ENTRIES "],\"refusal\":null},",
          "\"delta\":{},\"logprobs\":null,"}},
        {"openai completion",
         &openai_completion_wire,
         {"\"text\":\"Hi\",\"logprobs\":{\"tokens\":[\"Hi\"],\"token_logprobs\":[-0.25],"
          "\"top_logprobs\":[{\"Hi\":-0.25,\"\xef\xbf\xbd\":-2}],\"text_offset\":[0]},",
          "\"tokens\":[\"\xef\xbf\xbd\",\"\xef\xbf\xbd\"],\"token_logprobs\":[-1,-9999],",
          "\"text_offset\":[2,2]}",
          "\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"length\""}},
        {"friendli chat",
         &friendli_chat_wire,
         {"\"logprobs\":{\"content\":[" HI_ENTRY "]}}",
          "\"logprobs\":{\"content\":[" E_ENTRIES "]}}",
          "\"finish_reason\":\"length\",\"logprobs\":null", ""}},
        {"friendli completion",
         &friendli_completion_wire,
         {"\"text\":\"Hi\",\"token\":5,\"tokens\":[5],\"finish_reason\":null,\"logprobs\":{",
          "\"token\":9,\"tokens\":[3,7,9],", "\"text_offset\":[2,2]}",
          "\"logprobs\":null,\"seed\""}},
        {"ollama chat",
         &ollama_chat_wire,
         {"\"content\":\"Hi\"},\"logprobs\":[" HI_ENTRY "],", "\"logprobs\":[" E_ENTRIES "],", "",
          ""}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out;
        encode(rows[i].wire, true, &out);
        str rest = buf_as_str(&out);
        for (size_t k = 0; k < 4; k++) {
            ptrdiff_t at = str_find(rest, str_c(rows[i].want[k]));
            if (at < 0)
                fail_msg("%s: part %zu is not in %.*s", rows[i].name, k, STR_ARG(rest));
            rest = str_sub(rest, (size_t)at, rest.n);
        }
        buf_free(&out);
        encode(rows[i].wire, false, &out); // not asked for: not told
        assert_true(str_find(buf_as_str(&out), STR("-0.25")) < 0);
        buf_free(&out);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(dialect_logprobs_stand_with_their_text),
};
TEST_FILE(tests)
