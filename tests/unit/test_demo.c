/* Zip archives and the demo that is unpacked from one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/archive.h"
#include "base/file.h"
#include "base/memory.h"
#include "demo/demo.h"
#include "demo/demo_data.h"

static char folder[64];

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/filtags-test-demo-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void write_text(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static char *path_in(const char *name) {
    char *path = path_join(folder, name);
    assert_non_null(path);
    return path;
}

static void test_archive_of_the_demo(void **state) {
    (void)state;
    struct demo_file images = demo_data_images();
    struct archive *archive = NULL;
    size_t index, n_pictures = 0;
    assert_int_equal(archive_open_bytes(images.bytes, images.size_bytes, "images.zip", &archive), FILTAGS_OK);
    for (size_t i = 0; i < archive_n_entries(archive); i++) {
        n_pictures += strstr(archive_entry_name(archive, i), ".png") != NULL;
    }
    assert_int_equal(n_pictures, 600);
    assert_true(archive_find_entry(archive, "Bag/Bag_0001.png", &index));
    assert_false(archive_find_entry(archive, "Bag/Bag", &index));
    struct buffer picture = {0};
    assert_int_equal(archive_read_entry(archive, index, 100000, &picture), FILTAGS_OK);
    assert_memory_equal(picture.data, "\x89PNG", 4);
    size_t size_bytes = picture.size_bytes;
    buffer_free(&picture);
    assert_int_equal(archive_read_entry(archive, index, size_bytes, &picture), FILTAGS_OK);
    buffer_free(&picture);
    assert_int_equal(archive_read_entry(archive, index, size_bytes - 1, &picture), FILTAGS_ERROR_MEMORY);
    assert_non_null(strstr(filtags_error_message(), "images.zip: entry 'Bag/Bag_0001.png': at most "));
    assert_null(picture.data);
    archive_close(archive);
    archive_close(NULL);
}

static void test_archive_file(void **state) {
    (void)state;
    struct archive *archive = NULL;
    struct demo_file model = demo_data_model();
    char *path = path_in("model.zip");
    assert_int_equal(file_write(path, model.bytes, model.size_bytes), FILTAGS_OK);
    assert_int_equal(archive_open(path, &archive), FILTAGS_OK);
    size_t index;
    assert_true(archive_find_entry(archive, "config.json", &index));
    archive_close(archive);
    free(path);
}

static void test_damaged_archives(void **state) {
    (void)state;
    struct archive *archive = NULL;
    char *missing = path_in("missing.zip"), *text = path_in("text.zip"), *empty = path_in("empty.zip");
    assert_int_equal(archive_open(missing, &archive), FILTAGS_ERROR_IO);
    write_text(text, "this is no archive\n");
    assert_int_equal(archive_open(text, &archive), FILTAGS_ERROR_FORMAT);
    assert_non_null(strstr(filtags_error_message(), "text.zip: zip archive expected, found a damaged"));
    write_text(empty, "");
    assert_int_not_equal(archive_open(empty, &archive), FILTAGS_ERROR_IO);
    archive_close(archive); /* libzip may take an empty file for an archive without entries */
    archive = NULL;
    struct demo_file images = demo_data_images();
    filtags_status status = archive_open_bytes(images.bytes, images.size_bytes / 2, "half.zip", &archive);
    assert_int_equal(status, FILTAGS_ERROR_FORMAT);
    assert_null(archive);
    free(missing);
    free(text);
    free(empty);
}

static void test_damaged_entry(void **state) {
    (void)state;
    struct demo_file images = demo_data_images();
    struct archive *archive = NULL;
    struct buffer contents = {0};
    unsigned char *copy = malloc(images.size_bytes);
    assert_non_null(copy);
    memcpy(copy, images.bytes, images.size_bytes);
    for (size_t i = 100; i < 160; i++) copy[i] ^= 0x55; /* inside the first entry's data */
    assert_int_equal(archive_open_bytes(copy, images.size_bytes, "damaged.zip", &archive), FILTAGS_OK);
    assert_int_equal(archive_read_entry(archive, 0, 1 << 20, &contents), FILTAGS_ERROR_FORMAT);
    assert_non_null(strstr(filtags_error_message(), "damaged.zip: entry '"));
    assert_null(contents.data);
    archive_close(archive);
    free(copy);
}

static void unpack(const char *to, filtags_status expected) {
    struct demo_paths paths = {0};
    filtags_status status = demo_unpack(to, &paths);
    if (status != expected) print_error("%s\n", filtags_error_message());
    assert_int_equal(status, expected);
    if (!status) {
        assert_int_equal(access(paths.model, R_OK), 0);
        assert_int_equal(access(paths.class_index, R_OK), 0);
        assert_int_equal(access(paths.images_dir, R_OK | X_OK), 0);
    } else {
        assert_null(paths.model);
    }
    demo_paths_free(&paths);
}

static void test_unpack(void **state) {
    (void)state;
    char *to = path_in("demo"), *picture = path_in("demo/images/Ankle-boot/Ankle-boot_0001.png");
    struct stat before, after;
    unpack(to, FILTAGS_OK);
    assert_int_equal(stat(picture, &before), 0);
    unpack(to, FILTAGS_OK); /* what is there already stays */
    assert_int_equal(stat(picture, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(unlink(picture), 0);
    unpack(to, FILTAGS_OK); /* what is missing comes back */
    assert_int_equal(access(picture, R_OK), 0);
    free(picture);
    free(to);
}

static void test_nothing_is_replaced(void **state) {
    (void)state;
    char *to = path_in("demo"), *classes = path_in("demo/classes.txt");
    char *picture = path_in("demo/images/Bag/Bag_0001.png"), *stranger = path_in("demo/images/Bag/mine.png");
    struct buffer contents = {0};
    unpack(to, FILTAGS_OK);
    write_text(stranger, "x");
    unpack(to, FILTAGS_ERROR_DATA);
    assert_non_null(strstr(filtags_error_message(), "Bag/mine.png: is none of the demo's pictures"));
    unlink(stranger);
    unlink(picture);
    write_text(picture, "x");
    unpack(to, FILTAGS_ERROR_DATA);
    assert_non_null(strstr(filtags_error_message(), "Bag_0001.png: the demo's file expected"));
    unlink(classes);
    write_text(classes, "mine\n");
    unpack(to, FILTAGS_ERROR_DATA);
    assert_non_null(strstr(filtags_error_message(), "demo/classes.txt: the demo's file expected"));
    assert_int_equal(file_read(classes, 100, &contents), FILTAGS_OK);
    assert_string_equal(buffer_text(&contents), "mine\n");
    buffer_free(&contents);
    free(stranger);
    free(picture);
    free(classes);
    free(to);
}

static void test_folder_cannot_be_made(void **state) {
    (void)state;
    char *file = path_in("file"), *below = path_in("no/such");
    write_text(file, "x");
    unpack(file, FILTAGS_ERROR_IO);
    unpack(below, FILTAGS_ERROR_IO);
    free(below);
    free(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_archive_of_the_demo, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_archive_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_damaged_archives, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_damaged_entry, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_unpack, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_nothing_is_replaced, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_folder_cannot_be_made, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
