/* cli/hub_test.c - names of models, listings, and which model is meant. */
#include "cli/hub.h"

#include "test.h"

static void hub_reads_references(void **state)
{
    static const struct {
        const char *text, *want; // "repo revision tag path", or NULL when refused
    } rows[] = {
        {"Qwen/Qwen3-0.6B-GGUF", "Qwen/Qwen3-0.6B-GGUF main [] []"},
        {"Qwen/Qwen3-0.6B-GGUF:q8_0", "Qwen/Qwen3-0.6B-GGUF main [q8_0] []"},
        {"a/b/c.gguf", "a/b main [] [c.gguf]"},
        {"a/b/dir/c.gguf", "a/b main [] [dir/c.gguf]"},
        {"hf.co/a/b:X", "a/b main [X] []"},
        {"https://huggingface.co/a/b", "a/b main [] []"},
        {"https://huggingface.co/a/b/", "a/b main [] []"},
        {"https://huggingface.co/a/b/blob/main/c.gguf", "a/b main [] [c.gguf]"},
        {"https://huggingface.co/a/b/resolve/v2/c.gguf?download=true", "a/b v2 [] [c.gguf]"},
        {"https://huggingface.co/a/b/tree/main", "a/b main [] []"},
        {"a", NULL},
        {"", NULL},
        {"a/", NULL},
        {"/b", NULL},
        {"a/b:", NULL},
        {"a/b:x/y", NULL},
        {"../b", NULL},
        {"a/..", NULL},
        {"a/b/c.bin", NULL},
        {"a/b/../c.gguf", NULL},
        {"a/b c", NULL},
        {"a/b?c", "a/b main [] []"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena a;
        struct hub_ref r;
        struct err e;
        struct buf got = BUF_INIT(1000);
        arena_init(&a, 10000);
        bool ok = hub_read_ref(&r, str_c(rows[i].text), &a, &e);
        if (ok != (rows[i].want != NULL))
            fail_msg("'%s': %s", rows[i].text, ok ? "taken" : e.msg);
        if (ok) {
            buf_printf(&got, "%.*s %.*s [%.*s] [%.*s]", STR_ARG(r.repo), STR_ARG(r.revision),
                       STR_ARG(r.tag), STR_ARG(r.path));
            check_bytes(&got, rows[i].want, rows[i].text);
        }
        buf_free(&got);
        arena_fini(&a);
    }
}

/* A listing of names parted by blanks, all of 10 bytes. */
static void make_list(struct hub_list *l, const char *names, struct arena *a)
{
    struct buf json = BUF_INIT(65536);
    str rest = str_c(names), name;
    struct err e;
    *l = (struct hub_list){0};
    buf_char(&json, '[');
    while (str_cut(&rest, ' ', &name))
        buf_printf(&json, "%s{\"type\":\"file\",\"path\":\"%.*s\",\"size\":10}",
                   json.n > 1 ? "," : "", STR_ARG(name));
    buf_char(&json, ']');
    assert_true(hub_add_page(l, buf_as_str(&json), a, &e));
    assert_true(hub_group(l, a, &e));
    buf_free(&json);
}

static void hub_chooses(void **state)
{
    static const struct {
        const char *name, *files, *ref, *want; // first file of the model, or NULL
    } rows[] = {
        {"the tag, in any case", "m-Q4_K_M.gguf m-Q8_0.gguf", "a/b:q8_0", "m-Q8_0.gguf"},
        {"a tag is a whole word", "m-Q4_K_M.gguf m-Q4_K.gguf", "a/b:Q4_K", "m-Q4_K.gguf"},
        {"a dot before it", "m.Q4_K_M.gguf m.Q8_0.gguf", "a/b:Q8_0", "m.Q8_0.gguf"},
        {"small letters in the name", "m-q8_0.gguf m-f16.gguf", "a/b:F16", "m-f16.gguf"},
        {"UD is a kind of its own", "m-Q4_K_M.gguf m-UD-Q4_K_M.gguf", "a/b:Q4_K_M",
         "m-Q4_K_M.gguf"},
        {"UD asked for", "m-Q4_K_M.gguf m-UD-Q4_K_M.gguf", "a/b:UD-Q4_K_M", "m-UD-Q4_K_M.gguf"},
        {"a folder has the tag",
         "BF16/m-00001-of-00002.gguf BF16/m-00002-of-00002.gguf x-Q8_0.gguf", "a/b:bf16",
         "BF16/m-00001-of-00002.gguf"},
        {"default: Q4_K_M", "m-Q8_0.gguf m-Q4_K_M.gguf m-Q2_K.gguf", "a/b", "m-Q4_K_M.gguf"},
        {"default: then Q8_0", "m-Q6_K.gguf m-Q8_0.gguf", "a/b", "m-Q8_0.gguf"},
        {"default: the only one", "odd.gguf", "a/b", "odd.gguf"},
        {"a projector is no model", "mmproj-F16.gguf m-Q8_0.gguf", "a/b:F16", NULL},
        {"nor the only one", "mmproj-Q8_0.gguf m-x.gguf", "a/b", "m-x.gguf"},
        {"by path", "d/m-1.gguf d/m-2.gguf", "a/b/d/m-2.gguf", "d/m-2.gguf"},
        {"by the path of a part", "m-00001-of-00002.gguf m-00002-of-00002.gguf",
         "a/b/m-00002-of-00002.gguf", "m-00001-of-00002.gguf"},
        {"ambiguous tag", "x-Q8_0.gguf y-Q8_0.gguf", "a/b:Q8_0", NULL},
        {"ambiguous default", "x-Q4_K_M.gguf y-Q4_K_M.gguf", "a/b", NULL},
        {"unknown kinds", "x-one.gguf x-two.gguf", "a/b", NULL},
        {"any word of the name", "x-one.gguf x-two.gguf", "a/b:two", "x-two.gguf"},
        {"missing tag", "m-Q8_0.gguf", "a/b:Q4_0", NULL},
        {"missing part", "m-Q8_0-00001-of-00003.gguf m-Q8_0-00003-of-00003.gguf", "a/b:Q8_0", NULL},
        {"first part missing", "m-Q8_0-00002-of-00002.gguf", "a/b:Q8_0", NULL},
        {"nothing", "readme.md", "a/b", NULL},
        {"names that climb",
         "../x-Q8_0.gguf /x-Q8_0.gguf a/../x-Q8_0.gguf .x-Q8_0.gguf a//x-Q8_0.gguf", "a/b:Q8_0",
         NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena a;
        struct hub_list l;
        struct hub_ref r;
        struct err e;
        arena_init(&a, 1 << 20);
        make_list(&l, rows[i].files, &a);
        assert_true(hub_read_ref(&r, str_c(rows[i].ref), &a, &e));
        const struct hub_model *m = hub_choose(&l, &r, &e);
        if (!m != !rows[i].want)
            fail_msg("%s: %s", rows[i].name, m ? "chosen" : e.msg);
        if (m) {
            check_str(m->files[0]->path, str_c(rows[i].want), rows[i].name);
            assert_int_equal(m->size, 10 * m->n_files);
        }
        arena_fini(&a);
    }
}

static void hub_refuses_odd_listings(void **state)
{
    static const char *const rows[] = {"", "{}", "[", "null", "[{\"path\":\"a\",\"path\":\"b\"}]"};
    static const char *const harmless[] = {
        "[]", "[1,null,[],{}]", "[{\"path\":5}]", "[{\"path\":\"x.gguf\",\"lfs\":5,\"size\":-4}]",
        "[{\"path\":\"x.gguf\",\"lfs\":{\"oid\":\"short\",\"size\":\"y\"}}]"};
    (void)state;
    struct arena a;
    struct err e;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hub_list l = {0};
        assert_false(hub_add_page(&l, str_c(rows[i]), &a, &e));
        assert_int_equal(e.code, ERR_FORMAT);
    }
    for (size_t i = 0; i < COUNT(harmless); i++) {
        struct hub_list l = {0};
        assert_true(hub_add_page(&l, str_c(harmless[i]), &a, &e));
        for (int k = 0; k < l.n_files; k++)
            assert_true(l.files[k].size == 0 && !l.files[k].sha);
    }
    arena_fini(&a);
}

static void hub_with_a_rising_cap(void **state)
{
    (void)state;
    bool passed = false;
    for (size_t cap = 0; cap < 400000 && !passed; cap += 997) {
        struct arena a;
        struct hub_list l = {0};
        struct err e = {0};
        arena_init(&a, cap);
        passed =
            hub_add_page(&l, STR("[{\"path\":\"x-Q8_0.gguf\"}]"), &a, &e) && hub_group(&l, &a, &e);
        assert_true(passed || e.code == ERR_LIMIT);
        arena_fini(&a);
    }
    assert_true(passed);
}

static void hub_makes_addresses(void **state)
{
    struct arena a;
    struct hub_ref r;
    struct err e;
    (void)state;
    arena_init(&a, 10000);
    assert_true(hub_read_ref(&r, STR("a/b"), &a, &e));
    assert_string_equal(hub_file_url(&a, "http://h", &r, STR("d e/m#1-Q8_0.gguf")),
                        "http://h/a/b/resolve/main/d%20e/m%231-Q8_0.gguf");
    arena_fini(&a);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(hub_reads_references),     cmocka_unit_test(hub_chooses),
    cmocka_unit_test(hub_refuses_odd_listings), cmocka_unit_test(hub_with_a_rising_cap),
    cmocka_unit_test(hub_makes_addresses),
};
TEST_FILE(tests)
