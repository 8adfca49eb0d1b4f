/* model_weights.c - reading a model's weights, all at once or node by node. */
#include <pthread.h>
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
    size_t *n_uses;          /* [n_weights] nodes for which it was read by this reader, and not dropped since */
    pthread_mutex_t mutex;   /* of the file and the weights, but for values that lie in the file as they are */
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
    opened->n_uses = memory_new(model->graph.n_weights, sizeof *opened->n_uses);
    if (!opened->n_uses) {
        free(opened);
        return FILTAGS_ERROR_MEMORY;
    }
    pthread_mutex_init(&opened->mutex, NULL); /* without attributes it can't fail here */
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

static filtags_status open_file(struct weight_reader *reader) {
    return reader->file.hdf5 ? FILTAGS_OK : weight_file_open(reader->model, &reader->file);
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
    status = open_file(reader);
    return status ? status : read_weight(&model->sources[index], reader->file.hdf5, weight);
}

/* All of a node's weights but one (or GRAPH_NO_WEIGHT). */
static filtags_status read_node(struct weight_reader *reader, size_t node, int but) {
    const struct graph *graph = &reader->model->graph;
    int weights[N_NODE_WEIGHTS];
    node_weights(&graph->nodes[node], weights);
    for (size_t i = 0; i < N_NODE_WEIGHTS; i++) {
        if (weights[i] == GRAPH_NO_WEIGHT || weights[i] == but) continue;
        size_t *n_uses = &reader->n_uses[weights[i]];
        if (*n_uses == 0 && graph->weights[weights[i]].values) continue; /* not by this reader */
        filtags_status status = *n_uses ? FILTAGS_OK : read_one(reader, (size_t)weights[i]);
        if (status) return status;
        ++*n_uses;
    }
    return FILTAGS_OK;
}

filtags_status weight_reader_read(struct weight_reader *reader, size_t node) {
    pthread_mutex_lock(&reader->mutex);
    filtags_status status = read_node(reader, node, GRAPH_NO_WEIGHT);
    pthread_mutex_unlock(&reader->mutex);
    return status;
}

/* ------------------------------------------------------------------ row by row */

/* Whether values of a weight are the file's as they stand there, and not in memory yet. */
static bool is_plain(const filtags_model *model, int index) {
    const struct weight *weight = &model->graph.weights[index];
    if (model->fill || !model->has_weights || weight->values) return false;
    const struct weight_source *source = &model->sources[index];
    bool is_same = source->n_dims == weight->n_dims && source->minimum <= 0;
    for (size_t d = 0; is_same && d < weight->n_dims; d++) is_same = source->dim[d] == weight->dim[d];
    return is_same;
}

static filtags_status find_rows(struct weight_reader *reader, size_t node, struct weight_rows *rows) {
    enum { BLOCK_VALUES = 1 << 20 };
    const int kernel = reader->model->graph.nodes[node].kernel;
    const struct weight *weight = &reader->model->graph.weights[kernel];
    struct hdf5_dataset *dataset = &rows->dataset;
    filtags_status status = open_file(reader);
    if (!status) status = hdf5_find_floats(reader->file.hdf5, weight->key, weight->dim, weight->n_dims, dataset);
    if (!status) status = read_node(reader, node, kernel);
    if (status) return status;
    rows->weight = (size_t)kernel;
    rows->n_rows = hdf5_n_rows(dataset);
    rows->row_values = hdf5_row_values(dataset);
    rows->block_rows = dataset->value_bytes ? BLOCK_VALUES / (rows->row_values + 1) + 1 : dataset->piece_rows;
    return FILTAGS_OK;
}

filtags_status weight_reader_find_rows(struct weight_reader *reader, size_t node, struct weight_rows *rows) {
    filtags_status status = FILTAGS_OK;
    *rows = (struct weight_rows){0};
    pthread_mutex_lock(&reader->mutex);
    if (is_plain(reader->model, reader->model->graph.nodes[node].kernel)) status = find_rows(reader, node, rows);
    pthread_mutex_unlock(&reader->mutex);
    return status;
}

filtags_status weight_reader_read_rows(struct weight_reader *reader, const struct weight_rows *rows, size_t first,
                                       size_t n_rows, float *values) {
    const char *key = reader->model->graph.weights[rows->weight].key;
    const bool is_in_place = rows->dataset.value_bytes > 0;
    if (!is_in_place) pthread_mutex_lock(&reader->mutex);
    filtags_status status = hdf5_read_rows(reader->file.hdf5, key, &rows->dataset, first, n_rows, values);
    if (!is_in_place) pthread_mutex_unlock(&reader->mutex);
    return status;
}

/* ------------------------------------------------------------------ dropping */

static void drop_weight(struct weight *weight) {
    free(weight->values);
    weight->values = NULL;
}

void weight_reader_drop(struct weight_reader *reader, size_t node) {
    struct graph *graph = &reader->model->graph;
    int weights[N_NODE_WEIGHTS];
    node_weights(&graph->nodes[node], weights);
    pthread_mutex_lock(&reader->mutex);
    for (size_t i = 0; i < N_NODE_WEIGHTS; i++) {
        if (weights[i] == GRAPH_NO_WEIGHT || reader->n_uses[weights[i]] == 0) continue;
        if (--reader->n_uses[weights[i]] == 0) drop_weight(&graph->weights[weights[i]]);
    }
    pthread_mutex_unlock(&reader->mutex);
}

void weight_reader_close(struct weight_reader *reader) {
    if (!reader) return;
    weight_file_close(&reader->file);
    free(reader->n_uses);
    pthread_mutex_destroy(&reader->mutex);
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
