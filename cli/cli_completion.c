/* cli_completion.c - completion scripts for three shells, made of the library's tables. */
#include <string.h>

#include "cli.h"

/* Print text inside single quotes of a POSIX-like shell; also fit for zsh's and fish's descriptions. */
static void print_quoted(FILE *to, const char *text) {
    for (; *text; text++) fputs(*text == '\'' ? "'\\''" : (char[]){*text, '\0'}, to);
}

static void print_words(FILE *to, const char *words, char separator) {
    for (; *words; words++) fputc(*words == separator ? ' ' : *words, to);
}

static void print_all_command_names(FILE *to) {
    size_t n_commands;
    const filtags_command *commands = filtags_commands(&n_commands);
    for (size_t i = 0; i < n_commands; i++) fprintf(to, "%s ", commands[i].name);
    for (size_t i = 0; i < n_builtin_commands; i++) fprintf(to, "%s ", builtin_commands[i].name);
}

/* Is the command's argument a file, or may it be one? */
static bool takes_file(const filtags_command *command) {
    return *command->argument && (!*command->argument_choices || strstr(command->argument, "FILE"));
}

/* ---- bash */

/* A case of the shell's: the command by any of its names. */
static void print_bash_pattern(FILE *to, const filtags_command *command) {
    fputs(command->name, to);
    for (const char *c = command->aliases; *c; c++) {
        if (c == command->aliases) fputc('|', to);
        fputc(*c == ' ' ? '|' : *c, to);
    }
}

static void print_bash_command(FILE *to, const filtags_command *command) {
    const filtags_option *option;
    fputs("    ", to);
    print_bash_pattern(to, command);
    fputs(")\n        words='--help", to);
    for (size_t i = 0; (option = filtags_command_option(command, i)); i++) fprintf(to, " --%s", option->name);
    fputs("'\n", to);
    if (*command->argument_choices) {
        fputs("        [ \"${cur#-}\" != \"$cur\" ] || words='", to);
        print_words(to, command->argument_choices, '|');
        fputs("'\n", to);
    }
    fputs("        case \"$prev\" in\n", to);
    for (size_t i = 0; (option = filtags_command_option(command, i)); i++) {
        if (!*option->placeholder) continue;
        fprintf(to, "        --%s", option->name);
        if (option->short_name) fprintf(to, "|-%c", option->short_name);
        if (*option->choices) {
            fputs(") words='", to);
            print_words(to, option->choices, '|');
            fputs("' ;;\n", to);
        } else {
            fprintf(to, ") words= %s;;\n", option->is_file ? "" : "; compopt +o default ");
        }
    }
    fputs("        esac ;;\n", to);
}

static void print_bash(FILE *to) {
    size_t n_commands;
    const filtags_command *commands = filtags_commands(&n_commands);
    fputs("# bash completion for filtags\n_filtags() {\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=\n"
          "    # of --network=VGG16 bash makes three words\n"
          "    [ \"$prev\" != = ] || prev=${COMP_WORDS[COMP_CWORD-2]}\n"
          "    [ \"$cur\" != = ] || cur=\n"
          "    COMPREPLY=()\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
          "        COMPREPLY=($(compgen -W '", to);
    print_all_command_names(to);
    fputs("--help --version' -- \"$cur\"))\n        return\n    fi\n    case \"${COMP_WORDS[1]}\" in\n", to);
    for (size_t i = 0; i < n_commands; i++) print_bash_command(to, &commands[i]);
    fputs("    help|man) words='", to);
    print_all_command_names(to);
    fputs("' ;;\n    completion) words='bash zsh fish' ;;\n    esac\n"
          "    # without words bash offers files\n"
          "    if [ -n \"$words\" ] && { [ \"${words#--}\" = \"$words\" ] || [ \"${cur#-}\" != \"$cur\" ]; }; then\n"
          "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n    fi\n}\n"
          "complete -o default -o bashdefault -F _filtags filtags\n", to);
}

/* ---- zsh */

/* A description inside [brackets] and 'quotes'. */
static void print_zsh_text(FILE *to, const char *text) {
    for (; *text; text++) {
        if (strchr("[]:\\", *text)) fputc('\\', to);
        fputs(*text == '\'' ? "'\\''" : (char[]){*text, '\0'}, to);
    }
}

static void print_zsh_option(FILE *to, const filtags_option *option) {
    const char *value = *option->placeholder ? "=" : ""; /* behind the name or a word of its own */
    if (option->short_name) fprintf(to, "            {-%c,--%s%s}", option->short_name, option->name, value);
    else fprintf(to, "            --%s%s", option->name, value);
    fputs("'[", to);
    print_zsh_text(to, option->help);
    fputc(']', to);
    if (*option->placeholder) {
        fprintf(to, ":%s:", option->placeholder);
        if (*option->choices) {
            fputc('(', to);
            print_words(to, option->choices, '|');
            fputc(')', to);
        } else if (option->is_file) {
            fputs("_files", to);
        }
    }
    fputs("' \\\n", to);
}

/* One, or any number of files, of words or of both. */
static void print_zsh_argument(FILE *to, const filtags_command *command) {
    fprintf(to, "            '%s:%s:", strstr(command->argument, "...") ? "*" : "1", command->argument);
    if (!*command->argument_choices) {
        fputs("_files' \\\n", to);
        return;
    }
    fputs(takes_file(command) ? "{_alternative \"words:word:(" : "(", to);
    print_words(to, command->argument_choices, '|');
    fputs(takes_file(command) ? ")\" files:file:_files}' \\\n" : ")' \\\n", to);
}

static void print_zsh_command(FILE *to, const filtags_command *command) {
    const filtags_option *option;
    fputs("    (", to);
    print_bash_pattern(to, command);
    fputs(")\n        _arguments \\\n", to);
    for (size_t i = 0; (option = filtags_command_option(command, i)); i++) print_zsh_option(to, option);
    if (*command->argument) print_zsh_argument(to, command);
    fputs("            '--help[Print help]' ;;\n", to);
}

static void print_zsh(FILE *to) {
    size_t n_commands;
    const filtags_command *commands = filtags_commands(&n_commands);
    fputs("#compdef filtags\nlocal -a commands\ncommands=(\n", to);
    for (size_t i = 0; i < n_commands; i++) {
        fprintf(to, "    '%s:", commands[i].name);
        print_quoted(to, commands[i].summary);
        fputs("'\n", to);
    }
    for (size_t i = 0; i < n_builtin_commands; i++) {
        fprintf(to, "    '%s:%s'\n", builtin_commands[i].name, builtin_commands[i].summary);
    }
    fputs(")\nif (( CURRENT == 2 )); then\n    _describe command commands\nelse\n"
          "    local command=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $command in\n", to);
    for (size_t i = 0; i < n_commands; i++) print_zsh_command(to, &commands[i]);
    fputs("    (help|man) _describe command commands ;;\n    (completion) _values shell bash zsh fish ;;\n    esac\n"
          "fi\n", to);
}

/* ---- fish */

static void print_fish_command(FILE *to, const filtags_command *command) {
    const filtags_option *option;
    fprintf(to, "complete -c filtags -n __fish_use_subcommand -f -a %s -d '", command->name);
    print_quoted(to, command->summary);
    fputs("'\n", to);
    if (!takes_file(command))
        fprintf(to, "complete -c filtags -n '__fish_seen_subcommand_from %s%s%s' -f\n", command->name,
                *command->aliases ? " " : "", command->aliases);
    if (*command->argument_choices) {
        fprintf(to, "complete -c filtags -n '__fish_seen_subcommand_from %s' -a '", command->name);
        print_words(to, command->argument_choices, '|');
        fputs("'\n", to);
    }
    for (size_t i = 0; (option = filtags_command_option(command, i)); i++) {
        fprintf(to, "complete -c filtags -n '__fish_seen_subcommand_from %s%s%s' -l %s", command->name,
                *command->aliases ? " " : "", command->aliases, option->name);
        if (option->short_name) fprintf(to, " -s %c", option->short_name);
        if (*option->placeholder) fputs(option->is_file ? " -r -F" : " -x", to);
        if (*option->choices) {
            fputs(" -a '", to);
            print_words(to, option->choices, '|');
            fputc('\'', to);
        }
        fputs(" -d '", to);
        print_quoted(to, option->help);
        fputs("'\n", to);
    }
}

static void print_fish(FILE *to) {
    size_t n_commands;
    const filtags_command *commands = filtags_commands(&n_commands);
    fputs("# fish completion for filtags\n", to);
    for (size_t i = 0; i < n_commands; i++) print_fish_command(to, &commands[i]);
    for (size_t i = 0; i < n_builtin_commands; i++) {
        fprintf(to, "complete -c filtags -n __fish_use_subcommand -f -a %s -d '%s'\n", builtin_commands[i].name,
                builtin_commands[i].summary);
    }
    fputs("complete -c filtags -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'\n"
          "complete -c filtags -n '__fish_seen_subcommand_from help man' -f -a '", to);
    print_all_command_names(to);
    fputs("'\n", to);
}

bool completion_print(FILE *to, const char *shell) {
    if (!strcmp(shell, "bash")) print_bash(to);
    else if (!strcmp(shell, "zsh")) print_zsh(to);
    else if (!strcmp(shell, "fish")) print_fish(to);
    else return false;
    return true;
}
