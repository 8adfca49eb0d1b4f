/* single_image.c - count the tags of every test picture of one class. */
#include "base/error.h"
#include "steps/steps.h"

filtags_status step_single_image(struct step *step) {
    (void)step;
    return error_set(FILTAGS_ERROR_UNSUPPORTED, "single-image: not in this build");
}
