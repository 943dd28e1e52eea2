/* cli/cli.h - the subcommands.  Each takes its arguments with argv[0] its own name, answers -h, and
 * returns the exit code: 0 ok, 1 failed (a message on standard error), 2 wrong usage. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

int cli_serve(int argc, char **argv);
int cli_chat(int argc, char **argv);
int cli_pull(int argc, char **argv);
int cli_models(int argc, char **argv);
int cli_inspect(int argc, char **argv);
int cli_render(int argc, char **argv);
int cli_tokenize(int argc, char **argv);
int cli_detokenize(int argc, char **argv);
int cli_quantize(int argc, char **argv);
int cli_synth(int argc, char **argv);
int cli_keys(int argc, char **argv);
int cli_bench(int argc, char **argv);

#endif
