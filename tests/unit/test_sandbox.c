/* The sandbox of filtags-read from the inside: a child enters it and tries what a taken-over reader would. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
/* after the headers that it needs */
#include <cmocka.h>

#include "base/sandbox.h"

enum { LIMIT_BYTES = 64 << 20, DENIED = 0, ALLOWED = 1, NO_FILTER = 2, NO_SANDBOX = 3 };

static int talk[2]; /* a socket pair; the child's end is talk[0] */

/* Enter the sandbox in a child and act there. Returns the child's exit status, or minus its signal. */
static int in_sandbox(bool needs_filter, int (*act)(void)) {
    int state = 0;
    bool is_filtered;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (!sandbox_enter(LIMIT_BYTES, talk[0], &is_filtered)) _exit(NO_SANDBOX);
        _exit(needs_filter && !is_filtered ? NO_FILTER : act());
    }
    assert_int_equal(waitpid(child, &state, 0), child);
    return WIFEXITED(state) ? WEXITSTATUS(state) : -WTERMSIG(state);
}

static int try_open(void) { return open("/etc/passwd", O_RDONLY) < 0 ? DENIED : ALLOWED; }
static int try_create(void) { return open("/tmp/filtags-sandbox", O_WRONLY | O_CREAT, 0600) < 0 ? DENIED : ALLOWED; }
static int try_socket(void) { return socket(AF_INET, SOCK_STREAM, 0) < 0 ? DENIED : ALLOWED; }
static int try_duplicate(void) { return dup(talk[0]) < 0 ? DENIED : ALLOWED; }

static int try_fork(void) {
    pid_t child = fork();
    if (child == 0) _exit(0);
    return child < 0 ? DENIED : ALLOWED;
}

static int try_thread(void) { return syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0) < 0 ? DENIED : ALLOWED; }

static int try_program(void) {
    execl("/bin/true", "true", (char *)NULL);
    return DENIED;
}

static int try_kill(void) { return kill(getppid(), 0) < 0 && kill(1, 0) < 0 ? DENIED : ALLOWED; }

static int try_code(void) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED) return ALLOWED;
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page != MAP_FAILED && mprotect(page, 4096, PROT_READ | PROT_EXEC) < 0 ? DENIED : ALLOWED;
}

static int try_other_descriptor(void) { return write(talk[1], "x", 1) < 0 ? DENIED : ALLOWED; }

static int try_limits(void) {
    const struct rlimit more = {100, 100};
    return setrlimit(RLIMIT_NOFILE, &more) < 0 ? DENIED : ALLOWED;
}

static int try_signal_handler(void) { return signal(SIGXCPU, SIG_IGN) == SIG_ERR ? DENIED : ALLOWED; }

static int try_memory(void) {
    void *memory = mmap(NULL, 2 * (size_t)LIMIT_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? DENIED : ALLOWED;
}

static int use_what_is_allowed(void) {
    char *memory = malloc(LIMIT_BYTES / 4);
    if (!memory) return 10;
    memory[0] = 'o';
    if (write(talk[0], memory, 1) != 1) return 11;
    free(memory);
    if (getpid() <= 0) return 12;
    char byte;
    return read(talk[0], &byte, 1) == 1 ? 0 : 13;
}

static int abort_there(void) {
    abort();
    return 0;
}

static void denied(void **state) {
    /* descriptors are a limit's affair, and need no filter */
    int (*const always[])(void) = {try_open, try_create, try_socket, try_duplicate};
    int (*const with_filter[])(void) = {try_fork,   try_thread,           try_program,        try_kill,
                                        try_code,   try_other_descriptor, try_signal_handler, try_limits};
    bool is_filtered = true;
    (void)state;
    for (size_t i = 0; i < sizeof always / sizeof *always; i++) assert_int_equal(in_sandbox(false, always[i]), DENIED);
    for (size_t i = 0; i < sizeof with_filter / sizeof *with_filter; i++) {
        int outcome = in_sandbox(true, with_filter[i]);
        if (outcome == NO_FILTER) is_filtered = false;
        else if (outcome != DENIED) fail_msg("attempt %zu: %d", i, outcome);
    }
    if (!SANDBOX_IS_LOOSE) assert_int_equal(in_sandbox(false, try_memory), DENIED);
    if (!is_filtered) skip();
}

static void allowed(void **state) {
    (void)state;
    assert_int_equal(write(talk[1], "x", 1), 1);
    assert_int_equal(in_sandbox(false, use_what_is_allowed), 0);
    assert_int_equal(in_sandbox(false, abort_there), -SIGABRT);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(allowed), cmocka_unit_test(denied)};
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, talk)) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
