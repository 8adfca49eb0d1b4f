/* version.c - the versions of the program and of what its results can depend on. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "engine/conv_onednn.h"
#include "engine/kernels.h"
#include "filtags.h"
#include "image/image.h"
#include "model/weights_hdf5.h"

static char dependencies[512];

static void append_named(const char *name, const char *text) {
    size_t n = strlen(dependencies);
    snprintf(dependencies + n, sizeof dependencies - n, "%s%s%.*s", n ? "\n" : "", name, (int)strcspn(text, "\n"),
             text);
}

static void append_first_line(const char *text) { append_named("", text); }

/* libtiff introduces itself as "LIBTIFF, Version 4.5.0". */
static void append_tiff(const char *text) {
    static const char prefix[] = "LIBTIFF, Version ";
    bool has_prefix = strncmp(text, prefix, sizeof prefix - 1) == 0;
    append_named("libtiff ", has_prefix ? text + sizeof prefix - 1 : text);
}

static void list_dependencies(void) {
    char kernels[40];
    snprintf(kernels, sizeof kernels, "filtags kernels %d", KERNELS_VERSION);
    append_first_line(kernels);
    append_first_line(onednn_version_text());
    append_first_line(hdf5_version_text());
    append_first_line(jpeg_version_text());
    append_first_line(png_version_text());
    append_tiff(tiff_version_text());
}

const char *filtags_version(void) { return FILTAGS_VERSION; }

const char *filtags_dependencies(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, list_dependencies);
    return dependencies;
}
