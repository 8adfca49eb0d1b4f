/* inception_v3.c - InceptionV3. */
#include "model/keras_apps/inception_blocks.h"
#include "model/keras_apps/keras_apps.h"

static const struct inception_row STEM[] = {
    CONV_STRIDED('x', "x", 32, 3, 3), CONV_VALID('x', "x", 32, 3, 3), CONV('x', "x", 64, 3, 3), MAX_POOL('x', "x"),
    CONV_VALID('x', "x", 80, 1, 1), CONV_VALID('x', "x", 192, 3, 3), MAX_POOL('x', "x"),
};

static const struct inception_row MIXED_35X35[] = {
    CONV('a', "x", 64, 1, 1),
    CONV('b', "x", 48, 1, 1), CONV('b', "b", 64, 5, 5),
    CONV('c', "x", 64, 1, 1), CONV('c', "c", 96, 3, 3), CONV('c', "c", 96, 3, 3),
    AVERAGE_POOL('d', "x"), CONV('d', "d", BLOCK_FILTERS, 1, 1),
    CONCAT('x', "abcd", "mixed#"),
};

static const struct inception_row MIXED_TO_17X17[] = {
    CONV_STRIDED('a', "x", 384, 3, 3),
    CONV('b', "x", 64, 1, 1), CONV('b', "b", 96, 3, 3), CONV_STRIDED('b', "b", 96, 3, 3),
    MAX_POOL('c', "x"),
    CONCAT('x', "abc", "mixed#"),
};

static const struct inception_row MIXED_17X17[] = {
    CONV('a', "x", 192, 1, 1),
    CONV('b', "x", BLOCK_FILTERS, 1, 1), CONV('b', "b", BLOCK_FILTERS, 1, 7), CONV('b', "b", 192, 7, 1),
    CONV('c', "x", BLOCK_FILTERS, 1, 1), CONV('c', "c", BLOCK_FILTERS, 7, 1), CONV('c', "c", BLOCK_FILTERS, 1, 7),
    CONV('c', "c", BLOCK_FILTERS, 7, 1), CONV('c', "c", 192, 1, 7),
    AVERAGE_POOL('d', "x"), CONV('d', "d", 192, 1, 1),
    CONCAT('x', "abcd", "mixed#"),
};

static const struct inception_row MIXED_TO_8X8[] = {
    CONV('a', "x", 192, 1, 1), CONV_STRIDED('a', "a", 320, 3, 3),
    CONV('b', "x", 192, 1, 1), CONV('b', "b", 192, 1, 7), CONV('b', "b", 192, 7, 1), CONV_STRIDED('b', "b", 192, 3, 3),
    MAX_POOL('c', "x"),
    CONCAT('x', "abc", "mixed#"),
};

static const struct inception_row MIXED_8X8[] = {
    CONV('a', "x", 320, 1, 1),
    CONV('b', "x", 384, 1, 1), CONV('e', "b", 384, 1, 3), CONV('f', "b", 384, 3, 1), CONCAT('b', "ef", "mixed9_@"),
    CONV('c', "x", 448, 1, 1), CONV('c', "c", 384, 3, 3), CONV('e', "c", 384, 1, 3), CONV('f', "c", 384, 3, 1),
    CONCAT('c', "ef", NULL),
    AVERAGE_POOL('d', "x"), CONV('d', "d", 192, 1, 1),
    CONCAT('x', "abcd", "mixed#"),
};

static const struct inception_block BLOCKS[] = {
    {ROWS(STEM), 0, 0, 0, NULL},
    {ROWS(MIXED_35X35), 0, 0, 32, NULL},
    {ROWS(MIXED_35X35), 1, 2, 64, NULL},
    {ROWS(MIXED_TO_17X17), 3, 3, 0, NULL},
    {ROWS(MIXED_17X17), 4, 4, 128, NULL},
    {ROWS(MIXED_17X17), 5, 6, 160, NULL},
    {ROWS(MIXED_17X17), 7, 7, 192, NULL},
    {ROWS(MIXED_TO_8X8), 8, 8, 0, NULL},
    {ROWS(MIXED_8X8), 9, 10, 0, NULL},
};

void describe_inception_v3(struct app_network *network, int input, size_t n_classes) {
    describe_inception(network, input, BLOCKS, sizeof BLOCKS / sizeof *BLOCKS, n_classes);
}
