/* The option table and the parsing of values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "options/options.h"

static filtags_options *create(const char *command) {
    filtags_options *options = NULL;
    assert_int_equal(filtags_options_create(command, &options), FILTAGS_OK);
    return options;
}

static void set(filtags_options *options, const char *name, const char *value) {
    filtags_status status = filtags_options_set(options, name, value);
    if (status) print_error("%s\n", filtags_error_message());
    assert_int_equal(status, FILTAGS_OK);
}

/* The value is refused with a message that has all the parts, and the field stays as it was. */
static void refuse(filtags_options *options, const char *name, const char *value, const char *part) {
    assert_int_equal(filtags_options_set(options, name, value), FILTAGS_ERROR_USAGE);
    const char *message = filtags_error_message();
    if (!strstr(message, part)) print_error("%s\n", message);
    assert_non_null(strstr(message, part));
}

static void test_table_is_complete(void **state) {
    (void)state;
    size_t n_commands, n_rows = 0;
    const filtags_command *commands = filtags_commands(&n_commands);
    assert_int_equal(n_commands, 16);
    for (size_t c = 0; c < n_commands; c++) {
        const filtags_option *option;
        assert_true(*commands[c].summary && *commands[c].details);
        assert_ptr_equal(filtags_command_find(commands[c].name), &commands[c]);
        for (size_t i = 0; (option = filtags_command_option(&commands[c], i)); i++, n_rows++) {
            assert_true(*option->name && *option->help && *option->group);
            assert_ptr_equal(filtags_option_find(&commands[c], option->name), option);
            for (size_t j = 0; j < i; j++) { /* no name twice in a command, long or short */
                const filtags_option *other = filtags_command_option(&commands[c], j);
                assert_string_not_equal(option->name, other->name);
                assert_true(!option->short_name || option->short_name != other->short_name);
            }
        }
        filtags_options_destroy(create(commands[c].name)); /* every default can be parsed */
    }
    assert_true(n_rows > 60);
    for (enum option_id id = 0; id < N_OPTIONS; id++) {
        assert_non_null(option_row(id)->name);
        assert_true(option_row(id)->commands != 0);
        assert_int_equal(option_row(id)->required_in & ~option_row(id)->commands, 0);
        assert_int_equal(option_row(id)->inherited_in & ~option_row(id)->commands, 0);
    }
}

static void test_names(void **state) {
    (void)state;
    const filtags_command *tag = filtags_command_find("tag");
    assert_ptr_equal(filtags_command_find("step2filtertags"), tag);
    assert_ptr_equal(filtags_command_find("step2filtertags.py"), tag);
    assert_ptr_equal(filtags_command_find("STEP2"), tag);
    assert_null(filtags_command_find("step"));
    assert_null(filtags_command_find(""));
    assert_null(filtags_command_find(".py"));
    assert_string_equal(filtags_option_find(tag, "K_Q")->name, "k-q");
    assert_string_equal(filtags_option_find(tag, "k")->name, "k-q");
    assert_null(filtags_option_find(tag, "k-"));
    assert_null(filtags_option_find(tag, "split"));
    assert_null(filtags_option_find(tag, ""));
    assert_string_equal(filtags_option_find(filtags_command_find("hitrates"), "m")->name, "m");
    assert_null(filtags_command_option(tag, 1000));
}

static const char *default_of(const char *command, const char *option) {
    return filtags_option_find(filtags_command_find(command), option)->default_text;
}

static void test_default_texts(void **state) {
    (void)state;
    assert_string_equal(default_of("tag", "k-q"), "0..100");
    assert_string_equal(default_of("evaluate", "k-q"), "1,5,25");
    assert_string_equal(default_of("hitrates", "k-q"), "all in the file");
    assert_string_equal(default_of("activations", "split"), "0.2");
    assert_string_equal(default_of("evaluate", "split"), "step 1's, else 0.2");
    assert_string_equal(default_of("evaluate", "model"), "step 1's");
    assert_string_equal(default_of("activations", "model"), "");
    assert_string_equal(default_of("demo", "save-dir"), "filtags-demo");
    assert_string_equal(default_of("tag", "save-dir"), "the working directory");
}

static void test_defaults(void **state) {
    (void)state;
    filtags_options *options = create("activations");
    assert_true(options->split == 0.2 && options->time_delta == 0);
    assert_int_equal(options->seed_rn, 123);
    assert_int_equal(options->limit, 0);
    assert_int_equal(options->preprocess, FILTAGS_PREPROCESS_NONE);
    assert_int_equal(options->isa, FILTAGS_ISA_AUTO);
    assert_string_equal(options->layers, "conv");
    assert_string_equal(options->save_dir, ".");
    assert_null(options->model);
    assert_false(options->strict);
    for (enum option_id id = 0; id < N_OPTIONS; id++) assert_false(options_is_given(options, id));
    filtags_options_destroy(options);
    options = create("tag");
    assert_int_equal(options->k_q.n, 101);
    assert_true(options->k_q.values[100] == 100);
    filtags_options_destroy(options);
    options = create("hitrates");
    assert_int_equal(options->k_q.n, 0);
    assert_int_equal(options->m.n, 4);
    assert_int_equal(options->m.values[3], 10);
    filtags_options_destroy(options);
    filtags_options_destroy(NULL);
}

static void test_unknown_command(void **state) {
    (void)state;
    filtags_options *options = NULL;
    assert_int_equal(filtags_options_create("evalute", &options), FILTAGS_ERROR_USAGE);
    assert_null(options);
    assert_string_equal(filtags_error_message(), "'evalute' is no command; did you mean evaluate?");
    assert_int_equal(filtags_options_create("x", &options), FILTAGS_ERROR_USAGE);
    assert_string_equal(filtags_error_message(), "'x' is no command");
}

static void test_unknown_option(void **state) {
    (void)state;
    filtags_options *options = create("tag");
    refuse(options, "safe-dir", "x", "--safe-dir: unknown option; did you mean --save-dir?");
    refuse(options, "frobnicate", "x", "--frobnicate: unknown option");
    assert_null(strstr(filtags_error_message(), "did you mean"));
    refuse(options, "SAVE_DIRR", "x", "; did you mean --save-dir?");
    refuse(options, "x", "", "-x: unknown option");
    refuse(options, "", "", "--: unknown option");
    refuse(options, "Images_Dir", "x", "--images-dir: is no option of tag, but of activations, evaluate, pipeline");
    filtags_options_destroy(options);
}

static void test_numbers(void **state) {
    (void)state;
    filtags_options *options = create("activations");
    set(options, "split", "1e-1");
    assert_true(options->split == 0.1);
    set(options, "SPLIT", "-0");
    assert_true(options->split == 0);
    assert_true(options_is_given(options, OPTION_SPLIT));
    refuse(options, "split", "1.5", "--split: a number from 0 to 1 expected, found '1.5'");
    refuse(options, "split", "", "found ''");
    refuse(options, "split", NULL, "found ''");
    refuse(options, "split", "0.5x", "found '0.5x'");
    refuse(options, "split", "0,5", "found '0,5'");
    refuse(options, "split", "0x1", "found '0x1'");
    refuse(options, "split", "inf", "found 'inf'");
    refuse(options, "split", "1e999", "found '1e999'");
    refuse(options, "split", " 0.5", "found ' 0.5'");
    assert_true(options->split == 0);
    set(options, "time_delta", "-3.5");
    assert_true(options->time_delta == -3.5);
    set(options, "seed-rn", "4294967295");
    assert_true(options->seed_rn == 4294967295u);
    refuse(options, "seed-rn", "4294967296", "a whole number from 0 to 4294967295 expected");
    refuse(options, "seed-rn", "-1", "found '-1'");
    refuse(options, "seed-rn", "1.0", "found '1.0'");
    refuse(options, "seed-rn", "+", "found '+'");
    refuse(options, "limit", "0", "from 1 to 1000000000");
    assert_true(options->seed_rn == 4294967295u);
    filtags_options_destroy(options);
}

static void test_choices_sizes_texts_flags(void **state) {
    (void)state;
    filtags_options *options = create("activations");
    set(options, "preprocess", "TF");
    assert_int_equal(options->preprocess, FILTAGS_PREPROCESS_TF);
    set(options, "preprocess", "unit");
    assert_int_equal(options->preprocess, FILTAGS_PREPROCESS_UNIT);
    refuse(options, "preprocess", "t", "one of none|caffe|tf|torch|unit expected, found 't'");
    refuse(options, "preprocess", "", "found ''");
    set(options, "isa", "avx512");
    assert_int_equal(options->isa, FILTAGS_ISA_AVX512);
    set(options, "isa", "portable");
    assert_int_equal(options->isa, FILTAGS_ISA_PORTABLE);
    set(options, "size", "224X192");
    assert_int_equal(options->size.height, 224);
    assert_int_equal(options->size.width, 192);
    static const char *const wrong_sizes[] = {"224", "x224", "224x", "0x1", "1x16385", "1.5x2", "-1x3", "1x2x3",
                                              "0000000000000000000000000000000000000001x1"};
    for (size_t i = 0; i < sizeof wrong_sizes / sizeof *wrong_sizes; i++) {
        refuse(options, "size", wrong_sizes[i], "--size: HxW such as 224x224, each from 1 to 16384, expected");
    }
    set(options, "model", "a");
    set(options, "model", "b.h5"); /* the last one counts */
    assert_string_equal(options->model, "b.h5");
    refuse(options, "model", "", "the name of a file or folder expected, found ''");
    assert_string_equal(options->model, "b.h5");
    set(options, "strict", NULL);
    assert_true(options->strict && filtags_options_flag(options, "strict"));
    assert_false(filtags_options_flag(options, "quiet"));
    assert_false(filtags_options_flag(options, "split"));
    assert_false(filtags_options_flag(options, "nonsense"));
    refuse(options, "strict", "1", "no value expected, found '1'");
    filtags_options_destroy(options);
}

static void assert_numbers(const struct number_list *list, const double *values, size_t n) {
    assert_int_equal(list->n, n);
    for (size_t i = 0; i < n; i++) assert_true(list->values[i] == values[i]);
}

static void test_number_lists(void **state) {
    (void)state;
    filtags_options *options = create("tag");
    set(options, "k-q", "5,1,5,12.5,-1,0..3,25");
    assert_numbers(&options->k_q, (double[]){5, 1, 12.5, -1, 0, 2, 3, 25}, 8);
    set(options, "k", " 1 , -2..-1 ");
    assert_numbers(&options->k_q, (double[]){1, -2, -1}, 3);
    static const char *const wrong[] = {"", ",", "1,", "1..", "..1", "1...3", "3..1", "1.5..3", "a", "1;2", "1e7",
                                         "nan", "1 2"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        refuse(options, "k-q", wrong[i], "--k-q: numbers and ranges such as 1,12.5,0..100");
    }
    refuse(options, "k-q", "0..10000", "at most 10000 values expected, found more");
    refuse(options, "k-q", "0..9000,0..9000", "at most 10000 values expected, found more");
    assert_numbers(&options->k_q, (double[]){1, -2, -1}, 3);
    set(options, "k-q", "1..10000");
    assert_int_equal(options->k_q.n, 10000);
    filtags_options_destroy(options);
}

static void test_count_and_name_lists(void **state) {
    (void)state;
    filtags_options *options = create("hitrates");
    set(options, "m", "3,1,5..6,3");
    assert_int_equal(options->m.n, 4);
    assert_int_equal(options->m.values[0], 3);
    assert_int_equal(options->m.values[3], 6);
    refuse(options, "m", "0", "--m: whole numbers and ranges such as 1,3,5..10, from 1 to 1000000, expected");
    refuse(options, "m", "1.5", "found '1.5'");
    refuse(options, "m", "1,,2", "found '' in '1,,2'");
    set(options, "classes_img", "2..4, T-shirt,3,a..b");
    assert_int_equal(options->classes_img.n, 5);
    assert_string_equal(options->classes_img.items[0], "2");
    assert_string_equal(options->classes_img.items[2], "4");
    assert_string_equal(options->classes_img.items[3], "T-shirt");
    assert_string_equal(options->classes_img.items[4], "a..b"); /* a label may look so */
    refuse(options, "classes-img", "0..3", "found '0..3'");
    refuse(options, "classes-img", "a,,b", "found '' in 'a,,b'");
    refuse(options, "classes-img", "1..10001", "at most 10000 values");
    refuse(options, "classes-img", "1..9000,1..9000", "at most 10000 values"); /* repeats take time as well */
    assert_int_equal(options->classes_img.n, 5);
    filtags_options_destroy(options);
}

static void test_arguments(void **state) {
    (void)state;
    filtags_options *options = create("tag");
    assert_int_equal(filtags_options_add_argument(options, "a-vars.pkl"), FILTAGS_OK);
    assert_string_equal(options->activations_file, "a-vars.pkl");
    assert_int_equal(filtags_options_add_argument(options, "b"), FILTAGS_ERROR_USAGE);
    assert_string_equal(filtags_error_message(), "one FILE expected, found 'a-vars.pkl' and 'b'");
    filtags_options_destroy(options);
    options = create("demo");
    assert_int_equal(filtags_options_add_argument(options, "a"), FILTAGS_ERROR_USAGE);
    assert_string_equal(filtags_error_message(), "no argument expected, found 'a'");
    filtags_options_destroy(options);
    options = create("layers"); /* a known network, or a file */
    assert_int_equal(filtags_options_add_argument(options, "resnet50v2"), FILTAGS_OK);
    assert_string_equal(options->network, "ResNet50V2");
    assert_null(options->model);
    assert_int_equal(filtags_options_add_argument(options, "m.h5"), FILTAGS_ERROR_USAGE);
    assert_string_equal(filtags_error_message(), "one NETWORK|FILE expected, found 'resnet50v2' and 'm.h5'");
    filtags_options_destroy(options);
    options = create("layers");
    assert_int_equal(filtags_options_add_argument(options, "./ResNet50V2"), FILTAGS_OK);
    assert_string_equal(options->model, "./ResNet50V2");
    assert_int_equal(filtags_options_add_argument(options, "VGG16"), FILTAGS_ERROR_USAGE);
    filtags_options_destroy(options);
    options = create("fetch"); /* any number of them */
    assert_int_equal(options_check(options), FILTAGS_ERROR_USAGE);
    assert_string_equal(filtags_error_message(), "NETWORK... is missing");
    assert_int_equal(filtags_options_add_argument(options, "vgg16"), FILTAGS_OK);
    assert_int_equal(filtags_options_add_argument(options, "ALL"), FILTAGS_OK);
    assert_int_equal(filtags_options_add_argument(options, "vgg"), FILTAGS_ERROR_USAGE);
    assert_int_equal(options->arguments.n, 2);
    assert_string_equal(options->arguments.items[0], "VGG16");
    assert_string_equal(options->arguments.items[1], "all");
    filtags_options *fetch = NULL;
    assert_int_equal(options_derive(options, "fetch", &fetch), FILTAGS_OK);
    assert_int_equal(fetch->arguments.n, 2);
    filtags_options_destroy(fetch);
    filtags_options_destroy(options);
    options = create("export");
    assert_int_equal(filtags_options_add_argument(options, ""), FILTAGS_ERROR_USAGE);
    assert_int_equal(options_check(options), FILTAGS_ERROR_USAGE);
    assert_string_equal(filtags_error_message(), "FILE is missing");
    assert_int_equal(filtags_options_add_argument(options, "a"), FILTAGS_OK);
    assert_string_equal(options->arguments.items[0], "a");
    assert_int_equal(options_check(options), FILTAGS_OK);
    assert_int_equal(filtags_options_add_argument(options, "b"), FILTAGS_ERROR_USAGE);
    filtags_options *copy = NULL;
    assert_int_equal(options_derive(options, "export", &copy), FILTAGS_OK);
    assert_string_equal(copy->arguments.items[0], "a");
    filtags_options_destroy(copy);
    filtags_options_destroy(options);
}

static void test_check(void **state) {
    (void)state;
    filtags_options *options = create("activations");
    assert_int_equal(options_check(options), FILTAGS_ERROR_USAGE);
    assert_string_equal(filtags_error_message(), "--network NAME or --model FILE is missing");
    set(options, "model", "m.h5");
    assert_int_equal(options_check(options), FILTAGS_ERROR_USAGE);
    assert_string_equal(filtags_error_message(), "--images-dir DIR is missing");
    set(options, "images-dir", "p");
    assert_int_equal(options_check(options), FILTAGS_OK);
    set(options, "quiet", "");
    set(options, "verbose", "");
    assert_int_equal(options_check(options), FILTAGS_ERROR_USAGE);
    filtags_options_destroy(options);
    options = create("evaluate");
    assert_int_equal(options_check(options), FILTAGS_ERROR_USAGE);
    assert_string_equal(filtags_error_message(), "FILE is missing (or --filtags-file FILE)");
    set(options, "filTags_file", "f");
    assert_int_equal(options_check(options), FILTAGS_OK); /* the model comes from the chain */
    filtags_options_destroy(options);
}

/* Options of a known network and of a model exclude each other, in every command. */
static void test_network_or_model(void **state) {
    static const char *const pairs[][2] = {{"network", "model"}, {"network", "preprocess"}, {"network", "size"},
                                           {"model", "weights"}, {"model", "classes"}};
    static const char *const commands[] = {"activations", "pipeline", "evaluate", "layers"};
    (void)state;
    for (size_t c = 0; c < 4; c++) {
        for (size_t i = 0; i < 5; i++) {
            filtags_options *options = create(commands[c]);
            bool has_both = true;
            for (size_t side = 0; side < 2; side++) {
                const char *name = pairs[i][side];
                has_both = has_both && filtags_option_find(options->command, name);
                if (!has_both) break; /* layers: no preprocess, no weights */
                set(options, name, !strcmp(name, "network") ? "vgg19" : !strcmp(name, "preprocess") ? "tf"
                                   : !strcmp(name, "size") ? "3x3" : !strcmp(name, "classes") ? "7" : "file");
            }
            if (has_both) {
                assert_int_equal(options_check(options), FILTAGS_ERROR_USAGE);
                assert_non_null(strstr(filtags_error_message(), "exclude each other"));
            }
            filtags_options_destroy(options);
        }
    }
    filtags_options *options = create("activations");
    set(options, "network", "INCEPTIONRESNETV2");
    set(options, "images-dir", "p");
    assert_string_equal(options->network, "InceptionResNetV2");
    assert_int_equal(options_check(options), FILTAGS_OK);
    refuse(options, "network", "VGG", "--network: one of VGG16|VGG19|");
    refuse(options, "classes", "0", "--classes: a whole number from 1 to 1000000 expected");
    filtags_options_destroy(options);
}

/* The table of options knows the networks by their names alone. */
static void test_networks_are_those_of_the_library(void **state) {
    (void)state;
    size_t n_networks, n;
    const filtags_network *networks = filtags_networks(&n_networks);
    const char *choices = option_row(OPTION_NETWORK)->choices;
    for (size_t i = 0; i < n_networks; i++) {
        int place = -1;
        assert_non_null(choice_find(choices, networks[i].name, &n, &place));
        assert_int_equal(place, i);
    }
    size_t n_choices = 1;
    for (const char *at = choices; *at; at++) n_choices += *at == '|';
    assert_int_equal(n_choices, n_networks);
}

static void test_inherit_and_derive(void **state) {
    (void)state;
    filtags_options *options = create("evaluate");
    set(options, "split", "0.5");
    assert_int_equal(options_inherit(options, OPTION_SPLIT, "0.3"), FILTAGS_OK);
    assert_true(options->split == 0.5);
    assert_int_equal(options_inherit(options, OPTION_SEED_RN, "7"), FILTAGS_OK);
    assert_int_equal(options->seed_rn, 7);
    assert_false(options_is_given(options, OPTION_SEED_RN));
    assert_int_equal(options_inherit(options, OPTION_SEED_RN, "-7"), FILTAGS_ERROR_USAGE);
    assert_int_equal(options_inherit(options, OPTION_M, "nonsense"), FILTAGS_OK); /* not evaluate's */
    filtags_options_destroy(options);

    options = create("pipeline");
    set(options, "k-q", "1,2");
    set(options, "model", "m.h5");
    set(options, "m", "9");
    filtags_options *tag = NULL, *hitrates = NULL, *nothing = NULL;
    assert_int_equal(options_derive(options, "tag", &tag), FILTAGS_OK);
    assert_int_equal(tag->k_q.n, 2);
    assert_true(options_is_given(tag, OPTION_K_Q));
    assert_null(tag->model);
    assert_false(options_is_given(tag, OPTION_SAVE_DIR));
    assert_int_equal(options_derive(options, "hitrates", &hitrates), FILTAGS_OK);
    assert_int_equal(hitrates->m.values[0], 9);
    assert_int_equal(options_derive(options, "nothing", &nothing), FILTAGS_ERROR_USAGE);
    assert_null(nothing);
    filtags_options_destroy(tag);
    filtags_options_destroy(hitrates);
    filtags_options_destroy(options);
}

static void test_threads(void **state) {
    (void)state;
    filtags_options *options = create("activations");
    assert_true(options_n_threads(options) >= 1);
    set(options, "threads", "8");
    assert_int_equal(options_n_threads(options), 8);
    refuse(options, "t", "0", "--threads: a whole number from 1 to 1024 expected, found '0'");
    filtags_options_destroy(options);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_complete),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_default_texts),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_unknown_command),
        cmocka_unit_test(test_unknown_option),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_choices_sizes_texts_flags),
        cmocka_unit_test(test_number_lists),
        cmocka_unit_test(test_count_and_name_lists),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_network_or_model),
        cmocka_unit_test(test_networks_are_those_of_the_library), cmocka_unit_test(test_inherit_and_derive),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
