/* conv_way.h - the ways in which a convolution can be computed, what each of them costs, and which one a shape gets.
 *
 * The choice is a function of the shape and the instruction set alone, so that a run can be repeated to the bit: never
 * of the machine's speed, nor of the number of pictures or threads. What a way costs is told by a table, conv_costs.c,
 * which bench/costs.py makes of measured times, and by the counts of what the way has to do. */
#ifndef FILTAGS_ENGINE_CONV_WAY_H
#define FILTAGS_ENGINE_CONV_WAY_H

#include <stdint.h>

#include "engine/kernels.h"

enum conv_way {
    CONV_WAY_PRODUCT,       /* 1x1: the input where it lies is a factor of a matrix product */
    CONV_WAY_GATHERED,      /* a matrix product of gathered windows */
    CONV_WAY_ROWS,          /* the same, of windows that overlap in padded rows: few channels */
    CONV_WAY_WINOGRAD_3X3,  /* Winograd's method: for this kernel, outputs of a tile along each axis */
    CONV_WAY_WINOGRAD_3X3_LARGE,
    CONV_WAY_WINOGRAD_3X3_LARGEST,
    CONV_WAY_WINOGRAD_3X3_TALL,
    CONV_WAY_WINOGRAD_3X3_HUGE,
    CONV_WAY_WINOGRAD_5X5,
    CONV_WAY_WINOGRAD_1X3,
    CONV_WAY_WINOGRAD_3X1,
    CONV_WAY_WINOGRAD_1X7,
    CONV_WAY_WINOGRAD_7X1,
    CONV_WAY_WINOGRAD_STRIDED, /* 3x3 at stride 2 */
    CONV_WAY_WINOGRAD_STRIDED_LARGE,
    CONV_WAY_ONEDNN_1X1,    /* oneDNN, which has several kernels too */
    CONV_WAY_ONEDNN_1X1_STRIDED,
    CONV_WAY_ONEDNN_FEW,    /* few input channels */
    CONV_WAY_ONEDNN,        /* all others */
    CONV_N_WAYS,
    CONV_WAY_NONE = CONV_N_WAYS
};

/* What a way has to do for one picture. */
struct conv_counts {
    uint64_t products; /* multiply-adds, those of padding up to whole tiles and vectors too */
    uint64_t inputs;   /* values that are gathered, copied or transformed to; where nothing is: read */
    uint64_t outputs;  /* values that come out of the products, each time that they do */
    uint64_t weights;
};

/* Time for each of these, in thousandths of what a multiply-add of CONV_WAY_PRODUCT takes. */
struct conv_cost { uint32_t product, input, output, weight; };

/* conv_costs.c: [CONV_N_WAYS]. */
const struct conv_cost *conv_costs_for(filtags_isa isa);

/* Outputs of a tile. */
struct conv_tile { size_t h, w; };

bool conv_way_is_winograd(enum conv_way way);
bool conv_way_is_onednn(enum conv_way way);
/* "winograd_3x3". Static. */
const char *conv_way_name(enum conv_way way);
/* Of a way by Winograd's method. */
struct conv_tile conv_way_tile(enum conv_way way);

/* Whether a shape can be computed so; of oneDNN: whether its kernels of this kind are meant. */
bool conv_way_fits(enum conv_way way, const struct conv_shape *shape);

struct conv_counts conv_way_count(enum conv_way way, const struct conv_shape *shape, const struct kernels *kernels);

/* By the table, for one picture. CONV_TOO_MUCH: of what is never chosen, however fast it is. */
#define CONV_TOO_MUCH UINT64_MAX
uint64_t conv_way_cost(enum conv_way way, const struct conv_shape *shape, const struct kernels *kernels);

/* The cheapest way. may_be_onednn: false where oneDNN has refused. NONE: no way fits, which is so of
 * groups without oneDNN. */
enum conv_way conv_way_choose(const struct conv_shape *shape, const struct kernels *kernels, bool may_be_onednn);

#endif
