#include "engine/conv_way.h"

static size_t ceil_div(size_t a, size_t b) { return (a + b - 1) / b; }

/* ------------------------------------------------------------------ Winograd's tiles */

/* The kernels that the Winograd code knows, and the outputs of a tile. A larger tile that is less exact has to be so
 * much cheaper: its cost is taken for `price` percent. The largest is spent where it saves most, a fifth on maps of
 * 28 x 28: on all maps it put VGG19's probabilities 1.1e-4 from Keras's. It also multiplies the weights by nine, which
 * is too much memory for maps of a few tiles (VGG16's last convolutions would take 255 MB). */
static const struct winograd {
    size_t kernel_h, kernel_w, stride;
    struct conv_tile tile;
    unsigned price;
    size_t least_tiles, most_tiles; /* 0: any number */
} WINOGRAD[] = {
    {3, 3, 1, {4, 4}, 100, 0, 0}, {3, 3, 1, {5, 5}, 108, 0, 0}, {3, 3, 1, {6, 6}, 108, 0, 0},
    {3, 3, 1, {7, 4}, 105, 8, 0}, {3, 3, 1, {7, 7}, 110, 9, 25}, {5, 5, 1, {4, 4}, 100, 0, 0},
    {1, 3, 1, {1, 4}, 100, 0, 0}, {3, 1, 1, {4, 1}, 100, 0, 0}, {1, 7, 1, {1, 6}, 100, 0, 0},
    {7, 1, 1, {6, 1}, 100, 0, 0}, {3, 3, 2, {3, 3}, 100, 0, 0}, {3, 3, 2, {4, 4}, 100, 0, 0}};

bool conv_way_is_winograd(enum conv_way way) {
    return way >= CONV_WAY_WINOGRAD_3X3 && way <= CONV_WAY_WINOGRAD_STRIDED_LARGE;
}

static const struct winograd *winograd_of(enum conv_way way) { return &WINOGRAD[way - CONV_WAY_WINOGRAD_3X3]; }

struct conv_tile conv_way_tile(enum conv_way way) { return winograd_of(way)->tile; }

/* ------------------------------------------------------------------ which ways there are */

bool conv_way_is_onednn(enum conv_way way) { return way >= CONV_WAY_ONEDNN_1X1 && way <= CONV_WAY_ONEDNN; }

const char *conv_way_name(enum conv_way way) {
    static const char *const names[] = {
        "product", "gathered", "rows", "winograd_3x3", "winograd_3x3_large", "winograd_3x3_largest",
        "winograd_3x3_tall", "winograd_3x3_huge", "winograd_5x5", "winograd_1x3", "winograd_3x1", "winograd_1x7",
        "winograd_7x1", "winograd_strided", "winograd_strided_large", "onednn_1x1", "onednn_1x1_strided", "onednn_few",
        "onednn"};
    return way < CONV_N_WAYS ? names[way] : "none";
}

static bool is_strided(const struct window *window) { return window->stride_h != 1 || window->stride_w != 1; }
static bool is_dilated(const struct window *window) { return window->dilation_h != 1 || window->dilation_w != 1; }
static bool is_1x1(const struct window *window) { return window->kernel_h == 1 && window->kernel_w == 1; }

/* Terms of an output's sum. */
static size_t count_terms(const struct conv_shape *shape) {
    return shape->window.kernel_h * shape->window.kernel_w * shape->in_c / shape->groups;
}

/* Whether every output has one pixel, and few enough of them fall on the same lines of the cache. */
static bool fits_product(const struct conv_shape *shape) {
    const struct padding *padding = &shape->window.padding;
    return is_1x1(&shape->window) && !is_strided(&shape->window) &&
           padding->top + padding->bottom + padding->left + padding->right == 0 && shape->in_c % 1024 != 0;
}

/* Sums of rows are not taken up again in parts, as those of long windows should be. */
static bool fits_rows(const struct conv_shape *shape) {
    return !is_1x1(&shape->window) && !is_dilated(&shape->window) && count_terms(shape) <= CONV_BLOCK_TERMS;
}

static size_t count_tiles(const struct winograd *winograd, const struct conv_shape *shape) {
    return ceil_div(shape->out_h, winograd->tile.h) * ceil_div(shape->out_w, winograd->tile.w);
}

static bool fits_winograd(const struct winograd *winograd, const struct conv_shape *shape) {
    const struct window *window = &shape->window;
    return winograd->kernel_h == window->kernel_h && winograd->kernel_w == window->kernel_w &&
           winograd->stride == window->stride_h && winograd->stride == window->stride_w && !is_dilated(window);
}

static enum conv_way onednn_way(const struct conv_shape *shape) {
    enum { FEW_CHANNELS = 8 };
    if (is_1x1(&shape->window)) return is_strided(&shape->window) ? CONV_WAY_ONEDNN_1X1_STRIDED : CONV_WAY_ONEDNN_1X1;
    return shape->in_c <= FEW_CHANNELS ? CONV_WAY_ONEDNN_FEW : CONV_WAY_ONEDNN;
}

bool conv_way_fits(enum conv_way way, const struct conv_shape *shape) {
    if (conv_way_is_onednn(way)) return way == onednn_way(shape);
    if (shape->groups != 1) return false;
    if (conv_way_is_winograd(way)) return fits_winograd(winograd_of(way), shape);
    if (way == CONV_WAY_PRODUCT) return fits_product(shape);
    if (way == CONV_WAY_ROWS) return fits_rows(shape);
    return way == CONV_WAY_GATHERED && !fits_product(shape);
}

/* ------------------------------------------------------------------ what they cost */

struct conv_counts conv_way_count(enum conv_way way, const struct conv_shape *shape, const struct kernels *kernels) {
    const struct window *window = &shape->window;
    const uint64_t n_pixels = (uint64_t)shape->out_h * shape->out_w, n_terms = count_terms(shape);
    const uint64_t lanes = kernels->panel / 2, columns = ceil_div(shape->out_c, lanes) * lanes; /* that are computed */
    if (conv_way_is_onednn(way))
        return (struct conv_counts){n_pixels * n_terms * shape->out_c,
                                    (uint64_t)shape->in_h * shape->in_w * shape->in_c, n_pixels * shape->out_c,
                                    n_terms * shape->out_c};
    if (conv_way_is_winograd(way)) {
        const struct winograd *winograd = winograd_of(way);
        const struct conv_tile tile = winograd->tile;
        const uint64_t n_tiles = count_tiles(winograd, shape);
        const uint64_t n_planes = CONV_PLANES(tile.h, tile.w, *window), n_inputs = n_planes * n_tiles * shape->in_c;
        const uint64_t n_points = CONV_POINTS(tile.h, tile.w, *window);
        return (struct conv_counts){n_inputs * columns, n_inputs, n_points * n_tiles * shape->out_c,
                                    n_planes * shape->in_c * columns};
    }
    struct conv_counts counts = {n_pixels * n_terms * columns, n_pixels * n_terms,
                                 n_pixels * shape->out_c * ceil_div(n_terms, CONV_BLOCK_TERMS), n_terms * columns};
    if (way == CONV_WAY_ROWS) counts.inputs = (uint64_t)shape->out_h * window->kernel_h * CONV_PADDED_ROW_FLOATS(shape);
    return counts;
}

/* In percent: what comes behind a convolution (batch normalization, ReLU, a shortcut) finds oneDNN's output further
 * away than ours, which is handed on in portions, and a ReLU is no part of it. Without that ResNet50 was 0.5 % slower.
 */
enum { ONEDNN_PRICE = 105 };

/* Whether there are neither too few tiles nor too many; and channels enough: a product of a few terms is all storing,
 * of which the table knows little. */
static bool is_worth_it(const struct winograd *winograd, const struct conv_shape *shape) {
    enum { LEAST_CHANNELS = 8 };
    const size_t n_tiles = count_tiles(winograd, shape);
    return n_tiles >= winograd->least_tiles && (winograd->most_tiles == 0 || n_tiles <= winograd->most_tiles) &&
           shape->in_c >= LEAST_CHANNELS;
}

uint64_t conv_way_cost(enum conv_way way, const struct conv_shape *shape, const struct kernels *kernels) {
    const struct conv_cost *cost = &conv_costs_for(kernels->isa)[way];
    if (conv_way_is_winograd(way) && !is_worth_it(winograd_of(way), shape)) return CONV_TOO_MUCH;
    const struct conv_counts counts = conv_way_count(way, shape, kernels);
    const uint64_t sum = counts.products * cost->product + counts.inputs * cost->input +
                         counts.outputs * cost->output + counts.weights * cost->weight;
    if (conv_way_is_onednn(way)) return sum / 100 * ONEDNN_PRICE;
    return conv_way_is_winograd(way) ? sum / 100 * winograd_of(way)->price : sum;
}

enum conv_way conv_way_choose(const struct conv_shape *shape, const struct kernels *kernels, bool may_be_onednn) {
    enum conv_way best = CONV_WAY_NONE;
    uint64_t least = CONV_TOO_MUCH;
    for (enum conv_way way = 0; way < CONV_N_WAYS; way++) {
        if (!conv_way_fits(way, shape) || (conv_way_is_onednn(way) && !may_be_onednn)) continue;
        const uint64_t cost = conv_way_cost(way, shape, kernels);
        if (cost >= least) continue;
        least = cost;
        best = way;
    }
    return best;
}
