/* A PGM or PPM file, damaged behind its first bytes, is either refused or gives a picture. */
#include "picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bool is_grey = size > 1 && data[1] == '5';
    return check_format(data, size, is_grey ? "P5" : "P6", 2, image_decode_pnm);
}
