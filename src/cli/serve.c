/* cli/serve.c - `confab serve`. */
#include "cli/cli.h"

#include "app/app.h"
#include "base/log.h"

#include <stdio.h>

int cli_serve(int argc, char **argv)
{
    struct config c;
    struct err e;
    if (!config_read(&c, argc, argv, &e)) {
        fprintf(stderr, "confab serve: %s\n", e.msg);
        return e.code == ERR_INPUT ? 2 : 1;
    }
    int code = 0;
    if (c.help) {
        struct buf text = BUF_INIT(65536);
        config_help(&text);
        fputs(buf_cstr(&text), stdout);
        buf_free(&text);
    } else if (!log_configure(c.log)) {
        fprintf(stderr,
                "confab serve: --log: '%.*s' is not understood; try info, or warn,sched=debug\n",
                STR_ARG(c.log));
        code = 2;
    } else {
        code = app_serve(&c);
    }
    config_free(&c);
    return code;
}
