/* keras_links.h - who calls whom: inbound_nodes, input_layers and output_layers in the dialects of Keras 2 and 3. */
#ifndef FILTAGS_MODEL_KERAS_LINKS_H
#define FILTAGS_MODEL_KERAS_LINKS_H

#include "model/keras_model.h"

/* Fill in the calls of a model's children and the model's inputs and outputs; the children are known, and those
 * that are models have been linked. */
FILTAGS_MUST_USE filtags_status keras_link(const struct keras_loader *loader, struct keras_layer *model);

#endif
