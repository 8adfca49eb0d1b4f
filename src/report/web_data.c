/* The build defines FILTAGS_WEB_DIR, the folder web/ of the source tree, and FILTAGS_PLOTLY, the path of plotly.js. */
#include "report/web_data.h"

#include "report/web_checksum.h" /* nothing in it: it changes whenever the files do */

/* As in demo_data.c: the assembler includes files, which C can't before C23's #embed. */
#define EMBED(symbol, path)                                          \
    __asm__(".pushsection .rodata\n"                                 \
            ".balign 64\n"                                           \
            ".hidden " #symbol "\n.hidden " #symbol "_end\n"         \
            ".globl " #symbol "\n" #symbol ":\n"                     \
            ".incbin \"" path "\"\n"                                 \
            ".globl " #symbol "_end\n" #symbol "_end:\n"             \
            ".byte 0\n"                                              \
            ".popsection\n");                                        \
    extern const unsigned char symbol[], symbol##_end[]

EMBED(web_data_base_css, FILTAGS_WEB_DIR "/base.css");
EMBED(web_data_base_js, FILTAGS_WEB_DIR "/base.js");
EMBED(web_data_visualize_html, FILTAGS_WEB_DIR "/visualize.html");
EMBED(web_data_visualize_css, FILTAGS_WEB_DIR "/visualize.css");
EMBED(web_data_visualize_js, FILTAGS_WEB_DIR "/visualize.js");
EMBED(web_data_visualize_data_js, FILTAGS_WEB_DIR "/visualize_data.js");
EMBED(web_data_visualize_map_js, FILTAGS_WEB_DIR "/visualize_map.js");
EMBED(web_data_visualize_pictures_js, FILTAGS_WEB_DIR "/visualize_pictures.js");
EMBED(web_data_visualize_panels_js, FILTAGS_WEB_DIR "/visualize_panels.js");
EMBED(web_data_visualize_filter_js, FILTAGS_WEB_DIR "/visualize_filter.js");
EMBED(web_data_visualize_search_js, FILTAGS_WEB_DIR "/visualize_search.js");
EMBED(web_data_hitrates_html, FILTAGS_WEB_DIR "/hitrates.html");
EMBED(web_data_hitrates_css, FILTAGS_WEB_DIR "/hitrates.css");
EMBED(web_data_hitrates_js, FILTAGS_WEB_DIR "/hitrates.js");
EMBED(web_data_explain_html, FILTAGS_WEB_DIR "/explain.html");
EMBED(web_data_explain_css, FILTAGS_WEB_DIR "/explain.css");
EMBED(web_data_explain_js, FILTAGS_WEB_DIR "/explain.js");
EMBED(web_data_plotly_js, FILTAGS_PLOTLY);

#define ROW(symbol) {symbol, symbol##_end}

const unsigned char *web_data(enum web_file file, size_t *n_bytes) {
    static const struct {
        const unsigned char *first, *end;
    } files[] = {[WEB_BASE_CSS] = ROW(web_data_base_css),
                 [WEB_BASE_JS] = ROW(web_data_base_js),
                 [WEB_VISUALIZE_HTML] = ROW(web_data_visualize_html),
                 [WEB_VISUALIZE_CSS] = ROW(web_data_visualize_css),
                 [WEB_VISUALIZE_JS] = ROW(web_data_visualize_js),
                 [WEB_VISUALIZE_DATA_JS] = ROW(web_data_visualize_data_js),
                 [WEB_VISUALIZE_MAP_JS] = ROW(web_data_visualize_map_js),
                 [WEB_VISUALIZE_PICTURES_JS] = ROW(web_data_visualize_pictures_js),
                 [WEB_VISUALIZE_PANELS_JS] = ROW(web_data_visualize_panels_js),
                 [WEB_VISUALIZE_FILTER_JS] = ROW(web_data_visualize_filter_js),
                 [WEB_VISUALIZE_SEARCH_JS] = ROW(web_data_visualize_search_js),
                 [WEB_HITRATES_HTML] = ROW(web_data_hitrates_html),
                 [WEB_HITRATES_CSS] = ROW(web_data_hitrates_css),
                 [WEB_HITRATES_JS] = ROW(web_data_hitrates_js),
                 [WEB_EXPLAIN_HTML] = ROW(web_data_explain_html),
                 [WEB_EXPLAIN_CSS] = ROW(web_data_explain_css),
                 [WEB_EXPLAIN_JS] = ROW(web_data_explain_js),
                 [WEB_PLOTLY_JS] = ROW(web_data_plotly_js)};
    *n_bytes = (size_t)(files[file].end - files[file].first);
    return files[file].first;
}
