#include "model/graph_builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

struct node node_make(enum op_kind op, struct shape shape) {
    return (struct node){.op = op,
                         .shape = shape,
                         .groups = 1,
                         .kernel = GRAPH_NO_WEIGHT,
                         .bias = GRAPH_NO_WEIGHT,
                         .gamma = GRAPH_NO_WEIGHT,
                         .beta = GRAPH_NO_WEIGHT,
                         .mean = GRAPH_NO_WEIGHT,
                         .variance = GRAPH_NO_WEIGHT};
}

filtags_status graph_add_node(struct graph_builder *builder, struct node node, const int *inputs, size_t n_inputs,
                              int *index) {
    struct graph *graph = &builder->graph;
    if (graph->n_nodes >= GRAPH_MAX_NODES) {
        error_set(FILTAGS_ERROR_MEMORY, "at most %d operations expected, the model has more", GRAPH_MAX_NODES);
        goto fail;
    }
    if (memory_grow((void **)&graph->nodes, &builder->node_capacity, graph->n_nodes + 1, sizeof node)) goto fail;
    node.inputs = memory_new(n_inputs, sizeof *node.inputs);
    if (!node.inputs) goto fail;
    if (n_inputs) memcpy(node.inputs, inputs, n_inputs * sizeof *inputs);
    node.n_inputs = n_inputs;
    graph->nodes[graph->n_nodes] = node;
    *index = (int)graph->n_nodes++;
    return FILTAGS_OK;
fail:
    free(node.scale_values);
    free(node.shift_values);
    return FILTAGS_ERROR_MEMORY;
}

filtags_status graph_add_weight(struct graph_builder *builder, const char *name, const size_t *dim, size_t n_dims,
                                int *index) {
    struct graph *graph = &builder->graph;
    struct weight weight = {.n_dims = n_dims};
    if (memory_grow((void **)&graph->weights, &builder->weight_capacity, graph->n_weights + 1, sizeof weight)) {
        return FILTAGS_ERROR_MEMORY;
    }
    weight.name = memory_copy_string(name);
    if (!weight.name) return FILTAGS_ERROR_MEMORY;
    memcpy(weight.dim, dim, n_dims * sizeof *dim);
    graph->weights[graph->n_weights] = weight;
    *index = (int)graph->n_weights++;
    return FILTAGS_OK;
}

bool shape_is_valid(const struct shape *shape) {
    size_t count = 1;
    if (shape->n_dims < 1 || shape->n_dims > GRAPH_MAX_DIMS) return false;
    for (size_t i = 0; i < shape->n_dims; i++) {
        if (shape->dim[i] < 1 || shape->dim[i] > GRAPH_MAX_DIM) return false;
        count *= shape->dim[i]; /* at most 2^31 * 2^24 */
        if (count > GRAPH_MAX_COUNT) return false;
    }
    return true;
}

bool shape_is_equal(const struct shape *a, const struct shape *b) {
    return a->n_dims == b->n_dims && memcmp(a->dim, b->dim, a->n_dims * sizeof a->dim[0]) == 0;
}

const char *shape_format(char text[SHAPE_TEXT_BYTES], const size_t *dim, size_t n_dims) {
    size_t n = 0;
    text[n++] = '(';
    for (size_t i = 0; i < n_dims && n + 24 < SHAPE_TEXT_BYTES; i++) {
        n += (size_t)snprintf(text + n, SHAPE_TEXT_BYTES - n, "%s%zu", i ? "," : "", dim[i]);
    }
    text[n++] = ')';
    text[n] = '\0';
    return text;
}
