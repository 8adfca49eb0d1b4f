#include "steps/teamwork_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

/* ---------------------------------------------------------------- begin and end */

static filtags_status check_command(const filtags_options *options, const struct team_place *place) {
    const unsigned bit = command_row(options->command)->bit;
    if (!(bit & (COMMAND_ACTIVATIONS | COMMAND_EVALUATE | COMMAND_PIPELINE)))
        return error_set(FILTAGS_ERROR_USAGE,
                         "activations, evaluate or pipeline expected, which several processes can share, as mpirun has "
                         "started %zu: run this command without mpirun",
                         place->size);
    if (options->store)
        return error_set(FILTAGS_ERROR_USAGE,
                         "--store: one process expected, since a store belongs to one process, but mpirun has started "
                         "%zu",
                         place->size);
    return FILTAGS_OK;
}

filtags_status teamwork_begin(const filtags_options *options, const filtags_callbacks *callbacks,
                              struct teamwork **result) {
    const struct team_place place = team_find_place();
    struct team *team = NULL;
    *result = NULL;
    if (place.size == 1) return FILTAGS_OK;
    filtags_status status = check_command(options, &place);
    if (!status) status = team_join(&team);
    if (status) return status;
    struct teamwork *work = memory_new(1, sizeof *work);
    struct helper *helpers = memory_new(place.size, sizeof *helpers);
    if (!work || !helpers) {
        free(work);
        free(helpers);
        team_break(team);
        return FILTAGS_ERROR_MEMORY;
    }
    work->team = team;
    work->rank = team_rank(team);
    work->size = team_size(team);
    work->callbacks = callbacks;
    if (callbacks) work->silent = (filtags_callbacks){.user = callbacks->user, .is_cancelled = callbacks->is_cancelled};
    work->shard = options->shard;
    work->interval_sec = options->checkpoint_interval;
    work->helpers = helpers;
    pthread_mutex_init(&work->lock, NULL);
    pthread_mutex_init(&work->sending, NULL);
    *result = work;
    return FILTAGS_OK;
}

/* What is known of a part that has ended. */
static void forget_part(struct teamwork *work) {
    for (size_t i = 0; i < work->size; i++) {
        free(work->helpers[i].host);
        work->helpers[i] = (struct helper){0};
    }
    free(work->message);
    free(work->key);
    buffer_free(&work->group);
    work->message = work->key = NULL;
    work->status = FILTAGS_OK;
    work->first = work->next = work->end = work->n_before = work->n_own = work->n_elsewhere = 0;
    work->group_bytes = work->n_groups = work->n_done = 0;
    work->is_closed = work->is_answering = false;
    work->job = NULL;
    work->decode_sec = work->network_sec = 0;
}

void teamwork_free(struct teamwork *work) {
    if (!work) return;
    forget_part(work);
    free(work->helpers);
    pthread_mutex_destroy(&work->lock);
    pthread_mutex_destroy(&work->sending);
    free(work);
}

bool teamwork_is_helper(const struct teamwork *work) { return work && work->rank > 0; }

size_t teamwork_n_processes(const struct teamwork *work) { return work ? work->size : 1; }

const filtags_callbacks *teamwork_callbacks(const struct teamwork *work, const filtags_callbacks *callbacks) {
    return teamwork_is_helper(work) ? &work->silent : callbacks;
}

void teamwork_note_failure(struct teamwork *work, filtags_status status, const char *message) {
    pthread_mutex_lock(&work->lock);
    if (!work->status) {
        work->status = status;
        work->message = memory_copy_string(message);
    }
    work->is_closed = true;
    pthread_mutex_unlock(&work->lock);
}

filtags_status teamwork_first_failure(struct teamwork *work) {
    pthread_mutex_lock(&work->lock);
    filtags_status status = work->status;
    if (status) status = error_set(status, "%s", work->message ? work->message : "out of memory");
    pthread_mutex_unlock(&work->lock);
    return status;
}

bool teamwork_is_closed(struct teamwork *work) {
    pthread_mutex_lock(&work->lock);
    bool is = work->is_closed;
    pthread_mutex_unlock(&work->lock);
    return is;
}

/* ---------------------------------------------------------------- messages */

filtags_status teamwork_send(struct teamwork *work, size_t to, int tag, const void *head, size_t n_head_bytes,
                             const char *text) {
    struct buffer message = {0};
    buffer_append(&message, head, n_head_bytes);
    buffer_append_text(&message, text);
    filtags_status status = message.has_failed ? FILTAGS_ERROR_MEMORY
                                               : team_send(work->team, to, tag, message.data, message.size_bytes);
    buffer_free(&message);
    return status;
}

filtags_status teamwork_say(struct teamwork *work, const struct talk *talk, const char *text) {
    return teamwork_send(work, 0, TAG_TALK, talk, sizeof *talk, text);
}

/* Processes of one build talk to each other, which the key ensures; still no message is trusted to be whole. */
filtags_status teamwork_split(const struct team_message *message, void *head, size_t n_head_bytes,
                              const char **text) {
    if (message->n_bytes < n_head_bytes)
        return error_set(FILTAGS_ERROR_INTERNAL, "rank %zu: a message of at least %zu bytes expected, found %zu",
                         message->from, n_head_bytes, message->n_bytes);
    memcpy(head, message->contents, n_head_bytes);
    if (text) *text = message->contents + n_head_bytes;
    return FILTAGS_OK;
}

filtags_status teamwork_tell_key(struct teamwork *work, const char *key) {
    if (!work) return FILTAGS_OK;
    if (!teamwork_is_helper(work)) {
        free(work->key);
        work->key = memory_format("shard %zu/%zu\n%s", work->shard.i, work->shard.n, key);
        return work->key ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
    }
    const struct talk talk = {.kind = TALK_KEY};
    char *text = memory_format("%s\nshard %zu/%zu\n%s", team_host(work->team), work->shard.i, work->shard.n, key);
    filtags_status status = text ? teamwork_say(work, &talk, text) : FILTAGS_ERROR_MEMORY;
    free(text);
    return status;
}

/* ---------------------------------------------------------------- a part, as leader or helper */

filtags_status teamwork_run(struct teamwork *work, struct runner_job *job, struct progress *progress,
                            struct runner_totals *totals) {
    if (!work) return runner_run(job, totals);
    return teamwork_is_helper(work) ? teamwork_help(work, job) : teamwork_lead(work, job, progress, totals);
}

filtags_status teamwork_end_part(struct teamwork *work, filtags_status status, char **path) {
    if (!work) return status;
    status = teamwork_is_helper(work) ? teamwork_await_verdict(work, status, path)
                                      : teamwork_give_verdict(work, status, path ? *path : NULL);
    forget_part(work);
    return status;
}
