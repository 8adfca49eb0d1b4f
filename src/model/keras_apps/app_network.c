#include "model/keras_apps/app_network.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* ------------------------------------------------------------------ layers */

/* "MaxPooling2D" -> "max_pooling2d", as Keras makes names of classes. */
static void append_snake_case(struct buffer *name, const char *class_name) {
    for (const char *at = class_name; *at; at++) {
        bool is_word = isupper((unsigned char)*at) && at != class_name && islower((unsigned char)at[-1]);
        buffer_printf(name, "%s%c", is_word ? "_" : "", tolower((unsigned char)*at));
    }
}

/* Keras numbers the names that it makes up by class; layers with a name of their own aren't counted. */
static char *make_name(const struct app_network *network, const char *class_name, const char *name) {
    struct buffer made = {0};
    if (name) {
        buffer_printf(&made, "%s%s", network->prefix ? network->prefix : "", name);
    } else {
        size_t n = 0;
        for (size_t i = 0; i < network->n_layers; i++) {
            const struct app_layer *layer = &network->layers[i];
            n += layer->is_numbered && strcmp(layer->class_name, class_name) == 0;
        }
        append_snake_case(&made, class_name);
        if (n) buffer_printf(&made, "_%zu", n);
    }
    return buffer_take(&made);
}

/* Add a layer; the options become the network's. */
static int add_layer(struct app_network *network, const char *class_name, const char *name, char *options,
                     const int *inputs, size_t n_inputs) {
    struct app_layer layer = {.class_name = class_name, .options = options, .n_inputs = n_inputs, .is_numbered = !name};
    layer.name = make_name(network, class_name, name);
    if (n_inputs) memcpy(layer.inputs, inputs, n_inputs * sizeof *inputs);
    if (!layer.name || !options || memory_grow((void **)&network->layers, &network->capacity, network->n_layers + 1,
                                               sizeof *network->layers)) {
        network->has_failed = true;
        free(layer.name);
        free(options);
        return 0;
    }
    network->layers[network->n_layers] = layer;
    return (int)network->n_layers++;
}

int app_input(struct app_network *network, size_t height, size_t width) {
    char *options = memory_format("\"batch_shape\": [null, %zu, %zu, 3]", height, width);
    return add_layer(network, "InputLayer", NULL, options, NULL, 0);
}

int app_conv(struct app_network *network, int input, const char *name, struct app_conv conv) {
    char *options = memory_format("\"filters\": %zu, \"kernel_size\": [%zu, %zu], \"strides\": [%zu, %zu], "
                                  "\"padding\": \"%s\", \"use_bias\": %s, \"activation\": \"%s\"",
                                  conv.filters, conv.kernel_h, conv.kernel_w, conv.stride, conv.stride,
                                  conv.is_same ? "same" : "valid", conv.has_bias ? "true" : "false",
                                  conv.has_relu ? "relu" : "linear");
    return add_layer(network, "Conv2D", name, options, &input, 1);
}

int app_batch_norm(struct app_network *network, int input, const char *name, const char *epsilon, bool has_scale) {
    char *options = memory_format("\"axis\": -1, \"epsilon\": %s, \"scale\": %s", epsilon,
                                  has_scale ? "true" : "false");
    return add_layer(network, "BatchNormalization", name, options, &input, 1);
}

int app_relu(struct app_network *network, int input, const char *name) {
    return add_layer(network, "Activation", name, memory_copy_string("\"activation\": \"relu\""), &input, 1);
}

int app_zero_padding(struct app_network *network, int input, const char *name, size_t n_pixels) {
    return add_layer(network, "ZeroPadding2D", name, memory_format("\"padding\": %zu", n_pixels), &input, 1);
}

static char *pool_options(size_t size, size_t stride, const char *padding) {
    return memory_format("\"pool_size\": %zu, \"strides\": %zu, \"padding\": \"%s\"", size, stride, padding);
}

int app_max_pool(struct app_network *network, int input, const char *name, size_t size, size_t stride) {
    return add_layer(network, "MaxPooling2D", name, pool_options(size, stride, "valid"), &input, 1);
}

int app_average_pool(struct app_network *network, int input, const char *name, size_t size) {
    return add_layer(network, "AveragePooling2D", name, pool_options(size, 1, "same"), &input, 1);
}

int app_global_average_pool(struct app_network *network, int input, const char *name) {
    return add_layer(network, "GlobalAveragePooling2D", name, memory_copy_string("\"keepdims\": false"), &input, 1);
}

int app_flatten(struct app_network *network, int input, const char *name) {
    return add_layer(network, "Flatten", name, memory_copy_string("\"data_format\": \"channels_last\""), &input, 1);
}

int app_dense(struct app_network *network, int input, const char *name, size_t units, const char *activation) {
    char *options = memory_format("\"units\": %zu, \"activation\": \"%s\"", units, activation);
    return add_layer(network, "Dense", name, options, &input, 1);
}

int app_add(struct app_network *network, int left, int right, const char *name) {
    int inputs[] = {left, right};
    return add_layer(network, "Add", name, memory_copy_string("\"trainable\": true"), inputs, 2);
}

int app_concat(struct app_network *network, const int *inputs, size_t n_inputs, const char *name) {
    return add_layer(network, "Concatenate", name, memory_copy_string("\"axis\": -1"), inputs, n_inputs);
}

int app_scaled_add(struct app_network *network, int shortcut, int branch, const char *scale) {
    int inputs[] = {shortcut, branch};
    return add_layer(network, "CustomScaleLayer", NULL, memory_format("\"scale\": %s", scale), inputs, 2);
}

void app_network_free(struct app_network *network) {
    for (size_t i = 0; i < network->n_layers; i++) {
        free(network->layers[i].name);
        free(network->layers[i].options);
    }
    free(network->layers);
    *network = (struct app_network){0};
}

/* ------------------------------------------------------------------ order */

/* Keras orders model.layers by depth, which is the longest way to the output; layers of one depth in the order in
 * which they are first met on the way back from the output, the inputs of a layer from the first to the last. */
struct place {
    size_t layer, depth, visit;
};

static void visit(const struct app_network *network, struct place *places, size_t layer, size_t *n_visited) {
    if (places[layer].visit) return;
    places[layer].visit = ++*n_visited;
    for (size_t i = 0; i < network->layers[layer].n_inputs; i++) {
        visit(network, places, (size_t)network->layers[layer].inputs[i], n_visited);
    }
}

static int compare_places(const void *a, const void *b) {
    const struct place *left = a, *right = b;
    if (left->depth != right->depth) return left->depth > right->depth ? -1 : 1;
    return left->visit < right->visit ? -1 : left->visit > right->visit;
}

static void sort_layers(const struct app_network *network, struct place *places) {
    size_t n_visited = 0;
    for (size_t i = network->n_layers; i-- > 0;) { /* readers before what they read */
        places[i].layer = i;
        for (size_t k = 0; k < network->layers[i].n_inputs; k++) {
            struct place *input = &places[network->layers[i].inputs[k]];
            if (input->depth < places[i].depth + 1) input->depth = places[i].depth + 1;
        }
    }
    visit(network, places, network->n_layers - 1, &n_visited);
    qsort(places, network->n_layers, sizeof *places, compare_places);
}

/* ------------------------------------------------------------------ the configuration */

static void write_layer(const struct app_network *network, const struct app_layer *layer, struct buffer *json) {
    buffer_printf(json, "{\"class_name\": \"%s\", \"name\": \"%s\", \"config\": {\"name\": \"%s\", %s}, "
                  "\"inbound_nodes\": [", layer->class_name, layer->name, layer->name, layer->options);
    for (size_t i = 0; i < layer->n_inputs; i++) {
        buffer_printf(json, "%s[\"%s\", 0, 0, {}]", i ? ", " : "[", network->layers[layer->inputs[i]].name);
    }
    buffer_append_text(json, layer->n_inputs ? "]]}" : "]}");
}

filtags_status app_network_write(const struct app_network *network, const char *name, struct buffer *json) {
    if (network->has_failed) return FILTAGS_ERROR_MEMORY;
    struct place *places = memory_new(network->n_layers, sizeof *places);
    if (!places) return FILTAGS_ERROR_MEMORY;
    sort_layers(network, places);
    buffer_printf(json, "{\"class_name\": \"Functional\", \"config\": {\"name\": \"%s\", \"layers\": [", name);
    for (size_t i = 0; i < network->n_layers; i++) {
        if (i) buffer_append_text(json, ",\n");
        write_layer(network, &network->layers[places[i].layer], json);
    }
    buffer_printf(json, "], \"input_layers\": [[\"%s\", 0, 0]], \"output_layers\": [[\"%s\", 0, 0]]}}",
                  network->layers[0].name, network->layers[network->n_layers - 1].name);
    free(places);
    return json->has_failed ? FILTAGS_ERROR_MEMORY : FILTAGS_OK;
}
