/* isa.h - which instruction set the engines of this process use. */
#ifndef FILTAGS_ENGINE_ISA_H
#define FILTAGS_ENGINE_ISA_H

#include "filtags.h"

/* Turn AUTO into the best instruction set that the processor has. UNSUPPORTED: the processor (or this
 * build) lacks the one that was asked for. */
FILTAGS_MUST_USE filtags_status isa_resolve(filtags_isa wanted, filtags_isa *isa);

/* "portable", "avx2", "avx512"; "auto". */
const char *isa_name(filtags_isa isa);

#endif
