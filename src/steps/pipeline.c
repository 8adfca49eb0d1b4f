/* pipeline.c - the four steps in one go, and the demo on the built-in network, with its pages. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "demo/demo.h"
#include "report/account.h"
#include "steps/progress.h"
#include "steps/steps.h"
#include "steps/teamwork.h"

enum part_id {
    ACTIVATIONS,
    TAGS,
    EVALUATION,
    HIT_RATES,
    N_STEPS, /* the parts of a pipeline; those that follow are the demo's, and make pages */
    TAG_PAGE = N_STEPS,
    HIT_RATE_PAGE,
    EXPLANATION,
    N_PARTS
};

/* The parts in the order in which they run: each takes the main file of an earlier one. */
static const struct part {
    const char *command, *kind;
    filtags_status (*run)(struct step *step);
    enum option_id input; /* takes the main file of part `from`; OPTION_NONE: the first part */
    enum part_id from;
    const char *main_suffix; /* of its main file */
    const char *shows;    /* what is on its page */
} parts[N_PARTS] = {
    [ACTIVATIONS] = {"activations", "QFA", step_activations, OPTION_NONE, ACTIVATIONS, "-vars.pkl", NULL},
    [TAGS] = {"tag", "TF", step_tag, OPTION_ACTIVATIONS_FILE, ACTIVATIONS, "-vars.pkl", NULL},
    [EVALUATION] = {"evaluate", "E", step_evaluate, OPTION_FILTAGS_FILE, TAGS, "-vars1.pkl", NULL},
    [HIT_RATES] = {"hitrates", "HR", step_hitrates, OPTION_EVAL_FILE, EVALUATION, "-vars.pkl", NULL},
    [TAG_PAGE] = {"visualize", "VIS", step_visualize, OPTION_FILTAGS_FILE, TAGS, ".html",
                  "every filter: its tags, its class activations, the pictures that excite it most"},
    [HIT_RATE_PAGE] = {"plot-hitrates", "HP", step_plot_hitrates, OPTION_HITRATES_FILE, HIT_RATES, ".html",
                       "how often the tags agree with the network, for each class, k, q and m"},
    [EXPLANATION] = {"explain", "EX", step_explain, OPTION_FILTAGS_FILE, TAGS, ".html",
                     "why a picture is taken for what it is: the filters, their tags, and where they look"},
};

/* A pipeline on its way. */
struct pipeline {
    filtags_options *options; /* the command's or, of the demo, a pipeline's */
    struct step *step;
    char run_id[RUN_ID_BYTES];
    const char *picture;         /* for the explanation */
    char *main_files[N_PARTS];
    struct buffer key;           /* what its files depend on besides step 1's options */
    bool is_resumed;             /* it goes on under the runID of an earlier attempt */
    struct progress *progress;   /* step 1's: it locks the run, and is there until all parts are done */
};

static void pipeline_free(struct pipeline *pipeline) {
    for (size_t i = 0; i < N_PARTS; i++) free(pipeline->main_files[i]);
    buffer_free(&pipeline->key);
}

/* The options that its files depend on: another k, say, is another pipeline. */
static void append_key(struct pipeline *pipeline, size_t n_parts) {
    static const enum option_id of_no_matter[] = {OPTION_SAVE_DIR, OPTION_TIME_DELTA, OPTION_CHECKPOINT_INTERVAL,
                                                  OPTION_RESTART,  OPTION_STRICT,     OPTION_STORE,
                                                  OPTION_THREADS,  OPTION_BATCH,      OPTION_QUIET,
                                                  OPTION_VERBOSE,  OPTION_OFFLINE};
    buffer_printf(&pipeline->key, "pipeline of %zu parts\n", n_parts);
    for (enum option_id id = 0; id < N_OPTIONS; id++) {
        const char *value = pipeline->options->texts[id];
        bool matters = value != NULL;
        for (size_t i = 0; i < sizeof of_no_matter / sizeof *of_no_matter; i++)
            matters = matters && of_no_matter[i] != id;
        if (matters) buffer_printf(&pipeline->key, "%s %s\n", option_row(id)->name, value);
    }
}

/* One runID for all parts. */
static filtags_status choose_run_id(struct pipeline *pipeline, size_t n_parts) {
    const char *kinds[N_PARTS];
    for (size_t i = 0; i < n_parts; i++) kinds[i] = parts[i].kind;
    const filtags_options *options = pipeline->options;
    append_key(pipeline, n_parts);
    if (pipeline->key.has_failed) return FILTAGS_ERROR_MEMORY;
    return output_choose_run_id(options->save_dir, options->time_delta, kinds, n_parts, pipeline->run_id);
}

/* The part's options are the pipeline's, as far as it has them, and its input file. */
static filtags_status derive_part(const struct pipeline *pipeline, enum part_id id, filtags_options **options) {
    const struct part *part = &parts[id];
    filtags_status status = options_derive(pipeline->options, part->command, options);
    if (!status && part->input != OPTION_NONE)
        status = options_set(*options, part->input, pipeline->main_files[part->from]);
    if (!status && id == EXPLANATION) status = filtags_options_add_argument(*options, pipeline->picture);
    /* of the pipeline's values one is enough to explain by */
    if (!status && id == EXPLANATION)
        status = options_set(*options, OPTION_K_Q, option_default(command_row((*options)->command), OPTION_K_Q));
    return status;
}

/* A part that an earlier attempt has finished is not run again. Steps 1 and 3 look for themselves, since their progress
 * has to be removed. */
static filtags_status take_finished(struct pipeline *pipeline, enum part_id id, bool *is_finished) {
    char **files = NULL;
    size_t n_files = 0;
    filtags_run *run = pipeline->step->run;
    *is_finished = false;
    if (!pipeline->is_resumed || id == ACTIVATIONS || id == EVALUATION) return FILTAGS_OK;
    filtags_status status = output_find_finished(pipeline->options->save_dir, pipeline->run_id, parts[id].kind,
                                                 parts[id].main_suffix, &files, &n_files);
    if (status) return status;
    *is_finished = n_files > 0;
    if (n_files) buffer_printf(&run->report, "%s: done already\n", parts[id].command);
    for (size_t i = 0; i < n_files; i++) {
        if (!status) status = run_add_file(run, files[i]);
        free(files[i]);
    }
    free(files);
    return status;
}

/* What step 1 has found or begun counts for all parts. */
static void take_over_run(struct pipeline *pipeline, const struct step *part) {
    if (part->run_id != pipeline->run_id) memcpy(pipeline->run_id, part->run_id, RUN_ID_BYTES);
    pipeline->is_resumed = part->is_resumed;
    pipeline->progress = part->kept_progress;
}

static filtags_status run_part(struct pipeline *pipeline, enum part_id id) {
    filtags_run *run = pipeline->step->run;
    filtags_options *options = NULL;
    size_t n_before = run->n_files;
    bool is_finished;
    filtags_status status = take_finished(pipeline, id, &is_finished);
    if (!status) status = derive_part(pipeline, id, &options);
    if (!status && !is_finished) {
        struct step part = {.options = options,
                            .callbacks = pipeline->step->callbacks,
                            .team = pipeline->step->team,
                            .run_id = pipeline->run_id,
                            .pipeline_key = buffer_text(&pipeline->key),
                            .is_part_of_run = id != ACTIVATIONS,
                            .is_resumed = pipeline->is_resumed,
                            .keeps_progress = id == ACTIVATIONS,
                            .run = run};
        status = parts[id].run(&part);
        if (id == ACTIVATIONS) take_over_run(pipeline, &part);
        buffer_free(&part.early_warnings);
    }
    if (!status && !(pipeline->main_files[id] = memory_copy_string(run->files[n_before])))
        status = FILTAGS_ERROR_MEMORY;
    filtags_options_destroy(options);
    return status;
}

/* A helper takes part where there are pictures, and gets the leader's file. */
static filtags_status help_with_part(struct pipeline *pipeline, enum part_id id) {
    filtags_options *options = NULL;
    if (id != ACTIVATIONS && id != EVALUATION) return FILTAGS_OK;
    filtags_status status = derive_part(pipeline, id, &options);
    if (!status) {
        struct step part = {.options = options,
                            .callbacks = pipeline->step->callbacks,
                            .team = pipeline->step->team,
                            .run_id = pipeline->run_id,
                            .run = pipeline->step->run};
        status = parts[id].run(&part);
        buffer_free(&part.early_warnings);
    }
    filtags_options_destroy(options);
    return status;
}

static filtags_status share_part(struct pipeline *pipeline, enum part_id id) {
    struct teamwork *team = pipeline->step->team;
    filtags_status status = teamwork_is_helper(team) ? help_with_part(pipeline, id) : run_part(pipeline, id);
    return teamwork_end_part(team, status, &pipeline->main_files[id]);
}

/* With all parts done, the next run of the command is another one. After a failure it goes on with this one. */
static void end_progress(struct pipeline *pipeline, filtags_status status) {
    if (status) progress_close(pipeline->progress);
    else progress_remove(pipeline->progress);
}

static filtags_status run_parts(struct pipeline *pipeline, enum part_id first, enum part_id end) {
    filtags_status status = FILTAGS_OK;
    for (enum part_id id = first; id < end && !status; id++) status = share_part(pipeline, id);
    return status;
}

filtags_status step_pipeline(struct step *step) {
    struct pipeline pipeline = {.options = step->options, .step = step};
    filtags_status status = FILTAGS_OK;
    if (!teamwork_is_helper(step->team)) {
        status = choose_run_id(&pipeline, N_STEPS);
        if (status) status = teamwork_end_part(step->team, status, NULL); /* the helpers are in the first part */
    }
    if (!status) status = run_parts(&pipeline, ACTIVATIONS, N_STEPS);
    if (!status) run_report_files(step->run, step->run->n_files);
    end_progress(&pipeline, status);
    pipeline_free(&pipeline);
    return status;
}

/* Few enough to read, and no k above the 24 filters of its smallest layers. */
static const char demo_k_q[] = "0,1,2,5,10,20";

/* Of the test pictures, which no filter's activation was averaged over. */
static const char demo_picture[] = "Ankle-boot/Ankle-boot_0010.png";

/* The demo is a pipeline on files that the program brings along. */
static filtags_status derive_demo(const struct step *demo, const struct demo_paths *paths, filtags_options **options) {
    filtags_status status = options_derive(demo->options, "pipeline", options);
    if (!status) status = options_set(*options, OPTION_MODEL, paths->model);
    if (!status) status = options_set(*options, OPTION_IMAGES_DIR, paths->images_dir);
    if (!status) status = options_set(*options, OPTION_CLASS_INDEX, paths->class_index);
    if (!status) status = options_set(*options, OPTION_SAVE_DIR, demo->options->save_dir);
    if (!status && !options_is_given(demo->options, OPTION_K_Q)) status = options_set(*options, OPTION_K_Q, demo_k_q);
    if (!status && !options_is_given(demo->options, OPTION_TOP_IMAGES)) {
        const char *n_top = option_default(command_row(demo->options->command), OPTION_TOP_IMAGES);
        status = options_set(*options, OPTION_TOP_IMAGES, n_top);
    }
    return status;
}

static void report_pages(const struct pipeline *pipeline) {
    struct buffer *report = &pipeline->step->run->report;
    buffer_append_text(report, "\npages, to be opened in a browser:\n");
    for (enum part_id id = TAG_PAGE; id < N_PARTS; id++)
        buffer_printf(report, "  %s\n      %s\n", pipeline->main_files[id], parts[id].shows);
}

/* All parts, with the account of the network between the steps and the pages. */
static filtags_status run_demo(struct pipeline *pipeline) {
    filtags_run *run = pipeline->step->run;
    filtags_status status = choose_run_id(pipeline, N_PARTS);
    if (!status) status = run_parts(pipeline, ACTIVATIONS, N_STEPS);
    if (!status) status = account_append(&run->report, pipeline->main_files[ACTIVATIONS]);
    if (status) return status;
    const size_t n_files_of_steps = run->n_files;
    buffer_append_text(&run->report, "\n");
    status = run_parts(pipeline, TAG_PAGE, N_PARTS);
    if (status) return status;
    run_report_files(run, n_files_of_steps);
    report_pages(pipeline);
    return FILTAGS_OK;
}

filtags_status step_demo(struct step *step) {
    struct demo_paths paths = {0};
    struct pipeline pipeline = {.step = step};
    char *picture = NULL;
    filtags_status status = demo_unpack(step->options->save_dir, &paths);
    if (!status && !(picture = path_join(paths.images_dir, demo_picture))) status = FILTAGS_ERROR_MEMORY;
    if (!status) status = derive_demo(step, &paths, &pipeline.options);
    if (!status) {
        pipeline.picture = picture;
        status = run_demo(&pipeline);
        end_progress(&pipeline, status);
    }
    filtags_options_destroy(pipeline.options);
    pipeline_free(&pipeline);
    demo_paths_free(&paths);
    free(picture);
    return status;
}
