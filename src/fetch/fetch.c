#include "fetch/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash_cache.h"
#include "base/memory.h"
#include "fetch/download.h"

enum { MOST_ATTEMPTS = 4 }; /* that bring nothing, in a row */

static const double DEFAULT_STALL_SEC = 60, DEFAULT_RETRY_WAIT_SEC = 0.5, LOCK_POLL_SEC = 0.1;

/* A download under way. */
struct fetch {
    const struct fetch_job *job;
    char *url;       /* for messages: without a password */
    char *part_path;
    int fd;          /* of the part, locked; -1: not open */
    bool is_resumed; /* some of the part is from an earlier time */
};

bool fetch_is_right(const char *path, const char *md5, char hex[HASH_HEX_BYTES]) {
    hex[0] = '\0';
    if (access(path, F_OK) || hash_file_cached(HASH_MD5, path, hex)) return false;
    return !strcasecmp(hex, md5);
}

static bool is_cancelled(const struct fetch_job *job) {
    return job->callbacks && job->callbacks->is_cancelled && job->callbacks->is_cancelled(job->callbacks->user);
}

static void tell(const struct fetch_job *job, filtags_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(const struct fetch_job *job, filtags_log_level level, const char *format, ...) {
    char text[1024], line[1024];
    va_list arguments;
    if (!job->callbacks || !job->callbacks->log) return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    text_make_printable(line, sizeof line, text);
    job->callbacks->log(job->callbacks->user, level, line);
}

/* Sleep, in short pieces so that a run can be stopped. */
static filtags_status wait_for(const struct fetch_job *job, double sec) {
    for (double slept_sec = 0; slept_sec < sec && !is_cancelled(job); slept_sec += LOCK_POLL_SEC) {
        double piece_sec = sec - slept_sec < LOCK_POLL_SEC ? sec - slept_sec : LOCK_POLL_SEC;
        nanosleep(&(struct timespec){.tv_nsec = (long)(piece_sec * 1e9)}, NULL);
    }
    if (!is_cancelled(job)) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_CANCELLED, "%s: stopped", job->path);
}

/* "http://user:password@host/" -> "http://host/" */
static char *url_for_messages(const char *url) {
    const char *host = strstr(url, "://");
    if (!host) return memory_copy_string(url);
    host += 3;
    size_t n_authority = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', n_authority);
    return memory_format("%.*s%s", (int)(host - url), url, at ? at + 1 : host);
}

/* ---------------------------------------------------------------- the part */

/* Whether the open file still has the name: whoever held the lock before may have renamed or removed it. */
static bool has_name(int fd, const char *path) {
    struct stat open_file, named_file;
    return !fstat(fd, &open_file) && !stat(path, &named_file) && open_file.st_ino == named_file.st_ino &&
           open_file.st_dev == named_file.st_dev;
}

static filtags_status open_part(struct fetch *fetch) {
    bool has_told = false;
    for (;;) {
        fetch->fd = open(fetch->part_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (fetch->fd < 0) return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be written", fetch->part_path);
        int failure = flock(fetch->fd, LOCK_EX | LOCK_NB) ? errno : 0;
        if (!failure && has_name(fetch->fd, fetch->part_path)) return FILTAGS_OK;
        close(fetch->fd);
        fetch->fd = -1;
        if (failure && failure != EWOULDBLOCK && failure != EINTR) {
            errno = failure;
            return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be locked", fetch->part_path);
        }
        if (failure && !has_told) {
            tell(fetch->job, FILTAGS_LOG_INFO, "%s: another process is downloading it; waiting", fetch->job->path);
            has_told = true;
        }
        filtags_status status = failure ? wait_for(fetch->job, LOCK_POLL_SEC) : FILTAGS_OK;
        if (status) return status;
    }
}

static uint64_t part_size(const struct fetch *fetch) {
    struct stat info;
    return fstat(fetch->fd, &info) ? 0 : (uint64_t)info.st_size;
}

static filtags_status empty_part(const struct fetch *fetch) {
    if (!ftruncate(fetch->fd, 0)) return FILTAGS_OK;
    return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be written", fetch->part_path);
}

/* Make the name appear, and last. */
static filtags_status publish_part(const struct fetch *fetch) {
    const char *path = fetch->job->path;
    if (fsync(fetch->fd)) return error_set_errno(FILTAGS_ERROR_IO, "%s: could not be written whole", fetch->part_path);
    if (rename(fetch->part_path, path))
        return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be given its name", path);
    char *folder = path_folder(path);
    if (!folder) return FILTAGS_ERROR_MEMORY;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (fd >= 0) {
        fsync(fd); /* the file is whole either way; some file systems can't do this */
        close(fd);
    }
    return FILTAGS_OK;
}

/* ---------------------------------------------------------------- attempts */

static filtags_status download_part(struct fetch *fetch) {
    const struct fetch_job *job = fetch->job;
    double wait_sec = job->retry_wait_sec > 0 ? job->retry_wait_sec : DEFAULT_RETRY_WAIT_SEC;
    struct download_result result;
    for (int n_in_vain = 0;;) {
        struct download_request request = {.url = job->url,
                                           .fd = fetch->fd,
                                           .path = fetch->part_path,
                                           .offset_bytes = part_size(fetch),
                                           .stall_sec = job->stall_sec > 0 ? job->stall_sec : DEFAULT_STALL_SEC,
                                           .callbacks = job->callbacks};
        download_run(&request, &result);
        if (result.outcome == DOWNLOAD_WHOLE) return FILTAGS_OK;
        if (result.outcome == DOWNLOAD_FAILED) break;
        filtags_status status = FILTAGS_OK;
        if (result.outcome == DOWNLOAD_NO_RANGE) {
            if (request.offset_bytes == 0) break;
            fetch->is_resumed = false;
            status = empty_part(fetch);
            n_in_vain++;
        } else {
            n_in_vain = part_size(fetch) > request.offset_bytes ? 0 : n_in_vain + 1;
            if (n_in_vain == MOST_ATTEMPTS) break;
            tell(job, FILTAGS_LOG_INFO, "%s: %s; trying again", fetch->url, result.message);
            status = wait_for(job, wait_sec * (double)(1 << n_in_vain) / 2); /* doubled for each one in vain */
        }
        if (status) return status;
        if (n_in_vain >= MOST_ATTEMPTS) break;
    }
    return error_set(result.status, "%s: %s", fetch->url, result.message);
}

static filtags_status report_hash(const struct fetch *fetch, const char *found) {
    return error_set(FILTAGS_ERROR_DATA, "%s: a file of MD5 %s expected, found one of %s, which is thrown away",
                     fetch->url, fetch->job->md5, found);
}

/* Download until the part has the right contents. A wrong hash is given a second chance where not all of the part is
 * of this time. */
static filtags_status download_right_part(struct fetch *fetch) {
    for (;;) {
        char hex[HASH_HEX_BYTES];
        filtags_status status = download_part(fetch);
        if (status) return status;
        if (fetch_is_right(fetch->part_path, fetch->job->md5, hex)) return FILTAGS_OK;
        status = empty_part(fetch);
        if (status) return status;
        if (!fetch->is_resumed) return report_hash(fetch, *hex ? hex : "none");
        tell(fetch->job, FILTAGS_LOG_INFO, "%s: the part from an earlier time doesn't fit; beginning anew", fetch->url);
        fetch->is_resumed = false;
    }
}

static void close_part(struct fetch *fetch) {
    if (fetch->fd < 0) return;
    if (part_size(fetch) == 0 && has_name(fetch->fd, fetch->part_path)) unlink(fetch->part_path);
    close(fetch->fd); /* and with it goes the lock */
}

filtags_status fetch_file(const struct fetch_job *job) {
    char hex[HASH_HEX_BYTES];
    struct fetch fetch = {.job = job, .fd = -1};
    filtags_status status = FILTAGS_ERROR_MEMORY;
    fetch.url = url_for_messages(job->url);
    fetch.part_path = memory_format("%s.part", job->path);
    if (!fetch.url || !fetch.part_path) goto done;
    status = open_part(&fetch);
    if (status) goto done;
    if (fetch_is_right(job->path, job->md5, hex)) { /* the process that we waited for has brought it */
        status = empty_part(&fetch);
        goto done;
    }
    fetch.is_resumed = part_size(&fetch) > 0;
    if (fetch.is_resumed) {
        tell(job, FILTAGS_LOG_INFO, "%s: going on from %.1f MB", fetch.url, (double)part_size(&fetch) / 1e6);
    }
    status = download_right_part(&fetch);
    if (!status) status = publish_part(&fetch);
done:
    close_part(&fetch);
    free(fetch.url);
    free(fetch.part_path);
    return status;
}
