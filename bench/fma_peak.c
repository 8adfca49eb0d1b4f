/* What the machine can do: floating-point operations and bytes of memory a second.
 *
 *     cc -O3 -march=native -pthread bench/fma_peak.c -o fma_peak && ./fma_peak THREADS SECONDS
 *
 * Prints {"gflops": ..., "gbytes": ...}, of all threads together. 32-bit multiply-adds on registers, as many chains as
 * hide their latency; and a scaled copy of arrays that no cache holds (two bytes moved for each one of the array). */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#ifdef __AVX512F__
enum { LANES = 16 };
#else
enum { LANES = 8 };
#endif
enum { N_CHAINS = 12, N_ROUNDS = 2000, N_FLOATS = 1 << 23 };
typedef float vector __attribute__((vector_size(4 * LANES)));

struct measurement {
    pthread_t thread;
    double seconds, gflops, gbytes;
};

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static double measure_fma(double seconds) {
    vector sums[N_CHAINS], factor, addend;
    double n_operations = 0, start = now(), elapsed;
    for (int lane = 0; lane < LANES; lane++) factor[lane] = 0.999f, addend[lane] = 0.001f;
    for (int i = 0; i < N_CHAINS; i++) sums[i] = addend * (float)(i + 1);
    do {
        for (int round = 0; round < N_ROUNDS; round++) {
#pragma GCC unroll 12
            for (int i = 0; i < N_CHAINS; i++) sums[i] = sums[i] * factor + addend; /* contracted to one instruction */
            __asm__ volatile("" : "+x"(factor));
        }
        n_operations += 2.0 * LANES * N_CHAINS * N_ROUNDS;
        elapsed = now() - start;
    } while (elapsed < seconds);
    float total = 0;
    for (int i = 0; i < N_CHAINS; i++) total += sums[i][0];
    return total > 1e30f ? 0 : n_operations / elapsed * 1e-9;
}

static double measure_copy(double seconds) {
    float *from = malloc(N_FLOATS * sizeof *from), *to = malloc(N_FLOATS * sizeof *to);
    double n_bytes = 0, start, elapsed;
    if (!from || !to) return 0;
    for (size_t i = 0; i < N_FLOATS; i++) from[i] = to[i] = (float)i;
    start = now();
    do {
        for (size_t i = 0; i < N_FLOATS; i++) to[i] = 0.5f * from[i];
        __asm__ volatile("" : : "r"(to) : "memory");
        n_bytes += 2.0 * N_FLOATS * sizeof *from;
        elapsed = now() - start;
    } while (elapsed < seconds);
    free(from);
    free(to);
    return n_bytes / elapsed * 1e-9;
}

static void *measure(void *argument) {
    struct measurement *one = argument;
    one->gflops = measure_fma(one->seconds);
    one->gbytes = measure_copy(one->seconds);
    return NULL;
}

int main(int argc, char **argv) {
    int n_threads = argc > 1 ? atoi(argv[1]) : 1;
    double seconds = argc > 2 ? atof(argv[2]) : 0.5, gflops = 0, gbytes = 0;
    struct measurement *all = calloc((size_t)n_threads, sizeof *all);
    for (int i = 0; i < n_threads; i++) {
        all[i].seconds = seconds;
        if (pthread_create(&all[i].thread, NULL, measure, &all[i])) return 1;
    }
    for (int i = 0; i < n_threads; i++) {
        pthread_join(all[i].thread, NULL);
        gflops += all[i].gflops;
        gbytes += all[i].gbytes;
    }
    printf("{\"gflops\": %.1f, \"gbytes\": %.1f}\n", gflops, gbytes);
    free(all);
    return 0;
}
