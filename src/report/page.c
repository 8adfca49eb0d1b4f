#include "report/page.h"

#include <stdlib.h>
#include <string.h>

#include "base/deflate.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/text.h"
#include "report/web_data.h"

static void write_file(FILE *stream, enum web_file file) {
    size_t n_bytes;
    const unsigned char *bytes = web_data(file, &n_bytes);
    fwrite(bytes, 1, n_bytes, stream); /* a failure stays with the stream */
}

static enum web_file html_of(enum page_kind kind) {
    static const enum web_file files[] = {[PAGE_VISUALIZE] = WEB_VISUALIZE_HTML,
                                          [PAGE_HITRATES] = WEB_HITRATES_HTML,
                                          [PAGE_EXPLAIN] = WEB_EXPLAIN_HTML};
    return files[kind]; /* its css and js follow it in enum web_file */
}

/* Text between tags: markup characters as entities, bytes that aren't UTF-8 as U+FFFD. */
static void write_escaped(FILE *stream, const char *text) {
    for (size_t i = 0, n = strlen(text); i < n;) {
        size_t length = utf8_sequence_length(text + i, n - i);
        if (text[i] == '<') fputs("&lt;", stream);
        else if (text[i] == '>') fputs("&gt;", stream);
        else if (text[i] == '&') fputs("&amp;", stream);
        else if (!length) fputs("\xef\xbf\xbd", stream);
        else fwrite(text + i, 1, length, stream);
        i += length ? length : 1;
    }
}

void page_begin(struct page *page, FILE *stream, enum page_kind kind, const char *title) {
    *page = (struct page){stream, kind};
    fputs("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline'; "
          "style-src 'unsafe-inline'; img-src data: blob:\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta name=\"generator\" content=\"filTags " FILTAGS_VERSION "\">\n"
          "<link rel=\"icon\" href=\"data:,\">\n<title>",
          stream);
    write_escaped(stream, title);
    fputs("</title>\n<style>\n", stream);
    write_file(stream, WEB_BASE_CSS);
    write_file(stream, html_of(kind) + 1);
    fputs("</style>\n</head>\n<body>\n", stream);
    write_file(stream, html_of(kind));
}

/* JSON inside a script element: "</script>" and "<!--" must not show, so '<' is written \u003c, which in JSON can stand
 * in strings only. */
filtags_status page_add_json(struct page *page, const char *id, const json_t *value) {
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
    if (!text) return error_set(FILTAGS_ERROR_MEMORY, "out of memory: block '%s' of a page could not be composed", id);
    fprintf(page->stream, "<script type=\"application/json\" id=\"%s\">", id);
    for (const char *c = text; *c; c++) {
        if (*c == '<') fputs("\\u003c", page->stream);
        else fputc(*c, page->stream);
    }
    fputs("</script>\n", page->stream);
    free(text);
    return FILTAGS_OK;
}

filtags_status page_add_bytes(struct page *page, const char *id, const void *bytes, size_t n_bytes) {
    struct buffer packed = {0}, text = {0};
    filtags_status status = deflate_append(&packed, bytes, n_bytes);
    if (!status) base64_append(&text, packed.data, packed.size_bytes);
    if (!status && text.has_failed) status = FILTAGS_ERROR_MEMORY;
    if (!status) {
        fprintf(page->stream, "<script type=\"text/plain\" id=\"%s\">%s</script>\n", id, buffer_text(&text));
    }
    buffer_free(&packed);
    buffer_free(&text);
    return status;
}

static void write_script(FILE *stream, enum web_file file) {
    fputs("<script>\n", stream);
    write_file(stream, file);
    fputs("</script>\n", stream);
}

void page_end(struct page *page) {
    static const struct {
        enum page_kind kind;
        enum web_file file;
    } parts[] = {{PAGE_VISUALIZE, WEB_PLOTLY_JS},             {PAGE_HITRATES, WEB_PLOTLY_JS},
                 {PAGE_VISUALIZE, WEB_VISUALIZE_DATA_JS},     {PAGE_VISUALIZE, WEB_VISUALIZE_MAP_JS},
                 {PAGE_VISUALIZE, WEB_VISUALIZE_PICTURES_JS}, {PAGE_VISUALIZE, WEB_VISUALIZE_PANELS_JS},
                 {PAGE_VISUALIZE, WEB_VISUALIZE_FILTER_JS},   {PAGE_VISUALIZE, WEB_VISUALIZE_SEARCH_JS},
                 {PAGE_HITRATES, WEB_HITRATES_DATA_JS},       {PAGE_HITRATES, WEB_HITRATES_CHARTS_JS}};
    write_script(page->stream, WEB_BASE_JS);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].kind == page->kind) write_script(page->stream, parts[i].file);
    }
    write_script(page->stream, html_of(page->kind) + 2);
    fputs("</body>\n</html>\n", page->stream);
}
