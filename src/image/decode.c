#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "image/image.h"

struct format {
    const char *name;  /* as messages say it */
    size_t offset;     /* of the signature in the file */
    const char *signature;
    size_t n_bytes;
    filtags_status (*decode)(const struct image_source *source, struct image *image); /* NULL: known by name only */
};

#define SIGNATURE(offset, text) offset, text, sizeof(text) - 1

static const struct format formats[] = {
    {"JPEG", SIGNATURE(0, "\xff\xd8\xff"), image_decode_jpeg},
    {"PNG", SIGNATURE(0, "\x89PNG\r\n\x1a\n"), image_decode_png},
    {"TIFF", SIGNATURE(0, "II*\0"), image_decode_tiff},
    {"TIFF", SIGNATURE(0, "MM\0*"), image_decode_tiff},
    {"TIFF", SIGNATURE(0, "II+\0"), image_decode_tiff},
    {"TIFF", SIGNATURE(0, "MM\0+"), image_decode_tiff},
    {"BMP", SIGNATURE(0, "BM"), image_decode_bmp},
    {"PGM", SIGNATURE(0, "P5"), image_decode_pnm},
    {"PPM", SIGNATURE(0, "P6"), image_decode_pnm},
    /* formats that Pillow reads and filTags doesn't: better named than called "not a picture" */
    {"GIF", SIGNATURE(0, "GIF8"), NULL},
    {"WebP", SIGNATURE(8, "WEBP"), NULL},
    {"AVIF or HEIF", SIGNATURE(4, "ftyp"), NULL},
    {"JPEG 2000", SIGNATURE(0, "\0\0\0\x0cjP  "), NULL},
    {"JPEG 2000", SIGNATURE(0, "\xff\x4f\xff\x51"), NULL},
    {"plain-text PBM", SIGNATURE(0, "P1"), NULL},
    {"plain-text PGM", SIGNATURE(0, "P2"), NULL},
    {"plain-text PPM", SIGNATURE(0, "P3"), NULL},
    {"PBM", SIGNATURE(0, "P4"), NULL},
    {"PFM", SIGNATURE(0, "Pf"), NULL},
    {"Windows icon", SIGNATURE(0, "\0\0\1\0"), NULL},
    {"Windows cursor", SIGNATURE(0, "\0\0\2\0"), NULL},
    {"Photoshop", SIGNATURE(0, "8BPS"), NULL},
    {"QOI", SIGNATURE(0, "qoif"), NULL},
    {"DDS", SIGNATURE(0, "DDS "), NULL},
    {"BMP without file header", SIGNATURE(0, "\x28\0\0\0"), NULL},
};

static const struct format *find_format(const struct image_source *source) {
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const struct format *format = &formats[i];
        if (source->n_bytes >= format->offset + format->n_bytes
            && memcmp(source->bytes + format->offset, format->signature, format->n_bytes) == 0) return format;
    }
    return NULL;
}

filtags_status image_decode(const struct image_source *source, struct image *image) {
    if (source->n_bytes == 0)
        return error_set(FILTAGS_ERROR_FORMAT, "%s: a picture expected, the file is empty", source->path);
    const struct format *format = find_format(source);
    if (!format) {
        return error_set(FILTAGS_ERROR_FORMAT,
                         "%s: a JPEG, PNG, TIFF, BMP or PPM picture expected, found something else", source->path);
    }
    if (!format->decode) {
        return error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: %s pictures are not supported", source->path, format->name);
    }
    filtags_status status = format->decode(source, image);
    if (status) image_free(image);
    return status;
}

filtags_status image_allocate(const struct image_source *source, size_t width, size_t height, size_t channels,
                              struct image *image) {
    if (width == 0 || height == 0) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: a picture of at least 1 x 1 pixels expected, found %zu x %zu",
                         source->path, width, height);
    }
    if (height > IMAGE_MAX_PIXELS / width) {
        return error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: at most %zu pixels expected, found %zu x %zu", source->path,
                         IMAGE_MAX_PIXELS, width, height);
    }
    uint8_t *pixels = memory_new(width * height, channels);
    if (!pixels) return FILTAGS_ERROR_MEMORY;
    *image = (struct image){width, height, channels, pixels};
    return FILTAGS_OK;
}

filtags_status image_check_ratio(const struct image_source *source, size_t width, size_t height, size_t n_free_pixels,
                                 size_t most_pixels_per_byte) {
    uint64_t n_most = (uint64_t)source->n_bytes * most_pixels_per_byte;
    if (n_most < n_free_pixels) n_most = n_free_pixels;
    /* image_allocate says the rest */
    if (width == 0 || height <= n_most / width || height > IMAGE_MAX_PIXELS / width) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_UNSUPPORTED,
                     "%s: at most %llu pixels in a file of %zu bytes expected, found %zu x %zu", source->path,
                     (unsigned long long)n_most, source->n_bytes, width, height);
}

filtags_status image_check_memory(const struct image_source *source, size_t n_bytes) {
    static const size_t limit_bytes = (size_t)1 << 30;
    if (n_bytes <= limit_bytes) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_UNSUPPORTED,
                     "%s: a picture that takes at most %zu bytes to decode expected, found %zu", source->path,
                     limit_bytes, n_bytes);
}

void image_free(struct image *image) {
    free(image->pixels);
    *image = (struct image){0};
}

filtags_status image_read_file(const char *path, struct buffer *contents) {
    return file_read(path, IMAGE_MAX_FILE_BYTES, contents);
}

filtags_status image_open(const char *path, struct image *image) {
    struct buffer contents = {0};
    filtags_status status = image_read_file(path, &contents);
    if (status) return status;
    struct image_source source = {path, (const uint8_t *)contents.data, contents.size_bytes};
    status = image_decode(&source, image);
    buffer_free(&contents);
    return status;
}

/* Everything behind the decoding. The image is freed. */
static filtags_status write_pixels(struct image *image, size_t height, size_t width, size_t channels,
                                   filtags_preprocess preprocess, float *pixels) {
    filtags_status status = image_convert(image, channels);
    if (!status) status = image_write_tensor(image, height, width, preprocess, pixels);
    image_free(image);
    return status;
}

filtags_status filtags_image_load(const char *path, size_t height, size_t width, size_t channels,
                                  filtags_preprocess preprocess, float *pixels) {
    enum { MAX_SIDE = 16384 };
    struct image image = {0};
    if (height < 1 || height > MAX_SIDE || width < 1 || width > MAX_SIDE) {
        return error_set(FILTAGS_ERROR_USAGE, "height and width in 1..%d expected, found %zu x %zu", MAX_SIDE, height,
                         width);
    }
    if (channels != 1 && channels != 3) {
        return error_set(FILTAGS_ERROR_USAGE, "1 or 3 channels expected, found %zu", channels);
    }
    filtags_status status = image_open(path, &image);
    return status ? status : write_pixels(&image, height, width, channels, preprocess, pixels);
}
