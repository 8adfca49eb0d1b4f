#include "store/variables.h"

#include <stdlib.h>
#include <string.h>

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
    if (n == pickle_file_n_values(variables->file)) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_FORMAT, "%s: %zu variables expected, as named in %s, found %zu", variables->path, n,
                     names_path, pickle_file_n_values(variables->file));
}

filtags_status variables_open(const char *path, struct variables *result) {
    filtags_status status = FILTAGS_ERROR_MEMORY;
    struct variables variables = {0};
    char *names_path = path_of_names(path);
    variables.path = memory_copy_string(path);
    if (!names_path || !variables.path) goto fail;
    status = pickle_file_open(path, 0, &variables.file);
    if (status) goto fail;
    status = pickle_file_open(names_path, 0, &variables.names);
    if (status) goto fail;
    status = check_names(&variables, names_path);
    if (status) goto fail;
    free(names_path);
    *result = variables;
    return FILTAGS_OK;
fail:
    free(names_path);
    variables_close(&variables);
    return status;
}

void variables_close(struct variables *variables) {
    pickle_file_close(variables->file);
    pickle_file_close(variables->names);
    free(variables->path);
    *variables = (struct variables){0};
}

/* The name in the list of names; NULL: none. *value, unless NULL, gets the variable. */
static const char *find(const struct variables *variables, const char *name, pickle_value *value) {
    pickle_value list = pickle_file_value(variables->names, 0);
    size_t length = strlen(name);
    for (size_t i = 0; i < pickle_length(variables->names, list); i++) {
        const char *present = pickle_as_str(variables->names, pickle_item(variables->names, list, i), NULL);
        if (strcspn(present, ":") != length || strncmp(present, name, length) != 0) continue;
        if (value) *value = pickle_file_value(variables->file, i);
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

filtags_status variables_get(const struct variables *variables, const char *name, enum pickle_kind kind,
                             pickle_value *result) {
    pickle_value value;
    if (!find(variables, name, &value)) {
        return error_set(FILTAGS_ERROR_DATA, "%s: a variable '%s' expected, found none of that name", variables->path,
                         name);
    }
    enum pickle_kind found = pickle_kind_of(variables->file, value);
    if (found != kind) {
        return error_set(FILTAGS_ERROR_DATA, "%s: variable '%s': a %s expected, found a %s", variables->path, name,
                         pickle_kind_name(kind), pickle_kind_name(found));
    }
    *result = value;
    return FILTAGS_OK;
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
