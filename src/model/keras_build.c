/* keras_build.c - from the tree of layers to the graph.
 *
 * A model is run symbolically: its calls are built in an order in which inputs come first. A nested model is run
 * again for every call of it, which gives its layers further calls but no further weights. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "model/keras_layers.h"

enum call_state { CALL_NEW, CALL_WAITING, CALL_DONE };

/* A call whose inputs are being built. */
struct waiting_call {
    struct keras_layer *layer;
    size_t call, next_input;
};

/* One run of a model. */
struct model_run {
    struct keras_loader *loader;
    const struct keras_layer *model;
    size_t number;       /* which of the model's calls this is */
    const int *inputs;   /* [model->n_inputs] nodes; NULL: the whole model's input is still to be made */
    unsigned char *states;       /* [model->n_child_calls] */
    int *slots;                  /* [model->n_child_slots] output nodes of the calls */
    struct waiting_call *stack;  /* [model->n_child_calls] */
};

static filtags_status run_model(struct keras_loader *loader, const struct keras_layer *model, size_t number,
                                const int *inputs, int *outputs);

static int node_of(const struct model_run *run, const struct keras_reference *reference) {
    const struct keras_layer *layer = &run->model->children[reference->layer];
    return run->slots[layer->first_slot + reference->call * keras_n_outputs(layer) + reference->tensor];
}

static filtags_status add_record(struct keras_loader *loader, struct keras_layer *layer, int *record) {
    struct keras_record added = {layer, -1};
    if (memory_grow((void **)&loader->records, &loader->record_capacity, loader->n_records + 1, sizeof added)) {
        return FILTAGS_ERROR_MEMORY;
    }
    loader->records[loader->n_records] = added;
    *record = (int)loader->n_records++;
    return FILTAGS_OK;
}

/* ------------------------------------------------------------------ inputs */

/* Choose between what the model says about height or width (NULL: anything) and what was asked for (0: nothing). */
static filtags_status choose_size(const struct keras_loader *loader, const config_value *declared, size_t asked,
                                  const char *what, size_t *size) {
    long long fixed;
    if (!declared && asked == 0) {
        return error_set(FILTAGS_ERROR_DATA, "%s: the model leaves its input's %s free: give it by --size HxW",
                         loader->file, what);
    }
    if (!declared) {
        *size = asked;
        return FILTAGS_OK;
    }
    if (!config_integer(declared, &fixed) || fixed < 1 || fixed > GRAPH_MAX_DIM) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: the input's %s is not in 1..2^24", loader->file, what);
    }
    if (asked && asked != (size_t)fixed) {
        return error_set(FILTAGS_ERROR_DATA, "%s: the model's input has %s %lld, %zu was asked for", loader->file, what,
                         fixed, asked);
    }
    *size = (size_t)fixed;
    return FILTAGS_OK;
}

static filtags_status read_input_shape(const struct keras_loader *loader, struct shape *shape) {
    const config_value *declared = keras_input_shape(&loader->root);
    long long n_channels;
    shape->n_dims = 3;
    if (!declared) {
        return error_set(FILTAGS_ERROR_DATA, "%s: the model does not say its input's shape (it was saved unbuilt)",
                         loader->file);
    }
    if (config_count(declared) != 4) {
        struct buffer text = {0};
        config_print(declared, &text);
        filtags_status status = error_set(FILTAGS_ERROR_UNSUPPORTED,
                                          "%s: an input of batch, height, width and channels expected, got %s",
                                          loader->file, buffer_text(&text));
        buffer_free(&text);
        return status;
    }
    if (!config_integer(config_item(declared, 3), &n_channels) || n_channels < 1 || n_channels > GRAPH_MAX_DIM) {
        return error_set(FILTAGS_ERROR_DATA, "%s: the model does not say how many channels its input has",
                         loader->file);
    }
    shape->dim[2] = (size_t)n_channels;
    filtags_status status = choose_size(loader, config_item(declared, 1), loader->height, "height", &shape->dim[0]);
    return status ? status
                  : choose_size(loader, config_item(declared, 2), loader->width, "width", &shape->dim[1]);
}

/* What a nested model says about its input must fit what it is called with. */
static filtags_status check_nested_input(const struct keras_loader *loader, const struct keras_layer *input,
                                         const struct shape *shape) {
    const config_value *declared = config_member(input->config, "batch_shape");
    char text[SHAPE_TEXT_BYTES];
    if (!declared) declared = config_member(input->config, "batch_input_shape");
    bool fits = !declared || config_count(declared) == shape->n_dims + 1;
    for (size_t i = 0; declared && fits && i < shape->n_dims; i++) {
        const config_value *value = config_item(declared, i + 1);
        long long size;
        fits = !value || (config_integer(value, &size) && size == (long long)shape->dim[i]);
    }
    if (fits) return FILTAGS_OK;
    struct buffer expected = {0};
    config_print(declared, &expected);
    filtags_status status = error_set(FILTAGS_ERROR_DATA, "%s: layer '%s': an input of shape %s expected, got %s",
                                      loader->file, input->path, buffer_text(&expected),
                                      shape_format(text, shape->dim, shape->n_dims));
    buffer_free(&expected);
    return status;
}

static filtags_status build_input(struct model_run *run, struct keras_layer *input, int *output) {
    struct keras_loader *loader = run->loader;
    struct graph_builder *builder = &loader->builder;
    struct node node = node_make(OP_INPUT, (struct shape){0});
    int record = -1;
    if (run->inputs) {
        int source = run->inputs[input->input_position];
        node = node_make(OP_IDENTITY, builder->graph.nodes[source].shape);
        filtags_status status = check_nested_input(loader, input, &node.shape);
        if (status) return status;
        if (input->is_hidden) {
            *output = source;
            return FILTAGS_OK;
        }
    } else {
        filtags_status status = read_input_shape(loader, &node.shape);
        if (status) return status;
        if (!shape_is_valid(&node.shape)) {
            char text[SHAPE_TEXT_BYTES];
            return error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: an input of at most 2^31 elements expected, got %s",
                             loader->file, shape_format(text, node.shape.dim, node.shape.n_dims));
        }
    }
    if (!input->is_hidden && add_record(loader, input, &record)) return FILTAGS_ERROR_MEMORY;
    node.layer = record;
    filtags_status status = graph_add_node(builder, node, run->inputs ? &run->inputs[input->input_position] : NULL,
                                           run->inputs ? 1 : 0, output);
    if (status) return status;
    if (!run->inputs) builder->graph.input_node = *output;
    if (record >= 0) {
        loader->records[record].output_node = *output;
        input->records[run->number] = record;
    }
    return FILTAGS_OK;
}

/* ------------------------------------------------------------------ calls */

static filtags_status build_layer(struct keras_loader *loader, struct keras_layer *layer, size_t number,
                                  const int *inputs, size_t n_inputs, int *output) {
    struct layer_call call = {
        .loader = loader, .layer = layer, .config = layer->config, .inputs = inputs, .n_inputs = n_inputs};
    if (layer->kind->input == INPUT_ONE && n_inputs != 1) {
        return call_error(&call, FILTAGS_ERROR_FORMAT, "one input expected, got %zu", n_inputs);
    }
    filtags_status status = add_record(loader, layer, &call.record);
    if (!status) status = layer->kind->build(&call, output);
    if (status) return status;
    layer->has_variables = true;
    layer->records[number] = call.record;
    loader->records[call.record].output_node = *output;
    return FILTAGS_OK;
}

/* Build one call, whose inputs have been built. */
static filtags_status build_call(struct model_run *run, struct keras_layer *layer, size_t call_index) {
    const struct keras_call *call = &layer->calls[call_index];
    size_t number = run->number * layer->n_calls + call_index;
    int *outputs = &run->slots[layer->first_slot + call_index * keras_n_outputs(layer)];
    if (layer->is_input) return build_input(run, layer, outputs);
    if (layer->is_model && call->n_inputs != layer->n_inputs) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: model '%s': %zu inputs expected, got %zu", run->loader->file,
                         layer->path, layer->n_inputs, call->n_inputs);
    }
    int *inputs = memory_new(call->n_inputs, sizeof *inputs);
    if (!inputs) return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < call->n_inputs; i++) inputs[i] = node_of(run, &call->inputs[i]);
    filtags_status status = layer->is_model
                                ? run_model(run->loader, layer, number, inputs, outputs)
                                : build_layer(run->loader, layer, number, inputs, call->n_inputs, outputs);
    free(inputs);
    return status;
}

static unsigned char *state_of(struct model_run *run, const struct keras_layer *layer, size_t call) {
    return &run->states[layer->first_call + call];
}

/* Build a call and, before it, what it needs. A stack of our own: networks are deeper than C's stack may be. */
static filtags_status build_with_inputs(struct model_run *run, struct keras_layer *layer, size_t call) {
    size_t n_waiting = 1;
    run->stack[0] = (struct waiting_call){layer, call, 0};
    *state_of(run, layer, call) = CALL_WAITING;
    while (n_waiting) {
        struct waiting_call *top = &run->stack[n_waiting - 1];
        const struct keras_call *top_call = &top->layer->calls[top->call];
        if (top->next_input == top_call->n_inputs) {
            filtags_status status = build_call(run, top->layer, top->call);
            if (status) return status;
            *state_of(run, top->layer, top->call) = CALL_DONE;
            n_waiting--;
            continue;
        }
        const struct keras_reference *needed = &top_call->inputs[top->next_input];
        struct keras_layer *source = &run->model->children[needed->layer];
        unsigned char *state = state_of(run, source, needed->call);
        if (*state == CALL_WAITING) {
            return error_set(FILTAGS_ERROR_FORMAT, "%s: layer '%s': a network without cycles expected, but its input "
                             "'%s' depends on it", run->loader->file, top->layer->path, source->path);
        }
        if (*state == CALL_DONE) {
            top->next_input++;
        } else {
            *state = CALL_WAITING;
            run->stack[n_waiting++] = (struct waiting_call){source, needed->call, 0};
        }
    }
    return FILTAGS_OK;
}

static filtags_status run_model(struct keras_loader *loader, const struct keras_layer *model, size_t number,
                                const int *inputs, int *outputs) {
    struct model_run run = {.loader = loader, .model = model, .number = number, .inputs = inputs};
    filtags_status status = FILTAGS_ERROR_MEMORY;
    run.states = memory_new(model->n_child_calls, sizeof *run.states);
    run.slots = memory_new(model->n_child_slots, sizeof *run.slots);
    run.stack = memory_new(model->n_child_calls, sizeof *run.stack);
    if (!run.states || !run.slots || !run.stack) goto fail;
    status = FILTAGS_OK;
    for (size_t i = 0; !status && i < model->n_children; i++) {
        struct keras_layer *child = &model->children[i];
        for (size_t j = 0; !status && j < child->n_calls; j++) {
            if (*state_of(&run, child, j) == CALL_NEW) status = build_with_inputs(&run, child, j);
        }
    }
    for (size_t i = 0; !status && i < model->n_outputs; i++) outputs[i] = node_of(&run, &model->outputs[i]);
fail:
    free(run.states);
    free(run.slots);
    free(run.stack);
    return status;
}

/* ------------------------------------------------------------------ layer records */

static filtags_status write_record(struct keras_loader *loader, const struct keras_layer *layer, size_t number,
                                   int *final_index) {
    struct graph *graph = &loader->builder.graph;
    const struct keras_record *from = &loader->records[layer->records[number]];
    const struct shape *shape = &graph->nodes[from->output_node].shape;
    struct layer_record *record = &graph->layers[graph->n_layers];
    record->is_conv2d = strcmp(layer->class_name, "Conv2D") == 0;
    record->output_node = from->output_node;
    record->info.index = graph->n_layers;
    record->info.n_dims = shape->n_dims;
    memcpy(record->info.shape, shape->dim, sizeof record->info.shape);
    record->info.n_filters = record->is_conv2d ? shape->dim[shape->n_dims - 1] : 0;
    final_index[layer->records[number]] = (int)graph->n_layers++; /* from here on the graph frees the strings */
    record->info.class_name = memory_copy_string(layer->class_name);
    record->info.name = number ? memory_format("%s#%zu", layer->path, number + 1) : memory_copy_string(layer->path);
    return record->info.name && record->info.class_name ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
}

/* Write the records in Keras's order, the calls of a layer one behind the other. */
static filtags_status write_records(struct keras_loader *loader, const struct keras_layer *model, int *final_index) {
    filtags_status status = FILTAGS_OK;
    for (size_t i = 0; !status && i < model->n_children; i++) {
        const struct keras_layer *child = &model->children[i];
        if (child->is_model) status = write_records(loader, child, final_index);
        if (child->is_model || child->is_hidden) continue;
        for (size_t j = 0; !status && j < child->n_all_calls; j++) {
            status = write_record(loader, child, j, final_index);
        }
    }
    return status;
}

filtags_status keras_tree_build(struct keras_loader *loader) {
    struct graph *graph = &loader->builder.graph;
    filtags_status status = FILTAGS_ERROR_MEMORY;
    int *final_index = NULL;
    int *outputs = memory_new(loader->root.n_outputs, sizeof *outputs);
    if (!outputs) goto fail;
    status = run_model(loader, &loader->root, 0, NULL, outputs);
    if (status) goto fail;
    graph->output_node = outputs[0]; /* of several outputs the first */
    if (loader->n_records == 0) {
        status = error_set(FILTAGS_ERROR_DATA, "%s: a model with layers expected, it has none", loader->file);
        goto fail;
    }
    status = FILTAGS_ERROR_MEMORY;
    final_index = memory_new(loader->n_records, sizeof *final_index);
    graph->layers = memory_new(loader->n_records, sizeof *graph->layers);
    if (!final_index || !graph->layers) goto fail;
    status = write_records(loader, &loader->root, final_index);
    for (size_t i = 0; !status && i < graph->n_nodes; i++) {
        struct node *node = &graph->nodes[i];
        node->layer = node->layer < 0 ? 0 : final_index[node->layer];
    }
fail:
    free(final_index);
    free(outputs);
    return status;
}
