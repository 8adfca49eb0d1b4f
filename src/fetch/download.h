/* download.h - one HTTP transfer, by libcurl. */
#ifndef FILTAGS_FETCH_DOWNLOAD_H
#define FILTAGS_FETCH_DOWNLOAD_H

#include "filtags.h"

enum { DOWNLOAD_MESSAGE_BYTES = 600 };

struct download_request {
    const char *url;        /* http or https; redirects lead to http(s), from https to https alone */
    int fd;                 /* of the file that gets the contents */
    const char *path;       /* its name, for messages */
    uint64_t offset_bytes;  /* what the file has already: the server is asked for the rest */
    double stall_sec;       /* a transfer that stands still for so long has failed; also the time to connect */
    const filtags_callbacks *callbacks; /* progress ("fetch", in bytes) and is_cancelled; may be NULL */
};

enum download_outcome {
    DOWNLOAD_WHOLE,     /* the file has everything that the server has */
    DOWNLOAD_BROKEN,    /* ended early or was put off: worth another attempt, from what the file has now */
    DOWNLOAD_NO_RANGE,  /* the server has no such rest: the file isn't the beginning of what it has */
    DOWNLOAD_FAILED     /* no use to try again */
};

struct download_result {
    enum download_outcome outcome;
    filtags_status status; /* of BROKEN and FAILED */
    char message[DOWNLOAD_MESSAGE_BYTES];
};

/* Append to the file what it lacks of the URL. A server that ignores ranges sends everything, and the file is begun
 * anew. Environment: the proxy variables that libcurl reads, and SSL_CERT_FILE (certificates to trust). The caller
 * sets the error message from the result. */
void download_run(const struct download_request *request, struct download_result *result);

#endif
