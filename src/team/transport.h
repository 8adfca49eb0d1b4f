/* transport.h - what a module that carries messages between processes offers. The library doesn't link MPI: it loads
 * filtags_mpi.so, built from team_mpi.c, where a process has been started as one of several. */
#ifndef FILTAGS_TEAM_TRANSPORT_H
#define FILTAGS_TEAM_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

enum {
    TRANSPORT_VERSION = 1, /* raised when struct transport changes */
    TRANSPORT_HOST_BYTES = 256,
    TRANSPORT_LIBRARY_BYTES = 256,
    TRANSPORT_ERROR_BYTES = 512,
    TRANSPORT_ANY = -1
};

struct transport_place {
    int rank; /* of this process, [0, size) */
    int size; /* processes */
    char host[TRANSPORT_HOST_BYTES];
    char library[TRANSPORT_LIBRARY_BYTES]; /* name and version of the MPI */
};

/* Functions that can fail return false, and say why in error. Several threads may call them at once. Whoever waits
 * sleeps: an MPI that waits by itself keeps a core busy. */
struct transport {
    unsigned version;
    /* Once in a process. */
    bool (*start)(struct transport_place *place, char error[TRANSPORT_ERROR_BYTES]);
    /* Return when bytes may be used again. n_bytes < 2^31. */
    bool (*send)(int to, int tag, const void *bytes, size_t n_bytes, char error[TRANSPORT_ERROR_BYTES]);
    /* Is there a message from a rank (or TRANSPORT_ANY)? *from and *n_bytes are set if there is. */
    bool (*probe)(int wanted, int tag, bool *is_there, int *from, size_t *n_bytes, char error[TRANSPORT_ERROR_BYTES]);
    /* Receive a message that probe has found. */
    bool (*receive)(int from, int tag, void *bytes, size_t n_bytes, char error[TRANSPORT_ERROR_BYTES]);
    void (*end)(void);   /* when all processes are at their end */
    void (*abort)(void); /* end all processes now; doesn't return */
};

/* The name under which a module exports its own. */
#define TRANSPORT_SYMBOL "filtags_transport"

#endif
