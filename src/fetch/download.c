#include "fetch/download.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

enum { MOST_REDIRECTS = 10 };

/* A transfer under way. */
struct transfer {
    const struct download_request *request;
    CURL *curl;
    bool has_begun;          /* the first bytes have come, and where they belong is known */
    bool is_range_wrong;     /* the server sends another part than it was asked for */
    uint64_t n_bytes_before; /* of the file when the contents began to come */
    uint64_t n_bytes;        /* of the file */
    uint64_t range_first;    /* of the Content-Range header of the latest answer */
    uint64_t range_total;
    bool has_range_first, has_range_total;
    int write_errno; /* the disk is full, ... */
    double began_sec;
};

/* ---------------------------------------------------------------- what libcurl calls */

/* "bytes 100-199/200" or "bytes *" "/200" */
static void read_content_range(struct transfer *transfer, const char *value) {
    char *end;
    value += strspn(value, " \t");
    if (strncasecmp(value, "bytes", 5)) return;
    value += 5 + strspn(value + 5, " \t");
    if (*value >= '0' && *value <= '9') {
        transfer->range_first = strtoull(value, &end, 10);
        transfer->has_range_first = true;
    }
    const char *slash = strchr(value, '/');
    if (slash && slash[1] >= '0' && slash[1] <= '9') {
        transfer->range_total = strtoull(slash + 1, &end, 10);
        transfer->has_range_total = true;
    }
}

static size_t take_header(char *line, size_t size, size_t n, void *user) {
    static const char name[] = "content-range:";
    struct transfer *transfer = user;
    char text[128];
    size_t n_bytes = size * n, n_copied = n_bytes < sizeof text ? n_bytes : sizeof text - 1;
    memcpy(text, line, n_copied);
    text[n_copied] = '\0';
    if (!strncmp(text, "HTTP/", 5)) transfer->has_range_first = transfer->has_range_total = false; /* a new answer */
    if (!strncasecmp(text, name, sizeof name - 1)) read_content_range(transfer, text + sizeof name - 1);
    return n_bytes;
}

static long http_status_of(const struct transfer *transfer) {
    long http_status = 0;
    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &http_status);
    return http_status;
}

/* Before the first bytes: whether they go on from what the file has, or begin it anew. */
static bool begin_contents(struct transfer *transfer, long http_status) {
    uint64_t offset_bytes = transfer->request->offset_bytes;
    if (http_status == 206) {
        transfer->is_range_wrong = !transfer->has_range_first || transfer->range_first != offset_bytes;
        if (transfer->is_range_wrong) return false;
    } else {
        offset_bytes = 0;
    }
    if ((offset_bytes == 0 && ftruncate(transfer->request->fd, 0)) ||
        lseek(transfer->request->fd, (off_t)offset_bytes, SEEK_SET) < 0) {
        transfer->write_errno = errno;
        return false;
    }
    transfer->n_bytes = transfer->n_bytes_before = offset_bytes;
    transfer->began_sec = clock_sec();
    transfer->has_begun = true;
    return true;
}

static size_t take_contents(char *bytes, size_t size, size_t n, void *user) {
    struct transfer *transfer = user;
    size_t n_left = size * n;
    if (!transfer->has_begun) {
        long http_status = http_status_of(transfer);
        if (http_status != 200 && http_status != 206) return n_left; /* a page about a failure */
        if (!begin_contents(transfer, http_status)) return 0;
    }
    while (n_left > 0) {
        ssize_t n_written = write(transfer->request->fd, bytes, n_left);
        if (n_written < 0 && errno == EINTR) continue;
        if (n_written <= 0) {
            transfer->write_errno = n_written < 0 ? errno : ENOSPC;
            return 0;
        }
        bytes += n_written;
        n_left -= (size_t)n_written;
        transfer->n_bytes += (uint64_t)n_written;
    }
    return size * n;
}

static int tell_progress(void *user, curl_off_t n_total, curl_off_t n_now, curl_off_t n_up_total, curl_off_t n_up) {
    const struct transfer *transfer = user;
    const filtags_callbacks *callbacks = transfer->request->callbacks;
    (void)n_now, (void)n_up_total, (void)n_up;
    if (!callbacks) return 0;
    if (callbacks->is_cancelled && callbacks->is_cancelled(callbacks->user)) return 1;
    if (callbacks->progress && transfer->has_begun && n_total > 0) {
        filtags_progress progress = {.what = "fetch",
                                     .unit = "bytes",
                                     .n_done = transfer->n_bytes,
                                     .n_total = transfer->n_bytes_before + (uint64_t)n_total,
                                     .n_before = transfer->n_bytes_before,
                                     .elapsed_sec = clock_sec() - transfer->began_sec};
        if (progress.n_done <= progress.n_total) callbacks->progress(callbacks->user, &progress);
    }
    return 0;
}

/* ---------------------------------------------------------------- setting up */

static pthread_once_t global_once = PTHREAD_ONCE_INIT;

static void start_curl(void) { curl_global_init(CURL_GLOBAL_DEFAULT); }

static bool is_https(const char *url) { return !strncasecmp(url, "https:", 6); }

static CURLcode restrict_protocols(CURL *curl, const char *url) {
#if LIBCURL_VERSION_NUM >= 0x075500
    CURLcode code = curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    return code ? code : curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, is_https(url) ? "https" : "http,https");
#else
    long both = CURLPROTO_HTTP | CURLPROTO_HTTPS;
    CURLcode code = curl_easy_setopt(curl, CURLOPT_PROTOCOLS, both);
    return code ? code
                : curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS, is_https(url) ? (long)CURLPROTO_HTTPS : both);
#endif
}

/* TLS is verified by libcurl's default. */
static CURLcode set_options(struct transfer *transfer, char *error_text) {
    CURL *curl = transfer->curl;
    const struct download_request *request = transfer->request;
    const char *certificates = getenv("SSL_CERT_FILE");
    long stall_sec = (long)(request->stall_sec + 0.999);
    CURLcode code = curl_easy_setopt(curl, CURLOPT_URL, request->url);
    if (!code) code = restrict_protocols(curl, request->url);
    if (!code && certificates && *certificates) code = curl_easy_setopt(curl, CURLOPT_CAINFO, certificates);
    if (!code) code = curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error_text);
    if (!code) code = curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_contents);
    if (!code && request->offset_bytes) {
        /* not RESUME_FROM: with that, libcurl has a mind of its own about answers 200 and 416 */
        char range[32];
        snprintf(range, sizeof range, "%llu-", (unsigned long long)request->offset_bytes);
        code = curl_easy_setopt(curl, CURLOPT_RANGE, range);
    }
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, tell_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L); /* signals are the program's */
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)MOST_REDIRECTS);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, stall_sec);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, stall_sec);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "filtags/" FILTAGS_VERSION);
    return code;
}

/* ---------------------------------------------------------------- what came of it */

/* Give the result. text may hold parts of URLs and of what the server says. */
static void conclude(struct download_result *result, enum download_outcome outcome, filtags_status status,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));

static void conclude(struct download_result *result, enum download_outcome outcome, filtags_status status,
                     const char *format, ...) {
    char text[DOWNLOAD_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    text_make_printable(result->message, sizeof result->message, text);
    result->outcome = outcome;
    result->status = status;
}

static void judge_http_status(const struct transfer *transfer, long http_status, struct download_result *result) {
    bool is_worth_retrying = http_status == 408 || http_status == 429 || http_status >= 500;
    if (http_status == 416) {
        bool is_whole = transfer->has_range_total && transfer->range_total == transfer->request->offset_bytes;
        conclude(result, is_whole ? DOWNLOAD_WHOLE : DOWNLOAD_NO_RANGE, is_whole ? FILTAGS_OK : FILTAGS_ERROR_IO,
                 "HTTP status 416, no such range");
        return;
    }
    conclude(result, is_worth_retrying ? DOWNLOAD_BROKEN : DOWNLOAD_FAILED, FILTAGS_ERROR_IO,
             "the file expected, found HTTP status %ld%s", http_status,
             http_status == 404   ? ", not found"
             : http_status == 403 ? ", forbidden"
             : http_status == 407 ? ", the proxy wants a password"
                                  : "");
}

/* A server that can't be reached at all is not tried again. */
static bool is_broken_connection(const struct transfer *transfer, CURLcode code) {
    return code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ||
           code == CURLE_GOT_NOTHING || code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM ||
           (code == CURLE_OPERATION_TIMEDOUT && transfer->has_begun);
}

static void judge(const struct transfer *transfer, CURLcode code, const char *error_text,
                  struct download_result *result) {
    const char *reason = *error_text ? error_text : curl_easy_strerror(code);
    long http_status = http_status_of(transfer);
    if (transfer->write_errno) {
        conclude(result, DOWNLOAD_FAILED, FILTAGS_ERROR_IO, "%s: cannot be written: %s", transfer->request->path,
                 strerror(transfer->write_errno));
    } else if (transfer->is_range_wrong) {
        conclude(result, DOWNLOAD_NO_RANGE, FILTAGS_ERROR_IO, "another range than the wanted one");
    } else if (code == CURLE_HTTP_RETURNED_ERROR) {
        judge_http_status(transfer, http_status, result);
    } else if (code == CURLE_ABORTED_BY_CALLBACK) {
        conclude(result, DOWNLOAD_FAILED, FILTAGS_ERROR_CANCELLED, "stopped; what has come is kept for the next time");
    } else if (code) {
        enum download_outcome outcome = is_broken_connection(transfer, code) ? DOWNLOAD_BROKEN : DOWNLOAD_FAILED;
        conclude(result, outcome, FILTAGS_ERROR_IO, "%s", reason);
    } else if (http_status != 200 && http_status != 206) {
        conclude(result, DOWNLOAD_FAILED, FILTAGS_ERROR_IO, "the file expected, found HTTP status %ld", http_status);
    } else if (!transfer->has_begun && ftruncate(transfer->request->fd, 0)) { /* nothing came: an empty file */
        conclude(result, DOWNLOAD_FAILED, FILTAGS_ERROR_IO, "%s: cannot be written: %s", transfer->request->path,
                 strerror(errno));
    } else {
        conclude(result, DOWNLOAD_WHOLE, FILTAGS_OK, "%s", "");
    }
}

void download_run(const struct download_request *request, struct download_result *result) {
    char error_text[CURL_ERROR_SIZE] = "";
    pthread_once(&global_once, start_curl);
    struct transfer transfer = {.request = request, .curl = curl_easy_init()};
    if (!transfer.curl) {
        conclude(result, DOWNLOAD_FAILED, FILTAGS_ERROR_MEMORY, "libcurl could not be started");
        return;
    }
    CURLcode code = set_options(&transfer, error_text);
    if (code) {
        conclude(result, DOWNLOAD_FAILED, FILTAGS_ERROR_INTERNAL, "libcurl: %s", curl_easy_strerror(code));
    } else {
        code = curl_easy_perform(transfer.curl);
        judge(&transfer, code, error_text, result);
    }
    curl_easy_cleanup(transfer.curl);
}
