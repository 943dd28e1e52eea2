/* dialect/messages_turns.c - `system` and `messages` of the messages wire as canonical messages.
 *
 * Neighbours of one role become one turn; results stand behind the turn whose calls they answer,
 * wherever the client put them. */
#include "dialect/messages.h"

#define MESSAGES_MAX 100000
#define TEXT_MAX     ((size_t)64 << 20)

enum who { NOBODY = 0, USER = 1, ASSISTANT = 2, SYSTEM = 4, RESULT = 8 };

struct turns {
    json_t *out;   // turns that are complete
    json_t *calls; // id -> {"name", "result"?}
    json_t *open;  // calls of the open turn, or NULL
    struct buf text, thinking, system;
    enum who who;  // speaks in the open turn
    bool answered; // a call of the open turn has its result
    bool full;     // some text did not fit
    size_t n_unanswered;
    struct messages_more *more;
    struct buf *ignored;
};

struct place {
    char text[96];
};

void messages_late(struct messages_more *more, const char *where, const char *kind,
                   const char *text)
{
    if (more->late.code != ERR_NONE)
        return;
    err_set_at(&more->late, ERR_INPUT, where, "%s", text);
    err_kind(&more->late, kind);
}

static bool bad(struct err *e, const char *place, const char *kind, const char *text)
{
    err_set_at(e, ERR_INPUT, place, "%s", text);
    return err_kind(e, kind);
}

static void ignore(struct turns *t, const char *what)
{
    if (t->ignored->n)
        buf_c(t->ignored, ", ");
    buf_c(t->ignored, what);
}

static void join(struct buf *to, str text)
{
    if (text.n == 0)
        return;
    if (to->n)
        buf_char(to, '\n');
    buf_str(to, text);
}

static void set_text(json_t *object, const char *key, const struct buf *text)
{
    json_object_set_new(object, key, json_from_str(buf_as_str(text)));
}

static void end_turn(struct turns *t)
{
    if (t->who == NOBODY)
        return;
    json_t *m = json_object();
    json_object_set_new(m, "role", json_string(t->who == USER ? "user" : "assistant"));
    set_text(m, "content", &t->text);
    if (t->thinking.n)
        set_text(m, "reasoning_content", &t->thinking);
    if (t->open)
        json_object_set_new(m, "tool_calls", t->open);
    json_array_append_new(t->out, m);
    t->open = NULL;
    t->who = NOBODY;
    t->answered = false;
    t->full |= t->text.full || t->thinking.full;
    buf_clear(&t->text);
    buf_clear(&t->thinking);
}

static void speak(struct turns *t, enum who who)
{
    if (t->who != who || t->answered)
        end_turn(t);
    t->who = who;
}

/* Blocks that are text, in a message or in a result. */

static str member(const json_t *block, const char *name)
{
    return json_as_str(json_object_get(block, name));
}

static bool text_list(const json_t *list, const char *place, struct buf *out, struct err *e)
{
    const json_t *item;
    size_t i;
    if (!json_is_array(list))
        return bad(e, place, "invalid_type", "'content' must be an array of text blocks");
    json_array_foreach((json_t *)list, i, item)
    {
        if (!str_eqc(member(item, "type"), "text") ||
            !json_is_string(json_object_get(item, "text")))
            return bad(e, place, "unsupported_value", "only text blocks can stand here");
        join(out, member(item, "text"));
    }
    return true;
}

static bool read_text(const json_t *block, const char *place, struct buf *out, struct err *e)
{
    const json_t *text = json_object_get(block, "text");
    if (text && !json_is_null(text) && !json_is_string(text))
        return bad(e, place, "invalid_type", "'text' must be a string");
    join(out, json_as_str(text));
    return true;
}

static bool read_document(const json_t *block, const char *place, struct buf *out, struct err *e)
{
    const json_t *source = json_object_get(block, "source");
    const json_t *content = json_object_get(source, "content");
    str type = member(source, "type");
    if (str_eqc(type, "text") && json_is_string(json_object_get(source, "data"))) {
        join(out, member(block, "title"));
        join(out, member(block, "context"));
        join(out, member(source, "data"));
        return true;
    }
    if (!str_eqc(type, "content"))
        return bad(e, place, "unsupported_value",
                   "a document's 'source' must be of type text or content here: other files are "
                   "not converted");
    join(out, member(block, "title"));
    join(out, member(block, "context"));
    if (json_is_string(content)) {
        join(out, json_as_str(content));
        return true;
    }
    return text_list(content, place, out, e);
}

static bool read_search(const json_t *block, const char *place, struct buf *out, struct err *e)
{
    if (!json_is_string(json_object_get(block, "source")) ||
        !json_is_string(json_object_get(block, "title")))
        return bad(e, place, "invalid_type", "a search_result needs 'source' and 'title'");
    join(out, member(block, "title"));
    join(out, member(block, "source"));
    return text_list(json_object_get(block, "content"), place, out, e);
}

static bool read_mid_system(const json_t *block, const char *place, struct buf *out, struct err *e)
{
    return text_list(json_object_get(block, "content"), place, out, e);
}

static bool read_link(const json_t *block, const char *place, struct buf *out, struct err *e)
{
    if (member(block, "uri").n == 0 || member(block, "name").n == 0)
        return bad(e, place, "invalid_type", "a resource_link needs 'uri' and 'name'");
    join(out, member(block, "name"));
    join(out, member(block, "uri"));
    return true;
}

static const struct {
    const char *type;
    unsigned where;
    bool (*read)(const json_t *block, const char *place, struct buf *out, struct err *e);
} texts[] = {
    {"text", USER | ASSISTANT | SYSTEM | RESULT, read_text},
    {"document", USER | RESULT, read_document},
    {"search_result", USER | RESULT, read_search},
    {"mid_conv_system", USER | ASSISTANT | SYSTEM, read_mid_system},
    {"resource_link", USER | ASSISTANT | RESULT, read_link},
};

/* Blocks that a text model cannot take, or that say nothing to it. */

static const struct {
    const char *type, *kind, *text; // kind NULL: no effect
} others[] = {
    {"image", "INVALID_REQUEST_IMAGE_SUPPORT_ERROR", "this model takes no images"},
    {"audio", "INVALID_REQUEST_AUDIO_SUPPORT_ERROR", "this model takes no audio"},
    {"container_upload", NULL, NULL},
    {"tool_reference", NULL, NULL},
    {"binary", NULL, NULL},
    {"local_resource", NULL, NULL},
    {"resource", NULL, NULL},
    {"redacted_thinking", NULL, NULL},
};

/* Finds a block's kind among texts and others; *known tells whether it was there. */
static bool read_plain(struct turns *t, const json_t *block, str type, enum who where,
                       const char *place, struct buf *out, bool *known, struct err *e)
{
    char name[64];
    *known = true;
    for (size_t i = 0; i < COUNT(texts); i++)
        if (str_eqc(type, texts[i].type) && (texts[i].where & (unsigned)where))
            return texts[i].read(block, place, out, e);
    for (size_t i = 0; i < COUNT(others); i++)
        if (str_eqc(type, others[i].type)) {
            if (others[i].kind)
                messages_late(t->more, place, others[i].kind, others[i].text);
            snprintf(name, sizeof name, "block:%s", others[i].type);
            if (!others[i].kind)
                ignore(t, name);
            return true;
        }
    *known = false;
    return true;
}

static bool unknown_type(struct err *e, const char *place, str type)
{
    err_set_at(e, ERR_INPUT, place, "a block of type '%.*s' cannot stand here",
               STR_ARG(str_sub(type, 0, 60)));
    return err_kind(e, "unsupported_value");
}

/* Calls and their results. */

static bool read_call(struct turns *t, const json_t *block, const char *place, struct err *e)
{
    json_t *id = json_object_get(block, "id"), *name = json_object_get(block, "name");
    json_t *input = json_object_get(block, "input");
    if (json_string_length(id) == 0 || json_string_length(name) == 0 || !json_is_object(input))
        return bad(e, place, "invalid_type",
                   "a tool_use needs 'id' and 'name' as strings and 'input' as an object");
    if (memchr(json_string_value(id), 0, json_string_length(id)))
        return bad(e, place, "invalid_type", "'id' holds a NUL");
    if (json_object_get(t->calls, json_string_value(id))) {
        err_set_at(e, ERR_INPUT, place, "Duplicate tool use ID found: %.100s",
                   json_string_value(id));
        return err_kind(e, "invalid_value");
    }
    speak(t, ASSISTANT);
    json_t *record = json_object();
    json_object_set(record, "name", name);
    json_object_set_new(record, "turn", json_integer((json_int_t)json_array_size(t->out)));
    json_object_set_new(t->calls, json_string_value(id), record);
    json_t *function = json_object();
    json_object_set(function, "name", name);
    json_object_set(function, "arguments", input);
    json_t *call = json_object();
    json_object_set(call, "id", id);
    json_object_set_new(call, "type", json_string("function"));
    json_object_set_new(call, "function", function);
    if (!t->open)
        t->open = json_array();
    json_array_append_new(t->open, call);
    t->n_unanswered++;
    t->more->calls = true;
    return true;
}

static void dump(const json_t *v, struct buf *out)
{
    struct buf text = BUF_INIT(TEXT_MAX);
    json_write(&text, v, JSON_PYTHON, -1);
    join(out, buf_as_str(&text));
    buf_free(&text);
}

static bool result_text(struct turns *t, const json_t *content, const char *place, struct buf *out,
                        struct err *e)
{
    json_t *block;
    size_t i;
    bool known;
    if (!content || json_is_null(content))
        return true;
    if (json_is_string(content)) {
        join(out, json_as_str(content));
        return true;
    }
    if (json_is_object(content)) {
        dump(content, out);
        return true;
    }
    if (!json_is_array(content))
        return bad(e, place, "invalid_type", "'content' must be a string or an array of blocks");
    json_array_foreach((json_t *)content, i, block)
    {
        if (member(block, "type").n == 0)
            return bad(e, place, "invalid_type", "a block must be an object with a 'type'");
        if (!read_plain(t, block, member(block, "type"), RESULT, place, out, &known, e))
            return false;
        if (!known) // what special tools found: the model reads it as it is
            dump(block, out);
    }
    return true;
}

static bool read_result(struct turns *t, const json_t *block, const char *place, struct err *e)
{
    json_t *id = json_object_get(block, "tool_use_id");
    json_t *record = json_is_string(id) ? json_object_get(t->calls, json_string_value(id)) : NULL;
    if (!json_is_string(id) || memchr(json_string_value(id), 0, json_string_length(id)))
        return bad(e, place, "invalid_type", "a result needs 'tool_use_id', a string");
    if (!record) {
        err_set_at(e, ERR_INPUT, place, "unknown tool use ID: %.100s", json_string_value(id));
        return err_kind(e, "invalid_value");
    }
    if (json_object_get(record, "result")) {
        err_set_at(e, ERR_INPUT, place, "there is a result already for tool use ID %.100s",
                   json_string_value(id));
        return err_kind(e, "invalid_value");
    }
    struct buf text = BUF_INIT(TEXT_MAX);
    bool ok = result_text(t, json_object_get(block, "content"), place, &text, e);
    if (ok && text.n == 0)
        buf_c(&text, "(no output)");
    if (ok && json_is_true(json_object_get(block, "is_error"))) {
        struct buf marked = BUF_INIT(TEXT_MAX);
        buf_c(&marked, "Error: ");
        buf_str(&marked, buf_as_str(&text));
        buf_free(&text);
        text = marked;
    }
    t->full |= text.full;
    if (ok) {
        set_text(record, "result", &text);
        t->n_unanswered--;
        if (json_integer_value(json_object_get(record, "turn")) ==
            (json_int_t)json_array_size(t->out))
            t->answered = true;
    }
    buf_free(&text);
    return ok;
}

static bool read_thinking(struct turns *t, const json_t *block, const char *place, struct err *e)
{
    if (!json_is_string(json_object_get(block, "thinking")))
        return bad(e, place, "invalid_type", "a thinking block needs 'thinking', a string");
    speak(t, ASSISTANT);
    join(&t->thinking, member(block, "thinking"));
    return true;
}

static bool refuse_summary(struct turns *t, const json_t *block, const char *place, struct err *e)
{
    (void)t;
    (void)block;
    return bad(e, place, "unsupported_value",
               "blocks of type 'tldr' are not supported here: this server writes no summaries");
}

static const struct {
    const char *type;
    unsigned where;
    bool (*read)(struct turns *t, const json_t *block, const char *place, struct err *e);
} acts[] = {
    {"tool_use", ASSISTANT, read_call},
    {"server_tool_use", ASSISTANT, read_call},
    {"mcp_tool_use", ASSISTANT, read_call},
    {"tool_result", USER | ASSISTANT, read_result},
    {"server_tool_result", USER | ASSISTANT, read_result},
    {"mcp_tool_result", USER | ASSISTANT, read_result},
    {"bash_code_execution_tool_result", USER | ASSISTANT, read_result},
    {"text_editor_code_execution_tool_result", USER | ASSISTANT, read_result},
    {"web_search_tool_result", USER | ASSISTANT, read_result},
    {"web_fetch_tool_result", USER | ASSISTANT, read_result},
    {"thinking", ASSISTANT, read_thinking},
    {"tldr", ASSISTANT, refuse_summary},
};

static bool read_block(struct turns *t, const json_t *block, enum who who, const char *place,
                       struct err *e)
{
    str type = member(block, "type");
    bool known;
    if (type.n == 0)
        return bad(e, place, "invalid_type", "a block must be an object with a 'type'");
    for (size_t i = 0; i < COUNT(acts); i++)
        if (str_eqc(type, acts[i].type) && (acts[i].where & (unsigned)who))
            return acts[i].read(t, block, place, e);
    if (who != SYSTEM)
        speak(t, who);
    if (!read_plain(t, block, type, who, place, who == SYSTEM ? &t->system : &t->text, &known, e))
        return false;
    return known || unknown_type(e, place, type);
}

/* A user message that holds results alone opens no turn; so `speak` is left to the blocks. */
static bool read_message(struct turns *t, const json_t *m, size_t i, struct err *e)
{
    static const struct {
        const char *name;
        enum who who;
    } roles[] = {{"user", USER}, {"assistant", ASSISTANT}, {"system", SYSTEM}};
    struct place p;
    size_t k = 0, b;
    json_t *block;
    str role = member(m, "role");
    const json_t *content = json_object_get(m, "content");

    snprintf(p.text, sizeof p.text, "messages[%zu]", i);
    if (!json_is_object(m))
        return bad(e, p.text, "invalid_type", "a message must be an object");
    while (k < COUNT(roles) && !str_eqc(role, roles[k].name))
        k++;
    snprintf(p.text, sizeof p.text, "messages[%zu].role", i);
    if (k == COUNT(roles))
        return bad(e, p.text, "unsupported_value", "'role' must be user, assistant or system");
    t->more->n_messages += roles[k].who != SYSTEM;
    snprintf(p.text, sizeof p.text, "messages[%zu].content", i);
    if (!json_is_string(content) && !json_is_array(content))
        return bad(e, p.text, content ? "invalid_type" : "missing_required_parameter",
                   "'content' must be a string or an array of blocks");
    if (json_string_length(content) + json_array_size(content) == 0)
        return bad(e, p.text, "invalid_value", "Message content cannot be empty");
    if (json_is_string(content)) {
        if (roles[k].who != SYSTEM)
            speak(t, roles[k].who);
        join(roles[k].who == SYSTEM ? &t->system : &t->text, json_as_str(content));
        return true;
    }
    json_array_foreach(content, b, block)
    {
        snprintf(p.text, sizeof p.text, "messages[%zu].content[%zu]", i, b);
        if (!read_block(t, block, roles[k].who, p.text, e))
            return false;
    }
    return true;
}

/* `system`. */

static bool read_flag(const json_t *object, const char *name, bool *out, struct err *e)
{
    const json_t *v = json_object_get(object, name);
    if (v && !json_is_null(v) && !json_is_boolean(v))
        return bad(e, "system", "invalid_type", "a switch in 'system' is not a boolean");
    *out |= json_is_true(v);
    return true;
}

static bool read_extensions(const json_t *list, struct err *e)
{
    json_t *item;
    size_t i;
    if (list && !json_is_null(list) && !json_is_array(list))
        return bad(e, "system.extensions", "invalid_type", "'system.extensions' must be an array");
    json_array_foreach(
        (json_t *)list, i,
        item) if (!str_eqc(json_as_str(item),
                           "zylon")) return bad(e, "system.extensions", "unsupported_value",
                                                "'system.extensions' can hold only \"zylon\"");
    return true;
}

static bool read_system_item(struct turns *t, const json_t *v, struct err *e)
{
    const json_t *text = json_object_get(v, "text"), *citations = json_object_get(v, "citations");
    bool cite = false;
    if (json_is_string(v)) {
        join(&t->system, json_as_str(v));
        return true;
    }
    if (!json_is_object(v))
        return bad(e, "system", "invalid_type",
                   "'system' must be a string, an object or an array of these");
    str type = member(v, "type");
    if (type.n && !str_eqc(type, "text"))
        return bad(e, "system", "unsupported_value", "'system' can hold only text");
    if (text && !json_is_null(text) && !json_is_string(text))
        return bad(e, "system.text", "invalid_type", "'system.text' must be a string");
    if (json_is_object(citations) && !read_flag(citations, "enabled", &cite, e))
        return false;
    if (cite)
        ignore(t, "system.citations");
    if (json_object_size(json_object_get(v, "prompt")))
        ignore(t, "system.prompt");
    join(&t->system, json_as_str(text));
    return read_flag(v, "use_default_prompt", &t->more->default_prompt, e) &&
           read_extensions(json_object_get(v, "extensions"), e);
}

static bool read_system(struct turns *t, const json_t *v, struct err *e)
{
    json_t *item;
    size_t i;
    if (!v || json_is_null(v))
        return true;
    if (!json_is_array(v))
        return read_system_item(t, v, e);
    json_array_foreach((json_t *)v, i, item) if (!read_system_item(t, item, e)) return false;
    return true;
}

/* All turns, each answer's results behind it. */
static json_t *flatten(struct turns *t)
{
    json_t *flat = json_array(), *turn, *call;
    size_t i, k;
    if (t->system.n) {
        json_t *m = json_object();
        json_object_set_new(m, "role", json_string("system"));
        set_text(m, "content", &t->system);
        json_array_append_new(flat, m);
    }
    json_array_foreach(t->out, i, turn)
    {
        json_array_append(flat, turn);
        json_array_foreach(json_object_get(turn, "tool_calls"), k, call)
        {
            json_t *id = json_object_get(call, "id"), *m = json_object();
            json_t *record = json_object_get(t->calls, json_string_value(id));
            json_object_set_new(m, "role", json_string("tool"));
            json_object_set(m, "tool_call_id", id);
            json_object_set(m, "name", json_object_get(record, "name"));
            json_object_set(m, "content", json_object_get(record, "result"));
            json_array_append_new(flat, m);
        }
    }
    return flat;
}

/* Somebody must have asked something. */
static void check_question(struct turns *t)
{
    for (size_t i = json_array_size(t->out); i-- > 0;) {
        const json_t *turn = json_array_get(t->out, i);
        if (!str_eqc(member(turn, "role"), "user"))
            continue;
        if (str_trim(member(turn, "content")).n == 0)
            messages_late(t->more, NULL, "INVALID_REQUEST_EMPTY_MESSAGE_ERROR",
                          "the last user message holds no text");
        return;
    }
    messages_late(t->more, NULL, "INVALID_REQUEST_EMPTY_MESSAGE_ERROR", "there is no user message");
}

json_t *messages_turns(const json_t *system, const json_t *messages, struct messages_more *more,
                       struct buf *ignored, struct err *e)
{
    struct turns t = {
        .out = json_array(), .calls = json_object(), .more = more, .ignored = ignored};
    json_t *m, *flat = NULL;
    size_t i, n = json_array_size(messages);
    buf_init(&t.text, TEXT_MAX);
    buf_init(&t.thinking, TEXT_MAX);
    buf_init(&t.system, TEXT_MAX);
    if (n > MESSAGES_MAX) {
        bad(e, "messages", "invalid_value", "'messages' holds more than 100000 messages");
        goto done;
    }
    if (!read_system(&t, system, e))
        goto done;
    json_array_foreach((json_t *)messages, i, m) if (!read_message(&t, m, i, e)) goto done;
    end_turn(&t);
    if (json_array_size(t.out) == 0) {
        bad(e, "messages", "invalid_value", "Messages cannot be empty");
        goto done;
    }
    if (t.n_unanswered) {
        bad(e, "messages", "invalid_value",
            "every tool_use must have its result: at least one has none");
        goto done;
    }
    if (t.full || t.system.full) {
        err_set_at(e, ERR_LIMIT, "messages", "the conversation is longer than %zu bytes", TEXT_MAX);
        goto done;
    }
    check_question(&t);
    flat = flatten(&t);
done:
    json_decref(t.open);
    json_decref(t.out);
    json_decref(t.calls);
    buf_free(&t.text);
    buf_free(&t.thinking);
    buf_free(&t.system);
    return flat;
}
