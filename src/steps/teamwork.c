#include "steps/teamwork.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/memory.h"
#include "steps/progress.h"
#include "team/team.h"

enum { TAG_TALK = 1, TAG_ANSWER, TAG_GROUP };

/* What a helper says to the leader. */
enum talk_kind {
    TALK_KEY, /* text: host, newline, key */
    TALK_ASK, /* n: how many pictures it wants; n_done: how many it has done in this part */
    TALK_END  /* of its part; text: the message, if status is a failure */
};

struct talk {
    uint32_t kind, status;
    uint64_t n, n_done;
    uint64_t n_groups; /* END: how many it has handed over */
    double decode_sec, network_sec; /* END */
};

/* To ASK: the next pictures, none at the end. To END: the verdict, and as text the message or a path. */
struct answer {
    uint64_t first, n;
    uint64_t status;
};

/* A record of a tally in a group; its contents follow, filled up to a multiple of 8 bytes. */
struct group_record {
    uint32_t type, number;
    uint64_t n_bytes;
};

/* What the leader knows of a helper in this part. */
struct helper {
    char *host; /* NULL: it hasn't told its key yet */
    bool is_asking; /* and has had no answer yet */
    bool has_ended;
    size_t n_wanted;
    size_t n_done;
    uint64_t n_groups_told, n_groups;
    double decode_sec, network_sec;
};

struct teamwork {
    struct team *team;
    size_t rank, size;
    const filtags_callbacks *callbacks; /* of the command */
    struct shard shard; /* its --shard */
    filtags_callbacks silent; /* a helper's */
    pthread_mutex_t lock; /* of the members up to is_closed; the leader's */
    filtags_status status; /* the part's first failure */
    char *message;
    size_t first;       /* picture of those to be done */
    size_t next, end;   /* of which nobody has got any yet */
    size_t n_before;    /* pictures that were done before */
    size_t n_own;       /* that the leader has taken */
    size_t n_elsewhere; /* that helpers have done, handed over or not */
    bool is_closed;    /* nobody gets more */
    /* the leader's */
    char *key;
    struct helper *helpers; /* [size], number 0 is unused */
    bool is_answering; /* the pictures have begun */
    struct runner_job *job;
    struct buffer group; /* what has arrived of one that is on its way */
    size_t group_from;
    uint64_t group_bytes; /* its length; 0: none is on its way */
    bool is_serving_to_end; /* see serve_aside */
    /* a helper's */
    struct tally *tally; /* while there are pictures */
    uint64_t n_groups, n_done;
    double interval_sec, decode_sec, network_sec;
    pthread_mutex_t sending; /* of the next one */
    struct timespec handed_over;
};

static double seconds_since(const struct timespec *start) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + 1e-9 * (double)(now.tv_nsec - start->tv_nsec);
}

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

/* Remember the part's first failure, and let nobody begin another picture. */
static filtags_status note_failure(struct teamwork *work, filtags_status status, const char *message) {
    pthread_mutex_lock(&work->lock);
    if (!work->status) {
        work->status = status;
        work->message = memory_copy_string(message);
    }
    work->is_closed = true;
    pthread_mutex_unlock(&work->lock);
    return status;
}

static filtags_status first_failure(struct teamwork *work) {
    pthread_mutex_lock(&work->lock);
    filtags_status status = work->status;
    if (status) status = error_set(status, "%s", work->message ? work->message : "out of memory");
    pthread_mutex_unlock(&work->lock);
    return status;
}

static bool is_closed(struct teamwork *work) {
    pthread_mutex_lock(&work->lock);
    bool is = work->is_closed;
    pthread_mutex_unlock(&work->lock);
    return is;
}

/* ---------------------------------------------------------------- messages */

/* A head of fixed length and a text. */
static filtags_status send_parts(struct teamwork *work, size_t to, int tag, const void *head, size_t n_head_bytes,
                                 const char *text) {
    struct buffer message = {0};
    buffer_append(&message, head, n_head_bytes);
    buffer_append_text(&message, text);
    filtags_status status = message.has_failed ? FILTAGS_ERROR_MEMORY
                                               : team_send(work->team, to, tag, message.data, message.size_bytes);
    buffer_free(&message);
    return status;
}

static filtags_status say(struct teamwork *work, const struct talk *talk, const char *text) {
    return send_parts(work, 0, TAG_TALK, talk, sizeof *talk, text);
}

/* Processes of one build talk to each other, which the key ensures; still no message is trusted to be whole. */
static filtags_status split_message(const struct team_message *message, void *head, size_t n_head_bytes,
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
    filtags_status status = text ? say(work, &talk, text) : FILTAGS_ERROR_MEMORY;
    free(text);
    return status;
}

/* ---------------------------------------------------------------- leader: what helpers say */

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
    return send_parts(work, rank, TAG_ANSWER, &answer, sizeof answer, "");
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
    note_failure(work, FILTAGS_ERROR_DATA, filtags_error_message());
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
    filtags_status status = split_message(message, &talk, sizeof talk, &text);
    if (status) return status;
    struct helper *helper = &work->helpers[message->from];
    switch (talk.kind) {
    case TALK_KEY: return take_key(work, message->from, text);
    case TALK_ASK:
        helper->is_asking = true;
        helper->n_wanted = (size_t)talk.n;
        count_elsewhere(work, helper, (size_t)talk.n_done);
        return work->is_answering || is_closed(work) ? answer_helper(work, message->from) : FILTAGS_OK;
    case TALK_END:
        helper->has_ended = true;
        helper->n_groups_told = talk.n_groups;
        helper->decode_sec = talk.decode_sec;
        helper->network_sec = talk.network_sec;
        count_elsewhere(work, helper, (size_t)talk.n_done);
        if (talk.status) note_failure(work, talk.status, text);
        return FILTAGS_OK;
    default:
        return error_set(FILTAGS_ERROR_INTERNAL, "rank %zu: a message of a known kind expected, found %u",
                         message->from, (unsigned)talk.kind);
    }
}

/* ---------------------------------------------------------------- leader: what helpers hand over */

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
        return split_message(message, &work->group_bytes, sizeof work->group_bytes, NULL);
    }
    buffer_append(&work->group, message->contents, message->n_bytes);
    if (work->group.has_failed) return FILTAGS_ERROR_MEMORY;
    return work->group.size_bytes < work->group_bytes ? FILTAGS_OK : merge_group(work);
}

/* ---------------------------------------------------------------- leader: serving */

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
    if (status) note_failure(work, status, filtags_error_message());
    if (is_talk || is_piece) *n_pauses = 0;
    else team_pause(n_pauses);
}

/* Answer those who had to wait. */
static void answer_all(struct teamwork *work) {
    for (size_t i = 1; i < work->size; i++) {
        if (!work->helpers[i].is_asking) continue;
        filtags_status status = answer_helper(work, i);
        if (status) note_failure(work, status, filtags_error_message());
    }
}

static void poll_cancelled(struct teamwork *work) {
    const filtags_callbacks *callbacks = work->callbacks;
    if (callbacks && callbacks->is_cancelled && callbacks->is_cancelled(callbacks->user) && !is_closed(work))
        note_failure(work, FILTAGS_ERROR_CANCELLED, "stopped");
}

/* All helpers stand ready: they have a first picture before anybody has a second one. */
static void wait_for_start(struct teamwork *work) {
    unsigned n_pauses = 0;
    for (size_t i = 1; i < work->size && !is_closed(work);) {
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
    struct timespec failed = {0};
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
        if (!is_closed(work)) continue;
        if (!has_failed) clock_gettime(CLOCK_MONOTONIC, &failed);
        has_failed = true;
        if (team_is_broken(work->team)) return;
        if (first_failure(work) && seconds_since(&failed) > most_wait_sec) {
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

/* ---------------------------------------------------------------- leader: the pictures */

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
    struct timespec start;
};

static void pass_time(void *context) {
    struct waiting *waiting = context;
    struct teamwork *work = waiting->work;
    const filtags_callbacks *callbacks = work->callbacks;
    poll_cancelled(work);
    if (is_closed(work)) return;
    progress_tick(waiting->progress);
    if (!callbacks || !callbacks->progress) return;
    const filtags_progress progress = {.what = work->job->what,
                                       .unit = "pictures",
                                       .n_done = work->n_before + work->n_own + n_elsewhere(work),
                                       .n_total = work->end - work->first,
                                       .n_before = work->n_before,
                                       .elapsed_sec = seconds_since(&waiting->start)};
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

static filtags_status lead(struct teamwork *work, struct runner_job *job, struct progress *progress,
                           struct runner_totals *totals) {
    struct waiting waiting = {.work = work, .progress = progress};
    clock_gettime(CLOCK_MONOTONIC, &waiting.start);
    work->job = job;
    work->first = work->next = job->is_part ? job->first : 0;
    work->end = job->is_part ? job->end : job->n_files;
    work->n_before = tally_n_done(job->tally);
    job->take_numbers = take_own;
    job->numbers_context = work;
    job->count_elsewhere = n_elsewhere;
    wait_for_start(work);
    if (!first_failure(work)) {
        work->is_answering = true;
        answer_all(work);
        filtags_status status = run_aside(work, totals);
        if (status) note_failure(work, status, filtags_error_message());
    }
    answer_all(work);
    if (first_failure(work)) progress_save(progress); /* before waiting for anybody: mpirun may be ending the job */
    wait_for_end(work, pass_time, &waiting);
    say_where_stopped(work);
    filtags_status status = first_failure(work);
    if (!status) status = check_all_done(work);
    if (!status) add_totals(work, seconds_since(&waiting.start), totals);
    log_team(work);
    return status;
}

/* ---------------------------------------------------------------- helper */

static size_t ask(void *context, size_t *first) {
    struct teamwork *work = context;
    struct team_message message;
    struct answer answer = {0};
    const struct talk talk = {.kind = TALK_ASK, .n = work->job->batch, .n_done = tally_n_done(work->tally)};
    if (is_closed(work)) return 0;
    filtags_status status = say(work, &talk, "");
    if (!status) status = team_receive(work->team, 0, TAG_ANSWER, &message);
    if (!status) {
        status = split_message(&message, &answer, sizeof answer, NULL);
        free(message.contents);
    }
    const size_t n_files = work->job->n_files;
    if (!status && (answer.n > talk.n || answer.first > n_files || answer.n > n_files - answer.first))
        status = error_set(FILTAGS_ERROR_INTERNAL, "rank 0: pictures of this step expected");
    if (status) {
        note_failure(work, status, filtags_error_message());
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
    clock_gettime(CLOCK_MONOTONIC, &work->handed_over);
    return status;
}

static void hand_over_if_time(void *context) {
    struct teamwork *work = context;
    if (pthread_mutex_trylock(&work->sending)) return; /* another thread is about it */
    if (seconds_since(&work->handed_over) >= work->interval_sec && !is_closed(work)) {
        filtags_status status = hand_over(work);
        if (status) note_failure(work, status, filtags_error_message());
    }
    pthread_mutex_unlock(&work->sending);
}

static filtags_status help(struct teamwork *work, struct runner_job *job) {
    struct runner_totals totals = {0};
    work->job = job;
    work->tally = job->tally;
    clock_gettime(CLOCK_MONOTONIC, &work->handed_over);
    job->take_numbers = ask;
    job->numbers_context = work;
    job->after_batch = hand_over_if_time;
    job->after_batch_context = work;
    filtags_status status = runner_run(job, &totals);
    if (status) note_failure(work, status, filtags_error_message());
    work->decode_sec = totals.decode_sec;
    work->network_sec = totals.network_sec;
    /* after a failure, too: what is done isn't lost */
    if (!team_is_broken(work->team)) {
        status = hand_over(work);
        if (status) note_failure(work, status, filtags_error_message());
    }
    work->n_done = tally_n_done(work->tally);
    work->tally = NULL;
    return first_failure(work);
}

filtags_status teamwork_run(struct teamwork *work, struct runner_job *job, struct progress *progress,
                            struct runner_totals *totals) {
    if (!work) return runner_run(job, totals);
    return teamwork_is_helper(work) ? help(work, job) : lead(work, job, progress, totals);
}

/* ---------------------------------------------------------------- end of a part */

static filtags_status send_verdicts(struct teamwork *work, filtags_status verdict, const char *text) {
    const struct answer answer = {.status = (uint64_t)verdict};
    for (size_t i = 1; i < work->size; i++) {
        filtags_status status = send_parts(work, i, TAG_ANSWER, &answer, sizeof answer, text);
        if (status) return status;
    }
    return FILTAGS_OK;
}

static filtags_status give_verdict(struct teamwork *work, filtags_status status, const char *path) {
    if (status) note_failure(work, status, filtags_error_message());
    pthread_mutex_lock(&work->lock);
    work->is_closed = true; /* whoever still asks has nothing to do */
    pthread_mutex_unlock(&work->lock);
    work->is_answering = false;
    work->job = NULL;
    answer_all(work);
    wait_for_end(work, NULL, NULL);
    status = first_failure(work);
    if (team_is_broken(work->team)) return status;
    char *message = status ? memory_copy_string(filtags_error_message()) : NULL;
    filtags_status sent = send_verdicts(work, status, status ? (message ? message : "") : path ? path : "");
    if (status && message) status = error_set(status, "%s", message);
    free(message);
    return status ? status : sent;
}

/* A failure that the leader can't be told of is this process's to tell. */
static filtags_status tell_alone(struct teamwork *work, filtags_status status) {
    const filtags_callbacks *callbacks = work->callbacks;
    char *line = memory_format("rank %zu on %s: %s", work->rank, team_host(work->team), filtags_error_message());
    if (line && callbacks && callbacks->log) callbacks->log(callbacks->user, FILTAGS_LOG_WARNING, line);
    free(line);
    return status;
}

static filtags_status await_verdict(struct teamwork *work, filtags_status status, char **path) {
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
    status = own ? say(work, &talk, status ? own : "") : FILTAGS_ERROR_MEMORY;
    free(own);
    if (!status) status = team_receive(work->team, 0, TAG_ANSWER, &message);
    if (status) {
        team_break(work->team);
        return tell_alone(work, status);
    }
    status = split_message(&message, &answer, sizeof answer, &text);
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

filtags_status teamwork_end_part(struct teamwork *work, filtags_status status, char **path) {
    if (!work) return status;
    status = teamwork_is_helper(work) ? await_verdict(work, status, path)
                                      : give_verdict(work, status, path ? *path : NULL);
    forget_part(work);
    return status;
}
