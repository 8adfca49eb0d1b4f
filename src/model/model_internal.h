/* model_internal.h - a model's own members, and loading from memory, for the tests. */
#ifndef FILTAGS_MODEL_MODEL_INTERNAL_H
#define FILTAGS_MODEL_MODEL_INTERNAL_H

#include "model/config_value.h"
#include "model/keras_weights.h"
#include "model/model.h"

struct filtags_model {
    char *path;
    const void *bytes; /* the file, where it lies in memory; NULL: at path */
    size_t size_bytes;
    bool is_archive;   /* .keras */
    struct graph graph;
    struct weight_source *sources; /* [graph.n_weights] */
    uint64_t n_parameters;
};

/* As filtags_model_load, of a file that lies in memory. The bytes must outlive the model. */
FILTAGS_MUST_USE filtags_status model_load_bytes(const char *name, const void *bytes, size_t size_bytes, size_t height,
                                                 size_t width, filtags_model **model);

/* Build the graph of a configuration, without weights. is_keras2: written by Keras 1 or 2. */
FILTAGS_MUST_USE filtags_status model_build_graph(const char *name, const char *json, size_t size_bytes, bool is_keras2,
                                                  size_t height, size_t width, struct graph *graph);

#endif
