#include "steps/tag_file.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "steps/tag_ranks.h"

/* ours and the published script's */
static const char *const variable_names[2][2] = {{[FILTAGS_RULE_K] = "filTags_k", [FILTAGS_RULE_Q] = "filTags_q"},
                                                 {[FILTAGS_RULE_K] = "labels_filters",
                                                  [FILTAGS_RULE_Q] = "labels_filters_per"}};

/* The tags of one value of k or q, or the wish for them. */
struct slot {
    struct selector selector;
    bool is_read;
    struct tag_table tags;
};

struct slot_list {
    struct slot *items; /* [n] */
    size_t n, capacity;
    bool takes_all; /* a slot is made for whatever is in the file; else the slots are what is wanted */
};

/* What is being read. */
struct tag_reader {
    struct step *step;
    const struct variables *variables;
    struct tag_file *to;
    uint32_t *label_of_str; /* [strs_capacity] number of a label + 1; 0: not seen yet */
    size_t strs_capacity, labels_capacity;
    size_t index_of[2];       /* by rule: place of the variable in the file */
    struct slot_list lists[2]; /* by rule */
    bool is_published;        /* the published script's file: its keys of k are places in the list of values */
    double *values;           /* [n_values] there: the keys of q in order */
    size_t n_values, values_capacity;
    size_t n_places;          /* there: keys of k */
    double last_place;        /* there: the greatest */
    bool are_keys_right;
    tag_file_visit visit; /* NULL: keep the tags */
    void *visit_context;
    bool may_rank;        /* turn to ranks when there are many tags */
    bool is_nested;       /* they can be */
    bool is_ranked;       /* from now on */
    char others[2][100];  /* by rule: values that aren't wanted, as text, the first ones */
    uint64_t n_kept;      /* tags in the slots */
    uint64_t n_room, n_taken; /* filters and tags: how many the file can have, and has had so far */
    struct tag_ranks ranks;
};

static const char *name_of(const struct tag_reader *reader, filtags_rule rule) {
    return variable_names[reader->is_published][rule];
}

static filtags_status refuse(const struct tag_reader *reader, struct selector selector, const char *problem) {
    return error_set(FILTAGS_ERROR_DATA, "%s: %s[%g]: %s", reader->variables->path, name_of(reader, selector.rule),
                     selector.value, problem);
}

static filtags_status number_of_label(struct tag_reader *reader, const struct pickle_file *file, pickle_value value,
                                      uint32_t *number) {
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

/* Room for every string that has been met so far. */
static filtags_status grow_strs(struct tag_reader *reader, const struct pickle_file *file) {
    void *strs = reader->label_of_str;
    size_t n_before = reader->strs_capacity;
    if (memory_grow(&strs, &reader->strs_capacity, pickle_n_strs(file), sizeof *reader->label_of_str))
        return FILTAGS_ERROR_MEMORY;
    reader->label_of_str = strs;
    if (reader->strs_capacity > n_before)
        memset(reader->label_of_str + n_before, 0, (reader->strs_capacity - n_before) * sizeof *reader->label_of_str);
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

/* A list that is in many places is one in the file, and many here: a small file could hold any number of tags so. What
 * our programs and the published ones write has two bytes a tag at least, and one a filter. */
static filtags_status take_room(struct tag_reader *reader, struct selector selector, uint64_t n) {
    enum { HARMLESS = 1 << 22 };
    if (!reader->n_room) {
        struct stat info;
        if (stat(reader->variables->path, &info))
            return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be examined", reader->variables->path);
        reader->n_room = info.st_size > HARMLESS ? (uint64_t)info.st_size : HARMLESS;
    }
    reader->n_taken += n;
    if (reader->n_taken <= reader->n_room) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_DATA,
                     "%s: %s[%g]: at most %" PRIu64 " filters and tags expected in a file of that size, found more",
                     reader->variables->path, name_of(reader, selector.rule), selector.value, reader->n_room);
}

static filtags_status check_shape(struct tag_reader *reader, const struct pickle_file *file, struct selector selector,
                                  pickle_value layers) {
    struct filter_table *table = &reader->to->table;
    if (!is_list_of_lists(file, layers))
        return refuse(reader, selector, "a list over layers of lists over filters expected");
    size_t n_layers = pickle_length(file, layers);
    for (size_t i = 0; i < n_layers; i++) {
        filtags_status status = take_room(reader, selector, 1 + pickle_length(file, pickle_item(file, layers, i)));
        if (status) return status;
    }
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

static filtags_status count_tags(struct tag_reader *reader, const struct pickle_file *file, struct selector selector,
                                 pickle_value layers, uint64_t *n_tags) {
    filtags_status status = FILTAGS_OK;
    *n_tags = 0;
    for (size_t i = 0; !status && i < pickle_length(file, layers); i++) {
        pickle_value layer = pickle_item(file, layers, i);
        uint64_t n = 0;
        for (size_t j = 0; j < pickle_length(file, layer); j++) n += pickle_length(file, pickle_item(file, layer, j));
        status = take_room(reader, selector, n);
        *n_tags += n;
    }
    return status;
}

static filtags_status copy_labels(struct tag_reader *reader, const struct pickle_file *file, struct selector selector,
                                  pickle_value layers, struct tag_table *tags) {
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
                filtags_status status = number_of_label(reader, file, label, &tags->labels[tags->offset[filter] + t]);
                if (status) return status;
            }
        }
    }
    return FILTAGS_OK;
}

static filtags_status read_tags(struct tag_reader *reader, const struct pickle_file *file, struct selector selector,
                                pickle_value layers, struct tag_table *result) {
    uint64_t n_tags = 0;
    filtags_status status = check_shape(reader, file, selector, layers);
    if (!status) status = count_tags(reader, file, selector, layers, &n_tags);
    if (!status) status = grow_strs(reader, file);
    if (status) return status;
    struct tag_table tags = {.n_filters = reader->to->table.first[reader->to->table.n_layers]};
    tags.offset = memory_new(tags.n_filters + 1, sizeof *tags.offset);
    tags.labels = memory_new(n_tags, sizeof *tags.labels);
    if (!tags.offset || !tags.labels) status = FILTAGS_ERROR_MEMORY;
    if (!status) status = copy_labels(reader, file, selector, layers, &tags);
    if (status) tag_table_free(&tags);
    else *result = tags;
    return status;
}

/* ---------------------------------------------------------------- the published script's keys */

static bool is_number(const struct pickle_file *file, pickle_value value) {
    enum pickle_kind kind = pickle_kind_of(file, value);
    return kind == PICKLE_INT || kind == PICKLE_FLOAT;
}

static filtags_status note_key(void *context, const struct pickle_file *file, size_t index, pickle_value key,
                               pickle_value item) {
    struct tag_reader *reader = context;
    (void)item;
    if (index == reader->index_of[FILTAGS_RULE_K]) {
        bool is_place = pickle_kind_of(file, key) == PICKLE_INT && pickle_as_int(file, key) >= 0;
        double place = is_place ? pickle_as_number(file, key) : -1;
        reader->n_places++;
        reader->are_keys_right = reader->are_keys_right && is_place;
        if (place > reader->last_place) reader->last_place = place;
    } else if (index == reader->index_of[FILTAGS_RULE_Q]) {
        void *values = reader->values;
        if (memory_grow(&values, &reader->values_capacity, reader->n_values + 1, sizeof *reader->values))
            return FILTAGS_ERROR_MEMORY;
        reader->values = values;
        reader->are_keys_right = reader->are_keys_right && is_number(file, key);
        reader->values[reader->n_values++] = is_number(file, key) ? pickle_as_number(file, key) : 0;
    }
    return FILTAGS_OK;
}

/* Both variables must be dicts. */
static filtags_status check_kind(void *context, const struct pickle_file *file, size_t index, pickle_value value) {
    const struct tag_reader *reader = context;
    for (int rule = FILTAGS_RULE_K; rule <= FILTAGS_RULE_Q; rule++) {
        if (index != reader->index_of[rule]) continue;
        filtags_status status = variables_check_kind(reader->variables, name_of(reader, rule), PICKLE_DICT,
                                                     pickle_kind_of(file, value));
        if (status) return status;
    }
    return FILTAGS_OK;
}

static filtags_status find_variables(struct tag_reader *reader) {
    filtags_status status = FILTAGS_OK;
    for (int rule = FILTAGS_RULE_K; !status && rule <= FILTAGS_RULE_Q; rule++)
        status = variables_find(reader->variables, name_of(reader, rule), &reader->index_of[rule]);
    return status;
}

/* Read the file. That it has other variables than its names say is found before a variable is missed. */
static filtags_status visit_variables(struct tag_reader *reader, const struct pickle_visitor *visitor) {
    reader->index_of[FILTAGS_RULE_K] = reader->index_of[FILTAGS_RULE_Q] = SIZE_MAX;
    filtags_status missing = find_variables(reader);
    filtags_status status = variables_visit(reader->variables, visitor);
    return status || !missing ? status : find_variables(reader);
}

/* The script went through one list of values for k and for q, in the same order. So the keys of q, which a dict keeps
 * in their order, tell what the places that are k's keys stand for. They come last in the file: it is read once for
 * the keys alone. */
static filtags_status read_published_keys(struct tag_reader *reader) {
    const struct pickle_visitor visitor = {reader, note_key, check_kind};
    reader->are_keys_right = true;
    reader->last_place = -1;
    filtags_status status = visit_variables(reader, &visitor);
    if (status) return status;
    if (reader->are_keys_right && reader->n_places == reader->n_values &&
        reader->last_place < (double)reader->n_values)
        return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_DATA,
                     "%s: labels_filters with the places 0, 1, ... of labels_filters_per's %zu values as keys "
                     "expected, found others (%zu keys)",
                     reader->variables->path, reader->n_values, reader->n_places);
}

/* The value of k or q that a key stands for. */
static double value_of_key(const struct tag_reader *reader, filtags_rule rule, double key) {
    return reader->is_published && rule == FILTAGS_RULE_K ? reader->values[(size_t)key] : key;
}

/* ---------------------------------------------------------------- the lists of k and of q */

static filtags_status add_slot(struct slot_list *list, struct selector selector) {
    void *items = list->items;
    if (memory_grow(&items, &list->capacity, list->n + 1, sizeof *list->items)) return FILTAGS_ERROR_MEMORY;
    list->items = items;
    list->items[list->n++] = (struct slot){.selector = selector};
    return FILTAGS_OK;
}

/* A fractional value serves q only. */
static filtags_status list_wanted(struct tag_reader *reader, const struct number_list *k_q) {
    for (int rule = FILTAGS_RULE_K; rule <= FILTAGS_RULE_Q; rule++) {
        reader->lists[rule].takes_all = k_q->n == 0;
        for (size_t i = 0; i < k_q->n; i++) {
            struct selector selector = {(filtags_rule)rule, k_q->values[i]};
            if (rule == FILTAGS_RULE_K && selector.value != floor(selector.value)) continue;
            filtags_status status = add_slot(&reader->lists[rule], selector);
            if (status) return status;
        }
    }
    return FILTAGS_OK;
}

/* The slot that waits for a value's tags; NULL: none. */
static struct slot *find_slot(struct slot_list *list, double value) {
    for (size_t i = 0; i < list->n; i++) {
        if (list->items[i].selector.value == value) return list->items[i].is_read ? NULL : &list->items[i];
    }
    return NULL;
}

static filtags_status rank_slot(struct tag_reader *reader, struct slot *slot) {
    filtags_status status = tag_ranks_add(&reader->ranks, reader->to, slot->selector, &slot->tags, &reader->is_nested);
    free(slot->tags.labels);
    slot->tags.labels = NULL;
    return status;
}

/* Once lists take more memory than ranks would, all that are read become ranks, and every further one at once. */
static filtags_status keep_slot(struct tag_reader *reader, struct slot *slot) {
    size_t n_filters = slot->tags.n_filters;
    filtags_status status = FILTAGS_OK;
    reader->n_kept += slot->tags.offset[n_filters];
    if (reader->is_ranked) return rank_slot(reader, slot); /* also where new labels have made ranks the larger ones */
    if (!reader->may_rank || reader->n_kept <= (uint64_t)n_filters * reader->to->n_labels) return FILTAGS_OK;
    reader->is_ranked = reader->is_nested = true;
    for (int rule = FILTAGS_RULE_K; rule <= FILTAGS_RULE_Q; rule++) {
        struct slot_list *list = &reader->lists[rule];
        for (size_t i = 0; !status && i < list->n; i++) {
            if (list->items[i].is_read) status = rank_slot(reader, &list->items[i]);
        }
    }
    return status;
}

/* Remember a value that the file has and nobody wants, for the message that none of the wanted is there. */
static void note_other(struct tag_reader *reader, struct selector selector) {
    char *text = reader->others[selector.rule];
    const size_t size = sizeof reader->others[0], n = strlen(text);
    if (n + 20 > size) { /* ", -1.23457e-05" and " ..." */
        if (text[n - 1] != '.') memcpy(text + n, " ...", sizeof " ...");
    } else {
        snprintf(text + n, size - n, "%s%g", n ? ", " : "", selector.value);
    }
}

static filtags_status read_pair(struct tag_reader *reader, filtags_rule rule, const struct pickle_file *file,
                                pickle_value key, pickle_value layers) {
    struct slot_list *list = &reader->lists[rule];
    if (!is_number(file, key)) {
        if (!list->takes_all) return FILTAGS_OK;
        return error_set(FILTAGS_ERROR_DATA, "%s: %s: numbers as keys expected, found a %s", reader->variables->path,
                         name_of(reader, rule), pickle_kind_name(pickle_kind_of(file, key)));
    }
    struct selector selector = {rule, value_of_key(reader, rule, pickle_as_number(file, key))};
    if (list->takes_all) {
        filtags_status status = add_slot(list, selector);
        if (status) return status;
    }
    struct slot *slot = list->takes_all ? &list->items[list->n - 1] : find_slot(list, selector.value);
    if (!slot) {
        note_other(reader, selector);
        return FILTAGS_OK;
    }
    filtags_status status = read_tags(reader, file, selector, layers, &slot->tags);
    slot->is_read = !status;
    if (!status && reader->visit) {
        status = reader->visit(reader->visit_context, reader->to, selector, &slot->tags);
        tag_table_free(&slot->tags);
    } else if (!status) {
        status = keep_slot(reader, slot);
    }
    return status;
}

static filtags_status take_pair(void *context, const struct pickle_file *file, size_t index, pickle_value key,
                                pickle_value layers) {
    struct tag_reader *reader = context;
    for (int rule = FILTAGS_RULE_K; rule <= FILTAGS_RULE_Q; rule++) {
        if (index == reader->index_of[rule]) return read_pair(reader, (filtags_rule)rule, file, key, layers);
    }
    return FILTAGS_OK;
}

/* Move what was read to the result, in the order in which it was wanted. */
static filtags_status gather(struct tag_reader *reader) {
    struct tag_file *to = reader->to;
    size_t n_most = reader->lists[FILTAGS_RULE_K].n + reader->lists[FILTAGS_RULE_Q].n;
    to->selectors = memory_new(n_most, sizeof *to->selectors);
    to->tags = memory_new(n_most, sizeof *to->tags);
    if (!to->selectors || !to->tags) return FILTAGS_ERROR_MEMORY;
    for (int rule = FILTAGS_RULE_K; rule <= FILTAGS_RULE_Q; rule++) {
        for (size_t i = 0; i < reader->lists[rule].n; i++) {
            struct slot *slot = &reader->lists[rule].items[i];
            if (!slot->is_read) continue;
            to->selectors[to->n_selectors] = slot->selector;
            to->tags[to->n_selectors++] = slot->tags;
            slot->tags = (struct tag_table){0};
        }
        if (rule == FILTAGS_RULE_K) to->n_k = to->n_selectors;
    }
    return FILTAGS_OK;
}

static filtags_status tell_missing(const struct tag_reader *reader) {
    for (int rule = FILTAGS_RULE_K; rule <= FILTAGS_RULE_Q; rule++) {
        for (size_t i = 0; i < reader->lists[rule].n; i++) {
            const struct slot *slot = &reader->lists[rule].items[i];
            if (slot->is_read) continue;
            step_log(reader->step, FILTAGS_LOG_WARNING, "%s has no tags for %s = %g: it is left out",
                     reader->variables->path, rule == FILTAGS_RULE_K ? "k" : "q", slot->selector.value);
        }
    }
    if (reader->to->n_selectors > 0) return FILTAGS_OK;
    const char *k = reader->others[FILTAGS_RULE_K], *q = reader->others[FILTAGS_RULE_Q];
    return error_set(FILTAGS_ERROR_DATA, "%s: tags for one of the values of --k-q expected, found none%s%s%s%s",
                     reader->variables->path, *k ? ", but for k = " : "", k,
                     !*q ? "" : *k ? "; q = " : ", but for q = ", q);
}

static void reader_free(struct tag_reader *reader) {
    for (int rule = FILTAGS_RULE_K; rule <= FILTAGS_RULE_Q; rule++) {
        for (size_t i = 0; i < reader->lists[rule].n; i++) tag_table_free(&reader->lists[rule].items[i].tags);
        free(reader->lists[rule].items);
    }
    free(reader->label_of_str);
    free(reader->values);
    tag_ranks_free(&reader->ranks);
}

static filtags_status read_tag_file(struct tag_reader *reader, const char *path, const struct number_list *k_q) {
    struct variables variables = {0};
    const struct pickle_visitor visitor = {reader, take_pair, check_kind};
    reader->variables = &variables;
    filtags_status status = variables_open_names(path, &variables);
    if (!status) reader->is_published = variables_has(&variables, variable_names[1][FILTAGS_RULE_K]);
    if (!status && reader->is_published) status = read_published_keys(reader);
    if (!status) status = list_wanted(reader, k_q);
    if (!status) status = visit_variables(reader, &visitor);
    if (!status) status = gather(reader);
    if (!status && reader->is_ranked && reader->is_nested)
        status = tag_ranks_finish(&reader->ranks, reader->to, &reader->is_nested);
    /* where ranks don't do, the file is read once more: once is enough to tell */
    if (!status && (!reader->is_ranked || reader->is_nested)) status = tell_missing(reader);
    reader_free(reader);
    variables_close(&variables);
    return status;
}

filtags_status tag_file_open(struct step *step, const char *path, const struct number_list *k_q,
                             struct tag_file *result) {
    struct tag_file tag_file = {0};
    struct tag_reader reader = {.step = step, .to = &tag_file};
    filtags_status status = read_tag_file(&reader, path, k_q);
    if (status) tag_file_close(&tag_file);
    else *result = tag_file;
    return status;
}

filtags_status tag_file_open_compact(struct step *step, const char *path, const struct number_list *k_q,
                                     struct tag_file *result) {
    struct tag_file tag_file = {0};
    struct tag_reader reader = {.step = step, .to = &tag_file, .may_rank = true};
    filtags_status status = read_tag_file(&reader, path, k_q);
    bool is_done = status || !reader.is_ranked || reader.is_nested;
    if (!status && is_done) *result = tag_file;
    else tag_file_close(&tag_file);
    return is_done ? status : tag_file_open(step, path, k_q, result);
}

filtags_status tag_file_each(struct step *step, const char *path, const struct number_list *k_q, tag_file_visit visit,
                             void *context) {
    struct tag_file tag_file = {0};
    struct tag_reader reader = {.step = step, .to = &tag_file, .visit = visit, .visit_context = context};
    filtags_status status = read_tag_file(&reader, path, k_q);
    tag_file_close(&tag_file);
    return status;
}

void tag_file_close(struct tag_file *tag_file) {
    for (size_t i = 0; i < tag_file->n_selectors; i++) tag_table_free(&tag_file->tags[i]);
    for (size_t i = 0; i < tag_file->n_labels; i++) free(tag_file->labels[i]);
    free(tag_file->tags);
    free(tag_file->selectors);
    free(tag_file->labels);
    filter_table_free(&tag_file->table);
    class_ranks_free(&tag_file->ranks);
    free(tag_file->columns);
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

void tag_variables_append_info(struct buffer *to) {
    buffer_append_text(
        to,
        "The -vars.pkl file holds one pickle a variable, in the order of -vars-names.pkl. To load them in Python:\n\n"
        "    import pickle\n"
        "    with open('...-vars.pkl', 'rb') as f:\n"
        "        filTags_k = pickle.load(f)\n"
        "        filTags_q = pickle.load(f)\n\n"
        "filTags_k[a][b][c]: labels, in class order, of filter c of layer b where each class tags its a most active "
        "filters of a layer\n"
        "filTags_q[a][b][c]: the same where each class tags its a percent most active filters of a layer\n"
        "  (a = 0 or out of range: the filters above the layer's mean class activation)\n");
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
