#include "model/keras_apps/inception_blocks.h"

#include <stdio.h>
#include <string.h>

enum { N_BRANCHES = 128, NAME_BYTES = 64 };

/* One block while it is made. */
struct block_run {
    struct app_network *network;
    const struct inception_block *block;
    size_t number;
    int branches[N_BRANCHES]; /* by letter */
};

/* Fill in the numbers in a name and put ending behind it. Returns NULL for NULL. */
static const char *expand_name(const struct block_run *run, const char *name, const char *ending,
                               char text[NAME_BYTES]) {
    size_t length = 0;
    if (!name) return NULL;
    for (; *name && length < NAME_BYTES - 24; name++) {
        size_t number = *name == '#' ? run->number : run->number - run->block->first_number;
        if (*name == '#' || *name == '@') length += (size_t)snprintf(text + length, 24, "%zu", number);
        else text[length++] = *name;
    }
    snprintf(text + length, NAME_BYTES - length, "%s", ending);
    return text;
}

static int make_conv(struct block_run *run, const struct inception_row *row, int x) {
    char text[NAME_BYTES];
    struct app_conv conv = {.filters = row->filters ? row->filters : run->block->filters,
                            .kernel_h = row->kernel_h,
                            .kernel_w = row->kernel_w,
                            .stride = row->stride,
                            .is_same = row->is_same,
                            .has_bias = row->op == INCEPTION_CONV_ALONE};
    x = app_conv(run->network, x, expand_name(run, row->name, "", text), conv);
    if (row->op == INCEPTION_CONV_ALONE) return x;
    x = app_batch_norm(run->network, x, expand_name(run, row->name, "_bn", text), "1e-3", false);
    return app_relu(run->network, x, expand_name(run, row->name, "_ac", text));
}

static int make_row(struct block_run *run, const struct inception_row *row) {
    struct app_network *network = run->network;
    char text[NAME_BYTES];
    const char *name = expand_name(run, row->name, "", text);
    int inputs[APP_MAX_INPUTS];
    size_t n_inputs = strlen(row->from);
    for (size_t i = 0; i < n_inputs; i++) inputs[i] = run->branches[(unsigned char)row->from[i]];
    switch (row->op) {
    case INCEPTION_CONV:
    case INCEPTION_CONV_ALONE: return make_conv(run, row, inputs[0]);
    case INCEPTION_MAX_POOL: return app_max_pool(network, inputs[0], name, row->kernel_h, row->stride);
    case INCEPTION_AVERAGE_POOL: return app_average_pool(network, inputs[0], name, row->kernel_h);
    case INCEPTION_CONCAT: return app_concat(network, inputs, n_inputs, name);
    case INCEPTION_SCALED_ADD: return app_scaled_add(network, inputs[0], inputs[1], run->block->scale);
    case INCEPTION_RELU: return app_relu(network, inputs[0], name);
    }
    return 0;
}

static int make_block(struct app_network *network, const struct inception_block *block, size_t number, int x) {
    struct block_run run = {.network = network, .block = block, .number = number};
    run.branches['x'] = x;
    for (size_t i = 0; i < block->n_rows; i++) {
        run.branches[(unsigned char)block->rows[i].to] = make_row(&run, &block->rows[i]);
    }
    return run.branches['x'];
}

void describe_inception(struct app_network *network, int input, const struct inception_block *blocks, size_t n_blocks,
                        size_t n_classes) {
    int x = input;
    for (size_t b = 0; b < n_blocks; b++) {
        for (size_t number = blocks[b].first_number; number <= blocks[b].last_number; number++) {
            x = make_block(network, &blocks[b], number, x);
        }
    }
    x = app_global_average_pool(network, x, "avg_pool");
    app_dense(network, x, "predictions", n_classes, "softmax");
}
