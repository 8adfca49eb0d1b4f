/* conv_onednn.h - convolutions by oneDNN; conv_onednn.c is the only file that knows the library.
 *
 * oneDNN's convolution gives the same bits whatever the thread and the repetition, as long as the primitive is made
 * for one picture and runs on one OpenMP thread: so that is all that is made here. */
#ifndef FILTAGS_ENGINE_CONV_ONEDNN_H
#define FILTAGS_ENGINE_CONV_ONEDNN_H

#include "engine/kernels.h"

/* "oneDNN 2.6.3". Static. */
const char *onednn_version_text(void);

/* oneDNN itself, held to an instruction set. That can be done once in a process. USAGE: it is held to another one
 * already. UNSUPPORTED: the library was built for threads other than OpenMP's. INTERNAL, MEMORY. */
struct conv_library;
FILTAGS_MUST_USE filtags_status conv_library_create(filtags_isa isa, struct conv_library **library);
void conv_library_destroy(struct conv_library *library);

/* A convolution with its weights in the library's own layout; read only, so workers share it. */
struct conv;

/* kernel: [kernel_h, kernel_w, in_c / groups, out_c]; bias: [out_c] or NULL; both are copied. *conv gets NULL where
 * oneDNN has nothing better than its reference implementation. INTERNAL, MEMORY. */
FILTAGS_MUST_USE filtags_status conv_create(struct conv_library *library, const struct conv_shape *shape,
                                            const float *kernel, const float *bias, struct conv **conv);
size_t conv_scratchpad_bytes(const struct conv *conv);
/* The library's name for its implementation, for logs. */
const char *conv_implementation(const struct conv *conv);
void conv_destroy(struct conv *conv);

/* What one worker needs to run convolutions. */
struct conv_stream;
FILTAGS_MUST_USE filtags_status conv_stream_create(struct conv_library *library, struct conv_stream **stream);
void conv_stream_destroy(struct conv_stream *stream);

/* in: [in_h, in_w, in_c]; out: [out_h, out_w, out_c]; scratchpad: conv_scratchpad_bytes, 64-byte aligned. Between
 * conv_hold_threads and conv_release_threads only. INTERNAL, MEMORY. */
FILTAGS_MUST_USE filtags_status conv_run(const struct conv *conv, struct conv_stream *stream, void *scratchpad,
                                         const float *in, float *out);

/* Hold the calling thread's OpenMP regions to one thread, which conv_create and conv_run demand; returns what to
 * give back to conv_release_threads. */
int conv_hold_threads(void);
void conv_release_threads(int n_threads);

#endif
