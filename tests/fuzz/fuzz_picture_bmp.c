/* A BMP file, damaged behind its first bytes, is either refused or gives a picture. */
#include "picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return check_format(data, size, "BM", sizeof "BM" - 1, image_decode_bmp);
}
