/* cli_man.c - manual pages in roff, made of the library's tables. Their date is the version's: pages that are made at
 * different times are the same. */
#include <ctype.h>
#include <string.h>

#include "cli.h"

/* Print text so that roff takes none of it for its own, paragraph by paragraph. */
static void print_text(FILE *to, const char *text) {
    bool is_line_start = true;
    for (; *text; text++) {
        if (!strncmp(text, "\n\n", 2)) {
            fputs("\n.PP\n", to);
            text++;
            is_line_start = true;
            continue;
        }
        if (is_line_start && (*text == '.' || *text == '\'')) fputs("\\&", to);
        if (*text == '\\') fputs("\\e", to);
        else if (*text == '-') fputs("\\-", to);
        else if (*text == '\'') fputs("\\(aq", to);
        else fputc(*text, to);
        is_line_start = *text == '\n';
    }
    fputc('\n', to);
}

static void print_upper(FILE *to, const char *text) {
    for (; *text; text++) fputc(toupper((unsigned char)*text), to);
}

static void print_option(FILE *to, const filtags_option *option) {
    fputs(".TP\n", to);
    if (option->short_name) fprintf(to, "\\fB\\-%c\\fR, ", option->short_name);
    fputs("\\fB\\-\\-", to);
    for (const char *c = option->name; *c; c++) fputs(*c == '-' ? "\\-" : (char[]){*c, '\0'}, to);
    fprintf(to, "\\fR%s\\fI%s\\fR\n", *option->placeholder ? " " : "", option->placeholder);
    print_text(to, option->help);
    if (option->is_required) fputs("Required.\n", to);
    if (*option->default_text) {
        fputs("Default: ", to);
        print_text(to, option->default_text);
    }
}

static void print_exit_status(FILE *to) {
    fputs(".SH EXIT STATUS\n"
          ".TP\n0\nDone.\n"
          ".TP\n1\nFailed; a message on the standard error says why.\n"
          ".TP\n2\nWrong usage.\n"
          ".TP\n130, 143\nStopped by Ctrl\\-C (SIGINT) or a kill (SIGTERM). "
          "Of activations, evaluate and pipeline the same command goes on from there.\n",
          to);
}

void man_print_command(FILE *to, const filtags_command *command) {
    const char *group = "";
    const filtags_option *option;
    fputs(".TH FILTAGS\\-", to);
    print_upper(to, command->name);
    fprintf(to, " 1 " FILTAGS_VERSION_DATE " \"filtags %s\"\n.SH NAME\nfiltags\\-%s \\- ", filtags_version(),
            command->name);
    print_text(to, command->summary);
    fprintf(to, ".SH SYNOPSIS\n\\fBfiltags %s\\fR [\\fIOPTION\\fR]...", command->name);
    if (*command->argument) fprintf(to, " \\fI%s\\fR", command->argument);
    fputs("\n.SH DESCRIPTION\n", to);
    print_text(to, command->details);
    if (*command->aliases) {
        fputs(".PP\nOther names of the command: ", to);
        print_text(to, command->aliases);
    }
    fputs(".SH OPTIONS\n", to);
    for (size_t i = 0; (option = filtags_command_option(command, i)); i++) {
        if (strcmp(group, option->group)) fprintf(to, ".SS %s\n", option->group);
        group = option->group;
        print_option(to, option);
    }
    print_exit_status(to);
    fputs(".SH SEE ALSO\n.BR filtags (1)\n", to);
}

static void print_command_entry(FILE *to, const char *name, const char *argument, const char *summary) {
    fprintf(to, ".TP\n\\fB%s\\fR \\fI%s\\fR\n", name, argument);
    print_text(to, summary);
}

void man_print_program(FILE *to) {
    size_t n_commands;
    const filtags_command *commands = filtags_commands(&n_commands);
    fprintf(to, ".TH FILTAGS 1 " FILTAGS_VERSION_DATE " \"filtags %s\"\n.SH NAME\nfiltags \\- ", filtags_version());
    fputs("explain convolutional neural networks by tagging their filters\n.SH SYNOPSIS\n"
          "\\fBfiltags\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]... [\\fIFILE\\fR]\n.SH DESCRIPTION\n", to);
    print_text(to, "Explains a convolutional neural network by tagging its filters with the labels of the classes that "
                   "they respond to, and measures how well the tags predict what the network says. Results go to the "
                   "standard output, everything else to the standard error.\n\n"
                   "Names of options may be written with _ for - and in any case. A value follows its option as the "
                   "next word or behind =; -- ends the options.");
    fputs(".SH COMMANDS\n", to);
    for (size_t i = 0; i < n_commands; i++) {
        print_command_entry(to, commands[i].name, commands[i].argument, commands[i].summary);
    }
    for (size_t i = 0; i < n_builtin_commands; i++) {
        print_command_entry(to, builtin_commands[i].name, builtin_commands[i].argument, builtin_commands[i].summary);
    }
    print_exit_status(to);
    fputs(".SH SEE ALSO\n", to);
    for (size_t i = 0; i < n_commands; i++) {
        fprintf(to, ".BR filtags\\-%s (1)%s\n", commands[i].name, i + 1 < n_commands ? "," : "");
    }
}
