#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "steps/progress.h"
#include "steps/teamwork_internal.h"

/* ---------------------------------------------------------------- what helpers say */

/* The next pictures that aren't done, leaving some for the others at the end of the list. */
static size_t take_pictures(struct teamwork *work, size_t n_wanted, size_t *first) {
    size_t n = 0;
    pthread_mutex_lock(&work->lock);
    struct tally *tally = work->job->tally;
    while (work->next < work->end && tally_is_done(tally, work->next)) work->next++;
    if (!work->is_closed && work->next < work->end) {
        const size_t n_threads = work->job->n_threads * work->size; /* as if all had as many */
        const size_t share = (work->end - work->next + n_threads - 1) / n_threads;
        *first = work->next;
        while (n < share && n < n_wanted && work->next < work->end && !tally_is_done(tally, work->next)) {
            work->next++;
            n++;
        }
    }
    pthread_mutex_unlock(&work->lock);
    return n;
}

static size_t take_own(void *context, size_t *first) {
    struct teamwork *work = context;
    const size_t n = take_pictures(work, work->job->batch, first);
    work->n_own += n; /* by one thread at a time */
    return n;
}

static filtags_status answer_helper(struct teamwork *work, size_t rank) {
    struct helper *helper = &work->helpers[rank];
    struct answer answer = {0};
    size_t first = 0;
    if (work->is_answering) answer.n = take_pictures(work, helper->n_wanted, &first);
    answer.first = first;
    helper->is_asking = false;
    return teamwork_send(work, rank, TAG_ANSWER, &answer, sizeof answer, "");
}

static void count_elsewhere(struct teamwork *work, struct helper *helper, size_t n_done) {
    pthread_mutex_lock(&work->lock);
    work->n_elsewhere += n_done - helper->n_done;
    pthread_mutex_unlock(&work->lock);
    helper->n_done = n_done;
}

/* The first lines that differ. */
static void compare_keys(struct teamwork *work, size_t rank, const char *theirs) {
    const char *ours = work->key;
    while (*ours && *theirs) {
        const size_t n = strcspn(ours, "\n"), n_theirs = strcspn(theirs, "\n");
        if (n != n_theirs || strncmp(ours, theirs, n) != 0) break;
        ours += n + (ours[n] == '\n');
        theirs += n + (theirs[n] == '\n');
    }
    if (!*ours && !*theirs) return;
    error_set(FILTAGS_ERROR_DATA,
              "rank %zu on %s: '%.*s' expected, as rank 0 on %s has, found '%.*s': all processes need the same "
              "program, files and options",
              rank, work->helpers[rank].host, (int)strcspn(ours, "\n"), ours, team_host(work->team),
              (int)strcspn(theirs, "\n"), theirs);
    teamwork_note_failure(work, FILTAGS_ERROR_DATA, filtags_error_message());
}

static filtags_status take_key(struct teamwork *work, size_t rank, const char *text) {
    struct helper *helper = &work->helpers[rank];
    const size_t n_host_bytes = strcspn(text, "\n");
    free(helper->host);
    helper->host = memory_format("%.*s", (int)n_host_bytes, text);
    if (!helper->host) return FILTAGS_ERROR_MEMORY;
    /* the leader's own is missing where it failed before it had one */
    if (work->key) compare_keys(work, rank, text + n_host_bytes + (text[n_host_bytes] == '\n'));
    return FILTAGS_OK;
}

static filtags_status take_talk(struct teamwork *work, const struct team_message *message) {
    struct talk talk;
    const char *text = "";
    filtags_status status = teamwork_split(message, &talk, sizeof talk, &text);
    if (status) return status;
    struct helper *helper = &work->helpers[message->from];
    switch (talk.kind) {
    case TALK_KEY: return take_key(work, message->from, text);
    case TALK_ASK:
        helper->is_asking = true;
        helper->n_wanted = (size_t)talk.n;
        count_elsewhere(work, helper, (size_t)talk.n_done);
        return work->is_answering || teamwork_is_closed(work) ? answer_helper(work, message->from) : FILTAGS_OK;
    case TALK_END:
        helper->has_ended = true;
        helper->n_groups_told = talk.n_groups;
        helper->decode_sec = talk.decode_sec;
        helper->network_sec = talk.network_sec;
        count_elsewhere(work, helper, (size_t)talk.n_done);
        if (talk.status) teamwork_note_failure(work, talk.status, text);
        return FILTAGS_OK;
    default:
        return error_set(FILTAGS_ERROR_INTERNAL, "rank %zu: a message of a known kind expected, found %u",
                         message->from, (unsigned)talk.kind);
    }
}

/* ---------------------------------------------------------------- what helpers hand over */

/* Lists the records of a group. records: [*n]. */
static filtags_status list_records(const struct buffer *group, struct tally_record **records, size_t *n) {
    struct group_record head;
    void *items = NULL;
    size_t capacity = 0;
    *n = 0;
    for (size_t at = 0; at < group->size_bytes;) {
        if (group->size_bytes - at < sizeof head) break;
        memcpy(&head, group->data + at, sizeof head);
        at += sizeof head;
        if (head.n_bytes > group->size_bytes - at) break;
        if (memory_grow(&items, &capacity, *n + 1, sizeof **records)) {
            free(items);
            return FILTAGS_ERROR_MEMORY;
        }
        ((struct tally_record *)items)[(*n)++] =
            (struct tally_record){head.type, head.number, group->data + at, head.n_bytes};
        at += (head.n_bytes + 7) / 8 * 8;
        if (at == group->size_bytes) {
            *records = items;
            return FILTAGS_OK;
        }
    }
    free(items);
    return error_set(FILTAGS_ERROR_INTERNAL, "whole records expected, found a part of one");
}

/* A picture that can't be used is told of when it arrives. */
static void log_bad(struct teamwork *work, const struct tally_record *records, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (records[i].type != TALLY_BAD) continue;
        output_log(work->job->output, FILTAGS_LOG_WARNING, "%.*s (the picture is left out)", (int)records[i].n_bytes,
                   (const char *)records[i].contents);
    }
}

static filtags_status merge_group(struct teamwork *work) {
    struct tally_record *records = NULL;
    struct helper *helper = &work->helpers[work->group_from];
    char from[320];
    size_t n = 0;
    snprintf(from, sizeof from, "rank %zu on %s", work->group_from, helper->host ? helper->host : "?");
    filtags_status status = list_records(&work->group, &records, &n);
    if (!status) status = tally_merge(work->job->tally, records, n, from);
    if (!status) log_bad(work, records, n);
    free(records);
    buffer_free(&work->group);
    work->group_bytes = 0;
    helper->n_groups++;
    return status;
}

/* A group comes as its length, then in pieces; one group at a time, so that the leader keeps one in memory. */
static filtags_status take_piece(struct teamwork *work, const struct team_message *message) {
    if (!work->group_bytes) {
        work->group_from = message->from;
        return teamwork_split(message, &work->group_bytes, sizeof work->group_bytes, NULL);
    }
    buffer_append(&work->group, message->contents, message->n_bytes);
    if (work->group.has_failed) return FILTAGS_ERROR_MEMORY;
    return work->group.size_bytes < work->group_bytes ? FILTAGS_OK : merge_group(work);
}

/* ---------------------------------------------------------------- serving */

/* Take one message of each kind, if there is one. *n_pauses: as team_pause has it, 0 after a message. A failure is the
 * part's. */
static void serve(struct teamwork *work, unsigned *n_pauses) {
    struct team_message message;
    bool is_talk = false, is_piece = false;
    filtags_status status = team_poll(work->team, TEAM_ANY, TAG_TALK, &is_talk, &message);
    if (!status && is_talk) {
        status = take_talk(work, &message);
        free(message.contents);
    }
    const int from = work->group_bytes ? (int)work->group_from : TEAM_ANY;
    /* before the pictures, and after a part that had none, there is no tally to take it */
    if (!status && work->job) status = team_poll(work->team, from, TAG_GROUP, &is_piece, &message);
    if (!status && is_piece) {
        status = take_piece(work, &message);
        free(message.contents);
    }
    if (status) teamwork_note_failure(work, status, filtags_error_message());
    if (is_talk || is_piece) *n_pauses = 0;
    else team_pause(n_pauses);
}

/* Answer those who had to wait. */
static void answer_all(struct teamwork *work) {
    for (size_t i = 1; i < work->size; i++) {
        if (!work->helpers[i].is_asking) continue;
        filtags_status status = answer_helper(work, i);
        if (status) teamwork_note_failure(work, status, filtags_error_message());
    }
}

static void poll_cancelled(struct teamwork *work) {
    const filtags_callbacks *callbacks = work->callbacks;
    if (callbacks && callbacks->is_cancelled && callbacks->is_cancelled(callbacks->user) && !teamwork_is_closed(work))
        teamwork_note_failure(work, FILTAGS_ERROR_CANCELLED, "stopped");
}

/* All helpers stand ready: they have a first picture before anybody has a second one. */
static void wait_for_start(struct teamwork *work) {
    unsigned n_pauses = 0;
    for (size_t i = 1; i < work->size && !teamwork_is_closed(work);) {
        if (work->helpers[i].is_asking || work->helpers[i].has_ended) i++;
        else {
            serve(work, &n_pauses);
            poll_cancelled(work);
        }
    }
}

/* After a failure nobody is waited for without end: a process may hang, or be gone. */
static const double most_wait_sec = 60;

/* Until all helpers have ended the part and what they handed over is here. each: called again and again meanwhile. */
static void wait_for_end(struct teamwork *work, void (*each)(void *context), void *context) {
    double failed_sec = 0;
    bool has_failed = false;
    unsigned n_pauses = 0;
    for (size_t i = 1; i < work->size;) {
        const struct helper *helper = &work->helpers[i];
        if (helper->has_ended && (helper->n_groups == helper->n_groups_told || !work->job)) {
            i++;
            continue;
        }
        serve(work, &n_pauses);
        if (each) each(context);
        if (!teamwork_is_closed(work)) continue;
        if (!has_failed) failed_sec = clock_sec();
        has_failed = true;
        if (team_is_broken(work->team)) return;
        if (teamwork_first_failure(work) && clock_sec() - failed_sec > most_wait_sec) {
            team_break(work->team);
            return;
        }
    }
}

/* While the leader's own threads are at work. */
static void *serve_aside(void *context) {
    struct teamwork *work = context;
    unsigned n_pauses = 0;
    for (;;) {
        pthread_mutex_lock(&work->lock);
        bool is_over = work->is_serving_to_end;
        pthread_mutex_unlock(&work->lock);
        if (is_over) return NULL;
        serve(work, &n_pauses);
    }
}

/* ---------------------------------------------------------------- the pictures */

static size_t n_elsewhere(void *context) {
    struct teamwork *work = context;
    pthread_mutex_lock(&work->lock);
    size_t n = work->n_elsewhere;
    pthread_mutex_unlock(&work->lock);
    return n;
}

static filtags_status run_aside(struct teamwork *work, struct runner_totals *totals) {
    pthread_t server;
    work->is_serving_to_end = false;
    int error = pthread_create(&server, NULL, serve_aside, work);
    if (error)
        return error_set(FILTAGS_ERROR_MEMORY, "a thread for the other processes could not be started: %s",
                         strerror(error));
    filtags_status status = runner_run(work->job, totals);
    pthread_mutex_lock(&work->lock);
    work->is_serving_to_end = true;
    pthread_mutex_unlock(&work->lock);
    pthread_join(server, NULL);
    return status;
}

/* What is done while the leader has nothing to do but to wait. */
struct waiting {
    struct teamwork *work;
    struct progress *progress;
    double start_sec;
};

static void pass_time(void *context) {
    struct waiting *waiting = context;
    struct teamwork *work = waiting->work;
    const filtags_callbacks *callbacks = work->callbacks;
    poll_cancelled(work);
    if (teamwork_is_closed(work)) return;
    progress_tick(waiting->progress);
    if (!callbacks || !callbacks->progress) return;
    const filtags_progress progress = {.what = work->job->what,
                                       .unit = "pictures",
                                       .n_done = work->n_before + work->n_own + n_elsewhere(work),
                                       .n_total = work->end - work->first,
                                       .n_before = work->n_before,
                                       .elapsed_sec = clock_sec() - waiting->start_sec};
    callbacks->progress(callbacks->user, &progress);
}

static void log_team(struct teamwork *work) {
    struct output *output = work->job->output;
    output_log(output, FILTAGS_LOG_INFO, "%zu processes (%s): rank 0 on %s", work->size, team_library(work->team),
               team_host(work->team));
    for (size_t i = 1; i < work->size; i++)
        output_log(output, FILTAGS_LOG_INFO, "rank %zu on %s: %zu pictures", i,
                   work->helpers[i].host ? work->helpers[i].host : "?", work->helpers[i].n_done);
}

/* Nobody may have forgotten a picture. */
static filtags_status check_all_done(struct teamwork *work) {
    for (size_t i = work->first; i < work->end; i++)
        if (!tally_is_done(work->job->tally, i))
            return error_set(FILTAGS_ERROR_INTERNAL, "picture %zu expected among those done by %zu processes", i + 1,
                             work->size);
    return FILTAGS_OK;
}

static void add_totals(const struct teamwork *work, double elapsed_sec, struct runner_totals *totals) {
    totals->n_bad = work->job->tally->n_bad;
    totals->n_before = work->n_before;
    totals->elapsed_sec = elapsed_sec;
    for (size_t i = 1; i < work->size; i++) {
        totals->decode_sec += work->helpers[i].decode_sec;
        totals->network_sec += work->helpers[i].network_sec;
    }
}

/* What was done when the run was stopped is known only now. */
static void say_where_stopped(struct teamwork *work) {
    if (work->status != FILTAGS_ERROR_CANCELLED) return;
    free(work->message);
    work->message = memory_format("stopped after %zu of %zu pictures; the same command goes on from there",
                                  tally_n_done(work->job->tally), work->end - work->first);
}

filtags_status teamwork_lead(struct teamwork *work, struct runner_job *job, struct progress *progress,
                             struct runner_totals *totals) {
    struct waiting waiting = {.work = work, .progress = progress, .start_sec = clock_sec()};
    work->job = job;
    work->first = work->next = job->is_part ? job->first : 0;
    work->end = job->is_part ? job->end : job->n_files;
    work->n_before = tally_n_done(job->tally);
    job->take_numbers = take_own;
    job->numbers_context = work;
    job->count_elsewhere = n_elsewhere;
    wait_for_start(work);
    if (!teamwork_first_failure(work)) {
        work->is_answering = true;
        answer_all(work);
        filtags_status status = run_aside(work, totals);
        if (status) teamwork_note_failure(work, status, filtags_error_message());
    }
    answer_all(work);
    /* before waiting for anybody: mpirun may be ending the job */
    if (teamwork_first_failure(work)) progress_save(progress);
    wait_for_end(work, pass_time, &waiting);
    say_where_stopped(work);
    filtags_status status = teamwork_first_failure(work);
    if (!status) status = check_all_done(work);
    if (!status) add_totals(work, clock_sec() - waiting.start_sec, totals);
    log_team(work);
    return status;
}

/* ---------------------------------------------------------------- end of a part */

static filtags_status send_verdicts(struct teamwork *work, filtags_status verdict, const char *text) {
    const struct answer answer = {.status = (uint64_t)verdict};
    for (size_t i = 1; i < work->size; i++) {
        filtags_status status = teamwork_send(work, i, TAG_ANSWER, &answer, sizeof answer, text);
        if (status) return status;
    }
    return FILTAGS_OK;
}

filtags_status teamwork_give_verdict(struct teamwork *work, filtags_status status, const char *path) {
    if (status) teamwork_note_failure(work, status, filtags_error_message());
    pthread_mutex_lock(&work->lock);
    work->is_closed = true; /* whoever still asks has nothing to do */
    pthread_mutex_unlock(&work->lock);
    work->is_answering = false;
    work->job = NULL;
    answer_all(work);
    wait_for_end(work, NULL, NULL);
    status = teamwork_first_failure(work);
    if (team_is_broken(work->team)) return status;
    char *message = status ? memory_copy_string(filtags_error_message()) : NULL;
    const char *text = status ? message : path;
    filtags_status sent = send_verdicts(work, status, text ? text : "");
    if (status && message) status = error_set(status, "%s", message);
    free(message);
    return status ? status : sent;
}
