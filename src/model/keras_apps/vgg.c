/* vgg.c - VGG16 and VGG19. */
#include <stdio.h>

#include "model/keras_apps/keras_apps.h"

enum { N_BLOCKS = 5 };

struct vgg_block {
    size_t n_convs, filters;
};

static const struct vgg_block VGG16[N_BLOCKS] = {{2, 64}, {2, 128}, {3, 256}, {3, 512}, {3, 512}};
static const struct vgg_block VGG19[N_BLOCKS] = {{2, 64}, {2, 128}, {4, 256}, {4, 512}, {4, 512}};

static void describe_vgg(struct app_network *network, int x, const struct vgg_block *blocks, size_t n_classes) {
    char name[32];
    for (size_t b = 0; b < N_BLOCKS; b++) {
        struct app_conv conv = {.filters = blocks[b].filters, .kernel_h = 3, .kernel_w = 3, .stride = 1,
                                .is_same = true, .has_bias = true, .has_relu = true};
        for (size_t c = 0; c < blocks[b].n_convs; c++) {
            snprintf(name, sizeof name, "block%zu_conv%zu", b + 1, c + 1);
            x = app_conv(network, x, name, conv);
        }
        snprintf(name, sizeof name, "block%zu_pool", b + 1);
        x = app_max_pool(network, x, name, 2, 2);
    }
    x = app_flatten(network, x, "flatten");
    x = app_dense(network, x, "fc1", 4096, "relu");
    x = app_dense(network, x, "fc2", 4096, "relu");
    app_dense(network, x, "predictions", n_classes, "softmax");
}

void describe_vgg16(struct app_network *network, int input, size_t n_classes) {
    describe_vgg(network, input, VGG16, n_classes);
}

void describe_vgg19(struct app_network *network, int input, size_t n_classes) {
    describe_vgg(network, input, VGG19, n_classes);
}
