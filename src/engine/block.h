/* block.h - large blocks of memory for weights and activations. */
#ifndef FILTAGS_ENGINE_BLOCK_H
#define FILTAGS_ENGINE_BLOCK_H

#include <stddef.h>

/* Allocate memory aligned to 64 bytes at least, not zeroed, on huge pages where it is large and the system has them:
 * a network's weights fill far more small pages than the processor can keep track of. Free with free(). NULL: failed,
 * and the error message is set. */
void *block_new(size_t n, size_t size_bytes);

#endif
