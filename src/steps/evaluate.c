/* evaluate.c - step 3: predict the test pictures from the tags of the filters that they excite. */
#include <stdlib.h>

#include "base/text.h"
#include "steps/evaluation.h"
#include "steps/progress.h"
#include "steps/shards.h"
#include "steps/steps.h"
#include "steps/teamwork.h"

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
    buffer_printf(to, "evaluation of %s: ", run->network.name);
    text_append_count(to, "", filtags_dataset_n_classes(run->dataset), "class");
    text_append_count(to, ", ", run->pictures.n_files - totals->n_bad, "test picture");
    text_append_count(to, ", ", run->tags.n_k, "value");
    buffer_printf(to, " of k and %zu of q", run->tags.n_selectors - run->tags.n_k);
    picture_list_report_time(&run->pictures, totals, total_sec, to);
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

/* In front of the pictures: what was done of them before. It is the leader's. */
static filtags_status open_progress(struct evaluation *run) {
    const filtags_options *options = run->step->options;
    struct progress_key key = {0};
    char tags_sha256[HASH_HEX_BYTES] = "";
    filtags_status status =
        progress_key_begin(run->step, "E", &run->network, run->dataset, &run->pictures, &key);
    if (!status) status = hash_file(HASH_SHA256, options->filtags_file, tags_sha256);
    buffer_printf(&key.text, "tags %s\n", tags_sha256);
    for (size_t i = 0; i < run->tags.n_selectors; i++)
        buffer_printf(&key.text, "%s %.17g\n", i < run->tags.n_k ? "k" : "q", run->tags.selectors[i].value);
    for (size_t i = 0; i < run->index.n; i++)
        buffer_printf(&key.text, "output %s %s\n", run->index.wnids[i], run->index.labels[i]);
    buffer_printf(&key.place, "tag file %s\n", options->filtags_file);
    if (!status) status = teamwork_tell_key(run->step->team, buffer_text(&key.text));
    if (!status && run->step->parts) status = shard_parts_check(run->step->parts, &key);
    else if (!status && !teamwork_is_helper(run->step->team))
        status = progress_open(run->step, "E", run->network.name, "-vars1.pkl", &key, &run->progress);
    progress_key_free(&key);
    return status;
}

static filtags_status run_pictures(struct evaluation *run) {
    filtags_status status = evaluation_open_output(run, "E");
    if (!status) status = evaluation_run(run, "evaluate");
    if (!status && run->step->options->shard.n)
        return shard_finish(run->step, run->progress, run->output, &run->tally);
    return status ? status : write_files(run);
}

/* Pictures for the leader, and nothing else. */
static filtags_status help_with_pictures(struct evaluation *run) {
    filtags_status status = output_open_silent(run->step->options->save_dir, &run->output);
    return status ? status : evaluation_run(run, "evaluate");
}

static filtags_status do_pictures(struct evaluation *run) {
    if (teamwork_is_helper(run->step->team)) return help_with_pictures(run);
    if (run->progress && progress_is_finished(run->progress)) return progress_report_finished(run->progress);
    return run_pictures(run);
}

filtags_status step_evaluate(struct step *step) {
    struct evaluation run;
    filtags_status status = evaluation_open(step, &run);
    if (!status) status = open_progress(&run);
    if (!status) status = do_pictures(&run);
    status = progress_end(&run.progress, status, false);
    evaluation_close(&run, status ? filtags_error_message() : NULL);
    return status;
}
