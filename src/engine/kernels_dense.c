/* Matrix products of our own: oneDNN's give other bits for another number of rows. */
#include <string.h>

#include "engine/kernels_variant.h"

enum { VECS = DENSE_PANEL / LANES };
/* Rows that share one pass over a panel: as many as the registers hold. */
#if LANES == 16
#define TILE_ROWS 8
#elif LANES == 8
#define TILE_ROWS 3
#else
#define TILE_ROWS 1
#endif
enum { BLOCK_K = 256, BLOCK_ROWS = 48 };

/* sums [n_rows, DENSE_PANEL] += in [n_rows, n_k] * panel [n_k, DENSE_PANEL]. n_rows is a constant wherever this is
 * expanded, so that the sums stay in registers. */
static inline __attribute__((always_inline)) void
multiply_rows(size_t n_rows, const float *in, size_t in_stride, const float *panel, size_t n_k, float *sums) {
    vec sum[TILE_ROWS][VECS];
    for (size_t r = 0; r < n_rows; r++)
        for (size_t v = 0; v < VECS; v++) sum[r][v] = (vec){0};
    for (size_t k = 0; k < n_k; k++) {
        vec weights[VECS];
#pragma GCC unroll 8
        for (size_t v = 0; v < VECS; v++) weights[v] = VEC_LOAD(panel + k * DENSE_PANEL + v * LANES);
#pragma GCC unroll 8
        for (size_t r = 0; r < n_rows; r++) {
            const vec value = VEC_SPLAT(in[r * in_stride + k]);
#pragma GCC unroll 8
            for (size_t v = 0; v < VECS; v++) sum[r][v] = VEC_FMA(value, weights[v], sum[r][v]);
        }
    }
    for (size_t r = 0; r < n_rows; r++)
        for (size_t v = 0; v < VECS; v++) VEC_AT(sums + r * DENSE_PANEL + v * LANES) += sum[r][v];
}

static void multiply_tile(size_t n_rows, const float *in, size_t in_stride, const float *panel, size_t n_k,
                          float *sums) {
    switch (n_rows) {
    case 1: multiply_rows(1, in, in_stride, panel, n_k, sums); break;
#if TILE_ROWS >= 3
    case 2: multiply_rows(2, in, in_stride, panel, n_k, sums); break;
    case 3: multiply_rows(3, in, in_stride, panel, n_k, sums); break;
#endif
#if TILE_ROWS >= 8
    case 4: multiply_rows(4, in, in_stride, panel, n_k, sums); break;
    case 5: multiply_rows(5, in, in_stride, panel, n_k, sums); break;
    case 6: multiply_rows(6, in, in_stride, panel, n_k, sums); break;
    case 7: multiply_rows(7, in, in_stride, panel, n_k, sums); break;
    case 8: multiply_rows(8, in, in_stride, panel, n_k, sums); break;
#endif
    }
}

/* All of k for at most BLOCK_ROWS rows and one panel. */
static void multiply_panel(const float *in, size_t in_stride, size_t n_rows, const float *panel, size_t c_in,
                           float *sums) {
    memset(sums, 0, n_rows * DENSE_PANEL * sizeof *sums);
    for (size_t k = 0; k < c_in; k += BLOCK_K) {
        const size_t n_k = c_in - k < BLOCK_K ? c_in - k : BLOCK_K;
        for (size_t r = 0; r < n_rows; r += TILE_ROWS) {
            const size_t n_tile_rows = n_rows - r < TILE_ROWS ? n_rows - r : TILE_ROWS;
            multiply_tile(n_tile_rows, in + r * in_stride + k, in_stride, panel + k * DENSE_PANEL, n_k,
                          sums + r * DENSE_PANEL);
        }
    }
}

void KERNEL(kernel_dense)(const struct dense_shape *shape, const float *in, size_t in_stride, size_t n_rows,
                          const float *panels, const float *bias, float *out, size_t out_stride) {
    float sums[BLOCK_ROWS * DENSE_PANEL];
    for (size_t o = 0; o < shape->c_out; o += DENSE_PANEL) {
        const float *panel = panels + o * shape->c_in; /* [c_in, DENSE_PANEL] */
        const size_t n_columns = shape->c_out - o < DENSE_PANEL ? shape->c_out - o : DENSE_PANEL;
        for (size_t first = 0; first < n_rows; first += BLOCK_ROWS) {
            const size_t n_block_rows = n_rows - first < BLOCK_ROWS ? n_rows - first : BLOCK_ROWS;
            multiply_panel(in + first * in_stride, in_stride, n_block_rows, panel, shape->c_in, sums);
            for (size_t r = 0; r < n_block_rows; r++)
                for (size_t i = 0; i < n_columns; i++)
                    out[(first + r) * out_stride + o + i] = sums[r * DENSE_PANEL + i] + (bias ? bias[o + i] : 0.0f);
        }
    }
}

/* ------------------------------------------------------------------ direct convolution */

/* sums [out_c] += one input pixel [in_c] * one place of the kernel [in_c / groups, out_c]. */
static void convolve_pixel(const struct conv_shape *shape, const float *pixel, const float *kernel, float *sums) {
    const size_t group_in = shape->in_c / shape->groups, group_out = shape->out_c / shape->groups;
    if (group_in == 1 && group_out == 1) { /* depthwise */
        for (size_t i = 0; i < shape->out_c; i++) sums[i] += pixel[i] * kernel[i];
        return;
    }
    for (size_t g = 0; g < shape->groups; g++)
        for (size_t i = 0; i < group_in; i++) {
            const float value = pixel[g * group_in + i];
            const float *restrict row = kernel + i * shape->out_c + g * group_out; /* [group_out] */
            float *restrict sum = sums + g * group_out;
            for (size_t o = 0; o < group_out; o++) sum[o] += value * row[o];
        }
}

void KERNEL(kernel_conv)(const struct conv_shape *shape, const float *in, const float *kernel, const float *bias,
                         float *out) {
    const struct window *window = &shape->window;
    const size_t kernel_stride = shape->in_c / shape->groups * shape->out_c;
    for (size_t oh = 0; oh < shape->out_h; oh++)
        for (size_t ow = 0; ow < shape->out_w; ow++, out += shape->out_c) {
            memset(out, 0, shape->out_c * sizeof *out);
            for (size_t kh = 0; kh < window->kernel_h; kh++) {
                /* wraps far beyond the picture where the place lies in the padding before it */
                const size_t h = oh * window->stride_h + kh * window->dilation_h - window->padding.top;
                if (h >= shape->in_h) continue;
                for (size_t kw = 0; kw < window->kernel_w; kw++) {
                    const size_t w = ow * window->stride_w + kw * window->dilation_w - window->padding.left;
                    if (w >= shape->in_w) continue;
                    convolve_pixel(shape, in + (h * shape->in_w + w) * shape->in_c,
                                   kernel + (kh * window->kernel_w + kw) * kernel_stride, out);
                }
            }
            if (bias)
                for (size_t o = 0; o < shape->out_c; o++) out[o] += bias[o];
        }
}
