/* demo.h - the built-in network and pictures, unpacked into a folder so that the steps find them as they find
 * anybody's. */
#ifndef FILTAGS_DEMO_DEMO_H
#define FILTAGS_DEMO_DEMO_H

#include "filtags.h"

/* Where the demo's files are once they are unpacked. */
struct demo_paths {
    char *model;       /* FOLDER/fashion.keras */
    char *images_dir;  /* FOLDER/images */
    char *class_index; /* FOLDER/classes.txt */
};

/* Unpack the demo into a folder, which is made if it is missing (its parents are not): images/CLASS/PICTURE.png,
 * fashion.keras, classes.txt and the pictures' licence. Files that are there already with the same contents stay;
 * none is replaced. paths gets names that the caller frees with demo_paths_free.
 * IO: a folder or file cannot be made. DATA: a file is there with other contents, or images/ has a picture that
 * is none of the demo's (it would change the result). MEMORY. */
FILTAGS_MUST_USE filtags_status demo_unpack(const char *folder, struct demo_paths *paths);

void demo_paths_free(struct demo_paths *paths);

#endif
