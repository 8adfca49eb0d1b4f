/* hdf5_serve.h - questions about an HDF5 file as messages, and what answers them.
 *
 * The library asks (weights_hdf5.c), filtags-read answers from here. A question is its number and its arguments, an
 * answer a filtags_status and then either the message of the failure or the result, see wire.h for the encoding. */
#ifndef FILTAGS_MODEL_HDF5_SERVE_H
#define FILTAGS_MODEL_HDF5_SERVE_H

#include "base/buffer.h"
#include "filtags.h"

enum hdf5_question {
    HDF5_ASK_OPEN,      /* -> nothing; comes first */
    HDF5_ASK_TEXT,      /* attribute -> 0, or 1 and the text */
    HDF5_ASK_HAS,       /* path -> 0 or 1 */
    HDF5_ASK_HAS_NAMES, /* attribute -> 0 or 1 */
    HDF5_ASK_NAMES,     /* group, attribute -> n, texts */
    HDF5_ASK_LIST,      /* n, starts -> n, data sets, each a path and the data of LOCATE */
    HDF5_ASK_LOCATE,    /* path -> type, n_dims, dims; value_bytes, is_big_endian, offset, piece_rows */
    HDF5_ASK_ROWS,      /* path, first row, number of rows -> float bytes */
    HDF5_N_QUESTIONS
};

/* A file in memory. Zero-initialise and set bytes and size_bytes. */
struct hdf5_server {
    const void *bytes;
    size_t size_bytes;
    struct parsed_file *file;
};

/* Append the answer to a question. False: memory has run out. */
bool hdf5_serve(struct hdf5_server *server, const void *question, size_t n_bytes, struct buffer *answer);

void hdf5_server_end(struct hdf5_server *server);

#endif
