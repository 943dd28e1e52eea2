/* cli/main/main.c - `confab`: finds the subcommand. */
#include "cli/cli.h"

#include "app/config.h"
#include "dialect/dialect.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *help;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"serve", "serve chat over HTTP", cli_serve},
    {"chat", "talk to a model in the terminal", cli_chat},
    {"pull", "get a model from Hugging Face", cli_pull},
    {"models", "list the models that were pulled", cli_models},
    {"inspect", "show what a GGUF file is", cli_inspect},
    {"render", "render a chat template", cli_render},
    {"tokenize", "text to token ids", cli_tokenize},
    {"detokenize", "token ids to text", cli_detokenize},
    {"quantize", "write a GGUF file in another type", cli_quantize},
    {"synth", "write a random-weight model of a given shape", cli_synth},
    {"keys", "make, list and revoke API keys", cli_keys},
    {"bench", "measure a model's speed here", cli_bench},
};

static int help(FILE *to)
{
    fputs("confab: serves chat from GGUF models on an ordinary CPU\n\n"
          "usage: confab COMMAND [ARGUMENT ...]\n\n",
          to);
    for (size_t i = 0; i < COUNT(commands); i++)
        fprintf(to, "  %-12s %s\n", commands[i].name, commands[i].help);
    fputs("  help         this text\n"
          "  version      the version\n\n"
          "`confab COMMAND -h` explains a command.\n",
          to);
    return to == stdout ? 0 : 2;
}

/* Generated parts of docs/: see scripts/check-docs. */
static int document(void (*write)(struct buf *out))
{
    struct buf text = BUF_INIT((size_t)1 << 20);
    write(&text);
    fputs(buf_cstr(&text), stdout);
    buf_free(&text);
    return 0;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "help") == 0 && argc > 2 && strcmp(argv[2], "--markdown") == 0)
        return document(config_markdown);
    if (strcmp(name, "help") == 0 && argc > 2 && strcmp(argv[2], "--dialects") == 0)
        return document(dialect_document);
    for (size_t i = 0; i < COUNT(commands); i++) {
        bool asked = strcmp(name, commands[i].name) == 0;
        bool help_asked =
            strcmp(name, "help") == 0 && argc > 2 && strcmp(argv[2], commands[i].name) == 0;
        if (asked)
            return commands[i].run(argc - 1, argv + 1);
        if (help_asked) {
            char *args[] = {argv[2], (char[]){"-h"}, NULL};
            return commands[i].run(2, args);
        }
    }
    if (strcmp(name, "help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "--help") == 0)
        return help(stdout);
    if (strcmp(name, "version") == 0 || strcmp(name, "--version") == 0) {
        puts("confab " CONFAB_VERSION);
        return 0;
    }
    if (name[0])
        fprintf(stderr, "confab: there is no command '%s'\n\n", name);
    return help(stderr);
}
