#include "engine/maps.h"

#include "base/error.h"

/* Place of a picture's tap in first_map. */
static size_t slot_of(const struct filtags_worker *worker, size_t tap, size_t image) {
    return image * worker->engine->plan.n_taps + tap;
}

static filtags_status check_map(const struct filtags_worker *worker, size_t n_images, const filtags_map *map) {
    const struct plan *plan = &worker->engine->plan;
    if (map->image >= n_images)
        return error_set(FILTAGS_ERROR_USAGE, "a feature map of picture %zu is wanted, of a run of %zu", map->image,
                         n_images);
    if (map->tap >= plan->n_taps)
        return error_set(FILTAGS_ERROR_USAGE, "a feature map of tap %zu is wanted, of an engine with %zu", map->tap,
                         plan->n_taps);
    if (map->filter >= plan->taps[map->tap].n_filters)
        return error_set(FILTAGS_ERROR_USAGE, "a feature map of filter %zu is wanted, of a layer with %zu", map->filter,
                         plan->taps[map->tap].n_filters);
    return FILTAGS_OK;
}

filtags_status maps_start(struct filtags_worker *worker, size_t n_images, filtags_map *maps, size_t n_maps) {
    const size_t n_slots = n_images * worker->engine->plan.n_taps;
    size_t slot = 0;
    if (!worker->engine->wants_maps && n_maps == 0) return FILTAGS_OK;
    if (!worker->engine->wants_maps)
        return error_set(FILTAGS_ERROR_USAGE, "feature maps are wanted, but the engine was made without wants_maps");
    for (size_t i = 0; i < n_maps; i++) {
        filtags_status status = check_map(worker, n_images, &maps[i]);
        if (status != FILTAGS_OK) return status;
        const size_t own = slot_of(worker, maps[i].tap, maps[i].image);
        if (i > 0 && own < slot_of(worker, maps[i - 1].tap, maps[i - 1].image))
            return error_set(FILTAGS_ERROR_USAGE, "feature maps must ascend by picture and tap: map %zu doesn't", i);
        while (slot <= own) worker->first_map[slot++] = i;
    }
    while (slot <= n_slots) worker->first_map[slot++] = n_maps;
    worker->maps = maps;
    return FILTAGS_OK;
}

static void take_one(const struct filtags_worker *worker, size_t slot, size_t first, size_t n_pixels,
                     const float *values, size_t pixel_floats) {
    for (size_t i = worker->first_map[slot]; i < worker->first_map[slot + 1]; i++) {
        const filtags_map *map = &worker->maps[i];
        const float *from = values + map->filter;
        for (size_t p = 0; p < n_pixels; p++, from += pixel_floats) map->values[first + p] = *from;
    }
}

void maps_take(const struct filtags_worker *worker, size_t tap, size_t image, size_t first, size_t n_pixels,
               const float *values, size_t pixel_floats) {
    const struct plan *plan = &worker->engine->plan;
    for (size_t t = tap; t < plan->n_taps; t++)
        if (t == tap || plan->taps[t].same_as == (int)tap)
            take_one(worker, slot_of(worker, t, image), first, n_pixels, values, pixel_floats);
}

void maps_finish(const struct filtags_worker *worker, size_t tap, size_t image, const float range[2]) {
    const struct plan *plan = &worker->engine->plan;
    for (size_t t = tap; t < plan->n_taps; t++) {
        if (t != tap && plan->taps[t].same_as != (int)tap) continue;
        const size_t slot = slot_of(worker, t, image);
        for (size_t i = worker->first_map[slot]; i < worker->first_map[slot + 1]; i++) {
            worker->maps[i].low = range[0];
            worker->maps[i].high = range[1];
        }
    }
}
