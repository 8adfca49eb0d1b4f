/* Our convolution kernels against a naive sum, for every instruction set that the processor has, many shapes and every
 * way that there is for them; and that what one call computes, and beside which pictures, changes no bit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/conv_own.h"
#include "engine/isa.h"

static uint32_t random_state = 1;

static float random_value(void) { /* in [-1, 1), xorshift32 */
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return (float)(int32_t)random_state / 2147483648.0f;
}

static float *random_values(size_t n, float scale) {
    float *values = malloc((n + 1) * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < n; i++) values[i] = random_value() * scale;
    return values;
}

/* ------------------------------------------------------------------ the naive version */

/* out [out_h, out_w, out_c], sums in double. */
static void convolve(const struct conv_shape *shape, const float *in, const float *kernel, const float *bias,
                     double *out) {
    const struct window *window = &shape->window;
    for (size_t oh = 0; oh < shape->out_h; oh++)
        for (size_t ow = 0; ow < shape->out_w; ow++, out += shape->out_c)
            for (size_t o = 0; o < shape->out_c; o++) {
                out[o] = bias ? (double)bias[o] : 0;
                for (size_t kh = 0; kh < window->kernel_h; kh++)
                    for (size_t kw = 0; kw < window->kernel_w; kw++) {
                        /* wrap where they lie in the padding */
                        const size_t h = oh * window->stride_h + kh * window->dilation_h - window->padding.top;
                        const size_t w = ow * window->stride_w + kw * window->dilation_w - window->padding.left;
                        if (h >= shape->in_h || w >= shape->in_w) continue;
                        const float *pixel = in + (h * shape->in_w + w) * shape->in_c;
                        const float *weights = kernel + (kh * window->kernel_w + kw) * shape->in_c * shape->out_c + o;
                        for (size_t i = 0; i < shape->in_c; i++)
                            out[o] += (double)pixel[i] * (double)weights[i * shape->out_c];
                    }
            }
}

/* ------------------------------------------------------------------ one shape */

enum { N_IMAGES = 3, GUARD = 32 };

struct picture_set {
    size_t in_floats, out_floats;
    float *in;        /* [N_IMAGES][in_h, in_w, in_c] */
    double *expected; /* [N_IMAGES][out_h, out_w, out_c] */
    double largest;
};

static void check_values(const struct conv_shape *shape, const struct picture_set *set, const float *out, bool is_relu,
                         enum conv_way way, const char *isa) {
    const bool is_large = way >= CONV_WAY_WINOGRAD_3X3_LARGE && way <= CONV_WAY_WINOGRAD_3X3_TALL;
    const bool is_huge = way == CONV_WAY_WINOGRAD_3X3_HUGE; /* larger tiles are less exact */
    const double tolerance = set->largest * (is_huge ? 8e-5 : is_large ? 4e-5 : 1e-5);
    for (size_t i = 0; i < N_IMAGES * set->out_floats; i++) {
        const double expected = is_relu ? fmax(set->expected[i], 0) : set->expected[i];
        if (!(fabs((double)out[i] - expected) <= tolerance))
            fail_msg("%s, %s: %zux%zux%zu -> %zux%zux%zu, window %zux%zu / %zu, dilated %zu, %s: element %zu: %g "
                     "expected, got %g", isa, conv_way_name(way), shape->in_h, shape->in_w, shape->in_c, shape->out_h,
                     shape->out_w, shape->out_c, shape->window.kernel_h, shape->window.kernel_w,
                     shape->window.stride_w, shape->window.dilation_w, is_relu ? "relu" : "no relu", i, expected,
                     (double)out[i]);
    }
}

/* All pictures in one call; then each by itself, in the portions that the engine takes: the same bits. */
static void run_both_ways(const struct conv_own *conv, const struct kernels *kernels, const struct picture_set *set,
                          bool is_relu, const char *isa) {
    const size_t n = N_IMAGES * set->out_floats;
    float *scratch = aligned_alloc(64, (conv->scratch_bytes + 63) / 64 * 64 + 64);
    float *together = malloc((n + GUARD) * sizeof *together), *apart = malloc((n + GUARD) * sizeof *apart);
    assert_true(scratch && together && apart);
    for (size_t i = 0; i < n + GUARD; i++) together[i] = apart[i] = 12345;
    struct conv_own_call call = {.in = set->in, .in_stride = set->in_floats, .out = together,
                                 .out_stride = set->out_floats, .n_images = N_IMAGES, .n_units = conv->n_units,
                                 .is_relu = is_relu};
    conv_own_run(conv, kernels, &call, scratch);
    check_values(&conv->shape, set, together, is_relu, conv->way, isa);
    for (size_t image = 0; image < N_IMAGES; image++)
        for (size_t unit = 0; unit < conv->n_units; unit += conv->portion) {
            const size_t rest = conv->n_units - unit;
            call.in = set->in + image * set->in_floats;
            call.out = apart + image * set->out_floats;
            call.n_images = 1;
            call.first_unit = unit;
            call.n_units = rest < conv->portion ? rest : conv->portion;
            conv_own_run(conv, kernels, &call, scratch);
        }
    assert_memory_equal(together, apart, (n + GUARD) * sizeof *apart);
    assert_true(together[n] == 12345 && together[n + GUARD - 1] == 12345);
    free(scratch);
    free(together);
    free(apart);
}

/* In portions among the channels of a wider map, as a branch of a concatenation: the same bits, and nothing else is
 * touched. */
static void run_among_channels(const struct conv_own *conv, const struct kernels *kernels,
                               const struct picture_set *set, bool is_relu) {
    enum { BEFORE = 3, BEHIND = 18 };
    const size_t c = conv->shape.out_c, width = BEFORE + c + BEHIND, n_pixels = set->out_floats / c;
    float *scratch = aligned_alloc(64, (conv->scratch_bytes + 63) / 64 * 64 + 64);
    float *dense = malloc(set->out_floats * sizeof *dense), *wide = malloc(n_pixels * width * sizeof *wide);
    assert_true(scratch && dense && wide);
    for (size_t i = 0; i < n_pixels * width; i++) wide[i] = 12345;
    struct conv_own_call call = {.in = set->in, .out = dense, .n_images = 1, .n_units = conv->n_units,
                                 .is_relu = is_relu};
    conv_own_run(conv, kernels, &call, scratch);
    call.out = wide + BEFORE;
    call.out_pixel = width;
    for (size_t unit = 0; unit < conv->n_units; unit += conv->portion) {
        call.first_unit = unit;
        call.n_units = conv->n_units - unit < conv->portion ? conv->n_units - unit : conv->portion;
        conv_own_run(conv, kernels, &call, scratch);
    }
    for (size_t p = 0; p < n_pixels; p++) {
        const float *pixel = wide + p * width;
        assert_memory_equal(pixel + BEFORE, dense + p * c, c * sizeof *dense);
        for (size_t i = 0; i < width; i++)
            if (i < BEFORE || i >= BEFORE + c) assert_true(pixel[i] == 12345);
    }
    free(scratch);
    free(dense);
    free(wide);
}

static size_t outputs(size_t in, size_t before, size_t after, size_t kernel, size_t stride, size_t dilation) {
    const size_t reach = (kernel - 1) * dilation + 1;
    return in + before + after < reach ? 0 : (in + before + after - reach) / stride + 1;
}

static bool is_ours(enum conv_way way, const struct conv_shape *shape) {
    return !conv_way_is_onednn(way) && conv_way_fits(way, shape);
}

static void check_shape(size_t h, size_t w, size_t c_in, size_t c_out, struct window window, bool has_bias) {
    struct conv_shape shape = {.in_h = h, .in_w = w, .in_c = c_in, .out_c = c_out, .groups = 1, .window = window};
    const struct padding *padding = &window.padding;
    shape.out_h = outputs(h, padding->top, padding->bottom, window.kernel_h, window.stride_h, window.dilation_h);
    shape.out_w = outputs(w, padding->left, padding->right, window.kernel_w, window.stride_w, window.dilation_w);
    const size_t n_k = window.kernel_h * window.kernel_w * c_in;
    struct picture_set set = {.in_floats = h * w * c_in, .out_floats = shape.out_h * shape.out_w * c_out};
    if (set.out_floats == 0) return;
    set.in = random_values(N_IMAGES * set.in_floats, 1);
    set.expected = malloc(N_IMAGES * set.out_floats * sizeof *set.expected);
    assert_non_null(set.expected);
    float *kernel = random_values(n_k * c_out, 1 / sqrtf((float)n_k)), *bias = random_values(c_out, 0.3f);
    for (size_t i = 0; i < N_IMAGES; i++)
        convolve(&shape, set.in + i * set.in_floats, kernel, has_bias ? bias : NULL,
                 set.expected + i * set.out_floats);
    for (size_t i = 0; i < N_IMAGES * set.out_floats; i++) set.largest = fmax(set.largest, fabs(set.expected[i]));
    for (filtags_isa wanted = FILTAGS_ISA_PORTABLE; wanted <= FILTAGS_ISA_AVX512; wanted++)
        for (enum conv_way way = 0; way < CONV_N_WAYS; way++) {
            filtags_isa isa;
            struct conv_own *conv = NULL;
            if (!is_ours(way, &shape) || isa_resolve(wanted, &isa)) continue;
            assert_int_equal(conv_own_create(kernels_for(isa), &shape, way, kernel, has_bias ? bias : NULL, &conv),
                             FILTAGS_OK);
            run_both_ways(conv, kernels_for(isa), &set, has_bias, isa_name(isa));
            run_among_channels(conv, kernels_for(isa), &set, has_bias);
            conv_own_destroy(conv);
        }
    free(set.in);
    free(set.expected);
    free(kernel);
    free(bias);
}

/* ------------------------------------------------------------------ how exact they are */

/* The root of the mean square error of what a layer deep in a network computes (many channels, none of them negative),
 * in units of the outputs' own. */
static double error_of(enum conv_way way, size_t stride, const struct kernels *kernels) {
    enum { SIZE = 21, C_IN = 512, C_OUT = 16, N_IN = SIZE * SIZE * C_IN, MOST_OUT = SIZE * SIZE * C_OUT };
    const struct window window = {3, 3, stride, stride, 1, 1, {1, 1, 1, 1}};
    const size_t size = outputs(SIZE, 1, 1, 3, stride, 1), n_out = size * size * C_OUT;
    const struct conv_shape shape = {SIZE, SIZE, C_IN, size, size, C_OUT, 1, window};
    struct conv_own *conv = NULL;
    float *in = random_values(N_IN, 1), *kernel = random_values(9 * C_IN * C_OUT, 0.03f);
    float *out = malloc(MOST_OUT * sizeof *out);
    double *expected = malloc(MOST_OUT * sizeof *expected), errors = 0, squares = 0;
    assert_true(out && expected);
    for (size_t i = 0; i < N_IN; i++) in[i] = in[i] > 0 ? in[i] : 0;
    convolve(&shape, in, kernel, NULL, expected);
    assert_int_equal(conv_own_create(kernels, &shape, way, kernel, NULL, &conv), FILTAGS_OK);
    float *scratch = aligned_alloc(64, (conv->scratch_bytes + 63) / 64 * 64 + 64);
    assert_non_null(scratch);
    const struct conv_own_call call = {.in = in, .out = out, .n_images = 1, .n_units = conv->n_units};
    conv_own_run(conv, kernels, &call, scratch);
    for (size_t i = 0; i < n_out; i++) {
        errors += ((double)out[i] - expected[i]) * ((double)out[i] - expected[i]);
        squares += expected[i] * expected[i];
    }
    conv_own_destroy(conv);
    free(scratch);
    free(expected);
    free(out);
    free(kernel);
    free(in);
    return sqrt(errors / squares);
}

static void exactness(void **state) {
    (void)state;
    static const struct { enum conv_way way; size_t stride; double most; } bounds[] = {
        {CONV_WAY_GATHERED, 1, 1e-6}, {CONV_WAY_WINOGRAD_3X3, 1, 1e-6}, {CONV_WAY_WINOGRAD_3X3_LARGE, 1, 4e-6},
        {CONV_WAY_WINOGRAD_3X3_LARGEST, 1, 5e-6}, {CONV_WAY_WINOGRAD_3X3_TALL, 1, 4e-6},
        {CONV_WAY_WINOGRAD_3X3_HUGE, 1, 1e-5},
        {CONV_WAY_WINOGRAD_STRIDED, 2, 1e-6}, {CONV_WAY_WINOGRAD_STRIDED_LARGE, 2, 1e-6}};
    for (filtags_isa wanted = FILTAGS_ISA_PORTABLE; wanted <= FILTAGS_ISA_AVX512; wanted++)
        for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
            filtags_isa isa;
            if (isa_resolve(wanted, &isa)) continue;
            const double error = error_of(bounds[i].way, bounds[i].stride, kernels_for(isa));
            if (!(error <= bounds[i].most))
                fail_msg("%s, %s: an error of at most %g expected, got %g", isa_name(isa),
                         conv_way_name(bounds[i].way), bounds[i].most, error);
        }
}

/* ------------------------------------------------------------------ tests */

#define NO_PADDING {0, 0, 0, 0}
static const struct window WINDOWS[] = {
    {3, 3, 1, 1, 1, 1, {1, 1, 1, 1}}, {5, 5, 1, 1, 1, 1, {2, 2, 2, 2}}, {1, 7, 1, 1, 1, 1, {0, 0, 3, 3}},
    {7, 1, 1, 1, 1, 1, {3, 3, 0, 0}}, {1, 3, 1, 1, 1, 1, {0, 0, 1, 1}}, {3, 1, 1, 1, 1, 1, {1, 1, 0, 0}},
    {1, 1, 1, 1, 1, 1, {0, 0, 0, 0}}};
enum { N_WINDOWS = sizeof WINDOWS / sizeof *WINDOWS };

static void channels(void **state) {
    (void)state;
    for (size_t i = 0; i < N_WINDOWS; i++)
        for (size_t c = 1; c <= 70; c++) {
            check_shape(6, 7, c, 71 - c, WINDOWS[i], c % 2);
            if (c % 3 == 0) check_shape(5, 5, 16 + c, c, WINDOWS[i], true);
        }
}

static void sizes(void **state) {
    (void)state;
    for (size_t i = 0; i < N_WINDOWS; i++)
        for (size_t h = 1; h <= 14; h++)
            for (size_t w = 1; w <= 14; w += 1 + h % 2) check_shape(h, w, 18, 19, WINDOWS[i], w % 2);
    check_shape(1, 300, 17, 5, WINDOWS[0], true); /* more tiles in a row than a block holds */
    check_shape(300, 1, 16, 33, WINDOWS[0], false);
    check_shape(41, 43, 16, 16, WINDOWS[0], true);
    check_shape(15, 15, 128, 144, WINDOWS[0], true);
    check_shape(35, 34, 20, 18, WINDOWS[0], true);
    check_shape(17, 17, 40, 34, WINDOWS[2], true); /* kernels that are split, and tiles that are not whole */
    check_shape(17, 17, 40, 34, WINDOWS[3], false);
    check_shape(7, 7, 600, 130, WINDOWS[6], true); /* more terms than are summed at a time */
    check_shape(3, 3, 513, 33, WINDOWS[0], true);
}

static void paddings(void **state) {
    (void)state;
    for (size_t i = 0; i < N_WINDOWS; i++)
        for (size_t p = 0; p < 81; p++) {
            struct window window = WINDOWS[i];
            window.padding = (struct padding){p % 3, p / 3 % 3, p / 9 % 3, p / 27};
            check_shape(9, 8, 16, 7, window, p % 2);
        }
    struct window window = WINDOWS[0];
    window.padding = (struct padding){7, 9, 12, 8}; /* tiles of padding alone */
    check_shape(3, 2, 20, 20, window, true);
}

static void strides(void **state) {
    (void)state;
    for (size_t kernel = 1; kernel <= 7; kernel += 2)
        for (size_t stride = 1; stride <= 3; stride++)
            for (size_t dilation = 1; dilation <= 2; dilation++) {
                const struct window window = {kernel, kernel, stride, stride, dilation, dilation, {1, 2, 0, 3}};
                check_shape(19, 17, 3, 20, window, true);
                check_shape(13, 16, 35, 9, window, false);
            }
    check_shape(12, 9, 8, 8, (struct window){3, 2, 2, 1, 1, 3, {1, 0, 2, 1}}, true);
    for (size_t i = 0; i < 48; i++) { /* what Winograd's method does at stride 2, in all positions of its last tiles */
        const struct window window = {3, 3, 2, 2, 1, 1, {i % 2, i / 2 % 2, i / 4 % 2, i / 8 % 2}};
        check_shape(3 + i % 17, 3 + i * 5 % 19, 1 + i, 48 - i, window, i % 3 == 0);
    }
    check_shape(35, 35, 96, 40, (struct window){3, 3, 2, 2, 1, 1, NO_PADDING}, false);
}

static void check_not_finite(const struct conv_shape *shape, enum conv_way way, const struct kernels *kernels,
                             float value) {
    const size_t n_k = shape->window.kernel_h * shape->window.kernel_w * 16;
    struct conv_own *conv = NULL;
    float *in = random_values(9 * 9 * 16, 1), *kernel = random_values(n_k * 5, 1), out[9 * 9 * 5];
    assert_int_equal(conv_own_create(kernels, shape, way, kernel, NULL, &conv), FILTAGS_OK);
    float *scratch = aligned_alloc(64, (conv->scratch_bytes + 63) / 64 * 64 + 64);
    in[(4 * 9 + 4) * 16 + 3] = value;
    const struct conv_own_call call = {.in = in, .out = out, .n_images = 1, .n_units = conv->n_units, .is_relu = true};
    conv_own_run(conv, kernels, &call, scratch);
    for (size_t o = 0; o < 5; o++) { /* ReLU makes 0 of minus infinity, but of nothing else */
        const float weight = kernel[(n_k / 2 - 8 + 3) * 5 + o];
        if (isnan(value) || weight > 0) assert_false(isfinite(out[(4 * 9 + 4) * 5 + o]));
    }
    free(scratch);
    free(in);
    free(kernel);
    conv_own_destroy(conv);
}

static void not_finite(void **state) {
    (void)state;
    for (filtags_isa wanted = FILTAGS_ISA_PORTABLE; wanted <= FILTAGS_ISA_AVX512; wanted++)
        for (size_t i = 0; i < N_WINDOWS; i++)
            for (enum conv_way way = 0; way < CONV_N_WAYS; way++) {
                const struct conv_shape shape = {9, 9, 16, 9, 9, 5, 1, WINDOWS[i]};
                filtags_isa isa;
                if (!is_ours(way, &shape) || isa_resolve(wanted, &isa)) continue;
                check_not_finite(&shape, way, kernels_for(isa), INFINITY);
                check_not_finite(&shape, way, kernels_for(isa), NAN);
            }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(channels), cmocka_unit_test(sizes), cmocka_unit_test(paddings),
                                       cmocka_unit_test(strides), cmocka_unit_test(not_finite),
                                       cmocka_unit_test(exactness)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
