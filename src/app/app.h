/* app/app.h - the server: builds the parts in order, runs the loop, tears them down. */
#ifndef APP_APP_H
#define APP_APP_H

#include "app/config.h"

/* Serves until a signal ends it.  Prints one line with the address to standard output when ready.
 * SIGTERM and SIGINT drain; a second one stops.  Returns the exit code. */
int app_serve(const struct config *c);

#endif
