#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "store/pickle_internal.h"

/* ---- memory ---- */

filtags_status pickle_pool_grow(struct pickle_file *file, struct pickle_pool *pool, size_t n_more) {
    size_t others_bytes = file->used_bytes - pool->capacity * pool->item_bytes;
    size_t n_most = (file->limit_bytes - others_bytes) / pool->item_bytes;
    if (n_more > n_most || pool->n > n_most - n_more) {
        return error_set(FILTAGS_ERROR_MEMORY, "%s: the contents need more than the limit of %zu bytes of memory",
                         file->name, file->limit_bytes);
    }
    size_t n = pool->capacity + pool->capacity / 2 + 64;
    if (n < pool->n + n_more) n = pool->n + n_more;
    if (n > n_most) n = n_most;
    void *data = realloc(pool->data, n * pool->item_bytes);
    if (!data) return error_out_of_memory(n * pool->item_bytes);
    pool->data = data;
    pool->capacity = n;
    file->used_bytes = others_bytes + n * pool->item_bytes;
    return FILTAGS_OK;
}

void pickle_pool_free(struct pickle_file *file, struct pickle_pool *pool) {
    file->used_bytes -= pool->capacity * pool->item_bytes;
    free(pool->data);
    *pool = (struct pickle_pool){.item_bytes = pool->item_bytes};
}

filtags_status pickle_make_words(struct pickle_file *file, size_t n, uint64_t *place) {
    filtags_status status = pickle_pool_reserve(file, &file->words, n);
    if (status) return status;
    *place = file->words.n;
    file->words.n += n;
    return FILTAGS_OK;
}

/* ---- numbers and bytes ---- */

static filtags_status make_word_value(struct pickle_file *file, enum pickle_tag tag, const void *bits, uint64_t *word) {
    uint64_t place;
    filtags_status status = pickle_make_words(file, 1, &place);
    if (status) return status;
    memcpy(pickle_words(file, place), bits, sizeof(uint64_t));
    *word = word_make(tag, place);
    return FILTAGS_OK;
}

filtags_status pickle_make_int(struct pickle_file *file, int64_t value, uint64_t *word) {
    const int64_t limit = INT64_C(1) << (63 - TAG_BITS);
    if (value < -limit || value >= limit) return make_word_value(file, TAG_BIG_INT, &value, word);
    *word = word_make(TAG_INT, (uint64_t)value);
    return FILTAGS_OK;
}

filtags_status pickle_make_float(struct pickle_file *file, double value, uint64_t *word) {
    return make_word_value(file, TAG_FLOAT, &value, word);
}

filtags_status pickle_make_bytes(struct pickle_file *file, size_t n_bytes, uint64_t *word, uint8_t **bytes) {
    uint64_t place;
    filtags_status status = pickle_make_words(file, 2 + n_bytes / 8, &place);
    if (status) return status;
    uint64_t *words = pickle_words(file, place);
    words[0] = n_bytes;
    words[1 + n_bytes / 8] = 0;
    *word = word_make(TAG_BYTES, place);
    *bytes = (uint8_t *)(words + 1);
    return FILTAGS_OK;
}

/* ---- strings: each text is kept once ---- */

static uint64_t hash_text(const struct pickle_file *file, const char *text, size_t n_bytes) {
    uint64_t hash = (uint64_t)(uintptr_t)file ^ n_bytes; /* differs from run to run: no file can aim at collisions */
    for (; n_bytes > 0;) {
        uint64_t part = 0;
        size_t n = n_bytes < sizeof part ? n_bytes : sizeof part;
        memcpy(&part, text, n);
        hash = (hash ^ part) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
        text += n;
        n_bytes -= n;
    }
    return hash ^ hash >> 32;
}

static uint32_t *find_slot(const struct pickle_file *file, const char *text, size_t n_bytes, uint64_t hash) {
    const struct pickle_str *strs = file->strs.data;
    uint32_t *slots = file->slots.data;
    size_t mask = file->slots.capacity - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        if (slots[i] == 0) return &slots[i];
        const struct pickle_str *str = &strs[slots[i] - 1];
        if (str->hash == hash && str->n_bytes == n_bytes &&
            memcmp((char *)file->texts.data + str->first, text, n_bytes) == 0) {
            return &slots[i];
        }
    }
}

/* Keep the table at most half full. */
static filtags_status grow_slots(struct pickle_file *file) {
    if (file->strs.n < file->slots.capacity / 2) return FILTAGS_OK;
    struct pickle_pool slots = {.item_bytes = sizeof(uint32_t)};
    size_t n = file->slots.capacity ? 2 * file->slots.capacity : 256;
    filtags_status status = pickle_pool_grow(file, &slots, n); /* gives exactly n from nothing */
    if (status) return status;
    memset(slots.data, 0, n * sizeof(uint32_t));
    pickle_pool_free(file, &file->slots);
    file->slots = slots;
    const struct pickle_str *strs = file->strs.data;
    for (size_t i = 0; i < file->strs.n; i++) {
        size_t at = strs[i].hash & (n - 1);
        while (((uint32_t *)slots.data)[at]) at = (at + 1) & (n - 1);
        ((uint32_t *)slots.data)[at] = (uint32_t)(i + 1);
    }
    return FILTAGS_OK;
}

static filtags_status intern(struct pickle_file *file, const char *text, size_t n_bytes, uint64_t *word) {
    filtags_status status = grow_slots(file);
    if (status) return status;
    uint64_t hash = hash_text(file, text, n_bytes);
    uint32_t *slot = find_slot(file, text, n_bytes, hash);
    if (*slot == 0) {
        if (file->strs.n >= UINT32_MAX - 1) {
            return error_set(FILTAGS_ERROR_MEMORY, "%s: more than 2^32 different strings", file->name);
        }
        if ((status = pickle_pool_reserve(file, &file->strs, 1))) return status;
        if ((status = pickle_pool_reserve(file, &file->texts, n_bytes + 1))) return status;
        char *copy = (char *)file->texts.data + file->texts.n;
        if (n_bytes) memcpy(copy, text, n_bytes);
        copy[n_bytes] = '\0';
        ((struct pickle_str *)file->strs.data)[file->strs.n++] = (struct pickle_str){file->texts.n, n_bytes, hash};
        file->texts.n += n_bytes + 1;
        *slot = (uint32_t)file->strs.n;
    }
    *word = word_make(TAG_STR, *slot - 1);
    return FILTAGS_OK;
}

filtags_status pickle_make_str(struct pickle_file *file, const char *text, size_t n_bytes, uint64_t *word) {
    if (n_bytes == 0 || !memchr(text, 0xed, n_bytes)) return intern(file, text, n_bytes, word); /* no surrogates */
    struct buffer encoded = {0};
    text_append_fsencoded(&encoded, text, n_bytes);
    filtags_status status =
        encoded.has_failed ? FILTAGS_ERROR_MEMORY : intern(file, encoded.data, encoded.size_bytes, word);
    buffer_free(&encoded);
    return status;
}

/* ---- containers ---- */

/* The check word of a container. A container whose items are all simple needs none: it stays 0 but for the bit. */
#define CHECK_HAS_CHILDREN UINT64_C(1)
#define CHECK_IS_OPEN UINT64_C(2) /* its items are being checked: meeting it again is a cycle */
#define CHECK_IS_DONE UINT64_C(4) /* height and size are set */
enum { CHECK_HEIGHT_SHIFT = 8, CHECK_SIZE_SHIFT = 16 };

enum { MAX_DEPTH = 100 };
/* Values that are met when everything is visited, things that occur in several places each time. A small file can
 * hold lists of the same lists, ten of ten of ten of ...: whoever walked through it would never come to an end. */
#define MAX_EXPANDED_VALUES (UINT64_C(1) << 36)

static bool has_children(const uint64_t *items, size_t n) {
    bool found = false;
    for (size_t i = 0; i < n; i++) found |= word_tag(items[i]) >= TAG_FIRST_CHECKED;
    return found;
}

filtags_status pickle_make_tuple(struct pickle_file *file, const uint64_t *items, size_t n, uint64_t *word) {
    uint64_t place;
    size_t n_head = has_children(items, n) ? 2 : 1;
    filtags_status status = pickle_make_words(file, n_head + n, &place);
    if (status) return status;
    uint64_t *words = pickle_words(file, place);
    words[0] = n;
    if (n_head == 2) {
        words[0] |= TUPLE_HAS_CHECK;
        words[1] = CHECK_HAS_CHILDREN;
    }
    if (n) memcpy(words + n_head, items, n * sizeof *items);
    *word = word_make(TAG_TUPLE, place);
    return FILTAGS_OK;
}

static const uint64_t *items_of(const struct pickle_file *file, uint64_t word, size_t *n) {
    if (word_tag(word) == TAG_TUPLE) {
        const uint64_t *words = pickle_words(file, word_place(word));
        *n = (size_t)(words[0] & ~TUPLE_HAS_CHECK);
        return words + (words[0] & TUPLE_HAS_CHECK ? 2 : 1);
    }
    const struct container *container = pickle_container(file, word);
    *n = (size_t)container->n_items;
    return pickle_words(file, container->first);
}

filtags_status pickle_make_container(struct pickle_file *file, enum pickle_tag tag, const uint64_t *items, size_t n,
                                     uint64_t *word) {
    uint64_t place;
    filtags_status status = pickle_make_words(file, sizeof(struct container) / sizeof(uint64_t), &place);
    if (status) return status;
    uint64_t made = word_make(tag, place);
    *pickle_container(file, made) = (struct container){.first = file->words.n};
    status = pickle_extend(file, made, items, n);
    if (!status) *word = made;
    return status;
}

filtags_status pickle_copy_container(struct pickle_file *file, enum pickle_tag tag, uint64_t from, uint64_t *word) {
    size_t n;
    const uint64_t *items = items_of(file, from, &n);
    bool is_nested = has_children(items, n);
    uint64_t first = (uint64_t)(items - pickle_words(file, 0));
    filtags_status status = pickle_make_container(file, tag, NULL, 0, word);
    if (status) return status;
    /* Items are never overwritten, only appended: the two can share them, as long as the copy moves when it grows. */
    *pickle_container(file, *word) = (struct container){n, first, n, is_nested ? CHECK_HAS_CHILDREN : 0};
    return FILTAGS_OK;
}

/* Make room for n more items: in place where the items are the last words of all, else by moving them. */
static filtags_status grow_container(struct pickle_file *file, uint64_t word, size_t n) {
    struct container *container = pickle_container(file, word);
    uint64_t place;
    filtags_status status;
    bool is_last = container->capacity > 0 && container->first + container->capacity == file->words.n;
    if (is_last) {
        size_t n_more = (size_t)(container->n_items + n - container->capacity);
        if ((status = pickle_make_words(file, n_more, &place))) return status;
        pickle_container(file, word)->capacity += n_more;
        return FILTAGS_OK;
    }
    size_t capacity = (size_t)container->n_items * 2;
    if (capacity < container->n_items + n) capacity = (size_t)container->n_items + n;
    if ((status = pickle_make_words(file, capacity, &place))) return status;
    container = pickle_container(file, word);
    memcpy(pickle_words(file, place), pickle_words(file, container->first),
           (size_t)container->n_items * sizeof(uint64_t));
    container->first = place;
    container->capacity = capacity;
    return FILTAGS_OK;
}

filtags_status pickle_extend(struct pickle_file *file, uint64_t word, const uint64_t *items, size_t n) {
    if (n == 0) return FILTAGS_OK;
    struct container *container = pickle_container(file, word);
    if (n > container->capacity - container->n_items) {
        filtags_status status = grow_container(file, word, n);
        if (status) return status;
        container = pickle_container(file, word);
    }
    memcpy(pickle_words(file, container->first + container->n_items), items, n * sizeof *items);
    container->n_items += n;
    if (has_children(items, n)) container->check |= CHECK_HAS_CHILDREN;
    return FILTAGS_OK;
}

/* ---- the check of a finished value ---- */

static uint64_t *check_word_of(const struct pickle_file *file, uint64_t word) {
    if (word_tag(word) != TAG_TUPLE) return &pickle_container(file, word)->check;
    uint64_t *words = pickle_words(file, word_place(word));
    return words[0] & TUPLE_HAS_CHECK ? &words[1] : NULL;
}

struct nesting {
    size_t height;   /* 0 for a simple value */
    uint64_t n_values;
};

static filtags_status check_value(struct pickle_file *file, uint64_t word, uint64_t offset, size_t depth,
                                  struct nesting *nesting);

static filtags_status check_items(struct pickle_file *file, uint64_t word, uint64_t offset, size_t depth,
                                  struct nesting *nesting) {
    size_t n;
    const uint64_t *items = items_of(file, word, &n);
    struct nesting sum = {0, 1};
    for (size_t i = 0; i < n; i++) {
        struct nesting one = {0, 1};
        if (word_tag(items[i]) >= TAG_FIRST_CHECKED) {
            filtags_status status = check_value(file, items[i], offset, depth + 1, &one);
            if (status) return status;
        }
        if (one.height > sum.height) sum.height = one.height;
        sum.n_values += one.n_values;
        if (sum.n_values > MAX_EXPANDED_VALUES) {
            return error_set(FILTAGS_ERROR_MEMORY, "%s: byte %llu: lists within lists amount to more than 2^36 values",
                             file->name, (unsigned long long)offset);
        }
    }
    *nesting = (struct nesting){sum.height + 1, sum.n_values};
    return FILTAGS_OK;
}

static filtags_status fail_depth(const struct pickle_file *file, uint64_t offset) {
    return error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: byte %llu: containers nested more than %d deep", file->name,
                     (unsigned long long)offset, MAX_DEPTH);
}

static filtags_status check_value(struct pickle_file *file, uint64_t word, uint64_t offset, size_t depth,
                                  struct nesting *nesting) {
    if (word_tag(word) < TAG_FIRST_CHECKED) {
        *nesting = (struct nesting){0, 1};
        return FILTAGS_OK;
    }
    if (word_tag(word) >= TAG_DTYPE) {
        return error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: byte %llu: this pickle holds %s, which is no plain data",
                         file->name, (unsigned long long)offset, pickle_word_name(word));
    }
    uint64_t *check = check_word_of(file, word);
    if (depth > MAX_DEPTH) return fail_depth(file, offset);
    if (!check || !(*check & CHECK_HAS_CHILDREN)) {
        size_t n;
        items_of(file, word, &n);
        *nesting = (struct nesting){1, 1 + (uint64_t)n};
        return FILTAGS_OK;
    }
    if (*check & CHECK_IS_OPEN) {
        return error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: byte %llu: a %s that contains itself", file->name,
                         (unsigned long long)offset, pickle_word_name(word));
    }
    if (*check & CHECK_IS_DONE) {
        *nesting = (struct nesting){*check >> CHECK_HEIGHT_SHIFT & 0xff, *check >> CHECK_SIZE_SHIFT};
        return depth + nesting->height - 1 > MAX_DEPTH ? fail_depth(file, offset) : FILTAGS_OK;
    }
    *check |= CHECK_IS_OPEN;
    filtags_status status = check_items(file, word, offset, depth, nesting);
    if (status) return status;
    *check = CHECK_HAS_CHILDREN | CHECK_IS_DONE | (uint64_t)nesting->height << CHECK_HEIGHT_SHIFT |
             nesting->n_values << CHECK_SIZE_SHIFT;
    return FILTAGS_OK;
}

filtags_status pickle_check(struct pickle_file *file, uint64_t word, uint64_t offset, size_t depth,
                            uint64_t *n_values) {
    struct nesting nesting = {0, 0};
    filtags_status status = check_value(file, word, offset, depth, &nesting);
    if (!status && n_values) *n_values = nesting.n_values;
    return status;
}

/* ---- what callers see ---- */

static const enum pickle_kind kinds[1 << TAG_BITS] = {
    [TAG_CONSTANT] = PICKLE_NONE, [TAG_INT] = PICKLE_INT,   [TAG_BIG_INT] = PICKLE_INT, [TAG_FLOAT] = PICKLE_FLOAT,
    [TAG_STR] = PICKLE_STR,       [TAG_BYTES] = PICKLE_BYTES, [TAG_ARRAY] = PICKLE_ARRAY, [TAG_LIST] = PICKLE_LIST,
    [TAG_SET] = PICKLE_SET,       [TAG_DICT] = PICKLE_DICT, [TAG_TUPLE] = PICKLE_TUPLE,
};

static enum pickle_kind kind_of(uint64_t word) {
    return word == WORD_FALSE || word == WORD_TRUE ? PICKLE_BOOL : kinds[word_tag(word)];
}

enum pickle_kind pickle_kind_of(const struct pickle_file *file, pickle_value value) {
    (void)file;
    return kind_of(value.word);
}

const char *pickle_kind_name(enum pickle_kind kind) {
    static const char *const names[] = {
        [PICKLE_NONE] = "None",   [PICKLE_BOOL] = "bool",   [PICKLE_INT] = "int", [PICKLE_FLOAT] = "float",
        [PICKLE_STR] = "str",     [PICKLE_BYTES] = "bytes", [PICKLE_LIST] = "list", [PICKLE_TUPLE] = "tuple",
        [PICKLE_SET] = "set",     [PICKLE_DICT] = "dict",   [PICKLE_ARRAY] = "NumPy array",
    };
    return names[kind];
}

const char *pickle_word_name(uint64_t word) {
    if (word_tag(word) == TAG_DTYPE) return "NumPy dtype";
    if (word_tag(word) == TAG_GLOBAL) return "class or function";
    return pickle_kind_name(kind_of(word));
}

size_t pickle_file_n_values(const struct pickle_file *file) { return file->values.n; }

pickle_value pickle_file_value(const struct pickle_file *file, size_t index) {
    return (pickle_value){((const uint64_t *)file->values.data)[index]};
}

int64_t pickle_as_int(const struct pickle_file *file, pickle_value value) {
    int64_t big;
    switch (word_tag(value.word)) {
    case TAG_INT:
        return (int64_t)value.word >> TAG_BITS;
    case TAG_BIG_INT:
        memcpy(&big, pickle_words(file, word_place(value.word)), sizeof big);
        return big;
    default:
        return value.word == WORD_TRUE;
    }
}

double pickle_as_number(const struct pickle_file *file, pickle_value value) {
    double number;
    if (word_tag(value.word) != TAG_FLOAT) return (double)pickle_as_int(file, value);
    memcpy(&number, pickle_words(file, word_place(value.word)), sizeof number);
    return number;
}

const char *pickle_as_str(const struct pickle_file *file, pickle_value value, size_t *n_bytes) {
    if (word_tag(value.word) == TAG_STR) {
        const struct pickle_str *str = (const struct pickle_str *)file->strs.data + word_place(value.word);
        if (n_bytes) *n_bytes = (size_t)str->n_bytes;
        return (const char *)file->texts.data + str->first;
    }
    const uint64_t *words = pickle_words(file, word_place(value.word));
    if (n_bytes) *n_bytes = (size_t)words[0];
    return (const char *)(words + 1);
}

uint32_t pickle_str_id(const struct pickle_file *file, pickle_value value) {
    (void)file;
    return (uint32_t)word_place(value.word);
}

size_t pickle_n_strs(const struct pickle_file *file) { return file->strs.n; }

size_t pickle_length(const struct pickle_file *file, pickle_value value) {
    size_t n;
    if (word_tag(value.word) == TAG_ARRAY) return (size_t)pickle_words(file, word_place(value.word))[0];
    items_of(file, value.word, &n);
    return word_tag(value.word) == TAG_DICT ? n / 2 : n;
}

pickle_value pickle_item(const struct pickle_file *file, pickle_value value, size_t index) {
    size_t n;
    return (pickle_value){items_of(file, value.word, &n)[index]};
}

void pickle_pair(const struct pickle_file *file, pickle_value dict, size_t index, pickle_value *key,
                 pickle_value *item) {
    size_t n;
    const uint64_t *items = items_of(file, dict.word, &n);
    key->word = items[2 * index];
    item->word = items[2 * index + 1];
}

const double *pickle_array(const struct pickle_file *file, pickle_value value) {
    return (const double *)(void *)pickle_words(file, pickle_words(file, word_place(value.word))[3]);
}

size_t pickle_array_n_dims(const struct pickle_file *file, pickle_value value) {
    return (size_t)pickle_words(file, word_place(value.word))[1];
}

size_t pickle_array_dim(const struct pickle_file *file, pickle_value value, size_t axis) {
    return (size_t)pickle_words(file, pickle_words(file, word_place(value.word))[2])[axis];
}

void pickle_file_close(struct pickle_file *file) {
    if (!file) return;
    free(file->values.data);
    free(file->words.data);
    free(file->texts.data);
    free(file->strs.data);
    free(file->slots.data);
    free(file->name);
    free(file);
}
