/* cache.h - where the official weight files of the networks are, and how they get there. */
#ifndef FILTAGS_FETCH_CACHE_H
#define FILTAGS_FETCH_CACHE_H

#include "filtags.h"

enum weights_source {
    WEIGHTS_MISSING, /* must be downloaded */
    WEIGHTS_CACHED,  /* in filTags's cache */
    WEIGHTS_OF_KERAS /* in Keras's, which is only read */
};

struct weights_place {
    enum weights_source source;
    char *path; /* of the file; where it is missing: in filTags's cache. Freed by the caller. */
};

/* Find a network's official weight file in $XDG_CACHE_HOME/filtags (or ~/.cache/filtags) and in $KERAS_HOME/models (or
 * ~/.keras/models). is_hash_checked: a file with another hash is missing (and told of by callbacks, which may be NULL);
 * else only the name counts. IO: there is no cache folder because neither HOME nor XDG_CACHE_HOME is set. MEMORY. */
FILTAGS_MUST_USE filtags_status weights_find(const filtags_network *network, bool is_hash_checked,
                                             const filtags_callbacks *callbacks, struct weights_place *place);

/* The address that the file is downloaded from: Keras's, or the same below $FILTAGS_WEIGHTS_URL. The caller frees it.
 * USAGE: that is no http or https address. */
FILTAGS_MUST_USE filtags_status weights_url(const filtags_network *network, char **url);

/* Find the file, its hash checked, and where it is missing download it into filTags's cache. *source tells which of it
 * happened (MISSING: downloaded). The caller frees *path. is_offline: never download; IO: it is missing (how to get
 * it). Else as fetch_file. */
FILTAGS_MUST_USE filtags_status weights_open(const filtags_network *network, bool is_offline,
                                             const filtags_callbacks *callbacks, char **path,
                                             enum weights_source *source);

#endif
