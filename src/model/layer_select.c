/* layer_select.c - the option --layers. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/suggestion.h"
#include "model/model_internal.h"

static bool is_map(const struct layer_record *layer) { return layer->info.n_dims == 3; }

/* The layer's own name: behind the models that it is nested in. */
static bool has_conv_in_name(const struct layer_record *layer) {
    const char *slash = strrchr(layer->info.name, '/');
    return strstr(slash ? slash + 1 : layer->info.name, "conv") != NULL;
}

static filtags_status select_by_keyword(const filtags_model *model, bool by_name, bool *is_selected) {
    const struct graph *graph = &model->graph;
    size_t n = 0;
    for (size_t i = 0; i < graph->n_layers; i++) {
        const struct layer_record *layer = &graph->layers[i];
        if (!is_map(layer) || !(by_name ? has_conv_in_name(layer) : layer->is_conv2d)) continue;
        is_selected[i] = true;
        n++;
    }
    if (n) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_DATA, "%s: a network with a layer %s expected, it has none", model->path,
                     by_name ? "with 'conv' in its name" : "of class Conv2D");
}

/* Names of some layers that can be selected: "conv1, conv2, ...". */
static void append_examples(const struct graph *graph, struct buffer *text) {
    enum { MAX_SHOWN = 12 };
    size_t n = 0;
    for (size_t i = 0; i < graph->n_layers && n <= MAX_SHOWN; i++) {
        if (!is_map(&graph->layers[i])) continue;
        buffer_printf(text, "%s%s", n ? ", " : "", n == MAX_SHOWN ? "..." : graph->layers[i].info.name);
        n++;
    }
}

/* Select what one item of the list matches: a name or a glob, else a keyword. */
static filtags_status select_item(const filtags_model *model, const char *item, bool *is_selected) {
    const struct graph *graph = &model->graph;
    const filtags_layer *no_map = NULL;
    size_t n = 0;
    for (size_t i = 0; i < graph->n_layers; i++) {
        const struct layer_record *layer = &graph->layers[i];
        if (strcmp(item, layer->info.name) != 0 && fnmatch(item, layer->info.name, 0) != 0) continue;
        if (is_map(layer)) {
            is_selected[i] = true;
            n++;
        } else if (!no_map) {
            no_map = &layer->info;
        }
    }
    if (n) return FILTAGS_OK;
    if (no_map) {
        return error_set(FILTAGS_ERROR_USAGE, "--layers %s: layers with feature maps expected, the output of '%s' has "
                         "%zu dimension%s", item, no_map->name, no_map->n_dims, no_map->n_dims == 1 ? "" : "s");
    }
    const bool by_name = strcmp(item, "name") == 0;
    if (by_name || strcmp(item, "conv") == 0) return select_by_keyword(model, by_name, is_selected);
    struct buffer names = {0};
    struct suggestion meant = suggestion_of(item);
    char room[128];
    append_examples(graph, &names);
    for (size_t i = 0; i < graph->n_layers; i++) {
        const char *name = graph->layers[i].info.name;
        if (is_map(&graph->layers[i])) suggestion_offer(&meant, name, strlen(name));
    }
    filtags_status status = error_set(FILTAGS_ERROR_USAGE, "--layers %s: matches no layer of %s (there are: %s)%s",
                                      item, model->path, buffer_text(&names), suggestion_text(&meant, room));
    buffer_free(&names);
    return status;
}

static filtags_status select_list(const filtags_model *model, const char *list, bool *is_selected) {
    filtags_status status = FILTAGS_OK;
    char *copy = memory_copy_string(list), *rest = copy, *item;
    if (!copy) return FILTAGS_ERROR_MEMORY;
    while (!status && (item = strsep(&rest, ","))) {
        item += strspn(item, " \t");
        size_t length = strlen(item);
        while (length && (item[length - 1] == ' ' || item[length - 1] == '\t')) item[--length] = '\0';
        status = *item ? select_item(model, item, is_selected)
                       : error_set(FILTAGS_ERROR_USAGE, "--layers '%s': conv, name, a layer name or a glob expected "
                                   "before and behind each comma, found nothing", list);
    }
    free(copy);
    return status;
}

filtags_status model_select_layers(const filtags_model *model, const char *list, size_t **layers, size_t *n_layers) {
    size_t n_all = model->graph.n_layers, n = 0;
    bool by_name = strcmp(list, "name") == 0;
    bool *is_selected = memory_new(n_all, sizeof *is_selected);
    size_t *selected = memory_new(n_all, sizeof *selected);
    filtags_status status = FILTAGS_ERROR_MEMORY;
    if (!is_selected || !selected) goto fail;
    status = by_name || strcmp(list, "conv") == 0 ? select_by_keyword(model, by_name, is_selected)
                                                  : select_list(model, list, is_selected);
    if (status) goto fail;
    for (size_t i = 0; i < n_all; i++) {
        if (is_selected[i]) selected[n++] = i;
    }
    free(is_selected);
    *layers = selected;
    *n_layers = n;
    return FILTAGS_OK;
fail:
    free(is_selected);
    free(selected);
    return status;
}
