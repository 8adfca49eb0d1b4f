/* JPEG by libjpeg-turbo. The file is handed over in blocks by a source that suspends at their ends, as Pillow
 * does it: so a file counts as truncated in the same cases, and what lies behind the last row and the current
 * block is never looked at. Warnings of the library (corrupt data that it can step over) are no failure there
 * either. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
/* after stdio.h, which it needs */
#include <jpeglib.h>

#include "base/error.h"
#include "base/memory.h"
#include "image/image.h"

enum {
    BLOCK_BYTES = 65536,        /* PIL.ImageFile.MAXBLOCK */
    MAX_SCANS = 100,            /* jpegtran writes no more; each goes through the whole picture, though nearly empty */
    MAX_PIXELS_PER_BYTE = 512,  /* Huffman's least: a bit a block of 64 */
    FREE_PIXELS = 1 << 22       /* small enough, however many scans */
};

struct jpeg_reader {
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr blocks;
    struct jpeg_progress_mgr progress;
    jmp_buf on_error;
    char reason[JMSG_LENGTH_MAX];
    const struct image_source *source;
    size_t n_fed_bytes;    /* of the file, handed over so far */
    size_t n_skip_bytes;   /* still to be dropped from the blocks to come */
    uint8_t *row;          /* [width, 4], CMYK only */
};

static void leave_on_error(j_common_ptr info) {
    struct jpeg_reader *reader = info->client_data;
    info->err->format_message(info, reader->reason);
    longjmp(reader->on_error, 1);
}

static void drop_message(j_common_ptr info) { (void)info; }

static void count_scans(j_common_ptr info) {
    struct jpeg_reader *reader = info->client_data;
    if (reader->info.input_scan_number <= MAX_SCANS) return;
    snprintf(reader->reason, sizeof reader->reason, "at most %d scans expected, found more", MAX_SCANS);
    longjmp(reader->on_error, 1);
}

static void do_nothing(j_decompress_ptr info) { (void)info; }

static boolean suspend(j_decompress_ptr info) {
    (void)info;
    return FALSE;
}

static void skip_bytes(j_decompress_ptr info, long n_bytes) {
    struct jpeg_reader *reader = info->client_data;
    size_t n = n_bytes > 0 ? (size_t)n_bytes : 0;
    size_t n_here = n < reader->blocks.bytes_in_buffer ? n : reader->blocks.bytes_in_buffer;
    reader->blocks.next_input_byte += n_here;
    reader->blocks.bytes_in_buffer -= n_here;
    reader->n_skip_bytes = n - n_here;
}

/* Hand over one block more. False: there is none. */
static bool feed(struct jpeg_reader *reader) {
    size_t n_left = reader->source->n_bytes - reader->n_fed_bytes;
    size_t n = n_left < BLOCK_BYTES ? n_left : BLOCK_BYTES;
    reader->n_fed_bytes += n;
    reader->blocks.bytes_in_buffer += n; /* what the library has left lies right before it */
    if (reader->n_skip_bytes) skip_bytes(&reader->info, (long)reader->n_skip_bytes);
    return n > 0;
}

static filtags_status fail_truncated(const struct jpeg_reader *reader) {
    return error_set(FILTAGS_ERROR_FORMAT,
                     "%s: JPEG: the file is truncated: it ends after %zu bytes, before row %u of %u is complete",
                     reader->source->path, reader->source->n_bytes, reader->info.output_scanline + 1,
                     reader->info.image_height);
}

static void start(struct jpeg_reader *reader) {
    jpeg_create_decompress(&reader->info); /* keeps err and client_data */
    reader->blocks.init_source = do_nothing;
    reader->blocks.fill_input_buffer = suspend;
    reader->blocks.skip_input_data = skip_bytes;
    reader->blocks.resync_to_restart = jpeg_resync_to_restart;
    reader->blocks.term_source = do_nothing;
    reader->blocks.next_input_byte = reader->source->bytes;
    reader->info.src = &reader->blocks;
    reader->progress.progress_monitor = count_scans;
    reader->info.progress = &reader->progress;
}

static filtags_status read_header(struct jpeg_reader *reader) {
    struct jpeg_decompress_struct *info = &reader->info;
    /* a stream of tables only is followed by another one, as in Pillow */
    for (int state = JPEG_SUSPENDED; state != JPEG_HEADER_OK; state = jpeg_read_header(info, FALSE)) {
        if (state == JPEG_SUSPENDED && !feed(reader)) return fail_truncated(reader);
    }
    if (info->data_precision != 8) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: JPEG: 8 bits a sample expected, found %d", reader->source->path,
                         info->data_precision);
    }
    switch (info->num_components) {
    case 1: info->out_color_space = JCS_GRAYSCALE; break;
    case 3: info->out_color_space = JCS_RGB; break;
    case 4: info->out_color_space = JCS_CMYK; break;
    default:
        return error_set(FILTAGS_ERROR_FORMAT, "%s: JPEG: 1, 3 or 4 components expected, found %d",
                         reader->source->path, info->num_components);
    }
    return FILTAGS_OK;
}

static filtags_status read_rows(struct jpeg_reader *reader, struct image *image) {
    struct jpeg_decompress_struct *info = &reader->info;
    bool is_cmyk = info->num_components == 4;
    while (!jpeg_start_decompress(info)) {
        if (!feed(reader)) return fail_truncated(reader);
    }
    while (info->output_scanline < info->output_height) {
        uint8_t *to = image->pixels + info->output_scanline * image->width * image->channels; // [width, channels]
        JSAMPROW row = is_cmyk ? reader->row : to;
        if (jpeg_read_scanlines(info, &row, 1) != 1) {
            if (!feed(reader)) return fail_truncated(reader);
        } else if (is_cmyk) {
            /* Adobe's polarity is assumed: 255 is no ink */
            for (size_t i = 0; i < 4 * image->width; i++) row[i] = (uint8_t)(255 - row[i]);
            image_cmyk_to_rgb(row, 4, image->width, to);
        }
    }
    jpeg_finish_decompress(info); /* may find damage behind the last row (leave_on_error); its end may be missing */
    return FILTAGS_OK;
}

/* With several scans the library keeps all coefficients. */
static filtags_status check_limits(struct jpeg_reader *reader) {
    struct jpeg_decompress_struct *info = &reader->info;
    size_t n_pixels = (size_t)info->image_width * info->image_height;
    size_t n_bytes = n_pixels * (info->num_components == 1 ? 1 : 3);
    for (int i = 0; i < info->num_components && jpeg_has_multiple_scans(info); i++) {
        const jpeg_component_info *component = &info->comp_info[i];
        n_bytes += sizeof(JBLOCK) * component->width_in_blocks * component->height_in_blocks;
    }
    filtags_status status = image_check_ratio(reader->source, info->image_width, info->image_height, FREE_PIXELS,
                                              MAX_PIXELS_PER_BYTE);
    return status ? status : image_check_memory(reader->source, n_bytes);
}

static filtags_status decode(struct jpeg_reader *reader, struct image *image) {
    filtags_status status = read_header(reader);
    if (status) return status;
    if ((status = check_limits(reader))) return status;
    status = image_allocate(reader->source, reader->info.image_width, reader->info.image_height,
                            reader->info.num_components == 1 ? 1 : 3, image);
    if (status) return status;
    if (reader->info.num_components == 4 && !(reader->row = memory_new(image->width, 4))) return FILTAGS_ERROR_MEMORY;
    return read_rows(reader, image);
}

filtags_status image_decode_jpeg(const struct image_source *source, struct image *image) {
    filtags_status status;
    /* on the heap, because locals changed after setjmp are lost by longjmp */
    struct jpeg_reader *reader = memory_new(1, sizeof *reader);
    if (!reader) return FILTAGS_ERROR_MEMORY;
    reader->source = source;
    reader->info.err = jpeg_std_error(&reader->errors);
    reader->errors.error_exit = leave_on_error;
    reader->errors.output_message = drop_message;
    reader->info.client_data = reader;
    if (setjmp(reader->on_error)) {
        status = error_set(FILTAGS_ERROR_FORMAT, "%s: JPEG: %s", source->path, reader->reason);
    } else {
        start(reader);
        status = decode(reader, image);
    }
    jpeg_destroy_decompress(&reader->info);
    free(reader->row);
    free(reader);
    return status;
}

/* ---------------------------------------------------------------- writing */

struct jpeg_writer {
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    jmp_buf on_error;
    char reason[JMSG_LENGTH_MAX];
    unsigned char *bytes; /* the library's */
    unsigned long n_bytes;
};

static void leave_writing(j_common_ptr info) {
    struct jpeg_writer *writer = info->client_data;
    info->err->format_message(info, writer->reason);
    longjmp(writer->on_error, 1);
}

static void write_rows(struct jpeg_writer *writer, const struct image *image, int quality) {
    struct jpeg_compress_struct *info = &writer->info;
    jpeg_create_compress(info);
    jpeg_mem_dest(info, &writer->bytes, &writer->n_bytes);
    info->image_width = (JDIMENSION)image->width;
    info->image_height = (JDIMENSION)image->height;
    info->input_components = (int)image->channels;
    info->in_color_space = image->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(info);
    jpeg_set_quality(info, quality, TRUE);
    info->optimize_coding = TRUE;
    jpeg_start_compress(info, TRUE);
    while (info->next_scanline < info->image_height) {
        JSAMPROW row = image->pixels + info->next_scanline * image->width * image->channels; // [width, channels]
        jpeg_write_scanlines(info, &row, 1);
    }
    jpeg_finish_compress(info);
}

filtags_status image_encode_jpeg(const struct image *image, int quality, struct buffer *to) {
    filtags_status status;
    if (image->width > JPEG_MAX_DIMENSION || image->height > JPEG_MAX_DIMENSION)
        return error_set(FILTAGS_ERROR_UNSUPPORTED, "a JPEG has at most %ld pixels a side, the picture %zu x %zu",
                         JPEG_MAX_DIMENSION, image->width, image->height);
    struct jpeg_writer *writer = memory_new(1, sizeof *writer); /* on the heap, as the reader */
    if (!writer) return FILTAGS_ERROR_MEMORY;
    writer->info.err = jpeg_std_error(&writer->errors);
    writer->errors.error_exit = leave_writing;
    writer->errors.output_message = drop_message;
    writer->info.client_data = writer;
    if (setjmp(writer->on_error)) {
        status = error_set(FILTAGS_ERROR_INTERNAL, "JPEG: %s", writer->reason);
    } else {
        write_rows(writer, image, quality);
        buffer_append(to, writer->bytes, writer->n_bytes);
        status = to->has_failed ? FILTAGS_ERROR_MEMORY : FILTAGS_OK;
    }
    jpeg_destroy_compress(&writer->info);
    free(writer->bytes);
    free(writer);
    return status;
}

#define TEXT_OF(value) #value
#define TEXT_OF_MACRO(value) TEXT_OF(value)

const char *jpeg_version_text(void) {
#ifdef LIBJPEG_TURBO_VERSION
    return "libjpeg-turbo " TEXT_OF_MACRO(LIBJPEG_TURBO_VERSION);
#else
    return "libjpeg " TEXT_OF_MACRO(JPEG_LIB_VERSION);
#endif
}
