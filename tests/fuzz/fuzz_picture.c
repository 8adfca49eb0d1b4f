/* Any bytes are either refused or give a picture that can be converted, shrunk and resized. */
#include "picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct image_source source = {"fuzz", data, size};
    check_picture(&source, image_decode);
    return 0;
}
