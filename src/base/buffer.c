#include "base/buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static bool make_room(struct buffer *buffer, size_t more_bytes) {
    void *data = buffer->data;
    if (buffer->has_failed) return false;
    if (more_bytes > SIZE_MAX - buffer->size_bytes - 1 ||
        memory_grow(&data, &buffer->capacity_bytes, buffer->size_bytes + more_bytes + 1, 1)) {
        buffer->has_failed = true;
        return false;
    }
    buffer->data = data;
    return true;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t size_bytes) {
    if (!make_room(buffer, size_bytes)) return;
    if (size_bytes) memcpy(buffer->data + buffer->size_bytes, bytes, size_bytes);
    buffer->size_bytes += size_bytes;
    buffer->data[buffer->size_bytes] = '\0';
}

void buffer_append_text(struct buffer *buffer, const char *text) { buffer_append(buffer, text, strlen(text)); }

void buffer_printf(struct buffer *buffer, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (n < 0 || !make_room(buffer, (size_t)n)) {
        buffer->has_failed = true;
        return;
    }
    va_start(arguments, format);
    vsnprintf(buffer->data + buffer->size_bytes, (size_t)n + 1, format, arguments);
    va_end(arguments);
    buffer->size_bytes += (size_t)n;
}

const char *buffer_text(const struct buffer *buffer) { return buffer->data ? buffer->data : ""; }

char *buffer_take(struct buffer *buffer) {
    if (!buffer->data && !buffer->has_failed) buffer_append(buffer, "", 0);
    char *text = buffer->has_failed ? NULL : buffer->data;
    if (buffer->has_failed) free(buffer->data);
    *buffer = (struct buffer){0};
    return text;
}

void buffer_free(struct buffer *buffer) {
    free(buffer->data);
    *buffer = (struct buffer){0};
}
