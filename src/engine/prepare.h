/* prepare.h - a node's parameters in the form in which an engine uses them. */
#ifndef FILTAGS_ENGINE_PREPARE_H
#define FILTAGS_ENGINE_PREPARE_H

#include "engine/conv_onednn.h"
#include "engine/conv_own.h"
#include "engine/plan.h"

struct prepared {
    struct conv_own *own; /* CONV that our kernels run; then the others are NULL */
    struct conv *conv;    /* CONV that oneDNN runs; then kernel and bias are NULL */
    float *kernel;        /* CONV: as in the graph. DENSE: as in the graph for the reference engine, else in panels */
    float *bias;          /* [c_out] or NULL */
    float *scale, *shift; /* SCALE_SHIFT: [c] */
    float *alpha;         /* PRELU: as the output */
};

/* The convolution that a step stands for. */
void prepare_conv_shape(const struct graph *graph, const struct plan_step *step, struct conv_shape *shape);

/* Copy a step's parameters out of the graph, which must hold them. library: NULL for the reference engine. MEMORY,
 * INTERNAL. */
FILTAGS_MUST_USE filtags_status prepare_step(const struct graph *graph, const struct plan_step *step,
                                             struct conv_library *library, const struct kernels *kernels,
                                             struct prepared *prepared);
void prepared_free(struct prepared *prepared);

/* The same of a dense layer, whose kernel is not in the graph, in two parts: everything but the kernel; then some rows
 * of that, [n_rows, c_out], from row `first` on, by any number of threads. MEMORY. */
FILTAGS_MUST_USE filtags_status prepare_dense_begin(const struct graph *graph, const struct node *node,
                                                    struct prepared *prepared);
void prepare_dense_rows(const struct graph *graph, const struct node *node, size_t first, size_t n_rows,
                        const float *rows, struct prepared *prepared);

#endif
