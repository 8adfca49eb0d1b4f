#include "steps/class_activations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

/* The published script scaled in 32 bits: a filter that is never active may come out a little below 0. */
static const double MOST_ROUNDING = 1e-4;

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

/* labels_id: {1: label, ..., n: label}, or from 0 on, in any order. */
static filtags_status read_labels_id(struct class_activations *activations) {
    const struct pickle_file *file = activations->variables.file;
    pickle_value dict;
    filtags_status status = variables_get(&activations->variables, "labels_id", PICKLE_DICT, &dict);
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
        activations->labels[(uint64_t)number - first] = pickle_as_str(file, label, NULL);
    }
    return FILTAGS_OK;
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
        activations->labels[i] = label + sizeof marker - 1;
    }
    return status;
}

static filtags_status read_labels(struct class_activations *activations) {
    const struct variables *variables = &activations->variables;
    activations->first_number = variables_has(variables, "filter_act_0") ? 0 : 1;
    bool is_published_without_labels = !variables_has(variables, "labels_id") && activations->first_number == 0;
    return is_published_without_labels ? read_labels_of_names(activations) : read_labels_id(activations);
}

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

static filtags_status check_layers(const struct class_activations *activations, size_t class_index, pickle_value list) {
    const struct pickle_file *file = activations->variables.file;
    for (size_t i = 0; i < pickle_length(file, list); i++) {
        if (!is_layer(file, pickle_item(file, list, i))) {
            return refuse_class(activations, class_index,
                                "a list of NumPy arrays expected, found something else in it");
        }
    }
    return FILTAGS_OK;
}

/* The first class that has activations says how many filters each layer has. */
static filtags_status read_table(struct class_activations *activations, pickle_value list) {
    const struct pickle_file *file = activations->variables.file;
    size_t n_layers = pickle_length(file, list);
    size_t *n_filters = memory_new(n_layers, sizeof *n_filters);
    if (!n_filters) return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < n_layers; i++) n_filters[i] = pickle_length(file, pickle_item(file, list, i));
    filtags_status status = filter_table_create(n_filters, n_layers, &activations->table);
    free(n_filters);
    return status;
}

static filtags_status read_row(struct class_activations *activations, size_t class_index, pickle_value list) {
    const struct pickle_file *file = activations->variables.file;
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

static filtags_status read_classes(struct class_activations *activations) {
    const struct pickle_file *file = activations->variables.file;
    for (size_t i = 0; i < activations->n_classes; i++) {
        char name[40];
        pickle_value list;
        format_name(name, sizeof name, activations->first_number + i);
        filtags_status status = variables_get(&activations->variables, name, PICKLE_LIST, &list);
        if (!status) status = check_layers(activations, i, list);
        if (!status && is_empty_class(file, list)) continue;
        if (!status && !activations->table.n_layers) status = read_table(activations, list);
        if (!status) status = read_row(activations, i, list);
        if (status) return status;
    }
    if (activations->table.n_layers) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_DATA, "%s: activations of at least one class expected, found none",
                     activations->variables.path);
}

filtags_status class_activations_open(const char *path, struct class_activations *result) {
    struct class_activations activations = {0};
    filtags_status status = variables_open(path, &activations.variables);
    if (!status) status = read_labels(&activations);
    if (!status) status = read_classes(&activations);
    if (status) class_activations_close(&activations);
    else *result = activations;
    return status;
}

void class_activations_close(struct class_activations *activations) {
    for (size_t i = 0; i < activations->n_classes; i++) free(activations->rows[i]);
    free(activations->rows);
    free(activations->labels);
    filter_table_free(&activations->table);
    variables_close(&activations->variables);
    *activations = (struct class_activations){0};
}
