/* Both engines against Keras: every model in tests/parity/layers, on the pictures for which goldens.h5 has Keras's
 * output. And all instruction sets against one another. */
#include <sys/wait.h>
#include <unistd.h>

#include "engine_network.h"
#include "model/weights_hdf5.h"

static const double TOLERANCE = 1e-5; /* of the largest output */

static const char *layers_path(const char *name) {
    static char path[4096];
    const char *folder = getenv("FILTAGS_TEST_DATA");
    snprintf(path, sizeof path, "%s/parity/layers/%s", folder ? folder : "tests", name);
    return path;
}

/* The model of a group of the goldens: GROUP.keras or GROUP.h5. */
static filtags_model *load_model(const char *group) {
    static const char *const endings[] = {"keras", "h5"};
    filtags_model *model = NULL;
    for (size_t i = 0; i < 2 && !model; i++) {
        char name[300];
        snprintf(name, sizeof name, "%s.%s", group, endings[i]);
        if (access(layers_path(name), R_OK)) continue;
        if (filtags_model_load(layers_path(name), 0, 0, &model) != FILTAGS_OK) fail_msg("%s", filtags_error_message());
    }
    if (!model) fail_msg("goldens.h5: '%s' has no model beside it", group);
    return model;
}

static float *read_values(struct hdf5_file *file, const struct hdf5_dataset *dataset, size_t *n) {
    *n = 1;
    for (size_t i = 0; i < dataset->n_dims; i++) *n *= dataset->dim[i];
    float *values = calloc(*n, sizeof *values);
    assert_non_null(values);
    assert_int_equal(hdf5_read_floats(file, dataset->path, dataset->dim, dataset->n_dims, values), FILTAGS_OK);
    return values;
}

/* One golden by one engine. Returns the largest error, relative to the largest output. */
static double golden_error(const char *group, const float *images, size_t n_images, size_t n_inputs,
                           const float *expected, size_t n_expected, bool is_reference) {
    filtags_model *model = load_model(group);
    const struct graph *graph = model_graph(model);
    const size_t n_outputs = shape_count(&graph->nodes[graph->output_node].shape);
    assert_int_equal(n_outputs * n_images, n_expected);
    assert_int_equal(shape_count(&graph->nodes[graph->input_node].shape) * n_images, n_inputs);
    const filtags_engine_options options = {.wants_output = true, .is_reference = is_reference, .max_batch = n_images};
    filtags_engine *engine = NULL;
    filtags_worker *worker = NULL;
    float *outputs = calloc(n_expected, sizeof *outputs);
    int bad_layers[8];
    if (filtags_engine_create(model, &options, &engine) != FILTAGS_OK)
        fail_msg("%s: %s", group, filtags_error_message());
    assert_int_equal(filtags_worker_create(engine, &worker), FILTAGS_OK);
    assert_int_equal(filtags_worker_run(worker, images, n_images, NULL, outputs, bad_layers), FILTAGS_OK);
    double error = 0, largest = 1e-30;
    for (size_t i = 0; i < n_expected; i++) {
        largest = fmax(largest, fabs((double)expected[i]));
        error = fmax(error, isfinite(outputs[i]) ? fabs((double)outputs[i] - (double)expected[i]) : INFINITY);
    }
    free(outputs);
    filtags_worker_destroy(worker);
    filtags_engine_destroy(engine);
    filtags_model_destroy(model);
    return error / largest;
}

static void keras_goldens(void **state) {
    (void)state;
    struct hdf5_file *file = NULL;
    struct hdf5_table table = {0};
    static const char *const everything[] = {""};
    size_t n_goldens = 0, n_bad = 0;
    assert_int_equal(hdf5_open(layers_path("goldens.h5"), &file), FILTAGS_OK);
    assert_int_equal(hdf5_list(file, everything, 1, &table), FILTAGS_OK);
    for (size_t i = 0; i < table.n_datasets; i++) {
        char group[256], key[300];
        const char *slash = strrchr(table.datasets[i].key, '/');
        if (!slash || strcmp(slash, "/input") != 0) continue;
        snprintf(group, sizeof group, "%.*s", (int)(slash - table.datasets[i].key), table.datasets[i].key);
        snprintf(key, sizeof key, "%s/output", group);
        const struct hdf5_dataset *output = hdf5_find(&table, key);
        assert_non_null(output);
        size_t n_inputs, n_expected;
        const size_t n_images = table.datasets[i].dim[0];
        assert_in_range(n_images, 1, 8);
        float *images = read_values(file, &table.datasets[i], &n_inputs),
              *expected = read_values(file, output, &n_expected);
        for (int is_reference = 0; is_reference < 2; is_reference++) {
            const double error = golden_error(group, images, n_images, n_inputs, expected, n_expected, is_reference);
            if (error <= TOLERANCE) continue;
            n_bad++;
            print_error("%s, %s engine: differs from Keras by %g of the largest output\n", group,
                        is_reference ? "naive" : "fast", error);
        }
        n_goldens++;
        free(images);
        free(expected);
    }
    hdf5_table_free(&table);
    hdf5_close(file);
    print_message("%zu goldens\n", n_goldens);
    assert_true(n_goldens > 100);
    assert_int_equal(n_bad, 0);
}

/* ------------------------------------------------------------------ instruction sets */

static void mixed_network(struct network *network) {
    int node = network_start(network, 9, shape_3(33, 29, 3));
    const struct padding one = {1, 1, 1, 1}, none = {0, 0, 0, 0};
    node = add_relu(network, add_conv(network, node, window_of(3, 3, 1, 1, one), 1, 24, true));
    node = add_batch_norm(network, add_conv(network, node, window_of(3, 3, 2, 1, one), 1, 40, true));
    node = add_activation(network, node, (struct activation){.kind = ACT_SILU});
    node = add_relu(network, add_conv(network, node, window_of(3, 3, 1, 1, one), 1, 48, false)); /* Winograd's kinds */
    node = add_conv(network, node, window_of(1, 7, 1, 1, (struct padding){0, 0, 3, 3}), 1, 33, true);
    node = add_conv(network, node, window_of(7, 1, 1, 1, (struct padding){3, 3, 0, 0}), 1, 34, true);
    node = add_conv(network, node, window_of(5, 5, 1, 1, (struct padding){2, 2, 2, 2}), 1, 70, true);
    node = add_conv(network, node, window_of(1, 1, 1, 1, none), 1, 40, true);
    node = add_relu(network, add_batch_norm(network, node));
    node = add_conv(network, node, window_of(3, 3, 1, 1, one), 40, 40, true); /* depthwise */
    node = add_conv(network, node, window_of(3, 3, 1, 1, one), 5, 80, true);  /* groups of odd size */
    node = add_pool(network, node, OP_MAX_POOL, window_of(3, 3, 2, 1, one));
    node = add_plain(network, OP_GLOBAL_AVG_POOL, shape_1(80), &node, 1);
    node = add_dense(network, node, 50, true);
    add_plain(network, OP_SOFTMAX, shape_1(50), &node, 1);
}

/* Run the network on one instruction set and write the result to a pipe: one process can use only one. Exit status
 * 0: done, 3: the processor lacks it. */
static void run_child(filtags_isa isa, int pipe_end) {
    struct network network;
    size_t layers[MAX_NODES];
    mixed_network(&network);
    float *images = random_values(&network.random, 2 * 33 * 29 * 3, 1, 0);
    filtags_engine_options options = {.layers = layers, .wants_output = true, .isa = isa, .max_batch = 2};
    options.n_layers = network_layers(&network, layers);
    for (size_t i = 0; i < network.model.graph.n_weights; i++) {
        const struct weight *weight = &network.model.graph.weights[i];
        size_t n = 1;
        for (size_t d = 0; d < weight->n_dims; d++) n *= weight->dim[d];
        network.model.graph.weights[i].values = malloc(n * sizeof(float));
        memcpy(network.model.graph.weights[i].values, network.values[i], n * sizeof(float));
    }
    filtags_engine *engine = NULL;
    const filtags_status status = filtags_engine_create(&network.model, &options, &engine);
    if (status != FILTAGS_OK) _exit(status == FILTAGS_ERROR_UNSUPPORTED ? 3 : 1);
    struct result result = engine_result(engine, &network, images, 2, 2, true);
    const size_t activations_bytes = 2 * result.n_filters * sizeof *result.activations;
    const size_t outputs_bytes = 2 * result.n_outputs * sizeof *result.outputs;
    const bool is_written = write(pipe_end, result.activations, activations_bytes) == (ssize_t)activations_bytes &&
                            write(pipe_end, result.outputs, outputs_bytes) == (ssize_t)outputs_bytes;
    options.isa = isa == FILTAGS_ISA_PORTABLE ? FILTAGS_ISA_AVX2 : FILTAGS_ISA_PORTABLE; /* another one afterwards */
    filtags_engine *second = NULL;
    const filtags_status refusal = filtags_engine_create(&network.model, &options, &second);
    _exit(is_written && (refusal == FILTAGS_ERROR_USAGE || refusal == FILTAGS_ERROR_UNSUPPORTED) ? 0 : 1);
}

static ssize_t read_all(int pipe_end, void *to, size_t size_bytes) {
    size_t n_read = 0;
    for (ssize_t n = 1; n > 0 && n_read < size_bytes; n_read += n > 0 ? (size_t)n : 0)
        n = read(pipe_end, (char *)to + n_read, size_bytes - n_read);
    return (ssize_t)n_read;
}

static void instruction_sets(void **state) {
    (void)state;
    struct network network;
    mixed_network(&network);
    float *images = random_values(&network.random, 2 * 33 * 29 * 3, 1, 0);
    struct result naive = network_result(&network, images, 2, 2,
                                         (filtags_engine_options){.wants_output = true, .is_reference = true});
    for (filtags_isa isa = FILTAGS_ISA_PORTABLE; isa <= FILTAGS_ISA_AVX512; isa++) {
        int ends[2], exit_status;
        assert_int_equal(pipe(ends), 0);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) run_child(isa, ends[1]);
        close(ends[1]);
        struct result result = naive;
        result.activations = calloc(2 * naive.n_filters, sizeof *result.activations);
        result.outputs = calloc(2 * naive.n_outputs, sizeof *result.outputs);
        const ssize_t n_read = read_all(ends[0], result.activations, 2 * naive.n_filters * sizeof *result.activations) +
                               read_all(ends[0], result.outputs, 2 * naive.n_outputs * sizeof *result.outputs);
        close(ends[0]);
        assert_int_equal(waitpid(child, &exit_status, 0), child);
        assert_true(WIFEXITED(exit_status));
        if (WEXITSTATUS(exit_status) == 3) {
            print_message("instruction set %d: not on this processor\n", (int)isa);
        } else {
            assert_int_equal(WEXITSTATUS(exit_status), 0);
            assert_int_equal(n_read, 2 * naive.n_filters * sizeof *result.activations +
                                         2 * naive.n_outputs * sizeof *result.outputs);
            const double difference = result_difference(&result, &naive);
            if (!(difference < TOLERANCE)) fail_msg("instruction set %d: differs by %g", (int)isa, difference);
        }
        free(result.activations);
        free(result.outputs);
    }
    result_free(&naive);
    free(images);
    network_free(&network);
}

int main(void) {
    /* the instruction sets first: their processes must not inherit an engine's */
    const struct CMUnitTest tests[] = {cmocka_unit_test(instruction_sets), cmocka_unit_test(keras_goldens)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
