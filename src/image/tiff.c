/* TIFF by libtiff: the first picture of the file.
 *
 * Pillow has two ways, and so has this file: compressed strips and tiles go through libtiff; uncompressed ones
 * are taken from their offsets, whatever their byte counts say (writers get those wrong). Unlike a JPEG's, a
 * TIFF's orientation is applied. Which combinations of tags are pictures is Pillow's list (OPEN_INFO in
 * PIL.TiffImagePlugin). */
#include <stdlib.h>
#include <string.h>

#include <tiffio.h>

#include "base/error.h"
#include "base/memory.h"
#include "image/image.h"

enum {
    MAX_SAMPLES = 6,
    MAX_BLOCK_BYTES = 1 << 30, /* of a strip or tile: no sane picture has more */
    MAX_PIXELS_PER_BYTE = 8 * 1032, /* deflate's most, of one-bit pixels; */
    FREE_PIXELS = 1 << 26,     /* CCITT's blank pages have more */
    EXTRA_NONE = -1
};

/* How the pixels lie in the file. */
struct layout {
    uint32_t width, height;
    uint32_t block_width, block_height; /* tiles, or strips of the picture's width */
    uint16_t photometric, compression, planar, bits, n_samples, format, fill_order, orientation;
    int extra;              /* meaning of the first sample that is no colour, or EXTRA_NONE */
    size_t n_colors;        /* samples that make the colour: 1, 3 or 4 */
    bool is_tiled, is_swapped;
    uint8_t palette[256][3];
};

struct tiff_reader {
    const struct image_source *source;
    uint64_t position;
    TIFF *tiff;
    struct layout layout;
    uint8_t *block;  /* a strip or tile as libtiff gives it */
    uint8_t *bytes;  /* [block_width, n_samples] one row in 8-bit samples */
    uint8_t *planes; /* [height, width, n_colors] where colours are stored apart, else NULL */
    bool has_lost_tag; /* the palette or the meaning of extra samples is there, but cannot be read */
    char reason[256];
};

static filtags_status refuse(const struct tiff_reader *reader, const char *reason) {
    const char *detail = reader->reason;
    return error_set(FILTAGS_ERROR_FORMAT, "%s: TIFF: %s%s%s", reader->source->path, reason, *detail ? ": " : "",
                     detail);
}

static filtags_status refuse_unsupported(const struct tiff_reader *reader, const char *what) {
    const struct layout *layout = &reader->layout;
    return error_set(
        FILTAGS_ERROR_UNSUPPORTED,
        "%s: TIFF: %s not supported (photometric %u, %u samples of %u bits, sample format %u, compression %u)",
        reader->source->path, what, layout->photometric, layout->n_samples, layout->bits, layout->format,
        layout->compression);
}

/* ---- the file in memory, and messages */

static tmsize_t read_proc(thandle_t handle, void *to, tmsize_t size) {
    struct tiff_reader *reader = handle;
    if (size <= 0 || reader->position >= reader->source->n_bytes) return 0;
    size_t n_left = reader->source->n_bytes - (size_t)reader->position;
    size_t n = (size_t)size < n_left ? (size_t)size : n_left;
    memcpy(to, reader->source->bytes + reader->position, n);
    reader->position += n;
    return (tmsize_t)n;
}

static tmsize_t write_proc(thandle_t handle, void *from, tmsize_t size) {
    (void)handle;
    (void)from;
    (void)size;
    return 0;
}

static toff_t seek_proc(thandle_t handle, toff_t offset, int whence) {
    struct tiff_reader *reader = handle;
    if (whence == SEEK_SET) reader->position = offset;
    else reader->position = offset + (whence == SEEK_END ? reader->source->n_bytes : reader->position);
    return reader->position;
}

static int close_proc(thandle_t handle) {
    (void)handle;
    return 0;
}

static toff_t size_proc(thandle_t handle) { return ((struct tiff_reader *)handle)->source->n_bytes; }

static int map_proc(thandle_t handle, void **base, toff_t *size) {
    const struct tiff_reader *reader = handle;
    *base = (void *)(uintptr_t)reader->source->bytes; /* libtiff copies before it changes anything */
    *size = reader->source->n_bytes;
    return 1;
}

static void unmap_proc(thandle_t handle, void *base, toff_t size) {
    (void)handle;
    (void)base;
    (void)size;
}

#if TIFFLIB_VERSION >= 20221213 /* 4.5: handlers of one file */
static int keep_error(TIFF *tiff, void *user, const char *module, const char *format, va_list arguments) {
    struct tiff_reader *reader = user;
    (void)tiff;
    (void)module;
    vsnprintf(reader->reason, sizeof reader->reason, format, arguments);
    return 1; /* and no global handler */
}

/* Warnings are no failures, but for one: where the palette cannot be read libtiff goes on with a grey picture. */
static int look_at_warning(TIFF *tiff, void *user, const char *module, const char *format, va_list arguments) {
    struct tiff_reader *reader = user;
    char text[256];
    (void)tiff;
    (void)module;
    vsnprintf(text, sizeof text, format, arguments);
    if (strstr(text, "\"ColorMap\"") || strstr(text, "\"ExtraSamples\"")) reader->has_lost_tag = true;
    return 1;
}

static TIFF *open_tiff(struct tiff_reader *reader) {
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (!options) return NULL;
    TIFFOpenOptionsSetErrorHandlerExtR(options, keep_error, reader);
    TIFFOpenOptionsSetWarningHandlerExtR(options, look_at_warning, reader);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, MAX_BLOCK_BYTES);
    TIFF *tiff = TIFFClientOpenExt("tiff", "r", reader, read_proc, write_proc, seek_proc, close_proc, size_proc,
                                   map_proc, unmap_proc, options);
    TIFFOpenOptionsFree(options);
    return tiff;
}
#else
static TIFF *open_tiff(struct tiff_reader *reader) {
    TIFFSetErrorHandler(NULL); /* the process's only handlers; writing NULL over NULL is harmless in any thread */
    TIFFSetWarningHandler(NULL);
    return TIFFClientOpen("tiff", "r", reader, read_proc, write_proc, seek_proc, close_proc, size_proc, map_proc,
                          unmap_proc);
}
#endif

/* ---- tags */

static uint16_t tag_uint16(TIFF *tiff, uint32_t tag, uint16_t otherwise) {
    uint16_t value = otherwise;
    return TIFFGetField(tiff, tag, &value) ? value : otherwise;
}

/* Return the orientation, from the XMP packet where the tag is missing: 1..8. */
static uint16_t read_orientation(TIFF *tiff) {
    static const char name[] = "tiff:Orientation";
    uint32_t n_bytes = 0;
    const char *packet = NULL;
    uint16_t value = tag_uint16(tiff, TIFFTAG_ORIENTATION, 0);
    if (value || !TIFFGetField(tiff, TIFFTAG_XMLPACKET, &n_bytes, &packet) || !packet) return value ? value : 1;
    for (const char *end = packet + n_bytes, *at = packet;
         (at = memmem(at, (size_t)(end - at), name, sizeof name - 1));) {
        at += sizeof name - 1;
        size_t n_left = (size_t)(end - at);
        size_t n_quote = n_left >= 1 && at[0] == '>' ? 1 : n_left >= 2 && at[0] == '=' && at[1] == '"' ? 2 : 0;
        if (n_quote && n_left > n_quote && at[n_quote] >= '0' && at[n_quote] <= '9')
            return (uint16_t)(at[n_quote] - '0');
    }
    return 1;
}

static void read_extra_samples(TIFF *tiff, struct layout *layout) {
    uint16_t n_extra = 0;
    const uint16_t *extra = NULL;
    layout->extra = EXTRA_NONE;
    if (TIFFGetField(tiff, TIFFTAG_EXTRASAMPLES, &n_extra, &extra) && n_extra > 0) layout->extra = extra[0];
}

static filtags_status read_palette(struct tiff_reader *reader) {
    struct layout *layout = &reader->layout;
    uint16_t *red, *green, *blue;
    if (!TIFFGetField(reader->tiff, TIFFTAG_COLORMAP, &red, &green, &blue))
        return refuse(reader, "the palette is missing");
    for (size_t i = 0; i < (size_t)1 << layout->bits; i++) {
        layout->palette[i][0] = (uint8_t)(red[i] / 256);
        layout->palette[i][1] = (uint8_t)(green[i] / 256);
        layout->palette[i][2] = (uint8_t)(blue[i] / 256);
    }
    return FILTAGS_OK;
}

/* Pillow's OPEN_INFO: is this a combination that makes a picture, and one that we read as it does? */
static bool layout_is_known(const struct layout *layout) {
    bool is_unsigned = layout->format == SAMPLEFORMAT_UINT;
    size_t n_extra = layout->n_samples - layout->n_colors;
    bool is_reversed = layout->fill_order == FILLORDER_LSB2MSB;
    if (layout->n_samples < layout->n_colors || layout->n_samples > MAX_SAMPLES) return false;
    if (is_reversed && (!is_unsigned || n_extra || layout->n_colors == 4)) return false;
    if (is_reversed && layout->bits > 8) return false;
    switch (layout->photometric) {
    case PHOTOMETRIC_MINISWHITE:
        if (n_extra) return false;
        if (layout->bits == 16) return is_unsigned && !layout->is_swapped;
        if (layout->bits == 32) return layout->format == SAMPLEFORMAT_IEEEFP;
        return is_unsigned && (layout->bits == 1 || layout->bits == 2 || layout->bits == 4 || layout->bits == 8);
    case PHOTOMETRIC_MINISBLACK:
        /* premultiplied grey has no conversion in Pillow */
        if (n_extra) return n_extra == 1 && is_unsigned && layout->bits == 8 && layout->extra != EXTRASAMPLE_ASSOCALPHA;
        if (layout->bits == 8 || layout->bits == 16) return layout->format <= SAMPLEFORMAT_INT;
        if (layout->bits == 12) return is_unsigned && !layout->is_swapped;
        if (layout->bits == 32) return layout->format <= SAMPLEFORMAT_IEEEFP && !(is_unsigned && layout->is_swapped);
        return is_unsigned && (layout->bits == 1 || layout->bits == 2 || layout->bits == 4);
    case PHOTOMETRIC_RGB:
        return is_unsigned && (layout->bits == 8 || (layout->bits == 16 && n_extra <= 1));
    case PHOTOMETRIC_PALETTE:
        if (n_extra) return is_unsigned && layout->bits == 8 && n_extra == 1 && layout->extra != EXTRASAMPLE_ASSOCALPHA;
        return is_unsigned && (layout->bits == 1 || layout->bits == 2 || layout->bits == 4 || layout->bits == 8);
    case PHOTOMETRIC_SEPARATED:
        if (n_extra && layout->extra != EXTRASAMPLE_UNSPECIFIED) return false;
        return is_unsigned && (layout->bits == 8 || (layout->bits == 16 && n_extra == 0));
    case PHOTOMETRIC_YCBCR:
        return is_unsigned && layout->bits == 8 && n_extra == 0;
    default:
        return false;
    }
}

/* Where Pillow reads numbers wrongly, nobody can mean its pixels: name the kind instead, or NULL. */
static const char *find_misread(const struct layout *layout) {
    size_t n_extra = layout->n_samples - layout->n_colors;
    if (layout->compression != COMPRESSION_NONE) { /* libtiff has swapped the bytes already; Pillow does so again */
        bool is_number = layout->bits == 32 || (layout->bits == 16 && layout->format == SAMPLEFORMAT_INT);
        return layout->is_swapped && is_number ? "compressed big-endian numbers are" : NULL;
    }
    if (layout->planar != PLANARCONFIG_SEPARATE || layout->n_samples == 1) return NULL;
    if (layout->bits != 8) return "uncompressed 16-bit colours stored apart are";
    if (n_extra > 1 || (n_extra && layout->extra != EXTRASAMPLE_UNASSALPHA))
        return "uncompressed extra samples stored apart are";
    return NULL;
}

static size_t count_colors(const struct layout *layout) {
    switch (layout->photometric) {
    case PHOTOMETRIC_RGB: return 3;
    case PHOTOMETRIC_YCBCR: return layout->n_samples == 1 ? 1 : 3;
    case PHOTOMETRIC_SEPARATED: return 4;
    default: return 1;
    }
}

static filtags_status read_layout(struct tiff_reader *reader) {
    TIFF *tiff = reader->tiff;
    struct layout *layout = &reader->layout;
    if (reader->has_lost_tag) return refuse(reader, "a tag is damaged or truncated");
    if (!TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &layout->width)
        || !TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &layout->height)) {
        return refuse(reader, "width or height is missing");
    }
    layout->photometric = tag_uint16(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISWHITE);
    layout->compression = tag_uint16(tiff, TIFFTAG_COMPRESSION, COMPRESSION_NONE);
    layout->planar = tag_uint16(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
    layout->bits = tag_uint16(tiff, TIFFTAG_BITSPERSAMPLE, 1);
    layout->n_samples = tag_uint16(tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
    layout->format = tag_uint16(tiff, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
    layout->fill_order = tag_uint16(tiff, TIFFTAG_FILLORDER, FILLORDER_MSB2LSB);
    layout->orientation = read_orientation(tiff);
    layout->is_swapped = TIFFIsBigEndian(tiff) != 0;
    layout->is_tiled = TIFFIsTiled(tiff) != 0;
    layout->n_colors = count_colors(layout);
    read_extra_samples(tiff, layout);
    if (!layout_is_known(layout)) return refuse_unsupported(reader, "this kind of pixels is");
    const char *misread = find_misread(layout);
    if (misread) return refuse_unsupported(reader, misread);
    if (layout->is_tiled) {
        if (!TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &layout->block_width)
            || !TIFFGetField(tiff, TIFFTAG_TILELENGTH, &layout->block_height))
            return refuse(reader, "the tiles' size is missing");
    } else {
        layout->block_width = layout->width;
        if (!TIFFGetField(tiff, TIFFTAG_ROWSPERSTRIP, &layout->block_height)) layout->block_height = layout->height;
    }
    if (layout->block_height > layout->height && !layout->is_tiled) layout->block_height = layout->height;
    if (layout->block_width == 0 || layout->block_height == 0) return refuse(reader, "strips or tiles without rows");
    return layout->photometric == PHOTOMETRIC_PALETTE ? read_palette(reader) : FILTAGS_OK;
}

/* ---- rows of samples */

static uint8_t clip(double value) { return value >= 255 ? 255 : value > 0 ? (uint8_t)value : 0; }

/* Return one grey sample of more than 8 bits, in native byte order, as Pillow's convert clips it to 8. */
static uint8_t clip_sample(const struct layout *layout, const uint8_t *row, size_t index) {
    union { uint16_t u16; int16_t i16; int32_t i32; float f32; } sample;
    if (layout->bits == 12) {
        const uint8_t *pair = row + index / 2 * 3;
        return clip(index % 2 ? (pair[1] & 15) << 8 | pair[2] : pair[0] << 4 | pair[1] >> 4);
    }
    memcpy(&sample, row + index * (layout->bits / 8), layout->bits / 8);
    if (layout->bits == 16) return layout->format == SAMPLEFORMAT_INT ? clip(sample.i16) : clip(sample.u16);
    /* 32 unsigned bits are kept in a signed integer there, so that large values become black */
    return layout->format == SAMPLEFORMAT_IEEEFP ? clip((double)sample.f32) : clip(sample.i32);
}

/* Turn a row of n samples into 8-bit ones: [n]. */
static void make_bytes(const struct layout *layout, const uint8_t *row, size_t n, uint8_t *to) {
    bool is_grey = layout->photometric == PHOTOMETRIC_MINISBLACK || layout->photometric == PHOTOMETRIC_MINISWHITE;
    if (layout->bits == 8) {
        memcpy(to, row, n);
    } else if (is_grey && layout->bits > 8) {
        for (size_t i = 0; i < n; i++) to[i] = clip_sample(layout, row, i);
    } else if (layout->bits == 16) {
        for (size_t i = 0; i < n; i++) {
            uint16_t sample;
            memcpy(&sample, row + 2 * i, 2);
            to[i] = (uint8_t)(sample >> 8);
        }
    } else {
        unsigned mask = (1u << layout->bits) - 1;
        for (size_t i = 0; i < n; i++) {
            size_t bit = i * layout->bits;
            unsigned value = (unsigned)row[bit / 8] >> (8 - layout->bits - bit % 8) & mask;
            to[i] = (uint8_t)(is_grey ? value * (255 / mask) : value);
        }
    }
    if (layout->photometric == PHOTOMETRIC_MINISWHITE && layout->bits <= 8) {
        for (size_t i = 0; i < n; i++) to[i] = (uint8_t)(255 - to[i]);
    }
}

/* Turn n pixels of 8-bit samples into the image's. bytes: [n, n_samples]; to: [n, channels]. */
static void put_pixels(const struct layout *layout, const uint8_t *bytes, size_t n_samples, size_t n, uint8_t *to) {
    if (layout->photometric == PHOTOMETRIC_SEPARATED) {
        image_cmyk_to_rgb(bytes, n_samples, n, to);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const uint8_t *from = bytes + i * n_samples; // [n_samples]
        if (layout->photometric == PHOTOMETRIC_PALETTE) {
            memcpy(to + 3 * i, layout->palette[from[0]], 3);
        } else if (layout->n_colors == 1) {
            to[i] = from[0];
        } else if (layout->extra == EXTRASAMPLE_ASSOCALPHA && n_samples > 3) {
            for (int c = 0; c < 3; c++) { /* premultiplied: divide by alpha */
                int value = from[3] == 0 ? 0 : from[c] * 255 / from[3];
                to[3 * i + (size_t)c] = (uint8_t)(value < 255 ? value : 255);
            }
        } else {
            memcpy(to + 3 * i, from, 3);
        }
    }
}

static uint8_t *pixel_at(const struct image *image, size_t y, size_t x) {
    return image->pixels + (y * image->width + x) * image->channels;
}

/* Put one row of a block into the image, at row y and from column x on; plane: the colour, where these are
 * stored apart, in which case they are only collected. */
static void put_row(struct tiff_reader *reader, const uint8_t *row, size_t y, size_t x, size_t n, uint16_t plane,
                    struct image *image) {
    const struct layout *layout = &reader->layout;
    if (!reader->planes) {
        make_bytes(layout, row, n * layout->n_samples, reader->bytes);
        put_pixels(layout, reader->bytes, layout->n_samples, n, pixel_at(image, y, x));
        return;
    }
    size_t n_planes = layout->n_samples < 4 ? layout->n_samples : 4;
    make_bytes(layout, row, n, reader->bytes);
    for (size_t i = 0; i < n; i++) reader->planes[(y * image->width + x + i) * n_planes + plane] = reader->bytes[i];
}

/* ---- blocks: strips or tiles */

/* Reverse bits and bytes of uncompressed data, which libtiff has not seen. */
static void make_native(const struct layout *layout, uint8_t *block, size_t n_bytes) {
    const uint16_t one = 1;
    bool is_little_endian = *(const uint8_t *)&one == 1;
    if (layout->fill_order == FILLORDER_LSB2MSB) TIFFReverseBits(block, (tmsize_t)n_bytes);
    if (layout->is_swapped != is_little_endian) return;
    if (layout->bits == 16) TIFFSwabArrayOfShort((uint16_t *)(void *)block, (tmsize_t)(n_bytes / 2));
    if (layout->bits == 32) TIFFSwabArrayOfLong((uint32_t *)(void *)block, (tmsize_t)(n_bytes / 4));
}

/* Copy an uncompressed block of n_rows rows from its offset. The padding of its last row may be missing. */
static filtags_status copy_block(struct tiff_reader *reader, uint32_t index, size_t n_row_bytes, size_t n_rows,
                                 size_t n_last_bytes) {
    const struct image_source *source = reader->source;
    uint64_t offset = TIFFGetStrileOffset(reader->tiff, index);
    size_t n_needed = n_row_bytes * (n_rows - 1) + n_last_bytes;
    if (offset == 0) return refuse(reader, "a strip or tile has no place in the file");
    if (offset > source->n_bytes || source->n_bytes - offset < n_needed) return refuse(reader, "the file is truncated");
    memcpy(reader->block, source->bytes + offset, n_needed);
    make_native(&reader->layout, reader->block, n_needed);
    return FILTAGS_OK;
}

/* Read the block whose upper left corner is (y, x). */
static filtags_status read_block(struct tiff_reader *reader, uint32_t y, uint32_t x, uint16_t plane, size_t n_row_bytes,
                                 size_t n_block_bytes, struct image *image) {
    const struct layout *layout = &reader->layout;
    TIFF *tiff = reader->tiff;
    size_t n_rows = layout->height - y < layout->block_height ? layout->height - y : layout->block_height;
    size_t n_columns = layout->width - x < layout->block_width ? layout->width - x : layout->block_width;
    uint32_t index = layout->is_tiled ? TIFFComputeTile(tiff, x, y, 0, plane) : TIFFComputeStrip(tiff, y, plane);
    filtags_status status = FILTAGS_OK;
    if (layout->compression == COMPRESSION_NONE) {
        size_t n_samples = layout->planar == PLANARCONFIG_SEPARATE ? 1 : layout->n_samples;
        status = copy_block(reader, index, n_row_bytes, n_rows, (n_columns * n_samples * layout->bits + 7) / 8);
    } else {
        tmsize_t size = (tmsize_t)n_block_bytes;
        tmsize_t n = layout->is_tiled ? TIFFReadEncodedTile(tiff, index, reader->block, size)
                                      : TIFFReadEncodedStrip(tiff, index, reader->block, size);
        if (n == -1) status = refuse(reader, "a strip or tile cannot be decoded");
    }
    for (size_t row = 0; !status && row < n_rows; row++) {
        put_row(reader, reader->block + row * n_row_bytes, y + row, x, n_columns, plane, image);
    }
    return status;
}

static bool is_turned(const struct layout *layout) { return layout->orientation >= 2 && layout->orientation <= 8; }

/* n_block_bytes: of a strip or tile; n_planes: colours that are collected apart, or 0. */
static filtags_status check_memory(const struct tiff_reader *reader, const struct image *image, size_t n_block_bytes,
                                   size_t n_planes) {
    size_t n_pixels = image->width * image->height;
    size_t n_copies = is_turned(&reader->layout) ? 2 : 1;
    return image_check_memory(reader->source, n_pixels * (n_copies * image->channels + n_planes) + n_block_bytes);
}

static filtags_status allocate_blocks(struct tiff_reader *reader, const struct image *image, uint16_t n_planes,
                                      size_t *n_row_bytes, size_t *n_block_bytes) {
    const struct layout *layout = &reader->layout;
    TIFF *tiff = reader->tiff;
    bool is_apart = layout->planar == PLANARCONFIG_SEPARATE && layout->n_samples > 1;
    tmsize_t row_size = layout->is_tiled ? TIFFTileRowSize(tiff) : TIFFScanlineSize(tiff);
    tmsize_t block_size = layout->is_tiled ? TIFFTileSize(tiff) : TIFFStripSize(tiff);
    size_t n_needed = ((size_t)layout->block_width * (is_apart ? 1 : layout->n_samples) * layout->bits + 7) / 8;
    if (row_size <= 0 || block_size <= 0 || (size_t)row_size < n_needed
        || block_size / layout->block_height < row_size) {
        return refuse(reader, "the size of strips or tiles is damaged");
    }
    if (block_size > MAX_BLOCK_BYTES) {
        return error_set(FILTAGS_ERROR_MEMORY, "%s: TIFF: strips or tiles of at most %d bytes expected, found %zu",
                         reader->source->path, MAX_BLOCK_BYTES, (size_t)block_size);
    }
    filtags_status status = check_memory(reader, image, (size_t)block_size, is_apart ? n_planes : 0);
    if (status) return status;
    reader->block = memory_new((size_t)block_size, 1);
    reader->bytes = memory_new(layout->block_width, layout->n_samples);
    if (!reader->block || !reader->bytes) return FILTAGS_ERROR_MEMORY;
    *n_row_bytes = (size_t)row_size;
    *n_block_bytes = (size_t)block_size;
    return FILTAGS_OK;
}

static filtags_status read_blocks(struct tiff_reader *reader, struct image *image) {
    const struct layout *layout = &reader->layout;
    size_t n_row_bytes = 0, n_block_bytes = 0;
    bool is_apart = layout->planar == PLANARCONFIG_SEPARATE && layout->n_samples > 1;
    uint16_t n_planes = !is_apart ? 1 : layout->n_samples < 4 ? layout->n_samples : 4; /* no pixel needs more */
    filtags_status status = allocate_blocks(reader, image, n_planes, &n_row_bytes, &n_block_bytes);
    if (status) return status;
    if (is_apart) {
        reader->planes = memory_new(image->width * image->height, n_planes); // [height, width, n_planes]
        if (!reader->planes) return FILTAGS_ERROR_MEMORY;
    }
    for (uint64_t y = 0; y < layout->height; y += layout->block_height) {
        for (uint16_t plane = 0; plane < n_planes; plane++) {
            for (uint64_t x = 0; x < layout->width; x += layout->block_width) {
                status = read_block(reader, (uint32_t)y, (uint32_t)x, plane, n_row_bytes, n_block_bytes, image);
                if (status) return status;
            }
        }
    }
    if (reader->planes) put_pixels(layout, reader->planes, n_planes, image->width * image->height, image->pixels);
    return FILTAGS_OK;
}

/* YCbCr, but for JPEG in one plane: libtiff's own conversion, in the same blocks of rows as Pillow. */
static filtags_status read_rgba(struct tiff_reader *reader, struct image *image) {
    const struct layout *layout = &reader->layout;
    TIFFRGBAImage rgba;
    char reason[1024] = "";
    size_t n_rows = layout->block_height < layout->height ? layout->block_height : layout->height;
    filtags_status status = check_memory(reader, image, n_rows * image->width * sizeof(uint32_t), 0);
    if (status) return status;
    if (!TIFFRGBAImageOK(reader->tiff, reason) || !TIFFRGBAImageBegin(&rgba, reader->tiff, 0, reason)) {
        return refuse(reader, reason);
    }
    uint32_t *block = memory_new(n_rows * image->width, sizeof *block); // [n_rows, width] ABGR
    if (!block) status = FILTAGS_ERROR_MEMORY;
    rgba.orientation = rgba.req_orientation = ORIENTATION_TOPLEFT;
    for (size_t y = 0; !status && y < image->height; y += n_rows) {
        size_t n = image->height - y < n_rows ? image->height - y : n_rows;
        rgba.row_offset = (int)y;
        if (!TIFFRGBAImageGet(&rgba, block, layout->width, (uint32_t)n)) {
            status = refuse(reader, "a strip or tile cannot be decoded");
            break;
        }
        for (size_t i = 0; i < n * image->width; i++) {
            uint8_t *to = pixel_at(image, y, 0) + 3 * i; // [3]
            to[0] = (uint8_t)TIFFGetR(block[i]);
            to[1] = (uint8_t)TIFFGetG(block[i]);
            to[2] = (uint8_t)TIFFGetB(block[i]);
        }
    }
    free(block);
    TIFFRGBAImageEnd(&rgba);
    return status;
}

/* ---- orientation */

/* Turn and mirror the image so that it stands upright. */
static filtags_status apply_orientation(const struct tiff_reader *reader, struct image *image) {
    uint16_t orientation = reader->layout.orientation;
    struct image upright = {0};
    if (!is_turned(&reader->layout)) return FILTAGS_OK;
    bool is_transposed = orientation >= 5;
    bool mirrors_rows = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
    bool mirrors_columns = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
    size_t width = is_transposed ? image->height : image->width;
    size_t height = is_transposed ? image->width : image->height;
    filtags_status status = image_allocate(reader->source, width, height, image->channels, &upright);
    if (status) return status;
    for (size_t y = 0; y < height; y++) {
        for (size_t x = 0; x < width; x++) {
            size_t up = mirrors_rows ? height - 1 - y : y;
            size_t left = mirrors_columns ? width - 1 - x : x;
            const uint8_t *from = is_transposed ? pixel_at(image, left, up) : pixel_at(image, up, left);
            memcpy(pixel_at(&upright, y, x), from, image->channels);
        }
    }
    image_free(image);
    *image = upright;
    return FILTAGS_OK;
}

/* ---- the whole */

static filtags_status decode(struct tiff_reader *reader, struct image *image) {
    struct layout *layout = &reader->layout;
    filtags_status status = read_layout(reader);
    if (status) return status;
    bool is_grey = layout->n_colors == 1 && layout->photometric != PHOTOMETRIC_PALETTE;
    status = image_check_ratio(reader->source, layout->width, layout->height, FREE_PIXELS, MAX_PIXELS_PER_BYTE);
    if (status) return status;
    status = image_allocate(reader->source, layout->width, layout->height, is_grey ? 1 : 3, image);
    if (status) return status;
    if (layout->photometric != PHOTOMETRIC_YCBCR || layout->n_samples == 1) {
        status = read_blocks(reader, image);
    } else if (layout->compression == COMPRESSION_NONE) {
        status = refuse_unsupported(reader, "uncompressed YCbCr is");
    } else if (layout->compression == COMPRESSION_JPEG && layout->planar == PLANARCONFIG_CONTIG) {
        TIFFSetField(reader->tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
        status = read_blocks(reader, image);
    } else {
        status = read_rgba(reader, image);
    }
    return status ? status : apply_orientation(reader, image);
}

filtags_status image_decode_tiff(const struct image_source *source, struct image *image) {
    filtags_status status;
    struct tiff_reader *reader = memory_new(1, sizeof *reader);
    if (!reader) return FILTAGS_ERROR_MEMORY;
    reader->source = source;
    reader->tiff = open_tiff(reader);
    if (reader->tiff) {
        status = decode(reader, image);
        TIFFClose(reader->tiff);
    } else {
        status = refuse(reader, "the file is damaged or truncated");
    }
    free(reader->planes);
    free(reader->bytes);
    free(reader->block);
    free(reader);
    return status;
}

const char *tiff_version_text(void) {
    static const char text[] = TIFFLIB_VERSION_STR; /* "LIBTIFF, Version 4.5.0" and lines of copyright */
    return text;
}
