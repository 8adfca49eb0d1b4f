/* deflate.h - compression in the zlib format (RFC 1950), by zlib. */
#ifndef FILTAGS_BASE_DEFLATE_H
#define FILTAGS_BASE_DEFLATE_H

#include "base/buffer.h"
#include "filtags.h"

/* Append compressed bytes to a buffer. MEMORY. */
FILTAGS_MUST_USE filtags_status deflate_append(struct buffer *to, const void *bytes, size_t n_bytes);

#endif
