#include "steps/evaluation.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "engine/isa.h"
#include "model/model.h"
#include "steps/progress.h"
#include "steps/shards.h"
#include "steps/teamwork.h"
#include "store/pickle.h"

/* ---------------------------------------------------------------- before the pictures */

/* The tags were made with the same layers, and, unless the user says otherwise, with the same file. */
static filtags_status check_network(const struct evaluation *run) {
    const struct filter_table *ours = &run->network.table, *theirs = &run->tags.table;
    const filtags_options *options = run->step->options;
    if (ours->n_layers != theirs->n_layers) {
        return error_set(FILTAGS_ERROR_DATA, "%s: tags of %zu layers expected, as --layers %s selects in %s, found %zu",
                         options->filtags_file, ours->n_layers, options->layers, run->network.path, theirs->n_layers);
    }
    for (size_t i = 0; i < ours->n_layers; i++) {
        if (ours->n_filters[i] == theirs->n_filters[i]) continue;
        return error_set(FILTAGS_ERROR_DATA, "%s: layer '%s': tags of %zu filters expected, found %zu",
                         options->filtags_file, filtags_model_layer(run->network.model, run->network.layers[i])->name,
                         ours->n_filters[i], theirs->n_filters[i]);
    }
    if (!run->record.model_sha256 || strcmp(run->record.model_sha256, run->network.sha256) == 0) return FILTAGS_OK;
    if (options_is_given(options, OPTION_MODEL) || options_is_given(options, OPTION_NETWORK) ||
        options_is_given(options, OPTION_WEIGHTS)) {
        step_log(run->step, FILTAGS_LOG_WARNING, "%s is not the file that the tags were made with", run->network.path);
        return FILTAGS_OK;
    }
    return error_set(FILTAGS_ERROR_DATA,
                     "%s: the file that the tags were made with expected (SHA-256 %.12s...), found another (%.12s...); "
                     "give %s to use it all the same",
                     run->network.path, run->record.model_sha256, run->network.sha256,
                     run->network.known ? "--weights" : "--model");
}

/* A map of outputs (of a segmentation network, say) has no top-1. */
static filtags_status check_output(const struct evaluation *run) {
    const struct graph *graph = model_graph(run->network.model);
    const struct shape *shape = &graph->nodes[graph->output_node].shape;
    if (network_gives_vector(&run->network)) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_DATA, "%s: a vector of outputs expected, one for each class, found %zu dimensions",
                     run->network.path, shape->n_dims);
}

/* Two ImageNet classes are called "crane", two "maillot": decoded tags can't be counted. */
static filtags_status check_not_decoded(const char *path) {
    bool is_decoded;
    filtags_status status = tag_file_is_decoded(path, &is_decoded);
    if (status || !is_decoded) return status;
    return error_set(
        FILTAGS_ERROR_DATA,
        "%s: the tag file of step 2 expected, found a decoded one, in which different classes can have one label",
        path);
}

/* open: tag_file_open, or tag_file_open_compact where the tags are only counted. */
static filtags_status open_tags(struct step *step, struct evaluation *run,
                                filtags_status (*open)(struct step *, const char *, const struct number_list *,
                                                       struct tag_file *)) {
    const filtags_options *options = step->options;
    *run = (struct evaluation){.step = step};
    filtags_status status = check_not_decoded(options->filtags_file);
    if (!status) status = open(step, options->filtags_file, &options->k_q, &run->tags);
    return status ? status : step_inherit(step, options->filtags_file, &run->record);
}

static filtags_status check_is_named(const filtags_options *options) {
    if (options->network || options->model) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_USAGE,
                     "--network or --model is missing, and neither a run.json beside %s nor its name has it",
                     options->filtags_file);
}

static filtags_status open_network(struct evaluation *run) {
    filtags_status status = network_open(run->step->options, run->step->callbacks, &run->network);
    if (!status) status = check_output(run);
    return status ? status : check_network(run);
}

filtags_status evaluation_open_network(struct step *step, struct evaluation *run) {
    filtags_status status = open_tags(step, run, tag_file_open);
    if (!status) status = check_is_named(step->options);
    return status ? status : open_network(run);
}

filtags_status evaluation_open(struct step *step, struct evaluation *run) {
    const filtags_options *options = step->options;
    filtags_status status = open_tags(step, run, tag_file_open_compact);
    if (!status && !options->images_dir)
        status = error_set(FILTAGS_ERROR_USAGE, "--images-dir is missing, and no run.json beside %s has it",
                           options->filtags_file);
    if (!status) status = check_is_named(options);
    if (!status)
        status = filtags_dataset_open(options->images_dir, options->split, (uint32_t)options->seed_rn, &run->dataset);
    if (!status) status = open_network(run);
    if (!status) status = class_index_open(options->class_index, &run->network, run->dataset, &run->index);
    if (!status) status = picture_list_create(run->dataset, true, (size_t)options->limit, &run->pictures);
    return status;
}

static void warn_of_classes(struct evaluation *run) {
    size_t n_matches = class_index_n_matches(&run->index, run->dataset);
    if (run->index.is_assumed) {
        output_log(run->output, FILTAGS_LOG_WARNING,
                   "no --class-index: the network's %zu outputs are assumed to be the class folders in their order",
                   run->index.n);
    } else if (n_matches == 0) {
        output_log(run->output, FILTAGS_LOG_WARNING,
                   "no class folder is named like an output of the network ('%s', ...): no hit can be counted",
                   run->index.wnids[0]);
    }
}

filtags_status evaluation_open_output(struct evaluation *run, const char *kind) {
    const struct network *network = &run->network;
    filtags_status status = step_open_output(run->step, kind, network->name, &run->output);
    if (status) return status;
    output_log(run->output, FILTAGS_LOG_INFO,
               "network %s (%s), %zu layers, %zu filters, %zu test pictures of %zu, instruction set %s", network->name,
               network->path, network->table.n_layers, network->table.first[network->table.n_layers],
               run->pictures.n_files, run->pictures.n_all, isa_name(network->isa));
    warn_of_classes(run);
    return FILTAGS_OK;
}

/* ---------------------------------------------------------------- the pictures */

static filtags_status take_prediction(void *context, size_t thread, size_t index, const filtags_activation *activations,
                                      const float *outputs) {
    struct evaluation *run = context;
    filtags_status status = predictions_add(run->predictions, thread, index, activations, outputs);
    if (!status) tally_mark_done(&run->tally, index);
    return status;
}

filtags_status evaluation_run(struct evaluation *run, const char *what) {
    const filtags_options *options = run->step->options;
    size_t batch = runner_batch(options, run->network.shape), n_threads = options_n_threads(options);
    FILE *scratch;
    const bool is_merge = run->step->parts != NULL;
    filtags_status status =
        is_merge ? FILTAGS_OK : network_open_store(&run->network, options, run->output, &run->store);
    if (!status && !run->store && !is_merge)
        status = network_open_engine(&run->network, options, batch, true, &run->engine);
    if (!status) status = output_open_scratch(run->output, &scratch);
    if (!status)
        status = predictions_create(&run->tags, run->network.n_outputs, run->pictures.n_files, n_threads, scratch,
                                    &run->predictions);
    if (!status)
        status = tally_create(run->pictures.n_files, run->pictures.class_of, run->pictures.is_bad, &run->tally);
    run->tally.predictions = run->predictions;
    if (!status && run->progress) status = progress_start(run->progress, run->output, &run->tally);
    if (!status && is_merge) {
        status = shard_parts_load(run->step->parts, run->output, &run->tally);
        run->totals.n_bad = run->tally.n_bad;
        return status;
    }
    if (status) return status;
    size_t first, end;
    shard_range(options->shard, run->pictures.n_files, &first, &end);
    struct runner_job job = {.what = what,
                             .engine = run->engine,
                             .store = run->store,
                             .options = options,
                             .late_engine = &run->engine,
                             .network = &run->network,
                             .preprocess = run->network.preprocess,
                             .images_dir = options->images_dir,
                             .files = run->pictures.files,
                             .n_files = run->pictures.n_files,
                             .n_threads = n_threads,
                             .batch = batch,
                             .wants_output = true,
                             .is_strict = options->strict,
                             .output = run->output,
                             .callbacks = run->step->callbacks,
                             .take = take_prediction,
                             .context = run,
                             .is_part = true,
                             .first = first,
                             .end = end,
                             .tally = run->progress || teamwork_is_helper(run->step->team) ? &run->tally : NULL,
                             .after_batch = run->progress ? progress_tick : NULL,
                             .after_batch_context = run->progress,
                             .is_bad = run->pictures.is_bad};
    status = teamwork_run(run->step->team, &job, run->progress, &run->totals);
    return network_close_store(&run->store, status);
}

/* ---------------------------------------------------------------- files */

static void write_networks_own(struct pickle_writer *pickle, const struct evaluation *run, const size_t *images,
                               size_t n_images) {
    pickle_list_open(pickle);
    for (size_t i = 0; i < n_images; i++) {
        const struct prediction *prediction = predictions_get(run->predictions, images[i]);
        pickle_list_open(pickle);
        for (size_t t = 0; t < prediction->n_top; t++) {
            pickle_tuple_open(pickle);
            pickle_str(pickle, run->index.wnids[prediction->top[t].output]);
            pickle_str(pickle, run->index.labels[prediction->top[t].output]);
            pickle_float(pickle, (double)prediction->top[t].probability);
            pickle_tuple_close(pickle);
        }
        pickle_list_close(pickle);
    }
    pickle_list_close(pickle);
}

/* {k: [for each image [(label, count), ...]]} for the selectors of one rule */
static void write_rankings(struct pickle_writer *pickle, const struct evaluation *run, filtags_rule rule,
                           bool is_last_layer_only, const size_t *images, size_t n_images, uint32_t *memos) {
    size_t first = rule == FILTAGS_RULE_K ? 0 : run->tags.n_k;
    size_t end = rule == FILTAGS_RULE_K ? run->tags.n_k : run->tags.n_selectors;
    for (size_t i = 0; i < run->tags.n_labels; i++) memos[i] = UINT32_MAX;
    pickle_dict_open(pickle);
    for (size_t s = first; s < end; s++) {
        pickle_number(pickle, run->tags.selectors[s].value);
        pickle_list_open(pickle);
        for (size_t i = 0; i < n_images; i++) {
            const struct ranking *ranking =
                &predictions_get(run->predictions, images[i])->rankings[2 * s + is_last_layer_only];
            pickle_list_open(pickle);
            for (size_t r = 0; r < ranking->n; r++) {
                pickle_tuple_open(pickle);
                pickle_str_shared(pickle, run->tags.labels[ranking->counts[r].label], &memos[ranking->counts[r].label]);
                pickle_int(pickle, ranking->counts[r].count);
                pickle_tuple_close(pickle);
            }
            pickle_list_close(pickle);
        }
        pickle_list_close(pickle);
    }
    pickle_dict_close(pickle);
}

static void write_class_images(struct pickle_writer *pickle, const struct evaluation *run, size_t class_index,
                               const size_t *images, size_t n_images) {
    pickle_dict_open(pickle);
    pickle_str(pickle, filtags_dataset_class_name(run->dataset, class_index));
    pickle_list_open(pickle);
    for (size_t i = 0; i < n_images; i++) pickle_str(pickle, run->pictures.files[images[i]]);
    pickle_list_close(pickle);
    pickle_dict_close(pickle);
}

/* Pickle variables y, y_k, y_q, y_k_ll, y_q_ll, class_images_dict */
static void write_variables(const struct evaluation *run, FILE *stream, size_t class_index, const size_t *images,
                            size_t n_images, uint32_t *memos) {
    struct pickle_writer pickle;
    pickle_begin(&pickle, stream);
    write_networks_own(&pickle, run, images, n_images);
    pickle_end(&pickle);
    for (int i = 0; i < 4; i++) {
        pickle_begin(&pickle, stream);
        write_rankings(&pickle, run, i % 2 ? FILTAGS_RULE_Q : FILTAGS_RULE_K, i >= 2, images, n_images, memos);
        pickle_end(&pickle);
    }
    pickle_begin(&pickle, stream);
    write_class_images(&pickle, run, class_index, images, n_images);
    pickle_end(&pickle);
}

filtags_status evaluation_load_class(struct evaluation *run, size_t class_index, size_t **result,
                                     size_t *n_images) {
    const struct picture_list *pictures = &run->pictures;
    size_t n = 0, *images = memory_new(pictures->n_files, sizeof *images);
    if (!images) return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < pictures->n_files; i++) {
        if (pictures->class_of[i] == class_index && !pictures->is_bad[i]) images[n++] = i;
    }
    filtags_status status = predictions_load(run->predictions, images, n);
    if (status) {
        free(images);
        return status;
    }
    *result = images;
    *n_images = n;
    return FILTAGS_OK;
}

filtags_status evaluation_write_class(struct evaluation *run, size_t class_index, const size_t *images,
                                      size_t n_images) {
    static const char *const names[] = {"y", "y_k", "y_q", "y_k_ll", "y_q_ll", "class_images_dict"};
    char suffix[40];
    FILE *stream;
    uint32_t *memos = memory_new(run->tags.n_labels, sizeof *memos);
    if (!memos) return FILTAGS_ERROR_MEMORY;
    snprintf(suffix, sizeof suffix, "vars%zu.pkl", class_index + 1);
    filtags_status status = output_start_file(run->output, suffix, &stream);
    if (!status) {
        write_variables(run, stream, class_index, images, n_images, memos);
        status = output_end_file(run->output);
    }
    free(memos);
    snprintf(suffix, sizeof suffix, "vars%zu-names.pkl", class_index + 1);
    return status ? status : step_write_names(run->output, suffix, names, 6);
}

void evaluation_append_info(const struct evaluation *run, struct buffer *to) {
    buffer_append_text(
        to, "    import pickle\n"
            "    with open('...-varsX-names.pkl', 'rb') as f:\n"
            "        names = pickle.load(f)\n"
            "    with open('...-varsX.pkl', 'rb') as f:\n"
            "        variables = {name: pickle.load(f) for name in names}\n\n"
            "y: prediction of the CNN: y[j] is, for test picture j of the class, a list of its top (wnid, label, "
            "probability)\n"
            "y_k: predictions depending on the choice of k: y_k[a][j] is a list of (label, number of tags), best "
            "first\n"
            "y_q: predictions depending on the choice of q, in the same form\n"
            "y_k_ll, y_q_ll: the same, only the last layer's filters considered\n"
            "class_images_dict: {label: file names of the test pictures, in the order of j}\n\n");
    append_layer_lines(to, &run->record);
}

filtags_status evaluation_describe(struct evaluation *run, const char *command) {
    const filtags_options *options = run->step->options;
    char *images_dir;
    filtags_status status = step_set_previous(&run->record, command, options->filtags_file);
    if (!status) status = path_absolute(options->images_dir, &images_dir);
    if (status) return status;
    free(run->record.images_dir);
    run->record.images_dir = images_dir;
    run->record.has_split = true;
    run->record.split = options->split;
    run->record.seed_rn = (uint32_t)options->seed_rn;
    run->record.limit = (size_t)options->limit;
    return network_describe(&run->network, options, &run->record);
}

size_t evaluation_list_numbers(const struct evaluation *run, size_t n_classes,
                               struct run_number numbers[EVALUATION_MOST_NUMBERS]) {
    const filtags_options *options = run->step->options;
    const struct run_number listed[] = {
        {"counts", "n_classes", (double)n_classes},
        {"counts", "n_test", (double)run->pictures.n_all},
        {"counts", "n_pictures_run", (double)run->pictures.n_files},
        {"counts", "n_pictures_bad", (double)run->totals.n_bad},
        {"counts", "n_k", (double)run->tags.n_k},
        {"counts", "n_q", (double)(run->tags.n_selectors - run->tags.n_k)},
        {"counts", "n_threads", (double)options_n_threads(options)},
        {"counts", "batch", (double)runner_batch(options, run->network.shape)},
        {"timings_sec", "decode_all_threads", run->totals.decode_sec},
        {"timings_sec", "network_all_threads", run->totals.network_sec},
        {"timings_sec", "pictures", run->totals.elapsed_sec}};
    size_t n = sizeof listed / sizeof *listed;
    memcpy(numbers, listed, sizeof listed);
    if (run->step->team)
        numbers[n++] = (struct run_number){"counts", "n_processes", (double)teamwork_n_processes(run->step->team)};
    if (run->totals.n_before)
        numbers[n++] = (struct run_number){"counts", "n_pictures_before", (double)run->totals.n_before};
    if (options->store) numbers[n++] = (struct run_number){"counts", "n_pictures_stored", (double)run->totals.n_stored};
    return n;
}

void evaluation_close(struct evaluation *run, const char *error) {
    output_close(run->output, error);
    network_close_store(&run->store, error ? FILTAGS_ERROR_INTERNAL : FILTAGS_OK); /* a message that there is stays */
    tally_free(&run->tally);
    predictions_destroy(run->predictions);
    filtags_engine_destroy(run->engine);
    network_close(&run->network);
    class_index_free(&run->index);
    filtags_dataset_close(run->dataset);
    tag_file_close(&run->tags);
    run_record_free(&run->record);
    picture_list_free(&run->pictures);
}
