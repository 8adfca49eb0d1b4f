#include "store/variables.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"

static char *path_of_names(const char *path) {
    size_t length = strlen(path);
    bool has_ending = length > 4 && strcmp(path + length - 4, ".pkl") == 0;
    return memory_format("%.*s-names%s", (int)(has_ending ? length - 4 : length), path, has_ending ? ".pkl" : "");
}

static filtags_status check_names(const struct variables *variables, const char *names_path) {
    const struct pickle_file *names = variables->names;
    if (pickle_file_n_values(names) != 1 || pickle_kind_of(names, pickle_file_value(names, 0)) != PICKLE_LIST) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: one list of names expected", names_path);
    }
    size_t n = pickle_length(names, pickle_file_value(names, 0));
    for (size_t i = 0; i < n; i++) {
        if (pickle_kind_of(names, pickle_item(names, pickle_file_value(names, 0), i)) != PICKLE_STR) {
            return error_set(FILTAGS_ERROR_FORMAT, "%s: item %zu: a str expected", names_path, i);
        }
    }
    return FILTAGS_OK;
}

size_t variables_n(const struct variables *variables) {
    return pickle_length(variables->names, pickle_file_value(variables->names, 0));
}

static filtags_status check_number(const struct variables *variables, size_t n_values) {
    if (n_values == variables_n(variables)) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_FORMAT, "%s: %zu variables expected, as named in %s, found %zu", variables->path,
                     variables_n(variables), variables->names_path, n_values);
}

/* with_values: read the variables, too. */
static filtags_status open_variables(const char *path, bool with_values, struct variables *result) {
    filtags_status status = FILTAGS_ERROR_MEMORY;
    struct variables variables = {.names_path = path_of_names(path), .path = memory_copy_string(path)};
    if (!variables.names_path || !variables.path) goto fail;
    status = with_values ? pickle_file_open(path, 0, &variables.file) : pickle_file_probe(path);
    if (!status && (status = pickle_file_open(variables.names_path, 0, &variables.names)))
        status = error_set(status, "%s (it has the names of what is in %s)", filtags_error_message(), path);
    if (!status) status = check_names(&variables, variables.names_path);
    if (!status && with_values) status = check_number(&variables, pickle_file_n_values(variables.file));
    if (status) goto fail;
    *result = variables;
    return FILTAGS_OK;
fail:
    variables_close(&variables);
    return status;
}

filtags_status variables_open(const char *path, struct variables *variables) {
    return open_variables(path, true, variables);
}

filtags_status variables_open_names(const char *path, struct variables *variables) {
    return open_variables(path, false, variables);
}

void variables_close(struct variables *variables) {
    pickle_file_close(variables->file);
    pickle_file_close(variables->names);
    free(variables->path);
    free(variables->names_path);
    *variables = (struct variables){0};
}

/* The name in the list of names; NULL: none. *index, unless NULL, gets its place. */
static const char *find(const struct variables *variables, const char *name, size_t *index) {
    pickle_value list = pickle_file_value(variables->names, 0);
    size_t length = strlen(name);
    for (size_t i = 0; i < pickle_length(variables->names, list); i++) {
        const char *present = pickle_as_str(variables->names, pickle_item(variables->names, list, i), NULL);
        if (strncmp(present, name, length) != 0 || (present[length] && present[length] != ':')) continue;
        if (index) *index = i;
        return present;
    }
    return NULL;
}

bool variables_has(const struct variables *variables, const char *name) { return find(variables, name, NULL) != NULL; }

const char *variables_remark(const struct variables *variables, const char *name) {
    const char *remark = find(variables, name, NULL);
    if (!remark) return NULL;
    remark += strlen(name);
    return remark + strspn(remark, ": ");
}

/* The names of the variables that are there, without remarks: whoever has taken another step's file sees it. */
static void append_names(const struct variables *variables, struct buffer *to) {
    enum { MOST_SHOWN = 4, MOST_BYTES = 40 };
    pickle_value list = pickle_file_value(variables->names, 0);
    const size_t n = pickle_length(variables->names, list);
    for (size_t i = 0; i < n && i < MOST_SHOWN; i++) {
        const char *name = pickle_as_str(variables->names, pickle_item(variables->names, list, i), NULL);
        size_t n_bytes = strcspn(name, ":");
        if (n_bytes > MOST_BYTES) n_bytes = MOST_BYTES;
        buffer_printf(to, "%s%.*s", i ? ", " : "", (int)n_bytes, name);
    }
    if (n > MOST_SHOWN) buffer_append_text(to, ", ...");
}

/* What writes a file that has this variable; NULL: not known. */
static const char *source_of(const struct variables *variables) {
    static const struct {
        const char *name, *source;
    } sources[] = {{"labels_id", "step 1"},
                   {"filTags_k", "step 2"},
                   {"class_images_dict", "step 3"},
                   {"totalhit_k", "step 4"}};
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        if (variables_has(variables, sources[i].name)) return sources[i].source;
    return NULL;
}

filtags_status variables_find(const struct variables *variables, const char *name, size_t *index) {
    struct buffer names = {0};
    if (find(variables, name, index)) return FILTAGS_OK;
    const char *source = source_of(variables);
    append_names(variables, &names);
    filtags_status status =
        error_set(FILTAGS_ERROR_DATA, "%s: a variable '%s' expected, found none of that name, but %s%s%s",
                  variables->path, name, names.size_bytes ? buffer_text(&names) : "none at all",
                  source ? ": this is a file of " : "", source ? source : "");
    buffer_free(&names);
    return status;
}

filtags_status variables_check_kind(const struct variables *variables, const char *name, enum pickle_kind expected,
                                    enum pickle_kind found) {
    if (found == expected) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_DATA, "%s: variable '%s': a %s expected, found a %s", variables->path, name,
                     pickle_kind_name(expected), pickle_kind_name(found));
}

filtags_status variables_get(const struct variables *variables, const char *name, enum pickle_kind kind,
                             pickle_value *result) {
    size_t index;
    filtags_status status = variables_find(variables, name, &index);
    if (status) return status;
    pickle_value value = pickle_file_value(variables->file, index);
    status = variables_check_kind(variables, name, kind, pickle_kind_of(variables->file, value));
    if (!status) *result = value;
    return status;
}

/* A visitor that counts the values on their way to another one. */
struct counter {
    const struct pickle_visitor *visitor;
    size_t n_values;
};

static filtags_status count_value(void *context, const struct pickle_file *file, size_t index, pickle_value value) {
    struct counter *counter = context;
    counter->n_values++;
    return counter->visitor->value(counter->visitor->context, file, index, value);
}

static filtags_status pass_pair(void *context, const struct pickle_file *file, size_t index, pickle_value key,
                                pickle_value item) {
    const struct counter *counter = context;
    return counter->visitor->pair(counter->visitor->context, file, index, key, item);
}

filtags_status variables_visit(const struct variables *variables, const struct pickle_visitor *visitor) {
    struct counter counter = {.visitor = visitor};
    const struct pickle_visitor counting = {&counter, visitor->pair ? pass_pair : NULL, count_value};
    filtags_status status = pickle_file_visit(variables->path, 0, &counting);
    return status ? status : check_number(variables, counter.n_values);
}

bool dict_find_number(const struct pickle_file *file, pickle_value dict, double wanted, pickle_value *item) {
    for (size_t i = 0; i < pickle_length(file, dict); i++) {
        pickle_value key;
        pickle_pair(file, dict, i, &key, item);
        enum pickle_kind kind = pickle_kind_of(file, key);
        bool is_number = kind == PICKLE_INT || kind == PICKLE_FLOAT;
        if (is_number && pickle_as_number(file, key) == wanted) return true;
    }
    return false;
}
