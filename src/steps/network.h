/* network.h - the network of a run: model, tapped layers, and the names of its outputs. */
#ifndef FILTAGS_STEPS_NETWORK_H
#define FILTAGS_STEPS_NETWORK_H

#include "base/hash.h"
#include "options/options.h"
#include "store/picture_store.h"
#include "store/run_file.h"
#include "tagging/tags.h"

struct network {
    char *name; /* in file names: the known network's, or the model file's stem, '-' replaced by '_' */
    const filtags_network *known; /* NULL: a model of the user's own */
    char *path;                   /* of the model file, or of the known network's weights */
    bool has_official_weights;
    filtags_preprocess preprocess;
    filtags_model *model;
    char sha256[HASH_HEX_BYTES]; /* of the file at path */
    size_t shape[3];             /* input: height, width, channels */
    size_t n_outputs;
    size_t *layers; /* [table.n_layers] tapped layers */
    struct filter_table table;
    filtags_isa isa; /* what --isa comes to on this processor */
};

/* Load the network of the options - --network with --weights or the official ones, which may have to be downloaded, or
 * --model and --size - and select the layers (--layers). USAGE: options that don't go together. */
FILTAGS_MUST_USE filtags_status network_open(const filtags_options *options, const filtags_callbacks *callbacks,
                                             struct network *network);
void network_close(struct network *network);

/* Compile the network with its layers tapped, by the options' instruction set, for up to batch pictures at once.
 * As filtags_engine_create. */
FILTAGS_MUST_USE filtags_status network_open_engine(const struct network *network, const filtags_options *options,
                                                    size_t batch, bool wants_output, filtags_engine **engine);

/* The same for runs with feature maps (filtags_worker_run_maps). */
FILTAGS_MUST_USE filtags_status network_open_map_engine(const struct network *network, const filtags_options *options,
                                                        size_t batch, bool wants_output, filtags_engine **engine);
/* Whether the output is a vector, one value a class; else it is a map, as a segmentation network's. */
bool network_gives_vector(const struct network *network);

/* Open the options' --store for this network (*store NULL where none is given), and tell the output of what was found
 * in it. What its numbers depend on: the network's file, input and layers, the instruction set, and the versions of the
 * program and of the libraries below it. As picture_store_open. */
FILTAGS_MUST_USE filtags_status network_open_store(const struct network *network, const filtags_options *options,
                                                   struct output *output, struct picture_store **store);

/* Append what numbers of this network depend on, as text: the lines that docs/store.md lists. */
void network_append_profile(const struct network *network, struct buffer *text);

/* Close a store at the end of its use, which gave status. Returns that, or, where it is OK, what the closing gives: a
 * message that there is stays. *store may be NULL. */
filtags_status network_close_store(struct picture_store **store, filtags_status status);

/* Put network and options into the record of a run (what is there already is replaced). */
FILTAGS_MUST_USE filtags_status network_describe(const struct network *network, const filtags_options *options,
                                                 struct run_record *record);

/* Names of the network's outputs. */
struct class_index {
    char **wnids;  /* [n] first word of the line: what folders are compared with */
    char **labels; /* [n] the rest of it; the wnid where there is nothing more */
    size_t n;
    bool is_assumed; /* made from the class folders in their order */
};

/* Name the network's outputs: from path, --class-index, unless that is NULL (line i: "wnid label" of output i; blank
 * lines are skipped), else ImageNet's classes for a known network with as many outputs, else from the class folders
 * (dataset may be NULL) where their number is the outputs', else by their index. DATA: the file has another number of
 * lines; FORMAT: it isn't text; IO, MEMORY. */
FILTAGS_MUST_USE filtags_status class_index_open(const char *path, const struct network *network,
                                                 const filtags_dataset *dataset, struct class_index *index);
void class_index_free(struct class_index *index);
/* How many class folders are named like an output. */
size_t class_index_n_matches(const struct class_index *index, const filtags_dataset *dataset);

#endif
