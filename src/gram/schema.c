/* gram/schema.c - JSON Schema: in the making; all are refused. */
#include "gram/gram_int.h"

const struct gram_node *gram_schema(struct gram_build *b, const json_t *root, const json_t *at,
                                    enum gram_style style)
{
    (void)root;
    (void)at;
    (void)style;
    build_fail(b, ERR_INPUT, "", "JSON Schemas are not supported yet");
    return node_fail(b);
}

bool gram_valid(const json_t *root, const json_t *at, str text, struct err *e)
{
    (void)root;
    (void)at;
    (void)text;
    return err_set(e, ERR_INTERNAL, "JSON Schemas are not supported yet");
}
