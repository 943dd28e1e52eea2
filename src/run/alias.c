/* run/alias.c - names that clients gave to runs, each valid within its team. */
#include "base/mem.h"
#include "run/run_int.h"

/* team, NUL, alias: the caller's to release. */
static char *key_of(str team, str alias, unsigned *n)
{
    *n = (unsigned)(team.n + 1 + alias.n);
    char *key = mem_calloc(*n, 1);
    if (team.n)
        memcpy(key, team.p, team.n);
    memcpy(key + team.n + 1, alias.p, alias.n);
    return key;
}

struct run *runs_find_alias(struct runs *rs, str alias, str team)
{
    struct run *run = NULL;
    unsigned n;
    if (alias.n == 0 || alias.n > RUN_ALIAS_MAX)
        return NULL;
    char *key = key_of(team, alias, &n);
    HASH_FIND(hh_alias, rs->by_alias, key, n, run);
    mem_free(key);
    return run;
}

bool run_set_alias(struct run *run, str alias, struct err *e)
{
    unsigned n;
    if (alias.n == 0 || alias.n > RUN_ALIAS_MAX)
        return err_set(e, ERR_INPUT, "a run's name has 1 to %d bytes", RUN_ALIAS_MAX);
    if (runs_find_alias(run->runs, alias, run->request->team)) {
        err_set(e, ERR_INPUT, "there is a run of this name already");
        return err_kind(e, "already_exists");
    }
    run_clear_alias(run);
    run->alias = key_of(run->request->team, alias, &n);
    run->alias_at = run->request->team.n + 1;
    run->alias_n = alias.n;
    HASH_ADD_KEYPTR(hh_alias, run->runs->by_alias, run->alias, n, run);
    return true;
}

void run_clear_alias(struct run *run)
{
    if (!run->alias)
        return;
    HASH_DELETE(hh_alias, run->runs->by_alias, run);
    mem_free(run->alias);
    run->alias = NULL;
    run->alias_n = 0;
}

str run_alias(const struct run *run)
{
    return run->alias ? str_n(run->alias + run->alias_at, run->alias_n) : STR("");
}
