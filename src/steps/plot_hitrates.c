/* plot_hitrates.c - plots of the hit rates. */
#include "base/error.h"
#include "steps/steps.h"

filtags_status step_plot_hitrates(struct step *step) {
    (void)step;
    return error_set(FILTAGS_ERROR_UNSUPPORTED, "plot-hitrates: not in this build");
}
