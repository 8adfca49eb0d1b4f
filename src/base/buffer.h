/* buffer.h - a byte string that grows. Zero-initialise; free with buffer_free. */
#ifndef FILTAGS_BASE_BUFFER_H
#define FILTAGS_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct buffer {
    char *data; /* size_bytes bytes and a NUL behind them; NULL while empty */
    size_t size_bytes;
    size_t capacity_bytes;
    bool has_failed; /* memory ran out: everything appended since is lost (error message set) */
};

/* Appending never fails at the call: check has_failed once at the end. */
void buffer_append(struct buffer *buffer, const void *bytes, size_t size_bytes);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_printf(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The contents as a string, "" while empty. Valid until the next append. */
const char *buffer_text(const struct buffer *buffer);
/* Hand the contents over as a string that the caller frees; the buffer is empty afterwards. NULL: memory had run
 * out. */
char *buffer_take(struct buffer *buffer);
void buffer_free(struct buffer *buffer);

#endif
