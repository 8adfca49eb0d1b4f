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

/* Bind all variables to a whole-model .h5 file: layer by layer in the file's order, as Keras does. sources
 * [graph's n_weights] and the keys of the graph's weights are filled in. FORMAT: a weight is missing; DATA: it has
 * another shape (layer, expected, found). */
FILTAGS_MUST_USE filtags_status
keras_bind_legacy(struct keras_loader *loader, struct hdf5_file *file, struct weight_source *sources);

/* Bind all variables to the model.weights.h5 of a .keras file: by class name and position. */
FILTAGS_MUST_USE filtags_status
keras_bind_archive(struct keras_loader *loader, struct hdf5_file *file, struct weight_source *sources);

/* Number of values in all variables, those that no operator needs included. */
uint64_t keras_n_parameters(const struct keras_layer *layer);

#endif
