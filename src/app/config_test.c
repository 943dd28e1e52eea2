/* app/config_test.c - where options come from, which wins, and what is refused. */
#include "app/config.h"

#include "base/file.h"
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

static bool read_args(struct config *c, struct err *e, const char *a, const char *b)
{
    char *argv[] = {(char *)"serve", (char *)a, (char *)b, NULL};
    return config_read(c, a ? b ? 3 : 2 : 1, argv, e);
}

static void config_arguments_win_over_environment_over_file(void **state)
{
    (void)state;
    struct config c;
    struct err e;
    char path[] = "/tmp/confab-config-XXXXXX";
    close(mkstemp(path));
    assert_true(file_replace(path, STR("# a comment\nport = 1\nqueue=7\nhost = \"::1\"\n"), &e));
    setenv("CONFAB_CONFIG", path, 1);
    setenv("CONFAB_PORT", "2", 1);
    setenv("CONFAB_MAX_SEQS", "3", 1);
    assert_true(read_args(&c, &e, "--port", "4"));
    assert_int_equal(c.port, 4);
    assert_int_equal(c.max_seqs, 3);
    assert_int_equal(c.queue, 7);
    check_str(c.host, STR("::1"), "host");
    config_free(&c);
    assert_true(read_args(&c, &e, "--no-log-requests", NULL));
    assert_int_equal(c.port, 2);
    assert_false(c.log_requests);
    config_free(&c);

    assert_true(file_replace(path, STR("prot = 1\n"), &e));
    assert_false(read_args(&c, &e, NULL, NULL));
    assert_non_null(strstr(e.msg, "line 1"));
    unsetenv("CONFAB_CONFIG");
    unsetenv("CONFAB_PORT");
    unsetenv("CONFAB_MAX_SEQS");
    unlink(path);
}

static void config_refuses_what_it_does_not_know(void **state)
{
    static const struct {
        const char *a, *b, *says;
    } rows[] = {
        {"--prot", "1", "unknown option '--prot'"},
        {"--port", "65536", "from 0 to 65535"},
        {"--port", "x", "from 0 to 65535"},
        {"--port=", NULL, "from 0 to 65535"},
        {"--port", NULL, "needs a value"},
        {"--cors=maybe", NULL, "true or false"},
        {"model.gguf", NULL, "models are given with -m"},
        {"-m", "x=", "file is missing"},
        {"--no-port", "1", "unknown option"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct config c;
        struct err e;
        assert_false(read_args(&c, &e, rows[i].a, rows[i].b));
        assert_int_equal(e.code, ERR_INPUT);
        if (!strstr(e.msg, rows[i].says))
            fail_msg("%s: %s", rows[i].a, e.msg);
    }
}

static void config_models_may_have_names(void **state)
{
    static const struct {
        const char *arg, *name, *path;
    } rows[] = {
        {"a.gguf", "", "a.gguf"},
        {"m=a.gguf", "m", "a.gguf"},
        {"dir/a=b.gguf", "", "dir/a=b.gguf"},
        {"m=dir/a=b.gguf", "m", "dir/a=b.gguf"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct config c;
        struct err e;
        assert_true(read_args(&c, &e, "-m", rows[i].arg));
        assert_int_equal(c.n_models, 1);
        check_str(c.models[0].name, str_c(rows[i].name), rows[i].arg);
        check_str(c.models[0].path, str_c(rows[i].path), rows[i].arg);
        config_free(&c);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(config_arguments_win_over_environment_over_file),
    cmocka_unit_test(config_refuses_what_it_does_not_know),
    cmocka_unit_test(config_models_may_have_names),
};
TEST_FILE(tests)
