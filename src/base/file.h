/* file.h - reading whole files, and writing files that appear only when they are whole. */
#ifndef FILTAGS_BASE_FILE_H
#define FILTAGS_BASE_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "base/buffer.h"
#include "filtags.h"

/* Read a regular file of at most limit_bytes whole into an empty buffer, which the caller frees.
 * IO: cannot be read, or is no regular file. UNSUPPORTED: larger than the limit. */
FILTAGS_MUST_USE filtags_status file_read(const char *path, size_t limit_bytes, struct buffer *contents);

/* A file being written beside its final name. */
struct file_writer {
    FILE *stream; /* write here; errors are found by file_writer_finish */
    char *final_path;
    char *temporary_path;
    bool skips_sync;   /* set by the caller after opening, for what can be made again: don't wait for the disk */
};

/* Start a file. IO: the folder is missing or not writable, or final_path exists already. */
FILTAGS_MUST_USE filtags_status file_writer_open(struct file_writer *writer, const char *final_path);

/* Flush, sync and close the stream; the file keeps its temporary name. After a failure abort the writer.
 * IO: the disk is full, ... */
FILTAGS_MUST_USE filtags_status file_writer_finish(struct file_writer *writer);

/* Give a finished file its final name, never replacing another file. The writer is closed either way, and on
 * failure nothing is left behind. IO: the name has been taken meanwhile, ... */
FILTAGS_MUST_USE filtags_status file_writer_publish(struct file_writer *writer);

/* Finish and publish. On failure nothing is left behind. */
FILTAGS_MUST_USE filtags_status file_writer_commit(struct file_writer *writer);

/* Throw away what was written. Harmless after commit and on a zeroed writer. */
void file_writer_abort(struct file_writer *writer);

/* Give a file a second name in the same folder, never replacing another file. Where the file system has no hard links
 * it has the new name alone. IO. */
FILTAGS_MUST_USE filtags_status file_link(const char *path, const char *new_path);

/* Write a whole file in one go, as open, write, commit. */
FILTAGS_MUST_USE filtags_status file_write(const char *final_path, const void *bytes, size_t size_bytes);

/* Join folder and name with one '/' (name alone in the folder "."). The caller frees the result; NULL: out of memory,
 * message set. */
char *path_join(const char *folder, const char *name);

/* The part after the last '/'. Points into path. */
const char *path_base(const char *path);

/* The part before the last '/' ("." where there is none, "/" for the root). The caller frees it; NULL: out of
 * memory. */
char *path_folder(const char *path);

#endif
