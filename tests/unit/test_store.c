#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/file.h"
#include "store/picture_store.h"
#include "store/record_file.h"

enum { N_FILTERS = 5, N_OUTPUTS = 7, START_BYTES = 64, MOST_BYTES = 1 << 20 };

static char folder[] = "/tmp/filtags-store-XXXXXX", path[64];

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/x.store", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static int remove_store(void **state) {
    (void)state;
    unlink(path);
    return 0;
}

/* Picture number n: its key, activations, prediction. */
static void make_picture(uint32_t n, uint8_t key[HASH_DIGEST_BYTES], filtags_activation *activations,
                         struct stored_top *top) {
    assert_int_equal(hash_bytes(&n, sizeof n, key), FILTAGS_OK);
    for (uint32_t i = 0; i < N_FILTERS; i++) activations[i] = n * 1000 + i;
    *top = (struct stored_top){.n = 3};
    for (uint32_t i = 0; i < 3; i++) {
        top->items[i].output = (n + 2 * i) % N_OUTPUTS;
        top->items[i].value = 1.0f / (float)(n + i + 1);
    }
}

static struct picture_store *open_store(const char *profile, uint64_t *n_dropped_bytes) {
    struct picture_store *store = NULL;
    uint64_t n_bytes = 99;
    filtags_status status = picture_store_open(path, profile, N_FILTERS, N_OUTPUTS, &n_bytes, &store);
    if (status) fail_msg("%s", filtags_error_message());
    if (n_dropped_bytes) *n_dropped_bytes = n_bytes;
    else assert_int_equal(n_bytes, 0);
    return store;
}

static void add(struct picture_store *store, uint32_t n, bool with_top) {
    uint8_t key[HASH_DIGEST_BYTES];
    filtags_activation activations[N_FILTERS];
    struct stored_top top;
    make_picture(n, key, activations, &top);
    assert_int_equal(picture_store_add(store, key, activations, with_top ? &top : NULL), FILTAGS_OK);
}

/* What is found is right; a failure is reported. */
static filtags_status find(struct picture_store *store, uint32_t n, bool with_top, bool *is_found) {
    uint8_t key[HASH_DIGEST_BYTES];
    filtags_activation expected[N_FILTERS], activations[N_FILTERS] = {0};
    struct stored_top expected_top, top = {0};
    make_picture(n, key, expected, &expected_top);
    *is_found = false;
    filtags_status status = picture_store_find(store, key, activations, with_top ? &top : NULL, is_found);
    if (status || !*is_found) return status;
    assert_memory_equal(activations, expected, sizeof expected);
    if (with_top) assert_memory_equal(&top, &expected_top, sizeof top);
    return FILTAGS_OK;
}

static bool has(struct picture_store *store, uint32_t n, bool with_top) {
    bool is_found;
    assert_int_equal(find(store, n, with_top, &is_found), FILTAGS_OK);
    return is_found;
}

static void close_store(struct picture_store *store) { assert_int_equal(picture_store_close(store), FILTAGS_OK); }

static void assert_fails(const char *profile, filtags_status expected, const char *text) {
    struct picture_store *store = NULL;
    uint64_t n_dropped_bytes;
    filtags_status status = picture_store_open(path, profile, N_FILTERS, N_OUTPUTS, &n_dropped_bytes, &store);
    if (status != expected || !strstr(filtags_error_message(), text) || !strstr(filtags_error_message(), path))
        fail_msg("status %d: %s", status, filtags_error_message());
    assert_null(store);
}

static struct buffer read_store(void) {
    struct buffer bytes = {0};
    assert_int_equal(file_read(path, MOST_BYTES, &bytes), FILTAGS_OK);
    return bytes;
}

/* Not by file_write, which waits for the disk: this is done thousands of times. */
static void write_store(const void *bytes, size_t n_bytes) {
    unlink(path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n_bytes, file), n_bytes);
    assert_int_equal(fclose(file), 0);
}

/* ---- what is kept is found ---- */

static void test_round_trip(void **state) {
    (void)state;
    struct picture_store *store = open_store("one", NULL);
    assert_int_equal(picture_store_n_pictures(store), 0);
    assert_false(has(store, 1, false));
    add(store, 1, false);
    add(store, 2, true);
    assert_true(has(store, 1, false));
    assert_false(has(store, 1, true)); /* no prediction yet */
    assert_true(has(store, 2, true));
    close_store(store);
    store = open_store("one", NULL);
    assert_int_equal(picture_store_n_pictures(store), 2);
    assert_true(has(store, 1, false));
    assert_true(has(store, 2, true));
    assert_false(has(store, 3, false));
    add(store, 1, true); /* adds the prediction alone */
    assert_true(has(store, 1, true));
    close_store(store);
    store = open_store("one", NULL);
    assert_true(has(store, 1, true));
    close_store(store);
    close_store(NULL);
}

static void test_profiles_are_apart(void **state) {
    (void)state;
    struct picture_store *store = open_store("one", NULL);
    add(store, 1, true);
    close_store(store);
    store = open_store("two", NULL);
    assert_int_equal(picture_store_n_pictures(store), 0);
    assert_false(has(store, 1, false));
    add(store, 2, true);
    close_store(store);
    store = open_store("one", NULL);
    assert_true(has(store, 1, true));
    assert_false(has(store, 2, false));
    close_store(store);
    store = open_store("two", NULL);
    assert_true(has(store, 2, true));
    close_store(store);
}

static void test_nothing_is_written_twice(void **state) {
    (void)state;
    struct picture_store *store = open_store("one", NULL);
    for (uint32_t n = 0; n < 3000; n++) add(store, n, n % 2);
    close_store(store);
    struct buffer before = read_store();
    store = open_store("one", NULL);
    for (uint32_t n = 0; n < 3000; n++) {
        add(store, n, n % 2);
        assert_true(has(store, n, n % 2));
    }
    close_store(store);
    struct buffer after = read_store();
    assert_int_equal(before.size_bytes, after.size_bytes);
    assert_memory_equal(before.data, after.data, before.size_bytes);
    buffer_free(&before);
    buffer_free(&after);
}

struct adder {
    pthread_t thread;
    struct picture_store *store;
    uint32_t first;
    size_t n_wrong;
};

static void *add_some(void *argument) {
    struct adder *adder = argument;
    for (uint32_t n = adder->first; n < adder->first + 300; n++) {
        uint8_t key[HASH_DIGEST_BYTES];
        filtags_activation activations[N_FILTERS], found[N_FILTERS];
        struct stored_top top;
        bool is_found = false;
        make_picture(n, key, activations, &top);
        adder->n_wrong += picture_store_add(adder->store, key, activations, &top) != FILTAGS_OK;
        adder->n_wrong += picture_store_find(adder->store, key, found, &top, &is_found) != FILTAGS_OK || !is_found ||
                          memcmp(found, activations, sizeof found) != 0;
    }
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    struct adder adders[4];
    struct picture_store *store = open_store("one", NULL);
    for (uint32_t i = 0; i < 4; i++) {
        adders[i] = (struct adder){.store = store, .first = 200 * i}; /* they overlap */
        assert_int_equal(pthread_create(&adders[i].thread, NULL, add_some, &adders[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(adders[i].thread, NULL);
        assert_int_equal(adders[i].n_wrong, 0);
    }
    assert_int_equal(picture_store_n_pictures(store), 900);
    close_store(store);
    store = open_store("one", NULL);
    for (uint32_t n = 0; n < 900; n++) assert_true(has(store, n, true));
    close_store(store);
}

/* ---- what is not as it was written ---- */

static struct buffer make_small_store(void) {
    struct picture_store *store = open_store("one", NULL);
    for (uint32_t n = 0; n < 4; n++) add(store, n, n % 2);
    close_store(store);
    return read_store();
}

/* Cut anywhere behind its start, a store has what is whole, and goes on from there. */
static void test_unfinished_end(void **state) {
    (void)state;
    struct buffer bytes = make_small_store();
    size_t n_before = 0;
    for (size_t n = START_BYTES; n <= bytes.size_bytes; n++) {
        uint64_t n_dropped_bytes;
        write_store(bytes.data, n);
        struct picture_store *store = open_store("one", &n_dropped_bytes);
        size_t n_pictures = picture_store_n_pictures(store);
        assert_true(n_dropped_bytes < n && n_pictures >= n_before && n_pictures <= n_before + 1);
        for (uint32_t i = 0; i < 4; i++) assert_true(has(store, i, false) == (i < n_pictures));
        add(store, 9, true);
        close_store(store);
        store = open_store("one", NULL);
        assert_int_equal(picture_store_n_pictures(store), n_pictures + 1);
        assert_true(has(store, 9, true));
        close_store(store);
        n_before = n_pictures;
    }
    assert_int_equal(n_before, 4);
    buffer_free(&bytes);
}

/* A crash of the machine can leave zeros, or anything, where the end was being written. */
static void test_end_of_garbage(void **state) {
    (void)state;
    struct buffer bytes = make_small_store();
    for (int fill = 0; fill <= 0xff; fill += 0xff) {
        uint64_t n_dropped_bytes;
        char garbage[3000];
        memset(garbage, fill, sizeof garbage);
        struct buffer longer = {0};
        buffer_append(&longer, bytes.data, bytes.size_bytes);
        buffer_append(&longer, garbage, sizeof garbage);
        write_store(longer.data, longer.size_bytes);
        struct picture_store *store = open_store("one", &n_dropped_bytes);
        assert_int_equal(n_dropped_bytes, sizeof garbage);
        assert_int_equal(picture_store_n_pictures(store), 4);
        close_store(store);
        buffer_free(&longer);
    }
    buffer_free(&bytes);
}

/* Whatever byte is changed: an error that names the file, or what is found is right; and no store that can't be opened
 * is touched. */
static void test_damage(void **state) {
    (void)state;
    struct buffer bytes = make_small_store();
    size_t n_failures = 0;
    for (size_t at = 0; at < bytes.size_bytes; at++) {
        struct picture_store *store = NULL;
        uint64_t n_dropped_bytes;
        size_t n_found = 0;
        bytes.data[at] ^= 0x20;
        write_store(bytes.data, bytes.size_bytes);
        filtags_status status = picture_store_open(path, "one", N_FILTERS, N_OUTPUTS, &n_dropped_bytes, &store);
        if (status) {
            struct buffer after = read_store();
            assert_int_equal(after.size_bytes, bytes.size_bytes);
            assert_memory_equal(after.data, bytes.data, after.size_bytes);
            buffer_free(&after);
        }
        for (uint32_t n = 0; n < 4 && !status; n++) {
            bool is_found;
            status = find(store, n, n % 2, &is_found);
            n_found += !status && is_found;
        }
        if (status) {
            assert_int_equal(status, FILTAGS_ERROR_FORMAT);
            assert_non_null(strstr(filtags_error_message(), path));
            n_failures++;
        } else {
            /* the profile's text, which its key stands for, or the end's own record */
            assert_int_equal(n_found, 4);
        }
        if (store) close_store(store);
        bytes.data[at] ^= 0x20;
    }
    assert_true(n_failures > bytes.size_bytes / 2);
    buffer_free(&bytes);
}

static void test_other_files(void **state) {
    (void)state;
    struct buffer bytes = make_small_store();
    write_store("", 0);
    assert_fails("one", FILTAGS_ERROR_FORMAT, "a store of filTags expected, found something else");
    write_store("\x80\2]q\0.", 6);
    assert_fails("one", FILTAGS_ERROR_FORMAT, "a store of filTags expected, found something else");
    write_store(bytes.data, START_BYTES - 1);
    assert_fails("one", FILTAGS_ERROR_FORMAT, "the 64 bytes that a store begins with expected, found 63");
    bytes.data[16] = 2;
    write_store(bytes.data, bytes.size_bytes);
    assert_fails("one", FILTAGS_ERROR_FORMAT, "a store of format version 1 expected, found 2");
    const uint32_t other_order = 0x04030201;
    memcpy(bytes.data + 20, &other_order, sizeof other_order);
    write_store(bytes.data, bytes.size_bytes);
    assert_fails("one", FILTAGS_ERROR_FORMAT, "this machine's byte order expected, found the other one");
    buffer_free(&bytes);
    unlink(path);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_fails("one", FILTAGS_ERROR_IO, "cannot be opened for writing");
    rmdir(path);
    assert_int_equal(mkfifo(path, 0666), 0);
    assert_fails("one", FILTAGS_ERROR_IO, "a regular file expected");
}

static void test_lock(void **state) {
    (void)state;
    struct picture_store *store = open_store("one", NULL);
    assert_fails("one", FILTAGS_ERROR_IO, "another run is using this store");
    assert_fails("two", FILTAGS_ERROR_IO, "another run is using this store");
    add(store, 1, true);
    close_store(store);
    store = open_store("one", NULL);
    assert_true(has(store, 1, true));
    close_store(store);
}

/* ---- right checksums, wrong contents ---- */

static filtags_status ignore(void *context, struct record_file *file, const struct record *record) {
    (void)context, (void)file, (void)record;
    return FILTAGS_OK;
}

static const struct record_kind record_test_kind = {"filTags store\r\n", "a store", "", ""};

static void append_record(uint32_t type, uint32_t profile, const uint8_t *key, const void *contents, size_t n_bytes) {
    const struct record_visitor visitor = {NULL, ignore};
    struct record record = {type, profile, {0}, n_bytes, 0};
    struct record_file *file = NULL;
    uint64_t n_dropped_bytes;
    if (key) memcpy(record.key, key, sizeof record.key);
    assert_int_equal(record_file_open(path, &record_test_kind, &visitor, &n_dropped_bytes, &file), FILTAGS_OK);
    assert_int_equal(record_file_append(file, &record, contents), FILTAGS_OK);
    assert_int_equal(record_file_close(file), FILTAGS_OK);
}

static void test_records_that_do_not_fit(void **state) {
    (void)state;
    static const char contents[N_FILTERS * 4 + 4];
    const struct {
        uint32_t type, profile;
        size_t n_bytes;
        const char *message;
    } wrong[] = {{1, 3, 4, "the next profile expected, found type 1, profile 3, 4 bytes"},
                 {2, 0, N_FILTERS * 4, "a record of one of the profiles before it expected"},
                 {2, 2, N_FILTERS * 4, "a record of one of the profiles before it expected"},
                 {2, 1, N_FILTERS * 4 + 4, "activations or a prediction of this profile expected"},
                 {3, 1, 4, "activations or a prediction of this profile expected, found type 3, profile 1, 4 bytes"},
                 {9, 1, 0, "activations or a prediction of this profile expected, found type 9"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        unlink(path);
        struct buffer bytes = make_small_store();
        buffer_free(&bytes);
        append_record(wrong[i].type, wrong[i].profile, NULL, contents, wrong[i].n_bytes);
        assert_fails("one", FILTAGS_ERROR_FORMAT, wrong[i].message);
    }
}

static void test_prediction_of_no_output(void **state) {
    (void)state;
    uint8_t key[HASH_DIGEST_BYTES];
    filtags_activation activations[N_FILTERS];
    struct stored_top top;
    bool is_found;
    for (int i = 0; i < 2; i++) {
        unlink(path);
        struct picture_store *store = open_store("one", NULL);
        add(store, 0, false);
        close_store(store);
        make_picture(0, key, activations, &top);
        if (i == 0) top.items[2].output = N_OUTPUTS;
        else top.n = STORE_MOST_TOP + 1;
        append_record(3, 1, key, &top, sizeof top);
        store = open_store("one", NULL);
        assert_true(has(store, 0, false));
        assert_int_equal(find(store, 0, true, &is_found), FILTAGS_ERROR_FORMAT);
        assert_non_null(strstr(filtags_error_message(), "the prediction of a network of 7 outputs expected"));
        close_store(store);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_round_trip, remove_store),
        cmocka_unit_test_teardown(test_profiles_are_apart, remove_store),
        cmocka_unit_test_teardown(test_nothing_is_written_twice, remove_store),
        cmocka_unit_test_teardown(test_threads, remove_store),
        cmocka_unit_test_teardown(test_unfinished_end, remove_store),
        cmocka_unit_test_teardown(test_end_of_garbage, remove_store),
        cmocka_unit_test_teardown(test_damage, remove_store),
        cmocka_unit_test_teardown(test_other_files, remove_store),
        cmocka_unit_test_teardown(test_lock, remove_store),
        cmocka_unit_test_teardown(test_records_that_do_not_fit, remove_store),
        cmocka_unit_test_teardown(test_prediction_of_no_output, remove_store),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
