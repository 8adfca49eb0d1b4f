/* visualize.c - a page that shows the tags of all filters. */
#include "base/error.h"
#include "steps/steps.h"

filtags_status step_visualize(struct step *step) {
    (void)step;
    return error_set(FILTAGS_ERROR_UNSUPPORTED, "visualize: not in this build");
}
