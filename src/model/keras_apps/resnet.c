/* resnet.c - ResNet50, 101 and 152, and their second versions, which normalize before a convolution. */
#include <stdio.h>

#include "model/keras_apps/keras_apps.h"

enum { N_STACKS = 4 };

struct stack {
    size_t filters, n_blocks, stride; /* v1 strides in the stack's first block, V2 in its last */
};

static const struct stack RESNET50[N_STACKS] = {{64, 3, 1}, {128, 4, 2}, {256, 6, 2}, {512, 3, 2}};
static const struct stack RESNET101[N_STACKS] = {{64, 3, 1}, {128, 4, 2}, {256, 23, 2}, {512, 3, 2}};
static const struct stack RESNET152[N_STACKS] = {{64, 3, 1}, {128, 8, 2}, {256, 36, 2}, {512, 3, 2}};

static const struct stack RESNET50V2[N_STACKS] = {{64, 3, 2}, {128, 4, 2}, {256, 6, 2}, {512, 3, 1}};
static const struct stack RESNET101V2[N_STACKS] = {{64, 3, 2}, {128, 4, 2}, {256, 23, 2}, {512, 3, 1}};
static const struct stack RESNET152V2[N_STACKS] = {{64, 3, 2}, {128, 8, 2}, {256, 36, 2}, {512, 3, 1}};

static int conv(struct app_network *network, int x, const char *name, size_t filters, size_t size, size_t stride,
                bool is_same, bool has_bias) {
    struct app_conv options = {.filters = filters, .kernel_h = size, .kernel_w = size, .stride = stride,
                               .is_same = is_same, .has_bias = has_bias};
    return app_conv(network, x, name, options);
}

static int batch_norm(struct app_network *network, int x, const char *name) {
    return app_batch_norm(network, x, name, "1.001e-5", true);
}

static int block_v1(struct app_network *network, int x, size_t filters, size_t stride, bool has_conv_shortcut) {
    int shortcut = x;
    if (has_conv_shortcut) {
        shortcut = conv(network, x, "_0_conv", 4 * filters, 1, stride, false, true);
        shortcut = batch_norm(network, shortcut, "_0_bn");
    }
    x = conv(network, x, "_1_conv", filters, 1, stride, false, true);
    x = batch_norm(network, x, "_1_bn");
    x = app_relu(network, x, "_1_relu");
    x = conv(network, x, "_2_conv", filters, 3, 1, true, true);
    x = batch_norm(network, x, "_2_bn");
    x = app_relu(network, x, "_2_relu");
    x = conv(network, x, "_3_conv", 4 * filters, 1, 1, false, true);
    x = batch_norm(network, x, "_3_bn");
    x = app_add(network, shortcut, x, "_add");
    return app_relu(network, x, "_out");
}

static int block_v2(struct app_network *network, int x, size_t filters, size_t stride, bool has_conv_shortcut) {
    int shortcut = x;
    int active = batch_norm(network, x, "_preact_bn");
    active = app_relu(network, active, "_preact_relu");
    if (has_conv_shortcut) {
        shortcut = conv(network, active, "_0_conv", 4 * filters, 1, stride, false, true);
    } else if (stride > 1) {
        shortcut = app_max_pool(network, x, NULL, 1, stride);
    }
    x = conv(network, active, "_1_conv", filters, 1, 1, false, false);
    x = batch_norm(network, x, "_1_bn");
    x = app_relu(network, x, "_1_relu");
    x = app_zero_padding(network, x, "_2_pad", 1);
    x = conv(network, x, "_2_conv", filters, 3, stride, false, false);
    x = batch_norm(network, x, "_2_bn");
    x = app_relu(network, x, "_2_relu");
    x = conv(network, x, "_3_conv", 4 * filters, 1, 1, false, true);
    return app_add(network, shortcut, x, "_out");
}

static int describe_stacks(struct app_network *network, int x, const struct stack *stacks, bool is_v2) {
    char prefix[32];
    network->prefix = prefix;
    for (size_t s = 0; s < N_STACKS; s++) {
        for (size_t b = 0; b < stacks[s].n_blocks; b++) {
            size_t striding_block = is_v2 ? stacks[s].n_blocks - 1 : 0;
            size_t stride = b == striding_block ? stacks[s].stride : 1;
            snprintf(prefix, sizeof prefix, "conv%zu_block%zu", s + 2, b + 1);
            x = is_v2 ? block_v2(network, x, stacks[s].filters, stride, b == 0)
                      : block_v1(network, x, stacks[s].filters, stride, b == 0);
        }
    }
    network->prefix = NULL;
    return x;
}

static void describe_resnet(struct app_network *network, int x, const struct stack *stacks, bool is_v2,
                            size_t n_classes) {
    x = app_zero_padding(network, x, "conv1_pad", 3);
    x = conv(network, x, "conv1_conv", 64, 7, 2, false, true);
    if (!is_v2) {
        x = batch_norm(network, x, "conv1_bn");
        x = app_relu(network, x, "conv1_relu");
    }
    x = app_zero_padding(network, x, "pool1_pad", 1);
    x = app_max_pool(network, x, "pool1_pool", 3, 2);
    x = describe_stacks(network, x, stacks, is_v2);
    if (is_v2) {
        x = batch_norm(network, x, "post_bn");
        x = app_relu(network, x, "post_relu");
    }
    x = app_global_average_pool(network, x, "avg_pool");
    app_dense(network, x, "predictions", n_classes, "softmax");
}

void describe_resnet50(struct app_network *network, int input, size_t n_classes) {
    describe_resnet(network, input, RESNET50, false, n_classes);
}

void describe_resnet101(struct app_network *network, int input, size_t n_classes) {
    describe_resnet(network, input, RESNET101, false, n_classes);
}

void describe_resnet152(struct app_network *network, int input, size_t n_classes) {
    describe_resnet(network, input, RESNET152, false, n_classes);
}

void describe_resnet50v2(struct app_network *network, int input, size_t n_classes) {
    describe_resnet(network, input, RESNET50V2, true, n_classes);
}

void describe_resnet101v2(struct app_network *network, int input, size_t n_classes) {
    describe_resnet(network, input, RESNET101V2, true, n_classes);
}

void describe_resnet152v2(struct app_network *network, int input, size_t n_classes) {
    describe_resnet(network, input, RESNET152V2, true, n_classes);
}
