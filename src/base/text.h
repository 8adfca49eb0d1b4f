/* text.h - strings of bytes that may or may not be UTF-8 (file names), and Python's view of them. */
#ifndef FILTAGS_BASE_TEXT_H
#define FILTAGS_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* Return the length (1..4) of the valid UTF-8 sequence at the start of bytes, by RFC 3629 (no overlong
 * forms, no surrogates, nothing past U+10FFFF); 0 where there is none. */
size_t utf8_sequence_length(const char *bytes, size_t n_bytes);

/* Append before, then "1 class", "2 classes", "0 pictures": the noun with an s, or es behind an s, but for 1. */
void text_append_count(struct buffer *to, const char *before, unsigned long long n, const char *noun);

bool text_ends_with(const char *text, const char *ending);

bool utf8_is_valid(const char *bytes, size_t n_bytes);

/* Append a code point up to U+10FFFF as UTF-8; a lone surrogate in three bytes like any other. */
void text_append_code(struct buffer *to, uint32_t code);

/* Append a file name as Python's os.fsdecode gives it, in the encoding that pickles use for str ("utf-8" with
 * "surrogatepass"): valid UTF-8 unchanged, any other byte b as the lone surrogate U+DC00 + b. */
void text_append_fsdecoded(struct buffer *to, const char *bytes, size_t n_bytes);

/* The way back (os.fsencode): the three-byte forms of U+DC80..U+DCFF become single bytes. */
void text_append_fsencoded(struct buffer *to, const char *bytes, size_t n_bytes);

#endif
