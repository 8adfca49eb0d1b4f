/* keras_weights.h - which data set of the weight file belongs to which variable. */
#ifndef FILTAGS_MODEL_KERAS_WEIGHTS_H
#define FILTAGS_MODEL_KERAS_WEIGHTS_H

#include "model/keras_model.h"
#include "model/weights_hdf5.h"

/* Where the values of one of the graph's weights come from (the path is the weight's key). */
struct weight_source {
    size_t n_dims; /* shape in the file; a dimension of 1, or none, is repeated as the operator needs it */
    size_t dim[GRAPH_MAX_DIMS];
    float minimum; /* smaller values are raised to it, unless it is 0 */
};

/* How weights lie in an HDF5 file. */
enum weight_layout {
    WEIGHTS_LEGACY, /* weights alone by Keras 1 and 2: an ordered list of layers, each with one of its weights */
    WEIGHTS_WHOLE_MODEL, /* a whole-model .h5: the same, in its group model_weights */
    WEIGHTS_KERAS3, /* .weights.h5, also the one in a .keras file: by class name and position */
};

/* Tell the layout. FORMAT: none of them. file_name is for the message. */
FILTAGS_MUST_USE filtags_status
keras_find_layout(const char *file_name, struct hdf5_file *file, enum weight_layout *layout);

/* Bind all variables: the legacy layouts layer by layer in the file's order, as Keras does. sources [graph's n_weights]
 * and the keys of the graph's weights are filled in. FORMAT: a weight is missing; DATA: it has another shape (layer,
 * expected, found). */
FILTAGS_MUST_USE filtags_status keras_bind(struct keras_loader *loader, struct hdf5_file *file,
                                           enum weight_layout layout, struct weight_source *sources);

/* Find the number of outputs of the last dense layer in the file, by its bias; *n_outputs stays as it is where that
 * isn't where it should be. */
FILTAGS_MUST_USE filtags_status
keras_find_n_outputs(struct hdf5_file *file, enum weight_layout layout, size_t *n_outputs);

/* Number of values in all variables, those that no operator needs included. */
uint64_t keras_n_parameters(const struct keras_layer *layer);

#endif
