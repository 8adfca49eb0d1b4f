/* demo_data.h - the demo's files as they are in the folder demo/, carried inside the library. */
#ifndef FILTAGS_DEMO_DEMO_DATA_H
#define FILTAGS_DEMO_DEMO_DATA_H

#include <stddef.h>

struct demo_file {
    const char *name;
    const unsigned char *bytes;
    size_t size_bytes;
};

struct demo_file demo_data_model(void);   /* a whole-model .keras file */
struct demo_file demo_data_images(void);  /* a zip archive: CLASS/PICTURE.png */
struct demo_file demo_data_classes(void); /* the network's outputs: "wnid label" lines */
struct demo_file demo_data_license(void); /* of the pictures */

#endif
