#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <zlib.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/memory.h"
#include "image/image.h"

/* Goldens: tools/make_image_goldens.py says what Pillow and Keras make of every file of data/images. */
static char folder[4096];
static json_t *goldens;

enum { MAX_FILE_BYTES = 1 << 20 };

static int load_goldens(void **state) {
    const char *tests = getenv("FILTAGS_TEST_DATA");
    char path[4200];
    json_error_t error;
    (void)state;
    snprintf(folder, sizeof folder, "%s/unit/data/images", tests ? tests : "tests");
    snprintf(path, sizeof path, "%s/golden.json", folder);
    goldens = json_load_file(path, 0, &error);
    if (!goldens) fprintf(stderr, "%s: %s\n", path, error.text);
    return goldens ? 0 : -1;
}

static int free_goldens(void **state) {
    (void)state;
    json_decref(goldens);
    return 0;
}

static const char *text_of(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

static size_t size_of(const json_t *object, const char *key) {
    return (size_t)json_integer_value(json_object_get(object, key));
}

static bool crc_is(const void *bytes, size_t n_bytes, const char *expected) {
    char found[16];
    snprintf(found, sizeof found, "%08lx", (unsigned long)crc32(0, bytes, (uInt)n_bytes));
    return expected && strcmp(found, expected) == 0;
}

/* Count a wrong result. cmocka's assertions belong to the main thread; this also runs in others. */
static int report(const char *path, const char *what) {
    printf("%s: %s wrong; last message: %s\n", path, what, filtags_error_message());
    return 1;
}

static int check_pixels(const char *path, const json_t *golden) {
    struct buffer contents = {0};
    struct image image = {0};
    int n_wrong = 0;
    if (file_read(path, MAX_FILE_BYTES, &contents)) return report(path, "reading");
    struct image_source source = {path, (const uint8_t *)contents.data, contents.size_bytes};
    if (image_decode(&source, &image)) {
        n_wrong += report(path, "decoding");
    } else {
        size_t n = image.width * image.height;
        struct image grey = image;
        grey.pixels = memory_new(n, image.channels);
        memcpy(grey.pixels, image.pixels, n * image.channels);
        if (image.width != size_of(golden, "width") || image.height != size_of(golden, "height"))
            n_wrong += report(path, "size");
        if (image_convert(&image, 3) || !crc_is(image.pixels, 3 * n, text_of(golden, "rgb")))
            n_wrong += report(path, "RGB");
        if (image_convert(&grey, 1) || !crc_is(grey.pixels, n, text_of(golden, "l"))) n_wrong += report(path, "L");
        image_free(&grey);
        image_free(&image);
    }
    buffer_free(&contents);
    return n_wrong;
}

static const struct { const char *name; filtags_preprocess preprocess; size_t channels;
} modes[] = {
    {"rgb_none", FILTAGS_PREPROCESS_NONE, 3}, {"rgb_caffe", FILTAGS_PREPROCESS_CAFFE, 3},
    {"rgb_tf", FILTAGS_PREPROCESS_TF, 3},     {"rgb_torch", FILTAGS_PREPROCESS_TORCH, 3},
    {"rgb_unit", FILTAGS_PREPROCESS_UNIT, 3}, {"l_none", FILTAGS_PREPROCESS_NONE, 1},
    {"l_tf", FILTAGS_PREPROCESS_TF, 1},       {"l_unit", FILTAGS_PREPROCESS_UNIT, 1},
};

static int check_tensors(const char *path, const json_t *golden) {
    size_t height = size_of(goldens, "tensor_height"), width = size_of(goldens, "tensor_width");
    float *pixels = memory_new(height * width * 3, sizeof *pixels); // [height, width, channels]
    int n_wrong = 0;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        const char *expected = text_of(json_object_get(golden, "tensors"), modes[i].name);
        if (filtags_image_load(path, height, width, modes[i].channels, modes[i].preprocess, pixels)
            || !crc_is(pixels, height * width * modes[i].channels * sizeof *pixels, expected))
            n_wrong += report(path, modes[i].name);
    }
    free(pixels);
    return n_wrong;
}

/* A refused file: the right status, a message that begins with the path, and the output untouched. */
static int check_refusal(const char *path, const char *verdict) {
    float pixels[4 * 5 * 3];
    for (size_t i = 0; i < 60; i++) pixels[i] = -7;
    filtags_status status = filtags_image_load(path, 4, 5, 3, FILTAGS_PREPROCESS_TF, pixels);
    const char *message = filtags_error_message();
    bool is_expected =
        strcmp(verdict, "unsupported") == 0
            ? status == FILTAGS_ERROR_UNSUPPORTED
            : status == FILTAGS_ERROR_FORMAT || status == FILTAGS_ERROR_UNSUPPORTED || status == FILTAGS_ERROR_MEMORY;
    if (!is_expected) return report(path, "status");
    size_t n = strlen(path);
    if (strncmp(message, path, n) || strncmp(message + n, ": ", 2) || strlen(message + n) < 12)
        return report(path, "message");
    for (size_t i = 0; i < 60; i++) {
        if (pixels[i] != -7) return report(path, "untouched output");
    }
    return 0;
}

static void *check_all(void *n_wrong) {
    json_t *golden;
    size_t index;
    json_array_foreach(json_object_get(goldens, "files"), index, golden) {
        char path[4400];
        snprintf(path, sizeof path, "%s/%s", folder, text_of(golden, "file"));
        const char *verdict = text_of(golden, "verdict");
        bool is_ok = strcmp(verdict, "ok") == 0;
        *(int *)n_wrong +=
            is_ok ? check_pixels(path, golden) + check_tensors(path, golden) : check_refusal(path, verdict);
    }
    return NULL;
}

static void test_goldens(void **state) {
    int n_wrong = 0;
    (void)state;
    assert_true(json_array_size(json_object_get(goldens, "files")) > 200);
    check_all(&n_wrong);
    assert_int_equal(n_wrong, 0);
}

/* Several threads at once, and not a byte on stderr from any library. */
static void test_threads_are_silent(void **state) {
    enum { N_THREADS = 3 };
    pthread_t threads[N_THREADS];
    int n_wrong[N_THREADS] = {0};
    struct stat info;
    (void)state;
    FILE *caught = tmpfile();
    assert_non_null(caught);
    int saved = dup(STDERR_FILENO);
    dup2(fileno(caught), STDERR_FILENO);
    for (int i = 0; i < N_THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, check_all, &n_wrong[i]), 0);
    for (int i = 0; i < N_THREADS; i++) pthread_join(threads[i], NULL);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    assert_int_equal(fstat(fileno(caught), &info), 0);
    assert_int_equal(info.st_size, 0);
    fclose(caught);
    for (int i = 0; i < N_THREADS; i++) assert_int_equal(n_wrong[i], 0);
}

/* Cut every whole file at many places: it may be refused or not (the goldens know), but never harm. */
static void test_truncated_anywhere(void **state) {
    json_t *golden;
    size_t index;
    (void)state;
    json_array_foreach(json_object_get(goldens, "files"), index, golden) {
        char path[4400];
        struct buffer contents = {0};
        snprintf(path, sizeof path, "%s/%s", folder, text_of(golden, "file"));
        assert_int_equal(file_read(path, MAX_FILE_BYTES, &contents), FILTAGS_OK);
        for (size_t n = 0; n < contents.size_bytes; n += 1 + n / 40) {
            struct image image = {0};
            uint8_t *copy = malloc(n ? n : 1); /* exactly as long, so that a sanitizer sees reading past it */
            assert_non_null(copy);
            if (n) memcpy(copy, contents.data, n);
            struct image_source source = {path, copy, n};
            filtags_status status = image_decode(&source, &image);
            assert_true(status ? image.pixels == NULL : image.pixels != NULL);
            image_free(&image);
            free(copy);
        }
        buffer_free(&contents);
    }
}

static void test_nearest(void **state) {
    json_t *golden;
    size_t index;
    (void)state;
    json_array_foreach(json_object_get(goldens, "nearest"), index, golden) {
        size_t n_in = size_of(golden, "in"), n_out = size_of(golden, "out");
        struct image ramp = {n_in, 1, 3, memory_new(n_in, 3)}; /* each pixel holds its own position */
        float *pixels = memory_new(n_out * 3, sizeof *pixels); // [1, n_out, 3]
        uint32_t *positions = memory_new(n_out, sizeof *positions); // [n_out]
        for (size_t i = 0; i < n_in; i++) {
            ramp.pixels[3 * i] = (uint8_t)i;
            ramp.pixels[3 * i + 1] = (uint8_t)(i >> 8);
        }
        assert_int_equal(image_write_tensor(&ramp, 1, n_out, FILTAGS_PREPROCESS_NONE, pixels), FILTAGS_OK);
        for (size_t i = 0; i < n_out; i++) positions[i] = (uint32_t)pixels[3 * i] | (uint32_t)pixels[3 * i + 1] << 8;
        if (!crc_is(positions, n_out * sizeof *positions, text_of(golden, "crc"))) fail_msg("%zu -> %zu", n_in, n_out);
        free(positions);
        free(pixels);
        image_free(&ramp);
    }
}

static void assert_fails(const char *path, size_t height, size_t width, size_t channels, filtags_preprocess preprocess,
                         filtags_status expected, const char *part_of_message) {
    float pixels[12] = {-7};
    assert_int_equal(filtags_image_load(path, height, width, channels, preprocess, pixels), expected);
    assert_true(pixels[0] == -7);
    if (!strstr(filtags_error_message(), part_of_message)) fail_msg("%s", filtags_error_message());
}

static void test_argument_errors(void **state) {
    char path[4400];
    (void)state;
    snprintf(path, sizeof path, "%s/png_1x1.png", folder);
    assert_fails(path, 0, 2, 3, FILTAGS_PREPROCESS_NONE, FILTAGS_ERROR_USAGE, "0 x 2");
    assert_fails(path, 2, 0, 3, FILTAGS_PREPROCESS_NONE, FILTAGS_ERROR_USAGE, "2 x 0");
    assert_fails(path, 16385, 2, 3, FILTAGS_PREPROCESS_NONE, FILTAGS_ERROR_USAGE, "16385");
    assert_fails(path, 2, 16385, 3, FILTAGS_PREPROCESS_NONE, FILTAGS_ERROR_USAGE, "16385");
    assert_fails(path, 2, 2, 2, FILTAGS_PREPROCESS_NONE, FILTAGS_ERROR_USAGE, "1 or 3 channels");
    assert_fails(path, 2, 2, 1, FILTAGS_PREPROCESS_CAFFE, FILTAGS_ERROR_USAGE, "caffe");
    assert_fails(path, 2, 2, 1, FILTAGS_PREPROCESS_TORCH, FILTAGS_ERROR_USAGE, "torch");
    assert_fails("no/such/file.png", 2, 2, 3, FILTAGS_PREPROCESS_NONE, FILTAGS_ERROR_IO, "no/such/file.png");
    assert_fails(folder, 2, 2, 3, FILTAGS_PREPROCESS_NONE, FILTAGS_ERROR_IO, "a folder");
    snprintf(path, sizeof path, "%s/bad_empty.png", folder);
    assert_fails(path, 2, 2, 3, FILTAGS_PREPROCESS_NONE, FILTAGS_ERROR_FORMAT, "the file is empty");
    snprintf(path, sizeof path, "%s/bad_text.jpg", folder);
    assert_fails(path, 2, 2, 3, FILTAGS_PREPROCESS_NONE, FILTAGS_ERROR_FORMAT, "picture expected");
    snprintf(path, sizeof path, "%s/unsupported_gif.png", folder);
    assert_fails(path, 2, 2, 3, FILTAGS_PREPROCESS_NONE, FILTAGS_ERROR_UNSUPPORTED, "GIF pictures are not supported");
    snprintf(path, sizeof path, "%s/bad_png_bomb.png", folder);
    assert_fails(path, 2, 2, 3, FILTAGS_PREPROCESS_NONE, FILTAGS_ERROR_UNSUPPORTED,
                 "at most 178956970 pixels expected, found 20000 x 20000");
    snprintf(path, sizeof path, "%s/bad_jpeg_cut_in_middle.jpg", folder);
    assert_fails(path, 2, 2, 3, FILTAGS_PREPROCESS_NONE, FILTAGS_ERROR_FORMAT, "the file is truncated");
}

/* ---- decompression bombs */

static void assert_refused(const struct buffer *file, filtags_status expected, const char *part) {
    const struct image_source source = {"bomb", (const uint8_t *)file->data, file->size_bytes};
    struct image image = {0};
    assert_int_equal(image_decode(&source, &image), expected);
    if (!strstr(filtags_error_message(), part)) print_error("%s\n", filtags_error_message());
    assert_non_null(strstr(filtags_error_message(), part));
    assert_null(image.pixels);
}

static struct buffer read_picture(const char *name) {
    char path[4200];
    struct buffer file = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(image_read_file(path, &file), FILTAGS_OK);
    return file;
}

static void pad(struct buffer *file, size_t n_bytes) {
    static const char zeros[1000];
    while (file->size_bytes < n_bytes) buffer_append(file, zeros, sizeof zeros);
}

/* Behind the frame's marker, length and precision: height and width, big-endian. */
static void set_jpeg_size(struct buffer *file, const char *marker, unsigned height, unsigned width) {
    char *frame = memmem(file->data, file->size_bytes, marker, 2);
    const char sizes[] = {(char)(height >> 8), (char)height, (char)(width >> 8), (char)width};
    assert_non_null(frame);
    memcpy(frame + 5, sizes, sizeof sizes);
}

static void test_jpeg_bombs(void **state) {
    (void)state;
    struct buffer file = read_picture("jpeg_8x8.jpg");
    set_jpeg_size(&file, "\xff\xc0", 5000, 4000);
    assert_refused(&file, FILTAGS_ERROR_UNSUPPORTED, "at most 4194304 pixels in a file of ");
    buffer_free(&file);
    file = read_picture("jpeg_444_progressive.jpg");
    set_jpeg_size(&file, "\xff\xc2", 12000, 12000);
    pad(&file, 300000);
    assert_refused(&file, FILTAGS_ERROR_UNSUPPORTED, "at most 1073741824 bytes to decode expected, found 1296000000");
    buffer_free(&file);
}

/* Scans of one empty end-of-band run each. */
static void test_jpeg_scans(void **state) {
    (void)state;
    static const char scan[] = "\xff\xda\0\x08\1\1\0\1\5\2\0\0\0";
    for (int is_too_many = 0; is_too_many < 2; is_too_many++) {
        struct buffer file = read_picture("jpeg_420_progressive.jpg");
        file.size_bytes -= 2; /* the end's marker */
        for (int i = 0; i < (is_too_many ? 100 : 80); i++) buffer_append(&file, scan, sizeof scan - 1);
        buffer_append(&file, "\xff\xd9", 2);
        if (is_too_many) {
            assert_refused(&file, FILTAGS_ERROR_FORMAT, "bomb: JPEG: at most 100 scans expected, found more");
        } else {
            const struct image_source source = {"scans", (const uint8_t *)file.data, file.size_bytes};
            struct image image = {0};
            assert_int_equal(image_decode(&source, &image), FILTAGS_OK);
            image_free(&image);
        }
        buffer_free(&file);
    }
}

static void test_png_bombs(void **state) {
    (void)state;
    /* 8000 x 8000, 8 bits, grey, with its right checksum */
    static const char png[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x1f\x40\0\0\x1f\x40\x08\0\0\0\0";
    uint32_t checksum = (uint32_t)crc32(0, (const uint8_t *)png + 12, 17);
    const char end[] = {(char)(checksum >> 24), (char)(checksum >> 16), (char)(checksum >> 8), (char)checksum,
                        0, 0, 0, 0, 'I', 'D', 'A', 'T', 0, 0, 0, 0};
    struct buffer file = {0};
    buffer_append(&file, png, sizeof png - 1);
    buffer_append(&file, end, sizeof end);
    assert_refused(&file, FILTAGS_ERROR_UNSUPPORTED, "at most 4194304 pixels in a file of 45 bytes expected, found 80");
    buffer_free(&file);
}

static void append_tiff_tag(struct buffer *file, unsigned tag, uint32_t value) {
    const char entry[] = {(char)tag, (char)(tag >> 8), 4, 0, 1, 0, 0, 0, (char)value, (char)(value >> 8),
                          (char)(value >> 16), (char)(value >> 24)};
    buffer_append(file, entry, sizeof entry);
}

/* An uncompressed grey TIFF of one strip. */
static struct buffer make_tiff(uint32_t width, uint32_t height, unsigned orientation) {
    struct buffer file = {0};
    buffer_append(&file, "II*\0\x08\0\0\0\x0a\0", 10);
    append_tiff_tag(&file, 256, width);
    append_tiff_tag(&file, 257, height);
    append_tiff_tag(&file, 258, 8); /* bits */
    append_tiff_tag(&file, 259, 1); /* no compression */
    append_tiff_tag(&file, 262, 1); /* 0 is black */
    append_tiff_tag(&file, 273, 8); /* the strip's place */
    append_tiff_tag(&file, 274, orientation);
    append_tiff_tag(&file, 277, 1); /* samples */
    append_tiff_tag(&file, 278, height);
    append_tiff_tag(&file, 279, width * height);
    buffer_append(&file, "\0\0\0\0", 4);
    return file;
}

static void test_tiff_bombs(void **state) {
    (void)state;
    struct buffer file = make_tiff(13000, 13000, 1);
    assert_refused(&file, FILTAGS_ERROR_UNSUPPORTED, "at most 67108864 pixels in a file of ");
    pad(&file, 22000);
    assert_refused(&file, FILTAGS_ERROR_FORMAT, "the file is truncated");
    buffer_free(&file);
}

/* What several decoders ask before they allocate. */
static void test_picture_memory(void **state) {
    (void)state;
    const struct image_source source = {"large", (const uint8_t *)"", 1};
    assert_int_equal(image_check_memory(&source, (size_t)1 << 30), FILTAGS_OK);
    assert_int_equal(image_check_memory(&source, ((size_t)1 << 30) + 1), FILTAGS_ERROR_UNSUPPORTED);
    assert_string_equal(filtags_error_message(),
                        "large: a picture that takes at most 1073741824 bytes to decode expected, found 1073741825");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_threads_are_silent),
        cmocka_unit_test(test_truncated_anywhere),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_argument_errors),
        cmocka_unit_test(test_jpeg_bombs),
        cmocka_unit_test(test_jpeg_scans),
        cmocka_unit_test(test_png_bombs),
        cmocka_unit_test(test_tiff_bombs),
        cmocka_unit_test(test_picture_memory),
    };
    return cmocka_run_group_tests(tests, load_goldens, free_goldens);
}
