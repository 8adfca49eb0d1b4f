#include "steps/hitrates_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "store/variables.h"

/* More than anyone asks for; what a file claims is allocated. */
enum { MOST_VALUES = 10000 };
static const size_t most_rates = (size_t)1 << 26;

static const struct {
    const char *total, *per_class;
} names[HITRATES_N_RULES][HITRATES_N_LAYERS] = {{{"totalhit_k", "hit_k"}, {"totalhit_k_ll", "hit_k_ll"}},
                                                {{"totalhit_q", "hit_q"}, {"totalhit_q_ll", "hit_q_ll"}}};

/* A file being read. The totals and the rates of each class have the same form, {value: {m: rate}}; they are gone
 * through twice, first to collect the values, then to put the rates in their places. */
struct reader {
    struct step *step;
    struct variables variables;
    struct hitrates_file *file;
    size_t capacity_m, capacity_values[HITRATES_N_RULES], capacity_labels;
    uint32_t *row_of; /* [pickle_n_strs] row of a label's rates; 0: none yet */
    bool has_rate;
};

/* One {value: {m: rate}} of a file. */
struct rates_place {
    const char *variable;
    int rule, layers;
    size_t row;
};

/* ---------------------------------------------------------------- values */

/* Where wanted stands, or belongs, in an ascending list. */
static size_t find_place(const double *values, size_t n, double wanted) {
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (values[middle] < wanted) low = middle + 1;
        else high = middle;
    }
    return low;
}

static filtags_status add_value(const struct reader *reader, const char *variable, double value, double **values,
                                size_t *n, size_t *capacity) {
    size_t place = find_place(*values, *n, value);
    if (place < *n && (*values)[place] == value) return FILTAGS_OK;
    if (*n == MOST_VALUES) {
        return error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: %s: at most %d different values expected, found more",
                         reader->variables.path, variable, MOST_VALUES);
    }
    void *grown = *values;
    if (memory_grow(&grown, capacity, *n + 1, sizeof **values)) return FILTAGS_ERROR_MEMORY;
    *values = grown;
    memmove(*values + place + 1, *values + place, (*n - place) * sizeof **values);
    (*values)[place] = value;
    (*n)++;
    return FILTAGS_OK;
}

/* ---------------------------------------------------------------- {value: {m: rate}} */

static filtags_status refuse(const struct reader *reader, const char *variable, const char *expected,
                             pickle_value found) {
    return error_set(FILTAGS_ERROR_DATA, "%s: %s: %s expected, found a %s", reader->variables.path, variable, expected,
                     pickle_kind_name(pickle_kind_of(reader->variables.file, found)));
}

static bool is_number(const struct reader *reader, pickle_value value) {
    enum pickle_kind kind = pickle_kind_of(reader->variables.file, value);
    return kind == PICKLE_INT || kind == PICKLE_FLOAT;
}

/* A key of the outer or the inner dict. */
static filtags_status read_key(const struct reader *reader, const char *variable, bool is_m, pickle_value key,
                               double *number) {
    if (!is_number(reader, key))
        return refuse(reader, variable, is_m ? "a number m as key" : "a number k or q as key", key);
    double value = pickle_as_number(reader->variables.file, key);
    if (!isfinite(value) || (is_m && (value < 1 || value != floor(value)))) {
        return error_set(FILTAGS_ERROR_DATA, "%s: %s: %s expected, found %g", reader->variables.path, variable,
                         is_m ? "a whole m of at least 1 as key" : "a finite k or q as key", value);
    }
    *number = value;
    return FILTAGS_OK;
}

static filtags_status read_rate(struct reader *reader, const char *variable, pickle_value item, double *rate) {
    *rate = NAN; /* None: no pictures */
    if (pickle_kind_of(reader->variables.file, item) == PICKLE_NONE) return FILTAGS_OK;
    if (!is_number(reader, item)) return refuse(reader, variable, "a rate or None", item);
    double value = pickle_as_number(reader->variables.file, item);
    if (value < 0 || value > 1) {
        return error_set(FILTAGS_ERROR_DATA, "%s: %s: a rate between 0 and 1 expected, found %g",
                         reader->variables.path, variable, value);
    }
    reader->has_rate = reader->has_rate || !isnan(value);
    *rate = value;
    return FILTAGS_OK;
}

/* The first time: collect the values. */
static filtags_status collect_values(struct reader *reader, const struct rates_place *at, pickle_value rates) {
    const struct pickle_file *pickle = reader->variables.file;
    struct hitrates_file *file = reader->file;
    filtags_status status = FILTAGS_OK;
    for (size_t i = 0; !status && i < pickle_length(pickle, rates); i++) {
        pickle_value key, by_m, m_key, item;
        double value, m;
        pickle_pair(pickle, rates, i, &key, &by_m);
        status = read_key(reader, at->variable, false, key, &value);
        if (!status) {
            status = add_value(reader, at->variable, value, &file->values[at->rule], &file->n_values[at->rule],
                               &reader->capacity_values[at->rule]);
        }
        if (!status && pickle_kind_of(pickle, by_m) != PICKLE_DICT)
            status = refuse(reader, at->variable, "{k or q: {m: rate}}", by_m);
        for (size_t j = 0; !status && j < pickle_length(pickle, by_m); j++) {
            pickle_pair(pickle, by_m, j, &m_key, &item);
            status = read_key(reader, at->variable, true, m_key, &m);
            if (!status) status = add_value(reader, at->variable, m, &file->m, &file->n_m, &reader->capacity_m);
        }
    }
    return status;
}

/* The second time: put the rates in their places. The form has been checked. */
static filtags_status place_rates(struct reader *reader, const struct rates_place *at, pickle_value rates) {
    const struct pickle_file *pickle = reader->variables.file;
    struct hitrates_file *file = reader->file;
    filtags_status status = FILTAGS_OK;
    double *to = file->cubes[at->rule][at->layers].rates + at->row * file->n_values[at->rule] * file->n_m;
    for (size_t i = 0; !status && i < pickle_length(pickle, rates); i++) {
        pickle_value key, by_m, m_key, item;
        pickle_pair(pickle, rates, i, &key, &by_m);
        size_t value = find_place(file->values[at->rule], file->n_values[at->rule], pickle_as_number(pickle, key));
        for (size_t j = 0; !status && j < pickle_length(pickle, by_m); j++) {
            pickle_pair(pickle, by_m, j, &m_key, &item);
            size_t m = find_place(file->m, file->n_m, pickle_as_number(pickle, m_key));
            status = read_rate(reader, at->variable, item, &to[value * file->n_m + m]);
        }
    }
    return status;
}

/* ---------------------------------------------------------------- all of the file */

typedef filtags_status visit_function(struct reader *reader, const struct rates_place *at, pickle_value rates);

/* The row of a class's rates: its label's, a new one for a new label. */
static filtags_status find_row(struct reader *reader, const char *variable, pickle_value label, size_t *row) {
    struct hitrates_file *file = reader->file;
    if (pickle_kind_of(reader->variables.file, label) != PICKLE_STR)
        return refuse(reader, variable, "a class label (str) as key", label);
    uint32_t *known = &reader->row_of[pickle_str_id(reader->variables.file, label)];
    if (!*known) {
        void *labels = file->labels;
        if (memory_grow(&labels, &reader->capacity_labels, file->n_classes + 1, sizeof *file->labels))
            return FILTAGS_ERROR_MEMORY;
        file->labels = labels;
        file->labels[file->n_classes] = memory_copy_string(pickle_as_str(reader->variables.file, label, NULL));
        if (!file->labels[file->n_classes]) return FILTAGS_ERROR_MEMORY;
        *known = (uint32_t)++file->n_classes;
    }
    *row = *known;
    return FILTAGS_OK;
}

static filtags_status visit_classes(struct reader *reader, int rule, int layers, visit_function *visit) {
    struct rates_place at = {names[rule][layers].per_class, rule, layers, 0};
    pickle_value by_label, label, rates;
    filtags_status status = variables_get(&reader->variables, at.variable, PICKLE_DICT, &by_label);
    size_t n = status ? 0 : pickle_length(reader->variables.file, by_label);
    for (size_t i = 0; !status && i < n; i++) {
        pickle_pair(reader->variables.file, by_label, i, &label, &rates);
        status = find_row(reader, at.variable, label, &at.row);
        if (!status && pickle_kind_of(reader->variables.file, rates) != PICKLE_DICT)
            status = refuse(reader, at.variable, "{label: {k or q: {m: rate}}}", rates);
        if (!status) status = visit(reader, &at, rates);
    }
    return status;
}

static filtags_status visit_all(struct reader *reader, visit_function *visit) {
    filtags_status status = FILTAGS_OK;
    for (int i = 0; !status && i < HITRATES_N_RULES * HITRATES_N_LAYERS; i++) {
        int rule = i / HITRATES_N_LAYERS, layers = i % HITRATES_N_LAYERS;
        const struct rate_cube *cube = &reader->file->cubes[rule][layers];
        struct rates_place at = {names[rule][layers].total, rule, layers, 0};
        pickle_value rates;
        if (!cube->is_there) continue;
        status = variables_get(&reader->variables, at.variable, PICKLE_DICT, &rates);
        if (!status) status = visit(reader, &at, rates);
        if (!status && cube->has_classes) status = visit_classes(reader, rule, layers, visit);
    }
    return status;
}

/* Note which of the variables are there, and warn of the others. */
static filtags_status find_variables(struct reader *reader) {
    struct buffer missing = {0};
    bool is_any_there = false;
    for (int rule = 0; rule < HITRATES_N_RULES; rule++) {
        for (int layers = 0; layers < HITRATES_N_LAYERS; layers++) {
            struct rate_cube *cube = &reader->file->cubes[rule][layers];
            cube->is_there = variables_has(&reader->variables, names[rule][layers].total);
            cube->has_classes = cube->is_there && variables_has(&reader->variables, names[rule][layers].per_class);
            is_any_there = is_any_there || cube->is_there;
            const char *separator = missing.size_bytes ? ", " : "";
            if (!cube->is_there) buffer_printf(&missing, "%s%s", separator, names[rule][layers].total);
            else if (!cube->has_classes) buffer_printf(&missing, "%s%s", separator, names[rule][layers].per_class);
        }
    }
    filtags_status status = FILTAGS_OK;
    if (!is_any_there) {
        status = error_set(FILTAGS_ERROR_DATA,
                           "%s: the -vars.pkl of step 4 expected (totalhit_k, totalhit_q), found other variables",
                           reader->variables.path);
    } else if (missing.size_bytes) {
        step_log(reader->step, FILTAGS_LOG_WARNING, "%s has no %s: left out of the plots", reader->variables.path,
                 buffer_text(&missing));
    }
    buffer_free(&missing);
    return status;
}

static filtags_status allocate_rates(struct reader *reader) {
    struct hitrates_file *file = reader->file;
    for (int rule = 0; rule < HITRATES_N_RULES; rule++) {
        size_t n_cells = file->n_values[rule] * file->n_m; /* at most MOST_VALUES squared */
        if (n_cells && file->n_classes + 1 > most_rates / n_cells) {
            return error_set(FILTAGS_ERROR_UNSUPPORTED,
                             "%s: at most %zu rates of k or q expected, found %zu values, %zu of m, %zu classes",
                             reader->variables.path, most_rates, file->n_values[rule], file->n_m, file->n_classes);
        }
        for (int layers = 0; layers < HITRATES_N_LAYERS; layers++) {
            struct rate_cube *cube = &file->cubes[rule][layers];
            size_t n = (file->n_classes + 1) * n_cells;
            if (!cube->is_there) continue;
            cube->rates = memory_new(n, sizeof *cube->rates);
            if (!cube->rates) return FILTAGS_ERROR_MEMORY;
            for (size_t i = 0; i < n; i++) cube->rates[i] = NAN;
        }
    }
    return FILTAGS_OK;
}

static filtags_status read_all(struct reader *reader) {
    const char *path = reader->variables.path;
    reader->row_of = memory_new(pickle_n_strs(reader->variables.file), sizeof *reader->row_of);
    filtags_status status = reader->row_of ? find_variables(reader) : FILTAGS_ERROR_MEMORY;
    if (!status) status = visit_all(reader, collect_values);
    if (!status && (!reader->file->n_m || reader->file->n_values[0] + reader->file->n_values[1] == 0))
        status = error_set(FILTAGS_ERROR_DATA, "%s: rates for at least one k or q expected, found none", path);
    if (!status) status = allocate_rates(reader);
    if (!status) status = visit_all(reader, place_rates);
    if (!status && !reader->has_rate)
        step_log(reader->step, FILTAGS_LOG_WARNING, "%s has no rate but None: there is nothing to see in the plots",
                 path);
    return status;
}

filtags_status hitrates_file_open(struct step *step, const char *path, struct hitrates_file *result) {
    struct hitrates_file file = {0};
    struct reader reader = {.step = step, .file = &file};
    filtags_status status = variables_open(path, &reader.variables);
    if (status) return status;
    status = read_all(&reader);
    variables_close(&reader.variables);
    free(reader.row_of);
    if (status) hitrates_file_close(&file);
    else *result = file;
    return status;
}

void hitrates_file_close(struct hitrates_file *file) {
    for (size_t i = 0; i < file->n_classes; i++) free(file->labels[i]);
    free(file->labels);
    free(file->m);
    for (int rule = 0; rule < HITRATES_N_RULES; rule++) {
        free(file->values[rule]);
        for (int layers = 0; layers < HITRATES_N_LAYERS; layers++) free(file->cubes[rule][layers].rates);
    }
    *file = (struct hitrates_file){0};
}

const double *hitrates_row(const struct hitrates_file *file, int rule, int layers, size_t row) {
    return file->cubes[rule][layers].rates + row * file->n_values[rule] * file->n_m;
}
