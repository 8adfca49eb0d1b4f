#include "base/reader_process.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/reader_place.h" /* made by meson */
#include "base/wire.h"

struct reader_process {
    pid_t pid; /* 0: it has ended and been waited for, or is some other's to wait for */
    int socket;
    struct reader_task task;
    bool has_started; /* it has said so, in its sandbox, before it looked at the file */
    char *program;
};

/* ------------------------------------------------------------------ where the program is */

static const char PROGRAM[] = "filtags-read";

/* The places, in order, each of them ending in a newline; an environment variable beats all. After an installation the
 * program is in libexecdir. Where that is follows from where the library is, so that an installation can be moved; the
 * configured folder comes last. In the build tree it is beside the library. */
static void list_places(struct buffer *places) {
    const char *given = secure_getenv("FILTAGS_READER");
    Dl_info library;
    if (given && *given) {
        buffer_printf(places, "%s\n", given);
        return;
    }
    if (dladdr(PROGRAM, &library) && library.dli_fname && strchr(library.dli_fname, '/')) {
        char *folder = path_folder(library.dli_fname);
        size_t n = folder ? strlen(folder) : 0, n_tail = strlen("/" FILTAGS_LIBDIR);
        if (!folder) places->has_failed = true;
        if (folder) buffer_printf(places, "%s/%s\n", folder, PROGRAM);
        if (n > n_tail && strcmp(folder + n - n_tail, "/" FILTAGS_LIBDIR) == 0)
            buffer_printf(places, "%.*s/%s/%s\n", (int)(n - n_tail), folder, FILTAGS_LIBEXECDIR, PROGRAM);
        free(folder);
    }
    buffer_printf(places, "%s/%s\n", FILTAGS_READER_FOLDER, PROGRAM);
}

static filtags_status find_program(char **program) {
    struct buffer places = {0};
    list_places(&places);
    if (places.has_failed) {
        buffer_free(&places);
        return FILTAGS_ERROR_MEMORY;
    }
    for (char *place = places.data, *end; (end = strchr(place, '\n')); place = end + 1) {
        *end = '\0';
        filtags_status status = access(place, X_OK) == 0 ? FILTAGS_OK : FILTAGS_ERROR_IO;
        bool is_missing = status && (errno == ENOENT || errno == ENOTDIR);
        if (!status && !(*program = memory_copy_string(place))) status = FILTAGS_ERROR_MEMORY;
        if (status == FILTAGS_ERROR_IO && !is_missing)
            status = error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be used", place);
        *end = ',';
        if (!is_missing) {
            buffer_free(&places);
            return status;
        }
    }
    places.data[places.size_bytes - 1] = '\0';
    filtags_status status =
        error_set(FILTAGS_ERROR_IO, "the program %s, which reads files for this one, is not there: looked for %s "
                  "(FILTAGS_READER names another place)", PROGRAM, places.data);
    buffer_free(&places);
    return status;
}

/* ------------------------------------------------------------------ starting */

/* Nothing of the environment but what finds libraries, and what a build with sanitizers is told. */
static void choose_environment(char *environment[], size_t n_room, struct buffer *text) {
    static const char *const kept[] = {"LD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"};
    size_t offsets[sizeof kept / sizeof *kept], n = 0;
    for (size_t i = 0; i < sizeof kept / sizeof *kept && n + 1 < n_room; i++) {
        const char *value = getenv(kept[i]);
        if (!value) continue;
        offsets[n++] = text->size_bytes;
        buffer_printf(text, "%s=%s", kept[i], value);
        buffer_append(text, "", 1);
    }
    for (size_t i = 0; i < n && !text->has_failed; i++) environment[i] = text->data + offsets[i];
    environment[n] = NULL;
}

/* socket becomes the program's standard input, fd its descriptor READER_FD, and it has no others but /dev/null. */
static int choose_descriptors(posix_spawn_file_actions_t *actions, int socket, int fd) {
    int error = posix_spawn_file_actions_adddup2(actions, socket, READER_TALK_FD);
    if (!error) error = posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (!error) error = posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (!error && fd >= 0) error = posix_spawn_file_actions_adddup2(actions, fd, READER_FD);
    if (!error) error = posix_spawn_file_actions_addclosefrom_np(actions, fd >= 0 ? READER_FD + 1 : READER_FD);
    return error;
}

/* A process group of its own, so that Ctrl-C is for this process alone; no signal is blocked or ignored in it. */
static int choose_attributes(posix_spawnattr_t *attributes) {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                         POSIX_SPAWN_SETPGROUP);
    if (!error) error = posix_spawnattr_setsigmask(attributes, &none);
    if (!error) error = posix_spawnattr_setsigdefault(attributes, &all);
    return error;
}

/* socket and fd are above the descriptors that the program gets. Returns an error number. */
static int spawn(const struct reader_process *reader, int socket, int fd, pid_t *pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    struct buffer text = {0};
    char *environment[8] = {NULL};
    char size[24];
    snprintf(size, sizeof size, "%zu", reader->task.size_bytes);
    char *arguments[] = {(char *)PROGRAM, (char *)reader->task.kind, fd < 0 ? size : NULL, NULL};
    if (posix_spawn_file_actions_init(&actions)) return ENOMEM;
    if (posix_spawnattr_init(&attributes)) {
        posix_spawn_file_actions_destroy(&actions);
        return ENOMEM;
    }
    choose_environment(environment, sizeof environment / sizeof *environment, &text);
    int error = text.has_failed ? ENOMEM : choose_descriptors(&actions, socket, fd);
    if (!error) error = choose_attributes(&attributes);
    if (!error) error = posix_spawn(pid, reader->program, &actions, &attributes, arguments, environment);
    buffer_free(&text);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* Start the program with a copy of each descriptor that is out of the way of those that it gets. */
static filtags_status start_program(struct reader_process *reader, int socket) {
    enum { OUT_OF_THE_WAY = 16 };
    const bool has_file = reader->task.fd >= 0;
    int talk = fcntl(socket, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
    int file = has_file ? fcntl(reader->task.fd, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY) : -1;
    int error = talk < 0 || (has_file && file < 0) ? errno : spawn(reader, talk, file, &reader->pid);
    if (talk >= 0) close(talk);
    if (file >= 0) close(file);
    if (!error) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_IO, "%s, which reads files for this program, cannot be started: %s",
                     reader->program, strerror(error));
}

filtags_status reader_start(const struct reader_task *task, struct reader_process **reader) {
    int sockets[2] = {-1, -1};
    struct reader_process *started = memory_new(1, sizeof *started);
    if (!started) return FILTAGS_ERROR_MEMORY;
    started->socket = -1;
    started->task = *task;
    filtags_status status = find_program(&started->program);
    if (!status && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets))
        status = error_set_errno(FILTAGS_ERROR_IO, "a socket for %s cannot be had", started->program);
    if (!status) {
        started->socket = sockets[0];
        status = start_program(started, sockets[1]);
        close(sockets[1]);
    }
    if (status) reader_stop(started);
    else *reader = started;
    return status;
}

/* ------------------------------------------------------------------ how it ended */

/* Wait for the end of a reader whose socket has ended, and kill it if that doesn't come. Returns its wait status; -1:
 * the program around this library waits for all children itself, so that nothing is known. */
static int wait_for_end(struct reader_process *reader) {
    int state = 0;
    pid_t pid = 0;
    for (int i = 0; reader->pid && i < 1000 && (pid = waitpid(reader->pid, &state, WNOHANG)) == 0; i++) {
        const struct timespec millisecond = {0, 1000000};
        nanosleep(&millisecond, NULL);
    }
    if (reader->pid && pid == 0) {
        kill(reader->pid, SIGKILL);
        while ((pid = waitpid(reader->pid, &state, 0)) < 0 && errno == EINTR) continue;
    }
    bool is_known = reader->pid && pid == reader->pid;
    reader->pid = 0;
    return is_known ? state : -1;
}

static void end_process(struct reader_process *reader) {
    int state;
    /* only a child that nobody has waited for is sure to have its number still */
    if (reader->pid && waitpid(reader->pid, &state, WNOHANG) == 0) {
        kill(reader->pid, SIGKILL);
        while (waitpid(reader->pid, &state, 0) < 0 && errno == EINTR) continue;
    }
    reader->pid = 0;
}

void reader_stop(struct reader_process *reader) {
    if (!reader) return;
    if (reader->socket >= 0) close(reader->socket);
    end_process(reader);
    free(reader->program);
    free(reader);
}

filtags_status reader_refuse(const char *file) {
    return error_set(FILTAGS_ERROR_FORMAT, "%s: malformed file: it made its reader give answers that make no sense",
                     file);
}

static filtags_status report_slow(const struct reader_process *reader, const char *file) {
    return error_set(FILTAGS_ERROR_FORMAT, "%s: malformed file: reading it took more than %.3g s of processor time",
                     file, reader->task.cpu_ms / 1000.);
}

/* The socket has ended before the answer has. */
static filtags_status report_end(struct reader_process *reader, const char *file) {
    int state = wait_for_end(reader);
    if (state >= 0 && WIFSIGNALED(state) && WTERMSIG(state) == SIGXCPU) return report_slow(reader, file);
    if (!reader->has_started) {
        return error_set(FILTAGS_ERROR_IO, "%s: %s, which was to read it, cannot start (%s %d)", file,
                         reader->program, state >= 0 && WIFSIGNALED(state) ? "signal" : "exit status",
                         state < 0 ? -1 : WIFSIGNALED(state) ? WTERMSIG(state) : WEXITSTATUS(state));
    }
    if (state >= 0 && WIFSIGNALED(state)) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: malformed file: its reader crashed (signal %d, %s)", file,
                         WTERMSIG(state), strsignal(WTERMSIG(state)));
    }
    return error_set(FILTAGS_ERROR_FORMAT, "%s: malformed file: its reader ended%s", file,
                     state < 0 ? "" : " without an answer");
}

/* ------------------------------------------------------------------ talking */

/* Milliseconds of processor time that the reader has used. Of one that has ended, or where it can't be told: 0. */
static uint64_t used_ms(const struct reader_process *reader) {
    clockid_t clock;
    struct timespec used;
    if (clock_getcpuclockid(reader->pid, &clock) || clock_gettime(clock, &used)) return 0;
    return (uint64_t)used.tv_sec * 1000 + (uint64_t)used.tv_nsec / 1000000;
}

/* The kernel's limit, should nobody look at the reader's clock: in whole seconds, and so later than receive's. */
static void limit_processor_time(const struct reader_process *reader, uint64_t most_ms) {
    struct rlimit limit;
    if (prlimit(reader->pid, RLIMIT_CPU, NULL, &limit)) return;
    const rlim_t wanted = (rlim_t)(most_ms / 1000) + 2;
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    prlimit(reader->pid, RLIMIT_CPU, &limit, NULL);
}

static bool send_all(struct reader_process *reader, const void *bytes, size_t n_bytes) {
    const char *next = bytes;
    while (n_bytes) {
        ssize_t n = send(reader->socket, next, n_bytes, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        next += n;
        n_bytes -= (size_t)n;
    }
    return true;
}

enum talk { TALK_OK, TALK_ENDED, TALK_SLOW, TALK_SILENT, TALK_NO_MEMORY };

/* Until when an answer has to be there. */
struct patience {
    uint64_t most_ms;    /* of the reader's processor time, from its start */
    double deadline_sec; /* of clock_sec */
};

/* Wait until there is something to receive. The time counts where there always is, too: byte by byte. */
static enum talk await_bytes(struct reader_process *reader, const struct patience *patience) {
    enum { TICK_MS = 50 };
    for (;;) {
        struct pollfd wait = {reader->socket, POLLIN, 0};
        if (clock_sec() >= patience->deadline_sec) return TALK_SILENT;
        if (poll(&wait, 1, TICK_MS) > 0) return TALK_OK;
        if (used_ms(reader) > patience->most_ms) return TALK_SLOW;
    }
}

static enum talk receive(struct reader_process *reader, void *bytes, size_t n_bytes, const struct patience *patience) {
    char *next = bytes;
    while (n_bytes) {
        enum talk talk = await_bytes(reader, patience);
        if (talk) return talk;
        ssize_t n = recv(reader->socket, next, n_bytes, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return TALK_ENDED;
        next += n;
        n_bytes -= (size_t)n;
    }
    return TALK_OK;
}

/* Receive a message's bytes, taking memory only as they come. */
static enum talk receive_bytes(struct reader_process *reader, size_t n_bytes, const struct patience *patience,
                               struct buffer *answer) {
    enum { BLOCK_BYTES = 1 << 16 };
    enum talk talk = TALK_OK;
    char block[BLOCK_BYTES];
    while (talk == TALK_OK && n_bytes) {
        size_t n = n_bytes < sizeof block ? n_bytes : sizeof block;
        talk = receive(reader, block, n, patience);
        if (talk == TALK_OK) buffer_append(answer, block, n);
        if (answer->has_failed) talk = TALK_NO_MEMORY;
        n_bytes -= n;
    }
    return talk;
}

/* By the clock, as a busy machine may leave the reader little of it. */
static unsigned patience_sec(const struct reader_process *reader) {
    enum { LEAST_SEC = 120, TIMES = 30 };
    return LEAST_SEC + reader->task.cpu_ms / 1000 * TIMES;
}

static filtags_status report_talk(struct reader_process *reader, const char *file, enum talk talk) {
    switch (talk) {
    case TALK_OK: return FILTAGS_OK;
    case TALK_ENDED: return report_end(reader, file);
    case TALK_NO_MEMORY: return FILTAGS_ERROR_MEMORY;
    case TALK_SLOW: return report_slow(reader, file);
    case TALK_SILENT: break;
    }
    return error_set(FILTAGS_ERROR_FORMAT, "%s: malformed file: its reader gave no answer within %u s", file,
                     patience_sec(reader));
}

/* Whether it is the program of this version that is at the other end. */
static filtags_status await_start(struct reader_process *reader, const char *file, const struct patience *patience) {
    struct wire_header header;
    if (reader->has_started) return FILTAGS_OK;
    enum talk talk = reader->task.fd < 0 && !send_all(reader, reader->task.bytes, reader->task.size_bytes)
                         ? TALK_ENDED
                         : receive(reader, &header, sizeof header, patience);
    filtags_status status = report_talk(reader, file, talk);
    if (status) return status;
    if (header.magic != WIRE_MAGIC || header.n_bytes != 0) {
        return error_set(FILTAGS_ERROR_IO, "%s: %s, which was to read it, is not of this version of filtags", file,
                         reader->program);
    }
    reader->has_started = true;
    return FILTAGS_OK;
}

static filtags_status ask(struct reader_process *reader, const char *file, const struct buffer *question,
                          size_t most_bytes, struct buffer *answer) {
    struct wire_header header = {WIRE_MAGIC, question->size_bytes};
    const struct patience patience = {used_ms(reader) + reader->task.cpu_ms, clock_sec() + patience_sec(reader)};
    limit_processor_time(reader, patience.most_ms);
    filtags_status status = await_start(reader, file, &patience);
    if (status) return status;
    enum talk talk = send_all(reader, &header, sizeof header) && send_all(reader, question->data, question->size_bytes)
                         ? receive(reader, &header, sizeof header, &patience)
                         : TALK_ENDED;
    if (talk == TALK_OK && (header.magic != WIRE_MAGIC || header.n_bytes > most_bytes)) return reader_refuse(file);
    if (talk == TALK_OK) talk = receive_bytes(reader, header.n_bytes, &patience, answer);
    return report_talk(reader, file, talk);
}

filtags_status reader_ask(struct reader_process *reader, const char *file, const struct buffer *question,
                          size_t most_bytes, struct buffer *answer) {
    if (question->has_failed) return FILTAGS_ERROR_MEMORY;
    filtags_status status = reader->pid ? ask(reader, file, question, most_bytes, answer) : reader_refuse(file);
    if (status) {
        end_process(reader); /* what it would say from here on belongs to no question */
        buffer_free(answer);
    }
    return status;
}

filtags_status reader_take_status(const char *file, struct wire_reader *answer) {
    enum { MOST_MESSAGE_BYTES = 2048 };
    uint64_t number = wire_number_to(answer, FILTAGS_ERROR_INTERNAL);
    if (number == FILTAGS_OK) return answer->has_failed ? reader_refuse(file) : FILTAGS_OK;
    char *message = wire_text(answer, MOST_MESSAGE_BYTES);
    if (!message) return answer->has_failed ? reader_refuse(file) : FILTAGS_ERROR_MEMORY;
    filtags_status status;
    if (number == FILTAGS_ERROR_UNSUPPORTED || number == FILTAGS_ERROR_FORMAT) {
        status = error_set((filtags_status)number, "%s: %s", file, message);
    } else if (number == FILTAGS_ERROR_MEMORY) { /* its memory is limited, this process's isn't used up */
        status = error_set(FILTAGS_ERROR_FORMAT, "%s: malformed file: reading it takes too much memory (%s)", file,
                           message);
    } else {
        status = error_set(FILTAGS_ERROR_FORMAT, "%s: malformed file: %s", file, message);
    }
    free(message);
    return status;
}
