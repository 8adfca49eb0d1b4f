/* web_data.h - the styles and scripts of the pages, which the program carries with it (sources in web/). */
#ifndef FILTAGS_REPORT_WEB_DATA_H
#define FILTAGS_REPORT_WEB_DATA_H

#include <stddef.h>

enum web_file {
    WEB_BASE_CSS,
    WEB_BASE_JS,
    WEB_VISUALIZE_HTML,
    WEB_VISUALIZE_CSS,
    WEB_VISUALIZE_JS,
    WEB_VISUALIZE_DATA_JS,
    WEB_VISUALIZE_MAP_JS,
    WEB_VISUALIZE_PICTURES_JS,
    WEB_VISUALIZE_PANELS_JS,
    WEB_VISUALIZE_FILTER_JS,
    WEB_VISUALIZE_SEARCH_JS,
    WEB_HITRATES_HTML,
    WEB_HITRATES_CSS,
    WEB_HITRATES_JS,
    WEB_EXPLAIN_HTML,
    WEB_EXPLAIN_CSS,
    WEB_EXPLAIN_JS,
    WEB_PLOTLY_JS
};

/* The contents of a file, *n_bytes of them. Static. */
const unsigned char *web_data(enum web_file file, size_t *n_bytes);

#endif
