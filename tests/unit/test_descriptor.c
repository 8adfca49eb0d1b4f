/* Reading and writing whole: ends, failures, offsets, and a pipe that takes and gives less at a time. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* after the headers that it needs */
#include <cmocka.h>

#include "base/clock.h"
#include "base/descriptor.h"

enum { MANY_BYTES = 1 << 20 }; /* more than a pipe holds */

static int new_file(void) {
    char path[] = "/tmp/filtags-descriptor-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    return fd;
}

static void test_offsets_and_the_end(void **state) {
    char bytes[8];
    size_t n_read = 99;
    int fd = new_file();
    (void)state;
    assert_true(descriptor_write(fd, "abcdef", 6));
    assert_true(descriptor_write_at(fd, 2, "XY", 2));
    assert_true(descriptor_read_at(fd, 1, bytes, 4, &n_read));
    assert_int_equal(n_read, 4);
    assert_memory_equal(bytes, "bXYe", 4);
    assert_true(descriptor_read_at(fd, 4, bytes, sizeof bytes, &n_read));
    assert_int_equal(n_read, 2); /* the file ends */
    assert_true(descriptor_read_at(fd, 1000, bytes, sizeof bytes, &n_read));
    assert_int_equal(n_read, 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_true(descriptor_read(fd, bytes, 0, &n_read));
    assert_int_equal(n_read, 0);
    assert_true(descriptor_read(fd, bytes, sizeof bytes, &n_read));
    assert_int_equal(n_read, 6);
    close(fd);
}

static void test_failures(void **state) {
    char byte = 0;
    size_t n_read;
    int ends[2], full = open("/dev/full", O_RDWR);
    (void)state;
    errno = 0;
    assert_false(descriptor_read(-1, &byte, 1, &n_read));
    assert_int_equal(errno, EBADF);
    assert_false(descriptor_write_at(-1, 0, &byte, 1));
    assert_int_equal(pipe(ends), 0);
    assert_false(descriptor_read_at(ends[0], 0, &byte, 1, &n_read)); /* a pipe has no offsets */
    assert_int_equal(errno, ESPIPE);
    assert_true(full >= 0);
    assert_false(descriptor_write(full, &byte, 1));
    assert_int_equal(errno, ENOSPC);
    close(full);
    close(ends[0]);
    close(ends[1]);
}

static void *write_many(void *context) {
    int *fd = context;
    char *bytes = malloc(MANY_BYTES);
    for (size_t i = 0; bytes && i < MANY_BYTES; i++) bytes[i] = (char)(i % 251);
    bool is_written = bytes && descriptor_write(*fd, bytes, MANY_BYTES);
    close(*fd);
    free(bytes);
    return is_written ? context : NULL;
}

static void test_pipe_passes_all(void **state) {
    pthread_t writer;
    void *is_written;
    int ends[2];
    size_t n_read = 0, n_wrong = 0;
    char *bytes = malloc(MANY_BYTES + 1);
    (void)state;
    assert_non_null(bytes);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_many, &ends[1]), 0);
    assert_true(descriptor_read(ends[0], bytes, MANY_BYTES + 1, &n_read));
    pthread_join(writer, &is_written);
    assert_non_null(is_written);
    assert_int_equal(n_read, MANY_BYTES);
    for (size_t i = 0; i < n_read; i++) n_wrong += bytes[i] != (char)(i % 251);
    assert_int_equal(n_wrong, 0);
    close(ends[0]);
    free(bytes);
}

static void test_clock_counts_seconds(void **state) {
    const double start_sec = clock_sec();
    (void)state;
    usleep(20000);
    const double passed_sec = clock_sec() - start_sec;
    assert_true(passed_sec >= 0.02 && passed_sec < 60);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offsets_and_the_end),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_pipe_passes_all),
        cmocka_unit_test(test_clock_counts_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
