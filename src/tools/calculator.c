/* tools/calculator.c - math:calculator: calc.h as a tool, with the vendor's form of the result. */
#include "tools/args.h"
#include "tools/calc.h"

bool tools_calculator(const json_t *args, struct buf *out, struct err *e)
{
    struct buf text = BUF_INIT(CALC_MAX + 4096);
    str expression;
    bool ok = args_str(args, "expression", true, &expression, e);
    if (ok && str_trim(expression).n == 0)
        ok = err_set(e, ERR_INPUT, "the expression is empty");
    if (ok) {
        buf_str(&text, str_sub(expression, 0, CALC_MAX));
        buf_char(&text, '=');
        ok = calc(expression, &text, e);
    }
    if (ok) {
        buf_c(out, "{\"result\": ");
        json_write_str(out, buf_as_str(&text), JSON_PLAIN);
        buf_c(out, "}");
    }
    buf_free(&text);
    return ok;
}
