#include "steps/runner.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/memory.h"

/* Shared by the threads of a run; everything below lock is guarded by it. */
struct runner {
    const struct runner_job *job;
    struct timespec start;
    pthread_mutex_t lock;
    size_t next; /* first picture that nobody has taken */
    size_t n_done;
    struct runner_totals totals;
    filtags_status status; /* first fatal failure */
    char *message;
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
    double decode_sec, network_sec;
};

static double seconds_since(const struct timespec *start) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + 1e-9 * (double)(now.tv_nsec - start->tv_nsec);
}

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

/* A picture can't be used; the error message says why. */
static void drop_picture(struct runner *runner, size_t index, filtags_status status) {
    const struct runner_job *job = runner->job;
    if (job->is_strict || status == FILTAGS_ERROR_MEMORY || status == FILTAGS_ERROR_INTERNAL) {
        give_up(runner, status);
        return;
    }
    output_log(job->output, FILTAGS_LOG_WARNING, "%s (the picture is left out)", filtags_error_message());
    pthread_mutex_lock(&runner->lock);
    job->is_bad[index] = true;
    runner->totals.n_bad++;
    pthread_mutex_unlock(&runner->lock);
}

/* Take the numbers of up to batch pictures, leaving some for the others at the end of the list. */
static size_t take_numbers(struct runner *runner, size_t *first) {
    const struct runner_job *job = runner->job;
    size_t n = 0;
    pthread_mutex_lock(&runner->lock);
    if (!runner->status && runner->next < job->n_files) {
        size_t share = (job->n_files - runner->next + job->n_threads - 1) / job->n_threads;
        n = share < job->batch ? share : job->batch;
        *first = runner->next;
        runner->next += n;
    }
    pthread_mutex_unlock(&runner->lock);
    return n;
}

static filtags_status load_picture(struct runner_thread *thread, size_t index, const char *path, float *pixels) {
    const struct runner_job *job = thread->runner->job;
    const size_t *shape = job->network->shape;
    struct image image = {0};
    if (!job->look) return filtags_image_load(path, shape[0], shape[1], shape[2], job->preprocess, pixels);
    filtags_status status = image_open(path, &image);
    if (!status) status = job->look(job->context, thread->number, index, &image);
    if (!status) status = image_convert(&image, shape[2]);
    if (!status) status = image_write_tensor(&image, shape[0], shape[1], job->preprocess, pixels);
    image_free(&image);
    return status;
}

/* Decode n pictures from number first on. Returns how many are good; thread->indices says which. */
static size_t decode(struct runner_thread *thread, size_t first, size_t n) {
    const struct runner_job *job = thread->runner->job;
    const size_t *shape = job->network->shape;
    size_t n_good = 0;
    for (size_t i = first; i < first + n; i++) {
        char *path = path_join(job->images_dir, job->files[i]);
        filtags_status status =
            path ? load_picture(thread, i, path, thread->images + n_good * shape[0] * shape[1] * shape[2])
                 : FILTAGS_ERROR_MEMORY;
        free(path);
        if (status) drop_picture(thread->runner, i, status);
        else thread->indices[n_good++] = i;
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

static void hand_over(struct runner_thread *thread, size_t n_good) {
    struct runner *runner = thread->runner;
    const struct runner_job *job = runner->job;
    size_t n_filters = filtags_engine_n_filters(job->engine);
    for (size_t i = 0; i < n_good; i++) {
        if (thread->bad_layers[i] >= 0) {
            drop_picture(runner, thread->indices[i], not_finite(job, thread->indices[i], thread->bad_layers[i]));
            continue;
        }
        filtags_status status = hand_over_maps(thread, i);
        if (!status && job->take) {
            status = job->take(job->context, thread->number, thread->indices[i], thread->activations + i * n_filters,
                               job->wants_output ? thread->outputs + i * job->network->n_outputs : NULL);
        }
        if (status) give_up(runner, status);
    }
}

static void report_progress(struct runner *runner, size_t n) {
    const filtags_callbacks *callbacks = runner->job->callbacks;
    bool is_cancelled = false;
    pthread_mutex_lock(&runner->lock);
    runner->n_done += n;
    if (callbacks && callbacks->progress) {
        filtags_progress progress = {.what = runner->job->what,
                                     .unit = "pictures",
                                     .n_done = runner->n_done,
                                     .n_total = runner->job->n_files,
                                     .elapsed_sec = seconds_since(&runner->start)};
        callbacks->progress(callbacks->user, &progress);
    }
    if (callbacks && callbacks->is_cancelled) is_cancelled = callbacks->is_cancelled(callbacks->user);
    pthread_mutex_unlock(&runner->lock);
    if (is_cancelled) {
        give_up(runner, error_set(FILTAGS_ERROR_CANCELLED, "stopped after %zu of %zu pictures", runner->n_done,
                                  runner->job->n_files));
    }
}

static void *thread_main(void *argument) {
    struct runner_thread *thread = argument;
    struct runner *runner = thread->runner;
    size_t first = 0, n;
    filtags_status status = filtags_worker_create(runner->job->engine, &thread->worker);
    if (status) give_up(runner, status);
    while (!status && (n = take_numbers(runner, &first)) > 0) {
        struct timespec start;
        clock_gettime(CLOCK_MONOTONIC, &start);
        size_t n_good = decode(thread, first, n);
        double decode_sec = seconds_since(&start);
        if (n_good > 0) status = run_network(thread, n_good);
        thread->decode_sec += decode_sec;
        thread->network_sec += seconds_since(&start) - decode_sec;
        if (status) give_up(runner, status);
        else hand_over(thread, n_good);
        report_progress(runner, n);
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
    thread->activations = memory_new(job->batch * filtags_engine_n_filters(job->engine), sizeof *thread->activations);
    thread->outputs = memory_new(job->batch * job->network->n_outputs, sizeof *thread->outputs);
    thread->bad_layers = memory_new(job->batch, sizeof *thread->bad_layers);
    thread->indices = memory_new(job->batch, sizeof *thread->indices);
    bool is_ready = thread->images && thread->activations && thread->outputs && thread->bad_layers && thread->indices;
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
}

filtags_status runner_run(const struct runner_job *job, struct runner_totals *totals) {
    struct runner runner = {.job = job};
    filtags_status status = FILTAGS_OK;
    size_t n_started = 0;
    struct runner_thread *threads = memory_new(job->n_threads, sizeof *threads);
    if (!threads) return FILTAGS_ERROR_MEMORY;
    pthread_mutex_init(&runner.lock, NULL);
    clock_gettime(CLOCK_MONOTONIC, &runner.start);
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
    }
    if (runner.status) status = error_set(runner.status, "%s", runner.message ? runner.message : "out of memory");
    runner.totals.elapsed_sec = seconds_since(&runner.start);
    if (!status) *totals = runner.totals;
    for (size_t i = 0; i < job->n_threads; i++) free_thread(&threads[i]);
    free(threads);
    free(runner.message);
    pthread_mutex_destroy(&runner.lock);
    return status;
}
