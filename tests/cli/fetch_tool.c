/* fetch_tool.c - download a file of any hash, for test_fetch.py: the program itself takes only the official ones.
 *
 *     fetch_tool file URL MD5 PATH [STALL_SEC [RETRY_WAIT_SEC]]
 *     fetch_tool weights FILE MD5 [offline]     of a network whose official address is http://localhost:1/official/net/
 *
 * Prints "STATUS: message" (status 0: done; then the path, and where it is from). The log goes to stderr, with the
 * progress of the last call. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fetch/cache.h"
#include "fetch/fetch.h"

static filtags_progress last_progress;

static void print_log(void *user, filtags_log_level level, const char *line) {
    (void)user;
    fprintf(stderr, "%s: %s\n", level == FILTAGS_LOG_WARNING ? "warning" : "info", line);
}

static void keep_progress(void *user, const filtags_progress *progress) {
    (void)user;
    last_progress = *progress;
}

static const filtags_callbacks callbacks = {.log = print_log, .progress = keep_progress};

static filtags_status run_file(int n, char **words) {
    struct fetch_job job = {.url = words[0],
                            .md5 = words[1],
                            .path = words[2],
                            .callbacks = &callbacks,
                            .stall_sec = n > 3 ? atof(words[3]) : 0,
                            .retry_wait_sec = n > 4 ? atof(words[4]) : 0.05};
    filtags_status status = fetch_file(&job);
    fprintf(stderr, "progress: %llu before, %llu of %llu %s\n", (unsigned long long)last_progress.n_before,
            (unsigned long long)last_progress.n_done, (unsigned long long)last_progress.n_total,
            last_progress.unit ? last_progress.unit : "");
    if (!status) printf("0: %s\n", job.path);
    return status;
}

static filtags_status run_weights(int n, char **words) {
    static const char *const sources[] = {"downloaded", "cached", "of Keras"};
    const filtags_network network = {.name = "Net",
                                     .weights_url = "http://localhost:1/official/net/",
                                     .weights_file = words[0],
                                     .weights_md5 = words[1]};
    enum weights_source source;
    char *path = NULL;
    filtags_status status = weights_open(&network, n > 2, &callbacks, &path, &source);
    if (!status) printf("0: %s, %s\n", path, sources[source]);
    free(path);
    return status;
}

int main(int argc, char **argv) {
    filtags_status status;
    if (argc >= 5 && !strcmp(argv[1], "file")) status = run_file(argc - 2, argv + 2);
    else if (argc >= 4 && !strcmp(argv[1], "weights")) status = run_weights(argc - 2, argv + 2);
    else return 2;
    if (status) printf("%d: %s\n", (int)status, filtags_error_message());
    return status ? 1 : 0;
}
