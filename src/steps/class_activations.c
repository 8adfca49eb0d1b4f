#include "steps/class_activations.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"

/* labels_id: {1: label, ..., n: label}, in any order. */
static filtags_status read_labels(struct class_activations *activations) {
    const struct pickle_file *file = activations->variables.file;
    pickle_value dict;
    filtags_status status = variables_get(&activations->variables, "labels_id", PICKLE_DICT, &dict);
    if (status) return status;
    size_t n = pickle_length(file, dict);
    activations->labels = memory_new(n, sizeof *activations->labels);
    activations->rows = memory_new(n, sizeof *activations->rows);
    if (!activations->labels || !activations->rows) return FILTAGS_ERROR_MEMORY;
    activations->n_classes = n;
    for (size_t i = 0; i < n; i++) {
        pickle_value key, label;
        pickle_pair(file, dict, i, &key, &label);
        int64_t number = pickle_kind_of(file, key) == PICKLE_INT ? pickle_as_int(file, key) : 0;
        if (number < 1 || (uint64_t)number > n || activations->labels[number - 1] ||
            pickle_kind_of(file, label) != PICKLE_STR) {
            return error_set(
                FILTAGS_ERROR_DATA,
                "%s: labels_id: a str for each class number from 1 to %zu expected, found another entry at place %zu",
                activations->variables.path, n, i);
        }
        activations->labels[number - 1] = pickle_as_str(file, label, NULL);
    }
    if (n == 0)
        return error_set(FILTAGS_ERROR_DATA, "%s: labels_id: at least one class expected, found none",
                         activations->variables.path);
    return FILTAGS_OK;
}

static filtags_status refuse_class(const struct class_activations *activations, size_t class_index,
                                   const char *problem) {
    return error_set(FILTAGS_ERROR_DATA, "%s: filter_act_%zu: %s", activations->variables.path, class_index + 1,
                     problem);
}

/* All arrays empty: a class without train pictures. */
static bool is_empty_class(const struct pickle_file *file, pickle_value list) {
    for (size_t i = 0; i < pickle_length(file, list); i++) {
        if (pickle_length(file, pickle_item(file, list, i)) > 0) return false;
    }
    return true;
}

static filtags_status check_arrays(const struct class_activations *activations, size_t class_index, pickle_value list) {
    const struct pickle_file *file = activations->variables.file;
    for (size_t i = 0; i < pickle_length(file, list); i++) {
        if (pickle_kind_of(file, pickle_item(file, list, i)) != PICKLE_ARRAY) {
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
        const double *values = pickle_array(file, array);
        for (size_t i = 0; i < table->n_filters[layer]; i++) {
            if (!(values[i] >= 0 && values[i] <= 1.0001))
                return refuse_class(activations, class_index, "activations in [0, 1] expected, found others");
            row[table->first[layer] + i] = (float)values[i];
        }
    }
    return FILTAGS_OK;
}

static filtags_status read_classes(struct class_activations *activations) {
    const struct pickle_file *file = activations->variables.file;
    for (size_t i = 0; i < activations->n_classes; i++) {
        char name[40];
        pickle_value list;
        snprintf(name, sizeof name, "filter_act_%zu", i + 1);
        filtags_status status = variables_get(&activations->variables, name, PICKLE_LIST, &list);
        if (!status) status = check_arrays(activations, i, list);
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
