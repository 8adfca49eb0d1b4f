#include "report/rate_table.h"

#include <stdio.h>
#include <string.h>

enum { NAME_WIDTH = 10, CELL_WIDTH = 8 };

static void append_spaces(struct buffer *to, size_t n) { buffer_printf(to, "%*s", (int)n, ""); }

void rate_table_append_head(struct buffer *to, const char *title, const uint32_t *m, size_t n_m) {
    static const char all[] = "all layers", last[] = "last layer";
    size_t half_width = n_m * CELL_WIDTH;
    buffer_printf(to, "%s\n", title);
    append_spaces(to, NAME_WIDTH + 2);
    buffer_append_text(to, all);
    append_spaces(to, (half_width > sizeof all - 1 ? half_width - (sizeof all - 1) : 0) + 2);
    buffer_printf(to, "%s\n", last);
    append_spaces(to, NAME_WIDTH);
    for (int half = 0; half < 2; half++) {
        if (half) buffer_append_text(to, "  ");
        for (size_t i = 0; i < n_m; i++) {
            char text[24];
            snprintf(text, sizeof text, "m=%lu", (unsigned long)m[i]);
            buffer_printf(to, "%*s", CELL_WIDTH, text);
        }
    }
    buffer_append_text(to, "\n");
}

void rate_table_begin_row(struct buffer *to, const char *rule, double value) {
    char text[48];
    snprintf(text, sizeof text, "%s = %g", rule, value);
    buffer_printf(to, "%-*s", NAME_WIDTH, text);
}

void rate_table_append_rate(struct buffer *to, const double *rate, bool starts_half) {
    if (starts_half) buffer_append_text(to, "  ");
    if (rate) buffer_printf(to, "%*.4f", CELL_WIDTH, *rate);
    else buffer_printf(to, "%*s", CELL_WIDTH, "-");
}
