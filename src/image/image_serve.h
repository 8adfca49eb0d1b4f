/* image_serve.h - decoding pictures in the program filtags-read: what it shares with the library. */
#ifndef FILTAGS_IMAGE_IMAGE_SERVE_H
#define FILTAGS_IMAGE_IMAGE_SERVE_H

#include "image/image.h"

/* Memory that both have: a picture's file, and behind it the pixels that it was decoded to. Its pages are only there
 * once they are written to. */
#define IMAGE_ROOM_BYTES (IMAGE_MAX_FILE_BYTES + 3 * IMAGE_MAX_PIXELS)

/* Decode the picture that a question is about, and append the answer. The question is the size of the file, the answer
 * a filtags_status and the message, or the picture's width, height and channels. False: memory has run out. */
bool image_serve(uint8_t *room, const void *question, size_t n_bytes, struct buffer *answer);

#endif
