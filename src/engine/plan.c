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
    size_t *group_of;   /* [n_nodes], SIZE_MAX while it isn't scheduled */
    size_t *n_readers;  /* [n_nodes] */
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
    size_t *n_readers = planner->n_readers;
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
    plan->n_steps++;
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

/* ------------------------------------------------------------------ plan */

/* Whether a node's output must be there when a run is over: then nothing overwrites it, and no step is fused across it
 * (fuse.c). */
bool plan_keeps(const struct plan *plan, int node) { return plan->wants_output && node == plan->graph->output_node; }

int plan_input(const struct plan *plan, const struct plan_step *step, size_t k) {
    return step->input != PLAN_NOTHING ? step->input : plan->graph->nodes[step->node].inputs[k];
}

static filtags_status allocate(struct planner *planner, size_t n_layers) {
    const size_t n = planner->graph->n_nodes;
    struct plan *plan = planner->plan;
    planner->tap_of = memory_new(n, sizeof *planner->tap_of);
    planner->is_folded = memory_new(n, sizeof *planner->is_folded);
    planner->group_of = memory_new(n, sizeof *planner->group_of);
    planner->n_readers = memory_new(n, sizeof *planner->n_readers);
    plan->taps = memory_new(n_layers, sizeof *plan->taps);
    plan->is_needed = memory_new(n, sizeof *plan->is_needed);
    plan->steps = memory_new(n, sizeof *plan->steps);
    plan->groups = memory_new(n, sizeof *plan->groups);
    if (!planner->tap_of || !planner->is_folded || !planner->group_of || !planner->n_readers || !plan->taps ||
        !plan->is_needed || !plan->steps || !plan->groups)
        return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        planner->tap_of[i] = PLAN_NOTHING;
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
    }
    free(planner.tap_of);
    free(planner.is_folded);
    free(planner.group_of);
    free(planner.n_readers);
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
    free(plan->places);
    free(plan->storages);
    *plan = (struct plan){0};
}
