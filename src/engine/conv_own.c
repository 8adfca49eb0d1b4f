#include "engine/conv_own.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/block.h"

static size_t ceil_div(size_t a, size_t b) { return (a + b - 1) / b; }

/* ------------------------------------------------------------------ portions */

static size_t clamp(size_t value, size_t low, size_t high) {
    return value < low ? low : value > high ? high : value;
}

/* Blocks of tiles: transformed input and products shall fit into a second-level cache together; but where the weights
 * don't fit beside them, as many tiles as memory may be spent on share a pass over the weights. */
static void plan_winograd(struct conv_own *conv) {
    enum { CACHE_FLOATS = 96 * 1024, LEAST_TILES = 16, MOST_TILES = 64, LARGE_WEIGHTS = 256 * 256,
           MOST_FLOATS = 4 << 20 };
    const struct conv_shape *shape = &conv->shape;
    conv->tile_h = conv_way_tile(conv->way).h;
    conv->tile_w = conv_way_tile(conv->way).w;
    const size_t n_planes = CONV_PLANES(conv->tile_h, conv->tile_w, shape->window);
    const size_t tile_floats = n_planes * (shape->in_c + shape->out_c), tiles_w = ceil_div(shape->out_w, conv->tile_w);
    const bool has_large_weights = shape->in_c * shape->out_c >= LARGE_WEIGHTS;
    conv->block = clamp((has_large_weights ? MOST_FLOATS : CACHE_FLOATS) / tile_floats, LEAST_TILES, MOST_TILES);
    conv->unit_pixels = conv->tile_h * shape->out_w;
    conv->n_units = ceil_div(shape->out_h, conv->tile_h);
    conv->portion = clamp(ceil_div(conv->block, tiles_w), 1, conv->n_units);
    const size_t n_floats = n_planes * (conv->block * (CONV_ROW_FLOATS(shape->in_c) + CONV_ROW_FLOATS(shape->out_c)) +
                                        32 + CONV_ROW_FLOATS(shape->in_c));
    conv->scratch_bytes = n_floats * sizeof(float);
}

static void plan_rows(struct conv_own *conv) {
    enum { CACHE_FLOATS = 32 * 1024 };
    const struct conv_shape *shape = &conv->shape;
    conv->unit_pixels = shape->out_w;
    conv->n_units = shape->out_h;
    conv->portion = clamp(CACHE_FLOATS / (shape->out_w * shape->out_c), 1, conv->n_units);
    conv->scratch_bytes = shape->window.kernel_h * CONV_PADDED_ROW_FLOATS(shape) * sizeof(float);
}

static void plan_gemm(struct conv_own *conv) {
    enum { CACHE_FLOATS = 96 * 1024, LEAST_ROWS = 12, MOST_ROWS = 96 };
    const struct conv_shape *shape = &conv->shape;
    const size_t n_k = shape->window.kernel_h * shape->window.kernel_w * shape->in_c;
    conv->block = clamp(CACHE_FLOATS / n_k / 12 * 12, LEAST_ROWS, MOST_ROWS);
    conv->unit_pixels = 1;
    conv->n_units = shape->out_h * shape->out_w;
    conv->portion = conv->block;
    conv->scratch_bytes = conv->block * CONV_ROW_FLOATS(n_k) * sizeof(float);
}

/* ------------------------------------------------------------------ weights */

/* panels [ceil(out_c / panel), n_k, panel] = kernel [n_k, out_c], the last one filled up with zeros. */
static void pack_panels(const float *kernel, size_t n_k, size_t out_c, size_t panel, float *panels) {
    for (size_t first = 0; first < out_c; first += panel)
        for (size_t k = 0; k < n_k; k++, panels += panel) {
            const size_t n = out_c - first < panel ? out_c - first : panel;
            memcpy(panels, kernel + k * out_c + first, n * sizeof *panels);
            memset(panels + n, 0, (panel - n) * sizeof *panels);
        }
}

static filtags_status pack(struct conv_own *conv, const struct kernels *kernels, const float *kernel,
                           const float *bias) {
    const struct conv_shape *shape = &conv->shape;
    const size_t n_panels = ceil_div(shape->out_c, kernels->panel), window_h = shape->window.kernel_h;
    const size_t window_w = shape->window.kernel_w;
    const bool is_winograd = conv_way_is_winograd(conv->way);
    const size_t n_planes = is_winograd ? CONV_PLANES(conv->tile_h, conv->tile_w, shape->window) : window_h * window_w;
    conv->n_weights = n_planes * n_panels * shape->in_c * kernels->panel;
    conv->kernel = block_new_shared(conv->n_weights, sizeof(float));
    if (!conv->kernel) return FILTAGS_ERROR_MEMORY;
    if (is_winograd) kernels->winograd_weights(shape, conv->tile_h, conv->tile_w, kernel, conv->kernel);
    else pack_panels(kernel, n_planes * shape->in_c, shape->out_c, kernels->panel, conv->kernel);
    if (!bias) return FILTAGS_OK;
    conv->bias = memory_new_aligned(n_panels * kernels->panel, sizeof(float));
    if (!conv->bias) return FILTAGS_ERROR_MEMORY;
    memset(conv->bias, 0, n_panels * kernels->panel * sizeof(float));
    memcpy(conv->bias, bias, shape->out_c * sizeof(float));
    return FILTAGS_OK;
}

/* ------------------------------------------------------------------ creation, running */

filtags_status conv_own_create(const struct kernels *kernels, const struct conv_shape *shape, enum conv_way way,
                               const float *kernel, const float *bias, struct conv_own **conv) {
    /* weights of this size are read once for all pictures where a picture has few pixels to use them for */
    enum { LARGE_WEIGHTS_FLOATS = 256 * 1024, FEW_PIXELS = 400 };
    struct conv_own *made = memory_new(1, sizeof *made);
    if (!made) return FILTAGS_ERROR_MEMORY;
    made->shape = *shape;
    made->way = way;
    if (conv_way_is_winograd(way)) plan_winograd(made);
    else if (way == CONV_WAY_ROWS) plan_rows(made);
    else plan_gemm(made);
    made->is_layer_wide =
        way != CONV_WAY_ROWS && shape->out_h * shape->out_w <= FEW_PIXELS &&
        shape->window.kernel_h * shape->window.kernel_w * shape->in_c * shape->out_c >= LARGE_WEIGHTS_FLOATS;
    filtags_status status = pack(made, kernels, kernel, bias);
    if (status == FILTAGS_OK) *conv = made;
    else conv_own_destroy(made);
    return status;
}

void conv_own_destroy(struct conv_own *conv) {
    if (!conv) return;
    block_free_shared(conv->kernel);
    free(conv->bias);
    free(conv);
}

void conv_own_run(const struct conv_own *conv, const struct kernels *kernels, const struct conv_own_call *call,
                  float *scratch) {
    const struct conv_job job = {
        .shape = &conv->shape,
        .tile_h = conv->tile_h,
        .tile_w = conv->tile_w,
        .block = conv->block,
        .kernel = conv->kernel,
        .bias = conv->bias,
        .is_relu = call->is_relu,
        .is_in_place = conv->way == CONV_WAY_PRODUCT,
        .n_images = call->n_images,
        .in = call->in,
        .out = call->out,
        .in_stride = call->in_stride,
        .out_stride = call->out_stride,
        .out_pixel = call->out_pixel ? call->out_pixel : conv->shape.out_c,
        .first_unit = call->first_unit,
        .n_units = call->n_units,
        .scratch = scratch,
    };
    if (conv_way_is_winograd(conv->way)) kernels->conv_winograd(&job);
    else if (conv->way == CONV_WAY_ROWS) kernels->conv_rows(&job);
    else kernels->conv_gemm(&job);
}
