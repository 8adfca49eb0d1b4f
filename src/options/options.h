/* options.h - what the commands are told: the options' table, and their values as typed fields.
 *
 * An option is declared once, as a row of the table in options_table.c. To add one: a name in enum
 * option_id, a field in struct filtags_options, a row. Parsing, help, man pages, completion and run.json
 * follow from the row. */
#ifndef FILTAGS_OPTIONS_OPTIONS_H
#define FILTAGS_OPTIONS_OPTIONS_H

#include "filtags.h"

/* Bits, so that a row of the option table can say which commands have it. */
enum command_bit {
    COMMAND_ACTIVATIONS = 1 << 0,
    COMMAND_TAG = 1 << 1,
    COMMAND_EVALUATE = 1 << 2,
    COMMAND_HITRATES = 1 << 3,
    COMMAND_PIPELINE = 1 << 4,
    COMMAND_DEMO = 1 << 5,
    COMMAND_EXPORT = 1 << 6,
    COMMAND_LAYERS = 1 << 7,
    COMMAND_NETWORKS = 1 << 8,
    COMMAND_FETCH = 1 << 9,
    COMMAND_SINGLE_IMAGE = 1 << 10,
    COMMAND_DECODE = 1 << 11,
    COMMAND_VISUALIZE = 1 << 12,
    COMMAND_PLOT_HITRATES = 1 << 13,
    COMMAND_EXPLAIN = 1 << 14,
    COMMAND_MERGE = 1 << 15
};

/* In the order of the help. */
enum option_id {
    OPTION_ACTIVATIONS_FILE,
    OPTION_FILTAGS_FILE,
    OPTION_EVAL_FILE,
    OPTION_HITRATES_FILE,
    OPTION_LISTING,
    OPTION_NETWORK,
    OPTION_WEIGHTS,
    OPTION_CLASSES,
    OPTION_OFFLINE,
    OPTION_MODEL,
    OPTION_PREPROCESS,
    OPTION_SIZE,
    OPTION_CLASS_INDEX,
    OPTION_LAYERS,
    OPTION_IMAGES_DIR,
    OPTION_SPLIT,
    OPTION_SEED_RN,
    OPTION_LIMIT,
    OPTION_SHARD,
    OPTION_STRICT,
    OPTION_ISOLATE,
    OPTION_STORE,
    OPTION_K_Q,
    OPTION_M,
    OPTION_CLASSES_IMG,
    OPTION_TOP_IMAGES,
    OPTION_MAX_LAYERS,
    OPTION_SAVE_DIR,
    OPTION_TIME_DELTA,
    OPTION_CHECKPOINT_INTERVAL,
    OPTION_RESTART,
    OPTION_FORMAT,
    OPTION_OUTPUT,
    OPTION_JSON,
    OPTION_THREADS,
    OPTION_BATCH,
    OPTION_ISA,
    OPTION_QUIET,
    OPTION_VERBOSE,
    N_OPTIONS,
    OPTION_NONE = N_OPTIONS
};

struct number_list {
    double *values;
    size_t n;
};

struct count_list {
    size_t *values;
    size_t n;
};

struct text_list {
    char **items;
    size_t n;
};

struct picture_size {
    size_t height; /* 0: not given */
    size_t width;
};

/* Part i of n. */
struct shard {
    size_t i, n; /* 1 <= i <= n; n is 0: not given */
};

enum export_format { EXPORT_CSV, EXPORT_JSON };

/* A field that the command has no option for is zero (NULL, empty, 0, false). */
struct filtags_options {
    const filtags_command *command;
    char *texts[N_OPTIONS]; /* values as given on the command line; NULL: not given */
    struct text_list arguments; /* positional arguments of a command whose argument is no option (export, fetch) */

    char *activations_file;        /* NULL: not given, as for every file and folder */
    char *filtags_file;
    char *eval_file;
    char *hitrates_file;
    char *listing;

    char *network;                 /* as filtags_networks spells it; model or network is NULL */
    char *weights;
    uint64_t classes;              /* 0: not given */
    bool offline;
    char *model;
    int preprocess;                /* filtags_preprocess */
    struct picture_size size;
    char *class_index;
    char *layers;                  /* for model_select_layers */

    char *images_dir;
    double split;                  /* [0,1] */
    uint64_t seed_rn;              /* [0, 2^32-1] */
    uint64_t limit;                /* 0: all pictures */
    struct shard shard;
    bool strict;
    bool isolate;
    char *store;                   /* NULL: none */

    struct number_list k_q;        /* without repeats; empty: all in the file, or pipeline's two defaults */
    struct count_list m;           /* without repeats */
    struct text_list classes_img;  /* numbers (ranges written out) or labels; empty: all */
    uint64_t top_images;           /* 0: none are kept */
    uint64_t max_layers;           /* 0: not given; see visualize */

    char *save_dir;
    double time_delta;             /* hours, [-24,24] */
    double checkpoint_interval;    /* seconds; 0: after every micro-batch */
    bool restart;
    int format;                    /* enum export_format */
    char *output;                  /* "-": standard output */
    bool json;

    uint64_t threads;              /* 0: not given; see options_n_threads */
    uint64_t batch;                /* 0: chosen by the program */
    int isa;                       /* filtags_isa */
    bool quiet;
    bool verbose;
};

enum option_type {
    OPTION_IS_FLAG,    /* bool */
    OPTION_IS_TEXT,    /* char *, not empty */
    OPTION_IS_PATH,    /* char *, not empty */
    OPTION_IS_CHOICE,  /* int: place in the choices */
    OPTION_IS_WORD,    /* char *: one of the choices, as they spell it */
    OPTION_IS_INTEGER, /* uint64_t */
    OPTION_IS_REAL,    /* double */
    OPTION_IS_NUMBERS, /* struct number_list */
    OPTION_IS_COUNTS,  /* struct count_list */
    OPTION_IS_NAMES,   /* struct text_list */
    OPTION_IS_SIZE,    /* struct picture_size */
    OPTION_IS_SHARD    /* struct shard */
};

/* A row of the option table. */
struct option_row {
    const char *name;
    char short_name;
    const char *placeholder;
    enum option_type type;
    const char *default_value; /* parsed like a value from the command line; NULL: the field stays zero */
    const char *default_note;  /* what the help says in place of the value; NULL: the value */
    double lowest;             /* range of INTEGER, REAL, COUNTS and NUMBERS, both ends included */
    double highest;
    const char *choices;       /* "a|b|c"; NULL: none */
    const char *group;
    const char *help;
    unsigned commands;         /* bits: the commands that have it */
    unsigned required_in;      /* bits: those that can't do without */
    unsigned inherited_in;     /* bits: those that take it from the run before, where it isn't given */
    size_t offset;             /* of the field in struct filtags_options */
};

/* A row of the command table. */
struct command_row {
    const filtags_command *command;
    enum command_bit bit;
    enum option_id argument_option; /* the option that the positional argument stands for, or OPTION_NONE */
    enum option_id word_option;     /* the option that it stands for if it is one of that option's choices, or NONE */
    bool takes_many;                /* the argument may come any number of times, as one of the command's choices */
};

const struct option_row *option_row(enum option_id id);
const struct command_row *command_row(const filtags_command *command);
/* The default value of an option in one command (NULL: none). */
const char *option_default(const struct command_row *command, enum option_id id);
/* Find an option of a command as filtags_option_find does. OPTION_NONE: the command has no such option. */
enum option_id option_id_find(const struct command_row *command, const char *name);
/* Report that a command has no option of that name: who has it, or what may have been meant. */
filtags_status option_report_unknown(const struct command_row *command, const char *name);

/* Report that there is no command of that name, and what may have been meant. */
filtags_status command_report_unknown(const char *name);

/* Parse a value into a field of an option's type, replacing (and freeing) what was there. USAGE, MEMORY. */
FILTAGS_MUST_USE filtags_status option_value_parse(const struct option_row *row, const char *text, void *field);
void option_value_free(const struct option_row *row, void *field);
void text_list_free(struct text_list *list);

/* Find a word among choices ("a|b|c") without regard to case. Returns where it begins there, and its length and place
 * in the list; NULL: it is none of them. */
const char *choice_find(const char *choices, const char *text, size_t *n_characters, int *place);

/* Say that text is none of the choices, and which may have been meant. prefix begins the message. Returns USAGE. */
filtags_status choice_report_unknown(const char *choices, const char *prefix, const char *text);

/* Return whether the option was given on the command line (its value may equal the default). */
bool options_is_given(const filtags_options *options, enum option_id id);

/* Set an option that was not given, from what an earlier run recorded; a given one stays. It does not count as
 * given. Without effect where the command has no such option. USAGE: value is out of range. */
FILTAGS_MUST_USE filtags_status options_inherit(filtags_options *options, enum option_id id, const char *value);

/* Create the options of another command with the same values given, as far as it has these options
 * (pipeline and demo run the four steps so); of the same command, a copy of what was given. */
FILTAGS_MUST_USE filtags_status
options_derive(const filtags_options *from, const char *command, filtags_options **options);

/* Set an option as filtags_options_set does, by id. */
FILTAGS_MUST_USE filtags_status options_set(filtags_options *options, enum option_id id, const char *value);

/* Check what can only be checked when all options are known: none that is required is missing, none
 * excludes another. USAGE. */
FILTAGS_MUST_USE filtags_status options_check(const filtags_options *options);

/* The number of threads to use: as given, else the cores that this process may use. At least 1. */
size_t options_n_threads(const filtags_options *options);

#endif
