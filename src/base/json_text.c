#include "base/json_text.h"

#include <string.h>

#include "base/buffer.h"
#include "base/text.h"

json_t *json_out_of_memory(void) { return json_string_nocheck("\xff"); }

json_t *json_text(const char *text) {
    struct buffer valid = {0};
    for (size_t i = 0, n = strlen(text); i < n;) {
        size_t length = utf8_sequence_length(text + i, n - i);
        buffer_append(&valid, length ? text + i : "\xef\xbf\xbd", length ? length : 3);
        i += length ? length : 1;
    }
    json_t *value = valid.has_failed ? json_out_of_memory() : json_string(buffer_text(&valid));
    buffer_free(&valid);
    return value;
}
