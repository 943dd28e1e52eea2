/* tools/child_test.c - programs: what they say and how they end; nothing is left of them. */
#include "tools/child.h"

#include "test.h"

#include <dirent.h>
#include <event2/event.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct heard {
    struct event_base *base;
    struct buf out, err;
    int status, exits;
    struct tools_child *stop_at_output; // is stopped by its first words
};

static void on_out(str bytes, void *arg)
{
    struct heard *h = arg;
    buf_str(&h->out, bytes);
    if (h->stop_at_output) {
        tools_child_stop(h->stop_at_output);
        event_base_loopbreak(h->base);
    }
}

static void on_err(str bytes, void *arg)
{
    struct heard *h = arg;
    buf_str(&h->err, bytes);
}

static void on_exit_(int status, void *arg)
{
    struct heard *h = arg;
    h->status = status;
    h->exits++;
    event_base_loopbreak(h->base);
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

static struct tools_child *start(struct heard *h, const char *script)
{
    static const char *const env[] = {"PATH=/usr/bin:/bin", "WORD=here", NULL};
    const char *argv[] = {"sh", "-c", script, NULL};
    struct tools_child *c;
    struct err e;
    struct tools_child_conf conf = {.argv = argv,
                                    .env = env,
                                    .extra_fd = -1,
                                    .max_unsent = 1 << 20,
                                    .on_out = on_out,
                                    .on_err = on_err,
                                    .on_exit = on_exit_,
                                    .arg = h};
    if (!tools_child_start(&c, h->base, &conf, &e))
        fail_msg("%s", e.msg);
    return c;
}

static void heard_init(struct heard *h)
{
    *h = (struct heard){.base = event_base_new()};
    buf_init(&h->out, 1 << 22);
    buf_init(&h->err, 1 << 20);
}

static void heard_fini(struct heard *h)
{
    buf_free(&h->out);
    buf_free(&h->err);
    event_base_free(h->base);
}

static void children_speak_and_end(void **state)
{
    static const struct {
        const char *script, *in, *out, *err;
        int code;
    } rows[] = {
        {"echo hello; echo oh >&2; exit 3", "", "hello\n", "oh\n", 3},
        {"cat", "some input", "some input", "", 0},
        {"echo $WORD; env | wc -l | tr -d ' '", "", "here\n3\n", "", 0}, // with PWD of the shell
        {"ls /proc/self/fd | tr '\\n' ' '", "", "0 1 2 3 ", "", 0}, // 3: the folder that is read
        {"sleep 1000 & echo left; exit 0", "", "left\n", "", 0},    // what is left behind is killed
    };
    int before = 0;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct heard h;
        heard_init(&h);
        struct tools_child *c = start(&h, rows[i].script);
        assert_true(tools_child_write(c, str_c(rows[i].in)));
        tools_child_end_input(c);
        event_base_dispatch(h.base);
        check_str(buf_as_str(&h.out), str_c(rows[i].out), rows[i].script);
        check_str(buf_as_str(&h.err), str_c(rows[i].err), rows[i].script);
        assert_int_equal(h.exits, 1);
        assert_true(WIFEXITED(h.status));
        assert_int_equal(WEXITSTATUS(h.status), rows[i].code);
        heard_fini(&h);
        int now = count_fds();
        assert_true(before == 0 || now == before);
        before = now;
    }
}

static void children_take_a_megabyte(void **state)
{
    struct heard h;
    struct buf in = BUF_INIT(1 << 20);
    (void)state;
    heard_init(&h);
    for (int i = 0; i < 1 << 20; i++)
        buf_char(&in, (char)('a' + i % 26));
    struct tools_child *c = start(&h, "cat");
    assert_true(tools_child_write(c, buf_as_str(&in)));
    assert_false(tools_child_write(c, STR("x"))); // over its bound
    tools_child_end_input(c);
    event_base_dispatch(h.base);
    assert_true(str_eq(buf_as_str(&h.out), buf_as_str(&in)));
    buf_free(&in);
    heard_fini(&h);
}

/* Stopped from within its own callback, with a grandchild: no exit is told, nothing runs on.  Both
 * hold an end of a pipe, which is at its end once they are dead. */
static void children_are_stopped_with_theirs(void **state)
{
    const char *argv[] = {"sh", "-c", "sleep 1000 & echo up; wait", NULL};
    const char *env[] = {"PATH=/usr/bin:/bin", NULL};
    struct heard h;
    struct err e;
    char byte;
    int ends[2];
    (void)state;
    heard_init(&h);
    assert_int_equal(pipe(ends), 0);
    struct tools_child_conf conf = {.argv = argv,
                                    .env = env,
                                    .extra_fd = ends[1],
                                    .on_out = on_out,
                                    .on_err = on_err,
                                    .on_exit = on_exit_,
                                    .arg = &h};
    assert_true(tools_child_start(&h.stop_at_output, h.base, &conf, &e));
    close(ends[1]);
    event_base_dispatch(h.base);
    check_str(buf_as_str(&h.out), STR("up\n"), "said");
    assert_int_equal(h.exits, 0);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    close(ends[0]);
    heard_fini(&h);
}

static void children_that_are_not_there(void **state)
{
    const char *argv[] = {"confab-no-such-program", NULL}, *env[] = {NULL};
    struct tools_child_conf conf = {.argv = argv, .env = env, .extra_fd = -1};
    struct tools_child *c;
    struct err e;
    struct event_base *base = event_base_new();
    (void)state;
    assert_false(tools_child_start(&c, base, &conf, &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
    event_base_free(base);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(children_speak_and_end),
    cmocka_unit_test(children_take_a_megabyte),
    cmocka_unit_test(children_are_stopped_with_theirs),
    cmocka_unit_test(children_that_are_not_there),
};
TEST_FILE(tests)
