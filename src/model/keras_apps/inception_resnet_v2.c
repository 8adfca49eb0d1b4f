/* inception_resnet_v2.c - InceptionResNetV2. */
#include "model/keras_apps/inception_blocks.h"
#include "model/keras_apps/keras_apps.h"

static const struct inception_row STEM[] = {
    CONV_STRIDED('x', "x", 32, 3, 3), CONV_VALID('x', "x", 32, 3, 3), CONV('x', "x", 64, 3, 3), MAX_POOL('x', "x"),
    CONV_VALID('x', "x", 80, 1, 1), CONV_VALID('x', "x", 192, 3, 3), MAX_POOL('x', "x"),
};

static const struct inception_row MIXED_5B[] = {
    CONV('a', "x", 96, 1, 1),
    CONV('b', "x", 48, 1, 1), CONV('b', "b", 64, 5, 5),
    CONV('c', "x", 64, 1, 1), CONV('c', "c", 96, 3, 3), CONV('c', "c", 96, 3, 3),
    AVERAGE_POOL('d', "x"), CONV('d', "d", 64, 1, 1),
    CONCAT('x', "abcd", "mixed_5b"),
};

static const struct inception_row BLOCK35[] = {
    CONV('a', "x", 32, 1, 1),
    CONV('b', "x", 32, 1, 1), CONV('b', "b", 32, 3, 3),
    CONV('c', "x", 32, 1, 1), CONV('c', "c", 48, 3, 3), CONV('c', "c", 64, 3, 3),
    CONCAT('y', "abc", "block35_#_mixed"), CONV_ALONE('y', "y", 320, "block35_#_conv"), SCALED_ADD('x', "xy"),
    RELU('x', "x", "block35_#_ac"),
};

static const struct inception_row MIXED_6A[] = {
    CONV_STRIDED('a', "x", 384, 3, 3),
    CONV('b', "x", 256, 1, 1), CONV('b', "b", 256, 3, 3), CONV_STRIDED('b', "b", 384, 3, 3),
    MAX_POOL('c', "x"),
    CONCAT('x', "abc", "mixed_6a"),
};

static const struct inception_row BLOCK17[] = {
    CONV('a', "x", 192, 1, 1),
    CONV('b', "x", 128, 1, 1), CONV('b', "b", 160, 1, 7), CONV('b', "b", 192, 7, 1),
    CONCAT('y', "ab", "block17_#_mixed"), CONV_ALONE('y', "y", 1088, "block17_#_conv"), SCALED_ADD('x', "xy"),
    RELU('x', "x", "block17_#_ac"),
};

static const struct inception_row MIXED_7A[] = {
    CONV('a', "x", 256, 1, 1), CONV_STRIDED('a', "a", 384, 3, 3),
    CONV('b', "x", 256, 1, 1), CONV_STRIDED('b', "b", 288, 3, 3),
    CONV('c', "x", 256, 1, 1), CONV('c', "c", 288, 3, 3), CONV_STRIDED('c', "c", 320, 3, 3),
    MAX_POOL('d', "x"),
    CONCAT('x', "abcd", "mixed_7a"),
};

static const struct inception_row BLOCK8[] = {
    CONV('a', "x", 192, 1, 1),
    CONV('b', "x", 192, 1, 1), CONV('b', "b", 224, 1, 3), CONV('b', "b", 256, 3, 1),
    CONCAT('y', "ab", "block8_#_mixed"), CONV_ALONE('y', "y", 2080, "block8_#_conv"), SCALED_ADD('x', "xy"),
    RELU('x', "x", "block8_#_ac"),
};

static const struct inception_row LAST[] = {CONV_NAMED('x', "x", 1536, "conv_7b")};

enum { N_BLOCK8_ROWS = sizeof BLOCK8 / sizeof *BLOCK8 };

static const struct inception_block BLOCKS[] = {
    {ROWS(STEM), 0, 0, 0, NULL},
    {ROWS(MIXED_5B), 0, 0, 0, NULL},
    {ROWS(BLOCK35), 1, 10, 0, "0.17"},
    {ROWS(MIXED_6A), 0, 0, 0, NULL},
    {ROWS(BLOCK17), 1, 20, 0, "0.1"},
    {ROWS(MIXED_7A), 0, 0, 0, NULL},
    {ROWS(BLOCK8), 1, 9, 0, "0.2"},
    {BLOCK8, N_BLOCK8_ROWS - 1, 10, 10, 0, "1.0"}, /* without the ReLU */
    {ROWS(LAST), 0, 0, 0, NULL},
};

void describe_inception_resnet_v2(struct app_network *network, int input, size_t n_classes) {
    describe_inception(network, input, BLOCKS, sizeof BLOCKS / sizeof *BLOCKS, n_classes);
}
