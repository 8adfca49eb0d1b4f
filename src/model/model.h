/* model.h - a loaded model: its graph, and where its weights come from. */
#ifndef FILTAGS_MODEL_MODEL_H
#define FILTAGS_MODEL_MODEL_H

#include "model/graph.h"
#include "model/hdf5_table.h"

/* The graph, as loaded. Valid while the model is. */
const struct graph *model_graph(const filtags_model *model);

/* Reading weights node by node, so that no more of them than necessary is in memory twice. Any number of threads, but
 * nodes share weights: what is not in the hands of a thread may be read or dropped meanwhile. */
struct weight_reader;
FILTAGS_MUST_USE filtags_status weight_reader_open(filtags_model *model, struct weight_reader **reader);

/* Read the weights of a node into the graph; those that are there already stay. USAGE: the model has none; IO, FORMAT,
 * DATA (layer, expected and found shape), MEMORY. */
FILTAGS_MUST_USE filtags_status weight_reader_read(struct weight_reader *reader, size_t node);

/* A kernel of a dense layer, to be read by rows. */
struct weight_rows {
    size_t weight;     /* its index */
    size_t n_rows, row_values;
    size_t block_rows; /* to be read at once */
    struct hdf5_dataset dataset;
};

/* As weight_reader_read, but the kernel of a dense node only found. *rows gets n_rows 0 where it can't be read by rows,
 * and then nothing has been read. */
FILTAGS_MUST_USE filtags_status weight_reader_find_rows(struct weight_reader *reader, size_t node,
                                                        struct weight_rows *rows);

/* Read rows [first, first + n_rows): values [n_rows, row_values]. */
FILTAGS_MUST_USE filtags_status weight_reader_read_rows(struct weight_reader *reader, const struct weight_rows *rows,
                                                        size_t first, size_t n_rows, float *values);

/* Free what weight_reader_read has read for a node, once for each time that it succeeded. */
void weight_reader_drop(struct weight_reader *reader, size_t node);

void weight_reader_close(struct weight_reader *reader);

/* Read the weights of the nodes for which is_needed[node] is true ([n_nodes]) into the graph; weights that
 * are there already stay. Status as weight_reader_read's. */
FILTAGS_MUST_USE filtags_status model_read_weights(filtags_model *model, const bool *is_needed);

/* Free the values of all weights, when an engine has made its own copy of them. */
void model_drop_weights(filtags_model *model);

/* Select layers by --layers: "conv" (every Conv2D exactly, nested ones included), "name" (every layer with
 * "conv" in its name and a three-dimensional output), or a comma list of layer names or globs (fnmatch).
 * *layers gets indices in model.layers order, without repeats; the caller frees it. Selected outputs are
 * feature maps (three dimensions). USAGE: a name or glob matches nothing (the message says which, and names
 * some that exist), or one that has no feature maps; DATA: the model has no such layer at all. */
FILTAGS_MUST_USE filtags_status
model_select_layers(const filtags_model *model, const char *list, size_t **layers, size_t *n_layers);

#endif
