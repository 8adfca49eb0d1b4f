/* python_text.h - str literals of Python: what repr prints, and reading it back. Texts are bytes as file names have
 * them; a byte that is no UTF-8 is the lone surrogate \udc80 .. \udcff there, as in Python's os.fsdecode. */
#ifndef FILTAGS_BASE_PYTHON_TEXT_H
#define FILTAGS_BASE_PYTHON_TEXT_H

#include "base/buffer.h"

/* Append a literal in quotes as Python's repr prints a str: single quotes unless the text has those and no double ones.
 * Code points that Unicode has not assigned stay as they are (repr escapes those that its own version lacks). */
void python_append_repr(struct buffer *to, const char *text);

/* Append a text with the escapes of repr, without quotes; none of its own is escaped. */
void python_append_escaped(struct buffer *to, const char *text);

/* Read a literal in quotes at *at, which moves behind it, and append its text. NULL: done; else what is wrong with it,
 * in words ("a closing quote"), with *at where that was expected. */
const char *python_parse_literal(const char **at, const char *end, struct buffer *text);

/* Undo python_append_escaped. As python_parse_literal. */
const char *python_parse_escaped(const char **at, const char *end, struct buffer *text);

#endif
