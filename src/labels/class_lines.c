#include "labels/class_lines.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

/* "  wnid label of more words \r" -> wnid and the rest, both trimmed; false for a blank line */
static bool cut_line(char *text, struct class_line *line) {
    static const char blanks[] = " \t\r\v\f";
    line->wnid = text + strspn(text, blanks);
    if (!*line->wnid) return false;
    char *end = line->wnid + strcspn(line->wnid, blanks);
    line->label = end + strspn(end, blanks);
    size_t length = strlen(line->label);
    while (length > 0 && strchr(blanks, line->label[length - 1])) line->label[--length] = '\0';
    *end = '\0';
    if (!length) line->label = NULL;
    return true;
}

static filtags_status cut_lines(char *text, struct class_lines *lines) {
    size_t capacity = 0, number = 0;
    for (char *next; text; text = next) {
        struct class_line line;
        char *newline = strchr(text, '\n');
        next = newline ? newline + 1 : NULL;
        if (newline) *newline = '\0';
        line.number = ++number;
        if (!cut_line(text, &line)) continue;
        void *array = lines->lines;
        if (memory_grow(&array, &capacity, lines->n + 1, sizeof line)) return FILTAGS_ERROR_MEMORY;
        lines->lines = array;
        lines->lines[lines->n++] = line;
    }
    return FILTAGS_OK;
}

filtags_status class_lines_read(const char *path, struct class_lines *result) {
    enum { LIMIT_BYTES = 64 << 20 };
    struct class_lines lines = {0};
    filtags_status status = file_read(path, LIMIT_BYTES, &lines.text);
    if (status) return status;
    buffer_append(&lines.text, "", 0); /* an empty file has no data yet */
    if (lines.text.has_failed) {
        status = FILTAGS_ERROR_MEMORY;
    } else if (memchr(lines.text.data, '\0', lines.text.size_bytes) ||
               !utf8_is_valid(lines.text.data, lines.text.size_bytes)) {
        status = error_set(FILTAGS_ERROR_FORMAT, "%s: a class index of UTF-8 text expected, found binary data", path);
    } else {
        size_t mark = strncmp(lines.text.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
        status = cut_lines(lines.text.data + mark, &lines);
    }
    if (status) class_lines_free(&lines);
    else *result = lines;
    return status;
}

void class_lines_free(struct class_lines *lines) {
    free(lines->lines);
    buffer_free(&lines->text);
    *lines = (struct class_lines){0};
}
