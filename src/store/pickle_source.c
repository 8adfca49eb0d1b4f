#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/memory.h"
#include "store/pickle_internal.h"

static filtags_status make_buffer(struct pickle_source *source) {
    uint64_t n = source->size_bytes < SOURCE_BUFFER_BYTES ? source->size_bytes : SOURCE_BUFFER_BYTES;
    source->buffer = memory_new((size_t)n + SOURCE_PADDING_BYTES, 1);
    source->next = source->end = source->buffer;
    return source->buffer ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
}

filtags_status pickle_source_open_file(struct pickle_source *source, const char *path) {
    struct stat info;
    /* O_NONBLOCK: opening a pipe by mistake must not hang; it has no effect on regular files */
    *source = (struct pickle_source){.name = path, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (source->fd < 0) return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be opened", path);
    if (fstat(source->fd, &info)) return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be examined", path);
    if (!S_ISREG(info.st_mode)) {
        return error_set(FILTAGS_ERROR_IO, "%s: a regular file expected, found %s", path,
                         S_ISDIR(info.st_mode) ? "a folder" : "a special file");
    }
    source->size_bytes = (uint64_t)info.st_size;
    return make_buffer(source);
}

filtags_status pickle_source_open_memory(struct pickle_source *source, const void *bytes, size_t n_bytes,
                                         const char *name) {
    *source = (struct pickle_source){.name = name, .fd = -1, .memory = bytes, .size_bytes = n_bytes};
    return make_buffer(source);
}

void pickle_source_close(struct pickle_source *source) {
    if (source->fd >= 0) close(source->fd);
    free(source->buffer);
    *source = (struct pickle_source){.fd = -1};
}

/* Fetch exactly n bytes, which must be there. */
static filtags_status fetch(struct pickle_source *source, void *to, size_t n) {
    size_t n_read = n;
    if (source->fd < 0) memcpy(to, source->memory + source->n_fetched, n);
    else if (!descriptor_read(source->fd, to, n, &n_read))
        return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be read", source->name);
    source->n_fetched += n_read;
    if (n_read < n)
        return error_set(FILTAGS_ERROR_IO, "%s: the file became shorter while it was read", source->name);
    return FILTAGS_OK;
}

filtags_status pickle_source_fill(struct pickle_source *source, size_t n) {
    size_t n_buffered = pickle_source_n_buffered(source);
    uint64_t n_unfetched = source->size_bytes - source->n_fetched;
    if (n <= n_buffered || n_unfetched == 0) return FILTAGS_OK;
    memmove(source->buffer, source->next, n_buffered);
    source->next = source->buffer;
    source->end = source->buffer + n_buffered;
    size_t n_more = SOURCE_BUFFER_BYTES - n_buffered;
    if (n_more > n_unfetched) n_more = (size_t)n_unfetched;
    filtags_status status = fetch(source, source->buffer + n_buffered, n_more);
    if (!status) source->end += n_more;
    return status;
}

filtags_status pickle_source_read(struct pickle_source *source, void *to, size_t n) {
    size_t n_buffered = pickle_source_n_buffered(source);
    size_t n_first = n < n_buffered ? n : n_buffered;
    if (n_first) memcpy(to, source->next, n_first);
    source->next += n_first;
    return n == n_first ? FILTAGS_OK : fetch(source, (char *)to + n_first, n - n_first);
}
