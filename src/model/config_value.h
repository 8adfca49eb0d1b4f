/* config_value.h - reading a model's configuration, which is JSON (by jansson). Everything here takes NULL, and
 * a value of JSON's null is NULL: absent and null mean the same to Keras. */
#ifndef FILTAGS_MODEL_CONFIG_VALUE_H
#define FILTAGS_MODEL_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "filtags.h"

typedef struct json_t config_value;

/* Parse a text. place names it in messages ("vgg16.h5: model_config"). FORMAT: not JSON, or too large. */
FILTAGS_MUST_USE filtags_status
config_parse(const char *place, const char *text, size_t size_bytes, config_value **value);

/* Free what config_parse gave, with all that is in it. */
void config_destroy(config_value *value);

/* Member of an object; NULL: absent, null, or no object. */
const config_value *config_member(const config_value *object, const char *key);

/* Whether an object has the member, be it null. */
bool config_has(const config_value *object, const char *key);

/* Iterate over the members of an object: the first one for iterator = NULL. Returns NULL at the end. */
void *config_next(const config_value *object, void *iterator, const char **key, const config_value **value);

bool config_is_array(const config_value *value);
bool config_is_object(const config_value *value);
size_t config_count(const config_value *array); /* 0 unless an array */
const config_value *config_item(const config_value *array, size_t index);

const char *config_text(const config_value *value);               /* NULL unless a string */
bool config_number(const config_value *value, double *number);    /* false unless a number */
bool config_integer(const config_value *value, long long *number); /* false unless an integer, or a real that is one */
bool config_boolean(const config_value *value, bool *flag);

/* Append the value as JSON, cut off after some 60 bytes, for messages. */
void config_print(const config_value *value, struct buffer *text);

#endif
