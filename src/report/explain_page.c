#include "report/explain_page.h"

#include <jansson.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/json_text.h"
#include "report/page.h"

enum { N_RANKED = 10, N_TAGS = 24 };

static json_t *number_of(size_t value) { return json_integer((json_int_t)value); }

static json_t *pair(json_t *a, json_t *b) {
    json_t *list = json_array();
    json_array_append_new(list, a);
    json_array_append_new(list, b);
    return list;
}

static json_t *pair_of(size_t a, size_t b) { return pair(number_of(a), number_of(b)); }

/* ---------------------------------------------------------------- what all pictures share */

static json_t *list_layers(const struct explained *explained) {
    const struct network *network = explained->network;
    json_t *list = json_array();
    for (size_t i = 0; i < network->table.n_layers; i++)
        json_array_append_new(list, pair(json_text(filtags_model_layer(network->model, network->layers[i])->name),
                                         number_of(network->table.n_filters[i])));
    return list;
}

static json_t *list_values(const struct tag_file *tags) {
    json_t *list = json_array();
    for (size_t s = 0; s < tags->n_selectors; s++)
        json_array_append_new(list, pair(json_string(tags->selectors[s].rule == FILTAGS_RULE_K ? "k" : "q"),
                                         json_real(tags->selectors[s].value)));
    return list;
}

static json_t *list_labels(const struct explained *explained) {
    json_t *list = json_array();
    for (size_t i = 0; i < explained->tags->n_labels; i++)
        json_array_append_new(list,
                              pair(json_text(explained->tags->labels[i]), json_text(explained->names->labels[i])));
    return list;
}

/* ---------------------------------------------------------------- one picture by one value */

static json_t *list_ranking(const struct explanation *explanation, int last) {
    json_t *list = json_array();
    for (size_t i = 0; i < explanation->n_ranked[last] && i < N_RANKED; i++)
        json_array_append_new(
            list, pair_of(explanation->rankings[last][i].label, explanation->rankings[last][i].count));
    return list;
}

static json_t *list_choices(const struct explanation *explanation) {
    json_t *list = json_array();
    for (size_t i = 0; i < explanation->n_choices; i++) {
        const struct label_choice *choice = &explanation->choices[i];
        json_t *row = pair_of(choice->label, choice->n_carriers[0]);
        json_array_append_new(row, number_of(choice->n_carriers[1]));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *list_tags(const struct tag_table *tags, size_t filter) {
    json_t *list = json_array();
    for (uint64_t t = tags->offset[filter]; t < tags->offset[filter + 1] && t < tags->offset[filter] + N_TAGS; t++)
        json_array_append_new(list, number_of(tags->labels[t]));
    return list;
}

static json_t *list_carriers(const struct explanation *explanation, const struct tag_table *tags) {
    json_t *list = json_array();
    for (size_t i = 0; i < explanation->n_carriers; i++) {
        const struct carrier *carrier = &explanation->carriers[i];
        json_t *row = pair_of(carrier->map, carrier->n_tags);
        json_array_append_new(row, number_of(carrier->choices));
        json_array_append_new(row, list_tags(tags, carrier->filter));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *describe_value(const struct explained *explained, const struct explained_picture *picture, size_t s) {
    const struct explanation *explanation = &picture->explanations[s];
    const uint32_t own = explained->names->label_of_output[picture->top[0]];
    size_t places[2] = {0};
    for (int last = 0; last < 2 && own != UINT32_MAX; last++)
        places[last] = explanation_place(explanation, last, own);
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "rankings",
                     pair(list_ranking(explanation, 0), list_ranking(explanation, 1)), "n_ranked",
                     pair_of(explanation->n_ranked[0], explanation->n_ranked[1]), "n_tags",
                     pair_of((size_t)explanation->n_tags[0], (size_t)explanation->n_tags[1]), "n_active",
                     pair_of(explanation->n_active[0], explanation->n_active[1]), "places",
                     pair_of(places[0], places[1]), "choices", list_choices(explanation), "n_carriers",
                     number_of(explanation->n_all_carriers), "carriers",
                     list_carriers(explanation, &explained->tags->tags[s]));
}

/* ---------------------------------------------------------------- one picture */

static json_t *list_top(const struct explained *explained, const struct class_index *index,
                        const struct explained_picture *picture) {
    json_t *list = json_array();
    for (size_t i = 0; i < picture->n_top; i++) {
        const uint32_t label = explained->names->label_of_output[picture->top[i]];
        json_t *row = pair(json_text(index->wnids[picture->top[i]]),
                           json_text(explained->names->outputs[picture->top[i]]));
        json_array_append_new(row, json_real((double)picture->probability[i]));
        json_array_append_new(row, label == UINT32_MAX ? json_null() : number_of(label));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *list_filters(const struct explained *explained, const struct explained_picture *picture) {
    const struct filter_table *table = &explained->tags->table;
    json_t *list = json_array();
    for (size_t i = 0, layer = 0; i < picture->n_shown; i++) { /* ascending */
        const size_t filter = picture->shown[i];
        const struct heat_map *map = &explained->maps->maps[picture->first_map + i];
        while (filter >= table->first[layer + 1]) layer++;
        json_t *row = pair_of(layer, filter - table->first[layer]);
        json_array_append_new(row, json_real(picture->activations[filter] / (double)FILTAGS_ACTIVATION_ONE));
        json_array_append_new(row, number_of(map->h));
        json_array_append_new(row, number_of(map->w));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *describe_picture(const struct explained *explained, const struct class_index *index, size_t i) {
    const struct explained_picture *picture = &explained->pictures[i];
    const struct thumbnail *image = &explained->maps->thumbnails[i];
    json_t *values = json_array();
    for (size_t s = 0; s < explained->tags->n_selectors; s++)
        json_array_append_new(values, describe_value(explained, picture, s));
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "file", json_text(picture->file), "size",
                     pair_of(image->width, image->height), "top", list_top(explained, index, picture), "filters",
                     list_filters(explained, picture), "values", values);
}

static filtags_status add_maps(struct page *page, const struct explained *explained, size_t i) {
    const struct explained_picture *picture = &explained->pictures[i];
    const struct thumbnail *image = &explained->maps->thumbnails[i];
    struct buffer bytes = {0};
    char id[40];
    for (size_t m = picture->first_map; m < picture->first_map + picture->n_shown; m++) {
        const struct heat_map *map = &explained->maps->maps[m];
        buffer_append(&bytes, map->values, map->h * map->w);
    }
    filtags_status status = bytes.has_failed ? FILTAGS_ERROR_MEMORY : FILTAGS_OK;
    snprintf(id, sizeof id, "image-%zu", i);
    if (!status) status = page_add_bytes(page, id, image->jpeg, image->n_bytes);
    snprintf(id, sizeof id, "maps-%zu", i);
    if (!status) status = page_add_bytes(page, id, buffer_text(&bytes), bytes.size_bytes);
    buffer_free(&bytes);
    return status;
}

filtags_status explain_page_write(FILE *stream, const struct explained *explained, const struct class_index *index,
                                  const char *tags_name, size_t map_side) {
    struct page page;
    char title[200];
    json_t *pictures = json_array();
    for (size_t i = 0; i < explained->n_pictures; i++)
        json_array_append_new(pictures, describe_picture(explained, index, i));
    json_t *data = json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:o}", "network", json_text(explained->network->name),
                             "tags", json_text(tags_name), "layers", list_layers(explained), "values",
                             list_values(explained->tags), "labels", list_labels(explained), "most_carriers",
                             (json_int_t)EXPLANATION_MOST_CARRIERS, "map_side", (json_int_t)map_side, "pictures",
                             pictures);
    if (!data) return error_set(FILTAGS_ERROR_MEMORY, "the page's data could not be composed as JSON");
    snprintf(title, sizeof title, "%.150s - explained by filTags", explained->network->name);
    page_begin(&page, stream, PAGE_EXPLAIN, title);
    filtags_status status = page_add_json(&page, "explain", data);
    json_decref(data);
    for (size_t i = 0; i < explained->n_pictures && !status; i++) status = add_maps(&page, explained, i);
    page_end(&page);
    return status;
}
