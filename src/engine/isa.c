#include "engine/isa.h"

#include <stdbool.h>

#include "base/error.h"

static bool is_available(filtags_isa isa) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (isa == FILTAGS_ISA_AVX2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (isa == FILTAGS_ISA_AVX512)
        return is_available(FILTAGS_ISA_AVX2) && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
#endif
    return isa == FILTAGS_ISA_PORTABLE;
}

const char *isa_name(filtags_isa isa) {
    switch (isa) {
    case FILTAGS_ISA_AUTO: return "auto";
    case FILTAGS_ISA_PORTABLE: return "portable";
    case FILTAGS_ISA_AVX2: return "avx2";
    case FILTAGS_ISA_AVX512: return "avx512";
    }
    return "unknown";
}

filtags_status isa_resolve(filtags_isa wanted, filtags_isa *isa) {
    if (wanted == FILTAGS_ISA_AUTO) {
        if (is_available(FILTAGS_ISA_AVX512)) *isa = FILTAGS_ISA_AVX512;
        else *isa = is_available(FILTAGS_ISA_AVX2) ? FILTAGS_ISA_AVX2 : FILTAGS_ISA_PORTABLE;
        return FILTAGS_OK;
    }
    if (!is_available(wanted))
        return error_set(FILTAGS_ERROR_UNSUPPORTED, "the processor does not have the instruction set '%s'",
                         isa_name(wanted));
    *isa = wanted;
    return FILTAGS_OK;
}
