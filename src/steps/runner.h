/* runner.h - send a list of pictures through a network on several threads.
 *
 * A thread takes the next few pictures, decodes them, runs the network, and hands over each picture's result. Threads
 * wait for each other only to take the next numbers, so results come in any order; whoever takes them must not depend
 * on it. */
#ifndef FILTAGS_STEPS_RUNNER_H
#define FILTAGS_STEPS_RUNNER_H

#include "image/image.h"
#include "steps/network.h"
#include "steps/tally.h"
#include "store/output.h"

/* A feature map that is wanted of a picture. */
struct map_request {
    size_t picture; /* index into the job's files */
    size_t layer;   /* index into the network's tapped layers */
    size_t filter;  /* of that layer */
};

/* Why a picture can't be used: of several the one that comes first in the list. */
struct bad_reason {
    char *message; /* NULL: none; the job's owner frees it */
    size_t picture;
};

struct runner_job {
    const char *what; /* for the progress: "activations" */
    filtags_engine *engine;        /* NULL with a store: made once a picture needs it, see late_engine */
    struct picture_store *store;   /* NULL: every picture goes through the network */
    const filtags_options *options; /* with a store: for the engine */
    filtags_engine **late_engine;  /* with a store: gets the engine, which the caller destroys */
    const struct network *network;
    filtags_preprocess preprocess;
    const char *images_dir;
    const char *const *files; /* [n_files] 'class/file' below images_dir */
    size_t n_files;
    /* Where not all pictures are run: the number of the first, and of the one past the last. */
    bool is_part;
    size_t first, end;
    /* Where the numbers of the next pictures come from: set *first and return how many there are (at most batch), 0 at
     * the end. Called by one thread at a time. NULL: all or the part, in order. A process of several that share the
     * pictures asks for its share here. */
    size_t (*take_numbers)(void *context, size_t *first);
    void *numbers_context;
    /* How many pictures others have done, for the progress; with the context of take_numbers. NULL: none. */
    size_t (*count_elsewhere)(void *context);
    /* What is done already, and is passed over; NULL: nothing. It gets the pictures that can't be used; those that can
     * are put into it by take. */
    struct tally *tally;
    /* Called by every thread after a micro-batch: a checkpoint may be due. NULL: nothing. */
    void (*after_batch)(void *context);
    void *after_batch_context;
    size_t n_threads, batch; /* batch: pictures in a micro-batch, the engine's max_batch */
    bool wants_output;
    bool is_strict;        /* a damaged picture is an error, not a warning */
    bool is_isolated;      /* pictures are decoded in other processes */
    struct output *output; /* gets the warnings */
    const filtags_callbacks *callbacks;
    /* Take the result of picture index: activations [n_filters], outputs [n_outputs] or NULL. Called by several threads
     * at once; thread in [0, n_threads). A failure ends the run. Of a picture from the store, outputs are those of its
     * STORE_MOST_TOP best, and -infinity for the rest. */
    filtags_status (*take)(void *context, size_t thread, size_t index, const filtags_activation *activations,
                           const float *outputs);
    /* The next three, and take, may be left out. Look at picture index as it is decoded, before it gets the network's
     * size and channels. */
    filtags_status (*look)(void *context, size_t thread, size_t index, const struct image *image);
    const struct map_request *maps; /* [n_maps] ascending by picture, then by layer; the engine has wants_maps */
    size_t n_maps;
    /* Take the map of maps[request], before the picture's other results. */
    filtags_status (*take_map)(void *context, size_t request, const filtags_map *map);
    void *context;
    bool *is_bad; /* [n_files]: set for a picture that could not be used; the tally's, if there is one */
    struct bad_reason *reason; /* without a tally: why; may be NULL */
};

struct runner_totals {
    size_t n_bad; /* with a tally: of all its pictures */
    size_t n_before; /* of the pictures, those that were done before */
    size_t n_stored; /* pictures that were in the store */
    double decode_sec, network_sec; /* added up over the threads */
    double elapsed_sec;
};

/* IO, FORMAT, ... of the first fatal failure; CANCELLED. */
FILTAGS_MUST_USE filtags_status runner_run(const struct runner_job *job, struct runner_totals *totals);

/* Pictures in a micro-batch where the user leaves the choice: enough that late layers read their weights once for
 * several pictures, few enough that the memory stays small. Neither this nor any other number changes a result. */
size_t runner_batch(const filtags_options *options, const size_t shape[3]);

#endif
