/* memory.h - allocation that checks for overflow and reports failure. Free everything with free(). */
#ifndef FILTAGS_BASE_MEMORY_H
#define FILTAGS_BASE_MEMORY_H

#include <stddef.h>

/* Allocate n zeroed elements of size_bytes. NULL: failed, and the error message is set (return
 * FILTAGS_ERROR_MEMORY). n = 0 gives a valid pointer. */
void *memory_new(size_t n, size_t size_bytes);

/* As memory_new, aligned to 64 bytes (a cache line, an AVX-512 register); the size is rounded up to that. */
void *memory_new_aligned(size_t n, size_t size_bytes);

/* Make room for at least n_needed elements in *array, which has room for *capacity, growing
 * geometrically; new elements are not zeroed. Returns 0, or -1 with the error message set and the
 * array as it was. */
int memory_grow(void **array, size_t *capacity, size_t n_needed, size_t size_bytes);

/* Copy a string. NULL: failed, and the error message is set. */
char *memory_copy_string(const char *text);

/* printf into new memory. NULL: failed, and the error message is set. */
char *memory_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
