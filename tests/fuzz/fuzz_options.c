/* The words of a command line, one a line, read by the program's own function: refused by a message, or options that
 * another object gets the same from. Nothing is run. */
#define main program_main
#include "../../cli/main.c"
#undef main

#include "fuzz.h"
#include "options/options.h"

enum { MAX_WORDS = 64, MAX_BYTES = 1 << 14 };

/* Cut text at its newlines. Returns how many words there are. */
static int cut_words(char *text, char **words) {
    int n = 0;
    for (char *next = text; next && n < MAX_WORDS;) {
        char *newline = strchr(next, '\n');
        if (newline) *newline = '\0';
        words[n++] = next;
        next = newline ? newline + 1 : NULL;
    }
    return n;
}

static void check_lists(const filtags_options *options) {
    for (size_t i = 0; i < options->k_q.n; i++) {
        MUST(options->k_q.values[i] >= -1e6 && options->k_q.values[i] <= 1e6);
    }
    for (size_t i = 0; i < options->m.n; i++) MUST(options->m.values[i] >= 1 && options->m.values[i] <= 1000000);
    for (size_t i = 0; i < options->classes_img.n; i++) MUST(*options->classes_img.items[i]);
    MUST(options->k_q.n <= 10000 && options->m.n <= 10000 && options->classes_img.n <= 10000);
    MUST(options->split >= 0 && options->split <= 1);
    MUST(!options->model || *options->model);
}

static void check_copy(const filtags_options *options) {
    filtags_options *copy = NULL;
    MUST(options_derive(options, options->command->name, &copy) == FILTAGS_OK);
    for (enum option_id id = 0; id < N_OPTIONS; id++) {
        MUST(options_is_given(options, id) == options_is_given(copy, id));
        if (options->texts[id]) MUST(strcmp(options->texts[id], copy->texts[id]) == 0);
    }
    MUST(copy->k_q.n == options->k_q.n && copy->m.n == options->m.n && copy->arguments.n == options->arguments.n);
    MUST(copy->classes_img.n == options->classes_img.n && copy->isa == options->isa && copy->split == options->split);
    MUST(options_check(options) == options_check(copy));
    filtags_options_destroy(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char text[MAX_BYTES + 1], *words[MAX_WORDS];
    size_t n = size < MAX_BYTES ? size : MAX_BYTES;
    memcpy(text, data, n);
    text[n] = '\0';
    struct words rest = {.word = words, .n = cut_words(text, words)};
    struct command_line line = {.command = filtags_command_find(*rest.word)};
    rest.word++;
    rest.n--;
    if (!line.command) {
        MUST(filtags_options_create(words[0], &line.options) == FILTAGS_ERROR_USAGE && !line.options);
        return 0;
    }
    MUST(filtags_options_create(line.command->name, &line.options) == FILTAGS_OK);
    filtags_status status = read_words(&line, &rest);
    if (status) {
        MUST(status == FILTAGS_ERROR_USAGE && (*line.message || *filtags_error_message()));
    } else if (!line.wants_help) {
        check_lists(line.options);
        check_copy(line.options);
    }
    filtags_options_destroy(line.options);
    return 0;
}
