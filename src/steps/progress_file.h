/* progress_file.h - the records of a progress file: a head, then checkpoints, each a group of a tally's records that a
 * commit ends. A group that has none counts for nothing. docs/checkpoints.md has the format. */
#ifndef FILTAGS_STEPS_PROGRESS_FILE_H
#define FILTAGS_STEPS_PROGRESS_FILE_H

#include "base/hash.h"
#include "steps/tally.h"
#include "store/output.h"

struct progress_head {
    char run_id[RUN_ID_BYTES]; /* the first one */
    char key[HASH_HEX_BYTES];
    char kind[8];              /* "QFA" */
    uint64_t shard, n_shards;  /* n_shards is 0 without --shard */
    int64_t saved_sec;         /* when the last checkpoint was made, since 1970 */
};

/* The texts behind the head. */
struct progress_texts {
    const char *key;     /* what the key is the hash of, but for what is of its place */
    const char *options; /* names and values in turn, each with a NUL behind it */
    size_t n_options_bytes;
};

struct progress_file;

/* Open a file, create it where there is none, lock it. What the last checkpoint didn't end is cut off. *is_found: it
 * has a head, which *head gets. As record_file_open. */
FILTAGS_MUST_USE filtags_status progress_file_open(const char *path, struct progress_head *head, bool *is_found,
                                                   struct progress_file **file);
void progress_file_close(struct progress_file *file);

/* Remove a file, whatever it holds, unless another process has it. */
FILTAGS_MUST_USE filtags_status progress_file_discard(const char *path, bool *was_there);

/* Forget all records. */
FILTAGS_MUST_USE filtags_status progress_file_clear(struct progress_file *file);

/* Open a whole part, to read it. Head and texts are valid until it is closed. FORMAT: it isn't one, or isn't whole. */
FILTAGS_MUST_USE filtags_status progress_file_open_part(const char *path, struct progress_head *head,
                                                        struct progress_texts *texts, struct progress_file **file);

/* Write the head of a file without one. */
FILTAGS_MUST_USE filtags_status progress_file_begin(struct progress_file *file, struct progress_head *head,
                                                    const struct progress_texts *texts);

/* Add what the file has to a tally. FORMAT: damaged. */
FILTAGS_MUST_USE filtags_status progress_file_load(struct progress_file *file, struct tally *tally);

/* Append what has changed in the tally, and wait for the disk. *has_lost: the tally won't tell all of it again, but the
 * file hasn't it. IO: the disk is full. */
FILTAGS_MUST_USE filtags_status progress_file_append(struct progress_file *file, struct tally *tally, bool *has_lost);

/* Write the file anew, with all that the tally has: the old one stays until the new one is on the disk. As append. */
FILTAGS_MUST_USE filtags_status progress_file_rewrite(struct progress_file *file, const struct progress_head *head,
                                                      const struct progress_texts *texts, struct tally *tally,
                                                      bool *has_lost);

/* Length, and how much of it later records have replaced. */
void progress_file_sizes(const struct progress_file *file, uint64_t *end_bytes, uint64_t *superseded_bytes);

#endif
