#include "engine/place.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/memory.h"

/* What is known only while places are being found. */
struct placer {
    struct plan *plan;
    const struct prepared *prepared;
    size_t *step_of;           /* [n_nodes] */
    size_t *group_of;          /* [n_nodes] the group during which it is computed */
    size_t *n_reads;           /* [n_nodes] */
    size_t *last_read;         /* [n_nodes] last step that reads it, 0: none, SIZE_MAX: it outlives the run */
    bool *can_be_spread;       /* [n_nodes] all that read it can do so among the channels of a wider map */
    int *lies_in;              /* [n_nodes] the node among whose channels it lies, or PLAN_NOTHING */
    size_t *at_channel;        /* [n_nodes] the first of those */
    size_t *storage_last_read; /* [n_nodes + 1] last step that reads anything that lies in a storage so far */
};

static const struct node *node_at(const struct placer *placer, int node) { return &placer->plan->graph->nodes[node]; }

static const struct plan_step *step_of(const struct placer *placer, int node) {
    return &placer->plan->steps[placer->step_of[node]];
}

static size_t channels_of(const struct node *node) { return node->shape.dim[node->shape.n_dims - 1]; }

/* ------------------------------------------------------------------ readers */

/* Hands its input on under the same shape. */
static bool is_same_map(const struct node *node) { return plan_is_alias(node) && node->op != OP_RESHAPE; }

static void find_steps(struct placer *placer) {
    const struct plan *plan = placer->plan;
    for (size_t g = 0; g < plan->n_groups; g++)
        for (size_t s = 0; s < plan->groups[g].n_steps; s++) {
            const size_t step = plan->groups[g].first_step + s;
            placer->step_of[plan->steps[step].node] = step;
            placer->group_of[plan->steps[step].node] = g - (s == 0 && plan->groups[g].is_root_done);
        }
}

/* From the last step to the first, so that what reads an alias is known before what it is an alias of is met. */
static void find_readers(struct placer *placer) {
    const struct plan *plan = placer->plan;
    for (size_t i = 0; i < plan->graph->n_nodes; i++) placer->can_be_spread[i] = !plan_keeps(plan, (int)i);
    for (size_t s = plan->n_steps; s-- > 0;) {
        const struct plan_step *step = &plan->steps[s];
        const struct node *node = node_at(placer, step->node);
        const bool takes_spread = is_same_map(node) ? placer->can_be_spread[step->node]
                                                    : step->is_pointwise || node->op == OP_CONCAT;
        for (size_t k = 0; k < node->n_inputs; k++) {
            const int input = plan_input(plan, step, k);
            if (placer->last_read[input] == 0) placer->last_read[input] = s;
            placer->n_reads[input]++;
            if (!takes_spread) placer->can_be_spread[input] = false;
        }
        if (plan_keeps(plan, step->node)) placer->last_read[step->node] = SIZE_MAX;
    }
}

/* ------------------------------------------------------------------ branches of concatenations */

static bool can_lie(const struct placer *placer, int index) {
    const struct node *node = node_at(placer, index);
    if (placer->lies_in[index] != PLAN_NOTHING || !placer->can_be_spread[index]) return false;
    if (is_same_map(node)) return can_lie(placer, node->inputs[0]);
    switch (node->op) {
    case OP_CONV: return placer->prepared[index].own != NULL;
    case OP_DENSE: case OP_MAX_POOL: case OP_AVG_POOL: case OP_GLOBAL_MAX_POOL: case OP_GLOBAL_AVG_POOL: case OP_CONCAT:
        return true;
    default:
        return node->op != OP_INPUT && step_of(placer, index)->is_pointwise;
    }
}

/* Whether a step that reads this node may write over it: nothing else wants its value. */
static bool is_read_once(const struct placer *placer, int index) {
    const struct node *node = node_at(placer, index);
    return placer->n_reads[index] == 1 && !plan_keeps(placer->plan, index) &&
           (!is_same_map(node) || is_read_once(placer, node->inputs[0]));
}

/* Let a node lie in another one, and in it what it is an alias of, or what it writes over: one of the first two inputs,
 * since those behind are read after the output has been written once. */
static void lay(struct placer *placer, int index, int target, size_t channel) {
    for (;;) {
        const struct node *node = node_at(placer, index);
        placer->lies_in[index] = target;
        placer->at_channel[index] = channel;
        target = index;
        channel = 0;
        if (is_same_map(node)) {
            index = node->inputs[0];
            continue;
        }
        if (!step_of(placer, index)->is_pointwise) return;
        size_t k = 0;
        while (k < 2 && k < node->n_inputs &&
               !(is_read_once(placer, node->inputs[k]) && can_lie(placer, node->inputs[k]))) k++;
        if (k == 2 || k == node->n_inputs) return;
        index = node->inputs[k];
    }
}

/* The outermost concatenation comes first: what lies in it may be a concatenation. */
static void lay_branches(struct placer *placer) {
    for (size_t s = placer->plan->n_steps; s-- > 0;) {
        const int index = placer->plan->steps[s].node;
        const struct node *node = node_at(placer, index);
        size_t channel = 0;
        for (size_t k = 0; node->op == OP_CONCAT && k < node->n_inputs; k++) {
            if (can_lie(placer, node->inputs[k])) lay(placer, node->inputs[k], index, channel);
            channel += channels_of(node_at(placer, node->inputs[k]));
        }
    }
}

/* ------------------------------------------------------------------ storages */

/* The place of an input that the step may write over, or one without storage. */
static struct plan_place reusable_place(const struct placer *placer, size_t s) {
    const struct plan *plan = placer->plan;
    const struct node *node = node_at(placer, plan->steps[s].node);
    const struct plan_place none = {.storage = PLAN_NOTHING};
    if (!plan->steps[s].is_pointwise) return none;
    for (size_t k = 0; k < node->n_inputs && k < 2; k++) {
        const struct plan_place place = plan->places[node->inputs[k]];
        bool can_reuse = place.storage != PLAN_INPUT_STORAGE && placer->storage_last_read[place.storage] == s &&
                         place.first_channel == 0 && place.pixel_floats == channels_of(node);
        /* Inputs from the third on are read after the output has been written once. */
        for (size_t other = 2; other < node->n_inputs; other++)
            if (plan->places[node->inputs[other]].storage == place.storage) can_reuse = false;
        if (can_reuse) return place;
    }
    return none;
}

/* A map for a node's output alone, or for that and what lies in it. */
static struct plan_place new_place(struct plan *plan, const struct node *node, size_t group) {
    struct plan_storage *storage = &plan->storages[plan->n_storages];
    *storage = (struct plan_storage){
        .n_floats = (shape_count(&node->shape) + 15) / 16 * 16, .first_group = group, .last_group = group};
    return (struct plan_place){.storage = (int)plan->n_storages++, .pixel_floats = channels_of(node)};
}

/* Among the channels of the outermost node in which this one lies. */
static struct plan_place inner_place(struct placer *placer, int index, size_t group) {
    struct plan *plan = placer->plan;
    size_t channel = 0;
    for (; placer->lies_in[index] != PLAN_NOTHING; index = placer->lies_in[index]) channel += placer->at_channel[index];
    struct plan_place *whole = &plan->places[index], place;
    if (whole->storage == PLAN_NOTHING) *whole = new_place(plan, node_at(placer, index), group);
    place = *whole;
    place.first_channel += channel;
    return place;
}

static struct plan_place place_of(struct placer *placer, size_t s) {
    struct plan *plan = placer->plan;
    const int index = plan->steps[s].node;
    const struct node *node = node_at(placer, index);
    struct plan_place place = plan->places[index];
    if (node->op == OP_INPUT) return (struct plan_place){PLAN_INPUT_STORAGE, 0, channels_of(node)};
    if (placer->lies_in[index] != PLAN_NOTHING) return inner_place(placer, index, placer->group_of[index]);
    if (plan_is_alias(node)) {
        place = plan->places[node->inputs[0]];
        if (node->op == OP_RESHAPE) place.pixel_floats = channels_of(node);
        return place;
    }
    if (place.storage == PLAN_NOTHING) place = reusable_place(placer, s);
    return place.storage == PLAN_NOTHING ? new_place(plan, node, placer->group_of[index]) : place;
}

static void assign_places(struct placer *placer) {
    struct plan *plan = placer->plan;
    new_place(plan, node_at(placer, plan->graph->input_node), 0);
    for (size_t s = 0; s < plan->n_steps; s++) {
        const int index = plan->steps[s].node;
        const struct plan_place place = plan->places[index] = place_of(placer, s);
        if (placer->last_read[index] > placer->storage_last_read[place.storage])
            placer->storage_last_read[place.storage] = placer->last_read[index];
    }
    for (size_t i = 0; i < plan->graph->n_nodes; i++) {
        if (plan->places[i].storage == PLAN_NOTHING) continue;
        struct plan_storage *storage = &plan->storages[plan->places[i].storage];
        const size_t last = placer->last_read[i];
        const size_t read_in = last == SIZE_MAX ? plan->n_groups : placer->group_of[plan->steps[last].node];
        if (placer->group_of[i] > storage->last_group) storage->last_group = placer->group_of[i];
        if (last > 0 && read_in > storage->last_group) storage->last_group = read_in;
    }
}

/* The lowest place where a storage overlaps none of those that have one and are in use at the same time. Of the
 * groups that run picture by picture, whatever is passed on is in use until their end. */
static size_t free_offset(const struct plan *plan, const bool *is_placed, const struct plan_storage *wanted) {
    size_t offset = 0;
    for (bool has_moved = true; has_moved;) {
        has_moved = false;
        for (size_t i = 0; i < plan->n_storages; i++) {
            const struct plan_storage *other = &plan->storages[i];
            if (!is_placed[i] || other->is_passed_on != wanted->is_passed_on ||
                other->last_group < wanted->first_group || other->first_group > wanted->last_group)
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
        storage->is_passed_on = storage->last_group >= plan->n_alone;
        storage->offset = free_offset(plan, is_placed, storage);
        is_placed[largest] = true;
        size_t *n_floats = storage->is_passed_on ? &plan->picture_floats : &plan->shared_floats;
        if (storage->offset + storage->n_floats > *n_floats) *n_floats = storage->offset + storage->n_floats;
    }
    free(is_placed);
    return FILTAGS_OK;
}

/* Whether only the pooling behind a group reads the map that the group's root begins, so that some rows of it are
 * enough. Nothing from before the group lies in it, since it was begun in the group. */
static bool is_in_passing(const struct placer *placer, const struct plan_group *group) {
    const struct plan *plan = placer->plan;
    const int pool = plan->steps[group[1].first_step].node, root = plan->steps[group->first_step].node;
    const int input = node_at(placer, pool)->inputs[0], storage = plan->places[root].storage;
    if (plan->places[input].storage != storage || placer->lies_in[root] != PLAN_NOTHING) return false;
    for (size_t s = 0; s < group->n_steps; s++) {
        const int node = plan->steps[group->first_step + s].node;
        if (plan->places[node].storage == storage && placer->last_read[node] > placer->step_of[pool]) return false;
    }
    return true;
}

/* The largest portion that is made at a time, and what the pooling still needs of the rows before it: less than a
 * window, and a row that isn't whole yet. */
static void find_passing(struct placer *placer) {
    struct plan *plan = placer->plan;
    for (size_t g = 0; g + 1 < plan->n_groups; g++) {
        struct plan_group *group = &plan->groups[g];
        if (!group->is_pooled || !is_in_passing(placer, group)) continue;
        const int root = plan->steps[group->first_step].node;
        const struct conv_own *conv = placer->prepared[root].own;
        const size_t window_rows = plan->steps[group[1].first_step].window.kernel_h + 1;
        const size_t n_pixels = conv->portion * conv->unit_pixels + window_rows * conv->shape.out_w;
        struct plan_storage *storage = &plan->storages[plan->places[root].storage];
        group->is_passing = n_pixels < group->n_pixels;
        if (group->is_passing) storage->n_floats = (n_pixels * group->n_channels + 15) / 16 * 16;
    }
}

/* ------------------------------------------------------------------ picture by picture */

/* Not a group that takes all pictures at once, nor one whose weights fill a cache (32 MB): between groups of another
 * picture it would have to read them from memory again. */
static bool runs_alone(const struct placer *placer, const struct plan_group *group) {
    enum { MOST_WEIGHTS = 8 << 20 };
    const struct conv_own *conv = placer->prepared[placer->plan->steps[group->first_step].node].own;
    return !group->is_batched && !(conv && (conv->is_layer_wide || conv->n_weights > MOST_WEIGHTS));
}

static void find_alone(struct placer *placer) {
    struct plan *plan = placer->plan;
    while (plan->n_alone < plan->n_groups && runs_alone(placer, &plan->groups[plan->n_alone])) plan->n_alone++;
}

/* ------------------------------------------------------------------ all of it */

static filtags_status allocate(struct placer *placer) {
    struct plan *plan = placer->plan;
    const size_t n = plan->graph->n_nodes;
    placer->step_of = memory_new(n, sizeof *placer->step_of);
    placer->group_of = memory_new(n, sizeof *placer->group_of);
    placer->n_reads = memory_new(n, sizeof *placer->n_reads);
    placer->last_read = memory_new(n, sizeof *placer->last_read);
    placer->can_be_spread = memory_new(n, sizeof *placer->can_be_spread);
    placer->lies_in = memory_new(n, sizeof *placer->lies_in);
    placer->at_channel = memory_new(n, sizeof *placer->at_channel);
    placer->storage_last_read = memory_new(n + 1, sizeof *placer->storage_last_read);
    plan->places = memory_new(n, sizeof *plan->places);
    plan->storages = memory_new(n + 1, sizeof *plan->storages);
    if (!placer->step_of || !placer->group_of || !placer->n_reads || !placer->last_read || !placer->can_be_spread ||
        !placer->lies_in || !placer->at_channel || !placer->storage_last_read || !plan->places || !plan->storages)
        return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < n; i++) plan->places[i].storage = placer->lies_in[i] = PLAN_NOTHING;
    return FILTAGS_OK;
}

filtags_status place_outputs(struct plan *plan, const struct prepared *prepared) {
    struct placer placer = {.plan = plan, .prepared = prepared};
    filtags_status status = allocate(&placer);
    if (status == FILTAGS_OK) {
        find_steps(&placer);
        find_readers(&placer);
        lay_branches(&placer);
        assign_places(&placer);
        find_passing(&placer);
        find_alone(&placer);
        status = place_storages(plan);
    }
    free(placer.step_of);
    free(placer.group_of);
    free(placer.n_reads);
    free(placer.last_read);
    free(placer.can_be_spread);
    free(placer.lies_in);
    free(placer.at_channel);
    free(placer.storage_last_read);
    return status;
}
