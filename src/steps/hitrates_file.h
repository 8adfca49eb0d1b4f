/* hitrates_file.h - the hit rates of step 4 as arrays. */
#ifndef FILTAGS_STEPS_HITRATES_FILE_H
#define FILTAGS_STEPS_HITRATES_FILE_H

#include "steps/steps.h"

enum { HITRATES_ALL_LAYERS, HITRATES_LAST_LAYER, HITRATES_N_LAYERS = 2, HITRATES_N_RULES = 2 };

/* The rates of one rule (k or q), over all layers or over the last one alone. */
struct rate_cube {
    bool is_there;    /* the file has the totals; if not, there is nothing in here */
    bool has_classes; /* and the rates of each class */
    double *rates;    /* [1 + n_classes, n_values, n_m], row 0 is the total; NaN: no rate, as without pictures */
};

struct hitrates_file {
    char **labels; /* [n_classes] in the order of the file */
    size_t n_classes;
    double *m; /* [n_m] ascending, whole numbers from 1 */
    size_t n_m;
    double *values[HITRATES_N_RULES]; /* [n_values] ascending: of k, of q (enum filtags_rule) */
    size_t n_values[HITRATES_N_RULES];
    struct rate_cube cubes[HITRATES_N_RULES][HITRATES_N_LAYERS];
};

/* Read a -vars.pkl of step 4, or of the published scripts (-PH-), which has the totals over all layers alone: what
 * isn't there is left out, with a warning. DATA: other variables, or of other forms; no rate at all. The caller
 * closes *file. */
FILTAGS_MUST_USE filtags_status hitrates_file_open(struct step *step, const char *path, struct hitrates_file *file);
void hitrates_file_close(struct hitrates_file *file);

/* The rates of the total (row 0) or of class row - 1: [n_values, n_m]. */
const double *hitrates_row(const struct hitrates_file *file, int rule, int layers, size_t row);

#endif
