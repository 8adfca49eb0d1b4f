/* step.c - what the steps share: output, chain, run.json. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "steps/steps.h"
#include "store/pickle.h"

filtags_status path_absolute(const char *path, char **absolute) {
    char *resolved = realpath(path, NULL);
    if (!resolved) return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be found", path);
    *absolute = resolved;
    return FILTAGS_OK;
}

void step_log(struct step *step, filtags_log_level level, const char *format, ...) {
    char text[2048], line[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    text_make_printable(line, sizeof line, text);
    if (level == FILTAGS_LOG_WARNING) buffer_printf(&step->early_warnings, "%s\n", line);
    if (step->callbacks && step->callbacks->log) step->callbacks->log(step->callbacks->user, level, line);
}

filtags_status run_add_file(filtags_run *run, const char *path) {
    void *files = run->files;
    if (memory_grow(&files, &run->capacity, run->n_files + 1, sizeof *run->files)) return FILTAGS_ERROR_MEMORY;
    run->files = files;
    char *copy = memory_copy_string(path);
    if (!copy) return FILTAGS_ERROR_MEMORY;
    run->files[run->n_files++] = copy;
    return FILTAGS_OK;
}

void run_report_files(filtags_run *run, size_t n_files) {
    static const char *const endings[] = {"-vars.pkl", "-vars1.pkl", "-results.txt", "-listing.txt",
                                            ".html",     ".svg",       ".png"};
    buffer_append_text(&run->report, "\nfiles:\n");
    for (size_t i = 0; i < n_files; i++) {
        bool is_main = false;
        for (size_t e = 0; e < sizeof endings / sizeof *endings; e++)
            is_main = is_main || text_ends_with(run->files[i], endings[e]);
        if (is_main) buffer_printf(&run->report, "  %s\n", run->files[i]);
    }
}

void append_layer_lines(struct buffer *to, const struct run_record *record) {
    for (size_t i = 0; i < record->n_layers; i++) {
        buffer_printf(to, "  layer %zu: %s, %zu filters\n", i, record->layer_names[i], record->layer_sizes[i]);
    }
}

/* ---------------------------------------------------------------- output */

/* Put lines of text that the callbacks have had, or will have, into a log. */
static void log_lines(struct output *output, filtags_log_level level, const char *text) {
    while (*text) {
        size_t length = strcspn(text, "\n");
        if (length) output_log_detail(output, level, "%.*s", (int)length, text);
        text += length + (text[length] == '\n');
    }
}

/* Open under a runID of one's own. Another process may take it between choosing and opening: then the next choice is
 * another. */
static filtags_status open_new_run(const struct step *step, const char *kind, const char *network,
                                   struct output **output) {
    const char *save_dir = step->options->save_dir;
    char run_id[RUN_ID_BYTES], failed_run_id[RUN_ID_BYTES] = "";
    for (;;) {
        filtags_status status = output_choose_run_id(save_dir, step->options->time_delta, &kind, 1, run_id);
        if (status) return status;
        /* still free: opening failed for a reason of its own, which the message tells */
        if (strcmp(run_id, failed_run_id) == 0) return FILTAGS_ERROR_IO;
        status = output_open(save_dir, run_id, kind, network, step->callbacks, output);
        if (status != FILTAGS_ERROR_IO) return status;
        memcpy(failed_run_id, run_id, sizeof run_id);
    }
}

filtags_status step_open_output(struct step *step, const char *kind, const char *network, struct output **output) {
    step->report_start = step->run->report.size_bytes;
    filtags_status (*open)(const char *, const char *, const char *, const char *, const filtags_callbacks *,
                           struct output **) = step->is_resumed ? output_continue : output_open;
    filtags_status status =
        step->run_id ? open(step->options->save_dir, step->run_id, kind, network, step->callbacks, output)
                     : open_new_run(step, kind, network, output);
    if (!status) log_lines(*output, FILTAGS_LOG_WARNING, buffer_text(&step->early_warnings));
    return status;
}

/* Every option of the command: as given, inherited, or its default. */
static size_t list_options(const struct step *step, struct run_option options[N_OPTIONS]) {
    const struct command_row *command = command_row(step->options->command);
    size_t n = 0;
    for (int id = 0; id < N_OPTIONS; id++) {
        const struct option_row *row = option_row(id);
        if (!(row->commands & command->bit)) continue;
        const char *value = step->options->texts[id] ? step->options->texts[id] : option_default(command, id);
        if (row->type == OPTION_IS_FLAG) value = step->options->texts[id] ? "true" : "false";
        options[n++] = (struct run_option){row->name, value, options_is_given(step->options, id)};
    }
    return n;
}

filtags_status step_close_output(struct step *step, struct output **open_output, const struct run_record *record,
                                 const struct run_number *numbers, size_t n_numbers) {
    struct output *output = *open_output;
    *open_output = NULL;
    struct run_option options[N_OPTIONS];
    size_t n_options = list_options(step, options);
    filtags_status status = run_file_write(output, record, options, n_options, numbers, n_numbers);
    for (size_t i = 0; !status && output_file(output, i); i++) status = run_add_file(step->run, output_file(output, i));
    if (!status) {
        log_lines(output, FILTAGS_LOG_INFO, buffer_text(&step->run->report) + step->report_start);
        output_log(output, FILTAGS_LOG_INFO, "done in %.2f s, %zu warnings", output_elapsed_sec(output),
                   output_n_warnings(output));
        status = output_commit(output);
    }
    output_close(output, status ? filtags_error_message() : NULL);
    return status;
}

filtags_status step_write_names(struct output *output, const char *suffix, const char *const *names, size_t n_names) {
    struct pickle_writer pickle;
    FILE *stream;
    filtags_status status = output_start_file(output, suffix, &stream);
    if (status) return status;
    pickle_begin(&pickle, stream);
    pickle_list_open(&pickle);
    for (size_t i = 0; i < n_names; i++) pickle_str(&pickle, names[i]);
    pickle_list_close(&pickle);
    pickle_end(&pickle);
    return output_end_file(output);
}

filtags_status step_write_info(struct output *output, struct buffer *text) {
    filtags_status status =
        text->has_failed ? FILTAGS_ERROR_MEMORY : output_write_text(output, "vars-info.txt", buffer_text(text));
    buffer_free(text);
    return status;
}

/* ---------------------------------------------------------------- chain */

filtags_status step_set_previous(struct run_record *record, const char *command, const char *previous_path) {
    char *absolute = NULL;
    filtags_status status = path_absolute(previous_path, &absolute);
    if (status) return status;
    char *name = memory_copy_string(command);
    if (!name) {
        free(absolute);
        return FILTAGS_ERROR_MEMORY;
    }
    free(record->previous);
    free(record->command);
    record->previous = absolute;
    record->command = name;
    return FILTAGS_OK;
}

static bool differs(double given, double recorded) { return fabs(given - recorded) > 1e-12; }

/* A split, seed or folder of one's own is allowed (another set of pictures), but is often a slip. */
static void warn_of_differences(struct step *step, const struct run_record *record) {
    const filtags_options *options = step->options;
    if (record->has_split && options_is_given(options, OPTION_SPLIT) && differs(options->split, record->split)) {
        step_log(step, FILTAGS_LOG_WARNING,
                 "--split %g differs from step 1's %g: the test pictures are not those that step 1 left out",
                 options->split, record->split);
    }
    if (record->has_split && options_is_given(options, OPTION_SEED_RN) && options->seed_rn != record->seed_rn) {
        step_log(step, FILTAGS_LOG_WARNING,
                 "--seed-rn %llu differs from step 1's %lu: the test pictures are not those that step 1 left out",
                 (unsigned long long)options->seed_rn, (unsigned long)record->seed_rn);
    }
    if (record->images_dir && options_is_given(options, OPTION_IMAGES_DIR)) {
        char *absolute = realpath(options->images_dir, NULL);
        if (absolute && strcmp(absolute, record->images_dir) != 0) {
            step_log(step, FILTAGS_LOG_WARNING, "--images-dir %s differs from step 1's %s", options->images_dir,
                     record->images_dir);
        }
        free(absolute);
    }
}

/* A file without run.json: what its name calls the network may be a known one. */
static filtags_status know_network(struct run_record *record) {
    const filtags_network *known = record->network ? filtags_network_find(record->network) : NULL;
    if (!known) return FILTAGS_OK;
    record->has_official_weights = true;
    record->known = memory_copy_string(known->name);
    return record->known ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
}

filtags_status step_inherit(struct step *step, const char *vars_path, struct run_record *record) {
    char split[40], seed[24], limit[24], size[48];
    bool is_found;
    filtags_options *options = step->options;
    filtags_status status = run_file_read_beside(vars_path, record, &is_found);
    if (!status && !is_found) status = know_network(record);
    if (status) return status;
    warn_of_differences(step, record);
    bool has_own_model = options_is_given(options, OPTION_MODEL);
    bool has_own_network = options_is_given(options, OPTION_NETWORK);
    bool has_old_model = record->model && !has_own_model && !has_own_network;
    bool is_same_network = record->known && (!has_own_network || strcmp(options->network, record->known) == 0);
    bool wants_weights = is_same_network && !has_own_model && !record->has_official_weights;
    snprintf(split, sizeof split, "%.17g", record->split);
    snprintf(seed, sizeof seed, "%lu", (unsigned long)record->seed_rn);
    snprintf(limit, sizeof limit, "%zu", record->limit);
    snprintf(size, sizeof size, "%zux%zu", record->size[0], record->size[1]);
    const struct {
        enum option_id id;
        const char *value;
    } inherited[] = {{OPTION_NETWORK, has_own_model ? NULL : record->known},
                     {OPTION_WEIGHTS, wants_weights ? record->weights : NULL},
                     {OPTION_MODEL, has_own_network ? NULL : record->model},
                     {OPTION_PREPROCESS, record->preprocess},
                     {OPTION_SIZE, has_old_model && record->size[0] ? size : NULL},
                     {OPTION_LAYERS, record->layers},
                     {OPTION_CLASS_INDEX, record->class_index},
                     {OPTION_IMAGES_DIR, record->images_dir},
                     {OPTION_SPLIT, record->has_split ? split : NULL},
                     {OPTION_SEED_RN, record->has_split ? seed : NULL},
                     {OPTION_LIMIT, record->limit ? limit : NULL}};
    for (size_t i = 0; !status && i < sizeof inherited / sizeof *inherited; i++) {
        if (inherited[i].value) status = options_inherit(options, inherited[i].id, inherited[i].value);
    }
    if (status == FILTAGS_ERROR_USAGE) { /* not the user's words, but the file's */
        status = error_set(FILTAGS_ERROR_FORMAT, "the run.json beside %s: %s", vars_path, filtags_error_message());
    }
    if (status) run_record_free(record);
    return status;
}
