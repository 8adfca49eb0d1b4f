/* evaluation.h - what evaluate and single-image share: test pictures, the network's predictions for them and those of
 * the tags, and writing these as variables of step 3. */
#ifndef FILTAGS_STEPS_EVALUATION_H
#define FILTAGS_STEPS_EVALUATION_H

#include "steps/network.h"
#include "steps/picture_list.h"
#include "steps/predictions.h"
#include "steps/runner.h"
#include "steps/steps.h"
#include "steps/tag_file.h"

struct evaluation {
    struct step *step;
    struct run_record record;
    struct tag_file tags;
    struct network network;
    struct class_index index;
    filtags_dataset *dataset;
    filtags_engine *engine;
    struct picture_store *store; /* NULL: none */
    struct output *output;
    struct picture_list pictures; /* test pictures */
    struct predictions *predictions;
    struct tally tally;          /* of the pictures */
    struct progress *progress;   /* NULL: none is saved */
    struct runner_totals totals;
};

/* Open tags and network alone, with what the run before tells, and check that they go together: all that a step needs
 * which is told of its pictures in another way. As evaluation_open. */
FILTAGS_MUST_USE filtags_status evaluation_open_network(struct step *step, struct evaluation *run);

/* Open what the options name - tags, pictures, network, class index - with what the run before tells, and check that
 * they go together. USAGE, DATA, IO, ... The caller closes the evaluation, on failure too. */
FILTAGS_MUST_USE filtags_status evaluation_open(struct step *step, struct evaluation *run);

/* Start the output, log what will be run and what is doubtful about its classes. */
FILTAGS_MUST_USE filtags_status evaluation_open_output(struct evaluation *run, const char *kind);

/* Run the network on the pictures and keep the predictions. what: for the progress. */
FILTAGS_MUST_USE filtags_status evaluation_run(struct evaluation *run, const char *what);

/* List the pictures of a class that could be used, in the order of the test set, and load their predictions. The caller
 * frees *images. MEMORY, IO. */
FILTAGS_MUST_USE filtags_status evaluation_load_class(struct evaluation *run, size_t class_index, size_t **images,
                                                     size_t *n_images);

/* Write -varsX.pkl and -varsX-names.pkl of a class whose pictures are loaded. */
FILTAGS_MUST_USE filtags_status evaluation_write_class(struct evaluation *run, size_t class_index,
                                                       const size_t *images, size_t n_images);

/* Append to -vars-info.txt what the variables are, and the layers. */
void evaluation_append_info(const struct evaluation *run, struct buffer *to);

/* Put what was run into the record. */
FILTAGS_MUST_USE filtags_status evaluation_describe(struct evaluation *run, const char *command);

/* List run.json's counts and timings; returns how many. */
enum { EVALUATION_MOST_NUMBERS = 14 };
size_t evaluation_list_numbers(const struct evaluation *run, size_t n_classes,
                               struct run_number numbers[EVALUATION_MOST_NUMBERS]);

/* error: of the step that failed, for the log; NULL: it didn't. */
void evaluation_close(struct evaluation *run, const char *error);

#endif
