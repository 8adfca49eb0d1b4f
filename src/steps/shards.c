#include "steps/shards.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "steps/progress_file.h"

struct part {
    const char *path;
    struct progress_file *file;
    struct progress_head head;
    struct progress_texts texts;
};

struct shard_parts {
    struct part *items; /* [n] in the order of the shards, once they are checked */
    size_t n;
};

/* ---------------------------------------------------------------- a shard */

void shard_range(struct shard shard, size_t n_pictures, size_t *first, size_t *end) {
    *first = shard.n ? (size_t)((unsigned __int128)n_pictures * (shard.i - 1) / shard.n) : 0;
    *end = shard.n ? (size_t)((unsigned __int128)n_pictures * shard.i / shard.n) : n_pictures;
}

void shard_suffix(struct shard shard, char suffix[SHARD_SUFFIX_BYTES]) {
    snprintf(suffix, SHARD_SUFFIX_BYTES, "shard-%zu-of-%zu.part", shard.i, shard.n);
}

filtags_status shard_finish(struct step *step, struct progress *progress, struct output *output,
                            const struct tally *tally) {
    char suffix[SHARD_SUFFIX_BYTES];
    shard_suffix(step->options->shard, suffix);
    char *path = output_path(output, suffix);
    if (!path) return FILTAGS_ERROR_MEMORY;
    output_log(output, FILTAGS_LOG_INFO, "shard %zu of %zu done in %.2f s: %zu pictures", step->options->shard.i,
               step->options->shard.n, output_elapsed_sec(output), tally->n_done);
    buffer_printf(&step->run->report, "shard %zu of %zu: %zu pictures in %.1f s; next: filtags merge, with all parts\n",
                  step->options->shard.i, step->options->shard.n, tally->n_done, output_elapsed_sec(output));
    if (tally->n_bad)
        buffer_printf(&step->run->report, "  %zu pictures could not be used: see the warnings log\n", tally->n_bad);
    filtags_status status = progress_publish_part(progress);
    if (!status) status = run_add_file(step->run, path);
    free(path);
    return status;
}

/* ---------------------------------------------------------------- checking parts */

/* The first line in which two keys differ, by name. */
static filtags_status compare_keys(const char *path, const char *expected_of, const char *found, const char *expected) {
    while (*found || *expected) {
        const size_t n_found = strcspn(found, "\n"), n_expected = strcspn(expected, "\n");
        if (n_found != n_expected || memcmp(found, expected, n_found) != 0)
            return error_set(FILTAGS_ERROR_DATA, "%s: '%.*s' expected, as in %s, found '%.*s'", path,
                             (int)n_expected, expected, expected_of, (int)n_found, found);
        found += n_found + (found[n_found] == '\n');
        expected += n_expected + (expected[n_expected] == '\n');
    }
    return FILTAGS_OK;
}

filtags_status shard_parts_check(const struct shard_parts *parts, const struct progress_key *key) {
    if (key->text.has_failed) return FILTAGS_ERROR_MEMORY;
    return compare_keys("what is there now", parts->items[0].path, buffer_text(&key->text), parts->items[0].texts.key);
}

static int compare_parts(const void *a, const void *b) {
    const struct part *one = a, *other = b;
    return one->head.shard < other->head.shard ? -1 : one->head.shard > other->head.shard;
}

/* The parts are sorted. */
static filtags_status report_missing(const struct shard_parts *parts) {
    struct buffer missing = {0};
    size_t n_missing = 0, place = 0;
    for (size_t i = 1; i <= parts->items[0].head.n_shards; i++) {
        if (place < parts->n && parts->items[place].head.shard == i) place++;
        else if (++n_missing <= 20) buffer_printf(&missing, "%s%zu", missing.size_bytes ? ", " : "", i);
    }
    filtags_status status =
        error_set(FILTAGS_ERROR_DATA, "parts of %zu shards expected, found %zu: shard%s %s%s missing",
                  (size_t)parts->items[0].head.n_shards, parts->n, n_missing > 1 ? "s" : "", buffer_text(&missing),
                  n_missing > 20 ? ", ... are" : n_missing > 1 ? " are" : " is");
    buffer_free(&missing);
    return status;
}

static filtags_status check_parts(struct shard_parts *parts) {
    const struct part *first = &parts->items[0];
    for (size_t i = 1; i < parts->n; i++) {
        const struct part *part = &parts->items[i];
        if (part->head.n_shards != first->head.n_shards)
            return error_set(FILTAGS_ERROR_DATA, "%s: a shard of %zu expected, as in %s, found one of %zu", part->path,
                             (size_t)first->head.n_shards, first->path, (size_t)part->head.n_shards);
        filtags_status status = compare_keys(part->path, first->path, part->texts.key, first->texts.key);
        if (status) return status;
    }
    qsort(parts->items, parts->n, sizeof *parts->items, compare_parts);
    for (size_t i = 1; i < parts->n; i++) {
        if (parts->items[i].head.shard == parts->items[i - 1].head.shard)
            return error_set(FILTAGS_ERROR_DATA, "%s and %s: different shards expected, found shard %zu twice",
                             parts->items[i - 1].path, parts->items[i].path, (size_t)parts->items[i].head.shard);
    }
    return parts->n == parts->items[0].head.n_shards ? FILTAGS_OK : report_missing(parts);
}

filtags_status shard_parts_load(struct shard_parts *parts, struct output *output, struct tally *tally) {
    for (size_t i = 0; i < parts->n; i++) {
        const struct part *part = &parts->items[i];
        const size_t n_before = tally->n_done;
        size_t first, end;
        shard_range((struct shard){(size_t)part->head.shard, (size_t)part->head.n_shards}, tally->n_pictures, &first,
                    &end);
        filtags_status status = progress_file_load(part->file, tally);
        if (status) return status;
        if (tally->n_done - n_before != end - first)
            return error_set(FILTAGS_ERROR_DATA, "%s: %zu pictures expected, found %zu: the shard isn't done",
                             part->path, end - first, tally->n_done - n_before);
    }
    for (size_t i = 0; i < tally->n_bad; i++)
        output_log(output, FILTAGS_LOG_WARNING, "%s (the picture is left out)", tally->bad[i].reason);
    return FILTAGS_OK;
}

/* ---------------------------------------------------------------- merge */

static filtags_status open_parts(const struct text_list *paths, struct shard_parts *parts) {
    filtags_status status = FILTAGS_OK;
    parts->items = memory_new(paths->n, sizeof *parts->items);
    if (!parts->items) return FILTAGS_ERROR_MEMORY;
    for (; !status && parts->n < paths->n; parts->n++) {
        struct part *part = &parts->items[parts->n];
        part->path = paths->items[parts->n];
        status = progress_file_open_part(part->path, &part->head, &part->texts, &part->file);
    }
    return status ? status : check_parts(parts);
}

/* The command of the shards, with its options. */
static filtags_status derive_command(const struct step *step, const struct part *part, filtags_options **options) {
    const char *at = part->texts.options, *end = at + part->texts.n_options_bytes;
    const bool is_evaluation = strcmp(part->head.kind, "E") == 0;
    if (!is_evaluation && strcmp(part->head.kind, "QFA") != 0)
        return error_set(FILTAGS_ERROR_FORMAT, "%s: a part of step 1 or 3 expected, found one of '%s'", part->path,
                         part->head.kind);
    filtags_status status = filtags_options_create(is_evaluation ? "evaluate" : "activations", options);
    while (!status && at < end) {
        const char *name = at, *value = name + strlen(name) + 1;
        if (value >= end)
            return error_set(FILTAGS_ERROR_FORMAT, "%s: names and values of options expected", part->path);
        const enum option_id id = option_id_find(command_row((*options)->command), name);
        status = id == OPTION_NONE ? error_set(FILTAGS_ERROR_FORMAT, "%s: '%s' is no option of %s", part->path, name,
                                               (*options)->command->name)
                                   : options_set(*options, id, value);
        at = value + strlen(value) + 1;
    }
    static const enum option_id own[] = {OPTION_SAVE_DIR, OPTION_TIME_DELTA};
    for (size_t i = 0; !status && i < sizeof own / sizeof *own; i++)
        if (step->options->texts[own[i]]) status = options_set(*options, own[i], step->options->texts[own[i]]);
    if (status == FILTAGS_ERROR_USAGE) /* not the user's words, but the file's */
        status = error_set(FILTAGS_ERROR_FORMAT, "%s: %s", part->path, filtags_error_message());
    return status;
}

filtags_status step_merge(struct step *step) {
    struct shard_parts parts = {0};
    filtags_options *options = NULL;
    filtags_status status = open_parts(&step->options->arguments, &parts);
    if (!status) status = derive_command(step, &parts.items[0], &options);
    if (!status) {
        struct step merged = {
            .options = options, .callbacks = step->callbacks, .run = step->run, .parts = &parts};
        const bool is_evaluation = strcmp(parts.items[0].head.kind, "E") == 0;
        status = is_evaluation ? step_evaluate(&merged) : step_activations(&merged);
        buffer_free(&merged.early_warnings);
    }
    for (size_t i = 0; i < parts.n; i++) progress_file_close(parts.items[i].file);
    free(parts.items);
    filtags_options_destroy(options);
    return status;
}
