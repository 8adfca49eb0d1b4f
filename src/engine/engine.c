#include "engine/engine.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "engine/fuse.h"
#include "engine/isa.h"
#include "engine/load.h"
#include "engine/place.h"
#include "model/model.h"

static filtags_status check_options(const filtags_engine_options *options) {
    if (options->max_batch == 0) return error_set(FILTAGS_ERROR_USAGE, "max_batch: at least 1 expected, got 0");
    if (options->n_layers == 0 && !options->wants_output)
        return error_set(FILTAGS_ERROR_USAGE, "nothing to compute: no layer is tapped, and the output is not wanted");
    for (size_t i = 1; i < options->n_layers; i++)
        if (options->layers[i] <= options->layers[i - 1])
            return error_set(FILTAGS_ERROR_USAGE, "layers must ascend: %zu follows %zu", options->layers[i],
                             options->layers[i - 1]);
    return FILTAGS_OK;
}

filtags_status filtags_engine_create(filtags_model *model, const filtags_engine_options *options,
                                     filtags_engine **engine) {
    filtags_isa isa;
    filtags_status status = check_options(options);
    if (status == FILTAGS_OK) status = isa_resolve(options->isa, &isa);
    if (status != FILTAGS_OK) return status;
    struct filtags_engine *made = memory_new(1, sizeof *made);
    if (!made) return FILTAGS_ERROR_MEMORY;
    made->graph = model_graph(model);
    made->wants_output = options->wants_output;
    made->wants_maps = options->wants_maps;
    made->is_reference = options->is_reference;
    made->max_batch = options->max_batch;
    made->kernels = kernels_for(isa);
    if (!made->is_reference) status = conv_library_create(isa, &made->library);
    if (status == FILTAGS_OK)
        status = plan_create(made->graph, options->layers, options->n_layers, options->wants_output, &made->plan);
    if (status == FILTAGS_OK) {
        made->prepared = memory_new(made->graph->n_nodes, sizeof *made->prepared);
        status = made->prepared ? load_weights(made, model, options->n_threads) : FILTAGS_ERROR_MEMORY;
        model_drop_weights(model);
    }
    if (status == FILTAGS_OK && !made->is_reference) {
        fuse_steps(&made->plan, made->prepared);
        status = place_outputs(&made->plan, made->prepared);
    }
    if (status == FILTAGS_OK) *engine = made;
    else filtags_engine_destroy(made);
    return status;
}

size_t filtags_engine_n_filters(const filtags_engine *engine) { return engine->plan.n_filters; }

void filtags_engine_destroy(filtags_engine *engine) {
    if (!engine) return;
    for (size_t i = 0; engine->prepared && i < engine->graph->n_nodes; i++) prepared_free(&engine->prepared[i]);
    free(engine->prepared);
    plan_destroy(&engine->plan);
    conv_library_destroy(engine->library);
    free(engine);
}
