#include "model/model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "model/keras_apps/keras_apps.h"
#include "model/model_internal.h"

enum { LIMIT_CONFIG_BYTES = 64 << 20 };

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

/* Bind the weights of a loader whose graph is built (file NULL: there are none), and hand the graph over. */
static filtags_status finish(filtags_model *model, struct keras_loader *loader, struct hdf5_file *file,
                             enum weight_layout layout) {
    struct graph *graph = &loader->builder.graph;
    model->sources = memory_new(graph->n_weights, sizeof *model->sources);
    if (!model->sources) return FILTAGS_ERROR_MEMORY;
    filtags_status status = file ? keras_bind(loader, file, layout, model->sources) : FILTAGS_OK;
    if (status) return status;
    model->has_weights = file != NULL;
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
    if (!status) status = finish(model, loader, file.hdf5, WEIGHTS_WHOLE_MODEL);
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
    filtags_status status = model_read_member(model, archive, "metadata.json", LIMIT_CONFIG_BYTES, &metadata);
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
    filtags_status status = model_open_archive(model, &archive);
    if (!status) status = model_read_member(model, archive, "config.json", LIMIT_CONFIG_BYTES, &json);
    if (!status) status = read_archive_version(model, archive, &loader->is_keras2);
    if (status) goto fail;
    place = memory_format("%s: config.json", model->path);
    status = place ? build(loader, place, json.data, json.size_bytes, &config) : FILTAGS_ERROR_MEMORY;
    if (!status) status = weight_file_open_member(model, archive, &file);
    if (!status) status = finish(model, loader, file.hdf5, WEIGHTS_KERAS3);
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

filtags_status filtags_model_load(const char *path, size_t height, size_t width, filtags_model **model) {
    unsigned char start[8];
    size_t n_start = 0;
    filtags_status status = read_start(path, start, &n_start);
    return status ? status : load(path, NULL, 0, start, n_start, height, width, model);
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

/* ------------------------------------------------------------------ networks known by name */

static filtags_status unknown_network(const char *name) {
    struct buffer known = {0};
    size_t n_networks;
    const filtags_network *networks = filtags_networks(&n_networks);
    for (size_t i = 0; i < n_networks; i++) buffer_printf(&known, "%s%s", i ? ", " : "", networks[i].name);
    filtags_status status = error_set(FILTAGS_ERROR_USAGE, "there is no network '%s': one of %s expected", name,
                                      buffer_text(&known));
    buffer_free(&known);
    return status;
}

/* Open the weight file of a network and look how its weights lie, and for how many outputs unless that is given. */
static filtags_status open_weights(filtags_model *model, struct weight_file *file, enum weight_layout *layout,
                                   size_t *n_classes) {
    unsigned char start[8];
    size_t n_start = 0;
    filtags_status status = read_start(model->path, start, &n_start);
    if (!status) status = find_format(model->path, start, n_start, &model->is_archive);
    if (!status) status = weight_file_open(model, file);
    if (!status) status = keras_find_layout(model->path, file->hdf5, layout);
    if (!status && *n_classes == 0) status = keras_find_n_outputs(file->hdf5, *layout, n_classes);
    return status;
}

/* loader: its file is set; model: its path. */
static filtags_status load_network(filtags_model *model, struct keras_loader *loader, const filtags_network *network,
                                   size_t n_classes, bool has_file) {
    struct weight_file file = {0};
    struct buffer json = {0};
    config_value *config = NULL;
    enum weight_layout layout = WEIGHTS_LEGACY;
    filtags_status status = has_file ? open_weights(model, &file, &layout, &n_classes) : FILTAGS_OK;
    if (!status) status = keras_app_write(network, n_classes ? n_classes : network->n_classes, &json);
    if (!status) status = build(loader, network->name, json.data, json.size_bytes, &config);
    if (!status) status = finish(model, loader, file.hdf5, layout);
    config_destroy(config);
    weight_file_close(&file);
    buffer_free(&json);
    return status;
}

filtags_status filtags_model_create_network(const char *network, size_t n_classes, const char *weights_path,
                                            filtags_model **model) {
    const filtags_network *known = filtags_network_find(network);
    if (!known) return unknown_network(network);
    if (n_classes > GRAPH_MAX_DIM) {
        return error_set(FILTAGS_ERROR_USAGE, "1..%d classes expected, got %zu", GRAPH_MAX_DIM, n_classes);
    }
    filtags_model *made = memory_new(1, sizeof *made);
    if (!made) return FILTAGS_ERROR_MEMORY;
    struct keras_loader loader = {.file = weights_path ? weights_path : known->name};
    made->path = memory_copy_string(loader.file);
    filtags_status status =
        made->path ? load_network(made, &loader, known, n_classes, weights_path != NULL) : FILTAGS_ERROR_MEMORY;
    keras_loader_destroy(&loader);
    if (status) filtags_model_destroy(made);
    else *model = made;
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
