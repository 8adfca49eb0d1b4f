/* kernels_variant.h - for the kernel files alone, which are compiled once per instruction set with
 * KERNELS_SUFFIX set to its name. Everything here is a macro or a type: a function that two variants shared
 * could be emitted with instructions that the processor lacks. */
#ifndef FILTAGS_ENGINE_KERNELS_VARIANT_H
#define FILTAGS_ENGINE_KERNELS_VARIANT_H

#include "engine/kernels.h"

#ifndef KERNELS_SUFFIX
#error "KERNELS_SUFFIX must be portable, avx2 or avx512"
#endif

#define KERNELS_JOIN(name, suffix) name##_##suffix
#define KERNELS_EXPAND(name, suffix) KERNELS_JOIN(name, suffix)
#define KERNEL(name) KERNELS_EXPAND(name, KERNELS_SUFFIX)

/* vec: LANES floats; vec_half: half as many, which widen to one vec_double. */
#if defined(__AVX512F__)
#include <immintrin.h>
#define LANES 16
#define KERNELS_ISA FILTAGS_ISA_AVX512
#define VEC_FMA(a, b, c) ((vec)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define VEC_MIN(a, b) ((vec)_mm512_min_ps((__m512)(a), (__m512)(b)))
#define VEC_MAX(a, b) ((vec)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define VEC_WIDEN(half) ((vec_double)_mm512_cvtps_pd((__m256)(half)))
#elif defined(__AVX2__)
#include <immintrin.h>
#define LANES 8
#define KERNELS_ISA FILTAGS_ISA_AVX2
#define VEC_FMA(a, b, c) ((vec)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define VEC_MIN(a, b) ((vec)_mm256_min_ps((__m256)(a), (__m256)(b)))
#define VEC_MAX(a, b) ((vec)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define VEC_WIDEN(half) ((vec_double)_mm256_cvtps_pd((__m128)(half)))
#else
#define LANES 4
#define KERNELS_ISA FILTAGS_ISA_PORTABLE
#define VEC_FMA(a, b, c) ((a) * (b) + (c))
#define VEC_WIDEN(half) __builtin_convertvector(half, vec_double)
#if defined(__SSE2__)
#include <immintrin.h>
#define VEC_MIN(a, b) ((vec)_mm_min_ps((__m128)(a), (__m128)(b)))
#define VEC_MAX(a, b) ((vec)_mm_max_ps((__m128)(a), (__m128)(b)))
#else
#define VEC_SELECT(mask, a, b) ((vec)(((mask) & (vec_mask)(a)) | (~(mask) & (vec_mask)(b))))
#define VEC_MIN(a, b) VEC_SELECT((a) < (b), a, b)
#define VEC_MAX(a, b) VEC_SELECT((a) > (b), a, b)
typedef int vec_mask __attribute__((vector_size(LANES * 4)));
#endif
#endif

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef float vec_half __attribute__((vector_size(LANES * 2)));
typedef double vec_double __attribute__((vector_size(LANES * 4)));

/* Loads and stores without a demand for alignment. */
typedef vec vec_unaligned __attribute__((aligned(4), may_alias));
typedef vec_half vec_half_unaligned __attribute__((aligned(4), may_alias));
typedef vec_double vec_double_unaligned __attribute__((aligned(8), may_alias));
#define VEC_AT(pointer) (*(vec_unaligned *)(pointer))
#define VEC_LOAD(pointer) (*(const vec_unaligned *)(pointer))
#define VEC_HALF_LOAD(pointer) (*(const vec_half_unaligned *)(pointer))
#define VEC_DOUBLE_AT(pointer) (*(vec_double_unaligned *)(pointer))
#define VEC_SPLAT(value) ((value) - (vec){0})

/* The first n of a vector's lanes, 0 < n <= LANES: the rest is loaded as 0, and not stored. */
#if defined(__AVX512F__)
#define VEC_LOAD_PART(pointer, n) ((vec)_mm512_maskz_loadu_ps((__mmask16)((1u << (n)) - 1), pointer))
#define VEC_STORE_PART(pointer, value, n) \
    _mm512_mask_storeu_ps(pointer, (__mmask16)((1u << (n)) - 1), (__m512)(value))
#elif defined(__AVX2__)
static const int VEC_MASKS[2 * LANES] = {-1, -1, -1, -1, -1, -1, -1, -1};
#define VEC_MASK(n) _mm256_loadu_si256((const __m256i *)(VEC_MASKS + LANES - (n)))
#define VEC_LOAD_PART(pointer, n) ((vec)_mm256_maskload_ps(pointer, VEC_MASK(n)))
#define VEC_STORE_PART(pointer, value, n) _mm256_maskstore_ps(pointer, VEC_MASK(n), (__m256)(value))
#else
#define VEC_LOAD_PART(pointer, n)                                       \
    ((vec){(pointer)[0], (n) > 1 ? (pointer)[1] : 0, (n) > 2 ? (pointer)[2] : 0, (n) > 3 ? (pointer)[3] : 0})
#define VEC_STORE_PART(pointer, value, n)                               \
    do {                                                                \
        for (size_t lane = 0; lane < (n); lane++) (pointer)[lane] = (value)[lane]; \
    } while (0)
#endif

/* In front of an element-wise loop whose output may be its input: iterations don't depend on one another, which
 * the compiler can't see and would otherwise give up vectorising for. */
#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#pragma clang diagnostic ignored "-Wpass-failed" /* sanitizers keep it from vectorising, which is no fault */
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

/* Columns that a block of a matrix product computes at a time. */
#define PANEL (2 * LANES)

/* c [n_rows, n_columns] = a [n_rows, n_runs * n_k] * panel [n_runs * n_k, PANEL], n_columns <= PANEL; a and c with
 * strides between their rows, a also between its runs of n_k terms. A sum is one chain of (fused, where the processor
 * can) multiply-adds in the order of its terms, then the value that c already has (with is_added), then the bias, then
 * ReLU. */
struct gemm_block {
    size_t n_rows, n_columns, n_k, n_runs;
    const float *a, *panel;
    size_t a_stride, a_run, c_stride;
    float *c;
    const float *bias; /* [PANEL] or NULL */
    bool is_added, is_relu;
    bool reads_ahead; /* of a, the rows behind those in use are fetched into cache; else the panel behind this one */
};

/* Functions of one file that belong to the table. */
void KERNEL(kernel_activate)(const struct activation *activation, const float *in, float *out, size_t n);
void KERNEL(kernel_softmax)(const float *in, float *out, size_t n_rows, size_t c);
void KERNEL(kernel_dense)(const struct dense_shape *shape, const float *in, size_t in_stride, size_t n_rows,
                          const float *panels, const float *bias, float *out, size_t out_stride);
void KERNEL(kernel_conv)(const struct conv_shape *shape, const float *in, const float *kernel, const float *bias,
                         float *out);
void KERNEL(kernel_gemm_block)(const struct gemm_block *block);
void KERNEL(kernel_conv_gemm)(const struct conv_job *job);
void KERNEL(kernel_conv_rows)(const struct conv_job *job);
void KERNEL(kernel_conv_winograd)(const struct conv_job *job);
void KERNEL(kernel_winograd_weights)(const struct conv_shape *shape, size_t tile_h, size_t tile_w, const float *kernel,
                                     float *panels);

#endif
