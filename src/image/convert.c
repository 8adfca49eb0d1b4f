#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "image/image.h"

/* Pillow's luma: ITU-R 601-2 in 16-bit fixed point, rounded */
static uint8_t grey_of(const uint8_t *rgb) {
    return (uint8_t)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

filtags_status image_convert(struct image *image, size_t channels) {
    if (channels == image->channels) return FILTAGS_OK;
    size_t n_pixels = image->width * image->height;
    uint8_t *pixels = memory_new(n_pixels, channels);
    if (!pixels) return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < n_pixels; i++) {
        if (channels == 1) {
            pixels[i] = grey_of(image->pixels + 3 * i);
        } else {
            pixels[3 * i] = pixels[3 * i + 1] = pixels[3 * i + 2] = image->pixels[i];
        }
    }
    free(image->pixels);
    image->pixels = pixels;
    image->channels = channels;
    return FILTAGS_OK;
}

void image_cmyk_to_rgb(const uint8_t *from, size_t stride, size_t n_pixels, uint8_t *to) {
    for (size_t i = 0; i < n_pixels; i++) {
        int not_k = 255 - from[i * stride + 3];
        for (size_t c = 0; c < 3; c++) {
            /* not_k - round(ink * not_k / 255), the division by shifts */
            int product = from[i * stride + c] * not_k + 128;
            int value = not_k - (((product >> 8) + product) >> 8);
            to[3 * i + c] = (uint8_t)(value < 0 ? 0 : value);
        }
    }
}
