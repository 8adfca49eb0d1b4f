/* pickle_internal.h - what the parts of the pickle reader share: the bytes that come in (pickle_source.c), the
 * values that are kept (pickle_values.c), calls of the few allowed classes and functions (pickle_objects.c), the
 * opcodes (pickle_opcodes.c) and the stack machine that runs them (pickle_reader.c).
 *
 * A value is one 64-bit word: a tag in its low bits, above it the value itself or its place in a pool. Containers
 * are words in a row, so that a list of a million small numbers or of strings seen before takes 8 MB. */
#ifndef FILTAGS_STORE_PICKLE_INTERNAL_H
#define FILTAGS_STORE_PICKLE_INTERNAL_H

#include "store/pickle.h"

/* ---- bytes coming in, through a buffer: a mapped file would kill the process where it shrinks meanwhile ---- */

enum { SOURCE_BUFFER_BYTES = 1 << 18, SOURCE_PADDING_BYTES = 8 }; /* eight bytes may be loaded at any place */

struct pickle_source {
    const char *name;
    int fd;                /* -1: memory */
    const uint8_t *memory; /* NULL: fd */
    uint64_t size_bytes;   /* of all */
    uint64_t n_fetched;    /* bytes that have entered the buffer */
    uint8_t *buffer;
    const uint8_t *next;   /* unread part of the buffer */
    const uint8_t *end;
};

/* IO: no regular file, or not readable. MEMORY. Close in either case. */
FILTAGS_MUST_USE filtags_status pickle_source_open_file(struct pickle_source *source, const char *path);
FILTAGS_MUST_USE filtags_status pickle_source_open_memory(struct pickle_source *source, const void *bytes,
                                                          size_t n_bytes, const char *name);
void pickle_source_close(struct pickle_source *source);

static inline size_t pickle_source_n_buffered(const struct pickle_source *source) {
    return (size_t)(source->end - source->next);
}
static inline uint64_t pickle_source_offset(const struct pickle_source *source) {
    return source->n_fetched - pickle_source_n_buffered(source);
}
static inline uint64_t pickle_source_n_left(const struct pickle_source *source) {
    return source->size_bytes - pickle_source_offset(source);
}
/* Have n <= SOURCE_BUFFER_BYTES bytes in a row at next, or all that are left. IO. */
FILTAGS_MUST_USE filtags_status pickle_source_fill(struct pickle_source *source, size_t n);
/* Read n bytes, which must be left (a file that has shrunk meanwhile is an IO error). */
FILTAGS_MUST_USE filtags_status pickle_source_read(struct pickle_source *source, void *to, size_t n);

/* ---- values ---- */

enum pickle_tag {
    TAG_CONSTANT,  /* WORD_... */
    TAG_INT,       /* the number itself, within 60 bits */
    TAG_BIG_INT,   /* place of an int64 among the words */
    TAG_FLOAT,     /* place of a double among the words */
    TAG_STR,       /* number of the string */
    TAG_BYTES,     /* place of: length, then the bytes and a NUL */
    TAG_ARRAY,     /* place of: elements, dimensions, place of the sizes, place of the doubles */
    TAG_LIST,      /* place of: struct container */
    TAG_SET,
    TAG_DICT,      /* items: key, value, key, value ... */
    TAG_TUPLE,     /* place of: number of items, then the items; see TUPLE_HAS_CHECK */
    TAG_DTYPE,     /* place of: struct dtype; never part of a result */
    TAG_GLOBAL     /* enum pickle_global; never part of a result */
};
enum { TAG_BITS = 4 };
#define TAG_FIRST_CHECKED TAG_LIST /* from here on: values that have values in them, or must not be kept */

#define WORD_UNSET 0u
#define WORD_NONE (UINT64_C(1) << TAG_BITS)
#define WORD_FALSE (UINT64_C(2) << TAG_BITS)
#define WORD_TRUE (UINT64_C(3) << TAG_BITS)
#define WORD_FORGOTTEN (UINT64_C(4) << TAG_BITS) /* in the memo: a value of a pair that has been handed over */

static inline enum pickle_tag word_tag(uint64_t word) { return (enum pickle_tag)(word & ((1u << TAG_BITS) - 1)); }
static inline uint64_t word_place(uint64_t word) { return word >> TAG_BITS; }
static inline uint64_t word_make(enum pickle_tag tag, uint64_t place) { return place << TAG_BITS | tag; }

/* LIST, SET, DICT: four words. */
struct container {
    uint64_t n_items;
    uint64_t first;    /* place of the first item */
    uint64_t capacity; /* items that there is room for */
    uint64_t check;    /* CHECK_... */
};

/* Tuples are many and small, (label, count), and don't change. Only one that has containers in it has a word
 * between the number of items and the items, for the check; the number's highest bit tells. */
#define TUPLE_HAS_CHECK (UINT64_C(1) << 63)

enum dtype_kind { DTYPE_BOOL, DTYPE_INT, DTYPE_UNSIGNED, DTYPE_FLOAT };
struct dtype {
    uint8_t kind;
    uint8_t size_bytes;
    bool is_big_endian;
};

/* An array that grows, counted against the file's memory limit. */
struct pickle_pool {
    void *data;
    size_t n;
    size_t capacity;
    size_t item_bytes;
};

struct pickle_str {
    uint64_t first; /* place in texts */
    uint64_t n_bytes;
    uint64_t hash;
};

struct pickle_file {
    char *name;
    size_t limit_bytes;
    size_t used_bytes;
    struct pickle_pool values; /* of uint64_t: one a pickle */
    struct pickle_pool words;  /* of uint64_t */
    struct pickle_pool texts;  /* of char */
    struct pickle_pool strs;   /* of struct pickle_str */
    struct pickle_pool slots;  /* of uint32_t: hash table of strings, number + 1 or 0; its capacity is a power of two */
};

/* Make room for n_more items. MEMORY: over the file's limit. */
FILTAGS_MUST_USE filtags_status pickle_pool_grow(struct pickle_file *file, struct pickle_pool *pool, size_t n_more);
void pickle_pool_free(struct pickle_file *file, struct pickle_pool *pool);
static inline filtags_status pickle_pool_reserve(struct pickle_file *file, struct pickle_pool *pool, size_t n_more) {
    return n_more <= pool->capacity - pool->n ? FILTAGS_OK : pickle_pool_grow(file, pool, n_more);
}

static inline uint64_t *pickle_words(const struct pickle_file *file, uint64_t place) {
    return (uint64_t *)file->words.data + place;
}
static inline struct container *pickle_container(const struct pickle_file *file, uint64_t word) {
    return (struct container *)(void *)pickle_words(file, word_place(word));
}

/* Each makes a value; MEMORY. */
FILTAGS_MUST_USE filtags_status pickle_make_int(struct pickle_file *file, int64_t value, uint64_t *word);
FILTAGS_MUST_USE filtags_status pickle_make_float(struct pickle_file *file, double value, uint64_t *word);
FILTAGS_MUST_USE filtags_status pickle_make_str(struct pickle_file *file, const char *text, size_t n_bytes,
                                                uint64_t *word);
/* The bytes are for the caller to fill in: *bytes is valid until the next value is made. */
FILTAGS_MUST_USE filtags_status pickle_make_bytes(struct pickle_file *file, size_t n_bytes, uint64_t *word,
                                                  uint8_t **bytes);
FILTAGS_MUST_USE filtags_status pickle_make_tuple(struct pickle_file *file, const uint64_t *items, size_t n,
                                                  uint64_t *word);
/* LIST, SET or DICT; items must not be in file->words. */
FILTAGS_MUST_USE filtags_status pickle_make_container(struct pickle_file *file, enum pickle_tag tag,
                                                      const uint64_t *items, size_t n, uint64_t *word);
/* A container of other kind with the items of a LIST, SET or TUPLE. */
FILTAGS_MUST_USE filtags_status pickle_copy_container(struct pickle_file *file, enum pickle_tag tag, uint64_t from,
                                                      uint64_t *word);
FILTAGS_MUST_USE filtags_status pickle_extend(struct pickle_file *file, uint64_t container, const uint64_t *items,
                                              size_t n);
/* Room for n words; *place gets the first. */
FILTAGS_MUST_USE filtags_status pickle_make_words(struct pickle_file *file, size_t n, uint64_t *place);

/* A finished value must be data alone, not nested too deep, and without cycles. offset: of the pickle. depth: 1, or 2
 * for what is in a dict that is the pickle. n_values (may be NULL): how many values it holds, itself included. */
FILTAGS_MUST_USE filtags_status pickle_check(struct pickle_file *file, uint64_t word, uint64_t offset, size_t depth,
                                             uint64_t *n_values);

/* "list", also for what is never part of a result. */
const char *pickle_word_name(uint64_t word);

/* ---- calls ---- */

struct pickle_reader;

/* UNSUPPORTED: not in the list of what is allowed. */
FILTAGS_MUST_USE filtags_status pickle_find_global(struct pickle_reader *reader, const char *module, const char *name,
                                                   uint64_t *word);
/* callable(*arguments), where the callable is a GLOBAL and arguments a TUPLE. */
FILTAGS_MUST_USE filtags_status pickle_call(struct pickle_reader *reader, uint64_t callable, uint64_t arguments,
                                            uint64_t *result);
/* object.__setstate__(state), for an ARRAY or DTYPE. */
FILTAGS_MUST_USE filtags_status pickle_set_state(struct pickle_reader *reader, uint64_t object, uint64_t state);
uint64_t pickle_global_encode(void); /* _codecs.encode */

/* How far a visitor has been told. Pairs of the root, the dict that the pickle is, are handed over as soon as nothing
 * can change them any more, and forgotten: everything that they are made of lies behind `first_word`. */
struct pickle_visit {
    const struct pickle_visitor *visitor; /* NULL: nobody wants to know */
    bool keeps_all;                       /* hand over, but forget nothing */
    bool has_failed;                      /* the visitor itself: reading again won't help */
    uint64_t root;                        /* WORD_UNSET where the pickle is no dict, or nothing is to be forgotten */
    bool has_forgotten;                   /* something of this pickle */
    size_t first_word;                    /* of the pair being read, among the file's words */
    size_t first_memo;                    /* least place of the memo that was set since then */
    size_t pickle_first_word;
    size_t n_pairs, n_values;             /* met in this reading */
    size_t n_pairs_told, n_values_told;   /* told so far, in this reading or the one before */
    uint64_t *told_sizes;                 /* [n_pairs_told] values within each pair's item, as it was told */
    size_t told_capacity;
};

struct pickle_reader {
    struct pickle_file *file;
    struct pickle_source source;
    struct pickle_pool stack;  /* of uint64_t */
    struct pickle_pool marks;  /* of size_t: heights of the stack where a MARK was set */
    struct pickle_pool memo;   /* of uint64_t, WORD_UNSET where nothing was put */
    struct pickle_pool line;   /* of char: an operand that doesn't fit into the source's buffer */
    size_t fence;              /* the last mark: what lies below it is out of reach; 0 without a mark */
    size_t n_memo_set;
    uint64_t pickle_offset;    /* of the pickle being read */
    uint64_t opcode_offset;    /* of the opcode being executed */
    uint8_t opcode;
    bool is_stopped;
    bool is_truncated; /* the failure is the file's end */
    struct pickle_visit visit;
};

/* ---- visiting ---- */

/* The first value of a pickle is about to be pushed: is it a dict whose pairs can be handed over? */
void pickle_visit_begin(struct pickle_reader *reader, uint64_t word);
/* *word is about to be pushed when the stack holds the root, a key and an item: if it is the next key, the pair is
 * complete. *word may change: its number moves to where the pair was. */
FILTAGS_MUST_USE filtags_status pickle_visit_push(struct pickle_reader *reader, uint64_t *word);
/* Hand over pairs in place of adding them to the root, and forget them. */
FILTAGS_MUST_USE filtags_status pickle_visit_pairs(struct pickle_reader *reader, const uint64_t *items, size_t n);
/* The pickle is complete. */
FILTAGS_MUST_USE filtags_status pickle_visit_end(struct pickle_reader *reader, uint64_t word);

/* A row of the table of opcodes; run is NULL where there is no such opcode. Its function gets the operand:
 * n_operand_bytes bytes, little-endian. */
struct pickle_opcode {
    const char *name;
    filtags_status (*run)(struct pickle_reader *reader, uint64_t operand);
    unsigned n_operand_bytes;
};
extern const struct pickle_opcode pickle_opcodes[256];

/* Set the error message, with path and byte offset of the current opcode before it. */
filtags_status pickle_fail(const struct pickle_reader *reader, filtags_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
