/* listing.h - the pictures of a folder of class folders, by name alone: no file is opened.
 *
 * What counts. A class is a folder, or a link to one, with at least one picture in it; hidden folders count as
 * well. A picture is any entry of a class folder whose name ends, in any case, in .png .jpg .jpeg .bmp .ppm .tif
 * or .tiff and that is not a folder or a link to one. So a link that leads nowhere is listed, like any other
 * file that can't be read, and is reported when it is to be loaded: the split must not depend on it. Names are
 * bytes; they need not be UTF-8. */
#ifndef FILTAGS_DATASET_LISTING_H
#define FILTAGS_DATASET_LISTING_H

#include <stddef.h>
#include <stdint.h>

#include "filtags.h"

struct listed_file {
    size_t name;          /* offset of "class/file" in names */
    uint32_t class_index;
};

/* Zero-initialise; free with listing_free. */
struct listing {
    char *names; /* all strings one after the other, each with its NUL */
    size_t n_name_bytes, name_capacity_bytes;
    struct listed_file *files; /* [n_files], class by class, in byte order of their names */
    size_t n_files, file_capacity;
    size_t *classes; /* [n_classes] offsets in names, in byte order of the names */
    size_t n_classes, class_capacity;
};

/* List images_dir into an empty listing. IO: it or a class folder cannot be read. MEMORY. */
FILTAGS_MUST_USE filtags_status listing_read(const char *images_dir, struct listing *listing);

/* Count the pictures that lie in images_dir itself, where they are in no class. IO, MEMORY. */
FILTAGS_MUST_USE filtags_status listing_count_flat(const char *images_dir, size_t *n_pictures);

void listing_free(struct listing *listing);

#endif
