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

/* NULL in *path: Keras has no folder. */
static filtags_status keras_path(const char *file, char **path) {
    const char *keras = environment("KERAS_HOME"), *home = environment("HOME");
    *path = NULL;
    if (!keras && !home) return FILTAGS_OK;
    *path = keras ? memory_format("%s/models/%s", keras, file) : memory_format("%s/.keras/models/%s", home, file);
    return *path ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
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

/* Tell whether there is a usable file; one with a wrong hash is told of, one that can't be read is a failure. */
static filtags_status check_file(const char *path, const filtags_network *network, bool is_hash_checked,
                                 const filtags_callbacks *callbacks, bool *is_usable) {
    char hex[HASH_HEX_BYTES];
    struct stat info;
    *is_usable = !stat(path, &info) && S_ISREG(info.st_mode);
    if (!*is_usable || !is_hash_checked) return FILTAGS_OK;
    filtags_status status = fetch_check(path, network->weights_md5, hex, is_usable);
    if (!status && !*is_usable)
        tell(callbacks, FILTAGS_LOG_WARNING, "", path,
             ": is not the official file (its MD5 is another) and is not used");
    return status;
}

filtags_status weights_find(const filtags_network *network, bool is_hash_checked, const filtags_callbacks *callbacks,
                            struct weights_place *place) {
    char *own = NULL, *keras = NULL;
    bool is_own = false, is_of_keras = false;
    filtags_status status = cache_path(network->weights_file, &own);
    if (!status) status = check_file(own, network, is_hash_checked, callbacks, &is_own);
    if (!status && !is_own) status = keras_path(network->weights_file, &keras);
    if (!status && keras) status = check_file(keras, network, is_hash_checked, callbacks, &is_of_keras);
    if (status) {
        free(own);
        free(keras);
        return status;
    }
    enum weights_source source = is_own ? WEIGHTS_CACHED : is_of_keras ? WEIGHTS_OF_KERAS : WEIGHTS_MISSING;
    *place = (struct weights_place){.source = source, .path = is_of_keras ? keras : own};
    free(is_of_keras ? own : keras);
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
