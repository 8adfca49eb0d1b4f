/* descriptor.h - read and write as many bytes as were asked for, where the system may do less at a time or be
 * interrupted. Functions return false on failure, errno says why. */
#ifndef FILTAGS_BASE_DESCRIPTOR_H
#define FILTAGS_BASE_DESCRIPTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Read n_bytes, or what there is up to the end: *n_read. */
bool descriptor_read(int fd, void *bytes, size_t n_bytes, size_t *n_read);

/* The same from an offset of a file on, by any number of threads. */
bool descriptor_read_at(int fd, uint64_t offset, void *bytes, size_t n_bytes, size_t *n_read);

bool descriptor_write(int fd, const void *bytes, size_t n_bytes);
bool descriptor_write_at(int fd, uint64_t offset, const void *bytes, size_t n_bytes);

#endif
