#include "model/config_value.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* A network of a thousand layers takes about 1 MB. */
static const size_t LIMIT_BYTES = (size_t)64 << 20;

filtags_status config_parse(const char *place, const char *text, size_t size_bytes, config_value **value) {
    json_error_t error;
    if (size_bytes > LIMIT_BYTES) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: JSON of at most %zu bytes expected, found %zu", place, LIMIT_BYTES,
                         size_bytes);
    }
    json_t *root = json_loadb(text, size_bytes, 0, &error);
    if (!root && json_error_code(&error) == json_error_out_of_memory) return error_out_of_memory(size_bytes);
    if (!root) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: JSON expected, line %d column %d: %s", place, error.line,
                         error.column, error.text);
    }
    *value = root;
    return FILTAGS_OK;
}

void config_destroy(config_value *value) { json_decref(value); }

static const config_value *without_null(const config_value *value) { return json_is_null(value) ? NULL : value; }

const config_value *config_member(const config_value *object, const char *key) {
    return without_null(json_object_get(object, key));
}

bool config_has(const config_value *object, const char *key) { return json_object_get(object, key) != NULL; }

void *config_next(const config_value *object, void *iterator, const char **key, const config_value **value) {
    json_t *parent = (json_t *)object; /* iterating needs no write access, but jansson's type says so */
    iterator = iterator ? json_object_iter_next(parent, iterator) : json_object_iter(parent);
    if (!iterator) return NULL;
    *key = json_object_iter_key(iterator);
    *value = without_null(json_object_iter_value(iterator));
    return iterator;
}

bool config_is_array(const config_value *value) { return json_is_array(value); }
bool config_is_object(const config_value *value) { return json_is_object(value); }
size_t config_count(const config_value *array) { return json_array_size(array); }

const config_value *config_item(const config_value *array, size_t index) {
    return without_null(json_array_get(array, index));
}

const char *config_text(const config_value *value) { return json_string_value(value); }

bool config_number(const config_value *value, double *number) {
    if (!json_is_number(value)) return false;
    *number = json_number_value(value);
    return true;
}

bool config_integer(const config_value *value, long long *number) {
    if (json_is_integer(value)) {
        *number = json_integer_value(value);
        return true;
    }
    double real = json_real_value(value);
    if (!json_is_real(value) || real != floor(real) || fabs(real) > 9e15) return false;
    *number = (long long)real;
    return true;
}

bool config_boolean(const config_value *value, bool *flag) {
    if (!json_is_boolean(value)) return false;
    *flag = json_is_true(value);
    return true;
}

void config_print(const config_value *value, struct buffer *text) {
    enum { SHOWN_BYTES = 60 };
    char *json = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    if (!json) {
        buffer_append_text(text, value ? "?" : "null");
    } else if (strlen(json) <= SHOWN_BYTES) {
        buffer_append_text(text, json);
    } else {
        size_t n = SHOWN_BYTES;
        while (n && ((unsigned char)json[n] & 0xc0) == 0x80) n--; /* not within a UTF-8 sequence */
        buffer_append(text, json, n);
        buffer_append_text(text, "...");
    }
    free(json);
}
