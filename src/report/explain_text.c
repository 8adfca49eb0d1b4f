#include "report/explain_text.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

enum { N_LABELS_SHOWN = 3, N_FILTERS_SHOWN = 8, N_TAGS_SHOWN = 4, LABEL_CHARACTERS = 32, LAYER_CHARACTERS = 28 };
enum { TEXT_COLUMN = 16, PAGE_COLUMNS = 80 };

/* Append text without control characters, shortened to n_most characters; returns how many it has then. */
static size_t append_short(struct buffer *to, const char *text, size_t n_most) {
    char line[1024];
    size_t n = 0, length = strlen(text);
    for (size_t i = 0; i < length; n++) {
        size_t n_bytes = utf8_sequence_length(text + i, length - i);
        if (!n_bytes) n_bytes = 1;
        if (n + 1 == n_most && i + n_bytes < length) {
            buffer_append_text(to, "…");
            return n_most;
        }
        snprintf(line, sizeof line, "%.*s", (int)n_bytes, text + i);
        char printable[sizeof line];
        text_make_printable(printable, sizeof printable, line);
        buffer_append_text(to, printable);
        i += n_bytes;
    }
    return n;
}

static void append_padded(struct buffer *to, const char *text, size_t width) {
    const size_t n = append_short(to, text, width);
    buffer_printf(to, "%*s", (int)(width - n), "");
}

static size_t count_characters(const char *text) {
    size_t n = 0;
    for (size_t i = 0, length = strlen(text); i < length; n++) {
        const size_t n_bytes = utf8_sequence_length(text + i, length - i);
        i += n_bytes ? n_bytes : 1;
    }
    return n;
}

static void append_label(struct buffer *to, const struct explained *explained, uint32_t label) {
    append_short(to, explained->names->labels[label], LABEL_CHARACTERS);
}

static const char *layer_name(const struct explained *explained, size_t layer) {
    return filtags_model_layer(explained->network->model, explained->network->layers[layer])->name;
}

/* Lines of parts that go on below their beginning where the page ends. */
struct wrapped {
    struct buffer *to;
    size_t column;
};

static void append_part(struct wrapped *line, const char *part) {
    const size_t n = count_characters(part);
    if (line->column + 1 + n > PAGE_COLUMNS && line->column > TEXT_COLUMN) {
        buffer_printf(line->to, "\n%*s", TEXT_COLUMN, "");
        line->column = TEXT_COLUMN;
    } else if (line->column > TEXT_COLUMN) {
        buffer_append_text(line->to, " ");
        line->column++;
    }
    buffer_append_text(line->to, part);
    line->column += n;
}

/* "label 12.3 %," or "label 12", and what follows it. */
static void append_amount(struct wrapped *line, const char *label, const char *amount, const char *behind) {
    struct buffer part = {0};
    append_short(&part, label, LABEL_CHARACTERS);
    buffer_printf(&part, " %s%s", amount, behind);
    append_part(line, buffer_text(&part));
    if (part.has_failed) line->to->has_failed = true;
    buffer_free(&part);
}

static void append_network(struct buffer *to, const struct explained *explained,
                           const struct explained_picture *picture) {
    struct wrapped line = {to, TEXT_COLUMN};
    buffer_printf(to, "  %-*s", TEXT_COLUMN - 2, "network");
    for (size_t i = 0; i < picture->n_top; i++) {
        char amount[40];
        snprintf(amount, sizeof amount, "%.1f %%", 100 * (double)picture->probability[i]);
        append_amount(&line, explained->names->outputs[picture->top[i]], amount, i + 1 < picture->n_top ? "," : "");
    }
    buffer_append_text(to, "\n");
}

/* "agrees", or where the network's label is in the ranking. */
static void append_verdict(struct wrapped *line, const struct explained *explained,
                           const struct explained_picture *picture, const struct explanation *explanation, int last) {
    const uint32_t own = explained->names->label_of_output[picture->top[0]];
    const size_t place = own == UINT32_MAX ? 0 : explanation_place(explanation, last, own);
    const struct label_count *ranking = explanation->rankings[last];
    const bool is_tied = place > 1 && ranking[place - 1].count == ranking[0].count;
    char text[100];
    snprintf(text, sizeof text, "disagrees: the network's label is in place %zu%s", place, is_tied ? ", a tie" : "");
    append_part(line, place == 1   ? "agrees with the network"
                      : place == 0 ? "disagrees: the network's label is not among them"
                                   : text);
}

static void append_ranking(struct buffer *to, const struct explained *explained,
                           const struct explained_picture *picture, size_t s, int last) {
    const struct explanation *explanation = &picture->explanations[s];
    const struct selector *selector = &explained->tags->selectors[s];
    struct wrapped line = {to, TEXT_COLUMN};
    char title[40], total[60];
    snprintf(title, sizeof title, "tags, %s = %g", selector->rule == FILTAGS_RULE_K ? "k" : "q", selector->value);
    buffer_printf(to, "  %-*s ", TEXT_COLUMN - 3, last ? "  last layer" : title);
    if (!explanation->n_ranked[last]) {
        buffer_printf(to, "the %zu active filters have no tags\n", explanation->n_active[last]);
        return;
    }
    snprintf(total, sizeof total, " of %llu tags;", (unsigned long long)explanation->n_tags[last]);
    for (size_t i = 0; i < explanation->n_ranked[last] && i < N_LABELS_SHOWN; i++) {
        const struct label_count *place = &explanation->rankings[last][i];
        const bool is_last = i + 1 == explanation->n_ranked[last] || i + 1 == N_LABELS_SHOWN;
        char count[20];
        snprintf(count, sizeof count, "%lu", (unsigned long)place->count);
        append_amount(&line, explained->names->labels[place->label], count, is_last ? total : ",");
    }
    append_verdict(&line, explained, picture, explanation, last);
    buffer_append_text(to, "\n");
}

/* The label that is carried, then others of the filter's, as many as the line has room for. */
static void append_tags(struct buffer *to, const struct explained *explained, const struct tag_table *tags,
                        const struct carrier *carrier, uint32_t label, size_t column) {
    char *const *labels = explained->names->labels;
    const size_t n_tags = carrier->n_tags;
    size_t n = 1, used = column + append_short(to, labels[label], LABEL_CHARACTERS);
    for (uint64_t t = tags->offset[carrier->filter]; t < tags->offset[carrier->filter + 1] && n < N_TAGS_SHOWN; t++) {
        if (tags->labels[t] == label) continue;
        const size_t n_characters = count_characters(labels[tags->labels[t]]);
        const size_t next = used + 2 + (n_characters < LABEL_CHARACTERS ? n_characters : LABEL_CHARACTERS);
        const size_t n_left = n_tags - n - 1;
        if (next + (n_left ? (size_t)snprintf(NULL, 0, " and %zu more", n_left) : 0) > PAGE_COLUMNS) break;
        buffer_append_text(to, ", ");
        append_label(to, explained, tags->labels[t]);
        used = next;
        n++;
    }
    if (n_tags > n) buffer_printf(to, " and %zu more", n_tags - n);
    buffer_append_text(to, "\n");
}

static void append_carrier(struct buffer *to, const struct explained *explained, const struct tag_table *tags,
                           const struct carrier *carrier, uint32_t label, size_t layer_width) {
    buffer_append_text(to, "    ");
    append_padded(to, layer_name(explained, carrier->layer), layer_width);
    buffer_printf(to, "  %6zu  %10.4f  ", carrier->filter - explained->tags->table.first[carrier->layer],
                  carrier->activation / (double)FILTAGS_ACTIVATION_ONE);
    append_tags(to, explained, tags, carrier, label, 4 + layer_width + 22);
}

static size_t widest_layer(const struct explained *explained) {
    size_t widest = strlen("layer");
    for (size_t i = 0; i < explained->network->table.n_layers; i++) {
        const size_t n = count_characters(layer_name(explained, i));
        if (n > widest) widest = n;
    }
    return widest < LAYER_CHARACTERS ? widest : LAYER_CHARACTERS;
}

/* The filters that carry the top label of all layers. */
static void append_carriers(struct buffer *to, const struct explained *explained,
                            const struct explained_picture *picture, size_t s) {
    const struct explanation *explanation = &picture->explanations[s];
    const struct selector *selector = &explained->tags->selectors[s];
    size_t n_shown = 0, width = widest_layer(explained);
    if (!explanation->n_choices) return;
    const struct label_choice *top = &explanation->choices[0];
    buffer_append_text(to, "\n  ");
    append_label(to, explained, top->label);
    buffer_printf(to, ", %s = %g: %zu of %zu active filters have it\n",
                  selector->rule == FILTAGS_RULE_K ? "k" : "q", selector->value, top->n_carriers[0],
                  explanation->n_active[0]);
    buffer_append_text(to, "    ");
    append_padded(to, "layer", width);
    buffer_append_text(to, "  filter  activation  tags, the fewest first\n");
    for (size_t i = 0; i < explanation->n_carriers && n_shown < N_FILTERS_SHOWN; i++) {
        if (!(explanation->carriers[i].choices & 1)) continue;
        append_carrier(to, explained, &explained->tags->tags[s], &explanation->carriers[i], top->label, width);
        n_shown++;
    }
    if (top->n_carriers[0] > n_shown) buffer_printf(to, "    and %zu more\n", top->n_carriers[0] - n_shown);
}

void explain_text_append(struct buffer *to, const struct explained *explained) {
    for (size_t i = 0; i < explained->n_pictures; i++) {
        const struct explained_picture *picture = &explained->pictures[i];
        buffer_append_text(to, "\n");
        append_short(to, picture->file, SIZE_MAX);
        buffer_append_text(to, "\n");
        append_network(to, explained, picture);
        for (size_t s = 0; s < 2 * explained->tags->n_selectors; s++)
            append_ranking(to, explained, picture, s / 2, s % 2);
        for (size_t s = 0; s < explained->tags->n_selectors; s++) append_carriers(to, explained, picture, s);
    }
}
