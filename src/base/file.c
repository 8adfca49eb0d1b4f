#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"

enum { STREAM_BUFFER_BYTES = 1 << 18 };

static filtags_status read_stream(int fd, const char *path, size_t limit_bytes, struct buffer *contents) {
    char block[65536];
    for (;;) {
        ssize_t n = read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be read", path);
        if (n == 0) return FILTAGS_OK;
        if ((size_t)n > limit_bytes - contents->size_bytes) {
            return error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: file of at most %zu bytes expected, it is larger", path,
                             limit_bytes);
        }
        buffer_append(contents, block, (size_t)n);
        if (contents->has_failed) return FILTAGS_ERROR_MEMORY;
    }
}

filtags_status file_read(const char *path, size_t limit_bytes, struct buffer *contents) {
    struct stat info;
    filtags_status status = FILTAGS_OK;
    /* O_NONBLOCK: opening a pipe by mistake must not hang; it has no effect on regular files */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be opened", path);
    if (fstat(fd, &info)) {
        status = error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be examined", path);
    } else if (!S_ISREG(info.st_mode)) {
        status = error_set(FILTAGS_ERROR_IO, "%s: a regular file expected, found %s", path,
                           S_ISDIR(info.st_mode) ? "a folder" : "a special file");
    } else {
        status = read_stream(fd, path, limit_bytes, contents);
    }
    close(fd);
    if (status) buffer_free(contents);
    return status;
}

static void close_writer(struct file_writer *writer) {
    free(writer->final_path);
    free(writer->temporary_path);
    *writer = (struct file_writer){0};
}

filtags_status file_writer_open(struct file_writer *writer, const char *final_path) {
    filtags_status status = FILTAGS_ERROR_MEMORY;
    int fd = -1;
    *writer = (struct file_writer){0};
    if (access(final_path, F_OK) == 0) {
        return error_set(FILTAGS_ERROR_IO, "%s: exists already, and is not replaced", final_path);
    }
    char *folder = path_folder(final_path);
    if (!folder) return FILTAGS_ERROR_MEMORY;
    writer->final_path = memory_copy_string(final_path);
    /* hidden, and beside the final name, so that renaming stays within one file system */
    writer->temporary_path = memory_format("%s/.%s.XXXXXX", folder, path_base(final_path));
    if (!writer->final_path || !writer->temporary_path) goto fail;
    fd = mkstemp(writer->temporary_path);
    if (fd < 0) {
        status = error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be created", final_path);
        goto fail;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    mode_t mask = umask(0);
    umask(mask);
    if (fchmod(fd, 0666 & ~mask) || !(writer->stream = fdopen(fd, "wb"))) {
        status = error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be created", final_path);
        unlink(writer->temporary_path);
        goto fail;
    }
    setvbuf(writer->stream, NULL, _IOFBF, STREAM_BUFFER_BYTES); /* tag files have gigabytes */
    free(folder);
    return FILTAGS_OK;
fail:
    if (fd >= 0) close(fd);
    free(folder);
    close_writer(writer);
    return status;
}

filtags_status file_writer_finish(struct file_writer *writer) {
    bool has_failed = ferror(writer->stream) != 0;
    int first_errno = has_failed ? errno : 0;
    if (fflush(writer->stream) || (!writer->skips_sync && fsync(fileno(writer->stream)))) {
        if (!has_failed) first_errno = errno;
        has_failed = true;
    }
    if (fclose(writer->stream) && !has_failed) {
        has_failed = true;
        first_errno = errno;
    }
    writer->stream = NULL;
    if (!has_failed) return FILTAGS_OK;
    errno = first_errno ? first_errno : EIO;
    return error_set_errno(FILTAGS_ERROR_IO, "%s: could not be written whole", writer->final_path);
}

filtags_status file_link(const char *path, const char *new_path) {
    int failure = 0;
    if (link(path, new_path)) { /* unlike rename, link never replaces */
        failure = errno;
        if (failure == EPERM || failure == EOPNOTSUPP || failure == ENOSYS) { /* no hard links on this file system */
            bool is_taken = access(new_path, F_OK) == 0;
            failure = is_taken ? EEXIST : rename(path, new_path) ? errno : 0;
        }
    }
    errno = failure;
    return failure ? error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be given its name", new_path) : FILTAGS_OK;
}

filtags_status file_writer_publish(struct file_writer *writer) {
    filtags_status status = file_link(writer->temporary_path, writer->final_path);
    file_writer_abort(writer); /* the temporary name goes; the final one stays */
    return status;
}

filtags_status file_writer_commit(struct file_writer *writer) {
    filtags_status status = file_writer_finish(writer);
    if (!status) return file_writer_publish(writer);
    file_writer_abort(writer);
    return status;
}

void file_writer_abort(struct file_writer *writer) {
    if (writer->stream) fclose(writer->stream);
    if (writer->temporary_path) unlink(writer->temporary_path);
    close_writer(writer);
}

filtags_status file_write(const char *final_path, const void *bytes, size_t size_bytes) {
    struct file_writer writer;
    filtags_status status = file_writer_open(&writer, final_path);
    if (status) return status;
    if (size_bytes) fwrite(bytes, 1, size_bytes, writer.stream); /* a failure is found by commit */
    return file_writer_commit(&writer);
}

char *path_join(const char *folder, const char *name) {
    size_t length = strlen(folder);
    if (strcmp(folder, ".") == 0) return memory_copy_string(name);
    return memory_format("%s%s%s", folder, length && folder[length - 1] == '/' ? "" : "/", name);
}

const char *path_base(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *path_folder(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return memory_copy_string(".");
    if (slash == path) return memory_copy_string("/");
    return memory_format("%.*s", (int)(slash - path), path);
}
