#include "engine/conv_onednn.h"

#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "engine/block.h"
#include "engine/isa.h"

/* From the OpenMP specification. GCC's omp.h doesn't compile with clang, and clang's OpenMP library is not the one
 * that oneDNN runs on: see the root's meson.build. */
extern int omp_get_max_threads(void);
extern void omp_set_num_threads(int n_threads);

/* ------------------------------------------------------------------ oneDNN 2 and 3 under one name
 * In 2 a memory descriptor is a plain struct, in 3 an object behind a pointer; operation descriptors are gone in 3. */

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t tensor;
typedef const_dnnl_memory_desc_t tensor_ref;
#define TENSOR_REF(made) (made)
#define tensor_init_strides dnnl_memory_desc_create_with_strides
#define tensor_init_tag dnnl_memory_desc_create_with_tag
static void tensor_free(tensor *made) {
    if (*made) dnnl_memory_desc_destroy(*made);
}
#else
typedef dnnl_memory_desc_t tensor;
typedef const dnnl_memory_desc_t *tensor_ref;
#define TENSOR_REF(made) (&(made))
#define tensor_init_strides dnnl_memory_desc_init_by_strides
#define tensor_init_tag dnnl_memory_desc_init_by_tag
static void tensor_free(tensor *made) { (void)made; }
#endif

/* What a convolution is made from. */
struct description {
    tensor in, kernel, bias, out; /* as the primitive may choose: kernel in any layout */
    tensor plain_kernel;          /* as it is given to conv_create */
    dnnl_dims_t strides, dilations, padding_before, padding_after;
    dnnl_primitive_attr_t attributes;
};

struct conv_library { dnnl_engine_t engine; };
struct conv_stream { dnnl_stream_t stream; };

struct conv {
    dnnl_engine_t engine; /* the library's */
    dnnl_primitive_desc_t description;
    dnnl_primitive_t primitive;
    dnnl_memory_t kernel, bias; /* memory objects over: */
    float *kernel_values, *bias_values;
    size_t scratchpad_bytes;
};

static filtags_status check(dnnl_status_t status, const char *what) {
    if (status == dnnl_success) return FILTAGS_OK;
    if (status == dnnl_out_of_memory) return error_set(FILTAGS_ERROR_MEMORY, "%s: out of memory", what);
    return error_set(FILTAGS_ERROR_INTERNAL, "%s failed with status %d", what, (int)status);
}

/* ------------------------------------------------------------------ library */

const char *onednn_version_text(void) {
    static char text[64];
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&mutex);
    const dnnl_version_t *version = dnnl_version();
    if (!*text) snprintf(text, sizeof text, "oneDNN %d.%d.%d", version->major, version->minor, version->patch);
    pthread_mutex_unlock(&mutex);
    return text;
}

static dnnl_cpu_isa_t isa_of_library(filtags_isa isa) {
    if (isa == FILTAGS_ISA_AVX512) return dnnl_cpu_isa_avx512_core;
    return isa == FILTAGS_ISA_AVX2 ? dnnl_cpu_isa_avx2 : dnnl_cpu_isa_sse41;
}

static filtags_status hold_isa(filtags_isa isa) {
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static filtags_isa held = FILTAGS_ISA_AUTO;
    filtags_status status = FILTAGS_OK;
    pthread_mutex_lock(&mutex);
    if (held == FILTAGS_ISA_AUTO) {
#if defined(__x86_64__)
        status = check(dnnl_set_max_cpu_isa(isa_of_library(isa)), "dnnl_set_max_cpu_isa");
#else
        (void)isa_of_library;
#endif
        if (status == FILTAGS_OK) held = isa;
    } else if (held != isa) {
        status = error_set(FILTAGS_ERROR_USAGE,
                           "one process uses one instruction set: '%s' was asked for, '%s' is in use", isa_name(isa),
                           isa_name(held));
    }
    pthread_mutex_unlock(&mutex);
    return status;
}

filtags_status conv_library_create(filtags_isa isa, struct conv_library **library) {
    const unsigned runtime = dnnl_version()->cpu_runtime;
    if (runtime != DNNL_RUNTIME_OMP && runtime != DNNL_RUNTIME_SEQ)
        return error_set(
            FILTAGS_ERROR_UNSUPPORTED,
            "this oneDNN was built for another kind of threads (runtime %u); one for OpenMP or one thread is needed",
            runtime);
    filtags_status status = hold_isa(isa);
    if (status != FILTAGS_OK) return status;
    struct conv_library *made = memory_new(1, sizeof *made);
    if (!made) return FILTAGS_ERROR_MEMORY;
    status = check(dnnl_engine_create(&made->engine, dnnl_cpu, 0), "dnnl_engine_create");
    if (status != FILTAGS_OK) {
        free(made);
        return status;
    }
    *library = made;
    return FILTAGS_OK;
}

void conv_library_destroy(struct conv_library *library) {
    if (!library) return;
    dnnl_engine_destroy(library->engine);
    free(library);
}

int conv_hold_threads(void) {
    const int n_threads = omp_get_max_threads();
    omp_set_num_threads(1);
    return n_threads;
}

void conv_release_threads(int n_threads) { omp_set_num_threads(n_threads); }

/* ------------------------------------------------------------------ description */

/* The kernel as it is given, [kh, kw, in_c / groups, out_c], seen as oneDNN counts: [groups,] out, in, h, w. */
static dnnl_status_t describe_kernel(const struct conv_shape *shape, struct description *description) {
    const dnnl_dim_t groups = (dnnl_dim_t)shape->groups, out_c = (dnnl_dim_t)shape->out_c;
    const dnnl_dim_t in = (dnnl_dim_t)shape->in_c / groups, out = out_c / groups;
    const dnnl_dim_t h = (dnnl_dim_t)shape->window.kernel_h, w = (dnnl_dim_t)shape->window.kernel_w;
    const dnnl_dims_t dims = {groups, out, in, h, w};
    const dnnl_dims_t strides = {out, 1, out_c, w * in * out_c, in * out_c};
    const int skip = groups == 1, n_dims = 5 - skip;
    dnnl_status_t status = tensor_init_strides(&description->plain_kernel, n_dims, dims + skip, dnnl_f32,
                                               strides + skip);
    if (status != dnnl_success) return status;
    return tensor_init_tag(&description->kernel, n_dims, dims + skip, dnnl_f32, dnnl_format_tag_any);
}

static dnnl_status_t describe_attributes(struct description *description) {
    dnnl_status_t status = dnnl_primitive_attr_create(&description->attributes);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_scratchpad_mode(description->attributes, dnnl_scratchpad_mode_user);
#if DNNL_VERSION_MAJOR >= 3 || DNNL_VERSION_MINOR >= 6
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_fpmath_mode(description->attributes, dnnl_fpmath_mode_strict);
#endif
    return status;
}

static dnnl_status_t describe(const struct conv_shape *shape, struct description *description) {
    const struct window *window = &shape->window;
    const dnnl_dims_t in = {1, (dnnl_dim_t)shape->in_c, (dnnl_dim_t)shape->in_h, (dnnl_dim_t)shape->in_w};
    const dnnl_dims_t out = {1, (dnnl_dim_t)shape->out_c, (dnnl_dim_t)shape->out_h, (dnnl_dim_t)shape->out_w};
    const dnnl_dims_t bias = {(dnnl_dim_t)shape->out_c};
    description->strides[0] = (dnnl_dim_t)window->stride_h;
    description->strides[1] = (dnnl_dim_t)window->stride_w;
    description->dilations[0] = (dnnl_dim_t)window->dilation_h - 1; /* oneDNN counts from 0 */
    description->dilations[1] = (dnnl_dim_t)window->dilation_w - 1;
    description->padding_before[0] = (dnnl_dim_t)window->padding.top;
    description->padding_before[1] = (dnnl_dim_t)window->padding.left;
    description->padding_after[0] = (dnnl_dim_t)window->padding.bottom;
    description->padding_after[1] = (dnnl_dim_t)window->padding.right;
    dnnl_status_t status = tensor_init_tag(&description->in, 4, in, dnnl_f32, dnnl_nhwc);
    if (status == dnnl_success) status = tensor_init_tag(&description->out, 4, out, dnnl_f32, dnnl_nhwc);
    if (status == dnnl_success) status = tensor_init_tag(&description->bias, 1, bias, dnnl_f32, dnnl_x);
    if (status == dnnl_success) status = describe_kernel(shape, description);
    if (status == dnnl_success) status = describe_attributes(description);
    return status;
}

static void description_free(struct description *description) {
    tensor_free(&description->in);
    tensor_free(&description->kernel);
    tensor_free(&description->bias);
    tensor_free(&description->out);
    tensor_free(&description->plain_kernel);
    if (description->attributes) dnnl_primitive_attr_destroy(description->attributes);
}

static dnnl_status_t primitive_desc_create(struct conv_library *library, const struct description *d, bool has_bias,
                                           dnnl_primitive_desc_t *made) {
    const tensor_ref bias = has_bias ? TENSOR_REF(d->bias) : NULL;
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_convolution_forward_primitive_desc_create(
        made, library->engine, dnnl_forward_inference, dnnl_convolution_direct, d->in, d->kernel, bias, d->out,
        d->strides, d->dilations, d->padding_before, d->padding_after, d->attributes);
#else
    dnnl_convolution_desc_t operation;
    dnnl_status_t status = dnnl_dilated_convolution_forward_desc_init(
        &operation, dnnl_forward_inference, dnnl_convolution_direct, TENSOR_REF(d->in), TENSOR_REF(d->kernel), bias,
        TENSOR_REF(d->out), d->strides, d->dilations, d->padding_before, d->padding_after);
    if (status != dnnl_success) return status;
    return dnnl_primitive_desc_create(made, &operation, d->attributes, library->engine, NULL);
#endif
}

/* ------------------------------------------------------------------ weights */

static dnnl_status_t reorder(dnnl_engine_t engine, tensor_ref from, const float *values, tensor_ref to,
                             dnnl_memory_t to_memory) {
    dnnl_primitive_desc_t description = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_t from_memory = NULL;
    dnnl_stream_t stream = NULL;
    dnnl_status_t status = dnnl_reorder_primitive_desc_create(&description, from, engine, to, engine, NULL);
    if (status == dnnl_success) status = dnnl_primitive_create(&primitive, description);
    if (status == dnnl_success) status = dnnl_memory_create(&from_memory, from, engine, (void *)values);
    if (status == dnnl_success) status = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
    if (status == dnnl_success) {
        const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, from_memory}, {DNNL_ARG_TO, to_memory}};
        status = dnnl_primitive_execute(primitive, stream, 2, arguments);
    }
    if (status == dnnl_success) status = dnnl_stream_wait(stream);
    if (stream) dnnl_stream_destroy(stream);
    if (from_memory) dnnl_memory_destroy(from_memory);
    if (primitive) dnnl_primitive_destroy(primitive);
    if (description) dnnl_primitive_desc_destroy(description);
    return status;
}

static filtags_status prepare_weights(struct conv *conv, const struct description *description,
                                      const struct conv_shape *shape, const float *kernel, const float *bias) {
    const tensor_ref wanted = dnnl_primitive_desc_query_md(conv->description, dnnl_query_weights_md, 0);
    conv->kernel_values = block_new(dnnl_memory_desc_get_size(wanted), 1);
    if (!conv->kernel_values) return FILTAGS_ERROR_MEMORY;
    filtags_status status = check(dnnl_memory_create(&conv->kernel, wanted, conv->engine, conv->kernel_values),
                                  "dnnl_memory_create");
    if (status != FILTAGS_OK) return status;
    status = check(reorder(conv->engine, TENSOR_REF(description->plain_kernel), kernel, wanted, conv->kernel),
                   "oneDNN's reorder of a convolution's kernel");
    if (status != FILTAGS_OK || !bias) return status;
    conv->bias_values = memory_new_aligned(shape->out_c, sizeof(float));
    if (!conv->bias_values) return FILTAGS_ERROR_MEMORY;
    memcpy(conv->bias_values, bias, shape->out_c * sizeof(float));
    return check(dnnl_memory_create(&conv->bias, TENSOR_REF(description->bias), conv->engine, conv->bias_values),
                 "dnnl_memory_create");
}

/* ------------------------------------------------------------------ convolution */

const char *conv_implementation(const struct conv *conv) {
    const char *name = "";
    dnnl_primitive_desc_query(conv->description, dnnl_query_impl_info_str, 0, &name);
    return name;
}

static filtags_status finish(struct conv *conv, const struct description *description, const struct conv_shape *shape,
                             const float *kernel, const float *bias) {
    filtags_status status = check(dnnl_primitive_create(&conv->primitive, conv->description), "dnnl_primitive_create");
    if (status != FILTAGS_OK) return status;
    conv->scratchpad_bytes =
        dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(conv->description, dnnl_query_scratchpad_md, 0));
    return prepare_weights(conv, description, shape, kernel, bias);
}

static filtags_status make_conv(struct conv_library *library, const struct conv_shape *shape, const float *kernel,
                                const float *bias, struct conv **conv) {
    struct description description;
    memset(&description, 0, sizeof description);
    filtags_status status = FILTAGS_OK;
    struct conv *made = memory_new(1, sizeof *made);
    if (!made) return FILTAGS_ERROR_MEMORY;
    made->engine = library->engine;
    dnnl_status_t result = describe(shape, &description);
    if (result == dnnl_success) result = primitive_desc_create(library, &description, bias != NULL, &made->description);
    /* Which shapes a primitive takes is the library's affair: whatever it refuses has our own kernel. */
    const bool is_fast = result == dnnl_success && !strstr(conv_implementation(made), "ref");
    if (is_fast) status = finish(made, &description, shape, kernel, bias);
    else if (result == dnnl_out_of_memory) status = check(result, "oneDNN's convolution");
    description_free(&description);
    if (!is_fast || status != FILTAGS_OK) {
        conv_destroy(made);
        made = NULL;
    }
    if (status == FILTAGS_OK) *conv = made;
    return status;
}

filtags_status conv_create(struct conv_library *library, const struct conv_shape *shape, const float *kernel,
                           const float *bias, struct conv **conv) {
    /* Weights are loaded by several threads. oneDNN's cache of primitives has locks of its own, but ThreadSanitizer
     * sees nothing of them; and making a primitive is quick beside reading its weights. */
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&mutex);
    filtags_status status = make_conv(library, shape, kernel, bias, conv);
    pthread_mutex_unlock(&mutex);
    return status;
}

size_t conv_scratchpad_bytes(const struct conv *conv) { return conv->scratchpad_bytes; }

void conv_destroy(struct conv *conv) {
    if (!conv) return;
    if (conv->bias) dnnl_memory_destroy(conv->bias);
    if (conv->kernel) dnnl_memory_destroy(conv->kernel);
    if (conv->primitive) dnnl_primitive_destroy(conv->primitive);
    if (conv->description) dnnl_primitive_desc_destroy(conv->description);
    free(conv->bias_values);
    free(conv->kernel_values);
    free(conv);
}

/* ------------------------------------------------------------------ running */

filtags_status conv_stream_create(struct conv_library *library, struct conv_stream **stream) {
    struct conv_stream *made = memory_new(1, sizeof *made);
    if (!made) return FILTAGS_ERROR_MEMORY;
    filtags_status status = check(dnnl_stream_create(&made->stream, library->engine, dnnl_stream_default_flags),
                                  "dnnl_stream_create");
    if (status != FILTAGS_OK) {
        free(made);
        return status;
    }
    *stream = made;
    return FILTAGS_OK;
}

void conv_stream_destroy(struct conv_stream *stream) {
    if (!stream) return;
    dnnl_stream_destroy(stream->stream);
    free(stream);
}

filtags_status conv_run(const struct conv *conv, struct conv_stream *stream, void *scratchpad, const float *in,
                        float *out) {
    static const dnnl_query_t queries[3] = {dnnl_query_src_md, dnnl_query_dst_md, dnnl_query_scratchpad_md};
    void *const buffers[3] = {(void *)in, out, scratchpad};
    dnnl_memory_t memories[3] = {NULL};
    dnnl_status_t result = dnnl_success;
    for (int i = 0; i < 3 && result == dnnl_success; i++)
        result = dnnl_memory_create(&memories[i], dnnl_primitive_desc_query_md(conv->description, queries[i], 0),
                                    conv->engine, buffers[i]);
    if (result == dnnl_success) {
        const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, memories[0]},        {DNNL_ARG_DST, memories[1]},
                                             {DNNL_ARG_SCRATCHPAD, memories[2]}, {DNNL_ARG_WEIGHTS, conv->kernel},
                                             {DNNL_ARG_BIAS, conv->bias}};
        result = dnnl_primitive_execute(conv->primitive, stream->stream, conv->bias ? 5 : 4, arguments);
    }
    if (result == dnnl_success) result = dnnl_stream_wait(stream->stream);
    for (int i = 0; i < 3; i++)
        if (memories[i]) dnnl_memory_destroy(memories[i]);
    return check(result, "oneDNN's convolution");
}
