/* picture_reader.h - decoding pictures in another process, for --isolate. */
#ifndef FILTAGS_IMAGE_PICTURE_READER_H
#define FILTAGS_IMAGE_PICTURE_READER_H

#include "image/image.h"

struct picture_reader;

/* A reader is for one thread; its process is started by the first picture, and anew after one that ended it. */
FILTAGS_MUST_USE filtags_status picture_reader_create(struct picture_reader **reader);
void picture_reader_destroy(struct picture_reader *reader);

/* As image_decode, with the same pixels and messages. FORMAT also: the decoder crashed or took too long or too much
 * memory. INTERNAL: the process can't be had, which no picture is to blame for. */
FILTAGS_MUST_USE filtags_status picture_reader_decode(struct picture_reader *reader, const struct image_source *source,
                                                      struct image *image);

#endif
