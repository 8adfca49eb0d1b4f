/* tag_counts.h - how many tags which label has, as aligned text: the whole network beside its last layer. */
#ifndef FILTAGS_REPORT_TAG_COUNTS_H
#define FILTAGS_REPORT_TAG_COUNTS_H

#include "base/buffer.h"
#include "tagging/tags.h"

/* In the place of a label's number: none. */
#define TAG_COUNTS_NO_LABEL UINT32_MAX

/* One picture's ranking: [n] best first. */
struct tag_counts {
    const struct label_count *counts;
    size_t n;
};

/* Append the block of one picture and selector: all layers, last layer. names: [n_labels] without control characters.
 * marked: label that gets a *; TAG_COUNTS_NO_LABEL: none. */
void tag_counts_append(struct buffer *to, struct selector selector, const struct tag_counts halves[2],
                       const char *const *names, size_t n_labels, uint32_t marked);

/* What the rankings of several pictures add up to, for one selector, over all layers or the last one. */
struct tag_totals {
    size_t n_labels, n_pictures;
    uint64_t *n_tags; /* [n_labels] */
    size_t *n_first;  /* [n_labels] pictures whose ranking it leads */
    size_t *n_agreed; /* [n_labels] those of them where it is the network's top-1, too */
};

FILTAGS_MUST_USE filtags_status tag_totals_create(size_t n_labels, struct tag_totals *totals);
void tag_totals_free(struct tag_totals *totals);
/* own: number of the network's top-1 label, or TAG_COUNTS_NO_LABEL. */
void tag_totals_add(struct tag_totals *totals, const struct label_count *counts, size_t n, uint32_t own);

/* Append the block of one selector: a row a label, most tags first, then their sum. halves: all layers, last layer.
 * MEMORY. */
FILTAGS_MUST_USE filtags_status tag_totals_append(struct buffer *to, struct selector selector,
                                                  const struct tag_totals halves[2], const char *const *names);

/* Append a table with a row a selector: how often the tags' first label is the network's, and which label is first most
 * often. totals: [2 * n_selectors], all layers, last layer, for each selector. */
void tag_totals_append_summary(struct buffer *to, const struct selector *selectors, size_t n_selectors,
                               const struct tag_totals *totals, const char *const *names);

#endif
