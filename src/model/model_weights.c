/* model_weights.c - reading a model's weights, all at once or node by node. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "model/model_internal.h"

static const size_t LIMIT_WEIGHTS_BYTES = (size_t)16 << 30;
static const char WEIGHTS_MEMBER[] = "model.weights.h5";

/* ------------------------------------------------------------------ the file */

filtags_status model_open_archive(const filtags_model *model, struct archive **archive) {
    return model->bytes ? archive_open_bytes(model->bytes, model->size_bytes, model->path, archive)
                        : archive_open(model->path, archive);
}

filtags_status model_read_member(const filtags_model *model, struct archive *archive, const char *member,
                                 size_t limit_bytes, struct buffer *contents) {
    size_t entry;
    if (!archive_find_entry(archive, member, &entry)) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: %s expected in a .keras file, it has none", model->path, member);
    }
    return archive_read_entry(archive, entry, limit_bytes, contents);
}

void weight_file_close(struct weight_file *file) {
    hdf5_close(file->hdf5);
    buffer_free(&file->member);
    *file = (struct weight_file){0};
}

filtags_status weight_file_open_member(const filtags_model *model, struct archive *archive,
                                       struct weight_file *file) {
    char *name = memory_format("%s: %s", model->path, WEIGHTS_MEMBER);
    if (!name) return FILTAGS_ERROR_MEMORY;
    filtags_status status = model_read_member(model, archive, WEIGHTS_MEMBER, LIMIT_WEIGHTS_BYTES, &file->member);
    if (!status) status = hdf5_open_bytes(name, buffer_text(&file->member), file->member.size_bytes, &file->hdf5);
    free(name);
    return status;
}

filtags_status weight_file_open(const filtags_model *model, struct weight_file *file) {
    struct weight_file opened = {0};
    struct archive *archive = NULL;
    filtags_status status;
    if (model->is_archive) {
        status = model_open_archive(model, &archive);
        if (!status) status = weight_file_open_member(model, archive, &opened);
        archive_close(archive);
    } else if (model->bytes) {
        status = hdf5_open_bytes(model->path, model->bytes, model->size_bytes, &opened.hdf5);
    } else {
        status = hdf5_open(model->path, &opened.hdf5);
    }
    if (status) weight_file_close(&opened);
    else *file = opened;
    return status;
}

/* ------------------------------------------------------------------ one weight */

static size_t count(const size_t *dim, size_t n_dims) {
    size_t n = 1;
    for (size_t i = 0; i < n_dims; i++) n *= dim[i];
    return n;
}

/* Repeat values [from] along the dimensions where it has 1 (or none), as far as weight's shape needs it. */
static void repeat_values(const struct weight *weight, const struct weight_source *source, const float *from,
                          float *to) {
    size_t n = count(weight->dim, weight->n_dims), n_missing = weight->n_dims - source->n_dims;
    for (size_t i = 0; i < n; i++) {
        size_t rest = i, offset = 0, stride = 1;
        for (size_t d = weight->n_dims; d-- > 0; rest /= weight->dim[d]) {
            size_t size = d < n_missing ? 1 : source->dim[d - n_missing];
            if (size > 1) offset += rest % weight->dim[d] * stride;
            stride *= size;
        }
        to[i] = from[offset];
    }
}

static filtags_status read_weight(const struct weight_source *source, struct hdf5_file *file, struct weight *weight) {
    size_t n_stored = count(source->dim, source->n_dims), n = count(weight->dim, weight->n_dims);
    float *stored = memory_new_aligned(n_stored, sizeof *stored), *values = NULL;
    if (!stored) return FILTAGS_ERROR_MEMORY;
    filtags_status status = hdf5_read_floats(file, weight->key, source->dim, source->n_dims, stored);
    if (status) goto fail;
    for (size_t i = 0; source->minimum > 0 && i < n_stored; i++) {
        if (stored[i] < source->minimum) stored[i] = source->minimum;
    }
    if (n == n_stored) { /* same elements, perhaps with another shape */
        weight->values = stored;
        return FILTAGS_OK;
    }
    values = memory_new_aligned(n, sizeof *values);
    if (!values) {
        status = FILTAGS_ERROR_MEMORY;
        goto fail;
    }
    repeat_values(weight, source, stored, values);
    weight->values = values;
fail:
    free(stored);
    return status;
}

/* ------------------------------------------------------------------ node by node */

struct weight_reader {
    filtags_model *model;
    struct weight_file file; /* opened when the first weight is wanted */
    bool *is_read;           /* [n_weights] by this reader, and not dropped since */
};

enum { N_NODE_WEIGHTS = 6 };

static void node_weights(const struct node *node, int weights[N_NODE_WEIGHTS]) {
    const int all[N_NODE_WEIGHTS] = {node->kernel, node->bias, node->gamma, node->beta, node->mean, node->variance};
    memcpy(weights, all, sizeof all);
}

filtags_status weight_reader_open(filtags_model *model, struct weight_reader **reader) {
    struct weight_reader *opened = memory_new(1, sizeof *opened);
    if (!opened) return FILTAGS_ERROR_MEMORY;
    opened->model = model;
    opened->is_read = memory_new(model->graph.n_weights, sizeof *opened->is_read);
    if (!opened->is_read) {
        free(opened);
        return FILTAGS_ERROR_MEMORY;
    }
    *reader = opened;
    return FILTAGS_OK;
}

static filtags_status fill_weight(const filtags_model *model, size_t index, struct weight *weight) {
    float *values = memory_new_aligned(count(weight->dim, weight->n_dims), sizeof *values);
    if (!values) return FILTAGS_ERROR_MEMORY;
    model->fill(model->fill_user, index, weight, values);
    weight->values = values;
    return FILTAGS_OK;
}

static filtags_status read_one(struct weight_reader *reader, size_t index) {
    filtags_model *model = reader->model;
    struct weight *weight = &model->graph.weights[index];
    filtags_status status = FILTAGS_OK;
    if (model->fill) return fill_weight(model, index, weight);
    if (!model->has_weights) {
        return error_set(FILTAGS_ERROR_USAGE, "%s: %s is needed, but the model was created without weights",
                         model->path, weight->name);
    }
    if (!reader->file.hdf5) status = weight_file_open(model, &reader->file);
    return status ? status : read_weight(&model->sources[index], reader->file.hdf5, weight);
}

filtags_status weight_reader_read(struct weight_reader *reader, size_t node) {
    const struct graph *graph = &reader->model->graph;
    int weights[N_NODE_WEIGHTS];
    node_weights(&graph->nodes[node], weights);
    for (size_t i = 0; i < N_NODE_WEIGHTS; i++) {
        if (weights[i] == GRAPH_NO_WEIGHT || graph->weights[weights[i]].values) continue;
        filtags_status status = read_one(reader, (size_t)weights[i]);
        if (status) return status;
        reader->is_read[weights[i]] = true;
    }
    return FILTAGS_OK;
}

static void drop_weight(struct weight *weight) {
    free(weight->values);
    weight->values = NULL;
}

void weight_reader_drop(struct weight_reader *reader, size_t node) {
    struct graph *graph = &reader->model->graph;
    int weights[N_NODE_WEIGHTS];
    node_weights(&graph->nodes[node], weights);
    for (size_t i = 0; i < N_NODE_WEIGHTS; i++) {
        if (weights[i] == GRAPH_NO_WEIGHT || !reader->is_read[weights[i]]) continue;
        drop_weight(&graph->weights[weights[i]]);
        reader->is_read[weights[i]] = false;
    }
}

void weight_reader_close(struct weight_reader *reader) {
    if (!reader) return;
    weight_file_close(&reader->file);
    free(reader->is_read);
    free(reader);
}

/* ------------------------------------------------------------------ all at once */

filtags_status model_read_weights(filtags_model *model, const bool *is_needed) {
    struct weight_reader *reader;
    filtags_status status = weight_reader_open(model, &reader);
    if (status) return status;
    for (size_t i = 0; !status && i < model->graph.n_nodes; i++) {
        if (is_needed[i]) status = weight_reader_read(reader, i);
    }
    weight_reader_close(reader);
    return status;
}

void model_drop_weights(filtags_model *model) {
    for (size_t i = 0; i < model->graph.n_weights; i++) drop_weight(&model->graph.weights[i]);
}
