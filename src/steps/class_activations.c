#include "steps/class_activations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

/* The published script scaled in 32 bits: a filter that is never active may come out a little below 0. */
static const double MOST_ROUNDING = 1e-4;

/* What is being read. */
struct reader {
    struct class_activations *to;
    size_t labels_id;  /* place of the variable in the file; SIZE_MAX: there is none */
    size_t *class_of;  /* [n_variables] class, from 0, whose activations a variable has; SIZE_MAX: none */
    size_t n_variables;
};

static filtags_status allocate_classes(struct class_activations *activations, size_t n) {
    activations->labels = memory_new(n, sizeof *activations->labels);
    activations->rows = memory_new(n, sizeof *activations->rows);
    if (!activations->labels || !activations->rows) return FILTAGS_ERROR_MEMORY;
    activations->n_classes = n;
    if (n > 0) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_DATA, "%s: labels_id: at least one class expected, found none",
                     activations->variables.path);
}

static void format_name(char *name, size_t size_bytes, size_t number) {
    snprintf(name, size_bytes, "filter_act_%zu", number);
}

/* ---------------------------------------------------------------- labels */

/* labels_id: {1: label, ..., n: label}, or from 0 on, in any order. */
static filtags_status read_labels_id(struct class_activations *activations, const struct pickle_file *file,
                                     pickle_value dict) {
    filtags_status status = variables_check_kind(&activations->variables, "labels_id", PICKLE_DICT,
                                                 pickle_kind_of(file, dict));
    if (!status) status = allocate_classes(activations, pickle_length(file, dict));
    if (status) return status;
    size_t n = activations->n_classes, first = activations->first_number;
    for (size_t i = 0; i < n; i++) {
        pickle_value key, label;
        pickle_pair(file, dict, i, &key, &label);
        int64_t number = pickle_kind_of(file, key) == PICKLE_INT ? pickle_as_int(file, key) : -1;
        if (number < (int64_t)first || (uint64_t)number - first >= n ||
            activations->labels[(uint64_t)number - first] || pickle_kind_of(file, label) != PICKLE_STR) {
            return error_set(
                FILTAGS_ERROR_DATA,
                "%s: labels_id: a str for each class number from %zu to %zu expected, found another entry at place %zu",
                activations->variables.path, first, first + n - 1, i);
        }
        char *copy = memory_copy_string(pickle_as_str(file, label, NULL));
        if (!copy) return FILTAGS_ERROR_MEMORY;
        activations->labels[(uint64_t)number - first] = copy;
    }
    return FILTAGS_OK;
}

static filtags_status take_labels(void *context, const struct pickle_file *file, size_t index, pickle_value value) {
    struct reader *reader = context;
    return index == reader->labels_id ? read_labels_id(reader->to, file, value) : FILTAGS_OK;
}

/* "filter_act_0: filter activations of class n01440764" */
static filtags_status read_labels_of_names(struct class_activations *activations) {
    static const char marker[] = "of class ";
    const struct variables *variables = &activations->variables;
    char name[40];
    size_t n = 0;
    for (;; n++) {
        format_name(name, sizeof name, activations->first_number + n);
        if (!variables_has(variables, name)) break;
    }
    filtags_status status = allocate_classes(activations, n);
    for (size_t i = 0; i < n && !status; i++) {
        format_name(name, sizeof name, activations->first_number + i);
        const char *remark = variables_remark(variables, name), *label = strstr(remark, marker);
        if (!label || !label[sizeof marker - 1]) {
            return error_set(FILTAGS_ERROR_DATA,
                             "%s: a variable labels_id, or '%s: filter activations of class LABEL' as a name expected, "
                             "found neither",
                             variables->path, name);
        }
        activations->labels[i] = memory_copy_string(label + sizeof marker - 1);
        if (!activations->labels[i]) status = FILTAGS_ERROR_MEMORY;
    }
    return status;
}

/* The file is read once for the labels alone, which needn't come first in it. */
static filtags_status read_labels(struct reader *reader) {
    struct class_activations *to = reader->to;
    const struct variables *variables = &to->variables;
    const struct pickle_visitor visitor = {reader, NULL, take_labels};
    to->first_number = variables_has(variables, "filter_act_0") ? 0 : 1;
    bool has_labels_id = variables_has(variables, "labels_id");
    filtags_status status = FILTAGS_OK;
    reader->labels_id = SIZE_MAX;
    if (has_labels_id) status = variables_find(variables, "labels_id", &reader->labels_id);
    if (!status) status = variables_visit(variables, &visitor); /* also for the number of variables */
    if (status || has_labels_id) return status;
    return to->first_number == 0 ? read_labels_of_names(to)
                                 : variables_find(variables, "labels_id", &reader->labels_id);
}

/* ---------------------------------------------------------------- activations */

static filtags_status refuse_class(const struct class_activations *activations, size_t class_index,
                                   const char *problem) {
    return error_set(FILTAGS_ERROR_DATA, "%s: filter_act_%zu: %s", activations->variables.path,
                     activations->first_number + class_index, problem);
}

/* All arrays empty: a class without train pictures. */
static bool is_empty_class(const struct pickle_file *file, pickle_value list) {
    for (size_t i = 0; i < pickle_length(file, list); i++) {
        if (pickle_length(file, pickle_item(file, list, i)) > 0) return false;
    }
    return true;
}

/* A layer is a NumPy array, or a list or tuple of numbers. */
static bool is_layer(const struct pickle_file *file, pickle_value layer) {
    enum pickle_kind kind = pickle_kind_of(file, layer);
    if (kind == PICKLE_ARRAY) return true;
    if (kind != PICKLE_LIST && kind != PICKLE_TUPLE) return false;
    for (size_t i = 0; i < pickle_length(file, layer); i++) {
        kind = pickle_kind_of(file, pickle_item(file, layer, i));
        if (kind != PICKLE_INT && kind != PICKLE_FLOAT) return false;
    }
    return true;
}

static double value_of(const struct pickle_file *file, pickle_value layer, size_t index) {
    if (pickle_kind_of(file, layer) == PICKLE_ARRAY) return pickle_array(file, layer)[index];
    return pickle_as_number(file, pickle_item(file, layer, index));
}

static filtags_status check_layers(const struct class_activations *activations, const struct pickle_file *file,
                                   size_t class_index, pickle_value list) {
    for (size_t i = 0; i < pickle_length(file, list); i++) {
        if (!is_layer(file, pickle_item(file, list, i))) {
            return refuse_class(activations, class_index,
                                "a list of NumPy arrays expected, found something else in it");
        }
    }
    return FILTAGS_OK;
}

/* The first class that has activations says how many filters each layer has. */
static filtags_status read_table(struct class_activations *activations, const struct pickle_file *file,
                                 pickle_value list) {
    size_t n_layers = pickle_length(file, list);
    size_t *n_filters = memory_new(n_layers, sizeof *n_filters);
    if (!n_filters) return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < n_layers; i++) n_filters[i] = pickle_length(file, pickle_item(file, list, i));
    filtags_status status = filter_table_create(n_filters, n_layers, &activations->table);
    free(n_filters);
    return status;
}

static filtags_status read_row(struct class_activations *activations, const struct pickle_file *file,
                               size_t class_index, pickle_value list) {
    const struct filter_table *table = &activations->table;
    if (pickle_length(file, list) != table->n_layers)
        return refuse_class(activations, class_index, "as many layers as in the first class expected");
    float *row = activations->rows[class_index] =
        memory_new(table->first[table->n_layers], sizeof *row); // [all filters]
    if (!row) return FILTAGS_ERROR_MEMORY;
    for (size_t layer = 0; layer < table->n_layers; layer++) {
        pickle_value array = pickle_item(file, list, layer);
        if (pickle_length(file, array) != table->n_filters[layer]) {
            return refuse_class(activations, class_index,
                                "as many filters in each layer as in the first class expected");
        }
        for (size_t i = 0; i < table->n_filters[layer]; i++) {
            double value = value_of(file, array, i);
            if (!(value >= -MOST_ROUNDING && value <= 1 + MOST_ROUNDING))
                return refuse_class(activations, class_index, "activations in [0, 1] expected, found others");
            row[table->first[layer] + i] = (float)value;
        }
    }
    return FILTAGS_OK;
}

static filtags_status take_class(void *context, const struct pickle_file *file, size_t index, pickle_value list) {
    const struct reader *reader = context;
    struct class_activations *to = reader->to;
    size_t class_index = index < reader->n_variables ? reader->class_of[index] : SIZE_MAX;
    char name[40];
    if (class_index == SIZE_MAX) return FILTAGS_OK;
    format_name(name, sizeof name, to->first_number + class_index);
    filtags_status status =
        variables_check_kind(&to->variables, name, PICKLE_LIST, pickle_kind_of(file, list));
    if (!status) status = check_layers(to, file, class_index, list);
    if (status || is_empty_class(file, list)) return status;
    if (!to->table.n_layers) status = read_table(to, file, list);
    return status ? status : read_row(to, file, class_index, list);
}

/* Which variable has which class. */
static filtags_status find_classes(struct reader *reader) {
    const struct class_activations *to = reader->to;
    filtags_status status = FILTAGS_OK;
    reader->n_variables = variables_n(&to->variables);
    reader->class_of = memory_new(reader->n_variables, sizeof *reader->class_of);
    if (!reader->class_of) return FILTAGS_ERROR_MEMORY;
    memset(reader->class_of, 0xff, reader->n_variables * sizeof *reader->class_of); /* SIZE_MAX */
    for (size_t i = 0; i < to->n_classes && !status; i++) {
        char name[40];
        size_t index;
        format_name(name, sizeof name, to->first_number + i);
        status = variables_find(&to->variables, name, &index);
        if (!status) reader->class_of[index] = i;
    }
    return status;
}

static filtags_status read_classes(struct reader *reader) {
    const struct pickle_visitor visitor = {reader, NULL, take_class};
    filtags_status status = find_classes(reader);
    if (!status) status = variables_visit(&reader->to->variables, &visitor);
    if (status || reader->to->table.n_layers) return status;
    return error_set(FILTAGS_ERROR_DATA, "%s: activations of at least one class expected, found none",
                     reader->to->variables.path);
}

filtags_status class_activations_open(const char *path, struct class_activations *result) {
    struct class_activations activations = {0};
    struct reader reader = {.to = &activations};
    filtags_status status = variables_open_names(path, &activations.variables);
    if (!status) status = read_labels(&reader);
    if (!status) status = read_classes(&reader);
    free(reader.class_of);
    if (status) class_activations_close(&activations);
    else *result = activations;
    return status;
}

void class_activations_close(struct class_activations *activations) {
    for (size_t i = 0; i < activations->n_classes; i++) {
        free(activations->rows[i]);
        free((char *)activations->labels[i]);
    }
    free(activations->rows);
    free(activations->labels);
    filter_table_free(&activations->table);
    variables_close(&activations->variables);
    *activations = (struct class_activations){0};
}
