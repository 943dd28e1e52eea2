/* app/blob.h - files that are part of the binary. */
#ifndef APP_BLOB_H
#define APP_BLOB_H

#include "base/str.h"

str app_blob_page(void); // web/dist/index.html
str app_blob_starter(
    void); // models/starter/confab-starter.gguf; empty if it was not there at build

#endif
