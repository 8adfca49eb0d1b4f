/* run.c - from a command's name to the function that does it. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "steps/steps.h"
#include "steps/teamwork.h"

/* Pipelines report the files of their parts themselves. */
enum {
    WRITING_COMMANDS = COMMAND_ACTIVATIONS | COMMAND_TAG | COMMAND_EVALUATE | COMMAND_HITRATES | COMMAND_SINGLE_IMAGE |
                       COMMAND_DECODE | COMMAND_VISUALIZE | COMMAND_PLOT_HITRATES | COMMAND_EXPLAIN |
                       COMMAND_MERGE
};

static const struct {
    enum command_bit bit;
    filtags_status (*run)(struct step *step);
} steps[] = {{COMMAND_ACTIVATIONS, step_activations}, {COMMAND_TAG, step_tag},
             {COMMAND_EVALUATE, step_evaluate},       {COMMAND_HITRATES, step_hitrates},
             {COMMAND_PIPELINE, step_pipeline},       {COMMAND_DEMO, step_demo},
             {COMMAND_SINGLE_IMAGE, step_single_image}, {COMMAND_DECODE, step_decode},
             {COMMAND_VISUALIZE, step_visualize},     {COMMAND_PLOT_HITRATES, step_plot_hitrates},
             {COMMAND_EXPLAIN, step_explain},         {COMMAND_MERGE, step_merge},
             {COMMAND_EXPORT, step_export},           {COMMAND_LAYERS, step_layers},
             {COMMAND_NETWORKS, step_networks},       {COMMAND_FETCH, step_fetch}};

filtags_status filtags_run_command(const filtags_options *options, const filtags_callbacks *callbacks,
                                   filtags_run **result) {
    filtags_status status = options_check(options);
    if (status) return status;
    filtags_options *own = NULL; /* the steps fill in what they inherit */
    filtags_run *run = memory_new(1, sizeof *run);
    if (!run) return FILTAGS_ERROR_MEMORY;
    struct teamwork *team = NULL;
    enum command_bit bit = command_row(options->command)->bit;
    status = options_derive(options, options->command->name, &own);
    if (!status) status = teamwork_begin(own, callbacks, &team);
    if (status) goto fail;
    struct step step = {.options = own, .callbacks = teamwork_callbacks(team, callbacks), .team = team, .run = run};
    status = error_set(FILTAGS_ERROR_INTERNAL, "command '%s' has no function", options->command->name);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (steps[i].bit == bit) status = steps[i].run(&step);
    }
    buffer_free(&step.early_warnings);
    if (bit != COMMAND_PIPELINE) status = teamwork_end_part(team, status, NULL); /* which ends its parts itself */
    if (!status && bit & WRITING_COMMANDS && !teamwork_is_helper(team)) run_report_files(run, run->n_files);
    if (!status && run->report.has_failed) status = error_out_of_memory(run->report.size_bytes);
    if (status) goto fail;
    filtags_options_destroy(own);
    teamwork_free(team);
    *result = run;
    return FILTAGS_OK;
fail:
    filtags_options_destroy(own);
    teamwork_free(team);
    filtags_run_destroy(run);
    return status;
}

const char *filtags_run_report(const filtags_run *run) { return buffer_text(&run->report); }

const char *filtags_run_file(const filtags_run *run, size_t index) {
    return index < run->n_files ? run->files[index] : NULL;
}

void filtags_run_destroy(filtags_run *run) {
    if (!run) return;
    for (size_t i = 0; i < run->n_files; i++) free(run->files[i]);
    free(run->files);
    buffer_free(&run->report);
    free(run);
}
