#include "model/weights_hdf5.h"

#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/reader_place.h" /* made by meson */
#include "base/reader_process.h"
#include "base/wire.h"
#include "model/hdf5_serve.h"

struct hdf5_file {
    char *name;
    int fd;            /* -1: the file lies in memory */
    const char *bytes; /* there */
    size_t size_bytes;
    void *session; /* the backend's */
};

/* ------------------------------------------------------------------ who answers */

static filtags_status start_reader(int fd, const void *bytes, size_t size_bytes, void **session) {
    /* reading takes milliseconds, unpacking 200 MB a second; libhdf5 gets no end with some damaged files */
    enum { LEAST_MS = 800, BYTES_A_MS = 16 << 10, MOST_MS = 1 << 30 };
    const size_t ms = LEAST_MS + size_bytes / BYTES_A_MS;
    const struct reader_task task = {"hdf5", fd, bytes, size_bytes, ms < MOST_MS ? (unsigned)ms : MOST_MS};
    struct reader_process *reader;
    filtags_status status = reader_start(&task, &reader);
    if (!status) *session = reader;
    return status;
}

static filtags_status ask_reader(void *session, const char *file_name, const struct buffer *question,
                                 size_t most_bytes, struct buffer *answer) {
    return reader_ask(session, file_name, question, most_bytes, answer);
}

static void stop_reader(void *session) { reader_stop(session); }

static const struct hdf5_backend in_reader = {start_reader, ask_reader, stop_reader};
static const struct hdf5_backend *backend = &in_reader;

void hdf5_set_backend(const struct hdf5_backend *other) { backend = other; }

/* A question on its way, and what has come of it. */
struct exchange {
    struct buffer question, answer;
    size_t most_bytes;       /* of the answer */
    struct wire_reader said; /* the rest of it */
};

static void begin(struct exchange *exchange, enum hdf5_question question) {
    enum { MOST_BYTES = 256 << 20 };
    *exchange = (struct exchange){.most_bytes = MOST_BYTES};
    wire_put_number(&exchange->question, question);
}

static void end(struct exchange *exchange) {
    buffer_free(&exchange->question);
    buffer_free(&exchange->answer);
}

/* Get the answer; the exchange has to be ended either way. */
static filtags_status ask(const struct hdf5_file *file, struct exchange *exchange) {
    filtags_status status =
        backend->ask(file->session, file->name, &exchange->question, exchange->most_bytes, &exchange->answer);
    exchange->said = (struct wire_reader){buffer_text(&exchange->answer), exchange->answer.size_bytes, false};
    return status ? status : reader_take_status(file->name, &exchange->said);
}

/* The end of an exchange whose answer should be at its end, and made sense if makes_sense. */
static filtags_status finish(const struct hdf5_file *file, struct exchange *exchange, filtags_status status,
                             bool makes_sense) {
    if (!status && (!makes_sense || !wire_is_at_end(&exchange->said))) status = reader_refuse(file->name);
    end(exchange);
    return status;
}

/* ------------------------------------------------------------------ opening */

static filtags_status measure(struct hdf5_file *file) {
    struct stat info;
    if (file->bytes) return FILTAGS_OK;
    if (fstat(file->fd, &info)) return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be examined", file->name);
    file->size_bytes = S_ISREG(info.st_mode) && info.st_size > 0 ? (size_t)info.st_size : 0;
    return FILTAGS_OK;
}

static filtags_status begin_session(const char *file_name, struct hdf5_file *opened) {
    struct exchange exchange;
    opened->name = memory_copy_string(file_name);
    if (!opened->name) return FILTAGS_ERROR_MEMORY;
    filtags_status status = measure(opened);
    if (status) return status;
    if (opened->size_bytes == 0)
        return error_set(FILTAGS_ERROR_FORMAT, "%s: HDF5 data expected, found none", file_name);
    status = backend->open(opened->fd, opened->bytes, opened->size_bytes, &opened->session);
    if (status) return status;
    begin(&exchange, HDF5_ASK_OPEN);
    return finish(opened, &exchange, ask(opened, &exchange), true);
}

/* fd is the file's from here on. */
static filtags_status open_file(const char *file_name, int fd, const void *bytes, size_t size_bytes,
                                struct hdf5_file **file) {
    struct hdf5_file *opened = memory_new(1, sizeof *opened);
    if (!opened) {
        if (fd >= 0) close(fd);
        return FILTAGS_ERROR_MEMORY;
    }
    opened->fd = fd;
    opened->bytes = bytes;
    opened->size_bytes = size_bytes;
    filtags_status status = begin_session(file_name, opened);
    if (status) hdf5_close(opened);
    else *file = opened;
    return status;
}

filtags_status hdf5_open(const char *file_name, struct hdf5_file **file) {
    int fd = open(file_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang */
    if (fd < 0) return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be opened", file_name);
    return open_file(file_name, fd, NULL, 0, file);
}

filtags_status hdf5_open_bytes(const char *file_name, const void *bytes, size_t size_bytes, struct hdf5_file **file) {
    return open_file(file_name, -1, bytes, size_bytes, file);
}

void hdf5_close(struct hdf5_file *file) {
    if (!file) return;
    if (file->session) backend->close(file->session);
    if (file->fd >= 0) close(file->fd);
    free(file->name);
    free(file);
}

/* ------------------------------------------------------------------ attributes and links */

filtags_status hdf5_read_text(struct hdf5_file *file, const char *attribute, char **text) {
    struct exchange exchange;
    char *found = NULL;
    begin(&exchange, HDF5_ASK_TEXT);
    wire_put_text(&exchange.question, attribute);
    filtags_status status = ask(file, &exchange);
    if (!status && wire_number_to(&exchange.said, 1)) {
        found = wire_text(&exchange.said, HDF5_MAX_TEXT_BYTES);
        if (!found && !exchange.said.has_failed) status = FILTAGS_ERROR_MEMORY;
    }
    status = finish(file, &exchange, status, true);
    if (status) free(found);
    else *text = found;
    return status;
}

static filtags_status ask_whether(struct hdf5_file *file, enum hdf5_question question, const char *what,
                                  bool *is_true) {
    struct exchange exchange;
    begin(&exchange, question);
    wire_put_text(&exchange.question, what);
    filtags_status status = ask(file, &exchange);
    bool answer = !status && wire_number_to(&exchange.said, 1);
    status = finish(file, &exchange, status, true);
    if (!status) *is_true = answer;
    return status;
}

filtags_status hdf5_has(struct hdf5_file *file, const char *path, bool *is_there) {
    return ask_whether(file, HDF5_ASK_HAS, path, is_there);
}

filtags_status hdf5_has_names(struct hdf5_file *file, const char *attribute, bool *is_there) {
    return ask_whether(file, HDF5_ASK_HAS_NAMES, attribute, is_there);
}

static filtags_status take_names(struct wire_reader *said, struct hdf5_names *names) {
    size_t n = wire_number_to(said, HDF5_MAX_NAMES);
    names->names = memory_new(n, sizeof *names->names);
    if (!names->names) return FILTAGS_ERROR_MEMORY;
    while (names->n_names < n) {
        char *name = wire_text(said, HDF5_MAX_TEXT_BYTES);
        if (!name) return said->has_failed ? FILTAGS_OK : FILTAGS_ERROR_MEMORY; /* the failure is found at the end */
        names->names[names->n_names++] = name;
    }
    return FILTAGS_OK;
}

filtags_status hdf5_read_names(struct hdf5_file *file, const char *group, const char *attribute,
                               struct hdf5_names *names) {
    struct exchange exchange;
    struct hdf5_names found = {0};
    begin(&exchange, HDF5_ASK_NAMES);
    wire_put_text(&exchange.question, group);
    wire_put_text(&exchange.question, attribute);
    filtags_status status = ask(file, &exchange);
    if (!status) status = take_names(&exchange.said, &found);
    status = finish(file, &exchange, status, true);
    if (status) hdf5_names_free(&found);
    else *names = found;
    return status;
}

/* ------------------------------------------------------------------ the table */

/* Take what is said of a data set. false: it makes no sense; that values of two may overlap does no harm. */
static bool take_dataset(const struct hdf5_file *file, struct wire_reader *said, struct hdf5_dataset *dataset) {
    uint64_t n_values = 1;
    dataset->type = (enum hdf5_type)wire_number_to(said, HDF5_N_TYPES - 1);
    dataset->n_dims = wire_number_to(said, HDF5_MAX_DIMS);
    for (size_t i = 0; i < dataset->n_dims; i++) {
        dataset->dim[i] = wire_number_to(said, HDF5_MAX_VALUES);
        n_values *= dataset->dim[i]; /* less than 2^63 */
        if (n_values > HDF5_MAX_VALUES) return false;
    }
    dataset->value_bytes = wire_number_to(said, 8);
    dataset->is_big_endian = wire_number_to(said, 1);
    dataset->offset = wire_number(said);
    dataset->piece_rows = wire_number(said);
    if (said->has_failed) return false;
    if (dataset->type != HDF5_FLOAT) return true; /* the rest doesn't matter */
    if (dataset->value_bytes == 0) return dataset->piece_rows > 0;
    if (dataset->value_bytes != 2 && dataset->value_bytes != 4 && dataset->value_bytes != 8) return false;
    return dataset->offset <= file->size_bytes &&
           n_values <= (file->size_bytes - dataset->offset) / dataset->value_bytes;
}

static int compare_keys(const void *a, const void *b) {
    return strcmp(((const struct hdf5_dataset *)a)->key, ((const struct hdf5_dataset *)b)->key);
}

static filtags_status take_entry(const struct hdf5_file *file, struct wire_reader *said, struct hdf5_table *table) {
    struct hdf5_dataset entry = {0};
    char *path = wire_text(said, HDF5_MAX_NAME_BYTES);
    if (!path) return said->has_failed ? reader_refuse(file->name) : FILTAGS_ERROR_MEMORY;
    filtags_status status = take_dataset(file, said, &entry) ? FILTAGS_OK : reader_refuse(file->name);
    void *datasets = table->datasets;
    if (!status && memory_grow(&datasets, &table->capacity, table->n_datasets + 1, sizeof entry))
        status = FILTAGS_ERROR_MEMORY;
    table->datasets = datasets;
    char *key = status ? NULL : memory_copy_string(path);
    if (!status && !key) status = FILTAGS_ERROR_MEMORY;
    if (status) {
        free(path);
        return status;
    }
    for (char *c = key; *c; c++) {
        if (*c == '\\') *c = '/';
    }
    entry.path = path;
    entry.key = key;
    table->datasets[table->n_datasets++] = entry;
    return FILTAGS_OK;
}

filtags_status hdf5_list(struct hdf5_file *file, const char *const *starts, size_t n_starts,
                         struct hdf5_table *table) {
    struct exchange exchange;
    struct hdf5_table found = {0};
    begin(&exchange, HDF5_ASK_LIST);
    wire_put_number(&exchange.question, n_starts);
    for (size_t i = 0; i < n_starts; i++) wire_put_text(&exchange.question, starts[i]);
    filtags_status status = ask(file, &exchange);
    size_t n = status ? 0 : wire_number_to(&exchange.said, HDF5_MAX_DATASETS);
    for (size_t i = 0; !status && i < n; i++) status = take_entry(file, &exchange.said, &found);
    status = finish(file, &exchange, status, true);
    if (status) {
        hdf5_table_free(&found);
        return status;
    }
    if (found.n_datasets) qsort(found.datasets, found.n_datasets, sizeof *found.datasets, compare_keys);
    *table = found;
    return FILTAGS_OK;
}

const struct hdf5_dataset *hdf5_find(const struct hdf5_table *table, const char *key) {
    struct hdf5_dataset wanted = {.key = (char *)key};
    if (table->n_datasets == 0) return NULL;
    return bsearch(&wanted, table->datasets, table->n_datasets, sizeof wanted, compare_keys);
}

bool hdf5_has_start(const struct hdf5_table *table, const char *start) {
    size_t low = 0, high = table->n_datasets; /* the first key that is not before start */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(table->datasets[middle].key, start) < 0) low = middle + 1;
        else high = middle;
    }
    return low < table->n_datasets && strncmp(table->datasets[low].key, start, strlen(start)) == 0;
}

/* ------------------------------------------------------------------ values */

static float from_half(uint16_t bits) {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float value = exponent == 0    ? ldexpf((float)fraction, -24)
                  : exponent == 31 ? (fraction ? NAN : INFINITY)
                                   : ldexpf((float)(fraction + 1024), exponent - 25);
    return bits >> 15 ? -value : value;
}

/* As libhdf5 does it: what is too large becomes infinite, even where rounding would make it the largest float. */
static float from_double(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    if (value > FLT_MAX) return INFINITY;
    return value < -FLT_MAX ? -INFINITY : (float)value;
}

/* bytes: [n, value_bytes] */
static void convert(const struct hdf5_dataset *dataset, const unsigned char *bytes, size_t n, float *values) {
    const size_t size = dataset->value_bytes;
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = 0;
        for (size_t j = 0; j < size; j++) {
            size_t byte = dataset->is_big_endian ? j : size - 1 - j; /* the highest first */
            bits = bits << 8 | bytes[i * size + byte];
        }
        const uint32_t low = (uint32_t)bits;
        if (size == 4) memcpy(&values[i], &low, sizeof low);
        else values[i] = size == 2 ? from_half((uint16_t)bits) : from_double(bits);
    }
}

static bool is_native(const struct hdf5_dataset *dataset) {
    return dataset->value_bytes == sizeof(float) && dataset->is_big_endian == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

static filtags_status read_at(const struct hdf5_file *file, const char *path, uint64_t offset, void *bytes,
                              size_t n_bytes) {
    size_t n_read;
    if (file->bytes) {
        memcpy(bytes, file->bytes + offset, n_bytes);
        return FILTAGS_OK;
    }
    if (!descriptor_read_at(file->fd, offset, bytes, n_bytes, &n_read))
        return error_set_errno(FILTAGS_ERROR_IO, "%s: data set '%s' cannot be read", file->name, path);
    if (n_read < n_bytes)
        return error_set(FILTAGS_ERROR_FORMAT, "%s: data set '%s' cannot be read: the file has become shorter",
                         file->name, path);
    return FILTAGS_OK;
}

/* n values that lie in the file as they are, from the first-th on. take_dataset has made sure that they do. */
static filtags_status read_in_place(const struct hdf5_file *file, const char *path, const struct hdf5_dataset *dataset,
                                    size_t first, size_t n, float *values) {
    enum { BLOCK_VALUES = 1 << 15 };
    const uint64_t offset = dataset->offset + first * dataset->value_bytes;
    if (is_native(dataset)) return read_at(file, path, offset, values, n * sizeof *values);
    unsigned char *block = memory_new(BLOCK_VALUES, dataset->value_bytes);
    if (!block) return FILTAGS_ERROR_MEMORY;
    filtags_status status = FILTAGS_OK;
    for (size_t i = 0, n_here; !status && i < n; i += n_here) {
        n_here = n - i < BLOCK_VALUES ? n - i : BLOCK_VALUES;
        status = read_at(file, path, offset + i * dataset->value_bytes, block, n_here * dataset->value_bytes);
        if (!status) convert(dataset, block, n_here, values + i);
    }
    free(block);
    return status;
}

static filtags_status read_piece(struct hdf5_file *file, const char *path, size_t first, size_t n_rows, float *values,
                                 size_t n_values) {
    struct exchange exchange;
    size_t n_bytes = 0;
    begin(&exchange, HDF5_ASK_ROWS);
    exchange.most_bytes = n_values * sizeof *values + 4096; /* room for a message */
    wire_put_text(&exchange.question, path);
    wire_put_number(&exchange.question, first);
    wire_put_number(&exchange.question, n_rows);
    filtags_status status = ask(file, &exchange);
    const char *bytes = status ? NULL : wire_bytes(&exchange.said, &n_bytes);
    bool makes_sense = bytes && n_bytes == n_values * sizeof *values;
    if (makes_sense && n_bytes) memcpy(values, bytes, n_bytes);
    return finish(file, &exchange, status, makes_sense);
}

static filtags_status read_pieces(struct hdf5_file *file, const char *path, const struct hdf5_dataset *dataset,
                                  size_t first, size_t n_rows, float *values) {
    size_t row_values = hdf5_row_values(dataset);
    filtags_status status = FILTAGS_OK;
    for (size_t i = 0, n; !status && i < n_rows; i += n) {
        n = n_rows - i < dataset->piece_rows ? n_rows - i : dataset->piece_rows;
        status = read_piece(file, path, first + i, n, values + i * row_values, n * row_values);
    }
    return status;
}

static filtags_status locate(struct hdf5_file *file, const char *path, struct hdf5_dataset *dataset) {
    struct exchange exchange;
    *dataset = (struct hdf5_dataset){0};
    begin(&exchange, HDF5_ASK_LOCATE);
    wire_put_text(&exchange.question, path);
    filtags_status status = ask(file, &exchange);
    bool makes_sense = !status && take_dataset(file, &exchange.said, dataset);
    return finish(file, &exchange, status, makes_sense);
}

filtags_status hdf5_find_floats(struct hdf5_file *file, const char *path, const size_t *dim, size_t n_dims,
                                struct hdf5_dataset *dataset) {
    filtags_status status = locate(file, path, dataset);
    if (status) return status;
    bool is_same = dataset->n_dims == n_dims && dataset->type == HDF5_FLOAT;
    for (size_t i = 0; is_same && i < n_dims; i++) is_same = dataset->dim[i] == dim[i];
    if (!is_same) {
        return error_set(FILTAGS_ERROR_DATA, "%s: data set '%s' has changed since the model was loaded", file->name,
                         path);
    }
    return FILTAGS_OK;
}

filtags_status hdf5_read_rows(struct hdf5_file *file, const char *path, const struct hdf5_dataset *dataset,
                              size_t first, size_t n_rows, float *values) {
    const size_t row_values = hdf5_row_values(dataset);
    return dataset->value_bytes ? read_in_place(file, path, dataset, first * row_values, n_rows * row_values, values)
                                : read_pieces(file, path, dataset, first, n_rows, values);
}

filtags_status hdf5_read_floats(struct hdf5_file *file, const char *path, const size_t *dim, size_t n_dims,
                                float *values) {
    struct hdf5_dataset dataset;
    filtags_status status = hdf5_find_floats(file, path, dim, n_dims, &dataset);
    return status ? status : hdf5_read_rows(file, path, &dataset, 0, hdf5_n_rows(&dataset), values);
}

const char *hdf5_version_text(void) { return "HDF5 " FILTAGS_HDF5_VERSION; }
