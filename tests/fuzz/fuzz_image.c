/* Decode any bytes as a picture, convert and resize. Corpus: tests/unit/data/images. */
#include <stdint.h>
#include <stdlib.h>

#include "image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    struct image_source source = {"fuzz", bytes, n_bytes};
    struct image image = {0};
    float pixels[7 * 5 * 3]; // [7, 5, 3]
    if (image_decode(&source, &image) == FILTAGS_OK) {
        if (image_convert(&image, 1) || image_convert(&image, 3)
            || image_write_tensor(&image, 7, 5, FILTAGS_PREPROCESS_CAFFE, pixels)) abort();
        image_free(&image);
    }
    return 0;
}
