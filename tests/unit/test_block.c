/* Blocks of memory that share huge pages: aligned, apart from one another, and given back in any order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/block.h"

enum { N_BLOCKS = 400 };

static size_t size_of(size_t i) { /* from nothing to more than a chunk */
    if (i % 97 == 0) return (i / 97) * 7000001;
    return i % 13 == 0 ? 3000000 + i : i * 501;
}

static void check_filled(const unsigned char *block, size_t i) {
    const size_t size = size_of(i);
    for (size_t k = 0; k < size; k += k < 100 ? 1 : 997) assert_int_equal(block[k], i % 251);
    if (size) assert_int_equal(block[size - 1], i % 251);
}

static void many(void **state) {
    (void)state;
    static unsigned char *blocks[N_BLOCKS];
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = round; i < N_BLOCKS; i += 1 + (round == 1)) {
            if (blocks[i]) continue;
            blocks[i] = block_new_shared(size_of(i), 1);
            assert_non_null(blocks[i]);
            assert_int_equal((uintptr_t)blocks[i] % 64, 0);
            memset(blocks[i], (int)(i % 251), size_of(i));
        }
        for (size_t i = 0; i < N_BLOCKS; i++) {
            if (!blocks[i]) continue;
            check_filled(blocks[i], i);
            if ((i + round) % 3 == 0) continue;
            block_free_shared(blocks[i]);
            blocks[i] = NULL;
        }
    }
    for (size_t i = 0; i < N_BLOCKS; i++) {
        if (blocks[i]) check_filled(blocks[i], i);
        block_free_shared(blocks[i]);
        blocks[i] = NULL;
    }
}

static void too_large(void **state) {
    (void)state;
    assert_null(block_new_shared(SIZE_MAX / 2, 3));
    assert_null(block_new_shared(SIZE_MAX - 100, 1));
    block_free_shared(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(many), cmocka_unit_test(too_large)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
