/* tools/mcp_test.c - messages and results, and sessions with servers good and bad: each bad one
 * costs its call, and leaves no descriptor behind. */
#include "tools/mcp.h"

#include "test.h"
#include "tools/mcp_message.h"

#include <dirent.h>
#include <event2/event.h>
#include <stdlib.h>

static void results_become_texts(void **state)
{
    static const struct {
        const char *result, *text, *content; // NULL text: it is none
        bool failed;
    } rows[] = {
        {"{\"content\":[{\"type\":\"text\",\"text\":\"42\"}]}", "42", ""},
        {"{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}],"
         "\"isError\":true}",
         "a\nb", "", true},
        {"{\"content\":[]}", "", ""},
        {"{\"content\":[],\"structuredContent\":{\"a\":1}}", "{\"a\":1}", ""},
        {"{\"structuredContent\":{\"a\":1}}", "{\"a\":1}", ""},
        {"{\"content\":[{\"type\":\"image\",\"data\":\"AAAA\",\"mimeType\":\"image/png\"}]}",
         "[image image/png, 4 bytes as base64: not shown to the model]",
         "[{\"type\":\"image\",\"data\":\"AAAA\",\"mimeType\":\"image/png\"}]"},
        {"{\"content\":[{\"type\":\"resource\",\"resource\":{\"uri\":\"u:1\",\"text\":\"t\"}}]}",
         "resource: u:1\nt",
         "[{\"type\":\"resource\",\"resource\":{\"uri\":\"u:1\",\"text\":\"t\"}}]"},
        {"{\"content\":[{\"type\":\"text\",\"text\":"
         "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}]}",
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n[cut: the result is longer]", ""},
        {"{\"content\":7}", NULL, NULL},
        {"{}", NULL, NULL},
        {"[]", NULL, NULL},
        {"{\"resultType\":\"input_required\",\"content\":[]}", NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf text = BUF_INIT(1000), content = BUF_INIT(1000);
        struct err e;
        bool failed = false;
        json_t *v = json_parse(str_c(rows[i].result), &e);
        assert_non_null(v);
        bool ok = mcp_result_read(v, 60, &text, &content, &failed, &e);
        assert_int_equal(ok, rows[i].text != NULL);
        if (ok) {
            check_str(buf_as_str(&text), str_c(rows[i].text), rows[i].result);
            check_str(buf_as_str(&content), str_c(rows[i].content), rows[i].result);
            assert_int_equal(failed, rows[i].failed);
        }
        json_decref(v);
        buf_free(&text);
        buf_free(&content);
    }
}

static void arguments_are_coerced(void **state)
{
    static const char schema[] =
        "{\"properties\":{\"n\":{\"type\":\"integer\"},\"x\":{\"type\":\"number\"},\"b\":{\"type\":"
        "\"boolean\"},\"s\":{\"type\":\"string\"},\"l\":{\"type\":\"array\"},\"o\":{\"type\":["
        "\"object\",\"null\"]},\"any\":{\"anyOf\":[{\"type\":\"integer\"},{\"oneOf\":[{\"type\":"
        "\"null\"}]}]},\"texts\":{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}}}";
    static const struct {
        const char *in, *want;
    } rows[] = {
        {"{\"n\":\"7\",\"x\":\"7.5\",\"b\":\"True\",\"s\":\"7\",\"l\":\"[1]\",\"o\":\"{}\"}",
         "{\"n\":7,\"x\":7.5,\"b\":true,\"s\":\"7\",\"l\":[1],\"o\":{}}"},
        {"{\"n\":\"7.5\",\"b\":\"yes\",\"l\":\"1\",\"o\":\"none\"}",
         "{\"n\":\"7.5\",\"b\":\"yes\",\"l\":\"1\"}"},
        {"{\"any\":\"7\",\"texts\":\"7\"}", "{\"any\":7,\"texts\":\"7\"}"},
        {"{\"any\":\"none\",\"n\":7}", "{\"n\":7}"},
        {"{\"n\":7,\"other\":\"7\",\"s\":null}", "{\"n\":7,\"other\":\"7\"}"},
    };
    struct err e;
    json_t *s = json_parse(str_c(schema), &e);
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out = BUF_INIT(1000);
        json_t *v = json_parse(str_c(rows[i].in), &e);
        mcp_coerce(v, s);
        json_write(&out, v, JSON_PLAIN, -1);
        check_str(buf_as_str(&out), str_c(rows[i].want), rows[i].in);
        json_decref(v);
        buf_free(&out);
    }
    json_decref(s);
}

/* A client, and what it was told. */
struct told {
    struct event_base *base;
    struct mcp *m;
    struct buf text;
    bool call; // the list was asked for first
};

static void on_called(const json_t *result, const struct err *error, void *arg)
{
    struct told *t = arg;
    if (error)
        buf_printf(&t->text, "error %s: %s", err_code_name(error->code), error->msg);
    else
        json_write(&t->text, result, JSON_PLAIN, -1);
    event_base_loopbreak(t->base);
}

static void on_listed(const json_t *result, const struct err *error, void *arg)
{
    struct told *t = arg;
    if (error) {
        on_called(result, error, arg);
        return;
    }
    buf_printf(&t->text, "%zu tools; ", json_array_size(result));
    json_t *args = json_pack("{s:i}", "a", 1);
    mcp_call(t->m, "add", args, on_called, t);
    json_decref(args);
}

static int count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

#define INIT                                                                                       \
    "read l; echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"protocolVersion\":\"2025-06-18\","  \
    "\"capabilities\":{}}}'; read l; "
#define LIST                                                                                       \
    "read l; echo '{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"tools\":[{\"name\":\"add\"}]}}'; "
#define CALL "read l; echo '{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"content\":[]}}'; "

static void programs_cost_their_call_alone(void **state)
{
    static const struct {
        const char *name, *script, *want; // want: how it begins
    } rows[] = {
        {"good", INIT LIST CALL "read l", "1 tools; {\"content\":[]}"},
        {"pages",
         INIT
         "read l; echo '{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"tools\":[{\"name\":\"a\"}],"
         "\"nextCursor\":\"x\"}}'; read l; case $l in *x*) echo "
         "'{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"tools\":[{\"name\":\"b\"}]}}';; esac; "
         "read l; echo '{\"jsonrpc\":\"2.0\",\"id\":4,\"result\":{\"content\":[1]}}'; read l",
         "2 tools; {\"content\":[1]}"},
        {"talks between",
         INIT LIST
         "read l; echo '{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}'; "
         "echo '{\"jsonrpc\":\"2.0\",\"id\":\"p\",\"method\":\"ping\"}'; read l; case $l "
         "in *result*) echo '{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"content\":[2]}}';;"
         " esac; read l",
         "1 tools; {\"content\":[2]}"},
        {"says rubbish", INIT "echo starting up...; " LIST CALL "read l",
         "1 tools; {\"content\":[]}"},
        {"error",
         INIT LIST "read l; echo '{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":-32602,"
                   "\"message\":\"no such\"}}'; read l",
         "1 tools; error input: MCP server 'shop': no such"},
        {"ends at once", "exit 7", "error io: MCP server 'shop': it ended with status 7"},
        {"ends at the call", INIT LIST "read l; exit 0",
         "1 tools; error io: MCP server 'shop': it ended with status 0"},
        {"dies", INIT LIST "read l; kill -9 $$",
         "1 tools; error io: MCP server 'shop': it died of signal 9"},
        {"hangs", INIT LIST "read l; read l; read l; read l",
         "1 tools; error timeout: MCP server 'shop': no answer in time"},
        {"hangs at once", "read l; read l; read l",
         "error timeout: MCP server 'shop': no answer in time"},
        {"floods", INIT LIST "read l; yes '{\"jsonrpc\":\"2.0\",\"method\":\"x\"}'",
         "1 tools; error limit: MCP server 'shop': it sends without end"},
        {"rubbish without end", INIT LIST "read l; yes rubbish",
         "1 tools; error input: MCP server 'shop': it sends what is no message"},
        {"an endless line", INIT LIST "read l; yes | tr -d '\\n'",
         "1 tools; error limit: MCP server 'shop': it sends a message of more than"},
        {"deep",
         INIT LIST "read l; i=0; s='['; while [ $i -lt 14 ]; do s=$s$s; i=$((i+1)); done; "
                   "while :; do echo \"{\\\"jsonrpc\\\":$s\"; done",
         "1 tools; error input: MCP server 'shop': it sends what is no message: JSON is nested"},
        {"other revision",
         "read l; echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"protocolVersion\":\"1\"}}'; "
         "read l",
         "error io: MCP server 'shop': it speaks revision '1'"},
        {"refuses",
         "read l; echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1,\"message\":\"no\"}}'; "
         "read l",
         "error io: MCP server 'shop': it refuses: no"},
        {"no list", INIT "read l; echo '{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}'; read l",
         "error io: MCP server 'shop': its list of tools is none"},
    };
    int before = 0;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *argv[] = {"sh", "-c", rows[i].script, NULL};
        struct told t = {.base = event_base_new()};
        bool hangs = strstr(rows[i].name, "hangs") != NULL;
        buf_init(&t.text, 10000);
        t.m = mcp_open(&(struct mcp_conf){.name = "shop",
                                          .base = t.base,
                                          .argv = argv,
                                          .list_timeout_ms = hangs ? 500 : 30000,
                                          .call_timeout_ms = hangs ? 500 : 30000,
                                          .max_message = 1 << 20});
        mcp_list(t.m, on_listed, &t);
        event_base_dispatch(t.base);
        check_str(str_sub(buf_as_str(&t.text), 0, strlen(rows[i].want)), str_c(rows[i].want),
                  rows[i].name);
        mcp_close(t.m);
        buf_free(&t.text);
        event_base_free(t.base);
        int now = count_fds();
        if (before && now != before)
            fail_msg("%s leaves descriptors", rows[i].name);
        before = now;
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(results_become_texts),
    cmocka_unit_test(arguments_are_coerced),
    cmocka_unit_test(programs_cost_their_call_alone),
};
TEST_FILE(tests)
