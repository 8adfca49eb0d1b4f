/* predictions.h - the predictions of all test pictures, kept in a scratch file so that memory doesn't grow with their
 * number. */
#ifndef FILTAGS_STEPS_PREDICTIONS_H
#define FILTAGS_STEPS_PREDICTIONS_H

#include <stdio.h>

#include "base/buffer.h"
#include "steps/tag_file.h"

struct ranking {
    size_t n;
    const struct label_count *counts; /* [n] best first */
};

enum { PREDICTION_MOST_TOP = 3 };

/* One picture's. */
struct prediction {
    size_t n_top; /* min(3, outputs) */
    struct {
        uint32_t output;
        float probability;
    } top[PREDICTION_MOST_TOP];
    struct ranking *rankings; /* [2 * n_selectors]: all layers, last layer, for each selector */
};

struct predictions;

/* tags must outlive the predictions; scratch becomes theirs. */
FILTAGS_MUST_USE filtags_status predictions_create(const struct tag_file *tags, size_t n_outputs, size_t n_images,
                                                   size_t n_threads, FILE *scratch, struct predictions **predictions);
void predictions_destroy(struct predictions *predictions);

/* Predict picture image from its activations [all filters] and the network's outputs [n_outputs], and keep that.
 * Threads may call it at once, each with its own number. IO: the disk is full. */
FILTAGS_MUST_USE filtags_status predictions_add(struct predictions *predictions, size_t thread, size_t image,
                                                const filtags_activation *activations, const float *outputs);

/* What is kept of a picture that was added, as bytes, in place of what the buffer had. Threads may call it at once with
 * predictions_add. IO, MEMORY. */
FILTAGS_MUST_USE filtags_status predictions_read(struct predictions *predictions, size_t image, struct buffer *bytes);

/* Whether these are bytes that predictions_read gives of predictions like these. */
bool predictions_fit(const struct predictions *predictions, const char *bytes, size_t n_bytes);

/* Keep for a picture what predictions_read gave, and predictions_fit. IO: the disk is full. */
FILTAGS_MUST_USE filtags_status predictions_restore(struct predictions *predictions, size_t image, const char *bytes,
                                                    size_t n_bytes);

/* Bring the predictions of some pictures (all of them added) into memory, in place of those loaded before. */
FILTAGS_MUST_USE filtags_status predictions_load(struct predictions *predictions, const size_t *images,
                                                 size_t n_images);

/* A picture that is loaded. */
const struct prediction *predictions_get(const struct predictions *predictions, size_t image);

#endif
