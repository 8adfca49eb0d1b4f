/* A PNG file, damaged behind its first bytes, is either refused or gives a picture. Checksums are put right first: else
 * they would find every change of the head, and nothing behind them was reached. */
#include <zlib.h>

#include "picture.h"

static void write_uint32(uint8_t *bytes, uint32_t value) {
    for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void repair(uint8_t *bytes, size_t size) {
    enum { SIGNATURE_BYTES = 8, FRAME_BYTES = 12 }; /* length, name, checksum */
    for (size_t at = SIGNATURE_BYTES; at < size && size - at >= FRAME_BYTES;) {
        const uint8_t *length = bytes + at;
        size_t n = (size_t)length[0] << 24 | (size_t)length[1] << 16 | (size_t)length[2] << 8 | length[3];
        if (n > size - at - FRAME_BYTES) return;
        write_uint32(bytes + at + 8 + n, (uint32_t)crc32(0, bytes + at + 4, (uInt)n + 4));
        at += n + FRAME_BYTES;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char signature[] = "\x89PNG\r\n\x1a\n";
    uint8_t *bytes = malloc(size + 1);
    MUST(bytes != NULL);
    memcpy(bytes, data, size);
    repair(bytes, size);
    check_format(bytes, size, signature, sizeof signature - 1, image_decode_png);
    free(bytes);
    return 0;
}
