/* tag_ranks.h - the tags of many values of k and q as ranks: four bytes for each filter and label, however many values.
 *
 * What our programs write allows it: a class that tags a filter among its k most active ones also does so among more,
 * and the labels of every list are in one order. */
#ifndef FILTAGS_STEPS_TAG_RANKS_H
#define FILTAGS_STEPS_TAG_RANKS_H

#include "steps/tag_file.h"

/* Zero-initialise; free with tag_ranks_free. */
struct tag_ranks {
    uint32_t *places; /* [n_filters, capacity] by label number; as in struct class_ranks */
    size_t n_filters, capacity;
    size_t n_labels;
    uint32_t *order; /* [n_labels] place of a label in byte order of the names */
};

/* Add the tags of one value. file: its labels as far as they are known, and its filter table. *is_nested is cleared
 * where the labels of a list aren't in byte order: then this form is not for the file. MEMORY. */
FILTAGS_MUST_USE filtags_status tag_ranks_add(struct tag_ranks *ranks, const struct tag_file *file,
                                              struct selector selector, const struct tag_table *tags, bool *is_nested);

/* Make them the file's ranks, if each of its selectors' lists (whose lengths its tags still have) follows from them;
 * else clear *is_nested. MEMORY. */
FILTAGS_MUST_USE filtags_status tag_ranks_finish(const struct tag_ranks *ranks, struct tag_file *file,
                                                 bool *is_nested);

void tag_ranks_free(struct tag_ranks *ranks);

#endif
