/* Values handed over one by one are those of a file that is read as a whole. */
#include "base/file.h"
#include "pickle_examples.h"
#include "pickle_text.h"

static void dump_pair(struct buffer *to, const struct pickle_file *file, size_t index, pickle_value key,
                      pickle_value item) {
    buffer_printf(to, "%zu: ", index);
    dump(to, file, key);
    buffer_append_text(to, ": ");
    dump(to, file, item);
    buffer_append_text(to, "\n");
}

static filtags_status take_pair(void *context, const struct pickle_file *file, size_t index, pickle_value key,
                                pickle_value item) {
    dump_pair(context, file, index, key, item);
    return FILTAGS_OK;
}

static filtags_status take_value(void *context, const struct pickle_file *file, size_t index, pickle_value value) {
    if (pickle_kind_of(file, value) != PICKLE_DICT) dump(context, file, value);
    buffer_printf(context, " is %zu\n", index);
    return FILTAGS_OK;
}

/* The same from a file that is read as a whole. */
static void dump_all(struct buffer *to, const struct pickle_file *file) {
    for (size_t index = 0; index < pickle_file_n_values(file); index++) {
        pickle_value value = pickle_file_value(file, index), key, item;
        bool is_dict = pickle_kind_of(file, value) == PICKLE_DICT;
        for (size_t i = 0; is_dict && i < pickle_length(file, value); i++) {
            pickle_pair(file, value, i, &key, &item);
            dump_pair(to, file, index, key, item);
        }
        assert_int_equal(take_value(to, file, index, value), FILTAGS_OK);
    }
}

static void check_visit(const char *name, const void *bytes, size_t n_bytes) {
    struct buffer whole = {0}, visited = {0};
    struct pickle_file *file = NULL;
    const struct pickle_visitor visitor = {&visited, take_pair, take_value};
    char *copy = malloc(n_bytes ? n_bytes : 1); /* of just this size, for the address sanitizer */
    memcpy(copy, bytes, n_bytes);
    filtags_status status = pickle_memory_open(copy, n_bytes, name, 0, &file);
    filtags_status visit_status = pickle_memory_visit(copy, n_bytes, name, 0, &visitor);
    if (visit_status != status) fail_msg("%s: status %d, visited %d: %s", name, status, visit_status,
                                         filtags_error_message());
    if (!status) {
        dump_all(&whole, file);
        assert_string_equal(buffer_text(&visited), buffer_text(&whole));
    }
    pickle_file_close(file);
    buffer_free(&whole);
    buffer_free(&visited);
    free(copy);
}

/* dicts whose pairs refer to each other, or look complete before they are */
static const struct {
    const char *bytes;
    size_t n;
} visits[] = {
#define VISIT(bytes) {bytes, sizeof bytes - 1}
    VISIT("\x80\2}q\0(K\1]q\1(K\7K\x8" "eK\2]q\2(K\x9" "eu."),       /* {1: [7, 8], 2: [9]} */
    VISIT("\x80\2}q\0(K\1]q\1(K\7K\x8" "eK\2h\1u."),                  /* {1: a, 2: a} */
    VISIT("\x80\2}q\0(K\1]q\1(K\7K\x8" "eK\2]q\2h\1au."),            /* {1: a, 2: [a]} */
    VISIT("\x80\2}q\0(K\1]q\1K\7aK\2]q\2K\x8" "au."),                 /* {1: [7], 2: [8]} */
    VISIT("\x80\2}q\0(K\1]q\1]q\2K\7aaK\2]q\2K\x8" "au."),           /* {1: [[7]], 2: [8]} */
    VISIT("\x80\2}q\0K\1]q\1(K\7K\x8" "es."),                        /* {1: [7, 8]} */
    VISIT("\x80\2}q\0K\1]q\1(K\7K\x8" "esK\2h\1s."),                  /* {1: a, 2: a} */
    VISIT("\x80\2}q\0(G\0\0\0\0\0\0\0\0]q\1G?\xf0\0\0\0\0\0\0]q\2u."), /* {0.0: [], 1.0: []} */
    VISIT("(dp0\nI1\n(lp1\nI7\nasI2\n(lp2\nsI3\ng1\ns."),              /* {1: a, 2: [], 3: a} */
    VISIT("(I1\n(lp1\nI2\ng1\nd."),                                   /* {1: a, 2: a} */
    VISIT("}q\0(K\1]K\2]K\3h\0u."),                                   /* a dict that contains itself */
    VISIT("}q\0(K\1]K\2h\0u."),
    VISIT("}q\0h\0(K\1]K\2]u0."),
    VISIT("}(K\1]K\2]u(K\3]K\4]u."),
    VISIT("}(K\1]K\2]0]u."),                 /* the second list is popped, and made again */
    VISIT("}(K\1]K\2000]K\3]u."),           /* the first list is popped behind its next key: no pairs */
    VISIT("}(K\1]K\2]11."),
    VISIT("}(K\1]K\2]t."),
    VISIT("}(K\1]K\2\x86K\3u."),            /* {1: ([], 2), ...: no value for 3 */
    VISIT("}(K\1]K\2]u.}(K\1]K\2]u.N."),
    VISIT("}(K\1](]q\1]eK\2](]]eu."),                                   /* {1: [[], []], 2: [[], []]} */
    VISIT("}(K\1](]q\1]eK\2](h\1]eu."),                               /* {1: [a, []], 2: [a, []]} */
    VISIT("}(K\1](]q\1]eK\2](]h\1]eK\3](]]eu}u."),
    VISIT("}(K\1](]]eK\2000]u."),
    VISIT("}(K\1](]]eK\20]K\3](]eu."),
    VISIT("}(K\1](]]eK\2]d."),
    VISIT("}(K\1](]]eK\21N."),
    VISIT("}(K\1](]]e(tK\2(]eu."),
    VISIT("}q\0(K\1](]]eK\2h\0u."),
    VISIT("}(K\1](]]eX\1\0\0\0aG\0\0\0\0\0\0\0\0u."),
    VISIT("}(K\1K\2K\3}K\4K\5su."),        /* {1: 2, 3: {4: 5}} */
    VISIT("]}(K\1]K\2]ua."),                /* the dict is no pickle of its own */
    VISIT("\x80\2}q\0(K\1]q\1K\2]q\2u(K\3h\1K\4h\2u."),
#undef VISIT
};

static void test_visits(void **state) {
    (void)state;
    char name[64], path[1024];
    for (size_t i = 0; i < sizeof visits / sizeof *visits; i++) {
        snprintf(name, sizeof name, "visit %zu", i);
        check_visit(name, visits[i].bytes, visits[i].n);
    }
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        snprintf(name, sizeof name, "example %zu", i);
        check_visit(name, examples[i].bytes, examples[i].n);
    }
    for (int numpy = 1; numpy <= 2; numpy++) {
        for (int protocol = 0; protocol <= 5; protocol++) {
            struct buffer contents = {0};
            snprintf(name, sizeof name, "numpy%d-protocol%d.pkl", numpy, protocol);
            data_path(path, name);
            assert_int_equal(file_read(path, 1 << 20, &contents), FILTAGS_OK);
            check_visit(name, contents.data, contents.size_bytes);
            buffer_free(&contents);
        }
    }
}

static filtags_status count_pairs(void *context, const struct pickle_file *file, size_t index, pickle_value key,
                                  pickle_value item) {
    (void)file, (void)index, (void)key, (void)item;
    ++*(size_t *)context;
    return FILTAGS_OK;
}

static filtags_status ignore_value(void *context, const struct pickle_file *file, size_t index, pickle_value value) {
    (void)context, (void)file, (void)index, (void)value;
    return FILTAGS_OK;
}

static filtags_status refuse_pair(void *context, const struct pickle_file *file, size_t index, pickle_value key,
                                  pickle_value item) {
    (void)file, (void)index, (void)key, (void)item;
    return ++*(size_t *)context == 3 ? FILTAGS_ERROR_DATA : FILTAGS_OK;
}

/* What nobody writes, and what can't be told from {1: [[]], 2: ...} in time. */
static void test_visit_of_growing_list(void **state) {
    static const struct {
        const char *text, *message;
    } growing[] = {{"}(K\1](]eK\2aK\3](]eu.", "a list that grows after the next key"},
                   {"}(K\1](]q\1eK\2](]eK\3h\1K\4au.", "a list that grows after the next key"},
                   {"}(K\1](]]eK\2\x86K\3](]eu.", "a list that grows after the next key"},
                   {"}(K\1]K\2]u\x85.", "a dict that goes into another value"},
                   {"}(K\1]K\2]u0N.", "a dict that goes into another value"}};
    (void)state;
    for (size_t i = 0; i < sizeof growing / sizeof *growing; i++) {
        struct buffer text = {0};
        struct pickle_file *file = NULL;
        const struct pickle_visitor visitor = {&text, take_pair, take_value};
        assert_int_equal(pickle_memory_open(growing[i].text, strlen(growing[i].text), "x", 0, &file), FILTAGS_OK);
        assert_int_equal(pickle_memory_visit(growing[i].text, strlen(growing[i].text), "x", 0, &visitor),
                         FILTAGS_ERROR_UNSUPPORTED);
        assert_non_null(strstr(filtags_error_message(), growing[i].message));
        pickle_file_close(file);
        buffer_free(&text);
    }
}

/* A thousand lists of a thousand numbers in the memory for a few of them. */
static void test_visit_in_little_memory(void **state) {
    (void)state;
    struct buffer text = {0};
    struct pickle_file *file = NULL;
    size_t n_pairs = 0;
    const struct pickle_visitor counting = {&n_pairs, count_pairs, ignore_value};
    const struct pickle_visitor refusing = {&n_pairs, refuse_pair, ignore_value};
    buffer_append_text(&text, "}(");
    for (int i = 0; i < 1000; i++) {
        buffer_append_text(&text, "K\1](](");
        for (int j = 0; j < 1000; j++) buffer_append_text(&text, "K\2");
        buffer_append_text(&text, "ee");
    }
    buffer_append_text(&text, "u.");
    assert_int_equal(pickle_memory_open(text.data, text.size_bytes, "x", 60000, &file), FILTAGS_ERROR_MEMORY);
    assert_int_equal(pickle_memory_visit(text.data, text.size_bytes, "x", 60000, &counting), FILTAGS_OK);
    assert_int_equal(n_pairs, 1000);
    n_pairs = 0;
    assert_int_equal(pickle_memory_visit(text.data, text.size_bytes, "x", 60000, &refusing), FILTAGS_ERROR_DATA);
    assert_int_equal(n_pairs, 3); /* once, not again */
    buffer_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_visits),
        cmocka_unit_test(test_visit_of_growing_list),
        cmocka_unit_test(test_visit_in_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
