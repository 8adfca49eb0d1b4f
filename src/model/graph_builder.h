/* graph_builder.h - a graph that grows node by node. Nodes are added behind their inputs. */
#ifndef FILTAGS_MODEL_GRAPH_BUILDER_H
#define FILTAGS_MODEL_GRAPH_BUILDER_H

#include "model/graph.h"

/* Limits on what a file may ask for; the largest networks of keras.applications have a thousandth of it. */
enum { GRAPH_MAX_NODES = 400000, GRAPH_MAX_LAYERS = 100000, GRAPH_MAX_DIM = 1 << 24 };
#define GRAPH_MAX_COUNT ((size_t)1 << 31)

struct graph_builder {
    struct graph graph;
    size_t node_capacity, weight_capacity;
};

/* Return a node without weights, inputs and layer. */
struct node node_make(enum op_kind op, struct shape shape);

/* Add a node and write its number. node's scale_values and shift_values become the graph's in any case, so
 * that the caller need not free them on failure. MEMORY: also where there are too many nodes. */
FILTAGS_MUST_USE filtags_status
graph_add_node(struct graph_builder *builder, struct node node, const int *inputs, size_t n_inputs, int *index);

/* Add a weight and write its number. name is copied. */
FILTAGS_MUST_USE filtags_status graph_add_weight(struct graph_builder *builder, const char *name, const size_t *dim,
                                                 size_t n_dims, int *index);

/* Whether every dimension is in [1, GRAPH_MAX_DIM], their number in [1, GRAPH_MAX_DIMS] and their product at
 * most GRAPH_MAX_COUNT. */
bool shape_is_valid(const struct shape *shape);

bool shape_is_equal(const struct shape *a, const struct shape *b);

enum { SHAPE_TEXT_BYTES = 128 };

/* Write "(3,3,64)" and return text. */
const char *shape_format(char text[SHAPE_TEXT_BYTES], const size_t *dim, size_t n_dims);

#endif
