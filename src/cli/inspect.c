/* cli/inspect.c - `confab inspect FILE`: what a GGUF is, and whether confab can run it.
 *
 * The facts are gathered once as JSON; the readable form prints the same object. */
#include "cli/cli.h"

#include "base/mem.h"
#include "engine/engine.h"
#include "gguf/gguf.h"
#include "jinja/jinja.h"
#include "json/json.h"
#include "tok/tok.h"

#include <getopt.h>
#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>

#define OUT_MAX     ((size_t)256 << 20)
#define ARRAY_SHOWN 8 // elements of an array that --keys shows

static const char help[] = "usage: confab inspect [options] FILE.gguf\n"
                           "Shows what a model file is and whether confab can run it.\n"
                           "\n"
                           "  --keys      also all metadata\n"
                           "  --tensors   also all tensors\n"
                           "  --json      as JSON\n"
                           "  -h, --help  this text\n"
                           "\n"
                           "Of several parts (NAME-00001-of-0000N.gguf) name the first.\n";

/* Facts */

static void put_str(json_t *to, const char *key, str s)
{
    json_object_set_new(to, key, json_from_str(s));
}

static void put_int(json_t *to, const char *key, uint64_t v)
{
    json_object_set_new(to, key, json_integer((json_int_t)v));
}

/* ARCH.rest: one number, or the first of one a layer. */
static bool arch_number(const struct gguf *g, str arch, const char *rest, uint64_t *out)
{
    char key[128];
    struct gguf_array a;
    snprintf(key, sizeof key, "%.*s.%s", STR_ARG(str_sub(arch, 0, 64)), rest);
    if (gguf_u64(g, key, out))
        return true;
    if (!gguf_array(g, key, &a) || a.n == 0 || gguf_array_i64(&a, 0) < 0)
        return false;
    *out = (uint64_t)gguf_array_i64(&a, 0);
    return true;
}

static json_t *shape_facts(const struct gguf *g, str arch)
{
    static const struct {
        const char *name, *key;
    } rows[] = {
        {"layers", "block_count"},
        {"embedding", "embedding_length"},
        {"heads", "attention.head_count"},
        {"kv_heads", "attention.head_count_kv"},
        {"head_dim", "attention.key_length"},
        {"feed_forward", "feed_forward_length"},
        {"experts", "expert_count"},
        {"window", "attention.sliding_window"},
    };
    json_t *shape = json_object();
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t v;
        if (arch_number(g, arch, rows[i].key, &v))
            put_int(shape, rows[i].name, v);
    }
    uint64_t embd = (uint64_t)json_integer_value(json_object_get(shape, "embedding"));
    uint64_t heads = (uint64_t)json_integer_value(json_object_get(shape, "heads"));
    if (!json_object_get(shape, "kv_heads") && heads)
        put_int(shape, "kv_heads", heads);
    if (!json_object_get(shape, "head_dim") && heads)
        put_int(shape, "head_dim", embd / heads);
    return shape;
}

static json_t *type_facts(const struct gguf *g, uint64_t *weights, uint64_t *bytes)
{
    uint64_t count[GGUF_TYPES] = {0}, size[GGUF_TYPES] = {0};
    json_t *types = json_object();

    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor(g, i);
        count[t->type]++;
        size[t->type] += t->size;
        *bytes += t->size;
        *weights += t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
    }
    for (int i = 0; i < GGUF_TYPES; i++) {
        if (count[i]) {
            json_t *row = json_object();
            put_int(row, "tensors", count[i]);
            put_int(row, "bytes", size[i]);
            json_object_set_new(types, gguf_type_info(i)->name, row);
        }
    }
    return types;
}

static void put_token(json_t *to, const char *name, const struct gguf *g, const char *key,
                      const struct gguf_array *tokens)
{
    uint32_t id;
    if (!gguf_u32(g, key, &id))
        return;
    json_t *token = json_object();
    put_int(token, "id", id);
    if (id < tokens->n)
        put_str(token, "text", tokens->strs[id]);
    json_object_set_new(to, name, token);
}

static json_t *tokenizer_facts(const struct gguf *g)
{
    struct gguf_array tokens = {0};
    json_t *facts = json_object();
    bool yes;
    str s;

    if (gguf_str(g, "tokenizer.ggml.model", &s))
        put_str(facts, "model", s);
    if (gguf_str(g, "tokenizer.ggml.pre", &s))
        put_str(facts, "pre", s);
    if (!gguf_array(g, "tokenizer.ggml.tokens", &tokens) || tokens.kind != GGUF_STR)
        return facts;
    put_int(facts, "tokens", tokens.n);
    put_token(facts, "bos", g, "tokenizer.ggml.bos_token_id", &tokens);
    put_token(facts, "eos", g, "tokenizer.ggml.eos_token_id", &tokens);
    if (gguf_bool(g, "tokenizer.ggml.add_bos_token", &yes))
        json_object_set_new(facts, "add_bos", json_boolean(yes));
    return facts;
}

static void sha256_hex(char out[65], str s)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)s.p, s.n, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(out + i * 2, 3, "%02x", digest[i]);
}

static json_t *template_facts(str source)
{
    char hex[65];
    json_t *facts = json_object();
    sha256_hex(hex, source);
    put_int(facts, "bytes", source.n);
    put_str(facts, "sha256", str_c(hex));
    put_str(facts, "source", source);
    return facts;
}

/* Everything that serving needs of the file, tried in order; the first obstacle is told. */
static bool can_run(const struct gguf *g, struct err *e)
{
    struct tok *tok = NULL;
    str source;

    if (gguf_n_tensors(g) == 0)
        return err_set(e, ERR_INPUT, "it holds no weights (a vocabulary alone?)");
    if (!engine_check(g, e))
        return false;
    if (!tok_open(&tok, g, e))
        return err_ctx(e, "tokenizer");
    tok_close(tok);
    if (gguf_str(g, "tokenizer.chat_template", &source)) {
        struct jinja *t = jinja_compile(source, e);
        if (!t)
            return err_ctx(e, "chat template");
        jinja_free(t);
    }
    return true;
}

static json_t *gather(const struct gguf *g, const char *path)
{
    uint64_t weights = 0, bytes = 0, v;
    struct err e = {0};
    json_t *facts = json_object();
    str arch = {0}, s;

    put_str(facts, "file", str_c(path));
    put_int(facts, "version", (uint64_t)gguf_version(g));
    put_int(facts, "parts", (uint64_t)gguf_n_parts(g));
    put_int(facts, "bytes", gguf_file_size(g));
    if (gguf_str(g, "general.architecture", &arch))
        put_str(facts, "architecture", arch);
    if (gguf_str(g, "general.name", &s))
        put_str(facts, "name", s);
    if (gguf_str(g, "general.license", &s))
        put_str(facts, "license", s);
    json_t *types = type_facts(g, &weights, &bytes);
    put_int(facts, "parameters", weights);
    put_int(facts, "tensor_bytes", bytes);
    if (arch_number(g, arch, "context_length", &v))
        put_int(facts, "context", v);
    json_object_set_new(facts, "shape", shape_facts(g, arch));
    json_object_set_new(facts, "types", types);
    json_object_set_new(facts, "tokenizer", tokenizer_facts(g));
    if (gguf_str(g, "tokenizer.chat_template", &s))
        json_object_set_new(facts, "chat_template", template_facts(s));
    bool runs = can_run(g, &e);
    json_object_set_new(facts, "runs", json_boolean(runs));
    if (!runs) {
        if (e.where[0] && !strstr(e.msg, e.where))
            put_str(facts, "where", str_c(e.where));
        put_str(facts, "reason", str_c(e.msg));
    }
    return facts;
}

/* A float as the double that its shortest decimal form names: 1e-05, not 9.999999747378752e-06. */
static double tidy(double v)
{
    char text[32];
    double d = v;
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (str_to_double(str_c(text), &d) && (float)d == (float)v)
            return d;
    }
    return v; // not finite
}

static json_t *real_of(enum gguf_kind kind, double v)
{
    return json_real(kind == GGUF_F32 ? tidy(v) : v); // NULL when not finite
}

static json_t *element(const struct gguf_array *a, size_t i)
{
    if (a->kind == GGUF_STR)
        return json_from_str(a->strs[i]);
    if (a->kind == GGUF_BOOL)
        return json_boolean(gguf_array_i64(a, i) != 0);
    if (a->kind == GGUF_F32 || a->kind == GGUF_F64)
        return real_of(a->kind, gguf_array_f64(a, i));
    return json_integer(gguf_array_i64(a, i));
}

static void append(json_t *to, json_t *v)
{
    json_array_append_new(to, v ? v : json_null());
}

static json_t *key_facts(const struct gguf *g)
{
    json_t *keys = json_array();
    for (size_t i = 0; i < gguf_n_keys(g); i++) {
        struct gguf_value v = gguf_value(g, i);
        json_t *row = json_object(), *value = NULL;
        put_str(row, "key", gguf_key(g, i));
        put_str(row, "kind", str_c(gguf_kind_name(v.kind)));
        if (v.kind == GGUF_STR) {
            value = json_from_str(v.s);
        } else if (v.kind == GGUF_BOOL) {
            value = json_boolean(v.i != 0);
        } else if (v.kind == GGUF_F32 || v.kind == GGUF_F64) {
            value = real_of(v.kind, v.f);
        } else if (v.kind != GGUF_ARRAY) {
            value = json_integer(v.i);
        } else {
            put_str(row, "of", str_c(gguf_kind_name(v.array.kind)));
            put_int(row, "length", v.array.n);
            value = json_array();
            for (size_t k = 0; k < v.array.n && k < ARRAY_SHOWN; k++)
                append(value, element(&v.array, k));
        }
        json_object_set_new(row, "value", value ? value : json_null());
        json_array_append_new(keys, row);
    }
    return keys;
}

static json_t *tensor_facts(const struct gguf *g)
{
    json_t *tensors = json_array();
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor(g, i);
        json_t *row = json_object(), *shape = json_array();
        put_str(row, "name", t->name);
        put_str(row, "type", str_c(gguf_type_info(t->type)->name));
        for (int k = 0; k < t->n_dims; k++)
            json_array_append_new(shape, json_integer((json_int_t)t->ne[k]));
        json_object_set_new(row, "shape", shape);
        put_int(row, "bytes", t->size);
        json_array_append_new(tensors, row);
    }
    return tensors;
}

/* The readable form */

/* A text of the file on one line: control characters are escaped, as they would steer the terminal;
 * past max bytes it is cut. */
static void show_text(str s, size_t max)
{
    bool cut = s.n > max;
    s = str_sub(s, 0, max);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool c1 = c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0; // U+0080..9F
        if (c == '\n')
            fputs("\\n", stdout);
        else if (c < 0x20 || c == 0x7f || c1)
            printf("\\x%02x", c);
        else
            putchar(c);
    }
    if (cut)
        fputs("...", stdout);
}

static str text_of(const json_t *o, const char *key)
{
    return json_as_str(json_object_get(o, key));
}

static int64_t int_of(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static const char *size_text(char out[32], uint64_t n)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)n;
    size_t u = 0;
    while (v >= 1024 && u + 1 < COUNT(units)) {
        v /= 1024;
        u++;
    }
    snprintf(out, 32, u ? "%.1f %s" : "%.0f %s", v, units[u]);
    return out;
}

static void show_line(const char *label, const json_t *o, const char *key)
{
    str s = text_of(o, key);
    if (!s.n)
        return;
    printf("%-14s", label);
    show_text(s, 200);
    putchar('\n');
}

static void show_shape(const json_t *facts)
{
    const json_t *s = json_object_get(facts, "shape");
    uint64_t n = (uint64_t)int_of(facts, "parameters");
    if (n)
        printf("%-14s%" PRIu64 " (%.*f %s)\n", "parameters", n, n >= 1000000 ? 2 : 1,
               (double)n / (n >= 1000000000 ? 1e9
                            : n >= 1000000  ? 1e6
                                            : 1e3),
               n >= 1000000000 ? "billion"
               : n >= 1000000  ? "million"
                               : "thousand");
    if (int_of(s, "layers"))
        printf("%-14s%" PRId64 " layers, %" PRId64 " wide, feed-forward %" PRId64 "\n", "shape",
               int_of(s, "layers"), int_of(s, "embedding"), int_of(s, "feed_forward"));
    if (int_of(s, "heads"))
        printf("%-14s%" PRId64 " heads of %" PRId64 ", %" PRId64 " for keys and values\n",
               "attention", int_of(s, "heads"), int_of(s, "head_dim"), int_of(s, "kv_heads"));
    if (int_of(s, "window"))
        printf("%-14s%" PRId64 " tokens\n", "window", int_of(s, "window"));
    if (int_of(s, "experts"))
        printf("%-14s%" PRId64 "\n", "experts", int_of(s, "experts"));
    if (int_of(facts, "context"))
        printf("%-14s%" PRId64 " tokens\n", "context", int_of(facts, "context"));
}

static void show_token(const char *label, const json_t *token)
{
    if (!token)
        return;
    printf(", %s %" PRId64 " ", label, int_of(token, "id"));
    show_text(text_of(token, "text"), 40);
}

static void show_tokenizer(const json_t *facts)
{
    const json_t *t = json_object_get(facts, "tokenizer");
    str model = text_of(t, "model"), pre = text_of(t, "pre");
    if (!model.n && !int_of(t, "tokens"))
        return;
    printf("%-14s%" PRId64 " tokens, ", "tokenizer", int_of(t, "tokens"));
    show_text(model, 40);
    if (pre.n) {
        fputs(" / ", stdout);
        show_text(pre, 40);
    }
    show_token("BOS", json_object_get(t, "bos"));
    show_token("EOS", json_object_get(t, "eos"));
    putchar('\n');
}

static void show_template(const json_t *facts)
{
    const json_t *t = json_object_get(facts, "chat_template");
    str rest = text_of(t, "source"), line;
    if (!t) {
        printf("%-14snone (ChatML will be used)\n", "template");
        return;
    }
    printf("%-14s%" PRId64 " bytes, sha256 %.*s\n", "template", int_of(t, "bytes"),
           STR_ARG(text_of(t, "sha256")));
    for (int i = 0; i < 3 && str_cut(&rest, '\n', &line); i++) {
        printf("%-14s  ", "");
        show_text(line, 80);
        putchar('\n');
    }
    if (rest.p && rest.n)
        printf("%-14s  ...\n", "");
}

static void show_types(const json_t *facts)
{
    const char *label = "types", *name;
    char size[32];
    json_t *row;
    json_object_foreach(json_object_get(facts, "types"), name, row)
    {
        printf("%-14s%-8s %5" PRId64 " tensors  %s\n", label, name, int_of(row, "tensors"),
               size_text(size, (uint64_t)int_of(row, "bytes")));
        label = "";
    }
}

static void show_value(const json_t *v)
{
    char number[JSON_REAL_MAX];
    size_t i;
    json_t *item;
    switch (json_typeof(v)) {
    case JSON_STRING: show_text(json_as_str(v), 120); break;
    case JSON_INTEGER: printf("%" JSON_INTEGER_FORMAT, json_integer_value(v)); break;
    case JSON_REAL:
        json_real_text(number, json_real_value(v));
        fputs(number, stdout);
        break;
    case JSON_TRUE: fputs("true", stdout); break;
    case JSON_FALSE: fputs("false", stdout); break;
    case JSON_ARRAY:
        json_array_foreach(v, i, item)
        {
            fputs(i ? ", " : "", stdout);
            show_value(item);
        }
        break;
    default: fputs("not finite", stdout); break;
    }
}

static void show_keys(const json_t *keys)
{
    size_t i;
    json_t *row;
    puts("\nkeys");
    json_array_foreach(keys, i, row)
    {
        const json_t *value = json_object_get(row, "value");
        fputs("  ", stdout);
        show_text(text_of(row, "key"), 100);
        printf("  %.*s", STR_ARG(text_of(row, "kind")));
        if (json_object_get(row, "of"))
            printf(" of %" PRId64 " %.*s", int_of(row, "length"), STR_ARG(text_of(row, "of")));
        fputs("  ", stdout);
        show_value(value);
        puts(int_of(row, "length") > ARRAY_SHOWN ? ", ..." : "");
    }
}

static void show_tensors(const json_t *tensors)
{
    size_t i, k;
    json_t *row, *dim;
    puts("\ntensors");
    json_array_foreach(tensors, i, row)
    {
        fputs("  ", stdout);
        show_text(text_of(row, "name"), 64);
        printf("  %.*s  ", STR_ARG(text_of(row, "type")));
        json_array_foreach(json_object_get(row, "shape"), k, dim)
            printf("%s%" JSON_INTEGER_FORMAT, k ? " x " : "", json_integer_value(dim));
        printf("  %" PRId64 " bytes\n", int_of(row, "bytes"));
    }
}

static void show(const json_t *facts)
{
    char size[32];
    int64_t parts = int_of(facts, "parts");

    show_line("file", facts, "file");
    printf("%-14sGGUF %" PRId64 ", %s", "format", int_of(facts, "version"),
           size_text(size, (uint64_t)int_of(facts, "bytes")));
    if (parts > 1)
        printf(" in %" PRId64 " parts", parts);
    putchar('\n');
    show_line("architecture", facts, "architecture");
    show_line("name", facts, "name");
    show_line("license", facts, "license");
    show_shape(facts);
    show_types(facts);
    show_tokenizer(facts);
    show_template(facts);
    printf("%-14s", "runs here");
    if (json_is_true(json_object_get(facts, "runs"))) {
        puts("yes");
    } else {
        str where = text_of(facts, "where");
        fputs("no: ", stdout);
        if (where.n) {
            show_text(where, 128);
            fputs(": ", stdout);
        }
        show_text(text_of(facts, "reason"), 512);
        putchar('\n');
    }
    if (json_object_get(facts, "keys"))
        show_keys(json_object_get(facts, "keys"));
    if (json_object_get(facts, "tensors"))
        show_tensors(json_object_get(facts, "tensors"));
}

static bool show_json(const json_t *facts, struct err *e)
{
    struct buf out = BUF_INIT(OUT_MAX);
    bool ok = json_write(&out, facts, JSON_PYTHON, 2) && buf_char(&out, '\n');
    if (ok)
        fwrite(out.p, 1, out.n, stdout);
    else
        err_set(e, ERR_LIMIT, "more than %zu bytes of JSON", OUT_MAX);
    buf_free(&out);
    return ok;
}

int cli_inspect(int argc, char **argv)
{
    static const struct option options[] = {
        {"keys", no_argument, NULL, 'k'},
        {"tensors", no_argument, NULL, 't'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    bool keys = false, tensors = false, json = false;
    struct gguf *g = NULL;
    struct err e = {0};
    int c;

    optind = 0;
    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (c) {
        case 'k': keys = true; break;
        case 't': tensors = true; break;
        case 'j': json = true; break;
        case 'h': fputs(help, stdout); return 0;
        default: fputs(help, stderr); return 2;
        }
    }
    if (argc - optind != 1) {
        fputs(help, stderr);
        return 2;
    }
    if (!gguf_open(&g, argv[optind], &e)) {
        fprintf(stderr, "confab inspect: %s\n", e.msg);
        return 1;
    }
    json_t *facts = gather(g, argv[optind]);
    if (keys)
        json_object_set_new(facts, "keys", key_facts(g));
    if (tensors)
        json_object_set_new(facts, "tensors", tensor_facts(g));
    bool ok = true;
    if (json)
        ok = show_json(facts, &e);
    else
        show(facts);
    json_decref(facts);
    gguf_close(g);
    if (!ok)
        fprintf(stderr, "confab inspect: %s\n", e.msg);
    return ok ? 0 : 1;
}
