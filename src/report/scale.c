#include "report/scale.h"

#include <math.h>

/* From this ratio on a logarithmic scale shows more. */
static const double logarithmic_ratio = 12;

enum {
    SLOT_PIXELS = 54,  /* of a value without an amount */
    INSET_PIXELS = 10, /* between the frame and what is drawn at its ends */
    TICK_GAP_PIXELS = 9
};

static double place(const struct scale *scale, double amount) {
    if (scale->high <= scale->low) return (scale->start + scale->end) / 2;
    double share = scale->is_logarithmic ? (log(amount) - log(scale->low)) / (log(scale->high) - log(scale->low))
                                         : (amount - scale->low) / (scale->high - scale->low);
    return scale->start + share * (scale->end - scale->start);
}

void scale_make(const double *values, size_t n, bool has_slot, bool is_percent, double start, double end,
                struct scale *result) {
    struct scale scale = {.values = values, .n = n, .is_percent = is_percent, .slot_start = start};
    while (has_slot && scale.n_low < n && values[scale.n_low] <= 0) scale.n_low++;
    while (has_slot && is_percent && scale.n_high < n - scale.n_low && values[n - 1 - scale.n_high] > 100)
        scale.n_high++;
    size_t n_slot = scale.n_low + scale.n_high, n_amounts = n - n_slot;
    if (n_slot) {
        double most = (end - start) * (n_amounts ? 0.4 : 1) / (double)n_slot;
        scale.slot_width = most < SLOT_PIXELS ? most : SLOT_PIXELS;
    }
    scale.start = start + scale.slot_width * (double)n_slot + INSET_PIXELS;
    scale.end = end - INSET_PIXELS;
    if (n_amounts) {
        scale.low = values[scale.n_low];
        scale.high = values[n - 1 - scale.n_high];
        scale.is_logarithmic = scale.low > 0 && scale.high / scale.low >= logarithmic_ratio;
    }
    *result = scale;
}

bool scale_is_in_slot(const struct scale *scale, size_t index) {
    return index < scale->n_low || index >= scale->n - scale->n_high;
}

double scale_position(const struct scale *scale, size_t index) {
    if (!scale_is_in_slot(scale, index)) return place(scale, scale->values[index]);
    size_t slot = index < scale->n_low ? index : index - (scale->n - scale->n_high) + scale->n_low;
    return scale->slot_start + scale->slot_width * ((double)slot + 0.5);
}

double scale_amount_position(const struct scale *scale, double amount) {
    double clipped = amount < scale->low ? scale->low : amount > scale->high ? scale->high : amount;
    return place(scale, clipped);
}

/* ---------------------------------------------------------------- ticks */

size_t nice_ticks(double low, double high, size_t limit, double *ticks) {
    static const double steps[] = {1, 2, 5, 10, 20, 50};
    if (!(high > low) || limit < 2) {
        if (limit) ticks[0] = low;
        return limit ? 1 : 0;
    }
    double power = pow(10, floor(log10((high - low) / (double)limit)));
    size_t n = 0;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) { /* the finest that limit allows */
        double first = ceil(low / (steps[i] * power) - 1e-9), last = floor(high / (steps[i] * power) + 1e-9);
        if (last - first + 1 > (double)limit) continue;
        for (double k = first; k <= last; k++) ticks[n++] = k * steps[i] * power;
        break;
    }
    return n;
}

/* 1, 2, 5, 10, ... or, of the decades alone, 1, 10, 100. 0: more than limit. */
static size_t log_ticks(double low, double high, bool has_decades_alone, size_t limit, double *ticks) {
    static const double steps[] = {1, 2, 5};
    size_t n = 0;
    for (int power = (int)floor(log10(low)); power <= (int)ceil(log10(high)); power++) {
        for (size_t i = 0; i < (has_decades_alone ? 1 : 3); i++) {
            double tick = steps[i] * pow(10, power);
            if (tick < low * (1 - 1e-9) || tick > high * (1 + 1e-9)) continue;
            if (n == limit) return 0;
            ticks[n++] = tick;
        }
    }
    return n;
}

static bool fit(const struct scale *scale, double (*width)(double amount), const double *ticks, size_t n) {
    for (size_t i = 1; i < n; i++) {
        double gap = place(scale, ticks[i]) - place(scale, ticks[i - 1]);
        if (gap < (width(ticks[i]) + width(ticks[i - 1])) / 2 + TICK_GAP_PIXELS) return false;
    }
    return true;
}

size_t scale_ticks(const struct scale *scale, double (*width)(double amount), double *ticks, size_t limit) {
    const double *amounts = scale->values + scale->n_low;
    size_t n_amounts = scale->n - scale->n_low - scale->n_high, n = 0;
    if (n_amounts <= limit && fit(scale, width, amounts, n_amounts)) {
        for (size_t i = 0; i < n_amounts; i++) ticks[i] = amounts[i];
        return n_amounts;
    }
    for (int decades = 0; scale->is_logarithmic && decades < 2; decades++) {
        n = log_ticks(scale->low, scale->high, decades, limit, ticks);
        if (n >= 2 && fit(scale, width, ticks, n)) return n;
    }
    for (size_t most = limit < 9 ? limit : 9; !scale->is_logarithmic && most >= 2; most--) {
        n = nice_ticks(scale->low, scale->high, most, ticks);
        if (fit(scale, width, ticks, n)) return n;
    }
    ticks[0] = scale->low; /* at least the ends */
    if (limit < 2) return 1;
    ticks[1] = scale->high;
    return fit(scale, width, ticks, 2) ? 2 : 1;
}

/* ---------------------------------------------------------------- which lines */

/* The index of wanted among the ascending values; n: none. */
static size_t find(const double *values, size_t n, double wanted) {
    for (size_t i = 0; i < n; i++) {
        if (fabs(values[i] - wanted) <= 1e-9 * fabs(wanted)) return i;
    }
    return n;
}

/* Those of 1, 2, 5, 10, ... that are among the values. */
static size_t choose_round(const struct scale *scale, size_t limit, size_t *chosen) {
    double ticks[48];
    size_t n_chosen = 0, n = log_ticks(scale->low, scale->high, false, 48, ticks);
    for (size_t i = 0; i < n; i++) {
        size_t index = find(scale->values, scale->n, ticks[i]);
        if (index == scale->n) continue;
        if (n_chosen == limit) return limit + 1; /* too many */
        chosen[n_chosen++] = index;
    }
    return n_chosen;
}

size_t choose_values(const double *values, size_t n, bool has_slot, bool is_percent, size_t limit, size_t *chosen) {
    struct scale scale;
    size_t n_chosen = 0;
    if (n <= limit) {
        for (size_t i = 0; i < n; i++) chosen[i] = i;
        return n;
    }
    scale_make(values, n, has_slot, is_percent, 0, 1, &scale);
    size_t n_amounts = n - scale.n_low - scale.n_high;
    if (scale.n_low && limit > 1) chosen[n_chosen++] = scale.n_low - 1; /* 0 rather than -1: it means the same */
    size_t n_left = limit - n_chosen;
    if (scale.is_logarithmic) {
        size_t n_round = choose_round(&scale, n_left, chosen + n_chosen);
        if (n_round >= 4 && n_round <= n_left) return n_chosen + n_round;
    }
    /* else by place in the list, first and last one among them */
    for (size_t i = 0; i < n_left && i < n_amounts; i++) {
        double share = n_left > 1 ? (double)i / (double)(n_left - 1) : 0;
        size_t index = n_amounts <= n_left ? i : (size_t)lround(share * (double)(n_amounts - 1));
        chosen[n_chosen++] = scale.n_low + index;
    }
    return n_chosen;
}
