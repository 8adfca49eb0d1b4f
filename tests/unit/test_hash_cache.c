/* The cache of hashes: what it hands out, and all that it must not. */
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash_cache.h"

/* No file of these tests has this hash. */
static const char PLANTED[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static char folder[64], file_path[96], cache_path[96];

static void write_file(const char *path, const char *text, off_t size) {
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(ftruncate(fd, size), 0); /* the rest is a hole */
    assert_int_equal(close(fd), 0);
}

static int set_up(void **state) {
    (void)state;
    strcpy(folder, "/tmp/filtags-hashes-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(file_path, sizeof file_path, "%s/weights", folder);
    snprintf(cache_path, sizeof cache_path, "%s/cache", folder);
    setenv("XDG_CACHE_HOME", cache_path, 1);
    write_file(file_path, "one", HASH_CACHE_LEAST_BYTES);
    return 0;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place) {
    (void)info, (void)kind, (void)place;
    return remove(path);
}

static int tear_down(void **state) {
    (void)state;
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct stat info_of(const char *path) {
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    return info;
}

/* Keep a hash of the file as it is now, as if it were read so long after its last change. */
static void plant(const char *hex, time_t later_sec) {
    const struct stat info = info_of(file_path);
    struct timespec now = info.st_ctim;
    now.tv_sec += later_sec;
    hash_cache_keep(HASH_SHA256, &info, &now, hex);
}

static const char *cached_hash(void) {
    static char hex[HASH_HEX_BYTES];
    assert_int_equal(hash_file_cached(HASH_SHA256, file_path, hex), FILTAGS_OK);
    return hex;
}

static void assert_true_hash(void) {
    char hex[HASH_HEX_BYTES];
    assert_int_equal(hash_file(HASH_SHA256, file_path, hex), FILTAGS_OK);
    assert_string_equal(cached_hash(), hex);
}

/* The entry of the file; size: room for its path. */
static void find_entry(char *path, size_t size) {
    const struct stat info = info_of(file_path);
    snprintf(path, size, "%s/filtags/hashes/sha256-%ju-%ju", cache_path, (uintmax_t)info.st_dev,
             (uintmax_t)info.st_ino);
}

static bool has_entry(void) {
    char path[256];
    find_entry(path, sizeof path);
    return access(path, F_OK) == 0;
}

static void test_found(void **state) {
    (void)state;
    char hex[HASH_HEX_BYTES];
    const struct stat info = info_of(file_path);
    assert_false(hash_cache_find(HASH_SHA256, &info, hex));
    plant(PLANTED, 2);
    assert_string_equal(cached_hash(), PLANTED);
    assert_false(hash_cache_find(HASH_MD5, &info, hex)); /* another algorithm's is not it */
    const struct timespec later = {.tv_sec = info.st_ctim.tv_sec + 9};
    hash_cache_keep(HASH_MD5, &info, &later, "0123456789abcdef0123456789abcdef");
    assert_true(hash_cache_find(HASH_MD5, &info, hex));
    assert_string_equal(hex, "0123456789abcdef0123456789abcdef");
    plant("ffff456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", 2); /* replaces */
    assert_string_equal(cached_hash(), "ffff456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
}

static void test_same_size_and_time(void **state) {
    (void)state;
    plant(PLANTED, 2);
    const struct stat before = info_of(file_path);
    const struct timespec times[2] = {before.st_atim, before.st_mtim};
    struct stat after = before;
    for (size_t i = 0; i < 1000 && after.st_ctim.tv_sec == before.st_ctim.tv_sec &&
                       after.st_ctim.tv_nsec == before.st_ctim.tv_nsec; i++) { /* until the file system's clock ticks */
        usleep(1000);
        write_file(file_path, "two", HASH_CACHE_LEAST_BYTES);
        assert_int_equal(utimensat(AT_FDCWD, file_path, times, 0), 0);
        after = info_of(file_path);
    }
    assert_true(after.st_mtim.tv_nsec == before.st_mtim.tv_nsec && after.st_size == before.st_size &&
                after.st_ino == before.st_ino);
    assert_true_hash();
}

static void test_changed(void **state) {
    (void)state;
    plant(PLANTED, 2);
    write_file(file_path, "one", HASH_CACHE_LEAST_BYTES + 1);
    assert_true_hash();
    plant(PLANTED, 2);
    assert_string_equal(cached_hash(), PLANTED);
    assert_int_equal(unlink(file_path), 0);
    write_file(file_path, "one", HASH_CACHE_LEAST_BYTES + 1); /* perhaps with the same inode */
    assert_true_hash();
}

static void test_changed_just_now(void **state) {
    (void)state;
    plant(PLANTED, 1);
    assert_false(has_entry());
    assert_true_hash(); /* of a file made a moment ago */
    assert_false(has_entry());
    const struct timespec future[2] = {{.tv_sec = INT32_MAX}, {.tv_sec = INT32_MAX}};
    assert_int_equal(utimensat(AT_FDCWD, file_path, future, 0), 0);
    plant(PLANTED, 9);
    assert_false(has_entry());
    plant(PLANTED, 9);
    assert_true_hash();
}

static void test_small(void **state) {
    (void)state;
    write_file(file_path, "one", HASH_CACHE_LEAST_BYTES - 1);
    plant(PLANTED, 9);
    assert_false(has_entry());
    assert_true_hash();
}

/* Whatever byte of an entry is changed, and wherever it ends: the file is read. */
static void test_damaged(void **state) {
    (void)state;
    char path[256], entry[512], damaged[512], hex[HASH_HEX_BYTES];
    const struct stat info = info_of(file_path);
    plant(PLANTED, 2);
    find_entry(path, sizeof path);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    const size_t n = fread(entry, 1, sizeof entry, file);
    fclose(file);
    assert_in_range(n, 100, sizeof entry - 1);
    for (size_t i = 0; i <= n; i++)
        for (int is_cut = 0; is_cut < 2; is_cut++) {
            if (i == n && is_cut) continue;
            memcpy(damaged, entry, n);
            damaged[i] = i == n ? 'x' : (char)(entry[i] ^ 1);
            file = fopen(path, "wb");
            assert_non_null(file);
            fwrite(damaged, 1, is_cut ? i : i == n ? n + 1 : n, file);
            assert_int_equal(fclose(file), 0);
            if (hash_cache_find(HASH_SHA256, &info, hex)) fail_msg("byte %zu, cut %d", i, is_cut);
        }
    assert_true_hash();
    plant(PLANTED, 2); /* and the damaged one is replaced */
    assert_string_equal(cached_hash(), PLANTED);
}

static void test_no_cache(void **state) {
    (void)state;
    char home[96];
    write_file(cache_path, "a file in the folder's place", 100);
    plant(PLANTED, 2);
    assert_true_hash();
    setenv("XDG_CACHE_HOME", "/proc/no-folder", 1); /* can't be made, not even by root */
    plant(PLANTED, 2);
    assert_true_hash();
    unsetenv("XDG_CACHE_HOME");
    const char *old = getenv("HOME");
    char *kept = old ? strdup(old) : NULL;
    unsetenv("HOME");
    plant(PLANTED, 2);
    assert_true_hash();
    setenv("XDG_CACHE_HOME", "relative", 1); /* is ignored */
    snprintf(home, sizeof home, "%s/home", folder);
    assert_int_equal(mkdir(home, 0700), 0);
    setenv("HOME", home, 1);
    plant(PLANTED, 2);
    assert_string_equal(cached_hash(), PLANTED);
    assert_int_not_equal(access("relative", F_OK), 0);
    if (kept) setenv("HOME", kept, 1);
    free(kept);
}

static void test_failure(void **state) {
    (void)state;
    char hex[HASH_HEX_BYTES];
    assert_int_equal(hash_file_cached(HASH_SHA256, "/no/such/file", hex), FILTAGS_ERROR_IO);
    assert_non_null(strstr(filtags_error_message(), "/no/such/file"));
    assert_int_equal(hash_file_cached(HASH_SHA256, folder, hex), FILTAGS_ERROR_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_same_size_and_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_changed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_changed_just_now, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_small, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_cache, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failure, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
