/* run_file.h - run.json: everything about a run, for machines; and the chain from step to step.
 * docs/run-json.md describes the fields. */
#ifndef FILTAGS_STORE_RUN_FILE_H
#define FILTAGS_STORE_RUN_FILE_H

#include "filtags.h"
#include "store/output.h"

enum { RUN_FILE_FORMAT_VERSION = 1 };

/* What later steps need to know, and whence the results come. Every string is owned; NULL: not known. */
struct run_record {
    char *command;  /* "activations" */
    char *network;  /* name in file names */
    char *previous; /* absolute path of the main file that this step was given */
    char *known;    /* name of the known network, as filtags_networks has it; NULL: a model of the user's own */
    char *weights;  /* of a known network: absolute path */
    bool has_official_weights;
    char *model; /* of a network of the user's own: absolute path */
    char *model_sha256; /* of the model, or of the weights of a known network */
    char *class_index; /* absolute path */
    char *layers;      /* --layers as given */
    char *preprocess;  /* "caffe", ... */
    size_t size[3];    /* input: height, width, channels; 0: not known */
    size_t n_outputs;
    char **layer_names;  /* [n_layers], tapped layers */
    size_t *layer_sizes; /* [n_layers], filters */
    size_t n_layers;
    char *isa;        /* instruction set that the numbers were computed with */
    char *images_dir; /* absolute path */
    bool has_split;   /* split and seed_rn are known */
    double split;
    uint32_t seed_rn;
    size_t limit; /* 0: none */
};

/* One measured or counted number of the run: run.json's "counts" and "timings_sec". */
struct run_number {
    const char *group, *name;
    double value;
};

/* One option with its value as text: run.json's "options". */
struct run_option {
    const char *name, *value;
    bool is_given; /* else the default */
};

/* Write "<...>-run.json" of an output, as a file of it. */
FILTAGS_MUST_USE filtags_status run_file_write(struct output *output, const struct run_record *record,
                                               const struct run_option *options, size_t n_options,
                                               const struct run_number *numbers, size_t n_numbers);

/* Read the run.json beside a -vars.pkl (or -varsX.pkl). Where there is none, the record has the network from the
 * file's name (NULL if that can't be told), for a published script's file (-CA-, -LF-) the layers that it took, and
 * nothing else, and *is_found is false. FORMAT: malformed, or of a newer format version. The caller frees *record with
 * run_record_free. */
FILTAGS_MUST_USE filtags_status run_file_read_beside(const char *vars_path, struct run_record *record, bool *is_found);

void run_record_free(struct run_record *record);

/* Split "dir/2026-01-01-0000-QFA-VGG16-vars3.pkl" into "dir/2026-01-01-0000-QFA-VGG16" (the caller frees it)
 * and 3; *class_number is 0 where there is none. NULL: out of memory (message set). A name without "-vars" is
 * taken as it is, less a ".pkl" ending. */
char *vars_path_prefix(const char *vars_path, size_t *class_number);

#endif
