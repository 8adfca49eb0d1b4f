/* A TIFF file, of either byte order, damaged behind its first bytes, is either refused or gives a picture. */
#include "picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bool is_big_endian = size > 0 && data[0] == 'M';
    return check_format(data, size, is_big_endian ? "MM\0*" : "II*\0", 4, image_decode_tiff);
}
