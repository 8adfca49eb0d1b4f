/* Pictures made smaller by a box filter. All in whole numbers: a row of n_in pixels is thought of as n_in * n_out
 * pieces, n_out to a pixel of it and n_in to a pixel of the smaller row, so that areas are counted exactly. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "image/image.h"

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* How many pieces pixel i of n_in and pixel o of n_out share; 0: they don't touch. */
static uint64_t shared_pieces(size_t i, size_t o, size_t n_in, size_t n_out) {
    const uint64_t first = i * n_out > o * n_in ? i * n_out : o * n_in;
    const uint64_t end = smaller((i + 1) * n_out, (o + 1) * n_in);
    return end > first ? end - first : 0;
}

/* sums += weight * the row shrunk to n_out pixels. row: [n_in, channels]; sums: [n_out, channels]. */
static void add_row(const uint8_t *row, size_t n_in, size_t n_out, size_t channels, uint64_t weight, uint64_t *sums) {
    size_t i = 0;
    for (size_t o = 0; o < n_out; o++) {
        for (i = o * n_in / n_out; i < n_in && i * n_out < (o + 1) * n_in; i++) {
            const uint64_t area = weight * shared_pieces(i, o, n_in, n_out);
            for (size_t c = 0; c < channels; c++) sums[o * channels + c] += area * row[i * channels + c];
        }
    }
}

static void shrink(const struct image *image, struct image *small, uint64_t *sums) {
    const size_t n_values = small->width * small->channels;
    const uint64_t area = (uint64_t)image->width * image->height;
    for (size_t y = 0; y < small->height; y++) {
        memset(sums, 0, n_values * sizeof *sums);
        for (size_t i = y * image->height / small->height;
             i < image->height && i * small->height < (y + 1) * image->height; i++) {
            add_row(image->pixels + i * image->width * image->channels, image->width, small->width, image->channels,
                    shared_pieces(i, y, image->height, small->height), sums);
        }
        for (size_t x = 0; x < n_values; x++)
            small->pixels[y * n_values + x] = (uint8_t)((sums[x] + area / 2) / area);
    }
}

/* side * longest_side / longer, rounded, at least 1 */
static size_t scaled(size_t side, size_t longer, size_t longest_side) {
    const size_t size = (side * longest_side + longer / 2) / longer;
    return size < 1 ? 1 : size;
}

filtags_status image_shrink(const struct image *image, size_t longest_side, struct image *result) {
    const size_t longer = image->width > image->height ? image->width : image->height;
    struct image small = {image->width, image->height, image->channels, NULL};
    if (longer > longest_side) {
        small.width = scaled(image->width, longer, longest_side);
        small.height = scaled(image->height, longer, longest_side);
    }
    small.pixels = memory_new(small.width * small.height, small.channels);
    uint64_t *sums = memory_new(small.width * small.channels, sizeof *sums); // [width, channels] of one row
    if (!small.pixels || !sums) {
        free(small.pixels);
        free(sums);
        return FILTAGS_ERROR_MEMORY;
    }
    shrink(image, &small, sums);
    free(sums);
    *result = small;
    return FILTAGS_OK;
}
