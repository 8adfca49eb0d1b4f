#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "steps/teamwork_internal.h"

/* ---------------------------------------------------------------- the pictures */

static size_t ask(void *context, size_t *first) {
    struct teamwork *work = context;
    struct team_message message;
    struct answer answer = {0};
    const struct talk talk = {.kind = TALK_ASK, .n = work->job->batch, .n_done = tally_n_done(work->tally)};
    if (teamwork_is_closed(work)) return 0;
    filtags_status status = teamwork_say(work, &talk, "");
    if (!status) status = team_receive(work->team, 0, TAG_ANSWER, &message);
    if (!status) {
        status = teamwork_split(&message, &answer, sizeof answer, NULL);
        free(message.contents);
    }
    const size_t n_files = work->job->n_files;
    if (!status && (answer.n > talk.n || answer.first > n_files || answer.n > n_files - answer.first))
        status = error_set(FILTAGS_ERROR_INTERNAL, "rank 0: pictures of this step expected");
    if (status) {
        teamwork_note_failure(work, status, filtags_error_message());
        return 0;
    }
    *first = (size_t)answer.first;
    return (size_t)answer.n;
}

static filtags_status append_record(void *context, const struct tally_record *record) {
    static const char zeros[8];
    struct buffer *group = context;
    const struct group_record head = {record->type, record->number, record->n_bytes};
    buffer_append(group, &head, sizeof head);
    buffer_append(group, record->contents, record->n_bytes);
    buffer_append(group, zeros, (8 - record->n_bytes % 8) % 8);
    return group->has_failed ? FILTAGS_ERROR_MEMORY : FILTAGS_OK;
}

static filtags_status send_group(struct teamwork *work, const struct buffer *group) {
    const uint64_t n_bytes = group->size_bytes;
    filtags_status status = team_send(work->team, 0, TAG_GROUP, &n_bytes, sizeof n_bytes);
    for (size_t at = 0; !status && at < n_bytes; at += TEAM_MOST_BYTES) {
        const size_t n = n_bytes - at < TEAM_MOST_BYTES ? n_bytes - at : TEAM_MOST_BYTES;
        status = team_send(work->team, 0, TAG_GROUP, group->data + at, n);
    }
    return status;
}

static filtags_status hand_over(struct teamwork *work) {
    struct buffer group = {0};
    const struct tally_receiver receiver = {&group, append_record};
    filtags_status status = tally_hand_over(work->tally, &receiver);
    if (!status && group.size_bytes) {
        status = send_group(work, &group);
        work->n_groups++;
    }
    buffer_free(&group);
    work->handed_over_sec = clock_sec();
    return status;
}

static void hand_over_if_time(void *context) {
    struct teamwork *work = context;
    if (pthread_mutex_trylock(&work->sending)) return; /* another thread is about it */
    if (clock_sec() - work->handed_over_sec >= work->interval_sec && !teamwork_is_closed(work)) {
        filtags_status status = hand_over(work);
        if (status) teamwork_note_failure(work, status, filtags_error_message());
    }
    pthread_mutex_unlock(&work->sending);
}

filtags_status teamwork_help(struct teamwork *work, struct runner_job *job) {
    struct runner_totals totals = {0};
    work->job = job;
    work->tally = job->tally;
    work->handed_over_sec = clock_sec();
    job->take_numbers = ask;
    job->numbers_context = work;
    job->after_batch = hand_over_if_time;
    job->after_batch_context = work;
    filtags_status status = runner_run(job, &totals);
    if (status) teamwork_note_failure(work, status, filtags_error_message());
    work->decode_sec = totals.decode_sec;
    work->network_sec = totals.network_sec;
    /* after a failure, too: what is done isn't lost */
    if (!team_is_broken(work->team)) {
        status = hand_over(work);
        if (status) teamwork_note_failure(work, status, filtags_error_message());
    }
    work->n_done = tally_n_done(work->tally);
    work->tally = NULL;
    return teamwork_first_failure(work);
}

/* ---------------------------------------------------------------- end of a part */

/* A failure that the leader can't be told of is this process's to tell. */
static filtags_status tell_alone(struct teamwork *work, filtags_status status) {
    const filtags_callbacks *callbacks = work->callbacks;
    char *line = memory_format("rank %zu on %s: %s", work->rank, team_host(work->team), filtags_error_message());
    if (line && callbacks && callbacks->log) callbacks->log(callbacks->user, FILTAGS_LOG_WARNING, line);
    free(line);
    return status;
}

filtags_status teamwork_await_verdict(struct teamwork *work, filtags_status status, char **path) {
    struct team_message message;
    struct answer answer;
    const char *text = "";
    struct talk talk = {.kind = TALK_END,
                        .status = status,
                        .n_done = work->n_done,
                        .n_groups = work->n_groups,
                        .decode_sec = work->decode_sec,
                        .network_sec = work->network_sec};
    if (team_is_broken(work->team)) return tell_alone(work, status);
    char *own = memory_format("rank %zu on %s: %s", work->rank, team_host(work->team), filtags_error_message());
    status = own ? teamwork_say(work, &talk, status ? own : "") : FILTAGS_ERROR_MEMORY;
    free(own);
    if (!status) status = team_receive(work->team, 0, TAG_ANSWER, &message);
    if (status) {
        team_break(work->team);
        return tell_alone(work, status);
    }
    status = teamwork_split(&message, &answer, sizeof answer, &text);
    if (!status && answer.status) {
        status = error_set((filtags_status)answer.status, "%s", text);
        team_set_led(work->team);
    }
    if (!status && path) {
        *path = memory_copy_string(text);
        if (!*path) status = FILTAGS_ERROR_MEMORY;
    }
    free(message.contents);
    return status;
}
