#include "dataset/listing.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

/* The names of a folder's entries of one kind. */
struct entries {
    char *names; /* one after the other, each with its NUL */
    size_t n_name_bytes, name_capacity_bytes;
    size_t *offsets; /* [n] of the names, in byte order of these once sorted */
    size_t n, capacity;
};

enum entry_kind { CLASS_FOLDERS, PICTURES };

static void free_entries(struct entries *entries) {
    free(entries->names);
    free(entries->offsets);
    *entries = (struct entries){0};
}

/* Compare with an ending in small letters, whatever the locale says of capital ones. */
static bool equals_in_any_case(const char *text, const char *ending) {
    for (; *text && *ending; text++, ending++) {
        char c = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;
        if (c != *ending) return false;
    }
    return *text == *ending;
}

static bool is_picture_name(const char *name) {
    static const char *const endings[] = {".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++) {
        if (equals_in_any_case(dot, endings[i])) return true;
    }
    return false;
}

/* Tell whether an entry is a folder, with stat only where the folder's own table doesn't say. */
static bool is_folder(DIR *folder, const struct dirent *entry) {
    struct stat info;
    if (entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK) return entry->d_type == DT_DIR;
    return fstatat(dirfd(folder), entry->d_name, &info, 0) == 0 && S_ISDIR(info.st_mode);
}

static bool counts(DIR *folder, const struct dirent *entry, enum entry_kind kind) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) return false;
    if (kind == CLASS_FOLDERS) return is_folder(folder, entry);
    return is_picture_name(entry->d_name) && !is_folder(folder, entry);
}

/* Append prefix, text and a NUL to *names. Returns 0, or -1: out of memory. */
static int append_name(char **names, size_t *n_bytes, size_t *capacity, const char *prefix, const char *text) {
    size_t n_prefix_bytes = strlen(prefix), n_text_bytes = strlen(text) + 1;
    void *block = *names;
    if (memory_grow(&block, capacity, *n_bytes + n_prefix_bytes + n_text_bytes, 1)) return -1;
    *names = block;
    memcpy(*names + *n_bytes, prefix, n_prefix_bytes);
    memcpy(*names + *n_bytes + n_prefix_bytes, text, n_text_bytes);
    *n_bytes += n_prefix_bytes + n_text_bytes;
    return 0;
}

static int append_offset(size_t **offsets, size_t *n, size_t *capacity, size_t offset) {
    void *block = *offsets;
    if (memory_grow(&block, capacity, *n + 1, sizeof **offsets)) return -1;
    *offsets = block;
    (*offsets)[(*n)++] = offset;
    return 0;
}

static int compare_names(const void *a, const void *b, void *names) {
    /* strcmp compares as unsigned char: byte order */
    return strcmp((const char *)names + *(const size_t *)a, (const char *)names + *(const size_t *)b);
}

/* Read the names of a kind in byte order. entries is empty, and is the caller's to free even after a failure. */
static filtags_status read_entries(const char *path, enum entry_kind kind, struct entries *entries) {
    filtags_status status = FILTAGS_OK;
    DIR *folder = opendir(path);
    if (!folder) return error_set_errno(FILTAGS_ERROR_IO, "%s: the folder cannot be read", path);
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (!entry && errno) status = error_set_errno(FILTAGS_ERROR_IO, "%s: the folder cannot be read", path);
        if (!entry) break;
        if (!counts(folder, entry, kind)) continue;
        if (append_offset(&entries->offsets, &entries->n, &entries->capacity, entries->n_name_bytes)
            || append_name(&entries->names, &entries->n_name_bytes, &entries->name_capacity_bytes, "", entry->d_name)) {
            status = FILTAGS_ERROR_MEMORY;
            break;
        }
    }
    closedir(folder);
    if (!status && entries->n)
        qsort_r(entries->offsets, entries->n, sizeof *entries->offsets, compare_names, entries->names);
    return status;
}

static filtags_status append_class(struct listing *listing, const char *name, const struct entries *pictures) {
    void *block = listing->files;
    char *prefix = memory_format("%s/", name);
    filtags_status status = FILTAGS_ERROR_MEMORY;
    if (!prefix) return status;
    if (listing->n_files + pictures->n > UINT32_MAX) {
        status = error_set(FILTAGS_ERROR_MEMORY, "at most %u pictures expected, found more", UINT32_MAX);
        goto fail;
    }
    if (memory_grow(&block, &listing->file_capacity, listing->n_files + pictures->n, sizeof *listing->files)) goto fail;
    listing->files = block;
    for (size_t i = 0; i < pictures->n; i++) {
        listing->files[listing->n_files++] = (struct listed_file){listing->n_name_bytes, (uint32_t)listing->n_classes};
        if (append_name(&listing->names, &listing->n_name_bytes, &listing->name_capacity_bytes, prefix,
                        pictures->names + pictures->offsets[i])) goto fail;
    }
    if (append_offset(&listing->classes, &listing->n_classes, &listing->class_capacity, listing->n_name_bytes)
        || append_name(&listing->names, &listing->n_name_bytes, &listing->name_capacity_bytes, "", name)) goto fail;
    status = FILTAGS_OK;
fail:
    free(prefix);
    return status;
}

static filtags_status read_class(struct listing *listing, const char *images_dir, const char *name) {
    struct entries pictures = {0};
    char *path = path_join(images_dir, name);
    if (!path) return FILTAGS_ERROR_MEMORY;
    filtags_status status = read_entries(path, PICTURES, &pictures);
    if (!status && pictures.n) status = append_class(listing, name, &pictures);
    free_entries(&pictures);
    free(path);
    return status;
}

filtags_status listing_count_flat(const char *images_dir, size_t *n_pictures) {
    struct entries pictures = {0};
    filtags_status status = read_entries(images_dir, PICTURES, &pictures);
    if (!status) *n_pictures = pictures.n;
    free_entries(&pictures);
    return status;
}

filtags_status listing_read(const char *images_dir, struct listing *listing) {
    struct entries folders = {0};
    filtags_status status = read_entries(images_dir, CLASS_FOLDERS, &folders);
    for (size_t i = 0; !status && i < folders.n; i++) {
        status = read_class(listing, images_dir, folders.names + folders.offsets[i]);
    }
    free_entries(&folders);
    if (status) listing_free(listing);
    return status;
}

void listing_free(struct listing *listing) {
    free(listing->names);
    free(listing->files);
    free(listing->classes);
    *listing = (struct listing){0};
}
