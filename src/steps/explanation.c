#include "steps/explanation.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { N_LABELS_CHOSEN = 5, N_OF_TOP_LABEL = 12 };

/* ---------------------------------------------------------------- names */

/* A text and whose it is, for looking up. */
struct named {
    const char *text;
    size_t index;
};

static int compare_named(const void *a, const void *b) {
    const struct named *x = a, *y = b;
    const int order = strcmp(x->text, y->text);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

static int compare_text(const void *text, const void *named) {
    return strcmp(text, ((const struct named *)named)->text);
}

static struct named *sort_texts(char *const *texts, size_t n) {
    struct named *sorted = memory_new(n, sizeof *sorted);
    for (size_t i = 0; sorted && i < n; i++) sorted[i] = (struct named){texts[i], i};
    if (sorted) qsort(sorted, n, sizeof *sorted, compare_named);
    return sorted;
}

static filtags_status name_outputs(const struct class_index *index, char **outputs) {
    struct named *sorted = sort_texts(index->labels, index->n);
    filtags_status status = sorted ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < index->n && !status; i++) {
        const size_t output = sorted[i].index;
        const bool is_repeated = (i > 0 && strcmp(sorted[i - 1].text, sorted[i].text) == 0) ||
                                 (i + 1 < index->n && strcmp(sorted[i + 1].text, sorted[i].text) == 0);
        outputs[output] = is_repeated && strcmp(index->labels[output], index->wnids[output]) != 0
                              ? memory_format("%s (%s)", index->labels[output], index->wnids[output])
                              : memory_copy_string(index->labels[output]);
        if (!outputs[output]) status = FILTAGS_ERROR_MEMORY;
    }
    free(sorted);
    return status;
}

static filtags_status name_labels(const struct tag_file *tags, const struct class_index *index,
                                  struct label_names *names) {
    struct named *sorted = sort_texts(index->wnids, index->n);
    filtags_status status = sorted ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < index->n; i++) names->label_of_output[i] = UINT32_MAX;
    for (size_t i = 0; i < tags->n_labels && !status; i++) {
        const struct named *output = bsearch(tags->labels[i], sorted, index->n, sizeof *sorted, compare_text);
        if (output) names->label_of_output[output->index] = (uint32_t)i;
        names->labels[i] = memory_copy_string(output ? names->outputs[output->index] : tags->labels[i]);
        if (!names->labels[i]) status = FILTAGS_ERROR_MEMORY;
    }
    free(sorted);
    return status;
}

filtags_status label_names_create(const struct tag_file *tags, const struct class_index *index,
                                  struct label_names *result) {
    struct label_names names = {.n_labels = tags->n_labels, .n_outputs = index->n};
    names.labels = memory_new(names.n_labels, sizeof *names.labels);
    names.outputs = memory_new(names.n_outputs, sizeof *names.outputs);
    names.label_of_output = memory_new(names.n_outputs, sizeof *names.label_of_output);
    filtags_status status =
        names.labels && names.outputs && names.label_of_output ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
    if (!status) status = name_outputs(index, names.outputs);
    if (!status) status = name_labels(tags, index, &names);
    if (status) label_names_free(&names);
    else *result = names;
    return status;
}

void label_names_free(struct label_names *names) {
    for (size_t i = 0; names->labels && i < names->n_labels; i++) free(names->labels[i]);
    for (size_t i = 0; names->outputs && i < names->n_outputs; i++) free(names->outputs[i]);
    free(names->labels);
    free(names->outputs);
    free(names->label_of_output);
    *names = (struct label_names){0};
}

/* ---------------------------------------------------------------- rankings and choices */

size_t explanation_place(const struct explanation *explanation, int is_last_layer, uint32_t label) {
    for (size_t i = 0; i < explanation->n_ranked[is_last_layer]; i++)
        if (explanation->rankings[is_last_layer][i].label == label) return i + 1;
    return 0;
}

static filtags_status rank(struct explanation *explanation, const struct tag_file *tags, size_t selector,
                           const filtags_activation *activations, struct ranking_scratch *scratch) {
    for (int last = 0; last < 2; last++) {
        struct label_count *ranking = memory_new(tags->n_labels, sizeof *ranking);
        if (!ranking) return FILTAGS_ERROR_MEMORY;
        explanation->rankings[last] = ranking;
        explanation->n_ranked[last] = rank_labels(scratch, &tags->table, &tags->tags[selector],
                                                  tags->selectors[selector], last, activations, ranking);
        for (size_t i = 0; i < explanation->n_ranked[last]; i++) explanation->n_tags[last] += ranking[i].count;
    }
    return FILTAGS_OK;
}

static size_t count_of(const struct explanation *explanation, int last, uint32_t label) {
    const size_t place = explanation_place(explanation, last, label);
    return place ? explanation->rankings[last][place - 1].count : 0;
}

static void add_choice(struct explanation *explanation, uint32_t label) {
    for (size_t i = 0; i < explanation->n_choices; i++)
        if (explanation->choices[i].label == label) return;
    struct label_choice choice = {.label = label}; /* a filter has a label once: so many filters as tags */
    for (int last = 0; last < 2; last++) choice.n_carriers[last] = count_of(explanation, last, label);
    if (choice.n_carriers[0]) explanation->choices[explanation->n_choices++] = choice;
}

static void choose_labels(struct explanation *explanation, const struct explained_picture *picture,
                          const struct label_names *names) {
    for (size_t i = 0; i < N_LABELS_CHOSEN && i < explanation->n_ranked[0]; i++)
        add_choice(explanation, explanation->rankings[0][i].label);
    if (explanation->n_ranked[1]) add_choice(explanation, explanation->rankings[1][0].label);
    if (picture->n_top && names->label_of_output[picture->top[0]] != UINT32_MAX)
        add_choice(explanation, names->label_of_output[picture->top[0]]);
}

/* ---------------------------------------------------------------- carriers */

/* Which of the choices a filter has among its tags. */
static unsigned choices_of(const struct explanation *explanation, const struct tag_table *tags, size_t filter) {
    unsigned choices = 0;
    for (uint64_t t = tags->offset[filter]; t < tags->offset[filter + 1]; t++)
        for (size_t i = 0; i < explanation->n_choices; i++)
            if (explanation->choices[i].label == tags->labels[t]) choices |= 1u << i;
    return choices;
}

/* The most specific first. */
static int compare_carriers(const void *a, const void *b) {
    const struct carrier *x = a, *y = b;
    if (x->n_tags != y->n_tags) return x->n_tags < y->n_tags ? -1 : 1;
    if (x->activation != y->activation) return x->activation > y->activation ? -1 : 1;
    return (x->filter > y->filter) - (x->filter < y->filter);
}

/* Add the active filters of a layer that have a choice. values, selected: room for its filters. */
static void add_carriers(struct explanation *explanation, const struct explained_picture *picture,
                         const struct tag_file *tags, size_t selector, size_t layer, double *values,
                         uint32_t *selected) {
    const struct filter_table *table = &tags->table;
    const struct tag_table *own = &tags->tags[selector];
    for (size_t i = 0; i < table->n_filters[layer]; i++)
        values[i] = picture->activations[table->first[layer] + i];
    const size_t n = filtags_select(tags->selectors[selector].rule, tags->selectors[selector].value, values,
                                    table->n_filters[layer], selected);
    explanation->n_active[0] += n;
    if (layer + 1 == table->n_layers) explanation->n_active[1] = n;
    for (size_t i = 0; i < n; i++) {
        const size_t filter = table->first[layer] + selected[i];
        const unsigned choices = choices_of(explanation, own, filter);
        if (!choices) continue;
        explanation->carriers[explanation->n_carriers++] =
            (struct carrier){.filter = filter,
                             .layer = layer,
                             .activation = picture->activations[filter],
                             .n_tags = own->offset[filter + 1] - own->offset[filter],
                             .choices = choices};
    }
}

static filtags_status find_carriers(struct explanation *explanation, const struct explained_picture *picture,
                                    const struct tag_file *tags, size_t selector) {
    const size_t n_filters = tags->table.first[tags->table.n_layers];
    explanation->carriers = memory_new(n_filters, sizeof *explanation->carriers);
    double *values = memory_new(n_filters, sizeof *values);
    uint32_t *selected = memory_new(n_filters, sizeof *selected);
    filtags_status status = explanation->carriers && values && selected ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
    for (size_t layer = 0; layer < tags->table.n_layers && !status; layer++)
        add_carriers(explanation, picture, tags, selector, layer, values, selected);
    if (!status)
        qsort(explanation->carriers, explanation->n_carriers, sizeof *explanation->carriers, compare_carriers);
    free(values);
    free(selected);
    return status;
}

/* ---------------------------------------------------------------- what is shown */

/* Show the first carrier of a choice that isn't shown yet, in the last layer alone if so wanted. */
static bool show_next(struct explanation *explanation, size_t choice, bool is_last_only, size_t last_layer) {
    for (size_t i = 0; i < explanation->n_carriers; i++) {
        struct carrier *carrier = &explanation->carriers[i];
        if (carrier->is_shown || !(carrier->choices >> choice & 1)) continue;
        if (is_last_only && carrier->layer != last_layer) continue;
        carrier->is_shown = true;
        return true;
    }
    return false;
}

static void choose_shown(struct explanation *explanation, const struct tag_file *tags) {
    const size_t last_layer = tags->table.n_layers - 1;
    size_t n = 0;
    for (size_t i = 0; i < N_OF_TOP_LABEL && explanation->n_choices; i++)
        n += show_next(explanation, 0, false, last_layer);
    for (bool has_more = true; has_more && n < EXPLANATION_MOST_CARRIERS;) {
        has_more = false;
        for (size_t c = 0; c < 2 * explanation->n_choices && n < EXPLANATION_MOST_CARRIERS; c++) {
            if (!show_next(explanation, c / 2, c % 2, last_layer)) continue;
            has_more = true;
            n++;
        }
    }
}

/* What is left out must not wait in memory for the other pictures. */
static void drop_others(struct explanation *explanation) {
    size_t n = 0;
    explanation->n_all_carriers = explanation->n_carriers;
    for (size_t i = 0; i < explanation->n_carriers; i++)
        if (explanation->carriers[i].is_shown) explanation->carriers[n++] = explanation->carriers[i];
    explanation->n_carriers = n;
    struct carrier *fewer = realloc(explanation->carriers, (n ? n : 1) * sizeof *fewer);
    if (fewer) explanation->carriers = fewer;
}

static int compare_indices(const void *a, const void *b) {
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* One list of filters for all values of k and q, which often share them. */
static filtags_status list_shown(struct explained_picture *picture, size_t n_selectors) {
    size_t n = 0;
    picture->shown = memory_new(n_selectors * EXPLANATION_MOST_CARRIERS, sizeof *picture->shown);
    if (!picture->shown) return FILTAGS_ERROR_MEMORY;
    for (size_t s = 0; s < n_selectors; s++)
        for (size_t i = 0; i < picture->explanations[s].n_carriers; i++)
            picture->shown[n++] = picture->explanations[s].carriers[i].filter;
    qsort(picture->shown, n, sizeof *picture->shown, compare_indices);
    for (size_t i = 0; i < n; i++)
        if (!picture->n_shown || picture->shown[picture->n_shown - 1] != picture->shown[i])
            picture->shown[picture->n_shown++] = picture->shown[i];
    for (size_t s = 0; s < n_selectors; s++)
        for (size_t i = 0; i < picture->explanations[s].n_carriers; i++) {
            struct carrier *carrier = &picture->explanations[s].carriers[i];
            const size_t *place = bsearch(&carrier->filter, picture->shown, picture->n_shown, sizeof *place,
                                          compare_indices);
            carrier->map = (size_t)(place - picture->shown);
        }
    return FILTAGS_OK;
}

filtags_status explained_picture_explain(struct explained_picture *picture, const struct tag_file *tags,
                                         const struct label_names *names) {
    struct ranking_scratch *scratch = NULL;
    filtags_status status = ranking_scratch_create(&tags->table, tags->n_labels, &scratch);
    picture->explanations = memory_new(tags->n_selectors, sizeof *picture->explanations);
    if (!status && !picture->explanations) status = FILTAGS_ERROR_MEMORY;
    for (size_t s = 0; s < tags->n_selectors && !status; s++) {
        struct explanation *explanation = &picture->explanations[s];
        status = rank(explanation, tags, s, picture->activations, scratch);
        if (status) break;
        choose_labels(explanation, picture, names);
        status = find_carriers(explanation, picture, tags, s);
        if (status) break;
        choose_shown(explanation, tags);
        drop_others(explanation);
    }
    if (!status) status = list_shown(picture, tags->n_selectors);
    ranking_scratch_destroy(scratch);
    return status;
}

void explained_picture_free(struct explained_picture *picture, size_t n_selectors) {
    for (size_t s = 0; picture->explanations && s < n_selectors; s++) {
        free(picture->explanations[s].rankings[0]);
        free(picture->explanations[s].rankings[1]);
        free(picture->explanations[s].carriers);
    }
    free(picture->explanations);
    free(picture->activations);
    free(picture->shown);
    *picture = (struct explained_picture){0};
}
