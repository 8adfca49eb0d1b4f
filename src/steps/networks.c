/* networks.c - the known networks: a list of them, and their weights beforehand. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "fetch/cache.h"
#include "steps/steps.h"

/* ---------------------------------------------------------------- networks */

/* A line of the list. */
struct network_line {
    const filtags_network *network;
    size_t n_conv_layers, n_filters;
    uint64_t n_parameters;
    struct weights_place place;
};

static filtags_status describe(const filtags_network *network, struct network_line *line) {
    filtags_model *model = NULL;
    struct weights_place place;
    filtags_status status = filtags_model_create_network(network->name, network->n_classes, NULL, &model);
    filtags_status found = status ? status : weights_find(network, false, NULL, &place);
    if (found == FILTAGS_ERROR_MEMORY) status = found;
    else if (found) place = (struct weights_place){.source = WEIGHTS_MISSING}; /* without a home a list all the same */
    if (!status) {
        *line = (struct network_line){
            .network = network, .n_parameters = filtags_model_n_parameters(model), .place = place};
        for (size_t i = 0; i < filtags_model_n_layers(model); i++) {
            size_t n_filters = filtags_model_layer(model, i)->n_filters;
            line->n_conv_layers += n_filters > 0;
            line->n_filters += n_filters;
        }
    }
    filtags_model_destroy(model);
    return status;
}

static const char *source_text(enum weights_source source) {
    return source == WEIGHTS_MISSING ? "no" : source == WEIGHTS_CACHED ? "yes" : "in Keras's cache";
}

static filtags_status append_json(struct buffer *to, const struct network_line *line, bool is_first) {
    const filtags_network *network = line->network;
    bool is_there = line->place.source != WEIGHTS_MISSING;
    json_t *row = json_pack("{s:s, s:[I, I, I], s:I, s:I, s:I, s:I, s:s, s:s+, s:s, s:b, s:s?}", "name", network->name,
                            "input_shape", (json_int_t)network->height, (json_int_t)network->width, (json_int_t)3,
                            "n_outputs", (json_int_t)network->n_classes, "n_conv_layers",
                            (json_int_t)line->n_conv_layers, "n_filters", (json_int_t)line->n_filters, "n_parameters",
                            (json_int_t)line->n_parameters, "weights_file", network->weights_file, "weights_url",
                            network->weights_url, network->weights_file, "weights_md5", network->weights_md5, "cached",
                            is_there, "path", line->place.path);
    char *text = row ? json_dumps(row, JSON_PRESERVE_ORDER) : NULL;
    json_decref(row);
    if (!text) return error_set(FILTAGS_ERROR_MEMORY, "the list of networks could not be composed as JSON");
    buffer_printf(to, "%s%s", is_first ? "[" : ",\n ", text);
    free(text);
    return FILTAGS_OK;
}

static void append_row(struct buffer *to, const struct network_line *line, bool is_first) {
    char input[40];
    if (is_first) {
        buffer_printf(to, "%-17s  %-9s  %11s  %7s  %11s  %-60s  %s\n", "name", "input", "conv layers", "filters",
                      "parameters", "weight file", "cached");
    }
    snprintf(input, sizeof input, "%zux%zux3", line->network->height, line->network->width);
    buffer_printf(to, "%-17s  %-9s  %11zu  %7zu  %11llu  %-60s  %s\n", line->network->name, input, line->n_conv_layers,
                  line->n_filters, (unsigned long long)line->n_parameters, line->network->weights_file,
                  source_text(line->place.source));
}

filtags_status step_networks(struct step *step) {
    size_t n_networks;
    const filtags_network *networks = filtags_networks(&n_networks);
    struct buffer *to = &step->run->report;
    filtags_status status = FILTAGS_OK;
    for (size_t i = 0; i < n_networks && !status; i++) {
        struct network_line line = {0};
        status = describe(&networks[i], &line);
        if (!status && step->options->json) status = append_json(to, &line, i == 0);
        else if (!status) append_row(to, &line, i == 0);
        free(line.place.path);
    }
    if (!status && step->options->json) buffer_append_text(to, "]\n");
    return status;
}

/* ---------------------------------------------------------------- fetch */

static bool is_wanted(const filtags_options *options, const filtags_network *network) {
    for (size_t i = 0; i < options->arguments.n; i++) {
        const char *name = options->arguments.items[i];
        if (!strcmp(name, "all") || !strcmp(name, network->name)) return true;
    }
    return false;
}

static filtags_status fetch_one(struct step *step, const filtags_network *network) {
    static const char *const what[] = {[WEIGHTS_MISSING] = "downloaded",
                                       [WEIGHTS_CACHED] = "already there",
                                       [WEIGHTS_OF_KERAS] = "already in Keras's cache"};
    enum weights_source source;
    struct stat info = {0};
    char *path = NULL;
    filtags_status status = weights_open(network, false, step->callbacks, &path, &source);
    if (status) return status;
    stat(path, &info);
    buffer_printf(&step->run->report, "%s: %s, %.1f MB: %s\n", network->name, what[source], (double)info.st_size / 1e6,
                  path);
    if (source == WEIGHTS_MISSING) status = run_add_file(step->run, path);
    free(path);
    return status;
}

filtags_status step_fetch(struct step *step) {
    size_t n_networks;
    const filtags_network *networks = filtags_networks(&n_networks);
    filtags_status status = FILTAGS_OK;
    for (size_t i = 0; i < n_networks && !status; i++) {
        if (is_wanted(step->options, &networks[i])) status = fetch_one(step, &networks[i]);
    }
    return status;
}
