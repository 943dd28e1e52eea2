/* app/config.c - see config.h. */
#include "app/config.h"

#include "base/file.h"
#include "sched/sched.h"

#include <assert.h>
#include <stdlib.h>

enum kind { KIND_MODEL, KIND_TEXT, KIND_INT, KIND_BOOL, KIND_LIST };

static const struct option {
    const char *name; // flag --name, key name, variable CONFAB_NAME (dashes become underscores)
    enum kind kind;
    size_t at;
    int64_t min, max, preset;
    const char *text, *arg, *help; // text: the default of KIND_TEXT
} options[] = {
#define AT(member) offsetof(struct config, member)
    {"model", KIND_MODEL, 0, .arg = "[NAME=]FILE",
     .help = "a GGUF file to serve; may be repeated; without it the starter model. Short: -m"},
    {"host", KIND_TEXT, AT(host), .text = "127.0.0.1", .arg = "ADDRESS",
     .help = "address to listen on"},
    {"port", KIND_INT, AT(port), 0, 65535, 8080, .arg = "N", .help = "port; 0 takes a free one"},
    {"unsafe-listen", KIND_BOOL, AT(unsafe_listen),
     .help = "allow an address that other machines reach, without API keys"},
    {"ctx", KIND_INT, AT(ctx), 0, 1 << 20, 0, .arg = "N",
     .help = "longest conversation in tokens; 0: what the model was trained for, at most 8192"},
    {"threads", KIND_INT, AT(threads), 0, 256, 0, .arg = "N",
     .help = "threads that compute; 0: one for each CPU"},
    {"kv-tokens", KIND_INT, AT(kv_tokens), 0, 1 << 26, 0, .arg = "N",
     .help = "tokens that fit the KV memory, all conversations together; 0: from --memory"},
    {"kv-type", KIND_TEXT, AT(kv_type), .text = "f16", .arg = "TYPE",
     .help = "how keys and values are kept: f16, or q8 (half the memory, a little less exact)"},
    {"memory", KIND_INT, AT(memory_mib), 0, 1 << 26, 0, .arg = "MIB",
     .help = "memory for weights, KV, buffers and texts in MiB; 0: four fifths of what the machine "
             "has"},
    {"max-seqs", KIND_INT, AT(max_seqs), 1, 256, 16, .arg = "N",
     .help = "answers computed at the same time, for each model"},
    {"queue", KIND_INT, AT(queue), 1, 100000, 64, .arg = "N",
     .help = "requests that may wait, for each model; more get 429"},
    {"gap-ms", KIND_INT, AT(gap_ms), 1, 60000, 100, .arg = "MS",
     .help = "longest time between two tokens of an answer that others' prompts should cost"},
    {"max-rows", KIND_INT, AT(max_rows), 32, 4096, 512, .arg = "N",
     .help = "most tokens computed in one step"},
    {"drafts", KIND_INT, AT(drafts), 0, SCHED_DRAFTS_MAX, SCHED_DRAFTS_MAX, .arg = "N",
     .help = "most tokens of an answer guessed ahead, from what followed the same tokens before; "
             "they are kept where they turn out right, so no answer changes; 0: none"},
    {"draft-rows", KIND_INT, AT(draft_rows), 1, 256, 8, .arg = "N",
     .help = "guess ahead only while a step has fewer tokens: so many cost about as much as one"},
    {"timeout", KIND_INT, AT(timeout_s), 0, 86400, 0, .arg = "S",
     .help = "longest time for a request in seconds; 0: none"},
    {"keep-alive", KIND_INT, AT(keep_alive_s), 1, 3600, 15, .arg = "S",
     .help = "a waiting stream hears from the server this often, in seconds"},
    {"drain", KIND_INT, AT(drain_s), 0, 3600, 30, .arg = "S",
     .help = "after SIGTERM, seconds that running answers get to finish"},
    {"max-body", KIND_INT, AT(max_body_mib), 1, 1024, 64, .arg = "MIB",
     .help = "largest request body in MiB"},
    {"max-connections", KIND_INT, AT(max_connections), 1, 100000, 1024, .arg = "N",
     .help = "connections at the same time"},
    {"prep-threads", KIND_INT, AT(prep_threads), 1, 64, 2, .arg = "N",
     .help = "threads that render and tokenize prompts"},
    {"chat-template", KIND_TEXT, AT(chat_template), .text = "", .arg = "FILE",
     .help = "a Jinja template to use instead of the models' own"},
    {"call-format", KIND_TEXT, AT(call_format), .text = "", .arg = "NAME",
     .help = "the notation of tool calls, a name of docs/calls.md like hermes or llama; empty: the "
             "one that the template tells"},
    {"data", KIND_TEXT, AT(data), .text = "", .arg = "DIR",
     .help =
         "folder for what has to last: durable runs, stored objects, API keys (see confab keys)"},
    {"tools", KIND_TEXT, AT(tools), .text = "math:*,file:text", .arg = "NAMES",
     .help = "built-in tools that requests may ask for, with commas: math:calculator, "
             "math:statistics, math:calendar, web:url, web:search, code:python-interpreter, "
             "file:text; math:* for several, none for none"},
    {"tool-policy", KIND_TEXT, AT(tool_policy), .text = "", .arg = "RULES",
     .help = "TOOL=run, TOOL=ask or TOOL=refuse, with commas; SERVER/TOOL for those of MCP "
             "servers, * at the end for several; the last that fits counts; else run"},
    {"tool-timeout", KIND_INT, AT(tool_timeout_s), 1, 3600, 60, .arg = "S",
     .help = "longest time for one call of a tool, in seconds"},
    {"tool-approval", KIND_INT, AT(tool_approval_s), 1, 86400, 120, .arg = "S",
     .help = "a call that has to be asked about is refused after so many seconds"},
    {"tool-rounds", KIND_INT, AT(tool_rounds), 1, 100, 16, .arg = "N",
     .help = "turns of a model in one request, where the dialect does not set a number"},
    {"allow-net", KIND_TEXT, AT(allow_net), .text = "", .arg = "ADDRESSES",
     .help = "addresses that tools may reach although they are not public, with commas: "
             "127.0.0.1, 10.0.0.0/8"},
    {"search-url", KIND_TEXT, AT(search_url), .text = "", .arg = "URL",
     .help = "search endpoint for web:search, one that answers as SearXNG does"},
    {"mcp-stdio", KIND_LIST, AT(mcp_stdio), .arg = "NAME=COMMAND",
     .help = "an MCP server that is a program of this machine; may be repeated"},
    {"mcp-http", KIND_LIST, AT(mcp_http), .arg = "NAME=URL",
     .help = "an MCP server over HTTP; may be repeated"},
    {"mcp-header", KIND_LIST, AT(mcp_header), .arg = "NAME=HEADER",
     .help = "a header for the MCP server of that name, like 'shop=Authorization: Bearer x'; may "
             "be repeated"},
    {"mcp-oauth", KIND_LIST, AT(mcp_oauth), .arg = "NAME=TOKEN-URL",
     .help = "where the MCP server of that name has its tokens from, and by what, like "
             "'shop=https://auth.example/token client_id=x client_secret=y'; also refresh_token=, "
             "scope=, auth=post; may be repeated"},
    {"mcp-requests", KIND_BOOL, AT(mcp_requests), .preset = 1,
     .help = "let requests name MCP servers by URL, at public addresses and those of --allow-net"},
    {"mcp-changed", KIND_TEXT, AT(mcp_changed), .text = "refuse", .arg = "POLICY",
     .help = "what becomes of a tool whose description or schema is not what it was when it was "
             "first seen: run, ask or refuse"},
    {"zylon-results", KIND_TEXT, AT(zylon_results), .text = "full", .arg = "HOW",
     .help = "how Zylon's answers show calls of tools that run here: full, as blocks of their own, "
             "or client, as if the client had run them"},
    {"keep-for", KIND_INT, AT(keep_for_s), 0, 1 << 30, 7 * 86400, .arg = "S",
     .help = "complete runs and objects stay in --data this long, in seconds; 0: for ever"},
    {"keep-disk", KIND_INT, AT(keep_disk_mib), 0, 1 << 26, 4096, .arg = "MIB",
     .help = "most that --data holds; the oldest complete runs and objects go; 0: no bound"},
    {"keep-memory", KIND_INT, AT(keep_memory_mib), 0, 1 << 20, 64, .arg = "MIB",
     .help =
         "most memory for complete runs, and again as much for objects where there is no --data"},
    {"keep-memory-for", KIND_INT, AT(keep_memory_for_s), 0, 1 << 22, 3600, .arg = "S",
     .help = "complete runs stay in memory this long, in seconds"},
    {"cpu-mask", KIND_TEXT, AT(cpu_mask), .text = "", .arg = "LEVEL",
     .help =
         "use kernels up to this level only: scalar, avx2, avxvnni, avx512, vnni512, amx, or on "
         "Arm dotprod; empty: all there are"},
    {"cors", KIND_BOOL, AT(cors), .help = "let pages of other origins call the API"},
    {"log", KIND_TEXT, AT(log), .text = "info", .arg = "LEVELS",
     .help = "error, warn, info, debug or trace; for single rooms: warn,sched=debug"},
    {"log-requests", KIND_BOOL, AT(log_requests), .preset = 1,
     .help = "a log line for each request; --no-log-requests turns it off"},
#undef AT
};

static const struct option *find(str name)
{
    for (size_t i = 0; i < COUNT(options); i++)
        if (str_eqc(name, options[i].name))
            return &options[i];
    return NULL;
}

static bool set_model(struct config *c, str value, const char *where, struct err *e)
{
    if (c->n_models == CONFIG_MODELS_MAX)
        return err_set_at(e, ERR_INPUT, where, "more than %d models", CONFIG_MODELS_MAX);
    struct config_model *m = &c->models[c->n_models];
    ptrdiff_t eq = str_chr(value, '=');
    bool named = eq > 0 && str_chr(str_sub(value, 0, (size_t)eq), '/') < 0;
    m->name = arena_str(&c->arena, named ? str_sub(value, 0, (size_t)eq) : STR(""));
    m->path = arena_str(&c->arena, named ? str_from(value, (size_t)eq + 1) : value);
    if (m->path.n == 0)
        return err_set_at(e, ERR_INPUT, where, "%s: the model's file is missing", where);
    c->n_models++;
    return true;
}

static bool set(struct config *c, const struct option *o, str value, const char *where,
                struct err *e)
{
    char *at = (char *)c + o->at;
    int64_t n;
    switch (o->kind) {
    case KIND_MODEL: return set_model(c, value, where, e);
    case KIND_TEXT: *(str *)at = arena_str(&c->arena, value); return true;
    case KIND_LIST: {
        struct config_list *list = (struct config_list *)at;
        if (list->n == CONFIG_LIST_MAX)
            return err_set_at(e, ERR_INPUT, where, "%s: more than %d of them", where,
                              CONFIG_LIST_MAX);
        list->item[list->n++] = arena_str(&c->arena, value);
        return true;
    }
    case KIND_INT:
        if (!str_to_i64(value, &n) || n < o->min || n > o->max)
            return err_set_at(e, ERR_INPUT, where,
                              "%s must be a whole number from %lld to %lld, not '%.*s'", where,
                              (long long)o->min, (long long)o->max, STR_ARG(value));
        *(int64_t *)at = n;
        return true;
    case KIND_BOOL:
        if (str_eqc(value, "true") || str_eqc(value, "1") || str_eqc(value, "yes"))
            *(bool *)at = true;
        else if (str_eqc(value, "false") || str_eqc(value, "0") || str_eqc(value, "no"))
            *(bool *)at = false;
        else
            return err_set_at(e, ERR_INPUT, where, "%s must be true or false, not '%.*s'", where,
                              STR_ARG(value));
        return true;
    }
    return false;
}

static void set_defaults(struct config *c)
{
    memset(c, 0, sizeof *c);
    arena_init(&c->arena, (size_t)4 << 20);
    for (size_t i = 0; i < COUNT(options); i++) {
        const struct option *o = &options[i];
        char *at = (char *)c + o->at;
        if (o->kind == KIND_TEXT)
            *(str *)at = str_c(o->text);
        else if (o->kind == KIND_INT)
            *(int64_t *)at = o->preset;
        else if (o->kind == KIND_BOOL)
            *(bool *)at = o->preset != 0;
    }
}

/* "key = value" lines; # begins a comment; values may stand in double quotes. */
static bool read_file(struct config *c, const char *path, struct err *e)
{
    struct buf text = BUF_INIT((size_t)1 << 20);
    bool ok = file_read(path, &text, e);
    str rest = buf_as_str(&text), line;
    for (int n = 1; ok && str_cut(&rest, '\n', &line); n++) {
        char where[300];
        line = str_trim(line);
        if (line.n == 0 || line.p[0] == '#')
            continue;
        ptrdiff_t eq = str_chr(line, '=');
        str key = str_trim(str_sub(line, 0, eq < 0 ? line.n : (size_t)eq));
        snprintf(where, sizeof where, "%.200s line %d: %.*s", path, n,
                 STR_ARG(str_sub(key, 0, 40)));
        const struct option *o = find(key);
        if (!o || eq < 0) {
            ok = err_set_at(e, ERR_INPUT, where, "%s: %s", where,
                            o ? "expected key = value" : "no such option");
            break;
        }
        str value = str_trim(str_from(line, (size_t)eq + 1));
        if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
            value = str_sub(value, 1, value.n - 2);
        ok = set(c, o, value, where, e);
    }
    buf_free(&text);
    return ok;
}

static void variable_of(const struct option *o, char out[64])
{
    int n = snprintf(out, 64, "CONFAB_%s", o->name);
    for (int i = 7; i < n; i++)
        out[i] =
            out[i] == '-' ? '_' : (char)(out[i] >= 'a' && out[i] <= 'z' ? out[i] - 32 : out[i]);
}

static bool read_environment(struct config *c, struct err *e)
{
    for (size_t i = 0; i < COUNT(options); i++) {
        char name[64];
        variable_of(&options[i], name);
        const char *value = getenv(name);
        if (value && !set(c, &options[i], str_c(value), name, e))
            return false;
    }
    return true;
}

static bool read_arguments(struct config *c, int argc, char **argv, struct err *e)
{
    bool models_given = false;
    for (int i = 1; i < argc; i++) {
        str arg = str_c(argv[i]);
        if (str_eqc(arg, "-h") || str_eqc(arg, "--help")) {
            c->help = true;
            continue;
        }
        if (str_eqc(arg, "-m"))
            arg = STR("--model");
        if (!str_starts(arg, STR("--")))
            return err_set(e, ERR_INPUT, "unexpected argument '%s'; models are given with -m",
                           argv[i]);
        ptrdiff_t eq = str_chr(arg, '=');
        str name = str_from(str_sub(arg, 0, eq < 0 ? arg.n : (size_t)eq), 2);
        if (str_eqc(name, "config")) {
            i += eq < 0; // already read
            continue;
        }
        bool no = str_starts(name, STR("no-")) && find(str_from(name, 3)) &&
                  find(str_from(name, 3))->kind == KIND_BOOL;
        const struct option *o = find(no ? str_from(name, 3) : name);
        if (!o)
            return err_set(e, ERR_INPUT, "unknown option '%s'; see --help", argv[i]);
        str value = eq < 0 ? STR("") : str_from(arg, (size_t)eq + 1);
        if (o->kind == KIND_BOOL && eq < 0)
            value = no ? STR("false") : STR("true");
        else if (eq < 0) {
            if (++i == argc)
                return err_set(e, ERR_INPUT, "--%s needs a value", o->name);
            value = str_c(argv[i]);
        }
        if (o->kind == KIND_MODEL && !models_given) {
            c->n_models = 0; // arguments replace what file and environment named
            models_given = true;
        }
        char where[64];
        snprintf(where, sizeof where, "--%s", o->name);
        if (!set(c, o, value, where, e))
            return false;
    }
    return true;
}

static const char *config_path(int argc, char **argv)
{
    const char *path = getenv("CONFAB_CONFIG");
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
            path = argv[i + 1];
        else if (strncmp(argv[i], "--config=", 9) == 0)
            path = argv[i] + 9;
    }
    return path;
}

bool config_read(struct config *c, int argc, char **argv, struct err *e)
{
    set_defaults(c);
    const char *path = config_path(argc, argv);
    bool ok = (!path || read_file(c, path, e)) && read_environment(c, e) &&
              read_arguments(c, argc, argv, e);
    if (ok && c->arena.full)
        ok = err_set(e, ERR_LIMIT, "the options are too long");
    if (!ok)
        config_free(c);
    return ok;
}

void config_free(struct config *c)
{
    arena_fini(&c->arena);
}

static void preset_of(const struct option *o, char out[64])
{
    out[0] = '\0';
    if (o->kind == KIND_INT)
        snprintf(out, 64, "%lld", (long long)o->preset);
    else if (o->kind == KIND_TEXT)
        snprintf(out, 64, "%s", o->text);
    else if (o->kind == KIND_BOOL)
        snprintf(out, 64, "%s", o->preset ? "true" : "false");
}

void config_help(struct buf *out)
{
    buf_c(
        out,
        "usage: confab serve [-m [NAME=]FILE.gguf ...] [options]\n\n"
        "Serves chat over HTTP. Prints one line with the address when it is ready.\n"
        "Each option is also an environment variable (CONFAB_PORT) and a key of the file\n"
        "given with --config FILE (port = 8080); arguments win over variables over the file.\n\n");
    for (size_t i = 0; i < COUNT(options); i++) {
        const struct option *o = &options[i];
        char left[64], preset[64];
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        preset_of(o, preset);
        buf_printf(out, "  %-24s %s%s%s%s\n", left, o->help, preset[0] ? " [" : "", preset,
                   preset[0] ? "]" : "");
    }
    buf_c(out, "  --config FILE            read options from this file\n"
               "  -h, --help               this text\n");
}

void config_markdown(struct buf *out)
{
    buf_c(out, "# Options of `confab serve`\n\n"
               "Generated from the table in `src/app/config.c` by `confab help --markdown`.\n"
               "Arguments win over environment variables, these over the file given with\n"
               "`--config FILE` (lines of `key = value`). Unknown keys are errors.\n\n"
               "| flag | variable | default | range | meaning |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < COUNT(options); i++) {
        const struct option *o = &options[i];
        char variable[64], preset[64], range[64] = "";
        variable_of(o, variable);
        preset_of(o, preset);
        if (o->kind == KIND_INT)
            snprintf(range, sizeof range, "%lld to %lld", (long long)o->min, (long long)o->max);
        buf_printf(out, "| `--%s%s%s` | `%s` | %s | %s | %s |\n", o->name, o->arg ? " " : "",
                   o->arg ? o->arg : "", variable, preset, range, o->help);
    }
}
