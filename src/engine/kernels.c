/* Element-wise operators, pooling, the tap, and the table. */
#include <math.h>
#include <string.h>

#include "engine/kernels_variant.h"

#define RELU(x) ((x) < 0 ? 0 : (x)) /* NaN stays */

/* One loop for each combination, so that each is vectorised without a choice inside. */
#define SCALE_SHIFT_LOOPS(EXPRESSION)                                                        \
    for (size_t p = 0; p < job->n_pixels; p++, in += job->in_pixel, out += job->out_pixel) { \
        INDEPENDENT                                                                          \
        for (size_t i = 0; i < c; i++) {                                                     \
            const float value = in[i] * scale[i] + shift[i];                                 \
            out[i] = EXPRESSION;                                                             \
        }                                                                                    \
        added = added ? added + job->added_pixel : NULL;                                     \
    }

static void scale_shift(const struct scale_shift_job *job) {
    const size_t c = job->c;
    const float *in = job->in, *added = job->added, *scale = job->scale, *shift = job->shift;
    float *out = job->out;
    const bool is_relu = job->is_relu;
    if (added && is_relu) SCALE_SHIFT_LOOPS(RELU(value + added[i]))
    else if (added) SCALE_SHIFT_LOOPS(value + added[i])
    else if (is_relu) SCALE_SHIFT_LOOPS(RELU(value))
    else SCALE_SHIFT_LOOPS(value)
}

static void prelu(const float *in, const float *alpha, float *out, size_t n) {
    INDEPENDENT
    for (size_t i = 0; i < n; i++) out[i] = in[i] > 0 ? in[i] : alpha[i] * in[i];
}

/* A NaN on either side must come through, so that the tap sees it. */
#define MAXIMUM(x, y) ((x) > (y) || (x) != (x) ? (x) : (y))
#define MINIMUM(x, y) ((x) < (y) || (x) != (x) ? (x) : (y))
#define ADD(x, y) ((x) + (y))
#define SUBTRACT(x, y) ((x) - (y))
#define MULTIPLY(x, y) ((x) * (y))

/* One loop for each pair of steps, because only a constant step is vectorised well. */
#define BINARY_LOOPS(OP)                                                                     \
    if (a_step && b_step) {                                                                  \
        INDEPENDENT                                                                          \
        for (size_t i = 0; i < n; i++) out[i] = OP(a[i], b[i]);                              \
    } else if (a_step) {                                                                     \
        const float y = *b;                                                                  \
        INDEPENDENT                                                                          \
        for (size_t i = 0; i < n; i++) out[i] = OP(a[i], y);                                 \
    } else {                                                                                 \
        const float x = *a;                                                                  \
        INDEPENDENT                                                                          \
        for (size_t i = 0; i < n; i++) out[i] = OP(x, b[i * b_step]);                        \
    }                                                                                        \
    break

static void binary(enum binary_op op, const float *a, size_t a_step, const float *b, size_t b_step, float *out,
                   size_t n) {
    switch (op) {
    case BINARY_ADD: BINARY_LOOPS(ADD);
    case BINARY_SUBTRACT: BINARY_LOOPS(SUBTRACT);
    case BINARY_MULTIPLY: BINARY_LOOPS(MULTIPLY);
    case BINARY_MAXIMUM: BINARY_LOOPS(MAXIMUM);
    case BINARY_MINIMUM: BINARY_LOOPS(MINIMUM);
    }
}

static void divide(float *values, float divisor, size_t n) {
    for (size_t i = 0; i < n; i++) values[i] /= divisor;
}

/* ------------------------------------------------------------------ the tap */

enum { TAP_VECS = 4 };

/* A column of n_vecs * LANES channels. in: from the column's first channel on. n_vecs is a constant
 * wherever this is expanded, so that the sums stay in registers. */
static inline __attribute__((always_inline)) void
tap_column(size_t n_vecs, const float *in, size_t pixel_floats, size_t n_pixels, double *sums, vec *low, vec *high) {
    vec_double sum[2 * TAP_VECS];
    vec lows[2] = {*low, *low}, highs[2] = {*high, *high};
#pragma GCC unroll 8
    for (size_t j = 0; j < 2 * n_vecs; j++) sum[j] = VEC_DOUBLE_AT(sums + j * (LANES / 2));
    for (size_t p = 0; p < n_pixels; p++, in += pixel_floats) {
#pragma GCC unroll 8
        for (size_t j = 0; j < 2 * n_vecs; j++) sum[j] += VEC_WIDEN(VEC_HALF_LOAD(in + j * (LANES / 2)));
#pragma GCC unroll 4
        for (size_t j = 0; j < n_vecs; j++) {
            const vec values = VEC_LOAD(in + j * LANES);
            lows[j % 2] = VEC_MIN(lows[j % 2], values);
            highs[j % 2] = VEC_MAX(highs[j % 2], values);
        }
    }
#pragma GCC unroll 8
    for (size_t j = 0; j < 2 * n_vecs; j++) VEC_DOUBLE_AT(sums + j * (LANES / 2)) = sum[j];
    *low = VEC_MIN(lows[0], lows[1]);
    *high = VEC_MAX(highs[0], highs[1]);
}

/* As tap_column, for what is left over: n_channels at a time, straight in memory. */
static void tap_rest(const float *in, size_t pixel_floats, size_t n_pixels, size_t n_channels, double *sums,
                     float *range) {
    float low = range[0], high = range[1];
    for (size_t p = 0; p < n_pixels; p++)
        for (size_t i = 0; i < n_channels; i++) {
            const float value = in[p * pixel_floats + i];
            sums[i] += (double)value;
            low = value < low ? value : low;
            high = value > high ? value : high;
        }
    range[0] = low;
    range[1] = high;
}

static void tap(const float *in, size_t pixel_floats, size_t n_pixels, size_t c, double *sums, float *range) {
    vec low = VEC_SPLAT(range[0]), high = VEC_SPLAT(range[1]);
    size_t i = 0;
    for (; i + TAP_VECS * LANES <= c; i += TAP_VECS * LANES)
        tap_column(TAP_VECS, in + i, pixel_floats, n_pixels, sums + i, &low, &high);
    for (; i + LANES <= c; i += LANES) tap_column(1, in + i, pixel_floats, n_pixels, sums + i, &low, &high);
    for (size_t lane = 0; lane < LANES; lane++) {
        range[0] = low[lane] < range[0] ? low[lane] : range[0];
        range[1] = high[lane] > range[1] ? high[lane] : range[1];
    }
    if (i < c) tap_rest(in + i, pixel_floats, n_pixels, c - i, sums + i, range);
}

/* ------------------------------------------------------------------ pooling */

/* The part of a window that lies inside the picture: [begin, end) of its rows or columns. */
static size_t window_begin(size_t place, size_t stride, size_t before) {
    return place * stride >= before ? place * stride - before : 0;
}

static size_t window_end(size_t place, size_t stride, size_t before, size_t kernel, size_t size) {
    const size_t end = place * stride + kernel; /* counted from the padding's edge */
    if (end <= before) return 0;
    return end - before < size ? end - before : size;
}

static void max_pool(const struct pool_shape *shape, const float *in, float *out) {
    const struct window *window = &shape->window;
    const size_t c = shape->c;
    out += shape->first_row * shape->out_w * shape->out_pixel;
    for (size_t oh = shape->first_row; oh < shape->end_row; oh++) {
        const size_t h_0 = window_begin(oh, window->stride_h, window->padding.top);
        const size_t h_1 = window_end(oh, window->stride_h, window->padding.top, window->kernel_h, shape->in_h);
        for (size_t ow = 0; ow < shape->out_w; ow++, out += shape->out_pixel) {
            const size_t w_0 = window_begin(ow, window->stride_w, window->padding.left);
            const size_t w_1 = window_end(ow, window->stride_w, window->padding.left, window->kernel_w, shape->in_w);
            for (size_t i = 0; i < c; i++) out[i] = -INFINITY;
            for (size_t h = h_0; h < h_1; h++)
                for (size_t w = w_0; w < w_1; w++) {
                    const float *restrict pixel = in + (h * shape->in_w + w) * c;
                    float *restrict best = out;
                    for (size_t i = 0; i < c; i++) best[i] = MAXIMUM(pixel[i], best[i]);
                }
        }
    }
}

/* out [c] = sum of n_h x n_w pixels, row after row; in: the first of them, in a picture in_w pixels wide. */
static void sum_window(const float *in, size_t in_w, size_t c, size_t n_h, size_t n_w, float *out) {
    size_t i = 0;
    for (; i + LANES <= c; i += LANES) {
        vec sum = {0};
        for (size_t h = 0; h < n_h; h++)
            for (size_t w = 0; w < n_w; w++) sum += VEC_LOAD(in + (h * in_w + w) * c + i);
        VEC_AT(out + i) = sum;
    }
    for (; i < c; i++) {
        out[i] = 0;
        for (size_t h = 0; h < n_h; h++)
            for (size_t w = 0; w < n_w; w++) out[i] += in[(h * in_w + w) * c + i];
    }
}

static void avg_pool(const struct pool_shape *shape, const float *in, float *out) {
    const struct window *window = &shape->window;
    const size_t c = shape->c;
    out += shape->first_row * shape->out_w * shape->out_pixel;
    for (size_t oh = shape->first_row; oh < shape->end_row; oh++) {
        const size_t h_0 = window_begin(oh, window->stride_h, window->padding.top);
        const size_t h_1 = window_end(oh, window->stride_h, window->padding.top, window->kernel_h, shape->in_h);
        for (size_t ow = 0; ow < shape->out_w; ow++, out += shape->out_pixel) {
            const size_t w_0 = window_begin(ow, window->stride_w, window->padding.left);
            const size_t w_1 = window_end(ow, window->stride_w, window->padding.left, window->kernel_w, shape->in_w);
            sum_window(in + (h_0 * shape->in_w + w_0) * c, shape->in_w, c, h_1 > h_0 ? h_1 - h_0 : 0,
                       w_1 > w_0 ? w_1 - w_0 : 0, out);
            divide(out, h_1 > h_0 && w_1 > w_0 ? (float)((h_1 - h_0) * (w_1 - w_0)) : 1.0f, c);
        }
    }
}

static void global_max_pool(const float *in, size_t n_pixels, size_t c, float *out) {
    memcpy(out, in, c * sizeof *out);
    for (size_t p = 1; p < n_pixels; p++) {
        const float *restrict pixel = in + p * c;
        float *restrict best = out;
        for (size_t i = 0; i < c; i++) best[i] = MAXIMUM(pixel[i], best[i]);
    }
}

extern const struct kernels KERNEL(kernels);
const struct kernels KERNEL(kernels) = {
    .isa = KERNELS_ISA,
    .activate = KERNEL(kernel_activate),
    .scale_shift = scale_shift,
    .prelu = prelu,
    .binary = binary,
    .divide = divide,
    .softmax = KERNEL(kernel_softmax),
    .tap = tap,
    .max_pool = max_pool,
    .avg_pool = avg_pool,
    .global_max_pool = global_max_pool,
    .dense = KERNEL(kernel_dense),
    .conv = KERNEL(kernel_conv),
    .conv_gemm = KERNEL(kernel_conv_gemm),
    .conv_rows = KERNEL(kernel_conv_rows),
    .conv_winograd = KERNEL(kernel_conv_winograd),
    .panel = PANEL,
    .winograd_weights = KERNEL(kernel_winograd_weights),
};
