/* tools/statistics.c - math:statistics: what a list of numbers comes to. */
#include "tools/args.h"

#include "base/mem.h"

#include <math.h>

#define DATA_MAX 100000

struct data {
    double *x, *y; // y: data2, of the same length, or NULL
    double *sorted;
    size_t n;
    double q;
};

static long double sum(const double *x, size_t n)
{
    long double s = 0;
    for (size_t i = 0; i < n; i++)
        s += x[i];
    return s;
}

static long double mean(const double *x, size_t n)
{
    return sum(x, n) / (long double)n;
}

/* Sum of products of deviations from the means. */
static long double deviations(const double *x, const double *y, size_t n)
{
    long double mx = mean(x, n), my = mean(y, n), s = 0;
    for (size_t i = 0; i < n; i++)
        s += (x[i] - mx) * (y[i] - my);
    return s;
}

static bool put(struct buf *out, long double v, struct err *e)
{
    char text[64];
    if (!isfinite(v))
        return err_set(e, ERR_INPUT, "the result is not defined for these numbers");
    snprintf(text, sizeof text, "%.15Lg", v == 0 ? 0 : v);
    buf_c(out, text);
    return true;
}

static long double quantile(const struct data *d, double q)
{
    double at = q * (double)(d->n - 1);
    size_t low = (size_t)at;
    double part = at - (double)low;
    long double a = d->sorted[low];
    return low + 1 < d->n ? a + part * ((long double)d->sorted[low + 1] - a) : a;
}

static bool op_count(struct data *d, struct buf *out, struct err *e)
{
    return put(out, (long double)d->n, e);
}

static bool op_sum(struct data *d, struct buf *out, struct err *e)
{
    return put(out, sum(d->x, d->n), e);
}

static bool op_mean(struct data *d, struct buf *out, struct err *e)
{
    return put(out, mean(d->x, d->n), e);
}

static bool op_median(struct data *d, struct buf *out, struct err *e)
{
    return put(out, quantile(d, 0.5), e);
}

/* The most frequent value; a list if there are several. */
static bool op_mode(struct data *d, struct buf *out, struct err *e)
{
    size_t best = 0, n_best = 0;
    bool ok = true;
    for (int pass = 0; pass < 2; pass++) {
        bool first = true;
        for (size_t i = 0, k; i < d->n; i = k) {
            for (k = i; k < d->n && d->sorted[k] == d->sorted[i];)
                k++;
            if (pass == 0 && k - i > best) {
                best = k - i;
                n_best = 0;
            }
            n_best += pass == 0 && k - i == best;
            if (pass == 1 && k - i == best) {
                buf_c(out, first ? (n_best > 1 ? "[" : "") : ", ");
                ok &= put(out, d->sorted[i], e);
                first = false;
            }
        }
    }
    buf_c(out, n_best > 1 ? "]" : "");
    return ok;
}

static bool op_min(struct data *d, struct buf *out, struct err *e)
{
    return put(out, d->sorted[0], e);
}

static bool op_max(struct data *d, struct buf *out, struct err *e)
{
    return put(out, d->sorted[d->n - 1], e);
}

static bool op_range(struct data *d, struct buf *out, struct err *e)
{
    return put(out, (long double)d->sorted[d->n - 1] - d->sorted[0], e);
}

static bool spread(const struct data *d, bool of_all, bool root, struct buf *out, struct err *e)
{
    if (d->n < 2 && !of_all)
        return err_set(e, ERR_INPUT, "'data' needs at least two numbers for that");
    long double v = deviations(d->x, d->x, d->n) / (long double)(of_all ? d->n : d->n - 1);
    return put(out, root ? sqrtl(v) : v, e);
}

static bool op_variance(struct data *d, struct buf *out, struct err *e)
{
    return spread(d, false, false, out, e);
}

static bool op_stdev(struct data *d, struct buf *out, struct err *e)
{
    return spread(d, false, true, out, e);
}

static bool op_pvariance(struct data *d, struct buf *out, struct err *e)
{
    return spread(d, true, false, out, e);
}

static bool op_pstdev(struct data *d, struct buf *out, struct err *e)
{
    return spread(d, true, true, out, e);
}

static bool op_quantile(struct data *d, struct buf *out, struct err *e)
{
    if (!(d->q >= 0 && d->q <= 1))
        return err_set(e, ERR_INPUT, "quantile needs 'q', a number from 0 to 1");
    return put(out, quantile(d, d->q), e);
}

static bool op_correlation(struct data *d, struct buf *out, struct err *e)
{
    long double xx = deviations(d->x, d->x, d->n), yy = deviations(d->y, d->y, d->n);
    if (d->n < 2 || xx == 0 || yy == 0)
        return err_set(e, ERR_INPUT,
                       "correlation needs at least two different values in each list");
    return put(out, deviations(d->x, d->y, d->n) / sqrtl(xx * yy), e);
}

static bool op_regression(struct data *d, struct buf *out, struct err *e)
{
    long double xx = deviations(d->x, d->x, d->n);
    if (d->n < 2 || xx == 0)
        return err_set(e, ERR_INPUT,
                       "linear_regression needs at least two different values in "
                       "'data'");
    long double slope = deviations(d->x, d->y, d->n) / xx;
    buf_c(out, "{\"slope\": ");
    bool ok = put(out, slope, e);
    buf_c(out, ", \"intercept\": ");
    ok = ok && put(out, mean(d->y, d->n) - slope * mean(d->x, d->n), e);
    buf_c(out, "}");
    return ok;
}

static const struct {
    const char *name;
    bool (*apply)(struct data *d, struct buf *out, struct err *e);
    bool pairs; // of data and data2
} operations[] = {
    {"count", op_count},
    {"sum", op_sum},
    {"mean", op_mean},
    {"median", op_median},
    {"mode", op_mode},
    {"min", op_min},
    {"max", op_max},
    {"range", op_range},
    {"variance", op_variance},
    {"stdev", op_stdev},
    {"pvariance", op_pvariance},
    {"pstdev", op_pstdev},
    {"quantile", op_quantile},
    {"correlation", op_correlation, true},
    {"linear_regression", op_regression, true},
};

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bool tools_statistics(const json_t *args, struct buf *out, struct err *e)
{
    struct data d = {.q = -1};
    size_t i = 0, n_pairs = 0;
    str name;
    bool ok = args_str(args, "operation", true, &name, e) &&
              args_nums(args, "data", true, DATA_MAX, &d.x, &d.n, e) &&
              args_nums(args, "data2", false, DATA_MAX, &d.y, &n_pairs, e) &&
              args_num(args, "q", false, &d.q, e);
    if (!ok)
        goto done;
    while (i < COUNT(operations) && !str_eqc(name, operations[i].name))
        i++;
    if (i == COUNT(operations))
        ok = err_set(e, ERR_INPUT, "there is no operation '%.*s'", STR_ARG(str_sub(name, 0, 40)));
    else if (operations[i].pairs && n_pairs != d.n)
        ok = err_set(e, ERR_INPUT, "'%s' needs 'data2' with as many numbers as 'data'",
                     operations[i].name);
    if (!ok)
        goto done;
    d.sorted = mem_alloc(d.n * sizeof *d.sorted);
    memcpy(d.sorted, d.x, d.n * sizeof *d.sorted);
    qsort(d.sorted, d.n, sizeof *d.sorted, by_size);
    buf_c(out, "{\"result\": ");
    ok = operations[i].apply(&d, out, e);
    buf_c(out, "}");
done:
    mem_free(d.x);
    mem_free(d.y);
    mem_free(d.sorted);
    return ok;
}
