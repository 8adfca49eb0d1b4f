/* tally.h - what is known of some of a step's pictures: which of them are done, which can't be used and why, and what
 * they came to - of step 1 exact class sums and the top images, of step 3 the predictions.
 *
 * A tally is told as records, and told records add up: tallies of different pictures, each told to an empty one, make
 * the tally of all of them, in any order. That is what progress files (progress.h), shards and processes on different
 * machines have in common. */
#ifndef FILTAGS_STEPS_TALLY_H
#define FILTAGS_STEPS_TALLY_H

#include <pthread.h>

#include "steps/predictions.h"
#include "steps/top_images.h"
#include "tagging/tags.h"

enum tally_record_type {
    TALLY_DONE = 1,  /* contents: uint64_t pairs (first picture, how many) */
    TALLY_BAD,       /* of a picture: why it can't be used, without a NUL */
    TALLY_ROW,       /* of a class: uint64_t number of pictures, int64_t sums [n_filters]; what it is now */
    TALLY_TOP,       /* the top images' entries [n_filters, n_top]; what they are now */
    TALLY_PREDICTION /* of a picture, as predictions.c keeps it */
};

struct tally_record {
    uint32_t type;
    uint32_t number; /* of the picture or class; 0 */
    const void *contents;
    size_t n_bytes;
};

/* Takes records. A failure ends the telling. */
struct tally_receiver {
    void *context;
    filtags_status (*take)(void *context, const struct tally_record *record);
};

struct bad_picture {
    size_t picture;
    char *reason;
    bool is_told;
};

/* Below lock, everything is guarded by it while several threads are at work. */
struct tally {
    size_t n_pictures;
    const uint32_t *class_of; /* [n_pictures] */
    size_t n_classes, n_filters; /* n_filters is 0 in step 3 */
    struct predictions *predictions; /* NULL in step 1; the step's */
    pthread_mutex_t lock;
    uint8_t *marks;           /* [n_pictures] bits of tally.c */
    bool *is_bad;             /* [n_pictures] the step's */
    struct bad_picture *bad;  /* [n_bad] */
    size_t n_done, n_bad, bad_capacity;
    int64_t *sums;            /* [n_classes, n_filters], units of 2^-31: integers, so that their order doesn't matter */
    uint64_t *n_images;       /* [n_classes] */
    bool *is_changed;         /* [n_classes] since the row was told */
    struct top_keeper top;    /* n_top is 0 without --top-images */
    bool is_top_changed;
    bool is_torn;             /* a merge has failed half-way */
    bool is_locked;           /* there is a lock to be destroyed */
};

/* Start with no picture done. is_bad, class_of: [n_pictures], the caller's; is_bad[i] is set for pictures that can't be
 * used. The caller frees the tally with tally_free, on failure too. MEMORY. */
FILTAGS_MUST_USE filtags_status tally_create(size_t n_pictures, const uint32_t *class_of, bool *is_bad,
                                             struct tally *tally);
/* Of step 1: sums of n_classes, and the n_top (0: none) strongest pictures of each filter. MEMORY. */
FILTAGS_MUST_USE filtags_status tally_add_sums(struct tally *tally, size_t n_classes, size_t n_filters, size_t n_top);
void tally_free(struct tally *tally);

/* ---- several threads at once */

bool tally_is_done(struct tally *tally, size_t picture);
size_t tally_n_done(struct tally *tally);

/* Step 1: add a picture's activations [n_filters]; it is done. */
void tally_take(struct tally *tally, size_t picture, const filtags_activation *activations);
/* Step 3: a picture is done whose prediction has been added. */
void tally_mark_done(struct tally *tally, size_t picture);
/* A picture can't be used; it is done. MEMORY. */
FILTAGS_MUST_USE filtags_status tally_mark_bad(struct tally *tally, size_t picture, const char *reason);

/* Tell what has changed since the last time that this succeeded. Whoever adds to the tally waits meanwhile. */
FILTAGS_MUST_USE filtags_status tally_tell(struct tally *tally, const struct tally_receiver *receiver);
/* Tell everything. */
FILTAGS_MUST_USE filtags_status tally_tell_all(struct tally *tally, const struct tally_receiver *receiver);
/* tally_tell and tally_forget in one, for a process whose records another one merges. */
FILTAGS_MUST_USE filtags_status tally_hand_over(struct tally *tally, const struct tally_receiver *receiver);

/* Add what another tally has handed over, all of it at once for whoever is told of this one, to whom it counts as
 * changed. After a failure the tally may have a part of it, and tells nobody any more (INTERNAL). Otherwise as
 * tally_add. */
FILTAGS_MUST_USE filtags_status tally_merge(struct tally *tally, const struct tally_record *records, size_t n_records,
                                            const char *from);

/* ---- one thread at a time */

/* Add a record that another tally told; rows and top images count as what they are, so of each the last one that a
 * tally told is to be added, once. Nothing of this counts as changed. from: of the messages, where it comes from.
 * FORMAT: a record of this step expected. DATA: a picture is done already. MEMORY, IO. */
FILTAGS_MUST_USE filtags_status tally_add(struct tally *tally, const struct tally_record *record, const char *from);

/* Forget sums, top images and reasons, after they were told; the pictures stay done. For a process whose records
 * another one has added: what it tells next is of the pictures since. */
void tally_forget(struct tally *tally);

#endif
