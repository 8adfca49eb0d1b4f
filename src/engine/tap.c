#include "engine/tap.h"

#include <math.h>
#include <string.h>

void tap_start(double *sums, size_t n_filters, float range[2]) {
    memset(sums, 0, n_filters * sizeof *sums);
    range[0] = INFINITY;
    range[1] = -INFINITY;
}

bool tap_finish(const double *sums, size_t n_filters, size_t n_pixels, const float range[2],
                filtags_activation *activations) {
    const double low = (double)range[0], size = (double)range[1] - low;
    bool is_finite = true;
    for (size_t i = 0; i < n_filters; i++) is_finite = is_finite && isfinite(sums[i]);
    for (size_t i = 0; i < n_filters; i++) {
        double activation = is_finite && size > 0 ? (sums[i] / (double)n_pixels - low) / size : 0;
        activation = activation < 0 ? 0 : activation > 1 ? 1 : activation;
        activations[i] = (filtags_activation)rint(activation * FILTAGS_ACTIVATION_ONE);
    }
    return is_finite;
}
