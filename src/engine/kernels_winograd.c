/* Winograd's convolution: fewer multiplications for the price of two small transforms.
 *
 * Along each axis a tile of m outputs of a kernel of length r is found from n = m + r - 1 inputs d by multiplying at n
 * points: y = A^T [(G g) * (B^T d)]. A and B depend on n's points alone, which are
 *     n = 4   0, 1, -1, infinity                                       F(3,2)
 *     n = 5   1/2, -1/2, 3/2, -3/2, infinity                           F(4,2)
 *     n = 6   0, 2/3, -2/3, 3/2, -3/2, infinity                        F(4,3)
 *     n = 7   0, 1, -1, 2, -2, 1/2, infinity                           F(5,3)
 *     n = 8   0, 1, -1, 2, -2, 1/2, -1/2, infinity                     F(6,3), F(4,5)
 *     n = 9   1/4, -1/4, 2/3, -2/3, 9/8, -9/8, 17/8, -17/8, infinity   F(7,3), F(6,4)
 * Along an axis on which the kernel has length 1 there is nothing to transform (n = 1). Over all channels the products
 * at one point are a product of matrices. The kernel's transform G g is made once, in double.
 *
 * The larger a tile, the fewer multiplications and digits. Errors of 512 channels of inputs that are not negative, the
 * root of their mean square in units of the outputs' (test_conv_own.c measures them anew): a plain sum 0.3e-6, F(4,3)
 * along both axes 0.8e-6, F(5,3) 3.0e-6, F(6,3) 3.6e-6, F(7,3) 6.6e-6, F(7,3) along one and F(4,3) along the other
 * 2.6e-6. Points were looked for by trying out many: with n = 6, 1 and 2 instead of 2/3 and 3/2 had two and a half
 * times the error; with n = 9, 0 and points that are not symmetric two to five times. Most of the error is that of long
 * sums, which is why they are made in parts (MOST_TERMS).
 *
 * A kernel of length 7 is split: its first 4 taps and its last 3 are kernels of their own, F(6,4) with n = 9 and F(6,3)
 * at the same points but infinity. Their outputs are added, which at a common point is to add the products: one sum
 * over twice as many terms. That takes 17/6 multiplications an output where F(2,7) takes 4 and F(3,7), less exact, 3.
 * Errors of 192 channels, the largest in units of the largest output: 1.9e-6; of F(5,4) and F(5,3) at the points of
 * n = 8, which take 3 multiplications, 1.4e-6.
 *
 * At stride 2 a kernel of length 3 has two parts likewise: its first and last tap see the even inputs, F(3,2) or
 * F(4,2), and the one between them the odd ones. Along both axes that is 49/9 or 81/16 multiplications an output
 * instead of 9, and as exact as a plain sum: 0.3e-6 and 0.5e-6.
 *
 * The formulas are Toom and Cook's: with M(x) = product over the finite points p of (x - p), row p of B^T holds the
 * coefficients of M(x) / (x - p), the last one those of M(x); row k of A^T holds p^k. */
#include <math.h>
#include <string.h>

#include "engine/kernels_variant.h"

#define INLINE static inline __attribute__((always_inline))
enum { MAX_POINTS = 9, MAX_TILE = 7, MAX_KERNEL = 7, MAX_INPUTS = 12 };

/* a + x * b */
#define PLUS(a, x, b) VEC_FMA(VEC_SPLAT(x), b, a)

/* Points p and -p: the polynomials M(x) / (x - p) and M(x) / (x + p) are (x + p) q(x^2) and
 * (x - p) q(x^2), so that both values follow from one of the even inputs and one of the odd ones. */

/* B^T d of the points 0, 1, -1, and with n = 4 infinity: M(x) = x (x^2 - 1). */
INLINE void transform_3_or_4(size_t n, vec *d) {
    const vec first = d[2] - d[0], second = d[2] + d[1], third = d[2] - d[1];
    if (n == 4) d[3] = d[3] - d[1];
    d[0] = first;
    d[1] = second;
    d[2] = third;
}

/* B^T d of the points 1/2, -1/2, 3/2, -3/2, and with n = 5 infinity: M(x) = (x^2 - 1/4) (x^2 - 9/4). */
INLINE void transform_4_or_5(size_t n, vec *d) {
    const vec even_p = PLUS(d[2], -2.25f, d[0]), odd_p = PLUS(d[3], -2.25f, d[1]);
    const vec even_q = PLUS(d[2], -0.25f, d[0]), odd_q = PLUS(d[3], -0.25f, d[1]);
    if (n == 5) d[4] = PLUS(PLUS(d[4], -2.25f, d[2]), -0.25f, even_p);
    d[0] = PLUS(odd_p, 0.5f, even_p);
    d[1] = PLUS(odd_p, -0.5f, even_p);
    d[2] = PLUS(odd_q, 1.5f, even_q);
    d[3] = PLUS(odd_q, -1.5f, even_q);
}

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

/* B^T d, in place, of so many points, with infinity among them or without. */
INLINE void transform_input(size_t n, bool has_infinity, vec *d) {
    const size_t n_finite = n - has_infinity;
    if (n_finite == 3) transform_3_or_4(n, d);
    if (n_finite == 4) transform_4_or_5(n, d);
    if (n_finite == 5) transform_6(d);
    if (n_finite == 6) transform_7(d);
    if (n_finite == 7) transform_8(d);
    if (n_finite == 8) transform_8_or_9(n, d);
}

/* y0 .. y2 = A^T d of the points 0, 1, -1, infinity. */
INLINE void outputs_of_4(vec d[4]) {
    const vec sum = d[1] + d[2], difference = d[1] - d[2];
    d[0] = d[0] + sum;
    d[1] = difference;
    d[2] = sum + d[3];
}

/* The same of the points 1/2, -1/2, 3/2, -3/2, infinity. */
INLINE void outputs_of_5(vec d[5]) {
    const vec sum_p = d[0] + d[1], difference_p = d[0] - d[1], sum_q = d[2] + d[3], difference_q = d[2] - d[3];
    d[0] = sum_p + sum_q;
    d[1] = PLUS(0.5f * difference_p, 1.5f, difference_q);
    d[2] = PLUS(0.25f * sum_p, 2.25f, sum_q);
    d[3] = PLUS(PLUS(d[4], 0.125f, difference_p), 3.375f, difference_q);
}

/* The same of the points 0, 2/3, -2/3, 3/2, -3/2, infinity. */
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
    if (n == 4) outputs_of_4(d);
    if (n == 5) outputs_of_5(d);
    if (n == 6) outputs_of_6(d);
    if (n == 7 || n == 8) outputs_of_7_or_8(n, m, d);
    if (n == 9) outputs_of_9(m, d);
}

/* ------------------------------------------------------------------ one tile, one vector of channels */

/* Along one axis: the inputs of a tile, and how many of them, `step` apart, the first part of the kernel sees at its
 * points; then the same of its second part, which begins further on and has all points but infinity. */
struct axis { size_t n_in, n_first, step, n_second, second_begin; };

#define AXIS_WHOLE(n) ((const struct axis){n, n, 1, 0, 0})
#define AXIS_7 ((const struct axis){12, 9, 1, 8, 4})
#define AXIS_STRIDED(m) ((const struct axis){2 * (m) + 1, (m) + 1, 2, m, 1})

/* to: n_first and n_second values. */
INLINE void transform_axis(const struct axis axis, const vec *in, vec *to) {
#pragma GCC unroll 9
    for (size_t i = 0; i < axis.n_first; i++) to[i] = in[i * axis.step];
    if (axis.n_first > 1) transform_input(axis.n_first, true, to);
    if (axis.n_second == 0) return;
#pragma GCC unroll 9
    for (size_t i = 0; i < axis.n_second; i++) to[axis.n_first + i] = in[axis.second_begin + i * axis.step];
    transform_input(axis.n_second, false, to + axis.n_first);
}

/* in: a vector of h.n_in x w.n_in pixels, so many floats between rows and between pixels; out: a plane for each pair of
 * values along the axes. */
typedef void transform_function(const float *in, size_t row_floats, size_t pixel_floats, float *out, size_t plane);

INLINE void transform(const struct axis h, const struct axis w, const float *in, size_t row_floats,
                      size_t pixel_floats, float *out, size_t plane) {
    const size_t n_h = h.n_first + h.n_second, n_w = w.n_first + w.n_second;
    vec columns[MAX_INPUTS * MAX_POINTS]; /* [n_h][w.n_in] */
#pragma GCC unroll 12
    for (size_t j = 0; j < w.n_in; j++) {
        vec column[MAX_INPUTS], values[CONV_MAX_AXIS_PLANES];
#pragma GCC unroll 12
        for (size_t i = 0; i < h.n_in; i++) column[i] = VEC_LOAD(in + i * row_floats + j * pixel_floats);
        transform_axis(h, column, values);
#pragma GCC unroll 17
        for (size_t i = 0; i < n_h; i++) columns[i * w.n_in + j] = values[i];
    }
#pragma GCC unroll 17
    for (size_t i = 0; i < n_h; i++) {
        vec row[CONV_MAX_AXIS_PLANES];
        transform_axis(w, columns + i * w.n_in, row);
#pragma GCC unroll 17
        for (size_t j = 0; j < n_w; j++) VEC_AT(out + (i * n_w + j) * plane) = row[j];
    }
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
#define TRANSFORM(NAME, H, W)                                                                                        \
    static void transform_##NAME(const float *in, size_t row_floats, size_t pixel_floats, float *out,                \
                                 size_t plane) {                                                                     \
        transform(H, W, in, row_floats, pixel_floats, out, plane);                                                   \
    }
#define FINISH(NAME, N_H, N_W, M_H, M_W)                                                                             \
    static void finish_##NAME(const float *in, size_t plane, const float *bias, bool is_relu, float *out,            \
                              size_t row_floats, size_t pixel_floats) {                                              \
        finish(N_H, N_W, M_H, M_W, in, plane, bias, is_relu, out, row_floats, pixel_floats);                         \
    }
TRANSFORM(3x3, AXIS_WHOLE(6), AXIS_WHOLE(6))
TRANSFORM(3x3_large, AXIS_WHOLE(7), AXIS_WHOLE(7))
TRANSFORM(8x8, AXIS_WHOLE(8), AXIS_WHOLE(8))
TRANSFORM(3x3_tall, AXIS_WHOLE(9), AXIS_WHOLE(6))
TRANSFORM(3x3_huge, AXIS_WHOLE(9), AXIS_WHOLE(9))
TRANSFORM(1x3, AXIS_WHOLE(1), AXIS_WHOLE(6))
TRANSFORM(3x1, AXIS_WHOLE(6), AXIS_WHOLE(1))
TRANSFORM(1x7, AXIS_WHOLE(1), AXIS_7)
TRANSFORM(7x1, AXIS_7, AXIS_WHOLE(1))
TRANSFORM(strided, AXIS_STRIDED(3), AXIS_STRIDED(3))
TRANSFORM(strided_large, AXIS_STRIDED(4), AXIS_STRIDED(4))
FINISH(3x3, 6, 6, 4, 4)
FINISH(3x3_large, 7, 7, 5, 5)
FINISH(3x3_largest, 8, 8, 6, 6)
FINISH(3x3_tall, 9, 6, 7, 4)
FINISH(3x3_huge, 9, 9, 7, 7)
FINISH(5x5, 8, 8, 4, 4)
FINISH(1x3, 1, 6, 1, 4)
FINISH(3x1, 6, 1, 4, 1)
FINISH(1x7, 1, 9, 1, 6)
FINISH(7x1, 9, 1, 6, 1)
FINISH(strided, 4, 4, 3, 3)
FINISH(strided_large, 5, 5, 4, 4)

/* Terms of a sum that are added up before they are added to the others: of 512 at once, errors are twice as large as of
 * 128. Parts half as long are slower by 3 %; they are for the tiles that need it. */
enum { MOST_TERMS = 128, FEWER_TERMS = 64 };

/* A tile has outputs m_h x m_w, found from inputs in_h x in_w by products at points first_h x first_w, whose sums are
 * made in parts of so many terms. Along an axis on which the kernel has two parts, the first second_h or second_w of
 * those are points of the second part too. */
struct kind {
    size_t in_h, in_w, m_h, m_w, first_h, first_w, second_h, second_w, most_terms;
    transform_function *transform;
    finish_function *finish;
};
static const struct kind KINDS[] = {
    {6, 6, 4, 4, 6, 6, 0, 0, MOST_TERMS, transform_3x3, finish_3x3},
    {7, 7, 5, 5, 7, 7, 0, 0, MOST_TERMS, transform_3x3_large, finish_3x3_large},
    {8, 8, 6, 6, 8, 8, 0, 0, MOST_TERMS, transform_8x8, finish_3x3_largest},
    {9, 6, 7, 4, 9, 6, 0, 0, MOST_TERMS, transform_3x3_tall, finish_3x3_tall},
    {9, 9, 7, 7, 9, 9, 0, 0, FEWER_TERMS, transform_3x3_huge, finish_3x3_huge},
    {8, 8, 4, 4, 8, 8, 0, 0, MOST_TERMS, transform_8x8, finish_5x5},
    {1, 6, 1, 4, 1, 6, 0, 0, MOST_TERMS, transform_1x3, finish_1x3},
    {6, 1, 4, 1, 6, 1, 0, 0, MOST_TERMS, transform_3x1, finish_3x1},
    {1, 12, 1, 6, 1, 9, 0, 8, MOST_TERMS, transform_1x7, finish_1x7},
    {12, 1, 6, 1, 9, 1, 8, 0, MOST_TERMS, transform_7x1, finish_7x1},
    {7, 7, 3, 3, 4, 4, 3, 3, MOST_TERMS, transform_strided, finish_strided},
    {9, 9, 4, 4, 5, 5, 4, 4, MOST_TERMS, transform_strided_large, finish_strided_large}};

/* The kind of a convolution in tiles of tile_h x tile_w outputs. */
static const struct kind *find_kind(const struct window *window, size_t tile_h, size_t tile_w) {
    const size_t in_h = (tile_h - 1) * window->stride_h + window->kernel_h;
    const size_t in_w = (tile_w - 1) * window->stride_w + window->kernel_w;
    const struct kind *kind = KINDS;
    while (kind->in_h != in_h || kind->in_w != in_w || kind->m_h != tile_h || kind->m_w != tile_w) kind++;
    return kind;
}

static size_t count_points(const struct kind *kind) { return kind->first_h * kind->first_w; }

/* Parts of the kernel that are added up at a point. */
static size_t count_parts(const struct kind *kind, size_t point) {
    const size_t h = point / kind->first_w, w = point % kind->first_w;
    return (h < kind->second_h ? 2 : 1) * (w < kind->second_w ? 2 : 1);
}

/* The plane of one of those parts. */
static size_t plane_of(const struct kind *kind, size_t point, size_t part) {
    const size_t h = point / kind->first_w, w = point % kind->first_w, parts_w = w < kind->second_w ? 2 : 1;
    return (h + part / parts_w * kind->first_h) * (kind->first_w + kind->second_w) + w + part % parts_w * kind->first_w;
}

/* ------------------------------------------------------------------ a block of tiles */

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
    const struct window *window = &shape->window;
    const size_t top = place.row * window->stride_h - window->padding.top;
    const size_t left = place.column * window->stride_w - window->padding.left;
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
    const size_t in_c = work->job->shape->in_c, n_parts = (in_c + work->kind->most_terms - 1) / work->kind->most_terms;
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
    for (size_t point = 0; point < count_points(work->kind); point++) {
        const size_t n_parts = count_parts(work->kind, point);
        for (size_t i = 0; i < n_panels; i++) {
            block.n_columns = whole_c - i * PANEL < PANEL ? whole_c - i * PANEL : PANEL;
            block.c = work->products + point * work->out_plane + i * PANEL;
            for (size_t part = 0; part < n_parts; part++, panel += shape->in_c * PANEL)
                multiply_panel(work, &block, work->transformed + plane_of(work->kind, point, part) * work->in_plane,
                               panel, part > 0);
        }
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
    const struct kind *kind = find_kind(&shape->window, job->tile_h, job->tile_w);
    struct work work = {.job = job, .kind = kind, .tiles_w = (shape->out_w + job->tile_w - 1) / job->tile_w};
    work.tiles_per_image = work.tiles_w * job->n_units;
    work.in_row = CONV_ROW_FLOATS(shape->in_c);
    work.out_row = CONV_ROW_FLOATS(shape->out_c);
    work.in_plane = job->block * work.in_row + 16;
    work.out_plane = job->block * work.out_row + 16;
    work.transformed = job->scratch;
    work.products = work.transformed + CONV_PLANES(job->tile_h, job->tile_w, shape->window) * work.in_plane;
    work.patch = work.products + count_points(kind) * work.out_plane;
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
    static const double points_4[] = {0, 1, -1}, points_5[] = {0.5, -0.5, 1.5, -1.5},
                        points_6[] = {0, 2.0 / 3, -2.0 / 3, 1.5, -1.5}, points_8[] = {0, 1, -1, 2, -2, 0.5, -0.5},
                        points_9[] = {0.25, -0.25, 2.0 / 3, -2.0 / 3, 1.125, -1.125, 2.125, -2.125};
    static const double *const all_points[MAX_POINTS + 1] = {
        [4] = points_4, [5] = points_5, [6] = points_6, [7] = points_8, [8] = points_8, [9] = points_9};
    const double *points = all_points[n];
    for (size_t i = 0; i + 1 < n; i++) {
        double value = 1;
        for (size_t j = 0; j + 1 < n; j++)
            if (j != i) value /= points[i] - points[j];
        for (size_t k = 0; k < r; k++, value *= points[i]) g[i * row_length + k] = value;
    }
    for (size_t k = 0; k < r; k++) g[(n - 1) * row_length + k] = k + 1 == r;
}

/* rows [n, r] = the first n rows of G of a part of the kernel: n_taps taps from first_tap on, every `step`-th. */
static void make_part(size_t n, size_t n_points, size_t n_taps, size_t first_tap, size_t step, size_t r,
                      double *rows) {
    double part[MAX_POINTS * MAX_KERNEL];
    make_g(n_points, n_taps, part, n_taps);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n_taps; k++) rows[i * r + first_tap + k * step] = part[i * n_taps + k];
}

/* One axis' G [CONV_AXIS_PLANES(tile, r, stride), r]: of the whole kernel, of its first 4 and last 3 taps, or at stride
 * 2 of its even and odd ones. A second part does without infinity, the last row. */
static void make_axis(size_t tile, size_t r, size_t stride, double g[CONV_MAX_AXIS_PLANES * MAX_KERNEL]) {
    const size_t n = CONV_AXIS_POINTS(tile, r, stride);
    for (size_t i = 0; i < CONV_MAX_AXIS_PLANES * MAX_KERNEL; i++) g[i] = 0;
    if (r == 1) {
        g[0] = 1;
    } else if (stride == 2) {
        make_part(n, n, (r + 1) / 2, 0, 2, r, g);
        make_part(n - 1, n, r / 2, 1, 2, r, g + n * r);
    } else if (r == 7) {
        make_part(n, n, 4, 0, 1, r, g);
        make_part(n - 1, n, 3, 4, 1, r, g + n * r);
    } else {
        make_g(n, r, g, r);
    }
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

/* Where the weights of a plane and a panel lie, in units of [in_c, PANEL]: as multiply_points reads them, point by
 * point, panel by panel, part by part. */
struct weights_place { size_t first, step; }; /* of panel 0; to the next one */

static void find_places(const struct kind *kind, size_t n_panels, struct weights_place places[MAX_PLANES]) {
    for (size_t point = 0, first = 0; point < count_points(kind); point++) {
        const size_t n_parts = count_parts(kind, point);
        for (size_t part = 0; part < n_parts; part++)
            places[plane_of(kind, point, part)] = (struct weights_place){first + part, n_parts};
        first += n_parts * n_panels;
    }
}

void KERNEL(kernel_winograd_weights)(const struct conv_shape *shape, size_t tile_h, size_t tile_w, const float *kernel,
                                     float *panels) {
    const struct window *window = &shape->window;
    const size_t r_h = window->kernel_h, r_w = window->kernel_w, out_c = shape->out_c, in_c = shape->in_c;
    const size_t n_h = CONV_AXIS_PLANES(tile_h, r_h, window->stride_h);
    const size_t n_w = CONV_AXIS_PLANES(tile_w, r_w, window->stride_w), n_panels = (out_c + PANEL - 1) / PANEL;
    struct weights_place places[MAX_PLANES];
    double g_h[CONV_MAX_AXIS_PLANES * MAX_KERNEL], g_w[CONV_MAX_AXIS_PLANES * MAX_KERNEL];
    double weights[MAX_KERNEL * MAX_KERNEL * PANEL], planes[MAX_PLANES * PANEL];
    make_axis(tile_h, r_h, window->stride_h, g_h);
    make_axis(tile_w, r_w, window->stride_w, g_w);
    find_places(find_kind(window, tile_h, tile_w), n_panels, places);
    for (size_t panel = 0; panel < n_panels; panel++)
        for (size_t i = 0; i < in_c; i++) {
            for (size_t k = 0; k < r_h * r_w; k++)
                for (size_t o = 0; o < PANEL; o++)
                    weights[k * PANEL + o] =
                        panel * PANEL + o < out_c ? (double)kernel[(k * in_c + i) * out_c + panel * PANEL + o] : 0;
            transform_weights(n_h, r_h, g_h, n_w, r_w, g_w, weights, planes);
            for (size_t p = 0; p < n_h * n_w; p++)
                for (size_t o = 0; o < PANEL; o++)
                    panels[((places[p].first + panel * places[p].step) * in_c + i) * PANEL + o] =
                        (float)planes[p * PANEL + o];
        }
}
