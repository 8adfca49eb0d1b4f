/* weights_hdf5.h - HDF5 files as a flat table of data sets, and reading single ones.
 *
 * The files come from anywhere, and libhdf5 has holes: it is not in this process. Another one, filtags-read, has it and
 * answers questions about the file (hdf5_serve.h); its answers are checked. Values that lie in one piece are read here.
 * One thread at a time for a file, but that rows of data sets with value_bytes may be read by any number. */
#ifndef FILTAGS_MODEL_WEIGHTS_HDF5_H
#define FILTAGS_MODEL_WEIGHTS_HDF5_H

#include "base/buffer.h"
#include "filtags.h"
#include "model/hdf5_table.h"

struct hdf5_file;

/* Open a file. IO (also: there is no filtags-read), FORMAT ("malformed file": filtags-read crashed on it, took too long
 * or answers nonsense, then or later). */
FILTAGS_MUST_USE filtags_status hdf5_open(const char *file_name, struct hdf5_file **file);

/* Open a file that lies in memory; the bytes are not copied and must outlive the file. file_name is for messages. */
FILTAGS_MUST_USE filtags_status
hdf5_open_bytes(const char *file_name, const void *bytes, size_t size_bytes, struct hdf5_file **file);

void hdf5_close(struct hdf5_file *file);

/* Read a text attribute of the root group; *text gets NULL if there is none. The caller frees it. */
FILTAGS_MUST_USE filtags_status hdf5_read_text(struct hdf5_file *file, const char *attribute, char **text);

/* Find out whether the group (or data set) exists. No link that leaves the file is followed. */
FILTAGS_MUST_USE filtags_status hdf5_has(struct hdf5_file *file, const char *path, bool *is_there);

/* Find out whether the root group has a list of names, see hdf5_read_names. */
FILTAGS_MUST_USE filtags_status hdf5_has_names(struct hdf5_file *file, const char *attribute, bool *is_there);

/* Read a list of names: attribute of a group ("": the root), or attribute0, attribute1, ... where it was too long for
 * one. An attribute that isn't there is FORMAT; an empty array of numbers is an empty list. */
FILTAGS_MUST_USE filtags_status hdf5_read_names(struct hdf5_file *file, const char *group, const char *attribute,
                                                struct hdf5_names *names);

/* List the data sets below those members of the root group whose name begins with one of n_starts texts, sorted by
 * key. */
FILTAGS_MUST_USE filtags_status hdf5_list(struct hdf5_file *file, const char *const *starts, size_t n_starts,
                                          struct hdf5_table *table);

/* Find a data set by its key; NULL: there is none. */
const struct hdf5_dataset *hdf5_find(const struct hdf5_table *table, const char *key);

/* Whether there is a data set whose key begins with start. */
bool hdf5_has_start(const struct hdf5_table *table, const char *start);

/* Read a data set of floats of exactly this shape. values: [product of dim]. FORMAT: it is missing or cannot be
 * read; DATA: it has another shape. */
FILTAGS_MUST_USE filtags_status
hdf5_read_floats(struct hdf5_file *file, const char *path, const size_t *dim, size_t n_dims, float *values);

/* The same in parts: find the data set, then read rows [first, first + n_rows) of it. values: [n_rows, the product of
 * the other dimensions]. dataset gets no path and no key. */
FILTAGS_MUST_USE filtags_status hdf5_find_floats(struct hdf5_file *file, const char *path, const size_t *dim,
                                                 size_t n_dims, struct hdf5_dataset *dataset);
FILTAGS_MUST_USE filtags_status hdf5_read_rows(struct hdf5_file *file, const char *path,
                                               const struct hdf5_dataset *dataset, size_t first, size_t n_rows,
                                               float *values);

/* "HDF5 1.10.8". Static. */
const char *hdf5_version_text(void);

/* Who answers questions about a file. The file is fd, or, where that is -1, bytes; answer gets an empty buffer. */
struct hdf5_backend {
    filtags_status (*open)(int fd, const void *bytes, size_t size_bytes, void **session);
    filtags_status (*ask)(void *session, const char *file_name, const struct buffer *question, size_t most_bytes,
                          struct buffer *answer);
    void (*close)(void *session);
};

/* For fuzz targets: have another one than filtags-read answer. Before any file is open. */
void hdf5_set_backend(const struct hdf5_backend *backend);

#endif
