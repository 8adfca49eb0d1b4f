#include "engine/block.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/error.h"

enum { ALIGNMENT_BYTES = 64, HUGE_PAGE_BYTES = 2 * 1024 * 1024 };

void *block_new(size_t n, size_t size_bytes) {
    if (size_bytes && n > (SIZE_MAX - HUGE_PAGE_BYTES) / size_bytes) {
        error_out_of_memory(SIZE_MAX);
        return NULL;
    }
    const size_t wanted_bytes = n * size_bytes;
    const size_t alignment = wanted_bytes >= 2 * HUGE_PAGE_BYTES ? HUGE_PAGE_BYTES : ALIGNMENT_BYTES;
    size_t total_bytes = (wanted_bytes + alignment - 1) / alignment * alignment;
    if (total_bytes == 0) total_bytes = alignment;
    void *block = aligned_alloc(alignment, total_bytes);
    if (!block) error_out_of_memory(total_bytes);
#ifdef MADV_HUGEPAGE
    /* a wish: without huge pages everything works, only slower */
    if (block && alignment == HUGE_PAGE_BYTES) madvise(block, total_bytes, MADV_HUGEPAGE);
#endif
    return block;
}
