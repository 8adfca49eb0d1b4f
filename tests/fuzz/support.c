#include "fuzz.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "warm_reader.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif

void fuzz_must(bool holds, const char *condition, const char *file, int line) {
    if (holds) return;
    fprintf(stderr, "%s:%d: must hold: %s\n", file, line, condition);
    abort();
}

/* ---------------------------------------------------------------- files in memory */

enum { MAX_FILES = 8 };

static struct {
    pid_t owner; /* AFL++ forks */
    char folder[64];
    char paths[MAX_FILES][128];
    size_t n;
} files;

static void remove_files(void) {
    if (files.owner != getpid()) return;
    for (size_t i = 0; i < files.n; i++) unlink(files.paths[i]);
    rmdir(files.folder);
}

static void make_folder(void) {
    struct stat info;
    bool has_shm = stat("/dev/shm", &info) == 0 && access("/dev/shm", W_OK) == 0;
    if (!files.owner) atexit(remove_files);
    files.owner = getpid();
    files.n = 0;
    snprintf(files.folder, sizeof files.folder, "%s/filtags-fuzz-XXXXXX", has_shm ? "/dev/shm" : "/tmp");
    MUST(mkdtemp(files.folder) != NULL);
}

const char *fuzz_file(const char *name, const void *bytes, size_t n_bytes) {
    char path[sizeof files.paths[0]];
    if (files.owner != getpid()) make_folder();
    snprintf(path, sizeof path, "%s/%s", files.folder, name);
    size_t i = 0;
    while (i < files.n && strcmp(files.paths[i], path) != 0) i++;
    MUST(i < MAX_FILES);
    if (i == files.n) strcpy(files.paths[files.n++], path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    MUST(fd >= 0 && write(fd, bytes, n_bytes) == (ssize_t)n_bytes);
    close(fd);
    return files.paths[i];
}

/* ---------------------------------------------------------------- libhdf5's own crashes */

enum { CHILD_DONE = 0, CHILD_FAILED_IN_LIBRARY = READER_FAILED_IN_LIBRARY, CHILD_FAILED = READER_FAILED };

static bool is_child;
static struct sigaction before[NSIG]; /* what the fuzzer does on a signal */
static size_t n_runs;                 /* in this process, of fuzz_rehearse */

/* For run.py, which starts the fuzzer anew. */
static void end_process(int judgement) {
    if (judgement == CHILD_FAILED_IN_LIBRARY) dprintf(STDERR_FILENO, "libhdf5 failed in run %zu\n", n_runs);
    _exit(judgement);
}

/* Whose a frame is. Frames of the C library and of the sanitizer say nothing: somebody called them. The sanitizer's
 * functions in our program are exported, while ours have no names there. */
static int judge_frame(void *address) {
    Dl_info info, own;
    if (!dladdr(address, &info) || !info.dli_fname) return 0;
    if (strstr(info.dli_fname, "hdf5")) return CHILD_FAILED_IN_LIBRARY;
    bool is_ours = dladdr((void *)(uintptr_t)&fuzz_must, &own) && own.dli_fbase == info.dli_fbase;
    return is_ours && !info.dli_sname ? CHILD_FAILED : 0;
}

#ifdef HAS_ASAN
void __asan_set_error_report_callback(void (*callback)(const char *report));

/* Frames are "    #1 0x7f12... (module+0x...)". */
static void judge_report(const char *report) {
    for (const char *at = report; (at = strstr(at, "    #")); at++) {
        unsigned frame;
        unsigned long long address;
        if (sscanf(at, "    #%u 0x%llx", &frame, &address) != 2) continue;
        int judgement = judge_frame((void *)(uintptr_t)address);
        if (judgement == CHILD_FAILED_IN_LIBRARY) end_process(judgement);
        if (judgement) break;
    }
    if (is_child) _exit(CHILD_FAILED);
}

/* Names take a second to find, and most reports here are not shown: ASAN_OPTIONS=symbolize=1 for those that are. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "symbolize=0:allocator_may_return_null=1:quarantine_size_mb=8:malloc_context_size=5";
}

/* Whatever else a sanitizer ends a child for: only ours is built with UBSan. */
void __sanitizer_set_death_callback(void (*callback)(void));
static void judge_death(void) {
    if (is_child) _exit(CHILD_FAILED);
}

/* It loses memory on damaged files. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libhdf5"; }
#endif

/* Processor time after which it is an endless loop. libhdf5 has many: a second for each would be most of the time. */
static void set_timer(void) {
    const struct itimerval timer = {.it_value = {.tv_usec = 200000}};
    setitimer(ITIMER_PROF, &timer, NULL);
}

static void judge_stack(int number) {
    enum { MAX_FRAMES = 100, OWN_FRAMES = 2 }; /* this one, and the system's around it */
    void *frames[MAX_FRAMES];
    int n = backtrace(frames, MAX_FRAMES), judgement = 0;
    for (int i = OWN_FRAMES; i < n; i++) {
        int next = judge_frame(frames[i]);
        /* a loop may be anywhere below its cause; a crash is at the top */
        if (number == SIGPROF ? next == CHILD_FAILED_IN_LIBRARY : next && !judgement) judgement = next;
    }
    if (judgement == CHILD_FAILED_IN_LIBRARY || is_child) end_process(judgement ? judgement : CHILD_FAILED);
    number = number == SIGPROF ? SIGABRT : number;
    sigaction(number, &before[number], NULL); /* the fuzzer's, which keeps the input */
    raise(number);
}

static void watch(void) {
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGPROF};
    static char stack[65536];
    const stack_t other_stack = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_handler = judge_stack, .sa_flags = SA_ONSTACK | SA_NODEFER};
    sigaltstack(&other_stack, NULL);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        sigaction(signals[i], &action, is_child ? NULL : &before[signals[i]]);
    }
#ifdef HAS_ASAN
    __asan_set_error_report_callback(judge_report);
#endif
}

static void become_child(void) {
    int nowhere = open("/dev/null", O_WRONLY);
    is_child = true;
    dup2(nowhere, STDERR_FILENO);
    watch();
    set_timer();
}

void fuzz_judge_reader(void) {
#ifdef HAS_ASAN
    is_child = true;
    watch();
    __sanitizer_set_death_callback(judge_death);
#endif
}

bool fuzz_rehearse(void (*act)(const uint8_t *data, size_t size), const uint8_t *data, size_t size) {
    static bool is_warm;
    void *frame;
    int state;
    if (!is_warm) is_warm = backtrace(&frame, 1) > 0; /* loads the unwinder here, not in a signal handler */
    if (getenv("FILTAGS_FUZZ_IN_PROCESS")) {
        if (n_runs++ == 0) watch();
        set_timer();
        return true;
    }
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        become_child();
        act(data, size);
        _exit(CHILD_DONE);
    }
    while (waitpid(child, &state, 0) < 0) MUST(errno == EINTR);
    return !(WIFEXITED(state) && WEXITSTATUS(state) == CHILD_FAILED_IN_LIBRARY);
}
