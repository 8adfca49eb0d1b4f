/* keras_conv.c - convolutions, dense layers and pooling. */
#include <string.h>

#include "model/keras_layers.h"

static filtags_status check_map(const struct layer_call *call) {
    const struct shape *shape = call_shape(call, 0);
    char text[SHAPE_TEXT_BYTES];
    if (shape->n_dims == 3) return FILTAGS_OK;
    return call_error(call, FILTAGS_ERROR_DATA, "an input of height, width and channels expected, got %s",
                      shape_format(text, shape->dim, shape->n_dims));
}

/* One axis of a sliding window. Returns the output's length, 0: the window is larger than the input. */
static size_t slide(size_t length, size_t kernel, size_t stride, size_t dilation, bool is_same, size_t *before,
                    size_t *after) {
    size_t extent = (kernel - 1) * dilation + 1;
    *before = *after = 0;
    if (!is_same) return length < extent ? 0 : (length - extent) / stride + 1;
    size_t n = (length + stride - 1) / stride;
    size_t covered = (n - 1) * stride + extent;
    size_t total = covered > length ? covered - length : 0;
    *before = total / 2; /* an odd row of padding goes to the end */
    *after = total - total / 2;
    return n;
}

/* Set padding from the option of that name, and the height and width of the output. */
static filtags_status slide_window(const struct layer_call *call, struct window *window, struct shape *shape) {
    const struct shape *input = call_shape(call, 0);
    const char *padding = config_text(config_member(call->config, "padding"));
    bool is_same = padding && strcmp(padding, "same") == 0;
    if (!is_same && (!padding || strcmp(padding, "valid") != 0)) return option_unsupported(call, "padding");
    size_t h = slide(input->dim[0], window->kernel_h, window->stride_h, window->dilation_h, is_same,
                     &window->padding.top, &window->padding.bottom);
    size_t w = slide(input->dim[1], window->kernel_w, window->stride_w, window->dilation_w, is_same,
                     &window->padding.left, &window->padding.right);
    if (h == 0 || w == 0) {
        return call_error(call, FILTAGS_ERROR_DATA, "an input of at least %zux%zu expected for the window, got %zux%zu",
                          (window->kernel_h - 1) * window->dilation_h + 1,
                          (window->kernel_w - 1) * window->dilation_w + 1, input->dim[0], input->dim[1]);
    }
    shape->n_dims = 3;
    shape->dim[0] = h;
    shape->dim[1] = w;
    return FILTAGS_OK;
}

/* Read kernel size, strides, dilation and padding; shape gets height and width. */
static filtags_status read_conv_window(const struct layer_call *call, struct window *window, struct shape *shape) {
    filtags_status status = check_map(call);
    if (!status) status = option_channels_last(call);
    if (!status) status = option_pair(call, "kernel_size", false, &window->kernel_h, &window->kernel_w);
    if (!status) status = option_pair(call, "strides", true, &window->stride_h, &window->stride_w);
    if (!status) status = option_pair(call, "dilation_rate", true, &window->dilation_h, &window->dilation_w);
    return status ? status : slide_window(call, window, shape);
}

static filtags_status add_bias(struct layer_call *call, size_t n_channels, int *bias) {
    bool has_bias;
    filtags_status status = option_flag(call, "use_bias", true, &has_bias);
    if (status || !has_bias) return status;
    struct keras_variable variable = {.name = "bias", .n_dims = 1, .dim = {n_channels}, .is_trainable = true};
    return call_variable(call, &variable, variable.dim, 1, bias);
}

filtags_status build_conv2d(struct layer_call *call, int *output) {
    struct node node = node_make(OP_CONV, (struct shape){0});
    size_t n_filters;
    filtags_status status = read_conv_window(call, &node.window, &node.shape);
    if (!status) status = option_size(call, "filters", &n_filters);
    if (!status) status = option_size_or(call, "groups", 1, &node.groups);
    if (status) return status;
    size_t n_channels = call_shape(call, 0)->dim[2];
    if (n_channels % node.groups || n_filters % node.groups) {
        return call_error(call, FILTAGS_ERROR_DATA, "groups = %zu must divide %zu input channels and %zu filters",
                          node.groups, n_channels, n_filters);
    }
    node.shape.dim[2] = n_filters;
    struct keras_variable kernel = {
        .name = "kernel", .n_dims = 4, .is_trainable = true,
        .dim = {node.window.kernel_h, node.window.kernel_w, n_channels / node.groups, n_filters}};
    status = call_variable(call, &kernel, kernel.dim, 4, &node.kernel);
    if (!status) status = add_bias(call, n_filters, &node.bias);
    if (!status) status = call_add_node(call, node, call->inputs, 1, output);
    return status ? status : call_add_activation(call, output);
}

/* Fill in a depthwise convolution without bias. name: what Keras calls its kernel. */
static filtags_status make_depthwise(struct layer_call *call, const char *name, struct node *node) {
    size_t multiplier;
    *node = node_make(OP_CONV, (struct shape){0});
    filtags_status status = read_conv_window(call, &node->window, &node->shape);
    if (!status) status = option_size_or(call, "depth_multiplier", 1, &multiplier);
    if (status) return status;
    size_t n_channels = call_shape(call, 0)->dim[2];
    size_t h = node->window.kernel_h, w = node->window.kernel_w;
    node->groups = n_channels;
    node->shape.dim[2] = n_channels * multiplier;
    struct keras_variable kernel = {
        .name = name, .n_dims = 4, .dim = {h, w, n_channels, multiplier}, .is_trainable = true};
    size_t dim[4] = {h, w, 1, n_channels * multiplier}; /* the same elements in the same order */
    return call_variable(call, &kernel, dim, 4, &node->kernel);
}

filtags_status build_depthwise_conv2d(struct layer_call *call, int *output) {
    struct node node;
    filtags_status status = make_depthwise(call, "depthwise kernel", &node);
    if (!status) status = add_bias(call, node.shape.dim[2], &node.bias);
    if (!status) status = call_add_node(call, node, call->inputs, 1, output);
    return status ? status : call_add_activation(call, output);
}

filtags_status build_separable_conv2d(struct layer_call *call, int *output) {
    struct node depthwise, pointwise;
    size_t n_filters;
    int middle;
    filtags_status status = option_size(call, "filters", &n_filters);
    if (!status) status = make_depthwise(call, "depthwise kernel", &depthwise);
    if (!status) status = call_add_node(call, depthwise, call->inputs, 1, &middle);
    if (status) return status;
    pointwise = node_make(OP_CONV, depthwise.shape);
    pointwise.shape.dim[2] = n_filters;
    pointwise.window = (struct window){.kernel_h = 1, .kernel_w = 1, .stride_h = 1, .stride_w = 1,
                                       .dilation_h = 1, .dilation_w = 1};
    struct keras_variable kernel = {.name = "pointwise kernel", .n_dims = 4, .is_trainable = true,
                                    .dim = {1, 1, depthwise.shape.dim[2], n_filters}};
    status = call_variable(call, &kernel, kernel.dim, 4, &pointwise.kernel);
    if (!status) status = add_bias(call, n_filters, &pointwise.bias);
    if (!status) status = call_add_node(call, pointwise, &middle, 1, output);
    return status ? status : call_add_activation(call, output);
}

filtags_status build_dense(struct layer_call *call, int *output) {
    struct node node = node_make(OP_DENSE, *call_shape(call, 0));
    size_t n_units, *last = &node.shape.dim[node.shape.n_dims - 1];
    filtags_status status = option_size(call, "units", &n_units);
    if (status) return status;
    struct keras_variable kernel = {.name = "kernel", .n_dims = 2, .dim = {*last, n_units}, .is_trainable = true};
    *last = n_units;
    status = call_variable(call, &kernel, kernel.dim, 2, &node.kernel);
    if (!status) status = add_bias(call, n_units, &node.bias);
    if (!status) status = call_add_node(call, node, call->inputs, 1, output);
    return status ? status : call_add_activation(call, output);
}

static filtags_status build_pooling(struct layer_call *call, enum op_kind op, int *output) {
    struct node node = node_make(op, (struct shape){0});
    struct window *window = &node.window;
    filtags_status status = check_map(call);
    if (!status) status = option_channels_last(call);
    if (!status) status = option_pair(call, "pool_size", false, &window->kernel_h, &window->kernel_w);
    if (status) return status;
    if (config_member(call->config, "strides")) {
        status = option_pair(call, "strides", false, &window->stride_h, &window->stride_w);
    } else {
        window->stride_h = window->kernel_h;
        window->stride_w = window->kernel_w;
    }
    window->dilation_h = window->dilation_w = 1;
    if (!status) status = slide_window(call, window, &node.shape);
    if (status) return status;
    node.shape.dim[2] = call_shape(call, 0)->dim[2];
    return call_add_node(call, node, call->inputs, 1, output);
}

filtags_status build_max_pooling(struct layer_call *call, int *output) {
    return build_pooling(call, OP_MAX_POOL, output);
}

filtags_status build_average_pooling(struct layer_call *call, int *output) {
    return build_pooling(call, OP_AVG_POOL, output);
}

static filtags_status build_global_pooling(struct layer_call *call, enum op_kind op, int *output) {
    bool keeps_dims;
    filtags_status status = check_map(call);
    if (!status) status = option_channels_last(call);
    if (!status) status = option_flag(call, "keepdims", false, &keeps_dims);
    if (status) return status;
    size_t n_channels = call_shape(call, 0)->dim[2];
    struct shape shape = keeps_dims ? (struct shape){3, {1, 1, n_channels}} : (struct shape){1, {n_channels}};
    return call_add_node(call, node_make(op, shape), call->inputs, 1, output);
}

filtags_status build_global_max_pooling(struct layer_call *call, int *output) {
    return build_global_pooling(call, OP_GLOBAL_MAX_POOL, output);
}

filtags_status build_global_average_pooling(struct layer_call *call, int *output) {
    return build_global_pooling(call, OP_GLOBAL_AVG_POOL, output);
}
