/* main.c - the program: words from the command line to options, one call of the library, its report to stdout. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static volatile sig_atomic_t caught_signal;

static void catch_signal(int number) { caught_signal = number; }

/* The first signal asks the run to stop in good order; a second one ends it the hard way (SA_RESETHAND). */
static void watch_signals(void) {
    struct sigaction action = {.sa_handler = catch_signal, .sa_flags = SA_RESETHAND | SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static bool is_cancelled(void *user) {
    (void)user;
    return caught_signal != 0;
}

/* A program that is started with stdin, stdout or stderr closed would get their numbers for its own files, and print
 * into them. /dev/null in the wrong direction keeps the number and still fails. */
static void hold_standard_streams(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
        if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) _exit(EXIT_FAILED);
    }
}

/* Of the processes that mpirun has started, the first one talks: all have the same command line and the same end. */
static bool is_mute(void) { return filtags_process_number() > 0; }

/* mpirun ends all processes when the first one fails, and takes its status: that has to be the one with the message.
 * Where that one knows nothing of this process's failure it most often has the same, but needs time to say so. */
static int end_mute(int exit_status) {
    enum { PATIENCE_SEC = 10 };
    if (exit_status == EXIT_DONE || !is_mute()) return exit_status;
    if (filtags_process_is_led()) return EXIT_DONE;
    sleep(PATIENCE_SEC);
    return exit_status;
}

/* Flush stdout. What could not be printed is a failure, though the work may be done. */
static int finish_stdout(const char *command, int exit_status) {
    char message[160];
    int reason = fflush(stdout) ? errno : ferror(stdout) ? EIO : 0;
    if (!reason) return exit_status;
    snprintf(message, sizeof message, "standard output: cannot be written: %s", strerror(reason));
    terminal_error(command, message);
    return exit_status == EXIT_DONE ? EXIT_FAILED : exit_status;
}

static int report_usage(const char *command, const char *message) {
    terminal_error(command, message);
    if (is_mute()) return EXIT_USAGE;
    fprintf(stderr, "Try 'filtags %s%s--help'.\n", command ? command : "", command ? " " : "");
    return EXIT_USAGE;
}

/* ---- a command's words */

/* The words that are still to be read. */
struct words {
    char **word;
    int n;
};

struct command_line {
    const filtags_command *command;
    filtags_options *options;
    bool wants_help;
    char message[512]; /* of a failure that the library doesn't know of */
};

static filtags_status report_missing_value(struct command_line *line, const char *dashes, const filtags_option *option,
                                           char short_name) {
    char name[2] = {short_name, '\0'};
    snprintf(line->message, sizeof line->message, "%s%s: a value (%s) expected, found none", dashes,
             short_name ? name : option->name, option->placeholder);
    return FILTAGS_ERROR_USAGE;
}

/* Take the word behind an option for its value. One that begins with two dashes is the next option; such a value can
 * be given behind '='. A single dash begins negative numbers and stands for stdout. */
static const char *take_value(struct words *rest) {
    if (rest->n == 0 || (rest->word[0][0] == '-' && rest->word[0][1] == '-')) return NULL;
    rest->n--;
    return *rest->word++;
}

/* --name, --name=value, --name value */
static filtags_status read_long_option(struct command_line *line, const char *word, struct words *rest) {
    char name[64];
    const char *equals = strchr(word, '=');
    size_t n = equals ? (size_t)(equals - word) : strlen(word);
    const char *value = equals ? equals + 1 : NULL;
    if (n == 0 || n >= sizeof name) {
        snprintf(line->message, sizeof line->message, "--%.200s: unknown option", word);
        return FILTAGS_ERROR_USAGE;
    }
    memcpy(name, word, n);
    name[n] = '\0';
    const filtags_option *option = filtags_option_find(line->command, name);
    if (option && *option->placeholder && !equals && !(value = take_value(rest))) {
        return report_missing_value(line, "--", option, 0);
    }
    if (option && !*option->placeholder && equals && !*value) value = "(nothing)"; /* --quiet= */
    return filtags_options_set(line->options, name, value);
}

/* -x value, -xVALUE, and flags in a row: -qs */
static filtags_status read_short_options(struct command_line *line, const char *letters, struct words *rest) {
    filtags_status status = FILTAGS_OK;
    for (; *letters && !status; letters++) {
        char name[2] = {*letters, '\0'};
        const filtags_option *option = filtags_option_find(line->command, name);
        if (option && *option->placeholder) {
            const char *value = letters[1] ? letters + 1 : take_value(rest);
            if (!value) return report_missing_value(line, "-", option, *letters);
            return filtags_options_set(line->options, name, value);
        }
        status = filtags_options_set(line->options, name, NULL);
    }
    return status;
}

static filtags_status read_words(struct command_line *line, struct words *rest) {
    filtags_status status = FILTAGS_OK;
    bool is_past_options = false;
    while (rest->n > 0 && !status && !line->wants_help) {
        const char *word = *rest->word++;
        rest->n--;
        if (is_past_options || word[0] != '-' || !word[1]) status = filtags_options_add_argument(line->options, word);
        else if (!strcmp(word, "--")) is_past_options = true;
        else if (!strcmp(word, "--help") || !strcmp(word, "-h")) line->wants_help = true;
        else if (word[1] == '-') status = read_long_option(line, word + 2, rest);
        else status = read_short_options(line, word + 1, rest);
    }
    return status;
}

/* ---- running it */

static int exit_status_of(filtags_status status) {
    if (status == FILTAGS_OK) return EXIT_DONE;
    if (status == FILTAGS_ERROR_CANCELLED && caught_signal) return EXIT_SIGNAL_BASE + caught_signal;
    return status == FILTAGS_ERROR_USAGE ? EXIT_USAGE : EXIT_FAILED;
}

static int run_command(const struct command_line *line) {
    struct terminal terminal;
    filtags_run *run = NULL;
    const char *name = line->command->name;
    bool is_quiet = filtags_options_flag(line->options, "quiet");
    terminal_start(&terminal, name, is_quiet, filtags_options_flag(line->options, "verbose"));
    filtags_callbacks callbacks = {
        .user = &terminal, .log = terminal_log, .progress = terminal_progress, .is_cancelled = is_cancelled};
    watch_signals();
    filtags_status status = filtags_run_command(line->options, &callbacks, &run);
    terminal_finish(&terminal);
    if (status == FILTAGS_ERROR_USAGE) return report_usage(name, filtags_error_message());
    if (status) {
        terminal_error(name, filtags_error_message());
        return exit_status_of(status);
    }
    if (!is_quiet) fputs(filtags_run_report(run), stdout);
    filtags_run_destroy(run);
    return finish_stdout(name, EXIT_DONE);
}

static int do_command(const filtags_command *command, struct words rest) {
    struct command_line line = {.command = command};
    int exit_status = EXIT_DONE;
    filtags_status status = filtags_options_create(command->name, &line.options);
    if (status) {
        terminal_error(command->name, filtags_error_message());
        return EXIT_FAILED;
    }
    status = read_words(&line, &rest);
    if (line.wants_help) {
        help_print_command(stdout, command);
        exit_status = finish_stdout(command->name, EXIT_DONE);
    } else if (status == FILTAGS_ERROR_USAGE) {
        exit_status = report_usage(command->name, *line.message ? line.message : filtags_error_message());
    } else if (status) {
        terminal_error(command->name, filtags_error_message());
        exit_status = EXIT_FAILED;
    } else {
        exit_status = run_command(&line);
    }
    filtags_options_destroy(line.options);
    return exit_status;
}

/* ---- the program's own commands */

static int report_unknown_command(const char *name) {
    filtags_options *options = NULL;
    filtags_status status = filtags_options_create(name, &options); /* fails, and says what may have been meant */
    filtags_options_destroy(options);
    return status ? report_usage(NULL, filtags_error_message()) : EXIT_FAILED;
}

static bool is_word(const char *word, const char *long_name, const char *short_name) {
    return !strcmp(word, long_name) || !strcmp(word, short_name);
}

static bool is_builtin(const char *name) {
    for (size_t i = 0; i < n_builtin_commands; i++) {
        if (!strcmp(builtin_commands[i].name, name)) return true;
    }
    return false;
}

/* help and man: of the program, or of a command. What there is to say of the program's own ones, its help says. */
static int do_explain(const char *own_name, struct words rest, void (*print_program)(FILE *),
                      void (*print_command)(FILE *, const filtags_command *)) {
    if (rest.n > 1) return report_usage(NULL, "one COMMAND expected, found more");
    const filtags_command *command = rest.n == 1 ? filtags_command_find(rest.word[0]) : NULL;
    if (rest.n == 1 && !command && !is_builtin(rest.word[0])) return report_unknown_command(rest.word[0]);
    if (command) print_command(stdout, command);
    else print_program(stdout);
    return finish_stdout(own_name, EXIT_DONE);
}

static int do_completion(struct words rest) {
    if (rest.n != 1 || !completion_print(stdout, rest.word[0])) {
        char message[160];
        snprintf(message, sizeof message, "bash, zsh or fish expected, found '%.80s'", rest.n ? rest.word[0] : "");
        return report_usage("completion", message);
    }
    return finish_stdout("completion", EXIT_DONE);
}

static int do_version(bool is_verbose) {
    printf("filtags %s\n", filtags_version());
    if (is_verbose) printf("%s\n", filtags_dependencies());
    return finish_stdout(NULL, EXIT_DONE);
}

static int run_words(struct words rest) {
    if (rest.n <= 0) {
        if (!is_mute()) help_print_hint(stderr);
        return EXIT_USAGE;
    }
    const char *first = *rest.word++;
    rest.n--;
    if (is_word(first, "--version", "-V")) {
        return do_version(rest.n > 0 && is_word(rest.word[0], "--verbose", "-v"));
    }
    bool wants_own_help = rest.n == 1 && is_builtin(first) && is_word(rest.word[0], "--help", "-h");
    if (wants_own_help) rest.n = 0;
    if (wants_own_help || is_word(first, "--help", "-h") || !strcmp(first, "help")) {
        return do_explain("help", rest, help_print_program, help_print_command);
    }
    if (!strcmp(first, "man")) return do_explain("man", rest, man_print_program, man_print_command);
    if (!strcmp(first, "completion")) return do_completion(rest);
    const filtags_command *command = filtags_command_find(first);
    if (command) return do_command(command, rest);
    if (first[0] == '-') {
        char message[160];
        snprintf(message, sizeof message, "a command expected, found the option '%.80s'", first);
        return report_usage(NULL, message);
    }
    return report_unknown_command(first);
}

int main(int argc, char **argv) {
    struct words words = {.word = argv + 1, .n = argc - 1};
    hold_standard_streams();
    if (is_mute() && !freopen("/dev/null", "w", stdout)) return EXIT_FAILED;
    signal(SIGPIPE, SIG_IGN); /* a closed pipe becomes a write error, which is reported */
    signal(SIGXFSZ, SIG_IGN); /* a file past the limit on sizes is a failed write, not the end */
    return end_mute(run_words(words));
}
