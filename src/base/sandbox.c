#include "base/sandbox.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#ifdef FILTAGS_HAVE_SECCOMP
#include <seccomp.h>
#endif

#if !SANDBOX_IS_LOOSE

/* Address space in use. */
static size_t mapped_bytes(void) {
    const size_t unknown = (size_t)4 << 30; /* without /proc */
    unsigned long n_pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return unknown;
    bool is_read = fscanf(file, "%lu", &n_pages) == 1;
    fclose(file);
    return is_read ? n_pages * (size_t)sysconf(_SC_PAGESIZE) : unknown;
}

#endif

static bool set_limits(size_t memory_bytes) {
    const struct rlimit none = {0, 0};
#if SANDBOX_IS_LOOSE
    (void)memory_bytes;
#else
    const rlim_t most = mapped_bytes() + memory_bytes;
    const struct rlimit memory = {most, most};
    if (setrlimit(RLIMIT_AS, &memory)) return false;
#endif
    return !setrlimit(RLIMIT_FSIZE, &none) && !setrlimit(RLIMIT_NOFILE, &none) && !setrlimit(RLIMIT_CORE, &none);
}

#if defined(FILTAGS_HAVE_SECCOMP) && !SANDBOX_IS_LOOSE

/* What needs no arguments looked at. */
static const int harmless[] = {
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(exit),
    SCMP_SYS(exit_group), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(restart_syscall),
    SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getrandom), SCMP_SYS(getpid),
    SCMP_SYS(gettid), SCMP_SYS(sched_yield), SCMP_SYS(sysinfo), SCMP_SYS(lseek), SCMP_SYS(pread64), SCMP_SYS(fstat),
};

/* Everything else fails with EPERM. That is as good as a kill, and a library that tries something harmless, such as to
 * look up the number of processors, goes on without it. */
static bool filter_calls(int talk_fd) {
    const struct scmp_arg_cmp on_talk_fd = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)talk_fd, 0);
    const struct scmp_arg_cmp anonymous = SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS);
    const struct scmp_arg_cmp no_code = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    /* abort() raises a signal */
    const struct scmp_arg_cmp own_process = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0);
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(1));
    if (!filter) return false;
    bool is_made = true;
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
        /* a call that the architecture hasn't is none that could be made */
        if (harmless[i] >= 0) is_made = is_made && !seccomp_rule_add(filter, SCMP_ACT_ALLOW, harmless[i], 0);
    }
    is_made = is_made && !seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(read), 1, on_talk_fd) &&
              !seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(write), 1, on_talk_fd) &&
              !seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, no_code, anonymous) &&
              !seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, no_code) &&
              !seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, own_process) && !seccomp_load(filter);
    seccomp_release(filter);
    return is_made;
}

#else

static bool filter_calls(int talk_fd) {
    (void)talk_fd;
    return false;
}

#endif

bool sandbox_enter(size_t memory_bytes, int talk_fd, bool *is_filtered) {
    bool is_limited = set_limits(memory_bytes);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    *is_filtered = filter_calls(talk_fd);
    return is_limited;
}
