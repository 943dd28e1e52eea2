/* tok/attr.c - what tokens are, judged by their names: files are often wrong or silent about it.
 *
 * Source: ggml-org/llama.cpp: src/llama-vocab.cpp (which names end a generation, which are control
 * tokens whatever the file says). */
#include "tok/tok_int.h"

/* End a generation. */
static const char *const eog_names[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
};

/* Fill-in-the-middle: control tokens; those that pad, part repositories or files also end a
 * generation (the first name found of each kind). */
static const struct {
    const char *key; // tokenizer.ggml.KEY
    bool ends;
    const char *names[9];
} fim[] = {
    {"fim_pre_token_id",
     false,
     {"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>",
      "<|code_prefix|>", "<|prefix|>"}},
    {"fim_suf_token_id",
     false,
     {"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>",
      "<|code_suffix|>", "<|suffix|>"}},
    {"fim_mid_token_id",
     false,
     {"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>",
      "<|code_middle|>", "<|middle|>"}},
    {"fim_pad_token_id", true, {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"}},
    {"fim_rep_token_id",
     true,
     {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}},
    {"fim_sep_token_id", true, {"<|file_sep|>"}},
};

/* Names of the form <|x|>, <|x>, <x|> (also with full-width bars) are control tokens, even where
 * the file calls them user-defined: nobody may type them into a conversation. */
static bool looks_like_control(str name)
{
    static const str wide = STR_INIT("\xef\xbd\x9c");
    if (name.n < 4 || name.p[0] != '<' || name.p[name.n - 1] != '>')
        return false;
    str in = str_sub(name, 1, name.n - 2);
    return in.p[0] == '|' || in.p[in.n - 1] == '|' || str_starts(in, wide) || str_ends(in, wide);
}

static void set_control(struct tok *t, int32_t id)
{
    t->attr[id] = (uint8_t)((t->attr[id] & ~(TOK_USER | TOK_NORMAL)) | TOK_CONTROL);
}

/* The id under tokenizer.ggml.KEY, or -1. */
static int32_t id_of_key(const struct tok *t, const struct gguf *g, const char *key)
{
    char name[64];
    uint32_t id;
    snprintf(name, sizeof name, "tokenizer.ggml.%s", key);
    return gguf_u32(g, name, &id) && id < (uint32_t)t->n ? (int32_t)id : -1;
}

static void mark_eog(struct tok *t, int32_t id)
{
    if (id >= 0)
        t->attr[id] |= TOK_EOG;
}

static void fix_fim(struct tok *t, const struct gguf *g)
{
    for (size_t i = 0; i < COUNT(fim); i++) {
        int32_t found = id_of_key(t, g, fim[i].key);
        for (size_t k = 0; k < COUNT(fim[i].names) && fim[i].names[k]; k++) {
            int32_t id = tok_find(t, str_c(fim[i].names[k]));
            if (id < 0)
                continue;
            set_control(t, id);
            if (found < 0)
                found = id;
        }
        if (fim[i].ends)
            mark_eog(t, found);
    }
}

static bool ends(const struct tok *t, const char *name)
{
    int32_t id = tok_find(t, str_c(name));
    return id >= 0 && (t->attr[id] & TOK_EOG);
}

/* Vocabularies in which a name of the list does not end a generation after all. */
static void fix_exceptions(struct tok *t)
{
    bool call = ends(t, "<|call|>") || ends(t, "<|calls|>");
    if (call && ends(t, "<|end|>") && (ends(t, "<|return|>") || ends(t, "<|flush|>")))
        t->attr[tok_find(t, STR("<|end|>"))] &= (uint8_t)~TOK_EOG;
    if (ends(t, "<|tool_response>") && ends(t, "</s>"))
        t->attr[tok_find(t, STR("</s>"))] = TOK_NORMAL;
}

static bool name_has(const struct gguf *g, const char *part)
{
    str name;
    if (!gguf_str(g, "general.name", &name))
        return false;
    size_t n = strlen(part);
    for (size_t i = 0; i + n <= name.n; i++)
        if (str_eq_nocase(str_sub(name, i, n), str_c(part)))
            return true;
    return false;
}

/* Phi-3's special tokens swallow the white space behind them, but for three. */
static void fix_phi3(struct tok *t, const struct gguf *g)
{
    if (!name_has(g, "phi-3") && !name_has(g, "phi3"))
        return;
    for (int i = 0; i < t->n; i++)
        if (t->attr[i] & (TOK_CONTROL | TOK_USER | TOK_UNKNOWN))
            t->attr[i] |= TOK_RSTRIP;
    static const char *const not_these[] = {"<unk>", "<s>", "<|endoftext|>"};
    for (size_t i = 0; i < COUNT(not_these); i++) {
        int32_t id = tok_find(t, str_c(not_these[i]));
        if (id >= 0)
            t->attr[id] &= (uint8_t)~TOK_RSTRIP;
    }
}

void tok_fix_attrs(struct tok *t, const struct gguf *g)
{
    for (int i = 0; i < t->n; i++)
        if ((t->attr[i] & TOK_USER) && looks_like_control(t->name[i]))
            set_control(t, i);
    fix_fim(t, g);
    for (size_t i = 0; i < COUNT(eog_names); i++) {
        int32_t id = tok_find(t, str_c(eog_names[i]));
        if (id >= 0) {
            set_control(t, id);
            mark_eog(t, id);
        }
    }
    mark_eog(t, t->eos);
    mark_eog(t, id_of_key(t, g, "eot_token_id"));
    mark_eog(t, id_of_key(t, g, "eom_token_id"));
    fix_exceptions(t);
    fix_phi3(t, g);
}
