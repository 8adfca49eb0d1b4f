/* What a page of visualize is packed from: tags and class activations of a layer, classes, the choice of pictures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/tag_pack.h"
#include "steps/page_classes.h"
#include "steps/page_pictures.h"

enum { MOST_TAGS = 4096 };

/* A table of tags being made: filter by filter. */
struct made_tags {
    struct tag_table table;
    uint64_t offset[513];
    uint32_t labels[MOST_TAGS];
};

static void begin_tags(struct made_tags *made) {
    memset(made, 0, sizeof *made);
    made->table = (struct tag_table){0, made->offset, made->labels};
}

/* Labels of the next filter, a digit each: "021". */
static void add_filter(struct made_tags *made, const char *labels) {
    size_t f = made->table.n_filters++;
    made->offset[f + 1] = made->offset[f];
    for (; *labels; labels++) made->labels[made->offset[f + 1]++] = (uint32_t)(*labels - '0');
}

static int count_in(const uint32_t *list, size_t n, uint32_t wanted) {
    int count = 0;
    for (size_t i = 0; i < n; i++) count += list[i] == wanted;
    return count;
}

/* Every class has with every selector exactly its filters, as often as the tables have them. */
static void assert_same(const struct packed_tags *packed, const struct tag_table *tables, size_t first_filter) {
    for (size_t s = 0; s < packed->n_selectors; s++) {
        for (uint32_t c = 0; c < packed->n_classes; c++) {
            size_t set = s * packed->n_classes + c;
            const uint32_t *filters = packed->sequence + packed->first[c] + packed->start[set];
            uint32_t n = 0;
            for (uint32_t f = 0; f < packed->n_filters; f++) {
                uint64_t from = tables[s].offset[first_filter + f], to = tables[s].offset[first_filter + f + 1];
                int expected = count_in(tables[s].labels + from, (size_t)(to - from), c);
                assert_int_equal(count_in(filters, packed->length[set], f), expected);
                n += (uint32_t)expected;
            }
            assert_int_equal(packed->length[set], n);
            assert_true(packed->first[c] + packed->start[set] + packed->length[set] <= packed->first[c + 1]);
        }
    }
}

static const uint32_t same_numbers[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};

/* Pack and check; returns the number of entries. */
static size_t pack(const struct made_tags *made, size_t n_selectors, size_t n_classes) {
    struct tag_table tables[8];
    struct packed_tags packed;
    for (size_t s = 0; s < n_selectors; s++) tables[s] = made[s].table;
    assert_int_equal(packed_tags_create(tables, n_selectors, 0, tables[0].n_filters,
                                        (struct label_classes){same_numbers, n_classes}, &packed), FILTAGS_OK);
    assert_same(&packed, tables, 0);
    size_t n_entries = packed.first[n_classes];
    packed_tags_free(&packed);
    return n_entries;
}

static void nested_sets_share_their_filters(void **state) {
    (void)state;
    struct made_tags made[3];
    for (int s = 0; s < 3; s++) begin_tags(&made[s]);
    const char *filters[3][4] = {{"012", "0", "12", "0"}, {"0", "", "1", ""}, {"01", "0", "1", ""}};
    for (int s = 0; s < 3; s++) {
        for (int f = 0; f < 4; f++) add_filter(&made[s], filters[s][f]);
    }
    /* class 0: 0 | 1 | 3, class 1: 2 | 0, class 2: 0 2: as many as the largest sets have, in any order of selectors */
    assert_int_equal(pack(made, 3, 3), 3 + 2 + 2);
}

static void sets_that_are_not_nested_are_kept(void **state) {
    (void)state;
    struct made_tags made[4];
    for (int s = 0; s < 4; s++) begin_tags(&made[s]);
    const char *filters[4][3] = {{"0", "", ""}, {"", "0", "0"}, {"0", "", ""}, {"", "0", "0"}};
    for (int s = 0; s < 4; s++) {
        for (int f = 0; f < 3; f++) add_filter(&made[s], filters[s][f]);
    }
    assert_int_equal(pack(made, 4, 1), 1 + 2); /* {0} and {1, 2}; the same sets again cost nothing */
    begin_tags(&made[2]);
    add_filter(&made[2], "0"), add_filter(&made[2], "0"), add_filter(&made[2], "0");
    assert_int_equal(pack(made, 3, 1), 1 + 3); /* {0, 1, 2} goes on from {1, 2}, the last one before it */
}

static void empty_classes_and_repeated_tags(void **state) {
    (void)state;
    struct made_tags made[2];
    begin_tags(&made[0]), begin_tags(&made[1]);
    add_filter(&made[0], "22"), add_filter(&made[0], "");
    add_filter(&made[1], "2"), add_filter(&made[1], "2");
    assert_int_equal(pack(made, 2, 4), 2 + 2); /* {0, 0} isn't part of {0, 1} */
    assert_int_equal(pack(made, 1, 4), 2);
}

static void random_tags_come_back(void **state) {
    (void)state;
    unsigned seed = 1;
    for (int round = 0; round < 200; round++) {
        static struct made_tags made[6];
        for (int s = 0; s < 6; s++) {
            begin_tags(&made[s]);
            for (int f = 0; f < 40; f++) {
                char labels[8] = "";
                size_t n = 0;
                for (char c = '0'; c < '5'; c++) {
                    seed = seed * 1103515245 + 12345;
                    if ((seed >> 16) % 10 < (unsigned)s) labels[n++] = c;
                }
                labels[n] = 0;
                add_filter(&made[s], labels);
            }
        }
        pack(made, 6, 5);
    }
}

/* A layer in the middle, with labels that are other classes. */
static void one_layer_of_several(void **state) {
    (void)state;
    struct made_tags made;
    begin_tags(&made);
    add_filter(&made, "0"), add_filter(&made, "1"), add_filter(&made, "01"), add_filter(&made, "0");
    const uint32_t swapped[] = {1, 0};
    struct packed_tags packed;
    assert_int_equal(packed_tags_create(&made.table, 1, 1, 2, (struct label_classes){swapped, 2}, &packed), FILTAGS_OK);
    assert_int_equal(packed.length[0], 2); /* class 0 is label 1: filters 1 and 2 of all, 0 and 1 of the layer */
    assert_int_equal(packed.length[1], 1);
    assert_int_equal(packed.sequence[packed.first[1] + packed.start[1]], 1);
    packed_tags_free(&packed);
}

static uint32_t read_uint32(const char *at) {
    const unsigned char *bytes = (const unsigned char *)at;
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void bytes_of_tags(void **state) {
    (void)state;
    uint32_t first[] = {0, 2, 3}, start[] = {0, 0}, length[] = {2, 1}, sequence[] = {299, 5, 300};
    const struct packed_tags packed = {2, 1, 301, first, start, length, sequence};
    struct buffer bytes = {0};
    packed_tags_append(&bytes, &packed);
    assert_int_equal(packed_tags_entry_bytes(301), 2);
    assert_int_equal(bytes.size_bytes, 4 * 6 + 3 * 2);
    const uint32_t expected[] = {2, 1, 2, 1, 0, 0};
    for (size_t i = 0; i < 6; i++) assert_int_equal(read_uint32(bytes.data + 4 * i), expected[i]);
    uint16_t before = 0;
    for (size_t i = 0; i < 3; i++) {
        uint16_t low = (unsigned char)bytes.data[24 + i], high = (unsigned char)bytes.data[27 + i];
        before = (uint16_t)(before + low + 256 * high);
        assert_int_equal(before, sequence[i]);
    }
    buffer_free(&bytes);
    assert_int_equal(packed_tags_entry_bytes(0), 1);
    assert_int_equal(packed_tags_entry_bytes(1), 1);
    assert_int_equal(packed_tags_entry_bytes(256), 1);
    assert_int_equal(packed_tags_entry_bytes(257), 2);
    assert_int_equal(packed_tags_entry_bytes(65536), 2);
    assert_int_equal(packed_tags_entry_bytes(65537), 3);
}

static float read_float(const char *at) {
    uint32_t bits = read_uint32(at);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void activations_are_within_the_error(void **state) {
    (void)state;
    enum { N_ROWS = 7, N_FILTERS = 5, FIRST = 2 };
    float values[N_ROWS][FIRST + N_FILTERS];
    const float *rows[N_ROWS];
    for (int r = 0; r < N_ROWS; r++) {
        for (int f = 0; f < FIRST + N_FILTERS; f++) values[r][f] = f == 3 ? 0.25f : 0.9f / (float)(1 + r * f);
        rows[r] = values[r];
    }
    for (int n_bits = 8; n_bits <= 16; n_bits += 8) {
        struct buffer bytes = {0};
        double error = 0, found = 0;
        packed_activations_append(&bytes, rows, N_ROWS, FIRST, N_FILTERS, n_bits, &error);
        assert_int_equal(bytes.size_bytes, 8 * N_FILTERS + N_ROWS * N_FILTERS * n_bits / 8);
        const unsigned char *levels = (const unsigned char *)bytes.data + 8 * N_FILTERS;
        for (int f = 0; f < N_FILTERS; f++) {
            double least = (double)read_float(bytes.data + 4 * f);
            double range = (double)read_float(bytes.data + 4 * (N_FILTERS + f)) - least;
            for (int r = 0; r < N_ROWS; r++) {
                double level = levels[f * N_ROWS + r];
                if (n_bits == 16) level = 256 * level + levels[N_ROWS * N_FILTERS + f * N_ROWS + r];
                double value = least + level * range / (n_bits == 16 ? 65535 : 255);
                found = fmax(found, fabs(value - (double)values[r][FIRST + f]));
            }
        }
        assert_true(found == error && error > 0 && error <= 0.5 * 0.9 / (n_bits == 16 ? 65535 : 255));
        buffer_free(&bytes);
    }
}

/* ---------------------------------------------------------------- classes */

static const float some_row[1];
static float *const rows_of_three[] = {(float *)some_row, NULL, (float *)some_row};

static void classes_of_wnids(void **state) {
    (void)state;
    const char *labels[] = {"n03126707", "zebra", "n02012849"}, *of_step_1[] = {"n02012849", "n02088364", "n03126707"};
    const struct activation_classes activations = {of_step_1, rows_of_three, 3, 1};
    struct page_classes classes;
    assert_int_equal(page_classes_create(labels, 3, &activations, &classes), FILTAGS_OK);
    assert_int_equal(classes.n, 4);
    assert_int_equal(classes.n_unknown, 1);
    const uint32_t expected[] = {2, 3, 0};
    assert_memory_equal(classes.class_of_label, expected, sizeof expected);
    assert_string_equal(classes.items[0].label, "crane");
    assert_string_equal(classes.items[2].label, "crane");
    assert_string_equal(classes.items[1].label, "beagle");
    assert_int_equal(classes.items[1].number, 2);
    assert_null(classes.items[1].row);
    assert_string_equal(classes.items[3].label, "zebra");
    assert_true(classes.items[3].number == SIZE_MAX && !classes.items[3].wnid);
    const float *rows[4];
    assert_int_equal(page_classes_rows(&classes, rows), 2);
    page_classes_free(&classes);
}

/* Decoded: a label that two classes have has no activations, and stands for both; a listing tells them apart. */
static void classes_of_decoded_labels(void **state) {
    (void)state;
    const char *labels[] = {"crane", "beagle"}, *of_step_1[] = {"n02012849", "n02088364", "n03126707"};
    const char *listed[] = {"crane (n03126707)", "beagle", "toad (n03126707)"};
    const struct activation_classes activations = {of_step_1, rows_of_three, 3, 1}, none = {0};
    struct page_classes classes;
    assert_int_equal(page_classes_create(labels, 2, &activations, &classes), FILTAGS_OK);
    assert_int_equal(classes.n, 2);
    assert_string_equal(classes.items[0].key, "beagle");
    assert_string_equal(classes.items[0].wnid, "n02088364");
    assert_true(classes.items[1].is_ambiguous && !classes.items[1].row);
    page_classes_free(&classes);
    assert_int_equal(page_classes_create(listed, 3, &activations, &classes), FILTAGS_OK);
    assert_int_equal(classes.n, 4);
    assert_int_equal(classes.class_of_label[0], 2);
    assert_string_equal(classes.items[2].label, "crane");
    assert_string_equal(classes.items[3].label, "toad (n03126707)");
    page_classes_free(&classes);
    assert_int_equal(page_classes_create(listed, 3, &none, &classes), FILTAGS_OK);
    assert_int_equal(classes.n, 3);
    assert_string_equal(classes.items[0].label, "beagle");
    assert_string_equal(classes.items[1].wnid, "n03126707");
    page_classes_free(&classes);
}

/* ---------------------------------------------------------------- pictures */

static void pictures_within_the_budget(void **state) {
    (void)state;
    size_t n_filters[] = {1, 2}, first[] = {0, 1, 3}, offset[] = {0, 2, 4, 5}, map_bytes[] = {10, 1};
    struct top_image images[] = {{0, 0.9f}, {1, 0.8f}, {2, 0.7f}, {0, 0.6f}, {2, 0.5f}};
    const struct top_images top = {
        .n_files = 3, .table = {2, n_filters, first}, .offset = offset, .images = images, .n_most = 2};
    const struct {
        size_t n_bytes, first_layer, n;
        bool is_chosen[5];
    } cases[] = {{0, 0, 0, {0}},
                 {102, 0, 2, {0, 0, 1, 0, 1}},       /* file 2 for both filters of the last layer */
                 {211, 0, 3, {0, 0, 1, 1, 1}},       /* the first layer's 110 bytes don't fit, a second picture does */
                 {212, 0, 3, {1, 0, 1, 0, 1}},
                 {213, 0, 4, {1, 0, 1, 1, 1}},       /* file 0 is there already */
                 {1000, 0, 5, {1, 1, 1, 1, 1}},
                 {1000, 1, 3, {0, 0, 1, 1, 1}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool is_chosen[5] = {0}, is_file_chosen[3] = {0};
        const struct picture_budget budget = {cases[i].n_bytes, 100, map_bytes};
        assert_int_equal(page_pictures_choose(&top, cases[i].first_layer, &budget, is_chosen, is_file_chosen),
                         cases[i].n);
        assert_memory_equal(is_chosen, cases[i].is_chosen, sizeof is_chosen);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nested_sets_share_their_filters), cmocka_unit_test(sets_that_are_not_nested_are_kept),
        cmocka_unit_test(empty_classes_and_repeated_tags), cmocka_unit_test(random_tags_come_back),
        cmocka_unit_test(one_layer_of_several),            cmocka_unit_test(bytes_of_tags),
        cmocka_unit_test(activations_are_within_the_error), cmocka_unit_test(classes_of_wnids),
        cmocka_unit_test(classes_of_decoded_labels),       cmocka_unit_test(pictures_within_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
