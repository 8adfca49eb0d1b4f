/* PNG by libpng.
 *
 * Which damage is fatal is Pillow's rule, not libpng's: checksums count up to the first IDAT and not from there
 * on, chunks that don't matter to the pixels must only have their least length, and what is missing behind the
 * last row is not missed. So the chunks are walked here, and libpng's push reader gets a clean stream: header,
 * palette, and the compressed data in the blocks in which Pillow gives them to zlib. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>
#include <zlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "image/image.h"

enum {
    SIGNATURE_BYTES = 8,
    CHUNK_HEADER_BYTES = 8, /* length and name; the checksum behind the data is 4 more */
    CHECKSUM_BYTES = 4,
    BLOCK_BYTES = 65536,    /* PIL.ImageFile.MAXBLOCK */
    MAX_PIXELS_PER_BYTE = 8 * 1032, /* deflate's most, of one-bit pixels */
    FREE_PIXELS = 1 << 22
};

struct chunk {
    char name[5];
    size_t n_bytes;      /* as the header says */
    const uint8_t *data; /* the rest of the file, which may be shorter */
};

struct png_reader {
    const struct image_source *source;
    struct image *image;
    size_t offset; /* in the file, of the next chunk */
    uint32_t width, height;
    int bits, color_type;
    bool is_interlaced, is_animated;
    uint8_t palette[256][3]; /* entries that the file doesn't have are black, as in Pillow */
    png_structp png;
    png_infop info;
    uint32_t n_rows;       /* rows and passes that libpng has delivered ... */
    uint32_t n_rows_total; /* ... of so many */
    char reason[256];
};

static filtags_status refuse(const struct png_reader *reader, const char *reason) {
    return error_set(FILTAGS_ERROR_FORMAT, "%s: PNG: %s (near byte %zu)", reader->source->path, reason, reader->offset);
}

static uint32_t read_uint32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void write_uint32(uint8_t *bytes, uint32_t value) {
    for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(value >> (24 - 8 * i));
}

static size_t n_bytes_left(const struct png_reader *reader) { return reader->source->n_bytes - reader->offset; }

/* Read the chunk header at reader->offset and step behind it. False: there is none, or its name is no name. */
static bool next_chunk(struct png_reader *reader, struct chunk *chunk) {
    if (n_bytes_left(reader) < CHUNK_HEADER_BYTES) return false;
    const uint8_t *header = reader->source->bytes + reader->offset;
    for (int i = 0; i < 4; i++) {
        char c = (char)header[4 + i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        if (!is_letter) return false;
        chunk->name[i] = c;
    }
    chunk->name[4] = '\0';
    chunk->n_bytes = read_uint32(header);
    chunk->data = header + CHUNK_HEADER_BYTES;
    reader->offset += CHUNK_HEADER_BYTES;
    return true;
}

static bool is_named(const struct chunk *chunk, const char *name) { return strcmp(chunk->name, name) == 0; }

/* Check what Pillow demands of any chunk but IDAT, wherever it stands: it is whole and not too short. */
static filtags_status check_chunk(const struct png_reader *reader, const struct chunk *chunk) {
    static const struct { const char *name; size_t n_bytes; } least[] = {
        {"IHDR", 13}, {"gAMA", 4}, {"cHRM", 32}, {"sRGB", 1}, {"pHYs", 9}, {"acTL", 8}, {"fcTL", 26},
    };
    if (chunk->n_bytes > n_bytes_left(reader)) return refuse(reader, "the file is truncated");
    for (size_t i = 0; i < sizeof least / sizeof *least; i++) {
        if (is_named(chunk, least[i].name) && chunk->n_bytes < least[i].n_bytes)
            return refuse(reader, "a chunk is too short");
    }
    if (is_named(chunk, "tRNS") && reader->color_type != PNG_COLOR_TYPE_PALETTE
        && !(reader->color_type & PNG_COLOR_MASK_ALPHA)
        && chunk->n_bytes < (reader->color_type == PNG_COLOR_TYPE_RGB ? 6u : 2u))
        return refuse(reader, "chunk tRNS is too short");
    return FILTAGS_OK;
}

static filtags_status take_header(struct png_reader *reader, const struct chunk *chunk) {
    reader->width = read_uint32(chunk->data);
    reader->height = read_uint32(chunk->data + 4);
    reader->bits = chunk->data[8];
    reader->color_type = chunk->data[9];
    if (chunk->data[11] != 0) return refuse(reader, "unknown filter method");
    reader->is_interlaced = chunk->data[12] != 0;
    return FILTAGS_OK;
}

/* Walk to the data of the first IDAT. */
static filtags_status read_head(struct png_reader *reader, struct chunk *chunk) {
    for (reader->offset = SIGNATURE_BYTES;; reader->offset += chunk->n_bytes + CHECKSUM_BYTES) {
        if (!next_chunk(reader, chunk)) return refuse(reader, "a chunk expected, the file is damaged or truncated");
        if (is_named(chunk, "IDAT")) break;
        if (is_named(chunk, "IEND") || is_named(chunk, "fdAT")) return refuse(reader, "there is no chunk IDAT");
        filtags_status status = check_chunk(reader, chunk);
        if (status) return status;
        if (n_bytes_left(reader) - chunk->n_bytes < CHECKSUM_BYTES) return refuse(reader, "the file is truncated");
        uLong checksum = crc32(crc32(0, chunk->data - 4, 4), chunk->data, (uInt)chunk->n_bytes);
        if (checksum != read_uint32(chunk->data + chunk->n_bytes)) return refuse(reader, "wrong checksum");
        if (is_named(chunk, "IHDR")) {
            status = take_header(reader, chunk);
            if (status) return status;
        } else if (is_named(chunk, "PLTE")) {
            size_t n = chunk->n_bytes / 3 * 3;
            memcpy(reader->palette, chunk->data, n < sizeof reader->palette ? n : sizeof reader->palette);
        } else if (is_named(chunk, "acTL")) {
            reader->is_animated = true;
        }
    }
    if (reader->width == 0) return refuse(reader, "there is no header before the data");
    return FILTAGS_OK;
}

/* ---- rows */

/* Return sample number index of a row as Pillow has it in 8 bits. */
static uint8_t sample_at(const struct png_reader *reader, const uint8_t *row, size_t index) {
    switch (reader->bits) {
    case 8:
        return row[index];
    case 16: /* grey is clipped, because Pillow keeps its 16 bits until convert(); all else keeps the high byte */
        if (reader->color_type == PNG_COLOR_TYPE_GRAY) return row[2 * index] ? 255 : row[2 * index + 1];
        return row[2 * index];
    default: {
        size_t bit = index * (size_t)reader->bits;
        int mask = (1 << reader->bits) - 1;
        int value = row[bit / 8] >> (8 - reader->bits - (int)(bit % 8)) & mask;
        return (uint8_t)(reader->color_type == PNG_COLOR_TYPE_PALETTE ? value : value * (255 / mask));
    }
    }
}

static void start_rows(png_structp png, png_infop info) {
    (void)info;
    png_start_read_image(png); /* no transformations: rows come as they are in the file */
}

static void take_row(png_structp png, png_bytep row, png_uint_32 row_index, int pass) {
    struct png_reader *reader = png_get_progressive_ptr(png);
    struct image *image = reader->image;
    size_t y = reader->is_interlaced ? PNG_ROW_FROM_PASS_ROW(row_index, pass) : row_index;
    size_t n_columns = reader->is_interlaced ? PNG_PASS_COLS(reader->width, pass) : reader->width;
    size_t n_samples =
        (reader->color_type & PNG_COLOR_MASK_COLOR && reader->color_type != PNG_COLOR_TYPE_PALETTE ? 3u : 1u)
        + (reader->color_type & PNG_COLOR_MASK_ALPHA ? 1u : 0u);
    reader->n_rows++;
    if (y >= image->height) return;
    if (reader->bits == 8 && n_samples == image->channels && !reader->is_interlaced
        && reader->color_type != PNG_COLOR_TYPE_PALETTE) {
        memcpy(image->pixels + y * image->width * image->channels, row,
               image->width * image->channels); /* the usual case */
        return;
    }
    for (size_t i = 0; i < n_columns; i++) {
        size_t x = reader->is_interlaced ? PNG_COL_FROM_PASS_COL(i, pass) : i;
        uint8_t *to = image->pixels + (y * image->width + x) * image->channels; // [channels]
        if (reader->color_type == PNG_COLOR_TYPE_PALETTE) {
            memcpy(to, reader->palette[sample_at(reader, row, i)], 3);
        } else {
            for (size_t c = 0; c < image->channels; c++) to[c] = sample_at(reader, row, i * n_samples + c);
        }
    }
}

/* ---- libpng */

static void leave_on_error(png_structp png, png_const_charp message) {
    struct png_reader *reader = png_get_error_ptr(png);
    strncpy(reader->reason, message, sizeof reader->reason - 1);
    png_longjmp(png, 1);
}

static void drop_warning(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

/* Give libpng a chunk in two or more pieces: the data, not copied, come with the call or with later ones. */
static void push_chunk(struct png_reader *reader, const char *name, const uint8_t *data, size_t n_bytes) {
    uint8_t header[CHUNK_HEADER_BYTES];
    uint8_t checksum[CHECKSUM_BYTES] = {0}; /* not looked at */
    write_uint32(header, (uint32_t)n_bytes);
    memcpy(header + 4, name, 4);
    png_process_data(reader->png, reader->info, header, sizeof header);
    /* libpng does not write into it, whatever its type says */
    png_process_data(reader->png, reader->info, (png_bytep)(uintptr_t)data, n_bytes);
    png_process_data(reader->png, reader->info, checksum, sizeof checksum);
}

static uint32_t count_rows(const struct png_reader *reader) {
    uint32_t n = 0;
    if (!reader->is_interlaced) return reader->height;
    for (int pass = 0; pass < PNG_INTERLACE_ADAM7_PASSES; pass++) {
        if (PNG_PASS_COLS(reader->width, pass) > 0) n += PNG_PASS_ROWS(reader->height, pass);
    }
    return n;
}

static void push_head(struct png_reader *reader) {
    static uint8_t const signature[SIGNATURE_BYTES] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    uint8_t start[SIGNATURE_BYTES];
    uint8_t header[13] = {0};
    memcpy(start, signature, sizeof start);
    png_set_progressive_read_fn(reader->png, reader, start_rows, take_row, NULL);
    png_set_crc_action(reader->png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
    png_set_benign_errors(reader->png, 0); /* a wrong Adler checksum is fatal in Pillow */
    png_set_user_limits(reader->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* image_allocate has checked the size */
    png_set_option(reader->png, PNG_MAXIMUM_INFLATE_WINDOW, PNG_OPTION_ON);
    png_process_data(reader->png, reader->info, start, sizeof start);
    write_uint32(header, reader->width);
    write_uint32(header + 4, reader->height);
    header[8] = (uint8_t)reader->bits;
    header[9] = (uint8_t)reader->color_type;
    header[12] = reader->is_interlaced;
    push_chunk(reader, "IHDR", header, sizeof header);
    if (reader->color_type == PNG_COLOR_TYPE_PALETTE) { /* only its length matters to libpng */
        push_chunk(reader, "PLTE", reader->palette[0], (size_t)3 << (reader->bits < 8 ? reader->bits : 8));
    }
}

/* Push the data of consecutive IDAT chunks until all rows are out. */
static filtags_status push_data(struct png_reader *reader, struct chunk *chunk) {
    for (;;) {
        while (chunk->n_bytes > 0) {
            size_t n = chunk->n_bytes < BLOCK_BYTES ? chunk->n_bytes : BLOCK_BYTES;
            if (n > n_bytes_left(reader)) n = n_bytes_left(reader);
            if (n == 0) return refuse(reader, "the file is truncated");
            push_chunk(reader, "IDAT", chunk->data, n);
            chunk->data += n;
            chunk->n_bytes -= n;
            reader->offset += n;
            if (reader->n_rows == reader->n_rows_total) return FILTAGS_OK;
        }
        reader->offset += n_bytes_left(reader) < CHECKSUM_BYTES ? n_bytes_left(reader) : CHECKSUM_BYTES;
        if (!next_chunk(reader, chunk)) return refuse(reader, "the file is truncated or damaged");
        if (!is_named(chunk, "IDAT")) return refuse(reader, "image data end before the last row");
    }
}

/* Check what stands behind the last row. A missing end is fine; a chunk that breaks off is not. */
static filtags_status check_tail(struct png_reader *reader, const struct chunk *data) {
    struct chunk chunk;
    size_t n_skip = data->n_bytes + CHECKSUM_BYTES;
    for (;;) {
        reader->offset += n_skip < n_bytes_left(reader) ? n_skip : n_bytes_left(reader);
        if (!next_chunk(reader, &chunk) || is_named(&chunk, "IEND")) return FILTAGS_OK;
        if (is_named(&chunk, "fcTL") && reader->is_animated) return FILTAGS_OK;
        filtags_status status = check_chunk(reader, &chunk);
        if (status) return status;
        n_skip = chunk.n_bytes + CHECKSUM_BYTES;
    }
}

filtags_status image_decode_png(const struct image_source *source, struct image *image) {
    struct chunk chunk = {0};
    filtags_status status;
    /* on the heap, because locals changed after setjmp are lost by longjmp */
    struct png_reader *reader = memory_new(1, sizeof *reader);
    if (!reader) return FILTAGS_ERROR_MEMORY;
    reader->source = source;
    reader->image = image;
    status = read_head(reader, &chunk);
    if (status) goto fail;
    status = image_check_ratio(source, reader->width, reader->height, FREE_PIXELS, MAX_PIXELS_PER_BYTE);
    if (status) goto fail;
    status = image_allocate(source, reader->width, reader->height,
                            reader->color_type & PNG_COLOR_MASK_COLOR ? 3 : 1, image);
    if (status) goto fail;
    reader->n_rows_total = count_rows(reader);
    reader->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, reader, leave_on_error, drop_warning);
    reader->info = reader->png ? png_create_info_struct(reader->png) : NULL;
    if (!reader->info) {
        status = error_out_of_memory(sizeof *reader);
    } else if (setjmp(png_jmpbuf(reader->png))) {
        status = refuse(reader, reader->reason);
    } else {
        push_head(reader);
        status = push_data(reader, &chunk);
        if (!status) status = check_tail(reader, &chunk);
    }
fail:
    png_destroy_read_struct(&reader->png, &reader->info, NULL);
    free(reader);
    return status;
}

const char *png_version_text(void) { return "libpng " PNG_LIBPNG_VER_STRING; }
