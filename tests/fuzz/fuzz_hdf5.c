/* Any bytes as an HDF5 file: attributes, lists of names, the table of data sets, and the data sets. libhdf5 itself
 * crashes on some files (1.10.8 does); what it crashes on is left out, see fuzz_rehearse. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "hdf5_here.h"
#include "model/weights_hdf5.h"

static void read_names(struct hdf5_file *file, const char *group, const char *attribute) {
    struct hdf5_names names = {0};
    if (hdf5_read_names(file, group, attribute, &names)) return;
    for (size_t i = 0; i < names.n_names; i++) MUST(names.names[i] != NULL);
    for (size_t i = 0; i < names.n_names && !*group && i < 20; i++) {
        bool is_there;
        if (!hdf5_has(file, names.names[i], &is_there) && is_there) read_names(file, names.names[i], "weight_names");
    }
    hdf5_names_free(&names);
}

static void read_dataset(struct hdf5_file *file, const struct hdf5_dataset *dataset) {
    enum { MAX_NUMBERS = 1 << 20 };
    size_t n = 1;
    MUST(dataset->n_dims <= HDF5_MAX_DIMS && dataset->path && dataset->key);
    for (size_t i = 0; i < dataset->n_dims && n && n <= MAX_NUMBERS; i++) n = n * dataset->dim[i];
    if (n > MAX_NUMBERS || dataset->type != HDF5_FLOAT) return;
    float *values = malloc((n ? n : 1) * sizeof *values);
    MUST(values != NULL);
    if (hdf5_read_floats(file, dataset->path, dataset->dim, dataset->n_dims, values) == FILTAGS_OK && n) {
        volatile float last = values[n - 1];
        (void)last;
    }
    free(values);
}

static void read_all(const uint8_t *data, size_t size) {
    static const char *const everything[] = {""};
    struct hdf5_file *file = NULL;
    struct hdf5_table table = {0};
    char *text = NULL;
    if (hdf5_open_bytes("fuzz", data, size, &file)) {
        MUST(!file && strncmp(filtags_error_message(), "fuzz: ", 6) == 0);
        return;
    }
    if (hdf5_read_text(file, "model_config", &text) == FILTAGS_OK && text) MUST(strlen(text) < (size_t)64 << 20);
    free(text);
    bool has_names;
    if (!hdf5_has_names(file, "layer_names", &has_names) && has_names) read_names(file, "", "layer_names");
    if (hdf5_list(file, everything, 1, &table) == FILTAGS_OK) {
        for (size_t i = 0; i < table.n_datasets; i++) {
            MUST(i == 0 || strcmp(table.datasets[i - 1].key, table.datasets[i].key) <= 0);
            MUST(hdf5_find(&table, table.datasets[i].key) != NULL);
            if (i < 50) read_dataset(file, &table.datasets[i]);
        }
    }
    hdf5_table_free(&table);
    hdf5_close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_hdf5_do(read_all, data, size);
    return 0;
}
