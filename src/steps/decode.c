/* decode.c - wnids in tags to readable labels. */
#include "base/error.h"
#include "steps/steps.h"

filtags_status step_decode(struct step *step) {
    (void)step;
    return error_set(FILTAGS_ERROR_UNSUPPORTED, "decode: not in this build");
}
