/* engine.h - what an engine and its workers are made of. */
#ifndef FILTAGS_ENGINE_ENGINE_H
#define FILTAGS_ENGINE_ENGINE_H

#include "engine/plan.h"
#include "engine/prepare.h"

struct filtags_engine {
    const struct graph *graph; /* the model's */
    bool wants_output, is_reference;
    bool wants_maps; /* every value that a tap reads is also in memory: nothing may be fused past a tap */
    size_t max_batch;
    const struct kernels *kernels;
    struct conv_library *library; /* NULL in the reference engine */
    struct plan plan;
    struct prepared *prepared;    /* [n_nodes] */
    size_t scratchpad_bytes;      /* the most that one convolution needs */
};

struct filtags_worker {
    const struct filtags_engine *engine;
    struct conv_stream *stream;
    void *scratchpad;
    float *arena;          /* see plan_storage */
    int passing_storage;   /* of which only some rows are there, see execute_own_conv; PLAN_NOTHING */
    size_t passed_floats;  /* what would lie in front of those */
    double *sums;          /* [n_filters] of one picture */
    double *channel_sums;  /* [max_channels] of a global pooling */
    float (*ranges)[2];    /* [n_taps] */
    /* One call of filtags_worker_run. */
    const float *images;
    size_t n_images;
    filtags_activation *activations;
    size_t *bad_taps;      /* [max_batch] first tap with a value that is not finite, or SIZE_MAX */
    filtags_map *maps;     /* feature maps that are wanted, see maps.h */
    size_t *first_map;     /* [max_batch * n_taps + 1] where those of a picture and tap begin; NULL unless wants_maps */
};

/* Execute one group for pictures [first, end) of the call: for all of them where it is one of those behind
 * plan.n_alone. INTERNAL, MEMORY (inside oneDNN). */
FILTAGS_MUST_USE filtags_status execute_group(struct filtags_worker *worker, const struct plan_group *group,
                                              size_t first, size_t end);

/* A node's output for one picture. */
float *execute_output(const struct filtags_worker *worker, int node, size_t image);

/* Note the outcome of a tap: activations, and whether the layer is bad. */
void execute_finish_tap(struct filtags_worker *worker, size_t tap, size_t image);

/* Run one picture through the naive engine. output: NULL where it isn't wanted. MEMORY. */
FILTAGS_MUST_USE filtags_status reference_run(struct filtags_worker *worker, size_t image, float *output);

#endif
