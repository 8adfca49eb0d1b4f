/* conv_own.h - convolutions by kernels of our own: their weights, and in which portions they run.
 *
 * All of that is a function of the convolution's shape and way (conv_way.h) and the instruction set alone, so that a
 * run can be repeated to the bit. */
#ifndef FILTAGS_ENGINE_CONV_OWN_H
#define FILTAGS_ENGINE_CONV_OWN_H

#include "engine/conv_way.h"

/* Read only, so workers share it. */
struct conv_own {
    struct conv_shape shape;
    enum conv_way way;
    size_t tile_h, tile_w;  /* see conv_job */
    size_t block;
    size_t n_units;         /* what can be run by itself: */
    size_t unit_pixels;     /* output pixels of a unit (the last one may have fewer) */
    size_t portion;         /* units whose output stays in cache until something else has been done with it */
    bool is_layer_wide;     /* all pictures at once, because the weights are large beside what they are used for */
    size_t scratch_bytes;
    float *kernel, *bias;   /* see conv_job */
    size_t n_weights;       /* floats of kernel */
};

/* way: none of oneDNN's, and one that fits. kernel: [kernel_h, kernel_w, in_c, out_c]; bias: [out_c] or NULL; both are
 * copied. MEMORY. */
FILTAGS_MUST_USE filtags_status conv_own_create(const struct kernels *kernels, const struct conv_shape *shape,
                                                enum conv_way way, const float *kernel, const float *bias,
                                                struct conv_own **conv);
void conv_own_destroy(struct conv_own *conv);

/* Where the pictures are, and what is to be done with them. */
struct conv_own_call {
    const float *in;             /* [n_images][in_h, in_w, in_c], in_stride floats from picture to picture */
    float *out;                  /* [n_images][out_h, out_w, out_c] */
    size_t in_stride, out_stride, n_images;
    size_t out_pixel;            /* floats from one output pixel to the next; 0: out_c */
    size_t first_unit, n_units;  /* of every picture */
    bool is_relu;                /* max(0, .) of the result */
};

/* scratch: scratch_bytes, 64-byte aligned, the calling thread's. */
void conv_own_run(const struct conv_own *conv, const struct kernels *kernels, const struct conv_own_call *call,
                  float *scratch);

#endif
