/* picture_list.h - the pictures that a step runs: a dataset's train or test set, or the first few of each class. */
#ifndef FILTAGS_STEPS_PICTURE_LIST_H
#define FILTAGS_STEPS_PICTURE_LIST_H

#include "base/buffer.h"
#include "steps/runner.h"

struct picture_list {
    const char **files; /* [n_files] 'class/file', the dataset's */
    uint32_t *class_of; /* [n_files] */
    bool *is_bad;       /* [n_files] set by the runner for pictures that could not be used */
    size_t n_files;
    size_t n_all; /* before limit */
};

/* List the train (or test) pictures in the shuffled order, the first limit of each class; all where limit is 0.
 * MEMORY. */
FILTAGS_MUST_USE filtags_status picture_list_create(const filtags_dataset *dataset, bool is_test, size_t limit,
                                                    struct picture_list *list);
/* Leave the pictures of one class alone in the list. */
void picture_list_keep_class(struct picture_list *list, const filtags_dataset *dataset, bool is_test,
                             size_t class_index);
void picture_list_free(struct picture_list *list);

/* Append the end of a report's first line: the time it took, and the rate if pictures were run. */
void picture_list_report_time(const struct picture_list *list, const struct runner_totals *totals, double total_sec,
                              struct buffer *to);

/* Append to a step's report what was left out, and how long all pictures would have taken. */
void picture_list_report(const struct picture_list *list, const struct runner_totals *totals, struct buffer *to);

#endif
