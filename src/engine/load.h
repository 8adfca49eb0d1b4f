/* load.h - reading an engine's weights and putting them into the form that its kernels want. */
#ifndef FILTAGS_ENGINE_LOAD_H
#define FILTAGS_ENGINE_LOAD_H

#include "engine/engine.h"

/* Prepare every step of the engine's plan in n_threads threads (0: one); engine->prepared is there. Little of the
 * weights is in memory twice: of a dense layer's kernel, by far the largest, some rows. Where several steps fail the
 * first one's message stays. As weight_reader_read and prepare_step. */
FILTAGS_MUST_USE filtags_status load_weights(struct filtags_engine *engine, filtags_model *model, size_t n_threads);

#endif
