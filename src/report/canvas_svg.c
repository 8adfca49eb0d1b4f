/* canvas_svg.c - drawings as SVG 1.1. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "report/canvas.h"

struct svg_canvas {
    struct canvas base;
    size_t depth;    /* open groups, for the indentation */
    bool has_failed; /* memory for a text ran out */
};

/* To the hundredth of a pixel, without zeros at the end. */
static void write_length(FILE *stream, double value) {
    char text[40];
    snprintf(text, sizeof text, "%.2f", value);
    char *end = text + strlen(text) - 1;
    while (*end == '0') *end-- = '\0';
    if (*end == '.') *end = '\0';
    fputs(strcmp(text, "-0") == 0 ? "0" : text, stream);
}

static void write_text(struct svg_canvas *svg, const char *text) {
    struct buffer clean = {0};
    canvas_append_clean(&clean, text);
    svg->has_failed = svg->has_failed || clean.has_failed;
    for (const char *c = buffer_text(&clean); *c; c++) {
        if (*c == '<') fputs("&lt;", svg->base.stream);
        else if (*c == '>') fputs("&gt;", svg->base.stream);
        else if (*c == '&') fputs("&amp;", svg->base.stream);
        else if (*c == '"') fputs("&quot;", svg->base.stream);
        else fputc(*c, svg->base.stream);
    }
    buffer_free(&clean);
}

static void write_color(FILE *stream, const char *name, int color) {
    if (color == NO_COLOR) fprintf(stream, " %s=\"none\"", name);
    else fprintf(stream, " %s=\"#%06x\"", name, (unsigned)color);
}

static void begin_element(const struct svg_canvas *svg, const char *name) {
    fprintf(svg->base.stream, "%*s<%s", (int)(2 * svg->depth), "", name);
}

static void write_style(FILE *stream, const struct canvas_style *style) {
    double lengths[6];
    size_t n = canvas_dash_pattern(style->dash, style->width, lengths);
    write_color(stream, "fill", style->fill);
    if (style->stroke == NO_COLOR) return;
    write_color(stream, "stroke", style->stroke);
    fputs(" stroke-width=\"", stream);
    write_length(stream, style->width);
    fputs("\"", stream);
    if (!n) return;
    fputs(" stroke-dasharray=\"", stream);
    for (size_t i = 0; i < n; i++) {
        if (i) fputc(' ', stream);
        write_length(stream, lengths[i]);
    }
    fputs("\"", stream);
}

static void end_element(struct svg_canvas *svg, const char *name, const struct canvas_note *note) {
    FILE *stream = svg->base.stream;
    if (!note) {
        fputs("/>\n", stream);
        return;
    }
    fprintf(stream, " data-x=\"%.17g\" data-y=\"%.17g\"><title>", note->x, note->y);
    write_text(svg, note->title);
    fprintf(stream, "</title></%s>\n", name);
}

static void svg_path(struct canvas *canvas, const struct point *points, size_t n, bool is_closed,
                     const struct canvas_style *style, const struct canvas_note *note) {
    struct svg_canvas *svg = (struct svg_canvas *)canvas;
    begin_element(svg, "path");
    fputs(" d=\"", canvas->stream);
    for (size_t i = 0; i < n; i++) {
        fputs(i == 0 ? "M" : i == 1 ? " L" : " ", canvas->stream);
        write_length(canvas->stream, points[i].x);
        fputc(',', canvas->stream);
        write_length(canvas->stream, points[i].y);
    }
    fputs(is_closed ? " Z\"" : "\"", canvas->stream);
    write_style(canvas->stream, style);
    end_element(svg, "path", note);
}

static void svg_circle(struct canvas *canvas, struct point center, double radius, const struct canvas_style *style,
                       const struct canvas_note *note) {
    struct svg_canvas *svg = (struct svg_canvas *)canvas;
    begin_element(svg, "circle");
    fputs(" cx=\"", canvas->stream);
    write_length(canvas->stream, center.x);
    fputs("\" cy=\"", canvas->stream);
    write_length(canvas->stream, center.y);
    fputs("\" r=\"", canvas->stream);
    write_length(canvas->stream, radius);
    fputs("\"", canvas->stream);
    write_style(canvas->stream, style);
    if (note && style->fill == NO_COLOR) fputs(" pointer-events=\"all\"", canvas->stream); /* its title shows */
    end_element(svg, "circle", note);
}

static void svg_text(struct canvas *canvas, struct point at, const struct canvas_text_style *style, const char *text) {
    static const char *const anchors[] = {[ANCHOR_START] = "start", [ANCHOR_MIDDLE] = "middle", [ANCHOR_END] = "end"};
    struct svg_canvas *svg = (struct svg_canvas *)canvas;
    FILE *stream = canvas->stream;
    begin_element(svg, "text");
    fputs(" x=\"", stream);
    write_length(stream, at.x);
    fputs("\" y=\"", stream);
    write_length(stream, at.y);
    fputs("\" font-size=\"", stream);
    write_length(stream, style->size);
    fputs("\"", stream);
    write_color(stream, "fill", style->color);
    if (style->anchor != ANCHOR_START) fprintf(stream, " text-anchor=\"%s\"", anchors[style->anchor]);
    if (style->is_bold) fputs(" font-weight=\"bold\"", stream);
    if (style->is_vertical) {
        fputs(" transform=\"rotate(-90 ", stream);
        write_length(stream, at.x);
        fputc(' ', stream);
        write_length(stream, at.y);
        fputs(")\"", stream);
    }
    fputc('>', stream);
    write_text(svg, text);
    fputs("</text>\n", stream);
}

static void svg_group_open(struct canvas *canvas, const char *id, const char *title) {
    struct svg_canvas *svg = (struct svg_canvas *)canvas;
    begin_element(svg, "g");
    fprintf(canvas->stream, " id=\"%s\">\n", id);
    svg->depth++;
    if (!title) return;
    begin_element(svg, "title>");
    write_text(svg, title);
    fputs("</title>\n", canvas->stream);
}

static void svg_group_close(struct canvas *canvas) {
    struct svg_canvas *svg = (struct svg_canvas *)canvas;
    svg->depth--;
    begin_element(svg, "/g>\n");
}

static filtags_status svg_finish(struct canvas *canvas) {
    fputs("</svg>\n", canvas->stream);
    return ((struct svg_canvas *)canvas)->has_failed ? FILTAGS_ERROR_MEMORY : FILTAGS_OK;
}

static void svg_destroy(struct canvas *canvas) { free(canvas); }

filtags_status canvas_open_svg(FILE *stream, double width, double height, const char *title, struct canvas **result) {
    static const struct canvas_backend backend = {svg_path,        svg_circle, svg_text,   svg_group_open,
                                                  svg_group_close, svg_finish, svg_destroy};
    struct svg_canvas *svg = memory_new(1, sizeof *svg);
    if (!svg) return FILTAGS_ERROR_MEMORY;
    svg->base = (struct canvas){&backend, stream, width, height, false};
    fprintf(stream,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" width=\"%.0f\" height=\"%.0f\" "
            "viewBox=\"0 0 %.0f %.0f\" font-family=\"Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif\" "
            "stroke-linejoin=\"round\">\n",
            width, height, width, height);
    svg->depth = 1;
    begin_element(svg, "title>");
    write_text(svg, title);
    fputs("</title>\n", stream);
    *result = &svg->base;
    return FILTAGS_OK;
}
