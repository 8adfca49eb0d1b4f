/* visualize.c - a page that shows the tags of all filters. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json_text.h"
#include "base/memory.h"
#include "base/text.h"
#include "report/page.h"
#include "report/tag_pack.h"
#include "steps/class_activations.h"
#include "steps/listing_file.h"
#include "steps/page_classes.h"
#include "steps/page_pictures.h"
#include "steps/steps.h"
#include "steps/tag_file.h"

enum {
    DEFAULT_LAYERS = 8,           /* of networks other than VGG */
    MOST_16_BIT_VALUES = 6000000 /* with more class activations than these a page has 8 bits for each */
};

struct visualization {
    struct step *step;
    const char *source; /* the tag file or listing */
    char *vars_path;    /* the file that has the run.json to go back from */
    struct run_record record;
    struct tag_file tags;
    char **listed_names; /* [tags.table.n_layers] of a listing; NULL: it has none, or is no listing */
    char *activations_path; /* NULL: none */
    struct class_activations activations;
    struct page_classes classes;
    const float **rows; /* [n_rows] class activations of the classes that have them */
    size_t n_rows;
    size_t first_layer; /* the first that is shown */
    int n_bits;
    double greatest_error; /* of the class activations on the page */
    uint64_t n_tags;       /* on the page, of all selectors */
    struct page_pictures pictures;
    struct output *output;
};

/* ---------------------------------------------------------------- input */

/* The file that a run was given: where it was, else, the folder having moved, beside the run's own file. NULL in
 * *found: neither is there. */
static filtags_status find_previous(const char *path, const char *previous, char **found) {
    *found = NULL;
    if (access(previous, R_OK) == 0) {
        *found = memory_copy_string(previous);
        return *found ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
    }
    char *folder = path_folder(path);
    char *beside = folder ? path_join(folder, path_base(previous)) : NULL;
    free(folder);
    if (!beside) return FILTAGS_ERROR_MEMORY;
    if (access(beside, R_OK) == 0) *found = beside;
    else free(beside);
    return FILTAGS_OK;
}

/* Go back from a file to step 1's: tags are made from activations, decoded tags from tags. */
static filtags_status follow_chain(const char *path, char **activations_path) {
    enum { MOST_STEPS = 8 }; /* run.json could name itself */
    char *here = memory_copy_string(path);
    filtags_status status = here ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
    for (int i = 0; i < MOST_STEPS && !status && here && !*activations_path; i++) {
        struct run_record record = {0};
        char *previous = NULL;
        bool is_found;
        status = run_file_read_beside(here, &record, &is_found);
        if (!status && record.command && strcmp(record.command, "activations") == 0) {
            *activations_path = here;
            here = NULL;
        } else if (!status && record.previous) {
            status = find_previous(here, record.previous, &previous);
        }
        run_record_free(&record);
        free(here);
        here = previous;
    }
    free(here);
    return status;
}

static bool has_shape_of_tags(const struct visualization *page) {
    const struct filter_table *of_tags = &page->tags.table, *table = &page->activations.table;
    if (of_tags->n_layers != table->n_layers) return false;
    return memcmp(of_tags->n_filters, table->n_filters, table->n_layers * sizeof *table->n_filters) == 0;
}

/* A file that was asked for has to be right; one that the chain led to can be done without. */
static filtags_status open_activations(struct visualization *page) {
    const char *given = page->step->options->activations_file;
    filtags_status status = FILTAGS_OK;
    if (given) {
        page->activations_path = memory_copy_string(given);
        if (!page->activations_path) return FILTAGS_ERROR_MEMORY;
    } else {
        status = follow_chain(page->vars_path, &page->activations_path);
    }
    if (!status && page->activations_path)
        status = class_activations_open(page->activations_path, &page->activations);
    if (!status && page->activations_path && !has_shape_of_tags(page)) {
        status = error_set(FILTAGS_ERROR_DATA, "%s: the layers and filters of %s expected, found others",
                           page->activations_path, page->source);
    }
    if (!status && page->activations_path) return FILTAGS_OK;
    if (given || status == FILTAGS_ERROR_MEMORY) return status;
    const char *reason = status ? filtags_error_message() : "the chain leads to no file of step 1 (--activations-file)";
    step_log(page->step, FILTAGS_LOG_WARNING, "the page has no class activations: %s", reason);
    if (page->activations_path) class_activations_close(&page->activations);
    free(page->activations_path);
    page->activations_path = NULL;
    return FILTAGS_OK;
}

static filtags_status match_classes(struct visualization *page) {
    const struct class_activations *activations = &page->activations;
    const struct activation_classes of_step_1 = {activations->labels, activations->rows, activations->n_classes,
                                                 activations->first_number};
    filtags_status status = page_classes_create((const char *const *)page->tags.labels, page->tags.n_labels,
                                                &of_step_1, &page->classes);
    if (status) return status;
    page->rows = memory_new(page->classes.n, sizeof *page->rows);
    if (!page->rows) return FILTAGS_ERROR_MEMORY;
    page->n_rows = page_classes_rows(&page->classes, page->rows);
    if (page->activations_path && page->classes.n_unknown) {
        step_log(page->step, FILTAGS_LOG_WARNING, "%zu of %zu labels have no class activations in %s",
                 page->classes.n_unknown, page->tags.n_labels, page->activations_path);
    }
    return FILTAGS_OK;
}

static void choose_layers(struct visualization *page) {
    const char *network = page->record.known ? page->record.known : page->record.network;
    bool is_vgg = network && (strcmp(network, "VGG16") == 0 || strcmp(network, "VGG19") == 0);
    size_t n_layers = page->tags.table.n_layers, most = page->step->options->max_layers;
    if (!most) most = is_vgg ? n_layers : DEFAULT_LAYERS;
    page->first_layer = n_layers > most ? n_layers - most : 0;
    const size_t *first = page->tags.table.first;
    uint64_t n_values = (uint64_t)(first[n_layers] - first[page->first_layer]) * page->n_rows;
    page->n_bits = n_values > MOST_16_BIT_VALUES ? 8 : 16;
}

static filtags_status open_tags(struct visualization *page) {
    const filtags_options *options = page->step->options;
    if (!options->listing) return tag_file_open(page->step, page->source, &options->k_q, &page->tags);
    struct listing_file listing;
    filtags_status status = listing_file_open(page->step, page->source, &options->k_q, &listing);
    if (status) return status;
    page->tags = listing.tags; /* freed as tags from here on */
    page->listed_names = listing.layer_names;
    return FILTAGS_OK;
}

/* The chain goes by the names of -vars.pkl files; a listing of decode is beside one. */
static filtags_status find_record(struct visualization *page) {
    static const char ending[] = "-listing.txt";
    struct step *step = page->step;
    size_t length = strlen(page->source);
    bool is_decoded_listing = step->options->listing && text_ends_with(page->source, ending);
    page->vars_path = is_decoded_listing
                          ? memory_format("%.*s-vars.pkl", (int)(length - (sizeof ending - 1)), page->source)
                          : memory_copy_string(page->source);
    if (!page->vars_path) return FILTAGS_ERROR_MEMORY;
    filtags_status status = step_inherit(step, page->vars_path, &page->record);
    if (!status && !page->record.network && step->options->network) {
        page->record.network = memory_copy_string(step->options->network);
        if (!page->record.network) status = FILTAGS_ERROR_MEMORY;
    }
    return status;
}

static filtags_status open_input(struct visualization *page) {
    const filtags_options *options = page->step->options;
    page->source = options->listing ? options->listing : options->filtags_file;
    filtags_status status = open_tags(page);
    if (!status) status = find_record(page);
    if (!status) status = open_activations(page);
    if (!status) status = match_classes(page);
    if (!status) choose_layers(page);
    return status ? status : step_set_previous(&page->record, "visualize", page->source);
}

/* ---------------------------------------------------------------- the page */

static const char *name_of_layer(const struct visualization *page, size_t layer, const char *unnamed) {
    if (page->listed_names) return page->listed_names[layer];
    return page->record.n_layers == page->tags.table.n_layers ? page->record.layer_names[layer] : unnamed;
}

static json_t *layers_to_json(const struct visualization *page) {
    const struct filter_table *table = &page->tags.table;
    json_t *list = json_array();
    for (size_t i = page->first_layer; i < table->n_layers; i++) {
        char unnamed[32];
        snprintf(unnamed, sizeof unnamed, "layer %zu", i);
        json_t *layer = json_object();
        json_object_set_new(layer, "name", json_text(name_of_layer(page, i, unnamed)));
        json_object_set_new(layer, "place", json_integer((json_int_t)i));
        json_object_set_new(layer, "filters", json_integer((json_int_t)table->n_filters[i]));
        json_object_set_new(layer, "entryBytes",
                            json_integer((json_int_t)packed_tags_entry_bytes(table->n_filters[i])));
        json_array_append_new(list, layer);
    }
    return list;
}

/* The values of k, or of q, in the order of the packed tags. */
static json_t *values_to_json(const struct visualization *page, size_t first, size_t end) {
    json_t *list = json_array();
    for (size_t i = first; i < end; i++) {
        double value = page->tags.selectors[i].value;
        bool is_whole = value == (double)(json_int_t)value;
        json_array_append_new(list, is_whole ? json_integer((json_int_t)value) : json_real(value));
    }
    return list;
}

static filtags_status add_description(struct visualization *page, struct page *html) {
    json_t *root = json_object();
    const char *network = page->record.network;
    json_object_set_new(root, "network", network ? json_text(network) : json_null());
    json_object_set_new(root, "source", json_text(path_base(page->source)));
    json_object_set_new(root, "isListing", json_boolean(page->step->options->listing != NULL));
    json_object_set_new(root, "runId", json_text(output_run_id(page->output)));
    json_object_set_new(root, "version", json_string(FILTAGS_VERSION));
    json_object_set_new(root, "leftOut", json_integer((json_int_t)page->first_layer));
    json_object_set_new(root, "layers", layers_to_json(page));
    json_object_set_new(root, "k", values_to_json(page, 0, page->tags.n_k));
    json_object_set_new(root, "q", values_to_json(page, page->tags.n_k, page->tags.n_selectors));
    json_object_set_new(root, "classes", page_classes_to_json(&page->classes));
    if (page->n_rows) {
        json_t *activations = json_object();
        json_object_set_new(activations, "source", json_text(path_base(page->activations_path)));
        json_object_set_new(activations, "bits", json_integer(page->n_bits));
        json_object_set_new(activations, "rows", json_integer((json_int_t)page->n_rows));
        json_object_set_new(activations, "greatestError", json_real(page->greatest_error));
        json_object_set_new(root, "activations", activations);
    }
    filtags_status status = page_add_json(html, "description", root);
    json_decref(root);
    return status;
}

static filtags_status add_tags(struct visualization *page, struct page *html, size_t layer) {
    const struct filter_table *table = &page->tags.table;
    struct packed_tags packed;
    struct buffer bytes = {0};
    char id[40];
    filtags_status status =
        packed_tags_create(page->tags.tags, page->tags.n_selectors, table->first[layer], table->n_filters[layer],
                           (struct label_classes){page->classes.class_of_label, page->classes.n}, &packed);
    if (status) return status;
    packed_tags_append(&bytes, &packed);
    packed_tags_free(&packed);
    snprintf(id, sizeof id, "tags-%zu", layer - page->first_layer);
    status = bytes.has_failed ? FILTAGS_ERROR_MEMORY : page_add_bytes(html, id, bytes.data, bytes.size_bytes);
    buffer_free(&bytes);
    return status;
}

static filtags_status add_activations(struct visualization *page, struct page *html, size_t layer) {
    const struct filter_table *table = &page->tags.table;
    struct buffer bytes = {0};
    char id[40];
    packed_activations_append(&bytes, page->rows, page->n_rows, table->first[layer], table->n_filters[layer],
                              page->n_bits, &page->greatest_error);
    snprintf(id, sizeof id, "activations-%zu", layer - page->first_layer);
    filtags_status status =
        bytes.has_failed ? FILTAGS_ERROR_MEMORY : page_add_bytes(html, id, bytes.data, bytes.size_bytes);
    buffer_free(&bytes);
    return status;
}

/* Tags come first: a browser can show them while it still reads the rest. */
static filtags_status write_page(struct visualization *page) {
    FILE *stream;
    struct page html;
    filtags_status status = output_start_file(page->output, ".html", &stream);
    if (status) return status;
    const char *network = page->record.network ? page->record.network : "network";
    char *title = memory_format("%s: tags of its filters", network);
    if (!title) return FILTAGS_ERROR_MEMORY;
    page_begin(&html, stream, PAGE_VISUALIZE, title);
    free(title);
    size_t n_layers = page->tags.table.n_layers;
    for (size_t i = page->first_layer; i < n_layers && !status; i++) status = add_tags(page, &html, i);
    for (size_t i = page->first_layer; i < n_layers && !status && page->n_rows; i++)
        status = add_activations(page, &html, i);
    if (!status) status = page_pictures_add(&page->pictures, &html);
    if (!status) status = add_description(page, &html);
    if (status) return status;
    page_end(&html);
    return output_end_file(page->output);
}

static void report(struct visualization *page) {
    const struct filter_table *table = &page->tags.table;
    size_t n_shown = table->n_layers - page->first_layer;
    for (size_t s = 0; s < page->tags.n_selectors; s++) {
        const uint64_t *offset = page->tags.tags[s].offset;
        page->n_tags += offset[table->first[table->n_layers]] - offset[table->first[page->first_layer]];
    }
    struct buffer *to = &page->step->run->report;
    buffer_printf(to, "page of the tags of %s: %zu of ", page->record.network ? page->record.network : "network",
                  n_shown);
    text_append_count(to, "", table->n_layers, "layer");
    text_append_count(to, ", ", table->first[table->n_layers] - table->first[page->first_layer], "filter");
    text_append_count(to, ", ", page->classes.n, "class");
    text_append_count(to, ", ", page->tags.n_k, "value");
    buffer_printf(to, " of k and %zu of q", page->tags.n_selectors - page->tags.n_k);
    text_append_count(to, ", ", page->n_tags, "tag");
    buffer_printf(to, ", %s class activations", page->n_rows ? "with" : "without");
    text_append_count(to, ", ", page->pictures.n_shown, "heat map");
    text_append_count(to, " of ", page->pictures.n_files, "picture");
    buffer_printf(to, "\n");
}

static filtags_status write_files(struct visualization *page) {
    filtags_status status = page_pictures_open(page->step, page->activations_path, &page->tags.table,
                                               page->first_layer, page->output, &page->pictures);
    if (!status) status = write_page(page);
    if (status) return status;
    report(page);
    const struct run_number numbers[] = {
        {"counts", "n_classes", (double)page->classes.n},
        {"counts", "n_layers", (double)(page->tags.table.n_layers - page->first_layer)},
        {"counts", "n_layers_left_out", (double)page->first_layer},
        {"counts", "n_tags", (double)page->n_tags},
        {"counts", "n_pictures", (double)page->pictures.n_files},
        {"counts", "n_heat_maps", (double)page->pictures.n_shown},
        {"counts", "n_heat_maps_left_out", (double)page->pictures.n_left_out}};
    return step_close_output(page->step, &page->output, &page->record, numbers, sizeof numbers / sizeof *numbers);
}

filtags_status step_visualize(struct step *step) {
    struct visualization page = {.step = step};
    filtags_status status = open_input(&page);
    if (!status)
        status = step_open_output(step, "VIS", page.record.network ? page.record.network : "network", &page.output);
    if (!status) status = write_files(&page);
    output_close(page.output, status ? filtags_error_message() : NULL);
    page_pictures_close(&page.pictures);
    page_classes_free(&page.classes);
    free(page.rows);
    class_activations_close(&page.activations);
    free(page.activations_path);
    for (size_t i = 0; page.listed_names && i < page.tags.table.n_layers; i++) free(page.listed_names[i]);
    free(page.listed_names);
    tag_file_close(&page.tags);
    free(page.vars_path);
    run_record_free(&page.record);
    return status;
}
