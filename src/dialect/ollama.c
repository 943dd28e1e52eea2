/* dialect/ollama.c - Ollama's routes: chat and generate, lists, what cannot be done over HTTP. */
#include "dialect/ollama.h"

#include "dialect/fields.h"

#define LIST_MAX ((size_t)1 << 20)

static void serve_version(struct dialect *d, struct http_req *r, str segment)
{
    (void)d;
    (void)segment;
    http_reply(r, 200, "application/json", STR("{\"version\":\"" CONFAB_VERSION "\"}"));
}

/* The type that holds most bytes. */
static const char *main_type(const struct gguf *g)
{
    size_t sums[64] = {0}, best = 0;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor(g, i);
        if (t->type >= 0 && (size_t)t->type < COUNT(sums))
            sums[t->type] += t->size;
    }
    for (size_t i = 1; i < COUNT(sums); i++)
        if (sums[i] > sums[best])
            best = i;
    const struct gguf_type_info *info = gguf_type_info((int)best);
    return info ? info->name : "unknown";
}

static void write_details(const struct run_model *m, struct buf *out)
{
    double n = (double)m->info->n_params;
    buf_printf(out,
               "\"details\":{\"parent_model\":\"\",\"format\":\"gguf\",\"family\":\"%s\","
               "\"families\":[\"%s\"],\"parameter_size\":\"%.1f%s\",\"quantization_level\":\"%s\"}",
               m->info->arch, m->info->arch,
               n >= 1e9   ? n / 1e9
               : n >= 1e6 ? n / 1e6
                          : n / 1e3,
               n >= 1e9   ? "B"
               : n >= 1e6 ? "M"
                          : "K",
               main_type(m->gguf));
}

/* 64 digits that differ where name, size or time do; no cryptographic hash. */
static void write_digest(const struct run_model *m, struct buf *out)
{
    for (uint64_t part = 0; part < 4; part++) {
        uint64_t h = 0xcbf29ce484222325u + part;
        for (const char *p = m->name; *p; p++)
            h = (h ^ (unsigned char)*p) * 0x100000001b3u;
        h = (h ^ gguf_file_size(m->gguf)) * 0x100000001b3u;
        h = (h ^ (uint64_t)m->created_unix) * 0x100000001b3u;
        buf_printf(out, "%016llx", (unsigned long long)h);
    }
}

static void write_capabilities(const struct run_model *m, struct buf *out)
{
    buf_c(out, ",\"capabilities\":[\"completion\"");
    if (chat_takes_tools(m->tmpl))
        buf_c(out, ",\"tools\"");
    if (chat_template_mentions(m->tmpl, "enable_thinking"))
        buf_c(out, ",\"thinking\"");
    buf_char(out, ']');
}

static void write_model(const struct run_model *m, bool loaded, struct buf *out)
{
    for (int i = 0; i < 2; i++) {
        buf_c(out, i ? ",\"model\":" : "{\"name\":");
        json_write_str(out, str_c(m->name), JSON_PLAIN);
        if (!str_ends(str_c(m->name), STR(":latest")) && str_chr(str_c(m->name), ':') < 0) {
            out->n--; // the closing quote
            buf_c(out, ":latest\"");
        }
    }
    buf_c(out, ",\"modified_at\":");
    ollama_write_time(m->created_unix * 1000, out);
    buf_printf(out, ",\"size\":%llu,\"digest\":\"", (unsigned long long)gguf_file_size(m->gguf));
    write_digest(m, out);
    buf_c(out, "\",");
    write_details(m, out);
    if (loaded) // for as long as the server runs
        buf_printf(out,
                   ",\"expires_at\":\"9999-12-31T23:59:59Z\",\"size_vram\":0,"
                   "\"context_length\":%d",
                   sched_n_ctx(m->sched));
    else
        write_capabilities(m, out);
    buf_char(out, '}');
}

static void list(struct dialect *d, struct http_req *r, bool loaded)
{
    struct buf out = BUF_INIT(LIST_MAX);
    buf_c(&out, "{\"models\":[");
    for (size_t i = 0; i < runs_n_models(d->conf.runs); i++) {
        if (i)
            buf_char(&out, ',');
        write_model(runs_model(d->conf.runs, i), loaded, &out);
    }
    buf_c(&out, "]}");
    http_reply(r, 200, "application/json", buf_as_str(&out));
    buf_free(&out);
}

static void serve_tags(struct dialect *d, struct http_req *r, str segment)
{
    (void)segment;
    list(d, r, false);
}

static void serve_ps(struct dialect *d, struct http_req *r, str segment)
{
    (void)segment;
    list(d, r, true);
}

/* The file's metadata; lists are left out, as null. */
static void write_info(const struct gguf *g, struct buf *out)
{
    buf_char(out, '{');
    for (size_t i = 0; i < gguf_n_keys(g); i++) {
        struct gguf_value v = gguf_value(g, i);
        if (i)
            buf_char(out, ',');
        json_write_str(out, gguf_key(g, i), JSON_PLAIN);
        buf_char(out, ':');
        switch (v.kind) {
        case GGUF_STR: json_write_str(out, v.s, JSON_PLAIN); break;
        case GGUF_ARRAY: buf_c(out, "null"); break;
        case GGUF_BOOL: buf_c(out, v.i ? "true" : "false"); break;
        case GGUF_F32:
        case GGUF_F64: buf_printf(out, v.f - v.f == 0 ? "%.9g" : "null", v.f); break;
        default: buf_printf(out, "%lld", (long long)v.i); break;
        }
    }
    buf_char(out, '}');
}

struct show {
    str model, name;
    bool verbose;
};

static void serve_show(struct dialect *d, struct http_req *r, str segment)
{
    static const struct field fields[] = {
        {"model", FIELD_STR, offsetof(struct show, model)},
        {"name", FIELD_STR, offsetof(struct show, name)},
        {"verbose", FIELD_BOOL, offsetof(struct show, verbose)},
        {"system", FIELD_TAKE},
        {"template", FIELD_TAKE},
        {"options", FIELD_TAKE},
    };
    struct show in = {0};
    struct err e;
    (void)segment;
    json_t *body = dialect_parse_body(r, &e);
    bool ok = body && fields_read(fields, COUNT(fields), body, &in, "", NULL, &e);
    const struct run_model *m =
        ok ? ollama_find_model(d, in.model.n ? in.model : in.name, &e) : NULL;
    if (!m) {
        dialect_reply(r, ollama_error, &e);
        json_decref(body);
        return;
    }
    struct buf out = BUF_INIT(LIST_MAX);
    buf_c(&out, "{\"modelfile\":\"\",\"parameters\":\"\",\"template\":");
    json_write_str(&out, chat_template_source(m->tmpl), JSON_PLAIN);
    buf_char(&out, ',');
    write_details(m, &out);
    buf_c(&out, ",\"model_info\":");
    write_info(m->gguf, &out);
    write_capabilities(m, &out);
    buf_c(&out, ",\"modified_at\":");
    ollama_write_time(m->created_unix * 1000, &out);
    buf_char(&out, '}');
    http_reply(r, 200, "application/json", buf_as_str(&out));
    buf_free(&out);
    json_decref(body);
}

static void refuse(struct dialect *d, struct http_req *r, str segment)
{
    (void)d;
    (void)segment;
    http_reply(r, 501, "application/json",
               STR("{\"error\":\"this server does not do that: its models are the files it was "
                   "started with, and it makes no embeddings\"}"));
}

static const struct route routes[] = {
    {"POST", "/api/chat", "ollama.chat", &ollama_chat_wire, ollama_read_chat},
    {"POST", "/api/generate", "ollama.generate", &ollama_generate_wire, ollama_read_generate},
    {"GET", "/api/version", "ollama.version", .plain = serve_version},
    {"GET", "/api/tags", "ollama.tags", .plain = serve_tags},
    {"GET", "/api/ps", "ollama.ps", .plain = serve_ps},
    {"POST", "/api/show", "ollama.show", .plain = serve_show},
    {"POST", "/api/pull", "ollama.refused", .plain = refuse},
    {"POST", "/api/push", "ollama.refused", .plain = refuse},
    {"POST", "/api/create", "ollama.refused", .plain = refuse},
    {"POST", "/api/copy", "ollama.refused", .plain = refuse},
    {"POST", "/api/embed", "ollama.refused", .plain = refuse},
    {"POST", "/api/embeddings", "ollama.refused", .plain = refuse},
    {"DELETE", "/api/delete", "ollama.refused", .plain = refuse},
    {"POST", "/api/blobs/{}", "ollama.refused", .plain = refuse},
};

const struct brand ollama_brand = {"ollama", routes, COUNT(routes), ollama_error, .any_type = true};
