/* cli.h - the parts of the program. It sees of the library what filtags.h shows, and nothing else. */
#ifndef FILTAGS_CLI_CLI_H
#define FILTAGS_CLI_CLI_H

#include <stdio.h>

#include "filtags.h"

/* Exit statuses. A run that was stopped by a signal ends with 128 + the signal's number. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_SIGNAL_BASE = 128 };

/* ---- help and man pages: made of the library's tables */

void help_print_program(FILE *to);
void help_print_command(FILE *to, const filtags_command *command);
/* The few lines for somebody who typed nothing but the program's name. */
void help_print_hint(FILE *to);

void man_print_program(FILE *to);
void man_print_command(FILE *to, const filtags_command *command);

/* What the program does itself, without a table of options behind it. */
struct builtin_command {
    const char *name, *argument, *summary;
};
extern const struct builtin_command builtin_commands[];
extern const size_t n_builtin_commands;

/* Print a completion script. false: shell is none of bash, zsh and fish. */
bool completion_print(FILE *to, const char *shell);

/* ---- messages and the progress bar, both on stderr */

struct terminal {
    const char *command;  /* "activations" */
    bool is_verbose;
    bool has_bar;         /* stderr is a terminal, and quiet isn't set */
    bool is_bar_shown;    /* the cursor stands behind a bar, which the next message must remove */
    double last_drawn_sec;
    size_t n_warnings;
};

void terminal_start(struct terminal *terminal, const char *command, bool is_quiet, bool is_verbose);
/* Callbacks of the library; user is the terminal. */
void terminal_log(void *user, filtags_log_level level, const char *line);
void terminal_progress(void *user, const filtags_progress *progress);
/* Remove the bar and tell how many warnings were not shown. */
void terminal_finish(struct terminal *terminal);
/* Print "filtags COMMAND: message", unless another process does. command may be NULL. */
void terminal_error(const char *command, const char *message);

#endif
