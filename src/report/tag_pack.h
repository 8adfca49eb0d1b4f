/* tag_pack.h - the tags and class activations of one layer, packed for the page of visualize.
 *
 * A page has the tags of many selectors (values of k and q). What a class tags with k = 5 is most often part of what it
 * tags with k = 25: so a class has one sequence of filters, and its filters of a selector are a piece of it, known by
 * start and length. Where a selector's filters don't contain the next smaller one's, the sequence goes on with another
 * run of filters: nothing is assumed of a file, and what is unpacked are its tags exactly. */
#ifndef FILTAGS_REPORT_TAG_PACK_H
#define FILTAGS_REPORT_TAG_PACK_H

#include "base/buffer.h"
#include "tagging/tags.h"

/* Which class a tag file's label is. */
struct label_classes {
    const uint32_t *class_of_label; /* [number of labels] in [0, n_classes) */
    size_t n_classes;
};

/* The tags of one layer: class c has with selector s the filters
 * sequence[first[c] + start[s * n_classes + c]] and on, length[s * n_classes + c] of them. */
struct packed_tags {
    size_t n_classes, n_selectors, n_filters;
    uint32_t *first;    // [n_classes + 1] first[n_classes] is the number of all entries
    uint32_t *start;    // [n_selectors, n_classes]
    uint32_t *length;   // [n_selectors, n_classes]
    uint32_t *sequence; // [first[n_classes]] filters of the layer, from 0; one that a class tags twice is there twice
};

/* Pack the tags of a layer's filters, [first_filter, first_filter + n_filters) of each table. tags: [n_selectors].
 * MEMORY: also where there are more than 2^32 - 1 entries. The caller frees *packed with packed_tags_free. */
FILTAGS_MUST_USE filtags_status packed_tags_create(const struct tag_table *tags, size_t n_selectors,
                                                   size_t first_filter, size_t n_filters, struct label_classes classes,
                                                   struct packed_tags *packed);
void packed_tags_free(struct packed_tags *packed);

/* Bytes that an entry of the sequence takes: as many as the layer's highest filter needs. */
size_t packed_tags_entry_bytes(size_t n_filters);

/* Append as the page reads it, little-endian: entries of each class (uint32 [n_classes]), length, start (uint32
 * [n_selectors, n_classes] each), and the sequence's differences from entry to entry (before the first one: 0) modulo
 * 256^entry_bytes, all lowest bytes first, then all second ones: small differences leave the others zero, which deflate
 * makes nothing of. A lack of memory stays with the buffer. */
void packed_tags_append(struct buffer *to, const struct packed_tags *packed);

/* Append the class activations of a layer, each filter rounded to 2^n_bits levels between its least and its greatest
 * class: the least of every filter, then the greatest (float32 [n_filters] each, little-endian), then the levels
 * [n_filters, n_rows], all high bytes first where there are 16 bits. rows: [n_rows] of all filters, none NULL. A value
 * reads least + level * (greatest - least) / (2^n_bits - 1). *greatest_error grows to the greatest difference of such
 * a value from the true one. n_bits: 8 or 16. */
void packed_activations_append(struct buffer *to, const float *const *rows, size_t n_rows, size_t first_filter,
                               size_t n_filters, int n_bits, double *greatest_error);

#endif
