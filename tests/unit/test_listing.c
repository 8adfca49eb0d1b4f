/* Listings of tags: what is read from them, and that writing gives the same text again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/python_text.h"
#include "steps/listing_file.h"

/* In the form of the published results: one layer, one value. */
static const char published[] = "filter tags k=1\n"
                                "0:[' chiton ', ' soccer_ball ']\n"
                                "1:[]\n"
                                "2:[\" jack-o'-lantern \", ' soccer_ball ']\n";

static const char sections[] = "filter tags k=1 layer=0 conv1\n0:[' a ']\n1:[]\n"
                               "filter tags k=1 layer=1 block 2/conv\n0:[' b ', ' a ']\n"
                               "filter tags k=-3 layer=0 conv1\n0:[]\n1:[]\n"
                               "filter tags k=-3 layer=1 block 2/conv\n0:[]\n"
                               "filter tags q=0.1 layer=0 conv1\n0:[]\n1:[' c ']\n"
                               "filter tags q=0.1 layer=1 block 2/conv\n0:[' a ']\n";

static struct number_list all_values;

static filtags_status open_text(const char *text, const struct number_list *k_q, struct listing_file *listing) {
    struct step step = {0};
    filtags_status status = listing_memory_open(&step, text, strlen(text), "x.txt", k_q, listing);
    buffer_free(&step.early_warnings);
    return status;
}

static void assert_writes(const struct listing_file *listing, const char *expected) {
    char *text = NULL;
    size_t n_bytes;
    FILE *stream = open_memstream(&text, &n_bytes);
    assert_non_null(stream);
    assert_int_equal(listing_write(stream, "x.txt", &listing->tags, (const char *const *)listing->tags.labels,
                                   (const char *const *)listing->layer_names),
                     FILTAGS_OK);
    fclose(stream);
    assert_string_equal(text, expected);
    free(text);
}

static void test_published_form(void **state) {
    (void)state;
    struct listing_file listing;
    assert_int_equal(open_text(published, &all_values, &listing), FILTAGS_OK);
    const struct tag_file *tags = &listing.tags;
    assert_null(listing.layer_names);
    assert_int_equal(tags->table.n_layers, 1);
    assert_int_equal(tags->table.n_filters[0], 3);
    assert_int_equal(tags->n_selectors, 1);
    assert_int_equal(tags->n_k, 1);
    assert_int_equal(tags->selectors[0].rule, FILTAGS_RULE_K);
    assert_true(tags->selectors[0].value == 1);
    assert_int_equal(tags->n_labels, 3);
    assert_string_equal(tags->labels[0], "chiton");
    assert_string_equal(tags->labels[1], "soccer_ball");
    assert_string_equal(tags->labels[2], "jack-o'-lantern");
    static const uint64_t offset[] = {0, 2, 2, 4};
    static const uint32_t labels[] = {0, 1, 2, 1};
    assert_int_equal(tags->tags[0].n_filters, 3);
    assert_memory_equal(tags->tags[0].offset, offset, sizeof offset);
    assert_memory_equal(tags->tags[0].labels, labels, sizeof labels);
    assert_writes(&listing, published);
    listing_file_close(&listing);
}

static void test_sections(void **state) {
    (void)state;
    struct listing_file listing;
    assert_int_equal(open_text(sections, &all_values, &listing), FILTAGS_OK);
    const struct tag_file *tags = &listing.tags;
    assert_int_equal(tags->table.n_layers, 2);
    assert_int_equal(tags->table.first[2], 3);
    assert_string_equal(listing.layer_names[0], "conv1");
    assert_string_equal(listing.layer_names[1], "block 2/conv");
    assert_int_equal(tags->n_selectors, 3);
    assert_int_equal(tags->n_k, 2);
    assert_true(tags->selectors[1].value == -3 && tags->selectors[2].value == 0.1);
    assert_int_equal(tags->selectors[2].rule, FILTAGS_RULE_Q);
    assert_int_equal(tags->tags[1].offset[3], 0);
    assert_int_equal(tags->tags[2].labels[0], 2);
    assert_writes(&listing, sections);
    listing_file_close(&listing);
}

/* Values are those that are wanted, in that order; k before q wherever they are in the file. */
static void test_chosen_values(void **state) {
    (void)state;
    static const char text[] = "filter tags q=2\n0:[' d ']\nfilter tags k=1\n0:[' e ']\nfilter tags k=2\n0:[' f ']\n";
    double values[] = {2, 1, 7, 0.5};
    struct number_list k_q = {values, 4};
    struct step step = {0};
    struct listing_file listing;
    assert_int_equal(listing_memory_open(&step, text, strlen(text), "x.txt", &k_q, &listing), FILTAGS_OK);
    assert_int_equal(listing.tags.n_selectors, 3);
    assert_int_equal(listing.tags.n_k, 2);
    assert_true(listing.tags.selectors[0].value == 2 && listing.tags.selectors[1].value == 1);
    assert_int_equal(listing.tags.selectors[2].rule, FILTAGS_RULE_Q);
    assert_string_equal(listing.tags.labels[listing.tags.tags[0].labels[0]], "f");
    assert_string_equal(listing.tags.labels[listing.tags.tags[2].labels[0]], "d");
    assert_string_equal(buffer_text(&step.early_warnings), "x.txt has no tags for k = 7: it is left out\n"
                                                           "x.txt has no tags for q = 1: it is left out\n"
                                                           "x.txt has no tags for q = 7: it is left out\n"
                                                           "x.txt has no tags for q = 0.5: it is left out\n");
    buffer_free(&step.early_warnings);
    listing_file_close(&listing);
    values[0] = 9;
    k_q.n = 1;
    assert_int_equal(open_text(text, &k_q, &listing), FILTAGS_ERROR_DATA);
    assert_string_equal(filtags_error_message(),
                        "x.txt: tags for one of the values of --k-q expected, found none");
}

/* Labels in every way that Python has of writing them. */
static void test_labels(void **state) {
    (void)state;
    static const char text[] = "\xef\xbb\xbf"
                               "filter tags k=1\r\n\r\n"
                               "0:[' \\x41\\u00e9\\U0001F600\\101\\n\\'\\\\ ',\" \\udcff\xc3\xa9 \"]\r\n"
                               "1:['bare',   '',' ','  ']\r\n2:['  two  ']";
    static const char *const expected[] = {("A\xc3\xa9\xf0\x9f\x98\x80" "A\n'\\"), "\xff\xc3\xa9",
                                           "bare", "", " ", " two "};
    struct listing_file listing;
    assert_int_equal(open_text(text, &all_values, &listing), FILTAGS_OK);
    assert_int_equal(listing.tags.n_labels, 6);
    for (size_t i = 0; i < 6; i++) assert_string_equal(listing.tags.labels[i], expected[i]);
    static const uint32_t labels[] = {0, 1, 2, 3, 4, 3, 5};
    assert_memory_equal(listing.tags.tags[0].labels, labels, sizeof labels);
    assert_writes(&listing, "filter tags k=1\n0:[\" A\xc3\xa9\xf0\x9f\x98\x80" "A\\n'\\\\ \", ' \\udcff\xc3\xa9 ']\n"
                            "1:[' bare ', '  ', '   ', '  ']\n2:['  two  ']\n");
    listing_file_close(&listing);
}

#define AFTER_HEADING "filter tags k=1\n"

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "x.txt: line 1: a heading 'filter tags k=...' expected, found the end of the file"},
        {"\n\n", "x.txt: line 3: a heading 'filter tags k=...' expected, found the end of the file"},
        {"0:[]\n", "x.txt: line 1: a heading 'filter tags k=...' expected, found '0:[]'"},
        {"filter tags\n", "x.txt: line 1: a heading 'filter tags k=...' expected, found 'filter tags'"},
        {"filter tags r=1\n", "x.txt: line 1: k=... or q=... expected, found 'r=1'"},
        {"filter tags k=one\n", "x.txt: line 1: a number behind k= or q= expected, found 'k=one'"},
        {"filter tags q=nan\n", "x.txt: line 1: a number behind k= or q= expected, found 'q=nan'"},
        {"filter tags k=1 12\n", "x.txt: line 1: ' layer=NUMBER' expected, found ' 12'"},
        {"filter tags k=1 layer=x\n", "x.txt: line 1: ' layer=NUMBER' expected, found ' layer=x'"},
        {"filter tags k=1 layer=99999999999999999999\n",
         "x.txt: line 1: ' layer=NUMBER' expected, found ' layer=99999999999999999999'"},
        {"filter tags k=1 layer=0,\n", "x.txt: line 1: a blank and the layer's name expected, found ','"},
        {"filter tags k=1 layer=0 a\\\n", "x.txt: line 1: an escape of Python's expected, found '\\'"},
        {"filter tags k=1 layer=1\n",
         "x.txt: line 1: layer 0 of a new value, or the layer after the one before, expected, found 'filter tags k=1 "
         "layer=1'"},
        {"filter tags k=1\n",
         "x.txt: line 2: at least one filter in the section before expected, found the end of the file"},
        {AFTER_HEADING "0:[]\n" AFTER_HEADING,
         "x.txt: line 3: another value than those before expected, found 'filter tags k=1'"},
        {AFTER_HEADING "0:[]\n1:[]\nfilter tags k=2\n0:[]\nfilter tags k=3\n",
         "x.txt: line 6: filter 1, as the layer has for the first value expected, found 'filter tags k=3'"},
        {AFTER_HEADING "0:[]\nfilter tags k=2\n0:[]\n1:[]\n",
         "x.txt: line 6: 1 filters in the section before expected, found 2"},
        {"filter tags k=1 layer=0 a\n0:[]\nfilter tags k=1 layer=1 b\n0:[]\nfilter tags k=2 layer=0 a\n0:[]\n",
         "x.txt: line 7: layer 1, as for the first value expected, found the end of the file"},
        {"filter tags k=1 layer=0 a\n0:[]\nfilter tags k=2 layer=0 b\n",
         "x.txt: line 3: a layer of the first value, with the same name, expected, found 'filter tags k=2 layer=0 b'"},
        {"filter tags k=1 layer=0 a\n0:[]\nfilter tags k=2 layer=0 a\n0:[]\nfilter tags k=2 layer=1 b\n",
         "x.txt: line 5: a layer of the first value, with the same name, expected, found 'filter tags k=2 layer=1 b'"},
        {AFTER_HEADING "1:[]\n", "x.txt: line 2: filter 0 or a heading 'filter tags ...' expected, found '1:[]'"},
        {AFTER_HEADING "0:[]\n0:[]\n", "x.txt: line 3: filter 1 or a heading 'filter tags ...' expected, found '0:[]'"},
        {AFTER_HEADING "0 []\n", "x.txt: line 2: filter 0 or a heading 'filter tags ...' expected, found '0 []'"},
        {AFTER_HEADING "0:\n", "x.txt: line 2: [ expected, found the end of the line"},
        {AFTER_HEADING "0:[a]\n", "x.txt: line 2: a label in quotes expected, found 'a]'"},
        {AFTER_HEADING "0:[' a ' ' b ']\n", "x.txt: line 2: , or ] expected, found ' ' b ']'"},
        {AFTER_HEADING "0:[' a ', ]\n", "x.txt: line 2: a label in quotes expected, found ']'"},
        {AFTER_HEADING "0:[' a ']x\n", "x.txt: line 2: the end of the line expected, found 'x'"},
        {AFTER_HEADING "0:[' a", "x.txt: line 2: a closing quote expected, found the end of the line"},
        {AFTER_HEADING "0:[' a '", "x.txt: line 2: , or ] expected, found the end of the line"},
        {AFTER_HEADING "0:[' \\q ']\n", "x.txt: line 2: an escape of Python's expected, found '\\q ']'"},
        {AFTER_HEADING "0:[' \\x4']\n", "x.txt: line 2: an escape of Python's expected, found '\\x4']'"},
        {AFTER_HEADING "0:['\\0']\n", "x.txt: line 2: no NUL expected, found '\\0']'"},
        {AFTER_HEADING "0:['\\U00110000']\n",
         "x.txt: line 2: a code point up to \\U0010ffff expected, found '\\U00110000']'"},
        {AFTER_HEADING "0:['\\ud800']\n",
         "x.txt: line 2: no lone surrogate but \\udc80 to \\udcff expected, found '\\ud800']'"},
        {AFTER_HEADING "0:['\xff']\n", "x.txt: line 2: UTF-8 expected, found '\xff']'"},
        {AFTER_HEADING "0:[12345678901234567890123456789012345678901234567890123456789\xc3\xa9]\n",
         "x.txt: line 2: a label in quotes expected, found "
         "'12345678901234567890123456789012345678901234567890123456789...'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct listing_file listing = {.layer_names = (char **)cases};
        assert_int_equal(open_text(cases[i].text, &all_values, &listing), FILTAGS_ERROR_FORMAT);
        assert_string_equal(filtags_error_message(), cases[i].message);
        assert_ptr_equal(listing.layer_names, cases); /* outputs are left alone */
    }
}

static void test_nul_and_values(void **state) {
    (void)state;
    static const char text[] = "filter tags k=1\n0:['a\0b']\n";
    struct step step = {0};
    struct listing_file listing;
    assert_int_equal(listing_memory_open(&step, text, sizeof text - 1, "x.txt", &all_values, &listing),
                     FILTAGS_ERROR_FORMAT);
    assert_non_null(strstr(filtags_error_message(), "x.txt: line 2: no NUL expected"));
    struct buffer many = {0};
    for (int i = 0; i <= 20000; i++) buffer_printf(&many, "filter tags k=%d\n0:[]\n", i);
    assert_int_equal(open_text(many.data, &all_values, &listing), FILTAGS_ERROR_FORMAT);
    assert_string_equal(filtags_error_message(),
                        "x.txt: line 40001: at most 20000 values expected, found 'filter tags k=20000'");
    buffer_free(&many);
}

static void test_layer_names(void **state) {
    (void)state;
    static const char text[] = "filter tags k=1 layer=0  odd\\n'name\\\\ \n0:[' a ']\n"
                               "filter tags k=1 layer=1\n0:[' a ']\n";
    struct listing_file listing;
    assert_int_equal(open_text(text, &all_values, &listing), FILTAGS_OK);
    assert_string_equal(listing.layer_names[0], " odd\n'name\\ ");
    assert_string_equal(listing.layer_names[1], "");
    assert_writes(&listing, text);
    listing_file_close(&listing);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_form), cmocka_unit_test(test_sections),
        cmocka_unit_test(test_chosen_values),  cmocka_unit_test(test_labels),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_nul_and_values),
        cmocka_unit_test(test_layer_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
