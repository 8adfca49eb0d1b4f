/* pickle_text.h - for the tests of pickles: values as text; tools/make_pickle_goldens.py makes the same. */
#ifndef FILTAGS_TESTS_PICKLE_TEXT_H
#define FILTAGS_TESTS_PICKLE_TEXT_H

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "store/pickle.h"

static inline void dump(struct buffer *to, const struct pickle_file *file, pickle_value value);

static inline void dump_escaped(struct buffer *to, const char *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte >= 32 && byte < 127 && byte != '\\' && byte != '\'') buffer_append(to, &bytes[i], 1);
        else buffer_printf(to, "\\x%02x", byte);
    }
}

static inline void dump_double(struct buffer *to, double number) {
    if (isnan(number)) buffer_append_text(to, "nan");
    else buffer_printf(to, "%.17g", number);
}

static inline int compare_texts(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static inline void dump_items(struct buffer *to, const struct pickle_file *file, pickle_value value,
                              const char *brackets) {
    size_t n = pickle_length(file, value);
    char **texts = calloc(n + 1, sizeof *texts);
    for (size_t i = 0; i < n; i++) {
        struct buffer item = {0};
        if (pickle_kind_of(file, value) == PICKLE_DICT) {
            pickle_value key, content;
            pickle_pair(file, value, i, &key, &content);
            dump(&item, file, key);
            buffer_append_text(&item, ": ");
            dump(&item, file, content);
        } else {
            dump(&item, file, pickle_item(file, value, i));
        }
        texts[i] = buffer_take(&item);
    }
    if (pickle_kind_of(file, value) == PICKLE_SET) qsort(texts, n, sizeof *texts, compare_texts);
    buffer_append(to, brackets, 1);
    for (size_t i = 0; i < n; i++) {
        buffer_printf(to, "%s%s", i ? ", " : "", texts[i]);
        free(texts[i]);
    }
    buffer_append(to, brackets + 1, 1);
    free(texts);
}

static inline void dump_array(struct buffer *to, const struct pickle_file *file, pickle_value value) {
    const double *numbers = pickle_array(file, value);
    buffer_append_text(to, "array<");
    for (size_t i = 0; i < pickle_array_n_dims(file, value); i++) {
        buffer_printf(to, "%s%zu", i ? "x" : "", pickle_array_dim(file, value, i));
    }
    buffer_append_text(to, ">[");
    for (size_t i = 0; i < pickle_length(file, value); i++) {
        if (i) buffer_append_text(to, " ");
        dump_double(to, numbers[i]);
    }
    buffer_append_text(to, "]");
}

static inline void dump(struct buffer *to, const struct pickle_file *file, pickle_value value) {
    size_t n;
    const char *text;
    switch (pickle_kind_of(file, value)) {
    case PICKLE_NONE:
        buffer_append_text(to, "None");
        break;
    case PICKLE_BOOL:
        buffer_append_text(to, pickle_as_int(file, value) ? "True" : "False");
        break;
    case PICKLE_INT:
        buffer_printf(to, "i%" PRId64, pickle_as_int(file, value));
        break;
    case PICKLE_FLOAT:
        dump_double(to, pickle_as_number(file, value));
        break;
    case PICKLE_STR:
    case PICKLE_BYTES:
        text = pickle_as_str(file, value, &n);
        assert_int_equal(text[n], '\0');
        buffer_append_text(to, pickle_kind_of(file, value) == PICKLE_STR ? "'" : "b'");
        dump_escaped(to, text, n);
        buffer_append_text(to, "'");
        break;
    case PICKLE_LIST:
        dump_items(to, file, value, "[]");
        break;
    case PICKLE_TUPLE:
        dump_items(to, file, value, "()");
        break;
    case PICKLE_SET:
    case PICKLE_DICT:
        dump_items(to, file, value, "{}");
        break;
    case PICKLE_ARRAY:
        dump_array(to, file, value);
        break;
    }
}

static inline void assert_dump(const struct pickle_file *file, size_t index, const char *expected) {
    struct buffer text = {0};
    dump(&text, file, pickle_file_value(file, index));
    assert_string_equal(buffer_text(&text), expected);
    buffer_free(&text);
}

static inline void data_path(char path[1024], const char *name) {
    const char *folder = getenv("FILTAGS_TEST_DATA");
    snprintf(path, 1024, "%s/unit/data/pickles/%s", folder ? folder : "tests", name);
}

#endif
