/* heat_maps.h - where in pictures filters respond, and the pictures themselves made small: what pages show. */
#ifndef FILTAGS_STEPS_HEAT_MAPS_H
#define FILTAGS_STEPS_HEAT_MAPS_H

#include "steps/runner.h"

/* A filter's feature map over a picture, scaled from the least and largest value of its whole layer in that picture to
 * 0 and 255, so that its mean is about 255 times the filter's activation. All 0 where the layer is constant. */
struct heat_map {
    size_t h, w;
    uint8_t *values; /* [h, w]; NULL: the picture could not be used */
};

struct thumbnail {
    char *jpeg; /* [n_bytes] RGB; NULL: the picture could not be used, or none was wanted */
    size_t n_bytes, width, height;
};

struct heat_map_job {
    const struct network *network;
    filtags_engine *engine; /* with maps, of the network's layers; NULL: one is made for the job */
    bool engine_has_output; /* the engine was made with the model's output */
    const filtags_options *options; /* threads, isa */
    const char *images_dir;
    const char *const *files; /* [n_files] below images_dir, each of them once */
    size_t n_files;
    const struct map_request *requests; /* [n_requests] in any order */
    size_t n_requests;
    size_t map_side;       /* a larger map is shrunk so that its longer side has so many pixels; 0: never */
    size_t thumbnail_side; /* the same of the pictures; 0: no thumbnails */
    struct output *output; /* gets a warning for every picture that can't be used */
    const filtags_callbacks *callbacks;
};

struct heat_maps {
    struct heat_map *maps; /* [n_maps] in the order of the requests */
    size_t n_maps;
    struct thumbnail *thumbnails; /* [n_thumbnails] in the order of the files */
    size_t n_thumbnails;
};

/* Run every picture once, on the options' threads, one at a time in each. Needs the memory of the result and, in each
 * thread, of the maps of one picture as floats; the same bytes for any number of threads. IO, MEMORY, CANCELLED,
 * INTERNAL. The caller frees *result with heat_maps_free. */
FILTAGS_MUST_USE filtags_status heat_maps_create(const struct heat_map_job *job, struct heat_maps *result);
void heat_maps_free(struct heat_maps *maps);

#endif
