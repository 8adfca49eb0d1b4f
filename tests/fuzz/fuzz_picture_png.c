/* A PNG file, damaged behind its first bytes, is either refused or gives a picture. */
#include "picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return check_format(data, size, "\x89PNG\r\n\x1a\n", sizeof "\x89PNG\r\n\x1a\n" - 1, image_decode_png);
}
