/* tag_file.h - the contents of step 2's file, or of the published script's (docs/published-files.md), as far as a list
 * of k and q needs them. The file is never in memory as a whole: it can have gigabytes. */
#ifndef FILTAGS_STEPS_TAG_FILE_H
#define FILTAGS_STEPS_TAG_FILE_H

#include "options/options.h"
#include "steps/steps.h"
#include "store/variables.h"
#include "tagging/tags.h"

struct tag_file {
    char **labels; /* [n_labels] a label's number is its place here */
    size_t n_labels;
    struct filter_table table;
    struct selector *selectors; /* [n_selectors] those of k, then those of q */
    struct tag_table *tags;     /* [n_selectors] */
    size_t n_selectors, n_k;
    bool is_ranked;           /* the tags are in ranks, and tags[i].labels are NULL; see tag_file_open_compact */
    struct class_ranks ranks; /* a column a label, in the order that they have in every list */
    uint32_t *columns;        /* [n_labels] the label of each column */
};

/* Read the tags of the values k_q (all in the file where k_q is empty). What the file lacks is left out, with a
 * warning by step_log, or - where it is a fraction, and so q's alone - without one for k. DATA: not the variables of
 * step 2, or decoded tags; nothing left. */
FILTAGS_MUST_USE filtags_status tag_file_open(struct step *step, const char *path, const struct number_list *k_q,
                                              struct tag_file *tag_file);
/* The same in the least memory: where there are more tags than pairs of filter and label, as ranks, if the file allows
 * it (tag_ranks.h). */
FILTAGS_MUST_USE filtags_status tag_file_open_compact(struct step *step, const char *path,
                                                      const struct number_list *k_q, struct tag_file *tag_file);
void tag_file_close(struct tag_file *tag_file);

/* Whether a tag file's labels are words that decode has put in place of wnids: told by its run.json, or by its name.
 * FORMAT: its run.json is malformed. */
FILTAGS_MUST_USE filtags_status tag_file_is_decoded(const char *path, bool *is_decoded);

/* Append to -vars-info.txt what filTags_k and filTags_q are. */
void tag_variables_append_info(struct buffer *to);

/* Append to a pickle what one selector's key stands for: a list over layers of lists over filters of lists of labels.
 * labels: [n] what to write for the labels' numbers. memos: [n], see pickle_str_shared. */
void tag_table_write(struct pickle_writer *pickle, const struct filter_table *table, const struct tag_table *tags,
                     const char *const *labels, uint32_t *memos);

/* Gets the tags of one value of k or q after the other, in the file's order (k before q in every file that a program of
 * ours or the published ones wrote). file: labels (as far as they have been met) and filter table; no tags. */
typedef filtags_status (*tag_file_visit)(void *context, const struct tag_file *file, struct selector selector,
                                         const struct tag_table *tags);

/* As tag_file_open, but keep the tags of no more than one value in memory. */
FILTAGS_MUST_USE filtags_status tag_file_each(struct step *step, const char *path, const struct number_list *k_q,
                                              tag_file_visit visit, void *context);

#endif
