/* Any bytes are either refused or give lines of a wnid and a label, which give the same once they are written again. */
#include <string.h>

#include "base/buffer.h"
#include "fuzz.h"
#include "labels/class_lines.h"

static void check(const struct class_lines *lines) {
    for (size_t i = 0; i < lines->n; i++) {
        const struct class_line *line = &lines->lines[i];
        MUST(*line->wnid && !strpbrk(line->wnid, " \t\r\v\f\n"));
        MUST(!line->label || (*line->label && !strchr(line->label, '\n')));
        MUST(i == 0 ? line->number >= 1 : line->number > line[-1].number);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct class_lines lines = {0}, again = {0};
    struct buffer text = {0};
    const char *path = fuzz_file("classes.txt", data, size);
    if (class_lines_read(path, &lines)) {
        MUST(!lines.lines && strncmp(filtags_error_message(), path, strlen(path)) == 0);
        return 0;
    }
    check(&lines);
    buffer_append_text(&text, "\n"); /* a byte order mark is one in the first line alone */
    for (size_t i = 0; i < lines.n; i++)
        buffer_printf(&text, "%s %s\n", lines.lines[i].wnid, lines.lines[i].label ? lines.lines[i].label : "");
    MUST(class_lines_read(fuzz_file("classes.txt", buffer_text(&text), text.size_bytes), &again) == FILTAGS_OK);
    MUST(again.n == lines.n);
    for (size_t i = 0; i < lines.n; i++) {
        const char *label = lines.lines[i].label, *other = again.lines[i].label;
        MUST(strcmp(lines.lines[i].wnid, again.lines[i].wnid) == 0);
        MUST(label ? other && strcmp(label, other) == 0 : !other);
    }
    buffer_free(&text);
    class_lines_free(&lines);
    class_lines_free(&again);
    return 0;
}
