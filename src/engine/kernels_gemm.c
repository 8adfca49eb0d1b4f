/* Matrix products of rows of pixels with a convolution's kernel; what Winograd's transforms and the convolutions that
 * are products themselves stand on. */
#include <stdint.h>
#include <string.h>

#include "engine/kernels_variant.h"

/* Rows whose sums the registers hold beside two vectors of weights. */
#if LANES == 16
#define TILE_ROWS 12
#else
#define TILE_ROWS 6
#endif

/* c [n_rows, n_columns] = sums, and what else the block asks for. */
static inline __attribute__((always_inline)) void
store(size_t n_rows, size_t n_vecs, const struct gemm_block *block, vec sum[TILE_ROWS][2], float *c) {
    const size_t n_last = block->n_columns - (n_vecs - 1) * LANES;
    const bool is_plain = !block->bias && !block->is_relu && n_last == LANES;
    if (is_plain && block->is_added) {
#pragma GCC unroll 12
        for (size_t r = 0; r < n_rows; r++)
#pragma GCC unroll 2
            for (size_t v = 0; v < n_vecs; v++) VEC_AT(c + r * block->c_stride + v * LANES) += sum[r][v];
        return;
    }
    if (is_plain) {
#pragma GCC unroll 12
        for (size_t r = 0; r < n_rows; r++)
#pragma GCC unroll 2
            for (size_t v = 0; v < n_vecs; v++) VEC_AT(c + r * block->c_stride + v * LANES) = sum[r][v];
        return;
    }
#pragma GCC unroll 12
    for (size_t r = 0; r < n_rows; r++)
#pragma GCC unroll 2
        for (size_t v = 0; v < n_vecs; v++) {
            float *to = c + r * block->c_stride + v * LANES;
            const bool is_whole = v + 1 < n_vecs || n_last == LANES;
            vec value = sum[r][v];
            if (block->is_added) value += is_whole ? (vec)VEC_LOAD(to) : VEC_LOAD_PART(to, n_last);
            if (block->bias) value += VEC_LOAD(block->bias + v * LANES);
            if (block->is_relu) value = VEC_MAX((vec){0}, value); /* in this order NaN stays */
            if (is_whole) VEC_AT(to) = value;
            else VEC_STORE_PART(to, value, n_last);
        }
}

/* What is wanted next: fetched into the second-level cache bit by bit, step_bytes with every term of the sums, so that
 * it doesn't have to be waited for. An address and no pointer, because it may lie behind an array's end. */
struct ahead {
    uintptr_t address;
    size_t step_bytes;
};

/* n_rows and n_vecs are constants wherever this is expanded, so that the sums stay in registers. */
static inline __attribute__((always_inline)) void
multiply(size_t n_rows, size_t n_vecs, const struct gemm_block *block, const float *a, float *c, struct ahead ahead) {
    vec sum[TILE_ROWS][2];
    const size_t stride = block->a_stride;
    const float *panel = block->panel; /* [n_runs * n_k, PANEL] */
#pragma GCC unroll 12
    for (size_t r = 0; r < n_rows; r++)
#pragma GCC unroll 2
        for (size_t v = 0; v < n_vecs; v++) sum[r][v] = (vec){0};
    /* what the result is written to comes into cache meanwhile */
#pragma GCC unroll 12
    for (size_t r = 0; r < n_rows; r++)
#pragma GCC unroll 2
        for (size_t v = 0; v < n_vecs; v++) __builtin_prefetch(c + r * block->c_stride + v * LANES, 1, 3);
    for (size_t run = 0; run < block->n_runs; run++, a += block->a_run) {
        /* every third row: the two behind it are then within reach of one address register and the stride */
        const float *rows[4] = {a, a + 3 * stride, a + 6 * stride, a + 9 * stride};
        for (size_t k = 0; k < block->n_k; k++, panel += PANEL) {
            vec weights[2];
            __builtin_prefetch((const void *)ahead.address, 0, 2);
            ahead.address += ahead.step_bytes;
#pragma GCC unroll 2
            for (size_t v = 0; v < n_vecs; v++) weights[v] = VEC_LOAD(panel + v * LANES);
#pragma GCC unroll 12
            for (size_t r = 0; r < n_rows; r++) {
                const vec value = VEC_SPLAT(rows[r / 3][r % 3 * stride]);
#pragma GCC unroll 2
                for (size_t v = 0; v < n_vecs; v++) sum[r][v] = VEC_FMA(value, weights[v], sum[r][v]);
            }
#pragma GCC unroll 4
            for (size_t i = 0; i < (n_rows + 2) / 3; i++) rows[i]++;
        }
    }
    store(n_rows, n_vecs, block, sum, c);
}

static void multiply_tile(size_t n_rows, const struct gemm_block *block, const float *a, float *c,
                          struct ahead ahead) {
#define ROWS(N)                                                   \
    case N: multiply(N, 1, block, a, c, ahead); break;            \
    case N + TILE_ROWS: multiply(N, 2, block, a, c, ahead); break
    switch (n_rows + (block->n_columns > LANES ? TILE_ROWS : 0)) {
        ROWS(1);
        ROWS(2);
        ROWS(3);
        ROWS(4);
        ROWS(5);
        ROWS(6);
#if TILE_ROWS > 6
        ROWS(7);
        ROWS(8);
        ROWS(9);
        ROWS(10);
        ROWS(11);
        ROWS(12);
#endif
    }
#undef ROWS
}

void KERNEL(kernel_gemm_block)(const struct gemm_block *block) {
    /* tiles of nearly the same number of rows: the processor is not busy with a tile of one or two */
    const size_t n_tiles = (block->n_rows + TILE_ROWS - 1) / TILE_ROWS, n_terms = block->n_runs * block->n_k;
    /* while a panel is multiplied, the one behind it in memory, which is the next in turn */
    struct ahead ahead = {(uintptr_t)block->panel + n_terms * PANEL * sizeof(float), PANEL * sizeof(float) / n_tiles};
    for (size_t tile = 0, row = 0; tile < n_tiles; tile++) {
        const size_t end = (tile + 1) * block->n_rows / n_tiles;
        if (block->reads_ahead)
            ahead = (struct ahead){(uintptr_t)(block->a + end * block->a_stride),
                                   (end - row) * block->a_stride * sizeof(float) / n_terms};
        multiply_tile(end - row, block, block->a + row * block->a_stride, block->c + row * block->c_stride, ahead);
        ahead.address += ahead.step_bytes * n_terms;
        row = end;
    }
}

/* ------------------------------------------------------------------ convolution as a product */

static inline __attribute__((always_inline)) void copy_floats(const float *from, size_t n, float *to) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) VEC_AT(to + i) = VEC_LOAD(from + i);
    if (i < n) VEC_STORE_PART(to + i, VEC_LOAD_PART(from + i, n - i), n - i);
}

static void clear_floats(float *to, size_t n) {
    for (size_t i = 0; i < n; i++) to[i] = 0;
}

/* One row of a window: row [kernel_w, in_c] = the input's pixels from column `left` (which wraps beyond the picture
 * where it lies in the padding) on. */
static void gather_row(const struct conv_shape *shape, const float *in, size_t left, float *row) {
    const size_t c = shape->in_c, kernel_w = shape->window.kernel_w, dilation = shape->window.dilation_w;
    if (dilation == 1 && left < shape->in_w && kernel_w <= shape->in_w - left) {
        copy_floats(in + left * c, kernel_w * c, row);
        return;
    }
    for (size_t kw = 0; kw < kernel_w; kw++, row += c) {
        const size_t w = left + kw * dilation;
        if (w < shape->in_w) copy_floats(in + w * c, c, row);
        else clear_floats(row, c);
    }
}

/* The input under the window of one output pixel: row [kernel_h, kernel_w, in_c]. */
static void gather_window(const struct conv_shape *shape, const float *in, size_t pixel, float *row) {
    const struct window *window = &shape->window;
    const size_t row_floats = window->kernel_w * shape->in_c;
    const size_t top = pixel / shape->out_w * window->stride_h - window->padding.top;
    const size_t left = pixel % shape->out_w * window->stride_w - window->padding.left;
    for (size_t kh = 0; kh < window->kernel_h; kh++, row += row_floats) {
        const size_t h = top + kh * window->dilation_h;
        if (h < shape->in_h) gather_row(shape, in + h * shape->in_w * shape->in_c, left, row);
        else clear_floats(row, row_floats);
    }
}

/* Output pixels [first, end), counted over the pictures of a job, whose windows have been gathered. */
struct pixels {
    size_t first, end;
    const float *rows; /* [end - first, CONV_ROW_FLOATS(n_k)]; NULL: a window is a pixel, and they lie as they shall */
};

/* Columns [column, column + PANEL) of a block of pixels, terms [k, k + CONV_BLOCK_TERMS) of the sums: picture by
 * picture, because a picture's output need not begin where the one before it ends. */
static void multiply_panel(const struct conv_job *job, const struct pixels *pixels, size_t n_k, size_t column,
                           size_t k) {
    const size_t out_c = job->shape->out_c;
    const bool is_last = k + CONV_BLOCK_TERMS >= n_k;
    struct gemm_block block = {
        .n_runs = 1,
        .n_columns = out_c - column < PANEL ? out_c - column : PANEL,
        .n_k = is_last ? n_k - k : CONV_BLOCK_TERMS,
        .a_stride = pixels->rows ? CONV_ROW_FLOATS(n_k) : n_k,
        .panel = job->kernel + column * n_k + k * PANEL,
        .c_stride = job->out_pixel,
        .bias = is_last && job->bias ? job->bias + column : NULL,
        .is_added = k > 0,
        .reads_ahead = !pixels->rows && column == 0 && out_c <= 2 * PANEL,
        .is_relu = is_last && job->is_relu,
    };
    for (size_t first = pixels->first, end; first < pixels->end; first = end) {
        const size_t image = first / job->n_units, in_image = first % job->n_units;
        end = (image + 1) * job->n_units < pixels->end ? (image + 1) * job->n_units : pixels->end;
        block.n_rows = end - first;
        block.a = (pixels->rows ? pixels->rows + (first - pixels->first) * block.a_stride
                                : job->in + image * job->in_stride + (job->first_unit + in_image) * n_k) + k;
        block.c = job->out + image * job->out_stride + (job->first_unit + in_image) * job->out_pixel + column;
        KERNEL(kernel_gemm_block)(&block);
    }
}

void KERNEL(kernel_conv_gemm)(const struct conv_job *job) {
    const struct conv_shape *shape = job->shape;
    const size_t n_k = shape->window.kernel_h * shape->window.kernel_w * shape->in_c;
    const size_t n_pixels = job->n_images * job->n_units, n_blocks = (n_pixels + job->block - 1) / job->block;
    struct pixels pixels = {.rows = job->is_in_place ? NULL : job->scratch};
    for (size_t b = 0; b < n_blocks; b++, pixels.first = pixels.end) {
        pixels.end = (b + 1) * n_pixels / n_blocks;
        for (size_t p = pixels.first; pixels.rows && p < pixels.end; p++)
            gather_window(shape, job->in + p / job->n_units * job->in_stride, job->first_unit + p % job->n_units,
                          job->scratch + (p - pixels.first) * CONV_ROW_FLOATS(n_k));
        for (size_t column = 0; column < shape->out_c; column += PANEL)
            for (size_t k = 0; k < n_k; k += CONV_BLOCK_TERMS) multiply_panel(job, &pixels, n_k, column, k);
    }
}

/* ------------------------------------------------------------------ few input channels */

/* to [row_floats] = a row of the picture between zeros; in: the row or NULL, which is padding as a whole. */
static void pad_row(const struct conv_shape *shape, const float *in, float *to, size_t row_floats) {
    const size_t before = shape->window.padding.left * shape->in_c, n = shape->in_w * shape->in_c;
    const size_t first = !in || before > row_floats ? row_floats : before;
    const size_t end = first + n < row_floats ? first + n : row_floats;
    clear_floats(to, first);
    if (end > first) copy_floats(in, end - first, to + first);
    clear_floats(to + end, row_floats - end);
}

/* Windows of few channels are too short to be worth gathering: in a padded copy of the rows they are runs of kernel_w *
 * in_c floats that overlap. */
void KERNEL(kernel_conv_rows)(const struct conv_job *job) {
    const struct conv_shape *shape = job->shape;
    const struct window *window = &shape->window;
    const size_t row_floats = CONV_PADDED_ROW_FLOATS(shape), out_c = shape->out_c, n_k = window->kernel_w * shape->in_c;
    struct gemm_block block = {.n_rows = shape->out_w, .n_k = n_k, .n_runs = window->kernel_h,
                               .c_stride = job->out_pixel,
                               .a_stride = window->stride_w * shape->in_c, .a_run = row_floats,
                               .is_relu = job->is_relu};
    for (size_t row = 0; row < job->n_images * job->n_units; row++) {
        const size_t image = row / job->n_units, out_row = job->first_unit + row % job->n_units;
        for (size_t i = 0; i < window->kernel_h; i++) {
            const size_t h = out_row * window->stride_h + i - window->padding.top; /* wraps where it is padding */
            const float *in = h < shape->in_h ? job->in + image * job->in_stride + h * shape->in_w * shape->in_c : NULL;
            pad_row(shape, in, job->scratch + i * row_floats, row_floats);
        }
        for (size_t column = 0; column < out_c; column += PANEL) {
            block.n_columns = out_c - column < PANEL ? out_c - column : PANEL;
            block.a = job->scratch;
            block.panel = job->kernel + column * n_k * window->kernel_h;
            block.bias = job->bias ? job->bias + column : NULL;
            block.c = job->out + image * job->out_stride + out_row * shape->out_w * job->out_pixel + column;
            KERNEL(kernel_gemm_block)(&block);
        }
    }
}
