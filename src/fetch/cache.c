#include "fetch/cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "fetch/fetch.h"

static const char *environment(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static void tell(const filtags_callbacks *callbacks, filtags_log_level level, const char *before, const char *path,
                 const char *behind) {
    char text[4096], line[4096];
    if (!callbacks || !callbacks->log) return;
    snprintf(text, sizeof text, "%s%s%s", before, path, behind);
    text_make_printable(line, sizeof line, text);
    callbacks->log(callbacks->user, level, line);
}

/* ---------------------------------------------------------------- folders */

/* The XDG base directory rules: a relative path is to be ignored. */
static filtags_status cache_path(const char *file, char **path) {
    const char *cache = environment("XDG_CACHE_HOME"), *home = environment("HOME");
    if (cache && cache[0] != '/') cache = NULL;
    if (!cache && !home) {
        return error_set(FILTAGS_ERROR_IO, "a folder for downloaded weights expected in XDG_CACHE_HOME or HOME, found "
                                           "neither of them set; --weights FILE does without");
    }
    char *made = cache ? memory_format("%s/filtags/%s", cache, file)
                       : memory_format("%s/.cache/filtags/%s", home, file);
    if (!made) return FILTAGS_ERROR_MEMORY;
    *path = made;
    return FILTAGS_OK;
}

/* NULL: Keras has no folder (or memory ran out, which the next allocation will tell). */
static char *keras_path(const char *file) {
    const char *keras = environment("KERAS_HOME"), *home = environment("HOME");
    if (keras) return memory_format("%s/models/%s", keras, file);
    return home ? memory_format("%s/.keras/models/%s", home, file) : NULL;
}

/* Make the folders above path; those that are missing for the user alone, as the XDG rules have it. */
static filtags_status make_folders_above(char *path) {
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int failure = mkdir(path, 0700) && errno != EEXIST ? errno : 0;
        struct stat info;
        if (failure && !stat(path, &info) && S_ISDIR(info.st_mode)) failure = 0; /* read-only file system above */
        if (failure) {
            errno = failure;
            filtags_status status =
                error_set_errno(FILTAGS_ERROR_IO, "%s: the folder for downloaded weights cannot be made", path);
            *slash = '/';
            return status;
        }
        *slash = '/';
    }
    return FILTAGS_OK;
}

/* ---------------------------------------------------------------- finding */

/* Whether there is a usable file; one with a wrong hash is told of. */
static bool is_usable(const char *path, const filtags_network *network, bool is_hash_checked,
                      const filtags_callbacks *callbacks) {
    char hex[HASH_HEX_BYTES];
    struct stat info;
    if (stat(path, &info) || !S_ISREG(info.st_mode)) return false;
    if (!is_hash_checked || fetch_is_right(path, network->weights_md5, hex)) return true;
    tell(callbacks, FILTAGS_LOG_WARNING, "", path, ": is not the official file (its MD5 is another) and is not used");
    return false;
}

filtags_status weights_find(const filtags_network *network, bool is_hash_checked, const filtags_callbacks *callbacks,
                            struct weights_place *place) {
    char *own = NULL;
    filtags_status status = cache_path(network->weights_file, &own);
    if (status) return status;
    *place = (struct weights_place){.source = WEIGHTS_MISSING, .path = own};
    if (is_usable(own, network, is_hash_checked, callbacks)) {
        place->source = WEIGHTS_CACHED;
        return FILTAGS_OK;
    }
    char *keras = keras_path(network->weights_file);
    if (keras && is_usable(keras, network, is_hash_checked, callbacks)) {
        *place = (struct weights_place){.source = WEIGHTS_OF_KERAS, .path = keras};
        free(own);
    } else {
        free(keras);
    }
    return FILTAGS_OK;
}

/* "https://host/a/vgg16/" -> "vgg16/" */
static const char *last_folder(const char *url) {
    const char *last = url + strlen(url);
    if (last > url) last--; /* the '/' at the end */
    while (last > url && last[-1] != '/') last--;
    return last;
}

filtags_status weights_url(const filtags_network *network, char **url) {
    const char *mirror = environment("FILTAGS_WEIGHTS_URL");
    char *made;
    if (mirror && strncasecmp(mirror, "http://", 7) && strncasecmp(mirror, "https://", 8)) {
        return error_set(FILTAGS_ERROR_USAGE, "FILTAGS_WEIGHTS_URL: an address that begins with https:// or http:// "
                                              "expected, found '%s'",
                         mirror);
    }
    if (mirror) {
        const char *slash = mirror[strlen(mirror) - 1] == '/' ? "" : "/";
        made = memory_format("%s%s%s%s", mirror, slash, last_folder(network->weights_url), network->weights_file);
    } else {
        made = memory_format("%s%s", network->weights_url, network->weights_file);
    }
    if (!made) return FILTAGS_ERROR_MEMORY;
    *url = made;
    return FILTAGS_OK;
}

/* ---------------------------------------------------------------- getting */

static filtags_status report_offline(const filtags_network *network, const char *path) {
    return error_set(FILTAGS_ERROR_IO,
                     "%s: the weights of %s are not there, and --offline forbids to download them; run 'filtags fetch "
                     "%s' where there is a network, or download %s%s to that place, or give --weights FILE",
                     path, network->name, network->name, network->weights_url, network->weights_file);
}

static filtags_status download(const filtags_network *network, char *path, const filtags_callbacks *callbacks) {
    char *url = NULL;
    filtags_status status = weights_url(network, &url);
    if (!status) status = make_folders_above(path);
    if (!status) {
        tell(callbacks, FILTAGS_LOG_INFO, "downloading the weights to ", path, "");
        struct fetch_job job = {.url = url, .md5 = network->weights_md5, .path = path, .callbacks = callbacks};
        status = fetch_file(&job);
    }
    free(url);
    return status;
}

filtags_status weights_open(const filtags_network *network, bool is_offline, const filtags_callbacks *callbacks,
                            char **path, enum weights_source *source) {
    struct weights_place place;
    filtags_status status = weights_find(network, true, callbacks, &place);
    if (status) return status;
    if (place.source == WEIGHTS_MISSING) {
        status = is_offline ? report_offline(network, place.path) : download(network, place.path, callbacks);
    }
    if (status) {
        free(place.path);
        return status;
    }
    *path = place.path;
    *source = place.source;
    return FILTAGS_OK;
}
