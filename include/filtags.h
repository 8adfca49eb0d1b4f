/* filtags.h - explain convolutional neural networks by tagging their filters.
 *
 * This header is the manual of the library. Read it from top to bottom: it goes from the whole job
 * (four steps, files in, files out) to the parts that the steps are made of, in the order in which
 * data flows:
 *
 *     pictures -> dataset -> image -> model -> engine -> activations -> tags -> evaluation -> hit rates
 *
 * Words. A filter is one output channel of a convolution layer; its feature map is that channel's output
 * for one picture. The activation of a filter for a picture is the layer's output, min-max scaled to
 * [0,1] over the whole layer, averaged over the feature map; a constant layer scales to all 0. The class
 * activation is the mean of that over the train pictures of a class. A tag is a class label attached to
 * a filter. k: the k most active filters of a layer; q: the q percent most active. Hit rate (k, m): how
 * often the network's own top-1 label is among the first m labels that the tags predict.
 *
 * Conventions.
 * - Every function that can fail returns a filtags_status; 0 is success. On failure the outputs are left
 *   as they were, and filtags_error_message() says what was wrong, in which file, where, what was
 *   expected and what was found.
 * - The library never prints and never exits. It tells of progress and warnings through callbacks.
 * - Tensors are NHWC (picture, row, column, channel), row-major, 32-bit floats.
 * - create/destroy, open/close and load/destroy come in pairs; every destructor takes NULL.
 * - Objects may be used by one thread at a time unless it says otherwise; different objects are
 *   independent. Strings are NUL-terminated; file names are the bytes that the system gives.
 */
#ifndef FILTAGS_H
#define FILTAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define FILTAGS_API __attribute__((visibility("default")))
#define FILTAGS_MUST_USE __attribute__((warn_unused_result))
#else
#define FILTAGS_API
#define FILTAGS_MUST_USE
#endif

/* ------------------------------------------------------------------ version, status, errors */

#define FILTAGS_VERSION "0.1.0"
#define FILTAGS_VERSION_DATE "2026-11-24"

/* Return the version of the library that is running, e.g. "0.1.0". Never NULL; static. */
FILTAGS_API const char *filtags_version(void);

/* Return one line a library that the program stands on: name and version ("oneDNN 2.6.3\n...").
 * Static; never NULL. The same text is kept in every run.json, because results can depend on it. */
FILTAGS_API const char *filtags_dependencies(void);

typedef enum filtags_status {
    FILTAGS_OK = 0,
    FILTAGS_ERROR_USAGE,       /* an option or argument is unknown, missing or out of its range */
    FILTAGS_ERROR_IO,          /* the system could not open, read, write or create a file */
    FILTAGS_ERROR_FORMAT,      /* a file is malformed, truncated or not what it should be */
    FILTAGS_ERROR_UNSUPPORTED, /* well-formed, but something that filTags does not handle */
    FILTAGS_ERROR_MEMORY,      /* memory or open files ran out, or a limit on sizes was exceeded */
    FILTAGS_ERROR_DATA,        /* the data do not fit together (shapes, labels, classes) */
    FILTAGS_ERROR_CANCELLED,   /* the caller asked to stop */
    FILTAGS_ERROR_INTERNAL     /* a library below failed in a way that should not happen */
} filtags_status;

/* Return the message of the last failure in the calling thread: one line, no newline at its end, UTF-8
 * wherever the names in it are. Never NULL ("" before the first failure); valid until the next failure in
 * this thread. */
FILTAGS_API const char *filtags_error_message(void);

/* ------------------------------------------------------------------ callbacks */

typedef enum filtags_log_level {
    FILTAGS_LOG_DEBUG,   /* for --verbose */
    FILTAGS_LOG_INFO,    /* what is being done; also written to the info log */
    FILTAGS_LOG_WARNING  /* also written to the warnings log */
} filtags_log_level;

typedef struct filtags_progress {
    const char *what;        /* "activations", "evaluate", "fetch" (a download) */
    const char *unit;        /* what is counted: "pictures" or "bytes" */
    uint64_t n_done;         /* done, [0, n_total] */
    uint64_t n_total;
    uint64_t n_before;       /* of n_done, those that were done before this run: a resumed download */
    double elapsed_sec;      /* since the first of this run was started: (n_done - n_before) in that time */
} filtags_progress;

/* What the caller wants to be told. Zero-initialise, set what you need; every member may be NULL.
 * log and progress are called by one thread at a time, but not always by the same one. */
typedef struct filtags_callbacks {
    void *user;
    void (*log)(void *user, filtags_log_level level, const char *line);
    void (*progress)(void *user, const filtags_progress *progress);
    bool (*is_cancelled)(void *user); /* polled between pictures; true ends the run with CANCELLED */
} filtags_callbacks;

/* ------------------------------------------------------------------ options */

/* A command of the program: one step or one tool. The table is what the command line, its help, the man
 * pages and the shell completion are made of. */
typedef struct filtags_command {
    const char *name;     /* "activations" */
    const char *aliases;  /* names of the original scripts, separated by blanks; "" for none */
    const char *summary;  /* one line */
    const char *details;  /* paragraphs separated by a blank line */
    const char *argument; /* placeholder of the positional argument, "" where there is none */
    const char *argument_choices; /* words that the argument may be, separated by '|' (it may be others); "" for none */
} filtags_command;

/* An option of one or more commands. Names are compared without regard to case, '_' being the same as
 * '-', so that the original scripts' parameter names (save_dir, filTags_file) are accepted as they are. */
typedef struct filtags_option {
    const char *name;         /* "save-dir" */
    char short_name;          /* 'o', or 0 */
    const char *placeholder;  /* "DIR"; "" for a flag, which takes no value */
    const char *default_text; /* default as the help prints it; "" where there is none */
    const char *help;         /* one or two sentences */
    const char *group;        /* heading under which the help lists it */
    const char *choices;      /* allowed values separated by '|', or "" */
    bool is_file;             /* completion offers files */
    bool is_required;         /* the command can't do without */
} filtags_option;

/* Return the table of commands; *n_commands gets its length. Static. */
FILTAGS_API const filtags_command *filtags_commands(size_t *n_commands);

/* Find a command by its name or an alias (exact case first, then without regard to case). NULL: none. */
FILTAGS_API const filtags_command *filtags_command_find(const char *name);

/* Return option number index (from 0) of a command, in the order of the help; NULL past the last one.
 * The pointer is static. */
FILTAGS_API const filtags_option *filtags_command_option(const filtags_command *command, size_t index);

/* Find an option of a command by its long name (any case, '_' for '-') or, where name has one character,
 * by its short name. NULL: the command has no such option. */
FILTAGS_API const filtags_option *filtags_option_find(const filtags_command *command, const char *name);

typedef struct filtags_options filtags_options;

/* Create the options of a command (name or alias), all at their defaults. USAGE: no such command. The
 * caller destroys *options. */
FILTAGS_API FILTAGS_MUST_USE filtags_status
filtags_options_create(const char *command, filtags_options **options);

/* Set one option from text, as on the command line. name: see filtags_option_find. value: NULL or "" for a
 * flag. The value is copied. USAGE: unknown option, or a value outside its range; the message names the
 * option, what was expected and what was found. */
FILTAGS_API FILTAGS_MUST_USE filtags_status
filtags_options_set(filtags_options *options, const char *name, const char *value);

/* Append a positional argument. USAGE: the command takes none, or no more, or not this one. */
FILTAGS_API FILTAGS_MUST_USE filtags_status
filtags_options_add_argument(filtags_options *options, const char *value);

/* Return whether a flag is set (quiet, verbose, json, ...). False also for an unknown name. */
FILTAGS_API bool filtags_options_flag(const filtags_options *options, const char *name);

FILTAGS_API void filtags_options_destroy(filtags_options *options);

/* ------------------------------------------------------------------ the steps: files in, files out */

typedef struct filtags_run filtags_run;

/* Run the command that options were created for (the four steps, pipeline, demo, export, layers, ...).
 * Results are written into save_dir under names that are not taken yet; a file appears under its final
 * name only when it is whole. *run tells what came out; the caller destroys it. callbacks may be NULL.
 *
 * USAGE, IO, FORMAT, UNSUPPORTED, MEMORY, DATA, CANCELLED, INTERNAL as the message says. A damaged
 * picture is no failure but a warning, unless the option strict is set. */
FILTAGS_API FILTAGS_MUST_USE filtags_status
filtags_run_command(const filtags_options *options, const filtags_callbacks *callbacks, filtags_run **run);

/* Return the result as text for a person: tables and where the files are. Ends in a newline; "" where there is nothing
 * to say. Valid while the run is. */
FILTAGS_API const char *filtags_run_report(const filtags_run *run);

/* Return the path of file number index (from 0) that the run wrote (the main file of a step comes first); NULL past the
 * last one. Valid while the run is. */
FILTAGS_API const char *filtags_run_file(const filtags_run *run, size_t index);

FILTAGS_API void filtags_run_destroy(filtags_run *run);

/* ------------------------------------------------------------------ several processes */

/* Return the number of this process among those that mpirun has started together, as the environment has it; 0 alone.
 *
 * activations, evaluate and pipeline are shared by all of them (docs/cluster.md): each calls filtags_run_command with
 * the same options. Process 0 has the files, the report and the callbacks' calls; for the others the run is empty, and
 * their failure is told, with their number, by process 0 - only what can't reach it comes as a line of their own log
 * callback. All get the same status. */
FILTAGS_API size_t filtags_process_number(void);

/* Return whether the failure that filtags_run_command has returned is for process 0 to tell, which knows of it. This
 * process has nothing to add then, and had better exit with status 0: mpirun's own status is that of whichever process
 * fails first, and process 0's says why. */
FILTAGS_API bool filtags_process_is_led(void);

/* ------------------------------------------------------------------ dataset: listing and split */

typedef struct filtags_dataset filtags_dataset;

/* List a folder of class folders and split its pictures into train and test.
 *
 * A picture is a regular file (links are followed) whose name ends, in any case, in .png .jpg .jpeg .bmp
 * .ppm .tif or .tiff; a folder without pictures is no class. Classes and the files of a class are in byte
 * order of their names. All files, class by class, are shuffled exactly as pandas'
 * DataFrame.sample(frac=1, random_state=seed) does; the first int(split * n_files) are the test set.
 *
 * split in [0,1]; seed in [0, 2^32-1]. IO: a folder cannot be read. DATA: there is no picture at all. */
FILTAGS_API FILTAGS_MUST_USE filtags_status
filtags_dataset_open(const char *images_dir, double split, uint32_t seed, filtags_dataset **dataset);

/* Return the number of folders with pictures in them. */
FILTAGS_API size_t filtags_dataset_n_classes(const filtags_dataset *dataset);

/* Return the name of a class folder, class_index in [0, n_classes). Valid while the dataset is. */
FILTAGS_API const char *filtags_dataset_class_name(const filtags_dataset *dataset, size_t class_index);

/* Return the number of train and of test pictures; together all. */
FILTAGS_API size_t filtags_dataset_n_train(const filtags_dataset *dataset);
FILTAGS_API size_t filtags_dataset_n_test(const filtags_dataset *dataset);

/* Return 'class/file' of train or test picture index, in [0, n_train) or [0, n_test), in the shuffled order;
 * *class_index, unless NULL, gets its class. Valid while the dataset is. */
FILTAGS_API const char *filtags_dataset_train_file(const filtags_dataset *dataset, size_t index, size_t *class_index);
FILTAGS_API const char *filtags_dataset_test_file(const filtags_dataset *dataset, size_t index, size_t *class_index);

FILTAGS_API void filtags_dataset_close(filtags_dataset *dataset);

/* ------------------------------------------------------------------ images */

typedef enum filtags_preprocess {
    FILTAGS_PREPROCESS_NONE,  /* 0..255 as decoded */
    FILTAGS_PREPROCESS_CAFFE, /* BGR, minus 103.939, 116.779, 123.68 */
    FILTAGS_PREPROCESS_TF,    /* x / 127.5 - 1 */
    FILTAGS_PREPROCESS_TORCH, /* RGB: x / 255, minus 0.485, 0.456, 0.406, divided by 0.229, 0.224, 0.225 */
    FILTAGS_PREPROCESS_UNIT   /* x / 255 */
} filtags_preprocess;

/* Decode a picture file, resize it and preprocess it: bit for bit what Pillow's
 * Image.open(path).convert("RGB").resize((width, height), Image.NEAREST) and keras.applications'
 * preprocess_input give. The format (JPEG, PNG, TIFF, BMP, PPM) is told by content.
 *
 * height, width in [1, 16384]; channels 3 (RGB) or 1 (convert("L")). pixels is the caller's, of
 * height * width * channels floats, [height, width, channels]. May be called by several threads at once.
 * IO, FORMAT, UNSUPPORTED, MEMORY: the file cannot be used; the message has path and reason. */
FILTAGS_API FILTAGS_MUST_USE filtags_status
filtags_image_load(const char *path, size_t height, size_t width, size_t channels,
                   filtags_preprocess preprocess, float *pixels);

/* ------------------------------------------------------------------ models */

typedef struct filtags_model filtags_model;

typedef struct filtags_layer {
    size_t index;            /* position in Keras's model.layers, nested models counted in place */
    const char *name;        /* "conv1", "outer/inner" in a nested model, "conv1#2" for its second call */
    const char *class_name;  /* Keras class: "Conv2D" */
    size_t n_dims;           /* of the output, without the batch axis */
    size_t shape[4];         /* [h, w, c] of a feature map, [c] of a vector */
    size_t n_filters;        /* output channels of a Conv2D; 0 for every other class */
} filtags_layer;

/* Load the architecture of a whole-model Keras file: .h5 (Keras 2 and 3) or .keras, told by content.
 * Weights are read later, when an engine needs them. height and width fix an input size that the model
 * leaves free; 0: the model's own. HDF5 is parsed by another program, filtags-read, which is installed with
 * the library and started by posix_spawn: see docs/security.md.
 *
 * IO (also: that program is missing), FORMAT ("malformed file": it crashed or took too long), UNSUPPORTED (a layer
 * class or option that is not handled: the message names layer and class), DATA (a size that does not fit), MEMORY. */
FILTAGS_API FILTAGS_MUST_USE filtags_status
filtags_model_load(const char *path, size_t height, size_t width, filtags_model **model);

/* A network of keras.applications, known by its name. */
typedef struct filtags_network {
    const char *name;              /* "ResNet50" */
    size_t height, width;          /* of the input, which has three channels (RGB) */
    filtags_preprocess preprocess; /* what its ImageNet weights were trained with */
    size_t n_classes;              /* outputs with those weights: 1,000 */
    const char *weights_url;       /* folder, with a '/' at its end, from which Keras downloads them */
    const char *weights_file;      /* name of the file there, and in Keras's cache */
    const char *weights_md5;       /* the file's MD5 as Keras checks it, 32 hexadecimal digits */
} filtags_network;

/* Return the table of the networks; *n_networks gets its length. Static. */
FILTAGS_API const filtags_network *filtags_networks(size_t *n_networks);

/* Find a network by its name, without regard to case. NULL: none. The pointer is static. */
FILTAGS_API const filtags_network *filtags_network_find(const char *name);

/* Create a model of one of these networks.
 *
 * weights_path: the file that its weights are read from, when an engine needs them: the published .h5, .weights.h5
 * of Keras 3, or a whole model of the same network (.h5 or .keras). Weights are assigned as Keras does, by position,
 * whatever the layers are called in the file. NULL: the architecture alone, with which no engine can be created.
 * n_classes: outputs of the last layer; 0: as many as the file has (1,000 without a file).
 *
 * USAGE: no such network (the message lists them). IO, FORMAT, UNSUPPORTED (a type of number in the file), DATA: the
 * file's layers don't fit (the message names layer, expected and found), MEMORY. */
FILTAGS_API FILTAGS_MUST_USE filtags_status filtags_model_create_network(const char *network, size_t n_classes,
                                                                         const char *weights_path,
                                                                         filtags_model **model);

/* Write the input's size: [height, width, channels], each at least 1. */
FILTAGS_API void filtags_model_input_shape(const filtags_model *model, size_t shape[3]);

/* Return the number of outputs of the last layer (classes). */
FILTAGS_API size_t filtags_model_n_outputs(const filtags_model *model);

/* Return the number of layers, those of nested models counted in place. */
FILTAGS_API size_t filtags_model_n_layers(const filtags_model *model);

/* Return layer index in [0, n_layers), in the order of Keras's model.layers. Valid while the model is. */
FILTAGS_API const filtags_layer *filtags_model_layer(const filtags_model *model, size_t index);

/* Return the number of parameters (weights, trainable or not). */
FILTAGS_API uint64_t filtags_model_n_parameters(const filtags_model *model);

FILTAGS_API void filtags_model_destroy(filtags_model *model);

/* ------------------------------------------------------------------ engine */

/* A filter's activation for one picture in units of 2^-31: 0 is 0.0, 2^31 is 1.0. It is an integer so that
 * sums over pictures are exact whatever their order. */
typedef uint32_t filtags_activation;
#define FILTAGS_ACTIVATION_ONE 2147483648u

typedef enum filtags_isa {
    FILTAGS_ISA_AUTO,     /* the best that the processor has */
    FILTAGS_ISA_PORTABLE, /* any processor; oneDNN is held to SSE4.1 */
    FILTAGS_ISA_AVX2,     /* AVX2 and FMA */
    FILTAGS_ISA_AVX512    /* AVX-512 F, BW, DQ, VL */
} filtags_isa;

typedef struct filtags_engine filtags_engine;

typedef struct filtags_engine_options {
    const size_t *layers;  /* layers to tap (their outputs must be feature maps), ascending */
    size_t n_layers;
    bool wants_output;     /* also compute the model's output; else nothing past the last tap */
    bool wants_maps;       /* filtags_worker_run_maps will be called; false costs nothing */
    bool is_reference;     /* run the naive engine: slow, readable, the oracle of the tests */
    filtags_isa isa;       /* the same for every engine of a process */
    size_t max_batch;      /* most pictures in one call of filtags_worker_run, >= 1 */
    size_t n_threads;      /* threads that load the weights; 0: the calling one */
} filtags_engine_options;

/* Compile a model: choose kernels, read the weights that are needed, plan the memory. The model must
 * outlive the engine. FORMAT, DATA: weights are missing or of another shape (layer, expected, found).
 * UNSUPPORTED: the processor lacks the instruction set. MEMORY, INTERNAL. */
FILTAGS_API FILTAGS_MUST_USE filtags_status
filtags_engine_create(filtags_model *model, const filtags_engine_options *options, filtags_engine **engine);

/* Return the number of filters of all tapped layers together (the length of a row of activations). */
FILTAGS_API size_t filtags_engine_n_filters(const filtags_engine *engine);

/* A worker is one thread's memory, to be destroyed before the engine. Weights are the engine's and shared. MEMORY,
 * INTERNAL. */
typedef struct filtags_worker filtags_worker;
FILTAGS_API FILTAGS_MUST_USE filtags_status filtags_worker_create(filtags_engine *engine, filtags_worker **worker);

/* Run the network on n_images pictures. images: [n_images, h, w, c], preprocessed. activations:
 * [n_images, n_filters], layer by layer in the order of the taps; may be NULL where nothing is tapped. outputs:
 * [n_images, n_outputs]; NULL unless wants_output. bad_layers: [n_images], gets -1, or the index of the
 * first tapped layer with a value that is not finite, in which case the picture's row is unspecified; the
 * output is checked too (index n_layers of the model).
 * A picture's results do not depend on n_images, on its place among them or on the thread. Different
 * workers may run at once. */
FILTAGS_API FILTAGS_MUST_USE filtags_status
filtags_worker_run(filtags_worker *worker, const float *images, size_t n_images,
                   filtags_activation *activations, float *outputs, int *bad_layers);

/* One feature map: what a filter of a tapped layer makes of a picture. */
typedef struct filtags_map {
    size_t image;  /* in [0, n_images) */
    size_t tap;    /* which of the engine's layers, in [0, n_layers) */
    size_t filter; /* of that layer */
    float *values; /* the caller's room, gets [h, w]: this channel of Keras's layer.output */
    float low;     /* gets the least and the largest value of the whole layer: what its filters' activations are */
    float high;    /* scaled by */
} filtags_map;

/* As filtags_worker_run, and fill in feature maps. maps: [n_maps], ascending by image, then by tap (filters in any
 * order); those of a picture with a value that is not finite (bad_layers) are unspecified. The results are those of
 * filtags_worker_run to the last bit. USAGE: the engine was made without wants_maps; a map that doesn't exist, or is
 * out of order. */
FILTAGS_API FILTAGS_MUST_USE filtags_status
filtags_worker_run_maps(filtags_worker *worker, const float *images, size_t n_images, filtags_activation *activations,
                        float *outputs, int *bad_layers, filtags_map *maps, size_t n_maps);

FILTAGS_API void filtags_worker_destroy(filtags_worker *worker);
FILTAGS_API void filtags_engine_destroy(filtags_engine *engine);

/* ------------------------------------------------------------------ tagging: pure functions on arrays */

typedef enum filtags_rule { FILTAGS_RULE_K, FILTAGS_RULE_Q } filtags_rule;

/* Return how many of n_filters filters a value of k or q selects; 0 means: those above the layer's mean. As in the
 * original scripts, where NumPy's rint takes halves to the even number:
 * k = 0, k < 0 or k > n_filters: 0; else k. q = 0, q < 0 or q > 100: 0; else rint(q / 100.0 * n_filters),
 * at least 1. A fractional k selects nothing that is defined; pass it as q only. */
FILTAGS_API size_t filtags_selection_size(filtags_rule rule, double value, size_t n_filters);

/* Select the active filters of one layer. activations: [n_filters], any scale, finite. filters: the
 * caller's, room for n_filters; gets the selected indices in ascending order. Of equally active filters
 * the one of lower index is taken first. Returns how many were selected. Needs no memory. */
FILTAGS_API size_t filtags_select(filtags_rule rule, double value, const double *activations, size_t n_filters,
                                  uint32_t *filters);

#ifdef __cplusplus
}
#endif

#endif
