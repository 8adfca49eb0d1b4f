/* The networks known by name: their layers against Keras's, what they compute against Keras with weights by formula,
 * and their weight files.
 *
 * The formulas of weights and pictures are those of tools/make_network_goldens.py, where they are explained. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <hdf5.h>
#include <zip.h>

#include "base/file.h"
#include "filtags.h"
#include "model/model_internal.h"

enum { N_CLASSES = 10, N_CHECKS = 9, MAX_LAYERS = 1000 };

static const double TOLERANCE = 1e-4;

static const char *data_path(const char *name) {
    static char path[4096];
    const char *folder = getenv("FILTAGS_TEST_DATA");
    snprintf(path, sizeof path, "%s/parity/%s", folder ? folder : "tests", name);
    return path;
}

static filtags_model *create(const char *network, size_t n_classes, const char *weights) {
    filtags_model *model = NULL;
    if (filtags_model_create_network(network, n_classes, weights, &model)) fail_msg("%s", filtags_error_message());
    return model;
}

static void expect_error(const char *network, size_t n_classes, const char *weights, filtags_status expected,
                         const char *part) {
    filtags_model *model = NULL;
    const filtags_status status = filtags_model_create_network(network, n_classes, weights, &model);
    if (status == FILTAGS_OK) fail_msg("no error: %s expected", part);
    if (!strstr(filtags_error_message(), part)) fail_msg("'%s' is not in: %s", part, filtags_error_message());
    assert_int_equal(status, expected);
    assert_null(model);
}

/* ------------------------------------------------------------------ layers */

static void check_layer(const char *network, const filtags_layer *layer, const config_value *expected) {
    long long number = -1;
    const config_value *shape = config_member(expected, "output_shape");
    const bool is_text_equal = strcmp(layer->name, config_text(config_member(expected, "name"))) == 0 &&
                               strcmp(layer->class_name, config_text(config_member(expected, "class"))) == 0;
    if (!is_text_equal || !config_integer(config_member(expected, "index"), &number) || layer->index != (size_t)number)
        fail_msg("%s: layer %zu is %s (%s)", network, layer->index, layer->name, layer->class_name);
    assert_int_equal(config_count(shape), layer->n_dims + 1);
    for (size_t i = 0; i < layer->n_dims; i++) {
        assert_true(config_integer(config_item(shape, i + 1), &number));
        if (layer->shape[i] != (size_t)number)
            fail_msg("%s: layer %s: dimension %zu is %zu", network, layer->name, i, layer->shape[i]);
    }
    number = 0;
    config_integer(config_member(expected, "filters"), &number);
    assert_int_equal(layer->n_filters, number);
}

static void layer_lists(void **state) {
    (void)state;
    size_t n_networks;
    const filtags_network *networks = filtags_networks(&n_networks);
    assert_int_equal(n_networks, 10);
    for (size_t n = 0; n < n_networks; n++) {
        char name[100];
        struct buffer text = {0};
        config_value *expected = NULL;
        snprintf(name, sizeof name, "reference/layers/%s.json", networks[n].name);
        assert_int_equal(file_read(data_path(name), 1 << 20, &text), FILTAGS_OK);
        assert_int_equal(config_parse(name, text.data, text.size_bytes, &expected), FILTAGS_OK);
        filtags_model *model = create(networks[n].name, 0, NULL);
        assert_int_equal(filtags_model_n_layers(model), config_count(expected));
        for (size_t i = 0; i < filtags_model_n_layers(model); i++)
            check_layer(networks[n].name, filtags_model_layer(model, i), config_item(expected, i));
        assert_int_equal(filtags_model_n_outputs(model), 1000);
        config_destroy(expected);
        buffer_free(&text);
        filtags_model_destroy(model);
    }
}

static void parameters(void **state) {
    (void)state;
    static const struct { const char *name; uint64_t n; } EXPECTED[] = { /* Keras's count_params */
        {"VGG16", 138357544},      {"VGG19", 143667240},     {"InceptionV3", 23851784}, {"ResNet50", 25636712},
        {"ResNet101", 44707176},   {"ResNet152", 60419944},  {"ResNet50V2", 25613800},  {"ResNet101V2", 44675560},
        {"ResNet152V2", 60380648}, {"InceptionResNetV2", 55873736},
    };
    for (size_t i = 0; i < 10; i++) {
        filtags_model *model = create(EXPECTED[i].name, 1000, NULL);
        assert_int_equal(filtags_model_n_parameters(model), EXPECTED[i].n);
        filtags_model_destroy(model);
    }
}

/* The difference between 1.001e-5 and 1e-5 is too small to be seen in the results. */
static void epsilons(void **state) {
    (void)state;
    size_t n_networks;
    const filtags_network *networks = filtags_networks(&n_networks);
    for (size_t i = 0; i < n_networks; i++) {
        filtags_model *model = create(networks[i].name, 0, NULL);
        const struct graph *graph = model_graph(model);
        for (size_t k = 0; k < graph->n_nodes; k++) {
            if (graph->nodes[k].op != OP_SCALE_SHIFT || graph->nodes[k].variance == GRAPH_NO_WEIGHT) continue;
            assert_true(graph->nodes[k].epsilon == (strstr(networks[i].name, "ResNet") == networks[i].name ? 1.001e-5
                                                                                                            : 1e-3));
        }
        filtags_model_destroy(model);
    }
}

static void network_table(void **state) {
    (void)state;
    size_t n_networks;
    const filtags_network *networks = filtags_networks(&n_networks);
    for (size_t i = 0; i < n_networks; i++) {
        assert_ptr_equal(filtags_network_find(networks[i].name), &networks[i]);
        assert_int_equal(strlen(networks[i].weights_md5), 32);
        assert_int_equal(strspn(networks[i].weights_md5, "0123456789abcdef"), 32);
        assert_non_null(strstr(networks[i].weights_file, "_weights_tf_dim_ordering_tf_kernels.h5"));
        assert_int_equal(networks[i].weights_url[strlen(networks[i].weights_url) - 1], '/');
        for (size_t k = 0; k < i; k++) assert_string_not_equal(networks[i].weights_md5, networks[k].weights_md5);
    }
    assert_string_equal(filtags_network_find("resnet50v2")->name, "ResNet50V2");
    assert_null(filtags_network_find("ResNet5"));
    expect_error("AlexNet", 0, NULL, FILTAGS_ERROR_USAGE,
                 "'AlexNet': one of VGG16, VGG19, InceptionV3, ResNet50, ResNet101");
    expect_error("VGG16", (size_t)1 << 40, NULL, FILTAGS_ERROR_USAGE, "classes expected, got 1099511627776");

    filtags_model *model = create("VGG16", 7, NULL); /* an architecture alone */
    const filtags_engine_options options = {.wants_output = true, .max_batch = 1};
    filtags_engine *engine = NULL;
    assert_int_equal(filtags_model_n_outputs(model), 7);
    assert_int_equal(filtags_engine_create(model, &options, &engine), FILTAGS_ERROR_USAGE);
    assert_non_null(strstr(filtags_error_message(), "without weights"));
    filtags_model_destroy(model);
}

/* ------------------------------------------------------------------ weights and pictures by formula */

/* What the formula needs to know. */
struct formula {
    bool is_caffe;
    const float *calibration; /* [1 + N_CLASSES] scale and shifts; NULL: 1 and 0 */
};

static float uniform(uint64_t tensor, uint64_t element) {
    uint64_t z = (tensor << 32) + element + 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return (float)(z >> 40) * 0x1p-24f;
}

static size_t weight_count(const struct weight *weight) {
    size_t n = 1;
    for (size_t d = 0; d < weight->n_dims; d++) n *= weight->dim[d];
    return n;
}

/* Tensors are numbered in the order of model.layers and layer.weights: the graph's. */
static void fill_weight(void *user, size_t index, const struct weight *weight, float *values) {
    const struct formula *formula = user;
    const size_t n = weight_count(weight);
    const char *kind = strstr(weight->name, "': ") + 3;
    const bool is_last = strstr(weight->name, "'predictions'") && formula->calibration;
    float offset = 0.5f, base = 0, scale = 0.4f; /* base + (u - offset) * scale */
    if (strcmp(kind, "kernel") == 0) {
        double deviation = sqrt(24.0 / (double)(n / weight->dim[weight->n_dims - 1]));
        if (formula->is_caffe && index == 0) deviation /= 64;
        if (strstr(weight->name, "_3_conv'")) deviation *= 0.3;
        scale = (float)deviation;
    } else if (strcmp(kind, "bias") == 0) {
        scale = 0.2f;
    } else if (strcmp(kind, "gamma") == 0) {
        offset = 0;
        base = 0.8f;
    } else if (strcmp(kind, "moving variance") == 0) {
        offset = 0;
        base = 0.5f;
        scale = 1;
    }
    const bool is_kernel = weight->n_dims > 1;
    for (size_t i = 0; i < n; i++) {
        const float product = (uniform(index, i) - offset) * scale;
        values[i] = base + product;
        if (is_last && is_kernel) values[i] *= formula->calibration[0];
        if (is_last && !is_kernel) values[i] -= formula->calibration[1 + i];
    }
}

static float *make_picture(size_t number, size_t side, bool is_caffe) {
    float *picture = calloc(side * side * 3, sizeof *picture);
    assert_non_null(picture);
    for (size_t i = 0; i < side * side * 3; i++) {
        const size_t row = i / 3 / side, column = i / 3 % side, channel = i % 3;
        const size_t value = (((row * (number + 2)) ^ (column * 3)) + 60 * channel + 100 * number) % 256;
        picture[i] = is_caffe ? (float)value - 120 : (float)value / 128 - 1;
    }
    return picture;
}

/* ------------------------------------------------------------------ running a model */

struct result {
    size_t layers[MAX_LAYERS];
    size_t n_layers, n_filters;
    filtags_activation *activations; /* [n_filters] */
    float outputs[N_CLASSES];
};

/* An engine with all Conv2D layers tapped. */
static filtags_engine *make_engine(filtags_model *model, struct result *result) {
    filtags_engine *engine = NULL;
    *result = (struct result){.n_layers = 0};
    for (size_t i = 0; i < filtags_model_n_layers(model); i++) {
        if (filtags_model_layer(model, i)->n_filters) result->layers[result->n_layers++] = i;
    }
    const filtags_engine_options options = {
        .layers = result->layers, .n_layers = result->n_layers, .wants_output = true, .max_batch = 1};
    if (filtags_engine_create(model, &options, &engine)) fail_msg("%s", filtags_error_message());
    result->n_filters = filtags_engine_n_filters(engine);
    result->activations = calloc(result->n_filters, sizeof *result->activations);
    assert_non_null(result->activations);
    return engine;
}

static void run_picture(filtags_engine *engine, const float *picture, struct result *result) {
    filtags_worker *worker = NULL;
    int bad_layer;
    assert_int_equal(filtags_worker_create(engine, &worker), FILTAGS_OK);
    if (filtags_worker_run(worker, picture, 1, result->activations, result->outputs, &bad_layer))
        fail_msg("%s", filtags_error_message());
    assert_int_equal(bad_layer, -1);
    filtags_worker_destroy(worker);
}

/* ------------------------------------------------------------------ against Keras */

static float *read_golden(struct hdf5_file *file, const struct hdf5_table *table, const char *network, const char *what,
                          size_t n_expected) {
    char key[200];
    size_t n = 1;
    snprintf(key, sizeof key, "%s/%s", network, what);
    const struct hdf5_dataset *dataset = hdf5_find(table, key);
    if (!dataset) fail_msg("goldens.h5 has no %s", key);
    for (size_t i = 0; i < dataset->n_dims; i++) n *= dataset->dim[i];
    assert_int_equal(n, n_expected);
    float *values = calloc(n, sizeof *values);
    assert_non_null(values);
    assert_int_equal(hdf5_read_floats(file, dataset->path, dataset->dim, dataset->n_dims, values), FILTAGS_OK);
    return values;
}

/* The largest difference of a picture's activations; golden: [n_layers, N_CHECKS]. */
static double activation_error(const filtags_model *model, const struct result *result, const float *golden) {
    double error = 0;
    const filtags_activation *row = result->activations;
    for (size_t l = 0; l < result->n_layers; l++, golden += N_CHECKS) {
        const size_t n = filtags_model_layer(model, result->layers[l])->n_filters;
        double sum = 0;
        for (size_t f = 0; f < n; f++) sum += row[f];
        error = fmax(error, fabs(sum / (double)n / FILTAGS_ACTIVATION_ONE - golden[0]));
        for (size_t j = 0; j < N_CHECKS - 1; j++) {
            const size_t f = j * n / 8 + l % (n / 8);
            error = fmax(error, fabs((double)row[f] / FILTAGS_ACTIVATION_ONE - golden[1 + j]));
        }
        row += n;
    }
    return error;
}

static size_t best_of(const float *values) {
    size_t best = 0;
    for (size_t i = 1; i < N_CLASSES; i++) best = values[i] > values[best] ? i : best;
    return best;
}

static void check_network(const filtags_network *network, struct hdf5_file *file, const struct hdf5_table *table) {
    enum { N_PICTURES = 2 };
    struct result result;
    double activation_worst = 0, output_worst = 0;
    struct formula formula = {.is_caffe = network->preprocess == FILTAGS_PREPROCESS_CAFFE};
    float *calibration = read_golden(file, table, network->name, "calibration", 1 + N_CLASSES);
    float *outputs = read_golden(file, table, network->name, "outputs", N_PICTURES * N_CLASSES);
    filtags_model *model = create(network->name, N_CLASSES, NULL);
    formula.calibration = calibration;
    model->fill = fill_weight;
    model->fill_user = &formula;
    filtags_engine *engine = make_engine(model, &result);
    float *activations = read_golden(file, table, network->name, "activations",
                                     N_PICTURES * result.n_layers * N_CHECKS);
    for (size_t p = 0; p < N_PICTURES; p++) {
        float *picture = make_picture(p, network->height, formula.is_caffe);
        run_picture(engine, picture, &result);
        const double error = activation_error(model, &result, activations + p * result.n_layers * N_CHECKS);
        activation_worst = fmax(activation_worst, error);
        for (size_t i = 0; i < N_CLASSES; i++)
            output_worst = fmax(output_worst, fabs((double)result.outputs[i] - outputs[p * N_CLASSES + i]));
        assert_int_equal(best_of(result.outputs), best_of(outputs + p * N_CLASSES));
        free(picture);
    }
    print_message("%s: activations within %.1e of Keras, probabilities within %.1e\n", network->name, activation_worst,
                  output_worst);
    assert_true(activation_worst < TOLERANCE && output_worst < TOLERANCE);
    filtags_engine_destroy(engine);
    filtags_model_destroy(model);
    free(result.activations);
    free(calibration);
    free(outputs);
    free(activations);
}

static void keras_goldens(void **state) {
    (void)state;
    static const char *const EVERYTHING[] = {""};
    struct hdf5_file *file = NULL;
    struct hdf5_table table = {0};
    size_t n_networks;
    const filtags_network *networks = filtags_networks(&n_networks);
    assert_int_equal(hdf5_open(data_path("networks/goldens.h5"), &file), FILTAGS_OK);
    assert_int_equal(hdf5_list(file, EVERYTHING, 1, &table), FILTAGS_OK);
    for (size_t i = 0; i < n_networks; i++) check_network(&networks[i], file, &table);
    hdf5_table_free(&table);
    hdf5_close(file);
}

/* ------------------------------------------------------------------ weight files */

static char folder[256];

static int make_folder(void **state) {
    const char *temporary = getenv("TMPDIR");
    (void)state;
    snprintf(folder, sizeof folder, "%s/filtags-networks-XXXXXX", temporary ? temporary : "/tmp");
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    return rmdir(folder); /* every test removes its files */
}

static const char *in_folder(const char *name) {
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* What a file is to have that Keras wouldn't write. */
struct damage {
    size_t n_weights;       /* only the first of them; 0: all */
    const char *short_list; /* a layer whose list of weights lacks the last one */
    const char *missing;    /* a layer whose first data set is missing */
};

struct writer {
    const struct graph *graph;
    struct formula formula;
    struct damage damage;
    hid_t file, root; /* root: where the layers' groups are */
};

/* The layer's name in "layer 'NAME': kind". */
static bool is_of_layer(const struct weight *weight, const char *layer) {
    const size_t length = strlen(layer);
    return strncmp(weight->name + 7, layer, length) == 0 && weight->name[7 + length] == '\'';
}

/* The weights of a layer are neighbours: number of the first one, and how many. */
static size_t find_weights(const struct writer *writer, const char *layer, size_t *first) {
    const size_t n_all = writer->damage.n_weights ? writer->damage.n_weights : writer->graph->n_weights;
    size_t n = 0;
    for (size_t i = 0; i < n_all; i++) {
        if (!is_of_layer(&writer->graph->weights[i], layer)) continue;
        if (n++ == 0) *first = i;
    }
    return n;
}

static void write_values(const struct writer *writer, hid_t group, const char *name, size_t index) {
    const struct weight *weight = &writer->graph->weights[index];
    hsize_t dims[4];
    for (size_t d = 0; d < weight->n_dims; d++) dims[d] = weight->dim[d];
    float *values = malloc(weight_count(weight) * sizeof *values);
    assert_non_null(values);
    fill_weight((void *)&writer->formula, index, weight, values);
    const hid_t space = H5Screate_simple((int)weight->n_dims, dims, NULL);
    const hid_t dataset = H5Dcreate2(group, name, H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(dataset);
    H5Sclose(space);
    free(values);
}

/* A list of names of fixed length, or the empty array of numbers that Keras writes for none. */
static void write_names(hid_t group, const char *attribute, const char *names, size_t length, size_t n) {
    const hsize_t dims[1] = {n};
    const hid_t space = H5Screate_simple(1, dims, NULL);
    const hid_t type = H5Tcopy(n ? H5T_C_S1 : H5T_IEEE_F64LE);
    if (n) H5Tset_size(type, length);
    const hid_t created = H5Acreate2(group, attribute, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(created >= 0);
    if (n) assert_true(H5Awrite(created, type, names) >= 0);
    H5Aclose(created);
    H5Tclose(type);
    H5Sclose(space);
}

enum { NAME_BYTES = 40 };

/* One layer of the published files' layout. The names are others than the network's. */
static void write_legacy_layer(const struct writer *writer, size_t index, char name[NAME_BYTES]) {
    const char *layer = writer->graph->layers[index].info.name;
    char weight_names[5][NAME_BYTES] = {{0}};
    size_t first = 0, n = find_weights(writer, layer, &first);
    snprintf(name, NAME_BYTES, "layer_number_%zu", index);
    const hid_t group = H5Gcreate2(writer->root, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    for (size_t i = 0; i < n; i++) {
        snprintf(weight_names[i], NAME_BYTES, "w%zu:0", i);
        if (i > 0 || !writer->damage.missing || strcmp(writer->damage.missing, layer) != 0)
            write_values(writer, group, weight_names[i], first + i);
    }
    if (writer->damage.short_list && strcmp(writer->damage.short_list, layer) == 0) n--;
    write_names(group, "weight_names", weight_names[0], NAME_BYTES, n);
    H5Gclose(group);
}

static void write_legacy(struct writer *writer, const char *group) {
    const size_t n_layers = writer->graph->n_layers;
    char *names = calloc(n_layers, NAME_BYTES);
    assert_non_null(names);
    writer->root = *group ? H5Gcreate2(writer->file, group, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT) : writer->file;
    for (size_t i = 0; i < n_layers; i++) write_legacy_layer(writer, i, names + i * NAME_BYTES);
    write_names(writer->root, "layer_names", names, NAME_BYTES, n_layers);
    if (*group) H5Gclose(writer->root);
    free(names);
}

/* Keras 3: layers/<class>_<position among the layers of that class>/vars/<number> */
static void write_keras3(const struct writer *writer) {
    static const struct { const char *name, *group; } CLASSES[] = {
        {"Conv2D", "conv2d"}, {"BatchNormalization", "batch_normalization"}, {"Dense", "dense"}};
    size_t n_seen[3] = {0};
    const hid_t links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    for (size_t i = 0; i < writer->graph->n_layers; i++) {
        const filtags_layer *layer = &writer->graph->layers[i].info;
        for (size_t c = 0; c < 3; c++) {
            char path[100];
            size_t first = 0;
            if (strcmp(layer->class_name, CLASSES[c].name) != 0) continue;
            if (n_seen[c] == 0) snprintf(path, sizeof path, "layers/%s/vars", CLASSES[c].group);
            else snprintf(path, sizeof path, "layers/%s_%zu/vars", CLASSES[c].group, n_seen[c]);
            n_seen[c]++;
            const hid_t group = H5Gcreate2(writer->file, path, links, H5P_DEFAULT, H5P_DEFAULT);
            const size_t n = find_weights(writer, layer->name, &first);
            for (size_t k = 0; k < n; k++) {
                snprintf(path, sizeof path, "%zu", k);
                write_values(writer, group, path, first + k);
            }
            H5Gclose(group);
        }
    }
    H5Pclose(links);
}

static void write_file(const char *name, const char *network, enum weight_layout layout, struct damage damage) {
    filtags_model *model = create(network, N_CLASSES, NULL);
    struct writer writer = {.graph = model_graph(model), .damage = damage};
    writer.file = H5Fcreate(in_folder(name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(writer.file >= 0);
    if (layout == WEIGHTS_KERAS3) write_keras3(&writer);
    else write_legacy(&writer, layout == WEIGHTS_WHOLE_MODEL ? "model_weights" : "");
    H5Fclose(writer.file);
    filtags_model_destroy(model);
}

/* Every weight must be the formula's, so it has come from the right place. */
static void check_values(filtags_model *model) {
    struct formula formula = {0};
    struct weight_reader *reader;
    const struct graph *graph = model_graph(model);
    size_t n_checked = 0;
    assert_int_equal(weight_reader_open(model, &reader), FILTAGS_OK);
    for (size_t i = 0; i < graph->n_nodes; i++) {
        if (weight_reader_read(reader, i)) fail_msg("%s", filtags_error_message());
        for (size_t k = 0; k < graph->n_weights; k++) {
            const struct weight *weight = &graph->weights[k];
            if (!weight->values) continue;
            float *expected = malloc(weight_count(weight) * sizeof *expected);
            assert_non_null(expected);
            fill_weight(&formula, k, weight, expected);
            if (memcmp(expected, weight->values, weight_count(weight) * sizeof *expected) != 0)
                fail_msg("%s: other values than the file's", weight->name);
            free(expected);
            n_checked++;
        }
        weight_reader_drop(reader, i);
    }
    weight_reader_close(reader);
    assert_int_equal(n_checked, graph->n_weights);
}

static void check_file(const char *network, const char *name) {
    filtags_model *model = create(network, 0, in_folder(name)); /* as many outputs as the file has */
    assert_int_equal(filtags_model_n_outputs(model), N_CLASSES);
    check_values(model);
    filtags_model_destroy(model);
    model = create(network, N_CLASSES, in_folder(name));
    filtags_model_destroy(model);
    expect_error(network, 5, in_folder(name), FILTAGS_ERROR_DATA,
                 "layer 'predictions': kernel (2048,5) expected, got (2048,10)");
}

static void write_archive(const char *name, const char *member) {
    char weights[1024];
    snprintf(weights, sizeof weights, "%s", in_folder(member));
    zip_t *zip = zip_open(in_folder(name), ZIP_CREATE, NULL);
    assert_non_null(zip);
    const zip_int64_t index = zip_file_add(zip, "model.weights.h5", zip_source_file(zip, weights, 0, -1), 0);
    assert_true(index >= 0 && zip_set_file_compression(zip, (zip_uint64_t)index, ZIP_CM_STORE, 0) == 0);
    assert_int_equal(zip_close(zip), 0);
}

static void good_files(void **state) {
    (void)state;
    static const char network[] = "InceptionV3"; /* its order is the least obvious one */
    write_file("a.h5", network, WEIGHTS_LEGACY, (struct damage){0});
    check_file(network, "a.h5");
    write_file("a.h5", network, WEIGHTS_WHOLE_MODEL, (struct damage){0});
    check_file(network, "a.h5");
    write_file("a.h5", network, WEIGHTS_KERAS3, (struct damage){0});
    check_file(network, "a.h5");
    write_archive("a.keras", "a.h5");
    check_file(network, "a.keras");
    expect_error("ResNet50V2", 0, in_folder("a.h5"), FILTAGS_ERROR_DATA, "kernel (7,7,3,64) expected, got (3,3,3,32)");
    remove(in_folder("a.keras"));
    remove(in_folder("a.h5"));
}

static void bad_files(void **state) {
    (void)state;
    char path[1024];
    snprintf(path, sizeof path, "%s", in_folder("b.h5"));
    write_file("b.h5", "VGG16", WEIGHTS_LEGACY, (struct damage){.n_weights = 4});
    expect_error("ResNet50", 10, path, FILTAGS_ERROR_DATA,
                 "layer 'conv1_conv': kernel (7,7,3,64) expected, got (3,3,3,64)");
    expect_error("InceptionV3", 10, path, FILTAGS_ERROR_FORMAT, "layer 'conv2d': 1 weights expected, got 2");
    expect_error("VGG16", 10, path, FILTAGS_ERROR_FORMAT,
                 "layer 'block2_conv1': its weights are missing: the file's layers have come to an end");
    write_file("b.h5", "VGG16", WEIGHTS_LEGACY, (struct damage){.n_weights = 8, .short_list = "block1_conv2"});
    expect_error("VGG16", 10, path, FILTAGS_ERROR_FORMAT, "layer 'block1_conv2': 2 weights expected, got 1");
    write_file("b.h5", "VGG16", WEIGHTS_LEGACY, (struct damage){.n_weights = 8, .missing = "block1_conv1"});
    expect_error("VGG16", 10, path, FILTAGS_ERROR_FORMAT, "layer 'block1_conv1': kernel is missing: the file has no");
    write_file("b.h5", "VGG16", WEIGHTS_KERAS3, (struct damage){.n_weights = 4});
    expect_error("VGG16", 10, path, FILTAGS_ERROR_FORMAT, "layer 'block2_conv1': kernel is missing: the file has no "
                 "'layers/conv2d_2/vars/0'");

    assert_int_equal(truncate(path, 100000), 0);
    expect_error("VGG16", 0, path, FILTAGS_ERROR_FORMAT, "a whole HDF5 file expected, it is damaged or truncated");
    assert_int_equal(truncate(path, 0), 0);
    expect_error("VGG16", 0, path, FILTAGS_ERROR_FORMAT, "the file is empty");
    H5Fclose(H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    expect_error("VGG16", 0, path, FILTAGS_ERROR_FORMAT, "weights by Keras expected");
    remove(path);
    assert_int_equal(file_write(path, "no weights", 10), FILTAGS_OK);
    expect_error("VGG16", 0, path, FILTAGS_ERROR_FORMAT, "it is neither");
    remove(path);
    expect_error("VGG16", 0, path, FILTAGS_ERROR_IO, "cannot be opened");
    expect_error("VGG16", 0, folder, FILTAGS_ERROR_IO, "a folder");
}

/* "test_networks FOLDER FILE NETWORK N_CLASSES" writes the formula's weights in the layout of the published files, for
 * tests of the program (tests/cli/test_known_networks.py). */
static int write_for_program(char **words) {
    filtags_model *model = create(words[2], (size_t)atoi(words[3]), NULL);
    const filtags_network *network = filtags_network_find(words[2]);
    struct writer writer = {.graph = model_graph(model),
                            .formula = {.is_caffe = network->preprocess == FILTAGS_PREPROCESS_CAFFE}};
    snprintf(folder, sizeof folder, "%s", words[0]);
    writer.file = H5Fcreate(in_folder(words[1]), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    if (writer.file < 0) return 1;
    write_legacy(&writer, "");
    H5Fclose(writer.file);
    filtags_model_destroy(model);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 5) return write_for_program(argv + 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layer_lists),   cmocka_unit_test(parameters), cmocka_unit_test(epsilons),
        cmocka_unit_test(network_table), cmocka_unit_test(good_files), cmocka_unit_test(bad_files),
        cmocka_unit_test(keras_goldens),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
