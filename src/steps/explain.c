/* explain.c - explain the classification of single pictures. */
#include "base/error.h"
#include "steps/steps.h"

filtags_status step_explain(struct step *step) {
    (void)step;
    return error_set(FILTAGS_ERROR_UNSUPPORTED, "explain: not in this build");
}
