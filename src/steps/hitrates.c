/* hitrates.c - step 4: how often the tags agree with the network. */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "report/rate_table.h"
#include "steps/steps.h"
#include "store/pickle.h"
#include "store/variables.h"
#include "tagging/hitrates.h"
#include "tagging/tags.h"

/* A class's file of step 3. */
struct class_file {
    size_t number; /* X of -varsX.pkl */
    char *path;
    char *label;
};

struct hitrates_run {
    struct step *step;
    struct run_record record;
    struct class_file *files; /* [n_files], by number; those of --classes-img once they are chosen */
    size_t n_files, capacity;
    struct selector *selectors; /* [n_selectors] those of k, then those of q */
    size_t n_selectors, n_k;
    struct hit_table table; /* predictors: selector s over all layers is 2 s, over the last one 2 s + 1 */
    struct output *output;
};

static const char *const variable_names[2][2] = {
    [FILTAGS_RULE_K] = {"y_k", "y_k_ll"}, [FILTAGS_RULE_Q] = {"y_q", "y_q_ll"}};

/* ---------------------------------------------------------------- finding the files */

static int compare_files(const void *a, const void *b) {
    size_t left = ((const struct class_file *)a)->number, right = ((const struct class_file *)b)->number;
    return left < right ? -1 : left > right;
}

static filtags_status add_file(struct hitrates_run *run, const char *folder, const char *name, size_t number) {
    void *files = run->files;
    if (memory_grow(&files, &run->capacity, run->n_files + 1, sizeof *run->files)) return FILTAGS_ERROR_MEMORY;
    run->files = files;
    char *path = path_join(folder, name);
    if (!path) return FILTAGS_ERROR_MEMORY;
    run->files[run->n_files++] = (struct class_file){number, path, NULL};
    return FILTAGS_OK;
}

/* Every "<prefix>-vars<number>.pkl". */
static filtags_status list_files(struct hitrates_run *run, const char *prefix) {
    filtags_status status = FILTAGS_OK;
    const char *base = path_base(prefix);
    size_t n_base = strlen(base);
    char *folder = path_folder(prefix);
    DIR *directory = folder ? opendir(folder) : NULL;
    if (!folder) return FILTAGS_ERROR_MEMORY;
    if (!directory) status = error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be read", folder);
    errno = 0; /* readdir tells the end and a failure apart by it alone */
    for (struct dirent *entry; !status && (entry = readdir(directory)); errno = 0) {
        char *end;
        const char *rest = entry->d_name + n_base;
        if (strncmp(entry->d_name, base, n_base) != 0 || strncmp(rest, "-vars", 5) != 0 || rest[5] < '1' ||
            rest[5] > '9')
            continue;
        unsigned long number = strtoul(rest + 5, &end, 10);
        if (strcmp(end, ".pkl") == 0) status = add_file(run, folder, entry->d_name, number);
    }
    if (!status && errno) status = error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be read", folder);
    if (directory) closedir(directory);
    if (!status && run->n_files == 0) {
        status =
            error_set(FILTAGS_ERROR_IO,
                      "%s-varsX.pkl: the files of step 3 expected, one for each class number X, found none", prefix);
    }
    if (!status) qsort(run->files, run->n_files, sizeof *run->files, compare_files);
    free(folder);
    return status;
}

/* The only key of class_images_dict. */
static filtags_status read_label(struct class_file *class_file) {
    struct variables variables;
    pickle_value dict, label, images;
    filtags_status status = variables_open(class_file->path, &variables);
    if (status) return status;
    status = variables_get(&variables, "class_images_dict", PICKLE_DICT, &dict);
    if (!status && pickle_length(variables.file, dict) == 1) {
        pickle_pair(variables.file, dict, 0, &label, &images);
        if (pickle_kind_of(variables.file, label) == PICKLE_STR) {
            class_file->label = memory_copy_string(pickle_as_str(variables.file, label, NULL));
            if (!class_file->label) status = FILTAGS_ERROR_MEMORY;
        }
    }
    variables_close(&variables);
    if (!status && !class_file->label)
        status = error_set(FILTAGS_ERROR_DATA, "%s: class_images_dict: one label expected", class_file->path);
    return status;
}

/* Keep the classes of --classes-img (numbers or labels), in the order of the files. */
static filtags_status choose_classes(struct hitrates_run *run) {
    const struct text_list *wanted = &run->step->options->classes_img;
    size_t n_kept = 0;
    if (wanted->n == 0) return FILTAGS_OK;
    bool *is_wanted = memory_new(run->n_files, sizeof *is_wanted);
    if (!is_wanted) return FILTAGS_ERROR_MEMORY;
    for (size_t w = 0; w < wanted->n; w++) {
        char number[24];
        bool is_known = false;
        for (size_t i = 0; i < run->n_files; i++) {
            snprintf(number, sizeof number, "%zu", run->files[i].number);
            if (strcmp(wanted->items[w], number) != 0 && strcmp(wanted->items[w], run->files[i].label) != 0) continue;
            is_wanted[i] = is_known = true;
        }
        if (is_known) continue;
        free(is_wanted);
        return error_set(FILTAGS_ERROR_USAGE,
                         "--classes-img: numbers or labels of step 3's %zu classes (%zu %s, ...) expected, found '%s'",
                         run->n_files, run->files[0].number, run->files[0].label, wanted->items[w]);
    }
    for (size_t i = 0; i < run->n_files; i++) {
        if (is_wanted[i]) {
            struct class_file kept = run->files[i];
            run->files[i] = run->files[n_kept]; /* the others stay behind, to be freed */
            run->files[n_kept++] = kept;
        }
    }
    for (size_t i = n_kept; i < run->n_files; i++) {
        free(run->files[i].path);
        free(run->files[i].label);
    }
    run->n_files = n_kept;
    free(is_wanted);
    return FILTAGS_OK;
}

/* ---------------------------------------------------------------- k and q */

static filtags_status list_rule(struct hitrates_run *run, const struct variables *variables, filtags_rule rule) {
    const struct number_list *k_q = &run->step->options->k_q;
    const struct pickle_file *file = variables->file;
    pickle_value dict, key, item;
    filtags_status status = variables_get(variables, variable_names[rule][0], PICKLE_DICT, &dict);
    if (status) return status;
    size_t n = k_q->n ? k_q->n : pickle_length(file, dict), capacity = run->n_selectors;
    void *selectors = run->selectors;
    if (memory_grow(&selectors, &capacity, run->n_selectors + n + 1, sizeof *run->selectors))
        return FILTAGS_ERROR_MEMORY;
    run->selectors = selectors;
    for (size_t i = 0; i < n; i++) {
        struct selector selector = {rule, 0};
        if (k_q->n) {
            selector.value = k_q->values[i];
            if (rule == FILTAGS_RULE_K && selector.value != floor(selector.value)) continue;
            if (!dict_find_number(file, dict, selector.value, &item)) {
                step_log(run->step, FILTAGS_LOG_WARNING, "%s has no predictions for %s = %g: it is left out",
                         variables->path, rule == FILTAGS_RULE_K ? "k" : "q", selector.value);
                continue;
            }
        } else {
            pickle_pair(file, dict, i, &key, &item);
            selector.value = pickle_as_number(file, key);
        }
        run->selectors[run->n_selectors++] = selector;
    }
    return FILTAGS_OK;
}

/* What to compute, by the first class's file; the others must have the same. */
static filtags_status list_selectors(struct hitrates_run *run) {
    struct variables variables;
    filtags_status status = variables_open(run->files[0].path, &variables);
    if (status) return status;
    status = list_rule(run, &variables, FILTAGS_RULE_K);
    run->n_k = run->n_selectors;
    if (!status) status = list_rule(run, &variables, FILTAGS_RULE_Q);
    variables_close(&variables);
    if (!status && run->n_selectors == 0) {
        status = error_set(FILTAGS_ERROR_DATA, "%s: predictions for one of the values of --k-q expected, found none",
                           run->files[0].path);
    }
    return status;
}

/* ---------------------------------------------------------------- counting */

static filtags_status refuse(const struct variables *variables, const char *name, const char *expected) {
    return error_set(FILTAGS_ERROR_DATA, "%s: %s: %s expected, found something else", variables->path, name, expected);
}

/* The str at the start of a tuple. */
static bool first_str(const struct pickle_file *file, pickle_value tuple, uint32_t *id) {
    enum pickle_kind kind = pickle_kind_of(file, tuple);
    if ((kind != PICKLE_TUPLE && kind != PICKLE_LIST) || pickle_length(file, tuple) < 1) return false;
    if (pickle_kind_of(file, pickle_item(file, tuple, 0)) != PICKLE_STR) return false;
    *id = pickle_str_id(file, pickle_item(file, tuple, 0));
    return true;
}

/* Place of a label in a ranking [(label, count), ...]. */
static filtags_status find_position(const struct variables *variables, pickle_value ranking, uint32_t wanted,
                                    uint32_t *position) {
    const struct pickle_file *file = variables->file;
    if (pickle_kind_of(file, ranking) != PICKLE_LIST) return refuse(variables, "y_k, y_q", "rankings (lists)");
    *position = HIT_ABSENT;
    for (size_t i = 0; i < pickle_length(file, ranking); i++) {
        uint32_t id;
        if (!first_str(file, pickle_item(file, ranking, i), &id))
            return refuse(variables, "y_k, y_q", "(label, count) in rankings");
        if (id != wanted) continue;
        *position = (uint32_t)i;
        break;
    }
    return FILTAGS_OK;
}

/* The lists over images of every predictor. */
static filtags_status get_rankings(const struct hitrates_run *run, const struct variables *variables, size_t n_images,
                                   pickle_value *rankings) {
    for (size_t p = 0; p < 2 * run->n_selectors; p++) {
        const struct selector *selector = &run->selectors[p / 2];
        const char *name = variable_names[selector->rule][p % 2];
        pickle_value dict;
        filtags_status status = variables_get(variables, name, PICKLE_DICT, &dict);
        if (status) return status;
        if (!dict_find_number(variables->file, dict, selector->value, &rankings[p])) {
            return error_set(FILTAGS_ERROR_DATA, "%s: %s: the key %g expected, as in %s, found none", variables->path,
                             name, selector->value, run->files[0].path);
        }
        if (pickle_kind_of(variables->file, rankings[p]) != PICKLE_LIST ||
            pickle_length(variables->file, rankings[p]) != n_images) {
            return refuse(variables, name, "a list of as many pictures as in y");
        }
    }
    return FILTAGS_OK;
}

static filtags_status count_images(struct hitrates_run *run, size_t class_index, const struct variables *variables,
                                   pickle_value *rankings, uint32_t *positions) {
    pickle_value y;
    uint32_t label;
    filtags_status status = variables_get(variables, "y", PICKLE_LIST, &y);
    if (status) return status;
    size_t n_images = pickle_length(variables->file, y);
    status = get_rankings(run, variables, n_images, rankings);
    for (size_t i = 0; !status && i < n_images; i++) {
        pickle_value top = pickle_item(variables->file, y, i);
        if (pickle_kind_of(variables->file, top) != PICKLE_LIST || pickle_length(variables->file, top) < 1 ||
            !first_str(variables->file, pickle_item(variables->file, top, 0), &label)) {
            return refuse(variables, "y", "lists of (label, name, probability)");
        }
        for (size_t p = 0; !status && p < 2 * run->n_selectors; p++) {
            status = find_position(variables, pickle_item(variables->file, rankings[p], i), label, &positions[p]);
        }
        if (!status) hit_table_add(&run->table, class_index, positions);
    }
    return status;
}

static filtags_status count_all(struct hitrates_run *run) {
    const struct count_list *m = &run->step->options->m;
    pickle_value *rankings = memory_new(2 * run->n_selectors, sizeof *rankings);
    uint32_t *positions = memory_new(2 * run->n_selectors, sizeof *positions);
    uint32_t *m_values = memory_new(m->n, sizeof *m_values);
    filtags_status status = rankings && positions && m_values ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; !status && i < m->n; i++)
        m_values[i] = m->values[i] > UINT32_MAX ? UINT32_MAX : (uint32_t)m->values[i];
    if (!status) status = hit_table_create(run->n_files, 2 * run->n_selectors, m_values, m->n, &run->table);
    for (size_t i = 0; !status && i < run->n_files; i++) {
        struct variables variables;
        status = variables_open(run->files[i].path, &variables);
        if (status) break;
        status = count_images(run, i, &variables, rankings, positions);
        variables_close(&variables);
    }
    free(rankings);
    free(positions);
    free(m_values);
    return status;
}

/* ---------------------------------------------------------------- files */

enum { TOTAL = -1 };

static bool get_rate(const struct hitrates_run *run, long class_index, size_t predictor, size_t m_index, double *rate) {
    if (class_index == TOTAL) return hit_table_total_rate(&run->table, predictor, m_index, rate);
    return hit_table_rate(&run->table, (size_t)class_index, predictor, m_index, rate);
}

/* {value: {m: rate}} */
static void write_rates(struct pickle_writer *pickle, const struct hitrates_run *run, long class_index,
                        filtags_rule rule, bool is_last_layer_only) {
    size_t first = rule == FILTAGS_RULE_K ? 0 : run->n_k, end = rule == FILTAGS_RULE_K ? run->n_k : run->n_selectors;
    pickle_dict_open(pickle);
    for (size_t s = first; s < end; s++) {
        pickle_number(pickle, run->selectors[s].value);
        pickle_dict_open(pickle);
        for (size_t i = 0; i < run->table.n_m; i++) {
            double rate;
            pickle_int(pickle, run->table.m[i]);
            if (get_rate(run, class_index, 2 * s + is_last_layer_only, i, &rate)) pickle_float(pickle, rate);
            else pickle_none(pickle);
        }
        pickle_dict_close(pickle);
    }
    pickle_dict_close(pickle);
}

static filtags_status write_vars(struct hitrates_run *run) {
    struct pickle_writer pickle;
    FILE *stream;
    filtags_status status = output_start_file(run->output, "vars.pkl", &stream);
    if (status) return status;
    for (int i = 0; i < 8; i++) { /* totalhit_k, totalhit_q, totalhit_k_ll, totalhit_q_ll, then hit_... */
        filtags_rule rule = i % 2 ? FILTAGS_RULE_Q : FILTAGS_RULE_K;
        bool is_last_layer_only = i / 2 % 2;
        pickle_begin(&pickle, stream);
        if (i < 4) {
            write_rates(&pickle, run, TOTAL, rule, is_last_layer_only);
        } else {
            pickle_dict_open(&pickle);
            for (size_t c = 0; c < run->n_files; c++) {
                pickle_str(&pickle, run->files[c].label);
                write_rates(&pickle, run, (long)c, rule, is_last_layer_only);
            }
            pickle_dict_close(&pickle);
        }
        pickle_end(&pickle);
    }
    return output_end_file(run->output);
}

/* One block of the results: a class, or the total. */
static void append_block(struct buffer *to, const struct hitrates_run *run, long class_index, const char *title) {
    rate_table_append_head(to, title, run->table.m, run->table.n_m);
    for (size_t s = 0; s < run->n_selectors; s++) {
        rate_table_begin_row(to, s < run->n_k ? "k" : "q", run->selectors[s].value);
        for (int is_last = 0; is_last < 2; is_last++) {
            for (size_t i = 0; i < run->table.n_m; i++) {
                double rate;
                bool has_rate = get_rate(run, class_index, 2 * s + (size_t)is_last, i, &rate);
                rate_table_append_rate(to, has_rate ? &rate : NULL, is_last && i == 0);
            }
        }
        buffer_append_text(to, "\n");
    }
}

static uint64_t count_pictures(const struct hitrates_run *run) {
    uint64_t n = 0;
    for (size_t i = 0; i < run->n_files; i++) n += run->table.n_images[i];
    return n;
}

static void append_total(struct buffer *to, const struct hitrates_run *run) {
    char title[120];
    unsigned long long n = count_pictures(run);
    snprintf(title, sizeof title, "total: %zu class%s, %llu picture%s", run->n_files, run->n_files == 1 ? "" : "es", n,
             n == 1 ? "" : "s");
    append_block(to, run, TOTAL, title);
}

static filtags_status write_results(struct hitrates_run *run) {
    struct buffer text = {0};
    buffer_printf(
        &text,
        "Hit rates of %s (filTags, step 4): how often the network's own top-1 label is among the first m labels\n"
        "that the tags of the most active filters predict (k filters, or q percent, of each layer; of the last layer "
        "alone).\n",
        run->record.network ? run->record.network : "the network");
    for (size_t i = 0; i < run->n_files; i++) {
        char title[400], line[sizeof title]; /* a folder's name has at most 255 bytes */
        unsigned long long n = run->table.n_images[i];
        snprintf(title, sizeof title, "class %zu, %s: %llu picture%s", run->files[i].number, run->files[i].label, n,
                 n == 1 ? "" : "s");
        text_make_printable(line, sizeof line, title);
        buffer_append_text(&text, "\n");
        append_block(&text, run, (long)i, line);
    }
    buffer_append_text(&text, "\n");
    append_total(&text, run);
    filtags_status status =
        text.has_failed ? FILTAGS_ERROR_MEMORY : output_write_text(run->output, "results.txt", buffer_text(&text));
    buffer_free(&text);
    return status;
}

static void report(const struct hitrates_run *run) {
    struct buffer *to = &run->step->run->report;
    buffer_printf(to, "\nhit rates of %s: how often the network's top-1 label is among the tags' first m\n",
                  run->record.network ? run->record.network : "the network");
    append_total(to, run);
}

static filtags_status write_files(struct hitrates_run *run) {
    static const char *const names[] = {"totalhit_k", "totalhit_q", "totalhit_k_ll", "totalhit_q_ll",
                                        "hit_k",      "hit_q",      "hit_k_ll",      "hit_q_ll"};
    static const char info[] =
        "Hit rates (filTags, step 4).\n\n"
        "The -vars.pkl file holds one pickle a variable, in the order of -vars-names.pkl. To load them in Python:\n\n"
        "    import pickle\n"
        "    with open('...-vars-names.pkl', 'rb') as f:\n"
        "        names = pickle.load(f)\n"
        "    with open('...-vars.pkl', 'rb') as f:\n"
        "        variables = {name: pickle.load(f) for name in names}\n\n"
        "totalhit_k[a][m]: over all classes, weighted by pictures: share of pictures whose top-1 label of the network "
        "is among the\n"
        "  first m labels that the tags for k = a predict\n"
        "totalhit_q[a][m]: the same for q = a\n"
        "totalhit_k_ll, totalhit_q_ll: the same, only the last layer's filters considered\n"
        "hit_k[label][a][m], hit_q, hit_k_ll, hit_q_ll: the same for each class; None where it has no pictures\n";
    const struct run_number numbers[] = {{"counts", "n_classes", (double)run->n_files},
                                         {"counts", "n_pictures", (double)count_pictures(run)}};
    filtags_status status = write_vars(run);
    if (!status) status = step_write_names(run->output, "vars-names.pkl", names, 8);
    if (!status) status = output_write_text(run->output, "vars-info.txt", info);
    if (!status) status = write_results(run);
    if (status) return status;
    report(run);
    return step_close_output(run->step, &run->output, &run->record, numbers, sizeof numbers / sizeof *numbers);
}

static void close_run(struct hitrates_run *run, filtags_status status) {
    output_close(run->output, status ? filtags_error_message() : NULL);
    hit_table_free(&run->table);
    for (size_t i = 0; i < run->n_files; i++) {
        free(run->files[i].path);
        free(run->files[i].label);
    }
    free(run->files);
    free(run->selectors);
    run_record_free(&run->record);
}

filtags_status step_hitrates(struct step *step) {
    struct hitrates_run run = {.step = step};
    const char *path = step->options->eval_file;
    size_t class_number;
    char *prefix = vars_path_prefix(path, &class_number);
    filtags_status status = prefix ? list_files(&run, prefix) : FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; !status && i < run.n_files; i++) status = read_label(&run.files[i]);
    if (!status) status = choose_classes(&run);
    if (!status) status = list_selectors(&run);
    if (!status) status = count_all(&run);
    if (!status) status = step_inherit(step, run.files[0].path, &run.record);
    if (!status) status = step_set_previous(&run.record, "hitrates", run.files[0].path);
    if (!status)
        status = step_open_output(step, "HR", run.record.network ? run.record.network : "network", &run.output);
    if (!status) status = write_files(&run);
    close_run(&run, status);
    free(prefix);
    return status;
}
