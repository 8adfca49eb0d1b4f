/* error.h - the thread's error message. The function that detects a failure writes it; callers pass the
 * status on unchanged. */
#ifndef FILTAGS_BASE_ERROR_H
#define FILTAGS_BASE_ERROR_H

#include "filtags.h"

/* Set the calling thread's message (printf style, at most 6143 bytes; of a longer one both ends) and return status.
 * Control characters in the result are replaced, so that a file name can't forge lines or drive a terminal. */
filtags_status error_set(filtags_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As error_set, followed by ": " and the text of errno as it is at the call. */
filtags_status error_set_errno(filtags_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* error_set for memory that could not be had. Returns FILTAGS_ERROR_MEMORY. */
filtags_status error_out_of_memory(size_t size_bytes);

/* Copy text into a buffer of size_bytes with control characters (C0, C1, DEL) replaced by '?'. Always ends in NUL.
 * text may be to. */
void text_make_printable(char *to, size_t size_bytes, const char *text);

#endif
