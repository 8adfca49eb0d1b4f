/* Tallies: told as records they add up, in any order and any number of parts; what isn't one of theirs is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "steps/tally.h"

enum { N_PICTURES = 30, N_CLASSES = 3, N_FILTERS = 5, N_TOP = 2, MOST_RECORDS = 64 };

static uint32_t class_of[N_PICTURES];
static bool is_bad[8][N_PICTURES];

/* Records that were told, with copies of their contents. */
struct told {
    struct tally_record records[MOST_RECORDS];
    size_t n;
    size_t n_most; /* the telling fails behind so many */
};

static filtags_status keep(void *context, const struct tally_record *record) {
    struct told *told = context;
    if (told->n == told->n_most) return FILTAGS_ERROR_IO;
    char *copy = malloc(record->n_bytes + 1);
    assert_non_null(copy);
    memcpy(copy, record->contents, record->n_bytes);
    told->records[told->n] = *record;
    told->records[told->n++].contents = copy;
    return FILTAGS_OK;
}

static void forget(struct told *told) {
    for (size_t i = 0; i < told->n; i++) free((void *)told->records[i].contents);
    told->n = 0;
}

static void create(struct tally *tally, size_t number) {
    memset(is_bad[number], 0, sizeof is_bad[number]);
    for (size_t i = 0; i < N_PICTURES; i++) class_of[i] = (uint32_t)(i * 7 % N_CLASSES);
    assert_int_equal(tally_create(N_PICTURES, class_of, is_bad[number], tally), FILTAGS_OK);
    assert_int_equal(tally_add_sums(tally, N_CLASSES, N_FILTERS, N_TOP), FILTAGS_OK);
}

static void take(struct tally *tally, size_t picture) {
    filtags_activation activations[N_FILTERS];
    if (picture % 10 == 3) {
        assert_int_equal(tally_mark_bad(tally, picture, "it is broken"), FILTAGS_OK);
        return;
    }
    for (size_t f = 0; f < N_FILTERS; f++)
        activations[f] = (filtags_activation)((picture * 2654435761u + f * 40503u) % (FILTAGS_ACTIVATION_ONE + 1u));
    tally_take(tally, picture, activations);
}

static void add_all(struct tally *to, const struct told *told) {
    for (size_t i = told->n; i-- > 0;)
        assert_int_equal(tally_add(to, &told->records[i], "test"), FILTAGS_OK);
}

static void assert_same(const struct tally *one, const struct tally *other) {
    assert_int_equal(one->n_done, other->n_done);
    assert_int_equal(one->n_bad, other->n_bad);
    assert_memory_equal(one->sums, other->sums, N_CLASSES * N_FILTERS * sizeof *one->sums);
    assert_memory_equal(one->n_images, other->n_images, N_CLASSES * sizeof *one->n_images);
    assert_memory_equal(one->top.entries, other->top.entries, N_FILTERS * N_TOP * sizeof *one->top.entries);
    assert_memory_equal(one->is_bad, other->is_bad, N_PICTURES * sizeof *one->is_bad);
}

static void test_parts_add_up(void **state) {
    (void)state;
    struct tally whole, merged;
    create(&whole, 0);
    create(&merged, 1);
    for (size_t i = 0; i < N_PICTURES; i++) take(&whole, i);
    for (size_t part = 3; part-- > 0;) { /* every third picture, the last part first */
        struct tally tally;
        struct told told = {.n_most = MOST_RECORDS};
        create(&tally, 2);
        for (size_t i = part; i < N_PICTURES; i += 3) take(&tally, i);
        assert_int_equal(tally_tell_all(&tally, &(struct tally_receiver){&told, keep}), FILTAGS_OK);
        add_all(&merged, &told);
        forget(&told);
        tally_free(&tally);
    }
    assert_same(&whole, &merged);
    tally_free(&merged);
    tally_free(&whole);
}

/* A process that tells what is new and forgets it, again and again, and one that adds that. */
static void test_told_and_forgotten(void **state) {
    (void)state;
    struct tally whole, far, near;
    create(&whole, 0);
    create(&far, 1);
    create(&near, 2);
    for (size_t i = 0; i < N_PICTURES; i++) {
        struct told told = {.n_most = MOST_RECORDS};
        take(&whole, i);
        take(&far, i);
        if (i % 4 != 3 && i != N_PICTURES - 1) continue;
        assert_int_equal(tally_tell(&far, &(struct tally_receiver){&told, keep}), FILTAGS_OK);
        tally_forget(&far);
        add_all(&near, &told);
        forget(&told);
        assert_true(tally_is_done(&far, i) && tally_is_done(&near, i));
    }
    assert_same(&whole, &near);
    tally_free(&near);
    tally_free(&far);
    tally_free(&whole);
}

/* What wasn't told because the receiver failed is told the next time; what was isn't told again. */
static void test_telling_that_fails(void **state) {
    (void)state;
    struct tally tally, copy;
    struct told told = {.n_most = 2};
    create(&tally, 0);
    for (size_t i = 0; i < N_PICTURES; i++) take(&tally, i);
    assert_int_equal(tally_tell(&tally, &(struct tally_receiver){&told, keep}), FILTAGS_ERROR_IO);
    forget(&told);
    told.n_most = MOST_RECORDS;
    assert_int_equal(tally_tell(&tally, &(struct tally_receiver){&told, keep}), FILTAGS_OK);
    create(&copy, 1);
    add_all(&copy, &told);
    assert_same(&tally, &copy);
    forget(&told);
    assert_int_equal(tally_tell(&tally, &(struct tally_receiver){&told, keep}), FILTAGS_OK);
    assert_int_equal(told.n, 0);
    tally_free(&copy);
    tally_free(&tally);
}

static void refuse(uint32_t type, uint32_t number, const void *contents, size_t n_bytes, filtags_status status) {
    struct tally tally;
    create(&tally, 0);
    take(&tally, 4);
    const struct tally_record record = {type, number, contents, n_bytes};
    assert_int_equal(tally_add(&tally, &record, "file"), status);
    assert_non_null(strstr(filtags_error_message(), "file: "));
    tally_free(&tally);
}

static void test_records_that_do_not_fit(void **state) {
    (void)state;
    const uint64_t past_the_end[] = {20, 11}, twice[] = {3, 2}, overflow[] = {2, UINT64_MAX};
    int64_t row[1 + N_FILTERS] = {1, 5, 5, 5, 5, (int64_t)FILTAGS_ACTIVATION_ONE + 1};
    const int64_t negative[1 + N_FILTERS] = {1, -1}, many[1 + N_FILTERS] = {N_PICTURES + 1};
    uint64_t top[N_FILTERS * N_TOP] = {(uint64_t)7 << 32 | (UINT32_MAX - N_PICTURES)};
    refuse(TALLY_DONE, 0, past_the_end, sizeof past_the_end, FILTAGS_ERROR_FORMAT);
    refuse(TALLY_DONE, 0, overflow, sizeof overflow, FILTAGS_ERROR_FORMAT);
    refuse(TALLY_DONE, 0, past_the_end, 8, FILTAGS_ERROR_FORMAT);
    refuse(TALLY_DONE, 0, twice, sizeof twice, FILTAGS_ERROR_DATA);
    refuse(TALLY_BAD, N_PICTURES, "why", 3, FILTAGS_ERROR_FORMAT);
    refuse(TALLY_ROW, 0, row, sizeof row, FILTAGS_ERROR_FORMAT);
    refuse(TALLY_ROW, 0, negative, sizeof negative, FILTAGS_ERROR_FORMAT);
    refuse(TALLY_ROW, 0, many, sizeof many, FILTAGS_ERROR_FORMAT);
    refuse(TALLY_ROW, 0, row, sizeof row - 8, FILTAGS_ERROR_FORMAT);
    refuse(TALLY_ROW, N_CLASSES, negative, sizeof negative, FILTAGS_ERROR_FORMAT);
    refuse(TALLY_TOP, 0, top, sizeof top, FILTAGS_ERROR_FORMAT);
    refuse(TALLY_TOP, 0, top, sizeof top - 8, FILTAGS_ERROR_FORMAT);
    refuse(TALLY_PREDICTION, 0, top, sizeof top, FILTAGS_ERROR_FORMAT);
    refuse(77, 0, NULL, 0, FILTAGS_ERROR_FORMAT);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parts_add_up), cmocka_unit_test(test_told_and_forgotten),
                                       cmocka_unit_test(test_telling_that_fails),
                                       cmocka_unit_test(test_records_that_do_not_fit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
