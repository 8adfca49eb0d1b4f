/* inception_blocks.h - the language in which the tables of the Inception networks are written.
 *
 * A block is a list of rows, made one after the other. A row reads one or more branches and makes another one, or
 * makes one longer. Branches are letters; x is the block's input, and at its end the block's output. */
#ifndef FILTAGS_MODEL_KERAS_APPS_INCEPTION_BLOCKS_H
#define FILTAGS_MODEL_KERAS_APPS_INCEPTION_BLOCKS_H

#include "model/keras_apps/app_network.h"

enum inception_op {
    INCEPTION_CONV,         /* a convolution without bias, batch normalization without scale, ReLU */
    INCEPTION_CONV_ALONE,   /* a convolution with bias, nothing behind it */
    INCEPTION_MAX_POOL,     /* 3x3, stride 2 */
    INCEPTION_AVERAGE_POOL, /* 3x3, stride 1, 'same' */
    INCEPTION_CONCAT,
    INCEPTION_SCALED_ADD,   /* first branch + the block's scale * second branch */
    INCEPTION_RELU
};

enum { BLOCK_FILTERS = 0 }; /* as many filters as the block says */

struct inception_row {
    char to;
    const char *from;  /* one letter, or several in the order of Keras's inputs */
    enum inception_op op;
    const char *name;  /* NULL: Keras's automatic one. '#' stands for the block's number, '@' for how many blocks of the
                          same rows came directly before it */
    size_t filters;
    size_t kernel_h, kernel_w, stride;
    bool is_same;      /* padding */
};

#define CONV(to, from, filters, h, w) {to, from, INCEPTION_CONV, NULL, filters, h, w, 1, true}
#define CONV_VALID(to, from, filters, h, w) {to, from, INCEPTION_CONV, NULL, filters, h, w, 1, false}
#define CONV_STRIDED(to, from, filters, h, w) {to, from, INCEPTION_CONV, NULL, filters, h, w, 2, false}
#define CONV_NAMED(to, from, filters, name) {to, from, INCEPTION_CONV, name, filters, 1, 1, 1, true}
#define CONV_ALONE(to, from, filters, name) {to, from, INCEPTION_CONV_ALONE, name, filters, 1, 1, 1, true}
#define MAX_POOL(to, from) {to, from, INCEPTION_MAX_POOL, NULL, 0, 3, 3, 2, false}
#define AVERAGE_POOL(to, from) {to, from, INCEPTION_AVERAGE_POOL, NULL, 0, 3, 3, 1, true}
#define CONCAT(to, from, name) {to, from, INCEPTION_CONCAT, name, 0, 0, 0, 0, false}
#define SCALED_ADD(to, from) {to, from, INCEPTION_SCALED_ADD, NULL, 0, 0, 0, 0, false}
#define RELU(to, from, name) {to, from, INCEPTION_RELU, name, 0, 0, 0, 0, false}

/* One row of a network's table: the same block once or several times. */
struct inception_block {
    const struct inception_row *rows;
    size_t n_rows;
    size_t first_number, last_number;
    size_t filters;    /* for BLOCK_FILTERS */
    const char *scale; /* for INCEPTION_SCALED_ADD */
};

#define ROWS(rows) (rows), sizeof(rows) / sizeof *(rows)

/* Make all blocks, and behind them the classifier. */
void describe_inception(struct app_network *network, int input, const struct inception_block *blocks, size_t n_blocks,
                        size_t n_classes);

#endif
