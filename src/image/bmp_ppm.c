/* BMP, PGM and PPM by stb_image.
 *
 * stb_image takes whatever it is given: it reads zeros past the end of a file and doesn't scale by PNM's maxval.
 * So headers are checked here by Pillow's rules, and stb_image gets a clean file made of a plain header and the
 * pixels. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* not restored below: gcc finds undefined static functions at the end of the file */
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wshadow"
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_BMP
#define STBI_ONLY_PNM
/* Never reached, the format being told before; but stb_image 2.30 doesn't compile for PNM without PNG or PSD. */
#define STBI_ONLY_PSD
#define STBI_NO_STDIO
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

#include "base/error.h"
#include "base/memory.h"
#include "image/image.h"

enum { FILE_HEADER_BYTES = 14, CORE_HEADER_BYTES = 12, INFO_HEADER_BYTES = 40 };

enum compression { COMPRESSION_NONE = 0, COMPRESSION_RLE8 = 1, COMPRESSION_RLE4 = 2, COMPRESSION_MASKS = 3 };

struct bmp_header {
    size_t n_header_bytes;
    size_t width, height;
    bool is_top_down;
    unsigned bits, compression;
    size_t n_colors;
    size_t n_color_bytes;  /* of a palette entry in the file: 3 or 4 */
    uint32_t masks[4];     /* R, G, B, A; all 0: none */
    size_t palette_offset; /* in the file */
    size_t pixels_offset;
};

static unsigned read_uint16(const uint8_t *bytes) { return bytes[0] | (unsigned)bytes[1] << 8; }

static uint32_t read_uint32(const uint8_t *bytes) {
    return read_uint16(bytes) | (uint32_t)read_uint16(bytes + 2) << 16;
}

static void write_uint32(uint8_t *bytes, uint32_t value) {
    for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(value >> (8 * i));
}

static filtags_status refuse(const struct image_source *source, const char *format, const char *reason) {
    return error_set(FILTAGS_ERROR_FORMAT, "%s: %s: %s", source->path, format, reason);
}

/* Let stb_image decode a clean file into image, which has been allocated with the right size and channels. */
static filtags_status decode_clean(const struct image_source *source, const uint8_t *file, size_t n_bytes,
                                   struct image *image) {
    int width, height, n_channels;
    if (n_bytes > INT32_MAX) return error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: the picture is too large", source->path);
    stbi_uc *pixels = stbi_load_from_memory(file, (int)n_bytes, &width, &height, &n_channels, (int)image->channels);
    if (!pixels && !strcmp(stbi_failure_reason(), "outofmem"))
        return error_out_of_memory(image->width * image->height * image->channels);
    if (!pixels) return error_set(FILTAGS_ERROR_FORMAT, "%s: %s", source->path, stbi_failure_reason());
    memcpy(image->pixels, pixels, image->width * image->height * image->channels);
    stbi_image_free(pixels);
    return FILTAGS_OK;
}

/* ---- BMP */

static filtags_status read_masks(const struct image_source *source, struct bmp_header *header) {
    const uint8_t *masks = source->bytes + FILE_HEADER_BYTES + INFO_HEADER_BYTES;
    /* older headers are followed by three masks; newer ones contain four */
    size_t n_masks = header->n_header_bytes >= 56 ? 4 : 3;
    if (header->n_header_bytes == INFO_HEADER_BYTES) header->palette_offset += 12;
    if (source->n_bytes < FILE_HEADER_BYTES + INFO_HEADER_BYTES + 4 * n_masks)
        return refuse(source, "BMP", "the file is truncated");
    for (size_t i = 0; i < n_masks; i++) header->masks[i] = read_uint32(masks + 4 * i);
    return FILTAGS_OK;
}

static filtags_status read_bmp_header(const struct image_source *source, struct bmp_header *header) {
    const uint8_t *bytes = source->bytes;
    if (source->n_bytes < FILE_HEADER_BYTES + 4) return refuse(source, "BMP", "the file is truncated");
    size_t n = read_uint32(bytes + FILE_HEADER_BYTES);
    bool is_known = n == 12 || n == 40 || n == 52 || n == 56 || n == 64 || n == 108 || n == 124;
    if (!is_known) return refuse(source, "BMP", "unknown kind of header");
    if (source->n_bytes < FILE_HEADER_BYTES + n) return refuse(source, "BMP", "the file is truncated");
    const uint8_t *info = bytes + FILE_HEADER_BYTES;
    header->n_header_bytes = n;
    header->palette_offset = FILE_HEADER_BYTES + n;
    header->pixels_offset = read_uint32(bytes + 10);
    if (n == CORE_HEADER_BYTES) {
        header->width = read_uint16(info + 4);
        header->height = read_uint16(info + 6);
        header->bits = read_uint16(info + 10);
        header->n_color_bytes = 3;
    } else {
        header->is_top_down = info[11] == 0xff; /* a negative height, as Pillow tells it */
        header->width = read_uint32(info + 4);
        header->height = read_uint32(info + 8);
        if (header->is_top_down) header->height = ((size_t)1 << 32) - header->height;
        header->bits = read_uint16(info + 14);
        header->compression = read_uint32(info + 16);
        header->n_colors = read_uint32(info + 32);
        header->n_color_bytes = 4;
    }
    if (header->n_colors == 0 && header->bits <= 8) header->n_colors = (size_t)1 << header->bits;
    return header->compression == COMPRESSION_MASKS ? read_masks(source, header) : FILTAGS_OK;
}

/* Refuse what Pillow refuses, and what it reads in a way that stb_image does not. */
static filtags_status check_bmp_header(const struct image_source *source, struct bmp_header *header) {
    if (header->compression == COMPRESSION_RLE8 || header->compression == COMPRESSION_RLE4) {
        return error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: run-length encoded BMP pictures are not supported",
                         source->path);
    }
    if (header->bits == 16)
        return error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: 16-bit BMP pictures are not supported", source->path);
    if (header->bits != 1 && header->bits != 4 && header->bits != 8 && header->bits != 24 && header->bits != 32) {
        return refuse(source, "BMP", "unknown number of bits per pixel");
    }
    if (header->compression > COMPRESSION_MASKS) return refuse(source, "BMP", "unknown compression");
    if (header->compression != COMPRESSION_MASKS) return FILTAGS_OK;
    static const uint32_t known[][4] = { /* the layouts that Pillow knows */
        {0xff0000, 0xff00, 0xff, 0}, {0xff000000, 0xff0000, 0xff00, 0}, {0xff000000, 0xff00, 0xff, 0},
        {0xff000000, 0xff0000, 0xff00, 0xff}, {0xff, 0xff00, 0xff0000, 0xff000000},
        {0xff0000, 0xff00, 0xff, 0xff000000}, {0xff000000, 0xff00, 0xff, 0xff0000}, {0, 0, 0, 0},
    };
    for (size_t i = 0; header->bits == 32 && i < sizeof known / sizeof *known; i++) {
        if (memcmp(known[i], header->masks, sizeof *known) == 0) return FILTAGS_OK;
    }
    if (header->bits == 24 && memcmp(known[0], header->masks, 3 * sizeof(uint32_t)) == 0) return FILTAGS_OK;
    return refuse(source, "BMP", "unknown masks");
}

/* Put the palette, if there is one, into the clean file: 2^bits entries, those that the file lacks black.
 * Sets where the file's pixels start. */
static filtags_status take_palette(const struct image_source *source, struct bmp_header *header, uint8_t *to) {
    size_t n_entries = (size_t)1 << header->bits;
    size_t stride = header->n_color_bytes;
    if (header->n_colors > 65536) return refuse(source, "BMP", "unknown size of palette");
    if (header->pixels_offset == FILE_HEADER_BYTES + header->n_header_bytes) {
        header->pixels_offset += stride * header->n_colors; /* Pillow's repair of a common mistake */
    }
    size_t n_left = source->n_bytes - header->palette_offset;
    size_t n = header->n_colors < n_left / stride ? header->n_colors : n_left / stride;
    for (size_t i = 0; i < n && i < n_entries; i++) {
        memcpy(to + 4 * i, source->bytes + header->palette_offset + i * stride, 3);
    }
    if (header->pixels_offset == 0) header->pixels_offset = header->palette_offset + n * stride;
    return FILTAGS_OK;
}

/* Write the clean file for header around the pixels of source. */
static filtags_status decode_bmp_pixels(const struct image_source *source, struct bmp_header *header,
                                        struct image *image) {
    filtags_status status;
    bool has_masks = header->bits == 32 && (header->masks[0] | header->masks[1] | header->masks[2]);
    size_t n_extra_bytes = header->bits <= 8 ? (size_t)4 << header->bits : has_masks ? 12 : 0;
    size_t start = FILE_HEADER_BYTES + INFO_HEADER_BYTES + n_extra_bytes;
    size_t n_row_bytes = (header->width * header->bits + 7) / 8;
    size_t n_stride_bytes = (n_row_bytes + 3) / 4 * 4;
    size_t n_bytes = n_stride_bytes * header->height;
    size_t n_needed = n_bytes - (n_stride_bytes - n_row_bytes); /* the last row's padding may be missing */
    uint8_t *file = memory_new(start + n_bytes, 1);
    if (!file) return FILTAGS_ERROR_MEMORY;
    memcpy(file, "BM", 2);
    write_uint32(file + 10, (uint32_t)start);
    uint8_t *info = file + FILE_HEADER_BYTES;
    write_uint32(info, INFO_HEADER_BYTES);
    write_uint32(info + 4, (uint32_t)header->width);
    write_uint32(info + 8, (uint32_t)(header->is_top_down ? -(int64_t)header->height : (int64_t)header->height));
    info[12] = 1;
    info[14] = (uint8_t)header->bits;
    info[16] = has_masks ? COMPRESSION_MASKS : COMPRESSION_NONE;
    for (int i = 0; has_masks && i < 3; i++) write_uint32(info + INFO_HEADER_BYTES + 4 * i, header->masks[i]);
    status = header->bits <= 8 ? take_palette(source, header, info + INFO_HEADER_BYTES) : FILTAGS_OK;
    if (status) goto fail;
    if (header->pixels_offset == 0) header->pixels_offset = header->palette_offset;
    if (header->pixels_offset > source->n_bytes || source->n_bytes - header->pixels_offset < n_needed) {
        status = refuse(source, "BMP", "the file is truncated");
        goto fail;
    }
    size_t n_there = source->n_bytes - header->pixels_offset;
    memcpy(file + start, source->bytes + header->pixels_offset, n_there < n_bytes ? n_there : n_bytes);
    status = decode_clean(source, file, start + n_bytes, image);
fail:
    free(file);
    return status;
}

filtags_status image_decode_bmp(const struct image_source *source, struct image *image) {
    struct bmp_header header = {0};
    filtags_status status = read_bmp_header(source, &header);
    if (!status) status = check_bmp_header(source, &header);
    if (!status) status = image_allocate(source, header.width, header.height, 3, image);
    if (!status) status = decode_bmp_pixels(source, &header, image);
    return status;
}

/* ---- PGM, PPM */

static bool is_blank(uint8_t byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

/* Read a whole number of the header, and the one blank behind it, as Pillow's tokens: at most ten digits;
 * comments count as nothing, even inside a number. Returns -1: there is no such number. */
static int64_t read_pnm_number(const struct image_source *source, size_t *offset) {
    int64_t value = 0;
    int n_digits = 0;
    while (*offset < source->n_bytes) {
        uint8_t byte = source->bytes[(*offset)++];
        if (byte == '#') {
            while (*offset < source->n_bytes && source->bytes[*offset] != '\n' && source->bytes[*offset] != '\r')
                (*offset)++;
            if (*offset < source->n_bytes) (*offset)++;
        } else if (is_blank(byte)) {
            if (n_digits) return value;
        } else if (byte < '0' || byte > '9' || ++n_digits > 10) {
            return -1;
        } else {
            value = value * 10 + (byte - '0');
        }
    }
    return n_digits ? value : -1;
}

/* Return Pillow's round(value / maxval * 255), at most 255: Python rounds halves to even. */
static uint8_t scale_to_byte(unsigned value, unsigned maxval) {
    double scaled = (double)value / maxval * 255;
    unsigned below = (unsigned)scaled;
    double rest = scaled - below;
    if (rest > 0.5 || (rest == 0.5 && below % 2 == 1)) below++;
    return (uint8_t)(below < 255 ? below : 255);
}

filtags_status image_decode_pnm(const struct image_source *source, struct image *image) {
    bool is_grey = source->bytes[1] == '5';
    const char *name = is_grey ? "PGM" : "PPM";
    size_t channels = is_grey ? 1 : 3;
    size_t offset = 3;
    filtags_status status;
    if (source->n_bytes < 3 || !is_blank(source->bytes[2])) return refuse(source, name, "the header is damaged");
    int64_t width = read_pnm_number(source, &offset);
    int64_t height = width < 0 ? -1 : read_pnm_number(source, &offset);
    int64_t maxval = height < 0 ? -1 : read_pnm_number(source, &offset);
    if (maxval <= 0 || maxval > 65535) return refuse(source, name, "the header is damaged");
    if (maxval > 255)
        return error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: 16-bit %s pictures are not supported", source->path, name);
    status = image_allocate(source, (size_t)width, (size_t)height, channels, image);
    if (status) return status;
    size_t n_bytes = image->width * image->height * channels;
    if (source->n_bytes - offset < n_bytes) return refuse(source, name, "the file is truncated");
    char *header = memory_format("P%c %zu %zu 255\n", is_grey ? '5' : '6', image->width, image->height);
    uint8_t *file = header ? memory_new(strlen(header) + n_bytes, 1) : NULL;
    status = FILTAGS_ERROR_MEMORY;
    if (!file) goto fail;
    memcpy(file, header, strlen(header));
    memcpy(file + strlen(header), source->bytes + offset, n_bytes);
    status = decode_clean(source, file, strlen(header) + n_bytes, image);
    for (size_t i = 0; !status && maxval != 255 && i < n_bytes; i++) {
        image->pixels[i] = scale_to_byte(image->pixels[i], (unsigned)maxval);
    }
fail:
    free(file);
    free(header);
    return status;
}
