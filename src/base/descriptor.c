#include "base/descriptor.h"

#include <errno.h>
#include <unistd.h>

/* The offset of what is read and written where it comes, a pipe or a socket for example. */
static const uint64_t no_offset = UINT64_MAX;

static bool read_from(int fd, uint64_t offset, void *bytes, size_t n_bytes, size_t *n_read) {
    char *to = bytes;
    *n_read = 0;
    while (*n_read < n_bytes) {
        const size_t n_left = n_bytes - *n_read;
        ssize_t n = offset == no_offset ? read(fd, to + *n_read, n_left)
                                        : pread(fd, to + *n_read, n_left, (off_t)(offset + *n_read));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        if (n == 0) break;
        *n_read += (size_t)n;
    }
    return true;
}

static bool write_to(int fd, uint64_t offset, const void *bytes, size_t n_bytes) {
    const char *from = bytes;
    for (size_t n_done = 0; n_done < n_bytes;) {
        const size_t n_left = n_bytes - n_done;
        ssize_t n = offset == no_offset ? write(fd, from + n_done, n_left)
                                        : pwrite(fd, from + n_done, n_left, (off_t)(offset + n_done));
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) errno = ENOSPC;
        if (n <= 0) return false;
        n_done += (size_t)n;
    }
    return true;
}

bool descriptor_read(int fd, void *bytes, size_t n_bytes, size_t *n_read) {
    return read_from(fd, no_offset, bytes, n_bytes, n_read);
}

bool descriptor_read_at(int fd, uint64_t offset, void *bytes, size_t n_bytes, size_t *n_read) {
    return read_from(fd, offset, bytes, n_bytes, n_read);
}

bool descriptor_write(int fd, const void *bytes, size_t n_bytes) { return write_to(fd, no_offset, bytes, n_bytes); }

bool descriptor_write_at(int fd, uint64_t offset, const void *bytes, size_t n_bytes) {
    return write_to(fd, offset, bytes, n_bytes);
}
