#include "store/run_file.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json_text.h"
#include "base/memory.h"
#include "base/text.h"

static const char format_name[] = "filtags-run";

/* ---------------------------------------------------------------- names */

char *vars_path_prefix(const char *vars_path, size_t *class_number) {
    *class_number = 0;
    char *prefix = memory_copy_string(vars_path);
    if (!prefix) return NULL;
    size_t length = strlen(prefix);
    if (length > 4 && strcmp(prefix + length - 4, ".pkl") == 0) prefix[length - 4] = '\0';
    char *vars = NULL; /* the last "-vars" of the file's name */
    for (char *at = (char *)path_base(prefix); (at = strstr(at, "-vars")); at++) vars = at;
    if (!vars) return prefix;
    char *end;
    unsigned long number = strtoul(vars + 5, &end, 10);
    if (*end == '\0') {
        if (end > vars + 5) *class_number = number;
        *vars = '\0';
    }
    return prefix;
}

/* "2026-01-01-0000b-QFA-VGG16" -> "VGG16": what follows the kind, the first part without digits after the date */
static filtags_status network_of_prefix(const char *prefix, char **network) {
    static const char *const kinds[] = {"-QFA-", "-CA-", "-TF-", "-LF-", "-TFD-", "-E-", "-SI-", "-HR-", "-PH-"};
    const char *base = path_base(prefix);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const char *at = strstr(base, kinds[i]);
        if (!at || !at[strlen(kinds[i])]) continue;
        *network = memory_copy_string(at + strlen(kinds[i]));
        return *network ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
    }
    return FILTAGS_OK;
}

/* The published scripts' files; they took every layer with "conv" in its name. */
static bool is_published_prefix(const char *prefix) {
    return strstr(path_base(prefix), "-CA-") || strstr(path_base(prefix), "-LF-");
}

/* ---------------------------------------------------------------- writing */

/* Names that aren't UTF-8 can't be JSON strings: they become {"hex": "..."}. */
static json_t *json_from_text(const char *text) {
    if (!text) return json_null();
    if (utf8_is_valid(text, strlen(text))) return json_string(text);
    struct buffer hex = {0};
    for (const char *byte = text; *byte; byte++) buffer_printf(&hex, "%02x", (unsigned char)*byte);
    json_t *object = hex.has_failed ? json_out_of_memory() : json_pack("{s:s}", "hex", buffer_text(&hex));
    buffer_free(&hex);
    return object;
}

static json_t *json_of_layers(const struct run_record *record) {
    json_t *layers = json_array();
    for (size_t i = 0; i < record->n_layers; i++) {
        json_array_append_new(layers, json_pack("{s:o, s:I}", "name", json_from_text(record->layer_names[i]), "filters",
                                                (json_int_t)record->layer_sizes[i]));
    }
    return layers;
}

static json_t *json_of_network(const struct run_record *record) {
    json_t *network = json_object();
    json_object_set_new(network, "name", json_from_text(record->network));
    json_object_set_new(network, "network", json_from_text(record->known));
    json_object_set_new(network, "weights", json_from_text(record->weights));
    json_object_set_new(network, "weights_official", json_boolean(record->has_official_weights));
    json_object_set_new(network, "model", json_from_text(record->model));
    json_object_set_new(network, "model_sha256", json_from_text(record->model_sha256));
    json_object_set_new(network, "class_index", json_from_text(record->class_index));
    json_object_set_new(network, "preprocess", json_from_text(record->preprocess));
    json_object_set_new(
        network, "input_shape",
        json_pack("[I, I, I]", (json_int_t)record->size[0], (json_int_t)record->size[1], (json_int_t)record->size[2]));
    json_object_set_new(network, "n_outputs", json_integer((json_int_t)record->n_outputs));
    json_object_set_new(network, "layers_option", json_from_text(record->layers));
    json_object_set_new(network, "layers", json_of_layers(record));
    json_object_set_new(network, "isa", json_from_text(record->isa));
    return network;
}

static json_t *json_of_dataset(const struct run_record *record) {
    json_t *dataset = json_object();
    json_object_set_new(dataset, "images_dir", json_from_text(record->images_dir));
    json_object_set_new(dataset, "split", record->has_split ? json_real(record->split) : json_null());
    json_object_set_new(dataset, "seed_rn",
                        record->has_split ? json_integer((json_int_t)record->seed_rn) : json_null());
    json_object_set_new(dataset, "limit", record->limit ? json_integer((json_int_t)record->limit) : json_null());
    return dataset;
}

static json_t *json_of_options(const struct run_option *options, size_t n_options) {
    json_t *object = json_object();
    for (size_t i = 0; i < n_options; i++) {
        json_t *value = json_from_text(options[i].value);
        json_object_set_new(object, options[i].name,
                            json_pack("{s:o, s:b}", "value", value, "given", options[i].is_given));
    }
    return object;
}

static void add_numbers(json_t *root, const struct run_number *numbers, size_t n_numbers) {
    for (size_t i = 0; i < n_numbers; i++) {
        json_t *group = json_object_get(root, numbers[i].group);
        double value = numbers[i].value;
        bool is_whole = value == (double)(json_int_t)value;
        if (!group) {
            group = json_object();
            json_object_set_new(root, numbers[i].group, group);
        }
        json_object_set_new(group, numbers[i].name, is_whole ? json_integer((json_int_t)value) : json_real(value));
    }
}

static json_t *json_of_dependencies(void) {
    json_t *list = json_array();
    for (const char *line = filtags_dependencies(); *line;) {
        size_t length = strcspn(line, "\n");
        if (length) json_array_append_new(list, json_stringn(line, length));
        line += length + (line[length] == '\n');
    }
    return list;
}

static json_t *json_of_files(const struct output *output) {
    json_t *list = json_array();
    for (size_t i = 0; output_file(output, i); i++)
        json_array_append_new(list, json_from_text(path_base(output_file(output, i))));
    return list;
}

filtags_status run_file_write(struct output *output, const struct run_record *record, const struct run_option *options,
                              size_t n_options, const struct run_number *numbers, size_t n_numbers) {
    FILE *stream;
    filtags_status status = output_start_file(output, "run.json", &stream);
    if (status) return status;
    json_t *root = json_object();
    json_object_set_new(root, "format", json_string(format_name));
    json_object_set_new(root, "format_version", json_integer(RUN_FILE_FORMAT_VERSION));
    json_object_set_new(root, "command", json_from_text(record->command));
    json_object_set_new(root, "program_version", json_string(filtags_version()));
    json_object_set_new(root, "dependencies", json_of_dependencies());
    json_object_set_new(root, "run_id", json_string(output_run_id(output)));
    json_object_set_new(root, "started", json_string(output_started(output)));
    json_object_set_new(root, "previous", json_from_text(record->previous));
    json_object_set_new(root, "options", json_of_options(options, n_options));
    json_object_set_new(root, "network", json_of_network(record));
    json_object_set_new(root, "dataset", json_of_dataset(record));
    add_numbers(root, numbers, n_numbers);
    json_object_set_new(root, "n_warnings", json_integer((json_int_t)output_n_warnings(output)));
    json_object_set_new(root, "elapsed_sec", json_real(output_elapsed_sec(output)));
    json_object_set_new(root, "files", json_of_files(output));
    char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_PRESERVE_ORDER) : NULL;
    json_decref(root);
    if (!text) return error_set(FILTAGS_ERROR_MEMORY, "run.json could not be composed: out of memory");
    fprintf(stream, "%s\n", text);
    free(text);
    return output_end_file(output);
}

/* ---------------------------------------------------------------- reading */

/* Where a field is being read from, for messages. */
struct reader {
    const char *path;
    filtags_status status; /* the first failure */
};

static void refuse(struct reader *reader, const char *field, const char *expected) {
    if (reader->status) return;
    reader->status = error_set(FILTAGS_ERROR_FORMAT, "%s: field '%s': %s expected", reader->path, field, expected);
}

static const json_t *get_object(struct reader *reader, const json_t *parent, const char *field) {
    const json_t *object = json_object_get(parent, field);
    if (!json_is_object(object)) refuse(reader, field, "an object");
    return object;
}

static char *bytes_from_hex(struct reader *reader, const char *hex) {
    size_t n_digits = strspn(hex, "0123456789abcdefABCDEF"), n = n_digits / 2;
    if (n_digits == 0 || n_digits % 2 || hex[n_digits]) return NULL;
    char *bytes = memory_new(n + 1, 1);
    if (!bytes && !reader->status) reader->status = FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; bytes && i < n; i++) {
        unsigned value = 0;
        if (sscanf(hex + 2 * i, "%2x", &value) != 1 || value == 0) {
            free(bytes);
            return NULL;
        }
        bytes[i] = (char)value;
    }
    return bytes;
}

/* A string, {"hex": ...} or null (or missing), which gives NULL. */
static char *get_text(struct reader *reader, const json_t *parent, const char *field) {
    const json_t *value = json_object_get(parent, field);
    const json_t *hex = json_object_get(value, "hex");
    char *text = NULL;
    if (!value || json_is_null(value)) return NULL;
    if (json_is_string(value)) {
        text = memory_copy_string(json_string_value(value));
        if (!text && !reader->status) reader->status = FILTAGS_ERROR_MEMORY;
        return text;
    }
    if (json_is_string(hex)) text = bytes_from_hex(reader, json_string_value(hex));
    if (!text) refuse(reader, field, "a string");
    return text;
}

/* A whole number of [0, limit]; null (or missing) gives 0. */
static size_t get_count(struct reader *reader, const json_t *parent, const char *field, uint64_t limit) {
    const json_t *value = json_object_get(parent, field);
    if (!value || json_is_null(value)) return 0;
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || (uint64_t)number > limit) {
        refuse(reader, field, "a whole number in its range");
        return 0;
    }
    return (size_t)number;
}

static void read_layers(struct reader *reader, const json_t *network, struct run_record *record) {
    const json_t *layers = json_object_get(network, "layers");
    if (!json_is_array(layers)) {
        refuse(reader, "layers", "a list");
        return;
    }
    size_t n_layers = json_array_size(layers);
    record->layer_names = memory_new(n_layers, sizeof *record->layer_names);
    record->layer_sizes = memory_new(n_layers, sizeof *record->layer_sizes);
    if (!record->layer_names || !record->layer_sizes) {
        reader->status = FILTAGS_ERROR_MEMORY;
        return;
    }
    record->n_layers = n_layers;
    for (size_t i = 0; i < n_layers; i++) {
        const json_t *layer = json_array_get(layers, i);
        record->layer_names[i] = get_text(reader, layer, "name");
        record->layer_sizes[i] = get_count(reader, layer, "filters", 1u << 24);
        if (!record->layer_names[i] || !record->layer_sizes[i])
            refuse(reader, "layers", "name and filters of each layer");
    }
}

static void read_network(struct reader *reader, const json_t *root, struct run_record *record) {
    const json_t *network = get_object(reader, root, "network");
    const json_t *shape = json_object_get(network, "input_shape");
    record->network = get_text(reader, network, "name");
    record->known = get_text(reader, network, "network");
    record->weights = get_text(reader, network, "weights");
    record->has_official_weights = json_is_true(json_object_get(network, "weights_official"));
    record->model = get_text(reader, network, "model");
    record->model_sha256 = get_text(reader, network, "model_sha256");
    record->class_index = get_text(reader, network, "class_index");
    record->preprocess = get_text(reader, network, "preprocess");
    record->layers = get_text(reader, network, "layers_option");
    record->isa = get_text(reader, network, "isa");
    record->n_outputs = get_count(reader, network, "n_outputs", 1u << 24);
    for (size_t i = 0; i < 3; i++) {
        const json_t *side = json_array_get(shape, i);
        if (!json_is_integer(side) || json_integer_value(side) < 0 || json_integer_value(side) > 1 << 24)
            refuse(reader, "input_shape", "three sizes");
        else record->size[i] = (size_t)json_integer_value(side);
    }
    read_layers(reader, network, record);
}

static void read_dataset(struct reader *reader, const json_t *root, struct run_record *record) {
    const json_t *dataset = get_object(reader, root, "dataset");
    const json_t *split = json_object_get(dataset, "split");
    record->images_dir = get_text(reader, dataset, "images_dir");
    record->seed_rn = (uint32_t)get_count(reader, dataset, "seed_rn", UINT32_MAX);
    record->limit = get_count(reader, dataset, "limit", SIZE_MAX / 2);
    if (json_is_number(split)) {
        record->has_split = true;
        record->split = json_number_value(split);
        if (!(record->split >= 0 && record->split <= 1)) refuse(reader, "split", "a number from 0 to 1");
    } else if (!json_is_null(split)) {
        refuse(reader, "split", "a number");
    }
}

static filtags_status read_record(const char *path, const char *text, struct run_record *record) {
    json_error_t error;
    struct reader reader = {path, FILTAGS_OK};
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: line %d: JSON expected, found: %s", path, error.line, error.text);
    }
    const char *format = json_string_value(json_object_get(root, "format"));
    json_int_t version = json_integer_value(json_object_get(root, "format_version"));
    if (!format || strcmp(format, format_name) != 0) {
        refuse(&reader, "format", "'filtags-run'");
    } else if (version != RUN_FILE_FORMAT_VERSION) {
        reader.status = error_set(FILTAGS_ERROR_FORMAT, "%s: format version %d expected, found %" JSON_INTEGER_FORMAT,
                                  path, RUN_FILE_FORMAT_VERSION, version);
    } else {
        record->command = get_text(&reader, root, "command");
        record->previous = get_text(&reader, root, "previous");
        read_network(&reader, root, record);
        read_dataset(&reader, root, record);
    }
    json_decref(root);
    return reader.status;
}

filtags_status run_file_read_beside(const char *vars_path, struct run_record *record, bool *is_found) {
    enum { LIMIT_BYTES = 64 << 20 };
    filtags_status status = FILTAGS_ERROR_MEMORY;
    struct run_record found = {0};
    struct buffer text = {0};
    size_t class_number;
    char *prefix = vars_path_prefix(vars_path, &class_number);
    char *path = prefix ? memory_format("%s-run.json", prefix) : NULL;
    if (!path) goto done;
    bool exists;
    status = file_exists(path, &exists);
    if (status) goto done;
    if (exists) {
        status = file_read(path, LIMIT_BYTES, &text);
        if (!status) status = read_record(path, buffer_text(&text), &found);
    } else {
        status = network_of_prefix(prefix, &found.network);
        if (is_published_prefix(prefix) && !(found.layers = memory_copy_string("name"))) status = FILTAGS_ERROR_MEMORY;
    }
    if (!status) {
        *record = found;
        *is_found = exists;
    } else {
        run_record_free(&found);
    }
done:
    buffer_free(&text);
    free(prefix);
    free(path);
    return status;
}

void run_record_free(struct run_record *record) {
    char **strings[] = {&record->command,      &record->network,     &record->previous, &record->known,
                        &record->weights,      &record->model,       &record->layers,   &record->preprocess,
                        &record->model_sha256, &record->class_index, &record->isa,      &record->images_dir};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) free(*strings[i]);
    for (size_t i = 0; i < record->n_layers; i++) free(record->layer_names[i]);
    free(record->layer_names);
    free(record->layer_sizes);
    *record = (struct run_record){0};
}
