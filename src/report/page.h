/* page.h - pages: one self-contained HTML file each, that opens offline and asks the network for nothing.
 *
 * A page is a shell (web/base.css, web/base.js, the kind's own html, css and js, and plotly.js where it has charts)
 * around blocks of data, which the scripts find by id. Text from outside - labels, file names - gets into a page as
 * JSON only, and scripts put it on screen as text only; a Content-Security-Policy forbids every request.
 */
#ifndef FILTAGS_REPORT_PAGE_H
#define FILTAGS_REPORT_PAGE_H

#include <jansson.h>
#include <stdio.h>

#include "filtags.h"

enum page_kind {
    PAGE_VISUALIZE, /* web/visualize.* */
    PAGE_HITRATES,
    PAGE_EXPLAIN
};

struct page {
    FILE *stream; /* the caller's, which finds errors of writing (ferror, output_end_file) */
    enum page_kind kind;
};

/* Write the page's head and body. title: any bytes. */
void page_begin(struct page *page, FILE *stream, enum page_kind kind, const char *title);

/* Add a block of JSON: filtags.json(id) in the scripts. id: letters, digits and '-'. MEMORY; INTERNAL: no JSON. */
FILTAGS_MUST_USE filtags_status page_add_json(struct page *page, const char *id, const json_t *value);

/* Add a block of bytes, deflated and in base64: await filtags.bytes(id) in the scripts. MEMORY. */
FILTAGS_MUST_USE filtags_status page_add_bytes(struct page *page, const char *id, const void *bytes, size_t n_bytes);

/* Write the scripts and the end. */
void page_end(struct page *page);

#endif
