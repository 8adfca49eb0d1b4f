/* hash.h - SHA-256, by OpenSSL. */
#ifndef FILTAGS_BASE_HASH_H
#define FILTAGS_BASE_HASH_H

#include "filtags.h"

enum { HASH_HEX_BYTES = 65 };

/* Hash a file. hex gets 64 lower-case digits and a NUL. IO, INTERNAL. */
FILTAGS_MUST_USE filtags_status hash_file(const char *path, char hex[HASH_HEX_BYTES]);

#endif
