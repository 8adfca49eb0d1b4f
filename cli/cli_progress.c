/* cli_progress.c - what goes to stderr while a command runs: a progress bar, warnings, and more with --verbose. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"

enum { MAX_WARNINGS_SHOWN = 20, MIN_COLUMNS = 60, MAX_BAR_CELLS = 40, LINE_BYTES = 256 };

static const double REDRAW_SEC = 0.1;

void terminal_start(struct terminal *terminal, const char *command, bool is_quiet, bool is_verbose) {
    const char *kind = getenv("TERM");
    *terminal = (struct terminal){.command = command, .is_verbose = is_verbose};
    terminal->has_bar = !is_quiet && isatty(STDERR_FILENO) && !(kind && !strcmp(kind, "dumb"));
}

static void remove_bar(struct terminal *terminal) {
    if (terminal->is_bar_shown) fputs("\r\033[K", stderr);
    terminal->is_bar_shown = false;
}

/* Names in messages come from outside: none may forge a line or drive the terminal. C1 controls too, alone or in UTF-8:
 * 0x9b begins a command as ESC [ does. */
static void print_line(const char *text) {
    unsigned n_following = 0; /* bytes of a letter in UTF-8 */
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text, next = (unsigned char)text[1];
        bool is_control = byte < 0x20 || byte == 0x7f || (byte == 0xc2 && next >= 0x80 && next < 0xa0)
                          || (n_following == 0 && byte >= 0x80 && byte < 0xa0);
        if (byte < 0x80 || byte >= 0xc0) n_following = byte < 0xc3 ? 0 : byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
        else if (n_following > 0) n_following--;
        fputc(is_control ? '?' : byte, stderr);
    }
    fputc('\n', stderr);
}

void terminal_log(void *user, filtags_log_level level, const char *line) {
    struct terminal *terminal = user;
    bool is_warning = level == FILTAGS_LOG_WARNING;
    if (is_warning && terminal->n_warnings++ >= MAX_WARNINGS_SHOWN) return; /* the warnings log has all of them */
    if (!is_warning && !terminal->is_verbose) return;
    remove_bar(terminal);
    fprintf(stderr, "filtags %s: %s", terminal->command, is_warning ? "warning: " : "");
    print_line(line);
}

static size_t count_columns(void) {
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col == 0) return 80;
    return size.ws_col;
}

/* "1:23" or "2:01:23". */
static void format_duration(char *to, size_t size_bytes, double sec) {
    unsigned long total = sec < 1e8 ? (unsigned long)(sec + 0.5) : 100000000ul;
    unsigned long hours = total / 3600, minutes = total / 60 % 60, seconds = total % 60;
    if (hours) snprintf(to, size_bytes, "%lu:%02lu:%02lu", hours, minutes, seconds);
    else snprintf(to, size_bytes, "%lu:%02lu", minutes, seconds);
}

/* "12/600  3.4 pictures/s" or "12/600 MB  3.4 MB/s". Returns the length of the part before the two blanks. */
static size_t format_numbers(char *to, size_t size_bytes, const filtags_progress *progress, double rate) {
    bool is_bytes = !strcmp(progress->unit, "bytes");
    int n = is_bytes ? snprintf(to, size_bytes, "%.1f/%.1f MB", (double)progress->n_done / 1e6,
                                (double)progress->n_total / 1e6)
                     : snprintf(to, size_bytes, "%llu/%llu", (unsigned long long)progress->n_done,
                                (unsigned long long)progress->n_total);
    if (is_bytes) snprintf(to + n, size_bytes - (size_t)n, "  %.1f MB/s", rate / 1e6);
    else snprintf(to + n, size_bytes - (size_t)n, "  %.1f pictures/s", rate);
    return (size_t)n;
}

static void draw_bar(const filtags_progress *progress) {
    char bar[MAX_BAR_CELLS + 1], left[32] = "?", numbers[LINE_BYTES];
    double n_done = (double)(progress->n_done - progress->n_before); /* in this run */
    double rate = progress->elapsed_sec > 0 ? n_done / progress->elapsed_sec : 0;
    if (rate > 0) format_duration(left, sizeof left, (double)(progress->n_total - progress->n_done) / rate);
    size_t n_short = format_numbers(numbers, sizeof numbers, progress, rate), n = strlen(numbers);
    snprintf(numbers + n, sizeof numbers - n, "  %s left", left);
    size_t columns = count_columns(), used = strlen(progress->what) + strlen(numbers) + 7;
    if (columns < MIN_COLUMNS || used + 4 > columns) { /* too narrow for a bar */
        fprintf(stderr, "\r%.*s\033[K", (int)n_short, numbers);
        return;
    }
    size_t n_cells = columns - used < MAX_BAR_CELLS ? columns - used : MAX_BAR_CELLS;
    size_t n_full = (size_t)((double)n_cells * (double)progress->n_done / (double)progress->n_total);
    memset(bar, '#', n_full);
    memset(bar + n_full, '-', n_cells - n_full);
    bar[n_cells] = '\0';
    fprintf(stderr, "\r%s  [%s]  %s\033[K", progress->what, bar, numbers);
}

void terminal_progress(void *user, const filtags_progress *progress) {
    struct terminal *terminal = user;
    if (!terminal->has_bar || progress->n_total == 0 || progress->n_done > progress->n_total) return;
    if (progress->n_done == progress->n_total) {
        remove_bar(terminal);
        return;
    }
    double since_sec = progress->elapsed_sec - terminal->last_drawn_sec; /* negative when a new phase has begun */
    if (since_sec >= 0 && since_sec < REDRAW_SEC) return;
    terminal->last_drawn_sec = progress->elapsed_sec;
    terminal->is_bar_shown = true;
    draw_bar(progress);
    fflush(stderr);
}

void terminal_finish(struct terminal *terminal) {
    remove_bar(terminal);
    if (terminal->n_warnings <= MAX_WARNINGS_SHOWN) return;
    size_t n_more = terminal->n_warnings - MAX_WARNINGS_SHOWN;
    fprintf(stderr, "filtags %s: %zu more warning%s, see the warnings log\n", terminal->command, n_more,
            n_more > 1 ? "s" : "");
}

void terminal_error(const char *command, const char *message) {
    if (filtags_process_number() > 0) return; /* process 0 says it */
    fprintf(stderr, "filtags%s%s: ", command ? " " : "", command ? command : "");
    print_line(message);
}
