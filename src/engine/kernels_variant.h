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
#define VEC_FMA(a, b, c) ((vec)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define VEC_MIN(a, b) ((vec)_mm512_min_ps((__m512)(a), (__m512)(b)))
#define VEC_MAX(a, b) ((vec)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define VEC_WIDEN(half) ((vec_double)_mm512_cvtps_pd((__m256)(half)))
#elif defined(__AVX2__)
#include <immintrin.h>
#define LANES 8
#define VEC_FMA(a, b, c) ((vec)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define VEC_MIN(a, b) ((vec)_mm256_min_ps((__m256)(a), (__m256)(b)))
#define VEC_MAX(a, b) ((vec)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define VEC_WIDEN(half) ((vec_double)_mm256_cvtps_pd((__m128)(half)))
#else
#define LANES 4
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

/* In front of an element-wise loop whose output may be its input: iterations don't depend on one another, which
 * the compiler can't see and would otherwise give up vectorising for. */
#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#pragma clang diagnostic ignored "-Wpass-failed" /* sanitizers keep it from vectorising, which is no fault */
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

/* Functions of one file that belong to the table. */
void KERNEL(kernel_activate)(const struct activation *activation, const float *in, float *out, size_t n);
void KERNEL(kernel_softmax)(const float *in, float *out, size_t n_rows, size_t c);
void KERNEL(kernel_dense)(const struct dense_shape *shape, const float *in, size_t in_stride, size_t n_rows,
                          const float *panels, const float *bias, float *out, size_t out_stride);
void KERNEL(kernel_conv)(const struct conv_shape *shape, const float *in, const float *kernel, const float *bias,
                         float *out);

#endif
