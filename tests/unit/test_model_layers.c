/* From a configuration to the graph: shapes, options, calls, and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/graph_builder.h"
#include "model/model_internal.h"

enum { TEXT_BYTES = 16384 };

static struct graph graph;

static filtags_status build_sized(const char *json, bool is_keras2, size_t h, size_t w) {
    return model_build_graph("m.keras", json, strlen(json), is_keras2, h, w, &graph);
}

/* A Sequential on an 8 x 10 x 6 input; layers: JSON objects separated by commas. */
static const char *sequential(const char *layers) {
    static char text[TEXT_BYTES];
    snprintf(text, sizeof text,
             "{\"class_name\":\"Sequential\",\"config\":{\"name\":\"s\",\"layers\":[{\"class_name\":\"InputLayer\","
             "\"config\":{\"name\":\"in\",\"batch_shape\":[null,8,10,6]}},%s]}}",
             layers);
    return text;
}

/* One layer named "x". */
static const char *one_layer(const char *class_name, const char *options) {
    static char layer[TEXT_BYTES / 2];
    snprintf(layer, sizeof layer, "{\"class_name\":\"%s\",\"config\":{\"name\":\"x\"%s%s}}", class_name,
             *options ? "," : "", options);
    return sequential(layer);
}

static const char *shape_of(const struct shape *shape) {
    static char text[SHAPE_TEXT_BYTES];
    return shape_format(text, shape->dim, shape->n_dims);
}

static const struct node *output_node(void) { return &graph.nodes[graph.output_node]; }

static const struct node *check_ok(const char *json, const char *shape) {
    graph_destroy(&graph);
    filtags_status status = build_sized(json, false, 0, 0);
    if (status) fail_msg("%s", filtags_error_message());
    assert_string_equal(shape_of(&output_node()->shape), shape);
    return output_node();
}

static void check_fails(const char *json, filtags_status expected, const char *part) {
    graph_destroy(&graph);
    filtags_status status = build_sized(json, false, 0, 0);
    if (!strstr(filtags_error_message(), part)) fail_msg("'%s' is not in: %s", part, filtags_error_message());
    assert_int_equal(status, expected);
    assert_int_equal(graph.n_nodes, 0);
}

static int clean(void **state) {
    (void)state;
    graph_destroy(&graph);
    return 0;
}

static void check_padding(struct padding padding, size_t top, size_t bottom, size_t left, size_t right) {
    assert_int_equal(padding.top, top);
    assert_int_equal(padding.bottom, bottom);
    assert_int_equal(padding.left, left);
    assert_int_equal(padding.right, right);
}

static void check_weight(int weight, const char *name, const char *shape) {
    char text[SHAPE_TEXT_BYTES];
    assert_in_range(weight, 0, graph.n_weights - 1);
    assert_string_equal(graph.weights[weight].name, name);
    assert_string_equal(shape_format(text, graph.weights[weight].dim, graph.weights[weight].n_dims), shape);
}

/* ------------------------------------------------------------------ layers */

static void conv2d(void **state) {
    (void)state;
    const struct node *node = check_ok(
        one_layer("Conv2D", "\"filters\":12,\"kernel_size\":[3,4],\"strides\":[2,3],\"padding\":\"same\",\"groups\":2"),
        "(4,4,12)");
    assert_int_equal(node->op, OP_CONV);
    assert_int_equal(node->groups, 2);
    check_padding(node->window.padding, 0, 1, 1, 2); /* (4-1)*2+3-8 = 1; (4-1)*3+4-10 = 3 */
    check_weight(node->kernel, "layer 'x': kernel", "(3,4,3,12)");
    check_weight(node->bias, "layer 'x': bias", "(12)");
    assert_int_equal(graph.layers[0].info.n_filters, 12);
    assert_true(graph.layers[0].is_conv2d);

    node = check_ok(one_layer("Conv2D", "\"filters\":1,\"kernel_size\":3,\"padding\":\"valid\",\"dilation_rate\":2,"
                                        "\"use_bias\":false"), "(4,6,1)");
    assert_int_equal(node->bias, GRAPH_NO_WEIGHT);
    assert_int_equal(node->window.dilation_h, 2);

    /* the fused activation is a node of the same layer */
    node = check_ok(one_layer("Conv2D", "\"filters\":5,\"kernel_size\":1,\"padding\":\"valid\",\"activation\":\""
    "relu\""),
                    "(8,10,5)");
    assert_int_equal(node->op, OP_ACTIVATION);
    assert_int_equal(graph.n_nodes, 3);
    assert_int_equal(graph.layers[0].output_node, 2);
    assert_int_equal(graph.nodes[1].layer, 0);
    assert_int_equal(graph.nodes[2].layer, 0);
}

static void conv2d_refused(void **state) {
    (void)state;
    const char *ok = "\"filters\":4,\"kernel_size\":3,\"padding\":\"valid\"";
    char options[512];
    check_fails(one_layer("Conv2D", "\"kernel_size\":3,\"padding\":\"valid\""), FILTAGS_ERROR_FORMAT, "no 'filters'");
    check_fails(one_layer("Conv2D", "\"filters\":4,\"padding\":\"valid\""), FILTAGS_ERROR_FORMAT, "no 'kernel_size'");
    check_fails(one_layer("Conv2D", "\"filters\":0,\"kernel_size\":3,\"padding\":\"valid\""), FILTAGS_ERROR_FORMAT,
                "filters: a number in 1..2^24 expected, got 0");
    check_fails(one_layer("Conv2D", "\"filters\":4,\"kernel_size\":[3,3,3],\"padding\":\"valid\""),
                FILTAGS_ERROR_FORMAT, "kernel_size: two numbers");
    check_fails(one_layer("Conv2D", "\"filters\":4,\"kernel_size\":\"3\",\"padding\":\"valid\""), FILTAGS_ERROR_FORMAT,
                "kernel_size: one or two numbers");
    check_fails(one_layer("Conv2D", "\"filters\":4,\"kernel_size\":3,\"padding\":\"causal\""),
                FILTAGS_ERROR_UNSUPPORTED, "m.keras: layer 'x': padding = \"causal\" is not supported (class Conv2D)");
    check_fails(one_layer("Conv2D", "\"filters\":4,\"kernel_size\":9,\"padding\":\"valid\""), FILTAGS_ERROR_DATA,
                "an input of at least 9x9 expected for the window, got 8x10");
    check_fails(one_layer("Conv2D", "\"filters\":16777216,\"kernel_size\":9,\"padding\":\"same\""),
                FILTAGS_ERROR_UNSUPPORTED, "2^31 elements");
    snprintf(options, sizeof options, "%s,\"groups\":4", ok);
    check_fails(one_layer("Conv2D", options), FILTAGS_ERROR_DATA, "groups = 4 must divide 6 input channels");
    snprintf(options, sizeof options, "%s,\"data_format\":\"channels_first\"", ok);
    check_fails(one_layer("Conv2D", options), FILTAGS_ERROR_UNSUPPORTED, "data_format = \"channels_first\"");
    snprintf(options, sizeof options, "%s,\"use_bias\":1", ok);
    check_fails(one_layer("Conv2D", options), FILTAGS_ERROR_FORMAT, "use_bias: true or false expected, got 1");
    snprintf(options, sizeof options, "%s,\"activation\":\"celu\"", ok);
    check_fails(one_layer("Conv2D", options), FILTAGS_ERROR_UNSUPPORTED, "activation = \"celu\"");
    snprintf(options, sizeof options, "%s,\"activation\":{\"class_name\":\"PReLU\",\"config\":{}}", ok);
    check_fails(one_layer("Conv2D", options), FILTAGS_ERROR_UNSUPPORTED, "activation = {");
    snprintf(options, sizeof options, "%s,\"dtype\":{\"class_name\":\"QuantizedDTypePolicy\",\"config\":{\"name"
    "\":\"int8\"}}",
             ok);
    check_fails(one_layer("Conv2D", options), FILTAGS_ERROR_UNSUPPORTED, "dtype 'int8'");
    check_fails(sequential("{\"class_name\":\"Flatten\",\"config\":{\"name\":\"f\"}},{\"class_name\":\"Conv2D\","
                           "\"config\":{\"name\":\"x\",\"filters\":4,\"kernel_size\":3,\"padding\":\"valid\"}}"),
                FILTAGS_ERROR_DATA, "height, width and channels expected, got (480)");
}

static void other_convolutions(void **state) {
    (void)state;
    const struct node *node =
        check_ok(one_layer("DepthwiseConv2D", "\"kernel_size\":3,\"depth_multiplier\":2,\"padding\":\"valid\""),
                 "(6,8,12)");
    assert_int_equal(node->groups, 6);
    check_weight(node->kernel, "layer 'x': depthwise kernel", "(3,3,1,12)");
    node = check_ok(one_layer("SeparableConv2D", "\"filters\":7,\"kernel_size\":3,\"padding\":\"same\",\"strides\":2"),
                    "(4,5,7)");
    assert_int_equal(graph.n_nodes, 3);
    check_weight(node->kernel, "layer 'x': pointwise kernel", "(1,1,6,7)");
    check_weight(node->bias, "layer 'x': bias", "(7)");
    assert_int_equal(node->window.stride_h, 1);
    assert_int_equal(graph.nodes[1].window.stride_h, 2);
    assert_int_equal(graph.nodes[1].bias, GRAPH_NO_WEIGHT);
    assert_false(graph.layers[0].is_conv2d);
    node = check_ok(one_layer("Dense", "\"units\":3"), "(8,10,3)");
    check_weight(node->kernel, "layer 'x': kernel", "(6,3)");
}

static void pooling(void **state) {
    (void)state;
    const struct node *node = check_ok(one_layer("MaxPooling2D", "\"pool_size\":[3,3],\"padding\":\"valid\""),
        "(2,3,6)");
    assert_int_equal(node->window.stride_h, 3); /* the default is the window's size */
    node = check_ok(one_layer("AveragePooling2D", "\"pool_size\":3,\"strides\":1,\"padding\":\"same\""), "(8,10,6)");
    check_padding(node->window.padding, 1, 1, 1, 1);
    check_ok(one_layer("GlobalMaxPooling2D", ""), "(6)");
    check_ok(one_layer("GlobalAveragePooling2D", "\"keepdims\":true"), "(1,1,6)");
    check_fails(one_layer("GlobalAveragePooling2D", "\"data_format\":\"channels_first\""), FILTAGS_ERROR_UNSUPPORTED,
                "data_format");
    check_fails(one_layer("MaxPooling2D", "\"pool_size\":2"), FILTAGS_ERROR_UNSUPPORTED, "padding = null");
}

static void shapes(void **state) {
    (void)state;
    const struct node *node = check_ok(one_layer("ZeroPadding2D", "\"padding\":[[1,2],[0,3]]"), "(11,13,6)");
    check_padding(node->padding, 1, 2, 0, 3);
    check_ok(one_layer("ZeroPadding2D", "\"padding\":[1,2]"), "(10,14,6)");
    check_ok(one_layer("ZeroPadding2D", "\"padding\":1"), "(10,12,6)");
    check_fails(one_layer("ZeroPadding2D", "\"padding\":[1,-2]"), FILTAGS_ERROR_FORMAT, "[[top, bottom]");
    check_fails(one_layer("ZeroPadding2D", "\"padding\":[[1,2],[0,3],[1,1]]"), FILTAGS_ERROR_FORMAT, "[[top, bottom]");
    check_ok(one_layer("Cropping2D", "\"cropping\":[[1,2],[4,5]]"), "(5,1,6)");
    check_fails(one_layer("Cropping2D", "\"cropping\":[[4,4],[0,0]]"), FILTAGS_ERROR_DATA, "cannot be cropped");
    assert_true(check_ok(one_layer("UpSampling2D", "\"size\":[2,3],\"interpolation\":\"bilinear\""),
        "(16,30,6)")->is_bilinear);
    check_fails(one_layer("UpSampling2D", "\"size\":2,\"interpolation\":\"bicubic\""), FILTAGS_ERROR_UNSUPPORTED,
                "interpolation = \"bicubic\"");
    check_fails(one_layer("UpSampling2D", "\"size\":16777216"), FILTAGS_ERROR_UNSUPPORTED, "2^24");
    check_ok(one_layer("Flatten", ""), "(480)");
    check_ok(one_layer("Reshape", "\"target_shape\":[4,-1,3]"), "(4,40,3)");
    check_ok(one_layer("Reshape", "\"target_shape\":[480]"), "(480)");
    check_fails(one_layer("Reshape", "\"target_shape\":[7,-1]"), FILTAGS_ERROR_DATA,
        "480 elements expected, got [7,-1]");
    check_fails(one_layer("Reshape", "\"target_shape\":[-1,-1]"), FILTAGS_ERROR_UNSUPPORTED, "target_shape");
    check_fails(one_layer("Reshape", "\"target_shape\":[16777216,16777216,16777216,-1]"), FILTAGS_ERROR_DATA, "480");
    assert_int_equal(check_ok(one_layer("Permute", "\"dims\":[1,2,3]"), "(8,10,6)")->op, OP_IDENTITY);
    check_fails(one_layer("Permute", "\"dims\":[2,1,3]"), FILTAGS_ERROR_UNSUPPORTED, "dims = [2,1,3]");
    assert_int_equal(check_ok(one_layer("Dropout", "\"rate\":0.5"), "(8,10,6)")->op, OP_IDENTITY);
    assert_int_equal(check_ok(one_layer("RandomFlip", ""), "(8,10,6)")->op, OP_IDENTITY);
    check_fails(one_layer("RandomCrop", ""), FILTAGS_ERROR_UNSUPPORTED,
        "m.keras: layer 'x': class 'RandomCrop' is not");
}

static void scaling(void **state) {
    (void)state;
    const struct node *node = check_ok(one_layer("BatchNormalization", "\"axis\":[3],\"epsilon\":1e-5"), "(8,10,6)");
    check_weight(node->gamma, "layer 'x': gamma", "(6)");
    check_weight(node->variance, "layer 'x': moving variance", "(6)");
    assert_true(node->epsilon == 1e-5);
    node = check_ok(one_layer("BatchNormalization", "\"axis\":-1,\"scale\":false,\"center\":false"), "(8,10,6)");
    assert_int_equal(node->gamma, GRAPH_NO_WEIGHT);
    assert_int_equal(node->beta, GRAPH_NO_WEIGHT);
    assert_int_equal(node->mean, 0);
    check_fails(one_layer("BatchNormalization", "\"axis\":1"), FILTAGS_ERROR_UNSUPPORTED, "axis = 1");
    check_fails(one_layer("BatchNormalization", "\"axis\":[1,2,3]"), FILTAGS_ERROR_UNSUPPORTED, "axis = [1,2,3]");
    check_fails(one_layer("BatchNormalization", "\"axis\":-1,\"renorm\":true"), FILTAGS_ERROR_UNSUPPORTED, "renorm");

    node = check_ok(one_layer("Rescaling", "\"scale\":0.5,\"offset\":[1,2,3,4,5,6]"), "(8,10,6)");
    assert_true(node->scale_values[5] == 0.5f && node->shift_values[5] == 6);
    node = check_ok(one_layer("Rescaling", "\"scale\":{\"class_name\":\"__numpy__\",\"config\":{\"value\":[1,2,3"
    ",4,5,6],"
                                           "\"dtype\":\"float32\"}}"), "(8,10,6)");
    assert_true(node->scale_values[2] == 3 && node->shift_values[2] == 0);
    check_fails(one_layer("Rescaling", "\"scale\":[1,2]"), FILTAGS_ERROR_DATA, "1 or 6 values expected");
    check_fails(one_layer("Rescaling", "\"scale\":\"a\""), FILTAGS_ERROR_FORMAT, "scale: a finite number");
    check_fails(one_layer("Rescaling", ""), FILTAGS_ERROR_FORMAT, "no 'scale'");

    node = check_ok(one_layer("Normalization", "\"axis\":[-1],\"mean\":[1,2,3,4,5,6],\"variance\":[4,4,4,4,4,0]"),
                    "(8,10,6)");
    assert_true(node->scale_values[1] == 0.5f && node->shift_values[1] == -1);
    assert_true(fabsf(node->scale_values[5] - 1e7f) < 10); /* not infinite */
    assert_int_equal(graph.n_weights, 0);
    node = check_ok(one_layer("Normalization", "\"axis\":[-1]"), "(8,10,6)");
    check_weight(node->mean, "layer 'x': mean", "(6)");
    assert_int_equal(graph.n_weights, 2); /* the file's count is not needed */
    check_fails(one_layer("Normalization", "\"axis\":[-1],\"invert\":true"), FILTAGS_ERROR_UNSUPPORTED,
        "invert = true");
    check_fails(one_layer("Normalization", "\"axis\":[1]"), FILTAGS_ERROR_UNSUPPORTED, "axis = [1]");
    check_fails(one_layer("Normalization", "\"axis\":[-1],\"mean\":[1,2,3,4,5,6],\"variance\":1"), FILTAGS_ERROR_DATA,
                "as many variances");
}

static struct activation activation_of(const char *class_name, const char *options) {
    const struct node *node = check_ok(one_layer(class_name, options), "(8,10,6)");
    assert_int_equal(node->op, OP_ACTIVATION);
    return node->activation;
}

static void activations(void **state) {
    (void)state;
    assert_true(activation_of("Activation", "\"activation\":\"relu6\"").max_value == 6);
    assert_true(activation_of("Activation", "\"activation\":\"leaky_relu\"").alpha == 0.2f);
    assert_int_equal(activation_of("Activation", "\"activation\":\"swish\"").kind, ACT_SILU);
    assert_int_equal(activation_of("Activation", "\"activation\":\"hard_sigmoid\"").kind, ACT_HARD_SIGMOID);
    graph_destroy(&graph);
    assert_int_equal(build_sized(one_layer("Activation", "\"activation\":\"hard_sigmoid\""), true, 0, 0), FILTAGS_OK);
    assert_int_equal(output_node()->activation.kind, ACT_HARD_SIGMOID_KERAS2);
    assert_int_equal(check_ok(one_layer("Activation", "\"activation\":\"linear\""), "(8,10,6)")->op, OP_IDENTITY);
    assert_int_equal(check_ok(one_layer("Activation", "\"activation\":\"softmax\""), "(8,10,6)")->op, OP_SOFTMAX);
    struct activation relu = activation_of("ReLU", "\"max_value\":2.5,\"negative_slope\":0.1,\"threshold\":0.5");
    assert_true(relu.max_value == 2.5f && relu.alpha == 0.1f && relu.threshold == 0.5f);
    assert_true(isinf(activation_of("ReLU", "\"max_value\":null").max_value));
    assert_true(activation_of("LeakyReLU", "\"alpha\":0.25").alpha == 0.25f);
    assert_true(activation_of("LeakyReLU", "\"negative_slope\":0.125").alpha == 0.125f);
    assert_true(activation_of("LeakyReLU", "").alpha == 0.3f);
    assert_true(activation_of("ELU", "\"alpha\":0.5").alpha == 0.5f);
    assert_int_equal(check_ok(one_layer("Softmax", "\"axis\":[-1]"), "(8,10,6)")->op, OP_SOFTMAX);
    check_fails(one_layer("Softmax", "\"axis\":1"), FILTAGS_ERROR_UNSUPPORTED, "axis = 1");
    assert_true(activation_of("Activation", "\"activation\":{\"class_name\":\"LeakyReLU\",\"config\":{\"alpha\":"
    "0.5}}").alpha
                == 0.5f);
    assert_int_equal(activation_of("Activation", "\"activation\":{\"module\":\"keras.activations\",\"class_name\":"
                                                 "\"function\",\"config\":\"tanh\"}").kind, ACT_TANH);
    check_fails(one_layer("Activation", "\"activation\":{\"module\":\"builtins\",\"class_name\":\"function\","
                                        "\"config\":\"mine\"}"), FILTAGS_ERROR_UNSUPPORTED, "activation = {");
    check_fails(one_layer("ReLU", "\"max_value\":\"6\""), FILTAGS_ERROR_FORMAT, "max_value: a number expected");
    check_fails(one_layer("ELU", "\"alpha\":1e300"), FILTAGS_ERROR_FORMAT, "finite 32-bit");

    const struct node *node = check_ok(one_layer("PReLU", "\"shared_axes\":[1,2]"), "(8,10,6)");
    check_weight(node->kernel, "layer 'x': alpha", "(8,10,6)"); /* repeated when it is read */
    check_fails(one_layer("PReLU", "\"shared_axes\":[4]"), FILTAGS_ERROR_UNSUPPORTED, "shared_axes = [4]");
}

/* ------------------------------------------------------------------ calls */

/* A functional model on an 8 x 10 x 6 input "in" whose output is call 0 of layer "out". */
static const char *functional(const char *layers) {
    static char text[TEXT_BYTES];
    snprintf(text, sizeof text,
             "{\"class_name\":\"Functional\",\"config\":{\"name\":\"f\",\"layers\":[{\"class_name\":\"InputLayer"
             "\",\"name\":"
             "\"in\",\"config\":{\"name\":\"in\",\"batch_input_shape\":[null,8,10,6]},\"inbound_nodes\":[]},%s],"
             "\"input_layers\":[[\"in\",0,0]],\"output_layers\":[[\"out\",0,0]]}}",
             layers);
    return text;
}

/* A layer of a functional model in the form of Keras 2. */
static const char *called(char *text, const char *class_name, const char *name, const char *options,
    const char *nodes) {
    snprintf(text, 1024, "{\"class_name\":\"%s\",\"name\":\"%s\",\"config\":{\"name\":\"%s\"%s%s},\"inbound_node"
    "s\":%s}",
             class_name, name, name, *options ? "," : "", options, nodes);
    return text;
}

static const char *two(const char *first, const char *second) {
    static char text[4096];
    snprintf(text, sizeof text, "%s,%s", first, second);
    return functional(text);
}

static void merges(void **state) {
    (void)state;
    char pool[1024], out[1024];
    const char *inputs = "[[[\"in\",0,0,{}],[\"pool\",0,0,{}]]]";
    called(pool, "GlobalAveragePooling2D", "pool", "", "[[[\"in\",0,0,{}]]]");
    const struct node *node = check_ok(two(pool, called(out, "Multiply", "out", "", inputs)), "(8,10,6)");
    assert_int_equal(node->op, OP_MULTIPLY);
    assert_int_equal(node->n_inputs, 2);
    check_fails(two(pool, called(out, "Concatenate", "out", "\"axis\":-1", inputs)), FILTAGS_ERROR_DATA,
                "got (8,10,6) and (6)");
    called(pool, "Conv2D", "pool", "\"filters\":5,\"kernel_size\":1,\"padding\":\"valid\"", "[[[\"in\",0,0,{}]]]");
    check_ok(two(pool, called(out, "Concatenate", "out", "\"axis\":3", inputs)), "(8,10,11)");
    check_fails(two(pool, called(out, "Concatenate", "out", "\"axis\":1", inputs)), FILTAGS_ERROR_UNSUPPORTED,
        "axis = 1");
    check_fails(two(pool, called(out, "Add", "out", "", inputs)), FILTAGS_ERROR_DATA, "got (8,10,6) and (8,10,5)");
    check_fails(two(pool, called(out, "Flatten", "out", "", inputs)), FILTAGS_ERROR_FORMAT,
        "one input expected, got 2");
    check_fails(two(pool, called(out, "Subtract", "out", "", "[[[\"in\",0,0,{}]]]")), FILTAGS_ERROR_FORMAT,
                "two inputs expected");
    check_fails(two(pool, called(out, "CustomScaleLayer", "out", "\"scale\":0.5", inputs)), FILTAGS_ERROR_DATA,
                "two inputs of one shape");
    called(pool, "Identity", "pool", "", "[[[\"in\",0,0,{}]]]");
    node = check_ok(two(pool, called(out, "CustomScaleLayer", "out", "\"scale\":0.5", inputs)), "(8,10,6)");
    assert_int_equal(node->op, OP_ADD);
    assert_int_equal(graph.nodes[node->inputs[1]].op, OP_SCALE_SHIFT);
    assert_true(graph.nodes[node->inputs[1]].scale_values[5] == 0.5f);
    check_fails(two(pool, called(out, "CustomScaleLayer", "out", "", inputs)), FILTAGS_ERROR_FORMAT, "no 'scale'");
}

static void layer_called_twice(void **state) {
    (void)state;
    char conv[1024], out[1024];
    called(conv, "Conv2D", "conv", "\"filters\":6,\"kernel_size\":1,\"padding\":\"valid\",\"activation\":\"relu\"",
           "[[[\"in\",0,0,{}]],[[\"conv\",0,0,{}]]]");
    called(out, "Flatten", "out", "", "[[[\"conv\",1,0,{}]]]");
    check_ok(two(out, conv), "(480)"); /* in whatever order */
    assert_int_equal(graph.n_layers, 4);
    assert_string_equal(graph.layers[0].info.name, "in");
    assert_string_equal(graph.layers[1].info.name, "out");
    assert_string_equal(graph.layers[2].info.name, "conv");
    assert_string_equal(graph.layers[3].info.name, "conv#2");
    assert_int_equal(graph.layers[3].info.index, 3);
    assert_int_equal(graph.n_weights, 2);
    assert_true(graph.layers[3].output_node > graph.layers[2].output_node);
    for (size_t i = 0; i < graph.n_nodes; i++) {
        for (size_t j = 0; j < graph.nodes[i].n_inputs; j++) assert_true(graph.nodes[i].inputs[j] < (int)i);
    }
    called(conv, "Conv2D", "conv", "\"filters\":5,\"kernel_size\":1,\"padding\":\"valid\"",
           "[[[\"in\",0,0,{}]],[[\"conv\",0,0,{}]]]");
    check_fails(two(out, conv), FILTAGS_ERROR_DATA, "layer 'conv': the layer is called more than once");
}

static void calls_refused(void **state) {
    (void)state;
    char a[1024], out[1024];
    called(out, "Identity", "out", "", "[[[\"a\",0,0,{}]]]");
    check_fails(two(called(a, "Identity", "a", "", "[[[\"out\",0,0,{}]]]"), out), FILTAGS_ERROR_FORMAT,
                "a network without cycles expected");
    check_fails(two(called(a, "Identity", "a", "", "[[[\"nobody\",0,0,{}]]]"), out), FILTAGS_ERROR_FORMAT,
                "layer 'a': there is no layer 'nobody'");
    check_fails(two(called(a, "Identity", "a", "", "[[[\"in\",1,0,{}]]]"), out), FILTAGS_ERROR_FORMAT,
                "layer 'in' has no output of call 1, tensor 0");
    check_fails(two(called(a, "Identity", "a", "", "[[[\"in\",0,1,{}]]]"), out), FILTAGS_ERROR_FORMAT, "tensor 1");
    check_fails(two(called(a, "Identity", "a", "", "[[[\"in\"]]]"), out), FILTAGS_ERROR_FORMAT, "[name, call, tensor]");
    check_fails(two(called(a, "Identity", "a", "", "[]"), out), FILTAGS_ERROR_FORMAT, "'inbound_nodes' is missing");
    check_fails(two(called(a, "Identity", "a", "", "[[]]"), out), FILTAGS_ERROR_FORMAT, "the call has no inputs");
    check_fails(two(called(a, "Identity", "a", "", "[{}]"), out), FILTAGS_ERROR_FORMAT, "the call has no 'args'");
    check_fails(two(called(a, "Identity", "a", "", "[{\"args\":[3],\"kwargs\":{}}]"), out), FILTAGS_ERROR_UNSUPPORTED,
                "tensors as arguments expected, got 3");
    check_fails(two(called(a, "Identity", "out", "", "[[[\"in\",0,0,{}]]]"), out), FILTAGS_ERROR_FORMAT,
        "got 'out' twice");
    check_fails(two(called(a, "BatchNormalization", "a", "", "[[[\"in\",0,0,{\"training\":true}]]]"), out),
                FILTAGS_ERROR_UNSUPPORTED, "a call with training = true");
    check_ok(two(called(a, "BatchNormalization", "a", "", "[[[\"in\",0,0,{\"training\":false,\"mask\":null}]]]"), out),
             "(8,10,6)");
    const char *tensor = "{\"class_name\":\"__keras_tensor__\",\"config\":{\"keras_history\":[\"in\",0,0]}}";
    char nodes[512];
    snprintf(nodes, sizeof nodes, "[{\"args\":[%s,%s],\"kwargs\":{}}]", tensor, tensor);
    check_fails(two(called(a, "Add", "a", "", nodes), out), FILTAGS_ERROR_UNSUPPORTED,
        "operation 'Add' is not supported");
    snprintf(nodes, sizeof nodes, "[{\"args\":[[%s,%s]],\"kwargs\":{}}]", tensor, tensor);
    check_ok(two(called(a, "Add", "a", "", nodes), out), "(8,10,6)");
}

/* A nested model with a convolution, called twice in the way of each Keras version. */
static void nested_model_called_twice(void **state) {
    (void)state;
    static const char *const INNER =
        "\"layers\":[{\"class_name\":\"InputLayer\",\"name\":\"i\",\"config\":{\"name\":\"i\",\"batch_shape\":[n"
        "ull,null,null,"
        "6]},\"inbound_nodes\":[]},{\"class_name\":\"Conv2D\",\"name\":\"c\",\"config\":{\"name\":\"c\",\"filters\":6,"
        "\"kernel_size\":3,\"padding\":\"valid\"},\"inbound_nodes\":[[[\"i\",0,0,{}]]]}],\"input_layers\":[[\"i"
        "\",0,0]],"
        "\"output_layers\":[[\"c\",0,0]]";
    char inner[2048], out[1024];
    /* Keras 2 counts a nested model's calls from 1 */
    called(inner, "Functional", "inner", INNER, "[[[\"in\",0,0,{}]],[[\"inner\",1,0,{}]]]");
    check_ok(two(inner, called(out, "Identity", "out", "", "[[[\"inner\",2,0,{}]]]")), "(4,6,6)");
    static const char *const NAMES[] = {"in", "inner/i", "inner/i#2", "inner/c", "inner/c#2", "out"};
    assert_int_equal(graph.n_layers, 6);
    for (size_t i = 0; i < 6; i++) assert_string_equal(graph.layers[i].info.name, NAMES[i]);
    assert_int_equal(graph.layers[3].info.shape[0], 6);
    assert_int_equal(graph.layers[4].info.shape[0], 4);
    assert_int_equal(graph.n_weights, 2);
    assert_string_equal(graph.weights[0].name, "layer 'inner/c': kernel");
    check_ok(two(inner, called(out, "Identity", "out", "", "[[[\"inner\",1,0,{}]]]")), "(6,8,6)");

    /* a nested input that asks for another size */
    char *size = strstr(called(inner, "Functional", "inner", INNER, "[[[\"in\",0,0,{}]]]"), "null,null,null,6");
    memcpy(size, "null,1234,null,6", 16);
    check_fails(two(inner, called(out, "Identity", "out", "", "[[[\"inner\",1,0,{}]]]")), FILTAGS_ERROR_DATA,
                "layer 'inner/i': an input of shape [null,1234,null,6] expected, got (8,10,6)");
}

static void deep_network(void **state) {
    (void)state;
    enum { N = 20000 };
    char *text = malloc(N * 160 + 1000), *end = text;
    assert_non_null(text);
    end += sprintf(end, "{\"class_name\":\"Functional\",\"config\":{\"name\":\"f\",\"layers\":[");
    for (int i = N; i-- > 0;) { /* the last layer first: a depth-first search has to go all the way down */
        end += sprintf(end, "{\"class_name\":\"Identity\",\"name\":\"l%d\",\"config\":{\"name\":\"l%d\"},\"inbou"
        "nd_nodes\":"
                       "[[[\"%s%d\",0,0,{}]]]},", i, i, i ? "l" : "in", i ? i - 1 : 0);
    }
    sprintf(end, "{\"class_name\":\"InputLayer\",\"name\":\"in0\",\"config\":{\"name\":\"in0\",\"batch_shape\":["
    "null,2,2,1]},"
            "\"inbound_nodes\":[]}],\"input_layers\":[\"in0\",0,0],\"output_layers\":[\"l%d\",0,0]}}", N - 1);
    check_ok(text, "(2,2,1)");
    assert_int_equal(graph.n_layers, N + 1);
    free(text);
}

static void nesting_bomb(void **state) {
    (void)state;
    enum { DEPTH = 30, PART = 700 };
    char *text = calloc(DEPTH + 2, 2 * PART), *tail = calloc(DEPTH + 2, PART);
    assert_non_null(text);
    assert_non_null(tail);
    const char *open = "{\"class_name\":\"Functional\",\"name\":\"n\",\"config\":{\"name\":\"n\",\"layers\":["
                       "{\"class_name\":\"InputLayer\",\"name\":\"i\",\"config\":{\"name\":\"i\",\"batch_shape\""
                       ":[null,2,2,1]},"
                       "\"inbound_nodes\":[]},";
    const char *close = "],\"input_layers\":[\"i\",0,0],\"output_layers\":[\"n\",2,0]},"
                        "\"inbound_nodes\":[[[\"i\",0,0,{}]],[[\"n\",1,0,{}]]]}";
    for (int i = 0; i < DEPTH; i++) { /* each level calls the next one twice */
        strcat(text, open);
        strcat(tail, close);
    }
    strcat(text, "{\"class_name\":\"Identity\",\"name\":\"n\",\"config\":{\"name\":\"n\"},\"inbound_nodes\":"
                 "[[[\"i\",0,0,{}]],[[\"n\",0,0,{}]],[[\"n\",1,0,{}]]]}");
    strcat(text, tail);
    check_fails(text, FILTAGS_ERROR_FORMAT, "calls of layers expected");
    free(text);
    free(tail);
}

/* ------------------------------------------------------------------ models */

static void input_sizes(void **state) {
    (void)state;
    char text[TEXT_BYTES];
    const char *format = "{\"class_name\":\"Sequential\",\"config\":{\"name\":\"s\",\"layers\":[{\"class_name\":"
    "\"Flatten\","
                         "\"config\":{\"name\":\"x\"%s}}]%s}}";
    snprintf(text, sizeof text, format, "", ",\"build_input_shape\":[null,null,7,3]");
    check_fails(text, FILTAGS_ERROR_DATA, "leaves its input's height free: give it by --size HxW");
    assert_int_equal(build_sized(text, false, 5, 0), FILTAGS_OK);
    assert_string_equal(shape_of(&output_node()->shape), "(105)");
    graph_destroy(&graph);
    assert_int_equal(build_sized(text, false, 5, 8), FILTAGS_ERROR_DATA);
    assert_non_null(strstr(filtags_error_message(), "input has width 7, 8 was asked for"));
    snprintf(text, sizeof text, format, ",\"batch_input_shape\":[null,4,4,2]", "");
    check_ok(text, "(32)");
    assert_int_equal(graph.n_layers, 1); /* Keras lists no input for a Sequential */
    assert_string_equal(graph.layers[0].info.name, "x");
    snprintf(text, sizeof text, format, "", "");
    check_fails(text, FILTAGS_ERROR_DATA, "does not say its input's shape");
    snprintf(text, sizeof text, format, "", ",\"build_input_shape\":[null,10]");
    check_fails(text, FILTAGS_ERROR_UNSUPPORTED, "height, width and channels expected, got [null,10]");
    snprintf(text, sizeof text, format, "", ",\"build_input_shape\":[null,7,7,null]");
    check_fails(text, FILTAGS_ERROR_DATA, "how many channels");
    snprintf(text, sizeof text, format, "", ",\"build_input_shape\":[null,-7,7,3]");
    check_fails(text, FILTAGS_ERROR_FORMAT, "height is not in 1..2^24");
    snprintf(text, sizeof text, format, "", ",\"build_input_shape\":[null,16777216,16777216,3]");
    check_fails(text, FILTAGS_ERROR_UNSUPPORTED, "2^31");
}

static void bad_configurations(void **state) {
    (void)state;
    check_fails("", FILTAGS_ERROR_FORMAT, "m.keras: JSON expected");
    check_fails("{\"class_name\":", FILTAGS_ERROR_FORMAT, "JSON expected, line 1");
    check_fails("[1,2]", FILTAGS_ERROR_FORMAT, "has no 'class_name'");
    check_fails("{\"class_name\":\"Functional\"}", FILTAGS_ERROR_FORMAT, "has no 'config'");
    check_fails("{\"class_name\":\"MyModel\",\"config\":{}}", FILTAGS_ERROR_UNSUPPORTED, "got 'MyModel'");
    check_fails("{\"class_name\":\"Sequential\",\"config\":{}}", FILTAGS_ERROR_FORMAT, "no list 'layers'");
    check_fails("{\"class_name\":\"Sequential\",\"config\":{\"layers\":[]}}", FILTAGS_ERROR_FORMAT, "or it is empty");
    check_fails("{\"class_name\":\"Sequential\",\"config\":{\"layers\":[3]}}", FILTAGS_ERROR_FORMAT,
                "layer number 0 of '': the configuration has no 'class_name'");
    check_fails(sequential("{\"class_name\":\"Flatten\",\"config\":{}}"), FILTAGS_ERROR_FORMAT, "has no 'name'");
    check_fails(sequential("{\"class_name\":\"Flatten\",\"name\":\"x\"}"), FILTAGS_ERROR_FORMAT, "has no 'config'");
    check_fails(sequential("{\"class_name\":\"InputLayer\",\"config\":{\"name\":\"x\"}}"), FILTAGS_ERROR_UNSUPPORTED,
                "an InputLayer within a Sequential");
    check_fails(one_layer("Foo\\n", ""), FILTAGS_ERROR_UNSUPPORTED, "class 'Foo?' is not supported");
    check_fails(sequential("{\"class_name\":\"Conv2D\",\"module\":\"mine\",\"registered_name\":\"Custom>Conv2D\""
    ",\"config\":"
                           "{\"name\":\"x\"}}"), FILTAGS_ERROR_UNSUPPORTED,
                               "class 'Conv2D' (module 'mine') is not supported");
    check_fails(sequential("{\"class_name\":\"Add\",\"module\":\"keras.src.ops.numpy\",\"config\":{\"name\":\"x\"}}"),
                FILTAGS_ERROR_UNSUPPORTED, "operation 'Add'");
    char text[TEXT_BYTES];
    strcpy(text, functional("{\"class_name\":\"Flatten\",\"name\":\"out\",\"config\":{\"name\":\"out\"},\"inboun"
    "d_nodes\":"
                            "[[[\"in\",0,0,{}]]]}"));
    check_ok(text, "(480)");
    memcpy(strstr(text, "input_layers"), "imput_layers", 12);
    check_fails(text, FILTAGS_ERROR_UNSUPPORTED, "input_layers: a list of layers expected");
    strcpy(text, functional("{\"class_name\":\"Flatten\",\"name\":\"out\",\"config\":{\"name\":\"out\"},\"inboun"
    "d_nodes\":"
                            "[[[\"in\",0,0,{}]]]}"));
    memcpy(strstr(text, "[[\"out\",0"), "[[\"oak\",0", 9);
    check_fails(text, FILTAGS_ERROR_FORMAT, "output_layers: there is no layer 'oak'");
    check_fails("{\"class_name\":\"Functional\",\"config\":{\"layers\":[{\"class_name\":\"InputLayer\",\"config"
    "\":{\"name\":"
                "\"a\"}},{\"class_name\":\"InputLayer\",\"config\":{\"name\":\"b\"}}],\"input_layers\":[[\"a\",0"
                ",0],[\"b\",0,0]],"
                "\"output_layers\":[\"a\",0,0]}}", FILTAGS_ERROR_UNSUPPORTED, "one input expected, got 2");
    check_fails("{\"class_name\":\"Functional\",\"config\":{\"layers\":[{\"class_name\":\"InputLayer\",\"config"
    "\":{\"name\":"
                "\"a\"}},{\"class_name\":\"InputLayer\",\"config\":{\"name\":\"b\"}}],\"input_layers\":[\"a\",0,0],"
                "\"output_layers\":[\"a\",0,0]}}", FILTAGS_ERROR_FORMAT, "layer 'b' is not in 'input_layers'");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(conv2d, clean),
        cmocka_unit_test_teardown(conv2d_refused, clean),
        cmocka_unit_test_teardown(other_convolutions, clean),
        cmocka_unit_test_teardown(pooling, clean),
        cmocka_unit_test_teardown(shapes, clean),
        cmocka_unit_test_teardown(scaling, clean),
        cmocka_unit_test_teardown(activations, clean),
        cmocka_unit_test_teardown(merges, clean),
        cmocka_unit_test_teardown(layer_called_twice, clean),
        cmocka_unit_test_teardown(calls_refused, clean),
        cmocka_unit_test_teardown(nested_model_called_twice, clean),
        cmocka_unit_test_teardown(deep_network, clean),
        cmocka_unit_test_teardown(nesting_bomb, clean),
        cmocka_unit_test_teardown(input_sizes, clean),
        cmocka_unit_test_teardown(bad_configurations, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
