/* steps.h - the commands of the program, each a function from options to files and a report. */
#ifndef FILTAGS_STEPS_STEPS_H
#define FILTAGS_STEPS_STEPS_H

#include "base/buffer.h"
#include "options/options.h"
#include "store/output.h"
#include "store/run_file.h"

/* What a command leaves: text for a person, and the files it wrote. */
struct filtags_run {
    struct buffer report;
    char **files; /* [n_files] */
    size_t n_files, capacity;
};

struct teamwork;

/* What every step is given. options: the step's own, changed by it (it inherits from earlier runs). */
struct step {
    filtags_options *options;
    const filtags_callbacks *callbacks; /* may be NULL */
    struct teamwork *team;              /* NULL: the process is alone */
    const char *run_id;                 /* of a pipeline that the step is part of; NULL: choose one */
    const char *pipeline_key;           /* of such a step: what of the pipeline's options it hasn't itself */
    bool is_part_of_run;                /* other steps have written files under run_id */
    bool is_resumed;                    /* run_id is that of an earlier attempt, which goes on */
    bool keeps_progress;                /* the caller gets kept_progress, and ends it */
    struct progress *kept_progress;
    struct shard_parts *parts;          /* of merge, in place of running the pictures; NULL: run them */
    char own_run_id[RUN_ID_BYTES];      /* run_id, if it was found in a progress file */
    filtags_run *run;
    struct buffer early_warnings; /* lines of step_log, for the warnings log once there is one */
    size_t report_start;          /* where this step's part of the run's report begins */
};

FILTAGS_MUST_USE filtags_status step_activations(struct step *step);
FILTAGS_MUST_USE filtags_status step_tag(struct step *step);
FILTAGS_MUST_USE filtags_status step_evaluate(struct step *step);
FILTAGS_MUST_USE filtags_status step_hitrates(struct step *step);
FILTAGS_MUST_USE filtags_status step_pipeline(struct step *step);
FILTAGS_MUST_USE filtags_status step_demo(struct step *step);
FILTAGS_MUST_USE filtags_status step_single_image(struct step *step);
FILTAGS_MUST_USE filtags_status step_decode(struct step *step);
FILTAGS_MUST_USE filtags_status step_visualize(struct step *step);
FILTAGS_MUST_USE filtags_status step_plot_hitrates(struct step *step);
FILTAGS_MUST_USE filtags_status step_explain(struct step *step);
FILTAGS_MUST_USE filtags_status step_merge(struct step *step);
FILTAGS_MUST_USE filtags_status step_export(struct step *step);
FILTAGS_MUST_USE filtags_status step_networks(struct step *step);
FILTAGS_MUST_USE filtags_status step_layers(struct step *step);
FILTAGS_MUST_USE filtags_status step_fetch(struct step *step);

/* ---- shared by the steps ---- */

/* Open the output of a step in --save-dir, under the step's runID or a new one. */
FILTAGS_MUST_USE filtags_status step_open_output(struct step *step, const char *kind, const char *network,
                                                 struct output **output);

/* Write run.json, log the step's report, give all files their names, add them to the run. The output is closed, and
 * *output NULL, on failure too. */
FILTAGS_MUST_USE filtags_status step_close_output(struct step *step, struct output **output,
                                                  const struct run_record *record, const struct run_number *numbers,
                                                  size_t n_numbers);

/* Take what is not given from the run before (the run.json beside vars_path, else its name), warn where a given split,
 * seed or images_dir differs from it, and leave it in *record. The caller frees *record. */
FILTAGS_MUST_USE filtags_status step_inherit(struct step *step, const char *vars_path, struct run_record *record);

/* Make *record that of a step that was given previous_path. */
FILTAGS_MUST_USE filtags_status step_set_previous(struct run_record *record, const char *command,
                                                  const char *previous_path);

/* Write a names pickle, "vars-names.pkl". */
FILTAGS_MUST_USE filtags_status step_write_names(struct output *output, const char *suffix, const char *const *names,
                                                 size_t n_names);

/* Write vars-info.txt and free the text. MEMORY also where the text had run out of it. */
FILTAGS_MUST_USE filtags_status step_write_info(struct output *output, struct buffer *text);

/* Say something before the step has logs: to the callbacks now; a warning also to the warnings log when it is
 * opened. */
void step_log(struct step *step, filtags_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The absolute path of something that exists. The caller frees it. IO: it doesn't. */
FILTAGS_MUST_USE filtags_status path_absolute(const char *path, char **absolute);

/* Append the main ones of the first n_files files of a run, a line each. */
void run_report_files(filtags_run *run, size_t n_files);

FILTAGS_MUST_USE filtags_status run_add_file(filtags_run *run, const char *path);

/* The first n_layers names and sizes of tapped layers, as text for -vars-info.txt: "layer 0: conv1, 64 filters". */
void append_layer_lines(struct buffer *to, const struct run_record *record);

#endif
