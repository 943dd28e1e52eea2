/* tools/pins.c - what each tool of the operator's MCP servers was when it was first seen: a hash of
 * its name, description and schema, in `tool-pins.json` of the data folder.
 *
 * A server that changes a tool later is not believed: the change may carry instructions. */
#include "tools/tools_int.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "json/json.h"

#include <openssl/evp.h>

#define PINS_MAX  ((size_t)4 << 20)
#define PINS_MANY 20000

static void path_of(const struct tools *t, char out[4096])
{
    snprintf(out, 4096, "%s/tool-pins.json", t->data);
}

void tools_pins_load(struct tools *t)
{
    struct buf text = BUF_INIT(PINS_MAX);
    char path[4096];
    struct err e;
    t->pins = NULL;
    if (t->data) {
        path_of(t, path);
        if (file_read(path, &text, &e))
            t->pins = json_parse(buf_as_str(&text), &e);
        else if (e.code != ERR_NOT_FOUND)
            log_warn("tools.pins", "reason=\"%s\"", e.msg);
    }
    if (!json_is_object(t->pins)) {
        json_decref(t->pins);
        t->pins = json_object();
    }
    buf_free(&text);
}

static void hash(const json_t *tool, char out[65])
{
    struct buf text = BUF_INIT(PINS_MAX);
    json_t *v = json_object();
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    static const char *const keys[] = {"name", "description", "inputSchema"};
    for (size_t i = 0; i < COUNT(keys); i++) {
        json_t *part = json_object_get(tool, keys[i]);
        if (part)
            json_object_set(v, keys[i], part);
    }
    json_write(&text, v, JSON_SORT, -1);
    EVP_Digest(text.p, text.n, sum, &n, EVP_sha256(), NULL);
    for (unsigned i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", sum[i]);
    json_decref(v);
    buf_free(&text);
}

static void save(const struct tools *t)
{
    struct buf text = BUF_INIT(PINS_MAX);
    char path[4096];
    struct err e;
    if (!t->data)
        return;
    path_of(t, path);
    json_write(&text, t->pins, JSON_SORT, 1);
    if (!file_make_dirs(t->data, &e) || !file_replace_private(path, buf_as_str(&text), &e))
        log_warn("tools.pins", "reason=\"%s\"", e.msg);
    buf_free(&text);
}

bool tools_pin(struct tools *t, const char *server, const json_t *tool)
{
    char now[65], key[400];
    hash(tool, now);
    snprintf(key, sizeof key, "%s/%.300s", server,
             json_string_value(json_object_get(tool, "name")));
    const char *first = json_string_value(json_object_get(t->pins, key));
    if (first)
        return strcmp(first, now) == 0;
    if (json_object_size(t->pins) < PINS_MANY) {
        json_object_set_new(t->pins, key, json_string(now));
        save(t);
    }
    return true;
}
