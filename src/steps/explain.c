/* explain.c - explain the classification of single pictures: what the network predicts, what the tags predict, and the
 * filters that carry that. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/isa.h"
#include "report/explain_page.h"
#include "report/explain_text.h"
#include "steps/evaluation.h"
#include "steps/explanation.h"

/* Of the page: a picture's longer side and a heat map's; and how many pictures, of which each may be some megabytes. */
enum { PICTURE_SIDE = 720, MAP_SIDE = 112, MOST_PICTURES = 100 };

struct explain_run {
    struct evaluation base; /* tags, network, output; the pictures are ours */
    struct label_names names;
    size_t batch;
    struct explained_picture *pictures; /* [n_files], [n_good] once those that can't be used are gone */
    size_t n_files, n_good;
    bool *is_bad; /* [n_files] */
    struct heat_maps maps;
    struct explained explained;
};

/* ---------------------------------------------------------------- before the pictures */

/* Where no class index tells what the outputs are called, step 1's class folders may, if they are still there. */
static filtags_status name_outputs(struct explain_run *run) {
    struct evaluation *base = &run->base;
    const filtags_options *options = base->step->options;
    const bool is_told = options->class_index || (base->network.known && base->network.known->n_classes ==
                                                                             base->network.n_outputs);
    filtags_status status = FILTAGS_OK;
    if (!is_told && base->record.images_dir)
        status = filtags_dataset_open(base->record.images_dir, 0, 0, &base->dataset);
    if (status == FILTAGS_ERROR_MEMORY) return status;
    if (status) base->dataset = NULL; /* a folder that is gone names nothing */
    status = class_index_open(options->class_index, &base->network, base->dataset, &base->index);
    if (status || is_told) return status;
    if (base->index.is_assumed) {
        step_log(base->step, FILTAGS_LOG_WARNING,
                 "no --class-index: the network's %zu outputs are assumed to be the class folders in their order",
                 base->index.n);
    } else {
        step_log(base->step, FILTAGS_LOG_WARNING,
                 "no --class-index: the network's outputs are called by their numbers, and agree with no tag");
    }
    return FILTAGS_OK;
}

/* A network whose outputs are named, but none as a tag is: it can't agree. */
static void warn_of_labels(const struct explain_run *run) {
    for (size_t i = 0; i < run->names.n_outputs; i++)
        if (run->names.label_of_output[i] != UINT32_MAX) return;
    if (run->base.dataset || run->base.step->options->class_index)
        output_log(run->base.output, FILTAGS_LOG_WARNING,
                   "no tag is named like an output of the network ('%s', ...): they can't agree",
                   run->base.index.wnids[0]);
}

static filtags_status list_pictures(struct explain_run *run) {
    const struct text_list *arguments = &run->base.step->options->arguments;
    if (arguments->n > MOST_PICTURES)
        return error_set(FILTAGS_ERROR_USAGE, "at most %d pictures expected, found %zu", MOST_PICTURES, arguments->n);
    run->pictures = memory_new(arguments->n, sizeof *run->pictures);
    run->is_bad = memory_new(arguments->n, sizeof *run->is_bad);
    if (!run->pictures || !run->is_bad) return FILTAGS_ERROR_MEMORY;
    run->n_files = arguments->n;
    const size_t batch = runner_batch(run->base.step->options, run->base.network.shape);
    run->batch = batch < run->n_files ? batch : run->n_files;
    return FILTAGS_OK;
}

/* ---------------------------------------------------------------- pictures */

/* Threads write to places of their own. */
static filtags_status take_picture(void *context, size_t thread, size_t index, const filtags_activation *activations,
                                   const float *outputs) {
    struct explain_run *run = context;
    struct explained_picture *picture = &run->pictures[index];
    const size_t n_filters = run->base.tags.table.first[run->base.tags.table.n_layers];
    const size_t n_outputs = run->base.network.n_outputs;
    (void)thread;
    picture->activations = memory_new(n_filters, sizeof *picture->activations);
    if (!picture->activations) return FILTAGS_ERROR_MEMORY;
    memcpy(picture->activations, activations, n_filters * sizeof *activations);
    picture->n_top = n_outputs < EXPLANATION_MOST_TOP ? n_outputs : EXPLANATION_MOST_TOP;
    top_outputs(outputs, n_outputs, picture->n_top, picture->top);
    for (size_t i = 0; i < picture->n_top; i++) picture->probability[i] = outputs[picture->top[i]];
    return FILTAGS_OK;
}

/* The error says why by itself: whoever sees no more of a run than its last line has to be able to go on. */
static filtags_status report_no_picture(const struct explain_run *run, const struct bad_reason *reason) {
    if (run->n_files == 1) return error_set(FILTAGS_ERROR_DATA, "%s (it is the only picture)", reason->message);
    return error_set(FILTAGS_ERROR_DATA, "none of the %zu pictures could be used: see the warnings. The first: %s",
                     run->n_files, reason->message);
}

static filtags_status run_pictures(struct explain_run *run) {
    struct bad_reason reason = {0};
    const filtags_options *options = run->base.step->options;
    const struct runner_job job = {.what = "explain",
                                   .engine = run->base.engine,
                                   .network = &run->base.network,
                                   .preprocess = run->base.network.preprocess,
                                   .images_dir = ".",
                                   .files = (const char *const *)options->arguments.items,
                                   .n_files = run->n_files,
                                   .n_threads = options_n_threads(options),
                                   .batch = run->batch,
                                   .wants_output = true,
                                   .is_isolated = options->isolate,
                                   .output = run->base.output,
                                   .callbacks = run->base.step->callbacks,
                                   .take = take_picture,
                                   .context = run,
                                   .is_bad = run->is_bad,
                                   .reason = &reason};
    filtags_status status = runner_run(&job, &run->base.totals);
    for (size_t i = 0; i < run->n_files && !status; i++) {
        run->pictures[i].file = options->arguments.items[i];
        if (!run->is_bad[i]) run->pictures[run->n_good++] = run->pictures[i];
        else explained_picture_free(&run->pictures[i], 0);
        if (run->n_good <= i) run->pictures[i] = (struct explained_picture){0}; /* moved to the front */
    }
    if (!status && !run->n_good) status = report_no_picture(run, &reason);
    free(reason.message);
    return status;
}

static filtags_status explain_pictures(struct explain_run *run) {
    filtags_status status = FILTAGS_OK;
    size_t n_maps = 0;
    for (size_t i = 0; i < run->n_good && !status; i++) {
        status = explained_picture_explain(&run->pictures[i], &run->base.tags, &run->names);
        run->pictures[i].first_map = n_maps;
        n_maps += run->pictures[i].n_shown;
    }
    return status;
}

static void list_requests(const struct explain_run *run, const char **files, struct map_request *requests) {
    const struct filter_table *table = &run->base.tags.table;
    for (size_t i = 0; i < run->n_good; i++) {
        const struct explained_picture *picture = &run->pictures[i];
        size_t layer = 0;
        files[i] = picture->file;
        for (size_t f = 0; f < picture->n_shown; f++) { /* ascending */
            while (picture->shown[f] >= table->first[layer + 1]) layer++;
            requests[picture->first_map + f] = (struct map_request){i, layer, picture->shown[f] - table->first[layer]};
        }
    }
}

static filtags_status make_maps(struct explain_run *run) {
    const struct explained_picture *end = &run->pictures[run->n_good - 1];
    const size_t n_requests = end->first_map + end->n_shown;
    const char **files = memory_new(run->n_good, sizeof *files);
    struct map_request *requests = memory_new(n_requests, sizeof *requests);
    filtags_status status = files && requests ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
    if (!status) {
        list_requests(run, files, requests);
        const struct heat_map_job job = {.network = &run->base.network,
                                         .engine = run->base.engine,
                                         .engine_has_output = true,
                                         .options = run->base.step->options,
                                         .images_dir = ".",
                                         .files = files,
                                         .n_files = run->n_good,
                                         .requests = requests,
                                         .n_requests = n_requests,
                                         .map_side = MAP_SIDE,
                                         .thumbnail_side = PICTURE_SIDE,
                                         .output = run->base.output,
                                         .callbacks = run->base.step->callbacks};
        status = heat_maps_create(&job, &run->maps);
    }
    for (size_t i = 0; i < run->n_good && !status; i++)
        if (!run->maps.thumbnails[i].jpeg)
            status = error_set(FILTAGS_ERROR_IO, "%s: could be read once, but not again for its heat maps", files[i]);
    free(files);
    free(requests);
    return status;
}

/* ---------------------------------------------------------------- files */

static filtags_status write_page(struct explain_run *run) {
    FILE *stream;
    filtags_status status = output_start_file(run->base.output, ".html", &stream);
    if (status) return status;
    status = explain_page_write(stream, &run->explained, &run->base.index,
                                path_base(run->base.step->options->filtags_file), MAP_SIDE);
    return status ? status : output_end_file(run->base.output);
}

static void report(const struct explain_run *run) {
    struct buffer *to = &run->base.step->run->report;
    text_append_count(to, "explanation of ", run->n_good, "picture");
    buffer_printf(to, " by the tags of %s: ", run->base.network.name);
    text_append_count(to, "", run->base.tags.n_k, "value");
    buffer_printf(to, " of k and %zu of q\n", run->base.tags.n_selectors - run->base.tags.n_k);
    if (run->base.totals.n_bad)
        buffer_printf(to, "  %zu of %zu pictures could not be used: see the warnings log\n", run->base.totals.n_bad,
                      run->n_files);
    explain_text_append(to, &run->explained);
}

static filtags_status write_files(struct explain_run *run) {
    struct evaluation *base = &run->base;
    const filtags_options *options = base->step->options;
    const struct run_number numbers[] = {{"counts", "n_pictures_run", (double)run->n_files},
                                         {"counts", "n_pictures_bad", (double)base->totals.n_bad},
                                         {"counts", "n_k", (double)base->tags.n_k},
                                         {"counts", "n_q", (double)(base->tags.n_selectors - base->tags.n_k)},
                                         {"counts", "n_heat_maps", (double)run->maps.n_maps},
                                         {"counts", "n_threads", (double)options_n_threads(options)},
                                         {"counts", "batch", (double)run->batch},
                                         {"timings_sec", "decode_all_threads", base->totals.decode_sec},
                                         {"timings_sec", "network_all_threads", base->totals.network_sec},
                                         {"timings_sec", "pictures", base->totals.elapsed_sec}};
    filtags_status status = step_set_previous(&base->record, "explain", options->filtags_file);
    if (!status) status = network_describe(&base->network, options, &base->record);
    if (!status) status = write_page(run);
    if (status) return status;
    report(run);
    return step_close_output(base->step, &base->output, &base->record, numbers, sizeof numbers / sizeof *numbers);
}

/* ---------------------------------------------------------------- the step */

static void close_run(struct explain_run *run, filtags_status status) {
    for (size_t i = 0; run->pictures && i < run->n_files; i++)
        explained_picture_free(&run->pictures[i], run->base.tags.n_selectors);
    free(run->pictures);
    free(run->is_bad);
    heat_maps_free(&run->maps);
    label_names_free(&run->names);
    evaluation_close(&run->base, status ? filtags_error_message() : NULL);
}

static filtags_status open_output(struct explain_run *run) {
    struct evaluation *base = &run->base;
    filtags_status status = step_open_output(base->step, "EX", base->network.name, &base->output);
    if (status) return status;
    output_log(base->output, FILTAGS_LOG_INFO,
               "network %s (%s), %zu layers, %zu filters, %zu pictures, instruction set %s", base->network.name,
               base->network.path, base->network.table.n_layers,
               base->network.table.first[base->network.table.n_layers], run->n_files, isa_name(base->network.isa));
    warn_of_labels(run);
    return FILTAGS_OK;
}

filtags_status step_explain(struct step *step) {
    struct explain_run run = {0};
    filtags_status status = evaluation_open_network(step, &run.base);
    if (!status) status = name_outputs(&run);
    if (!status) status = label_names_create(&run.base.tags, &run.base.index, &run.names);
    if (!status) status = list_pictures(&run);
    if (!status) status = open_output(&run);
    if (!status)
        status = network_open_map_engine(&run.base.network, step->options, run.batch, true, &run.base.engine);
    if (!status) status = run_pictures(&run);
    if (!status) status = explain_pictures(&run);
    if (!status) status = make_maps(&run);
    run.explained = (struct explained){.tags = &run.base.tags,
                                       .network = &run.base.network,
                                       .names = &run.names,
                                       .pictures = run.pictures,
                                       .n_pictures = run.n_good,
                                       .maps = &run.maps};
    if (!status) status = write_files(&run);
    close_run(&run, status);
    return status;
}
