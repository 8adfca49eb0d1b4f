/* hash.h - SHA-256 and MD5 of files, SHA-256 of bytes, and base64, by OpenSSL. */
#ifndef FILTAGS_BASE_HASH_H
#define FILTAGS_BASE_HASH_H

#include "base/buffer.h"
#include "filtags.h"

enum { HASH_HEX_BYTES = 65, HASH_DIGEST_BYTES = 32 };

enum hash_algorithm {
    HASH_SHA256, /* what a result was made from */
    HASH_MD5     /* what Keras publishes for its weight files: finds damage, no forgery */
};

/* Hash a file. hex gets lower-case digits (64 of SHA-256, 32 of MD5) and a NUL. IO, INTERNAL. */
FILTAGS_MUST_USE filtags_status hash_file(enum hash_algorithm algorithm, const char *path, char hex[HASH_HEX_BYTES]);

/* SHA-256 of bytes in memory. INTERNAL: OpenSSL has none. */
FILTAGS_MUST_USE filtags_status hash_bytes(const void *bytes, size_t n_bytes, uint8_t digest[HASH_DIGEST_BYTES]);

/* Append bytes in base64 (RFC 4648, with padding, without line breaks). */
void base64_append(struct buffer *to, const void *bytes, size_t n_bytes);

#endif
