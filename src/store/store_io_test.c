/* store_io_test.c - every write and sync of the disk fails once: nothing that was acknowledged is
 * lost, and what was not is there whole or not at all.  Source of the idea: sqlite/sqlite:
 * test/ioerr.test. */
#include "store/store_int.h"
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

/* A file system over the usual one, that fails at the n-th write, sync or cut. */
static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    _Atomic long left; // operations that succeed; < 0: all do
    _Atomic bool failed;
} disk;

struct disk_file {
    sqlite3_file base;
    sqlite3_file *real;
};

static sqlite3_file *real_of(sqlite3_file *f)
{
    return ((struct disk_file *)f)->real;
}

static bool fails(void)
{
    long left = atomic_load(&disk.left);
    if (left < 0)
        return false;
    if (left == 0) {
        atomic_store(&disk.failed, true);
        atomic_store(&disk.left, -1); // once
        return true;
    }
    atomic_store(&disk.left, left - 1);
    return false;
}

static int disk_close(sqlite3_file *f)
{
    int r = real_of(f)->pMethods->xClose(real_of(f));
    free(real_of(f));
    return r;
}

static int disk_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    return real_of(f)->pMethods->xRead(real_of(f), p, n, at);
}

static int disk_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    return fails() ? SQLITE_IOERR_WRITE : real_of(f)->pMethods->xWrite(real_of(f), p, n, at);
}

static int disk_truncate(sqlite3_file *f, sqlite3_int64 n)
{
    return fails() ? SQLITE_IOERR_TRUNCATE : real_of(f)->pMethods->xTruncate(real_of(f), n);
}

static int disk_sync(sqlite3_file *f, int flags)
{
    (void)f;
    (void)flags;
    return fails() ? SQLITE_IOERR_FSYNC : SQLITE_OK; // the machine stays on: nothing to sync
}

static int disk_size(sqlite3_file *f, sqlite3_int64 *n)
{
    return real_of(f)->pMethods->xFileSize(real_of(f), n);
}

static int disk_lock(sqlite3_file *f, int how)
{
    return real_of(f)->pMethods->xLock(real_of(f), how);
}

static int disk_unlock(sqlite3_file *f, int how)
{
    return real_of(f)->pMethods->xUnlock(real_of(f), how);
}

static int disk_reserved(sqlite3_file *f, int *out)
{
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

static int disk_control(sqlite3_file *f, int op, void *arg)
{
    return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int disk_sector(sqlite3_file *f)
{
    return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int disk_traits(sqlite3_file *f)
{
    return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

/* Version 1: without shared memory, which an exclusive lock does not need. */
static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = disk_close,
    .xRead = disk_read,
    .xWrite = disk_write,
    .xTruncate = disk_truncate,
    .xSync = disk_sync,
    .xFileSize = disk_size,
    .xLock = disk_lock,
    .xUnlock = disk_unlock,
    .xCheckReservedLock = disk_reserved,
    .xFileControl = disk_control,
    .xSectorSize = disk_sector,
    .xDeviceCharacteristics = disk_traits,
};

static int disk_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *f, int flags,
                     int *out_flags)
{
    struct disk_file *d = (struct disk_file *)f;
    (void)vfs;
    d->base.pMethods = NULL;
    d->real = calloc(1, (size_t)disk.real->szOsFile);
    int r = disk.real->xOpen(disk.real, name, d->real, flags, out_flags);
    if (r == SQLITE_OK)
        d->base.pMethods = &methods;
    else
        free(d->real);
    return r;
}

static void use_disk(bool on)
{
    if (!disk.real) {
        disk.real = sqlite3_vfs_find(NULL);
        disk.vfs = *disk.real;
        disk.vfs.zName = "confab-test";
        disk.vfs.szOsFile = sizeof(struct disk_file);
        disk.vfs.xOpen = disk_open;
    }
    atomic_store(&disk.left, -1);
    if (on)
        sqlite3_vfs_register(&disk.vfs, 1);
    else
        sqlite3_vfs_unregister(&disk.vfs);
}

/* What was acknowledged, and what is found. */

#define RUNS 3
struct outcome {
    bool known;   // the run
    int n_events; // of its log
};

static void on_ack(const struct store_reply *r, void *arg)
{
    *(bool *)arg = r->error == NULL;
    if (r->error && r->error->code != ERR_BUSY && r->error->code != ERR_NOT_FOUND &&
        r->error->code != ERR_IO && r->error->code != ERR_INTERNAL)
        fail_msg("%s: %s", err_code_name(r->error->code), r->error->msg);
}

static void on_found(const struct store_reply *r, void *arg)
{
    struct outcome *o = arg;
    o->known = r->error == NULL;
    o->n_events = r->error ? 0 : (int)r->n;
    if (r->error && r->error->code != ERR_NOT_FOUND)
        fail_msg("%s", r->error->msg);
    for (int i = 0; i < o->n_events; i++)
        check_str(r->events[i], str_sub(STR("abcdefghij"), 0, (size_t)i + 1), "an event");
}

static void work(struct store *s, struct outcome acked[RUNS])
{
    static char filler[3000];
    struct err e;
    char id[8];
    memset(filler, 'r', sizeof filler);
    for (int round = 0; round < 5; round++)
        for (int i = 0; i < RUNS; i++) {
            bool ok = false;
            snprintf(id, sizeof id, "r%d", i);
            if (round == 0) {
                struct store_run r = {.id = str_c(id),
                                      .alias = str_c(id),
                                      .origin = STR("o"),
                                      .model = STR("m"),
                                      .request = str_n(filler, sizeof filler)};
                assert_true(store_run_new(s, &r, on_ack, &ok, &e));
                store_drain(s);
                acked[i].known = ok;
                continue;
            }
            int first = acked[i].n_events + 1;
            str events[] = {str_sub(STR("abcdefghij"), 0, (size_t)first),
                            str_sub(STR("abcdefghij"), 0, (size_t)first + 1)};
            struct store_more m = {.first = (uint64_t)first, .events = events, .n = 2};
            assert_true(store_run_add(s, str_c(id), &m, on_ack, &ok, &e));
            store_drain(s);
            acked[i].n_events += ok ? 2 : 0;
        }
}

static void clear(const char *dir)
{
    static const char *const files[] = {"confab.db", "confab.db-wal", "confab.db-shm",
                                        "confab.db-journal"};
    char path[128];
    for (size_t i = 0; i < COUNT(files); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        unlink(path);
    }
}

static void store_survives_every_failing_write(void **state)
{
    char dir[] = "/tmp/confab-io-XXXXXX", id[8];
    int n_failed = 0;
    (void)state;
    assert_non_null(mkdtemp(dir));
    for (long n = 0;; n++) {
        struct store_conf c = store_conf_default();
        struct outcome acked[RUNS] = {{0}}, found;
        struct store *s;
        struct err e;
        c.dir = dir;
        clear(dir);
        use_disk(true);
        atomic_store(&disk.failed, false);
        atomic_store(&disk.left, n);
        bool opened = store_open(&s, &c, &e);
        if (opened) {
            work(s, acked);
            store_close(s);
        } else {
            assert_true(e.code == ERR_IO || e.code == ERR_BUSY || e.code == ERR_FORMAT);
            assert_true(e.msg[0] != '\0');
        }
        bool failed = atomic_load(&disk.failed);
        n_failed += failed;
        atomic_store(&disk.left, -1);

        if (!store_open(&s, &c, &e)) // with a disk that works
            fail_msg("after failure %ld: %s", n, e.msg);
        for (int i = 0; i < RUNS; i++) {
            snprintf(id, sizeof id, "r%d", i);
            assert_true(store_run_load(s, str_c(id), STR(""), on_found, &found, &e));
            store_drain(s);
            if (acked[i].known && !found.known)
                fail_msg("failure %ld: run %d was lost", n, i);
            if (found.n_events < acked[i].n_events)
                fail_msg("failure %ld: run %d has %d of %d events", n, i, found.n_events,
                         acked[i].n_events);
            assert_int_equal(found.n_events % 2, 0); // both of an order, or none
        }
        store_close(s);
        if (opened && !failed)
            break;
    }
    use_disk(false);
    assert_true(n_failed > 20);
    clear(dir);
    rmdir(dir);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(store_survives_every_failing_write),
};
TEST_FILE(tests)
