/* Thumbnails, JPEG, and heat maps of pictures of a network: tests/parity/mixed.keras. */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "steps/heat_maps.h"

/* ---------------------------------------------------------------- thumbnails */

static struct image make_image(size_t width, size_t height, size_t channels) {
    struct image image = {width, height, channels, malloc(width * height * channels)};
    uint32_t random = (uint32_t)(width * 31 + height);
    for (size_t i = 0; i < width * height * channels; i++) {
        random = random * 1664525u + 1013904223u;
        image.pixels[i] = (uint8_t)(random >> 24);
    }
    return image;
}

static double overlap(size_t i, size_t o, size_t n_in, size_t n_out) {
    const double ratio = (double)n_in / (double)n_out;
    return fmax(0, fmin((double)i + 1, ((double)o + 1) * ratio) - fmax((double)i, (double)o * ratio));
}

/* The mean of an area, by its definition. */
static double area_mean(const struct image *image, const struct image *small, size_t x, size_t y, size_t c) {
    double sum = 0, weights = 0;
    for (size_t i = 0; i < image->height; i++)
        for (size_t j = 0; j < image->width; j++) {
            const double weight =
                overlap(i, y, image->height, small->height) * overlap(j, x, image->width, small->width);
            sum += weight * image->pixels[(i * image->width + j) * image->channels + c];
            weights += weight;
        }
    return sum / weights;
}

static void check_shrunk(size_t width, size_t height, size_t channels, size_t side, size_t new_width,
                         size_t new_height) {
    struct image image = make_image(width, height, channels), small = {0};
    assert_int_equal(image_shrink(&image, side, &small), FILTAGS_OK);
    assert_int_equal(small.width, new_width);
    assert_int_equal(small.height, new_height);
    assert_int_equal(small.channels, channels);
    for (size_t y = 0; y < new_height; y++)
        for (size_t x = 0; x < new_width; x++)
            for (size_t c = 0; c < channels; c++) {
                const double expected = area_mean(&image, &small, x, y, c);
                const double found = small.pixels[(y * new_width + x) * channels + c];
                if (!(fabs(found - expected) <= 0.5 + 1e-9)) fail_msg("%g expected, found %g", expected, found);
            }
    image_free(&image);
    image_free(&small);
}

static void shrinking_is_the_mean_of_areas(void **state) {
    (void)state;
    check_shrunk(40, 30, 3, 20, 20, 15);
    check_shrunk(37, 23, 3, 16, 16, 10);
    check_shrunk(23, 37, 1, 36, 22, 36);
    check_shrunk(64, 1, 3, 9, 9, 1);
    check_shrunk(300, 2, 1, 5, 5, 1); /* the shorter side stays at 1 */
    check_shrunk(7, 5, 3, 1, 1, 1);
}

static void small_pictures_stay(void **state) {
    (void)state;
    struct image image = make_image(12, 9, 3), copy = {0};
    assert_int_equal(image_shrink(&image, 12, &copy), FILTAGS_OK);
    assert_int_equal(copy.width, 12);
    assert_memory_equal(copy.pixels, image.pixels, 12 * 9 * 3);
    image_free(&copy);
    image_free(&image);
}

static void jpeg_comes_back(void **state) {
    (void)state;
    for (size_t channels = 1; channels <= 3; channels += 2) {
        struct image image = {.width = 60, .height = 40, .channels = channels, .pixels = malloc(60 * 40 * channels)};
        struct image back = {0};
        struct buffer jpeg = {0}, again = {0};
        for (size_t i = 0; i < 60 * 40 * channels; i++) image.pixels[i] = (uint8_t)(i / channels % 60 * 4);
        assert_int_equal(image_encode_jpeg(&image, 90, &jpeg), FILTAGS_OK);
        assert_int_equal(image_encode_jpeg(&image, 90, &again), FILTAGS_OK);
        assert_int_equal(jpeg.size_bytes, again.size_bytes);
        assert_memory_equal(jpeg.data, again.data, jpeg.size_bytes);
        const struct image_source source = {"memory", (const uint8_t *)jpeg.data, jpeg.size_bytes};
        assert_int_equal(image_decode(&source, &back), FILTAGS_OK);
        assert_int_equal(back.width, 60);
        assert_int_equal(back.channels, channels);
        for (size_t i = 0; i < 60 * 40 * channels; i++) assert_true(abs(back.pixels[i] - image.pixels[i]) < 12);
        image_free(&image);
        image_free(&back);
        buffer_free(&jpeg);
        buffer_free(&again);
    }
    struct image wide = {.width = 70000, .height = 1, .channels = 1, .pixels = calloc(70000, 1)};
    struct buffer jpeg = {0};
    assert_int_equal(image_encode_jpeg(&wide, 90, &jpeg), FILTAGS_ERROR_UNSUPPORTED);
    assert_non_null(strstr(filtags_error_message(), "70000 x 1"));
    image_free(&wide);
}

/* ---------------------------------------------------------------- heat maps */

enum { N_FILES = 5, N_GOOD = 4, BAD = 2, N_LAYERS = 9 };

struct fixture {
    char folder[64];
    const char *files[N_FILES];
    filtags_options *options;
    struct network network;
    struct output *output;
};

static void write_picture(const char *folder, const char *name, size_t width, size_t height) {
    char path[128], head[40];
    struct image image = make_image(width, height, 3);
    struct buffer file = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(head, sizeof head, "P6 %zu %zu 255\n", width, height);
    buffer_append_text(&file, head);
    buffer_append(&file, image.pixels, width * height * 3);
    assert_int_equal(file_write(path, file.data, file.size_bytes), FILTAGS_OK);
    buffer_free(&file);
    image_free(&image);
}

static int open_fixture(void **state) {
    static const char *const files[N_FILES] = {"a.ppm", "b.ppm", "bad.ppm", "c.ppm", "d.ppm"};
    struct fixture *fixture = calloc(1, sizeof *fixture);
    const char *tests = getenv("FILTAGS_TEST_DATA");
    char model[4096];
    *state = fixture;
    snprintf(model, sizeof model, "%s/parity/mixed.keras", tests ? tests : "tests");
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/filtags-heat-maps-XXXXXX");
    if (!mkdtemp(fixture->folder)) return -1;
    for (size_t i = 0; i < N_FILES; i++) {
        fixture->files[i] = files[i];
        if (i != BAD) write_picture(fixture->folder, files[i], 30 + 20 * i, 50 + 3 * i);
    }
    char path[128];
    snprintf(path, sizeof path, "%s/%s", fixture->folder, files[BAD]);
    if (file_write(path, "P6 9 9 255\nshort", 16)) return -1;
    if (filtags_options_create("activations", &fixture->options) ||
        filtags_options_set(fixture->options, "model", model) ||
        filtags_options_set(fixture->options, "preprocess", "unit") ||
        network_open(fixture->options, NULL, &fixture->network) ||
        output_open(fixture->folder, "2026-01-01-0000", "X", "mixed", NULL, &fixture->output))
        return -1;
    return fixture->network.table.n_layers == N_LAYERS ? 0 : -1;
}

static int close_fixture(void **state) {
    struct fixture *fixture = *state;
    char command[128];
    output_close(fixture->output, NULL);
    network_close(&fixture->network);
    filtags_options_destroy(fixture->options);
    snprintf(command, sizeof command, "rm -r %s", fixture->folder);
    int status = system(command);
    free(fixture);
    return status;
}

/* Requests in no order: of each picture two filters of each layer. */
static void list_requests(const struct fixture *fixture, struct map_request requests[2 * N_FILES * N_LAYERS]) {
    for (size_t i = 0; i < 2 * N_FILES * N_LAYERS; i++) {
        const size_t layer = i * 7 % N_LAYERS;
        requests[i] = (struct map_request){.picture = i % N_FILES, .layer = layer,
                                           .filter = (i * 5 + 3) % fixture->network.table.n_filters[layer]};
    }
}

static struct heat_maps run_heat_maps(const struct fixture *fixture, const struct map_request *requests,
                                      const char *n_threads, size_t map_side) {
    struct heat_maps maps = {0};
    assert_int_equal(filtags_options_set(fixture->options, "threads", n_threads), FILTAGS_OK);
    const struct heat_map_job job = {.network = &fixture->network, .options = fixture->options,
                                     .images_dir = fixture->folder, .files = fixture->files, .n_files = N_FILES,
                                     .requests = requests, .n_requests = 2 * N_FILES * N_LAYERS, .map_side = map_side,
                                     .thumbnail_side = 48, .output = fixture->output};
    if (heat_maps_create(&job, &maps)) fail_msg("%s", filtags_error_message());
    return maps;
}

/* The activations of one good picture, by a worker of its own. */
static void run_activations(const struct fixture *fixture, filtags_engine *engine, size_t picture,
                            filtags_activation *row) {
    filtags_worker *worker = NULL;
    const size_t *shape = fixture->network.shape;
    float *pixels = malloc(shape[0] * shape[1] * shape[2] * sizeof *pixels);
    char path[128];
    int bad_layer;
    snprintf(path, sizeof path, "%s/%s", fixture->folder, fixture->files[picture]);
    assert_int_equal(filtags_image_load(path, shape[0], shape[1], shape[2], FILTAGS_PREPROCESS_UNIT, pixels), 0);
    assert_int_equal(filtags_worker_create(engine, &worker), FILTAGS_OK);
    assert_int_equal(filtags_worker_run(worker, pixels, 1, row, NULL, &bad_layer), FILTAGS_OK);
    filtags_worker_destroy(worker);
    free(pixels);
}

static void maps_show_activations(void **state) {
    const struct fixture *fixture = *state;
    const struct filter_table *table = &fixture->network.table;
    struct map_request requests[2 * N_FILES * N_LAYERS];
    list_requests(fixture, requests);
    const size_t n_warnings = output_n_warnings(fixture->output);
    struct heat_maps maps = run_heat_maps(fixture, requests, "2", 0);
    assert_int_equal(output_n_warnings(fixture->output), n_warnings + 1);
    filtags_engine *engine = NULL;
    assert_int_equal(network_open_engine(&fixture->network, fixture->options, 1, false, &engine), FILTAGS_OK);
    filtags_activation *row = malloc(table->first[N_LAYERS] * sizeof *row);
    assert_int_equal(maps.n_maps, 2 * N_FILES * N_LAYERS);
    for (size_t i = 0; i < maps.n_maps; i++) {
        const struct heat_map *map = &maps.maps[i];
        if (requests[i].picture == BAD) {
            assert_null(map->values);
            continue;
        }
        run_activations(fixture, engine, requests[i].picture, row);
        const filtags_layer *layer =
            filtags_model_layer(fixture->network.model, fixture->network.layers[requests[i].layer]);
        double sum = 0;
        assert_int_equal(map->h, layer->shape[0]);
        assert_int_equal(map->w, layer->shape[1]);
        for (size_t p = 0; p < map->h * map->w; p++) sum += map->values[p];
        const double activation = row[table->first[requests[i].layer] + requests[i].filter] * 0x1p-31;
        assert_true(fabs(sum / (double)(map->h * map->w) / 255 - activation) < 0.5 / 255);
    }
    filtags_engine_destroy(engine);
    free(row);
    heat_maps_free(&maps);
}

static void thumbnails_show_pictures(void **state) {
    const struct fixture *fixture = *state;
    struct map_request requests[2 * N_FILES * N_LAYERS];
    list_requests(fixture, requests);
    struct heat_maps maps = run_heat_maps(fixture, requests, "1", 8);
    assert_int_equal(maps.n_thumbnails, N_FILES);
    for (size_t i = 0; i < N_FILES; i++) {
        const struct thumbnail *thumbnail = &maps.thumbnails[i];
        struct image image = {0};
        if (i == BAD) {
            assert_null(thumbnail->jpeg);
            continue;
        }
        const struct image_source source = {"thumbnail", (const uint8_t *)thumbnail->jpeg, thumbnail->n_bytes};
        assert_int_equal(image_decode(&source, &image), FILTAGS_OK);
        assert_int_equal(image.channels, 3);
        assert_int_equal(image.width, thumbnail->width);
        assert_int_equal(image.height, thumbnail->height);
        assert_int_equal(image.width > image.height ? image.width : image.height, 48);
        image_free(&image);
    }
    for (size_t i = 0; i < maps.n_maps; i++) assert_true(maps.maps[i].h <= 8 && maps.maps[i].w <= 8);
    heat_maps_free(&maps);
}

static void same_bytes_for_threads(void **state) {
    const struct fixture *fixture = *state;
    struct map_request requests[2 * N_FILES * N_LAYERS];
    list_requests(fixture, requests);
    struct heat_maps one = run_heat_maps(fixture, requests, "1", 0), four = run_heat_maps(fixture, requests, "4", 0);
    for (size_t i = 0; i < one.n_maps; i++)
        if (requests[i].picture != BAD)
            assert_memory_equal(one.maps[i].values, four.maps[i].values, one.maps[i].h * one.maps[i].w);
    for (size_t i = 0; i < N_FILES; i++) {
        assert_int_equal(one.thumbnails[i].n_bytes, four.thumbnails[i].n_bytes);
        if (i != BAD) assert_memory_equal(one.thumbnails[i].jpeg, four.thumbnails[i].jpeg, one.thumbnails[i].n_bytes);
    }
    heat_maps_free(&one);
    heat_maps_free(&four);
}

/* An engine of the caller's, made with the output: the same maps. */
static void engines_of_the_caller(void **state) {
    const struct fixture *fixture = *state;
    struct map_request requests[2 * N_FILES * N_LAYERS];
    list_requests(fixture, requests);
    struct heat_maps own = run_heat_maps(fixture, requests, "1", 0), maps = {0};
    filtags_engine *engine = NULL;
    assert_int_equal(network_open_map_engine(&fixture->network, fixture->options, 4, true, &engine), FILTAGS_OK);
    const struct heat_map_job job = {.network = &fixture->network, .engine = engine, .engine_has_output = true,
                                     .options = fixture->options, .images_dir = fixture->folder,
                                     .files = fixture->files, .n_files = N_FILES, .requests = requests,
                                     .n_requests = 2 * N_FILES * N_LAYERS, .output = fixture->output};
    assert_int_equal(heat_maps_create(&job, &maps), FILTAGS_OK);
    for (size_t i = 0; i < own.n_maps; i++)
        if (requests[i].picture != BAD)
            assert_memory_equal(own.maps[i].values, maps.maps[i].values, own.maps[i].h * own.maps[i].w);
    assert_null(maps.thumbnails[0].jpeg);
    filtags_engine_destroy(engine);
    heat_maps_free(&own);
    heat_maps_free(&maps);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shrinking_is_the_mean_of_areas),
        cmocka_unit_test(small_pictures_stay),
        cmocka_unit_test(jpeg_comes_back),
        cmocka_unit_test_setup_teardown(maps_show_activations, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(thumbnails_show_pictures, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(same_bytes_for_threads, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(engines_of_the_caller, open_fixture, close_fixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
