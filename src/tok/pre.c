/* tok/pre.c - the pre-tokenizers by the name that a file gives them.
 *
 * An expression is written with classes of characters: @L letters, @N numbers, @P punctuation,
 * @M marks, @S symbols (inside brackets).  Repetitions behind which nothing can fail are
 * possessive, so that no text makes them go back over it.
 * Source: the vocabularies' tokenizer.json; which name goes with which: ggml-org/llama.cpp:
 * src/llama-vocab.cpp. */
#include "tok/pre_tab.h"

#define CONTRACTION     "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define CONTRACTION_LOW "'s|'t|'re|'ve|'m|'ll|'d"
#define BLANKS          "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define WORD            "[^\\r\\n@L@N]?[@L]++"
#define OTHERS          " ?[^\\s@L@N]++[\\r\\n]*+"
#define GPT2            CONTRACTION_LOW "| ?[@L]++| ?[@N]++| ?[^\\s@L@N]++|\\s+(?!\\S)|\\s+"
#define ASCII_MARK      "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]"
#define DEEPSEEK_V3     ASCII_MARK "[A-Za-z]++|[^\\r\\n@L@P@S]?[@L@M]++| ?[@P@S]++[\\r\\n]*+|" BLANKS
/* Upper case before lower case; letters without case (one class here) count as both. */
#define UPPER "[A-Z\\xd2]"
#define LOWER "[a-z\\xd2]"
#define CASED(behind)                                                                              \
    "[^\\r\\n@L@N]?" UPPER "*" LOWER "++" behind "|[^\\r\\n@L@N]?" UPPER "++" LOWER "*+" behind

#define STAGES(name) static const struct tok_stage name[]
#define RE(text)                                                                                   \
    {                                                                                              \
        .op = TOK_OP_RE, .re = text                                                                \
    }
#define END                                                                                        \
    {                                                                                              \
        .op = TOK_OP_END                                                                           \
    }

STAGES(gpt2) = {RE(GPT2), END};
STAGES(llama3) = {RE(CONTRACTION "|" WORD "|[@N]{1,3}+|" OTHERS "|" BLANKS), END};
STAGES(qwen2) = {RE(CONTRACTION "|" WORD "|[@N]|" OTHERS "|" BLANKS), END};
STAGES(qwen35) = {RE(CONTRACTION "|[^\\r\\n@L@N]?[@L@M]++|[@N]| ?[^\\s@L@M@N]++[\\r\\n]*+|" BLANKS),
                  END};
STAGES(deepseek_llm) = {
    RE("[\\r\\n]"),
    {.op = TOK_OP_RUNS, .sets = &tok_set_cased_letters, .n_sets = 1, .lead = TOK_LEAD_WS},
    {.op = TOK_OP_RUNS, .sets = &tok_set_deepseek_marks, .n_sets = 1, .lead = TOK_LEAD_WS},
    {.op = TOK_OP_TRAIL_WS},
    {.op = TOK_OP_RUNS, .sets = &tok_set_deepseek_cjk, .n_sets = 1},
    RE("[@N]++"),
    END};
STAGES(deepseek_coder) = {
    RE("[\\r\\n]"),   RE("\\s?[@L]++"),
    RE("\\s?[@P]++"), {.op = TOK_OP_RUNS, .sets = &tok_set_deepseek_cjk, .n_sets = 1},
    RE("[@N]"),       END,
};
STAGES(deepseek_v3) = {
    RE("[@N]{1,3}+"),
    {.op = TOK_OP_RUNS, .sets = &tok_set_kana_cjk, .n_sets = 1},
    RE(DEEPSEEK_V3),
    END,
};
STAGES(youtu) = {
    {.op = TOK_OP_RUNS, .sets = tok_sets_youtu, .n_sets = 4},
    RE("[^\\r\\n@L@N]?[@L@M]++" CONTRACTION "?+|[@N]| ?[^\\s@L@N]++[\\r\\n/]*+|" BLANKS),
    END,
};
STAGES(falcon) = {RE("[@P$+<=>^~|`]++"), RE(GPT2), RE("[0-9][0-9][0-9]"), END};
STAGES(starcoder) = {RE("[@N]"), RE(GPT2), END};
STAGES(bloom) = {
    {.op = TOK_OP_RUNS, .sets = &tok_set_bloom_stops, .n_sets = 1, .lead = TOK_LEAD_BLANK}, END};
STAGES(viking) = {
    {.op = TOK_OP_RUNS, .sets = &tok_set_bloom_stops, .n_sets = 1, .lead = TOK_LEAD_BLANK},
    RE("[@N]"),
    END};
STAGES(tekken) = {RE(CASED("") "|[@N]| ?[^\\s@L@N]++[\\r\\n/]*+|" BLANKS), END};
STAGES(gpt4o) = {
    RE(CASED(CONTRACTION "?+") "|[@N]{1,3}+| ?[^\\s@L@N]++[\\r\\n/]*+|" BLANKS),
    END,
};
STAGES(tiny_aya) = {
    {.op = TOK_OP_DIGITS3},
    RE("[^\\r\\n@L@N]?[@L@M]++" CONTRACTION "?+|[@N]{1,3}+| ?[^\\s@L@N]++[\\r\\n/]*+|" BLANKS),
    END,
};
STAGES(bailing) = {RE("'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|" WORD "|[@N]|" OTHERS
                      "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"),
                   END};
STAGES(seed_coder) = {
    RE(CONTRACTION "|" WORD "|[@N]| ?[^\\s@L@N\\r\\n]++|" BLANKS),
    END,
};
STAGES(afmoe) = {
    {.op = TOK_OP_DIGITS3},
    {.op = TOK_OP_RUNS, .sets = &tok_set_afmoe_asian, .n_sets = 1},
    RE(DEEPSEEK_V3),
    END,
};
STAGES(laguna) = {
    {.op = TOK_OP_LINES},
    RE(CONTRACTION "|" WORD "|[@N]|" OTHERS "|" BLANKS),
    END,
};
STAGES(minicpm5) = {
    RE("[@N]{1,3}+"),
    RE(CONTRACTION "|" WORD "|[@N]++|" OTHERS "|" BLANKS),
    END,
};
STAGES(lines) = {{.op = TOK_OP_LINES}, END};
STAGES(unnamed) = {RE("[@P$+<=>^~|]++"), RE(GPT2), RE("[@N]++"), RE("[0-9][0-9][0-9]"), END};

#define MERGES .ignore_merges = true
#define BOS    .add_bos = true
#define NFC    .nfc = true

static const struct tok_pre pres[] = {
    {"default", unnamed},
    {"a.x-4.0", gpt2},
    {"afmoe", afmoe},
    {"bailingmoe", bailing},
    {"bailingmoe2", bailing},
    {"bloom", bloom},
    {"chatglm-bpe", llama3},
    {"codeshell", starcoder},
    {"cohere2moe", tiny_aya},
    {"command-r", starcoder, NFC},
    {"dbrx", llama3},
    {"deepseek-coder", deepseek_coder},
    {"deepseek-llm", deepseek_llm},
    {"deepseek-r1-qwen", qwen2},
    {"deepseek-v3", deepseek_v3},
    {"exaone", starcoder},
    {"exaone4", gpt2},
    {"f2llmv2", qwen2},
    {"falcon", falcon},
    {"falcon-h1", llama3, MERGES, BOS},
    {"falcon3", llama3, MERGES, BOS},
    {"gemma4", lines, BOS, .raw = true},
    {"gigachat", gpt2},
    {"glm4", llama3},
    {"gpt-2", gpt2},
    {"gpt-4o", gpt4o},
    {"gpt3-finnish", bloom},
    {"granite-docling", gpt2},
    {"grok-2", qwen2},
    {"hunyuan", qwen2},
    {"hunyuan-dense", deepseek_v3},
    {"jais", gpt2},
    {"joyai-llm", deepseek_v3},
    {"kanana2", gpt4o},
    {"kormo", qwen2},
    {"laguna", laguna},
    {"lfm2", llama3, MERGES, BOS},
    {"llada-moe", bailing},
    {"llama-bpe", llama3, MERGES, BOS},
    {"llama-v3", llama3, MERGES, BOS},
    {"llama3", llama3, MERGES, BOS},
    {"llama4", gpt4o},
    {"megrez", qwen2},
    {"mellum", gpt2},
    {"mellum2", starcoder},
    {"midm-2.0", llama3, MERGES, BOS},
    {"minerva-7b", starcoder},
    {"minicpm5", minicpm5, MERGES},
    {"minimax-m2", gpt4o},
    {"mpt", gpt2, NFC},
    {"olmo", gpt2, NFC},
    {"phi-2", gpt2},
    {"pixtral", llama3, MERGES, BOS},
    {"poro-chat", bloom},
    {"qwen2", qwen2, NFC},
    {"qwen35", qwen35, NFC},
    {"refact", starcoder},
    {"sarvam-moe", lines, .raw = true},
    {"seed-coder", seed_coder},
    {"smaug-bpe", llama3},
    {"smollm", starcoder},
    {"solar-open", qwen2},
    {"stablelm2", qwen2},
    {"starcoder", starcoder},
    {"talkie", gpt4o},
    {"tekken", tekken, MERGES, BOS},
    {"tiny_aya", tiny_aya},
    {"trillion", gpt2},
    {"viking", viking},
    {"youtu", youtu, MERGES},
};

const struct tok_pre *tok_pre_find(str name)
{
    for (size_t i = 0; i < COUNT(pres); i++)
        if (str_eqc(name, pres[i].name))
            return &pres[i];
    return NULL;
}
