#include "engine/load.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "model/model.h"

/* What the threads share. */
struct loading {
    struct filtags_engine *engine;
    struct weight_reader *reader;
    pthread_mutex_t mutex; /* of what follows */
    size_t next_step;
    /* The dense kernel whose rows are being handed out. */
    const struct node *dense;
    struct prepared *panels;
    struct weight_rows rows;
    size_t next_row, dense_step;
    /* The first step that failed. */
    size_t failed_step;
    filtags_status status;
    char *message;
};

/* A step, or rows [first_row, first_row + n_rows) of its kernel. */
struct task {
    size_t step;
    const struct node *dense; /* NULL: the step as a whole */
    struct prepared *panels;
    struct weight_rows rows;
    size_t first_row, n_rows;
};

/* A thread's room for rows, as large as was needed so far. */
struct row_block {
    float *values;
    size_t n_values;
};

static void note_failure(struct loading *loading, size_t step, filtags_status status) {
    if (loading->status && loading->failed_step <= step) return;
    free(loading->message);
    loading->message = memory_copy_string(filtags_error_message());
    loading->failed_step = step;
    loading->status = status;
}

/* Begin with the next step. *is_open: its rows are to be handed out. */
static filtags_status begin_step(struct loading *loading, size_t step, bool *is_open) {
    const struct filtags_engine *engine = loading->engine;
    const int index = engine->plan.steps[step].node;
    const struct node *node = &engine->graph->nodes[index];
    *is_open = false;
    if (node->op != OP_DENSE || engine->is_reference) return FILTAGS_OK;
    filtags_status status = weight_reader_find_rows(loading->reader, (size_t)index, &loading->rows);
    if (status || loading->rows.n_rows == 0) return status;
    loading->dense = node;
    loading->panels = &engine->prepared[index];
    loading->dense_step = step;
    loading->next_row = 0;
    *is_open = true;
    status = prepare_dense_begin(engine->graph, node, loading->panels);
    weight_reader_drop(loading->reader, (size_t)index);
    return status;
}

/* Get something to do; false: there is nothing left, or no sense in it. */
static bool take_task(struct loading *loading, struct task *task) {
    bool is_open = loading->dense && loading->next_row < loading->rows.n_rows;
    if (loading->status || (!is_open && loading->next_step == loading->engine->plan.n_steps)) return false;
    *task = (struct task){.step = is_open ? loading->dense_step : loading->next_step++};
    filtags_status status = is_open ? FILTAGS_OK : begin_step(loading, task->step, &is_open);
    if (status) {
        note_failure(loading, task->step, status);
        return false;
    }
    if (!is_open) return true;
    const size_t rest = loading->rows.n_rows - loading->next_row;
    task->dense = loading->dense;
    task->panels = loading->panels;
    task->rows = loading->rows;
    task->first_row = loading->next_row;
    task->n_rows = rest < loading->rows.block_rows ? rest : loading->rows.block_rows;
    loading->next_row += task->n_rows;
    return true;
}

static filtags_status load_rows(struct loading *loading, const struct task *task, struct row_block *block) {
    const size_t n_values = task->n_rows * task->rows.row_values;
    if (n_values > block->n_values) {
        free(block->values);
        block->values = memory_new_aligned(n_values, sizeof *block->values);
        block->n_values = block->values ? n_values : 0;
        if (!block->values) return FILTAGS_ERROR_MEMORY;
    }
    filtags_status status =
        weight_reader_read_rows(loading->reader, &task->rows, task->first_row, task->n_rows, block->values);
    if (status) return status;
    prepare_dense_rows(loading->engine->graph, task->dense, task->first_row, task->n_rows, block->values, task->panels);
    return FILTAGS_OK;
}

static filtags_status load_step(struct loading *loading, size_t index) {
    const struct filtags_engine *engine = loading->engine;
    const struct plan_step *step = &engine->plan.steps[index];
    filtags_status status = weight_reader_read(loading->reader, (size_t)step->node);
    if (status) return status;
    status = prepare_step(engine->graph, step, engine->library, engine->kernels, &engine->prepared[step->node]);
    weight_reader_drop(loading->reader, (size_t)step->node);
    return status;
}

static void *run_thread(void *user) {
    struct loading *loading = user;
    struct row_block block = {0};
    struct task task;
    const int n_threads = conv_hold_threads();
    pthread_mutex_lock(&loading->mutex);
    while (take_task(loading, &task)) {
        pthread_mutex_unlock(&loading->mutex);
        filtags_status status = task.dense ? load_rows(loading, &task, &block) : load_step(loading, task.step);
        pthread_mutex_lock(&loading->mutex);
        if (status) note_failure(loading, task.step, status);
    }
    pthread_mutex_unlock(&loading->mutex);
    conv_release_threads(n_threads);
    free(block.values);
    return NULL;
}

/* The calling thread is one of them; what can't be started is done without. */
static void run_threads(struct loading *loading, size_t n_threads) {
    enum { MOST_THREADS = 8 }; /* more find no work: memory is what limits loading */
    pthread_t threads[MOST_THREADS - 1];
    size_t n_started = 0;
    while (n_started + 1 < n_threads && n_started < MOST_THREADS - 1 &&
           pthread_create(&threads[n_started], NULL, run_thread, loading) == 0) n_started++;
    run_thread(loading);
    for (size_t i = 0; i < n_started; i++) pthread_join(threads[i], NULL);
}

static size_t scratchpad_bytes(const struct prepared *prepared) {
    return prepared->own    ? prepared->own->scratch_bytes
           : prepared->conv ? conv_scratchpad_bytes(prepared->conv)
                            : 0;
}

filtags_status load_weights(struct filtags_engine *engine, filtags_model *model, size_t n_threads) {
    struct loading loading = {.engine = engine};
    filtags_status status = weight_reader_open(model, &loading.reader);
    if (status) return status;
    pthread_mutex_init(&loading.mutex, NULL); /* without attributes it can't fail here */
    run_threads(&loading, n_threads);
    pthread_mutex_destroy(&loading.mutex);
    weight_reader_close(loading.reader);
    for (size_t i = 0; i < engine->graph->n_nodes; i++) {
        const size_t n_bytes = scratchpad_bytes(&engine->prepared[i]);
        if (n_bytes > engine->scratchpad_bytes) engine->scratchpad_bytes = n_bytes;
    }
    if (loading.status)
        status = error_set(loading.status, "%s", loading.message ? loading.message : "out of memory");
    free(loading.message);
    return status;
}
