/* reader_process.h - the helper program filtags-read, in which files that nobody vouches for are parsed.
 *
 * A process that has no rights left but to compute and to answer: see docs/security.md. It may have been taken over by
 * the file that it reads, so that whoever asks it checks every answer. It ends with the asking process, because its
 * socket does then. One thread at a time per reader; any number of readers. */
#ifndef FILTAGS_BASE_READER_PROCESS_H
#define FILTAGS_BASE_READER_PROCESS_H

#include "base/buffer.h"
#include "filtags.h"

struct reader_process;

struct reader_task {
    const char *kind;  /* "hdf5", "pictures": the program's argument */
    int fd;            /* what it gets as descriptor READER_FD; stays the caller's. -1: it gets bytes in its place */
    const void *bytes; /* sent before the first question, until which they must be there */
    size_t size_bytes; /* of them: the program's second argument */
    unsigned cpu_ms;   /* processor time for an answer; by the clock it may take 30 times as long and two minutes */
};

enum { READER_TALK_FD = 0, READER_FD = 3 };

/* Start one. IO: the program isn't there (the message says where it was looked for) or can't be started. MEMORY. */
FILTAGS_MUST_USE filtags_status reader_start(const struct reader_task *task, struct reader_process **reader);

/* Ask a question about a file and wait for the answer, which is at most most_bytes long, in an empty buffer that the
 * caller frees. FORMAT, "FILE: malformed file: ...": the reader crashed, took too long or gave an answer too long; it
 * is of no use any more. IO: it could not start. MEMORY. */
FILTAGS_MUST_USE filtags_status reader_ask(struct reader_process *reader, const char *file,
                                           const struct buffer *question, size_t most_bytes, struct buffer *answer);

/* Report an answer that makes no sense. FORMAT. */
filtags_status reader_refuse(const char *file);

/* Take the status at the head of an answer, and if it isn't 0 the message, to which the file's name is added. A status
 * that doesn't exist counts as reader_refuse. */
struct wire_reader;
FILTAGS_MUST_USE filtags_status reader_take_status(const char *file, struct wire_reader *answer);

/* End it. Harmless on NULL. */
void reader_stop(struct reader_process *reader);

#endif
