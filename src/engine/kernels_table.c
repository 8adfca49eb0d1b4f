#include "engine/kernels.h"

extern const struct kernels kernels_portable;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2, kernels_avx512;
#endif

const struct kernels *kernels_for(filtags_isa isa) {
#if defined(__x86_64__)
    if (isa == FILTAGS_ISA_AVX2) return &kernels_avx2;
    if (isa == FILTAGS_ISA_AVX512) return &kernels_avx512;
#endif
    (void)isa;
    return &kernels_portable;
}
