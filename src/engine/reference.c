/* reference.c - the naive engine: every operator in plain loops, sums in double, every output kept. It shares nothing
 * with the fast engine but the graph and the copied weights, and is what the tests hold the fast one against. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/engine.h"
#include "engine/maps.h"

/* A tensor seen as a feature map. */
struct map {
    size_t h, w, c;
    float *values; /* [h, w, c] */
};

static struct map map_of(const struct node *node, float *values) {
    struct map map = {.values = values};
    shape_as_map(&node->shape, &map.h, &map.w, &map.c);
    return map;
}

static float *at(const struct map *map, size_t h, size_t w, size_t c) {
    return &map->values[(h * map->w + w) * map->c + c];
}

/* ------------------------------------------------------------------ operators */

/* Row or column of the input under a place of a window; SIZE_MAX: it is padding. */
static size_t input_place(size_t out, size_t stride, size_t in_window, size_t dilation, size_t padding, size_t size) {
    const size_t place = out * stride + in_window * dilation;
    return place < padding || place - padding >= size ? SIZE_MAX : place - padding;
}

static void convolve(const struct node *node, const struct prepared *weights, const struct map *in,
                     const struct map *out) {
    const struct window *window = &node->window;
    const size_t group_in = in->c / node->groups, group_out = out->c / node->groups;
    for (size_t oh = 0; oh < out->h; oh++)
        for (size_t ow = 0; ow < out->w; ow++)
            for (size_t o = 0; o < out->c; o++) {
                double sum = weights->bias ? (double)weights->bias[o] : 0;
                for (size_t kh = 0; kh < window->kernel_h; kh++)
                    for (size_t kw = 0; kw < window->kernel_w; kw++) {
                        const size_t h = input_place(oh, window->stride_h, kh, window->dilation_h, window->padding.top,
                                                     in->h);
                        const size_t w = input_place(ow, window->stride_w, kw, window->dilation_w, window->padding.left,
                                                     in->w);
                        if (h == SIZE_MAX || w == SIZE_MAX) continue;
                        for (size_t i = 0; i < group_in; i++) {
                            const size_t k = ((kh * window->kernel_w + kw) * group_in + i) * out->c + o;
                            sum += (double)*at(in, h, w, o / group_out * group_in + i) * (double)weights->kernel[k];
                        }
                    }
                *at(out, oh, ow, o) = (float)sum;
            }
}

static void multiply_matrix(const struct prepared *weights, const struct map *in, const struct map *out) {
    for (size_t row = 0; row < in->h * in->w; row++)
        for (size_t o = 0; o < out->c; o++) {
            double sum = weights->bias ? (double)weights->bias[o] : 0;
            for (size_t i = 0; i < in->c; i++)
                sum += (double)in->values[row * in->c + i] * (double)weights->kernel[i * out->c + o];
            out->values[row * out->c + o] = (float)sum;
        }
}

static void pool(const struct node *node, const struct map *in, const struct map *out) {
    const struct window *window = &node->window;
    for (size_t oh = 0; oh < out->h; oh++)
        for (size_t ow = 0; ow < out->w; ow++)
            for (size_t c = 0; c < out->c; c++) {
                double sum = 0, n = 0;
                float largest = -INFINITY;
                for (size_t kh = 0; kh < window->kernel_h; kh++)
                    for (size_t kw = 0; kw < window->kernel_w; kw++) {
                        const size_t h = input_place(oh, window->stride_h, kh, 1, window->padding.top, in->h);
                        const size_t w = input_place(ow, window->stride_w, kw, 1, window->padding.left, in->w);
                        if (h == SIZE_MAX || w == SIZE_MAX) continue;
                        const float value = *at(in, h, w, c);
                        largest = value > largest || isnan(value) ? value : largest;
                        sum += (double)value;
                        n++;
                    }
                *at(out, oh, ow, c) = node->op == OP_MAX_POOL ? largest : (float)(sum / n);
            }
}

static void pool_globally(const struct node *node, const struct map *in, const struct map *out) {
    for (size_t c = 0; c < in->c; c++) {
        double sum = 0;
        float largest = -INFINITY;
        for (size_t p = 0; p < in->h * in->w; p++) {
            const float value = in->values[p * in->c + c];
            largest = value > largest || isnan(value) ? value : largest;
            sum += (double)value;
        }
        out->values[c] = node->op == OP_GLOBAL_MAX_POOL ? largest : (float)(sum / (double)(in->h * in->w));
    }
}

/* PAD writes the input into the middle of zeros, CROP takes the output from the middle of the input. */
static void shift(const struct node *node, const struct map *in, const struct map *out) {
    for (size_t h = 0; h < out->h; h++)
        for (size_t w = 0; w < out->w; w++)
            for (size_t c = 0; c < out->c; c++) {
                const size_t top = node->padding.top, left = node->padding.left;
                if (node->op == OP_CROP) *at(out, h, w, c) = *at(in, h + top, w + left, c);
                else if (h < top || w < left || h - top >= in->h || w - left >= in->w) *at(out, h, w, c) = 0;
                else *at(out, h, w, c) = *at(in, h - top, w - left, c);
            }
}

/* Value of a map between its pixels; y and x are clamped to its edges. */
static double between(const struct map *map, double y, double x, size_t c) {
    y = fmin(fmax(y, 0), (double)(map->h - 1));
    x = fmin(fmax(x, 0), (double)(map->w - 1));
    const size_t h = (size_t)y, w = (size_t)x, h_2 = h + 1 < map->h ? h + 1 : h, w_2 = w + 1 < map->w ? w + 1 : w;
    const double v = y - (double)h, u = x - (double)w;
    return (1 - v) * ((1 - u) * (double)*at(map, h, w, c) + u * (double)*at(map, h, w_2, c)) +
           v * ((1 - u) * (double)*at(map, h_2, w, c) + u * (double)*at(map, h_2, w_2, c));
}

static void upsample(const struct node *node, const struct map *in, const struct map *out) {
    for (size_t h = 0; h < out->h; h++)
        for (size_t w = 0; w < out->w; w++)
            for (size_t c = 0; c < out->c; c++) {
                const double y = ((double)h + 0.5) / (double)node->factor_h - 0.5,
                             x = ((double)w + 0.5) / (double)node->factor_w - 0.5;
                const float nearest = *at(in, h / node->factor_h, w / node->factor_w, c);
                *at(out, h, w, c) = node->is_bilinear ? (float)between(in, y, x, c) : nearest;
            }
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double hard_sigmoid(double x) { return fmin(fmax(x + 3, 0), 6) / 6; }
static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

static double rectify(const struct activation *activation, double x) {
    if (x >= (double)activation->max_value) return (double)activation->max_value;
    if (x >= (double)activation->threshold) return x;
    if (activation->alpha == 0 && !isnan(x)) return 0;
    return (double)activation->alpha * (x - (double)activation->threshold);
}

static double activate(const struct activation *activation, double x) {
    switch (activation->kind) {
    case ACT_LINEAR: return x;
    case ACT_RELU: return rectify(activation, x);
    case ACT_ELU: return x > 0 ? x : (double)activation->alpha * expm1(x);
    case ACT_SELU: return 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * expm1(x));
    case ACT_GELU: return 0.5 * x * (1 + erf(x * sqrt(0.5)));
    case ACT_GELU_TANH: return 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    case ACT_SILU: return x * sigmoid(x);
    case ACT_SIGMOID: return sigmoid(x);
    case ACT_TANH: return tanh(x);
    case ACT_SOFTPLUS: return softplus(x);
    case ACT_SOFTSIGN: return x / (1 + fabs(x));
    case ACT_EXPONENTIAL: return exp(x);
    case ACT_MISH: return x * tanh(softplus(x));
    case ACT_HARD_SIGMOID: return hard_sigmoid(x);
    case ACT_HARD_SIGMOID_KERAS2: return fmin(fmax(0.2 * x + 0.5, 0), 1);
    case ACT_HARD_SILU: return x * hard_sigmoid(x);
    }
    return NAN;
}

static void softmax(const struct map *in, const struct map *out) {
    for (size_t row = 0; row < in->h * in->w; row++) {
        const float *x = in->values + row * in->c;
        double largest = (double)x[0], sum = 0;
        for (size_t i = 1; i < in->c; i++) largest = fmax(largest, (double)x[i]);
        for (size_t i = 0; i < in->c; i++) sum += exp((double)x[i] - largest);
        for (size_t i = 0; i < in->c; i++) out->values[row * in->c + i] = (float)(exp((double)x[i] - largest) / sum);
    }
}

/* Element of a tensor for a place in a larger shape, by NumPy's broadcasting. */
static double broadcast_value(const struct shape *shape, const float *values, const struct shape *out, size_t place) {
    size_t offset = 0, stride = 1;
    for (size_t i = 0; i < shape->n_dims; i++) {
        const size_t size = shape->dim[shape->n_dims - 1 - i], out_size = out->dim[out->n_dims - 1 - i];
        offset += size == 1 ? 0 : place % out_size * stride;
        place /= out_size;
        stride *= size;
    }
    return (double)values[offset];
}

static double combine(enum op_kind op, double x, double y) {
    switch (op) {
    case OP_SUBTRACT: return x - y;
    case OP_MULTIPLY: return x * y;
    case OP_MAXIMUM: return isnan(x) || x > y ? x : y;
    case OP_MINIMUM: return isnan(x) || x < y ? x : y;
    default: return x + y;
    }
}

static void combine_inputs(const struct graph *graph, const struct node *node, float *const *values, float *out) {
    const size_t n = shape_count(&node->shape);
    for (size_t i = 0; i < n; i++) {
        double result = broadcast_value(&graph->nodes[node->inputs[0]].shape, values[node->inputs[0]], &node->shape, i);
        for (size_t k = 1; k < node->n_inputs; k++)
            result = combine(
                node->op, result,
                broadcast_value(&graph->nodes[node->inputs[k]].shape, values[node->inputs[k]], &node->shape, i));
        out[i] = (float)(node->op == OP_AVERAGE ? result / (double)node->n_inputs : result);
    }
}

static void concatenate(const struct graph *graph, const struct node *node, float *const *values,
                        const struct map *out) {
    size_t first_channel = 0;
    for (size_t k = 0; k < node->n_inputs; k++) {
        const struct map in = map_of(&graph->nodes[node->inputs[k]], values[node->inputs[k]]);
        for (size_t p = 0; p < in.h * in.w; p++)
            for (size_t c = 0; c < in.c; c++) out->values[p * out->c + first_channel + c] = in.values[p * in.c + c];
        first_channel += in.c;
    }
}

/* ------------------------------------------------------------------ one node */

static void compute_elements(const struct node *node, const struct prepared *weights, const struct map *in,
                             const struct map *out) {
    const size_t n = in->h * in->w * in->c;
    for (size_t i = 0; i < n; i++) {
        const double x = (double)in->values[i];
        const size_t c = i % in->c;
        switch (node->op) {
        case OP_SCALE_SHIFT: out->values[i] = (float)(x * (double)weights->scale[c] + (double)weights->shift[c]); break;
        case OP_ACTIVATION: out->values[i] = (float)activate(&node->activation, x); break;
        case OP_PRELU: out->values[i] = (float)(x > 0 ? x : (double)weights->alpha[i] * x); break;
        default: out->values[i] = in->values[i]; break; /* RESHAPE, IDENTITY */
        }
    }
}

static void compute(const struct graph *graph, const struct node *node, const struct prepared *weights,
                    float *const *values, float *result) {
    const struct map out = map_of(node, result);
    const struct map in = map_of(&graph->nodes[node->inputs[0]], values[node->inputs[0]]);
    switch (node->op) {
    case OP_CONV: convolve(node, weights, &in, &out); break;
    case OP_DENSE: multiply_matrix(weights, &in, &out); break;
    case OP_SOFTMAX: softmax(&in, &out); break;
    case OP_MAX_POOL: case OP_AVG_POOL: pool(node, &in, &out); break;
    case OP_GLOBAL_MAX_POOL: case OP_GLOBAL_AVG_POOL: pool_globally(node, &in, &out); break;
    case OP_PAD: case OP_CROP: shift(node, &in, &out); break;
    case OP_UPSAMPLE: upsample(node, &in, &out); break;
    case OP_CONCAT: concatenate(graph, node, values, &out); break;
    case OP_ADD: case OP_SUBTRACT: case OP_MULTIPLY: case OP_AVERAGE: case OP_MAXIMUM: case OP_MINIMUM:
        combine_inputs(graph, node, values, result);
        break;
    case OP_SCALE_SHIFT: case OP_ACTIVATION: case OP_PRELU: case OP_RESHAPE: case OP_IDENTITY: case OP_INPUT:
        compute_elements(node, weights, &in, &out);
        break;
    }
}

/* ------------------------------------------------------------------ statistics, and a whole picture */

static void measure(struct filtags_worker *worker, size_t tap_index, size_t image, const float *values) {
    const struct plan_tap *tap = &worker->engine->plan.taps[tap_index];
    filtags_activation *row = worker->activations + image * worker->engine->plan.n_filters + tap->first_filter;
    const size_t n = tap->n_pixels * tap->n_filters;
    double low = INFINITY, high = -INFINITY;
    bool is_finite = true;
    for (size_t i = 0; i < n; i++) {
        is_finite = is_finite && isfinite(values[i]);
        low = fmin(low, (double)values[i]);
        high = fmax(high, (double)values[i]);
    }
    if (!is_finite && tap_index < worker->bad_taps[image]) worker->bad_taps[image] = tap_index;
    for (size_t c = 0; c < tap->n_filters; c++) {
        double sum = 0;
        for (size_t p = 0; p < tap->n_pixels; p++) sum += (double)values[p * tap->n_filters + c];
        const double activation = is_finite && high > low ? (sum / (double)tap->n_pixels - low) / (high - low) : 0;
        row[c] = (filtags_activation)rint(fmin(fmax(activation, 0), 1) * FILTAGS_ACTIVATION_ONE);
    }
    if (worker->engine->wants_maps && tap->same_as == PLAN_NOTHING) {
        maps_take(worker, tap_index, image, 0, tap->n_pixels, values, tap->n_filters);
        maps_finish(worker, tap_index, image, (float[]){(float)low, (float)high});
    }
}

filtags_status reference_run(struct filtags_worker *worker, size_t image, float *output) {
    const struct filtags_engine *engine = worker->engine;
    const struct graph *graph = engine->graph;
    filtags_status status = FILTAGS_ERROR_MEMORY;
    float **values = memory_new(graph->n_nodes, sizeof *values); /* [n_nodes][shape] */
    if (!values) return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct node *node = &graph->nodes[i];
        const size_t n = shape_count(&node->shape);
        if (!engine->plan.is_needed[i]) continue;
        values[i] = memory_new_aligned(n, sizeof **values);
        if (!values[i]) goto fail;
        if (node->op == OP_INPUT) memcpy(values[i], worker->images + image * n, n * sizeof **values);
        else compute(graph, node, &engine->prepared[i], values, values[i]);
    }
    for (size_t t = 0; t < engine->plan.n_taps; t++) measure(worker, t, image, values[engine->plan.taps[t].node]);
    if (output)
        memcpy(output, values[graph->output_node],
               shape_count(&graph->nodes[graph->output_node].shape) * sizeof *output);
    status = FILTAGS_OK;
fail:
    for (size_t i = 0; i < graph->n_nodes; i++) free(values[i]);
    free(values);
    return status;
}
