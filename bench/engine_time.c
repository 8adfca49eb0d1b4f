/* engine_time - time of the engine alone, without decoding: a network of keras.applications with weights by chance.
 *
 *     engine_time NETWORK [ISA [BATCH [THREADS [ROUNDS]]]]        ISA: auto, portable, avx2, avx512
 *
 * Every Conv2D layer is tapped. A round is one micro-batch in every thread. Prints milliseconds a picture, all threads
 * together, least and median of the rounds: first as the clock goes, then processor time divided by the number of
 * threads, which says more where other processes use the machine too. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/model_internal.h"

enum { MAX_LAYERS = 1000, MAX_ROUNDS = 1000, MAX_THREADS = 64 };

static double now_sec(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static float uniform(uint64_t index) { /* [-1, 1), splitmix64 */
    uint64_t z = index + 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (float)(int32_t)((z ^ (z >> 31)) >> 32) * 0x1p-31f;
}

/* Kernels by He's rule, so that activations neither die out nor overflow. */
static void fill_weight(void *user, size_t index, const struct weight *weight, float *values) {
    (void)user;
    size_t n = 1;
    for (size_t d = 0; d < weight->n_dims; d++) n *= weight->dim[d];
    const bool is_kernel = weight->n_dims > 1;
    const float scale = is_kernel ? sqrtf(6.0f * (float)weight->dim[weight->n_dims - 1] / (float)n) : 0.2f;
    const float base = strstr(weight->name, "gamma") || strstr(weight->name, "variance") ? 1 : 0;
    for (size_t i = 0; i < n; i++) values[i] = base + scale * uniform(((uint64_t)index << 32) + i);
}

static filtags_isa isa_of(const char *name) {
    static const char *const names[] = {"auto", "portable", "avx2", "avx512"};
    for (size_t i = 0; i < 4; i++)
        if (strcmp(name, names[i]) == 0) return (filtags_isa)i;
    fprintf(stderr, "%s: no such instruction set\n", name);
    exit(2);
}

static void check(filtags_status status) {
    if (status == FILTAGS_OK) return;
    fprintf(stderr, "%s\n", filtags_error_message());
    exit(1);
}

struct job {
    filtags_engine *engine;
    pthread_barrier_t *barrier;
    const float *images; /* [batch, h, w, c] */
    size_t batch, n_rounds, thread;
    double (*times_sec)[MAX_ROUNDS + 2]; /* [2][n_rounds + 1] when each round began, by thread 0 */
};

static void *run_job(void *user) {
    const struct job *job = user;
    filtags_worker *worker = NULL;
    check(filtags_worker_create(job->engine, &worker));
    filtags_activation *activations = calloc(job->batch * filtags_engine_n_filters(job->engine), sizeof *activations);
    int *bad_layers = calloc(job->batch, sizeof *bad_layers);
    for (size_t round = 0; round <= job->n_rounds + 1; round++) { /* the first one warms up */
        pthread_barrier_wait(job->barrier);
        if (job->thread == 0 && round > 0) {
            job->times_sec[0][round - 1] = now_sec(CLOCK_MONOTONIC);
            job->times_sec[1][round - 1] = now_sec(CLOCK_PROCESS_CPUTIME_ID);
        }
        if (round <= job->n_rounds)
            check(filtags_worker_run(worker, job->images, job->batch, activations, NULL, bad_layers));
    }
    if (job->thread == 0 && bad_layers[0] >= 0) fprintf(stderr, "layer %d is not finite\n", bad_layers[0]);
    free(bad_layers);
    free(activations);
    filtags_worker_destroy(worker);
    return NULL;
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(filtags_engine *engine, const float *images, size_t batch, size_t n_threads, size_t n_rounds) {
    static double times_sec[2][MAX_ROUNDS + 2];
    struct job jobs[MAX_THREADS];
    pthread_t threads[MAX_THREADS];
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, (unsigned)n_threads);
    for (size_t t = 0; t < n_threads; t++) {
        jobs[t] = (struct job){engine, &barrier, images, batch, n_rounds, t, times_sec};
        pthread_create(&threads[t], NULL, run_job, &jobs[t]);
    }
    for (size_t t = 0; t < n_threads; t++) pthread_join(threads[t], NULL);
    for (size_t i = 0; i < 2; i++) {
        double *times = times_sec[i];
        for (size_t r = 0; r < n_rounds; r++)
            times[r] = (times[r + 1] - times[r]) / (double)(batch * n_threads * (i ? n_threads : 1)) * 1e3;
        qsort(times, n_rounds, sizeof *times, compare);
        printf("%s%7.2f %7.2f", i ? "   processor" : "", times[0], times[n_rounds / 2]);
    }
    printf("\n");
}

int main(int argc, char **argv) {
    static size_t layers[MAX_LAYERS];
    if (argc < 2) {
        fprintf(stderr, "usage: engine_time NETWORK [ISA [BATCH [THREADS [ROUNDS]]]]\n");
        return 2;
    }
    const size_t batch = argc > 3 ? (size_t)atoi(argv[3]) : 4, n_threads = argc > 4 ? (size_t)atoi(argv[4]) : 2;
    const size_t n_rounds = argc > 5 ? (size_t)atoi(argv[5]) : 10;
    if (batch < 1 || n_threads < 1 || n_threads > MAX_THREADS || n_rounds < 1 || n_rounds > MAX_ROUNDS) return 2;
    filtags_model *model = NULL;
    filtags_engine *engine = NULL;
    check(filtags_model_create_network(argv[1], 10, NULL, &model));
    model->fill = fill_weight;
    filtags_engine_options options = {
        .layers = layers, .isa = argc > 2 ? isa_of(argv[2]) : FILTAGS_ISA_AUTO, .max_batch = batch};
    for (size_t i = 0; i < filtags_model_n_layers(model); i++)
        if (filtags_model_layer(model, i)->n_filters) layers[options.n_layers++] = i;
    check(filtags_engine_create(model, &options, &engine));
    size_t shape[3];
    filtags_model_input_shape(model, shape);
    const size_t n = batch * shape[0] * shape[1] * shape[2];
    float *images = malloc(n * sizeof *images);
    if (!images) return 1;
    for (size_t i = 0; i < n; i++) images[i] = uniform(i) * 100;
    printf("%-18s %-8s batch %zu, %zu threads: ", argv[1], argc > 2 ? argv[2] : "auto", batch, n_threads);
    fflush(stdout);
    measure(engine, images, batch, n_threads, n_rounds);
    free(images);
    filtags_engine_destroy(engine);
    filtags_model_destroy(model);
    return 0;
}
