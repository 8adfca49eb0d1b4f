/* keras_shapes.c - layers that pad, crop, reshape, pass on or merge tensors. */
#include <string.h>

#include "model/keras_layers.h"

/* Start a node that changes height and width: the input must be a feature map. */
static filtags_status start_map_node(const struct layer_call *call, enum op_kind op, struct node *node) {
    char text[SHAPE_TEXT_BYTES];
    *node = node_make(op, *call_shape(call, 0));
    if (node->shape.n_dims == 3) return option_channels_last(call);
    return call_error(call, FILTAGS_ERROR_DATA, "an input of height, width and channels expected, got %s",
                      shape_format(text, node->shape.dim, node->shape.n_dims));
}

filtags_status build_zero_padding(struct layer_call *call, int *output) {
    struct node node;
    filtags_status status = start_map_node(call, OP_PAD, &node);
    if (!status) status = option_padding(call, "padding", &node.padding);
    if (status) return status;
    node.shape.dim[0] += node.padding.top + node.padding.bottom;
    node.shape.dim[1] += node.padding.left + node.padding.right;
    return call_add_node(call, node, call->inputs, 1, output);
}

filtags_status build_cropping(struct layer_call *call, int *output) {
    struct node node;
    filtags_status status = start_map_node(call, OP_CROP, &node);
    if (!status) status = option_padding(call, "cropping", &node.padding);
    if (status) return status;
    size_t rows = node.padding.top + node.padding.bottom, columns = node.padding.left + node.padding.right;
    if (rows >= node.shape.dim[0] || columns >= node.shape.dim[1]) {
        return call_error(call, FILTAGS_ERROR_DATA, "%zu rows and %zu columns cannot be cropped from %zux%zu", rows,
                          columns, node.shape.dim[0], node.shape.dim[1]);
    }
    node.shape.dim[0] -= rows;
    node.shape.dim[1] -= columns;
    return call_add_node(call, node, call->inputs, 1, output);
}

filtags_status build_upsampling(struct layer_call *call, int *output) {
    struct node node;
    const config_value *value = config_member(call->config, "interpolation");
    const char *interpolation = value ? config_text(value) : "nearest";
    filtags_status status = start_map_node(call, OP_UPSAMPLE, &node);
    if (!status) status = option_pair(call, "size", false, &node.factor_h, &node.factor_w);
    if (status) return status;
    node.is_bilinear = interpolation && strcmp(interpolation, "bilinear") == 0;
    if (!node.is_bilinear && (!interpolation || strcmp(interpolation, "nearest") != 0)) {
        return option_unsupported(call, "interpolation");
    }
    node.shape.dim[0] *= node.factor_h;
    node.shape.dim[1] *= node.factor_w;
    return call_add_node(call, node, call->inputs, 1, output);
}

filtags_status build_flatten(struct layer_call *call, int *output) {
    struct shape shape = {1, {shape_count(call_shape(call, 0))}};
    filtags_status status = option_channels_last(call);
    return status ? status : call_add_node(call, node_make(OP_RESHAPE, shape), call->inputs, 1, output);
}

filtags_status build_reshape(struct layer_call *call, int *output) {
    const config_value *target = config_member(call->config, "target_shape");
    size_t n_elements = shape_count(call_shape(call, 0)), product = 1, free_dim = GRAPH_MAX_DIMS;
    struct shape shape = {.n_dims = config_count(target)};
    if (shape.n_dims < 1 || shape.n_dims > GRAPH_MAX_DIMS) return option_unsupported(call, "target_shape");
    for (size_t i = 0; i < shape.n_dims; i++) {
        long long size;
        if (!config_integer(config_item(target, i), &size)) return option_unsupported(call, "target_shape");
        if (size == -1 && free_dim == GRAPH_MAX_DIMS) {
            free_dim = i;
            continue;
        }
        if (size < 1 || size > GRAPH_MAX_DIM) return option_unsupported(call, "target_shape");
        shape.dim[i] = (size_t)size;
        if (product > GRAPH_MAX_COUNT) break; /* differs from any input, reported below */
        product *= (size_t)size;
    }
    if (free_dim < GRAPH_MAX_DIMS && n_elements % product == 0) {
        shape.dim[free_dim] = n_elements / product;
        product = n_elements;
    }
    if (product != n_elements) {
        struct buffer text = {0};
        config_print(target, &text);
        filtags_status status = call_error(call, FILTAGS_ERROR_DATA, "target_shape: %zu elements expected, got %s",
                                           n_elements, buffer_text(&text));
        buffer_free(&text);
        return status;
    }
    return call_add_node(call, node_make(OP_RESHAPE, shape), call->inputs, 1, output);
}

filtags_status build_permute(struct layer_call *call, int *output) {
    const config_value *dims = config_member(call->config, "dims");
    const struct shape *shape = call_shape(call, 0);
    if (config_count(dims) != shape->n_dims) return option_unsupported(call, "dims");
    for (size_t i = 0; i < shape->n_dims; i++) { /* dims counts from 1: 0 is the batch axis */
        long long dim;
        if (!config_integer(config_item(dims, i), &dim) || dim != (long long)i + 1) {
            return option_unsupported(call, "dims");
        }
    }
    return build_identity(call, output);
}

filtags_status build_identity(struct layer_call *call, int *output) {
    return call_add_node(call, node_make(OP_IDENTITY, *call_shape(call, 0)), call->inputs, 1, output);
}

/* NumPy's rule: aligned at the last axis, a dimension of 1 (or none) fits any other. */
static bool broadcast(struct shape *to, const struct shape *with) {
    const struct shape *longer = to->n_dims >= with->n_dims ? to : with;
    struct shape result = *longer;
    for (size_t i = 1; i <= to->n_dims && i <= with->n_dims; i++) {
        size_t a = to->dim[to->n_dims - i], b = with->dim[with->n_dims - i];
        if (a != b && a != 1 && b != 1) return false;
        result.dim[result.n_dims - i] = a > b ? a : b;
    }
    *to = result;
    return true;
}

static filtags_status build_merge(struct layer_call *call, enum op_kind op, int *output) {
    struct shape shape = *call_shape(call, 0);
    for (size_t i = 1; i < call->n_inputs; i++) {
        char first[SHAPE_TEXT_BYTES], second[SHAPE_TEXT_BYTES];
        const struct shape *other = call_shape(call, i);
        struct shape before = shape;
        if (!broadcast(&shape, other)) {
            return call_error(call, FILTAGS_ERROR_DATA, "inputs of one shape expected, got %s and %s",
                              shape_format(first, before.dim, before.n_dims),
                              shape_format(second, other->dim, other->n_dims));
        }
    }
    return call_add_node(call, node_make(op, shape), call->inputs, call->n_inputs, output);
}

filtags_status build_add(struct layer_call *call, int *output) { return build_merge(call, OP_ADD, output); }
filtags_status build_multiply(struct layer_call *call, int *output) { return build_merge(call, OP_MULTIPLY, output); }
filtags_status build_average(struct layer_call *call, int *output) { return build_merge(call, OP_AVERAGE, output); }
filtags_status build_maximum(struct layer_call *call, int *output) { return build_merge(call, OP_MAXIMUM, output); }
filtags_status build_minimum(struct layer_call *call, int *output) { return build_merge(call, OP_MINIMUM, output); }

filtags_status build_subtract(struct layer_call *call, int *output) {
    if (call->n_inputs == 2) return build_merge(call, OP_SUBTRACT, output);
    return call_error(call, FILTAGS_ERROR_FORMAT, "two inputs expected, got %zu", call->n_inputs);
}

filtags_status build_concatenate(struct layer_call *call, int *output) {
    filtags_status status = option_last_axis(call, "axis");
    if (status) return status;
    struct shape shape = *call_shape(call, 0);
    size_t last = shape.n_dims - 1;
    for (size_t i = 1; i < call->n_inputs; i++) {
        char first[SHAPE_TEXT_BYTES], second[SHAPE_TEXT_BYTES];
        const struct shape *other = call_shape(call, i);
        if (other->n_dims != shape.n_dims || memcmp(other->dim, shape.dim, last * sizeof shape.dim[0]) != 0) {
            return call_error(call, FILTAGS_ERROR_DATA,
                              "inputs that differ in the last axis only expected, got %s and %s",
                              shape_format(first, call_shape(call, 0)->dim, shape.n_dims),
                              shape_format(second, other->dim, other->n_dims));
        }
        shape.dim[last] += other->dim[last];
    }
    return call_add_node(call, node_make(OP_CONCAT, shape), call->inputs, call->n_inputs, output);
}
