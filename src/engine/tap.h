/* tap.h - from a layer's statistics to its filters' activations. */
#ifndef FILTAGS_ENGINE_TAP_H
#define FILTAGS_ENGINE_TAP_H

#include "filtags.h"

/* Set sums [n_filters] to 0 and range to nothing, for the kernels' tap. */
void tap_start(double *sums, size_t n_filters, float range[2]);

/* activations [n_filters] = ((sum / n_pixels - minimum) / (maximum - minimum)), clamped to [0, 1] and rounded once to
 * units of 2^-31; 0 where the layer is constant. Returns false where a value was not finite: a sum of finite floats in
 * double can't overflow, so it is finite exactly where they all were. */
bool tap_finish(const double *sums, size_t n_filters, size_t n_pixels, const float range[2],
                filtags_activation *activations);

#endif
