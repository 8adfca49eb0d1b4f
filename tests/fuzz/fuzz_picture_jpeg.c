/* A JPEG file, damaged behind its first bytes, is either refused or gives a picture. */
#include "picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return check_format(data, size, "\xff\xd8\xff", sizeof "\xff\xd8\xff" - 1, image_decode_jpeg);
}
