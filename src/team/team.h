/* team.h - the processes that mpirun has started together, and messages between them. */
#ifndef FILTAGS_TEAM_TEAM_H
#define FILTAGS_TEAM_TEAM_H

#include "filtags.h"

/* What the environment says of this process, before anything is loaded. */
struct team_place {
    size_t rank;
    size_t size; /* 1: alone */
};

struct team_place team_find_place(void);

struct team;

/* Join the others, once in a process: further calls give the same team. *team is NULL for a process that is alone:
 * then nothing is loaded. UNSUPPORTED: there is no module for MPI, or it is of another build or another MPI. INTERNAL:
 * MPI failed. The team lives as long as the process, which says goodbye to the others at its exit. */
FILTAGS_MUST_USE filtags_status team_join(struct team **team);

size_t team_rank(const struct team *team);
size_t team_size(const struct team *team);
const char *team_host(const struct team *team);    /* of this process */
const char *team_library(const struct team *team); /* name and version of the MPI */

enum { TEAM_ANY = -1, TEAM_MOST_BYTES = 16 << 20 };

struct team_message {
    size_t from;
    char *contents; /* [n_bytes], and a NUL; the receiver's, who frees it */
    size_t n_bytes;
};

/* Send up to TEAM_MOST_BYTES, and return when contents may be used again. Messages of one tag arrive in the order in
 * which one thread has sent them. INTERNAL: MPI failed. */
FILTAGS_MUST_USE filtags_status team_send(struct team *team, size_t to, int tag, const void *contents, size_t n_bytes);

/* Take a message of a tag from a rank (or TEAM_ANY), if there is one. For one thread at a time. INTERNAL, MEMORY. */
FILTAGS_MUST_USE filtags_status team_poll(struct team *team, int from, int tag, bool *is_there,
                                          struct team_message *message);

/* Wait for a message. */
FILTAGS_MUST_USE filtags_status team_receive(struct team *team, size_t from, int tag, struct team_message *message);

/* Sleep until there may be something new: longer after each time in a row. Start with *n_pauses = 0. */
void team_pause(unsigned *n_pauses);

/* The others are in no state to say goodbye: at its exit this process ends them all. */
void team_break(struct team *team);
bool team_is_broken(const struct team *team);

/* Rank 0 knows why this process fails: what filtags_process_is_led returns. */
void team_set_led(struct team *team);

#endif
