/* class_lines.h - a class index as a file: lines of "wnid label", as --class-index takes it. */
#ifndef FILTAGS_LABELS_CLASS_LINES_H
#define FILTAGS_LABELS_CLASS_LINES_H

#include "base/buffer.h"
#include "filtags.h"

struct class_line {
    char *wnid;    /* the first word */
    char *label;   /* the rest, which may be several words; NULL: nothing more */
    size_t number; /* of the line, from 1 */
};

struct class_lines {
    struct class_line *lines; /* [n] */
    size_t n;
    struct buffer text; /* what the lines point into */
};

/* Read a file of UTF-8 text; blank lines are skipped. IO, FORMAT: it isn't text, UNSUPPORTED: over 64 MiB, MEMORY. */
FILTAGS_MUST_USE filtags_status class_lines_read(const char *path, struct class_lines *lines);
void class_lines_free(struct class_lines *lines);

#endif
