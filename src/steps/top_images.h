/* top_images.h - for every filter, the train pictures that excite it most (activations --top-images N): keeping them
 * while pictures run, and the file -top.pkl beside step 1's. */
#ifndef FILTAGS_STEPS_TOP_IMAGES_H
#define FILTAGS_STEPS_TOP_IMAGES_H

#include "store/output.h"
#include "store/variables.h"
#include "tagging/tags.h"

enum { TOP_IMAGES_MOST = 64 }; /* of a filter */

/* ---- keeping ---- */

/* The strongest pictures of every filter so far. What is kept depends on what was added, not on the order: of equal
 * activations the picture of the lower number is the stronger. */
struct top_keeper {
    size_t n_filters, n_top;
    uint64_t *entries; /* [n_filters, n_top] strongest first: activation << 32 | UINT32_MAX - picture; 0: none yet */
};

/* n_top in [1, TOP_IMAGES_MOST]. MEMORY. */
FILTAGS_MUST_USE filtags_status top_keeper_create(size_t n_filters, size_t n_top, struct top_keeper *keeper);
void top_keeper_free(struct top_keeper *keeper);

/* Add a picture (its number below UINT32_MAX): activations [n_filters]. One thread at a time. */
void top_keeper_add(struct top_keeper *keeper, size_t picture, const filtags_activation *activations);

/* Add what another keeper of as many filters and pictures has: entries [n_filters, n_top]. false: they aren't a
 * keeper's, whose pictures are below n_pictures. */
FILTAGS_MUST_USE bool top_keeper_merge(struct top_keeper *keeper, const uint64_t *entries, size_t n_pictures);

/* Write <...>-top.pkl and -top-names.pkl: top_images, a list over layers of lists over filters of lists of
 * (file, activation), strongest first. files: [n_files], by a picture's number. */
FILTAGS_MUST_USE filtags_status top_keeper_write(const struct top_keeper *keeper, const struct filter_table *table,
                                                 const char *const *files, size_t n_files, struct output *output);

/* ---- reading ---- */

struct top_image {
    uint32_t file;    /* index into files */
    float activation; /* in [0, 1] */
};

struct top_images {
    char **files; /* [n_files] 'class/file', each of them once */
    size_t n_files;
    struct filter_table table;
    size_t *offset;           /* [all filters + 1] filter f has images[offset[f]] up to, but without, [offset[f + 1]] */
    struct top_image *images; /* strongest first */
    size_t n_most;            /* the most that a filter has */
};

/* Read the -top.pkl beside step 1's "...-vars.pkl". *is_found is false, and *top_images empty, where there is none.
 * table: the filters of step 1's file. DATA: other filters, more than TOP_IMAGES_MOST pictures of one, an activation
 * that is not in [0, 1] or larger than the one before it; IO, FORMAT, UNSUPPORTED, MEMORY. The caller frees *top_images
 * with top_images_close. */
FILTAGS_MUST_USE filtags_status top_images_open(const char *vars_path, const struct filter_table *table,
                                                struct top_images *top_images, bool *is_found);
void top_images_close(struct top_images *top_images);

#endif
