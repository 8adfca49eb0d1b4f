/* pipeline.c - the four steps in one go, and the demo on the built-in network. */
#include <stdlib.h>

#include "base/memory.h"
#include "demo/demo.h"
#include "report/account.h"
#include "steps/steps.h"

/* The main files of the steps so far. */
struct chain {
    char *activations, *tags, *evaluation, *hitrates;
};

static void chain_free(struct chain *chain) {
    free(chain->activations);
    free(chain->tags);
    free(chain->evaluation);
    free(chain->hitrates);
}

/* Run one step of the pipeline: its options are the pipeline's, as far as it has them, and its input file. */
static filtags_status run_part(struct step *pipeline, const char *run_id, filtags_status (*run)(struct step *),
                               const char *command, enum option_id input, const char *input_file, char **main_file) {
    filtags_options *options = NULL;
    size_t n_before = pipeline->run->n_files;
    filtags_status status = options_derive(pipeline->options, command, &options);
    if (!status && input_file) status = options_set(options, input, input_file);
    if (!status) {
        struct step part = {
            .options = options, .callbacks = pipeline->callbacks, .run_id = run_id, .run = pipeline->run};
        status = run(&part);
        buffer_free(&part.early_warnings);
    }
    if (!status && !(*main_file = memory_copy_string(pipeline->run->files[n_before]))) status = FILTAGS_ERROR_MEMORY;
    filtags_options_destroy(options);
    return status;
}

static filtags_status run_all(struct step *step, struct chain *chain) {
    static const char *const kinds[] = {"QFA", "TF", "E", "HR"};
    char run_id[RUN_ID_BYTES];
    filtags_status status = output_choose_run_id(step->options->save_dir, step->options->time_delta, kinds, 4, run_id);
    if (!status)
        status = run_part(step, run_id, step_activations, "activations", OPTION_NONE, NULL, &chain->activations);
    if (!status)
        status = run_part(step, run_id, step_tag, "tag", OPTION_ACTIVATIONS_FILE, chain->activations, &chain->tags);
    if (!status)
        status =
            run_part(step, run_id, step_evaluate, "evaluate", OPTION_FILTAGS_FILE, chain->tags, &chain->evaluation);
    if (!status)
        status =
            run_part(step, run_id, step_hitrates, "hitrates", OPTION_EVAL_FILE, chain->evaluation, &chain->hitrates);
    return status;
}

filtags_status step_pipeline(struct step *step) {
    struct chain chain = {0};
    filtags_status status = run_all(step, &chain);
    chain_free(&chain);
    return status;
}

/* Few enough to read, and no k above the 24 filters of its smallest layers. */
static const char demo_k_q[] = "0,1,2,5,10,20";

/* The demo is a pipeline on files that the program brings along. */
static filtags_status derive_demo(const struct step *demo, const struct demo_paths *paths, filtags_options **options) {
    filtags_status status = options_derive(demo->options, "pipeline", options);
    if (!status) status = options_set(*options, OPTION_MODEL, paths->model);
    if (!status) status = options_set(*options, OPTION_IMAGES_DIR, paths->images_dir);
    if (!status) status = options_set(*options, OPTION_CLASS_INDEX, paths->class_index);
    if (!status) status = options_set(*options, OPTION_SAVE_DIR, demo->options->save_dir);
    if (!status && !options_is_given(demo->options, OPTION_K_Q)) status = options_set(*options, OPTION_K_Q, demo_k_q);
    return status;
}

filtags_status step_demo(struct step *step) {
    struct demo_paths paths = {0};
    struct chain chain = {0};
    filtags_options *options = NULL;
    filtags_status status = demo_unpack(step->options->save_dir, &paths);
    if (!status) status = derive_demo(step, &paths, &options);
    if (!status) {
        struct step pipeline = {.options = options, .callbacks = step->callbacks, .run = step->run};
        status = run_all(&pipeline, &chain);
    }
    if (!status) status = account_append(&step->run->report, chain.activations);
    filtags_options_destroy(options);
    demo_paths_free(&paths);
    chain_free(&chain);
    return status;
}
