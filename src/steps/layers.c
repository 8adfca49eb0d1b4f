/* layers.c - list the layers of a network. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/suggestion.h"
#include "model/model.h"
#include "steps/steps.h"

/* "(null, 28, 28, 3)" as Keras prints it, in brackets for JSON */
static void format_shape(const filtags_layer *layer, const char *brackets, char *text, size_t size_bytes) {
    size_t n = (size_t)snprintf(text, size_bytes, "%c%s", brackets[0], brackets[0] == '[' ? "null" : "None");
    for (size_t i = 0; i < layer->n_dims && n < size_bytes; i++)
        n += (size_t)snprintf(text + n, size_bytes - n, ", %zu", layer->shape[i]);
    if (n < size_bytes) snprintf(text + n, size_bytes - n, "%c", brackets[1]);
}

static filtags_status append_json(struct buffer *to, const filtags_model *model, const bool *is_tagged) {
    json_t *list = json_array();
    for (size_t i = 0; i < filtags_model_n_layers(model); i++) {
        const filtags_layer *layer = filtags_model_layer(model, i);
        json_t *shape = json_pack("[n]");
        for (size_t d = 0; d < layer->n_dims; d++)
            json_array_append_new(shape, json_integer((json_int_t)layer->shape[d]));
        json_t *row = json_pack("{s:I, s:s, s:s, s:o}", "index", (json_int_t)layer->index, "name", layer->name, "class",
                                layer->class_name, "output_shape", shape);
        if (layer->n_filters) json_object_set_new(row, "filters", json_integer((json_int_t)layer->n_filters));
        json_object_set_new(row, "tagged", json_boolean(is_tagged[i]));
        json_array_append_new(list, row);
    }
    buffer_append_text(to, "[");
    for (size_t i = 0; i < json_array_size(list); i++) { /* a layer a line, to be read by people as well */
        char *line = json_dumps(json_array_get(list, i), JSON_PRESERVE_ORDER);
        if (!line) {
            json_decref(list);
            return error_set(FILTAGS_ERROR_MEMORY, "the list of layers could not be composed as JSON");
        }
        buffer_printf(to, "%s%s", i ? ",\n " : "", line);
        free(line);
    }
    buffer_append_text(to, "]\n");
    json_decref(list);
    return FILTAGS_OK;
}

static int text_width(int least, const char *text) {
    int n = (int)strlen(text);
    return n > least ? n : least;
}

/* Names in a network are a stranger's: they may not drive the terminal. */
static void make_row_printable(struct buffer *to, size_t start) {
    if (to->has_failed || to->size_bytes <= start + 1) return;
    const size_t n = to->size_bytes - start - 1; /* without the newline */
    to->data[start + n] = '\0';
    text_make_printable(to->data + start, n + 1, to->data + start);
    to->data[start + n] = '\n';
}

static void append_table(struct buffer *to, const filtags_model *model, const bool *is_tagged) {
    size_t n_tagged = 0, n_filters = 0;
    int name_width = 4, class_width = 5;
    for (size_t i = 0; i < filtags_model_n_layers(model); i++) {
        name_width = text_width(name_width, filtags_model_layer(model, i)->name);
        class_width = text_width(class_width, filtags_model_layer(model, i)->class_name);
    }
    buffer_printf(to, "index  %-*s  %-*s  %-22s  filters  tagged\n", name_width, "name", class_width, "class",
                  "output shape");
    for (size_t i = 0; i < filtags_model_n_layers(model); i++) {
        const filtags_layer *layer = filtags_model_layer(model, i);
        char shape[80], filters[24] = "";
        format_shape(layer, "()", shape, sizeof shape);
        if (layer->n_filters) snprintf(filters, sizeof filters, "%zu", layer->n_filters);
        const size_t start = to->size_bytes;
        buffer_printf(to, "%5zu  %-*s  %-*s  %-22s  %7s  %s\n", layer->index, name_width, layer->name, class_width,
                      layer->class_name, shape, filters, is_tagged[i] ? "yes" : "");
        make_row_printable(to, start);
        n_tagged += is_tagged[i];
        n_filters += is_tagged[i] ? layer->shape[2] : 0;
    }
    buffer_printf(to, "%zu layers, %llu parameters; %zu layers with %zu filters are tagged\n",
                  filtags_model_n_layers(model), (unsigned long long)filtags_model_n_parameters(model), n_tagged,
                  n_filters);
}

/* A word that is no file may be a network's name with a mistake in it. The message is that of the failed opening. */
static filtags_status suggest_network(const char *word, filtags_status status) {
    struct suggestion meant = suggestion_of(word);
    size_t n_networks;
    char room[128];
    const filtags_network *networks = filtags_networks(&n_networks);
    for (size_t i = 0; i < n_networks; i++) suggestion_offer(&meant, networks[i].name, strlen(networks[i].name));
    return error_set(status, "%s%s", filtags_error_message(), suggestion_text(&meant, room));
}

/* The architecture is enough. */
static filtags_status load_model(const filtags_options *options, filtags_model **model) {
    if (options->network)
        return filtags_model_create_network(options->network, (size_t)options->classes, NULL, model);
    filtags_status status =
        filtags_model_load(options->model, options->size.height, options->size.width, model);
    return status == FILTAGS_ERROR_IO ? suggest_network(options->model, status) : status;
}

filtags_status step_layers(struct step *step) {
    const filtags_options *options = step->options;
    filtags_model *model = NULL;
    size_t *layers = NULL, n_layers = 0;
    bool *is_tagged = NULL;
    filtags_status status = load_model(options, &model);
    if (!status && !(is_tagged = memory_new(filtags_model_n_layers(model), sizeof *is_tagged)))
        status = FILTAGS_ERROR_MEMORY;
    if (!status) status = model_select_layers(model, options->layers, &layers, &n_layers);
    if (status == FILTAGS_ERROR_DATA && !options_is_given(options, OPTION_LAYERS))
        status = FILTAGS_OK; /* a network without Conv2D has a list too */
    for (size_t i = 0; !status && i < n_layers; i++) is_tagged[layers[i]] = true;
    if (!status && options->json) status = append_json(&step->run->report, model, is_tagged);
    else if (!status) append_table(&step->run->report, model, is_tagged);
    free(layers);
    free(is_tagged);
    filtags_model_destroy(model);
    return status;
}
