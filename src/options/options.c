/* options.c - the options of one run: created at their defaults, set, inherited, checked. */
#include "options/options.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"

static void *field_of(filtags_options *options, enum option_id id) { return (char *)options + option_row(id)->offset; }

filtags_status filtags_options_create(const char *command, filtags_options **options) {
    filtags_status status = FILTAGS_OK;
    const filtags_command *found = filtags_command_find(command);
    if (!found) return command_report_unknown(command);
    filtags_options *created = memory_new(1, sizeof *created);
    if (!created) return FILTAGS_ERROR_MEMORY;
    created->command = found;
    const struct command_row *row = command_row(found);
    for (enum option_id id = 0; id < N_OPTIONS && !status; id++) {
        const char *value = option_default(row, id);
        if (!(option_row(id)->commands & row->bit) || !value) continue;
        status = option_value_parse(option_row(id), value, field_of(created, id));
    }
    if (status) {
        filtags_options_destroy(created);
        return status;
    }
    *options = created;
    return FILTAGS_OK;
}

filtags_status options_set(filtags_options *options, enum option_id id, const char *value) {
    char *copy = memory_copy_string(value ? value : "");
    if (!copy) return FILTAGS_ERROR_MEMORY;
    filtags_status status = option_value_parse(option_row(id), value, field_of(options, id));
    if (status) {
        free(copy);
        return status;
    }
    free(options->texts[id]);
    options->texts[id] = copy;
    return FILTAGS_OK;
}

filtags_status filtags_options_set(filtags_options *options, const char *name, const char *value) {
    const struct command_row *command = command_row(options->command);
    enum option_id id = option_id_find(command, name);
    if (id == OPTION_NONE) return option_report_unknown(command, name);
    return options_set(options, id, value);
}

filtags_status filtags_options_add_argument(filtags_options *options, const char *value) {
    const struct command_row *command = command_row(options->command);
    enum option_id id = command->argument_option;
    if (!*options->command->argument) return error_set(FILTAGS_ERROR_USAGE, "no argument expected, found '%s'", value);
    if (id == OPTION_NONE ? options->argument != NULL : options->texts[id] != NULL) {
        return error_set(FILTAGS_ERROR_USAGE, "one %s expected, found '%s' and '%s'", options->command->argument,
                         id == OPTION_NONE ? options->argument : options->texts[id], value);
    }
    if (id != OPTION_NONE) return options_set(options, id, value);
    if (!*value) return error_set(FILTAGS_ERROR_USAGE, "the name of a file expected, found ''");
    options->argument = memory_copy_string(value);
    return options->argument ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
}

bool filtags_options_flag(const filtags_options *options, const char *name) {
    enum option_id id = option_id_find(command_row(options->command), name);
    if (id == OPTION_NONE || option_row(id)->type != OPTION_IS_FLAG) return false;
    return *(const bool *)((const char *)options + option_row(id)->offset);
}

void filtags_options_destroy(filtags_options *options) {
    if (!options) return;
    for (enum option_id id = 0; id < N_OPTIONS; id++) {
        option_value_free(option_row(id), field_of(options, id));
        free(options->texts[id]);
    }
    free(options->argument);
    free(options);
}

bool options_is_given(const filtags_options *options, enum option_id id) { return options->texts[id] != NULL; }

filtags_status options_inherit(filtags_options *options, enum option_id id, const char *value) {
    bool has_option = option_row(id)->commands & command_row(options->command)->bit;
    if (!has_option || options_is_given(options, id)) return FILTAGS_OK;
    return option_value_parse(option_row(id), value, field_of(options, id));
}

filtags_status options_derive(const filtags_options *from, const char *command, filtags_options **options) {
    filtags_options *derived = NULL;
    filtags_status status = filtags_options_create(command, &derived);
    if (status) return status;
    unsigned bit = command_row(derived->command)->bit;
    for (enum option_id id = 0; id < N_OPTIONS && !status; id++) {
        if ((option_row(id)->commands & bit) && from->texts[id]) status = options_set(derived, id, from->texts[id]);
    }
    if (!status && from->argument && derived->command == from->command) {
        derived->argument = memory_copy_string(from->argument);
        if (!derived->argument) status = FILTAGS_ERROR_MEMORY;
    }
    if (status) {
        filtags_options_destroy(derived);
        return status;
    }
    *options = derived;
    return FILTAGS_OK;
}

filtags_status options_check(const filtags_options *options) {
    const struct command_row *command = command_row(options->command);
    const char *argument = options->command->argument;
    for (enum option_id id = 0; id < N_OPTIONS; id++) {
        const struct option_row *row = option_row(id);
        if (!(row->required_in & command->bit) || options_is_given(options, id)) continue;
        if (command->argument_option == id) {
            return error_set(FILTAGS_ERROR_USAGE, "%s is missing (or --%s %s)", argument, row->name, row->placeholder);
        }
        return error_set(FILTAGS_ERROR_USAGE, "--%s %s is missing", row->name, row->placeholder);
    }
    if (*argument && command->argument_option == OPTION_NONE && !options->argument) {
        return error_set(FILTAGS_ERROR_USAGE, "%s is missing", argument);
    }
    if (options->quiet && options->verbose) {
        return error_set(FILTAGS_ERROR_USAGE, "--quiet and --verbose exclude each other");
    }
    return FILTAGS_OK;
}

size_t options_n_threads(const filtags_options *options) {
    if (options->threads) return (size_t)options->threads;
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) == 0 && CPU_COUNT(&cores) > 0) return (size_t)CPU_COUNT(&cores);
    long n_online = sysconf(_SC_NPROCESSORS_ONLN); /* more cores than a cpu_set_t holds */
    return n_online > 0 ? (size_t)n_online : 1;
}
