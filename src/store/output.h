/* output.h - the files of one run of a step: their names, and their appearing all together.
 *
 * A step's files are <save_dir>/<runID>-<kind>-<network>-<suffix> (a page: <runID>-<kind>-<network>.html), its logs
 * <save_dir>/<runID>-<kind>-info.log and -warnings.log. runID is YYYY-mm-dd-HHMM (UTC plus time_delta), with a suffix
 * b, c, ... where a file of that runID and kind exists already. The logs are written while the step runs; every other
 * file waits under a temporary name until all of them are whole.
 */
#ifndef FILTAGS_STORE_OUTPUT_H
#define FILTAGS_STORE_OUTPUT_H

#include <stdio.h>

#include "base/file.h"
#include "filtags.h"

struct output;

enum { RUN_ID_BYTES = 32 };

/* Find a runID that no file in save_dir has with any of the kinds ([n_kinds], such as "QFA").
 * IO: save_dir is missing or can't be read; or all suffixes of this minute are taken. */
FILTAGS_MUST_USE filtags_status output_choose_run_id(const char *save_dir, double time_delta_hours,
                                                     const char *const *kinds, size_t n_kinds,
                                                     char run_id[RUN_ID_BYTES]);

/* Start the output of a step and create its logs. run_id: from output_choose_run_id. callbacks (may be NULL) get
 * what goes to the logs. IO: save_dir is not writable; the run_id has been taken meanwhile. */
FILTAGS_MUST_USE filtags_status output_open(const char *save_dir, const char *run_id, const char *kind,
                                            const char *network, const filtags_callbacks *callbacks,
                                            struct output **output);

/* Go on with a run that was ended: the info log is continued, the warnings log begun anew, and what was not finished
 * (every other file of the run and kind, hidden ones too) removed. The run is the caller's, who knows that no other
 * process is at work on it. */
FILTAGS_MUST_USE filtags_status output_continue(const char *save_dir, const char *run_id, const char *kind,
                                                const char *network, const filtags_callbacks *callbacks,
                                                struct output **output);

/* List the files of a run and kind, logs excepted, if its main one is there, which is named last and ends in
 * main_suffix; *n_files is 0 where it isn't. The main file is files[0]. The caller frees the list. Temporary names that
 * a kill left of a finished run are removed. */
FILTAGS_MUST_USE filtags_status output_find_finished(const char *save_dir, const char *run_id, const char *kind,
                                                     const char *main_suffix, char ***files, size_t *n_files);

/* Start what has no logs and no files, but can have scratch files in save_dir: for a process that works for another
 * one. What it is told, nobody hears. */
FILTAGS_MUST_USE filtags_status output_open_silent(const char *save_dir, struct output **output);

/* Tell: a line to the log (info or warnings) and to the caller's callback. Control characters are replaced.
 * May be called by several threads. */
void output_log(struct output *output, filtags_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A line for the log alone: what the caller gets by another way, or one warning (counted like any other) of many
 * of a kind, which output_tell sums up. */
void output_log_detail(struct output *output, filtags_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Tell the callback alone: the line that sums up what output_log_detail has logged. */
void output_tell(struct output *output, filtags_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
size_t output_n_warnings(const struct output *output);

/* Log how much is about to be written, and fail where the disk has less room than that. what: "the tag file". IO. */
FILTAGS_MUST_USE filtags_status output_check_room(struct output *output, const char *what, double bytes);

/* Start a file; suffix such as "vars.pkl", or a mere ending such as ".html". *stream is the output's. */
FILTAGS_MUST_USE filtags_status output_start_file(struct output *output, const char *suffix, FILE **stream);
/* End the file that was started last: it is whole, and waits. */
FILTAGS_MUST_USE filtags_status output_end_file(struct output *output);
/* Start, write and end a small file. */
FILTAGS_MUST_USE filtags_status output_write_text(struct output *output, const char *suffix, const char *text);

const char *output_run_id(const struct output *output);
/* Final path of file index in the order of starting; NULL past the last one. */
const char *output_file(const struct output *output, size_t index);
double output_elapsed_sec(const struct output *output);
/* Start of the run, ISO 8601 UTC. */
const char *output_started(const struct output *output);
/* Open a nameless scratch file in save_dir, that vanishes when closed. */
FILTAGS_MUST_USE filtags_status output_open_scratch(struct output *output, FILE **stream);

/* Give all files their names: all of them or none. Then close the logs. */
FILTAGS_MUST_USE filtags_status output_commit(struct output *output);
/* Close the logs, then give a whole file that exists the name of a file of the output: it has both. */
FILTAGS_MUST_USE filtags_status output_commit_with(struct output *output, const char *suffix, const char *path);
/* Final path of a file with this suffix. The caller frees it; NULL: out of memory. */
char *output_path(const struct output *output, const char *suffix);
/* Free. Without a commit the files vanish; the logs stay, with error, unless NULL, at the end of the info log. */
void output_close(struct output *output, const char *error);

#endif
