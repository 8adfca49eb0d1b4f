#include "team/team.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "team/transport.h"
#include "team_config.h"

static const char module_name[] = "filtags_mpi.so";

struct team {
    const struct transport *transport;
    struct transport_place place;
    atomic_bool is_broken, is_led;
};

/* ---------------------------------------------------------------- place */

/* Who starts processes, and the variables in which it tells them. A size that isn't known is 0. */
static const struct {
    const char *rank, *size;
} starters[] = {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                {"PMI_RANK", "PMI_SIZE"}, /* MPICH, Intel MPI, srun --mpi=pmi2 */
                {"MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"},
                {"PMIX_RANK", "SLURM_STEP_NUM_TASKS"}}; /* srun --mpi=pmix */

static bool read_number(const char *name, size_t *number) {
    const char *text = getenv(name);
    char *end;
    if (!text || *text < '0' || *text > '9') return false;
    unsigned long value = strtoul(text, &end, 10);
    if (*end || value > INT_MAX) return false;
    *number = value;
    return true;
}

static const char *chosen_module(void) {
    const char *path = getenv("FILTAGS_MPI_MODULE");
    return path && *path ? path : NULL;
}

struct team_place team_find_place(void) {
    struct team_place place = {0, 1};
    const char *module = chosen_module();
    if (module && strcmp(module, "none") == 0) return place;
    for (size_t i = 0; i < sizeof starters / sizeof *starters; i++) {
        if (!read_number(starters[i].rank, &place.rank) || !read_number(starters[i].size, &place.size)) continue;
        if (place.size > 1 && place.rank < place.size) return place;
    }
    return (struct team_place){0, 1};
}

size_t filtags_process_number(void) { return team_find_place().rank; }

/* ---------------------------------------------------------------- joining */

/* Where this library lies: in the build tree the module lies beside it. */
static char *path_beside_library(void) {
    Dl_info info;
    if (!dladdr(module_name, &info) || !info.dli_fname) return NULL;
    const char *slash = strrchr(info.dli_fname, '/');
    return slash ? memory_format("%.*s/%s", (int)(slash - info.dli_fname), info.dli_fname, module_name) : NULL;
}

static filtags_status find_module(size_t size, char **result) {
    const char *chosen = chosen_module();
    char *beside = path_beside_library(), *installed = memory_format("%s/%s", FILTAGS_MODULE_DIR, module_name);
    const char *const paths[] = {chosen, beside, installed};
    const char *found = NULL;
    for (size_t i = 0; i < sizeof paths / sizeof *paths && !found && !(chosen && i > 0); i++)
        if (paths[i] && access(paths[i], F_OK) == 0) found = paths[i];
    filtags_status status = FILTAGS_OK;
    if (!found)
        status = error_set(FILTAGS_ERROR_UNSUPPORTED,
                           "%s: the module for MPI expected, as mpirun has started %zu processes, found none (it is "
                           "built where MPI is installed: meson setup -Dmpi=enabled; to run each process by itself, "
                           "set FILTAGS_MPI_MODULE=none)",
                           chosen ? chosen : installed ? installed : module_name, size);
    else if (!(*result = memory_copy_string(found))) status = FILTAGS_ERROR_MEMORY;
    free(beside);
    free(installed);
    return status;
}

static filtags_status load_module(const char *path, const struct transport **transport) {
    /* RTLD_GLOBAL: MPI loads plugins of its own, which look for it */
    void *module = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (!module)
        return error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: the module for MPI cannot be loaded: %s", path, dlerror());
    const struct transport *found = dlsym(module, TRANSPORT_SYMBOL);
    if (!found || found->version != TRANSPORT_VERSION) {
        filtags_status status =
            error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: a module of filTags %s for MPI expected, found another", path,
                      filtags_version());
        dlclose(module);
        return status;
    }
    *transport = found;
    return FILTAGS_OK;
}

/* A module of another MPI than that of mpirun believes to be alone. */
static filtags_status check_size(const struct team *team, const char *path, const struct team_place *expected) {
    if ((size_t)team->place.size == expected->size && (size_t)team->place.rank == expected->rank) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_UNSUPPORTED,
                     "%s (%s): %zu processes expected, as mpirun has started, found %d: mpirun is of another MPI", path,
                     team->place.library, expected->size, team->place.size);
}

static pthread_mutex_t join_lock = PTHREAD_MUTEX_INITIALIZER;
static struct team the_team;
static bool has_tried; /* MPI starts once in a process */

static void leave(void) {
    if (the_team.is_broken) the_team.transport->abort();
    else the_team.transport->end();
}

static filtags_status start_team(const struct team_place *expected) {
    char error[TRANSPORT_ERROR_BYTES];
    char *path = NULL;
    struct team team = {0};
    filtags_status status = find_module(expected->size, &path);
    if (!status) status = load_module(path, &team.transport);
    if (!status && !team.transport->start(&team.place, error))
        status = error_set(FILTAGS_ERROR_INTERNAL, "%s: %s", path, error);
    if (!status) {
        status = check_size(&team, path, expected);
        if (status) team.transport->end();
    }
    if (!status) {
        the_team = team;
        atexit(leave);
    }
    free(path);
    return status;
}

filtags_status team_join(struct team **result) {
    const struct team_place place = team_find_place();
    filtags_status status = FILTAGS_OK;
    if (place.size == 1) {
        *result = NULL;
        return FILTAGS_OK;
    }
    pthread_mutex_lock(&join_lock);
    if (!has_tried) status = start_team(&place);
    else if (!the_team.transport || the_team.is_broken)
        status = error_set(FILTAGS_ERROR_INTERNAL, "the other processes can't be reached since an earlier failure");
    has_tried = true;
    pthread_mutex_unlock(&join_lock);
    if (!status) *result = &the_team;
    return status;
}

bool filtags_process_is_led(void) { return the_team.is_led; }

void team_set_led(struct team *team) { team->is_led = true; }

size_t team_rank(const struct team *team) { return (size_t)team->place.rank; }
size_t team_size(const struct team *team) { return (size_t)team->place.size; }
const char *team_host(const struct team *team) { return team->place.host; }
const char *team_library(const struct team *team) { return team->place.library; }
void team_break(struct team *team) { team->is_broken = true; }
bool team_is_broken(const struct team *team) { return team->is_broken; }

/* ---------------------------------------------------------------- messages */

static filtags_status fail(struct team *team, const char *error) {
    team_break(team);
    return error_set(FILTAGS_ERROR_INTERNAL, "%s: %s", team->place.library, error);
}

filtags_status team_send(struct team *team, size_t to, int tag, const void *contents, size_t n_bytes) {
    char error[TRANSPORT_ERROR_BYTES];
    return team->transport->send((int)to, tag, contents, n_bytes, error) ? FILTAGS_OK : fail(team, error);
}

filtags_status team_poll(struct team *team, int from, int tag, bool *is_there, struct team_message *message) {
    char error[TRANSPORT_ERROR_BYTES];
    size_t n_bytes = 0;
    int source = 0;
    if (!team->transport->probe(from == TEAM_ANY ? TRANSPORT_ANY : from, tag, is_there, &source, &n_bytes, error))
        return fail(team, error);
    if (!*is_there) return FILTAGS_OK;
    char *contents = memory_new(n_bytes + 1, 1);
    if (!contents) return FILTAGS_ERROR_MEMORY;
    if (!team->transport->receive(source, tag, contents, n_bytes, error)) {
        free(contents);
        return fail(team, error);
    }
    *message = (struct team_message){(size_t)source, contents, n_bytes};
    return FILTAGS_OK;
}

filtags_status team_receive(struct team *team, size_t from, int tag, struct team_message *message) {
    bool is_there = false;
    unsigned n_pauses = 0;
    for (;;) {
        filtags_status status = team_poll(team, (int)from, tag, &is_there, message);
        if (status || is_there) return status;
        team_pause(&n_pauses);
    }
}

void team_pause(unsigned *n_pauses) {
    enum { FIRST_NS = 50000, MOST_DOUBLINGS = 5 }; /* up to 1.6 ms */
    nanosleep(&(struct timespec){.tv_nsec = FIRST_NS << *n_pauses}, NULL);
    if (*n_pauses < MOST_DOUBLINGS) ++*n_pauses;
}
