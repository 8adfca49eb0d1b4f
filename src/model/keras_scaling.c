/* keras_scaling.c - layers that scale and shift channels. */
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "model/keras_layers.h"

/* Keras's epsilon: Normalization divides by max(sqrt(variance), 1e-7). */
static const float SMALLEST_VARIANCE = 1e-14f;

static filtags_status add_channel_variable(struct layer_call *call, const char *name, bool is_trainable,
                                           int *weight) {
    const struct shape *shape = call_shape(call, 0);
    struct keras_variable variable = {
        .name = name, .n_dims = 1, .dim = {shape->dim[shape->n_dims - 1]}, .is_trainable = is_trainable};
    return call_variable(call, &variable, variable.dim, 1, weight);
}

filtags_status build_batch_normalization(struct layer_call *call, int *output) {
    struct node node = node_make(OP_SCALE_SHIFT, *call_shape(call, 0));
    bool has_scale, has_center, is_renormalized;
    filtags_status status = option_last_axis(call, "axis");
    if (!status) status = option_number(call, "epsilon", 1e-3, &node.epsilon);
    if (!status) status = option_flag(call, "scale", true, &has_scale);
    if (!status) status = option_flag(call, "center", true, &has_center);
    if (!status) status = option_flag(call, "renorm", false, &is_renormalized);
    if (!status && is_renormalized) status = option_unsupported(call, "renorm");
    if (!status && has_scale) status = add_channel_variable(call, "gamma", true, &node.gamma);
    if (!status && has_center) status = add_channel_variable(call, "beta", true, &node.beta);
    if (!status) status = add_channel_variable(call, "moving mean", false, &node.mean);
    if (!status) status = add_channel_variable(call, "moving variance", false, &node.variance);
    return status ? status : call_add_node(call, node, call->inputs, 1, output);
}

/* Add y = x * scale + shift. scale, shift: one value, or one a channel; key: the option that they come from. */
static filtags_status add_scaling(struct layer_call *call, const double *scale, size_t n_scale, const double *shift,
                                  size_t n_shift, const char *key, int *output) {
    struct node node = node_make(OP_SCALE_SHIFT, *call_shape(call, 0));
    size_t n_channels = node.shape.dim[node.shape.n_dims - 1];
    if ((n_scale != 1 && n_scale != n_channels) || (n_shift != 1 && n_shift != n_channels)) {
        return call_error(call, FILTAGS_ERROR_DATA, "%s: 1 or %zu values expected (one a channel), got %zu", key,
                          n_channels, n_scale != 1 && n_scale != n_channels ? n_scale : n_shift);
    }
    node.scale_values = memory_new(n_channels, sizeof *node.scale_values);
    node.shift_values = memory_new(n_channels, sizeof *node.shift_values);
    if (!node.scale_values || !node.shift_values) {
        free(node.scale_values);
        free(node.shift_values);
        return FILTAGS_ERROR_MEMORY;
    }
    for (size_t c = 0; c < n_channels; c++) {
        node.scale_values[c] = (float)scale[n_scale == 1 ? 0 : c];
        node.shift_values[c] = (float)shift[n_shift == 1 ? 0 : c];
    }
    return call_add_node(call, node, call->inputs, 1, output);
}

filtags_status build_rescaling(struct layer_call *call, int *output) {
    double *scale = NULL, *offset = NULL;
    size_t n_scale = 0, n_offset = 1;
    filtags_status status = option_numbers(call, "scale", &scale, &n_scale);
    if (!status && config_member(call->config, "offset")) {
        status = option_numbers(call, "offset", &offset, &n_offset);
    }
    const double none = 0;
    if (!status) {
        status = add_scaling(call, scale, n_scale, offset ? offset : &none, n_offset, "scale, offset", output);
    }
    free(scale);
    free(offset);
    return status;
}

/* Mean and variance are in the configuration: no weights. */
static filtags_status build_given_normalization(struct layer_call *call, int *output) {
    double *mean = NULL, *variance = NULL;
    size_t n_mean, n_variance;
    filtags_status status = option_numbers(call, "mean", &mean, &n_mean);
    if (!status) status = option_numbers(call, "variance", &variance, &n_variance);
    if (!status && n_mean != n_variance) {
        status = call_error(call, FILTAGS_ERROR_DATA, "as many variances as means expected: %zu, got %zu", n_mean,
                            n_variance);
    }
    if (!status) {
        for (size_t i = 0; i < n_mean; i++) { /* variance becomes the scale, mean the shift */
            variance[i] = 1 / sqrt(fmax(variance[i], SMALLEST_VARIANCE));
            mean[i] *= -variance[i];
        }
        status = add_scaling(call, variance, n_variance, mean, n_mean, "mean, variance", output);
    }
    free(mean);
    free(variance);
    return status;
}

static filtags_status build_adapted_normalization(struct layer_call *call, bool is_scalar, int *output) {
    struct node node = node_make(OP_SCALE_SHIFT, *call_shape(call, 0));
    size_t n_channels = node.shape.dim[node.shape.n_dims - 1];
    struct keras_variable mean = {.name = "mean", .n_dims = is_scalar ? 0 : 1, .dim = {is_scalar ? 0 : n_channels}};
    struct keras_variable variance = mean, count = {.name = "count"};
    int unused;
    variance.name = "variance";
    variance.minimum = SMALLEST_VARIANCE;
    filtags_status status = call_variable(call, &mean, &n_channels, 1, &node.mean);
    if (!status) status = call_variable(call, &variance, &n_channels, 1, &node.variance);
    if (!status) status = call_variable(call, &count, NULL, 0, &unused);
    return status ? status : call_add_node(call, node, call->inputs, 1, output);
}

filtags_status build_normalization(struct layer_call *call, int *output) {
    const config_value *axis = config_member(call->config, "axis");
    bool is_inverse, is_scalar = config_is_array(axis) && config_count(axis) == 0; /* axis=None */
    filtags_status status = option_flag(call, "invert", false, &is_inverse);
    if (!status && is_inverse) status = option_unsupported(call, "invert");
    if (!status && !is_scalar) status = option_last_axis(call, "axis");
    if (status) return status;
    if (config_member(call->config, "mean")) return build_given_normalization(call, output);
    return build_adapted_normalization(call, is_scalar, output);
}

/* keras.applications' InceptionResNetV2: inputs x and branch, y = x + scale * branch. */
filtags_status build_custom_scale(struct layer_call *call, int *output) {
    struct layer_call branch = *call;
    double scale;
    const double none = 0;
    int pair[2];
    if (call->n_inputs != 2 || !shape_is_equal(call_shape(call, 0), call_shape(call, 1))) {
        return call_error(call, FILTAGS_ERROR_DATA, "two inputs of one shape expected");
    }
    if (!config_member(call->config, "scale")) {
        return call_error(call, FILTAGS_ERROR_FORMAT, "the configuration has no 'scale'");
    }
    filtags_status status = option_number(call, "scale", 1, &scale);
    branch.inputs = call->inputs + 1;
    branch.n_inputs = 1;
    pair[0] = call->inputs[0];
    if (!status) status = add_scaling(&branch, &scale, 1, &none, 1, "scale", &pair[1]);
    return status ? status : call_add_node(call, node_make(OP_ADD, *call_shape(call, 0)), pair, 2, output);
}
