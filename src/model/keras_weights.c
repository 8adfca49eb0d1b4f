/* keras_weights.c - binding variables to data sets.
 *
 * A whole-model .h5 has a group for each layer of the outer model (a nested model is one group) with an ordered list
 * of its weights. A .keras file has a group for each layer, named after its class and its position among the layers
 * of that class. Neither says which layer of the configuration it is, but by order. */
#include "model/keras_weights.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "model/keras_layers.h"

struct binder {
    struct keras_loader *loader;
    struct hdf5_file *file;
    struct hdf5_table table;
    struct weight_source *sources;
    const char *legacy_group; /* "model_weights", or "" for the root */
};

/* Bind one variable to the data set of that key. */
static filtags_status bind(struct binder *binder, const struct keras_layer *layer,
                           const struct keras_variable *variable, const char *key) {
    const char *file = binder->loader->file;
    const struct hdf5_dataset *dataset = hdf5_find(&binder->table, key);
    char expected[SHAPE_TEXT_BYTES], found[SHAPE_TEXT_BYTES];
    if (!dataset) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: layer '%s': %s is missing: the file has no '%s'", file, layer->path,
                         variable->name, key);
    }
    if (dataset->n_dims != variable->n_dims ||
        memcmp(dataset->dim, variable->dim, dataset->n_dims * sizeof dataset->dim[0]) != 0) {
        return error_set(FILTAGS_ERROR_DATA, "%s: layer '%s': %s %s expected, got %s", file, layer->path,
                         variable->name, shape_format(expected, variable->dim, variable->n_dims),
                         shape_format(found, dataset->dim, dataset->n_dims));
    }
    if (variable->weight == GRAPH_NO_WEIGHT) return FILTAGS_OK;
    if (dataset->type != HDF5_FLOAT) {
        return error_set(FILTAGS_ERROR_UNSUPPORTED,
                         "%s: layer '%s': %s: 16-, 32- or 64-bit floats expected, got another type", file, layer->path,
                         variable->name);
    }
    struct weight_source *source = &binder->sources[variable->weight];
    source->n_dims = variable->n_dims;
    memcpy(source->dim, variable->dim, sizeof source->dim);
    source->minimum = variable->minimum;
    struct weight *weight = &binder->loader->builder.graph.weights[variable->weight];
    if (!weight->key) weight->key = memory_copy_string(dataset->path);
    return weight->key ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
}

static size_t count_variables(const struct keras_layer *layer) {
    size_t n = layer->n_variables;
    for (size_t i = 0; i < layer->n_children; i++) n += count_variables(&layer->children[i]);
    return n;
}

uint64_t keras_n_parameters(const struct keras_layer *layer) {
    uint64_t n = 0;
    for (size_t i = 0; i < layer->n_variables; i++) {
        uint64_t count = 1;
        for (size_t j = 0; j < layer->variables[i].n_dims; j++) count *= layer->variables[i].dim[j];
        n += count;
    }
    for (size_t i = 0; i < layer->n_children; i++) n += keras_n_parameters(&layer->children[i]);
    return n;
}

/* ------------------------------------------------------------------ lists of layers (.h5) */

static const char WHOLE_MODEL_GROUP[] = "model_weights";

/* group/layer or, in the root group, layer */
static char *legacy_path(const char *group, const char *layer) {
    return memory_format("%s%s%s", group, *group ? "/" : "", layer);
}

/* A variable of a nested model in the order of the file. */
struct ordered_variable {
    const struct keras_layer *layer;
    const struct keras_variable *variable;
    bool is_trainable;
};

struct ordered_list {
    struct ordered_variable *items; /* room for all */
    size_t n;
};

static void gather_variables(const struct keras_layer *layer, bool is_trainable, struct ordered_list *list) {
    is_trainable = is_trainable && layer->is_trainable;
    for (size_t i = 0; i < layer->n_variables; i++) {
        const struct keras_variable *variable = &layer->variables[i];
        list->items[list->n++] = (struct ordered_variable){layer, variable, is_trainable && variable->is_trainable};
    }
    for (size_t i = 0; i < layer->n_children; i++) gather_variables(&layer->children[i], is_trainable, list);
}

static filtags_status bind_name(struct binder *binder, const char *group, const struct ordered_variable *item,
                                const char *name) {
    char *path = legacy_path(binder->legacy_group, group);
    char *key = path ? memory_format("%s/%s", path, name) : NULL;
    filtags_status status = key ? bind(binder, item->layer, item->variable, key) : FILTAGS_ERROR_MEMORY;
    free(path);
    free(key);
    return status;
}

/* Whether a weight's name is ".../layer/variable". */
static bool names_layer(const char *name, const char *layer) {
    const char *end = strrchr(name, '/');
    size_t length = strlen(layer);
    if (!end || (size_t)(end - name) < length || strncmp(end - length, layer, length) != 0) return false;
    return (size_t)(end - name) == length || end[-(ptrdiff_t)length - 1] == '/';
}

/* Bind a nested model by the names of the layers in the names of its weights: variables [n] in configuration order,
 * names [n]. chosen [n]: gets the name for each variable. false: the names don't tell. */
static bool choose_by_name(const struct ordered_list *list, const struct hdf5_names *names, size_t *chosen,
                           bool *is_taken) {
    for (size_t i = 0; i < list->n; i++) {
        const struct keras_layer *layer = list->items[i].layer;
        size_t j = 0;
        if (strchr(layer->name, '/')) return false;
        while (j < names->n_names && (is_taken[j] || !names_layer(names->names[j], layer->name))) j++;
        if (j == names->n_names) return false;
        is_taken[j] = true;
        chosen[i] = j;
        for (size_t k = 0; k < i; k++) { /* two layers of one name: only the order tells them apart */
            const struct keras_layer *other = list->items[k].layer;
            if (other != layer && strcmp(other->name, layer->name) == 0) return false;
        }
    }
    return true;
}

/* What can be trained comes first, else it is the configuration's order. */
static void choose_by_position(const struct ordered_list *list, size_t *chosen) {
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++) {
        if (list->items[i].is_trainable) chosen[i] = n++;
    }
    for (size_t i = 0; i < list->n; i++) {
        if (!list->items[i].is_trainable) chosen[i] = n++;
    }
}

/* Bind one layer of the outer model, which may be a nested model, to a group. */
static filtags_status bind_group(struct binder *binder, const struct keras_layer *layer, const char *group,
                                 const struct hdf5_names *names) {
    enum { MAX_NAMED = 5000 }; /* looking for names takes quadratic time */
    struct ordered_list list = {0};
    size_t n = count_variables(layer);
    filtags_status status = FILTAGS_ERROR_MEMORY;
    if (names->n_names != n) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: layer '%s': %zu weights expected, got %zu (group '%s')",
                         binder->loader->file, layer->path, n, names->n_names, group);
    }
    size_t *chosen = memory_new(n, sizeof *chosen);
    bool *is_taken = memory_new(n, sizeof *is_taken);
    list.items = memory_new(n, sizeof *list.items);
    if (!chosen || !is_taken || !list.items) goto fail;
    gather_variables(layer, true, &list);
    if (!layer->is_model || n > MAX_NAMED || !choose_by_name(&list, names, chosen, is_taken)) {
        choose_by_position(&list, chosen);
    }
    status = FILTAGS_OK;
    for (size_t i = 0; !status && i < n; i++) {
        status = bind_name(binder, group, &list.items[i], names->names[chosen[i]]);
    }
fail:
    free(chosen);
    free(is_taken);
    free(list.items);
    return status;
}

/* Read the list of a layer's weights. */
static filtags_status read_weight_names(struct hdf5_file *file, const char *legacy_group, const char *layer,
                                        struct hdf5_names *names) {
    char *path = legacy_path(legacy_group, layer);
    filtags_status status = path ? hdf5_read_names(file, path, "weight_names", names) : FILTAGS_ERROR_MEMORY;
    free(path);
    return status;
}

/* Find the next group with weights. *position: where to look on; *group gets NULL at the end of the list. */
static filtags_status next_group(struct binder *binder, const struct hdf5_names *groups, size_t *position,
                                 const char **group, struct hdf5_names *names) {
    *group = NULL;
    while (*position < groups->n_names) {
        const char *name = groups->names[(*position)++];
        filtags_status status = read_weight_names(binder->file, binder->legacy_group, name, names);
        if (status) return status;
        if (names->n_names > 0) {
            *group = name;
            return FILTAGS_OK;
        }
        hdf5_names_free(names);
    }
    return FILTAGS_OK;
}

static filtags_status bind_legacy_layers(struct binder *binder, const struct hdf5_names *groups) {
    const struct keras_layer *root = &binder->loader->root;
    size_t position = 0;
    const char *group;
    struct hdf5_names names = {0};
    for (size_t i = 0; i < root->n_children; i++) {
        const struct keras_layer *layer = &root->children[i];
        if (count_variables(layer) == 0) continue;
        filtags_status status = next_group(binder, groups, &position, &group, &names);
        if (status) return status;
        if (!group) {
            return error_set(FILTAGS_ERROR_FORMAT, "%s: layer '%s': its weights are missing: the file's layers have "
                             "come to an end", binder->loader->file, layer->path);
        }
        status = bind_group(binder, layer, group, &names);
        hdf5_names_free(&names);
        if (status) return status;
    }
    filtags_status status = next_group(binder, groups, &position, &group, &names);
    if (!status && group) {
        hdf5_names_free(&names);
        status = error_set(FILTAGS_ERROR_FORMAT, "%s: weights of layer '%s' are not expected: the configuration has "
                           "no further layer with weights", binder->loader->file, group);
    }
    return status;
}

static filtags_status bind_legacy(struct binder *binder) {
    struct hdf5_names groups = {0};
    filtags_status status = hdf5_list(binder->file, &binder->legacy_group, 1, &binder->table);
    if (!status) status = hdf5_read_names(binder->file, binder->legacy_group, "layer_names", &groups);
    if (!status) status = bind_legacy_layers(binder, &groups);
    hdf5_names_free(&groups);
    return status;
}

/* ------------------------------------------------------------------ class names and positions (.keras) */

static const char *group_name(const struct keras_layer *layer) {
    if (!layer->is_model) return layer->kind ? layer->kind->group : NULL;
    if (layer->is_sequential) return "sequential";
    return strcmp(layer->class_name, "Model") == 0 ? "model" : "functional";
}

/* How many layers of a class a model has had so far. */
struct class_count {
    const char *group;
    size_t n;
};

enum { MAX_GROUPS = 16 }; /* more than there are classes with weights */

static size_t *count_of(struct class_count counts[MAX_GROUPS], const char *group) {
    size_t i = 0;
    while (counts[i].group && strcmp(counts[i].group, group) != 0) i++;
    counts[i].group = group;
    return &counts[i].n;
}

static char *group_path(const char *parent, const char *group, size_t number) {
    return number ? memory_format("%s%s_%zu/", parent, group, number) : memory_format("%s%s/", parent, group);
}

/* Keras 2.12 visited layers with weights twice, so that every second number is missing from its files: where
 * is_numbered_loosely, the next number that there is counts. */
static char *next_group_path(const struct binder *binder, const char *parent, const char *group, size_t *n,
                             bool is_numbered_loosely) {
    char *path = group_path(parent, group, *n);
    if (path && is_numbered_loosely && !hdf5_has_start(&binder->table, path)) {
        char *second = group_path(parent, group, *n + 1);
        if (second && hdf5_has_start(&binder->table, second)) {
            free(path);
            path = second;
            ++*n;
        } else {
            free(second);
        }
    }
    ++*n;
    return path;
}

static filtags_status bind_leaf(struct binder *binder, const struct keras_layer *layer, const char *path) {
    filtags_status status = FILTAGS_OK;
    for (size_t i = 0; !status && i <= layer->n_variables; i++) {
        char *key = memory_format("%svars/%zu", path, i);
        if (!key) return FILTAGS_ERROR_MEMORY;
        if (i < layer->n_variables) {
            status = bind(binder, layer, &layer->variables[i], key);
        } else if (hdf5_find(&binder->table, key)) {
            status = error_set(FILTAGS_ERROR_FORMAT, "%s: layer '%s': %zu weights expected, got more ('%s')",
                               binder->loader->file, layer->path, layer->n_variables, key);
        }
        free(key);
    }
    return status;
}

/* parent: "" or "layers/functional/"; container: "layers". */
static filtags_status bind_container(struct binder *binder, const struct keras_layer *model, const char *parent,
                                     const char *container, bool is_numbered_loosely) {
    struct class_count counts[MAX_GROUPS] = {{NULL, 0}};
    filtags_status status = FILTAGS_OK;
    char *inner = memory_format("%s%s/", parent, container);
    if (!inner) return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; !status && i < model->n_children; i++) {
        const struct keras_layer *layer = &model->children[i];
        const char *group = group_name(layer);
        if (!group) continue;
        char *path = next_group_path(binder, inner, group, count_of(counts, group), is_numbered_loosely);
        if (!path) status = FILTAGS_ERROR_MEMORY;
        else if (layer->is_model) status = bind_container(binder, layer, path, container, is_numbered_loosely);
        else if (layer->n_variables) status = bind_leaf(binder, layer, path);
        free(path);
    }
    free(inner);
    return status;
}

static const char KERAS3_CONTAINER[] = "layers";
static const char OLD_CONTAINER[] = "_layer_checkpoint_dependencies"; /* Keras 2.12 */

static filtags_status bind_keras3(struct binder *binder) {
    const char *const starts[] = {KERAS3_CONTAINER, OLD_CONTAINER};
    filtags_status status = hdf5_list(binder->file, starts, 2, &binder->table);
    if (status) return status;
    bool is_old = !hdf5_has_start(&binder->table, "layers/") && hdf5_has_start(&binder->table, OLD_CONTAINER);
    return bind_container(binder, &binder->loader->root, "", is_old ? OLD_CONTAINER : KERAS3_CONTAINER, is_old);
}

/* ------------------------------------------------------------------ any layout */

static const char *legacy_group(enum weight_layout layout) {
    return layout == WEIGHTS_WHOLE_MODEL ? WHOLE_MODEL_GROUP : "";
}

filtags_status keras_find_layout(const char *file_name, struct hdf5_file *file, enum weight_layout *layout) {
    bool is_legacy = false, is_whole = false, is_keras3 = false;
    filtags_status status = hdf5_has_names(file, "layer_names", &is_legacy);
    if (!status) status = hdf5_has(file, WHOLE_MODEL_GROUP, &is_whole);
    if (!status) status = hdf5_has(file, KERAS3_CONTAINER, &is_keras3);
    if (!status && !is_keras3) status = hdf5_has(file, OLD_CONTAINER, &is_keras3);
    if (status) return status;
    if (!is_legacy && !is_whole && !is_keras3) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: weights by Keras expected, the file has neither 'layer_names' nor "
                         "'%s' nor '%s'", file_name, WHOLE_MODEL_GROUP, KERAS3_CONTAINER);
    }
    *layout = is_legacy ? WEIGHTS_LEGACY : is_whole ? WEIGHTS_WHOLE_MODEL : WEIGHTS_KERAS3;
    return FILTAGS_OK;
}

filtags_status keras_bind(struct keras_loader *loader, struct hdf5_file *file, enum weight_layout layout,
                          struct weight_source *sources) {
    struct binder binder = {.loader = loader, .file = file, .sources = sources, .legacy_group = legacy_group(layout)};
    filtags_status status = layout == WEIGHTS_KERAS3 ? bind_keras3(&binder) : bind_legacy(&binder);
    hdf5_table_free(&binder.table);
    return status;
}

/* The key of the last weight in the list of the last layer that has one; *key stays NULL where there is none. */
static filtags_status find_last_weight(struct hdf5_file *file, const char *group, char **key) {
    struct hdf5_names layers = {0}, names = {0};
    filtags_status status = hdf5_read_names(file, group, "layer_names", &layers);
    for (size_t i = layers.n_names; !status && !*key && i-- > 0;) {
        status = read_weight_names(file, group, layers.names[i], &names);
        if (!status && names.n_names) {
            char *path = legacy_path(group, layers.names[i]);
            *key = path ? memory_format("%s/%s", path, names.names[names.n_names - 1]) : NULL;
            if (!*key) status = FILTAGS_ERROR_MEMORY;
            free(path);
        }
        hdf5_names_free(&names);
    }
    hdf5_names_free(&layers);
    return status;
}

filtags_status keras_find_n_outputs(struct hdf5_file *file, enum weight_layout layout, size_t *n_outputs) {
    enum { MAX_DENSE_LAYERS = 3 }; /* VGG's */
    const char *start = layout == WEIGHTS_KERAS3 ? KERAS3_CONTAINER : legacy_group(layout);
    struct hdf5_table table = {0};
    char *key = NULL;
    const struct hdf5_dataset *bias = NULL;
    filtags_status status = hdf5_list(file, &start, 1, &table);
    if (!status && layout != WEIGHTS_KERAS3) {
        status = find_last_weight(file, start, &key);
        if (key) bias = hdf5_find(&table, key);
    }
    for (int i = MAX_DENSE_LAYERS; !status && layout == WEIGHTS_KERAS3 && !bias && i-- > 0;) {
        static const char *const KEYS[MAX_DENSE_LAYERS] = {"layers/dense/vars/1", "layers/dense_1/vars/1",
                                                           "layers/dense_2/vars/1"};
        bias = hdf5_find(&table, KEYS[i]);
    }
    if (bias && bias->n_dims == 1 && bias->dim[0] > 0 && bias->dim[0] <= GRAPH_MAX_DIM) *n_outputs = bias->dim[0];
    hdf5_table_free(&table);
    free(key);
    return status;
}
