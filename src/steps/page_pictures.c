#include "steps/page_pictures.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json_text.h"
#include "base/memory.h"

/* A page of 9 MB of pictures stays below 30 MB with 10 million class activations. */
enum { BUDGET_BYTES = 9000000, THUMBNAIL_SIDE = 112, THUMBNAIL_BYTES = 4000, MAP_SIDE = 28 };

/* ---------------------------------------------------------------- which pictures */

/* Take picture number rank of every filter of a layer, as long as there is room. */
static size_t choose_of_layer(const struct top_images *top, size_t layer, size_t rank,
                              const struct picture_budget *budget, size_t *n_spent, bool *is_chosen,
                              bool *is_file_chosen) {
    size_t n = 0;
    for (size_t f = top->table.first[layer]; f < top->table.first[layer + 1]; f++) {
        size_t image = top->offset[f] + rank;
        if (image >= top->offset[f + 1]) continue;
        size_t file = top->images[image].file;
        size_t cost = budget->map_bytes[layer] + (is_file_chosen[file] ? 0 : budget->thumbnail_bytes);
        if (*n_spent + cost > budget->n_bytes) continue;
        *n_spent += cost;
        is_chosen[image] = is_file_chosen[file] = true;
        n++;
    }
    return n;
}

size_t page_pictures_choose(const struct top_images *top, size_t first_layer, const struct picture_budget *budget,
                            bool *is_chosen, bool *is_file_chosen) {
    size_t n = 0, n_spent = 0;
    for (size_t rank = 0; rank < top->n_most; rank++) {
        for (size_t layer = top->table.n_layers; layer-- > first_layer;)
            n += choose_of_layer(top, layer, rank, budget, &n_spent, is_chosen, is_file_chosen);
    }
    return n;
}

/* Turn the choice into files, each once, and requests for heat maps of them. */
static filtags_status list_requests(struct page_pictures *pictures, const bool *is_chosen, const bool *is_file_chosen) {
    const struct top_images *top = &pictures->top;
    size_t *place_of_file = memory_new(top->n_files, sizeof *place_of_file);
    pictures->files = memory_new(top->n_files, sizeof *pictures->files);
    pictures->requests = memory_new(pictures->n_shown, sizeof *pictures->requests);
    pictures->images = memory_new(pictures->n_shown, sizeof *pictures->images);
    if (!place_of_file || !pictures->files || !pictures->requests || !pictures->images) {
        free(place_of_file);
        return FILTAGS_ERROR_MEMORY;
    }
    for (size_t i = 0; i < top->n_files; i++) {
        if (!is_file_chosen[i]) continue;
        place_of_file[i] = pictures->n_files;
        pictures->files[pictures->n_files++] = top->files[i];
    }
    size_t n = 0;
    for (size_t layer = pictures->first_layer; layer < top->table.n_layers; layer++) {
        for (size_t f = top->table.first[layer]; f < top->table.first[layer + 1]; f++) {
            for (size_t i = top->offset[f]; i < top->offset[f + 1]; i++) {
                if (!is_chosen[i]) continue;
                pictures->images[n] = (uint32_t)i;
                pictures->requests[n++] =
                    (struct map_request){place_of_file[top->images[i].file], layer, f - top->table.first[layer]};
            }
        }
    }
    free(place_of_file);
    return FILTAGS_OK;
}

/* image_shrink's size of a map: its longer side at most MAP_SIDE. */
static size_t map_bytes_of(const filtags_layer *layer) {
    size_t h = layer->shape[0], w = layer->shape[1], side = h > w ? h : w;
    if (side <= MAP_SIDE) return h * w;
    return (h * MAP_SIDE / side + 1) * (w * MAP_SIDE / side + 1);
}

static filtags_status choose(struct page_pictures *pictures, const struct network *network) {
    const struct top_images *top = &pictures->top;
    size_t n_images = top->offset[top->table.first[top->table.n_layers]];
    size_t n_offered = n_images - top->offset[top->table.first[pictures->first_layer]];
    size_t *map_bytes = memory_new(top->table.n_layers, sizeof *map_bytes);
    bool *is_chosen = memory_new(n_images, sizeof *is_chosen);
    bool *is_file_chosen = memory_new(top->n_files, sizeof *is_file_chosen);
    filtags_status status = FILTAGS_ERROR_MEMORY;
    if (map_bytes && is_chosen && is_file_chosen) {
        for (size_t i = 0; i < top->table.n_layers; i++)
            map_bytes[i] = map_bytes_of(filtags_model_layer(network->model, network->layers[i]));
        const struct picture_budget budget = {BUDGET_BYTES, THUMBNAIL_BYTES, map_bytes};
        pictures->n_shown = page_pictures_choose(top, pictures->first_layer, &budget, is_chosen, is_file_chosen);
        pictures->n_left_out = n_offered - pictures->n_shown;
        status = list_requests(pictures, is_chosen, is_file_chosen);
    }
    free(map_bytes);
    free(is_chosen);
    free(is_file_chosen);
    return status;
}

/* ---------------------------------------------------------------- what they look like */

static filtags_status check_network(const struct network *network, const struct filter_table *table) {
    if (network->table.n_layers == table->n_layers &&
        memcmp(network->table.n_filters, table->n_filters, table->n_layers * sizeof *table->n_filters) == 0)
        return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_DATA, "%s: the layers and filters of the tags expected, found others",
                     network->path);
}

static filtags_status run_network(struct step *step, const struct filter_table *table, struct output *output,
                                  struct page_pictures *pictures) {
    filtags_options *options = step->options;
    struct network network = {0};
    if (!options->model && !options->network)
        return error_set(FILTAGS_ERROR_DATA, "the network is not known: --network or --model expected");
    if (!options->images_dir) return error_set(FILTAGS_ERROR_DATA, "the pictures' folder, --images-dir, is not known");
    if (access(options->images_dir, R_OK | X_OK))
        return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be read", options->images_dir);
    options->offline = true; /* pictures are no reason for a download */
    filtags_status status = network_open(options, step->callbacks, &network);
    if (status) return status;
    status = check_network(&network, table);
    if (!status) status = choose(pictures, &network);
    if (!status && pictures->n_shown) {
        const struct heat_map_job job = {.network = &network,
                                         .options = options,
                                         .images_dir = options->images_dir,
                                         .files = pictures->files,
                                         .n_files = pictures->n_files,
                                         .requests = pictures->requests,
                                         .n_requests = pictures->n_shown,
                                         .map_side = MAP_SIDE,
                                         .thumbnail_side = THUMBNAIL_SIDE,
                                         .output = output,
                                         .callbacks = step->callbacks};
        status = heat_maps_create(&job, &pictures->maps);
    }
    network_close(&network);
    return status;
}

filtags_status page_pictures_open(struct step *step, const char *activations_path, const struct filter_table *table,
                                  size_t first_layer, struct output *output, struct page_pictures *result) {
    struct page_pictures pictures = {.first_layer = first_layer};
    bool is_found = false;
    filtags_status status = FILTAGS_OK;
    if (activations_path) status = top_images_open(activations_path, table, &pictures.top, &is_found);
    if (!status && is_found) status = run_network(step, table, output, &pictures);
    if (status && status != FILTAGS_ERROR_MEMORY && status != FILTAGS_ERROR_CANCELLED) {
        output_log(output, FILTAGS_LOG_WARNING, "the page has no pictures: %s", filtags_error_message());
        page_pictures_close(&pictures);
        status = FILTAGS_OK;
    }
    if (status) page_pictures_close(&pictures);
    else *result = pictures;
    return status;
}

void page_pictures_close(struct page_pictures *pictures) {
    heat_maps_free(&pictures->maps);
    free(pictures->requests);
    free(pictures->images);
    free(pictures->files);
    top_images_close(&pictures->top);
    *pictures = (struct page_pictures){0};
}

/* ---------------------------------------------------------------- blocks */

/* A heat map that there is, its picture having been usable. */
static bool is_usable(const struct page_pictures *pictures, size_t request) {
    return pictures->maps.maps[request].values && pictures->maps.thumbnails[pictures->requests[request].picture].jpeg;
}

static json_t *file_to_json(const struct page_pictures *pictures, size_t file) {
    const struct thumbnail *thumbnail = &pictures->maps.thumbnails[file];
    json_t *object = json_object();
    json_object_set_new(object, "name", json_text(pictures->files[file]));
    json_object_set_new(object, "bytes", json_integer((json_int_t)thumbnail->n_bytes));
    json_object_set_new(object, "width", json_integer((json_int_t)thumbnail->width));
    json_object_set_new(object, "height", json_integer((json_int_t)thumbnail->height));
    return object;
}

static filtags_status add_files(const struct page_pictures *pictures, struct page *page) {
    json_t *root = json_object(), *files = json_array(), *sizes = json_array();
    struct buffer jpegs = {0};
    for (size_t i = 0; i < pictures->n_files; i++) {
        json_array_append_new(files, file_to_json(pictures, i));
        if (pictures->maps.thumbnails[i].jpeg)
            buffer_append(&jpegs, pictures->maps.thumbnails[i].jpeg, pictures->maps.thumbnails[i].n_bytes);
    }
    for (size_t layer = pictures->first_layer, i = 0; layer < pictures->top.table.n_layers; layer++) {
        size_t h = 0, w = 0; /* of the layer's maps */
        for (; i < pictures->n_shown && pictures->requests[i].layer == layer; i++) {
            if (!is_usable(pictures, i)) continue;
            h = pictures->maps.maps[i].h;
            w = pictures->maps.maps[i].w;
        }
        json_array_append_new(sizes, json_pack("[I, I]", (json_int_t)h, (json_int_t)w));
    }
    json_object_set_new(root, "files", files);
    json_object_set_new(root, "mapSizes", sizes);
    json_object_set_new(root, "leftOut", json_integer((json_int_t)pictures->n_left_out));
    filtags_status status = page_add_json(page, "pictures", root);
    json_decref(root);
    if (!status && jpegs.has_failed) status = FILTAGS_ERROR_MEMORY;
    if (!status) status = page_add_bytes(page, "thumbnails", jpegs.data, jpegs.size_bytes);
    buffer_free(&jpegs);
    return status;
}

static void append_uint32(struct buffer *to, uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) {
        unsigned char byte = (unsigned char)(value >> shift);
        buffer_append(to, &byte, 1);
    }
}

/* Append one layer's block; its requests are [first, end). */
static void append_layer(struct buffer *to, const struct page_pictures *pictures, size_t first, size_t end,
                         size_t n_filters) {
    for (size_t filter = 0, i = first; filter < n_filters; filter++) {
        uint32_t n = 0;
        for (; i < end && pictures->requests[i].filter == filter; i++) n += is_usable(pictures, i);
        append_uint32(to, n);
    }
    for (size_t i = first; i < end; i++) {
        if (is_usable(pictures, i)) append_uint32(to, (uint32_t)pictures->requests[i].picture);
    }
    for (size_t i = first; i < end; i++) {
        uint32_t bits;
        memcpy(&bits, &pictures->top.images[pictures->images[i]].activation, sizeof bits);
        if (is_usable(pictures, i)) append_uint32(to, bits);
    }
    for (size_t i = first; i < end; i++) {
        const struct heat_map *map = &pictures->maps.maps[i];
        if (is_usable(pictures, i)) buffer_append(to, map->values, map->h * map->w);
    }
}

filtags_status page_pictures_add(const struct page_pictures *pictures, struct page *page) {
    if (!pictures->n_shown) return FILTAGS_OK;
    filtags_status status = add_files(pictures, page);
    const struct filter_table *table = &pictures->top.table;
    size_t first = 0, end;
    for (size_t layer = pictures->first_layer; layer < table->n_layers && !status; layer++, first = end) {
        struct buffer bytes = {0};
        char id[40];
        for (end = first; end < pictures->n_shown && pictures->requests[end].layer == layer;) end++;
        append_layer(&bytes, pictures, first, end, table->n_filters[layer]);
        snprintf(id, sizeof id, "maps-%zu", layer - pictures->first_layer);
        status = bytes.has_failed ? FILTAGS_ERROR_MEMORY : page_add_bytes(page, id, bytes.data, bytes.size_bytes);
        buffer_free(&bytes);
    }
    return status;
}
