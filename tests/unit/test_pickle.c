/* Pickles that Python has written are read, what is written is read again, and failures of files. */
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/file.h"
#include "base/text.h"
#include "pickle_text.h"

/* ---- pickles written by Python ---- */

static void check_golden(json_t *expected, const char *name) {
    char path[1024];
    struct pickle_file *file = NULL;
    data_path(path, name);
    if (pickle_file_open(path, 0, &file)) fail_msg("%s", filtags_error_message());
    assert_int_equal(pickle_file_n_values(file), json_array_size(expected));
    for (size_t i = 0; i < json_array_size(expected); i++)
        assert_dump(file, i, json_string_value(json_array_get(expected, i)));
    pickle_file_close(file);
}

static void test_goldens(void **state) {
    char path[1024], name[64];
    json_error_t error;
    (void)state;
    data_path(path, "expected.json");
    json_t *expected = json_load_file(path, 0, &error);
    assert_non_null(expected);
    for (int numpy = 1; numpy <= 2; numpy++) {
        for (int protocol = 0; protocol <= 5; protocol++) {
            snprintf(name, sizeof name, "numpy%d-protocol%d.pkl", numpy, protocol);
            check_golden(expected, name);
        }
    }
    json_decref(expected);
}

/* Cut at any byte, a file is refused, but between two pickles, where what is left is a whole file. */
static void check_truncated(const char *name) {
    char path[1024];
    struct buffer contents = {0};
    size_t n_accepted = 0, n_values;
    struct pickle_file *file = NULL;
    data_path(path, name);
    assert_int_equal(file_read(path, 1 << 20, &contents), FILTAGS_OK);
    assert_int_equal(pickle_memory_open(contents.data, contents.size_bytes, name, 0, &file), FILTAGS_OK);
    n_values = pickle_file_n_values(file);
    pickle_file_close(file);
    size_t n_dense = 9000; /* the rest is numbers in long rows */
    for (size_t n = 0; n < contents.size_bytes; n += n < n_dense ? 1 : 211) {
        char *part = malloc(n ? n : 1); /* of just this size, for the address sanitizer */
        memcpy(part, contents.data, n);
        file = NULL;
        filtags_status status = pickle_memory_open(part, n, name, 0, &file);
        if (status == FILTAGS_OK) {
            n_accepted++;
            assert_true(pickle_file_n_values(file) < n_values);
            pickle_file_close(file);
        } else {
            assert_int_equal(status, FILTAGS_ERROR_FORMAT);
            assert_null(file);
            assert_non_null(strstr(filtags_error_message(), name));
        }
        free(part);
    }
    assert_in_range(n_accepted, 5, n_values);
    buffer_free(&contents);
}

static void test_truncated(void **state) {
    (void)state;
    check_truncated("numpy1-protocol0.pkl");
    check_truncated("numpy2-protocol2.pkl");
    check_truncated("numpy2-protocol5.pkl");
}

/* ---- what is written is read ---- */

struct folder {
    char path[256];
    char file[300];
};

static int make_folder(void **state) {
    struct folder *folder = calloc(1, sizeof *folder);
    const char *temporary = getenv("TMPDIR");
    snprintf(folder->path, sizeof folder->path, "%s/filtags-pickle-XXXXXX", temporary ? temporary : "/tmp");
    if (!mkdtemp(folder->path)) return -1;
    snprintf(folder->file, sizeof folder->file, "%s/a.pkl", folder->path);
    *state = folder;
    return 0;
}

static int remove_folder(void **state) {
    struct folder *folder = *state;
    unlink(folder->file);
    rmdir(folder->path);
    free(folder);
    return 0;
}

static void write_everything(FILE *stream) {
    static const double numbers[] = {
        0, 255, 256, 65536, 2147483648.0, -1, 9007199254740991.0, 9007199254740992.0, 0.5, -0.0, INFINITY};
    static const int64_t ints[] = {
        255, 256, 65535, 65536, INT32_MAX, INT32_MIN, INT64_C(1) << 31, -(INT64_C(1) << 31) - 1, INT64_MAX, INT64_MIN};
    struct pickle_writer writer;
    float values[300];
    pickle_begin(&writer, stream);
    pickle_list_open(&writer);
    pickle_none(&writer);
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) pickle_int(&writer, ints[i]);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) pickle_number(&writer, numbers[i]);
    pickle_float(&writer, 3);
    pickle_list_close(&writer);
    pickle_end(&writer);

    pickle_begin(&writer, stream);
    pickle_dict_open(&writer);
    pickle_str(&writer, "caf\xe9 \xc3\xa9 \xff\xed\xb3\x83");
    pickle_tuple_open(&writer);
    pickle_tuple_close(&writer);
    pickle_int(&writer, 5);
    pickle_list_open(&writer);
    pickle_list_close(&writer);
    pickle_str(&writer, "");
    pickle_dict_open(&writer);
    pickle_dict_close(&writer);
    pickle_dict_close(&writer);
    pickle_end(&writer);

    uint32_t memos[300];
    memset(memos, 0xff, sizeof memos);
    pickle_begin(&writer, stream);
    pickle_tuple_open(&writer);
    for (int i = 0; i < 600; i++) {
        char text[16];
        snprintf(text, sizeof text, "n%d", i % 300);
        pickle_str_shared(&writer, text, &memos[i % 300]);
        if (i == 100 || i == 450) pickle_array_float32(&writer, (const float[]){1, -0.1f}, 2);
    }
    pickle_tuple_close(&writer);
    pickle_end(&writer);

    for (size_t i = 0; i < 300; i++) values[i] = (float)i * -1.7f;
    pickle_begin(&writer, stream);
    pickle_list_open(&writer);
    pickle_array_float32(&writer, values, 300);
    pickle_array_float32(&writer, NULL, 0);
    pickle_array_float32(&writer, values + 1, 1);
    pickle_list_close(&writer);
    pickle_end(&writer);
}

static void test_round_trip(void **state) {
    const struct folder *folder = *state;
    struct pickle_file *file = NULL;
    FILE *stream = fopen(folder->file, "wb");
    assert_non_null(stream);
    write_everything(stream);
    assert_int_equal(fclose(stream), 0);
    if (pickle_file_open(folder->file, 0, &file)) fail_msg("%s", filtags_error_message());
    assert_int_equal(pickle_file_n_values(file), 4);
    assert_dump(file, 0,
                "[None, i255, i256, i65535, i65536, i2147483647, i-2147483648, i2147483648, i-2147483649, "
                "i9223372036854775807, "
                "i-9223372036854775808, i0, i255, i256, i65536, i2147483648, i-1, i9007199254740991, 9007199254740992, "
                "0.5, i0, inf, 3]");
    assert_dump(file, 1, "{'caf\\xe9 \\xc3\\xa9 \\xff\\xed\\xb3\\x83': (), i5: [], '': {}}");
    pickle_value shared = pickle_file_value(file, 2);
    assert_int_equal(pickle_length(file, shared), 602);
    for (size_t i = 0; i < 602; i++) {
        char text[16];
        pickle_value item = pickle_item(file, shared, i);
        if (i == 101 || i == 452) {
            assert_int_equal(pickle_length(file, item), 2);
            assert_true(pickle_array(file, item)[1] == (double)-0.1f);
            continue;
        }
        snprintf(text, sizeof text, "n%zu", (i - (i > 101) - (i > 452)) % 300);
        assert_string_equal(pickle_as_str(file, item, NULL), text);
        assert_true(pickle_str_id(file, item) < pickle_n_strs(file));
    }
    assert_int_equal(pickle_str_id(file, pickle_item(file, shared, 5)),
                     pickle_str_id(file, pickle_item(file, shared, 306)));
    assert_int_not_equal(pickle_str_id(file, pickle_item(file, shared, 5)),
                         pickle_str_id(file, pickle_item(file, shared, 6)));
    pickle_value arrays = pickle_file_value(file, 3);
    const double *values = pickle_array(file, pickle_item(file, arrays, 0));
    for (size_t i = 0; i < 300; i++) assert_true(values[i] == (double)((float)i * -1.7f));
    assert_int_equal(pickle_length(file, pickle_item(file, arrays, 1)), 0);
    assert_true(pickle_array(file, pickle_item(file, arrays, 2))[0] == (double)-1.7f);
    pickle_file_close(file);
}

/* The writer encodes names itself: it must agree with base/text. */
static void test_str_encoding(void **state) {
    char *bytes = NULL;
    size_t n_bytes = 0;
    char text[256];
    (void)state;
    for (int i = 0; i < 255; i++) text[i] = (char)(i + 1);
    text[255] = '\0';
    FILE *stream = open_memstream(&bytes, &n_bytes);
    struct pickle_writer writer;
    pickle_begin(&writer, stream);
    pickle_str(&writer, text);
    pickle_end(&writer);
    fclose(stream);
    struct buffer expected = {0};
    text_append_fsdecoded(&expected, text, 255);
    assert_int_equal(n_bytes, 2 + 5 + expected.size_bytes + 1);
    assert_memory_equal(bytes + 7, expected.data, expected.size_bytes);
    struct pickle_file *file;
    assert_int_equal(pickle_memory_open(bytes, n_bytes, "x", 0, &file), FILTAGS_OK);
    assert_string_equal(pickle_as_str(file, pickle_file_value(file, 0), NULL), text);
    pickle_file_close(file);
    buffer_free(&expected);
    free(bytes);
}

static void test_write_error(void **state) {
    (void)state;
    FILE *stream = fopen("/dev/full", "wb");
    if (!stream) skip();
    write_everything(stream);
    assert_true(fflush(stream) != 0 || ferror(stream));
    fclose(stream);
}

/* A list longer than the buffer, of values of several sizes, so that operands lie across the buffer's end. */
static void test_large_file(void **state) {
    const struct folder *folder = *state;
    enum { N = 200000 };
    uint32_t memo = UINT32_MAX;
    struct pickle_writer writer;
    struct pickle_file *file = NULL;
    float *values = malloc(N * sizeof *values);
    for (size_t i = 0; i < N; i++) values[i] = (float)i / 3;
    FILE *stream = fopen(folder->file, "wb");
    pickle_begin(&writer, stream);
    pickle_list_open(&writer);
    for (int i = 0; i < N; i++) {
        if (i % 3 == 0) pickle_str_shared(&writer, "n01440764", &memo);
        else if (i % 3 == 1) pickle_int(&writer, i);
        else pickle_float(&writer, i / 7.0);
    }
    pickle_array_float32(&writer, values, N);
    pickle_list_close(&writer);
    pickle_end(&writer);
    assert_int_equal(fclose(stream), 0);
    if (pickle_file_open(folder->file, 0, &file)) fail_msg("%s", filtags_error_message());
    pickle_value list = pickle_file_value(file, 0);
    assert_int_equal(pickle_length(file, list), N + 1);
    for (int i = 0; i < N; i++) {
        pickle_value item = pickle_item(file, list, (size_t)i);
        if (i % 3 == 0) assert_string_equal(pickle_as_str(file, item, NULL), "n01440764");
        else assert_true(pickle_as_number(file, item) == (i % 3 == 1 ? i : i / 7.0));
    }
    const double *array = pickle_array(file, pickle_item(file, list, N));
    for (size_t i = 0; i < N; i++) assert_true(array[i] == (double)values[i]);
    pickle_file_close(file);
    free(values);
    /* a limit below what the file needs, and one above */
    file = NULL;
    assert_int_equal(pickle_file_open(folder->file, 1000000, &file), FILTAGS_ERROR_MEMORY);
    assert_non_null(strstr(filtags_error_message(), "1000000 bytes"));
    assert_null(file);
    assert_int_equal(pickle_file_open(folder->file, 20000000, &file), FILTAGS_OK);
    pickle_file_close(file);
}

static void test_file_errors(void **state) {
    const struct folder *folder = *state;
    struct pickle_file *file = NULL;
    assert_int_equal(pickle_file_open(folder->file, 0, &file), FILTAGS_ERROR_IO);
    assert_non_null(strstr(filtags_error_message(), "a.pkl: cannot be opened: "));
    assert_int_equal(pickle_file_open(folder->path, 0, &file), FILTAGS_ERROR_IO);
    assert_non_null(strstr(filtags_error_message(), "found a folder"));
    if (mkfifo(folder->file, 0600) == 0) {
        assert_int_equal(pickle_file_open(folder->file, 0, &file), FILTAGS_ERROR_IO);
        assert_non_null(strstr(filtags_error_message(), "found a special file"));
        unlink(folder->file);
    }
    FILE *stream = fopen(folder->file, "wb");
    fclose(stream);
    assert_int_equal(pickle_file_open(folder->file, 0, &file), FILTAGS_ERROR_FORMAT);
    assert_non_null(strstr(filtags_error_message(), "a.pkl: a pickle expected, the file is empty"));
    assert_null(file);
    pickle_file_close(NULL);
}

static void test_kind_names(void **state) {
    (void)state;
    assert_string_equal(pickle_kind_name(PICKLE_NONE), "None");
    assert_string_equal(pickle_kind_name(PICKLE_ARRAY), "NumPy array");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test_setup_teardown(test_round_trip, make_folder, remove_folder),
        cmocka_unit_test(test_str_encoding),
        cmocka_unit_test(test_write_error),
        cmocka_unit_test_setup_teardown(test_large_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_file_errors, make_folder, remove_folder),
        cmocka_unit_test(test_kind_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
