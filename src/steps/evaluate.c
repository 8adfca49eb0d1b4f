/* evaluate.c - step 3: predict the test pictures from the tags of the filters that they excite. */
#include <stdlib.h>

#include "steps/evaluation.h"
#include "steps/steps.h"

static filtags_status write_vars(struct evaluation *run) {
    filtags_status status = FILTAGS_OK;
    for (size_t i = 0; !status && i < filtags_dataset_n_classes(run->dataset); i++) {
        size_t *images, n_images;
        status = evaluation_load_class(run, i, &images, &n_images);
        if (status) break;
        status = evaluation_write_class(run, i, images, n_images);
        free(images);
    }
    return status;
}

static filtags_status write_info(struct evaluation *run) {
    struct buffer text = {0};
    buffer_printf(&text,
                  "Predictions of %s for the test pictures, and those of the tags (filTags, step 3).\n\n"
                  "There is a -varsX.pkl for each class number X, 1..%zu, with one pickle a variable in the order of "
                  "-varsX-names.pkl:\n\n",
                  run->network.name, filtags_dataset_n_classes(run->dataset));
    evaluation_append_info(run, &text);
    return step_write_info(run->output, &text);
}

static void report(const struct evaluation *run, double total_sec) {
    struct buffer *to = &run->step->run->report;
    const struct runner_totals *totals = &run->totals;
    buffer_printf(
        to,
        "evaluation of %s: %zu classes, %zu test pictures, %zu values of k and %zu of q; %.1f s (%.1f pictures/s)\n",
        run->network.name, filtags_dataset_n_classes(run->dataset),
        run->pictures.n_files - totals->n_bad, run->tags.n_k,
        run->tags.n_selectors - run->tags.n_k, total_sec,
        picture_list_rate(&run->pictures, totals));
    picture_list_report(&run->pictures, totals, to);
}

static filtags_status write_files(struct evaluation *run) {
    struct run_number numbers[EVALUATION_MOST_NUMBERS];
    filtags_status status = evaluation_describe(run, "evaluate");
    if (!status) status = write_vars(run);
    if (!status) status = write_info(run);
    if (status) return status;
    report(run, output_elapsed_sec(run->output));
    size_t n_numbers = evaluation_list_numbers(run, filtags_dataset_n_classes(run->dataset), numbers);
    return step_close_output(run->step, &run->output, &run->record, numbers, n_numbers);
}

filtags_status step_evaluate(struct step *step) {
    struct evaluation run;
    filtags_status status = evaluation_open(step, &run);
    if (!status) status = evaluation_open_output(&run, "E");
    if (!status) status = evaluation_run(&run, "evaluate");
    if (!status) status = write_files(&run);
    evaluation_close(&run, status ? filtags_error_message() : NULL);
    return status;
}
