/* Messages between processes: what is put in comes out, and nothing is read that isn't there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the headers that it needs */
#include <cmocka.h>

#include "base/reader_process.h"
#include "base/wire.h"
#include "filtags.h"

static struct wire_reader reader_of(const struct buffer *message) {
    return (struct wire_reader){message->data, message->size_bytes, false};
}

static void round_trip(void **state) {
    struct buffer message = {0};
    size_t n;
    (void)state;
    wire_put_number(&message, UINT64_MAX);
    wire_put_text(&message, "text");
    wire_put_text(&message, "");
    wire_put_bytes(&message, "a\0b", 3);
    struct wire_reader reader = reader_of(&message);
    assert_true(wire_number(&reader) == UINT64_MAX);
    char *text = wire_text(&reader, 4), *empty = wire_text(&reader, 0);
    assert_string_equal(text, "text");
    assert_string_equal(empty, "");
    assert_false(wire_is_at_end(&reader));
    assert_memory_equal(wire_bytes(&reader, &n), "a\0b", 3);
    assert_int_equal(n, 3);
    assert_true(wire_is_at_end(&reader));
    assert_int_equal(wire_number(&reader), 0);
    assert_false(wire_is_at_end(&reader));
    free(text);
    free(empty);
    buffer_free(&message);
}

/* Every beginning of a message is too short, and every length that is too large is found out. */
static void malformed(void **state) {
    struct buffer message = {0}, lie = {0};
    size_t n;
    (void)state;
    wire_put_text(&message, "text");
    for (size_t i = 0; i < message.size_bytes; i++) {
        struct wire_reader reader = {message.data, i, false};
        assert_null(wire_text(&reader, 100));
        assert_true(reader.has_failed);
    }
    struct wire_reader reader = reader_of(&message);
    assert_null(wire_text(&reader, 3)); /* too long a text */
    assert_true(reader.has_failed);
    wire_put_number(&lie, UINT64_MAX);
    wire_put_number(&lie, 0);
    reader = reader_of(&lie);
    assert_null(wire_bytes(&reader, &n));
    assert_int_equal(n, 0);
    reader = reader_of(&lie);
    assert_int_equal(wire_number_to(&reader, 7), 0);
    assert_int_equal(wire_number(&reader), 0); /* nothing behind a failure counts */
    assert_false(wire_is_at_end(&reader));
    lie.size_bytes = 0;
    wire_put_bytes(&lie, "a\0b", 3);
    reader = reader_of(&lie);
    assert_null(wire_text(&reader, 100));
    buffer_free(&lie);
    buffer_free(&message);
}

/* A reader can't stop a run by what it says: its failures are the file's. */
static void statuses(void **state) {
    const struct {
        uint64_t said;
        filtags_status got;
    } cases[] = {{FILTAGS_OK, FILTAGS_OK},
                 {FILTAGS_ERROR_FORMAT, FILTAGS_ERROR_FORMAT},
                 {FILTAGS_ERROR_UNSUPPORTED, FILTAGS_ERROR_UNSUPPORTED},
                 {FILTAGS_ERROR_MEMORY, FILTAGS_ERROR_FORMAT},
                 {FILTAGS_ERROR_INTERNAL, FILTAGS_ERROR_FORMAT},
                 {FILTAGS_ERROR_CANCELLED, FILTAGS_ERROR_FORMAT},
                 {FILTAGS_ERROR_INTERNAL + 1, FILTAGS_ERROR_FORMAT},
                 {UINT64_MAX, FILTAGS_ERROR_FORMAT}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer message = {0};
        wire_put_number(&message, cases[i].said);
        wire_put_text(&message, "said\nso");
        struct wire_reader reader = reader_of(&message);
        assert_int_equal(reader_take_status("file", &reader), cases[i].got);
        if (cases[i].got) assert_int_equal(strncmp(filtags_error_message(), "file: ", 6), 0);
        assert_null(strchr(filtags_error_message(), '\n'));
        buffer_free(&message);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip), cmocka_unit_test(malformed),
                                       cmocka_unit_test(statuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
