/* The engine against the naive one, on networks built by hand; and that a picture's result is the same to the last bit
 * whatever runs beside it. */
#include <pthread.h>

#include "engine/engine.h"
#include "engine_network.h"

static const struct padding NO_PADDING = {0, 0, 0, 0};

/* ------------------------------------------------------------------ operators */

static void check_conv(size_t h, size_t w, size_t c_in, size_t c_out, size_t groups, struct window window,
                       bool has_bias) {
    struct network network;
    char name[160];
    snprintf(name, sizeof name, "conv %zux%zux%zu -> %zu, %zu groups, %zux%zu / %zu dilated %zu", h, w, c_in, c_out,
             groups, window.kernel_h, window.kernel_w, window.stride_h, window.dilation_h);
    const int input = network_start(&network, (uint32_t)(h + 3 * c_in + 7 * c_out + groups), shape_3(h, w, c_in));
    add_conv(&network, input, window, groups, c_out, has_bias);
    check_network(&network, name);
    network_free(&network);
}

static void conv_channels(void **state) {
    (void)state;
    static const size_t counts[] = {1, 3, 5, 8, 13, 16, 17, 33};
    for (size_t i = 0; i < 8; i++)
        for (size_t o = 0; o < 8; o++) {
            check_conv(9, 7, counts[i], counts[o], 1, window_of(3, 3, 1, 1, (struct padding){1, 1, 1, 1}), o % 2);
            check_conv(6, 10, counts[i], counts[o], 1, window_of(1, 1, 1, 1, NO_PADDING), i % 2);
        }
}

static void conv_windows(void **state) {
    (void)state;
    for (size_t stride = 1; stride <= 3; stride++)
        for (size_t dilation = 1; dilation <= 2; dilation++)
            for (size_t kernel = 1; kernel <= 7; kernel += 2) {
                check_conv(17, 15, 6, 20, 1, window_of(kernel, kernel, stride, dilation, NO_PADDING), true);
                check_conv(14, 16, 16, 9, 1, window_of(kernel, kernel, stride, dilation, (struct padding){0, 1, 0, 1}),
                           true);
                check_conv(13, 13, 5, 32, 1, window_of(kernel, 1, stride, dilation, (struct padding){2, 3, 1, 0}),
                           false);
            }
    check_conv(5, 6, 4, 8, 1, window_of(7, 7, 1, 1, (struct padding){3, 3, 3, 3}), true); /* larger than the picture */
    check_conv(12, 9, 8, 8, 1, (struct window){3, 2, 2, 1, 1, 3, {1, 0, 2, 1}}, true);
    check_conv(3, 3, 4, 4, 1, window_of(3, 3, 1, 1, (struct padding){5, 4, 4, 5}), true); /* windows of padding alone */
    check_conv(1, 1, 70, 130, 1, window_of(1, 1, 1, 1, NO_PADDING), true);
}

static void conv_groups(void **state) {
    (void)state;
    static const size_t shapes[][3] = {{4, 8, 2}, {6, 6, 3}, {15, 10, 5}, {32, 64, 4}, {34, 34, 17}, {16, 16, 16},
                                       {7, 7, 7}, {5, 15, 5}, {8, 16, 8}, {48, 48, 48}, {33, 66, 33}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        check_conv(9, 8, shapes[i][0], shapes[i][1], shapes[i][2], window_of(3, 3, 1, 1, (struct padding){1, 1, 1, 1}),
                   true);
        check_conv(9, 8, shapes[i][0], shapes[i][1], shapes[i][2], window_of(3, 3, 2, 1, (struct padding){0, 1, 0, 1}),
                   false);
        check_conv(9, 8, shapes[i][0], shapes[i][1], shapes[i][2], window_of(3, 3, 1, 2, (struct padding){2, 2, 2, 2}),
                   true);
    }
}

static void dense(void **state) {
    (void)state;
    static const size_t counts[] = {1, 2, 31, 32, 33, 64, 100, 256, 257, 1030};
    struct network network;
    for (size_t i = 0; i < 10; i++)
        for (size_t o = 0; o < 10; o++) {
            const int input = network_start(&network, (uint32_t)(i * 10 + o), shape_1(counts[i]));
            add_dense(&network, input, counts[o], o % 2);
            check_network(&network, "dense");
            network_free(&network);
        }
    const int input = network_start(&network, 5, shape_3(7, 9, 21)); /* on the last axis of a map */
    add_dense(&network, input, 45, true);
    check_network(&network, "dense on maps");
    network_free(&network);
}

static void activations(void **state) {
    (void)state;
    static const struct activation kinds[] = {
        {ACT_LINEAR, 0, 0, 0}, {ACT_RELU, 0, INFINITY, 0}, {ACT_RELU, 0, 6, 0}, {ACT_RELU, 0.2f, INFINITY, 0},
        {ACT_RELU, 0.1f, 1, 0.3f}, {ACT_RELU, 0, 0.9f, -0.4f}, {ACT_ELU, 1.3f, 0, 0}, {ACT_SELU, 0, 0, 0},
        {ACT_GELU, 0, 0, 0}, {ACT_GELU_TANH, 0, 0, 0}, {ACT_SILU, 0, 0, 0}, {ACT_SIGMOID, 0, 0, 0}, {ACT_TANH, 0, 0, 0},
        {ACT_SOFTPLUS, 0, 0, 0}, {ACT_SOFTSIGN, 0, 0, 0}, {ACT_EXPONENTIAL, 0, 0, 0}, {ACT_MISH, 0, 0, 0},
        {ACT_HARD_SIGMOID, 0, 0, 0}, {ACT_HARD_SIGMOID_KERAS2, 0, 0, 0}, {ACT_HARD_SILU, 0, 0, 0}};
    static const float scales[] = {1e-6f, 1, 20, 80};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (size_t s = 0; s < 4; s++) {
            struct network network;
            const int input = network_start(&network, (uint32_t)i, shape_3(5, 7, 9));
            float *images = random_values(&network.random, 5 * 7 * 9, scales[s], 0);
            add_activation(&network, input, kinds[i]);
            struct result fast = network_result(&network, images, 1, 1, (filtags_engine_options){.wants_output = true});
            struct result naive = network_result(&network, images, 1, 1,
                                                 (filtags_engine_options){.wants_output = true, .is_reference = true});
            for (size_t k = 0; k < fast.n_outputs; k++) {
                /* functions of x that cancel near 0 (or far below it) are exact to 1e-9 of the input, all others are as
                 * good as exact: they may be rounded to the float beside the right one */
                const double expected = (double)naive.outputs[k], error = fabs((double)fast.outputs[k] - expected);
                if (!(error <= 1.3e-7 * fabs(expected) + 1e-9 * fmin(1, fabs((double)images[k])) + 1e-44))
                    fail_msg("activation %zu of %.9g: %.9g expected, got %.9g", i, (double)images[k], expected,
                             (double)fast.outputs[k]);
            }
            result_free(&fast);
            result_free(&naive);
            free(images);
            network_free(&network);
        }
}

/* Averages in padding on all sides, of whole vectors of channels. */
static void averages_in_padding(void **state) {
    (void)state;
    for (size_t i = 0; i < 81; i++)
        for (size_t w = 1; w <= 5; w++) {
            const struct padding padding = {i % 3, i / 3 % 3, i / 9 % 3, i / 27};
            struct network network;
            if (w + padding.left + padding.right < 3) continue;
            const int input = network_start(&network, (uint32_t)(i + w), shape_3(4, w, 48));
            add_pool(&network, input, OP_AVG_POOL, window_of(3, 3, 1, 1, padding));
            check_network(&network, "average of 3x3");
            network_free(&network);
        }
}

static void pools(void **state) {
    (void)state;
    for (int op = OP_MAX_POOL; op <= OP_AVG_POOL; op++)
        for (size_t kernel = 1; kernel <= 3; kernel++)
            for (size_t stride = 1; stride <= 3; stride++)
                for (size_t c = 1; c <= 20; c += 19) {
                    struct network network;
                    int input = network_start(&network, (uint32_t)(kernel + stride), shape_3(8, 11, c));
                    add_pool(
                        &network, input, op,
                        window_of(kernel, kernel, stride, 1, (struct padding){kernel / 2, kernel > 1, 0, kernel / 2}));
                    check_network(&network, "pool");
                    network_free(&network);
                    input = network_start(&network, 3, shape_3(8, 11, c));
                    add_plain(&network, op == OP_MAX_POOL ? OP_GLOBAL_MAX_POOL : OP_GLOBAL_AVG_POOL, shape_1(c), &input,
                              1);
                    check_network(&network, "global pool");
                    network_free(&network);
                }
}

static void moves(void **state) {
    (void)state;
    struct network network;
    int input = network_start(&network, 1, shape_3(6, 5, 7));
    int node = add_padding(&network, input, OP_PAD, (struct padding){1, 2, 3, 0});
    node = add_padding(&network, node, OP_CROP, (struct padding){2, 1, 0, 4});
    struct node upsample = plain_node(OP_UPSAMPLE, shape_3(12, 12, 7));
    upsample.factor_h = 2;
    upsample.factor_w = 3;
    node = add_node(&network, upsample, &node, 1);
    upsample.shape = shape_3(36, 24, 7);
    upsample.factor_h = 3;
    upsample.factor_w = 2;
    upsample.is_bilinear = true;
    node = add_node(&network, upsample, &node, 1);
    node = add_plain(&network, OP_RESHAPE, shape_3(18, 12, 28), &node, 1);
    node = add_plain(&network, OP_SOFTMAX, shape_3(18, 12, 28), &node, 1);
    node = add_plain(&network, OP_RESHAPE, shape_1(18 * 12 * 28), &node, 1);
    add_plain(&network, OP_IDENTITY, shape_1(18 * 12 * 28), &node, 1);
    check_network(&network, "moves");
    network_free(&network);
}

static void broadcasting(void **state) {
    (void)state;
    static const struct shape shapes[] = {{3, {6, 5, 7}}, {3, {1, 1, 7}}, {3, {6, 5, 1}}, {3, {1, 5, 7}},
                                          {3, {6, 1, 1}}, {1, {7}},       {2, {5, 7}},    {1, {1}}};
    for (int op = OP_ADD; op <= OP_MINIMUM; op++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            for (int is_swapped = 0; is_swapped < 2; is_swapped++) {
                struct network network;
                char name[64];
                const int input = network_start(&network, (uint32_t)i + 5, shape_3(6, 5, 7));
                int other = add_plain(&network, OP_CROP, shape_3(6, 5, 7), &input, 1);
                other = add_batch_norm(&network, other);
                if (shape_count(&shapes[i]) != 210) { /* any tensor of that shape will do */
                    other = add_plain(&network, OP_RESHAPE, shape_1(210), &other, 1);
                    other = add_dense(&network, other, shape_count(&shapes[i]), true);
                    other = add_plain(&network, OP_RESHAPE, shapes[i], &other, 1);
                }
                add_plain(&network, op, shape_3(6, 5, 7), is_swapped ? (int[]){other, input} : (int[]){input, other},
                          2);
                snprintf(name, sizeof name, "operator %d, shape %zu", op, i);
                check_network(&network, name);
                if (op != OP_SUBTRACT) {
                    add_plain(&network, op, shape_3(6, 5, 7), (int[]){other, input, other, input}, 4);
                    check_network(&network, name);
                }
                network_free(&network);
            }
}

/* A block of every kind of network, with inputs that are read again after something may have been written over them. */
static int add_blocks(struct network *network, int node) {
    const struct padding one = {1, 1, 1, 1};
    const struct window three = window_of(3, 3, 1, 1, one);
    const int padded = add_padding(network, node, OP_PAD, one); /* taken in by the convolution unless it is tapped */
    node = add_conv(network, padded, window_of(3, 3, 2, 1, NO_PADDING), 1, 12, true);
    node = add_relu(network, add_batch_norm(network, node));
    const int shortcut = node; /* as in ResNet */
    node = add_relu(network, add_batch_norm(network, add_conv(network, node, three, 1, 12, false)));
    node = add_batch_norm(network, add_conv(network, node, three, 1, 12, false));
    const struct shape shape = *network_shape(network, node);
    node = add_plain(network, OP_ADD, shape, (int[]){shortcut, node}, 2);
    const int sum = add_relu(network, node);
    node = add_batch_norm(network, sum); /* as in ResNetV2: the sum is read again */
    node = add_conv(network, add_relu(network, node), three, 3, 12, true);
    const int before = add_plain(network, OP_ADD, shape, (int[]){sum, node}, 2);
    const int twice = add_plain(network, OP_MULTIPLY, shape, (int[]){before, before}, 2);
    const int branch_1 = add_relu(network, add_conv(network, before, window_of(1, 1, 1, 1, NO_PADDING), 1, 5, true));
    const int branch_2 = add_pool(network, before, OP_AVG_POOL, three);
    const int branch_3 = add_plain(network, OP_IDENTITY, shape, &twice, 1);
    return add_plain(network, OP_CONCAT, shape_3(shape.dim[0], shape.dim[1], 5 + 12 + 12),
                     (int[]){branch_1, branch_2, branch_3}, 3);
}

static void network_of_everything(struct network *network) {
    int node = network_start(network, 77, shape_3(13, 17, 3));
    node = add_blocks(network, node);
    node = add_blocks(network, node);
    const struct shape shape = *network_shape(network, node);
    node = add_plain(network, OP_RESHAPE, shape_1(shape_count(&shape)), &node, 1);
    node = add_relu(network, add_dense(network, node, 40, true));
    node = add_dense(network, node, 10, true);
    add_plain(network, OP_SOFTMAX, shape_1(10), &node, 1);
}

/* Every choice of taps gives another plan: one layer, all layers up to one, all. */
static void taps(void **state) {
    (void)state;
    struct network network;
    size_t layers[MAX_NODES];
    network_of_everything(&network);
    check_network(&network, "everything");
    const size_t n_layers = network_layers(&network, layers);
    float *images = random_values(&network.random, 3 * 13 * 17 * 3, 1, 0);
    struct result all = network_result(&network, images, 3, 3, (filtags_engine_options){.wants_output = true});
    size_t first_filter = 0;
    for (size_t i = 0; i < n_layers; i++) {
        const size_t n_filters = network_shape(&network, (int)layers[i])->dim[2];
        for (int wants_output = 0; wants_output < 2; wants_output++) {
            struct result one = network_result(
                &network, images, 3, 2,
                (filtags_engine_options){.layers = &layers[i], .n_layers = 1, .wants_output = wants_output});
            assert_int_equal(one.n_filters, n_filters);
            for (size_t image = 0; image < 3; image++)
                assert_memory_equal(one.activations + image * n_filters,
                                    all.activations + image * all.n_filters + first_filter,
                                    n_filters * sizeof *one.activations);
            if (wants_output) assert_memory_equal(one.outputs, all.outputs, 3 * all.n_outputs * sizeof *one.outputs);
            result_free(&one);
        }
        first_filter += n_filters;
    }
    assert_int_equal(first_filter, all.n_filters);
    result_free(&all);
    free(images);
    network_free(&network);
}

/* ------------------------------------------------------------------ same bits */

static void check_same(const struct result *a, const struct result *b) {
    assert_int_equal(a->n_filters, b->n_filters);
    assert_memory_equal(a->activations, b->activations, a->n_images * a->n_filters * sizeof *a->activations);
    if (a->outputs && b->outputs)
        assert_memory_equal(a->outputs, b->outputs, a->n_images * a->n_outputs * sizeof *a->outputs);
}

static void same_bits_for_batches(void **state) {
    (void)state;
    struct network network;
    network_of_everything(&network);
    enum { N_IMAGES = 9, N_INPUTS = 13 * 17 * 3 };
    float *images = random_values(&network.random, N_IMAGES * N_INPUTS, 1, 0);
    struct result single = network_result(&network, images, N_IMAGES, 1,
                                          (filtags_engine_options){.wants_output = true});
    for (size_t batch = 2; batch <= 5; batch++) {
        struct result result = network_result(&network, images, N_IMAGES, batch,
                                              (filtags_engine_options){.wants_output = batch % 2});
        check_same(&result, &single);
        result_free(&result);
    }
    /* unaligned pictures, and more room than pictures */
    float *moved = malloc((N_IMAGES * N_INPUTS + 1) * sizeof *moved);
    memcpy(moved + 1, images, N_IMAGES * N_INPUTS * sizeof *moved);
    struct result result = network_result(&network, moved + 1, N_IMAGES, 20,
                                          (filtags_engine_options){.wants_output = true});
    check_same(&result, &single);
    result_free(&result);
    result_free(&single);
    free(moved);
    free(images);
    network_free(&network);
}

/* A network whose nodes are noted; where they shall lie apart, each is also read by a crop of nothing, which reads no
 * channels of a wider map. */
struct branched {
    struct network network;
    int nodes[MAX_NODES];
    size_t n_nodes;
    bool is_apart;
};

static int note(struct branched *made, int node) {
    made->nodes[made->n_nodes++] = node;
    if (made->is_apart) add_padding(&made->network, node, OP_CROP, NO_PADDING);
    return node;
}

static int note_conv(struct branched *made, int node, size_t size, size_t c, bool has_bias) {
    const struct padding same = {size / 2, size / 2, size / 2, size / 2};
    return note(made, add_conv(&made->network, node, window_of(size, size, 1, 1, same), 1, c, has_bias));
}

static int note_concat(struct branched *made, const int *branches, size_t n_branches) {
    struct shape shape = *network_shape(&made->network, branches[0]);
    for (size_t i = 1; i < n_branches; i++) shape.dim[2] += network_shape(&made->network, branches[i])->dim[2];
    return note(made, add_plain(&made->network, OP_CONCAT, shape, branches, n_branches));
}

/* Branches of every kind: convolutions with and without normalization, poolings, concatenations, layers that do nothing
 * or something else to each value, a shortcut, the same branch twice, a dense layer. */
static int note_inception(struct branched *made, int input) {
    struct network *network = &made->network;
    const struct padding one = {1, 1, 1, 1};
    const struct window three = window_of(3, 3, 1, 1, one);
    int a = note(made, add_batch_norm(network, note_conv(made, input, 1, 16, false)));
    a = note(made, add_relu(network, a));
    const int inner = note_conv(made, input, 3, 24, true);
    int left = note(made, add_batch_norm(network, note_conv(made, inner, 3, 7, false)));
    left = note(made, add_relu(network, left));
    const int right = note(made, add_activation(network, note_conv(made, inner, 1, 18, true),
                                                (struct activation){.kind = ACT_SILU}));
    const int b = note_concat(made, (int[]){left, right}, 2);
    const int c = note(made, add_pool(network, input, OP_MAX_POOL, three));
    const struct shape shape = *network_shape(network, c);
    const int d = note(made, add_plain(network, OP_IDENTITY, shape,
                                       (int[]){note(made, add_pool(network, input, OP_AVG_POOL, three))}, 1));
    const int sum = note(made, add_plain(network, OP_ADD, shape,
                                         (int[]){note_conv(made, input, 3, shape.dim[2], true), input}, 2));
    const int dense = note(made, add_dense(network, sum, 9, true));
    return note_concat(made, (int[]){a, b, c, d, a, dense, input}, 7);
}

/* Each layer sees all that is before it; behind that a convolution reads it all. */
static void build_branched(struct branched *made, bool is_apart) {
    *made = (struct branched){.is_apart = is_apart};
    int node = network_start(&made->network, 12, shape_3(13, 11, 3));
    node = note_inception(made, note_conv(made, node, 3, 19, true));
    for (size_t i = 0; i < 2; i++) {
        int layer = note(made, add_relu(&made->network, note(made, add_batch_norm(&made->network, node))));
        layer = note_conv(made, layer, i ? 3 : 1, 20, i);
        node = note_concat(made, (int[]){node, layer}, 2);
    }
    add_conv(&made->network, node, window_of(1, 1, 1, 1, NO_PADDING), 1, 5, true);
}

/* Activations of the noted layers alone. */
static filtags_activation *noted_activations(struct branched *made, const float *images, size_t n_images, size_t batch,
                                             const int *is_among, size_t *n_filters) {
    struct network *network = &made->network;
    size_t layers[MAX_NODES];
    const size_t n_layers = network_layers(network, layers);
    filtags_engine *engine = network_engine(network, (filtags_engine_options){
        .layers = layers, .n_layers = n_layers, .max_batch = batch, .wants_output = true});
    for (size_t i = 0; is_among && i < made->n_nodes; i++) {
        const struct plan_place *place = &engine->plan.places[made->nodes[i]];
        const bool is_spread = place->pixel_floats != network_shape(network, made->nodes[i])->dim[2];
        /* oneDNN, where it is cheaper on this processor, writes maps of its own alone */
        const bool is_expected = is_among[i] && !engine->prepared[made->nodes[i]].conv;
        if (is_spread != is_expected)
            fail_msg("layer %d: %s expected", made->nodes[i], is_expected ? "a place in another map" : "its own map");
    }
    struct result result = engine_result(engine, network, images, n_images, batch, true);
    filtags_activation *noted = calloc(n_images * result.n_filters, sizeof *noted), *to = noted;
    assert_non_null(noted);
    for (size_t image = 0; image < n_images; image++) {
        const filtags_activation *from = result.activations + image * result.n_filters;
        for (size_t i = 0, k = 0; i < n_layers; i++) {
            const size_t c = network_shape(network, (int)layers[i])->dim[2];
            if (k < made->n_nodes && made->nodes[k] == (int)layers[i]) {
                memcpy(to, from, c * sizeof *to);
                to += c;
                k++;
            }
            from += c;
        }
    }
    *n_filters = (size_t)(to - noted) / n_images;
    result_free(&result);
    filtags_engine_destroy(engine);
    return noted;
}

/* Branches that are written into the map of their concatenation, or copied there: the same bits. */
static void same_bits_among_channels(void **state) {
    (void)state;
    enum { N_IMAGES = 3 };
    /* In the order of the notes: what lies among another map's channels when nothing else reads it. Apart are the
     * inputs of convolutions and poolings, and what a dense layer reads. */
    static const int among[] = {0,                /* the first convolution */
                                1, 1, 1,          /* a: convolution, normalization, ReLU */
                                0, 1, 1, 1, 1, 1, /* inner; left: three; right: two */
                                1, 1, 1, 1,       /* b, c, d and what it is an alias of */
                                0, 0, 1, 1,       /* a convolution, the sum, dense; all of it, in the next */
                                0, 0, 1, 1,       /* first layer; its concatenation, in the next */
                                0, 0, 1, 0};      /* second layer; the last concatenation */
    struct branched together, apart;
    build_branched(&together, false);
    build_branched(&apart, true);
    assert_int_equal(together.n_nodes, sizeof among / sizeof *among);
    static const int nowhere[MAX_NODES] = {0};
    float *images = random_values(&together.network.random, N_IMAGES * 13 * 11 * 3, 1, 0);
    size_t n_filters, n_apart;
    filtags_activation *expected = noted_activations(&apart, images, N_IMAGES, 1, nowhere, &n_apart);
    for (size_t batch = 1; batch <= N_IMAGES; batch++) {
        filtags_activation *got = noted_activations(&together, images, N_IMAGES, batch, among, &n_filters);
        assert_int_equal(n_filters, n_apart);
        assert_memory_equal(got, expected, N_IMAGES * n_filters * sizeof *got);
        free(got);
    }
    check_network(&together.network, "branches");
    check_network(&apart.network, "branches apart");
    free(expected);
    free(images);
    network_free(&together.network);
    network_free(&apart.network);
}

/* Activations of a ReLU behind a convolution and of the pooling behind that: [n_images, n_filters]. With
 * is_kept the map between them is also read by something else, so that it is there as a whole. */
static struct result pool_result(struct window pool, enum op_kind op, size_t c_in, size_t size, bool is_kept,
                                 bool has_norm, size_t *n_pooled) {
    enum { N_IMAGES = 3 };
    struct network network;
    const struct padding same = {size / 2, size / 2, size / 2, size / 2};
    int node = network_start(&network, 5, shape_3(61, 83, c_in));
    const int conv = node = add_conv(&network, node, window_of(size, size, 1, 1, same), 1, 33, true);
    if (has_norm) node = add_batch_norm(&network, node);
    const int map = add_relu(&network, node), pooled = add_pool(&network, map, op, pool);
    if (is_kept) add_padding(&network, map, OP_CROP, NO_PADDING);
    else add_relu(&network, pooled);
    const int last = (int)network.model.graph.output_node;
    float *images = random_values(&network.random, N_IMAGES * 61 * 83 * c_in, 1, 0.5f);
    const size_t layers[] = {(size_t)map, (size_t)pooled, (size_t)last};
    filtags_engine *engine = network_engine(&network, (filtags_engine_options){
        .layers = layers, .n_layers = is_kept ? 3 : 2, .max_batch = 2});
    bool is_passing = false, is_pooled = false;
    for (size_t g = 0; g < engine->plan.n_groups; g++) {
        is_pooled = is_pooled || engine->plan.groups[g].is_pooled;
        is_passing = is_passing || engine->plan.groups[g].is_passing;
    }
    const bool is_ours = engine->prepared[conv].own; /* oneDNN's maps come as a whole */
    assert_int_equal(is_pooled, is_ours);
    assert_int_equal(is_passing, is_ours && !is_kept);
    if (is_ours) ++*n_pooled;
    struct result result = engine_result(engine, &network, images, N_IMAGES, 2, false);
    filtags_engine_destroy(engine);
    network_free(&network);
    free(images);
    return result;
}

/* A map of which only the rows are kept that a pooling needs next, or the whole of it: the same bits. Units of
 * convolutions are rows of tiles (of 4 or 5), rows, and pixels. */
static void same_bits_for_poolings(void **state) {
    (void)state;
    static const struct { size_t c_in, size; } convs[] = {{20, 3}, {20, 5}, {3, 3}, {20, 1}};
    const struct window pools[] = {window_of(2, 2, 2, 1, NO_PADDING), window_of(3, 3, 2, 1, NO_PADDING),
                                   window_of(3, 3, 1, 1, (struct padding){1, 1, 1, 1}),
                                   window_of(3, 3, 2, 1, (struct padding){2, 1, 0, 1}),
                                   window_of(1, 2, 3, 1, NO_PADDING), window_of(5, 4, 3, 1, NO_PADDING)};
    size_t n_pooled = 0;
    for (size_t i = 0; i < sizeof convs / sizeof *convs; i++)
        for (size_t p = 0; p < sizeof pools / sizeof *pools; p++) {
            const enum op_kind op = (i + p) % 2 ? OP_MAX_POOL : OP_AVG_POOL;
            struct result passing = pool_result(pools[p], op, convs[i].c_in, convs[i].size, false, p % 3 == 0,
                                                &n_pooled);
            struct result kept = pool_result(pools[p], op, convs[i].c_in, convs[i].size, true, p % 3 == 0,
                                             &n_pooled);
            for (size_t image = 0; image < passing.n_images; image++)
                assert_memory_equal(passing.activations + image * passing.n_filters,
                                    kept.activations + image * kept.n_filters,
                                    passing.n_filters * sizeof *passing.activations);
            result_free(&passing);
            result_free(&kept);
        }
    assert_true(n_pooled > 0);
}

/* How many groups run picture by picture, and that all pictures share their memory. */
static void check_alone(struct network *network, size_t n_alone) {
    filtags_engine *engine = network_engine(network, (filtags_engine_options){.wants_output = true, .max_batch = 2});
    const struct plan *plan = &engine->plan;
    assert_int_equal(plan->n_alone, n_alone);
    for (size_t i = 1; i < plan->n_storages; i++)
        assert_int_equal(plan->storages[i].is_passed_on, plan->storages[i].last_group >= n_alone);
    assert_true(plan->picture_floats > 0);
    filtags_engine_destroy(engine);
}

/* Convolutions with so many weights that they run for all pictures at once, and what is fused behind them. */
static void same_bits_for_large_layers(void **state) {
    (void)state;
    struct network network;
    enum { N_IMAGES = 5, N_INPUTS = 13 * 11 * 3, C = 180 };
    const struct padding one = {1, 1, 1, 1};
    int node = network_start(&network, 31, shape_3(13, 11, 3));
    node = add_relu(&network, add_conv(&network, node, window_of(3, 3, 1, 1, one), 1, C, true));
    const int shortcut = node;
    node = add_batch_norm(&network, add_conv(&network, node, window_of(3, 3, 1, 1, one), 1, C, false));
    node = add_relu(&network, add_plain(&network, OP_ADD, shape_3(13, 11, C), (int[]){shortcut, node}, 2));
    node = add_conv(&network, node, window_of(3, 3, 2, 1, one), 1, C, true);
    node = add_relu(&network, add_conv(&network, node, window_of(1, 1, 1, 1, NO_PADDING), 1, 1500, true));
    node = add_padding(&network, add_relu(&network, add_batch_norm(&network, node)), OP_PAD, one);
    add_conv(&network, node, window_of(1, 7, 1, 1, NO_PADDING), 1, 40, true);
    check_network(&network, "large layers");
    check_alone(&network, 2); /* that of the input, and the first convolution */
    float *images = random_values(&network.random, N_IMAGES * N_INPUTS, 1, 0);
    /* the convolutions and their normalizations are layers that come out as they are in between, or not at all */
    static const size_t choices[][2] = {{10, 12}, {3, 12}, {4, 12}, {2, 5}, {9, 10}};
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        const filtags_engine_options options = {.layers = choices[i], .n_layers = 2, .wants_output = true};
        struct result single = network_result(&network, images, N_IMAGES, 1, options);
        for (size_t batch = 2; batch <= N_IMAGES; batch++) {
            struct result result = network_result(&network, images, N_IMAGES, batch, options);
            check_same(&result, &single);
            result_free(&result);
        }
        struct result naive = network_result(
            &network, images, N_IMAGES, 1,
            (filtags_engine_options){.layers = choices[i], .n_layers = 2, .wants_output = true, .is_reference = true});
        assert_true(result_difference(&single, &naive) < 1e-5);
        result_free(&naive);
        result_free(&single);
    }
    free(images);
    network_free(&network);
}

struct job {
    filtags_engine *engine;
    struct network *network;
    const float *images;
    struct result result;
};

static void *run_job(void *user) {
    struct job *job = user;
    job->result = engine_result(job->engine, job->network, job->images, 8, 3, true);
    return NULL;
}

static void same_bits_for_threads(void **state) {
    (void)state;
    struct network network;
    struct job jobs[3];
    pthread_t threads[3];
    size_t layers[MAX_NODES];
    network_of_everything(&network);
    float *images = random_values(&network.random, 8 * 13 * 17 * 3, 1, 0);
    filtags_engine *engine = network_engine(&network, (filtags_engine_options){
        .layers = layers, .n_layers = network_layers(&network, layers), .wants_output = true, .max_batch = 4});
    for (size_t i = 0; i < 3; i++) {
        jobs[i] = (struct job){engine, &network, images, {0}};
        assert_int_equal(pthread_create(&threads[i], NULL, run_job, &jobs[i]), 0);
    }
    struct job own = {engine, &network, images, {0}};
    run_job(&own);
    for (size_t i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        check_same(&jobs[i].result, &own.result);
        result_free(&jobs[i].result);
    }
    result_free(&own.result);
    filtags_engine_destroy(engine);
    free(images);
    network_free(&network);
}

/* ------------------------------------------------------------------ statistics, failures */

static void values_that_are_not_finite(void **state) {
    (void)state;
    struct network network;
    network_of_everything(&network);
    enum { N_INPUTS = 13 * 17 * 3 };
    float *images = random_values(&network.random, 5 * N_INPUTS, 1, 0);
    images[1 * N_INPUTS + 55] = NAN;
    images[3 * N_INPUTS + 200] = INFINITY;
    images[4 * N_INPUTS + 0] = -3e38f; /* overflows later on */
    for (int is_reference = 0; is_reference < 2; is_reference++) {
        struct result result = network_result(
            &network, images, 5, 5, (filtags_engine_options){.wants_output = true, .is_reference = is_reference});
        assert_int_equal(result.bad_layers[0], -1);
        assert_int_equal(result.bad_layers[1], 0); /* the input is a layer that is tapped here */
        assert_int_equal(result.bad_layers[2], -1);
        assert_int_equal(result.bad_layers[3], 0);
        assert_true(result.bad_layers[4] > 0);
        result_free(&result);
        const size_t layer = 4; /* the relu behind the first convolution: NaN must come through it */
        result = network_result(
            &network, images, 2, 2,
            (filtags_engine_options){.layers = &layer, .n_layers = 1, .is_reference = is_reference});
        assert_int_equal(result.bad_layers[0], -1);
        assert_int_equal(result.bad_layers[1], 4);
        result_free(&result);
    }
    filtags_engine *engine = network_engine(&network, (filtags_engine_options){.wants_output = true, .max_batch = 2});
    struct result result = engine_result(engine, &network, images, 2, 2, true); /* the output alone */
    assert_int_equal(result.bad_layers[0], -1);
    assert_int_equal(result.bad_layers[1], (int)network.model.graph.n_layers);
    result_free(&result);
    filtags_engine_destroy(engine);
    free(images);
    network_free(&network);
}

static void activation_of_known_values(void **state) {
    (void)state;
    struct network network;
    const float image[] = {-1, 0.5f, 0, 1, /**/ -1, 1, 1, 3}; /* [1, 2, 4] */
    const double expected[] = {0, 1.75 / 4, 1.5 / 4, 3.0 / 4};
    network_start(&network, 1, shape_3(1, 2, 4));
    for (int is_reference = 0; is_reference < 2; is_reference++) {
        struct result result = network_result(&network, image, 1, 1,
                                              (filtags_engine_options){.is_reference = is_reference});
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(result.activations[i], (filtags_activation)(expected[i] * FILTAGS_ACTIVATION_ONE));
        result_free(&result);
        const float constant[] = {7, 7, 7, 7, 7, 7, 7, 7};
        result = network_result(&network, constant, 1, 1, (filtags_engine_options){.is_reference = is_reference});
        for (size_t i = 0; i < 4; i++) assert_int_equal(result.activations[i], 0);
        assert_int_equal(result.bad_layers[0], -1);
        result_free(&result);
        const float ends[] = {1, 0, 1, 0, 1, 0, 1, 0};
        result = network_result(&network, ends, 1, 1, (filtags_engine_options){.is_reference = is_reference});
        for (size_t i = 0; i < 4; i++) assert_int_equal(result.activations[i], i % 2 ? 0 : FILTAGS_ACTIVATION_ONE);
        result_free(&result);
    }
    network_free(&network);
}

static void check_refused(struct network *network, filtags_engine_options options, filtags_status expected,
                          const char *part) {
    filtags_engine *engine = NULL;
    assert_int_equal(filtags_engine_create(&network->model, &options, &engine), expected);
    assert_null(engine);
    if (!strstr(filtags_error_message(), part)) fail_msg("'%s' is not in: %s", part, filtags_error_message());
}

static void wrong_calls(void **state) {
    (void)state;
    struct network network;
    const int input = network_start(&network, 1, shape_3(4, 4, 2));
    add_plain(&network, OP_RESHAPE, shape_1(32), &input, 1);
    const size_t maps[] = {0}, vector[] = {1}, missing[] = {9}, repeated[] = {0, 0};
    check_refused(&network, (filtags_engine_options){.layers = maps, .n_layers = 1}, FILTAGS_ERROR_USAGE, "max_batch");
    check_refused(&network, (filtags_engine_options){.max_batch = 1}, FILTAGS_ERROR_USAGE, "nothing to compute");
    check_refused(&network, (filtags_engine_options){.layers = vector, .n_layers = 1, .max_batch = 1},
                  FILTAGS_ERROR_DATA, "'layer_1'");
    check_refused(&network, (filtags_engine_options){.layers = missing, .n_layers = 1, .max_batch = 1},
                  FILTAGS_ERROR_DATA, "layer 9");
    check_refused(&network, (filtags_engine_options){.layers = repeated, .n_layers = 2, .max_batch = 1},
                  FILTAGS_ERROR_USAGE, "ascend");

    filtags_engine *engine = network_engine(&network,
                                            (filtags_engine_options){.layers = maps, .n_layers = 1, .max_batch = 2});
    filtags_worker *worker = NULL;
    float images[3 * 32] = {0}, outputs[32];
    filtags_activation row[3 * 2];
    int bad_layers[3];
    assert_int_equal(filtags_worker_create(engine, &worker), FILTAGS_OK);
    assert_int_equal(filtags_worker_run(worker, images, 3, row, NULL, bad_layers), FILTAGS_ERROR_USAGE);
    assert_int_equal(filtags_worker_run(worker, images, 1, NULL, NULL, bad_layers), FILTAGS_ERROR_USAGE);
    assert_int_equal(filtags_worker_run(worker, images, 1, row, outputs, bad_layers), FILTAGS_ERROR_USAGE);
    assert_int_equal(filtags_worker_run(worker, images, 0, row, NULL, bad_layers), FILTAGS_OK);
    filtags_worker_destroy(worker);
    filtags_engine_destroy(engine);
    engine = network_engine(&network, (filtags_engine_options){.wants_output = true, .max_batch = 2});
    assert_int_equal(filtags_worker_create(engine, &worker), FILTAGS_OK);
    assert_int_equal(filtags_worker_run(worker, images, 1, NULL, NULL, bad_layers), FILTAGS_ERROR_USAGE);
    assert_int_equal(filtags_worker_run(worker, images, 1, NULL, outputs, bad_layers), FILTAGS_OK);
    filtags_worker_destroy(worker);
    filtags_engine_destroy(engine);
    filtags_worker_destroy(NULL);
    filtags_engine_destroy(NULL);
    network_free(&network);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(conv_channels),
                                       cmocka_unit_test(conv_windows),
                                       cmocka_unit_test(conv_groups),
                                       cmocka_unit_test(dense),
                                       cmocka_unit_test(activations),
                                       cmocka_unit_test(pools), cmocka_unit_test(averages_in_padding),
                                       cmocka_unit_test(moves),
                                       cmocka_unit_test(broadcasting),
                                       cmocka_unit_test(taps),
                                       cmocka_unit_test(same_bits_for_batches),
                                       cmocka_unit_test(same_bits_among_channels),
                                       cmocka_unit_test(same_bits_for_poolings),
                                       cmocka_unit_test(same_bits_for_large_layers),
                                       cmocka_unit_test(same_bits_for_threads),
                                       cmocka_unit_test(values_that_are_not_finite),
                                       cmocka_unit_test(activation_of_known_values),
                                       cmocka_unit_test(wrong_calls)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
