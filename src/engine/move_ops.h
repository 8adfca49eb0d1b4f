/* move_ops.h - operators that move values about and compute little: no kernels, plain loops. One picture each. */
#ifndef FILTAGS_ENGINE_MOVE_OPS_H
#define FILTAGS_ENGINE_MOVE_OPS_H

#include "engine/kernels.h"

/* in: the input's values; out: the node's. */
void move_pad(const struct node *node, const struct shape *in_shape, const float *in, float *out);
void move_crop(const struct node *node, const struct shape *in_shape, const float *in, float *out);
void move_upsample(const struct node *node, const struct shape *in_shape, const float *in, float *out);

/* Copy c channels of n_pixels, which begin in_pixel and out_pixel floats behind one another. */
void move_channels(const float *in, size_t in_pixel, size_t c, size_t n_pixels, float *out, size_t out_pixel);

/* out = a op b with NumPy's broadcasting to out_shape. out may be a where a has out_shape. */
void move_broadcast(const struct kernels *kernels, enum binary_op op, const struct shape *a_shape, const float *a,
                    const struct shape *b_shape, const float *b, const struct shape *out_shape, float *out);

#endif
