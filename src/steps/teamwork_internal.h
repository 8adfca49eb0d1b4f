/* teamwork_internal.h - what the parts of teamwork share: how a leader (teamwork_leader.c) and its helpers
 * (teamwork_helper.c) talk, and what both know. */
#ifndef FILTAGS_STEPS_TEAMWORK_INTERNAL_H
#define FILTAGS_STEPS_TEAMWORK_INTERNAL_H

#include <pthread.h>

#include "base/buffer.h"
#include "steps/teamwork.h"
#include "team/team.h"

enum { TAG_TALK = 1, TAG_ANSWER, TAG_GROUP };

/* What a helper says to the leader. */
enum talk_kind {
    TALK_KEY, /* text: host, newline, key */
    TALK_ASK, /* n: how many pictures it wants; n_done: how many it has done in this part */
    TALK_END  /* of its part; text: the message, if status is a failure */
};

struct talk {
    uint32_t kind, status;
    uint64_t n, n_done;
    uint64_t n_groups; /* END: how many it has handed over */
    double decode_sec, network_sec; /* END */
};

/* To ASK: the next pictures, none at the end. To END: the verdict, and as text the message or a path. */
struct answer {
    uint64_t first, n;
    uint64_t status;
};

/* A record of a tally in a group; its contents follow, filled up to a multiple of 8 bytes. */
struct group_record {
    uint32_t type, number;
    uint64_t n_bytes;
};

/* What the leader knows of a helper in this part. */
struct helper {
    char *host; /* NULL: it hasn't told its key yet */
    bool is_asking; /* and has had no answer yet */
    bool has_ended;
    size_t n_wanted;
    size_t n_done;
    uint64_t n_groups_told, n_groups;
    double decode_sec, network_sec;
};

struct teamwork {
    struct team *team;
    size_t rank, size;
    const filtags_callbacks *callbacks; /* of the command */
    struct shard shard; /* its --shard */
    filtags_callbacks silent; /* a helper's */
    pthread_mutex_t lock; /* of the members up to is_closed; the leader's */
    filtags_status status; /* the part's first failure */
    char *message;
    size_t first;       /* picture of those to be done */
    size_t next, end;   /* of which nobody has got any yet */
    size_t n_before;    /* pictures that were done before */
    size_t n_own;       /* that the leader has taken */
    size_t n_elsewhere; /* that helpers have done, handed over or not */
    bool is_closed;    /* nobody gets more */
    /* the leader's */
    char *key;
    struct helper *helpers; /* [size], number 0 is unused */
    bool is_answering; /* the pictures have begun */
    struct runner_job *job;
    struct buffer group; /* what has arrived of one that is on its way */
    size_t group_from;
    uint64_t group_bytes; /* its length; 0: none is on its way */
    bool is_serving_to_end; /* see serve_aside */
    /* a helper's */
    struct tally *tally; /* while there are pictures */
    uint64_t n_groups, n_done;
    double interval_sec, decode_sec, network_sec;
    pthread_mutex_t sending; /* of the next one */
    double handed_over_sec; /* when */
};

/* ---------------------------------------------------------------- both (teamwork.c) */

/* Remember the part's first failure, and let nobody begin another picture. */
void teamwork_note_failure(struct teamwork *work, filtags_status status, const char *message);

/* The part's first failure, with its message set; OK: there was none. */
filtags_status teamwork_first_failure(struct teamwork *work);

/* Whether nobody gets more pictures. */
bool teamwork_is_closed(struct teamwork *work);

/* Send a head of fixed length and a text. Failures: those of team_send; MEMORY. */
FILTAGS_MUST_USE filtags_status teamwork_send(struct teamwork *work, size_t to, int tag, const void *head,
                                              size_t n_head_bytes, const char *text);

/* Send something to the leader. */
FILTAGS_MUST_USE filtags_status teamwork_say(struct teamwork *work, const struct talk *talk, const char *text);

/* Take a message apart: the head is copied, *text (unless NULL) points to what is behind it. INTERNAL: it is short. */
FILTAGS_MUST_USE filtags_status teamwork_split(const struct team_message *message, void *head, size_t n_head_bytes,
                                               const char **text);

/* ---------------------------------------------------------------- the leader */

/* teamwork_run and teamwork_end_part of rank 0. path: told to the helpers after a success; may be NULL. */
FILTAGS_MUST_USE filtags_status teamwork_lead(struct teamwork *work, struct runner_job *job, struct progress *progress,
                                              struct runner_totals *totals);
FILTAGS_MUST_USE filtags_status teamwork_give_verdict(struct teamwork *work, filtags_status status, const char *path);

/* ---------------------------------------------------------------- a helper */

/* teamwork_run and teamwork_end_part of the others. *path, unless path is NULL, is the caller's to free. */
FILTAGS_MUST_USE filtags_status teamwork_help(struct teamwork *work, struct runner_job *job);
FILTAGS_MUST_USE filtags_status teamwork_await_verdict(struct teamwork *work, filtags_status status, char **path);

#endif
