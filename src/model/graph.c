#include "model/graph.h"

#include <stdlib.h>

size_t shape_count(const struct shape *shape) {
    size_t count = 1;
    for (size_t i = 0; i < shape->n_dims; i++) count *= shape->dim[i];
    return count;
}

void shape_as_map(const struct shape *shape, size_t *h, size_t *w, size_t *c) {
    size_t rows = 1;
    for (size_t i = 0; i + 2 < shape->n_dims; i++) rows *= shape->dim[i];
    *h = rows;
    *w = shape->n_dims >= 2 ? shape->dim[shape->n_dims - 2] : 1;
    *c = shape->n_dims >= 1 ? shape->dim[shape->n_dims - 1] : 1;
}

void graph_destroy(struct graph *graph) {
    if (!graph) return;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        free(graph->nodes[i].inputs);
        free(graph->nodes[i].scale_values);
        free(graph->nodes[i].shift_values);
    }
    for (size_t i = 0; i < graph->n_weights; i++) {
        free(graph->weights[i].name);
        free(graph->weights[i].key);
        free(graph->weights[i].values);
    }
    for (size_t i = 0; i < graph->n_layers; i++) {
        free((char *)graph->layers[i].info.name);
        free((char *)graph->layers[i].info.class_name);
    }
    free(graph->nodes);
    free(graph->weights);
    free(graph->layers);
    *graph = (struct graph){0};
}
