/* keras_layers.c - the table of layer classes, and what all builders need. */
#include "model/keras_layers.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

/* A new class is one row here and one function. Layers that change pictures at random (Keras calls it
 * augmentation) do nothing in inference; RandomCrop, RandomHeight and RandomWidth do, and are not listed. */
static const struct keras_class CLASSES[] = {
    {"Conv2D", "conv2d", build_conv2d, INPUT_ONE},
    {"DepthwiseConv2D", "depthwise_conv2d", build_depthwise_conv2d, INPUT_ONE},
    {"SeparableConv2D", "separable_conv2d", build_separable_conv2d, INPUT_ONE},
    {"Dense", "dense", build_dense, INPUT_ONE},
    {"BatchNormalization", "batch_normalization", build_batch_normalization, INPUT_ONE},
    {"Normalization", "normalization", build_normalization, INPUT_ONE},
    {"Rescaling", NULL, build_rescaling, INPUT_ONE},
    {"CustomScaleLayer", NULL, build_custom_scale, INPUT_MANY}, /* keras.applications' InceptionResNetV2 */

    {"Activation", NULL, build_activation, INPUT_ONE},
    {"ReLU", NULL, build_relu, INPUT_ONE},
    {"LeakyReLU", NULL, build_leaky_relu, INPUT_ONE},
    {"ELU", NULL, build_elu, INPUT_ONE},
    {"PReLU", "p_re_lu", build_prelu, INPUT_ONE},
    {"Softmax", NULL, build_softmax, INPUT_ONE},

    {"MaxPooling2D", NULL, build_max_pooling, INPUT_ONE},
    {"AveragePooling2D", NULL, build_average_pooling, INPUT_ONE},
    {"GlobalMaxPooling2D", NULL, build_global_max_pooling, INPUT_ONE},
    {"GlobalAveragePooling2D", NULL, build_global_average_pooling, INPUT_ONE},

    {"ZeroPadding2D", NULL, build_zero_padding, INPUT_ONE},
    {"Cropping2D", NULL, build_cropping, INPUT_ONE},
    {"UpSampling2D", NULL, build_upsampling, INPUT_ONE},
    {"Flatten", NULL, build_flatten, INPUT_ONE},
    {"Reshape", NULL, build_reshape, INPUT_ONE},
    {"Permute", NULL, build_permute, INPUT_ONE},

    {"Add", NULL, build_add, INPUT_MANY},
    {"Subtract", NULL, build_subtract, INPUT_MANY},
    {"Multiply", NULL, build_multiply, INPUT_MANY},
    {"Average", NULL, build_average, INPUT_MANY},
    {"Maximum", NULL, build_maximum, INPUT_MANY},
    {"Minimum", NULL, build_minimum, INPUT_MANY},
    {"Concatenate", NULL, build_concatenate, INPUT_MANY},

    {"Identity", NULL, build_identity, INPUT_ONE},
    {"Dropout", NULL, build_identity, INPUT_ONE},
    {"SpatialDropout2D", NULL, build_identity, INPUT_ONE},
    {"AlphaDropout", NULL, build_identity, INPUT_ONE},
    {"GaussianDropout", NULL, build_identity, INPUT_ONE},
    {"GaussianNoise", NULL, build_identity, INPUT_ONE},
    {"ActivityRegularization", NULL, build_identity, INPUT_ONE},
    {"RandomBrightness", NULL, build_identity, INPUT_ONE},
    {"RandomColorDegeneration", NULL, build_identity, INPUT_ONE},
    {"RandomColorJitter", NULL, build_identity, INPUT_ONE},
    {"RandomContrast", NULL, build_identity, INPUT_ONE},
    {"RandomElasticTransform", NULL, build_identity, INPUT_ONE},
    {"RandomErasing", NULL, build_identity, INPUT_ONE},
    {"RandomFlip", NULL, build_identity, INPUT_ONE},
    {"RandomGaussianBlur", NULL, build_identity, INPUT_ONE},
    {"RandomGrayscale", NULL, build_identity, INPUT_ONE},
    {"RandomHue", NULL, build_identity, INPUT_ONE},
    {"RandomInvert", NULL, build_identity, INPUT_ONE},
    {"RandomPerspective", NULL, build_identity, INPUT_ONE},
    {"RandomPosterization", NULL, build_identity, INPUT_ONE},
    {"RandomRotation", NULL, build_identity, INPUT_ONE},
    {"RandomSaturation", NULL, build_identity, INPUT_ONE},
    {"RandomSharpness", NULL, build_identity, INPUT_ONE},
    {"RandomShear", NULL, build_identity, INPUT_ONE},
    {"RandomTranslation", NULL, build_identity, INPUT_ONE},
    {"RandomZoom", NULL, build_identity, INPUT_ONE},
};

const struct keras_class *keras_class_find(const char *name) {
    for (size_t i = 0; i < sizeof CLASSES / sizeof *CLASSES; i++) {
        if (strcmp(CLASSES[i].name, name) == 0) return &CLASSES[i];
    }
    return NULL;
}

const struct shape *call_shape(const struct layer_call *call, size_t i) {
    return &call->loader->builder.graph.nodes[call->inputs[i]].shape;
}

filtags_status call_add_node(struct layer_call *call, struct node node, const int *inputs, size_t n_inputs,
                             int *output) {
    if (!shape_is_valid(&node.shape)) {
        char text[SHAPE_TEXT_BYTES];
        size_t n_dims = node.shape.n_dims < GRAPH_MAX_DIMS ? node.shape.n_dims : GRAPH_MAX_DIMS;
        free(node.scale_values);
        free(node.shift_values);
        return call_error(call, FILTAGS_ERROR_UNSUPPORTED,
                          "an output of 1..%d dimensions of 1..2^24 and at most 2^31 elements expected, got %s",
                          GRAPH_MAX_DIMS, shape_format(text, node.shape.dim, n_dims));
    }
    node.layer = call->record;
    return graph_add_node(&call->loader->builder, node, inputs, n_inputs, output);
}

static filtags_status check_old_variable(const struct layer_call *call, const struct keras_variable *variable,
                                         size_t index) {
    const struct keras_variable *old = &call->layer->variables[index];
    bool is_same = index < call->layer->n_variables && old->n_dims == variable->n_dims &&
                   memcmp(old->dim, variable->dim, old->n_dims * sizeof old->dim[0]) == 0;
    return is_same ? FILTAGS_OK
                   : call_error(call, FILTAGS_ERROR_DATA,
                                "the layer is called more than once, with inputs that need different weights");
}

static filtags_status add_variable(struct layer_call *call, const struct keras_variable *variable, const size_t *dim,
                                   size_t n_dims) {
    struct keras_layer *layer = call->layer;
    struct keras_variable added = *variable;
    struct shape shape = {.n_dims = n_dims};
    added.weight = GRAPH_NO_WEIGHT;
    if (n_dims) {
        memcpy(shape.dim, dim, n_dims * sizeof *dim);
        if (!shape_is_valid(&shape)) {
            char text[SHAPE_TEXT_BYTES];
            return call_error(call, FILTAGS_ERROR_UNSUPPORTED, "%s of at most 2^31 elements expected, got %s",
                              variable->name, shape_format(text, dim, n_dims));
        }
        char *name = memory_format("layer '%s': %s", layer->path, variable->name);
        if (!name) return FILTAGS_ERROR_MEMORY;
        filtags_status status = graph_add_weight(&call->loader->builder, name, dim, n_dims, &added.weight);
        free(name);
        if (status) return status;
    }
    layer->variables[layer->n_variables++] = added;
    return FILTAGS_OK;
}

filtags_status call_variable(struct layer_call *call, const struct keras_variable *variable, const size_t *dim,
                             size_t n_dims, int *weight) {
    size_t index = call->n_variables;
    filtags_status status = call->layer->has_variables ? check_old_variable(call, variable, index)
                                                       : add_variable(call, variable, dim, n_dims);
    if (status) return status;
    *weight = call->layer->variables[index].weight;
    call->n_variables++;
    return FILTAGS_OK;
}
