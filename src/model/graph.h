/* graph.h - a network as a graph of operators with known shapes. The loader builds it, the engine runs it.
 *
 * Tensors are row-major with channels last and without the batch axis: a feature map is [h, w, c]. Because
 * every engine keeps that layout, Flatten and Reshape change a shape and move nothing. */
#ifndef FILTAGS_MODEL_GRAPH_H
#define FILTAGS_MODEL_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filtags.h"

enum { GRAPH_MAX_DIMS = 4 };

struct shape {
    size_t n_dims;              /* 1..4, without the batch axis */
    size_t dim[GRAPH_MAX_DIMS]; /* [h, w, c], [c], ...; channels are the last */
};

enum op_kind {
    OP_INPUT,
    OP_CONV,            /* 2-D, with groups; a depthwise convolution has groups = input channels */
    OP_DENSE,           /* on the last axis, whatever is before it */
    OP_SCALE_SHIFT,     /* y = x * scale[c] + shift[c]: BatchNormalization, Rescaling, Normalization */
    OP_ACTIVATION,
    OP_SOFTMAX,         /* over the last axis */
    OP_PRELU,           /* y = x > 0 ? x : alpha * x, alpha has the input's shape */
    OP_MAX_POOL, OP_AVG_POOL,               /* padding is left out: never the maximum, not in the count */
    OP_GLOBAL_MAX_POOL, OP_GLOBAL_AVG_POOL, /* over h and w */
    OP_PAD,             /* zeros */
    OP_CROP,
    OP_UPSAMPLE,        /* by whole factors, nearest or bilinear (half-pixel centres) */
    OP_RESHAPE,         /* same elements, same order */
    OP_ADD, OP_SUBTRACT, OP_MULTIPLY, OP_AVERAGE, OP_MAXIMUM, OP_MINIMUM, /* element-wise, with NumPy's broadcasting */
    OP_CONCAT,          /* along the last axis */
    OP_IDENTITY         /* Dropout and other layers that do nothing in inference */
};

enum activation_kind {
    ACT_LINEAR,
    ACT_RELU,           /* Keras's ReLU: x >= max: max; x >= threshold: x; else slope * (x - threshold) */
    ACT_ELU,            /* x > 0 ? x : alpha * (exp(x) - 1) */
    ACT_SELU, ACT_GELU, /* exact (erf) */
    ACT_GELU_TANH,      /* Keras's approximate=True */
    ACT_SILU, ACT_SIGMOID, ACT_TANH, ACT_SOFTPLUS, ACT_SOFTSIGN, ACT_EXPONENTIAL, ACT_MISH,
    ACT_HARD_SIGMOID,   /* relu6(x + 3) / 6 (Keras 3) */
    ACT_HARD_SIGMOID_KERAS2, /* clip(0.2 x + 0.5, 0, 1) */
    ACT_HARD_SILU       /* x * hard_sigmoid(x) */
};

struct activation {
    enum activation_kind kind;
    float alpha;     /* ELU: alpha. ReLU: negative slope */
    float max_value; /* ReLU: upper limit, INFINITY without one */
    float threshold; /* ReLU */
};

/* Four-sided: 'same' is asymmetric where the stride doesn't divide. */
struct padding { size_t top, bottom, left, right; };

struct window { /* of a convolution or pooling */
    size_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    struct padding padding;
};

/* An array of parameters. values stay NULL until model_read_weights. */
struct weight {
    char *name;      /* for messages: "layer 'conv1': kernel" */
    char *key;       /* where the file has it; the loader's own */
    size_t n_dims;
    size_t dim[4];   /* as the operator expects it; the loader has checked the file's shape against it */
    float *values;   /* owned by the graph; 64-byte aligned */
};

enum { GRAPH_NO_WEIGHT = -1 };

struct node {
    enum op_kind op;
    int *inputs;             /* node numbers, all smaller than this node's own: nodes are in topological order */
    size_t n_inputs;
    struct shape shape;      /* of the output */
    int layer;               /* the layer (graph->layers) that this node belongs to; the input of a Sequential, which
                                Keras does not list, is given to layer 0 */
    struct window window;    /* CONV, MAX_POOL, AVG_POOL */
    size_t groups;           /* CONV */
    struct padding padding;  /* PAD, CROP */
    size_t factor_h, factor_w; /* UPSAMPLE */
    bool is_bilinear;        /* UPSAMPLE */
    struct activation activation; /* ACTIVATION */
    /* Indices into graph->weights, or GRAPH_NO_WEIGHT.
     * CONV: kernel [kh, kw, c_in / groups, c_out] (HWIO; output channel o belongs to group o / (c_out / groups)),
     *       bias [c_out] or none. A depthwise kernel [kh, kw, c, multiplier] is already in that form.
     * DENSE: kernel [c_in, c_out], bias [c_out] or none.
     * PRELU: kernel is alpha [shape]. */
    int kernel, bias;
    /* SCALE_SHIFT. Either constants (scale_values, shift_values; [c], owned by the node), or a batch
     * normalization: scale = gamma / sqrt(variance + epsilon), shift = beta - mean * scale, computed in
     * double once and rounded to float; gamma and beta may be absent. */
    float *scale_values, *shift_values;
    int gamma, beta, mean, variance;
    double epsilon;
};

struct layer_record {
    filtags_layer info;  /* strings owned by the graph */
    int output_node;     /* the node whose output is Keras's layer.output */
    bool is_conv2d;      /* the class Conv2D exactly: tagged by --layers conv */
};

struct graph {
    struct node *nodes;
    size_t n_nodes;
    struct weight *weights;
    size_t n_weights;
    struct layer_record *layers; /* Keras's model.layers order, nested models in place; a layer called more than once
                                    has a record for each call */
    size_t n_layers;
    int input_node, output_node;
};

/* Number of elements of a tensor. Shapes in a graph are checked, so this can't overflow. */
size_t shape_count(const struct shape *shape);

/* h, w and c of a tensor seen as a feature map: dimensions in front of the last one are joined to the left
 * ([c] is 1 x 1 x c, [w, c] is 1 x w x c). */
void shape_as_map(const struct shape *shape, size_t *h, size_t *w, size_t *c);

/* Free everything that the graph owns (not *graph itself) and zero it. */
void graph_destroy(struct graph *graph);

#endif
