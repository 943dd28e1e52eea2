/* gram/format.c - the formats of strings that can be enforced.
 * Sources: RFC 3339 (dates, times, durations), RFC 5321 and 1123 (mail, hosts), RFC 4291 (IPv6),
 * RFC 3986 (URIs), RFC 4122 (UUIDs), RFC 6901 (pointers), RFC 4648 (base64).  Where those are wider
 * than what checkers take, the narrower. */
#include "gram/gram_int.h"

#define DAY                                                                                        \
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"       \
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
#define DATE                                                                                       \
    "(?:[0-9]{4}-" DAY "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])"                             \
    "|(?:[02468][048]|[13579][26])00)-02-29)"
#define CLOCK  "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?"
#define OFFSET "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
#define N      "[0-9]{1,9}"
#define SPAN_T "T(?:" N "H(?:" N "M)?(?:" N "S)?|" N "M(?:" N "S)?|" N "S)"
#define SPAN_D "(?:" N "Y(?:" N "M)?(?:" N "D)?|" N "M(?:" N "D)?|" N "D)"
#define ATOM   "[A-Za-z0-9!#$%&'*+/=?\\^_`{|}~-]+"
#define LABEL  "[A-Za-z0-9](?:[A-Za-z0-9-]{0,28}[A-Za-z0-9])?"
#define BYTE   "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
#define IPV4   BYTE "\\." BYTE "\\." BYTE "\\." BYTE
#define H      "[0-9A-Fa-f]{1,4}"
#define IPV6                                                                                       \
    "(?:(?:" H ":){7}" H "|(?:" H ":){6}" IPV4 "|(?:" H ":){1,7}:|(?:" H ":){1,6}:" H "|(?:" H     \
    ":){1,5}(?::" H "){1,2}|(?:" H ":){1,4}(?::" H "){1,3}|(?:" H ":){1,3}(?::" H "){1,4}|(?:" H   \
    ":){1,2}(?::" H "){1,5}|" H ":(?::" H "){1,6}|:(?:(?::" H "){1,7}|:))"
#define PCT   "%[0-9A-Fa-f]{2}"
#define PCHAR "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|" PCT ")"
#define TAIL  "(?:\\?(?:" PCHAR "|[/?])*)?(?:#(?:" PCHAR "|[/?])*)?"
#define HOST  "(?:[A-Za-z0-9._~!$&'()*+,;=-]|" PCT ")*"
#define AUTH                                                                                       \
    "//(?:(?:[A-Za-z0-9._~!$&'()*+,;=:-]|" PCT ")*@)?" HOST "(?::[0-9]{0,5})?(?:/" PCHAR "*)*"
#define SCHEME "[A-Za-z][A-Za-z0-9+.-]*:"
#define PATH   "(?:" AUTH "|/(?:" PCHAR "+(?:/" PCHAR "*)*)?|" PCHAR "+(?:/" PCHAR "*)*)"
#define SEG_NC "(?:[A-Za-z0-9._~!$&'()*+,;=@-]|" PCT ")+"
#define POINT  "(?:/(?:[^~/]|~[01])*)*"

static const struct {
    const char *name, *pattern; // NULL: any text
} formats[] = {
    {"date", DATE},
    {"time", CLOCK OFFSET},
    {"date-time", DATE "T" CLOCK OFFSET},
    {"duration", "P(?:" SPAN_D "(?:" SPAN_T ")?|" SPAN_T "|" N "W)"},
    {"email", ATOM "(?:\\." ATOM ")*@(?:" LABEL "\\.){1,7}" LABEL},
    {"hostname", LABEL "(?:\\." LABEL "){0,7}"},
    {"ipv4", IPV4},
    {"ipv6", IPV6},
    {"uri", SCHEME PATH TAIL},
    {"uri-reference", "(?:" SCHEME PATH "|" AUTH "|/(?:" PCHAR "+(?:/" PCHAR "*)*)?|" SEG_NC
                      "(?:/" PCHAR "*)*)?" TAIL},
    {"uuid", "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"},
    {"json-pointer", POINT},
    {"relative-json-pointer", "(?:0|[1-9][0-9]{0,9})(?:#|" POINT ")"},
    {"byte", "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"},
    {"password", NULL},
    {"binary", NULL},
    // of numbers
    {"int32", NULL},
    {"int64", NULL},
    {"float", NULL},
    {"double", NULL},
};

const struct dfa *format_dfa(struct gram_build *b, str name, bool *known)
{
    *known = true;
    for (size_t i = 0; i < COUNT(formats); i++)
        if (str_eqc(name, formats[i].name))
            return formats[i].pattern
                       ? regex_dfa(b, str_c(formats[i].pattern), REGEX_PLAIN, false, "")
                       : NULL;
    *known = false;
    return NULL;
}
