#include <fenv.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "engine/block.h"
#include "engine/engine.h"
#include "engine/maps.h"

filtags_status filtags_worker_create(filtags_engine *engine, filtags_worker **worker) {
    const struct plan *plan = &engine->plan;
    filtags_status status = FILTAGS_ERROR_MEMORY;
    struct filtags_worker *made = memory_new(1, sizeof *made);
    if (!made) return FILTAGS_ERROR_MEMORY;
    made->engine = engine;
    made->passing_storage = PLAN_NOTHING;
    made->sums = memory_new_aligned(plan->n_filters, sizeof *made->sums);
    made->channel_sums = memory_new_aligned(plan->max_channels, sizeof *made->channel_sums);
    made->ranges = memory_new(plan->n_taps, sizeof *made->ranges);
    made->bad_taps = memory_new(engine->max_batch, sizeof *made->bad_taps);
    if (!made->sums || !made->channel_sums || !made->ranges || !made->bad_taps) goto fail;
    if (engine->wants_maps) {
        made->first_map = memory_new(engine->max_batch * plan->n_taps + 1, sizeof *made->first_map);
        if (!made->first_map) goto fail;
    }
    if (!engine->is_reference) {
        const size_t most = SIZE_MAX / sizeof(float) - plan->shared_floats;
        if (plan->picture_floats && engine->max_batch > most / plan->picture_floats) {
            error_out_of_memory(SIZE_MAX);
            goto fail;
        }
        made->arena = block_new(plan->shared_floats + plan->picture_floats * engine->max_batch, sizeof *made->arena);
        made->scratchpad = block_new(engine->scratchpad_bytes, 1);
        if (!made->arena || !made->scratchpad) goto fail;
        status = conv_stream_create(engine->library, &made->stream);
        if (status != FILTAGS_OK) goto fail;
    }
    *worker = made;
    return FILTAGS_OK;
fail:
    filtags_worker_destroy(made);
    return status;
}

void filtags_worker_destroy(filtags_worker *worker) {
    if (!worker) return;
    conv_stream_destroy(worker->stream);
    free(worker->scratchpad);
    free(worker->arena);
    free(worker->first_map);
    free(worker->bad_taps);
    free(worker->ranges);
    free(worker->channel_sums);
    free(worker->sums);
    free(worker);
}

static filtags_status run_groups(struct filtags_worker *worker) {
    const struct plan *plan = &worker->engine->plan;
    filtags_status status = FILTAGS_OK;
    for (size_t image = 0; image < worker->n_images; image++)
        for (size_t g = 0; g < plan->n_alone && status == FILTAGS_OK; g++)
            status = execute_group(worker, &plan->groups[g], image, image + 1);
    for (size_t g = plan->n_alone; g < plan->n_groups && status == FILTAGS_OK; g++)
        status = execute_group(worker, &plan->groups[g], 0, worker->n_images);
    return status;
}

/* Run all pictures; outputs: NULL or [n_images, n_outputs]. */
static filtags_status run_images(struct filtags_worker *worker, float *outputs, size_t n_outputs) {
    const struct filtags_engine *engine = worker->engine;
    if (engine->is_reference) {
        filtags_status status = FILTAGS_OK;
        for (size_t i = 0; i < worker->n_images && status == FILTAGS_OK; i++)
            status = reference_run(worker, i, outputs ? outputs + i * n_outputs : NULL);
        return status;
    }
    filtags_status status = run_groups(worker);
    for (size_t i = 0; i < worker->n_images && status == FILTAGS_OK && outputs; i++)
        memcpy(outputs + i * n_outputs, execute_output(worker, engine->graph->output_node, i),
               n_outputs * sizeof *outputs);
    return status;
}

static filtags_status check_call(const struct filtags_worker *worker, size_t n_images,
                                 const filtags_activation *activations, const float *outputs) {
    const struct filtags_engine *engine = worker->engine;
    if (n_images > engine->max_batch)
        return error_set(FILTAGS_ERROR_USAGE, "at most %zu pictures in one run expected, got %zu", engine->max_batch,
                         n_images);
    if (engine->plan.n_taps && !activations)
        return error_set(FILTAGS_ERROR_USAGE, "layers are tapped, but there is no room for their activations");
    if (engine->wants_output != (outputs != NULL))
        return error_set(FILTAGS_ERROR_USAGE, engine->wants_output ? "the output is wanted, but there is no room for it"
                                                                   : "the engine was made without the model's output");
    return FILTAGS_OK;
}

static int bad_layer(const struct filtags_worker *worker, size_t image, const float *outputs, size_t n_outputs) {
    const struct plan *plan = &worker->engine->plan;
    if (worker->bad_taps[image] != SIZE_MAX) return (int)plan->taps[worker->bad_taps[image]].layer;
    for (size_t i = 0; outputs && i < n_outputs; i++)
        if (!isfinite(outputs[image * n_outputs + i])) return (int)worker->engine->graph->n_layers;
    return -1;
}

filtags_status filtags_worker_run(filtags_worker *worker, const float *images, size_t n_images,
                                  filtags_activation *activations, float *outputs, int *bad_layers) {
    return filtags_worker_run_maps(worker, images, n_images, activations, outputs, bad_layers, NULL, 0);
}

filtags_status filtags_worker_run_maps(filtags_worker *worker, const float *images, size_t n_images,
                                       filtags_activation *activations, float *outputs, int *bad_layers,
                                       filtags_map *maps, size_t n_maps) {
    const struct filtags_engine *engine = worker->engine;
    const size_t n_outputs = shape_count(&engine->graph->nodes[engine->graph->output_node].shape);
    filtags_status status = check_call(worker, n_images, activations, outputs);
    if (status == FILTAGS_OK) status = maps_start(worker, n_images, maps, n_maps);
    if (status != FILTAGS_OK) return status;
    worker->images = images;
    worker->n_images = n_images;
    worker->activations = activations;
    for (size_t i = 0; i < n_images; i++) worker->bad_taps[i] = SIZE_MAX;

    /* The caller's thread may flush denormals or round otherwise; the results must not depend on it. */
    fenv_t environment;
    fegetenv(&environment);
    fesetenv(FE_DFL_ENV);
    const int n_threads = conv_hold_threads();
    status = run_images(worker, outputs, n_outputs);
    conv_release_threads(n_threads);
    fesetenv(&environment);

    for (size_t i = 0; i < n_images && status == FILTAGS_OK; i++)
        bad_layers[i] = bad_layer(worker, i, outputs, n_outputs);
    return status;
}
