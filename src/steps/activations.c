/* activations.c - step 1: the class activations of every filter. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/isa.h"
#include "steps/network.h"
#include "steps/picture_list.h"
#include "steps/progress.h"
#include "steps/runner.h"
#include "steps/shards.h"
#include "steps/steps.h"
#include "steps/teamwork.h"
#include "steps/top_images.h"
#include "store/pickle.h"

struct activations_run {
    struct step *step;
    struct network network;
    filtags_dataset *dataset;
    filtags_engine *engine;
    struct picture_store *store; /* NULL: none */
    struct output *output;
    struct picture_list pictures; /* train pictures */
    struct tally sums;
    struct progress *progress;
    struct runner_totals totals;
};

static filtags_status add_to_sums(void *context, size_t thread, size_t index, const filtags_activation *activations,
                                  const float *outputs) {
    (void)thread, (void)outputs;
    tally_take(context, index, activations);
    return FILTAGS_OK;
}

static filtags_status create_sums(struct activations_run *run) {
    const struct picture_list *pictures = &run->pictures;
    filtags_status status = tally_create(pictures->n_files, pictures->class_of, pictures->is_bad, &run->sums);
    if (status) return status;
    return tally_add_sums(&run->sums, filtags_dataset_n_classes(run->dataset),
                          filter_table_n_filters(&run->network.table), (size_t)run->step->options->top_images);
}

static filtags_status compute(struct activations_run *run) {
    const filtags_options *options = run->step->options;
    size_t batch = runner_batch(options, run->network.shape);
    filtags_status status = network_open_store(&run->network, options, run->output, &run->store);
    if (!status && !run->store) status = network_open_engine(&run->network, options, batch, false, &run->engine);
    if (status) return status;
    size_t first, end;
    shard_range(options->shard, run->pictures.n_files, &first, &end);
    struct runner_job job = {.what = "activations",
                             .engine = run->engine,
                             .store = run->store,
                             .options = options,
                             .late_engine = &run->engine,
                             .network = &run->network,
                             .preprocess = run->network.preprocess,
                             .images_dir = options->images_dir,
                             .files = run->pictures.files,
                             .n_files = run->pictures.n_files,
                             .n_threads = options_n_threads(options),
                             .batch = batch,
                             /* the store gets what a later evaluation needs, too */
                             .wants_output = run->store && network_gives_vector(&run->network),
                             .is_strict = options->strict,
                             .is_isolated = options->isolate,
                             .output = run->output,
                             .callbacks = run->step->callbacks,
                             .take = add_to_sums,
                             .context = &run->sums,
                             .is_part = true,
                             .first = first,
                             .end = end,
                             .tally = &run->sums,
                             .after_batch = progress_tick,
                             .after_batch_context = run->progress,
                             .is_bad = run->pictures.is_bad};
    status = teamwork_run(run->step->team, &job, run->progress, &run->totals);
    return network_close_store(&run->store, status);
}

static filtags_status check_classes(struct activations_run *run) {
    for (size_t i = 0; i < run->sums.n_classes; i++) {
        if (run->sums.n_images[i] > 0) continue;
        const char *name = filtags_dataset_class_name(run->dataset, i);
        if (run->step->options->strict) {
            return error_set(FILTAGS_ERROR_DATA, "%s/%s: a readable train picture expected in every class, found none",
                             run->step->options->images_dir, name);
        }
        output_log(run->output, FILTAGS_LOG_WARNING,
                   "class %zu, '%s', has no readable train picture: it gets no activations and no tags", i + 1, name);
    }
    return FILTAGS_OK;
}

/* ---------------------------------------------------------------- files */

static void write_train_files(struct pickle_writer *pickle, const struct activations_run *run) {
    pickle_list_open(pickle);
    for (size_t i = 0; i < run->pictures.n_files; i++) {
        if (!run->pictures.is_bad[i]) pickle_str(pickle, run->pictures.files[i]);
    }
    pickle_list_close(pickle);
}

static void write_test_files(struct pickle_writer *pickle, const struct activations_run *run) {
    pickle_list_open(pickle);
    for (size_t i = 0; i < filtags_dataset_n_test(run->dataset); i++)
        pickle_str(pickle, filtags_dataset_test_file(run->dataset, i, NULL));
    pickle_list_close(pickle);
}

static void write_labels(struct pickle_writer *pickle, const struct activations_run *run) {
    pickle_dict_open(pickle);
    for (size_t i = 0; i < run->sums.n_classes; i++) {
        pickle_int(pickle, (int64_t)i + 1);
        pickle_str(pickle, filtags_dataset_class_name(run->dataset, i));
    }
    pickle_dict_close(pickle);
}

/* A list over layers of arrays over filters. row: room for the filters of the largest layer. */
static void write_class(struct pickle_writer *pickle, const struct activations_run *run, size_t class_index,
                        float *row) {
    const struct filter_table *table = &run->network.table;
    const int64_t *sums = run->sums.sums + class_index * run->sums.n_filters;
    uint64_t n_images = run->sums.n_images[class_index];
    pickle_list_open(pickle);
    for (size_t layer = 0; layer < table->n_layers; layer++) {
        size_t n = n_images ? table->n_filters[layer] : 0;
        for (size_t i = 0; i < n; i++) row[i] = class_activation(sums[table->first[layer] + i], n_images);
        pickle_array_float32(pickle, row, n);
    }
    pickle_list_close(pickle);
}

static filtags_status write_vars(struct activations_run *run) {
    struct pickle_writer pickle;
    FILE *stream;
    filtags_status status = output_start_file(run->output, "vars.pkl", &stream);
    if (status) return status;
    float *row = memory_new(run->sums.n_filters, sizeof *row);
    if (!row) return FILTAGS_ERROR_MEMORY;
    void (*const lists[])(struct pickle_writer *, const struct activations_run *) = {write_train_files,
                                                                                     write_test_files, write_labels};
    for (size_t i = 0; i < 3; i++) {
        pickle_begin(&pickle, stream);
        lists[i](&pickle, run);
        pickle_end(&pickle);
    }
    for (size_t i = 0; i < run->sums.n_classes; i++) {
        pickle_begin(&pickle, stream);
        write_class(&pickle, run, i, row);
        pickle_end(&pickle);
    }
    free(row);
    return output_end_file(run->output);
}

static filtags_status write_names(struct activations_run *run) {
    struct pickle_writer pickle;
    FILE *stream;
    char name[40];
    filtags_status status = output_start_file(run->output, "vars-names.pkl", &stream);
    if (status) return status;
    pickle_begin(&pickle, stream);
    pickle_list_open(&pickle);
    pickle_str(&pickle, "train_filenames");
    pickle_str(&pickle, "test_filenames");
    pickle_str(&pickle, "labels_id");
    for (size_t i = 0; i < run->sums.n_classes; i++) {
        snprintf(name, sizeof name, "filter_act_%zu", i + 1);
        pickle_str(&pickle, name);
    }
    pickle_list_close(&pickle);
    pickle_end(&pickle);
    return output_end_file(run->output);
}

static filtags_status write_info(struct activations_run *run, const struct run_record *record) {
    struct buffer text = {0};
    buffer_printf(
        &text,
        "Class activations of the filters of %s (filTags, step 1).\n\n"
        "The -vars.pkl file holds one pickle a variable, in the order of -vars-names.pkl. To load them in Python:\n\n"
        "    import pickle\n"
        "    with open('...-vars-names.pkl', 'rb') as f:\n"
        "        names = pickle.load(f)\n"
        "    with open('...-vars.pkl', 'rb') as f:\n"
        "        variables = {name: pickle.load(f) for name in names}\n\n"
        "train_filenames: list of str, the pictures used, 'class/file' below images_dir\n"
        "test_filenames: list of str, the pictures kept for the evaluation\n"
        "labels_id: dict, class number 1..%zu -> label (name of the class folder)\n"
        "filter_act_i: class i; filter_act_i[a][b] is the class activation, in [0, 1], of filter b of layer a:\n"
        "  a list over layers of float32 NumPy arrays over filters (empty arrays where no train picture could be "
        "read)\n\n",
        run->network.name, run->sums.n_classes);
    if (run->sums.top.n_top) {
        buffer_printf(&text,
                      "The -top.pkl file (names: -top-names.pkl) holds one variable more, to be loaded the same way:"
                      "\n\n"
                      "top_images: top_images[a][b] is, for filter b of layer a, a list of the (file, activation) of "
                      "the %zu train\n"
                      "  pictures that excite it most, strongest first; of equals the one that comes first in "
                      "train_filenames\n\n",
                      run->sums.top.n_top);
    }
    append_layer_lines(&text, record);
    return step_write_info(run->output, &text);
}

static filtags_status describe(const struct activations_run *run, struct run_record *record) {
    const filtags_options *options = run->step->options;
    record->command = memory_copy_string("activations");
    record->has_split = true;
    record->split = options->split;
    record->seed_rn = (uint32_t)options->seed_rn;
    record->limit = (size_t)options->limit;
    if (!record->command) return FILTAGS_ERROR_MEMORY;
    filtags_status status = path_absolute(options->images_dir, &record->images_dir);
    return status ? status : network_describe(&run->network, options, record);
}

static void report(const struct activations_run *run, double total_sec) {
    struct buffer *to = &run->step->run->report;
    const struct runner_totals *totals = &run->totals;
    buffer_printf(to, "activations of %s: ", run->network.name);
    text_append_count(to, "", run->sums.n_classes, "class");
    text_append_count(to, ", ", run->pictures.n_files - totals->n_bad, "train picture");
    text_append_count(to, ", ", run->network.table.n_layers, "layer");
    text_append_count(to, ", ", run->sums.n_filters, "filter");
    picture_list_report_time(&run->pictures, totals, total_sec, to);
    picture_list_report(&run->pictures, totals, to);
}

static filtags_status write_files(struct activations_run *run) {
    struct run_record record = {0};
    struct step *step = run->step;
    struct run_number numbers[15] = {{"counts", "n_classes", (double)run->sums.n_classes},
                                     {"counts", "n_train", (double)run->pictures.n_all},
                                     {"counts", "n_test", (double)filtags_dataset_n_test(run->dataset)},
                                     {"counts", "n_pictures_run", (double)run->pictures.n_files},
                                     {"counts", "n_pictures_bad", (double)run->totals.n_bad},
                                     {"counts", "n_filters", (double)run->sums.n_filters},
                                     {"counts", "n_threads", (double)options_n_threads(step->options)},
                                     {"counts", "batch", (double)runner_batch(step->options, run->network.shape)},
                                     {"timings_sec", "decode_all_threads", run->totals.decode_sec},
                                     {"timings_sec", "network_all_threads", run->totals.network_sec},
                                     {"timings_sec", "pictures", run->totals.elapsed_sec}};
    size_t n_numbers = 11;
    if (run->sums.top.n_top)
        numbers[n_numbers++] = (struct run_number){"counts", "n_top_images", (double)run->sums.top.n_top};
    if (run->totals.n_before)
        numbers[n_numbers++] = (struct run_number){"counts", "n_pictures_before", (double)run->totals.n_before};
    if (step->team)
        numbers[n_numbers++] = (struct run_number){"counts", "n_processes", (double)teamwork_n_processes(step->team)};
    if (step->options->store)
        numbers[n_numbers++] = (struct run_number){"counts", "n_pictures_stored", (double)run->totals.n_stored};
    filtags_status status = describe(run, &record);
    if (!status) status = write_vars(run);
    if (!status) status = write_names(run);
    if (!status && run->sums.top.n_top)
        status = top_keeper_write(&run->sums.top, &run->network.table, run->pictures.files, run->pictures.n_files,
                                  run->output);
    if (!status) status = write_info(run, &record);
    if (!status) {
        report(run, output_elapsed_sec(run->output));
        status = step_close_output(step, &run->output, &record, numbers, n_numbers);
    }
    run_record_free(&record);
    return status;
}

/* ---------------------------------------------------------------- the step */

/* A class index that doesn't fit is better found now than after the pictures. */
static filtags_status check_class_index(const struct activations_run *run) {
    struct class_index index;
    const char *path = run->step->options->class_index;
    if (!path) return FILTAGS_OK;
    filtags_status status = class_index_open(path, &run->network, run->dataset, &index);
    if (!status) class_index_free(&index);
    return status;
}

static void log_start(const struct activations_run *run) {
    const filtags_options *options = run->step->options;
    output_log(run->output, FILTAGS_LOG_INFO,
               "network %s (%s), input %zux%zux%zu, %zu layers, %zu filters, instruction set %s", run->network.name,
               run->network.path, run->network.shape[0], run->network.shape[1], run->network.shape[2],
               run->network.table.n_layers, run->network.table.first[run->network.table.n_layers],
               isa_name(run->network.isa));
    output_log(run->output, FILTAGS_LOG_INFO,
               "%s: %zu classes, %zu train and %zu test pictures (split %g, seed %llu), %zu to run",
               options->images_dir, filtags_dataset_n_classes(run->dataset), run->pictures.n_all,
               filtags_dataset_n_test(run->dataset), options->split, (unsigned long long)options->seed_rn,
               run->pictures.n_files);
}

/* In front of the pictures: what was done of them before. It is the leader's. */
static filtags_status open_progress(struct activations_run *run) {
    struct progress_key key = {0};
    filtags_status status =
        progress_key_begin(run->step, "QFA", &run->network, run->dataset, &run->pictures, &key);
    buffer_printf(&key.text, "top-images %llu\n", (unsigned long long)run->step->options->top_images);
    if (!status) status = teamwork_tell_key(run->step->team, buffer_text(&key.text));
    if (!status && run->step->parts) status = shard_parts_check(run->step->parts, &key);
    else if (!status && !teamwork_is_helper(run->step->team))
        status = progress_open(run->step, "QFA", run->network.name, "-vars.pkl", &key, &run->progress);
    progress_key_free(&key);
    return status;
}

static void close_run(struct activations_run *run, filtags_status status) {
    output_close(run->output, status ? filtags_error_message() : NULL);
    network_close_store(&run->store, status);
    filtags_engine_destroy(run->engine);
    network_close(&run->network);
    filtags_dataset_close(run->dataset);
    tally_free(&run->sums);
    picture_list_free(&run->pictures);
}

static filtags_status run_pictures(struct activations_run *run) {
    filtags_status status = step_open_output(run->step, "QFA", run->network.name, &run->output);
    if (!status) status = create_sums(run);
    if (status) return status;
    log_start(run);
    if (run->step->parts) {
        status = shard_parts_load(run->step->parts, run->output, &run->sums);
        run->totals.n_bad = run->sums.n_bad;
    } else {
        status = progress_start(run->progress, run->output, &run->sums);
        if (!status) status = compute(run);
        if (!status && run->step->options->shard.n)
            return shard_finish(run->step, run->progress, run->output, &run->sums);
    }
    if (!status) status = check_classes(run);
    return status ? status : write_files(run);
}

/* Pictures for the leader, and nothing else. */
static filtags_status help_with_pictures(struct activations_run *run) {
    filtags_status status = output_open_silent(run->step->options->save_dir, &run->output);
    if (!status) status = create_sums(run);
    return status ? status : compute(run);
}

static filtags_status do_pictures(struct activations_run *run) {
    if (teamwork_is_helper(run->step->team)) return help_with_pictures(run);
    if (run->progress && progress_is_finished(run->progress)) return progress_report_finished(run->progress);
    return run_pictures(run);
}

filtags_status step_activations(struct step *step) {
    const filtags_options *options = step->options;
    struct activations_run run = {.step = step};
    filtags_status status =
        filtags_dataset_open(options->images_dir, options->split, (uint32_t)options->seed_rn, &run.dataset);
    if (!status) status = network_open(options, step->callbacks, &run.network);
    if (!status) status = check_class_index(&run);
    if (!status) status = picture_list_create(run.dataset, false, (size_t)options->limit, &run.pictures);
    if (!status) status = open_progress(&run);
    if (!status) status = do_pictures(&run);
    status = progress_end(&run.progress, status, step->keeps_progress);
    step->kept_progress = run.progress;
    close_run(&run, status);
    return status;
}
