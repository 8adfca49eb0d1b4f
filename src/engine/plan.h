/* plan.h - what to compute, and in which order; where in memory is found by place.h.
 *
 * A step is one node of the graph. Steps are put together in groups: a root, which needs whole inputs (a convolution, a
 * pooling, ...), and the pointwise steps behind it (activation, batch normalization, the addition of a shortcut,
 * ...). A group runs picture by picture: first the root, then all pointwise steps and taps on one strip of pixels
 * after the other, while the strip is in cache. Only dense layers on vectors, and convolutions of large weights and
 * small maps, run all pictures at once.
 *
 * The first groups have the largest maps and the smallest weights: all of them run for one picture before the next
 * one's turn, so that there is one set of those maps, and it stays in cache. The others run for all pictures, group by
 * group. */
#ifndef FILTAGS_ENGINE_PLAN_H
#define FILTAGS_ENGINE_PLAN_H

#include "model/graph.h"

enum { PLAN_NOTHING = -1 }; /* no tap, no storage */
enum { PLAN_INPUT_STORAGE = 0 }; /* the caller's pictures */

/* A layer whose statistics are wanted. */
struct plan_tap {
    size_t layer;        /* index into the model's layers */
    int node;
    size_t n_pixels, n_filters;
    size_t first_filter; /* where its filters begin in a row of activations */
    int same_as;         /* an earlier tap of the same node, or PLAN_NOTHING */
};

struct plan_step {
    int node;
    int tap;              /* the tap that reads the output, or PLAN_NOTHING */
    bool is_pointwise;    /* else the root of its group */
    /* Set by fuse.c. */
    bool is_absorbed;     /* an earlier step of the group does it while it stores its result */
    bool has_relu;        /* max(0, .) is part of this step */
    int added;            /* the node that is added to the result (before max), or PLAN_NOTHING */
    int result;           /* the node that gets the result: this one, or the last that was absorbed */
    int input;            /* CONV: input node and window, in which an OP_PAD in front of it has been taken in */
    struct window window;
};

struct plan_group {
    size_t first_step, n_steps;
    size_t n_pixels, n_channels; /* of every output in the group */
    bool is_batched;             /* the root takes all pictures at once */
    bool has_strips;             /* there is something behind the root */
    /* Set by fuse.c. */
    bool is_pooled;              /* the next group's root, a pooling, is done row by row while this group is */
    bool is_root_done;           /* with the group before */
    /* Set by place.c. */
    bool is_passing;             /* is_pooled, and only the pooling reads the map: some rows of it are kept */
};

/* A block of memory that nodes share one after another, or beside one another as the branches of a concatenation. */
struct plan_storage {
    size_t n_floats;              /* one picture's, a multiple of 16 */
    bool is_passed_on;            /* each picture has one; else all of them share it, one after another */
    size_t offset;                /* floats; where each has one, n pictures' begin at shared_floats + offset * n */
    size_t first_group, last_group; /* groups in which it is in use */
};

/* Where a node's output lies: a map of its own, or some of the channels of a wider one. */
struct plan_place {
    int storage;          /* PLAN_NOTHING for a node that is not computed */
    size_t first_channel; /* floats of the map in front of it */
    size_t pixel_floats;  /* from one pixel to the next */
};

struct plan {
    const struct graph *graph;
    bool wants_output;            /* the model's */
    struct plan_tap *taps;
    size_t n_taps, n_filters;
    bool *is_needed;              /* [n_nodes] */
    struct plan_step *steps;
    size_t n_steps;
    struct plan_group *groups;
    size_t n_groups;
    /* Set by place.c. */
    struct plan_place *places;    /* [n_nodes] */
    struct plan_storage *storages;
    size_t n_storages;
    size_t n_alone;               /* groups that run picture by picture */
    size_t shared_floats;         /* of memory, that all pictures share */
    size_t picture_floats;        /* and for each of them */
    size_t max_channels;          /* most channels of any output */
};

/* Make a plan: everything but places in memory. layers: to be tapped, [n_layers]; they have feature maps. DATA: one
 * that hasn't. MEMORY. */
FILTAGS_MUST_USE filtags_status plan_create(const struct graph *graph, const size_t *layers, size_t n_layers,
                                            bool wants_output, struct plan *plan);
/* Takes a zeroed plan too. */
void plan_destroy(struct plan *plan);

/* Whether a node's output has to outlive the run. */
bool plan_keeps(const struct plan *plan, int node);

/* The k-th node that a step reads. */
int plan_input(const struct plan *plan, const struct plan_step *step, size_t k);

/* Whether an activation or another operator hands its input on unchanged. */
bool plan_is_alias(const struct node *node);

#endif
