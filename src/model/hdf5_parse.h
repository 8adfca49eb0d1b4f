/* hdf5_parse.h - HDF5 files by libhdf5, for hdf5_serve.h.
 *
 * The files come from anywhere, so what could lead out of them or exhaust the memory is refused: soft and external
 * links, external storage, virtual data sets, filters other than deflate, shuffle and fletcher32, plugins. That
 * doesn't make libhdf5 itself safe: see docs/security.md. Messages begin with the place in the file. One thread at a
 * time. */
#ifndef FILTAGS_MODEL_HDF5_PARSE_H
#define FILTAGS_MODEL_HDF5_PARSE_H

#include "filtags.h"
#include "model/hdf5_table.h"

struct parsed_file;

/* Let libhdf5 do what it does once in a process, before the process loses its rights. */
void parse_prepare(void);

/* Open a file that lies in memory; the bytes are not copied and must outlive it. FORMAT, MEMORY. */
FILTAGS_MUST_USE filtags_status parse_open(const void *bytes, size_t size_bytes, struct parsed_file **file);
void parse_close(struct parsed_file *file);

/* As hdf5_read_text, hdf5_has, ... of weights_hdf5.h. The table is in the file's order, without keys. */
FILTAGS_MUST_USE filtags_status parse_text(struct parsed_file *file, const char *attribute, char **text);
bool parse_has(struct parsed_file *file, const char *path);
bool parse_has_names(struct parsed_file *file, const char *attribute);
FILTAGS_MUST_USE filtags_status parse_names(struct parsed_file *file, const char *group, const char *attribute,
                                            struct hdf5_names *names);
FILTAGS_MUST_USE filtags_status parse_list(struct parsed_file *file, const char *const *starts, size_t n_starts,
                                           struct hdf5_table *table);

/* Tell what a data set is and where its values are; path and key of *found stay NULL. FORMAT, UNSUPPORTED. */
FILTAGS_MUST_USE filtags_status parse_locate(struct parsed_file *file, const char *path, struct hdf5_dataset *found);

/* Read n_rows rows of a data set of floats from row first on. The caller frees *values. FORMAT: it has no such rows,
 * or they can't be read; MEMORY. */
FILTAGS_MUST_USE filtags_status parse_rows(struct parsed_file *file, const char *path, size_t first, size_t n_rows,
                                           float **values);

#endif
