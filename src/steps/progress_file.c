#include "steps/progress_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "store/record_file.h"

/* Besides those of a tally. */
enum { RECORD_HEAD = 101, RECORD_COMMIT = 102 };

static const struct record_kind progress_kind = {
    "filTags progrs\r\n", "a progress file", "--restart discards it and begins anew",
    "another process is at work on this run: wait for its end, or give it other options"};

static const struct record_kind part_kind = {
    "filTags progrs\r\n", "a part", "run its shard again", "a process is at work on this shard: wait for its end"};

struct progress_file {
    char *path;
    struct record_file *file;
    struct progress_head head;
    char *text; /* [n_text_bytes] behind the head: key, NUL, options */
    size_t n_text_bytes;
    bool has_head;
    uint64_t committed_bytes; /* up to the end of the last commit */
    struct record_list group; /* not committed yet */
    struct record_list live;  /* of all groups */
    bool *has_row;            /* [n_classes] in the file, from the loading on */
    size_t n_classes;
    bool has_top;
    uint64_t superseded_bytes;
};

/* ---------------------------------------------------------------- opening */

static filtags_status refuse_record(const struct progress_file *file, const struct record *record) {
    return error_set(FILTAGS_ERROR_FORMAT,
                     "%s: byte %llu: a record of a progress file expected, found type %u of %llu bytes (%s)",
                     file->path, (unsigned long long)record->offset, (unsigned)record->type,
                     (unsigned long long)record->n_bytes, progress_kind.advice);
}

static filtags_status read_head(struct progress_file *progress, struct record_file *file,
                                const struct record *record) {
    if (progress->has_head || record->n_bytes < sizeof progress->head) return refuse_record(progress, record);
    char *contents = memory_new((size_t)record->n_bytes + 1, 1); /* with a NUL behind the last text */
    if (!contents) return FILTAGS_ERROR_MEMORY;
    filtags_status status = record_file_read(file, record->offset, contents, record->n_bytes);
    if (status) {
        free(contents);
        return status;
    }
    memcpy(&progress->head, contents, sizeof progress->head);
    progress->n_text_bytes = (size_t)record->n_bytes - sizeof progress->head;
    memmove(contents, contents + sizeof progress->head, progress->n_text_bytes + 1);
    free(progress->text);
    progress->text = contents;
    progress->head.run_id[RUN_ID_BYTES - 1] = progress->head.key[HASH_HEX_BYTES - 1] = '\0';
    progress->head.kind[sizeof progress->head.kind - 1] = '\0';
    /* it becomes part of file names */
    if (!*progress->head.run_id || strspn(progress->head.run_id, "0123456789-abcdefghijklmnopqrstuvwxyz") !=
                                       strlen(progress->head.run_id))
        return refuse_record(progress, record);
    progress->has_head = true;
    return FILTAGS_OK;
}

static filtags_status note_commit(struct progress_file *progress, struct record_file *file,
                                  const struct record *record) {
    filtags_status status = FILTAGS_OK;
    if (!progress->has_head || record->n_bytes != sizeof progress->head.saved_sec)
        return refuse_record(progress, record);
    status = record_file_read(file, record->offset, &progress->head.saved_sec, record->n_bytes);
    for (size_t i = 0; !status && i < progress->group.n; i++)
        status = record_list_add(&progress->live, &progress->group.records[i]);
    progress->group.n = 0;
    progress->committed_bytes = record_file_next(record);
    return status;
}

static filtags_status note_record(void *context, struct record_file *file, const struct record *record) {
    struct progress_file *progress = context;
    if (record->type == RECORD_HEAD) return read_head(progress, file, record);
    if (record->type == RECORD_COMMIT) return note_commit(progress, file, record);
    if (record->type < TALLY_DONE || record->type > TALLY_PREDICTION || !progress->has_head)
        return refuse_record(progress, record);
    return record_list_add(&progress->group, record);
}

filtags_status progress_file_open(const char *path, struct progress_head *head, bool *is_found,
                                  struct progress_file **result) {
    uint64_t n_dropped_bytes;
    struct progress_file *progress = memory_new(1, sizeof *progress);
    if (!progress) return FILTAGS_ERROR_MEMORY;
    const struct record_visitor visitor = {progress, note_record};
    progress->path = memory_copy_string(path);
    filtags_status status = progress->path ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
    if (!status) status = record_file_open(path, &progress_kind, &visitor, &n_dropped_bytes, &progress->file);
    if (!status && !progress->committed_bytes) { /* it was ended before its first checkpoint */
        progress->has_head = false;
        progress->committed_bytes = record_file_start();
    }
    if (!status && progress->committed_bytes < record_file_end(progress->file))
        status = record_file_cut(progress->file, progress->committed_bytes);
    record_list_free(&progress->group);
    if (status) {
        progress_file_close(progress);
        return status;
    }
    if (progress->has_head) *head = progress->head;
    *is_found = progress->has_head;
    *result = progress;
    return FILTAGS_OK;
}

filtags_status progress_file_open_part(const char *path, struct progress_head *head, struct progress_texts *texts,
                                       struct progress_file **result) {
    uint64_t n_unfinished_bytes = 0;
    struct progress_file *part = memory_new(1, sizeof *part);
    if (!part) return FILTAGS_ERROR_MEMORY;
    const struct record_visitor visitor = {part, note_record};
    part->path = memory_copy_string(path);
    filtags_status status = part->path ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
    if (!status) status = record_file_open_to_read(path, &part_kind, &visitor, &n_unfinished_bytes, &part->file);
    if (!status && (!part->committed_bytes || n_unfinished_bytes || part->group.n))
        status = error_set(FILTAGS_ERROR_FORMAT, "%s: a whole part expected, found one that ends in the middle", path);
    if (!status && !part->head.n_shards)
        status = error_set(FILTAGS_ERROR_FORMAT,
                           "%s: a part of a run with --shard expected, found the progress of a run without", path);
    if (status) {
        progress_file_close(part);
        return status;
    }
    const size_t n_key = strlen(part->text);
    *texts = (struct progress_texts){.key = part->text};
    if (n_key < part->n_text_bytes) {
        texts->options = part->text + n_key + 1;
        texts->n_options_bytes = part->n_text_bytes - n_key - 1;
    }
    *head = part->head;
    *result = part;
    return FILTAGS_OK;
}

void progress_file_close(struct progress_file *progress) {
    if (!progress) return;
    record_file_abandon(progress->file);
    record_list_free(&progress->group);
    record_list_free(&progress->live);
    free(progress->has_row);
    free(progress->text);
    free(progress->path);
    free(progress);
}

filtags_status progress_file_discard(const char *path, bool *was_there) {
    return record_file_remove(path, &progress_kind, was_there);
}

filtags_status progress_file_clear(struct progress_file *progress) {
    progress->has_head = false;
    progress->superseded_bytes = 0;
    record_list_free(&progress->live);
    return record_file_cut(progress->file, record_file_start());
}

/* ---------------------------------------------------------------- loading */

static filtags_status add_to_tally(struct progress_file *progress, const struct record *record, struct tally *tally) {
    void *contents = memory_new((size_t)record->n_bytes, 1);
    if (!contents) return FILTAGS_ERROR_MEMORY;
    filtags_status status = record_file_read(progress->file, record->offset, contents, record->n_bytes);
    const struct tally_record told = {record->type, record->profile, contents, (size_t)record->n_bytes};
    if (!status) status = tally_add(tally, &told, progress->path);
    free(contents);
    return status;
}

/* Rows and top images replace those before them. */
static bool is_superseded(struct progress_file *progress, const struct record *record) {
    bool *is_there = record->type == TALLY_TOP ? &progress->has_top
                     : record->type == TALLY_ROW && record->profile < progress->n_classes
                         ? &progress->has_row[record->profile]
                         : NULL;
    if (!is_there) return false;
    const bool was_there = *is_there;
    *is_there = true;
    if (was_there) progress->superseded_bytes += record->n_bytes;
    return was_there;
}

static filtags_status prepare_rows(struct progress_file *progress, const struct tally *tally) {
    if (progress->has_row) return FILTAGS_OK;
    progress->n_classes = tally->n_classes;
    progress->has_row = memory_new(tally->n_classes, sizeof *progress->has_row);
    return progress->has_row ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
}

filtags_status progress_file_load(struct progress_file *progress, struct tally *tally) {
    filtags_status status = prepare_rows(progress, tally);
    for (size_t i = progress->live.n; !status && i-- > 0;) /* the last one first */
        if (!is_superseded(progress, &progress->live.records[i]))
            status = add_to_tally(progress, &progress->live.records[i], tally);
    record_list_free(&progress->live);
    return status;
}

/* ---------------------------------------------------------------- writing */

static filtags_status append_head(struct record_file *file, const struct progress_head *head,
                                  const struct progress_texts *texts) {
    struct buffer contents = {0};
    buffer_append(&contents, head, sizeof *head);
    buffer_append(&contents, texts->key, strlen(texts->key) + 1);
    buffer_append(&contents, texts->options, texts->n_options_bytes);
    struct record record = {.type = RECORD_HEAD, .n_bytes = contents.size_bytes};
    filtags_status status =
        contents.has_failed ? FILTAGS_ERROR_MEMORY : record_file_append(file, &record, contents.data);
    buffer_free(&contents);
    return status;
}

static filtags_status append_commit(struct record_file *file) {
    const int64_t now = (int64_t)time(NULL);
    struct record record = {.type = RECORD_COMMIT, .n_bytes = sizeof now};
    filtags_status status = record_file_append(file, &record, &now);
    return status ? status : record_file_sync(file);
}

filtags_status progress_file_begin(struct progress_file *progress, struct progress_head *head,
                                   const struct progress_texts *texts) {
    filtags_status status = append_head(progress->file, head, texts);
    return status ? status : append_commit(progress->file);
}

static filtags_status take_record(void *context, const struct tally_record *told) {
    struct progress_file *progress = context;
    struct record record = {.type = told->type, .profile = told->number, .n_bytes = told->n_bytes};
    filtags_status status = record_file_append(progress->file, &record, told->contents);
    if (!status) (void)is_superseded(progress, &record);
    return status;
}

filtags_status progress_file_append(struct progress_file *progress, struct tally *tally, bool *has_lost) {
    const struct tally_receiver receiver = {progress, take_record};
    const uint64_t start_bytes = record_file_end(progress->file);
    filtags_status status = prepare_rows(progress, tally);
    if (status) return status;
    status = tally_tell(tally, &receiver);
    const bool is_told = !status;
    if (!status) status = append_commit(progress->file);
    if (!status) return FILTAGS_OK;
    /* half a group must not become part of the next one; the message is the failure's */
    char *message = memory_copy_string(filtags_error_message());
    *has_lost = record_file_cut(progress->file, start_bytes) || is_told;
    if (message) status = error_set(status, "%s", message);
    free(message);
    return status;
}

static filtags_status no_record(void *context, struct record_file *file, const struct record *record) {
    (void)context, (void)file, (void)record;
    return error_set(FILTAGS_ERROR_INTERNAL, "a new file has records");
}

static filtags_status write_new(const char *path, const struct progress_head *head, const struct progress_texts *texts,
                                struct tally *tally, struct progress_file *to, bool *is_told) {
    const struct record_visitor visitor = {NULL, no_record};
    const struct tally_receiver receiver = {to, take_record};
    uint64_t n_dropped_bytes;
    *is_told = false;
    if (unlink(path) && errno != ENOENT) return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be removed", path);
    filtags_status status = record_file_open(path, &progress_kind, &visitor, &n_dropped_bytes, &to->file);
    if (!status) status = prepare_rows(to, tally);
    if (!status) status = append_head(to->file, head, texts);
    if (!status) status = tally_tell_all(tally, &receiver);
    *is_told = !status;
    return status ? status : append_commit(to->file);
}

filtags_status progress_file_rewrite(struct progress_file *progress, const struct progress_head *head,
                                     const struct progress_texts *texts, struct tally *tally, bool *has_lost) {
    struct progress_file fresh = {0};
    bool is_told = false;
    char *path = memory_format("%s.new", progress->path);
    if (!path) return FILTAGS_ERROR_MEMORY;
    filtags_status status = write_new(path, head, texts, tally, &fresh, &is_told);
    if (!status && rename(path, progress->path))
        status = error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be given its name", progress->path);
    if (status) {
        unlink(path);
        record_file_abandon(fresh.file);
        free(fresh.has_row);
        *has_lost = is_told;
    } else { /* the new one is locked; now the old one may go */
        record_file_abandon(progress->file);
        free(progress->has_row);
        progress->file = fresh.file;
        progress->has_row = fresh.has_row;
        progress->has_top = fresh.has_top;
        progress->superseded_bytes = 0;
    }
    free(path);
    return status;
}

void progress_file_sizes(const struct progress_file *progress, uint64_t *end_bytes, uint64_t *superseded_bytes) {
    *end_bytes = record_file_end(progress->file);
    *superseded_bytes = progress->superseded_bytes;
}
