#include "base/wire.h"

#include <string.h>

#include "base/memory.h"

void wire_put_number(struct buffer *message, uint64_t number) { buffer_append(message, &number, sizeof number); }

void wire_put_bytes(struct buffer *message, const void *bytes, size_t n_bytes) {
    wire_put_number(message, n_bytes);
    buffer_append(message, bytes, n_bytes);
}

void wire_put_text(struct buffer *message, const char *text) { wire_put_bytes(message, text, strlen(text)); }

static void fail(struct wire_reader *reader) {
    reader->has_failed = true;
    reader->n_left = 0;
}

uint64_t wire_number(struct wire_reader *reader) {
    uint64_t number = 0;
    if (reader->n_left < sizeof number) {
        fail(reader);
        return 0;
    }
    memcpy(&number, reader->next, sizeof number);
    reader->next += sizeof number;
    reader->n_left -= sizeof number;
    return number;
}

uint64_t wire_number_to(struct wire_reader *reader, uint64_t highest) {
    uint64_t number = wire_number(reader);
    if (number <= highest) return number;
    fail(reader);
    return 0;
}

const char *wire_bytes(struct wire_reader *reader, size_t *n_bytes) {
    uint64_t n = wire_number(reader);
    const char *bytes = reader->next;
    *n_bytes = 0;
    if (n > reader->n_left) fail(reader);
    if (reader->has_failed) return NULL;
    reader->next += n;
    reader->n_left -= n;
    *n_bytes = n;
    return bytes;
}

char *wire_text(struct wire_reader *reader, size_t most_bytes) {
    size_t n;
    const char *bytes = wire_bytes(reader, &n);
    if (bytes && (n > most_bytes || memchr(bytes, '\0', n))) fail(reader);
    if (reader->has_failed) return NULL;
    char *text = memory_new(n + 1, 1);
    if (text) memcpy(text, bytes, n);
    return text;
}

bool wire_is_at_end(const struct wire_reader *reader) { return !reader->has_failed && reader->n_left == 0; }
