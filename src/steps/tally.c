#include "steps/tally.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

enum { MARK_DONE = 1, MARK_TOLD = 2 };

filtags_status tally_create(size_t n_pictures, const uint32_t *class_of, bool *is_bad, struct tally *tally) {
    *tally = (struct tally){.n_pictures = n_pictures, .class_of = class_of, .is_bad = is_bad, .is_locked = true};
    pthread_mutex_init(&tally->lock, NULL);
    tally->marks = memory_new(n_pictures, sizeof *tally->marks);
    return tally->marks ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
}

filtags_status tally_add_sums(struct tally *tally, size_t n_classes, size_t n_filters, size_t n_top) {
    tally->n_classes = n_classes;
    tally->n_filters = n_filters;
    tally->sums = memory_new(n_classes * n_filters, sizeof *tally->sums);
    tally->n_images = memory_new(n_classes, sizeof *tally->n_images);
    tally->is_changed = memory_new(n_classes, sizeof *tally->is_changed);
    if (!tally->sums || !tally->n_images || !tally->is_changed) return FILTAGS_ERROR_MEMORY;
    return n_top ? top_keeper_create(n_filters, n_top, &tally->top) : FILTAGS_OK;
}

static void forget_reasons(struct tally *tally) {
    for (size_t i = 0; i < tally->n_bad; i++) {
        free(tally->bad[i].reason);
        tally->bad[i].reason = NULL;
    }
}

void tally_free(struct tally *tally) {
    forget_reasons(tally);
    free(tally->bad);
    free(tally->marks);
    free(tally->sums);
    free(tally->n_images);
    free(tally->is_changed);
    top_keeper_free(&tally->top);
    if (tally->is_locked) pthread_mutex_destroy(&tally->lock);
    *tally = (struct tally){0};
}

/* ---------------------------------------------------------------- pictures */

bool tally_is_done(struct tally *tally, size_t picture) {
    pthread_mutex_lock(&tally->lock);
    bool is_done = tally->marks[picture] & MARK_DONE;
    pthread_mutex_unlock(&tally->lock);
    return is_done;
}

size_t tally_n_done(struct tally *tally) {
    pthread_mutex_lock(&tally->lock);
    size_t n_done = tally->n_done;
    pthread_mutex_unlock(&tally->lock);
    return n_done;
}

/* With the lock. */
static void mark(struct tally *tally, size_t picture) {
    tally->marks[picture] |= MARK_DONE;
    tally->n_done++;
}

void tally_take(struct tally *tally, size_t picture, const filtags_activation *activations) {
    const size_t class_index = tally->class_of[picture];
    int64_t *row = tally->sums + class_index * tally->n_filters; // [n_filters]
    pthread_mutex_lock(&tally->lock);
    for (size_t i = 0; i < tally->n_filters; i++) row[i] += activations[i];
    tally->n_images[class_index]++;
    tally->is_changed[class_index] = true;
    if (tally->top.n_top) top_keeper_add(&tally->top, picture, activations);
    tally->is_top_changed = true;
    mark(tally, picture);
    pthread_mutex_unlock(&tally->lock);
}

void tally_mark_done(struct tally *tally, size_t picture) {
    pthread_mutex_lock(&tally->lock);
    mark(tally, picture);
    pthread_mutex_unlock(&tally->lock);
}

/* With the lock. reason becomes the tally's. */
static filtags_status add_bad(struct tally *tally, size_t picture, char *reason, bool is_told) {
    void *bad = tally->bad;
    if (!reason) return FILTAGS_ERROR_MEMORY;
    if (memory_grow(&bad, &tally->bad_capacity, tally->n_bad + 1, sizeof *tally->bad)) {
        free(reason);
        return FILTAGS_ERROR_MEMORY;
    }
    tally->bad = bad;
    tally->bad[tally->n_bad++] = (struct bad_picture){picture, reason, is_told};
    tally->is_bad[picture] = true;
    return FILTAGS_OK;
}

filtags_status tally_mark_bad(struct tally *tally, size_t picture, const char *reason) {
    pthread_mutex_lock(&tally->lock);
    filtags_status status = add_bad(tally, picture, memory_copy_string(reason), false);
    if (!status) mark(tally, picture);
    pthread_mutex_unlock(&tally->lock);
    return status;
}

/* ---------------------------------------------------------------- telling */

static filtags_status tell(const struct tally_receiver *receiver, uint32_t type, size_t number, const void *contents,
                           size_t n_bytes) {
    const struct tally_record record = {type, (uint32_t)number, contents, n_bytes};
    return receiver->take(receiver->context, &record);
}

static bool is_wanted(const struct tally *tally, size_t picture, bool is_all) {
    return tally->marks[picture] & MARK_DONE && (is_all || !(tally->marks[picture] & MARK_TOLD));
}

static filtags_status tell_done(const struct tally *tally, bool is_all, const struct tally_receiver *receiver) {
    struct buffer ranges = {0};
    for (size_t i = 0; i < tally->n_pictures;) {
        size_t end = i;
        while (end < tally->n_pictures && is_wanted(tally, end, is_all)) end++;
        const uint64_t range[2] = {i, end - i};
        if (end > i) buffer_append(&ranges, range, sizeof range);
        i = end > i ? end : i + 1;
    }
    filtags_status status = ranges.has_failed ? FILTAGS_ERROR_MEMORY : FILTAGS_OK;
    if (!status && ranges.size_bytes) status = tell(receiver, TALLY_DONE, 0, ranges.data, ranges.size_bytes);
    buffer_free(&ranges);
    return status;
}

static filtags_status tell_bad(const struct tally *tally, bool is_all, const struct tally_receiver *receiver) {
    filtags_status status = FILTAGS_OK;
    for (size_t i = 0; !status && i < tally->n_bad; i++) {
        const struct bad_picture *bad = &tally->bad[i];
        if (bad->reason && (is_all || !bad->is_told))
            status = tell(receiver, TALLY_BAD, bad->picture, bad->reason, strlen(bad->reason));
    }
    return status;
}

static filtags_status tell_sums(const struct tally *tally, bool is_all, const struct tally_receiver *receiver) {
    filtags_status status = FILTAGS_OK;
    struct buffer row = {0};
    for (size_t i = 0; !status && i < tally->n_classes; i++) {
        if (!tally->n_images[i] || !(is_all || tally->is_changed[i])) continue;
        row.size_bytes = 0;
        buffer_append(&row, &tally->n_images[i], sizeof tally->n_images[i]);
        buffer_append(&row, tally->sums + i * tally->n_filters, tally->n_filters * sizeof *tally->sums);
        status = row.has_failed ? FILTAGS_ERROR_MEMORY : tell(receiver, TALLY_ROW, i, row.data, row.size_bytes);
    }
    buffer_free(&row);
    if (!status && tally->top.n_top && (is_all || tally->is_top_changed))
        status = tell(receiver, TALLY_TOP, 0, tally->top.entries,
                      tally->top.n_filters * tally->top.n_top * sizeof *tally->top.entries);
    return status;
}

static filtags_status tell_predictions(const struct tally *tally, bool is_all, const struct tally_receiver *receiver) {
    filtags_status status = FILTAGS_OK;
    struct buffer record = {0};
    for (size_t i = 0; !status && i < tally->n_pictures; i++) {
        if (!is_wanted(tally, i, is_all) || tally->is_bad[i]) continue;
        status = predictions_read(tally->predictions, i, &record);
        if (!status) status = tell(receiver, TALLY_PREDICTION, i, record.data, record.size_bytes);
    }
    buffer_free(&record);
    return status;
}

static void note_told(struct tally *tally) {
    for (size_t i = 0; i < tally->n_pictures; i++)
        if (tally->marks[i] & MARK_DONE) tally->marks[i] |= MARK_TOLD;
    for (size_t i = 0; i < tally->n_bad; i++) tally->bad[i].is_told = true;
    for (size_t i = 0; i < tally->n_classes; i++) tally->is_changed[i] = false;
    tally->is_top_changed = false;
}

static filtags_status check_not_torn(const struct tally *tally) {
    return tally->is_torn ? error_set(FILTAGS_ERROR_INTERNAL, "what another process handed over was added in part")
                          : FILTAGS_OK;
}

/* With the lock. */
static filtags_status tell_locked(struct tally *tally, bool is_all, const struct tally_receiver *receiver) {
    filtags_status status = check_not_torn(tally);
    if (!status) status = tell_done(tally, is_all, receiver);
    if (!status) status = tell_bad(tally, is_all, receiver);
    if (!status && tally->sums) status = tell_sums(tally, is_all, receiver);
    if (!status && tally->predictions) status = tell_predictions(tally, is_all, receiver);
    if (!status) note_told(tally);
    return status;
}

static filtags_status tell_records(struct tally *tally, bool is_all, const struct tally_receiver *receiver) {
    pthread_mutex_lock(&tally->lock);
    filtags_status status = tell_locked(tally, is_all, receiver);
    pthread_mutex_unlock(&tally->lock);
    return status;
}

filtags_status tally_tell(struct tally *tally, const struct tally_receiver *receiver) {
    return tell_records(tally, false, receiver);
}

filtags_status tally_tell_all(struct tally *tally, const struct tally_receiver *receiver) {
    return tell_records(tally, true, receiver);
}

void tally_forget(struct tally *tally) {
    forget_reasons(tally);
    if (!tally->sums) return;
    memset(tally->sums, 0, tally->n_classes * tally->n_filters * sizeof *tally->sums);
    memset(tally->n_images, 0, tally->n_classes * sizeof *tally->n_images);
    if (tally->top.n_top)
        memset(tally->top.entries, 0, tally->top.n_filters * tally->top.n_top * sizeof *tally->top.entries);
}

/* ---------------------------------------------------------------- adding */

static filtags_status refuse(const char *from, const struct tally_record *record) {
    return error_set(FILTAGS_ERROR_FORMAT, "%s: a record of this run expected, found type %u, number %u, %zu bytes",
                     from, (unsigned)record->type, (unsigned)record->number, record->n_bytes);
}

static filtags_status add_done(struct tally *tally, const struct tally_record *record, const char *from) {
    uint64_t range[2];
    if (record->n_bytes % sizeof range) return refuse(from, record);
    for (size_t at = 0; at < record->n_bytes; at += sizeof range) {
        memcpy(range, (const char *)record->contents + at, sizeof range);
        if (range[0] > tally->n_pictures || range[1] > tally->n_pictures - range[0]) return refuse(from, record);
        for (size_t i = (size_t)range[0]; i < range[0] + range[1]; i++) {
            if (tally->marks[i] & MARK_DONE)
                return error_set(FILTAGS_ERROR_DATA, "%s: picture %zu is done twice", from, i + 1);
            mark(tally, i);
            tally->marks[i] |= MARK_TOLD;
        }
    }
    return FILTAGS_OK;
}

static filtags_status add_row(struct tally *tally, const struct tally_record *record, const char *from) {
    uint64_t n_images;
    const size_t n_row_bytes = tally->n_filters * sizeof *tally->sums;
    if (record->number >= tally->n_classes || record->n_bytes != sizeof n_images + n_row_bytes)
        return refuse(from, record);
    memcpy(&n_images, record->contents, sizeof n_images);
    if (n_images > tally->n_pictures) return refuse(from, record);
    int64_t *row = tally->sums + record->number * tally->n_filters; // [n_filters]
    for (size_t i = 0; i < tally->n_filters; i++) {
        int64_t sum;
        memcpy(&sum, (const char *)record->contents + sizeof n_images + i * sizeof sum, sizeof sum);
        /* an activation is in [0, 1]: no sum that is ours overflows */
        if (sum < 0 || (uint64_t)sum > n_images * FILTAGS_ACTIVATION_ONE) return refuse(from, record);
        row[i] += sum;
    }
    tally->n_images[record->number] += n_images;
    return FILTAGS_OK;
}

static filtags_status add_top(struct tally *tally, const struct tally_record *record, const char *from) {
    const size_t n = tally->top.n_filters * tally->top.n_top;
    if (n == 0 || record->n_bytes != n * sizeof *tally->top.entries) return refuse(from, record);
    return top_keeper_merge(&tally->top, record->contents, tally->n_pictures) ? FILTAGS_OK : refuse(from, record);
}

static filtags_status add_reason(struct tally *tally, const struct tally_record *record, const char *from) {
    if (record->number >= tally->n_pictures || tally->is_bad[record->number]) return refuse(from, record);
    return add_bad(tally, record->number, memory_format("%.*s", (int)record->n_bytes, (const char *)record->contents),
                   true);
}

filtags_status tally_add(struct tally *tally, const struct tally_record *record, const char *from) {
    switch (record->type) {
    case TALLY_DONE: return add_done(tally, record, from);
    case TALLY_BAD: return add_reason(tally, record, from);
    case TALLY_ROW: return add_row(tally, record, from);
    case TALLY_TOP: return add_top(tally, record, from);
    case TALLY_PREDICTION:
        if (!tally->predictions || record->number >= tally->n_pictures ||
            !predictions_fit(tally->predictions, record->contents, record->n_bytes))
            return refuse(from, record);
        return predictions_restore(tally->predictions, record->number, record->contents, record->n_bytes);
    default: return refuse(from, record);
    }
}

/* ---------------------------------------------------------------- between processes */

filtags_status tally_hand_over(struct tally *tally, const struct tally_receiver *receiver) {
    pthread_mutex_lock(&tally->lock);
    filtags_status status = tell_locked(tally, false, receiver);
    if (!status) tally_forget(tally);
    pthread_mutex_unlock(&tally->lock);
    return status;
}

/* What has been added is news for whoever is told of this tally. */
static void note_changed(struct tally *tally, const struct tally_record *record) {
    uint64_t range[2];
    if (record->type == TALLY_ROW) tally->is_changed[record->number] = true;
    if (record->type == TALLY_TOP) tally->is_top_changed = true;
    if (record->type == TALLY_BAD) tally->bad[tally->n_bad - 1].is_told = false;
    for (size_t at = 0; record->type == TALLY_DONE && at < record->n_bytes; at += sizeof range) {
        memcpy(range, (const char *)record->contents + at, sizeof range);
        for (size_t i = (size_t)range[0]; i < range[0] + range[1]; i++) tally->marks[i] &= (uint8_t)~MARK_TOLD;
    }
}

filtags_status tally_merge(struct tally *tally, const struct tally_record *records, size_t n_records,
                           const char *from) {
    pthread_mutex_lock(&tally->lock);
    filtags_status status = check_not_torn(tally);
    for (size_t i = 0; !status && i < n_records; i++) {
        status = tally_add(tally, &records[i], from);
        if (status) tally->is_torn = true;
        else note_changed(tally, &records[i]);
    }
    pthread_mutex_unlock(&tally->lock);
    return status;
}
