#include "steps/progress.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "steps/progress_file.h"
#include "steps/shards.h"

/* A file is written anew when this much of it, and half, is of no use any more. */
static const uint64_t most_superseded_bytes = 256 << 10;

struct progress {
    struct step *step;
    char *path, *kind, *network;
    struct progress_file *file;
    struct progress_head head; /* of the run that goes on */
    bool is_found, is_finished;
    char **finished; /* [n_finished] files of a finished run */
    size_t n_finished;
    char key_hex[HASH_HEX_BYTES];
    char *key_text;
    struct buffer options; /* that were given: names and values, each with a NUL behind it */
    struct output *output;
    struct tally *tally; /* NULL until the file and it agree */
    pthread_mutex_t lock; /* of the next three */
    bool is_saving;
    bool has_warned;
    double saved_sec; /* when it was saved last */
    bool must_rewrite; /* the tally believes to have told more than the file has */
};

/* ---------------------------------------------------------------- key */

/* Add to a hash of any length: blocks, each with the hash of those before it. */
static filtags_status fold(struct buffer *text, bool is_end) {
    enum { BLOCK_BYTES = 1 << 16 };
    uint8_t digest[HASH_DIGEST_BYTES];
    if (!is_end && text->size_bytes < BLOCK_BYTES) return FILTAGS_OK;
    if (text->has_failed) return FILTAGS_ERROR_MEMORY;
    filtags_status status = hash_bytes(buffer_text(text), text->size_bytes, digest);
    text->size_bytes = 0;
    if (!status) buffer_append(text, digest, sizeof digest);
    return status;
}

static void append_hex(struct buffer *to, const char *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) buffer_printf(to, "%02x", (unsigned char)bytes[i]);
}

/* The pictures that are run: names and sizes; and, apart, the times of their last change. One that can't be examined
 * has none: reading it will fail, or it has come back and is another. */
static filtags_status hash_pictures(const struct picture_list *pictures, const char *images_dir, struct buffer *names,
                                    struct buffer *times) {
    filtags_status status = FILTAGS_OK;
    for (size_t i = 0; !status && i < pictures->n_files; i++) {
        struct stat info = {.st_size = -1};
        char *path = path_join(images_dir, pictures->files[i]);
        if (!path) return FILTAGS_ERROR_MEMORY;
        if (stat(path, &info)) info = (struct stat){.st_size = -1};
        free(path);
        buffer_append(names, pictures->files[i], strlen(pictures->files[i]) + 1);
        buffer_printf(names, "%lld\n", (long long)info.st_size);
        buffer_printf(times, "%lld.%09ld\n", (long long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
        status = fold(names, false);
        if (!status) status = fold(times, false);
    }
    return status;
}

static filtags_status hash_dataset(const filtags_dataset *dataset, struct buffer *names) {
    filtags_status status = FILTAGS_OK;
    for (size_t i = 0; i < filtags_dataset_n_classes(dataset); i++) {
        const char *name = filtags_dataset_class_name(dataset, i);
        buffer_append(names, name, strlen(name) + 1);
    }
    for (size_t i = 0; !status && i < filtags_dataset_n_test(dataset); i++) {
        const char *file = filtags_dataset_test_file(dataset, i, NULL);
        buffer_append(names, file, strlen(file) + 1);
        status = fold(names, false);
    }
    return status;
}

filtags_status progress_key_begin(struct step *step, const char *kind, const struct network *network,
                                  const filtags_dataset *dataset, const struct picture_list *pictures,
                                  struct progress_key *key) {
    const filtags_options *options = step->options;
    struct buffer names = {0}, times = {0};
    char *images_dir = NULL;
    *key = (struct progress_key){0};
    filtags_status status = hash_dataset(dataset, &names);
    if (!status) status = hash_pictures(pictures, options->images_dir, &names, &times);
    if (!status) status = fold(&names, true);
    if (!status) status = fold(&times, true);
    if (!status) status = path_absolute(options->images_dir, &images_dir);
    buffer_printf(&key->text, "step %s\n", kind);
    network_append_profile(network, &key->text);
    buffer_printf(&key->text, "split %.17g\nseed-rn %" PRIu64 "\nlimit %" PRIu64 "\nclasses %zu\n", options->split,
                  options->seed_rn, options->limit, filtags_dataset_n_classes(dataset));
    buffer_printf(&key->text, "pictures %zu ", pictures->n_files);
    append_hex(&key->text, buffer_text(&names), names.size_bytes);
    buffer_printf(&key->place, "\nimages-dir %s\ntimes ", images_dir ? images_dir : "");
    append_hex(&key->place, buffer_text(&times), times.size_bytes);
    buffer_append_text(&key->text, "\n");
    buffer_printf(&key->place, "\nnetwork %s\nclass-index %s\n%s", network->name,
                  options->class_index ? options->class_index : "", step->pipeline_key ? step->pipeline_key : "");
    if (options->shard.n) buffer_printf(&key->place, "shard %zu/%zu\n", options->shard.i, options->shard.n);
    buffer_free(&names);
    buffer_free(&times);
    free(images_dir);
    return status;
}

void progress_key_free(struct progress_key *key) {
    buffer_free(&key->text);
    buffer_free(&key->place);
}

static filtags_status finish_key(struct progress *progress, const struct progress_key *key) {
    uint8_t digest[HASH_DIGEST_BYTES];
    struct buffer all = {0}, hex = {0};
    buffer_append_text(&all, buffer_text(&key->text));
    buffer_append_text(&all, buffer_text(&key->place));
    filtags_status status = all.has_failed || key->text.has_failed || key->place.has_failed
                                ? FILTAGS_ERROR_MEMORY
                                : hash_bytes(buffer_text(&all), all.size_bytes, digest);
    if (!status) append_hex(&hex, (const char *)digest, sizeof digest);
    if (!status && hex.has_failed) status = FILTAGS_ERROR_MEMORY;
    if (!status) memcpy(progress->key_hex, buffer_text(&hex), HASH_HEX_BYTES);
    progress->key_text = memory_copy_string(buffer_text(&key->text));
    buffer_free(&all);
    buffer_free(&hex);
    return status || progress->key_text ? status : FILTAGS_ERROR_MEMORY;
}

/* ---------------------------------------------------------------- opening */

/* What merge has to give the command anew. It may run in another folder. */
static filtags_status list_given_options(const filtags_options *options, struct buffer *list) {
    static const enum option_id of_no_matter[] = {OPTION_SAVE_DIR, OPTION_TIME_DELTA, OPTION_CHECKPOINT_INTERVAL,
                                                  OPTION_RESTART,  OPTION_STORE,      OPTION_THREADS,
                                                  OPTION_BATCH,    OPTION_QUIET,      OPTION_VERBOSE,
                                                  OPTION_SHARD};
    for (enum option_id id = 0; id < N_OPTIONS; id++) {
        const char *name = option_row(id)->name, *value = options->texts[id];
        bool is_wanted = value != NULL;
        for (size_t i = 0; i < sizeof of_no_matter / sizeof *of_no_matter; i++)
            is_wanted = is_wanted && of_no_matter[i] != id;
        if (!is_wanted) continue;
        char *absolute = option_row(id)->type == OPTION_IS_PATH ? realpath(value, NULL) : NULL;
        if (absolute) value = absolute;
        buffer_append(list, name, strlen(name) + 1);
        buffer_append(list, value, strlen(value) + 1);
        free(absolute);
    }
    return list->has_failed ? FILTAGS_ERROR_MEMORY : FILTAGS_OK;
}

static filtags_status name_file(struct progress *progress, const char *save_dir) {
    DIR *folder = opendir(save_dir);
    if (!folder) return error_set_errno(FILTAGS_ERROR_IO, "%s: --save-dir cannot be read", save_dir);
    closedir(folder);
    char *name =
        memory_format(".filtags-%s-%s-%.16s.progress", progress->kind, progress->network, progress->key_hex);
    progress->path = name ? path_join(save_dir, name) : NULL;
    free(name);
    return progress->path ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
}

/* What a kill left while the file was created or written anew. With the lock. */
static void remove_unfinished(const struct progress *progress, const char *save_dir) {
    const char *name = path_base(progress->path);
    const size_t n = strlen(name);
    DIR *folder = opendir(save_dir);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        const char *found = entry->d_name;
        const bool is_temporary = *found == '.' && strncmp(found + 1, name, n) == 0;
        if (!is_temporary && !(strncmp(found, name, n) == 0 && strcmp(found + n, ".new") == 0)) continue;
        char *path = path_join(save_dir, found);
        if (path) unlink(path);
        free(path);
    }
    if (folder) closedir(folder);
}

/* --restart: what another process has open, it keeps. */
static filtags_status discard_old(struct progress *progress) {
    bool was_there;
    filtags_status status = progress_file_discard(progress->path, &was_there);
    if (!status && was_there)
        step_log(progress->step, FILTAGS_LOG_INFO, "--restart: %s, what an earlier run had done, is discarded",
                 progress->path);
    return status;
}

/* A progress file of this name with another key: 64 bits of SHA-256 are equal, or somebody renamed it. */
static filtags_status check_head(const struct progress *progress) {
    if (strcmp(progress->head.key, progress->key_hex) == 0) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_FORMAT,
                     "%s: the progress of this command expected, found that of another (--restart discards it)",
                     progress->path);
}

/* In a pipeline the runID is that of its first step. */
static filtags_status adopt_run(struct progress *progress) {
    struct step *step = progress->step;
    if (step->is_part_of_run && strcmp(step->run_id, progress->head.run_id) != 0) {
        step_log(step, FILTAGS_LOG_INFO, "%s, of the run %s, is discarded: this is the run %s", progress->path,
                 progress->head.run_id, step->run_id);
        progress->is_found = false;
        return progress_file_clear(progress->file);
    }
    memcpy(step->own_run_id, progress->head.run_id, RUN_ID_BYTES);
    step->run_id = step->own_run_id;
    step->is_resumed = true;
    return FILTAGS_OK;
}

static void destroy(struct progress *progress) {
    progress_file_close(progress->file);
    for (size_t i = 0; i < progress->n_finished; i++) free(progress->finished[i]);
    free(progress->finished);
    free(progress->path);
    free(progress->kind);
    free(progress->network);
    free(progress->key_text);
    buffer_free(&progress->options);
    pthread_mutex_destroy(&progress->lock);
    free(progress);
}

filtags_status progress_open(struct step *step, const char *kind, const char *network, const char *main_suffix,
                             const struct progress_key *key, struct progress **result) {
    char suffix[SHARD_SUFFIX_BYTES];
    struct progress *progress = memory_new(1, sizeof *progress);
    if (!progress) return FILTAGS_ERROR_MEMORY;
    if (step->options->shard.n) {
        shard_suffix(step->options->shard, suffix);
        main_suffix = suffix;
    }
    pthread_mutex_init(&progress->lock, NULL);
    progress->step = step;
    progress->kind = memory_copy_string(kind);
    progress->network = memory_copy_string(network);
    filtags_status status = progress->kind && progress->network ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
    if (!status) status = finish_key(progress, key);
    if (!status) status = list_given_options(step->options, &progress->options);
    if (!status) status = name_file(progress, step->options->save_dir);
    if (!status && step->options->restart) status = discard_old(progress);
    if (!status) status = progress_file_open(progress->path, &progress->head, &progress->is_found, &progress->file);
    if (!status) remove_unfinished(progress, step->options->save_dir);
    if (!status && progress->is_found) status = check_head(progress);
    if (!status && progress->is_found) status = adopt_run(progress);
    if (!status && step->is_resumed)
        status = output_find_finished(step->options->save_dir, step->run_id, kind, main_suffix,
                                      &progress->finished, &progress->n_finished);
    if (status) {
        destroy(progress);
        return status;
    }
    progress->is_finished = progress->n_finished > 0;
    *result = progress;
    return FILTAGS_OK;
}

bool progress_is_finished(const struct progress *progress) { return progress->is_finished; }

filtags_status progress_report_finished(struct progress *progress) {
    struct step *step = progress->step;
    filtags_status status = FILTAGS_OK;
    step_log(step, FILTAGS_LOG_INFO, "the run %s was finished already", step->run_id);
    buffer_printf(&step->run->report, "%s: this was done already, by the run %s of the same command\n",
                  step->options->command->name, step->run_id);
    for (size_t i = 0; !status && i < progress->n_finished; i++)
        status = run_add_file(step->run, progress->finished[i]);
    return status;
}

/* ---------------------------------------------------------------- start */

static struct progress_texts list_texts(const struct progress *progress) {
    return (struct progress_texts){progress->key_text, progress->options.data, progress->options.size_bytes};
}

static filtags_status begin_file(struct progress *progress) {
    struct progress_head *head = &progress->head;
    snprintf(head->run_id, sizeof head->run_id, "%s", output_run_id(progress->output));
    memcpy(head->key, progress->key_hex, sizeof head->key);
    snprintf(head->kind, sizeof head->kind, "%s", progress->kind);
    head->shard = progress->step->options->shard.i;
    head->n_shards = progress->step->options->shard.n;
    const struct progress_texts texts = list_texts(progress);
    return progress_file_begin(progress->file, head, &texts);
}

/* The warnings of before, as the runner tells them. */
static void repeat_warnings(struct progress *progress, const struct tally *tally) {
    for (size_t i = 0; i < tally->n_bad; i++)
        output_log(progress->output, FILTAGS_LOG_WARNING, "%s (the picture is left out)", tally->bad[i].reason);
}

static filtags_status load(struct progress *progress, struct tally *tally) {
    char time_text[32];
    struct tm calendar;
    filtags_status status = progress_file_load(progress->file, tally);
    if (status) return status;
    const time_t saved = (time_t)progress->head.saved_sec;
    gmtime_r(&saved, &calendar);
    strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%SZ", &calendar);
    size_t first, end;
    shard_range(progress->step->options->shard, tally->n_pictures, &first, &end);
    output_log(progress->output, FILTAGS_LOG_INFO, "going on from %s: %zu of %zu pictures done", time_text,
               tally_n_done(tally), end - first);
    repeat_warnings(progress, tally);
    return FILTAGS_OK;
}

filtags_status progress_start(struct progress *progress, struct output *output, struct tally *tally) {
    progress->output = output;
    progress->saved_sec = clock_sec();
    filtags_status status = progress->is_found ? load(progress, tally) : begin_file(progress);
    if (!status) progress->tally = tally; /* a damaged file gets nothing of it */
    return status;
}

/* ---------------------------------------------------------------- saving */

static bool is_time(const struct progress *progress) {
    return clock_sec() - progress->saved_sec >= progress->step->options->checkpoint_interval;
}

/* By one thread at a time: whoever has set is_saving. */
static filtags_status save(struct progress *progress) {
    bool has_lost = false;
    uint64_t end_bytes, superseded_bytes;
    progress_file_sizes(progress->file, &end_bytes, &superseded_bytes);
    bool is_worth = superseded_bytes > most_superseded_bytes && 2 * superseded_bytes > end_bytes;
    const struct progress_texts texts = list_texts(progress);
    filtags_status status = is_worth || progress->must_rewrite
                                ? progress_file_rewrite(progress->file, &progress->head, &texts, progress->tally,
                                                        &has_lost)
                                : progress_file_append(progress->file, progress->tally, &has_lost);
    if (!status) progress->must_rewrite = false;
    else if (has_lost) progress->must_rewrite = true;
    return status;
}

static void save_if(struct progress *progress, bool is_due) {
    pthread_mutex_lock(&progress->lock);
    bool is_mine = !progress->is_saving && (is_due || is_time(progress));
    if (is_mine) progress->is_saving = true;
    pthread_mutex_unlock(&progress->lock);
    if (!is_mine) return;
    filtags_status status = save(progress);
    if (status && !progress->has_warned) {
        progress->has_warned = true;
        output_log(progress->output, FILTAGS_LOG_WARNING,
                   "progress could not be saved: %s (the run goes on, and tries again)", filtags_error_message());
    }
    pthread_mutex_lock(&progress->lock);
    progress->saved_sec = clock_sec();
    progress->is_saving = false;
    pthread_mutex_unlock(&progress->lock);
}

void progress_tick(void *progress) { save_if(progress, false); }

void progress_save(struct progress *progress) { save_if(progress, true); }

/* ---------------------------------------------------------------- a part */

filtags_status progress_publish_part(struct progress *progress) {
    char suffix[SHARD_SUFFIX_BYTES];
    filtags_status status = save(progress);
    if (status) return status;
    shard_suffix(progress->step->options->shard, suffix);
    return output_commit_with(progress->output, suffix, progress->path);
}

/* ---------------------------------------------------------------- end */

void progress_remove(struct progress *progress) {
    if (!progress) return;
    unlink(progress->path);
    destroy(progress);
}

void progress_close(struct progress *progress) {
    if (progress) destroy(progress);
}

/* What a failed run has done isn't lost, and its message isn't either. */
static filtags_status keep(struct progress *progress, filtags_status status) {
    char *message = memory_copy_string(filtags_error_message());
    const bool is_started = progress->tally != NULL;
    if (is_started && tally_n_done(progress->tally) > 0 && save(progress) && message)
        status = error_set(status, "%s; and the progress could not be saved: %s", message, filtags_error_message());
    else if (message) status = error_set(status, "%s", message);
    free(message);
    if (is_started ? tally_n_done(progress->tally) == 0 : !progress->is_found) progress_remove(progress);
    else destroy(progress);
    return status;
}

filtags_status progress_end(struct progress **ended, filtags_status status, bool keeps) {
    struct progress *progress = *ended;
    if (!progress) return status;
    if (!status && keeps) return FILTAGS_OK;
    *ended = NULL;
    if (status) return keep(progress, status);
    progress_remove(progress);
    return FILTAGS_OK;
}
