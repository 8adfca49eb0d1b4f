/* Winograd's convolution at stride 1: fewer multiplications for the price of two small transforms.
 *
 * Along each axis a tile of m outputs of a kernel of length r is found from n = m + r - 1 inputs d by multiplying at n
 * points: y = A^T [(G g) * (B^T d)]. A and B depend on n's points alone, which are
 *     n = 6   0, 2/3, -2/3, 3/2, -3/2, infinity                        F(4,3)
 *     n = 7   0, 1, -1, 2, -2, 1/2, infinity                           F(5,3)
 *     n = 8   0, 1, -1, 2, -2, 1/2, -1/2, infinity                     F(6,3), F(4,5)
 *     n = 9   1/4, -1/4, 2/3, -2/3, 9/8, -9/8, 17/8, -17/8, infinity   F(7,3), F(6,4)
 * Along an axis on which the kernel has length 1 there is nothing to transform (n = 1). Over all channels the products
 * at one point are a product of matrices. The kernel's transform G g is made once, in double.
 *
 * The larger a tile, the fewer multiplications and digits. Errors of 512 channels of inputs that are not negative, the
 * root of their mean square in units of the outputs' (test_conv_own.c measures them anew): a plain sum 0.3e-6, F(4,3)
 * along both axes 0.8e-6, F(5,3) 3.0e-6, F(6,3) 3.6e-6, F(7,3) 9.0e-6. Points were looked for by trying out many: with
 * n = 6, 1 and 2 instead of 2/3 and 3/2 had two and a half times the error; with n = 9, 0 and points that are not
 * symmetric two to five times. Most of the error is that of long sums, which is why they are made in parts
 * (MOST_TERMS).
 *
 * A kernel of length 7 is split: its first 4 taps and its last 3 are kernels of their own, F(6,4) with n = 9 and F(6,3)
 * at the same points but infinity. Their outputs are added, which at a common point is to add the products: one sum
 * over twice as many terms. That takes 17/6 multiplications an output where F(2,7) takes 4 and F(3,7), less exact, 3.
 * Errors of 192 channels, the largest in units of the largest output: 1.9e-6; of F(5,4) and F(5,3) at the points of
 * n = 8, which take 3 multiplications, 1.4e-6.
 *
 * The formulas are Toom and Cook's: with M(x) = product over the finite points p of (x - p), row p of B^T holds the
 * coefficients of M(x) / (x - p), the last one those of M(x); row k of A^T holds p^k. */
#include <math.h>
#include <string.h>

#include "engine/kernels_variant.h"

#define INLINE static inline __attribute__((always_inline))
enum { MAX_POINTS = 9, MAX_TILE = 7, MAX_KERNEL = 7 };
/* Of a split kernel: taps and points of its first and second part. */
enum { SPLIT_TAPS = 4, SPLIT_REST = 3, SPLIT_FIRST = 9, SPLIT_SECOND = 8, SPLIT_OUTPUTS = 6 };

/* a + x * b */
#define PLUS(a, x, b) VEC_FMA(VEC_SPLAT(x), b, a)

/* Points p and -p, p * p = SQUARE: the polynomials M(x) / (x - p) and M(x) / (x + p) are (x + p) q(x^2) and
 * (x - p) q(x^2), so that both values follow from one of the even inputs and one of the odd ones. */

/* B^T d of the points 0, 2/3, -2/3, 3/2, -3/2, infinity: M(x) = x (x^2 - 4/9) (x^2 - 9/4). */
INLINE void transform_6(vec d[6]) {
    const float p = 2.0f / 3, q = 1.5f, sum = 97.0f / 36;
    const vec even_p = PLUS(d[4], -q * q, d[2]), odd_p = PLUS(d[3], -q * q, d[1]);
    const vec even_q = PLUS(d[4], -4.0f / 9, d[2]), odd_q = PLUS(d[3], -4.0f / 9, d[1]);
    d[0] = PLUS(d[0] + d[4], -sum, d[2]);
    d[5] = PLUS(d[1] + d[5], -sum, d[3]);
    d[1] = PLUS(even_p, p, odd_p);
    d[2] = PLUS(even_p, -p, odd_p);
    d[3] = PLUS(even_q, q, odd_q);
    d[4] = PLUS(even_q, -q, odd_q);
}

INLINE void transform_8(vec d[8]) {
    const vec even_1 = PLUS(d[6] + d[2], -4.25f, d[4]), odd_1 = PLUS(d[5] + d[1], -4.25f, d[3]);
    const vec even_2 = PLUS(PLUS(d[6], -1.25f, d[4]), 0.25f, d[2]);
    const vec odd_2 = PLUS(PLUS(d[5], -1.25f, d[3]), 0.25f, d[1]);
    const vec even_half = PLUS(PLUS(d[6], -5.0f, d[4]), 4.0f, d[2]);
    const vec odd_half = PLUS(PLUS(d[5], -5.0f, d[3]), 4.0f, d[1]);
    d[0] = PLUS(d[6] - d[0], 5.25f, d[2] - d[4]);
    d[7] = PLUS(d[7] - d[1], 5.25f, d[3] - d[5]);
    d[1] = even_1 + odd_1;
    d[2] = even_1 - odd_1;
    d[3] = PLUS(even_2, 2.0f, odd_2);
    d[4] = PLUS(even_2, -2.0f, odd_2);
    d[5] = PLUS(even_half, 0.5f, odd_half);
    d[6] = PLUS(even_half, -0.5f, odd_half);
}

/* B^T d of the points 0, 1, -1, 2, -2, 1/2, infinity. */
INLINE void transform_7(vec d[7]) {
    const vec near_1 = PLUS(PLUS(PLUS(d[4], -0.5f, d[3]), -4.0f, d[2]), 2.0f, d[1]);
    const vec near_2 = PLUS(PLUS(d[4], -0.5f, d[3]), 0.5f, d[1]) - d[2];
    const vec next_1 = PLUS(PLUS(PLUS(d[5], -0.5f, d[4]), -4.0f, d[3]), 2.0f, d[2]);
    const vec next_2 = PLUS(PLUS(d[5], -0.5f, d[4]), 0.5f, d[2]) - d[3];
    const vec even = PLUS(PLUS(d[4], -5.0f, d[2]), 4.0f, d[0]), odd = PLUS(PLUS(d[5], -5.0f, d[3]), 4.0f, d[1]);
    const vec far_even = PLUS(PLUS(d[6], -5.0f, d[4]), 4.0f, d[2]);
    d[0] = PLUS(odd, -0.5f, even);
    d[1] = next_1 + near_1;
    d[2] = next_1 - near_1;
    d[3] = PLUS(next_2, 2.0f, near_2);
    d[4] = PLUS(next_2, -2.0f, near_2);
    d[5] = odd;
    d[6] = PLUS(far_even, -0.5f, odd);
}

/* (x^2 - S) (x^2 - T) (x^2 - U), the coefficients of x^0, x^2, x^4, and x^6 being a, b, c, and d. */
#define CUBIC(S, T, U, a, b, c, d) \
    PLUS(PLUS(PLUS(d, -((S) + (T) + (U)), c), (S) * (T) + (S) * (U) + (T) * (U), b), -(S) * (T) * (U), a)

/* B^T d of the points 1/4, -1/4, 2/3, -2/3, 9/8, -9/8, 17/8, -17/8, and with n = 9 infinity. */
INLINE void transform_8_or_9(size_t n, vec *d) {
    const float p = 0.25f, q = 2.0f / 3, r = 1.125f, s = 2.125f, p2 = p * p, q2 = 4.0f / 9, r2 = r * r, s2 = s * s;
    const vec odd_p = CUBIC(q2, r2, s2, d[1], d[3], d[5], d[7]), even_p = CUBIC(q2, r2, s2, d[0], d[2], d[4], d[6]);
    const vec odd_q = CUBIC(p2, r2, s2, d[1], d[3], d[5], d[7]), even_q = CUBIC(p2, r2, s2, d[0], d[2], d[4], d[6]);
    const vec odd_r = CUBIC(p2, q2, s2, d[1], d[3], d[5], d[7]), even_r = CUBIC(p2, q2, s2, d[0], d[2], d[4], d[6]);
    const vec odd_s = CUBIC(p2, q2, r2, d[1], d[3], d[5], d[7]), even_s = CUBIC(p2, q2, r2, d[0], d[2], d[4], d[6]);
    if (n == 9) d[8] = PLUS(CUBIC(q2, r2, s2, d[2], d[4], d[6], d[8]), -p2, even_p);
    d[0] = PLUS(odd_p, p, even_p);
    d[1] = PLUS(odd_p, -p, even_p);
    d[2] = PLUS(odd_q, q, even_q);
    d[3] = PLUS(odd_q, -q, even_q);
    d[4] = PLUS(odd_r, r, even_r);
    d[5] = PLUS(odd_r, -r, even_r);
    d[6] = PLUS(odd_s, s, even_s);
    d[7] = PLUS(odd_s, -s, even_s);
}

/* B^T d, in place. */
INLINE void transform_input(size_t n, vec *d) {
    if (n == 6) transform_6(d);
    if (n == 7) transform_7(d);
    if (n == 8) transform_8(d);
    if (n == 9) transform_8_or_9(9, d);
}

/* y0 .. y3 = A^T d of the points 0, 2/3, -2/3, 3/2, -3/2, infinity. */
INLINE void outputs_of_6(vec d[6]) {
    const float p = 2.0f / 3, q = 1.5f;
    const vec sum_p = d[1] + d[2], difference_p = d[1] - d[2], sum_q = d[3] + d[4], difference_q = d[3] - d[4];
    d[0] = d[0] + sum_p + sum_q;
    d[1] = PLUS(p * difference_p, q, difference_q);
    d[2] = PLUS(p * p * sum_p, q * q, sum_q);
    d[3] = PLUS(PLUS(d[5], p * p * p, difference_p), q * q * q, difference_q);
}

/* The same of the points 0, 1, -1, 2, -2, 1/2, -1/2 (not with n = 7), infinity. */
INLINE void outputs_of_7_or_8(size_t n, size_t m, vec *d) {
    const vec sum_1 = d[1] + d[2], difference_1 = d[1] - d[2], sum_2 = d[3] + d[4], difference_2 = d[3] - d[4];
    const vec sum_half = n == 8 ? d[5] + d[6] : d[5], difference_half = n == 8 ? d[5] - d[6] : d[5];
    const vec last = d[n - 1];
    d[0] = d[0] + sum_1 + sum_2 + sum_half;
    d[1] = PLUS(PLUS(difference_1, 2.0f, difference_2), 0.5f, difference_half);
    d[2] = PLUS(PLUS(sum_1, 4.0f, sum_2), 0.25f, sum_half);
    d[3] = PLUS(PLUS(difference_1, 8.0f, difference_2), 0.125f, difference_half);
    if (m >= 5) d[4] = PLUS(PLUS(sum_1, 16.0f, sum_2), 0.0625f, sum_half);
    if (m == 6) d[5] = PLUS(PLUS(difference_1, 32.0f, difference_2), 0.03125f, difference_half);
    d[m - 1] += last;
}

/* The same of the points 1/4, -1/4, 2/3, -2/3, 9/8, -9/8, 17/8, -17/8, infinity. */
#define POWERS(k, a, b, c, d) \
    PLUS(PLUS(PLUS(POWER(k, 0.25) * (a), POWER(k, 2.0 / 3), b), POWER(k, 1.125), c), POWER(k, 2.125), d)
#define POWER(k, p) ((float)((k) == 1 ? (p) : (k) == 2 ? SQUARE(p) : (k) == 3 ? SQUARE(p) * (p) : \
                             (k) == 4 ? SQUARE(SQUARE(p)) : (k) == 5 ? SQUARE(SQUARE(p)) * (p) : \
                             SQUARE(SQUARE(p)) * SQUARE(p)))
#define SQUARE(x) ((x) * (x))

INLINE void outputs_of_9(size_t m, vec *d) {
    const vec sum_p = d[0] + d[1], difference_p = d[0] - d[1], sum_q = d[2] + d[3], difference_q = d[2] - d[3];
    const vec sum_r = d[4] + d[5], difference_r = d[4] - d[5], sum_s = d[6] + d[7], difference_s = d[6] - d[7];
    const vec last = d[8];
    d[0] = (sum_p + sum_q) + (sum_r + sum_s);
    d[1] = POWERS(1, difference_p, difference_q, difference_r, difference_s);
    d[2] = POWERS(2, sum_p, sum_q, sum_r, sum_s);
    d[3] = POWERS(3, difference_p, difference_q, difference_r, difference_s);
    d[4] = POWERS(4, sum_p, sum_q, sum_r, sum_s);
    if (m >= 6) d[5] = POWERS(5, difference_p, difference_q, difference_r, difference_s);
    if (m == 7) d[6] = POWERS(6, sum_p, sum_q, sum_r, sum_s);
    d[m - 1] += last;
}

/* A^T d: the first m values of d become the outputs. */
INLINE void transform_output(size_t n, size_t m, vec *d) {
    if (n == 6) outputs_of_6(d);
    if (n == 7 || n == 8) outputs_of_7_or_8(n, m, d);
    if (n == 9) outputs_of_9(m, d);
}

/* ------------------------------------------------------------------ one tile, one vector of channels */

/* in: a vector of n_h x n_w pixels, so many floats between rows and between pixels; out: a plane for each point. */
typedef void transform_function(const float *in, size_t row_floats, size_t pixel_floats, float *out, size_t plane);

INLINE void transform(size_t n_h, size_t n_w, const float *in, size_t row_floats, size_t pixel_floats, float *out,
                      size_t plane) {
    vec columns[MAX_POINTS * MAX_POINTS]; /* [n_w][n_h] */
#pragma GCC unroll 9
    for (size_t j = 0; j < n_w; j++) {
        vec *column = columns + j * n_h;
#pragma GCC unroll 9
        for (size_t i = 0; i < n_h; i++) column[i] = VEC_LOAD(in + i * row_floats + j * pixel_floats);
        transform_input(n_h, column);
    }
#pragma GCC unroll 9
    for (size_t i = 0; i < n_h; i++) {
        vec row[MAX_POINTS];
#pragma GCC unroll 9
        for (size_t j = 0; j < n_w; j++) row[j] = columns[j * n_h + i];
        transform_input(n_w, row);
#pragma GCC unroll 9
        for (size_t j = 0; j < n_w; j++) VEC_AT(out + (i * n_w + j) * plane) = row[j];
    }
}

/* As transform along one axis, for a split kernel: planes of the first part's points, then of the second's. in:
 * SPLIT_OUTPUTS + 6 pixels, so many floats between them. */
INLINE void transform_split(const float *in, size_t step, float *out, size_t plane) {
    vec first[SPLIT_FIRST], second[SPLIT_SECOND];
#pragma GCC unroll 9
    for (size_t i = 0; i < SPLIT_FIRST; i++) first[i] = VEC_LOAD(in + i * step);
#pragma GCC unroll 9
    for (size_t i = 0; i < SPLIT_SECOND; i++) second[i] = VEC_LOAD(in + (SPLIT_TAPS + i) * step);
    transform_8_or_9(SPLIT_FIRST, first);
    transform_8_or_9(SPLIT_SECOND, second);
#pragma GCC unroll 9
    for (size_t i = 0; i < SPLIT_FIRST; i++) VEC_AT(out + i * plane) = first[i];
#pragma GCC unroll 9
    for (size_t i = 0; i < SPLIT_SECOND; i++) VEC_AT(out + (SPLIT_FIRST + i) * plane) = second[i];
}

static void transform_1x7(const float *in, size_t row_floats, size_t pixel_floats, float *out, size_t plane) {
    (void)row_floats;
    transform_split(in, pixel_floats, out, plane);
}

static void transform_7x1(const float *in, size_t row_floats, size_t pixel_floats, float *out, size_t plane) {
    (void)pixel_floats;
    transform_split(in, row_floats, out, plane);
}

/* The way back: products of all points to m_h x m_w outputs. bias: [LANES] or NULL. */
typedef void finish_function(const float *in, size_t plane, const float *bias, bool is_relu, float *out,
                             size_t row_floats, size_t pixel_floats);

INLINE void finish(size_t n_h, size_t n_w, size_t m_h, size_t m_w, const float *in, size_t plane, const float *bias,
                   bool is_relu, float *out, size_t row_floats, size_t pixel_floats) {
    const vec added = bias ? (vec)VEC_LOAD(bias) : (vec){0};
    const vec least = VEC_SPLAT(is_relu ? 0.0f : -INFINITY);
    vec rows[MAX_TILE * MAX_POINTS]; /* [n_w][m_h] */
#pragma GCC unroll 9
    for (size_t j = 0; j < n_w; j++) {
        vec column[MAX_POINTS];
#pragma GCC unroll 9
        for (size_t i = 0; i < n_h; i++) column[i] = VEC_LOAD(in + (i * n_w + j) * plane);
        transform_output(n_h, m_h, column);
#pragma GCC unroll 7
        for (size_t i = 0; i < m_h; i++) rows[j * m_h + i] = column[i];
    }
#pragma GCC unroll 7
    for (size_t i = 0; i < m_h; i++) {
        vec row[MAX_POINTS];
#pragma GCC unroll 9
        for (size_t j = 0; j < n_w; j++) row[j] = rows[j * m_h + i];
        transform_output(n_w, m_w, row);
#pragma GCC unroll 7
        for (size_t j = 0; j < m_w; j++) /* in this order NaN stays */
            VEC_AT(out + i * row_floats + j * pixel_floats) = VEC_MAX(least, row[j] + added);
    }
}

/* Functions of each kind, so that each has its transforms unrolled. */
#define TRANSFORM(NAME, N_H, N_W)                                                                                    \
    static void transform_##NAME(const float *in, size_t row_floats, size_t pixel_floats, float *out,                \
                                 size_t plane) {                                                                     \
        transform(N_H, N_W, in, row_floats, pixel_floats, out, plane);                                               \
    }
#define FINISH(NAME, N_H, N_W, M_H, M_W)                                                                             \
    static void finish_##NAME(const float *in, size_t plane, const float *bias, bool is_relu, float *out,            \
                              size_t row_floats, size_t pixel_floats) {                                              \
        finish(N_H, N_W, M_H, M_W, in, plane, bias, is_relu, out, row_floats, pixel_floats);                         \
    }
TRANSFORM(3x3, 6, 6)
TRANSFORM(3x3_large, 7, 7)
TRANSFORM(8x8, 8, 8)
TRANSFORM(9x9, 9, 9)
TRANSFORM(1x3, 1, 6)
TRANSFORM(3x1, 6, 1)
FINISH(3x3, 6, 6, 4, 4)
FINISH(3x3_large, 7, 7, 5, 5)
FINISH(3x3_largest, 8, 8, 6, 6)
FINISH(3x3_huge, 9, 9, 7, 7)
FINISH(5x5, 8, 8, 4, 4)
FINISH(1x3, 1, 6, 1, 4)
FINISH(3x1, 6, 1, 4, 1)
FINISH(1x7, 1, 9, 1, 6)
FINISH(7x1, 9, 1, 6, 1)

/* A tile has outputs m_h x m_w, found from inputs in_h x in_w by n_points products. */
struct kind {
    size_t in_h, in_w, m_h, m_w, n_points;
    bool is_split;
    transform_function *transform;
    finish_function *finish;
};
static const struct kind KINDS[] = {{6, 6, 4, 4, 36, false, transform_3x3, finish_3x3},
                                    {7, 7, 5, 5, 49, false, transform_3x3_large, finish_3x3_large},
                                    {8, 8, 6, 6, 64, false, transform_8x8, finish_3x3_largest},
                                    {9, 9, 7, 7, 81, false, transform_9x9, finish_3x3_huge},
                                    {8, 8, 4, 4, 64, false, transform_8x8, finish_5x5},
                                    {1, 6, 1, 4, 6, false, transform_1x3, finish_1x3},
                                    {6, 1, 4, 1, 6, false, transform_3x1, finish_3x1},
                                    {1, 12, 1, 6, 9, true, transform_1x7, finish_1x7},
                                    {12, 1, 6, 1, 9, true, transform_7x1, finish_7x1}};

/* Sums at a point of a split kernel go on with its second part, which has all points of the first one but infinity. */
static bool has_second_part(const struct kind *kind, size_t point) { return kind->is_split && point < SPLIT_SECOND; }

/* ------------------------------------------------------------------ a block of tiles */

/* Terms of a sum that are added up before they are added to the others: of 512 at once, errors are twice as large.
 * Parts half as long were slower by 3 %. */
enum { MOST_TERMS = 128 };

struct work {
    const struct conv_job *job;
    const struct kind *kind;
    size_t tiles_w, tiles_per_image;       /* of the rows of tiles in the job */
    size_t in_plane, in_row;               /* floats */
    size_t out_plane, out_row;
    float *transformed;                    /* [planes][block, in_row] */
    float *products;                       /* [n_points][block, out_row] */
    float *patch;                          /* [in_h, in_w, c] with zeros in the place of padding */
};

/* The tile's first output row and column, and its picture. */
struct place { size_t image, row, column; };

static struct place place_of(const struct work *work, size_t tile) {
    const struct conv_job *job = work->job;
    const size_t in_image = tile % work->tiles_per_image;
    return (struct place){tile / work->tiles_per_image,
                          (job->first_unit + in_image / work->tiles_w) * job->tile_h,
                          in_image % work->tiles_w * job->tile_w};
}

/* patch [in_h, in_w, n_channels rounded up to whole vectors] = the input under a tile, 0 beyond the picture. in: the
 * picture, from the first of the channels on; top and left wrap where they lie in the padding. */
static void gather_patch(const struct conv_shape *shape, const struct kind *kind, const float *in, size_t top,
                         size_t left, size_t n_channels, float *patch) {
    for (size_t i = 0; i < kind->in_h; i++)
        for (size_t j = 0; j < kind->in_w; j++) {
            const size_t h = top + i, w = left + j;
            const bool is_inside = h < shape->in_h && w < shape->in_w;
            const float *pixel = is_inside ? in + (h * shape->in_w + w) * shape->in_c : NULL;
            size_t c = 0;
            for (; c + LANES <= n_channels; c += LANES, patch += LANES)
                VEC_AT(patch) = is_inside ? (vec)VEC_LOAD(pixel + c) : (vec){0};
            if (c == n_channels) continue;
            VEC_AT(patch) = is_inside ? VEC_LOAD_PART(pixel + c, n_channels - c) : (vec){0};
            patch += LANES;
        }
}

static void transform_tile(const struct work *work, size_t tile, float *out) {
    const struct conv_shape *shape = work->job->shape;
    const struct kind *kind = work->kind;
    const struct place place = place_of(work, tile);
    const float *in = work->job->in + place.image * work->job->in_stride;
    const size_t top = place.row - shape->window.padding.top, left = place.column - shape->window.padding.left;
    const size_t c = shape->in_c, whole = c / LANES * LANES;
    const bool is_inside = top < shape->in_h && kind->in_h <= shape->in_h - top && left < shape->in_w &&
                           kind->in_w <= shape->in_w - left;
    if (is_inside) {
        const float *corner = in + (top * shape->in_w + left) * c;
        for (size_t i = 0; i < whole; i += LANES)
            kind->transform(corner + i, shape->in_w * c, c, out + i, work->in_plane);
    }
    const size_t first = is_inside ? whole : 0, width = (c - first + LANES - 1) / LANES * LANES;
    if (first == c) return;
    gather_patch(shape, kind, in + first, top, left, c - first, work->patch);
    for (size_t i = 0; i < width; i += LANES)
        kind->transform(work->patch + i, kind->in_w * width, width, out + first + i, work->in_plane);
}

/* products [n_tiles, out_row] (+)= transformed [n_tiles, in_c] * panel [in_c, PANEL], so many terms at a time. */
static void multiply_panel(const struct work *work, struct gemm_block *block, const float *transformed,
                           const float *panel, bool is_added) {
    const size_t in_c = work->job->shape->in_c, n_parts = (in_c + MOST_TERMS - 1) / MOST_TERMS;
    for (size_t part = 0, k = 0; part < n_parts; part++, k += block->n_k) {
        block->n_k = (part + 1) * in_c / n_parts - k;
        block->a = transformed + k;
        block->panel = panel + k * PANEL;
        block->is_added = is_added || part > 0;
        KERNEL(kernel_gemm_block)(block);
    }
}

static void multiply_points(const struct work *work, size_t n_tiles) {
    const struct conv_shape *shape = work->job->shape;
    const size_t n_panels = (shape->out_c + PANEL - 1) / PANEL, whole_c = (shape->out_c + LANES - 1) / LANES * LANES;
    const float *panel = work->job->kernel;
    struct gemm_block block = {.n_rows = n_tiles, .n_runs = 1, .a_stride = work->in_row, .c_stride = work->out_row};
    for (size_t point = 0; point < work->kind->n_points; point++)
        for (size_t i = 0; i < n_panels; i++) {
            const float *transformed = work->transformed + point * work->in_plane;
            block.n_columns = whole_c - i * PANEL < PANEL ? whole_c - i * PANEL : PANEL;
            block.c = work->products + point * work->out_plane + i * PANEL;
            multiply_panel(work, &block, transformed, panel, false);
            panel += shape->in_c * PANEL;
            if (!has_second_part(work->kind, point)) continue;
            transformed = work->transformed + (SPLIT_FIRST + point) * work->in_plane;
            multiply_panel(work, &block, transformed, panel, true);
            panel += shape->in_c * PANEL;
        }
}

/* A tile that reaches beyond the picture, or channels that fill no vector: by way of whole ones. */
static void finish_part(const struct work *work, const float *products, const float *bias, float *out, size_t n_h,
                        size_t n_w, size_t n_lanes) {
    const size_t pixel_floats = work->job->out_pixel, row_floats = work->job->shape->out_w * pixel_floats;
    float whole[MAX_TILE * MAX_TILE * LANES];
    work->kind->finish(products, work->out_plane, bias, work->job->is_relu, whole, work->kind->m_w * LANES, LANES);
    for (size_t i = 0; i < n_h; i++)
        for (size_t j = 0; j < n_w; j++) {
            const vec values = VEC_LOAD(whole + (i * work->kind->m_w + j) * LANES);
            VEC_STORE_PART(out + i * row_floats + j * pixel_floats, values, n_lanes);
        }
}

static void finish_tile(const struct work *work, size_t tile, const float *products) {
    const struct conv_job *job = work->job;
    const struct conv_shape *shape = job->shape;
    const struct kind *kind = work->kind;
    const struct place place = place_of(work, tile);
    const size_t c = shape->out_c, pixel_floats = job->out_pixel;
    const size_t n_h = shape->out_h - place.row < kind->m_h ? shape->out_h - place.row : kind->m_h;
    const size_t n_w = shape->out_w - place.column < kind->m_w ? shape->out_w - place.column : kind->m_w;
    float *out = job->out + place.image * job->out_stride +
                 (place.row * shape->out_w + place.column) * pixel_floats;
    for (size_t i = 0; i < c; i += LANES) {
        const float *bias = job->bias ? job->bias + i : NULL;
        if (n_h == kind->m_h && n_w == kind->m_w && i + LANES <= c)
            kind->finish(products + i, work->out_plane, bias, job->is_relu, out + i, shape->out_w * pixel_floats,
                         pixel_floats);
        else finish_part(work, products + i, bias, out + i, n_h, n_w, c - i < LANES ? c - i : LANES);
    }
}

void KERNEL(kernel_conv_winograd)(const struct conv_job *job) {
    const struct conv_shape *shape = job->shape;
    const size_t in_h = job->tile_h + shape->window.kernel_h - 1, in_w = job->tile_w + shape->window.kernel_w - 1;
    const struct kind *kind = KINDS;
    while (kind->in_h != in_h || kind->in_w != in_w || kind->m_h != job->tile_h || kind->m_w != job->tile_w) kind++;
    struct work work = {.job = job, .kind = kind, .tiles_w = (shape->out_w + job->tile_w - 1) / job->tile_w};
    work.tiles_per_image = work.tiles_w * job->n_units;
    work.in_row = CONV_ROW_FLOATS(shape->in_c);
    work.out_row = CONV_ROW_FLOATS(shape->out_c);
    work.in_plane = job->block * work.in_row + 16;
    work.out_plane = job->block * work.out_row + 16;
    work.transformed = job->scratch;
    work.products = work.transformed + CONV_PLANES(job->tile_h, job->tile_w, shape->window) * work.in_plane;
    work.patch = work.products + kind->n_points * work.out_plane;
    const size_t n_tiles = work.tiles_per_image * job->n_images, n_blocks = (n_tiles + job->block - 1) / job->block;
    for (size_t b = 0, first = 0; b < n_blocks; b++) {
        const size_t end = (b + 1) * n_tiles / n_blocks;
        for (size_t tile = first; tile < end; tile++)
            transform_tile(&work, tile, work.transformed + (tile - first) * work.in_row);
        multiply_points(&work, end - first);
        for (size_t tile = first; tile < end; tile++)
            finish_tile(&work, tile, work.products + (tile - first) * work.out_row);
        first = end;
    }
}

/* ------------------------------------------------------------------ the kernel's transform */

/* G [n, r] of one axis: row p has p^k / product over the other finite points q of (p - q); the last row, of infinity,
 * has the last coefficient alone. g: rows of row_length values. */
static void make_g(size_t n, size_t r, double *g, size_t row_length) {
    static const double points_6[] = {0, 2.0 / 3, -2.0 / 3, 1.5, -1.5}, points_8[] = {0, 1, -1, 2, -2, 0.5, -0.5},
                        points_9[] = {0.25, -0.25, 2.0 / 3, -2.0 / 3, 1.125, -1.125, 2.125, -2.125};
    const double *points = n == 6 ? points_6 : n == 9 ? points_9 : points_8; /* n = 7: all but the last of them */
    for (size_t i = 0; i + 1 < n; i++) {
        double value = 1;
        for (size_t j = 0; j + 1 < n; j++)
            if (j != i) value /= points[i] - points[j];
        for (size_t k = 0; k < r; k++, value *= points[i]) g[i * row_length + k] = value;
    }
    for (size_t k = 0; k < r; k++) g[(n - 1) * row_length + k] = k + 1 == r;
}

/* One axis' G [CONV_AXIS_PLANES(tile, r), r]. */
static void make_axis(size_t tile, size_t r, double g[CONV_MAX_AXIS_PLANES * MAX_KERNEL]) {
    for (size_t i = 0; i < CONV_MAX_AXIS_PLANES * MAX_KERNEL; i++) g[i] = 0;
    if (!CONV_IS_SPLIT(r)) {
        make_g(tile + r - 1, r, g, r);
        return;
    }
    make_g(SPLIT_FIRST, SPLIT_TAPS, g, r);
    double rest[SPLIT_FIRST * SPLIT_REST]; /* with a row of infinity, which the second part does without */
    make_g(SPLIT_FIRST, SPLIT_REST, rest, SPLIT_REST);
    for (size_t i = 0; i < SPLIT_SECOND; i++)
        for (size_t k = 0; k < SPLIT_REST; k++) g[(SPLIT_FIRST + i) * r + SPLIT_TAPS + k] = rest[i * SPLIT_REST + k];
}

enum { MAX_PLANES = MAX_POINTS * MAX_POINTS };

/* One input channel and one panel: from [r_h * r_w][PANEL] to planes [n_h * n_w][PANEL]. */
static void transform_weights(size_t n_h, size_t r_h, const double *g_h, size_t n_w, size_t r_w, const double *g_w,
                              const double *weights, double *planes) {
    double rows[MAX_PLANES][PANEL]; /* [n_h, r_w] */
    memset(rows, 0, sizeof rows);
    for (size_t i = 0; i < n_h; i++)
        for (size_t k = 0; k < r_h; k++)
            for (size_t j = 0; j < r_w; j++)
                for (size_t o = 0; o < PANEL; o++)
                    rows[i * r_w + j][o] += g_h[i * r_h + k] * weights[(k * r_w + j) * PANEL + o];
    memset(planes, 0, n_h * n_w * PANEL * sizeof *planes);
    for (size_t i = 0; i < n_h; i++)
        for (size_t j = 0; j < n_w; j++)
            for (size_t k = 0; k < r_w; k++)
                for (size_t o = 0; o < PANEL; o++)
                    planes[(i * n_w + j) * PANEL + o] += g_w[j * r_w + k] * rows[i * r_w + k][o];
}

/* Where the weights [in_c, PANEL] of a plane and a panel lie, in units of [in_c, PANEL]: as multiply_points reads them,
 * point by point, and of each panel first the one part and then the other. */
static size_t weights_place(bool is_split, size_t plane, size_t panel, size_t n_panels) {
    if (!is_split) return plane * n_panels + panel;
    const bool is_second = plane >= SPLIT_FIRST;
    const size_t point = plane - (is_second ? SPLIT_FIRST : 0);
    return 2 * point * n_panels + (point < SPLIT_SECOND ? 2 * panel + is_second : panel);
}

void KERNEL(kernel_winograd_weights)(const struct conv_shape *shape, size_t tile_h, size_t tile_w, const float *kernel,
                                     float *panels) {
    const size_t r_h = shape->window.kernel_h, r_w = shape->window.kernel_w, out_c = shape->out_c, in_c = shape->in_c;
    const size_t n_h = CONV_AXIS_PLANES(tile_h, r_h), n_w = CONV_AXIS_PLANES(tile_w, r_w);
    const size_t n_panels = (out_c + PANEL - 1) / PANEL;
    const bool is_split = CONV_IS_SPLIT(r_h) || CONV_IS_SPLIT(r_w);
    double g_h[CONV_MAX_AXIS_PLANES * MAX_KERNEL], g_w[CONV_MAX_AXIS_PLANES * MAX_KERNEL];
    double weights[MAX_KERNEL * MAX_KERNEL * PANEL], planes[MAX_PLANES * PANEL];
    make_axis(tile_h, r_h, g_h);
    make_axis(tile_w, r_w, g_w);
    for (size_t panel = 0; panel < n_panels; panel++)
        for (size_t i = 0; i < in_c; i++) {
            for (size_t k = 0; k < r_h * r_w; k++)
                for (size_t o = 0; o < PANEL; o++)
                    weights[k * PANEL + o] =
                        panel * PANEL + o < out_c ? (double)kernel[(k * in_c + i) * out_c + panel * PANEL + o] : 0;
            transform_weights(n_h, r_h, g_h, n_w, r_w, g_w, weights, planes);
            for (size_t p = 0; p < n_h * n_w; p++)
                for (size_t o = 0; o < PANEL; o++)
                    panels[(weights_place(is_split, p, panel, n_panels) * in_c + i) * PANEL + o] =
                        (float)planes[p * PANEL + o];
        }
}
