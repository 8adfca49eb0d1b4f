/* image.h - pictures in memory, as Pillow 13 decodes them.
 *
 * The road of a picture: file -> image_decode (format by content) -> 8-bit grey or RGB -> image_convert to
 * the channels a network wants -> image_write_tensor (NEAREST and preprocessing). Every step gives Pillow's
 * bytes; a file that Pillow refuses is refused, with the path and a plain reason in the message.
 * All functions may be called by several threads at once. */
#ifndef FILTAGS_IMAGE_IMAGE_H
#define FILTAGS_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "filtags.h"

/* Pillow's Image.MAX_IMAGE_PIXELS; twice as many is an error there */
#define IMAGE_MAX_PIXELS (2 * (size_t)89478485)
#define IMAGE_MAX_FILE_BYTES ((size_t)1 << 30)

/* A decoded picture. Zero-initialise; free with image_free. */
struct image {
    size_t width, height;
    size_t channels;  /* 1: grey (Pillow's "L"), 3: "RGB" */
    uint8_t *pixels;  /* [height, width, channels] */
};

/* A picture file in memory. */
struct image_source {
    const char *path; /* for messages only */
    const uint8_t *bytes;
    size_t n_bytes;
};

/* Decode a file by its content. image must be zeroed; it gets 1 channel where R = G = B by nature of the
 * format and 3 otherwise. FORMAT: not a picture, damaged or truncated. UNSUPPORTED: a format or variant that
 * is not handled. MEMORY: more pixels than Pillow takes (its guard against decompression bombs), or no memory. */
FILTAGS_MUST_USE filtags_status image_decode(const struct image_source *source, struct image *image);

/* Read a file and decode it. As image_decode, and IO. */
FILTAGS_MUST_USE filtags_status image_open(const char *path, struct image *image);

/* Make an image have 1 or 3 channels, as Pillow's convert("L") and convert("RGB"). MEMORY. */
FILTAGS_MUST_USE filtags_status image_convert(struct image *image, size_t channels);

/* Resize by Pillow's NEAREST and preprocess as keras.applications. pixels: [height, width, channels] of the
 * image. USAGE: caffe and torch need 3 channels. MEMORY. */
FILTAGS_MUST_USE filtags_status image_write_tensor(const struct image *image, size_t height, size_t width,
                                                   filtags_preprocess preprocess, float *pixels);

/* Make a smaller copy, whose longer side is at most longest_side (>= 1) pixels; the aspect is kept as far as whole
 * pixels allow. Each of its pixels is the mean of the area that it stands for, rounded, from whole numbers. A picture
 * that is small enough is copied as it is. small must be zeroed. MEMORY. */
FILTAGS_MUST_USE filtags_status image_shrink(const struct image *image, size_t longest_side, struct image *small);

/* Append the image as a JPEG file, quality in [1, 100]. The bytes depend on nothing but the arguments and the library.
 * UNSUPPORTED: a side is longer than the format can say, 65,500 pixels. MEMORY, INTERNAL. */
FILTAGS_MUST_USE filtags_status image_encode_jpeg(const struct image *image, int quality, struct buffer *to);

void image_free(struct image *image);

/* Read a file for image_decode, at most IMAGE_MAX_FILE_BYTES. The caller frees contents. IO, UNSUPPORTED. */
FILTAGS_MUST_USE filtags_status image_read_file(const char *path, struct buffer *contents);

/* ---- for the decoders */

/* Check a picture's size against Pillow's limit and allocate its pixels, all 0. FORMAT: width or height is 0.
 * MEMORY. */
FILTAGS_MUST_USE filtags_status image_allocate(const struct image_source *source, size_t width, size_t height,
                                               size_t channels, struct image *image);

/* Against decompression bombs: check that a picture of more than n_free_pixels is in a file of at least a byte for so
 * many pixels, the most that its format can do. UNSUPPORTED. */
FILTAGS_MUST_USE filtags_status image_check_ratio(const struct image_source *source, size_t width, size_t height,
                                                  size_t n_free_pixels, size_t most_pixels_per_byte);
/* Check what a decoder is going to have in memory, the picture included, against 1 GiB. UNSUPPORTED. */
FILTAGS_MUST_USE filtags_status image_check_memory(const struct image_source *source, size_t n_bytes);

/* One decoder a format: the file has been told to be of it by its first bytes. */
FILTAGS_MUST_USE filtags_status image_decode_jpeg(const struct image_source *source, struct image *image);
FILTAGS_MUST_USE filtags_status image_decode_png(const struct image_source *source, struct image *image);
FILTAGS_MUST_USE filtags_status image_decode_tiff(const struct image_source *source, struct image *image);
FILTAGS_MUST_USE filtags_status image_decode_bmp(const struct image_source *source, struct image *image);
FILTAGS_MUST_USE filtags_status image_decode_pnm(const struct image_source *source, struct image *image);

/* Pillow's CMYK to RGB, K = 255 being black. from: [n_pixels, stride], to: [n_pixels, 3]. */
void image_cmyk_to_rgb(const uint8_t *from, size_t stride, size_t n_pixels, uint8_t *to);

/* "name version" of the decoders' libraries; the first line of the text is meant. Static. */
const char *jpeg_version_text(void);
const char *png_version_text(void);
const char *tiff_version_text(void);

#endif
