#include "base/rehearsal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void become_child(void (*act)(void *context), void *context, unsigned limit_sec) {
    static const int signals[] = {SIGINT, SIGTERM, SIGXCPU, SIGALRM, SIGSEGV, SIGBUS, SIGABRT};
    const struct rlimit cpu = {limit_sec, limit_sec + 1}, no_core = {0, 0};
    int nowhere = open("/dev/null", O_RDWR);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) signal(signals[i], SIG_DFL);
    if (nowhere >= 0) {
        dup2(nowhere, STDOUT_FILENO);
        dup2(nowhere, STDERR_FILENO);
    }
    setrlimit(RLIMIT_CPU, &cpu);
    setrlimit(RLIMIT_CORE, &no_core);
    alarm(6 * limit_sec); /* for what hangs without using the processor */
    act(context);
    _exit(0); /* no exit handlers: they are the parent's */
}

enum rehearsal_outcome rehearse(void (*act)(void *context), void *context, unsigned limit_sec) {
    int state;
    pid_t child = fork();
    if (child < 0) return REHEARSAL_IMPOSSIBLE;
    if (child == 0) become_child(act, context, limit_sec);
    while (waitpid(child, &state, 0) < 0) {
        if (errno != EINTR) return REHEARSAL_IMPOSSIBLE; /* the caller's program may collect its children itself */
    }
    if (WIFEXITED(state) && WEXITSTATUS(state) == 0) return REHEARSAL_SURVIVED;
    bool is_timeout = WIFSIGNALED(state) && (WTERMSIG(state) == SIGXCPU || WTERMSIG(state) == SIGALRM);
    return is_timeout ? REHEARSAL_HUNG : REHEARSAL_CRASHED;
}
