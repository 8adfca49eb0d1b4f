#include "steps/network.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash_cache.h"
#include "base/memory.h"
#include "engine/isa.h"
#include "fetch/cache.h"
#include "labels/class_lines.h"
#include "labels/labels.h"
#include "model/model.h"
#include "steps/steps.h"

/* "models/my-net.keras" -> "my_net" */
static char *name_of_model(const char *path) {
    char *name = memory_copy_string(path_base(path));
    if (!name) return NULL;
    char *dot = strrchr(name, '.');
    if (dot && dot != name) *dot = '\0';
    for (char *at = name; *at; at++) {
        if (*at == '-') *at = '_';
    }
    return name;
}

static filtags_status describe_layers(struct network *network, size_t n_layers) {
    size_t *n_filters = memory_new(n_layers, sizeof *n_filters);
    if (!n_filters) return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < n_layers; i++)
        n_filters[i] = filtags_model_layer(network->model, network->layers[i])->shape[2];
    filtags_status status = filter_table_create(n_filters, n_layers, &network->table);
    free(n_filters);
    return status;
}

/* What the command line alone doesn't tell: the network may come from the run before. */
static filtags_status check_options(const filtags_options *options) {
    const char *problem = NULL;
    if (!options->network && !options->model) problem = "--network NAME or --model FILE is missing";
    else if (options->network && options_is_given(options, OPTION_PREPROCESS))
        problem = "--preprocess is for --model: a known network has its own preprocessing";
    else if (options->network && options_is_given(options, OPTION_SIZE))
        problem = "--size is for --model: a known network has its own size";
    else if (!options->network && options_is_given(options, OPTION_WEIGHTS))
        problem = "--weights is for --network: a model file has its own weights";
    else if (!options->network && options_is_given(options, OPTION_CLASSES))
        problem = "--classes is for --network: a model file has its own number of outputs";
    return problem ? error_set(FILTAGS_ERROR_USAGE, "%s", problem) : FILTAGS_OK;
}

static filtags_status open_known(const filtags_options *options, const filtags_callbacks *callbacks,
                                 struct network *network) {
    const filtags_network *known = filtags_network_find(options->network);
    enum weights_source source;
    filtags_status status = FILTAGS_OK;
    if (!known) return error_set(FILTAGS_ERROR_USAGE, "--network: '%s' is not known", options->network);
    network->known = known;
    network->preprocess = known->preprocess;
    network->has_official_weights = !options->weights;
    if (!options->weights && options->classes && options->classes != known->n_classes) {
        return error_set(FILTAGS_ERROR_USAGE,
                         "--classes %llu: the official weights of %s are for %zu outputs; give your own with --weights",
                         (unsigned long long)options->classes, known->name, known->n_classes);
    }
    if (!(network->name = memory_copy_string(known->name))) return FILTAGS_ERROR_MEMORY;
    if (!options->weights) status = weights_open(known, options->offline, callbacks, &network->path, &source);
    else if (!(network->path = memory_copy_string(options->weights))) status = FILTAGS_ERROR_MEMORY;
    if (status) return status;
    return filtags_model_create_network(known->name, (size_t)options->classes, network->path, &network->model);
}

static filtags_status open_own(const filtags_options *options, struct network *network) {
    network->preprocess = (filtags_preprocess)options->preprocess;
    network->name = name_of_model(options->model);
    network->path = memory_copy_string(options->model);
    if (!network->name || !network->path) return FILTAGS_ERROR_MEMORY;
    return filtags_model_load(options->model, options->size.height, options->size.width, &network->model);
}

static filtags_status check_input(const struct network *network) {
    if (network->shape[2] != 1 && network->shape[2] != 3) {
        return error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: an input of 1 or 3 channels expected, found %zu",
                         network->path, network->shape[2]);
    }
    if (network->shape[2] == 1 &&
        (network->preprocess == FILTAGS_PREPROCESS_CAFFE || network->preprocess == FILTAGS_PREPROCESS_TORCH)) {
        return error_set(FILTAGS_ERROR_USAGE, "--preprocess caffe and torch are for 3 channels, and %s takes 1",
                         network->path);
    }
    return FILTAGS_OK;
}

filtags_status network_open(const filtags_options *options, const filtags_callbacks *callbacks,
                            struct network *network) {
    struct network opened = {0};
    size_t n_layers;
    filtags_status status = check_options(options);
    if (!status) status = options->network ? open_known(options, callbacks, &opened) : open_own(options, &opened);
    if (!status) status = hash_file_cached(HASH_SHA256, opened.path, opened.sha256);
    if (!status) status = isa_resolve((filtags_isa)options->isa, &opened.isa);
    if (status) goto fail;
    filtags_model_input_shape(opened.model, opened.shape);
    opened.n_outputs = filtags_model_n_outputs(opened.model);
    status = check_input(&opened);
    if (!status) status = model_select_layers(opened.model, options->layers, &opened.layers, &n_layers);
    if (!status) status = describe_layers(&opened, n_layers);
    if (status) goto fail;
    *network = opened;
    return FILTAGS_OK;
fail:
    network_close(&opened);
    return status;
}

void network_close(struct network *network) {
    filtags_model_destroy(network->model);
    filter_table_free(&network->table);
    free(network->layers);
    free(network->name);
    free(network->path);
    *network = (struct network){0};
}

static filtags_engine_options engine_options(const struct network *network, const filtags_options *options,
                                             size_t batch, bool wants_output) {
    return (filtags_engine_options){.layers = network->layers,
                                    .n_layers = network->table.n_layers,
                                    .wants_output = wants_output,
                                    .isa = (filtags_isa)options->isa,
                                    .max_batch = batch,
                                    .n_threads = options_n_threads(options)};
}

filtags_status network_open_engine(const struct network *network, const filtags_options *options, size_t batch,
                                   bool wants_output, filtags_engine **engine) {
    filtags_engine_options chosen = engine_options(network, options, batch, wants_output);
    return filtags_engine_create(network->model, &chosen, engine);
}

filtags_status network_open_map_engine(const struct network *network, const filtags_options *options, size_t batch,
                                       bool wants_output, filtags_engine **engine) {
    filtags_engine_options chosen = engine_options(network, options, batch, wants_output);
    chosen.wants_maps = true;
    return filtags_engine_create(network->model, &chosen, engine);
}

/* text: NULL leaves the field empty. */
static filtags_status replace_text(char **field, const char *text) {
    char *copy = text ? memory_copy_string(text) : NULL;
    if (text && !copy) return FILTAGS_ERROR_MEMORY;
    free(*field);
    *field = copy;
    return FILTAGS_OK;
}

static filtags_status replace_path(char **field, const char *path) {
    char *absolute;
    filtags_status status = path_absolute(path, &absolute);
    if (status) return status;
    free(*field);
    *field = absolute;
    return FILTAGS_OK;
}

static filtags_status replace_layers(const struct network *network, struct run_record *record) {
    for (size_t i = 0; i < record->n_layers; i++) free(record->layer_names[i]);
    free(record->layer_names);
    free(record->layer_sizes);
    record->n_layers = 0;
    record->layer_names = memory_new(network->table.n_layers, sizeof *record->layer_names);
    record->layer_sizes = memory_new(network->table.n_layers, sizeof *record->layer_sizes);
    if (!record->layer_names || !record->layer_sizes) return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < network->table.n_layers; i++, record->n_layers++) {
        record->layer_sizes[i] = network->table.n_filters[i];
        record->layer_names[i] = memory_copy_string(filtags_model_layer(network->model, network->layers[i])->name);
        if (!record->layer_names[i]) return FILTAGS_ERROR_MEMORY;
    }
    return FILTAGS_OK;
}

bool network_gives_vector(const struct network *network) {
    const struct graph *graph = model_graph(network->model);
    const struct shape *shape = &graph->nodes[graph->output_node].shape;
    return shape->dim[shape->n_dims - 1] == network->n_outputs;
}

static const char *preprocess_name(int preprocess) {
    static const char *const names[] = {[FILTAGS_PREPROCESS_NONE] = "none",
                                        [FILTAGS_PREPROCESS_CAFFE] = "caffe",
                                        [FILTAGS_PREPROCESS_TF] = "tf",
                                        [FILTAGS_PREPROCESS_TORCH] = "torch",
                                        [FILTAGS_PREPROCESS_UNIT] = "unit"};
    return names[preprocess];
}

void network_append_profile(const struct network *network, struct buffer *text) {
    buffer_printf(text, "filTags %s\n%s\n", filtags_version(), filtags_dependencies());
    buffer_printf(text, "network %s\nfile %s\n", network->known ? network->known->name : "", network->sha256);
    buffer_printf(text, "isa %s\npreprocess %s\n", isa_name(network->isa), preprocess_name(network->preprocess));
    buffer_printf(text, "input %zu %zu %zu\noutputs %zu\n", network->shape[0], network->shape[1], network->shape[2],
                  network->n_outputs);
    for (size_t i = 0; i < network->table.n_layers; i++) {
        buffer_printf(text, "layer %zu %s\n", network->table.n_filters[i],
                      filtags_model_layer(network->model, network->layers[i])->name);
    }
}

filtags_status network_open_store(const struct network *network, const filtags_options *options,
                                  struct output *output, struct picture_store **store) {
    struct buffer profile = {0};
    uint64_t n_dropped_bytes;
    if (!options->store) return FILTAGS_OK;
    network_append_profile(network, &profile);
    filtags_status status = profile.has_failed ? FILTAGS_ERROR_MEMORY
                                               : picture_store_open(options->store, buffer_text(&profile),
                                                                    network->table.first[network->table.n_layers],
                                                                    network->n_outputs, &n_dropped_bytes, store);
    buffer_free(&profile);
    if (status) return status;
    if (n_dropped_bytes) {
        output_log(output, FILTAGS_LOG_INFO, "%s: %llu bytes at the end, which a run left unfinished, are dropped",
                   options->store, (unsigned long long)n_dropped_bytes);
    }
    output_log(output, FILTAGS_LOG_INFO, "%s: %zu pictures of this network", options->store,
               picture_store_n_pictures(*store));
    return FILTAGS_OK;
}

filtags_status network_close_store(struct picture_store **store, filtags_status status) {
    struct picture_store *closed = *store;
    *store = NULL;
    if (!status) return picture_store_close(closed);
    char *message = memory_copy_string(filtags_error_message());
    if (picture_store_close(closed) && message) error_set(status, "%s", message);
    free(message);
    return status;
}

filtags_status network_describe(const struct network *network, const filtags_options *options,
                                struct run_record *record) {
    filtags_status status = replace_text(&record->network, network->name);
    if (!status) status = replace_text(&record->known, network->known ? network->known->name : NULL);
    if (!status) status = replace_text(&record->weights, NULL);
    if (!status) status = replace_text(&record->model, NULL);
    if (!status) status = replace_path(network->known ? &record->weights : &record->model, network->path);
    if (!status) status = replace_text(&record->model_sha256, network->sha256);
    if (!status) status = replace_text(&record->layers, options->layers);
    if (!status) status = replace_text(&record->preprocess, preprocess_name(network->preprocess));
    if (!status) status = replace_text(&record->isa, isa_name(network->isa));
    if (!status && options->class_index) status = replace_path(&record->class_index, options->class_index);
    if (!status) status = replace_layers(network, record);
    memcpy(record->size, network->shape, sizeof record->size);
    record->n_outputs = network->n_outputs;
    record->has_official_weights = network->has_official_weights;
    return status;
}

/* ---------------------------------------------------------------- class index */

static filtags_status class_index_create(size_t n, struct class_index *index) {
    *index = (struct class_index){0};
    index->wnids = memory_new(n, sizeof *index->wnids);
    index->labels = memory_new(n, sizeof *index->labels);
    if (index->wnids && index->labels) {
        index->n = n;
        return FILTAGS_OK;
    }
    class_index_free(index);
    return FILTAGS_ERROR_MEMORY;
}

void class_index_free(struct class_index *index) {
    for (size_t i = 0; i < index->n; i++) {
        free(index->wnids[i]);
        free(index->labels[i]);
    }
    free(index->wnids);
    free(index->labels);
    *index = (struct class_index){0};
}

static filtags_status copy_lines(const struct class_lines *lines, struct class_index *index) {
    for (size_t i = 0; i < lines->n; i++) {
        const struct class_line *line = &lines->lines[i];
        index->wnids[i] = memory_copy_string(line->wnid);
        index->labels[i] = memory_copy_string(line->label ? line->label : line->wnid);
        if (!index->wnids[i] || !index->labels[i]) return FILTAGS_ERROR_MEMORY;
    }
    return FILTAGS_OK;
}

static filtags_status read_class_index(const char *path, struct class_index *index) {
    struct class_lines lines;
    filtags_status status = class_lines_read(path, &lines);
    if (status) return status;
    if (lines.n == index->n) status = copy_lines(&lines, index);
    else
        status = error_set(FILTAGS_ERROR_DATA, "%s: %zu lines expected, one for each output of the network, found %zu",
                           path, index->n, lines.n);
    class_lines_free(&lines);
    return status;
}

/* What the outputs are called where no file says it. */
static filtags_status name_outputs(const struct network *network, const filtags_dataset *dataset,
                                   struct class_index *index) {
    bool is_imagenet = network->known && index->n == IMAGENET_N_CLASSES;
    index->is_assumed = !is_imagenet && dataset && filtags_dataset_n_classes(dataset) == index->n;
    for (size_t i = 0; i < index->n; i++) {
        const char *label = NULL;
        if (is_imagenet) {
            index->wnids[i] = memory_copy_string(imagenet_classes()[i].wnid);
            label = imagenet_classes()[i].label;
        } else if (index->is_assumed) {
            index->wnids[i] = memory_copy_string(filtags_dataset_class_name(dataset, i));
        } else {
            index->wnids[i] = memory_format("%zu", i);
        }
        if (!index->wnids[i]) return FILTAGS_ERROR_MEMORY;
        index->labels[i] = memory_copy_string(label ? label : index->wnids[i]);
        if (!index->labels[i]) return FILTAGS_ERROR_MEMORY;
    }
    return FILTAGS_OK;
}

filtags_status class_index_open(const char *path, const struct network *network, const filtags_dataset *dataset,
                                struct class_index *result) {
    struct class_index index;
    filtags_status status = class_index_create(network->n_outputs, &index);
    if (status) return status;
    status = path ? read_class_index(path, &index) : name_outputs(network, dataset, &index);
    if (status) class_index_free(&index);
    else *result = index;
    return status;
}

static int compare_texts(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

filtags_status class_index_count_matches(const struct class_index *index, const filtags_dataset *dataset,
                                         size_t *n_matches) {
    size_t n = 0;
    char **sorted = memory_new(index->n, sizeof *sorted);
    if (!sorted) return FILTAGS_ERROR_MEMORY;
    memcpy(sorted, index->wnids, index->n * sizeof *sorted);
    qsort(sorted, index->n, sizeof *sorted, compare_texts);
    for (size_t i = 0; i < filtags_dataset_n_classes(dataset); i++) {
        const char *name = filtags_dataset_class_name(dataset, i);
        n += bsearch(&name, sorted, index->n, sizeof *sorted, compare_texts) != NULL;
    }
    free(sorted);
    *n_matches = n;
    return FILTAGS_OK;
}
