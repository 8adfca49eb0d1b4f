/* single_image.c - count the tags of every test picture of one class. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "report/tag_counts.h"
#include "steps/evaluation.h"
#include "steps/steps.h"

struct single_image_run {
    struct evaluation evaluation;
    size_t class_index;
    size_t *images; /* [n_images] pictures of the class that could be used */
    size_t n_images;
    char **names;              /* [n_labels] of the tags' labels, for people: "n02088364 beagle" */
    struct tag_totals *totals; /* [2 * n_selectors] all layers, last layer, for each selector */
};

/* ---------------------------------------------------------------- the class */

/* A number of a class, from 1; 0: it is none. */
static size_t number_of(const char *text, size_t n_classes) {
    char number[24];
    unsigned long value = strtoul(text, NULL, 10);
    snprintf(number, sizeof number, "%lu", value);
    return strcmp(text, number) == 0 && value <= n_classes ? value : 0;
}

/* --classes-img names one class, by number or label. Folders may have numbers as names, and then every class must have
 * a way to be named: the number counts. */
static filtags_status choose_class(struct single_image_run *run) {
    const filtags_dataset *dataset = run->evaluation.dataset;
    struct step *step = run->evaluation.step;
    const struct text_list *wanted = &step->options->classes_img;
    size_t n_classes = filtags_dataset_n_classes(dataset), labelled = n_classes;
    if (wanted->n != 1)
        return error_set(FILTAGS_ERROR_USAGE, "--classes-img: one class expected, found %zu", wanted->n);
    size_t number = number_of(wanted->items[0], n_classes);
    for (size_t i = 0; i < n_classes; i++) {
        if (strcmp(filtags_dataset_class_name(dataset, i), wanted->items[0]) == 0) labelled = i;
    }
    if (!number && labelled == n_classes) {
        return error_set(FILTAGS_ERROR_USAGE,
                         "--classes-img: number (1 to %zu) or label of one of the classes in %s expected, found '%s'",
                         n_classes, step->options->images_dir, wanted->items[0]);
    }
    run->class_index = number ? number - 1 : labelled;
    if (number && labelled < n_classes && labelled != run->class_index) {
        step_log(step, FILTAGS_LOG_WARNING,
                 "--classes-img %zu is taken for the class of that number, '%s'; the class labelled so is number %zu",
                 number, filtags_dataset_class_name(dataset, run->class_index), labelled + 1);
    }
    return FILTAGS_OK;
}

static const char *class_name(const struct single_image_run *run) {
    return filtags_dataset_class_name(run->evaluation.dataset, run->class_index);
}

static filtags_status keep_class(struct single_image_run *run) {
    struct picture_list *pictures = &run->evaluation.pictures;
    picture_list_keep_class(pictures, run->evaluation.dataset, true, run->class_index);
    if (pictures->n_files) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_DATA,
                     "%s: class %zu, '%s': test pictures expected, found none (--split %g keeps that share back; 1: "
                     "all)",
                     run->evaluation.step->options->images_dir, run->class_index + 1, class_name(run),
                     run->evaluation.step->options->split);
}

/* ---------------------------------------------------------------- names for people */

/* An output's wnid and label. */
struct output_name {
    const char *wnid, *label;
};

static int compare_names(const void *a, const void *b) {
    return strcmp(((const struct output_name *)a)->wnid, ((const struct output_name *)b)->wnid);
}

/* "n02088364 beagle", or the label alone where there is nothing to add. */
static char *name_for_people(const char *wnid, const char *label) {
    char *name = label && strcmp(label, wnid) != 0 ? memory_format("%s %s", wnid, label) : memory_copy_string(wnid);
    if (name) text_make_printable(name, strlen(name) + 1, name);
    return name;
}

static filtags_status name_labels(struct single_image_run *run) {
    const struct class_index *index = &run->evaluation.index;
    const struct tag_file *tags = &run->evaluation.tags;
    filtags_status status = FILTAGS_OK;
    struct output_name *outputs = memory_new(index->n, sizeof *outputs);
    run->names = memory_new(tags->n_labels, sizeof *run->names);
    if (!outputs || !run->names) status = FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; !status && i < index->n; i++)
        outputs[i] = (struct output_name){index->wnids[i], index->labels[i]};
    if (!status) qsort(outputs, index->n, sizeof *outputs, compare_names);
    for (size_t i = 0; !status && i < tags->n_labels; i++) {
        struct output_name wanted = {.wnid = tags->labels[i]};
        const struct output_name *found = bsearch(&wanted, outputs, index->n, sizeof *outputs, compare_names);
        run->names[i] = name_for_people(tags->labels[i], found ? found->label : NULL);
        if (!run->names[i]) status = FILTAGS_ERROR_MEMORY;
    }
    free(outputs);
    return status;
}

/* The number of the label that is the network's top-1; TAG_COUNTS_NO_LABEL: no tag has it. */
static uint32_t network_label(const struct single_image_run *run, const struct prediction *prediction) {
    const struct tag_file *tags = &run->evaluation.tags;
    const char *wnid = run->evaluation.index.wnids[prediction->top[0].output];
    for (size_t i = 0; i < tags->n_labels; i++) {
        if (strcmp(tags->labels[i], wnid) == 0) return (uint32_t)i;
    }
    return TAG_COUNTS_NO_LABEL;
}

/* ---------------------------------------------------------------- results */

static filtags_status add_up(struct single_image_run *run) {
    size_t n_totals = 2 * run->evaluation.tags.n_selectors;
    filtags_status status = FILTAGS_OK;
    if (!(run->totals = memory_new(n_totals, sizeof *run->totals))) return FILTAGS_ERROR_MEMORY;
    for (size_t t = 0; !status && t < n_totals; t++)
        status = tag_totals_create(run->evaluation.tags.n_labels, &run->totals[t]);
    for (size_t i = 0; !status && i < run->n_images; i++) {
        const struct prediction *prediction = predictions_get(run->evaluation.predictions, run->images[i]);
        uint32_t own = network_label(run, prediction);
        for (size_t t = 0; t < n_totals; t++)
            tag_totals_add(&run->totals[t], prediction->rankings[t].counts, prediction->rankings[t].n, own);
    }
    return status;
}

static filtags_status append_network(struct buffer *to, const struct single_image_run *run,
                                     const struct prediction *prediction) {
    const struct class_index *index = &run->evaluation.index;
    buffer_append_text(to, "network: ");
    for (size_t t = 0; t < prediction->n_top; t++) {
        uint32_t output = prediction->top[t].output;
        char *name = name_for_people(index->wnids[output], index->labels[output]);
        if (!name) return FILTAGS_ERROR_MEMORY;
        buffer_printf(to, "%s%s %.4f", t ? ", " : "", name, (double)prediction->top[t].probability);
        free(name);
    }
    buffer_append_text(to, "\n");
    return FILTAGS_OK;
}

static filtags_status append_picture(struct buffer *to, const struct single_image_run *run, size_t place) {
    const struct evaluation *evaluation = &run->evaluation;
    const struct prediction *prediction = predictions_get(evaluation->predictions, run->images[place]);
    char *file = name_for_people(evaluation->pictures.files[run->images[place]], NULL);
    if (!file) return FILTAGS_ERROR_MEMORY;
    buffer_printf(to, "\n\npicture %zu of %zu: %s\n", place + 1, run->n_images, file);
    free(file);
    filtags_status status = append_network(to, run, prediction);
    uint32_t own = network_label(run, prediction);
    for (size_t s = 0; s < evaluation->tags.n_selectors; s++) {
        const struct ranking *all = &prediction->rankings[2 * s], *last = &prediction->rankings[2 * s + 1];
        struct tag_counts halves[2] = {{all->counts, all->n}, {last->counts, last->n}};
        tag_counts_append(to, evaluation->tags.selectors[s], halves, (const char *const *)run->names,
                          evaluation->tags.n_labels, own);
    }
    return status;
}

static filtags_status append_totals(struct buffer *to, const struct single_image_run *run) {
    const struct tag_file *tags = &run->evaluation.tags;
    filtags_status status = FILTAGS_OK;
    text_append_count(to, "\n\ntotals of ", run->n_images, "picture");
    buffer_printf(to,
                  "\n"
                  "tags: how many tags have the label; first: for how many pictures it is the tags' first label;\n"
                  "agreed: for how many of these it is the network's top-1 label, too\n");
    for (size_t s = 0; !status && s < tags->n_selectors; s++)
        status = tag_totals_append(to, tags->selectors[s], &run->totals[2 * s], (const char *const *)run->names);
    return status;
}

static filtags_status write_results(struct single_image_run *run) {
    struct buffer text = {0};
    char *name = name_for_people(class_name(run), NULL);
    if (!name) return FILTAGS_ERROR_MEMORY;
    buffer_printf(&text,
                  "Tags of the test pictures of class %zu, %s, by %s (filTags, single-image).\n"
                  "For each picture: the network's own prediction, with probabilities; and for each k and q, how many "
                  "of the tags\nof the most active filters (k filters, or q percent, of each layer; of the last layer "
                  "alone) have which label,\nmost frequent first. * is the network's top-1 label.\n",
                  run->class_index + 1, name, run->evaluation.network.name);
    free(name);
    filtags_status status = FILTAGS_OK;
    for (size_t i = 0; !status && i < run->n_images; i++) status = append_picture(&text, run, i);
    if (!status) status = append_totals(&text, run);
    if (!status && text.has_failed) status = FILTAGS_ERROR_MEMORY;
    if (!status) status = output_write_text(run->evaluation.output, "results.txt", buffer_text(&text));
    buffer_free(&text);
    return status;
}

static filtags_status write_info(struct single_image_run *run) {
    struct buffer text = {0};
    size_t number = run->class_index + 1;
    char *name = name_for_people(class_name(run), NULL);
    if (!name) return FILTAGS_ERROR_MEMORY;
    buffer_printf(&text,
                  "Predictions of %s for the test pictures of class X = %zu, %s, and those of the tags (filTags, "
                  "single-image).\n\n"
                  "The -varsX.pkl file has the form of step 3's, with one pickle a variable in the order of "
                  "-varsX-names.pkl:\n\n",
                  run->evaluation.network.name, number, name);
    free(name);
    evaluation_append_info(&run->evaluation, &text);
    return step_write_info(run->evaluation.output, &text);
}

/* ---------------------------------------------------------------- the step */

static filtags_status report(const struct single_image_run *run, double total_sec) {
    const struct evaluation *evaluation = &run->evaluation;
    const struct tag_file *tags = &evaluation->tags;
    struct buffer *to = &evaluation->step->run->report;
    char *name = name_for_people(class_name(run), NULL);
    if (!name) return FILTAGS_ERROR_MEMORY;
    buffer_printf(to, "tags of class %zu, %s, by %s: ", run->class_index + 1, name, evaluation->network.name);
    text_append_count(to, "", run->n_images, "test picture");
    text_append_count(to, ", ", tags->n_k, "value");
    buffer_printf(to, " of k and %zu of q", tags->n_selectors - tags->n_k);
    free(name);
    picture_list_report_time(&evaluation->pictures, &evaluation->totals, total_sec, to);
    picture_list_report(&evaluation->pictures, &evaluation->totals, to);
    tag_totals_append_summary(to, tags->selectors, tags->n_selectors, run->totals, (const char *const *)run->names);
    return FILTAGS_OK;
}

static filtags_status write_files(struct single_image_run *run) {
    struct evaluation *evaluation = &run->evaluation;
    struct run_number numbers[EVALUATION_MOST_NUMBERS];
    filtags_status status = evaluation_describe(evaluation, "single-image");
    if (!status) status = evaluation_load_class(evaluation, run->class_index, &run->images, &run->n_images);
    if (!status) status = name_labels(run);
    if (!status) status = add_up(run);
    if (!status) status = write_results(run);
    if (!status) status = evaluation_write_class(evaluation, run->class_index, run->images, run->n_images);
    if (!status) status = write_info(run);
    if (!status) status = report(run, output_elapsed_sec(evaluation->output));
    if (status) return status;
    size_t n_numbers = evaluation_list_numbers(evaluation, 1, numbers);
    return step_close_output(evaluation->step, &evaluation->output, &evaluation->record, numbers, n_numbers);
}

static void close_run(struct single_image_run *run, filtags_status status) {
    const struct tag_file *tags = &run->evaluation.tags;
    for (size_t t = 0; run->totals && t < 2 * tags->n_selectors; t++) tag_totals_free(&run->totals[t]);
    for (size_t i = 0; run->names && i < tags->n_labels; i++) free(run->names[i]);
    free(run->totals);
    free(run->names);
    free(run->images);
    evaluation_close(&run->evaluation, status ? filtags_error_message() : NULL);
}

filtags_status step_single_image(struct step *step) {
    struct single_image_run run = {0};
    filtags_status status = evaluation_open(step, &run.evaluation);
    if (!status) status = choose_class(&run);
    if (!status) status = keep_class(&run);
    if (!status) status = evaluation_open_output(&run.evaluation, "SI");
    if (!status) status = evaluation_run(&run.evaluation, "single-image");
    if (!status) status = write_files(&run);
    close_run(&run, status);
    return status;
}
