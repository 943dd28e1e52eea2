/* app/keys.h - API keys: who may ask, and for which team.
 *
 * In:      DIR/keys.json, and a key as a client sent it.  Out: the key's team.
 * Threads: any, one at a time for each struct; the server's watch belongs to the loop thread.
 *
 * A key is shown once, when it is made; the file holds its SHA-256 with the file's salt.  Keys are
 * 142 random bits, so a fast digest is enough: there is nothing to guess.  Once the file is there,
 * a key is asked for, even if the file holds none; only removing it and starting again opens the
 * server. */
#ifndef APP_KEYS_H
#define APP_KEYS_H

#include "base/err.h"
#include "base/id.h"
#include "base/str.h"

#include <sys/stat.h>

#define KEYS_MAX      4096 // in one file
#define KEYS_NAME_MAX 64   // bytes of a name, of a team
#define KEYS_FILE_MAX ((size_t)4 << 20)

struct key {
    char id[ID_MAX]; // "key_..."
    char name[KEYS_NAME_MAX + 1];
    char team[KEYS_NAME_MAX + 1];
    int64_t created_unix; // seconds
    unsigned char digest[32];
};

/* Zeroed memory is an empty one. */
struct keys {
    unsigned char salt[16];
    struct key *list; // in the order in which they were made
    size_t n;
};
void keys_fini(struct keys *k);

/* Reads a file's text.  *k is untouched on failure.
 *   ERR_FORMAT, where = place in the file */
MUST_CHECK bool keys_parse(struct keys *k, str text, struct err *e);

/* Reads dir/keys.json.  ERR_NOT_FOUND (there is none), ERR_FORMAT, ERR_IO. */
MUST_CHECK bool keys_load(struct keys *k, const char *dir, struct err *e);

/* The key that a client's text is, or NULL.  Takes the same time whichever matches. */
const struct key *keys_find(const struct keys *k, str secret);

/* Makes a key and writes the file, with mode 0600; the folder is created.
 *   name    letters, digits and . _ - @, at most KEYS_NAME_MAX, not yet taken, not like an id
 *   team    the same characters
 *   secret  the key itself, which nobody can read again
 *   ERR_INPUT, ERR_LIMIT, ERR_FORMAT, ERR_IO */
MUST_CHECK bool keys_add(const char *dir, str name, str team, struct key *added,
                         char secret[ID_MAX], struct err *e);

/* Removes the key of this name or id.  ERR_NOT_FOUND, ERR_FORMAT, ERR_IO. */
MUST_CHECK bool keys_revoke(const char *dir, str which, struct key *revoked, struct err *e);

/* The file as a running server sees it. */
struct keys_watch {
    char *dir; // NULL: there are never any keys
    struct keys keys;
    bool on;          // a key is asked for
    struct stat seen; // the file that was read last, or failed to be; zeroed: none
    uint64_t next_ms; // not looked at before
};

/* Reads what is there.  dir may be empty: no keys, ever.  ERR_FORMAT, ERR_IO. */
MUST_CHECK bool keys_watch_open(struct keys_watch *w, str dir, struct err *e);
void keys_watch_close(struct keys_watch *w);

/* Call often: looks at the file at most once a second, and reads it when it changed.  A file that
 * cannot be read leaves the keys as they were; one that is gone leaves none, and nobody gets in. */
void keys_watch_tick(struct keys_watch *w);

#endif
