/* Activation functions. The smooth ones are computed in double by formulas of our own, in loops that vectorise,
 * and rounded once to float: so they are as good as exact, and the same on every machine, whatever its libm. */
#include <math.h>
#include <stdint.h>

#include "engine/kernels_variant.h"

#define INLINE static inline __attribute__((always_inline))

union double_bits { double value; uint64_t bits; };

/* exp(x) = 2^k * (1 + q) with |r| <= ln(2) / 2, q = exp(r) - 1 by its Taylor series: the term left out, r^10 / 10!, is
 * below 7e-12. x must lie in [-700, 700] or be NaN. */
struct exp_parts { double power, q; };

INLINE struct exp_parts exp_split(double x) {
    const double shifter = 0x1.8p52; /* adding it rounds to an integer, which is then in the lowest bits */
    const union double_bits shifted = {.value = x * 0x1.71547652b82fep0 + shifter};
    const double k = shifted.value - shifter;
    const double r = (x - k * 0x1.62e42fefa3800p-1) - k * 0x1.ef35793c76730p-45;
    double q = 1.0 / 362880;
    q = q * r + 1.0 / 40320;
    q = q * r + 1.0 / 5040;
    q = q * r + 1.0 / 720;
    q = q * r + 1.0 / 120;
    q = q * r + 1.0 / 24;
    q = q * r + 1.0 / 6;
    q = q * r + 0.5;
    q = q * r * r + r;
    const union double_bits power = {.bits = (shifted.bits + 1023) << 52};
    return (struct exp_parts){power.value, q};
}

/* Beyond these limits the results are infinity and 0 as floats. */
INLINE double clamp_exponent(double x) {
    x = x > 200 ? 200 : x;
    return x < -200 ? -200 : x;
}

INLINE double exp_of(double x) {
    const struct exp_parts parts = exp_split(clamp_exponent(x));
    return parts.power * parts.q + parts.power;
}

/* exp(x) - 1 without cancellation near 0. */
INLINE double expm1_of(double x) {
    const struct exp_parts parts = exp_split(clamp_exponent(x));
    return parts.power * parts.q + (parts.power - 1);
}

/* log(1 + t) for t in [0, 1]: 2 artanh(s), s = t / (2 + t) <= 1/3; the term left out is below 1e-12. */
INLINE double log1p_of(double t) {
    const double s = t / (2 + t), s2 = s * s;
    double sum = 1.0 / 23;
    sum = sum * s2 + 1.0 / 21;
    sum = sum * s2 + 1.0 / 19;
    sum = sum * s2 + 1.0 / 17;
    sum = sum * s2 + 1.0 / 15;
    sum = sum * s2 + 1.0 / 13;
    sum = sum * s2 + 1.0 / 11;
    sum = sum * s2 + 1.0 / 9;
    sum = sum * s2 + 1.0 / 7;
    sum = sum * s2 + 1.0 / 5;
    sum = sum * s2 + 1.0 / 3;
    return 2 * (s * s2 * sum + s);
}

INLINE double tanh_of(double x) {
    const double e = expm1_of(2 * x);
    return e / (e + 2);
}

/* erf(x) = 1 - exp(-x^2) f(x) for x >= 0, f(x) = exp(x^2) erfc(x) as a polynomial in u = 4 / (2 + x) - 1: Chebyshev
 * interpolation of degree 14, error below 4e-11. */
INLINE double erf_of(double x) {
    static const double coefficients[15] = {
        0.25539567631050597,    0.42718584742695365,    0.24165819380148137,     0.07897858071616409,
        0.0037329089025699277,  -0.006997463497141877,  -0.0008473223357978731,  0.000982029495293091,
        4.441546516342025e-05,  -0.0001746847076039633, 2.5398712286062167e-05,  2.8507016240079475e-05,
        -1.1141529451682197e-05, -2.8164591640233994e-06, 1.8706992705119775e-06};
    const double size = fabs(x), u = 4 / (2 + size) - 1;
    double f = coefficients[14];
#pragma GCC unroll 16
    for (int i = 13; i >= 0; i--) f = f * u + coefficients[i];
    const double erf_of_size = 1 - exp_of(-size * size) * f;
    return x < 0 ? -erf_of_size : erf_of_size;
}

INLINE double sigmoid_of(double x) { return 1 / (1 + exp_of(-x)); }

INLINE double softplus_of(double x) { return (x > 0 ? x : x != x ? x : 0) + log1p_of(exp_of(x > 0 ? -x : x)); }

/* tanh(log(1 + e)) = e (e + 2) / (e (e + 2) + 2), e = exp(x); it is 1 long before x = 40. */
INLINE double mish_of(double x) {
    const double e = exp_of(x > 40 ? 40 : x), product = e * (e + 2);
    return x * (product / (product + 2));
}

INLINE double gelu_tanh_of(double x) {
    return 0.5 * x * (1 + tanh_of(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

INLINE double clip_of(double x, double low, double high) { return x < low ? low : x > high ? high : x; }
INLINE double hard_sigmoid_of(double x) { return clip_of(x + 3, 0, 6) / 6; }

static void relu(const struct activation *activation, const float *in, float *out, size_t n) {
    const float alpha = activation->alpha, high = activation->max_value, threshold = activation->threshold;
    if (alpha == 0 && threshold == 0 && high == INFINITY) {
        INDEPENDENT
        for (size_t i = 0; i < n; i++) out[i] = in[i] < 0 ? 0 : in[i]; /* NaN stays */
        return;
    }
    INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        const float x = in[i], below = alpha * (x - threshold);
        out[i] = x >= high ? high : x >= threshold ? x : below;
    }
}

#define EACH(expression)                   \
    INDEPENDENT                            \
    for (size_t i = 0; i < n; i++) {       \
        const float x = in[i];             \
        out[i] = (float)(expression);      \
    }                                      \
    break

#define SELU_SCALE 1.0507009873554805
#define SELU_ALPHA 1.6732632423543772

void KERNEL(kernel_activate)(const struct activation *activation, const float *in, float *out, size_t n) {
    const double alpha = (double)activation->alpha;
    switch (activation->kind) {
    case ACT_LINEAR: EACH(x);
    case ACT_RELU: relu(activation, in, out, n); break;
    case ACT_ELU: EACH(x > 0 ? (double)x : alpha * expm1_of((double)x));
    case ACT_SELU: EACH(SELU_SCALE * (x > 0 ? (double)x : SELU_ALPHA * expm1_of((double)x)));
    case ACT_GELU: EACH(0.5 * (double)x * (1 + erf_of((double)x * 0.7071067811865476)));
    case ACT_GELU_TANH: EACH(gelu_tanh_of((double)x));
    case ACT_SILU: EACH((double)x * sigmoid_of((double)x));
    case ACT_SIGMOID: EACH(sigmoid_of((double)x));
    case ACT_TANH: EACH(tanh_of((double)x));
    case ACT_SOFTPLUS: EACH(softplus_of((double)x));
    case ACT_SOFTSIGN: EACH(x / (1 + fabsf(x)));
    case ACT_EXPONENTIAL: EACH(exp_of((double)x));
    case ACT_MISH: EACH(mish_of((double)x));
    case ACT_HARD_SIGMOID: EACH(hard_sigmoid_of((double)x));
    case ACT_HARD_SIGMOID_KERAS2: EACH(clip_of(0.2 * (double)x + 0.5, 0, 1));
    case ACT_HARD_SILU: EACH((double)x * hard_sigmoid_of((double)x));
    }
}

void KERNEL(kernel_softmax)(const float *in, float *out, size_t n_rows, size_t c) {
    for (size_t row = 0; row < n_rows; row++, in += c, out += c) {
        float largest = in[0];
        for (size_t i = 1; i < c; i++) largest = in[i] > largest ? in[i] : largest;
        double sum = 0;
        INDEPENDENT
        for (size_t i = 0; i < c; i++) out[i] = (float)exp_of((double)in[i] - (double)largest);
        for (size_t i = 0; i < c; i++) sum += (double)out[i];
        for (size_t i = 0; i < c; i++) out[i] = (float)((double)out[i] / sum);
    }
}
