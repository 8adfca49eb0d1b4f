#include "engine/fuse.h"

#include <math.h>

static const struct node *node_of(const struct plan *plan, const struct plan_step *step) {
    return &plan->graph->nodes[step->node];
}

/* How often a step reads a node's output. */
static size_t count_reads(const struct plan *plan, const struct plan_step *step, int node) {
    const struct node *reader = node_of(plan, step);
    size_t n_reads = 0;
    if (reader->op == OP_CONV) return step->input == node; /* whatever padding it has taken in */
    for (size_t k = 0; k < reader->n_inputs; k++) n_reads += reader->inputs[k] == node;
    return n_reads;
}

/* Whether the step behind this one is the only place where its value is wanted. */
static bool is_passed_on(const struct plan *plan, const struct plan_step *step) {
    size_t n_reads = 0;
    if (step->tap != PLAN_NOTHING || plan_keeps(plan, step->node)) return false;
    for (size_t s = 0; s < plan->n_steps; s++) n_reads += count_reads(plan, &plan->steps[s], step->node);
    return n_reads == 1 && count_reads(plan, step + 1, step->node) == 1;
}

static bool is_plain_relu(const struct node *node) {
    const struct activation *activation = &node->activation;
    return node->op == OP_ACTIVATION && activation->kind == ACT_RELU && activation->alpha == 0 &&
           activation->threshold == 0 && activation->max_value == INFINITY;
}

/* Let a step take in those behind it, up to the group's last one. */
static void extend(const struct plan *plan, struct plan_step *step, const struct plan_step *last, bool can_add) {
    for (struct plan_step *end = step; end < last && is_passed_on(plan, end) && !step->has_relu; end++) {
        const struct node *next = node_of(plan, end + 1);
        if (is_plain_relu(next)) step->has_relu = true;
        else if (can_add && end == step && next->op == OP_ADD && next->n_inputs == 2)
            step->added = next->inputs[next->inputs[0] == step->node];
        else return;
        end[1].is_absorbed = true;
        step->result = end[1].node;
    }
}

static bool has_output_of(const struct plan *plan, const struct plan_group *group, int node) {
    for (size_t s = 0; s < group->n_steps; s++)
        if (plan->steps[group->first_step + s].node == node) return true;
    return false;
}

/* Convolutions that run for all pictures at once have small maps, which stay in cache anyway. */
static void fuse_poolings(struct plan *plan, const struct prepared *prepared) {
    for (size_t g = 0; g + 1 < plan->n_groups; g++) {
        struct plan_group *group = &plan->groups[g];
        const struct conv_own *conv = prepared[plan->steps[group->first_step].node].own;
        const struct node *next = node_of(plan, &plan->steps[group[1].first_step]);
        const bool is_pool = next->op == OP_MAX_POOL || next->op == OP_AVG_POOL;
        group->is_pooled = is_pool && conv && !conv->is_layer_wide && has_output_of(plan, group, next->inputs[0]);
        group[1].is_root_done = group->is_pooled;
    }
}

void fuse_steps(struct plan *plan, const struct prepared *prepared) {
    fuse_poolings(plan, prepared);
    for (size_t g = 0; g < plan->n_groups; g++) {
        struct plan_step *first = &plan->steps[plan->groups[g].first_step];
        struct plan_step *last = first + plan->groups[g].n_steps - 1;
        for (struct plan_step *step = first; step < last; step++) {
            const bool is_scale_shift = step->is_pointwise && node_of(plan, step)->op == OP_SCALE_SHIFT;
            if (!step->is_absorbed && (is_scale_shift || prepared[step->node].own))
                extend(plan, step, last, is_scale_shift);
        }
    }
}
