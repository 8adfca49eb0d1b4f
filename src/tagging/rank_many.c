/* Ranking by many selectors at once.
 *
 * A selector takes n filters of a layer, and label c has a tag of filter f if c's place for f is below n. The filter is
 * active in a picture if its own place is below n. So the pair counts for every n above both places: it is counted in
 * the bucket of the least n of the selectors for which it does, and sums over buckets give the counts for each n. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "tagging/rank_internal.h"

#define NO_FILTER UINT32_MAX

/* How often a label was met, and the first filter at which it was. */
struct tally {
    uint32_t count, first;
};

/* What selectors come to in one layer. */
struct ladder {
    size_t n_buckets;     /* different n of the selectors, but for 0 */
    uint32_t *bucket_of;  /* [n_filters + 2] by one more than the larger place; n_buckets: counts for no selector */
    uint32_t *bucket_for; /* [n_selectors] n_buckets: those above the mean */
};

struct sort_item {
    uint32_t count, first, column;
};

struct many_ranks {
    const struct filter_table *table;
    const struct class_ranks *ranks;
    const uint32_t *labels;
    size_t n_selectors;
    struct ladder *ladders; /* [n_layers] */
    struct ranking_scratch *scratch;
    struct tally *layer; /* [most buckets + 1, n_labels] the last row: above the mean */
    struct tally *total; /* [n_selectors, n_labels] */
    struct tally *last;  /* [n_selectors, n_labels] of the last layer alone */
    struct sort_item *items, *sorted; /* [n_labels] */
};

/* ---------------------------------------------------------------- making */

static void clear(struct tally *tallies, size_t n) {
    for (size_t i = 0; i < n; i++) tallies[i] = (struct tally){0, NO_FILTER};
}

static filtags_status make_ladder(const struct selector *selectors, size_t n_selectors, size_t n_filters,
                                  struct ladder *ladder) {
    ladder->bucket_of = memory_new(n_filters + 2, sizeof *ladder->bucket_of);
    ladder->bucket_for = memory_new(n_selectors, sizeof *ladder->bucket_for);
    bool *is_used = memory_new(n_filters + 1, sizeof *is_used);
    if (!ladder->bucket_of || !ladder->bucket_for || !is_used) {
        free(is_used);
        return FILTAGS_ERROR_MEMORY;
    }
    for (size_t s = 0; s < n_selectors; s++)
        is_used[filtags_selection_size(selectors[s].rule, selectors[s].value, n_filters)] = true;
    for (size_t n = 1; n <= n_filters; n++) {
        ladder->bucket_of[n] = (uint32_t)ladder->n_buckets;
        ladder->n_buckets += is_used[n];
    }
    ladder->bucket_of[n_filters + 1] = (uint32_t)ladder->n_buckets;
    for (size_t s = 0; s < n_selectors; s++) {
        size_t n = filtags_selection_size(selectors[s].rule, selectors[s].value, n_filters);
        ladder->bucket_for[s] = n ? ladder->bucket_of[n] : (uint32_t)ladder->n_buckets;
    }
    free(is_used);
    return FILTAGS_OK;
}

filtags_status many_ranks_create(const struct filter_table *table, const struct class_ranks *ranks,
                                 const uint32_t *labels, const struct selector *selectors, size_t n_selectors,
                                 struct many_ranks **result) {
    size_t n_labels = ranks->n_classes, n_most = 0;
    struct many_ranks *many = memory_new(1, sizeof *many);
    if (!many) return FILTAGS_ERROR_MEMORY;
    *many = (struct many_ranks){.table = table, .ranks = ranks, .labels = labels, .n_selectors = n_selectors};
    many->ladders = memory_new(table->n_layers, sizeof *many->ladders);
    filtags_status status = many->ladders ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; !status && i < table->n_layers; i++) {
        status = make_ladder(selectors, n_selectors, table->n_filters[i], &many->ladders[i]);
        if (many->ladders[i].n_buckets > n_most) n_most = many->ladders[i].n_buckets;
    }
    if (!status) status = ranking_scratch_create(table, n_labels, &many->scratch);
    many->layer = memory_new((n_most + 1) * n_labels, sizeof *many->layer);
    many->total = memory_new(n_selectors * n_labels, sizeof *many->total);
    many->last = memory_new(n_selectors * n_labels, sizeof *many->last);
    many->items = memory_new(n_labels, sizeof *many->items);
    many->sorted = memory_new(n_labels, sizeof *many->sorted);
    if (!many->layer || !many->total || !many->last || !many->items || !many->sorted) status = FILTAGS_ERROR_MEMORY;
    if (status) many_ranks_destroy(many);
    else *result = many;
    return status;
}

void many_ranks_destroy(struct many_ranks *many) {
    if (!many) return;
    for (size_t i = 0; many->ladders && i < many->table->n_layers; i++) {
        free(many->ladders[i].bucket_of);
        free(many->ladders[i].bucket_for);
    }
    free(many->ladders);
    ranking_scratch_destroy(many->scratch);
    free(many->layer);
    free(many->total);
    free(many->last);
    free(many->items);
    free(many->sorted);
    free(many);
}

/* ---------------------------------------------------------------- counting */

static uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* places: [n_labels] of one filter's tags. Filters come in ascending order, and so the first one is the least. No
 * branches here: nobody could predict them. */
static void count_filter(const struct ladder *ladder, struct tally *layer, const uint32_t *places, size_t n_labels,
                         uint32_t n_filters, uint32_t own_place, uint32_t filter) {
    for (size_t c = 0; c < n_labels; c++) {
        uint32_t place = places[c] & CLASS_RANKS_NO_PLACE;
        place = smaller(place > own_place ? place : own_place, n_filters);
        uint32_t bucket = ladder->bucket_of[place + 1];
        bool counts = bucket < ladder->n_buckets;
        struct tally *tally = &layer[bucket * n_labels + c]; /* the row above the mean where it doesn't count */
        tally->count += counts;
        tally->first = smaller(tally->first, counts ? filter : NO_FILTER);
    }
}

/* row: [n_labels] */
static void count_above_mean(struct tally *row, const uint32_t *places, size_t n_labels, uint32_t filter) {
    for (size_t c = 0; c < n_labels; c++) {
        bool counts = places[c] > CLASS_RANKS_NO_PLACE;
        row[c].count += counts;
        row[c].first = smaller(row[c].first, counts ? filter : NO_FILTER);
    }
}

/* to += from, both [n_labels] */
static void add_row(struct tally *to, const struct tally *from, size_t n_labels) {
    for (size_t c = 0; c < n_labels; c++) {
        to[c].count += from[c].count;
        to[c].first = smaller(to[c].first, from[c].first);
    }
}

static void count_layer(struct many_ranks *many, size_t index) {
    const struct ladder *ladder = &many->ladders[index];
    const struct filter_table *table = many->table;
    size_t n_labels = many->ranks->n_classes, n_buckets = ladder->n_buckets, n_filters = table->n_filters[index];
    struct tally *above_mean = many->layer + n_buckets * n_labels;
    clear(many->layer, (n_buckets + 1) * n_labels);
    for (size_t f = table->first[index]; f < table->first[index + 1]; f++) {
        const uint32_t *places = many->ranks->places + f * n_labels; // [n_labels]
        uint32_t own_place = many->scratch->places[f];
        if (ladder->bucket_of[own_place + 1] < n_buckets)
            count_filter(ladder, many->layer, places, n_labels, (uint32_t)n_filters, own_place, (uint32_t)f);
        if (many->scratch->is_above_mean[f]) count_above_mean(above_mean, places, n_labels, (uint32_t)f);
    }
    for (size_t b = 1; b < n_buckets; b++)
        add_row(many->layer + b * n_labels, many->layer + (b - 1) * n_labels, n_labels);
    for (size_t s = 0; s < many->n_selectors; s++) {
        const struct tally *row = many->layer + ladder->bucket_for[s] * n_labels;
        add_row(many->total + s * n_labels, row, n_labels);
        if (index + 1 == table->n_layers) add_row(many->last + s * n_labels, row, n_labels);
    }
}

void many_ranks_study(struct many_ranks *many, const filtags_activation *activations) {
    size_t n = many->n_selectors * many->ranks->n_classes;
    ranking_study_picture(many->scratch, many->table, activations);
    clear(many->total, n);
    clear(many->last, n);
    for (size_t i = 0; i < many->table->n_layers; i++) count_layer(many, i);
}

/* ---------------------------------------------------------------- ranking */

/* Sort by the digits of a field that differ, stably, the lowest first: fewer steps than comparing. */
static void sort_by(struct many_ranks *many, size_t n, size_t offset, bool is_descending) {
    enum { N_DIGITS = 256 };
    for (unsigned shift = 0; shift < 32; shift += 8) {
        size_t starts[N_DIGITS + 1] = {0};
        uint32_t differing = 0, first;
        memcpy(&first, (const char *)many->items + offset, sizeof first);
        for (size_t i = 0; i < n; i++) {
            uint32_t value;
            memcpy(&value, (const char *)&many->items[i] + offset, sizeof value);
            differing |= (value ^ first) >> shift;
            starts[((is_descending ? ~value : value) >> shift & 0xff) + 1]++;
        }
        if (!differing) return; /* nor in a higher digit */
        for (size_t d = 0; d < N_DIGITS; d++) starts[d + 1] += starts[d];
        for (size_t i = 0; i < n; i++) {
            uint32_t value;
            memcpy(&value, (const char *)&many->items[i] + offset, sizeof value);
            many->sorted[starts[(is_descending ? ~value : value) >> shift & 0xff]++] = many->items[i];
        }
        struct sort_item *items = many->items;
        many->items = many->sorted;
        many->sorted = items;
    }
}

size_t many_ranks_get(struct many_ranks *many, size_t selector, bool is_last_layer_only, struct label_count *ranking) {
    size_t n_labels = many->ranks->n_classes, n = 0;
    const struct tally *row = (is_last_layer_only ? many->last : many->total) + selector * n_labels;
    for (size_t c = 0; c < n_labels; c++) {
        if (row[c].count) many->items[n++] = (struct sort_item){row[c].count, row[c].first, (uint32_t)c};
    }
    if (n > 1) {
        sort_by(many, n, offsetof(struct sort_item, first), false); /* columns are in their order already */
        sort_by(many, n, offsetof(struct sort_item, count), true);
    }
    for (size_t i = 0; i < n; i++)
        ranking[i] = (struct label_count){many->labels[many->items[i].column], many->items[i].count};
    return n;
}
