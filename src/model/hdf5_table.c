#include "model/hdf5_table.h"

#include <stdlib.h>

void hdf5_table_free(struct hdf5_table *table) {
    for (size_t i = 0; i < table->n_datasets; i++) {
        free(table->datasets[i].path);
        free(table->datasets[i].key);
    }
    free(table->datasets);
    *table = (struct hdf5_table){0};
}

void hdf5_names_free(struct hdf5_names *names) {
    for (size_t i = 0; i < names->n_names; i++) free(names->names[i]);
    free(names->names);
    *names = (struct hdf5_names){0};
}

size_t hdf5_n_rows(const struct hdf5_dataset *dataset) { return dataset->n_dims ? dataset->dim[0] : 1; }

size_t hdf5_row_values(const struct hdf5_dataset *dataset) {
    size_t n = 1;
    if (hdf5_n_rows(dataset) == 0) return 0; /* then nothing bounds the product of the rest */
    for (size_t i = 1; i < dataset->n_dims; i++) n *= dataset->dim[i];
    return n;
}
