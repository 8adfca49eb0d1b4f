/* tag.c - step 2: from class activations to tags. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "steps/class_activations.h"
#include "steps/steps.h"
#include "steps/tag_file.h"
#include "store/pickle.h"
#include "tagging/tags.h"

struct tag_run {
    struct step *step;
    struct class_activations activations;
    struct run_record record;
    struct selector *selectors; /* [n_selectors], those of k, then those of q */
    size_t n_selectors, n_k;
    struct output *output;
    struct class_ranks ranks;
    uint32_t *memos;   /* [n_classes] place of a label in a pickle's memo */
    uint32_t *classes; /* [n_classes] that tag a filter */
    uint64_t n_tags;
};

/* A fractional value serves q only. */
static filtags_status list_selectors(struct tag_run *run) {
    const struct number_list *k_q = &run->step->options->k_q;
    run->selectors = memory_new(2 * k_q->n, sizeof *run->selectors);
    if (!run->selectors) return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < k_q->n; i++) {
        if (k_q->values[i] == floor(k_q->values[i]))
            run->selectors[run->n_selectors++] = (struct selector){FILTAGS_RULE_K, k_q->values[i]};
    }
    run->n_k = run->n_selectors;
    for (size_t i = 0; i < k_q->n; i++)
        run->selectors[run->n_selectors++] = (struct selector){FILTAGS_RULE_Q, k_q->values[i]};
    return FILTAGS_OK;
}

static bool is_out_of_range(struct selector selector, size_t n_filters) {
    double highest = selector.rule == FILTAGS_RULE_K ? (double)n_filters : 100;
    return selector.value < 0 || selector.value > highest;
}

/* One warning per k and layer; they tend to come in hundreds (k = 0..100 and small layers), so the log has each and the
 * terminal their number. Returns how many there were. */
static size_t warn_of_k(struct tag_run *run, struct selector selector) {
    const struct filter_table *table = &run->activations.table;
    bool has_names = run->record.n_layers == table->n_layers;
    size_t n_warnings = 0;
    for (size_t layer = 0; layer < table->n_layers; layer++) {
        if (!is_out_of_range(selector, table->n_filters[layer])) continue;
        output_log_detail(
            run->output, FILTAGS_LOG_WARNING,
            "k = %g is not in [0, %zu], the filters of layer %zu%s%s: those above the layer's mean are tagged",
            selector.value, table->n_filters[layer], layer, has_names ? ", " : "",
            has_names ? run->record.layer_names[layer] : "");
        n_warnings++;
    }
    return n_warnings;
}

/* A value out of range means: the filters above the layer's mean. */
static void warn_of_range(struct tag_run *run) {
    size_t n_k_warnings = 0;
    for (size_t i = 0; i < run->n_selectors; i++) {
        struct selector selector = run->selectors[i];
        if (selector.rule == FILTAGS_RULE_K) n_k_warnings += warn_of_k(run, selector);
        else if (is_out_of_range(selector, 0)) {
            output_log(run->output, FILTAGS_LOG_WARNING,
                       "q = %g is not in [0, 100]: the filters above the layer's mean are tagged", selector.value);
        }
    }
    if (n_k_warnings) {
        output_tell(run->output, FILTAGS_LOG_WARNING,
                    "k is out of range for some layers, where the filters above the mean are tagged "
                    "(%zu pairs of k and layer: see the warnings log)",
                    n_k_warnings);
    }
}

/* ---------------------------------------------------------------- size of the file */

static double estimate_bytes(const struct tag_run *run) {
    const struct filter_table *table = &run->activations.table;
    double reference_bytes = run->activations.n_classes <= 256 ? 2 : 5; /* to a label in the memo */
    double bytes = 0;
    for (size_t i = 0; i < run->n_selectors; i++) {
        uint64_t n_tags = class_ranks_count(&run->ranks, table, run->selectors[i]);
        /* a list costs up to 3 bytes; every label is written out once a pickle, which is little beside that */
        bytes += reference_bytes * (double)n_tags + 3.0 * (double)table->first[table->n_layers];
    }
    return bytes;
}

/* ---------------------------------------------------------------- files */

/* A list over layers of lists over filters of lists of labels. */
static void write_tags(struct pickle_writer *pickle, struct tag_run *run, struct selector selector) {
    const struct filter_table *table = &run->activations.table;
    pickle_list_open(pickle);
    for (size_t layer = 0; layer < table->n_layers; layer++) {
        size_t n = filtags_selection_size(selector.rule, selector.value, table->n_filters[layer]);
        pickle_list_open(pickle);
        for (size_t filter = table->first[layer]; filter < table->first[layer + 1]; filter++) {
            size_t n_tags = class_ranks_tags(&run->ranks, filter, n, run->classes);
            run->n_tags += n_tags;
            pickle_list_open(pickle);
            for (size_t i = 0; i < n_tags; i++) {
                uint32_t class_index = run->classes[i];
                pickle_str_shared(pickle, run->activations.labels[class_index], &run->memos[class_index]);
            }
            pickle_list_close(pickle);
        }
        pickle_list_close(pickle);
    }
    pickle_list_close(pickle);
}

/* {value: tags} of n selectors */
static filtags_status write_dict(struct tag_run *run, FILE *stream, size_t first, size_t n) {
    struct pickle_writer pickle;
    for (size_t i = 0; i < run->activations.n_classes; i++) run->memos[i] = UINT32_MAX;
    pickle_begin(&pickle, stream);
    pickle_dict_open(&pickle);
    for (size_t i = first; i < first + n; i++) {
        pickle_number(&pickle, run->selectors[i].value);
        write_tags(&pickle, run, run->selectors[i]);
        if (ferror(stream))
            return error_set_errno(FILTAGS_ERROR_IO, "%s: could not be written whole", output_file(run->output, 0));
    }
    pickle_dict_close(&pickle);
    pickle_end(&pickle);
    return FILTAGS_OK;
}

static filtags_status write_vars(struct tag_run *run) {
    FILE *stream;
    filtags_status status = output_start_file(run->output, "vars.pkl", &stream);
    if (!status) status = write_dict(run, stream, 0, run->n_k);
    if (!status) status = write_dict(run, stream, run->n_k, run->n_selectors - run->n_k);
    return status ? status : output_end_file(run->output);
}

static filtags_status write_info(struct tag_run *run) {
    struct buffer text = {0};
    buffer_printf(&text, "Tags of the filters of %s (filTags, step 2).\n\n",
                  run->record.network ? run->record.network : "a network");
    tag_variables_append_info(&text);
    buffer_append_text(&text, "\n");
    append_layer_lines(&text, &run->record);
    return step_write_info(run->output, &text);
}

static void report(const struct tag_run *run, double total_sec) {
    struct buffer *to = &run->step->run->report;
    buffer_printf(to, "tags of %s: ", run->record.network ? run->record.network : "network");
    text_append_count(to, "", run->activations.n_classes, "class");
    text_append_count(to, ", ", run->activations.table.first[run->activations.table.n_layers], "filter");
    text_append_count(to, ", ", run->n_k, "value");
    buffer_printf(to, " of k and %zu of q", run->n_selectors - run->n_k);
    text_append_count(to, ", ", run->n_tags, "tag");
    buffer_printf(to, "; %.1f s\n", total_sec);
}

static filtags_status write_files(struct tag_run *run) {
    static const char *const names[] = {"filTags_k", "filTags_q"};
    const struct run_number numbers[] = {{"counts", "n_classes", (double)run->activations.n_classes},
                                         {"counts", "n_k", (double)run->n_k},
                                         {"counts", "n_q", (double)(run->n_selectors - run->n_k)}};
    filtags_status status = write_vars(run);
    if (!status) status = step_write_names(run->output, "vars-names.pkl", names, 2);
    if (!status) status = write_info(run);
    if (status) return status;
    report(run, output_elapsed_sec(run->output));
    return step_close_output(run->step, &run->output, &run->record, numbers, sizeof numbers / sizeof *numbers);
}

static filtags_status rank_classes(struct tag_run *run) {
    size_t n_classes = run->activations.n_classes;
    run->memos = memory_new(n_classes, sizeof *run->memos);
    run->classes = memory_new(n_classes, sizeof *run->classes);
    if (!run->memos || !run->classes) return FILTAGS_ERROR_MEMORY;
    return class_ranks_create(&run->activations.table, (const float *const *)run->activations.rows, n_classes,
                              &run->ranks);
}

filtags_status step_tag(struct step *step) {
    struct tag_run run = {.step = step};
    const char *path = step->options->activations_file;
    filtags_status status = class_activations_open(path, &run.activations);
    if (!status) status = step_inherit(step, path, &run.record);
    if (!status) status = step_set_previous(&run.record, "tag", path);
    if (!status) status = list_selectors(&run);
    if (!status) status = rank_classes(&run);
    if (!status)
        status = step_open_output(step, "TF", run.record.network ? run.record.network : "network", &run.output);
    if (!status) {
        warn_of_range(&run);
        status = output_check_room(run.output, "the tag file", estimate_bytes(&run));
    }
    if (!status) status = write_files(&run);
    output_close(run.output, status ? filtags_error_message() : NULL);
    class_activations_close(&run.activations);
    run_record_free(&run.record);
    class_ranks_free(&run.ranks);
    free(run.selectors);
    free(run.memos);
    free(run.classes);
    return status;
}
