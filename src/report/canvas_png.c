/* canvas_png.c - drawings as PNG, by cairo, with the machine's own sans-serif font. */
#include <cairo.h>
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "report/canvas.h"

struct png_canvas {
    struct canvas base;
    cairo_surface_t *surface;
    cairo_t *cairo;
    bool has_failed; /* memory for a text ran out */
};

static void set_color(cairo_t *cairo, int color) {
    cairo_set_source_rgb(cairo, (color >> 16 & 255) / 255.0, (color >> 8 & 255) / 255.0, (color & 255) / 255.0);
}

/* Fill and stroke the current path. */
static void paint(cairo_t *cairo, const struct canvas_style *style) {
    double lengths[6];
    size_t n = canvas_dash_pattern(style->dash, style->width, lengths);
    if (style->fill != NO_COLOR) {
        set_color(cairo, style->fill);
        cairo_fill_preserve(cairo);
    }
    if (style->stroke != NO_COLOR) {
        set_color(cairo, style->stroke);
        cairo_set_line_width(cairo, style->width);
        cairo_set_dash(cairo, lengths, (int)n, 0);
        cairo_stroke_preserve(cairo);
    }
    cairo_new_path(cairo);
}

static void png_path(struct canvas *canvas, const struct point *points, size_t n, bool is_closed,
                     const struct canvas_style *style, const struct canvas_note *note) {
    cairo_t *cairo = ((struct png_canvas *)canvas)->cairo;
    (void)note;
    for (size_t i = 0; i < n; i++) cairo_line_to(cairo, points[i].x, points[i].y);
    if (is_closed) cairo_close_path(cairo);
    paint(cairo, style);
}

static void png_circle(struct canvas *canvas, struct point center, double radius, const struct canvas_style *style,
                       const struct canvas_note *note) {
    cairo_t *cairo = ((struct png_canvas *)canvas)->cairo;
    (void)note;
    cairo_arc(cairo, center.x, center.y, radius, 0, 2 * 3.14159265358979323846);
    paint(cairo, style);
}

static void png_text(struct canvas *canvas, struct point at, const struct canvas_text_style *style, const char *text) {
    struct png_canvas *own = (struct png_canvas *)canvas;
    cairo_t *cairo = own->cairo;
    struct buffer clean = {0};
    cairo_text_extents_t extents;
    canvas_append_clean(&clean, text); /* cairo refuses, for good, what isn't UTF-8 */
    own->has_failed = own->has_failed || clean.has_failed;
    cairo_save(cairo);
    cairo_select_font_face(cairo, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           style->is_bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cairo, style->size);
    set_color(cairo, style->color);
    cairo_text_extents(cairo, buffer_text(&clean), &extents);
    double share = style->anchor == ANCHOR_START ? 0 : style->anchor == ANCHOR_MIDDLE ? 0.5 : 1;
    cairo_translate(cairo, at.x, at.y);
    if (style->is_vertical) cairo_rotate(cairo, -3.14159265358979323846 / 2);
    cairo_move_to(cairo, -share * extents.x_advance, 0);
    cairo_show_text(cairo, buffer_text(&clean));
    cairo_restore(cairo);
    cairo_new_path(cairo);
    buffer_free(&clean);
}

static void png_group_open(struct canvas *canvas, const char *id, const char *title) {
    (void)canvas;
    (void)id;
    (void)title;
}

static void png_group_close(struct canvas *canvas) { (void)canvas; }

/* A failure stays with the stream, whose owner tells what it was. */
static cairo_status_t write_bytes(void *stream, const unsigned char *bytes, unsigned n_bytes) {
    return fwrite(bytes, 1, n_bytes, stream) == n_bytes ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

static filtags_status png_finish(struct canvas *canvas) {
    struct png_canvas *own = (struct png_canvas *)canvas;
    if (own->has_failed) return FILTAGS_ERROR_MEMORY;
    cairo_status_t status = cairo_status(own->cairo);
    if (!status) status = cairo_surface_write_to_png_stream(own->surface, write_bytes, canvas->stream);
    if (!status || ferror(canvas->stream)) return FILTAGS_OK;
    if (status == CAIRO_STATUS_NO_MEMORY) return error_out_of_memory(0);
    return error_set(FILTAGS_ERROR_INTERNAL, "a picture cannot be drawn: %s", cairo_status_to_string(status));
}

static void png_destroy(struct canvas *canvas) {
    struct png_canvas *own = (struct png_canvas *)canvas;
    cairo_destroy(own->cairo);
    cairo_surface_destroy(own->surface);
    free(own);
}

/* The same picture on every machine with the same font: no hinting, grey levels rather than a screen's subpixels. */
static void set_quality(cairo_t *cairo) {
    cairo_font_options_t *options = cairo_font_options_create();
    cairo_font_options_set_antialias(options, CAIRO_ANTIALIAS_GRAY);
    cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE);
    cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
    cairo_set_font_options(cairo, options);
    cairo_font_options_destroy(options);
    cairo_set_line_join(cairo, CAIRO_LINE_JOIN_ROUND);
}

filtags_status canvas_open_png(FILE *stream, double width, double height, double scale, struct canvas **result) {
    static const struct canvas_backend backend = {png_path,        png_circle, png_text,   png_group_open,
                                                  png_group_close, png_finish, png_destroy};
    struct png_canvas *own = memory_new(1, sizeof *own);
    if (!own) return FILTAGS_ERROR_MEMORY;
    own->base = (struct canvas){&backend, stream, width, height, false};
    own->surface =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)lround(scale * width), (int)lround(scale * height));
    own->cairo = cairo_create(own->surface); /* where memory has run out, a context that has failed: see the end */
    cairo_scale(own->cairo, scale, scale);
    set_quality(own->cairo);
    *result = &own->base;
    return FILTAGS_OK;
}
