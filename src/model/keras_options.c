/* keras_options.c - the options in a layer's configuration, checked. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "model/keras_layers.h"

filtags_status call_error(const struct layer_call *call, filtags_status status, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return error_set(status, "%s: layer '%s': %s", call->loader->file, call->layer->path, text);
}

static filtags_status option_missing(const struct layer_call *call, const char *key) {
    return call_error(call, FILTAGS_ERROR_FORMAT, "the configuration has no '%s'", key);
}

static filtags_status option_wrong(const struct layer_call *call, const char *key, const char *expected) {
    struct buffer found = {0};
    config_print(config_member(call->config, key), &found);
    filtags_status status = call_error(call, FILTAGS_ERROR_FORMAT, "%s: %s expected, got %s", key, expected,
                                       buffer_text(&found));
    buffer_free(&found);
    return status;
}

filtags_status option_unsupported(const struct layer_call *call, const char *key) {
    struct buffer found = {0};
    config_print(config_member(call->config, key), &found);
    filtags_status status = call_error(call, FILTAGS_ERROR_UNSUPPORTED, "%s = %s is not supported (class %s)", key,
                                       buffer_text(&found), call->layer->class_name);
    buffer_free(&found);
    return status;
}

static bool read_size(const config_value *value, size_t minimum, size_t *size) {
    long long number;
    if (!config_integer(value, &number) || number < (long long)minimum || number > GRAPH_MAX_DIM) return false;
    *size = (size_t)number;
    return true;
}

filtags_status option_size(const struct layer_call *call, const char *key, size_t *size) {
    const config_value *value = config_member(call->config, key);
    if (!value) return option_missing(call, key);
    return read_size(value, 1, size) ? FILTAGS_OK : option_wrong(call, key, "a number in 1..2^24");
}

filtags_status option_size_or(const struct layer_call *call, const char *key, size_t absent, size_t *size) {
    if (config_member(call->config, key)) return option_size(call, key, size);
    *size = absent;
    return FILTAGS_OK;
}

filtags_status option_pair(const struct layer_call *call, const char *key, bool is_optional, size_t *h, size_t *w) {
    const config_value *value = config_member(call->config, key);
    size_t a = 1, b = 1;
    if (!value && !is_optional) return option_missing(call, key);
    if (config_is_array(value)) {
        if (config_count(value) != 2 || !read_size(config_item(value, 0), 1, &a) ||
            !read_size(config_item(value, 1), 1, &b)) {
            return option_wrong(call, key, "two numbers in 1..2^24");
        }
    } else if (value) {
        if (!read_size(value, 1, &a)) return option_wrong(call, key, "one or two numbers in 1..2^24");
        b = a;
    }
    *h = a;
    *w = b;
    return FILTAGS_OK;
}

filtags_status option_number(const struct layer_call *call, const char *key, double absent, double *number) {
    const config_value *value = config_member(call->config, key);
    double found = absent;
    if (value && !config_number(value, &found)) return option_wrong(call, key, "a number");
    if (value && !(fabs(found) <= 3e38)) return option_wrong(call, key, "a finite 32-bit number");
    *number = found;
    return FILTAGS_OK;
}

filtags_status option_flag(const struct layer_call *call, const char *key, bool absent, bool *flag) {
    const config_value *value = config_member(call->config, key);
    bool found = absent;
    if (value && !config_boolean(value, &found)) return option_wrong(call, key, "true or false");
    *flag = found;
    return FILTAGS_OK;
}

/* Keras 3 writes a NumPy array as {"class_name": "__numpy__", "config": {"value": [...], "dtype": ...}}. */
static const config_value *without_array_wrapper(const config_value *value) {
    const config_value *inner = config_member(config_member(value, "config"), "value");
    return config_is_object(value) && inner ? inner : value;
}

struct number_list {
    double *numbers;
    size_t n, capacity;
};

/* Append value, a number or nested lists of them. 0; -1: something else is in it; -2: out of memory. */
static int gather_numbers(const config_value *value, int depth, struct number_list *list) {
    double number;
    if (config_is_array(value)) {
        if (depth > GRAPH_MAX_DIMS) return -1;
        for (size_t i = 0; i < config_count(value); i++) {
            int failed = gather_numbers(config_item(value, i), depth + 1, list);
            if (failed) return failed;
        }
        return 0;
    }
    if (!config_number(value, &number) || !(fabs(number) <= 3e38)) return -1;
    if (memory_grow((void **)&list->numbers, &list->capacity, list->n + 1, sizeof number)) return -2;
    list->numbers[list->n++] = number;
    return 0;
}

filtags_status option_numbers(const struct layer_call *call, const char *key, double **numbers, size_t *n_numbers) {
    struct number_list list = {0};
    const config_value *value = without_array_wrapper(config_member(call->config, key));
    if (!value) return option_missing(call, key);
    int failed = gather_numbers(value, 0, &list);
    if (failed == 0 && list.n > 0) {
        *numbers = list.numbers;
        *n_numbers = list.n;
        return FILTAGS_OK;
    }
    free(list.numbers);
    return failed == -2 ? FILTAGS_ERROR_MEMORY : option_wrong(call, key, "a finite number or a list of them");
}

static bool read_two(const config_value *value, size_t *a, size_t *b) {
    if (config_is_array(value)) {
        return config_count(value) == 2 && read_size(config_item(value, 0), 0, a) &&
               read_size(config_item(value, 1), 0, b);
    }
    bool is_size = read_size(value, 0, a);
    if (is_size) *b = *a;
    return is_size;
}

filtags_status option_padding(const struct layer_call *call, const char *key, struct padding *padding) {
    const config_value *value = config_member(call->config, key);
    const config_value *vertical = value, *horizontal = value;
    struct padding found;
    if (!value) return option_missing(call, key);
    if (config_is_array(value)) {
        vertical = config_item(value, 0);
        horizontal = config_item(value, 1);
    }
    if ((config_is_array(value) && config_count(value) != 2) || !read_two(vertical, &found.top, &found.bottom) ||
        !read_two(horizontal, &found.left, &found.right)) {
        return option_wrong(call, key, "[[top, bottom], [left, right]]");
    }
    *padding = found;
    return FILTAGS_OK;
}

filtags_status option_last_axis(const struct layer_call *call, const char *key) {
    const config_value *value = config_member(call->config, key);
    long long axis, last = (long long)call_shape(call, 0)->n_dims; /* the batch axis is number 0 */
    if (!value) return FILTAGS_OK; /* Keras's default */
    if (config_is_array(value)) {
        if (config_count(value) != 1) return option_unsupported(call, key);
        value = config_item(value, 0);
    }
    if (!config_integer(value, &axis)) return option_wrong(call, key, "a whole number");
    return axis == -1 || axis == last ? FILTAGS_OK : option_unsupported(call, key);
}

filtags_status option_channels_last(const struct layer_call *call) {
    const config_value *value = config_member(call->config, "data_format");
    const char *text = config_text(value);
    if (!value || (text && strcmp(text, "channels_last") == 0)) return FILTAGS_OK;
    return option_unsupported(call, "data_format");
}
