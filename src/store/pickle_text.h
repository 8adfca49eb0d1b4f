/* pickle_text.h - operands in the text forms of pickle protocol 0, and what UTF-8 may hold. */
#ifndef FILTAGS_STORE_PICKLE_TEXT_H
#define FILTAGS_STORE_PICKLE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* Whether bytes are valid UTF-8, lone surrogates allowed (Python: "utf-8" with "surrogatepass"). */
bool pickle_text_is_utf8(const char *bytes, size_t n_bytes);

/* A decimal integer, "-12" or "12L"; beyond 64 bits it saturates. */
bool pickle_text_parse_int(const char *text, size_t n_bytes, int64_t *value);
/* A float as Python's repr has it, "1.5", "-1e-300", "nan", "inf". */
bool pickle_text_parse_float(const char *text, size_t n_bytes, double *value);
/* Append the bytes of a string literal in quotes, 'a\n\x00'. */
bool pickle_text_parse_literal(const char *text, size_t n_bytes, struct buffer *bytes);
/* Append a raw-unicode-escape text as UTF-8: \u and \U escapes, other bytes are latin1. */
bool pickle_text_parse_unicode(const char *text, size_t n_bytes, struct buffer *utf8);

#endif
