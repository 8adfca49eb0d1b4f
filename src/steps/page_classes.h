/* page_classes.h - the classes that a page shows: those of the tags and those of the class activations, matched. */
#ifndef FILTAGS_STEPS_PAGE_CLASSES_H
#define FILTAGS_STEPS_PAGE_CLASSES_H

#include <jansson.h>

#include "filtags.h"

struct page_class {
    const char *key;   /* as the tags have it: a class folder, a wnid, a decoded label. Unique */
    const char *label; /* readable: ImageNet's label for a wnid, else the key */
    const char *wnid;  /* NULL: not known */
    size_t number;     /* of the class in step 1; SIZE_MAX: not known */
    const float *row;  /* class activations of all filters; NULL: none */
    bool is_ambiguous; /* decoded: several classes of step 1 have this label, so it has no activations of its own */
};

struct page_classes {
    struct page_class *items; /* [n] */
    size_t n;
    uint32_t *class_of_label; /* [number of labels] */
    size_t n_unknown;         /* labels that step 1 has no class for */
};

/* Classes of step 1's file; n = 0: there is none. */
struct activation_classes {
    const char *const *labels; /* [n] */
    float *const *rows;        /* [n]; NULL rows: no train pictures */
    size_t n, first_number;
};

/* Match the labels of tags ([n_labels], no two the same) with the classes of step 1: by the very label, else as decoded
 * by ImageNet's list. Classes come in step 1's order, then labels that it hasn't, in byte order; classes that a decoded
 * label of several stands for are left out. The strings stay the caller's. MEMORY. */
FILTAGS_MUST_USE filtags_status page_classes_create(const char *const *labels, size_t n_labels,
                                                    const struct activation_classes *activations,
                                                    struct page_classes *classes);
void page_classes_free(struct page_classes *classes);

/* Make the page's list: [{key, label?, wnid?, number?, row?, ambiguous?}, ...], row being the place among the rows that
 * are there. NULL: out of memory. */
json_t *page_classes_to_json(const struct page_classes *classes);

/* Collect the rows that are there, in the order of the classes. rows: room for n. Returns their number. */
size_t page_classes_rows(const struct page_classes *classes, const float **rows);

#endif
