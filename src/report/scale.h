/* scale.h - from values to places along an axis, and where its ticks stand. Pure functions.
 *
 * Hit rates are drawn against counts and percentages: few or many, close or over two orders of magnitude, and among
 * them values that are no amount at all (k = 0: all filters above the mean of their layer). Those have places of
 * their own in a slot at the axis's beginning; the others are on a linear or, over a wide range, a logarithmic
 * scale. */
#ifndef FILTAGS_REPORT_SCALE_H
#define FILTAGS_REPORT_SCALE_H

#include <stdbool.h>
#include <stddef.h>

struct scale {
    bool is_logarithmic;
    double low, high;     /* smallest and largest amount; equal where there is but one, and none where n_amounts is 0 */
    double start, end;    /* pixels of low and high (of one alone: the middle) */
    double slot_start;    /* pixels of the slot */
    double slot_width;    /* of one value in it; 0: no slot */
    const double *values; /* [n] ascending, the caller's */
    size_t n;
    bool is_percent; /* above 100 there is no amount */
    size_t n_low;    /* values that are no amounts: those at the beginning */
    size_t n_high;   /* and those at the end */
};

/* A scale for values ([n], ascending, kept by the caller) between two pixels. has_slot: values that are no amounts,
 * zero and below, and of percentages those above 100, get a slot. */
void scale_make(const double *values, size_t n, bool has_slot, bool is_percent, double start, double end,
                struct scale *scale);

/* Whether value index has a place in the slot. */
bool scale_is_in_slot(const struct scale *scale, size_t index);
double scale_position(const struct scale *scale, size_t index);
/* Of any amount; outside low and high: the nearest end. */
double scale_amount_position(const struct scale *scale, double amount);

/* Choose amounts to stand at the axis: the values themselves where they all fit, else round numbers. A label of an
 * amount takes width(amount) pixels. Returns their number, at most limit, ascending. */
size_t scale_ticks(const struct scale *scale, double (*width)(double amount), double *ticks, size_t limit);

/* Round numbers (1, 2 or 5 times a power of ten apart) within low..high, at most limit. */
size_t nice_ticks(double low, double high, size_t limit, double *ticks);

/* Choose at most limit of n ascending values (an axis of lines to draw), such as 0, 1, 2, 5, 10, 20, 50, 100 of
 * 0..100: the first value where it is no amount, and amounts spread by their ratio where their range is wide.
 * Returns their number; chosen gets their indices, ascending. */
size_t choose_values(const double *values, size_t n, bool has_slot, bool is_percent, size_t limit, size_t *chosen);

#endif
