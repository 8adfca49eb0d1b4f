/* picture.h - what holds of every picture that a decoder gave. */
#ifndef FILTAGS_FUZZ_PICTURE_H
#define FILTAGS_FUZZ_PICTURE_H

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "image/image.h"

/* Decode, check, convert, resize. Frees the image. */
static inline void check_picture(const struct image_source *source,
                                 filtags_status (*decode)(const struct image_source *source, struct image *image)) {
    enum { MANY_PIXELS = 1 << 22 }; /* with more, converting takes longer than is of use here */
    struct image image = {0};
    float pixels[7 * 5 * 3]; // [7, 5, 3]
    if (decode(source, &image)) {
        MUST(strncmp(filtags_error_message(), "fuzz: ", 6) == 0 || strncmp(filtags_error_message(), "out of ", 7) == 0);
        image_free(&image); /* a decoder leaves that to image_decode */
        return;
    }
    MUST(image.pixels && image.width && image.height && (image.channels == 1 || image.channels == 3));
    volatile uint8_t last = image.pixels[image.width * image.height * image.channels - 1];
    (void)last;
    if (image.width * image.height <= MANY_PIXELS) {
        struct image small = {0};
        MUST(image_shrink(&image, 16, &small) == FILTAGS_OK && small.width <= 16 && small.height <= 16);
        image_free(&small);
        MUST(image_convert(&image, 1) == FILTAGS_OK && image_convert(&image, 3) == FILTAGS_OK);
    }
    if (image.channels == 3)
        MUST(image_write_tensor(&image, 7, 5, FILTAGS_PREPROCESS_CAFFE, pixels) == FILTAGS_OK);
    image_free(&image);
}

/* The same of a format, whose first bytes are put right: mutations of these lead nowhere. */
static inline int check_format(const uint8_t *data, size_t size, const char *signature, size_t n_signature_bytes,
                               filtags_status (*decode)(const struct image_source *source, struct image *image)) {
    if (size < n_signature_bytes) return 0;
    uint8_t *bytes = malloc(size);
    MUST(bytes != NULL);
    memcpy(bytes, data, size);
    memcpy(bytes, signature, n_signature_bytes);
    const struct image_source source = {"fuzz", bytes, size};
    check_picture(&source, decode);
    free(bytes);
    return 0;
}

#endif
