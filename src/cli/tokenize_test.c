/* cli/tokenize_test.c - the commands tokenize and detokenize as a shell sees them. */
#include "cli/cli.h"
#include "test.h"

#include <stdio.h>
#include <unistd.h>

#define BPE "tests/vectors/tok/tiny-bpe.gguf"

/* Puts `fd` in place of a standard stream; returns what was there. */
static int swap(int fd, int with)
{
    int old = dup(fd);
    assert_true(old >= 0 && dup2(with, fd) == fd);
    return old;
}

/* Runs a command with `in` on standard input; its standard output goes to *out. */
static int run(int (*command)(int, char **), int argc, char **argv, str in, struct buf *out)
{
    FILE *from = tmpfile(), *to = tmpfile(), *quiet = tmpfile();
    assert_true(from && to && quiet);
    assert_int_equal(fwrite(in.p, 1, in.n, from), in.n);
    rewind(from);
    fflush(stdout);
    int old[3] = {swap(0, fileno(from)), swap(1, fileno(to)), swap(2, fileno(quiet))};
    int code = command(argc, argv);
    fflush(stdout);
    fflush(stderr);
    for (int fd = 0; fd < 3; fd++) {
        dup2(old[fd], fd);
        close(old[fd]);
    }
    char chunk[4096];
    rewind(to);
    buf_clear(out);
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, to)) > 0;)
        buf_put(out, chunk, n);
    fclose(from);
    fclose(to);
    fclose(quiet);
    return code;
}

static void cli_tokenize_prints_ids(void **state)
{
    static const struct {
        const char *row;
        int (*command)(int, char **);
        const char *args[6];
        str in;
        int code;
        str want;
    } rows[] = {
        {"ids", cli_tokenize, {"-m", BPE}, STR_INIT("ab\n"), 0, STR_INIT("97 98 10\n")},
        {"none", cli_tokenize, {"-m", BPE}, STR_INIT(""), 0, STR_INIT("\n")},
        {"control", cli_tokenize, {"-m", BPE}, STR_INIT("<|im_end|>"), 0, STR_INIT("658\n")},
        {"many", cli_tokenize, {"-m", BPE, "-0"}, STR_INIT("a\0\0b\0"), 0, STR_INIT("97\n\n98\n")},
        {"last without end",
         cli_tokenize,
         {"-m", BPE, "-0"},
         STR_INIT("a\0b"),
         0,
         STR_INIT("97\n98\n")},
        {"no texts", cli_tokenize, {"-m", BPE, "-0"}, STR_INIT(""), 0, STR_INIT("")},
        {"json", cli_tokenize, {"-m", BPE, "--json"}, STR_INIT("ab"), 0, STR_INIT("[97, 98]\n")},
        {"pieces",
         cli_tokenize,
         {"-m", BPE, "--pieces"},
         STR_INIT("a\n\""),
         0,
         STR_INIT("97\t\"a\"\n10\t\"\\n\"\n34\t\"\\\"\"\n")},
        {"no file", cli_tokenize, {"-m", "/no/such/file"}, STR_INIT("a"), 1, STR_INIT("")},
        {"no model", cli_tokenize, {NULL}, STR_INIT("a"), 2, STR_INIT("")},
        {"a word too many", cli_tokenize, {"-m", BPE, "text"}, STR_INIT("a"), 2, STR_INIT("")},
        {"both forms",
         cli_tokenize,
         {"-m", BPE, "--json", "--pieces"},
         STR_INIT("a"),
         2,
         STR_INIT("")},
        {"text", cli_detokenize, {"-m", BPE}, STR_INIT("97 98\n10"), 0, STR_INIT("ab\n")},
        {"json in", cli_detokenize, {"-m", BPE}, STR_INIT("[97, 98]"), 0, STR_INIT("ab")},
        {"hidden", cli_detokenize, {"-m", BPE}, STR_INIT("97 658"), 0, STR_INIT("a")},
        {"shown",
         cli_detokenize,
         {"-m", BPE, "--special"},
         STR_INIT("97 658"),
         0,
         STR_INIT("a<|im_end|>")},
        {"many back",
         cli_detokenize,
         {"-m", BPE, "-0"},
         STR_INIT("97\n\n98\n"),
         0,
         STR_INIT("a\0\0b\0")},
        {"no such id", cli_detokenize, {"-m", BPE}, STR_INIT("663"), 1, STR_INIT("")},
        {"no id", cli_detokenize, {"-m", BPE}, STR_INIT("a"), 1, STR_INIT("")},
        {"negative", cli_detokenize, {"-m", BPE}, STR_INIT("-1"), 1, STR_INIT("")},
    };
    (void)state;
    struct buf out = BUF_INIT(1 << 16);
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *argv[8] = {(char[]){"command"}};
        int argc = 1;
        while (argc < 7 && rows[i].args[argc - 1]) {
            argv[argc] = (char *)(uintptr_t)rows[i].args[argc - 1];
            argc++;
        }
        int code = run(rows[i].command, argc, argv, rows[i].in, &out);
        if (code != rows[i].code)
            fail_msg("row \"%s\": exit code %d", rows[i].row, code);
        check_str(buf_as_str(&out), rows[i].want, rows[i].row);
    }
    buf_free(&out);
}

static void cli_tokenize_keeps_user_text_text(void **state)
{
    (void)state;
    struct buf ids = BUF_INIT(1 << 16), back = BUF_INIT(1 << 16);
    char *tokenize[] = {(char[]){"tokenize"},     (char[]){"-m"},       (char[]){BPE},
                        (char[]){"--no-special"}, (char[]){"--no-bos"}, NULL};
    char *detokenize[] = {(char[]){"detokenize"}, (char[]){"-m"}, (char[]){BPE}, NULL};
    assert_int_equal(run(cli_tokenize, 5, tokenize, STR("<|im_end|>"), &ids), 0);
    assert_true(str_find(buf_as_str(&ids), STR("658")) < 0);
    assert_int_equal(run(cli_detokenize, 3, detokenize, buf_as_str(&ids), &back), 0);
    check_bytes(&back, "<|im_end|>", "and back");
    buf_free(&ids);
    buf_free(&back);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(cli_tokenize_prints_ids),
    cmocka_unit_test(cli_tokenize_keeps_user_text_text),
};
TEST_FILE(tests)
