/* progress.h - the progress file of a step: what is done of its pictures, so that the same command can go on from it.
 *
 * It is hidden in --save-dir, and its name has the step, the network and a hash of all that the result depends on: only
 * the same command finds it. It is locked while a run is at work, and removed when the step's files have their names.
 * docs/checkpoints.md */
#ifndef FILTAGS_STEPS_PROGRESS_H
#define FILTAGS_STEPS_PROGRESS_H

#include "steps/network.h"
#include "steps/picture_list.h"
#include "steps/steps.h"
#include "steps/tally.h"

/* What a result depends on. */
struct progress_key {
    struct buffer text;  /* a line for each thing: the same in all shards of a run, on whatever machine */
    struct buffer place; /* besides: what is the same only for the same command on the same files */
};

/* Begin a key: the network, its versions and instruction set; the pictures, in their order, with their sizes (and, of
 * this place, the times of their last changes); split, seed and limit. Then the step adds lines of its own. IO, MEMORY,
 * INTERNAL. */
FILTAGS_MUST_USE filtags_status progress_key_begin(struct step *step, const char *kind, const struct network *network,
                                                   const filtags_dataset *dataset, const struct picture_list *pictures,
                                                   struct progress_key *key);
void progress_key_free(struct progress_key *key);

struct progress;

/* Find the step's progress file, or create it, and lock it. If there is one, the step goes on under its runID. After
 * --restart there is none. main_suffix: of the step's main file, "-vars.pkl". IO: another process has it, ...;
 * FORMAT: it is damaged or something else. */
FILTAGS_MUST_USE filtags_status progress_open(struct step *step, const char *kind, const char *network,
                                              const char *main_suffix, const struct progress_key *key,
                                              struct progress **progress);

/* Whether the files of the run have their names, and the run was ended before it could remove its progress. Then
 * progress_report_finished is all that is left to do: it adds the files to the run. */
bool progress_is_finished(const struct progress *progress);
FILTAGS_MUST_USE filtags_status progress_report_finished(struct progress *progress);

/* The output is open: put what was done into the tally, and its warnings into the log; or begin the file. From now on
 * the tally, which outlives the progress, is saved every --checkpoint-interval by progress_tick. FORMAT: damaged. */
FILTAGS_MUST_USE filtags_status progress_start(struct progress *progress, struct output *output, struct tally *tally);

/* For runner_job's after_batch: save if it is time. A failure is a warning: the run goes on, and tries again. */
void progress_tick(void *progress);
/* Save now, for a run that may be ended at any moment. A failure is a warning, as above. */
void progress_save(struct progress *progress);

/* All pictures of the shard are done: save, close the output's logs, and give what was saved the name of a part, too.
 * IO: the name is taken, ... */
FILTAGS_MUST_USE filtags_status progress_publish_part(struct progress *progress);

/* The step has ended, with status: after a failure save what is done (and keep the file, if there is anything in it),
 * after success remove the file. In a pipeline a file is kept until all of it is done, if keeps; progress_remove then
 * removes it. *progress becomes NULL. Returns status, whose message stays. */
filtags_status progress_end(struct progress **progress, filtags_status status, bool keeps);
void progress_remove(struct progress *progress);
/* Unlock and leave the file. */
void progress_close(struct progress *progress);

#endif
