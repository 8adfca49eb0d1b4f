/* The strongest pictures of every filter: what is kept, and the file of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "steps/top_images.h"
#include "store/pickle.h"

enum { N_FILTERS = 5, N_PICTURES = 40, N_TOP = 4 };

static filtags_activation activation_of(size_t picture, size_t filter) {
    if (filter == 4) return 7;                                           /* all alike */
    return (filtags_activation)((picture * 7919 + filter * 104729) % 13) * (FILTAGS_ACTIVATION_ONE / 12);
}

static void add(struct top_keeper *keeper, size_t picture) {
    filtags_activation row[N_FILTERS];
    for (size_t f = 0; f < N_FILTERS; f++) row[f] = activation_of(picture, f);
    top_keeper_add(keeper, picture, row);
}

/* Whether picture a is stronger than b. */
static bool is_stronger(size_t filter, size_t a, size_t b) {
    const filtags_activation x = activation_of(a, filter), y = activation_of(b, filter);
    return x > y || (x == y && a < b);
}

static void keeps_the_strongest(void **state) {
    struct top_keeper forwards, backwards;
    (void)state;
    assert_int_equal(top_keeper_create(N_FILTERS, N_TOP, &forwards), FILTAGS_OK);
    assert_int_equal(top_keeper_create(N_FILTERS, N_TOP, &backwards), FILTAGS_OK);
    for (size_t i = 0; i < N_PICTURES; i++) {
        add(&forwards, i * 17 % N_PICTURES);
        add(&backwards, N_PICTURES - 1 - i);
    }
    assert_memory_equal(forwards.entries, backwards.entries, N_FILTERS * N_TOP * sizeof *forwards.entries);
    for (size_t f = 0; f < N_FILTERS; f++)
        for (size_t i = 0; i < N_TOP; i++) {
            const size_t picture = UINT32_MAX - (uint32_t)forwards.entries[f * N_TOP + i];
            size_t n_stronger = 0;
            for (size_t other = 0; other < N_PICTURES; other++) n_stronger += is_stronger(f, other, picture);
            assert_int_equal(n_stronger, i);
            assert_int_equal(forwards.entries[f * N_TOP + i] >> 32, activation_of(picture, f));
        }
    top_keeper_free(&forwards);
    top_keeper_free(&backwards);
}

/* ---------------------------------------------------------------- file */

static char folder[64];
static struct filter_table table;

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/filtags-top-images-XXXXXX");
    return mkdtemp(folder) && !filter_table_create((const size_t[]){2, 3}, 2, &table) ? 0 : -1;
}

static int remove_folder(void **state) {
    char command[80];
    (void)state;
    filter_table_free(&table);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static const char *path_of(const char *suffix) {
    static char path[160];
    snprintf(path, sizeof path, "%s/2026-01-01-0000-QFA-net-%s", folder, suffix);
    return path;
}

static void comes_back(void **state) {
    static const char *const files[] = {"a/\xff.png", "a/2.png", "b/1.png"};
    struct top_keeper keeper;
    struct output *output;
    struct top_images top;
    bool is_found;
    (void)state;
    assert_int_equal(top_images_open(path_of("vars.pkl"), &table, &top, &is_found), FILTAGS_OK);
    assert_false(is_found);
    assert_int_equal(top_keeper_create(N_FILTERS, N_TOP, &keeper), FILTAGS_OK);
    for (size_t i = 0; i < 3; i++) add(&keeper, i);
    assert_int_equal(output_open(folder, "2026-01-01-0000", "QFA", "net", NULL, &output), FILTAGS_OK);
    assert_int_equal(top_keeper_write(&keeper, &table, files, 3, output), FILTAGS_OK);
    assert_int_equal(output_commit(output), FILTAGS_OK);
    output_close(output, NULL);
    if (top_images_open(path_of("vars.pkl"), &table, &top, &is_found)) fail_msg("%s", filtags_error_message());
    assert_true(is_found);
    assert_int_equal(top.n_files, 3);
    assert_int_equal(top.n_most, 3);
    for (size_t f = 0; f < N_FILTERS; f++) {
        assert_int_equal(top.offset[f + 1] - top.offset[f], 3);
        for (size_t i = 0; i < 3; i++) {
            const size_t picture = UINT32_MAX - (uint32_t)keeper.entries[f * N_TOP + i];
            const struct top_image *image = &top.images[top.offset[f] + i];
            assert_string_equal(top.files[image->file], files[picture]);
            assert_true(image->activation == (float)(activation_of(picture, f) * 0x1p-31));
        }
    }
    top_images_close(&top);
    top_keeper_free(&keeper);
}

/* What is wrong with a file; see write_file. */
enum damage { OTHER_LAYERS, OTHER_FILTERS, NO_LIST, TOO_MANY, NO_TUPLE, TOO_LARGE, OUT_OF_ORDER, N_DAMAGES };

static void write_entry(struct pickle_writer *pickle, double activation) {
    pickle_tuple_open(pickle);
    pickle_str(pickle, "a/1.png");
    pickle_float(pickle, activation);
    pickle_tuple_close(pickle);
}

static void write_filter(struct pickle_writer *pickle, enum damage damage) {
    if (damage == NO_LIST) {
        pickle_none(pickle);
        return;
    }
    pickle_list_open(pickle);
    for (int i = 0; damage == TOO_MANY && i < 65; i++) write_entry(pickle, 0.5);
    if (damage == NO_TUPLE) pickle_int(pickle, 3);
    if (damage == TOO_LARGE) write_entry(pickle, 1.5);
    if (damage == OUT_OF_ORDER) write_entry(pickle, 0.25);
    write_entry(pickle, 0.5);
    pickle_list_close(pickle);
}

static void write_file(enum damage damage) {
    struct pickle_writer pickle;
    FILE *stream = fopen(path_of("top.pkl"), "wb");
    pickle_begin(&pickle, stream);
    pickle_list_open(&pickle);
    for (size_t layer = 0; layer < (damage == OTHER_LAYERS ? 1 : 2); layer++) {
        pickle_list_open(&pickle);
        for (size_t f = 0; f < (layer == 0 ? 2 : damage == OTHER_FILTERS ? 4 : 3); f++)
            write_filter(&pickle, layer == 1 && f == 2 ? damage : N_DAMAGES);
        pickle_list_close(&pickle);
    }
    pickle_list_close(&pickle);
    pickle_end(&pickle);
    fclose(stream);
    stream = fopen(path_of("top-names.pkl"), "wb");
    pickle_begin(&pickle, stream);
    pickle_list_open(&pickle);
    pickle_str(&pickle, "top_images");
    pickle_list_close(&pickle);
    pickle_end(&pickle);
    fclose(stream);
}

static void damaged_files(void **state) {
    static const char *const parts[N_DAMAGES] = {
        "top_images: 2 layers expected, as in step 1's file, found 1",
        "top_images[1]: a list over 3 filters expected, as in step 1's file, found 4",
        "top_images[1][2]: a list of at most 64 pictures expected",
        "top_images[1][2]: a list of at most 64 pictures expected",
        "top_images[1][2]: tuples (file, activation) expected",
        "top_images[1][2]: activations in [0, 1], strongest first, expected",
        "top_images[1][2]: activations in [0, 1], strongest first, expected"};
    struct top_images top = {0};
    bool is_found;
    (void)state;
    for (int damage = 0; damage < N_DAMAGES; damage++) {
        write_file((enum damage)damage);
        assert_int_equal(top_images_open(path_of("vars.pkl"), &table, &top, &is_found), FILTAGS_ERROR_DATA);
        if (!strstr(filtags_error_message(), parts[damage])) fail_msg("%s: %s", parts[damage], filtags_error_message());
        assert_non_null(strstr(filtags_error_message(), "-QFA-net-top.pkl"));
    }
    write_file(N_DAMAGES);
    assert_int_equal(top_images_open(path_of("vars.pkl"), &table, &top, &is_found), FILTAGS_OK);
    top_images_close(&top);
    assert_int_equal(truncate(path_of("top.pkl"), 20), 0);
    assert_int_equal(top_images_open(path_of("vars.pkl"), &table, &top, &is_found), FILTAGS_ERROR_FORMAT);
    unlink(path_of("top-names.pkl"));
    assert_int_not_equal(top_images_open(path_of("vars.pkl"), &table, &top, &is_found), FILTAGS_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_strongest),
        cmocka_unit_test_setup_teardown(comes_back, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(damaged_files, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
