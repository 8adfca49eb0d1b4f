/* Any text is either refused or gives a graph in topological order. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "model/model_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bool is_keras2 = size > 0 && data[0] == ' '; /* JSON doesn't mind it */
    struct graph graph = {0};
    if (model_build_graph("fuzz", (const char *)data, size, is_keras2, 0, 0, &graph)) {
        if (graph.n_nodes || strncmp(filtags_error_message(), "fuzz: ", 6)) {
            if (strncmp(filtags_error_message(), "at most", 7)) abort();
        }
        return 0;
    }
    for (size_t i = 0; i < graph.n_nodes; i++) {
        const struct node *node = &graph.nodes[i];
        for (size_t j = 0; j < node->n_inputs; j++) {
            if (node->inputs[j] < 0 || (size_t)node->inputs[j] >= i) abort();
        }
        if (node->layer < 0 || (size_t)node->layer >= graph.n_layers || shape_count(&node->shape) == 0) abort();
    }
    if ((size_t)graph.output_node >= graph.n_nodes) abort();
    graph_destroy(&graph);
    return 0;
}
