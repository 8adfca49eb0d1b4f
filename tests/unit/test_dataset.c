#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <openssl/evp.h>

#include "base/memory.h"
#include "dataset/mt19937.h"
#include "filtags.h"
#include "temporary_folder.h"

static void make_class(const char *name) { assert_int_equal(mkdir(in_folder(name), 0777), 0); }

static void make_file(const char *name) {
    int fd = open(in_folder(name), O_WRONLY | O_CREAT | O_EXCL, 0666);
    assert_true(fd >= 0);
    close(fd);
}

static filtags_dataset *open_dataset(double split, uint32_t seed) {
    filtags_dataset *dataset = NULL;
    assert_int_equal(filtags_dataset_open(folder, split, seed, &dataset), FILTAGS_OK);
    return dataset;
}

static void assert_fails(const char *path, double split, filtags_status expected, const char *part_of_message) {
    filtags_dataset *dataset = (filtags_dataset *)folder; /* must stay as it is */
    assert_int_equal(filtags_dataset_open(path, split, 1, &dataset), expected);
    assert_ptr_equal(dataset, folder);
    if (!strstr(filtags_error_message(), part_of_message)) fail_msg("%s", filtags_error_message());
}

/* ---- the shuffle */

static void assert_md5(const uint32_t *items, size_t n, const char *expected) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1] = "";
    unsigned n_digest_bytes = 0;
    assert_int_equal(EVP_Digest(items, n * sizeof *items, digest, &n_digest_bytes, EVP_md5(), NULL), 1);
    for (unsigned i = 0; i < n_digest_bytes; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(hex, expected);
}

/* data/shuffle.json: what pandas makes of n rows (tools/make_goldens.py) */
static void test_shuffle(void **state) {
    const char *tests = getenv("FILTAGS_TEST_DATA");
    char path[4096];
    json_error_t error;
    json_t *golden;
    size_t index;
    (void)state;
    snprintf(path, sizeof path, "%s/unit/data/shuffle.json", tests ? tests : "tests");
    json_t *goldens = json_load_file(path, 0, &error);
    if (!goldens) fail_msg("%s: %s", path, error.text);
    assert_true(json_array_size(json_object_get(goldens, "shuffles")) >= 20);
    json_array_foreach(json_object_get(goldens, "shuffles"), index, golden) {
        struct mt19937 generator;
        size_t n = (size_t)json_integer_value(json_object_get(golden, "n"));
        json_t *first = json_object_get(golden, "first");
        uint32_t *items = memory_new(n, sizeof *items);
        for (size_t i = 0; i < n; i++) items[i] = (uint32_t)i;
        mt19937_seed(&generator, (uint32_t)json_integer_value(json_object_get(golden, "seed")));
        mt19937_shuffle(&generator, items, n);
        for (size_t i = 0; i < json_array_size(first); i++) {
            assert_int_equal(items[i], json_integer_value(json_array_get(first, i)));
        }
        assert_md5(items, n, json_string_value(json_object_get(golden, "md5")));
        free(items);
    }
    json_decref(goldens);
}

/* The first outputs for seed 5489, the generator's default; the 10,000th is 4123659995 by the C++ standard
 * ([rand.predef], mt19937). */
static void test_generator(void **state) {
    struct mt19937 generator;
    uint32_t word = 0;
    (void)state;
    mt19937_seed(&generator, 5489);
    for (int i = 0; i < 10000; i++) word = mt19937_next(&generator);
    assert_int_equal(word, 4123659995u);
}

/* ---- listing and split */

static const char *const names_in_order[] = {
    ".hidden/h.png", "A/.png", "A/Z.PNG", "A/a.JpEg", "A/\xff.tif", "B/dangling.png", "B/linked.png", "b/one.bmp",
    "linked/.png", "linked/Z.PNG", "linked/a.JpEg", "linked/\xff.tif", "\xc3\xa4/x.ppm", "\xfe/y.tiff",
};
enum { N_NAMES = sizeof names_in_order / sizeof *names_in_order };

static void make_names(void) {
    static const char *const classes[] = {"b",     "A",     ".hidden",      "B",           "\xc3\xa4", "\xfe",
                                          "empty", "texts", "A/folder.png", "texts/deeper"};
    static const char *const files[] = {
        "b/one.bmp",     "A/a.JpEg",       "A/Z.PNG",     "A/\xff.tif",       "A/.png",
        "A/notes.txt",   "A/png",          "A/a.png.txt", "A/a.pngx",         "A/a.gif",
        ".hidden/h.png", "\xc3\xa4/x.ppm", "\xfe/y.tiff", "texts/readme.txt", "texts/deeper/p.png",
        "top.png",
    };
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) make_class(classes[i]);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) make_file(files[i]);
    assert_int_equal(symlink("A", in_folder("linked")), 0);
    assert_int_equal(symlink("nowhere", in_folder("broken")), 0);
    assert_int_equal(symlink("nowhere", in_folder("B/dangling.png")), 0);
    assert_int_equal(symlink("../b/one.bmp", in_folder("B/linked.png")), 0);
    assert_int_equal(symlink("../A", in_folder("B/folder.jpg")), 0);
}

static void test_listing(void **state) {
    static const char *const classes[] = {".hidden", "A", "B", "b", "linked", "\xc3\xa4", "\xfe"};
    (void)state;
    make_names();
    filtags_dataset *dataset = open_dataset(0, 123);
    assert_int_equal(filtags_dataset_n_classes(dataset), 7);
    for (size_t i = 0; i < 7; i++) assert_string_equal(filtags_dataset_class_name(dataset, i), classes[i]);
    assert_int_equal(filtags_dataset_n_test(dataset), 0);
    assert_int_equal(filtags_dataset_n_train(dataset), N_NAMES);
    /* undo the shuffle: row i of the train set is listed file order[i] */
    struct mt19937 generator;
    uint32_t order[N_NAMES];
    for (uint32_t i = 0; i < N_NAMES; i++) order[i] = i;
    mt19937_seed(&generator, 123);
    mt19937_shuffle(&generator, order, N_NAMES);
    for (size_t i = 0; i < N_NAMES; i++) {
        size_t class_index = 99;
        const char *file = filtags_dataset_train_file(dataset, i, &class_index);
        assert_string_equal(file, names_in_order[order[i]]);
        const char *class_name = filtags_dataset_class_name(dataset, class_index);
        assert_memory_equal(file, class_name, strlen(class_name));
        assert_int_equal(file[strlen(class_name)], '/');
        assert_ptr_equal(filtags_dataset_train_file(dataset, i, NULL), file);
    }
    filtags_dataset_close(dataset);
}

/* The test set is the head of the shuffled list, the train set its tail. */
static void test_split(void **state) {
    static const struct { double split; size_t n_test; } splits[] = {
        {0, 0}, {0.2, 2}, {0.29, 4}, {0.5, 7}, {0.999, 13}, {1, 14}, /* int(split * 14) */
    };
    (void)state;
    make_names();
    filtags_dataset *all = open_dataset(1, 7);
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
        filtags_dataset *dataset = open_dataset(splits[i].split, 7);
        size_t n_test = filtags_dataset_n_test(dataset), class_index, expected_index;
        assert_int_equal(n_test, splits[i].n_test);
        assert_int_equal(filtags_dataset_n_train(dataset), N_NAMES - n_test);
        for (size_t row = 0; row < N_NAMES; row++) {
            const char *expected = filtags_dataset_test_file(all, row, &expected_index);
            assert_string_equal(row < n_test ? filtags_dataset_test_file(dataset, row, &class_index)
                                             : filtags_dataset_train_file(dataset, row - n_test, &class_index),
                                expected);
            assert_int_equal(class_index, expected_index);
        }
        filtags_dataset_close(dataset);
    }
    filtags_dataset_close(all);
}

/* int(split * n) is computed in double: 0.29 * 100 is 28.999999999999996 */
static void test_split_rounds_down(void **state) {
    (void)state;
    make_class("c");
    for (int i = 0; i < 100; i++) {
        char name[32];
        snprintf(name, sizeof name, "c/%03d.png", i);
        make_file(name);
    }
    filtags_dataset *dataset = open_dataset(0.29, 1);
    assert_int_equal(filtags_dataset_n_test(dataset), 28);
    filtags_dataset_close(dataset);
}

static void test_errors(void **state) {
    (void)state;
    assert_fails(folder, 0.2, FILTAGS_ERROR_DATA, "found no picture");
    make_class("c");
    assert_fails(folder, 0.2, FILTAGS_ERROR_DATA, folder);
    make_file("a.png");
    make_file("b.JPG");
    make_file("c.txt");
    assert_fails(folder, 0.2, FILTAGS_ERROR_DATA, "found no picture in one, but 2 beside: put each into a folder");
    make_file("c/a.png");
    assert_fails(folder, -0.1, FILTAGS_ERROR_USAGE, "-0.1");
    assert_fails(folder, 1.5, FILTAGS_ERROR_USAGE, "1.5");
    assert_fails(folder, strtod("nan", NULL), FILTAGS_ERROR_USAGE, "nan");
    char missing[300];
    snprintf(missing, sizeof missing, "%s/missing", folder);
    assert_fails(missing, 0.2, FILTAGS_ERROR_IO, missing);
    assert_fails(in_folder("c/a.png"), 0.2, FILTAGS_ERROR_IO, "c/a.png");
    filtags_dataset_close(NULL);
}

static void test_unreadable_class(void **state) {
    (void)state;
    make_class("a");
    make_file("a/a.png");
    make_class("locked");
    assert_int_equal(chmod(in_folder("locked"), 0), 0);
    assert_int_equal(chmod(folder, 0755), 0);
    bool is_root = geteuid() == 0; /* who reads any folder */
    if (is_root) assert_int_equal(seteuid(65534), 0);
    assert_fails(folder, 0.2, FILTAGS_ERROR_IO, "/locked");
    if (is_root) assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(in_folder("locked"), 0777), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generator),
        cmocka_unit_test(test_shuffle),
        cmocka_unit_test_setup_teardown(test_listing, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_split, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_split_rounds_down, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_errors, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_unreadable_class, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
