/* Any bytes as a model file, .h5 or .keras, are either refused or give a model whose layers and weights can be walked
 * through. libhdf5 itself crashes on some files (1.10.8 does); what it crashes on is left out, see fuzz_rehearse. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "hdf5_here.h"
#include "model/model_internal.h"

static void check_graph(const struct graph *graph) {
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct node *node = &graph->nodes[i];
        for (size_t j = 0; j < node->n_inputs; j++) {
            if (node->inputs[j] < 0 || (size_t)node->inputs[j] >= i) abort();
        }
        if (node->layer < 0 || (size_t)node->layer >= graph->n_layers || shape_count(&node->shape) == 0) abort();
    }
    for (size_t i = 0; i < graph->n_layers; i++) {
        if (graph->layers[i].info.index != i || (size_t)graph->layers[i].output_node >= graph->n_nodes) abort();
    }
}

static void load_model(const uint8_t *data, size_t size) {
    enum { MAX_WEIGHTS_BYTES = 1 << 26 };
    filtags_model *model = NULL;
    if (model_load_bytes("fuzz", data, size, 0, 0, &model)) {
        if (model || strncmp(filtags_error_message(), "fuzz: ", 6)) abort();
        return;
    }
    const struct graph *graph = model_graph(model);
    bool *is_needed = malloc(graph->n_nodes);
    if (!is_needed) abort();
    check_graph(graph);
    memset(is_needed, filtags_model_n_parameters(model) < MAX_WEIGHTS_BYTES / sizeof(float), graph->n_nodes);
    double sum = 0; /* uses what is read, so that nothing is optimized away */
    if (model_read_weights(model, is_needed) == FILTAGS_OK) {
        for (size_t i = 0; i < graph->n_weights; i++) {
            size_t n = 1;
            for (size_t j = 0; j < graph->weights[i].n_dims; j++) n *= graph->weights[i].dim[j];
            for (size_t j = 0; graph->weights[i].values && j < n; j++) sum += graph->weights[i].values[j];
        }
    }
    if (sum == 0.123456789) abort();
    free(is_needed);
    filtags_model_destroy(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_hdf5_do(load_model, data, size);
    return 0;
}
