#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* Room for a path of PATH_MAX bytes and what is said of it */
enum { MESSAGE_BYTES = 6144 };

static _Thread_local char message[MESSAGE_BYTES];

const char *filtags_error_message(void) { return message; }

/* The length of the control character at the start of text, in UTF-8 or a byte of 8-bit sets; 0: there is none. */
static size_t control_length(const char *text, size_t n_sequence) {
    unsigned char byte = (unsigned char)text[0];
    if (byte < 0x20 || byte == 0x7f) return 1;
    if (n_sequence == 0 && byte >= 0x80 && byte < 0xa0) return 1; /* C1: 0x9b begins a command as ESC [ does */
    return byte == 0xc2 && n_sequence == 2 && (unsigned char)text[1] < 0xa0 ? 2 : 0;
}

void text_make_printable(char *to, size_t size_bytes, const char *text) {
    const size_t length = strlen(text);
    size_t n = 0;
    while (n < length && n + 1 < size_bytes) {
        size_t n_sequence = utf8_sequence_length(text + n, length - n);
        size_t n_control = control_length(text + n, n_sequence);
        size_t n_bytes = n_sequence ? n_sequence : 1;
        if (n + n_bytes >= size_bytes) break; /* no half letter */
        if (n_control) memset(to + n, '?', n_control);
        else memmove(to + n, text + n, n_bytes);
        n += n_bytes;
    }
    to[n] = '\0';
}

/* Shorten a text that has no room: what is at its end is the cause. */
static void keep_both_ends(char *to, size_t size_bytes, const char *text) {
    static const char gap[] = " ... ";
    size_t length = strlen(text), n_head = size_bytes / 2, n_tail = size_bytes - n_head - sizeof gap;
    if (length < size_bytes) {
        memcpy(to, text, length + 1);
        return;
    }
    memcpy(to, text, n_head);
    memcpy(to + n_head, gap, sizeof gap - 1);
    memcpy(to + n_head + sizeof gap - 1, text + length - n_tail, n_tail + 1);
}

static void store_message(const char *format, va_list arguments, const char *reason) {
    char text[3 * MESSAGE_BYTES], kept[MESSAGE_BYTES]; /* the arguments may be the old message */
    int n = vsnprintf(text, sizeof text, format, arguments);
    if (n < 0) {
        snprintf(text, sizeof text, "(message could not be formatted)");
        n = (int)strlen(text);
    }
    if (reason && (size_t)n < sizeof text) {
        snprintf(text + n, sizeof text - (size_t)n, ": %s", reason);
    }
    keep_both_ends(kept, sizeof kept, text);
    text_make_printable(message, sizeof message, kept);
}

filtags_status error_set(filtags_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    store_message(format, arguments, NULL);
    va_end(arguments);
    return status;
}

filtags_status error_set_errno(filtags_status status, const char *format, ...) {
    const char *reason = strerror(errno);
    va_list arguments;
    va_start(arguments, format);
    store_message(format, arguments, reason);
    va_end(arguments);
    return status;
}

filtags_status error_out_of_memory(size_t size_bytes) {
    return error_set(FILTAGS_ERROR_MEMORY, "out of memory: %zu bytes could not be allocated", size_bytes);
}
