#include "model/model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/archive.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/rehearsal.h"
#include "model/model_internal.h"

enum { LIMIT_CONFIG_BYTES = 64 << 20 };
static const size_t LIMIT_WEIGHTS_BYTES = (size_t)16 << 30;
static const char WEIGHTS_MEMBER[] = "model.weights.h5";

/* ------------------------------------------------------------------ where the weights are */

/* The open weight file of a model: itself, or a member of the archive. */
struct weight_file {
    struct buffer member;
    struct hdf5_file *hdf5;
};

static filtags_status open_archive(const filtags_model *model, struct archive **archive) {
    return model->bytes ? archive_open_bytes(model->bytes, model->size_bytes, model->path, archive)
                        : archive_open(model->path, archive);
}

static filtags_status read_member(const filtags_model *model, struct archive *archive, const char *member,
                                  size_t limit_bytes, struct buffer *contents) {
    size_t entry;
    if (!archive_find_entry(archive, member, &entry)) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: %s expected in a .keras file, it has none", model->path, member);
    }
    return archive_read_entry(archive, entry, limit_bytes, contents);
}

static void weight_file_close(struct weight_file *file) {
    hdf5_close(file->hdf5);
    buffer_free(&file->member);
}

static filtags_status open_member(const filtags_model *model, struct archive *archive, struct weight_file *file) {
    char *name = memory_format("%s: %s", model->path, WEIGHTS_MEMBER);
    if (!name) return FILTAGS_ERROR_MEMORY;
    filtags_status status = read_member(model, archive, WEIGHTS_MEMBER, LIMIT_WEIGHTS_BYTES, &file->member);
    if (!status) status = hdf5_open_bytes(name, file->member.data, file->member.size_bytes, &file->hdf5);
    free(name);
    return status;
}

static filtags_status weight_file_open(const filtags_model *model, struct weight_file *file) {
    struct weight_file opened = {0};
    struct archive *archive = NULL;
    filtags_status status;
    if (model->is_archive) {
        status = open_archive(model, &archive);
        if (!status) status = open_member(model, archive, &opened);
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

/* ------------------------------------------------------------------ loading */

static bool is_before_keras3(const char *version) {
    return version && (strncmp(version, "2.", 2) == 0 || strncmp(version, "1.", 2) == 0);
}

/* Build the graph from the configuration. loader: its file, version and size are set. */
static filtags_status build(struct keras_loader *loader, const char *place, const char *json, size_t size_bytes,
                            config_value **config) {
    filtags_status status = config_parse(place, json, size_bytes, config);
    if (!status) status = keras_tree_create(loader, *config);
    return status ? status : keras_tree_build(loader);
}

typedef filtags_status (*binder)(struct keras_loader *loader, struct hdf5_file *file, struct weight_source *sources);

/* Bind the weights of a loader whose graph is built, and hand the graph over to the model. */
static filtags_status finish(filtags_model *model, struct keras_loader *loader, struct hdf5_file *file, binder bind) {
    struct graph *graph = &loader->builder.graph;
    model->sources = memory_new(graph->n_weights, sizeof *model->sources);
    if (!model->sources) return FILTAGS_ERROR_MEMORY;
    filtags_status status = bind(loader, file, model->sources);
    if (status) return status;
    model->n_parameters = keras_n_parameters(&loader->root);
    model->graph = *graph;
    *graph = (struct graph){0};
    return FILTAGS_OK;
}

static filtags_status load_hdf5(filtags_model *model, struct keras_loader *loader) {
    struct weight_file file = {0};
    char *json = NULL, *version = NULL, *place = NULL;
    config_value *config = NULL;
    filtags_status status = weight_file_open(model, &file);
    if (!status) status = hdf5_read_text(file.hdf5, "model_config", &json);
    if (!status) status = hdf5_read_text(file.hdf5, "keras_version", &version);
    if (!status && !json) {
        status = error_set(FILTAGS_ERROR_FORMAT, "%s: a whole-model file expected, it has no 'model_config' (weights "
                           "alone do not tell the network)", model->path);
    }
    if (status) goto fail;
    /* Keras takes a file without a version for one by Keras 1 */
    loader->is_keras2 = !version || is_before_keras3(version);
    place = memory_format("%s: model_config", model->path);
    status = place ? build(loader, place, json, strlen(json), &config) : FILTAGS_ERROR_MEMORY;
    if (!status) status = finish(model, loader, file.hdf5, keras_bind_legacy);
fail:
    config_destroy(config); /* the tree of layers points into it, but is only freed from here on */
    weight_file_close(&file);
    free(json);
    free(version);
    free(place);
    return status;
}

static filtags_status read_archive_version(const filtags_model *model, struct archive *archive, bool *is_keras2) {
    struct buffer metadata = {0};
    config_value *value = NULL;
    *is_keras2 = false;
    size_t entry;
    if (!archive_find_entry(archive, "metadata.json", &entry)) return FILTAGS_OK;
    char *place = memory_format("%s: metadata.json", model->path);
    if (!place) return FILTAGS_ERROR_MEMORY;
    filtags_status status = read_member(model, archive, "metadata.json", LIMIT_CONFIG_BYTES, &metadata);
    if (!status) status = config_parse(place, metadata.data, metadata.size_bytes, &value);
    if (!status) *is_keras2 = is_before_keras3(config_text(config_member(value, "keras_version")));
    config_destroy(value);
    buffer_free(&metadata);
    free(place);
    return status;
}

static filtags_status load_archive(filtags_model *model, struct keras_loader *loader) {
    struct archive *archive = NULL;
    struct buffer json = {0};
    struct weight_file file = {0};
    config_value *config = NULL;
    char *place = NULL;
    filtags_status status = open_archive(model, &archive);
    if (!status) status = read_member(model, archive, "config.json", LIMIT_CONFIG_BYTES, &json);
    if (!status) status = read_archive_version(model, archive, &loader->is_keras2);
    if (status) goto fail;
    place = memory_format("%s: config.json", model->path);
    status = place ? build(loader, place, json.data, json.size_bytes, &config) : FILTAGS_ERROR_MEMORY;
    if (!status) status = open_member(model, archive, &file);
    if (!status) status = finish(model, loader, file.hdf5, keras_bind_archive);
fail:
    config_destroy(config);
    weight_file_close(&file);
    archive_close(archive);
    buffer_free(&json);
    free(place);
    return status;
}

/* Tell the kind of file by its first bytes. HDF5 allows a block of the user's before it, Keras writes none. */
static filtags_status find_format(const char *path, const unsigned char *start, size_t n_bytes, bool *is_archive) {
    static const unsigned char HDF5[] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    bool is_hdf5 = n_bytes >= sizeof HDF5 && memcmp(start, HDF5, sizeof HDF5) == 0;
    *is_archive = n_bytes >= 4 && start[0] == 'P' && start[1] == 'K';
    if (is_hdf5 || *is_archive) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_FORMAT, "%s: a Keras model (.h5: HDF5, or .keras: zip) expected, %s", path,
                     n_bytes == 0 ? "the file is empty" : "it is neither");
}

static filtags_status read_start(const char *path, unsigned char start[8], size_t *n_bytes) {
    struct stat info;
    filtags_status status = FILTAGS_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang */
    if (fd < 0) return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be opened", path);
    if (fstat(fd, &info)) {
        status = error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be examined", path);
    } else if (!S_ISREG(info.st_mode)) {
        status = error_set(FILTAGS_ERROR_IO, "%s: a model file expected, found %s", path,
                           S_ISDIR(info.st_mode) ? "a folder (a SavedModel cannot be read: save it as .keras)"
                                                 : "a special file");
    } else {
        ssize_t n = read(fd, start, 8);
        if (n < 0) status = error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be read", path);
        *n_bytes = n < 0 ? 0 : (size_t)n;
    }
    close(fd);
    return status;
}

/* start: the first n_start bytes of the file. */
static filtags_status load(const char *path, const void *bytes, size_t size_bytes, const unsigned char *start,
                           size_t n_start, size_t height, size_t width, filtags_model **model) {
    filtags_model *loaded = memory_new(1, sizeof *loaded);
    if (!loaded) return FILTAGS_ERROR_MEMORY;
    struct keras_loader loader = {.file = path, .height = height, .width = width};
    filtags_status status = FILTAGS_ERROR_MEMORY;
    loaded->bytes = bytes;
    loaded->size_bytes = size_bytes;
    loaded->path = memory_copy_string(path);
    if (!loaded->path) goto fail;
    status = find_format(path, start, n_start, &loaded->is_archive);
    if (!status) status = loaded->is_archive ? load_archive(loaded, &loader) : load_hdf5(loaded, &loader);
    keras_loader_destroy(&loader);
    if (status) goto fail;
    *model = loaded;
    return FILTAGS_OK;
fail:
    filtags_model_destroy(loaded);
    return status;
}

/* ------------------------------------------------------------------ rehearsal */

/* Weights of larger files are not read twice: what is in one piece there can't lead libhdf5 astray. */
static const size_t LIMIT_REHEARSED_BYTES = (size_t)64 << 20;

struct load_job {
    const char *path;
    const unsigned char *start;
    size_t n_start, size_bytes, height, width;
};

static void load_and_forget(void *context) {
    const struct load_job *job = context;
    filtags_model *model;
    if (load(job->path, NULL, 0, job->start, job->n_start, job->height, job->width, &model)) return;
    if (job->size_bytes > LIMIT_REHEARSED_BYTES) return;
    bool *is_needed = memory_new(model->graph.n_nodes, sizeof *is_needed);
    if (!is_needed) return;
    memset(is_needed, true, model->graph.n_nodes * sizeof *is_needed);
    if (model_read_weights(model, is_needed)) return; /* the parent will find the same, and say so */
}

/* Whether libhdf5 gets through the file. A large archive is spared: its checksum has to be computed as it is. */
static filtags_status rehearse_load(const struct load_job *job) {
    enum { LIMIT_SEC = 5 }; /* loading takes milliseconds */
    bool is_archive = job->n_start >= 2 && job->start[0] == 'P';
    if (is_archive && job->size_bytes > LIMIT_REHEARSED_BYTES) return FILTAGS_OK;
    enum rehearsal_outcome outcome = rehearse(load_and_forget, (void *)job, LIMIT_SEC);
    if (outcome != REHEARSAL_CRASHED && outcome != REHEARSAL_HUNG) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_FORMAT,
                     "%s: a whole HDF5 file expected, found a malformed one: the HDF5 library %s it", job->path,
                     outcome == REHEARSAL_HUNG ? "gets no end with" : "crashes on");
}

filtags_status filtags_model_load(const char *path, size_t height, size_t width, filtags_model **model) {
    unsigned char start[8];
    struct stat info = {0};
    struct load_job job = {.path = path, .start = start, .height = height, .width = width};
    filtags_status status = read_start(path, start, &job.n_start);
    if (!status && stat(path, &info) == 0) job.size_bytes = (size_t)info.st_size;
    if (!status) status = rehearse_load(&job);
    return status ? status : load(path, NULL, 0, start, job.n_start, height, width, model);
}

filtags_status model_load_bytes(const char *name, const void *bytes, size_t size_bytes, size_t height, size_t width,
                                filtags_model **model) {
    return load(name, bytes, size_bytes, bytes, size_bytes < 8 ? size_bytes : 8, height, width, model);
}

filtags_status model_build_graph(const char *name, const char *json, size_t size_bytes, bool is_keras2, size_t height,
                                 size_t width, struct graph *graph) {
    struct keras_loader loader = {.file = name, .is_keras2 = is_keras2, .height = height, .width = width};
    config_value *config = NULL;
    filtags_status status = build(&loader, name, json, size_bytes, &config);
    if (!status) {
        *graph = loader.builder.graph;
        loader.builder.graph = (struct graph){0};
    }
    keras_loader_destroy(&loader);
    config_destroy(config);
    return status;
}

/* ------------------------------------------------------------------ accessors */

const struct graph *model_graph(const filtags_model *model) { return &model->graph; }

void filtags_model_input_shape(const filtags_model *model, size_t shape[3]) {
    memcpy(shape, model->graph.nodes[model->graph.input_node].shape.dim, 3 * sizeof *shape);
}

size_t filtags_model_n_outputs(const filtags_model *model) {
    return shape_count(&model->graph.nodes[model->graph.output_node].shape);
}

size_t filtags_model_n_layers(const filtags_model *model) { return model->graph.n_layers; }

const filtags_layer *filtags_model_layer(const filtags_model *model, size_t index) {
    return &model->graph.layers[index].info;
}

uint64_t filtags_model_n_parameters(const filtags_model *model) { return model->n_parameters; }

void filtags_model_destroy(filtags_model *model) {
    if (!model) return;
    graph_destroy(&model->graph);
    free(model->sources);
    free(model->path);
    free(model);
}

/* ------------------------------------------------------------------ weights */

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

/* Mark the weights of a node that are still to be read. Returns how many there are. */
static size_t mark_weights(const struct graph *graph, const struct node *node, bool *is_wanted) {
    const int weights[] = {node->kernel, node->bias, node->gamma, node->beta, node->mean, node->variance};
    size_t n = 0;
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
        if (weights[i] == GRAPH_NO_WEIGHT || graph->weights[weights[i]].values) continue;
        is_wanted[weights[i]] = true;
        n++;
    }
    return n;
}

filtags_status model_read_weights(filtags_model *model, const bool *is_needed) {
    struct graph *graph = &model->graph;
    struct weight_file file = {0};
    size_t n_wanted = 0;
    bool *is_wanted = memory_new(graph->n_weights, sizeof *is_wanted);
    if (!is_wanted) return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        if (is_needed[i]) n_wanted += mark_weights(graph, &graph->nodes[i], is_wanted);
    }
    filtags_status status = n_wanted ? weight_file_open(model, &file) : FILTAGS_OK;
    for (size_t i = 0; !status && i < graph->n_weights; i++) {
        if (is_wanted[i]) status = read_weight(&model->sources[i], file.hdf5, &graph->weights[i]);
    }
    weight_file_close(&file);
    free(is_wanted);
    return status;
}

void model_drop_weights(filtags_model *model) {
    for (size_t i = 0; i < model->graph.n_weights; i++) {
        free(model->graph.weights[i].values);
        model->graph.weights[i].values = NULL;
    }
}
