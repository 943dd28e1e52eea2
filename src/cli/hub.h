/* cli/hub.h - which models a Hugging Face repository holds, and which one is meant.
 *
 * In:      what the user typed, and the hub's listing.  Out: the files to fetch.
 * Threads: pure, but for hub_fetch, which waits for the network. */
#ifndef CLI_HUB_H
#define CLI_HUB_H

#include "base/arena.h"
#include "base/err.h"

/* "OWNER/NAME", "OWNER/NAME:TAG", "OWNER/NAME/PATH.gguf", or the address of either on the hub. */
struct hub_ref {
    str repo;     // "OWNER/NAME"
    str revision; // "main" unless an address names another
    str tag;      // may be empty
    str path;     // of one file; may be empty
};

struct hub_file {
    str path;        // in the repository; checked: no way out of it
    const char *sha; // 64 hex digits, or NULL
    uint64_t size;
};

/* The files of one model: one, or the parts of a split one, in order. */
struct hub_model {
    str label; // its quantization, as far as the name tells: "Q4_K_M", "UD-Q4_K_XL"; else the name
    str stem;  // path without ".gguf" and part numbers
    int n_files, n_parts;
    struct hub_file **files; // [n_files]; complete when n_files == n_parts
    uint64_t size;           // of all
};

struct hub_list {
    struct hub_file *files;
    int n_files;
    struct hub_model *models; // by path
    int n_models;
    int n_unsafe; // files with names that lead elsewhere; they are left out
};

/* All from `a`, which they live as long as. */

/* ERR_INPUT: not of these forms. */
MUST_CHECK bool hub_read_ref(struct hub_ref *out, str text, struct arena *a, struct err *e);

/* Adds the .gguf files of one page of the listing (the hub's JSON).  ERR_FORMAT, ERR_LIMIT. */
MUST_CHECK bool hub_add_page(struct hub_list *l, str json, struct arena *a, struct err *e);

/* Groups the files once all pages are there. */
MUST_CHECK bool hub_group(struct hub_list *l, struct arena *a, struct err *e);

/* The model that is meant, by the reference's path, its tag (in any case), or without both the
 * first there of a list of good compromises.  ERR_NOT_FOUND (none), ERR_INPUT (more than one). */
MUST_CHECK const struct hub_model *hub_choose(const struct hub_list *l, const struct hub_ref *ref,
                                              struct err *e);

/* Fetches the listing.  token may be NULL.
 * ERR_NOT_FOUND, ERR_DENIED, ERR_BUSY, ERR_IO, ... */
MUST_CHECK bool hub_fetch(struct hub_list *l, const char *endpoint, const char *token,
                          const struct hub_ref *ref, struct arena *a, struct err *e);

/* Where a file is fetched. */
const char *hub_file_url(struct arena *a, const char *endpoint, const struct hub_ref *ref,
                         str path);

#endif
