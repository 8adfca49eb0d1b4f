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

/* An argument that is no option. */
static filtags_status append_argument(filtags_options *options, const char *argument) {
    const filtags_command *command = options->command;
    struct text_list *list = &options->arguments;
    const char *value = argument;
    size_t n = strlen(argument);
    int place;
    if (*command->argument_choices) value = choice_find(command->argument_choices, argument, &n, &place);
    if (!value) return choice_report_unknown(command->argument_choices, "", argument);
    if (!*value) return error_set(FILTAGS_ERROR_USAGE, "the name of a file expected, found ''");
    char **items = realloc(list->items, (list->n + 1) * sizeof *items);
    if (!items) return error_out_of_memory((list->n + 1) * sizeof *items);
    list->items = items;
    items[list->n] = memory_format("%.*s", (int)n, value);
    if (!items[list->n]) return FILTAGS_ERROR_MEMORY;
    list->n++;
    return FILTAGS_OK;
}

filtags_status filtags_options_add_argument(filtags_options *options, const char *value) {
    const struct command_row *command = command_row(options->command);
    enum option_id id = command->argument_option;
    const char *present = NULL;
    size_t n;
    int place;
    if (!*options->command->argument) return error_set(FILTAGS_ERROR_USAGE, "no argument expected, found '%s'", value);
    if (id != OPTION_NONE) present = options->texts[id];
    else if (options->arguments.n > 0 && !command->takes_many) present = options->arguments.items[0];
    if (command->word_option != OPTION_NONE) {
        if (!present) present = options->texts[command->word_option];
        if (choice_find(option_row(command->word_option)->choices, value, &n, &place)) id = command->word_option;
    }
    if (present) {
        return error_set(FILTAGS_ERROR_USAGE, "one %s expected, found '%s' and '%s'", options->command->argument,
                         present, value);
    }
    return id == OPTION_NONE ? append_argument(options, value) : options_set(options, id, value);
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
    text_list_free(&options->arguments);
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
    for (size_t i = 0; i < from->arguments.n && !status && derived->command == from->command; i++)
        status = append_argument(derived, from->arguments.items[i]);
    if (status) {
        filtags_options_destroy(derived);
        return status;
    }
    *options = derived;
    return FILTAGS_OK;
}

/* A network is one of the known ones, or a model file; each has options of its own. */
static filtags_status check_network(const filtags_options *options) {
    static const struct {
        enum option_id option, excluded;
        const char *reason;
    } pairs[] = {
        {OPTION_NETWORK, OPTION_MODEL, ""},
        {OPTION_NETWORK, OPTION_PREPROCESS, ": the network has its own"},
        {OPTION_NETWORK, OPTION_SIZE, ": the network has its own"},
        {OPTION_MODEL, OPTION_WEIGHTS, ": the model has its own"},
        {OPTION_MODEL, OPTION_CLASSES, ": the model has its own"},
        {OPTION_FILTAGS_FILE, OPTION_LISTING, ""},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (!options_is_given(options, pairs[i].option) || !options_is_given(options, pairs[i].excluded)) continue;
        return error_set(FILTAGS_ERROR_USAGE, "--%s and --%s exclude each other%s", option_row(pairs[i].option)->name,
                         option_row(pairs[i].excluded)->name, pairs[i].reason);
    }
    bool is_inherited = option_row(OPTION_NETWORK)->inherited_in & command_row(options->command)->bit;
    if (is_inherited || options_is_given(options, OPTION_NETWORK) || options_is_given(options, OPTION_MODEL))
        return FILTAGS_OK;
    const char *argument = options->command->argument;
    if (*argument)
        return error_set(FILTAGS_ERROR_USAGE, "%s is missing (or --network NAME, or --model FILE)", argument);
    return error_set(FILTAGS_ERROR_USAGE, "--network NAME or --model FILE is missing");
}

filtags_status options_check(const filtags_options *options) {
    const struct command_row *command = command_row(options->command);
    const char *argument = options->command->argument;
    if (option_row(OPTION_NETWORK)->commands & command->bit) {
        filtags_status status = check_network(options);
        if (status) return status;
    }
    for (enum option_id id = 0; id < N_OPTIONS; id++) {
        const struct option_row *row = option_row(id);
        if (!(row->required_in & command->bit) || options_is_given(options, id)) continue;
        if (command->argument_option == id) {
            return error_set(FILTAGS_ERROR_USAGE, "%s is missing (or --%s %s)", argument, row->name, row->placeholder);
        }
        return error_set(FILTAGS_ERROR_USAGE, "--%s %s is missing", row->name, row->placeholder);
    }
    if (command->bit == COMMAND_VISUALIZE && !options->filtags_file && !options->listing) {
        return error_set(FILTAGS_ERROR_USAGE, "%s is missing (or --filtags-file FILE, or --listing FILE)", argument);
    }
    if (command->bit == COMMAND_VISUALIZE && options->filtags_file && options->listing) {
        return error_set(FILTAGS_ERROR_USAGE, "%s and --listing exclude each other", argument);
    }
    if (*argument && command->argument_option == OPTION_NONE && !options->arguments.n) {
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
