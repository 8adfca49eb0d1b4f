/* keras_activations.c - activation functions by name, and the layers that are activations. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "model/keras_layers.h"

/* keras.activations, Keras 3's names and the synonyms of Keras 2. */
static const struct named_activation {
    const char *name;
    struct activation activation;
} FUNCTIONS[] = {
    {"relu", {ACT_RELU, 0, INFINITY, 0}},
    {"relu6", {ACT_RELU, 0, 6, 0}},
    {"leaky_relu", {ACT_RELU, 0.2f, INFINITY, 0}}, /* the function's slope; the layer LeakyReLU has 0.3 */
    {"elu", {ACT_ELU, 1, 0, 0}},
    {"selu", {ACT_SELU, 0, 0, 0}},
    {"gelu", {ACT_GELU, 0, 0, 0}},
    {"silu", {ACT_SILU, 0, 0, 0}},
    {"swish", {ACT_SILU, 0, 0, 0}},
    {"sigmoid", {ACT_SIGMOID, 0, 0, 0}},
    {"tanh", {ACT_TANH, 0, 0, 0}},
    {"softplus", {ACT_SOFTPLUS, 0, 0, 0}},
    {"softsign", {ACT_SOFTSIGN, 0, 0, 0}},
    {"exponential", {ACT_EXPONENTIAL, 0, 0, 0}},
    {"mish", {ACT_MISH, 0, 0, 0}},
    {"hard_sigmoid", {ACT_HARD_SIGMOID, 0, 0, 0}},
    {"hard_silu", {ACT_HARD_SILU, 0, 0, 0}},
    {"hard_swish", {ACT_HARD_SILU, 0, 0, 0}},
};

static filtags_status add_softmax(struct layer_call *call, int *output) {
    const struct shape shape = call->loader->builder.graph.nodes[*output].shape;
    int input = *output;
    return call_add_node(call, node_make(OP_SOFTMAX, shape), &input, 1, output);
}

static filtags_status add_activation(struct layer_call *call, struct activation activation, int *output) {
    struct node node = node_make(OP_ACTIVATION, call->loader->builder.graph.nodes[*output].shape);
    int input = *output;
    node.activation = activation;
    return call_add_node(call, node, &input, 1, output);
}

/* Add a function by its name. *output is its input before and its output after. */
static filtags_status add_function(struct layer_call *call, const char *name, int *output) {
    if (strcmp(name, "linear") == 0) return FILTAGS_OK;
    if (strcmp(name, "softmax") == 0) return add_softmax(call, output);
    for (size_t i = 0; i < sizeof FUNCTIONS / sizeof *FUNCTIONS; i++) {
        if (strcmp(FUNCTIONS[i].name, name) == 0) {
            struct activation activation = FUNCTIONS[i].activation;
            if (call->loader->is_keras2 && activation.kind == ACT_HARD_SIGMOID) {
                activation.kind = ACT_HARD_SIGMOID_KERAS2;
            }
            return add_activation(call, activation, output);
        }
    }
    return option_unsupported(call, "activation");
}

/* An activation layer given as an option of another layer: {"class_name": "LeakyReLU", "config": {...}}. */
static filtags_status add_activation_layer(struct layer_call *call, const char *class_name,
                                           const config_value *config, int *output) {
    const struct keras_class *kind = keras_class_find(class_name);
    struct layer_call inner = *call;
    int input = *output;
    /* no PReLU: its weights would lie elsewhere; no Activation: it could nest without end */
    if (!kind || (kind->build != build_relu && kind->build != build_leaky_relu && kind->build != build_elu &&
                  kind->build != build_softmax)) {
        return option_unsupported(call, "activation");
    }
    inner.config = config;
    inner.inputs = &input;
    inner.n_inputs = 1;
    return kind->build(&inner, output);
}

filtags_status call_add_activation(struct layer_call *call, int *output) {
    const config_value *value = config_member(call->config, "activation");
    const config_value *config = config_member(value, "config");
    const char *class_name = config_text(config_member(value, "class_name"));
    const char *module = config_text(config_member(value, "module"));
    if (!value) return FILTAGS_OK;
    if (config_text(value)) return add_function(call, config_text(value), output);
    if (class_name && config_is_object(config)) return add_activation_layer(call, class_name, config, output);
    /* a function object of Keras's own */
    if (module && strncmp(module, "keras", 5) == 0 && config_text(config)) {
        return add_function(call, config_text(config), output);
    }
    return option_unsupported(call, "activation");
}

filtags_status build_activation(struct layer_call *call, int *output) {
    int input = call->inputs[0], last = input;
    filtags_status status = call_add_activation(call, &last);
    if (!status && last == input) { /* linear: the layer needs an output of its own all the same */
        status = call_add_node(call, node_make(OP_IDENTITY, *call_shape(call, 0)), &input, 1, &last);
    }
    if (!status) *output = last;
    return status;
}

static filtags_status build_piecewise(struct layer_call *call, double slope, double maximum, double threshold,
                                      int *output) {
    struct activation activation = {ACT_RELU, (float)slope, (float)maximum, (float)threshold};
    int last = call->inputs[0];
    filtags_status status = add_activation(call, activation, &last);
    if (!status) *output = last;
    return status;
}

filtags_status build_relu(struct layer_call *call, int *output) {
    double maximum, slope, threshold;
    filtags_status status = option_number(call, "max_value", INFINITY, &maximum);
    if (!status) status = option_number(call, "negative_slope", 0, &slope);
    if (!status) status = option_number(call, "threshold", 0, &threshold);
    return status ? status : build_piecewise(call, slope, maximum, threshold, output);
}

filtags_status build_leaky_relu(struct layer_call *call, int *output) {
    double slope;
    /* Keras 3 has negative_slope, Keras 2 alpha */
    const char *key = config_member(call->config, "negative_slope") ? "negative_slope" : "alpha";
    filtags_status status = option_number(call, key, 0.3, &slope);
    return status ? status : build_piecewise(call, slope, INFINITY, 0, output);
}

filtags_status build_elu(struct layer_call *call, int *output) {
    double alpha;
    int last = call->inputs[0];
    filtags_status status = option_number(call, "alpha", 1, &alpha);
    if (!status) status = add_activation(call, (struct activation){ACT_ELU, (float)alpha, 0, 0}, &last);
    if (!status) *output = last;
    return status;
}

filtags_status build_softmax(struct layer_call *call, int *output) {
    int last = call->inputs[0];
    filtags_status status = option_last_axis(call, "axis");
    if (!status) status = add_softmax(call, &last);
    if (!status) *output = last;
    return status;
}

/* shared_axes counts from 1 (0 is the batch axis). */
static filtags_status read_shared_axes(const struct layer_call *call, struct keras_variable *alpha) {
    const config_value *axes = config_member(call->config, "shared_axes");
    for (size_t i = 0; i < config_count(axes); i++) {
        long long axis;
        if (!config_integer(config_item(axes, i), &axis)) return option_unsupported(call, "shared_axes");
        if (axis < 0) axis += (long long)alpha->n_dims + 1;
        if (axis < 1 || axis > (long long)alpha->n_dims) return option_unsupported(call, "shared_axes");
        alpha->dim[axis - 1] = 1;
    }
    return FILTAGS_OK;
}

filtags_status build_prelu(struct layer_call *call, int *output) {
    const struct shape shape = *call_shape(call, 0);
    struct node node = node_make(OP_PRELU, shape);
    struct keras_variable alpha = {.name = "alpha", .n_dims = shape.n_dims, .is_trainable = true};
    memcpy(alpha.dim, shape.dim, sizeof alpha.dim);
    filtags_status status = read_shared_axes(call, &alpha);
    if (!status) status = call_variable(call, &alpha, shape.dim, shape.n_dims, &node.kernel);
    return status ? status : call_add_node(call, node, call->inputs, 1, output);
}
