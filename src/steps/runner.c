#include "steps/runner.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "image/image.h"
#include "image/picture_reader.h"
#include "tagging/tags.h"

/* Shared by the threads of a run; everything below lock is guarded by it. */
struct runner {
    const struct runner_job *job;
    double start_sec;
    pthread_mutex_t lock;
    size_t next, end; /* first picture that nobody has taken; past the last one */
    size_t n_done, n_total;
    struct runner_totals totals;
    filtags_status status; /* first fatal failure */
    char *message;
    pthread_mutex_t engine_lock;
    filtags_engine *engine; /* guarded by engine_lock until it is made */
};

/* Feature maps of a micro-batch. */
struct map_list {
    filtags_map *maps;
    size_t *requests; /* [n] which of the job's each one is */
    float *values;    /* of all of them */
    size_t n, maps_capacity, requests_capacity, values_capacity;
};

struct runner_thread {
    struct runner *runner;
    size_t number;
    pthread_t handle;
    filtags_worker *worker;
    float *images;                   /* [batch, h, w, c] */
    filtags_activation *activations; /* [batch, n_filters] */
    float *outputs;                  /* [batch, n_outputs] */
    int *bad_layers;                 /* [batch] */
    size_t *indices;                 /* [batch] picture in each place of the micro-batch */
    struct map_list maps;            /* of the micro-batch */
    uint8_t (*hashes)[HASH_DIGEST_BYTES]; /* [batch] SHA-256 of its file, with a store */
    size_t n_stored;
    struct picture_reader *reader;        /* where pictures are decoded elsewhere, from the first one on */
    double decode_sec, network_sec;
};

size_t runner_batch(const filtags_options *options, const size_t shape[3]) {
    enum { TARGET_FLOATS = 1 << 20, MOST = 16 };
    size_t n = TARGET_FLOATS / (shape[0] * shape[1] * shape[2]);
    if (options->batch) return (size_t)options->batch;
    return n < 1 ? 1 : n > MOST ? MOST : n;
}

/* Remember the first fatal failure; the message is the failing thread's and must outlive it. */
static void give_up(struct runner *runner, filtags_status status) {
    pthread_mutex_lock(&runner->lock);
    if (!runner->status) {
        runner->status = status;
        runner->message = memory_copy_string(filtags_error_message());
    }
    pthread_mutex_unlock(&runner->lock);
}

/* The message in place of a later picture's. */
static filtags_status keep_reason(struct bad_reason *reason, size_t index) {
    if (!reason || (reason->message && reason->picture < index)) return FILTAGS_OK;
    char *message = memory_copy_string(filtags_error_message());
    if (!message) return FILTAGS_ERROR_MEMORY;
    free(reason->message);
    *reason = (struct bad_reason){message, index};
    return FILTAGS_OK;
}

/* A picture can't be used; the error message says why. */
static void drop_picture(struct runner *runner, size_t index, filtags_status status) {
    const struct runner_job *job = runner->job;
    if (job->is_strict || status == FILTAGS_ERROR_MEMORY || status == FILTAGS_ERROR_INTERNAL) {
        give_up(runner, status);
        return;
    }
    output_log(job->output, FILTAGS_LOG_WARNING, "%s (the picture is left out)", filtags_error_message());
    if (job->tally) {
        status = tally_mark_bad(job->tally, index, filtags_error_message());
        if (status) give_up(runner, status);
        return;
    }
    pthread_mutex_lock(&runner->lock);
    job->is_bad[index] = true;
    runner->totals.n_bad++;
    status = keep_reason(job->reason, index);
    pthread_mutex_unlock(&runner->lock);
    if (status) give_up(runner, status);
}

/* Take the numbers of up to batch pictures, leaving some for the others at the end of the list. */
static size_t take_numbers(struct runner *runner, size_t *first) {
    const struct runner_job *job = runner->job;
    size_t n = 0;
    pthread_mutex_lock(&runner->lock);
    if (!runner->status && job->take_numbers) {
        n = job->take_numbers(job->numbers_context, first);
    } else if (!runner->status && runner->next < runner->end) {
        size_t share = (runner->end - runner->next + job->n_threads - 1) / job->n_threads;
        n = share < job->batch ? share : job->batch;
        *first = runner->next;
        runner->next += n;
    }
    pthread_mutex_unlock(&runner->lock);
    return n;
}

static filtags_status decode_elsewhere(struct runner_thread *thread, const struct image_source *source,
                                       struct image *image) {
    filtags_status status = thread->reader ? FILTAGS_OK : picture_reader_create(&thread->reader);
    return status ? status : picture_reader_decode(thread->reader, source, image);
}

/* Make the network's input of a file's bytes, here or elsewhere, with a look at the picture in between. */
static filtags_status decode_picture(struct runner_thread *thread, size_t index, const struct image_source *source,
                                     float *pixels) {
    const struct runner_job *job = thread->runner->job;
    const size_t *shape = job->network->shape;
    struct image image = {0};
    filtags_status status =
        job->is_isolated ? decode_elsewhere(thread, source, &image) : image_decode(source, &image);
    if (!status && job->look) status = job->look(job->context, thread->number, index, &image);
    if (!status) status = image_convert(&image, shape[2]);
    if (!status) status = image_write_tensor(&image, shape[0], shape[1], job->preprocess, pixels);
    image_free(&image);
    return status;
}

static filtags_status load_picture(struct runner_thread *thread, size_t index, const char *path, float *pixels) {
    const struct runner_job *job = thread->runner->job;
    const size_t *shape = job->network->shape;
    struct buffer contents = {0};
    if (!job->look && !job->is_isolated)
        return filtags_image_load(path, shape[0], shape[1], shape[2], job->preprocess, pixels);
    filtags_status status = image_read_file(path, &contents);
    struct image_source source = {path, (const uint8_t *)buffer_text(&contents), contents.size_bytes};
    if (!status) status = decode_picture(thread, index, &source, pixels);
    buffer_free(&contents);
    return status;
}

/* The outputs as far as the store has them. Whoever wants the best three gets these, in the same order. */
static void restore_outputs(const struct stored_top *top, float *outputs, size_t n_outputs) {
    for (size_t i = 0; i < n_outputs; i++) outputs[i] = -INFINITY;
    for (size_t i = 0; i < top->n; i++) outputs[top->items[i].output] = top->items[i].value;
}

static void keep_top(const float *outputs, size_t n_outputs, struct stored_top *top) {
    uint32_t best[STORE_MOST_TOP];
    *top = (struct stored_top){.n = n_outputs < STORE_MOST_TOP ? (uint32_t)n_outputs : STORE_MOST_TOP};
    top_outputs(outputs, n_outputs, top->n, best);
    for (size_t i = 0; i < top->n; i++) {
        top->items[i].output = best[i];
        top->items[i].value = outputs[best[i]];
    }
}

/* Hand a picture over from the store, if it is there. A failure is fatal: the picture isn't to blame. */
static filtags_status take_stored(struct runner_thread *thread, size_t index, const uint8_t hash[HASH_DIGEST_BYTES],
                                  size_t place, bool *is_stored) {
    const struct runner_job *job = thread->runner->job;
    size_t n_filters = filter_table_n_filters(&job->network->table), n_outputs = job->network->n_outputs;
    filtags_activation *activations = thread->activations + place * n_filters; /* room that is still free */
    float *outputs = thread->outputs + place * n_outputs;
    struct stored_top top;
    filtags_status status =
        picture_store_find(job->store, hash, activations, job->wants_output ? &top : NULL, is_stored);
    if (status || !*is_stored) return status;
    if (job->wants_output) restore_outputs(&top, outputs, n_outputs);
    thread->n_stored++;
    return job->take(job->context, thread->number, index, activations, job->wants_output ? outputs : NULL);
}

/* With a store: the bytes that are hashed are those that are decoded. *n_good grows where the network is needed. */
static filtags_status load_or_take(struct runner_thread *thread, const char *path, size_t index, float *pixels,
                                   size_t *n_good) {
    struct buffer contents = {0};
    bool is_stored = false;
    filtags_status status = image_read_file(path, &contents);
    if (status) return status;
    struct image_source source = {path, (const uint8_t *)buffer_text(&contents), contents.size_bytes};
    filtags_status fatal = hash_bytes(source.bytes, source.n_bytes, thread->hashes[*n_good]);
    if (!fatal) fatal = take_stored(thread, index, thread->hashes[*n_good], *n_good, &is_stored);
    if (fatal) give_up(thread->runner, fatal);
    else if (!is_stored) status = decode_picture(thread, index, &source, pixels);
    buffer_free(&contents);
    if (!status && !fatal && !is_stored) thread->indices[(*n_good)++] = index;
    return status;
}

static filtags_status load(struct runner_thread *thread, size_t index, size_t *n_good) {
    const struct runner_job *job = thread->runner->job;
    const size_t *shape = job->network->shape;
    float *pixels = thread->images + *n_good * shape[0] * shape[1] * shape[2];
    char *path = path_join(job->images_dir, job->files[index]);
    if (!path) return FILTAGS_ERROR_MEMORY;
    filtags_status status;
    if (job->store) {
        status = load_or_take(thread, path, index, pixels, n_good);
    } else {
        status = load_picture(thread, index, path, pixels);
        if (!status) thread->indices[(*n_good)++] = index;
    }
    free(path);
    return status;
}

/* Decode n pictures from number first on, unless they are done; *n_run gets how many aren't. Returns how many are
 * good; thread->indices says which. */
static size_t decode(struct runner_thread *thread, size_t first, size_t n, size_t *n_run) {
    struct tally *tally = thread->runner->job->tally;
    size_t n_good = 0;
    *n_run = 0;
    for (size_t i = first; i < first + n; i++) {
        if (tally && tally_is_done(tally, i)) continue;
        ++*n_run;
        filtags_status status = load(thread, i, &n_good);
        if (status) drop_picture(thread->runner, i, status);
    }
    return n_good;
}

/* First of the job's map requests that is of picture index or of one behind it. */
static size_t first_request(const struct runner_job *job, size_t index) {
    size_t first = 0, end = job->n_maps;
    while (first < end) {
        const size_t middle = first + (end - first) / 2;
        if (job->maps[middle].picture < index) first = middle + 1;
        else end = middle;
    }
    return first;
}

static size_t map_pixels(const struct runner_job *job, const struct map_request *request) {
    const filtags_layer *layer = filtags_model_layer(job->network->model, job->network->layers[request->layer]);
    return layer->shape[0] * layer->shape[1];
}

/* List the maps that are wanted of a micro-batch, with room for their values. */
static filtags_status list_maps(struct runner_thread *thread, size_t n_good) {
    const struct runner_job *job = thread->runner->job;
    struct map_list *list = &thread->maps;
    size_t n_values = 0;
    list->n = 0;
    for (size_t i = 0; i < n_good; i++) {
        size_t request = first_request(job, thread->indices[i]);
        for (; request < job->n_maps && job->maps[request].picture == thread->indices[i]; request++, list->n++) {
            void *maps = list->maps, *requests = list->requests;
            if (memory_grow(&maps, &list->maps_capacity, list->n + 1, sizeof *list->maps)) return FILTAGS_ERROR_MEMORY;
            list->maps = maps;
            if (memory_grow(&requests, &list->requests_capacity, list->n + 1, sizeof *list->requests))
                return FILTAGS_ERROR_MEMORY;
            list->requests = requests;
            list->requests[list->n] = request;
            list->maps[list->n] =
                (filtags_map){.image = i, .tap = job->maps[request].layer, .filter = job->maps[request].filter};
            n_values += map_pixels(job, &job->maps[request]);
        }
    }
    void *values = list->values;
    if (n_values && memory_grow(&values, &list->values_capacity, n_values, sizeof *list->values))
        return FILTAGS_ERROR_MEMORY;
    list->values = values;
    float *free_values = list->values;
    for (size_t i = 0; i < list->n; free_values += map_pixels(job, &job->maps[list->requests[i]]), i++)
        list->maps[i].values = free_values;
    return FILTAGS_OK;
}

static filtags_status run_network(struct runner_thread *thread, size_t n_good) {
    const struct runner_job *job = thread->runner->job;
    float *outputs = job->wants_output ? thread->outputs : NULL;
    filtags_status status = job->n_maps ? list_maps(thread, n_good) : FILTAGS_OK;
    if (status) return status;
    return filtags_worker_run_maps(thread->worker, thread->images, n_good, thread->activations, outputs,
                                   thread->bad_layers, thread->maps.maps, thread->maps.n);
}

/* Hand over the maps of the picture in a place of the micro-batch. */
static filtags_status hand_over_maps(const struct runner_thread *thread, size_t place) {
    const struct runner_job *job = thread->runner->job;
    filtags_status status = FILTAGS_OK;
    for (size_t i = 0; i < thread->maps.n && !status; i++)
        if (thread->maps.maps[i].image == place)
            status = job->take_map(job->context, thread->maps.requests[i], &thread->maps.maps[i]);
    return status;
}

static filtags_status not_finite(const struct runner_job *job, size_t index, int layer) {
    const filtags_layer *info = (size_t)layer < filtags_model_n_layers(job->network->model)
                                    ? filtags_model_layer(job->network->model, (size_t)layer)
                                    : NULL;
    return error_set(FILTAGS_ERROR_DATA, "%s/%s: finite values expected, found others in %s%s", job->images_dir,
                     job->files[index], info ? "the output of layer " : "the network's output", info ? info->name : "");
}

static filtags_status store_picture(struct runner_thread *thread, size_t place, const filtags_activation *activations,
                                    const float *outputs) {
    const struct runner_job *job = thread->runner->job;
    struct stored_top top;
    if (outputs) keep_top(outputs, job->network->n_outputs, &top);
    return picture_store_add(job->store, thread->hashes[place], activations, outputs ? &top : NULL);
}

static void hand_over(struct runner_thread *thread, size_t n_good) {
    struct runner *runner = thread->runner;
    const struct runner_job *job = runner->job;
    size_t n_filters = filter_table_n_filters(&job->network->table);
    for (size_t i = 0; i < n_good; i++) {
        if (thread->bad_layers[i] >= 0) {
            drop_picture(runner, thread->indices[i], not_finite(job, thread->indices[i], thread->bad_layers[i]));
            continue;
        }
        const filtags_activation *activations = thread->activations + i * n_filters;
        const float *outputs = job->wants_output ? thread->outputs + i * job->network->n_outputs : NULL;
        filtags_status status = hand_over_maps(thread, i);
        if (!status && job->store) status = store_picture(thread, i, activations, outputs);
        if (!status && job->take)
            status = job->take(job->context, thread->number, thread->indices[i], activations, outputs);
        if (status) give_up(runner, status);
    }
}

static void report_progress(struct runner *runner, size_t n) {
    const filtags_callbacks *callbacks = runner->job->callbacks;
    bool is_cancelled = false;
    pthread_mutex_lock(&runner->lock);
    runner->n_done += n;
    if (callbacks && callbacks->progress) {
        const struct runner_job *job = runner->job;
        const size_t n_elsewhere = job->count_elsewhere ? job->count_elsewhere(job->numbers_context) : 0;
        filtags_progress progress = {.what = job->what,
                                     .unit = "pictures",
                                     .n_done = runner->n_done + n_elsewhere,
                                     .n_total = runner->n_total,
                                     .n_before = runner->totals.n_before,
                                     .elapsed_sec = clock_sec() - runner->start_sec};
        callbacks->progress(callbacks->user, &progress);
    }
    if (callbacks && callbacks->is_cancelled) is_cancelled = callbacks->is_cancelled(callbacks->user);
    pthread_mutex_unlock(&runner->lock);
    if (is_cancelled) give_up(runner, error_set(FILTAGS_ERROR_CANCELLED, "stopped"));
}

/* Engine and worker, once a picture needs them: where all are in the store, no weights are read. */
static filtags_status prepare_worker(struct runner_thread *thread) {
    struct runner *runner = thread->runner;
    const struct runner_job *job = runner->job;
    filtags_status status = FILTAGS_OK;
    if (thread->worker) return FILTAGS_OK;
    pthread_mutex_lock(&runner->engine_lock);
    if (!runner->engine) {
        status = network_open_engine(job->network, job->options, job->batch, job->wants_output, job->late_engine);
        if (!status) runner->engine = *job->late_engine;
    }
    pthread_mutex_unlock(&runner->engine_lock);
    return status ? status : filtags_worker_create(runner->engine, &thread->worker);
}

static void *thread_main(void *argument) {
    struct runner_thread *thread = argument;
    struct runner *runner = thread->runner;
    size_t first = 0, n, n_run;
    filtags_status status = runner->job->engine ? prepare_worker(thread) : FILTAGS_OK;
    if (status) give_up(runner, status);
    while (!status && (n = take_numbers(runner, &first)) > 0) {
        const double start_sec = clock_sec();
        size_t n_good = decode(thread, first, n, &n_run);
        const double decode_sec = clock_sec() - start_sec;
        if (n_good > 0) status = prepare_worker(thread);
        if (n_good > 0 && !status) status = run_network(thread, n_good);
        thread->decode_sec += decode_sec;
        thread->network_sec += clock_sec() - start_sec - decode_sec;
        if (status) give_up(runner, status);
        else hand_over(thread, n_good);
        if (runner->job->after_batch) runner->job->after_batch(runner->job->after_batch_context);
        report_progress(runner, n_run);
    }
    filtags_worker_destroy(thread->worker);
    return NULL;
}

static filtags_status prepare_thread(struct runner *runner, struct runner_thread *thread, size_t number) {
    const struct runner_job *job = runner->job;
    const size_t *shape = job->network->shape;
    thread->runner = runner;
    thread->number = number;
    thread->images = memory_new_aligned(job->batch * shape[0] * shape[1] * shape[2], sizeof *thread->images);
    thread->activations =
        memory_new(job->batch * filter_table_n_filters(&job->network->table), sizeof *thread->activations);
    thread->outputs = memory_new(job->batch * job->network->n_outputs, sizeof *thread->outputs);
    thread->bad_layers = memory_new(job->batch, sizeof *thread->bad_layers);
    thread->indices = memory_new(job->batch, sizeof *thread->indices);
    thread->hashes = memory_new(job->batch, sizeof *thread->hashes);
    bool is_ready = thread->images && thread->activations && thread->outputs && thread->bad_layers &&
                    thread->indices && thread->hashes;
    return is_ready ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
}

static void free_thread(struct runner_thread *thread) {
    free(thread->images);
    free(thread->activations);
    free(thread->outputs);
    free(thread->bad_layers);
    free(thread->indices);
    free(thread->maps.maps);
    free(thread->maps.requests);
    free(thread->maps.values);
    free(thread->hashes);
    picture_reader_destroy(thread->reader);
}

/* What is to be done, and what of it was done before. */
static void start_counting(struct runner *runner) {
    const struct runner_job *job = runner->job;
    runner->next = job->is_part ? job->first : 0;
    runner->end = job->is_part ? job->end : job->n_files;
    runner->n_total = runner->end - runner->next;
    for (size_t i = runner->next; job->tally && i < runner->end; i++)
        runner->totals.n_before += tally_is_done(job->tally, i);
    runner->n_done = runner->totals.n_before;
}

/* All threads have ended: of a run that was stopped it is known now what is done. */
static filtags_status report_failure(const struct runner *runner) {
    if (runner->status == FILTAGS_ERROR_CANCELLED)
        return error_set(FILTAGS_ERROR_CANCELLED, "stopped after %zu of %zu pictures%s", runner->n_done,
                         runner->n_total, runner->job->tally ? "; the same command goes on from there" : "");
    return error_set(runner->status, "%s", runner->message ? runner->message : "out of memory");
}

filtags_status runner_run(const struct runner_job *job, struct runner_totals *totals) {
    struct runner runner = {.job = job, .engine = job->engine, .start_sec = clock_sec()};
    filtags_status status = FILTAGS_OK;
    size_t n_started = 0;
    struct runner_thread *threads = memory_new(job->n_threads, sizeof *threads);
    if (!threads) return FILTAGS_ERROR_MEMORY;
    pthread_mutex_init(&runner.lock, NULL);
    pthread_mutex_init(&runner.engine_lock, NULL);
    start_counting(&runner);
    for (size_t i = 0; !status && i < job->n_threads; i++) status = prepare_thread(&runner, &threads[i], i);
    for (; !status && n_started < job->n_threads; n_started++) {
        int error = pthread_create(&threads[n_started].handle, NULL, thread_main, &threads[n_started]);
        if (error) {
            status = error_set(FILTAGS_ERROR_MEMORY, "thread %zu of %zu could not be started: %s", n_started + 1,
                               job->n_threads, strerror(error));
            give_up(&runner, status);
            break;
        }
    }
    for (size_t i = 0; i < n_started; i++) {
        pthread_join(threads[i].handle, NULL);
        runner.totals.decode_sec += threads[i].decode_sec;
        runner.totals.network_sec += threads[i].network_sec;
        runner.totals.n_stored += threads[i].n_stored;
    }
    if (runner.status) status = report_failure(&runner);
    if (job->tally) runner.totals.n_bad = job->tally->n_bad;
    runner.totals.elapsed_sec = clock_sec() - runner.start_sec;
    if (!status) *totals = runner.totals;
    for (size_t i = 0; i < job->n_threads; i++) free_thread(&threads[i]);
    free(threads);
    free(runner.message);
    pthread_mutex_destroy(&runner.lock);
    pthread_mutex_destroy(&runner.engine_lock);
    return status;
}
