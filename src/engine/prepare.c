#include "engine/prepare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "engine/block.h"

static const float *weight_values(const struct graph *graph, int weight) {
    return weight == GRAPH_NO_WEIGHT ? NULL : graph->weights[weight].values;
}

/* Copy a weight; *copy stays NULL where there is none. */
static filtags_status copy_weight(const struct graph *graph, int weight, float **copy) {
    const float *values = weight_values(graph, weight);
    size_t n = 1;
    if (!values) return FILTAGS_OK;
    for (size_t i = 0; i < graph->weights[weight].n_dims; i++) n *= graph->weights[weight].dim[i];
    *copy = block_new(n, sizeof **copy);
    if (!*copy) return FILTAGS_ERROR_MEMORY;
    memcpy(*copy, values, n * sizeof **copy);
    return FILTAGS_OK;
}

void prepare_conv_shape(const struct graph *graph, const struct plan_step *step, struct conv_shape *shape) {
    const struct node *node = &graph->nodes[step->node];
    *shape = (struct conv_shape){.groups = node->groups, .window = step->window};
    shape_as_map(&graph->nodes[step->input].shape, &shape->in_h, &shape->in_w, &shape->in_c);
    shape_as_map(&node->shape, &shape->out_h, &shape->out_w, &shape->out_c);
}

static filtags_status prepare_conv(const struct graph *graph, const struct plan_step *step,
                                   struct conv_library *library, const struct kernels *kernels,
                                   struct prepared *prepared) {
    const struct node *node = &graph->nodes[step->node];
    if (library) {
        struct conv_shape shape;
        const float *kernel = weight_values(graph, node->kernel), *bias = weight_values(graph, node->bias);
        prepare_conv_shape(graph, step, &shape);
        enum conv_way way = conv_way_choose(&shape, kernels, true);
        if (conv_way_is_onednn(way)) {
            filtags_status status = conv_create(library, &shape, kernel, bias, &prepared->conv);
            if (status != FILTAGS_OK || prepared->conv) return status;
            way = conv_way_choose(&shape, kernels, false);
        }
        if (way != CONV_WAY_NONE) return conv_own_create(kernels, &shape, way, kernel, bias, &prepared->own);
    }
    filtags_status status = copy_weight(graph, node->kernel, &prepared->kernel);
    return status == FILTAGS_OK ? copy_weight(graph, node->bias, &prepared->bias) : status;
}

filtags_status prepare_dense_begin(const struct graph *graph, const struct node *node, struct prepared *prepared) {
    const struct weight *kernel = &graph->weights[node->kernel];
    const size_t n_panels = (kernel->dim[1] + DENSE_PANEL - 1) / DENSE_PANEL;
    prepared->kernel = block_new(n_panels * kernel->dim[0], DENSE_PANEL * sizeof(float));
    if (!prepared->kernel) return FILTAGS_ERROR_MEMORY;
    return copy_weight(graph, node->bias, &prepared->bias);
}

/* Repack [c_in, c_out] into panels, see DENSE_PANEL. */
void prepare_dense_rows(const struct graph *graph, const struct node *node, size_t first, size_t n_rows,
                        const float *rows, struct prepared *prepared) {
    const struct weight *kernel = &graph->weights[node->kernel];
    const size_t c_in = kernel->dim[0], c_out = kernel->dim[1];
    for (size_t column = 0; column < c_out; column += DENSE_PANEL) {
        const size_t n = c_out - column < DENSE_PANEL ? c_out - column : DENSE_PANEL;
        float *to = prepared->kernel + column * c_in + first * DENSE_PANEL; /* [n_rows, DENSE_PANEL] */
        for (size_t k = 0; k < n_rows; k++, to += DENSE_PANEL) {
            memcpy(to, rows + k * c_out + column, n * sizeof(float));
            memset(to + n, 0, (DENSE_PANEL - n) * sizeof(float));
        }
    }
}

static filtags_status prepare_dense(const struct graph *graph, const struct node *node, struct prepared *prepared) {
    const struct weight *kernel = &graph->weights[node->kernel];
    filtags_status status = prepare_dense_begin(graph, node, prepared);
    if (status == FILTAGS_OK) prepare_dense_rows(graph, node, 0, kernel->dim[0], kernel->values, prepared);
    return status;
}

static filtags_status prepare_scale_shift(const struct graph *graph, const struct node *node,
                                          struct prepared *prepared) {
    const float *gamma = weight_values(graph, node->gamma), *beta = weight_values(graph, node->beta);
    const float *mean = weight_values(graph, node->mean), *variance = weight_values(graph, node->variance);
    const size_t c = node->shape.dim[node->shape.n_dims - 1];
    prepared->scale = memory_new_aligned(c, sizeof(float));
    prepared->shift = memory_new_aligned(c, sizeof(float));
    if (!prepared->scale || !prepared->shift) return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < c; i++) {
        double scale = node->scale_values ? (double)node->scale_values[i] : 1;
        double shift = node->shift_values ? (double)node->shift_values[i] : 0;
        if (mean && variance) {
            scale = (gamma ? (double)gamma[i] : 1) / sqrt((double)variance[i] + node->epsilon);
            shift = (beta ? (double)beta[i] : 0) - (double)mean[i] * scale;
        }
        prepared->scale[i] = (float)scale;
        prepared->shift[i] = (float)shift;
    }
    return FILTAGS_OK;
}

filtags_status prepare_step(const struct graph *graph, const struct plan_step *step, struct conv_library *library,
                            const struct kernels *kernels, struct prepared *prepared) {
    const struct node *node = &graph->nodes[step->node];
    filtags_status status = FILTAGS_OK;
    if ((node->op == OP_CONV || node->op == OP_DENSE || node->op == OP_PRELU) && !weight_values(graph, node->kernel))
        return error_set(FILTAGS_ERROR_INTERNAL, "layer '%s': its weights were not read",
                         graph->layers[node->layer].info.name);
    switch (node->op) {
    case OP_CONV: return prepare_conv(graph, step, library, kernels, prepared);
    case OP_DENSE:
        if (library) return prepare_dense(graph, node, prepared);
        status = copy_weight(graph, node->kernel, &prepared->kernel);
        return status == FILTAGS_OK ? copy_weight(graph, node->bias, &prepared->bias) : status;
    case OP_SCALE_SHIFT: return prepare_scale_shift(graph, node, prepared);
    case OP_PRELU: return copy_weight(graph, node->kernel, &prepared->alpha);
    default: return FILTAGS_OK;
    }
}

void prepared_free(struct prepared *prepared) {
    conv_own_destroy(prepared->own);
    conv_destroy(prepared->conv);
    free(prepared->kernel);
    free(prepared->bias);
    free(prepared->scale);
    free(prepared->shift);
    free(prepared->alpha);
}
