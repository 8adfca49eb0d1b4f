#include "store/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"

enum { LOG_LINE_BYTES = 8192 }; /* a message with the longest path */

struct output {
    char *folder, *run_id, *kind, *network;
    filtags_callbacks callbacks;
    FILE *info_log, *warnings_log;
    char *info_log_path, *warnings_log_path;
    struct file_writer *writers; /* [n_files] */
    char **paths;                /* [n_files] */
    size_t n_files, writers_capacity, paths_capacity;
    size_t n_warnings;
    int log_errno; /* why a line of a log could not be written, 0: all were */
    bool has_committed;
    double start_sec;
    char started[32];
    pthread_mutex_t lock;
};

/* ---------------------------------------------------------------- runID */

static bool is_name_of_run(const char *name, const char *run_id, const char *kind) {
    size_t n_id = strlen(run_id), n_kind = strlen(kind);
    return strncmp(name, run_id, n_id) == 0 && name[n_id] == '-' && strncmp(name + n_id + 1, kind, n_kind) == 0 &&
           name[n_id + 1 + n_kind] == '-';
}

static filtags_status run_id_is_taken(const char *save_dir, const char *run_id, const char *const *kinds,
                                      size_t n_kinds, bool *is_taken) {
    DIR *folder = opendir(save_dir);
    if (!folder) return error_set_errno(FILTAGS_ERROR_IO, "%s: --save-dir cannot be read", save_dir);
    *is_taken = false;
    errno = 0; /* readdir tells the end and a failure apart by it alone */
    for (struct dirent *entry; !*is_taken && (entry = readdir(folder)); errno = 0) {
        for (size_t i = 0; i < n_kinds; i++) *is_taken = *is_taken || is_name_of_run(entry->d_name, run_id, kinds[i]);
    }
    filtags_status status = errno ? error_set_errno(FILTAGS_ERROR_IO, "%s: --save-dir cannot be read", save_dir)
                                  : FILTAGS_OK;
    closedir(folder);
    return status;
}

filtags_status output_choose_run_id(const char *save_dir, double time_delta_hours, const char *const *kinds,
                                    size_t n_kinds, char run_id[RUN_ID_BYTES]) {
    time_t now = time(NULL) + (time_t)(time_delta_hours * 3600);
    struct tm calendar;
    char minute[20];
    gmtime_r(&now, &calendar);
    strftime(minute, sizeof minute, "%Y-%m-%d-%H%M", &calendar);
    /* "", b .. z, then bb .. zz: more than anyone starts in a minute */
    for (int n_letters = 0; n_letters <= 2; n_letters++) {
        for (int code = 0, n_codes = n_letters == 0 ? 1 : n_letters == 1 ? 25 : 625; code < n_codes; code++) {
            char candidate[RUN_ID_BYTES], suffix[3] = "";
            bool is_taken = true;
            if (n_letters == 1) suffix[0] = (char)('b' + code);
            if (n_letters == 2) suffix[0] = (char)('b' + code / 25), suffix[1] = (char)('b' + code % 25);
            snprintf(candidate, sizeof candidate, "%s%s", minute, suffix);
            filtags_status status = run_id_is_taken(save_dir, candidate, kinds, n_kinds, &is_taken);
            if (status) return status;
            if (!is_taken) {
                memcpy(run_id, candidate, sizeof candidate);
                return FILTAGS_OK;
            }
        }
    }
    return error_set(FILTAGS_ERROR_IO, "%s: every runID of the minute %s is taken", save_dir, minute);
}

/* ---------------------------------------------------------------- open, logs */

enum log_mode { CREATE_LOG, APPEND_TO_LOG, TRUNCATE_LOG };

static filtags_status open_log(const struct output *output, const char *which, enum log_mode mode, char **path,
                               FILE **log) {
    const int flags = mode == CREATE_LOG ? O_EXCL : mode == APPEND_TO_LOG ? O_APPEND : O_TRUNC;
    char *name = memory_format("%s-%s-%s.log", output->run_id, output->kind, which);
    *path = name ? path_join(output->folder, name) : NULL;
    free(name);
    if (!*path) return FILTAGS_ERROR_MEMORY;
    int fd = open(*path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666); /* O_EXCL: claims the runID */
    if (fd < 0 || !(*log = fdopen(fd, "w"))) {
        filtags_status status = error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be created", *path);
        if (fd >= 0) {
            close(fd);
            unlink(*path);
        }
        return status;
    }
    setvbuf(*log, NULL, _IOLBF, BUFSIZ); /* each line is there at once */
    return FILTAGS_OK;
}

/* Without logs. */
static filtags_status create_output(const char *save_dir, const char *run_id, const char *kind, const char *network,
                                    const filtags_callbacks *callbacks, struct output **result) {
    time_t now = time(NULL);
    struct tm calendar;
    struct output *output = memory_new(1, sizeof *output);
    if (!output) return FILTAGS_ERROR_MEMORY;
    pthread_mutex_init(&output->lock, NULL);
    output->start_sec = clock_sec();
    gmtime_r(&now, &calendar);
    strftime(output->started, sizeof output->started, "%Y-%m-%dT%H:%M:%SZ", &calendar);
    if (callbacks) output->callbacks = *callbacks;
    output->folder = memory_copy_string(save_dir);
    output->run_id = memory_copy_string(run_id);
    output->kind = memory_copy_string(kind);
    output->network = memory_copy_string(network);
    if (!output->folder || !output->run_id || !output->kind || !output->network) {
        output_close(output, NULL);
        return FILTAGS_ERROR_MEMORY;
    }
    *result = output;
    return FILTAGS_OK;
}

static filtags_status open_output(const char *save_dir, const char *run_id, const char *kind, const char *network,
                                  const filtags_callbacks *callbacks, bool is_new, struct output **result) {
    struct output *output = NULL;
    filtags_status status = create_output(save_dir, run_id, kind, network, callbacks, &output);
    if (status) return status;
    status = open_log(output, "info", is_new ? CREATE_LOG : APPEND_TO_LOG, &output->info_log_path, &output->info_log);
    if (status) goto fail;
    status = open_log(output, "warnings", is_new ? CREATE_LOG : TRUNCATE_LOG, &output->warnings_log_path,
                      &output->warnings_log);
    if (status) goto fail;
    *result = output;
    return FILTAGS_OK;
fail:
    if (output->info_log && is_new) unlink(output->info_log_path);
    output_close(output, NULL);
    return status;
}

filtags_status output_open(const char *save_dir, const char *run_id, const char *kind, const char *network,
                           const filtags_callbacks *callbacks, struct output **output) {
    return open_output(save_dir, run_id, kind, network, callbacks, true, output);
}

filtags_status output_open_silent(const char *save_dir, struct output **output) {
    return create_output(save_dir, "filtags", "helper", "", NULL, output);
}

/* ---------------------------------------------------------------- a run that was ended */

/* What a run leaves in save_dir under a kind, but for its logs. */
struct leftovers {
    char **paths; /* [n] */
    size_t n, capacity;
};

static filtags_status list_leftovers(const char *save_dir, const char *run_id, const char *kind, bool wants_hidden,
                                     struct leftovers *list) {
    filtags_status status = FILTAGS_OK;
    DIR *folder = opendir(save_dir);
    if (!folder) return error_set_errno(FILTAGS_ERROR_IO, "%s: --save-dir cannot be read", save_dir);
    for (struct dirent *entry; !status && (entry = readdir(folder));) {
        const char *name = entry->d_name;
        const bool is_hidden = *name == '.';
        if (!is_name_of_run(name + is_hidden, run_id, kind) || (is_hidden && !wants_hidden)) continue;
        if (!is_hidden && text_ends_with(name, ".log")) continue;
        void *paths = list->paths;
        if (memory_grow(&paths, &list->capacity, list->n + 1, sizeof *list->paths)) status = FILTAGS_ERROR_MEMORY;
        else list->paths = paths;
        if (!status && !(list->paths[list->n] = path_join(save_dir, name))) status = FILTAGS_ERROR_MEMORY;
        if (!status) list->n++;
    }
    closedir(folder);
    return status;
}

static void free_leftovers(struct leftovers *list) {
    for (size_t i = 0; i < list->n; i++) free(list->paths[i]);
    free(list->paths);
    *list = (struct leftovers){0};
}

filtags_status output_continue(const char *save_dir, const char *run_id, const char *kind, const char *network,
                               const filtags_callbacks *callbacks, struct output **output) {
    struct leftovers list = {0};
    filtags_status status = list_leftovers(save_dir, run_id, kind, true, &list);
    for (size_t i = 0; !status && i < list.n; i++)
        if (unlink(list.paths[i])) status = error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be removed", list.paths[i]);
    free_leftovers(&list);
    return status ? status : open_output(save_dir, run_id, kind, network, callbacks, false, output);
}

/* A file that was given its name and was not rid of the temporary one yet has both. */
static void remove_hidden(const char *save_dir, const char *run_id, const char *kind) {
    struct leftovers list = {0};
    filtags_status status = list_leftovers(save_dir, run_id, kind, true, &list);
    for (size_t i = 0; !status && i < list.n; i++)
        if (*path_base(list.paths[i]) == '.') unlink(list.paths[i]);
    free_leftovers(&list);
}

static int compare_paths(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

filtags_status output_find_finished(const char *save_dir, const char *run_id, const char *kind,
                                    const char *main_suffix, char ***files, size_t *n_files) {
    struct leftovers list = {0};
    size_t place = 0;
    filtags_status status = list_leftovers(save_dir, run_id, kind, false, &list);
    if (status) {
        free_leftovers(&list);
        return status;
    }
    if (list.n) qsort(list.paths, list.n, sizeof *list.paths, compare_paths);
    while (place < list.n && !text_ends_with(list.paths[place], main_suffix)) place++;
    if (place == list.n) {
        free_leftovers(&list);
        *n_files = 0;
        return FILTAGS_OK;
    }
    remove_hidden(save_dir, run_id, kind);
    char *main_path = list.paths[place];
    memmove(list.paths + 1, list.paths, place * sizeof *list.paths);
    list.paths[0] = main_path;
    *files = list.paths;
    *n_files = list.n;
    return FILTAGS_OK;
}

/* errno is another's by the time the log is closed. */
static void keep_log_errno(struct output *output, int n_printed) {
    if (n_printed < 0 && !output->log_errno) output->log_errno = errno;
}

/* Where a line goes. */
enum { TO_LOG = 1, TO_CALLBACK = 2 };

static void log_line(struct output *output, filtags_log_level level, int where, const char *format, va_list arguments) {
    char text[LOG_LINE_BYTES], line[LOG_LINE_BYTES];
    vsnprintf(text, sizeof text, format, arguments);
    text_make_printable(line, sizeof line, text);
    pthread_mutex_lock(&output->lock);
    if (where & TO_LOG && level == FILTAGS_LOG_INFO && output->info_log) {
        keep_log_errno(output, fprintf(output->info_log, "%.1f s: %s\n", output_elapsed_sec(output), line));
    }
    if (where & TO_LOG && level == FILTAGS_LOG_WARNING && output->warnings_log) {
        keep_log_errno(output, fprintf(output->warnings_log, "%s\n", line));
        output->n_warnings++;
    }
    if (where & TO_CALLBACK && output->callbacks.log) output->callbacks.log(output->callbacks.user, level, line);
    pthread_mutex_unlock(&output->lock);
}

void output_log(struct output *output, filtags_log_level level, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    log_line(output, level, TO_LOG | TO_CALLBACK, format, arguments);
    va_end(arguments);
}

void output_log_detail(struct output *output, filtags_log_level level, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    log_line(output, level, TO_LOG, format, arguments);
    va_end(arguments);
}

void output_tell(struct output *output, filtags_log_level level, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    log_line(output, level, TO_CALLBACK, format, arguments);
    va_end(arguments);
}

size_t output_n_warnings(const struct output *output) { return output->n_warnings; }

/* ---------------------------------------------------------------- files */

char *output_path(const struct output *output, const char *suffix) {
    const char *dash = suffix[0] == '.' ? "" : "-";
    char *name = memory_format("%s-%s-%s%s%s", output->run_id, output->kind, output->network, dash, suffix);
    char *path = name ? path_join(output->folder, name) : NULL;
    free(name);
    return path;
}

filtags_status output_check_room(struct output *output, const char *what, double bytes) {
    enum { WORTH_A_WARNING_BYTES = 1000 * 1000 * 1000 };
    struct statvfs disk;
    filtags_log_level level = bytes > WORTH_A_WARNING_BYTES ? FILTAGS_LOG_WARNING : FILTAGS_LOG_INFO;
    output_log(output, level, "%s will have about %.1f MB", what, bytes / 1e6);
    if (statvfs(output->folder, &disk)) return FILTAGS_OK; /* not known: the writing will tell */
    double free_bytes = (double)disk.f_bavail * (double)disk.f_frsize;
    if (bytes <= free_bytes) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_IO, "%s: %.1f MB of disk expected to be free for %s, found %.1f MB", output->folder,
                     bytes / 1e6, what, free_bytes / 1e6);
}

filtags_status output_start_file(struct output *output, const char *suffix, FILE **stream) {
    void *writers = output->writers, *paths = output->paths;
    int has_failed = memory_grow(&writers, &output->writers_capacity, output->n_files + 1, sizeof *output->writers);
    output->writers = writers;
    has_failed = has_failed || memory_grow(&paths, &output->paths_capacity, output->n_files + 1, sizeof *output->paths);
    output->paths = paths;
    if (has_failed) return FILTAGS_ERROR_MEMORY;
    char *path = output_path(output, suffix);
    if (!path) return FILTAGS_ERROR_MEMORY;
    filtags_status status = file_writer_open(&output->writers[output->n_files], path);
    if (status) {
        free(path);
        return status;
    }
    output->paths[output->n_files] = path;
    *stream = output->writers[output->n_files++].stream;
    return FILTAGS_OK;
}

filtags_status output_end_file(struct output *output) {
    return file_writer_finish(&output->writers[output->n_files - 1]);
}

filtags_status output_write_text(struct output *output, const char *suffix, const char *text) {
    FILE *stream;
    filtags_status status = output_start_file(output, suffix, &stream);
    if (status) return status;
    fputs(text, stream);
    return output_end_file(output);
}

const char *output_run_id(const struct output *output) { return output->run_id; }

const char *output_file(const struct output *output, size_t index) {
    return index < output->n_files ? output->paths[index] : NULL;
}

const char *output_started(const struct output *output) { return output->started; }

double output_elapsed_sec(const struct output *output) { return clock_sec() - output->start_sec; }

filtags_status output_open_scratch(struct output *output, FILE **stream) {
    char *path = memory_format("%s/.%s-%s-scratch.XXXXXX", output->folder, output->run_id, output->kind);
    if (!path) return FILTAGS_ERROR_MEMORY;
    filtags_status status = FILTAGS_OK;
    int fd = mkstemp(path);
    if (fd >= 0) unlink(path);
    if (fd < 0 || !(*stream = fdopen(fd, "w+b"))) {
        status = error_set_errno(FILTAGS_ERROR_IO, "%s: scratch file cannot be created", path);
        if (fd >= 0) close(fd);
    }
    free(path);
    return status;
}

/* ---------------------------------------------------------------- end */

static filtags_status close_log(FILE **log, const char *path, int log_errno) {
    bool has_failed = ferror(*log) != 0;
    if (fclose(*log) && !has_failed) {
        has_failed = true;
        log_errno = errno;
    }
    *log = NULL;
    errno = log_errno ? log_errno : EIO;
    return has_failed ? error_set_errno(FILTAGS_ERROR_IO, "%s: could not be written whole", path) : FILTAGS_OK;
}

static filtags_status close_logs(struct output *output) {
    filtags_status status = close_log(&output->info_log, output->info_log_path, output->log_errno);
    return status ? status : close_log(&output->warnings_log, output->warnings_log_path, output->log_errno);
}

filtags_status output_commit_with(struct output *output, const char *suffix, const char *path) {
    filtags_status status = close_logs(output);
    if (status) return status;
    char *final_path = output_path(output, suffix);
    if (!final_path) return FILTAGS_ERROR_MEMORY;
    status = file_link(path, final_path);
    free(final_path);
    output->has_committed = !status;
    return status;
}

filtags_status output_commit(struct output *output) {
    filtags_status status = close_logs(output);
    size_t n_published = 0;
    /* from the last to the first: the main file, started first, appears when all around it is there */
    for (; !status && n_published < output->n_files; n_published++) {
        status = file_writer_publish(&output->writers[output->n_files - 1 - n_published]);
        if (status) break;
    }
    if (status) { /* all or none */
        for (size_t i = 0; i < n_published; i++) unlink(output->paths[output->n_files - 1 - i]);
    }
    output->has_committed = !status;
    return status;
}

void output_close(struct output *output, const char *error) {
    if (!output) return;
    if (output->info_log) {
        if (error) fprintf(output->info_log, "%.1f s: failed: %s\n", output_elapsed_sec(output), error);
        fclose(output->info_log);
    }
    if (output->warnings_log) fclose(output->warnings_log);
    for (size_t i = 0; i < output->n_files; i++) {
        file_writer_abort(&output->writers[i]);
        free(output->paths[i]);
    }
    free(output->writers);
    free(output->paths);
    free(output->info_log_path);
    free(output->warnings_log_path);
    free(output->folder);
    free(output->run_id);
    free(output->kind);
    free(output->network);
    pthread_mutex_destroy(&output->lock);
    free(output);
}
