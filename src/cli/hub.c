/* cli/hub.c - see hub.h.  Source of the listing's form: huggingface.co's API, models/…/tree. */
#include "cli/hub.h"

#include "http/client.h"

#include <jansson.h>

#define FILES_MAX 2000
#define PAGES_MAX 20
#define PAGE_MAX  (8u << 20)

/* Without a tag: small losses at a small size first. */
static const char *const preferred[] = {"Q4_K_M", "Q8_0",   "Q5_K_M", "Q6_K",  "Q4_K_S", "Q5_K_S",
                                        "Q4_0",   "IQ4_XS", "IQ4_NL", "MXFP4", "Q4_1",   "Q5_0",
                                        "Q5_1",   "Q3_K_M", "BF16",   "F16",   "F32"};

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Letters, digits, '.', '-', '_' as the hub has them, and no name that climbs. */
static bool is_name(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_word(s.p[i]) && s.p[i] != '.' && s.p[i] != '-')
            return false;
    return s.n > 0 && s.n <= 96 && s.p[0] != '.' && s.p[0] != '-';
}

/* A path that stays where it is put: no empty, hidden or climbing part, no odd characters. */
static bool is_safe_path(str path)
{
    str rest = path, part;
    if (path.n == 0 || path.n > 500)
        return false;
    while (str_cut(&rest, '/', &part)) {
        if (part.n == 0 || part.n > 200 || part.p[0] == '.')
            return false;
        for (size_t i = 0; i < part.n; i++)
            if ((unsigned char)part.p[i] < ' ' || part.p[i] == '\\' || part.p[i] == 0x7f)
                return false;
    }
    return true;
}

static bool bad_ref(struct err *e, str text)
{
    return err_set(e, ERR_INPUT,
                   "'%.*s' is no model of the hub; write OWNER/NAME, OWNER/NAME:Q4_K_M or "
                   "OWNER/NAME/FILE.gguf",
                   STR_ARG(text));
}

bool hub_read_ref(struct hub_ref *out, str text, struct arena *a, struct err *e)
{
    static const str sites[] = {STR_INIT("https://huggingface.co/"), STR_INIT("huggingface.co/"),
                                STR_INIT("https://hf.co/"), STR_INIT("hf.co/"), STR_INIT("hf:")};
    struct hub_ref ref = {.revision = STR("main")};
    str rest = text, owner, name, word;
    for (size_t i = 0; i < COUNT(sites); i++)
        if (str_starts(rest, sites[i])) {
            rest = str_from(rest, sites[i].n);
            break;
        }
    ptrdiff_t query = str_chr(rest, '?');
    if (query >= 0)
        rest = str_sub(rest, 0, (size_t)query);
    if (!str_cut(&rest, '/', &owner) || !rest.p)
        return bad_ref(e, text);
    str_cut(&rest, '/', &name);
    str colon = name;
    if (!rest.p && str_cut(&colon, ':', &name) && colon.p) {
        ref.tag = colon;
        if (!is_name(colon))
            return bad_ref(e, text);
    }
    if (!is_name(owner) || !is_name(name))
        return bad_ref(e, text);
    ref.repo = str_n(owner.p, (size_t)(name.p + name.n - owner.p));
    str kept = rest;
    if (rest.p && str_cut(&kept, '/', &word) && kept.p &&
        (str_eq(word, STR("blob")) || str_eq(word, STR("resolve")) || str_eq(word, STR("tree")))) {
        str_cut(&kept, '/', &ref.revision);
        if (!is_name(ref.revision))
            return bad_ref(e, text);
        rest = kept;
    }
    if (rest.p && rest.n > 0) {
        if (!is_safe_path(rest) || !str_ends(rest, STR(".gguf")))
            return bad_ref(e, text);
        ref.path = rest;
    }
    ref.repo = arena_str(a, ref.repo);
    ref.revision = arena_str(a, ref.revision);
    ref.tag = arena_str(a, ref.tag);
    ref.path = arena_str(a, ref.path);
    if (a->full)
        return err_set(e, ERR_LIMIT, "the name is too long");
    *out = ref;
    return true;
}

static bool is_sha256(const char *s)
{
    return s && strlen(s) == 64 && strspn(s, "0123456789abcdefABCDEF") == 64;
}

static bool add_file(struct hub_list *l, const json_t *item, struct arena *a, struct err *e)
{
    const json_t *path = json_object_get(item, "path");
    const json_t *lfs = json_object_get(item, "lfs");
    const char *type = json_string_value(json_object_get(item, "type"));
    str p = {json_string_value(path), json_string_length(path)};
    if (!p.p || (type && strcmp(type, "file") != 0) || p.n < 6 ||
        !str_eq_nocase(str_from(p, p.n - 5), STR(".gguf")))
        return true;
    if (!is_safe_path(p)) {
        l->n_unsafe++;
        return true;
    }
    if (!l->files)
        l->files = arena_calloc(a, FILES_MAX, sizeof *l->files);
    if (!l->files || l->n_files == FILES_MAX)
        return err_set(e, ERR_LIMIT, "the repository lists more than %d models", FILES_MAX);
    const char *sha = json_string_value(json_object_get(lfs, "oid"));
    const json_t *size = json_object_get(lfs ? lfs : item, "size");
    json_int_t n = json_integer_value(size);
    l->files[l->n_files++] = (struct hub_file){
        .path = arena_str(a, p),
        .sha = is_sha256(sha) ? arena_str(a, str_c(sha)).p : NULL,
        .size = n > 0 ? (uint64_t)n : 0,
    };
    return !a->full || err_set(e, ERR_LIMIT, "the repository's listing is too long");
}

bool hub_add_page(struct hub_list *l, str json, struct arena *a, struct err *e)
{
    json_error_t where;
    json_t *page = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, &where);
    bool ok = json_is_array(page);
    if (!ok)
        err_set(e, ERR_FORMAT, "the hub's listing is not understood%s%s", page ? "" : ": ",
                page ? "" : where.text);
    for (size_t i = 0; ok && i < json_array_size(page); i++)
        ok = add_file(l, json_array_get(page, i), a, e);
    json_decref(page);
    return ok;
}

/* "x-00002-of-00005" → "x", 2, 5.  False (untouched) for anything else. */
static bool cut_part(str *stem, int *part, int *n_parts)
{
    uint64_t i, n;
    if (stem->n < 16)
        return false;
    str tail = str_from(*stem, stem->n - 15);
    if (tail.p[0] != '-' || !str_eq(str_sub(tail, 6, 4), STR("-of-")) ||
        !str_to_u64(str_sub(tail, 1, 5), &i) || !str_to_u64(str_sub(tail, 10, 5), &n) || i < 1 ||
        i > n || n > FILES_MAX)
        return false;
    *stem = str_sub(*stem, 0, stem->n - 15);
    *part = (int)i;
    *n_parts = (int)n;
    return true;
}

static str base_name(str path)
{
    return str_from(path, (size_t)(str_rchr(path, '/') + 1));
}

/* Does a word of the kind "Q4_K_M", "IQ2_XXS", "F16", "bf16", "MXFP4" stand here? */
static bool is_quant(str word)
{
    static const str plain[] = {STR_INIT("F16"),  STR_INIT("F32"),  STR_INIT("BF16"),
                                STR_INIT("FP16"), STR_INIT("FP32"), STR_INIT("MXFP4")};
    for (size_t i = 0; i < COUNT(plain); i++)
        if (str_eq_nocase(word, plain[i]) ||
            (word.n > plain[i].n && word.p[plain[i].n] == '_' &&
             str_eq_nocase(str_sub(word, 0, plain[i].n), plain[i])))
            return true;
    if (word.n > 1 && strchr("iItT", word.p[0]))
        word = str_from(word, 1);
    return word.n >= 4 && (word.p[0] == 'q' || word.p[0] == 'Q') && word.p[1] >= '1' &&
           word.p[1] <= '8' && word.p[2] == '_';
}

/* The last such word of the stem, with "UD-" before it when it is there. */
static str find_label(str stem)
{
    str label = base_name(stem);
    for (size_t i = 0, n; i < stem.n; i += n + 1) {
        for (n = 0; i + n < stem.n && is_word(stem.p[i + n]);)
            n++;
        if (!is_quant(str_sub(stem, i, n)))
            continue;
        label = str_sub(stem, i, n);
        if (i >= 3 && str_eq_nocase(str_sub(stem, i - 3, 3), STR("UD-")) &&
            (i == 3 || !is_word(stem.p[i - 4])))
            label = str_sub(stem, i - 3, n + 3);
    }
    return label;
}

static int by_path(const void *a, const void *b)
{
    return str_cmp(((const struct hub_file *)a)->path, ((const struct hub_file *)b)->path);
}

bool hub_group(struct hub_list *l, struct arena *a, struct err *e)
{
    if (l->n_files == 0)
        return true;
    qsort(l->files, (size_t)l->n_files, sizeof *l->files, by_path);
    l->models = arena_calloc(a, (size_t)l->n_files, sizeof *l->models);
    struct hub_file **order = arena_calloc(a, (size_t)l->n_files, sizeof *order);
    if (!l->models || !order)
        return err_set(e, ERR_LIMIT, "the repository's listing is too long");
    for (int i = 0; i < l->n_files; i++) {
        struct hub_file *f = &l->files[i];
        str stem = str_sub(f->path, 0, f->path.n - 5);
        int part = 1, n_parts = 1;
        cut_part(&stem, &part, &n_parts);
        struct hub_model *m = l->n_models ? &l->models[l->n_models - 1] : NULL;
        order[i] = f;
        if (m && part > 1 && m->n_parts == n_parts && part == m->n_files + 1 &&
            str_eq(m->stem, stem)) {
            m->n_files++;
            m->size += f->size;
            continue;
        }
        l->models[l->n_models++] = (struct hub_model){.label = find_label(stem),
                                                      .stem = stem,
                                                      .n_files = part == 1 ? 1 : 0,
                                                      .n_parts = n_parts,
                                                      .files = &order[i],
                                                      .size = f->size};
    }
    return true;
}

/* Projectors of vision models and importance matrices are no models of their own. */
static bool is_companion(const struct hub_model *m)
{
    str name = base_name(m->stem);
    return str_eq_nocase(str_sub(name, 0, 6), STR("mmproj")) || str_find(name, STR("imatrix")) >= 0;
}

/* Is `tag` a whole word (or several) of the stem? */
static bool has_word(str stem, str tag)
{
    for (size_t i = 0; i + tag.n <= stem.n; i++)
        if (str_eq_nocase(str_sub(stem, i, tag.n), tag) && (i == 0 || !is_word(stem.p[i - 1])) &&
            (i + tag.n == stem.n || !is_word(stem.p[i + tag.n])))
            return true;
    return false;
}

/* The only model that fits, by label, else by any word of its name. */
static const struct hub_model *by_tag(const struct hub_list *l, str tag, struct err *e)
{
    for (int pass = 0; pass < 2; pass++) {
        const struct hub_model *found = NULL;
        int n = 0;
        for (int i = 0; i < l->n_models; i++) {
            const struct hub_model *m = &l->models[i];
            bool fits = pass == 0 ? str_eq_nocase(m->label, tag) : has_word(m->stem, tag);
            if (!fits || is_companion(m))
                continue;
            found = m;
            n++;
        }
        if (n == 1)
            return found;
        if (n > 1) {
            err_set(e, ERR_INPUT, "':%.*s' fits %d models; give the path of one", STR_ARG(tag), n);
            return NULL;
        }
    }
    err_set(e, ERR_NOT_FOUND, "there is no ':%.*s'", STR_ARG(tag));
    return NULL;
}

static const struct hub_model *choose(const struct hub_list *l, const struct hub_ref *ref,
                                      struct err *e)
{
    if (ref->path.n) {
        for (int i = 0; i < l->n_models; i++)
            for (int f = 0; f < l->models[i].n_files; f++)
                if (str_eq(l->models[i].files[f]->path, ref->path))
                    return &l->models[i];
        err_set(e, ERR_NOT_FOUND, "there is no file %.*s", STR_ARG(ref->path));
        return NULL;
    }
    if (ref->tag.n)
        return by_tag(l, ref->tag, e);
    const struct hub_model *only = NULL;
    int n = 0;
    for (int i = 0; i < l->n_models; i++)
        if (!is_companion(&l->models[i])) {
            only = &l->models[i];
            n++;
        }
    if (n == 1)
        return only;
    for (size_t i = 0; i < COUNT(preferred); i++) {
        const struct hub_model *m = by_tag(l, str_c(preferred[i]), e);
        if (m || e->code == ERR_INPUT)
            return m;
    }
    if (n == 0)
        err_set(e, ERR_NOT_FOUND, "the repository holds no GGUF model");
    else
        err_set(e, ERR_INPUT, "the repository holds %d models; say which", n);
    return NULL;
}

const struct hub_model *hub_choose(const struct hub_list *l, const struct hub_ref *ref,
                                   struct err *e)
{
    const struct hub_model *m = choose(l, ref, e);
    if (m && m->n_files != m->n_parts) {
        err_set(e, ERR_FORMAT, "%.*s has %d parts, but not all of them are there", STR_ARG(m->stem),
                m->n_parts);
        return NULL;
    }
    return m;
}

/* Appends a path with everything escaped that has a meaning in URLs. */
static void put_escaped(struct buf *out, str path)
{
    for (size_t i = 0; i < path.n; i++)
        if (is_word(path.p[i]) || strchr("/.-~", path.p[i]))
            buf_char(out, path.p[i]);
        else
            buf_printf(out, "%%%02X", (unsigned)(unsigned char)path.p[i]);
}

const char *hub_file_url(struct arena *a, const char *endpoint, const struct hub_ref *ref, str path)
{
    struct buf url = BUF_INIT(4096);
    buf_printf(&url, "%s/%.*s/resolve/", endpoint, STR_ARG(ref->repo));
    put_escaped(&url, ref->revision);
    buf_char(&url, '/');
    put_escaped(&url, path);
    const char *text = arena_str(a, buf_as_str(&url)).p;
    buf_free(&url);
    return text;
}

static bool explain_status(int status, const char *token, const struct hub_ref *ref, struct err *e)
{
    if (status == 404)
        return err_set(e, ERR_NOT_FOUND, "there is no repository %.*s (revision %.*s)",
                       STR_ARG(ref->repo), STR_ARG(ref->revision));
    if (status == 401 || status == 403)
        return err_set(e, ERR_DENIED,
                       token ? "%.*s is private, gated or does not exist, and HF_TOKEN does not "
                               "open it; accept its terms on its page first"
                             : "%.*s is private, gated or does not exist; if it is yours, set "
                               "HF_TOKEN",
                       STR_ARG(ref->repo));
    if (status == 429)
        return err_set(e, ERR_BUSY, "the hub answers: too many requests; try again later");
    return err_set(e, status >= 500 ? ERR_BUSY : ERR_IO, "the hub answers HTTP %d; try again later",
                   status);
}

/* `Link: <URL>; rel="next"`, if it leads to the same hub. */
static bool next_page(const struct http_result *res, const char *endpoint, struct buf *url)
{
    str link, head;
    buf_clear(url);
    if (!http_result_header(res, "Link", &link) || str_find(link, STR("rel=\"next\"")) < 0 ||
        !str_starts(link, STR("<")) || !str_cut(&link, '>', &head))
        return false;
    head = str_from(head, 1);
    if (!str_starts(head, str_c(endpoint)) || head.p[strlen(endpoint)] != '/')
        return false;
    return buf_str(url, head);
}

bool hub_fetch(struct hub_list *l, const char *endpoint, const char *token,
               const struct hub_ref *ref, struct arena *a, struct err *e)
{
    struct buf url = BUF_INIT(4096), page = BUF_INIT(PAGE_MAX), auth = BUF_INIT(1024);
    const char *headers[] = {NULL, NULL};
    buf_printf(&url, "%s/api/models/%.*s/tree/", endpoint, STR_ARG(ref->repo));
    put_escaped(&url, ref->revision);
    buf_c(&url, "?recursive=1");
    if (token) {
        buf_printf(&auth, "Authorization: Bearer %s", token);
        headers[0] = buf_cstr(&auth);
    }
    bool ok = true, more = true;
    for (int i = 0; ok && more; i++) {
        if (i == PAGES_MAX) {
            ok = err_set(e, ERR_LIMIT, "the repository's listing is too long");
            break;
        }
        buf_clear(&page);
        struct http_call call = {
            .url = buf_cstr(&url), .headers = headers, .out = &page, .timeout_ms = 60000};
        struct http_result res;
        ok = http_call(&call, &res, e);
        if (ok && res.status != 200)
            ok = explain_status(res.status, token, ref, e);
        ok = ok && hub_add_page(l, buf_as_str(&page), a, e);
        more = ok && next_page(&res, endpoint, &url);
        http_result_fini(&res);
    }
    buf_free(&url);
    buf_free(&page);
    buf_free(&auth);
    return ok && hub_group(l, a, e);
}
