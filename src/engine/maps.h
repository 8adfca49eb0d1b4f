/* maps.h - feature maps out of a run: copied where the tap reads them, before anything is written over them. */
#ifndef FILTAGS_ENGINE_MAPS_H
#define FILTAGS_ENGINE_MAPS_H

#include "engine/engine.h"

/* Take the list of maps that the coming run is to fill in. USAGE: wants_maps is not set though there are maps; one that
 * doesn't exist or is out of order. */
FILTAGS_MUST_USE filtags_status maps_start(struct filtags_worker *worker, size_t n_images, filtags_map *maps,
                                           size_t n_maps);

/* Copy what is wanted of pixels [first, first + n_pixels) of a tap; values: n_filters each, pixel_floats behind
 * one another. Called for the first tap of a node only (plan_tap.same_as), it serves the others. */
void maps_take(const struct filtags_worker *worker, size_t tap, size_t image, size_t first, size_t n_pixels,
               const float *values, size_t pixel_floats);

/* Note the range of a tap's layer. */
void maps_finish(const struct filtags_worker *worker, size_t tap, size_t image, const float range[2]);

#endif
