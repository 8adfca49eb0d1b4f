/* keras_model.h - a Keras model while it is being loaded: the tree of its layers, their calls and variables.
 *
 *   keras_tree_create (keras_tree.c)    configuration -> tree of layers
 *   keras_link        (keras_links.c)   the calls between them
 *   keras_tree_build  (keras_build.c)   tree -> graph: every call of every layer becomes nodes
 *   layer builders    (keras_layers.c)  one function a class
 *   keras_bind_*      (keras_weights.c) variables -> data sets of the weight file */
#ifndef FILTAGS_MODEL_KERAS_MODEL_H
#define FILTAGS_MODEL_KERAS_MODEL_H

#include "model/config_value.h"
#include "model/graph_builder.h"

enum { KERAS_MAX_VARIABLES = 5, KERAS_MAX_DEPTH = 32 };

/* A variable of a layer in the file. */
struct keras_variable {
    const char *name;  /* "kernel" */
    int weight;        /* in the graph, or GRAPH_NO_WEIGHT: the file has it, but no operator needs it */
    size_t n_dims;     /* shape in the file */
    size_t dim[GRAPH_MAX_DIMS];
    bool is_trainable; /* by its kind: kernel and gamma are, a moving mean is not */
    float minimum;     /* smaller values are raised to it when they are read */
};

/* "Output tensor of call number call of layer (a child of the same model)." */
struct keras_reference {
    size_t layer, call, tensor;
};

struct keras_call {
    struct keras_reference *inputs;
    size_t n_inputs;
};

struct keras_layer {
    const char *name;            /* the configuration's; "input" where a Sequential has no InputLayer */
    char *path;                  /* "outer/inner" */
    const char *class_name;
    const config_value *entry;   /* in the list of layers; NULL: an input that the file does not have */
    const config_value *config;  /* the entry's configuration */
    const struct keras_class *kind; /* NULL for models and inputs */
    bool is_model, is_sequential, is_input;
    bool is_hidden;              /* the input of a Sequential: no layer for Keras */
    bool is_trainable;
    struct keras_call *calls;    /* by the parent; an input has one, without inputs */
    size_t n_calls;
    size_t first_call, first_slot; /* of its calls and of their outputs among those of all children of its parent */
    size_t input_position;       /* which input of the parent it is; SIZE_MAX: none */
    size_t n_all_calls;          /* also counting that the parent is called more than once */
    int *records;                /* [n_all_calls] provisional number of the layer record; NULL for models */
    struct keras_variable variables[KERAS_MAX_VARIABLES];
    size_t n_variables;
    bool has_variables;          /* the first call has been built: variables are known */

    /* of a model */
    struct keras_layer *children; /* Keras's model.layers order */
    size_t n_children;
    size_t n_child_calls, n_child_slots;
    size_t *input_children;       /* children which are the model's inputs, in order */
    size_t n_inputs;
    struct keras_reference *outputs;
    size_t n_outputs;
};

/* What is known of a model's layer as it will be listed, in the order in which they are built. */
struct keras_record {
    struct keras_layer *layer;
    int output_node;
};

struct keras_loader {
    const char *file;         /* for messages */
    bool is_keras2;           /* written by Keras 1 or 2: hard_sigmoid is another function */
    size_t height, width;     /* asked for, or 0 */
    struct keras_layer root;
    size_t n_layers;          /* in the whole tree */
    struct graph_builder builder;
    struct keras_record *records;
    size_t n_records, record_capacity;
};

/* Build the tree of layers from the model's JSON, which must outlive it. */
FILTAGS_MUST_USE filtags_status keras_tree_create(struct keras_loader *loader, const config_value *model);

/* Number of outputs of one call: 1, or the outputs of a nested model. */
size_t keras_n_outputs(const struct keras_layer *layer);

/* The shape that a model's input declares, with the batch axis: a JSON array, or NULL. */
const config_value *keras_input_shape(const struct keras_layer *model);

/* Build the graph, its layer records included. */
FILTAGS_MUST_USE filtags_status keras_tree_build(struct keras_loader *loader);

/* Free the tree, the records and what is left of the graph. */
void keras_loader_destroy(struct keras_loader *loader);

#endif
