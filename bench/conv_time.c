/* conv_time - which way is faster for which convolution: the convolutions of networks, each in every way that there is
 * for it (src/engine/conv_way.h), in turns. bench/costs.py makes the table of costs of what it prints.
 *
 *     conv_time NETWORK[,NETWORK...] [ISA [BATCH [ROUNDS]]]        ISA: portable, avx2, avx512
 *
 * Among the networks, 'grid' stands for small convolutions of all windows, from few to many channels.
 *
 * A line for each shape and way: how often the networks have the shape, the least processor time of a picture in
 * milliseconds, the sums, minimum and maximum of the output taken as the engine takes them (of our kernels, portion by
 * portion while it is in cache; of oneDNN's output as a whole), what the way has to do (see conv_counts), and '*' after
 * the way that the table chooses. */
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

enum { MAX_SHAPES = 1000, MAX_LAYERS = 1000 };

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

struct contest {
    struct conv_shape shape;
    size_t n_uses;
};

/* Returns how many contests there are then. */
static size_t add_shape(const struct conv_shape *shape, struct contest *contests, size_t n) {
    size_t i = 0;
    while (i < n && memcmp(&contests[i].shape, shape, sizeof *shape) != 0) i++;
    if (i == MAX_SHAPES) return n;
    if (i == n) contests[i] = (struct contest){*shape, 0};
    contests[i].n_uses++;
    return i == n ? n + 1 : n;
}

static size_t add_grid(struct contest *contests, size_t n) {
    static const struct window windows[] = {
        {3, 3, 1, 1, 1, 1, {1, 1, 1, 1}}, {5, 5, 1, 1, 1, 1, {2, 2, 2, 2}}, {1, 3, 1, 1, 1, 1, {0, 0, 1, 1}},
        {3, 1, 1, 1, 1, 1, {1, 1, 0, 0}}, {1, 7, 1, 1, 1, 1, {0, 0, 3, 3}}, {7, 1, 1, 1, 1, 1, {3, 3, 0, 0}},
        {1, 1, 1, 1, 1, 1, {0, 0, 0, 0}}, {1, 1, 2, 2, 1, 1, {0, 0, 0, 0}}, {3, 3, 2, 2, 1, 1, {1, 1, 1, 1}}};
    static const size_t sizes[] = {8, 17, 35}, inputs[] = {3, 12, 40, 144}, outputs[] = {16, 48, 144};
    for (size_t i = 0; i < 9 * 3 * 4 * 3; i++) {
        const struct window *window = &windows[i / 36];
        const size_t size = sizes[i / 12 % 3], out = (size + window->stride_h - 1) / window->stride_h;
        const struct conv_shape shape = {size, size, inputs[i / 3 % 4], out, out, outputs[i % 3], 1, *window};
        n = add_shape(&shape, contests, n);
    }
    return n;
}

/* Add a model's shapes to the first n contests; returns how many there are then. */
static size_t find_shapes(filtags_model *model, struct contest *contests, size_t n) {
    static size_t layers[MAX_LAYERS];
    size_t n_layers = 0;
    struct plan plan;
    for (size_t i = 0; i < filtags_model_n_layers(model); i++)
        if (filtags_model_layer(model, i)->n_filters) layers[n_layers++] = i;
    check(plan_create(model_graph(model), layers, n_layers, false, &plan));
    for (size_t s = 0; s < plan.n_steps; s++) {
        struct conv_shape shape;
        if (model_graph(model)->nodes[plan.steps[s].node].op != OP_CONV) continue;
        prepare_conv_shape(model_graph(model), &plan.steps[s], &shape);
        n = add_shape(&shape, contests, n);
    }
    plan_destroy(&plan);
    return n;
}

/* One way to compute a shape. */
struct contender {
    enum conv_way way;
    struct conv_own *own; /* or: */
    struct conv *conv;
    void *scratch;
    double least_sec;
};

/* What all contenders work on. */
struct field {
    struct conv_library *library;
    struct conv_stream *stream;
    const struct kernels *kernels;
    size_t batch, n_rounds;
    struct conv_shape shape;
    size_t in_floats, out_floats; /* of a picture */
    float *in, *out;              /* [batch][...] */
    double *sums;                 /* [out_c] */
};

static void tap(const struct field *field, const float *values, size_t n_pixels) {
    float range[2] = {INFINITY, -INFINITY};
    field->kernels->tap(values, field->shape.out_c, n_pixels, field->shape.out_c, field->sums, range);
}

static void run_own(const struct field *field, const struct contender *contender) {
    const struct conv_own *own = contender->own;
    struct conv_own_call call = {.in = field->in, .in_stride = field->in_floats, .out = field->out,
                                 .out_stride = field->out_floats, .n_images = field->batch, .n_units = own->n_units};
    const size_t n_pixels = field->shape.out_h * field->shape.out_w;
    if (own->is_layer_wide) conv_own_run(own, field->kernels, &call, contender->scratch);
    for (size_t i = 0; i < field->batch; i++) {
        call.in = field->in + i * field->in_floats;
        call.out = field->out + i * field->out_floats;
        call.n_images = 1;
        if (own->is_layer_wide) tap(field, call.out, n_pixels);
        for (size_t unit = 0; !own->is_layer_wide && unit < own->n_units; unit += own->portion) {
            const size_t first = unit * own->unit_pixels, end = (unit + own->portion) * own->unit_pixels;
            call.first_unit = unit;
            call.n_units = own->n_units - unit < own->portion ? own->n_units - unit : own->portion;
            conv_own_run(own, field->kernels, &call, contender->scratch);
            tap(field, call.out + first * field->shape.out_c, (end < n_pixels ? end : n_pixels) - first);
        }
    }
}

static void run_onednn(const struct field *field, const struct contender *contender) {
    for (size_t i = 0; i < field->batch; i++) {
        float *out = field->out + i * field->out_floats;
        check(conv_run(contender->conv, field->stream, contender->scratch, field->in + i * field->in_floats, out));
        tap(field, out, field->shape.out_h * field->shape.out_w);
    }
}

/* Make the contenders for a shape; returns how many. */
static size_t enter(const struct field *field, const float *kernel, const float *bias,
                    struct contender contenders[CONV_N_WAYS]) {
    size_t n = 0;
    for (enum conv_way way = 0; way < CONV_N_WAYS; way++) {
        struct contender *contender = &contenders[n];
        if (!conv_way_fits(way, &field->shape)) continue;
        *contender = (struct contender){.way = way, .least_sec = INFINITY};
        if (conv_way_is_onednn(way)) {
            check(conv_create(field->library, &field->shape, kernel, bias, &contender->conv));
            if (!contender->conv) continue;
            contender->scratch = block_new(conv_scratchpad_bytes(contender->conv), 1);
        } else {
            check(conv_own_create(field->kernels, &field->shape, way, kernel, bias, &contender->own));
            contender->scratch = block_new(contender->own->scratch_bytes + HUGE_BYTES, 1);
        }
        if (!contender->scratch) exit(1);
        n++;
    }
    return n;
}

static void print_shape(const struct contest *contest) {
    const struct conv_shape *shape = &contest->shape;
    printf("%zu\t%zux%zux%zu>%zux%zux%zu\t%zux%zu/%zu\t", contest->n_uses, shape->in_h, shape->in_w, shape->in_c,
           shape->out_h, shape->out_w, shape->out_c, shape->window.kernel_h, shape->window.kernel_w,
           shape->window.stride_h);
}

/* total_ms: of what the table chooses, of the fastest. */
static void hold(struct field *field, const struct contest *contest, double total_ms[2]) {
    struct contender contenders[CONV_N_WAYS];
    const struct conv_shape *shape = &contest->shape;
    const size_t n_k = shape->window.kernel_h * shape->window.kernel_w * shape->in_c / shape->groups;
    double fastest = INFINITY;
    field->shape = *shape;
    field->in_floats = shape->in_h * shape->in_w * shape->in_c;
    field->out_floats = shape->out_h * shape->out_w * shape->out_c;
    field->in = random_block(field->batch * field->in_floats, 1);
    field->out = random_block(field->batch * field->out_floats, 1);
    field->sums = calloc(shape->out_c, sizeof *field->sums);
    float *kernel = random_block(n_k * shape->out_c, 0.1f), *bias = random_block(shape->out_c, 0.1f);
    if (!field->sums) exit(1);
    const size_t n = enter(field, kernel, bias, contenders);
    for (size_t round = 0; round < field->n_rounds; round++)
        for (size_t i = 0; i < n; i++) {
            const double start = now_sec();
            if (contenders[i].own) run_own(field, &contenders[i]);
            else run_onednn(field, &contenders[i]);
            contenders[i].least_sec = fmin(contenders[i].least_sec, now_sec() - start);
        }
    const enum conv_way chosen = conv_way_choose(shape, field->kernels, true);
    for (size_t i = 0; i < n; i++) {
        const struct contender *contender = &contenders[i];
        const double ms = contender->least_sec / (double)field->batch * 1e3;
        const struct conv_counts counts = conv_way_count(contender->way, shape, field->kernels);
        print_shape(contest);
        printf("%s\t%.4f\t%llu\t%llu\t%llu\t%llu%s\n", conv_way_name(contender->way), ms,
               (unsigned long long)counts.products, (unsigned long long)counts.inputs,
               (unsigned long long)counts.outputs, (unsigned long long)counts.weights,
               contender->way == chosen ? "\t*" : "");
        fastest = fmin(fastest, ms);
        if (contender->way == chosen) total_ms[0] += ms * (double)contest->n_uses;
        conv_own_destroy(contender->own);
        conv_destroy(contender->conv);
        free(contender->scratch);
    }
    total_ms[1] += fastest * (double)contest->n_uses;
    fflush(stdout);
    free(field->in);
    free(field->out);
    free(field->sums);
    free(kernel);
    free(bias);
}

int main(int argc, char **argv) {
    static struct contest contests[MAX_SHAPES];
    const char *name = argc > 2 ? argv[2] : "auto";
    filtags_isa isa = FILTAGS_ISA_AUTO;
    for (filtags_isa i = FILTAGS_ISA_PORTABLE; i <= FILTAGS_ISA_AVX512; i++)
        if (strcmp(isa_name(i), name) == 0) isa = i;
    struct field field = {.batch = argc > 3 ? (size_t)atoi(argv[3]) : 4,
                          .n_rounds = argc > 4 ? (size_t)atoi(argv[4]) : 5};
    if (argc < 2 || field.batch < 1 || field.n_rounds < 1) {
        fprintf(stderr, "usage: conv_time NETWORK[,NETWORK...] [ISA [BATCH [ROUNDS]]]\n");
        return 2;
    }
    size_t n = 0;
    double total_ms[2] = {0, 0};
    for (char *network = strtok(argv[1], ","); network; network = strtok(NULL, ",")) {
        filtags_model *model = NULL;
        if (strcmp(network, "grid") == 0) {
            n = add_grid(contests, n);
            continue;
        }
        check(filtags_model_create_network(network, 10, NULL, &model));
        n = find_shapes(model, contests, n);
        filtags_model_destroy(model);
    }
    check(isa_resolve(isa, &isa));
    check(conv_library_create(isa, &field.library));
    check(conv_stream_create(field.library, &field.stream));
    conv_hold_threads();
    field.kernels = kernels_for(isa);
    printf("# %s, batch %zu, one thread\n# uses\tshape\twindow\tway\tms\tproducts\tinputs\toutputs\tweights\n",
           isa_name(isa), field.batch);
    for (size_t i = 0; i < n; i++) hold(&field, &contests[i], total_ms);
    printf("# all: by the table %.2f ms, the fastest each time %.2f ms\n", total_ms[0], total_ms[1]);
    conv_stream_destroy(field.stream);
    conv_library_destroy(field.library);
    return 0;
}
