#include "steps/top_images.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "steps/steps.h"
#include "store/pickle.h"

/* ---------------------------------------------------------------- keeping */

filtags_status top_keeper_create(size_t n_filters, size_t n_top, struct top_keeper *keeper) {
    uint64_t *entries = memory_new(n_filters * n_top, sizeof *entries);
    if (!entries) return FILTAGS_ERROR_MEMORY;
    *keeper = (struct top_keeper){n_filters, n_top, entries};
    return FILTAGS_OK;
}

void top_keeper_free(struct top_keeper *keeper) {
    free(keeper->entries);
    *keeper = (struct top_keeper){0};
}

/* top: [n] */
static void insert(uint64_t *top, size_t n, uint64_t entry) {
    if (entry < top[n - 1]) return;
    size_t place = n - 1;
    for (; place > 0 && top[place - 1] < entry; place--) top[place] = top[place - 1];
    top[place] = entry;
}

void top_keeper_add(struct top_keeper *keeper, size_t picture, const filtags_activation *activations) {
    for (size_t f = 0; f < keeper->n_filters; f++) {
        const uint64_t entry = (uint64_t)activations[f] << 32 | (UINT32_MAX - (uint32_t)picture);
        insert(keeper->entries + f * keeper->n_top, keeper->n_top, entry);
    }
}

static filtags_activation entry_activation(uint64_t entry) { return (filtags_activation)(entry >> 32); }
static size_t entry_picture(uint64_t entry) { return UINT32_MAX - (uint32_t)entry; }

bool top_keeper_merge(struct top_keeper *keeper, const uint64_t *entries, size_t n_pictures) {
    const size_t n = keeper->n_top;
    for (size_t f = 0; f < keeper->n_filters; f++) {
        for (size_t i = 0; i < n; i++) {
            uint64_t entry;
            memcpy(&entry, entries + f * n + i, sizeof entry);
            if (!entry) continue;
            if (entry_picture(entry) >= n_pictures || entry_activation(entry) > FILTAGS_ACTIVATION_ONE) return false;
            insert(keeper->entries + f * n, n, entry);
        }
    }
    return true;
}

static void write_filter(struct pickle_writer *pickle, const struct top_keeper *keeper, size_t filter,
                         const char *const *files, uint32_t *memos) {
    const uint64_t *top = keeper->entries + filter * keeper->n_top; // [n_top]
    pickle_list_open(pickle);
    for (size_t i = 0; i < keeper->n_top && top[i]; i++) {
        const size_t picture = entry_picture(top[i]);
        pickle_tuple_open(pickle);
        pickle_str_shared(pickle, files[picture], &memos[picture]);
        pickle_float(pickle, entry_activation(top[i]) / (double)FILTAGS_ACTIVATION_ONE);
        pickle_tuple_close(pickle);
    }
    pickle_list_close(pickle);
}

filtags_status top_keeper_write(const struct top_keeper *keeper, const struct filter_table *table,
                                const char *const *files, size_t n_files, struct output *output) {
    static const char *const names[] = {"top_images"};
    struct pickle_writer pickle;
    FILE *stream;
    filtags_status status = output_start_file(output, "top.pkl", &stream);
    if (status) return status;
    uint32_t *memos = memory_new(n_files, sizeof *memos); // [n_files]
    if (!memos) return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < n_files; i++) memos[i] = UINT32_MAX;
    pickle_begin(&pickle, stream);
    pickle_list_open(&pickle);
    for (size_t layer = 0; layer < table->n_layers; layer++) {
        pickle_list_open(&pickle);
        for (size_t f = table->first[layer]; f < table->first[layer + 1]; f++)
            write_filter(&pickle, keeper, f, files, memos);
        pickle_list_close(&pickle);
    }
    pickle_list_close(&pickle);
    pickle_end(&pickle);
    free(memos);
    status = output_end_file(output);
    return status ? status : step_write_names(output, "top-names.pkl", names, 1);
}

/* ---------------------------------------------------------------- reading */

struct top_reader {
    const struct variables *variables;
    struct top_images *to;
    uint32_t *file_of_str; /* [pickle_n_strs] index of a file + 1; 0: not seen yet */
    size_t files_capacity, images_capacity;
};

static filtags_status refuse(const struct top_reader *reader, size_t layer, size_t filter, const char *problem) {
    return error_set(FILTAGS_ERROR_DATA, "%s: top_images[%zu][%zu]: %s", reader->variables->path, layer, filter,
                     problem);
}

static filtags_status number_of_file(struct top_reader *reader, pickle_value value, uint32_t *number) {
    const struct pickle_file *file = reader->variables->file;
    uint32_t *known = &reader->file_of_str[pickle_str_id(file, value)];
    if (!*known) {
        void *files = reader->to->files;
        if (memory_grow(&files, &reader->files_capacity, reader->to->n_files + 1, sizeof *reader->to->files))
            return FILTAGS_ERROR_MEMORY;
        reader->to->files = files;
        char *copy = memory_copy_string(pickle_as_str(file, value, NULL));
        if (!copy) return FILTAGS_ERROR_MEMORY;
        reader->to->files[reader->to->n_files++] = copy;
        *known = (uint32_t)reader->to->n_files;
    }
    *number = *known - 1;
    return FILTAGS_OK;
}

/* A tuple (file, activation). */
static bool is_entry(const struct pickle_file *file, pickle_value value) {
    if (pickle_kind_of(file, value) != PICKLE_TUPLE || pickle_length(file, value) != 2) return false;
    const enum pickle_kind kind = pickle_kind_of(file, pickle_item(file, value, 1));
    return pickle_kind_of(file, pickle_item(file, value, 0)) == PICKLE_STR &&
           (kind == PICKLE_FLOAT || kind == PICKLE_INT);
}

static filtags_status read_filter(struct top_reader *reader, size_t layer, size_t filter, pickle_value list) {
    const struct pickle_file *file = reader->variables->file;
    struct top_images *to = reader->to;
    const size_t first = to->offset[to->table.first[layer] + filter];
    double largest = 1;
    if (pickle_kind_of(file, list) != PICKLE_LIST || pickle_length(file, list) > TOP_IMAGES_MOST)
        return refuse(reader, layer, filter, "a list of at most 64 pictures expected");
    const size_t n = pickle_length(file, list);
    void *images = to->images;
    if (memory_grow(&images, &reader->images_capacity, first + n + 1, sizeof *to->images)) return FILTAGS_ERROR_MEMORY;
    to->images = images;
    for (size_t i = 0; i < n; i++) {
        const pickle_value entry = pickle_item(file, list, i);
        if (!is_entry(file, entry)) return refuse(reader, layer, filter, "tuples (file, activation) expected");
        const double activation = pickle_as_number(file, pickle_item(file, entry, 1));
        if (!(activation >= 0 && activation <= largest))
            return refuse(reader, layer, filter, "activations in [0, 1], strongest first, expected, found others");
        largest = activation;
        to->images[first + i].activation = (float)activation;
        filtags_status status = number_of_file(reader, pickle_item(file, entry, 0), &to->images[first + i].file);
        if (status) return status;
    }
    to->offset[to->table.first[layer] + filter + 1] = first + n;
    if (n > to->n_most) to->n_most = n;
    return FILTAGS_OK;
}

static filtags_status read_layers(struct top_reader *reader, pickle_value layers) {
    const struct pickle_file *file = reader->variables->file;
    const struct filter_table *table = &reader->to->table;
    if (pickle_length(file, layers) != table->n_layers)
        return error_set(FILTAGS_ERROR_DATA, "%s: top_images: %zu layers expected, as in step 1's file, found %zu",
                         reader->variables->path, table->n_layers, pickle_length(file, layers));
    for (size_t i = 0; i < table->n_layers; i++) {
        const pickle_value layer = pickle_item(file, layers, i);
        const size_t n = pickle_kind_of(file, layer) == PICKLE_LIST ? pickle_length(file, layer) : 0;
        if (n != table->n_filters[i])
            return error_set(FILTAGS_ERROR_DATA,
                             "%s: top_images[%zu]: a list over %zu filters expected, as in step 1's file, found %zu",
                             reader->variables->path, i, table->n_filters[i], n);
        for (size_t f = 0; f < n; f++) {
            filtags_status status = read_filter(reader, i, f, pickle_item(file, layer, f));
            if (status) return status;
        }
    }
    return FILTAGS_OK;
}

static filtags_status read_variables(const struct variables *variables, const struct filter_table *table,
                                     struct top_images *to) {
    struct top_reader reader = {.variables = variables, .to = to};
    pickle_value layers;
    filtags_status status = filter_table_create(table->n_filters, table->n_layers, &to->table);
    if (!status) status = variables_get(variables, "top_images", PICKLE_LIST, &layers);
    if (status) return status;
    to->offset = memory_new(table->first[table->n_layers] + 1, sizeof *to->offset);
    reader.file_of_str = memory_new(pickle_n_strs(variables->file), sizeof *reader.file_of_str);
    status = to->offset && reader.file_of_str ? read_layers(&reader, layers) : FILTAGS_ERROR_MEMORY;
    free(reader.file_of_str);
    return status;
}

filtags_status top_images_open(const char *vars_path, const struct filter_table *table, struct top_images *result,
                               bool *is_found) {
    struct top_images top_images = {0};
    struct variables variables = {0};
    size_t class_number;
    char *prefix = vars_path_prefix(vars_path, &class_number);
    char *path = prefix ? memory_format("%s-top.pkl", prefix) : NULL;
    filtags_status status = path ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
    const bool is_there = path && access(path, F_OK) == 0;
    if (!status && is_there) status = variables_open(path, &variables);
    if (!status && is_there) status = read_variables(&variables, table, &top_images);
    variables_close(&variables);
    free(prefix);
    free(path);
    if (status) {
        top_images_close(&top_images);
        return status;
    }
    *is_found = is_there;
    *result = top_images;
    return FILTAGS_OK;
}

void top_images_close(struct top_images *top_images) {
    for (size_t i = 0; i < top_images->n_files; i++) free(top_images->files[i]);
    free(top_images->files);
    free(top_images->images);
    free(top_images->offset);
    filter_table_free(&top_images->table);
    *top_images = (struct top_images){0};
}
