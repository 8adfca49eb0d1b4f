/* weights_hdf5.h - HDF5 files as a flat table of data sets, and reading single ones (by libhdf5).
 *
 * The files come from anywhere, so what could lead out of them or exhaust the memory is refused: soft and
 * external links, external storage, virtual data sets, filters other than deflate, shuffle and fletcher32,
 * plugins. One thread at a time, in the whole process. */
#ifndef FILTAGS_MODEL_WEIGHTS_HDF5_H
#define FILTAGS_MODEL_WEIGHTS_HDF5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filtags.h"

enum { HDF5_MAX_DIMS = 8 };

enum hdf5_type { HDF5_FLOAT, HDF5_INTEGER, HDF5_OTHER };

struct hdf5_dataset {
    char *path;          /* as in the file: "layers/conv2d/vars/0" */
    char *key;           /* the same with '/' for '\', which Keras wrote on Windows once */
    enum hdf5_type type; /* HDF5_FLOAT: 16, 32 or 64 bits, any byte order */
    size_t n_dims;
    size_t dim[HDF5_MAX_DIMS];
};

/* Sorted by key. */
struct hdf5_table {
    struct hdf5_dataset *datasets;
    size_t n_datasets, capacity;
};

struct hdf5_names {
    char **names;
    size_t n_names;
};

struct hdf5_file;

/* Open a file. file_name is for messages and is copied. IO, FORMAT. */
FILTAGS_MUST_USE filtags_status hdf5_open(const char *file_name, struct hdf5_file **file);

/* Open a file that lies in memory; the bytes are not copied and must outlive the file. */
FILTAGS_MUST_USE filtags_status
hdf5_open_bytes(const char *file_name, const void *bytes, size_t size_bytes, struct hdf5_file **file);

void hdf5_close(struct hdf5_file *file);

/* Read a text attribute of the root group; *text gets NULL if there is none. The caller frees it. */
FILTAGS_MUST_USE filtags_status hdf5_read_text(struct hdf5_file *file, const char *attribute, char **text);

/* Whether the group (or data set) exists. No link that leaves the file is followed. */
bool hdf5_has(struct hdf5_file *file, const char *path);

/* Whether the root group has a list of names, see hdf5_read_names. */
bool hdf5_has_names(struct hdf5_file *file, const char *attribute);

/* Read a list of names: attribute of a group ("": the root), or attribute0, attribute1, ... where it was too long for
 * one. An attribute that isn't there is FORMAT; an empty array of numbers is an empty list. */
FILTAGS_MUST_USE filtags_status hdf5_read_names(struct hdf5_file *file, const char *group, const char *attribute,
                                                struct hdf5_names *names);
void hdf5_names_free(struct hdf5_names *names);

/* List the data sets below those members of the root group whose name begins with one of n_starts texts. */
FILTAGS_MUST_USE filtags_status hdf5_list(struct hdf5_file *file, const char *const *starts, size_t n_starts,
                                          struct hdf5_table *table);
void hdf5_table_free(struct hdf5_table *table);

/* Find a data set by its key; NULL: there is none. */
const struct hdf5_dataset *hdf5_find(const struct hdf5_table *table, const char *key);

/* Whether there is a data set whose key begins with start. */
bool hdf5_has_start(const struct hdf5_table *table, const char *start);

/* Read a data set of floats of exactly this shape. values: [product of dim]. FORMAT: it is missing or cannot be
 * read; DATA: it has another shape. */
FILTAGS_MUST_USE filtags_status
hdf5_read_floats(struct hdf5_file *file, const char *path, const size_t *dim, size_t n_dims, float *values);

/* "HDF5 1.10.8". Static. */
const char *hdf5_version_text(void);

#endif
