#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "image/image.h"

enum { NOWHERE = -1 };

/* Tabulate, for each of n_out positions, the source position that Pillow's NEAREST takes. The running sum in
 * double is Pillow's own arithmetic; the closed form floor((i + 0.5) * n_in / n_out) differs for many sizes.
 * Where its rounding errors lead past the end, Pillow leaves the pixel black: NOWHERE. */
static int *nearest_table(size_t n_in, size_t n_out) {
    int *table = memory_new(n_out, sizeof *table); // [n_out]
    if (!table) return NULL;
    double step = (double)n_in / (double)n_out;
    double position = step * 0.5;
    for (size_t i = 0; i < n_out; i++) {
        int index = n_in == n_out ? (int)i : (int)position;
        table[i] = (size_t)index < n_in ? index : NOWHERE;
        position += step;
    }
    return table;
}

/* Tabulate the preprocessed value of every byte for channel c of the decoded picture. The order of the float
 * operations is that of keras.applications.imagenet_utils.preprocess_input on a float32 array. */
static void preprocess_table(filtags_preprocess preprocess, size_t c, float table[256]) {
    static const float caffe_means_rgb[3] = {123.68f, 116.779f, 103.939f};
    static const float torch_means_rgb[3] = {0.485f, 0.456f, 0.406f};
    static const float torch_deviations_rgb[3] = {0.229f, 0.224f, 0.225f};
    for (int byte = 0; byte < 256; byte++) {
        float value = (float)byte;
        switch (preprocess) {
        case FILTAGS_PREPROCESS_NONE:
            break;
        case FILTAGS_PREPROCESS_CAFFE:
            value -= caffe_means_rgb[c];
            break;
        case FILTAGS_PREPROCESS_TF:
            value /= 127.5f;
            value -= 1.0f;
            break;
        case FILTAGS_PREPROCESS_TORCH:
            value /= 255.0f;
            value -= torch_means_rgb[c];
            value /= torch_deviations_rgb[c];
            break;
        case FILTAGS_PREPROCESS_UNIT:
            value /= 255.0f;
            break;
        }
        table[byte] = value;
    }
}

filtags_status image_write_tensor(const struct image *image, size_t height, size_t width,
                                  filtags_preprocess preprocess, float *pixels) {
    filtags_status status = FILTAGS_ERROR_MEMORY;
    const uint8_t black[3] = {0};
    float tables[3][256]; // [channel of the decoded picture, byte]
    size_t channels = image->channels;
    bool is_bgr = preprocess == FILTAGS_PREPROCESS_CAFFE;
    if (channels != 3 && (is_bgr || preprocess == FILTAGS_PREPROCESS_TORCH)) {
        return error_set(FILTAGS_ERROR_USAGE, "preprocessing '%s' expects 3 channels, the network takes %zu",
                         is_bgr ? "caffe" : "torch", channels);
    }
    int *rows = nearest_table(image->height, height);
    int *columns = nearest_table(image->width, width);
    if (!rows || !columns) goto fail;
    for (size_t c = 0; c < channels; c++) preprocess_table(preprocess, c, tables[c]);
    for (size_t y = 0; y < height; y++) {
        for (size_t x = 0; x < width; x++) {
            bool is_inside = rows[y] != NOWHERE && columns[x] != NOWHERE;
            size_t place = is_inside ? (size_t)rows[y] * image->width + (size_t)columns[x] : 0;
            const uint8_t *from = is_inside ? image->pixels + place * channels : black;
            float *to = pixels + (y * width + x) * channels; // [channels]
            for (size_t c = 0; c < channels; c++) to[is_bgr ? 2 - c : c] = tables[c][from[c]];
        }
    }
    status = FILTAGS_OK;
fail:
    free(columns);
    free(rows);
    return status;
}
