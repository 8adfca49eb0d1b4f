/* Any bytes are either refused or give values that can be walked through. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "store/pickle.h"

struct walk {
    const struct pickle_file *file;
    size_t n_left; /* lists may share lists: what is small as a file can be long to walk through */
    size_t depth;
    double sum;    /* uses what is read, so that nothing is optimized away */
};

static void walk_value(struct walk *walk, pickle_value value) {
    const struct pickle_file *file = walk->file;
    pickle_value key, item;
    size_t n;
    if (walk->n_left == 0) return;
    walk->n_left--;
    if (++walk->depth > 100 + 1) abort();
    switch (pickle_kind_of(file, value)) {
    case PICKLE_NONE:
        break;
    case PICKLE_BOOL:
    case PICKLE_INT:
    case PICKLE_FLOAT:
        walk->sum += pickle_as_number(file, value) + (double)pickle_as_int(file, value);
        break;
    case PICKLE_STR:
        if (pickle_str_id(file, value) >= pickle_n_strs(file)) abort();
        /* fall through */
    case PICKLE_BYTES: {
        const char *text = pickle_as_str(file, value, &n);
        if (text[n] != '\0') abort();
        walk->sum += (double)strlen(text);
        break;
    }
    case PICKLE_LIST:
    case PICKLE_TUPLE:
    case PICKLE_SET:
        n = pickle_length(file, value);
        for (size_t i = 0; i < n && walk->n_left; i++) walk_value(walk, pickle_item(file, value, i));
        break;
    case PICKLE_DICT:
        n = pickle_length(file, value);
        for (size_t i = 0; i < n && walk->n_left; i++) {
            pickle_pair(file, value, i, &key, &item);
            walk_value(walk, key);
            walk_value(walk, item);
        }
        break;
    case PICKLE_ARRAY:
        n = 1;
        for (size_t i = 0; i < pickle_array_n_dims(file, value); i++) n *= pickle_array_dim(file, value, i);
        if (n != pickle_length(file, value)) abort();
        for (size_t i = 0; i < n; i++) walk->sum += pickle_array(file, value)[i];
        break;
    default:
        abort();
    }
    walk->depth--;
}

/* How many pairs of a dict there are, and what kinds: the same, read as a whole or one by one. */
static filtags_status sum_pair(void *context, const struct pickle_file *file, size_t index, pickle_value key,
                               pickle_value item) {
    struct walk walk = {.file = file, .n_left = 100};
    uint64_t *sum = context;
    walk_value(&walk, key);
    walk_value(&walk, item);
    *sum = *sum * 31 + index * 1000 + pickle_kind_of(file, key) * 20u + pickle_kind_of(file, item) + walk.n_left;
    return FILTAGS_OK;
}

static filtags_status sum_value(void *context, const struct pickle_file *file, size_t index, pickle_value value) {
    uint64_t *sum = context;
    *sum = *sum * 37 + index * 1000 + pickle_kind_of(file, value);
    return FILTAGS_OK;
}

static uint64_t sum_all(const struct pickle_file *file) {
    uint64_t sum = 0;
    for (size_t index = 0; index < pickle_file_n_values(file); index++) {
        pickle_value value = pickle_file_value(file, index), key, item;
        bool is_dict = pickle_kind_of(file, value) == PICKLE_DICT;
        for (size_t i = 0; is_dict && i < pickle_length(file, value); i++) {
            pickle_pair(file, value, i, &key, &item);
            if (sum_pair(&sum, file, index, key, item)) abort();
        }
        if (sum_value(&sum, file, index, value)) abort();
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct pickle_file *file = NULL;
    uint64_t sum = 0;
    const struct pickle_visitor visitor = {&sum, sum_pair, sum_value};
    filtags_status visit_status = size ? pickle_memory_visit(data, size, "fuzz", 1 << 24, &visitor) : 0;
    filtags_status status = pickle_memory_open(data, size, "fuzz", 1 << 24, &file);
    bool is_comparable = size && status != FILTAGS_ERROR_MEMORY && visit_status != FILTAGS_ERROR_UNSUPPORTED;
    if (is_comparable && (status != visit_status || (!status && sum != sum_all(file)))) abort();
    if (status) {
        if (file || strncmp(filtags_error_message(), "fuzz: ", 6)) abort();
        return 0;
    }
    struct walk walk = {.file = file, .n_left = 10000};
    for (size_t i = 0; i < pickle_file_n_values(file); i++) walk_value(&walk, pickle_file_value(file, i));
    pickle_file_close(file);
    return 0;
}
