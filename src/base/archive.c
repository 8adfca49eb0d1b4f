#include "base/archive.h"

#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "base/error.h"
#include "base/memory.h"

struct archive {
    zip_t *zip;
    char *name; /* for messages */
    size_t n_entries;
    char **entry_names; /* [n_entries], our own: libzip may fail to give one, which is found at opening */
};

/* Report a failure of libzip: what concerns the file is the file's fault. */
static filtags_status report_zip_error(const char *name, const char *entry, zip_error_t *error) {
    filtags_status status = FILTAGS_ERROR_FORMAT;
    int code = zip_error_code_zip(error);
    if (code == ZIP_ER_MEMORY) status = FILTAGS_ERROR_MEMORY;
    if (code == ZIP_ER_OPEN || code == ZIP_ER_NOENT || code == ZIP_ER_READ) status = FILTAGS_ERROR_IO;
    if (code == ZIP_ER_COMPNOTSUPP || code == ZIP_ER_ENCRNOTSUPP || code == ZIP_ER_NOPASSWD) {
        status = FILTAGS_ERROR_UNSUPPORTED;
    }
    const char *reason = zip_error_strerror(error);
    if (!entry) {
        return error_set(status, "%s: zip archive expected, found a damaged or truncated one: %s", name, reason);
    }
    return error_set(status, "%s: entry '%s': %s", name, entry, reason);
}

static filtags_status read_entry_names(struct archive *archive) {
    zip_int64_t n = zip_get_num_entries(archive->zip, 0);
    archive->entry_names = memory_new(n > 0 ? (size_t)n : 0, sizeof *archive->entry_names);
    if (!archive->entry_names) return FILTAGS_ERROR_MEMORY;
    for (zip_int64_t i = 0; i < n; i++) {
        const char *name = zip_get_name(archive->zip, (zip_uint64_t)i, ZIP_FL_ENC_RAW);
        if (!name) return report_zip_error(archive->name, "(unnamed)", zip_get_error(archive->zip));
        if (!(archive->entry_names[i] = memory_copy_string(name))) return FILTAGS_ERROR_MEMORY;
        archive->n_entries++;
    }
    return FILTAGS_OK;
}

/* Takes source over, also on failure. */
static filtags_status open_source(zip_source_t *source, const char *name, zip_error_t *error,
                                  struct archive **archive) {
    filtags_status status = FILTAGS_ERROR_MEMORY;
    struct archive *opened = memory_new(1, sizeof *opened);
    if (!opened || !(opened->name = memory_copy_string(name))) goto fail;
    opened->zip = zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, error);
    if (!opened->zip) {
        status = report_zip_error(name, NULL, error);
        goto fail;
    }
    source = NULL; /* the archive's now */
    status = read_entry_names(opened);
    if (status) goto fail;
    *archive = opened;
    return FILTAGS_OK;
fail:
    if (source) zip_source_free(source);
    archive_close(opened);
    return status;
}

filtags_status archive_open(const char *path, struct archive **archive) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *source = zip_source_file_create(path, 0, -1, &error);
    filtags_status status = source ? open_source(source, path, &error, archive) : report_zip_error(path, NULL, &error);
    zip_error_fini(&error);
    return status;
}

filtags_status archive_open_bytes(const void *bytes, size_t size_bytes, const char *name, struct archive **archive) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *source = zip_source_buffer_create(bytes, size_bytes, 0, &error);
    filtags_status status = source ? open_source(source, name, &error, archive) : report_zip_error(name, NULL, &error);
    zip_error_fini(&error);
    return status;
}

size_t archive_n_entries(const struct archive *archive) { return archive->n_entries; }

const char *archive_entry_name(const struct archive *archive, size_t index) { return archive->entry_names[index]; }

bool archive_find_entry(const struct archive *archive, const char *name, size_t *index) {
    for (size_t i = 0; i < archive->n_entries; i++) {
        if (strcmp(archive->entry_names[i], name)) continue;
        *index = i;
        return true;
    }
    return false;
}

/* The size that the archive states is not believed: reading goes on to the entry's end, within the limit. */
static filtags_status read_stream(zip_file_t *stream, const char *name, const char *entry, size_t limit_bytes,
                                  struct buffer *contents) {
    char block[32768];
    for (;;) {
        zip_int64_t n = zip_fread(stream, block, sizeof block);
        if (n < 0) return report_zip_error(name, entry, zip_file_get_error(stream));
        if (n == 0) return FILTAGS_OK;
        if ((size_t)n > limit_bytes - contents->size_bytes) {
            return error_set(FILTAGS_ERROR_MEMORY, "%s: entry '%s': at most %zu bytes expected, it is larger", name,
                             entry, limit_bytes);
        }
        buffer_append(contents, block, (size_t)n);
        if (contents->has_failed) return FILTAGS_ERROR_MEMORY;
    }
}

/* A small archive that unpacks to gigabytes is refused before its bytes fill the memory. */
static filtags_status check_ratio(const struct archive *archive, size_t index, size_t limit_bytes) {
    enum { MAX_RATIO = 1100, HARMLESS_BYTES = 1 << 20 }; /* deflate gains at most a factor of 1032 */
    const zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE;
    const char *entry = archive->entry_names[index];
    zip_stat_t info;
    if (zip_stat_index(archive->zip, index, 0, &info)) {
        return report_zip_error(archive->name, entry, zip_get_error(archive->zip));
    }
    if ((info.valid & needed) != needed) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: entry '%s': sizes expected, found none", archive->name, entry);
    }
    if (info.size <= limit_bytes && (info.size <= HARMLESS_BYTES || info.size / MAX_RATIO <= info.comp_size)) {
        return FILTAGS_OK;
    }
    return error_set(FILTAGS_ERROR_MEMORY,
                     "%s: entry '%s': at most %zu bytes, and what %llu packed ones can hold, expected, found %llu",
                     archive->name, entry, limit_bytes, (unsigned long long)info.comp_size,
                     (unsigned long long)info.size);
}

filtags_status archive_read_entry(struct archive *archive, size_t index, size_t limit_bytes, struct buffer *contents) {
    const char *entry = archive->entry_names[index];
    filtags_status status = check_ratio(archive, index, limit_bytes);
    if (status) return status;
    zip_file_t *stream = zip_fopen_index(archive->zip, index, 0);
    if (!stream) return report_zip_error(archive->name, entry, zip_get_error(archive->zip));
    status = read_stream(stream, archive->name, entry, limit_bytes, contents);
    zip_fclose(stream);
    if (status) buffer_free(contents);
    return status;
}

void archive_close(struct archive *archive) {
    if (!archive) return;
    if (archive->zip) zip_discard(archive->zip);
    for (size_t i = 0; i < archive->n_entries; i++) free(archive->entry_names[i]);
    free(archive->entry_names);
    free(archive->name);
    free(archive);
}
