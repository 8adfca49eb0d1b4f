#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_BYTES = 2048 };

static _Thread_local char message[MESSAGE_BYTES];

const char *filtags_error_message(void) { return message; }

void text_make_printable(char *to, size_t size_bytes, const char *text) {
    size_t n = 0;
    for (; text[n] && n + 1 < size_bytes; n++) {
        unsigned char byte = (unsigned char)text[n];
        to[n] = byte < 0x20 || byte == 0x7f ? '?' : text[n];
    }
    to[n] = '\0';
}

static void store_message(const char *format, va_list arguments, const char *reason) {
    char text[MESSAGE_BYTES]; /* the arguments may be the old message */
    int n = vsnprintf(text, sizeof text, format, arguments);
    if (n < 0) {
        snprintf(text, sizeof text, "(message could not be formatted)");
        n = (int)strlen(text);
    }
    if (reason && (size_t)n < sizeof text) {
        snprintf(text + n, sizeof text - (size_t)n, ": %s", reason);
    }
    text_make_printable(message, sizeof message, text);
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
