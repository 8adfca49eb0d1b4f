#include "engine/move_ops.h"

#include <string.h>

void move_pad(const struct node *node, const struct shape *in_shape, const float *in, float *out) {
    size_t in_h, in_w, out_h, out_w, c;
    shape_as_map(in_shape, &in_h, &in_w, &c);
    shape_as_map(&node->shape, &out_h, &out_w, &c);
    memset(out, 0, out_h * out_w * c * sizeof *out);
    for (size_t h = 0; h < in_h; h++) {
        float *row = out + ((h + node->padding.top) * out_w + node->padding.left) * c;
        memcpy(row, in + h * in_w * c, in_w * c * sizeof *out);
    }
}

void move_crop(const struct node *node, const struct shape *in_shape, const float *in, float *out) {
    size_t in_h, in_w, out_h, out_w, c;
    shape_as_map(in_shape, &in_h, &in_w, &c);
    shape_as_map(&node->shape, &out_h, &out_w, &c);
    for (size_t h = 0; h < out_h; h++) {
        const float *row = in + ((h + node->padding.top) * in_w + node->padding.left) * c;
        memcpy(out + h * out_w * c, row, out_w * c * sizeof *out);
    }
}

/* ------------------------------------------------------------------ upsampling */

/* Where an output row or column lies between two of the input: half-pixel centres, edges repeated. */
struct position { size_t first, second; float weight_of_second; };

static struct position position_of(size_t place, size_t factor, size_t size) {
    const float at = ((float)place + 0.5f) / (float)factor - 0.5f;
    if (at <= 0) return (struct position){0, 0, 0};
    struct position position = {.first = (size_t)at};
    position.weight_of_second = at - (float)position.first;
    position.second = position.first + 1 < size ? position.first + 1 : size - 1;
    return position;
}

static void upsample_bilinear(const struct node *node, size_t in_h, size_t in_w, size_t c, const float *in,
                              float *out) {
    for (size_t h = 0; h < in_h * node->factor_h; h++) {
        const struct position y = position_of(h, node->factor_h, in_h);
        const float *row_1 = in + y.first * in_w * c, *row_2 = in + y.second * in_w * c;
        for (size_t w = 0; w < in_w * node->factor_w; w++, out += c) {
            const struct position x = position_of(w, node->factor_w, in_w);
            for (size_t i = 0; i < c; i++) {
                const float top_left = row_1[x.first * c + i], bottom_left = row_2[x.first * c + i];
                const float top = top_left + (row_1[x.second * c + i] - top_left) * x.weight_of_second;
                const float bottom = bottom_left + (row_2[x.second * c + i] - bottom_left) * x.weight_of_second;
                out[i] = top + (bottom - top) * y.weight_of_second;
            }
        }
    }
}

static void upsample_nearest(const struct node *node, size_t in_h, size_t in_w, size_t c, const float *in, float *out) {
    const size_t out_row = in_w * node->factor_w * c;
    for (size_t h = 0; h < in_h; h++) {
        float *first = out; /* the first of factor_h equal rows */
        for (size_t w = 0; w < in_w; w++, in += c)
            for (size_t i = 0; i < node->factor_w; i++, out += c) memcpy(out, in, c * sizeof *out);
        for (size_t i = 1; i < node->factor_h; i++, out += out_row) memcpy(out, first, out_row * sizeof *out);
    }
}

void move_upsample(const struct node *node, const struct shape *in_shape, const float *in, float *out) {
    size_t in_h, in_w, c;
    shape_as_map(in_shape, &in_h, &in_w, &c);
    if (node->is_bilinear) upsample_bilinear(node, in_h, in_w, c, in, out);
    else upsample_nearest(node, in_h, in_w, c, in, out);
}

/* ------------------------------------------------------------------ concatenation, broadcasting */

void move_channels(const float *in, size_t in_pixel, size_t c, size_t n_pixels, float *out, size_t out_pixel) {
    for (size_t p = 0; p < n_pixels; p++) memcpy(out + p * out_pixel, in + p * in_pixel, c * sizeof *out);
}

/* Distance between neighbours along each axis of the output, 0 where the input is repeated. Axes are matched from the
 * last one on. */
static void broadcast_strides(const struct shape *in, const struct shape *out, size_t strides[GRAPH_MAX_DIMS]) {
    size_t stride = 1;
    for (size_t i = 0; i < out->n_dims; i++) {
        const size_t axis = out->n_dims - 1 - i;
        const size_t size = i < in->n_dims ? in->dim[in->n_dims - 1 - i] : 1;
        strides[axis] = size == 1 ? 0 : stride;
        stride *= size;
    }
}

void move_broadcast(const struct kernels *kernels, enum binary_op op, const struct shape *a_shape, const float *a,
                    const struct shape *b_shape, const float *b, const struct shape *out_shape, float *out) {
    size_t a_strides[GRAPH_MAX_DIMS], b_strides[GRAPH_MAX_DIMS];
    const size_t last = out_shape->n_dims - 1, c = out_shape->dim[last];
    broadcast_strides(a_shape, out_shape, a_strides);
    broadcast_strides(b_shape, out_shape, b_strides);
    const size_t n_rows = shape_count(out_shape) / c;
    for (size_t row = 0; row < n_rows; row++) {
        size_t rest = row, a_offset = 0, b_offset = 0;
        for (size_t axis = last; axis-- > 0;) {
            const size_t place = rest % out_shape->dim[axis];
            rest /= out_shape->dim[axis];
            a_offset += place * a_strides[axis];
            b_offset += place * b_strides[axis];
        }
        /* a last axis of length 1 has stride 0, but is one value like any other */
        kernels->binary(op, a + a_offset, a_strides[last], b + b_offset, b_strides[last], out + row * c, c);
    }
}
