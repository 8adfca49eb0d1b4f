/* block.h - large blocks of memory for weights and activations. */
#ifndef FILTAGS_ENGINE_BLOCK_H
#define FILTAGS_ENGINE_BLOCK_H

#include <stddef.h>

/* Allocate memory aligned to 64 bytes at least, not zeroed, on huge pages where it is large and the system has them:
 * a network's weights fill far more small pages than the processor can keep track of. Free with free(). NULL: failed,
 * and the error message is set. */
void *block_new(size_t n, size_t size_bytes);

/* The same of blocks that live long and are many, such as weights: they share huge pages with one another, whatever
 * their size. NULL: failed, and the error message is set. Free with block_free_shared alone, which takes NULL. From any
 * thread. Up to 16 MB are kept for later blocks. */
void *block_new_shared(size_t n, size_t size_bytes);
void block_free_shared(void *block);

#endif
