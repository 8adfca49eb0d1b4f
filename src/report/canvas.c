#include "report/canvas.h"

#include <math.h>
#include <string.h>

#include "base/text.h"

static const double pi = 3.14159265358979323846;

/* ---------------------------------------------------------------- shapes */

void canvas_line(struct canvas *canvas, struct point from, struct point to, const struct canvas_style *style) {
    const struct point points[] = {from, to};
    canvas->backend->path(canvas, points, 2, false, style, NULL);
}

void canvas_rectangle(struct canvas *canvas, struct point corner, double width, double height,
                      const struct canvas_style *style) {
    const struct point points[] = {
        corner, {corner.x + width, corner.y}, {corner.x + width, corner.y + height}, {corner.x, corner.y + height}};
    canvas->backend->path(canvas, points, 4, true, style, NULL);
}

void canvas_polyline(struct canvas *canvas, const struct point *points, size_t n, const struct canvas_style *style) {
    if (n >= 2) canvas->backend->path(canvas, points, n, false, style, NULL);
}

enum { MOST_CORNERS = 12 };

/* n corners around a center, the first one at the top, every second one at inner times the radius. */
static size_t make_star(struct point center, double radius, size_t n, double inner, double turn, struct point *to) {
    for (size_t i = 0; i < n; i++) {
        double angle = 2 * pi * (double)i / (double)n + turn, r = i % 2 ? inner * radius : radius;
        to[i] = (struct point){center.x + r * sin(angle), center.y - r * cos(angle)};
    }
    return n;
}

/* A cross of two bars, 0.72 of the radius wide. */
static size_t make_cross(struct point center, double radius, double turn, struct point *to) {
    static const signed char corners[12][2] = {{-1, -3}, {1, -3}, {1, -1}, {3, -1}, {3, 1},   {1, 1},
                                               {1, 3},   {-1, 3}, {-1, 1}, {-3, 1}, {-3, -1}, {-1, -1}};
    for (size_t i = 0; i < 12; i++) {
        double x = radius * (corners[i][0] > 1 || corners[i][0] < -1 ? corners[i][0] / 3.0 : 0.36 * corners[i][0]);
        double y = radius * (corners[i][1] > 1 || corners[i][1] < -1 ? corners[i][1] / 3.0 : 0.36 * corners[i][1]);
        to[i] = (struct point){center.x + x * cos(turn) - y * sin(turn), center.y + x * sin(turn) + y * cos(turn)};
    }
    return 12;
}

/* Radii are chosen so that all markers look equally large. */
static size_t make_marker(enum canvas_marker marker, struct point center, double radius, struct point *to) {
    switch (marker) {
    case MARKER_SQUARE:
        return make_star(center, 1.27 * radius, 4, 1, pi / 4, to);
    case MARKER_DIAMOND:
        return make_star(center, 1.36 * radius, 4, 1, 0, to);
    case MARKER_TRIANGLE:
        return make_star(center, 1.42 * radius, 3, 1, 0, to);
    case MARKER_CROSS:
        return make_cross(center, 1.25 * radius, 0, to);
    case MARKER_X:
        return make_cross(center, 1.3 * radius, pi / 4, to);
    case MARKER_STAR:
        return make_star(center, 1.55 * radius, 10, 0.46, 0, to);
    case MARKER_PENTAGON:
        return make_star(center, 1.18 * radius, 5, 1, 0, to);
    default:
        return 0;
    }
}

void canvas_mark(struct canvas *canvas, enum canvas_marker marker, struct point center, double radius,
                 const struct canvas_style *style, const struct canvas_note *note) {
    struct point corners[MOST_CORNERS];
    size_t n = make_marker(marker, center, radius, corners);
    if (n) canvas->backend->path(canvas, corners, n, true, style, note);
    else canvas->backend->circle(canvas, center, radius, style, note);
}

size_t canvas_dash_pattern(enum canvas_dash dash, double width, double lengths[6]) {
    static const struct {
        size_t n;
        double lengths[4]; /* in widths of the stroke */
    } patterns[N_DASHES] = {{0, {0}},      {2, {4, 2.4}},      {2, {1.2, 1.8}}, {4, {4.5, 2, 1.2, 2}},
                            {2, {8, 2.6}}, {4, {8, 2, 1.2, 2}}};
    for (size_t i = 0; i < patterns[dash].n; i++) lengths[i] = patterns[dash].lengths[i] * width;
    return patterns[dash].n;
}

/* ---------------------------------------------------------------- text */

void canvas_text(struct canvas *canvas, struct point at, const struct canvas_text_style *style, const char *text) {
    canvas->backend->text(canvas, at, style, text);
}

void canvas_append_clean(struct buffer *to, const char *text) {
    for (size_t i = 0, n = strlen(text); i < n;) {
        size_t length = utf8_sequence_length(text + i, n - i);
        unsigned char byte = (unsigned char)text[i];
        /* U+FFFE and U+FFFF, which XML forbids; controls, C1 (U+0080..U+009F) among them */
        bool is_noncharacter =
            length == 3 && byte == 0xef && (unsigned char)text[i + 1] == 0xbf && (unsigned char)text[i + 2] >= 0xbe;
        bool is_control =
            byte < 0x20 || byte == 0x7f || (length == 2 && byte == 0xc2 && (unsigned char)text[i + 1] < 0xa0);
        if (!length || is_control || is_noncharacter) buffer_append(to, "\xef\xbf\xbd", 3);
        else buffer_append(to, text + i, length);
        i += length ? length : 1;
    }
}

/* Of DejaVu Sans, in hundredths of the letters' size, from ' ' to '~'. */
static const unsigned char letter_widths[95] = {
    32, 40, 46, 84, 64, 95, 78, 27, 39,  39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 34, 34, 84, 84, 84, 53, 100, 68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75, 79,
    60, 79, 69, 63, 61, 73, 68, 99, 69,  61, 69, 39, 34, 39, 84, 50, 50, 61, 63, 55, 63, 62, 35, 63,
    63, 28, 28, 58, 28, 97, 63, 61, 63,  63, 41, 52, 39, 63, 59, 82, 59, 59, 52, 64, 34, 64, 84};

double canvas_text_width(const char *text, double size, bool is_bold) {
    double width = 0;
    for (size_t i = 0, n = strlen(text); i < n;) {
        size_t length = utf8_sequence_length(text + i, n - i);
        unsigned char byte = (unsigned char)text[i];
        width += byte >= ' ' && byte <= '~' ? letter_widths[byte - ' '] / 100.0 : 1; /* other scripts: a full square */
        i += length ? length : 1;
    }
    return width * size * (is_bold ? 1.12 : 1);
}

/* ---------------------------------------------------------------- groups, and the end */

void canvas_group_open(struct canvas *canvas, const char *id, const char *title) {
    canvas->backend->group_open(canvas, id, title);
}

void canvas_group_close(struct canvas *canvas) { canvas->backend->group_close(canvas); }

filtags_status canvas_finish(struct canvas *canvas) {
    return canvas->has_failed ? FILTAGS_ERROR_MEMORY : canvas->backend->finish(canvas);
}

void canvas_destroy(struct canvas *canvas) {
    if (canvas) canvas->backend->destroy(canvas);
}
