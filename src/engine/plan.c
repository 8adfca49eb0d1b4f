#include "engine/plan.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

/* What is known only while the plan is being made. */
struct planner {
    const struct graph *graph;
    struct plan *plan;
    bool wants_output;
    int *tap_of;        /* [n_nodes] first tap of the node */
    bool *is_folded;    /* [n_nodes] OP_PAD that its convolution has taken in */
    size_t *step_of;    /* [n_nodes] */
    size_t *group_of;   /* [n_nodes], SIZE_MAX while it isn't scheduled */
    size_t *last_read;  /* [n_nodes] last step that reads it */
    size_t *storage_last_read; /* [n_nodes + 1] last step that reads anything that lies in a storage so far */
    int first_open;     /* nodes before this one are scheduled or not needed */
};

bool plan_is_alias(const struct node *node) {
    return node->op == OP_IDENTITY || node->op == OP_RESHAPE ||
           (node->op == OP_ACTIVATION && node->activation.kind == ACT_LINEAR);
}

static const struct node *node_at(const struct planner *planner, int node) { return &planner->graph->nodes[node]; }

static void map_size(const struct node *node, size_t *n_pixels, size_t *n_channels) {
    size_t h, w;
    shape_as_map(&node->shape, &h, &w, n_channels);
    *n_pixels = h * w;
}

/* ------------------------------------------------------------------ taps and needs */

static filtags_status find_taps(struct planner *planner, const size_t *layers, size_t n_layers) {
    struct plan *plan = planner->plan;
    for (size_t i = 0; i < n_layers; i++) {
        if (layers[i] >= planner->graph->n_layers)
            return error_set(FILTAGS_ERROR_DATA, "layer %zu was asked for; the model has %zu", layers[i],
                             planner->graph->n_layers);
        const struct layer_record *layer = &planner->graph->layers[layers[i]];
        const struct node *node = node_at(planner, layer->output_node);
        if (node->shape.n_dims != 3)
            return error_set(FILTAGS_ERROR_DATA, "layer '%s' has no feature maps: three dimensions expected, got %zu",
                             layer->info.name, node->shape.n_dims);
        struct plan_tap *tap = &plan->taps[i];
        *tap = (struct plan_tap){
            .layer = layers[i], .node = layer->output_node, .same_as = planner->tap_of[layer->output_node]};
        map_size(node, &tap->n_pixels, &tap->n_filters);
        tap->first_filter = plan->n_filters;
        plan->n_filters += tap->n_filters;
        plan->n_taps++;
        if (tap->same_as == PLAN_NOTHING) planner->tap_of[layer->output_node] = (int)i;
    }
    return FILTAGS_OK;
}

static void mark_needed(struct planner *planner) {
    bool *is_needed = planner->plan->is_needed;
    for (size_t i = 0; i < planner->plan->n_taps; i++) is_needed[planner->plan->taps[i].node] = true;
    if (planner->wants_output) is_needed[planner->graph->output_node] = true;
    for (size_t i = planner->graph->n_nodes; i-- > 0;)
        for (size_t k = 0; is_needed[i] && k < node_at(planner, (int)i)->n_inputs; k++)
            is_needed[node_at(planner, (int)i)->inputs[k]] = true;
}

/* An OP_PAD whose only reader is a convolution becomes padding of that convolution. */
static void fold_padding(struct planner *planner) {
    const struct graph *graph = planner->graph;
    size_t *n_readers = planner->last_read; /* not in use yet */
    memset(n_readers, 0, graph->n_nodes * sizeof *n_readers);
    for (size_t i = 0; i < graph->n_nodes; i++)
        for (size_t k = 0; planner->plan->is_needed[i] && k < graph->nodes[i].n_inputs; k++)
            n_readers[graph->nodes[i].inputs[k]]++;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        if (!planner->plan->is_needed[i] || graph->nodes[i].op != OP_CONV) continue;
        const int pad = graph->nodes[i].inputs[0];
        if (graph->nodes[pad].op != OP_PAD || n_readers[pad] != 1 || planner->tap_of[pad] != PLAN_NOTHING) continue;
        if (planner->wants_output && pad == graph->output_node) continue;
        planner->is_folded[pad] = true;
    }
}

/* ------------------------------------------------------------------ order and groups */

static bool is_scheduled(const struct planner *planner, int node) { return planner->group_of[node] != SIZE_MAX; }

static int input_of(const struct planner *planner, const struct node *node, size_t k) {
    const int input = node->inputs[k];
    return planner->is_folded[input] ? node_at(planner, input)->inputs[0] : input;
}

/* To be computed, but not scheduled yet. */
static bool is_open(const struct planner *planner, int index) {
    return planner->plan->is_needed[index] && !planner->is_folded[index] && !is_scheduled(planner, index);
}

/* Open, and nothing is missing for it. */
static bool is_ready(const struct planner *planner, int index) {
    const struct node *node = node_at(planner, index);
    if (!is_open(planner, index)) return false;
    for (size_t k = 0; k < node->n_inputs; k++)
        if (!is_scheduled(planner, input_of(planner, node, k))) return false;
    return true;
}

static bool reads_group(const struct planner *planner, const struct node *node, size_t group) {
    for (size_t k = 0; k < node->n_inputs; k++)
        if (planner->group_of[input_of(planner, node, k)] == group) return true;
    return false;
}

/* Each pixel of the output depends on the same pixel of the inputs alone. */
static bool is_pointwise(const struct planner *planner, const struct node *node) {
    switch (node->op) {
    case OP_SCALE_SHIFT: case OP_ACTIVATION: case OP_SOFTMAX: case OP_PRELU: case OP_IDENTITY:
        return true;
    case OP_ADD: case OP_SUBTRACT: case OP_MULTIPLY: case OP_AVERAGE: case OP_MAXIMUM: case OP_MINIMUM: {
        size_t n_pixels, n_channels, in_pixels, in_channels;
        map_size(node, &n_pixels, &n_channels);
        for (size_t k = 0; k < node->n_inputs; k++) {
            map_size(node_at(planner, node->inputs[k]), &in_pixels, &in_channels);
            if (in_pixels != n_pixels || in_channels != n_channels) return false;
        }
        return true;
    }
    default:
        return false;
    }
}

static void add_step(struct planner *planner, int index, bool is_behind_root) {
    struct plan *plan = planner->plan;
    const struct node *node = node_at(planner, index);
    struct plan_group *group = &plan->groups[plan->n_groups - 1];
    struct plan_step *step = &plan->steps[plan->n_steps];
    *step = (struct plan_step){.node = index, .tap = planner->tap_of[index], .window = node->window,
                               .input = PLAN_NOTHING, .added = PLAN_NOTHING, .result = index};
    step->is_pointwise = is_behind_root || is_pointwise(planner, node);
    if (node->op == OP_CONV) {
        step->input = input_of(planner, node, 0);
        if (step->input != node->inputs[0]) {
            const struct padding *more = &node_at(planner, node->inputs[0])->padding;
            step->window.padding.top += more->top;
            step->window.padding.bottom += more->bottom;
            step->window.padding.left += more->left;
            step->window.padding.right += more->right;
        }
    }
    if (step->is_pointwise || step->tap != PLAN_NOTHING) group->has_strips = true;
    planner->step_of[index] = plan->n_steps++;
    planner->group_of[index] = plan->n_groups - 1;
    group->n_steps++;
}

static void add_group(struct planner *planner, int root) {
    struct plan *plan = planner->plan;
    const struct node *node = node_at(planner, root);
    struct plan_group *group = &plan->groups[plan->n_groups++];
    *group = (struct plan_group){.first_step = plan->n_steps};
    map_size(node, &group->n_pixels, &group->n_channels);
    group->is_batched = node->op == OP_DENSE && group->n_pixels == 1;
    if (group->n_channels > plan->max_channels) plan->max_channels = group->n_channels;
    add_step(planner, root, false);
    for (int index = root + 1; index < (int)planner->graph->n_nodes; index++) {
        node = node_at(planner, index);
        size_t n_pixels, n_channels;
        map_size(node, &n_pixels, &n_channels);
        if (n_pixels != group->n_pixels || n_channels != group->n_channels || !is_pointwise(planner, node)) continue;
        if (is_ready(planner, index) && reads_group(planner, node, plan->n_groups - 1)) add_step(planner, index, true);
    }
}

/* Nodes are in topological order already. Following the newest result as long as something reads it keeps that in
 * cache, and finishes one branch of a network before the next is begun, which needs less memory. */
static void schedule(struct planner *planner) {
    const int n_nodes = (int)planner->graph->n_nodes;
    for (;;) {
        int next = PLAN_NOTHING;
        while (planner->first_open < n_nodes && !is_open(planner, planner->first_open)) planner->first_open++;
        for (int index = planner->first_open; index < n_nodes; index++) {
            if (!is_ready(planner, index)) continue;
            const bool follows = planner->plan->n_groups > 0 &&
                                 reads_group(planner, node_at(planner, index), planner->plan->n_groups - 1);
            if (next == PLAN_NOTHING || follows) next = index;
            if (follows) break;
        }
        if (next == PLAN_NOTHING) return;
        add_group(planner, next);
    }
}

/* ------------------------------------------------------------------ memory */

/* Whether a node's output must be there when a run is over: then nothing overwrites it, and no step is fused across it
 * (fuse.c). */
bool plan_keeps(const struct plan *plan, int node) { return plan->wants_output && node == plan->graph->output_node; }

static void find_last_reads(struct planner *planner) {
    const struct plan *plan = planner->plan;
    memset(planner->last_read, 0, planner->graph->n_nodes * sizeof *planner->last_read);
    for (size_t s = 0; s < plan->n_steps; s++) {
        const struct node *node = node_at(planner, plan->steps[s].node);
        for (size_t k = 0; k < node->n_inputs; k++) planner->last_read[input_of(planner, node, k)] = s;
    }
    for (size_t i = 0; i < planner->graph->n_nodes; i++)
        if (plan_keeps(plan, (int)i)) planner->last_read[i] = SIZE_MAX;
}

/* The storage of an input that the step may write over, or PLAN_NOTHING. */
static int reusable_storage(const struct planner *planner, size_t s) {
    const struct plan *plan = planner->plan;
    const struct node *node = node_at(planner, plan->steps[s].node);
    if (!plan->steps[s].is_pointwise) return PLAN_NOTHING;
    for (size_t k = 0; k < node->n_inputs && k < 2; k++) {
        const int storage = plan->storage_of[node->inputs[k]];
        bool can_reuse = storage != PLAN_INPUT_STORAGE && planner->storage_last_read[storage] == s;
        /* Inputs from the third on are read after the output has been written once. */
        for (size_t other = 2; other < node->n_inputs; other++)
            if (plan->storage_of[node->inputs[other]] == storage) can_reuse = false;
        if (can_reuse) return storage;
    }
    return PLAN_NOTHING;
}

static int new_storage(struct plan *plan, const struct node *node, size_t group) {
    struct plan_storage *storage = &plan->storages[plan->n_storages];
    *storage = (struct plan_storage){
        .n_floats = (shape_count(&node->shape) + 15) / 16 * 16, .first_group = group, .last_group = group};
    return (int)plan->n_storages++;
}

static void assign_storages(struct planner *planner) {
    struct plan *plan = planner->plan;
    new_storage(plan, node_at(planner, planner->graph->input_node), 0);
    for (size_t s = 0; s < plan->n_steps; s++) {
        const int index = plan->steps[s].node;
        const struct node *node = node_at(planner, index);
        int storage;
        if (node->op == OP_INPUT) storage = PLAN_INPUT_STORAGE;
        else if (plan_is_alias(node)) storage = plan->storage_of[node->inputs[0]];
        else storage = reusable_storage(planner, s);
        if (storage == PLAN_NOTHING) storage = new_storage(plan, node, planner->group_of[index]);
        plan->storage_of[index] = storage;
        if (planner->last_read[index] > planner->storage_last_read[storage])
            planner->storage_last_read[storage] = planner->last_read[index];
    }
    for (size_t i = 0; i < planner->graph->n_nodes; i++) {
        if (plan->storage_of[i] == PLAN_NOTHING) continue;
        struct plan_storage *storage = &plan->storages[plan->storage_of[i]];
        const size_t last = planner->last_read[i];
        const size_t read_in = last == SIZE_MAX ? plan->n_groups : planner->group_of[plan->steps[last].node];
        if (planner->group_of[i] > storage->last_group) storage->last_group = planner->group_of[i];
        if (last > 0 && read_in > storage->last_group) storage->last_group = read_in;
    }
}

/* The lowest place where a storage overlaps none of those that have one and are in use at the same time. */
static size_t free_offset(const struct plan *plan, const bool *is_placed, const struct plan_storage *wanted) {
    size_t offset = 0;
    for (bool has_moved = true; has_moved;) {
        has_moved = false;
        for (size_t i = 0; i < plan->n_storages; i++) {
            const struct plan_storage *other = &plan->storages[i];
            if (!is_placed[i] || other->last_group < wanted->first_group || other->first_group > wanted->last_group)
                continue;
            if (offset >= other->offset + other->n_floats || offset + wanted->n_floats <= other->offset) continue;
            offset = other->offset + other->n_floats;
            has_moved = true;
        }
    }
    return offset;
}

/* Largest first: what is large decides, and what is small fits in between. */
static filtags_status place_storages(struct plan *plan) {
    bool *is_placed = memory_new(plan->n_storages, sizeof *is_placed);
    if (!is_placed) return FILTAGS_ERROR_MEMORY;
    for (size_t n_placed = 1; n_placed < plan->n_storages; n_placed++) {
        size_t largest = PLAN_INPUT_STORAGE;
        for (size_t i = 1; i < plan->n_storages; i++)
            if (!is_placed[i] &&
                (largest == PLAN_INPUT_STORAGE || plan->storages[i].n_floats > plan->storages[largest].n_floats))
                largest = i;
        struct plan_storage *storage = &plan->storages[largest];
        storage->offset = free_offset(plan, is_placed, storage);
        is_placed[largest] = true;
        if (storage->offset + storage->n_floats > plan->arena_floats)
            plan->arena_floats = storage->offset + storage->n_floats;
    }
    free(is_placed);
    return FILTAGS_OK;
}

/* ------------------------------------------------------------------ plan */

static filtags_status allocate(struct planner *planner, size_t n_layers) {
    const size_t n = planner->graph->n_nodes;
    struct plan *plan = planner->plan;
    planner->tap_of = memory_new(n, sizeof *planner->tap_of);
    planner->is_folded = memory_new(n, sizeof *planner->is_folded);
    planner->step_of = memory_new(n, sizeof *planner->step_of);
    planner->group_of = memory_new(n, sizeof *planner->group_of);
    planner->last_read = memory_new(n, sizeof *planner->last_read);
    planner->storage_last_read = memory_new(n + 1, sizeof *planner->storage_last_read);
    plan->taps = memory_new(n_layers, sizeof *plan->taps);
    plan->is_needed = memory_new(n, sizeof *plan->is_needed);
    plan->steps = memory_new(n, sizeof *plan->steps);
    plan->groups = memory_new(n, sizeof *plan->groups);
    plan->storage_of = memory_new(n, sizeof *plan->storage_of);
    plan->storages = memory_new(n + 1, sizeof *plan->storages);
    if (!planner->tap_of || !planner->is_folded || !planner->step_of || !planner->group_of || !planner->last_read ||
        !planner->storage_last_read || !plan->taps || !plan->is_needed || !plan->steps || !plan->groups ||
        !plan->storage_of || !plan->storages)
        return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        planner->tap_of[i] = plan->storage_of[i] = PLAN_NOTHING;
        planner->group_of[i] = SIZE_MAX;
    }
    return FILTAGS_OK;
}

filtags_status plan_create(const struct graph *graph, const size_t *layers, size_t n_layers, bool wants_output,
                           struct plan *plan) {
    struct plan made = {.graph = graph, .wants_output = wants_output};
    struct planner planner = {.graph = graph, .plan = &made, .wants_output = wants_output};
    filtags_status status = allocate(&planner, n_layers);
    if (status == FILTAGS_OK) status = find_taps(&planner, layers, n_layers);
    if (status == FILTAGS_OK) {
        mark_needed(&planner);
        fold_padding(&planner);
        schedule(&planner);
        find_last_reads(&planner);
        assign_storages(&planner);
        status = place_storages(&made);
    }
    free(planner.tap_of);
    free(planner.is_folded);
    free(planner.step_of);
    free(planner.group_of);
    free(planner.last_read);
    free(planner.storage_last_read);
    if (status == FILTAGS_OK) *plan = made;
    else plan_destroy(&made);
    return status;
}

void plan_destroy(struct plan *plan) {
    if (!plan) return;
    free(plan->taps);
    free(plan->is_needed);
    free(plan->steps);
    free(plan->groups);
    free(plan->storage_of);
    free(plan->storages);
    *plan = (struct plan){0};
}
