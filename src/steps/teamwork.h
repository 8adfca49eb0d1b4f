/* teamwork.h - a step done by all processes that mpirun has started: rank 0 leads, the others help.
 *
 * The leader has the output, the progress file and the terminal, and works like the others. A helper asks it for the
 * numbers of the next pictures, and hands over what they came to (a tally's records) every --checkpoint-interval and at
 * the end: only then they count as done. Messages begin with the helper: it asks and is answered, or it tells. So
 * nobody has to be interrupted; whoever is to stop learns it from the next answer. docs/cluster.md */
#ifndef FILTAGS_STEPS_TEAMWORK_H
#define FILTAGS_STEPS_TEAMWORK_H

#include "options/options.h"
#include "steps/runner.h"

struct progress;
struct teamwork;

/* Join the team for a command. *work is NULL, and everything below does what a process does alone, where mpirun has
 * started no other. USAGE: the command, or one of its options, is for one process. UNSUPPORTED, INTERNAL: team.h. */
FILTAGS_MUST_USE filtags_status teamwork_begin(const filtags_options *options, const filtags_callbacks *callbacks,
                                               struct teamwork **work);
void teamwork_free(struct teamwork *work);

/* Whether another process leads. False for NULL. */
bool teamwork_is_helper(const struct teamwork *work);

/* How many there are; 1 for NULL. */
size_t teamwork_n_processes(const struct teamwork *work);

/* What the step's callbacks are: a helper has nothing to say. */
const filtags_callbacks *teamwork_callbacks(const struct teamwork *work, const filtags_callbacks *callbacks);

/* Say what the result depends on, in lines: all processes have to agree. The leader compares when teamwork_run
 * begins. */
FILTAGS_MUST_USE filtags_status teamwork_tell_key(struct teamwork *work, const char *key);

/* runner_run by all. job: with a tally; numbers and after_batch are set here where they have to be. progress: the
 * leader's. Of the leader the tally has all pictures afterwards; of a helper it is of no more use. DATA: keys differ.
 * Failures of a helper, whose message says which one; those of runner_run. After a failure, too, the leader's tally has
 * what the helpers could still hand over. */
FILTAGS_MUST_USE filtags_status teamwork_run(struct teamwork *work, struct runner_job *job, struct progress *progress,
                                             struct runner_totals *totals);

/* All processes end a part of the command together, each with its status; whoever has nothing to do in it is here
 * early. Returns the leader's verdict: a failure if anybody had one. *path, of the leader, is copied to the helpers
 * (where they free it); it may be NULL. */
FILTAGS_MUST_USE filtags_status teamwork_end_part(struct teamwork *work, filtags_status status, char **path);

#endif
