/* canvas.h - a sheet to draw on, written as SVG or as PNG.
 *
 * Coordinates are pixels (of a PNG: before its scale) from the top left corner, colours 0xRRGGBB. Texts may be any
 * bytes: what isn't UTF-8, and control characters, become U+FFFD. SVG is made for editing: texts stay texts, parts
 * of the drawing are named groups, marks carry the exact numbers that they stand for; the same drawing is the same
 * bytes. */
#ifndef FILTAGS_REPORT_CANVAS_H
#define FILTAGS_REPORT_CANVAS_H

#include <stdio.h>

#include "base/buffer.h"
#include "filtags.h"

struct point {
    double x, y;
};

enum canvas_anchor { ANCHOR_START, ANCHOR_MIDDLE, ANCHOR_END };

/* As Plotly names them, so that pages and pictures look alike. */
enum canvas_dash { DASH_SOLID, DASH_DASH, DASH_DOT, DASH_DASHDOT, DASH_LONGDASH, DASH_LONGDASHDOT, N_DASHES };
enum canvas_marker {
    MARKER_CIRCLE,
    MARKER_SQUARE,
    MARKER_DIAMOND,
    MARKER_TRIANGLE,
    MARKER_CROSS,
    MARKER_X,
    MARKER_STAR,
    MARKER_PENTAGON,
    N_MARKERS
};

enum { NO_COLOR = -1 };

struct canvas_style {
    int fill;     /* colour or NO_COLOR */
    int stroke;   /* colour or NO_COLOR */
    double width; /* of the stroke */
    enum canvas_dash dash;
};

struct canvas_text_style {
    double size; /* of the letters, in pixels */
    int color;
    enum canvas_anchor anchor;
    bool is_bold;
    bool is_vertical; /* reads upwards */
};

/* What a mark stands for; SVG keeps it as data-x, data-y and a title, which browsers show on hover. */
struct canvas_note {
    double x, y;
    const char *title;
};

struct canvas;

/* What a backend does. The stream keeps errors of writing. */
struct canvas_backend {
    void (*path)(struct canvas *canvas, const struct point *points, size_t n, bool is_closed,
                 const struct canvas_style *style, const struct canvas_note *note);
    void (*circle)(struct canvas *canvas, struct point center, double radius, const struct canvas_style *style,
                   const struct canvas_note *note);
    void (*text)(struct canvas *canvas, struct point at, const struct canvas_text_style *style, const char *text);
    void (*group_open)(struct canvas *canvas, const char *id, const char *title);
    void (*group_close)(struct canvas *canvas);
    filtags_status (*finish)(struct canvas *canvas);
    void (*destroy)(struct canvas *canvas);
};

/* A backend's own struct begins with this one. */
struct canvas {
    const struct canvas_backend *backend;
    FILE *stream; /* the caller's */
    double width, height;
    bool has_failed; /* memory ran out for what a caller wanted drawn: canvas_finish reports it */
};

/* Start a drawing. title: for readers by ear, and the window's caption. MEMORY. */
FILTAGS_MUST_USE filtags_status canvas_open_svg(FILE *stream, double width, double height, const char *title,
                                                struct canvas **canvas);
/* scale: pixels of the picture for one of the drawing. MEMORY. */
FILTAGS_MUST_USE filtags_status canvas_open_png(FILE *stream, double width, double height, double scale,
                                                struct canvas **canvas);

void canvas_line(struct canvas *canvas, struct point from, struct point to, const struct canvas_style *style);
void canvas_rectangle(struct canvas *canvas, struct point corner, double width, double height,
                      const struct canvas_style *style);
/* A line through points, none where there are less than two. */
void canvas_polyline(struct canvas *canvas, const struct point *points, size_t n, const struct canvas_style *style);
/* A mark; note may be NULL. */
void canvas_mark(struct canvas *canvas, enum canvas_marker marker, struct point center, double radius,
                 const struct canvas_style *style, const struct canvas_note *note);
/* at: the base line's start, middle or end. */
void canvas_text(struct canvas *canvas, struct point at, const struct canvas_text_style *style, const char *text);
/* Parts of the drawing, nested. id: letters, digits and '-', once a drawing; title (may be NULL): any text. */
void canvas_group_open(struct canvas *canvas, const char *id, const char *title);
void canvas_group_close(struct canvas *canvas);

/* End the drawing: everything is in the stream. MEMORY, IO. Destroy the canvas in either case; NULL is harmless. */
FILTAGS_MUST_USE filtags_status canvas_finish(struct canvas *canvas);
void canvas_destroy(struct canvas *canvas);

/* The pattern of a dash for a stroke of that width: lengths drawn and left out in turn; 0: solid. */
size_t canvas_dash_pattern(enum canvas_dash dash, double width, double lengths[6]);

/* How wide a text of letters of that size gets at most: by DejaVu Sans, which is wider than the other usual fonts, so
 * that a layout doesn't depend on the fonts of a machine. */
double canvas_text_width(const char *text, double size, bool is_bold);

/* Append text for a backend: valid UTF-8 without control characters. */
void canvas_append_clean(struct buffer *to, const char *text);

#endif
