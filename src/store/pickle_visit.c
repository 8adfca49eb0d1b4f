/* Handing values over while a file is read, and forgetting them. */
#include "base/memory.h"
#include "store/pickle_internal.h"

void pickle_visit_begin(struct pickle_reader *reader, uint64_t word) {
    struct pickle_visit *visit = &reader->visit;
    /* Nothing that outlives a pair may lie before the root, or something could be added to it that doesn't. */
    bool is_first = word_tag(word) == TAG_DICT && word_place(word) == visit->pickle_first_word;
    if (!visit->visitor->pair || visit->keeps_all || !is_first) return;
    visit->root = word;
    visit->first_word = reader->file->words.n;
    visit->first_memo = 0;
}

static bool is_behind(const struct pickle_visit *visit, uint64_t word) {
    switch (word_tag(word)) {
    case TAG_CONSTANT:
    case TAG_INT:
    case TAG_STR:
    case TAG_GLOBAL:
        return false; /* not among the words */
    default:
        return word_place(word) >= visit->first_word;
    }
}

static void forget(struct pickle_reader *reader) {
    struct pickle_visit *visit = &reader->visit;
    uint64_t *memo = reader->memo.data;
    for (size_t i = visit->first_memo; i < reader->memo.n; i++) {
        if (is_behind(visit, memo[i])) memo[i] = WORD_FORGOTTEN;
    }
    visit->first_memo = reader->memo.n;
    reader->file->words.n = visit->first_word;
    visit->has_forgotten = true;
}

static filtags_status tell_pairs(struct pickle_reader *reader, const uint64_t *items, size_t n) {
    struct pickle_visit *visit = &reader->visit;
    for (size_t i = 0; i < n; i += 2) {
        void *sizes = visit->told_sizes;
        uint64_t n_values = 0;
        filtags_status status = pickle_check(reader->file, items[i], reader->pickle_offset, 2, NULL);
        if (!status) status = pickle_check(reader->file, items[i + 1], reader->pickle_offset, 2, &n_values);
        if (status) return status;
        if (visit->n_pairs++ < visit->n_pairs_told) {
            if (visit->told_sizes[visit->n_pairs - 1] == n_values) continue;
            return pickle_fail(reader, FILTAGS_ERROR_UNSUPPORTED,
                               "a list that grows after the next key, or goes into another value");
        }
        if (memory_grow(&sizes, &visit->told_capacity, visit->n_pairs, sizeof *visit->told_sizes))
            return FILTAGS_ERROR_MEMORY;
        visit->told_sizes = sizes;
        visit->told_sizes[visit->n_pairs_told++] = n_values;
        status = visit->visitor->pair(visit->visitor->context, reader->file, reader->file->values.n,
                                      (pickle_value){items[i]}, (pickle_value){items[i + 1]});
        visit->has_failed = status != FILTAGS_OK;
        if (status) return status;
    }
    return FILTAGS_OK;
}

filtags_status pickle_visit_pairs(struct pickle_reader *reader, const uint64_t *items, size_t n) {
    filtags_status status = tell_pairs(reader, items, n);
    if (!status) forget(reader);
    return status;
}

/* The keys that are met: numbers and text, and NumPy's numbers, which begin with a function's name. */
static bool is_key(uint64_t word) {
    enum pickle_tag tag = word_tag(word);
    return tag == TAG_INT || tag == TAG_FLOAT || tag == TAG_STR || tag == TAG_GLOBAL;
}

/* A list of lists is complete when something else comes. (A list of numbers need not be: another may be about to be
 * appended.) Where that is wrong, the pickle's next opcodes fail, as they miss the list; then the file is read again as
 * a whole. */
static bool is_list_of_lists(const struct pickle_reader *reader, uint64_t word) {
    pickle_value list = {word};
    return word_tag(word) == TAG_LIST && pickle_length(reader->file, list) > 0 &&
           word_tag(pickle_item(reader->file, list, 0).word) == TAG_LIST;
}

filtags_status pickle_visit_push(struct pickle_reader *reader, uint64_t *word) {
    uint64_t *stack = reader->stack.data;
    double number = 0;
    if (reader->marks.n != 1 || reader->fence != 1 || stack[0] != reader->visit.root || !is_key(*word) ||
        !is_key(stack[1]) || !is_list_of_lists(reader, stack[2]))
        return FILTAGS_OK;
    if (word_tag(*word) == TAG_FLOAT) number = pickle_as_number(reader->file, (pickle_value){*word});
    filtags_status status = pickle_visit_pairs(reader, stack + 1, 2);
    if (status) return status;
    reader->stack.n = 1;
    return word_tag(*word) == TAG_FLOAT ? pickle_make_float(reader->file, number, word) : FILTAGS_OK;
}

/* What is still in the root was never handed over. */
static filtags_status tell_rest(struct pickle_reader *reader, uint64_t word) {
    size_t n = pickle_length(reader->file, (pickle_value){word});
    for (size_t i = 0; i < n; i++) {
        pickle_value pair[2];
        pickle_pair(reader->file, (pickle_value){word}, i, &pair[0], &pair[1]);
        const uint64_t items[2] = {pair[0].word, pair[1].word};
        filtags_status status = tell_pairs(reader, items, 2);
        if (status) return status;
    }
    return FILTAGS_OK;
}

filtags_status pickle_visit_end(struct pickle_reader *reader, uint64_t word) {
    struct pickle_visit *visit = &reader->visit;
    filtags_status status = FILTAGS_OK;
    if (visit->has_forgotten && word != visit->root)
        return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "the dict at the start is not what the pickle gives");
    if (visit->visitor->pair && word_tag(word) == TAG_DICT) status = tell_rest(reader, word);
    if (status || visit->n_values++ < visit->n_values_told) return status;
    if (visit->n_pairs < visit->n_pairs_told)
        return pickle_fail(reader, FILTAGS_ERROR_UNSUPPORTED, "a dict that goes into another value after its pairs");
    visit->n_values_told++;
    status = visit->visitor->value(visit->visitor->context, reader->file, reader->file->values.n, (pickle_value){word});
    visit->has_failed = status != FILTAGS_OK;
    if (!visit->keeps_all) reader->file->words.n = visit->pickle_first_word;
    return status;
}
