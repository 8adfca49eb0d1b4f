/* What of a pickle is refused, and what is not. */
#include "pickle_examples.h"
#include "pickle_text.h"

static void test_examples(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        struct pickle_file *file = NULL;
        char *copy = malloc(examples[i].n ? examples[i].n : 1); /* of just this size, for the address sanitizer */
        memcpy(copy, examples[i].bytes, examples[i].n);
        filtags_status status = pickle_memory_open(copy, examples[i].n, "x", 0, &file);
        free(copy);
        if (status != examples[i].status || (status && !strstr(filtags_error_message(), examples[i].text))) {
            fail_msg("example %zu (%s): status %d, message '%s'", i, examples[i].text, status, filtags_error_message());
        }
        if (!status) assert_dump(file, 0, examples[i].text);
        pickle_file_close(file);
    }
}

/* ---- limits ---- */

/* n lists, each in the next, in the order in which Python writes them or as an inner list put into an outer one. */
static filtags_status open_nested(size_t n) {
    struct buffer text = {0};
    struct pickle_file *file = NULL;
    for (size_t i = 0; i < n; i++) buffer_append_text(&text, "]");
    for (size_t i = 0; i + 1 < n; i++) buffer_append_text(&text, "a");
    buffer_append_text(&text, ".");
    filtags_status status = pickle_memory_open(text.data, text.size_bytes, "x", 0, &file);
    buffer_free(&text);
    pickle_file_close(file);
    return status;
}

static void test_depth(void **state) {
    (void)state;
    assert_int_equal(open_nested(100), FILTAGS_OK);
    assert_int_equal(open_nested(101), FILTAGS_ERROR_UNSUPPORTED);
    assert_non_null(strstr(filtags_error_message(), "nested more than 100 deep"));
    assert_int_equal(open_nested(1000000), FILTAGS_ERROR_UNSUPPORTED);
    struct pickle_file *file = NULL;
    char marks[100000];
    memset(marks, '(', sizeof marks);
    assert_int_equal(pickle_memory_open(marks, sizeof marks, "x", 0, &file), FILTAGS_ERROR_FORMAT);
}

/* A list checked once, then met again deeper down, must count from there. */
static void test_depth_of_shared(void **state) {
    (void)state;
    struct buffer text = {0};
    struct pickle_file *file = NULL;
    buffer_append_text(&text, "("); /* a tuple of: 60 lists, memo 1; the same in 60 further lists */
    for (int i = 0; i < 60; i++) buffer_append_text(&text, "]");
    for (int i = 0; i < 59; i++) buffer_append_text(&text, "a");
    buffer_append_text(&text, "q\1");
    for (int i = 0; i < 60; i++) buffer_append_text(&text, "]");
    buffer_append_text(&text, "h\1");
    for (int i = 0; i < 60; i++) buffer_append_text(&text, "a");
    buffer_append_text(&text, "t.");
    assert_int_equal(pickle_memory_open(text.data, text.size_bytes, "x", 0, &file), FILTAGS_ERROR_UNSUPPORTED);
    assert_non_null(strstr(filtags_error_message(), "nested more than 100 deep"));
    buffer_free(&text);
}

/* Ten lists of ten of ten ... of the same list: small as a file, without end for whoever walks through it. */
static void test_shared_without_end(void **state) {
    (void)state;
    for (int n = 5; n <= 40; n += 35) {
        struct buffer text = {0};
        struct pickle_file *file = NULL;
        buffer_append_text(&text, "]q\1");
        for (int i = 0; i < n; i++) buffer_append_text(&text, "]q\2(h\1h\1h\1h\1h\1h\1h\1h\1h\1h\1eq\1");
        for (int i = 0; i < n; i++) buffer_append_text(&text, "\x86");
        buffer_append_text(&text, ".");
        filtags_status status = pickle_memory_open(text.data, text.size_bytes, "x", 0, &file);
        assert_int_equal(status, n == 5 ? FILTAGS_OK : FILTAGS_ERROR_MEMORY);
        buffer_free(&text);
        pickle_file_close(file);
    }
}

static void test_memory_limit(void **state) {
    (void)state;
    struct pickle_file *file = NULL;
    char marks[100000];
    marks[0] = 'N';
    memset(marks + 1, '2', sizeof marks - 1);
    assert_int_equal(pickle_memory_open(marks, sizeof marks, "x", 10000, &file), FILTAGS_ERROR_MEMORY);
    assert_non_null(strstr(filtags_error_message(), "x: the contents need more than the limit of 10000 bytes"));
    assert_null(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_depth_of_shared),
        cmocka_unit_test(test_shared_without_end),
        cmocka_unit_test(test_memory_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
