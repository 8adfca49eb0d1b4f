#include "base/memory.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

void *memory_new(size_t n, size_t size_bytes) {
    void *block = calloc(n ? n : 1, size_bytes ? size_bytes : 1);
    if (!block) error_out_of_memory(size_bytes && n > SIZE_MAX / size_bytes ? SIZE_MAX : n * size_bytes);
    return block;
}

void *memory_new_aligned(size_t n, size_t size_bytes) {
    if (size_bytes && n > (SIZE_MAX - 64) / size_bytes) {
        error_out_of_memory(SIZE_MAX);
        return NULL;
    }
    size_t total_bytes = (n * size_bytes + 63) / 64 * 64;
    if (total_bytes == 0) total_bytes = 64;
    void *block = aligned_alloc(64, total_bytes);
    if (block) memset(block, 0, total_bytes);
    else error_out_of_memory(total_bytes);
    return block;
}

int memory_grow(void **array, size_t *capacity, size_t n_needed, size_t size_bytes) {
    if (n_needed <= *capacity) return 0;
    size_t n = *capacity ? *capacity : 8;
    while (n < n_needed) n = n > SIZE_MAX / 2 ? n_needed : n + n / 2 + 1; /* + 1: one must grow, too */
    void *block = size_bytes && n > SIZE_MAX / size_bytes ? NULL : realloc(*array, n * size_bytes);
    if (!block) {
        error_out_of_memory(size_bytes && n > SIZE_MAX / size_bytes ? SIZE_MAX : n * size_bytes);
        return -1;
    }
    *array = block;
    *capacity = n;
    return 0;
}

char *memory_copy_string(const char *text) {
    size_t size_bytes = strlen(text) + 1;
    char *copy = malloc(size_bytes);
    if (copy) memcpy(copy, text, size_bytes);
    else error_out_of_memory(size_bytes);
    return copy;
}

char *memory_format(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = n < 0 ? NULL : malloc((size_t)n + 1);
    if (!text) {
        error_out_of_memory(n < 0 ? 0 : (size_t)n + 1);
        return NULL;
    }
    va_start(arguments, format);
    vsnprintf(text, (size_t)n + 1, format, arguments);
    va_end(arguments);
    return text;
}
