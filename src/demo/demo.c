#include "demo/demo.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/archive.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "demo/demo_data.h"

enum { PICTURE_LIMIT_BYTES = 1 << 20 };

static filtags_status make_folder(const char *path) {
    struct stat info;
    if (mkdir(path, 0777) == 0) return FILTAGS_OK;
    if (errno == EEXIST && stat(path, &info) == 0 && S_ISDIR(info.st_mode)) return FILTAGS_OK;
    return error_set_errno(FILTAGS_ERROR_IO, "%s: folder cannot be made", path);
}

/* 600 small files, and the program has them all: waiting for the disk at each would take longer than all else. */
static filtags_status write_unpacked(const char *path, const void *bytes, size_t size_bytes) {
    struct file_writer writer;
    filtags_status status = file_writer_open(&writer, path);
    if (status) return status;
    writer.skips_sync = true;
    if (size_bytes) fwrite(bytes, 1, size_bytes, writer.stream); /* a failure is found by commit */
    return file_writer_commit(&writer);
}

/* Write a file, or find it there with the same contents. */
static filtags_status put_file(const char *path, const void *bytes, size_t size_bytes) {
    struct stat info;
    struct buffer present = {0};
    if (lstat(path, &info)) return write_unpacked(path, bytes, size_bytes);
    bool is_same = S_ISREG(info.st_mode) && (size_t)info.st_size == size_bytes;
    if (is_same) {
        filtags_status status = file_read(path, size_bytes, &present);
        if (status) return status;
        is_same = present.size_bytes == size_bytes && !memcmp(buffer_text(&present), bytes, size_bytes);
        buffer_free(&present);
    }
    if (is_same) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_DATA, "%s: the demo's file expected, found another, which is not replaced; "
                     "choose another --save-dir", path);
}

static filtags_status put_demo_file(const char *folder, struct demo_file file) {
    char *path = path_join(folder, file.name);
    if (!path) return FILTAGS_ERROR_MEMORY;
    filtags_status status = put_file(path, file.bytes, file.size_bytes);
    free(path);
    return status;
}

/* The archive is our own, and yet: a name is used as a path only if it is CLASS/PICTURE. */
static bool is_picture_name(const char *name) {
    const char *slash = strchr(name, '/');
    return slash && slash != name && slash[1] && !strchr(slash + 1, '/') && name[0] != '.' && slash[1] != '.';
}

static filtags_status put_picture(struct archive *archive, size_t index, const char *images_dir) {
    const char *name = archive_entry_name(archive, index);
    struct buffer picture = {0};
    char *class_dir = NULL;
    if (!is_picture_name(name)) {
        return error_set(FILTAGS_ERROR_FORMAT, "demo: CLASS/PICTURE expected in images.zip, found '%s'", name);
    }
    char *path = path_join(images_dir, name);
    filtags_status status = path && (class_dir = path_folder(path)) ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
    if (!status) status = make_folder(class_dir);
    if (!status) status = archive_read_entry(archive, index, PICTURE_LIMIT_BYTES, &picture);
    if (!status) status = put_file(path, picture.data, picture.size_bytes);
    buffer_free(&picture);
    free(class_dir);
    free(path);
    return status;
}

/* Compare the files that are in a class folder with the archive's. */
static filtags_status check_class_folder(const struct archive *archive, const char *images_dir,
                                         const char *class_name) {
    filtags_status status = FILTAGS_OK;
    struct dirent *entry;
    size_t index;
    char *class_dir = path_join(images_dir, class_name);
    DIR *folder = class_dir ? opendir(class_dir) : NULL;
    errno = 0; /* readdir tells the end and a failure apart by it alone */
    for (; folder && !status && (entry = readdir(folder)); errno = 0) {
        if (entry->d_name[0] == '.') continue; /* no class folder's picture begins so */
        char *name = path_join(class_name, entry->d_name);
        if (!name) status = FILTAGS_ERROR_MEMORY;
        else if (!archive_find_entry(archive, name, &index)) {
            status = error_set(FILTAGS_ERROR_DATA, "%s/%s: is none of the demo's pictures; choose another --save-dir",
                               images_dir, name);
        }
        free(name);
    }
    if (folder && !status && errno) status = error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be read", class_dir);
    if (folder) closedir(folder); /* one that can't be read, or is no folder, is told of by the listing */
    if (!class_dir) status = FILTAGS_ERROR_MEMORY;
    free(class_dir);
    return status;
}

static filtags_status check_for_strangers(const struct archive *archive, const char *images_dir) {
    filtags_status status = FILTAGS_OK;
    struct dirent *entry;
    DIR *folder = opendir(images_dir);
    if (!folder) return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be read", images_dir);
    errno = 0;
    for (; !status && (entry = readdir(folder)); errno = 0) {
        if (entry->d_name[0] != '.') status = check_class_folder(archive, images_dir, entry->d_name);
    }
    if (!status && errno) status = error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be read", images_dir);
    closedir(folder);
    return status;
}

static filtags_status put_pictures(const char *images_dir) {
    struct demo_file images = demo_data_images();
    struct archive *archive = NULL;
    filtags_status status = make_folder(images_dir);
    if (!status) status = archive_open_bytes(images.bytes, images.size_bytes, images.name, &archive);
    if (status) return status;
    status = check_for_strangers(archive, images_dir);
    for (size_t i = 0; i < archive_n_entries(archive) && !status; i++) status = put_picture(archive, i, images_dir);
    archive_close(archive);
    return status;
}

filtags_status demo_unpack(const char *folder, struct demo_paths *paths) {
    struct demo_paths made = {
        .model = path_join(folder, demo_data_model().name),
        .images_dir = path_join(folder, "images"),
        .class_index = path_join(folder, demo_data_classes().name),
    };
    filtags_status status = FILTAGS_ERROR_MEMORY;
    if (made.model && made.images_dir && made.class_index) status = make_folder(folder);
    if (!status) status = put_demo_file(folder, demo_data_model());
    if (!status) status = put_demo_file(folder, demo_data_classes());
    if (!status) status = put_demo_file(folder, demo_data_license());
    if (!status) status = put_pictures(made.images_dir);
    if (status) demo_paths_free(&made);
    else *paths = made;
    return status;
}

void demo_paths_free(struct demo_paths *paths) {
    free(paths->model);
    free(paths->images_dir);
    free(paths->class_index);
    *paths = (struct demo_paths){0};
}
