/* cli_help.c - help texts, made of the library's tables. */
#include <string.h>

#include "cli.h"

enum { PAGE_COLUMNS = 80, TEXT_COLUMN = 26 };

const struct builtin_command builtin_commands[] = {
    {"help", "[COMMAND]", "Explain the program or a command"},
    {"man", "[COMMAND]", "Print a manual page (roff)"},
    {"completion", "bash|zsh|fish", "Print a completion script for a shell"},
};
const size_t n_builtin_commands = sizeof builtin_commands / sizeof *builtin_commands;

/* Print text wrapped at words, each line but the first indented. column: where the cursor is. A blank line in text
 * stays one. */
static void print_wrapped(FILE *to, const char *text, size_t column, size_t indent) {
    while (*text) {
        size_t n = strcspn(text, " \n");
        if (column > indent && column + 1 + n > PAGE_COLUMNS) {
            fprintf(to, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', to);
            column++;
        }
        fwrite(text, 1, n, to);
        column += n;
        text += n;
        if (!strncmp(text, "\n\n", 2)) {
            fprintf(to, "\n\n%*s", (int)indent, "");
            column = indent;
        }
        text += strspn(text, " \n");
    }
    fputc('\n', to);
}

/* Print a name and behind it, or below it where the name is long, what it means. */
static void print_entry(FILE *to, const char *name, const char *text) {
    size_t n = strlen(name);
    fprintf(to, "  %s", name);
    if (n + 4 > TEXT_COLUMN) fprintf(to, "\n%*s", TEXT_COLUMN, "");
    else fprintf(to, "%*s", (int)(TEXT_COLUMN - n - 2), "");
    print_wrapped(to, text, TEXT_COLUMN, TEXT_COLUMN);
}

static void print_option(FILE *to, const filtags_option *option) {
    char name[64], text[640];
    char short_name[5] = "";
    if (option->short_name) snprintf(short_name, sizeof short_name, "-%c, ", option->short_name);
    snprintf(name, sizeof name, "%s--%s%s%s", short_name, option->name, *option->placeholder ? " " : "",
             option->placeholder);
    snprintf(text, sizeof text, "%s%s%s%s%s", option->help, option->is_required ? " Required." : "",
             *option->default_text ? " Default: " : "", option->default_text, *option->default_text ? "." : "");
    print_entry(to, name, text);
}

void help_print_command(FILE *to, const filtags_command *command) {
    const char *group = "";
    const filtags_option *option;
    fprintf(to, "Usage: filtags %s [OPTION]...%s%s\n\n", command->name, *command->argument ? " " : "",
            command->argument);
    fprintf(to, "%s.\n\n", command->summary);
    print_wrapped(to, command->details, 0, 0);
    if (*command->aliases) fprintf(to, "\nOther names of the command: %s\n", command->aliases);
    for (size_t i = 0; (option = filtags_command_option(command, i)); i++) {
        if (strcmp(group, option->group)) fprintf(to, "\n%s:\n", option->group);
        group = option->group;
        print_option(to, option);
    }
    print_entry(to, "-h, --help", "Print this help.");
}

void help_print_program(FILE *to) {
    size_t n_commands;
    const filtags_command *commands = filtags_commands(&n_commands);
    fputs("Usage: filtags COMMAND [OPTION]... [FILE]\n\n", to);
    print_wrapped(to, "Explains a convolutional neural network by tagging its filters with the labels of the classes "
                      "that they respond to, and measures how well the tags predict what the network says.", 0, 0);
    fputs("\nCommands:\n", to);
    for (size_t i = 0; i < n_commands; i++) print_entry(to, commands[i].name, commands[i].summary);
    for (size_t i = 0; i < n_builtin_commands; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s %s", builtin_commands[i].name, builtin_commands[i].argument);
        print_entry(to, name, builtin_commands[i].summary);
    }
    fputs("\nOptions:\n", to);
    print_entry(to, "-h, --help", "Print this help; behind a command: that command's.");
    print_entry(to, "-V, --version", "Print the version; with --verbose also those of the libraries below.");
    fputc('\n', to);
    print_wrapped(to, "Names of options may be written with _ for - and in any case. Exit status: 0 done, 1 failed, 2 "
                      "wrong usage, 130 or 143 stopped by Ctrl-C or a kill.", 0, 0);
    fputs("\nStart with: filtags demo\n", to);
}

void help_print_hint(FILE *to) {
    fputs("Usage: filtags COMMAND [OPTION]... [FILE]\n"
          "Start with 'filtags demo'; 'filtags help' lists the commands.\n", to);
}
