#include <stdint.h>
#include <string.h>

#include "engine/engine.h"
#include "engine/maps.h"
#include "engine/move_ops.h"
#include "engine/tap.h"

/* Bytes of one tensor's strip: several tensors of a group, and the sums, shall fit into a first-level cache. */
enum { STRIP_BYTES = 16384, STRIP_MIN_PIXELS = 8 };

static size_t image_stride(const struct filtags_worker *worker, int node) {
    const struct plan *plan = &worker->engine->plan;
    const int storage = plan->places[node].storage;
    if (storage == PLAN_INPUT_STORAGE)
        return shape_count(&worker->engine->graph->nodes[worker->engine->graph->input_node].shape);
    return plan->storages[storage].n_floats;
}

float *execute_output(const struct filtags_worker *worker, int node, size_t image) {
    const struct plan *plan = &worker->engine->plan;
    const struct plan_place *place = &plan->places[node];
    /* The plan never writes to the caller's pictures. */
    if (place->storage == PLAN_INPUT_STORAGE) return (float *)worker->images + image * image_stride(worker, node);
    const struct plan_storage *storage = &plan->storages[place->storage];
    float *values = worker->arena + storage->offset;
    if (storage->is_passed_on)
        values = worker->arena + plan->shared_floats + storage->offset * worker->n_images + image * storage->n_floats;
    if (place->storage == worker->passing_storage) /* may begin in front of the arena, but is not read there */
        values = (float *)((uintptr_t)values - worker->passed_floats * sizeof *values);
    return values + place->first_channel;
}

/* Floats from one pixel of a node's output to the next. */
static size_t pixel_floats(const struct filtags_worker *worker, int node) {
    return worker->engine->plan.places[node].pixel_floats;
}

/* A node's output from a pixel on. */
static float *output_from(const struct filtags_worker *worker, int node, size_t image, size_t first) {
    return execute_output(worker, node, image) + first * pixel_floats(worker, node);
}

static const float *input_values(const struct filtags_worker *worker, const struct node *node, size_t k, size_t image) {
    return execute_output(worker, node->inputs[k], image);
}

static const struct shape *input_shape(const struct filtags_worker *worker, const struct node *node, size_t k) {
    return &worker->engine->graph->nodes[node->inputs[k]].shape;
}

static enum binary_op binary_op_of(enum op_kind op) {
    switch (op) {
    case OP_SUBTRACT: return BINARY_SUBTRACT;
    case OP_MULTIPLY: return BINARY_MULTIPLY;
    case OP_MAXIMUM: return BINARY_MAXIMUM;
    case OP_MINIMUM: return BINARY_MINIMUM;
    default: return BINARY_ADD; /* OP_ADD, OP_AVERAGE */
    }
}

/* ------------------------------------------------------------------ roots */

static void pool_shape_of(const struct filtags_worker *worker, int index, struct pool_shape *shape) {
    const struct node *node = &worker->engine->graph->nodes[index];
    *shape = (struct pool_shape){.out_pixel = pixel_floats(worker, index), .window = node->window};
    shape_as_map(input_shape(worker, node, 0), &shape->in_h, &shape->in_w, &shape->c);
    shape_as_map(&node->shape, &shape->out_h, &shape->out_w, &shape->c);
}

/* Rows [first_row, end_row) of a pooling's output. */
static void execute_pool(struct filtags_worker *worker, int index, size_t image, const struct pool_shape *shape) {
    const struct kernels *kernels = worker->engine->kernels;
    const struct node *node = &worker->engine->graph->nodes[index];
    const float *in = input_values(worker, node, 0, image);
    float *out = execute_output(worker, index, image);
    if (node->op == OP_MAX_POOL) kernels->max_pool(shape, in, out);
    else kernels->avg_pool(shape, in, out);
}

static void execute_whole_pool(struct filtags_worker *worker, int index, size_t image) {
    struct pool_shape shape;
    pool_shape_of(worker, index, &shape);
    shape.end_row = shape.out_h;
    execute_pool(worker, index, image, &shape);
}

/* The rows of a pooling that n_rows of its input are enough for; shape keeps count. */
static void execute_pool_so_far(struct filtags_worker *worker, int index, size_t image, size_t n_rows,
                                struct pool_shape *shape) {
    const struct window *window = &shape->window;
    const bool is_all = n_rows == shape->in_h;
    shape->first_row = shape->end_row;
    while (shape->end_row < shape->out_h &&
           (is_all || shape->end_row * window->stride_h + window->kernel_h <= n_rows + window->padding.top))
        shape->end_row++;
    if (shape->first_row < shape->end_row) execute_pool(worker, index, image, shape);
}

static void execute_global_pool(struct filtags_worker *worker, const struct node *node, const float *in, float *out) {
    const struct kernels *kernels = worker->engine->kernels;
    size_t h, w, c;
    float range[2];
    shape_as_map(input_shape(worker, node, 0), &h, &w, &c);
    if (node->op == OP_GLOBAL_MAX_POOL) {
        kernels->global_max_pool(in, h * w, c, out);
        return;
    }
    tap_start(worker->channel_sums, c, range);
    kernels->tap(in, c, h * w, c, worker->channel_sums, range);
    for (size_t i = 0; i < c; i++) out[i] = (float)(worker->channel_sums[i] / (double)(h * w));
}

/* Copy what doesn't lie there already. */
static void execute_concat(struct filtags_worker *worker, const struct node *node, size_t image, float *out,
                           size_t out_pixel) {
    size_t h, w, c;
    shape_as_map(&node->shape, &h, &w, &c);
    for (size_t k = 0; k < node->n_inputs; k++, out += c) {
        const float *in = input_values(worker, node, k, image);
        c = input_shape(worker, node, k)->dim[node->shape.n_dims - 1];
        if (in != out) move_channels(in, pixel_floats(worker, node->inputs[k]), c, h * w, out, out_pixel);
    }
}

static void execute_broadcast(struct filtags_worker *worker, const struct node *node, size_t image, float *out) {
    const struct kernels *kernels = worker->engine->kernels;
    const enum binary_op op = binary_op_of(node->op);
    move_broadcast(kernels, op, input_shape(worker, node, 0), input_values(worker, node, 0, image),
                   input_shape(worker, node, 1), input_values(worker, node, 1, image), &node->shape, out);
    for (size_t k = 2; k < node->n_inputs; k++)
        move_broadcast(kernels, op, &node->shape, out, input_shape(worker, node, k),
                       input_values(worker, node, k, image), &node->shape, out);
    if (node->op == OP_AVERAGE) kernels->divide(out, (float)node->n_inputs, shape_count(&node->shape));
}

static filtags_status execute_conv(struct filtags_worker *worker, const struct plan_step *step, size_t image,
                                   float *out) {
    const struct filtags_engine *engine = worker->engine;
    const struct prepared *prepared = &engine->prepared[step->node];
    const float *in = execute_output(worker, step->input, image);
    if (prepared->conv) return conv_run(prepared->conv, worker->stream, worker->scratchpad, in, out);
    struct conv_shape shape;
    prepare_conv_shape(engine->graph, step, &shape);
    engine->kernels->conv(&shape, in, prepared->kernel, prepared->bias, out);
    return FILTAGS_OK;
}

/* Rows of a dense layer: the vectors of all pictures, or the pixels of one. */
static void execute_dense(struct filtags_worker *worker, const struct node *node, int index, size_t image,
                          bool is_batched) {
    const struct prepared *prepared = &worker->engine->prepared[index];
    const struct shape *in = input_shape(worker, node, 0);
    const struct dense_shape shape = {in->dim[in->n_dims - 1], node->shape.dim[node->shape.n_dims - 1]};
    const size_t n_rows = is_batched ? worker->n_images : shape_count(in) / shape.c_in;
    const size_t in_stride = is_batched ? image_stride(worker, node->inputs[0]) : shape.c_in;
    const size_t out_stride = is_batched ? image_stride(worker, index) : pixel_floats(worker, index);
    worker->engine->kernels->dense(&shape, input_values(worker, node, 0, image), in_stride, n_rows, prepared->kernel,
                                   prepared->bias, execute_output(worker, index, image), out_stride);
}

static filtags_status execute_root(struct filtags_worker *worker, const struct plan_step *step, size_t image) {
    const struct node *node = &worker->engine->graph->nodes[step->node];
    const size_t out_pixel = pixel_floats(worker, step->node);
    float *out = execute_output(worker, step->node, image);
    switch (node->op) {
    case OP_CONV: return execute_conv(worker, step, image, out);
    case OP_DENSE: execute_dense(worker, node, step->node, image, false); break;
    case OP_MAX_POOL: case OP_AVG_POOL:
        execute_whole_pool(worker, step->node, image);
        break;
    case OP_GLOBAL_MAX_POOL: case OP_GLOBAL_AVG_POOL:
        execute_global_pool(worker, node, input_values(worker, node, 0, image), out);
        break;
    case OP_PAD: move_pad(node, input_shape(worker, node, 0), input_values(worker, node, 0, image), out); break;
    case OP_CROP: move_crop(node, input_shape(worker, node, 0), input_values(worker, node, 0, image), out); break;
    case OP_UPSAMPLE:
        move_upsample(node, input_shape(worker, node, 0), input_values(worker, node, 0, image), out);
        break;
    case OP_CONCAT: execute_concat(worker, node, image, out, out_pixel); break;
    case OP_ADD: case OP_SUBTRACT: case OP_MULTIPLY: case OP_AVERAGE: case OP_MAXIMUM: case OP_MINIMUM:
        execute_broadcast(worker, node, image, out);
        break;
    case OP_INPUT:
    case OP_RESHAPE:
    case OP_IDENTITY:
    case OP_SCALE_SHIFT:
    case OP_ACTIVATION:
    case OP_SOFTMAX:
    case OP_PRELU: break; /* nothing to do, or pointwise */
    }
    return FILTAGS_OK;
}

/* ------------------------------------------------------------------ strips */

static void execute_scale_shift(struct filtags_worker *worker, const struct plan_step *step, size_t image,
                                size_t first, size_t n_pixels, size_t c) {
    const struct filtags_engine *engine = worker->engine;
    const struct prepared *prepared = &engine->prepared[step->node];
    const int input = engine->graph->nodes[step->node].inputs[0];
    struct scale_shift_job job = {.n_pixels = n_pixels,
                                  .c = c,
                                  .in = output_from(worker, input, image, first),
                                  .in_pixel = pixel_floats(worker, input),
                                  .out = output_from(worker, step->result, image, first),
                                  .out_pixel = pixel_floats(worker, step->result),
                                  .scale = prepared->scale,
                                  .shift = prepared->shift,
                                  .is_relu = step->has_relu};
    if (step->added != PLAN_NOTHING) {
        job.added = output_from(worker, step->added, image, first);
        job.added_pixel = pixel_floats(worker, step->added);
    }
    engine->kernels->scale_shift(&job);
}

/* Pixels [first, first + n_pixels) of another pointwise step; they lie behind one another in all that it reads and
 * writes. */
static void execute_run(struct filtags_worker *worker, const struct plan_step *step, size_t image, size_t first,
                        size_t n_pixels, size_t c) {
    const struct kernels *kernels = worker->engine->kernels;
    const struct node *node = &worker->engine->graph->nodes[step->node];
    const struct prepared *prepared = &worker->engine->prepared[step->node];
    const size_t n = n_pixels * c;
    const float *in = output_from(worker, node->inputs[0], image, first);
    float *out = output_from(worker, step->result, image, first);
    switch (node->op) {
    case OP_ACTIVATION: kernels->activate(&node->activation, in, out, n); break;
    case OP_SOFTMAX: kernels->softmax(in, out, n_pixels, c); break;
    case OP_PRELU: kernels->prelu(in, prepared->alpha + first * c, out, n); break;
    default: /* element-wise operators on equal shapes */
        for (size_t k = 1; k < node->n_inputs; k++)
            kernels->binary(binary_op_of(node->op), k == 1 ? in : out, 1,
                            output_from(worker, node->inputs[k], image, first), 1, out, n);
        if (node->op == OP_AVERAGE) kernels->divide(out, (float)node->n_inputs, n);
    }
}

/* Pixels [first, first + n_pixels) of a pointwise step. */
static void execute_strip(struct filtags_worker *worker, const struct plan_step *step, size_t image, size_t first,
                          size_t n_pixels, size_t c) {
    const struct node *node = &worker->engine->graph->nodes[step->node];
    if (plan_is_alias(node)) return;
    if (node->op == OP_SCALE_SHIFT) {
        execute_scale_shift(worker, step, image, first, n_pixels, c);
        return;
    }
    bool is_spread = pixel_floats(worker, step->result) != c;
    for (size_t k = 0; k < node->n_inputs; k++) is_spread = is_spread || pixel_floats(worker, node->inputs[k]) != c;
    if (!is_spread) execute_run(worker, step, image, first, n_pixels, c);
    for (size_t p = first; is_spread && p < first + n_pixels; p++) execute_run(worker, step, image, p, 1, c);
}

static void tap_strip(struct filtags_worker *worker, const struct plan_step *step, size_t image, size_t first,
                      size_t n_pixels, size_t c) {
    const struct plan_tap *tap = &worker->engine->plan.taps[step->tap];
    const float *values = output_from(worker, step->node, image, first);
    const size_t stride = pixel_floats(worker, step->node);
    worker->engine->kernels->tap(values, stride, n_pixels, c, worker->sums + tap->first_filter,
                                 worker->ranges[step->tap]);
    if (worker->engine->wants_maps) maps_take(worker, (size_t)step->tap, image, first, n_pixels, values, stride);
}

void execute_finish_tap(struct filtags_worker *worker, size_t tap_index, size_t image) {
    const struct plan *plan = &worker->engine->plan;
    const struct plan_tap *tap = &plan->taps[tap_index];
    filtags_activation *row = worker->activations + image * plan->n_filters;
    const bool is_finite = tap_finish(worker->sums + tap->first_filter, tap->n_filters, tap->n_pixels,
                                      worker->ranges[tap_index], row + tap->first_filter);
    if (!is_finite && tap_index < worker->bad_taps[image]) worker->bad_taps[image] = tap_index;
    if (worker->engine->wants_maps) maps_finish(worker, tap_index, image, worker->ranges[tap_index]);
    for (size_t i = tap_index + 1; i < plan->n_taps; i++)
        if (plan->taps[i].same_as == (int)tap_index)
            memcpy(row + plan->taps[i].first_filter, row + tap->first_filter, tap->n_filters * sizeof *row);
}

static void start_taps(struct filtags_worker *worker, const struct plan_group *group) {
    const struct plan *plan = &worker->engine->plan;
    const struct plan_step *steps = plan->steps + group->first_step;
    for (size_t s = 0; s < group->n_steps; s++)
        if (steps[s].tap != PLAN_NOTHING) {
            const struct plan_tap *tap = &plan->taps[steps[s].tap];
            tap_start(worker->sums + tap->first_filter, tap->n_filters, worker->ranges[steps[s].tap]);
        }
}

static void finish_taps(struct filtags_worker *worker, const struct plan_group *group, size_t image) {
    const struct plan_step *steps = worker->engine->plan.steps + group->first_step;
    for (size_t s = 0; s < group->n_steps; s++)
        if (steps[s].tap != PLAN_NOTHING) execute_finish_tap(worker, (size_t)steps[s].tap, image);
}

/* Everything behind the root, for pixels [first, end). Where a run of pixels is cut into strips changes no bit. */
static void execute_strips(struct filtags_worker *worker, const struct plan_group *group, size_t image, size_t first,
                           size_t end) {
    const struct plan_step *steps = worker->engine->plan.steps + group->first_step;
    const size_t c = group->n_channels;
    size_t strip = STRIP_BYTES / (c * sizeof(float));
    if (strip < STRIP_MIN_PIXELS) strip = STRIP_MIN_PIXELS;
    for (; first < end; first += strip) {
        const size_t n_pixels = end - first < strip ? end - first : strip;
        for (size_t s = 0; s < group->n_steps; s++) {
            if (steps[s].is_pointwise && !steps[s].is_absorbed)
                execute_strip(worker, &steps[s], image, first, n_pixels, c);
            if (steps[s].tap != PLAN_NOTHING) tap_strip(worker, &steps[s], image, first, n_pixels, c);
        }
    }
}

/* ------------------------------------------------------------------ groups */

static void execute_all_strips(struct filtags_worker *worker, const struct plan_group *group, size_t image) {
    if (!group->has_strips) return;
    start_taps(worker, group);
    execute_strips(worker, group, image, 0, group->n_pixels);
    finish_taps(worker, group, image);
}

/* Before pixels from `first` on are made: let the map begin with the rows before them that the pooling still needs. */
static void pass_rows(struct filtags_worker *worker, const struct plan_step *root, size_t image, size_t first,
                      const struct pool_shape *pool) {
    const size_t end = first * pool->c, before = pool->window.padding.top;
    size_t row = pool->end_row * pool->window.stride_h;
    row = row > before ? row - before : 0;
    const size_t begin = row * pool->in_w * pool->c < end ? row * pool->in_w * pool->c : end;
    const float *kept = execute_output(worker, root->node, image) + begin;
    worker->passing_storage = worker->engine->plan.places[root->node].storage;
    worker->passed_floats = begin;
    memmove(execute_output(worker, root->node, image) + begin, kept, (end - begin) * sizeof *kept);
}

/* A convolution by our kernels, a portion of its output at a time, and everything behind it while that is in cache: an
 * output that the next step overwrites never gets to memory, nor does a map that only a pooling reads. */
static void execute_own_conv(struct filtags_worker *worker, const struct plan_group *group, size_t image,
                             struct conv_own_call *call) {
    const struct filtags_engine *engine = worker->engine;
    const struct plan_step *root = &engine->plan.steps[group->first_step];
    const struct conv_own *conv = engine->prepared[root->node].own;
    call->in = execute_output(worker, root->input, image);
    call->n_images = 1;
    const int pool = group->is_pooled ? engine->plan.steps[group[1].first_step].node : PLAN_NOTHING;
    struct pool_shape pool_shape;
    if (pool != PLAN_NOTHING) pool_shape_of(worker, pool, &pool_shape);
    start_taps(worker, group);
    for (size_t unit = 0; unit < conv->n_units; unit += call->n_units) {
        size_t end_pixel = (unit + conv->portion) * conv->unit_pixels;
        if (end_pixel > group->n_pixels) end_pixel = group->n_pixels;
        call->first_unit = unit;
        call->n_units = conv->n_units - unit < conv->portion ? conv->n_units - unit : conv->portion;
        if (group->is_passing) pass_rows(worker, root, image, unit * conv->unit_pixels, &pool_shape);
        call->out = execute_output(worker, root->result, image);
        conv_own_run(conv, engine->kernels, call, worker->scratchpad);
        if (group->has_strips) execute_strips(worker, group, image, unit * conv->unit_pixels, end_pixel);
        if (pool != PLAN_NOTHING)
            execute_pool_so_far(worker, pool, image, end_pixel / conv->shape.out_w, &pool_shape);
    }
    worker->passing_storage = PLAN_NOTHING;
    finish_taps(worker, group, image);
}

static void execute_own_convs(struct filtags_worker *worker, const struct plan_group *group, size_t first,
                              size_t end) {
    const struct filtags_engine *engine = worker->engine;
    const struct plan_step *root = &engine->plan.steps[group->first_step];
    const struct conv_own *conv = engine->prepared[root->node].own;
    struct conv_own_call call = {.in_stride = image_stride(worker, root->input),
                                 .out_stride = image_stride(worker, root->result),
                                 .out_pixel = pixel_floats(worker, root->result),
                                 .is_relu = root->has_relu};
    if (conv->is_layer_wide) {
        call.in = execute_output(worker, root->input, 0);
        call.out = execute_output(worker, root->result, 0);
        call.n_images = worker->n_images;
        call.n_units = conv->n_units;
        conv_own_run(conv, engine->kernels, &call, worker->scratchpad);
    }
    for (size_t image = first; image < end; image++) {
        if (conv->is_layer_wide) execute_all_strips(worker, group, image);
        else execute_own_conv(worker, group, image, &call);
    }
}

filtags_status execute_group(struct filtags_worker *worker, const struct plan_group *group, size_t first, size_t end) {
    const struct plan_step *root = &worker->engine->plan.steps[group->first_step];
    if (worker->engine->prepared[root->node].own) {
        execute_own_convs(worker, group, first, end);
        return FILTAGS_OK;
    }
    if (group->is_batched) execute_dense(worker, &worker->engine->graph->nodes[root->node], root->node, 0, true);
    for (size_t image = first; image < end; image++) {
        if (!group->is_batched && !root->is_pointwise && !group->is_root_done) {
            filtags_status status = execute_root(worker, root, image);
            if (status != FILTAGS_OK) return status;
        }
        execute_all_strips(worker, group, image);
    }
    return FILTAGS_OK;
}
