/* hdf5_table.h - what is known of an HDF5 file's contents, and the limits to it: the words that the library and the
 * program that reads HDF5 for it (reader/) have in common. */
#ifndef FILTAGS_MODEL_HDF5_TABLE_H
#define FILTAGS_MODEL_HDF5_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HDF5_MAX_DIMS = 8,
    HDF5_MAX_DATASETS = 1000000,
    HDF5_MAX_NAMES = 200000,
    HDF5_MAX_NAME_BYTES = 4096,
    HDF5_MAX_TEXT_BYTES = 64 << 20
};
#define HDF5_MAX_VALUES ((size_t)1 << 31) /* of a data set */

enum hdf5_type { HDF5_FLOAT, HDF5_INTEGER, HDF5_OTHER, HDF5_N_TYPES };

struct hdf5_dataset {
    char *path;          /* as in the file: "layers/conv2d/vars/0" */
    char *key;           /* the same with '/' for '\', which Keras wrote on Windows once */
    enum hdf5_type type; /* HDF5_FLOAT: 16, 32 or 64 bits, any byte order */
    size_t n_dims;
    size_t dim[HDF5_MAX_DIMS];
    /* Of floats: where the values are, if they lie in one piece and aren't packed. */
    size_t value_bytes; /* 2, 4 or 8: from offset on, IEEE numbers; 0: elsewhere */
    bool is_big_endian;
    uint64_t offset;
    size_t piece_rows; /* else: how many rows to ask for at once, at least 1 */
};

struct hdf5_table {
    struct hdf5_dataset *datasets;
    size_t n_datasets, capacity;
};

struct hdf5_names {
    char **names;
    size_t n_names;
};

void hdf5_table_free(struct hdf5_table *table);
void hdf5_names_free(struct hdf5_names *names);

/* A row is what the first dimension counts; a scalar is one row of one value. */
size_t hdf5_n_rows(const struct hdf5_dataset *dataset);
size_t hdf5_row_values(const struct hdf5_dataset *dataset);

#endif
