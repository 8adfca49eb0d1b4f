/* engine_network.h - for the tests of the engine: networks built by hand, with random weights. Every node is a layer of
 * its own, so that it can be tapped. */
#ifndef FILTAGS_TESTS_ENGINE_NETWORK_H
#define FILTAGS_TESTS_ENGINE_NETWORK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/model_internal.h"

enum { MAX_NODES = 64, MAX_WEIGHTS = 128, MAX_INPUTS = 4 };

struct network {
    struct filtags_model model;
    float *values[MAX_WEIGHTS]; /* the weights, which an engine drops from the graph */
    uint32_t random;
};

static inline uint32_t random_bits(uint32_t *state) { /* xorshift32 */
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* In [-1, 1). */
static inline float random_value(uint32_t *state) { return (float)(int32_t)random_bits(state) / 2147483648.0f; }

static inline float *random_values(uint32_t *state, size_t n, float scale, float shift) {
    float *values = malloc((n ? n : 1) * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < n; i++) values[i] = random_value(state) * scale + shift;
    return values;
}

static inline struct shape shape_3(size_t h, size_t w, size_t c) { return (struct shape){3, {h, w, c}}; }
static inline struct shape shape_1(size_t c) { return (struct shape){1, {c}}; }

static inline struct shape *network_shape(struct network *network, int node) {
    return &network->model.graph.nodes[node].shape;
}

static inline int add_node(struct network *network, struct node node, const int *inputs, size_t n_inputs) {
    struct graph *graph = &network->model.graph;
    const int index = (int)graph->n_nodes;
    assert_true(graph->n_nodes < MAX_NODES);
    node.n_inputs = n_inputs;
    node.inputs = calloc(n_inputs + 1, sizeof *node.inputs);
    memcpy(node.inputs, inputs, n_inputs * sizeof *inputs);
    node.layer = index;
    graph->nodes[graph->n_nodes++] = node;
    struct layer_record *layer = &graph->layers[graph->n_layers++];
    char name[32];
    snprintf(name, sizeof name, "layer_%d", index);
    layer->info = (filtags_layer){.index = (size_t)index, .name = strdup(name), .class_name = strdup("Test")};
    layer->output_node = index;
    graph->output_node = index;
    return index;
}

static inline struct node plain_node(enum op_kind op, struct shape shape) {
    return (struct node){.op = op,
                         .shape = shape,
                         .groups = 1,
                         .kernel = GRAPH_NO_WEIGHT,
                         .bias = GRAPH_NO_WEIGHT,
                         .gamma = GRAPH_NO_WEIGHT,
                         .beta = GRAPH_NO_WEIGHT,
                         .mean = GRAPH_NO_WEIGHT,
                         .variance = GRAPH_NO_WEIGHT};
}

static inline int add_weight(struct network *network, size_t n_dims, const size_t *dim, float scale, float shift) {
    struct graph *graph = &network->model.graph;
    const int index = (int)graph->n_weights++;
    size_t n = 1;
    assert_true(index < MAX_WEIGHTS);
    struct weight *weight = &graph->weights[index];
    weight->name = strdup("weight");
    weight->n_dims = n_dims;
    for (size_t i = 0; i < n_dims; i++) n *= weight->dim[i] = dim[i];
    network->values[index] = random_values(&network->random, n, scale, shift);
    return index;
}

static inline int add_vector(struct network *network, size_t n, float scale, float shift) {
    return add_weight(network, 1, (size_t[]){n}, scale, shift);
}

/* Start a network with one input. */
static inline int network_start(struct network *network, uint32_t seed, struct shape shape) {
    struct graph *graph = &network->model.graph;
    memset(network, 0, sizeof *network);
    network->random = seed * 2654435761u + 1;
    graph->nodes = calloc(MAX_NODES, sizeof *graph->nodes);
    graph->layers = calloc(MAX_NODES, sizeof *graph->layers);
    graph->weights = calloc(MAX_WEIGHTS, sizeof *graph->weights);
    return add_node(network, plain_node(OP_INPUT, shape), (int[]){0}, 0);
}

static inline void network_free(struct network *network) {
    for (size_t i = 0; i < network->model.graph.n_weights; i++) free(network->values[i]);
    graph_destroy(&network->model.graph);
}

static inline struct window window_of(size_t kernel_h, size_t kernel_w, size_t stride, size_t dilation,
                                      struct padding padding) {
    return (struct window){kernel_h, kernel_w, stride, stride, dilation, dilation, padding};
}

static inline size_t window_outputs(size_t size, size_t before, size_t after, size_t kernel, size_t stride,
                                    size_t dilation) {
    return (size + before + after - ((kernel - 1) * dilation + 1)) / stride + 1;
}

static inline struct shape window_shape(const struct shape *in, const struct window *window, size_t c) {
    return shape_3(window_outputs(in->dim[0], window->padding.top, window->padding.bottom, window->kernel_h,
                                  window->stride_h, window->dilation_h),
                   window_outputs(in->dim[1], window->padding.left, window->padding.right, window->kernel_w,
                                  window->stride_w, window->dilation_w),
                   c);
}

static inline int add_conv(struct network *network, int input, struct window window, size_t groups, size_t c,
                           bool has_bias) {
    const struct shape in = *network_shape(network, input);
    struct node node = plain_node(OP_CONV, window_shape(&in, &window, c));
    const size_t dim[4] = {window.kernel_h, window.kernel_w, in.dim[2] / groups, c};
    const float scale = 2.4f / sqrtf((float)(dim[0] * dim[1] * dim[2]));
    node.window = window;
    node.groups = groups;
    node.kernel = add_weight(network, 4, dim, scale, 0);
    if (has_bias) node.bias = add_vector(network, c, 0.3f, 0.05f);
    return add_node(network, node, &input, 1);
}

static inline int add_dense(struct network *network, int input, size_t c, bool has_bias) {
    struct shape shape = *network_shape(network, input);
    const size_t c_in = shape.dim[shape.n_dims - 1];
    shape.dim[shape.n_dims - 1] = c;
    struct node node = plain_node(OP_DENSE, shape);
    node.kernel = add_weight(network, 2, (size_t[]){c_in, c}, 1.7f / sqrtf((float)c_in), 0);
    if (has_bias) node.bias = add_vector(network, c, 0.3f, 0);
    return add_node(network, node, &input, 1);
}

static inline int add_pool(struct network *network, int input, enum op_kind op, struct window window) {
    const struct shape in = *network_shape(network, input);
    struct node node = plain_node(op, window_shape(&in, &window, in.dim[2]));
    node.window = window;
    return add_node(network, node, &input, 1);
}

static inline int add_activation(struct network *network, int input, struct activation activation) {
    struct node node = plain_node(OP_ACTIVATION, *network_shape(network, input));
    node.activation = activation;
    return add_node(network, node, &input, 1);
}

static inline int add_relu(struct network *network, int input) {
    return add_activation(network, input, (struct activation){.kind = ACT_RELU, .max_value = INFINITY});
}

static inline int add_batch_norm(struct network *network, int input) {
    struct node node = plain_node(OP_SCALE_SHIFT, *network_shape(network, input));
    const size_t c = node.shape.dim[node.shape.n_dims - 1];
    node.gamma = add_vector(network, c, 0.5f, 1);
    node.beta = add_vector(network, c, 0.3f, 0);
    node.mean = add_vector(network, c, 0.3f, 0);
    node.variance = add_vector(network, c, 0.4f, 1);
    node.epsilon = 1e-3;
    return add_node(network, node, &input, 1);
}

/* Operators without parameters: shape is the output's. */
static inline int add_plain(struct network *network, enum op_kind op, struct shape shape, const int *inputs,
                            size_t n_inputs) {
    return add_node(network, plain_node(op, shape), inputs, n_inputs);
}

static inline int add_padding(struct network *network, int input, enum op_kind op, struct padding padding) {
    struct shape shape = *network_shape(network, input);
    const size_t h = padding.top + padding.bottom, w = padding.left + padding.right;
    shape.dim[0] += op == OP_PAD ? h : -h;
    shape.dim[1] += op == OP_PAD ? w : -w;
    struct node node = plain_node(op, shape);
    node.padding = padding;
    return add_node(network, node, &input, 1);
}

/* Make an engine, giving the graph its weights back first. */
static inline filtags_engine *network_engine(struct network *network, filtags_engine_options options) {
    struct graph *graph = &network->model.graph;
    for (size_t i = 0; i < graph->n_weights; i++) {
        size_t n = 1;
        for (size_t d = 0; d < graph->weights[i].n_dims; d++) n *= graph->weights[i].dim[d];
        free(graph->weights[i].values);
        graph->weights[i].values = aligned_alloc(64, (n * sizeof(float) + 63) / 64 * 64);
        memcpy(graph->weights[i].values, network->values[i], n * sizeof(float));
    }
    filtags_engine *engine = NULL;
    filtags_status status = filtags_engine_create(&network->model, &options, &engine);
    if (status != FILTAGS_OK) fail_msg("%s", filtags_error_message());
    return engine;
}

/* All layers that have feature maps. Returns how many. */
static inline size_t network_layers(const struct network *network, size_t layers[MAX_NODES]) {
    size_t n = 0;
    for (size_t i = 0; i < network->model.graph.n_layers; i++)
        if (network->model.graph.nodes[network->model.graph.layers[i].output_node].shape.n_dims == 3) layers[n++] = i;
    return n;
}

/* What an engine makes of some pictures. */
struct result {
    size_t n_images, n_filters, n_outputs;
    filtags_activation *activations; /* [n_images, n_filters] */
    float *outputs;                  /* [n_images, n_outputs], NULL without */
    int *bad_layers;                 /* [n_images] */
};

static inline struct result engine_result(filtags_engine *engine, const struct network *network, const float *images,
                                          size_t n_images, size_t batch, bool wants_output) {
    const struct graph *graph = &network->model.graph;
    const size_t n_inputs = shape_count(&graph->nodes[graph->input_node].shape);
    struct result result = {.n_images = n_images, .n_filters = filtags_engine_n_filters(engine),
                            .n_outputs = shape_count(&graph->nodes[graph->output_node].shape)};
    result.activations = calloc(n_images * result.n_filters + 1, sizeof *result.activations);
    result.outputs = wants_output ? calloc(n_images * result.n_outputs, sizeof *result.outputs) : NULL;
    result.bad_layers = calloc(n_images, sizeof *result.bad_layers);
    filtags_worker *worker = NULL;
    assert_int_equal(filtags_worker_create(engine, &worker), FILTAGS_OK);
    for (size_t first = 0; first < n_images; first += batch) {
        const size_t n = n_images - first < batch ? n_images - first : batch;
        filtags_status status = filtags_worker_run(
            worker, images + first * n_inputs, n, result.activations + first * result.n_filters,
            wants_output ? result.outputs + first * result.n_outputs : NULL, result.bad_layers + first);
        if (status != FILTAGS_OK) fail_msg("%s", filtags_error_message());
    }
    filtags_worker_destroy(worker);
    return result;
}

static inline void result_free(struct result *result) {
    free(result->activations);
    free(result->outputs);
    free(result->bad_layers);
}

/* Run pictures through a new engine that taps everything. */
static inline struct result network_result(struct network *network, const float *images, size_t n_images, size_t batch,
                                           filtags_engine_options options) {
    size_t layers[MAX_NODES];
    options.n_layers = options.layers ? options.n_layers : network_layers(network, layers);
    options.layers = options.layers ? options.layers : layers;
    options.max_batch = batch;
    filtags_engine *engine = network_engine(network, options);
    struct result result = engine_result(engine, network, images, n_images, batch, options.wants_output);
    filtags_engine_destroy(engine);
    return result;
}

/* Largest difference between two results: outputs relative to the largest, activations as they are. */
static inline double result_difference(const struct result *a, const struct result *b) {
    double largest = 1e-30, difference = 0;
    for (size_t i = 0; a->outputs && i < a->n_images * a->n_outputs; i++) {
        largest = fmax(largest, fabs((double)b->outputs[i]));
        if (isnan(a->outputs[i]) != isnan(b->outputs[i])) return INFINITY;
        difference = fmax(difference, fabs((double)a->outputs[i] - (double)b->outputs[i]));
    }
    difference /= largest;
    for (size_t i = 0; i < a->n_images * a->n_filters; i++)
        difference = fmax(difference,
                          fabs((double)a->activations[i] - (double)b->activations[i]) / FILTAGS_ACTIVATION_ONE);
    return difference;
}

/* The fast engine against the naive one. */
static inline void check_network(struct network *network, const char *name) {
    const struct graph *graph = &network->model.graph;
    enum { N_IMAGES = 2 };
    float *images = random_values(&network->random, N_IMAGES * shape_count(&graph->nodes[graph->input_node].shape),
                                  1.5f, 0.1f);
    struct result fast = network_result(network, images, N_IMAGES, N_IMAGES,
                                        (filtags_engine_options){.wants_output = true});
    struct result naive = network_result(network, images, N_IMAGES, 1,
                                         (filtags_engine_options){.wants_output = true, .is_reference = true});
    const double difference = result_difference(&fast, &naive);
    if (!(difference < 1e-5)) fail_msg("%s: differs by %g", name, difference);
    for (size_t i = 0; i < N_IMAGES; i++) {
        assert_int_equal(fast.bad_layers[i], -1);
        assert_int_equal(naive.bad_layers[i], -1);
    }
    result_free(&fast);
    result_free(&naive);
    free(images);
}

#endif
