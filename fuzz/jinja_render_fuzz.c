/* fuzz/jinja_render_fuzz.c - any bytes as a chat template: compiled and rendered with a small
 * conversation, or refused.  What comes out is UTF-8, and its runs cover it. */
#include "jinja/jinja.h"

#include "base/utf8.h"
#include "json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char context[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be \\u00e9.\"},"
    "{\"role\": \"user\", \"content\": \" a\\tB\\n<b>{{ x }} \"},"
    "{\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"id\": \"1\", \"function\": "
    "{\"name\": \"f\", \"arguments\": {\"x\": [1, -2.5, true, null]}}}]},"
    "{\"role\": \"tool\", \"content\": [{\"type\": \"text\", \"text\": \"\\ud83c\\udf89\"}]}],"
    "\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\"}}],"
    "\"s\": \"Hello, World\", \"n\": 7, \"f\": -0.5, \"t\": true, \"e\": \"\", \"l\": [3, 1, 2],"
    "\"add_generation_prompt\": true, \"bos_token\": \"<s>\"}";

static void check_runs(const struct jinja_out *out)
{
    size_t at = 0;
    for (size_t i = 0; i < out->n_runs; i++) {
        if (out->runs[i].from != at || out->runs[i].n == 0)
            __builtin_trap();
        at += out->runs[i].n;
    }
    if (at != out->text.n || !utf8_valid(buf_as_str(&out->text)))
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct jinja_var vars[16];
    static size_t n_vars;
    struct err e = {0};
    if (!n_vars) {
        json_t *all = json_parse(str_c(context), &e); // kept for good
        if (!all)
            __builtin_trap();
        for (void *it = json_object_iter(all); it; it = json_object_iter_next(all, it)) {
            const char *name = json_object_iter_key(it);
            vars[n_vars++] = (struct jinja_var){.name = name,
                                                .value = json_object_iter_value(it),
                                                .trusted = str_eqc(str_c(name), "bos_token")};
        }
    }

    struct jinja *t = jinja_compile(str_n((const char *)data, size), &e);
    if (!t) {
        if (e.code == ERR_NONE || !e.msg[0])
            __builtin_trap();
        return 0;
    }
    (void)jinja_mentions(t, STR("tools"));
    struct jinja_limits limits = {.steps = 20000, .depth = 20, .memory = (size_t)4 << 20};
    struct jinja_out out;
    jinja_out_init(&out, 65536);
    if (jinja_render(t, vars, n_vars, 1753705845, limits, &out, &e))
        check_runs(&out);
    else if (e.code == ERR_NONE || !e.msg[0] || (e.code != ERR_INPUT && e.code != ERR_LIMIT))
        __builtin_trap();
    jinja_out_free(&out);
    jinja_free(t);
    return 0;
}
