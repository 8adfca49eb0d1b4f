/* warm_reader.c - filtags-read for fuzzers. Starting it takes 13 ms, in which the system links libhdf5 and what that
 * needs; here that is done once, and each file gets a fork, which goes through the program's own main: the same limits,
 * the same filter of system calls, the same questions. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "fuzz.h"
#include "warm_reader.h"

#define main reader_main
#include "../../reader/main.c"
#undef main

/* Receive what is wanted, and the descriptor. -1: the fuzzer has ended. */
static int receive_request(struct warm_request *request) {
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {request, sizeof *request};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t n;
    while ((n = recvmsg(STDIN_FILENO, &message, 0)) < 0 && errno == EINTR) continue;
    if (n == 0) return -1;
    MUST(n == sizeof *request && CMSG_FIRSTHDR(&message));
    int talk;
    memcpy(&talk, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof talk);
    return talk;
}

/* libhdf5 gets no end with one damaged file in sixty, and 0.8 s for each would be nearly all of a fuzzer's time: after
 * 30 ms here comes what comes after the kernel's limit there. A good file of the size takes 2 ms; with a
 * sanitizer, which the sandbox is loose for, up to five times as much. */
static void limit_time(void) {
    const struct itimerspec limit = {.it_value = {.tv_nsec = SANDBOX_IS_LOOSE ? 150000000 : 30000000}};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGXCPU};
    timer_t timer;
    MUST(timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer) == 0 && timer_settime(timer, 0, &limit, NULL) == 0);
}

/* In the child. */
static int read_for_fuzzer(struct warm_request *request, int talk, int nowhere) {
    char *arguments[] = {"filtags-read", request->arguments[0], request->arguments[1], NULL};
    setpgid(0, 0);
    dup2(talk, READER_TALK_FD);
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    close(nowhere);
    close(talk);
    limit_time();
    fuzz_judge_reader();
    return reader_main(*request->arguments[1] ? 3 : 2, arguments);
}

int main(void) {
    struct warm_request request;
    int talk;
    const int nowhere = open("/dev/null", O_WRONLY);
    MUST(nowhere >= 0);
    parse_prepare();
    while ((talk = receive_request(&request)) >= 0) {
        /* a fork whose parent is this one's: whoever starts a reader also waits for it */
        pid_t pid = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
        if (pid == 0) _exit(read_for_fuzzer(&request, talk, nowhere));
        MUST(pid > 0);
        close(talk);
        MUST(write(STDIN_FILENO, &pid, sizeof pid) == sizeof pid);
    }
    return 0;
}
