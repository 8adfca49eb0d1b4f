/* json_text.h - text from outside as a JSON string. */
#ifndef FILTAGS_BASE_JSON_TEXT_H
#define FILTAGS_BASE_JSON_TEXT_H

#include <jansson.h>

/* A JSON string of any bytes: those that aren't UTF-8 become U+FFFD, JSON having no way to say them. NULL: out of
 * memory. The caller owns the reference. */
json_t *json_text(const char *text);

#endif
