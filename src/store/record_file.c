#include "store/record_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

/* The start of the file, then records: header, contents filled up to 8 bytes, checksum. Numbers are in the byte order
 * of the machine, which the start tells. */
struct file_start {
    char name[16];
    uint32_t version;
    uint32_t byte_order;
    uint64_t unused;
    uint8_t digest[HASH_DIGEST_BYTES]; /* of all before it */
};

struct record_header {
    char mark[4];
    uint32_t type;
    uint32_t profile;
    uint32_t unused;
    uint64_t n_bytes;
    uint8_t key[HASH_DIGEST_BYTES];
    uint8_t digest[8]; /* of all before it */
};

enum { FORMAT_VERSION = 1, START_BYTES = 64, HEADER_BYTES = 64, CHECKSUM_BYTES = 16 };
_Static_assert(sizeof(struct file_start) == START_BYTES, "no padding");
_Static_assert(sizeof(struct record_header) == HEADER_BYTES, "no padding");

static const char record_mark[4] = "FTR\n";
static const uint32_t byte_order = 0x01020304;
static const uint64_t most_contents_bytes = (uint64_t)1 << 32;
/* A crash of the machine loses at most that much. */
static const uint64_t sync_interval_bytes = (uint64_t)64 << 20;

struct record_file {
    const struct record_kind *kind;
    char *path;
    int fd;
    uint64_t end_bytes;      /* of the last record */
    uint64_t n_unsynced_bytes;
    char *block;             /* [block_capacity] for a record on its way to the file */
    size_t block_capacity;
};

static uint64_t padded(uint64_t n_bytes) { return (n_bytes + 7) / 8 * 8; }

static uint64_t record_bytes(uint64_t n_bytes) { return HEADER_BYTES + padded(n_bytes) + CHECKSUM_BYTES; }

/* ---------------------------------------------------------------- bytes */

/* Read n bytes, or what there is up to the end of the file. */
static filtags_status read_at(const struct record_file *file, uint64_t offset, void *to, size_t n, size_t *n_read) {
    return descriptor_read_at(file->fd, offset, to, n, n_read)
               ? FILTAGS_OK
               : error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be read", file->path);
}

static filtags_status write_at(struct record_file *file, uint64_t offset, const void *bytes, size_t n) {
    if (descriptor_write_at(file->fd, offset, bytes, n)) return FILTAGS_OK;
    filtags_status status = error_set_errno(FILTAGS_ERROR_IO, "%s: could not be written", file->path);
    bool is_undone = ftruncate(file->fd, (off_t)offset) == 0;
    (void)is_undone; /* else the next opening drops what is there */
    return status;
}

static filtags_status fail_damaged(const struct record_file *file, uint64_t offset, const char *expected) {
    return error_set(FILTAGS_ERROR_FORMAT,
                     "%s: byte %llu: %s expected, found other bytes: the file is damaged (%s)", file->path,
                     (unsigned long long)offset, expected, file->kind->advice);
}

/* ---------------------------------------------------------------- one record */

static filtags_status header_digest(const struct record_header *header, uint8_t digest[HASH_DIGEST_BYTES]) {
    return hash_bytes(header, offsetof(struct record_header, digest), digest);
}

static filtags_status check_header(const struct record_header *header, bool *is_good) {
    uint8_t digest[HASH_DIGEST_BYTES];
    *is_good = false;
    if (memcmp(header->mark, record_mark, sizeof record_mark) != 0) return FILTAGS_OK;
    filtags_status status = header_digest(header, digest);
    if (!status)
        *is_good = memcmp(header->digest, digest, sizeof header->digest) == 0 && header->n_bytes <= most_contents_bytes;
    return status;
}

/* Read a whole record, header and checksum included, into new memory. */
static filtags_status read_record(const struct record_file *file, uint64_t offset, uint64_t n_bytes, char **result,
                                  bool *is_good) {
    uint8_t digest[HASH_DIGEST_BYTES];
    size_t n_all = (size_t)record_bytes(n_bytes), n_read = 0, n_hashed = n_all - CHECKSUM_BYTES;
    char *block = memory_new(n_all, 1);
    if (!block) return FILTAGS_ERROR_MEMORY;
    filtags_status status = read_at(file, offset, block, n_all, &n_read);
    if (!status) status = hash_bytes(block, n_hashed, digest);
    if (status) {
        free(block);
        return status;
    }
    const struct record_header *header = (const struct record_header *)(const void *)block;
    *is_good = n_read == n_all && memcmp(header->mark, record_mark, sizeof record_mark) == 0 &&
               header->n_bytes == n_bytes && memcmp(block + n_hashed, digest, CHECKSUM_BYTES) == 0;
    *result = block;
    return FILTAGS_OK;
}

filtags_status record_file_read(struct record_file *file, uint64_t offset, void *contents, uint64_t n_bytes) {
    char *block = NULL;
    bool is_good;
    filtags_status status = read_record(file, offset, n_bytes, &block, &is_good);
    if (!status && !is_good) status = fail_damaged(file, offset, "a record with a right checksum");
    if (!status && n_bytes) memcpy(contents, block + HEADER_BYTES, (size_t)n_bytes);
    free(block);
    return status;
}

/* ---------------------------------------------------------------- appending */

static filtags_status write_record(struct record_file *file, struct record *record, const void *contents) {
    uint8_t digest[HASH_DIGEST_BYTES];
    size_t n_all = (size_t)record_bytes(record->n_bytes);
    void *block = file->block;
    if (memory_grow(&block, &file->block_capacity, n_all, 1)) return FILTAGS_ERROR_MEMORY;
    file->block = block;
    memset(file->block, 0, n_all);
    struct record_header *header = block;
    memcpy(header->mark, record_mark, sizeof record_mark);
    header->type = record->type;
    header->profile = record->profile;
    header->n_bytes = record->n_bytes;
    memcpy(header->key, record->key, sizeof header->key);
    filtags_status status = header_digest(header, digest);
    if (status) return status;
    memcpy(header->digest, digest, sizeof header->digest);
    if (record->n_bytes) memcpy(file->block + HEADER_BYTES, contents, (size_t)record->n_bytes);
    status = hash_bytes(file->block, n_all - CHECKSUM_BYTES, digest);
    if (status) return status;
    memcpy(file->block + n_all - CHECKSUM_BYTES, digest, CHECKSUM_BYTES);
    status = write_at(file, file->end_bytes, file->block, n_all);
    if (status) return status;
    record->offset = file->end_bytes;
    file->end_bytes += n_all;
    file->n_unsynced_bytes += n_all;
    return FILTAGS_OK;
}

static filtags_status sync_file(struct record_file *file) {
    struct record record = {.type = RECORD_SYNC};
    if (file->n_unsynced_bytes == 0) return FILTAGS_OK;
    if (fdatasync(file->fd)) return error_set_errno(FILTAGS_ERROR_IO, "%s: could not be written", file->path);
    filtags_status status = write_record(file, &record, NULL);
    file->n_unsynced_bytes = 0;
    return status;
}

filtags_status record_file_append(struct record_file *file, struct record *record, const void *contents) {
    filtags_status status = write_record(file, record, contents);
    if (!status && file->n_unsynced_bytes >= sync_interval_bytes) status = sync_file(file);
    return status;
}

/* ---------------------------------------------------------------- opening */

static filtags_status make_start(const struct record_kind *kind, struct file_start *start) {
    *start = (struct file_start){.version = FORMAT_VERSION, .byte_order = byte_order};
    memcpy(start->name, kind->name, sizeof start->name);
    return hash_bytes(start, offsetof(struct file_start, digest), start->digest);
}

static filtags_status check_start(const struct record_file *file) {
    struct file_start start, expected;
    const struct record_kind *kind = file->kind;
    size_t n_read;
    filtags_status status = read_at(file, 0, &start, sizeof start, &n_read);
    if (!status) status = make_start(kind, &expected);
    if (status) return status;
    if (n_read < sizeof start.name || memcmp(start.name, kind->name, sizeof kind->name) != 0)
        return error_set(FILTAGS_ERROR_FORMAT, "%s: %s of filTags expected, found something else", file->path,
                         kind->noun);
    if (n_read < sizeof start)
        return error_set(FILTAGS_ERROR_FORMAT, "%s: the %zu bytes that %s begins with expected, found %zu",
                         file->path, sizeof start, kind->noun, n_read);
    if (start.byte_order != byte_order && start.byte_order == __builtin_bswap32(byte_order))
        return error_set(FILTAGS_ERROR_FORMAT, "%s: %s of this machine's byte order expected, found the other one",
                         file->path, kind->noun);
    if (start.version != FORMAT_VERSION)
        return error_set(FILTAGS_ERROR_FORMAT, "%s: %s of format version %d expected, found %u", file->path,
                         kind->noun, FORMAT_VERSION, (unsigned)start.version);
    if (memcmp(&start, &expected, sizeof start) == 0) return FILTAGS_OK;
    char text[64];
    snprintf(text, sizeof text, "the start of %s", kind->noun);
    return fail_damaged(file, 0, text);
}

/* Is there a record anywhere behind offset? Then what is at offset is no unfinished end. */
static filtags_status find_record(const struct record_file *file, uint64_t offset, uint64_t size_bytes,
                                  bool *is_found) {
    enum { WINDOW_BYTES = 1 << 20 };
    filtags_status status = FILTAGS_OK;
    char *window = memory_new(WINDOW_BYTES, 1);
    if (!window) return FILTAGS_ERROR_MEMORY;
    *is_found = false;
    while (!status && !*is_found && offset + HEADER_BYTES <= size_bytes) {
        size_t n_read;
        status = read_at(file, offset, window, WINDOW_BYTES, &n_read);
        size_t n = status || n_read < HEADER_BYTES ? 0 : n_read - HEADER_BYTES + 1, i = 0;
        for (; i < n && !status && !*is_found; i++) {
            struct record_header header;
            if (window[i] != record_mark[0]) continue;
            memcpy(&header, window + i, sizeof header);
            status = check_header(&header, is_found);
        }
        if (n == 0) break;
        offset += n;
    }
    free(window);
    return status;
}

/* Look at the record at offset. *is_end: there is none, or an unfinished one. */
static filtags_status scan_record(struct record_file *file, uint64_t offset, uint64_t size_bytes,
                                  struct record *record, bool *is_end) {
    struct record_header header;
    size_t n_read;
    bool is_good = false, is_followed = false;
    *is_end = true;
    if (size_bytes - offset < HEADER_BYTES) return FILTAGS_OK;
    filtags_status status = read_at(file, offset, &header, sizeof header, &n_read);
    if (!status && n_read == sizeof header) status = check_header(&header, &is_good);
    if (status) return status;
    if (!is_good) {
        status = find_record(file, offset + 1, size_bytes, &is_followed);
        return status || !is_followed ? status : fail_damaged(file, offset, "a record");
    }
    if (record_bytes(header.n_bytes) > size_bytes - offset) return FILTAGS_OK;
    *record = (struct record){header.type, header.profile, {0}, header.n_bytes, offset};
    memcpy(record->key, header.key, sizeof record->key);
    *is_end = false;
    return FILTAGS_OK;
}

filtags_status record_list_add(struct record_list *list, const struct record *record) {
    void *records = list->records;
    if (memory_grow(&records, &list->capacity, list->n + 1, sizeof *record)) return FILTAGS_ERROR_MEMORY;
    list->records = records;
    list->records[list->n++] = *record;
    return FILTAGS_OK;
}

void record_list_free(struct record_list *list) {
    free(list->records);
    *list = (struct record_list){0};
}

static filtags_status tell_pending(struct record_file *file, const struct record_visitor *visitor,
                                   struct record_list *pending) {
    filtags_status status = FILTAGS_OK;
    for (size_t i = 0; !status && i < pending->n; i++)
        status = visitor->found(visitor->context, file, &pending->records[i]);
    pending->n = 0;
    return status;
}

/* Behind the last sync a crash of the machine can have left any part unwritten: the first record that isn't right is
 * where the file ends. */
static filtags_status check_pending(struct record_file *file, struct record_list *pending) {
    bool is_good = true;
    for (size_t i = 0; i < pending->n; i++) {
        const struct record *record = &pending->records[i];
        char *block = NULL;
        filtags_status status = read_record(file, record->offset, record->n_bytes, &block, &is_good);
        free(block);
        if (status) return status;
        if (!is_good) {
            file->end_bytes = record->offset;
            pending->n = i;
        }
    }
    return FILTAGS_OK;
}

/* Find the end of the last whole record, and tell the visitor of all. */
static filtags_status scan(struct record_file *file, uint64_t size_bytes, const struct record_visitor *visitor) {
    struct record record;
    struct record_list pending = {0}; /* no sync has followed them yet */
    bool is_end = false;
    filtags_status status;
    uint64_t last_sync = START_BYTES;
    file->end_bytes = START_BYTES;
    while (!(status = scan_record(file, file->end_bytes, size_bytes, &record, &is_end)) && !is_end) {
        file->end_bytes += record_bytes(record.n_bytes);
        if (record.type != RECORD_SYNC) {
            status = record_list_add(&pending, &record);
        } else {
            last_sync = file->end_bytes;
            status = tell_pending(file, visitor, &pending);
        }
        if (status) break;
    }
    if (!status) status = check_pending(file, &pending);
    if (!status) status = tell_pending(file, visitor, &pending);
    file->n_unsynced_bytes = file->end_bytes - last_sync;
    record_list_free(&pending);
    return status;
}

/* Create it with its start alone, unless it exists. */
static filtags_status create_file(const struct record_kind *kind, const char *path) {
    struct file_start start;
    if (access(path, F_OK) == 0) return FILTAGS_OK;
    filtags_status status = make_start(kind, &start);
    if (!status) status = file_write(path, &start, sizeof start);
    /* another process may have been faster */
    return status && access(path, F_OK) == 0 ? FILTAGS_OK : status;
}

static filtags_status open_and_lock(struct record_file *file, bool is_to_read, uint64_t *size_bytes) {
    struct stat info, named;
    filtags_status status = is_to_read ? FILTAGS_OK : create_file(file->kind, file->path);
    if (status) return status;
    /* O_NONBLOCK: opening a pipe by mistake must not hang; it has no effect on regular files */
    file->fd = open(file->path, (is_to_read ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
    if (file->fd < 0)
        return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be opened%s", file->path,
                               is_to_read ? "" : " for writing");
    if (flock(file->fd, (is_to_read ? LOCK_SH : LOCK_EX) | LOCK_NB)) {
        if (errno != EWOULDBLOCK) return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be locked", file->path);
        return error_set(FILTAGS_ERROR_IO, "%s: %s", file->path, file->kind->in_use);
    }
    if (fstat(file->fd, &info)) return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be examined", file->path);
    if (!S_ISREG(info.st_mode)) return error_set(FILTAGS_ERROR_IO, "%s: a regular file expected", file->path);
    /* whoever had it locked may have removed or replaced it meanwhile */
    bool is_named = stat(file->path, &named) == 0;
    if (!is_named && errno != ENOENT) return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be examined", file->path);
    if (!is_named || named.st_ino != info.st_ino || named.st_dev != info.st_dev)
        return error_set(FILTAGS_ERROR_IO, "%s: %s", file->path, file->kind->in_use);
    *size_bytes = (uint64_t)info.st_size;
    return FILTAGS_OK;
}

void record_file_abandon(struct record_file *file) {
    if (!file) return;
    if (file->fd >= 0) close(file->fd);
    free(file->path);
    free(file->block);
    free(file);
}

static filtags_status open_file(const char *path, const struct record_kind *kind, const struct record_visitor *visitor,
                                bool is_to_read, uint64_t *n_dropped_bytes, struct record_file **result) {
    uint64_t size_bytes = 0;
    filtags_status status = FILTAGS_ERROR_MEMORY;
    struct record_file *file = memory_new(1, sizeof *file);
    if (!file) return FILTAGS_ERROR_MEMORY;
    file->fd = -1;
    file->kind = kind;
    file->path = memory_copy_string(path);
    if (file->path) status = open_and_lock(file, is_to_read, &size_bytes);
    if (!status) status = check_start(file);
    if (!status) status = scan(file, size_bytes, visitor);
    if (!status && !is_to_read && file->end_bytes < size_bytes && ftruncate(file->fd, (off_t)file->end_bytes))
        status = error_set_errno(FILTAGS_ERROR_IO, "%s: could not be written", path);
    if (status) {
        record_file_abandon(file);
        return status;
    }
    *n_dropped_bytes = size_bytes - file->end_bytes;
    *result = file;
    return FILTAGS_OK;
}

uint64_t record_file_start(void) { return START_BYTES; }

uint64_t record_file_next(const struct record *record) { return record->offset + record_bytes(record->n_bytes); }

uint64_t record_file_end(const struct record_file *file) { return file->end_bytes; }

filtags_status record_file_cut(struct record_file *file, uint64_t end_bytes) {
    if (ftruncate(file->fd, (off_t)end_bytes))
        return error_set_errno(FILTAGS_ERROR_IO, "%s: could not be shortened", file->path);
    const uint64_t n_cut_bytes = file->end_bytes - end_bytes;
    file->n_unsynced_bytes -= n_cut_bytes < file->n_unsynced_bytes ? n_cut_bytes : file->n_unsynced_bytes;
    file->end_bytes = end_bytes;
    return FILTAGS_OK;
}

filtags_status record_file_sync(struct record_file *file) { return sync_file(file); }

filtags_status record_file_open(const char *path, const struct record_kind *kind, const struct record_visitor *visitor,
                                uint64_t *n_dropped_bytes, struct record_file **file) {
    return open_file(path, kind, visitor, false, n_dropped_bytes, file);
}

filtags_status record_file_open_to_read(const char *path, const struct record_kind *kind,
                                        const struct record_visitor *visitor, uint64_t *n_unfinished_bytes,
                                        struct record_file **file) {
    return open_file(path, kind, visitor, true, n_unfinished_bytes, file);
}

filtags_status record_file_close(struct record_file *file) {
    if (!file) return FILTAGS_OK;
    filtags_status status = sync_file(file);
    record_file_abandon(file);
    return status;
}

filtags_status record_file_remove(const char *path, const struct record_kind *kind, bool *was_there) {
    *was_there = access(path, F_OK) == 0;
    if (!*was_there) return FILTAGS_OK;
    filtags_status status = FILTAGS_OK;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        status = error_set(FILTAGS_ERROR_IO, "%s: %s", path, kind->in_use);
    else if (unlink(path)) status = error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be removed", path);
    if (fd >= 0) close(fd);
    return status;
}
