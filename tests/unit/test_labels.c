/* ImageNet's classes, which the program carries with it, and hashes of files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"
#include "labels/labels.h"

static void test_classes(void **state) {
    (void)state;
    const struct imagenet_class *classes = imagenet_classes();
    assert_string_equal(classes[0].wnid, "n01440764");
    assert_string_equal(classes[0].label, "tench");
    assert_string_equal(classes[162].wnid, "n02088364");
    assert_string_equal(classes[162].label, "beagle");
    assert_string_equal(classes[999].wnid, "n15075141");
    assert_string_equal(classes[999].label, "toilet_tissue");
    for (size_t i = 0; i < IMAGENET_N_CLASSES; i++) {
        assert_int_equal(strlen(classes[i].wnid), 9);
        assert_int_equal(classes[i].wnid[0], 'n');
        assert_true(*classes[i].label && !strpbrk(classes[i].label, "\t\r\n"));
        assert_true(i == 0 || strcmp(classes[i - 1].wnid, classes[i].wnid) < 0); /* ImageNet's order is that of wnids */
    }
}

static void check_hash(enum hash_algorithm algorithm, const char *contents, const char *expected) {
    char path[] = "/tmp/filtags-hash-XXXXXX", hex[HASH_HEX_BYTES];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, contents, strlen(contents)), strlen(contents));
    close(fd);
    assert_int_equal(hash_file(algorithm, path, hex), FILTAGS_OK);
    unlink(path);
    assert_string_equal(hex, expected);
}

/* The examples of RFC 1321 and FIPS 180-2. */
static void test_hashes(void **state) {
    (void)state;
    check_hash(HASH_MD5, "", "d41d8cd98f00b204e9800998ecf8427e");
    check_hash(HASH_MD5, "message digest", "f96b697d7cb7938d525a2f31aaf161d0");
    check_hash(HASH_SHA256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    char hex[HASH_HEX_BYTES] = "as before";
    assert_int_equal(hash_file(HASH_MD5, "/nowhere/at/all", hex), FILTAGS_ERROR_IO);
    assert_int_equal(hash_file(HASH_MD5, "/tmp", hex), FILTAGS_ERROR_IO); /* a folder */
    assert_string_equal(hex, "as before");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_classes), cmocka_unit_test(test_hashes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
