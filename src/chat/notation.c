/* chat/notation.c - the call notations people's models use, and how a template tells which is its
 * own.
 *
 * Sources: the chat templates that the makers publish with their models; ggml-org/llama.cpp:
 * docs/function-calling.md. */
#include "chat/chat_int.h"

/* Objects with the name inside, between tags.  Hermes 2 and 3, Qwen 2.5 and 3, Granite 4, our own.
 */
static const struct chat_notation hermes = {
    .name = "hermes",
    .needles = {"<tool_call>"},
    .openers = {"<tool_call>"},
    .read = chat_read_objects,
    .name_keys = {"name"},
    .argument_keys = {"arguments", "parameters"},
    .closers = {"</tool_call>"},
    .form = {.opener = "<tool_call>",
             .before = "\n{\"name\": \"",
             .middle = "\", \"arguments\": ",
             .after = "}\n</tool_call>",
             .next = "\n<tool_call>",
             .last = ""},
};

/* Granite 3. */
static const struct chat_notation granite = {
    .name = "granite",
    .needles = {"<|tool_call|>"},
    .without = "<|/tool_call|>",
    .openers = {"<|tool_call|>", "<tool_call>"},
    .read = chat_read_objects,
    .name_keys = {"name"},
    .argument_keys = {"arguments"},
    .form = {.opener = "<|tool_call|>[",
             .before = "{\"name\": \"",
             .middle = "\", \"arguments\": ",
             .after = "}",
             .next = ", ",
             .last = "]"},
};

/* Phi 4 mini. */
static const struct chat_notation phi = {
    .name = "phi",
    .needles = {"<|tool|>", "<|/tool|>"},
    .openers = {"<|tool_call|>"},
    .read = chat_read_objects,
    .name_keys = {"name"},
    .argument_keys = {"arguments", "parameters"},
    .closers = {"<|/tool_call|>"},
    .form = {.opener = "<|tool_call|>[",
             .before = "{\"name\": \"",
             .middle = "\", \"arguments\": ",
             .after = "}",
             .next = ", ",
             .last = "]<|/tool_call|>"},
};

/* Llama 3.1 to 3.3: a bare object. */
static const struct chat_notation llama = {
    .name = "llama",
    .needles = {"<|start_header_id|>", "\"parameters\""},
    .openers = {"<|python_tag|>"},
    .bare = "{",
    .read = chat_read_objects,
    .name_keys = {"name", "function"},
    .argument_keys = {"parameters", "arguments"},
    .separator = ";",
    .form = {.opener = "",
             .before = "{\"name\": \"",
             .middle = "\", \"parameters\": ",
             .after = "}",
             .next = "; ",
             .last = ""},
};

/* Command-R7B and Command A. */
static const struct chat_notation command = {
    .name = "command-r",
    .needles = {"<|START_ACTION|>"},
    .openers = {"<|START_ACTION|>"},
    .read = chat_read_objects,
    .name_keys = {"tool_name", "name"},
    .argument_keys = {"parameters"},
    .closers = {"<|END_ACTION|>"},
    .form = {.opener = "<|START_ACTION|>[",
             .before = "\n    {\"tool_name\": \"",
             .middle = "\", \"parameters\": ",
             .after = "}",
             .next = ",",
             .last = "\n]<|END_ACTION|>"},
};

/* The first Command-R. */
static const struct chat_notation command_old = {
    .name = "command-r-2024",
    .needles = {"Action:", "tool_name"},
    .openers = {"Action:\n```json", "Action: ```json"},
    .read = chat_read_objects,
    .name_keys = {"tool_name", "name"},
    .argument_keys = {"parameters"},
    .closers = {"```"},
    .form = {.opener = "Action:\n```json\n[",
             .before = "\n    {\n        \"tool_name\": \"",
             .middle = "\",\n        \"parameters\": ",
             .after = "\n    }",
             .next = ",",
             .last = "\n]```"},
};

/* Gemma 2 and 3 as their makers' guides prompt them: fenced JSON. */
static const struct chat_notation gemma = {
    .name = "gemma",
    .needles = {"<start_of_turn>", "```json"},
    .openers = {"```json", "```tool_call"},
    .read = chat_read_objects,
    .name_keys = {"name"},
    .argument_keys = {"parameters", "arguments"},
    .closers = {"```"},
    .form = {.opener = "```json",
             .before = "\n{\"name\": \"",
             .middle = "\", \"parameters\": ",
             .after = "}\n```",
             .next = "\n```json",
             .last = ""},
};

/* Mistral: a list of objects until 2024 ... */
static const struct chat_notation mistral = {
    .name = "mistral",
    .needles = {"[TOOL_CALLS]"},
    .without = "[ARGS]",
    .openers = {"[TOOL_CALLS]"},
    .short_ids = true,
    .read = chat_read_named,
    .name_keys = {"name"},
    .argument_keys = {"arguments"},
    .name_ends = {"[CALL_ID]", "[ARGS]", "{"},
    .before_arguments = {"[ARGS]"},
    .form = {.opener = "[TOOL_CALLS][",
             .before = "{\"name\": \"",
             .middle = "\", \"arguments\": ",
             .after = "}",
             .next = ", ",
             .last = "]"},
};

/* ... names with their arguments since. */
static const struct chat_notation mistral_args = {
    .name = "mistral-args",
    .needles = {"[TOOL_CALLS]", "[ARGS]"},
    .openers = {"[TOOL_CALLS]"},
    .short_ids = true,
    .read = chat_read_named,
    .name_keys = {"name"},
    .argument_keys = {"arguments"},
    .name_ends = {"[CALL_ID]", "[ARGS]", "{"},
    .before_arguments = {"[ARGS]"},
    .form = {.opener = "[TOOL_CALLS]",
             .before = "",
             .middle = "[ARGS]",
             .after = "",
             .next = "[TOOL_CALLS]",
             .last = ""},
};

/* Functionary 3.1, and Llama 3.1's own notation for custom tools. */
static const struct chat_notation functionary = {
    .name = "functionary",
    .needles = {"<function="},
    .without = "<parameter=",
    .openers = {"<function="},
    .read = chat_read_named,
    .name_ends = {">"},
    .after_arguments = {"</function>"},
    .form = {.opener = "<function=",
             .before = "",
             .middle = ">",
             .after = "</function>",
             .next = "\n<function=",
             .last = ""},
};

/* DeepSeek V3 and R1 ... */
static const struct chat_notation deepseek = {
    .name = "deepseek",
    .needles = {"<｜tool▁calls▁begin｜>", "```json"},
    .openers = {"<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>"},
    .read = chat_read_named,
    .before_name = {"<｜tool▁call▁begin｜>", "function<｜tool▁sep｜>"},
    .name_ends = {"\n", "<｜tool▁sep｜>"},
    .before_arguments = {"```json"},
    .after_arguments = {"```", "<｜tool▁call▁end｜>"},
    .again = "<｜tool▁call▁begin｜>",
    .closers = {"<｜tool▁calls▁end｜>"},
    .form = {.opener = "<｜tool▁calls▁begin｜>",
             .before = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
             .middle = "\n```json\n",
             .after = "\n```<｜tool▁call▁end｜>",
             .next = "\n",
             .last = "<｜tool▁calls▁end｜>"},
};

/* ... and V3.1. */
static const struct chat_notation deepseek31 = {
    .name = "deepseek-3.1",
    .needles = {"<｜tool▁calls▁begin｜>"},
    .openers = {"<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>"},
    .read = chat_read_named,
    .before_name = {"<｜tool▁call▁begin｜>", "function<｜tool▁sep｜>"},
    .name_ends = {"<｜tool▁sep｜>"},
    .before_arguments = {"```json"},
    .after_arguments = {"```", "<｜tool▁call▁end｜>"},
    .again = "<｜tool▁call▁begin｜>",
    .closers = {"<｜tool▁calls▁end｜>"},
    .form = {.opener = "<｜tool▁calls▁begin｜>",
             .before = "<｜tool▁call▁begin｜>",
             .middle = "<｜tool▁sep｜>",
             .after = "<｜tool▁call▁end｜>",
             .next = "",
             .last = "<｜tool▁calls▁end｜>"},
};

/* Qwen3-Coder. */
static const struct chat_notation xml = {
    .name = "qwen3-coder",
    .needles = {"<function=", "<parameter="},
    .openers = {"<tool_call>", "<function="},
    .read = chat_read_xml,
    .closers = {"</tool_call>"},
    .arguments = chat_gram_xml,
    .form = {.opener = "<tool_call>",
             .before = "\n<function=",
             .middle = ">\n",
             .after = "</function>\n</tool_call>",
             .next = "\n<tool_call>",
             .last = ""},
};

/* LFM2. */
static const struct chat_notation lfm2 = {
    .name = "lfm2",
    .needles = {"<|tool_list_start|>"},
    .openers = {"<|tool_call_start|>"},
    .read = chat_read_python,
    .closers = {"<|tool_call_end|>"},
    .arguments = chat_gram_python,
    .form = {.opener = "<|tool_call_start|>[",
             .before = "",
             .middle = "(",
             .after = ")",
             .next = ", ",
             .last = "]<|tool_call_end|>"},
};

/* Llama 3.2 and 4 as their makers prompt them. */
static const struct chat_notation llama_python = {
    .name = "llama-pythonic",
    .needles = {"[func_name1("},
    .openers = {"<|python_start|>", "<|python_tag|>"},
    .bare = "[",
    .read = chat_read_python,
    .closers = {"<|python_end|>"},
    .arguments = chat_gram_python,
    .form = {.opener = "[", .before = "", .middle = "(", .after = ")", .next = ", ", .last = "]"},
};

/* Gemma in fenced Python. */
static const struct chat_notation gemma_code = {
    .name = "gemma-tool-code",
    .needles = {"tool_code"},
    .openers = {"```tool_code"},
    .read = chat_read_python,
    .closers = {"```"},
    .arguments = chat_gram_python,
    .form = {.opener = "```tool_code\n",
             .before = "",
             .middle = "(",
             .after = ")",
             .next = "\n",
             .last = "\n```"},
};

/* GPT-OSS. */
static const struct chat_thinking analysis = {"<|channel|>analysis<|message|>",
                                              "<|end|><|start|>assistant"};
static const struct chat_notation harmony = {
    .name = "harmony",
    .needles = {"<|channel|>", "<|message|>"},
    .channels = true,
    .read = chat_read_harmony,
    .closers = {"<|call|>", "<|return|>", "<|end|>", "<|start|>"},
    .thinking = &analysis,
    .form = {.opener = "<|channel|>commentary to=functions.",
             .before = "",
             .middle = " <|constrain|>json<|message|>",
             .after = "",
             .last = "",
             .answer = "<|channel|>final<|message|>"},
};

/* Functionary 3.2. */
static const struct chat_notation recipients = {
    .name = "functionary-3.2",
    .needles = {">>>", "all\n"},
    .openers = {">>>"},
    .channels = true,
    .read = chat_read_recipients,
    .form = {.opener = "",
             .before = "",
             .middle = "\n",
             .after = "",
             .next = "\n>>>",
             .last = "",
             .answer = "all\n"},
};

/* The first that claims a template wins. */
const struct chat_notation *const chat_notations[] = {
    &harmony,     &deepseek,    &deepseek31,   &mistral_args, &mistral,    &xml,
    &functionary, &command,     &phi,          &granite,      &lfm2,       &hermes,
    &recipients,  &command_old, &llama_python, &llama,        &gemma_code, &gemma,
};
const size_t chat_n_notations = COUNT(chat_notations);

const struct chat_notation *chat_notation_of(str source)
{
    for (size_t i = 0; i < COUNT(chat_notations); i++) {
        const struct chat_notation *f = chat_notations[i];
        bool ours = !f->without || str_find(source, str_c(f->without)) < 0;
        for (size_t k = 0; ours && k < FORMAT_STRINGS && f->needles[k]; k++)
            ours = str_find(source, str_c(f->needles[k])) >= 0;
        if (ours)
            return f;
    }
    return NULL;
}

static const struct chat_thinking pairs[] = {
    {"<think>", "</think>"},
    {"[THINK]", "[/THINK]"},
    {"<|START_THINKING|>", "<|END_THINKING|>"},
    {"<reasoning>", "</reasoning>"},
    {"<seed:think>", "</seed:think>"},
    {"<thinking>", "</thinking>"},
    {"<thought>", "</thought>"},
};

const struct chat_thinking *chat_thinking_of(str source)
{
    for (size_t i = 0; i < COUNT(pairs); i++)
        if (str_find(source, str_c(pairs[i].open)) >= 0 ||
            str_find(source, str_c(pairs[i].close)) >= 0)
            return &pairs[i];
    return NULL;
}
