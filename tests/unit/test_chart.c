#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "report/chart.h"
#include "report/scale.h"

#define N(array) (sizeof(array) / sizeof *(array))

static void assert_near(double found, double expected) {
    if (!(fabs(found - expected) <= 1e-6)) fail_msg("%.9g expected, found %.9g", expected, found);
}

static void assert_numbers(const double *found, size_t n, const double *expected, size_t n_expected) {
    assert_int_equal(n, n_expected);
    for (size_t i = 0; i < n; i++) assert_near(found[i], expected[i]);
}

static double narrow(double amount) {
    (void)amount;
    return 10;
}

static double wide(double amount) {
    (void)amount;
    return 100;
}

/* ---- scales ---- */

static void test_linear_scale(void **state) {
    (void)state;
    static const double m[] = {1, 3, 5, 10};
    struct scale scale;
    scale_make(m, N(m), false, false, 100, 300, &scale);
    assert_false(scale.is_logarithmic);
    assert_near(scale_position(&scale, 0), 110); /* 10 pixels from the frame */
    assert_near(scale_position(&scale, 3), 290);
    assert_near(scale_position(&scale, 1), 110 + 180 * 2 / 9.0);
    assert_near(scale_amount_position(&scale, 5.5), 200);
}

static void test_positions_are_clipped(void **state) {
    (void)state;
    static const double m[] = {1, 3}, k[] = {1, 100};
    struct scale scale;
    scale_make(m, N(m), false, false, 0, 200, &scale);
    assert_near(scale_amount_position(&scale, -5), 10);
    assert_near(scale_amount_position(&scale, 1e9), 190);
    scale_make(k, N(k), false, false, 0, 200, &scale);
    assert_near(scale_amount_position(&scale, 0), 10); /* whose logarithm there is none */
    assert_near(scale_amount_position(&scale, 1e300), 190);
}

static void test_log_scale_with_a_slot(void **state) {
    (void)state;
    static const double k[] = {0, 1, 10, 100};
    struct scale scale;
    scale_make(k, N(k), true, false, 0, 400, &scale);
    assert_true(scale.is_logarithmic);
    assert_true(scale_is_in_slot(&scale, 0));
    assert_false(scale_is_in_slot(&scale, 1));
    double slot = scale_position(&scale, 0), one = scale_position(&scale, 1), ten = scale_position(&scale, 2);
    assert_true(slot > 0 && slot < one - 20);
    assert_near(scale_position(&scale, 3), 390);
    assert_near(ten - one, 390 - ten);
}

/* 0 is an amount of m, say; -1 and 0 of k are none, nor is 101 percent. */
static void test_what_is_no_amount(void **state) {
    (void)state;
    static const double values[] = {-1, 0, 5, 101};
    struct scale scale;
    scale_make(values, N(values), true, true, 0, 400, &scale);
    assert_int_equal(scale.n_low, 2);
    assert_int_equal(scale.n_high, 1);
    for (size_t i = 0; i < 4; i++) assert_int_equal(scale_is_in_slot(&scale, i), i != 2);
    assert_true(scale_position(&scale, 0) < scale_position(&scale, 1));
    assert_true(scale_position(&scale, 1) < scale_position(&scale, 3));
    assert_true(scale_position(&scale, 3) < scale_position(&scale, 2)); /* all of the slot before the amounts */
    scale_make(values, N(values), true, false, 0, 400, &scale);
    assert_int_equal(scale.n_high, 0);
    scale_make(values, N(values), false, true, 0, 400, &scale);
    assert_int_equal(scale.n_low + scale.n_high, 0);
    assert_near(scale_position(&scale, 0), 10);
}

static void test_scales_of_few(void **state) {
    (void)state;
    static const double zero[] = {0}, five[] = {5}, huge[] = {-3, -2, -1, 0, 1e-300, 1e300};
    struct scale scale;
    double ticks[4];
    scale_make(zero, 1, true, false, 0, 400, &scale);
    assert_true(scale_position(&scale, 0) > 0 && scale_position(&scale, 0) < 400);
    assert_int_equal(scale_ticks(&scale, narrow, ticks, 4), 0);
    scale_make(five, 1, true, false, 0, 400, &scale);
    assert_near(scale_position(&scale, 0), 200);
    assert_int_equal(scale_ticks(&scale, narrow, ticks, 4), 1);
    assert_near(ticks[0], 5);
    scale_make(huge, N(huge), true, false, 0, 400, &scale);
    for (size_t i = 0; i < N(huge); i++) {
        double position = scale_position(&scale, i);
        assert_true(isfinite(position) && position >= 0 && position <= 400);
        if (i) assert_true(position > scale_position(&scale, i - 1));
    }
}

/* ---- ticks ---- */

static void test_nice_ticks(void **state) {
    (void)state;
    static const double tens[] = {0, 20, 40, 60, 80, 100}, tenths[] = {0, 0.2, 0.4, 0.6, 0.8, 1}, negative[] = {-5, 0, 5},
                        inside[] = {5, 10, 15};
    double ticks[12];
    assert_numbers(ticks, nice_ticks(0, 100, 6, ticks), tens, N(tens));
    assert_numbers(ticks, nice_ticks(0, 1, 6, ticks), tenths, N(tenths));
    assert_numbers(ticks, nice_ticks(-7, 9, 4, ticks), negative, N(negative));
    assert_numbers(ticks, nice_ticks(3, 17, 4, ticks), inside, N(inside));
    assert_int_equal(nice_ticks(7, 7, 5, ticks), 1);
    assert_near(ticks[0], 7);
    assert_int_equal(nice_ticks(0, 1, 0, ticks), 0);
    for (size_t limit = 2; limit <= 12; limit++) {
        for (double high = 0.001; high < 1e6; high *= 1.7) assert_true(nice_ticks(0, high, limit, ticks) <= limit);
    }
}

static void test_values_themselves_are_ticks(void **state) {
    (void)state;
    static const double k[] = {0, 1, 5, 25}, expected[] = {1, 5, 25};
    struct scale scale;
    double ticks[12];
    scale_make(k, N(k), true, false, 0, 400, &scale);
    assert_numbers(ticks, scale_ticks(&scale, narrow, ticks, 12), expected, N(expected));
}

static void test_ticks_of_many(void **state) {
    (void)state;
    static const double round[] = {1, 2, 5, 10, 20, 50, 100}, decades[] = {1, 10, 100}, linear[] = {10, 20, 30, 40, 50};
    struct scale scale;
    double values[101], ticks[12];
    for (size_t i = 0; i < 101; i++) values[i] = (double)i;
    scale_make(values, 101, true, false, 0, 400, &scale);
    assert_numbers(ticks, scale_ticks(&scale, narrow, ticks, 12), round, N(round));
    scale_make(values, 101, true, false, 0, 250, &scale); /* too narrow for seven */
    size_t n = scale_ticks(&scale, wide, ticks, 12);
    assert_int_equal(n, 2);
    scale_make(values, 101, true, false, 0, 500, &scale);
    assert_numbers(ticks, scale_ticks(&scale, wide, ticks, 12), decades, N(decades));
    scale_make(values + 10, 41, true, false, 0, 400, &scale); /* 10..50 */
    assert_false(scale.is_logarithmic);
    n = scale_ticks(&scale, narrow, ticks, 12);
    assert_true(n >= N(linear));
    assert_numbers(ticks, scale_ticks(&scale, narrow, ticks, 5), linear, N(linear));
}

/* ---- which lines ---- */

static void test_all_of_few_are_chosen(void **state) {
    (void)state;
    static const double k[] = {0, 1, 7, 13};
    size_t chosen[8];
    assert_int_equal(choose_values(k, 4, true, false, 8, chosen), 4);
    for (size_t i = 0; i < 4; i++) assert_int_equal(chosen[i], i);
}

static void test_round_ones_of_many_are_chosen(void **state) {
    (void)state;
    static const size_t expected[] = {0, 1, 2, 5, 10, 20, 50, 100};
    double values[101];
    size_t chosen[8];
    for (size_t i = 0; i < 101; i++) values[i] = (double)i;
    assert_int_equal(choose_values(values, 101, true, false, 8, chosen), 8);
    for (size_t i = 0; i < 8; i++) assert_int_equal(chosen[i], expected[i]);
    assert_int_equal(choose_values(values + 1, 100, true, false, 8, chosen), 7);
    assert_int_equal(chosen[0], 0);
    assert_int_equal(chosen[6], 99);
}

static void test_others_are_spread(void **state) {
    (void)state;
    double values[30]; /* -1, 0, 103, 106 ... */
    size_t chosen[8];
    for (size_t i = 0; i < 30; i++) values[i] = i < 2 ? (double)i - 1 : 97.0 + 3 * (double)i;
    assert_int_equal(choose_values(values, 30, true, false, 8, chosen), 8);
    assert_int_equal(chosen[0], 1); /* 0 speaks for -1 */
    assert_int_equal(chosen[1], 2);
    assert_int_equal(chosen[7], 29);
    for (size_t i = 1; i < 8; i++) assert_true(chosen[i] > chosen[i - 1]);
}

/* ---- legends, texts, marks ---- */

static void test_wrapping(void **state) {
    (void)state;
    static const double widths[] = {40, 40, 40, 200, 10};
    struct point at[5];
    assert_int_equal(chart_wrap(widths, 5, 10, 100, at), 4);
    static const double x[] = {0, 50, 0, 0, 0}, line[] = {0, 0, 1, 2, 3};
    for (size_t i = 0; i < 5; i++) {
        assert_near(at[i].x, x[i]);
        assert_near(at[i].y, line[i]);
    }
    assert_int_equal(chart_wrap(widths, 3, 10, 1000, NULL), 1);
    assert_int_equal(chart_wrap(widths, 0, 10, 100, NULL), 0);
}

static void check_fitting(const char *text, double width, const char *expected) {
    struct buffer fitting = {0};
    chart_append_fitting(&fitting, text, 10, false, width);
    assert_string_equal(buffer_text(&fitting), expected);
    assert_true(canvas_text_width(buffer_text(&fitting), 10, false) <= width || strlen(text) == 0 || width < 10);
    buffer_free(&fitting);
}

static void test_long_texts_are_cut(void **state) {
    (void)state;
    check_fitting("VGG16", 100, "VGG16");
    check_fitting("", 100, "");
    check_fitting("iiiiiiiiiiiiiiiiiiii", 30, "iiiiiii\xe2\x80\xa6");
    check_fitting("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 31, "\xc3\xa9\xc3\xa9\xe2\x80\xa6"); /* between letters */
    check_fitting("wide", 0, "\xe2\x80\xa6");
}

static void test_markers_dont_crowd(void **state) {
    (void)state;
    static const double pixels[] = {0, 5, 10, 20, 21, 22, 23}, one[] = {3};
    static const bool expected[] = {true, false, true, false, false, false, true};
    bool is_marked[7];
    chart_choose_marked(pixels, 7, 10, is_marked);
    for (size_t i = 0; i < 7; i++) assert_int_equal(is_marked[i], expected[i]);
    chart_choose_marked(one, 1, 10, is_marked);
    assert_true(is_marked[0]);
    chart_choose_marked(one, 0, 10, is_marked);
}

static void test_text_widths(void **state) {
    (void)state;
    assert_near(canvas_text_width("0", 100, false), 64);
    assert_near(canvas_text_width("00", 50, false), 64);
    assert_true(canvas_text_width("0", 100, true) > 64);
    assert_near(canvas_text_width("\xe6\x97\xa5", 10, false), 10);
    assert_near(canvas_text_width("\xff", 10, false), 10);
}

/* ---- drawings ---- */

static const double rates[] = {0.25, NAN, 0.5, 1};
static const double x_values[] = {0, 1, 5, 25};

static void make_row(struct chart_row *row) {
    *row = (struct chart_row){.id = "row",
                              .heading = "Heading",
                              .x_name = "k",
                              .x_label = "k, filters",
                              .x = x_values,
                              .n_x = 4,
                              .has_slot = true,
                              .line_name = "m",
                              .legend = "m =",
                              .n_lines = 1};
    row->lines[0] = (struct chart_line){.name = "3", .value = 3, .rates = {rates}, .stride = 1};
}

static char *draw_svg(const struct chart *chart) {
    char *text = NULL;
    size_t n_bytes;
    double width, height;
    struct canvas *canvas;
    FILE *stream = open_memstream(&text, &n_bytes);
    assert_non_null(stream);
    chart_size(chart, &width, &height);
    assert_int_equal(canvas_open_svg(stream, width, height, chart->title, &canvas), FILTAGS_OK);
    assert_int_equal(chart_draw(chart, canvas), FILTAGS_OK);
    assert_int_equal(canvas_finish(canvas), FILTAGS_OK);
    canvas_destroy(canvas);
    assert_int_equal(fclose(stream), 0);
    return text;
}

static size_t count(const char *text, const char *wanted) {
    size_t n = 0;
    for (; (text = strstr(text, wanted)); text++) n++;
    return n;
}

static void test_chart_as_svg(void **state) {
    (void)state;
    struct chart_row row;
    make_row(&row);
    struct chart chart = {.title = "<net> & \"co\" \x01\xff",
                          .subtitle = "",
                          .panel_titles = {"All layers"},
                          .n_panels = 1,
                          .rows = &row,
                          .n_rows = 1};
    char *svg = draw_svg(&chart), *again = draw_svg(&chart);
    assert_string_equal(svg, again);
    assert_int_equal(count(svg, "&lt;net&gt; &amp; &quot;co&quot; \xef\xbf\xbd\xef\xbf\xbd</"), 2); /* and <title> */
    assert_int_equal(count(svg, "<title>m = 3, k = "), 3); /* no rate, no mark */
    assert_int_equal(count(svg, "data-x=\"0\" data-y=\"0.25\""), 1);
    assert_int_equal(count(svg, "data-x=\"25\" data-y=\"1\""), 1);
    assert_int_equal(count(svg, "&gt; mean</text>"), 1);
    assert_int_equal(count(svg, "log scale</text>"), 1);
    assert_int_equal(count(svg, "nan"), 0);
    assert_int_equal(count(svg, "<g "), count(svg, "</g>"));
    /* of the values only 5 and 25 are joined: between them and 0 are a gap, and the slot's border */
    assert_int_equal(count(svg, "stroke=\"#0067a5\""), 2); /* in the legend, and the line */
    free(again);
    free(svg);
}

static void test_a_row_makes_the_chart_higher(void **state) {
    (void)state;
    struct chart_row rows[2];
    make_row(&rows[0]);
    make_row(&rows[1]);
    struct chart chart = {.n_panels = 2, .rows = rows, .n_rows = 1};
    double width, one, two, wrapped;
    chart_size(&chart, &width, &one);
    chart.n_rows = 2;
    chart_size(&chart, &width, &two);
    assert_true(two > one + 200);
    for (size_t i = 0; i < CHART_MOST_LINES; i++) {
        rows[1].lines[i] = rows[1].lines[0];
        snprintf(rows[1].lines[i].name, CHART_NAME_BYTES, "a name that needs some room");
    }
    rows[1].n_lines = CHART_MOST_LINES; /* a legend of several lines */
    chart_size(&chart, &width, &wrapped);
    assert_true(wrapped > two + 15);
}

static void test_png(void **state) {
    (void)state;
    static const struct canvas_style red = {0xff0000, NO_COLOR, 0, DASH_SOLID};
    static const struct canvas_text_style letters = {12, 0, ANCHOR_END, true, true};
    char *bytes = NULL;
    size_t n_bytes;
    struct canvas *canvas;
    FILE *stream = open_memstream(&bytes, &n_bytes);
    assert_int_equal(canvas_open_png(stream, 30, 20, 2, &canvas), FILTAGS_OK);
    canvas_group_open(canvas, "a", "b");
    for (int marker = 0; marker < N_MARKERS; marker++)
        canvas_mark(canvas, (enum canvas_marker)marker, (struct point){10, 10}, 3, &red, NULL);
    canvas_text(canvas, (struct point){20, 20}, &letters, "not UTF-8: \xff\xfe");
    canvas_group_close(canvas);
    assert_int_equal(canvas_finish(canvas), FILTAGS_OK);
    canvas_destroy(canvas);
    assert_int_equal(fclose(stream), 0);
    assert_memory_equal(bytes, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x3c\0\0\0\x28", 24);
    free(bytes);
    canvas_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear_scale),
        cmocka_unit_test(test_positions_are_clipped),
        cmocka_unit_test(test_log_scale_with_a_slot),
        cmocka_unit_test(test_what_is_no_amount),
        cmocka_unit_test(test_scales_of_few),
        cmocka_unit_test(test_nice_ticks),
        cmocka_unit_test(test_values_themselves_are_ticks),
        cmocka_unit_test(test_ticks_of_many),
        cmocka_unit_test(test_all_of_few_are_chosen),
        cmocka_unit_test(test_round_ones_of_many_are_chosen),
        cmocka_unit_test(test_others_are_spread),
        cmocka_unit_test(test_wrapping),
        cmocka_unit_test(test_long_texts_are_cut),
        cmocka_unit_test(test_markers_dont_crowd),
        cmocka_unit_test(test_text_widths),
        cmocka_unit_test(test_chart_as_svg),
        cmocka_unit_test(test_a_row_makes_the_chart_higher),
        cmocka_unit_test(test_png),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
