/* Feature maps out of the engine: the fast engine's against the naive one's, and against the activations that come with
 * them. */
#include "engine_network.h"

static const struct padding NO_PADDING = {0, 0, 0, 0};
static const struct padding ONE = {1, 1, 1, 1};

enum { N_IMAGES = 3 };

/* Every map of every tapped layer of some pictures. */
struct all_maps {
    size_t layers[MAX_NODES], n_layers;
    filtags_map *maps; /* [n_maps] image by image, tap by tap, filter by filter */
    size_t n_maps;
    size_t *n_pixels;  /* [n_maps] */
    float *values;
    filtags_activation *activations; /* [N_IMAGES, n_filters] */
    size_t n_filters;
    int bad_layers[N_IMAGES];
};

static const struct shape *layer_shape(const struct network *network, size_t layer) {
    const struct graph *graph = &network->model.graph;
    return &graph->nodes[graph->layers[layer].output_node].shape;
}

/* List all maps of n_images pictures, the filters of a layer backwards. */
static void list_maps(struct all_maps *all, const struct network *network, size_t n_images) {
    size_t n_values = 0;
    all->n_maps = 0;
    for (size_t t = 0; t < all->n_layers; t++) {
        all->n_maps += layer_shape(network, all->layers[t])->dim[2];
        n_values += shape_count(layer_shape(network, all->layers[t]));
    }
    all->n_filters = all->n_maps;
    all->n_maps *= n_images;
    all->maps = calloc(all->n_maps, sizeof *all->maps);
    all->n_pixels = calloc(all->n_maps, sizeof *all->n_pixels);
    all->values = malloc(n_images * n_values * sizeof *all->values);
    float *values = all->values;
    size_t i = 0;
    for (size_t image = 0; image < n_images; image++)
        for (size_t t = 0; t < all->n_layers; t++) {
            const struct shape *shape = layer_shape(network, all->layers[t]);
            for (size_t f = 0; f < shape->dim[2]; f++, i++) {
                all->maps[i] = (filtags_map){image, t, shape->dim[2] - 1 - f, values, NAN, NAN};
                all->n_pixels[i] = shape->dim[0] * shape->dim[1];
                values += all->n_pixels[i];
            }
        }
}

static struct all_maps run_maps(struct network *network, const float *images, size_t batch, bool is_reference) {
    struct all_maps all = {0};
    all.n_layers = network_layers(network, all.layers);
    list_maps(&all, network, N_IMAGES);
    all.activations = calloc(N_IMAGES * all.n_filters, sizeof *all.activations);
    filtags_engine *engine = network_engine(network, (filtags_engine_options){
        .layers = all.layers, .n_layers = all.n_layers, .wants_maps = true, .is_reference = is_reference,
        .max_batch = batch});
    filtags_worker *worker = NULL;
    assert_int_equal(filtags_worker_create(engine, &worker), FILTAGS_OK);
    const size_t n_inputs = shape_count(layer_shape(network, 0));
    for (size_t first = 0; first < N_IMAGES; first += batch) {
        const size_t n = N_IMAGES - first < batch ? N_IMAGES - first : batch;
        filtags_map *maps = all.maps + first * all.n_filters;
        for (size_t i = 0; i < n * all.n_filters; i++) maps[i].image -= first;
        filtags_status status =
            filtags_worker_run_maps(worker, images + first * n_inputs, n, all.activations + first * all.n_filters, NULL,
                                    all.bad_layers + first, maps, n * all.n_filters);
        if (status != FILTAGS_OK) fail_msg("%s", filtags_error_message());
        for (size_t i = 0; i < n * all.n_filters; i++) maps[i].image += first;
    }
    filtags_worker_destroy(worker);
    filtags_engine_destroy(engine);
    return all;
}

static void all_maps_free(struct all_maps *all) {
    free(all->maps);
    free(all->n_pixels);
    free(all->values);
    free(all->activations);
}

/* A map's mean, scaled by its layer's range, is its filter's activation. */
static void check_activations(const struct all_maps *all, const struct network *network) {
    size_t first = 0, i = 0;
    for (size_t image = 0; image < N_IMAGES; image++, first = 0)
        for (size_t t = 0; t < all->n_layers; t++) {
            const size_t n_filters = layer_shape(network, all->layers[t])->dim[2];
            for (size_t f = 0; f < n_filters; f++, i++) {
                const filtags_map *map = &all->maps[i];
                double sum = 0;
                for (size_t p = 0; p < all->n_pixels[i]; p++) {
                    assert_true(map->values[p] >= map->low && map->values[p] <= map->high);
                    sum += (double)map->values[p];
                }
                const double size = (double)map->high - (double)map->low;
                const double expected =
                    size > 0 ? (sum / (double)all->n_pixels[i] - (double)map->low) / size : 0;
                const filtags_activation found = all->activations[image * all->n_filters + first + map->filter];
                assert_true(fabs(expected - found / (double)FILTAGS_ACTIVATION_ONE) < 1e-8);
            }
            first += n_filters;
        }
}

static void check_equal(const struct all_maps *a, const struct all_maps *b, double tolerance) {
    assert_int_equal(a->n_maps, b->n_maps);
    for (size_t i = 0; i < a->n_maps; i++) {
        const double room = tolerance * (1e-6 + (double)b->maps[i].high - (double)b->maps[i].low);
        assert_true(fabs((double)a->maps[i].low - (double)b->maps[i].low) <= room);
        assert_true(fabs((double)a->maps[i].high - (double)b->maps[i].high) <= room);
        for (size_t p = 0; p < a->n_pixels[i]; p++) {
            const double difference = fabs((double)a->maps[i].values[p] - (double)b->maps[i].values[p]);
            if (!(difference <= room)) fail_msg("map %zu, pixel %zu: differs by %g", i, p, difference);
        }
    }
}

static void check_maps(struct network *network) {
    float *images = random_values(&network->random, N_IMAGES * shape_count(layer_shape(network, 0)), 1.5f, 0.1f);
    struct all_maps naive = run_maps(network, images, 1, true), single = run_maps(network, images, 1, false);
    struct all_maps batch = run_maps(network, images, N_IMAGES, false);
    struct all_maps naive_batch = run_maps(network, images, 2, true);
    check_activations(&single, network);
    check_activations(&naive, network);
    check_equal(&single, &naive, 2e-5);
    check_equal(&batch, &single, 0);
    check_equal(&naive_batch, &naive, 0);
    struct result plain = network_result(network, images, N_IMAGES, N_IMAGES, (filtags_engine_options){0});
    assert_memory_equal(plain.activations, batch.activations, N_IMAGES * batch.n_filters * sizeof *batch.activations);
    result_free(&plain);
    all_maps_free(&naive);
    all_maps_free(&single);
    all_maps_free(&batch);
    all_maps_free(&naive_batch);
    free(images);
}

/* Give a layer's record the output of a later node, as Keras's fused activation has it: two layers with one output. */
static void fuse(struct network *network, int layer, int output) {
    network->model.graph.layers[layer].output_node = output;
}

static void fused_activation(void **state) {
    (void)state;
    struct network network;
    const int input = network_start(&network, 3, shape_3(19, 23, 3));
    const int conv = add_conv(&network, input, window_of(3, 3, 1, 1, ONE), 1, 24, true);
    fuse(&network, conv, add_relu(&network, conv));
    const int relu = (int)network.model.graph.n_nodes - 1;
    const int conv_2 = add_conv(&network, relu, window_of(3, 3, 2, 1, ONE), 1, 70, true);
    fuse(&network, conv_2, add_relu(&network, conv_2));
    check_maps(&network);
    network_free(&network);
}

/* Batch normalization and ReLU write over what the tap has read. */
static void followed_in_place(void **state) {
    (void)state;
    struct network network;
    int node = network_start(&network, 4, shape_3(21, 18, 3));
    const int shortcut = node = add_conv(&network, node, window_of(3, 3, 1, 1, ONE), 1, 33, true);
    node = add_relu(&network, add_batch_norm(&network, node));
    node = add_batch_norm(&network, add_conv(&network, node, window_of(1, 1, 1, 1, NO_PADDING), 1, 33, false));
    node = add_plain(&network, OP_ADD, *network_shape(&network, node), (int[]){node, shortcut}, 2);
    add_relu(&network, node);
    check_maps(&network);
    network_free(&network);
}

/* A layer that is called twice has a record and a node for each call; the weights are the same. */
static void called_twice(void **state) {
    (void)state;
    struct network network;
    const int input = network_start(&network, 5, shape_3(11, 9, 16));
    const int first = add_conv(&network, input, window_of(3, 3, 1, 1, ONE), 1, 16, true);
    const int relu = add_relu(&network, first);
    struct node again = plain_node(OP_CONV, *network_shape(&network, first));
    again.window = network.model.graph.nodes[first].window;
    again.kernel = network.model.graph.nodes[first].kernel;
    again.bias = network.model.graph.nodes[first].bias;
    add_relu(&network, add_node(&network, again, &relu, 1));
    check_maps(&network);
    network_free(&network);
}

static void maps_of_one_pixel(void **state) {
    (void)state;
    struct network network;
    int node = network_start(&network, 6, shape_3(5, 4, 7));
    node = add_relu(&network, add_conv(&network, node, window_of(5, 4, 1, 1, NO_PADDING), 1, 40, true));
    add_batch_norm(&network, add_conv(&network, node, window_of(1, 1, 1, 1, NO_PADDING), 1, 3, true));
    check_maps(&network);
    network_free(&network);
}

/* Long enough for many strips, in which a map is put together. */
static void large_maps(void **state) {
    (void)state;
    struct network network;
    int node = network_start(&network, 7, shape_3(97, 83, 3));
    node = add_relu(&network, add_conv(&network, node, window_of(3, 3, 1, 1, ONE), 1, 20, true));
    node = add_pool(&network, node, OP_MAX_POOL, window_of(2, 2, 2, 1, NO_PADDING));
    add_conv(&network, node, window_of(3, 3, 1, 1, ONE), 4, 8, true); /* in groups */
    check_maps(&network);
    network_free(&network);
}

static void check_usage(filtags_worker *worker, filtags_map *maps, size_t n_maps, const char *part) {
    const float images[2 * 32] = {0};
    filtags_activation row[2 * 2];
    int bad_layers[2];
    assert_int_equal(filtags_worker_run_maps(worker, images, 2, row, NULL, bad_layers, maps, n_maps),
                     FILTAGS_ERROR_USAGE);
    if (!strstr(filtags_error_message(), part)) fail_msg("'%s' is not in: %s", part, filtags_error_message());
}

static void wrong_calls(void **state) {
    (void)state;
    struct network network;
    network_start(&network, 1, shape_3(4, 4, 2));
    const size_t layer = 0;
    filtags_engine_options options = {.layers = &layer, .n_layers = 1, .wants_maps = true, .max_batch = 2};
    filtags_engine *engine = network_engine(&network, options);
    filtags_worker *worker = NULL;
    float values[16];
    assert_int_equal(filtags_worker_create(engine, &worker), FILTAGS_OK);
    check_usage(worker, (filtags_map[]){{.image = 2, .values = values}}, 1, "picture 2");
    check_usage(worker, (filtags_map[]){{.tap = 1, .values = values}}, 1, "tap 1");
    check_usage(worker, (filtags_map[]){{.filter = 2, .values = values}}, 1, "filter 2");
    check_usage(worker, (filtags_map[]){{.image = 1, .values = values}, {.image = 0, .values = values}}, 2, "map 1");
    filtags_worker_destroy(worker);
    filtags_engine_destroy(engine);
    options.wants_maps = false;
    engine = network_engine(&network, options);
    assert_int_equal(filtags_worker_create(engine, &worker), FILTAGS_OK);
    check_usage(worker, (filtags_map[]){{.values = values}}, 1, "without wants_maps");
    filtags_worker_destroy(worker);
    filtags_engine_destroy(engine);
    network_free(&network);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(fused_activation),  cmocka_unit_test(followed_in_place),
                                       cmocka_unit_test(called_twice),      cmocka_unit_test(maps_of_one_pixel),
                                       cmocka_unit_test(large_maps),        cmocka_unit_test(wrong_calls)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
