#include "report/chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "report/scale.h"

/* Pixels. */
static const double figure_width = 860, margin = 18, axis_room = 46, panel_gap = 22, title_height = 58,
                    heading_height = 24, legend_line_height = 19, panel_title_height = 24, plot_height = 190,
                    axis_height = 44, row_gap = 22, note_line_height = 16, legend_swatch = 30, legend_gap = 18,
                    mark_radius = 3.1, mark_gap = 15, slot_break = 3;

static const double title_size = 17, heading_size = 13.5, text_size = 11.5, tick_size = 11;

enum {
    INK = 0x1a1f24,
    MUTED = 0x59626b,
    AXIS = 0x59626b,
    GRID = 0xe3e6e8,
    SLOT = 0xf4f5f6,
    WHITE = 0xffffff,
    MOST_TICKS = 12
};

/* The light theme's colours of web/base.js, and its order of dashes and symbols. */
static const int line_colors[CHART_MOST_LINES] = {0x0067a5, 0xc44e00, 0x007f5f, 0xb0528a,
                                                  0x8a6d00, 0x2f8fc4, 0x5b4a9c, 0x444b52};

/* ---------------------------------------------------------------- layout */

size_t chart_wrap(const double *widths, size_t n, double gap, double width, struct point *at) {
    double x = 0;
    size_t line = 0;
    for (size_t i = 0; i < n; i++) {
        if (x > 0 && x + widths[i] > width) {
            x = 0;
            line++;
        }
        if (at) at[i] = (struct point){x, (double)line};
        x += widths[i] + gap;
    }
    return n ? line + 1 : 0;
}

void chart_append_fitting(struct buffer *to, const char *text, double size, bool is_bold, double width) {
    static const char ellipsis[] = "\xe2\x80\xa6";
    if (canvas_text_width(text, size, is_bold) <= width) {
        buffer_append_text(to, text);
        return;
    }
    double room = width - canvas_text_width(ellipsis, size, is_bold), used = 0;
    size_t n_kept = 0;
    for (size_t n = strlen(text); n_kept < n;) {
        char letter[5] = "";
        size_t length = utf8_sequence_length(text + n_kept, n - n_kept);
        memcpy(letter, text + n_kept, length ? length : 1);
        used += canvas_text_width(letter, size, is_bold);
        if (used > room) break;
        n_kept += length ? length : 1;
    }
    buffer_append(to, text, n_kept);
    buffer_append_text(to, ellipsis);
}

void chart_choose_marked(const double *pixels, size_t n, double gap, bool *is_marked) {
    double last = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        is_marked[i] = pixels[i] - last >= gap;
        if (is_marked[i]) last = pixels[i];
    }
    if (n && !is_marked[n - 1]) { /* the end is worth more than the one before it */
        for (size_t i = n - 1; i-- > 1;) {
            if (!is_marked[i]) continue;
            is_marked[i] = pixels[n - 1] - pixels[i] >= gap;
            break;
        }
        is_marked[n - 1] = true;
    }
}

/* Places of the legend's title (item 0) and its lines, in lines of the figure's width. */
static size_t lay_out_legend(const struct chart_row *row, struct point at[1 + CHART_MOST_LINES]) {
    double widths[1 + CHART_MOST_LINES];
    widths[0] = canvas_text_width(row->legend, text_size, false);
    for (size_t i = 0; i < row->n_lines; i++)
        widths[1 + i] = legend_swatch + 6 + canvas_text_width(row->lines[i].name, text_size, false);
    return chart_wrap(widths, 1 + row->n_lines, legend_gap, figure_width - 2 * margin, at);
}

static double row_height(const struct chart_row *row) {
    struct point at[1 + CHART_MOST_LINES];
    double legend = legend_line_height * (double)lay_out_legend(row, at);
    return heading_height + legend + panel_title_height + plot_height + axis_height + row_gap;
}

void chart_size(const struct chart *chart, double *width, double *height) {
    *width = figure_width;
    *height = title_height + margin + (chart->note ? note_line_height : 0);
    for (size_t i = 0; i < chart->n_rows; i++) *height += row_height(&chart->rows[i]);
}

/* ---------------------------------------------------------------- pieces */

static const struct canvas_style axis_style = {NO_COLOR, AXIS, 1, DASH_SOLID};
static const struct canvas_style grid_style = {NO_COLOR, GRID, 1, DASH_SOLID};

static struct canvas_text_style text_style(double size, int color, enum canvas_anchor anchor, bool is_bold) {
    return (struct canvas_text_style){size, color, anchor, is_bold, false};
}

static struct canvas_style line_style(size_t line) {
    return (struct canvas_style){NO_COLOR, line_colors[line], 1.7, (enum canvas_dash)(line % N_DASHES)};
}

/* A light rim keeps marks that overlap apart. */
static struct canvas_style mark_style(size_t line) {
    return (struct canvas_style){line_colors[line], WHITE, 0.7, DASH_SOLID};
}

static void draw_fitting(struct canvas *canvas, struct point at, const struct canvas_text_style *style,
                         const char *text, double width) {
    struct buffer fitting = {0};
    chart_append_fitting(&fitting, text, style->size, style->is_bold, width);
    canvas->has_failed = canvas->has_failed || fitting.has_failed;
    canvas_text(canvas, at, style, buffer_text(&fitting));
    buffer_free(&fitting);
}

static void draw_legend(const struct chart_row *row, struct canvas *canvas, double top) {
    struct point at[1 + CHART_MOST_LINES];
    struct canvas_text_style style = text_style(text_size, MUTED, ANCHOR_START, false);
    lay_out_legend(row, at);
    canvas_text(canvas, (struct point){margin, top + 12}, &style, row->legend);
    style.color = INK;
    for (size_t i = 0; i < row->n_lines; i++) {
        double x = margin + at[1 + i].x, y = top + 8 + legend_line_height * at[1 + i].y;
        struct canvas_style line = line_style(i), mark = mark_style(i);
        canvas_line(canvas, (struct point){x, y}, (struct point){x + legend_swatch, y}, &line);
        canvas_mark(canvas, (enum canvas_marker)i, (struct point){x + legend_swatch / 2, y}, mark_radius, &mark, NULL);
        canvas_text(canvas, (struct point){x + legend_swatch + 6, y + 4}, &style, row->lines[i].name);
    }
}

/* ---------------------------------------------------------------- a panel */

struct panel {
    const struct chart *chart;
    const struct chart_row *row;
    size_t row_index, index;
    double left, top, width; /* of the frame; its height is plot_height */
    struct scale x;
};

static double y_position(const struct panel *panel, double rate) {
    return panel->top + 8 + (1 - rate) * (plot_height - 8); /* room for marks at 1 */
}

static void format_amount(char text[32], double amount) { snprintf(text, 32, "%.10g", amount); }

static double amount_width(double amount) {
    char text[32];
    format_amount(text, amount);
    return canvas_text_width(text, tick_size, false);
}

static void draw_y_axis(const struct panel *panel, struct canvas *canvas) {
    struct canvas_text_style style = text_style(tick_size, MUTED, ANCHOR_END, false);
    for (int i = 0; i <= 5; i++) {
        char text[8];
        double y = y_position(panel, i / 5.0);
        snprintf(text, sizeof text, i % 5 ? "0.%d" : "%d", i % 5 ? 2 * i : i / 5);
        canvas_line(canvas, (struct point){panel->left, y}, (struct point){panel->left + panel->width, y},
                    i ? &grid_style : &axis_style);
        canvas_line(canvas, (struct point){panel->left - 4, y}, (struct point){panel->left, y}, &axis_style);
        canvas_text(canvas, (struct point){panel->left - 7, y + 4}, &style, text);
    }
    canvas_line(canvas, (struct point){panel->left, panel->top}, (struct point){panel->left, panel->top + plot_height},
                &axis_style);
    if (panel->index) return;
    struct canvas_text_style label = text_style(text_size, INK, ANCHOR_MIDDLE, false);
    label.is_vertical = true;
    canvas_text(canvas, (struct point){panel->left - 33, y_position(panel, 0.5)}, &label, "Hit rate");
}

static void draw_x_tick(const struct panel *panel, struct canvas *canvas, double x, const char *text) {
    struct canvas_text_style style = text_style(tick_size, MUTED, ANCHOR_MIDDLE, false);
    double bottom = panel->top + plot_height;
    canvas_line(canvas, (struct point){x, bottom}, (struct point){x, bottom + 4}, &axis_style);
    canvas_text(canvas, (struct point){x, bottom + 16}, &style, text);
}

static void draw_slot(const struct panel *panel, struct canvas *canvas) {
    const struct scale *x = &panel->x;
    double width = x->slot_width * (double)(x->n_low + x->n_high);
    if (!(width > 0)) return;
    const struct canvas_style band = {SLOT, NO_COLOR, 0, DASH_SOLID};
    canvas_rectangle(canvas, (struct point){panel->left, panel->top}, width - slot_break, plot_height, &band);
    for (size_t i = 0; i < x->n; i++) {
        char text[32];
        if (!scale_is_in_slot(x, i)) continue;
        format_amount(text, x->values[i]);
        draw_x_tick(panel, canvas, scale_position(x, i), x->values[i] < 0 || x->values[i] > 0 ? text : "> mean");
    }
}

static void draw_x_axis(const struct panel *panel, struct canvas *canvas) {
    double ticks[MOST_TICKS];
    size_t n = scale_ticks(&panel->x, amount_width, ticks, MOST_TICKS);
    for (size_t i = 0; i < n; i++) {
        char text[32];
        format_amount(text, ticks[i]);
        draw_x_tick(panel, canvas, scale_amount_position(&panel->x, ticks[i]), text);
    }
    char label[160];
    struct canvas_text_style style = text_style(text_size, INK, ANCHOR_MIDDLE, false);
    snprintf(label, sizeof label, "%s%s", panel->row->x_label, panel->x.is_logarithmic ? ", log scale" : "");
    canvas_text(canvas, (struct point){panel->left + panel->width / 2, panel->top + plot_height + 34}, &style, label);
}

/* The line in pieces: gaps, and the border of the slot, interrupt it. */
static void draw_strokes(const struct panel *panel, struct canvas *canvas, size_t line, const double *pixels,
                         struct point *points) {
    const struct chart_line *data = &panel->row->lines[line];
    struct canvas_style style = line_style(line);
    size_t n = 0;
    for (size_t i = 0; i < panel->row->n_x; i++) {
        double rate = data->rates[panel->index][i * data->stride];
        if (isnan(rate) || scale_is_in_slot(&panel->x, i)) {
            canvas_polyline(canvas, points, n, &style);
            n = 0;
        } else {
            points[n++] = (struct point){pixels[i], y_position(panel, rate)};
        }
    }
    canvas_polyline(canvas, points, n, &style);
}

/* Every value has a mark, that of a crowd is invisible but still tells its numbers. */
static void draw_marks(const struct panel *panel, struct canvas *canvas, size_t line, const double *pixels,
                       const bool *is_marked) {
    static const struct canvas_style invisible = {NO_COLOR, NO_COLOR, 0, DASH_SOLID};
    const struct chart_row *row = panel->row;
    const struct chart_line *data = &row->lines[line];
    struct canvas_style style = mark_style(line);
    for (size_t i = 0; i < row->n_x; i++) {
        char title[160];
        double rate = data->rates[panel->index][i * data->stride];
        if (isnan(rate)) continue;
        bool is_alone = (i == 0 || isnan(data->rates[panel->index][(i - 1) * data->stride])) &&
                        (i + 1 == row->n_x || isnan(data->rates[panel->index][(i + 1) * data->stride]));
        bool is_visible = is_marked[i] || is_alone;
        struct canvas_note note = {row->x[i], rate, title};
        snprintf(title, sizeof title, "%s = %.10g, %s = %.10g: hit rate %.4f", row->line_name, data->value, row->x_name,
                 row->x[i], rate);
        canvas_mark(canvas, is_visible ? (enum canvas_marker)line : MARKER_CIRCLE,
                    (struct point){pixels[i], y_position(panel, rate)}, is_visible ? mark_radius : 2,
                    is_visible ? &style : &invisible, &note);
    }
}

static void draw_lines(const struct panel *panel, struct canvas *canvas, double *pixels, bool *is_marked,
                       struct point *points) {
    const struct chart_row *row = panel->row;
    for (size_t i = 0; i < row->n_x; i++) pixels[i] = scale_position(&panel->x, i);
    size_t n_low = panel->x.n_low, n_amounts = row->n_x - n_low - panel->x.n_high;
    for (size_t i = 0; i < row->n_x; i++) is_marked[i] = true;
    chart_choose_marked(pixels + n_low, n_amounts, mark_gap, is_marked + n_low);
    for (size_t line = row->n_lines; line-- > 0;) { /* the first lines on top */
        char id[80], title[80];
        if (!row->lines[line].rates[panel->index]) continue;
        snprintf(id, sizeof id, "%s-%zu-line%zu", row->id, panel->index + 1, line + 1);
        snprintf(title, sizeof title, "%s = %.10g", row->line_name, row->lines[line].value);
        canvas_group_open(canvas, id, title);
        draw_strokes(panel, canvas, line, pixels, points);
        draw_marks(panel, canvas, line, pixels, is_marked);
        canvas_group_close(canvas);
    }
}

static filtags_status draw_panel(const struct panel *panel, struct canvas *canvas) {
    char id[80], letter[3] = {0};
    const struct chart_row *row = panel->row;
    double *pixels = memory_new(row->n_x, sizeof *pixels);
    bool *is_marked = memory_new(row->n_x, sizeof *is_marked);
    struct point *points = memory_new(row->n_x, sizeof *points);
    bool is_ready = pixels && is_marked && points;
    if (is_ready) {
        struct canvas_text_style bold = text_style(text_size + 1, INK, ANCHOR_START, true);
        struct canvas_text_style plain = text_style(text_size, INK, ANCHOR_START, false);
        snprintf(id, sizeof id, "%s-%zu", row->id, panel->index + 1);
        letter[0] = (char)('a' + panel->row_index * panel->chart->n_panels + panel->index);
        canvas_group_open(canvas, id, NULL);
        canvas_text(canvas, (struct point){panel->left, panel->top - 7}, &bold, letter);
        canvas_text(canvas, (struct point){panel->left + 16, panel->top - 7}, &plain,
                    panel->chart->panel_titles[panel->index]);
        draw_slot(panel, canvas);
        draw_y_axis(panel, canvas);
        draw_x_axis(panel, canvas);
        draw_lines(panel, canvas, pixels, is_marked, points);
        canvas_group_close(canvas);
    }
    free(pixels);
    free(is_marked);
    free(points);
    return is_ready ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
}

/* ---------------------------------------------------------------- the figure */

static filtags_status draw_row(const struct chart *chart, size_t index, struct canvas *canvas, double top) {
    const struct chart_row *row = &chart->rows[index];
    struct canvas_text_style heading = text_style(heading_size, INK, ANCHOR_START, true);
    struct point at[1 + CHART_MOST_LINES];
    double legend = legend_line_height * (double)lay_out_legend(row, at);
    double width = (figure_width - 2 * margin - panel_gap * (double)(chart->n_panels - 1)) / (double)chart->n_panels;
    filtags_status status = FILTAGS_OK;
    canvas_group_open(canvas, row->id, NULL);
    canvas_text(canvas, (struct point){margin, top + 14}, &heading, row->heading);
    draw_legend(row, canvas, top + heading_height);
    for (size_t i = 0; !status && i < chart->n_panels; i++) {
        double left = margin + (double)i * (width + panel_gap) + axis_room;
        struct panel panel = {
            chart, row, index, i, left, top + heading_height + legend + panel_title_height, width - axis_room, {0}};
        scale_make(row->x, row->n_x, row->has_slot, row->is_percent, left, left + panel.width, &panel.x);
        status = draw_panel(&panel, canvas);
    }
    canvas_group_close(canvas);
    return status;
}

filtags_status chart_draw(const struct chart *chart, struct canvas *canvas) {
    const struct canvas_style paper = {WHITE, NO_COLOR, 0, DASH_SOLID};
    struct canvas_text_style title = text_style(title_size, INK, ANCHOR_START, true);
    struct canvas_text_style small = text_style(text_size, MUTED, ANCHOR_START, false);
    double top = title_height, width = figure_width - 2 * margin;
    filtags_status status = FILTAGS_OK;
    canvas_rectangle(canvas, (struct point){0, 0}, canvas->width, canvas->height, &paper);
    draw_fitting(canvas, (struct point){margin, 28}, &title, chart->title, width);
    draw_fitting(canvas, (struct point){margin, 46}, &small, chart->subtitle, width);
    for (size_t i = 0; !status && i < chart->n_rows; i++) {
        status = draw_row(chart, i, canvas, top + 6);
        top += row_height(&chart->rows[i]);
    }
    if (chart->note) draw_fitting(canvas, (struct point){margin, top + 8}, &small, chart->note, width);
    return status;
}
