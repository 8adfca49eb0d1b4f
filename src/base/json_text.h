/* json_text.h - text from outside as a JSON string. */
#ifndef FILTAGS_BASE_JSON_TEXT_H
#define FILTAGS_BASE_JSON_TEXT_H

#include <jansson.h>

/* A JSON string of any bytes: those that aren't UTF-8 become U+FFFD, JSON having no way to say them. where memory
 * runs out, json_out_of_memory. The caller owns the reference. */
json_t *json_text(const char *text);

/* A value that json_dumps refuses. Put in place of one that could not be made, it lets the whole fail; NULL would be
 * left out without a word. */
json_t *json_out_of_memory(void);

#endif
