/* chart.h - figures of rates (0..1) for papers: rows of panels side by side, a legend a row.
 *
 * What a figure is made of is data; where everything stands follows from it alone, so that SVG and PNG are alike on
 * every machine. Lines differ by colour (for any kind of colour vision), by dash and by marker (for grey print). */
#ifndef FILTAGS_REPORT_CHART_H
#define FILTAGS_REPORT_CHART_H

#include "report/canvas.h"

enum { CHART_MOST_LINES = 8, CHART_MOST_PANELS = 2, CHART_NAME_BYTES = 40 };

struct chart_line {
    char name[CHART_NAME_BYTES]; /* in the legend: "5" */
    double value;                /* what it stands for, for the titles of marks */
    /* Of each panel: the rate at x[i] is rates[panel][i * stride]; NaN: a gap. NULL: not in that panel. */
    const double *rates[CHART_MOST_PANELS];
    size_t stride;
};

struct chart_row {
    const char *id;      /* letters, digits and '-' */
    const char *heading; /* "Hit rate against m" */
    const char *x_name;  /* "m" */
    const char *x_label; /* "m, number of labels" */
    const double *x;     /* [n_x] ascending */
    size_t n_x;
    bool has_slot; /* x of zero and below has a place apart: scale.h */
    bool is_percent;
    const char *line_name; /* "k" */
    char legend[80];       /* before the lines: "k:", "k (8 of 101 values):" */
    struct chart_line lines[CHART_MOST_LINES];
    size_t n_lines;
};

struct chart {
    char *title, *subtitle, *note; /* note: below all, may be NULL; any bytes */
    const char *panel_titles[CHART_MOST_PANELS];
    size_t n_panels;
    const struct chart_row *rows;
    size_t n_rows;
};

/* The drawing's size in pixels. */
void chart_size(const struct chart *chart, double *width, double *height);

/* Draw on a canvas of that size. MEMORY. */
FILTAGS_MUST_USE filtags_status chart_draw(const struct chart *chart, struct canvas *canvas);

/* Put n items of some widths side by side, with a gap between them, into lines of a width: an item that doesn't fit
 * begins a line. at ([n], may be NULL) gets x in pixels and the line's number as y. Returns the number of lines. */
size_t chart_wrap(const double *widths, size_t n, double gap, double width, struct point *at);

/* Append text, cut with an ellipsis where it is wider than width pixels. */
void chart_append_fitting(struct buffer *to, const char *text, double size, bool is_bold, double width);

/* Choose which of n ascending pixels get a marker: none nearer than gap to the one before; the last one always. */
void chart_choose_marked(const double *pixels, size_t n, double gap, bool *is_marked);

#endif
