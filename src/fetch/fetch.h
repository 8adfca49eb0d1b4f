/* fetch.h - download a file whose contents are known by their hash: resumed after a break, never there in part.
 *
 * What has come is kept in PATH.part. A name appears in the folder only with the right contents; one process at a
 * time, which holds a lock on the part, downloads, and the others wait for it. As the contents are known beforehand,
 * nothing needs to be remembered of the server for a later attempt: a part of something else is found by the hash. */
#ifndef FILTAGS_FETCH_FETCH_H
#define FILTAGS_FETCH_FETCH_H

#include "filtags.h"

struct fetch_job {
    const char *url;
    const char *md5;  /* expected, 32 lower-case digits */
    const char *path; /* final name; its folder exists */
    const filtags_callbacks *callbacks; /* may be NULL */
    double stall_sec;      /* 0: the default, 60 */
    double retry_wait_sec; /* before the first new attempt, doubled for each further one; 0: the default, 0.5 */
};

/* Download to job->path, replacing what is there unless it has the right hash. IO: the server can't be reached, doesn't
 * have the file, breaks off again and again; the disk is full (the URL and the reason). DATA: another hash than
 * expected. CANCELLED; MEMORY. */
FILTAGS_MUST_USE filtags_status fetch_file(const struct fetch_job *job);

/* Tell whether there is a file with this MD5; hex gets what it has, "" where there is none. IO: it can't be read, which
 * is no reason to throw it away. */
FILTAGS_MUST_USE filtags_status fetch_check(const char *path, const char *md5, char hex[65], bool *is_right);

#endif
