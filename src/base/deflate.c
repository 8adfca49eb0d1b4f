#include "base/deflate.h"

#include <stdlib.h>
#include <zlib.h>

#include "base/error.h"
#include "base/memory.h"

filtags_status deflate_append(struct buffer *to, const void *bytes, size_t n_bytes) {
    uLongf n_packed = compressBound((uLong)n_bytes);
    unsigned char *packed = memory_new(n_packed, 1);
    if (!packed) return FILTAGS_ERROR_MEMORY;
    int code = compress2(packed, &n_packed, bytes, (uLong)n_bytes, Z_BEST_COMPRESSION);
    if (code == Z_OK) buffer_append(to, packed, n_packed);
    free(packed);
    if (code != Z_OK) return error_out_of_memory(n_bytes);
    return to->has_failed ? FILTAGS_ERROR_MEMORY : FILTAGS_OK;
}
