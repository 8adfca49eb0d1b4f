#include "base/hash_cache.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An entry is a file of one line: what the hashed file was known by, its hash, and the start of that line's SHA-256. */
enum { ENTRY_BYTES = 512, CHECK_BYTES = 8, REST_SEC = 2 };

static const char *algorithm_name(enum hash_algorithm algorithm) {
    return algorithm == HASH_MD5 ? "md5" : "sha256";
}

/* ---------------------------------------------------------------- places */

/* The entry's path; makes the folders above it if asked to. False: there is no place for a cache. */
static bool entry_path(enum hash_algorithm algorithm, const struct stat *info, bool makes_folders,
                       char path[PATH_MAX]) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    const bool has_cache = cache && cache[0] == '/'; /* a relative one is to be ignored, say the XDG rules */
    if (!has_cache && !(home && *home)) return false;
    const char *const folders[] = {has_cache ? "" : "/.cache", "/filtags", "/hashes"};
    size_t n = (size_t)snprintf(path, PATH_MAX, "%s", has_cache ? cache : home);
    for (size_t i = 0; i < sizeof folders / sizeof *folders && n < PATH_MAX; i++) {
        n += (size_t)snprintf(path + n, PATH_MAX - n, "%s", folders[i]);
        if (n < PATH_MAX && makes_folders) (void)!mkdir(path, 0700); /* one that is missing shows at the file */
    }
    if (n < PATH_MAX)
        n += (size_t)snprintf(path + n, PATH_MAX - n, "/%s-%" PRIuMAX "-%" PRIuMAX, algorithm_name(algorithm),
                              (uintmax_t)info->st_dev, (uintmax_t)info->st_ino);
    return n < PATH_MAX;
}

/* ---------------------------------------------------------------- entries */

/* False: OpenSSL has no SHA-256. */
static bool make_entry(enum hash_algorithm algorithm, const struct stat *info, const char *hex,
                       char entry[ENTRY_BYTES]) {
    uint8_t digest[HASH_DIGEST_BYTES];
    int n = snprintf(entry, ENTRY_BYTES, "filtags 1 %s size %jd mtime %jd.%09ld ctime %jd.%09ld hash %s check ",
                     algorithm_name(algorithm), (intmax_t)info->st_size, (intmax_t)info->st_mtim.tv_sec,
                     info->st_mtim.tv_nsec, (intmax_t)info->st_ctim.tv_sec, info->st_ctim.tv_nsec, hex);
    if (hash_bytes(entry, (size_t)n, digest)) return false;
    for (size_t i = 0; i < CHECK_BYTES; i++) n += snprintf(entry + n, ENTRY_BYTES - (size_t)n, "%02x", digest[i]);
    snprintf(entry + n, ENTRY_BYTES - (size_t)n, "\n");
    return true;
}

bool hash_cache_find(enum hash_algorithm algorithm, const struct stat *info, char hex[HASH_HEX_BYTES]) {
    const size_t n_hex = algorithm == HASH_MD5 ? 32 : 64;
    char path[PATH_MAX], found[ENTRY_BYTES + 1], expected[ENTRY_BYTES], kept[HASH_HEX_BYTES];
    if (info->st_size < HASH_CACHE_LEAST_BYTES || !entry_path(algorithm, info, false, path)) return false;
    FILE *file = fopen(path, "rbe");
    if (!file) return false;
    const size_t n = fread(found, 1, ENTRY_BYTES, file);
    fclose(file);
    found[n] = '\0';
    const char *at = strstr(found, " hash ");
    if (!at || strlen(at + 6) < n_hex) return false;
    snprintf(kept, sizeof kept, "%.*s", (int)n_hex, at + 6);
    /* the file as it is now must give the same entry, letter by letter */
    if (!make_entry(algorithm, info, kept, expected) || strcmp(found, expected) != 0) return false;
    memcpy(hex, kept, n_hex + 1);
    return true;
}

static bool has_rested(const struct timespec *changed, const struct timespec *now) {
    return changed->tv_sec + REST_SEC < now->tv_sec ||
           (changed->tv_sec + REST_SEC == now->tv_sec && changed->tv_nsec <= now->tv_nsec);
}

void hash_cache_keep(enum hash_algorithm algorithm, const struct stat *info, const struct timespec *now,
                     const char *hex) {
    char path[PATH_MAX], temporary[PATH_MAX], entry[ENTRY_BYTES];
    if (info->st_size < HASH_CACHE_LEAST_BYTES || !has_rested(&info->st_mtim, now) ||
        !has_rested(&info->st_ctim, now) || !make_entry(algorithm, info, hex, entry) ||
        !entry_path(algorithm, info, true, path))
        return;
    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= PATH_MAX) return;
    const int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) return;
    const size_t n = strlen(entry);
    const bool is_written = write(fd, entry, n) == (ssize_t)n;
    /* an entry is replaced as a whole; one that a crash leaves unfinished is found by its check */
    if (close(fd) || !is_written || rename(temporary, path)) unlink(temporary);
}

/* ---------------------------------------------------------------- hashing */

static bool is_same_time(const struct timespec *a, const struct timespec *b) {
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool is_unchanged(const struct stat *before, const struct stat *after) {
    return before->st_dev == after->st_dev && before->st_ino == after->st_ino && before->st_size == after->st_size &&
           is_same_time(&before->st_mtim, &after->st_mtim) && is_same_time(&before->st_ctim, &after->st_ctim);
}

filtags_status hash_file_cached(enum hash_algorithm algorithm, const char *path, char hex[HASH_HEX_BYTES]) {
    struct stat before, after;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const bool is_regular = !stat(path, &before) && S_ISREG(before.st_mode);
    if (is_regular && hash_cache_find(algorithm, &before, hex)) return FILTAGS_OK;
    const filtags_status status = hash_file(algorithm, path, hex);
    if (!status && is_regular && !stat(path, &after) && is_unchanged(&before, &after))
        hash_cache_keep(algorithm, &before, &now, hex);
    return status;
}
