/* hdf5_here.h - answers questions about HDF5 files in this process, without filtags-read: a fuzzer has to see libhdf5
 * and what drives it. With FILTAGS_READER the product's way is taken, that program: what libhdf5 does then ends no
 * fuzzer, and is a malformed file like any other. */
#include <stdlib.h>

#include "fuzz.h"

#include "base/error.h"
#include "model/hdf5_serve.h"
#include "model/weights_hdf5.h"

static filtags_status open_here(int fd, const void *bytes, size_t size_bytes, void **session) {
    struct hdf5_server *server = calloc(1, sizeof *server);
    if (!server) return error_out_of_memory(sizeof *server);
    if (fd >= 0) abort(); /* a fuzzer's files lie in memory */
    *server = (struct hdf5_server){bytes, size_bytes, NULL};
    *session = server;
    return FILTAGS_OK;
}

static filtags_status ask_here(void *session, const char *file_name, const struct buffer *question, size_t most_bytes,
                               struct buffer *answer) {
    (void)file_name;
    (void)most_bytes;
    return hdf5_serve(session, question->data, question->size_bytes, answer) ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
}

static void close_here(void *session) {
    struct hdf5_server *server = session;
    hdf5_server_end(server);
    free(server);
}

static const struct hdf5_backend hdf5_here = {open_here, ask_here, close_here};

/* Do something with HDF5 files. */
static void fuzz_hdf5_do(void (*act)(const uint8_t *data, size_t size), const uint8_t *data, size_t size) {
    if (getenv("FILTAGS_READER")) {
        act(data, size);
        return;
    }
    hdf5_set_backend(&hdf5_here);
    if (fuzz_rehearse(act, data, size)) act(data, size);
}
