/* Weights on their way from a file into an engine: dense kernels by rows, in threads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <hdf5.h>

#include "model/model_internal.h"
#include "temporary_folder.h"

/* A dense kernel of more than one block of rows, and of a number of columns that fills no panel; one that two nodes
 * share; a small one. */
enum { N_IN = 2500, N_MIDDLE = 1001, N_OUT = 7 };

static const char CONFIG[] =
    "{\"class_name\":\"Functional\",\"config\":{\"name\":\"f\",\"layers\":["
    "{\"class_name\":\"InputLayer\",\"name\":\"in\",\"config\":{\"name\":\"in\",\"batch_shape\":[null,1,1,%d]},"
    "\"inbound_nodes\":[]},"
    "{\"class_name\":\"Dense\",\"name\":\"big\",\"config\":{\"name\":\"big\",\"units\":%d,\"activation\":\"relu\"},"
    "\"inbound_nodes\":[[[\"in\",0,0,{}]]]},"
    "{\"class_name\":\"Dense\",\"name\":\"twice\",\"config\":{\"name\":\"twice\",\"units\":%d},"
    "\"inbound_nodes\":[[[\"big\",0,0,{}]],[[\"twice\",0,0,{}]]]},"
    "{\"class_name\":\"Dense\",\"name\":\"out\",\"config\":{\"name\":\"out\",\"units\":%d},"
    "\"inbound_nodes\":[[[\"twice\",1,0,{}]]]}],"
    "\"input_layers\":[[\"in\",0,0]],\"output_layers\":[[\"out\",0,0]]}}";

static char path[300];

static int begin(void **state) {
    if (make_folder(state)) return -1;
    snprintf(path, sizeof path, "%s/net.h5", folder);
    return 0;
}

/* ------------------------------------------------------------------ files */

static float value_at(size_t index) { return (float)((double)(index * 2654435761u % 1000003) / 1000003 - 0.5) / 16; }

static void write_text(hid_t object, const char *name, const char *text) {
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, H5T_VARIABLE);
    hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(attribute, type, &text) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

static void write_names(hid_t object, const char *name, const char *const *texts, hsize_t n) {
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, &n, NULL);
    H5Tset_size(type, H5T_VARIABLE);
    hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(attribute, type, texts) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

/* How values are stored. */
struct storage {
    hid_t type;
    bool is_packed; /* deflated, in chunks */
};

static void write_values(hid_t group, const char *name, const hsize_t *dim, int n_dims, struct storage storage) {
    const size_t n = dim[0] * (n_dims > 1 ? dim[1] : 1);
    const hsize_t chunk[2] = {dim[0] / 3 + 1, n_dims > 1 ? dim[1] : 0};
    float *values = malloc(n * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < n; i++) values[i] = value_at(i + dim[0]);
    hid_t space = H5Screate_simple(n_dims, dim, NULL), properties = H5Pcreate(H5P_DATASET_CREATE);
    if (storage.is_packed) {
        H5Pset_chunk(properties, n_dims, chunk);
        H5Pset_deflate(properties, 1);
    }
    hid_t dataset = H5Dcreate2(group, name, storage.type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    assert_true(H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(dataset);
    H5Pclose(properties);
    H5Sclose(space);
    free(values);
}

static void write_layer(hid_t weights, const char *name, size_t n_in, size_t n_out, struct storage storage) {
    static const char *const names[] = {"kernel:0", "bias:0"};
    hid_t group = H5Gcreate2(weights, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    write_names(group, "weight_names", names, n_in ? 2 : 0);
    if (n_in) {
        write_values(group, "kernel:0", (hsize_t[]){n_in, n_out}, 2, storage);
        write_values(group, "bias:0", (hsize_t[]){n_out}, 1, storage);
    }
    H5Gclose(group);
}

/* Write a whole-model file with so many units in the middle. */
static void write_model(size_t n_in, size_t n_middle, struct storage storage) {
    static const char *const layers[] = {"big", "twice", "out"};
    char config[2048];
    snprintf(config, sizeof config, CONFIG, (int)n_in, (int)n_middle, (int)n_middle, N_OUT);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    write_text(file, "model_config", config);
    write_text(file, "keras_version", "2.13.1");
    hid_t weights = H5Gcreate2(file, "model_weights", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    write_names(weights, "layer_names", layers, 3);
    write_layer(weights, "big", n_in, n_middle, storage);
    write_layer(weights, "twice", n_middle, n_middle, storage);
    write_layer(weights, "out", n_middle, N_OUT, storage);
    H5Gclose(weights);
    H5Fclose(file);
}

/* ------------------------------------------------------------------ engines */

static filtags_model *load_model(void) {
    filtags_model *model = NULL;
    if (filtags_model_load(path, 0, 0, &model)) fail_msg("%s", filtags_error_message());
    return model;
}

static filtags_engine *make_engine(filtags_model *model, size_t n_threads, bool is_reference) {
    filtags_engine *engine = NULL;
    const filtags_engine_options options = {
        .wants_output = true, .is_reference = is_reference, .max_batch = 1, .n_threads = n_threads};
    if (filtags_engine_create(model, &options, &engine)) fail_msg("%s", filtags_error_message());
    return engine;
}

static void run(filtags_engine *engine, float outputs[N_OUT]) {
    float picture[N_IN];
    filtags_worker *worker = NULL;
    int bad_layer;
    for (size_t i = 0; i < N_IN; i++) picture[i] = value_at(i) * 16;
    assert_int_equal(filtags_worker_create(engine, &worker), FILTAGS_OK);
    assert_int_equal(filtags_worker_run(worker, picture, 1, NULL, outputs, &bad_layer), FILTAGS_OK);
    assert_int_equal(bad_layer, -1);
    filtags_worker_destroy(worker);
    filtags_engine_destroy(engine);
}

/* What an engine gives that finds all weights in the graph already, so that nothing is read by rows. */
static void run_from_memory(float outputs[N_OUT], bool is_reference) {
    filtags_model *model = load_model();
    bool is_needed[16];
    memset(is_needed, true, sizeof is_needed);
    assert_true(model_graph(model)->n_nodes <= sizeof is_needed);
    if (model_read_weights(model, is_needed)) fail_msg("%s", filtags_error_message());
    run(make_engine(model, 1, is_reference), outputs);
    filtags_model_destroy(model);
}

/* ------------------------------------------------------------------ tests */

/* The same bits by rows and as a whole, by any number of threads, of any storage whose values are floats of 32 bits. */
static void by_rows(void **state) {
    (void)state;
    const struct storage storages[] = {{H5T_IEEE_F32LE, false}, {H5T_IEEE_F32BE, false}, {H5T_IEEE_F64LE, false},
                                       {H5T_IEEE_F32LE, true}};
    float expected[N_OUT], naive[N_OUT], outputs[N_OUT];
    write_model(N_IN, N_MIDDLE, storages[0]);
    run_from_memory(expected, false);
    run_from_memory(naive, true);
    for (size_t i = 0; i < N_OUT; i++) assert_true(expected[i] != 0 && fabsf(expected[i] - naive[i]) < 1e-6f);
    for (size_t s = 0; s < sizeof storages / sizeof *storages; s++) {
        write_model(N_IN, N_MIDDLE, storages[s]);
        filtags_model *model = load_model();
        for (size_t n_threads = 0; n_threads < 20; n_threads += n_threads < 4 ? 1 : 13) {
            run(make_engine(model, n_threads, false), outputs);
            assert_memory_equal(outputs, expected, sizeof outputs);
        }
        filtags_model_destroy(model);
    }
}

static void check_fails(filtags_model *model, size_t n_threads, filtags_status expected, const char *part) {
    filtags_engine *engine = NULL;
    const filtags_engine_options options = {.wants_output = true, .max_batch = 1, .n_threads = n_threads};
    assert_int_equal(filtags_engine_create(model, &options, &engine), expected);
    assert_null(engine);
    if (!strstr(filtags_error_message(), part) || !strstr(filtags_error_message(), path))
        fail_msg("'%s' is not in: %s", part, filtags_error_message());
}

/* The file changes between the loading of the model and that of its weights. */
static void changed_files(void **state) {
    (void)state;
    const struct storage plain = {H5T_IEEE_F32LE, false};
    for (size_t n_threads = 1; n_threads <= 3; n_threads++) {
        write_model(N_IN, N_MIDDLE, plain);
        filtags_model *model = load_model();
        write_model(N_IN, N_MIDDLE + 1, plain);
        check_fails(model, n_threads, FILTAGS_ERROR_DATA,
                    "data set 'model_weights/big/kernel:0' has changed since the model was loaded");
        assert_int_equal(truncate(path, 5000000), 0);
        check_fails(model, n_threads, FILTAGS_ERROR_FORMAT, "net.h5");
        remove(path);
        check_fails(model, n_threads, FILTAGS_ERROR_IO, "cannot be opened");
        filtags_model_destroy(model);
    }
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif

/* Most memory, in KiB, that a process of its own needs to make an engine of the file, or only to load the model. */
static long peak_kib(bool with_engine) {
    struct rusage usage;
    int status = 0;
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        filtags_model *model = load_model();
        if (with_engine) filtags_engine_destroy(make_engine(model, 2, false));
        filtags_model_destroy(model);
        _exit(0);
    }
    assert_true(pid > 0);
    assert_int_equal(wait4(pid, &status, 0, &usage), pid);
    assert_int_equal(status, 0);
    return usage.ru_maxrss;
}

/* A dense kernel is never there twice (but the one that two nodes share is packed for each). */
static void memory_of_a_large_kernel(void **state) {
    (void)state;
#ifdef HAS_SANITIZER
    skip();
#endif
    enum { N = 5000, WEIGHTS_KIB = (int)((long)N * N * 3 * 4 / 1024) };
    write_model(N, N, (struct storage){H5T_IEEE_F32LE, false});
    const long before = peak_kib(false), peak = peak_kib(true) - before;
    if (peak < WEIGHTS_KIB || peak > WEIGHTS_KIB * 10L / 9)
        fail_msg("%d KiB of weights expected in memory and no more than a ninth of that besides, got %ld", WEIGHTS_KIB,
                 peak);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_rows), cmocka_unit_test(changed_files),
                                       cmocka_unit_test(memory_of_a_large_kernel)};
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return cmocka_run_group_tests(tests, begin, remove_folder);
}
