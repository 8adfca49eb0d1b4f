/* minimal.c - which filters does one picture excite? The smallest useful program on libfiltags.
 *
 *     minimal MODEL PICTURE        (a Keras model, .h5 or .keras, that takes pixels of 0..255)
 *
 * Prints, for every Conv2D layer, the filter that the picture excites most. */
#include <filtags.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const char *what) {
    fprintf(stderr, "minimal: %s: %s\n", what, filtags_error_message());
    return EXIT_FAILURE;
}

/* Collect the Conv2D layers. Returns their number. */
static size_t find_conv_layers(const filtags_model *model, size_t *layers) {
    size_t n = 0;
    for (size_t i = 0; i < filtags_model_n_layers(model); i++) {
        if (filtags_model_layer(model, i)->n_filters > 0) layers[n++] = i;
    }
    return n;
}

static void print_strongest(const filtags_model *model, const size_t *layers, size_t n_layers,
                            const filtags_activation *row) {
    for (size_t i = 0; i < n_layers; i++) {
        const filtags_layer *layer = filtags_model_layer(model, layers[i]);
        size_t strongest = 0;
        for (size_t f = 1; f < layer->n_filters; f++) {
            if (row[f] > row[strongest]) strongest = f;
        }
        printf("%-24s filter %4zu of %4zu  activation %.4f\n", layer->name, strongest, layer->n_filters,
               row[strongest] / (double)FILTAGS_ACTIVATION_ONE);
        row += layer->n_filters;
    }
}

int main(int argc, char **argv) {
    filtags_model *model = NULL;
    filtags_engine *engine = NULL;
    filtags_worker *worker = NULL;
    size_t shape[3]; /* height, width, channels */
    int bad_layer;
    if (argc != 3) {
        fprintf(stderr, "usage: minimal MODEL PICTURE\n");
        return 2;
    }
    if (filtags_model_load(argv[1], 0, 0, &model)) return fail("model");
    filtags_model_input_shape(model, shape);
    size_t *layers = malloc(filtags_model_n_layers(model) * sizeof *layers);
    float *pixels = malloc(shape[0] * shape[1] * shape[2] * sizeof *pixels); /* [h, w, c] */
    if (!layers || !pixels) return EXIT_FAILURE;

    filtags_engine_options options = {.layers = layers, .n_layers = find_conv_layers(model, layers), .max_batch = 1};
    if (filtags_engine_create(model, &options, &engine)) return fail("engine");
    if (filtags_worker_create(engine, &worker)) return fail("worker");
    if (filtags_image_load(argv[2], shape[0], shape[1], shape[2], FILTAGS_PREPROCESS_NONE, pixels))
        return fail("picture");

    filtags_activation *row = malloc(filtags_engine_n_filters(engine) * sizeof *row);
    if (!row) return EXIT_FAILURE;
    if (filtags_worker_run(worker, pixels, 1, row, NULL, &bad_layer)) return fail("network");
    print_strongest(model, layers, options.n_layers, row);

    free(row);
    free(pixels);
    free(layers);
    filtags_worker_destroy(worker);
    filtags_engine_destroy(engine);
    filtags_model_destroy(model);
    return EXIT_SUCCESS;
}
