/* keras_links.c - the calls between layers.
 *
 * Keras 2 writes a call as a list of [name, call, tensor, options], Keras 3 as {"args": [tensor or list of them],
 * "kwargs": {...}} where a tensor's config has "keras_history": [name, call, tensor]. Which one it is, is told
 * by the form: early Keras 3 mixed them. */
#include "model/keras_links.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "model/keras_layers.h"

enum { MAX_LIST_DEPTH = 4 };

/* A child's name, for finding it. */
struct named_child {
    const char *name;
    size_t index;
};

struct linker {
    const struct keras_loader *loader;
    struct keras_layer *model;
    struct named_child *names; /* [model->n_children], sorted */
    bool is_list_dialect;      /* Keras 2 */
};

struct reference_list {
    struct keras_reference *references;
    size_t n, capacity;
};

static int compare_names(const void *a, const void *b) {
    return strcmp(((const struct named_child *)a)->name, ((const struct named_child *)b)->name);
}

static filtags_status sort_names(struct linker *linker) {
    size_t n = linker->model->n_children;
    linker->names = memory_new(n, sizeof *linker->names);
    if (!linker->names) return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < n; i++) linker->names[i] = (struct named_child){linker->model->children[i].name, i};
    qsort(linker->names, n, sizeof *linker->names, compare_names);
    for (size_t i = 1; i < n; i++) {
        if (strcmp(linker->names[i - 1].name, linker->names[i].name) == 0) {
            return error_set(FILTAGS_ERROR_FORMAT, "%s: model '%s': layer names that differ expected, got '%s' twice",
                             linker->loader->file, linker->model->name, linker->names[i].name);
        }
    }
    return FILTAGS_OK;
}

static struct keras_layer *find_child(const struct linker *linker, const char *name) {
    struct named_child key = {name, 0};
    const struct named_child *found =
        bsearch(&key, linker->names, linker->model->n_children, sizeof key, compare_names);
    return found ? &linker->model->children[found->index] : NULL;
}

/* For a nested model, a call's number may count from 1, because the model has a call of its own from when it was
 * made: in Keras 2 always, in Keras 3 for a Functional (not a Sequential) in output_layers only. */
static bool counts_from_one(const struct linker *linker, const struct keras_layer *target, bool is_output) {
    if (!target->is_model) return false;
    return linker->is_list_dialect || (is_output && !target->is_sequential);
}

/* Append [name, call, tensor, ...]. from: who refers, for messages. */
static filtags_status add_reference(const struct linker *linker, const config_value *value, const char *from,
                                    bool is_output, struct reference_list *list) {
    const char *file = linker->loader->file, *name = config_text(config_item(value, 0));
    long long call, tensor;
    if (!name || !config_integer(config_item(value, 1), &call) || !config_integer(config_item(value, 2), &tensor)) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: %s: an input [name, call, tensor] expected", file, from);
    }
    const struct keras_layer *target = find_child(linker, name);
    if (!target) return error_set(FILTAGS_ERROR_FORMAT, "%s: %s: there is no layer '%s'", file, from, name);
    long long n_calls = (long long)target->n_calls, found = call;
    if (counts_from_one(linker, target, is_output)) found--;
    /* versions disagree about that: a number just outside can only be the other way of counting */
    if (target->is_model && found == -1) found = 0;
    if (target->is_model && found == n_calls) found = n_calls - 1;
    if (found < 0 || found >= n_calls || tensor < 0 || tensor >= (long long)keras_n_outputs(target)) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: %s: layer '%s' has no output of call %lld, tensor %lld", file, from,
                         name, call, tensor);
    }
    if (memory_grow((void **)&list->references, &list->capacity, list->n + 1, sizeof *list->references)) {
        return FILTAGS_ERROR_MEMORY;
    }
    list->references[list->n++] =
        (struct keras_reference){(size_t)(target - linker->model->children), (size_t)found, (size_t)tensor};
    return FILTAGS_OK;
}

/* Append a [name, call, tensor] or lists of them, however deep. */
static filtags_status add_nested_references(const struct linker *linker, const config_value *value, const char *from,
                                            bool is_output, int depth, struct reference_list *list) {
    if (!config_is_array(value) || depth > MAX_LIST_DEPTH) {
        return error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: %s: a list of layers expected", linker->loader->file, from);
    }
    if (config_text(config_item(value, 0))) return add_reference(linker, value, from, is_output, list);
    for (size_t i = 0; i < config_count(value); i++) {
        filtags_status status =
            add_nested_references(linker, config_item(value, i), from, is_output, depth + 1, list);
        if (status) return status;
    }
    return FILTAGS_OK;
}

/* Options of a call: only those that change nothing in inference are understood. */
static filtags_status check_call_options(const struct linker *linker, const config_value *options, const char *from) {
    const char *key;
    const config_value *value;
    for (void *it = NULL; (it = config_next(options, it, &key, &value));) {
        bool flag = true;
        if (!value || (config_boolean(value, &flag) && !flag)) continue;
        struct buffer text = {0};
        config_print(value, &text);
        filtags_status status = error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: %s: a call with %s = %s is not supported",
                                          linker->loader->file, from, key, buffer_text(&text));
        buffer_free(&text);
        return status;
    }
    return FILTAGS_OK;
}

/* Append the tensors in an argument of Keras 3's form. */
static filtags_status add_tensors(const struct linker *linker, const config_value *value, const char *from, int depth,
                                  struct reference_list *list) {
    filtags_status status = FILTAGS_OK;
    const char *class_name = config_text(config_member(value, "class_name"));
    if (!value) return FILTAGS_OK;
    if (class_name && strcmp(class_name, "__keras_tensor__") == 0) {
        const config_value *history = config_member(config_member(value, "config"), "keras_history");
        return add_reference(linker, history, from, false, list);
    }
    if (!config_is_array(value) || depth > MAX_LIST_DEPTH) {
        struct buffer text = {0};
        config_print(value, &text);
        status = error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: %s: tensors as arguments expected, got %s",
                           linker->loader->file, from, buffer_text(&text));
        buffer_free(&text);
        return status;
    }
    for (size_t i = 0; !status && i < config_count(value); i++) {
        status = add_tensors(linker, config_item(value, i), from, depth + 1, list);
    }
    return status;
}

/* A call in the form of Keras 3. */
static filtags_status read_call_object(const struct linker *linker, const config_value *value, const char *from,
                                       struct reference_list *list, bool *is_listed) {
    const config_value *arguments = config_member(value, "args");
    if (!config_is_array(arguments)) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: %s: the call has no 'args'", linker->loader->file, from);
    }
    *is_listed = config_is_array(config_item(arguments, 0));
    filtags_status status = add_tensors(linker, arguments, from, 0, list);
    return status ? status : check_call_options(linker, config_member(value, "kwargs"), from);
}

/* A call in the form of Keras 2. */
static filtags_status read_call_list(const struct linker *linker, const config_value *value, const char *from,
                                     struct reference_list *list) {
    if (config_text(config_item(value, 0))) { /* a single input, without the list around it */
        filtags_status status = add_reference(linker, value, from, false, list);
        return status ? status : check_call_options(linker, config_item(value, 3), from);
    }
    for (size_t i = 0; i < config_count(value); i++) {
        filtags_status status = add_reference(linker, config_item(value, i), from, false, list);
        if (!status) status = check_call_options(linker, config_item(config_item(value, i), 3), from);
        if (status) return status;
    }
    return FILTAGS_OK;
}

static filtags_status read_call(const struct linker *linker, const config_value *value,
                                const struct keras_layer *layer, struct keras_call *call) {
    struct reference_list list = {0};
    bool is_listed = true;
    char *from = memory_format("layer '%s'", layer->path);
    if (!from) return FILTAGS_ERROR_MEMORY;
    filtags_status status = config_is_array(value) ? read_call_list(linker, value, from, &list)
                                                   : read_call_object(linker, value, from, &list, &is_listed);
    if (!status && list.n == 0) {
        status = error_set(FILTAGS_ERROR_FORMAT, "%s: %s: the call has no inputs", linker->loader->file, from);
    }
    /* x + y is written like the layer Add, but with two arguments where the layer has one list */
    if (!status && list.n > 1 && !is_listed && layer->kind) {
        status = error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: %s: operation '%s' is not supported (only layers are)",
                           linker->loader->file, from, layer->class_name);
    }
    free(from);
    if (status) {
        free(list.references);
        return status;
    }
    *call = (struct keras_call){list.references, list.n};
    return FILTAGS_OK;
}

/* Give every child room for its calls, which other children's references count on. */
static filtags_status make_calls(struct linker *linker) {
    for (size_t i = 0; i < linker->model->n_children; i++) {
        struct keras_layer *child = &linker->model->children[i];
        const config_value *nodes = config_member(child->entry, "inbound_nodes");
        size_t n_calls = child->is_input || linker->model->is_sequential ? 1 : config_count(nodes);
        if (n_calls == 0) {
            return error_set(FILTAGS_ERROR_FORMAT, "%s: layer '%s': 'inbound_nodes' is missing or empty",
                             linker->loader->file, child->path);
        }
        if (config_is_array(config_item(nodes, 0))) linker->is_list_dialect = true;
        child->calls = memory_new(n_calls, sizeof *child->calls);
        if (!child->calls) return FILTAGS_ERROR_MEMORY;
        child->n_calls = n_calls;
        child->first_call = linker->model->n_child_calls;
        child->first_slot = linker->model->n_child_slots;
        linker->model->n_child_calls += n_calls;
        linker->model->n_child_slots += n_calls * keras_n_outputs(child);
        if (linker->model->n_child_slots > GRAPH_MAX_NODES) {
            return error_set(FILTAGS_ERROR_FORMAT, "%s: at most %d calls of layers expected", linker->loader->file,
                             GRAPH_MAX_NODES);
        }
    }
    return FILTAGS_OK;
}

static filtags_status link_inputs(struct linker *linker, const struct reference_list *inputs) {
    struct keras_layer *model = linker->model;
    model->input_children = memory_new(inputs->n, sizeof *model->input_children);
    if (!model->input_children) return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < inputs->n; i++) {
        size_t index = inputs->references[i].layer;
        struct keras_layer *input = &model->children[index];
        if (!input->is_input || input->input_position != SIZE_MAX) {
            return error_set(FILTAGS_ERROR_FORMAT, "%s: model '%s': an InputLayer as input expected, got '%s'",
                             linker->loader->file, model->name, input->path);
        }
        input->input_position = i;
        model->input_children[model->n_inputs++] = index;
    }
    for (size_t i = 0; i < model->n_children; i++) {
        const struct keras_layer *child = &model->children[i];
        if (child->is_input && child->input_position == SIZE_MAX) {
            return error_set(FILTAGS_ERROR_FORMAT, "%s: layer '%s' is not in 'input_layers'", linker->loader->file,
                             child->path);
        }
    }
    return FILTAGS_OK;
}

static filtags_status link_functional(struct linker *linker) {
    struct keras_layer *model = linker->model;
    struct reference_list inputs = {0}, outputs = {0};
    filtags_status status = sort_names(linker);
    if (!status) status = make_calls(linker);
    for (size_t i = 0; !status && i < model->n_children; i++) {
        struct keras_layer *child = &model->children[i];
        const config_value *nodes = config_member(child->entry, "inbound_nodes");
        for (size_t j = 0; !status && !child->is_input && j < child->n_calls; j++) {
            status = read_call(linker, config_item(nodes, j), child, &child->calls[j]);
        }
    }
    const config_value *inputs_value = config_member(model->config, "input_layers");
    const config_value *outputs_value = config_member(model->config, "output_layers");
    if (!status) status = add_nested_references(linker, inputs_value, "input_layers", false, 0, &inputs);
    if (!status) status = add_nested_references(linker, outputs_value, "output_layers", true, 0, &outputs);
    if (!status && (inputs.n == 0 || outputs.n == 0)) {
        status = error_set(FILTAGS_ERROR_FORMAT, "%s: model '%s': inputs and outputs expected, got %zu and %zu",
                           linker->loader->file, model->name, inputs.n, outputs.n);
    }
    if (!status) status = link_inputs(linker, &inputs);
    free(inputs.references);
    if (status) {
        free(outputs.references);
        return status;
    }
    model->outputs = outputs.references;
    model->n_outputs = outputs.n;
    return FILTAGS_OK;
}

/* Every layer is called once, by the one before it; the first child is the input. */
static filtags_status link_sequential(struct linker *linker) {
    struct keras_layer *model = linker->model;
    struct keras_reference first = {0};
    struct reference_list inputs = {&first, 1, 1};
    for (size_t i = 0; i < model->n_children; i++) {
        struct keras_layer *child = &model->children[i];
        child->input_position = SIZE_MAX;
        if (child->is_input && i > 0) {
            return error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: layer '%s': an InputLayer within a Sequential is not "
                             "supported", linker->loader->file, child->path);
        }
    }
    filtags_status status = make_calls(linker);
    for (size_t i = 1; !status && i < model->n_children; i++) {
        struct keras_call *call = &model->children[i].calls[0];
        call->inputs = memory_new(1, sizeof *call->inputs);
        if (!call->inputs) return FILTAGS_ERROR_MEMORY;
        call->inputs[0].layer = i - 1;
        call->n_inputs = 1;
    }
    if (!status) status = link_inputs(linker, &inputs);
    if (status) return status;
    model->children[0].is_hidden = true;
    model->outputs = memory_new(1, sizeof *model->outputs);
    if (!model->outputs) return FILTAGS_ERROR_MEMORY;
    model->outputs[0].layer = model->n_children - 1;
    model->n_outputs = 1;
    return FILTAGS_OK;
}

filtags_status keras_link(const struct keras_loader *loader, struct keras_layer *model) {
    struct linker linker = {.loader = loader, .model = model};
    filtags_status status = model->is_sequential ? link_sequential(&linker) : link_functional(&linker);
    free(linker.names);
    return status;
}
