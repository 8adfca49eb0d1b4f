/* warm_start.c - in a fuzzer: where FILTAGS_READER is warm_reader, readers are its forks, and how they ended is
 * counted. The linker (--wrap) puts these functions in the place of the system's. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"
#include "warm_reader.h"

int __real_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[]);
int __wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[]);
int __real_posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int from, int to);
int __wrap_posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int from, int to);
pid_t __wrap_waitpid(pid_t pid, int *state, int options);

static struct {
    size_t n_started, n_crashed, n_out_of_time, n_library, n_slow;
    double most_sec;
    long most_kb;
} counts;

static int talk_fd = -1; /* what the next reader gets as descriptor 0 */
static int warm_socket = -1;

/* ---------------------------------------------------------------- how they ended */

static void tell_counts(void) {
    fprintf(stderr, "readers: %zu started, %zu crashed, %zu ended by a sanitizer in libhdf5, %zu out of processor "
            "time, %zu over 1 s; at most %.2f s, %ld MB\n", counts.n_started, counts.n_crashed, counts.n_library,
            counts.n_out_of_time, counts.n_slow, counts.most_sec, counts.most_kb >> 10);
}

static void count_end(int state, const struct rusage *used) {
    const double seconds = (double)(used->ru_utime.tv_sec + used->ru_stime.tv_sec) +
                           (double)(used->ru_utime.tv_usec + used->ru_stime.tv_usec) / 1e6;
    const int number = WIFSIGNALED(state) ? WTERMSIG(state) : 0;
    counts.n_out_of_time += number == SIGXCPU;
    counts.n_crashed += number && number != SIGXCPU && number != SIGKILL; /* SIGKILL: it was of no more use */
    counts.n_library += WIFEXITED(state) && WEXITSTATUS(state) == READER_FAILED_IN_LIBRARY;
    counts.n_slow += seconds > 1;
    if (seconds > counts.most_sec) counts.most_sec = seconds;
    if (used->ru_maxrss > counts.most_kb) counts.most_kb = used->ru_maxrss;
    MUST(!(WIFEXITED(state) && WEXITSTATUS(state) == READER_FAILED));
}

pid_t __wrap_waitpid(pid_t pid, int *state, int options) {
    struct rusage used;
    pid_t ended = wait4(pid, state, options, &used);
    if (ended > 0) count_end(*state, &used);
    return ended;
}

/* ---------------------------------------------------------------- how they start */

static void start_warm_reader(const char *path) {
    int sockets[2];
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets) == 0);
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (int i = 1; i < NSIG; i++) signal(i, SIG_DFL); /* the fuzzer's are its own */
        dup2(sockets[1], STDIN_FILENO);
        closefrom(STDERR_FILENO + 1);
        setenv("LD_BIND_NOW", "1", 1); /* once, not in each fork */
        execl(path, path, (char *)NULL);
        perror(path);
        _exit(1);
    }
    close(sockets[1]);
    warm_socket = sockets[0];
}

static pid_t request_reader(char *const arguments[]) {
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct warm_request request = {{"", ""}};
    struct iovec part = {&request, sizeof request};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control};
    control.align = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
                                     .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.align), &talk_fd, sizeof talk_fd);
    for (int i = 0; i < 2 && arguments[i + 1]; i++)
        snprintf(request.arguments[i], sizeof request.arguments[i], "%s", arguments[i + 1]);
    pid_t pid;
    MUST(sendmsg(warm_socket, &message, MSG_NOSIGNAL) == sizeof request);
    ssize_t n;
    while ((n = read(warm_socket, &pid, sizeof pid)) < 0 && errno == EINTR) continue;
    MUST(n == sizeof pid);
    return pid;
}

int __wrap_posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int from, int to) {
    if (to == STDIN_FILENO) talk_fd = from;
    return __real_posix_spawn_file_actions_adddup2(actions, from, to);
}

int __wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[]) {
    static const char name[] = "/warm_reader";
    const size_t n = strlen(path), n_name = strlen(name);
    if (n < n_name || strcmp(path + n - n_name, name) != 0)
        return __real_posix_spawn(pid, path, actions, attributes, arguments, environment);
    if (counts.n_started++ == 0) {
        start_warm_reader(path);
        atexit(tell_counts);
    }
    *pid = request_reader(arguments);
    return 0;
}
