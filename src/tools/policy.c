/* tools/policy.c - which tools are switched on, and what may be called without asking. */
#include "tools/tools_int.h"

static bool matches(str pattern, str name)
{
    if (str_ends(pattern, STR("*")))
        return str_starts(name, str_sub(pattern, 0, pattern.n - 1));
    return str_eq(pattern, name);
}

bool tools_matches(str patterns, str name)
{
    str item;
    while (str_cut(&patterns, ',', &item))
        if (matches(str_trim(item), name))
            return true;
    return false;
}

static bool policy_word(str word, enum tools_policy *out)
{
    static const char *const words[] = {
        [TOOLS_RUN] = "run", [TOOLS_ASK] = "ask", [TOOLS_REFUSE] = "refuse"};
    for (size_t i = 0; i < COUNT(words); i++)
        if (str_eqc(word, words[i])) {
            *out = (enum tools_policy)i;
            return true;
        }
    return false;
}

/* The last row that fits counts. */
enum tools_policy tools_policy_of(const struct tools *t, str name)
{
    str rest = str_c(t->policies), item, pattern;
    enum tools_policy policy = TOOLS_RUN, found;
    while (str_cut(&rest, ',', &item)) {
        str_cut(&item, '=', &pattern);
        if (matches(str_trim(pattern), name) && policy_word(str_trim(item), &found))
            policy = found;
    }
    return policy;
}

bool tools_policies_check(str policies, struct err *e)
{
    str item, pattern;
    enum tools_policy policy;
    while (str_cut(&policies, ',', &item)) {
        str whole = str_trim(item);
        if (whole.n == 0)
            continue;
        str_cut(&item, '=', &pattern);
        if (str_trim(pattern).n == 0 || !policy_word(str_trim(item), &policy))
            return err_set(e, ERR_INPUT, "'%.*s' is no policy: write TOOL=run, =ask or =refuse",
                           STR_ARG(str_sub(whole, 0, 80)));
    }
    return true;
}
