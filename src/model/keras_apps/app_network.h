/* app_network.h - a network of keras.applications while it is described, layer by layer, as Keras's own functions make
 * them. What comes out is the configuration that Keras would save, for the loader of Keras files to build. */
#ifndef FILTAGS_MODEL_KERAS_APPS_APP_NETWORK_H
#define FILTAGS_MODEL_KERAS_APPS_APP_NETWORK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "filtags.h"

enum { APP_MAX_INPUTS = 4 };

struct app_layer {
    char *name;
    const char *class_name;
    char *options;              /* members of the configuration, as JSON */
    int inputs[APP_MAX_INPUTS]; /* layers, made before this one */
    size_t n_inputs;
    bool is_numbered;           /* Keras made up its name */
};

/* Zero-initialise; free with app_network_free. */
struct app_network {
    struct app_layer *layers;  /* in the order in which they are made */
    size_t n_layers, capacity;
    const char *prefix;        /* put before given names; NULL: nothing */
    bool has_failed;           /* memory ran out: the network is worthless */
};

/* Every function below adds a layer and returns its number, which stands for its output. name: behind the prefix;
 * NULL: the name that Keras makes up (conv2d, conv2d_1, ...). Failure is remembered, see app_network_write. */

struct app_conv {
    size_t filters, kernel_h, kernel_w, stride;
    bool is_same;  /* padding 'same', else 'valid' */
    bool has_bias;
    bool has_relu; /* within the layer */
};

int app_input(struct app_network *network, size_t height, size_t width);
int app_conv(struct app_network *network, int input, const char *name, struct app_conv conv);
int app_batch_norm(struct app_network *network, int input, const char *name, const char *epsilon, bool has_scale);
int app_relu(struct app_network *network, int input, const char *name);
int app_zero_padding(struct app_network *network, int input, const char *name, size_t n_pixels);
int app_max_pool(struct app_network *network, int input, const char *name, size_t size, size_t stride);
int app_average_pool(struct app_network *network, int input, const char *name, size_t size); /* stride 1, 'same' */
int app_global_average_pool(struct app_network *network, int input, const char *name);
int app_flatten(struct app_network *network, int input, const char *name);
int app_dense(struct app_network *network, int input, const char *name, size_t units, const char *activation);
int app_add(struct app_network *network, int left, int right, const char *name);
int app_concat(struct app_network *network, const int *inputs, size_t n_inputs, const char *name);
/* shortcut + scale * branch */
int app_scaled_add(struct app_network *network, int shortcut, int branch, const char *scale);

/* Append the configuration (JSON) of the model from the first layer, its input, to the last one, its output, with the
 * layers in the order of Keras's model.layers. MEMORY: also where it ran out before. */
FILTAGS_MUST_USE filtags_status
app_network_write(const struct app_network *network, const char *name, struct buffer *json);

void app_network_free(struct app_network *network);

#endif
