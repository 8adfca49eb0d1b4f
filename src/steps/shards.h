/* shards.h - a run in parts, --shard i/n, and putting them together: merge. docs/cluster.md */
#ifndef FILTAGS_STEPS_SHARDS_H
#define FILTAGS_STEPS_SHARDS_H

#include "steps/progress.h"
#include "steps/tally.h"

/* The pictures of a shard: from first up to, but without, end. Neighbours in the shuffled list, so that every shard has
 * all classes alike. All pictures without --shard. */
void shard_range(struct shard shard, size_t n_pictures, size_t *first, size_t *end);

/* "shard-3-of-8.part" */
enum { SHARD_SUFFIX_BYTES = 64 };
void shard_suffix(struct shard shard, char suffix[SHARD_SUFFIX_BYTES]);

/* A shard's pictures are done: publish its part, tell so, and add the file to the run. */
FILTAGS_MUST_USE filtags_status shard_finish(struct step *step, struct progress *progress, struct output *output,
                                             const struct tally *tally);

/* The parts that merge was given. */
struct shard_parts;

/* Check that the step's key is the parts'. DATA: the message says what differs. */
FILTAGS_MUST_USE filtags_status shard_parts_check(const struct shard_parts *parts, const struct progress_key *key);

/* Add what the parts have to an empty tally, and their warnings to the log. DATA: a part isn't all of its shard.
 * FORMAT: damaged. */
FILTAGS_MUST_USE filtags_status shard_parts_load(struct shard_parts *parts, struct output *output,
                                                 struct tally *tally);

#endif
