/* faults.c - LD_PRELOAD: let the system's calls fail, one at a time.
 *
 * The calls of a process and of its children are counted by kind in the file $FAULTS_STATE (struct state below, zeros
 * to begin with). $FAULTS "KIND N once|on CAUSE" fails the N-th call of a kind, or all from the N-th on; CAUSE is an
 * errno, or "short": half of what was asked for is read or written. $FAULTS_TRACE is a file that gets a line for each
 * call: kind, its number, the function, where in the program it was called from, and the file.
 *
 * Allocations count where the program and its library call them, everything else wherever it is called from. stdio
 * calls read and write inside of the C library, where nothing can be put between: fopen and fdopen yield streams here
 * that read and write with our functions.
 */
#undef _FILE_OFFSET_BITS /* otherwise open below would be compiled to open64 */
#undef _FORTIFY_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

enum kind { MEMORY, OPEN, READ, WRITE, SYNC, RESIZE, STAT, SEEK, LOCK, LINK, UNLINK, FOLDER, CLOSE, MAP, THREAD, FORK,
            N_KINDS };

static const char *const kind_names[N_KINDS] = {"memory", "open",   "read",   "write",  "sync",  "resize", "stat",
                                                "seek",   "lock",   "link",   "unlink", "folder", "close", "map",
                                                "thread", "fork"};

struct state {
    _Atomic uint64_t n_calls[N_KINDS];
    _Atomic uint64_t n_failed;
    char function[32]; /* the first one that was failed */
    char path[4096];   /* what it was about, where that is known */
};

enum { IS_SHORT = -1 };

static struct state *state;
static int trace_fd = -1;
static int fault_kind = -1, fault_errno;
static uint64_t fault_first, fault_last;
static struct { uintptr_t first, end, base; } ranges[8]; /* code of the program and its library */
static size_t n_ranges;
static _Thread_local bool is_inside; /* a call that one of ours makes doesn't count */

extern void *__libc_malloc(size_t size_bytes);
extern void *__libc_calloc(size_t n, size_t size_bytes);
extern void *__libc_realloc(void *block, size_t size_bytes);
extern void *__libc_memalign(size_t alignment, size_t size_bytes);

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    bool was_inside = is_inside;
    is_inside = true;
    void *function = dlsym(RTLD_NEXT, name);
    is_inside = was_inside;
    if (!function) abort();
    return function;
}

/* ---------------------------------------------------------------- set-up */

static int note_module(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size, (void)context;
    if (info->dlpi_name[0] && !strstr(info->dlpi_name, "libfiltags.so")) return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_LOAD || !(header->p_flags & PF_X)) continue;
        if (n_ranges == sizeof ranges / sizeof *ranges) abort();
        ranges[n_ranges].base = info->dlpi_addr;
        ranges[n_ranges].first = info->dlpi_addr + header->p_vaddr;
        ranges[n_ranges].end = info->dlpi_addr + header->p_vaddr + header->p_memsz;
        n_ranges++;
    }
    return 0;
}

static void read_fault(const char *text) {
    char kind[16], mode[8], cause[16];
    unsigned long long first;
    if (sscanf(text, "%15s %llu %7s %15s", kind, &first, mode, cause) != 4) abort();
    for (int i = 0; i < N_KINDS; i++) {
        if (strcmp(kind, kind_names[i]) == 0) fault_kind = i;
    }
    if (fault_kind < 0) abort();
    fault_first = first;
    fault_last = strcmp(mode, "on") == 0 ? UINT64_MAX : first;
    fault_errno = strcmp(cause, "short") == 0 ? IS_SHORT : atoi(cause);
}

__attribute__((constructor)) static void start(void) {
    const char *state_path = getenv("FAULTS_STATE"), *trace_path = getenv("FAULTS_TRACE"), *fault = getenv("FAULTS");
    void *frames[2];
    if (!state_path) return;
    is_inside = true;
    backtrace(frames, 2); /* the first one loads and allocates */
    dl_iterate_phdr(note_module, NULL);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, state_path, O_RDWR | O_CLOEXEC);
    void *map = fd < 0 ? MAP_FAILED : (void *)syscall(SYS_mmap, NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED,
                                                      fd, 0);
    if (map == MAP_FAILED) abort();
    syscall(SYS_close, fd);
    if (trace_path)
        trace_fd = (int)syscall(SYS_openat, AT_FDCWD, trace_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (trace_fd >= 0) { /* out of the way of the program's own */
        int high = (int)syscall(SYS_fcntl, trace_fd, F_DUPFD_CLOEXEC, 900);
        syscall(SYS_close, trace_fd);
        trace_fd = high;
    }
    if (fault) read_fault(fault);
    state = map;
    is_inside = false;
}

/* ---------------------------------------------------------------- counting */

static bool is_ours(const void *address) {
    uintptr_t a = (uintptr_t)address;
    for (size_t i = 0; i < n_ranges; i++) {
        if (a >= ranges[i].first && a < ranges[i].end) return true;
    }
    return false;
}

/* A number for the way here: the innermost calls of the program's own. */
static uint64_t way_here(void) {
    enum { MOST = 24, INNERMOST = 5 };
    void *frames[MOST];
    uint64_t hash = 14695981039346656037u;
    int n = backtrace(frames, MOST), n_used = 0;
    for (int i = 0; i < n && n_used < INNERMOST; i++) {
        for (size_t r = 0; r < n_ranges; r++) {
            uintptr_t a = (uintptr_t)frames[i];
            if (a < ranges[r].first || a >= ranges[r].end) continue;
            hash = (hash ^ (a - ranges[r].base)) * 1099511628211u;
            n_used++;
            break;
        }
    }
    return hash;
}

static void path_of_fd(int fd, char path[4096]) {
    char link_name[40];
    snprintf(link_name, sizeof link_name, "/proc/self/fd/%d", fd);
    long n = syscall(SYS_readlink, link_name, path, 4095);
    path[n < 0 ? 0 : n] = '\0';
}

static void trace_call(enum kind kind, uint64_t number, const char *function, int fd, const char *path) {
    char text[8192], of_fd[4096] = "";
    if (fd >= 0) path_of_fd(fd, of_fd);
    int n = snprintf(text, sizeof text, "%s %llu %s %016llx ", kind_names[kind], (unsigned long long)number, function,
                     (unsigned long long)way_here());
    for (const char *c = path ? path : of_fd; *c && n + 2 < (int)sizeof text; c++) text[n++] = *c == '\n' ? '?' : *c;
    text[n++] = '\n';
    if (syscall(SYS_write, trace_fd, text, n) != n) abort();
}

/* Count a call. Returns 0: let it be; an errno: let it fail; IS_SHORT: let it do half. */
static int count(enum kind kind, const char *function, int fd, const char *path) {
    if (!state || is_inside) return 0;
    int old_errno = errno;
    is_inside = true;
    uint64_t number = atomic_fetch_add(&state->n_calls[kind], 1) + 1;
    if (trace_fd >= 0) trace_call(kind, number, function, fd, path);
    bool fails = (int)kind == fault_kind && number >= fault_first && number <= fault_last;
    if (fails && atomic_fetch_add(&state->n_failed, 1) == 0) {
        strncpy(state->function, function, sizeof state->function - 1);
        if (path) strncpy(state->path, path, sizeof state->path - 1);
        else if (fd >= 0) path_of_fd(fd, state->path);
    }
    is_inside = false;
    errno = old_errno;
    return fails ? fault_errno : 0;
}

/* The errno of a call that can't do half. */
static int failure_of(enum kind kind, const char *function, int fd, const char *path) {
    int cause = count(kind, function, fd, path);
    return cause == IS_SHORT ? 0 : cause;
}

#define FAIL_IF(kind, fd, path, value)                                  \
    do {                                                                \
        int failure_ = failure_of(kind, __func__, fd, path);            \
        if (failure_) {                                                 \
            errno = failure_;                                           \
            return value;                                               \
        }                                                               \
    } while (0)

/* ---------------------------------------------------------------- memory */

static bool allocation_fails(const char *function, const void *caller) {
    if (!state || is_inside || !is_ours(caller) || !failure_of(MEMORY, function, -1, NULL)) return false;
    errno = ENOMEM;
    return true;
}

#define FAIL_ALLOCATION(value) \
    if (allocation_fails(__func__, __builtin_return_address(0))) return value

EXPORTED void *malloc(size_t size_bytes) {
    FAIL_ALLOCATION(NULL);
    return __libc_malloc(size_bytes);
}

EXPORTED void *calloc(size_t n, size_t size_bytes) {
    FAIL_ALLOCATION(NULL);
    return __libc_calloc(n, size_bytes);
}

EXPORTED void *realloc(void *block, size_t size_bytes) {
    FAIL_ALLOCATION(NULL);
    return __libc_realloc(block, size_bytes);
}

EXPORTED void *aligned_alloc(size_t alignment, size_t size_bytes) {
    FAIL_ALLOCATION(NULL);
    return __libc_memalign(alignment, size_bytes);
}

EXPORTED int posix_memalign(void **block, size_t alignment, size_t size_bytes) {
    FAIL_ALLOCATION(ENOMEM);
    void *made = __libc_memalign(alignment, size_bytes);
    if (!made) return ENOMEM;
    *block = made;
    return 0;
}

EXPORTED char *realpath(const char *path, char *resolved) {
    FAIL_IF(STAT, -1, path, NULL);
    return REAL(realpath)(path, resolved);
}

EXPORTED FILE *open_memstream(char **text, size_t *size_bytes) {
    FAIL_ALLOCATION(NULL);
    return REAL(open_memstream)(text, size_bytes);
}

/* ---------------------------------------------------------------- descriptors */

static mode_t mode_of(int flags, va_list arguments) {
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
}

#define OPEN_WITH_MODE(call)                         \
    va_list arguments;                               \
    va_start(arguments, flags);                      \
    mode_t mode = mode_of(flags, arguments);         \
    va_end(arguments);                               \
    FAIL_IF(OPEN, -1, path, -1);                     \
    return call

EXPORTED int open(const char *path, int flags, ...) { OPEN_WITH_MODE(REAL(open)(path, flags, mode)); }
EXPORTED int open64(const char *path, int flags, ...) { OPEN_WITH_MODE(REAL(open)(path, flags, mode)); }
EXPORTED int openat(int fd, const char *path, int flags, ...) { OPEN_WITH_MODE(REAL(openat)(fd, path, flags, mode)); }
EXPORTED int openat64(int fd, const char *path, int flags, ...) { OPEN_WITH_MODE(REAL(openat)(fd, path, flags, mode)); }

EXPORTED int mkstemp(char *path) {
    FAIL_IF(OPEN, -1, path, -1);
    return REAL(mkstemp)(path);
}

EXPORTED int mkstemp64(char *path) { return mkstemp(path); }

/* "short" of one byte is that byte: nothing at all would be the end of the file */
static size_t shorten(size_t n, int cause) { return cause == IS_SHORT && n > 1 ? n / 2 : n; }

#define TRANSFER(kind, call)                          \
    int cause = count(kind, __func__, fd, NULL);      \
    if (cause > 0) {                                  \
        errno = cause;                                \
        return -1;                                    \
    }                                                 \
    n_bytes = shorten(n_bytes, cause);                \
    return call

EXPORTED ssize_t read(int fd, void *bytes, size_t n_bytes) { TRANSFER(READ, syscall(SYS_read, fd, bytes, n_bytes)); }
EXPORTED ssize_t write(int fd, const void *bytes, size_t n_bytes) {
    TRANSFER(WRITE, syscall(SYS_write, fd, bytes, n_bytes));
}
EXPORTED ssize_t pread(int fd, void *bytes, size_t n_bytes, off_t offset) {
    TRANSFER(READ, REAL(pread)(fd, bytes, n_bytes, offset));
}
EXPORTED ssize_t pread64(int fd, void *bytes, size_t n_bytes, off64_t offset) {
    TRANSFER(READ, REAL(pread)(fd, bytes, n_bytes, offset));
}
EXPORTED ssize_t pwrite(int fd, const void *bytes, size_t n_bytes, off_t offset) {
    TRANSFER(WRITE, REAL(pwrite)(fd, bytes, n_bytes, offset));
}
EXPORTED ssize_t pwrite64(int fd, const void *bytes, size_t n_bytes, off64_t offset) {
    TRANSFER(WRITE, REAL(pwrite)(fd, bytes, n_bytes, offset));
}

EXPORTED int close(int fd) {
    int failure = failure_of(CLOSE, __func__, fd, NULL), result = (int)syscall(SYS_close, fd);
    if (!failure || result) return result;
    errno = failure; /* Linux closes it all the same */
    return -1;
}

#define PASS_ON(kind, type, name, parameters, arguments, fd, path) \
    EXPORTED type name parameters {                                \
        FAIL_IF(kind, fd, path, -1);                               \
        return REAL(name) arguments;                               \
    }

PASS_ON(SYNC, int, fsync, (int fd), (fd), fd, NULL)
PASS_ON(SYNC, int, fdatasync, (int fd), (fd), fd, NULL)
PASS_ON(RESIZE, int, ftruncate, (int fd, off_t length), (fd, length), fd, NULL)
PASS_ON(RESIZE, int, ftruncate64, (int fd, off64_t length), (fd, length), fd, NULL)
PASS_ON(SEEK, off_t, lseek, (int fd, off_t offset, int whence), (fd, offset, whence), fd, NULL)
PASS_ON(SEEK, off64_t, lseek64, (int fd, off64_t offset, int whence), (fd, offset, whence), fd, NULL)
PASS_ON(LOCK, int, flock, (int fd, int operation), (fd, operation), fd, NULL)
PASS_ON(STAT, int, fstat, (int fd, struct stat *info), (fd, info), fd, NULL)
PASS_ON(STAT, int, fstat64, (int fd, struct stat64 *info), (fd, info), fd, NULL)
PASS_ON(STAT, int, stat, (const char *path, struct stat *info), (path, info), -1, path)
PASS_ON(STAT, int, stat64, (const char *path, struct stat64 *info), (path, info), -1, path)
PASS_ON(STAT, int, lstat, (const char *path, struct stat *info), (path, info), -1, path)
PASS_ON(STAT, int, lstat64, (const char *path, struct stat64 *info), (path, info), -1, path)
PASS_ON(STAT, int, fstatat, (int fd, const char *path, struct stat *info, int flags), (fd, path, info, flags), -1, path)
PASS_ON(STAT, int, fstatat64, (int fd, const char *path, struct stat64 *info, int flags), (fd, path, info, flags), -1,
        path)
PASS_ON(STAT, int, statvfs, (const char *path, struct statvfs *info), (path, info), -1, path)
PASS_ON(STAT, int, statvfs64, (const char *path, struct statvfs64 *info), (path, info), -1, path)
PASS_ON(STAT, int, access, (const char *path, int mode), (path, mode), -1, path)
PASS_ON(STAT, int, fchmod, (int fd, mode_t mode), (fd, mode), fd, NULL)
PASS_ON(LINK, int, link, (const char *from, const char *path), (from, path), -1, path)
PASS_ON(LINK, int, rename, (const char *from, const char *path), (from, path), -1, path)
PASS_ON(UNLINK, int, unlink, (const char *path), (path), -1, path)
PASS_ON(FOLDER, int, mkdir, (const char *path, mode_t mode), (path, mode), -1, path)
PASS_ON(FORK, pid_t, fork, (void), (), -1, NULL)
PASS_ON(FORK, pid_t, waitpid, (pid_t child, int *result, int options), (child, result, options), -1, NULL)

EXPORTED int posix_fallocate(int fd, off_t offset, off_t length) {
    int failure = failure_of(RESIZE, __func__, fd, NULL);
    return failure ? failure : REAL(posix_fallocate)(fd, offset, length);
}

EXPORTED int posix_fallocate64(int fd, off64_t offset, off64_t length) { return posix_fallocate(fd, offset, length); }

/* The program's own alone: where oneDNN gets no room for the code that it makes, it crashes. */
EXPORTED void *mmap(void *address, size_t n_bytes, int protection, int flags, int fd, off_t offset) {
    if (is_ours(__builtin_return_address(0))) FAIL_IF(MAP, fd, NULL, MAP_FAILED);
    return REAL(mmap)(address, n_bytes, protection, flags, fd, offset);
}

EXPORTED void *mmap64(void *address, size_t n_bytes, int protection, int flags, int fd, off64_t offset) {
    return mmap(address, n_bytes, protection, flags, fd, offset);
}

EXPORTED DIR *opendir(const char *path) {
    FAIL_IF(OPEN, -1, path, NULL);
    return REAL(opendir)(path);
}

EXPORTED struct dirent *readdir(DIR *folder) {
    FAIL_IF(FOLDER, dirfd(folder), NULL, NULL);
    return REAL(readdir)(folder);
}

EXPORTED struct dirent64 *readdir64(DIR *folder) {
    FAIL_IF(FOLDER, dirfd(folder), NULL, NULL);
    return REAL(readdir64)(folder);
}

EXPORTED ssize_t getrandom(void *bytes, size_t n_bytes, unsigned flags) {
    FAIL_IF(OPEN, -1, NULL, -1);
    return syscall(SYS_getrandom, bytes, n_bytes, flags);
}

EXPORTED int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*act)(void *), void *context) {
    int failure = failure_of(THREAD, __func__, -1, NULL);
    return failure ? failure : REAL(pthread_create)(thread, attributes, act, context);
}

/* ---------------------------------------------------------------- streams */

static struct { FILE *stream; int fd; } streams[256];
static pthread_mutex_t streams_lock = PTHREAD_MUTEX_INITIALIZER;

static void note_stream(FILE *stream, FILE *old, int fd) {
    pthread_mutex_lock(&streams_lock);
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        if (streams[i].stream != old) continue;
        streams[i].stream = stream;
        streams[i].fd = fd;
        break;
    }
    pthread_mutex_unlock(&streams_lock);
}

static ssize_t stream_read(void *cookie, char *bytes, size_t n_bytes) {
    return read((int)(intptr_t)cookie, bytes, n_bytes);
}

/* As the C library's own: a short write is continued, a failed one, EINTR included, ends it. */
static ssize_t stream_write(void *cookie, const char *bytes, size_t n_bytes) {
    size_t n_left = n_bytes;
    while (n_left > 0) {
        ssize_t n = write((int)(intptr_t)cookie, bytes, n_left);
        if (n < 0) break;
        bytes += n;
        n_left -= (size_t)n;
    }
    return (ssize_t)(n_bytes - n_left);
}

static int stream_seek(void *cookie, off64_t *offset, int whence) {
    off64_t place = lseek64((int)(intptr_t)cookie, *offset, whence);
    if (place < 0) return -1;
    *offset = place;
    return 0;
}

static int stream_close(void *cookie) { return close((int)(intptr_t)cookie); }

static FILE *open_stream(int fd, const char *mode) {
    static const cookie_io_functions_t functions = {stream_read, stream_write, stream_seek, stream_close};
    FILE *stream = fopencookie((void *)(intptr_t)fd, mode, functions);
    if (stream) note_stream(stream, NULL, fd);
    return stream;
}

EXPORTED FILE *fdopen(int fd, const char *mode) {
    if (!state || is_inside) return REAL(fdopen)(fd, mode);
    FAIL_IF(OPEN, fd, NULL, NULL);
    return open_stream(fd, mode);
}

static int flags_of(const char *mode) {
    int flags = mode[0] == 'r' ? O_RDONLY : O_WRONLY | O_CREAT | (mode[0] == 'a' ? O_APPEND : O_TRUNC);
    if (strchr(mode, '+')) flags = (flags & ~O_ACCMODE) | O_RDWR;
    return flags | (strchr(mode, 'x') ? O_EXCL : 0) | (strchr(mode, 'e') ? O_CLOEXEC : 0);
}

EXPORTED FILE *fopen(const char *path, const char *mode) {
    if (!state || is_inside) return REAL(fopen)(path, mode);
    int fd = open(path, flags_of(mode), 0666);
    if (fd < 0) return NULL;
    FILE *stream = open_stream(fd, mode);
    if (!stream) syscall(SYS_close, fd);
    return stream;
}

EXPORTED FILE *fopen64(const char *path, const char *mode) { return fopen(path, mode); }

EXPORTED int fclose(FILE *stream) {
    note_stream(NULL, stream, -1);
    return REAL(fclose)(stream);
}

EXPORTED int fileno(FILE *stream) {
    int fd = -1;
    pthread_mutex_lock(&streams_lock);
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        if (streams[i].stream == stream) fd = streams[i].fd;
    }
    pthread_mutex_unlock(&streams_lock);
    return fd >= 0 ? fd : REAL(fileno)(stream);
}
