/* chat/template.c - see template.h.
 *
 * The template sees what transformers' apply_chat_template gives it: messages, tools (or none),
 * documents (none), add_generation_prompt, bos_token and its kin, and the caller's own arguments.
 */
#include "chat/chat_int.h"

#include "base/clock.h"
#include "base/mem.h"
#include "json/json.h"

#define TEXT_MAX   ((size_t)64 << 20)
#define EXTRA_VARS 64

/* What a model without a template gets: ChatML, with tools in the notation of Hermes. */
static const char chatml[] =
    "{%- set first = messages[0] if messages else {} -%}\n"
    "{%- if tools -%}\n"
    "{{- '<|im_start|>system\\n' -}}\n"
    "{%- if first.role == 'system' -%}{{- first.content + '\\n\\n' -}}{%- endif -%}\n"
    "{{- 'Tools:\\n<tools>' -}}\n"
    "{%- for tool in tools -%}{{- '\\n' + tool.function | tojson -}}{%- endfor -%}\n"
    "{{- '\\n</tools>\\nTo call one, write <tool_call>\\n{\"name\": its name, \"arguments\": an "
    "object}\\n</tool_call><|im_end|>\\n' -}}\n"
    "{%- endif -%}\n"
    "{%- for message in messages -%}\n"
    "{%- if message.role == 'system' and loop.first and tools -%}\n"
    "{%- elif message.role == 'tool' -%}\n"
    "{{- '<|im_start|>user\\n<tool_response>\\n' + message.content + "
    "'\\n</tool_response><|im_end|>\\n' -}}\n"
    "{%- else -%}\n"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] -}}\n"
    "{%- for call in message.tool_calls or [] -%}\n"
    "{{- '\\n' if message.content or not loop.first -}}\n"
    "{{- '<tool_call>\\n{\"name\": \"' + call.function.name + '\", \"arguments\": ' -}}\n"
    "{{- call.function.arguments | tojson -}}{{- '}\\n</tool_call>' -}}\n"
    "{%- endfor -%}\n"
    "{{- '<|im_end|>\\n' -}}\n"
    "{%- endif -%}\n"
    "{%- endfor -%}\n"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}\n";

struct chat_template {
    const struct tok *tok;
    struct jinja *jinja;
    char *source;
    bool own;
    bool plain_tools;    // it knows no tools
    bool text_arguments; // it wants the arguments of calls as JSON text
    bool opens_thinking; // the prompt does that when it is asked for
    json_t *bos, *eos;   // strings
    const struct chat_notation *format;
    const struct chat_thinking *thinking;
    int32_t *visible; // [n_visible]: control tokens that are marks
    size_t n_visible;
};

static json_t *token_text(const struct tok *tok, int32_t id)
{
    str name = id >= 0 ? tok_name(tok, id) : STR("");
    json_t *v = json_stringn(name.p ? name.p : "", name.n);
    return v ? v : json_string("");
}

static void add_strings(struct buf *all, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n && list[i]; i++) {
        buf_c(all, list[i]);
        buf_char(all, '\n');
    }
}

/* The control tokens that occur in what answers are searched for. */
static void find_visible(struct chat_template *t)
{
    struct buf all = BUF_INIT(65536);
    const struct chat_notation *f = t->format;
    if (t->thinking)
        add_strings(&all, (const char *const[]){t->thinking->open, t->thinking->close}, 2);
    if (f) {
        const char *const singles[] = {f->again ? f->again : "",
                                       f->form.opener,
                                       f->form.before,
                                       f->form.middle,
                                       f->form.after,
                                       f->form.next,
                                       f->form.last};
        add_strings(&all, singles, COUNT(singles));
        add_strings(&all, f->openers, FORMAT_STRINGS);
        add_strings(&all, f->closers, FORMAT_STRINGS);
        add_strings(&all, f->before_name, FORMAT_STRINGS);
        add_strings(&all, f->name_ends, FORMAT_STRINGS);
        add_strings(&all, f->before_arguments, FORMAT_STRINGS);
        add_strings(&all, f->after_arguments, FORMAT_STRINGS);
    }
    for (int32_t id = 0; all.n > 0 && id < tok_n_vocab(t->tok); id++) {
        str name = tok_is_control(t->tok, id) ? tok_name(t->tok, id) : STR("");
        if (name.n < 3 || str_find(buf_as_str(&all), name) < 0)
            continue;
        t->visible = mem_realloc(t->visible, (t->n_visible + 1) * sizeof *t->visible);
        t->visible[t->n_visible++] = id;
    }
    buf_free(&all);
}

void chat_template_close(struct chat_template *t)
{
    if (!t)
        return;
    jinja_free(t->jinja);
    json_decref(t->bos);
    json_decref(t->eos);
    mem_free(t->source);
    mem_free(t->visible);
    mem_free(t);
}

const struct chat_notation *chat_template_notation(const struct chat_template *t)
{
    return t->format;
}

const struct chat_thinking *chat_template_thinking(const struct chat_template *t)
{
    return t->thinking;
}

const struct tok *chat_template_tok(const struct chat_template *t)
{
    return t->tok;
}

bool chat_takes_tools(const struct chat_template *t)
{
    return !t->plain_tools;
}

bool chat_template_thinks_unasked(const struct chat_template *t)
{
    return t->thinking && !t->opens_thinking;
}

const char *chat_notation_name(const struct chat_template *t)
{
    return t->format ? t->format->name : "";
}

const char *chat_thinking_name(const struct chat_template *t)
{
    return t->thinking ? t->thinking->open : "";
}

size_t chat_visible_tokens(const struct chat_template *t, const int32_t **ids)
{
    *ids = t->visible;
    return t->n_visible;
}

bool chat_template_is_own(const struct chat_template *t)
{
    return t->own;
}

str chat_template_source(const struct chat_template *t)
{
    return str_c(t->source);
}

bool chat_template_mentions(const struct chat_template *t, const char *name)
{
    return jinja_mentions(t->jinja, str_c(name));
}

/* Does this argument's name belong to the server? */
static bool is_reserved(const char *name)
{
    static const char *const names[] = {
        "messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool add_args(json_t *args, struct jinja_var *vars, size_t *n, struct err *e)
{
    const char *name;
    json_t *value;
    json_object_foreach(args, name, value)
    {
        if (is_reserved(name))
            return err_set_at(e, ERR_INPUT, "chat_template_kwargs",
                              "the template argument '%s' is set by the server and cannot be given",
                              name);
        if (*n == EXTRA_VARS)
            return err_set_at(e, ERR_LIMIT, "chat_template_kwargs",
                              "more than %d template arguments", EXTRA_VARS - 6);
        vars[(*n)++] = (struct jinja_var){name, value, false};
    }
    return true;
}

static const char MARK[] =
    "\x01\x02confab:continue\x02\x01"; // stands for the answer to be continued

/* The messages with the last one's content replaced by MARK, to find where its turn is left open.
 */
static json_t *with_marked_last(const json_t *messages)
{
    json_t *copy = json_copy((json_t *)messages);
    size_t n = json_array_size(copy);
    json_t *last = n ? json_copy(json_array_get(copy, n - 1)) : NULL;
    if (last) {
        json_object_set_new(last, "content", json_string(MARK));
        json_array_set_new(copy, n - 1, last);
    }
    return copy;
}

static bool render(const struct chat_template *t, const struct chat_request *r,
                   const json_t *messages, struct jinja_out *out, struct err *e)
{
    struct jinja_var vars[EXTRA_VARS];
    size_t n = 0;
    json_t *none = json_null();
    json_t *plain = NULL;
    bool ok = false, short_ids = t->format && t->format->short_ids;
    if (t->plain_tools)
        plain = chat_plain_tools(messages, r->tools);
    else if (t->text_arguments || short_ids)
        plain = chat_adapt_history(messages, t->text_arguments, short_ids);
    if (plain)
        messages = plain;
    vars[n++] = (struct jinja_var){"messages", messages, false};
    vars[n++] = (struct jinja_var){"tools", r->tools ? r->tools : none, false};
    vars[n++] = (struct jinja_var){"documents", none, false};
    vars[n++] = (struct jinja_var){
        "add_generation_prompt",
        r->add_generation_prompt && !r->continue_final ? json_true() : json_false(), true};
    vars[n++] = (struct jinja_var){"bos_token", t->bos, true};
    vars[n++] = (struct jinja_var){"eos_token", t->eos, true};
    if (!add_args(r->template_args, vars, &n, e))
        goto done;
    ok = jinja_render(t->jinja, vars, n, clock_unix_ms() / 1000, jinja_limits_default(), out, e);
    if (!ok) {
        if (e->where[0])
            err_ctx(e, "the model's chat template, line %s", e->where);
        snprintf(e->where, sizeof e->where, "messages");
        err_kind(e, "template_failed");
    }
done:
    json_decref(plain);
    return ok;
}

/* Cuts out right behind the last answer, so that its turn stays open. */
static bool render_open(const struct chat_template *t, const struct chat_request *r,
                        struct jinja_out *out, struct err *e)
{
    json_t *marked = with_marked_last(r->messages);
    bool ok = render(t, r, marked, out, e);
    json_decref(marked);
    if (!ok)
        return false;
    ptrdiff_t at = str_find(buf_as_str(&out->text), str_c(MARK));
    size_t n_messages = json_array_size(r->messages);
    json_t *content = json_object_get(json_array_get(r->messages, n_messages - 1), "content");
    if (at < 0)
        return err_set_at(e, ERR_INPUT, "messages",
                          "this model's chat template cannot continue the last message");
    // Keep the runs before the mark, put the real content there as a run of its own.
    size_t keep = 0;
    while (keep < out->n_runs && out->runs[keep].from + out->runs[keep].n <= (size_t)at)
        keep++;
    if (keep < out->n_runs) {
        out->runs[keep].n = (size_t)json_string_length(content);
        out->runs[keep].trusted = false;
        out->runs[keep].from = (size_t)at;
        out->n_runs = keep + 1;
    }
    out->text.n = (size_t)at;
    if (!buf_put(&out->text, json_string_value(content), json_string_length(content)))
        return err_set(e, ERR_LIMIT, "the conversation is longer than %zu bytes", out->text.max);
    return true;
}

bool chat_render(const struct chat_template *t, const struct chat_request *r, struct jinja_out *out,
                 struct err *e)
{
    return r->continue_final ? render_open(t, r, out, e) : render(t, r, r->messages, out, e);
}

static ptrdiff_t find_last(str text, const char *needle)
{
    ptrdiff_t found = -1, at;
    for (size_t from = 0; (at = str_find(str_from(text, from), str_c(needle))) >= 0;
         from = (size_t)found + 1)
        found = (ptrdiff_t)from + at;
    return found;
}

/* What the template wrote behind the last words of a user, or all that the answer has so far, says
 * whether the model is thinking. */
static struct chat_start start_of(const struct chat_template *t, const struct chat_request *r,
                                  const struct jinja_out *out)
{
    struct chat_start start = {0};
    str text = buf_as_str(&out->text);
    size_t n = out->n_runs;
    if (!t->thinking || n == 0)
        return start;
    if (r->continue_final) // the last run is the answer's own text
        n--;
    while (n > 0 && out->runs[n - 1].trusted)
        n--;
    size_t from = n > 0 ? out->runs[n - 1].from + out->runs[n - 1].n : 0;
    str tail = str_from(text, from);
    ptrdiff_t open = find_last(tail, t->thinking->open);
    ptrdiff_t close = find_last(tail, t->thinking->close);
    str behind = open >= 0 ? str_from(tail, (size_t)open + strlen(t->thinking->open)) : STR("");
    start.thinking = open > close && (r->continue_final || str_trim(behind).n == 0);
    start.settled = !start.thinking && (close >= 0 || (r->continue_final && str_trim(tail).n > 0));
    return start;
}

/* Does a call whose arguments are an object (or text) come out with them as JSON? */
static bool shows_arguments(struct chat_template *t, bool as_text)
{
    static const char conversation[] =
        "[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"\","
        "\"tool_calls\":[{\"id\":\"abcdefghi\",\"type\":\"function\",\"function\":{\"name\":\"f\","
        "\"arguments\":{\"probe\":\"x\"}}}]},{\"role\":\"tool\",\"tool_call_id\":\"abcdefghi\","
        "\"name\":\"f\",\"content\":\"r\"}]";
    struct chat_request *r = chat_request_new(1024);
    struct jinja_out out;
    struct err e;
    r->messages = json_parse(str_c(conversation), &e);
    r->tools =
        json_parse(STR("[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":"
                       "\"d\",\"parameters\":{\"type\":\"object\",\"properties\":{}}}}]"),
                   &e);
    jinja_out_init(&out, (size_t)1 << 20);
    t->text_arguments = as_text;
    bool ok = chat_render(t, r, &out, &e) && str_find(buf_as_str(&out.text), STR("\"probe\"")) >= 0;
    t->text_arguments = false;
    jinja_out_free(&out);
    chat_request_free(r);
    return ok;
}

/* Most templates want objects; those that only show text get that. */
static void find_argument_form(struct chat_template *t)
{
    if (!t->plain_tools && !shows_arguments(t, false) && shows_arguments(t, true))
        t->text_arguments = true;
}

/* Does the prompt open the thinking of a model that is asked to think? */
static void find_thinking_form(struct chat_template *t)
{
    struct chat_request *r = chat_request_new(1024);
    struct jinja_out out;
    struct err e;
    r->messages = json_pack("[{ssss}]", "role", "user", "content", "q");
    r->template_args = json_pack("{sbsb}", "enable_thinking", 1, "thinking", 1);
    jinja_out_init(&out, (size_t)1 << 20);
    if (t->thinking && chat_render(t, r, &out, &e))
        t->opens_thinking = start_of(t, r, &out).thinking;
    jinja_out_free(&out);
    chat_request_free(r);
}

/* The notation that calls are written in. */
static bool find_notation(struct chat_template *t, str name, struct err *e)
{
    struct buf known = BUF_INIT(1000);
    const struct chat_notation *found = NULL;
    t->plain_tools = !jinja_mentions(t->jinja, STR("tools"));
    t->format = chat_notation_of(str_c(t->source));
    if (!t->format || t->plain_tools)
        t->format = chat_notation_of(STR("<tool_call>")); // the one most models know
    if (name.n == 0)
        return true;
    if (t->plain_tools)
        return err_set(e, ERR_INPUT,
                       "the chat template knows no tools, and calls are told in the notation "
                       "hermes: no other can be chosen");
    for (size_t i = 0; i < chat_n_notations; i++) {
        buf_printf(&known, "%s%s", i ? ", " : "", chat_notations[i]->name);
        if (str_eqc(name, chat_notations[i]->name))
            found = chat_notations[i];
    }
    if (found)
        t->format = found;
    else
        err_set(e, ERR_INPUT, "there is no call format '%.*s'; there are %s",
                STR_ARG(str_sub(name, 0, 40)), buf_cstr(&known));
    buf_free(&known);
    return found != NULL;
}

bool chat_template_open(struct chat_template **out, const struct gguf *g, const struct tok *tok,
                        const str *source, struct err *e)
{
    return chat_template_open_as(out, g, tok, source, STR(""), e);
}

bool chat_template_open_as(struct chat_template **out, const struct gguf *g, const struct tok *tok,
                           const str *source, str notation, struct err *e)
{
    str text = str_c(chatml);
    bool own = source || gguf_str(g, "tokenizer.chat_template", &text);
    if (source)
        text = *source;
    struct jinja *jinja = jinja_compile(text, e);
    if (!jinja)
        return err_ctx(e, "the chat template, %s", e->where);
    struct chat_template *t = mem_calloc(1, sizeof *t);
    t->tok = tok;
    t->jinja = jinja;
    t->source = mem_strdup(text);
    t->own = own;
    t->bos = token_text(tok, tok_bos(tok));
    t->eos = token_text(tok, tok_eos(tok));
    if (!find_notation(t, notation, e)) {
        chat_template_close(t);
        return false;
    }
    t->thinking = t->format && t->format->thinking ? t->format->thinking : chat_thinking_of(text);
    find_visible(t);
    find_argument_form(t);
    find_thinking_form(t);
    *out = t;
    return true;
}

static bool tokenize_messages(const struct chat_template *t, const struct chat_request *r,
                              struct tok_ids *ids, struct chat_start *start, struct err *e)
{
    struct jinja_out out;
    bool ok = false;
    struct tok_span *spans = NULL;

    jinja_out_init(&out, TEXT_MAX);
    if (!chat_render(t, r, &out, e))
        goto done;
    *start = start_of(t, r, &out);
    spans = mem_calloc(out.n_runs, sizeof *spans);
    for (size_t i = 0; i < out.n_runs; i++)
        spans[i] = (struct tok_span){
            str_sub(buf_as_str(&out.text), out.runs[i].from, out.runs[i].n), out.runs[i].trusted};
    ok = tok_encode(t->tok, spans, out.n_runs, true, ids, e);
done:
    mem_free(spans);
    jinja_out_free(&out);
    return ok;
}

bool chat_tokenize(const struct chat_template *t, const struct chat_request *r, size_t i,
                   struct tok_ids *ids, struct err *e)
{
    struct chat_start start;
    return chat_prepare(t, r, i, ids, &start, e);
}

bool chat_prepare(const struct chat_template *t, const struct chat_request *r, size_t i,
                  struct tok_ids *ids, struct chat_start *start, struct err *e)
{
    *start = (struct chat_start){0};
    if (r->messages)
        return tokenize_messages(t, r, ids, start, e);
    const struct chat_prompt *p = &r->prompts[i];
    if (!p->tokens) {
        struct tok_span span = {p->text, p->special};
        return tok_encode(t->tok, &span, 1, true, ids, e);
    }
    for (size_t k = 0; k < p->n_tokens; k++) {
        if (p->tokens[k] < 0 || p->tokens[k] >= tok_n_vocab(t->tok))
            return err_set_at(e, ERR_INPUT, "prompt", "%d is no token of this model (0 to %d)",
                              p->tokens[k], tok_n_vocab(t->tok) - 1);
    }
    if (ids->n + p->n_tokens > ids->max)
        return err_set_at(e, ERR_LIMIT, "prompt", "more than %zu tokens", ids->max);
    ids->id = mem_realloc(ids->id, (ids->n + p->n_tokens + 1) * sizeof *ids->id);
    ids->cap = ids->n + p->n_tokens + 1;
    if (p->n_tokens)
        memcpy(ids->id + ids->n, p->tokens, p->n_tokens * sizeof *ids->id);
    ids->n += p->n_tokens;
    return true;
}
