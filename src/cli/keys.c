/* cli/keys.c - `confab keys`: making, listing and revoking API keys. */
#include "app/keys.h"

#include "cli/cli.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char usage[] =
    "usage: confab keys add --data DIR --team TEAM [--json] NAME\n"
    "       confab keys list --data DIR [--json]\n"
    "       confab keys revoke --data DIR [--json] NAME-or-ID\n\n"
    "add makes a key and prints it once: the file DIR/keys.json holds only its digest.\n"
    "A server that runs with --data DIR asks for a key on every API route from then on, and\n"
    "sees within two seconds what is added or revoked.  A team sees its own runs and no others.\n\n"
    "  --data DIR   the server's folder; or the variable CONFAB_DATA\n"
    "  --team TEAM  whose key it is; several keys may be of one team\n"
    "  --json       JSON on standard output\n"
    "  -h, --help   this text\n";

struct order {
    const char *data, *team, *name;
    bool json;
};

static json_t *as_json(const struct key *key)
{
    return json_pack("{s:s, s:s, s:s, s:I}", "id", key->id, "name", key->name, "team", key->team,
                     "created", (json_int_t)key->created_unix);
}

static void print_json(json_t *v)
{
    json_dumpf(v, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(v);
}

static bool add(const struct order *o, struct err *e)
{
    struct key key;
    char secret[ID_MAX];
    if (!keys_add(o->data, str_c(o->name), str_c(o->team), &key, secret, e))
        return false;
    if (o->json) {
        json_t *v = as_json(&key);
        json_object_set_new(v, "key", json_string(secret));
        print_json(v);
    } else {
        printf("%s\n", secret);
        fprintf(stderr, "This is the key %s of team %s; it cannot be shown again.\n", key.name,
                key.team);
    }
    return true;
}

static void print_table(const struct keys *k)
{
    int name = 4, team = 4;
    for (size_t i = 0; i < k->n; i++) {
        name = int_max(name, (int)strlen(k->list[i].name));
        team = int_max(team, (int)strlen(k->list[i].team));
    }
    if (k->n == 0) {
        puts("no keys");
        return;
    }
    printf("%-*s  %-*s  %-20s  %s\n", name, "NAME", team, "TEAM", "MADE", "ID");
    for (size_t i = 0; i < k->n; i++) {
        const struct key *key = &k->list[i];
        time_t made = (time_t)key->created_unix;
        struct tm tm;
        char when[32] = "?";
        if (gmtime_r(&made, &tm))
            strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
        printf("%-*s  %-*s  %-20s  %s\n", name, key->name, team, key->team, when, key->id);
    }
}

static bool list(const struct order *o, struct err *e)
{
    struct keys k = {0};
    if (!keys_load(&k, o->data, e) && e->code != ERR_NOT_FOUND)
        return false;
    if (o->json) {
        json_t *all = json_array();
        for (size_t i = 0; i < k.n; i++)
            json_array_append_new(all, as_json(&k.list[i]));
        print_json(all);
    } else {
        print_table(&k);
    }
    keys_fini(&k);
    return true;
}

static bool revoke(const struct order *o, struct err *e)
{
    struct key key;
    if (!keys_revoke(o->data, str_c(o->name), &key, e))
        return false;
    if (o->json)
        print_json(as_json(&key));
    else
        printf("revoked %s (%s) of team %s\n", key.name, key.id, key.team);
    return true;
}

static const struct {
    const char *name;
    bool (*run)(const struct order *o, struct err *e);
    bool wants_name, wants_team;
} actions[] = {
    {"add", add, true, true},
    {"list", list, false, false},
    {"revoke", revoke, true, false},
};

static int wrong(const char *why)
{
    fprintf(stderr, "confab keys: %s\n\n%s", why, usage);
    return 2;
}

static int act(const char *name, struct order *o, int n_left, char **left)
{
    struct err e;
    for (size_t i = 0; i < COUNT(actions); i++) {
        if (strcmp(name, actions[i].name) != 0)
            continue;
        if (!o->data || !o->data[0])
            return wrong("--data DIR is missing");
        if (actions[i].wants_team ? !o->team : o->team != NULL)
            return wrong(o->team ? "--team is for add alone" : "--team TEAM is missing");
        if (n_left != (actions[i].wants_name ? 1 : 0))
            return wrong(n_left ? "too many arguments" : "the key's name is missing");
        o->name = n_left ? left[0] : NULL;
        if (actions[i].run(o, &e))
            return 0;
        fprintf(stderr, "confab keys: %s\n", e.msg);
        return 1;
    }
    return wrong("the first argument is add, list or revoke");
}

int cli_keys(int argc, char **argv)
{
    static const struct option options[] = {{"data", required_argument, NULL, 'd'},
                                            {"team", required_argument, NULL, 't'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct order o = {.data = getenv("CONFAB_DATA")};
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (c) {
        case 'd': o.data = optarg; break;
        case 't': o.team = optarg; break;
        case 'j': o.json = true; break;
        case 'h': fputs(usage, stdout); return 0;
        default: return 2;
        }
    }
    if (optind == argc)
        return wrong("what to do?");
    return act(argv[optind], &o, argc - optind - 1, argv + optind + 1);
}
