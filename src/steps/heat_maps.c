#include "steps/heat_maps.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"

enum { JPEG_QUALITY = 85 };

/* A request and its place in the caller's order. The request comes first, for the comparison. */
struct ordered_request {
    struct map_request request;
    size_t place;
};

struct heat_map_run {
    const struct heat_map_job *job;
    struct ordered_request *ordered; /* [n_requests] by picture and layer */
    struct map_request *requests;    /* [n_requests] the same, for the runner */
    bool *is_bad;                    /* [n_files] */
    struct heat_maps result;
};

static int compare_sizes(size_t a, size_t b) { return (a > b) - (a < b); }

static int compare_requests(const void *a, const void *b) {
    const struct ordered_request *x = a, *y = b;
    int order = compare_sizes(x->request.picture, y->request.picture);
    if (!order) order = compare_sizes(x->request.layer, y->request.layer);
    if (!order) order = compare_sizes(x->request.filter, y->request.filter);
    return order ? order : compare_sizes(x->place, y->place);
}

static filtags_status prepare(struct heat_map_run *run) {
    const struct heat_map_job *job = run->job;
    run->ordered = memory_new(job->n_requests, sizeof *run->ordered);
    run->requests = memory_new(job->n_requests, sizeof *run->requests);
    run->is_bad = memory_new(job->n_files, sizeof *run->is_bad);
    run->result.maps = memory_new(job->n_requests, sizeof *run->result.maps);
    run->result.thumbnails = memory_new(job->n_files, sizeof *run->result.thumbnails);
    if (!run->ordered || !run->requests || !run->is_bad || !run->result.maps || !run->result.thumbnails)
        return FILTAGS_ERROR_MEMORY;
    run->result.n_maps = job->n_requests;
    run->result.n_thumbnails = job->n_files;
    for (size_t i = 0; i < job->n_requests; i++)
        run->ordered[i] = (struct ordered_request){job->requests[i], i};
    qsort(run->ordered, job->n_requests, sizeof *run->ordered, compare_requests);
    for (size_t i = 0; i < job->n_requests; i++) run->requests[i] = run->ordered[i].request;
    return FILTAGS_OK;
}

/* Threads write to places of their own, so that none waits for another. */
static filtags_status take_picture(void *context, size_t thread, size_t index, const struct image *image) {
    struct heat_map_run *run = context;
    struct image small = {0};
    struct buffer jpeg = {0};
    (void)thread;
    filtags_status status = image_shrink(image, run->job->thumbnail_side, &small);
    if (!status) status = image_convert(&small, 3);
    if (!status) status = image_encode_jpeg(&small, JPEG_QUALITY, &jpeg);
    if (!status) {
        struct thumbnail *thumbnail = &run->result.thumbnails[index];
        *thumbnail = (struct thumbnail){.n_bytes = jpeg.size_bytes, .width = small.width, .height = small.height};
        thumbnail->jpeg = buffer_take(&jpeg);
    }
    image_free(&small);
    buffer_free(&jpeg);
    return status;
}

static uint8_t scale(const filtags_map *map, float value) {
    const double low = (double)map->low, size = (double)map->high - low;
    return size > 0 ? (uint8_t)rint(((double)value - low) / size * 255) : 0;
}

static filtags_status take_map(void *context, size_t request, const filtags_map *map) {
    struct heat_map_run *run = context;
    const struct network *network = run->job->network;
    const filtags_layer *layer = filtags_model_layer(network->model, network->layers[run->requests[request].layer]);
    struct image whole = {.height = layer->shape[0], .width = layer->shape[1], .channels = 1}, small = {0};
    filtags_status status = FILTAGS_OK;
    whole.pixels = memory_new(whole.height, whole.width);
    if (!whole.pixels) return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < whole.height * whole.width; i++) whole.pixels[i] = scale(map, map->values[i]);
    if (run->job->map_side) {
        status = image_shrink(&whole, run->job->map_side, &small);
        image_free(&whole);
        whole = small;
    }
    if (!status)
        run->result.maps[run->ordered[request].place] = (struct heat_map){whole.height, whole.width, whole.pixels};
    return status;
}

/* A picture of which something turned out to be unusable has nothing: neither thumbnail nor maps. */
static void drop_bad_pictures(struct heat_map_run *run) {
    for (size_t i = 0; i < run->job->n_files; i++) {
        if (!run->is_bad[i]) continue;
        free(run->result.thumbnails[i].jpeg);
        run->result.thumbnails[i] = (struct thumbnail){0};
    }
}

filtags_status heat_maps_create(const struct heat_map_job *job, struct heat_maps *result) {
    struct heat_map_run run = {.job = job};
    struct runner_totals totals;
    filtags_engine *own = NULL;
    filtags_status status = prepare(&run);
    if (!status && !job->engine) status = network_open_map_engine(job->network, job->options, 1, false, &own);
    if (!status) {
        const struct runner_job pictures = {.what = "heat maps",
                                            .engine = own ? own : job->engine,
                                            .network = job->network,
                                            .preprocess = job->network->preprocess,
                                            .images_dir = job->images_dir,
                                            .files = job->files,
                                            .n_files = job->n_files,
                                            .n_threads = options_n_threads(job->options),
                                            .batch = 1,
                                            .wants_output = !own && job->engine_has_output,
                                            .is_isolated = job->options->isolate,
                                            .output = job->output,
                                            .callbacks = job->callbacks,
                                            .look = job->thumbnail_side ? take_picture : NULL,
                                            .maps = run.requests,
                                            .n_maps = job->n_requests,
                                            .take_map = take_map,
                                            .context = &run,
                                            .is_bad = run.is_bad};
        status = runner_run(&pictures, &totals);
    }
    filtags_engine_destroy(own);
    if (!status) drop_bad_pictures(&run);
    if (!status) *result = run.result;
    else heat_maps_free(&run.result);
    free(run.ordered);
    free(run.requests);
    free(run.is_bad);
    return status;
}

void heat_maps_free(struct heat_maps *maps) {
    for (size_t i = 0; i < maps->n_maps; i++) free(maps->maps[i].values);
    for (size_t i = 0; i < maps->n_thumbnails; i++) free(maps->thumbnails[i].jpeg);
    free(maps->maps);
    free(maps->thumbnails);
    *maps = (struct heat_maps){0};
}
