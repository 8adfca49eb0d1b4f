#include "engine/block.h"

#include <pthread.h>
#include <stdbool.h>
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

/* ------------------------------------------------------------------ blocks that share huge pages */

enum { CHUNK_BYTES = 16 * 1024 * 1024, MOST_SHARED_BYTES = CHUNK_BYTES / 4 };

/* Blocks lie one behind the other in a chunk, which begins with this at a multiple of CHUNK_BYTES. A larger block has a
 * chunk of its own, and begins in its first CHUNK_BYTES likewise: so a block's address tells its chunk. */
struct chunk {
    size_t used_bytes, n_blocks;
};

static pthread_mutex_t chunk_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct chunk *open_chunk; /* which has room for more, or NULL; never freed while it is the one, even if empty */

static struct chunk *chunk_new(size_t total_bytes) {
    struct chunk *chunk = aligned_alloc(CHUNK_BYTES, (total_bytes + CHUNK_BYTES - 1) / CHUNK_BYTES * CHUNK_BYTES);
    if (!chunk) {
        error_out_of_memory(total_bytes);
        return NULL;
    }
#ifdef MADV_HUGEPAGE
    /* only as far as it is used: a huge page that nobody touches costs nothing */
    madvise(chunk, (total_bytes + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES, MADV_HUGEPAGE);
#endif
    *chunk = (struct chunk){ALIGNMENT_BYTES, 0};
    return chunk;
}

static void *chunk_take(struct chunk *chunk, size_t wanted_bytes) {
    void *block = (char *)chunk + chunk->used_bytes;
    chunk->used_bytes += wanted_bytes;
    chunk->n_blocks++;
    return block;
}

void *block_new_shared(size_t n, size_t size_bytes) {
    if (size_bytes && n > (SIZE_MAX - 2 * (size_t)CHUNK_BYTES) / size_bytes) {
        error_out_of_memory(SIZE_MAX);
        return NULL;
    }
    /* one more at least, so that no block begins where its chunk ends */
    const size_t wanted_bytes = (n * size_bytes + ALIGNMENT_BYTES) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
    const bool is_shared = wanted_bytes <= MOST_SHARED_BYTES;
    void *block = NULL;
    pthread_mutex_lock(&chunk_mutex);
    struct chunk *chunk = is_shared ? open_chunk : NULL;
    if (!chunk || chunk->used_bytes + wanted_bytes > CHUNK_BYTES) {
        chunk = chunk_new(is_shared ? CHUNK_BYTES : wanted_bytes + ALIGNMENT_BYTES);
        if (chunk && is_shared) open_chunk = chunk;
    }
    if (chunk) block = chunk_take(chunk, wanted_bytes);
    pthread_mutex_unlock(&chunk_mutex);
    return block;
}

void block_free_shared(void *block) {
    if (!block) return;
    struct chunk *chunk = (struct chunk *)((uintptr_t)block / CHUNK_BYTES * CHUNK_BYTES);
    pthread_mutex_lock(&chunk_mutex);
    if (--chunk->n_blocks == 0) {
        if (chunk == open_chunk) chunk->used_bytes = ALIGNMENT_BYTES; /* kept: huge pages take long to be had */
        else free(chunk);
    }
    pthread_mutex_unlock(&chunk_mutex);
}
