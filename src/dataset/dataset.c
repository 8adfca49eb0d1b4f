#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "dataset/listing.h"
#include "dataset/mt19937.h"

struct filtags_dataset {
    struct listing listing;
    uint32_t *order; /* [n_files] indices of listed files: n_test of the test set, then the train set */
    size_t n_test;
};

/* Shuffle as pandas' DataFrame.sample(frac=1, random_state=seed), and split. */
static filtags_status split_files(filtags_dataset *dataset, double split, uint32_t seed) {
    struct mt19937 generator;
    size_t n = dataset->listing.n_files;
    dataset->order = memory_new(n, sizeof *dataset->order);
    if (!dataset->order) return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < n; i++) dataset->order[i] = (uint32_t)i;
    mt19937_seed(&generator, seed);
    mt19937_shuffle(&generator, dataset->order, n);
    dataset->n_test = (size_t)(split * (double)n); /* Python's int(split * n) */
    return FILTAGS_OK;
}

static filtags_status report_no_picture(const char *images_dir) {
    size_t n_flat = 0;
    filtags_status status = listing_count_flat(images_dir, &n_flat);
    if (status) return status;
    if (n_flat)
        return error_set(FILTAGS_ERROR_DATA,
                         "%s: one folder per class expected, found no picture in one, but %zu beside: put each into a "
                         "folder that has the name of its class",
                         images_dir, n_flat);
    return error_set(FILTAGS_ERROR_DATA,
                     "%s: one folder per class with .png .jpg .jpeg .bmp .ppm .tif or .tiff files in it expected, "
                     "found no picture",
                     images_dir);
}

filtags_status filtags_dataset_open(const char *images_dir, double split, uint32_t seed, filtags_dataset **dataset) {
    if (!(split >= 0 && split <= 1)) { /* also where it is no number */
        return error_set(FILTAGS_ERROR_USAGE, "a split in 0..1 expected, found %g", split);
    }
    filtags_dataset *opened = memory_new(1, sizeof *opened);
    if (!opened) return FILTAGS_ERROR_MEMORY;
    filtags_status status = listing_read(images_dir, &opened->listing);
    if (!status && opened->listing.n_files == 0) status = report_no_picture(images_dir);
    if (!status) status = split_files(opened, split, seed);
    if (status) filtags_dataset_close(opened);
    else *dataset = opened;
    return status;
}

size_t filtags_dataset_n_classes(const filtags_dataset *dataset) { return dataset->listing.n_classes; }

const char *filtags_dataset_class_name(const filtags_dataset *dataset, size_t class_index) {
    return dataset->listing.names + dataset->listing.classes[class_index];
}

size_t filtags_dataset_n_train(const filtags_dataset *dataset) { return dataset->listing.n_files - dataset->n_test; }

size_t filtags_dataset_n_test(const filtags_dataset *dataset) { return dataset->n_test; }

static const char *file_at(const filtags_dataset *dataset, size_t row, size_t *class_index) {
    const struct listed_file *file = &dataset->listing.files[dataset->order[row]];
    if (class_index) *class_index = file->class_index;
    return dataset->listing.names + file->name;
}

const char *filtags_dataset_train_file(const filtags_dataset *dataset, size_t index, size_t *class_index) {
    return file_at(dataset, dataset->n_test + index, class_index);
}

const char *filtags_dataset_test_file(const filtags_dataset *dataset, size_t index, size_t *class_index) {
    return file_at(dataset, index, class_index);
}

void filtags_dataset_close(filtags_dataset *dataset) {
    if (!dataset) return;
    listing_free(&dataset->listing);
    free(dataset->order);
    free(dataset);
}
