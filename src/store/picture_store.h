/* picture_store.h - what networks have computed of pictures: filter activations, and top predictions. --store.
 *
 * An entry is known by the SHA-256 of the picture's file and by a profile, the text that says what else its numbers
 * depend on. So an entry is right or isn't found; which file the picture is in doesn't matter. docs/store.md. */
#ifndef FILTAGS_STORE_PICTURE_STORE_H
#define FILTAGS_STORE_PICTURE_STORE_H

#include "base/hash.h"
#include "filtags.h"

enum { STORE_MOST_TOP = 3 };

/* A network's best outputs, as step 3 keeps them. */
struct stored_top {
    uint32_t n; /* min(3, outputs) */
    struct {
        uint32_t output;
        float value;
    } items[STORE_MOST_TOP];
};

struct picture_store;

/* Open a store for the pictures of one profile, whose networks have so many filters and outputs; create it where there
 * is none. As record_file_open. */
FILTAGS_MUST_USE filtags_status picture_store_open(const char *path, const char *profile, size_t n_filters,
                                                   size_t n_outputs, uint64_t *n_dropped_bytes,
                                                   struct picture_store **store);

/* Pictures of this profile. */
size_t picture_store_n_pictures(const struct picture_store *store);

/* Look a picture up. activations: [n_filters]. top: NULL where the prediction isn't wanted; a picture without one is
 * not found then. Several threads may call it at once, picture_store_add included. FORMAT: damaged; IO, MEMORY. */
FILTAGS_MUST_USE filtags_status picture_store_find(struct picture_store *store,
                                                   const uint8_t picture[HASH_DIGEST_BYTES],
                                                   filtags_activation *activations, struct stored_top *top,
                                                   bool *is_found);

/* Keep a picture (what is there already is not written again). top: NULL where the network wasn't run to its end.
 * IO: the disk is full. */
FILTAGS_MUST_USE filtags_status picture_store_add(struct picture_store *store,
                                                  const uint8_t picture[HASH_DIGEST_BYTES],
                                                  const filtags_activation *activations, const struct stored_top *top);

/* IO: not everything reached the disk. NULL: nothing happens. */
FILTAGS_MUST_USE filtags_status picture_store_close(struct picture_store *store);

#endif
