/* export.c - class activations, tags and hit rates as tables for other programs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json_text.h"
#include "base/memory.h"
#include "steps/class_activations.h"
#include "steps/steps.h"
#include "steps/tag_file.h"

enum { MOST_COLUMNS = 6 };

/* A table being written, row by row, as CSV (RFC 4180) or as a JSON list of objects. */
struct table_writer {
    FILE *stream;
    int format; /* enum export_format */
    const char *const *columns;
    size_t n_columns;
    uint64_t n_rows;
    size_t n_cells; /* in the row being written */
    bool has_failed; /* memory for a text ran out */
};

static void write_csv_text(FILE *stream, const char *text) {
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, stream);
        return;
    }
    fputc('"', stream);
    for (; *text; text++) {
        if (*text == '"') fputc('"', stream);
        fputc(*text, stream);
    }
    fputc('"', stream);
}

static void write_json_text(struct table_writer *table, const char *text) {
    json_t *value = json_text(text);
    if (!value || json_dumpf(value, table->stream, JSON_ENCODE_ANY)) table->has_failed = true;
    json_decref(value);
}

static void table_begin(struct table_writer *table) {
    if (table->format == EXPORT_JSON) {
        fputc('[', table->stream);
        return;
    }
    for (size_t i = 0; i < table->n_columns; i++) fprintf(table->stream, "%s%s", i ? "," : "", table->columns[i]);
    fputs("\n", table->stream);
}

static void cell_begin(struct table_writer *table) {
    bool is_first = table->n_cells == 0;
    if (table->format == EXPORT_JSON) {
        if (is_first) fputs(table->n_rows ? ",\n {" : "{", table->stream);
        fprintf(table->stream, "%s\"%s\": ", is_first ? "" : ", ", table->columns[table->n_cells]);
    } else if (!is_first) {
        fputc(',', table->stream);
    }
    table->n_cells++;
}

static void cell_end(struct table_writer *table) {
    if (table->n_cells < table->n_columns) return;
    fputs(table->format == EXPORT_JSON ? "}" : "\n", table->stream);
    table->n_cells = 0;
    table->n_rows++;
}

static void table_text(struct table_writer *table, const char *text) {
    cell_begin(table);
    if (table->format == EXPORT_JSON) write_json_text(table, text);
    else write_csv_text(table->stream, text);
    cell_end(table);
}

static void table_number(struct table_writer *table, double value, const char *format) {
    cell_begin(table);
    fprintf(table->stream, format, value);
    cell_end(table);
}

static void table_nothing(struct table_writer *table) {
    cell_begin(table);
    if (table->format == EXPORT_JSON) fputs("null", table->stream);
    cell_end(table);
}

static void table_end(struct table_writer *table) {
    if (table->format == EXPORT_JSON) fputs("]\n", table->stream);
}

/* ---------------------------------------------------------------- the three tables */

static void table_layer(struct table_writer *table, const struct run_record *record, size_t layer, size_t n_layers) {
    table_number(table, (double)layer, "%.0f");
    if (record->n_layers == n_layers) table_text(table, record->layer_names[layer]);
    else table_nothing(table);
}

static filtags_status export_activations(const char *path, const struct run_record *record,
                                         struct table_writer *table) {
    static const char *const columns[] = {"class", "layer", "layer_name", "filter", "activation"};
    struct class_activations activations;
    filtags_status status = class_activations_open(path, &activations);
    if (status) return status;
    const struct filter_table *filters = &activations.table;
    table->columns = columns;
    table->n_columns = sizeof columns / sizeof *columns;
    table_begin(table);
    for (size_t c = 0; c < activations.n_classes; c++) {
        for (size_t layer = 0; activations.rows[c] && layer < filters->n_layers; layer++) {
            for (size_t i = 0; i < filters->n_filters[layer]; i++) {
                table_text(table, activations.labels[c]);
                table_layer(table, record, layer, filters->n_layers);
                table_number(table, (double)i, "%.0f");
                table_number(table, (double)activations.rows[c][filters->first[layer] + i], "%.9g");
            }
        }
    }
    table_end(table);
    class_activations_close(&activations);
    return FILTAGS_OK;
}

struct tag_export {
    const struct run_record *record;
    struct table_writer *table;
};

static filtags_status export_tag_table(void *context, const struct tag_file *file, struct selector selector,
                                       const struct tag_table *tags) {
    const struct tag_export *export = context;
    struct table_writer *table = export->table;
    for (size_t layer = 0; layer < file->table.n_layers; layer++) {
        for (size_t filter = file->table.first[layer]; filter < file->table.first[layer + 1]; filter++) {
            for (uint64_t i = tags->offset[filter]; i < tags->offset[filter + 1]; i++) {
                table_text(table, selector.rule == FILTAGS_RULE_K ? "k" : "q");
                table_number(table, selector.value, "%.17g");
                table_layer(table, export->record, layer, file->table.n_layers);
                table_number(table, (double)(filter - file->table.first[layer]), "%.0f");
                table_text(table, file->labels[tags->labels[i]]);
            }
        }
    }
    return FILTAGS_OK;
}

static filtags_status export_tags(struct step *step, const char *path, const struct run_record *record,
                                  struct table_writer *table) {
    static const char *const columns[] = {"rule", "value", "layer", "layer_name", "filter", "label"};
    static const struct number_list all = {0};
    struct tag_export export = {record, table};
    table->columns = columns;
    table->n_columns = sizeof columns / sizeof *columns;
    table_begin(table);
    filtags_status status = tag_file_each(step, path, &all, export_tag_table, &export);
    if (!status) table_end(table);
    return status;
}

/* {k: {m: rate}} of one class, or of all (label NULL) */
static void export_rates(struct table_writer *table, const struct pickle_file *file, pickle_value rates,
                         const char *rule, const char *layers, const char *label) {
    for (size_t i = 0; i < pickle_length(file, rates); i++) {
        pickle_value value, by_m;
        pickle_pair(file, rates, i, &value, &by_m);
        for (size_t j = 0; pickle_kind_of(file, by_m) == PICKLE_DICT && j < pickle_length(file, by_m); j++) {
            pickle_value m, rate;
            pickle_pair(file, by_m, j, &m, &rate);
            table_text(table, rule);
            table_text(table, layers);
            if (label) table_text(table, label);
            else table_nothing(table);
            table_number(table, pickle_as_number(file, value), "%.17g");
            table_number(table, pickle_as_number(file, m), "%.17g");
            if (pickle_kind_of(file, rate) == PICKLE_NONE) table_nothing(table);
            else table_number(table, pickle_as_number(file, rate), "%.17g");
        }
    }
}

static filtags_status export_rate_dicts(const struct variables *variables, struct table_writer *table) {
    static const char *const columns[] = {"rule", "layers", "class", "value", "m", "hit_rate"};
    static const struct {
        const char *total, *per_class, *rule, *layers;
    } kinds[] = {{"totalhit_k", "hit_k", "k", "all"},
                 {"totalhit_q", "hit_q", "q", "all"},
                 {"totalhit_k_ll", "hit_k_ll", "k", "last"},
                 {"totalhit_q_ll", "hit_q_ll", "q", "last"}};
    const struct pickle_file *file = variables->file;
    table->columns = columns;
    table->n_columns = sizeof columns / sizeof *columns;
    table_begin(table);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        pickle_value total, per_class;
        filtags_status status = variables_get(variables, kinds[i].total, PICKLE_DICT, &total);
        if (!status) status = variables_get(variables, kinds[i].per_class, PICKLE_DICT, &per_class);
        if (status) return status;
        export_rates(table, file, total, kinds[i].rule, kinds[i].layers, NULL);
        for (size_t c = 0; c < pickle_length(file, per_class); c++) {
            pickle_value label, rates;
            pickle_pair(file, per_class, c, &label, &rates);
            if (pickle_kind_of(file, label) != PICKLE_STR || pickle_kind_of(file, rates) != PICKLE_DICT) {
                return error_set(FILTAGS_ERROR_DATA, "%s: %s: {label: {value: {m: rate}}} expected", variables->path,
                                 kinds[i].per_class);
            }
            export_rates(table, file, rates, kinds[i].rule, kinds[i].layers, pickle_as_str(file, label, NULL));
        }
    }
    table_end(table);
    return FILTAGS_OK;
}

static filtags_status export_hitrates(const char *path, struct table_writer *table) {
    struct variables variables;
    filtags_status status = variables_open(path, &variables);
    if (status) return status;
    status = export_rate_dicts(&variables, table);
    variables_close(&variables);
    return status;
}

/* ---------------------------------------------------------------- the command */

/* Damage, or variables that aren't those of the names, would be a better message. */
static filtags_status refuse_file(const char *path) {
    struct variables variables;
    filtags_status status = variables_open(path, &variables);
    if (status) return status;
    variables_close(&variables);
    return error_set(FILTAGS_ERROR_DATA, "%s: the -vars.pkl of step 1, 2 or 4 expected, found other variables", path);
}

/* Told by the variables, not by the file's name. */
static filtags_status export_file(struct step *step, const char *path, struct table_writer *table) {
    struct variables variables = {0};
    struct run_record record = {0};
    bool is_found;
    filtags_status status = variables_open_names(path, &variables);
    if (!status) status = run_file_read_beside(path, &record, &is_found);
    if (!status) {
        bool is_activations = variables_has(&variables, "filter_act_1") || variables_has(&variables, "filter_act_0");
        bool is_tags = variables_has(&variables, "filTags_k") || variables_has(&variables, "labels_filters");
        bool is_hitrates = variables_has(&variables, "totalhit_k");
        if (is_hitrates) status = export_hitrates(path, table);
        else if (is_tags) status = export_tags(step, path, &record, table);
        else if (is_activations) status = export_activations(path, &record, table);
        else status = refuse_file(path);
    }
    if (!status && table->has_failed) status = error_out_of_memory(0);
    variables_close(&variables);
    run_record_free(&record);
    return status;
}

static filtags_status export_to_report(struct step *step, struct table_writer *table) {
    char *text = NULL;
    size_t size_bytes = 0;
    table->stream = open_memstream(&text, &size_bytes);
    if (!table->stream) return error_out_of_memory(0);
    filtags_status status = export_file(step, step->options->arguments.items[0], table);
    if (fclose(table->stream) && !status) status = error_out_of_memory(size_bytes);
    if (!status) buffer_append(&step->run->report, text, size_bytes);
    free(text);
    return status;
}

static filtags_status export_to_file(struct step *step, struct table_writer *table) {
    struct file_writer writer;
    filtags_status status = file_writer_open(&writer, step->options->output);
    if (status) return status;
    table->stream = writer.stream;
    status = export_file(step, step->options->arguments.items[0], table);
    if (!status) status = file_writer_commit(&writer);
    file_writer_abort(&writer);
    if (!status) status = run_add_file(step->run, step->options->output);
    if (!status)
        buffer_printf(&step->run->report, "%llu rows written to %s\n", (unsigned long long)table->n_rows,
                      step->options->output);
    return status;
}

filtags_status step_export(struct step *step) {
    struct table_writer table = {.format = step->options->format};
    bool is_stdout = !step->options->output || strcmp(step->options->output, "-") == 0;
    return is_stdout ? export_to_report(step, &table) : export_to_file(step, &table);
}
