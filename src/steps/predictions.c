#include "steps/predictions.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/memory.h"

/* A thread's own. */
struct predictor {
    struct ranking_scratch *scratch; /* for lists of tags */
    struct many_ranks *many;         /* for ranks */
    struct label_count *ranking; /* [n_labels] */
    struct buffer record;        /* a picture's record: struct prediction, then for each ranking n and n label_counts */
};

struct predictions {
    const struct tag_file *tags;
    size_t n_outputs, n_images, n_threads;
    struct predictor *predictors; /* [n_threads] */
    pthread_mutex_t lock;         /* of the scratch file while pictures are added */
    FILE *scratch;
    bool is_flushed;
    uint64_t end_bytes;        /* length of the scratch file */
    uint64_t *offset_bytes;    /* [n_images] where a picture's record is */
    uint32_t *size_bytes;      /* [n_images] */
    size_t *place;             /* [n_images] of a loaded picture in loaded */
    struct prediction *loaded; /* [n_loaded] */
    size_t n_loaded;
    void **blocks; /* [n_loaded] the records that the rankings point into */
};

static filtags_status create_predictor(const struct predictions *predictions, struct predictor *predictor) {
    predictor->ranking = memory_new(predictions->tags->n_labels, sizeof *predictor->ranking);
    if (!predictor->ranking) return FILTAGS_ERROR_MEMORY;
    const struct tag_file *tags = predictions->tags;
    if (tags->is_ranked)
        return many_ranks_create(&tags->table, &tags->ranks, tags->columns, tags->selectors, tags->n_selectors,
                                 &predictor->many);
    return ranking_scratch_create(&tags->table, tags->n_labels, &predictor->scratch);
}

filtags_status predictions_create(const struct tag_file *tags, size_t n_outputs, size_t n_images, size_t n_threads,
                                  FILE *scratch, struct predictions **result) {
    filtags_status status = FILTAGS_OK;
    struct predictions *predictions = memory_new(1, sizeof *predictions);
    if (!predictions) {
        fclose(scratch);
        return FILTAGS_ERROR_MEMORY;
    }
    *predictions = (struct predictions){.tags = tags, .n_outputs = n_outputs, .n_images = n_images, .scratch = scratch};
    pthread_mutex_init(&predictions->lock, NULL);
    predictions->predictors = memory_new(n_threads, sizeof *predictions->predictors);
    predictions->offset_bytes = memory_new(n_images, sizeof *predictions->offset_bytes);
    predictions->size_bytes = memory_new(n_images, sizeof *predictions->size_bytes);
    predictions->place = memory_new(n_images, sizeof *predictions->place);
    if (!predictions->predictors || !predictions->offset_bytes || !predictions->size_bytes || !predictions->place)
        status = FILTAGS_ERROR_MEMORY;
    for (; !status && predictions->n_threads < n_threads; predictions->n_threads++) {
        status = create_predictor(predictions, &predictions->predictors[predictions->n_threads]);
    }
    if (status) predictions_destroy(predictions);
    else *result = predictions;
    return status;
}

static void unload(struct predictions *predictions) {
    for (size_t i = 0; i < predictions->n_loaded; i++) {
        free(predictions->loaded[i].rankings);
        free(predictions->blocks[i]);
    }
    free(predictions->loaded);
    free(predictions->blocks);
    predictions->loaded = NULL;
    predictions->blocks = NULL;
    predictions->n_loaded = 0;
}

void predictions_destroy(struct predictions *predictions) {
    if (!predictions) return;
    unload(predictions);
    for (size_t i = 0; i < predictions->n_threads; i++) {
        ranking_scratch_destroy(predictions->predictors[i].scratch);
        many_ranks_destroy(predictions->predictors[i].many);
        free(predictions->predictors[i].ranking);
        buffer_free(&predictions->predictors[i].record);
    }
    free(predictions->predictors);
    free(predictions->offset_bytes);
    free(predictions->size_bytes);
    free(predictions->place);
    fclose(predictions->scratch);
    pthread_mutex_destroy(&predictions->lock);
    free(predictions);
}

/* ---------------------------------------------------------------- adding */

static void append_top(const struct predictions *predictions, struct buffer *record, const float *outputs) {
    uint32_t top[PREDICTION_MOST_TOP];
    struct prediction prediction = {.n_top = predictions->n_outputs < PREDICTION_MOST_TOP ? predictions->n_outputs
                                                                                          : PREDICTION_MOST_TOP};
    top_outputs(outputs, predictions->n_outputs, prediction.n_top, top);
    for (size_t i = 0; i < prediction.n_top; i++) {
        prediction.top[i].output = top[i];
        prediction.top[i].probability = outputs[top[i]];
    }
    buffer_append(record, &prediction, sizeof prediction);
}

filtags_status predictions_add(struct predictions *predictions, size_t thread, size_t image,
                               const filtags_activation *activations, const float *outputs) {
    const struct tag_file *tags = predictions->tags;
    struct predictor *predictor = &predictions->predictors[thread];
    struct buffer *record = &predictor->record;
    record->size_bytes = 0;
    append_top(predictions, record, outputs);
    if (tags->is_ranked) many_ranks_study(predictor->many, activations);
    for (size_t s = 0; s < 2 * tags->n_selectors; s++) {
        size_t n = tags->is_ranked ? many_ranks_get(predictor->many, s / 2, s % 2, predictor->ranking)
                                   : rank_labels(predictor->scratch, &tags->table, &tags->tags[s / 2],
                                                 tags->selectors[s / 2], s % 2, activations, predictor->ranking);
        buffer_append(record, &n, sizeof n);
        buffer_append(record, predictor->ranking, n * sizeof *predictor->ranking);
    }
    if (record->has_failed || record->size_bytes > UINT32_MAX) return error_out_of_memory(record->size_bytes);
    return predictions_restore(predictions, image, record->data, record->size_bytes);
}

filtags_status predictions_restore(struct predictions *predictions, size_t image, const char *bytes, size_t n_bytes) {
    pthread_mutex_lock(&predictions->lock);
    bool is_written = fwrite(bytes, 1, n_bytes, predictions->scratch) == n_bytes;
    predictions->is_flushed = false;
    predictions->offset_bytes[image] = predictions->end_bytes;
    predictions->size_bytes[image] = (uint32_t)n_bytes;
    predictions->end_bytes += n_bytes;
    pthread_mutex_unlock(&predictions->lock);
    return is_written ? FILTAGS_OK
                      : error_set_errno(FILTAGS_ERROR_IO, "the scratch file in --save-dir could not be written");
}

filtags_status predictions_read(struct predictions *predictions, size_t image, struct buffer *bytes) {
    size_t n = predictions->size_bytes[image], n_done = 0;
    bytes->size_bytes = 0;
    pthread_mutex_lock(&predictions->lock);
    bool has_failed = !predictions->is_flushed && fflush(predictions->scratch);
    predictions->is_flushed = !has_failed;
    pthread_mutex_unlock(&predictions->lock);
    if (has_failed) return error_set_errno(FILTAGS_ERROR_IO, "the scratch file in --save-dir could not be written");
    while (n_done < n) {
        char block[16384];
        size_t n_wanted = n - n_done < sizeof block ? n - n_done : sizeof block;
        size_t n_read = 0;
        errno = EIO; /* unless reading says better: the file has become shorter */
        if (!descriptor_read_at(fileno(predictions->scratch), predictions->offset_bytes[image] + n_done, block,
                                n_wanted, &n_read) ||
            n_read < n_wanted)
            return error_set_errno(FILTAGS_ERROR_IO, "the scratch file in --save-dir could not be read");
        buffer_append(bytes, block, n_read);
        n_done += n_read;
    }
    return bytes->has_failed ? FILTAGS_ERROR_MEMORY : FILTAGS_OK;
}

bool predictions_fit(const struct predictions *predictions, const char *bytes, size_t n_bytes) {
    struct prediction prediction;
    if (n_bytes < sizeof prediction || n_bytes > UINT32_MAX) return false;
    memcpy(&prediction, bytes, sizeof prediction);
    if (prediction.n_top > PREDICTION_MOST_TOP) return false;
    for (size_t i = 0; i < prediction.n_top; i++)
        if (prediction.top[i].output >= predictions->n_outputs) return false;
    size_t at = sizeof prediction;
    for (size_t s = 0; s < 2 * predictions->tags->n_selectors; s++) {
        size_t n;
        if (n_bytes - at < sizeof n) return false;
        memcpy(&n, bytes + at, sizeof n);
        at += sizeof n;
        if (n > (n_bytes - at) / sizeof(struct label_count)) return false;
        for (size_t i = 0; i < n; i++, at += sizeof(struct label_count)) {
            struct label_count count;
            memcpy(&count, bytes + at, sizeof count);
            if (count.label >= predictions->tags->n_labels) return false;
        }
    }
    return at == n_bytes;
}

/* ---------------------------------------------------------------- loading */

/* Point into a record that append_top and predictions_add made. */
static filtags_status parse_record(const struct predictions *predictions, char *record, struct prediction *prediction) {
    size_t n_rankings = 2 * predictions->tags->n_selectors;
    memcpy(prediction, record, sizeof *prediction);
    record += sizeof *prediction;
    prediction->rankings = memory_new(n_rankings, sizeof *prediction->rankings);
    if (!prediction->rankings) return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < n_rankings; i++) {
        memcpy(&prediction->rankings[i].n, record, sizeof prediction->rankings[i].n);
        record += sizeof prediction->rankings[i].n;
        prediction->rankings[i].counts = (const struct label_count *)(void *)record; /* 8 bytes each: stays aligned */
        record += prediction->rankings[i].n * sizeof *prediction->rankings[i].counts;
    }
    return FILTAGS_OK;
}

static filtags_status load_one(struct predictions *predictions, size_t image) {
    size_t place = predictions->n_loaded, size_bytes = predictions->size_bytes[image];
    char *block = memory_new(size_bytes, 1);
    if (!block) return FILTAGS_ERROR_MEMORY;
    predictions->blocks[place] = block;
    predictions->place[image] = place;
    predictions->n_loaded++;
    if (fseeko(predictions->scratch, (off_t)predictions->offset_bytes[image], SEEK_SET) ||
        fread(block, 1, size_bytes, predictions->scratch) != size_bytes) {
        return error_set_errno(FILTAGS_ERROR_IO, "the scratch file in --save-dir could not be read");
    }
    return parse_record(predictions, block, &predictions->loaded[place]);
}

filtags_status predictions_load(struct predictions *predictions, const size_t *images, size_t n_images) {
    unload(predictions);
    if (fflush(predictions->scratch))
        return error_set_errno(FILTAGS_ERROR_IO, "the scratch file in --save-dir could not be written");
    predictions->loaded = memory_new(n_images, sizeof *predictions->loaded);
    predictions->blocks = memory_new(n_images, sizeof *predictions->blocks);
    if (!predictions->loaded || !predictions->blocks) return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < n_images; i++) {
        filtags_status status = load_one(predictions, images[i]);
        if (status) return status;
    }
    return FILTAGS_OK;
}

const struct prediction *predictions_get(const struct predictions *predictions, size_t image) {
    return &predictions->loaded[predictions->place[image]];
}
