/* options_table.c - the tables of commands and options, and looking things up in them. */
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/suggestion.h"
#include "options/options.h"

#define STEPS_WITH_SPLIT (COMMAND_ACTIVATIONS | COMMAND_EVALUATE | COMMAND_PIPELINE | COMMAND_SINGLE_IMAGE)
#define STEPS_WITH_NETWORK (STEPS_WITH_SPLIT | COMMAND_VISUALIZE | COMMAND_EXPLAIN)
#define STEPS                                                                                                          \
    (COMMAND_MERGE | STEPS_WITH_NETWORK | COMMAND_TAG | COMMAND_HITRATES | COMMAND_DECODE | COMMAND_PLOT_HITRATES)
#define STARTS_FROM_MODEL (COMMAND_ACTIVATIONS | COMMAND_PIPELINE)
#define STEPS_WITH_CHECKPOINTS (COMMAND_ACTIVATIONS | COMMAND_EVALUATE | COMMAND_PIPELINE)
#define READ_TAGS                                                                                                      \
    (COMMAND_EVALUATE | COMMAND_SINGLE_IMAGE | COMMAND_DECODE | COMMAND_VISUALIZE | COMMAND_EXPLAIN)
#define INHERIT (COMMAND_EVALUATE | COMMAND_SINGLE_IMAGE | COMMAND_VISUALIZE | COMMAND_EXPLAIN)
#define HAVE_NETWORK (STEPS_WITH_NETWORK | COMMAND_LAYERS)
#define ALL_COMMANDS (STEPS | COMMAND_DEMO | COMMAND_EXPORT | COMMAND_NETWORKS | COMMAND_LAYERS | COMMAND_FETCH)

/* In the order of filtags_networks, which a test checks. */
#define NETWORKS                                                                                                       \
    "VGG16|VGG19|InceptionV3|ResNet50|ResNet101|ResNet152|ResNet50V2|ResNet101V2|ResNet152V2|InceptionResNetV2"

enum { N_COMMANDS = 16, DEFAULT_TEXT_BYTES = 160 };

static const filtags_command command_table[N_COMMANDS] = {
    {"activations", "step1filteractivations step1", "Step 1: measure what every filter responds to",
     "Runs the network on the train pictures and averages, for every class, the activation of every filter of the "
     "tagged layers. The folder of pictures holds one folder a class; a share of all pictures, chosen by the split "
     "and the seed, is kept back for the evaluation.\n\n"
     "Writes RUNID-QFA-NETWORK-vars.pkl with the class activations, and beside it the names, info, log and "
     "run.json files. Pictures that can't be read are left out and listed in the warnings log.",
     "", ""},
    {"tag", "step2filtertags step2", "Step 2: tag the filters with class labels",
     "Attaches to every filter the labels of the classes for which it is among the k most active filters of its "
     "layer, or among the q percent most active. k or q of 0, and values that are out of range, mean: above the "
     "mean of the layer.\n\n"
     "Reads the -vars.pkl of step 1 and writes RUNID-TF-NETWORK-vars.pkl.",
     "FILE", ""},
    {"evaluate", "step3evaluation step3", "Step 3: predict test pictures from the tags",
     "Runs the network on the test pictures. For each it keeps the network's own top predictions and those that "
     "the tags of the picture's most active filters give, over all layers and over the last layer alone.\n\n"
     "Reads the -vars.pkl of step 2 and writes one RUNID-E-NETWORK-varsX.pkl a class. The model, the pictures, the "
     "split and the seed are those of step 1 unless they are given.",
     "FILE", ""},
    {"hitrates", "step4hitrates step4", "Step 4: how often the tags agree with the network",
     "Counts how often the network's top-1 label is among the first m labels that the tags predict, for every class "
     "and over all of them.\n\n"
     "Reads the -varsX.pkl files of step 3, named by any one of them or by their prefix RUNID-E-NETWORK-vars.pkl, and "
     "writes RUNID-HR-NETWORK-results.txt and -vars.pkl.",
     "FILE", ""},
    {"pipeline", "", "All four steps, one after the other",
     "Runs activations, tag, evaluate and hitrates with the same options and writes the files of all four. --k-q feeds "
     "every step that knows it.",
     "", ""},
    {"demo", "", "All four steps on the built-in network and pictures",
     "Unpacks a small network and 600 pictures of clothes (Fashion-MNIST) that the program carries with it, runs the "
     "four steps on them, tells what came out, and makes the pages of visualize, plot-hitrates and explain. A good "
     "first command.",
     "", ""},
    {"single-image", "si-eval si_eval", "Count the tags of every test picture of one class",
     "Runs the network on the test pictures of one class (--classes-img) and counts, for each picture and each k and "
     "q, the tags of its most active filters, over all layers and over the last layer alone; beside them the network's "
     "own prediction, and the totals over the pictures.\n\n"
     "Reads the -vars.pkl of step 2 and writes RUNID-SI-NETWORK-results.txt, and the same as -varsX.pkl in the form of "
     "step 3's. The model, the pictures, the split and the seed are those of step 1 unless they are given.",
     "FILE", ""},
    {"decode", "labdecode labeldecode", "Turn wnids in tags into words: n02088364 into beagle",
     "Replaces the labels of a tag file by readable ones: those of --class-index, else of the run's own class index, "
     "else ImageNet's, which the program has with it.\n\n"
     "Reads the -vars.pkl of step 2 and writes RUNID-TFD-NETWORK-vars.pkl in the same form, and "
     "RUNID-TFD-NETWORK-listing.txt with one filter a line. Where two classes share a label, the listing adds the "
     "wnid.",
     "FILE", ""},
    {"visualize", "filTagsvis", "A page that shows the tags of all filters",
     "Writes RUNID-VIS-NETWORK.html, one file that opens in any browser, offline: a map of layers and filters, the "
     "filters of a class, the tags and class activations of a filter, and - where step 1 ran with --top-images - the "
     "pictures that excite it most, with heat maps.\n\n"
     "Reads the -vars.pkl of step 2 (decoded or not), or a listing, and the class activations of step 1.",
     "FILE", ""},
    {"plot-hitrates", "hitrates-plots hitrates_plots", "Plot the hit rates",
     "Draws the hit rate against m, with a line for each k, and against k and q, with a line for each m, for all "
     "classes and each of them, over all layers and over the last one. Writes RUNID-HP-NETWORK.html, one file that "
     "opens in any browser, and the plots of all classes as .svg and .png.\n\n"
     "Reads the -vars.pkl of step 4.",
     "FILE", ""},
    {"explain", "", "Explain the classification of single pictures",
     "Runs the network on pictures and tells, for each, what the network predicts, what the tags of its most active "
     "filters predict, and which filters carry that: layer, tags, activation, and where in the picture. Filters with "
     "the fewest tags come first, as the most specific, then the most active. Prints it, and writes "
     "RUNID-EX-NETWORK.html with heat maps over the picture.\n\n"
     "The network is the one that the tags of --filtags-file were made with; a picture can be any file.",
     "IMAGE...", ""},
    {"merge", "", "Put the parts of a run with --shard together",
     "Writes the files that activations or evaluate writes without --shard, from the parts of all its shards: the same "
     "bytes. The options are those of the shards; the network, the list of pictures and the tags must be where they "
     "were then, since they are looked at again, though no picture is read.",
     "PART...", ""},
    {"export", "", "Class activations, tags or hit rates as CSV or JSON",
     "Turns the -vars.pkl of step 1, 2 or 4 into a table for other programs.",
     "FILE", ""},
    {"networks", "", "List the networks that the program knows",
     "Lists the networks of keras.applications that --network names: size of the input, convolution layers, filters, "
     "parameters, the official file with the weights learned on ImageNet, and whether it is on this machine. The "
     "architectures are part of the program; nothing is computed or downloaded.",
     "", ""},
    {"layers", "", "List the layers of a network or model",
     "Lists the layers with class, output shape and number of filters, and marks those that --layers selects. Nothing "
     "is computed. A known network needs no weights for it; a file of the same name is written ./NAME.",
     "NETWORK|FILE", NETWORKS},
    {"fetch", "", "Download weights of networks beforehand",
     "Downloads the official weight files of keras.applications (all: of all ten networks, 2.5 GB) into "
     "$XDG_CACHE_HOME/filtags, by default ~/.cache/filtags, where --network finds them. A file that is there, or in "
     "Keras's own cache, is not downloaded again; one that broke off is resumed. Every file is checked against its "
     "hash.\n\n"
     "Proxies are taken from http_proxy, https_proxy and no_proxy; FILTAGS_WEIGHTS_URL names a mirror in place of "
     "https://storage.googleapis.com/tensorflow/keras-applications/.",
     "NETWORK...", NETWORKS "|all"},
};

/* In the same order. */
static const struct command_row command_rows[N_COMMANDS] = {
    {&command_table[0], COMMAND_ACTIVATIONS, OPTION_NONE, OPTION_NONE, false},
    {&command_table[1], COMMAND_TAG, OPTION_ACTIVATIONS_FILE, OPTION_NONE, false},
    {&command_table[2], COMMAND_EVALUATE, OPTION_FILTAGS_FILE, OPTION_NONE, false},
    {&command_table[3], COMMAND_HITRATES, OPTION_EVAL_FILE, OPTION_NONE, false},
    {&command_table[4], COMMAND_PIPELINE, OPTION_NONE, OPTION_NONE, false},
    {&command_table[5], COMMAND_DEMO, OPTION_NONE, OPTION_NONE, false},
    {&command_table[6], COMMAND_SINGLE_IMAGE, OPTION_FILTAGS_FILE, OPTION_NONE, false},
    {&command_table[7], COMMAND_DECODE, OPTION_FILTAGS_FILE, OPTION_NONE, false},
    {&command_table[8], COMMAND_VISUALIZE, OPTION_FILTAGS_FILE, OPTION_NONE, false},
    {&command_table[9], COMMAND_PLOT_HITRATES, OPTION_HITRATES_FILE, OPTION_NONE, false},
    {&command_table[10], COMMAND_EXPLAIN, OPTION_NONE, OPTION_NONE, true},
    {&command_table[11], COMMAND_MERGE, OPTION_NONE, OPTION_NONE, true},
    {&command_table[12], COMMAND_EXPORT, OPTION_NONE, OPTION_NONE, false},
    {&command_table[13], COMMAND_NETWORKS, OPTION_NONE, OPTION_NONE, false},
    {&command_table[14], COMMAND_LAYERS, OPTION_MODEL, OPTION_NETWORK, false},
    {&command_table[15], COMMAND_FETCH, OPTION_NONE, OPTION_NONE, true},
};

#define FIELD(name) offsetof(struct filtags_options, name)
#define CHAIN_GROUP "Input"
#define NETWORK_GROUP "Network"
#define PICTURES_GROUP "Pictures"
#define TAGGING_GROUP "Tagging"
#define OUTPUT_GROUP "Output"
#define RUN_GROUP "Running"

static const struct option_row option_table[N_OPTIONS] = {
    [OPTION_ACTIVATIONS_FILE] = {
        .name = "activations-file", .placeholder = "FILE", .type = OPTION_IS_PATH, .group = CHAIN_GROUP,
        .help = "The -vars.pkl of step 1. Of tag, the argument FILE means the same; visualize finds it by the chain.",
        .commands = COMMAND_TAG | COMMAND_VISUALIZE, .required_in = COMMAND_TAG, .offset = FIELD(activations_file)},
    [OPTION_FILTAGS_FILE] = {
        .name = "filtags-file", .placeholder = "FILE", .type = OPTION_IS_PATH, .group = CHAIN_GROUP,
        .help = "The -vars.pkl of step 2. The argument FILE means the same, but for explain, whose arguments are "
                "pictures.",
        .commands = READ_TAGS, .required_in = READ_TAGS & ~(unsigned)COMMAND_VISUALIZE, .offset = FIELD(filtags_file)},
    [OPTION_EVAL_FILE] = {
        .name = "eval-file", .placeholder = "FILE", .type = OPTION_IS_PATH, .group = CHAIN_GROUP,
        .help = "One of the -varsX.pkl of step 3, or their prefix with -vars.pkl. The argument FILE means the same.",
        .commands = COMMAND_HITRATES, .required_in = COMMAND_HITRATES, .offset = FIELD(eval_file)},
    [OPTION_HITRATES_FILE] = {
        .name = "hitrates-file", .placeholder = "FILE", .type = OPTION_IS_PATH, .group = CHAIN_GROUP,
        .help = "The -vars.pkl of step 4. The argument FILE means the same.",
        .commands = COMMAND_PLOT_HITRATES, .required_in = COMMAND_PLOT_HITRATES, .offset = FIELD(hitrates_file)},
    [OPTION_LISTING] = {
        .name = "listing", .placeholder = "FILE", .type = OPTION_IS_PATH, .group = CHAIN_GROUP,
        .help = "A listing of tags, one filter a line, as decode writes it, in place of a tag file.",
        .commands = COMMAND_VISUALIZE, .offset = FIELD(listing)},

    [OPTION_NETWORK] = {
        .name = "network", .placeholder = "NAME", .type = OPTION_IS_WORD, .choices = NETWORKS, .group = NETWORK_GROUP,
        .help = "One of the networks of keras.applications; 'filtags networks' lists them. Its ImageNet weights are "
                "downloaded on first use.",
        .commands = HAVE_NETWORK, .inherited_in = INHERIT, .offset = FIELD(network)},
    [OPTION_WEIGHTS] = {
        .name = "weights", .placeholder = "FILE", .type = OPTION_IS_PATH, .group = NETWORK_GROUP,
        .default_note = "the official ones",
        .help = "Weights for --network: a Keras file of that architecture, .h5, .weights.h5 or .keras.",
        .commands = STEPS_WITH_NETWORK, .inherited_in = INHERIT, .offset = FIELD(weights)},
    [OPTION_CLASSES] = {
        .name = "classes", .placeholder = "N", .type = OPTION_IS_INTEGER, .lowest = 1, .highest = 1e6,
        .default_note = "as many as the weights have", .group = NETWORK_GROUP,
        .help = "Number of outputs of --network, where it isn't ImageNet's 1000. Goes with --weights.",
        .commands = HAVE_NETWORK, .offset = FIELD(classes)},
    [OPTION_OFFLINE] = {
        .name = "offline", .type = OPTION_IS_FLAG, .group = NETWORK_GROUP,
        .help = "Never download anything: where the weights are not on this machine, fail and tell how to get them.",
        .commands = STEPS_WITH_NETWORK, .offset = FIELD(offline)},
    [OPTION_MODEL] = {
        .name = "model", .placeholder = "FILE", .type = OPTION_IS_PATH, .group = NETWORK_GROUP,
        .help = "A network of your own: a whole-model Keras file, .h5 or .keras.",
        .commands = HAVE_NETWORK, .inherited_in = INHERIT, .offset = FIELD(model)},
    [OPTION_PREPROCESS] = {
        .name = "preprocess", .placeholder = "MODE", .type = OPTION_IS_CHOICE, .default_value = "none",
        .choices = "none|caffe|tf|torch|unit", .group = NETWORK_GROUP, /* in the order of filtags_preprocess */
        .help = "What the model wants pixels to be: none (0 to 255), caffe (BGR, minus ImageNet's mean), tf (-1 to "
                "1), torch (ImageNet's mean and deviation) or unit (0 to 1).",
        .commands = STEPS_WITH_NETWORK, .inherited_in = INHERIT, .offset = FIELD(preprocess)},
    [OPTION_SIZE] = {
        .name = "size", .placeholder = "HxW", .type = OPTION_IS_SIZE, .default_note = "the model's own",
        .lowest = 1, .highest = 16384, .group = NETWORK_GROUP,
        .help = "Height and width of the input, where the model leaves them free.",
        .commands = HAVE_NETWORK, .inherited_in = INHERIT, .offset = FIELD(size)},
    [OPTION_CLASS_INDEX] = {
        .name = "class-index", .placeholder = "FILE", .type = OPTION_IS_PATH,
        .default_note = "ImageNet's for --network with 1000 outputs, else the class folders in order, if there are as "
                        "many as outputs",
        .group = NETWORK_GROUP,
        .help = "Names of the network's outputs: line i is 'wnid label' for output i. The first word is what class "
                "folders are compared with. For decode: names of any classes, in any order.",
        .commands = STEPS_WITH_NETWORK | COMMAND_DECODE, .inherited_in = INHERIT, .offset = FIELD(class_index)},
    [OPTION_LAYERS] = {
        .name = "layers", .placeholder = "LIST", .type = OPTION_IS_TEXT, .default_value = "conv",
        .group = NETWORK_GROUP,
        .help = "Layers to tag: conv (every Conv2D), name (every layer with 'conv' in its name), or layer names and "
                "globs separated by commas.",
        .commands = HAVE_NETWORK, .inherited_in = INHERIT, .offset = FIELD(layers)},

    [OPTION_IMAGES_DIR] = {
        .name = "images-dir", .short_name = 'i', .placeholder = "DIR", .type = OPTION_IS_PATH, .group = PICTURES_GROUP,
        .help = "Folder with one folder of pictures a class (JPEG, PNG, TIFF, BMP, PPM).",
        .commands = STEPS_WITH_NETWORK & ~(unsigned)COMMAND_EXPLAIN, .required_in = STARTS_FROM_MODEL,
        .inherited_in = INHERIT & ~(unsigned)COMMAND_EXPLAIN, .offset = FIELD(images_dir)},
    [OPTION_SPLIT] = {
        .name = "split", .placeholder = "SHARE", .type = OPTION_IS_REAL, .default_value = "0.2", .lowest = 0,
        .highest = 1,
        .group = PICTURES_GROUP, .help = "Share of the pictures that is kept back for the evaluation, 0 to 1.",
        .commands = STEPS_WITH_SPLIT, .inherited_in = INHERIT & STEPS_WITH_SPLIT,
        .offset = FIELD(split)},
    [OPTION_SEED_RN] = {
        .name = "seed-rn", .placeholder = "N", .type = OPTION_IS_INTEGER, .default_value = "123", .lowest = 0,
        .highest = 4294967295.0, .group = PICTURES_GROUP, .help = "Random seed of the split, 0 to 4294967295.",
        .commands = STEPS_WITH_SPLIT, .inherited_in = INHERIT & STEPS_WITH_SPLIT,
        .offset = FIELD(seed_rn)},
    [OPTION_LIMIT] = {
        .name = "limit", .short_name = 'n', .placeholder = "N", .type = OPTION_IS_INTEGER,
        .default_note = "all pictures",
        .lowest = 1, .highest = 1e9, .group = PICTURES_GROUP,
        .help = "Take only the first N pictures of each class after the split: a quick look.",
        .commands = STEPS_WITH_SPLIT, .offset = FIELD(limit)},
    [OPTION_SHARD] = {
        .name = "shard", .placeholder = "I/N", .type = OPTION_IS_SHARD, .default_note = "all pictures", .lowest = 1,
        .highest = 100000, .group = PICTURES_GROUP,
        .help = "Run only part I of N, of about as many pictures each, and leave a file for merge: for machines that "
                "share the work without knowing of each other.",
        .commands = COMMAND_ACTIVATIONS | COMMAND_EVALUATE, .offset = FIELD(shard)},
    [OPTION_STRICT] = {
        .name = "strict", .type = OPTION_IS_FLAG, .group = PICTURES_GROUP,
        .help = "Fail at a picture that can't be read and at a class without one, instead of going on without it.",
        .commands = STEPS_WITH_SPLIT, .offset = FIELD(strict)},
    [OPTION_ISOLATE] = {
        .name = "isolate", .type = OPTION_IS_FLAG, .group = PICTURES_GROUP,
        .help = "Decode pictures in processes without rights, for pictures from strangers: one that makes a decoder "
                "crash is left out like any damaged one. The result is the same.",
        .commands = STEPS_WITH_NETWORK, .offset = FIELD(isolate)},
    [OPTION_STORE] = {
        .name = "store", .placeholder = "FILE", .type = OPTION_IS_PATH, .group = PICTURES_GROUP,
        .help = "Keep in FILE what the network computes of each picture, and compute nothing of pictures that are in "
                "it: another seed, split or k takes seconds. The result is the same.",
        .commands = STEPS_WITH_SPLIT, .offset = FIELD(store)},

    [OPTION_K_Q] = {
        .name = "k-q", .short_name = 'k', .placeholder = "LIST", .type = OPTION_IS_NUMBERS, .lowest = -1e6,
        .highest = 1e6,
        .group = TAGGING_GROUP,
        .help = "Values of k (filters a layer) and of q (percent of a layer's filters): numbers and ranges such as "
                "1,5,25 or 0..100. A fraction such as 12.5 serves q only.",
        .commands = COMMAND_TAG | COMMAND_HITRATES | COMMAND_PIPELINE | READ_TAGS, .offset = FIELD(k_q)},
    [OPTION_M] = {
        .name = "m", .short_name = 'm', .placeholder = "LIST", .type = OPTION_IS_COUNTS, .default_value = "1,3,5,10",
        .lowest = 1, .highest = 1e6, .group = TAGGING_GROUP,
        .help = "Values of m: a hit is a network's label among the first m that the tags predict.",
        .commands = COMMAND_HITRATES | COMMAND_PIPELINE, .offset = FIELD(m)},
    [OPTION_CLASSES_IMG] = {
        .name = "classes-img", .placeholder = "LIST", .type = OPTION_IS_NAMES, .default_note = "all",
        .lowest = 1, .highest = 1e6, .group = TAGGING_GROUP,
        .help = "Classes to report: numbers from 1, ranges such as 1..10, or labels, separated by commas. For "
                "single-image: one.",
        .commands = COMMAND_HITRATES | COMMAND_PIPELINE | COMMAND_SINGLE_IMAGE, .required_in = COMMAND_SINGLE_IMAGE,
        .offset = FIELD(classes_img)},
    [OPTION_TOP_IMAGES] = {
        .name = "top-images", .placeholder = "N", .type = OPTION_IS_INTEGER, .default_note = "none", .lowest = 1,
        .highest = 64, .group = TAGGING_GROUP,
        .help = "Keep for every filter the N train pictures that excite it most, for visualize.",
        .commands = COMMAND_ACTIVATIONS | COMMAND_PIPELINE | COMMAND_DEMO, .offset = FIELD(top_images)},
    [OPTION_MAX_LAYERS] = {
        .name = "max-layers", .placeholder = "N", .type = OPTION_IS_INTEGER, .default_note = "all of VGG, else 8",
        .lowest = 1, .highest = 100000, .group = TAGGING_GROUP,
        .help = "Show only the last N of the tagged layers.", .commands = COMMAND_VISUALIZE,
        .offset = FIELD(max_layers)},

    [OPTION_SAVE_DIR] = {
        .name = "save-dir", .short_name = 'o', .placeholder = "DIR", .type = OPTION_IS_PATH, .default_value = ".",
        .default_note = "the working directory",
        .group = OUTPUT_GROUP, .help = "Folder for the files that are written.",
        .commands = STEPS | COMMAND_DEMO, .offset = FIELD(save_dir)},
    [OPTION_TIME_DELTA] = {
        .name = "time-delta", .placeholder = "HOURS", .type = OPTION_IS_REAL, .default_value = "0", .lowest = -24,
        .highest = 24, .group = OUTPUT_GROUP,
        .help = "Hours between UTC and the time in the file names, such as 2 or -3.5.",
        .commands = STEPS | COMMAND_DEMO, .offset = FIELD(time_delta)},
    [OPTION_CHECKPOINT_INTERVAL] = {
        .name = "checkpoint-interval", .placeholder = "SEC", .type = OPTION_IS_REAL, .default_value = "60",
        .lowest = 0, .highest = 1e9, .group = OUTPUT_GROUP,
        .help = "Seconds between two checkpoints, from which the same command goes on after it was ended. 0: as often "
                "as can be.",
        .commands = STEPS_WITH_CHECKPOINTS, .offset = FIELD(checkpoint_interval)},
    [OPTION_RESTART] = {
        .name = "restart", .type = OPTION_IS_FLAG, .group = OUTPUT_GROUP,
        .help = "Begin anew: discard what an earlier run of the same command had done.",
        .commands = STEPS_WITH_CHECKPOINTS, .offset = FIELD(restart)},
    [OPTION_FORMAT] = {
        .name = "format", .placeholder = "FORMAT", .type = OPTION_IS_CHOICE, .default_value = "csv",
        .choices = "csv|json",
        .group = OUTPUT_GROUP, .help = "Format of the table: csv or json.", /* in the order of enum export_format */
        .commands = COMMAND_EXPORT, .offset = FIELD(format)},
    [OPTION_OUTPUT] = {
        .name = "output", .short_name = 'o', .placeholder = "FILE", .type = OPTION_IS_PATH, .default_value = "-",
        .group = OUTPUT_GROUP, .help = "File to write; - is the standard output.",
        .commands = COMMAND_EXPORT, .offset = FIELD(output)},
    [OPTION_JSON] = {
        .name = "json", .type = OPTION_IS_FLAG, .group = OUTPUT_GROUP, .help = "Print JSON instead of a table.",
        .commands = COMMAND_NETWORKS | COMMAND_LAYERS, .offset = FIELD(json)},

    [OPTION_THREADS] = {
        .name = "threads", .short_name = 't', .placeholder = "N", .type = OPTION_IS_INTEGER,
        .default_note = "the cores this process may use", .lowest = 1, .highest = 1024, .group = RUN_GROUP,
        .help = "Threads that work on pictures. The result is the same for any number.",
        .commands = STEPS_WITH_NETWORK | COMMAND_DEMO, .offset = FIELD(threads)},
    [OPTION_BATCH] = {
        .name = "batch", .placeholder = "N", .type = OPTION_IS_INTEGER, .default_note = "chosen by the program",
        .lowest = 1, .highest = 256, .group = RUN_GROUP,
        .help = "Pictures that a thread works on at a time, 1 to 256. The result is the same for any number.",
        .commands = STEPS_WITH_NETWORK | COMMAND_DEMO, .offset = FIELD(batch)},
    [OPTION_ISA] = {
        .name = "isa", .placeholder = "SET", .type = OPTION_IS_CHOICE, .default_value = "auto",
        .choices = "auto|portable|avx2|avx512", .group = RUN_GROUP, /* in the order of filtags_isa */
        .help = "Instruction set to compute with: auto (the best there is), portable, avx2 or avx512. Results of one "
                "set are the same on every machine; another set may round differently.",
        .commands = STEPS_WITH_NETWORK | COMMAND_DEMO, .offset = FIELD(isa)},
    [OPTION_QUIET] = {
        .name = "quiet", .short_name = 'q', .type = OPTION_IS_FLAG, .group = RUN_GROUP,
        .help = "Print nothing but errors and warnings.", .commands = STEPS | COMMAND_DEMO | COMMAND_FETCH,
        .offset = FIELD(quiet)},
    [OPTION_VERBOSE] = {
        .name = "verbose", .short_name = 'v', .type = OPTION_IS_FLAG, .group = RUN_GROUP,
        .help = "Also tell what is being done.", .commands = ALL_COMMANDS, .offset = FIELD(verbose)},
};

/* Defaults that differ from the option's row. */
static const struct {
    unsigned commands;
    enum option_id option;
    const char *value;
    const char *note;
} command_defaults[] = {
    {COMMAND_TAG, OPTION_K_Q, "0..100", NULL},
    {COMMAND_EVALUATE, OPTION_K_Q, "1,5,25", NULL},
    {COMMAND_HITRATES | COMMAND_DECODE | COMMAND_VISUALIZE, OPTION_K_Q, NULL, "all in the file"},
    {COMMAND_SINGLE_IMAGE, OPTION_K_Q, "1,5,25", NULL},
    {COMMAND_DECODE, OPTION_CLASS_INDEX, NULL, "the run's own, else ImageNet's"},
    {COMMAND_EXPLAIN, OPTION_K_Q, "5", NULL},
    {COMMAND_PIPELINE, OPTION_K_Q, NULL, "0..100 for the tags, 1,5,25 for the evaluation"},
    {COMMAND_DEMO, OPTION_SAVE_DIR, "filtags-demo", NULL},
    {COMMAND_DEMO, OPTION_TOP_IMAGES, "4", NULL},
};

/* The public view of the table: an option of a command, with that command's default. Made once. */
struct public_option {
    filtags_option option;
    enum option_id id;
    char default_text[DEFAULT_TEXT_BYTES];
};
static struct public_option public_options[N_COMMANDS][N_OPTIONS];
static size_t n_public_options[N_COMMANDS];
static pthread_once_t public_options_once = PTHREAD_ONCE_INIT;

const struct option_row *option_row(enum option_id id) { return &option_table[id]; }

const struct command_row *command_row(const filtags_command *command) {
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (command_rows[i].command == command) return &command_rows[i];
    }
    return NULL;
}

static void find_default(const struct command_row *command, enum option_id id, const char **value, const char **note) {
    *value = option_table[id].default_value;
    *note = option_table[id].default_note;
    for (size_t i = 0; i < sizeof command_defaults / sizeof *command_defaults; i++) {
        if (command_defaults[i].option != id || !(command_defaults[i].commands & command->bit)) continue;
        *value = command_defaults[i].value;
        *note = command_defaults[i].note;
    }
}

const char *option_default(const struct command_row *command, enum option_id id) {
    const char *value, *note;
    find_default(command, id, &value, &note);
    return value;
}

static void make_public_option(const struct command_row *command, enum option_id id, struct public_option *to) {
    const struct option_row *row = &option_table[id];
    const char *value, *note;
    find_default(command, id, &value, &note);
    const char *text = note ? note : value ? value : "";
    if (row->required_in & command->bit) text = "";
    if (row->inherited_in & command->bit) {
        snprintf(to->default_text, sizeof to->default_text, "step 1's%s%s", *text ? ", else " : "", text);
    } else {
        snprintf(to->default_text, sizeof to->default_text, "%s", text);
    }
    to->id = id;
    to->option = (filtags_option){
        .name = row->name, .short_name = row->short_name, .placeholder = row->placeholder ? row->placeholder : "",
        .default_text = to->default_text, .help = row->help, .group = row->group,
        .choices = row->choices ? row->choices : "", .is_file = row->type == OPTION_IS_PATH,
        .is_required = row->required_in & command->bit};
}

static void make_public_options(void) {
    for (size_t c = 0; c < N_COMMANDS; c++) {
        for (enum option_id id = 0; id < N_OPTIONS; id++) {
            if (!(option_table[id].commands & command_rows[c].bit)) continue;
            make_public_option(&command_rows[c], id, &public_options[c][n_public_options[c]++]);
        }
    }
}

/* Compare names: case does not count, '_' is '-'. */
static bool is_same_name(const char *a, const char *b) {
    for (;; a++, b++) {
        int x = *a == '_' ? '-' : tolower((unsigned char)*a);
        int y = *b == '_' ? '-' : tolower((unsigned char)*b);
        if (x != y) return false;
        if (!x) return true;
    }
}

const filtags_command *filtags_commands(size_t *n_commands) {
    *n_commands = N_COMMANDS;
    return command_table;
}

/* Compare the first n characters of name with a whole word of n_word characters. */
static bool is_same_word(const char *name, size_t n, const char *word, size_t n_word, bool is_case_exact) {
    return n == n_word && !(is_case_exact ? strncmp(name, word, n) : strncasecmp(name, word, n));
}

static bool is_command_name(const filtags_command *command, const char *name, size_t n, bool is_case_exact) {
    if (is_same_word(name, n, command->name, strlen(command->name), is_case_exact)) return true;
    for (const char *alias = command->aliases; *alias;) {
        size_t n_alias = strcspn(alias, " ");
        if (is_same_word(name, n, alias, n_alias, is_case_exact)) return true;
        alias += n_alias + strspn(alias + n_alias, " ");
    }
    return false;
}

const filtags_command *filtags_command_find(const char *name) {
    size_t n = strlen(name);
    if (n > 3 && !strcasecmp(name + n - 3, ".py")) n -= 3; /* the scripts' names as they were typed */
    for (int is_case_exact = 1; is_case_exact >= 0; is_case_exact--) {
        for (size_t i = 0; i < N_COMMANDS; i++) {
            if (is_command_name(&command_table[i], name, n, is_case_exact)) return &command_table[i];
        }
    }
    return NULL;
}

const filtags_option *filtags_command_option(const filtags_command *command, size_t index) {
    const struct command_row *row = command_row(command);
    if (!row) return NULL;
    pthread_once(&public_options_once, make_public_options);
    size_t c = (size_t)(row - command_rows);
    return index < n_public_options[c] ? &public_options[c][index].option : NULL;
}

enum option_id option_id_find(const struct command_row *command, const char *name) {
    for (enum option_id id = 0; id < N_OPTIONS; id++) {
        if ((option_table[id].commands & command->bit) && is_same_name(name, option_table[id].name)) return id;
    }
    for (enum option_id id = 0; id < N_OPTIONS && name[0] && !name[1]; id++) {
        if ((option_table[id].commands & command->bit) && option_table[id].short_name == name[0]) return id;
    }
    return OPTION_NONE;
}

const filtags_option *filtags_option_find(const filtags_command *command, const char *name) {
    const struct command_row *row = command_row(command);
    if (!row) return NULL;
    enum option_id id = option_id_find(row, name);
    if (id == OPTION_NONE) return NULL;
    pthread_once(&public_options_once, make_public_options);
    struct public_option *options = public_options[row - command_rows];
    while (options->id != id) options++;
    return &options->option;
}

static filtags_status report_elsewhere(const struct command_row *command, enum option_id id) {
    struct buffer owners = {0};
    for (size_t c = 0; c < N_COMMANDS; c++) {
        if (!(option_table[id].commands & command_rows[c].bit)) continue;
        buffer_printf(&owners, "%s%s", owners.size_bytes ? ", " : "", command_table[c].name);
    }
    filtags_status status = error_set(FILTAGS_ERROR_USAGE, "--%s: is no option of %s, but of %s", option_table[id].name,
                                      command->command->name, buffer_text(&owners));
    buffer_free(&owners);
    return status;
}

filtags_status option_report_unknown(const struct command_row *command, const char *name) {
    const char *dashes = strlen(name) == 1 ? "-" : "--";
    struct suggestion meant = suggestion_of(name);
    for (enum option_id id = 0; id < N_OPTIONS; id++) {
        if (is_same_name(name, option_table[id].name)) return report_elsewhere(command, id);
        if (option_table[id].commands & command->bit)
            suggestion_offer(&meant, option_table[id].name, strlen(option_table[id].name));
    }
    if (!*meant.name) return error_set(FILTAGS_ERROR_USAGE, "%s%s: unknown option", dashes, name);
    return error_set(FILTAGS_ERROR_USAGE, "%s%s: unknown option; did you mean --%s?", dashes, name, meant.name);
}

filtags_status command_report_unknown(const char *name) {
    struct suggestion meant = suggestion_of(name);
    char room[128];
    for (size_t c = 0; c < N_COMMANDS; c++)
        suggestion_offer(&meant, command_table[c].name, strlen(command_table[c].name));
    return error_set(FILTAGS_ERROR_USAGE, "'%s' is no command%s", name, suggestion_text(&meant, room));
}
