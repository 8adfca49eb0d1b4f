/* place.h - where in memory the outputs of a plan's steps lie.
 *
 * Outputs share memory one after another. A step overwrites its input where nobody else reads that. What a
 * concatenation puts together is written among its channels at once, where its maker can do that and all readers can
 * take it, so that the concatenation has nothing to copy; what such a branch overwrites (a convolution's output before
 * its batch normalization) lies there too. */
#ifndef FILTAGS_ENGINE_PLACE_H
#define FILTAGS_ENGINE_PLACE_H

#include "engine/prepare.h"

/* Give every computed node a place. plan: fused (fuse.h). prepared: [n_nodes], to know which convolutions are ours.
 * MEMORY. */
FILTAGS_MUST_USE filtags_status place_outputs(struct plan *plan, const struct prepared *prepared);

#endif
