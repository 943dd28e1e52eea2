/* cli/models.h - where pulled models lie, and sizes for people. */
#ifndef CLI_MODELS_H
#define CLI_MODELS_H

#include "base/buf.h"
#include "base/err.h"

/* Appends $CONFAB_MODELS, or ~/.local/share/confab/models.  ERR_INPUT without either. */
MUST_CHECK bool cli_models_dir(struct buf *out, struct err *e);

/* "639.4 MB" (powers of 1000, as disks and the hub count). */
const char *cli_size_text(char out[24], double bytes);

#endif
