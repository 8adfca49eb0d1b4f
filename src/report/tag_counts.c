#include "report/tag_counts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { COUNT_WIDTH = 8, NAME_WIDTH_LEAST = 10, NAME_WIDTH_MOST = 40, VALUE_WIDTH = 10 };

/* Characters, as far as UTF-8 tells: bytes that don't go on with one. */
static int width_of(const char *text) {
    int width = 0;
    for (; *text; text++) width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

/* A column for names; one that is longer pushes the rest of its line. */
static int column_width(const char *const *names, size_t n_labels) {
    int width = NAME_WIDTH_LEAST;
    for (size_t i = 0; i < n_labels; i++) {
        int own = width_of(names[i]);
        if (own > width) width = own;
    }
    return width < NAME_WIDTH_MOST ? width : NAME_WIDTH_MOST;
}

static void append_padded(struct buffer *to, const char *text, int width) {
    int n_missing = width - width_of(text);
    buffer_printf(to, "%s%*s", text, n_missing > 0 ? n_missing : 0, "");
}

static void append_value(struct buffer *to, struct selector selector) {
    char text[48];
    snprintf(text, sizeof text, "%c = %g", selector.rule == FILTAGS_RULE_K ? 'k' : 'q', selector.value);
    buffer_printf(to, "%-*s", VALUE_WIDTH, text);
}

static void end_line(struct buffer *to) {
    while (to->size_bytes && to->data[to->size_bytes - 1] == ' ') to->data[--to->size_bytes] = '\0';
    buffer_append_text(to, "\n");
}

/* ---------------------------------------------------------------- one picture */

void tag_counts_append(struct buffer *to, struct selector selector, const struct tag_counts halves[2],
                       const char *const *names, size_t n_labels, uint32_t marked) {
    int name_width = column_width(names, n_labels);
    buffer_append_text(to, "\n");
    append_value(to, selector); /* as wide as a count; the headings are above the names */
    append_padded(to, " all layers", COUNT_WIDTH + 3 + name_width + 3);
    buffer_append_text(to, "last layer\n");
    for (size_t row = 0; row == 0 || row < halves[0].n || row < halves[1].n; row++) {
        for (int half = 0; half < 2; half++) {
            if (row < halves[half].n) {
                struct label_count count = halves[half].counts[row];
                buffer_printf(to, "%*lu %c ", COUNT_WIDTH, (unsigned long)count.count,
                              count.label == marked ? '*' : ' ');
                append_padded(to, names[count.label], name_width + 2);
            } else {
                buffer_printf(to, "%*s", COUNT_WIDTH + 3, "");
                append_padded(to, row ? "" : "(no tags)", name_width + 2);
            }
        }
        end_line(to);
    }
}

/* ---------------------------------------------------------------- totals */

filtags_status tag_totals_create(size_t n_labels, struct tag_totals *result) {
    struct tag_totals totals = {.n_labels = n_labels,
                                .n_tags = memory_new(n_labels, sizeof *totals.n_tags),
                                .n_first = memory_new(n_labels, sizeof *totals.n_first),
                                .n_agreed = memory_new(n_labels, sizeof *totals.n_agreed)};
    if (totals.n_tags && totals.n_first && totals.n_agreed) {
        *result = totals;
        return FILTAGS_OK;
    }
    tag_totals_free(&totals);
    return FILTAGS_ERROR_MEMORY;
}

void tag_totals_free(struct tag_totals *totals) {
    free(totals->n_tags);
    free(totals->n_first);
    free(totals->n_agreed);
    *totals = (struct tag_totals){0};
}

void tag_totals_add(struct tag_totals *totals, const struct label_count *counts, size_t n, uint32_t own) {
    totals->n_pictures++;
    for (size_t i = 0; i < n; i++) totals->n_tags[counts[i].label] += counts[i].count;
    if (!n) return;
    totals->n_first[counts[0].label]++;
    totals->n_agreed[counts[0].label] += counts[0].label == own;
}

static size_t sum(const size_t *values, size_t n) {
    size_t total = 0;
    for (size_t i = 0; i < n; i++) total += values[i];
    return total;
}

/* A label and how many tags it has over all layers, for sorting. */
struct row {
    uint64_t n_tags;
    size_t label;
};

static int compare_rows(const void *a, const void *b) {
    const struct row *left = a, *right = b;
    if (left->n_tags != right->n_tags) return left->n_tags > right->n_tags ? -1 : 1;
    return left->label < right->label ? -1 : left->label > right->label;
}

static void append_cells(struct buffer *to, int half, uint64_t n_tags, size_t n_first, size_t n_agreed) {
    buffer_printf(to, "%*s%*llu%*zu%*zu", half ? 4 : 0, "", COUNT_WIDTH + 2, (unsigned long long)n_tags, COUNT_WIDTH,
                  n_first, COUNT_WIDTH, n_agreed);
}

static void append_sums(struct buffer *to, const struct tag_totals halves[2], int name_width) {
    append_padded(to, "all labels", name_width);
    for (int half = 0; half < 2; half++) {
        const struct tag_totals *totals = &halves[half];
        uint64_t n_tags = 0;
        for (size_t i = 0; i < totals->n_labels; i++) n_tags += totals->n_tags[i];
        append_cells(to, half, n_tags, sum(totals->n_first, totals->n_labels), sum(totals->n_agreed, totals->n_labels));
    }
    buffer_append_text(to, "\n");
}

/* The halves' names begin where "tags" does. */
static void append_totals_head(struct buffer *to, struct selector selector, int name_width) {
    static const char *const columns[] = {"tags", "first", "agreed"};
    int before_tags = COUNT_WIDTH + 2 - (int)strlen(columns[0]);
    append_value(to, selector);
    buffer_printf(to, "%*s", name_width - VALUE_WIDTH + before_tags, "");
    append_padded(to, "all layers", 3 * COUNT_WIDTH + 6);
    buffer_printf(to, "last layer\n%*s", name_width, "");
    for (int half = 0; half < 2; half++)
        buffer_printf(to, "%*s%*s%*s%*s", half ? 4 : 0, "", COUNT_WIDTH + 2, columns[0], COUNT_WIDTH, columns[1],
                      COUNT_WIDTH, columns[2]);
    buffer_append_text(to, "\n");
}

filtags_status tag_totals_append(struct buffer *to, struct selector selector, const struct tag_totals halves[2],
                                 const char *const *names) {
    size_t n_labels = halves[0].n_labels, n_rows = 0;
    int name_width = column_width(names, n_labels);
    struct row *rows = memory_new(n_labels, sizeof *rows);
    if (!rows) return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < n_labels; i++) {
        if (halves[0].n_tags[i] || halves[1].n_tags[i]) rows[n_rows++] = (struct row){halves[0].n_tags[i], i};
    }
    qsort(rows, n_rows, sizeof *rows, compare_rows);
    buffer_append_text(to, "\n");
    append_totals_head(to, selector, name_width);
    for (size_t r = 0; r < n_rows; r++) {
        size_t label = rows[r].label;
        append_padded(to, names[label], name_width);
        for (int half = 0; half < 2; half++)
            append_cells(to, half, halves[half].n_tags[label], halves[half].n_first[label],
                         halves[half].n_agreed[label]);
        buffer_append_text(to, "\n");
    }
    append_sums(to, halves, name_width);
    free(rows);
    return FILTAGS_OK;
}

/* ---------------------------------------------------------------- summary */

static const size_t no_label = (size_t)-1;

static size_t most_often_first(const struct tag_totals *totals) {
    size_t most = no_label;
    for (size_t i = 0; i < totals->n_labels; i++) {
        if (totals->n_first[i] && (most == no_label || totals->n_first[i] > totals->n_first[most])) most = i;
    }
    return most;
}

static void append_summary_half(struct buffer *to, const struct tag_totals *totals, const char *const *names,
                                int name_width) {
    size_t first = most_often_first(totals);
    char share[40] = "-";
    if (totals->n_pictures) {
        double agreed = (double)sum(totals->n_agreed, totals->n_labels);
        snprintf(share, sizeof share, "%.4f", agreed / (double)totals->n_pictures);
    }
    struct buffer cell = {0};
    buffer_printf(to, "%*s  ", COUNT_WIDTH, share);
    if (first != no_label) buffer_printf(&cell, "%s (%zu)", names[first], totals->n_first[first]);
    to->has_failed = to->has_failed || cell.has_failed;
    append_padded(to, buffer_text(&cell), name_width + COUNT_WIDTH);
    buffer_free(&cell);
}

void tag_totals_append_summary(struct buffer *to, const struct selector *selectors, size_t n_selectors,
                               const struct tag_totals *totals, const char *const *names) {
    int name_width = n_selectors ? column_width(names, totals->n_labels) : 0;
    int half_width = 2 * COUNT_WIDTH + name_width + 2;
    buffer_append_text(to, "\nhow often the tags' first label is the network's top-1 label, and which label is first "
                           "most often (pictures)\n");
    buffer_printf(to, "%*s%-*s%s\n", VALUE_WIDTH + 2, "", half_width, "all layers", "last layer");
    for (size_t s = 0; s < n_selectors; s++) {
        append_value(to, selectors[s]);
        for (size_t half = 0; half < 2; half++) append_summary_half(to, &totals[2 * s + half], names, name_width);
        end_line(to);
    }
}
