/* wire.h - what two processes on one machine tell each other: numbers and byte strings, one after the other. The other
 * side isn't trusted: reading past the end gives zeros and is remembered. */
#ifndef FILTAGS_BASE_WIRE_H
#define FILTAGS_BASE_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

/* Every message begins with this. */
struct wire_header {
    uint64_t magic;
    uint64_t n_bytes; /* of what follows */
};
#define WIRE_MAGIC UINT64_C(0x3130444552544c46) /* "FLTRED01": raised when the meaning of messages changes */

void wire_put_number(struct buffer *message, uint64_t number);
void wire_put_bytes(struct buffer *message, const void *bytes, size_t n_bytes);
void wire_put_text(struct buffer *message, const char *text);

struct wire_reader {
    const char *next;
    size_t n_left;
    bool has_failed; /* something was asked for that isn't there */
};

uint64_t wire_number(struct wire_reader *reader);

/* A number that is at most highest; anything else is a failure, and 0. */
uint64_t wire_number_to(struct wire_reader *reader, uint64_t highest);

/* Return the bytes, which lie in the message; NULL with *n_bytes 0 after a failure. */
const char *wire_bytes(struct wire_reader *reader, size_t *n_bytes);

/* Copy a text of at most most_bytes without a NUL in it. NULL: a failure of the message, or of memory (then
 * has_failed is not set, the error message is). The caller frees it. */
char *wire_text(struct wire_reader *reader, size_t most_bytes);

/* Whether everything has been read, and nothing was missing. */
bool wire_is_at_end(const struct wire_reader *reader);

#endif
