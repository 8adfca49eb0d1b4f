#include <math.h>

#include "filtags.h"

size_t filtags_selection_size(filtags_rule rule, double value, size_t n_filters) {
    if (rule == FILTAGS_RULE_K) return value > 0 && value <= (double)n_filters ? (size_t)value : 0;
    if (!(value > 0 && value <= 100)) return 0;
    /* Division first, as NumPy's rint(q / 100.0 * n): which products are halves (2.5 filters are 2) depends on it. */
    double n = rint(value / 100.0 * (double)n_filters);
    return n < 1 ? 1 : (size_t)n;
}

static void swap(uint32_t *a, uint32_t *b) {
    uint32_t kept = *a;
    *a = *b;
    *b = kept;
}

static double median_of_three(double a, double b, double c) {
    if (a > b) return b > c ? b : a > c ? c : a;
    return a > c ? a : b > c ? c : b;
}

/* Return the value at place n (from 0) of the values in descending order; *n_larger gets how many are larger. order has
 * room for all indices. Quickselect that sets equal values aside: filters that are never active are common. */
static double find_value(const double *values, size_t n_values, size_t n, uint32_t *order, size_t *n_larger) {
    size_t first = 0, end = n_values;
    for (size_t i = 0; i < n_values; i++) order[i] = (uint32_t)i;
    for (;;) {
        uint32_t middle = order[first + (end - first) / 2];
        double pivot = median_of_three(values[order[first]], values[middle], values[order[end - 1]]);
        size_t larger_end = first, smaller_first = end;
        for (size_t i = first; i < smaller_first;) {
            double value = values[order[i]];
            if (value > pivot) swap(&order[i++], &order[larger_end++]);
            else if (value < pivot) swap(&order[i], &order[--smaller_first]);
            else i++;
        }
        if (n < larger_end) {
            end = larger_end;
        } else if (n >= smaller_first) {
            first = smaller_first;
        } else {
            *n_larger = larger_end;
            return pivot;
        }
    }
}

static size_t select_above_mean(const double *activations, size_t n_filters, uint32_t *filters) {
    double sum = 0;
    size_t n_selected = 0;
    for (size_t i = 0; i < n_filters; i++) sum += activations[i];
    double mean = sum / (double)n_filters;
    for (size_t i = 0; i < n_filters; i++) {
        if (activations[i] > mean) filters[n_selected++] = (uint32_t)i;
    }
    return n_selected;
}

size_t filtags_select(filtags_rule rule, double value, const double *activations, size_t n_filters, uint32_t *filters) {
    size_t n = filtags_selection_size(rule, value, n_filters);
    size_t n_larger, n_selected = 0;
    if (n_filters == 0) return 0;
    if (n == 0) return select_above_mean(activations, n_filters, filters);
    double least = find_value(activations, n_filters, n - 1, filters, &n_larger);
    size_t n_equal = n - n_larger; /* of those at the limit, the first ones */
    for (size_t i = 0; i < n_filters; i++) {
        if (activations[i] > least) {
            filters[n_selected++] = (uint32_t)i;
        } else if (activations[i] == least && n_equal > 0) {
            filters[n_selected++] = (uint32_t)i;
            n_equal--;
        }
    }
    return n_selected;
}
