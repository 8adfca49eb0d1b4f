/* model_internal.h - a model's own members, and loading from memory, for the tests. */
#ifndef FILTAGS_MODEL_MODEL_INTERNAL_H
#define FILTAGS_MODEL_MODEL_INTERNAL_H

#include "base/archive.h"
#include "base/buffer.h"
#include "model/config_value.h"
#include "model/keras_weights.h"
#include "model/model.h"

struct filtags_model {
    char *path;
    const void *bytes; /* the file, where it lies in memory; NULL: at path */
    size_t size_bytes;
    bool is_archive;   /* .keras */
    bool has_weights;  /* else it is an architecture alone, and path its name */
    struct graph graph;
    struct weight_source *sources; /* [graph.n_weights] */
    uint64_t n_parameters;
    /* Where it is set, weights don't come from a file but from this: values is [as weight->dim says]. */
    void (*fill)(void *user, size_t index, const struct weight *weight, float *values);
    void *fill_user;
};

/* The open weight file of a model: itself, or a member of the archive. */
struct weight_file {
    struct buffer member;
    struct hdf5_file *hdf5;
};

FILTAGS_MUST_USE filtags_status weight_file_open(const filtags_model *model, struct weight_file *file);
FILTAGS_MUST_USE filtags_status weight_file_open_member(const filtags_model *model, struct archive *archive,
                                                        struct weight_file *file);
void weight_file_close(struct weight_file *file);

/* Open a .keras file, and read a member of it. */
FILTAGS_MUST_USE filtags_status model_open_archive(const filtags_model *model, struct archive **archive);
FILTAGS_MUST_USE filtags_status model_read_member(const filtags_model *model, struct archive *archive,
                                                  const char *member, size_t limit_bytes, struct buffer *contents);

/* As filtags_model_load, of a file that lies in memory. The bytes must outlive the model. */
FILTAGS_MUST_USE filtags_status model_load_bytes(const char *name, const void *bytes, size_t size_bytes, size_t height,
                                                 size_t width, filtags_model **model);

/* Build the graph of a configuration, without weights. is_keras2: written by Keras 1 or 2. */
FILTAGS_MUST_USE filtags_status model_build_graph(const char *name, const char *json, size_t size_bytes, bool is_keras2,
                                                  size_t height, size_t width, struct graph *graph);

#endif
