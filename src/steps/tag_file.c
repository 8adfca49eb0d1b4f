#include "steps/tag_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

/* ours and the published script's */
static const char *const variable_names[2][2] = {{[FILTAGS_RULE_K] = "filTags_k", [FILTAGS_RULE_Q] = "filTags_q"},
                                                 {[FILTAGS_RULE_K] = "labels_filters",
                                                  [FILTAGS_RULE_Q] = "labels_filters_per"}};

/* What is being read. */
struct tag_reader {
    struct step *step;
    const struct variables *variables;
    struct tag_file *to;
    uint32_t *label_of_str; /* [pickle_n_strs] number of a label + 1; 0: not seen yet */
    size_t labels_capacity;
    bool is_published; /* the published script's file: its keys of k are places in the list of values */
    pickle_value values; /* there: the dict of q, whose keys are these values in order */
};

static const char *name_of(const struct tag_reader *reader, filtags_rule rule) {
    return variable_names[reader->is_published][rule];
}

static filtags_status refuse(const struct tag_reader *reader, struct selector selector, const char *problem) {
    return error_set(FILTAGS_ERROR_DATA, "%s: %s[%g]: %s", reader->variables->path, name_of(reader, selector.rule),
                     selector.value, problem);
}

static filtags_status number_of_label(struct tag_reader *reader, pickle_value value, uint32_t *number) {
    const struct pickle_file *file = reader->variables->file;
    uint32_t *known = &reader->label_of_str[pickle_str_id(file, value)];
    if (!*known) {
        void *labels = reader->to->labels;
        if (memory_grow(&labels, &reader->labels_capacity, reader->to->n_labels + 1, sizeof *reader->to->labels))
            return FILTAGS_ERROR_MEMORY;
        reader->to->labels = labels;
        char *copy = memory_copy_string(pickle_as_str(file, value, NULL));
        if (!copy) return FILTAGS_ERROR_MEMORY;
        reader->to->labels[reader->to->n_labels++] = copy;
        *known = (uint32_t)reader->to->n_labels;
    }
    *number = *known - 1;
    return FILTAGS_OK;
}

/* ---------------------------------------------------------------- one value of k or q */

static bool is_list_of_lists(const struct pickle_file *file, pickle_value value) {
    if (pickle_kind_of(file, value) != PICKLE_LIST) return false;
    for (size_t i = 0; i < pickle_length(file, value); i++) {
        if (pickle_kind_of(file, pickle_item(file, value, i)) != PICKLE_LIST) return false;
    }
    return true;
}

static filtags_status check_shape(struct tag_reader *reader, struct selector selector, pickle_value layers) {
    const struct pickle_file *file = reader->variables->file;
    struct filter_table *table = &reader->to->table;
    if (!is_list_of_lists(file, layers))
        return refuse(reader, selector, "a list over layers of lists over filters expected");
    size_t n_layers = pickle_length(file, layers);
    if (!table->n_layers && n_layers) { /* the first one read sets the shape */
        size_t *n_filters = memory_new(n_layers, sizeof *n_filters);
        if (!n_filters) return FILTAGS_ERROR_MEMORY;
        for (size_t i = 0; i < n_layers; i++) n_filters[i] = pickle_length(file, pickle_item(file, layers, i));
        filtags_status status = filter_table_create(n_filters, n_layers, table);
        free(n_filters);
        if (status) return status;
    }
    if (n_layers != table->n_layers || !n_layers)
        return refuse(reader, selector, "as many layers as for the other values expected");
    for (size_t i = 0; i < n_layers; i++) {
        pickle_value layer = pickle_item(file, layers, i);
        if (pickle_length(file, layer) != table->n_filters[i])
            return refuse(reader, selector, "as many filters as for the other values expected");
        if (!is_list_of_lists(file, layer))
            return refuse(reader, selector, "a list of labels for each filter expected");
    }
    return FILTAGS_OK;
}

static uint64_t count_tags(const struct pickle_file *file, pickle_value layers) {
    uint64_t n_tags = 0;
    for (size_t i = 0; i < pickle_length(file, layers); i++) {
        pickle_value layer = pickle_item(file, layers, i);
        for (size_t j = 0; j < pickle_length(file, layer); j++)
            n_tags += pickle_length(file, pickle_item(file, layer, j));
    }
    return n_tags;
}

static filtags_status copy_labels(struct tag_reader *reader, struct selector selector, pickle_value layers,
                                  struct tag_table *tags) {
    const struct pickle_file *file = reader->variables->file;
    size_t filter = 0;
    for (size_t i = 0; i < pickle_length(file, layers); i++) {
        pickle_value layer = pickle_item(file, layers, i);
        for (size_t j = 0; j < pickle_length(file, layer); j++, filter++) {
            pickle_value list = pickle_item(file, layer, j);
            size_t n = pickle_length(file, list);
            tags->offset[filter + 1] = tags->offset[filter] + n;
            for (size_t t = 0; t < n; t++) {
                pickle_value label = pickle_item(file, list, t);
                if (pickle_kind_of(file, label) != PICKLE_STR)
                    return refuse(reader, selector, "labels (str) expected, found something else");
                filtags_status status = number_of_label(reader, label, &tags->labels[tags->offset[filter] + t]);
                if (status) return status;
            }
        }
    }
    return FILTAGS_OK;
}

static filtags_status read_selector(struct tag_reader *reader, struct selector selector, pickle_value layers) {
    struct tag_file *to = reader->to;
    struct tag_table *tags = &to->tags[to->n_selectors];
    filtags_status status = check_shape(reader, selector, layers);
    if (status) return status;
    tags->n_filters = to->table.first[to->table.n_layers];
    tags->offset = memory_new(tags->n_filters + 1, sizeof *tags->offset);
    tags->labels = memory_new(count_tags(reader->variables->file, layers), sizeof *tags->labels);
    to->selectors[to->n_selectors++] = selector; /* from here on tag_file_close frees it */
    if (!tags->offset || !tags->labels) return FILTAGS_ERROR_MEMORY;
    return copy_labels(reader, selector, layers, tags);
}

/* ---------------------------------------------------------------- the lists of k and of q */

/* The value of k or q that a key stands for. */
static double value_of_key(const struct tag_reader *reader, filtags_rule rule, pickle_value key) {
    const struct pickle_file *file = reader->variables->file;
    double number = pickle_as_number(file, key);
    if (!reader->is_published || rule == FILTAGS_RULE_Q) return number;
    pickle_value value, layers;
    pickle_pair(file, reader->values, (size_t)number, &value, &layers); /* check_published: it is there */
    return pickle_as_number(file, value);
}

static bool find_layers(const struct tag_reader *reader, pickle_value dict, struct selector selector,
                        pickle_value *layers) {
    const struct pickle_file *file = reader->variables->file;
    for (size_t i = 0; i < pickle_length(file, dict); i++) {
        pickle_value key;
        pickle_pair(file, dict, i, &key, layers);
        enum pickle_kind kind = pickle_kind_of(file, key);
        bool is_number = kind == PICKLE_INT || kind == PICKLE_FLOAT;
        if (is_number && value_of_key(reader, selector.rule, key) == selector.value) return true;
    }
    return false;
}

/* The script went through one list of values for k and for q, in the same order. So the keys of q, which a dict keeps
 * in their order, tell what the places that are k's keys stand for. */
static filtags_status check_published(struct tag_reader *reader) {
    const struct variables *variables = reader->variables;
    const struct pickle_file *file = variables->file;
    pickle_value dict;
    filtags_status status = variables_get(variables, name_of(reader, FILTAGS_RULE_K), PICKLE_DICT, &dict);
    if (!status) status = variables_get(variables, name_of(reader, FILTAGS_RULE_Q), PICKLE_DICT, &reader->values);
    if (status) return status;
    size_t n_places = pickle_length(file, dict), n_values = pickle_length(file, reader->values);
    bool are_keys_right = n_places == n_values;
    for (size_t i = 0; i < n_places && are_keys_right; i++) {
        pickle_value place, value, layers;
        pickle_pair(file, dict, i, &place, &layers);
        pickle_pair(file, reader->values, i, &value, &layers);
        enum pickle_kind kind = pickle_kind_of(file, value);
        are_keys_right = pickle_kind_of(file, place) == PICKLE_INT && pickle_as_int(file, place) >= 0 &&
                         (uint64_t)pickle_as_int(file, place) < n_values &&
                         (kind == PICKLE_INT || kind == PICKLE_FLOAT);
    }
    if (are_keys_right) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_DATA,
                     "%s: labels_filters with the places 0, 1, ... of labels_filters_per's %zu values as keys "
                     "expected, found others (%zu keys)",
                     variables->path, n_values, n_places);
}

static filtags_status read_wanted(struct tag_reader *reader, filtags_rule rule, pickle_value dict,
                                  const struct number_list *k_q) {
    for (size_t i = 0; i < k_q->n; i++) {
        pickle_value layers;
        struct selector selector = {rule, k_q->values[i]};
        if (rule == FILTAGS_RULE_K && selector.value != floor(selector.value)) continue;
        if (!find_layers(reader, dict, selector, &layers)) {
            step_log(reader->step, FILTAGS_LOG_WARNING, "%s has no tags for %s = %g: it is left out",
                     reader->variables->path, rule == FILTAGS_RULE_K ? "k" : "q", selector.value);
            continue;
        }
        filtags_status status = read_selector(reader, selector, layers);
        if (status) return status;
    }
    return FILTAGS_OK;
}

static filtags_status read_all(struct tag_reader *reader, filtags_rule rule, pickle_value dict) {
    const struct pickle_file *file = reader->variables->file;
    for (size_t i = 0; i < pickle_length(file, dict); i++) {
        pickle_value key, layers;
        pickle_pair(file, dict, i, &key, &layers);
        enum pickle_kind kind = pickle_kind_of(file, key);
        if (kind != PICKLE_INT && kind != PICKLE_FLOAT) {
            return error_set(FILTAGS_ERROR_DATA, "%s: %s: numbers as keys expected, found a %s",
                             reader->variables->path, name_of(reader, rule), pickle_kind_name(kind));
        }
        filtags_status status = read_selector(reader, (struct selector){rule, value_of_key(reader, rule, key)}, layers);
        if (status) return status;
    }
    return FILTAGS_OK;
}

static filtags_status read_rule(struct tag_reader *reader, filtags_rule rule, const struct number_list *k_q) {
    pickle_value dict;
    filtags_status status = variables_get(reader->variables, name_of(reader, rule), PICKLE_DICT, &dict);
    if (status) return status;
    struct tag_file *to = reader->to;
    size_t n_most = to->n_selectors + (k_q->n ? k_q->n : pickle_length(reader->variables->file, dict));
    void *selectors = to->selectors, *tags = to->tags;
    size_t selectors_capacity = to->n_selectors, tags_capacity = to->n_selectors;
    int has_failed = memory_grow(&selectors, &selectors_capacity, n_most + 1, sizeof *to->selectors);
    to->selectors = selectors;
    has_failed = has_failed || memory_grow(&tags, &tags_capacity, n_most + 1, sizeof *to->tags);
    to->tags = tags;
    if (has_failed) return FILTAGS_ERROR_MEMORY;
    memset(to->tags + to->n_selectors, 0, (n_most + 1 - to->n_selectors) * sizeof *to->tags);
    status = k_q->n ? read_wanted(reader, rule, dict, k_q) : read_all(reader, rule, dict);
    if (rule == FILTAGS_RULE_K) to->n_k = to->n_selectors;
    return status;
}

filtags_status tag_file_open(struct step *step, const char *path, const struct number_list *k_q,
                             struct tag_file *result) {
    struct variables variables = {0};
    struct tag_file tag_file = {0};
    struct tag_reader reader = {.step = step, .variables = &variables, .to = &tag_file};
    filtags_status status = variables_open(path, &variables);
    if (!status && !(reader.label_of_str = memory_new(pickle_n_strs(variables.file), sizeof *reader.label_of_str)))
        status = FILTAGS_ERROR_MEMORY;
    if (!status) {
        reader.is_published = variables_has(&variables, variable_names[1][FILTAGS_RULE_K]);
        if (reader.is_published) status = check_published(&reader);
    }
    if (!status) status = read_rule(&reader, FILTAGS_RULE_K, k_q);
    if (!status) status = read_rule(&reader, FILTAGS_RULE_Q, k_q);
    if (!status && tag_file.n_selectors == 0)
        status = error_set(FILTAGS_ERROR_DATA, "%s: tags for one of the values of --k-q expected, found none", path);
    free(reader.label_of_str);
    variables_close(&variables);
    if (status) tag_file_close(&tag_file);
    else *result = tag_file;
    return status;
}

void tag_file_close(struct tag_file *tag_file) {
    for (size_t i = 0; i < tag_file->n_selectors; i++) tag_table_free(&tag_file->tags[i]);
    for (size_t i = 0; i < tag_file->n_labels; i++) free(tag_file->labels[i]);
    free(tag_file->tags);
    free(tag_file->selectors);
    free(tag_file->labels);
    filter_table_free(&tag_file->table);
    *tag_file = (struct tag_file){0};
}

filtags_status tag_file_is_decoded(const char *path, bool *is_decoded) {
    struct run_record record;
    bool is_found;
    filtags_status status = run_file_read_beside(path, &record, &is_found);
    if (status) return status;
    *is_decoded = strstr(path_base(path), "-TFD-") || (record.command && strcmp(record.command, "decode") == 0);
    run_record_free(&record);
    return FILTAGS_OK;
}

void tag_table_write(struct pickle_writer *pickle, const struct filter_table *table, const struct tag_table *tags,
                     const char *const *labels, uint32_t *memos) {
    pickle_list_open(pickle);
    for (size_t layer = 0; layer < table->n_layers; layer++) {
        pickle_list_open(pickle);
        for (size_t filter = table->first[layer]; filter < table->first[layer + 1]; filter++) {
            pickle_list_open(pickle);
            for (uint64_t i = tags->offset[filter]; i < tags->offset[filter + 1]; i++)
                pickle_str_shared(pickle, labels[tags->labels[i]], &memos[tags->labels[i]]);
            pickle_list_close(pickle);
        }
        pickle_list_close(pickle);
    }
    pickle_list_close(pickle);
}
