/* fuse.h - steps of a plan that are done in one go, so that what lies between them is never stored. */
#ifndef FILTAGS_ENGINE_FUSE_H
#define FILTAGS_ENGINE_FUSE_H

#include "engine/prepare.h"

/* Let a pooling behind a convolution of ours be done while the rows that it reads are in cache (plan_group.is_pooled).
 * Put together: a convolution of ours and the ReLU behind it; a batch normalization (or another scale and shift), the
 * addition of a shortcut and the ReLU behind it, or two of these. A value that is tapped, read by something else or has
 * to outlive the run keeps its step. Results don't change by a bit. prepared: [n_nodes]. */
void fuse_steps(struct plan *plan, const struct prepared *prepared);

#endif
