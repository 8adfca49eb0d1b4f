/* plot_hitrates.c - plots of the hit rates: a page of all of them, and a figure of the totals for papers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json_text.h"
#include "base/memory.h"
#include "base/text.h"
#include "report/chart.h"
#include "report/page.h"
#include "report/scale.h"
#include "steps/hitrates_file.h"

enum { MOST_ROWS = 2 * HITRATES_N_RULES };
static const double png_scale = 2;

static const char *const rule_names[HITRATES_N_RULES] = {"k", "q"};

struct plots {
    struct step *step;
    struct hitrates_file file;
    struct run_record record;
    struct output *output;
    const char *network;
    char *title;
};

static bool has_rule(const struct hitrates_file *file, int rule) {
    return file->n_values[rule] &&
           (file->cubes[rule][HITRATES_ALL_LAYERS].is_there || file->cubes[rule][HITRATES_LAST_LAYER].is_there);
}

/* ---------------------------------------------------------------- the figure */

struct figure {
    struct chart chart;
    struct chart_row rows[MOST_ROWS];
    int layers[CHART_MOST_PANELS]; /* of each panel */
};

static void add_panels(struct figure *figure, const struct hitrates_file *file) {
    static const char *const titles[HITRATES_N_LAYERS] = {"All layers", "Last layer"};
    for (int layers = 0; layers < HITRATES_N_LAYERS; layers++) {
        if (!file->cubes[FILTAGS_RULE_K][layers].is_there && !file->cubes[FILTAGS_RULE_Q][layers].is_there) continue;
        figure->layers[figure->chart.n_panels] = layers;
        figure->chart.panel_titles[figure->chart.n_panels++] = titles[layers];
    }
}

/* Choose the row's lines among values; line i is of values[chosen[i]]. */
static void choose_lines(struct chart_row *row, const double *values, size_t n, bool is_m, bool is_percent,
                         size_t chosen[CHART_MOST_LINES]) {
    row->n_lines = choose_values(values, n, !is_m, is_percent, CHART_MOST_LINES, chosen);
    if (row->n_lines == n) snprintf(row->legend, sizeof row->legend, "%s =", row->line_name);
    else snprintf(row->legend, sizeof row->legend, "%s (%zu of %zu values) =", row->line_name, row->n_lines, n);
    for (size_t i = 0; i < row->n_lines; i++) {
        struct chart_line *line = &row->lines[i];
        line->value = values[chosen[i]];
        bool is_mean = !is_m && !(line->value < 0 || line->value > 0);
        snprintf(line->name, sizeof line->name, is_mean ? "%.10g (> mean)" : "%.10g", line->value);
    }
}

/* Totals against m, a line for each k or q. */
static void add_row_against_m(struct figure *figure, const struct hitrates_file *file, int rule) {
    static const char *const ids[] = {"k-against-m", "q-against-m"};
    static const char *const headings[] = {"Hit rate against m, for values of k",
                                           "Hit rate against m, for values of q (%)"};
    struct chart_row *row = &figure->rows[figure->chart.n_rows++];
    size_t chosen[CHART_MOST_LINES];
    *row = (struct chart_row){.id = ids[rule],
                              .heading = headings[rule],
                              .x_name = "m",
                              .x_label = "m, labels that the tags may name",
                              .x = file->m,
                              .n_x = file->n_m,
                              .line_name = rule_names[rule]};
    choose_lines(row, file->values[rule], file->n_values[rule], false, rule == FILTAGS_RULE_Q, chosen);
    for (size_t i = 0; i < row->n_lines; i++) {
        row->lines[i].stride = 1;
        for (size_t p = 0; p < figure->chart.n_panels; p++) {
            if (!file->cubes[rule][figure->layers[p]].is_there) continue;
            row->lines[i].rates[p] = hitrates_row(file, rule, figure->layers[p], 0) + chosen[i] * file->n_m;
        }
    }
}

/* Totals against k or q, a line for each m. */
static void add_row_against_rule(struct figure *figure, const struct hitrates_file *file, int rule) {
    static const char *const ids[] = {"m-against-k", "m-against-q"};
    static const char *const headings[] = {"Hit rate against k, for values of m",
                                           "Hit rate against q, for values of m"};
    static const char *const labels[] = {"k, most active filters of a layer", "q, most active filters of a layer in %"};
    struct chart_row *row = &figure->rows[figure->chart.n_rows++];
    size_t chosen[CHART_MOST_LINES];
    *row = (struct chart_row){.id = ids[rule],
                              .heading = headings[rule],
                              .x_name = rule_names[rule],
                              .x_label = labels[rule],
                              .x = file->values[rule],
                              .n_x = file->n_values[rule],
                              .has_slot = true,
                              .is_percent = rule == FILTAGS_RULE_Q,
                              .line_name = "m"};
    choose_lines(row, file->m, file->n_m, true, false, chosen);
    for (size_t i = 0; i < row->n_lines; i++) {
        row->lines[i].stride = file->n_m;
        for (size_t p = 0; p < figure->chart.n_panels; p++) {
            if (!file->cubes[rule][figure->layers[p]].is_there) continue;
            row->lines[i].rates[p] = hitrates_row(file, rule, figure->layers[p], 0) + chosen[i];
        }
    }
}

static void free_figure(struct figure *figure) {
    free(figure->chart.title);
    free(figure->chart.subtitle);
    free(figure->chart.note);
}

static filtags_status make_figure(const struct plots *plots, struct figure *figure) {
    const struct hitrates_file *file = &plots->file;
    bool has_zero = false;
    *figure = (struct figure){0};
    figure->chart.rows = figure->rows;
    add_panels(figure, file);
    for (int rule = 0; rule < HITRATES_N_RULES; rule++) {
        if (!has_rule(file, rule)) continue;
        add_row_against_m(figure, file, rule);
        add_row_against_rule(figure, file, rule);
        has_zero = has_zero || file->values[rule][0] <= 0;
    }
    char classes[40] = "";
    if (file->n_classes) snprintf(classes, sizeof classes, "; %zu classes", file->n_classes);
    figure->chart.title = memory_copy_string(plots->title);
    figure->chart.subtitle = memory_format(
        "How often the network's own top-1 label is among the first m labels that the tags predict%s", classes);
    bool is_whole = figure->chart.title && figure->chart.subtitle;
    if (is_whole && has_zero) {
        figure->chart.note =
            memory_copy_string("> mean: at 0, all filters count that are above the mean of their layer");
        is_whole = figure->chart.note != NULL;
    }
    if (is_whole) return FILTAGS_OK;
    free_figure(figure);
    return FILTAGS_ERROR_MEMORY;
}

static filtags_status write_picture(const struct plots *plots, const struct figure *figure, bool is_svg) {
    FILE *stream;
    double width, height;
    struct canvas *canvas = NULL;
    filtags_status status = output_start_file(plots->output, is_svg ? ".svg" : ".png", &stream);
    if (status) return status;
    chart_size(&figure->chart, &width, &height);
    status = is_svg ? canvas_open_svg(stream, width, height, plots->title, &canvas)
                    : canvas_open_png(stream, width, height, png_scale, &canvas);
    if (!status) status = chart_draw(&figure->chart, canvas);
    if (!status) status = canvas_finish(canvas);
    canvas_destroy(canvas);
    return status ? status : output_end_file(plots->output);
}

/* ---------------------------------------------------------------- the page */

/* All rates as the page has them: places in an ascending list of those that differ, place 0 for none. Rates are hits
 * divided by pictures, and so there are few: exact numbers in two bytes each, that deflate well. */
struct packed_rates {
    double *distinct; /* [n_distinct] distinct[0] is NaN */
    size_t n_distinct;
    struct buffer places; /* of each table that is there: [rows, n_values, n_m], little-endian */
    unsigned place_bytes;
};

static size_t n_rows(const struct hitrates_file *file, const struct rate_cube *cube) {
    return !cube->is_there ? 0 : cube->has_classes ? 1 + file->n_classes : 1;
}

static size_t n_rates(const struct hitrates_file *file, int rule, int layers) {
    return n_rows(file, &file->cubes[rule][layers]) * file->n_values[rule] * file->n_m;
}

static int compare_rates(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static filtags_status list_distinct(const struct hitrates_file *file, struct packed_rates *packed) {
    size_t n = 1, n_distinct = 1;
    for (int t = 0; t < HITRATES_N_RULES * HITRATES_N_LAYERS; t++)
        n += n_rates(file, t / HITRATES_N_LAYERS, t % HITRATES_N_LAYERS);
    double *all = memory_new(n, sizeof *all);
    if (!all) return FILTAGS_ERROR_MEMORY;
    n = 1;
    for (int t = 0; t < HITRATES_N_RULES * HITRATES_N_LAYERS; t++) {
        int rule = t / HITRATES_N_LAYERS, layers = t % HITRATES_N_LAYERS;
        for (size_t i = 0; i < n_rates(file, rule, layers); i++) {
            double rate = file->cubes[rule][layers].rates[i];
            if (!isnan(rate)) all[n++] = rate;
        }
    }
    qsort(all + 1, n - 1, sizeof *all, compare_rates);
    for (size_t i = 1; i < n; i++) {
        if (n_distinct == 1 || all[i] > all[n_distinct - 1]) all[n_distinct++] = all[i];
    }
    all[0] = NAN;
    packed->distinct = all;
    packed->n_distinct = n_distinct;
    packed->place_bytes = n_distinct <= UINT16_MAX ? 2 : 4;
    return FILTAGS_OK;
}

static void append_little_endian(struct buffer *to, uint64_t value, unsigned n_bytes) {
    unsigned char bytes[8];
    for (unsigned i = 0; i < n_bytes; i++) bytes[i] = (unsigned char)(value >> 8 * i);
    buffer_append(to, bytes, n_bytes);
}

static size_t find_rate(const struct packed_rates *packed, const double *rate) {
    if (isnan(*rate)) return 0;
    const double *found = bsearch(rate, packed->distinct + 1, packed->n_distinct - 1, sizeof *rate, compare_rates);
    return (size_t)(found - packed->distinct);
}

static filtags_status pack_rates(const struct hitrates_file *file, struct packed_rates *packed) {
    filtags_status status = list_distinct(file, packed);
    if (status) return status;
    for (int t = 0; t < HITRATES_N_RULES * HITRATES_N_LAYERS; t++) {
        int rule = t / HITRATES_N_LAYERS, layers = t % HITRATES_N_LAYERS;
        for (size_t i = 0; i < n_rates(file, rule, layers); i++) {
            size_t at = find_rate(packed, &file->cubes[rule][layers].rates[i]);
            append_little_endian(&packed->places, at, packed->place_bytes);
        }
    }
    return packed->places.has_failed ? FILTAGS_ERROR_MEMORY : FILTAGS_OK;
}

/* Numbers as bytes too: JSON would round them. The values of k, of q and of m, then the rates that differ. */
static filtags_status add_numbers(struct page *page, const struct hitrates_file *file,
                                  const struct packed_rates *packed) {
    const struct {
        const double *values;
        size_t n;
    } lists[] = {{file->values[FILTAGS_RULE_K], file->n_values[FILTAGS_RULE_K]},
                 {file->values[FILTAGS_RULE_Q], file->n_values[FILTAGS_RULE_Q]},
                 {file->m, file->n_m},
                 {packed->distinct, packed->n_distinct}};
    struct buffer bytes = {0};
    for (size_t list = 0; list < sizeof lists / sizeof *lists; list++) {
        for (size_t i = 0; i < lists[list].n; i++) {
            uint64_t bits;
            memcpy(&bits, &lists[list].values[i], sizeof bits);
            append_little_endian(&bytes, bits, sizeof bits);
        }
    }
    filtags_status status =
        bytes.has_failed ? FILTAGS_ERROR_MEMORY : page_add_bytes(page, "numbers", bytes.data, bytes.size_bytes);
    buffer_free(&bytes);
    return status;
}

/* What the page says in words, and the shapes of its numbers. */
static json_t *describe(const struct plots *plots, const struct packed_rates *packed) {
    const struct hitrates_file *file = &plots->file;
    json_t *labels = json_array(), *tables = json_array();
    for (size_t i = 0; i < file->n_classes; i++) json_array_append_new(labels, json_text(file->labels[i]));
    for (int t = 0; t < HITRATES_N_RULES * HITRATES_N_LAYERS; t++) {
        int rule = t / HITRATES_N_LAYERS, layers = t % HITRATES_N_LAYERS;
        size_t rows = n_rows(file, &file->cubes[rule][layers]);
        if (!rows || !file->n_values[rule]) continue;
        json_array_append_new(tables,
                              json_pack("{s:s, s:s, s:I}", "rule", rule_names[rule], "layers",
                                        layers == HITRATES_LAST_LAYER ? "last" : "all", "rows", (json_int_t)rows));
    }
    return json_pack("{s:o, s:o, s:s, s:s, s:o, s:o, s:I, s:I, s:I, s:i}", "network", json_text(plots->network), "file",
                     json_text(path_base(plots->step->options->hitrates_file)), "run", output_run_id(plots->output),
                     "version", filtags_version(), "labels", labels, "tables", tables, "n_k",
                     (json_int_t)file->n_values[FILTAGS_RULE_K], "n_q", (json_int_t)file->n_values[FILTAGS_RULE_Q],
                     "n_m", (json_int_t)file->n_m, "place_bytes", (int)packed->place_bytes);
}

static filtags_status write_page(const struct plots *plots) {
    struct page page;
    struct packed_rates packed = {0};
    FILE *stream;
    json_t *about = NULL;
    filtags_status status = pack_rates(&plots->file, &packed);
    if (status) goto fail;
    status = output_start_file(plots->output, ".html", &stream);
    if (status) goto fail;
    page_begin(&page, stream, PAGE_HITRATES, plots->title);
    about = describe(plots, &packed);
    status = about ? page_add_json(&page, "about", about) : error_out_of_memory(0);
    if (!status) status = add_numbers(&page, &plots->file, &packed);
    if (!status) status = page_add_bytes(&page, "rates", packed.places.data, packed.places.size_bytes);
    if (status) goto fail;
    page_end(&page);
    status = output_end_file(plots->output);
fail:
    json_decref(about);
    free(packed.distinct);
    buffer_free(&packed.places);
    return status;
}

/* ---------------------------------------------------------------- the command */

static filtags_status write_files(struct plots *plots) {
    const struct hitrates_file *file = &plots->file;
    const struct run_number numbers[] = {{"counts", "n_classes", (double)file->n_classes},
                                         {"counts", "n_k", (double)file->n_values[FILTAGS_RULE_K]},
                                         {"counts", "n_q", (double)file->n_values[FILTAGS_RULE_Q]},
                                         {"counts", "n_m", (double)file->n_m}};
    struct figure figure;
    filtags_status status = make_figure(plots, &figure);
    if (status) return status;
    status = write_page(plots);
    if (!status) status = write_picture(plots, &figure, true);
    if (!status) status = write_picture(plots, &figure, false);
    free_figure(&figure);
    if (status) return status;
    struct buffer *to = &plots->step->run->report;
    buffer_printf(to, "plots of the hit rates of %s: ", plots->network);
    text_append_count(to, "", file->n_classes, "class");
    text_append_count(to, ", ", file->n_values[FILTAGS_RULE_K], "value");
    buffer_printf(to, " of k and %zu of q, %zu of m\n", file->n_values[FILTAGS_RULE_Q], file->n_m);
    return step_close_output(plots->step, &plots->output, &plots->record, numbers, sizeof numbers / sizeof *numbers);
}

filtags_status step_plot_hitrates(struct step *step) {
    struct plots plots = {.step = step};
    const char *path = step->options->hitrates_file;
    filtags_status status = hitrates_file_open(step, path, &plots.file);
    if (status) return status;
    status = step_inherit(step, path, &plots.record);
    if (!status) status = step_set_previous(&plots.record, "plot-hitrates", path);
    plots.network = plots.record.network ? plots.record.network : "network";
    if (!status) plots.title = memory_format("Hit rates of %s", plots.network);
    if (!status && !plots.title) status = FILTAGS_ERROR_MEMORY;
    if (!status) status = step_open_output(step, "HP", plots.network, &plots.output);
    if (!status) status = write_files(&plots);
    output_close(plots.output, status ? filtags_error_message() : NULL);
    hitrates_file_close(&plots.file);
    free(plots.title);
    run_record_free(&plots.record);
    return status;
}
