/* keras_layers.h - one builder a layer class: from a layer's configuration and the shapes of its inputs to
 * nodes of the graph. */
#ifndef FILTAGS_MODEL_KERAS_LAYERS_H
#define FILTAGS_MODEL_KERAS_LAYERS_H

#include "model/keras_model.h"

/* One call of one layer while it is built. */
struct layer_call {
    struct keras_loader *loader;
    struct keras_layer *layer;
    const config_value *config; /* the layer's, or that of an activation layer within it */
    const int *inputs;          /* nodes */
    size_t n_inputs;
    int record;
    size_t n_variables;         /* used so far by this call */
};

/* Add the nodes of one call; *output gets the last one. */
typedef filtags_status (*layer_builder)(struct layer_call *call, int *output);

struct keras_class {
    const char *name;
    const char *group; /* name of the class in .keras weight files; NULL: has no weights */
    layer_builder build;
    enum { INPUT_ONE, INPUT_MANY } input;
};

/* Find a layer class; NULL: not supported. */
const struct keras_class *keras_class_find(const char *name);

/* Shape of input number i. Valid until a node is added. */
const struct shape *call_shape(const struct layer_call *call, size_t i);

/* Add a node that belongs to the call's layer. UNSUPPORTED, MEMORY: the shape exceeds the limits. */
FILTAGS_MUST_USE filtags_status
call_add_node(struct layer_call *call, struct node node, const int *inputs, size_t n_inputs, int *output);

/* Add the next variable of the layer, or find it where the layer has been called before. variable: name, shape in
 * the file, is_trainable. dim [n_dims]: its shape for the operator; n_dims = 0: no operator needs it. */
FILTAGS_MUST_USE filtags_status call_variable(struct layer_call *call, const struct keras_variable *variable,
                                              const size_t *dim, size_t n_dims, int *weight);

/* A message about the layer: "vgg16.h5: layer 'conv1': " and the rest. Returns status. */
filtags_status call_error(const struct layer_call *call, filtags_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Options of the configuration (keras_options.c). Each names file, layer and key in its message. */
FILTAGS_MUST_USE filtags_status option_size(const struct layer_call *call, const char *key, size_t *size);
FILTAGS_MUST_USE filtags_status
option_size_or(const struct layer_call *call, const char *key, size_t absent, size_t *size);
/* One size for both axes, or [h, w]; absent: 1 and 1 where is_optional, else an error. */
FILTAGS_MUST_USE filtags_status
option_pair(const struct layer_call *call, const char *key, bool is_optional, size_t *h, size_t *w);
FILTAGS_MUST_USE filtags_status
option_number(const struct layer_call *call, const char *key, double absent, double *number);
FILTAGS_MUST_USE filtags_status option_flag(const struct layer_call *call, const char *key, bool absent, bool *flag);
/* A number, or a (nested) list of numbers, NumPy arrays included; the caller frees *numbers. */
FILTAGS_MUST_USE filtags_status
option_numbers(const struct layer_call *call, const char *key, double **numbers, size_t *n_numbers);
/* n, [v, h] or [[top, bottom], [left, right]]. */
FILTAGS_MUST_USE filtags_status
option_padding(const struct layer_call *call, const char *key, struct padding *padding);
/* An axis or a list of one; must be the last one of the (only or first) input. */
FILTAGS_MUST_USE filtags_status option_last_axis(const struct layer_call *call, const char *key);
/* UNSUPPORTED unless data_format is channels_last (or not given). */
FILTAGS_MUST_USE filtags_status option_channels_last(const struct layer_call *call);
/* The message for an option whose value is not supported. Returns UNSUPPORTED. */
filtags_status option_unsupported(const struct layer_call *call, const char *key);

/* Builders (keras_conv.c, keras_activations.c, keras_shapes.c). */
filtags_status build_conv2d(struct layer_call *call, int *output);
filtags_status build_depthwise_conv2d(struct layer_call *call, int *output);
filtags_status build_separable_conv2d(struct layer_call *call, int *output);
filtags_status build_dense(struct layer_call *call, int *output);
filtags_status build_max_pooling(struct layer_call *call, int *output);
filtags_status build_average_pooling(struct layer_call *call, int *output);
filtags_status build_global_max_pooling(struct layer_call *call, int *output);
filtags_status build_global_average_pooling(struct layer_call *call, int *output);

filtags_status build_activation(struct layer_call *call, int *output);
filtags_status build_relu(struct layer_call *call, int *output);
filtags_status build_leaky_relu(struct layer_call *call, int *output);
filtags_status build_elu(struct layer_call *call, int *output);
filtags_status build_prelu(struct layer_call *call, int *output);
filtags_status build_softmax(struct layer_call *call, int *output);
/* Add what the option "activation" says behind *output, which gets the new node; nothing for linear. */
FILTAGS_MUST_USE filtags_status call_add_activation(struct layer_call *call, int *output);

filtags_status build_batch_normalization(struct layer_call *call, int *output);
filtags_status build_rescaling(struct layer_call *call, int *output);
filtags_status build_normalization(struct layer_call *call, int *output);
filtags_status build_custom_scale(struct layer_call *call, int *output);

filtags_status build_zero_padding(struct layer_call *call, int *output);
filtags_status build_cropping(struct layer_call *call, int *output);
filtags_status build_upsampling(struct layer_call *call, int *output);
filtags_status build_flatten(struct layer_call *call, int *output);
filtags_status build_reshape(struct layer_call *call, int *output);
filtags_status build_permute(struct layer_call *call, int *output);
filtags_status build_identity(struct layer_call *call, int *output);
filtags_status build_add(struct layer_call *call, int *output);
filtags_status build_subtract(struct layer_call *call, int *output);
filtags_status build_multiply(struct layer_call *call, int *output);
filtags_status build_average(struct layer_call *call, int *output);
filtags_status build_maximum(struct layer_call *call, int *output);
filtags_status build_minimum(struct layer_call *call, int *output);
filtags_status build_concatenate(struct layer_call *call, int *output);

#endif
