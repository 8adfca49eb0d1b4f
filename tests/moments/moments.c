/* moments.c - LD_PRELOAD: send a process a signal at a certain call of the system, whatever the machine's pace.
 *
 * $MOMENTS has a line for each signal: "KIND NUMBER SIGNAL TEXT". The process gets SIGNAL right before its NUMBER-th
 * call of a kind that is about a file whose path has TEXT in it; "any" is every kind below. Of a second line calls are
 * counted from the call on that the first one's signal came at, which is its first, and so on. A handler has run, and
 * a process that SIGSTOP stops stands still, before the call is made. $MOMENTS_TOTAL is a file that gets, as the
 * process exits, how often each line's call was made.
 */
#undef _FILE_OFFSET_BITS /* otherwise open below would be compiled to open64 */
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

enum kind { OPEN, WRITE, SYNC, LINK, UNLINK, N_KINDS };

static const char *const kind_names[N_KINDS + 1] = {"open", "write", "sync", "link", "unlink", "any"};

static struct moment {
    int kind; /* N_KINDS: any */
    int signal;
    unsigned long number;
    char text[4096];
    _Atomic unsigned long n_calls;
} moments[8];
static size_t n_moments;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) abort();
    return function;
}

/* ---------------------------------------------------------------- which calls */

static void read_moment(const char *line) {
    struct moment *moment = &moments[n_moments++];
    char kind[8];
    if (n_moments > sizeof moments / sizeof *moments ||
        sscanf(line, "%7s %lu %d %4095[^\n]", kind, &moment->number, &moment->signal, moment->text) != 4)
        abort();
    while (strcmp(kind, kind_names[moment->kind]) != 0) {
        if (++moment->kind > N_KINDS) abort();
    }
}

__attribute__((constructor)) static void start(void) {
    for (const char *line = getenv("MOMENTS"); line && *line; line++) {
        read_moment(line);
        line = strchr(line, '\n');
        if (!line) return;
    }
}

__attribute__((destructor)) static void tell_total(void) {
    const char *path = getenv("MOMENTS_TOTAL");
    if (!path) return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) abort();
    for (size_t i = 0; i < n_moments; i++) dprintf(fd, "%lu\n", moments[i].n_calls);
    syscall(SYS_close, fd);
}

/* ---------------------------------------------------------------- what happens then */

static void pass(enum kind kind, const char *path) {
    const int old_errno = errno;
    for (size_t i = 0; i < n_moments; i++) {
        struct moment *moment = &moments[i];
        if (i > 0 && moments[i - 1].n_calls < moments[i - 1].number) break;
        if ((moment->kind != N_KINDS && moment->kind != (int)kind) || !strstr(path, moment->text)) continue;
        if (atomic_fetch_add(&moment->n_calls, 1) + 1 == moment->number) raise(moment->signal);
    }
    errno = old_errno;
}

static void pass_fd(enum kind kind, int fd) {
    char link_name[40], path[4096];
    if (n_moments == 0) return;
    snprintf(link_name, sizeof link_name, "/proc/self/fd/%d", fd);
    const int old_errno = errno;
    const long n = syscall(SYS_readlink, link_name, path, sizeof path - 1);
    errno = old_errno;
    path[n < 0 ? 0 : n] = '\0';
    pass(kind, path);
}

/* ---------------------------------------------------------------- the calls */

#define OPEN_WITH_MODE(call)                                                  \
    va_list arguments;                                                        \
    va_start(arguments, flags);                                               \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0; \
    va_end(arguments);                                                        \
    pass(OPEN, path);                                                         \
    return call

EXPORTED int open(const char *path, int flags, ...) { OPEN_WITH_MODE(REAL(open)(path, flags, mode)); }
EXPORTED int open64(const char *path, int flags, ...) { OPEN_WITH_MODE(REAL(open64)(path, flags, mode)); }

#define PASS_ON(type, name, parameters, arguments, noticed) \
    EXPORTED type name parameters {                         \
        noticed;                                            \
        return REAL(name) arguments;                        \
    }

PASS_ON(int, mkstemp, (char *path), (path), pass(OPEN, path))
PASS_ON(int, mkstemp64, (char *path), (path), pass(OPEN, path))
PASS_ON(ssize_t, write, (int fd, const void *bytes, size_t n), (fd, bytes, n), pass_fd(WRITE, fd))
PASS_ON(ssize_t, pwrite, (int fd, const void *bytes, size_t n, off_t offset), (fd, bytes, n, offset),
        pass_fd(WRITE, fd))
PASS_ON(ssize_t, pwrite64, (int fd, const void *bytes, size_t n, off64_t offset), (fd, bytes, n, offset),
        pass_fd(WRITE, fd))
PASS_ON(int, fsync, (int fd), (fd), pass_fd(SYNC, fd))
PASS_ON(int, fdatasync, (int fd), (fd), pass_fd(SYNC, fd))
PASS_ON(int, link, (const char *from, const char *path), (from, path), pass(LINK, path))
PASS_ON(int, rename, (const char *from, const char *path), (from, path), pass(LINK, path))
PASS_ON(int, unlink, (const char *path), (path), pass(UNLINK, path))
