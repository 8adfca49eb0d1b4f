#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "tagging/hitrates.h"
#include "tagging/tags.h"

/* ---- how many ---- */

static void test_selection_size(void **state) {
    (void)state;
    static const struct {
        filtags_rule rule;
        double value;
        size_t n_filters, expected;
    } cases[] = {
        {FILTAGS_RULE_K, 0, 64, 0},        {FILTAGS_RULE_K, -1, 64, 0},    {FILTAGS_RULE_K, 1, 64, 1},
        {FILTAGS_RULE_K, 64, 64, 64},      {FILTAGS_RULE_K, 65, 64, 0},    {FILTAGS_RULE_K, 1e300, 64, 0},
        {FILTAGS_RULE_K, INFINITY, 64, 0}, {FILTAGS_RULE_K, 1, 0, 0},      {FILTAGS_RULE_Q, 0, 64, 0},
        {FILTAGS_RULE_Q, -0.5, 64, 0},     {FILTAGS_RULE_Q, 100, 64, 64},  {FILTAGS_RULE_Q, 100.5, 64, 0},
        {FILTAGS_RULE_Q, 101, 512, 0},     {FILTAGS_RULE_Q, 0.001, 64, 1}, {FILTAGS_RULE_Q, 1, 64, 1},
        {FILTAGS_RULE_Q, NAN, 64, 0},      {FILTAGS_RULE_Q, 0.5, 512, 3},  {FILTAGS_RULE_Q, 50, 1, 1},
        {FILTAGS_RULE_Q, 50, 3, 2},        {FILTAGS_RULE_Q, 50, 5, 2},     {FILTAGS_RULE_Q, 12.5, 4, 1},
        {FILTAGS_RULE_Q, 12.5, 12, 2},     {FILTAGS_RULE_Q, 12.5, 20, 2},  {FILTAGS_RULE_Q, 2.5, 100, 2},
        {FILTAGS_RULE_Q, 25, 10, 2},       {FILTAGS_RULE_Q, 25, 14, 4},    {FILTAGS_RULE_Q, 5, 10, 1},
        {FILTAGS_RULE_Q, INFINITY, 10, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = filtags_selection_size(cases[i].rule, cases[i].value, cases[i].n_filters);
        if (n != cases[i].expected) fail_msg("value %g of %zu filters: %zu", cases[i].value, cases[i].n_filters, n);
    }
}

/* Halves, by NumPy itself. */
static void test_selection_size_goldens(void **state) {
    char path[1024];
    const char *folder = getenv("FILTAGS_TEST_DATA"), *n_text;
    json_error_t error;
    json_t *row;
    size_t n_checked = 0;
    (void)state;
    snprintf(path, sizeof path, "%s/unit/data/shuffle.json", folder ? folder : "tests");
    json_t *root = json_load_file(path, 0, &error);
    assert_non_null(root);
    json_t *q = json_object_get(root, "q");
    json_object_foreach(json_object_get(root, "rint"), n_text, row) {
        size_t n_filters = (size_t)strtoul(n_text, NULL, 10);
        assert_int_equal(json_array_size(row), json_array_size(q));
        for (size_t i = 0; i < json_array_size(q); i++, n_checked++) {
            double value = json_number_value(json_array_get(q, i));
            size_t expected = (size_t)json_number_value(json_array_get(row, i));
            if (value > 0 && expected == 0) expected = 1;
            assert_int_equal(filtags_selection_size(FILTAGS_RULE_Q, value, n_filters), expected);
        }
    }
    assert_true(n_checked > 500);
    json_decref(root);
}

/* ---- which ---- */

static void check_select(filtags_rule rule, double value, const double *activations, size_t n, const uint32_t *expected,
                         size_t n_expected) {
    uint32_t filters[64];
    assert_int_equal(filtags_select(rule, value, activations, n, filters), n_expected);
    for (size_t i = 0; i < n_expected; i++) assert_int_equal(filters[i], expected[i]);
}

static void test_select(void **state) {
    (void)state;
    const double a[] = {0.1, 0.5, 0.3, 0.5, 0.2, 0.3}; /* mean 0.3166... */
    check_select(FILTAGS_RULE_K, 1, a, 6, (const uint32_t[]){1}, 1);
    check_select(FILTAGS_RULE_K, 2, a, 6, (const uint32_t[]){1, 3}, 2);
    check_select(FILTAGS_RULE_K, 3, a, 6, (const uint32_t[]){1, 2, 3}, 3); /* tie of 2 and 5: the lower one */
    check_select(FILTAGS_RULE_K, 4, a, 6, (const uint32_t[]){1, 2, 3, 5}, 4);
    check_select(FILTAGS_RULE_K, 6, a, 6, (const uint32_t[]){0, 1, 2, 3, 4, 5}, 6);
    check_select(FILTAGS_RULE_K, 7, a, 6, (const uint32_t[]){1, 3}, 2);
    check_select(FILTAGS_RULE_K, 0, a, 6, (const uint32_t[]){1, 3}, 2);
    check_select(FILTAGS_RULE_K, -1, a, 6, (const uint32_t[]){1, 3}, 2);
    check_select(FILTAGS_RULE_Q, 101, a, 6, (const uint32_t[]){1, 3}, 2);
    check_select(FILTAGS_RULE_Q, 100, a, 6, (const uint32_t[]){0, 1, 2, 3, 4, 5}, 6);
    check_select(FILTAGS_RULE_Q, 0.01, a, 6, (const uint32_t[]){1}, 1);
    check_select(FILTAGS_RULE_Q, 25, a, 6, (const uint32_t[]){1, 3}, 2); /* 1.5 rounds to 2 */
    const double constant[] = {0, 0, 0, 0};
    check_select(FILTAGS_RULE_K, 0, constant, 4, NULL, 0); /* none is strictly above */
    check_select(FILTAGS_RULE_K, 2, constant, 4, (const uint32_t[]){0, 1}, 2);
    check_select(FILTAGS_RULE_Q, 75, constant, 4, (const uint32_t[]){0, 1, 2}, 3);
    const double one[] = {0.7};
    check_select(FILTAGS_RULE_K, 1, one, 1, (const uint32_t[]){0}, 1);
    check_select(FILTAGS_RULE_K, 0, one, 1, NULL, 0);
    check_select(FILTAGS_RULE_K, 1, one, 0, NULL, 0);
    check_select(FILTAGS_RULE_Q, 50, one, 0, NULL, 0);
    /* at full scale sums of activations are exact: the mean of these is theirs */
    const double equal[] = {2147483647.0, 2147483647.0, 2147483647.0};
    check_select(FILTAGS_RULE_K, 0, equal, 3, NULL, 0);
    const double nearly[] = {2147483647.0, 2147483648.0, 2147483647.0};
    check_select(FILTAGS_RULE_K, 0, nearly, 3, (const uint32_t[]){1}, 1);
}

/* By definition: a filter is selected when fewer than n come before it. */
static size_t select_naively(filtags_rule rule, double value, const double *a, size_t n_filters, uint32_t *filters) {
    size_t n = filtags_selection_size(rule, value, n_filters), n_selected = 0;
    double sum = 0;
    for (size_t i = 0; i < n_filters; i++) sum += a[i];
    for (size_t i = 0; i < n_filters; i++) {
        size_t n_before = 0;
        for (size_t j = 0; j < n_filters; j++) n_before += a[j] > a[i] || (a[j] == a[i] && j < i);
        if (n ? n_before < n : a[i] > sum / (double)n_filters) filters[n_selected++] = (uint32_t)i;
    }
    return n_selected;
}

static uint64_t random_state = 12345;
static uint32_t random_below(uint32_t n) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % n);
}

static void test_select_random(void **state) {
    (void)state;
    for (int round = 0; round < 3000; round++) {
        double a[200];
        uint32_t found[200], expected[200];
        size_t n_filters = 1 + random_below(round % 10 ? 40 : 200);
        uint32_t n_levels = 1 + random_below(round % 3 ? 8 : 100000);
        for (size_t i = 0; i < n_filters; i++) a[i] = random_below(n_levels);
        filtags_rule rule = round % 2 ? FILTAGS_RULE_K : FILTAGS_RULE_Q;
        double value = (double)random_below(120) / (rule == FILTAGS_RULE_Q ? 1.1 : 1) - 3;
        if (rule == FILTAGS_RULE_K) value = floor(value);
        size_t n = select_naively(rule, value, a, n_filters, expected);
        assert_int_equal(filtags_select(rule, value, a, n_filters, found), n);
        assert_memory_equal(found, expected, n * sizeof *found);
    }
}

/* Orders that are hard on quickselect: they must only be right, and not take forever. */
static void test_select_ordered(void **state) {
    (void)state;
    enum { N = 2048 };
    static double a[N];
    static uint32_t filters[N];
    for (int shape = 0; shape < 4; shape++) {
        for (int i = 0; i < N; i++) {
            a[i] = shape == 0 ? i : shape == 1 ? N - i : shape == 2 ? (i < N / 2 ? i : N - i) : i % 2;
        }
        for (size_t k = 1; k <= N; k += 97) {
            assert_int_equal(filtags_select(FILTAGS_RULE_K, (double)k, a, N, filters), k);
            for (size_t i = 1; i < k; i++) assert_true(filters[i - 1] < filters[i]);
        }
    }
    assert_int_equal(filtags_select(FILTAGS_RULE_K, 3, a, N, filters), 3);
    assert_int_equal(filters[0], 1);
    assert_int_equal(filters[2], 5);
}

/* ---- tags ---- */

static void test_class_activation(void **state) {
    (void)state;
    assert_true(class_activation(0, 5) == 0);
    assert_true(class_activation(INT64_C(2147483648) * 1300, 1300) == 1);
    assert_true(class_activation(1, 1) == 0x1p-31f);
    assert_true(class_activation(INT64_C(2147483648), 3) == (float)(1.0 / 3));
    assert_true(class_activation(INT64_C(123456789012345), 100000) ==
                (float)(123456789012345.0 / 100000 / 2147483648.0));
}

static void test_filter_table(void **state) {
    (void)state;
    struct filter_table table;
    assert_int_equal(filter_table_create((const size_t[]){3, 0, 5}, 3, &table), FILTAGS_OK);
    assert_int_equal(table.n_layers, 3);
    assert_int_equal(table.first[0], 0);
    assert_int_equal(table.first[1], 3);
    assert_int_equal(table.first[2], 3);
    assert_int_equal(table.first[3], 8);
    filter_table_free(&table);
    assert_null(table.first);
    filter_table_free(NULL);
}

/* The tags of all filters, from the ranks of the classes. */
static struct tag_table make_tags(const struct filter_table *table, const float *const *rows, size_t n_classes,
                                  struct selector selector) {
    struct class_ranks ranks;
    struct tag_table tags = {.n_filters = table->first[table->n_layers]};
    assert_int_equal(class_ranks_create(table, rows, n_classes, &ranks), FILTAGS_OK);
    tags.offset = calloc(tags.n_filters + 1, sizeof *tags.offset);
    tags.labels = calloc(tags.n_filters * n_classes + 1, sizeof *tags.labels);
    for (size_t layer = 0; layer < table->n_layers; layer++) {
        size_t n = filtags_selection_size(selector.rule, selector.value, table->n_filters[layer]);
        for (size_t f = table->first[layer]; f < table->first[layer + 1]; f++)
            tags.offset[f + 1] = tags.offset[f] + class_ranks_tags(&ranks, f, n, tags.labels + tags.offset[f]);
    }
    assert_int_equal(class_ranks_count(&ranks, table, selector), tags.offset[tags.n_filters]);
    class_ranks_free(&ranks);
    return tags;
}

static void test_tags(void **state) {
    (void)state;
    struct filter_table table;
    const float first[] = {0.5f, 0.1f, 0.5f, /* layer 2 */ 0.2f, 0.9f};
    const float third[] = {0.1f, 0.2f, 0.3f, /* layer 2 */ 0.4f, 0.4f};
    const float *const rows[] = {first, NULL, third}; /* the second class has no pictures */
    assert_int_equal(filter_table_create((const size_t[]){3, 2}, 2, &table), FILTAGS_OK);
    struct selector one = {FILTAGS_RULE_K, 1}, mean = {FILTAGS_RULE_K, 0}, all = {FILTAGS_RULE_Q, 100};

    struct tag_table tags = make_tags(&table, rows, 3, one);
    assert_memory_equal(tags.offset, ((const uint64_t[]){0, 1, 1, 2, 3, 4}), 6 * sizeof(uint64_t));
    assert_memory_equal(tags.labels, ((const uint32_t[]){0, 2, 2, 0}), 4 * sizeof(uint32_t));
    tag_table_free(&tags);

    tags = make_tags(&table, rows, 3, mean);
    assert_memory_equal(tags.offset, ((const uint64_t[]){0, 1, 1, 3, 3, 4}), 6 * sizeof(uint64_t));
    assert_memory_equal(tags.labels, ((const uint32_t[]){0, 0, 2, 0}), 4 * sizeof(uint32_t));
    tag_table_free(&tags);

    tags = make_tags(&table, rows, 3, all);
    assert_int_equal(tags.offset[5], 10);
    assert_int_equal(tags.labels[0], 0);
    assert_int_equal(tags.labels[1], 2);
    tag_table_free(&tags);

    tags = make_tags(&table, rows, 0, all); /* no classes */
    assert_int_equal(tags.offset[5], 0);
    tag_table_free(&tags);
    tag_table_free(NULL);
    class_ranks_free(NULL);
    filter_table_free(&table);
}

/* -0 and 0 are a tie, and the published files' -1e-5 is less. */
static void test_ranks_of_zeros(void **state) {
    (void)state;
    struct filter_table table;
    const float row[] = {-1e-5f, 0.0f, -0.0f, 0.0f, -2e-5f};
    const float *const rows[] = {row};
    const uint32_t expected[] = {3, 0, 1, 2, 4};
    struct class_ranks ranks;
    assert_int_equal(filter_table_create((const size_t[]){5}, 1, &table), FILTAGS_OK);
    assert_int_equal(class_ranks_create(&table, rows, 1, &ranks), FILTAGS_OK);
    for (size_t f = 0; f < 5; f++) assert_int_equal(ranks.places[f] & 0x7fffffff, expected[f]);
    class_ranks_free(&ranks);
    filter_table_free(&table);
}

enum { N_LAYERS = 3, N_FILTERS = 33, N_CLASSES = 12 };
static const size_t layer_sizes[N_LAYERS] = {8, 5, 20};

static bool is_tagged(const struct filter_table *table, const float *row, struct selector selector, size_t filter) {
    double a[N_FILTERS];
    uint32_t filters[N_FILTERS];
    size_t layer = 0;
    while (filter >= table->first[layer + 1]) layer++;
    for (size_t i = 0; i < table->n_filters[layer]; i++) a[i] = row[table->first[layer] + i];
    size_t n = select_naively(selector.rule, selector.value, a, table->n_filters[layer], filters);
    for (size_t i = 0; i < n; i++) {
        if (table->first[layer] + filters[i] == filter) return true;
    }
    return false;
}

static struct selector random_selector(void) {
    struct selector selector = {random_below(2) ? FILTAGS_RULE_K : FILTAGS_RULE_Q, 0};
    selector.value = selector.rule == FILTAGS_RULE_K ? (double)random_below(12) - 1 : (double)random_below(240) / 2 - 5;
    return selector;
}

/* Rank by definition: count, note the order of first sight, then take the best one again and again. */
static size_t rank_naively(const struct filter_table *table, const struct tag_table *tags, struct selector selector,
                           bool is_last_layer_only, const filtags_activation *activations,
                           struct label_count *ranking) {
    uint32_t order[N_CLASSES], counts[N_CLASSES] = {0}, filters[N_FILTERS];
    size_t n_seen = 0;
    for (size_t layer = is_last_layer_only ? table->n_layers - 1 : 0; layer < table->n_layers; layer++) {
        double a[N_FILTERS];
        for (size_t i = 0; i < table->n_filters[layer]; i++) a[i] = activations[table->first[layer] + i];
        size_t n = select_naively(selector.rule, selector.value, a, table->n_filters[layer], filters);
        for (size_t i = 0; i < n; i++) {
            size_t filter = table->first[layer] + filters[i];
            for (uint64_t t = tags->offset[filter]; t < tags->offset[filter + 1]; t++) {
                if (counts[tags->labels[t]]++ == 0) order[n_seen++] = tags->labels[t];
            }
        }
    }
    for (size_t n = 0; n < n_seen; n++) {
        size_t best = 0;
        for (size_t i = 1; i < n_seen; i++) best = counts[order[i]] > counts[order[best]] ? i : best;
        ranking[n] = (struct label_count){order[best], counts[order[best]]};
        counts[order[best]] = 0;
    }
    return n_seen;
}

static void test_tags_and_ranks_random(void **state) {
    (void)state;
    struct filter_table table;
    struct ranking_scratch *scratch = NULL;
    assert_int_equal(filter_table_create(layer_sizes, N_LAYERS, &table), FILTAGS_OK);
    assert_int_equal(ranking_scratch_create(&table, N_CLASSES, &scratch), FILTAGS_OK);
    for (int round = 0; round < 300; round++) {
        float values[N_CLASSES][N_FILTERS];
        const float *rows[N_CLASSES];
        filtags_activation picture[N_FILTERS];
        struct selector selector = random_selector();
        uint32_t n_levels = round % 2 ? 4 : 1000;
        for (size_t c = 0; c < N_CLASSES; c++) {
            for (size_t f = 0; f < N_FILTERS; f++) values[c][f] = (float)random_below(n_levels) / 1000;
            rows[c] = random_below(8) ? values[c] : NULL;
        }
        struct tag_table tags = make_tags(&table, rows, N_CLASSES, selector);
        uint64_t at = 0;
        for (size_t f = 0; f < N_FILTERS; f++) {
            assert_int_equal(tags.offset[f], at);
            for (uint32_t c = 0; c < N_CLASSES; c++) {
                if (rows[c] && is_tagged(&table, rows[c], selector, f)) assert_int_equal(tags.labels[at++], c);
            }
        }
        assert_int_equal(tags.offset[N_FILTERS], at);
        for (int i = 0; i < 8; i++) {
            struct label_count found[N_CLASSES], expected[N_CLASSES];
            struct selector active = random_selector();
            bool is_last = random_below(2) == 1;
            if (i % 3 == 0) { /* the same picture for three selectors, then another one in the same place */
                for (size_t f = 0; f < N_FILTERS; f++) {
                    picture[f] = random_below(n_levels) * (FILTAGS_ACTIVATION_ONE / 1000);
                }
            }
            size_t n = rank_naively(&table, &tags, active, is_last, picture, expected);
            assert_int_equal(rank_labels(scratch, &table, &tags, active, is_last, picture, found), n);
            assert_memory_equal(found, expected, n * sizeof *found);
        }
        tag_table_free(&tags);
    }
    ranking_scratch_destroy(scratch);
    ranking_scratch_destroy(NULL);
    filter_table_free(&table);
}

/* Many selectors at once give what each gives alone. */
static void test_many_ranks_random(void **state) {
    (void)state;
    enum { N_SELECTORS = 40 };
    struct filter_table table;
    struct ranking_scratch *scratch = NULL;
    assert_int_equal(filter_table_create(layer_sizes, N_LAYERS, &table), FILTAGS_OK);
    assert_int_equal(ranking_scratch_create(&table, N_CLASSES, &scratch), FILTAGS_OK);
    for (int round = 0; round < 60; round++) {
        float values[N_CLASSES][N_FILTERS];
        const float *rows[N_CLASSES];
        filtags_activation picture[N_FILTERS];
        struct selector selectors[N_SELECTORS];
        uint32_t labels[N_CLASSES], n_levels = round % 2 ? 4 : 1000;
        struct class_ranks ranks;
        struct many_ranks *many = NULL;
        for (size_t c = 0; c < N_CLASSES; c++) {
            for (size_t f = 0; f < N_FILTERS; f++) values[c][f] = (float)random_below(n_levels) / 1000;
            rows[c] = random_below(8) ? values[c] : NULL;
            labels[c] = (uint32_t)(N_CLASSES - 1 - c); /* numbers are not in the order of the columns */
        }
        for (size_t s = 0; s < N_SELECTORS; s++) selectors[s] = random_selector();
        assert_int_equal(class_ranks_create(&table, rows, N_CLASSES, &ranks), FILTAGS_OK);
        assert_int_equal(many_ranks_create(&table, &ranks, labels, selectors, N_SELECTORS, &many), FILTAGS_OK);
        for (int p = 0; p < 3; p++) {
            for (size_t f = 0; f < N_FILTERS; f++)
                picture[f] = random_below(n_levels) * (FILTAGS_ACTIVATION_ONE / 1000);
            many_ranks_study(many, picture);
            for (size_t s = 0; s < 2 * N_SELECTORS; s++) {
                struct label_count found[N_CLASSES], expected[N_CLASSES];
                struct tag_table tags = make_tags(&table, rows, N_CLASSES, selectors[s / 2]);
                size_t n = rank_labels(scratch, &table, &tags, selectors[s / 2], s % 2, picture, expected);
                assert_int_equal(many_ranks_get(many, s / 2, s % 2, found), n);
                for (size_t i = 0; i < n; i++) {
                    assert_int_equal(found[i].label, labels[expected[i].label]);
                    assert_int_equal(found[i].count, expected[i].count);
                }
                tag_table_free(&tags);
            }
        }
        many_ranks_destroy(many);
        class_ranks_free(&ranks);
    }
    many_ranks_destroy(NULL);
    ranking_scratch_destroy(scratch);
    filter_table_free(&table);
}

static void test_rank(void **state) {
    (void)state;
    struct filter_table table;
    struct ranking_scratch *scratch = NULL;
    uint64_t offset[] = {0, 2, 3, 5, 6};
    uint32_t labels[] = {3, 1, /* filter 1 */ 0, /* filter 2, of the last layer */ 1, 0, /* filter 3 */ 2};
    struct tag_table tags = {4, offset, labels};
    struct label_count ranking[4];
    assert_int_equal(filter_table_create((const size_t[]){2, 2}, 2, &table), FILTAGS_OK);
    assert_int_equal(ranking_scratch_create(&table, 4, &scratch), FILTAGS_OK);
    const filtags_activation picture[] = {10, 5, 7, FILTAGS_ACTIVATION_ONE};
    struct selector all = {FILTAGS_RULE_K, 2}, one = {FILTAGS_RULE_K, 1}, mean = {FILTAGS_RULE_Q, 0};
    /* seen in the order 3, 1, 0, 2; counts 1, 2, 2, 1 */
    assert_int_equal(rank_labels(scratch, &table, &tags, all, false, picture, ranking), 4);
    assert_memory_equal(ranking, ((const struct label_count[]){{1, 2}, {0, 2}, {3, 1}, {2, 1}}), sizeof ranking);
    assert_int_equal(rank_labels(scratch, &table, &tags, all, true, picture, ranking), 3);
    assert_memory_equal(ranking, ((const struct label_count[]){{1, 1}, {0, 1}, {2, 1}}), 3 * sizeof *ranking);
    assert_int_equal(rank_labels(scratch, &table, &tags, one, false, picture, ranking), 3);
    assert_memory_equal(ranking, ((const struct label_count[]){{3, 1}, {1, 1}, {2, 1}}), 3 * sizeof *ranking);
    assert_int_equal(rank_labels(scratch, &table, &tags, one, true, picture, ranking), 1);
    assert_int_equal(rank_labels(scratch, &table, &tags, mean, true, picture, ranking), 1);
    assert_int_equal(ranking[0].label, 2);
    const filtags_activation dark[] = {0, 0, 0, 0}; /* constant layers: nothing is above the mean */
    assert_int_equal(rank_labels(scratch, &table, &tags, mean, false, dark, ranking), 0);
    assert_int_equal(rank_labels(scratch, &table, &tags, one, false, dark, ranking), 3);
    ranking_scratch_destroy(scratch);
    filter_table_free(&table);
}

static void test_top_outputs(void **state) {
    (void)state;
    const float outputs[] = {0.1f, 0.4f, 0.2f, 0.4f, 0.4f, 0.05f};
    uint32_t top[6];
    top_outputs(outputs, 6, 3, top);
    assert_memory_equal(top, ((const uint32_t[]){1, 3, 4}), 3 * sizeof *top);
    top_outputs(outputs, 6, 6, top);
    assert_memory_equal(top, ((const uint32_t[]){1, 3, 4, 2, 0, 5}), sizeof top);
    top_outputs(outputs, 1, 1, top);
    assert_int_equal(top[0], 0);
    top_outputs((const float[]){-2, -1}, 2, 1, top);
    assert_int_equal(top[0], 1);
}

/* ---- hit rates ---- */

static void test_hit_rates(void **state) {
    (void)state;
    struct hit_table table;
    double rate = -1;
    assert_int_equal(hit_table_create(3, 2, (const uint32_t[]){1, 3, 10}, 3, &table), FILTAGS_OK);
    assert_false(hit_table_total_rate(&table, 0, 0, &rate));
    hit_table_add(&table, 0, (const uint32_t[]){0, 2});
    hit_table_add(&table, 0, (const uint32_t[]){1, 3});
    hit_table_add(&table, 0, (const uint32_t[]){9, HIT_ABSENT});
    hit_table_add(&table, 2, (const uint32_t[]){10, 0}); /* class 1 has no pictures */
    static const double expected[2][3][3] = {{{1.0 / 3, 2.0 / 3, 1}, {0, 1.0 / 3, 2.0 / 3}}, {{0, 0, 0}, {1, 1, 1}}};
    for (size_t p = 0; p < 2; p++) {
        for (size_t m = 0; m < 3; m++) {
            assert_true(hit_table_rate(&table, 0, p, m, &rate));
            assert_true(rate == expected[0][p][m]);
            assert_true(hit_table_rate(&table, 2, p, m, &rate));
            assert_true(rate == expected[1][p][m]);
            rate = -1;
            assert_false(hit_table_rate(&table, 1, p, m, &rate));
            assert_true(rate == -1);
        }
    }
    assert_true(hit_table_total_rate(&table, 0, 0, &rate) && rate == 1.0 / 4);
    assert_true(hit_table_total_rate(&table, 0, 2, &rate) && rate == 3.0 / 4);
    assert_true(hit_table_total_rate(&table, 1, 1, &rate) && rate == 2.0 / 4);
    hit_table_free(&table);
    hit_table_free(NULL);
    assert_int_equal(hit_table_create(SIZE_MAX / 2, 3, (const uint32_t[]){1}, 1, &table), FILTAGS_ERROR_MEMORY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selection_size),
        cmocka_unit_test(test_selection_size_goldens),
        cmocka_unit_test(test_select),
        cmocka_unit_test(test_select_random),
        cmocka_unit_test(test_select_ordered),
        cmocka_unit_test(test_class_activation),
        cmocka_unit_test(test_filter_table),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_ranks_of_zeros),
        cmocka_unit_test(test_tags_and_ranks_random),
        cmocka_unit_test(test_many_ranks_random),
        cmocka_unit_test(test_rank),
        cmocka_unit_test(test_top_outputs),
        cmocka_unit_test(test_hit_rates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
