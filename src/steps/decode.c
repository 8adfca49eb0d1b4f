/* decode.c - words in place of wnids: n02088364 becomes beagle. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "labels/class_lines.h"
#include "labels/labels.h"
#include "steps/listing_file.h"
#include "steps/steps.h"
#include "steps/tag_file.h"
#include "store/pickle.h"

struct class_name {
    const char *wnid, *label;
};

/* The names that labels are decoded with. */
struct class_names {
    struct class_name *names; /* [n] by wnid, none twice */
    size_t n;
    struct class_lines lines; /* what they point into, unless they are ImageNet's */
};

struct decode_run {
    struct step *step;
    struct run_record record;
    struct tag_file tags;
    struct class_names names;
    const char *names_from;    /* where they are from, for people */
    const char **decoded;      /* [n_labels] what the tags' labels become; what has no name stays */
    const char **listed;       /* [n_labels] the same in the listing: shared ones with their wnid */
    char **with_wnid;          /* [n_labels] those of listed that are made here; NULL: none is */
    size_t n_kept, first_kept; /* labels without a name; the first of them */
    struct output *output;
};

/* ---------------------------------------------------------------- names */

static int compare_wnids(const void *a, const void *b) {
    return strcmp(((const struct class_name *)a)->wnid, ((const struct class_name *)b)->wnid);
}

static int compare_lines(const void *a, const void *b) {
    const struct class_line *left = a, *right = b;
    int order = strcmp(left->wnid, right->wnid);
    return order ? order : left->number < right->number ? -1 : left->number > right->number;
}

static filtags_status check_lines(const char *path, const struct class_lines *lines) {
    if (!lines->n) return error_set(FILTAGS_ERROR_DATA, "%s: lines of 'wnid label' expected, found none", path);
    for (size_t i = 0; i < lines->n; i++) {
        if (lines->lines[i].label) continue;
        return error_set(FILTAGS_ERROR_DATA, "%s: line %zu: a wnid and a label expected, found one word, '%.200s'",
                         path, lines->lines[i].number, lines->lines[i].wnid);
    }
    return FILTAGS_OK;
}

/* Lines by wnid become names; the same line twice does no harm. */
static filtags_status take_lines(const char *path, struct class_names *names) {
    struct class_line *lines = names->lines.lines;
    filtags_status status = check_lines(path, &names->lines);
    if (status) return status;
    if (!(names->names = memory_new(names->lines.n, sizeof *names->names))) return FILTAGS_ERROR_MEMORY;
    qsort(lines, names->lines.n, sizeof *lines, compare_lines);
    for (size_t i = 0; i < names->lines.n; i++) {
        if (i && strcmp(lines[i].wnid, lines[i - 1].wnid) == 0) {
            if (strcmp(lines[i].label, lines[i - 1].label) == 0) continue;
            return error_set(FILTAGS_ERROR_DATA,
                             "%s: line %zu: '%.200s' expected for %.200s, as in line %zu, found '%.200s'", path,
                             lines[i].number, lines[i - 1].label, lines[i].wnid, lines[i - 1].number, lines[i].label);
        }
        names->names[names->n++] = (struct class_name){lines[i].wnid, lines[i].label};
    }
    return FILTAGS_OK;
}

static filtags_status take_imagenet(struct class_names *names) {
    if (!(names->names = memory_new(IMAGENET_N_CLASSES, sizeof *names->names))) return FILTAGS_ERROR_MEMORY;
    for (; names->n < IMAGENET_N_CLASSES; names->n++) {
        const struct imagenet_class *imagenet = &imagenet_classes()[names->n];
        names->names[names->n] = (struct class_name){imagenet->wnid, imagenet->label};
    }
    qsort(names->names, names->n, sizeof *names->names, compare_wnids);
    return FILTAGS_OK;
}

static filtags_status open_names(struct decode_run *run) {
    const char *path = run->step->options->class_index;
    run->names_from = path ? path : "ImageNet's classes";
    if (!path) return take_imagenet(&run->names);
    filtags_status status = class_lines_read(path, &run->names.lines);
    return status ? status : take_lines(path, &run->names);
}

/* ---------------------------------------------------------------- decoding */

static int compare_labels(const void *a, const void *b) {
    const struct class_name *left = a, *right = b;
    int order = strcmp(left->label, right->label);
    return order ? order : strcmp(left->wnid, right->wnid);
}

/* Whether a label is that of different wnids. by_label: [n] by label, then wnid. */
static bool is_shared(const struct class_name *by_label, size_t n, const char *label) {
    size_t first = 0, end = n;
    while (first < end) { /* the first name that isn't before label */
        size_t middle = first + (end - first) / 2;
        if (strcmp(by_label[middle].label, label) < 0) first = middle + 1;
        else end = middle;
    }
    for (size_t i = first + 1; i < n && strcmp(by_label[i].label, label) == 0; i++) {
        if (strcmp(by_label[i].wnid, by_label[first].wnid) != 0) return true;
    }
    return false;
}

static filtags_status decode_labels(struct decode_run *run) {
    size_t n_labels = run->tags.n_labels;
    run->decoded = memory_new(n_labels, sizeof *run->decoded);
    if (!run->decoded) return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < n_labels; i++) {
        struct class_name wanted = {.wnid = run->tags.labels[i]};
        const struct class_name *name =
            bsearch(&wanted, run->names.names, run->names.n, sizeof *run->names.names, compare_wnids);
        run->decoded[i] = name ? name->label : run->tags.labels[i];
        if (name) continue;
        if (!run->n_kept++) run->first_kept = i;
    }
    return FILTAGS_OK;
}

/* In the listing, a label that several classes share - two of ImageNet's are called "crane" - comes with its wnid. What
 * is kept is a class of its own, and is written as it is. */
static filtags_status list_labels(struct decode_run *run) {
    size_t n_labels = run->tags.n_labels, n = run->names.n;
    struct class_name *by_label = memory_new(n + run->n_kept, sizeof *by_label);
    run->listed = memory_new(n_labels, sizeof *run->listed);
    run->with_wnid = memory_new(n_labels, sizeof *run->with_wnid);
    filtags_status status = by_label && run->listed && run->with_wnid ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
    if (!status) {
        memcpy(by_label, run->names.names, n * sizeof *by_label);
        for (size_t i = 0; i < n_labels; i++) {
            const char *label = run->tags.labels[i];
            if (run->decoded[i] == label) by_label[n++] = (struct class_name){label, label};
        }
        qsort(by_label, n, sizeof *by_label, compare_labels);
    }
    for (size_t i = 0; !status && i < n_labels; i++) {
        run->listed[i] = run->decoded[i];
        if (run->decoded[i] == run->tags.labels[i] || !is_shared(by_label, n, run->decoded[i])) continue;
        run->listed[i] = run->with_wnid[i] = memory_format("%s (%s)", run->decoded[i], run->tags.labels[i]);
        if (!run->with_wnid[i]) status = FILTAGS_ERROR_MEMORY;
    }
    free(by_label);
    return status;
}

static void warn_of_kept(struct decode_run *run) {
    if (!run->n_kept) return;
    output_log(run->output, FILTAGS_LOG_WARNING, "%zu of %zu labels have no name in %s and are kept: '%s'%s",
               run->n_kept, run->tags.n_labels, run->names_from, run->tags.labels[run->first_kept],
               run->n_kept > 1 ? ", ..." : "");
}

/* ---------------------------------------------------------------- files */

/* What the tags take in both files: a reference in the pickle, and the quoted label in the listing. */
static double estimate_bytes(const struct decode_run *run) {
    enum { REFERENCE_BYTES = 2, QUOTE_BYTES = 6, FILTER_BYTES = 8 }; /* ' beagle ', and 12:[] with pickle's marks */
    const size_t n_filters = filter_table_n_filters(&run->tags.table);
    double bytes = (double)(FILTER_BYTES * n_filters * run->tags.n_selectors);
    for (size_t s = 0; s < run->tags.n_selectors; s++) {
        const struct tag_table *tags = &run->tags.tags[s];
        for (uint64_t i = 0; i < tags->offset[n_filters]; i++)
            bytes += (double)(REFERENCE_BYTES + QUOTE_BYTES + strlen(run->listed[tags->labels[i]]));
    }
    return bytes;
}

/* The selectors [first, end), as tag's write_dict. */
static void write_dict(struct decode_run *run, FILE *stream, size_t first, size_t end, uint32_t *memos) {
    struct pickle_writer pickle;
    for (size_t i = 0; i < run->tags.n_labels; i++) memos[i] = UINT32_MAX;
    pickle_begin(&pickle, stream);
    pickle_dict_open(&pickle);
    for (size_t s = first; s < end; s++) {
        pickle_number(&pickle, run->tags.selectors[s].value);
        tag_table_write(&pickle, &run->tags.table, &run->tags.tags[s], run->decoded, memos);
    }
    pickle_dict_close(&pickle);
    pickle_end(&pickle);
}

static filtags_status write_vars(struct decode_run *run) {
    static const char *const names[] = {"filTags_k", "filTags_q"};
    FILE *stream;
    uint32_t *memos = memory_new(run->tags.n_labels, sizeof *memos);
    if (!memos) return FILTAGS_ERROR_MEMORY;
    filtags_status status = output_start_file(run->output, "vars.pkl", &stream);
    if (!status) {
        write_dict(run, stream, 0, run->tags.n_k, memos);
        write_dict(run, stream, run->tags.n_k, run->tags.n_selectors, memos);
        status = output_end_file(run->output);
    }
    free(memos);
    return status ? status : step_write_names(run->output, "vars-names.pkl", names, 2);
}

static filtags_status write_listing(struct decode_run *run) {
    FILE *stream;
    bool has_names = run->record.n_layers == run->tags.table.n_layers;
    filtags_status status = output_start_file(run->output, "listing.txt", &stream);
    if (status) return status;
    status = listing_write(stream, "listing.txt", &run->tags, run->listed,
                           has_names ? (const char *const *)run->record.layer_names : NULL);
    return status ? status : output_end_file(run->output);
}

static filtags_status write_info(struct decode_run *run) {
    struct buffer text = {0};
    buffer_printf(&text, "Tags of the filters of %s in words (filTags, decode).\n\n",
                  run->record.network ? run->record.network : "a network");
    tag_variables_append_info(&text);
    buffer_append_text(&text, "-listing.txt has the same as text, one filter a line; there, classes that share a label "
                              "have their wnid with it.\n\n");
    append_layer_lines(&text, &run->record);
    return step_write_info(run->output, &text);
}

static void report(const struct decode_run *run, double total_sec) {
    const struct filter_table *table = &run->tags.table;
    size_t n_filters = table->first[table->n_layers];
    unsigned long long n_tags = 0;
    for (size_t s = 0; s < run->tags.n_selectors; s++) n_tags += run->tags.tags[s].offset[n_filters];
    struct buffer *to = &run->step->run->report;
    buffer_printf(to, "decoded tags of %s: %zu of ", run->record.network ? run->record.network : "network",
                  run->tags.n_labels - run->n_kept);
    text_append_count(to, "", run->tags.n_labels, "label");
    text_append_count(to, " in words, ", n_filters, "filter");
    text_append_count(to, ", ", run->tags.n_k, "value");
    buffer_printf(to, " of k and %zu of q", run->tags.n_selectors - run->tags.n_k);
    text_append_count(to, ", ", n_tags, "tag");
    buffer_printf(to, "; %.1f s\n", total_sec);
}

static filtags_status write_files(struct decode_run *run) {
    const struct run_number numbers[] = {{"counts", "n_labels", (double)run->tags.n_labels},
                                         {"counts", "n_labels_kept", (double)run->n_kept},
                                         {"counts", "n_k", (double)run->tags.n_k},
                                         {"counts", "n_q", (double)(run->tags.n_selectors - run->tags.n_k)}};
    filtags_status status = write_vars(run);
    if (!status) status = write_listing(run);
    if (!status) status = write_info(run);
    if (status) return status;
    report(run, output_elapsed_sec(run->output));
    return step_close_output(run->step, &run->output, &run->record, numbers, sizeof numbers / sizeof *numbers);
}

/* ---------------------------------------------------------------- the step */

static void close_run(struct decode_run *run, filtags_status status) {
    output_close(run->output, status ? filtags_error_message() : NULL);
    for (size_t i = 0; run->with_wnid && i < run->tags.n_labels; i++) free(run->with_wnid[i]);
    free(run->with_wnid);
    free(run->listed);
    free(run->decoded);
    free(run->names.names);
    class_lines_free(&run->names.lines);
    tag_file_close(&run->tags);
    run_record_free(&run->record);
}

static filtags_status check_not_decoded(const char *path) {
    bool is_decoded;
    filtags_status status = tag_file_is_decoded(path, &is_decoded);
    if (status || !is_decoded) return status;
    return error_set(FILTAGS_ERROR_DATA, "%s: the tag file of step 2 expected, found one that is decoded already",
                     path);
}

filtags_status step_decode(struct step *step) {
    struct decode_run run = {.step = step};
    const char *path = step->options->filtags_file;
    filtags_status status = check_not_decoded(path);
    if (!status) status = step_inherit(step, path, &run.record);
    if (!status) status = step_set_previous(&run.record, "decode", path);
    if (!status) status = open_names(&run);
    if (!status) status = tag_file_open(step, path, &step->options->k_q, &run.tags);
    if (!status) status = decode_labels(&run);
    if (!status) status = list_labels(&run);
    if (!status)
        status = step_open_output(step, "TFD", run.record.network ? run.record.network : "network", &run.output);
    if (!status) {
        output_log(run.output, FILTAGS_LOG_INFO, "names of %zu classes from %s", run.names.n, run.names_from);
        warn_of_kept(&run);
        status = output_check_room(run.output, "the decoded tags", estimate_bytes(&run));
    }
    if (!status) status = write_files(&run);
    close_run(&run, status);
    return status;
}
