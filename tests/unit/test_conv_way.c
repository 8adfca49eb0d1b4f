/* Which way a convolution gets: the table of costs is whole and plausible, and the choice for some shapes of the known
 * networks is what it was. Who makes a new table (./dev bench costs) reviews what changes here, and raises
 * KERNELS_VERSION. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/conv_own.h"
#include "engine/conv_way.h"

/* What the choice needs of kernels, for instruction sets that this processor may not have. */
static const struct kernels KERNELS[] = {{.isa = FILTAGS_ISA_PORTABLE, .panel = 8},
                                         {.isa = FILTAGS_ISA_AVX2, .panel = 16},
                                         {.isa = FILTAGS_ISA_AVX512, .panel = 32}};
enum { N_ISAS = sizeof KERNELS / sizeof *KERNELS };

static const struct window WINDOWS[] = {
    {3, 3, 1, 1, 1, 1, {1, 1, 1, 1}}, {5, 5, 1, 1, 1, 1, {2, 2, 2, 2}}, {1, 7, 1, 1, 1, 1, {0, 0, 3, 3}},
    {7, 1, 1, 1, 1, 1, {3, 3, 0, 0}}, {1, 3, 1, 1, 1, 1, {0, 0, 1, 1}}, {3, 1, 1, 1, 1, 1, {1, 1, 0, 0}},
    {1, 1, 1, 1, 1, 1, {0, 0, 0, 0}}, {1, 1, 2, 2, 1, 1, {0, 0, 0, 0}}, {3, 3, 2, 2, 1, 1, {1, 1, 1, 1}},
    {7, 7, 2, 2, 1, 1, {3, 3, 3, 3}}, {3, 3, 1, 1, 2, 2, {2, 2, 2, 2}}};
enum { N_WINDOWS = sizeof WINDOWS / sizeof *WINDOWS };

/* All windows here are padded so that a stride of 1 keeps the size. */
static struct conv_shape shape_of(size_t size, size_t in_c, size_t out_c, const struct window *window) {
    const size_t out = (size + window->stride_h - 1) / window->stride_h;
    return (struct conv_shape){size, size, in_c, out, out, out_c, 1, *window};
}

static void kernels_here(void **state) {
    (void)state;
    assert_int_equal(kernels_for(FILTAGS_ISA_PORTABLE)->isa, FILTAGS_ISA_PORTABLE);
#if defined(__x86_64__)
    for (size_t i = 0; i < N_ISAS; i++) {
        assert_int_equal(kernels_for(KERNELS[i].isa)->isa, KERNELS[i].isa);
        assert_int_equal(kernels_for(KERNELS[i].isa)->panel, KERNELS[i].panel);
    }
#endif
}

static void table_is_whole(void **state) {
    (void)state;
    for (size_t i = 0; i < N_ISAS; i++) {
        const struct conv_cost *costs = conv_costs_for(KERNELS[i].isa);
        assert_int_equal(costs[CONV_WAY_PRODUCT].product, 1000);
        for (enum conv_way way = 0; way < CONV_N_WAYS; way++) {
            /* a multiply-add takes neither no time nor many times as long as that of a plain product */
            if (costs[way].product < 200 || costs[way].product > 5000)
                fail_msg("instruction set %zu, %s: %u", i, conv_way_name(way), costs[way].product);
            for (enum conv_way other = 0; other < way; other++)
                assert_string_not_equal(conv_way_name(way), conv_way_name(other));
        }
        for (enum conv_way way = CONV_WAY_WINOGRAD_3X3; conv_way_is_winograd(way); way++)
            assert_true(costs[way].input > 0 && costs[way].output > 0); /* transforms take time */
    }
    assert_string_equal(conv_way_name(CONV_WAY_NONE), "none");
}

static void more_costs_more(void **state) {
    (void)state;
    for (size_t i = 0; i < N_ISAS; i++)
        for (size_t w = 0; w < N_WINDOWS; w++)
            for (enum conv_way way = 0; way < CONV_N_WAYS; way++)
                for (size_t c = 3; c < 800; c += 59) {
                    const struct conv_shape shape = shape_of(20, c, c, &WINDOWS[w]);
                    const struct conv_shape more[] = {shape_of(48, c, c, &WINDOWS[w]),
                                                      shape_of(20, c + 32, c, &WINDOWS[w]),
                                                      shape_of(20, c, c + 32, &WINDOWS[w])};
                    if (!conv_way_fits(way, &shape)) continue;
                    if (conv_way_cost(way, &shape, &KERNELS[i]) == CONV_TOO_MUCH) continue;
                    for (size_t k = 0; k < 3; k++)
                        assert_true(conv_way_cost(way, &more[k], &KERNELS[i]) >
                                    conv_way_cost(way, &shape, &KERNELS[i]));
                }
}

static void chosen_fits(void **state) {
    (void)state;
    for (size_t i = 0; i < N_ISAS; i++)
        for (size_t w = 0; w < N_WINDOWS; w++)
            for (size_t size = 1; size < 60; size += 7)
                for (size_t c = 1; c < 2100; c += c / 2 + 1) {
                    const struct conv_shape shape = shape_of(size, c, 2101 - c, &WINDOWS[w]);
                    const enum conv_way best = conv_way_choose(&shape, &KERNELS[i], true);
                    const enum conv_way own = conv_way_choose(&shape, &KERNELS[i], false);
                    assert_true(conv_way_fits(best, &shape) && conv_way_fits(own, &shape));
                    assert_false(conv_way_is_onednn(own));
                    assert_true(best == own || conv_way_is_onednn(best));
                    for (enum conv_way way = 0; way < CONV_N_WAYS; way++)
                        if (conv_way_fits(way, &shape))
                            assert_true(conv_way_cost(best, &shape, &KERNELS[i]) <=
                                        conv_way_cost(way, &shape, &KERNELS[i]));
                }
}

static void groups(void **state) {
    (void)state;
    for (size_t w = 0; w < N_WINDOWS; w++) {
        struct conv_shape shape = shape_of(20, 32, 32, &WINDOWS[w]);
        shape.groups = 32;
        assert_true(conv_way_is_onednn(conv_way_choose(&shape, &KERNELS[0], true)));
        assert_int_equal(conv_way_choose(&shape, &KERNELS[0], false), CONV_WAY_NONE);
    }
}

static void counts(void **state) {
    (void)state;
    const struct conv_shape shape = shape_of(8, 10, 33, &WINDOWS[0]); /* 4 tiles, 33 columns in vectors of 16 are 48 */
    struct conv_counts found = conv_way_count(CONV_WAY_WINOGRAD_3X3, &shape, &KERNELS[2]);
    assert_int_equal(found.products, 36 * 4 * 10 * 48);
    assert_int_equal(found.inputs, 36 * 4 * 10);
    assert_int_equal(found.outputs, 36 * 4 * 33);
    assert_int_equal(found.weights, 36 * 10 * 48);
    found = conv_way_count(CONV_WAY_GATHERED, &shape, &KERNELS[0]);
    assert_int_equal(found.products, 8 * 8 * 9 * 10 * 36);
    assert_int_equal(found.inputs, 8 * 8 * 9 * 10);
    assert_int_equal(found.outputs, 8 * 8 * 33);
    assert_int_equal(conv_way_count(CONV_WAY_ROWS, &shape, &KERNELS[0]).inputs, 8 * 3 * 10 * 10);
    found = conv_way_count(CONV_WAY_ONEDNN, &shape, &KERNELS[2]);
    assert_int_equal(found.products, 8 * 8 * 9 * 10 * 33);
    assert_int_equal(found.weights, 9 * 10 * 33);
    const struct conv_shape split = shape_of(10, 16, 16, &WINDOWS[2]); /* 17 planes, 9 points, 20 tiles */
    found = conv_way_count(CONV_WAY_WINOGRAD_1X7, &split, &KERNELS[2]);
    assert_int_equal(found.products, 17 * 20 * 16 * 16);
    assert_int_equal(found.outputs, 9 * 20 * 16);
}

static void choices(void **state) {
    (void)state;
    static const struct { size_t size, in_c, out_c, window; const char *ways[N_ISAS]; } goldens[] = {
        {224, 3, 64, 0, {"rows", "onednn_few", "rows"}},
        {224, 64, 64, 0, {"winograd_3x3_largest", "winograd_3x3_largest", "winograd_3x3_tall"}},
        {112, 128, 128, 0, {"winograd_3x3_largest", "winograd_3x3_largest", "winograd_3x3_tall"}},
        {56, 64, 64, 0, {"winograd_3x3_tall", "winograd_3x3", "winograd_3x3_tall"}},
        {28, 128, 128, 0, {"winograd_3x3_tall", "winograd_3x3_tall", "winograd_3x3_huge"}},
        {14, 512, 512, 0, {"winograd_3x3_large", "winograd_3x3_tall", "winograd_3x3_large"}},
        {7, 512, 512, 0, {"winograd_3x3", "winograd_3x3", "winograd_3x3"}},
        {35, 96, 96, 0, {"winograd_3x3_huge", "winograd_3x3_large", "winograd_3x3_huge"}},
        {17, 256, 288, 0, {"winograd_3x3_largest", "winograd_3x3_largest", "winograd_3x3_largest"}},
        {35, 48, 64, 1, {"winograd_5x5", "winograd_5x5", "winograd_5x5"}},
        {17, 128, 128, 2, {"winograd_1x7", "winograd_1x7", "winograd_1x7"}},
        {17, 192, 192, 3, {"winograd_7x1", "winograd_7x1", "winograd_7x1"}},
        {8, 384, 384, 4, {"winograd_1x3", "winograd_1x3", "winograd_1x3"}},
        {8, 384, 384, 5, {"winograd_3x1", "winograd_3x1", "winograd_3x1"}},
        {14, 3, 32, 0, {"rows", "rows", "rows"}},
        {28, 1, 16, 0, {"rows", "onednn_few", "rows"}},
        {56, 64, 256, 6, {"onednn_1x1", "onednn_1x1", "product"}},
        {14, 256, 1024, 6, {"onednn_1x1", "product", "product"}},
        {14, 1024, 256, 6, {"onednn_1x1", "gathered", "gathered"}},
        {35, 288, 64, 6, {"onednn_1x1", "product", "product"}},
        {56, 256, 128, 7, {"gathered", "gathered", "gathered"}},
        {28, 128, 128, 8, {"winograd_strided", "winograd_strided", "winograd_strided"}},
        {35, 288, 384, 8, {"winograd_strided", "winograd_strided", "winograd_strided"}},
        {224, 3, 64, 9, {"rows", "rows", "onednn_few"}},
        {20, 64, 64, 10, {"gathered", "gathered", "onednn"}}};
    for (size_t k = 0; k < sizeof goldens / sizeof *goldens; k++)
        for (size_t i = 0; i < N_ISAS; i++) {
            const struct conv_shape shape =
                shape_of(goldens[k].size, goldens[k].in_c, goldens[k].out_c, &WINDOWS[goldens[k].window]);
            const char *name = conv_way_name(conv_way_choose(&shape, &KERNELS[i], true));
            if (strcmp(name, goldens[k].ways[i]) != 0)
                fail_msg("%zux%zux%zu -> %zu, window %zu, instruction set %zu: %s expected, got %s", goldens[k].size,
                         goldens[k].size, goldens[k].in_c, goldens[k].out_c, goldens[k].window, i, goldens[k].ways[i],
                         name);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(kernels_here), cmocka_unit_test(table_is_whole),
                                       cmocka_unit_test(more_costs_more), cmocka_unit_test(chosen_fits),
                                       cmocka_unit_test(groups), cmocka_unit_test(counts), cmocka_unit_test(choices)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
