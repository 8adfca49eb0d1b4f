/* keras_tree.c - from the JSON of a model to the tree of its layers and the calls between them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "model/keras_layers.h"
#include "model/keras_links.h"

size_t keras_n_outputs(const struct keras_layer *layer) { return layer->is_model ? layer->n_outputs : 1; }

/* ------------------------------------------------------------------ one layer */

static bool is_model_class(const char *class_name) {
    return strcmp(class_name, "Functional") == 0 || strcmp(class_name, "Sequential") == 0 ||
           strcmp(class_name, "Model") == 0; /* what Keras 2 first called Functional */
}

static bool starts_with(const char *text, const char *start) { return strncmp(text, start, strlen(start)) == 0; }

/* A class of the user's own may have the name of one of Keras's. Whole-model .h5 files don't tell. */
static bool is_kerass_own(const config_value *entry, const char *class_name) {
    const char *module = config_text(config_member(entry, "module"));
    const char *registered = config_text(config_member(entry, "registered_name"));
    if (strcmp(class_name, "CustomScaleLayer") == 0 || !config_has(entry, "module")) return true;
    if (registered && strchr(registered, '>') && !starts_with(registered, "keras")) return false;
    return module && (strcmp(module, "keras") == 0 || starts_with(module, "keras.") ||
                      strcmp(module, "tf_keras") == 0 || starts_with(module, "tf_keras."));
}

static filtags_status find_class(const struct keras_loader *loader, struct keras_layer *layer) {
    const char *module = config_text(config_member(layer->entry, "module"));
    if (module && starts_with(module, "keras.src.ops")) {
        return error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: layer '%s': operation '%s' is not supported (only layers are)",
                         loader->file, layer->path, layer->class_name);
    }
    layer->kind = keras_class_find(layer->class_name);
    if (layer->kind && is_kerass_own(layer->entry, layer->class_name)) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: layer '%s': class '%s'%s%s%s is not supported", loader->file,
                     layer->path, layer->class_name, layer->kind ? " (module '" : "",
                     layer->kind ? (module ? module : "none") : "", layer->kind ? "')" : "");
}

/* Floating point types are all computed as float32; a quantized layer has other weights. */
static filtags_status check_dtype(const struct keras_loader *loader, const struct keras_layer *layer) {
    static const char *const FLOATS[] = {"float32", "float16", "float64", "bfloat16", "mixed_float16",
                                         "mixed_bfloat16"};
    const config_value *dtype = config_member(layer->config, "dtype");
    const char *name = config_text(dtype);
    if (config_is_object(dtype)) name = config_text(config_member(config_member(dtype, "config"), "name"));
    if (!dtype) return FILTAGS_OK;
    for (size_t i = 0; name && i < sizeof FLOATS / sizeof *FLOATS; i++) {
        if (strcmp(name, FLOATS[i]) == 0) return FILTAGS_OK;
    }
    return error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: layer '%s': dtype '%s' is not supported", loader->file,
                     layer->path, name ? name : "?");
}

/* Fill in what an entry of a model's list of layers says by itself. parent: "" or "outer/". */
static filtags_status read_entry(struct keras_loader *loader, const config_value *entry, const char *parent,
                                 size_t position, struct keras_layer *layer) {
    const char *class_name = config_text(config_member(entry, "class_name"));
    const config_value *config = config_member(entry, "config");
    const char *name = config_text(config_member(entry, "name"));
    if (!name) name = config_text(config_member(config, "name")); /* in a Sequential */
    if (!class_name || !name || !config) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: layer number %zu of '%s': the configuration has no '%s'",
                         loader->file, position, parent, !class_name ? "class_name" : !name ? "name" : "config");
    }
    layer->path = memory_format("%s%s", parent, name);
    if (!layer->path) return FILTAGS_ERROR_MEMORY;
    layer->entry = entry;
    layer->config = config;
    layer->name = name;
    layer->class_name = class_name;
    layer->input_position = SIZE_MAX;
    layer->is_trainable = true;
    config_boolean(config_member(config, "trainable"), &layer->is_trainable);
    layer->is_input = strcmp(class_name, "InputLayer") == 0;
    layer->is_model = is_model_class(class_name);
    layer->is_sequential = strcmp(class_name, "Sequential") == 0;
    if (layer->is_input) return FILTAGS_OK;
    if (layer->is_model && is_kerass_own(entry, class_name)) return FILTAGS_OK;
    layer->is_model = false;
    filtags_status status = find_class(loader, layer);
    return status ? status : check_dtype(loader, layer);
}

/* ------------------------------------------------------------------ models */

static filtags_status read_model(struct keras_loader *loader, struct keras_layer *model, int depth);

static filtags_status read_children(struct keras_loader *loader, struct keras_layer *model,
                                    const config_value *layers, size_t n_hidden, int depth) {
    filtags_status status = FILTAGS_OK;
    char *parent = memory_format("%s%s", model->path, model->path[0] ? "/" : "");
    if (!parent) return FILTAGS_ERROR_MEMORY;
    for (size_t i = n_hidden; !status && i < model->n_children; i++) {
        struct keras_layer *child = &model->children[i];
        status = read_entry(loader, config_item(layers, i - n_hidden), parent, i - n_hidden, child);
        if (!status && child->is_model) status = read_model(loader, child, depth + 1);
    }
    free(parent);
    return status;
}

/* The input of a Sequential that has no InputLayer of its own. */
static filtags_status make_hidden_input(struct keras_layer *model) {
    struct keras_layer *input = &model->children[0];
    input->name = "input";
    input->class_name = "InputLayer";
    input->is_input = true;
    input->path = memory_format("%s%sinput", model->path, model->path[0] ? "/" : "");
    return input->path ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
}

static filtags_status read_model(struct keras_loader *loader, struct keras_layer *model, int depth) {
    /* a Sequential's configuration was the list itself in early Keras 2 */
    const config_value *layers = config_is_array(model->config) ? model->config
                                                                : config_member(model->config, "layers");
    const config_value *first = config_item(layers, 0);
    const char *first_class = config_text(config_member(first, "class_name"));
    size_t n_hidden = model->is_sequential && !(first_class && strcmp(first_class, "InputLayer") == 0);
    if (depth > KERAS_MAX_DEPTH) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: models nested at most %d deep expected", loader->file,
                         KERAS_MAX_DEPTH);
    }
    if (!config_is_array(layers) || config_count(layers) == 0) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: model '%s': the configuration has no list 'layers', or it is empty",
                         loader->file, model->name);
    }
    loader->n_layers += config_count(layers);
    if (loader->n_layers > GRAPH_MAX_LAYERS) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: at most %d layers expected", loader->file, GRAPH_MAX_LAYERS);
    }
    model->children = memory_new(config_count(layers) + n_hidden, sizeof *model->children);
    if (!model->children) return FILTAGS_ERROR_MEMORY;
    model->n_children = config_count(layers) + n_hidden;
    filtags_status status = n_hidden ? make_hidden_input(model) : FILTAGS_OK;
    if (!status) status = read_children(loader, model, layers, n_hidden, depth);
    return status ? status : keras_link(loader, model);
}

static filtags_status count_calls(struct keras_loader *loader, struct keras_layer *model, size_t *n_total) {
    for (size_t i = 0; i < model->n_children; i++) {
        struct keras_layer *child = &model->children[i];
        child->n_all_calls = model->n_all_calls * child->n_calls;
        *n_total += child->n_all_calls;
        if (*n_total > GRAPH_MAX_NODES) {
            return error_set(FILTAGS_ERROR_FORMAT, "%s: at most %d calls of layers expected", loader->file,
                             GRAPH_MAX_NODES);
        }
        if (child->is_model) {
            filtags_status status = count_calls(loader, child, n_total);
            if (status) return status;
        } else {
            child->records = memory_new(child->n_all_calls, sizeof *child->records);
            if (!child->records) return FILTAGS_ERROR_MEMORY;
        }
    }
    return FILTAGS_OK;
}

filtags_status keras_tree_create(struct keras_loader *loader, const config_value *model) {
    struct keras_layer *root = &loader->root;
    size_t n_calls = 0;
    const char *class_name = config_text(config_member(model, "class_name"));
    if (!class_name || !config_member(model, "config")) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: the model's configuration has no '%s'", loader->file,
                         class_name ? "config" : "class_name");
    }
    if (!is_model_class(class_name) || !is_kerass_own(model, class_name)) {
        return error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: a model of class Functional or Sequential expected, got '%s'",
                         loader->file, class_name);
    }
    root->entry = model;
    root->config = config_member(model, "config");
    root->name = config_text(config_member(root->config, "name"));
    if (!root->name) root->name = "model";
    root->class_name = class_name;
    root->is_model = root->is_trainable = true;
    root->is_sequential = strcmp(class_name, "Sequential") == 0;
    root->n_calls = root->n_all_calls = 1;
    root->path = memory_copy_string("");
    if (!root->path) return FILTAGS_ERROR_MEMORY;
    filtags_status status = read_model(loader, root, 0);
    if (!status && root->n_inputs != 1) {
        status = error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: a model with one input expected, got %zu inputs",
                           loader->file, root->n_inputs);
    }
    return status ? status : count_calls(loader, root, &n_calls);
}

static const config_value *declared_shape(const config_value *config) {
    const config_value *shape = config_member(config, "batch_shape");
    return shape ? shape : config_member(config, "batch_input_shape"); /* Keras 3, Keras 2 */
}

const config_value *keras_input_shape(const struct keras_layer *model) {
    const struct keras_layer *input = &model->children[model->input_children[0]];
    if (input->config) return declared_shape(input->config);
    /* a Sequential without InputLayer: its first layer knows, or what it was built with */
    const struct keras_layer *first = model->n_children > 1 ? &model->children[1] : NULL;
    const config_value *shape = first ? declared_shape(first->config) : NULL;
    if (!shape && first && first->is_model) shape = keras_input_shape(first);
    if (!shape) shape = config_member(model->config, "build_input_shape");
    if (!shape) shape = config_member(config_member(model->entry, "build_config"), "input_shape");
    return shape;
}

static void destroy_layer(struct keras_layer *layer) {
    for (size_t i = 0; layer->calls && i < layer->n_calls; i++) free(layer->calls[i].inputs);
    for (size_t i = 0; layer->children && i < layer->n_children; i++) destroy_layer(&layer->children[i]);
    free(layer->calls);
    free(layer->children);
    free(layer->path);
    free(layer->records);
    free(layer->input_children);
    free(layer->outputs);
}

void keras_loader_destroy(struct keras_loader *loader) {
    destroy_layer(&loader->root);
    graph_destroy(&loader->builder.graph);
    free(loader->records);
}
