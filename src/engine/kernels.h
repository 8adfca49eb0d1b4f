/* kernels.h - the inner loops, compiled once per instruction set and chosen at run time.
 *
 * Rules that all of them keep, so that a picture's result depends on nothing but the picture: every element of
 * an output is computed by one chain of operations in a fixed order, whatever the number of rows or pixels in
 * the call. Activations, statistics, pooling and element-wise operators also give the same bits on every
 * instruction set; dense and the convolutions differ, because only some processors have fused multiply-add.
 *
 * Tensors are NHWC; a "pixel" is the c values of one place. Nothing needs to be aligned. */
#ifndef FILTAGS_ENGINE_KERNELS_H
#define FILTAGS_ENGINE_KERNELS_H

#include "filtags.h"
#include "model/graph.h"

/* Raised whenever the bits of a kernel's results may change: files that resume a run carry it. */
enum { KERNELS_VERSION = 5 };

/* Columns of a dense kernel that lie together: [ceil(c_out / DENSE_PANEL), c_in, DENSE_PANEL], the last panel
 * filled up with zeros. */
enum { DENSE_PANEL = 32 };

struct dense_shape { size_t c_in, c_out; };

/* One picture's convolution. The kernel is [kernel_h, kernel_w, in_c / groups, out_c]. */
struct conv_shape {
    size_t in_h, in_w, in_c, out_h, out_w, out_c, groups;
    struct window window;
};

/* Work for our own convolutions (see conv_own.h), which know no groups: part of each of n_images pictures. */
struct conv_job {
    const struct conv_shape *shape;
    size_t tile_h, tile_w;    /* Winograd: outputs of a tile; along an axis on which the kernel has length 1: 1 */
    size_t block;             /* pixels or tiles that are computed together */
    const float *kernel;      /* in panels, as conv_own.c lays them out */
    const float *bias;        /* [whole panels] or NULL */
    bool is_relu;             /* max(0, .) of what is stored */
    size_t n_images;
    const float *in;          /* [n_images][in_h, in_w, in_c], in_stride floats from picture to picture */
    float *out;               /* [n_images][out_h, out_w, out_c], likewise */
    size_t in_stride, out_stride;
    size_t out_pixel;         /* floats from one output pixel to the next: out_c, or more within a concatenation */
    size_t first_unit, n_units; /* of every picture: output pixels (gemm), their rows, or rows of tiles (Winograd) */
    bool is_in_place;         /* gemm: windows of one pixel, which need not be gathered */
    float *scratch;           /* 64-byte aligned */
};

/* Floats between the rows of pixels in scratch: at least n, a multiple of 16, and no power of two, so that rows do not
 * fall on the same lines of the cache. A macro, because kernel files share no functions. */
#define CONV_ROW_FLOATS(n) (((n) + 15) / 16 * 16 + 16)

/* Floats of a row of the input with its padding: as much as the windows of a row of outputs reach. */
#define CONV_PADDED_ROW_FLOATS(shape) \
    (((shape)->out_w - 1) * (shape)->window.stride_w * (shape)->in_c + (shape)->window.kernel_w * (shape)->in_c)

/* A product's sums of more terms than this are stored and taken up again, so that the weights in use stay in cache. */
enum { CONV_BLOCK_TERMS = 512 };

/* Winograd: points at which a tile's products are made, along an axis and in all; values that its inputs are
 * transformed to, one for each point and part of the kernel. A kernel of 7 has two parts, and so has one of 3 at
 * stride 2; the second does without one of the points (kernels_winograd.c). */
#define CONV_IS_SPLIT(kernel, stride) ((kernel) == 7 || (stride) == 2)
#define CONV_AXIS_POINTS(tile, kernel, stride) \
    ((stride) == 2 ? (tile) + 1 : (kernel) == 7 ? (tile) + 3 : (tile) + (kernel) - 1)
#define CONV_AXIS_PLANES(tile, kernel, stride) \
    (CONV_AXIS_POINTS(tile, kernel, stride) + \
     (CONV_IS_SPLIT(kernel, stride) ? CONV_AXIS_POINTS(tile, kernel, stride) - 1 : 0))
#define CONV_POINTS(tile_h, tile_w, window)                              \
    (CONV_AXIS_POINTS(tile_h, (window).kernel_h, (window).stride_h) * \
     CONV_AXIS_POINTS(tile_w, (window).kernel_w, (window).stride_w))
#define CONV_PLANES(tile_h, tile_w, window)                              \
    (CONV_AXIS_PLANES(tile_h, (window).kernel_h, (window).stride_h) * \
     CONV_AXIS_PLANES(tile_w, (window).kernel_w, (window).stride_w))
enum { CONV_MAX_AXIS_PLANES = 17 };

struct pool_shape {
    size_t in_h, in_w, c, out_h, out_w;
    size_t out_pixel; /* floats from one output pixel to the next */
    size_t first_row, end_row; /* of the output, to be computed */
    struct window window;
};

/* n_pixels of c channels; so many floats from one pixel to the next. */
struct scale_shift_job {
    size_t n_pixels, c;
    const float *in, *added; /* added: NULL without */
    float *out;
    size_t in_pixel, added_pixel, out_pixel;
    const float *scale, *shift; /* [c] */
    bool is_relu;
};

enum binary_op { BINARY_ADD, BINARY_SUBTRACT, BINARY_MULTIPLY, BINARY_MAXIMUM, BINARY_MINIMUM };

struct kernels {
    filtags_isa isa;

    /* Element by element; out may be in. NaN stays NaN. Exponentials and the like are computed in double, and
     * are within 1e-9 (relative; GELU: of the input) of the exact value before they are rounded to float. */
    void (*activate)(const struct activation *activation, const float *in, float *out, size_t n);

    /* out = in * scale + shift; then + added, unless that is NULL; then ReLU. out may be in or added. */
    void (*scale_shift)(const struct scale_shift_job *job);

    void (*prelu)(const float *in, const float *alpha, float *out, size_t n);

    /* out[i] = a[i * a_step] op b[i * b_step], steps 0 or 1. out may be a or b where their step is 1. */
    void (*binary)(enum binary_op op, const float *a, size_t a_step, const float *b, size_t b_step, float *out,
                   size_t n);

    /* values /= divisor. */
    void (*divide)(float *values, float divisor, size_t n);

    /* Softmax of each row of c. out may be in. */
    void (*softmax)(const float *in, float *out, size_t n_rows, size_t c);

    /* The tap: add n_pixels to the channels' sums ([c], pixel after pixel, in double) and widen
     * range[0] = minimum, range[1] = maximum. Values that are not finite show in the sums, not in the range. A pixel
     * begins pixel_floats behind the one before it. */
    void (*tap)(const float *in, size_t pixel_floats, size_t n_pixels, size_t c, double *sums, float *range);

    void (*max_pool)(const struct pool_shape *shape, const float *in, float *out);
    void (*avg_pool)(const struct pool_shape *shape, const float *in, float *out);
    void (*global_max_pool)(const float *in, size_t n_pixels, size_t c, float *out);

    /* out [n_rows, c_out] = in [n_rows, c_in] * kernel + bias. panels: see DENSE_PANEL; bias [c_out] or NULL. A row of
     * in or out begins in_stride or out_stride floats after the one before it. The sum over c_in is one chain of
     * fused multiply-adds per block of 256, blocks added in order. */
    void (*dense)(const struct dense_shape *shape, const float *in, size_t in_stride, size_t n_rows,
                  const float *panels, const float *bias, float *out, size_t out_stride);

    /* Direct convolution, for shapes that oneDNN has no fast kernel for. bias [out_c] or NULL. */
    void (*conv)(const struct conv_shape *shape, const float *in, const float *kernel, const float *bias, float *out);

    /* Convolutions as products of matrices, the input's windows being gathered for it or (of few channels, without
     * dilation) padded row by row; and by Winograd's method. Columns of the kernel lie together in panels. */
    void (*conv_gemm)(const struct conv_job *job);
    void (*conv_rows)(const struct conv_job *job);
    void (*conv_winograd)(const struct conv_job *job);
    size_t panel;

    /* panels [planes][ceil(out_c / panel), in_c, panel] = the kernel's Winograd transform, computed in double and
     * rounded once. kernel: [kernel_h, kernel_w, in_c, out_c]. */
    void (*winograd_weights)(const struct conv_shape *shape, size_t tile_h, size_t tile_w, const float *kernel,
                             float *panels);
};

/* The table for an instruction set that isa_resolve gave. */
const struct kernels *kernels_for(filtags_isa isa);

#endif
