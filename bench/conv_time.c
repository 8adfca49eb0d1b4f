/* conv_time - which kernel is faster for which convolution: the convolutions of a network, each by our kernels and by
 * oneDNN, in turns. What src/engine/conv_own.c chooses by was found with it.
 *
 *     conv_time NETWORK [ISA [BATCH [ROUNDS]]]        ISA: portable, avx2, avx512
 *
 * Prints for every shape how often the network has it, the least processor time of a picture in milliseconds with each,
 * and the time that the multiplications of a plain sum would take if the processor did nothing else. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/block.h"
#include "engine/conv_onednn.h"
#include "engine/conv_own.h"
#include "engine/isa.h"
#include "engine/plan.h"
#include "engine/prepare.h"
#include "model/model_internal.h"

enum { MAX_SHAPES = 400, MAX_LAYERS = 1000 };

/* An engine has scratch memory for its largest convolution, which is large enough for huge pages. */
enum { HUGE_BYTES = 8 << 20 };

static double now_sec(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void check(filtags_status status) {
    if (status == FILTAGS_OK) return;
    fprintf(stderr, "%s\n", filtags_error_message());
    exit(1);
}

static float *random_block(size_t n, float scale) {
    float *values = block_new(n, sizeof *values);
    if (!values) exit(1);
    for (size_t i = 0; i < n; i++) values[i] = scale * ((float)rand() / (float)RAND_MAX - 0.5f);
    return values;
}

/* What the processor does at best: fused multiply-adds a second, by a product whose operands stay in cache. */
static double peak_per_sec(const struct kernels *kernels) {
    enum { ROWS = 96, N_K = 128, COLUMNS = 32 };
    struct conv_shape shape = {1, ROWS, N_K, 1, ROWS, COLUMNS, 1, {1, 1, 1, 1, 1, 1, {0, 0, 0, 0}}};
    struct conv_own *conv = NULL;
    float *in = random_block(ROWS * N_K, 1), *kernel = random_block(N_K * COLUMNS, 1),
          *out = random_block(ROWS * COLUMNS, 1);
    double least = INFINITY;
    check(conv_own_create(kernels, &shape, kernel, NULL, &conv));
    float *scratch = block_new(conv->scratch_bytes, 1);
    const struct conv_own_call call = {.in = in, .out = out, .n_images = 1, .n_units = conv->n_units};
    for (size_t i = 0; i < 200; i++) {
        const double start = now_sec();
        for (size_t k = 0; k < 20; k++) conv_own_run(conv, kernels, &call, scratch);
        least = fmin(least, (now_sec() - start) / 20);
    }
    conv_own_destroy(conv);
    free(scratch);
    free(in);
    free(kernel);
    free(out);
    return ROWS * N_K * COLUMNS / least;
}

static const char *const METHODS[] = {"gemm", "rows", "winograd"};

struct contest {
    struct conv_shape shape;
    size_t n_uses;
};

static size_t find_shapes(filtags_model *model, struct contest *contests) {
    static size_t layers[MAX_LAYERS];
    size_t n_layers = 0, n = 0;
    struct plan plan;
    for (size_t i = 0; i < filtags_model_n_layers(model); i++)
        if (filtags_model_layer(model, i)->n_filters) layers[n_layers++] = i;
    check(plan_create(model_graph(model), layers, n_layers, false, &plan));
    for (size_t s = 0; s < plan.n_steps; s++) {
        struct conv_shape shape;
        size_t i = 0;
        if (model_graph(model)->nodes[plan.steps[s].node].op != OP_CONV) continue;
        memset(&shape, 0, sizeof shape);
        prepare_conv_shape(model_graph(model), &plan.steps[s], &shape);
        while (i < n && memcmp(&contests[i].shape, &shape, sizeof shape) != 0) i++;
        if (i == MAX_SHAPES) continue;
        if (i == n) contests[n++] = (struct contest){shape, 0};
        contests[i].n_uses++;
    }
    plan_destroy(&plan);
    return n;
}

static void hold(struct conv_library *library, const struct kernels *kernels, const struct contest *contest,
                 size_t batch, size_t n_rounds, double peak, double total_ms[3]) {
    const struct conv_shape *shape = &contest->shape;
    const struct window *window = &shape->window;
    const size_t n_k = window->kernel_h * window->kernel_w * shape->in_c / shape->groups;
    const size_t in_floats = shape->in_h * shape->in_w * shape->in_c;
    const size_t out_floats = shape->out_h * shape->out_w * shape->out_c;
    float *in = random_block(batch * in_floats, 1), *out = random_block(batch * out_floats, 1);
    float *kernel = random_block(n_k * shape->out_c, 0.1f), *bias = random_block(shape->out_c, 0.1f);
    struct conv_own *own = NULL;
    struct conv *conv = NULL;
    struct conv_stream *stream = NULL;
    double least_sec[2] = {INFINITY, INFINITY};
    check(conv_own_create(kernels, shape, kernel, bias, &own));
    check(conv_create(library, shape, kernel, bias, &conv));
    check(conv_stream_create(library, &stream));
    float *scratch = own ? block_new(own->scratch_bytes + HUGE_BYTES, 1) : NULL;
    void *scratchpad = conv ? block_new(conv_scratchpad_bytes(conv), 1) : NULL;
    struct conv_own_call call = {.in = in, .in_stride = in_floats, .out = out, .out_stride = out_floats};
    for (size_t round = 0; round < n_rounds; round++) {
        double start = now_sec();
        if (own && own->is_layer_wide) {
            call.n_images = batch;
            call.n_units = own->n_units;
            conv_own_run(own, kernels, &call, scratch);
        } else if (own) {
            for (size_t i = 0; i < batch; i++)
                for (size_t unit = 0; unit < own->n_units; unit += own->portion) {
                    call.in = in + i * in_floats;
                    call.out = out + i * out_floats;
                    call.n_images = 1;
                    call.first_unit = unit;
                    call.n_units = own->n_units - unit < own->portion ? own->n_units - unit : own->portion;
                    conv_own_run(own, kernels, &call, scratch);
                }
        }
        least_sec[0] = own ? fmin(least_sec[0], now_sec() - start) : NAN;
        start = now_sec();
        for (size_t i = 0; conv && i < batch; i++)
            check(conv_run(conv, stream, scratchpad, in + i * in_floats, out + i * out_floats));
        least_sec[1] = conv ? fmin(least_sec[1], now_sec() - start) : NAN;
    }
    const double own_ms = least_sec[0] / (double)batch * 1e3, conv_ms = least_sec[1] / (double)batch * 1e3;
    const double plain_ms = (double)(out_floats * n_k) / peak * 1e3;
    total_ms[0] += own_ms * (double)contest->n_uses;
    total_ms[1] += conv_ms * (double)contest->n_uses;
    total_ms[2] += fmin(own_ms, conv_ms) * (double)contest->n_uses;
    printf("%3zu x %4zux%-4zu x %4zu -> %4zux%-4zu x %4zu  %zux%zu/%zu %-8s %8.3f  oneDNN %8.3f  plain %8.3f%s\n",
           contest->n_uses, shape->in_h, shape->in_w, shape->in_c, shape->out_h, shape->out_w, shape->out_c,
           window->kernel_h, window->kernel_w, window->stride_h, own ? METHODS[own->method] : "none",
           own_ms, conv_ms, plain_ms, conv_ms < own_ms ? "  <- oneDNN" : "");
    fflush(stdout);
    conv_own_destroy(own);
    conv_destroy(conv);
    conv_stream_destroy(stream);
    free(scratch);
    free(scratchpad);
    free(in);
    free(out);
    free(kernel);
    free(bias);
}

int main(int argc, char **argv) {
    static struct contest contests[MAX_SHAPES];
    const char *name = argc > 2 ? argv[2] : "auto";
    filtags_isa isa = FILTAGS_ISA_AUTO;
    for (filtags_isa i = FILTAGS_ISA_PORTABLE; i <= FILTAGS_ISA_AVX512; i++)
        if (strcmp(isa_name(i), name) == 0) isa = i;
    const size_t batch = argc > 3 ? (size_t)atoi(argv[3]) : 4, n_rounds = argc > 4 ? (size_t)atoi(argv[4]) : 5;
    if (argc < 2 || batch < 1 || n_rounds < 1) {
        fprintf(stderr, "usage: conv_time NETWORK [ISA [BATCH [ROUNDS]]]\n");
        return 2;
    }
    filtags_model *model = NULL;
    struct conv_library *library = NULL;
    double total_ms[3] = {0, 0, 0};
    check(filtags_model_create_network(argv[1], 10, NULL, &model));
    check(isa_resolve(isa, &isa));
    check(conv_library_create(isa, &library));
    conv_hold_threads();
    const struct kernels *kernels = kernels_for(isa);
    const double peak = peak_per_sec(kernels);
    const size_t n = find_shapes(model, contests);
    printf("%s, %s, batch %zu, one thread; %.1f GFLOPS at best\n", argv[1], isa_name(isa), batch, 2e-9 * peak);
    for (size_t i = 0; i < n; i++) hold(library, kernels, &contests[i], batch, n_rounds, peak, total_ms);
    printf("all: ours %.2f ms, oneDNN %.2f ms, the faster each time %.2f ms\n", total_ms[0], total_ms[1], total_ms[2]);
    conv_library_destroy(library);
    filtags_model_destroy(model);
    return 0;
}
