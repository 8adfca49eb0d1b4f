/* pickle.h - writing and reading Python pickles, data only.
 *
 * A "-vars.pkl" file is a sequence of pickles, one a variable; its "-vars-names.pkl" is one pickle, the list
 * of their names. Written are protocol 2 pickles that Python 3 loads with NumPy 1 and 2 without a warning. The
 * reader is no interpreter: it takes plain containers, strings, numbers and NumPy arrays, of protocols 0 to 5,
 * and refuses everything else by name. Unlike Python it keeps a dict key or set member that comes twice twice. */
#ifndef FILTAGS_STORE_PICKLE_H
#define FILTAGS_STORE_PICKLE_H

#include <stdio.h>

#include "filtags.h"

/* ---- writing. Errors are kept by the stream: ferror, fflush, file_writer_commit find them. ---- */

struct pickle_writer {
    FILE *stream;        /* the caller's */
    uint32_t n_memo;     /* memo entries used in the pickle being written */
    uint32_t array_memo; /* first of the entries that its arrays share; UINT32_MAX before the first array */
};

void pickle_begin(struct pickle_writer *writer, FILE *stream); /* start a pickle (PROTO 2) */
void pickle_end(struct pickle_writer *writer);                 /* STOP */
void pickle_none(struct pickle_writer *writer);
void pickle_int(struct pickle_writer *writer, int64_t value);
void pickle_float(struct pickle_writer *writer, double value);
/* An int where value is a whole number below 2^53, else a float (keys of filTags_k, filTags_q). */
void pickle_number(struct pickle_writer *writer, double value);
/* A str from file name bytes, as os.fsdecode has them (base/text.h). */
void pickle_str(struct pickle_writer *writer, const char *text);
/* The same text again and again: *memo is UINT32_MAX at first (set it so before each pickle) and gets the
 * place in the memo; from then on only a reference is written. */
void pickle_str_shared(struct pickle_writer *writer, const char *text, uint32_t *memo);
void pickle_list_open(struct pickle_writer *writer); /* then the items */
void pickle_list_close(struct pickle_writer *writer);
void pickle_dict_open(struct pickle_writer *writer); /* then key, value, key, value ... */
void pickle_dict_close(struct pickle_writer *writer);
void pickle_tuple_open(struct pickle_writer *writer);
void pickle_tuple_close(struct pickle_writer *writer);
/* A one-dimensional float32 array, through numpy.core.multiarray._reconstruct. */
void pickle_array_float32(struct pickle_writer *writer, const float *values, size_t n);

/* ---- reading ---- */

struct pickle_file; /* owns every value read from a file */

enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_FLOAT,
    PICKLE_STR, /* bytes of a file name: surrogate escapes are undone */
    PICKLE_BYTES,
    PICKLE_LIST,
    PICKLE_TUPLE,
    PICKLE_SET,
    PICKLE_DICT,
    PICKLE_ARRAY /* NumPy array, any shape, C or Fortran order: floats in C order */
};

/* A value: a small handle, passed by value; valid while its file is. */
typedef struct {
    uint64_t word;
} pickle_value;

/* Read all pickles of a file. limit_bytes bounds the memory used; 0: the default (half of the machine's memory).
 * IO; FORMAT: malformed or truncated (path, byte offset, what was found); UNSUPPORTED: an object that is no
 * plain data (named: module and class), or containers nested more than 100 deep; MEMORY: over the limit. */
FILTAGS_MUST_USE filtags_status pickle_file_open(const char *path, size_t limit_bytes, struct pickle_file **file);
/* The same from memory, for tests and fuzzing; name stands for the path in messages. */
FILTAGS_MUST_USE filtags_status pickle_memory_open(const void *bytes, size_t n_bytes, const char *name,
                                                   size_t limit_bytes, struct pickle_file **file);
/* Look whether a file can be opened and begins like a pickle. IO, FORMAT. */
FILTAGS_MUST_USE filtags_status pickle_file_probe(const char *path);
void pickle_file_close(struct pickle_file *file);

/* Who is told of the values of a file while it is read, and keeps of them what it wants: each is forgotten afterwards,
 * so that memory holds one value at a time, whatever the file's size. Handles and pointers are valid until the function
 * returns; numbers of strings (pickle_str_id) for all of the file. A failure ends the reading. */
struct pickle_visitor {
    void *context;
    /* A pair of the dict that pickle index of the file is (not of dicts within it), in the file's order. NULL: dicts
     * are kept until they are whole. */
    filtags_status (*pair)(void *context, const struct pickle_file *file, size_t index, pickle_value key,
                           pickle_value item);
    /* Pickle index; a dict without the pairs that were handed over. */
    filtags_status (*value)(void *context, const struct pickle_file *file, size_t index, pickle_value value);
};

/* Read a file as pickle_file_open does, but hand over its values one by one. A file in which a pair refers back to an
 * earlier pair's lists (one list in two places) can't be read so, and is read as a whole behind the scenes: the visitor
 * notices nothing. As pickle_file_open, and UNSUPPORTED: a list or dict that is changed after it
 * was complete. */
FILTAGS_MUST_USE filtags_status pickle_file_visit(const char *path, size_t limit_bytes,
                                                  const struct pickle_visitor *visitor);
FILTAGS_MUST_USE filtags_status pickle_memory_visit(const void *bytes, size_t n_bytes, const char *name,
                                                    size_t limit_bytes, const struct pickle_visitor *visitor);

size_t pickle_file_n_values(const struct pickle_file *file);
pickle_value pickle_file_value(const struct pickle_file *file, size_t index);

enum pickle_kind pickle_kind_of(const struct pickle_file *file, pickle_value value);
const char *pickle_kind_name(enum pickle_kind kind);                         /* "list": for messages */
int64_t pickle_as_int(const struct pickle_file *file, pickle_value value);   /* BOOL, INT; big ints saturate */
double pickle_as_number(const struct pickle_file *file, pickle_value value); /* BOOL, INT, FLOAT, NumPy scalars */
const char *pickle_as_str(const struct pickle_file *file, pickle_value value,
                          size_t *n_bytes); /* STR, BYTES; NUL-terminated; n_bytes may be NULL */
/* Identity of a STR: equal texts of one file have equal numbers, from 0 to pickle_n_strs - 1. */
uint32_t pickle_str_id(const struct pickle_file *file, pickle_value value);
size_t pickle_n_strs(const struct pickle_file *file);
size_t pickle_length(const struct pickle_file *file,
                     pickle_value value); /* LIST, TUPLE, SET, DICT (pairs), ARRAY (elements) */
pickle_value pickle_item(const struct pickle_file *file, pickle_value value, size_t index); /* LIST, TUPLE, SET */
void pickle_pair(const struct pickle_file *file, pickle_value dict, size_t index, pickle_value *key,
                 pickle_value *item); /* insertion order */
const double *pickle_array(const struct pickle_file *file,
                           pickle_value value); /* ARRAY: pickle_length numbers, as double */
size_t pickle_array_n_dims(const struct pickle_file *file, pickle_value value);
size_t pickle_array_dim(const struct pickle_file *file, pickle_value value, size_t axis);

#endif
