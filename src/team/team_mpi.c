/* team_mpi.c - the module filtags_mpi.so: messages by MPI. It uses nothing of the library. */
#include <mpi.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "team/transport.h"

extern const struct transport filtags_transport;

/* MPI_THREAD_SERIALIZED: one call at a time. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool check(int code, const char *what, char error[TRANSPORT_ERROR_BYTES]) {
    char reason[MPI_MAX_ERROR_STRING] = "";
    int length;
    if (code == MPI_SUCCESS) return true;
    MPI_Error_string(code, reason, &length);
    snprintf(error, TRANSPORT_ERROR_BYTES, "%s failed: %.400s", what, reason);
    return false;
}

static void describe_library(char library[TRANSPORT_LIBRARY_BYTES]) {
    char version[MPI_MAX_LIBRARY_VERSION_STRING] = "MPI";
    int length;
    MPI_Get_library_version(version, &length);
    for (char *c = version; *c; c++)
        if (*c == '\t') *c = ' ';
    version[strcspn(version, "\n,")] = '\0'; /* what follows is how it was configured */
    snprintf(library, TRANSPORT_LIBRARY_BYTES, "%.200s", version);
}

static bool start(struct transport_place *place, char error[TRANSPORT_ERROR_BYTES]) {
    char host[MPI_MAX_PROCESSOR_NAME] = "";
    int provided = MPI_THREAD_SINGLE, length;
    if (!check(MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread", error)) return false;
    describe_library(place->library);
    if (provided < MPI_THREAD_SERIALIZED) {
        snprintf(error, TRANSPORT_ERROR_BYTES, "%s: an MPI for several threads (MPI_THREAD_SERIALIZED) expected",
                 place->library);
        return false;
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (!check(MPI_Comm_rank(MPI_COMM_WORLD, &place->rank), "MPI_Comm_rank", error)) return false;
    if (!check(MPI_Comm_size(MPI_COMM_WORLD, &place->size), "MPI_Comm_size", error)) return false;
    if (!check(MPI_Get_processor_name(host, &length), "MPI_Get_processor_name", error)) return false;
    snprintf(place->host, sizeof place->host, "%.255s", host);
    return true;
}

/* Sleep for longer each time, up to a millisecond. */
static void pause_a_little(unsigned *n_pauses) {
    const long ns = *n_pauses < 5 ? 20000L << *n_pauses : 1000000L;
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
    ++*n_pauses;
}

static bool wait_for(MPI_Request *request, const char *what, char error[TRANSPORT_ERROR_BYTES]) {
    unsigned n_pauses = 0;
    for (;;) {
        int is_done = 0;
        pthread_mutex_lock(&lock);
        int code = MPI_Test(request, &is_done, MPI_STATUS_IGNORE);
        bool is_good = check(code, what, error);
        pthread_mutex_unlock(&lock);
        if (!is_good || is_done) return is_good;
        pause_a_little(&n_pauses);
    }
}

static bool send_message(int to, int tag, const void *bytes, size_t n_bytes, char error[TRANSPORT_ERROR_BYTES]) {
    MPI_Request request;
    pthread_mutex_lock(&lock);
    bool is_good = check(MPI_Isend(bytes, (int)n_bytes, MPI_BYTE, to, tag, MPI_COMM_WORLD, &request), "MPI_Isend",
                         error);
    pthread_mutex_unlock(&lock);
    return is_good && wait_for(&request, "MPI_Isend", error);
}

static bool probe(int wanted, int tag, bool *is_there, int *from, size_t *n_bytes, char error[TRANSPORT_ERROR_BYTES]) {
    MPI_Status status;
    int is_found = 0, count = 0;
    pthread_mutex_lock(&lock);
    bool is_good = check(MPI_Iprobe(wanted == TRANSPORT_ANY ? MPI_ANY_SOURCE : wanted, tag, MPI_COMM_WORLD, &is_found,
                                    &status),
                         "MPI_Iprobe", error);
    if (is_good && is_found) is_good = check(MPI_Get_count(&status, MPI_BYTE, &count), "MPI_Get_count", error);
    pthread_mutex_unlock(&lock);
    if (!is_good) return false;
    *is_there = is_found;
    if (is_found) {
        *from = status.MPI_SOURCE;
        *n_bytes = (size_t)count;
    }
    return true;
}

static bool receive(int from, int tag, void *bytes, size_t n_bytes, char error[TRANSPORT_ERROR_BYTES]) {
    MPI_Request request;
    pthread_mutex_lock(&lock);
    bool is_good = check(MPI_Irecv(bytes, (int)n_bytes, MPI_BYTE, from, tag, MPI_COMM_WORLD, &request), "MPI_Irecv",
                         error);
    pthread_mutex_unlock(&lock);
    return is_good && wait_for(&request, "MPI_Irecv", error);
}

static void end(void) { MPI_Finalize(); }

static void abort_all(void) { MPI_Abort(MPI_COMM_WORLD, 1); }

__attribute__((visibility("default"))) const struct transport filtags_transport = {
    .version = TRANSPORT_VERSION,
    .start = start,
    .send = send_message,
    .probe = probe,
    .receive = receive,
    .end = end,
    .abort = abort_all};
