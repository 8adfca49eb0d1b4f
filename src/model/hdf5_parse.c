/* hdf5_parse.c - reading HDF5 files by libhdf5. Part of filtags-read, not of the library: libhdf5 is not to be trusted
 * with files from anywhere. Nothing is written and no file is opened here: the file is memory. Messages leave the
 * file's name to the reader's caller. */
#include "model/hdf5_parse.h"

#define H5_USE_110_API /* the same functions from HDF5 1.10 to 1.14 */
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

enum { MAX_GROUP_DEPTH = 64 };

struct image { /* a file in memory */
    void *bytes;
    size_t size_bytes;
};

struct parsed_file {
    hid_t id;
    size_t size_bytes;
    struct image image;
};

/* ------------------------------------------------------------------ opening */

/* libhdf5 would copy the image twice. It is asked to use the one buffer in place: "allocating" gives that buffer, and
 * copying it onto itself or freeing it does nothing. */
static void *image_malloc(size_t size_bytes, H5FD_file_image_op_t op, void *user) {
    struct image *image = user;
    (void)op;
    return size_bytes == image->size_bytes ? image->bytes : NULL;
}

static void *image_memcpy(void *to, const void *from, size_t size_bytes, H5FD_file_image_op_t op, void *user) {
    (void)size_bytes;
    (void)op;
    (void)user;
    return to == from ? to : NULL;
}

static void *image_realloc(void *bytes, size_t size_bytes, H5FD_file_image_op_t op, void *user) {
    (void)op;
    return size_bytes == ((struct image *)user)->size_bytes ? bytes : NULL; /* opened read-only: never grows */
}

static herr_t image_free(void *bytes, H5FD_file_image_op_t op, void *user) {
    (void)bytes;
    (void)op;
    (void)user;
    return 0;
}

static void *image_share_user(void *user) { return user; }

static herr_t image_free_user(void *user) {
    (void)user;
    return 0;
}

void parse_prepare(void) {
    H5open();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* errors are ours to report */
    H5PLset_loading_state(0);
}

static hid_t make_access(struct image *image) {
    H5FD_file_image_callbacks_t callbacks = {image_malloc, image_memcpy,     image_realloc, image_free,
                                             image_share_user, image_free_user, image};
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access < 0) return -1;
    if (H5Pset_fapl_core(access, 65536, 0) < 0 || H5Pset_file_image_callbacks(access, &callbacks) < 0 ||
        H5Pset_file_image(access, image->bytes, image->size_bytes) < 0) {
        H5Pclose(access);
        return -1;
    }
    return access;
}

filtags_status parse_open(const void *bytes, size_t size_bytes, struct parsed_file **file) {
    struct parsed_file *opened = memory_new(1, sizeof *opened);
    if (!opened) return FILTAGS_ERROR_MEMORY;
    opened->image = (struct image){(void *)bytes, size_bytes}; /* never written to: the file is opened read-only */
    opened->size_bytes = size_bytes;
    parse_prepare();
    hid_t access = make_access(&opened->image);
    opened->id = access < 0 ? -1 : H5Fopen("memory", H5F_ACC_RDONLY, access);
    if (access >= 0) H5Pclose(access);
    if (opened->id < 0) {
        parse_close(opened);
        return error_set(FILTAGS_ERROR_FORMAT, "a whole HDF5 file expected, it is damaged or truncated");
    }
    *file = opened;
    return FILTAGS_OK;
}

void parse_close(struct parsed_file *file) {
    if (!file) return;
    if (file->id >= 0) H5Fclose(file->id);
    free(file);
}

/* ------------------------------------------------------------------ links */

static filtags_status bad_link(const char *path) {
    return error_set(FILTAGS_ERROR_UNSUPPORTED, "'%s' is a soft or external link, which is not supported", path);
}

/* Whether every part of a path is a hard link. *is_missing: some part isn't there. */
static bool follow_hard_links(const struct parsed_file *file, const char *path, bool *is_missing) {
    char part[HDF5_MAX_NAME_BYTES];
    H5L_info_t info;
    size_t length = strlen(path);
    *is_missing = length >= sizeof part;
    if (*is_missing) return true;
    for (size_t i = 1; i <= length; i++) {
        if (i < length && path[i] != '/') continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (H5Lget_info(file->id, part, &info, H5P_DEFAULT) < 0) {
            *is_missing = true;
            return true;
        }
        if (info.type != H5L_TYPE_HARD) return false;
    }
    return true;
}

/* Open a group or data set by its path. what: "group". */
static filtags_status open_object(const struct parsed_file *file, const char *path, H5I_type_t type, const char *what,
                                  hid_t *object) {
    bool is_missing;
    if (!follow_hard_links(file, path, &is_missing)) return bad_link(path);
    if (!*path) path = "/"; /* the root group has no link of its own */
    hid_t opened = is_missing ? -1 : H5Oopen(file->id, path, H5P_DEFAULT);
    if (opened < 0) return error_set(FILTAGS_ERROR_FORMAT, "%s '%s' is missing or damaged", what, path);
    if (H5Iget_type(opened) != type) {
        H5Oclose(opened);
        return error_set(FILTAGS_ERROR_FORMAT, "'%s' is not a %s", path, what);
    }
    *object = opened;
    return FILTAGS_OK;
}

bool parse_has(struct parsed_file *file, const char *path) {
    bool is_missing;
    return follow_hard_links(file, path, &is_missing) && !is_missing;
}

/* ------------------------------------------------------------------ attributes */

/* The strings of an attribute while it is read. */
struct strings {
    hid_t attribute, type, space, memory_type;
    bool is_text, is_variable;
    size_t n, item_bytes;
    char *items; /* n fixed strings of item_bytes, or n char pointers by libhdf5 */
};

static void strings_close(struct strings *strings) {
    if (strings->items && strings->is_variable) {
        H5Dvlen_reclaim(strings->memory_type, strings->space, H5P_DEFAULT, strings->items);
    }
    free(strings->items);
    if (strings->memory_type >= 0) H5Tclose(strings->memory_type);
    if (strings->space >= 0) H5Sclose(strings->space);
    if (strings->type >= 0) H5Tclose(strings->type);
    if (strings->attribute >= 0) H5Aclose(strings->attribute);
}

/* Find out what the attribute is, and within which limits. false: damaged or absurd. */
static bool strings_examine(const struct parsed_file *file, struct strings *strings) {
    strings->type = H5Aget_type(strings->attribute);
    strings->space = H5Aget_space(strings->attribute);
    if (strings->type < 0 || strings->space < 0) return false;
    hssize_t n = H5Sget_simple_extent_npoints(strings->space);
    if (n < 0 || n > HDF5_MAX_NAMES) return false;
    strings->n = (size_t)n;
    strings->is_text = H5Tget_class(strings->type) == H5T_STRING;
    if (!strings->is_text) return true;
    htri_t is_variable = H5Tis_variable_str(strings->type);
    if (is_variable < 0) return false;
    strings->is_variable = is_variable > 0;
    strings->item_bytes = strings->is_variable ? sizeof(char *) : H5Tget_size(strings->type);
    /* no attribute is larger than its file */
    return strings->item_bytes > 0 && strings->item_bytes <= HDF5_MAX_TEXT_BYTES &&
           (strings->n == 0 || strings->is_variable || strings->item_bytes <= file->size_bytes / strings->n);
}

static bool strings_read(struct strings *strings) {
    strings->memory_type = H5Tcopy(strings->type);
    if (strings->memory_type < 0) return false;
    strings->items = memory_new(strings->n, strings->item_bytes);
    if (!strings->items) return false;
    if (strings->n == 0) return true;
    bool is_read = H5Aread(strings->attribute, strings->memory_type, strings->items) >= 0;
    if (!is_read && strings->is_variable) memset(strings->items, 0, strings->n * strings->item_bytes);
    return is_read;
}

/* Copy string i; NULL: out of memory. */
static char *strings_copy(const struct strings *strings, size_t i) {
    if (strings->is_variable) {
        const char *text = ((char **)(void *)strings->items)[i];
        return memory_copy_string(text ? text : "");
    }
    const char *text = strings->items + i * strings->item_bytes;
    size_t n = strnlen(text, strings->item_bytes);
    while (n && text[n - 1] == ' ' && H5Tget_strpad(strings->type) == H5T_STR_SPACEPAD) n--;
    return memory_format("%.*s", (int)n, text);
}

static filtags_status strings_open(const struct parsed_file *file, hid_t object, const char *place, const char *name,
                                   struct strings *strings) {
    *strings = (struct strings){-1, -1, -1, -1, false, false, 0, 0, NULL};
    strings->attribute = H5Aopen(object, name, H5P_DEFAULT);
    if (strings->attribute >= 0 && strings_examine(file, strings) && (!strings->is_text || strings_read(strings))) {
        return FILTAGS_OK;
    }
    strings_close(strings);
    return error_set(FILTAGS_ERROR_FORMAT, "attribute '%s' of '%s' cannot be read", name, place);
}

filtags_status parse_text(struct parsed_file *file, const char *attribute, char **text) {
    struct strings strings;
    htri_t exists = H5Aexists(file->id, attribute);
    if (exists == 0) {
        *text = NULL;
        return FILTAGS_OK;
    }
    filtags_status status = strings_open(file, file->id, "/", attribute, &strings);
    if (status) return status;
    char *copy = NULL;
    if (!strings.is_text || strings.n != 1) {
        status = error_set(FILTAGS_ERROR_FORMAT, "attribute '%s': one text expected", attribute);
    } else {
        copy = strings_copy(&strings, 0);
        if (!copy) status = FILTAGS_ERROR_MEMORY;
    }
    strings_close(&strings);
    if (!status) *text = copy;
    return status;
}

bool parse_has_names(struct parsed_file *file, const char *attribute) {
    char first_chunk[128];
    snprintf(first_chunk, sizeof first_chunk, "%s0", attribute);
    return H5Aexists(file->id, attribute) > 0 || H5Aexists(file->id, first_chunk) > 0;
}

/* Append the strings of one attribute. */
static filtags_status append_names(const struct parsed_file *file, hid_t object, const char *place,
                                   const char *attribute, struct hdf5_names *names) {
    struct strings strings;
    filtags_status status = strings_open(file, object, place, attribute, &strings);
    if (status) return status;
    size_t capacity = names->n_names;
    if (strings.n > 0 && !strings.is_text) { /* an empty list is written as an empty array of numbers */
        status = error_set(FILTAGS_ERROR_FORMAT, "attribute '%s' of '%s': texts expected", attribute, place);
    } else if (names->n_names + strings.n > HDF5_MAX_NAMES) {
        status = error_set(FILTAGS_ERROR_FORMAT, "attribute '%s' of '%s': at most %d names expected",
                           attribute, place, HDF5_MAX_NAMES);
    } else if (strings.n > 0 && memory_grow((void **)&names->names, &capacity, names->n_names + strings.n,
                                            sizeof *names->names)) {
        status = FILTAGS_ERROR_MEMORY;
    }
    for (size_t i = 0; !status && i < strings.n; i++) {
        char *copy = strings_copy(&strings, i);
        if (copy) names->names[names->n_names++] = copy;
        else status = FILTAGS_ERROR_MEMORY;
    }
    strings_close(&strings);
    return status;
}

filtags_status parse_names(struct parsed_file *file, const char *group, const char *attribute,
                               struct hdf5_names *names) {
    struct hdf5_names found = {0};
    hid_t object;
    filtags_status status = open_object(file, group, H5I_GROUP, "group", &object);
    if (status) return status;
    if (H5Aexists(object, attribute) > 0) {
        status = append_names(file, object, group, attribute, &found);
    } else {
        char chunk[128];
        size_t n_chunks = 0;
        for (; !status; n_chunks++) {
            snprintf(chunk, sizeof chunk, "%s%zu", attribute, n_chunks);
            if (H5Aexists(object, chunk) <= 0) break;
            status = append_names(file, object, group, chunk, &found);
        }
        if (!status && n_chunks == 0) {
            status = error_set(FILTAGS_ERROR_FORMAT, "group '%s' has no attribute '%s'", group, attribute);
        }
    }
    H5Oclose(object);
    if (status) hdf5_names_free(&found);
    else *names = found;
    return status;
}

/* ------------------------------------------------------------------ data sets */

/* Refuse what reading the data set could be abused for. NULL: nothing. */
static const char *find_danger(hid_t dataset, hid_t properties, size_t declared_bytes) {
    enum { MAX_RATIO = 1100, HARMLESS_BYTES = 1 << 20 }; /* deflate gains at most a factor of 1032 */
    H5D_layout_t layout = H5Pget_layout(properties);
    if (layout < 0) return "damaged storage";
    if (layout != H5D_COMPACT && layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED) return "virtual storage";
    if (H5Pget_external_count(properties) != 0) return "storage in external files";
    int n_filters = layout == H5D_CHUNKED ? H5Pget_nfilters(properties) : 0;
    if (n_filters < 0) return "damaged filters";
    for (int i = 0; i < n_filters; i++) {
        unsigned flags, configuration;
        size_t n_values = 0;
        H5Z_filter_t filter =
            H5Pget_filter2(properties, (unsigned)i, &flags, &n_values, NULL, 0, NULL, &configuration);
        if (filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_SHUFFLE && filter != H5Z_FILTER_FLETCHER32) {
            return "a filter other than deflate, shuffle and fletcher32";
        }
    }
    if (layout == H5D_CHUNKED) {
        hsize_t dims[H5S_MAX_RANK], chunk_bytes = 8;
        int n_dims = H5Pget_chunk(properties, H5S_MAX_RANK, dims);
        if (n_dims < 0) return "damaged chunks";
        for (int i = 0; i < n_dims; i++) {
            chunk_bytes *= dims[i];
            if (chunk_bytes > 16 * (hsize_t)declared_bytes + HARMLESS_BYTES) return "chunks larger than the data";
        }
    }
    if (declared_bytes > HARMLESS_BYTES && declared_bytes / MAX_RATIO > H5Dget_storage_size(dataset)) {
        return "a size that its storage cannot hold";
    }
    return NULL;
}

static bool read_shape(hid_t space, struct hdf5_dataset *entry, size_t *n_elements) {
    hsize_t dims[H5S_MAX_RANK];
    *n_elements = 1;
    if (H5Sget_simple_extent_type(space) == H5S_SCALAR) return true;
    if (H5Sget_simple_extent_type(space) != H5S_SIMPLE) return false;
    int n_dims = H5Sget_simple_extent_dims(space, dims, NULL);
    if (n_dims < 0 || n_dims > HDF5_MAX_DIMS) return false;
    for (int i = 0; i < n_dims; i++) {
        if (dims[i] > HDF5_MAX_VALUES) return false;
        entry->dim[i] = (size_t)dims[i];
        *n_elements *= entry->dim[i];
        if (*n_elements > HDF5_MAX_VALUES) return false;
    }
    entry->n_dims = (size_t)n_dims;
    return true;
}

static enum hdf5_type read_type(hid_t type) {
    size_t size_bytes = H5Tget_size(type);
    H5T_class_t class = H5Tget_class(type);
    if (class == H5T_FLOAT && (size_bytes == 2 || size_bytes == 4 || size_bytes == 8)) return HDF5_FLOAT;
    return class == H5T_INTEGER ? HDF5_INTEGER : HDF5_OTHER;
}

/* The numbers that the library can convert by itself. */
static void find_format(hid_t type, struct hdf5_dataset *entry) {
    const hid_t known[] = {H5T_IEEE_F32LE, H5T_IEEE_F32BE, H5T_IEEE_F64LE, H5T_IEEE_F64BE};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (H5Tequal(type, known[i]) > 0) {
            entry->value_bytes = i < 2 ? 4 : 8;
            entry->is_big_endian = i % 2;
        }
    }
    for (int i = 0; i < 2; i++) { /* half precision has no name in HDF5: what NumPy's float16 is written as */
        hid_t half = H5Tcopy(i ? H5T_IEEE_F32BE : H5T_IEEE_F32LE);
        if (H5Tset_fields(half, 15, 10, 5, 0, 10) >= 0 && H5Tset_size(half, 2) >= 0 && H5Tset_ebias(half, 15) >= 0 &&
            H5Tequal(type, half) > 0) {
            entry->value_bytes = 2;
            entry->is_big_endian = i;
        }
        H5Tclose(half);
    }
}

/* Where the values are, if they lie in one piece as they are; else how many rows are read at once: of a chunked data
 * set as many as its chunks have, so that each is unpacked once. */
static void find_place(hid_t dataset, hid_t type, hid_t properties, struct hdf5_dataset *entry) {
    enum { PIECE_BYTES = 8 << 20 };
    H5D_layout_t layout = H5Pget_layout(properties);
    size_t n_rows = hdf5_n_rows(entry), row_values = hdf5_row_values(entry), chunk_rows = 1;
    hsize_t dims[H5S_MAX_RANK];
    if (layout == H5D_CONTIGUOUS) {
        haddr_t offset = H5Dget_offset(dataset);
        find_format(type, entry);
        if (offset != HADDR_UNDEF && H5Dget_storage_size(dataset) / H5Tget_size(type) >= n_rows * row_values) {
            entry->offset = offset;
        } else {
            entry->value_bytes = 0; /* never written: the library's fill values */
        }
    } else if (layout == H5D_CHUNKED && H5Pget_chunk(properties, H5S_MAX_RANK, dims) > 0 && dims[0] > 0) {
        chunk_rows = dims[0] < n_rows ? (size_t)dims[0] : n_rows;
    }
    size_t rows = row_values ? PIECE_BYTES / sizeof(float) / row_values : n_rows;
    rows = chunk_rows ? rows / chunk_rows * chunk_rows : rows;
    entry->piece_rows = rows > chunk_rows ? rows : chunk_rows > 0 ? chunk_rows : 1;
}

/* Fill in everything about an open data set but its names, everything checked. */
static filtags_status examine_dataset(hid_t dataset, const char *path, struct hdf5_dataset *entry) {
    hid_t space = H5Dget_space(dataset), type = H5Dget_type(dataset), properties = H5Dget_create_plist(dataset);
    filtags_status status = FILTAGS_OK;
    size_t n_elements;
    if (space < 0 || type < 0 || properties < 0) {
        status = error_set(FILTAGS_ERROR_FORMAT, "data set '%s' is damaged", path);
    } else if (!read_shape(space, entry, &n_elements)) {
        status = error_set(FILTAGS_ERROR_FORMAT, "data set '%s': at most %d dimensions and 2^31 elements expected",
                           path, HDF5_MAX_DIMS);
    } else {
        size_t type_bytes = H5Tget_size(type);
        entry->type = read_type(type);
        const char *danger = find_danger(dataset, properties, n_elements * (type_bytes < 8 ? type_bytes : 8));
        if (danger) {
            status = error_set(FILTAGS_ERROR_UNSUPPORTED, "data set '%s' has %s, which is not supported", path,
                               danger);
        } else if (entry->type == HDF5_FLOAT) {
            find_place(dataset, type, properties, entry);
        }
    }
    if (properties >= 0) H5Pclose(properties);
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    return status;
}

/* ------------------------------------------------------------------ the table */

struct lister {
    const struct parsed_file *file;
    struct hdf5_table *table;
    const char *const *starts;
    size_t n_starts, n_links;
    const char *parent; /* "layers/conv2d/", "" for the root */
    int depth;
    filtags_status status;
};

static filtags_status add_dataset(struct lister *lister, hid_t dataset, const char *path) {
    struct hdf5_table *table = lister->table;
    struct hdf5_dataset entry = {0};
    filtags_status status = examine_dataset(dataset, path, &entry);
    if (status) return status;
    if (memory_grow((void **)&table->datasets, &table->capacity, table->n_datasets + 1, sizeof entry)) {
        return FILTAGS_ERROR_MEMORY;
    }
    entry.path = memory_copy_string(path);
    if (!entry.path) return FILTAGS_ERROR_MEMORY;
    table->datasets[table->n_datasets++] = entry;
    return FILTAGS_OK;
}

static herr_t list_link(hid_t group, const char *name, const H5L_info_t *info, void *user);

static filtags_status list_group(struct lister *lister, hid_t group, const char *path) {
    const char *parent = lister->parent;
    char *inner = memory_format("%s/", path);
    if (!inner) return FILTAGS_ERROR_MEMORY;
    lister->parent = inner;
    lister->depth++;
    if (H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, list_link, lister) < 0 && !lister->status) {
        lister->status = error_set(FILTAGS_ERROR_FORMAT, "group '%s' is damaged", path);
    }
    lister->depth--;
    lister->parent = parent;
    free(inner);
    return lister->status;
}

static filtags_status list_object(struct lister *lister, hid_t group, const char *name, const char *path,
                                  H5L_type_t link_type) {
    if (link_type != H5L_TYPE_HARD) return bad_link(path);
    if (lister->depth > MAX_GROUP_DEPTH || ++lister->n_links > HDF5_MAX_DATASETS ||
        strlen(path) >= HDF5_MAX_NAME_BYTES) {
        return error_set(FILTAGS_ERROR_FORMAT, "'%.100s': at most %d objects, nested at most %d deep, expected",
                         path, HDF5_MAX_DATASETS, MAX_GROUP_DEPTH);
    }
    hid_t object = H5Oopen(group, name, H5P_DEFAULT);
    if (object < 0) return error_set(FILTAGS_ERROR_FORMAT, "'%s' is damaged", path);
    filtags_status status = FILTAGS_OK;
    H5I_type_t type = H5Iget_type(object);
    if (type == H5I_GROUP) status = list_group(lister, object, path);
    else if (type == H5I_DATASET) status = add_dataset(lister, object, path);
    H5Oclose(object);
    return status;
}

/* libhdf5 calls this for every link of a group. */
static herr_t list_link(hid_t group, const char *name, const H5L_info_t *info, void *user) {
    struct lister *lister = user;
    if (lister->depth == 0) { /* the root also has optimizer weights and the like, which aren't looked at */
        bool is_wanted = false;
        for (size_t i = 0; i < lister->n_starts; i++) {
            if (strncmp(name, lister->starts[i], strlen(lister->starts[i])) == 0) is_wanted = true;
        }
        if (!is_wanted) return 0;
    }
    char *path = memory_format("%s%s", lister->parent, name);
    lister->status = path ? list_object(lister, group, name, path, info->type) : FILTAGS_ERROR_MEMORY;
    free(path);
    return lister->status ? -1 : 0;
}

filtags_status parse_list(struct parsed_file *file, const char *const *starts, size_t n_starts,
                         struct hdf5_table *table) {
    struct hdf5_table found = {0};
    struct lister lister = {.file = file, .table = &found, .starts = starts, .n_starts = n_starts, .parent = ""};
    if (H5Literate(file->id, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, list_link, &lister) < 0 && !lister.status) {
        lister.status = error_set(FILTAGS_ERROR_FORMAT, "the root group is damaged");
    }
    if (lister.status) {
        hdf5_table_free(&found);
        return lister.status;
    }
    *table = found;
    return FILTAGS_OK;
}

/* ------------------------------------------------------------------ values */

filtags_status parse_locate(struct parsed_file *file, const char *path, struct hdf5_dataset *found) {
    struct hdf5_dataset entry = {0};
    hid_t dataset;
    filtags_status status = open_object(file, path, H5I_DATASET, "data set", &dataset);
    if (status) return status;
    status = examine_dataset(dataset, path, &entry);
    H5Dclose(dataset);
    if (!status) *found = entry;
    return status;
}

/* Read rows of an open data set, which has been examined. */
static bool read_rows(hid_t dataset, const struct hdf5_dataset *entry, size_t first, size_t n_rows, float *values) {
    hsize_t start[HDF5_MAX_DIMS] = {first}, count[HDF5_MAX_DIMS];
    if (entry->n_dims == 0) return H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
    for (size_t i = 0; i < entry->n_dims; i++) count[i] = i ? entry->dim[i] : n_rows;
    hid_t in_file = H5Dget_space(dataset), in_memory = H5Screate_simple((int)entry->n_dims, count, NULL);
    bool is_read = in_file >= 0 && in_memory >= 0 &&
                   H5Sselect_hyperslab(in_file, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
                   H5Dread(dataset, H5T_NATIVE_FLOAT, in_memory, in_file, H5P_DEFAULT, values) >= 0;
    if (in_memory >= 0) H5Sclose(in_memory);
    if (in_file >= 0) H5Sclose(in_file);
    return is_read;
}

filtags_status parse_rows(struct parsed_file *file, const char *path, size_t first, size_t n_rows, float **values) {
    struct hdf5_dataset entry = {0};
    hid_t dataset;
    float *read = NULL;
    filtags_status status = open_object(file, path, H5I_DATASET, "data set", &dataset);
    if (status) return status;
    status = examine_dataset(dataset, path, &entry);
    size_t n_all = hdf5_n_rows(&entry);
    if (!status && (entry.type != HDF5_FLOAT || first > n_all || n_rows > n_all - first)) {
        status = error_set(FILTAGS_ERROR_FORMAT, "data set '%s' has no such rows of floats", path);
    } else if (!status && !(read = memory_new(n_rows * hdf5_row_values(&entry), sizeof *read))) {
        status = FILTAGS_ERROR_MEMORY;
    } else if (!status && n_rows && !read_rows(dataset, &entry, first, n_rows, read)) {
        status = error_set(FILTAGS_ERROR_FORMAT, "data set '%s' cannot be read: the file is damaged", path);
    }
    H5Dclose(dataset);
    if (status) free(read);
    else *values = read;
    return status;
}
