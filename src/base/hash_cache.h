/* hash_cache.h - hashes of large files, remembered in the user's cache ($XDG_CACHE_HOME/filtags/hashes, by default
 * ~/.cache/filtags/hashes), because hashing VGG16's 553 MB takes as long as thousands of stored pictures.
 *
 * A hash is taken from there only for a file with the same device, inode, size, time of change and time of the inode's
 * change (which no program can set) to the nanosecond. As a file could be written to twice within one tick of its file
 * system's clock, a hash is kept only of files that were at rest for two seconds before they were read. A cache that is
 * missing, damaged or can't be written is as good as an empty one. */
#ifndef FILTAGS_BASE_HASH_CACHE_H
#define FILTAGS_BASE_HASH_CACHE_H

#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

#include "base/hash.h"

enum { HASH_CACHE_LEAST_BYTES = 8 << 20 }; /* smaller files are hashed anew: that takes milliseconds */

/* As hash_file, from the cache where it has the file's hash, else by reading it and keeping the hash. */
FILTAGS_MUST_USE filtags_status hash_file_cached(enum hash_algorithm algorithm, const char *path,
                                                 char hex[HASH_HEX_BYTES]);

/* What hash_file_cached does it with. info: of the file; now: when reading it was begun. */
bool hash_cache_find(enum hash_algorithm algorithm, const struct stat *info, char hex[HASH_HEX_BYTES]);
void hash_cache_keep(enum hash_algorithm algorithm, const struct stat *info, const struct timespec *now,
                     const char *hex);

#endif
