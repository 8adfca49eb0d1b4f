#include "report/tag_pack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

/* The filters of each class and selector, before packing: ascending, one behind the other. */
struct filter_sets {
    uint64_t *offset;  // [n_selectors * n_classes + 1]
    uint32_t *filters; // [offset[last]]
};

/* What the packing of one class needs. */
struct class_packer {
    const struct filter_sets *sets;
    struct packed_tags *to;
    size_t *order;        // [n_selectors] selectors, fewest filters first
    uint32_t *run_start;  // [n_selectors] runs of the class: where each begins
    size_t *run_selector; // [n_selectors] the selector whose filters the run holds now
    size_t n_runs;
    size_t capacity;      /* of to->sequence */
    size_t n_entries;     /* in it */
};

static void free_sets(struct filter_sets *sets) {
    free(sets->offset);
    free(sets->filters);
}

/* Turn "filter: its labels" around to "class: its filters", a counting sort. */
static filtags_status turn_around(const struct tag_table *tags, size_t first_filter, struct label_classes classes,
                                  const struct packed_tags *shape, struct filter_sets *sets) {
    size_t n_sets = shape->n_selectors * shape->n_classes;
    uint64_t *offset = sets->offset = memory_new(n_sets + 1, sizeof *offset);
    if (!offset) return FILTAGS_ERROR_MEMORY;
    for (size_t s = 0; s < shape->n_selectors; s++) {
        const struct tag_table *table = &tags[s];
        for (uint64_t i = table->offset[first_filter]; i < table->offset[first_filter + shape->n_filters]; i++)
            offset[s * shape->n_classes + classes.class_of_label[table->labels[i]] + 1]++;
    }
    for (size_t i = 0; i < n_sets; i++) offset[i + 1] += offset[i];
    uint64_t *next = memory_new(n_sets + 1, sizeof *next);
    sets->filters = memory_new(offset[n_sets], sizeof *sets->filters);
    if (!next || !sets->filters) {
        free(next);
        return FILTAGS_ERROR_MEMORY;
    }
    memcpy(next, offset, (n_sets + 1) * sizeof *next);
    for (size_t s = 0; s < shape->n_selectors; s++) {
        const struct tag_table *table = &tags[s];
        for (size_t f = 0; f < shape->n_filters; f++) {
            for (uint64_t i = table->offset[first_filter + f]; i < table->offset[first_filter + f + 1]; i++)
                sets->filters[next[s * shape->n_classes + classes.class_of_label[table->labels[i]]]++] = (uint32_t)f;
        }
    }
    free(next);
    return FILTAGS_OK;
}

/* Find whether the ascending list large holds all of small, and put what it has besides into rest (room for n_large).
 * Returns the number of those, or SIZE_MAX: it doesn't. */
static size_t subtract(const uint32_t *large, size_t n_large, const uint32_t *small, size_t n_small, uint32_t *rest) {
    size_t n_rest = 0, s = 0;
    for (size_t i = 0; i < n_large; i++) {
        if (s < n_small && small[s] == large[i]) s++;
        else if (s < n_small && small[s] < large[i]) return SIZE_MAX;
        else rest[n_rest++] = large[i];
    }
    return s == n_small ? n_rest : SIZE_MAX;
}

static filtags_status make_room(struct class_packer *packer, size_t n) {
    void *sequence = packer->to->sequence;
    if (packer->n_entries + n >= UINT32_MAX) {
        return error_set(FILTAGS_ERROR_MEMORY, "a layer of a page: fewer than 2^32 tags expected, found more");
    }
    if (memory_grow(&sequence, &packer->capacity, packer->n_entries + n, sizeof *packer->to->sequence))
        return FILTAGS_ERROR_MEMORY;
    packer->to->sequence = sequence;
    return FILTAGS_OK;
}

static filtags_status place_set(struct class_packer *packer, size_t class_index, size_t selector) {
    struct packed_tags *to = packer->to;
    const struct filter_sets *sets = packer->sets;
    size_t set = selector * to->n_classes + class_index;
    const uint32_t *filters = sets->filters + sets->offset[set];
    size_t n = (size_t)(sets->offset[set + 1] - sets->offset[set]);
    filtags_status status = make_room(packer, n + 1);
    if (status) return status;
    uint32_t *end = to->sequence + packer->n_entries;
    size_t run = packer->n_runs, n_rest = SIZE_MAX;
    /* Only the last run can grow, what comes behind an earlier one being taken; an earlier one may be the very same. */
    while (run > 0 && n_rest == SIZE_MAX) {
        run--;
        size_t held = packer->run_selector[run] * to->n_classes + class_index;
        size_t n_held = (size_t)(sets->offset[held + 1] - sets->offset[held]);
        if (run == packer->n_runs - 1 || n_held == n)
            n_rest = subtract(filters, n, sets->filters + sets->offset[held], n_held, end);
    }
    if (n_rest == SIZE_MAX) {
        run = packer->n_runs++;
        packer->run_start[run] = (uint32_t)packer->n_entries - to->first[class_index];
        memcpy(end, filters, n * sizeof *end);
        n_rest = n;
    }
    packer->n_entries += n_rest;
    packer->run_selector[run] = selector;
    to->start[set] = packer->run_start[run];
    to->length[set] = (uint32_t)n;
    return FILTAGS_OK;
}

/* Fewest filters first; a stable insertion sort, since the order changes little from class to class. */
static void sort_selectors(struct class_packer *packer, size_t class_index) {
    const uint64_t *offset = packer->sets->offset;
    size_t n_classes = packer->to->n_classes;
    for (size_t i = 1; i < packer->to->n_selectors; i++) {
        size_t moved = packer->order[i], place = i, set = moved * n_classes + class_index;
        uint64_t n = offset[set + 1] - offset[set];
        while (place > 0) {
            size_t other = packer->order[place - 1] * n_classes + class_index;
            if (offset[other + 1] - offset[other] <= n) break;
            packer->order[place] = packer->order[place - 1];
            place--;
        }
        packer->order[place] = moved;
    }
}

static filtags_status pack_classes(struct class_packer *packer) {
    struct packed_tags *to = packer->to;
    for (size_t s = 0; s < to->n_selectors; s++) packer->order[s] = s;
    for (size_t c = 0; c < to->n_classes; c++) {
        to->first[c] = (uint32_t)packer->n_entries;
        packer->n_runs = 0;
        sort_selectors(packer, c);
        for (size_t i = 0; i < to->n_selectors; i++) {
            filtags_status status = place_set(packer, c, packer->order[i]);
            if (status) return status;
        }
    }
    to->first[to->n_classes] = (uint32_t)packer->n_entries;
    return FILTAGS_OK;
}

filtags_status packed_tags_create(const struct tag_table *tags, size_t n_selectors, size_t first_filter,
                                  size_t n_filters, struct label_classes classes, struct packed_tags *result) {
    struct packed_tags packed = {.n_classes = classes.n_classes, .n_selectors = n_selectors, .n_filters = n_filters};
    struct filter_sets sets = {0};
    struct class_packer packer = {.sets = &sets, .to = &packed};
    size_t n_sets = n_selectors * classes.n_classes;
    filtags_status status = FILTAGS_ERROR_MEMORY;
    packed.first = memory_new(classes.n_classes + 1, sizeof *packed.first);
    packed.start = memory_new(n_sets, sizeof *packed.start);
    packed.length = memory_new(n_sets, sizeof *packed.length);
    packer.order = memory_new(n_selectors, sizeof *packer.order);
    packer.run_start = memory_new(n_selectors, sizeof *packer.run_start);
    packer.run_selector = memory_new(n_selectors, sizeof *packer.run_selector);
    if (packed.first && packed.start && packed.length && packer.order && packer.run_start && packer.run_selector)
        status = turn_around(tags, first_filter, classes, &packed, &sets);
    if (!status) status = pack_classes(&packer);
    free(packer.order);
    free(packer.run_start);
    free(packer.run_selector);
    free_sets(&sets);
    if (status) packed_tags_free(&packed);
    else *result = packed;
    return status;
}

void packed_tags_free(struct packed_tags *packed) {
    free(packed->first);
    free(packed->start);
    free(packed->length);
    free(packed->sequence);
    *packed = (struct packed_tags){0};
}

/* ---------------------------------------------------------------- bytes */

size_t packed_tags_entry_bytes(size_t n_filters) {
    size_t n_bytes = 1;
    for (size_t highest = n_filters ? n_filters - 1 : 0; highest > 0xff; highest >>= 8) n_bytes++;
    return n_bytes;
}

static void append_uint32(struct buffer *to, uint32_t value) {
    const unsigned char bytes[] = {(unsigned char)value, (unsigned char)(value >> 8), (unsigned char)(value >> 16),
                                   (unsigned char)(value >> 24)};
    buffer_append(to, bytes, sizeof bytes);
}

void packed_tags_append(struct buffer *to, const struct packed_tags *packed) {
    size_t n_sets = packed->n_selectors * packed->n_classes, n_entries = packed->first[packed->n_classes];
    size_t entry_bytes = packed_tags_entry_bytes(packed->n_filters);
    for (size_t c = 0; c < packed->n_classes; c++) append_uint32(to, packed->first[c + 1] - packed->first[c]);
    for (size_t i = 0; i < n_sets; i++) append_uint32(to, packed->length[i]);
    for (size_t i = 0; i < n_sets; i++) append_uint32(to, packed->start[i]);
    for (size_t byte = 0; byte < entry_bytes; byte++) {
        uint32_t before = 0;
        for (size_t i = 0; i < n_entries; i++) {
            unsigned char part = (unsigned char)((packed->sequence[i] - before) >> (8 * byte));
            buffer_append(to, &part, 1);
            before = packed->sequence[i];
        }
    }
}

static void append_float(struct buffer *to, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    append_uint32(to, bits);
}

/* Least and greatest value of a filter over the classes. */
static void find_range(const float *const *rows, size_t n_rows, size_t filter, float *least, float *greatest) {
    *least = n_rows ? rows[0][filter] : 0;
    *greatest = *least;
    for (size_t r = 1; r < n_rows; r++) {
        if (rows[r][filter] < *least) *least = rows[r][filter];
        if (rows[r][filter] > *greatest) *greatest = rows[r][filter];
    }
}

/* The levels of one filter: their high bytes, or their low ones. */
static void append_levels(struct buffer *to, const float *const *rows, size_t n_rows, size_t filter, int n_bits,
                          int shift, double *greatest_error) {
    float least, greatest;
    double highest_level = n_bits == 16 ? 65535 : 255;
    find_range(rows, n_rows, filter, &least, &greatest);
    double range = (double)greatest - (double)least;
    for (size_t r = 0; r < n_rows; r++) {
        double value = rows[r][filter];
        double level = range > 0 ? rint((value - (double)least) / range * highest_level) : 0;
        double error = fabs((double)least + level * range / highest_level - value);
        if (error > *greatest_error) *greatest_error = error;
        unsigned char part = (unsigned char)((unsigned)level >> shift);
        buffer_append(to, &part, 1);
    }
}

void packed_activations_append(struct buffer *to, const float *const *rows, size_t n_rows, size_t first_filter,
                               size_t n_filters, int n_bits, double *greatest_error) {
    for (int is_greatest = 0; is_greatest < 2; is_greatest++) {
        for (size_t f = first_filter; f < first_filter + n_filters; f++) {
            float least, greatest;
            find_range(rows, n_rows, f, &least, &greatest);
            append_float(to, is_greatest ? greatest : least);
        }
    }
    for (int shift = n_bits - 8; shift >= 0; shift -= 8) {
        for (size_t f = first_filter; f < first_filter + n_filters; f++)
            append_levels(to, rows, n_rows, f, n_bits, shift, greatest_error);
    }
}
