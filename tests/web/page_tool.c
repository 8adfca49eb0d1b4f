/* page_tool.c - a page with any title and data, for test_shell.py: the commands' pages show results only.
 *
 *     page_tool TITLE JSON_FILE BYTES_FILE >PAGE     with the blocks 'data' and 'packed' */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/file.h"
#include "report/page.h"

enum { LARGEST_BYTES = 1 << 28 };

static filtags_status write_page(const char *title, const json_t *data, const struct buffer *bytes) {
    struct page page;
    page_begin(&page, stdout, PAGE_HITRATES, title);
    filtags_status status = page_add_json(&page, "data", data);
    if (!status) status = page_add_bytes(&page, "packed", bytes->data, bytes->size_bytes);
    if (!status) page_end(&page);
    return status;
}

int main(int argc, char **argv) {
    struct buffer bytes = {0};
    json_t *data = argc == 4 ? json_load_file(argv[2], JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
    if (!data) {
        fprintf(stderr, "usage: page_tool TITLE JSON_FILE BYTES_FILE\n");
        return 2;
    }
    filtags_status status = file_read(argv[3], LARGEST_BYTES, &bytes);
    if (!status) status = write_page(argv[1], data, &bytes);
    if (status) fprintf(stderr, "page_tool: %s\n", filtags_error_message());
    json_decref(data);
    buffer_free(&bytes);
    return status || fflush(stdout) ? 1 : 0;
}
